"""The aws CLI, configured by nothing but its AWS_* variables."""

import json
import uuid

import pytest

from plain_http import send


@pytest.fixture
def aws(command):
    """The CLI hides a failure, or an answer it misread, behind a retry; here a retry is a failure."""

    def run(*words, **arguments):
        return command("aws", *words, environment={"AWS_MAX_ATTEMPTS": "1"}, **arguments)

    return run


@pytest.fixture
def uri(bucket):
    return f"s3://{bucket}"


def keys(s3, bucket, prefix=""):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {entry["Key"] for page in pages for entry in page.get("Contents", [])}


def test_mb_makes_a_bucket_and_rb_removes_it(aws, s3, new_bucket):
    name = f"{new_bucket()}-cli"
    aws("s3", "mb", f"s3://{name}")
    assert name in aws("s3", "ls")
    aws("s3", "rb", f"s3://{name}")
    assert name not in aws("s3", "ls")


def test_cp_copies_a_file_up_across_and_down(aws, uri, tmp_path):
    (tmp_path / "up").write_bytes(b"hello")
    aws("s3", "cp", "up", f"{uri}/a")
    aws("s3", "cp", f"{uri}/a", f"{uri}/b")
    aws("s3", "cp", f"{uri}/b", "down")
    assert (tmp_path / "down").read_bytes() == b"hello"


def test_cp_sends_and_fetches_a_large_file_in_parts(aws, s3, bucket, uri, large_file, tmp_path):
    aws("s3", "cp", "--no-progress", large_file, f"{uri}/k")
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"].endswith('-3"')
    aws("s3", "cp", "--no-progress", f"{uri}/k", f"{uri}/copy")
    aws("s3", "cp", "--no-progress", f"{uri}/copy", "down")
    assert (tmp_path / "down").read_bytes() == large_file.read_bytes()


def test_cp_streams_from_standard_input_and_to_standard_output(aws, uri):
    aws("s3", "cp", "-", f"{uri}/k", stdin=b"streamed")
    assert aws("s3", "cp", f"{uri}/k", "-") == "streamed"


def test_cp_carries_the_type_and_metadata(aws, s3, bucket, uri, tmp_path):
    (tmp_path / "page.html").write_bytes(b"<p>")
    aws("s3", "cp", "page.html", f"{uri}/page.html", "--metadata", "a=1,b=two")
    head = s3.head_object(Bucket=bucket, Key="page.html")
    assert (head["ContentType"], head["Metadata"]) == ("text/html", {"a": "1", "b": "two"})


def test_mv_leaves_nothing_behind(aws, s3, bucket, uri, tmp_path):
    (tmp_path / "up").write_bytes(b"hello")
    aws("s3", "mv", "up", f"{uri}/a")
    aws("s3", "mv", f"{uri}/a", f"{uri}/b")
    assert keys(s3, bucket) == {"b"}
    assert not (tmp_path / "up").exists()


def test_sync_carries_a_tree_up_and_down_and_the_second_time_does_nothing(
    aws, s3, bucket, uri, tree, tmp_path
):
    aws("s3", "sync", tree.path, f"{uri}/tree")
    assert keys(s3, bucket) == {f"tree/{name}" for name in tree.files}
    assert aws("s3", "sync", tree.path, f"{uri}/tree") == ""
    aws("s3", "sync", f"{uri}/tree", "down")
    assert tree.read(tmp_path / "down") == tree.files
    assert aws("s3", "sync", f"{uri}/tree", "down") == ""


def test_sync_carries_a_change_and_with_delete_a_removal(aws, s3, bucket, uri, tree):
    aws("s3", "sync", tree.path, uri)
    (tree.path / "a.txt").write_bytes(b"changed, and longer")
    (tree.path / "empty").unlink()
    aws("s3", "sync", "--delete", tree.path, uri)
    assert s3.get_object(Bucket=bucket, Key="a.txt")["Body"].read() == b"changed, and longer"
    assert keys(s3, bucket) == set(tree.files) - {"empty"}


def test_ls_shows_prefixes_then_the_tree_and_its_sum(aws, uri, tree):
    aws("s3", "sync", tree.path, uri)
    top = aws("s3", "ls", f"{uri}/")
    assert "PRE deep/" in top
    assert "with space.txt" in top
    assert "nested.bin" not in top
    whole = aws("s3", "ls", "--recursive", "--summarize", uri)
    assert "deep/er/nested.bin" in whole
    assert f"Total Objects: {len(tree.files)}" in whole


def test_rm_recursive_removes_what_is_below_a_prefix(aws, s3, bucket, uri, tree):
    aws("s3", "sync", tree.path, uri)
    aws("s3", "rm", "--recursive", f"{uri}/deep")
    assert keys(s3, bucket) == {name for name in tree.files if not name.startswith("deep/")}
    aws("s3", "rb", "--force", uri)
    assert bucket not in aws("s3", "ls")


def test_presign_gives_a_url_that_anyone_can_read(aws, s3, bucket, uri):
    s3.put_object(Bucket=bucket, Key="with space", Body=b"hello")
    url = aws("s3", "presign", f"{uri}/with space", "--expires-in", "60").strip()
    status, _, body = send("GET", url)
    assert (status, body) == (200, b"hello")


def test_s3api_puts_gets_heads_lists_and_deletes(aws, bucket, tmp_path):
    (tmp_path / "up").write_bytes(b"hello")
    place = ("--bucket", bucket, "--key", "k")
    put = json.loads(aws("s3api", "put-object", *place, "--body", "up"))
    got = json.loads(aws("s3api", "get-object", *place, "down"))
    head = json.loads(aws("s3api", "head-object", *place, "--checksum-mode", "ENABLED"))
    assert (tmp_path / "down").read_bytes() == b"hello"
    assert put["ETag"] == got["ETag"] == head["ETag"]
    assert put["ChecksumCRC32"] == head["ChecksumCRC32"]
    listed = json.loads(aws("s3api", "list-objects-v2", "--bucket", bucket))
    assert [entry["Key"] for entry in listed["Contents"]] == ["k"]
    wanted = json.dumps({"Objects": [{"Key": "k"}]})
    done = json.loads(aws("s3api", "delete-objects", "--bucket", bucket, "--delete", wanted))
    assert [entry["Key"] for entry in done["Deleted"]] == ["k"]


def test_s3api_drives_versions(aws, versioned_bucket, tmp_path):
    place = ("--bucket", versioned_bucket, "--key", "k")
    for body in ("first", "second"):
        (tmp_path / "up").write_text(body)
        aws("s3api", "put-object", *place, "--body", "up")
    listed = json.loads(aws("s3api", "list-object-versions", "--bucket", versioned_bucket))
    old = [entry["VersionId"] for entry in listed["Versions"] if not entry["IsLatest"]]
    aws("s3api", "get-object", *place, "--version-id", old[0], "down")
    assert (tmp_path / "down").read_text() == "first"


def test_s3api_completes_an_upload_in_parts(aws, bucket, tmp_path):
    place = ("--bucket", bucket, "--key", "k")
    upload = json.loads(aws("s3api", "create-multipart-upload", *place))["UploadId"]
    parts = []
    for number, body in ((1, b"1" * (5 << 20)), (2, b"end")):
        (tmp_path / "part").write_bytes(body)
        sent = aws(
            *("s3api", "upload-part", *place, "--upload-id", upload),
            *("--part-number", number, "--body", "part"),
        )
        parts.append({"PartNumber": number, "ETag": json.loads(sent)["ETag"]})
    aws(
        *("s3api", "complete-multipart-upload", *place, "--upload-id", upload),
        *("--multipart-upload", json.dumps({"Parts": parts})),
    )
    aws("s3api", "get-object", *place, "down")
    assert (tmp_path / "down").read_bytes() == b"1" * (5 << 20) + b"end"


def test_a_failure_names_the_error_of_the_store(aws, bucket, command):
    aws("s3", "cp", f"s3://{bucket}/missing", "down", expect=1)
    complaint = command(
        "sh", "-c", f"! aws s3api get-object --bucket {bucket} --key missing down 2>&1"
    )
    assert "NoSuchKey" in complaint


def test_s3vectors_puts_and_queries(aws):
    name = f"cli-{uuid.uuid4().hex[:12]}"
    index = ["--vector-bucket-name", name, "--index-name", "index"]
    aws("s3vectors", "create-vector-bucket", "--vector-bucket-name", name)
    aws("s3vectors", "create-index", *index, "--data-type", "float32", "--dimension", "2",
        "--distance-metric", "cosine")
    rows = [
        {"key": "a", "data": {"float32": [1, 0]}, "metadata": {"color": "red"}},
        {"key": "b", "data": {"float32": [0, 1]}, "metadata": {"color": "blue"}},
    ]
    aws("s3vectors", "put-vectors", *index, "--vectors", json.dumps(rows))
    answer = aws("s3vectors", "query-vectors", *index, "--top-k", "2", "--query-vector",
                 json.dumps({"float32": [1, 0.1]}), "--filter", json.dumps({"color": "blue"}),
                 "--return-distance", "--output", "json")
    assert [vector["key"] for vector in json.loads(answer)["vectors"]] == ["b"]
    aws("s3vectors", "delete-index", *index)
    aws("s3vectors", "delete-vector-bucket", "--vector-bucket-name", name)

"""s3cmd with the configuration that its own setup writes for a store on one address."""

import pytest

from plain_http import send


@pytest.fixture
def s3cmd(command, store, tmp_path):
    configuration = tmp_path / "s3cfg"
    configuration.write_text(
        "[default]\n"
        f"access_key = {store.access_key}\n"
        f"secret_key = {store.secret_key}\n"
        f"host_base = {store.host}\n"
        f"host_bucket = {store.host}\n"
        "use_https = False\n"
    )

    def run(*words, **arguments):
        return command("s3cmd", "--config", configuration, "--no-progress", *words, **arguments)

    return run


@pytest.fixture
def uri(bucket):
    return f"s3://{bucket}"


def keys(s3, bucket):
    return {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])}


def test_mb_makes_a_bucket_and_rb_removes_it(s3cmd, new_bucket):
    name = f"s3://{new_bucket()}-s3cmd"
    s3cmd("mb", name)
    assert name in s3cmd("ls")
    s3cmd("rb", name)
    assert name not in s3cmd("ls")


@pytest.mark.parametrize("key", ["k", "dir/with space+%41", "\u65e5\u672c"])
def test_put_and_get_carry_a_file(s3cmd, uri, tmp_path, key):
    (tmp_path / "up").write_bytes(b"hello")
    s3cmd("put", "up", f"{uri}/{key}")
    s3cmd("get", f"{uri}/{key}", "down")
    assert (tmp_path / "down").read_bytes() == b"hello"


def test_put_sends_a_large_file_in_parts(s3cmd, s3, bucket, uri, large_file, tmp_path):
    s3cmd("put", "--multipart-chunk-size-mb=5", large_file, f"{uri}/k")
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"].endswith('-4"')
    s3cmd("get", f"{uri}/k", "down")
    assert (tmp_path / "down").read_bytes() == large_file.read_bytes()


def test_get_continues_where_it_stopped(s3cmd, s3, bucket, uri, tmp_path):
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    (tmp_path / "down").write_bytes(b"0123")
    s3cmd("get", "--continue", f"{uri}/k", "down")
    assert (tmp_path / "down").read_bytes() == b"0123456789"


def test_ls_shows_one_level_or_the_tree(s3cmd, uri, tree):
    s3cmd("sync", f"{tree.path}/", f"{uri}/")
    top = s3cmd("ls", f"{uri}/")
    assert f"DIR  {uri}/deep/" in top
    assert "nested.bin" not in top
    assert f"{uri}/deep/er/nested.bin" in s3cmd("ls", "--recursive", uri)


def test_sync_carries_a_tree_up_and_down_and_the_second_time_does_nothing(
    s3cmd, s3, bucket, uri, tree, tmp_path
):
    s3cmd("sync", f"{tree.path}/", f"{uri}/")
    assert keys(s3, bucket) == set(tree.files)
    assert "upload:" not in s3cmd("sync", f"{tree.path}/", f"{uri}/")
    (tmp_path / "down").mkdir()
    s3cmd("sync", f"{uri}/", "down/")
    assert tree.read(tmp_path / "down") == tree.files
    assert "download:" not in s3cmd("sync", f"{uri}/", "down/")


def test_cp_and_mv_stay_in_the_store(s3cmd, s3, bucket, uri):
    s3.put_object(Bucket=bucket, Key="a", Body=b"hello")
    s3cmd("cp", f"{uri}/a", f"{uri}/b")
    s3cmd("mv", f"{uri}/b", f"{uri}/c")
    assert keys(s3, bucket) == {"a", "c"}
    assert s3.get_object(Bucket=bucket, Key="c")["Body"].read() == b"hello"


def test_info_tells_size_and_md5(s3cmd, s3, bucket, uri):
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello", ContentType="text/plain")
    told = s3cmd("info", f"{uri}/k")
    assert "File size: 5" in told
    assert "MIME type: text/plain" in told
    assert "5d41402abc4b2a76b9719d911017c592" in told


def test_del_removes_one_object_or_a_tree(s3cmd, s3, bucket, uri, tree):
    s3cmd("sync", f"{tree.path}/", f"{uri}/")
    s3cmd("del", f"{uri}/a.txt")
    assert keys(s3, bucket) == set(tree.files) - {"a.txt"}
    s3cmd("del", "--recursive", "--force", uri)
    assert keys(s3, bucket) == set()


def test_signurl_gives_a_url_that_anyone_can_read(s3cmd, s3, bucket, uri):
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    url = s3cmd("signurl", f"{uri}/k", "+60").strip()
    status, _, body = send("GET", url)
    assert (status, body) == (200, b"hello")

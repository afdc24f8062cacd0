"""Objects, with boto3 at its defaults."""

import hashlib
import io
from datetime import datetime, timedelta, timezone

import boto3
import pytest

from refusal import refused


def test_an_object_comes_back_as_it_was_put(s3, bucket):
    body = bytes(range(256)) * 300
    put = s3.put_object(Bucket=bucket, Key="k", Body=body)
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == body
    assert got["ContentLength"] == len(body)
    assert got["ETag"] == put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    assert got["ContentType"] == "binary/octet-stream"
    assert got["AcceptRanges"] == "bytes"
    assert abs(datetime.now(timezone.utc) - got["LastModified"]) < timedelta(minutes=5)


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 1 << 20, (5 << 20) + 3])
def test_every_size_comes_back_whole(s3, bucket, size):
    body = (b"0123456789abcdefghijklmnopqrstuvwxyz-" * (size // 37 + 1))[:size]
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["ContentLength"] == size
    assert got["Body"].read() == body


def test_head_tells_what_get_tells(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello", ContentType="text/plain")
    head, got = s3.head_object(Bucket=bucket, Key="k"), s3.get_object(Bucket=bucket, Key="k")
    for field in ("ContentLength", "ContentType", "ETag", "LastModified", "Metadata"):
        assert head[field] == got[field]


def test_a_second_put_replaces_the_first(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"first", Metadata={"a": "1"})
    s3.put_object(Bucket=bucket, Key="k", Body=b"second")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["Metadata"]) == (b"second", {})


def test_system_headers_and_user_metadata_come_back(s3, bucket):
    expires = datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    headers = {
        "CacheControl": "max-age=60, public",
        "ContentDisposition": 'attachment; filename="a b.txt"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de-CH",
        "ContentType": "text/plain; charset=utf-8",
    }
    metadata = {"plain": "value", "with-dash": "a, b; c=d", "empty": ""}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Expires=expires, Metadata=metadata, **headers)
    for answer in (s3.head_object(Bucket=bucket, Key="k"), s3.get_object(Bucket=bucket, Key="k")):
        assert {name: answer[name] for name in headers} == headers
        assert answer["Metadata"] == metadata
        assert answer["ExpiresString"] == "Wed, 02 Jan 2030 03:04:05 GMT"


def test_the_framing_of_the_upload_is_not_stored_as_content_encoding(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=io.BytesIO(b"framed"))
    assert "ContentEncoding" not in s3.head_object(Bucket=bucket, Key="k")


def test_what_is_missing_is_named(s3, bucket):
    with refused("NoSuchKey", 404) as caught:
        s3.get_object(Bucket=bucket, Key="missing")
    assert caught.value.response["Error"]["Key"] == "missing"
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="missing")
    with refused("NoSuchBucket", 404):
        s3.get_object(Bucket=f"{bucket}-not", Key="k")
    with refused("NoSuchBucket", 404):
        s3.put_object(Bucket=f"{bucket}-not", Key="k", Body=b"x")


def test_every_answer_carries_a_request_id(s3, bucket):
    with refused("NoSuchKey", 404) as caught:
        s3.get_object(Bucket=bucket, Key="missing")
    metadata = caught.value.response["ResponseMetadata"]
    assert metadata["RequestId"]
    assert metadata["RequestId"] == metadata["HTTPHeaders"]["x-amz-request-id"]
    assert s3.head_bucket(Bucket=bucket)["ResponseMetadata"]["RequestId"] != metadata["RequestId"]


def test_a_deleted_object_is_gone_and_deleting_it_again_is_no_error(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for _ in range(2):
        s3.delete_object(Bucket=bucket, Key="k")
        with refused("NoSuchKey", 404):
            s3.get_object(Bucket=bucket, Key="k")


def test_many_objects_are_deleted_at_once(s3, bucket):
    keys = [f"k{number}" for number in range(20)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    wanted = [{"Key": key} for key in [*keys[:10], "never-was"]]
    done = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
    assert sorted(entry["Key"] for entry in done["Deleted"]) == sorted([*keys[:10], "never-was"])
    quiet = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys[10:]], "Quiet": True}
    )
    assert "Deleted" not in quiet
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_more_than_1000_deletes_at_once_are_refused_and_nothing_is_deleted(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k0", Body=b"x")
    wanted = [{"Key": f"k{number}"} for number in range(1001)]
    with refused("MalformedXML", 400):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
    s3.head_object(Bucket=bucket, Key="k0")


def test_a_copy_keeps_body_headers_and_metadata(s3, bucket, new_bucket):
    target = new_bucket()
    s3.put_object(
        Bucket=bucket, Key="from", Body=b"body", ContentType="text/plain", Metadata={"a": "1"}
    )
    copied = s3.copy_object(Bucket=target, Key="to", CopySource={"Bucket": bucket, "Key": "from"})[
        "CopyObjectResult"
    ]
    got = s3.get_object(Bucket=target, Key="to")
    assert got["Body"].read() == b"body"
    assert (got["ContentType"], got["Metadata"]) == ("text/plain", {"a": "1"})
    assert copied["ETag"] == got["ETag"]
    s3.delete_object(Bucket=bucket, Key="from")
    assert s3.get_object(Bucket=target, Key="to")["Body"].read() == b"body"


def test_a_copy_can_replace_the_metadata(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"body", Metadata={"a": "1"})
    s3.copy_object(
        Bucket=bucket,
        Key="k",
        CopySource={"Bucket": bucket, "Key": "k"},
        MetadataDirective="REPLACE",
        Metadata={"b": "2"},
        ContentType="text/x-new",
    )
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (
        b"body",
        {"b": "2"},
        "text/x-new",
    )


def test_a_copy_to_itself_that_changes_nothing_is_refused(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"body")
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "k"})


def test_a_copy_of_nothing_is_refused(s3, bucket):
    with refused("NoSuchKey", 404):
        s3.copy_object(Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "missing"})
    with refused("NoSuchBucket", 404):
        source = {"Bucket": f"{bucket}-not", "Key": "k"}
        s3.copy_object(Bucket=bucket, Key="k", CopySource=source)


@pytest.mark.parametrize(
    ("asked", "content_range", "first", "end"),
    [
        ("bytes=0-4", "bytes 0-4/100", 0, 5),
        ("bytes=95-", "bytes 95-99/100", 95, 100),
        ("bytes=-7", "bytes 93-99/100", 93, 100),
        ("bytes=90-1000", "bytes 90-99/100", 90, 100),
        ("bytes=-1000", "bytes 0-99/100", 0, 100),
    ],
)
def test_a_range_is_answered_with_its_place(s3, bucket, asked, content_range, first, end):
    body = bytes(range(100))
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    got = s3.get_object(Bucket=bucket, Key="k", Range=asked)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["ContentRange"] == content_range
    assert got["Body"].read() == body[first:end]


def test_a_range_past_the_end_is_refused(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    with refused("InvalidRange", 416):
        s3.get_object(Bucket=bucket, Key="k", Range="bytes=10-12")


def test_a_range_that_is_none_is_ignored(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    for asked in ("bytes=5-2", "lines=1-2", "bytes=a-b"):
        assert s3.get_object(Bucket=bucket, Key="k", Range=asked)["Body"].read() == b"0123456789"


def test_a_range_of_a_large_object_reads_across_pieces(s3, bucket):
    body = bytes(number * 7 % 251 for number in range(3 << 20))
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    for first, last in ((65_530, 65_545), (1_048_570, 2_097_160), (len(body) - 1, len(body) - 1)):
        got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}")
        assert got["Body"].read() == body[first : last + 1]


def test_a_read_can_name_the_headers_of_its_answer(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain")
    got = s3.get_object(
        Bucket=bucket,
        Key="k",
        ResponseCacheControl="no-cache",
        ResponseContentDisposition="bla",
        ResponseContentEncoding="aaa",
        ResponseContentLanguage="esperanto",
        ResponseContentType="foo/bar",
    )
    assert got["CacheControl"] == "no-cache"
    assert got["ContentDisposition"] == "bla"
    assert got["ContentEncoding"] == "aaa"
    assert got["ContentLanguage"] == "esperanto"
    assert got["ContentType"] == "foo/bar"


def test_the_resource_interface_does_its_daily_work(store, bucket):
    del store
    objects = boto3.resource("s3").Bucket(bucket)
    for number in range(3):
        objects.put_object(Key=f"dir/{number}", Body=str(number).encode())
    assert [entry.key for entry in objects.objects.filter(Prefix="dir/")] == [
        "dir/0",
        "dir/1",
        "dir/2",
    ]
    assert objects.Object("dir/1").get()["Body"].read() == b"1"
    objects.objects.all().delete()
    assert not list(objects.objects.all())


def test_attributes_are_told_without_the_body(s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    told = s3.get_object_attributes(
        Bucket=bucket,
        Key="k",
        ObjectAttributes=["ETag", "Checksum", "ObjectSize", "StorageClass"],
    )
    assert told["ETag"] == put["ETag"].strip('"')
    assert told["ObjectSize"] == 5
    assert told["StorageClass"] == "STANDARD"
    assert told["Checksum"]["ChecksumCRC32"] == put["ChecksumCRC32"]
    assert told["Checksum"]["ChecksumType"] == "FULL_OBJECT"


def test_a_trailing_slash_is_part_of_a_name(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"file")
    s3.put_object(Bucket=bucket, Key="a/", Body=b"")
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"child")
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"file"
    assert s3.get_object(Bucket=bucket, Key="a/")["Body"].read() == b""
    assert s3.get_object(Bucket=bucket, Key="a/b")["Body"].read() == b"child"

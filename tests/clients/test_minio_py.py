"""minio-py at its defaults."""

import io
from datetime import timedelta

import pytest
from minio import Minio
from minio.commonconfig import ComposeSource, CopySource, Tags
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

from plain_http import send


@pytest.fixture
def minio(store):
    return Minio(store.host, access_key=store.access_key, secret_key=store.secret_key, secure=False)


def read(minio, bucket, name):
    answer = minio.get_object(bucket_name=bucket, object_name=name)
    try:
        return answer.read()
    finally:
        answer.close()
        answer.release_conn()


def put(minio, bucket, name, body, **arguments):
    return minio.put_object(
        bucket_name=bucket,
        object_name=name,
        data=io.BytesIO(body),
        length=len(body),
        **arguments,
    )


def names(minio, bucket, **arguments):
    return [entry.object_name for entry in minio.list_objects(bucket_name=bucket, **arguments)]


def test_a_bucket_is_made_found_listed_and_removed(minio, new_bucket):
    name = f"{new_bucket()}-minio"
    assert not minio.bucket_exists(bucket_name=name)
    minio.make_bucket(bucket_name=name)
    assert minio.bucket_exists(bucket_name=name)
    assert name in [entry.name for entry in minio.list_buckets()]
    minio.remove_bucket(bucket_name=name)
    assert not minio.bucket_exists(bucket_name=name)


def test_an_object_comes_back_and_can_be_asked_about(minio, bucket):
    put(minio, bucket, "k", b"hello", content_type="text/plain", metadata={"a": "1"})
    assert read(minio, bucket, "k") == b"hello"
    told = minio.stat_object(bucket_name=bucket, object_name="k")
    assert (told.size, told.content_type) == (5, "text/plain")
    assert told.metadata["x-amz-meta-a"] == "1"


def test_a_stream_of_unknown_length_goes_up_in_parts(minio, bucket):
    body = bytes(range(256)) * (12 << 12)
    minio.put_object(
        bucket_name=bucket,
        object_name="k",
        data=io.BytesIO(body),
        length=-1,
        part_size=5 << 20,
    )
    assert read(minio, bucket, "k") == body


def test_a_large_file_goes_up_and_comes_down(minio, bucket, large_file, tmp_path):
    minio.fput_object(bucket_name=bucket, object_name="k", file_path=str(large_file))
    minio.fget_object(bucket_name=bucket, object_name="k", file_path=str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == large_file.read_bytes()


def test_a_read_takes_an_offset_and_a_length(minio, bucket):
    put(minio, bucket, "k", b"0123456789")
    answer = minio.get_object(bucket_name=bucket, object_name="k", offset=3, length=4)
    assert answer.read() == b"3456"
    answer.close()
    answer.release_conn()


def test_a_listing_shows_one_level_or_the_tree(minio, bucket):
    for name in ("a/1", "a/b/2", "c", "un\u00ef code+%"):
        put(minio, bucket, name, b"x")
    assert sorted(names(minio, bucket)) == ["a/", "c", "un\u00ef code+%"]
    assert names(minio, bucket, recursive=True) == ["a/1", "a/b/2", "c", "un\u00ef code+%"]
    assert names(minio, bucket, prefix="a/", recursive=True) == ["a/1", "a/b/2"]
    assert names(minio, bucket, recursive=True, start_after="a/1")[0] == "a/b/2"
    assert names(minio, bucket, recursive=True, use_api_v1=True)[0] == "a/1"


def test_an_object_is_copied(minio, bucket):
    put(minio, bucket, "from", b"hello", metadata={"a": "1"})
    minio.copy_object(
        bucket_name=bucket,
        object_name="to",
        source=CopySource(bucket_name=bucket, object_name="from"),
    )
    assert read(minio, bucket, "to") == b"hello"
    told = minio.stat_object(bucket_name=bucket, object_name="to")
    assert told.metadata["x-amz-meta-a"] == "1"


def test_an_object_is_composed_of_others(minio, bucket):
    bodies = [b"1" * (5 << 20), b"2" * (5 << 20), b"end"]
    sources = []
    for number, body in enumerate(bodies):
        put(minio, bucket, f"from/{number}", body)
        sources.append(ComposeSource(bucket_name=bucket, object_name=f"from/{number}"))
    minio.compose_object(bucket_name=bucket, object_name="whole", sources=sources)
    assert read(minio, bucket, "whole") == b"".join(bodies)


def test_objects_are_removed_one_by_one_and_in_a_batch(minio, bucket):
    for number in range(5):
        put(minio, bucket, f"k{number}", b"x")
    minio.remove_object(bucket_name=bucket, object_name="k0")
    wanted = [DeleteObject(name=f"k{number}") for number in range(1, 5)]
    assert list(minio.remove_objects(bucket_name=bucket, delete_object_list=wanted)) == []
    assert names(minio, bucket) == []


def test_presigned_urls_put_and_get_an_object(minio, bucket):
    arguments = {
        "bucket_name": bucket,
        "object_name": "dir/with space",
        "expires": timedelta(minutes=1),
    }
    assert send("PUT", minio.presigned_put_object(**arguments), b"hello")[0] == 200
    status, _, body = send("GET", minio.presigned_get_object(**arguments))
    assert (status, body) == (200, b"hello")


def test_tags_are_kept(minio, bucket):
    tags = Tags.new_object_tags()
    tags["a"] = "1"
    put(minio, bucket, "k", b"x")
    minio.set_object_tags(bucket_name=bucket, object_name="k", tags=tags)
    assert minio.get_object_tags(bucket_name=bucket, object_name="k") == {"a": "1"}
    minio.delete_object_tags(bucket_name=bucket, object_name="k")
    assert not minio.get_object_tags(bucket_name=bucket, object_name="k")


def test_versions_are_listed_and_removed(minio, versioned_bucket):
    ids = [put(minio, versioned_bucket, "k", body).version_id for body in (b"1", b"2")]
    listed = minio.list_objects(bucket_name=versioned_bucket, include_version=True)
    assert {entry.version_id for entry in listed} == set(ids)
    minio.remove_object(bucket_name=versioned_bucket, object_name="k", version_id=ids[1])
    assert read(minio, versioned_bucket, "k") == b"1"


def test_a_missing_object_is_named(minio, bucket):
    with pytest.raises(S3Error) as caught:
        read(minio, bucket, "missing")
    assert caught.value.code == "NoSuchKey"
    with pytest.raises(S3Error) as caught:
        minio.stat_object(bucket_name=bucket, object_name="missing")
    assert caught.value.code == "NoSuchKey"

"""Multipart uploads, by hand and by boto3's transfer manager."""

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from boto3.s3.transfer import TransferConfig

from refusal import refused

MIB = 1 << 20
SMALLEST_PART = 5 * MIB


def pattern(seed, size):
    return hashlib.shake_128(str(seed).encode()).digest(size)


def multipart_etag(*parts):
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    return f'"{hashlib.md5(digests).hexdigest()}-{len(parts)}"'


@pytest.fixture
def upload(s3, bucket):
    """An upload to key `k`; its parts are sent and completed by number."""

    class Upload:
        def __init__(self):
            started = s3.create_multipart_upload(
                Bucket=bucket, Key="k", ContentType="text/plain", Metadata={"a": "1"}
            )
            self.id = started["UploadId"]
            self.place = {"Bucket": bucket, "Key": "k", "UploadId": self.id}

        def put(self, number, body):
            etag = s3.upload_part(**self.place, PartNumber=number, Body=body)["ETag"]
            return {"PartNumber": number, "ETag": etag}

        def complete(self, *parts, **arguments):
            return s3.complete_multipart_upload(
                **self.place, MultipartUpload={"Parts": list(parts)}, **arguments
            )

    return Upload()


def test_a_large_file_goes_up_and_comes_down(s3, bucket, large_file, tmp_path):
    s3.upload_file(str(large_file), bucket, "k", ExtraArgs={"Metadata": {"a": "1"}})
    head = s3.head_object(Bucket=bucket, Key="k")
    assert head["ContentLength"] == 20 * MIB
    assert head["ETag"].endswith('-3"')
    assert head["Metadata"] == {"a": "1"}
    s3.download_file(bucket, "k", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == large_file.read_bytes()


def test_a_stream_of_unknown_length_goes_up(s3, bucket):
    body = os.urandom(17 * MIB)

    class Stream(io.RawIOBase):
        def __init__(self):
            self.inner = io.BytesIO(body)

        def readable(self):
            return True

        def readinto(self, buffer):
            return self.inner.readinto(buffer)

    s3.upload_fileobj(Stream(), bucket, "k")
    down = io.BytesIO()
    s3.download_fileobj(bucket, "k", down)
    assert down.getvalue() == body


def test_a_large_copy_is_made_of_parts(s3, bucket, new_bucket, large_file):
    target = new_bucket()
    s3.upload_file(str(large_file), bucket, "from")
    config = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)
    s3.copy({"Bucket": bucket, "Key": "from"}, target, "to", Config=config)
    assert s3.get_object(Bucket=target, Key="to")["Body"].read() == large_file.read_bytes()
    assert s3.head_object(Bucket=target, Key="to")["ETag"].endswith('-3"')


def test_parts_come_in_any_order_and_the_last_of_a_number_counts(s3, bucket, upload):
    bodies = [pattern(1, SMALLEST_PART), pattern(2, SMALLEST_PART + 1), b"the end"]
    third = upload.put(3, bodies[2])
    upload.put(1, pattern("replaced", SMALLEST_PART))
    second = upload.put(2, bodies[1])
    first = upload.put(1, bodies[0])
    done = upload.complete(first, second, third)
    assert done["ETag"] == multipart_etag(*bodies)
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"".join(bodies)
    assert (got["ETag"], got["ContentType"], got["Metadata"]) == (
        done["ETag"],
        "text/plain",
        {"a": "1"},
    )


def test_parts_are_sent_at_the_same_time(s3, bucket, upload):
    bodies = [pattern(number, SMALLEST_PART) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(upload.put, range(1, 5), bodies))
    assert upload.complete(*parts)["ETag"] == multipart_etag(*bodies)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"".join(bodies)


def test_only_the_parts_that_are_named_make_the_object(s3, bucket, upload):
    upload.put(1, pattern(1, SMALLEST_PART))
    kept = upload.put(5, b"alone")
    upload.complete(kept)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"alone"


def test_an_object_shows_only_when_its_upload_is_complete(s3, bucket, upload):
    part = upload.put(1, b"body")
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="k")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    upload.complete(part)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"body"


def test_parts_are_listed_in_pages(s3, upload):
    for number in (7, 2, 5):
        upload.put(number, f"part {number}".encode())
    pages = list(
        s3.get_paginator("list_parts").paginate(**upload.place, PaginationConfig={"PageSize": 2})
    )
    listed = [(part["PartNumber"], part["Size"]) for page in pages for part in page["Parts"]]
    assert listed == [(2, 6), (5, 6), (7, 6)]
    assert [page["IsTruncated"] for page in pages] == [True, False]


def test_uploads_are_listed_in_pages_until_they_end(s3, bucket):
    ids = {}
    for key in ("b", "a", "c/d"):
        ids[key] = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    pages = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 2}
    )
    listed = [(one["Key"], one["UploadId"]) for page in pages for one in page["Uploads"]]
    assert listed == [(key, ids[key]) for key in ("a", "b", "c/d")]
    folded = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [entry["Prefix"] for entry in folded["CommonPrefixes"]] == ["c/"]
    for key, upload_id in ids.items():
        s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_an_aborted_upload_is_gone(s3, upload):
    part = upload.put(1, b"body")
    s3.abort_multipart_upload(**upload.place)
    with refused("NoSuchUpload", 404):
        upload.put(2, b"late")
    with refused("NoSuchUpload", 404):
        s3.list_parts(**upload.place)
    with refused("NoSuchUpload", 404):
        upload.complete(part)


def test_completing_twice_is_answered_alike(upload):
    part = upload.put(1, b"body")
    assert upload.complete(part)["ETag"] == upload.complete(part)["ETag"]


def test_a_part_below_5_mib_that_is_not_the_last_is_refused(upload):
    parts = [upload.put(1, pattern(1, SMALLEST_PART - 1)), upload.put(2, b"end")]
    with refused("EntityTooSmall", 400):
        upload.complete(*parts)


def test_parts_out_of_order_are_refused(upload):
    parts = [upload.put(1, pattern(1, SMALLEST_PART)), upload.put(2, b"end")]
    with refused("InvalidPartOrder", 400):
        upload.complete(*reversed(parts))


def test_a_part_that_was_not_sent_is_refused(upload):
    part = upload.put(1, b"body")
    with refused("InvalidPart", 400):
        upload.complete({"PartNumber": 1, "ETag": f'"{"0" * 32}"'})
    with refused("InvalidPart", 400):
        upload.complete({"PartNumber": 2, "ETag": part["ETag"]})


@pytest.mark.parametrize("number", [0, 10_001])
def test_a_part_number_beyond_1_to_10000_is_refused(upload, number):
    with refused("InvalidArgument", 400):
        upload.put(number, b"body")


def test_a_part_can_be_a_range_of_another_object(s3, bucket, upload):
    body = pattern("source", SMALLEST_PART + 1000)
    s3.put_object(Bucket=bucket, Key="from", Body=body)
    copied = s3.upload_part_copy(
        **upload.place,
        PartNumber=1,
        CopySource={"Bucket": bucket, "Key": "from"},
        CopySourceRange=f"bytes=1000-{len(body) - 1}",
    )["CopyPartResult"]["ETag"]
    upload.complete({"PartNumber": 1, "ETag": copied}, upload.put(2, b"end"))
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body[1000:] + b"end"


def test_a_read_can_name_a_part(s3, bucket, upload):
    bodies = [pattern(1, SMALLEST_PART), b"the end"]
    upload.complete(*[upload.put(number, body) for number, body in enumerate(bodies, 1)])
    for number, body in enumerate(bodies, 1):
        got = s3.get_object(Bucket=bucket, Key="k", PartNumber=number)
        assert got["Body"].read() == body
        assert got["PartsCount"] == 2
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        head = s3.head_object(Bucket=bucket, Key="k", PartNumber=number)
        assert (head["ContentLength"], head["PartsCount"]) == (len(body), 2)
    with refused("InvalidPart", 400):
        s3.get_object(Bucket=bucket, Key="k", PartNumber=3)


def test_a_range_reads_across_parts(s3, bucket, upload):
    bodies = [pattern(1, SMALLEST_PART), pattern(2, 1000)]
    upload.complete(*[upload.put(number, body) for number, body in enumerate(bodies, 1)])
    first, last = SMALLEST_PART - 10, SMALLEST_PART + 9
    got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}")
    assert got["Body"].read() == b"".join(bodies)[first : last + 1]

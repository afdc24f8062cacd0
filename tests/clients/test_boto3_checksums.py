"""The five checksums: asked for, stored, echoed, refused when wrong."""

import base64
import hashlib

import pytest

from refusal import refused

# CRC check values are published for exactly these nine bytes.
BODY = b"123456789"


def encoded(digest):
    return base64.b64encode(digest).decode()


CHECKSUMS = {
    "CRC32": encoded(0xCBF43926.to_bytes(4, "big")),
    "CRC32C": encoded(0xE3069283.to_bytes(4, "big")),
    "CRC64NVME": encoded(0xAE8B14860A799888.to_bytes(8, "big")),
    "SHA1": encoded(hashlib.sha1(BODY).digest()),
    "SHA256": encoded(hashlib.sha256(BODY).digest()),
}
FIELDS = {f"Checksum{name}": value for name, value in CHECKSUMS.items()}
ALGORITHMS = pytest.mark.parametrize("algorithm", CHECKSUMS)


def told(answer):
    return {field: answer[field] for field in FIELDS if field in answer}


@ALGORITHMS
def test_a_checksum_is_kept_and_told_when_asked_for(s3, bucket, algorithm):
    expected = {f"Checksum{algorithm}": CHECKSUMS[algorithm]}
    put = s3.put_object(Bucket=bucket, Key="k", Body=BODY, **expected)
    assert (told(put), put["ChecksumType"]) == (expected, "FULL_OBJECT")
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (told(head), head["ChecksumType"]) == (expected, "FULL_OBJECT")
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (got["Body"].read(), told(got)) == (BODY, expected)
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum"])[
        "Checksum"
    ]
    assert told(attributes) == expected


@ALGORITHMS
def test_a_checksum_is_not_told_unasked(s3, bucket, algorithm):
    given = {f"Checksum{algorithm}": CHECKSUMS[algorithm]}
    s3.put_object(Bucket=bucket, Key="k", Body=BODY, **given)
    assert told(s3.head_object(Bucket=bucket, Key="k")) == {}


@ALGORITHMS
def test_a_wrong_checksum_is_refused_and_nothing_is_stored(s3, bucket, algorithm):
    wrong = encoded(bytes(len(base64.b64decode(CHECKSUMS[algorithm]))))
    with refused("BadDigest", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=BODY, **{f"Checksum{algorithm}": wrong})
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="k")


@ALGORITHMS
def test_a_malformed_checksum_is_refused(s3, bucket, algorithm):
    with refused("InvalidRequest", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=BODY, **{f"Checksum{algorithm}": "AAAA"})


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_boto3_computes_the_checksum_it_is_asked_for(s3, bucket, algorithm):
    put = s3.put_object(Bucket=bucket, Key="k", Body=BODY, ChecksumAlgorithm=algorithm)
    assert told(put) == {f"Checksum{algorithm}": CHECKSUMS[algorithm]}


def test_boto3_sends_a_crc32_unasked_and_verifies_it_on_the_read(s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="k", Body=BODY)
    assert told(put) == {"ChecksumCRC32": CHECKSUMS["CRC32"]}
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), told(got)) == (BODY, {"ChecksumCRC32": CHECKSUMS["CRC32"]})


def test_a_wrong_content_md5_is_refused(s3, bucket):
    with refused("BadDigest", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=BODY, ContentMD5=encoded(bytes(16)))
    with refused("InvalidDigest", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=BODY, ContentMD5="AAAA")
    s3.put_object(Bucket=bucket, Key="k", Body=BODY, ContentMD5=encoded(hashlib.md5(BODY).digest()))


def test_a_copy_keeps_the_checksum_or_takes_a_new_one(s3, bucket):
    source = {"Bucket": bucket, "Key": "k"}
    s3.put_object(Bucket=bucket, Key="k", Body=BODY, ChecksumSHA1=CHECKSUMS["SHA1"])
    s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)
    kept = s3.head_object(Bucket=bucket, Key="kept", ChecksumMode="ENABLED")
    assert told(kept) == {"ChecksumSHA1": CHECKSUMS["SHA1"]}
    s3.copy_object(Bucket=bucket, Key="new", CopySource=source, ChecksumAlgorithm="SHA256")
    new = s3.head_object(Bucket=bucket, Key="new", ChecksumMode="ENABLED")
    assert told(new) == {"ChecksumSHA256": CHECKSUMS["SHA256"]}


def uploaded(s3, bucket, parts, algorithm, checksum_type):
    """Sends `parts` as one upload; returns the answer to its completion."""
    place = {"Bucket": bucket, "Key": "k"}
    place["UploadId"] = s3.create_multipart_upload(
        **place, ChecksumAlgorithm=algorithm, ChecksumType=checksum_type
    )["UploadId"]
    field, sent = f"Checksum{algorithm}", []
    for number, body in enumerate(parts, 1):
        part = s3.upload_part(**place, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm)
        sent.append({"PartNumber": number, "ETag": part["ETag"], field: part[field]})
    return s3.complete_multipart_upload(
        **place, MultipartUpload={"Parts": sent}, ChecksumType=checksum_type
    )


@pytest.mark.parametrize("algorithm", ["SHA1", "SHA256"])
def test_a_composite_checksum_covers_the_checksums_of_the_parts(s3, bucket, algorithm):
    digest = {"SHA1": hashlib.sha1, "SHA256": hashlib.sha256}[algorithm]
    parts = [b"a" * (5 << 20), b"end"]
    expected = encoded(digest(b"".join(digest(part).digest() for part in parts)).digest())
    done = uploaded(s3, bucket, parts, algorithm, "COMPOSITE")
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    for answer in (done, head):
        assert answer[f"Checksum{algorithm}"] == f"{expected}-2"
        assert answer["ChecksumType"] == "COMPOSITE"


def test_a_full_object_checksum_of_an_upload_is_that_of_the_whole(s3, bucket):
    parts = [b"a" * (5 << 20), b"end"]
    done = uploaded(s3, bucket, parts, "CRC32", "FULL_OBJECT")
    whole = s3.put_object(Bucket=bucket, Key="whole", Body=b"".join(parts))["ChecksumCRC32"]
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    for answer in (done, head):
        assert (answer["ChecksumCRC32"], answer["ChecksumType"]) == (whole, "FULL_OBJECT")


def test_a_wrong_checksum_of_a_part_is_refused(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="SHA256")
    with refused("BadDigest", 400):
        s3.upload_part(
            Bucket=bucket,
            Key="k",
            UploadId=upload["UploadId"],
            PartNumber=1,
            Body=BODY,
            ChecksumSHA256=encoded(bytes(32)),
        )

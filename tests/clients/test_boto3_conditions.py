"""Conditional requests on every verb, with boto3 at its defaults."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from refusal import refused

OTHER = '"00000000000000000000000000000000"'


@pytest.fixture(params=["plain", "versioned"])
def either_bucket(request):
    """Conditions hold alike with and without versions."""
    return request.getfixturevalue("bucket" if request.param == "plain" else "versioned_bucket")


@pytest.fixture
def place(either_bucket):
    return {"Bucket": either_bucket, "Key": "k"}


def test_put_if_absent_makes_an_object_once(s3, place):
    s3.put_object(**place, Body=b"first", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        s3.put_object(**place, Body=b"second", IfNoneMatch="*")
    assert s3.get_object(**place)["Body"].read() == b"first"
    s3.delete_object(**place)
    s3.put_object(**place, Body=b"third", IfNoneMatch="*")
    assert s3.get_object(**place)["Body"].read() == b"third"


def test_put_if_absent_has_one_winner_of_many(s3, place):
    def attempt(number):
        try:
            s3.put_object(**place, Body=str(number).encode(), IfNoneMatch="*")
        except ClientError as refusal:
            assert refusal.response["Error"]["Code"] in (
                "PreconditionFailed",
                "ConditionalRequestConflict",
            )
            return None
        return number

    with ThreadPoolExecutor(10) as pool:
        [winner] = [number for number in pool.map(attempt, range(30)) if number is not None]
    assert s3.get_object(**place)["Body"].read() == str(winner).encode()


def test_put_if_match_replaces_only_what_it_knows(s3, place):
    with refused("NoSuchKey", 404):
        s3.put_object(**place, Body=b"x", IfMatch=OTHER)
    first = s3.put_object(**place, Body=b"first")["ETag"]
    second = s3.put_object(**place, Body=b"second", IfMatch=first)["ETag"]
    with refused("PreconditionFailed", 412):
        s3.put_object(**place, Body=b"third", IfMatch=first)
    assert s3.get_object(**place)["ETag"] == second


def test_an_upload_completes_only_if_its_condition_holds(s3, place):
    def complete(**condition):
        upload = s3.create_multipart_upload(**place)["UploadId"]
        part = s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"x")
        return s3.complete_multipart_upload(
            **place,
            UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
            **condition,
        )

    first = complete(IfNoneMatch="*")["ETag"]
    with refused("PreconditionFailed", 412):
        complete(IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        complete(IfMatch=OTHER)
    complete(IfMatch=first)


def test_a_delete_takes_only_what_it_knows(s3, place):
    etag = s3.put_object(**place, Body=b"x")["ETag"]
    with refused("PreconditionFailed", 412):
        s3.delete_object(**place, IfMatch=OTHER)
    s3.head_object(**place)
    s3.delete_object(**place, IfMatch=etag)
    with refused("404", 404):
        s3.head_object(**place)


def test_a_batch_of_deletes_checks_each_condition(s3, either_bucket):
    etag = s3.put_object(Bucket=either_bucket, Key="known", Body=b"x")["ETag"]
    s3.put_object(Bucket=either_bucket, Key="changed", Body=b"x")
    done = s3.delete_objects(
        Bucket=either_bucket,
        Delete={"Objects": [{"Key": "known", "ETag": etag}, {"Key": "changed", "ETag": OTHER}]},
    )
    assert [entry["Key"] for entry in done["Deleted"]] == ["known"]
    assert [(entry["Key"], entry["Code"]) for entry in done["Errors"]] == [
        ("changed", "PreconditionFailed")
    ]
    s3.head_object(Bucket=either_bucket, Key="changed")


@pytest.mark.parametrize("verb", ["get_object", "head_object"])
def test_a_read_heeds_its_conditions(s3, place, verb):
    read = getattr(s3, verb)
    failed = "PreconditionFailed" if verb == "get_object" else "412"
    etag = s3.put_object(**place, Body=b"x")["ETag"]
    modified = s3.head_object(**place)["LastModified"]
    before, after = modified - timedelta(hours=1), modified + timedelta(seconds=1)
    for holds in (
        {"IfMatch": etag},
        {"IfNoneMatch": OTHER},
        {"IfModifiedSince": before},
        {"IfUnmodifiedSince": after},
        {"IfMatch": etag, "IfUnmodifiedSince": before},
        {"IfNoneMatch": OTHER, "IfModifiedSince": modified},
    ):
        assert read(**place, **holds)["ETag"] == etag, holds
    for fails in ({"IfMatch": OTHER}, {"IfUnmodifiedSince": before}):
        with refused(failed, 412):
            read(**place, **fails)
    for unchanged in ({"IfNoneMatch": etag}, {"IfNoneMatch": "*"}, {"IfModifiedSince": modified}):
        with refused("304", 304) as caught:
            read(**place, **unchanged)
        headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
        assert headers["etag"] == etag


def test_a_copy_heeds_the_conditions_on_its_source(s3, place):
    etag = s3.put_object(**place, Body=b"x")["ETag"]
    target = {"Bucket": place["Bucket"], "Key": "copy", "CopySource": place}
    s3.copy_object(**target, CopySourceIfMatch=etag)
    s3.copy_object(**target, CopySourceIfNoneMatch=OTHER)
    with refused("PreconditionFailed", 412):
        s3.copy_object(**target, CopySourceIfMatch=OTHER)
    with refused("PreconditionFailed", 412):
        s3.copy_object(**target, CopySourceIfNoneMatch=etag)


def test_a_copy_heeds_the_conditions_on_its_target(s3, place):
    etag = s3.put_object(**place, Body=b"x")["ETag"]
    target = {"Bucket": place["Bucket"], "Key": "copy", "CopySource": place}
    s3.copy_object(**target, IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        s3.copy_object(**target, IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        s3.copy_object(**target, IfMatch=OTHER)
    s3.copy_object(**target, IfMatch=etag)

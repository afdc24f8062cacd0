"""Retention and legal hold, with boto3 at its defaults."""

from datetime import datetime, timedelta, timezone

import pytest

from refusal import refused


def in_days(days):
    return (datetime.now(timezone.utc) + timedelta(days=days)).replace(microsecond=0)


@pytest.fixture
def place(locked_bucket):
    return {"Bucket": locked_bucket, "Key": "k"}


def put_retained(s3, place, mode, until):
    """A version under retention; returns the arguments that name it."""
    put = s3.put_object(**place, Body=b"kept", ObjectLockMode=mode, ObjectLockRetainUntilDate=until)
    return {**place, "VersionId": put["VersionId"]}


def retention(mode, until):
    return {"Mode": mode, "RetainUntilDate": until}


def test_a_bucket_with_lock_is_versioned_and_says_so(s3, locked_bucket):
    assert s3.get_bucket_versioning(Bucket=locked_bucket)["Status"] == "Enabled"
    told = s3.get_object_lock_configuration(Bucket=locked_bucket)["ObjectLockConfiguration"]
    assert told == {"ObjectLockEnabled": "Enabled"}
    with refused("InvalidBucketState", 409):
        s3.put_bucket_versioning(
            Bucket=locked_bucket, VersioningConfiguration={"Status": "Suspended"}
        )


def test_a_bucket_without_lock_says_so_and_takes_no_lock(s3, bucket):
    with refused("ObjectLockConfigurationNotFoundError", 404):
        s3.get_object_lock_configuration(Bucket=bucket)
    with refused("InvalidRequest", 400):
        put_retained(s3, {"Bucket": bucket, "Key": "k"}, "GOVERNANCE", in_days(1))


def test_the_default_retention_holds_every_new_object(s3, place):
    configuration = {
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}},
    }
    s3.put_object_lock_configuration(Bucket=place["Bucket"], ObjectLockConfiguration=configuration)
    told = s3.get_object_lock_configuration(Bucket=place["Bucket"])["ObjectLockConfiguration"]
    assert told == configuration
    version = {**place, "VersionId": s3.put_object(**place, Body=b"x")["VersionId"]}
    head = s3.head_object(**version)
    assert head["ObjectLockMode"] == "GOVERNANCE"
    assert abs(head["ObjectLockRetainUntilDate"] - in_days(3)) < timedelta(minutes=5)
    with refused("AccessDenied", 403):
        s3.delete_object(**version)


def test_governance_holds_unless_it_is_bypassed(s3, place):
    version = put_retained(s3, place, "GOVERNANCE", in_days(1))
    with refused("AccessDenied", 403):
        s3.delete_object(**version)
    with refused("AccessDenied", 403):
        s3.put_object_retention(**version, Retention=retention("GOVERNANCE", in_days(0.5)))
    s3.put_object_retention(
        **version,
        Retention=retention("GOVERNANCE", in_days(0.5)),
        BypassGovernanceRetention=True,
    )
    s3.delete_object(**version, BypassGovernanceRetention=True)
    with refused("NoSuchVersion", 404):
        s3.get_object(**version)


def test_compliance_holds_against_everyone(s3, place):
    until = in_days(1)
    version = put_retained(s3, place, "COMPLIANCE", until)
    for bypass in (False, True):
        with refused("AccessDenied", 403):
            s3.delete_object(**version, BypassGovernanceRetention=bypass)
        for weaker in (
            retention("COMPLIANCE", until - timedelta(hours=1)),
            retention("GOVERNANCE", until),
        ):
            with refused("AccessDenied", 403):
                s3.put_object_retention(
                    **version, Retention=weaker, BypassGovernanceRetention=bypass
                )
    told = s3.get_object_retention(**version)["Retention"]
    assert told == retention("COMPLIANCE", until)


def test_retention_can_be_extended(s3, place):
    version = put_retained(s3, place, "COMPLIANCE", in_days(1))
    longer = retention("COMPLIANCE", in_days(2))
    s3.put_object_retention(**version, Retention=longer)
    assert s3.get_object_retention(**version)["Retention"] == longer


def test_a_legal_hold_holds_until_it_is_lifted(s3, place):
    put = s3.put_object(**place, Body=b"x", ObjectLockLegalHoldStatus="ON")
    version = {**place, "VersionId": put["VersionId"]}
    assert s3.get_object_legal_hold(**version)["LegalHold"] == {"Status": "ON"}
    for bypass in (False, True):
        with refused("AccessDenied", 403):
            s3.delete_object(**version, BypassGovernanceRetention=bypass)
    s3.put_object_legal_hold(**version, LegalHold={"Status": "OFF"})
    assert s3.head_object(**version)["ObjectLockLegalHoldStatus"] == "OFF"
    s3.delete_object(**version)


def test_a_batch_refuses_what_is_held_and_deletes_the_rest(s3, place):
    held = put_retained(s3, place, "GOVERNANCE", in_days(1))["VersionId"]
    free = s3.put_object(**place, Body=b"free")["VersionId"]
    done = s3.delete_objects(
        Bucket=place["Bucket"],
        Delete={"Objects": [{"Key": "k", "VersionId": held}, {"Key": "k", "VersionId": free}]},
    )
    assert [entry["VersionId"] for entry in done["Deleted"]] == [free]
    assert [(entry["VersionId"], entry["Code"]) for entry in done["Errors"]] == [
        (held, "AccessDenied")
    ]


def test_a_held_object_can_be_hidden_and_replaced_but_not_lost(s3, place):
    version = put_retained(s3, place, "COMPLIANCE", in_days(1))
    s3.put_object(**place, Body=b"newer")
    s3.delete_object(**place)
    assert s3.get_object(**version)["Body"].read() == b"kept"


def test_an_upload_in_parts_is_held_as_it_was_begun(s3, place):
    until = in_days(1)
    upload = s3.create_multipart_upload(
        **place, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until
    )["UploadId"]
    part = s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"x")
    done = s3.complete_multipart_upload(
        **place,
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    version = {**place, "VersionId": done["VersionId"]}
    assert s3.get_object_retention(**version)["Retention"] == retention("GOVERNANCE", until)


def test_a_date_that_has_passed_is_refused(s3, place):
    with refused("InvalidArgument", 400):
        put_retained(s3, place, "GOVERNANCE", in_days(-1))


def test_an_object_without_retention_says_so(s3, place):
    s3.put_object(**place, Body=b"x")
    with refused("NoSuchObjectLockConfiguration", 404):
        s3.get_object_retention(**place)

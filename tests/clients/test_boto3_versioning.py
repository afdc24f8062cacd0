"""Versions and delete markers, with boto3 at its defaults."""

import pytest

from refusal import refused


@pytest.fixture
def place(versioned_bucket):
    return {"Bucket": versioned_bucket, "Key": "k"}


def suspend(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


def listed(s3, bucket, **arguments):
    """Versions and markers as (key, version, is latest), in the order of the listing."""
    answer = s3.list_object_versions(Bucket=bucket, **arguments)
    return tuple(
        [(one["Key"], one["VersionId"], one["IsLatest"]) for one in answer.get(kind, [])]
        for kind in ("Versions", "DeleteMarkers")
    )


def test_every_put_makes_a_version_that_can_be_read(s3, place):
    ids = [s3.put_object(**place, Body=str(number).encode())["VersionId"] for number in range(3)]
    assert len(set(ids)) == 3
    assert s3.get_object(**place)["VersionId"] == ids[2]
    for number, version in enumerate(ids):
        got = s3.get_object(**place, VersionId=version)
        assert (got["Body"].read(), got["VersionId"]) == (str(number).encode(), version)


def test_versions_are_listed_newest_first(s3, place):
    ids = [s3.put_object(**place, Body=b"x")["VersionId"] for _ in range(3)]
    versions, markers = listed(s3, place["Bucket"])
    assert versions == [("k", ids[2], True), ("k", ids[1], False), ("k", ids[0], False)]
    assert markers == []


def test_pages_of_versions_join_without_gap_or_overlap(s3, versioned_bucket):
    made = []
    for key in ("a", "b", "c"):
        for _ in range(3):
            version = s3.put_object(Bucket=versioned_bucket, Key=key, Body=b"x")["VersionId"]
            made.append((key, version))
        version = s3.delete_object(Bucket=versioned_bucket, Key=key)["VersionId"]
        made.append((key, version))
    pages = s3.get_paginator("list_object_versions").paginate(
        Bucket=versioned_bucket, PaginationConfig={"PageSize": 5}
    )
    found = []
    for page in pages:
        entries = page.get("Versions", []) + page.get("DeleteMarkers", [])
        assert len(entries) <= 5
        found += [(one["Key"], one["VersionId"]) for one in entries]
    assert sorted(found) == sorted(made)


def test_a_delete_hides_the_object_behind_a_marker(s3, place):
    version = s3.put_object(**place, Body=b"x")["VersionId"]
    deleted = s3.delete_object(**place)
    assert deleted["DeleteMarker"] is True
    with refused("NoSuchKey", 404) as caught:
        s3.get_object(**place)
    headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-delete-marker"] == "true"
    assert headers["x-amz-version-id"] == deleted["VersionId"]
    assert s3.list_objects_v2(Bucket=place["Bucket"])["KeyCount"] == 0
    assert listed(s3, place["Bucket"]) == (
        [("k", version, False)],
        [("k", deleted["VersionId"], True)],
    )
    assert s3.get_object(**place, VersionId=version)["Body"].read() == b"x"


def test_every_delete_makes_a_marker(s3, place):
    markers = {s3.delete_object(**place)["VersionId"] for _ in range(3)}
    assert len(markers) == 3
    assert {version for _, version, _ in listed(s3, place["Bucket"])[1]} == markers


def test_removing_the_marker_brings_the_object_back(s3, place):
    s3.put_object(**place, Body=b"x")
    marker = s3.delete_object(**place)["VersionId"]
    removed = s3.delete_object(**place, VersionId=marker)
    assert (removed["DeleteMarker"], removed["VersionId"]) == (True, marker)
    assert s3.get_object(**place)["Body"].read() == b"x"


def test_a_marker_cannot_be_read(s3, place):
    marker = s3.delete_object(**place)["VersionId"]
    with refused("MethodNotAllowed", 405):
        s3.get_object(**place, VersionId=marker)
    with refused("405", 405):
        s3.head_object(**place, VersionId=marker)


def test_deleting_a_version_is_for_good_and_uncovers_the_one_before(s3, place):
    first = s3.put_object(**place, Body=b"first")["VersionId"]
    second = s3.put_object(**place, Body=b"second")["VersionId"]
    s3.delete_object(**place, VersionId=second)
    assert s3.get_object(**place)["Body"].read() == b"first"
    with refused("NoSuchVersion", 404):
        s3.get_object(**place, VersionId=second)
    s3.delete_object(**place, VersionId=first)
    assert listed(s3, place["Bucket"]) == ([], [])


def test_a_version_that_never_was_is_named(s3, place):
    version = s3.put_object(**place, Body=b"x")["VersionId"]
    s3.delete_object(**place, VersionId=version)
    with refused("NoSuchVersion", 404):
        s3.get_object(**place, VersionId=version)
    with refused("InvalidArgument", 400):
        s3.get_object(**place, VersionId="not a version")


def test_what_was_put_before_versioning_is_the_null_version(s3, bucket):
    place = {"Bucket": bucket, "Key": "k"}
    assert "VersionId" not in s3.put_object(**place, Body=b"old")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    new = s3.put_object(**place, Body=b"new")["VersionId"]
    assert listed(s3, bucket)[0] == [("k", new, True), ("k", "null", False)]
    assert s3.get_object(**place, VersionId="null")["Body"].read() == b"old"


def test_while_suspended_a_put_replaces_only_the_null_version(s3, place):
    kept = s3.put_object(**place, Body=b"kept")["VersionId"]
    suspend(s3, place["Bucket"])
    s3.put_object(**place, Body=b"first")
    s3.put_object(**place, Body=b"second")
    assert listed(s3, place["Bucket"])[0] == [("k", "null", True), ("k", kept, False)]
    assert s3.get_object(**place)["Body"].read() == b"second"
    assert s3.get_object(**place, VersionId=kept)["Body"].read() == b"kept"


def test_while_suspended_a_delete_replaces_only_the_null_version(s3, place):
    kept = s3.put_object(**place, Body=b"kept")["VersionId"]
    suspend(s3, place["Bucket"])
    s3.put_object(**place, Body=b"null")
    assert s3.delete_object(**place)["VersionId"] == "null"
    assert listed(s3, place["Bucket"]) == ([("k", kept, False)], [("k", "null", True)])


def test_a_copy_can_name_the_version_it_takes(s3, place):
    first = s3.put_object(**place, Body=b"first")["VersionId"]
    s3.put_object(**place, Body=b"second")
    copied = s3.copy_object(
        Bucket=place["Bucket"], Key="copy", CopySource={**place, "VersionId": first}
    )
    assert copied["CopySourceVersionId"] == first
    assert s3.get_object(Bucket=place["Bucket"], Key="copy")["Body"].read() == b"first"


def test_a_batch_deletes_versions_and_makes_markers(s3, place):
    first = s3.put_object(**place, Body=b"first")["VersionId"]
    second = s3.put_object(**place, Body=b"second")["VersionId"]
    done = s3.delete_objects(
        Bucket=place["Bucket"],
        Delete={"Objects": [{"Key": "k", "VersionId": first}, {"Key": "k"}]},
    )
    gone, hidden = sorted(done["Deleted"], key=lambda entry: "VersionId" not in entry)
    assert gone == {"Key": "k", "VersionId": first}
    assert hidden["DeleteMarker"] is True
    assert listed(s3, place["Bucket"]) == (
        [("k", second, False)],
        [("k", hidden["DeleteMarkerVersionId"], True)],
    )


def test_a_bucket_with_only_old_versions_is_not_empty(s3, place):
    version = s3.put_object(**place, Body=b"x")["VersionId"]
    marker = s3.delete_object(**place)["VersionId"]
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=place["Bucket"])
    for one in (version, marker):
        s3.delete_object(**place, VersionId=one)
    s3.delete_bucket(Bucket=place["Bucket"])

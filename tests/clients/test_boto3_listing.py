"""Listings and their paginators, with boto3 at its defaults."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from refusal import refused


@pytest.fixture
def fill(s3, bucket):
    def put(*keys):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b"x"), keys))
        return bucket

    return put


def keys(answer):
    return [entry["Key"] for entry in answer.get("Contents", [])]


def prefixes(answer):
    return [entry["Prefix"] for entry in answer.get("CommonPrefixes", [])]


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
def test_pages_join_without_gap_or_overlap(s3, fill, operation):
    wanted = [f"{number:03}" for number in range(25)]
    bucket = fill(*wanted)
    pages = list(
        s3.get_paginator(operation).paginate(Bucket=bucket, PaginationConfig={"PageSize": 7})
    )
    assert [len(keys(page)) for page in pages] == [7, 7, 7, 4]
    assert [page["IsTruncated"] for page in pages] == [True, True, True, False]
    assert [key for page in pages for key in keys(page)] == wanted


def test_a_page_holds_1000_keys_unless_asked_otherwise(s3, fill):
    wanted = [f"{number:04}" for number in range(1005)]
    bucket = fill(*wanted)
    page = s3.list_objects_v2(Bucket=bucket)
    assert (keys(page), page["KeyCount"], page["MaxKeys"]) == (wanted[:1000], 1000, 1000)
    assert page["IsTruncated"]
    rest = s3.list_objects_v2(Bucket=bucket, ContinuationToken=page["NextContinuationToken"])
    assert (keys(rest), rest["IsTruncated"]) == (wanted[1000:], False)
    assert keys(s3.list_objects_v2(Bucket=bucket, MaxKeys=5000)) == wanted[:1000]


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
def test_a_delimiter_folds_names_into_prefixes_that_count_in_a_page(s3, fill, operation):
    bucket = fill("a/1", "a/2", "b", "c/1", "c/d/2", "e")
    pages = list(
        s3.get_paginator(operation).paginate(
            Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2}
        )
    )
    assert [(prefixes(page), keys(page)) for page in pages] == [
        (["a/"], ["b"]),
        (["c/"], ["e"]),
    ]


def test_a_prefix_and_a_delimiter_list_one_level(s3, fill):
    bucket = fill("a/1", "a/b/2", "a/b/3", "a/c/4", "ab")
    page = s3.list_objects_v2(Bucket=bucket, Prefix="a/", Delimiter="/")
    assert (keys(page), prefixes(page)) == (["a/1"], ["a/b/", "a/c/"])
    assert (page["Prefix"], page["Delimiter"], page["KeyCount"]) == ("a/", "/", 3)


def test_a_delimiter_may_be_longer_than_one_character(s3, fill):
    bucket = fill("a--b--1", "a--c", "a-d", "e")
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="--")
    assert (keys(page), prefixes(page)) == (["a-d", "e"], ["a--"])


def test_a_listing_starts_after_a_name_that_need_not_exist(s3, fill):
    bucket = fill("a", "b", "c")
    assert keys(s3.list_objects_v2(Bucket=bucket, StartAfter="a")) == ["b", "c"]
    assert keys(s3.list_objects_v2(Bucket=bucket, StartAfter="aa")) == ["b", "c"]
    assert keys(s3.list_objects(Bucket=bucket, Marker="b")) == ["c"]
    assert keys(s3.list_objects_v2(Bucket=bucket, StartAfter="z")) == []


def test_a_listing_of_no_keys_is_empty_and_whole(s3, fill):
    page = s3.list_objects_v2(Bucket=fill("a"), MaxKeys=0)
    assert (keys(page), page["KeyCount"], page["IsTruncated"]) == ([], 0, False)


def test_names_are_ordered_by_their_bytes(s3, fill):
    # UTF-16, and with it many a runtime's own order, puts the emoji before the full-width tilde.
    bucket = fill("\uff5e", "\U0001f600", "Z", "a", "a/", "a0", "\u00e9")
    assert keys(s3.list_objects_v2(Bucket=bucket)) == [
        "Z",
        "a",
        "a/",
        "a0",
        "\u00e9",
        "\uff5e",
        "\U0001f600",
    ]


def test_a_listing_tells_size_etag_class_and_on_request_the_owner(s3, fill):
    bucket = fill("a")
    head = s3.head_object(Bucket=bucket, Key="a")
    [entry] = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert (entry["Size"], entry["ETag"], entry["StorageClass"]) == (1, head["ETag"], "STANDARD")
    assert entry["LastModified"].replace(microsecond=0) == head["LastModified"]
    assert entry["ChecksumAlgorithm"] == ["CRC32"]
    assert "Owner" not in entry
    [owned] = s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"]
    assert len(owned["Owner"]["ID"]) == 64
    assert s3.list_objects(Bucket=bucket)["Contents"][0]["Owner"] == owned["Owner"]


def test_a_continuation_token_that_is_none_is_refused(s3, fill):
    with refused("InvalidArgument", 400):
        s3.list_objects_v2(Bucket=fill("a"), ContinuationToken="not a token")


def test_what_is_put_or_deleted_shows_at_once(s3, fill):
    bucket = fill("a")
    for number in range(20):
        s3.put_object(Bucket=bucket, Key="b", Body=b"x")
        assert keys(s3.list_objects_v2(Bucket=bucket)) == ["a", "b"], number
        s3.delete_object(Bucket=bucket, Key="b")
        assert keys(s3.list_objects_v2(Bucket=bucket)) == ["a"], number

"""Names that are hard to carry through a URL, a listing and a file system, with boto3."""

import pytest

from refusal import refused

KEYS = [
    "plain",
    "with space",
    " edges ",
    "plus+sign",
    "percent%41",
    "percent%2Fslash",
    "%",
    "a//b",
    "//leading",
    "/rooted",
    "trailing/",
    ".",
    "..",
    "a/../b",
    "a/./b",
    "../../etc/passwd",
    "question?query=1&more=2",
    "hash#fragment",
    "semicolon;comma,equals=",
    "colon:at@dollar$",
    "quote'double\"",
    "less<greater>amp&",
    "back\\slash",
    "star*bang!paren()",
    "brace{pipe|}caret^tilde~`",
    "umlaut-\u00fc-and-u\u0308",
    "\u65e5\u672c\u8a9e/\u30ad\u30fc",
    "emoji-\U0001f600",
    "tab\tinside",
    "line\nbreak",
    "k" * 1024,
    "\u65e5" * 341 + "k",
]


def short(key):
    return key if len(key) < 40 else f"{len(key.encode())}-bytes"


@pytest.mark.parametrize("key", KEYS, ids=short)
def test_a_name_is_kept_as_it_is(s3, bucket, key):
    body = key.encode()
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body
    assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(body)
    for listing in (s3.list_objects_v2, s3.list_objects):
        assert [entry["Key"] for entry in listing(Bucket=bucket)["Contents"]] == [key]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == body
    s3.delete_object(Bucket=bucket, Key=key)
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["copy"]


def test_all_names_live_side_by_side_in_the_order_of_their_bytes(s3, bucket):
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 5}
    )
    listed = [entry["Key"] for page in pages for entry in page["Contents"]]
    assert listed == sorted(KEYS, key=str.encode)
    for key in KEYS:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()


def test_names_are_deleted_in_a_batch(s3, bucket):
    # XML 1.0 turns a line break in text into a space or refuses it; AWS asks for single deletes.
    keys = [key for key in KEYS if not set(key) & {"\n", "\t"}]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    done = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    assert sorted(entry["Key"] for entry in done["Deleted"]) == sorted(keys)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("key", ["k" * 1025, "\u65e5" * 342], ids=["ascii", "unicode"])
def test_a_name_of_more_than_1024_bytes_is_refused(s3, bucket, key):
    with refused("KeyTooLongError", 400):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")

"""Object tags, with boto3 at its defaults."""

import pytest

from refusal import refused


def pairs(answer):
    return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}


def tag_set(tags):
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


def test_tags_are_kept_replaced_and_removed(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert pairs(s3.get_object_tagging(Bucket=bucket, Key="k")) == {}
    for tags in ({"a": "1", "b": ""}, {"name with space": "v+1=2/3:4@5"}):
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=tag_set(tags))
        assert pairs(s3.get_object_tagging(Bucket=bucket, Key="k")) == tags
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert pairs(s3.get_object_tagging(Bucket=bucket, Key="k")) == {}


def test_tags_come_with_the_put_and_are_counted_on_the_read(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1&b=two%20words&c=")
    assert pairs(s3.get_object_tagging(Bucket=bucket, Key="k")) == {
        "a": "1",
        "b": "two words",
        "c": "",
    }
    assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 3


def test_a_copy_keeps_or_replaces_tags_as_asked(s3, bucket):
    source = {"Bucket": bucket, "Key": "from"}
    s3.put_object(Bucket=bucket, Key="from", Body=b"x", Tagging="a=1")
    s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)
    assert pairs(s3.get_object_tagging(Bucket=bucket, Key="kept")) == {"a": "1"}
    s3.copy_object(
        Bucket=bucket, Key="new", CopySource=source, TaggingDirective="REPLACE", Tagging="b=2"
    )
    assert pairs(s3.get_object_tagging(Bucket=bucket, Key="new")) == {"b": "2"}


@pytest.mark.parametrize(
    "tags",
    [
        {str(number): "v" for number in range(11)},
        {"k" * 129: "v"},
        {"k": "v" * 257},
        {"aws:reserved": "v"},
    ],
    ids=["eleven", "long-key", "long-value", "reserved"],
)
def test_tags_beyond_the_limits_are_refused(s3, bucket, tags):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with refused("InvalidTag", 400):
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=tag_set(tags))
    assert pairs(s3.get_object_tagging(Bucket=bucket, Key="k")) == {}


def test_tags_belong_to_a_version(s3, versioned_bucket):
    first = s3.put_object(Bucket=versioned_bucket, Key="k", Body=b"1", Tagging="v=1")["VersionId"]
    s3.put_object(Bucket=versioned_bucket, Key="k", Body=b"2", Tagging="v=2")
    assert pairs(s3.get_object_tagging(Bucket=versioned_bucket, Key="k")) == {"v": "2"}
    old = s3.get_object_tagging(Bucket=versioned_bucket, Key="k", VersionId=first)
    assert (pairs(old), old["VersionId"]) == ({"v": "1"}, first)

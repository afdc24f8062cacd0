"""Presigned URLs made by boto3, used by a plain HTTP client."""

import time

import boto3
import pytest
from botocore.config import Config

from plain_http import send


def signer(signature_version):
    client = boto3.client("s3", config=Config(signature_version=signature_version))

    def sign(operation, seconds=60, **arguments):
        return client.generate_presigned_url(operation, Params=arguments, ExpiresIn=seconds)

    return sign


@pytest.fixture(params=["default", "s3v4"])
def presign(request):
    """Makes URLs as boto3 does unasked, in old regions by signature version 2, and by version 4."""
    return signer(None if request.param == "default" else request.param)


@pytest.fixture
def presign_v2():
    return signer("s3")


@pytest.fixture
def presign_v4():
    return signer("s3v4")


@pytest.mark.parametrize("key", ["k", "dir/with space+plus%percent", "\u65e5\u672c"])
def test_a_url_gives_whoever_holds_it_the_object(s3, bucket, presign, key):
    s3.put_object(Bucket=bucket, Key=key, Body=b"body", ContentType="text/plain")
    status, headers, body = send("GET", presign("get_object", Bucket=bucket, Key=key))
    assert (status, headers["content-type"], body) == (200, "text/plain", b"body")
    status, _, body = send("HEAD", presign("head_object", Bucket=bucket, Key=key))
    assert (status, body) == (200, b"")


def test_a_url_takes_an_object(s3, bucket, presign):
    status, headers, _ = send("PUT", presign("put_object", Bucket=bucket, Key="k"), b"body")
    assert status == 200
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["ETag"]) == (b"body", headers["etag"])


def test_a_url_deletes_an_object(s3, bucket, presign):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert send("DELETE", presign("delete_object", Bucket=bucket, Key="k"))[0] == 204
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_url_names_the_headers_of_its_answer(s3, bucket, presign):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    url = presign(
        "get_object", Bucket=bucket, Key="k", ResponseContentDisposition='attachment; filename="n"'
    )
    status, headers, _ = send("GET", url)
    assert (status, headers["content-disposition"]) == (200, 'attachment; filename="n"')


def test_a_url_reads_a_range(s3, bucket, presign):
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    url = presign("get_object", Bucket=bucket, Key="k")
    status, _, body = send("GET", url, headers={"Range": "bytes=2-4"})
    assert (status, body) == (206, b"234")


def test_a_url_serves_its_own_method_and_key_only(s3, bucket, presign):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_object(Bucket=bucket, Key="other", Body=b"x")
    url = presign("get_object", Bucket=bucket, Key="k")
    for method, changed in (
        ("GET", url.replace(f"{bucket}/k", f"{bucket}/other")),
        ("DELETE", url),
        ("PUT", url),
        ("GET", url[:-4] + ("AAAA" if url[-4:] != "AAAA" else "BBBB")),
    ):
        status, _, body = send(method, changed, b"" if method == "PUT" else None)
        assert status == 403, (method, changed)
        assert b"<Code>" in body
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_a_url_that_has_expired_is_refused(s3, bucket, presign):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    url = presign("get_object", Bucket=bucket, Key="k", seconds=1)
    time.sleep(2.1)
    status, _, body = send("GET", url)
    assert status == 403
    assert b"<Code>AccessDenied</Code>" in body


def test_a_url_for_more_than_a_week_is_refused(s3, bucket, presign_v4):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    status, _, body = send(
        "GET", presign_v4("get_object", Bucket=bucket, Key="k", seconds=10 * 365 * 86400)
    )
    assert status == 400
    assert b"<Code>AuthorizationQueryParametersError</Code>" in body


def test_a_url_of_version_2_lives_a_week_at_most_too(s3, bucket, presign_v2):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for seconds, expected in ((7 * 86400 - 60, 200), (8 * 86400, 403)):
        url = presign_v2("get_object", Bucket=bucket, Key="k", seconds=seconds)
        assert "AWSAccessKeyId=" in url
        assert send("GET", url)[0] == expected


def test_a_url_fixes_the_type_and_the_metadata(s3, bucket, presign_v2, presign_v4):
    fixed = {"Content-Type": "text/plain", "x-amz-meta-a": "b c"}
    for presign in (presign_v2, presign_v4):
        url = presign(
            "put_object", Bucket=bucket, Key="k", ContentType="text/plain", Metadata={"a": "b c"}
        )
        assert send("PUT", url, b"body", {**fixed, "Content-Type": "text/html"})[0] in (400, 403)
        assert send("PUT", url, b"body", fixed)[0] == 200
        head = s3.head_object(Bucket=bucket, Key="k")
        assert (head["ContentType"], head["Metadata"]) == ("text/plain", {"a": "b c"})


def test_a_url_of_version_2_covers_its_query(s3, bucket, presign_v2):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    url = presign_v2("get_object", Bucket=bucket, Key="k")
    for added in ("tagging", "attributes", "versionId=null", "response-content-type=text/html"):
        assert send("GET", f"{url}&{added}")[0] == 403, added


def test_a_url_of_version_2_sends_a_part(s3, bucket, presign_v2):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = {"Bucket": bucket, "Key": "k", "UploadId": upload, "PartNumber": 1}
    status, headers, _ = send("PUT", presign_v2("upload_part", **part), b"the part")
    assert status == 200
    parts = [{"PartNumber": 1, "ETag": headers["etag"]}]
    s3.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"the part"


def test_a_header_that_was_not_signed_turns_no_put_into_a_copy(s3, bucket, presign_v4):
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    url = presign_v4("put_object", Bucket=bucket, Key="k")
    status, _, body = send("PUT", url, b"", {"x-amz-copy-source": f"{bucket}/secret"})
    assert status == 403
    assert b"<Code>AccessDenied</Code>" in body
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["secret"]


def test_no_header_can_be_added_to_a_url_of_version_2(s3, bucket, presign_v2):
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    url = presign_v2("put_object", Bucket=bucket, Key="k")
    status, _, body = send("PUT", url, b"", {"x-amz-copy-source": f"{bucket}/secret"})
    assert status == 403
    assert b"<Code>SignatureDoesNotMatch</Code>" in body
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["secret"]

"""A client that knows nothing of S3, for presigned URLs: it sends what it is given and no more."""

from http.client import HTTPConnection
from urllib.parse import urlsplit


def send(method, url, body=None, headers=None):
    """Status, headers and body of the answer."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()

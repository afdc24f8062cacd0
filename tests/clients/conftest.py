"""What the suites share: the store under test, as the AWS_* variables name it, and fresh buckets.

Buckets are not removed: the store is thrown away with its data directory, after a check of it.
"""

import os
import subprocess
import uuid
from dataclasses import dataclass

import boto3
import pytest


@dataclass(frozen=True)
class Store:
    """Where the store is and who asks."""

    endpoint: str
    access_key: str
    secret_key: str

    @property
    def host(self):
        """Host and port, as clients that want no URL take it."""
        return self.endpoint.split("://", 1)[1]


@dataclass(frozen=True)
class Tree:
    """A small directory of files for clients that copy directories."""

    path: object
    files: dict

    def read(self, directory):
        """The files below `directory`, by relative path."""
        return {
            str(path.relative_to(directory)): path.read_bytes()
            for path in directory.rglob("*")
            if path.is_file()
        }


@pytest.fixture(scope="session")
def store():
    return Store(
        endpoint=os.environ["AWS_ENDPOINT_URL"],
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    )


@pytest.fixture(scope="session")
def _counted_client():
    """boto3 hides a failure behind a retry; a retry is a failure here."""
    retries = []
    client = boto3.client("s3")

    def note(parsed, model, **_):
        attempts = parsed["ResponseMetadata"].get("RetryAttempts", 0)
        if attempts:
            retries.append(f"{model.name}: {attempts} retries")

    client.meta.events.register("after-call.s3", note)
    return client, retries


@pytest.fixture
def s3(_counted_client):
    """boto3's client, as `boto3.client("s3")` gives it."""
    client, retries = _counted_client
    retries.clear()
    yield client
    assert not retries


@pytest.fixture
def new_bucket(s3):
    """Makes buckets; takes what `create_bucket` takes."""

    def create(**arguments):
        name = f"clients-{uuid.uuid4().hex[:16]}"
        s3.create_bucket(Bucket=name, **arguments)
        return name

    return create


@pytest.fixture
def bucket(new_bucket):
    return new_bucket()


@pytest.fixture
def versioned_bucket(s3, new_bucket):
    name = new_bucket()
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture
def locked_bucket(new_bucket):
    """A bucket made with object lock, without a default retention."""
    return new_bucket(ObjectLockEnabledForBucket=True)


@pytest.fixture
def tree(tmp_path):
    """Files with the names that break clients, empty and larger than one piece."""
    files = {
        "a.txt": b"first\n",
        "empty": b"",
        "with space.txt": b"space\n",
        "plus+and%percent.txt": b"reserved\n",
        "un\u00efcode-\u65e5\u672c.txt": "\u65e5\u672c".encode(),
        "deep/er/nested.bin": bytes(range(256)) * 1024,
        "deep/sibling": b"sibling",
    }
    path = tmp_path / "tree"
    for name, body in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(body)
        # Listings may tell whole seconds: a file of this second would look newer than its copy.
        os.utime(path / name, (1_700_000_000.25, 1_700_000_000.25))
    return Tree(path, files)


@pytest.fixture
def large_file(tmp_path):
    """20 MiB that repeat nowhere: enough for every client to send parts."""
    path = tmp_path / "large.bin"
    path.write_bytes(os.urandom(20 << 20))
    return path


@pytest.fixture
def command(tmp_path):
    """Runs a client's command; returns what it printed, fails with what it complained of."""

    def run(*words, stdin=b"", expect=0, environment=None):
        done = subprocess.run(
            [str(word) for word in words],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
            timeout=120,
            check=False,
        )
        printed = done.stdout.decode(errors="replace")
        complaint = done.stderr.decode(errors="replace")
        assert done.returncode == expect, f"{words}: {done.returncode}\n{printed}\n{complaint}"
        return printed

    return run


@pytest.fixture(scope="session")
def boto3_vectors():
    """boto3's client of S3 Vectors."""
    return boto3.client("s3vectors")

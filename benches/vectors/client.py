"""The least that can ask the service: requests signed and written beforehand, one kept-alive connection each."""

import json
import socket

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import orjson

REGION, SERVICE = "us-east-1", "s3vectors"
BUCKET = "measured"


class Answer:
    def __init__(self, status: int, body: bytes):
        self.status, self.body = status, body

    def json(self) -> dict:
        if self.status != 200:
            raise RuntimeError(f"{self.status}: {self.body[:500]!r}")
        return orjson.loads(self.body)


class Wire:
    """One connection."""

    def __init__(self, port: int, access_key: str, secret_key: str):
        self.host = f"127.0.0.1:{port}"
        credentials = botocore.credentials.Credentials(access_key, secret_key)
        self.signer = botocore.auth.SigV4Auth(credentials, SERVICE, REGION)
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self, operation: str, body: bytes) -> bytes:
        """The bytes of a signed request; good for fifteen minutes."""
        url = f"http://{self.host}/{operation}"
        asked = botocore.awsrequest.AWSRequest("POST", url, {"Content-Type": "application/json"}, body)
        self.signer.add_auth(asked)
        asked.headers["Host"] = self.host
        asked.headers["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in asked.headers.items())
        return f"POST /{operation} HTTP/1.1\r\n{head}\r\n".encode() + body

    def send(self, request: bytes) -> Answer:
        self.socket.sendall(request)
        return self.receive()

    def receive(self) -> Answer:
        received = self.socket.recv(1 << 18)
        while (end := received.find(b"\r\n\r\n")) < 0:
            more = self.socket.recv(1 << 18)
            if not more:
                raise ConnectionError(f"the server closed: {received!r}")
            received += more
        head = received[:end].lower()
        at = head.find(b"content-length:")
        if at < 0:
            raise ConnectionError(f"an answer without its length: {head!r}")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        body = received[end + 4 :]
        while len(body) < length:
            more = self.socket.recv(1 << 20)
            if not more:
                raise ConnectionError("the server closed within an answer")
            body += more
        return Answer(int(head[9:12]), body)

    def call(self, operation: str, **members) -> dict:
        return self.send(self.request(operation, json.dumps(members).encode())).json()


def put_body(index: str, first: int, vectors, attributes: dict) -> bytes:
    """Of a PutVectors of rows that follow one another."""
    said = [(name, values.tolist()) for name, values in attributes.items()]
    rows = [
        {"key": f"r{first + n}", "data": {"float32": vector}, "metadata": {name: values[n] for name, values in said}}
        for n, vector in enumerate(vectors)
    ]
    body = {"vectorBucketName": BUCKET, "indexName": index, "vectors": rows}
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def query_body(index: str, vector, k: int, wanted=None, explain=False) -> bytes:
    body = {"vectorBucketName": BUCKET, "indexName": index, "topK": k, "queryVector": {"float32": vector}}
    if wanted is not None:
        body["filter"] = {wanted[0]: wanted[1]}
    if explain:
        body["explain"] = True
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def ids_of(answer: dict) -> list:
    return [int(hit["key"][1:]) for hit in answer["vectors"]]

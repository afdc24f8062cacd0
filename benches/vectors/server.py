"""A Lodestore process: started on a free port, asked for its figures, killed and started again."""

import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import boto3
import botocore.config

from client import BUCKET, REGION, Wire
from measure import process_cpu_s, resident_bytes

ACCESS_KEY, SECRET_KEY = "vectorbench", "only-for-this-measurement-0123456789"
READY_S_MAX = 300
DURABILITY = "sync"
# An index that nobody writes to for 20 s is made one segment with a graph.
SETTLE_QUIET_S = 25.0


class Server:
    def __init__(self, binary: Path, directory: Path):
        self.binary, self.directory = binary, directory
        self.process = None

    def start(self) -> float:
        """Answers the seconds until it was ready."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        keys = {"LODESTORE_ROOT_ACCESS_KEY": ACCESS_KEY, "LODESTORE_ROOT_SECRET_KEY": SECRET_KEY}
        said = [f"--listen=127.0.0.1:{self.port}", f"--data={self.directory}", f"--durability={DURABILITY}"]
        log = open(f"{self.directory}.log", "ab")
        began = time.perf_counter()
        command = [self.binary, "serve", *said]
        self.process = subprocess.Popen(command, env=os.environ | keys, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        while time.perf_counter() - began < READY_S_MAX:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with status {self.process.returncode}, see {self.directory}.log")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5).read()
                return time.perf_counter() - began
            except OSError:
                time.sleep(0.005)
        raise RuntimeError("the server is not ready")

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(120)
            self.process = None

    @property
    def pid(self) -> int:
        return self.process.pid

    def cpu_s(self) -> float:
        return process_cpu_s(self.pid)

    def resident_bytes(self) -> int:
        return resident_bytes(self.pid)

    def figures(self) -> dict:
        page = urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_/metrics", timeout=30).read().decode()
        return {name: float(value) for name, value in re.findall(r"^(lodestore_\S+) (\S+)$", page, re.M)}

    def wait_until_open(self, rows: int):
        """Waits until as many rows are in open indexes."""
        began = time.perf_counter()
        while self.figures()["lodestore_vector_rows"] < rows:
            if time.perf_counter() - began > READY_S_MAX:
                raise RuntimeError("the indexes are not opened")
            time.sleep(0.01)

    def wire(self) -> Wire:
        return Wire(self.port, ACCESS_KEY, SECRET_KEY)

    def boto3(self):
        return boto3.client(
            "s3vectors",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=botocore.config.Config(retries={"max_attempts": 1, "mode": "standard"}),
        )

    def create_index(self, name: str, dimension: int, metric: str):
        wire = self.wire()
        made = wire.send(wire.request("CreateVectorBucket", b'{"vectorBucketName":"%s"}' % BUCKET.encode()))
        if made.status not in (200, 409):
            made.json()
        where = {"vectorBucketName": BUCKET, "indexName": name}
        wire.call("CreateIndex", **where, dataType="float32", dimension=dimension, distanceMetric=metric)

    def settle(self, quiet_s: float = SETTLE_QUIET_S, seconds_max: float = 7200) -> float:
        """Waits until nothing is sealed or compacted any more: the process uses next to no processor. Answers the
        seconds until then."""
        began = time.perf_counter()
        calm_since, cpu, at = None, self.cpu_s(), time.perf_counter()
        while time.perf_counter() - began < seconds_max:
            time.sleep(0.5)
            now, used = time.perf_counter(), self.cpu_s()
            busy, cpu, at = (used - cpu) / (now - at), used, now
            if busy > 0.05:
                calm_since = None
            elif calm_since is None:
                calm_since = now
            elif now - calm_since >= quiet_s:
                return max(0.0, calm_since - began)
        raise RuntimeError("the server does not come to rest")

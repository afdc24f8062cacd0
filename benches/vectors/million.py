"""A large index of Lodestore alone: ingest with queries beside it, queries while it is sealed and compacted and when
it has come to rest, recall, memory, and the first query after a start with nothing in memory."""

import shutil
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

import lodestore
from client import ids_of, query_body
from ingest import WRITERS, ingest
from measure import K, Queries, Results, percentiles_us
from server import SETTLE_QUIET_S, Server
from sets import Bent, Set, nearest

NAME, SEED = "bent768", 99
BLOCK_ROWS = 20_000
QUERIES = 200
# Seconds between queries beside other work: enough of them for a p99, too few to be a load of their own.
PACE_S = 0.05
IDLE_S = 30


def block(bent: Bent, number: int, rows: int):
    """A block's first row, vectors and attributes; the same each time it is made."""
    first = number * BLOCK_ROWS
    count = min(BLOCK_ROWS, rows - first)
    rng = np.random.default_rng([SEED, number])
    vectors, cluster = bent.draw(rng, count)
    said = {"tenth": 10, "hundredth": 100, "thousandth": 1000, "tenthousandth": 10_000}
    attributes = {name: rng.integers(0, values, count) for name, values in said.items()}
    return first, vectors, attributes | {"group": cluster}


def exact_answers(bent: Bent, rows: int, queries: np.ndarray) -> np.ndarray:
    best = np.full((len(queries), K), -1, np.int64)
    scores = np.full((len(queries), K), -np.inf, np.float32)
    for number in range(-(-rows // BLOCK_ROWS)):
        first, vectors, _ = block(bent, number, rows)
        found = nearest(vectors, queries, K)
        likeness = np.einsum("qkd,qd->qk", vectors[found], queries)
        all_scores, all_ids = np.hstack([scores, likeness]), np.hstack([best, found + first])
        order = np.argsort(-all_scores, axis=1, kind="stable")[:, :K]
        scores, best = np.take_along_axis(all_scores, order, 1), np.take_along_axis(all_ids, order, 1)
    return best


class Beside:
    """Queries at a steady pace while something else goes on."""

    def __init__(self, server: Server, queries: np.ndarray):
        self.wire, self.queries, self.seconds, self.states = server.wire(), queries, [], []
        self.server = server

    def run(self, running):
        self.seconds, began, looked = [], time.perf_counter(), 0.0
        while running():
            number = len(self.seconds) % len(self.queries)
            request = self.wire.request("QueryVectors", query_body(NAME, self.queries[number], K))
            at = time.perf_counter()
            self.wire.send(request).json()
            self.seconds.append(time.perf_counter() - at)
            time.sleep(max(0.0, PACE_S - (time.perf_counter() - at)))
            if time.perf_counter() - looked > 60:
                looked = time.perf_counter()
                figures = self.server.figures()
                said = {n: int(figures[f"lodestore_vector_{n}"]) for n in ("rows", "growing_rows", "sealed_segments", "graph_segments")}
                print(f"{looked - began:.0f} s", said, "p50, p99 (us)", percentiles_us(self.seconds), flush=True)

    def row(self) -> dict:
        return {"queries": len(self.seconds), **percentiles_us(self.seconds)} if self.seconds else {"queries": 0}


def until_calm(server: Server, quiet_s: float = SETTLE_QUIET_S):
    """Tells whether there is background work: more processor than paced queries take."""
    state = {"cpu": server.cpu_s(), "at": time.perf_counter(), "calm": None}

    def running() -> bool:
        now = time.perf_counter()
        if now - state["at"] >= 2:
            used = server.cpu_s()
            busy = (used - state["cpu"]) / (now - state["at"])
            state.update(cpu=used, at=now)
            if busy > 0.4:
                state["calm"] = None
            elif state["calm"] is None:
                state["calm"] = now
        return state["calm"] is None or now - state["calm"] < quiet_s

    return running


def measure(binary: Path, rows: int, out: Path, results: Results):
    bent = Bent(SEED)
    queries, _ = bent.draw(np.random.default_rng([SEED, 1 << 30]), QUERIES)
    truth = exact_answers(bent, rows, queries)
    directory = out / "million.store"
    shutil.rmtree(directory, ignore_errors=True)
    server = Server(binary, directory)
    server.start()
    where = {"engine": lodestore.ENGINE, "set": NAME, "rows": rows}
    try:
        resident = server.resident_bytes()
        server.create_index(NAME, Bent.DIMENSION, "cosine")
        beside = Beside(server, queries)
        blocks = range(-(-rows // BLOCK_ROWS))
        parts_of = lambda writer: (block(bent, number, rows) for number in blocks[writer::WRITERS])
        ingested = ingest(server, NAME, rows, parts_of, beside.run)
        rate = rows / ingested.wall_s
        results.note(kind="ingest", **where | asdict(ingested), rows_per_s=rate, beside=beside.row())
        cpu, began = server.cpu_s(), time.perf_counter()
        beside.run(until_calm(server))
        said = {"wall_s": time.perf_counter() - began, "cpu_s": server.cpu_s() - cpu}
        results.note(kind="settling", **where, **said, beside=beside.row())
        end = time.perf_counter() + IDLE_S
        beside.run(lambda: time.perf_counter() < end)
        results.note(kind="idle", **where, beside=beside.row())
        names = ("rows", "growing_rows", "sealed_segments", "graph_segments", "memory_bytes", "device_bytes")
        figures = server.figures()
        segments = {name: int(figures[f"lodestore_vector_{name}"]) for name in names}
        grown, told = (server.resident_bytes() - resident) / rows, segments["memory_bytes"] / rows
        results.note(kind="chosen", **where | segments, effort="default", bytes_a_row=grown, told_bytes_a_row=told)
        data = Set(NAME, "cosine", np.empty((rows, 0), np.float32), queries, {}, [], truth)
        warming, _ = bent.draw(np.random.default_rng([SEED, 1 << 31]), lodestore.WARM_ROWS)
        lodestore.search(server, data, results, warming)
        narrow(server, where, bent, rows, queries, results)
        lodestore.cold(server, data, results)
    finally:
        server.stop()


def narrow(server: Server, where: dict, bent: Bent, rows: int, queries: np.ndarray, results: Results):
    """Filters of each width, against the exact answers among what matches."""
    wire = server.wire()
    for name, value in (("tenth", 3), ("hundredth", 7), ("thousandth", 42), ("tenthousandth", 4242), ("group", 7)):
        matching = []
        for number in range(-(-rows // BLOCK_ROWS)):
            first, vectors, attributes = block(bent, number, rows)
            of = np.nonzero(attributes[name] == value)[0]
            matching.append((of + first, vectors[of]))
        ids, vectors = np.concatenate([i for i, _ in matching]), np.concatenate([v for _, v in matching])
        if len(ids) == 0:
            continue
        asked = queries[:100]
        found = nearest(vectors, asked, K)
        truth = np.where(found >= 0, ids[found], -1)
        requests = [wire.request("QueryVectors", query_body(NAME, q, K, (name, value))) for q in asked]
        run = Queries(lambda n: ids_of(wire.send(requests[n]).json()), len(asked), server.cpu_s)
        told = [wire.send(wire.request("QueryVectors", query_body(NAME, q, K, (name, value), True))).json() for q in asked[:20]]
        named = {f"told_{n}": v for n, v in lodestore.summary([one["explain"] for one in told]).items()}
        results.note(kind="filter", filter=name, k=K, matches=len(ids), **where, **run.row(truth), **named)

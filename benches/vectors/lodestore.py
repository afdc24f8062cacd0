"""Lodestore with a set in it, measured in three ways: what the server says of itself, over the wire by the least
client, and by unmodified boto3."""

import shutil
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from client import BUCKET, Wire, ids_of, query_body
from ingest import WRITERS, ingest
from measure import K, Queries, Results, drop_page_cache, percentiles_us
from server import Server
from sets import TRUTH, Set

ENGINE = "Lodestore"
PART_ROWS = 5000
COLD_STARTS = 3
WARM = 30
# Rows of the set that are asked for before queries are timed with warm caches; never the queries themselves.
WARM_ROWS = 3000
READ_BYTES, PAGE_BYTES = "lodestore_device_read_bytes_total", 4096


def measure(binary: Path, data: Set, directory: Path, results: Results):
    shutil.rmtree(directory, ignore_errors=True)
    server = Server(binary, directory)
    server.start()
    try:
        fill(server, data, results)
        search(server, data, results)
        filtered(server, data, results)
        cold(server, data, results)
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def where(data: Set) -> dict:
    return {"engine": ENGINE, "set": data.name, "rows": len(data.base)}


def fill(server: Server, data: Set, results: Results):
    index, resident = data.name, server.resident_bytes()
    server.create_index(index, data.dimension, data.metric)
    starts = range(0, len(data.base), PART_ROWS)

    def parts_of(writer: int):
        for start in list(starts)[writer::WRITERS]:
            some = slice(start, start + PART_ROWS)
            said = {name: values[some] for name, values in data.attributes.items()}
            yield start, data.base[some], said

    began, cpu = time.perf_counter(), server.cpu_s()
    ingested = ingest(server, index, len(data.base), parts_of)
    settled_s = server.settle()
    said = {**asdict(ingested), "ingest_s": ingested.wall_s, "wall_s": ingested.wall_s + settled_s}
    results.note(kind="build", **where(data) | said, cpu_s=server.cpu_s() - cpu, settled_s=settled_s)
    figures = server.figures()
    names = ("rows", "growing_rows", "sealed_segments", "graph_segments", "memory_bytes", "device_bytes", "cache_bytes")
    segments = {name: int(figures[f"lodestore_vector_{name}"]) for name in names}
    grown = (server.resident_bytes() - resident) / len(data.base)
    told = segments["memory_bytes"] / len(data.base)
    results.note(kind="chosen", **where(data) | segments, effort="default", bytes_a_row=grown, told_bytes_a_row=told)


def search(server: Server, data: Set, results: Results, warming: np.ndarray | None = None):
    """With caches as ingest left them, then warm."""
    wire, count = server.wire(), len(data.queries)
    requests = [wire.request("QueryVectors", query_body(data.name, q, K)) for q in data.queries]
    timed(server, data, results, wire, requests, "wire, first")
    if warming is None:
        warming = data.base[np.random.default_rng(5).integers(0, len(data.base), WARM_ROWS)]
    for vector in warming:
        wire.send(wire.request("QueryVectors", query_body(data.name, vector, K))).json()
    timed(server, data, results, wire, requests, "wire")
    explained(server, data, results)
    client = server.boto3()
    ask = lambda n: client.query_vectors(
        vectorBucketName=BUCKET, indexName=data.name, topK=K, queryVector={"float32": vectors[n]}
    )
    vectors = [[float(x) for x in q] for q in data.queries]
    run = Queries(lambda n: ids_of(ask(n)), count, server.cpu_s)
    results.note(kind="query", how="boto3", **where(data), effort="default", **run.row(data.truth))


def timed(server: Server, data: Set, results: Results, wire: Wire, requests: list, how: str):
    read = server.figures()[READ_BYTES]
    run = Queries(lambda n: ids_of(wire.send(requests[n]).json()), len(requests), server.cpu_s, warm=WARM)
    pages = (server.figures()[READ_BYTES] - read) / PAGE_BYTES / (len(run.found) + min(WARM, len(requests)))
    results.note(kind="query", how=how, **where(data), effort="default", pages=pages, **run.row(data.truth))


def explained(server: Server, data: Set, results: Results):
    """Times by the server's own clock, and the work done."""
    wire, said = server.wire(), []
    requests = [wire.request("QueryVectors", query_body(data.name, q, K, explain=True)) for q in data.queries[:500]]
    for request in requests:
        said.append(wire.send(request).json()["explain"])
    results.note(kind="explain", **where(data), **summary(said[50:] or said))


def summary(said: list) -> dict:
    """Of explanations: the time of a query and of its phases, and what it read."""
    whole = [sum(phase["micros"] for phase in one["phases"]) / 1e6 for one in said]
    phases = {phase["phase"]: 0.0 for one in said for phase in one["phases"]}
    for one in said:
        for phase in one["phases"]:
            phases[phase["phase"]] += phase["micros"] / len(said)
    segments = lambda name, fold: float(np.mean([fold([s[name] for s in one["segments"]]) for one in said]))
    plans = sorted({s["plan"] for one in said for s in one["segments"]})
    return {
        **percentiles_us(whole),
        "phases_us": {name: round(us, 1) for name, us in phases.items()},
        "plans": plans,
        "segments": segments("rows", len),
        "measured": segments("measured", sum),
        "rounds": segments("rounds", sum),
        "rounds_deepest": segments("rounds", max),
    }


def filtered(server: Server, data: Set, results: Results):
    wire = server.wire()
    for each in data.filters:
        for k in (K, TRUTH):
            ask = lambda n, explain=False: query_body(
                data.name, data.queries[n], k, (each.attribute, int(each.wanted[n])), explain
            )
            requests = [wire.request("QueryVectors", ask(n)) for n in range(len(each.wanted))]
            run = Queries(lambda n: ids_of(wire.send(requests[n]).json()), len(requests), server.cpu_s)
            told = [wire.send(wire.request("QueryVectors", ask(n, True))).json()["explain"] for n in range(50)]
            named = {f"told_{name}": value for name, value in summary(told).items()}
            results.note(kind="filter", filter=each.name, k=k, **where(data), **run.row(each.truth, k), **named)


def cold(server: Server, data: Set, results: Results):
    """The first query of a server that was started after the page cache was dropped: at once, and when it has opened
    the index; of each the start of median time."""
    for kind, is_open in (("cold", False), ("cold, open", True)):
        starts = []
        for start in range(COLD_STARTS):
            server.stop()
            if not drop_page_cache():
                return
            ready_s, resident = server.start(), server.resident_bytes()
            if is_open:
                server.wait_until_open(len(data.base))
            wire = server.wire()
            ask = lambda n: query_body(data.name, data.queries[n], K, explain=True)
            requests = [wire.request("QueryVectors", ask(n)) for n in (start, start + 9)]
            times, told = [], []
            for request in requests:
                at = time.perf_counter()
                told.append(wire.send(request).json()["explain"])
                times.append((time.perf_counter() - at) * 1e3)
            grown = (server.resident_bytes() - resident) / len(data.base)
            said = {"ready_s": ready_s, "first_ms": times[0], "second_ms": times[1], "bytes_a_row": grown}
            starts.append(said | summary(told[:1]))
        starts.sort(key=lambda said: said["first_ms"])
        results.note(kind=kind, **where(data), **starts[len(starts) // 2])

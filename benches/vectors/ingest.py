"""Rows through the API from several processes, each with one connection and one request of 500 rows at a time."""

import multiprocessing
import time
from dataclasses import dataclass

from client import put_body
from server import Server

WRITERS = 2
PUT_ROWS = 500


@dataclass
class Ingested:
    rows: int
    wall_s: float
    server_cpu_s: float
    client_cpu_s: float
    put_p50_ms: float
    put_p99_ms: float


def write(server: Server, index: str, parts, told):
    """What a writer does: `parts` gives (first row, vectors, attributes)."""
    wire, seconds, began = server.wire(), [], time.process_time()
    for first, vectors, attributes in parts:
        for start in range(0, len(vectors), PUT_ROWS):
            some = slice(start, start + PUT_ROWS)
            said = {name: values[some] for name, values in attributes.items()}
            body = put_body(index, first + start, vectors[some], said)
            request = wire.request("PutVectors", body)
            at = time.perf_counter()
            wire.send(request).json()
            seconds.append(time.perf_counter() - at)
    told.put((seconds, time.process_time() - began))


def ingest(server: Server, index: str, rows: int, parts_of, beside=None) -> Ingested:
    """`parts_of(writer)` gives a writer's parts; `beside(running)` runs here meanwhile."""
    context = multiprocessing.get_context("fork")
    told = context.Queue()
    cpu, began = server.cpu_s(), time.perf_counter()
    writers = [context.Process(target=write, args=(server, index, parts_of(n), told)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    if beside is not None:
        beside(lambda: any(writer.is_alive() for writer in writers))
    answers = []
    while len(answers) < WRITERS:
        try:
            answers.append(told.get(timeout=5))
        except Exception:
            if any(writer.exitcode not in (None, 0) for writer in writers):
                raise RuntimeError("a writer failed") from None
    for writer in writers:
        writer.join()
    wall, server_cpu = time.perf_counter() - began, server.cpu_s() - cpu
    seconds = sorted(second for some, _ in answers for second in some)
    at = lambda share: seconds[min(len(seconds) - 1, int(len(seconds) * share))] * 1e3
    client_cpu = sum(cpu for _, cpu in answers)
    return Ingested(rows, wall, server_cpu, client_cpu, at(0.5), at(0.99))

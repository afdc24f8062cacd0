"""Clocks, percentiles, recall, and the file of results that every part appends to."""

import json
import os
import resource
import time
from pathlib import Path

import numpy as np
import psutil

K = 10


def own_cpu_s() -> float:
    """Processor seconds of this process and of the children that it has now."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = usage.ru_utime + usage.ru_stime
    for child in psutil.Process().children(recursive=True):
        seconds += process_cpu_s(child.pid)
    return seconds


def process_cpu_s(pid: int) -> float:
    """Processor seconds of a process and its threads, ended ones too, in nanosecond steps."""
    scheduler_clock_of_process = (~pid << 3) | 2  # clock_getcpuclockid(3)
    return time.clock_gettime(scheduler_clock_of_process)


def resident_bytes(pid: int | None = None) -> int:
    process = psutil.Process(pid)
    return sum(p.memory_info().rss for p in [process, *process.children(recursive=True)])


def drop_page_cache() -> bool:
    """False where that is not permitted."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def recall(found: list, truth: list, k: int = K) -> float:
    """Mean share of the k nearest (or of all that match, where they are fewer) that were found."""
    shares = []
    for ids, right in zip(found, truth):
        right = [int(i) for i in right[:k] if i >= 0]
        if right:
            shares.append(len(set(right) & {int(i) for i in ids[:k]}) / len(right))
    return float(np.mean(shares))


def completeness(found: list, truth: list, k: int = K) -> float:
    """Mean number of results, as a share of the k that were asked or of all that match."""
    shares = [min(len(ids), k) / max(1, int((np.asarray(right[:k]) >= 0).sum())) for ids, right in zip(found, truth)]
    return float(np.mean(shares))


def percentiles_us(seconds: list) -> dict:
    us = np.asarray(seconds) * 1e6
    return {"p50_us": float(np.percentile(us, 50)), "p99_us": float(np.percentile(us, 99))}


class Queries:
    """One measurement: `ask(n)` answers the ids found for query n."""

    def __init__(self, ask, count: int, cpu_s=own_cpu_s, seconds_max: float = 6.0, warm: int = 30, least: int = 60):
        for number in range(min(warm, count)):
            ask(number)
        self.found, self.seconds = [], []
        own, cpu, begin = time.process_time(), cpu_s(), time.perf_counter()
        for number in range(count):
            at = time.perf_counter()
            self.found.append(ask(number))
            self.seconds.append(time.perf_counter() - at)
            if time.perf_counter() - begin > seconds_max and len(self.found) >= least:
                break
        self.cpu_us = (cpu_s() - cpu) / len(self.found) * 1e6
        self.client_cpu_us = (time.process_time() - own) / len(self.found) * 1e6

    def row(self, truth: list, k: int = K) -> dict:
        return {
            "queries": len(self.found),
            "recall": recall(self.found, truth, k),
            "completeness": completeness(self.found, truth, k),
            "cpu_us": self.cpu_us,
            "client_cpu_us": self.client_cpu_us,
            **percentiles_us(self.seconds),
        }


class Results:
    """Lines of JSON, one a measurement."""

    def __init__(self, path: Path):
        self.path = path

    def note(self, **row) -> dict:
        row["load"] = round(os.getloadavg()[0], 2)
        row = {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
        line = json.dumps(row)
        with self.path.open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)
        return row

    def rows(self) -> list:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

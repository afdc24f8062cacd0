"""What `run` starts, inside the environment with the packages: prepares sets, has each engine measured, prints tables."""

import argparse
import os
import pickle
import subprocess
import sys
from pathlib import Path

import lodestore
import million
import sets
import tables
from measure import Results
from rivals import RIVALS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="?", choices=["beside", "million", "table"], default="beside")
    parser.add_argument("--sets", default=",".join(sets.METRICS))
    parser.add_argument("--engines", default=",".join([lodestore.ENGINE, *RIVALS]), help="by their names in the tables")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "target" / "vectors")
    return parser.parse_args()


def server_binary() -> Path:
    return Path(os.environ.get("LODESTORE_BIN", ROOT / "target/release/lodestore")).resolve()


def conditions(results: Results):
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    said = {"commit": commit.stdout.strip(), "processors": os.cpu_count(), "model": model}
    results.note(kind="conditions", binary=str(server_binary()), arguments=sys.argv[1:], **said)


def beside(asked: argparse.Namespace, results: Results):
    engines = asked.engines.split(",")
    for engine in engines:
        if engine != lodestore.ENGINE and engine not in RIVALS:
            sys.exit(f"no engine is called {engine}; there are {lodestore.ENGINE}, {', '.join(RIVALS)}")
    for name in asked.sets.split(","):
        data = sets.make(name, asked.data, asked.out, asked.rows)
        pickled = asked.out / f"{name}.pickle"
        pickled.write_bytes(pickle.dumps(data, protocol=5))
        for engine in engines:
            directory = asked.out / f"{name}.store"
            if engine == lodestore.ENGINE:
                lodestore.measure(server_binary(), data, directory, results)
                continue
            # A process of its own: its memory is what is measured.
            command = [sys.executable, HERE / "rivals.py", engine, pickled, directory, results.path]
            if subprocess.run(command).returncode != 0:
                results.note(kind="failed", engine=engine, set=name)
        pickled.unlink()


if __name__ == "__main__":
    asked = options()
    asked.out.mkdir(parents=True, exist_ok=True)
    results = Results(asked.out / "results.jsonl")
    if asked.what != "table":
        conditions(results)
    if asked.what == "beside":
        beside(asked, results)
    elif asked.what == "million":
        million.measure(server_binary(), asked.rows or 1_000_000, asked.out, results)
    print(tables.all_of(results.rows()))

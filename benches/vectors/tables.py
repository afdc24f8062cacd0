"""Markdown tables of what was measured: of each engine and set, the last measurement."""

WAYS = {"library": "", "wire, first": ", wire, first", "wire": ", wire", "boto3": ", boto3"}


def all_of(rows: list) -> str:
    last = Last(rows)
    parts = [conditions(rows), beside(last), filters(last), inside(last), cold(last), large(last)]
    return "\n\n".join(part for part in parts if part)


class Last:
    """The last of each kind, engine and set, and what distinguishes them further."""

    def __init__(self, rows: list):
        self.by, self.sweeps = {}, {}
        for row in rows:
            key = tuple(row.get(name) for name in ("kind", "engine", "set"))
            if row["kind"] == "query":
                self.by[*key, row["how"], row["effort"]] = row
            elif row["kind"] == "filter":
                self.by[*key, row["filter"], row["k"]] = row
            else:
                self.by[key] = row

    def get(self, kind: str, *more) -> dict | None:
        return self.by.get((kind, *more))

    def pairs(self, kind: str) -> list:
        """(set, engine), sets together."""
        found = [(key[2], key[1]) for key in self.by if key[0] == kind]
        sets = list(dict.fromkeys(name for name, _ in found))
        return sorted(dict.fromkeys(found), key=lambda pair: sets.index(pair[0]))


def conditions(rows: list) -> str:
    said = [row for row in rows if row["kind"] == "conditions"]
    loads = [row["load"] for row in rows if "load" in row]
    if not said:
        return ""
    one = said[-1]
    return f"commit {one['commit']}, {one['processors']} processors ({one['model']}), load average {min(loads)} to {max(loads)}"


def table(heads: list, lines: list) -> str:
    if not lines:
        return ""
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)


def number(value, digits=0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def beside(last: Last) -> str:
    heads = ["set", "engine", "effort", "build s", "build CPU s", "recall@10", "p50 us", "p99 us", "CPU us a query"]
    heads += ["queries a CPU s", "client's CPU us", "B a row"]
    lines = []
    for name, engine in last.pairs("chosen"):
        built, chosen = last.get("build", engine, name) or {}, last.get("chosen", engine, name)
        for how, suffix in WAYS.items():
            row = last.get("query", engine, name, how, chosen["effort"])
            if row is None:
                continue
            effort = f"{built.get('parameters', '')} {chosen['effort']}".strip()
            line = [name, engine + suffix, effort, number(built.get("wall_s"), 1), number(built.get("cpu_s"), 1)]
            line += [f"{row['recall']:.4f}", number(row["p50_us"]), number(row["p99_us"]), number(row["cpu_us"])]
            apart = number(row["client_cpu_us"]) if how != "library" else ""
            lines.append(line + [number(1e6 / row["cpu_us"]), apart, number(chosen["bytes_a_row"])])
    return table(heads, lines)


def filters(last: Last) -> str:
    names = list(dict.fromkeys(key[3] for key in last.by if key[0] == "filter"))
    lines = []
    for name, engine in last.pairs("filter"):
        line = [name, engine]
        for each in names:
            ten, fifty = last.get("filter", engine, name, each, 10), last.get("filter", engine, name, each, 50)
            if ten is None:
                line.append("")
                continue
            deep = f"; {fifty['recall']:.3f} / {fifty['completeness']:.3f}" if fifty else ""
            line.append(f"{ten['recall']:.3f} / {ten['completeness']:.3f}{deep}; {number(ten['cpu_us'])}")
        lines.append(line)
    return table(["set", "engine", *names], lines)


def inside(last: Last) -> str:
    heads = ["set", "plans", "segments", "p50 us", "p99 us", "us of phases", "measured rows", "pages read", "rounds", "told B a row"]
    lines = []
    for name, engine in last.pairs("explain"):
        row, chosen = last.get("explain", engine, name), last.get("chosen", engine, name)
        phases = ", ".join(f"{phase} {us:.0f}" for phase, us in row["phases_us"].items())
        line = [name, ", ".join(row["plans"]), number(row["segments"], 1), number(row["p50_us"]), number(row["p99_us"]), phases]
        asked = last.get("query", engine, name, "wire", "default") or {}
        line += [number(row["measured"]), number(asked.get("pages"))]
        lines.append(line + [number(row["rounds"], 1), number(chosen["told_bytes_a_row"])])
    return table(heads, lines)


def cold(last: Last) -> str:
    heads = ["set", "engine", "first query ms", "second query ms", "rounds", "measured rows", "start to ready s", "B a row"]
    lines = []
    found = [(name, engine, kind) for kind in ("cold", "cold, open") for name, engine in last.pairs(kind)]
    for name, engine, kind in found:
        row = last.get(kind, engine, name)
        line = [name, f"{engine}{kind.removeprefix('cold')}", number(row["first_ms"], 1), number(row.get("second_ms"), 1), number(row.get("rounds"))]
        line += [number(row.get("measured")), number(row.get("ready_s"), 2)]
        lines.append(line + [number(row.get("bytes_a_row"))])
    return table(heads, lines)


def large(last: Last) -> str:
    lines = []
    for name, engine in last.pairs("ingest"):
        row = last.get("ingest", engine, name)
        lines.append(["rows", number(row["rows"])])
        lines.append(["vectors a second through the API, durable", number(row["rows_per_s"])])
        lines.append(["server's, clients' CPU s of it", f"{number(row['server_cpu_s'])}, {number(row['client_cpu_s'])}"])
        lines.append(["a PutVectors of 500, p50 / p99 ms", f"{number(row['put_p50_ms'])} / {number(row['put_p99_ms'])}"])
        lines.append(["queries beside the ingest, p50 / p99 us", pair(row["beside"])])
        settling, idle = last.get("settling", engine, name), last.get("idle", engine, name)
        if settling:
            lines.append(["until it came to rest, s, CPU s", f"{number(settling['wall_s'])}, {number(settling['cpu_s'])}"])
            lines.append(["queries meanwhile, p50 / p99 us", pair(settling["beside"])])
        if idle:
            lines.append(["queries at rest at the same pace, p50 / p99 us", pair(idle["beside"])])
    return table(["large index", ""], lines)


def pair(row: dict) -> str:
    return f"{number(row.get('p50_us'))} / {number(row.get('p99_us'))}"

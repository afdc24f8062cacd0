"""The sets: vectors, queries, attributes to filter by, and the exact answers.

c128    100,000 x 128, Euclidean: 300 clusters of Zipf sizes and uneven shapes in a subspace of 24 dimensions
l768    100,000 x 768, cosine: 100 clusters of 20 dimensions bent through a random network, as embeddings are
deb384  20,000 x 384, cosine: real text, descriptions of Debian packages through all-MiniLM-L6-v2 (embed.py)

A directory of sets that were made before has NAME.base.npy, NAME.query.npy, and NAME.corr.npy (a label of the
cluster) or NAME.section.npy with NAME.qsection.npy (one of the query, too).
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

METRICS = {"c128": "euclidean", "l768": "cosine", "deb384": "cosine"}
SEEDS = {"c128": 11, "l768": 12, "deb384": 13}
ROWS = 100_000
QUERIES = 1000
FILTERED_QUERIES = 200
TRUTH = 50  # as deep as completeness is asked


@dataclass
class Filter:
    """Rows whose attribute is what each query wants."""

    name: str
    attribute: str
    wanted: np.ndarray
    truth: np.ndarray = None


@dataclass
class Set:
    name: str
    metric: str
    base: np.ndarray
    queries: np.ndarray
    attributes: dict
    filters: list
    truth: np.ndarray = None
    texts: list = field(default_factory=list)

    @property
    def dimension(self) -> int:
        return self.base.shape[1]


class Bent:
    """Clusters of 20 dimensions through a random network to 768: what l768 and the large index are made of."""

    DIMENSION, INNER, CLUSTERS = 768, 20, 100

    def __init__(self, seed: int):
        rng = np.random.default_rng(seed)
        normal = lambda *shape: rng.standard_normal(shape, np.float32)
        self.centres = normal(self.CLUSTERS, self.INNER) * np.float32(1.2)
        self.first, self.shift = normal(self.INNER, 256) / np.float32(self.INNER**0.5), normal(256) * np.float32(0.3)
        self.second = normal(256, self.DIMENSION) / np.float32(16)

    def draw(self, rng, count: int):
        """Rows of length 1 and their clusters."""
        cluster = rng.integers(0, self.CLUSTERS, count)
        inner = self.centres[cluster] + rng.standard_normal((count, self.INNER), np.float32) * np.float32(0.6)
        rows = np.tanh(inner @ self.first + self.shift) @ self.second
        rows += rng.standard_normal(rows.shape, np.float32) * np.float32(0.02)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows, cluster


def uneven_clusters(rng, count: int, queries: int, d=128, clusters=300, subspace=24, rank=16):
    basis = np.linalg.qr(rng.standard_normal((d, subspace)))[0].T
    centres = rng.standard_normal((clusters, subspace)) @ basis * 2.0
    shapes = rng.standard_normal((clusters, rank, d)) * (0.9 ** np.arange(rank))[None, :, None] * 0.12
    sizes = 1 / np.arange(1, clusters + 1) ** 0.7
    sizes /= sizes.sum()

    def draw(count):
        cluster = rng.choice(clusters, count, p=sizes)
        rows = np.empty((count, d), np.float32)
        for one in range(clusters):
            of = np.nonzero(cluster == one)[0]
            noise = 0.05 * rng.standard_normal((len(of), d))
            rows[of] = centres[one] + rng.standard_normal((len(of), rank)) @ shapes[one] + noise
        return rows, cluster

    base, cluster = draw(count)
    asked, _ = draw(queries)
    # One query of ten lies between clusters.
    between = queries // 10
    a, b, t = rng.choice(clusters, between), rng.choice(clusters, between), rng.uniform(0.3, 0.7, (between, 1))
    asked[:between] = centres[a] * t + centres[b] * (1 - t) + 0.1 * rng.standard_normal((between, d))
    return base, asked, cluster % 100


def nearest(base: np.ndarray, queries: np.ndarray, k: int, rows: np.ndarray | None = None) -> np.ndarray:
    """The k nearest rows of each query, by blocks; -1 where there are fewer."""
    rows = np.arange(len(base)) if rows is None else rows
    base = base[rows]
    squares, found = (base * base).sum(1), np.full((len(queries), k), -1, np.int64)
    take = min(k, len(rows))
    for start in range(0, len(queries), 100):
        distances = squares[None] - 2 * queries[start : start + 100] @ base.T
        some = np.argpartition(distances, take - 1, axis=1)[:, :take]
        order = np.take_along_axis(distances, some, 1).argsort(1, kind="stable")
        found[start : start + 100, :take] = rows[np.take_along_axis(some, order, 1)]
    return found


def make(name: str, data: Path | None, out: Path, rows: int | None) -> Set:
    """The set, cut to so many rows; its exact answers are made here."""
    rng = np.random.default_rng(SEEDS[name])
    base, queries, group, group_wanted = vectors(name, data, out, rng)
    base, group = base[:rows], group[:rows]
    count, asked = len(base), min(FILTERED_QUERIES, len(queries))
    attributes = {
        "tenth": rng.integers(0, 10, count),
        "hundredth": rng.integers(0, 100, count),
        "thousandth": rng.integers(0, 1000, count),
        "group": group,
    }
    filters = [
        Filter("10 %", "tenth", np.full(asked, 3)),
        Filter("1 %", "hundredth", np.full(asked, 7)),
        Filter("0.1 %", "thousandth", np.full(asked, 42)),
        Filter("correlated", "group", group_wanted[:asked]),
    ]
    for each in filters:
        each.truth = np.full((asked, TRUTH), -1, np.int64)
        for value in np.unique(each.wanted):
            of = np.nonzero(each.wanted == value)[0]
            rows_of = np.nonzero(attributes[each.attribute] == value)[0]
            each.truth[of] = nearest(base, queries[of], TRUTH, rows_of)
    return Set(name, METRICS[name], base, queries, attributes, filters, nearest(base, queries, TRUTH))


def vectors(name: str, data: Path | None, out: Path, rng):
    """Vectors, queries, each row's group, and the group that each query asks for: one that lies elsewhere."""
    if name == "deb384" and (data is None or not (data / "deb384.base.npy").exists()):
        import embed

        data = embed.make(out)
    if data is not None and (data / f"{name}.base.npy").exists():
        load = lambda what: np.load(data / f"{name}.{what}.npy")
        base, queries = (np.ascontiguousarray(load(what), np.float32) for what in ("base", "query"))
        if (data / f"{name}.corr.npy").exists():
            return base, queries, load("corr").astype(np.int64), np.full(len(queries), 7)
        section, of_query = load("section").astype(np.int64), load("qsection").astype(np.int64)
        return base, queries, section, elsewhere(section, of_query)
    if name == "c128":
        base, queries, group = uneven_clusters(rng, ROWS, QUERIES)
    else:
        bent = Bent(SEEDS[name])
        (base, group), (queries, _) = bent.draw(rng, ROWS), bent.draw(rng, QUERIES)
    return base, queries, group, np.full(QUERIES, 7)


def elsewhere(section: np.ndarray, of_query: np.ndarray) -> np.ndarray:
    """Another section than the query's, of at least fifty rows."""
    sizes = np.bincount(section)
    large = [s for s in range(len(sizes)) if sizes[s] >= 50] or [int(sizes.argmax())]
    return np.array([next((s for s in large[n % len(large) :] + large if s != q), large[0]) for n, q in enumerate(of_query)])

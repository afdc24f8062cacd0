"""Other engines, each in a process of its own: faiss and hnswlib as libraries, LanceDB, milvus-lite and qdrant-edge
through their own clients. What is measured of one: building, queries by growing effort until recall is 0.99, the
same effort with each filter, and the first query after everything was dropped from memory."""

import importlib
import pickle
import shutil
import sys
import time
from pathlib import Path

import numpy as np

from measure import K, Queries, Results, drop_page_cache, own_cpu_s, resident_bytes
from sets import TRUTH, Set

RECALL_WANTED = 0.99
EDGES, BUILD_WIDTH = 16, 128


class Rival:
    """An engine with the set in it. Rows of cosine sets have length 1, so that L2 ranks as cosine does."""

    parameters = ""
    sweep: list = []
    modules: list = []

    def __init__(self, data: Set, directory: Path):
        self.data, self.directory = data, directory
        self.base, self.queries = data.base, data.queries

    def build(self):
        """Takes the rows in; answers seconds of building that are no ingest, or none."""
        raise NotImplementedError

    def ask(self, effort, number: int, k: int, wanted):
        """Ids of the k nearest to a query; `wanted` is an attribute and its value, or none."""
        raise NotImplementedError

    def reopen(self):
        """Opens what was built, from the device. None where the engine lives in memory."""
        return None


class FaissHnsw(Rival):
    modules = ["faiss"]
    parameters, sweep = f"M {EDGES}, efC {BUILD_WIDTH}; ef", [16, 32, 48, 64, 96, 128, 192, 256, 400, 600]

    def build(self):
        self.faiss = faiss = sys.modules["faiss"]
        faiss.omp_set_num_threads(2)
        self.index = faiss.IndexHNSWFlat(self.data.dimension, EDGES)
        self.index.hnsw.efConstruction = BUILD_WIDTH
        self.index.add(self.base)
        faiss.omp_set_num_threads(1)
        self.selectors = {}

    def selector(self, wanted):
        if wanted not in self.selectors:
            attribute, value = wanted
            bits = np.packbits(self.data.attributes[attribute] == value, bitorder="little")
            self.selectors[wanted] = self.faiss.IDSelectorBitmap(bits)
        return {"sel": self.selectors[wanted]}

    def ask(self, effort, number, k, wanted):
        more = {} if wanted is None else self.selector(wanted)
        how = self.faiss.SearchParametersHNSW(efSearch=max(effort, k), **more)
        ids = self.index.search(self.queries[number : number + 1], k, params=how)[1][0]
        return ids[ids >= 0]


class FaissFlatCodes(FaissHnsw):
    """RaBitQ codes of every row, and exact distances of the best of them."""

    parameters, sweep = "{bits} bit; refined x", [3, 5, 10, 20, 40]

    def build(self):
        self.faiss = faiss = sys.modules["faiss"]
        faiss.omp_set_num_threads(2)
        bits = 1 if self.data.dimension >= 384 else 2
        self.parameters = self.parameters.format(bits=bits)
        d = self.data.dimension
        flat = faiss.IndexRaBitQFastScan(d, faiss.METRIC_L2, 32, bits)
        self.index = faiss.IndexRefineFlat(flat)
        self.index.train(self.base)
        self.index.add(self.base)
        faiss.omp_set_num_threads(1)
        self.selectors = {}

    def ask(self, effort, number, k, wanted):
        if wanted is not None:
            raise NotImplementedError
        how = self.faiss.IndexRefineSearchParameters(k_factor=effort)
        return self.index.search(self.queries[number : number + 1], k, params=how)[1][0]


class Hnswlib(Rival):
    modules = ["hnswlib"]
    parameters, sweep = FaissHnsw.parameters, FaissHnsw.sweep

    def build(self):
        self.index = sys.modules["hnswlib"].Index("l2", self.data.dimension)
        self.index.init_index(len(self.base), ef_construction=BUILD_WIDTH, M=EDGES)
        self.index.add_items(self.base, num_threads=2)

    def ask(self, effort, number, k, wanted):
        if wanted is not None:
            raise NotImplementedError
        self.index.set_ef(max(effort, k))
        return self.index.knn_query(self.queries[number], k=k, num_threads=1)[0][0]


class LanceDb(Rival):
    modules = ["lancedb", "pyarrow", "lancedb.index"]
    sweep = [(8, 5), (16, 5), (16, 10), (32, 10), (64, 20), (128, 20), (128, 40)]

    def build(self):
        self.lancedb, pa = sys.modules["lancedb"], sys.modules["pyarrow"]
        IvfPq = sys.modules["lancedb.index"].IvfPq
        database = self.lancedb.connect(str(self.directory))
        d, rows = self.data.dimension, len(self.base)
        columns = {name: pa.array(values, pa.int32()) for name, values in self.data.attributes.items()}
        flat = pa.array(self.base.reshape(-1))
        columns |= {"id": pa.array(np.arange(rows), pa.int32()), "vector": pa.FixedSizeListArray.from_arrays(flat, d)}
        self.table = database.create_table("rows", pa.table(columns))
        began = time.perf_counter()
        lists, parts = max(1, min(256, rows // 256)), d // 4 if d < 256 else d // 8
        self.parameters = f"IVF_PQ, {lists} lists, {parts} parts; (lists searched, refined x)"
        how = IvfPq(distance_type="l2", num_partitions=lists, num_sub_vectors=parts)
        self.table.create_index("vector", config=how)
        return time.perf_counter() - began

    def ask(self, effort, number, k, wanted):
        search = self.table.search(self.queries[number]).limit(k).select(["id", "_distance"])
        search = search.nprobes(effort[0]).refine_factor(effort[1])
        if wanted is not None:
            search = search.where(f"{wanted[0]} = {wanted[1]}", prefilter=True)
        return search.to_arrow()["id"].to_numpy()

    def reopen(self):
        self.table = None
        drop_page_cache()

        def first(effort):
            self.table = self.lancedb.connect(str(self.directory)).open_table("rows")
            return self.ask(effort, 1, K, None)

        return first


class MilvusLite(Rival):
    modules = ["pymilvus", "milvus_lite"]
    parameters, sweep = f"HNSW M {EDGES}, efC {BUILD_WIDTH}; ef", [64, 128, 256, 512]
    BATCH = 5000

    def build(self):
        DataType = sys.modules["pymilvus"].DataType
        self.client = client = sys.modules["pymilvus"].MilvusClient(str(self.directory / "milvus.db"))
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("v", DataType.FLOAT_VECTOR, dim=self.data.dimension)
        for name in self.data.attributes:
            schema.add_field(name, DataType.INT64)
        client.create_collection("rows", schema=schema)
        for start in range(0, len(self.base), self.BATCH):
            some = range(start, min(start + self.BATCH, len(self.base)))
            said = lambda i: {name: int(values[i]) for name, values in self.data.attributes.items()}
            client.insert("rows", [{"id": i, "v": self.base[i].tolist(), **said(i)} for i in some])
        client.flush("rows")
        began = time.perf_counter()
        how = client.prepare_index_params()
        widths = {"M": EDGES, "efConstruction": BUILD_WIDTH}
        how.add_index("v", index_type="HNSW", metric_type="L2", params=widths)
        try:
            client.create_index("rows", how)
        except Exception as error:  # its client tries again while the first is at work
            if "exist" not in str(error):
                raise
        client.load_collection("rows")
        return time.perf_counter() - began

    def ask(self, effort, number, k, wanted):
        where = "" if wanted is None else f"{wanted[0]} == {wanted[1]}"
        how = {"metric_type": "L2", "params": {"ef": max(effort, k)}}
        query = [self.queries[number].tolist()]
        hits = self.client.search("rows", query, limit=k, anns_field="v", filter=where, search_params=how)[0]
        return [hit["id"] for hit in hits]


class QdrantEdge(Rival):
    modules = ["qdrant_edge"]
    parameters, sweep = FaissHnsw.parameters, [32, 64, 96, 128, 192, 256, 400, 600]
    BATCH = 2000

    def build(self):
        self.q = q = sys.modules["qdrant_edge"]
        vectors = q.EdgeVectorParams(size=self.data.dimension, distance=q.Distance.Euclid, memory=q.Memory.Cached)
        hnsw = q.HnswIndexConfig(m=EDGES, ef_construct=BUILD_WIDTH, full_scan_threshold=100, max_indexing_threads=2)
        tune = q.EdgeOptimizersConfig(indexing_threshold=1000, default_segment_number=1, max_segment_size=10_000_000)
        config = q.EdgeConfig(vectors=vectors, hnsw_config=hnsw, optimizers=tune)
        self.shard = q.EdgeShard.create(str(self.directory), config)
        for start in range(0, len(self.base), self.BATCH):
            some = range(start, min(start + self.BATCH, len(self.base)))
            said = lambda i: {name: int(values[i]) for name, values in self.data.attributes.items()}
            points = [q.Point(id=i, vector=self.base[i].tolist(), payload=said(i)) for i in some]
            self.shard.update(q.UpdateOperation.upsert_points(points))
        for name in self.data.attributes:
            self.shard.update(q.UpdateOperation.create_field_index(name, q.PayloadSchemaType.Integer))
        self.shard.flush()
        began = time.perf_counter()
        self.shard.optimize()
        self.shard.flush()
        return time.perf_counter() - began

    def ask(self, effort, number, k, wanted):
        q, only = self.q, None
        if wanted is not None:
            only = q.Filter(must=[q.FieldCondition(key=wanted[0], match=q.MatchValue(wanted[1]))])
        nearest = q.Query.Nearest(self.queries[number].tolist())
        how = q.SearchParams(hnsw_ef=max(effort, k))
        return [hit.id for hit in self.shard.search(q.SearchRequest(query=nearest, limit=k, filter=only, params=how))]

    def reopen(self):
        self.shard.close()
        drop_page_cache()

        def first(effort):
            self.shard = self.q.EdgeShard.load(str(self.directory))
            return self.ask(effort, 1, K, None)

        return first


RIVALS = {
    "faiss HNSW": FaissHnsw,
    "faiss RaBitQ": FaissFlatCodes,
    "hnswlib": Hnswlib,
    "LanceDB": LanceDb,
    "milvus-lite": MilvusLite,
    "qdrant-edge": QdrantEdge,
}


def measure(engine: str, data: Set, directory: Path, results: Results):
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    rival = RIVALS[engine](data, directory)
    # Before memory is looked at: programs are not rows.
    for module in rival.modules:
        importlib.import_module(module)
    resident, cpu, began = resident_bytes(), own_cpu_s(), time.perf_counter()
    index_s = rival.build()
    built = {"wall_s": time.perf_counter() - began, "cpu_s": own_cpu_s() - cpu, "index_s": index_s}
    where = {"engine": engine, "set": data.name, "rows": len(data.base)}
    results.note(kind="build", **where, **built, parameters=rival.parameters)
    best = None
    for effort in rival.sweep:
        run = Queries(lambda n: rival.ask(effort, n, K, None), len(data.queries))
        row = results.note(kind="query", how="library", **where, effort=str(effort), **run.row(data.truth))
        if best is None or row["recall"] > best[1]:
            best = effort, row["recall"]
        if row["recall"] >= RECALL_WANTED:
            break
    memory = (resident_bytes() - resident) / len(data.base)
    results.note(kind="chosen", **where, effort=str(best[0]), bytes_a_row=memory)
    for each in data.filters:
        for k in (K, TRUTH):
            wanted = lambda n: (each.attribute, int(each.wanted[n]))
            try:
                run = Queries(lambda n: rival.ask(best[0], n, k, wanted(n)), len(each.wanted), seconds_max=3)
            except NotImplementedError:
                break
            results.note(kind="filter", filter=each.name, k=k, **where, **run.row(each.truth, k))
    first = rival.reopen()
    if first is not None:
        began = time.perf_counter()
        first(best[0])
        results.note(kind="cold", **where, first_ms=(time.perf_counter() - began) * 1e3)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    engine, pickled, directory, lines = sys.argv[1:5]
    with open(pickled, "rb") as file:
        data = pickle.load(file)
    measure(engine, data, Path(directory), Results(Path(lines)))

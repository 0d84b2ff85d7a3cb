"""Measures a library in this process: library_worker.py LIBRARY DIRECTORY METRIC K

DIRECTORY holds train.npy and test.npy, normalised where the metric is angular. Writes a line of JSON for
the build, then one for each line "leaves candidates seconds" that it reads: the answers to all queries or,
with seconds above 0, how many a second it gives. One query a call and one thread; the build has all cores.
Needs numpy and the library and nothing of this package, so that any Python can run it.
"""

import json
import os
import pathlib
import sys
import time

import numpy as np


class Scann:
    """Tree, 4-bit codes of 2 dimensions a block, reordering by float vectors; with SOAR and the
    anisotropic loss where ScaNN has them, for the inner product."""

    reorder = (3, 6, 12, 24, 48)  # candidates reordered, in k

    def __init__(self, train, metric, k, leaves):
        import importlib.metadata

        from scann import scann_ops_pybind

        self.version = importlib.metadata.version("scann")
        self.k = k
        product = metric != "euclidean"
        builder = scann_ops_pybind.builder(train, k, "dot_product" if product else "squared_l2")
        builder = builder.set_n_training_threads(os.cpu_count())
        tree, codes = {}, {}
        if product:
            tree = {"soar_lambda": 1.5, "spherical": metric == "angular"}
            codes = {"anisotropic_quantization_threshold": 0.2}
        sample = min(len(train), 250_000)
        builder = builder.tree(leaves, max(1, leaves // 20), training_sample_size=sample, **tree)
        self.searcher = builder.score_ah(2, **codes).reorder(10 * k).build()

    def search(self, leaves, reorder):
        search, k, reorder = self.searcher.search, self.k, reorder * self.k
        return lambda vector: search(vector, k, reorder, leaves)[0]


class Faiss:
    """Inverted file, 4-bit product codes of 2 dimensions a block in the fast-scan layout, refined by float
    vectors. The codes are of residuals for the inner product, where one table of distances serves all
    leaves, and of whole vectors otherwise: a table for each leaf costs more than it gains. Cosine is the
    inner product of normalised vectors."""

    reorder = (3, 6, 12, 24, 48)

    def __init__(self, train, metric, k, leaves):
        import faiss

        self.version, self.k = faiss.__version__, k
        faiss.omp_set_num_threads(os.cpu_count())
        dim = train.shape[1]
        blocks = next(count for count in range(max(1, dim // 2), 0, -1) if dim % count == 0)
        if metric == "euclidean":
            kind, codes = faiss.METRIC_L2, f"PQ{blocks}x4fs"
        else:
            kind, codes = faiss.METRIC_INNER_PRODUCT, f"PQ{blocks}x4fsr"
        self.index = faiss.index_factory(dim, f"IVF{leaves},{codes},RFlat", kind)
        self.lists = faiss.extract_index_ivf(self.index)
        self.lists.cp.max_points_per_centroid = 100
        self.index.train(train)
        self.index.add(train)
        faiss.omp_set_num_threads(1)

    def search(self, leaves, reorder):
        self.lists.nprobe, self.index.k_factor = leaves, reorder
        search, k = self.index.search, self.k
        return lambda vector: search(vector[None], k)[1][0]


LIBRARIES = {"scann": Scann, "faiss": Faiss}


def tell(**facts):
    print(json.dumps(facts), flush=True)


def measure(search, queries, seconds):
    """Queries per second and the threads in use, of calls with one query each."""
    done, started, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        for query in queries:
            search(query)
        done += len(queries)
    elapsed = time.perf_counter() - started
    tell(rate=done / elapsed, threads=(time.process_time() - cpu) / elapsed)


def main():
    name, directory, metric, k = sys.argv[1:]
    train, queries = (np.load(pathlib.Path(directory) / f"{part}.npy") for part in ("train", "test"))
    started, cpu = time.perf_counter(), time.process_time()
    leaves = max(1, min(len(train) // 40, round(2 * len(train) ** 0.5)))
    library = LIBRARIES[name](train, metric, int(k), leaves)
    tell(version=library.version, leaves=leaves, reorder=library.reorder,
         build_seconds=time.perf_counter() - started, build_cpu=time.process_time() - cpu)  # fmt: skip
    for line in sys.stdin:
        searched, reorder, seconds = map(int, line.split())
        search = library.search(searched, reorder)
        if seconds:
            measure(search, queries, seconds)
        else:
            tell(answers=[np.asarray(search(query)).tolist() for query in queries])


main()

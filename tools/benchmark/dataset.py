"""Rows, queries and the true neighbours."""

import pathlib
import sys

import numpy as np
from tqdm import tqdm

METRICS = {  # attribute `distance` of the file: operator, operator class
    "euclidean": ("<->", "vector_l2_ops"),
    "angular": ("<=>", "vector_cosine_ops"),
    "dot": ("<#>", "vector_ip_ops"),
}


def load_dataset(path, rows, queries, k):
    """A file in the layout of ann-benchmarks, or the first rows and queries of it."""
    import h5py

    with h5py.File(path) as file:
        metric = str(file.attrs.get("distance", "euclidean"))
        if metric not in METRICS:
            sys.exit(f"{path}: distance {metric} is not one of {', '.join(METRICS)}")
        total = file["train"].shape[0]
        train = file["train"][: rows or total].astype(np.float32)
        spare = file["train"][len(train) : len(train) + max(10_000, len(train) // 10)].astype(np.float32)
        test = file["test"][: queries or None].astype(np.float32)
        whole = len(train) == total and "neighbors" in file
        neighbors = file["neighbors"][: len(test)] if whole else None
    return Dataset(pathlib.Path(path).stem, metric, train, test, k, neighbors, spare)


class Dataset:
    """Rows (train), queries (test) and the true neighbours of these, computed where none are given."""

    def __init__(self, name, metric, train, test, k, neighbors=None, spare=None):
        self.name, self.metric, self.train, self.test, self.k = name, metric, train, test, k
        self.spare = train[:0] if spare is None else spare  # rows of the same origin that are not in train
        self.rows, self.dim = train.shape
        self.operator, self.opclass = METRICS[metric]
        if neighbors is None or neighbors.shape[1] < k:
            neighbors = self.brute_force(max(k, 100))
        self.neighbors = neighbors
        self.scale = np.linalg.norm(train, axis=1) if metric == "angular" else None
        # A row as near as the k-th true neighbour is as good an answer: duplicates do not cost recall.
        self.limit = np.array([self.distances(i, neighbors[i, :k]).max() for i in range(len(test))])

    def tenth(self):
        """Every tenth row, with neighbours of its own."""
        return Dataset(self.name, self.metric, self.train[::10], self.test, self.k)

    def brute_force(self, k):
        """The k nearest rows of each query, by blocked matrix products."""
        k = min(k, len(self.train))
        test, result = self.test, np.empty((len(self.test), k), dtype=np.int64)
        rows = self.train
        if self.metric == "angular":
            rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
        bias = (rows * rows).sum(axis=1) / 2 if self.metric == "euclidean" else np.float32(0)
        for start in tqdm(range(0, len(test), 100), "true neighbours", leave=False, disable=None):
            score = test[start : start + 100] @ rows.T - bias
            best = np.argpartition(-score, k - 1, axis=1)[:, :k]
            order = np.argsort(-np.take_along_axis(score, best, 1), axis=1)
            result[start : start + 100] = np.take_along_axis(best, order, 1)
        return result

    def distances(self, query, ids):
        """True distances, in double precision, of rows to a query."""
        rows, vector = self.train[ids].astype(np.float64), self.test[query].astype(np.float64)
        if self.metric == "euclidean":
            return ((rows - vector) ** 2).sum(axis=1)
        products = rows @ vector
        if self.metric == "dot":
            return -products
        norms = np.maximum(self.scale[ids] * np.linalg.norm(vector), 1e-30)
        return 1 - products / norms

    def judge(self, query, ids):
        """(recall, whether the answer is in ascending order) of the answer to a query."""
        if len(ids) == 0:
            return 0.0, True
        found = self.distances(query, np.array(ids))
        slack = 1e-6 * max(1.0, abs(self.limit[query]))
        return (found <= self.limit[query] + slack).sum() / self.k, not (np.diff(found) < -slack).any()

    def held_rows(self, count):
        """Rows that the index does not hold, spread like those it holds: the file's own where some are
        left over, else rows of it moved a fifth of the way to another one."""
        if len(self.spare) >= count:
            return self.spare[:count]
        random = np.random.default_rng(1)
        near, far = random.integers(len(self.train), size=(2, count))
        return np.float32(0.8) * self.train[near] + np.float32(0.2) * self.train[far]

"""Measures annivf beside every other vector index access method that a PostgreSQL server has.

For each of them, in a database of its own: load the rows, build the index (wall time, CPU time, size),
then over a sweep of its search setting the recall and the queries per second of one client with a
prepared statement (pgbench), at last the rate of inserts into the built index, its size after a tenth
more rows, two clients against one, and the pages that queries read after a restart. Prints the table of
queries per second at equal recall, writes every point to a CSV file and draws the plot.

Started by tools/bench, which provides the server and the Python packages.
"""

import argparse
import csv
import dataclasses
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

import h5py
import numpy as np
import psycopg
from psycopg import sql
from tqdm import tqdm

RECALLS = (0.90, 0.95, 0.98, 0.99)

# Queries whose pages are counted after a restart.
COLD_QUERIES = 200


# ---- What is compared


@dataclasses.dataclass
class Method:
    """An access method: how it is installed, built and searched."""

    name: str
    extension: str
    setting: str
    values: tuple
    options: str = ""  # the WITH clause; {lists} is filled in
    settings: tuple = ()  # further settings, of every search
    build_settings: tuple = ()


METHODS = (
    Method("annivf", "ann", "ann.num_leaves_to_search", (8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 1024)),
    Method("hnsw", "vector", "hnsw.ef_search", (10, 20, 40, 80, 120, 200, 300, 400, 600, 1000),
           "m = 16, ef_construction = 64"),
    Method("ivfflat", "vector", "ivfflat.probes", (1, 2, 4, 8, 16, 32, 64, 128), "lists = {lists}"),
    Method("vchordrq", "vchord", "vchordrq.probes", (4, 8, 16, 32, 64, 128, 256, 512),
           "options = $$residual_quantization = true\n[build.internal]\nlists = [{lists}]\n"
           "build_threads = {cores}$$"),
    Method("diskann", "vectorscale", "diskann.query_search_list_size", (20, 50, 100, 200, 400)),
)  # fmt: skip

# Counts of ann_search_stats() that are reported.
WORK = {"leaves_searched": "leaves", "codes_scanned": "codes", "heap_fetches": "heap rows"}

METRICS = {  # attribute `distance` of the file: operator, operator class
    "euclidean": ("<->", "vector_l2_ops"),
    "angular": ("<=>", "vector_cosine_ops"),
    "dot": ("<#>", "vector_ip_ops"),
}


# ---- The data


class Dataset:
    """Rows, queries and the true neighbours, from a file in the layout of ann-benchmarks."""

    def __init__(self, path, rows, queries, k):
        with h5py.File(path) as file:
            self.metric = str(file.attrs.get("distance", "euclidean"))
            if self.metric not in METRICS:
                sys.exit(f"{path}: distance {self.metric} is not one of {', '.join(METRICS)}")
            total = file["train"].shape[0]
            self.train = file["train"][: rows or total].astype(np.float32)
            self.spare = file["train"][len(self.train) : len(self.train) + 10_000].astype(np.float32)
            self.test = file["test"][: queries or None].astype(np.float32)
            whole = len(self.train) == total and "neighbors" in file
            neighbors = file["neighbors"][: len(self.test)] if whole else None
        if neighbors is None or neighbors.shape[1] < k:
            neighbors = self.brute_force(max(k, 100))
        self.neighbors = neighbors
        self.name = pathlib.Path(path).stem
        self.operator, self.opclass = METRICS[self.metric]
        self.k = k
        self.scale = np.linalg.norm(self.train, axis=1) if self.metric == "angular" else None
        # A row as near as the k-th true neighbour is as good an answer: duplicates do not cost recall.
        self.limit = np.array([
            self.distances(i, self.neighbors[i, :k]).max() for i in range(len(self.test))
        ])  # fmt: skip

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
        """Rows that the index does not hold: the file's own where some are left over, else midpoints
        of two near neighbours of a query."""
        if len(self.spare) >= count:
            return self.spare[:count]
        random = np.random.default_rng(1)
        queries = random.integers(len(self.test), size=count)
        pairs = random.integers(self.neighbors.shape[1], size=(2, count))
        return (self.train[self.neighbors[queries, pairs[0]]] +
                self.train[self.neighbors[queries, pairs[1]]]) / 2  # fmt: skip


# ---- The server


def connect(database, **settings):
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    return psycopg.connect(dbname=database, options=options, autocommit=True)


def copy_vectors(connection, table, vectors, title):
    """Loads (id, vector) rows by binary COPY."""
    dim = vectors.shape[1]
    record = np.dtype([
        ("fields", ">i2"), ("id_bytes", ">i4"), ("id", ">i4"),
        ("bytes", ">i4"), ("dim", ">i2"), ("unused", ">i2"), ("value", ">f4", (dim,)),
    ])  # fmt: skip
    statement = sql.SQL("COPY {} FROM STDIN (FORMAT BINARY)").format(sql.Identifier(table))
    step = max(1, 4_000_000 // record.itemsize)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
        with tqdm(total=len(vectors), desc=title, unit=" rows", leave=False, disable=None) as bar:
            for start in range(0, len(vectors), step):
                part = vectors[start : start + step]
                rows = np.zeros(len(part), record)
                rows["fields"], rows["id_bytes"], rows["bytes"] = 2, 4, 4 + 4 * dim
                rows["id"] = np.arange(start, start + len(part))
                rows["dim"], rows["value"] = dim, part
                copy.write(rows.tobytes())
                bar.update(len(part))
        copy.write(b"\xff\xff")


def process_seconds(pid):
    """(CPU seconds of a process, of its reaped children, its parent), or None if it is not here."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    tick = os.sysconf("SC_CLK_TCK")
    return (int(fields[11]) + int(fields[12])) / tick, (int(fields[13]) + int(fields[14])) / tick, int(fields[1])


class CpuClock:
    """CPU seconds of a backend and of the parallel workers that ended meanwhile: the workers are the
    postmaster's children and are counted to it when they end (autovacuum is off)."""

    def __init__(self, pid):
        self.pid = pid
        self.begin = self.now()

    def now(self):
        own = process_seconds(self.pid)
        workers = process_seconds(own[2]) if own else None
        return own[0] + workers[1] if workers else math.nan

    def seconds(self):
        return self.now() - self.begin


def watch_build(database, stop, title):
    """Shows pg_stat_progress_create_index until stop is set."""
    bar = tqdm(desc=title, bar_format="{desc} [{elapsed}]", leave=False, disable=None)
    with connect(database) as connection, bar:
        while not stop.wait(0.5):
            row = connection.execute(
                "SELECT phase, tuples_done, tuples_total, blocks_done, blocks_total"
                " FROM pg_stat_progress_create_index"
            ).fetchone()
            if row:
                done, total = (row[1], row[2]) if row[2] else (row[3], row[4])
                bar.set_description_str(f"{title}: {row[0]}" + (f" {100 * done // total} %" if total else ""))


@dataclasses.dataclass
class Point:
    """One setting of one method."""

    setting: str
    value: int | None
    recall: float
    worst: float  # recall of the worst 1 % of the queries
    unordered: float
    rate: float
    buffers: float
    work: dict  # annivf's own counts, per query
    index_used: bool


class Bench:
    """One method in its own database."""

    def __init__(self, method, data, args):
        self.method, self.data, self.args = method, data, args
        self.database = f"ann_bench_{method.name}"
        self.query = (
            f"SELECT id FROM items ORDER BY embedding {data.operator} "
            f"(SELECT embedding FROM queries WHERE id = {{}}) LIMIT {data.k}"
        )
        self.points = []
        self.cold_pages = math.nan
        self.growth = math.nan

    def title(self, text):
        return f"{self.method.name}: {text}"

    def load(self):
        with connect("postgres") as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {self.database}")
            connection.execute(f"CREATE DATABASE {self.database}")
        dim = self.data.train.shape[1]
        with connect(self.database) as connection:
            connection.execute(f"CREATE EXTENSION {self.method.extension} CASCADE")
            for table in ("items", "queries", "held"):
                connection.execute(f"CREATE TABLE {table} (id int NOT NULL, embedding vector({dim}))")
            copy_vectors(connection, "items", self.data.train, self.title("load"))
            copy_vectors(connection, "queries", self.data.test, self.title("load queries"))
            copy_vectors(connection, "held", self.data.held_rows(self.args.insert_rows), self.title("load"))
            for table in ("items", "queries", "held"):
                connection.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (id)")
            connection.execute("CREATE TABLE plain (LIKE items)")
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")

    def build(self):
        rows = len(self.data.train)
        lists = max(1, round(max(rows / 1000, math.sqrt(rows))))
        options = self.args.ann_with if self.method.name == "annivf" else self.method.options
        options = options.format(lists=lists, cores=os.cpu_count())
        with connect(self.database, maintenance_work_mem=self.args.maintenance_work_mem) as connection:
            statement = f"CREATE INDEX items_index ON items USING {self.method.name} (embedding {self.data.opclass})"
            if options:
                statement += f" WITH ({options})"
            stop = threading.Event()
            watcher = threading.Thread(target=watch_build, args=(self.database, stop, self.title("build")))
            watcher.start()
            clock, started = CpuClock(connection.info.backend_pid), time.monotonic()
            try:
                connection.execute(statement)
            finally:
                self.build_seconds, self.build_cpu = time.monotonic() - started, clock.seconds()
                stop.set()
                watcher.join()
            self.index_bytes = connection.execute("SELECT pg_table_size('items_index')").fetchone()[0]
            self.table_bytes = connection.execute("SELECT pg_table_size('items')").fetchone()[0]
            connection.execute("CHECKPOINT")
        print(f"{self.method.name:10} built in {self.build_seconds:.1f} s ({self.build_cpu:.1f} s of CPU), "
              f"{self.index_bytes / 1e6:.1f} MB", flush=True)  # fmt: skip

    def settings(self, value):
        settings = dict(self.method.settings)
        if value is not None:
            settings[self.method.setting] = value
        if self.method.name == "annivf":
            settings.update(pair.split("=", 1) for pair in self.args.ann_set)
        return settings

    def measure(self, value):
        """Recall, order and speed at one value of the search setting (None: the default)."""
        settings, data = self.settings(value), self.data
        label = "default" if value is None else f"{self.method.setting}={value}"
        with connect(self.database, **settings) as connection:
            plan = connection.execute("EXPLAIN " + self.query.format(0)).fetchall()
            used = any("items_index" in line for (line,) in plan)
            if not used:
                settings["enable_seqscan"] = "off"
                connection.execute("SET enable_seqscan = off")
            judged = []
            query = self.query.format("%s")
            for i in tqdm(range(len(data.test)), self.title(f"recall, {label}"), leave=False, disable=None):
                ids = [row[0] for row in connection.execute(query, (i,), prepare=True)]
                judged.append(data.judge(i, ids))
            buffers, work = self.work(connection)
        recalls = np.array([recall for recall, _ in judged])
        point = Point(
            label,
            value,
            recalls.mean(),
            np.sort(recalls)[: max(1, len(recalls) // 100)].mean(),
            np.mean([not ordered for _, ordered in judged]),
            self.pgbench(settings),
            buffers,
            work,
            used,
        )
        self.points.append(point)
        print(f"{self.method.name:10} {label:32} recall {point.recall:.4f} (worst 1 %: {point.worst:.2f})  "
              f"{point.rate:8.0f} q/s  {buffers:6.0f} buffers"
              + "".join(f", {point.work[name]:.0f} {text}" for name, text in WORK.items() if name in point.work)
              + (f"  {point.unordered:.1%} out of order" if point.unordered else "")
              + ("" if used else "  PLANNER CHOSE ANOTHER PLAN, seqscan disabled"), flush=True)  # fmt: skip
        return point

    def work(self, connection):
        """Buffers that the index scan touches per query, and what annivf counts of its own work."""
        touched, counts = [], []
        for i in range(0, len(self.data.test), max(1, len(self.data.test) // 50)):
            explain = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) " + self.query.format(i)
            top = connection.execute(explain).fetchone()[0][0]["Plan"]
            touched.append(
                top["Shared Hit Blocks"]
                + top["Shared Read Blocks"]
                - sum(
                    part["Shared Hit Blocks"] + part["Shared Read Blocks"]
                    for part in top["Plans"]
                    if part["Parent Relationship"] == "InitPlan"
                )
            )
            if self.method.name == "annivf":
                cursor = connection.execute("SELECT * FROM ann_search_stats()")
                counts.append(cursor.fetchone())
        work = dict(zip((c.name for c in cursor.description), np.mean(counts, axis=0))) if counts else {}
        return float(np.mean(touched)), work

    def pgbench(self, settings, statement=None, rows=None, clients=1):
        """Statements per second, prepared, with ids in random order; the query of the file's queries."""
        script = f"\\set id random(0, {(rows or len(self.data.test)) - 1})\n"
        script += (statement or self.query).format(":id") + ";\n"
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        command = ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(clients), "-f", "-", self.database]
        environment = {**os.environ, "PGOPTIONS": options}
        rates = []
        for seconds in (1, *[self.args.seconds] * self.args.repeat):  # the first run warms up
            done = subprocess.run([*command, "-T", str(seconds)], input=script, env=environment,
                                  text=True, capture_output=True)  # fmt: skip
            rate = re.search(r"tps = ([\d.]+)", done.stdout)
            if done.returncode != 0 or not rate:
                sys.exit(f"pgbench failed: {done.stderr}")
            rates.append(float(rate.group(1)))
        return float(np.median(rates[1:]))

    def sweep(self):
        with connect(self.database) as connection:
            try:
                connection.execute("CREATE EXTENSION IF NOT EXISTS pg_prewarm")
                for table in ("items", "items_index", "queries"):
                    connection.execute("SELECT pg_prewarm(%s::regclass)", (table,))
            except psycopg.Error:
                pass  # the recall pass warms up as well
        self.measure(None)
        for value in self.args.sweep if self.method.name == "annivf" and self.args.sweep else self.method.values:
            try:
                point = self.measure(value)
            except psycopg.errors.InvalidParameterValue:
                break  # beyond the setting's range
            idle = len(self.points) > 3 and point.recall <= self.points[-3].recall + 0.0005
            if point.recall >= self.args.stop_recall or (idle and point.recall > 0.9):
                break  # the curve is complete, or the setting has no more to give

    def insert(self):
        """Rows per second of one INSERT into the built index, rolled back."""
        with connect(self.database) as connection:
            count = connection.execute("SELECT count(*) FROM held").fetchone()[0]
            with connection.transaction(force_rollback=True):
                started = time.monotonic()
                connection.execute("INSERT INTO items SELECT id + 1000000000, embedding FROM held")
                self.insert_rate = count / (time.monotonic() - started)
        print(f"{self.method.name:10} {self.insert_rate:.0f} inserts/s", flush=True)

    def cold(self):
        """Pages read a query over the first queries after a restart, of index, table and TOAST."""
        if not self.args.restart:
            return
        subprocess.run(self.args.restart, shell=True, check=True, stdout=subprocess.DEVNULL)
        settings = self.settings(self.setting_for(0.95))
        read = []
        with connect(self.database, enable_seqscan="off", **settings) as connection:
            for i in range(min(COLD_QUERIES, len(self.data.test))):
                explain = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) " + self.query.format(i)
                top = connection.execute(explain).fetchone()[0][0]["Plan"]
                read.append(top["Shared Read Blocks"])
        self.cold_pages = float(np.mean(read))
        print(f"{self.method.name:10} cold: {self.cold_pages:.0f} pages read a query", flush=True)

    def setting_for(self, recall):
        """The least value of the search setting that reaches a recall, else the greatest tried."""
        points = [p for p in self.points if p.value is not None]
        good = [p.value for p in points if p.recall >= recall]
        return min(good) if good else max(p.value for p in points)

    def two_clients(self):
        """What a second client adds, as a factor: queries beside look-ups in a btree, inserts beside
        those into a table without an index."""
        settings = {**self.settings(self.setting_for(0.95)), "enable_seqscan": "off"}
        look_up = "SELECT id FROM queries WHERE id = {}"
        rows = self.args.insert_rows
        statements = {
            "queries": (settings, None, None),
            "look-ups": ({}, look_up, None),
            "inserts": ({}, "INSERT INTO items SELECT nextval('more'), embedding FROM held WHERE id = {}", rows),
            "plain inserts": ({}, "INSERT INTO plain SELECT nextval('more'), embedding FROM held WHERE id = {}", rows),
        }  # fmt: skip
        with connect(self.database) as connection:
            connection.execute("CREATE SEQUENCE more START 2000000001 AS bigint CACHE 1000 MAXVALUE 2147483647")
        self.factors = {}
        for name, arguments in statements.items():
            one, two = (self.pgbench(*arguments, clients=clients) for clients in (1, 2))
            self.factors[name] = two / one
        print(f"{self.method.name:10} 2 clients: "
              + ", ".join(f"{name} {factor:.2f}x" for name, factor in self.factors.items()), flush=True)  # fmt: skip

    def grow(self):
        """Size of the index after a tenth more rows (with those rolled back), against a fresh one."""
        rows = max(0, len(self.data.train) // 10 - self.args.insert_rows)
        with connect(self.database) as connection:
            for start in range(0, rows, self.args.insert_rows):
                connection.execute(
                    "INSERT INTO items SELECT 1000000000 + %s + row_number() OVER (), embedding FROM held LIMIT %s",
                    (start, min(self.args.insert_rows, rows - start)),
                )
            grown = connection.execute("SELECT pg_table_size('items_index')").fetchone()[0]
        self.growth = grown / self.index_bytes
        print(f"{self.method.name:10} {self.growth:.2f} times the size after 10 % more rows", flush=True)

    def drop(self):
        with connect("postgres") as connection:
            connection.execute(f"DROP DATABASE {self.database} WITH (FORCE)")

    def run(self):
        self.load()
        self.build()
        self.sweep()
        self.insert()
        if self.method.name == "annivf":
            self.grow()
        self.cold()
        self.two_clients()
        if not self.args.keep:
            self.drop()


# ---- The report


def frontier(points):
    """The points that no other point beats in recall and speed at once, by recall."""
    best, result = -1.0, []
    for point in sorted(points, key=lambda p: (-p.recall, -p.rate)):
        if point.rate > best:
            best = point.rate
            result.append(point)
    return result[::-1]


def rate_at(points, recall):
    """Queries per second at a recall, interpolated on the frontier (logarithm of the rate); None where
    the curve does not reach it. Left of the curve its first point counts: it has more recall."""
    curve = frontier(points)
    if not curve or curve[-1].recall < recall:
        return None
    for left, right in zip(curve, curve[1:]):
        if left.recall <= recall <= right.recall and right.recall > left.recall:
            share = (recall - left.recall) / (right.recall - left.recall)
            return math.exp((1 - share) * math.log(left.rate) + share * math.log(right.rate))
    return curve[0].rate


def work_at(points, recall, name):
    """A count of the work per query at a recall, interpolated between the settings around it."""
    curve = sorted((p for p in points if p.value is not None and name in p.work), key=lambda p: p.recall)
    return float(np.interp(recall, [p.recall for p in curve], [p.work[name] for p in curve])) if curve else math.nan


def report_more(benches):
    """What stands beside the speed: ratios of annivf to each peer, and its own work."""
    own = benches[0]
    lines = []
    for peer in benches[1:]:
        facts = [
            f"build {peer.build_seconds / own.build_seconds:.1f}x faster",
            f"{peer.build_cpu / own.build_cpu:.1f}x less CPU",
            f"size 1/{peer.index_bytes / own.index_bytes:.1f}",
            f"inserts {own.insert_rate / peer.insert_rate:.1f}x",
        ]
        if peer.cold_pages > 0:
            facts.append(f"cold pages a query {own.cold_pages:.0f} to {peer.cold_pages:.0f}")
        lines.append(f"annivf to {peer.method.name}: " + ", ".join(facts))
    for recall in (0.95, 0.99):
        lines.append(
            f"annivf at {recall}: "
            + ", ".join(f"{work_at(own.points, recall, name):.0f} {text}" for name, text in WORK.items())
            + " a query"
        )
    lines.append(f"annivf after 10 % more rows: {own.growth:.2f} times the size")
    for bench in benches:
        f = bench.factors
        lines.append(
            f"{bench.method.name}, 2 clients to 1: queries {f['queries']:.2f}x (btree look-ups {f['look-ups']:.2f}x), "
            f"inserts {f['inserts']:.2f}x (without an index {f['plain inserts']:.2f}x)"
        )
    return "\n".join(lines)


def report(benches, data):
    """The table as text."""
    lines = [
        f"{data.name}: {len(data.train)} rows x {data.train.shape[1]}, {data.metric}, "
        f"{len(data.test)} queries, recall@{data.k}; one client, warm, prepared; queries/s at equal recall",
        f"{'':10}" + "".join(f"{'r=' + format(recall, '.2f'):>16}" for recall in RECALLS)
        + f"{'default (recall)':>20}{'build s':>10}{'CPU s':>9}{'MB':>9}{'inserts/s':>11}",
    ]
    ours = benches[0].points if benches[0].method.name == "annivf" else None
    for bench in benches:
        cells = ""
        for recall in RECALLS:
            rate, own = rate_at(bench.points, recall), ours and rate_at(ours, recall)
            ratio = f" ({own / rate:.1f}x)" if rate and own and bench.points is not ours else ""
            cells += f"{format(rate, '.0f') + ratio if rate else '-':>16}"
        default = bench.points[0]
        lines.append(
            f"{bench.method.name:10}{cells}{f'{default.rate:.0f} ({default.recall:.4f})':>20}"
            f"{bench.build_seconds:>10.1f}{bench.build_cpu:>9.1f}{bench.index_bytes / 1e6:>9.1f}"
            f"{bench.insert_rate:>11.0f}"
        )
    if ours and len(benches) > 1:
        lines.append("(n x): annivf is so many times as fast")
    if ours:
        lines.append(report_more(benches))
    return "\n".join(lines)


def write_csv(path, benches, data):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["dataset", "rows", "dim", "metric", "k", "method", "setting", "recall", "recall_worst_1pct",
                         "queries_per_second", "buffers_per_query", *WORK, "unordered_share", "index_used",
                         "build_seconds", "build_cpu_seconds", "index_bytes", "table_bytes", "inserts_per_second"])  # fmt: skip
        for bench in benches:
            for p in bench.points:
                writer.writerow([data.name, *data.train.shape, data.metric, data.k, bench.method.name, p.setting,
                                 round(p.recall, 5), round(p.worst, 4), round(p.rate, 1), round(p.buffers, 1),
                                 *(p.work.get(name, "") for name in WORK),
                                 round(p.unordered, 4), p.index_used, round(bench.build_seconds, 2),
                                 round(bench.build_cpu, 2), bench.index_bytes, bench.table_bytes,
                                 round(bench.insert_rate, 1)])  # fmt: skip


def draw(path, benches, data):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5.5), layout="constrained")
    for bench in benches:
        curve = sorted(bench.points[1:], key=lambda p: p.recall)
        (line,) = axes.plot([p.recall for p in curve], [p.rate for p in curve], "o-", markersize=4,
                            label=f"{bench.method.name}: build {bench.build_seconds:.0f} s, "
                            f"{bench.index_bytes / 1e6:.0f} MB, {bench.insert_rate:.0f} inserts/s")  # fmt: skip
        default = bench.points[0]
        axes.plot(default.recall, default.rate, "*", markersize=14, color=line.get_color())
    axes.set_yscale("log")
    low = min((p.recall for bench in benches for p in bench.points), default=0)
    axes.set_xlim(max(low - 0.01, 0.7), 1.001)
    axes.grid(True, which="both", alpha=0.3)
    axes.set_xlabel(f"recall@{data.k}")
    axes.set_ylabel("queries per second, one client")
    axes.set_title(f"{data.name}: {len(data.train):,} × {data.train.shape[1]}, {data.metric} (star: defaults)")
    axes.legend()
    figure.savefig(path, dpi=150)


# ---- Options


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("file", help="HDF5 file in the layout of ann-benchmarks")
    add("--rows", type=int, help="only the first ROWS rows; the true neighbours are computed again")
    add("--queries", type=int, help="only the first QUERIES queries")
    add("--k", type=int, default=10, help="neighbours asked for (10)")
    add("--peers", help="other access methods to measure, by commas, or none (all the server has)")
    add("--sweep", type=lambda s: [int(v) for v in s.split(",")], help="values of ann.num_leaves_to_search")
    add("--ann-with", default="", metavar="OPTIONS", help="WITH clause of the annivf index")
    add("--ann-set", action="append", default=[], metavar="NAME=VALUE", help="setting of annivf's searches")
    add("--seconds", type=int, default=5, help="length of each pgbench run (5)")
    add("--repeat", type=int, default=1, help="pgbench runs per setting, of which the median counts (1)")
    add("--insert-rows", type=int, default=10_000, help="rows of the insert measurement (10000)")
    add("--stop-recall", type=float, default=0.997, help="end of each sweep (0.997)")
    add("--maintenance-work-mem", default="1GB", help="of the builds (1GB)")
    add("--output", type=pathlib.Path, default=pathlib.Path("bench-results"), help="directory (bench-results)")
    add("--keep", action="store_true", help="leave the databases of an existing server")
    add("--restart", help="command that restarts the server (given by tools/bench for its own)")
    add("--pg-config", help="pg_config of the PostgreSQL installation")
    add("--host", help="use a running server")
    add("--port", help="use a running server")
    return parser.parse_args()


def available_methods(peers):
    """annivf first, then the peers asked for, as far as the server has them."""
    with connect("postgres") as connection:
        print(connection.execute("SELECT version()").fetchone()[0])
        extensions = dict(connection.execute("SELECT name, default_version FROM pg_available_extensions").fetchall())
    wanted = None if peers is None else [name for name in peers.split(",") if name != "none"]
    methods = [
        method
        for method in METHODS
        if method.extension in extensions and (method.name == "annivf" or wanted is None or method.name in wanted)
    ]
    for name in wanted or ():
        if name not in [method.name for method in methods]:
            sys.exit(f"the server has no {name}")
    print("comparing", ", ".join(f"{m.name} ({m.extension} {extensions[m.extension]})" for m in methods))
    if not methods:
        sys.exit("the server has neither ann nor a peer of it")
    return methods


def main():
    args = parse_arguments()
    os.environ["PGHOST"] = args.host or os.environ.get("PGHOST", "localhost")
    os.environ["PGPORT"] = args.port or os.environ.get("PGPORT", "5432")
    methods = available_methods(args.peers)
    if os.getloadavg()[0] > os.cpu_count() / 2:
        print(f"WARNING: this machine is busy (load {os.getloadavg()[0]:.1f}); times will be too long")
    data = Dataset(args.file, args.rows, args.queries, args.k)
    benches = []
    for method in methods:
        bench = Bench(method, data, args)
        bench.run()
        benches.append(bench)
    args.output.mkdir(parents=True, exist_ok=True)
    target = args.output / (data.name if args.rows is None else f"{data.name}-{len(data.train)}")
    table = report(benches, data)
    print("\n" + table)
    target.with_suffix(".txt").write_text(table + "\n")
    write_csv(target.with_suffix(".csv"), benches, data)
    draw(target.with_suffix(".png"), benches, data)
    print(f"\nwritten: {target}.txt, .csv, .png")


if __name__ == "__main__":
    try:
        main()
    except (OSError, KeyError, psycopg.Error) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)

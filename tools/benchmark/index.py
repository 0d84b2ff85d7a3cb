"""One access method in a database of its own: built, searched, inserted into."""

import dataclasses
import math
import os
import subprocess
import threading
import time

import numpy as np
import psycopg
from tqdm import tqdm

from .results import Point, Result, setting_for, settings_around
from .server import CpuClock, connect, copy_vectors, pgbench, prewarm, say, watch_build

# Queries whose pages are counted after a restart.
COLD_QUERIES = 200

# Counts of ann_search_stats() that are reported.
WORK = {"leaves_searched": "leaves", "codes_scanned": "codes", "heap_fetches": "heap rows"}


@dataclasses.dataclass
class Method:
    """An access method: how it is installed, built and searched."""

    name: str
    extension: str
    setting: str
    values: tuple
    options: str = ""  # the WITH clause; {lists} and {cores} are filled in
    most: int = 0  # the greatest value of the setting


METHODS = (
    Method("annivf", "ann", "ann.num_leaves_to_search", (8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 1024),
           most=16_777_216),
    Method("hnsw", "vector", "hnsw.ef_search", (10, 20, 40, 80, 120, 200, 300, 400, 600, 1000),
           "m = 16, ef_construction = 64", most=1000),
    Method("ivfflat", "vector", "ivfflat.probes", (1, 2, 4, 8, 16, 32, 64, 128), "lists = {lists}", most=32_768),
    Method("vchordrq", "vchord", "vchordrq.probes", (4, 8, 16, 32, 64, 128, 256, 512),
           "options = $$residual_quantization = true\n[build.internal]\nlists = [{lists}]\n"
           "build_threads = {cores}$$", most=65_535),
    Method("diskann", "vectorscale", "diskann.query_search_list_size", (20, 50, 100, 200, 400),
           most=10_000),
)  # fmt: skip


class Index:
    """A method, its database and what was measured there (result)."""

    index_name = "items_index"
    schema = ""  # of the extension, where it is not in the search path

    def __init__(self, method, data, args, name=None):
        self.method, self.data, self.args = method, data, args
        self.name = name or method.name
        self.own = method.name == "annivf"
        self.database = f"ann_bench_{self.name.replace(' ', '_')}"
        self.query = (
            f"SELECT id FROM items ORDER BY embedding {data.operator} "
            f"(SELECT embedding FROM queries WHERE id = {{}}) LIMIT {data.k}"
        )
        self.result = Result(self.name, rows=data.rows)

    def say(self, text):
        say(self.name, text)

    def title(self, text):
        return f"{self.name}: {text}"

    # ---- Loading and building

    def load(self, held):
        """Makes the database: the rows, the queries and `held` rows that the index does not hold."""
        with connect("postgres") as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {self.database}")
            connection.execute(f"CREATE DATABASE {self.database}")
        dim = self.data.train.shape[1]
        tables = {"items": self.data.train, "queries": self.data.test, "held": self.data.held_rows(held)}
        with connect(self.database) as connection:
            connection.execute(f"CREATE EXTENSION {self.method.extension} CASCADE")
            for table, vectors in tables.items():
                connection.execute(f"CREATE TABLE {table} (id int NOT NULL, embedding vector({dim}))")
                copy_vectors(connection, table, vectors, self.title(f"load {table}"))
                connection.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (id)")
            connection.execute("CREATE TABLE plain (LIKE items)")
            connection.execute("CREATE SEQUENCE more AS int START 1000000000 CACHE 1000")
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")
        self.say(f"{len(self.data.train)} rows loaded")

    def build(self):
        rows, result = len(self.data.train), self.result
        lists = max(1, round(max(rows / 1000, math.sqrt(rows))))
        options = self.args.ann_with if self.own else self.method.options
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
                result.build_seconds, result.build_cpu = time.monotonic() - started, clock.seconds()
                stop.set()
                watcher.join()
            result.index_bytes = connection.execute("SELECT pg_table_size('items_index')").fetchone()[0]
            result.table_bytes = connection.execute("SELECT pg_table_size('items')").fetchone()[0]
            connection.execute("CHECKPOINT")
        self.say(f"built in {result.build_seconds:.1f} s ({result.build_cpu:.1f} s of CPU), "
                 f"{result.index_bytes / 1e6:.1f} MB")  # fmt: skip

    def warm(self):
        prewarm(self.database, ("items", "items_pkey", "items_index", "queries", "queries_pkey", "held", "held_pkey"))

    def drop(self):
        with connect("postgres") as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {self.database} WITH (FORCE)")

    # ---- Searching

    def settings(self, value, **more):
        settings = {self.method.setting: value} if value is not None else {}
        if self.own:
            settings.update(pair.split("=", 1) for pair in self.args.ann_set)
        return {**settings, **more}

    def measure(self, value, **more):
        """The point of one value of the search setting (None: the default), under further settings."""
        settings, data = self.settings(value, **more), self.data
        label = "default" if value is None else f"{self.method.setting}={value}"
        with connect(self.database, **settings) as connection:
            used = self.is_planned(connection)
            if not used:
                self.turn_off_seqscan(connection, settings)
            judged = []
            for i in tqdm(range(len(data.test)), self.title(f"recall, {label}"), leave=False, disable=None):
                judged.append(data.judge(i, self.ask(connection, i)))
            buffers, work = self.work(connection)
        recalls = np.array([recall for recall, _ in judged])
        point = Point(
            label,
            value,
            float(recalls.mean()),
            self.query_rate(settings),
            worst=float(np.sort(recalls)[: max(1, len(recalls) // 100)].mean()),
            unordered=float(np.mean([not ordered for _, ordered in judged])),
            buffers=buffers,
            work=work,
            index_used=used,
        )
        self.say(f"{label:32} recall {point.recall:.4f} (worst 1 %: {point.worst:.2f})  "
                 f"{point.rate:8.0f} q/s  {buffers:6.0f} buffers"
                 + "".join(f", {work[name]:.0f} {text}" for name, text in WORK.items() if name in work)
                 + (f"  {point.unordered:.1%} out of order" if point.unordered else "")
                 + ("" if used else "  PLANNER CHOSE ANOTHER PLAN, seqscan disabled"))  # fmt: skip
        return point

    def statement(self, i):
        """The statement of a query."""
        return self.query.format(i)

    def is_planned(self, connection):
        """Does the planner take the index?"""
        plan = connection.execute("EXPLAIN " + self.statement(0)).fetchall()
        return any(self.index_name in line for (line,) in plan)

    def turn_off_seqscan(self, connection, settings):
        settings["enable_seqscan"] = "off"
        connection.execute("SET enable_seqscan = off")

    def ask(self, connection, i):
        """The answer to a query, for data.judge()."""
        return [row[0] for row in connection.execute(self.query.format("%s"), (i,), prepare=True)]

    def query_rate(self, settings):
        return self.rate(settings, self.query, repeat=self.args.repeat)

    def rate(self, settings, statement, rows=None, clients=1, repeat=1):
        """Statements per second; {} in the statement is a number below rows, by default of a query."""
        return pgbench(self.database, settings, statement.format(":id"), rows or len(self.data.test),
                       self.args.seconds, repeat, clients)  # fmt: skip

    def explain(self, connection, i):
        """Pages of a query but for the look-up of its vector: (touched, read into shared buffers)."""
        statement = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) " + self.statement(i)
        top = connection.execute(statement).fetchone()[0][0]["Plan"]
        look_ups = [part for part in top["Plans"] if part["Parent Relationship"] == "InitPlan"]
        hit, read = (
            top[name] - sum(part[name] for part in look_ups) for name in ("Shared Hit Blocks", "Shared Read Blocks")
        )
        return hit + read, read

    def work(self, connection):
        """Buffers that the index scan touches per query, and what annivf counts of its own work."""
        touched, counts, cursor = [], [], None
        for i in range(0, len(self.data.test), max(1, len(self.data.test) // 50)):
            touched.append(self.explain(connection, i)[0])
            if self.own:
                cursor = connection.execute(f"SELECT * FROM {self.schema}ann_search_stats()")
                counts.append(cursor.fetchone())
        work = dict(zip((c.name for c in cursor.description), np.mean(counts, axis=0))) if cursor else {}
        return float(np.mean(touched)), work

    def sweep(self, stop, values):
        """The default, then the settings up to that recall."""
        self.warm()
        points = self.result.points
        points.append(self.measure(None))
        for value in values:
            try:
                point = self.measure(value)
            except psycopg.errors.InvalidParameterValue:
                break  # beyond the setting's range
            points.append(point)
            idle = len(points) > 4 and point.recall <= points[-4].recall + 0.0005
            if point.recall >= stop or (idle and point.recall > 0.9):
                break  # the curve is complete, or the setting has no more to give

    def kernels(self):
        """The levels of ann.simd that this machine has, first the one in use."""
        with connect(self.database) as connection:
            connection.execute("LOAD 'ann'")
            levels = [connection.execute("SELECT ann_simd()").fetchone()[0]]
            names = connection.execute("SELECT enumvals FROM pg_settings WHERE name = 'ann.simd'").fetchone()[0]
            for name in reversed(names):
                if name in ("auto", *levels):
                    continue
                try:
                    connection.execute(f"SET ann.simd = {name}")  # the setting is a superuser's
                except psycopg.Error as error:
                    self.say(f"ann.simd = {name} not measured: {error.diag.message_primary}")
                    continue
                levels.append(name)
        return levels

    def simd(self):
        """The settings around recall .95 and .99 with each level of ann.simd in turn."""
        kernels = self.kernels()
        self.result.levels = {name: [] for name in kernels}
        for value in settings_around(self.result.points, (0.95, 0.99)):
            for name in kernels:
                self.say(f"ann.simd = {name}")
                self.result.levels[name].append(self.measure(value, **{"ann.simd": name}))

    # ---- Pages, clients and inserts

    def cold(self):
        """Pages of index, table and TOAST read a query over the first queries after a restart."""
        if not self.args.restart:
            return
        subprocess.run(self.args.restart, shell=True, check=True, stdout=subprocess.DEVNULL)
        settings = self.settings(setting_for(self.result.points, 0.95), enable_seqscan="off")
        with connect(self.database, **settings) as connection:
            read = [self.explain(connection, i)[1] for i in range(min(COLD_QUERIES, len(self.data.test)))]
        self.result.cold_pages = float(np.mean(read))
        self.say(f"cold: {self.result.cold_pages:.0f} pages read a query")
        self.warm()

    def as_long_as(self, settings, target, filler):
        """The statement `filler` with such a count of units {0} as takes the time of the statement `target`."""

        def seconds(connection, statement):
            taken = []
            for i in range(min(200, len(self.data.test))):
                started = time.perf_counter()
                connection.execute(statement.replace("%", "%%").format("%s"), (i,), prepare=True)
                taken.append(time.perf_counter() - started)
            return float(np.median(taken[len(taken) // 4 :]))

        with connect(self.database, **settings) as connection:
            few, many, wanted = (
                seconds(connection, statement)
                for statement in (filler.format(1, "{}"), filler.format(101, "{}"), target)
            )
        return filler.format(max(1, round(1 + 100 * (wanted - few) / max(many - few, 1e-6))), "{}")

    def two_clients(self, names):
        """What a second client adds, as a factor: queries beside look-ups in a btree, inserts beside
        those into a table without an index. The factor also depends on the length of a statement, as a
        processor that waits for one has to be woken: so the others are made as long as annivf's."""
        search = self.settings(setting_for(self.result.points, 0.95), enable_seqscan="off")
        insert = "INSERT INTO items SELECT nextval('more'), embedding FROM held WHERE id = {}"
        look_ups = (
            "SELECT count(*) FROM generate_series(1, {0}) n, LATERAL"
            f" (SELECT id FROM items WHERE id = (n * 7919 + {{1}}) % {len(self.data.train)} OFFSET 0) one"
        )
        plain = "INSERT INTO plain SELECT nextval('more'), embedding FROM held WHERE id >= {1} ORDER BY id LIMIT {0}"
        statements = {"queries": (search, self.query, None), "inserts": ({}, insert, self.args.insert_rows)}
        if "look-ups" in names:
            statements["look-ups"] = (search, self.as_long_as(search, self.query, look_ups), None)
        if "plain inserts" in names:
            statements["plain inserts"] = ({}, self.as_long_as({}, insert, plain), self.args.insert_rows)
        for name in names:
            one, two = (self.rate(*statements[name], clients, self.args.repeat) for clients in (1, 2))
            self.result.factors[name] = two / one
            self.say(f"2 clients: {name} {two / one:.2f}x ({one:.0f} statements/s by one)")

    def insert(self):
        """Rows per second of one INSERT into the built index, rolled back."""
        count = self.args.insert_rows
        with connect(self.database) as connection, connection.transaction(force_rollback=True):
            started = time.monotonic()
            connection.execute("INSERT INTO items SELECT nextval('more'), embedding FROM held WHERE id < %s", (count,))
            self.result.insert_rate = count / (time.monotonic() - started)
        self.say(f"{self.result.insert_rate:.0f} inserts/s")

    def grow(self):
        """Size of the index after a tenth more rows, those rolled back among them, against a fresh one."""
        rows = len(self.data.train) // 10
        with connect(self.database) as connection:
            connection.execute(
                "INSERT INTO items SELECT nextval('more'), embedding FROM held WHERE id BETWEEN %s AND %s",
                (self.args.insert_rows, rows - 1),
            )
            grown = connection.execute("SELECT pg_table_size('items_index')").fetchone()[0]
        self.result.growth = grown / self.result.index_bytes
        self.say(f"{self.result.growth:.3f} times the size after 10 % more rows")

    def run(self):
        """Everything, in an order in which nothing spoils what is measured after it."""
        self.load(held=max(self.args.insert_rows, len(self.data.train) // 10 if self.own else 0))
        self.build()
        self.sweep(self.args.stop_recall, self.args.sweep.get(self.name, self.method.values))
        if self.own and self.args.simd:
            self.simd()
        self.cold()
        self.two_clients(("queries", "look-ups") if self.own else ("queries",))
        self.insert()
        if self.own:
            self.grow()
        self.two_clients(("inserts", "plain inserts") if self.own else ("inserts",))

    def run_tenth(self):
        """The same method on a tenth of the rows, as far as recall .95."""
        tenth = Index(self.method, self.data.tenth(), self.args, f"{self.name} tenth")
        try:
            tenth.load(held=0)
            tenth.build()
            tenth.sweep(0.95, self.method.values)
            self.result.tenth = tenth.result
        finally:
            if not self.args.keep:
                tenth.drop()

"""The server: connections, loading, the clocks of a build, pgbench."""

import math
import os
import pathlib
import re
import subprocess
import tempfile
import time

import numpy as np
import psycopg
from psycopg import sql
from tqdm import tqdm

STARTED = time.monotonic()


class Failed(Exception):
    """A program that was started for a measurement failed."""


def say(who, text):
    """A line of progress, with the time since the start."""
    minutes, seconds = divmod(int(time.monotonic() - STARTED), 60)
    print(f"{minutes:3}:{seconds:02}  {who:14} {text}", flush=True)


def options_of(settings):
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def connect(database, **settings):
    """A connection to a database by its name, or by a connection string; empty: as the environment says."""
    if database and "=" not in database and "://" not in database:
        database = psycopg.conninfo.make_conninfo(dbname=database)
    return psycopg.connect(database, options=options_of(settings), autocommit=True)


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


def prewarm(database, tables):
    """Reads tables and indexes into shared buffers, where the server has pg_prewarm."""
    with connect(database) as connection:
        try:
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_prewarm")
            for table in tables:
                connection.execute("SELECT pg_prewarm(%s::regclass)", (table,))
        except psycopg.Error:
            pass  # whatever is measured warms up as well


def pgbench(database, settings, statement, rows, seconds, repeat=1, clients=1):
    """Statements per second, prepared, :id drawn at random below rows; the median of so many runs."""
    return run_pgbench(
        database, settings, ["-"], seconds, repeat, clients, f"\\set id random(0, {rows - 1})\n{statement};\n"
    )


def pgbench_any(database, settings, statements, seconds, repeat=1):
    """Statements per second of one client that draws them at random, each prepared; pgbench takes 128 at most."""
    with tempfile.TemporaryDirectory() as directory:
        files = []
        for i, statement in enumerate(statements[:128]):
            files.append(pathlib.Path(directory) / str(i))
            files[-1].write_text(statement + ";\n", encoding="utf-8")
        return run_pgbench(database, settings, files, seconds, repeat)


def run_pgbench(database, settings, files, seconds, repeat=1, clients=1, script=None):
    command = ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(clients)]
    for file in files:
        command += ["-f", str(file)]
    command += [database] if database else []
    environment = {**os.environ, "PGOPTIONS": options_of(settings)}
    rates = []
    for length in (1, *[seconds] * repeat):  # the first run warms up
        done = subprocess.run([*command, "-T", str(length)], input=script, env=environment,
                              text=True, capture_output=True)  # fmt: skip
        rate = re.search(r"tps = ([\d.]+)", done.stdout)
        if done.returncode != 0 or not rate:
            raise Failed(f"pgbench failed: {done.stderr}")
        rates.append(float(rate.group(1)))
    return float(np.median(rates[1:]))

"""Measures annivf beside every other vector index access method that a PostgreSQL server has.

For each of them, in a database of its own: load the rows, build the index (wall time, CPU time, size),
then over a sweep of its search setting the recall and the queries per second of one client with a
prepared statement (pgbench); the pages that queries read after a restart, two clients against one, the
rate of inserts into the built index, and of annivf the size after a tenth more rows. On demand annivf with
lesser SIMD kernels (--simd), on a tenth of the rows (--growth), and libraries outside of PostgreSQL
(--libraries). Of a user's own table (--table) the indexes that it has, as they are. Prints the queries per
second at equal recall and the table of all ratios, writes every point to a CSV file and draws the plot.

Started by tools/bench, which provides the server and the Python packages.

  results.py    points and what is interpolated between them    } without server, numpy or
  report.py     tables, CSV, plot                                } files: tools/benchmark/test_report.py
  dataset.py    rows, queries, true neighbours
  server.py     connections, loading, clocks, pgbench
  index.py      an access method in its database
  table.py      indexes of a table that is there
  libraries.py, library_worker.py    ScaNN and Faiss
"""

import argparse
import os
import pathlib
import subprocess
import sys

import psycopg

from .dataset import load_dataset
from .index import METHODS, WORK, Index
from .libraries import measure_libraries
from .report import draw, report, write_csv
from .server import Failed, connect, say
from .table import load_table

# What --quick stands for.
QUICK = {"rows": 20_000, "queries": 100, "seconds": 1, "insert_rows": 1_000}


def sweep_option(text):
    """[METHOD=]VALUE,VALUE... as (method, values)."""
    method, _, values = text.rpartition("=")
    return method or "annivf", [int(value) for value in values.split(",")]


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("file", nargs="?", help="HDF5 file in the layout of ann-benchmarks")
    add("--table", help="instead of a file: a table of a running server, of which nothing is changed")
    add("--column", help="its column of vectors")
    add("--connection", default="", metavar="DSN", help="connection string of its database (as PGHOST and so on say)")
    add("--index", help="its index to be measured (the first of annivf)")
    add("--queries-table", help="queries are rows of this table (rows of --table, left out of their own answers)")
    add("--queries-column", help="their column (--column)")
    add("--rows", type=int, help="only the first ROWS rows; the true neighbours are computed again")
    add("--queries", type=int, help="only the first QUERIES queries; of a table a sample of as many (200)")
    add("--k", type=int, default=10, help="neighbours asked for (10)")
    add("--peers", help="other access methods to measure, by commas, or none (all the server has)")
    add("--growth", action="store_true", help="also annivf on a tenth of the rows")
    add("--simd", action="store_true", help="also annivf with each lesser level of ann.simd")
    add("--libraries", nargs="?", const=sys.executable, metavar="PYTHON",
        help="also ScaNN and Faiss, where this PYTHON can import them (the one of the bench)")  # fmt: skip
    quick = ", ".join(f"{name.replace('_', '-')} {value}" for name, value in QUICK.items())
    add("--quick", action="store_true", help=f"a smoke run: {quick}")
    add("--sweep", type=sweep_option, action="append", default=[], metavar="[METHOD=]VALUES",
        help="values of a method's search setting, by commas (annivf)")  # fmt: skip
    add("--ann-with", default="", metavar="OPTIONS", help="WITH clause of the annivf index")
    add("--ann-set", action="append", default=[], metavar="NAME=VALUE", help="setting of annivf's searches")
    add("--seconds", type=int, help="length of each pgbench run (5)")
    add("--repeat", type=int, default=1, help="pgbench runs per setting, of which the median counts (1)")
    add("--insert-rows", type=int, help="rows of the insert measurement (10000)")
    add("--stop-recall", type=float, default=0.997, help="end of each sweep (0.997)")
    add("--maintenance-work-mem", default="1GB", help="of the builds (1GB)")
    add("--output", type=pathlib.Path, default=pathlib.Path("bench-results"), help="directory (bench-results)")
    add("--keep", action="store_true", help="leave the databases of an existing server")
    add("--restart", help="command that restarts the server (given by tools/bench for its own)")
    add("--pg-config", help="pg_config of the PostgreSQL installation")
    add("--host", help="use a running server")
    add("--port", help="use a running server")
    args = parser.parse_args()
    defaults = {"seconds": 5, "insert_rows": 10_000, **(QUICK if args.quick else {})}
    for name, value in defaults.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    args.sweep = dict(args.sweep)
    if (args.file is None) == (args.table is None):
        parser.error("a file or --table NAME is what it needs")
    if args.table and not args.column:
        parser.error("--table needs --column")
    if args.table:
        args.queries = args.queries or 200
    return args


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


def measure(index, args):
    """The result of a method. A peer that fails does not take the others with it: what it has is kept."""
    try:
        index.run()
        if index.own and args.growth:
            index.run_tenth()
    except (Failed, psycopg.Error, subprocess.CalledProcessError) as error:
        if index.own:
            raise
        index.say(f"FAILED, the rest of it is not measured: {error}")
    finally:
        if not args.keep:
            index.drop()
    return index.result


def main():
    args = parse_arguments()
    if args.table:
        data, indexes = load_table(args)
    else:
        os.environ["PGHOST"] = args.host or os.environ.get("PGHOST", "localhost")
        os.environ["PGPORT"] = args.port or os.environ.get("PGPORT", "5432")
        methods = available_methods(args.peers)
        data = load_dataset(args.file, args.rows, args.queries, args.k)
        indexes = [Index(method, data, args) for method in methods]
    if os.getloadavg()[0] > os.cpu_count() / 2:
        print(f"WARNING: this machine is busy (load {os.getloadavg()[0]:.1f}); times will be too long")
    args.output.mkdir(parents=True, exist_ok=True)
    target = args.output / (data.name if args.rows is None else f"{data.name}-{data.rows}")
    results, libraries, table = [], [], ""

    def save():
        """The files of what is measured so far."""
        nonlocal table
        table = report(results, libraries, data)
        target.with_suffix(".txt").write_text(table + "\n", encoding="utf-8")
        write_csv(target.with_suffix(".csv"), results, libraries, data, WORK)

    for index in indexes:
        results.append(measure(index, args))
        save()
    if args.libraries:
        libraries = measure_libraries(args.libraries, data, args)
        save()
    draw(target.with_suffix(".png"), results, libraries, data)
    say("bench", f"written: {target}.txt, .csv, .png")
    print("\n" + table)


if __name__ == "__main__":
    try:
        main()
    except (OSError, KeyError, Failed, psycopg.Error, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)

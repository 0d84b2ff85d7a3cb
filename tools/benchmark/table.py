"""A user's own table, on his running server: its vector indexes as they are, beside a sequential scan.

Nothing is written there: every connection is read-only, and queries are rows of the table itself (each left
out of its own answer) or of another table.
"""

import dataclasses
import re
import sys

from tqdm import tqdm

from .index import METHODS, Index
from .results import judge_answer
from .server import Failed, connect, pgbench_any

READ_ONLY = {"default_transaction_read_only": "on"}

# An index of one column by a method's ordering operator; an index that cannot be used for all rows does not count.
INDEXES = """
SELECT c.relname, a.amname, format('OPERATOR(%%I.%%s)', n.nspname, o.oprname), o.oprname,
    format_type(t.atttypid, t.atttypmod), t.atttypmod, s.size, s.names
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
    JOIN pg_attribute t ON t.attrelid = i.indrelid AND t.attnum = i.indkey[0]
    JOIN pg_opclass p ON p.oid = i.indclass[0]
    JOIN pg_amop m ON m.amopfamily = p.opcfamily AND m.amoppurpose = 'o' AND m.amoplefttype = p.opcintype
    JOIN pg_operator o ON o.oid = m.amopopr JOIN pg_namespace n ON n.oid = o.oprnamespace
    CROSS JOIN LATERAL (SELECT sum(pg_table_size(relid))::float8 AS size, array_agg(r.relname::text) AS names
        FROM (SELECT c.oid AS relid UNION SELECT relid FROM pg_partition_tree(c.oid)) p
            JOIN pg_class r ON r.oid = relid) s
WHERE i.indrelid = %s::regclass AND i.indnatts = 1 AND t.attname = %s AND a.amname = ANY (%s)
    AND i.indisvalid AND i.indpred IS NULL
ORDER BY a.amname <> 'annivf', c.oid
"""


@dataclasses.dataclass
class Found:
    """An index of the table."""

    name: str
    method: str
    operator: str  # with its schema
    symbol: str
    type: str
    dim: int
    size: float
    names: list  # its own, and those of the partitions' indexes


def choose_indexes(found, wanted, peers):
    """Those to be measured: the index asked for, else the first of annivf; and, of the same operator, one of each
    other method (peers: names by commas or none; None: all)."""
    own = next((f for f in found if f.name == wanted or (wanted is None and f.method == "annivf")), None)
    if own is None:
        return []
    allowed = None if peers is None else peers.split(",")
    chosen = [own]
    for other in found:
        if (
            other.operator == own.operator
            and other.method not in [f.method for f in chosen]
            and (allowed is None or other.method in allowed)
        ):
            chosen.append(other)
    return chosen


def quote_name(name):
    return '"' + name.replace('"', '""') + '"'


class TableData:
    """Queries and their true neighbours by a sequential scan."""

    def __init__(self, args, found):
        self.name, self.metric, self.k = re.sub(r"\W+", "_", args.table).strip("_"), found.symbol, args.k
        self.column, self.operator, self.type = quote_name(args.column), found.operator, found.type
        self.database = args.connection
        settings = {**READ_ONLY, "enable_indexscan": "off", "enable_indexonlyscan": "off"}
        with connect(self.database, **settings) as connection:
            self.relation = connection.execute("SELECT %s::regclass::text", (args.table,)).fetchone()[0]
            self.rows = connection.execute(f"SELECT count({self.column}) FROM {self.relation}").fetchone()[0]
            self.test, self.own = self.sample(connection, args)
            self.exact = [
                self.answer(connection, i)
                for i in tqdm(range(len(self.test)), "true neighbours", leave=False, disable=None)
            ]
        text = self.test[0]
        self.dim = found.dim if found.dim > 0 else text.count(",") + 1 if text.startswith("[") else len(text)

    def sample(self, connection, args):
        """Queries as texts, and the rows that they are (None: of another table)."""
        source = connection.execute("SELECT %s::regclass::text", (args.queries_table or args.table,)).fetchone()[0]
        column = quote_name(args.queries_column or args.column)
        sampled = connection.execute(
            f"SELECT row_name, value::text FROM (SELECT tableoid::text || ctid::text AS row_name, {column} AS value"
            f" FROM {source} WHERE {column} IS NOT NULL ORDER BY hashtext(tableoid::text || ctid::text), 1 LIMIT %s) s",
            (args.queries,),
        ).fetchall()
        if not sampled:
            sys.exit(f"{source} has no queries")
        return [text for _, text in sampled], [None if args.queries_table else name for name, _ in sampled]

    def statement(self, i):
        """A query: the row's name and its distance. One row more where the query itself is among them."""
        distance = f"{self.column} {self.operator} '{self.test[i]}'::{self.type}"
        return (
            f"SELECT tableoid::text || ctid::text, {distance} FROM {self.relation} ORDER BY {distance}"
            f" LIMIT {self.k + (self.own[i] is not None)}"
        )

    def answer(self, connection, i):
        return connection.execute(self.statement(i).encode()).fetchall()

    def judge(self, i, answer):
        return judge_answer(answer, self.exact[i], self.own[i], self.k)


class TableIndex(Index):
    """An index that is there."""

    def __init__(self, method, data, args, found, others):
        super().__init__(method, data, args)
        self.database, self.found, self.others = data.database, found, others
        self.result.index_bytes = found.size
        with connect(self.database, **READ_ONLY) as connection:
            schema = connection.execute(
                "SELECT quote_ident(nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace"
                " WHERE extname = 'ann'"
            ).fetchone()
        self.schema = f"{schema[0]}." if schema else ""

    def settings(self, value, **more):
        """The other indexes look as dear as their settings can make them."""
        dear = {method.setting: method.most for method in self.others}
        return {**READ_ONLY, **dear, **super().settings(value, **more)}

    def statement(self, i):
        return self.data.statement(i)

    def is_planned(self, connection):
        def names(node):
            return {node.get("Index Name")}.union(*(names(part) for part in node.get("Plans", ())))

        plan = connection.execute("EXPLAIN (FORMAT JSON) " + self.statement(0)).fetchone()[0][0]["Plan"]
        return bool(names(plan) & set(self.found.names))

    def turn_off_seqscan(self, connection, settings):
        super().turn_off_seqscan(connection, settings)
        if not self.is_planned(connection):
            raise Failed(f"the planner does not take {self.found.name} for {self.statement(0)[:200]}")

    def ask(self, connection, i):
        return self.data.answer(connection, i)

    def query_rate(self, settings):
        statements = [self.statement(i) for i in range(len(self.data.test))]
        return pgbench_any(self.database, settings, statements, self.args.seconds, self.args.repeat)

    def warm(self):
        """Asking for the recall does that."""

    def run(self):
        self.sweep(self.args.stop_recall, self.args.sweep.get(self.name, self.method.values))

    def drop(self):
        """It is not ours."""


def load_table(args):
    """(data, indexes to be measured) of a table."""
    with connect(args.connection, **READ_ONLY) as connection:
        print(connection.execute("SELECT version()").fetchone()[0])
        rows = connection.execute(INDEXES, (args.table, args.column, [method.name for method in METHODS])).fetchall()
    chosen = choose_indexes([Found(*row) for row in rows], args.index, args.peers)
    if not chosen:
        wanted = f"index {args.index}" if args.index else "annivf index"
        sys.exit(f"{args.table} has no {wanted} on column {args.column} alone")
    methods = {method.name: method for method in METHODS}
    print("comparing", ", ".join(f"{found.name} ({found.method})" for found in chosen))
    data = TableData(args, chosen[0])
    return data, [
        TableIndex(methods[found.method], data, args, found, [methods[o.method] for o in chosen if o is not found])
        for found in chosen
    ]

"""The tables, the CSV file and the plot of one run."""

import csv
import dataclasses
import math

from .results import frontier, rate_at, work_at

RECALLS = (0.90, 0.95, 0.98, 0.99)


@dataclasses.dataclass
class Row:
    """A verb: annivf's figure, what stands beside it, the figure of that, and the ratio as it is asked
    for: times as fast, as dear, a fraction."""

    verb: str
    own: float
    beside: str = ""
    other: float = math.nan
    ratio: str = ""
    digits: int = 0


def times(ratio):
    """A ratio to three digits, as 12.3x; nothing for what is not a number."""
    return f"{ratio:.{2 if ratio < 10 else 1 if ratio < 100 else 0}f}x" if math.isfinite(ratio) else ""


def fraction(ratio):
    """A ratio below 1 as 1/n."""
    return f"1/{1 / ratio:.1f}" if 0 < ratio <= 1 else times(ratio)


def divide(left, right):
    return left / right if right else math.nan


def search_rows(own, peers):
    """Speed at equal recall beside each peer, and heap rows."""
    rows = []
    for recall in (0.95, 0.99):
        for peer in peers:
            mine, other = own.rate_at(recall), peer.rate_at(recall)
            rows.append(Row(f"queries/s at {recall}", mine, peer.name, other, times(divide(mine, other))))
    usual, *lesser = own.levels.items() or [("", [])]
    for name, points in lesser:
        for recall in (0.95, 0.99):
            mine, other = rate_at(points, recall), rate_at(usual[1], recall)
            rows.append(
                Row(f"queries/s at {recall}, {name}", mine, f"annivf, {usual[0]}", other, times(divide(mine, other)))
            )
    if own.tenth:
        mine, other = (divide(1000, result.rate_at(0.95)) for result in (own, own.tenth))
        rows.append(
            Row("ms a query at 0.95", mine, f"annivf, {own.tenth.rows:,} rows", other, times(divide(mine, other)), 3)
        )
    for recall in (0.95, 0.99):
        rows.append(Row(f"heap rows a query at {recall}", work_at(own.points, recall, "heap_fetches"), digits=1))
    return rows


def change_rows(own, peers):
    """Build, size and inserts beside each peer."""
    rows = []
    for verb, name in (("build, s of CPU", "build_cpu"), ("build, s", "build_seconds")):
        for peer in peers:
            mine, other = getattr(own, name), getattr(peer, name)
            rows.append(Row(verb, mine, peer.name, other, f"{times(divide(other, mine))} faster", 1))
    for peer in peers:
        mine, other = own.index_bytes / 1e6, peer.index_bytes / 1e6
        rows.append(Row("index size, MB", mine, peer.name, other, fraction(divide(mine, other)), 1))
    fresh = own.index_bytes / 1e6
    rows.append(Row("MB after 10 % inserts", own.growth * fresh, "annivf, fresh", fresh, times(own.growth), 1))
    for peer in peers:
        ratio = divide(own.insert_rate, peer.insert_rate)
        rows.append(Row("inserts/s", own.insert_rate, peer.name, peer.insert_rate, times(ratio)))
    return rows


def other_rows(own, peers):
    """Two clients, pages when cold."""
    rows = []
    for verb, beside, name in (("queries", "look-ups", "btree look-ups"), ("inserts", "plain inserts", "plain INSERT")):
        mine, other = own.factors.get(verb, math.nan), own.factors.get(beside, math.nan)
        rows.append(Row(f"{verb} of 2 clients to 1", mine, name, other, times(divide(mine, other)), 2))
        for peer in peers:
            other = peer.factors.get(verb, math.nan)
            rows.append(Row(f"{verb} of 2 clients to 1", mine, peer.name, other, times(divide(mine, other)), 2))
    for peer in peers:
        ratio = fraction(divide(own.cold_pages, peer.cold_pages))
        rows.append(Row("pages read a query, cold", own.cold_pages, peer.name, peer.cold_pages, ratio))
    return rows


def table_rows(own, peers, libraries):
    """The rows of the table of ratios, without those of which nothing was measured."""
    rows = [
        *search_rows(own, [*peers, *libraries]),
        *change_rows(own, peers),
        *other_rows(own, peers),
    ]
    return [row for row in rows if math.isfinite(row.own) and (not row.beside or math.isfinite(row.other))]


def figure(value, digits=0):
    return f"{value:,.{digits}f}" if math.isfinite(value) else "-"


def markdown(header, rows):
    """A table whose columns stand below each other; all but the first to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(cells):
        first, *rest = zip(cells, widths)
        return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]) + " |"

    return "\n".join(line(cells) for cells in [header, rule, *rows])


def curve_table(results):
    """Queries per second at each recall, the default, build, size and inserts of every method."""
    header = ["queries/s at recall", *(f"{recall:.2f}" for recall in RECALLS), "default (recall)", "build s", "CPU s",
              "MB", "inserts/s"]  # fmt: skip
    rows = []
    for result in results:
        default = next((p for p in result.points if p.value is None), None)
        rows.append([
            result.name,
            *(figure(result.rate_at(recall)) for recall in RECALLS),
            f"{default.rate:,.0f} ({default.recall:.4f})" if default else "-",
            figure(result.build_seconds, 1),
            figure(result.build_cpu, 1),
            figure(result.index_bytes / 1e6, 1),
            figure(result.insert_rate),
        ])  # fmt: skip
    return markdown(header, rows)


def report(results, libraries, data):
    """What is printed: the curves, then annivf's table of ratios, then what its searches do."""
    lines = [
        f"{data.name}: {data.rows:,} rows x {data.dim}, {data.metric}, {len(data.test)} queries, recall@{data.k}; "
        f"one client, warm, prepared; queries/s interpolated at equal recall",
        "",
        curve_table([*results, *libraries]),
    ]
    own = results[0]
    if own.name != "annivf":
        return "\n".join(lines)
    rows = table_rows(own, results[1:], libraries)
    cells = [[row.verb, figure(row.own, row.digits), row.beside or "-", figure(row.other, row.digits), row.ratio or "-"]
             for row in rows]  # fmt: skip
    lines += ["", markdown(["verb", "annivf", "beside", "figure", "ratio"], cells)]
    return "\n".join(lines)


def write_csv(path, results, libraries, data, work):
    """Every point; `work` names the counts of a search that have columns of their own."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([
            "dataset", "rows", "dim", "metric", "k", "method", "setting", "recall", "recall_worst_1pct",
            "queries_per_second", "buffers_per_query", *work, "unordered_share", "index_used",
            "build_seconds", "build_cpu_seconds", "index_bytes", "table_bytes", "inserts_per_second",
        ])  # fmt: skip
        for result in all_results(results, libraries):
            facts = [result.build_seconds, result.build_cpu, result.index_bytes, result.table_bytes, result.insert_rate]
            for p in result.points:
                measured = [p.recall, p.worst, p.rate, p.buffers, *(p.work.get(name, math.nan) for name in work)]
                writer.writerow([
                    data.name, result.rows, data.dim, data.metric, data.k, result.name, p.setting,
                    *map(number, measured), number(p.unordered), p.index_used, *map(number, facts),
                ])  # fmt: skip


def number(value):
    """For a file: at most six digits, nothing for what was not measured."""
    return f"{value:.0f}" if value >= 1e5 else f"{value:.6g}" if math.isfinite(value) else ""


def all_results(results, libraries):
    """Those given and, as results of their own, the levels of ann.simd and the tenth of the rows."""
    for result in results:
        yield result
        for name, points in result.levels.items():
            yield dataclasses.replace(result, name=f"{result.name} {name}", points=points)
        if result.tenth:
            yield result.tenth
    yield from libraries


def draw(path, results, libraries, data):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5.5), layout="constrained")
    for result in [*results, *libraries]:
        inside = result in results
        points = [p for p in result.points if p.value is not None]
        curve = sorted(points, key=lambda p: p.recall) if inside else frontier(points)
        facts = [("build {:.0f} s", result.build_seconds)]
        if inside:
            facts += [("{:.0f} MB", result.index_bytes / 1e6), ("{:.0f} inserts/s", result.insert_rate)]
        label = f"{result.name}: " + ", ".join(form.format(fact) for form, fact in facts if math.isfinite(fact))
        (line,) = axes.plot([p.recall for p in curve], [p.rate for p in curve], "o-" if inside else ".--",
                            markersize=4, label=label)  # fmt: skip
        for default in (p for p in result.points if p.value is None):
            axes.plot(default.recall, default.rate, "*", markersize=14, color=line.get_color())
    axes.set_yscale("log")
    low = min((p.recall for result in results for p in result.points), default=0)
    axes.set_xlim(max(low - 0.01, 0.7), 1.001)
    axes.grid(True, which="both", alpha=0.3)
    axes.set_xlabel(f"recall@{data.k}")
    axes.set_ylabel("queries per second, one client")
    axes.set_title(f"{data.name}: {data.rows:,} × {data.dim}, {data.metric} (star: defaults)")
    axes.legend()
    figure.savefig(path, dpi=150)

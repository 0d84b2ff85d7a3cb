"""What was measured, and figures at equal recall drawn from it. Needs nothing but Python."""

from __future__ import annotations

import dataclasses
import math

NAN = math.nan


@dataclasses.dataclass
class Point:
    """One setting of one method."""

    setting: str
    value: int | None  # None: the default
    recall: float
    rate: float  # queries per second
    worst: float = NAN  # recall of the worst 1 % of the queries
    unordered: float = NAN  # share of the answers that are not in ascending order
    buffers: float = NAN  # pages that the index scan touches per query
    work: dict = dataclasses.field(default_factory=dict)  # annivf's own counts, per query
    index_used: bool = True


@dataclasses.dataclass
class Result:
    """One method on one data set. NaN and empty: not measured."""

    name: str
    rows: int = 0
    points: list = dataclasses.field(default_factory=list)
    levels: dict = dataclasses.field(default_factory=dict)  # annivf: points of each ann.simd, first the usual one
    tenth: Result | None = None  # annivf: the same on a tenth of the rows
    build_seconds: float = NAN
    build_cpu: float = NAN
    index_bytes: float = NAN
    table_bytes: float = NAN
    growth: float = NAN  # size after 10 % more rows, in fresh ones
    insert_rate: float = NAN
    cold_pages: float = NAN
    factors: dict = dataclasses.field(default_factory=dict)  # two clients to one

    def rate_at(self, recall):
        return rate_at(self.points, recall)


def judge_answer(found, exact, own, k):
    """(recall, whether it is in ascending order) of an answer: found and exact, lists of (row, distance), one more
    than k of them where the query is a row of the table itself (own, else None), which is left out, as are rows at no
    distance. A row as near as the k-th true neighbour is as good an answer."""

    def distances(answer):
        kept = [distance for row, distance in answer if (own is None or row != own) and not math.isnan(distance)]
        return kept[:k]

    found, exact = distances(found), distances(exact)
    if not exact:
        return 1.0, True
    hits = sum(distance <= exact[-1] for distance in found)
    return hits / len(exact), all(left <= right for left, right in zip(found, found[1:]))


def frontier(points):
    """The points that no other point beats in recall and speed at once, by recall."""
    best, result = -1.0, []
    for point in sorted(points, key=lambda p: (-p.recall, -p.rate)):
        if point.rate > best:
            best = point.rate
            result.append(point)
    return result[::-1]


def rate_at(points, recall):
    """Queries per second at a recall, interpolated on the frontier (logarithm of the rate); NaN where
    the curve does not reach it. Left of the curve its first point counts: it has more recall."""
    curve = frontier(points)
    if not curve or curve[-1].recall < recall:
        return NAN
    for left, right in zip(curve, curve[1:]):
        if left.recall <= recall <= right.recall and right.recall > left.recall:
            share = (recall - left.recall) / (right.recall - left.recall)
            return math.exp((1 - share) * math.log(left.rate) + share * math.log(right.rate))
    return curve[0].rate


def work_at(points, recall, name):
    """A count of the work per query at a recall, interpolated between the settings around it; outside
    of the curve that of its nearest end."""
    curve = sorted((p for p in points if p.value is not None and name in p.work), key=lambda p: p.recall)
    if not curve:
        return NAN
    for left, right in zip(curve, curve[1:]):
        if left.recall <= recall <= right.recall and right.recall > left.recall:
            share = (recall - left.recall) / (right.recall - left.recall)
            return (1 - share) * left.work[name] + share * right.work[name]
    return curve[0 if recall < curve[0].recall else -1].work[name]


def setting_for(points, recall):
    """The least value of the search setting that reaches a recall, else the greatest tried."""
    tried = [p for p in points if p.value is not None]
    good = [p.value for p in tried if p.recall >= recall]
    return min(good) if good else max(p.value for p in tried)


def settings_around(points, recalls):
    """The values of the search setting between which those recalls lie."""
    curve = sorted((p for p in points if p.value is not None), key=lambda p: p.value)
    values = set()
    for recall in recalls:
        above = next((i for i, p in enumerate(curve) if p.recall >= recall), len(curve) - 1)
        values.update(p.value for p in curve[max(0, above - 1) : above + 1])
    return sorted(values)

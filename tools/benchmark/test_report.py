"""The arithmetic of the bench on curves made up by hand: python3 -m unittest benchmark.test_report"""

import math
import unittest

from .report import fraction, markdown, table_rows, times
from .results import Point, Result, frontier, judge_answer, rate_at, setting_for, settings_around, work_at


def curve(*points):
    """Points of (setting, recall, rate); the rows read from the table are 10 times the setting."""
    return [Point(str(v), v, recall, rate, work={"heap_fetches": 10 * v}) for v, recall, rate in points]


CURVE = curve((1, 0.80, 4000), (2, 0.90, 2000), (4, 0.96, 1000), (8, 1.00, 100))


class Curves(unittest.TestCase):
    def test_frontier_leaves_out_what_is_worse_in_both(self):
        beaten = Point("slow", 3, 0.85, 1500)
        self.assertEqual([p.value for p in frontier([beaten, *CURVE])], [1, 2, 4, 8])

    def test_rate_is_geometric_between_points(self):
        self.assertAlmostEqual(rate_at(CURVE, 0.93), math.sqrt(2000 * 1000))
        self.assertAlmostEqual(rate_at(CURVE, 0.96), 1000)

    def test_rate_outside_of_the_curve(self):
        self.assertEqual(rate_at(CURVE, 0.5), 4000)
        self.assertTrue(math.isnan(rate_at(CURVE[:2], 0.95)))
        self.assertTrue(math.isnan(rate_at([], 0.95)))

    def test_work_is_linear_between_settings(self):
        self.assertAlmostEqual(work_at(CURVE, 0.93, "heap_fetches"), 30)
        self.assertEqual(work_at(CURVE, 0.5, "heap_fetches"), 10)
        self.assertEqual(work_at(CURVE[:2], 0.99, "heap_fetches"), 20)
        self.assertTrue(math.isnan(work_at(CURVE, 0.93, "codes_scanned")))

    def test_settings(self):
        default = Point("default", None, 0.97, 900)
        self.assertEqual(setting_for([default, *CURVE], 0.95), 4)
        self.assertEqual(setting_for(CURVE[:2], 0.95), 2)
        self.assertEqual(settings_around([default, *CURVE], (0.95, 0.99)), [2, 4, 8])
        self.assertEqual(settings_around(CURVE[:2], (0.95,)), [1, 2])


class Answers(unittest.TestCase):
    EXACT = [("own", 0.0), ("a", 1.0), ("b", 2.0), ("c", 2.0)]

    def test_share_of_the_nearest(self):
        self.assertEqual(judge_answer([("a", 1.0), ("d", 3.0)], [("a", 1.0), ("b", 2.0)], None, 2), (0.5, True))
        self.assertEqual(judge_answer([], [("a", 1.0)], None, 1), (0.0, True))
        self.assertEqual(judge_answer([("b", 2.0), ("a", 1.0)], [("a", 1.0), ("b", 2.0)], None, 2), (1.0, False))

    def test_the_query_itself_is_left_out(self):
        self.assertEqual(judge_answer(self.EXACT, self.EXACT, "own", 3), (1.0, True))
        self.assertEqual(judge_answer([("own", 0.0), ("a", 1.0), ("d", 5.0)], self.EXACT, "own", 2), (0.5, True))
        # not found, it takes nobody's place
        self.assertEqual(judge_answer([("a", 1.0), ("b", 2.0), ("d", 5.0)], self.EXACT, "own", 2), (1.0, True))

    def test_equal_distances_are_as_good(self):
        self.assertEqual(judge_answer([("own", 0.0), ("a", 1.0), ("c", 2.0)], self.EXACT, "own", 2), (1.0, True))

    def test_no_distance_is_no_neighbour(self):
        nothing = [("a", math.nan), ("b", math.nan)]
        self.assertEqual(judge_answer(nothing, nothing, None, 2), (1.0, True))
        some = [("a", 1.0), ("b", math.nan)]
        self.assertEqual(judge_answer(some, some, None, 2), (1.0, True))


class Table(unittest.TestCase):
    def setUp(self):
        self.own = Result("annivf", 1000, CURVE, {"avx512": CURVE, "scalar": curve((2, 0.90, 500), (8, 1.0, 50))},
                          Result("annivf tenth", 100, curve((1, 0.90, 4000), (2, 0.95, 3000))),
                          10.0, 16.0, 60e6, 500e6, 1.1, 30_000.0, 50.0,
                          {"queries": 2.0, "look-ups": 1.9, "inserts": 1.5, "plain inserts": 1.6})  # fmt: skip
        self.peer = Result("hnsw", 1000, curve((1, 0.90, 400), (2, 0.99, 100)),
                           build_seconds=170.0, build_cpu=320.0, index_bytes=780e6, insert_rate=300.0,
                           cold_pages=400.0, factors={"queries": 1.8})  # fmt: skip
        self.library = Result("Faiss", 1000, curve((1, 0.9, 8000), (2, 0.99, 4000)))

    def rows(self):
        found = table_rows(self.own, [self.peer], [self.library])
        return {(row.verb, row.beside): (round(row.own, 3), round(row.other, 3), row.ratio) for row in found}

    def test_every_row_has_its_kind_of_ratio(self):
        rows = self.rows()
        self.assertEqual(rows["queries/s at 0.99", "hnsw"], (177.828, 100.0, "1.78x"))
        self.assertEqual(rows["queries/s at 0.99", "Faiss"][2], "0.04x")
        self.assertEqual(rows["queries/s at 0.95, scalar", "annivf, avx512"][2], "0.14x")
        self.assertEqual(rows["ms a query at 0.95", "annivf, 100 rows"], (0.891, 0.333, "2.67x"))
        self.assertEqual(rows["build, s of CPU", "hnsw"], (16.0, 320.0, "20.0x faster"))
        self.assertEqual(rows["build, s", "hnsw"], (10.0, 170.0, "17.0x faster"))
        self.assertEqual(rows["index size, MB", "hnsw"], (60.0, 780.0, "1/13.0"))
        self.assertEqual(rows["MB after 10 % inserts", "annivf, fresh"], (66.0, 60.0, "1.10x"))
        self.assertEqual(rows["inserts/s", "hnsw"][2], "100x")
        self.assertEqual(rows["queries of 2 clients to 1", "btree look-ups"], (2.0, 1.9, "1.05x"))
        self.assertEqual(rows["inserts of 2 clients to 1", "plain INSERT"], (1.5, 1.6, "0.94x"))
        self.assertEqual(rows["pages read a query, cold", "hnsw"], (50.0, 400.0, "1/8.0"))
        self.assertEqual(rows["heap rows a query at 0.95", ""][0], 36.667)

    def test_what_was_not_measured_has_no_row(self):
        rows = self.rows()
        self.assertNotIn(("inserts of 2 clients to 1", "hnsw"), rows)
        self.peer.points, self.peer.cold_pages, self.own.tenth, self.own.levels = [], math.nan, None, {}
        fewer = {verb for verb, beside in set(rows) - set(self.rows())}
        self.assertEqual(fewer, {"queries/s at 0.95", "queries/s at 0.99", "queries/s at 0.95, scalar",
                                 "queries/s at 0.99, scalar", "pages read a query, cold",
                                 "ms a query at 0.95"})  # fmt: skip

    def test_forms(self):
        ratios = [times(r) for r in (0.5, 9.99, 12.34, 123.4, math.nan)]
        self.assertEqual(ratios, ["0.50x", "9.99x", "12.3x", "123x", ""])
        self.assertEqual([fraction(r) for r in (0.1, 1.5, math.nan)], ["1/10.0", "1.50x", ""])
        self.assertEqual(markdown(["a", "bb"], [["ccc", "1"]]), "| a   | bb |\n| --- | -: |\n| ccc |  1 |")


if __name__ == "__main__":
    unittest.main()

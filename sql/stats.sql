-- ann_search_stats: what searches did, the last one and all of them
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET enable_seqscan = off;

CREATE TABLE counted (id serial, v vector(8));
INSERT INTO counted (v) SELECT x FROM clustered(3000, 8, 0.4, 60) x;
CREATE INDEX counted_v ON counted USING annivf (v) WITH (num_leaves = 40, soar_lambda = 0);
SET ann.num_leaves_to_search = 5;

SELECT ann_reset_search_stats();
SELECT * FROM ann_search_stats(true);
SELECT count(*) FROM (SELECT id FROM counted ORDER BY v <-> '[1,2,0,1,1,2,0,1]' LIMIT 10) s;
SELECT leaves_searched, codes_scanned AS codes, candidates_reordered AS candidates, heap_fetches AS fetches, pages AS pages_read, queries,
		centroid_ms, scan_ms, reorder_ms, pages >= leaves_searched + 1 AS pages FROM ann_search_stats() \gset first_
SELECT :first_leaves_searched AS leaves, :first_queries AS queries, :first_codes BETWEEN 10 AND 3000 AS codes,
	:first_fetches BETWEEN 10 AND 3000 AS fetches, :'first_pages' AS pages, :first_centroid_ms + :first_scan_ms + :first_reorder_ms AS ms;
-- one scan of three searches, and its sum with the one before
SELECT count(*) FROM counted q, LATERAL (SELECT id FROM counted ORDER BY v <-> q.v LIMIT 10) s WHERE q.id IN (1, 2, 3);
SELECT queries, leaves_searched FROM ann_search_stats();
SELECT t.queries, t.leaves_searched, t.codes_scanned = l.codes_scanned + :first_codes AS codes,
		t.heap_fetches = l.heap_fetches + :first_fetches AS fetches, t.candidates_reordered = l.candidates_reordered + :first_candidates AS candidates,
		t.pages = l.pages + :first_pages_read AS pages
	FROM ann_search_stats(true) t, ann_search_stats() l;
SELECT ann_reset_search_stats();
SELECT queries, leaves_searched, codes_scanned, pages FROM ann_search_stats(true);
SELECT queries, leaves_searched FROM ann_search_stats();

-- times only where they are asked for
SET ann.track_timing = on;
SELECT count(*) FROM ann_search('counted_v', '[1,2,0,1,1,2,0,1]', 100);
SELECT centroid_ms > 0 AS centroids, scan_ms > 0 AS scan, reorder_ms > 0 AS reorder FROM ann_search_stats();
SET ann.track_timing = off;
SELECT count(*) FROM ann_search('counted_v', '[1,2,0,1,1,2,0,1]', 100);
SELECT centroid_ms, scan_ms, reorder_ms FROM ann_search_stats();
SELECT centroid_ms > 0 AS centroids, queries FROM ann_search_stats(true);
-- a batch counts each of its searches
SELECT ann_reset_search_stats();
SELECT count(*) FROM ann_search_batch('counted_v', (SELECT array_agg(v) FROM counted WHERE id <= 20), 3);
SELECT queries, leaves_searched FROM ann_search_stats(true);
SELECT * FROM unsound();
DROP TABLE counted;

-- Aggregates avg and sum, their support functions, parallel aggregation.

SELECT avg(v), sum(v) FROM unnest(ARRAY['[1,2,3]', '[3,5,7]']::vector[]) v;
SELECT avg(v), sum(v) FROM unnest(ARRAY[NULL, '[1,2,3]', NULL, '[3,5,7]', NULL]::vector[]) v;
SELECT avg(v), sum(v) FROM unnest(ARRAY['[4]']::vector[]) v;
-- of no rows, of NULLs only
SELECT avg(v), sum(v) FROM unnest(ARRAY[]::vector[]) v;
SELECT avg(v), sum(v) FROM unnest(ARRAY[NULL, NULL]::vector[]) v;
-- groups, filters, distinct, windows
SELECT i % 3 AS part, avg(ARRAY[i, -i]::vector), sum(ARRAY[i, 1]::vector), avg(ARRAY[i]::vector) FILTER (WHERE i > 8) AS late
FROM generate_series(1, 9) i GROUP BY part ORDER BY part;
SELECT sum(DISTINCT v), avg(DISTINCT v) FROM unnest(ARRAY['[1]', '[1]', '[4]']::vector[]) v;
SELECT i, avg(ARRAY[i]::vector) OVER (ORDER BY i) AS running, sum(ARRAY[i]::vector) OVER (ORDER BY i) AS total,
	avg(ARRAY[i]::vector) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS pair
FROM generate_series(1, 4) i;

-- dimensions
SELECT avg(v) FROM unnest(ARRAY['[1,2]', '[3]']::vector[]) v;
SELECT sum(v) FROM unnest(ARRAY['[1,2]', '[3]']::vector[]) v;
-- a sum overflows, a mean does not
SELECT avg(v) FROM unnest(ARRAY['[3e38]', '[3e38]']::vector[]) v;
SELECT sum(v) FROM unnest(ARRAY['[3e38]', '[3e38]']::vector[]) v;
-- sums of the mean are doubles, which keep 2^24 + 1
SELECT avg(v), sum(v) FROM unnest(ARRAY['[16777216]', '[1]', '[1]', '[-16777216]']::vector[]) v;

-- the state: rows, then sums
SELECT vector_accum('{0}', '[1,2,3]'), vector_accum('{0,0,0,0}', '[1,2,3]'), vector_accum('{2,1,1}', '[1,-1]');
SELECT vector_combine('{1,2}', '{3,4}'), vector_combine('{0}', '{3,4}'), vector_combine('{3,4}', '{0}'),
	vector_combine('{0}', '{0}'), vector_combine('{0,0}', '{1,2,3}');
SELECT vector_avg('{2,1,3}'), vector_avg('{0}'), vector_avg('{0,0,0}');
-- arguments are not written
SELECT s, vector_accum(s, '[1]') AS accum, vector_combine(s, s) AS combine, s AS still
FROM (SELECT ARRAY[1, 2]::float8[] OFFSET 0) t (s);
-- damaged states
SELECT vector_accum('{}', '[1]');
SELECT vector_accum('{{0,0}}', '[1]');
SELECT vector_accum('{NULL,1}', '[1]');
SELECT vector_accum('{0,0}', '[1,2,3]');
SELECT vector_accum('{1,Infinity}', '[1]');
SELECT vector_combine('{{1,2}}', '{3,4}');
SELECT vector_combine('{1,2}', '{{3,4}}');
SELECT vector_combine('{}', '{0}');
SELECT vector_combine('{0}', '{}');
SELECT vector_combine('{1,2}', '{1,2,3}');
SELECT vector_combine('{1,1.7e308}', '{1,1.7e308}');
SELECT vector_combine('{0}', (SELECT array_agg(n) FROM generate_series(1, 16002) n));
SELECT vector_avg('{}');
SELECT vector_avg('{1}');
SELECT vector_avg('{1,NaN}');
SELECT vector_avg('{1,1e39}');
SELECT vector_avg(array_agg(n)) FROM generate_series(1, 16002) n;
\set VERBOSITY sqlstate
SELECT vector_avg('{}');
SELECT vector_avg('{1}');
SELECT vector_accum('{0,0}', '[1,2,3]');
SELECT vector_combine('{1,1.7e308}', '{1,1.7e308}');
\set VERBOSITY default

-- by parallel workers, the same; some of them see no row, or only NULLs
CREATE TABLE many (id int, v vector(3)) WITH (parallel_workers = 2);
INSERT INTO many
SELECT i, CASE WHEN i % 10 > 0 THEN ARRAY[i % 100, -(i % 100), 1]::vector END FROM generate_series(1, 10000) i;
CREATE TABLE wide (id int, v vector(800)) WITH (parallel_workers = 2);
INSERT INTO wide
SELECT n, array_agg(n + i % 5 ORDER BY i)::vector FROM generate_series(1, 60) n, generate_series(1, 800) i GROUP BY n;
ANALYZE many, wide;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SET parallel_leader_participation = off;
EXPLAIN (COSTS OFF) SELECT avg(v), sum(v) FROM many;
SELECT avg(v), sum(v) FROM many;
SELECT avg(v), sum(v) FROM many WHERE id < 0;
SELECT avg(v), sum(v) FROM many WHERE id % 10 = 0;
SELECT avg(v), sum(v) FROM many WHERE id IN (4, 8);
SELECT id % 2 AS part, avg(v), sum(v) FROM many WHERE id <= 1000 GROUP BY part ORDER BY part;
SELECT subvector(avg(v), 1, 6) AS avg, subvector(sum(v), 796, 5) AS sum FROM wide;
SELECT avg(v), sum(v) FROM wide \gset parallel_
SET max_parallel_workers_per_gather = 0;
SELECT avg(v) = :'parallel_avg' AS avg, sum(v) = :'parallel_sum' AS sum FROM wide;
SELECT avg(v), sum(v) FROM many;
RESET max_parallel_workers_per_gather;
RESET parallel_leader_participation;
RESET min_parallel_table_scan_size;
RESET parallel_tuple_cost;
RESET parallel_setup_cost;
DROP TABLE many, wide;

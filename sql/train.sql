-- an index made on an empty table: exact, then trained by vacuum or ann_train, with nothing lost

SET client_min_messages = warning;
SET enable_seqscan = off;
SET enable_sort = off;
CREATE TABLE tr (id int, v vector(6)) WITH (autovacuum_enabled = off);
CREATE INDEX tr_i ON tr USING annivf (v);
CREATE FUNCTION fill_tr(first int, last int) RETURNS void LANGUAGE sql AS $$
	INSERT INTO tr SELECT i, CASE WHEN i % 100 = 0 THEN NULL
		ELSE ARRAY[sin(i), cos(i), sin(2 * i), cos(3 * i), i % 7, i % 5]::real[]::vector END
	FROM generate_series(first, last) i
$$;
CREATE FUNCTION read_tr() RETURNS text LANGUAGE sql AS $$
	SELECT format('%s rows, %s distinct', count(*), count(DISTINCT id))
	FROM (SELECT id FROM tr ORDER BY v <-> '[0,0,0,0,0,0]' OFFSET 0) s
$$;
CREATE FUNCTION leaves_of_a_search() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	PERFORM id FROM tr ORDER BY v <-> '[0,1,0,1,2,3]' LIMIT 1;
	RETURN (SELECT leaves_searched FROM ann_search_stats());
END $$;

-- nothing to train on
SELECT ann_train('tr_i');
SELECT fill_tr(1, 9000);
VACUUM tr;
SELECT leaves_of_a_search() AS untrained;
SELECT read_tr();

-- above 10,000 rows a vacuum trains
SELECT fill_tr(9001, 12000);
VACUUM tr;
SELECT leaves_of_a_search() > 0 AS trained;
SELECT read_tr();
SELECT ann_train('tr_i') AS again;

-- and the index goes on
SELECT fill_tr(12001, 15000);
DELETE FROM tr WHERE id % 4 = 0;
VACUUM tr;
SELECT read_tr();
SELECT count(*) FROM tr a WHERE id % 50 = 1
	AND id = (SELECT id FROM tr b ORDER BY b.v <-> a.v LIMIT 1);

-- TRUNCATE makes it untrained again; ann_train at any size, by whoever owns it
TRUNCATE tr;
SELECT fill_tr(1, 500);
SELECT leaves_of_a_search() AS untrained;
SELECT ann_train('tr_i');
SELECT leaves_of_a_search() > 0 AS trained;
SELECT read_tr();

-- only NULLs, only zero vectors under cosine: nothing to train on, nothing lost
CREATE TABLE none (id int, v vector(2));
CREATE INDEX none_i ON none USING annivf (v vector_cosine_ops);
INSERT INTO none SELECT i, CASE WHEN i % 2 = 0 THEN '[0,0]'::vector END FROM generate_series(1, 50) i;
SELECT ann_train('none_i');
VACUUM none;
SELECT count(*) FROM (SELECT id FROM none ORDER BY v <=> '[1,0]' OFFSET 0) s;

-- expressions and partial indexes
CREATE TABLE ex (id int, a real[], live boolean);
CREATE INDEX ex_i ON ex USING annivf ((a::vector(2))) WHERE live;
INSERT INTO ex SELECT i, ARRAY[sin(i), cos(i)], i % 2 = 0 FROM generate_series(1, 400) i;
SELECT ann_train('ex_i');
INSERT INTO ex SELECT i, ARRAY[sin(i), cos(i)], i % 2 = 0 FROM generate_series(401, 600) i;
SELECT id FROM ex WHERE live ORDER BY a::vector(2) <-> ARRAY[sin(444), cos(444)]::vector(2) LIMIT 1;
SELECT count(*) FROM (SELECT id FROM ex WHERE live ORDER BY a::vector(2) <-> '[1,0]' OFFSET 0) s;

-- partitions: each has an index of its own, their orders are merged
CREATE TABLE part (id int, v vector(3)) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (1000);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (1000) TO (3000);
CREATE INDEX ON part USING annivf (v) WITH (num_leaves = 4);
INSERT INTO part SELECT i, ARRAY[sin(i), cos(i), i % 3]::real[]::vector FROM generate_series(1, 2500) i;
REINDEX TABLE part;
EXPLAIN (COSTS OFF) SELECT id FROM part ORDER BY v <-> '[0,1,1]' LIMIT 5;
SELECT count(*) = count(*) FILTER (WHERE d >= before OR before IS NULL) AS ordered
FROM (SELECT d, lag(d) OVER () AS before
	FROM (SELECT v <-> '[0,1,1]' AS d FROM part ORDER BY v <-> '[0,1,1]' LIMIT 200) s) t;
SELECT count(*) FROM (SELECT id FROM part ORDER BY v <-> '[0,1,1]' OFFSET 0) s;

DROP TABLE tr, none, ex, part;
DROP FUNCTION fill_tr, read_tr, leaves_of_a_search;

-- The codec of an index: codes and what they stand for

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE coded (id serial, v vector(32));
INSERT INTO coded (v) SELECT x FROM clustered(3000, 32, 0.4, 60) x;
INSERT INTO coded (v) VALUES (NULL), ((SELECT array_agg(0) FROM generate_series(1, 32))::real[]::vector);
CREATE INDEX coded_v ON coded USING annivf (v) WITH (num_leaves = 40, dimensions_per_block = 2, soar_lambda = 1.5);

-- a byte for the leaf, two for the scale, half a byte for each block
SELECT ann_code_size('coded_v'), i.num_leaves <= 40 AS leaves, i.code_size, i.leaf_code_size FROM ann_index_info('coded_v') i;
CREATE TABLE codes AS SELECT id, ann_encode('coded_v', v) AS code FROM coded;
SELECT count(*), count(code), min(octet_length(code)), max(octet_length(code)) FROM codes;

-- what a code stands for is near the row, and coding it again gives the same code, but for a few
SELECT avg((v <-> ann_decode('coded_v', code)) ^ 2) < 0.1 * avg((v <-> (SELECT avg_v FROM
	(SELECT array_agg(a ORDER BY d)::real[]::vector AS avg_v FROM
		(SELECT d, avg(x) AS a FROM coded, unnest(v::real[]) WITH ORDINALITY u(x, d) GROUP BY d) m) n)) ^ 2) AS near
	FROM coded JOIN codes USING (id);
SELECT avg((ann_encode('coded_v', ann_decode('coded_v', code)) = code)::int) > 0.9 AS same FROM codes WHERE id % 10 = 0;
SELECT bool_and(abs(ann_code_distance('coded_v', code, q) - (q <-> ann_decode('coded_v', code))) < 1e-5) AS same
	FROM codes, (SELECT v AS q FROM coded WHERE id = 7) s WHERE id % 50 = 0;

-- the entries of the leaves are those codes: each row once
CREATE TABLE entries AS SELECT l.leaf, e.ctid AS tid, e.code FROM ann_leaves('coded_v') l, ann_leaf_entries('coded_v', l.leaf) e;
SELECT count(*), count(DISTINCT e.tid), count(c.id), avg((e.code = k.code)::int) > 0.98 AS same_code,
		bool_and(get_byte(e.code, 0) = e.leaf) AS same_leaf
	FROM entries e LEFT JOIN coded c ON c.ctid = e.tid LEFT JOIN codes k USING (id);
SELECT num_tuples = (SELECT count(*) FROM entries e WHERE e.leaf = l.leaf) AS same, count(*) > 0 AS leaves
	FROM ann_leaves('coded_v') l GROUP BY 1;
SELECT avg((a.leaf = e.leaf)::int) > 0.95 AS nearest
	FROM coded c JOIN entries e ON e.tid = c.ctid, ann_assign('coded_v', c.v) a WHERE c.id % 10 = 0;
-- a code without its leaf is the rest of one with it
SELECT bool_and(substr(e.code, 2) = ann_encode('coded_v', c.v, e.leaf)) AS same
	FROM coded c JOIN entries e ON e.tid = c.ctid WHERE c.id % 10 = 0;

-- the leaves near a vector, in order
SELECT count(*), count(DISTINCT leaf), bool_and(distance >= before) AS ascending FROM
	(SELECT *, lag(distance, 1, 0) OVER (ORDER BY ordinality) AS before
		FROM coded c, ann_assign('coded_v', c.v, 1000) WITH ORDINALITY WHERE id = 1) s;
SELECT max(abs(a.distance - (c.v <-> l.centroid))) < 1e-4 AS true_distance
	FROM coded c, ann_assign('coded_v', c.v, 5) a JOIN ann_leaves('coded_v') l USING (leaf) WHERE c.id = 1;

-- a table of codes can be searched by itself
SELECT avg(hits) / 10 > 0.8 AS found FROM (
	SELECT q.id, (SELECT count(*) FROM (SELECT id FROM codes ORDER BY ann_code_distance('coded_v', code, q.v) LIMIT 20) a
		JOIN (SELECT id FROM coded ORDER BY v <-> q.v LIMIT 10) b USING (id)) AS hits
	FROM coded q WHERE q.id IN (3, 500, 1777)) s;

-- rows by their place
SELECT max(ann_reconstruct('coded_v', c.ctid) <-> ann_decode('coded_v', k.code)) AS apart
	FROM coded c JOIN codes k USING (id) WHERE c.id % 100 = 0;
SELECT ann_reconstruct('coded_v', ctid) IS NULL AS of_null FROM coded WHERE id = 3001;
SELECT ann_reconstruct('coded_v', '(999999,1)') IS NULL AS of_nothing, ann_reconstruct('coded_v', '(0,0)') IS NULL AS of_no_tid;

-- 16 codewords a block, in its dimensions
SELECT count(*), count(DISTINCT block), count(DISTINCT code), min(vector_dims(centroid)), max(vector_dims(centroid))
	FROM ann_codebook('coded_v');

-- what cannot be
SELECT ann_encode('coded_v', NULL) IS NULL AS of_null, ann_encode('coded_v', '[1,2,3]');
SELECT ann_encode('coded_v', v, -1) FROM coded WHERE id = 1;
SELECT ann_encode('coded_v', v, 1000) FROM coded WHERE id = 1;
SELECT ann_decode('coded_v', '\x00');
SELECT ann_decode('coded_v', decode('ff' || repeat('00', 10), 'hex'));
SELECT ann_decode('coded_v', decode('00807f' || repeat('00', 8), 'hex'));
SELECT ann_code_distance('coded_v', code, '[1]') FROM codes WHERE id = 1;
SELECT * FROM ann_assign('coded_v', '[1,2]');
SELECT count(*) FROM coded, ann_assign('coded_v', v, 0);
SELECT count(*) FROM ann_leaf_entries('coded_v', 100);
SELECT ann_code_size('coded');
CREATE TABLE few (v vector(3));
CREATE INDEX few_v ON few USING annivf (v);
SELECT ann_code_size('few_v');
SELECT * FROM unsound();
DROP TABLE few;

-- cosine: codes of the normalised rows, none for a row without direction; inner product
CREATE INDEX coded_cosine ON coded USING annivf (v vector_cosine_ops) WITH (num_leaves = 300, dimensions_per_block = 4);
SELECT ann_code_size('coded_cosine');
SELECT avg(ann_code_distance('coded_cosine', ann_encode('coded_cosine', v), v)) < 0.05 AS near,
		count(*) - count(ann_encode('coded_cosine', v)) AS without
	FROM coded WHERE v IS NOT NULL AND (id % 20 = 0 OR id > 3000);
SELECT * FROM unsound();
DROP INDEX coded_cosine;
CREATE INDEX coded_ip ON coded USING annivf (v vector_ip_ops) WITH (num_leaves = 20, rotation = on);
SELECT avg(abs(ann_code_distance('coded_ip', ann_encode('coded_ip', v), v) - (v <#> v)) / abs(v <#> v)) < 0.1 AS near
	FROM coded WHERE id % 20 = 0;
SELECT * FROM unsound();
DROP TABLE coded, codes, entries;

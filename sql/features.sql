-- What users of ScaNN, Annoy and Faiss expect of each option and call, as far as no other file shows it

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;

-- the tour of README.md, with fewer rows
SELECT setseed(0);
CREATE TABLE items (id bigint PRIMARY KEY, category int, embedding vector(3));
INSERT INTO items SELECT i, i % 10, ARRAY[random(), random(), random()]::real[]::vector FROM generate_series(1, 10000) i;
CREATE INDEX ON items USING annivf (embedding vector_l2_ops);
SELECT count(*), bool_and(distance >= 0) FROM (SELECT id, embedding <-> '[0.1, 0.2, 0.3]' AS distance FROM items ORDER BY distance LIMIT 10) s;
SELECT count(*) FROM (SELECT id FROM items WHERE category = 3 ORDER BY embedding <-> '[0.1, 0.2, 0.3]' LIMIT 10) s;
SELECT id FROM items ORDER BY embedding <-> (SELECT embedding FROM items WHERE id = 42) LIMIT 1;
-- nothing set: a leaf for 100 rows, all of the small table as sample but for the pseudo-queries, codes of one dimension
SELECT num_leaves BETWEEN 95 AND 100 AS num_leaves, num_leaves_to_search BETWEEN 1 AND 50 AS to_search, num_reordering_candidates, quantizer, dimensions_per_block, nbits,
		trained_rows FROM ann_index_info('items_embedding_idx');

CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan text;
BEGIN
	EXECUTE 'EXPLAIN (COSTS OFF, FORMAT json) ' || query INTO plan;
	RETURN coalesce(substring(plan FROM '"Index Name": "(\w+)"'), 'none') || CASE WHEN plan LIKE '%"Order By"%' THEN ', by distance' ELSE '' END;
END $$;

-- an index serves the operator of its class, and no other one
CREATE TABLE rows (id serial PRIMARY KEY, v vector(16));
INSERT INTO rows (v) SELECT x FROM clustered(4000, 16, 0.4, 80, 3) x;
ANALYZE rows;
SET enable_seqscan = off;
SET enable_sort = off;
CREATE FUNCTION served(class text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('CREATE INDEX rows_v ON rows USING annivf (v %s)', class);
	SELECT string_agg(op, ' ') INTO result FROM unnest(ARRAY['<->', '<#>', '<=>', '<+>']) op
		WHERE plan_of(format('SELECT id FROM rows ORDER BY v %s ''%s'' LIMIT 5', op, array_fill(1, ARRAY[16])::vector)) = 'rows_v, by distance';
	DROP INDEX rows_v;
	RETURN result;
END $$;
SELECT class, served(class) FROM unnest(ARRAY['vector_l2_ops', 'vector_ip_ops', 'vector_cosine_ops', 'vector_l1_ops']) class;

-- under a generic plan, too
CREATE INDEX rows_v ON rows USING annivf (v) WITH (num_leaves = 40, soar_lambda = 0);
SET plan_cache_mode = force_generic_plan;
PREPARE nearest (vector) AS SELECT id FROM rows ORDER BY v <-> $1 LIMIT 5;
SELECT plan_of('EXECUTE nearest (''[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]'')') AS generic;
DEALLOCATE nearest;
RESET plan_cache_mode;

-- a renamed index is found by its new name; a table of the same definition gets an index of its own
ALTER INDEX rows_v RENAME TO rows_renamed;
SELECT num_leaves FROM ann_index_info('rows_renamed');
SELECT ann_index_info('rows_v');
ALTER INDEX rows_renamed RENAME TO rows_v;

-- made anew: the old file goes with the commit
SELECT pg_relation_filepath('rows_v') AS before \gset
REINDEX INDEX rows_v;
SELECT pg_relation_filepath('rows_v') <> :'before' AS another, coalesce((pg_stat_file(:'before', true)).size, 0) AS left_over;

-- moved to another place on disk and back
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE regress_ann_space LOCATION '';
ALTER INDEX rows_v SET TABLESPACE regress_ann_space;
SELECT pg_relation_filepath('rows_v') LIKE 'pg_tblspc/%' AS moved, full_difference('rows', '<->', (SELECT v FROM rows WHERE id = 3)) AS difference;
ALTER INDEX rows_v SET TABLESPACE pg_default;
DROP TABLESPACE regress_ann_space;
SELECT pg_relation_filepath('rows_v') LIKE 'base/%' AS back, (SELECT count(*) FROM ann_check('rows_v', true)) AS faults;

-- one of the modules switched off at a time: leaves, codes, reordering, SIMD; what a search does, and FULL = EXACT
CREATE FUNCTION without(what text, options text, candidates int, simd text) RETURNS TABLE (name text, leaves int, few_codes bool,
	few_rows_read bool, difference text) LANGUAGE plpgsql AS $$
BEGIN
	DROP INDEX rows_v;
	EXECUTE format('CREATE INDEX rows_v ON rows USING annivf (v) WITH (soar_lambda = 0, %s)', options);
	PERFORM set_config('ann.simd', simd, true), set_config('ann.num_leaves_to_search', '4', true),
		set_config('ann.num_reordering_candidates', candidates::text, true);
	PERFORM answer('rows', '<->', (SELECT v FROM rows WHERE id = 77), 10, true);
	SELECT what, leaves_searched, codes_scanned BETWEEN 10 AND 2000, heap_fetches BETWEEN 10 AND 100 INTO name, leaves, few_codes, few_rows_read
		FROM ann_search_stats();
	PERFORM set_config('ann.num_leaves_to_search', '-1', true), set_config('ann.num_reordering_candidates', '-1', true);
	difference := full_difference('rows', '<->', (SELECT v FROM rows WHERE id = 78));
	RETURN NEXT;
END $$;
SELECT w.* FROM (VALUES ('nothing', 'num_leaves = 40', 50, 'auto'), ('leaves', 'num_leaves = 1', 50, 'auto'),
	('codes', 'num_leaves = 40, quantizer = flat', 50, 'auto'), ('reordering', 'num_leaves = 40', 0, 'auto'),
	('SIMD', 'num_leaves = 40', 50, 'scalar')) v(what, options, candidates, simd), without(what, options, candidates, simd) w;

-- of an index by options: its size, and of searches by their settings: codes, rows read and rows found, 40 queries
CREATE TABLE queries AS SELECT i::int AS id, x AS q FROM clustered(4040, 16, 0.4, 80, 3) WITH ORDINALITY c(x, i) WHERE i > 4000;
CREATE TABLE truth AS SELECT q.id AS query, r.id FROM queries q, LATERAL (SELECT id FROM rows ORDER BY l2_distance(v, q) LIMIT 10) r;
CREATE FUNCTION search(leaves int, candidates int, OUT hits bigint, OUT codes numeric, OUT most_read bool) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM ann_reset_search_stats();
	SELECT count(*) INTO hits FROM queries q CROSS JOIN ann_search('rows_v', q.q, 10, leaves, candidates) s JOIN rows r ON r.ctid = s.ctid
		JOIN truth t ON t.query = q.id AND t.id = r.id;
	SELECT codes_scanned, heap_fetches <= 40 * greatest(candidates, 10) INTO codes, most_read FROM ann_search_stats(true);
END $$;
CREATE FUNCTION made(options text, OUT size bigint, OUT code_size int, OUT leaf_size numeric, OUT leaves bigint) LANGUAGE plpgsql AS $$
BEGIN
	DROP INDEX rows_v;
	EXECUTE format('CREATE INDEX rows_v ON rows USING annivf (v) WITH (soar_lambda = 0, %s)', options);
	SELECT pg_relation_size('rows_v'), ann_code_size('rows_v'), avg(num_tuples), count(*) INTO size, code_size, leaf_size, leaves FROM ann_leaves('rows_v');
END $$;

-- wider blocks: smaller codes and indexes, without reordering no more found
CREATE TABLE widths AS SELECT width, (made('num_leaves = 20, dimensions_per_block = ' || width)).*, (search(20, 0)).hits FROM unnest(ARRAY[1, 2, 4]) width;
SELECT width, code_size, size < lag(size) OVER w AS smaller, hits <= lag(hits) OVER w AS no_more FROM widths WINDOW w AS (ORDER BY width);
-- more leaves: more room, smaller leaves, and more found in as many codes
CREATE TABLE partitions AS SELECT num, (made('num_leaves = ' || num)).*, (search(num / 10, 100)).* FROM unnest(ARRAY[10, 40, 160]) num;
SELECT num, leaves, size > lag(size) OVER w AS larger, leaf_size < lag(leaf_size) OVER w AS smaller, hits > lag(hits) OVER w AS more,
		codes < 1.1 * lag(codes) OVER w AS no_more_codes FROM partitions WINDOW w AS (ORDER BY num);
-- more leaves searched: more codes and no less found, in the end all of it; codes as many as the leaves' share of the table;
-- no more rows read than candidates
SELECT (made('num_leaves = 40')).leaves;
CREATE TABLE searches AS SELECT leaves, (search(leaves, 4000)).hits, (search(leaves, 100)).codes FROM unnest(ARRAY[1, 2, 4, 8, 16, 32, 40]) leaves;
SELECT leaves, hits >= lag(hits) OVER w AS no_less, codes > lag(codes) OVER w AS more_codes, codes / (4000.0 * leaves) BETWEEN 0.7 AND 1.5 AS its_share,
		leaves < 40 OR hits = 400 AS all_in_the_end FROM searches WINDOW w AS (ORDER BY leaves);
SELECT candidates, most_read, codes < 40 * 4000 AS part, hits > 300 AS found FROM unnest(ARRAY[20, 100]) candidates, search(8, candidates);
SELECT (search(8, 0)).hits < (search(8, 100)).hits AS reordering_helps;
-- rows are trained on as far as asked for and as they are there
CREATE FUNCTION trained(size int) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	PERFORM made('num_leaves = 20, training_sample_size = ' || size);
	RETURN (SELECT trained_rows FROM ann_index_info('rows_v'));
END $$;
SELECT size, trained(size) FROM unnest(ARRAY[500, 2000, 400000]) size;
-- the size of an index: 14 bytes and half a byte for each block of a row, in blocks of 32 of which one of each leaf is half full;
-- a node of 32 bytes and a centroid of 2 a dimension for each leaf; metapage, heads, sections and what is left of pages
SELECT num, size / (8 * 8192.0 + (4000 + 16 * num) * (14 + 16 / 2) + num * (32 + 2 * 16)) BETWEEN 0.85 AND 1.15 AS as_reckoned FROM partitions;
DROP TABLE widths, partitions, searches;

-- rows that came after the build are found by their own vectors in the nearest leaf
SELECT (made('num_leaves = 40')).leaves;
INSERT INTO rows SELECT 10000 + row_number() OVER (), x FROM clustered(300, 16, 0.7, 80, 2) x;
SELECT count(*), count(*) FILTER (WHERE s.distance = 0) AS found FROM rows r, ann_search('rows_v', r.v, 1, 1) s WHERE r.id > 10000;
-- what a code leaves of a row is less than what the leaf's centroid leaves
SELECT avg(vector_norm(r.v - ann_reconstruct('rows_v', r.ctid))) < 0.7 * avg(vector_norm(r.v - l.centroid)) AS finer
	FROM ann_leaves('rows_v') l, ann_leaf_entries('rows_v', l.leaf) e JOIN rows r ON r.ctid = e.ctid WHERE r.id % 20 = 0;
-- conditions of every form: rows and order are those of a sort of what passes
CREATE FUNCTION differs(condition text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	found float8[];
	exact float8[];
	command text := 'SELECT array_agg(d) FROM (SELECT v <-> %1$L AS d FROM rows WHERE %2$s ORDER BY %3$s LIMIT 10) s';
	q vector := (SELECT v FROM rows WHERE id = 99);
BEGIN
	PERFORM set_config('ann.num_leaves_to_search', '40', true), set_config('ann.num_reordering_candidates', '5000', true);
	EXECUTE format(command, q, condition, format('v <-> %L', q)) INTO found;
	EXECUTE format(command, q, condition, format('l2_distance(v, %L)', q)) INTO exact;
	RETURN found IS DISTINCT FROM exact;
END $$;
SELECT condition, differs(condition) FROM unnest(ARRAY['id BETWEEN 1000 AND 1200', 'id = ANY (ARRAY[5, 7, 4000, 12345])', 'id & 63 = 5',
	'NOT id < 3900', 'id < 50 AND id % 2 = 0', 'id < 50 OR id > 10290', '(id > 2000) <> (id % 3 = 0)', 'false']) condition;

-- cosine on rows as they are is the inner product of normalised ones; on vectors of 0 and 1 the taxicab distance,
-- the square of the Euclidean one and Hamming's are one order
SELECT bool_and(abs((v <=> q) - (1 + (l2_normalize(v) <#> l2_normalize(q)))) < 1e-6) AS same FROM rows, queries WHERE rows.id % 50 = 0;
CREATE TABLE bits AS SELECT id, (SELECT array_agg((x > 0)::int) FROM unnest(v::real[]) x)::vector(16) AS v FROM rows;
CREATE INDEX ON bits USING annivf (v) WITH (num_leaves = 20, num_leaves_to_search = 20);
CREATE INDEX ON bits USING annivf (v vector_l1_ops) WITH (num_leaves = 20, num_leaves_to_search = 20);
SELECT plan_of('SELECT id FROM bits ORDER BY v <-> (SELECT v FROM bits WHERE id = 3) LIMIT 30') AS euclidean,
	plan_of('SELECT id FROM bits ORDER BY v <+> (SELECT v FROM bits WHERE id = 3) LIMIT 30') AS taxicab;
CREATE FUNCTION hamming(op text) RETURNS float8[] LANGUAGE plpgsql AS $$
DECLARE
	result float8[];
BEGIN
	EXECUTE format('SELECT array_agg(vector_hamming_distance(v, (SELECT v FROM bits WHERE id = 3))) FROM (SELECT v FROM bits
		ORDER BY v %s (SELECT v FROM bits WHERE id = 3) LIMIT 30) s', op) INTO result;
	RETURN result;
END $$;
SELECT hamming('<->') = hamming('<+>') AS one_order, hamming('<->') = (SELECT array_agg(h) FROM (SELECT vector_hamming_distance(v,
	(SELECT v FROM bits WHERE id = 3)) AS h FROM bits ORDER BY h LIMIT 30) s) AS exact;

-- many leaves: centroids by their codes choose nearly those that a sort of the centroids does
CREATE TABLE many (id serial, v vector(12));
INSERT INTO many (v) SELECT x FROM clustered(12000, 12, 0.3, 1000) x;
CREATE INDEX many_v ON many USING annivf (v) WITH (num_leaves = 10000, training_iterations = 1, soar_lambda = 0);
SELECT count(*) > 9000 AS leaves, sum(num_tuples) FROM ann_leaves('many_v');
SELECT * FROM ann_check('many_v', true);
SELECT full_difference('many', '<->', (SELECT v FROM many WHERE id = 5)) AS difference;
CREATE TABLE centroids AS SELECT leaf, centroid FROM ann_leaves('many_v');
SELECT count(*), avg((c.leaf IS NOT NULL)::int) > 0.98 AS as_sorted FROM many m CROSS JOIN ann_search('many_v', m.v, 10, 30) s
	LEFT JOIN LATERAL (SELECT leaf FROM (SELECT leaf FROM centroids ORDER BY centroid <-> m.v LIMIT 30) n WHERE n.leaf = s.leaf) c ON true
	WHERE m.id % 1200 = 7;

-- a table of 15 times the memory of the build
CREATE TABLE wide AS SELECT id, (SELECT array_agg(x * j) FROM generate_series(1, 64) j, unnest(v::real[]) x)::vector(1024) AS v FROM rows WHERE id <= 3600;
SET maintenance_work_mem = '1MB';
SELECT pg_table_size('wide') > 15 * pg_size_bytes('1MB') AS large;
CREATE INDEX wide_v ON wide USING annivf (v);
RESET maintenance_work_mem;
SELECT full_difference('wide', '<->', (SELECT v FROM wide WHERE id = 5)) AS difference;
SELECT * FROM ann_check('wide_v', true);
DROP TABLE wide;

-- rows that are near for one of several reasons, as texts are: with a second leaf for each more is found in as many codes
CREATE TABLE topics AS SELECT i::int AS id, l2_normalize(x) AS v FROM clustered(300, 48, 0.5, 300, 0.5) WITH ORDINALITY c(x, i);
CREATE TABLE texts AS SELECT i AS id, a.v + b.v + c.v AS v FROM generate_series(1, 8100) i JOIN topics a ON a.id = 1 + (hashint4(i) & 1048575) % 300
	JOIN topics b ON b.id = 1 + (hashint4(-i) & 1048575) % 300 JOIN topics c ON c.id = 1 + (hashint4(i + 1000000) & 1048575) % 300;
TRUNCATE queries, truth;
DROP TABLE rows;
CREATE TABLE rows AS SELECT * FROM texts WHERE id <= 8000;
ALTER TABLE queries ALTER q TYPE vector(48);
INSERT INTO queries SELECT id, v FROM texts WHERE id > 8000;
INSERT INTO truth SELECT q.id AS query, r.id FROM queries q, LATERAL (SELECT id FROM rows ORDER BY cosine_distance(v, q) LIMIT 10) r;
CREATE INDEX rows_v ON rows USING annivf (v vector_cosine_ops) WITH (num_leaves = 120, soar_lambda = 0);
CREATE TABLE once AS SELECT * FROM search(8, 200);
DROP INDEX rows_v;
CREATE INDEX rows_v ON rows USING annivf (v vector_cosine_ops) WITH (num_leaves = 120, soar_lambda = 1.5);
SELECT num_entries > 1.98 * num_tuples AS two_entries FROM ann_index_info('rows_v');
SELECT twice.hits > 1.05 * once.hits AS more, twice.codes < 1.1 * once.codes AS as_many_codes FROM once, search(4, 200) twice;
DROP TABLE topics, texts, once;

SELECT c.* FROM unnest(ARRAY['rows_v', 'items_embedding_idx', 'bits_v_idx', 'bits_v_idx1']::regclass[]) i, ann_check(i, true) c;
DROP TABLE items, rows, queries, truth, bits, many, centroids;
DROP FUNCTION plan_of, served, without, search, made, trained, differs, hamming;

-- no extension, no access method
BEGIN;
DROP EXTENSION ann CASCADE;
CREATE TABLE plain (v real[]);
\set VERBOSITY sqlstate
CREATE INDEX ON plain USING annivf (v);
\set VERBOSITY default
ROLLBACK;

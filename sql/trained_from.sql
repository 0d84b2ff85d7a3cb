-- A model shared between indexes: option trained_from

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE one (id serial, v vector(24));
INSERT INTO one (v) SELECT x FROM clustered(3000, 24, 0.3, 50) x;
CREATE TABLE two AS SELECT id, v FROM one WHERE id % 3 = 0;

-- Do two indexes have the same model, and every row of a table the same code in both?
CREATE FUNCTION same_model(a regclass, b regclass, OUT info bool, OUT centroids bool, OUT codewords bool, OUT codes bool)
LANGUAGE sql AS $$
	SELECT (SELECT to_jsonb(x) - ARRAY['num_tuples', 'num_entries', 'exact_rows', 'null_rows', 'num_reordering_candidates', 'seed']
			= to_jsonb(y) - ARRAY['num_tuples', 'num_entries', 'exact_rows', 'null_rows', 'num_reordering_candidates', 'seed']
			FROM ann_index_info(a) x, ann_index_info(b) y),
		(SELECT bool_and(x.centroid = y.centroid) AND count(*) = max(i.num_leaves)
			FROM ann_leaves(a) x JOIN ann_leaves(b) y USING (leaf), ann_index_info(a) i),
		(SELECT count(*) = 0 FROM (SELECT * FROM ann_codebook(a) EXCEPT SELECT * FROM ann_codebook(b)) d),
		(SELECT bool_and(ann_encode(a, v) = ann_encode(b, v)) FROM one WHERE id % 10 = 0)
$$;

-- for each metric and code, on other rows, and then on none
CREATE FUNCTION share(opclass text, op text, options text) RETURNS TABLE (same_model text, faults text, same_empty text,
	grown_faults text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE INDEX one_v ON one USING annivf (v %s) WITH (%s)', opclass, options);
	EXECUTE format('CREATE INDEX two_v ON two USING annivf (v %s) WITH (trained_from = one_v)', opclass);
	same_model := (same_model('one_v', 'two_v'))::text;
	faults := (SELECT string_agg(f, '; ') FROM index_faults('two', op, 200) f);
	CREATE TABLE grown (id int, v vector(24));
	EXECUTE format('CREATE INDEX grown_v ON grown USING annivf (v %s) WITH (trained_from = two_v)', opclass);
	PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_seqscan', 'on', true);
	same_empty := (same_model('one_v', 'grown_v'))::text;
	INSERT INTO grown SELECT id, v FROM one WHERE id % 4 = 1;
	grown_faults := (SELECT string_agg(f, '; ') FROM index_faults('grown', op, 200) f);
	DROP INDEX one_v;
	DROP INDEX two_v;
	DROP TABLE grown;
	RETURN NEXT;
END $$;
SELECT * FROM share('vector_l2_ops', '<->', 'num_leaves = 40, soar_lambda = 1.5');
SELECT * FROM share('vector_l2_ops', '<->', 'num_leaves = 600, rotation = on, dimensions_per_block = 2');
SELECT * FROM share('vector_l2_ops', '<->', 'num_leaves = 2100, training_iterations = 2');
SELECT * FROM share('vector_ip_ops', '<#>', 'num_leaves = 30, nbits = 8, residual_quantization = off');
SELECT * FROM share('vector_ip_ops', '<#>', 'num_leaves = 600');
SELECT * FROM share('vector_cosine_ops', '<=>', 'num_leaves = 30, quantizer = sq8');
SELECT * FROM share('vector_l2_ops', '<->', 'num_leaves = 30, quantizer = flat');
SELECT * FROM share('vector_l1_ops', '<+>', 'num_leaves = 30');

-- codes are one currency: those of one index are read by the other
CREATE INDEX one_v ON one USING annivf (v) WITH (num_leaves = 40);
CREATE INDEX two_v ON two USING annivf (v) WITH (trained_from = 'public.one_v', num_leaves = 40, nbits = 4);
CREATE TABLE codes AS SELECT 'one' AS origin, id, ann_encode('one_v', v) AS code FROM one WHERE id % 3 > 0
	UNION ALL SELECT 'two', id, ann_encode('two_v', v) FROM two;
SELECT bool_and(ann_decode('one_v', code) = ann_decode('two_v', code)) AS same FROM codes WHERE id % 10 = 0;
SELECT bool_and(e.code = ann_encode('one_v', t.v)) AS stored FROM ann_leaves('two_v') l, ann_leaf_entries('two_v', l.leaf) e
	JOIN two t ON t.ctid = e.ctid;
DROP TABLE codes;
-- rows are its own, whatever becomes of the other one
SELECT sum(num_tuples) FROM ann_leaves('two_v');
DROP INDEX one_v;
SELECT * FROM index_faults('two', '<->', 200);
-- without it, it trains itself
REINDEX INDEX two_v;
SELECT is_trained, num_leaves, trained_rows <= 1000 AS own FROM ann_index_info('two_v');
SELECT * FROM index_faults('two', '<->', 200);
DROP INDEX two_v;

-- an empty partition is trained from the start, and after TRUNCATE again
CREATE TABLE parts (id int, v vector(24)) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (2000);
INSERT INTO parts SELECT id, v FROM one WHERE id < 2000;
CREATE INDEX parts_1_v ON parts_1 USING annivf (v);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (2000) TO (4000);
CREATE INDEX parts_2_v ON parts_2 USING annivf (v) WITH (trained_from = 'parts_1_v');
CREATE INDEX parts_v ON parts USING annivf (v);
SELECT is_trained, num_tuples FROM ann_index_info('parts_2_v');
INSERT INTO parts SELECT id, v FROM one WHERE id >= 2000;
SELECT exact_rows, num_tuples FROM ann_index_info('parts_2_v');
SELECT * FROM index_faults('parts', '<->', 200);
TRUNCATE parts_2;
SELECT is_trained, num_tuples FROM ann_index_info('parts_2_v');
DROP TABLE parts;

-- an untrained index has none to give; who asked for it may ask again when it is trained
CREATE TABLE late (id int, v vector(24));
CREATE INDEX late_v ON late USING annivf (v);
CREATE TABLE asks (id int, v vector);
CREATE INDEX asks_v ON asks USING annivf ((v::vector(24))) WITH (trained_from = late_v);
INSERT INTO late SELECT id, v FROM one;
INSERT INTO asks SELECT id, v FROM one WHERE id < 100;
SELECT is_trained FROM ann_index_info('asks_v');
SELECT ann_train('late_v'), ann_train('asks_v');
SELECT (same_model('late_v', 'asks_v')).*;
DROP TABLE late, asks;

-- what cannot be
CREATE INDEX one_v ON one USING annivf (v) WITH (num_leaves = 40, rotation = off, soar_lambda = 0);
CREATE INDEX one_id ON one (id);
CREATE INDEX ON two USING annivf (v) WITH (trained_from = '');
CREATE INDEX ON two USING annivf (v) WITH (trained_from = 'a.b.c.d');
CREATE INDEX ON two USING annivf (v) WITH (trained_from = 'one_id');
CREATE INDEX ON two USING annivf (v) WITH (trained_from = 'one');
CREATE INDEX two_v ON two USING annivf (v) WITH (trained_from = 'two_v');
CREATE INDEX ON two USING annivf (v vector_cosine_ops) WITH (trained_from = 'one_v');
CREATE INDEX ON two USING annivf ((subvector(v, 1, 8)::vector(8))) WITH (trained_from = 'one_v');
CREATE INDEX ON two USING annivf (v) WITH (trained_from = 'one_v', nbits = 8);
CREATE INDEX ON two USING annivf (v) WITH (trained_from = 'one_v', dimensions_per_block = 3);
CREATE INDEX ON two USING annivf (v) WITH (trained_from = 'one_v', quantizer = sq8);
CREATE INDEX ON two USING annivf (v) WITH (trained_from = 'one_v', num_leaves = 41);
CREATE INDEX ON two USING annivf (v) WITH (trained_from = 'one_v', rotation = on);
CREATE INDEX ON two USING annivf (v) WITH (trained_from = 'one_v', residual_quantization = off);
CREATE INDEX ON two USING annivf (v) WITH (trained_from = 'one_v', soar_lambda = 1);
CREATE INDEX fits ON two USING annivf (v) WITH (trained_from = 'one_v', quantizer = pq, nbits = 4, num_leaves = 40, rotation = off,
	residual_quantization = on, soar_lambda = 0, dimensions_per_block = 1);
CREATE INDEX missing ON two USING annivf (v) WITH (trained_from = 'nowhere.one_v');
SELECT is_trained FROM ann_index_info('missing');
DROP INDEX fits, missing;

-- the owner of the table must be allowed to see what the other index reveals
CREATE ROLE regress_ann_reader;
CREATE TABLE theirs AS SELECT * FROM two;
ALTER TABLE theirs OWNER TO regress_ann_reader;
CREATE INDEX theirs_v ON theirs USING annivf (v) WITH (trained_from = 'one_v');
GRANT SELECT ON one TO regress_ann_reader;
CREATE INDEX theirs_v ON theirs USING annivf (v) WITH (trained_from = 'one_v');
DROP INDEX theirs_v;
ALTER TABLE one ENABLE ROW LEVEL SECURITY;
CREATE INDEX theirs_v ON theirs USING annivf (v) WITH (trained_from = 'one_v');
DROP TABLE theirs, one, two;
DROP ROLE regress_ann_reader;
DROP FUNCTION share, same_model;

-- anisotropic_quantization_threshold: codes in which the error along the row weighs more

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE rows (id serial, v vector(32));
INSERT INTO rows (v) SELECT x FROM clustered(3000, 32, 0.3, 50) x;

-- where scores are not products, or codes are of another kind
CREATE INDEX ON rows USING annivf (v) WITH (anisotropic_quantization_threshold = 0.2);
CREATE INDEX ON rows USING annivf (v vector_l1_ops) WITH (anisotropic_quantization_threshold = 0.2);
CREATE INDEX ON rows USING annivf (v vector_ip_ops) WITH (anisotropic_quantization_threshold = 0.2, nbits = 8);
CREATE INDEX ON rows USING annivf (v vector_ip_ops) WITH (anisotropic_quantization_threshold = 0.2, quantizer = sq8);
CREATE INDEX ON rows USING annivf (v vector_ip_ops) WITH (anisotropic_quantization_threshold = 0.2, quantizer = flat);
CREATE INDEX ON rows USING annivf (v) WITH (anisotropic_quantization_threshold = 0);
DROP INDEX rows_v_idx;

-- Of an index with a threshold: mean error of the score of the pairs of rows with a great one, taken
-- from codes; that of the row with itself; and what is wrong with it
CREATE FUNCTION measure(opclass text, op text, threshold real) RETURNS TABLE (in_force real, pairs float8, own float8,
	recall float8, faults text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE INDEX rows_v ON rows USING annivf (v %s) WITH (num_leaves = 30,
		dimensions_per_block = 2, anisotropic_quantization_threshold = %s)', opclass, threshold);
	in_force := (SELECT i.anisotropic_quantization_threshold FROM ann_index_info('rows_v') i);
	CREATE TEMP TABLE coded AS SELECT id, x, ann_decode('rows_v', ann_encode('rows_v', x)) AS y
		FROM (SELECT id, CASE WHEN op = '<=>' THEN l2_normalize(v) ELSE v END AS x FROM rows) r;
	PERFORM set_config('enable_seqscan', 'on', true);
	SELECT avg(abs(inner_product(q.x, r.x) - inner_product(q.x, r.y))),
			avg(abs(inner_product(r.x, r.x - r.y))) FILTER (WHERE q.id = r.id)
		INTO pairs, own
		FROM coded q, coded r
		WHERE q.id % 100 = 0 AND inner_product(q.x, r.x) > 0.8 * inner_product(q.x, q.x);
	DROP TABLE coded;
	recall := ann_test.recall('rows', op, (SELECT array_agg(v ORDER BY id) FROM rows WHERE id % 100 = 7), 10);
	faults := (SELECT string_agg(f, '; ') FROM index_faults('rows', op, 200) f);
	RETURN NEXT;
	DROP INDEX rows_v;
END $$;
CREATE TABLE measured AS
	SELECT opclass, t, m.* FROM (VALUES ('vector_ip_ops', '<#>'), ('vector_cosine_ops', '<=>')) c(opclass, op),
		unnest(ARRAY[0, 0.25, 0.5]) t, measure(opclass, op, t::real) m;
SELECT opclass, t, in_force, pairs < lag(pairs) OVER w AS pairs, own < lag(own) OVER w AS own, recall > 0.9 AS recall, faults
	FROM measured WINDOW w AS (PARTITION BY opclass ORDER BY t) ORDER BY opclass, t;

-- rows that come later are coded alike, and an index that takes the model over codes as it does
CREATE INDEX rows_v ON rows USING annivf (v vector_ip_ops) WITH (num_leaves = 30, soar_lambda = 0,
	anisotropic_quantization_threshold = 0.3);
CREATE TABLE others (LIKE rows);
CREATE INDEX others_v ON others USING annivf (v vector_ip_ops) WITH (trained_from = 'rows_v');
INSERT INTO others SELECT * FROM rows;
INSERT INTO rows (v) SELECT x FROM clustered(500, 32, 0.4, 50) x;
SELECT count(*), bool_and(substr(e.code, 2) = ann_encode('rows_v', v, l.leaf)) AS same
	FROM ann_leaves('rows_v') l, ann_leaf_entries('rows_v', l.leaf) e JOIN rows ON rows.ctid = e.ctid;
SELECT count(*), bool_and(ann_encode('rows_v', v) = ann_encode('others_v', v)) AS same FROM others;
SELECT anisotropic_quantization_threshold FROM ann_index_info('others_v');
SELECT * FROM index_faults('rows', '<#>', 200);
SELECT * FROM index_faults('others', '<#>', 200);
CREATE INDEX ON others USING annivf (v vector_ip_ops) WITH (trained_from = 'rows_v', anisotropic_quantization_threshold = 0.2);

-- as ScaNN's builder has it: .tree(20, 10, training_sample_size=2500).score_ah(2, 0.2).reorder(100)
DROP INDEX rows_v;
CREATE INDEX rows_v ON rows USING annivf (v vector_ip_ops) WITH (num_leaves = 20, training_sample_size = 2500,
	dimensions_per_block = 2, anisotropic_quantization_threshold = 0.2);
SET ann.num_leaves_to_search = 10;
SET ann.num_reordering_candidates = 100;
SELECT ann_test.recall('rows', '<#>', (SELECT array_agg(v) FROM rows WHERE id % 100 = 1), 10) > 0.98 AS recall;
SELECT * FROM ann_check('rows_v', true);
DROP TABLE rows, others, measured;
DROP FUNCTION measure;

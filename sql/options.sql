-- Options of an index and settings of a session: ranges, defaults, and which of them counts

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE options (id int, v vector(6));
INSERT INTO options SELECT row_number() OVER (), x FROM clustered(2000, 6) x;

-- options of an index: out of range, unknown, of another type
CREATE INDEX ON options USING annivf (v) WITH (num_leaves = -1);
CREATE INDEX ON options USING annivf (v) WITH (num_leaves = 16777217);
CREATE INDEX ON options USING annivf (v) WITH (num_leaves = many);
CREATE INDEX ON options USING annivf (v) WITH (num_leaves_to_search = -1);
CREATE INDEX ON options USING annivf (v) WITH (num_leaves_to_search = 16777217);
CREATE INDEX ON options USING annivf (v) WITH (num_reordering_candidates = -2);
CREATE INDEX ON options USING annivf (v) WITH (num_reordering_candidates = 2147483648);
CREATE INDEX ON options USING annivf (v) WITH (dimensions_per_block = -1);
CREATE INDEX ON options USING annivf (v) WITH (dimensions_per_block = 129);
CREATE INDEX ON options USING annivf (v) WITH (training_sample_size = -1);
CREATE INDEX ON options USING annivf (v) WITH (training_iterations = 1001);
CREATE INDEX ON options USING annivf (v) WITH (training_iterations = -1);
CREATE INDEX ON options USING annivf (v) WITH (min_partition_size = -1);
CREATE INDEX ON options USING annivf (v) WITH (min_partition_size = 2147483648);
CREATE INDEX ON options USING annivf (v) WITH (min_partition_size = few);
CREATE INDEX ON options USING annivf (v) WITH (seed = -1);
CREATE INDEX ON options USING annivf (v) WITH (soar_lambda = -2);
CREATE INDEX ON options USING annivf (v) WITH (soar_lambda = 10.5);
CREATE INDEX ON options USING annivf (v) WITH (soar_lambda = -0.5);
CREATE INDEX ON options USING annivf (v) WITH (soar_lambda = nan);
CREATE INDEX ON options USING annivf (v) WITH (soar_lambda = much);
CREATE INDEX ON options USING annivf (v vector_ip_ops) WITH (anisotropic_quantization_threshold = -0.1);
CREATE INDEX ON options USING annivf (v vector_ip_ops) WITH (anisotropic_quantization_threshold = 1);
CREATE INDEX ON options USING annivf (v vector_ip_ops) WITH (anisotropic_quantization_threshold = nan);
CREATE INDEX ON options USING annivf (v) WITH (fillfactor = 70);
CREATE INDEX ON options USING annivf (v) WITH (lists = 100);

-- the ends of the ranges are within; each index holds every row
CREATE FUNCTION tried(options text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	fault text;
BEGIN
	SET LOCAL client_min_messages = error;
	EXECUTE 'CREATE INDEX options_tried ON options USING annivf (v) ' || options;
	fault := coalesce(full_difference('options', '<->', '[1,0,0,0,0,0]'), (SELECT string_agg(u::text, '; ') FROM unsound() u));
	DROP INDEX options_tried;
	RETURN coalesce(fault, 'the rows of the sort');
END $$;
SELECT o, tried(o) FROM unnest(ARRAY['',
	'WITH (num_leaves = 0, num_leaves_to_search = 0, num_reordering_candidates = -1, dimensions_per_block = 0,
		training_sample_size = 0, training_iterations = 0, seed = 0)',
	'WITH (num_leaves = 1)', 'WITH (num_leaves = 2000)', 'WITH (num_leaves = 16777216)',
	'WITH (num_leaves_to_search = 16777216)', 'WITH (num_reordering_candidates = 2147483647)',
	'WITH (num_reordering_candidates = 0)',
	'WITH (dimensions_per_block = 1)', 'WITH (dimensions_per_block = 4)', 'WITH (dimensions_per_block = 128)',
	'WITH (training_sample_size = 1)', 'WITH (training_sample_size = 2147483647)',
	'WITH (training_iterations = 1)', 'WITH (training_iterations = 1000)',
	'WITH (min_partition_size = 0)', 'WITH (min_partition_size = 40)', 'WITH (min_partition_size = 2147483647)',
	'WITH (seed = 2147483647)', 'WITH (soar_lambda = -1)', 'WITH (soar_lambda = 0)', 'WITH (soar_lambda = 0.001)',
	'WITH (soar_lambda = 10)']) o;

-- more leaves than the sample has rows
CREATE INDEX options_v ON options USING annivf (v) WITH (num_leaves = 2001);
DROP INDEX options_v;
CREATE INDEX options_v ON options USING annivf (v) WITH (num_leaves = 50, training_sample_size = 30);
DROP INDEX options_v;

-- options are kept as they were given
CREATE INDEX options_v ON options USING annivf (v)
	WITH (num_leaves = 40, num_leaves_to_search = 7, num_reordering_candidates = 33, dimensions_per_block = 2,
		training_sample_size = 1500, training_iterations = 5, seed = 3, soar_lambda = 0.5);
SELECT pg_get_indexdef('options_v'::regclass);

-- leaves that a search of the nearest rows looks at
CREATE FUNCTION leaves(rows int) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	PERFORM answer('options', '<->', '[1,0,0,0,0,0]', rows, true);
	RETURN (SELECT leaves_searched FROM ann_search_stats());
END $$;
SELECT leaves(1);
-- the setting of the session comes first
SET ann.num_leaves_to_search = 3;
SELECT leaves(1);
SET ann.num_leaves_to_search = -1;
SELECT leaves(1);
ALTER INDEX options_v SET (num_leaves_to_search = 11);
SELECT leaves(1);
-- more than there are is all
ALTER INDEX options_v SET (num_leaves_to_search = 5000);
SELECT leaves(1);
ALTER INDEX options_v RESET (num_leaves_to_search);
SELECT leaves(1) BETWEEN 1 AND 40 AS calibrated;
ALTER INDEX options_v SET (num_leaves_to_search = 16777217);

-- candidates read exactly
CREATE FUNCTION candidates(rows int) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	PERFORM answer('options', '<->', '[1,0,0,0,0,0]', rows, true);
	RETURN (SELECT heap_fetches FROM ann_search_stats());
END $$;
SELECT candidates(1);
SET ann.num_reordering_candidates = 50;
SELECT candidates(1);
SET ann.num_reordering_candidates = 0;
SELECT candidates(1);
RESET ann.num_reordering_candidates;
ALTER INDEX options_v SET (num_reordering_candidates = 0);
SELECT candidates(1);
ALTER INDEX options_v RESET (num_reordering_candidates);
SELECT candidates(1) BETWEEN 1 AND 2000 AS by_bound;

-- options that shape the index are taken when it is built
ALTER INDEX options_v SET (num_leaves = 5);
SET ann.num_leaves_to_search = 1000;
SELECT leaves(1);
REINDEX INDEX options_v;
SELECT leaves(1);
ALTER INDEX options_v RESET (num_leaves);
REINDEX INDEX options_v;
SELECT leaves(1);
RESET ann.num_leaves_to_search;

-- the same seed gives the same index, another one another
CREATE FUNCTION fingerprint(options text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE 'CREATE INDEX options_print ON options USING annivf (v) ' || options;
	SET LOCAL ann.num_leaves_to_search = 1;
	SET LOCAL ann.num_reordering_candidates = 0;
	SET LOCAL ann.iterative_scan = off;
	SELECT md5(string_agg(a.ids::text, ',')) INTO result
		FROM clustered(20, 6, 0.1) q, answer('options', '<->', q, 100, true) a;
	DROP INDEX options_print;
	RETURN result;
END $$;
DROP INDEX options_v;
SELECT fingerprint('') = fingerprint('WITH (seed = 0)') AS same,
	fingerprint('WITH (seed = 5)') = fingerprint('WITH (seed = 5)') AS same,
	fingerprint('WITH (seed = 5)') = fingerprint('WITH (seed = 6)') AS other;

-- settings of a session: defaults, ranges
CREATE INDEX options_v ON options USING annivf (v) WITH (num_leaves = 40);
SELECT name, boot_val, vartype, context, min_val, max_val, enumvals FROM pg_settings
	WHERE name LIKE 'ann.%' ORDER BY name;
SET ann.num_leaves_to_search = -5;
SET ann.num_leaves_to_search = 0;
SET ann.num_leaves_to_search = 16777216;
SET ann.num_leaves_to_search = 16777217;
SET ann.num_leaves_to_search = 'all';
RESET ann.num_leaves_to_search;
SET ann.num_reordering_candidates = -5;
SET ann.num_reordering_candidates = 2147483647;
SET ann.num_reordering_candidates = 2147483648;
RESET ann.num_reordering_candidates;
SET ann.max_leaves_to_search = -5;
SET ann.max_leaves_to_search = 0;
SET ann.max_leaves_to_search = 16777217;
SET ann.max_leaves_to_search = 1;
RESET ann.max_leaves_to_search;
SET ann.iterative_scan = sometimes;
SET ann.simd = mmx;
SET ann.anything = 1;

-- what they do
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*) FROM (SELECT id FROM options ORDER BY v <-> '[1,0,0,0,0,0]') s;
SET ann.num_leaves_to_search = 2;
SELECT count(*) FROM (SELECT id FROM options ORDER BY v <-> '[1,0,0,0,0,0]') s;
SET ann.iterative_scan = off;
SELECT count(*) BETWEEN 1 AND 400 AS few FROM (SELECT id FROM options ORDER BY v <-> '[1,0,0,0,0,0]') s;
SET ann.iterative_scan = relaxed_order;
SELECT count(*) FROM (SELECT id FROM options ORDER BY v <-> '[1,0,0,0,0,0]') s;
RESET ann.iterative_scan;
SET ann.max_leaves_to_search = 5;
SELECT count(*) BETWEEN 1 AND 1000 AS some FROM (SELECT id FROM options ORDER BY v <-> '[1,0,0,0,0,0]') s;
SELECT count(*) FROM (SELECT id FROM options ORDER BY v <-> '[1,0,0,0,0,0]' LIMIT 10) s;
RESET ann.max_leaves_to_search;
RESET ann.num_leaves_to_search;
RESET enable_seqscan;
RESET enable_sort;

-- the kernels are the superuser's choice
CREATE ROLE regress_ann_options;
SET ROLE regress_ann_options;
SET ann.simd = scalar;
SET ann.num_leaves_to_search = 5;
RESET ann.num_leaves_to_search;
RESET ROLE;
DROP ROLE regress_ann_options;
SET ann.simd = scalar;
SELECT ann_simd();
RESET ann.simd;
SELECT ann_simd() = ANY (enumvals) AS known FROM pg_settings WHERE name = 'ann.simd';

SELECT * FROM unsound();
DROP TABLE options;
DROP FUNCTION tried, leaves, candidates, fingerprint;

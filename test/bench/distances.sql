-- distances.sql: sequential scans that compute a distance for every row, ann's types beside pgvector's
-- in one server. Run by tools/bench_distances; psql's variables: types (of those below), rounds,
-- megabytes (of numbers in a table).
--
-- Both sides have equal tables and take turns; of the rounds' times each the median. In ns a row:
--   where   count(*) of a condition on the distance that no row meets
--   sum     sum of the distances
--   read    count(a): the scan alone, nothing is detoasted or called
--   equal   count(*) WHERE a = q, false at the first element: what every function of a value pays
\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
CREATE SCHEMA pgv;
CREATE SCHEMA ann;
CREATE SCHEMA bench;
CREATE EXTENSION vector SCHEMA pgv;
CREATE EXTENSION ann SCHEMA ann;
SET search_path = bench;

CREATE TABLE scans (id serial, type text, dims int, storage text, metric text, side text, form text, num_rows int, query text);
CREATE TABLE times (type text, dims int, storage text, metric text, side text, form text, ns float8);

-- A literal of random numbers between -1 and 1, or of bits.
CREATE FUNCTION literal(type text, dims int) RETURNS text LANGUAGE sql AS $$
	SELECT CASE type WHEN 'bit' THEN string_agg((random() < .5)::int::text, '')
		ELSE '[' || string_agg((random() * 2 - 1)::real::text, ',') || ']' END
	FROM generate_series(1, dims) $$;

-- A table for a side, and its scans. Rows repeat: time does not depend on the numbers.
CREATE PROCEDURE add_table(side text, type text, dims int, storage text, megabytes int, q text) LANGUAGE plpgsql AS $$
DECLARE
	name text := format('%s_%s_%s_%s', side, type, dims, storage);
	column_type text := CASE type WHEN 'bit' THEN format('bit(%s)', dims) ELSE format('%s.%s(%s)', side, type, dims) END;
	num_rows int := megabytes * 1000000.0 / dims / CASE type WHEN 'bit' THEN .125 WHEN 'halfvec' THEN 2 ELSE 4 END;
	metric record;
BEGIN
	num_rows := least(num_rows, 200000);
	EXECUTE format('CREATE TABLE %I (a %s); ALTER TABLE %1$I ALTER a SET STORAGE %3$s', name, column_type, storage);
	EXECUTE format('INSERT INTO %I SELECT l.literal::%s FROM literals l, generate_series(1, %s / 500 + 1) LIMIT %3$s',
		name, column_type, num_rows);
	EXECUTE format('INSERT INTO scans (type, dims, storage, metric, side, form, num_rows, query) VALUES ($1, $2, $3, NULL, $4, %L, $5, $6), ($1, $2, $3, NULL, $4, %L, $5, $7)', 'read', 'equal')
	USING type, dims, storage, side, num_rows, format('SELECT count(a) FROM %I', name),
		format('SELECT count(*) FROM %I WHERE a OPERATOR(%s.=) %L::%s', name,
			CASE type WHEN 'bit' THEN 'pg_catalog' ELSE side END, q, column_type);
	FOR metric IN SELECT * FROM (VALUES ('L2', '<->'), ('inner product', '<#>'), ('cosine', '<=>'), ('L1', '<+>'),
		('Hamming', '<~>'), ('Jaccard', '<%>')) m (name, op) WHERE (type = 'bit') = (op IN ('<~>', '<%>'))
	LOOP
		INSERT INTO scans (type, dims, storage, metric, side, form, num_rows, query) VALUES
			(type, dims, storage, metric.name, side, 'where', num_rows,
				format('SELECT count(*) FROM %I WHERE a OPERATOR(%s.%s) %L::%s < -1e30', name, side, metric.op, q, column_type)),
			(type, dims, storage, metric.name, side, 'sum', num_rows,
				format('SELECT sum(a OPERATOR(%s.%s) %L::%s) FROM %I', side, metric.op, q, column_type, name));
	END LOOP;
END $$;

CREATE PROCEDURE add_tables(types text[], megabytes int) LANGUAGE plpgsql AS $$
DECLARE
	t record;
	side text;
	q text;
BEGIN
	FOR t IN SELECT type, dims, storage FROM unnest(types) type, unnest(ARRAY[128, 384, 1536]) dims, unnest(ARRAY['plain', 'external']) storage
		WHERE storage = 'plain' OR (type <> 'bit' AND dims = 1536)
	LOOP
		DROP TABLE IF EXISTS literals;
		CREATE TABLE literals AS SELECT literal(t.type, t.dims + i * 0) FROM generate_series(1, 500) i;
		q := literal(t.type, t.dims);
		FOREACH side IN ARRAY ARRAY['ann', 'pgv']
		LOOP
			CALL add_table(side, t.type, t.dims, t.storage, megabytes, q);
		END LOOP;
	END LOOP;
END $$;

CREATE PROCEDURE measure(rounds int) LANGUAGE plpgsql AS $$
DECLARE
	scan record;
	started timestamptz;
	result float8;
BEGIN
	-- parsed and planned once: the literals are long
	FOR scan IN SELECT * FROM scans
	LOOP
		EXECUTE format('PREPARE scan_%s AS %s', scan.id, scan.query);
	END LOOP;
	FOR round IN 0 .. rounds
	LOOP
		FOR scan IN SELECT * FROM scans ORDER BY type, dims, storage, metric, form, CASE side WHEN 'ann' THEN round % 2 ELSE .5 END
		LOOP
			started := clock_timestamp();
			EXECUTE 'EXECUTE scan_' || scan.id INTO result;
			IF round > 0 THEN
				INSERT INTO times SELECT scan.type, scan.dims, scan.storage, scan.metric, scan.side, scan.form,
					extract(epoch FROM clock_timestamp() - started) * 1e9 / scan.num_rows;
			END IF;
		END LOOP;
	END LOOP;
END $$;

DO $$ BEGIN PERFORM setseed(.5); END $$;
CALL add_tables(string_to_array(:'types', ','), :megabytes);
VACUUM (FREEZE, ANALYZE);
CALL measure(:rounds);

CREATE VIEW medians AS
	SELECT type, dims, storage, metric, side, form, percentile_cont(.5) WITHIN GROUP (ORDER BY ns) ns
	FROM times GROUP BY type, dims, storage, metric, side, form;

SELECT ann.ann_simd() AS "ann.simd", (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS pgvector,
	current_setting('server_version') AS server;
SELECT a.type, a.dims, a.storage, a.metric, a.form, round(a.ns) AS ann, round(p.ns) AS pgvector,
	round((p.ns / a.ns)::numeric, 2) AS ratio, round(ar.ns) AS read,
	round(((p.ns - pr.ns) / (a.ns - ar.ns))::numeric, 2) AS "over read",
	round(ae.ns) AS equal, round(pe.ns) AS "pgvector equal",
	CASE WHEN a.form = 'where' AND a.ns > ae.ns THEN round(((p.ns - pe.ns) / (a.ns - ae.ns))::numeric, 1) END AS "over equal"
FROM medians a
	JOIN medians p USING (type, dims, storage, metric, form)
	JOIN medians ar ON (ar.type, ar.dims, ar.storage, ar.side, ar.form) = (a.type, a.dims, a.storage, 'ann', 'read')
	JOIN medians pr ON (pr.type, pr.dims, pr.storage, pr.side, pr.form) = (a.type, a.dims, a.storage, 'pgv', 'read')
	JOIN medians ae ON (ae.type, ae.dims, ae.storage, ae.side, ae.form) = (a.type, a.dims, a.storage, 'ann', 'equal')
	JOIN medians pe ON (pe.type, pe.dims, pe.storage, pe.side, pe.form) = (a.type, a.dims, a.storage, 'pgv', 'equal')
WHERE a.side = 'ann' AND p.side = 'pgv'
ORDER BY a.type DESC, a.dims, a.storage DESC, a.form DESC, a.metric;

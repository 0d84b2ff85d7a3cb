-- ann_pgvector: operator classes of annivf for the types of pgvector, so that a table that has them need
-- not be rewritten. Both lay their values out in the same way, and annivf looks at values only.

\echo Use "CREATE EXTENSION ann_pgvector" to load this file. \quit

-- The two extensions stand in schemas of their own, whatever their names are.
DO $$
DECLARE
	ann text := (SELECT quote_ident(nspname) FROM pg_catalog.pg_extension e
		JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) extnamespace
		WHERE extname OPERATOR(pg_catalog.=) 'ann');
	pgvector text := (SELECT quote_ident(nspname) FROM pg_catalog.pg_extension e
		JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) extnamespace
		WHERE extname OPERATOR(pg_catalog.=) 'vector');
	class record;
BEGIN
	FOR class IN SELECT * FROM (VALUES
		('vector', 'l2', '<->', 'DEFAULT'),
		('vector', 'ip', '<#>', ''),
		('vector', 'cosine', '<=>', ''),
		('halfvec', 'l2', '<->', 'DEFAULT'),
		('halfvec', 'ip', '<#>', ''),
		('halfvec', 'cosine', '<=>', '')) v(type, metric, operator, is_default)
	LOOP
		-- pgvector before 0.7 has no halfvec
		CONTINUE WHEN pg_catalog.to_regtype(pgvector || '.' || class.type) IS NULL;
		EXECUTE pg_catalog.format(
			'CREATE OPERATOR CLASS @extschema@.%1$s_%2$s_ops %3$s FOR TYPE %4$s.%1$s USING annivf AS
				OPERATOR 1 %4$s.%5$s (%4$s.%1$s, %4$s.%1$s) FOR ORDER BY pg_catalog.float_ops,
				FUNCTION 1 %6$s.annivf_%1$s_%2$s_support(internal)',
			class.type, class.metric, class.is_default, pgvector, class.operator, ann);
	END LOOP;
END $$;

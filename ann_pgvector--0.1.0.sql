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
	FOR class IN SELECT *, CASE name WHEN 'bit' THEN 'pg_catalog.bit' ELSE pgvector || '.' || name END AS type FROM (VALUES
		('vector', 'l2', '<->', 'DEFAULT'),
		('vector', 'ip', '<#>', ''),
		('vector', 'cosine', '<=>', ''),
		('vector', 'l1', '<+>', ''),
		('halfvec', 'l2', '<->', 'DEFAULT'),
		('halfvec', 'ip', '<#>', ''),
		('halfvec', 'cosine', '<=>', ''),
		('halfvec', 'l1', '<+>', ''),
		-- of the server's type, with pgvector's operators; the default is ann's own
		('bit', 'hamming', '<~>', ''),
		('bit', 'jaccard', '<%>', '')) v(name, metric, operator, is_default)
	LOOP
		-- pgvector before 0.7 has no halfvec, and of these operators none: <+> <~> <%>
		CONTINUE WHEN pg_catalog.to_regtype(class.type) IS NULL;
		CONTINUE WHEN pg_catalog.to_regoperator(
			pg_catalog.format('%1$s.%2$s (%3$s, %3$s)', pgvector, class.operator, class.type)) IS NULL;
		EXECUTE pg_catalog.format(
			'CREATE OPERATOR CLASS @extschema@.%1$s_%2$s_ops %3$s FOR TYPE %7$s USING annivf AS
				OPERATOR 1 %4$s.%5$s (%7$s, %7$s) FOR ORDER BY pg_catalog.float_ops,
				FUNCTION 1 %6$s.annivf_%1$s_%2$s_support(internal)',
			class.name, class.metric, class.is_default, pgvector, class.operator, ann, class.type);
	END LOOP;
END $$;

-- ann_pgvector: operator classes of annivf for the types of pgvector, with l2_within() and so on for them, so
-- that a table that has them need not be rewritten. Both lay their values out in the same way, and annivf
-- looks at values only.

\echo Use "CREATE EXTENSION ann_pgvector" to load this file. \quit

-- The two extensions stand in schemas of their own, whatever their names are.
DO $$
DECLARE
	ann text := (SELECT pg_catalog.quote_ident(nspname) FROM pg_catalog.pg_extension e
		JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) extnamespace
		WHERE extname OPERATOR(pg_catalog.=) 'ann');
	pgvector text := (SELECT pg_catalog.quote_ident(nspname) FROM pg_catalog.pg_extension e
		JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) extnamespace
		WHERE extname OPERATOR(pg_catalog.=) 'vector');
	class record;
	within text;
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
		within := pg_catalog.regexp_replace(class.operator, '^.(.*).$', '<<\1>>');
		IF class.name OPERATOR(pg_catalog.=) 'bit' THEN
			within := pg_catalog.format('%1$s.%2$s (pg_catalog.bit, %1$s.bit_ball)', ann, within);
		ELSE
			IF class.is_default OPERATOR(pg_catalog.<>) '' THEN
				EXECUTE pg_catalog.format(
					'CREATE TYPE @extschema@.%1$s_ball AS (center %2$s, radius float8);
					CREATE FUNCTION @extschema@.%1$s_ball(center %2$s, radius float8) RETURNS @extschema@.%1$s_ball
						AS ''MODULE_PATHNAME'', ''ann_ball'' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE',
					class.name, class.type);
			END IF;
			EXECUTE pg_catalog.format(
				'CREATE FUNCTION @extschema@.%1$s_within(%2$s, %2$s, radius float8) RETURNS boolean
					AS ''MODULE_PATHNAME'', ''%4$s'' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 SUPPORT %5$s.within_support;
				CREATE FUNCTION @extschema@.%1$s_within(%2$s, @extschema@.%3$s_ball) RETURNS boolean
					AS ''MODULE_PATHNAME'', ''%4$s'' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 SUPPORT %5$s.within_support;
				CREATE OPERATOR @extschema@.%6$s (LEFTARG = %2$s, RIGHTARG = @extschema@.%3$s_ball,
					FUNCTION = @extschema@.%1$s_within, RESTRICT = %5$s.within_sel, JOIN = pg_catalog.contjoinsel)',
				class.metric, class.type, class.name,
				CASE class.name WHEN 'vector' THEN 'ann_' ELSE 'ann_' || class.name || '_' END || class.metric || '_within', ann, within);
			within := pg_catalog.format('@extschema@.%1$s (%2$s, @extschema@.%3$s_ball)', within, class.type, class.name);
		END IF;
		EXECUTE pg_catalog.format(
			'CREATE OPERATOR CLASS @extschema@.%1$s_%2$s_ops %3$s FOR TYPE %7$s USING annivf AS
				OPERATOR 1 %4$s.%5$s (%7$s, %7$s) FOR ORDER BY pg_catalog.float_ops,
				OPERATOR 2 %8$s,
				FUNCTION 1 %6$s.annivf_%1$s_%2$s_support(internal)',
			class.name, class.metric, class.is_default, pgvector, class.operator, ann, class.type, within);
	END LOOP;
END $$;

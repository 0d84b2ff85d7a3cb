\echo Use "CREATE EXTENSION ann" to load this file. \quit

-- Every function is in C, so that no search_path of a caller can change its meaning. C symbols are
-- ann_<SQL name>, of a synonym that of the other name.
--
-- Whoever may create objects in the schema that the extension is put into may have put some there before, and
-- the server takes those whose arguments fit exactly before its own: what this script calls is either qualified
-- or takes arguments of just the types that it gets.

-- pgvector's types have the same names
DO $$
DECLARE
	found text := (SELECT typname FROM pg_catalog.pg_type
		JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) typnamespace
		WHERE nspname OPERATOR(pg_catalog.=) pg_catalog.current_schema()
			AND typname OPERATOR(pg_catalog.=) ANY ('{vector,halfvec,sparsevec}'::pg_catalog.name[])
		ORDER BY typname USING OPERATOR(pg_catalog.<) LIMIT 1);
BEGIN
	IF found IS NOT NULL THEN
		RAISE EXCEPTION USING
			ERRCODE = 'duplicate_object',
			MESSAGE = pg_catalog.format('type "%s" already exists in schema "%s"', found, pg_catalog.current_schema()),
			HINT = 'Where pgvector is installed, ann needs another schema: CREATE SCHEMA ann; CREATE EXTENSION ann SCHEMA ann. '
				'For indexes on the types of pgvector: CREATE EXTENSION ann_pgvector.';
	END IF;
END $$;

-- type vector: bytes, texts and names equal pgvector's

CREATE TYPE vector;

CREATE FUNCTION vector_in(cstring, oid, integer) RETURNS vector
	AS 'MODULE_PATHNAME', 'ann_vector_in'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION vector_out(vector) RETURNS cstring
	AS 'MODULE_PATHNAME', 'ann_vector_out'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION vector_typmod_in(cstring[]) RETURNS integer
	AS 'MODULE_PATHNAME', 'ann_vector_typmod_in'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION vector_recv(internal, oid, integer) RETURNS vector
	AS 'MODULE_PATHNAME', 'ann_vector_recv'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION vector_send(vector) RETURNS bytea
	AS 'MODULE_PATHNAME', 'ann_vector_send'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

-- External: elements hardly compress, and an uncompressed value can be read in slices.
CREATE TYPE vector (
	INPUT = vector_in,
	OUTPUT = vector_out,
	TYPMOD_IN = vector_typmod_in,
	RECEIVE = vector_recv,
	SEND = vector_send,
	STORAGE = external
);
COMMENT ON TYPE vector IS 'vector of float4, without NaN and infinity';

-- casts

CREATE FUNCTION vector(vector, integer, boolean) RETURNS vector
	AS 'MODULE_PATHNAME', 'ann_vector'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector(vector, integer, boolean) IS 'checks the number of dimensions';

CREATE FUNCTION array_to_vector(integer[], integer, boolean) RETURNS vector
	AS 'MODULE_PATHNAME', 'ann_array_to_vector'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION array_to_vector(integer[], integer, boolean) IS 'converts int4[] to vector';

CREATE FUNCTION array_to_vector(real[], integer, boolean) RETURNS vector
	AS 'MODULE_PATHNAME', 'ann_array_to_vector'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION array_to_vector(real[], integer, boolean) IS 'converts float4[] to vector';

CREATE FUNCTION array_to_vector(double precision[], integer, boolean) RETURNS vector
	AS 'MODULE_PATHNAME', 'ann_array_to_vector'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION array_to_vector(double precision[], integer, boolean) IS 'converts float8[] to vector';

CREATE FUNCTION array_to_vector(numeric[], integer, boolean) RETURNS vector
	AS 'MODULE_PATHNAME', 'ann_array_to_vector'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION array_to_vector(numeric[], integer, boolean) IS 'converts numeric[] to vector';

CREATE FUNCTION vector_to_float4(vector, integer, boolean) RETURNS real[]
	AS 'MODULE_PATHNAME', 'ann_vector_to_float4'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_to_float4(vector, integer, boolean) IS 'converts vector to float4[]';

CREATE CAST (vector AS vector)
	WITH FUNCTION vector(vector, integer, boolean) AS IMPLICIT;

CREATE CAST (vector AS real[])
	WITH FUNCTION vector_to_float4(vector, integer, boolean) AS IMPLICIT;

CREATE CAST (integer[] AS vector)
	WITH FUNCTION array_to_vector(integer[], integer, boolean) AS ASSIGNMENT;

CREATE CAST (real[] AS vector)
	WITH FUNCTION array_to_vector(real[], integer, boolean) AS ASSIGNMENT;

CREATE CAST (double precision[] AS vector)
	WITH FUNCTION array_to_vector(double precision[], integer, boolean) AS ASSIGNMENT;

CREATE CAST (numeric[] AS vector)
	WITH FUNCTION array_to_vector(numeric[], integer, boolean) AS ASSIGNMENT;

-- distances
--
-- COST: one call, in calls of int4lt (5 ns, one cpu_operator_cost), was measured at 6 to 11 for 128 to
-- 384 dimensions with AVX-512, 19 to 35 in scalar code (cosine 51 to 96), and at 330 and more for the
-- 1,536 dimensions that most embeddings have: these are toasted, and the planner counts neither their
-- pages nor their detoasting elsewhere. 50 is near the geometric mean of the ends. Too low would be the
-- dearer mistake: a sequential scan over toasted vectors where an index would do.

CREATE FUNCTION l2_distance(vector, vector) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_l2_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION l2_distance(vector, vector) IS 'Euclidean distance';

CREATE FUNCTION inner_product(vector, vector) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_inner_product'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION inner_product(vector, vector) IS 'inner product';

CREATE FUNCTION cosine_distance(vector, vector) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_cosine_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION cosine_distance(vector, vector) IS '1 - cosine; NaN for a zero vector';

CREATE FUNCTION l1_distance(vector, vector) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_l1_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION l1_distance(vector, vector) IS 'sum of absolute differences';

CREATE FUNCTION vector_l2_squared_distance(vector, vector) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_vector_l2_squared_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION vector_l2_squared_distance(vector, vector) IS 'square of the Euclidean distance';

CREATE FUNCTION vector_negative_inner_product(vector, vector) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_vector_negative_inner_product'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION vector_negative_inner_product(vector, vector) IS 'inner product with its sign turned';

CREATE OPERATOR <-> (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = l2_distance, COMMUTATOR = <->
);
COMMENT ON OPERATOR <-> (vector, vector) IS 'Euclidean distance';

CREATE OPERATOR <#> (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_negative_inner_product, COMMUTATOR = <#>
);
COMMENT ON OPERATOR <#> (vector, vector) IS 'negative inner product';

CREATE OPERATOR <=> (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = cosine_distance, COMMUTATOR = <=>
);
COMMENT ON OPERATOR <=> (vector, vector) IS 'cosine distance';

CREATE OPERATOR <+> (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = l1_distance, COMMUTATOR = <+>
);
COMMENT ON OPERATOR <+> (vector, vector) IS 'L1 distance';

-- other functions of vectors

CREATE FUNCTION vector_dims(vector) RETURNS integer
	AS 'MODULE_PATHNAME', 'ann_vector_dims'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_dims(vector) IS 'number of dimensions';

CREATE FUNCTION vector_norm(vector) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_vector_norm'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION vector_norm(vector) IS 'Euclidean norm';

CREATE FUNCTION l2_normalize(vector) RETURNS vector
	AS 'MODULE_PATHNAME', 'ann_l2_normalize'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION l2_normalize(vector) IS 'divides by the Euclidean norm';

CREATE FUNCTION l2_norm(vector) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_vector_norm'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION l2_norm(vector) IS 'Euclidean norm';

-- more distances, without operators

CREATE FUNCTION l2_squared_distance(vector, vector) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_vector_l2_squared_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION l2_squared_distance(vector, vector) IS 'square of the Euclidean distance';

CREATE FUNCTION vector_spherical_distance(vector, vector) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_vector_spherical_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION vector_spherical_distance(vector, vector) IS 'angle of two vectors of norm 1, divided by pi';

CREATE FUNCTION angular_distance(vector, vector) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_angular_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION angular_distance(vector, vector) IS 'Euclidean distance of the normalised vectors; NaN for a zero vector';

CREATE FUNCTION vector_hamming_distance(vector, vector) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_vector_hamming_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION vector_hamming_distance(vector, vector) IS 'number of elements that differ';

CREATE FUNCTION linf_distance(vector, vector) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_linf_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION linf_distance(vector, vector) IS 'greatest absolute difference';

CREATE FUNCTION lp_distance(vector, vector, p float8) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_lp_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION lp_distance(vector, vector, float8) IS 'p-th root of the sum of p-th powers of absolute differences';

-- arithmetic and pieces

CREATE FUNCTION vector_add(vector, vector) RETURNS vector
	AS 'MODULE_PATHNAME', 'ann_vector_add'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION vector_add(vector, vector) IS 'sums of elements';

CREATE FUNCTION vector_sub(vector, vector) RETURNS vector
	AS 'MODULE_PATHNAME', 'ann_vector_sub'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION vector_sub(vector, vector) IS 'differences of elements';

CREATE FUNCTION vector_mul(vector, vector) RETURNS vector
	AS 'MODULE_PATHNAME', 'ann_vector_mul'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION vector_mul(vector, vector) IS 'products of elements';

CREATE FUNCTION vector_concat(vector, vector) RETURNS vector
	AS 'MODULE_PATHNAME', 'ann_vector_concat'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION vector_concat(vector, vector) IS 'elements of both, one after the other';

CREATE OPERATOR + (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_add, COMMUTATOR = +
);
COMMENT ON OPERATOR + (vector, vector) IS 'sums of elements';

CREATE OPERATOR - (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_sub
);
COMMENT ON OPERATOR - (vector, vector) IS 'differences of elements';

CREATE OPERATOR * (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_mul, COMMUTATOR = *
);
COMMENT ON OPERATOR * (vector, vector) IS 'products of elements';

CREATE OPERATOR || (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_concat
);
COMMENT ON OPERATOR || (vector, vector) IS 'elements of both, one after the other';

CREATE FUNCTION subvector(vector, start integer, count integer) RETURNS vector
	AS 'MODULE_PATHNAME', 'ann_subvector'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION subvector(vector, integer, integer) IS 'count elements from start on, the first being 1';

CREATE FUNCTION binary_quantize(vector) RETURNS bit
	AS 'MODULE_PATHNAME', 'ann_binary_quantize'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION binary_quantize(vector) IS '1 for each element above zero';

-- aggregates

CREATE FUNCTION vector_accum(double precision[], vector) RETURNS double precision[]
	AS 'MODULE_PATHNAME', 'ann_vector_accum'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION vector_accum(double precision[], vector) IS 'transition of avg(vector)';

CREATE FUNCTION vector_combine(double precision[], double precision[]) RETURNS double precision[]
	AS 'MODULE_PATHNAME', 'ann_vector_combine'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION vector_combine(double precision[], double precision[]) IS 'combines states of avg(vector)';

CREATE FUNCTION vector_avg(double precision[]) RETURNS vector
	AS 'MODULE_PATHNAME', 'ann_vector_avg'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION vector_avg(double precision[]) IS 'end of avg(vector)';

CREATE AGGREGATE avg(vector) (
	SFUNC = vector_accum, STYPE = double precision[], INITCOND = '{0}', COMBINEFUNC = vector_combine,
	FINALFUNC = vector_avg, PARALLEL = SAFE
);
COMMENT ON AGGREGATE avg(vector) IS 'means of elements; NULL of no rows';

CREATE AGGREGATE sum(vector) (
	SFUNC = vector_add, STYPE = vector, COMBINEFUNC = vector_add, PARALLEL = SAFE
);
COMMENT ON AGGREGATE sum(vector) IS 'sums of elements; NULL of no rows';

-- order and equality: elements first, then the number of dimensions

CREATE FUNCTION vector_lt(vector, vector) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_vector_lt'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_lt(vector, vector) IS 'less than';

CREATE FUNCTION vector_le(vector, vector) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_vector_le'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_le(vector, vector) IS 'less than or equal';

CREATE FUNCTION vector_eq(vector, vector) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_vector_eq'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_eq(vector, vector) IS 'equal';

CREATE FUNCTION vector_ne(vector, vector) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_vector_ne'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_ne(vector, vector) IS 'not equal';

CREATE FUNCTION vector_ge(vector, vector) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_vector_ge'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_ge(vector, vector) IS 'greater than or equal';

CREATE FUNCTION vector_gt(vector, vector) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_vector_gt'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_gt(vector, vector) IS 'greater than';

CREATE FUNCTION vector_cmp(vector, vector) RETURNS integer
	AS 'MODULE_PATHNAME', 'ann_vector_cmp'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_cmp(vector, vector) IS '-1, 0 or 1: less, equal, greater';

CREATE FUNCTION vector_hash(vector) RETURNS integer
	AS 'MODULE_PATHNAME', 'ann_vector_hash'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_hash(vector) IS 'hash';

CREATE FUNCTION vector_hash_extended(vector, bigint) RETURNS bigint
	AS 'MODULE_PATHNAME', 'ann_vector_hash_extended'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_hash_extended(vector, bigint) IS 'hash of 64 bits with a seed';

CREATE OPERATOR < (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_lt, COMMUTATOR = >, NEGATOR = >=,
	RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR < (vector, vector) IS 'less than';

CREATE OPERATOR <= (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_le, COMMUTATOR = >=, NEGATOR = >,
	RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR <= (vector, vector) IS 'less than or equal';

CREATE OPERATOR = (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_eq, COMMUTATOR = =, NEGATOR = <>,
	RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
COMMENT ON OPERATOR = (vector, vector) IS 'equal';

CREATE OPERATOR <> (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_ne, COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR <> (vector, vector) IS 'not equal';

CREATE OPERATOR >= (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_ge, COMMUTATOR = <=, NEGATOR = <,
	RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR >= (vector, vector) IS 'greater than or equal';

CREATE OPERATOR > (
	LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_gt, COMMUTATOR = <, NEGATOR = <=,
	RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR > (vector, vector) IS 'greater than';

CREATE OPERATOR CLASS vector_ops DEFAULT FOR TYPE vector USING btree AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
	FUNCTION 1 vector_cmp(vector, vector);

CREATE OPERATOR CLASS vector_ops DEFAULT FOR TYPE vector USING hash AS
	OPERATOR 1 =,
	FUNCTION 1 vector_hash(vector),
	FUNCTION 2 vector_hash_extended(vector, bigint);

-- the library

CREATE FUNCTION ann_simd() RETURNS text
	AS 'MODULE_PATHNAME', 'ann_simd'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION ann_simd() IS 'kernels in use, chosen by the setting ann.simd';

-- conditions on a distance that an index answers: l2_within(column, q, r) is column <<->> vector_ball(q, r), and
-- both have one C function, by which the planner's support function knows a function's operator

CREATE FUNCTION within_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'ann_within_support'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION within_support(internal) IS 'planner support for conditions on a distance';

CREATE FUNCTION within_sel(internal, oid, internal, integer) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_within_sel'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION within_sel(internal, oid, internal, integer) IS 'restriction selectivity of conditions on a distance';

CREATE TYPE vector_ball AS (center vector, radius float8);
COMMENT ON TYPE vector_ball IS 'what is nearer to center than radius';

CREATE FUNCTION vector_ball(center vector, radius float8) RETURNS vector_ball
	AS 'MODULE_PATHNAME', 'ann_ball'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_ball(vector, float8) IS 'center and radius';

CREATE FUNCTION l2_within(vector, vector, radius float8) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_l2_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 SUPPORT within_support;
COMMENT ON FUNCTION l2_within(vector, vector, float8) IS 'Euclidean distance less than radius';

CREATE FUNCTION l2_within(vector, vector_ball) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_l2_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 SUPPORT within_support;
COMMENT ON FUNCTION l2_within(vector, vector_ball) IS 'Euclidean distance less than radius';

CREATE OPERATOR <<->> (
	LEFTARG = vector, RIGHTARG = vector_ball, FUNCTION = l2_within, RESTRICT = within_sel, JOIN = contjoinsel
);
COMMENT ON OPERATOR <<->> (vector, vector_ball) IS 'Euclidean distance from center less than radius';

CREATE FUNCTION ip_within(vector, vector, radius float8) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_ip_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 SUPPORT within_support;
COMMENT ON FUNCTION ip_within(vector, vector, float8) IS 'negative inner product less than radius';

CREATE FUNCTION ip_within(vector, vector_ball) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_ip_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 SUPPORT within_support;
COMMENT ON FUNCTION ip_within(vector, vector_ball) IS 'negative inner product less than radius';

CREATE OPERATOR <<#>> (
	LEFTARG = vector, RIGHTARG = vector_ball, FUNCTION = ip_within, RESTRICT = within_sel, JOIN = contjoinsel
);
COMMENT ON OPERATOR <<#>> (vector, vector_ball) IS 'negative inner product from center less than radius';

CREATE FUNCTION cosine_within(vector, vector, radius float8) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_cosine_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 SUPPORT within_support;
COMMENT ON FUNCTION cosine_within(vector, vector, float8) IS 'cosine distance less than radius';

CREATE FUNCTION cosine_within(vector, vector_ball) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_cosine_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 SUPPORT within_support;
COMMENT ON FUNCTION cosine_within(vector, vector_ball) IS 'cosine distance less than radius';

CREATE OPERATOR <<=>> (
	LEFTARG = vector, RIGHTARG = vector_ball, FUNCTION = cosine_within, RESTRICT = within_sel, JOIN = contjoinsel
);
COMMENT ON OPERATOR <<=>> (vector, vector_ball) IS 'cosine distance from center less than radius';

CREATE FUNCTION l1_within(vector, vector, radius float8) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_l1_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 SUPPORT within_support;
COMMENT ON FUNCTION l1_within(vector, vector, float8) IS 'L1 distance less than radius';

CREATE FUNCTION l1_within(vector, vector_ball) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_l1_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 SUPPORT within_support;
COMMENT ON FUNCTION l1_within(vector, vector_ball) IS 'L1 distance less than radius';

CREATE OPERATOR <<+>> (
	LEFTARG = vector, RIGHTARG = vector_ball, FUNCTION = l1_within, RESTRICT = within_sel, JOIN = contjoinsel
);
COMMENT ON OPERATOR <<+>> (vector, vector_ball) IS 'L1 distance from center less than radius';

-- access method annivf

CREATE FUNCTION annivf_handler(internal) RETURNS index_am_handler
	AS 'MODULE_PATHNAME', 'ann_annivf_handler'
	LANGUAGE C;
COMMENT ON FUNCTION annivf_handler(internal) IS 'access method annivf';

CREATE ACCESS METHOD annivf TYPE INDEX HANDLER annivf_handler;
COMMENT ON ACCESS METHOD annivf IS 'inverted file index of product-quantised vectors';

CREATE FUNCTION annivf_vector_l2_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'ann_vector_l2_support'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION annivf_vector_l2_support(internal) IS 'annivf support';

CREATE FUNCTION annivf_vector_ip_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'ann_vector_ip_support'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION annivf_vector_ip_support(internal) IS 'annivf support';

CREATE FUNCTION annivf_vector_cosine_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'ann_vector_cosine_support'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION annivf_vector_cosine_support(internal) IS 'annivf support';

CREATE FUNCTION annivf_vector_l1_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'ann_vector_l1_support'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION annivf_vector_l1_support(internal) IS 'annivf support';

CREATE OPERATOR CLASS vector_l2_ops DEFAULT FOR TYPE vector USING annivf AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
	OPERATOR 2 <<->> (vector, vector_ball),
	FUNCTION 1 annivf_vector_l2_support(internal);

CREATE OPERATOR CLASS vector_ip_ops FOR TYPE vector USING annivf AS
	OPERATOR 1 <#> (vector, vector) FOR ORDER BY float_ops,
	OPERATOR 2 <<#>> (vector, vector_ball),
	FUNCTION 1 annivf_vector_ip_support(internal);

CREATE OPERATOR CLASS vector_cosine_ops FOR TYPE vector USING annivf AS
	OPERATOR 1 <=> (vector, vector) FOR ORDER BY float_ops,
	OPERATOR 2 <<=>> (vector, vector_ball),
	FUNCTION 1 annivf_vector_cosine_support(internal);

CREATE OPERATOR CLASS vector_l1_ops FOR TYPE vector USING annivf AS
	OPERATOR 1 <+> (vector, vector) FOR ORDER BY float_ops,
	OPERATOR 2 <<+>> (vector, vector_ball),
	FUNCTION 1 annivf_vector_l1_support(internal);

-- maintenance of indexes

CREATE FUNCTION ann_train(index regclass) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_train'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION ann_train(regclass) IS 'trains an index that was made on an empty table';

-- statistics

CREATE FUNCTION ann_search_stats(
		total boolean DEFAULT false, OUT leaves_searched bigint, OUT codes_scanned bigint,
		OUT candidates_reordered bigint, OUT heap_fetches bigint, OUT held_back bigint, OUT queries bigint,
		OUT pages bigint, OUT centroid_ms float8, OUT scan_ms float8, OUT reorder_ms float8)
	RETURNS record
	AS 'MODULE_PATHNAME', 'ann_search_stats'
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION ann_search_stats(boolean) IS 'work of this session''s last annivf scan, or of all';

CREATE FUNCTION ann_reset_search_stats() RETURNS void
	AS 'MODULE_PATHNAME', 'ann_reset_search_stats'
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION ann_reset_search_stats() IS 'sets the sums of ann_search_stats(true) back';

CREATE FUNCTION ann_server_search_stats(
		OUT leaves_searched bigint, OUT codes_scanned bigint, OUT candidates_reordered bigint,
		OUT heap_fetches bigint, OUT held_back bigint, OUT queries bigint, OUT pages bigint,
		OUT centroid_ms float8, OUT scan_ms float8, OUT reorder_ms float8)
	RETURNS record
	AS 'MODULE_PATHNAME', 'ann_server_search_stats'
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION ann_server_search_stats() IS 'work of the annivf scans of all sessions with ann.track_server on';

CREATE FUNCTION ann_reset_server_search_stats() RETURNS void
	AS 'MODULE_PATHNAME', 'ann_reset_server_search_stats'
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION ann_reset_server_search_stats() IS 'sets the sums of ann_server_search_stats() back';
REVOKE ALL ON FUNCTION ann_reset_server_search_stats() FROM PUBLIC;

-- inspection

CREATE FUNCTION ann_check(index regclass, heapallindexed boolean DEFAULT false)
	RETURNS TABLE (block bigint, invariant text, problem text)
	AS 'MODULE_PATHNAME', 'ann_check'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION ann_check(regclass, boolean) IS 'violated invariants of an index: none if it is sound';

CREATE FUNCTION ann_check_summary(
		index regclass, heapallindexed boolean DEFAULT false, OUT num_pages bigint, OUT free_pages bigint,
		OUT leaked_pages bigint, OUT num_leaves bigint, OUT num_entries bigint, OUT secondary_entries bigint,
		OUT exact_rows bigint, OUT null_rows bigint, OUT table_rows bigint, OUT num_problems bigint,
		OUT is_whole boolean)
	RETURNS record
	AS 'MODULE_PATHNAME', 'ann_check_summary'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION ann_check_summary(regclass, boolean) IS 'what ann_check has looked at and found, in one row';

CREATE FUNCTION ann_index_info(
		index regclass, OUT dims integer, OUT distance_measure text, OUT is_trained boolean,
		OUT num_tuples bigint, OUT num_leaves integer, OUT num_leaves_to_search integer,
		OUT num_reordering_candidates integer, OUT quantizer text, OUT dimensions_per_block integer,
		OUT num_blocks integer, OUT nbits integer, OUT code_size integer, OUT leaf_code_size integer,
		OUT trained_rows bigint, OUT seed integer, OUT version integer, OUT error_bound real,
		OUT leaves_growth real, OUT table_bits integer, OUT exact_rows bigint, OUT null_rows bigint,
		OUT rotated boolean, OUT soar_lambda real, OUT num_entries bigint,
		OUT residual_quantization boolean, OUT anisotropic_quantization_threshold real)
	RETURNS record
	AS 'MODULE_PATHNAME', 'ann_index_info'
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION ann_index_info(regclass) IS 'model, options and size of an index';

CREATE FUNCTION ann_leaves(index regclass)
	RETURNS TABLE (leaf integer, centroid vector, num_tuples bigint, num_pages integer)
	AS 'MODULE_PATHNAME', 'ann_leaves'
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION ann_leaves(regclass) IS 'leaves of an index with their centroids and sizes';

CREATE FUNCTION ann_index_health(
		index regclass, OUT num_tuples bigint, OUT imbalance_factor float8,
		OUT weighted_avg_relative_imbalance float8, OUT avg_relative_positive_imbalance float8,
		OUT avg_quantization_error float8, OUT inserts_since_build bigint)
	RETURNS record
	AS 'MODULE_PATHNAME', 'ann_index_health'
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION ann_index_health(regclass) IS 'how far an index is from a new one';

-- One row for each annivf index whose table the user may read; each reads all of its index.
CREATE VIEW ann_indexes AS
	SELECT n.nspname AS schemaname, t.relname AS tablename, c.relname AS indexname, c.oid::pg_catalog.regclass AS index,
		c.reloptions AS options, pg_catalog.pg_relation_size(c.oid) AS size,
		i.distance_measure, i.dims, i.is_trained, i.num_tuples, i.exact_rows, i.null_rows, i.num_leaves,
		i.num_leaves_to_search, i.num_reordering_candidates, i.dimensions_per_block, i.rotated, i.soar_lambda,
		i.seed, i.trained_rows, h.imbalance_factor, h.avg_quantization_error, h.inserts_since_build,
		pg_catalog.pg_stat_get_numscans(c.oid) AS scans,
		CASE
			WHEN NOT x.indisvalid THEN 'not valid, so no query uses it: REINDEX'
			WHEN NOT i.is_trained AND i.exact_rows > 10000
				THEN 'not trained, so queries read all rows: VACUUM the table, or call ann_train()'
			WHEN NOT i.is_trained THEN 'exact, as there are few rows: nothing to do'
			WHEN h.inserts_since_build > i.num_tuples / 2
				THEN 'most rows came after the index was built: REINDEX fits it to them'
			WHEN i.exact_rows > 1000 AND i.exact_rows > i.num_tuples / 100
				THEN 'rows wait in the exact leaf, which every query reads: VACUUM the table'
			WHEN -h.inserts_since_build > i.num_tuples
				THEN 'most rows of the time of the build are gone: REINDEX fits it to the others'
			WHEN h.imbalance_factor > 4::float8
				THEN 'leaves are uneven; if rows have changed much since the build: REINDEX'
			WHEN pg_catalog.pg_stat_get_numscans(c.oid) = 0 THEN 'never used so far'
			ELSE 'nothing to do'
		END AS advice
	FROM pg_catalog.pg_index x
		JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
		JOIN pg_catalog.pg_am a ON a.oid = c.relam
		JOIN pg_catalog.pg_class t ON t.oid = x.indrelid
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		CROSS JOIN LATERAL ann_index_info(c.oid::pg_catalog.regclass) i
		CROSS JOIN LATERAL ann_index_health(c.oid::pg_catalog.regclass) h
	WHERE a.amname = 'annivf' AND c.relkind = 'i' AND x.indisready
		AND NOT pg_catalog.pg_is_other_temp_schema(c.relnamespace)
		AND NOT (c.relpersistence <> 'p' AND pg_catalog.pg_is_in_recovery())
		AND pg_catalog.has_table_privilege(x.indrelid, 'SELECT');
COMMENT ON VIEW ann_indexes IS 'annivf indexes: options, size, state and advice';
GRANT SELECT ON ann_indexes TO PUBLIC;

-- The codec of an index
CREATE FUNCTION ann_code_size(index regclass) RETURNS integer
	AS 'MODULE_PATHNAME', 'ann_code_size' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION ann_code_size(regclass) IS 'bytes of a code';

CREATE FUNCTION ann_encode(index regclass, v vector, leaf integer DEFAULT NULL) RETURNS bytea
	AS 'MODULE_PATHNAME', 'ann_encode' LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000;
COMMENT ON FUNCTION ann_encode(regclass, vector, integer) IS 'code of a vector';

CREATE FUNCTION ann_decode(index regclass, code bytea) RETURNS vector
	AS 'MODULE_PATHNAME', 'ann_decode' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100;
COMMENT ON FUNCTION ann_decode(regclass, bytea) IS 'vector that a code stands for';

CREATE FUNCTION ann_code_distance(index regclass, code bytea, q vector) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_code_distance' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100;
COMMENT ON FUNCTION ann_code_distance(regclass, bytea, vector) IS 'distance of a vector to what a code stands for';

CREATE FUNCTION ann_reconstruct(index regclass, ctid tid) RETURNS vector
	AS 'MODULE_PATHNAME', 'ann_reconstruct' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 1000;
COMMENT ON FUNCTION ann_reconstruct(regclass, tid) IS 'what the code of a row stands for';

CREATE FUNCTION ann_assign(index regclass, v vector, n integer DEFAULT 1)
	RETURNS TABLE (leaf integer, distance float8)
	AS 'MODULE_PATHNAME', 'ann_assign' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 1000;
COMMENT ON FUNCTION ann_assign(regclass, vector, integer) IS 'leaves nearest to a vector';

CREATE FUNCTION ann_leaf_entries(index regclass, leaf integer)
	RETURNS TABLE (ctid tid, code bytea)
	AS 'MODULE_PATHNAME', 'ann_leaf_entries' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 1000;
COMMENT ON FUNCTION ann_leaf_entries(regclass, integer) IS 'rows and codes of a leaf';

CREATE FUNCTION ann_codebook(index regclass)
	RETURNS TABLE (block integer, code integer, centroid vector)
	AS 'MODULE_PATHNAME', 'ann_codebook' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 1000;
COMMENT ON FUNCTION ann_codebook(regclass) IS 'codewords of an index';

-- Searching by function
CREATE FUNCTION ann_search(
		index regclass, q vector, k integer DEFAULT 10, num_leaves_to_search integer DEFAULT NULL,
		num_reordering_candidates integer DEFAULT NULL)
	RETURNS TABLE (ctid tid, distance float8, approx_distance float8, leaf integer)
	AS 'MODULE_PATHNAME', 'ann_search' LANGUAGE C STABLE PARALLEL RESTRICTED COST 10000 ROWS 10;
COMMENT ON FUNCTION ann_search(regclass, vector, integer, integer, integer) IS 'rows nearest to a vector';

CREATE FUNCTION ann_range_search(
		index regclass, q vector, radius float8, num_leaves_to_search integer DEFAULT NULL)
	RETURNS TABLE (ctid tid, distance float8)
	AS 'MODULE_PATHNAME', 'ann_range_search' LANGUAGE C STABLE PARALLEL RESTRICTED COST 10000 ROWS 100;
COMMENT ON FUNCTION ann_range_search(regclass, vector, float8, integer) IS 'rows within a distance of a vector';

CREATE FUNCTION ann_search_batch(
		index regclass, queries vector[], k integer DEFAULT 10, num_leaves_to_search integer DEFAULT NULL,
		num_reordering_candidates integer DEFAULT NULL)
	RETURNS TABLE (query integer, rank integer, ctid tid, distance float8)
	AS 'MODULE_PATHNAME', 'ann_search_batch' LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000000 ROWS 10000;
COMMENT ON FUNCTION ann_search_batch(regclass, vector[], integer, integer, integer) IS 'rows nearest to each of many vectors';

CREATE FUNCTION ann_tune(
		index regclass, target_recall float8 DEFAULT 0.95, k integer DEFAULT 10, sample integer DEFAULT 100,
		OUT num_leaves_to_search integer, OUT num_reordering_candidates integer, OUT recall float8,
		OUT ms_per_query float8)
	RETURNS record
	AS 'MODULE_PATHNAME', 'ann_tune' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 1000000;
COMMENT ON FUNCTION ann_tune(regclass, float8, integer, integer) IS 'cheapest settings that reach a recall';

CREATE FUNCTION ann_recall(query text) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_recall' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 100000;
COMMENT ON FUNCTION ann_recall(text) IS 'part of a query''s true rows that it finds by index';

-- bit: distances of the server's own type; bit varying is taken for bit implicitly
--
-- COST: one call was measured at about 5 to 20 calls of int4lt for 64 to 4,096 bits.

CREATE FUNCTION hamming_distance(bit, bit) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_hamming_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION hamming_distance(bit, bit) IS 'number of bits that differ';

CREATE FUNCTION jaccard_distance(bit, bit) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_jaccard_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION jaccard_distance(bit, bit) IS '1 - common bits / bits of either';

CREATE OPERATOR <~> (
	LEFTARG = bit, RIGHTARG = bit, FUNCTION = hamming_distance, COMMUTATOR = <~>
);
COMMENT ON OPERATOR <~> (bit, bit) IS 'Hamming distance';

CREATE OPERATOR <%> (
	LEFTARG = bit, RIGHTARG = bit, FUNCTION = jaccard_distance, COMMUTATOR = <%>
);
COMMENT ON OPERATOR <%> (bit, bit) IS 'Jaccard distance';

CREATE TYPE bit_ball AS (center pg_catalog.bit, radius float8);
COMMENT ON TYPE bit_ball IS 'what is nearer to center than radius';

CREATE FUNCTION bit_ball(center bit, radius float8) RETURNS bit_ball
	AS 'MODULE_PATHNAME', 'ann_ball'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bit_ball(bit, float8) IS 'center and radius';

CREATE FUNCTION hamming_within(bit, bit, radius float8) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_hamming_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10 SUPPORT within_support;
COMMENT ON FUNCTION hamming_within(bit, bit, float8) IS 'Hamming distance less than radius';

CREATE FUNCTION hamming_within(bit, bit_ball) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_hamming_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10 SUPPORT within_support;
COMMENT ON FUNCTION hamming_within(bit, bit_ball) IS 'Hamming distance less than radius';

CREATE OPERATOR <<~>> (
	LEFTARG = bit, RIGHTARG = bit_ball, FUNCTION = hamming_within, RESTRICT = within_sel, JOIN = contjoinsel
);
COMMENT ON OPERATOR <<~>> (bit, bit_ball) IS 'Hamming distance from center less than radius';

CREATE FUNCTION jaccard_within(bit, bit, radius float8) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_jaccard_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10 SUPPORT within_support;
COMMENT ON FUNCTION jaccard_within(bit, bit, float8) IS 'Jaccard distance less than radius';

CREATE FUNCTION jaccard_within(bit, bit_ball) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_jaccard_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10 SUPPORT within_support;
COMMENT ON FUNCTION jaccard_within(bit, bit_ball) IS 'Jaccard distance less than radius';

CREATE OPERATOR <<%>> (
	LEFTARG = bit, RIGHTARG = bit_ball, FUNCTION = jaccard_within, RESTRICT = within_sel, JOIN = contjoinsel
);
COMMENT ON OPERATOR <<%>> (bit, bit_ball) IS 'Jaccard distance from center less than radius';

CREATE FUNCTION annivf_bit_hamming_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'ann_bit_hamming_support'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION annivf_bit_hamming_support(internal) IS 'annivf support';

CREATE FUNCTION annivf_bit_jaccard_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'ann_bit_jaccard_support'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION annivf_bit_jaccard_support(internal) IS 'annivf support';

CREATE OPERATOR CLASS bit_hamming_ops DEFAULT FOR TYPE bit USING annivf AS
	OPERATOR 1 <~> (bit, bit) FOR ORDER BY float_ops,
	OPERATOR 2 <<~>> (bit, bit_ball),
	FUNCTION 1 annivf_bit_hamming_support(internal);

CREATE OPERATOR CLASS bit_jaccard_ops FOR TYPE bit USING annivf AS
	OPERATOR 1 <%> (bit, bit) FOR ORDER BY float_ops,
	OPERATOR 2 <<%>> (bit, bit_ball),
	FUNCTION 1 annivf_bit_jaccard_support(internal);

-- sparsevec: bytes, texts and names equal pgvector's; hashing is ours. Where another type has a
-- function of the same SQL name, the C symbol is ann_sparsevec_<SQL name>.

CREATE TYPE sparsevec;

CREATE FUNCTION sparsevec_in(cstring, oid, integer) RETURNS sparsevec
	AS 'MODULE_PATHNAME', 'ann_sparsevec_in'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION sparsevec_out(sparsevec) RETURNS cstring
	AS 'MODULE_PATHNAME', 'ann_sparsevec_out'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION sparsevec_typmod_in(cstring[]) RETURNS integer
	AS 'MODULE_PATHNAME', 'ann_sparsevec_typmod_in'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION sparsevec_recv(internal, oid, integer) RETURNS sparsevec
	AS 'MODULE_PATHNAME', 'ann_sparsevec_recv'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION sparsevec_send(sparsevec) RETURNS bytea
	AS 'MODULE_PATHNAME', 'ann_sparsevec_send'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE TYPE sparsevec (
	INPUT = sparsevec_in,
	OUTPUT = sparsevec_out,
	TYPMOD_IN = sparsevec_typmod_in,
	RECEIVE = sparsevec_recv,
	SEND = sparsevec_send,
	STORAGE = external
);
COMMENT ON TYPE sparsevec IS 'sparse vector of float4, without NaN and infinity';

-- sparsevec: casts

CREATE FUNCTION sparsevec(sparsevec, integer, boolean) RETURNS sparsevec
	AS 'MODULE_PATHNAME', 'ann_sparsevec'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sparsevec(sparsevec, integer, boolean) IS 'checks the number of dimensions';

CREATE FUNCTION vector_to_sparsevec(vector, integer, boolean) RETURNS sparsevec
	AS 'MODULE_PATHNAME', 'ann_vector_to_sparsevec'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_to_sparsevec(vector, integer, boolean) IS 'converts vector to sparsevec';

CREATE FUNCTION sparsevec_to_vector(sparsevec, integer, boolean) RETURNS vector
	AS 'MODULE_PATHNAME', 'ann_sparsevec_to_vector'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sparsevec_to_vector(sparsevec, integer, boolean) IS 'converts sparsevec to vector';

CREATE FUNCTION array_to_sparsevec(integer[], integer, boolean) RETURNS sparsevec
	AS 'MODULE_PATHNAME', 'ann_array_to_sparsevec'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION array_to_sparsevec(integer[], integer, boolean) IS 'converts int4[] to sparsevec';

CREATE FUNCTION array_to_sparsevec(real[], integer, boolean) RETURNS sparsevec
	AS 'MODULE_PATHNAME', 'ann_array_to_sparsevec'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION array_to_sparsevec(real[], integer, boolean) IS 'converts float4[] to sparsevec';

CREATE FUNCTION array_to_sparsevec(double precision[], integer, boolean) RETURNS sparsevec
	AS 'MODULE_PATHNAME', 'ann_array_to_sparsevec'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION array_to_sparsevec(double precision[], integer, boolean) IS 'converts float8[] to sparsevec';

CREATE FUNCTION array_to_sparsevec(numeric[], integer, boolean) RETURNS sparsevec
	AS 'MODULE_PATHNAME', 'ann_array_to_sparsevec'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION array_to_sparsevec(numeric[], integer, boolean) IS 'converts numeric[] to sparsevec';

CREATE CAST (sparsevec AS sparsevec)
	WITH FUNCTION sparsevec(sparsevec, integer, boolean) AS IMPLICIT;

CREATE CAST (vector AS sparsevec)
	WITH FUNCTION vector_to_sparsevec(vector, integer, boolean) AS IMPLICIT;

CREATE CAST (sparsevec AS vector)
	WITH FUNCTION sparsevec_to_vector(sparsevec, integer, boolean) AS ASSIGNMENT;

CREATE CAST (integer[] AS sparsevec)
	WITH FUNCTION array_to_sparsevec(integer[], integer, boolean) AS ASSIGNMENT;

CREATE CAST (real[] AS sparsevec)
	WITH FUNCTION array_to_sparsevec(real[], integer, boolean) AS ASSIGNMENT;

CREATE CAST (double precision[] AS sparsevec)
	WITH FUNCTION array_to_sparsevec(double precision[], integer, boolean) AS ASSIGNMENT;

CREATE CAST (numeric[] AS sparsevec)
	WITH FUNCTION array_to_sparsevec(numeric[], integer, boolean) AS ASSIGNMENT;

-- sparsevec: distances
--
-- COST: as that of vector, from a similar measurement: about 7 to 80 calls of int4lt for 30 to 100
-- elements a side, some 300 for the 250 and more that are toasted.

CREATE FUNCTION l2_distance(sparsevec, sparsevec) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_sparsevec_l2_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION l2_distance(sparsevec, sparsevec) IS 'Euclidean distance';

CREATE FUNCTION inner_product(sparsevec, sparsevec) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_sparsevec_inner_product'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION inner_product(sparsevec, sparsevec) IS 'inner product';

CREATE FUNCTION cosine_distance(sparsevec, sparsevec) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_sparsevec_cosine_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION cosine_distance(sparsevec, sparsevec) IS '1 - cosine; NaN for a zero vector';

CREATE FUNCTION l1_distance(sparsevec, sparsevec) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_sparsevec_l1_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION l1_distance(sparsevec, sparsevec) IS 'sum of absolute differences';

CREATE FUNCTION sparsevec_l2_squared_distance(sparsevec, sparsevec) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_sparsevec_l2_squared_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION sparsevec_l2_squared_distance(sparsevec, sparsevec) IS 'square of the Euclidean distance';

CREATE FUNCTION sparsevec_negative_inner_product(sparsevec, sparsevec) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_sparsevec_negative_inner_product'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION sparsevec_negative_inner_product(sparsevec, sparsevec) IS 'inner product with its sign turned';

CREATE OPERATOR <-> (
	LEFTARG = sparsevec, RIGHTARG = sparsevec, FUNCTION = l2_distance, COMMUTATOR = <->
);
COMMENT ON OPERATOR <-> (sparsevec, sparsevec) IS 'Euclidean distance';

CREATE OPERATOR <#> (
	LEFTARG = sparsevec, RIGHTARG = sparsevec, FUNCTION = sparsevec_negative_inner_product,
	COMMUTATOR = <#>
);
COMMENT ON OPERATOR <#> (sparsevec, sparsevec) IS 'negative inner product';

CREATE OPERATOR <=> (
	LEFTARG = sparsevec, RIGHTARG = sparsevec, FUNCTION = cosine_distance, COMMUTATOR = <=>
);
COMMENT ON OPERATOR <=> (sparsevec, sparsevec) IS 'cosine distance';

CREATE OPERATOR <+> (
	LEFTARG = sparsevec, RIGHTARG = sparsevec, FUNCTION = l1_distance, COMMUTATOR = <+>
);
COMMENT ON OPERATOR <+> (sparsevec, sparsevec) IS 'L1 distance';

-- sparsevec: other functions

CREATE FUNCTION l2_norm(sparsevec) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_sparsevec_l2_norm'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION l2_norm(sparsevec) IS 'Euclidean norm';

CREATE FUNCTION l2_normalize(sparsevec) RETURNS sparsevec
	AS 'MODULE_PATHNAME', 'ann_sparsevec_l2_normalize'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION l2_normalize(sparsevec) IS 'divides by the Euclidean norm';

-- sparsevec: order, as that of arrays of all elements, and hash

CREATE FUNCTION sparsevec_lt(sparsevec, sparsevec) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_sparsevec_lt'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sparsevec_lt(sparsevec, sparsevec) IS 'implementation of < operator';

CREATE FUNCTION sparsevec_le(sparsevec, sparsevec) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_sparsevec_le'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sparsevec_le(sparsevec, sparsevec) IS 'implementation of <= operator';

CREATE FUNCTION sparsevec_eq(sparsevec, sparsevec) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_sparsevec_eq'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sparsevec_eq(sparsevec, sparsevec) IS 'implementation of = operator';

CREATE FUNCTION sparsevec_ne(sparsevec, sparsevec) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_sparsevec_ne'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sparsevec_ne(sparsevec, sparsevec) IS 'implementation of <> operator';

CREATE FUNCTION sparsevec_ge(sparsevec, sparsevec) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_sparsevec_ge'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sparsevec_ge(sparsevec, sparsevec) IS 'implementation of >= operator';

CREATE FUNCTION sparsevec_gt(sparsevec, sparsevec) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_sparsevec_gt'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sparsevec_gt(sparsevec, sparsevec) IS 'implementation of > operator';

CREATE FUNCTION sparsevec_cmp(sparsevec, sparsevec) RETURNS integer
	AS 'MODULE_PATHNAME', 'ann_sparsevec_cmp'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sparsevec_cmp(sparsevec, sparsevec) IS 'less, equal, greater: -1, 0, 1';

CREATE FUNCTION sparsevec_hash(sparsevec) RETURNS integer
	AS 'MODULE_PATHNAME', 'ann_sparsevec_hash'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sparsevec_hash(sparsevec) IS 'hash';

CREATE FUNCTION sparsevec_hash_extended(sparsevec, bigint) RETURNS bigint
	AS 'MODULE_PATHNAME', 'ann_sparsevec_hash_extended'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sparsevec_hash_extended(sparsevec, bigint) IS 'hash of 64 bits with a seed';

CREATE OPERATOR < (
	LEFTARG = sparsevec, RIGHTARG = sparsevec, FUNCTION = sparsevec_lt,
	COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR < (sparsevec, sparsevec) IS 'less than';

CREATE OPERATOR <= (
	LEFTARG = sparsevec, RIGHTARG = sparsevec, FUNCTION = sparsevec_le,
	COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR <= (sparsevec, sparsevec) IS 'less than or equal';

CREATE OPERATOR = (
	LEFTARG = sparsevec, RIGHTARG = sparsevec, FUNCTION = sparsevec_eq,
	COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel,
	HASHES, MERGES
);
COMMENT ON OPERATOR = (sparsevec, sparsevec) IS 'equal';

CREATE OPERATOR <> (
	LEFTARG = sparsevec, RIGHTARG = sparsevec, FUNCTION = sparsevec_ne,
	COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR <> (sparsevec, sparsevec) IS 'not equal';

CREATE OPERATOR >= (
	LEFTARG = sparsevec, RIGHTARG = sparsevec, FUNCTION = sparsevec_ge,
	COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR >= (sparsevec, sparsevec) IS 'greater than or equal';

CREATE OPERATOR > (
	LEFTARG = sparsevec, RIGHTARG = sparsevec, FUNCTION = sparsevec_gt,
	COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR > (sparsevec, sparsevec) IS 'greater than';

CREATE OPERATOR CLASS sparsevec_ops DEFAULT FOR TYPE sparsevec USING btree AS
	OPERATOR 1 <,
	OPERATOR 2 <=,
	OPERATOR 3 =,
	OPERATOR 4 >=,
	OPERATOR 5 >,
	FUNCTION 1 sparsevec_cmp(sparsevec, sparsevec);

CREATE OPERATOR CLASS sparsevec_ops DEFAULT FOR TYPE sparsevec USING hash AS
	OPERATOR 1 =,
	FUNCTION 1 sparsevec_hash(sparsevec),
	FUNCTION 2 sparsevec_hash_extended(sparsevec, bigint);

-- ---- halfvec: vectors of half precision numbers; bytes, texts and names equal pgvector's

CREATE TYPE halfvec;

CREATE FUNCTION halfvec_in(cstring, oid, integer) RETURNS halfvec
	AS 'MODULE_PATHNAME', 'ann_halfvec_in'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION halfvec_out(halfvec) RETURNS cstring
	AS 'MODULE_PATHNAME', 'ann_halfvec_out'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION halfvec_typmod_in(cstring[]) RETURNS integer
	AS 'MODULE_PATHNAME', 'ann_halfvec_typmod_in'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION halfvec_recv(internal, oid, integer) RETURNS halfvec
	AS 'MODULE_PATHNAME', 'ann_halfvec_recv'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION halfvec_send(halfvec) RETURNS bytea
	AS 'MODULE_PATHNAME', 'ann_halfvec_send'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE TYPE halfvec (
	INPUT = halfvec_in,
	OUTPUT = halfvec_out,
	TYPMOD_IN = halfvec_typmod_in,
	RECEIVE = halfvec_recv,
	SEND = halfvec_send,
	STORAGE = external
);
COMMENT ON TYPE halfvec IS 'vector of half precision numbers, without NaN and infinity';

-- halfvec: casts

CREATE FUNCTION halfvec(halfvec, integer, boolean) RETURNS halfvec
	AS 'MODULE_PATHNAME', 'ann_halfvec'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec(halfvec, integer, boolean) IS 'checks the number of dimensions';

CREATE FUNCTION halfvec_to_vector(halfvec, integer, boolean) RETURNS vector
	AS 'MODULE_PATHNAME', 'ann_halfvec_to_vector'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_to_vector(halfvec, integer, boolean) IS 'converts halfvec to vector';

CREATE FUNCTION vector_to_halfvec(vector, integer, boolean) RETURNS halfvec
	AS 'MODULE_PATHNAME', 'ann_vector_to_halfvec'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_to_halfvec(vector, integer, boolean) IS 'converts vector to halfvec';

CREATE FUNCTION array_to_halfvec(integer[], integer, boolean) RETURNS halfvec
	AS 'MODULE_PATHNAME', 'ann_array_to_halfvec'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION array_to_halfvec(integer[], integer, boolean) IS 'converts int4[] to halfvec';

CREATE FUNCTION array_to_halfvec(real[], integer, boolean) RETURNS halfvec
	AS 'MODULE_PATHNAME', 'ann_array_to_halfvec'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION array_to_halfvec(real[], integer, boolean) IS 'converts float4[] to halfvec';

CREATE FUNCTION array_to_halfvec(double precision[], integer, boolean) RETURNS halfvec
	AS 'MODULE_PATHNAME', 'ann_array_to_halfvec'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION array_to_halfvec(double precision[], integer, boolean) IS 'converts float8[] to halfvec';

CREATE FUNCTION array_to_halfvec(numeric[], integer, boolean) RETURNS halfvec
	AS 'MODULE_PATHNAME', 'ann_array_to_halfvec'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION array_to_halfvec(numeric[], integer, boolean) IS 'converts numeric[] to halfvec';

CREATE FUNCTION halfvec_to_float4(halfvec, integer, boolean) RETURNS real[]
	AS 'MODULE_PATHNAME', 'ann_halfvec_to_float4'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_to_float4(halfvec, integer, boolean) IS 'converts halfvec to float4[]';

CREATE CAST (halfvec AS halfvec)
	WITH FUNCTION halfvec(halfvec, integer, boolean) AS IMPLICIT;

CREATE CAST (halfvec AS vector)
	WITH FUNCTION halfvec_to_vector(halfvec, integer, boolean) AS ASSIGNMENT;

CREATE CAST (vector AS halfvec)
	WITH FUNCTION vector_to_halfvec(vector, integer, boolean) AS IMPLICIT;

CREATE CAST (halfvec AS real[])
	WITH FUNCTION halfvec_to_float4(halfvec, integer, boolean) AS ASSIGNMENT;

CREATE CAST (integer[] AS halfvec)
	WITH FUNCTION array_to_halfvec(integer[], integer, boolean) AS ASSIGNMENT;

CREATE CAST (real[] AS halfvec)
	WITH FUNCTION array_to_halfvec(real[], integer, boolean) AS ASSIGNMENT;

CREATE CAST (double precision[] AS halfvec)
	WITH FUNCTION array_to_halfvec(double precision[], integer, boolean) AS ASSIGNMENT;

CREATE CAST (numeric[] AS halfvec)
	WITH FUNCTION array_to_halfvec(numeric[], integer, boolean) AS ASSIGNMENT;

-- halfvec: distances (COST: as for vector)

CREATE FUNCTION l2_distance(halfvec, halfvec) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_halfvec_l2_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION l2_distance(halfvec, halfvec) IS 'Euclidean distance';

CREATE FUNCTION inner_product(halfvec, halfvec) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_halfvec_inner_product'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION inner_product(halfvec, halfvec) IS 'inner product';

CREATE FUNCTION cosine_distance(halfvec, halfvec) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_halfvec_cosine_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION cosine_distance(halfvec, halfvec) IS '1 - cosine; NaN for a zero vector';

CREATE FUNCTION l1_distance(halfvec, halfvec) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_halfvec_l1_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION l1_distance(halfvec, halfvec) IS 'sum of absolute differences';

CREATE FUNCTION halfvec_l2_squared_distance(halfvec, halfvec) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_halfvec_l2_squared_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION halfvec_l2_squared_distance(halfvec, halfvec) IS 'square of the Euclidean distance';

CREATE FUNCTION halfvec_negative_inner_product(halfvec, halfvec) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_halfvec_negative_inner_product'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION halfvec_negative_inner_product(halfvec, halfvec) IS 'inner product with its sign turned';

CREATE FUNCTION halfvec_spherical_distance(halfvec, halfvec) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_halfvec_spherical_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION halfvec_spherical_distance(halfvec, halfvec) IS 'angle of unit vectors, divided by pi';

CREATE OPERATOR <-> (
	LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = l2_distance, COMMUTATOR = <->
);
COMMENT ON OPERATOR <-> (halfvec, halfvec) IS 'Euclidean distance';

CREATE OPERATOR <#> (
	LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_negative_inner_product, COMMUTATOR = <#>
);
COMMENT ON OPERATOR <#> (halfvec, halfvec) IS 'negative inner product';

CREATE OPERATOR <=> (
	LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = cosine_distance, COMMUTATOR = <=>
);
COMMENT ON OPERATOR <=> (halfvec, halfvec) IS 'cosine distance';

CREATE OPERATOR <+> (
	LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = l1_distance, COMMUTATOR = <+>
);
COMMENT ON OPERATOR <+> (halfvec, halfvec) IS 'L1 distance';

-- halfvec: other functions

CREATE FUNCTION vector_dims(halfvec) RETURNS integer
	AS 'MODULE_PATHNAME', 'ann_vector_dims'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vector_dims(halfvec) IS 'number of dimensions';

CREATE FUNCTION l2_norm(halfvec) RETURNS float8
	AS 'MODULE_PATHNAME', 'ann_halfvec_l2_norm'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION l2_norm(halfvec) IS 'Euclidean norm';

CREATE FUNCTION l2_normalize(halfvec) RETURNS halfvec
	AS 'MODULE_PATHNAME', 'ann_halfvec_l2_normalize'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION l2_normalize(halfvec) IS 'divides by the Euclidean norm';

CREATE FUNCTION binary_quantize(halfvec) RETURNS bit
	AS 'MODULE_PATHNAME', 'ann_halfvec_binary_quantize'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION binary_quantize(halfvec) IS 'a bit for each element: 1 above 0';

CREATE FUNCTION subvector(halfvec, start integer, count integer) RETURNS halfvec
	AS 'MODULE_PATHNAME', 'ann_halfvec_subvector'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION subvector(halfvec, integer, integer) IS 'so many elements, from a place that counts from 1';

-- halfvec: arithmetic

CREATE FUNCTION halfvec_add(halfvec, halfvec) RETURNS halfvec
	AS 'MODULE_PATHNAME', 'ann_halfvec_add'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_add(halfvec, halfvec) IS 'adds element by element';

CREATE FUNCTION halfvec_sub(halfvec, halfvec) RETURNS halfvec
	AS 'MODULE_PATHNAME', 'ann_halfvec_sub'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_sub(halfvec, halfvec) IS 'subtracts element by element';

CREATE FUNCTION halfvec_mul(halfvec, halfvec) RETURNS halfvec
	AS 'MODULE_PATHNAME', 'ann_halfvec_mul'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_mul(halfvec, halfvec) IS 'multiplies element by element';

CREATE FUNCTION halfvec_concat(halfvec, halfvec) RETURNS halfvec
	AS 'MODULE_PATHNAME', 'ann_halfvec_concat'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_concat(halfvec, halfvec) IS 'concatenates';

CREATE OPERATOR + (
	LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_add, COMMUTATOR = +
);
COMMENT ON OPERATOR + (halfvec, halfvec) IS 'sum, element by element';

CREATE OPERATOR - (
	LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_sub
);
COMMENT ON OPERATOR - (halfvec, halfvec) IS 'difference, element by element';

CREATE OPERATOR * (
	LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_mul, COMMUTATOR = *
);
COMMENT ON OPERATOR * (halfvec, halfvec) IS 'product, element by element';

CREATE OPERATOR || (
	LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_concat
);
COMMENT ON OPERATOR || (halfvec, halfvec) IS 'concatenation';

-- halfvec: order and equality

CREATE FUNCTION halfvec_lt(halfvec, halfvec) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_halfvec_lt'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_lt(halfvec, halfvec) IS 'less than';

CREATE FUNCTION halfvec_le(halfvec, halfvec) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_halfvec_le'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_le(halfvec, halfvec) IS 'less than or equal';

CREATE FUNCTION halfvec_eq(halfvec, halfvec) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_halfvec_eq'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_eq(halfvec, halfvec) IS 'equal';

CREATE FUNCTION halfvec_ne(halfvec, halfvec) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_halfvec_ne'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_ne(halfvec, halfvec) IS 'not equal';

CREATE FUNCTION halfvec_ge(halfvec, halfvec) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_halfvec_ge'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_ge(halfvec, halfvec) IS 'greater than or equal';

CREATE FUNCTION halfvec_gt(halfvec, halfvec) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_halfvec_gt'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_gt(halfvec, halfvec) IS 'greater than';

CREATE FUNCTION halfvec_cmp(halfvec, halfvec) RETURNS integer
	AS 'MODULE_PATHNAME', 'ann_halfvec_cmp'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_cmp(halfvec, halfvec) IS 'less, equal, greater: -1, 0, 1';

CREATE FUNCTION halfvec_hash(halfvec) RETURNS integer
	AS 'MODULE_PATHNAME', 'ann_halfvec_hash'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_hash(halfvec) IS 'hash';

CREATE FUNCTION halfvec_hash_extended(halfvec, bigint) RETURNS bigint
	AS 'MODULE_PATHNAME', 'ann_halfvec_hash_extended'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_hash_extended(halfvec, bigint) IS 'hash with a seed';

CREATE OPERATOR < (
	LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_lt, COMMUTATOR = >, NEGATOR = >=,
	RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR < (halfvec, halfvec) IS 'less than';

CREATE OPERATOR <= (
	LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_le, COMMUTATOR = >=, NEGATOR = >,
	RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR <= (halfvec, halfvec) IS 'less than or equal';

CREATE OPERATOR = (
	LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_eq, COMMUTATOR = =, NEGATOR = <>,
	RESTRICT = eqsel, JOIN = eqjoinsel,
	HASHES, MERGES
);
COMMENT ON OPERATOR = (halfvec, halfvec) IS 'equal';

CREATE OPERATOR <> (
	LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_ne, COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR <> (halfvec, halfvec) IS 'not equal';

CREATE OPERATOR >= (
	LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_ge, COMMUTATOR = <=, NEGATOR = <,
	RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR >= (halfvec, halfvec) IS 'greater than or equal';

CREATE OPERATOR > (
	LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_gt, COMMUTATOR = <, NEGATOR = <=,
	RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR > (halfvec, halfvec) IS 'greater than';

CREATE OPERATOR CLASS halfvec_ops DEFAULT FOR TYPE halfvec USING btree AS
	OPERATOR 1 <,
	OPERATOR 2 <=,
	OPERATOR 3 =,
	OPERATOR 4 >=,
	OPERATOR 5 >,
	FUNCTION 1 halfvec_cmp(halfvec, halfvec);

CREATE OPERATOR CLASS halfvec_ops DEFAULT FOR TYPE halfvec USING hash AS
	OPERATOR 1 =,
	FUNCTION 1 halfvec_hash(halfvec),
	FUNCTION 2 halfvec_hash_extended(halfvec, bigint);

-- halfvec: aggregates

CREATE FUNCTION halfvec_accum(double precision[], halfvec) RETURNS double precision[]
	AS 'MODULE_PATHNAME', 'ann_halfvec_accum'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_accum(double precision[], halfvec) IS 'a row more for avg';

CREATE FUNCTION halfvec_sum_accum(double precision[], halfvec) RETURNS double precision[]
	AS 'MODULE_PATHNAME', 'ann_halfvec_sum_accum'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_sum_accum(double precision[], halfvec) IS 'a row more for sum';

CREATE FUNCTION halfvec_combine(double precision[], double precision[]) RETURNS double precision[]
	AS 'MODULE_PATHNAME', 'ann_halfvec_combine'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_combine(double precision[], double precision[]) IS 'one state of two, for avg and sum';

CREATE FUNCTION halfvec_avg(double precision[]) RETURNS halfvec
	AS 'MODULE_PATHNAME', 'ann_halfvec_avg'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_avg(double precision[]) IS 'result of avg';

CREATE FUNCTION halfvec_sum(double precision[]) RETURNS halfvec
	AS 'MODULE_PATHNAME', 'ann_halfvec_sum'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_sum(double precision[]) IS 'result of sum';

CREATE AGGREGATE avg(halfvec) (
	SFUNC = halfvec_accum,
	STYPE = double precision[],
	FINALFUNC = halfvec_avg,
	COMBINEFUNC = halfvec_combine,
	INITCOND = '{0}',
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE avg(halfvec) IS 'mean of each element';

CREATE AGGREGATE sum(halfvec) (
	SFUNC = halfvec_sum_accum,
	STYPE = double precision[],
	FINALFUNC = halfvec_sum,
	COMBINEFUNC = halfvec_combine,
	INITCOND = '{0}',
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sum(halfvec) IS 'sum of each element';

-- halfvec: conditions on a distance

CREATE TYPE halfvec_ball AS (center halfvec, radius float8);
COMMENT ON TYPE halfvec_ball IS 'what is nearer to center than radius';

CREATE FUNCTION halfvec_ball(center halfvec, radius float8) RETURNS halfvec_ball
	AS 'MODULE_PATHNAME', 'ann_ball'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_ball(halfvec, float8) IS 'center and radius';

CREATE FUNCTION l2_within(halfvec, halfvec, radius float8) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_halfvec_l2_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 SUPPORT within_support;
COMMENT ON FUNCTION l2_within(halfvec, halfvec, float8) IS 'Euclidean distance less than radius';

CREATE FUNCTION l2_within(halfvec, halfvec_ball) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_halfvec_l2_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 SUPPORT within_support;
COMMENT ON FUNCTION l2_within(halfvec, halfvec_ball) IS 'Euclidean distance less than radius';

CREATE OPERATOR <<->> (
	LEFTARG = halfvec, RIGHTARG = halfvec_ball, FUNCTION = l2_within, RESTRICT = within_sel, JOIN = contjoinsel
);
COMMENT ON OPERATOR <<->> (halfvec, halfvec_ball) IS 'Euclidean distance from center less than radius';

CREATE FUNCTION ip_within(halfvec, halfvec, radius float8) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_halfvec_ip_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 SUPPORT within_support;
COMMENT ON FUNCTION ip_within(halfvec, halfvec, float8) IS 'negative inner product less than radius';

CREATE FUNCTION ip_within(halfvec, halfvec_ball) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_halfvec_ip_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 SUPPORT within_support;
COMMENT ON FUNCTION ip_within(halfvec, halfvec_ball) IS 'negative inner product less than radius';

CREATE OPERATOR <<#>> (
	LEFTARG = halfvec, RIGHTARG = halfvec_ball, FUNCTION = ip_within, RESTRICT = within_sel, JOIN = contjoinsel
);
COMMENT ON OPERATOR <<#>> (halfvec, halfvec_ball) IS 'negative inner product from center less than radius';

CREATE FUNCTION cosine_within(halfvec, halfvec, radius float8) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_halfvec_cosine_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 SUPPORT within_support;
COMMENT ON FUNCTION cosine_within(halfvec, halfvec, float8) IS 'cosine distance less than radius';

CREATE FUNCTION cosine_within(halfvec, halfvec_ball) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_halfvec_cosine_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 SUPPORT within_support;
COMMENT ON FUNCTION cosine_within(halfvec, halfvec_ball) IS 'cosine distance less than radius';

CREATE OPERATOR <<=>> (
	LEFTARG = halfvec, RIGHTARG = halfvec_ball, FUNCTION = cosine_within, RESTRICT = within_sel, JOIN = contjoinsel
);
COMMENT ON OPERATOR <<=>> (halfvec, halfvec_ball) IS 'cosine distance from center less than radius';

CREATE FUNCTION l1_within(halfvec, halfvec, radius float8) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_halfvec_l1_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 SUPPORT within_support;
COMMENT ON FUNCTION l1_within(halfvec, halfvec, float8) IS 'L1 distance less than radius';

CREATE FUNCTION l1_within(halfvec, halfvec_ball) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ann_halfvec_l1_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 SUPPORT within_support;
COMMENT ON FUNCTION l1_within(halfvec, halfvec_ball) IS 'L1 distance less than radius';

CREATE OPERATOR <<+>> (
	LEFTARG = halfvec, RIGHTARG = halfvec_ball, FUNCTION = l1_within, RESTRICT = within_sel, JOIN = contjoinsel
);
COMMENT ON OPERATOR <<+>> (halfvec, halfvec_ball) IS 'L1 distance from center less than radius';

-- halfvec: operator classes of annivf

CREATE FUNCTION annivf_halfvec_l2_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'ann_halfvec_l2_support'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION annivf_halfvec_l2_support(internal) IS 'annivf support';

CREATE FUNCTION annivf_halfvec_ip_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'ann_halfvec_ip_support'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION annivf_halfvec_ip_support(internal) IS 'annivf support';

CREATE FUNCTION annivf_halfvec_cosine_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'ann_halfvec_cosine_support'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION annivf_halfvec_cosine_support(internal) IS 'annivf support';

CREATE FUNCTION annivf_halfvec_l1_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'ann_halfvec_l1_support'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION annivf_halfvec_l1_support(internal) IS 'annivf support';

CREATE OPERATOR CLASS halfvec_l2_ops DEFAULT FOR TYPE halfvec USING annivf AS
	OPERATOR 1 <-> (halfvec, halfvec) FOR ORDER BY float_ops,
	OPERATOR 2 <<->> (halfvec, halfvec_ball),
	FUNCTION 1 annivf_halfvec_l2_support(internal);

CREATE OPERATOR CLASS halfvec_ip_ops FOR TYPE halfvec USING annivf AS
	OPERATOR 1 <#> (halfvec, halfvec) FOR ORDER BY float_ops,
	OPERATOR 2 <<#>> (halfvec, halfvec_ball),
	FUNCTION 1 annivf_halfvec_ip_support(internal);

CREATE OPERATOR CLASS halfvec_cosine_ops FOR TYPE halfvec USING annivf AS
	OPERATOR 1 <=> (halfvec, halfvec) FOR ORDER BY float_ops,
	OPERATOR 2 <<=>> (halfvec, halfvec_ball),
	FUNCTION 1 annivf_halfvec_cosine_support(internal);

CREATE OPERATOR CLASS halfvec_l1_ops FOR TYPE halfvec USING annivf AS
	OPERATOR 1 <+> (halfvec, halfvec) FOR ORDER BY float_ops,
	OPERATOR 2 <<+>> (halfvec, halfvec_ball),
	FUNCTION 1 annivf_halfvec_l1_support(internal);

-- halfvec and sparsevec

CREATE FUNCTION halfvec_to_sparsevec(halfvec, integer, boolean) RETURNS sparsevec
	AS 'MODULE_PATHNAME', 'ann_halfvec_to_sparsevec'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION halfvec_to_sparsevec(halfvec, integer, boolean) IS 'converts halfvec to sparsevec';

CREATE FUNCTION sparsevec_to_halfvec(sparsevec, integer, boolean) RETURNS halfvec
	AS 'MODULE_PATHNAME', 'ann_sparsevec_to_halfvec'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sparsevec_to_halfvec(sparsevec, integer, boolean) IS 'converts sparsevec to halfvec';

CREATE CAST (halfvec AS sparsevec)
	WITH FUNCTION halfvec_to_sparsevec(halfvec, integer, boolean) AS IMPLICIT;

CREATE CAST (sparsevec AS halfvec)
	WITH FUNCTION sparsevec_to_halfvec(sparsevec, integer, boolean) AS ASSIGNMENT;

-- 20-fit.sql: from rows to a model

-- The transition functions keep all rows of a group, which SSPACE tells the
-- planner: with many groups, better sort the rows than hash them.  The final
-- functions do the work.

CREATE FUNCTION kseg_fit_transition(internal, k integer,
	VARIADIC features "any")
RETURNS internal
	AS 'MODULE_PATHNAME', 'kseg_fit_k_transition'
	LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 5;

CREATE FUNCTION kseg_fit_transition(internal, options jsonb,
	VARIADIC features "any")
RETURNS internal
	AS 'MODULE_PATHNAME', 'kseg_fit_options_transition'
	LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 5;

CREATE FUNCTION kseg_fit_final(internal) RETURNS kseg_model
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 100000;

COMMENT ON FUNCTION kseg_fit_transition(internal, integer, "any") IS
	'aggregate transition function';
COMMENT ON FUNCTION kseg_fit_transition(internal, jsonb, "any") IS
	'aggregate transition function';
COMMENT ON FUNCTION kseg_fit_final(internal) IS
	'aggregate final function';

CREATE AGGREGATE kseg_fit(k integer, VARIADIC features "any") (
	SFUNC = kseg_fit_transition,
	STYPE = internal,
	SSPACE = 65536,
	FINALFUNC = kseg_fit_final,
	FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = SAFE
);

CREATE AGGREGATE kseg_fit(options jsonb, VARIADIC features "any") (
	SFUNC = kseg_fit_transition,
	STYPE = internal,
	SSPACE = 65536,
	FINALFUNC = kseg_fit_final,
	FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE kseg_fit(integer, VARIADIC "any") IS
	'model that divides the rows into k segments by their features';
COMMENT ON AGGREGATE kseg_fit(jsonb, VARIADIC "any") IS
	'model that divides the rows into segments by their features, with options as of kseg_options()';

-- A window function is called for every row, but works at the first one.

CREATE FUNCTION kseg_cluster(k integer, VARIADIC features "any")
RETURNS integer
	AS 'MODULE_PATHNAME', 'kseg_cluster_k'
	LANGUAGE C WINDOW IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 100;

CREATE FUNCTION kseg_cluster(options jsonb, VARIADIC features "any")
RETURNS integer
	AS 'MODULE_PATHNAME', 'kseg_cluster_options'
	LANGUAGE C WINDOW IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 100;

COMMENT ON FUNCTION kseg_cluster(integer, "any") IS
	'segment of each row of the partition, divided into k segments by its features';
COMMENT ON FUNCTION kseg_cluster(jsonb, "any") IS
	'segment of each row of the partition, with options as of kseg_options()';

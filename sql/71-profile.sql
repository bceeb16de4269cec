
-- 71-profile.sql: who the segments are

-- A row for each segment and feature; labels compare segments with each other.

CREATE FUNCTION kseg_profile(
	model kseg_model,
	OUT segment integer,
	OUT label text,
	OUT size bigint,
	OUT share double precision,
	OUT feature text,
	OUT top_value text,
	OUT mean double precision,
	OUT overall_mean double precision,
	OUT index_100 double precision,
	OUT z double precision,
	OUT rank integer
)
RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'kseg_profile_model'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100 ROWS 50;

COMMENT ON FUNCTION kseg_profile(kseg_model) IS
	'who the segments of a model are: a label, and each feature beside the average';

-- As all functions that take a query (50-query.sql).

CREATE FUNCTION kseg_profile(
	model kseg_model,
	query text,
	OUT segment integer,
	OUT label text,
	OUT size bigint,
	OUT share double precision,
	OUT feature text,
	OUT top_value text,
	OUT mean double precision,
	OUT overall_mean double precision,
	OUT index_100 double precision,
	OUT z double precision,
	OUT rank integer,
	OUT median double precision,
	OUT p25 double precision,
	OUT p75 double precision,
	OUT is_fitted boolean
)
RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'kseg_profile_query'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	COST 10000 ROWS 50;

COMMENT ON FUNCTION kseg_profile(kseg_model, text) IS
	'who the segments are, from the rows of a query: all its columns, fitted or not';

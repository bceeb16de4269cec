-- 50-query.sql: functions that read the rows of a query

-- All of them are VOLATILE, though they change nothing: the query may be, and
-- a subquery with a VOLATILE call is not flattened, so that
-- SELECT (i).* FROM (SELECT kseg_info(kseg_fit('...', 5)) AS i) fits once.
-- The query itself sees the snapshot of the calling statement.  They are
-- PARALLEL UNSAFE because the query may call what is; it is planned on its
-- own and may use workers.

CREATE FUNCTION kseg_fit(
	query text,
	k integer DEFAULT NULL,
	options jsonb DEFAULT NULL
)
RETURNS kseg_model
	AS 'MODULE_PATHNAME', 'kseg_fit_query'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000;

COMMENT ON FUNCTION kseg_fit(text, integer, jsonb) IS
	'segment the rows of a query; its columns are the features';

CREATE FUNCTION kseg_elbow(
	query text,
	k_min integer DEFAULT 1,
	k_max integer DEFAULT 10,
	options jsonb DEFAULT NULL,
	OUT k integer,
	OUT inertia double precision,
	OUT explained double precision,
	OUT drop_pct double precision,
	OUT silhouette double precision,
	OUT davies_bouldin double precision,
	OUT calinski_harabasz double precision,
	OUT stability double precision,
	OUT smallest_share double precision,
	OUT iterations integer,
	OUT is_knee boolean,
	OUT is_best_silhouette boolean,
	OUT note text
)
RETURNS SETOF record
	AS 'MODULE_PATHNAME'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	COST 10000 ROWS 10;

COMMENT ON FUNCTION kseg_elbow(text, integer, integer, jsonb) IS
	'how good each number of segments is for the rows of a query';

CREATE FUNCTION kseg_segments(
	query text,
	key text,
	model kseg_model,
	options jsonb DEFAULT NULL,
	OUT key text,
	OUT segment integer,
	OUT distance double precision,
	OUT second_segment integer,
	OUT margin double precision,
	OUT is_outlier boolean
)
RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'kseg_segments_model'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	COST 10000 ROWS 1000;

COMMENT ON FUNCTION kseg_segments(text, text, kseg_model, jsonb) IS
	'segment of each row of a query by a model; features are found by name';

CREATE FUNCTION kseg_segments(
	query text,
	key text,
	k integer DEFAULT NULL,
	options jsonb DEFAULT NULL,
	OUT key text,
	OUT segment integer,
	OUT distance double precision,
	OUT second_segment integer,
	OUT margin double precision,
	OUT is_outlier boolean
)
RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'kseg_segments_fit'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	COST 10000 ROWS 1000;

COMMENT ON FUNCTION kseg_segments(text, text, integer, jsonb) IS
	'segment the rows of a query; all columns but the key are features';

CREATE FUNCTION kseg_normalize(
	query text,
	key text,
	method text DEFAULT 'zscore',
	OUT key text,
	OUT feature text,
	OUT value double precision,
	OUT scaled double precision
)
RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'kseg_normalize_query'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	COST 10000 ROWS 1000;

COMMENT ON FUNCTION kseg_normalize(text, text, text) IS
	'values of a query and the same scaled, one row for each key and column';


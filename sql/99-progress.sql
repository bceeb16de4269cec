-- 99-progress.sql: what sessions are doing

-- As pg_stat_get_progress_info: what other sessions do stays the same within
-- a statement.
CREATE FUNCTION kseg_progress_sessions(
	OUT pid integer,
	OUT database text,
	OUT username text,
	OUT command text,
	OUT started timestamptz,
	OUT phase text,
	OUT phase_started timestamptz,
	OUT k integer,
	OUT step bigint,
	OUT steps bigint,
	OUT rows bigint,
	OUT rows_total bigint,
	OUT rows_changed bigint
)
RETURNS SETOF record
	AS 'MODULE_PATHNAME'
	LANGUAGE C STABLE STRICT PARALLEL RESTRICTED
	COST 100 ROWS 10;

COMMENT ON FUNCTION kseg_progress_sessions() IS
	'what kseg_progress shows; read the view';

CREATE VIEW kseg_progress WITH (security_invoker = true) AS
	SELECT p.pid, p.database, p.username, p.command, p.started, p.phase,
		p.phase_started, p.k, p.step, p.steps, p.rows, p.rows_total,
		p.rows_changed
	FROM kseg_progress_sessions() AS p;

COMMENT ON VIEW kseg_progress IS
	'how far fits, runs and other long functions of kseg are; a row for each session that is in one';
COMMENT ON COLUMN kseg_progress.pid IS
	'process of the session, as in pg_stat_activity';
COMMENT ON COLUMN kseg_progress.database IS
	'database of the session';
COMMENT ON COLUMN kseg_progress.username IS
	'role that the session logged in as';
COMMENT ON COLUMN kseg_progress.command IS
	'function that was called: kseg_fit, kseg_run, ...; of those that call another one, the outermost';
COMMENT ON COLUMN kseg_progress.started IS
	'when it began';
COMMENT ON COLUMN kseg_progress.phase IS
	'what it does: reading rows, scaling, sampling, searching, improving, measuring, comparing with references, silhouettes, stability, scoring rows, writing back, writing history';
COMMENT ON COLUMN kseg_progress.phase_started IS
	'when the phase began';
COMMENT ON COLUMN kseg_progress.k IS
	'number of segments it is at; null: none in particular';
COMMENT ON COLUMN kseg_progress.step IS
	'which step of the phase: chain while searching, iteration while improving, set of references, refit for the stability, row of the sample for silhouettes; null: it has none';
COMMENT ON COLUMN kseg_progress.steps IS
	'how many steps there are at most; null: not known';
COMMENT ON COLUMN kseg_progress.rows IS
	'rows that the phase has read, scored, written or passed; null: it does not count them';
COMMENT ON COLUMN kseg_progress.rows_total IS
	'how many rows there will be, mostly an estimate; null: not known';
COMMENT ON COLUMN kseg_progress.rows_changed IS
	'rows that changed segment: while improving in the last iteration, while scoring and writing so far; null: not counted';

GRANT SELECT ON kseg_progress TO PUBLIC;

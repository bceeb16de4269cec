-- 60-apply.sql: segments written back to a table

-- Not for users.  kseg_apply() makes it the condition of its UPDATE; it
-- counts the rows that it sees, so it is VOLATILE and costs more than any
-- condition that may stand beside it.
CREATE FUNCTION kseg_changed(
	model kseg_model,
	run bigint,
	VARIADIC segment_and_features "any"
)
RETURNS boolean
	AS 'MODULE_PATHNAME'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 100000;

COMMENT ON FUNCTION kseg_changed(kseg_model, bigint, "any") IS
	'part of kseg_apply(): has the row another segment by now?';

-- Not for users either.  The segment of the row that kseg_changed() saw last,
-- so that an UPDATE of plain tables need not compute it twice.
CREATE FUNCTION kseg_assigned(run bigint)
RETURNS integer
	AS 'MODULE_PATHNAME'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1;

COMMENT ON FUNCTION kseg_assigned(bigint) IS
	'part of kseg_apply(): the segment that the row gets';

CREATE FUNCTION kseg_apply(
	model kseg_model,
	target regclass,
	segment_column name,
	distance_column name DEFAULT NULL,
	features text[] DEFAULT NULL,
	OUT scored bigint,
	OUT changed bigint,
	OUT unassigned bigint
)
RETURNS record
	AS 'MODULE_PATHNAME'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000;

COMMENT ON FUNCTION kseg_apply(kseg_model, regclass, name, name, text[]) IS
	'write the segment of every row into a column; only rows that change';


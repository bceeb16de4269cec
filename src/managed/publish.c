/*
 * publish.c
 *		What a run writes: the target, the history, the registry.
 *
 * Changes come as a tuplestore that SQL sees under the name "kseg_changes",
 * as triggers see their transition tables; a name without a schema finds it
 * before any relation.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/tstoreReceiver.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

#include "../pg/errors.h"
#include "messages.h"
#include "run.h"

/* ---- rows that SQL can read ---- */

static void
register_rows(const char *name, Tuplestorestate *rows, TupleDesc desc,
			  int64 count)
{
	EphemeralNamedRelation relation =
	palloc0(sizeof(EphemeralNamedRelationData));

	relation->md.name = pstrdup(name);
	relation->md.reliddesc = InvalidOid;
	relation->md.tupdesc = desc;
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	relation->md.enrtuples = count;
	relation->reldata = rows;
	if (SPI_register_relation(relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register \"%s\"", name);
}

/* ---- the target ---- */

/* The operator by which two values of the type are equal, as SQL. */
static char *
equality(Oid type)
{
	Oid			id = lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(id));
	Form_pg_operator operator;
	char	   *text;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "no equality operator for type %u", type);
	operator = (Form_pg_operator) GETSTRUCT(tuple);
	text = psprintf("OPERATOR(%s.%s)",
					quote_identifier(get_namespace_name(operator->oprnamespace)),
					NameStr(operator->oprname));
	ReleaseSysCache(tuple);
	return text;
}

/* "t.id = c.c1 AND ..." */
static char *
match_keys(const KsegPass *pass)
{
	const Oid  *types = kseg_members_key_types(pass->members);
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < pass->s->nkeys; i++)
		appendStringInfo(&text, "%st.%s %s c.c%d", i > 0 ? " AND " : "",
						 quote_identifier(pass->s->keys[i]),
						 equality(types[i]), i + 1);
	return text.data;
}

/*
 * The changes in the order of their keys: whoever else writes many customers
 * in that order cannot deadlock with us.
 */
static char *
sorted_changes(const KsegPass *pass, const char *condition)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "(SELECT * FROM kseg_changes WHERE %s ORDER BY",
					 condition);
	for (int i = 0; i < pass->s->nkeys; i++)
		appendStringInfo(&text, "%s c%d", i > 0 ? "," : "", i + 1);
	appendStringInfoString(&text, " OFFSET 0) AS c");
	return text.data;
}

static void
execute(const char *sql)
{
	int			result = SPI_execute(sql, false, 0);

	if (result < 0)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(result));
}

/*
 * Have each change find its row by the index on the key, one after the other.
 * Any other join would lose their order, or read the whole table.
 */
static void
join_by_index(void)
{
	static const char *const settings[] = {
		"enable_hashjoin", "enable_mergejoin", "enable_seqscan",
		"enable_bitmapscan", "enable_material", "enable_memoize", "jit"
	};

	for (int i = 0; i < (int) lengthof(settings); i++)
		kseg_set_for_now(settings[i], "off");
}

static void
insert_customers(const KsegPass *pass, const char *target,
				 const char *column)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (", target);
	for (int i = 0; i < pass->s->nkeys; i++)
		appendStringInfo(&sql, "%s, ", quote_identifier(pass->s->keys[i]));
	appendStringInfo(&sql, "%s) SELECT ", column);
	for (int i = 0; i < pass->s->nkeys; i++)
		appendStringInfo(&sql, "c%d, ", i + 1);
	appendStringInfo(&sql, "new FROM %s",
					 sorted_changes(pass, "NOT in_target"));
	execute(sql.data);
}

/* Runs as the segmentation's owner. */
static void
write_target(const KsegPass *pass)
{
	const KsegSegmentation *s = pass->s;
	const char *target = kseg_members_target(pass->members);
	const char *column = quote_identifier(s->segment_column);
	const char *keys = match_keys(pass);

	join_by_index();
	if (s->owns_target)
	{
		execute(psprintf("DELETE FROM %s AS t USING %s WHERE %s", target,
						 sorted_changes(pass, "new IS NULL"), keys));
		insert_customers(pass, target, column);
	}
	execute(psprintf("UPDATE %s AS t SET %s = c.new FROM %s WHERE %s",
					 target, column,
					 sorted_changes(pass, s->owns_target ?
									"in_target AND new IS NOT NULL" :
									"in_target"),
					 keys));
}

/* ---- the history ---- */

/* Rows of (from, to, customers) that the last statement returned. */
static void
read_moves(KsegRun *run, MemoryContext context)
{
	int			n = (int) SPI_processed;

	run->nmoves = n;
	run->moves = MemoryContextAllocHuge(context,
										sizeof(KsegMove) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		KsegMove   *move = &run->moves[i];
		bool		is_null;
		Datum		value;

		value = SPI_getbinval(tuple, desc, 1, &is_null);
		move->from = is_null ? 0 : DatumGetInt32(value);
		value = SPI_getbinval(tuple, desc, 2, &is_null);
		move->to = is_null ? 0 : DatumGetInt32(value);
		move->customers = DatumGetInt64(SPI_getbinval(tuple, desc, 3,
													  &is_null));
		if (move->from == 0)
			run->new += move->customers;
		else if (move->to == 0)
			run->gone += move->customers;
		else
			run->changed += move->customers;
	}
}

/*
 * Changes find their rows by the primary key, one after the other; LATERAL
 * leaves no other way.  A history without statistics looks as if two of its
 * rows had no end, which are then compared with all changes: half a million
 * rows, a thousand times.
 */
static void
close_few(const Oid *types, const Datum *values)
{
	join_by_index();
	kseg_registry_execute("UPDATE %s.kseg_history AS t SET valid_to = $2"
						  " FROM (SELECT key FROM kseg_changes"
						  "  WHERE old IS NOT NULL ORDER BY key OFFSET 0)"
						  "  AS c"
						  " CROSS JOIN LATERAL"
						  "  (SELECT h.ctid AS place"
						  "   FROM %s.kseg_history AS h"
						  "   WHERE h.segmentation = $1 AND h.key = c.key"
						  "    AND h.valid_to IS NULL OFFSET 0) AS h"
						  " WHERE t.ctid = h.place",
						  2, types, values, NULL);
}

/* For many, most of the history would be read anyway. */
static void
close_many(const Oid *types, const Datum *values)
{
	kseg_set_for_now("enable_nestloop", "off");
	kseg_registry_execute("UPDATE %s.kseg_history AS t SET valid_to = $2"
						  " FROM kseg_changes AS c"
						  " WHERE t.segmentation = $1 AND t.key = c.key"
						  "  AND t.valid_to IS NULL AND c.old IS NOT NULL",
						  2, types, values, NULL);
}

/* History that agreed with the target follows its changes. */
static void
write_changes(const KsegPass *pass, KsegRun *run, MemoryContext context)
{
	Oid			types[] = {INT4OID, TIMESTAMPTZOID};
	Datum		values[2];
	int			guc_level = NewGUCNestLevel();

	values[0] = Int32GetDatum(pass->s->id);
	values[1] = TimestampTzGetDatum(run->started);
	if (pass->nchanges < pass->s->members / 8)
		close_few(types, values);
	else
		close_many(types, values);
	kseg_registry_execute("INSERT INTO %s.kseg_history"
						  " (segmentation, key, segment, previous, valid_from)"
						  " SELECT $1, key, new, old, $2 FROM kseg_changes"
						  " WHERE new IS NOT NULL ORDER BY key",
						  lengthof(types), types, values, NULL);
	AtEOXact_GUC(true, guc_level);
	kseg_registry_execute("SELECT old, new, pg_catalog.count(*)"
						  " FROM kseg_changes GROUP BY old, new"
						  " ORDER BY old, new", 0, NULL, NULL, NULL);
	read_moves(run, context);
}

/* All customers with a segment, read from the target as its owner. */
static Tuplestorestate *
register_members(const KsegPass *pass)
{
	TupleDesc	desc = CreateTemplateTupleDesc(2);
	Tuplestorestate *rows = tuplestore_begin_heap(false, false, work_mem);
	DestReceiver *receiver = CreateDestReceiver(DestTuplestore);
	SPIExecuteOptions options = {0};
	const char *column = quote_identifier(pass->s->segment_column);
	int			result;

	TupleDescInitEntry(desc, 1, "key", TEXTOID, -1, 0);
	TupleDescInitEntryCollation(desc, 1, DEFAULT_COLLATION_OID);
	TupleDescInitEntry(desc, 2, "segment", INT4OID, -1, 0);
	SetTuplestoreDestReceiverParams(receiver, rows, CurrentMemoryContext,
									false, NULL, NULL);
	options.dest = receiver;
	result = SPI_execute_extended(psprintf("SELECT %s, t.%s::pg_catalog.int4"
										   " FROM %s AS t"
										   " WHERE t.%s IS NOT NULL",
										   kseg_members_key_expression(pass->members),
										   column,
										   kseg_members_target(pass->members),
										   column),
								  &options);
	if (result < 0)
		elog(ERROR, "SPI_execute_extended failed: %s",
			 SPI_result_code_string(result));
	receiver->rDestroy(receiver);
	register_rows("kseg_members", rows, desc, pass->scored);
	return rows;
}

/*
 * History that does not agree with the target (the first run; rows were
 * deleted, or segments edited by hand) is compared with all of it.
 */
static void
write_history(const KsegPass *pass, KsegRun *run, MemoryContext context)
{
	Oid			types[] = {INT4OID, TIMESTAMPTZOID};
	Datum		values[2];
	int			guc_level = NewGUCNestLevel();

	values[0] = Int32GetDatum(pass->s->id);
	values[1] = TimestampTzGetDatum(run->started);
	/* all of both is read; a history without statistics looks small */
	kseg_set_for_now("enable_nestloop", "off");
	kseg_registry_execute("WITH closed AS ("
						  "UPDATE %s.kseg_history AS h SET valid_to = $2"
						  " WHERE h.segmentation = $1 AND h.valid_to IS NULL"
						  "  AND NOT EXISTS (SELECT FROM kseg_members AS m"
						  "   WHERE m.key = h.key AND m.segment = h.segment)"
						  " RETURNING h.key, h.segment),"
						  " opened AS ("
						  "INSERT INTO %s.kseg_history"
						  " (segmentation, key, segment, previous, valid_from)"
						  " SELECT $1, m.key, m.segment, c.segment, $2"
						  " FROM kseg_members AS m"
						  "  LEFT JOIN closed AS c ON c.key = m.key"
						  " WHERE NOT EXISTS (SELECT FROM %s.kseg_history AS h"
						  "  WHERE h.segmentation = $1 AND h.key = m.key"
						  "   AND h.segment = m.segment"
						  "   AND h.valid_to IS NULL)"
						  " ORDER BY m.key"
						  " RETURNING key, segment)"
						  " SELECT c.segment, o.segment, pg_catalog.count(*)"
						  " FROM closed AS c FULL JOIN opened AS o"
						  "  ON o.key = c.key"
						  " GROUP BY c.segment, o.segment"
						  " ORDER BY c.segment, o.segment",
						  lengthof(types), types, values, NULL);
	AtEOXact_GUC(true, guc_level);
	read_moves(run, context);
}

/* ---- the registry ---- */

static void
update_registry(const KsegSegmentation *s)
{
	Oid			types[] = {INT4OID, INT4OID, INT4OID, INT4OID, TEXTOID,
	INT8OID, INT8OID};
	Datum		values[7] = {0};
	char		nulls[7];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int32GetDatum(s->id);
	values[1] = Int32GetDatum(s->version);
	nulls[1] = s->version == 0 ? 'n' : ' ';
	values[2] = Int32GetDatum(s->last_version);
	values[3] = Int32GetDatum(s->last_id);
	if (s->pending != NULL)
		values[4] = CStringGetTextDatum(s->pending);
	else
		nulls[4] = 'n';
	values[5] = Int64GetDatum(s->members);
	values[6] = Int64GetDatum((int64) s->members_hash);
	kseg_registry_execute("UPDATE %s.kseg_segmentations"
						  " SET version = $2, last_version = $3,"
						  "  last_id = $4, pending = $5, members = $6,"
						  "  members_hash = $7"
						  " WHERE id = $1"
						  "  AND (version, last_version, last_id, pending,"
						  "   members, members_hash) IS DISTINCT FROM"
						  "  ($2, $3, $4, $5, $6, $7)",
						  lengthof(types), types, values, nulls);
}

/* Ids rise, so the last one is the highest. */
static void
check_ids(const KsegPass *pass)
{
	int			highest = kseg_segment_id(pass->model, pass->model->k - 1);

	if (kseg_members_segment_type(pass->members) == INT2OID &&
		highest > PG_INT16_MAX)
		kseg_error_id_range(pass->s->segment_column, highest);
}

void
kseg_publish(KsegSegmentation *s, KsegPass *pass, KsegRun *run)
{
	MemoryContext context = CurrentMemoryContext;
	bool		agrees = pass->found == s->members &&
		pass->found_hash == s->members_hash;
	KsegCaller	caller;
	Tuplestorestate *members = NULL;
	instr_time	started;
	double		in_target;
	double		in_history;

	check_ids(pass);
	INSTR_TIME_SET_CURRENT(started);
	run->scored = pass->scored;
	run->unassigned = pass->unassigned;
	run->changed = run->new = run->gone = 0;

	SPI_connect();
	register_rows("kseg_changes", pass->changes, pass->change,
				  pass->nchanges);
	kseg_become_owner(s, &caller);
	if (pass->nchanges > 0)
		write_target(pass);
	in_target = kseg_lap(&started);
	if (!agrees)
		members = register_members(pass);
	kseg_become_caller(&caller);

	if (!agrees)
		write_history(pass, run, context);
	else if (pass->nchanges > 0)
		write_changes(pass, run, context);
	in_history = kseg_lap(&started);

	s->members = pass->scored;
	s->members_hash = pass->scored_hash;
	update_registry(s);
	/* its file would outlive the memory that SPI_finish() frees */
	if (members != NULL)
		tuplestore_end(members);
	SPI_finish();
	ereport(DEBUG2,
			(errmsg_internal("kseg: wrote " INT64_FORMAT " changes to the target in %.1f ms, to the history%s in %.1f ms",
							 pass->nchanges, in_target,
							 agrees ? "" : ", all of it,", in_history)));
}

void
kseg_publish_model(KsegSegmentation *s, const KsegRefit *refit, KsegRun *run,
				   bool is_held, const char *reason)
{
	Oid			types[] = {INT4OID, INT4OID, kseg_registry_model_type(),
	BOOLOID, TEXTOID, INT8OID, TIMESTAMPTZOID};
	Datum		values[7];

	s->last_version++;
	run->refit_version = s->last_version;
	/* ids that nobody has seen can be given again */
	if (!is_held)
	{
		s->last_id = Max(s->last_id, refit->model->last_id);
		s->version = s->last_version;
		s->pending = NULL;
	}

	SPI_connect();
	values[0] = Int32GetDatum(s->id);
	values[1] = Int32GetDatum(s->last_version);
	values[2] = kseg_model_datum(refit->model);
	values[3] = BoolGetDatum(is_held);
	values[4] = CStringGetTextDatum(reason);
	values[5] = Int64GetDatum(run->id);
	values[6] = TimestampTzGetDatum(run->started);
	/* of those that nobody wanted, the latest is enough */
	kseg_registry_forget_models("segmentation = $1 AND is_held", 1, types,
								values);
	kseg_registry_execute("INSERT INTO %s.kseg_models (segmentation, version,"
						  " model, is_held, reason, run, created)"
						  " VALUES ($1, $2, $3, $4, $5, $6, $7)",
						  lengthof(types), types, values, NULL);
	kseg_baseline_store(refit->baseline, s, s->last_version);
	kseg_picture_store(refit->picture, s, s->last_version);
	SPI_finish();
}

/* ---- the log ---- */

void
kseg_run_start(const KsegSegmentation *s, KsegRun *run)
{
	Oid			sequence_type[] = {REGCLASSOID};
	Oid			types[] = {INT4OID};
	Datum		value;
	bool		is_null;

	run->started = GetCurrentTimestamp();
	SPI_connect();
	value = ObjectIdGetDatum(get_relname_relid("kseg_runs_id_seq",
											   kseg_registry_schema_id()));
	kseg_registry_execute("SELECT pg_catalog.nextval($1)", 1, sequence_type,
						  &value, NULL);
	run->id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
										  SPI_tuptable->tupdesc, 1,
										  &is_null));

	/* two runs at the same time would be one in the history */
	value = Int32GetDatum(s->id);
	kseg_registry_execute("SELECT pg_catalog.max(started) FROM %s.kseg_runs"
						  " WHERE segmentation = $1", 1, types, &value, NULL);
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
						  &is_null);
	if (!is_null)
		run->started = Max(run->started, DatumGetTimestampTz(value) + 1);
	SPI_finish();
}

/* Arrays of integers as parameters; null where the number is 0. */
static Datum
int_array(const int *numbers, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(n, 1));
	bool	   *nulls = palloc(sizeof(bool) * Max(n, 1));
	int			low = 1;

	for (int i = 0; i < n; i++)
	{
		values[i] = Int32GetDatum(numbers[i]);
		nulls[i] = numbers[i] == 0;
	}
	return PointerGetDatum(construct_md_array(values, nulls, 1, &n, &low,
											  INT4OID, 4, true, TYPALIGN_INT));
}

static Datum
count_array(const int64 *counts, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		values[i] = Int64GetDatum(counts[i]);
	return PointerGetDatum(construct_array(values, n, INT8OID, 8,
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static void
log_sizes(const KsegPass *pass, const KsegRun *run)
{
	const KmModel *model = pass->model;
	Oid			types[] = {INT8OID, INT4OID, INT4ARRAYOID, INT8ARRAYOID,
	FLOAT8OID};
	Datum		values[5];
	int		   *ids = palloc(sizeof(int) * model->k);

	for (int i = 0; i < model->k; i++)
		ids[i] = kseg_segment_id(model, i);
	values[0] = Int64GetDatum(run->id);
	values[1] = Int32GetDatum(pass->s->id);
	values[2] = int_array(ids, model->k);
	values[3] = count_array(pass->sizes, model->k);
	values[4] = Float8GetDatum(Max(pass->scored, 1));
	kseg_registry_execute("INSERT INTO %s.kseg_sizes"
						  " SELECT $1, $2, segment, size, size / $5"
						  " FROM unnest($3, $4)"
						  "  AS t (segment, size)",
						  lengthof(types), types, values, NULL);
}

/* Those who moved, and those who stayed in each segment. */
static void
log_moves(const KsegPass *pass, const KsegRun *run)
{
	const KmModel *model = pass->model;
	int			n = run->nmoves;
	int		   *from = palloc(sizeof(int) * (n + model->k));
	int		   *to = palloc(sizeof(int) * (n + model->k));
	int64	   *customers = palloc(sizeof(int64) * (n + model->k));
	Oid			types[] = {INT8OID, INT4OID, INT4ARRAYOID, INT4ARRAYOID,
	INT8ARRAYOID};
	Datum		values[5];

	for (int i = 0; i < model->k; i++)
	{
		from[i] = to[i] = kseg_segment_id(model, i);
		customers[i] = pass->sizes[i];
		for (int j = 0; j < n; j++)
		{
			if (run->moves[j].to == to[i])
				customers[i] -= run->moves[j].customers;
		}
	}
	for (int j = 0; j < n; j++)
	{
		from[model->k + j] = run->moves[j].from;
		to[model->k + j] = run->moves[j].to;
		customers[model->k + j] = run->moves[j].customers;
	}

	values[0] = Int64GetDatum(run->id);
	values[1] = Int32GetDatum(pass->s->id);
	values[2] = int_array(from, n + model->k);
	values[3] = int_array(to, n + model->k);
	values[4] = count_array(customers, n + model->k);
	kseg_registry_execute("INSERT INTO %s.kseg_moves"
						  " SELECT $1, $2, t.f, t.t, t.n"
						  " FROM unnest($3, $4, $5) AS t (f, t, n)"
						  " WHERE t.n > 0",
						  lengthof(types), types, values, NULL);
}

/* The interval from the start of the run until now. */
static Interval *
elapsed(const KsegRun *run)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = Max(GetCurrentTimestamp() - run->started, 0);
	return interval;
}

void
kseg_run_log(const KsegSegmentation *s, const KsegPass *pass, KsegRun *run)
{
	Oid			types[] = {INT8OID, INT4OID, TIMESTAMPTZOID, INTERVALOID,
		TEXTOID, TEXTOID, TEXTOID, INT4OID, INT4OID, INT8OID, INT8OID,
	INT8OID, INT8OID, INT8OID, FLOAT8OID, FLOAT8OID, BOOLOID, INT4OID, NAMEOID};
	Datum		values[lengthof(types)] = {0};
	char		nulls[lengthof(types)];
	int			i = 0;

	run->elapsed = elapsed(run);
	memset(nulls, ' ', sizeof(nulls));
	values[i++] = Int64GetDatum(run->id);
	values[i++] = Int32GetDatum(s->id);
	values[i++] = TimestampTzGetDatum(run->started);
	values[i++] = IntervalPGetDatum(run->elapsed);
	values[i++] = CStringGetTextDatum(run->mode);
	values[i++] = CStringGetTextDatum(run->action);
	values[i++] = CStringGetTextDatum(run->reason);
	nulls[i] = s->version == 0 ? 'n' : ' ';
	values[i++] = Int32GetDatum(s->version);
	nulls[i] = run->refit_version == 0 ? 'n' : ' ';
	values[i++] = Int32GetDatum(run->refit_version);
	for (int j = 0; j < 5; j++)
		nulls[i + j] = run->is_scored ? ' ' : 'n';
	values[i++] = Int64GetDatum(run->scored);
	values[i++] = Int64GetDatum(run->changed);
	values[i++] = Int64GetDatum(run->new);
	values[i++] = Int64GetDatum(run->gone);
	values[i++] = Int64GetDatum(run->unassigned);
	nulls[i] = isnan(run->drift_index) ? 'n' : ' ';
	values[i++] = Float8GetDatum(run->drift_index);
	nulls[i] = isnan(run->inertia_ratio) ? 'n' : ' ';
	values[i++] = Float8GetDatum(run->inertia_ratio);
	values[i++] = BoolGetDatum(run->held);
	nulls[i] = run->proposed_k == 0 ? 'n' : ' ';
	values[i++] = Int32GetDatum(run->proposed_k);
	values[i++] = DirectFunctionCall1(namein,
									  CStringGetDatum(GetUserNameFromId(GetUserId(), false)));

	SPI_connect();
	kseg_registry_execute("INSERT INTO %s.kseg_runs (id, segmentation,"
						  " started, elapsed, mode, action, reason, version,"
						  " refit_version, scored, changed, new, gone,"
						  " unassigned, drift, inertia_ratio, held,"
						  " proposed_k, run_by) VALUES ($1, $2, $3, $4, $5,"
						  " $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,"
						  " $17, $18, $19)",
						  lengthof(types), types, values, nulls);
	if (pass != NULL)
	{
		log_sizes(pass, run);
		log_moves(pass, run);
	}
	if (run->drift != NULL)
		kseg_drift_store(run->drift, s, run->id);
	SPI_finish();
}

void
kseg_run_forget(const KsegSegmentation *s, const KsegRun *run)
{
	Oid			types[] = {INT4OID, TIMESTAMPTZOID, INT4OID};
	Datum		values[3];

	if (s->keep == NULL)
		return;
	values[0] = Int32GetDatum(s->id);
	values[1] = DirectFunctionCall2(timestamptz_mi_interval,
									TimestampTzGetDatum(run->started),
									IntervalPGetDatum(s->keep));
	values[2] = Int32GetDatum(s->version);

	SPI_connect();
	kseg_registry_execute("DELETE FROM %s.kseg_history"
						  " WHERE segmentation = $1 AND valid_to < $2",
						  2, types, values, NULL);
	kseg_registry_forget_runs("segmentation = $1 AND started < $2",
							  2, types, values);
	/* a label is reviewed against the model it was given for */
	kseg_registry_forget_models("segmentation = $1 AND created < $2"
								" AND version <> $3"
								" AND NOT EXISTS (SELECT FROM %s.kseg_labels"
								"  AS l WHERE l.segmentation = $1"
								"  AND l.version = t.version)",
								lengthof(types), types, values);
	SPI_finish();
}

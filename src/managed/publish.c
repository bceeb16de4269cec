/*
 * publish.c
 *		What a run writes: the target, the registry, a model; the history is
 *		in history.c, the log in log.c.
 *
 * Changes come as a tuplestore that SQL sees under the name "kseg_changes",
 * as triggers see their transition tables; a name without a schema finds it
 * before any relation.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

#include "../pg/errors.h"
#include "../pg/progress.h"
#include "messages.h"
#include "run.h"

/* ---- rows that SQL can read ---- */

void
kseg_register_rows(const char *name, Tuplestorestate *rows, TupleDesc desc,
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

/* "t.id = c.c1 AND ..." */
static char *
match_keys(const KsegPass *pass)
{
	const Oid  *types = kseg_members_key_types(pass->members);
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < pass->s->nkeys; i++)
		appendStringInfo(&text, "%s%s", i > 0 ? " AND " : "",
						 kseg_sql_equal(lookup_type_cache(types[i],
														  TYPECACHE_EQ_OPR)->eq_opr,
										psprintf("t.%s",
												 quote_identifier(pass->s->keys[i])),
										psprintf("c.c%d", i + 1)));
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

/* Counts rows of RETURNING one boolean that are true. */
typedef struct RowCounter
{
	DestReceiver pub;			/* must be first */
	int64		rows;
	int64		written;		/* all so far, for whoever watches */
	int64		expected;
} RowCounter;

static bool
count_row(TupleTableSlot *slot, DestReceiver *self)
{
	bool		is_null;
	Datum		value = slot_getattr(slot, 1, &is_null);
	RowCounter *counter = (RowCounter *) self;

	counter->rows += !is_null && DatumGetBool(value);
	counter->written++;
	if (kseg_progress_due(counter->written))
		kseg_progress_rows(counter->written, counter->expected);
	return true;
}

static void
start_rows(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
end_rows(DestReceiver *self)
{
}

/*
 * How many rows the statement wrote; with RETURNING how many were written as
 * they should be.  written: by statements before.
 */
static int64
write_rows(const KsegPass *pass, const char *sql, int64 written)
{
	RowCounter	counter = {
		.pub = {count_row, start_rows, end_rows, end_rows, DestTuplestore},
		.written = written,
		.expected = pass->nchanges
	};
	SPIExecuteOptions options = {0};
	int			result;

	kseg_progress_rows(written, pass->nchanges);
	options.dest = &counter.pub;
	result = SPI_execute_extended(sql, &options);
	if (result < 0)
		elog(ERROR, "SPI_execute_extended failed: %s",
			 SPI_result_code_string(result));
	return result == SPI_OK_UPDATE_RETURNING ? counter.rows :
		(int64) SPI_processed;
}

/* May a rule put something else in the place of what is written? */
static bool
has_rules(const KsegSegmentation *s)
{
	Relation	target = relation_open(s->target, NoLock);
	bool		result = target->rd_rules != NULL;

	relation_close(target, NoLock);
	return result;
}

void
kseg_join_by_index(void)
{
	static const char *const settings[] = {
		"enable_hashjoin", "enable_mergejoin", "enable_seqscan",
		"enable_bitmapscan", "enable_material", "enable_memoize", "jit"
	};

	for (int i = 0; i < (int) lengthof(settings); i++)
		kseg_set_for_now(settings[i], "off");
}

static int64
insert_customers(const KsegPass *pass, const char *target,
				 const char *column, int64 written)
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
	return write_rows(pass, sql.data, written);
}

/*
 * Runs as the segmentation's owner.  How many changes the target has by now:
 * its triggers, rules and policies may have left some out, or written another
 * segment.
 */
static int64
write_target(const KsegPass *pass)
{
	const KsegSegmentation *s = pass->s;
	const char *target = kseg_members_target(pass->members);
	const char *column = quote_identifier(s->segment_column);
	const char *keys = match_keys(pass);
	bool		is_plain = !has_rules(s);
	int64		written = 0;

	kseg_join_by_index();
	if (s->owns_target)
	{
		written += write_rows(pass,
							  psprintf("DELETE FROM %s AS t USING %s WHERE %s",
									   target,
									   sorted_changes(pass, "new IS NULL"),
									   keys), written);
		written += insert_customers(pass, target, column, written);
	}
	/* a rule may have no RETURNING */
	written += write_rows(pass,
						  psprintf("UPDATE %s AS t SET %s = c.new FROM %s"
								   " WHERE %s%s%s%s",
								   target, column,
								   sorted_changes(pass, s->owns_target ?
												  "in_target AND new IS NOT NULL" :
												  "in_target"),
								   keys,
								   is_plain ? " RETURNING t." : "",
								   is_plain ? column : "",
								   is_plain ? " IS NOT DISTINCT FROM c.new" : ""),
						  written);
	return written;
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
	int64		written = 0;
	instr_time	started;
	double		in_target;
	double		in_history;

	check_ids(pass);
	INSTR_TIME_SET_CURRENT(started);
	run->scored = pass->scored;
	run->unassigned = pass->unassigned;
	run->changed = run->new = run->gone = 0;

	SPI_connect();
	kseg_register_rows("kseg_changes", pass->changes, pass->change,
					   pass->nchanges);
	kseg_progress_phase(KSEG_PHASE_WRITE);
	kseg_progress_changed(pass->nchanges);
	kseg_become_owner(s, &caller);
	if (pass->nchanges > 0)
		written = write_target(pass);
	agrees = agrees && written == pass->nchanges &&
		(written == 0 || !has_rules(s));
	in_target = kseg_lap(&started);
	kseg_progress_phase(KSEG_PHASE_HISTORY);
	kseg_progress_changed(pass->nchanges);
	if (!agrees)
		members = kseg_history_members(pass);
	kseg_become_caller(&caller);

	if (!agrees)
		kseg_history_compare(pass, run, context);
	else if (pass->nchanges > 0)
		kseg_history_follow(pass, run, context);
	in_history = kseg_lap(&started);

	s->members = pass->scored;
	s->members_hash = pass->scored_hash;
	update_registry(s);
	/* its file would outlive the memory that SPI_finish() frees */
	if (members != NULL)
		tuplestore_end(members);
	SPI_finish();
	if (written < pass->nchanges)
		run->reason = psprintf("%s; the target did not take %s of %s changes",
							   run->reason,
							   kseg_print_count(pass->nchanges - written),
							   kseg_print_count(pass->nchanges));
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

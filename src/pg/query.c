/*
 * query.c
 *		Runs the text of a query for the functions that take one.
 *
 * The query runs as the caller and sees what the calling statement sees: SPI
 * in read-only mode takes no snapshot of its own.  It has to be one SELECT
 * that changes and locks nothing; that is checked on the analysed query,
 * before anything runs.  Rows go from the executor's slot to the caller's
 * function without being copied or collected.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "tcop/cmdtag.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"

#include "compat.h"
#include "errors.h"
#include "kseg.h"
#include "progress.h"

typedef struct RowReceiver
{
	DestReceiver pub;			/* must be first */
	void		(*row) (void *arg, const Datum *values, const bool *nulls);
	void	   *arg;
	MemoryContext context;		/* reset after each row */
	int64		nrows;			/* so far */
	int64		expected;		/* by the planner */
} RowReceiver;

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	RowReceiver *receiver = (RowReceiver *) self;
	MemoryContext caller;

	slot_getallattrs(slot);

	/* what row() leaves behind (a detoasted text, say) dies with the row */
	caller = MemoryContextSwitchTo(receiver->context);
	receiver->row(receiver->arg, slot->tts_values, slot->tts_isnull);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(receiver->context);

	receiver->nrows++;
	if (unlikely(kseg_progress_due(receiver->nrows)))
		kseg_progress_rows(receiver->nrows, receiver->expected);
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

/* Does the query lock rows anywhere, views and subqueries included? */
static bool
locks_rows(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;

		if (query->rowMarks != NIL)
			return true;
		return query_tree_walker(query, locks_rows, context, 0);
	}
	return expression_tree_walker(node, locks_rows, context);
}

CachedPlanSource *
kseg_query_check(SPIPlanPtr plan)
{
	List	   *sources = SPI_plan_get_plan_sources(plan);
	CachedPlanSource *source;
	Query	   *query;

	if (sources == NIL)
		kseg_error_query_empty();
	if (list_length(sources) > 1)
		kseg_error_query_many(list_length(sources));
	source = (CachedPlanSource *) linitial(sources);

	/* a rule can make several queries, or none, of a writing statement */
	if (list_length(source->query_list) != 1)
		kseg_error_query_writes(GetCommandTagName(source->commandTag));
	query = linitial_node(Query, source->query_list);

	switch (query->commandType)
	{
		case CMD_SELECT:
			break;
		case CMD_INSERT:
		case CMD_UPDATE:
		case CMD_DELETE:
		case CMD_MERGE:
			kseg_error_query_writes(GetCommandTagName(source->commandTag));
		default:
			/* the tag of SELECT INTO is that of SELECT */
			if (source->commandTag == CMDTAG_SELECT)
				kseg_error_query_writes("SELECT INTO");
			kseg_error_query_kind(GetCommandTagName(source->commandTag));
	}

	if (query->hasModifyingCTE)
		kseg_error_query_writes("a WITH that does");
	if (locks_rows((Node *) query, NULL))
		kseg_error_query_locks();

	return source;
}

void
kseg_query_describe(KsegQuery *query, TupleDesc desc)
{
	query->ncolumns = desc->natts;
	query->names = palloc(sizeof(char *) * Max(desc->natts, 1));
	query->types = palloc(sizeof(Oid) * Max(desc->natts, 1));
	query->typmods = palloc(sizeof(int32) * Max(desc->natts, 1));
	query->collations = palloc(sizeof(Oid) * Max(desc->natts, 1));
	query->is_repeated = palloc0(sizeof(bool) * Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
	{
		query->names[i] = pstrdup(NameStr(TupleDescAttr(desc, i)->attname));
		query->types[i] = TupleDescAttr(desc, i)->atttypid;
		query->typmods[i] = TupleDescAttr(desc, i)->atttypmod;
		query->collations[i] = TupleDescAttr(desc, i)->attcollation;
		for (int j = 0; j < i; j++)
		{
			if (strcmp(query->names[j], query->names[i]) == 0)
				query->is_repeated[i] = query->is_repeated[j] = true;
		}
	}

	kseg_number_names(query->names, query->ncolumns);
}

/* How many rows the planner expects.  The plan is kept and run later. */
static int64
expected_rows(SPIPlanPtr plan)
{
	CachedPlan *cached = SPI_plan_get_cached_plan(plan);
	int64		rows = 0;

	if (cached == NULL)
		return 0;
	if (list_length(cached->stmt_list) == 1)
	{
		PlannedStmt *statement = linitial_node(PlannedStmt,
											   cached->stmt_list);

		if (statement->planTree != NULL)
			rows = (int64) Min(statement->planTree->plan_rows, 1e15);
	}
	ReleaseCachedPlan(cached, NULL);
	return rows;
}

void
kseg_query_run(const char *text, const KsegGuard *guard,
			   void (*start) (void *arg, const KsegQuery *query),
			   void (*row) (void *arg, const Datum *values,
							const bool *nulls),
			   void *arg)
{
	RowReceiver receiver = {0};
	SPIExecuteOptions options = {0};
	SPIPlanPtr	plan;
	CachedPlanSource *source;
	KsegQuery	query;
	int			result;

	SPI_connect();

	if (guard != NULL)
		guard->before();
	/* the query is run to its end, so it may use workers */
	plan = SPI_prepare_cursor(text, 0, NULL, CURSOR_OPT_PARALLEL_OK);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed: %s",
			 SPI_result_code_string(SPI_result));
	source = kseg_query_check(plan);

	/*
	 * A plan that is not saved is not told when the catalogs change, so it is
	 * this query that runs; and what it refers to is locked.
	 */
	if (guard != NULL)
		guard->check(linitial_node(Query, source->query_list), guard->arg);

	/*
	 * The columns are known now; whoever does not like them says so before
	 * the query costs anything.
	 */
	kseg_query_describe(&query, source->resultDesc);
	kseg_progress_phase(KSEG_PHASE_READ);
	start(arg, &query);
	receiver.expected = expected_rows(plan);
	kseg_progress_rows(0, receiver.expected);

	receiver.pub.receiveSlot = receive_row;
	receiver.pub.rStartup = start_rows;
	receiver.pub.rShutdown = end_rows;
	receiver.pub.rDestroy = end_rows;
	receiver.pub.mydest = DestTuplestore;	/* anything SPI does not handle */
	receiver.row = row;
	receiver.arg = arg;
	receiver.context = AllocSetContextCreate(CurrentMemoryContext,
											 "kseg query row",
											 ALLOCSET_DEFAULT_SIZES);

	options.read_only = true;
	options.dest = (DestReceiver *) &receiver;
	result = SPI_execute_plan_extended(plan, &options);
	kseg_progress_rows(receiver.nrows, receiver.expected);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_plan_extended failed: %s",
			 SPI_result_code_string(result));

	SPI_finish();
}

/* ---- columns by name ---- */

int
kseg_query_column(const KsegQuery *query, const char *name)
{
	return kseg_find_word(name, query->names, query->ncolumns);
}

int
kseg_query_array(const KsegQuery *query, const char *const *keys, int nkeys)
{
	int			found = -1;

	for (int i = 0; i < query->ncolumns; i++)
	{
		if (kseg_find_word(query->names[i], keys, nkeys) >= 0)
			continue;
		if (found >= 0)
			return -1;
		found = i;
	}
	return found >= 0 && query->types[found] == FLOAT8ARRAYOID ? found : -1;
}

void
kseg_key_init(KsegKey *key, const KsegQuery *query, const char *name,
			  MemoryContext context)
{
	Oid			output;
	bool		is_varlena;

	key->column = kseg_query_column(query, name);
	if (key->column < 0)
		kseg_error_query_column("the key", name, query->ncolumns,
								query->names);
	getTypeOutputInfo(query->types[key->column], &output, &is_varlena);
	fmgr_info_cxt(output, &key->output, context);
}

Datum
kseg_key_text(KsegKey *key, const Datum *values, const bool *nulls,
			  bool *is_null)
{
	*is_null = nulls[key->column];
	if (*is_null)
		return (Datum) 0;
	return CStringGetTextDatum(OutputFunctionCall(&key->output,
												  values[key->column]));
}

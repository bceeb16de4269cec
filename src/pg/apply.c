/*
 * apply.c
 *		kseg_apply(): writes the segment of every row back to its table.
 *
 * One UPDATE does it, with kseg_changed() as its condition: the table is read
 * once, without a join, and only rows that change are written.  It runs as
 * the caller, so privileges, row-level security, triggers and constraints
 * apply as to any UPDATE.
 *
 * What becomes SQL text: names of the target and its columns, quoted, and the
 * caller's own expressions.  Nothing that the model says is ever part of it;
 * a model may come from somebody else.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "parser/parser.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"
#include "errors.h"
#include "kseg.h"
#include "pushdown.h"
#include "progress.h"

PG_FUNCTION_INFO_V1(kseg_apply);
PG_FUNCTION_INFO_V1(kseg_changed);
PG_FUNCTION_INFO_V1(kseg_assigned);

/* ---- running UPDATEs, and what they call ---- */

/*
 * A kseg_apply() whose UPDATE is running.  A trigger of the table may run
 * another one, so there is a stack of them; the functions that the UPDATE
 * calls are told by number which one they belong to.  Numbers are not used
 * again: one that is not on the stack is over, or was made up.
 */
typedef struct ApplyRun
{
	/* set once */
	int64		number;
	struct ApplyRun *outer;
	Oid			segment_type;	/* of the column: int2, int4 or int8 */
	bool		uses_assigned;	/* the UPDATE calls kseg_assigned() */
	MemoryContext executor;		/* of the UPDATE itself; NULL before a row */

	/* changes while running */
	int64		scored;
	int64		unassigned;
	int64		changed;		/* for whoever watches; some may be found
								 * twice */
	int64		expected;		/* rows; 0: not known */
	int			segment;		/* of the last row seen, 0 for none */
	bool		is_seen;		/* kseg_assigned() may ask for it */
	bool		is_awaited;		/* kseg_assigned() has to ask for it */
} ApplyRun;

static ApplyRun *running = NULL;
static int64 last_number = 0;

static inline ApplyRun *
find_run(int64 number)
{
	ApplyRun   *run = running;

	while (run != NULL && run->number != number)
		run = run->outer;
	return run;
}

/*
 * Count a row as one with or without a segment.
 *
 * A row that somebody else updates meanwhile is looked at again, by an
 * executor of its own (EvalPlanQual), right after the UPDATE's executor found
 * its old version.  It replaces that one in the counts.
 */
static inline void
count_row(ApplyRun *run, MemoryContext executor, int segment)
{
	if (unlikely(run->executor == NULL))
		run->executor = executor;
	if (unlikely(run->executor != executor))
	{
		if (run->segment != 0)
			run->scored--;
		else
			run->unassigned--;
	}

	if (segment != 0)
		run->scored++;
	else
		run->unassigned++;
	run->segment = segment;
	run->is_seen = true;
}

static pg_noinline void
tell_rows(const ApplyRun *run)
{
	kseg_progress_rows(run->scored + run->unassigned, run->expected);
	kseg_progress_changed(run->changed);
}

static inline int64
read_segment(Datum value, Oid type)
{
	switch (type)
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		default:
			return DatumGetInt64(value);
	}
}

#define CHANGED_RUN		1
#define CHANGED_SEGMENT	2
#define CHANGED_FEATURE	3

/*
 * kseg_changed(model, run, segment, features...): would the model give the
 * row another segment than it has?  The segment is one of the "any" arguments
 * so that it comes without a cast.
 */
Datum
kseg_changed(PG_FUNCTION_ARGS)
{
	ApplyRun   *run = NULL;
	KsegScorer *scorer;
	int			segment;
	bool		is_changed;

	if (!PG_ARGISNULL(CHANGED_RUN))
		run = find_run(PG_GETARG_INT64(CHANGED_RUN));
	if (run == NULL || PG_ARGISNULL(0))
		kseg_error_apply_only("kseg_changed");
	if (unlikely(run->is_awaited))
		elog(ERROR, "kseg_apply() met a plan that does not go row by row");

	/* this also makes sure that there are so many arguments */
	scorer = kseg_scorer_get(fcinfo, CHANGED_FEATURE);
	segment = kseg_scorer_predict(scorer, &fcinfo->args[CHANGED_FEATURE]);
	count_row(run, fcinfo->flinfo->fn_mcxt, segment);

	if (PG_ARGISNULL(CHANGED_SEGMENT))
		is_changed = segment != 0;
	else
		is_changed = segment == 0 ||
			segment != read_segment(PG_GETARG_DATUM(CHANGED_SEGMENT),
									run->segment_type);
	run->is_awaited = is_changed && run->uses_assigned;
	run->changed += is_changed;
	if (unlikely(kseg_progress_due(run->scored + run->unassigned)))
		tell_rows(run);
	PG_RETURN_BOOL(is_changed);
}

/*
 * kseg_assigned(run): the segment of the row that kseg_changed() saw last, so
 * that it need not be computed again.  See goes_row_by_row().
 */
Datum
kseg_assigned(PG_FUNCTION_ARGS)
{
	ApplyRun   *run = PG_ARGISNULL(0) ? NULL : find_run(PG_GETARG_INT64(0));

	if (run == NULL || !run->uses_assigned)
		kseg_error_apply_only("kseg_assigned");
	if (!run->is_seen)
		elog(ERROR, "kseg_apply() met a plan that does not go row by row");

	run->is_seen = false;
	run->is_awaited = false;
	if (run->segment == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT32(run->segment);
}

/* ---- the target ---- */

typedef struct ApplyTarget
{
	Oid			relation;
	const char *name;			/* qualified and quoted */
	const char *segment;		/* column, quoted */
	Oid			segment_type;	/* domains looked through */
	const char *distance;		/* column, quoted; NULL when not asked for */
	const char *distance_type;	/* as in a cast */
	bool		is_plain;		/* see goes_row_by_row() */
	bool		is_distributed; /* see make_distributed_update() */
} ApplyTarget;

/* A plain column of the relation, or an error. */
static AttrNumber
find_column(Oid relation, const char *name)
{
	AttrNumber	column = get_attnum(relation, name);

	if (column <= 0)
		kseg_error_target_column(get_rel_name(relation), name);
	return column;
}

/* The UPDATE will check this again; here it is what allows us to lock. */
static void
check_privilege(Oid relation, AttrNumber column)
{
	if (pg_class_aclcheck(relation, GetUserId(), ACL_UPDATE) != ACLCHECK_OK &&
		pg_attribute_aclcheck(relation, column, GetUserId(),
							  ACL_UPDATE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV,
					   get_relkind_objtype(get_rel_relkind(relation)),
					   get_rel_name(relation));
}

static Oid
check_segment_type(const char *column, Oid type)
{
	Oid			base = getBaseType(type);

	if (base != INT2OID && base != INT4OID && base != INT8OID)
		kseg_error_segment_type(column, type);
	return base;
}

static void
check_distance_type(const char *column, Oid type)
{
	Oid			base = getBaseType(type);

	if (base != FLOAT4OID && base != FLOAT8OID && base != NUMERICOID)
		kseg_error_distance_type(column, type);
}

/*
 * Does an UPDATE of the target check the condition of a row and make its new
 * version before it looks at another row?
 *
 * Over tables of our own it is a scan, or several one after the other, with
 * nothing above that could collect rows.  Views, rules, row-level security
 * and foreign tables may make other plans.
 */
static bool
goes_row_by_row(Oid relation)
{
	Relation	rel = relation_open(relation, NoLock);
	bool		result = !rel->rd_rel->relhasrules &&
		!rel->rd_rel->relrowsecurity;
	ListCell   *cell;

	relation_close(rel, NoLock);
	foreach(cell, find_all_inheritors(relation, NoLock, NULL))
	{
		char		relkind = get_rel_relkind(lfirst_oid(cell));

		if (relkind != RELKIND_RELATION &&
			relkind != RELKIND_PARTITIONED_TABLE)
			result = false;
	}
	return result;
}

/* Check and lock the target; the lock is the one that its UPDATE takes. */
static void
open_target(ApplyTarget *target, Oid relation, const char *segment,
			const char *distance)
{
	char		relkind = get_rel_relkind(relation);
	const char *schema;
	AttrNumber	column;
	Oid			type;
	Oid			collation;
	int32		typmod;

	if (relkind == '\0')
		kseg_error_target_missing(relation);
	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE &&
		relkind != RELKIND_FOREIGN_TABLE && relkind != RELKIND_VIEW)
		kseg_error_target_kind(get_rel_name(relation), relkind);
	check_privilege(relation, find_column(relation, segment));
	relation_close(relation_open(relation, RowExclusiveLock), NoLock);

	target->relation = relation;
	target->is_distributed = kseg_is_distributed(list_make1_oid(relation),
												 false);
	target->is_plain = relkind != RELKIND_VIEW && goes_row_by_row(relation);
	schema = get_namespace_name(get_rel_namespace(relation));
	target->name = quote_qualified_identifier(schema,
											  get_rel_name(relation));

	/* only now nobody can alter the columns any more */
	column = find_column(relation, segment);
	target->segment_type =
		check_segment_type(segment, get_atttype(relation, column));
	target->segment = quote_identifier(segment);

	target->distance = NULL;
	target->distance_type = NULL;
	if (distance != NULL)
	{
		if (strcmp(distance, segment) == 0)
			kseg_error_same_column(segment);
		column = find_column(relation, distance);
		get_atttypetypmodcoll(relation, column, &type, &typmod, &collation);
		check_distance_type(distance, type);
		target->distance = quote_identifier(distance);
		target->distance_type =
			format_type_extended(type, typmod,
								 FORMAT_TYPE_TYPEMOD_GIVEN |
								 FORMAT_TYPE_FORCE_QUALIFY);
	}
}

/* ---- the features ---- */

/* Features that are columns of the target, by name, quoted. */
static const char **
columns_of_features(const KmModel *model, Oid relation, const char *segment,
					const char *distance)
{
	const char **expressions = palloc(sizeof(char *) * model->nfeatures);

	for (int f = 0; f < model->nfeatures; f++)
	{
		/* system columns have negative numbers */
		if (get_attnum(relation, model->features[f].name) <= 0)
			kseg_error_feature_column(get_rel_name(relation), model, f);
		/* the customers' data would be gone */
		if (strcmp(model->features[f].name, segment) == 0 ||
			(distance != NULL &&
			 strcmp(model->features[f].name, distance) == 0))
			kseg_error_column_is_feature(model->features[f].name);
		expressions[f] = quote_identifier(model->features[f].name);
	}
	return expressions;
}

typedef struct GivenExpression
{
	int			number;			/* in "features", from 1 */
	const char *text;
} GivenExpression;

/* A syntax error is at a place in the expression, not in the whole query. */
static void
locate_syntax_error(void *arg)
{
	GivenExpression *expression = arg;
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(expression->text);
	}
	errcontext("element %d of \"features\"", expression->number);
}

static bool
holds_parameter(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return IsA(node, ParamRef) ||
		raw_expression_tree_walker(node, holds_parameter, context);
}

/*
 * Is the text one expression and nothing else?  What parses as the list and
 * the rest of a SELECT, "1), (2" or "a FROM t", is not.
 */
static bool
is_expression(GivenExpression *expression)
{
	ErrorContextCallback callback;
	List	   *parsed;
	SelectStmt *select;
	SelectStmt *plain;
	ResTarget  *target;

	callback.callback = locate_syntax_error;
	callback.arg = expression;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	parsed = raw_parser(expression->text, RAW_PARSE_PLPGSQL_EXPR);
	error_context_stack = callback.previous;

	select = (SelectStmt *) linitial_node(RawStmt, parsed)->stmt;
	if (!IsA(select, SelectStmt) || list_length(select->targetList) != 1)
		return false;
	target = linitial_node(ResTarget, select->targetList);
	if (target->name != NULL || target->indirection != NIL)
		return false;
	if (IsA(target->val, ColumnRef) &&
		IsA(llast(((ColumnRef *) target->val)->fields), A_Star))
		return false;
	/* $1 and $2 are the UPDATE's own */
	if (holds_parameter(target->val, NULL))
		return false;

	/* with its list taken away, nothing may be left of the SELECT */
	select->targetList = NIL;
	plain = makeNode(SelectStmt);
	plain->limitOption = select->limitOption;
	plain->groupDistinct = select->groupDistinct;
	return equal(select, plain);
}

/*
 * The caller's own expressions.  Each is put on lines of its own, so that a
 * comment at its end cannot swallow what follows.
 */
static const char **
given_expressions(const KmModel *model, ArrayType *features, int *count)
{
	const char **expressions;
	Datum	   *elements;
	bool	   *nulls;

	if (ARR_NDIM(features) > 1)
		kseg_error_features_shape();
	deconstruct_array(features, TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, count);

	/* a float8[] may hold all of them: kseg_predict() will say */
	if (*count != model->nfeatures && *count != 1)
		kseg_error_features_count(model, *count);

	expressions = palloc(sizeof(char *) * *count);
	for (int i = 0; i < *count; i++)
	{
		GivenExpression expression = {.number = i + 1};

		if (nulls[i])
			kseg_error_features_shape();
		expression.text = TextDatumGetCString(elements[i]);
		if (!is_expression(&expression))
			kseg_error_features_expression(i + 1, expression.text);
		expressions[i] = psprintf("(\n%s\n)", expression.text);
	}
	return expressions;
}

/*
 * Beyond what one call can have as arguments, the features go as an array,
 * which only numbers can.
 */
static char *
join_features(const KmModel *model, const char **expressions, int count)
{
	bool		as_array = count > FUNC_MAX_ARGS - CHANGED_FEATURE;
	StringInfoData list;

	initStringInfo(&list);
	if (as_array)
		appendStringInfoString(&list, "ARRAY[");
	for (int i = 0; i < count; i++)
	{
		if (as_array && model->features[i].kind != KM_NUMBER)
			kseg_error_apply_wide(model, i, FUNC_MAX_ARGS - CHANGED_FEATURE);
		appendStringInfo(&list, "%s%s%s", i > 0 ? ", " : "", expressions[i],
						 as_array ? "::pg_catalog.float8" : "");
	}
	if (as_array)
		appendStringInfoChar(&list, ']');
	return list.data;
}

/* ---- the statement ---- */

static char *
make_update(const ApplyTarget *target, Oid schema_id, const char *features)
{
	const char *schema = quote_identifier(get_namespace_name(schema_id));
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s SET %s = ", target->name,
					 target->segment);
	if (target->is_plain)
		appendStringInfo(&sql, "%s.kseg_assigned($2)", schema);
	else
		appendStringInfo(&sql, "%s.kseg_predict($1, %s)", schema, features);
	if (target->distance != NULL)
		appendStringInfo(&sql, ", %s = (%s.kseg_score($1, %s)).distance",
						 target->distance, schema, features);

	appendStringInfo(&sql, " WHERE %s.kseg_changed($1, $2, %s, %s)",
					 schema, target->segment, features);
	/* compared as it would be stored, or rounding would change it forever */
	if (target->distance != NULL)
		appendStringInfo(&sql,
						 " OR %s IS DISTINCT FROM"
						 " (%s.kseg_score($1, %s)).distance::%s",
						 target->distance, schema, features,
						 target->distance_type);
	return sql.data;
}

/*
 * Citus takes no volatile function in an UPDATE of one of its tables, and
 * nobody would be there to count.  So the condition is computed from
 * immutable functions alone, on the shards, and the counts come from a query
 * of their own.
 */
static char *
make_distributed_update(const ApplyTarget *target, Oid schema_id,
						const char *features)
{
	const char *schema = quote_identifier(get_namespace_name(schema_id));
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s SET %s = %s.kseg_predict($1, %s)",
					 target->name, target->segment, schema, features);
	if (target->distance != NULL)
		appendStringInfo(&sql, ", %s = (%s.kseg_score($1, %s)).distance",
						 target->distance, schema, features);
	appendStringInfo(&sql,
					 " WHERE %s IS DISTINCT FROM %s.kseg_predict($1, %s)",
					 target->segment, schema, features);
	if (target->distance != NULL)
		appendStringInfo(&sql,
						 " OR %s IS DISTINCT FROM"
						 " (%s.kseg_score($1, %s)).distance::%s",
						 target->distance, schema, features,
						 target->distance_type);
	return sql.data;
}

static char *
make_count(const ApplyTarget *target, Oid schema_id, const char *features)
{
	const char *schema = quote_identifier(get_namespace_name(schema_id));

	return psprintf("SELECT pg_catalog.count(%s.kseg_predict($1, %s)),"
					" pg_catalog.count(*) FROM %s",
					schema, features, target->name);
}

/* ---- whose functions the statement calls ---- */

typedef struct OwnFunctions
{
	Oid			schema;
	Oid			ids[4];
} OwnFunctions;

static const char *const own_names[] = {
	"kseg_predict", "kseg_score", "kseg_changed", "kseg_assigned"
};

static void
find_own_functions(OwnFunctions *own, Oid schema, Oid model_type)
{
	const Oid	types[][3] = {
		{model_type, ANYOID},
		{model_type, ANYOID},
		{model_type, INT8OID, ANYOID},
		{INT8OID},
	};
	static const int ntypes[] = {2, 2, 3, 1};

	own->schema = schema;
	for (int i = 0; i < (int) lengthof(own_names); i++)
	{
		List	   *name = list_make2(makeString(get_namespace_name(schema)),
									  makeString(pstrdup(own_names[i])));

		own->ids[i] = LookupFuncName(name, ntypes[i], types[i], false);
	}
}

/*
 * Raise if a call of one of our names goes to somebody else's function.
 * Whoever may create functions in our schema could overload kseg_predict()
 * with concrete types, which the parser prefers to VARIADIC "any", and have
 * it run with the caller's rights.
 */
static bool
check_functions(Node *node, void *context)
{
	const OwnFunctions *own = context;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, check_functions, context, 0);
	if (IsA(node, FuncExpr) &&
		get_func_namespace(((FuncExpr *) node)->funcid) == own->schema)
	{
		Oid			id = ((FuncExpr *) node)->funcid;
		const char *name = get_func_name(id);

		for (int i = 0; i < (int) lengthof(own_names); i++)
		{
			if (id != own->ids[i] && strcmp(name, own_names[i]) == 0)
				kseg_error_function_hidden(id);
		}
	}
	return expression_tree_walker(node, check_functions, context);
}

/* ---- running it ---- */

/* Turn a setting off until the GUC level ends. */
static void
set_off(const char *setting)
{
	(void) set_config_option(setting, "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* Run the UPDATE; the counts are in "run", the result is rows changed. */
static int64
run_update(const char *sql, Oid model_type, Datum model,
		   OwnFunctions *own, ApplyRun *run)
{
	Oid			types[] = {model_type, INT8OID};
	Datum		values[2];
	SPIPlanPtr	plan;
	ListCell   *cell;
	int			guc_level;
	int			result;
	int64		changed;

	SPI_connect();
	plan = SPI_prepare(sql, lengthof(types), types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s",
			 SPI_result_code_string(SPI_result));
	foreach(cell, SPI_plan_get_plan_sources(plan))
	{
		CachedPlanSource *source = (CachedPlanSource *) lfirst(cell);

		(void) check_functions((Node *) source->query_list, own);
	}

	guc_level = NewGUCNestLevel();
	/* two at a time that start within a large table would soon deadlock */
	set_off("synchronize_seqscans");
	/* kseg_changed()'s COST is for its place among conditions, not for this */
	set_off("jit");

	run->number = ++last_number;
	run->outer = running;
	values[0] = model;
	values[1] = Int64GetDatum(run->number);

	running = run;
	PG_TRY();
	{
		result = SPI_execute_plan(plan, values, NULL, false, 0);
	}
	PG_FINALLY();
	{
		running = run->outer;
	}
	PG_END_TRY();
	if (result < 0)
		elog(ERROR, "SPI_execute_plan failed: %s",
			 SPI_result_code_string(result));
	changed = (int64) SPI_processed;

	AtEOXact_GUC(true, guc_level);
	SPI_finish();
	return changed;
}

/* How many rows ANALYZE found in a table; 0: not known. */
static int64
count_of_rows(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	double		rows = 0;

	if (HeapTupleIsValid(tuple))
	{
		rows = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
		ReleaseSysCache(tuple);
	}
	return rows > 0 ? (int64) rows : 0;
}

static SPIPlanPtr
prepare_checked(const char *sql, Oid model_type, OwnFunctions *own)
{
	SPIPlanPtr	plan = SPI_prepare(sql, 1, &model_type);
	ListCell   *cell;

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s",
			 SPI_result_code_string(SPI_result));
	foreach(cell, SPI_plan_get_plan_sources(plan))
	{
		CachedPlanSource *source = (CachedPlanSource *) lfirst(cell);

		(void) check_functions((Node *) source->query_list, own);
	}
	return plan;
}

/* The UPDATE of a distributed table, and the counts. */
static int64
run_distributed(const char *update, const char *count, Oid model_type,
				Datum model, OwnFunctions *own, ApplyRun *run)
{
	SPIPlanPtr	plan;
	int64		changed;
	bool		is_null;

	SPI_connect();
	plan = prepare_checked(count, model_type, own);
	if (SPI_execute_plan(plan, &model, NULL, false, 0) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not count the rows to be scored");
	run->scored = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
											  SPI_tuptable->tupdesc, 1,
											  &is_null));
	run->unassigned = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
												  SPI_tuptable->tupdesc, 2,
												  &is_null)) - run->scored;
	plan = prepare_checked(update, model_type, own);
	if (SPI_execute_plan(plan, &model, NULL, false, 0) < 0)
		elog(ERROR, "could not update the distributed table");
	changed = (int64) SPI_processed;
	SPI_finish();
	return changed;
}

static void
check_arguments(FunctionCallInfo fcinfo)
{
	static const char *const names[] = {"model", "target", "segment_column"};

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		if (PG_ARGISNULL(i))
			kseg_error_null_argument(names[i]);
	}
}

Datum
kseg_apply(PG_FUNCTION_ARGS)
{
	ApplyTarget target;
	ApplyRun	run = {0};
	OwnFunctions own;
	KmModel    *model;
	Oid			schema = get_func_namespace(fcinfo->flinfo->fn_oid);
	Oid		   *argument_types;
	const char **expressions;
	int			count;
	char	   *features;
	int64		changed;
	TupleDesc	row_type;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};
	const char *segment;
	const char *distance = NULL;
	KsegProgress *progress;

	check_arguments(fcinfo);
	if (get_call_result_type(fcinfo, NULL, &row_type) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	(void) get_func_signature(fcinfo->flinfo->fn_oid, &argument_types,
							  &count);

	segment = NameStr(*PG_GETARG_NAME(2));
	if (!PG_ARGISNULL(3))
		distance = NameStr(*PG_GETARG_NAME(3));
	open_target(&target, PG_GETARG_OID(1), segment, distance);

	model = kseg_model_open((struct varlena *) PG_GETARG_VARLENA_P(0),
							CurrentMemoryContext);
	/* ids rise, so the last one is the highest */
	if (target.segment_type == INT2OID &&
		kseg_segment_id(model, model->k - 1) > PG_INT16_MAX)
		kseg_error_segment_range(segment,
								 kseg_segment_id(model, model->k - 1));
	count = model->nfeatures;
	if (PG_ARGISNULL(4))
		expressions = columns_of_features(model, target.relation, segment,
										  distance);
	else
		expressions = given_expressions(model, PG_GETARG_ARRAYTYPE_P(4),
										&count);

	features = join_features(model, expressions, count);
	find_own_functions(&own, schema, argument_types[0]);
	run.segment_type = target.segment_type;
	run.uses_assigned = target.is_plain;
	run.expected = count_of_rows(target.relation);
	progress = kseg_progress_start(KSEG_COMMAND_APPLY);
	kseg_progress_phase(KSEG_PHASE_WRITE);
	kseg_progress_k(model->k);
	if (target.is_distributed)
		changed = run_distributed(make_distributed_update(&target, schema,
														  features),
								  make_count(&target, schema, features),
								  argument_types[0], PG_GETARG_DATUM(0), &own,
								  &run);
	else
		changed = run_update(make_update(&target, schema, features),
							 argument_types[0], PG_GETARG_DATUM(0), &own,
							 &run);
	values[1] = Int64GetDatum(changed);
	kseg_progress_end(progress);
	values[0] = Int64GetDatum(run.scored);
	values[2] = Int64GetDatum(run.unassigned);

	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row_type),
													  values, nulls)));
}

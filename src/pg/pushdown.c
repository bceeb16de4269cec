/*
 * pushdown.c
 *		The engine "pushdown": each pass of a fit is an aggregate over the
 *		caller's query, so that whoever runs the query (a distributed engine,
 *		other servers, parallel workers) works on the rows where they are.
 *
 *		SELECT kseg_accum(kseg_point($1, q.c1, q.c2)) FROM (...) AS q (c1, c2)
 *
 * The rows come several times; that they are the same each time is checked as
 * far as their number goes.  On one server they are, since all passes see the
 * calling statement's snapshot.
 */
#include "postgres.h"

#include <math.h>

#include "access/genam.h"
#include "catalog/dependency.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "errors.h"
#include "kseg.h"
#include "pushdown.h"
#include "team.h"

/* what one call can have beside the pass; more columns go as an array */
#define MOST_COLUMNS	(FUNC_MAX_ARGS - 1)

struct KsegPushdown
{
	/* set once */
	MemoryContext context;
	KsegQuery	query;
	List	   *texts;			/* queries that return the rows together */
	bool		is_distributed; /* by an engine of this server */
	const char *schema;			/* of the extension, quoted */
	Oid			schema_id;
	Oid			pass_type;

	/* by kseg_pushdown_columns() */
	bool		is_array;		/* one column, float8[] */
	int			ncolumns;
	const int  *columns;
	bool		is_placed;		/* by a model, in its space */
	KmModel		model;			/* features and how they are scaled */
	KmFeature  *features;		/* the fit's own */
	int			weight_column;
	char	   *sql;

	/* then */
	KsegSurvey *survey;
	KmRemote	remote;
	KsegTeam   *team;			/* may be NULL */
	MemoryContext pass_context; /* of the last pass's state */
	int			npasses;
};

/* ---- what the query reads ---- */

static bool
collect_relations(Node *node, void *context)
{
	List	  **relations = context;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *entry = (RangeTblEntry *) node;

		if (entry->rtekind == RTE_RELATION)
			*relations = list_append_unique_oid(*relations, entry->relid);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, collect_relations, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, collect_relations, context);
}

bool
kseg_is_distributed(List *relations, bool is_sharded)
{
	static const char *const sql =
		"SELECT 1 FROM pg_catalog.pg_dist_partition"
		" WHERE logicalrelid::pg_catalog.oid"
		" OPERATOR(pg_catalog.=) ANY ($1)"
		" AND (NOT $2 OR partmethod"
		" OPERATOR(pg_catalog.=) ANY ('{h,r,a}'::pg_catalog.\"char\"[]))";
	Oid			types[2] = {OIDARRAYOID, BOOLOID};
	Datum		values[2];
	Datum	   *oids;
	int			n = 0;
	ListCell   *cell;
	bool		result;

	if (!OidIsValid(get_extension_oid("citus", true)))
		return false;
	oids = palloc(sizeof(Datum) * Max(list_length(relations), 1));
	foreach(cell, relations)
		oids[n++] = ObjectIdGetDatum(lfirst_oid(cell));
	values[0] = PointerGetDatum(construct_array(oids, n, OIDOID, sizeof(Oid),
												true, TYPALIGN_INT));
	values[1] = BoolGetDatum(is_sharded);
	SPI_connect();
	if (SPI_execute_with_args(sql, 2, types, values, NULL, true, 1) !=
		SPI_OK_SELECT)
		elog(ERROR, "could not read pg_dist_partition");
	result = SPI_processed > 0;
	SPI_finish();
	return result;
}

/* Is one of the query's tables spread over nodes? */
static bool
reads_distributed(Query *query)
{
	List	   *relations = NIL;

	(void) collect_relations((Node *) query, &relations);
	return kseg_is_distributed(relations, true);
}

static bool
samples_anew(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, TableSampleClause))
		return ((TableSampleClause *) node)->repeatable == NULL;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, samples_anew, context, 0);
	return expression_tree_walker(node, samples_anew, context);
}

/* Does the query return the same rows each time, as far as can be seen? */
static bool
is_repeatable(Query *query)
{
	return !contain_volatile_functions((Node *) query) &&
		!samples_anew((Node *) query, NULL);
}

/* ---- opening ---- */

/* The one statement of a text, without what may stand around it. */
static char *
statement_text(const CachedPlanSource *source)
{
	const RawStmt *raw = source->raw_parse_tree;
	const char *from = source->query_string + Max(raw->stmt_location, 0);

	return raw->stmt_len > 0 ? pnstrdup(from, raw->stmt_len) : pstrdup(from);
}

static void
find_extension(KsegPushdown *pushdown)
{
	static const char *const sql =
		"SELECT extnamespace FROM pg_catalog.pg_extension"
		" WHERE extname OPERATOR(pg_catalog.=) 'kseg'";
	bool		is_null;

	if (SPI_execute(sql, true, 1) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not find the extension kseg");
	pushdown->schema_id =
		DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, 1, &is_null));
	pushdown->schema = MemoryContextStrdup(pushdown->context,
										   quote_identifier(get_namespace_name(pushdown->schema_id)));
	pushdown->pass_type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
										  CStringGetDatum("kseg_pass"),
										  ObjectIdGetDatum(pushdown->schema_id));
	if (!OidIsValid(pushdown->pass_type))
		elog(ERROR, "type kseg_pass does not exist");
}

/* Whether to push the query down; also in how many pieces. */
static bool
is_wanted(KsegPushdown *pushdown, CachedPlanSource *source, KsegEngine engine)
{
	Query	   *query = linitial_node(Query, source->query_list);
	bool		is_shippable = false;
	bool		is_fixed = is_repeatable(query);
	List	   *pieces;
	MemoryContext caller;

	if (engine == KSEG_ENGINE_PUSHDOWN && !is_fixed)
		kseg_error_pushdown_volatile();
	if (!is_fixed)
		return false;
	caller = MemoryContextSwitchTo(pushdown->context);
	pieces = kseg_split_query(query, &is_shippable);
	if (pieces == NIL)
		pieces = list_make1(statement_text(source));
	pushdown->texts = pieces;
	MemoryContextSwitchTo(caller);
	pushdown->is_distributed = reads_distributed(query);
	return engine == KSEG_ENGINE_PUSHDOWN || is_shippable ||
		pushdown->is_distributed;
}

KsegPushdown *
kseg_pushdown_open(const char *text, KsegEngine engine)
{
	KsegPushdown *pushdown;
	SPIPlanPtr	plan;
	CachedPlanSource *source;
	MemoryContext caller;
	bool		wanted;

	/* a query of local tables is not to be analysed twice for nothing */
	if (engine == KSEG_ENGINE_MEMORY ||
		(engine == KSEG_ENGINE_AUTO &&
		 !OidIsValid(get_extension_oid("citus", true)) &&
		 !OidIsValid(get_extension_oid("postgres_fdw", true))))
		return NULL;

	pushdown = palloc0(sizeof(KsegPushdown));
	pushdown->context = CurrentMemoryContext;
	SPI_connect();
	plan = SPI_prepare_cursor(text, 0, NULL, CURSOR_OPT_PARALLEL_OK);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed: %s",
			 SPI_result_code_string(SPI_result));
	source = kseg_query_check(plan);
	wanted = is_wanted(pushdown, source, engine);
	if (wanted)
	{
		find_extension(pushdown);
		caller = MemoryContextSwitchTo(pushdown->context);
		kseg_query_describe(&pushdown->query, source->resultDesc);
		MemoryContextSwitchTo(caller);
	}
	SPI_finish();
	return wanted ? pushdown : NULL;
}

const KsegQuery *
kseg_pushdown_query(const KsegPushdown *pushdown)
{
	return &pushdown->query;
}

/* ---- the statement ---- */

/* c1, c2, ...: whatever columns are called, and whether they are twice */
static void
append_rows(StringInfo sql, const KsegPushdown *pushdown, const char *text)
{
	/* a comment at the end of the text must not swallow what follows */
	appendStringInfo(sql, " FROM (\n%s\n) AS q (", text);
	for (int i = 0; i < pushdown->query.ncolumns; i++)
		appendStringInfo(sql, "%sc%d", i > 0 ? ", " : "", i + 1);
	appendStringInfoChar(sql, ')');
}

static void
append_point(StringInfo sql, const KsegPushdown *pushdown)
{
	bool		as_array = pushdown->ncolumns > MOST_COLUMNS;

	if (pushdown->is_array)
	{
		appendStringInfo(sql, "%s.kseg_point($1, q.c1)", pushdown->schema);
		return;
	}
	appendStringInfo(sql, "%s.kseg_point($1, %s", pushdown->schema,
					 as_array ? "ARRAY[" : "");
	for (int c = 0; c < pushdown->ncolumns; c++)
		appendStringInfo(sql, "%sq.c%d%s", c > 0 ? ", " : "",
						 pushdown->columns[c] + 1,
						 as_array ? "::pg_catalog.float8" : "");
	appendStringInfoString(sql, as_array ? "])" : ")");
}

static void
append_accum(StringInfo sql, const KsegPushdown *pushdown, const char *text)
{
	appendStringInfo(sql, "SELECT %s.kseg_accum(", pushdown->schema);
	append_point(sql, pushdown);
	appendStringInfoChar(sql, ')');
	append_rows(sql, pushdown, text);
}

static char *
make_statement(const KsegPushdown *pushdown)
{
	StringInfoData sql;
	ListCell   *cell;

	initStringInfo(&sql);
	if (list_length(pushdown->texts) == 1)
	{
		append_accum(&sql, pushdown, linitial(pushdown->texts));
		return sql.data;
	}
	appendStringInfo(&sql, "SELECT %s.kseg_merge(p.s) FROM (",
					 pushdown->schema);
	foreach(cell, pushdown->texts)
	{
		if (cell != list_head(pushdown->texts))
			appendStringInfoString(&sql, "\nUNION ALL ");
		append_accum(&sql, pushdown, lfirst(cell));
	}
	appendStringInfoString(&sql, ") AS p (s)");
	return sql.data;
}

/* ---- running it ---- */

/*
 * Raise if somebody else's function would be called instead of ours: see
 * check_functions() in apply.c.
 */
static bool
check_functions(Node *node, void *context)
{
	const KsegPushdown *pushdown = context;
	Oid			function = InvalidOid;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, check_functions, context, 0);
	if (IsA(node, FuncExpr))
		function = ((FuncExpr *) node)->funcid;
	else if (IsA(node, Aggref))
		function = ((Aggref *) node)->aggfnoid;
	if (OidIsValid(function) &&
		get_func_namespace(function) == pushdown->schema_id)
	{
		const char *name = get_func_name(function);

		if ((strcmp(name, "kseg_point") == 0 ||
			 strcmp(name, "kseg_accum") == 0 ||
			 strcmp(name, "kseg_merge") == 0) &&
			getExtensionOfObject(ProcedureRelationId, function) !=
			get_extension_oid("kseg", false))
			kseg_error_function_hidden(function);
	}
	return expression_tree_walker(node, check_functions, context);
}

/*
 * A planner that knew the pass would compute the kseg_point of a query whose
 * columns are all constants, and whoever gets that (a worker, another server)
 * has never met the pass.  Distributed engines need to know all parameters.
 */
static int
plan_options(const KsegPushdown *pushdown)
{
	return CURSOR_OPT_PARALLEL_OK |
		(pushdown->is_distributed ? 0 : CURSOR_OPT_GENERIC_PLAN);
}

/* Run the statement; the state is copied into the pass's context, 0 if NULL. */
static Datum
run_statement(KsegPushdown *pushdown, struct varlena *pass)
{
	Datum		values[1] = {PointerGetDatum(pass)};
	MemoryContext caller;
	SPIPlanPtr	plan;
	ListCell   *cell;
	int			level;
	Datum		state;
	bool		is_null;

	SPI_connect();
	plan = SPI_prepare_cursor(pushdown->sql, 1, &pushdown->pass_type,
							  plan_options(pushdown));
	if (plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed: %s",
			 SPI_result_code_string(SPI_result));
	foreach(cell, SPI_plan_get_plan_sources(plan))
		(void) check_functions((Node *) ((CachedPlanSource *) lfirst(cell))->query_list,
							   pushdown);

	/* compiling what runs for a fraction of a second would double it */
	level = NewGUCNestLevel();
	(void) set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	if (SPI_execute_plan(plan, values, NULL, true, 0) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "a pass did not return one row");
	AtEOXact_GUC(true, level);

	state = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
						  &is_null);
	caller = MemoryContextSwitchTo(pushdown->pass_context);
	state = is_null ? (Datum) 0 : PointerGetDatum(PG_DETOAST_DATUM_COPY(state));
	MemoryContextSwitchTo(caller);
	SPI_finish();
	return state;
}

/* Run a pass; NULL when there is no row. */
static KsegState *
run_pass(KsegPushdown *pushdown, KmPass *pass)
{
	instr_time	started;
	struct varlena *value;
	KsegState  *state;
	Datum		merged;
	MemoryContext caller;

	INSTR_TIME_SET_CURRENT(started);
	if (pushdown->pass_context == NULL)
		pushdown->pass_context = AllocSetContextCreate(pushdown->context,
													   "kseg pass",
													   ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(pushdown->pass_context);
	caller = MemoryContextSwitchTo(pushdown->pass_context);
	pass->model = &pushdown->model;
	pass->weight_argument = pushdown->weight_column;
	pass->encoding = GetDatabaseEncoding();
	value = kseg_pass_make(pass);
	kseg_pass_remember(value);
	merged = run_statement(pushdown, value);
	state = NULL;
	if (merged != (Datum) 0)
	{
		state = kseg_state_create(pushdown->pass_context,
								  kseg_pass_id(value));
		kseg_state_merge(state, merged);
	}
	MemoryContextSwitchTo(caller);
	pushdown->npasses++;
	ereport(DEBUG1,
			(errmsg_internal("kseg: pass %d (%s) sent %zu bytes, got %zu bytes, in %.1f ms",
							 pushdown->npasses, km_pass_name(pass),
							 VARSIZE_ANY(value), merged == (Datum) 0 ? (Size) 0 :
							 VARSIZE_ANY(DatumGetPointer(merged)),
							 kseg_lap(&started))));
	return state;
}

/* ---- what the passes are about ---- */

static int
first_length(const KsegPushdown *pushdown, const char *text)
{
	StringInfoData sql;
	int			length = 0;
	bool		is_null;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.array_length(q.c1, 1)");
	append_rows(&sql, pushdown, text);
	appendStringInfoString(&sql, " WHERE q.c1 IS NOT NULL LIMIT 1");
	SPI_connect();
	if (SPI_execute(sql.data, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read the first row");
	if (SPI_processed > 0)
	{
		length = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0],
											 SPI_tuptable->tupdesc, 1,
											 &is_null));
		if (is_null)
			kseg_error_no_features();
	}
	SPI_finish();
	return length;
}

int
kseg_pushdown_length(KsegPushdown *pushdown)
{
	int			length = 0;
	ListCell   *cell;

	/* a partition may be empty */
	foreach(cell, pushdown->texts)
	{
		if (length == 0)
			length = first_length(pushdown, lfirst(cell));
	}
	return length;
}

void
kseg_pushdown_columns(KsegPushdown *pushdown, bool is_array, int ncolumns,
					  const int *columns, int nfeatures, KmFeature *features,
					  int weight_column, const KmOptions *options)
{
	MemoryContext caller = MemoryContextSwitchTo(pushdown->context);
	KmFeature  *told = palloc0(sizeof(KmFeature) * nfeatures);
	static char *no_category[1] = {""};
	static int64 no_count[1] = {0};

	/* before the statistics are known, a feature is its name and its kind */
	for (int f = 0; f < nfeatures; f++)
	{
		told[f].name = features[f].name;
		told[f].kind = features[f].kind;
		told[f].weight = told[f].factor = told[f].divisor = 1;
		told[f].clip_low = -INFINITY;
		told[f].clip_high = INFINITY;
		if (told[f].kind == KM_CATEGORY)
		{
			told[f].ncategories = 1;
			told[f].categories = no_category;
			told[f].counts = no_count;
		}
		if (!is_array && ncolumns > MOST_COLUMNS &&
			told[f].kind != KM_NUMBER)
			kseg_error_pushdown_wide(told[f].name, MOST_COLUMNS);
	}
	pushdown->is_array = is_array;
	pushdown->ncolumns = ncolumns;
	pushdown->columns = columns;
	pushdown->features = features;
	pushdown->weight_column = weight_column;
	pushdown->model.scale = KM_NONE;
	pushdown->model.distance = options->distance;
	pushdown->model.fill_nulls = options->fill_nulls;
	pushdown->model.nfeatures = nfeatures;
	pushdown->model.width = nfeatures;
	pushdown->model.options = "";
	pushdown->model.features = told;
	pushdown->sql = make_statement(pushdown);
	MemoryContextSwitchTo(caller);
}

void
kseg_pushdown_model(KsegPushdown *pushdown, bool is_array,
					const int *columns, const KmModel *model)
{
	MemoryContext caller = MemoryContextSwitchTo(pushdown->context);

	for (int f = 0; f < model->nfeatures; f++)
	{
		if (!is_array && model->nfeatures > MOST_COLUMNS &&
			model->features[f].kind != KM_NUMBER)
			kseg_error_pushdown_wide(model->features[f].name, MOST_COLUMNS);
	}
	pushdown->is_placed = true;
	pushdown->is_array = is_array;
	pushdown->ncolumns = model->nfeatures;
	pushdown->columns = columns;
	pushdown->weight_column = -1;
	/* what places rows: everything but the segments */
	pushdown->model = *model;
	pushdown->model.k = 0;
	pushdown->model.last_id = 0;
	pushdown->model.options = "";
	pushdown->model.rows = pushdown->model.rows_skipped = 0;
	pushdown->sql = make_statement(pushdown);
	MemoryContextSwitchTo(caller);
}

const KsegSurvey *
kseg_pushdown_survey(KsegPushdown *pushdown)
{
	KmPass		pass = {0};
	KsegState  *state;

	pass.form = pushdown->is_placed ? KM_FORM_COUNT : KM_FORM_SURVEY;
	state = run_pass(pushdown, &pass);

	if (state != NULL)
	{
		/* it has to outlive the other passes */
		MemoryContextSetParent(pushdown->pass_context, pushdown->context);
		pushdown->pass_context = NULL;
		pushdown->survey = kseg_state_survey(state);
	}
	else
		pushdown->survey = kseg_survey_create(pushdown->context,
											  pushdown->model.nfeatures,
											  pushdown->model.features, false);
	return pushdown->survey;
}

/*
 * What other servers are told of the features: their categories, and once
 * they are known, the figures that positions and distances need.
 */
static void
tell_features(KsegPushdown *pushdown, bool is_scaled)
{
	KmModel    *model = &pushdown->model;

	model->width = 0;
	for (int f = 0; f < model->nfeatures; f++)
	{
		KmFeature  *told = &model->features[f];
		const KmFeature *feature = &pushdown->features[f];
		bool		is_category = feature->kind == KM_CATEGORY;

		if (is_scaled)
			*told = *feature;
		told->ncategories = feature->ncategories;
		told->categories = feature->categories;
		if (is_category && feature->counts != NULL)
			told->counts = feature->counts;
		else if (is_category && !is_scaled)
			told->counts = palloc0(sizeof(int64) * feature->ncategories);
		model->width += is_category ? feature->ncategories : 1;
	}
}

static KmStatus
run_job(void *arg, const KmJob *job, const unsigned char **bytes,
		size_t *size)
{
	KsegPushdown *pushdown = arg;
	KmPass		pass = {0};
	KsegState  *state;
	MemoryContext caller = MemoryContextSwitchTo(pushdown->context);
	unsigned char *copy;

	kseg_team_rest(pushdown->team);
	km_job_describe(job, &pass);
	pass.rows = pushdown->survey->rows;
	if (pushdown->is_placed)
		pass.form = KM_FORM_PLACED;
	if (pass.form == KM_FORM_POSITIONS)
	{
		pass.placing = pushdown->remote.placing;
		pass.placing_size = pushdown->remote.placing_size;
	}
	if (!pushdown->is_placed)
		tell_features(pushdown, pass.form == KM_FORM_POSITIONS);
	state = run_pass(pushdown, &pass);
	if (state == NULL ||
		km_part_rows(kseg_state_part(state)) != pushdown->survey->rows)
		kseg_error_rows_changed();
	kseg_check(km_part_state(kseg_state_part(state), size));
	copy = MemoryContextAllocHuge(pushdown->pass_context, Max(*size, 1));
	km_part_write_state(kseg_state_part(state), copy);
	*bytes = copy;
	MemoryContextSwitchTo(caller);
	return KM_OK;
}

KmRemote *
kseg_pushdown_remote(KsegPushdown *pushdown, KsegTeam *team)
{
	pushdown->team = team;
	pushdown->remote.run = run_job;
	pushdown->remote.arg = pushdown;
	return &pushdown->remote;
}

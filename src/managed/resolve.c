/*
 * resolve.c
 *		A query's text, checked, and every name in it qualified.
 *
 * The query of a segmentation runs at night, in another session than the one
 * that registered it.  What its names mean is settled once, where the user
 * can see it: the analysed query is printed with a search_path of nothing but
 * pg_catalog, as pg_dump prints a view.  Its constants are printed the same
 * way, so that '1/2/2024'::date is the same day for everybody.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_relation.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/regproc.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "../pg/errors.h"
#include "managed.h"
#include "messages.h"

/* ---- what only this session has ---- */

static bool
is_temporary_function(Oid function, void *context)
{
	return isAnyTempNamespace(get_func_namespace(function));
}

static bool
is_temporary_type(Oid type)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = isAnyTempNamespace(((Form_pg_type) GETSTRUCT(tuple))->typnamespace);
	ReleaseSysCache(tuple);
	return result;
}

/* Does the query use functions or types of a temporary schema? */
static bool
uses_temporary(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, uses_temporary, context, 0);
	if (check_functions_in_node(node, is_temporary_function, NULL))
		return true;
	switch (nodeTag(node))
	{
		case T_Var:
		case T_Const:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_CoerceToDomain:
		case T_RowExpr:
			if (is_temporary_type(exprType(node)))
				return true;
			break;
		default:
			break;
	}
	return expression_tree_walker(node, uses_temporary, context);
}

/* ---- the functions that it calls ---- */

static bool
add_function(Oid function, void *context)
{
	List	  **functions = context;

	if (get_func_namespace(function) != PG_CATALOG_NAMESPACE)
		*functions = list_append_unique_oid(*functions, function);
	return false;
}

/* An operator that anybody made may call what it likes. */
static void
add_operator(Oid operator, List **functions)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_operator) GETSTRUCT(tuple);
	if (form->oprnamespace != PG_CATALOG_NAMESPACE)
		*functions = list_append_unique_oid(*functions, form->oprcode);
	ReleaseSysCache(tuple);
}

static void
add_operators(Node *node, List **functions)
{
	ListCell   *cell;

	switch (nodeTag(node))
	{
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			/* these three are the same struct */
			add_operator(((OpExpr *) node)->opno, functions);
			break;
		case T_ScalarArrayOpExpr:
			add_operator(((ScalarArrayOpExpr *) node)->opno, functions);
			break;
		case T_RowCompareExpr:
			foreach(cell, ((RowCompareExpr *) node)->opnos)
				add_operator(lfirst_oid(cell), functions);
			break;
		default:
			break;
	}
}

/*
 * Is it a view, expanded?  Servers before 15.14 do not say so in relid; there
 * the view itself comes first in its own range table, as "old".
 */
static bool
is_view(const RangeTblEntry *entry)
{
	RangeTblEntry *first;

	if (entry->rtekind != RTE_SUBQUERY)
		return false;
	if (OidIsValid(entry->relid))
		return true;
	if (entry->subquery->rtable == NIL)
		return false;
	first = linitial_node(RangeTblEntry, entry->subquery->rtable);
	return first->rtekind == RTE_RELATION &&
		first->relkind == RELKIND_VIEW;
}

/*
 * Views and policies are not looked into: they know their functions by more
 * than a name.
 */
static bool
collect_functions(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		ListCell   *cell;

		foreach(cell, query->rtable)
		{
			RangeTblEntry entry = *lfirst_node(RangeTblEntry, cell);

			entry.securityQuals = NIL;
			if (!is_view(&entry))
				(void) range_table_entry_walker(&entry, collect_functions,
												context, 0);
		}
		return query_tree_walker(query, collect_functions, context,
								 QTW_IGNORE_RANGE_TABLE);
	}
	(void) check_functions_in_node(node, add_function, context);
	add_operators(node, context);
	return expression_tree_walker(node, collect_functions, context);
}

static int
compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Their names and argument types, sorted, in the current context. */
static char **
list_functions(Query *query, int *count)
{
	List	   *functions = NIL;
	ListCell   *cell;
	char	  **texts;

	(void) collect_functions((Node *) query, &functions);
	texts = palloc(sizeof(char *) * Max(list_length(functions), 1));
	*count = 0;
	foreach(cell, functions)
		texts[(*count)++] = format_procedure_qualified(lfirst_oid(cell));
	qsort(texts, *count, sizeof(char *), compare_texts);
	return texts;
}

/* ---- the text ---- */

static CachedPlanSource *
analyse(const char *query)
{
	SPIPlanPtr	plan = SPI_prepare(query, 0, NULL);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s",
			 SPI_result_code_string(SPI_result));
	return kseg_query_check(plan);
}

static Query *
analysed(CachedPlanSource *source)
{
	return linitial_node(Query, source->query_list);
}

/*
 * SPI keeps the query with its views expanded, which is not what was written;
 * so it is analysed once more.
 */
static Query *
without_views(CachedPlanSource *source)
{
	return parse_analyze_fixedparams(copyObject(source->raw_parse_tree),
									 source->query_string, NULL, 0, NULL);
}

static void
qualify(KsegResolved *resolved, CachedPlanSource *source,
		MemoryContext context)
{
	Query	   *query = without_views(source);
	MemoryContext caller;
	char	   *text;
	int			guc_level;

	if (isQueryUsingTempRelation(query) ||
		uses_temporary((Node *) query, NULL))
		kseg_error_query_temporary();

	guc_level = NewGUCNestLevel();
	kseg_fix_settings();
	text = pg_get_querydef(query, false);
	AtEOXact_GUC(true, guc_level);

	caller = MemoryContextSwitchTo(context);
	/* it begins as it stands in a view */
	resolved->text = pstrdup(text + strspn(text, " "));
	resolved->functions = list_functions(query, &resolved->nfunctions);
	MemoryContextSwitchTo(caller);
}

/*
 * Raise unless the text has the same columns when it is read at night, and
 * calls the functions that were noted.  It is the same, but for what the
 * server prints without a schema: the "=" of USING and of CASE x WHEN.
 */
static void
check_text(const KsegResolved *resolved)
{
	const KsegQuery *columns = &resolved->columns;
	CachedPlanSource *source;
	KsegQuery	again;
	char	  **functions;
	int			count;
	int			guc_level;

	guc_level = NewGUCNestLevel();
	kseg_fix_settings();
	source = analyse(resolved->text);
	kseg_query_describe(&again, source->resultDesc);
	AtEOXact_GUC(true, guc_level);

	if (again.ncolumns != columns->ncolumns)
		kseg_error_query_differs();
	for (int i = 0; i < columns->ncolumns; i++)
	{
		if (strcmp(again.names[i], columns->names[i]) != 0 ||
			again.types[i] != columns->types[i] ||
			again.typmods[i] != columns->typmods[i] ||
			again.collations[i] != columns->collations[i])
			kseg_error_query_differs();
	}

	functions = list_functions(analysed(source), &count);
	if (count != resolved->nfunctions)
		kseg_error_query_differs();
	for (int i = 0; i < count; i++)
	{
		if (strcmp(functions[i], resolved->functions[i]) != 0)
			kseg_error_query_differs();
	}
}

/* ---- when it runs ---- */

/*
 * A name with its schema still leaves the choice among functions of that name
 * to the parser.  The text has all casts that were implicit, but whoever may
 * create functions in that schema could hide one for any type (anyelement,
 * VARIADIC "any") by one for this type, and have it run with the owner's
 * rights.
 */
static void
check_calls(Query *query, const void *arg)
{
	const KsegSegmentation *s = arg;
	int			count;
	char	  **functions = list_functions(query, &count);

	for (int i = 0; i < count; i++)
	{
		if (kseg_find_word(functions[i],
						   (const char *const *) s->functions,
						   s->nfunctions) < 0)
			kseg_error_query_captured(s->name, functions[i]);
	}
}

/* Around the query there is nothing that a name alone leads to. */
static void
check_calls_within(Query *query, const void *arg)
{
	ListCell   *cell;

	foreach(cell, query->rtable)
	{
		RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);

		if (entry->rtekind == RTE_SUBQUERY)
			check_calls(entry->subquery, arg);
	}
}

KsegGuard
kseg_guard(const KsegSegmentation *s, bool is_within)
{
	KsegGuard	guard = {
		.before = kseg_fix_settings,
		.check = is_within ? check_calls_within : check_calls,
		.arg = s
	};

	return guard;
}

void
kseg_resolved_check(const KsegSegmentation *s)
{
	SPI_connect();
	check_calls(analysed(analyse(s->resolved)), s);
	SPI_finish();
	/* literals of the owner's types run functions, which may change it */
	kseg_fix_settings();
}

/* ---- the key ---- */

static int
find_key(const KsegQuery *columns, const char *name)
{
	int			column = kseg_query_column(columns, name);

	if (column < 0)
		kseg_error_query_column("the key", name, columns->ncolumns,
								columns->names);
	return column;
}

/*
 * A column's name as it is, which may hold anything; else a list as SQL would
 * read it.
 */
static void
find_keys(KsegResolved *resolved, const char *key)
{
	const KsegQuery *columns = &resolved->columns;
	List	   *names;
	ListCell   *cell;

	if (kseg_query_column(columns, key) >= 0)
	{
		resolved->nkeys = 1;
		resolved->keys = palloc(sizeof(int));
		resolved->keys[0] = kseg_query_column(columns, key);
		return;
	}

	if (!SplitIdentifierString(pstrdup(key), ',', &names) || names == NIL)
		kseg_error_key_list(key, columns);
	resolved->keys = palloc(sizeof(int) * list_length(names));
	foreach(cell, names)
	{
		int			column = find_key(columns, lfirst(cell));

		for (int i = 0; i < resolved->nkeys; i++)
		{
			if (resolved->keys[i] == column)
				kseg_error_key_repeated(columns->names[column]);
		}
		resolved->keys[resolved->nkeys++] = column;
	}
}

/* ---- the whole ---- */

KsegResolved *
kseg_resolve(const char *query, const char *key)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext spi;
	KsegResolved *resolved = palloc0(sizeof(KsegResolved));
	CachedPlanSource *source;

	SPI_connect();
	source = analyse(query);

	spi = MemoryContextSwitchTo(caller);
	kseg_query_describe(&resolved->columns, source->resultDesc);
	MemoryContextSwitchTo(spi);
	for (int i = 0; i < resolved->columns.ncolumns; i++)
	{
		/* the first of them still has the name that was given */
		if (resolved->columns.is_repeated[i])
			kseg_error_query_repeated(resolved->columns.names[i]);
	}

	qualify(resolved, source, caller);
	check_text(resolved);
	SPI_finish();

	if (key != NULL)
	{
		find_keys(resolved, key);
		if (resolved->nkeys == resolved->columns.ncolumns)
			kseg_error_query_no_features();
	}
	return resolved;
}

/* ---- SQL of our own ---- */

char *
kseg_sql_equal(Oid operator, const char *left, const char *right)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	name = psprintf("OPERATOR(%s.%s)",
					quote_identifier(get_namespace_name(form->oprnamespace)),
					NameStr(form->oprname));
	if (form->oprnamespace != PG_CATALOG_NAMESPACE)
	{
		left = psprintf("(%s)::%s", left,
						format_type_be_qualified(form->oprleft));
		right = psprintf("(%s)::%s", right,
						 format_type_be_qualified(form->oprright));
	}
	ReleaseSysCache(tuple);
	return psprintf("%s %s %s", left, name, right);
}

char *
kseg_features_query(const KsegSegmentation *s)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext spi;
	KsegQuery	columns;
	StringInfoData list;
	char	   *text;

	SPI_connect();
	kseg_query_describe(&columns, analyse(s->resolved)->resultDesc);
	initStringInfo(&list);
	for (int i = 0; i < columns.ncolumns; i++)
	{
		if (kseg_find_word(columns.names[i], (const char *const *) s->keys,
						   s->nkeys) < 0)
			appendStringInfo(&list, "%sq.%s", list.len > 0 ? ", " : "",
							 quote_identifier(columns.names[i]));
	}
	spi = MemoryContextSwitchTo(caller);
	text = psprintf("SELECT %s FROM (%s) AS q", list.data, s->resolved);
	MemoryContextSwitchTo(spi);
	SPI_finish();
	return text;
}

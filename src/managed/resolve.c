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

/* Views are not looked into: they know their functions by more than a name. */
static bool
collect_functions(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, collect_functions, context,
								 0);
	(void) check_functions_in_node(node, add_function, context);
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

static char *
qualify(CachedPlanSource *source)
{
	Query	   *query = without_views(source);
	char	   *text;
	int			guc_level;

	if (isQueryUsingTempRelation(query) ||
		uses_temporary((Node *) query, NULL))
		kseg_error_query_temporary();

	guc_level = NewGUCNestLevel();
	kseg_fix_settings();
	text = pg_get_querydef(query, false);
	AtEOXact_GUC(true, guc_level);
	/* it begins as it stands in a view */
	return text + strspn(text, " ");
}

/*
 * Raise unless the text has the same columns when it is read at night; note
 * the functions that it calls then.
 */
static void
check_text(KsegResolved *resolved, MemoryContext context)
{
	const KsegQuery *columns = &resolved->columns;
	CachedPlanSource *source;
	Query	   *query;
	KsegQuery	again;
	MemoryContext caller;
	int			guc_level;

	guc_level = NewGUCNestLevel();
	kseg_fix_settings();
	source = analyse(resolved->text);
	kseg_query_describe(&again, source->resultDesc);
	query = without_views(source);
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

	caller = MemoryContextSwitchTo(context);
	resolved->functions = list_functions(query, &resolved->nfunctions);
	MemoryContextSwitchTo(caller);
}

/*
 * A name with its schema still leaves the choice among functions of that name
 * to the parser.  The text has all casts that were implicit, but whoever may
 * create functions in that schema could hide one for any type (anyelement,
 * VARIADIC "any") by one for this type, and have it run with the owner's
 * rights.
 */
void
kseg_resolved_check(const KsegSegmentation *s)
{
	char	  **functions;
	int			count;

	SPI_connect();
	functions = list_functions(without_views(analyse(s->resolved)), &count);
	for (int i = 0; i < count; i++)
	{
		if (kseg_find_word(functions[i],
						   (const char *const *) s->functions,
						   s->nfunctions) < 0)
			kseg_error_query_captured(s->name, functions[i]);
	}
	SPI_finish();
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

	resolved->text = MemoryContextStrdup(caller, qualify(source));
	check_text(resolved, caller);
	SPI_finish();

	if (key != NULL)
	{
		find_keys(resolved, key);
		if (resolved->nkeys == resolved->columns.ncolumns)
			kseg_error_query_no_features();
	}
	return resolved;
}

char *
kseg_features_query(const KsegSegmentation *s)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext spi;
	KsegQuery	columns;
	StringInfoData list;
	char	   *text;

	kseg_resolved_check(s);
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

char *
kseg_print_operator(Oid operator)
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
	ReleaseSysCache(tuple);
	return name;
}

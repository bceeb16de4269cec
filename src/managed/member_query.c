/*
 * member_query.c
 *		The two queries that a night's customers are read by.
 *
 * A query over the target alone has both sides in one row: then the segment
 * is read along with the query, and those gone are the rows that its WHERE
 * does not let through (direct).  For any other query the target's rows are
 * read apart, and the two meet by key.
 *
 * Queries are edited as trees and printed again: names in a text would have to
 * be found by a parser of our own.  The printed text speaks of the tables as
 * the search_path in force makes it, which is that of the owner's work.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "parser/parser.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#include "../pg/errors.h"
#include "members.h"
#include "messages.h"

/* What the query is when it is analysed. */
typedef struct Analysed
{
	const KsegMemberTarget *target;
	bool		owns_target;
	Query	   *query;
	List	   *columns;		/* of the result */
	int		   *keys;			/* the key's columns among them */
} Analysed;

/* ---- the query as a tree ---- */

static Query *
analyse(const char *text)
{
	List	   *raw = raw_parser(text, RAW_PARSE_DEFAULT);

	if (list_length(raw) != 1)
		elog(ERROR, "a registered query is not one statement");
	return parse_analyze_fixedparams(linitial_node(RawStmt, raw), text, NULL,
									 0, NULL);
}

static char *
print_query(Query *query)
{
	/* what was analysed may have run functions, which may change settings */
	kseg_fix_settings();
	/* printing locks, and changes what it prints */
	return pg_get_querydef(copyObject(query), false);
}

/* The order of the rows is of no use, but sorting them costs. */
static void
drop_order(Query *query)
{
	if (query->limitCount == NULL && query->limitOffset == NULL &&
		query->distinctClause == NIL)
		query->sortClause = NIL;
}

/* Columns of the result, without those that are only sorted by. */
static List *
result_columns(Query *query)
{
	List	   *columns = NIL;
	ListCell   *cell;

	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (!entry->resjunk)
			columns = lappend(columns, entry);
	}
	return columns;
}

/* Where the key's columns are; raises when one is not there. */
static void
find_keys(Analysed *analysed)
{
	int			ncolumns = list_length(analysed->columns);
	int			nkeys = analysed->target->nkeys;
	const char **names = palloc(sizeof(char *) * Max(ncolumns, 1));

	for (int i = 0; i < ncolumns; i++)
		names[i] = list_nth_node(TargetEntry, analysed->columns, i)->resname;

	analysed->keys = palloc(sizeof(int) * nkeys);
	for (int k = 0; k < nkeys; k++)
	{
		int			i = 0;

		while (i < ncolumns && strcmp(names[i], analysed->target->keys[k]) != 0)
			i++;
		if (i == ncolumns)
			kseg_error_query_column("the key", analysed->target->keys[k],
									ncolumns, names);
		analysed->keys[k] = i;
	}
}

static TargetEntry *
key_entry(const Analysed *analysed, int k)
{
	return list_nth_node(TargetEntry, analysed->columns, analysed->keys[k]);
}

/* ---- the direct path ---- */

/* Does the query read the target and nothing else? */
static bool
reads_target_alone(const KsegMemberTarget *target, const Query *query)
{
	RangeTblEntry *entry;
	Node	   *from;

	if (list_length(query->rtable) != 1 || query->jointree == NULL ||
		list_length(query->jointree->fromlist) != 1)
		return false;
	from = linitial(query->jointree->fromlist);
	entry = linitial_node(RangeTblEntry, query->rtable);
	if (!IsA(from, RangeTblRef) || entry->rtekind != RTE_RELATION ||
		entry->relid != target->relation || entry->tablesample != NULL)
		return false;
	/* ONLY of a partitioned table is empty */
	return entry->inh || !target->is_partitioned;
}

/*
 * Is there one row for each of the target's rows that satisfy the WHERE, and
 * is its key theirs?
 */
static bool
is_direct(const Analysed *analysed)
{
	const KsegMemberTarget *target = analysed->target;
	Query	   *query = analysed->query;

	if (query->commandType != CMD_SELECT || query->setOperations != NULL ||
		query->hasAggs || query->hasWindowFuncs || query->hasTargetSRFs ||
		query->cteList != NIL || query->groupClause != NIL ||
		query->groupingSets != NIL || query->havingQual != NULL ||
		query->distinctClause != NIL || query->limitOffset != NULL ||
		query->limitCount != NULL || query->rowMarks != NIL ||
		!reads_target_alone(target, query))
		return false;

	/*
	 * The WHERE is evaluated twice, so it has to give the same both times.
	 * And a sublink would be a join in the query, but when it is asked where
	 * it is not true, it is evaluated row by row.
	 */
	if (contain_volatile_functions(query->jointree->quals) ||
		checkExprHasSubLink(query->jointree->quals))
		return false;

	for (int k = 0; k < target->nkeys; k++)
	{
		Var		   *var = (Var *) key_entry(analysed, k)->expr;

		if (!IsA(var, Var) || var->varno != 1 || var->varlevelsup != 0 ||
			var->varattno != target->key_columns[k])
			return false;
	}
	return true;
}

/* A column of the target, which is the query's only table. */
static Var *
make_var(const KsegMemberTarget *target, AttrNumber column)
{
	Oid			type;
	int32		typmod;
	Oid			collation;

	get_atttypetypmodcoll(target->relation, column, &type, &typmod,
						  &collation);
	return makeVar(1, column, type, typmod, collation, 0);
}

static TargetEntry *
make_column(const KsegMemberTarget *target, AttrNumber column, int number)
{
	/* nobody asks for it by its name, which may be taken */
	return makeTargetEntry((Expr *) make_var(target, column),
						   (AttrNumber) number, pstrdup("kseg"), false);
}

static Expr *
test_segment(const KsegMemberTarget *target)
{
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) make_var(target, target->segment_column);
	test->nulltesttype = IS_NOT_NULL;
	test->location = -1;
	return (Expr *) test;
}

/* A null does not let a row through either. */
static Expr *
test_quals(const Query *query, BoolTestType type)
{
	BooleanTest *test = makeNode(BooleanTest);

	test->arg = copyObject((Expr *) query->jointree->quals);
	test->booltesttype = type;
	test->location = -1;
	return (Expr *) test;
}

/* Could the expression raise an error, or cost anything worth mentioning? */
static bool
is_not_plain(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (!IsA(node, List) && !IsA(node, TargetEntry) && !IsA(node, Var) &&
		!IsA(node, Const) && !IsA(node, RelabelType) &&
		!IsA(node, CoalesceExpr))
		return true;
	return expression_tree_walker(node, is_not_plain, context);
}

/*
 * The query with the segment, and where a WHERE could leave rows out, those as
 * well: in one scan, with a column that tells which they are.  Unless that
 * would compute something of rows that the WHERE may be there to keep it from.
 */
static void
add_segment(KsegMemberQuery *result, const Analysed *analysed)
{
	const KsegMemberTarget *target = analysed->target;
	Query	   *edited = copyObject(analysed->query);
	List	   *columns = copyObject(analysed->columns);

	columns = lappend(columns, make_column(target, target->segment_column,
										   result->ncolumns + 1));
	if (edited->jointree->quals != NULL &&
		!is_not_plain((Node *) analysed->columns, NULL))
	{
		result->tells_gone = true;
		columns = lappend(columns,
						  makeTargetEntry(test_quals(edited, IS_TRUE),
										  (AttrNumber) (result->ncolumns + 2),
										  pstrdup("kseg"), false));
		edited->jointree->quals = (Node *)
			make_orclause(list_make2(edited->jointree->quals,
									 test_segment(target)));
	}
	edited->targetList = columns;
	result->query = print_query(edited);
}

/* Key and segment of the rows that the WHERE does not let through. */
static char *
left_out(const Analysed *analysed)
{
	const KsegMemberTarget *target = analysed->target;
	Query	   *edited = copyObject(analysed->query);
	List	   *columns = NIL;

	for (int k = 0; k < target->nkeys; k++)
		columns = lappend(columns,
						  make_column(target, target->key_columns[k], k + 1));
	edited->targetList =
		lappend(columns, make_column(target, target->segment_column,
									 target->nkeys + 1));
	edited->jointree->quals = (Node *)
		make_andclause(list_make2(test_segment(target),
								  test_quals(edited, IS_NOT_TRUE)));
	return print_query(edited);
}

/* ---- by key ---- */

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

/*
 * The type that two types' keys are compared in: the target's, unless the
 * query's are integers that it may not hold.
 */
static Oid
choose_type(const Analysed *analysed, int k, Oid type)
{
	const KsegMemberTarget *target = analysed->target;
	Oid			theirs = getBaseType(type);
	Oid			ours = getBaseType(target->key_types[k]);

	if (can_coerce_type(1, &theirs, &ours, COERCION_IMPLICIT))
		return target->key_types[k];
	if (!is_integer(ours) || !is_integer(theirs))
		kseg_error_key_types(target->keys[k], type, target->key_types[k],
							 get_rel_name(target->relation));
	/* our own table can only hold what fits, so that has to be an error */
	return analysed->owns_target ? target->key_types[k] : INT8OID;
}

/* The same to all functions of the other type? */
static bool
is_same(Oid type, Oid other)
{
	return IsBinaryCoercible(type, getBaseType(other));
}

static void
append_cast(StringInfo sql, const char *table, const char *column, Oid type)
{
	/* bpchar without its length is no char(1) */
	appendStringInfo(sql, ", %s.%s::%s", table, quote_identifier(column),
					 format_type_extended(getBaseType(type), -1,
										  FORMAT_TYPE_TYPEMOD_GIVEN |
										  FORMAT_TYPE_FORCE_QUALIFY));
}

/* The query, and after its columns the keys that have to be turned. */
static void
add_compared_keys(KsegMemberQuery *result, const Analysed *analysed,
				  const Oid *types)
{
	const KsegMemberTarget *target = analysed->target;
	int			ncolumns = result->ncolumns;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT q.*");
	for (int k = 0; k < target->nkeys; k++)
	{
		Oid			type = exprType((Node *) key_entry(analysed, k)->expr);

		result->query_keys[k] = analysed->keys[k];
		if (is_same(type, types[k]))
			continue;
		result->query_keys[k] = ncolumns++;
		append_cast(&sql, "q", target->keys[k], types[k]);
	}

	result->query = print_query(analysed->query);
	if (ncolumns > result->ncolumns)
	{
		appendStringInfo(&sql, " FROM (\n%s\n) AS q", result->query);
		result->query = sql.data;
		result->is_within = true;
	}
}

/* Key, segment, and the keys that have to be turned, of the target's rows. */
static void
read_target_apart(KsegMemberQuery *result, const KsegMemberTarget *target,
				  const Oid *types)
{
	int			ncolumns = target->nkeys + 1;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int k = 0; k < target->nkeys; k++)
		appendStringInfo(&sql, "t.%s, ", quote_identifier(target->keys[k]));
	appendStringInfo(&sql, "t.%s", quote_identifier(target->segment_name));
	for (int k = 0; k < target->nkeys; k++)
	{
		result->others_keys[k] = k;
		if (types[k] == target->key_types[k])
			continue;
		result->others_keys[k] = ncolumns++;
		append_cast(&sql, "t", target->keys[k], types[k]);
	}
	appendStringInfo(&sql, " FROM %s AS t", target->name);
	result->others = sql.data;
	if (ncolumns > target->nkeys + 1)
		result->compared_types = types;
}

static void
prepare_by_key(KsegMemberQuery *result, const Analysed *analysed)
{
	int			nkeys = analysed->target->nkeys;
	Oid		   *types = palloc(sizeof(Oid) * nkeys);

	for (int k = 0; k < nkeys; k++)
		types[k] = choose_type(analysed, k,
							   exprType((Node *) key_entry(analysed, k)->expr));

	result->query_keys = palloc(sizeof(int) * nkeys);
	result->others_keys = palloc(sizeof(int) * nkeys);
	add_compared_keys(result, analysed, types);
	read_target_apart(result, analysed->target, types);
}

void
kseg_member_query_init(KsegMemberQuery *result,
					   const KsegMemberTarget *target, const char *resolved,
					   bool owns_target)
{
	Analysed	analysed = {.target = target, .owns_target = owns_target};

	analysed.query = analyse(resolved);
	drop_order(analysed.query);
	analysed.columns = result_columns(analysed.query);
	find_keys(&analysed);

	memset(result, 0, sizeof(KsegMemberQuery));
	result->ncolumns = list_length(analysed.columns);
	result->is_direct = is_direct(&analysed);
	if (result->is_direct)
	{
		add_segment(result, &analysed);
		result->query_keys = analysed.keys;
		if (analysed.query->jointree->quals != NULL && !result->tells_gone)
			result->others = left_out(&analysed);
	}
	else
		prepare_by_key(result, &analysed);
	ereport(DEBUG1,
			(errmsg_internal("kseg: customers are read by %s", result->query),
			 result->others == NULL ? 0 :
			 errdetail_internal("And %s by %s",
								result->is_direct ? "those gone" :
								"their segments", result->others)));
}

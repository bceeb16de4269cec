/*
 * names.c
 *		What a call tells of its arguments: names for the features, types.
 *
 * kseg_fit(5, age, ln(monetary)) has the features "age" and "ln(monetary)":
 * what EXPLAIN would print.  The names become part of the model, so they
 * must not depend on the plan.  Where a variable still knows which column of
 * which table the user wrote, that is taken, and not the expression that the
 * plan happens to compute it by.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "nodes/execnodes.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/ruleutils.h"

#include "errors.h"
#include "kseg.h"

/* Four times a column's name.  The rest of a long CASE tells nothing. */
#define NAME_BYTES	(4 * NAMEDATALEN)

typedef struct CallNames
{
	List	   *rtable;			/* of the whole statement */
	List	   *rtable_names;	/* as EXPLAIN calls them */
	List	   *deparse_context;
} CallNames;

static CallNames *
open_names(AggState *aggstate)
{
	CallNames  *names = palloc(sizeof(CallNames));
	PlannedStmt *statement = aggstate->ss.ps.state->es_plannedstmt;
	Bitmapset  *all = NULL;

	names->rtable = statement->rtable;
	if (names->rtable != NIL)
		all = bms_add_range(NULL, 1, list_length(names->rtable));
	names->rtable_names = select_rtable_names_for_explain(names->rtable, all);
	names->deparse_context =
		deparse_context_for_plan_tree(statement, names->rtable_names);
	names->deparse_context =
		set_deparse_context_plan(names->deparse_context,
								 aggstate->ss.ps.plan, NIL);
	return names;
}

/* The entry of the range table that the user meant, or NULL. */
static RangeTblEntry *
written_entry(const CallNames *names, const Var *var)
{
	if (var->varnosyn < 1 || var->varnosyn > list_length(names->rtable) ||
		var->varattnosyn < 1)
		return NULL;
	return rt_fetch(var->varnosyn, names->rtable);
}

/* Variables as they were written, where that is known. */
static Node *
restore_written(Node *node, void *context)
{
	const CallNames *names = context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) copyObject(node);
		RangeTblEntry *entry = written_entry(names, var);

		if (entry == NULL)
			return (Node *) var;
		switch (entry->rtekind)
		{
			case RTE_RELATION:
			case RTE_SUBQUERY:
			case RTE_FUNCTION:
			case RTE_TABLEFUNC:
			case RTE_VALUES:
			case RTE_CTE:
			case RTE_NAMEDTUPLESTORE:
				var->varno = var->varnosyn;
				var->varattno = var->varattnosyn;
				break;
			default:
				/* of a join EXPLAIN knows no columns */
				break;
		}
		return (Node *) var;
	}
	return expression_tree_mutator(node, restore_written, context);
}

/* Do the parentheses at both ends belong together? */
static bool
is_wrapped(const char *text, size_t length)
{
	char		quote = '\0';
	int			depth = 0;

	if (length < 2 || text[0] != '(' || text[length - 1] != ')')
		return false;
	for (size_t i = 0; i < length; i++)
	{
		if (quote != '\0')
		{
			/* a doubled quote closes and opens again */
			if (text[i] == quote)
				quote = '\0';
		}
		else if (text[i] == '\'' || text[i] == '"')
			quote = text[i];
		else if (text[i] == '(')
			depth++;
		else if (text[i] == ')' && --depth == 0 && i < length - 1)
			return false;
	}
	return depth == 0;
}

/* Take the quotes off if the text is one quoted identifier. */
static void
unquote(char *text)
{
	size_t		length = strlen(text);
	size_t		n = 0;

	if (length < 3 || text[0] != '"' || text[length - 1] != '"')
		return;
	for (size_t i = 1; i < length - 1; i++)
	{
		/* a quote inside is doubled; any other ends the identifier */
		if (text[i] == '"' && (++i == length - 1 || text[i] != '"'))
			return;
	}
	for (size_t i = 1; i < length - 1; i++)
	{
		if (text[i] == '"')
			i++;
		text[n++] = text[i];
	}
	text[n] = '\0';
}

/* What EXPLAIN prints, without outer parentheses and quotes. */
static char *
tidy_name(char *text)
{
	size_t		length = strlen(text);

	while (is_wrapped(text, length))
	{
		text[length - 1] = '\0';
		text++;
		length -= 2;
	}
	unquote(text);
	return text;
}

static char *
cut_name(const char *text)
{
	int			length = (int) strlen(text);

	if (length <= NAME_BYTES)
		return pstrdup(text);
	length = pg_mbcliplen(text, length, NAME_BYTES - 3);
	return psprintf("%.*s...", length, text);
}

static char *
argument_name(const CallNames *names, Node *argument, bool with_table)
{
	Var		   *var = (Var *) argument;
	RangeTblEntry *entry;

	if (IsA(argument, Var) &&
		(entry = written_entry(names, var)) != NULL &&
		entry->rtekind == RTE_JOIN)
	{
		char	   *column = strVal(list_nth(entry->eref->colnames,
											 var->varattnosyn - 1));
		char	   *table = list_nth(names->rtable_names, var->varnosyn - 1);

		if (!with_table || table == NULL)
			return cut_name(column);
		return cut_name(psprintf("%s.%s", quote_identifier(table),
								 quote_identifier(column)));
	}
	argument = restore_written(argument, (void *) names);
	return cut_name(tidy_name(deparse_expression(argument,
												 names->deparse_context,
												 with_table, false)));
}

static bool
is_taken(const char **names, int count, const char *name, int except)
{
	for (int i = 0; i < count; i++)
	{
		if (i != except && strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

void
kseg_number_names(const char **names, int count)
{
	for (int i = 1; i < count; i++)
	{
		const char *name = names[i];

		if (!is_taken(names, i, name, i))
			continue;
		for (int n = 2; is_taken(names, count, name, i); n++)
			name = psprintf("%s_%d", names[i], n);
		names[i] = name;
	}
}

/* Does the table tell argument i from another one of the same name? */
static bool
is_told_apart(char **plain, char **full, int count, int i)
{
	for (int j = 0; j < count; j++)
	{
		if (strcmp(plain[i], plain[j]) == 0 && strcmp(full[i], full[j]) != 0)
			return true;
	}
	return false;
}

/*
 * Constants shall print the same in every session, for the models to be the
 * same.  Returns the level that AtEOXact_GUC() goes back to.
 */
int
kseg_print_alike(void)
{
	static const char *const settings[][2] = {
		{"datestyle", "ISO, YMD"},
		{"intervalstyle", "postgres"},
		{"timezone", "UTC"},
		{"extra_float_digits", "1"},
		{"bytea_output", "hex"},
		{"quote_all_identifiers", "off"}
	};
	int			level = NewGUCNestLevel();

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1],
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
								 true, 0, false);
	return level;
}

static const char **
call_names(AggState *aggstate, Aggref *aggref, int first, int count)
{
	CallNames  *names = open_names(aggstate);
	char	  **plain = palloc(sizeof(char *) * count);
	char	  **full = palloc(sizeof(char *) * count);
	const char **result = palloc(sizeof(char *) * count);

	for (int i = 0; i < count; i++)
	{
		TargetEntry *entry = list_nth_node(TargetEntry, aggref->args,
										   first + i);

		plain[i] = argument_name(names, (Node *) entry->expr, false);
		full[i] = argument_name(names, (Node *) entry->expr, true);
	}
	for (int i = 0; i < count; i++)
		result[i] = is_told_apart(plain, full, count, i) ? full[i] : plain[i];
	kseg_number_names(result, count);
	return result;
}

const char **
kseg_numbered_names(int count)
{
	const char **names = palloc(sizeof(char *) * Max(count, 1));

	for (int i = 0; i < count; i++)
		names[i] = psprintf("f%d", i + 1);
	return names;
}

const char **
kseg_argument_names(FunctionCallInfo fcinfo, int first, int count)
{
	Aggref	   *aggref = AggGetAggref(fcinfo);
	MemoryContext result_context = CurrentMemoryContext;
	MemoryContext scratch;
	const char **result;
	const char **names;
	int			level;

	/* a window has no plan to look into */
	if (aggref == NULL)
		return kseg_numbered_names(count);

	scratch = AllocSetContextCreate(CurrentMemoryContext, "kseg names",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(scratch);
	level = kseg_print_alike();
	names = call_names((AggState *) fcinfo->context, aggref, first, count);
	AtEOXact_GUC(true, level);
	MemoryContextSwitchTo(result_context);

	result = palloc(sizeof(char *) * Max(count, 1));
	for (int i = 0; i < count; i++)
		result[i] = pstrdup(names[i]);
	MemoryContextDelete(scratch);
	return result;
}

bool
kseg_is_fixed_argument(FunctionCallInfo fcinfo, int argument)
{
	Aggref	   *aggref = AggGetAggref(fcinfo);
	Expr	   *expr;

	if (aggref == NULL)
		return false;
	expr = list_nth_node(TargetEntry, aggref->args, argument)->expr;
	return IsA(expr, Const) ||
		(IsA(expr, Param) && ((Param *) expr)->paramkind == PARAM_EXTERN);
}

Oid *
kseg_argument_types(FunctionCallInfo fcinfo, int first, bool *is_array)
{
	int			count = PG_NARGS() - first;
	Oid		   *types;

	if (count < 1)
		kseg_error_no_features();
	types = palloc(sizeof(Oid) * count);
	for (int i = 0; i < count; i++)
	{
		types[i] = get_fn_expr_argtype(fcinfo->flinfo, first + i);
		if (!OidIsValid(types[i]))
			elog(ERROR, "could not determine type of argument %d",
				 first + i + 1);
	}
	*is_array = count == 1 && getBaseType(types[0]) == FLOAT8ARRAYOID;
	return types;
}

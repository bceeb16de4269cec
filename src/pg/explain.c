/*
 * explain.c
 *		kseg_explain(): a rule for each segment of a model.
 *
 * The query runs once.  Its rows are kept, rules are found on a sample of
 * them, and what a rule finds is then counted over all rows by the rule
 * exactly as it is printed.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "errors.h"
#include "kseg.h"
#include "progress.h"
#include "rule_text.h"

PG_FUNCTION_INFO_V1(kseg_explain);

/* What a bound that reads more easily may cost in F1. */
#define TOLERANCE		0.001

/* segment, rule, coverage, precision, rows */
#define EXPLAIN_COLUMNS	5

typedef struct ExplainRows
{
	/* set once */
	MemoryContext context;
	const KmModel *model;
	KmRules    *rules;
	KsegRuleColumn *columns;	/* of each feature */
	int		   *positions;		/* of their columns; NULL: a float8[] */
	const char *array_name;		/* quoted, in that form */
	bool		has_long;		/* some categories cannot be named */
	bool	  **can_name;		/* of a feature's categories */

	/* the row being read */
	double	   *values;

	/* known when all rows are read */
	bool		is_based;		/* all arrays start at 1 */
} ExplainRows;

/* ---- reading ---- */

static void
find_names(ExplainRows *rows)
{
	const KmModel *model = rows->model;

	rows->can_name = palloc0(sizeof(bool *) * model->nfeatures);
	for (int f = 0; f < model->nfeatures; f++)
	{
		const KmFeature *feature = &model->features[f];

		rows->can_name[f] = palloc(sizeof(bool) *
								   Max(feature->ncategories, 1));
		for (int v = 0; v < feature->ncategories; v++)
		{
			rows->can_name[f][v] = kseg_rule_can_name(feature->categories[v]);
			rows->has_long |= !rows->can_name[f][v];
		}
	}
}

static void
start_rows(void *arg, const KsegQuery *query, const int *positions)
{
	ExplainRows *rows = arg;
	const KmModel *model = rows->model;
	MemoryContext caller = MemoryContextSwitchTo(rows->context);
	KmKind	   *kinds = palloc(sizeof(KmKind) * model->nfeatures);
	bool	   *usable = palloc(sizeof(bool) * model->nfeatures);

	rows->columns = palloc(sizeof(KsegRuleColumn) * model->nfeatures);
	rows->values = palloc(sizeof(double) * model->nfeatures);
	rows->is_based = true;
	if (positions == NULL)
		rows->array_name = pstrdup(quote_identifier(query->names[0]));
	else
	{
		Size		size = sizeof(int) * model->nfeatures;

		rows->positions = palloc(size);
		memcpy(rows->positions, positions, size);
	}
	for (int f = 0; f < model->nfeatures; f++)
	{
		kinds[f] = model->features[f].kind;
		if (positions == NULL)
		{
			kseg_rule_column_init(&rows->columns[f], rows->array_name,
								  FLOAT8OID, InvalidOid);
			usable[f] = true;
		}
		else
		{
			int			c = positions[f];

			kseg_rule_column_init(&rows->columns[f],
								  quote_identifier(query->names[c]),
								  query->types[c], query->collations[c]);
			usable[f] = !query->is_repeated[c];
		}
	}
	find_names(rows);
	kseg_check(km_rules_create(kseg_host(rows->context), model->nfeatures,
							   kinds, usable, model->k, KM_RULE_SAMPLE,
							   (Size) kseg_work_mem * 1024, &rows->rules));
	MemoryContextSwitchTo(caller);
}

/* Does the array's first element have another number than 1? */
static bool
is_based_elsewhere(Datum value)
{
	ArrayType  *array = DatumGetArrayTypeP(value);

	return ARR_NDIM(array) == 1 && ARR_LBOUND(array)[0] != 1;
}

static void
read_row(void *arg, const KsegScoredRow *row)
{
	ExplainRows *rows = arg;
	const KmModel *model = rows->model;
	const double *values = row->features;
	KmStatus	status;

	if (rows->positions == NULL)
		rows->is_based = rows->is_based &&
			(row->nulls[0] || !is_based_elsewhere(row->values[0]));
	else
	{
		for (int f = 0; f < model->nfeatures; f++)
		{
			int			c = rows->positions[f];

			if (rows->columns[f].type == NUMERICOID && !row->nulls[c])
				kseg_rule_column_see(&rows->columns[f], row->values[c],
									 values[f]);
		}
	}
	if (rows->has_long)
	{
		memcpy(rows->values, values, sizeof(double) * model->nfeatures);
		for (int f = 0; f < model->nfeatures; f++)
		{
			if (model->features[f].kind == KM_CATEGORY && values[f] >= 0 &&
				!rows->can_name[f][(int) values[f]])
				rows->values[f] = -1;
		}
		values = rows->values;
	}

	status = km_rules_add(rows->rules, values,
						  row->has_segment ? row->score.segment : -1);
	if (unlikely(status == KM_OVER_LIMIT))
		kseg_error_work_mem(km_rules_count(rows->rules), model->nfeatures);
	kseg_check(status);
}

/* Arrays may start anywhere; how they do is known only now. */
static void
name_elements(ExplainRows *rows)
{
	for (int f = 0; f < rows->model->nfeatures; f++)
	{
		if (rows->is_based)
			rows->columns[f].text = psprintf("%s[%d]", rows->array_name,
											 f + 1);
		else
			rows->columns[f].text = psprintf("%s[array_lower(%s, 1) + %d]",
											 rows->array_name,
											 rows->array_name, f);
	}
}

/* ---- rules ---- */

/*
 * Move a bound to where it reads easily.  Others may have been moved before:
 * where one has become superfluous, it stays what it is.
 */
static void
ease_bound(const ExplainRows *rows, KmRule *rule, int j, bool is_high)
{
	KmCondition *condition = &rule->conditions[j];
	KsegCutKind kind = rows->columns[condition->feature].cut;
	double	   *bound = is_high ? &condition->high : &condition->low;
	double		below;
	double		above;
	int			length;
	double		cut;

	kseg_check(km_rules_gap(rows->rules, rule, j, is_high, 0, &below,
							&above));
	if (!isfinite(below) || !isfinite(above))
		return;
	cut = kseg_cut_choose(kind, below, above, &length);
	if (length > KSEG_CUT_SHORT)
	{
		int			shorter;
		double		other;

		kseg_check(km_rules_gap(rows->rules, rule, j, is_high, TOLERANCE,
								&below, &above));
		other = kseg_cut_choose(kind, below, above, &shorter);
		if (shorter < length)
			cut = other;
	}
	*bound = cut;
}

static void
ease_rule(const ExplainRows *rows, KmRule *rule)
{
	for (int j = 0; j < rule->nconditions; j++)
	{
		KmCondition *condition = &rule->conditions[j];
		KmKind		kind = rows->columns[condition->feature].kind;

		if (kind == KM_CATEGORY || kind == KM_BOOLEAN)
			continue;
		if (isfinite(condition->low))
			ease_bound(rows, rule, j, false);
		if (isfinite(condition->high))
			ease_bound(rows, rule, j, true);
	}
}

/* A rule for each segment that has rows; returns how many. */
static int
find_rules(const ExplainRows *rows, KmRule *list)
{
	int			n = 0;

	if (km_rules_count(rows->rules) == 0)
		return 0;
	for (int f = 0; f < rows->model->nfeatures; f++)
	{
		if (rows->columns[f].is_beyond)
			km_rules_exclude(rows->rules, f);
	}
	kseg_check(km_rules_sample(rows->rules));
	for (int c = 0; c < rows->model->k; c++)
	{
		if (km_rules_size(rows->rules, c) == 0)
			continue;
		/* one segment: nothing to tell it from, but rows that have none */
		if (rows->model->k == 1)
			list[n] = (KmRule) {.segment = c};
		else
		{
			kseg_check(km_rules_find(rows->rules, c, &list[n]));
			ease_rule(rows, &list[n]);
		}
		n++;
	}
	kseg_check(km_rules_measure(rows->rules, list, n));
	return n;
}

/* rule: NULL for a segment without rows */
static void
put_rule(ReturnSetInfo *result, const ExplainRows *rows, int segment,
		 const KmRule *rule)
{
	int64		size = km_rules_size(rows->rules, segment);
	Datum		values[EXPLAIN_COLUMNS] = {0};
	bool		nulls[EXPLAIN_COLUMNS] = {false, true, true, true, false};

	values[0] = Int32GetDatum(kseg_segment_id(rows->model, segment));
	values[4] = Int64GetDatum(size);
	if (rule != NULL)
	{
		values[1] = CStringGetTextDatum(kseg_rule_print(rule, rows->model,
														rows->columns));
		nulls[1] = false;
		values[2] = Float8GetDatum((double) rule->hits / (double) size);
		nulls[2] = false;
		values[3] = Float8GetDatum((double) rule->hits /
								   (double) rule->found);
		nulls[3] = rule->found == 0;
	}
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
kseg_explain(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ExplainRows rows = {0};
	MemoryContext caller;
	KmRule	   *list;
	int			n;
	int			next = 0;

	if (PG_ARGISNULL(0))
		kseg_error_null_argument("model");
	if (PG_ARGISNULL(1))
		kseg_error_null_argument("query");

	InitMaterializedSRF(fcinfo, 0);
	rows.context = AllocSetContextCreate(CurrentMemoryContext,
										 "kseg explain",
										 ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(rows.context);
	(void) kseg_progress_start(KSEG_COMMAND_EXPLAIN);

	rows.model = kseg_model_open((struct varlena *) PG_GETARG_VARLENA_P(0),
								 rows.context);
	kseg_scored_run(rows.model, text_to_cstring(PG_GETARG_TEXT_PP(1)), NULL,
					NULL, start_rows, read_row, &rows);
	if (rows.positions == NULL)
		name_elements(&rows);

	list = palloc0(sizeof(KmRule) * rows.model->k);
	n = find_rules(&rows, list);
	for (int c = 0; c < rows.model->k; c++)
	{
		bool		has_rule = next < n && list[next].segment == c;

		CHECK_FOR_INTERRUPTS();
		put_rule(result, &rows, c, has_rule ? &list[next++] : NULL);
	}

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(rows.context);
	return (Datum) 0;
}

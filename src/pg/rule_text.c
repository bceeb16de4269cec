/*
 * rule_text.c
 *		Rules as SQL conditions.
 *
 * A rule compares doubles; its text compares values of the column's own
 * type, and has to find the same rows, whatever the session's settings are
 * when it runs.  Where a literal of the type could not promise that, the text
 * compares doubles too.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "decimal.h"
#include "rule_text.h"

/* Longer categories would make a rule that nobody reads. */
#define NAMED_BYTES		200

/* Digits of nearly all cuts. */
#define SHORT_CUT		6

/* Beyond this, bigints are no longer different doubles. */
#define EXACT_INTEGER	0x1p53

void
kseg_rule_column_init(KsegRuleColumn *column, const char *text, Oid type,
					  Oid collation)
{
	KsegColumn	reader;

	memset(column, 0, sizeof(*column));
	/* knows domains and enums; the scorer has refused what it refuses */
	kseg_column_init(&reader, text, type, CurrentMemoryContext);
	column->text = pstrdup(text);
	column->type = reader.type;
	column->kind = reader.kind;
	switch (column->type)
	{
		case DATEOID:
			column->cut = KSEG_CUT_DATE;
			break;
		case TIMESTAMPOID:
			column->cut = KSEG_CUT_TIMESTAMP;
			break;
		case TIMESTAMPTZOID:
			column->cut = KSEG_CUT_TIMESTAMPTZ;
			break;
		case INTERVALOID:
			column->cut = KSEG_CUT_INTERVAL;
			break;
		default:
			column->cut = KSEG_CUT_NUMBER;
	}

	/* categories differ by their bytes; so must the condition see them */
	column->needs_text = column->kind == KM_CATEGORY &&
		column->type != type && get_typtype(column->type) == TYPTYPE_ENUM;
	if (column->kind == KM_CATEGORY && type_is_collatable(column->type))
		column->needs_collation = !OidIsValid(collation) ||
			!get_collation_isdeterministic(collation);
}

/*
 * Numerics that a cast finds too small for a double are read as zero.  No
 * condition can see them so.
 */
static bool
is_too_small(Datum value, double x)
{
	Datum		zero;

	if (x != 0)
		return false;
	zero = DirectFunctionCall1(int4_numeric, Int32GetDatum(0));
	return DatumGetBool(DirectFunctionCall2(numeric_ne, value, zero));
}

/*
 * Decimals of up to 15 digits are as many doubles.  A numeric with more
 * digits stands beside a cut as its double does, unless that double is also
 * the cut's: which takes a cut with many digits, or a value like
 * 70.00000000000000000001.
 */
void
kseg_rule_column_see(KsegRuleColumn *column, Datum value, double x)
{
	if (column->type != NUMERICOID || likely(kseg_numeric_is_short(value)))
		return;
	column->has_long = true;
	if (!column->is_fine)
		column->is_fine = kseg_cut_digits(x) <= SHORT_CUT ||
			fabs(x) < 0x1p-1000;
	column->is_beyond |= is_too_small(value, x);
}

bool
kseg_rule_can_name(const char *category)
{
	return strlen(category) <= NAMED_BYTES;
}

/* Would a literal of the column's own type not do? */
static bool
compares_doubles(const KsegRuleColumn *column, double cut)
{
	switch (column->type)
	{
		case INT8OID:
			return fabs(cut) >= EXACT_INTEGER;
		case NUMERICOID:
			return column->is_fine || kseg_cut_digits(cut) >
				(column->has_long ? SHORT_CUT : DBL_DIG);
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
			return fabs(cut) >= KSEG_CUT_EXACT;
		default:
			return false;
	}
}

static void
print_bound(StringInfo buffer, const KsegRuleColumn *column,
			const char *operator, double cut)
{
	bool		as_double = compares_doubles(column, cut);
	bool		is_interval = column->cut == KSEG_CUT_INTERVAL;

	/*
	 * Intervals compare by months of 30 days, but count in years of 365.25:
	 * the condition has to count.
	 */
	if (is_interval || (as_double && column->cut != KSEG_CUT_NUMBER))
		appendStringInfo(buffer, "extract(epoch FROM %s)", column->text);
	else
		appendStringInfoString(buffer, column->text);
	appendStringInfo(buffer, "%s %s ", as_double ? "::double precision" : "",
					 operator);
	if (as_double)
		kseg_cut_print(buffer, KSEG_CUT_NUMBER, cut);
	else if (is_interval)
	{
		appendStringInfoString(buffer, "extract(epoch FROM interval ");
		kseg_cut_print(buffer, column->cut, cut);
		appendStringInfoChar(buffer, ')');
	}
	else
		kseg_cut_print(buffer, column->cut, cut);
}

static void
print_numbers(StringInfo buffer, const KsegRuleColumn *column,
			  const KmCondition *condition)
{
	if (column->kind == KM_BOOLEAN &&
		(isfinite(condition->low) || isfinite(condition->high)))
	{
		appendStringInfo(buffer, "%s%s",
						 isfinite(condition->low) ? "" : "NOT ",
						 column->text);
		return;
	}
	if (!isfinite(condition->low) && !isfinite(condition->high))
		appendStringInfo(buffer, "%s IS NOT NULL", column->text);
	if (isfinite(condition->low))
		print_bound(buffer, column, ">=", condition->low);
	if (isfinite(condition->low) && isfinite(condition->high))
		appendStringInfoString(buffer, " AND ");
	if (isfinite(condition->high))
		print_bound(buffer, column, "<", condition->high);
}

static void
print_categories(StringInfo buffer, const KsegRuleColumn *column,
				 const KmFeature *feature, const KmCondition *condition)
{
	bool		is_list = condition->nvalues > 1;

	if (condition->nvalues == 0)
	{
		appendStringInfo(buffer, "%s IS NOT NULL", column->text);
		return;
	}
	appendStringInfo(buffer, "%s%s%s %s ", column->text,
					 column->needs_text ? "::text" : "",
					 column->needs_collation ? " COLLATE \"C\"" : "",
					 is_list ? (condition->is_negated ? "NOT IN" : "IN") :
					 (condition->is_negated ? "<>" : "="));
	if (is_list)
		appendStringInfoChar(buffer, '(');
	for (int v = 0; v < condition->nvalues; v++)
	{
		const char *category = feature->categories[condition->values[v]];

		appendStringInfo(buffer, "%s%s", v > 0 ? ", " : "",
						 quote_literal_cstr(category));
	}
	if (is_list)
		appendStringInfoChar(buffer, ')');
}

char *
kseg_rule_print(const KmRule *rule, const KmModel *model,
				const KsegRuleColumn *columns)
{
	StringInfoData buffer;

	if (rule->nconditions == 0)
		return pstrdup("true");
	initStringInfo(&buffer);
	for (int j = 0; j < rule->nconditions; j++)
	{
		const KmCondition *condition = &rule->conditions[j];
		int			f = condition->feature;

		if (j > 0)
			appendStringInfoString(&buffer, " AND ");
		if (columns[f].kind == KM_CATEGORY)
			print_categories(&buffer, &columns[f], &model->features[f],
							 condition);
		else
			print_numbers(&buffer, &columns[f], condition);
	}
	return buffer.data;
}

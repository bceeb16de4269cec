/*
 * point.c
 *		kseg_point(): a row on its way into a pass.
 *
 * It is an aggregate's argument, because engines that split aggregates want
 * one argument of a definite type; the types of columns and the pass are
 * looked at once here, where a function may keep something between calls.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "compat.h"
#include "elements.h"
#include "errors.h"
#include "kseg.h"
#include "state.h"

PG_FUNCTION_INFO_V1(kseg_point);

#define PASS			0
#define FIRST_COLUMN	1

/* What a call keeps between rows. */
typedef struct PointCall
{
	MemoryContext context;		/* of all of it */
	bool		is_fixed;		/* the pass is a constant */
	struct varlena *value;		/* the pass as it came, when it is not */
	const KmModel *model;
	KsegPass   *pass;
	bool		is_survey;		/* skipped rows count */
	bool		has_texts;		/* categories are not known yet */
	bool		takes_unseen;	/* those that are not known have a place */
	bool		fill_nulls;
	bool		has_categories;
	bool		is_array;		/* one argument, float8[] */
	int			ncolumns;		/* or elements of it */
	int			weight_column;	/* -1: none */
	int			nfeatures;
	KsegColumn *columns;
	NullableDatum *elements;	/* of the array at hand */
	double	   *values;			/* of the row at hand */
} PointCall;

static void
check_pass(const KmPass *pass, int ncolumns)
{
	int			nfeatures = pass->model->nfeatures;

	if (ncolumns != nfeatures + (pass->weight_argument >= 0 ? 1 : 0) ||
		pass->weight_argument >= ncolumns)
		kseg_error_point_count(ncolumns, nfeatures);
}

static void
open_columns(PointCall *call, const Oid *types)
{
	int			f = 0;

	call->columns = palloc0(sizeof(KsegColumn) * call->ncolumns);
	for (int c = 0; c < call->ncolumns; c++)
	{
		const char *name = c == call->weight_column ? "row_weight" :
			call->model->features[f].name;

		kseg_column_init(&call->columns[c], name, types[c], call->context);
		if (c == call->weight_column)
			continue;
		if (call->columns[c].kind != call->model->features[f].kind)
			kseg_error_feature_kind(call->model, f, types[c]);
		call->has_categories |= call->columns[c].kind == KM_CATEGORY;
		f++;
	}
}

static PointCall *
open_call(FunctionCallInfo fcinfo, struct varlena *value)
{
	MemoryContext context;
	MemoryContext caller;
	PointCall  *call;
	Oid		   *types;

	context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "kseg point",
									ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(context);
	call = palloc0(sizeof(PointCall));
	call->context = context;
	call->is_fixed = get_fn_expr_arg_stable(fcinfo->flinfo, PASS);
	call->value = palloc(VARSIZE_ANY(value));
	memcpy(call->value, value, VARSIZE_ANY(value));
	call->pass = kseg_pass_open(value);
	call->model = call->pass->pass->model;
	call->is_survey = kseg_pass_is_survey(call->pass);
	call->has_texts = call->pass->pass->form == KM_FORM_SURVEY;
	call->takes_unseen = call->pass->pass->form == KM_FORM_COUNT ||
		call->pass->pass->form == KM_FORM_PLACED;
	call->fill_nulls = call->model->fill_nulls;
	call->weight_column = call->pass->pass->weight_argument;
	call->nfeatures = call->model->nfeatures;

	types = kseg_argument_types(fcinfo, FIRST_COLUMN, &call->is_array);
	call->ncolumns = PG_NARGS() - FIRST_COLUMN;
	if (call->is_array)
	{
		call->ncolumns = call->nfeatures + (call->weight_column >= 0 ? 1 : 0);
		types = palloc(sizeof(Oid) * call->ncolumns);
		for (int c = 0; c < call->ncolumns; c++)
			types[c] = FLOAT8OID;
		call->elements = palloc(sizeof(NullableDatum) * call->ncolumns);
	}
	check_pass(call->pass->pass, call->ncolumns);
	open_columns(call, types);
	if (call->has_categories &&
		call->pass->pass->encoding != GetDatabaseEncoding())
		kseg_error_point_encoding(call->pass->pass->encoding);
	call->values = palloc(sizeof(double) * call->nfeatures);
	kseg_pass_remember(value);
	MemoryContextSwitchTo(caller);
	return call;
}

static PointCall *
get_call(FunctionCallInfo fcinfo)
{
	PointCall  *call = fcinfo->flinfo->fn_extra;
	struct varlena *value;

	if (likely(call != NULL && call->is_fixed))
		return call;
	value = PG_GETARG_VARLENA_P(PASS);
	if (call != NULL && VARSIZE(value) == VARSIZE_ANY(call->value) &&
		memcmp(value, call->value, VARSIZE(value)) == 0)
		return call;
	if (call != NULL)
	{
		fcinfo->flinfo->fn_extra = NULL;
		MemoryContextDelete(call->context);
	}
	call = open_call(fcinfo, value);
	fcinfo->flinfo->fn_extra = call;
	return call;
}

/* ---- a row ---- */

static double
read_weight(const PointCall *call, const NullableDatum *columns)
{
	const NullableDatum *value = &columns[call->weight_column];
	KsegColumn *column = &call->columns[call->weight_column];
	double		weight;

	if (value->isnull)
		return 0;
	weight = kseg_column_read(column, value->value);
	if (weight < 0)
		kseg_error_row_weight_negative(column->name, weight);
	return weight;
}

/* Where the pass has its category; the survey has seen all there are. */
static double
read_category(const PointCall *call, int c, int f, Datum value)
{
	int			length;
	const char *text = kseg_column_text(&call->columns[c], value, &length);
	int			position;

	if (call->has_texts)
		return 0;
	position = km_category_find(&call->model->features[f], text, length);
	if (position < 0 && !call->takes_unseen)
		kseg_error_rows_changed();
	return position;
}

static bool
has_null(const PointCall *call, const NullableDatum *columns)
{
	for (int c = 0; c < call->ncolumns; c++)
	{
		if (columns[c].isnull)
			return true;
	}
	return false;
}

/* The elements of an array as columns; all are null in one that is. */
static const NullableDatum *
spread_array(PointCall *call, const NullableDatum *argument)
{
	ArrayType  *array = NULL;
	KsegElements elements = {0};

	if (!argument->isnull)
	{
		array = DatumGetArrayTypeP(argument->value);
		kseg_elements_open(&elements, array);
		if (elements.length != call->ncolumns)
			kseg_error_array_length(elements.length, call->ncolumns);
	}
	for (int c = 0; c < call->ncolumns; c++)
	{
		float8		value = 0;

		call->elements[c].isnull = array == NULL ||
			!kseg_elements_next(&elements, &value);
		call->elements[c].value = Float8GetDatum(value);
	}
	return call->elements;
}

/* NAN for nulls; skipped: nothing else is of interest */
static void
read_values(PointCall *call, const NullableDatum *columns, bool skipped)
{
	int			f = 0;

	for (int c = 0; c < call->ncolumns; c++)
	{
		if (c == call->weight_column)
			continue;
		if (columns[c].isnull)
			call->values[f] = NAN;
		else if (skipped)
			call->values[f] = 0;
		else if (call->columns[c].kind == KM_CATEGORY)
			call->values[f] = read_category(call, c, f, columns[c].value);
		else
			call->values[f] = kseg_column_read(&call->columns[c],
											   columns[c].value);
		f++;
	}
}

/* The texts of a survey's row; "to" NULL: only how much they take. */
static Size
put_texts(const PointCall *call, const NullableDatum *columns, char *to)
{
	Size		size = 0;

	for (int c = 0; c < call->ncolumns; c++)
	{
		const char *text = NULL;
		int32		length = -1;

		if (c == call->weight_column ||
			call->columns[c].kind != KM_CATEGORY)
			continue;
		if (!columns[c].isnull)
			text = kseg_column_text(&call->columns[c], columns[c].value,
									&length);
		if (to != NULL)
		{
			memcpy(to + size, &length, sizeof(length));
			if (length > 0)
				memcpy(to + size + sizeof(length), text, length);
		}
		size += sizeof(length) + Max(length, 0);
	}
	return size;
}

Datum
kseg_point(PG_FUNCTION_ARGS)
{
	const NullableDatum *columns = &fcinfo->args[FIRST_COLUMN];
	PointCall  *call;
	double		weight = 1;
	bool		skipped = false;
	bool		has_texts;
	Size		size;
	KsegPoint  *point;

	if (PG_ARGISNULL(PASS))
		PG_RETURN_NULL();
	call = get_call(fcinfo);
	if (call->is_array)
	{
		skipped = columns->isnull;
		columns = spread_array(call, columns);
	}
	if (call->weight_column >= 0)
		weight = read_weight(call, columns);
	skipped |= weight == 0 || (!call->fill_nulls && has_null(call, columns));
	if (skipped && !call->is_survey)
		PG_RETURN_NULL();

	read_values(call, columns, skipped);
	has_texts = call->has_texts && call->has_categories && !skipped;
	size = offsetof(KsegPoint, values) + sizeof(double) * call->nfeatures;
	if (has_texts)
		size += put_texts(call, columns, NULL);
	point = palloc(size);
	SET_VARSIZE(point, size);
	point->is_skipped = skipped;
	point->pass = call->pass->id;
	point->weight = weight;
	memcpy(point->values, call->values, sizeof(double) * call->nfeatures);
	if (has_texts)
		(void) put_texts(call, columns,
						 (char *) (point->values + call->nfeatures));
	PG_RETURN_POINTER(point);
}

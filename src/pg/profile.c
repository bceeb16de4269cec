/*
 * profile.c
 *		Who the segments are: kseg_profile() of a model, and of the rows of a
 *		query that a model scores.
 *
 * The model knows the means of its features.  A query's rows tell more:
 * medians and quartiles, and columns that were not fitted.  Labels come from
 * the model in both.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "errors.h"
#include "kseg.h"
#include "progress.h"

PG_FUNCTION_INFO_V1(kseg_profile_model);
PG_FUNCTION_INFO_V1(kseg_profile_query);

/* ---- rows of the result ---- */

/* One segment in one column. */
typedef struct ProfileRow
{
	const char *feature;
	KmKind		kind;
	const char *top_value;		/* NULL: a number, or no value at all */
	double		mean;			/* of whatever there is none: NaN */
	double		overall_mean;
	double		overall_sd;
	double		quartiles[3];
	bool		is_fitted;
	/* found by rank_rows() */
	double		z;
	int			place;			/* of the column */
} ProfileRow;

/* One segment. */
typedef struct ProfileSegment
{
	int			segment;		/* its id */
	const char *label;
	int64		size;
	int64		rows;			/* of all segments */
} ProfileSegment;

/* with a model alone; with a query */
#define MODEL_COLUMNS	11
#define QUERY_COLUMNS	15

/* A constant column tells no segments apart: its z is 0. */
static double
find_z(const ProfileRow *row)
{
	double		z;

	if (!isfinite(row->mean) || !isfinite(row->overall_mean))
		return get_float8_nan();
	if (!(row->overall_sd > 0))
		return 0;
	z = (row->mean - row->overall_mean) / row->overall_sd;
	return isfinite(z) ? z : get_float8_nan();
}

/*
 * 100 is the average; it says something only of quantities that begin at
 * zero.  A date has no zero, and half of a loss is no index of 50.
 */
static double
find_index(const ProfileRow *row)
{
	double		index;

	if (row->kind == KM_MOMENT || !(row->overall_mean > 0) ||
		!(row->mean >= 0))
		return get_float8_nan();
	index = 100 * row->mean / row->overall_mean;
	/* near the end of double's range the factor must wait */
	return isfinite(index) ? index : 100 * (row->mean / row->overall_mean);
}

/* Largest |z| first, then in order of the columns; none at the end. */
static int
compare_rows(const void *a, const void *b)
{
	const ProfileRow *x = a;
	const ProfileRow *y = b;

	if (isnan(x->z) != isnan(y->z))
		return isnan(x->z) ? 1 : -1;
	if (!isnan(x->z) && fabs(x->z) != fabs(y->z))
		return fabs(x->z) > fabs(y->z) ? -1 : 1;
	return x->place - y->place;
}

static void
rank_rows(ProfileRow *rows, int n)
{
	for (int i = 0; i < n; i++)
	{
		rows[i].z = find_z(&rows[i]);
		rows[i].place = i;
	}
	qsort(rows, n, sizeof(ProfileRow), compare_rows);
}

/* Readers get a null, never NaN, nor what is beyond double's range. */
static void
put_double(Datum *values, bool *nulls, int column, double value)
{
	nulls[column] = !isfinite(value);
	values[column] = Float8GetDatum(nulls[column] ? 0 : value);
}

static void
put_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	values[column] = text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

/* rank: from 1 */
static void
put_row(ReturnSetInfo *result, const ProfileSegment *segment,
		const ProfileRow *row, int rank)
{
	Datum		values[QUERY_COLUMNS];
	bool		nulls[QUERY_COLUMNS] = {0};
	int			n = 0;

	values[n++] = Int32GetDatum(segment->segment);
	put_text(values, nulls, n++, segment->label);
	values[n++] = Int64GetDatum(segment->size);
	put_double(values, nulls, n++, segment->rows > 0 ?
			   (double) segment->size / (double) segment->rows :
			   get_float8_nan());
	put_text(values, nulls, n++, row->feature);
	put_text(values, nulls, n++, row->top_value);
	put_double(values, nulls, n++, row->mean);
	put_double(values, nulls, n++, row->overall_mean);
	put_double(values, nulls, n++, find_index(row));
	put_double(values, nulls, n++, row->z);
	values[n] = Int32GetDatum(rank);
	nulls[n++] = isnan(row->z);
	Assert(n == MODEL_COLUMNS);
	if (result->setDesc->natts == QUERY_COLUMNS)
	{
		for (int q = 0; q < 3; q++)
		{
			/* median, p25, p75 */
			static const int order[3] = {1, 0, 2};

			put_double(values, nulls, n++, row->quartiles[order[q]]);
		}
		values[n++] = BoolGetDatum(row->is_fitted);
		Assert(n == QUERY_COLUMNS);
	}
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* All rows of a segment; what they are made of is gone afterwards. */
static void
put_rows(ReturnSetInfo *result, const ProfileSegment *segment,
		 ProfileRow *rows, int n)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "kseg profile row",
												  ALLOCSET_SMALL_SIZES);

	rank_rows(rows, n);
	for (int i = 0; i < n; i++)
	{
		MemoryContext caller = MemoryContextSwitchTo(context);

		CHECK_FOR_INTERRUPTS();
		put_row(result, segment, &rows[i], i + 1);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
}

/* ---- of a model ---- */

/* Means and standard deviations over all rows, of each dimension. */
typedef struct Overall
{
	double	   *means;
	double	   *sds;
} Overall;

static void
find_overall(const KmModel *model, Overall *overall)
{
	int			d = 0;

	overall->means = palloc(sizeof(double) * model->width);
	overall->sds = palloc(sizeof(double) * model->width);
	for (int f = 0; f < model->nfeatures; f++)
	{
		const KmFeature *feature = &model->features[f];
		int			n = feature->kind == KM_CATEGORY ? feature->ncategories
			: 1;

		for (int v = 0; v < n; v++, d++)
		{
			CHECK_FOR_INTERRUPTS();
			km_model_overall(model, f, v, d, &overall->means[d],
							 &overall->sds[d]);
		}
	}
}

static void
fill_model_rows(const KmModel *model, const Overall *overall, int segment,
				ProfileRow *rows)
{
	int			d = 0;

	for (int f = 0; f < model->nfeatures; f++)
	{
		const KmFeature *feature = &model->features[f];
		ProfileRow *row = &rows[f];
		int			n = feature->kind == KM_CATEGORY ? feature->ncategories
			: 1;
		int			top = 0;

		memset(row, 0, sizeof(ProfileRow));
		row->feature = feature->name;
		row->kind = feature->kind;
		row->mean = km_model_value_at(model, segment, f, d);
		for (int v = 1; v < n; v++)
		{
			double		share = km_model_value_at(model, segment, f, d + v);

			if (share > row->mean)
			{
				row->mean = share;
				top = v;
			}
		}
		if (feature->kind == KM_CATEGORY)
			row->top_value = feature->categories[top];
		row->overall_mean = overall->means[d + top];
		row->overall_sd = overall->sds[d + top];
		d += n;
	}
}

Datum
kseg_profile_model(PG_FUNCTION_ARGS)
{
	KmModel    *model = kseg_model_open(PG_GETARG_VARLENA_PP(0),
										CurrentMemoryContext);
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ProfileRow *rows = palloc(sizeof(ProfileRow) * model->nfeatures);
	char	  **labels;
	Overall		overall;

	InitMaterializedSRF(fcinfo, 0);
	labels = kseg_labels(model);
	find_overall(model, &overall);
	for (int i = 0; i < model->k; i++)
	{
		ProfileSegment segment = {kseg_segment_id(model, i), labels[i],
		model->segments[i].size, model->rows};

		fill_model_rows(model, &overall, i, rows);
		put_rows(result, &segment, rows, model->nfeatures);
	}
	return (Datum) 0;
}

/* ---- of a query's rows ---- */

typedef struct ProfileQuery
{
	/* set once */
	MemoryContext context;
	const KmModel *model;

	/* known from the query's columns on */
	int			ncolumns;
	KsegColumn *columns;		/* in the array form the names alone */
	int		   *features;		/* which each column is, or -1 */
	bool		is_array;
	KmProfile  *profile;
	double	   *values;			/* one a column */
} ProfileQuery;

static void
check_status(const ProfileQuery *profiled, KmStatus status)
{
	if (status == KM_OVER_LIMIT)
		kseg_error_work_mem(km_profile_rows(profiled->profile),
							profiled->ncolumns);
	if (status != KM_OK)
		kseg_raise(status);
}

/* The result is made of one cell for each segment and column. */
static Size
reserve_cells(const ProfileQuery *profiled)
{
	double		bytes = (double) profiled->model->k * profiled->ncolumns *
		sizeof(KmProfileCell);
	Size		limit = (Size) kseg_work_mem * 1024;

	if (bytes > limit)
		kseg_error_centroids(profiled->model->k, profiled->ncolumns,
							 (Size) bytes);
	/* some rows shall fit in any case */
	return Max(limit - (Size) bytes, (Size) 64 * 1024);
}

static void
set_columns(ProfileQuery *profiled, const KsegQuery *query,
			const int *positions)
{
	const KmModel *model = profiled->model;
	int			n = positions == NULL ? model->nfeatures : query->ncolumns;

	profiled->is_array = positions == NULL;
	profiled->ncolumns = n;
	profiled->columns = palloc0(sizeof(KsegColumn) * n);
	profiled->features = palloc(sizeof(int) * n);
	profiled->values = palloc(sizeof(double) * n);
	for (int c = 0; c < n; c++)
	{
		profiled->features[c] = positions == NULL ? c : -1;
		if (positions == NULL)
		{
			profiled->columns[c].name = model->features[c].name;
			profiled->columns[c].kind = KM_NUMBER;
		}
		else
			kseg_column_init(&profiled->columns[c], pstrdup(query->names[c]),
							 query->types[c], profiled->context);
	}
	for (int f = 0; positions != NULL && f < model->nfeatures; f++)
		profiled->features[positions[f]] = f;
}

static void
start_profile(void *arg, const KsegQuery *query, const int *positions)
{
	ProfileQuery *profiled = arg;
	MemoryContext caller = MemoryContextSwitchTo(profiled->context);

	set_columns(profiled, query, positions);
	check_status(profiled,
				 km_profile_create(kseg_host(profiled->context),
								   profiled->model->k, profiled->ncolumns,
								   reserve_cells(profiled),
								   &profiled->profile));
	MemoryContextSwitchTo(caller);
}

static void
add_profile_row(void *arg, const KsegScoredRow *row)
{
	ProfileQuery *profiled = arg;

	if (!row->has_segment)
		return;
	for (int c = 0; c < profiled->ncolumns; c++)
	{
		KsegColumn *column = &profiled->columns[c];
		int			feature = profiled->features[c];

		/* the model knows no code for a value that it has never seen */
		if (feature >= 0 && column->kind != KM_CATEGORY)
			profiled->values[c] = row->features[feature];
		else if (row->nulls[c])
			profiled->values[c] = get_float8_nan();
		else
			profiled->values[c] = kseg_column_read(column, row->values[c]);
	}
	check_status(profiled, km_profile_add(profiled->profile,
										  row->score.segment,
										  profiled->values));
}

static void
fill_query_row(const ProfileQuery *profiled, int c, const KmProfileCell *cell,
			   char *const *categories, ProfileRow *row)
{
	const KsegColumn *column = &profiled->columns[c];
	bool		is_category = column->kind == KM_CATEGORY;
	bool		has_values = cell->count > 0;

	memset(row, 0, sizeof(ProfileRow));
	row->feature = column->name;
	row->kind = column->kind;
	row->is_fitted = profiled->features[c] >= 0;
	if (is_category && has_values)
		row->top_value = categories[cell->top];
	row->mean = has_values ? cell->mean : get_float8_nan();
	row->overall_mean = has_values ? cell->overall_mean : get_float8_nan();
	row->overall_sd = cell->overall_sd;
	for (int q = 0; q < 3; q++)
		row->quartiles[q] = has_values && !is_category ? cell->quartiles[q]
			: get_float8_nan();
}

static void
put_profile(ProfileQuery *profiled, ReturnSetInfo *result)
{
	const KmModel *model = profiled->model;
	int			n = profiled->ncolumns;
	char	  **labels = kseg_labels(model);
	char	 ***categories = palloc0(sizeof(char **) * n);
	ProfileRow *rows = palloc(sizeof(ProfileRow) * n);
	KmProfileCell *cells;

	/* a column's cells side by side */
	cells = MemoryContextAllocHuge(profiled->context, sizeof(KmProfileCell) *
								   model->k * (Size) n);
	for (int c = 0; c < n; c++)
	{
		KsegColumn *column = &profiled->columns[c];
		int			ncategories = 0;
		int		   *order = NULL;

		if (column->kind == KM_CATEGORY)
			kseg_column_categories(column, &ncategories, &categories[c],
								   &order);
		check_status(profiled,
					 km_profile_column(profiled->profile, c, ncategories,
									   order, cells + (Size) c * model->k));
		/* cells know codes, which are places in the order of arrival */
		for (int i = 0; order != NULL && i < model->k; i++)
		{
			KmProfileCell *cell = &cells[(Size) c * model->k + i];

			if (cell->top >= 0)
				cell->top = order[cell->top];
		}
	}
	for (int i = 0; i < model->k; i++)
	{
		ProfileSegment segment = {kseg_segment_id(model, i), labels[i],
			km_profile_size(profiled->profile, i),
		km_profile_rows(profiled->profile)};

		for (int c = 0; c < n; c++)
			fill_query_row(profiled, c, &cells[(Size) c * model->k + i],
						   categories[c], &rows[c]);
		put_rows(result, &segment, rows, n);
	}
}

Datum
kseg_profile_query(PG_FUNCTION_ARGS)
{
	ProfileQuery profiled = {0};
	MemoryContext caller;

	if (PG_ARGISNULL(0))
		kseg_error_null_argument("model");
	if (PG_ARGISNULL(1))
		kseg_error_null_argument("query");

	InitMaterializedSRF(fcinfo, 0);
	profiled.context = AllocSetContextCreate(CurrentMemoryContext,
											 "kseg profile of a query",
											 ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(profiled.context);
	(void) kseg_progress_start(KSEG_COMMAND_PROFILE);
	profiled.model = kseg_model_open((struct varlena *) PG_GETARG_VARLENA_P(0),
									 profiled.context);
	kseg_scored_run(profiled.model, text_to_cstring(PG_GETARG_TEXT_PP(1)),
					NULL, NULL, start_profile, add_profile_row, &profiled);
	put_profile(&profiled, (ReturnSetInfo *) fcinfo->resultinfo);

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(profiled.context);
	return (Datum) 0;
}

/*
 * ingest.c
 *		Rows on their way from the server into the core, and the fit of them.
 *
 * All memory of a fit is in one context: a thousand groups have a thousand
 * of them at a time, so it starts with a kilobyte.  What of the rows is beyond
 * kseg.work_mem goes to a file (spill.c).
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/memutils.h"

#include "dictionary.h"
#include "elements.h"
#include "errors.h"
#include "json.h"
#include "kseg.h"
#include "progress.h"
#include "pushdown.h"
#include "reader.h"
#include "team.h"

/* so many constant columns are named in the notice */
#define MAX_NAMED	10

struct KsegIngest
{
	/* set once; in the array form when the first row has come */
	MemoryContext context;
	const KmHost *host;
	KsegTeam   *team;			/* NULL: nobody can help */
	KsegOptions *options;		/* the caller's */
	int			ncolumns;
	KsegColumn *columns;
	KsegReader	reader;
	int			weight_column;	/* -1: none */
	int			nfeatures;		/* columns without the weight's */
	bool		fill_nulls;

	/* changing while rows come in */
	KmRows	   *rows;			/* NULL: array form before its first row */
	NullableDatum *row;			/* for rows that do not come as such */
	double	   *values;			/* one per feature */
	bool		has_complete;	/* a row without nulls has come */
	bool	   *has_value;		/* one per feature: not only nulls so far */
	int64		skipped;
	int64		without_values; /* of them: an array that was null */
	int64	   *missing;		/* one per feature: nulls in skipped rows */
	instr_time	started;		/* for messages at DEBUG1 */

	/* rows that stay where they are */
	KsegPushdown *pushdown;		/* NULL: they come in */
	const KsegSurvey *survey;

	/* after kseg_ingest_begin() */
	KmFit	   *fit;
	KmFeature  *features;
};

/*
 * Beside its values a row takes its segment and bounds of its distances
 * (src/core/assign.c).
 */
#define ROW_OVERHEAD	12

/* Of kseg.work_mem an eighth is for the blocks that come from the file. */
#define SPILL_SHARE		0.875

/* What kseg.work_mem leaves for the values of rows of so many. */
static Size
values_limit(int nvalues)
{
	double		share = nvalues * sizeof(double);

	return (Size) ((double) kseg_work_mem * 1024 * SPILL_SHARE *
				   (share / (share + ROW_OVERHEAD)));
}

/* ---- setting up ---- */

static KsegIngest *
make_ingest(MemoryContext parent, KsegOptions *options)
{
	MemoryContext context;
	KsegIngest *ingest;

	context = AllocSetContextCreate(parent, "kseg fit",
									ALLOCSET_START_SMALL_SIZES);
	ingest = MemoryContextAllocZero(context, sizeof(KsegIngest));
	ingest->context = context;
	ingest->team = kseg_team_create(context);
	ingest->host = kseg_host_with(context, kseg_team_crew(ingest->team));
	ingest->options = options;
	ingest->fill_nulls = options->core.fill_nulls;
	ingest->weight_column = -1;
	INSTR_TIME_SET_CURRENT(ingest->started);
	return ingest;
}

/* Which column weighs the rows? */
static void
find_weight(KsegIngest *ingest, const char *const *names)
{
	const char *wanted = ingest->options->row_weight;

	for (int c = 0; c < ingest->ncolumns; c++)
	{
		if (strcmp(names[c], wanted) == 0)
		{
			if (ingest->columns[c].kind != KM_NUMBER)
				kseg_error_row_weight_kind(wanted, ingest->columns[c].type);
			ingest->weight_column = c;
			return;
		}
	}
	kseg_error_row_weight_unknown(wanted, (const char **) names,
								  ingest->ncolumns);
}

static void
set_columns(KsegIngest *ingest, int ncolumns, const char *const *names,
			const Oid *types)
{
	MemoryContext old = MemoryContextSwitchTo(ingest->context);
	KsegSpill  *spill;
	KmKind	   *kinds;
	int			n = 0;

	/* one of them may be the weight; more cannot be right anyhow */
	if (ncolumns > KM_MAX_FEATURES + 1)
		kseg_error_too_many_features(ncolumns);

	ingest->ncolumns = ncolumns;
	ingest->columns = palloc(sizeof(KsegColumn) * Max(ncolumns, 1));
	for (int c = 0; c < ncolumns; c++)
		kseg_column_init(&ingest->columns[c], pstrdup(names[c]), types[c],
						 ingest->context);
	kseg_reader_init(&ingest->reader, ingest->columns, ncolumns);
	if (ingest->options->row_weight != NULL)
		find_weight(ingest, names);

	ingest->nfeatures = ncolumns - (ingest->weight_column >= 0 ? 1 : 0);
	if (ingest->nfeatures < 1)
		kseg_error_no_features();
	if (ingest->nfeatures > KM_MAX_FEATURES)
		kseg_error_too_many_features(ingest->nfeatures);

	ingest->row = palloc(sizeof(NullableDatum) * ncolumns);
	ingest->values = palloc(sizeof(double) * ingest->nfeatures);
	ingest->has_value = palloc0(sizeof(bool) * ingest->nfeatures);
	ingest->missing = palloc0(sizeof(int64) * ingest->nfeatures);

	kinds = palloc(sizeof(KmKind) * ingest->nfeatures);
	for (int c = 0; c < ncolumns; c++)
	{
		if (c != ingest->weight_column)
			kinds[n++] = ingest->columns[c].kind;
	}
	kseg_check(km_rows_create(ingest->host, ingest->nfeatures, kinds,
							  ingest->weight_column >= 0,
							  ingest->options->core.distance == KM_COSINE,
							  values_limit(ingest->nfeatures),
							  &ingest->rows));
	spill = kseg_spill_create(ingest->context);
	if (ingest->options->k_min > 0)
		km_rows_plan(ingest->rows, ingest->options->k_min,
					 ingest->options->k_max);
	else
		km_rows_plan(ingest->rows, ingest->options->k, ingest->options->k);
	kseg_check(km_rows_spill(ingest->rows, kseg_spill_store(spill)));
	pfree(kinds);
	MemoryContextSwitchTo(old);
}

KsegIngest *
kseg_ingest_create(MemoryContext parent, KsegOptions *options, int ncolumns,
				   const char *const *names, const Oid *types)
{
	KsegIngest *ingest;

	if (options->engine == KSEG_ENGINE_PUSHDOWN)
		kseg_error_pushdown_here();
	ingest = make_ingest(parent, options);
	set_columns(ingest, ncolumns, names, types);
	return ingest;
}

KsegIngest *
kseg_ingest_create_array(MemoryContext parent, KsegOptions *options)
{
	if (options->engine == KSEG_ENGINE_PUSHDOWN)
		kseg_error_pushdown_here();
	return make_ingest(parent, options);
}

void
kseg_check_rows(int64 rows, int nfeatures)
{
	double		needed = (double) rows *
		(nfeatures * sizeof(double) + ROW_OVERHEAD);

	if (needed > (double) kseg_work_mem * 1024)
		kseg_error_work_mem_known(rows, nfeatures, (Size) needed);
}

/* ---- rows ---- */

/* Weight of a row, 0 if it has none. */
static double
read_weight(KsegIngest *ingest, const NullableDatum *values)
{
	KsegColumn *column = &ingest->columns[ingest->weight_column];
	const NullableDatum *value = &values[ingest->weight_column];
	double		weight;

	if (value->isnull)
		return 0;
	weight = kseg_column_read(column, value->value);
	if (weight < 0)
		kseg_error_row_weight_negative(column->name, weight);
	return weight;
}

static bool
has_null(const KsegIngest *ingest, const NullableDatum *values)
{
	for (int c = 0; c < ingest->ncolumns; c++)
	{
		if (values[c].isnull)
			return true;
	}
	return false;
}

/* A row is skipped: because of which features? */
static void
count_missing(KsegIngest *ingest, const NullableDatum *values)
{
	int			n = 0;

	for (int c = 0; c < ingest->ncolumns; c++)
	{
		if (c == ingest->weight_column)
			continue;
		if (values[c].isnull)
			ingest->missing[n]++;
		n++;
	}
}

/* KsegReader's other */
static double
read_other(void *arg, int column, Datum value)
{
	return kseg_column_read(&((KsegIngest *) arg)->columns[column], value);
}

/*
 * Whether a row is skipped is settled before any of its values is read: it
 * must leave no category behind.
 */
static pg_noinline bool
add_slowly(KsegIngest *ingest, const NullableDatum *values)
{
	double		weight = 1;
	int			n = 0;

	if (ingest->weight_column >= 0)
		weight = read_weight(ingest, values);
	if (weight == 0 || (!ingest->fill_nulls && has_null(ingest, values)))
	{
		ingest->skipped++;
		if (weight != 0)
			count_missing(ingest, values);
		return false;
	}

	for (int c = 0; c < ingest->ncolumns; c++)
	{
		if (c == ingest->weight_column)
			continue;
		if (values[c].isnull)
			ingest->values[n++] = NAN;
		else
		{
			ingest->has_value[n] = true;
			ingest->values[n++] = kseg_column_read(&ingest->columns[c],
												   values[c].value);
		}
	}
	kseg_check(km_rows_add(ingest->rows, ingest->values, weight));
	return true;
}

bool
kseg_ingest_add(KsegIngest *ingest, const NullableDatum *values)
{
	if (unlikely(ingest->weight_column >= 0) ||
		!kseg_reader_read(&ingest->reader, values, ingest->values, read_other,
						  ingest))
		return add_slowly(ingest, values);
	ingest->has_complete = true;
	kseg_check(km_rows_add(ingest->rows, ingest->values, 1));
	return true;
}

bool
kseg_ingest_takes_values(const KsegIngest *ingest)
{
	if (ingest->weight_column >= 0)
		return false;
	for (int c = 0; c < ingest->ncolumns; c++)
	{
		if (ingest->columns[c].kind == KM_CATEGORY)
			return false;
	}
	return true;
}

bool
kseg_ingest_add_values(KsegIngest *ingest, const double *values)
{
	bool		is_complete = true;

	for (int c = 0; c < ingest->ncolumns; c++)
		is_complete &= !isnan(values[c]);
	if (!is_complete && !ingest->fill_nulls)
	{
		ingest->skipped++;
		for (int c = 0; c < ingest->ncolumns; c++)
			ingest->missing[c] += isnan(values[c]);
		return false;
	}

	for (int c = 0; c < ingest->ncolumns; c++)
		ingest->has_value[c] |= !isnan(values[c]);
	kseg_check(km_rows_add(ingest->rows, values, 1));
	return true;
}

bool
kseg_ingest_add_slot(KsegIngest *ingest, const Datum *values,
					 const bool *nulls, const int *columns)
{
	for (int c = 0; c < ingest->ncolumns; c++)
	{
		ingest->row[c].value = values[columns[c]];
		ingest->row[c].isnull = nulls[columns[c]];
	}
	return kseg_ingest_add(ingest, ingest->row);
}

/* The first array tells how many features there are. */
static void
start_array(KsegIngest *ingest, int length)
{
	const char **names;
	Oid		   *types;

	if (length == 0)
		kseg_error_no_features();
	if (length > KM_MAX_FEATURES + 1)
		kseg_error_too_many_features(length);
	names = kseg_numbered_names(length);
	types = palloc(sizeof(Oid) * length);
	for (int i = 0; i < length; i++)
		types[i] = FLOAT8OID;
	set_columns(ingest, length, names, types);
	pfree(types);
	for (int i = 0; i < length; i++)
		pfree(unconstify(char *, names[i]));
	pfree(names);
}

bool
kseg_ingest_add_array(KsegIngest *ingest, Datum datum)
{
	ArrayType  *array = DatumGetArrayTypeP(datum);
	KsegElements elements;
	bool		added;

	kseg_elements_open(&elements, array);
	if (ingest->rows == NULL)
		start_array(ingest, elements.length);
	if (elements.length != ingest->ncolumns)
		kseg_error_array_length(elements.length, ingest->ncolumns);

	for (int i = 0; i < elements.length; i++)
	{
		float8		value;

		ingest->row[i].isnull = !kseg_elements_next(&elements, &value);
		if (!ingest->row[i].isnull)
			ingest->row[i].value = Float8GetDatum(value);
	}
	added = kseg_ingest_add(ingest, ingest->row);

	if ((Pointer) array != DatumGetPointer(datum))
		pfree(array);
	return added;
}

void
kseg_ingest_skip(KsegIngest *ingest)
{
	ingest->skipped++;
	ingest->without_values++;
}

/* rows that were not skipped, before the fit takes them */
static int64
count_rows(const KsegIngest *ingest)
{
	if (ingest->survey != NULL)
		return ingest->survey->rows;
	return ingest->rows == NULL ? 0 : km_rows_count(ingest->rows);
}

int64
kseg_ingest_missing(const KsegIngest *ingest, int feature)
{
	return ingest->missing[feature] + ingest->without_values;
}

/* ---- the fit ---- */

/*
 * What a segment takes per dimension while it is looked for: centers and
 * exact sums on the sample and on all rows, what passes keep of them, and the
 * solutions compared.  Measured: 193 to 199 bytes with 50,000 to 200,000
 * cells, 126 without a search.
 */
#define CENTROID_OVERHEAD	200

/* A solution that is kept: per dimension of a segment, and per segment. */
#define KEPT_DIMENSION	8
#define KEPT_SEGMENT	80

/* One solution for each k from k_min to k_max, and the search for the last. */
void
kseg_check_centroids(const KmFit *fit, int k_min, int k_max)
{
	double		width = km_fit_width(fit);
	int			k = k_max;
	double		kept;			/* segments of the solutions before */
	double		needed;

	/* there are never more segments than distinct rows */
	if (km_fit_distinct(fit) >= 0 && km_fit_distinct(fit) < k)
		k = (int) km_fit_distinct(fit);
	kept = k > k_min ? ((double) k_min + k - 1) / 2 * (k - k_min) : 0;
	needed = k * width * CENTROID_OVERHEAD +
		kept * (width * KEPT_DIMENSION + KEPT_SEGMENT);
	if (needed > (double) kseg_work_mem * 1024)
		kseg_error_centroids(k, km_fit_width(fit), (Size) needed);
}

double
kseg_lap(instr_time *since)
{
	instr_time	now;
	instr_time	passed;

	INSTR_TIME_SET_CURRENT(now);
	passed = now;
	INSTR_TIME_SUBTRACT(passed, *since);
	*since = now;
	return INSTR_TIME_GET_MILLISEC(passed);
}

/* ---- rows that stay where they are ---- */

static void
name_features(KsegIngest *ingest)
{
	int			f = 0;

	ingest->features = palloc0(sizeof(KmFeature) * ingest->nfeatures);
	for (int c = 0; c < ingest->ncolumns; c++)
	{
		if (c == ingest->weight_column)
			continue;
		ingest->features[f].name = unconstify(char *, ingest->columns[c].name);
		ingest->features[f].kind = ingest->columns[c].kind;
		ingest->features[f].weight = 1;
		/* passes would stumble over it first */
		if (ingest->pushdown != NULL &&
			ingest->options->core.distance == KM_COSINE &&
			ingest->columns[c].kind == KM_CATEGORY)
			kseg_error_cosine_category(ingest->columns[c].name);
		f++;
	}
}

/* What the survey found out, as if the rows had come in. */
static void
take_survey(KsegIngest *ingest)
{
	const KsegSurvey *survey = kseg_pushdown_survey(ingest->pushdown);

	ingest->survey = survey;
	ingest->skipped = survey->skipped;
	for (int f = 0; f < ingest->nfeatures; f++)
	{
		KmFeature  *feature = &ingest->features[f];
		int		   *recode;

		ingest->missing[f] = survey->missing[f];
		ingest->has_value[f] = survey->present[f] > 0;
		if (feature->kind == KM_CATEGORY)
			kseg_dictionary_sort(survey->dictionaries[f],
								 &feature->ncategories,
								 &feature->categories, &recode);
	}
}

KsegIngest *
kseg_ingest_pushdown(MemoryContext parent, KsegOptions *options,
					 KsegPushdown *pushdown)
{
	KsegIngest *ingest = make_ingest(parent, options);
	const KsegQuery *query = kseg_pushdown_query(pushdown);
	bool		is_array = kseg_query_array(query, NULL, 0) >= 0;
	MemoryContext old;
	int		   *columns;

	ingest->pushdown = pushdown;
	if (!is_array)
		set_columns(ingest, query->ncolumns, query->names, query->types);
	else
	{
		int			length = kseg_pushdown_length(pushdown);

		/* no row: what it would have had does not matter */
		if (length == 0)
			return ingest;
		start_array(ingest, length);
	}

	old = MemoryContextSwitchTo(ingest->context);
	columns = palloc(sizeof(int) * ingest->ncolumns);
	for (int c = 0; c < ingest->ncolumns; c++)
		columns[c] = c;
	name_features(ingest);
	kseg_pushdown_columns(pushdown, is_array, ingest->ncolumns, columns,
						  ingest->nfeatures, ingest->features,
						  ingest->weight_column, &options->core);
	take_survey(ingest);
	MemoryContextSwitchTo(old);
	return ingest;
}

/* ---- the fit begins ---- */

static void
check_values(const KsegIngest *ingest)
{
	int			f = 0;

	for (int c = 0; c < ingest->ncolumns; c++)
	{
		if (c == ingest->weight_column)
			continue;
		if (!ingest->has_value[f++] && !ingest->has_complete)
			kseg_error_only_nulls(ingest->columns[c].name);
	}
}

/* The categories that came in; returns km_fit_begin's recode. */
static int **
sort_categories(KsegIngest *ingest)
{
	int		  **recode = palloc0(sizeof(int *) * ingest->nfeatures);
	int			f = 0;

	for (int c = 0; c < ingest->ncolumns; c++)
	{
		KmFeature  *feature = &ingest->features[f];

		if (c == ingest->weight_column)
			continue;
		if (feature->kind == KM_CATEGORY)
			kseg_column_categories(&ingest->columns[c],
								   &feature->ncategories,
								   &feature->categories, &recode[f]);
		f++;
	}
	return recode;
}

static KmStatus
begin_fit(KsegIngest *ingest)
{
	const KmOptions *options = &ingest->options->core;
	int		  **recode;

	if (ingest->pushdown != NULL)
	{
		check_values(ingest);
		kseg_options_bind(ingest->options, ingest->features,
						  ingest->nfeatures);
		return km_fit_begin_remote(ingest->rows,
								   kseg_pushdown_remote(ingest->pushdown,
														ingest->team),
								   ingest->survey->rows, options,
								   ingest->features, &ingest->fit);
	}
	name_features(ingest);
	check_values(ingest);
	recode = sort_categories(ingest);
	kseg_options_bind(ingest->options, ingest->features, ingest->nfeatures);
	return km_fit_begin(ingest->rows, options, ingest->features,
						(const int *const *) recode, &ingest->fit);
}

KmFit *
kseg_ingest_begin(KsegIngest *ingest)
{
	MemoryContext old;

	if (ingest->fit != NULL || count_rows(ingest) == 0)
		return ingest->fit;

	ereport(DEBUG1,
			(errmsg_internal("kseg: read " INT64_FORMAT " rows of %d features in %.1f ms",
							 count_rows(ingest), ingest->nfeatures,
							 kseg_lap(&ingest->started))));
	old = MemoryContextSwitchTo(ingest->context);
	kseg_team_begin(ingest->team);
	kseg_check(begin_fit(ingest));
	kseg_team_end(ingest->team);
	MemoryContextSwitchTo(old);
	ereport(DEBUG1,
			(errmsg_internal("kseg: scaled and sampled in %.1f ms",
							 kseg_lap(&ingest->started))));
	return ingest->fit;
}

KsegOptions *
kseg_ingest_options(const KsegIngest *ingest)
{
	return ingest->options;
}

KmFeature *
kseg_ingest_features(KsegIngest *ingest, int *nfeatures)
{
	*nfeatures = ingest->nfeatures;
	return ingest->features;
}

/* The names of constant features, quoted and joined; NULL if there is none. */
static char *
constant_features(const KsegIngest *ingest, int *count)
{
	StringInfoData list;

	initStringInfo(&list);
	*count = 0;
	for (int f = 0; f < ingest->nfeatures; f++)
	{
		const KmFeature *feature = &ingest->features[f];

		if (feature->kind == KM_CATEGORY ? feature->ncategories > 1 :
			feature->min != feature->max)
			continue;
		if (*count < MAX_NAMED)
			appendStringInfo(&list, "%s\"%s\"", *count > 0 ? ", " : "",
							 feature->name);
		else if (*count == MAX_NAMED)
			appendStringInfoString(&list, ", ...");
		(*count)++;
	}
	return *count > 0 ? list.data : NULL;
}

/*
 * Tell what is odd about the fit, once a statement: with GROUP BY there may
 * be thousands of fits, and each may be odd.
 */
static void
notice_oddities(const KsegIngest *ingest, int asked, int made)
{
	static TimestampTz noticed_in = 0;
	TimestampTz statement = GetCurrentStatementStartTimestamp();
	char	   *constants;
	int			count;

	if (noticed_in == statement)
		return;
	constants = constant_features(ingest, &count);
	if (made >= asked && constants == NULL)
		return;
	noticed_in = statement;
	if (made < asked)
		kseg_notice_fewer_segments(asked, made);
	else
		kseg_notice_constant(constants, count);
}

KmModel *
kseg_ingest_fit(KsegIngest *ingest, int k)
{
	KmFit	   *fit;
	MemoryContext old;
	KmSolution *solution;
	KmModel    *model;
	double	   *init;
	double	   *previous;
	KmStatus	status;

	kseg_team_begin(ingest->team);
	fit = kseg_ingest_begin(ingest);
	if (fit == NULL)
	{
		kseg_team_end(ingest->team);
		return NULL;
	}

	old = MemoryContextSwitchTo(ingest->context);
	if (k == 0)
		k = ingest->options->k;
	init = kseg_options_init(ingest->options, ingest->features,
							 ingest->nfeatures, &k);
	kseg_check_centroids(fit, k, k);
	kseg_progress_k(k);
	previous = kseg_options_previous(ingest->options, ingest->features,
									 ingest->nfeatures);
	if (previous != NULL)
		status = km_fit_continue(fit, k, previous,
								 ingest->options->previous->k, &solution);
	else
		status = km_fit_run(fit, k, init, &solution);
	if (status == KM_TOO_FEW_ROWS)
		kseg_error_too_few_rows(k, km_fit_distinct(fit));
	kseg_check(status);

	model = palloc0(sizeof(KmModel));
	kseg_check(km_fit_model(fit, solution, model));
	kseg_team_end(ingest->team);
	model->options = kseg_options_print(ingest->options);
	model->rows_skipped = ingest->skipped;
	if (previous != NULL)
		(void) kseg_align_models(model, ingest->options->previous);
	notice_oddities(ingest, k, solution->k);
	MemoryContextSwitchTo(old);
	ereport(DEBUG1,
			(errmsg_internal("kseg: made %d segments in %d iterations over all rows in %.1f ms",
							 solution->k, solution->iterations,
							 kseg_lap(&ingest->started))));
	return model;
}

KsegTeam *
kseg_ingest_team(const KsegIngest *ingest)
{
	return ingest->team;
}

void
kseg_ingest_free(KsegIngest *ingest)
{
	MemoryContextDelete(ingest->context);
}

/*
 * scale.c
 *		From statistics of the columns to where rows stand.
 *
 * Scalers are scikit-learn's: StandardScaler, MinMaxScaler, RobustScaler,
 * MaxAbsScaler; a constant column is divided by 1.  Row weights count in mean
 * and deviation (a row of weight 2 is two rows), not in quantiles.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "steps.h"

/*
 * Positions beyond these have squares beyond double's range, or lose them to
 * underflow.
 */
#define POSITION_MAX	0x1p+480
#define POSITION_MIN	0x1p-400

/* quantiles: two to clip at, then the quartiles */
#define CLIPS		2
#define QUARTILES	3

typedef struct Scaling
{
	KmSource   *source;
	KmTable    *table;			/* the source's */
	KmPoll	   *poll;
	const KmOptions *options;
	KmSpace    *space;
	KmRounding	rounding;
	KmJob		job;			/* KM_STEP_STATISTICS */
	void	   *input;			/* its */
	int			norders;		/* quantiles of each column */
	KmOrder    *orders;			/* nnum x norders */
} Scaling;

double
km_fixed_scale(double bound)
{
	int			exponent;

	if (!(bound > 0))
		return 1;
	(void) frexp(bound, &exponent);
	return ldexp(1, 61 - exponent);
}

/* ---- statistics ---- */

/*
 * Multiples of a power of two that is at most 2^-40 of the largest weight,
 * and such that the sum of weights stays below 2^62.  The power becomes
 * max_weight, so that sums can be told in the user's own unit.
 */
static void
choose_rounding(Scaling *s)
{
	KmTable    *table = s->table;
	int			exponent;
	int			bits = 40;

	while (bits > 1 &&
		   ldexp((double) table->nrows, bits) > 0x1p61)
		bits--;
	(void) frexp(table->max_weight, &exponent);
	s->rounding.root = ldexp(1, (bits - exponent) / 2);
	s->rounding.scale = ldexp(1, bits - exponent - (bits - exponent) / 2);
	table->max_weight = ldexp(1, exponent - bits);
}

static void
close_statistics(Scaling *s)
{
	if (s->input != NULL)
		s->job.step->close(&s->job);
	km_free(s->table->host, s->input);
	s->input = NULL;
}

static KmStatus
run_statistics(Scaling *s)
{
	close_statistics(s);
	KM_TRY(km_statistics_input(s->table, s->space, &s->rounding, &s->input,
							   &s->job.input_size));
	s->job.input = s->input;
	return km_pass(s->source, &s->job);
}

/* How many rows there are, when only the remote can know, and their weights. */
static KmStatus
count_rows(Scaling *s)
{
	const KmStatistics *found;

	if (s->source->remote != NULL)
	{
		KM_TRY(run_statistics(s));
		found = s->job.state;
		s->table->nrows = found->rows;
		s->table->max_weight = found->max_weight;
		if (found->rows == 0)
			return KM_NO_ROWS;
	}
	if (s->table->weight_slot >= 0)
		choose_rounding(s);
	return KM_OK;
}

static int
compare_orders(const void *a, const void *b)
{
	double		x = ((const KmOrder *) a)->at;
	double		y = ((const KmOrder *) b)->at;

	return x < y ? -1 : x > y;
}

/* The quantiles that clipping and scaling need, of all columns at once. */
static KmStatus
find_orders(Scaling *s)
{
	const KmOptions *options = s->options;
	KmOrder		orders[CLIPS + QUARTILES];
	int			n = 0;

	if (options->clip)
	{
		orders[n++].at = options->clip_low;
		orders[n++].at = options->clip_high;
	}
	for (int i = 1; i <= QUARTILES && options->scale == KM_ROBUST; i++)
		orders[n++].at = i * 0.25;
	s->norders = n;
	if (n == 0 || s->table->nnum == 0)
		return KM_OK;
	qsort(orders, n, sizeof(KmOrder), compare_orders);
	s->orders = km_alloc(s->table->host, (size_t) s->table->nnum * n,
						 sizeof(KmOrder));
	if (s->orders == NULL)
		return KM_NO_MEMORY;
	for (int slot = 0; slot < s->table->nnum; slot++)
		memcpy(s->orders + (size_t) slot * n, orders, sizeof(KmOrder) * n);
	return km_find_orders(s->source, s->poll, s->orders, n);
}

static double
find_quantile(const Scaling *s, int slot, double at, const KmFeature *clipped)
{
	const KmOrder *order = s->orders + (size_t) slot * s->norders;

	while (order->at != at)
		order++;
	return km_order_value(order, clipped->clip_low, clipped->clip_high);
}

static void
clear_clips(Scaling *s)
{
	for (int f = 0; f < s->space->nfeatures; f++)
	{
		s->space->features[f].clip_low = -INFINITY;
		s->space->features[f].clip_high = INFINITY;
	}
}

static void
set_clips(Scaling *s)
{
	for (int f = 0; f < s->space->nfeatures; f++)
	{
		KmFeature  *feature = &s->space->features[f];
		int			slot = s->space->slot[f];
		double		low;
		double		high;

		if (!s->options->clip || feature->kind == KM_CATEGORY)
			continue;
		low = find_quantile(s, slot, s->options->clip_low, feature);
		high = find_quantile(s, slot, s->options->clip_high, feature);
		feature->clip_low = low;
		feature->clip_high = high;
	}
}

/* ---- numbers ---- */

void
km_feature_scale(KmFeature *feature, KmScale scale, const double quartiles[3])
{
	double		largest = fabs(feature->min) > fabs(feature->max) ?
		fabs(feature->min) : fabs(feature->max);

	feature->center = 0;
	feature->divisor = 1;
	switch (scale)
	{
		case KM_ZSCORE:
			feature->center = feature->mean;
			feature->divisor = feature->sd;
			break;
		case KM_MINMAX:
			feature->center = feature->min;
			feature->divisor = feature->max - feature->min;
			break;
		case KM_ROBUST:
			feature->center = quartiles[1];
			feature->divisor = quartiles[2] - quartiles[0];
			break;
		case KM_MAXABS:
			feature->divisor = largest;
			break;
		case KM_NONE:
			break;
	}
	/* constant column, or quartiles that coincide */
	if (!(feature->divisor > 0))
		feature->divisor = 1;
	/* max - min may overflow when both are huge */
	if (isinf(feature->divisor))
		feature->divisor = 0x1.fffffffffffffp+1023;
	feature->factor = sqrt(feature->weight);
}

/* Where positions stand and how fine they are. */
static KmStatus
place_feature(KmFeature *feature, bool cosine)
{
	double		low;
	double		high;
	double		largest;
	int			exponent;

	/* cosine measures angles at the scaler's zero; otherwise any will do */
	feature->origin = cosine ? feature->center : feature->mean;
	if (feature->min == feature->max && !cosine)
		feature->origin = feature->min;
	low = fabs(km_position_raw(feature, feature->min));
	high = fabs(km_position_raw(feature, feature->max));
	largest = low > high ? low : high;
	if (!(largest < POSITION_MAX) || (largest > 0 && largest < POSITION_MIN))
		return KM_NOT_FINITE;
	(void) frexp(largest, &exponent);
	feature->grid = largest > 0 ? 50 - exponent : 50;
	return KM_OK;
}

static KmStatus
describe_numbers(Scaling *s, int f)
{
	const KmStatistics *found = s->job.state;
	KmFeature  *feature = &s->space->features[f];
	int			slot = s->space->slot[f];
	const KmExact *exact = &found->exact[slot];
	double		quartiles[QUARTILES] = {0, 0, 0};

	s->table->missing[f] = s->table->nrows - exact->count;
	/* a column without any value (all filled) counts as zeros */
	if (exact->count > 0)
	{
		feature->min = exact->min;
		feature->max = exact->max;
		km_exact_moments(exact, &feature->mean, &feature->sd);
	}
	for (int i = 0; i < QUARTILES && s->options->scale == KM_ROBUST; i++)
		quartiles[i] = find_quantile(s, slot, (i + 1) * 0.25, feature);
	km_feature_scale(feature, s->options->scale, quartiles);
	return place_feature(feature, s->space->cosine);
}

/* ---- categories ---- */

double
km_same_chance(const KmFeature *feature, int64_t rows)
{
	double		same = 0;

	for (int v = 0; v < feature->ncategories; v++)
	{
		double		p = (double) feature->counts[v] / (double) rows;

		same += p * p;
	}
	return same;
}

int
km_most_frequent(const KmFeature *feature)
{
	int			most = 0;

	for (int v = 1; v < feature->ncategories; v++)
	{
		if (feature->counts[v] > feature->counts[most])
			most = v;
	}
	return most;
}

static KmStatus
describe_categories(Scaling *s, int f, const int *recode)
{
	const KmStatistics *found = s->job.state;
	KmTable    *table = s->table;
	KmFeature  *feature = &s->space->features[f];
	const int64_t *counts = found->counts[table->slot[f] - table->nnum];
	bool		zscored = s->options->scale == KM_ZSCORE ||
		s->options->scale == KM_ROBUST;
	int64_t		known = 0;

	/* every value is missing, and there is none to fill in */
	if (feature->ncategories == 0)
		return KM_NO_ROWS;
	feature->counts = km_alloc_zero(table->host, feature->ncategories,
									sizeof(int64_t));
	if (feature->counts == NULL)
		return KM_NO_MEMORY;
	for (int v = 0; v < feature->ncategories; v++)
	{
		if (counts[v] > 0)
			feature->counts[recode == NULL ? v : recode[v]] += counts[v];
		known += counts[v];
	}
	table->missing[f] = table->nrows - known;
	feature->counts[km_most_frequent(feature)] += table->missing[f];

	/*
	 * Two random rows differ in the squared one-hot values by 2 (1 - sum p^2)
	 * on average, and by 2 in a z-scored column: scale the one to the other.
	 * The other scalers leave 0 and 1 as they are.
	 */
	feature->factor = sqrt(feature->weight);
	if (zscored && feature->ncategories > 1)
		feature->factor = sqrt(feature->weight /
							   (1 - km_same_chance(feature, table->nrows)));
	feature->divisor = 1;
	return KM_OK;
}

/* ---- all of it ---- */

static KmStatus
describe_columns(Scaling *s, const int *const *recode)
{
	const KmSpace *space = s->space;

	clear_clips(s);
	KM_TRY(count_rows(s));
	KM_TRY(find_orders(s));
	set_clips(s);
	/* the first pass over rows that are elsewhere may have told it all */
	if (s->input == NULL || s->table->weight_slot >= 0 || s->options->clip)
		KM_TRY(run_statistics(s));
	for (int f = 0; f < space->nfeatures; f++)
	{
		if (space->features[f].kind == KM_CATEGORY)
			KM_TRY(describe_categories(s, f,
									   recode == NULL ? NULL : recode[f]));
	}
	for (int f = 0; f < space->nfeatures; f++)
	{
		if (space->features[f].kind != KM_CATEGORY)
			KM_TRY(describe_numbers(s, f));
	}
	return KM_OK;
}

KmStatus
km_scale_columns(KmSource *source, KmPoll *poll, const KmOptions *options,
				 const int *const *recode, KmSpace *space,
				 KmRounding *rounding)
{
	Scaling		s = {
		.source = source,
		.table = source->table,
		.poll = poll,
		.options = options,
		.space = space
	};
	KmStatus	status;

	s.job.step = &km_step_statistics;
	s.job.host = source->table->host;
	s.job.poll = poll;
	s.job.table = source->table;
	/* rows are counted before it is known where to clip */
	for (int f = 0; f < space->nfeatures; f++)
	{
		space->features[f].clip_low = -INFINITY;
		space->features[f].clip_high = INFINITY;
	}
	status = describe_columns(&s, recode);
	close_statistics(&s);
	km_free(source->table->host, s.orders);
	if (status == KM_OK)
	{
		km_space_set_grid(space);
		space->is_bounded = true;
	}
	*rounding = s.rounding;
	return status;
}

/*
 * scale.c
 *		Statistics of the columns, clipping, and scaling the rows in place.
 *
 * Scalers are scikit-learn's: StandardScaler, MinMaxScaler, RobustScaler,
 * MaxAbsScaler; a constant column is divided by 1.  Quantiles interpolate
 * linearly, as numpy does.  Row weights count in mean and deviation (a row of
 * weight 2 is two rows), not in quantiles.
 */
#include <math.h>
#include <string.h>

#include "km_internal.h"

/* doubles gathered from tiles before they go into exact sums */
#define CHUNK	1024

/*
 * Positions beyond these have squares beyond double's range, or lose them to
 * underflow.
 */
#define POSITION_MAX	0x1p+480
#define POSITION_MIN	0x1p-400

typedef struct ScaleState
{
	KmTable    *table;
	const KmOptions *options;
	KmSpace    *space;
	KmPoll		poll;
} ScaleState;

double
km_fixed_scale(double bound)
{
	int			exponent;

	if (!(bound > 0))
		return 1;
	(void) frexp(bound, &exponent);
	return ldexp(1, 61 - exponent);
}

/* ---- order statistics ---- */

/*
 * Partition around a pivot taken from fixed places (the result, a value, does
 * not depend on it).  Hoare's scheme copes with many equal values.
 */
KmStatus
km_select(KmPoll *poll, double *v, int64_t low, int64_t high, int64_t nth)
{
	while (low < high)
	{
		double		a = v[low + (high - low) / 4];
		double		b = v[low + (high - low) / 2];
		double		c = v[high - (high - low) / 4];
		double		pivot = a < b ? (b < c ? b : (a < c ? c : a))
			: (a < c ? a : (b < c ? c : b));
		int64_t		i = low;
		int64_t		j = high;

		while (i <= j)
		{
			while (v[i] < pivot)
				i++;
			while (v[j] > pivot)
				j--;
			if (i <= j)
			{
				double		t = v[i];

				v[i++] = v[j];
				v[j--] = t;
			}
		}
		if (!km_poll(poll, (double) (high - low) * 4))
			return KM_CANCELLED;
		if (nth <= j)
			high = j;
		else if (nth >= i)
			low = i;
		else
			break;
	}
	return KM_OK;
}

KmStatus
km_quantiles(KmPoll *poll, double *values, int64_t n, const double *at,
			 int nat, double *result)
{
	int64_t		from = 0;

	for (int q = 0; q < nat; q++)
	{
		/* at is rising: what lies below an earlier quantile stays below */
		double		place = at[q] * (double) (n - 1);
		int64_t		lower = (int64_t) floor(place);
		double		part = place - (double) lower;
		double		low;
		double		high;

		KM_TRY(km_select(poll, values, from, n - 1, lower));
		low = values[lower];
		high = low;
		if (part > 0 && lower + 1 < n)
		{
			high = INFINITY;
			for (int64_t i = lower + 1; i < n; i++)
				high = values[i] < high ? values[i] : high;
		}
		/* numpy's lerp: from the nearer end, so that it is monotonic */
		if (high == low)
			result[q] = low;
		else if (isinf(high - low))
			result[q] = low * (1 - part) + high * part;
		else if (part < 0.5)
			result[q] = low + (high - low) * part;
		else
			result[q] = high - (high - low) * (1 - part);
		from = lower;
	}
	return KM_OK;
}

static KmStatus
column_quantiles(ScaleState *state, int slot, const double *at, int nat,
				 double *result)
{
	KmTable    *table = state->table;
	double	   *values = km_alloc(table->host, (size_t) table->nrows,
								  sizeof(double));
	int64_t		n = 0;
	KmStatus	status = KM_OK;

	if (values == NULL)
		return KM_NO_MEMORY;
	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];

		for (int i = 0; i < block->nrows; i++)
		{
			double		x = *km_cell(table, block, i, slot);

			if (!isnan(x))
				values[n++] = x;
		}
	}
	if (n > 0)
		status = km_quantiles(&state->poll, values, n, at, nat, result);
	else
	{
		for (int q = 0; q < nat; q++)
			result[q] = 0;
	}
	km_free(table->host, values);
	return status;
}

/* ---- statistics ---- */

static void
clip_column(ScaleState *state, int slot, double low, double high)
{
	KmTable    *table = state->table;

	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];

		for (int i = 0; i < block->nrows; i++)
		{
			double	   *x = km_cell(table, block, i, slot);

			if (*x < low)
				*x = low;
			else if (*x > high)
				*x = high;
		}
	}
}

static KmStatus
sum_block(ScaleState *state, const KmBlock *block, KmExact *exact,
		  KmExactScratch *scratch)
{
	KmTable    *table = state->table;
	double		values[CHUNK];
	double		weights[CHUNK];

	for (int first = 0; first < block->nrows; first += CHUNK)
	{
		int			n = block->nrows - first;

		n = n < CHUNK ? n : CHUNK;
		for (int slot = 0; slot < table->nnum; slot++)
		{
			for (int i = 0; i < n; i += KM_LANES)
				memcpy(values + i,
					   km_tile(table, block, (first + i) / KM_LANES) +
					   slot * KM_LANES, sizeof(double) * KM_LANES);
			if (table->weight_slot >= 0)
			{
				for (int i = 0; i < n; i += KM_LANES)
					memcpy(weights + i,
						   km_tile(table, block, (first + i) / KM_LANES) +
						   table->weight_slot * KM_LANES,
						   sizeof(double) * KM_LANES);
			}
			km_exact_add_many(&exact[slot], scratch, values,
							  table->weight_slot >= 0 ? weights : NULL, n);
		}
		if (!km_poll(&state->poll, (double) n * table->nnum * 4))
			return KM_CANCELLED;
	}
	return KM_OK;
}

static KmStatus
numeric_statistics(ScaleState *state)
{
	KmTable    *table = state->table;
	KmSpace    *space = state->space;
	KmExact    *exact;
	KmExactScratch *scratch;
	KmStatus	status = KM_OK;

	exact = km_alloc(table->host, table->nnum, sizeof(KmExact));
	scratch = km_exact_scratch(table->host);
	if (exact == NULL || scratch == NULL)
		status = KM_NO_MEMORY;
	if (status == KM_OK)
	{
		for (int slot = 0; slot < table->nnum; slot++)
			km_exact_init(&exact[slot]);
		for (int b = 0; b < table->nblocks && status == KM_OK; b++)
			status = sum_block(state, &table->blocks[b], exact, scratch);
	}
	for (int slot = 0; slot < table->nnum && status == KM_OK; slot++)
	{
		int			f = space->feature[slot];
		KmFeature  *feature = &space->features[f];

		table->missing[f] = table->nrows - exact[slot].count;
		/* a column without any value (all filled) counts as zeros */
		if (exact[slot].count > 0)
		{
			feature->min = exact[slot].min;
			feature->max = exact[slot].max;
			km_exact_moments(&exact[slot], &feature->mean, &feature->sd);
		}
	}
	km_free(table->host, scratch);
	km_free(table->host, exact);
	return status;
}

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

/* Recode, fill and count the categories; their factor. */
static KmStatus
category_statistics(ScaleState *state, int f, const int *recode)
{
	KmTable    *table = state->table;
	KmFeature  *feature = &state->space->features[f];
	int			slot = table->slot[f];
	bool		zscored = state->options->scale == KM_ZSCORE ||
		state->options->scale == KM_ROBUST;
	int64_t		known = 0;
	int			most;

	/* every value is missing, and there is none to fill in */
	if (feature->ncategories == 0)
		return KM_NO_ROWS;
	feature->counts = km_alloc_zero(table->host, feature->ncategories,
									sizeof(int64_t));
	if (feature->counts == NULL)
		return KM_NO_MEMORY;
	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];

		for (int i = 0; i < block->nrows; i++)
		{
			double	   *x = km_cell(table, block, i, slot);

			if (isnan(*x))
				continue;
			*x = recode[(int) *x];
			feature->counts[(int) *x]++;
			known++;
		}
		if (!km_poll(&state->poll, block->nrows))
			return KM_CANCELLED;
	}

	most = km_most_frequent(feature);
	table->missing[f] = table->nrows - known;
	if (known < table->nrows && feature->ncategories > 0)
	{
		feature->counts[most] += table->nrows - known;
		for (int b = 0; b < table->nblocks; b++)
		{
			const KmBlock *block = &table->blocks[b];

			for (int i = 0; i < block->nrows; i++)
			{
				double	   *x = km_cell(table, block, i, slot);

				if (isnan(*x))
					*x = most;
			}
		}
	}

	/*
	 * Two random rows differ in the squared one-hot values by 2 (1 - sum p^2)
	 * on average, and by 2 in a z-scored column: scale the one to the other.
	 * The other scalers leave 0 and 1 as they are.
	 */
	feature->factor = sqrt(feature->weight);
	if (zscored && feature->ncategories > 1)
		feature->factor = sqrt(feature->weight /
							   (1 - km_same_chance(feature, table->nrows)));
	feature->clip_low = -INFINITY;
	feature->clip_high = INFINITY;
	feature->divisor = 1;
	return KM_OK;
}

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

/* ---- scaling ---- */

static KmStatus
position_block(ScaleState *state, const KmBlock *block)
{
	KmTable    *table = state->table;
	KmSpace    *space = state->space;
	int			ntiles = km_block_tiles(block);

	for (int slot = 0; slot < table->nnum; slot++)
	{
		const KmFeature *feature = &space->features[space->feature[slot]];
		double		origin = feature->origin;
		double		multiplier = km_multiplier(feature);
		double		magic = ldexp(1.5, 52 - feature->grid);
		bool		plain = isfinite(feature->min - origin) &&
			isfinite(feature->max - origin) && multiplier != 0;
		double		fill = space->cosine ?
			km_position_raw(feature, feature->mean) :
			km_position(feature, feature->mean);

		for (int t = 0; t < ntiles; t++)
		{
			double	   *x = km_tile(table, block, t) + slot * KM_LANES;

			if (state->options->fill_nulls || !plain)
			{
				for (int l = 0; l < KM_LANES; l++)
				{
					if (isnan(x[l]))
						x[l] = fill;
					else if (space->cosine)
						x[l] = km_position_raw(feature, x[l]);
					else
						x[l] = km_position(feature, x[l]);
				}
			}
			else if (space->cosine)
			{
				for (int l = 0; l < KM_LANES; l++)
					x[l] = (x[l] - origin) * multiplier;
			}
			else
			{
				/* km_position() for values within the fit's own range */
				for (int l = 0; l < KM_LANES; l++)
				{
					double		v = (x[l] - origin) * multiplier;

					x[l] = (v + magic) - magic;
				}
			}
		}
	}
	return km_poll(&state->poll, (double) block->nrows * table->nnum) ?
		KM_OK : KM_CANCELLED;
}

/* cosine: set rows to length 1, keep the length beside */
static KmStatus
normalize_block(ScaleState *state, const KmBlock *block)
{
	KmTable    *table = state->table;

	for (int i = 0; i < block->nrows; i++)
	{
		double	   *lane = km_tile(table, block, i / KM_LANES) + i % KM_LANES;

		lane[table->length_slot * KM_LANES] =
			km_normalize(lane, KM_LANES, table->nnum);
	}
	return km_poll(&state->poll, (double) block->nrows * table->nnum * 4) ?
		KM_OK : KM_CANCELLED;
}

/*
 * Row weights become integers: multiples of a power of two that is at most
 * 2^-40 of the largest, and such that their sum stays below 2^62.
 */
static void
round_weights(ScaleState *state)
{
	KmTable    *table = state->table;
	int			exponent;
	int			bits = 40;
	double		root;
	double		scale;

	while (bits > 1 &&
		   ldexp((double) table->nrows, bits) > 0x1p61)
		bits--;
	(void) frexp(table->max_weight, &exponent);
	/* in two steps: denormal weights need more than a double can hold */
	root = ldexp(1, (bits - exponent) / 2);
	scale = ldexp(1, bits - exponent - (bits - exponent) / 2);
	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];

		for (int i = 0; i < block->nrows; i++)
		{
			double	   *w = km_cell(table, block, i, table->weight_slot);

			*w = rint(*w * root * scale);
			if (*w < 1)
				*w = 1;
		}
	}
	/* so that sums of weights can be told in the user's own unit */
	table->max_weight = ldexp(1, exponent - bits);
}

static KmStatus
scale_feature(ScaleState *state, KmFeature *feature, int slot)
{
	double		quartiles[3] = {0, 0, 0};
	static const double at[3] = {0.25, 0.5, 0.75};

	if (state->options->scale == KM_ROBUST)
		KM_TRY(column_quantiles(state, slot, at, 3, quartiles));
	km_feature_scale(feature, state->options->scale, quartiles);
	return place_feature(feature, state->space->cosine);
}

KmStatus
km_scale_table(KmTable *table, const KmOptions *options,
			   KmFeature *features, const int *const *recode, KmSpace *space)
{
	ScaleState	state;

	memset(&state, 0, sizeof(state));
	state.table = table;
	state.options = options;
	state.space = space;
	state.poll.host = table->host;

	if (table->weight_slot >= 0)
		round_weights(&state);
	for (int f = 0; f < table->nfeatures; f++)
	{
		int			slot = table->slot[f];
		KmFeature  *feature = &features[f];

		if (feature->kind == KM_CATEGORY)
		{
			KM_TRY(category_statistics(&state, f, recode[f]));
			continue;
		}
		feature->clip_low = -INFINITY;
		feature->clip_high = INFINITY;
		if (options->clip)
		{
			double		at[2] = {options->clip_low, options->clip_high};
			double		bounds[2];

			KM_TRY(column_quantiles(&state, slot, at, 2, bounds));
			feature->clip_low = bounds[0];
			feature->clip_high = bounds[1];
			clip_column(&state, slot, bounds[0], bounds[1]);
		}
	}
	KM_TRY(numeric_statistics(&state));
	for (int f = 0; f < table->nfeatures; f++)
	{
		if (features[f].kind != KM_CATEGORY)
			KM_TRY(scale_feature(&state, &features[f], table->slot[f]));
	}
	km_space_set_grid(space);
	for (int b = 0; b < table->nblocks; b++)
	{
		KM_TRY(position_block(&state, &table->blocks[b]));
		if (space->cosine)
			KM_TRY(normalize_block(&state, &table->blocks[b]));
	}
	return KM_OK;
}

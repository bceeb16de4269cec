/*
 * drift.c
 *		How far rows, one at a time, are from those that a model was fitted on.
 *
 * A night adds every customer, so a row has to cost little beside its scoring:
 * bins are found for many features at once without a branch, and all else is
 * an addition or two for each.  Sums are integers, in units of the model's own
 * grid, and cannot depend on the rows' order.
 */
#include <math.h>
#include <string.h>

#include "km_internal.h"

/*
 * Positions beyond so many units of the grid, which is 2^40 times as far as
 * any row of the fit was, are taken for that: sums of 2^36 rows fit.
 */
#define UNITS_MAX		0x1p+90

/* a row weight of the fit's mean is about so many units */
#define WEIGHT_BITS		30

#define EXPONENTS		2048

/* shifts below it are of the grid, and of weights: rows that did not change
 * shall have none */
#define LEAST_SHIFT		1e-10

struct KmDrift
{
	/* set once */
	const KmHost *host;
	const KmModel *model;
	KmPredictor *predictor;
	KmSpace		space;
	bool		is_weighted;
	int			weight_bits;	/* weights are in units of 2^-weight_bits */
	int			nblocks;		/* of KM_LANES numeric features, for bins */
	KmBinning	find_bins;
	int			ndirect;		/* leading blocks that features 0, 1 ... are */
	int		   *sources;		/* nblocks x KM_LANES: their features */
	double	   *edges;			/* nblocks x KM_BIN_EDGES x KM_LANES */
	int64_t    *missing;		/* nblocks x KM_LANES: the count for it */
	int			ncodes;			/* in all category features, and unseen ones */
	int		   *first_code;		/* of each category slot - nnum */
	uint8_t    *code_bins;		/* bin of each, the unseen one first */
	KmBins	   *then;			/* of each feature; NULL: there are none */

	/* scratch: nblocks x KM_LANES of the row */
	double	   *values;
	int64_t    *bins;

	/* changes while rows come */
	int64_t		rows;
	KmBins	   *now;
	int64_t    *sizes;			/* of each segment */
	KmWide	   *weights;		/* of each segment */
	KmWide	   *sums;			/* k x width: positions x weight in units;
								 * categories: weight */
	KmWide	   *plain;			/* cosine: the same of all rows before their
								 * length was 1, nnum */
	KmWide	   *filled;			/* nnum: weight of the missing values */
	KmWide	   *distances;		/* of squares, by exponent: mantissas */
};

/* ---- setting up ---- */

static void
find_weight_unit(KmDrift *drift)
{
	const KmModel *model = drift->model;
	double		weight = 0;
	double		size = 0;
	int			exponent = 0;

	for (int c = 0; c < model->k; c++)
	{
		weight += model->segments[c].weight;
		size += (double) model->segments[c].size;
	}
	if (weight > 0 && size > 0)
		(void) frexp(weight / size, &exponent);
	drift->weight_bits = WEIGHT_BITS - exponent;
}

static void
set_number_bins(KmDrift *drift, int slot)
{
	int			f = drift->space.feature[slot];
	const KmBins *bins = &drift->then[f];
	int			l = slot % KM_LANES;
	double	   *edges = drift->edges +
		(size_t) (slot / KM_LANES) * KM_BIN_EDGES * KM_LANES + l;

	drift->sources[slot] = f;
	drift->missing[slot] = bins->ncounts - 1;
	for (int i = 0; i < KM_BIN_EDGES; i++)
		edges[i * KM_LANES] = i < bins->nedges ? bins->edges[i] : INFINITY;
}

static void
set_category_bins(KmDrift *drift, int cat)
{
	const KmBins *bins = &drift->then[drift->space.feature[drift->space.nnum +
														   cat]];
	uint8_t    *code_bins = drift->code_bins + drift->first_code[cat];

	memset(code_bins, bins->ncategories, drift->space.ncategories[cat] + 1);
	for (int i = 0; i < bins->ncategories; i++)
		code_bins[bins->categories[i] + 1] = i;
}

/* What adding a row needs of the bins. */
static KmStatus
prepare_bins(KmDrift *drift, const KmBins *bins)
{
	const KmHost *host = drift->host;
	const KmModel *model = drift->model;
	const KmSpace *space = &drift->space;
	size_t		size = sizeof(KmBins) * model->nfeatures;
	size_t		lanes;

	drift->nblocks = (space->nnum + KM_LANES - 1) / KM_LANES;
	lanes = (size_t) drift->nblocks * KM_LANES;
	drift->first_code = km_alloc(host, space->ncat, sizeof(int));
	if (drift->first_code == NULL)
		return KM_NO_MEMORY;
	for (int cat = 0; cat < space->ncat; cat++)
	{
		drift->first_code[cat] = drift->ncodes;
		drift->ncodes += space->ncategories[cat] + 1;
	}
	drift->code_bins = km_alloc(host, drift->ncodes, sizeof(uint8_t));
	drift->sources = km_alloc_zero(host, lanes, sizeof(int));
	drift->missing = km_alloc_zero(host, lanes, sizeof(int64_t));
	drift->edges = km_alloc_zero(host, lanes * KM_BIN_EDGES, sizeof(double));
	drift->values = km_alloc_zero(host, lanes, sizeof(double));
	drift->bins = km_alloc(host, lanes, sizeof(int64_t));
	drift->then = km_alloc(host, 1, size);
	drift->now = km_alloc(host, 1, size);
	if (drift->code_bins == NULL || drift->sources == NULL ||
		drift->missing == NULL || drift->edges == NULL ||
		drift->values == NULL || drift->bins == NULL ||
		drift->then == NULL || drift->now == NULL)
		return KM_NO_MEMORY;

	memcpy(drift->then, bins, size);
	memcpy(drift->now, bins, size);
	for (int f = 0; f < model->nfeatures; f++)
		km_bins_clear(&drift->now[f], model->features[f].kind);
	for (int slot = 0; slot < space->nnum; slot++)
		set_number_bins(drift, slot);
	while ((drift->ndirect + 1) * KM_LANES <= space->nnum &&
		   drift->sources[(drift->ndirect + 1) * KM_LANES - 1] ==
		   (drift->ndirect + 1) * KM_LANES - 1)
		drift->ndirect++;
	for (int cat = 0; cat < space->ncat; cat++)
		set_category_bins(drift, cat);
	return KM_OK;
}

static KmStatus
prepare_sums(KmDrift *drift)
{
	const KmHost *host = drift->host;
	size_t		k = drift->model->k;
	const KmSpace *space = &drift->space;

	drift->sizes = km_alloc_zero(host, k, sizeof(int64_t));
	drift->weights = km_alloc_zero(host, k, sizeof(KmWide));
	drift->sums = km_alloc_zero(host, k * space->width, sizeof(KmWide));
	drift->plain = km_alloc_zero(host, space->nnum, sizeof(KmWide));
	drift->filled = km_alloc_zero(host, space->nnum, sizeof(KmWide));
	drift->distances = km_alloc_zero(host, EXPONENTS, sizeof(KmWide));
	return drift->sizes == NULL || drift->weights == NULL ||
		drift->sums == NULL || drift->plain == NULL ||
		drift->filled == NULL || drift->distances == NULL ?
		KM_NO_MEMORY : KM_OK;
}

KmStatus
km_drift_create(const KmHost *host, const KmModel *model, const KmBins *bins,
				bool is_weighted, KmSimd simd, KmDrift **result)
{
	KmDrift    *drift = km_alloc_zero(host, 1, sizeof(KmDrift));
	KmStatus	status;

	if (drift == NULL)
		return KM_NO_MEMORY;
	drift->host = host;
	drift->model = model;
	drift->is_weighted = is_weighted;
	drift->find_bins = km_binning_kernel(simd);
	find_weight_unit(drift);
	status = km_space_create(host, model->features, model->nfeatures,
							 model->distance == KM_COSINE, &drift->space);
	if (status != KM_OK)
	{
		km_free(host, drift);
		return status;
	}
	km_space_set_grid(&drift->space);
	status = km_predictor_create(host, model, &drift->predictor);
	if (status == KM_OK)
	{
		km_predictor_simd(drift->predictor, simd);
		status = prepare_sums(drift);
	}
	if (status == KM_OK && bins != NULL)
		status = prepare_bins(drift, bins);
	if (status != KM_OK)
	{
		km_drift_free(drift);
		return status;
	}
	*result = drift;
	return KM_OK;
}

void
km_drift_free(KmDrift *drift)
{
	const KmHost *host;

	if (drift == NULL)
		return;
	host = drift->host;
	km_predictor_free(drift->predictor);
	km_space_clear(&drift->space);
	km_free(host, drift->sources);
	km_free(host, drift->edges);
	km_free(host, drift->missing);
	km_free(host, drift->values);
	km_free(host, drift->bins);
	km_free(host, drift->first_code);
	km_free(host, drift->code_bins);
	km_free(host, drift->then);
	km_free(host, drift->now);
	km_free(host, drift->sizes);
	km_free(host, drift->weights);
	km_free(host, drift->sums);
	km_free(host, drift->plain);
	km_free(host, drift->filled);
	km_free(host, drift->distances);
	km_free(host, drift);
}

/* ---- bins of a row ---- */

static inline void
count_numbers(KmDrift *drift, const double *values)
{
	const int  *sources = drift->sources;
	const int64_t *bins = drift->bins;
	int			nnum = drift->space.nnum;
	int			first = drift->ndirect * KM_LANES;

	/* lanes to spare hold 0, and are not counted */
	for (int s = first; s < nnum; s++)
		drift->values[s] = values[sources[s]];
	drift->find_bins(values, drift->edges, drift->missing, drift->ndirect,
					 drift->bins);
	drift->find_bins(drift->values + first,
					 drift->edges + (size_t) first * KM_BIN_EDGES,
					 drift->missing + first, drift->nblocks - drift->ndirect,
					 drift->bins + first);
	for (int s = 0; s < nnum; s++)
		drift->now[sources[s]].counts[bins[s]]++;
}

static inline void
count_categories(KmDrift *drift, const double *values)
{
	const KmSpace *space = &drift->space;

	for (int cat = 0; cat < space->ncat; cat++)
	{
		int			f = space->feature[space->nnum + cat];
		KmBins	   *bins = &drift->now[f];

		if (isnan(values[f]))
			bins->counts[bins->ncounts - 1]++;
		else
			bins->counts[drift->code_bins[drift->first_code[cat] + 1 +
										  (int) values[f]]]++;
	}
}

/*
 * A row without a segment: those of the fit had none either, and only their
 * missing values were counted.
 */
static void
count_missing(KmDrift *drift, const double *values)
{
	for (int f = 0; f < drift->model->nfeatures; f++)
	{
		KmBins	   *bins = &drift->now[f];

		if (isnan(values[f]))
			bins->counts[bins->ncounts - 1]++;
	}
}

/* ---- sums of a row ---- */

/* v units as an integer */
static inline KmWide
round_units(double v)
{
	if (fabs(v) < 0x1p+62)
		return (int64_t) v;
	if (!(fabs(v) < UNITS_MAX))
		return (KmWide) copysign(UNITS_MAX, v);
	return (KmWide) v;
}

/* the same times the row's weight; of the product there is less than 2^100 */
static inline KmWide
weigh_units(double v, int64_t weight)
{
	double		most = 0x1p+100 / (double) weight;

	if (fabs(v) < 0x1p+62 && fabs(v) < most)
		return (KmWide) (int64_t) v * weight;
	return (KmWide) copysign(fmin(fabs(v), most), v) * weight;
}

static int64_t
round_weight(const KmDrift *drift, double weight)
{
	double		w;

	if (!drift->is_weighted)
		return 1;
	w = rint(ldexp(weight, drift->weight_bits));
	return w < 1 ? 1 : w < 0x1p+50 ? (int64_t) w : INT64_C(1) << 50;
}

/*
 * One row's positions.  Rows of a fit are at multiples of the grid, hence
 * integers in its units; one far outside may lose what is below a unit.
 */
static void
add_positions(KmDrift *drift, const double *lane, int segment,
			  int64_t weight)
{
	const KmSpace *space = &drift->space;
	KmWide	   *sums = drift->sums + (size_t) segment * space->width;

	if (!drift->is_weighted)
	{
		for (int s = 0; s < space->nnum; s++)
			sums[s] += round_units(lane[s] * space->scale[s]);
	}
	else
	{
		for (int s = 0; s < space->nnum; s++)
			sums[s] += weigh_units(lane[s] * space->scale[s], weight);
	}
	for (int cat = 0; cat < space->ncat; cat++)
	{
		int			code = (int) lane[space->nnum + cat];

		if (code >= 0)
			sums[space->offset[cat] + code] += weight;
	}
}

/* cosine: lane is of length 1, and means are of the rows before that */
static void
add_plain(KmDrift *drift, const double *values, int64_t weight)
{
	for (int s = 0; s < drift->space.nnum; s++)
	{
		int			f = drift->space.feature[s];
		const KmFeature *feature = &drift->model->features[f];

		if (!isnan(values[f]))
			drift->plain[s] += weigh_units(ldexp(km_position_raw(feature,
																 values[f]),
												 feature->grid), weight);
	}
}

static void
add_filled(KmDrift *drift, const double *values, int64_t weight)
{
	for (int s = 0; s < drift->space.nnum; s++)
	{
		if (isnan(values[drift->space.feature[s]]))
			drift->filled[s] += weight;
	}
}

/* a number >= 0 among others of its exponent */
static inline void
add_distance(KmDrift *drift, double square)
{
	uint64_t	bits;
	int			exponent;
	int64_t		mantissa;

	memcpy(&bits, &square, sizeof(bits));
	exponent = (int) (bits >> 52) & (EXPONENTS - 1);
	mantissa = (int64_t) (bits & UINT64_C(0x000fffffffffffff));
	if (exponent != 0)
		mantissa |= INT64_C(1) << 52;
	drift->distances[exponent] += mantissa;
}

void
km_drift_add(KmDrift *drift, const double *values, const KmScore *score,
			 double weight)
{
	const double *lane;
	double		square;
	int64_t		units;

	if (score == NULL)
	{
		if (drift->then != NULL)
			count_missing(drift, values);
		return;
	}
	if (drift->then != NULL)
	{
		count_numbers(drift, values);
		count_categories(drift, values);
	}
	lane = km_place_row(drift->predictor, values);
	/* the score says that there is a segment; then there are positions */
	if (lane == NULL)
		return;
	units = round_weight(drift, weight);
	add_positions(drift, lane, score->segment, units);
	if (drift->space.cosine)
		add_plain(drift, values, units);
	if (drift->model->fill_nulls)
		add_filled(drift, values, units);
	square = score->distance * score->distance;
	add_distance(drift, drift->is_weighted ? square * weight : square);
	drift->sizes[score->segment]++;
	drift->weights[score->segment] += units;
	drift->rows++;
}

/* ---- what came of it ---- */

int64_t
km_drift_rows(const KmDrift *drift)
{
	return drift->rows;
}

const int64_t *
km_drift_sizes(const KmDrift *drift)
{
	return drift->sizes;
}

const KmBins *
km_drift_bins(const KmDrift *drift, int feature)
{
	return drift->then == NULL ? NULL : &drift->now[feature];
}

/* of all rows, in units */
static KmWide
total_weight(const KmDrift *drift)
{
	KmWide		total = 0;

	for (int c = 0; c < drift->model->k; c++)
		total += drift->weights[c];
	return total;
}

double
km_drift_inertia(const KmDrift *drift, double *ratio)
{
	const KmModel *model = drift->model;
	double		weight_then = 0;
	double		weight_now = (double) total_weight(drift);
	double		sum = 0;

	if (drift->is_weighted)
		weight_now = ldexp(weight_now, -drift->weight_bits);
	for (int c = 0; c < model->k; c++)
		weight_then += model->segments[c].weight;
	for (int e = 0; e < EXPONENTS; e++)
	{
		if (drift->distances[e] != 0)
			sum += ldexp((double) drift->distances[e],
						 (e == 0 ? 1 : e) - 1075);
	}
	if (drift->rows == 0 || (sum == 0 && !(model->inertia > 0)))
		*ratio = 1;
	else if (!(model->inertia > 0))
		*ratio = INFINITY;
	else
		*ratio = (sum / weight_now) / (model->inertia / weight_then);
	return sum;
}

/* Mean position of a numeric feature's values, missing ones left out. */
static double
mean_position(const KmDrift *drift, int slot)
{
	const KmSpace *space = &drift->space;
	const KmFeature *feature =
		&drift->model->features[space->feature[slot]];
	double		weight = (double) (total_weight(drift) -
								   drift->filled[slot]);
	KmWide		sum = 0;

	if (!(weight > 0))
		return NAN;
	if (space->cosine)
		return ldexp((double) drift->plain[slot] / weight, -feature->grid);
	for (int c = 0; c < drift->model->k; c++)
		sum += drift->sums[(size_t) c * space->width + slot];
	return (double) sum / weight * space->unit[slot];
}

/* in units of a size; NAN when that is 0, and the distance is not */
static double
relative_shift(double distance, double size)
{
	double		shift = distance != 0 ? distance / size : 0;

	return !isfinite(shift) ? NAN : fabs(shift) < LEAST_SHIFT ? 0 : shift;
}

static double
feature_shift(const KmDrift *drift, int f)
{
	const KmFeature *feature = &drift->model->features[f];

	if (feature->kind == KM_CATEGORY)
		return NAN;
	return relative_shift(mean_position(drift, drift->space.slot[f]) -
						  km_position_raw(feature, feature->mean),
						  feature->sd / feature->divisor * feature->factor);
}

void
km_drift_feature(const KmDrift *drift, int f, double *psi, double *shift)
{
	*psi = drift->then == NULL ? NAN :
		km_psi(drift->then[f].counts, drift->now[f].counts,
			   drift->then[f].ncounts);
	*shift = feature_shift(drift, f);
}

/* squared distance of a segment's mean from its centroid */
static double
squared_shift(const KmDrift *drift, int c)
{
	const KmSpace *space = &drift->space;
	const KmModel *model = drift->model;
	const KmWide *sums = drift->sums + (size_t) c * space->width;
	const double *center = model->centers + (size_t) c * model->width;
	double		weight = (double) drift->weights[c];
	double		square = 0;

	for (int f = 0; f < model->nfeatures; f++)
	{
		int			slot = space->slot[f];
		bool		is_category = slot >= space->nnum;
		int			at = is_category ? space->offset[slot - space->nnum] :
			slot;
		int			n = is_category ? model->features[f].ncategories : 1;
		double		unit = is_category ? model->features[f].factor :
			space->unit[slot];

		for (int v = 0; v < n; v++)
		{
			double		d = (double) sums[at + v] / weight * unit - *center++;

			square += d * d;
		}
	}
	return square;
}

static double
segment_shift(const KmDrift *drift, int c)
{
	const KmSegment *segment = &drift->model->segments[c];

	if (drift->sizes[c] == 0)
		return NAN;
	return relative_shift(sqrt(squared_shift(drift, c)),
						  sqrt(segment->inertia / segment->weight));
}

static int64_t
rows_then(const KmModel *model)
{
	int64_t		rows = 0;

	for (int c = 0; c < model->k; c++)
		rows += model->segments[c].size;
	return rows;
}

void
km_drift_segment(const KmDrift *drift, int c, KmSegmentDrift *result)
{
	int64_t		then = drift->model->segments[c].size;
	int64_t		all_then = rows_then(drift->model);
	int64_t		now = drift->sizes[c];

	result->share_then = all_then > 0 ? (double) then / (double) all_then : 0;
	result->share_now = drift->rows > 0 ?
		(double) now / (double) drift->rows : 0;
	result->psi = km_psi_part(then, all_then, now, drift->rows);
	result->shift = segment_shift(drift, c);
}

double
km_drift_share_psi(const KmDrift *drift)
{
	int64_t		all_then = rows_then(drift->model);
	double		psi = 0;

	for (int c = 0; c < drift->model->k; c++)
		psi += km_psi_part(drift->model->segments[c].size, all_then,
						   drift->sizes[c], drift->rows);
	return psi;
}

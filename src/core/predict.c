/*
 * predict.c
 *		Scoring one row at a time.
 *
 * The same positions, the same squared distances in the same order of
 * summation and the same ties as the kernels': over the rows of a fit this
 * gives the fit's own segments, always.
 */
#include <math.h>
#include <string.h>

#include "km_internal.h"

/*
 * A numeric feature: km_position() with its constants at hand, in one cache
 * line.
 */
typedef struct Axis
{
	int			feature;
	double		clip_low;
	double		clip_high;
	double		origin;
	double		multiplier;		/* 0: only km_position() can do it */
	double		magic;			/* rounds to the grid */
	double		limit;			/* as far as magic works */
} Axis;

struct KmPredictor
{
	const KmHost *host;
	const KmModel *model;
	KmSpace		space;
	KmPacked	packed;			/* category tables */
	int			stride;			/* k, padded */
	Axis	   *axes;			/* nnum */
	double	   *transposed;		/* nnum x stride; padding is infinity */
	double	   *lane;			/* scratch: one row's positions */
	double	   *distances;		/* scratch: stride */
	int			nblocks;		/* of axes whose values stand side by side */
	double	   *blocks;			/* their constants, see KmPlace */
	KmMeasure	measure;
	KmPlace		place;
};

void
km_predictor_simd(KmPredictor *p, KmSimd simd)
{
	p->measure = km_measure_kernel(simd);
	p->place = km_place_kernel(simd);
}

/* ---- setting up ---- */

static void
set_axis(Axis *axis, const KmFeature *feature, int f)
{
	axis->feature = f;
	axis->clip_low = feature->clip_low;
	axis->clip_high = feature->clip_high;
	axis->origin = feature->origin;
	axis->multiplier = km_multiplier(feature);
	axis->magic = ldexp(1.5, 52 - feature->grid);
	axis->limit = axis->multiplier != 0 ? ldexp(1, 51 - feature->grid) : 0;
}

/*
 * The constants of the leading axes whose values come in their own order, in
 * whole blocks.
 */
static KmStatus
create_blocks(KmPredictor *p)
{
	int			n = 0;

	while (n < p->space.nnum && p->axes[n].feature == n)
		n++;
	p->nblocks = n / KM_LANES;
	p->blocks = km_alloc(p->host, (size_t) p->nblocks * KM_LANES *
						 KM_AXIS_VALUES, sizeof(double));
	if (p->blocks == NULL)
		return KM_NO_MEMORY;
	for (int s = 0; s < p->nblocks * KM_LANES; s++)
	{
		const Axis *axis = &p->axes[s];
		double	   *at = p->blocks + s % KM_LANES +
			(size_t) (s / KM_LANES) * KM_AXIS_VALUES * KM_LANES;

		at[KM_AXIS_LOW * KM_LANES] = axis->clip_low;
		at[KM_AXIS_HIGH * KM_LANES] = axis->clip_high;
		at[KM_AXIS_ORIGIN * KM_LANES] = axis->origin;
		at[KM_AXIS_MULTIPLIER * KM_LANES] = axis->multiplier;
		at[KM_AXIS_MAGIC * KM_LANES] = axis->magic;
		at[KM_AXIS_LIMIT * KM_LANES] = axis->limit;
	}
	return KM_OK;
}

KmStatus
km_predictor_create(const KmHost *host, const KmModel *model,
					KmPredictor **result)
{
	KmPredictor *p = km_alloc_zero(host, 1, sizeof(KmPredictor));
	double	   *centers;

	if (p == NULL)
		return KM_NO_MEMORY;
	p->host = host;
	p->model = model;
	p->stride = (model->k + KM_LANES - 1) / KM_LANES * KM_LANES;
	if (km_space_create(host, model->features, model->nfeatures,
						model->distance == KM_COSINE, &p->space) != KM_OK)
	{
		km_free(host, p);
		return KM_NO_MEMORY;
	}
	km_space_set_grid(&p->space);
	km_predictor_simd(p, KM_SIMD_AUTO);
	p->transposed = km_alloc(host, (size_t) p->space.nnum * p->stride,
							 sizeof(double));
	p->axes = km_alloc(host, p->space.nnum, sizeof(Axis));
	p->lane = km_alloc(host, model->nfeatures, sizeof(double));
	p->distances = km_alloc(host, p->stride, sizeof(double));
	centers = km_alloc(host, (size_t) model->k * model->width,
					   sizeof(double));
	if (p->axes == NULL || p->transposed == NULL || p->lane == NULL ||
		 p->distances == NULL || centers == NULL ||
		km_packed_create(&p->space, model->k, &p->packed) != KM_OK)
	{
		km_free(host, centers);
		km_predictor_free(p);
		return KM_NO_MEMORY;
	}

	for (int f = 0; f < model->nfeatures; f++)
	{
		const KmFeature *feature = &model->features[f];
		int			slot = p->space.slot[f];
		int			offset = km_model_offset(model, f);
		bool		numeric = feature->kind != KM_CATEGORY;
		int			n = numeric ? 1 : feature->ncategories;
		int			to = numeric ? slot :
			p->space.offset[slot - p->space.nnum];

		for (int c = 0; c < model->k; c++)
			memcpy(centers + (size_t) c * model->width + to,
				   model->centers + (size_t) c * model->width + offset,
				   sizeof(double) * n);
		if (numeric)
		{
			set_axis(&p->axes[slot], feature, f);
			for (int c = 0; c < p->stride; c++)
				p->transposed[(size_t) slot * p->stride + c] =
					c < model->k ? centers[(size_t) c * model->width + slot] :
					INFINITY;
		}
	}
	km_packed_set(&p->space, &p->packed, centers, model->k);
	km_free(host, centers);
	if (create_blocks(p) != KM_OK)
	{
		km_predictor_free(p);
		return KM_NO_MEMORY;
	}
	*result = p;
	return KM_OK;
}

void
km_predictor_free(KmPredictor *p)
{
	if (p == NULL)
		return;
	km_free(p->host, p->axes);
	km_free(p->host, p->blocks);
	km_free(p->host, p->transposed);
	km_free(p->host, p->lane);
	km_free(p->host, p->distances);
	km_packed_free(&p->space, &p->packed);
	km_space_clear(&p->space);
	km_free(p->host, p);
}

/* ---- scoring ---- */

static void
measure_row(const KmPredictor *p, const double *lane, int stride)
{
	int			nnum = p->space.nnum;

	p->measure(lane, stride, nnum, p->transposed, p->stride, p->distances);
	for (int f = 0; f < p->space.ncat; f++)
	{
		int			code = (int) lane[(nnum + f) * stride];
		const double *entry = code < 0 ?
			p->packed.unseen + (size_t) f * p->packed.stride :
			p->packed.tables[f] + (size_t) code * p->packed.stride;

		for (int c = 0; c < p->model->k; c++)
			p->distances[c] += entry[c];
	}
}

/*
 * Positions of the numeric features, the usual way.  False when a value is
 * missing or so far out that rounding it takes more care.
 */
static bool
place_quickly(const KmPredictor *p, const double *values)
{
	bool		good = true;
	int			s = p->nblocks * KM_LANES;

	if (s > 0)
		good = p->place(values, p->blocks, p->nblocks, p->lane);
	for (; s < p->space.nnum; s++)
	{
		const Axis *axis = &p->axes[s];
		double		x = values[axis->feature];
		double		v;

		x = x < axis->clip_low ? axis->clip_low : x;
		x = x > axis->clip_high ? axis->clip_high : x;
		v = (x - axis->origin) * axis->multiplier;
		/* false for NaN too */
		good &= fabs(v) < axis->limit;
		p->lane[s] = (v + axis->magic) - axis->magic;
	}
	return good;
}

/* The same for all values; false: one is missing, and not to be filled. */
static bool
place_slowly(const KmPredictor *p, const double *values)
{
	int			nnum = p->space.nnum;
	bool		cosine = p->space.cosine;

	for (int s = 0; s < nnum; s++)
	{
		const KmFeature *feature = &p->model->features[p->axes[s].feature];
		double		x = values[p->axes[s].feature];

		if (isnan(x))
		{
			if (!p->model->fill_nulls)
				return false;
			x = feature->mean;
		}
		p->lane[s] = cosine ? km_position_raw(feature, x) :
			km_position(feature, x);
	}
	if (cosine)
		(void) km_normalize(p->lane, 1, nnum);
	return true;
}

/*
 * From values to positions.  False: a value is missing and the model skips
 * such rows.
 */
static bool
place_row(const KmPredictor *p, const double *values)
{
	int			nnum = p->space.nnum;

	if ((p->space.cosine || !place_quickly(p, values)) &&
		!place_slowly(p, values))
		return false;
	for (int f = 0; f < p->space.ncat; f++)
	{
		int			feature = p->space.feature[nnum + f];
		double		code = values[feature];

		if (isnan(code))
		{
			if (!p->model->fill_nulls)
				return false;
			code = km_most_frequent(&p->model->features[feature]);
		}
		p->lane[nnum + f] = code;
	}
	return true;
}

const double *
km_place_row(const KmPredictor *p, const double *values)
{
	return place_row(p, values) ? p->lane : NULL;
}

int
km_predict(const KmPredictor *p, const double *values)
{
	int			nearest = 0;
	double		best;

	if (!place_row(p, values))
		return -1;
	measure_row(p, p->lane, 1);

	/* nobody can predict which is nearest: no branches */
	best = p->distances[0];
	for (int c = 1; c < p->model->k; c++)
	{
		double		d = p->distances[c];
		int			closer = -(int) (d < best);

		nearest += (c - nearest) & closer;
		best = d < best ? d : best;
	}
	return nearest;
}

void
km_score_position(const KmPredictor *p, const double *lane, int stride,
				  KmScore *score)
{
	double		best;
	double		next = INFINITY;

	measure_row(p, lane, stride);
	best = p->distances[0];
	score->segment = 0;
	score->second = -1;
	for (int c = 1; c < p->model->k; c++)
	{
		double		d = p->distances[c];

		if (d < best)
		{
			next = best;
			score->second = score->segment;
			best = d;
			score->segment = c;
		}
		else if (d < next || score->second < 0)
		{
			next = d;
			score->second = c;
		}
	}
	score->distance = sqrt(best);
	score->second_distance = sqrt(next);
	score->is_outlier = score->distance >
		p->model->segments[score->segment].reach * (1 + 1e-9);
	for (int f = 0; f < p->space.ncat; f++)
		score->is_outlier |= lane[(p->space.nnum + f) * stride] < 0;
}

void
km_score(const KmPredictor *p, const double *values, KmScore *score)
{
	if (place_row(p, values))
		km_score_position(p, p->lane, 1, score);
	else
	{
		memset(score, 0, sizeof(*score));
		score->segment = -1;
		score->second = -1;
	}
}

double
km_score_distance(const KmPredictor *p, int segment)
{
	return sqrt(p->distances[segment]);
}

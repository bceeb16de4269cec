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

/* 8 x 8: 3 to 7 ns a row less with AVX2 than with AVX-512 */
#define NARROW_STRIDE	(2 * KM_LANES)

_Static_assert(sizeof(KmAxis) == KM_LANES * sizeof(double), "a cache line");

struct KmPredictor
{
	const KmHost *host;
	const KmModel *model;
	KmSpace		space;
	KmPacked	packed;			/* category tables */
	int			stride;			/* k, padded */
	KmAxis	   *axes;			/* nnum */
	double	   *transposed;		/* nnum x stride; padding is infinity */
	double	   *lane;			/* scratch: one row's positions */
	double	   *distances;		/* scratch: stride */
	void	   *memory;			/* of what vectors are read from */
	KmMeasure	measure;
	KmPredict	predict;
	bool		is_plain;		/* so that predict can do it */
};

void
km_predictor_simd(KmPredictor *p, KmSimd simd)
{
	p->measure = km_measure_kernel(simd);
	/* for a row and few centers the widest vectors are no gain */
	if (simd == KM_SIMD_AUTO && p->stride <= NARROW_STRIDE &&
		km_simd_supported(KM_SIMD_AVX2))
		simd = KM_SIMD_AVX2;
	p->predict = km_predict_kernel(simd);
}

/* ---- setting up ---- */

static void
set_axis(KmAxis *axis, const KmFeature *feature, int f)
{
	axis->feature = f;
	axis->clip_low = feature->clip_low;
	axis->clip_high = feature->clip_high;
	axis->origin = feature->origin;
	axis->multiplier = km_multiplier(feature);
	axis->magic = ldexp(1.5, 52 - feature->grid);
	axis->limit = axis->multiplier != 0 ? ldexp(1, 51 - feature->grid) : 0;
}

/* Whole vectors, none of which crosses a cache line: that costs two loads. */
static KmStatus
create_vectors(KmPredictor *p)
{
	size_t		centers = (size_t) p->space.nnum * p->stride;
	double	   *next;

	p->memory = km_alloc(p->host, centers + p->stride +
						 p->model->nfeatures + KM_LANES +
						 (size_t) p->space.nnum * KM_LANES, sizeof(double));
	if (p->memory == NULL)
		return KM_NO_MEMORY;
	next = km_first_line(p->memory);
	p->axes = (KmAxis *) next;
	p->transposed = next + (size_t) p->space.nnum * KM_LANES;
	p->distances = p->transposed + centers;
	p->lane = p->distances + p->stride;
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
	centers = km_alloc(host, (size_t) model->k * model->width,
					   sizeof(double));
	if (centers == NULL || create_vectors(p) != KM_OK ||
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
	/* numbers alone are in their own order */
	p->is_plain = !p->space.cosine && p->space.nnum == model->nfeatures;
	*result = p;
	return KM_OK;
}

void
km_predictor_free(KmPredictor *p)
{
	if (p == NULL)
		return;
	km_free(p->host, p->memory);
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

	for (int s = 0; s < p->space.nnum; s++)
		good &= km_axis_place(&p->axes[s], values[p->axes[s].feature],
							  &p->lane[s]);
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

	if (p->is_plain)
	{
		nearest = p->predict(values, p->axes, p->space.nnum,
							 p->transposed, p->stride, p->lane);
		if (nearest >= 0)
			return nearest;
		nearest = 0;
	}
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

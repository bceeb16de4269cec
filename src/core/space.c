/*
 * space.c
 *		From a value to a position: scaling, weighting, rounding to the grid.
 *
 * The fit scales whole tiles in place (scale.c) and prediction one value; both
 * go through the functions here, so that they cannot disagree by a bit.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "km_internal.h"

KmStatus
km_space_create(const KmHost *host, KmFeature *features, int nfeatures,
				bool cosine, KmSpace *space)
{
	int			next_cat;
	int			width;

	memset(space, 0, sizeof(*space));
	space->host = host;
	space->features = features;
	space->nfeatures = nfeatures;
	space->cosine = cosine;
	for (int f = 0; f < nfeatures; f++)
	{
		if (features[f].kind == KM_CATEGORY)
			space->ncat++;
	}
	space->nnum = nfeatures - space->ncat;
	space->slot = km_alloc_zero(host, nfeatures, sizeof(int));
	space->feature = km_alloc_zero(host, nfeatures, sizeof(int));
	space->offset = km_alloc_zero(host, nfeatures, sizeof(int));
	space->ncategories = km_alloc_zero(host, nfeatures, sizeof(int));
	space->unit = km_alloc_zero(host, nfeatures, sizeof(double));
	space->scale = km_alloc_zero(host, nfeatures, sizeof(double));
	space->factor = km_alloc_zero(host, nfeatures, sizeof(double));
	if (space->slot == NULL || space->feature == NULL ||
		space->offset == NULL || space->ncategories == NULL ||
		space->unit == NULL || space->scale == NULL || space->factor == NULL)
	{
		km_space_clear(space);
		return KM_NO_MEMORY;
	}

	next_cat = space->nnum;
	width = space->nnum;
	for (int f = 0, next = 0; f < nfeatures; f++)
	{
		if (features[f].kind == KM_CATEGORY)
		{
			int			cat = next_cat - space->nnum;

			space->offset[cat] = width;
			space->ncategories[cat] = features[f].ncategories;
			width += features[f].ncategories;
			if (width > KM_MAX_WIDTH)
			{
				km_space_clear(space);
				return KM_TOO_WIDE;
			}
			space->slot[f] = next_cat++;
		}
		else
			space->slot[f] = next++;
		space->feature[space->slot[f]] = f;
	}
	space->width = width;
	return KM_OK;
}

void
km_space_set_grid(KmSpace *space)
{
	for (int f = 0; f < space->nfeatures; f++)
	{
		const KmFeature *feature = &space->features[f];
		int			slot = space->slot[f];

		if (feature->kind == KM_CATEGORY)
			space->factor[slot - space->nnum] = feature->factor;
		else
		{
			int			grid = space->cosine ? KM_COSINE_GRID : feature->grid;

			space->unit[slot] = ldexp(1, -grid);
			space->scale[slot] = ldexp(1, grid);
		}
	}
}

void
km_space_clear(KmSpace *space)
{
	km_free(space->host, space->slot);
	km_free(space->host, space->feature);
	km_free(space->host, space->offset);
	km_free(space->host, space->ncategories);
	km_free(space->host, space->unit);
	km_free(space->host, space->scale);
	km_free(space->host, space->factor);
	space->slot = NULL;
	space->feature = NULL;
	space->offset = NULL;
	space->ncategories = NULL;
	space->unit = NULL;
	space->scale = NULL;
	space->factor = NULL;
}

/*
 * Nearest multiple of 2^-grid.  Adding 1.5 * 2^(52 - grid) leaves no bits
 * below the grid; beyond 2^(51 - grid) the trick fails, and such a value (an
 * outlier that the fit has not seen) is coarse enough as it is.
 */
double
km_round_to_grid(double v, int grid)
{
	double		magic = ldexp(1.5, 52 - grid);

	if (!(fabs(v) < ldexp(1, 51 - grid)))
		return v;
	return (v + magic) - magic;
}

double
km_multiplier(const KmFeature *feature)
{
	double		multiplier = feature->factor / feature->divisor;

	return isnormal(multiplier) ? multiplier : 0;
}

double
km_position_raw(const KmFeature *feature, double x)
{
	double		multiplier = km_multiplier(feature);
	double		d;

	if (x < feature->clip_low)
		x = feature->clip_low;
	if (x > feature->clip_high)
		x = feature->clip_high;
	d = x - feature->origin;
	if (!isfinite(d))
		return (x * 0.25 - feature->origin * 0.25) /
			(feature->divisor * 0.25) * feature->factor;
	return multiplier != 0 ? d * multiplier :
		d / feature->divisor * feature->factor;
}

double
km_position(const KmFeature *feature, double x)
{
	return km_round_to_grid(km_position_raw(feature, x), feature->grid);
}

/*
 * Rows whose squares leave double's range are brought near 1 first: only
 * their direction matters.
 */
double
km_normalize(double *lane, int stride, int n)
{
	double		square = 0;
	double		largest = 0;
	double		length;
	int			exponent = 0;

	for (int s = 0; s < n; s++)
		square += lane[s * stride] * lane[s * stride];
	if (!(square > 0x1p-900 && square < INFINITY))
	{
		for (int s = 0; s < n; s++)
		{
			double	   *v = lane + s * stride;

			*v = fabs(*v) < DBL_MAX ? *v : copysign(DBL_MAX, *v);
			largest = fabs(*v) > largest ? fabs(*v) : largest;
		}
		(void) frexp(largest, &exponent);
		square = 0;
		for (int s = 0; s < n; s++)
		{
			lane[s * stride] = ldexp(lane[s * stride], -exponent);
			square += lane[s * stride] * lane[s * stride];
		}
	}
	length = sqrt(square);
	for (int s = 0; s < n; s++)
		lane[s * stride] = length > 0 ?
			km_round_to_grid(lane[s * stride] / length, KM_COSINE_GRID) : 0;
	return exponent == 0 ? length : ldexp(length, exponent);
}

double
km_scale_value(const KmFeature *feature, double x)
{
	double		d = x - feature->center;

	if (isinf(d) && !isinf(x))
		return (x * 0.25 - feature->center * 0.25) /
			(feature->divisor * 0.25);
	return d / feature->divisor;
}

double
km_unscale_value(const KmFeature *feature, double scaled)
{
	double		x = scaled * feature->divisor + feature->center;

	if (!isfinite(x) && isfinite(scaled))
		x = 4 * (scaled * (feature->divisor * 0.25) +
				 feature->center * 0.25);
	return x;
}

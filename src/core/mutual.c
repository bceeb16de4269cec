/*
 * mutual.c
 *		Centroids of two models where one of them measures distances.
 *
 * Only features count that both models have, by name and kind.  Centroids
 * are compared as means of values, so scales and categories may differ.
 */
#include <math.h>
#include <string.h>

#include "km_internal.h"

/*
 * of[f]: the feature of "from" with the name and kind of feature f of
 * "space", or -1.  How many there are.
 */
static int
find_shared(const KmModel *space, const KmModel *from, int *of)
{
	int			shared = 0;

	for (int f = 0; f < space->nfeatures; f++)
	{
		const KmFeature *feature = &space->features[f];

		of[f] = -1;
		for (int g = 0; g < from->nfeatures; g++)
		{
			if (from->features[g].kind == feature->kind &&
				strcmp(from->features[g].name, feature->name) == 0)
				of[f] = g;
		}
		shared += of[f] >= 0;
	}
	return shared;
}

/* A category that the model has not seen is one more, see placed.c. */
static int
count_dims(const KmModel *space, const int *of)
{
	int			dims = 0;

	for (int f = 0; f < space->nfeatures; f++)
	{
		if (of[f] >= 0)
			dims += space->features[f].kind == KM_CATEGORY ?
				space->features[f].ncategories + 1 : 1;
	}
	return dims;
}

/* One feature of all centroids of "from"; at: its first dimension. */
static KmStatus
place_feature(KmPoll *poll, const KmFeature *feature, const KmModel *from,
			  int f, double *at, int dims)
{
	const KmFeature *theirs = &from->features[f];
	int			offset = km_model_offset(from, f);
	int			n = theirs->kind == KM_CATEGORY ? theirs->ncategories : 1;

	for (int v = 0; v < n; v++)
	{
		int			to = 0;

		if (theirs->kind == KM_CATEGORY)
		{
			const char *name = theirs->categories[v];

			to = km_category_find(feature, name, strlen(name));
			if (to < 0)
				to = feature->ncategories;
		}
		for (int c = 0; c < from->k; c++)
		{
			double		value = km_model_value_at(from, c, f, offset + v);

			at[(size_t) c * dims + to] += feature->kind == KM_CATEGORY ?
				value * feature->factor : km_position_raw(feature, value);
		}
		if (!km_poll(poll, 10.0 * from->k + from->nfeatures))
			return KM_CANCELLED;
	}
	return KM_OK;
}

/* The centroids of "from" as points where "space" measures. */
static KmStatus
place_centroids(KmPoll *poll, const KmModel *space, const KmModel *from,
				const int *of, int dims, double **result)
{
	double	   *at = km_alloc_zero(poll->host, (size_t) from->k * dims,
								   sizeof(double));
	double	   *first = at;

	*result = at;
	if (at == NULL)
		return KM_NO_MEMORY;
	for (int f = 0; f < space->nfeatures; f++)
	{
		const KmFeature *feature = &space->features[f];

		if (of[f] < 0)
			continue;
		KM_TRY(place_feature(poll, feature, from, of[f], first, dims));
		first += feature->kind == KM_CATEGORY ? feature->ncategories + 1 : 1;
	}
	for (int c = 0; c < from->k && space->distance == KM_COSINE; c++)
		(void) km_normalize(at + (size_t) c * dims, 1, dims);
	return KM_OK;
}

/* Which feature each dimension belongs to. */
static KmStatus
name_dims(const KmHost *host, const KmModel *space, const int *of,
		  KmMutual *mutual)
{
	int			d = 0;

	mutual->feature = km_alloc(host, mutual->dims, sizeof(int));
	if (mutual->feature == NULL)
		return KM_NO_MEMORY;
	for (int f = 0; f < space->nfeatures; f++)
	{
		int			n = space->features[f].kind == KM_CATEGORY ?
			space->features[f].ncategories + 1 : 1;

		for (int v = 0; v < n && of[f] >= 0; v++)
			mutual->feature[d++] = f;
	}
	return KM_OK;
}

KmStatus
km_mutual_create(KmPoll *poll, const KmModel *space, const KmModel *model,
				 const KmModel *old, KmMutual *mutual)
{
	int		   *of_old = km_alloc(poll->host, space->nfeatures, sizeof(int));
	int		   *of_new = km_alloc(poll->host, space->nfeatures, sizeof(int));
	KmStatus	status = KM_NO_MEMORY;

	if (of_old != NULL && of_new != NULL)
	{
		bool		shared = find_shared(space, old, of_old) > 0 &&
			find_shared(space, model, of_new) > 0;

		status = shared ? KM_OK : KM_NOTHING_SHARED;
		/* what only the space has does not count */
		for (int f = 0; f < space->nfeatures && shared; f++)
		{
			if (of_old[f] < 0 || of_new[f] < 0)
				of_old[f] = of_new[f] = -1;
		}
		mutual->dims = count_dims(space, of_old);
		if (status == KM_OK)
			status = name_dims(poll->host, space, of_old, mutual);
		if (status == KM_OK)
			status = place_centroids(poll, space, old, of_old, mutual->dims,
									 &mutual->old_at);
		if (status == KM_OK)
			status = place_centroids(poll, space, model, of_new, mutual->dims,
									 &mutual->new_at);
	}
	km_free(poll->host, of_old);
	km_free(poll->host, of_new);
	return status;
}

void
km_mutual_clear(const KmHost *host, KmMutual *mutual)
{
	km_free(host, mutual->feature);
	km_free(host, mutual->old_at);
	km_free(host, mutual->new_at);
}

const double *
km_mutual_new(const KmMutual *mutual, int segment)
{
	return mutual->new_at + (size_t) segment * mutual->dims;
}

const double *
km_mutual_old(const KmMutual *mutual, int segment)
{
	return mutual->old_at + (size_t) segment * mutual->dims;
}

double
km_mutual_distance2(const KmMutual *mutual, const double *x, const double *y)
{
	double		sum = 0;

	for (int d = 0; d < mutual->dims; d++)
		sum += (x[d] - y[d]) * (x[d] - y[d]);
	/* centroids beyond double's range are nowhere near */
	return isnan(sum) ? INFINITY : sum;
}

double
km_spread(const KmSegment *segment)
{
	return segment->weight > 0 ? sqrt(segment->inertia / segment->weight) : 0;
}

/*
 * shift.c
 *		How far segments went from one model to another that knows them by the
 *		same ids, and in which feature most.
 *
 * Distances are measured where the older model measures them: what users know
 * of a segment they learned there.
 */
#include <math.h>

#include "km_internal.h"

static int
find_segment(const KmModel *model, int id)
{
	/* ids rise */
	int			low = 0;
	int			high = model->k;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (model->segments[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < model->k && model->segments[low].id == id ? low : -1;
}

/* The feature with the largest part of the squared distance; -1: none moved */
static int
find_most(const KmMutual *mutual, const double *x, const double *y)
{
	double		most = 0;
	int			feature = -1;

	for (int d = 0; d < mutual->dims;)
	{
		int			f = mutual->feature[d];
		double		part = 0;

		for (; d < mutual->dims && mutual->feature[d] == f; d++)
			part += (x[d] - y[d]) * (x[d] - y[d]);
		if (isnan(part))
			part = INFINITY;
		if (part > most)
		{
			most = part;
			feature = f;
		}
	}
	return feature;
}

static void
measure(const KmMutual *mutual, const KmModel *model, const KmModel *old,
		int segment, KmShift *shift)
{
	int			now = find_segment(model, old->segments[segment].id);
	const double *x;
	const double *y;

	shift->segment = now;
	shift->spread = km_spread(&old->segments[segment]);
	shift->distance = NAN;
	shift->feature = -1;
	if (now < 0)
		return;
	x = km_mutual_old(mutual, segment);
	y = km_mutual_new(mutual, now);
	shift->distance = sqrt(km_mutual_distance2(mutual, x, y));
	shift->feature = find_most(mutual, x, y);
}

KmStatus
km_shifts(const KmHost *host, const KmModel *model, const KmModel *old,
		  KmShift *shifts)
{
	KmPoll		poll = {host, 0};
	KmMutual	mutual = {0};
	KmStatus	status = km_mutual_create(&poll, old, model, old, &mutual);

	for (int j = 0; j < old->k && status == KM_OK; j++)
	{
		measure(&mutual, model, old, j, &shifts[j]);
		if (!km_poll(&poll, 2.0 * mutual.dims))
			status = KM_CANCELLED;
	}
	km_mutual_clear(host, &mutual);
	return status;
}

/*
 * knee.c
 *		Where the curve of inertia over k bends: Kneedle (Satopaa, Albrecht,
 *		Irwin, Raghavan, "Finding a 'Kneedle' in a haystack", 2011), for a
 *		falling, convex curve, sensitivity 1, without smoothing (the points
 *		are exact).
 */
#include <math.h>

#include "km_internal.h"

int
km_knee(const int *k, const double *inertia, int n)
{
	double		low = INFINITY;
	double		high = -INFINITY;
	double		span;
	double		step = 0;
	double		threshold = INFINITY;
	int			candidate = -1;
	double		before;
	double		here;

	if (n < 3)
		return -1;
	span = k[n - 1] - k[0];
	for (int i = 0; i < n; i++)
	{
		low = inertia[i] < low ? inertia[i] : low;
		high = inertia[i] > high ? inertia[i] : high;
	}
	if (!(high > low))
		return -1;
	for (int i = 1; i < n; i++)
		step += (k[i] - k[i - 1]) / span;
	step /= n - 1;

	/* distance of the normalised curve from its diagonal */
#define DISTANCE(i) \
	((1 - (inertia[i] - low) / (high - low)) - (k[i] - k[0]) / span)
	before = DISTANCE(0);
	here = DISTANCE(1);
	for (int i = 1; i < n; i++)
	{
		double		next = i + 1 < n ? DISTANCE(i + 1) : -INFINITY;

		/* the first candidate below whose threshold the curve falls */
		if (here > before && here >= next && i + 1 < n)
		{
			threshold = here - step;
			candidate = i;
		}
		else if (candidate >= 0 && here < threshold)
			return candidate;
		before = here;
		here = next;
	}
#undef DISTANCE
	return -1;
}

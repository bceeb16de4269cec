/*
 * knee.c
 *		Kneedle on curves whose knee is known.
 */
#include "tap.h"

#define POINTS	20

/* inertia of k clear groups: falls fast up to them, slowly after */
static void
corner(double *inertia, int *k, int n, int at, double before, double after)
{
	double		here = 1000;

	for (int i = 0; i < n; i++)
	{
		k[i] = i + 1;
		inertia[i] = here;
		here -= k[i] < at ? before : after;
	}
}

static void
test_corners(void)
{
	bool		found = true;
	bool		scaled = true;

	for (int n = 6; n <= POINTS; n++)
	{
		for (int at = 2; at < n - 1; at++)
		{
			int			k[POINTS];
			double		inertia[POINTS];

			corner(inertia, k, n, at, 40, 1);
			found &= km_knee(k, inertia, n) == at - 1;
			for (int i = 0; i < n; i++)
				inertia[i] = inertia[i] * 0x1p-300 + 0x1p-280;
			scaled &= km_knee(k, inertia, n) == at - 1;
		}
	}
	check(found, "a corner is the knee");
	check(scaled, "whatever the unit and the offset");
}

/*
 * The paper's definition, on smooth convex curves: the farthest from the
 * diagonal, if the curve comes back from there by more than a step.
 */
static void
test_smooth(void)
{
	bool		right = true;

	for (double power = 0.45; power < 4; power += 0.5)
	{
		int			k[POINTS];
		double		inertia[POINTS];
		double		most = -INFINITY;
		double		last;
		int			farthest = 0;

		for (int i = 0; i < POINTS; i++)
		{
			double		way;

			k[i] = i + 1;
			inertia[i] = pow(i + 1, -power);
			last = pow(POINTS, -power);
			way = (1 - inertia[i]) / (1 - last) - i / (POINTS - 1.0);
			if (way > most)
			{
				most = way;
				farthest = i;
			}
		}
		right &= km_knee(k, inertia, POINTS) == farthest;
	}
	check(right, "the farthest from the diagonal of a smooth curve");
}

static void
test_none(void)
{
	int			k[] = {1, 2, 3, 4, 5, 6};
	double		straight[] = {10, 9, 8, 7, 6, 5};
	double		flat[] = {3, 3, 3, 3, 3, 3};
	double		hollow[] = {10, 9.9, 9.7, 9.3, 8, 1};

	check(km_knee(k, straight, 6) == -1, "a straight line has no knee");
	check(km_knee(k, flat, 6) == -1, "nor has a flat one");
	check(km_knee(k, hollow, 6) == -1, "nor one that falls ever faster");
	check(km_knee(k, straight, 2) == -1 && km_knee(k, straight, 0) == -1,
		  "two points make no knee");
}

/* mall customers, income and score: five segments, as everybody finds */
static void
test_known(void)
{
	static const int k[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
	static const double inertia[] = {269981.28, 181363.595960, 106348.373062,
		73679.789039, 44448.455448, 37233.814511, 30227.606513, 24986.525641,
	21794.885610, 19634.554629};
	static const int sparse[] = {2, 4, 5, 8, 10};
	static const double some[] = {181363.595960, 73679.789039, 44448.455448,
	24986.525641, 19634.554629};

	check(km_knee(k, inertia, 10) == 4, "mall customers: 5");
	check(km_knee(sparse, some, 5) == 2, "also where k is given with gaps");
}

int
main(void)
{
	test_corners();
	test_smooth();
	test_none();
	test_known();
	return finish();
}

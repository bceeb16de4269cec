/*
 * knee.c
 *		Up to which k more segments find groups, and no longer after it.
 *
 * The drop of inertia at k is ln(W(k-1) / W(k)); its excess is what it is
 * above the mean drop of references, which have no groups (reference.c).  At
 * a knee the excess is substantial and then falls off: the gap statistic has
 * a corner there.  Data without groups has no excess, and so no knee, however
 * well its shape falls into some k pieces.  Groups of groups have two.
 */
#include <math.h>
#include <string.h>

#include "fit.h"

#define REFERENCES		5

/*
 * An excess is told from nothing when it is above each of: so much, so much
 * of the drop expected, so many standard deviations of that.
 */
#define LEAST_EXCESS	0.02
#define EXCESS_SHARE	0.1
#define EXCESS_NOISE	3.0

/* how many times what follows, and what is nothing, an excess has to be */
#define KNEE_STRENGTH	1.6

/* a second knee falls off at least so much of what the first one does */
#define SECOND_SHARE	0.25

/*
 * A segment for each different row leaves no inertia.  That is a knee only
 * where each occurs so often that the values are what the data is made of.
 */
#define ROWS_PER_VALUE	10

/* what excess at point i could be by chance */
static double
chance_excess(const double *expected, double noise, int i)
{
	double		chance = LEAST_EXCESS;

	chance = fmax(chance, EXCESS_SHARE * expected[i]);
	return fmax(chance, EXCESS_NOISE * noise);
}

static void
set_none(KmKnee *knee)
{
	knee->is_judged = false;
	knee->knee = -1;
	knee->second = -1;
	knee->is_open = false;
}

void
km_find_knees(const double *drop, const double *expected, double noise,
			  int n, bool is_end, KmKnee *knee)
{
	double		most = 0;
	double		next = 0;

	set_none(knee);
	for (int i = 1; i < (is_end ? n : n - 1); i++)
	{
		double		excess = drop[i] - expected[i];
		double		after = i + 1 < n ? drop[i + 1] - expected[i + 1] : 0;
		double		later = i + 2 < n ? drop[i + 2] - expected[i + 2] : after;
		double		fall;

		/* two drops in a row may share what one group more brings */
		later = fmax(0, fmax(after, (after + later) / 2));
		fall = excess - later;
		knee->is_judged = true;
		if (excess < KNEE_STRENGTH *
			(later + chance_excess(expected, noise, i)))
			continue;
		if (fall > most)
		{
			knee->second = knee->knee;
			next = most;
			knee->knee = i;
			most = fall;
		}
		else if (fall > next)
		{
			knee->second = i;
			next = fall;
		}
	}
	if (next < SECOND_SHARE * most)
		knee->second = -1;
	/* nothing beyond the end could be a second knee to so strong a first */
	knee->is_open = !is_end && n > 1 && drop[n - 1] - expected[n - 1] >=
		fmax(KNEE_STRENGTH * chance_excess(expected, noise, n - 1),
			 SECOND_SHARE * most);
}

/* Mean of each drop over the references, and how much one varies. */
static double
average_drops(const double *drops, int n, double *expected)
{
	double		squares = 0;

	for (int i = 1; i < n; i++)
	{
		double		sum = 0;

		for (int b = 0; b < REFERENCES; b++)
			sum += drops[b * n + i];
		expected[i] = sum / REFERENCES;
		for (int b = 0; b < REFERENCES; b++)
		{
			double		d = drops[b * n + i] - expected[i];

			squares += d * d;
		}
	}
	/* of a new one beside the mean of these */
	return sqrt(squares / ((REFERENCES - 1.0) * (n - 1)) *
				(1 + 1.0 / REFERENCES));
}

/*
 * The curve's points are inertia[0 .. n - 1] at first, first + 1, ...
 * segments; memory has room for REFERENCES + 2 numbers a point.
 * smallest: rows of the smallest segment at the last point.
 */
static KmStatus
judge_curve(KmFit *fit, const double *inertia, int first, int n,
			int64_t smallest, double *memory, KmKnee *knee)
{
	double	   *drop = memory;
	double	   *expected = drop + n;
	double	   *references = expected + n;
	double		noise;
	bool		is_last = fit->sample.complete &&
		first + n - 1 == fit->sample.distinct;

	for (int i = 1; i < n; i++)
		drop[i] = km_drop(inertia[i - 1], inertia[i], inertia[0]);
	KM_TRY(km_reference_drops(fit, first, n, REFERENCES, references));
	noise = average_drops(references, n, expected);
	km_find_knees(drop, expected, noise, n,
				  is_last && smallest >= ROWS_PER_VALUE, knee);
	/* with a segment for each different row there is no higher k to try */
	if (is_last)
		knee->is_open = false;
	return KM_OK;
}

KmStatus
km_fit_knee(KmFit *fit, KmSolution *const *solutions, int n, KmKnee *knee)
{
	int			skipped;		/* points before solutions[0] */
	double	   *memory;
	KmStatus	status = KM_OK;

	set_none(knee);
	while (n > 1 && solutions[n - 1]->k > KM_KNEE_MAX_K + 1)
		n--;
	if (n < 1 || !(fit->total > 0))
		return KM_OK;

	/* one segment is known without being asked for */
	skipped = solutions[0]->k == 2 ? 1 : 0;
	n += skipped;
	if (n < 2)
		return KM_OK;
	memory = km_alloc(fit->host, (size_t) n * (REFERENCES + 3),
					  sizeof(double));
	if (memory == NULL)
		return KM_NO_MEMORY;
	for (int i = 0; i < n; i++)
		memory[i] = i < skipped ? fit->total : solutions[i - skipped]->inertia;
	status = judge_curve(fit, memory, solutions[0]->k - skipped, n,
						 solutions[n - skipped - 1]->smallest, memory + n,
						 knee);
	knee->knee -= knee->knee >= 0 ? skipped : 0;
	knee->second -= knee->second >= 0 ? skipped : 0;
	km_free(fit->host, memory);
	return status;
}

/*
 * rule_best.c
 *		The best condition on one feature, from what its bins hold.
 *
 * The interval with the highest F1 need not be looked for among all pairs of
 * ends: for a given F it is enough to find the run of bins with the largest
 * sum of hits - F/2 * found, in one pass; its F1 is the next F, until it
 * rises no more (Dinkelbach, "On nonlinear fractional programming", 1967).
 * Sets of categories are found in the same way.
 */
#include <math.h>
#include <string.h>

#include "rules.h"

/* ---- intervals ---- */

/* The run of bins with the largest sum of hits - share * found. */
static void
largest_run(const int64_t *found, const int64_t *hits, int n, double share,
			int *low, int *high)
{
	double		best = -INFINITY;
	double		sum = 0;
	int			start = 0;

	for (int b = 0; b < n; b++)
	{
		double		gain = (double) hits[b] - share * (double) found[b];

		if (sum <= 0)
		{
			sum = 0;
			start = b;
		}
		sum += gain;
		if (sum > best)
		{
			best = sum;
			*low = start;
			*high = b;
		}
	}
}

static void
take_interval(KmPiece *piece, int low, int high, double f1, double cost)
{
	if (f1 - cost <= piece->f1 - piece->cost)
		return;
	piece->low = low;
	piece->high = high;
	piece->f1 = f1;
	piece->cost = cost;
}

bool
km_best_interval(const int64_t *found, const int64_t *hits, int n,
			  int64_t positives, double bound_cost, KmPiece *piece)
{
	double		one = KM_COST_FEATURE + bound_cost;
	double		two = KM_COST_FEATURE + 2 * bound_cost;
	int64_t		all_found = 0;
	int64_t		all_hits = 0;
	int64_t		some_found = 0;
	int64_t		some_hits = 0;
	double		f1;

	/* a part of a rule may cost more than it earns by itself */
	piece->f1 = 0;
	piece->cost = INFINITY;
	for (int b = 0; b < n; b++)
	{
		all_found += found[b];
		all_hits += hits[b];
	}
	take_interval(piece, 0, n - 1,
				  km_f1(all_found, all_hits, positives),
				  one);
	for (int b = 0; b < n - 1; b++)
	{
		some_found += found[b];
		some_hits += hits[b];
		take_interval(piece, 0, b,
					  km_f1(some_found, some_hits, positives),
					  one);
		take_interval(piece, b + 1, n - 1,
					  km_f1(all_found - some_found,
								 all_hits - some_hits, positives),
					  one);
	}

	f1 = piece->f1;
	for (;;)
	{
		int			low = 0;
		int			high = 0;
		double		better;

		largest_run(found, hits, n, f1 / 2, &low, &high);
		some_found = 0;
		some_hits = 0;
		for (int b = low; b <= high; b++)
		{
			some_found += found[b];
			some_hits += hits[b];
		}
		better = km_f1(some_found, some_hits, positives);
		if (!(better > f1))
			break;
		f1 = better;
		if (low > 0 && high < n - 1)
			take_interval(piece, low, high, f1,
						  two);
	}
	return piece->f1 > 0;
}

/* ---- sets of categories ---- */

/*
 * Up to KM_RULE_VALUES of n categories with the largest gain above 0, best
 * first.
 */
static int
largest_gains(const int64_t *found, const int64_t *hits, int n, double share,
			  double sign, int *values)
{
	double		gains[KM_RULE_VALUES];
	int			count = 0;

	for (int b = 0; b < n; b++)
	{
		double		gain = sign * ((double) hits[b] -
								   share * (double) found[b]);
		int			at = count;

		if (!(gain > 0) ||
			(count == KM_RULE_VALUES && gain <= gains[count - 1]))
			continue;
		if (count < KM_RULE_VALUES)
			count++;
		else
			at--;
		for (; at > 0 && gains[at - 1] < gain; at--)
		{
			gains[at] = gains[at - 1];
			values[at] = values[at - 1];
		}
		gains[at] = gain;
		values[at] = b;
	}
	return count;
}

/* How good the first count values are; take them if they are the best. */
static double
try_values(const int64_t *found, const int64_t *hits, int64_t all_found,
		   int64_t all_hits, int64_t positives, bool is_negated,
		   const int *values, int count, double bound_cost, KmPiece *piece)
{
	int64_t		some_found = 0;
	int64_t		some_hits = 0;
	double		f1;
	double		cost = km_values_cost(count, bound_cost);

	for (int v = 0; v < count; v++)
	{
		some_found += found[values[v]];
		some_hits += hits[values[v]];
	}
	f1 = is_negated ?
		km_f1(all_found - some_found, all_hits - some_hits, positives) :
		km_f1(some_found, some_hits, positives);
	if (f1 - cost > piece->f1 - piece->cost)
	{
		piece->is_negated = is_negated;
		piece->nvalues = count;
		for (int v = 0; v < count; v++)
			piece->values[v] = values[v];
		piece->f1 = f1;
		piece->cost = cost;
	}
	return f1;
}

/*
 * The best set of categories, named or excluded; the first nlisted of n bins
 * have names.
 */
static bool
best_values(const int64_t *found, const int64_t *hits, int n, int nlisted,
			int64_t positives, double bound_cost, KmPiece *piece)
{
	int64_t		all_found = 0;
	int64_t		all_hits = 0;

	/* a part of a rule may cost more than it earns by itself */
	piece->f1 = 0;
	piece->cost = INFINITY;
	for (int b = 0; b < n; b++)
	{
		all_found += found[b];
		all_hits += hits[b];
	}
	/* any value */
	(void) try_values(found, hits, all_found, all_hits, positives, true,
					  NULL, 0, bound_cost, piece);
	for (int negated = 0; negated <= 1; negated++)
	{
		double		f1 = negated ?
			km_f1(all_found, all_hits, positives) : 0;

		for (;;)
		{
			int			values[KM_RULE_VALUES] = {0};
			int			count = largest_gains(found, hits, nlisted, f1 / 2,
											  negated ? -1 : 1, values);
			double		better = 0;

			for (int v = 1; v <= count; v++)
				better = try_values(found, hits, all_found, all_hits,
									positives, negated, values, v, bound_cost,
									piece);
			if (!(better > f1))
				break;
			f1 = better;
		}
	}
	return piece->f1 > 0;
}

/* The best condition from rules->found and hits, by bins. */
bool
km_best_piece(const KmRules *rules, int segment, int f, KmPiece *piece)
{
	const KmRuleFeature *feature = &rules->features[f];
	int64_t		positives = rules->positives[segment];

	memset(piece, 0, sizeof(*piece));
	piece->feature = f;
	return feature->is_category ?
		best_values(rules->found, rules->hits, feature->nbins,
					feature->nlisted, positives, rules->bound_cost, piece) :
		km_best_interval(rules->found, rules->hits, feature->nbins, positives,
					  rules->bound_cost, piece);
}

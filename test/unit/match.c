/*
 * match.c
 *		Matchings against all there are, with ties, and on large matrices.
 */
#include "tap.h"

#define MOST	7				/* rows and columns for brute force */
#define LARGE	300

static size_t first[LARGE + 1];
static int	column[LARGE * LARGE];
static double cost[LARGE * LARGE];

/* A matrix with about this share of its pairs; integers below 0 if "ties". */
static KmCosts
make_costs(uint64_t *state, int nrows, int ncolumns, double share, int ties)
{
	KmCosts		costs = {nrows, ncolumns, first, column, cost};
	size_t		n = 0;

	for (int r = 0; r < nrows; r++)
	{
		first[r] = n;
		for (int c = 0; c < ncolumns; c++)
		{
			if (random_share(state) >= share)
				continue;
			column[n] = c;
			cost[n++] = ties > 0 ? -random_below(state, ties) :
				-random_share(state);
		}
	}
	first[nrows] = n;
	return costs;
}

/* Least cost of the rows from "row" on, when some columns are taken. */
static double
least_cost(const KmCosts *costs, int row, unsigned taken)
{
	double		least;

	if (row == costs->nrows)
		return 0;
	least = least_cost(costs, row + 1, taken);
	for (size_t e = costs->first[row]; e < costs->first[row + 1]; e++)
	{
		unsigned	bit = 1u << costs->column[e];
		double		total;

		if (taken & bit)
			continue;
		total = costs->cost[e] + least_cost(costs, row + 1, taken | bit);
		if (total < least)
			least = total;
	}
	return least;
}

/* Cost of a matching; 1 when it is none. */
static double
cost_of(const KmCosts *costs, const int *match)
{
	bool		taken[LARGE] = {false};
	double		sum = 0;

	for (int r = 0; r < costs->nrows; r++)
	{
		size_t		e = costs->first[r];

		if (match[r] < 0)
			continue;
		while (e < costs->first[r + 1] && costs->column[e] != match[r])
			e++;
		if (e == costs->first[r + 1] || taken[match[r]])
			return 1;
		taken[match[r]] = true;
		sum += costs->cost[e];
	}
	return sum;
}

static void
test_small(const char *name, double share, int ties)
{
	uint64_t	state = 5;
	TestHost	host;
	KmPoll		poll = {&host.host, 0};
	bool		least = true;
	bool		paired = true;

	host_init(&host);
	for (int round = 0; round < 2000; round++)
	{
		int			nrows = 1 + random_below(&state, MOST);
		int			ncolumns = 1 + random_below(&state, MOST);
		KmCosts		costs = make_costs(&state, nrows, ncolumns, share, ties);
		int			match[MOST];
		bool		used[MOST] = {false};

		least &= km_match(&host.host, &poll, &costs, match) == KM_OK &&
			fabs(cost_of(&costs, match) - least_cost(&costs, 0, 0)) < 1e-12;
		for (int r = 0; r < nrows; r++)
		{
			if (match[r] >= 0)
				used[match[r]] = true;
		}
		/* what can go together at cost 0 does */
		for (int r = 0; r < nrows; r++)
		{
			for (size_t e = first[r]; e < first[r + 1]; e++)
				paired &= match[r] >= 0 || used[column[e]];
		}
	}
	check(least, "%s: the least cost of all matchings", name);
	check(paired, "and nobody stays alone beside a free column");
	check(host.outstanding == 0, "all freed");
}

/* Columns in another order: the same cost, and twice the same matching. */
static void
test_large(void)
{
	uint64_t	state = 9;
	TestHost	host;
	KmPoll		poll = {&host.host, 0};
	KmCosts		costs;
	int			match[LARGE];
	int			again[LARGE];
	int			turned[LARGE];
	double		sum;

	host_init(&host);
	costs = make_costs(&state, LARGE, LARGE, 1, 0);
	check(km_match(&host.host, &poll, &costs, match) == KM_OK &&
		  km_match(&host.host, &poll, &costs, again) == KM_OK &&
		  memcmp(match, again, sizeof(match)) == 0,
		  "%d x %d: twice the same", LARGE, LARGE);
	sum = cost_of(&costs, match);
	for (size_t e = 0; e < first[LARGE]; e++)
		column[e] = LARGE - 1 - column[e];
	check(km_match(&host.host, &poll, &costs, turned) == KM_OK &&
		  near(cost_of(&costs, turned), sum, 1e-13),
		  "columns turned round: the same cost");
	/* 300 uniform numbers: the sum of the distances from 1 is near pi^2 / 6 */
	check(LARGE + sum > 1 && LARGE + sum < 2.2,
		  "as low as random numbers have it: %.3f", LARGE + sum);
}

static void
test_ties(void)
{
	uint64_t	state = 1;
	TestHost	host;
	KmPoll		poll = {&host.host, 0};
	KmCosts		costs;
	int			match[LARGE];
	bool		own = true;

	host_init(&host);
	costs = make_costs(&state, 5, 5, 1, 1);
	(void) km_match(&host.host, &poll, &costs, match);
	for (int r = 0; r < 5; r++)
		own &= match[r] == r;
	check(own, "all alike: the lowest column that is free");
	costs = make_costs(&state, 5, 5, 0, 1);
	(void) km_match(&host.host, &poll, &costs, match);
	check(match[0] == -1 && match[4] == -1, "no pairs: no matches");
}

static void
test_failures(void)
{
	uint64_t	state = 3;
	TestHost	host;
	KmPoll		poll = {&host.host, 0};
	KmCosts		costs = make_costs(&state, 60, 50, 0.5, 4);
	int			match[LARGE];
	bool		refused = true;
	bool		stopped = true;
	long		calls;
	long		polls;

	host_init(&host);
	(void) km_match(&host.host, &poll, &costs, match);
	calls = host.allocations;
	polls = host.polls;
	for (long n = 1; n <= calls; n++)
	{
		host_init(&host);
		host.refuse_at = n;
		refused &= km_match(&host.host, &poll, &costs, match) ==
			KM_NO_MEMORY && host.outstanding == 0;
	}
	for (long n = 1; n <= polls; n++)
	{
		host_init(&host);
		host.stop_at = n;
		poll.work = 0;
		stopped &= km_match(&host.host, &poll, &costs, match) ==
			KM_CANCELLED && host.polls == n && host.outstanding == 0;
	}
	check(refused && calls > 5, "each of %ld allocations refused", calls);
	check(stopped && polls > 1, "stopped at each of %ld polls", polls);
}

int
main(void)
{
	test_small("full", 1, 0);
	test_small("half full", 0.5, 0);
	test_small("ties", 1, 3);
	test_small("sparse, ties", 0.4, 3);
	test_small("no costs", 0.6, 1);
	test_large();
	test_ties();
	test_failures();
	return finish();
}

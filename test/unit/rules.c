/*
 * rules.c
 *		Rules: against all rules there are on little data, against plain
 *		counting, and whatever the host does.
 */
#include "tap.h"

#include "rules.h"

#define FEATURES	4

/* Little sets of rows; values are small integers, NaN when missing. */
typedef struct Rows
{
	int			n;
	int			nfeatures;
	int			k;
	KmKind		kinds[FEATURES];
	double	   *values;			/* n x nfeatures */
	int		   *segments;		/* -1: none */
} Rows;

static void
rows_init(Rows *rows, int n, int nfeatures, int k)
{
	memset(rows, 0, sizeof(*rows));
	rows->n = n;
	rows->nfeatures = nfeatures;
	rows->k = k;
	rows->values = calloc((size_t) n * nfeatures + 1, sizeof(double));
	rows->segments = calloc((size_t) n + 1, sizeof(int));
}

static void
rows_free(Rows *rows)
{
	free(rows->values);
	free(rows->segments);
}

static double *
row_values(const Rows *rows, int i)
{
	return rows->values + (size_t) i * rows->nfeatures;
}

/* Values below "range", some missing; segments follow the first feature. */
static void
rows_random(Rows *rows, uint64_t *state, int range, int noise, int missing)
{
	for (int i = 0; i < rows->n; i++)
	{
		for (int f = 0; f < rows->nfeatures; f++)
		{
			double		x = random_below(state, range);

			if (rows->kinds[f] == KM_CATEGORY && random_below(state, 8) == 0)
				x = -1;
			if (missing > 0 && random_below(state, missing) == 0)
				x = NAN;
			row_values(rows, i)[f] = x;
		}
		rows->segments[i] = (int) (row_values(rows, i)[0] * rows->k / range);
		if (isnan(row_values(rows, i)[0]) || rows->segments[i] < 0)
			rows->segments[i] = -1;
		if (noise > 0 && random_below(state, noise) == 0)
			rows->segments[i] = random_below(state, rows->k + 1) - 1;
	}
}

static KmStatus
open_rules(TestHost *host, const Rows *rows, const int *order, int sample,
		   KmRules **result)
{
	static const bool usable[FEATURES] = {true, true, true, true};
	KmRules    *rules = NULL;
	KmStatus	status = km_rules_create(&host->host, rows->nfeatures,
										 rows->kinds, usable, rows->k, sample,
										 0, &rules);

	for (int i = 0; i < rows->n && status == KM_OK; i++)
	{
		int			row = order == NULL ? i : order[i];

		status = km_rules_add(rules, row_values(rows, row),
							  rows->segments[row]);
	}
	if (status == KM_OK)
		status = km_rules_sample(rules);
	if (status != KM_OK)
	{
		km_rules_free(rules);
		rules = NULL;
	}
	*result = rules;
	return status;
}

/* ---- plain counting ---- */

static bool
holds(const Rows *rows, const KmCondition *condition, int row)
{
	double		x = row_values(rows, row)[condition->feature];
	bool		is_named = false;

	if (isnan(x))
		return false;
	if (rows->kinds[condition->feature] != KM_CATEGORY)
		return x >= condition->low && x < condition->high;
	for (int v = 0; v < condition->nvalues; v++)
		is_named |= x == condition->values[v];
	return is_named != condition->is_negated;
}

static void
count_rule(const Rows *rows, const KmRule *rule, int64_t *found,
		   int64_t *hits, int64_t *size)
{
	*found = 0;
	*hits = 0;
	*size = 0;
	for (int i = 0; i < rows->n; i++)
	{
		bool		finds = true;

		for (int j = 0; j < rule->nconditions; j++)
			finds &= holds(rows, &rule->conditions[j], i);
		*found += finds;
		*hits += finds && rows->segments[i] == rule->segment;
		*size += rows->segments[i] == rule->segment;
	}
}

static double
plain_f1(const Rows *rows, const KmRule *rule)
{
	int64_t		found;
	int64_t		hits;
	int64_t		size;

	count_rule(rows, rule, &found, &hits, &size);
	return found + size == 0 ? 0 :
		2.0 * (double) hits / (double) (found + size);
}

/* ---- all rules there are ---- */

/* Condition number n on a feature; false: there are no more. */
static bool
nth_condition(const Rows *rows, int f, int range, int n,
			  KmCondition *condition)
{
	memset(condition, 0, sizeof(*condition));
	condition->feature = f;
	if (rows->kinds[f] == KM_CATEGORY)
	{
		int			set = n / 2;

		if (set >= 1 << range)
			return false;
		condition->is_negated = n % 2;
		for (int v = 0; v < range; v++)
		{
			if ((set >> v & 1) == 0)
				continue;
			if (condition->nvalues == KM_RULE_VALUES)
				return nth_condition(rows, f, range, n + 2, condition);
			condition->values[condition->nvalues++] = v;
		}
		return true;
	}
	if (n >= (range + 1) * (range + 1))
		return false;
	condition->low = n % (range + 1) == 0 ? -INFINITY : n % (range + 1) - 0.5;
	condition->high = n / (range + 1) == range ? INFINITY :
		n / (range + 1) + 0.5;
	return true;
}

/* The best score of all rules with conditions on features from f on. */
static double
best_of_all(const KmRules *rules, const Rows *rows, int range, int f,
			KmRule *rule)
{
	double		best = plain_f1(rows, rule) - km_rule_cost(rules, rule, -1);

	for (; f < rows->nfeatures && rule->nconditions < KM_RULE_CONDITIONS; f++)
	{
		rule->nconditions++;
		for (int n = 0; nth_condition(rows, f, range, n,
									  &rule->conditions[rule->nconditions -
														1]); n++)
		{
			double		score = best_of_all(rules, rows, range, f + 1, rule);

			if (score > best)
				best = score;
		}
		rule->nconditions--;
	}
	return best;
}

static bool
is_sound(const Rows *rows, const KmRule *rule)
{
	bool		sound = rule->nconditions >= 0 &&
		rule->nconditions <= KM_RULE_CONDITIONS;

	for (int j = 0; j < rule->nconditions && sound; j++)
	{
		const KmCondition *condition = &rule->conditions[j];

		sound &= j == 0 || condition->feature >
			rule->conditions[j - 1].feature;
		sound &= condition->feature < rows->nfeatures;
		if (rows->kinds[condition->feature] == KM_CATEGORY)
		{
			sound &= condition->nvalues > 0 || condition->is_negated;
			for (int v = 1; v < condition->nvalues; v++)
				sound &= condition->values[v] > condition->values[v - 1];
		}
		else
			sound &= condition->low < condition->high;
	}
	return sound;
}

static void
test_best(const char *name, int nfeatures, int ncategories, int range,
		  int missing, int trials, double enough)
{
	uint64_t	state = 7;
	TestHost	host;
	int			cases = 0;
	int			equal = 0;
	double		worst = 0;
	bool		sound = true;
	bool		true_figures = true;

	host_init(&host);
	for (int t = 0; t < trials; t++)
	{
		KmRules    *rules;
		Rows		rows;

		rows_init(&rows, 4 + random_below(&state, 40), nfeatures, 3);
		for (int f = 0; f < ncategories; f++)
			rows.kinds[nfeatures - 1 - f] = KM_CATEGORY;
		rows_random(&rows, &state, range, 1 + random_below(&state, 9),
					missing);
		if (open_rules(&host, &rows, NULL, 100, &rules) != KM_OK)
			abort();
		for (int c = 0; c < rows.k; c++)
		{
			KmRule		rule;
			KmRule		all = {.segment = c};
			double		score;
			double		best;
			int64_t		found;
			int64_t		hits;
			int64_t		size;

			if (km_rules_size(rules, c) == 0)
				continue;
			if (km_rules_find(rules, c, &rule) != KM_OK ||
				km_rules_measure(rules, &rule, 1) != KM_OK)
				abort();
			sound &= is_sound(&rows, &rule);
			count_rule(&rows, &rule, &found, &hits, &size);
			true_figures &= rule.found == found && rule.hits == hits &&
				km_rules_size(rules, c) == size;
			score = plain_f1(&rows, &rule) - km_rule_cost(rules, &rule, -1);
			best = best_of_all(rules, &rows, range, 0, &all);
			cases++;
			equal += score >= best - 1e-9;
			if (best - score > worst)
				worst = best - score;
			if (score > best + 1e-9)
			{
				note("better than all: %g, %g", score, best);
				sound = false;
			}
		}
		km_rules_free(rules);
		rows_free(&rows);
	}
	check(equal >= enough * cases && worst < 0.06,
		  "%s: the best of all in %d of %d cases, worst by %.4f", name, equal,
		  cases, worst);
	check(sound && true_figures && host.outstanding == 0,
		  "in order, with true figures, and nothing left behind");
}

/* ---- bounds ---- */

/* Every bound in the gap finds the same, or nearly as good a set. */
static void
test_gap(void)
{
	uint64_t	state = 11;
	TestHost	host;
	bool		exact = true;
	bool		near_enough = true;
	int			bounds = 0;

	host_init(&host);
	for (int t = 0; t < 100; t++)
	{
		KmRules    *rules;
		Rows		rows;

		rows_init(&rows, 200, 3, 4);
		rows_random(&rows, &state, 60, 10, 20);
		if (open_rules(&host, &rows, NULL, 1000, &rules) != KM_OK)
			abort();
		for (int c = 0; c < rows.k; c++)
		{
			KmRule		rule;

			if (km_rules_find(rules, c, &rule) != KM_OK)
				abort();
			for (int b = 0; b < rule.nconditions * 2; b++)
			{
				KmCondition *condition = &rule.conditions[b / 2];
				bool		is_high = b % 2;
				double	   *bound = is_high ? &condition->high :
					&condition->low;
				double		at = *bound;
				double		f1 = plain_f1(&rows, &rule);

				if (!isfinite(at))
					continue;
				bounds++;
				for (int loose = 0; loose <= 1; loose++)
				{
					double		tolerance = loose * 0.02;
					double		below;
					double		above;

					if (km_rules_gap(rules, &rule, b / 2, is_high, tolerance,
									 &below, &above) != KM_OK)
						abort();
					exact &= below < at && at <= above;
					for (int i = 1; i <= 8; i++)
					{
						*bound = below + (above - below) * i / 8;
						if (loose)
							near_enough &= plain_f1(&rows, &rule) >=
								f1 - tolerance - 1e-12;
						else
							exact &= plain_f1(&rows, &rule) == f1;
					}
					*bound = at;
				}
			}
		}
		km_rules_free(rules);
		rows_free(&rows);
	}
	check(exact && bounds > 300, "%d bounds: all in the gap are as good",
		  bounds);
	check(near_enough, "with a tolerance, all are nearly as good");
}

/* ---- samples ---- */

static bool
same_rule(const KmRule *a, const KmRule *b)
{
	bool		same = a->nconditions == b->nconditions;

	for (int j = 0; j < a->nconditions && same; j++)
	{
		const KmCondition *x = &a->conditions[j];
		const KmCondition *y = &b->conditions[j];

		same = x->feature == y->feature && same_bits(x->low, y->low) &&
			same_bits(x->high, y->high) && x->is_negated == y->is_negated &&
			x->nvalues == y->nvalues &&
			memcmp(x->values, y->values, sizeof(int) * x->nvalues) == 0;
	}
	return same;
}

/* Equal rows, rare segments, missing values; in any order. */
static void
test_sample(void)
{
	uint64_t	state = 5;
	TestHost	host;
	Rows		rows;
	int		   *order;
	KmRule		first[4];
	bool		same = true;
	bool		fair = true;
	bool		has_rare = true;

	host_init(&host);
	rows_init(&rows, 20000, 3, 4);
	rows.kinds[2] = KM_CATEGORY;
	rows_random(&rows, &state, 9, 30, 15);
	for (int i = 0; i < rows.n; i++)
	{
		row_values(&rows, i)[1] = random_normal(&state);
		/* a third of them are one row, two are alone */
		if (i % 3 == 0)
		{
			row_values(&rows, i)[0] = 8;
			row_values(&rows, i)[1] = 0;
			row_values(&rows, i)[2] = 1;
			rows.segments[i] = 2;
		}
		else if (rows.segments[i] == 3)
			rows.segments[i] = 2;
		if (i == 77 || i == 7777)
		{
			row_values(&rows, i)[1] = 40 + i;
			rows.segments[i] = 3;
		}
	}
	order = malloc(sizeof(int) * rows.n);
	for (int i = 0; i < rows.n; i++)
		order[i] = i;
	for (int t = 0; t < 6; t++)
	{
		KmRules    *rules;
		int64_t		alike = 0;

		if (open_rules(&host, &rows, order, 2000, &rules) != KM_OK)
			abort();
		for (int c = 0; c < 4; c++)
		{
			KmRule		rule;

			if (km_rules_find(rules, c, &rule) != KM_OK)
				abort();
			if (t == 0)
				first[c] = rule;
			same &= same_rule(&rule, &first[c]);
		}
		for (int i = 0; i < rules->n; i++)
		{
			if (km_rule_value(rules, i, 0) == 8 &&
				km_rule_value(rules, i, 1) == 0)
				alike += rules->weight[i];
		}
		fair &= rules->n <= 2000 + 5 && rules->n >= 1500 &&
			near((double) alike, rows.n / 3.0 * 1024, 0.1) &&
			near((double) rules->total, rows.n * 1024.0, 0.001);
		has_rare &= rules->first[4] - rules->first[3] == 2 &&
			rules->positives[3] == 2 * 1024;
		km_rules_free(rules);
		shuffle(&state, order, rows.n);
	}
	check(same, "the same rules for any order of rows");
	check(fair, "a value that a third of the rows have weighs a third");
	check(has_rare && first[3].nconditions == 1 &&
		  first[3].conditions[0].feature == 1,
		  "two rows among many are in the sample, and found");
	free(order);
	rows_free(&rows);
	check(host.outstanding == 0, "and nothing left behind");
}

static void
test_sort(void)
{
	static const double values[] = {3, -INFINITY, -0.5, 5e-324, 0, -5e-324,
		INFINITY, 1e300, -1e300, 0.1, 0.1, -3, 2, 1e-310};
	enum
	{
		N = sizeof(values) / sizeof(*values)
	};
	uint64_t	key[N];
	uint32_t	index[N];
	uint32_t	spare[N];
	TestHost	host;
	KmPoll		poll;
	bool		rising = true;

	host_init(&host);
	poll.host = &host.host;
	poll.work = 0;
	for (int i = 0; i < N; i++)
	{
		key[i] = km_sort_key(values[i]);
		index[i] = (uint32_t) i;
	}
	check(km_sort_indexes(&poll, key, index, spare, N) == KM_OK, "sorted");
	for (int i = 1; i < N; i++)
		rising &= values[index[i - 1]] < values[index[i]] ||
			(values[index[i - 1]] == values[index[i]] &&
			 index[i - 1] < index[i]);
	check(rising, "doubles in order, equal ones as they came");
	check(km_sort_indexes(&poll, key, index, spare, 0) == KM_OK &&
		  km_sort_indexes(&poll, key, index, spare, 1) == KM_OK,
		  "none, and one");
}

/* A pass over millions of keys takes longer than a cancel may wait. */
static void
test_sort_polls(void)
{
	enum
	{
		N = 20000
	};
	uint64_t   *key = malloc(sizeof(uint64_t) * N);
	uint32_t   *index = malloc(sizeof(uint32_t) * N);
	uint32_t   *spare = malloc(sizeof(uint32_t) * N);
	TestHost	host;
	KmPoll		poll;

	host_init(&host);
	poll.host = &host.host;
	poll.work = 0;
	for (int i = 0; i < N; i++)
	{
		key[i] = km_mix((uint64_t) i);
		index[i] = (uint32_t) i;
	}
	check(km_sort_indexes(&poll, key, index, spare, N) == KM_OK &&
		  host.polls > 8 * N * 8.0 / KM_POLL_WORK,
		  "a sort polls within its passes");
	free(key);
	free(index);
	free(spare);
}

/* The x that km_mix() makes y of. */
static uint64_t
unmix(uint64_t y)
{
	y ^= y >> 31 ^ y >> 62;
	y *= UINT64_C(0x319642b2d24d8ec3);
	y ^= y >> 27 ^ y >> 54;
	y *= UINT64_C(0x96de1b173f119089);
	y ^= y >> 30 ^ y >> 60;
	return y;
}

/* Two different rows of one hash, the second the only one of its segment. */
static void
test_collision(void)
{
	const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
	const double segments[] = {0, 1};
	uint64_t	bits[2];
	uint64_t	hash;
	double		x = 0;
	TestHost	host;
	Rows		rows;
	KmRules    *rules;
	KmRule		rule;
	bool		right;

	memcpy(bits, segments, sizeof(bits));
	rows_init(&rows, 400, 1, 2);
	for (int i = 0; i < rows.n; i++)
		row_values(&rows, i)[0] = i;
	/* its bits have to be those of a number */
	do
	{
		uint64_t	first;

		row_values(&rows, 0)[0] = ++x / 7;
		memcpy(&first, row_values(&rows, 0), sizeof(first));
		hash = unmix(km_mix(first + odd) ^ (bits[0] + odd) ^ (bits[1] + odd)) - odd;
		memcpy(row_values(&rows, 399), &hash, sizeof(hash));
	} while (!isfinite(row_values(&rows, 399)[0]));
	rows.segments[399] = 1;

	host_init(&host);
	host.stop_at = 100000;
	right = open_rules(&host, &rows, NULL, 40, &rules) == KM_OK &&
		km_rules_find(rules, 1, &rule) == KM_OK &&
		km_rules_measure(rules, &rule, 1) == KM_OK;
	check(right && rule.hits == 1, "rows of one hash that are not alike");
	km_rules_free(rules);
	rows_free(&rows);
	check(host.outstanding == 0, "and nothing left behind");
}

/* ---- edges ---- */

static void
test_edges(void)
{
	static const bool none[FEATURES] = {false};
	TestHost	host;
	Rows		rows;
	KmRules    *rules;
	KmRule		rule;
	bool		right;

	host_init(&host);
	rows_init(&rows, 1, 2, 3);
	rows.segments[0] = 1;
	right = open_rules(&host, &rows, NULL, 100, &rules) == KM_OK &&
		km_rules_find(rules, 1, &rule) == KM_OK &&
		km_rules_measure(rules, &rule, 1) == KM_OK;
	check(right && rule.nconditions == 0 && rule.found == 1 && rule.hits == 1,
		  "a single row needs no condition");
	km_rules_free(rules);
	rows_free(&rows);

	/* nothing to tell rows apart by */
	rows_init(&rows, 10, 2, 2);
	rows.kinds[1] = KM_CATEGORY;
	for (int i = 0; i < rows.n; i++)
	{
		row_values(&rows, i)[0] = i % 3 == 0 ? NAN : 5;
		row_values(&rows, i)[1] = -1;
		rows.segments[i] = i % 2;
	}
	right = open_rules(&host, &rows, NULL, 100, &rules) == KM_OK &&
		km_rules_find(rules, 1, &rule) == KM_OK &&
		km_rules_measure(rules, &rule, 1) == KM_OK;
	check(right && rule.nconditions == 0 && rule.found == 10 && rule.hits == 5,
		  "rows that are alike: every row");
	km_rules_exclude(rules, 0);
	right = km_rules_sample(rules) == KM_OK &&
		km_rules_find(rules, 0, &rule) == KM_OK;
	check(right && rule.nconditions == 0, "the same without the feature");
	km_rules_free(rules);

	/* a missing value is what tells */
	for (int i = 0; i < rows.n; i++)
		rows.segments[i] = i % 3 == 0;
	right = open_rules(&host, &rows, NULL, 100, &rules) == KM_OK &&
		km_rules_find(rules, 0, &rule) == KM_OK &&
		km_rules_measure(rules, &rule, 1) == KM_OK;
	check(right && rule.nconditions == 1 && rule.found == 6 &&
		  rule.hits == 6 && isinf(rule.conditions[0].low) && isinf(rule.conditions[0].high),
		  "a value that is there or not");
	km_rules_free(rules);
	rows_free(&rows);

	/* no usable feature; no rows */
	rows_init(&rows, 4, 2, 2);
	right = km_rules_create(&host.host, 2, rows.kinds, none, 2, 100, 0,
							&rules) == KM_OK;
	right &= km_rules_sample(rules) == KM_OK;
	for (int i = 0; i < 4; i++)
	{
		row_values(&rows, i)[0] = i;
		right &= km_rules_add(rules, row_values(&rows, i), i / 2) == KM_OK;
	}
	right &= km_rules_sample(rules) == KM_OK &&
		km_rules_find(rules, 0, &rule) == KM_OK;
	check(right && rule.nconditions == 0, "no feature that may be used");
	km_rules_free(rules);
	rows_free(&rows);

	right = km_rules_create(&host.host, 2, (KmKind[]) {KM_NUMBER, KM_NUMBER},
							none, 2, 100, 4096, &rules) == KM_OK;
	for (int i = 0; i < 1000 && right; i++)
		right = km_rules_add(rules, (double[]) {1, 2}, 0) == KM_OK;
	check(!right, "more rows than the limit allows");
	km_rules_free(rules);
	check(host.outstanding == 0, "and nothing left behind");
}

/*
 * One row of a grid: a condition by itself is worth less than it costs, and
 * is needed all the same.
 */
static void
test_corner(const char *name, int nfeatures, KmKind kind, int side)
{
	TestHost	host;
	Rows		rows;
	KmRules    *rules;
	KmRule		rule;
	int			n = 1;
	bool		right;

	for (int f = 0; f < nfeatures; f++)
		n *= side;
	host_init(&host);
	rows_init(&rows, n, nfeatures, 2);
	for (int i = 0; i < n; i++)
	{
		int			rest = i;

		for (int f = 0; f < nfeatures; f++, rest /= side)
			row_values(&rows, i)[f] = rest % side;
		rows.segments[i] = i == n / 2 + side / 2;
	}
	for (int f = 0; f < nfeatures; f++)
		rows.kinds[f] = kind;
	right = open_rules(&host, &rows, NULL, 5000, &rules) == KM_OK &&
		km_rules_find(rules, 1, &rule) == KM_OK;
	check(right && rule.nconditions == nfeatures &&
		  plain_f1(&rows, &rule) == 1, "%s", name);
	km_rules_free(rules);
	rows_free(&rows);
	check(host.outstanding == 0, "and nothing left behind");
}

/* More categories than bins, and values than bins. */
static void
test_many(void)
{
	uint64_t	state = 3;
	TestHost	host;
	Rows		rows;
	KmRules    *rules;
	KmRule		rule;
	bool		right;

	host_init(&host);
	rows_init(&rows, 3000, 2, 2);
	rows.kinds[0] = KM_CATEGORY;
	for (int i = 0; i < rows.n; i++)
	{
		row_values(&rows, i)[0] = i % 1000;
		row_values(&rows, i)[1] = random_normal(&state);
		rows.segments[i] = row_values(&rows, i)[1] > 0.123;
	}
	right = open_rules(&host, &rows, NULL, 5000, &rules) == KM_OK &&
		km_rules_find(rules, 1, &rule) == KM_OK;
	check(right && rule.nconditions == 1 && rule.conditions[0].feature == 1 &&
		  plain_f1(&rows, &rule) == 1, "a cut inside of a bin is found");
	km_rules_free(rules);

	for (int i = 0; i < rows.n; i++)
		rows.segments[i] = i % 1000 >= 3 && i % 1000 < 8;
	right = open_rules(&host, &rows, NULL, 5000, &rules) == KM_OK &&
		km_rules_find(rules, 1, &rule) == KM_OK;
	check(right && rule.nconditions == 1 && rule.conditions[0].nvalues == 5 &&
		  plain_f1(&rows, &rule) == 1, "five of a thousand categories");
	right = km_rules_find(rules, 0, &rule) == KM_OK;
	check(right && plain_f1(&rows, &rule) > 0.99,
		  "and all the others");
	km_rules_free(rules);
	rows_free(&rows);
	check(host.outstanding == 0, "and nothing left behind");
}

/* ---- a host that refuses, or says stop ---- */

static KmStatus
run_scene(TestHost *host, const Rows *rows, int sample)
{
	KmRules    *rules;
	KmRule		list[4];
	double		below;
	double		above;
	KmStatus	status = open_rules(host, rows, NULL, sample, &rules);

	for (int c = 0; c < rows->k && status == KM_OK; c++)
	{
		status = km_rules_find(rules, c, &list[c]);
		if (status == KM_OK && list[c].nconditions > 0 &&
			rows->kinds[list[c].conditions[0].feature] != KM_CATEGORY)
			status = km_rules_gap(rules, &list[c], 0, false, 0.01, &below,
								  &above);
	}
	if (status == KM_OK)
		status = km_rules_measure(rules, list, rows->k);
	km_rules_free(rules);
	return status;
}

static void
test_failures(int sample)
{
	uint64_t	state = 9;
	TestHost	host;
	Rows		rows;
	bool		right = true;
	long		calls;
	long		polls;

	rows_init(&rows, 600, 3, 4);
	rows.kinds[1] = KM_CATEGORY;
	rows_random(&rows, &state, 40, 8, 20);
	host_init(&host);
	right &= run_scene(&host, &rows, sample) == KM_OK;
	calls = host.allocations;
	polls = host.polls;
	for (long n = 1; n <= calls; n++)
	{
		host_init(&host);
		host.refuse_at = n;
		if (run_scene(&host, &rows, sample) != KM_NO_MEMORY ||
			host.outstanding != 0)
		{
			note("allocation %ld: %ld outstanding", n, host.outstanding);
			right = false;
		}
	}
	check(right && calls > 30, "each of %ld allocations refused, sample %d",
		  calls, sample);
	right = true;
	for (long n = 1; n <= polls; n++)
	{
		host_init(&host);
		host.stop_at = n;
		if (run_scene(&host, &rows, sample) != KM_CANCELLED ||
			host.polls != n || host.outstanding != 0)
		{
			note("poll %ld of %ld", n, polls);
			right = false;
		}
	}
	check(right && polls > 20, "stopped at each of %ld polls", polls);
	rows_free(&rows);
}

int
main(void)
{
	test_best("one number", 1, 0, 8, 0, 300, 1);
	test_best("one number, values missing", 1, 0, 8, 4, 300, 1);
	test_best("one category", 1, 1, 6, 5, 300, 1);
	test_best("two numbers", 2, 0, 6, 6, 150, 0.97);
	test_best("number and category", 2, 1, 4, 6, 150, 0.97);
	test_best("three", 3, 1, 3, 0, 100, 0.97);
	test_gap();
	test_sample();
	test_sort();
	test_sort_polls();
	test_collision();
	test_edges();
	test_corner("a cell of a plane", 2, KM_NUMBER, 60);
	test_corner("a cell of a cube", 3, KM_NUMBER, 15);
	test_corner("a pair of categories", 2, KM_CATEGORY, 60);
	test_many();
	test_failures(1000);
	test_failures(100);
	return finish();
}

/*
 * rule_values.c
 *		Rules on the values themselves: a bin can hold both sides of a gap.
 *
 * What was found on bins is improved to the value; the best is the rule.  How
 * far its bounds can then be moved is for the caller to make use of.
 */
#include <math.h>
#include <string.h>

#include "rules.h"

/* drafts of several conditions that are looked at */
#define FINALISTS		3

/* ---- rows that a rule finds ---- */

/* First place in a feature's order whose value is not below x. */
static int
find_place(const KmRules *rules, int f, double x)
{
	const KmRuleFeature *feature = &rules->features[f];
	int			low = 0;
	int			high = feature->norder;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (km_rule_value(rules, feature->order[middle], f) < x)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A byte for each row: does the condition find it? */
static void
mask_condition(const KmRules *rules, const KmCondition *condition,
			   uint8_t *mask)
{
	int			f = condition->feature;
	const KmRuleFeature *feature = &rules->features[f];

	if (feature->is_category)
	{
		bool		passes[256] = {false};

		for (int b = 0; b < feature->nbins; b++)
			passes[b] = condition->is_negated;
		for (int b = 0; b < feature->nlisted; b++)
		{
			for (int v = 0; v < condition->nvalues; v++)
			{
				if (feature->listed[b] == condition->values[v])
					passes[b] = !condition->is_negated;
			}
		}
		for (int i = 0; i < rules->n; i++)
			mask[i] = passes[feature->bins[i]];
	}
	else
	{
		int			from = find_place(rules, f, condition->low);
		int			to = find_place(rules, f, condition->high);

		memset(mask, 0, rules->n);
		for (int i = from; i < to; i++)
			mask[feature->order[i]] = 1;
	}
}

static uint8_t *
condition_mask(const KmRules *rules, int j)
{
	return rules->masks + (size_t) j * rules->n;
}

/* The last mask: rows that all conditions but number skip find. */
static const uint8_t *
join_masks(const KmRules *rules, int nconditions, int skip)
{
	uint8_t    *joined = condition_mask(rules, KM_RULE_CONDITIONS);

	memset(joined, 1, rules->n);
	for (int j = 0; j < nconditions; j++)
	{
		const uint8_t *mask = condition_mask(rules, j);

		if (j == skip)
			continue;
		for (int i = 0; i < rules->n; i++)
			joined[i] &= mask[i];
	}
	return joined;
}

static double
condition_cost(const KmRules *rules, const KmCondition *condition)
{
	if (rules->features[condition->feature].is_category)
		return km_values_cost(condition->nvalues, rules->bound_cost);
	return KM_COST_FEATURE + rules->bound_cost *
		(isfinite(condition->low) && isfinite(condition->high) ? 2 : 1);
}

double
km_rule_cost(const KmRules *rules, const KmRule *rule, int skip)
{
	double		cost = 0;

	for (int j = 0; j < rule->nconditions; j++)
	{
		if (j != skip)
			cost += condition_cost(rules, &rule->conditions[j]);
	}
	return cost;
}

/*
 * Weights of each different value of a number among the masked rows:
 * rules->found and hits, and rules->starts, a row that has it.  How many
 * there are.
 */
static int
count_values(KmRules *rules, int segment, int f, const uint8_t *mask)
{
	const KmRuleFeature *feature = &rules->features[f];
	int			from = rules->first[segment];
	int			to = rules->first[segment + 1];
	double		last = 0;
	int			n = 0;

	for (int i = 0; i < feature->norder; i++)
	{
		int			row = feature->order[i];
		double		x;

		if (!mask[row])
			continue;
		x = km_rule_value(rules, row, f);
		if (n == 0 || x != last)
		{
			rules->found[n] = 0;
			rules->hits[n] = 0;
			rules->starts[n] = (uint16_t) row;
			last = x;
			n++;
		}
		rules->found[n - 1] += rules->weight[row];
		if (row >= from && row < to)
			rules->hits[n - 1] += rules->weight[row];
	}
	return n;
}

/* Weights of each bin among the masked rows. */
static void
count_masked(KmRules *rules, int segment, int f, const uint8_t *mask)
{
	int			nchosen = 0;

	for (int i = 0; i < rules->n; i++)
	{
		rules->chosen[nchosen] = (uint16_t) i;
		nchosen += mask[i];
	}
	km_count_chosen(rules, segment, f, nchosen);
}

static void
sort_values(int *values, int n)
{
	for (int i = 1; i < n; i++)
	{
		for (int j = i; j > 0 && values[j - 1] > values[j]; j--)
		{
			int			t = values[j];

			values[j] = values[j - 1];
			values[j - 1] = t;
		}
	}
}

static void
set_values(const KmRules *rules, const KmPiece *piece, KmCondition *condition)
{
	condition->is_negated = piece->is_negated;
	condition->nvalues = piece->nvalues;
	for (int v = 0; v < piece->nvalues; v++)
		condition->values[v] =
			rules->features[piece->feature].listed[piece->values[v]];
	sort_values(condition->values, condition->nvalues);
}

/*
 * The best condition on feature f for the masked rows, to the value.  False:
 * there is none.
 */
static bool
best_condition(KmRules *rules, int segment, int f, const uint8_t *mask,
			   KmCondition *condition, double *f1)
{
	int64_t		positives = rules->positives[segment];
	KmPiece		piece = {0};
	int			n;

	memset(condition, 0, sizeof(*condition));
	condition->feature = f;
	if (rules->features[f].is_category)
	{
		count_masked(rules, segment, f, mask);
		if (!km_best_piece(rules, segment, f, &piece))
			return false;
		set_values(rules, &piece, condition);
	}
	else
	{
		n = count_values(rules, segment, f, mask);
		if (!km_best_interval(rules->found, rules->hits, n, positives,
						   rules->bound_cost, &piece))
			return false;
		condition->low = piece.low == 0 ? -INFINITY :
			km_rule_value(rules, rules->starts[piece.low], f);
		condition->high = piece.high == n - 1 ? INFINITY :
			km_rule_value(rules, rules->starts[piece.high + 1], f);
	}
	*f1 = piece.f1;
	return true;
}

/* From bins to values. */
static void
start_rule(const KmRules *rules, int segment, const KmDraft *draft,
		   KmRule *rule)
{
	memset(rule, 0, sizeof(*rule));
	rule->segment = segment;
	rule->nconditions = draft->n;
	for (int p = 0; p < draft->n; p++)
	{
		const KmPiece *piece = &draft->pieces[p];
		const KmRuleFeature *feature = &rules->features[piece->feature];
		KmCondition *condition = &rule->conditions[p];

		condition->feature = piece->feature;
		if (feature->is_category)
		{
			set_values(rules, piece, condition);
			continue;
		}
		condition->low = -INFINITY;
		condition->high = INFINITY;
		for (int i = 1; i < feature->norder; i++)
		{
			int			row = feature->order[i];
			int			bin = feature->bins[row];
			int			before = feature->bins[feature->order[i - 1]];

			if (bin == piece->low && before < bin)
				condition->low = km_rule_value(rules, row, piece->feature);
			if (before == piece->high && before < bin)
				condition->high = km_rule_value(rules, row, piece->feature);
		}
	}
}

/* F1 of the masked rows. */
static double
mask_f1(const KmRules *rules, int segment, const uint8_t *mask)
{
	int64_t		found = 0;
	int64_t		hits = 0;

	for (int i = 0; i < rules->n; i++)
		found += mask[i] ? rules->weight[i] : 0;
	for (int i = rules->first[segment]; i < rules->first[segment + 1]; i++)
		hits += mask[i] ? rules->weight[i] : 0;
	return km_f1(found, hits, rules->positives[segment]);
}

/* Leave out conditions that do not earn their place. */
static void
drop_conditions(KmRules *rules, KmRule *rule, double *score)
{
	for (int j = 0; j < rule->nconditions;)
	{
		const uint8_t *mask = join_masks(rules, rule->nconditions, j);
		double		without = mask_f1(rules, rule->segment, mask) -
			km_rule_cost(rules, rule, j);

		if (without < *score)
		{
			j++;
			continue;
		}
		*score = without;
		rule->nconditions--;
		for (int i = j; i < rule->nconditions; i++)
		{
			rule->conditions[i] = rule->conditions[i + 1];
			memcpy(condition_mask(rules, i), condition_mask(rules, i + 1),
				   rules->n);
		}
		j = 0;
	}
}

/* Improve the conditions by turns, to the value. */
static KmStatus
improve_rule(KmRules *rules, KmRule *rule, double *score)
{
	int			segment = rule->segment;
	bool		changed = true;

	for (int j = 0; j < rule->nconditions; j++)
		mask_condition(rules, &rule->conditions[j], condition_mask(rules, j));
	*score = mask_f1(rules, segment,
					 join_masks(rules, rule->nconditions, -1)) -
		km_rule_cost(rules, rule, -1);
	for (int round = 0; changed && round < KM_RULE_ROUNDS; round++)
	{
		changed = false;
		for (int j = 0; j < rule->nconditions; j++)
		{
			const uint8_t *mask = join_masks(rules, rule->nconditions, j);
			KmCondition condition;
			double		f1;

			if (!km_poll(&rules->poll, rules->n * 10.0))
				return KM_CANCELLED;
			if (!best_condition(rules, segment, rule->conditions[j].feature,
								mask, &condition, &f1))
				continue;
			f1 -= condition_cost(rules, &condition) +
				km_rule_cost(rules, rule, j);
			if (f1 > *score + KM_RULE_EPSILON)
			{
				rule->conditions[j] = condition;
				mask_condition(rules, &condition, condition_mask(rules, j));
				*score = f1;
				changed = true;
			}
		}
	}
	drop_conditions(rules, rule, score);
	return KM_OK;
}

/* Improve each, and take the best if it is better than the rule so far. */
static KmStatus
take_best(KmRules *rules, const KmBeam *beam, KmRule *rule, double *score)
{
	for (int i = 0; i < beam->n; i++)
	{
		KmRule		other;
		double		other_score;

		start_rule(rules, rule->segment, &beam->drafts[i], &other);
		KM_TRY(improve_rule(rules, &other, &other_score));
		if (other_score > *score + KM_RULE_EPSILON)
		{
			*rule = other;
			*score = other_score;
		}
	}
	return KM_OK;
}

static double
segment_bound_cost(int64_t size)
{
	double		cost = KM_COST_BOUND_ROWS / 2 / (double) size;

	return cost < KM_COST_BOUND ? KM_COST_BOUND :
		cost > KM_COST_BOUND_MOST ? KM_COST_BOUND_MOST : cost;
}

KmStatus
km_rules_find(KmRules *rules, int segment, KmRule *rule)
{
	KmBeam		single = {KM_BEAM, 0, {{0}}};
	KmBeam		several = {FINALISTS, 0, {{0}}};
	double		score = km_f1(rules->total, rules->positives[segment],
								   rules->positives[segment]);

	/* every row: what a condition has to be better than */
	memset(rule, 0, sizeof(*rule));
	rule->segment = segment;
	rules->bound_cost = segment_bound_cost(rules->sizes[segment]);
	/* nothing to tell it from */
	if (rules->positives[segment] == rules->total)
		return KM_OK;

	KM_TRY(km_find_drafts(rules, segment, &single, &several));
	KM_TRY(take_best(rules, &single, rule, &score));
	return take_best(rules, &several, rule, &score);
}

/* ---- how far a bound can be moved ---- */

/*
 * Move a cut down (or up) over the values as long as what it finds stays good
 * enough.  found, hits: what it finds where it is; sign: 1 when a step finds
 * one value more.
 */
static int
move_cut(const KmRules *rules, int segment, int cut, int step, int end,
		 int sign, int64_t found, int64_t hits, double least)
{
	while (cut != end)
	{
		int			value = step < 0 ? cut - 1 : cut;

		found += sign * rules->found[value];
		hits += sign * rules->hits[value];
		if (km_f1(found, hits, rules->positives[segment]) < least)
			break;
		cut += step;
	}
	return cut;
}

/* Count the values that all of the rule but one bound finds. */
static int
count_without(KmRules *rules, const KmRule *rule, int condition, bool is_high)
{
	KmCondition other = rule->conditions[condition];

	if (is_high)
		other.high = INFINITY;
	else
		other.low = -INFINITY;
	for (int j = 0; j < rule->nconditions; j++)
		mask_condition(rules, j == condition ? &other : &rule->conditions[j],
					   condition_mask(rules, j));
	return count_values(rules, rule->segment, other.feature,
						join_masks(rules, rule->nconditions, -1));
}

KmStatus
km_rules_gap(KmRules *rules, const KmRule *rule, int condition, bool is_high,
			 double tolerance, double *below, double *above)
{
	int			segment = rule->segment;
	int			f = rule->conditions[condition].feature;
	double		at = is_high ? rule->conditions[condition].high :
		rule->conditions[condition].low;
	int			n = count_without(rules, rule, condition, is_high);
	int64_t		found = 0;
	int64_t		hits = 0;
	int			cut = 0;
	int			low;
	int			high;
	double		f1;

	/* the cut is before this value */
	while (cut < n && km_rule_value(rules, rules->starts[cut], f) < at)
		cut++;
	for (int b = is_high ? 0 : cut; b < (is_high ? cut : n); b++)
	{
		found += rules->found[b];
		hits += rules->hits[b];
	}
	f1 = km_f1(found, hits, rules->positives[segment]);
	low = cut;
	high = cut;
	if (tolerance > 0 && f1 < 1 && cut > 0 && cut < n)
	{
		int			sign = is_high ? 1 : -1;

		low = move_cut(rules, segment, cut, -1, 1, -sign, found, hits,
					   f1 - tolerance);
		high = move_cut(rules, segment, cut, 1, n - 1, sign, found, hits,
						f1 - tolerance);
	}
	*below = low == 0 ? -INFINITY :
		km_rule_value(rules, rules->starts[low - 1], f);
	*above = high == n ? INFINITY :
		km_rule_value(rules, rules->starts[high], f);
	return km_poll(&rules->poll, rules->n * 10.0) ? KM_OK : KM_CANCELLED;
}

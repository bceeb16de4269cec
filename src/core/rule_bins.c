/*
 * rule_bins.c
 *		The features of a sample in bins, and its rows in their order.
 */
#include <math.h>
#include <string.h>

#include "rules.h"

/* Rows that have a value, by rising value. */
static KmStatus
order_values(KmRules *rules, int f, uint64_t *key, uint32_t *index,
			 uint32_t *spare)
{
	KmRuleFeature *feature = &rules->features[f];
	int			n = 0;

	for (int i = 0; i < rules->n; i++)
	{
		double		x = km_rule_value(rules, i, f);

		key[i] = isnan(x) ? UINT64_MAX : km_sort_key(x);
		index[i] = (uint32_t) i;
		n += !isnan(x);
	}
	KM_TRY(km_sort_indexes(&rules->poll, key, index, spare, rules->n));
	feature->order = km_alloc(rules->host, (size_t) n, sizeof(uint16_t));
	if (feature->order == NULL)
		return KM_NO_MEMORY;
	for (int i = 0; i < n; i++)
		feature->order[i] = (uint16_t) index[i];
	feature->norder = n;
	return KM_OK;
}

/*
 * A bin for each value; for a range of them, of about as many rows each, when
 * there are too many.
 */
static void
bin_numbers(KmRules *rules, int f)
{
	KmRuleFeature *feature = &rules->features[f];
	int			n = feature->norder;
	int			ndistinct = 0;
	int			bin = -1;
	int64_t		quantile = -1;

	for (int i = 0; i < n; i++)
		ndistinct += i == 0 ||
			km_rule_value(rules, feature->order[i], f) !=
			km_rule_value(rules, feature->order[i - 1], f);
	memset(feature->bins, KM_BIN_MISSING, rules->n);
	for (int i = 0; i < n; i++)
	{
		int			row = feature->order[i];

		if (i == 0 || km_rule_value(rules, row, f) !=
			km_rule_value(rules, feature->order[i - 1], f))
		{
			int64_t		here = (int64_t) i * KM_BINS / n;

			if (ndistinct <= KM_BINS || here > quantile)
				bin++;
			quantile = here;
		}
		feature->bins[row] = (uint8_t) bin;
	}
	feature->nbins = bin + 1;
}

/* A bin for each of the most frequent categories, and one for the rest. */
static KmStatus
bin_categories(KmRules *rules, int f, uint64_t *key, uint32_t *index,
			   uint32_t *spare)
{
	KmRuleFeature *feature = &rules->features[f];
	int			ncategories = 0;
	int			most = KM_BINS - 1;
	bool		has_rest = false;
	int64_t    *counts;
	int		   *bin_of;
	KmStatus	status = KM_NO_MEMORY;

	for (int i = 0; i < rules->n; i++)
	{
		double		x = km_rule_value(rules, i, f);

		if (x >= ncategories)
			ncategories = (int) x + 1;
	}
	counts = km_alloc_zero(rules->host, ncategories, sizeof(int64_t));
	bin_of = km_alloc(rules->host, ncategories, sizeof(int));
	feature->listed = km_alloc(rules->host, most, sizeof(int));
	if (counts != NULL && bin_of != NULL && feature->listed != NULL)
	{
		for (int i = 0; i < rules->n; i++)
		{
			double		x = km_rule_value(rules, i, f);

			if (x >= 0)
				counts[(int) x] += rules->weight[i];
		}
		for (int v = 0; v < ncategories; v++)
		{
			key[v] = UINT64_MAX - (uint64_t) counts[v];
			index[v] = (uint32_t) v;
			bin_of[v] = -1;
		}
		status = km_sort_indexes(&rules->poll, key, index, spare,
								 ncategories);
		while (status == KM_OK && feature->nlisted < most &&
			   feature->nlisted < ncategories &&
			   counts[index[feature->nlisted]] > 0)
		{
			int			v = (int) index[feature->nlisted];

			bin_of[v] = feature->nlisted;
			feature->listed[feature->nlisted++] = v;
		}
		for (int i = 0; i < rules->n; i++)
		{
			double		x = km_rule_value(rules, i, f);
			int			bin = x >= 0 ? bin_of[(int) x] : -1;

			has_rest |= !isnan(x) && bin < 0;
			feature->bins[i] = (uint8_t) (isnan(x) ? KM_BIN_MISSING :
										  bin < 0 ? feature->nlisted : bin);
		}
		feature->nbins = feature->nlisted + has_rest;
	}
	km_free(rules->host, counts);
	km_free(rules->host, bin_of);
	return status;
}

static KmStatus
prepare_feature(KmRules *rules, int f, uint64_t *key, uint32_t *index,
				uint32_t *spare)
{
	KmRuleFeature *feature = &rules->features[f];

	feature->is_category = rules->kinds[f] == KM_CATEGORY;
	feature->usable = rules->usable[f];
	if (!feature->usable)
		return KM_OK;
	feature->bins = km_alloc(rules->host, rules->n, sizeof(uint8_t));
	feature->totals = km_alloc_zero(rules->host, 256, sizeof(int64_t));
	if (feature->bins == NULL || feature->totals == NULL)
		return KM_NO_MEMORY;
	if (feature->is_category)
		KM_TRY(bin_categories(rules, f, key, index, spare));
	else
	{
		KM_TRY(order_values(rules, f, key, index, spare));
		bin_numbers(rules, f);
	}
	for (int i = 0; i < rules->n; i++)
		feature->totals[feature->bins[i]] += rules->weight[i];
	return km_poll(&rules->poll, rules->n * 10.0) ? KM_OK : KM_CANCELLED;
}

static KmStatus
allocate_scratch(KmRules *rules)
{
	const KmHost *host = rules->host;
	size_t		n = rules->n > 256 ? rules->n : 256;

	rules->features = km_alloc_zero(host, rules->nfeatures,
									sizeof(KmRuleFeature));
	rules->found = km_alloc(host, n, sizeof(int64_t));
	rules->hits = km_alloc(host, n, sizeof(int64_t));
	rules->starts = km_alloc(host, n, sizeof(uint16_t));
	/* choosing rows without a branch writes one place further */
	rules->chosen = km_alloc(host, n + 1, sizeof(uint16_t));
	rules->masks = km_alloc(host, (size_t) rules->n,
							KM_RULE_CONDITIONS + 1);
	rules->single = km_alloc(host, rules->nfeatures, sizeof(uint64_t));
	rules->candidates = km_alloc(host, rules->nfeatures, sizeof(uint32_t));
	rules->spare = km_alloc(host, rules->nfeatures, sizeof(uint32_t));
	if (rules->features == NULL || rules->found == NULL ||
		rules->hits == NULL || rules->starts == NULL ||
		rules->chosen == NULL || rules->masks == NULL ||
		rules->single == NULL || rules->candidates == NULL ||
		rules->spare == NULL)
		return KM_NO_MEMORY;
	return KM_OK;
}

KmStatus
km_rules_prepare(KmRules *rules)
{
	const KmHost *host = rules->host;
	size_t		n = rules->n > KM_MAX_CATEGORIES ? rules->n :
		KM_MAX_CATEGORIES;
	uint64_t   *key = km_alloc(host, n, sizeof(uint64_t));
	uint32_t   *index = km_alloc(host, n, sizeof(uint32_t));
	uint32_t   *spare = km_alloc(host, n, sizeof(uint32_t));
	KmStatus	status = KM_NO_MEMORY;

	if (key != NULL && index != NULL && spare != NULL)
		status = allocate_scratch(rules);
	for (int f = 0; f < rules->nfeatures && status == KM_OK; f++)
		status = prepare_feature(rules, f, key, index, spare);
	km_free(host, key);
	km_free(host, index);
	km_free(host, spare);
	return status;
}

void
km_rules_release(KmRules *rules)
{
	const KmHost *host = rules->host;

	for (int f = 0; f < rules->nfeatures && rules->features != NULL; f++)
	{
		km_free(host, rules->features[f].bins);
		km_free(host, rules->features[f].order);
		km_free(host, rules->features[f].listed);
		km_free(host, rules->features[f].totals);
	}
	km_free(host, rules->features);
	km_free(host, rules->found);
	km_free(host, rules->hits);
	km_free(host, rules->starts);
	km_free(host, rules->chosen);
	km_free(host, rules->masks);
	km_free(host, rules->single);
	km_free(host, rules->candidates);
	km_free(host, rules->spare);
	rules->features = NULL;
	rules->found = NULL;
	rules->hits = NULL;
	rules->starts = NULL;
	rules->chosen = NULL;
	rules->masks = NULL;
	rules->single = NULL;
	rules->candidates = NULL;
	rules->spare = NULL;
}

/*
 * rule_search.c
 *		Finding rules that describe a segment, on bins.
 *
 * A rule is good when it finds the segment's rows and no others, and is
 * short: what is sought is the highest F1 (the harmonic mean of coverage and
 * precision) less a cost for each condition, bound and named value.
 *
 * The best condition on one feature, given the others, comes from two
 * histograms over its bins.  Rules grow by a condition at a time from a few
 * best ones (a beam), and their conditions are improved by turns.
 */
#include <string.h>

#include "rules.h"

/*
 * With many features only the best ones (by themselves) are tried as further
 * conditions: so many, or so many for all segments together.
 */
#define LEAST_CANDIDATES	64
#define ALL_CANDIDATES		20000

/* ---- rows that a draft finds ---- */

/* Which bins does the condition let through? */
static void
fill_passes(const KmRuleFeature *feature, const KmPiece *piece, bool *passes)
{
	memset(passes, 0, sizeof(bool) * 256);
	if (!feature->is_category)
	{
		for (int b = piece->low; b <= piece->high; b++)
			passes[b] = true;
		return;
	}
	for (int b = 0; b < feature->nbins; b++)
		passes[b] = piece->is_negated;
	for (int v = 0; v < piece->nvalues; v++)
		passes[piece->values[v]] = !piece->is_negated;
}

/* rules->chosen: rows that pass all conditions but number skip. */
static int
choose_rows(KmRules *rules, const KmDraft *draft, int skip)
{
	int			count = -1;

	for (int p = 0; p < draft->n; p++)
	{
		const KmRuleFeature *feature =
			&rules->features[draft->pieces[p].feature];
		bool		passes[256];
		int			n = 0;

		if (p == skip)
			continue;
		fill_passes(feature, &draft->pieces[p], passes);
		if (count < 0)
		{
			for (int i = 0; i < rules->n; i++)
			{
				rules->chosen[n] = (uint16_t) i;
				n += passes[feature->bins[i]];
			}
		}
		else
		{
			for (int i = 0; i < count; i++)
			{
				int			row = rules->chosen[i];

				rules->chosen[n] = (uint16_t) row;
				n += passes[feature->bins[row]];
			}
		}
		count = n;
	}
	if (count < 0)
	{
		for (int i = 0; i < rules->n; i++)
			rules->chosen[i] = (uint16_t) i;
		count = rules->n;
	}
	return count;
}

/* Histograms of a feature over the chosen rows. */
void
km_count_chosen(KmRules *rules, int segment, int f, int nchosen)
{
	const uint8_t *bins = rules->features[f].bins;
	int			from = rules->first[segment];
	int			to = rules->first[segment + 1];

	memset(rules->found, 0, sizeof(int64_t) * 256);
	memset(rules->hits, 0, sizeof(int64_t) * 256);
	for (int i = 0; i < nchosen; i++)
	{
		int			row = rules->chosen[i];

		rules->found[bins[row]] += rules->weight[row];
		if (row >= from && row < to)
			rules->hits[bins[row]] += rules->weight[row];
	}
}

static double
others_cost(const KmDraft *draft, int skip)
{
	double		cost = 0;

	for (int p = 0; p < draft->n; p++)
	{
		if (p != skip)
			cost += draft->pieces[p].cost;
	}
	return cost;
}

static bool
same_features(const KmDraft *a, const KmDraft *b)
{
	if (a->n != b->n)
		return false;
	for (int p = 0; p < a->n; p++)
	{
		if (a->pieces[p].feature != b->pieces[p].feature)
			return false;
	}
	return true;
}

/* Put a draft among the best, unless its features are there with a better. */
static void
keep_draft(KmBeam *beam, const KmDraft *draft)
{
	int			at = beam->n;

	for (int i = 0; i < beam->n; i++)
	{
		if (!same_features(&beam->drafts[i], draft))
			continue;
		if (!(draft->score > beam->drafts[i].score))
			return;
		memmove(&beam->drafts[i], &beam->drafts[i + 1],
				sizeof(KmDraft) * (beam->n - i - 1));
		beam->n--;
		at = beam->n;
		break;
	}
	while (at > 0 && beam->drafts[at - 1].score < draft->score)
		at--;
	if (at == beam->most)
		return;
	if (beam->n < beam->most)
		beam->n++;
	memmove(&beam->drafts[at + 1], &beam->drafts[at],
			sizeof(KmDraft) * (beam->n - at - 1));
	beam->drafts[at] = *draft;
}

static void
insert_piece(const KmDraft *draft, const KmPiece *piece, KmDraft *result)
{
	int			p = draft->n;

	*result = *draft;
	for (; p > 0 && draft->pieces[p - 1].feature > piece->feature; p--)
		result->pieces[p] = draft->pieces[p - 1];
	result->pieces[p] = *piece;
	result->n++;
	result->score = piece->f1 - piece->cost - others_cost(draft, -1);
}

/* Improve the conditions by turns. */
static KmStatus
improve_draft(KmRules *rules, int segment, KmDraft *draft)
{
	bool		changed = draft->n > 1;

	for (int round = 0; changed && round < KM_RULE_ROUNDS; round++)
	{
		changed = false;
		for (int p = 0; p < draft->n; p++)
		{
			int			f = draft->pieces[p].feature;
			int			nchosen = choose_rows(rules, draft, p);
			double		cost = others_cost(draft, p);
			KmPiece		piece;

			km_count_chosen(rules, segment, f, nchosen);
			if (km_best_piece(rules, segment, f, &piece) &&
				piece.f1 - piece.cost - cost > draft->score + KM_RULE_EPSILON)
			{
				draft->pieces[p] = piece;
				draft->score = piece.f1 - piece.cost - cost;
				changed = true;
			}
			if (!km_poll(&rules->poll, rules->n + 2000.0))
				return KM_CANCELLED;
		}
	}
	return KM_OK;
}

/*
 * The best condition on each feature by itself; the best ones start the
 * search, and their order tells which are tried as further ones.
 */
static KmStatus
try_single(KmRules *rules, int segment, KmBeam *beam)
{
	int			from = rules->first[segment];
	int			to = rules->first[segment + 1];

	for (int f = 0; f < rules->nfeatures; f++)
	{
		const KmRuleFeature *feature = &rules->features[f];
		KmDraft		none = {0};
		KmDraft		draft;
		KmPiece		piece;

		rules->candidates[f] = (uint32_t) f;
		rules->single[f] = ~km_sort_key(-1);
		if (!feature->usable)
			continue;
		memcpy(rules->found, feature->totals, sizeof(int64_t) * 256);
		memset(rules->hits, 0, sizeof(int64_t) * 256);
		for (int i = from; i < to; i++)
			rules->hits[feature->bins[i]] += rules->weight[i];
		if (!km_poll(&rules->poll, to - from + 2000.0))
			return KM_CANCELLED;
		if (!km_best_piece(rules, segment, f, &piece))
			continue;
		insert_piece(&none, &piece, &draft);
		rules->single[f] = ~km_sort_key(draft.score);
		keep_draft(beam, &draft);
	}
	return km_sort_indexes(&rules->poll, rules->single, rules->candidates,
						   rules->spare, rules->nfeatures);
}

/* One condition more, on each feature that a draft does not have. */
static KmStatus
extend_draft(KmRules *rules, int segment, const KmDraft *draft, KmBeam *beam)
{
	int			ncandidates = ALL_CANDIDATES / rules->k;
	int			nchosen = choose_rows(rules, draft, -1);

	if (ncandidates < LEAST_CANDIDATES)
		ncandidates = LEAST_CANDIDATES;
	if (ncandidates > rules->nfeatures)
		ncandidates = rules->nfeatures;
	for (int i = 0; i < ncandidates; i++)
	{
		int			f = (int) rules->candidates[i];
		bool		is_new = rules->features[f].usable;
		KmDraft		longer;
		KmPiece		piece;

		for (int p = 0; p < draft->n; p++)
			is_new &= draft->pieces[p].feature != f;
		if (!is_new)
			continue;
		km_count_chosen(rules, segment, f, nchosen);
		if (!km_poll(&rules->poll, nchosen + 2000.0))
			return KM_CANCELLED;
		if (!km_best_piece(rules, segment, f, &piece))
			continue;
		insert_piece(draft, &piece, &longer);
		keep_draft(beam, &longer);
	}
	return KM_OK;
}

/*
 * The same with the condition as wide as the segment: the best one by itself
 * may be too narrow for what the next one leaves.
 */
static bool
widen_piece(KmRules *rules, int segment, const KmDraft *draft, KmDraft *wide)
{
	const KmPiece *piece = &draft->pieces[0];
	const KmRuleFeature *feature = &rules->features[piece->feature];
	int			low = KM_BINS;
	int			high = -1;

	if (feature->is_category)
		return false;
	for (int i = rules->first[segment]; i < rules->first[segment + 1]; i++)
	{
		int			bin = feature->bins[i];

		if (bin == KM_BIN_MISSING)
			continue;
		low = bin < low ? bin : low;
		high = bin > high ? bin : high;
	}
	if (low > high || (low == piece->low && high == piece->high))
		return false;
	*wide = *draft;
	wide->pieces[0].low = low;
	wide->pieces[0].high = high;
	wide->pieces[0].cost = KM_COST_FEATURE + rules->bound_cost *
		(low > 0 && high < feature->nbins - 1 ? 2 : 1);
	return true;
}

/* The best drafts of one condition, and of several. */
KmStatus
km_find_drafts(KmRules *rules, int segment, KmBeam *single, KmBeam *several)
{
	KmBeam		beam;

	KM_TRY(try_single(rules, segment, single));
	beam = *single;
	for (int length = 2; length <= KM_RULE_CONDITIONS; length++)
	{
		KmBeam		next = {KM_BEAM, 0, {{0}}};

		for (int i = 0; i < beam.n; i++)
		{
			KmDraft		wide;

			KM_TRY(extend_draft(rules, segment, &beam.drafts[i], &next));
			if (length == 2 &&
				widen_piece(rules, segment, &beam.drafts[i], &wide))
				KM_TRY(extend_draft(rules, segment, &wide, &next));
		}
		for (int i = 0; i < next.n; i++)
		{
			KM_TRY(improve_draft(rules, segment, &next.drafts[i]));
			keep_draft(several, &next.drafts[i]);
		}
		beam = next;
	}
	return KM_OK;
}

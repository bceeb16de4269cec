/*
 * rules.h
 *		What the files share that find rules:
 *
 *		rules.c			rows, the sample of them, what a rule finds
 *		rule_bins.c		the sample's features in bins, and in order
 *		rule_best.c		the best condition on one feature
 *		rule_search.c	rules on bins
 *		rule_values.c	rules on the values themselves
 *
 * The sample's rows stand by segment.  Weights are integers, so no sum
 * depends on an order.
 */
#ifndef KM_RULES_H
#define KM_RULES_H

#include "km_internal.h"

/* a bin is a byte; the last value stands for a missing one */
#define KM_BINS			255
#define KM_BIN_MISSING	255

/* positions in a feature's order are 16 bits */
#define KM_RULE_SAMPLE_MAX	65535

/*
 * What a rule's parts have to earn in F1.  A condition with one bound costs
 * 0.02: for less, nobody would want to read a longer rule.  Nor for a single
 * row of a small segment of n rows, which is worth 1 / 2n: there a bound
 * costs ROWS / 2n, but no more than MOST.
 */
#define KM_COST_FEATURE		0.01
#define KM_COST_BOUND		0.01
#define KM_COST_BOUND_ROWS	1.5
#define KM_COST_BOUND_MOST	0.03
#define KM_COST_VALUE		0.005	/* a named category but the first */

/* a gain that is no rounding error */
#define KM_RULE_EPSILON	1e-12

/* conditions are improved by turns so often */
#define KM_RULE_ROUNDS	4

/* rules that are followed up at each length */
#define KM_BEAM			6

/* One feature of the sample. */
typedef struct KmRuleFeature
{
	bool		is_category;
	bool		usable;
	int			nbins;
	int			nlisted;		/* category: bins that have a name */
	int			norder;			/* number: rows that have a value */
	uint8_t    *bins;			/* of each row */
	uint16_t   *order;			/* number: rows by rising value */
	int		   *listed;			/* category: the code of a bin with a name */
	int64_t    *totals;			/* weight of each bin */
} KmRuleFeature;

struct KmRules
{
	/* set once */
	const KmHost *host;
	int			nfeatures;
	int			k;
	int64_t		want;			/* rows of the sample */
	KmPoll		poll;
	KmKind	   *kinds;
	bool	   *usable;

	/* while rows come in; slot nfeatures is the segment, k: none */
	KmRows	   *rows;
	double	   *values;			/* scratch: one row */
	int64_t    *sizes;			/* rows of each segment, k: of none */

	/* from km_rules_sample() on */
	int			n;
	const double **lanes;		/* each row's values, KM_LANES apart */
	int64_t    *weight;			/* of each row */
	int		   *first;			/* of each segment, k + 2 of them */
	int64_t    *positives;		/* weight of each segment */
	int64_t		total;			/* weight of all */
	KmRuleFeature *features;

	/* scratch of a search */
	double		bound_cost;		/* of the segment looked at */
	int64_t    *found;			/* weight of each bin or value */
	int64_t    *hits;			/* and of the segment in it */
	uint16_t   *starts;			/* a row of each value */
	uint16_t   *chosen;			/* rows that a rule finds */
	uint8_t    *masks;			/* a byte per row, for each condition, and
								 * one more */
	uint64_t   *single;			/* how bad each feature is alone */
	uint32_t   *candidates;		/* features, the best first */
	uint32_t   *spare;
};

/* index[0 .. n - 1], any permutation, by rising key[index[i]]; stable */
extern KmStatus km_sort_indexes(KmPoll *poll, const uint64_t *key,
								uint32_t *index, uint32_t *spare, int64_t n);

/* doubles' order as that of integers; not for NaN */
static inline uint64_t
km_sort_key(double x)
{
	union
	{
		double		x;
		uint64_t	bits;
	}			u = {x};

	return u.bits >> 63 ? ~u.bits : u.bits | UINT64_C(1) << 63;
}

static inline double
km_rule_value(const KmRules *rules, int row, int feature)
{
	return rules->lanes[row][(size_t) feature * KM_LANES];
}

/* A condition on bins. */
typedef struct KmPiece
{
	int			feature;
	int			low;			/* numbers: bins low .. high */
	int			high;
	bool		is_negated;		/* categories: these bins, or all others */
	int			nvalues;
	int			values[KM_RULE_VALUES];
	double		cost;
	double		f1;				/* of the rule with it */
} KmPiece;

typedef struct KmDraft
{
	int			n;
	KmPiece		pieces[KM_RULE_CONDITIONS]; /* by feature */
	double		score;
} KmDraft;

typedef struct KmBeam
{
	int			most;
	int			n;
	KmDraft		drafts[KM_BEAM];	/* the best first, no features twice */
} KmBeam;

static inline double
km_f1(int64_t found, int64_t hits, int64_t positives)
{
	return found + positives == 0 ? 0 :
		2 * (double) hits / (double) (found + positives);
}

/* ---- bins and orders of the sample (rule_bins.c) ---- */

extern KmStatus km_rules_prepare(KmRules *rules);
extern void km_rules_release(KmRules *rules);

/* ---- the best condition on one feature (rule_best.c) ---- */

static inline double
km_values_cost(int count, double bound_cost)
{
	return KM_COST_FEATURE + bound_cost +
		(count > 1 ? KM_COST_VALUE * (count - 1) : 0);
}

/*
 * The best interval of n bins (or values).  Bin 0 as low and n - 1 as high
 * stand for no bound; both, for any value that is not missing.  False: none
 * finds a row of the segment.
 */
extern bool km_best_interval(const int64_t *found, const int64_t *hits,
							 int n, int64_t positives, double bound_cost,
							 KmPiece *piece);
/* the best condition from rules->found and hits, by bins */
extern bool km_best_piece(const KmRules *rules, int segment, int f,
						  KmPiece *piece);

/* ---- rules on bins (rule_search.c) ---- */

/* histograms of a feature over the first of rules->chosen */
extern void km_count_chosen(KmRules *rules, int segment, int f, int nchosen);
/* the best drafts of one condition, and of several */
extern KmStatus km_find_drafts(KmRules *rules, int segment, KmBeam *single,
							   KmBeam *several);

/* ---- rules on values (rule_values.c) ---- */

/* what a rule's conditions cost; skip: number of one left out, or -1 */
extern double km_rule_cost(const KmRules *rules, const KmRule *rule,
						   int skip);

#endif							/* KM_RULES_H */

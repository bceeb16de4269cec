/*
 * bins.c
 *		How the rows of a fit are spread over bins of each feature, and the
 *		population stability index of two such counts.
 *
 * Numbers have bins of about equally many rows.  A value that takes more than
 * one of them (zero, often) has a bin of its own, so that a change of its
 * share shows; even a constant has one.
 *
 * When a fit is over its rows are positions.  They are cut there, and each
 * cut is then told as the least raw value that comes to stand above it: raw
 * values fall into the very bins that their positions were counted in, though
 * a position cannot be turned back into its value to the last bit.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fit.h"

/* a share below it is taken for it: one row more must not look like a lot */
#define LEAST_SHARE	0.0001

/* of one feature; one of each numeric slot is the input of KM_STEP_BINS */
typedef struct Cuts
{
	int64_t		n;
	double		at[KM_BIN_EDGES];	/* positions; one on a cut is above it */
} Cuts;

/* One column of the rows that cuts come from. */
typedef struct Column
{
	double	   *values;			/* positions */
	int64_t		n;
	double		slack;			/* half of what is between different values */
} Column;

/* ---- the index ---- */

static double
take_share(int64_t count, int64_t total)
{
	double		share = total > 0 ? (double) count / (double) total : 0;

	return share > LEAST_SHARE ? share : LEAST_SHARE;
}

double
km_psi_part(int64_t then, int64_t all_then, int64_t now, int64_t all_now)
{
	double		a = take_share(then, all_then);
	double		b = take_share(now, all_now);

	if (a == b)
		return 0;
	return a < b ? (b - a) * -km_log(a / b) : (a - b) * -km_log(b / a);
}

double
km_psi(const int64_t *then, const int64_t *now, int n)
{
	int64_t		all_then = 0;
	int64_t		all_now = 0;
	double		psi = 0;

	for (int i = 0; i < n; i++)
	{
		all_then += then[i];
		all_now += now[i];
	}
	for (int i = 0; i < n; i++)
		psi += km_psi_part(then[i], all_then, now[i], all_now);
	return psi;
}

void
km_bins_clear(KmBins *bins, KmKind kind)
{
	bins->ncounts = kind == KM_CATEGORY ? bins->ncategories + 2 :
		bins->nedges + 2;
	memset(bins->counts, 0, sizeof(bins->counts));
}

/* ---- columns ---- */

/* cosine: positions as they were before the row was set to length 1 */
static inline double
read_position(const KmTable *table, const double *lane, int slot)
{
	double		v = lane[slot * KM_LANES];

	return table->length_slot < 0 ? v :
		v * lane[table->length_slot * KM_LANES];
}

static void
read_picked(const KmPicked *picked, int slot, Column *column)
{
	const KmTable *table = picked->table;

	column->n = picked->n;
	for (int64_t i = 0; i < picked->n; i++)
		column->values[i] = *km_cell(table, table->blocks,
									 (int) picked->rows[i], slot);
}

/*
 * Positions are multiples of the grid.  With cosine they come back from
 * directions and lengths, so equal values are equal but for rounding.
 */
static double
find_slack(const KmFeature *feature, bool cosine)
{
	return ldexp(1, cosine ? 20 - feature->grid : -1 - feature->grid);
}

/* where a missing value was put */
static double
fill_position(const KmFeature *feature, bool cosine)
{
	return cosine ? km_position_raw(feature, feature->mean) :
		km_position(feature, feature->mean);
}

/* Leave out n of the values that stand there: they were missing. */
static void
drop_filled(Column *column, double fill, int64_t n)
{
	int64_t		kept = 0;

	for (int64_t i = 0; i < column->n; i++)
	{
		double		v = column->values[i];

		if (n > 0 && fabs(v - fill) <= column->slack)
			n--;
		else
			column->values[kept++] = v;
	}
	column->n = kept;
}

/* ---- cuts ---- */

static void
add_cut(Cuts *cuts, double at)
{
	if (cuts->n == 0 || at > cuts->at[cuts->n - 1])
		cuts->at[cuts->n++] = at;
}

/* Below each decile; above it as well, when the next one is the same. */
static void
find_cuts(const double *deciles, double slack, Cuts *cuts)
{
	double		before = -INFINITY;

	for (int i = 0; i < KM_BIN_EDGES; i++)
	{
		double		v = deciles[i];

		if (v - before <= slack)
			add_cut(cuts, before + slack);
		else
		{
			add_cut(cuts, v - slack);
			before = v;
		}
	}
}

/* The value that has so many tenths of n below it. */
static int64_t
decile_rank(int64_t n, int decile)
{
	return n * (decile + 1) / KM_NUMBER_BINS;
}

static KmStatus
select_deciles(KmPoll *poll, Column *column, double *deciles)
{
	int64_t		from = 0;

	for (int i = 0; i < KM_BIN_EDGES; i++)
	{
		int64_t		nth = decile_rank(column->n, i);

		KM_TRY(km_select(poll, column->values, from, column->n - 1, nth));
		deciles[i] = column->values[nth];
		from = nth;
	}
	return KM_OK;
}

/* The double that is number "key" in their order; 0 is 0. */
static double
double_of_key(int64_t key)
{
	uint64_t	bits = key < 0 ? (uint64_t) -key | UINT64_C(1) << 63 :
		(uint64_t) key;
	double		x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

static bool
is_above(const KmFeature *feature, bool cosine, double x, double cut)
{
	return (cosine ? km_position_raw(feature, x) :
			km_position(feature, x)) >= cut;
}

/* The least value above a cut; false: there is none, or none below. */
static bool
find_edge(const KmFeature *feature, bool cosine, double cut, double *edge)
{
	int64_t		high;
	int64_t		low;
	double		most = DBL_MAX;

	memcpy(&high, &most, sizeof(high));
	low = -high;
	if (is_above(feature, cosine, -DBL_MAX, cut) ||
		!is_above(feature, cosine, DBL_MAX, cut))
		return false;
	while ((uint64_t) high - (uint64_t) low > 1)
	{
		int64_t		middle = (int64_t)
			((uint64_t) low + ((uint64_t) high - (uint64_t) low) / 2);

		if (is_above(feature, cosine, double_of_key(middle), cut))
			high = middle;
		else
			low = middle;
	}
	*edge = double_of_key(high);
	return true;
}

/* Edges for the cuts; those that have none are dropped. */
static void
find_edges(const KmFeature *feature, bool cosine, Cuts *cuts, KmBins *bins)
{
	int			n = 0;

	for (int i = 0; i < cuts->n; i++)
	{
		double		edge;

		if (!find_edge(feature, cosine, cuts->at[i], &edge) ||
			(n > 0 && edge == bins->edges[n - 1]))
			continue;
		bins->edges[n] = edge;
		cuts->at[n++] = cuts->at[i];
	}
	cuts->n = n;
	bins->nedges = n;
}

/* ---- numbers ---- */

static int
find_bin(const Cuts *cuts, double v)
{
	int			bin = 0;

	for (int i = 0; i < cuts->n; i++)
		bin += v >= cuts->at[i];
	return bin;
}

typedef int64_t BinCounts[KM_NUMBER_BINS];	/* of one numeric slot */

static KmStatus
open_bins(KmJob *job)
{
	const Cuts *cuts = job->input;

	if (job->input_size != sizeof(Cuts) * job->table->nnum)
		return KM_BAD_FORMAT;
	for (int slot = 0; slot < job->table->nnum; slot++)
	{
		if (cuts[slot].n < 0 || cuts[slot].n > KM_BIN_EDGES)
			return KM_BAD_FORMAT;
	}
	job->state = km_alloc_zero(job->host, job->table->nnum,
							   sizeof(BinCounts));
	return job->state == NULL ? KM_NO_MEMORY : KM_OK;
}

static void
close_bins(KmJob *job)
{
	km_free(job->host, job->state);
	job->state = NULL;
}

static KmStatus
add_bins(KmJob *job, KmBlock *block)
{
	const KmTable *table = job->table;
	const Cuts *cuts = job->input;
	BinCounts  *counts = job->state;

	for (int t = 0; t < km_block_tiles(block); t++)
	{
		const double *tile = km_tile(table, block, t);
		int			n = km_tile_rows(block, t);

		for (int slot = 0; slot < table->nnum; slot++)
		{
			for (int l = 0; l < n; l++)
				counts[slot][find_bin(&cuts[slot],
									  read_position(table, tile + l,
													slot))]++;
		}
		if (!km_poll(job->poll, (double) n * table->nnum * KM_NUMBER_BINS))
			return KM_CANCELLED;
	}
	return KM_OK;
}

static size_t
size_bins(const KmJob *job)
{
	return sizeof(BinCounts) * job->table->nnum;
}

static void
write_bins(const KmJob *job, unsigned char *bytes)
{
	memcpy(bytes, job->state, size_bins(job));
}

static KmStatus
merge_bins(KmJob *job, const unsigned char *bytes, size_t size)
{
	BinCounts  *counts = job->state;

	if (size != size_bins(job))
		return KM_BAD_FORMAT;
	for (int slot = 0; slot < job->table->nnum; slot++)
	{
		for (int i = 0; i < KM_NUMBER_BINS; i++, bytes += sizeof(int64_t))
		{
			int64_t		n;

			memcpy(&n, bytes, sizeof(n));
			if (n < 0 || n > INT64_MAX / 2 - counts[slot][i])
				return KM_BAD_FORMAT;
			counts[slot][i] += n;
		}
	}
	return KM_OK;
}

const KmStep km_step_bins = {
	.id = KM_STEP_BINS,
	.name = "bins",
	.open = open_bins,
	.add = add_bins,
	.size = size_bins,
	.write = write_bins,
	.merge = merge_bins,
	.close = close_bins
};

/* Rows of the fit in the bins of all numeric features. */
static KmStatus
count_numbers(KmFit *fit, const Cuts *cuts, KmBins *bins)
{
	KmRun		run = km_fit_rows_run(fit);
	KmJob		job = km_run_job(&run, &km_step_bins);
	KmStatus	status;

	job.input = cuts;
	job.input_size = sizeof(Cuts) * fit->table->nnum;
	status = km_pass(&fit->source, &job);
	for (int slot = 0; slot < fit->table->nnum && status == KM_OK; slot++)
		memcpy(bins[fit->space.feature[slot]].counts,
			   ((const BinCounts *) job.state)[slot],
			   sizeof(int64_t) * (size_t) (cuts[slot].n + 1));
	close_bins(&job);
	return status;
}

static void
make_edges(KmFit *fit, int slot, const double *deciles, Cuts *cuts,
		   KmBins *bins)
{
	int			f = fit->space.feature[slot];
	const KmFeature *feature = &fit->features[f];
	bool		cosine = fit->space.cosine;

	cuts->n = 0;
	if (deciles != NULL)
		find_cuts(deciles, find_slack(feature, cosine), cuts);
	find_edges(feature, cosine, cuts, &bins[f]);
	km_bins_clear(&bins[f], KM_NUMBER);
}

static KmStatus
cut_picked(KmFit *fit, const KmPicked *picked, double *scratch, Cuts *cuts,
		   KmBins *bins)
{
	const KmTable *table = fit->table;
	Column		column = {0};

	column.values = scratch;
	for (int slot = 0; slot < table->nnum; slot++)
	{
		int			f = fit->space.feature[slot];
		const KmFeature *feature = &fit->features[f];
		double		missing = (double) table->missing[f];
		double		deciles[KM_BIN_EDGES];

		column.slack = find_slack(feature, false);
		read_picked(picked, slot, &column);
		missing *= (double) column.n / (double) table->nrows;
		drop_filled(&column, fill_position(feature, false),
					(int64_t) rint(missing));
		if (column.n > 0)
			KM_TRY(select_deciles(&fit->poll, &column, deciles));
		make_edges(fit, slot, column.n > 0 ? deciles : NULL, &cuts[slot],
				   bins);
		if (!km_poll(&fit->poll, (double) column.n * 2))
			return KM_CANCELLED;
	}
	return KM_OK;
}

/*
 * Cosine: the sample has directions alone, so all rows are looked at.  Of the
 * values those that were filled in are left out: they all stand at one place,
 * so it is enough to look at both values that may have a rank without them.
 */
#define RANKS_OF_SLOT	(2 * KM_BIN_EDGES)

static void
set_targets(const KmFit *fit, const KmRanking *ranking, int slot,
			KmRankTarget *targets)
{
	int64_t		missing = fit->table->missing[fit->space.feature[slot]];
	int64_t		n = km_ranking_count(ranking, slot) - missing;

	/* by rank: those without the missing ones before come first */
	for (int i = 0; i < RANKS_OF_SLOT; i++)
	{
		targets[i].slot = slot;
		targets[i].nth = decile_rank(n, i / 2) + (i % 2 == 0 ? 0 : missing);
	}
}

static int
compare_targets(const void *a, const void *b)
{
	const KmRankTarget *x = a;
	const KmRankTarget *y = b;

	return x->nth < y->nth ? -1 : x->nth > y->nth;
}

static double
find_target(const KmRankTarget *targets, int64_t nth)
{
	while (targets->nth != nth)
		targets++;
	return targets->value;
}

static void
take_targets(KmFit *fit, const KmRanking *ranking, int slot,
			 const KmRankTarget *targets, double *deciles)
{
	int			f = fit->space.feature[slot];
	int64_t		missing = fit->table->missing[f];
	int64_t		n = km_ranking_count(ranking, slot) - missing;
	double		fill = fill_position(&fit->features[f], true);
	double		slack = find_slack(&fit->features[f], true);

	for (int i = 0; i < KM_BIN_EDGES; i++)
	{
		int64_t		nth = decile_rank(n, i);
		double		below = find_target(targets, nth);
		double		above = find_target(targets, nth + missing);

		deciles[i] = missing == 0 || below < fill - slack ? below :
			above > fill + slack ? above : fill;
	}
}

static KmStatus
rank_deciles(KmFit *fit, KmRanking *ranking, KmRankTarget *targets,
			 Cuts *cuts, KmBins *bins)
{
	int			nnum = fit->table->nnum;
	int			n = 0;

	for (int slot = 0; slot < nnum; slot++)
	{
		if (fit->table->missing[fit->space.feature[slot]] >=
			km_ranking_count(ranking, slot))
			continue;
		set_targets(fit, ranking, slot, targets + n);
		qsort(targets + n, RANKS_OF_SLOT, sizeof(KmRankTarget),
			  compare_targets);
		n += RANKS_OF_SLOT;
	}
	KM_TRY(km_ranking_find(ranking, targets, n));
	n = 0;
	for (int slot = 0; slot < nnum; slot++)
	{
		double		deciles[KM_BIN_EDGES];
		bool		has_values =
			fit->table->missing[fit->space.feature[slot]] <
			km_ranking_count(ranking, slot);

		if (has_values)
		{
			take_targets(fit, ranking, slot, targets + n, deciles);
			n += RANKS_OF_SLOT;
		}
		make_edges(fit, slot, has_values ? deciles : NULL, &cuts[slot], bins);
	}
	return KM_OK;
}

static KmStatus
cut_all(KmFit *fit, Cuts *cuts, KmBins *bins)
{
	KmRun		run = km_fit_rows_run(fit);
	KmRanking  *ranking = NULL;
	KmRankTarget *targets = km_alloc_zero(fit->host,
										  (size_t) fit->table->nnum *
										  RANKS_OF_SLOT,
										  sizeof(KmRankTarget));
	KmStatus	status = targets == NULL ? KM_NO_MEMORY :
		km_ranking_create(&run, &ranking);

	if (status == KM_OK)
		status = rank_deciles(fit, ranking, targets, cuts, bins);
	km_ranking_free(ranking);
	km_free(fit->host, targets);
	return status;
}

/* Values that were filled in are taken out of the bin that they are in. */
static void
count_missing(const KmFit *fit, const Cuts *cuts, KmBins *bins)
{
	for (int slot = 0; slot < fit->table->nnum; slot++)
	{
		int			f = fit->space.feature[slot];
		double		fill = fill_position(&fit->features[f],
										 fit->space.cosine);
		int64_t    *filled = &bins[f].counts[find_bin(&cuts[slot], fill)];
		int64_t		missing = fit->table->missing[f];

		*filled -= missing < *filled ? missing : *filled;
		bins[f].counts[bins[f].ncounts - 1] = missing;
	}
}

static KmStatus
make_cuts(KmFit *fit, Cuts *cuts, KmBins *bins)
{
	KmPicked	picked;
	double	   *scratch;
	KmStatus	status;

	if (fit->space.cosine)
		return cut_all(fit, cuts, bins);
	KM_TRY(km_fit_pick(fit, KM_SILHOUETTE_ROWS, &picked));
	scratch = km_alloc(fit->host, (size_t) picked.n, sizeof(double));
	status = scratch == NULL ? KM_NO_MEMORY :
		cut_picked(fit, &picked, scratch, cuts, bins);
	km_picked_clear(&picked);
	km_free(fit->host, scratch);
	return status;
}

static KmStatus
make_number_bins(KmFit *fit, KmBins *bins)
{
	Cuts	   *cuts = km_alloc_zero(fit->host, fit->table->nnum,
									 sizeof(Cuts));
	KmStatus	status = cuts == NULL ? KM_NO_MEMORY :
		make_cuts(fit, cuts, bins);

	if (status == KM_OK)
		status = count_numbers(fit, cuts, bins);
	if (status == KM_OK)
		count_missing(fit, cuts, bins);
	km_free(fit->host, cuts);
	return status;
}

/* ---- categories ---- */

/* The most frequent ones, of equal ones the first. */
static void
make_category_bins(const KmFit *fit, int f, KmBins *bins)
{
	const KmFeature *feature = &fit->features[f];
	int64_t		missing = fit->table->missing[f];
	int			most = km_most_frequent(feature);
	int64_t		counts[KM_BIN_CATEGORIES];
	int64_t		others = 0;
	int			n = 0;

	for (int v = 0; v < feature->ncategories; v++)
	{
		int64_t		count = feature->counts[v] - (v == most ? missing : 0);
		int			at = n;

		while (at > 0 && counts[at - 1] < count)
			at--;
		if (at == KM_BIN_CATEGORIES)
		{
			others += count;
			continue;
		}
		if (n == KM_BIN_CATEGORIES)
			others += counts[--n];
		memmove(counts + at + 1, counts + at, sizeof(int64_t) * (n - at));
		memmove(bins->categories + at + 1, bins->categories + at,
				sizeof(int) * (n - at));
		counts[at] = count;
		bins->categories[at] = v;
		n++;
	}
	bins->ncategories = n;
	km_bins_clear(bins, KM_CATEGORY);
	memcpy(bins->counts, counts, sizeof(int64_t) * n);
	bins->counts[n] = others;
	bins->counts[n + 1] = missing;
}

KmStatus
km_fit_bins(KmFit *fit, KmBins *bins)
{
	memset(bins, 0, sizeof(KmBins) * fit->space.nfeatures);
	for (int f = 0; f < fit->space.nfeatures; f++)
	{
		if (fit->features[f].kind == KM_CATEGORY)
			make_category_bins(fit, f, &bins[f]);
	}
	return fit->table->nnum == 0 ? KM_OK : make_number_bins(fit, bins);
}

/*
 * stability.c
 *		How well a segmentation survives resampling.
 *
 * Segments that are in the data come out again when other rows of it are
 * segmented; pieces that k-means cut out of one cloud come out elsewhere each
 * time (Ben-Hur, Elisseeff, Guyon, "A stability based method for discovering
 * structure in clustered data", 2002; Hennig, "Cluster-wise assessment of
 * cluster stability", 2007).  So halves of the sample are segmented anew, all
 * rows of the sample get the segment that such a refit gives them, and that
 * is compared with the solution's own: stability is the mean of the adjusted
 * Rand indices.  1: always the same; 0: no better than chance.
 *
 * Which copies of a row are in a half comes from the row's content.
 */
#include <math.h>
#include <string.h>

#include "sketch.h"
#include "fit.h"

/* fewer for many segments: each takes longer, and more rows decide */
#define REFITS			8
#define REFITS_MANY		4
#define MANY_SEGMENTS	16

/*
 * Chains of a refit, and swaps in a row that may fail.  A refit that misses
 * what a better search would have found makes a good solution look unstable;
 * with few segments a swap has few to choose from, and costs little.
 */
#define FAILURES		5
#define FAILURES_FEW	10
#define CHAINS_FEW		2
#define FEW_SEGMENTS	5

/* beyond, pairs of segments are counted where they occur */
#define TABLE_SEGMENTS	256

/* weights are integers of so many bits at most */
#define WEIGHT_BITS		20

typedef struct Stability
{
	/* set once */
	const KmEvidence *evidence;
	KmFit	   *fit;
	/* changes with each refit */
	KmSample	half;
	uint16_t   *own;			/* the solution's segment of each row */
	uint16_t   *other;			/* the refit's */
	int64_t    *table;
	KmPair	   *pairs;
} Stability;

/* ---- halves ---- */

/* How many of a row's copies are in a half: each by one bit. */
static int64_t
copies_in_half(const KmDraw *draw, int64_t row, uint64_t stream)
{
	int64_t		n = 0;
	uint64_t	bits = 0;

	for (int64_t j = 0; j < draw->multiplicity[row]; j++)
	{
		if (j % 64 == 0)
			bits = km_mix(draw->hash[row] ^ km_mix(stream + (uint64_t) j));
		n += bits & 1;
		bits >>= 1;
	}
	return n;
}

/* The rows of a half, with their weights. */
static KmStatus
fill_half(Stability *s, uint64_t stream)
{
	const KmDraw *draw = s->evidence->draw;
	const KmSpace *space = &s->fit->space;
	bool		weighted = s->fit->table->weight_slot >= 0;
	KmSample   *half = &s->half;
	int64_t		n = 0;

	half->weight = 0;
	half->squares = 0;
	for (int64_t i = 0; i < draw->table.nrows; i++)
	{
		int64_t		copies = copies_in_half(draw, i, stream);
		const double *from;
		double	   *to;
		double		weight = (double) copies;

		if (copies == 0)
			continue;
		if (weighted)
			weight = fmax(1, rint(weight * draw->weight[i] *
								  (1 << WEIGHT_BITS)));
		from = km_cell(&draw->table, draw->table.blocks, (int) i, 0);
		to = km_cell(&half->table, half->table.blocks, (int) n, 0);
		half->norm[n] = 0;
		for (int f = 0; f < space->nfeatures; f++)
		{
			double		x = from[f * KM_LANES];

			to[f * KM_LANES] = x;
			x = f < space->nnum ? x : space->factor[f - space->nnum];
			half->norm[n] += x * x;
		}
		to[half->table.weight_slot * KM_LANES] = weight;
		half->hash[n] = draw->hash[i];
		half->weight += weight;
		half->squares += weight * half->norm[n];
		n++;
		if (!km_poll(&s->fit->poll, copies + 2 * space->nfeatures))
			return KM_CANCELLED;
	}
	half->distinct = n;
	half->table.nrows = n;
	half->table.blocks[0].nrows = (int) n;
	return KM_OK;
}

/* ---- comparing ---- */

/* Adjusted Rand index of own and other over the rows drawn. */
static KmStatus
compare_labels(Stability *s, int k, double *index)
{
	const KmDraw *draw = s->evidence->draw;
	int64_t		n = draw->table.nrows;

	if (k > TABLE_SEGMENTS)
	{
		for (int64_t i = 0; i < n; i++)
		{
			s->pairs[i].a = s->own[i];
			s->pairs[i].b = s->other[i];
			s->pairs[i].count = draw->multiplicity[i];
		}
		return km_adjusted_rand_pairs(s->fit->host, s->pairs, (size_t) n,
									  index);
	}
	memset(s->table, 0, sizeof(int64_t) * k * k);
	for (int64_t i = 0; i < n; i++)
		s->table[s->own[i] * k + s->other[i]] += draw->multiplicity[i];
	*index = km_adjusted_rand(s->table, k, k);
	return KM_OK;
}

/*
 * One refit for one solution: its index is added to what others gave.  NAN:
 * the half has too few different rows.
 */
static KmStatus
compare_refit(Stability *s, const KmSolution *solution, int refit,
			  double *index)
{
	KmFit	   *fit = s->fit;
	KmOptions	options = fit->options;
	int			k = solution->k;
	KmPool		pool;
	KmStatus	status;

	*index = NAN;
	if (s->half.distinct < k)
		return KM_OK;
	options.n_init = k < FEW_SEGMENTS ? CHAINS_FEW : 1;
	options.failures = k < FEW_SEGMENTS ? FAILURES_FEW : FAILURES;
	options.seed = km_mix(fit->options.seed +
						  km_mix((uint64_t) k * REFITS + (uint64_t) refit));
	KM_TRY(km_pool_create(&fit->space, k, &pool));
	status = km_search(&s->half, &fit->space, &fit->poll, &options, k,
					   NULL, 0, &pool);
	if (status == KM_OK)
		status = km_evidence_labels(s->evidence, pool.centers[0], k,
									s->other);
	if (status == KM_OK)
		status = compare_labels(s, k, index);
	km_pool_clear(&fit->space, &pool);
	return status;
}

/* ---- all of it ---- */

static KmStatus
create_stability(const KmEvidence *evidence, Stability *s)
{
	const KmHost *host = evidence->fit->host;
	const KmTable *table = &evidence->draw->table;
	size_t		n = (size_t) table->nrows;
	int			most = 1;

	memset(s, 0, sizeof(*s));
	s->evidence = evidence;
	s->fit = evidence->fit;
	for (int i = 0; i < evidence->n; i++)
	{
		if (evidence->solutions[i]->k <= TABLE_SEGMENTS)
			most = evidence->solutions[i]->k;
	}
	s->own = km_alloc(host, n, sizeof(uint16_t));
	s->other = km_alloc(host, n, sizeof(uint16_t));
	s->pairs = km_alloc(host, n, sizeof(KmPair));
	s->table = km_alloc(host, (size_t) most * most, sizeof(int64_t));
	s->half.hash = km_alloc(host, n, sizeof(uint64_t));
	s->half.norm = km_alloc(host, n, sizeof(double));
	s->half.complete = true;
	if (s->own == NULL || s->other == NULL || s->pairs == NULL ||
		s->table == NULL || s->half.hash == NULL || s->half.norm == NULL)
		return KM_NO_MEMORY;
	return km_table_clone(table, table->nrows, &s->half.table);
}

static void
free_stability(Stability *s)
{
	const KmHost *host = s->fit->host;

	km_sample_clear(host, &s->half);
	km_free(host, s->own);
	km_free(host, s->other);
	km_free(host, s->pairs);
	km_free(host, s->table);
}

static KmStatus
measure_stability(Stability *s, double *stability)
{
	const KmEvidence *evidence = s->evidence;

	for (int i = 0; i < evidence->n; i++)
		stability[i] = evidence->solutions[i]->k > 1 ? 0 : NAN;
	for (int b = 0; b < REFITS; b++)
	{
		km_report(s->fit->host, KM_PHASE_STABILITY, b + 1, REFITS);
		KM_TRY(fill_half(s, km_mix(s->fit->options.seed +
								   km_mix((uint64_t) b))));
		for (int i = 0; i < evidence->n; i++)
		{
			const KmSolution *solution = evidence->solutions[i];
			int			refits = solution->k > MANY_SEGMENTS ? REFITS_MANY :
				REFITS;
			double		index;

			if (isnan(stability[i]) || b >= refits)
				continue;
			KM_TRY(km_evidence_labels(evidence, solution->centers,
									  solution->k, s->own));
			KM_TRY(compare_refit(s, solution, b, &index));
			stability[i] += index / refits;
		}
	}
	return KM_OK;
}

KmStatus
km_evidence_stability(const KmEvidence *evidence, double *stability)
{
	Stability	s;
	KmStatus	status = create_stability(evidence, &s);

	if (status == KM_OK)
		status = measure_stability(&s, stability);
	free_stability(&s);
	return status;
}

/*
 * ranks.c
 *		Order statistics of rows that cannot be copied and sorted: narrowed
 *		down by passes that count.
 *
 * Doubles have an order as integers.  A pass counts the values between two of
 * these in some thousand bins, and keeps the least and the largest of each
 * bin; the next pass looks between those two of the bin that has the one
 * wanted, until they are equal.  Columns of few different values take two
 * passes, others four.
 */
#include <math.h>
#include <string.h>

#include "steps.h"

/* bins of all searches of a pass, about 4 MB; of one: so many bits */
#define MAX_BINS	(1 << 17)
#define MIN_BITS	3
#define MAX_BITS	12

/* Where a pass looks: keys of a slot from low to high. */
typedef struct Search
{
	int64_t		slot;
	uint64_t	low;
	uint64_t	high;
} Search;

/* The input: this, then the searches, by slot. */
typedef struct RanksInput
{
	int32_t		nsearches;
	int32_t		bits;			/* 2^bits bins each */
} RanksInput;

typedef struct Bin
{
	int64_t		count;
	uint64_t	low;			/* least key; the largest there is without */
	uint64_t	high;
} Bin;

typedef struct Counting
{
	int			n;
	int			bits;
	const Search *searches;		/* the input's */
	Bin		   *bins;			/* n << bits */
} Counting;

struct KmRanking
{
	KmRun		run;
	int			nnum;
	int64_t    *counts;			/* values of each slot */
	Search	   *searches;		/* of the next pass */
	int			nsearches;
	/* of the first pass, one search a slot */
	int			bits;
	Bin		   *bins;
};

/* ---- keys ---- */

static inline uint64_t
key_of_double(double x)
{
	uint64_t	bits;

	x += 0.0;					/* no -0 */
	memcpy(&bits, &x, sizeof(bits));
	return bits >> 63 != 0 ? ~bits : bits | UINT64_C(1) << 63;
}

static double
double_of_key(uint64_t key)
{
	uint64_t	bits = key >> 63 != 0 ? key & ~(UINT64_C(1) << 63) : ~key;
	double		x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

/* so that (high - low) >> shift is below 2^bits */
static inline int
find_shift(const Search *search, int bits)
{
	uint64_t	range = search->high - search->low;
	int			length = 0;

	while (length < 64 && range >> length != 0)
		length++;
	return length > bits ? length - bits : 0;
}

/* ---- the step ---- */

static KmStatus
open_ranks(KmJob *job)
{
	const RanksInput *input = job->input;
	Counting   *c;
	size_t		nbins;

	if (job->input_size < sizeof(*input) || input->nsearches < 0 ||
		input->bits < MIN_BITS || input->bits > MAX_BITS ||
		(input->bits > MIN_BITS &&
		 (size_t) input->nsearches << input->bits > MAX_BINS) ||
		(job->input_size - sizeof(*input)) / sizeof(Search) !=
		(size_t) input->nsearches ||
		(job->input_size - sizeof(*input)) % sizeof(Search) != 0)
		return KM_BAD_FORMAT;
	job->state = c = km_alloc_zero(job->host, 1, sizeof(Counting));
	if (c == NULL)
		return KM_NO_MEMORY;
	c->n = input->nsearches;
	c->bits = input->bits;
	c->searches = (const Search *) (input + 1);
	for (int i = 0; i < c->n; i++)
	{
		if (c->searches[i].slot < 0 ||
			c->searches[i].slot >= job->table->nnum ||
			c->searches[i].low > c->searches[i].high)
			return KM_BAD_FORMAT;
	}
	nbins = (size_t) c->n << c->bits;
	c->bins = km_alloc_zero(job->host, nbins, sizeof(Bin));
	if (c->bins == NULL)
		return KM_NO_MEMORY;
	for (size_t i = 0; i < nbins; i++)
		c->bins[i].low = UINT64_MAX;
	return KM_OK;
}

static void
close_ranks(KmJob *job)
{
	Counting   *c = job->state;

	if (c == NULL)
		return;
	km_free(job->host, c->bins);
	km_free(job->host, c);
	job->state = NULL;
}

static void
count_search(const KmJob *job, const KmBlock *block, const Search *search,
			 int bits, Bin *bins)
{
	const KmTable *table = job->table;
	bool		has_length = job->space != NULL && table->length_slot >= 0;
	int			ntiles = km_block_tiles(block);
	int			shift = find_shift(search, bits);

	for (int t = 0; t < ntiles; t++)
	{
		const double *tile = km_tile(table, block, t);
		const double *x = tile + search->slot * KM_LANES;
		int			n = km_tile_rows(block, t);

		for (int l = 0; l < n; l++)
		{
			double		v = has_length ?
				x[l] * tile[table->length_slot * KM_LANES + l] : x[l];
			uint64_t	key = key_of_double(v);
			Bin		   *bin;

			if (isnan(v) || key < search->low || key > search->high)
				continue;
			bin = &bins[(key - search->low) >> shift];
			bin->count++;
			bin->low = key < bin->low ? key : bin->low;
			bin->high = key > bin->high ? key : bin->high;
		}
	}
}

static KmStatus
add_ranks(KmJob *job, KmBlock *block)
{
	Counting   *c = job->state;

	for (int i = 0; i < c->n; i++)
	{
		count_search(job, block, &c->searches[i], c->bits,
					 c->bins + ((size_t) i << c->bits));
		if (!km_poll(job->poll, block->nrows * 2.0))
			return KM_CANCELLED;
	}
	return KM_OK;
}

static size_t
size_ranks(const KmJob *job)
{
	const Counting *c = job->state;

	return ((size_t) c->n << c->bits) * sizeof(Bin);
}

static void
write_ranks(const KmJob *job, unsigned char *bytes)
{
	const Counting *c = job->state;

	memcpy(bytes, c->bins, size_ranks(job));
}

/* Are the least and the largest key of a bin finite numbers, and its own? */
static bool
bin_is_sane(const Search *search, int shift, size_t at, const Bin *bin)
{
	return bin->low <= bin->high && bin->low >= search->low &&
		bin->high <= search->high &&
		(bin->low - search->low) >> shift == at &&
		(bin->high - search->low) >> shift == at &&
		isfinite(double_of_key(bin->low)) &&
		isfinite(double_of_key(bin->high));
}

static KmStatus
merge_ranks(KmJob *job, const unsigned char *bytes, size_t size)
{
	Counting   *c = job->state;
	int			shift = 0;

	if (size != size_ranks(job))
		return KM_BAD_FORMAT;
	for (size_t i = 0; i < (size_t) c->n << c->bits; i++)
	{
		const Search *search = &c->searches[i >> c->bits];
		size_t		at = i & (((size_t) 1 << c->bits) - 1);
		Bin			bin;

		if (at == 0)
			shift = find_shift(search, c->bits);
		memcpy(&bin, bytes + i * sizeof(Bin), sizeof(bin));
		if (bin.count < 0 || bin.count > INT64_MAX / 2 - c->bins[i].count ||
			(bin.count > 0 && !bin_is_sane(search, shift, at, &bin)))
			return KM_BAD_FORMAT;
		if (bin.count == 0)
			continue;
		c->bins[i].count += bin.count;
		c->bins[i].low = bin.low < c->bins[i].low ? bin.low : c->bins[i].low;
		c->bins[i].high = bin.high > c->bins[i].high ? bin.high :
			c->bins[i].high;
	}
	return KM_OK;
}

const KmStep km_step_ranks = {
	.id = KM_STEP_RANKS,
	.name = "ranks",
	.open = open_ranks,
	.add = add_ranks,
	.size = size_ranks,
	.write = write_ranks,
	.merge = merge_ranks,
	.close = close_ranks
};

/* ---- passes ---- */

/* Count in all searches; the bins are the caller's. */
static KmStatus
run_searches(KmRanking *r, int *bits, Bin **bins)
{
	size_t		size = sizeof(RanksInput) + sizeof(Search) * r->nsearches;
	KmJob		job = km_run_job(&r->run, &km_step_ranks);
	RanksInput *input = km_alloc(r->run.host, 1, size);
	KmStatus	status;

	*bins = NULL;
	if (input == NULL)
		return KM_NO_MEMORY;
	input->nsearches = r->nsearches;
	input->bits = MIN_BITS;
	/* more bins than rows are of no use */
	while (input->bits < MAX_BITS &&
		   r->run.source->table->nrows >> input->bits != 0 &&
		   (size_t) r->nsearches << (input->bits + 1) <= MAX_BINS)
		input->bits++;
	*bits = input->bits;
	memcpy(input + 1, r->searches, sizeof(Search) * r->nsearches);
	job.input = input;
	job.input_size = size;
	status = km_pass(r->run.source, &job);
	if (status == KM_OK)
	{
		Counting   *c = job.state;

		*bins = c->bins;
		c->bins = NULL;
	}
	close_ranks(&job);
	km_free(r->run.host, input);
	return status;
}

KmStatus
km_ranking_create(const KmRun *run, KmRanking **result)
{
	int			nnum = run->source->table->nnum;
	KmRanking  *r = km_alloc_zero(run->host, 1, sizeof(KmRanking));
	KmStatus	status = KM_NO_MEMORY;

	*result = r;
	if (r == NULL)
		return KM_NO_MEMORY;
	r->run = *run;
	r->nnum = nnum;
	r->counts = km_alloc_zero(run->host, nnum, sizeof(int64_t));
	r->searches = km_alloc_zero(run->host, nnum, sizeof(Search));
	for (int slot = 0; r->searches != NULL && slot < nnum; slot++)
	{
		r->searches[slot].slot = slot;
		r->searches[slot].high = UINT64_MAX;
	}
	r->nsearches = nnum;
	if (r->counts != NULL && r->searches != NULL)
		status = run_searches(r, &r->bits, &r->bins);
	for (size_t i = 0; status == KM_OK && i < (size_t) nnum << r->bits; i++)
		r->counts[i >> r->bits] += r->bins[i].count;
	if (status != KM_OK)
	{
		km_ranking_free(r);
		*result = NULL;
	}
	return status;
}

void
km_ranking_free(KmRanking *r)
{
	if (r == NULL)
		return;
	km_free(r->run.host, r->counts);
	km_free(r->run.host, r->searches);
	km_free(r->run.host, r->bins);
	km_free(r->run.host, r);
}

int64_t
km_ranking_count(const KmRanking *r, int slot)
{
	return r->counts[slot];
}

/* Into which bin the target falls; false: counts of others were no counts. */
static bool
narrow(KmRankTarget *target, const Bin *bins, int bits)
{
	int64_t		below = target->below;

	for (int i = 0; i < 1 << bits; i++)
	{
		if (target->nth < below + bins[i].count)
		{
			target->below = below;
			target->low = bins[i].low;
			target->high = bins[i].high;
			target->is_found = target->low == target->high;
			target->value = double_of_key(target->low);
			return true;
		}
		below += bins[i].count;
	}
	return false;
}

/* The searches for targets that are not found; neighbours share them. */
static KmStatus
plan_searches(KmRanking *r, const KmRankTarget *targets, int n)
{
	km_free(r->run.host, r->searches);
	r->nsearches = 0;
	r->searches = km_alloc_zero(r->run.host, n, sizeof(Search));
	if (r->searches == NULL)
		return KM_NO_MEMORY;
	for (int i = 0; i < n; i++)
	{
		const KmRankTarget *target = &targets[i];
		Search	   *last = r->searches + r->nsearches - 1;

		if (target->is_found ||
			(r->nsearches > 0 && last->slot == target->slot &&
			 last->low == target->low))
			continue;
		last[1].slot = target->slot;
		last[1].low = target->low;
		last[1].high = target->high;
		r->nsearches++;
	}
	return KM_OK;
}

static KmStatus
narrow_targets(KmRanking *r, KmRankTarget *targets, int n)
{
	Bin		   *bins;
	int			bits;
	int			s = 0;
	KmStatus	status = run_searches(r, &bits, &bins);

	for (int i = 0; i < n && status == KM_OK; i++)
	{
		if (targets[i].is_found)
			continue;
		while (r->searches[s].slot != targets[i].slot ||
			   r->searches[s].low != targets[i].low)
			s++;
		if (!narrow(&targets[i], bins + ((size_t) s << bits), bits))
			status = KM_BAD_FORMAT;
	}
	km_free(r->run.host, bins);
	return status;
}

KmStatus
km_ranking_find(KmRanking *r, KmRankTarget *targets, int n)
{
	for (int i = 0; i < n; i++)
	{
		targets[i].is_found = false;
		targets[i].below = 0;
		if (!narrow(&targets[i], r->bins + ((size_t) targets[i].slot <<
											r->bits), r->bits))
			return KM_BAD_FORMAT;
	}
	for (;;)
	{
		KM_TRY(plan_searches(r, targets, n));
		if (r->nsearches == 0)
			return KM_OK;
		KM_TRY(narrow_targets(r, targets, n));
	}
}

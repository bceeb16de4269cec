/*
 * profile.c
 *		What the segments of rows are like: for each segment and column the
 *		mean, the quartiles, or the most frequent category.
 *
 * The values are kept, column by column, until all rows are there; then one
 * column at a time is sorted into its segments.  So statistics of a segment
 * need no state of their own while rows come in, however many segments and
 * columns there are, and quantiles are exact.  Sums are exact too (exact.c):
 * the order of rows cannot matter.
 */
#include <math.h>
#include <string.h>

#include "km_internal.h"

/* Blocks start with so many rows and grow to about a megabyte. */
#define FIRST_ROWS		64
#define BLOCK_BYTES		(1 << 20)

typedef struct Block
{
	int			nrows;
	int			capacity;
	int32_t    *segment;		/* of each row */
	double	   *values;			/* ncolumns x capacity; NaN: missing */
} Block;

struct KmProfile
{
	/* set once */
	const KmHost *host;
	int			k;
	int			ncolumns;
	size_t		limit;			/* bytes, 0: none */
	/* changes while rows come */
	int64_t		nrows;
	int64_t    *sizes;			/* rows of each segment */
	Block	   *blocks;
	int			nblocks;
	int			blocks_allocated;
	size_t		bytes;
	/* of one column after the other, when all rows are there */
	KmPoll		poll;
	double	   *sorted;			/* values of the first segment, the next ... */
	int64_t    *start;			/* of each segment in sorted, and the end */
	KmExactScratch *scratch;
};

KmStatus
km_profile_create(const KmHost *host, int k, int ncolumns, size_t limit,
				  KmProfile **result)
{
	KmProfile  *profile = km_alloc_zero(host, 1, sizeof(KmProfile));

	if (profile == NULL)
		return KM_NO_MEMORY;
	profile->host = host;
	profile->k = k;
	profile->ncolumns = ncolumns;
	profile->limit = limit;
	profile->poll.host = host;
	profile->sizes = km_alloc_zero(host, k, sizeof(int64_t));
	if (profile->sizes == NULL)
	{
		km_free(host, profile);
		return KM_NO_MEMORY;
	}
	*result = profile;
	return KM_OK;
}

/* ---- rows ---- */

static KmStatus
reserve_block(KmProfile *profile)
{
	Block	   *blocks;
	int			room = profile->blocks_allocated;

	if (profile->nblocks < room)
		return KM_OK;
	room = room > 0 ? 2 * room : 16;
	blocks = km_alloc(profile->host, room, sizeof(Block));
	if (blocks == NULL)
		return KM_NO_MEMORY;
	if (profile->nblocks > 0)
		memcpy(blocks, profile->blocks, sizeof(Block) * profile->nblocks);
	km_free(profile->host, profile->blocks);
	profile->blocks = blocks;
	profile->blocks_allocated = room;
	return KM_OK;
}

static KmStatus
add_block(KmProfile *profile)
{
	size_t		row = sizeof(int32_t) +
		sizeof(double) * (size_t) profile->ncolumns;
	size_t		capacity = FIRST_ROWS;
	size_t		bytes;
	Block		block;

	if (profile->nblocks > 0)
	{
		capacity = 2 * (size_t) profile->blocks[profile->nblocks - 1].capacity;
		if (capacity * row > BLOCK_BYTES)
			capacity = BLOCK_BYTES / row > FIRST_ROWS ? BLOCK_BYTES / row
				: FIRST_ROWS;
	}
	/* a column is sorted into a place of its own */
	bytes = capacity * (row + sizeof(double));
	if (profile->limit > 0 && profile->bytes + bytes > profile->limit)
		return KM_OVER_LIMIT;
	KM_TRY(reserve_block(profile));

	block.nrows = 0;
	block.capacity = (int) capacity;
	block.segment = km_alloc(profile->host, capacity, sizeof(int32_t));
	if (block.segment == NULL)
		return KM_NO_MEMORY;
	block.values = km_alloc(profile->host, capacity * profile->ncolumns,
							sizeof(double));
	if (block.values == NULL)
	{
		km_free(profile->host, block.segment);
		return KM_NO_MEMORY;
	}
	profile->blocks[profile->nblocks++] = block;
	profile->bytes += bytes;
	return KM_OK;
}

KmStatus
km_profile_add(KmProfile *profile, int segment, const double *values)
{
	Block	   *block;

	if (profile->nblocks == 0 ||
		profile->blocks[profile->nblocks - 1].nrows ==
		profile->blocks[profile->nblocks - 1].capacity)
		KM_TRY(add_block(profile));
	block = &profile->blocks[profile->nblocks - 1];
	block->segment[block->nrows] = segment;
	for (int c = 0; c < profile->ncolumns; c++)
		block->values[(size_t) c * block->capacity + block->nrows] =
			values[c] + 0.0;	/* no -0 */
	block->nrows++;
	profile->nrows++;
	profile->sizes[segment]++;
	return KM_OK;
}

int64_t
km_profile_rows(const KmProfile *profile)
{
	return profile->nrows;
}

int64_t
km_profile_size(const KmProfile *profile, int segment)
{
	return profile->sizes[segment];
}

/* ---- one column ---- */

static KmStatus
prepare(KmProfile *profile)
{
	if (profile->sorted == NULL)
		profile->sorted = km_alloc(profile->host, (size_t) profile->nrows,
								   sizeof(double));
	if (profile->start == NULL)
		profile->start = km_alloc(profile->host, (size_t) profile->k + 1,
								  sizeof(int64_t));
	if (profile->scratch == NULL)
		profile->scratch = km_exact_scratch(profile->host);
	return profile->sorted == NULL || profile->start == NULL ||
		profile->scratch == NULL ? KM_NO_MEMORY : KM_OK;
}

/* Values of a column by segment, missing ones left out. */
static KmStatus
sort_column(KmProfile *profile, int column)
{
	int64_t    *start = profile->start;

	/* start[c + 1] counts, then is where c begins, then where c ends */
	memset(start, 0, sizeof(int64_t) * ((size_t) profile->k + 1));
	for (int pass = 0; pass < 2; pass++)
	{
		int64_t		before = 0;

		for (int b = 0; b < profile->nblocks; b++)
		{
			const Block *block = &profile->blocks[b];
			const double *values = block->values +
				(size_t) column * block->capacity;

			for (int i = 0; i < block->nrows; i++)
			{
				int64_t    *at = &start[block->segment[i] + 1];

				if (isnan(values[i]))
					continue;
				if (pass == 1)
					profile->sorted[*at] = values[i];
				(*at)++;
			}
			if (!km_poll(&profile->poll, 4.0 * block->nrows))
				return KM_CANCELLED;
		}
		for (int c = 0; pass == 0 && c < profile->k; c++)
		{
			int64_t		count = start[c + 1];

			start[c + 1] = before;
			before += count;
		}
	}
	return KM_OK;
}

/* Mean and standard deviation of values, which may be any number of them. */
static KmStatus
sum_values(KmProfile *profile, const double *values, int64_t n, double *mean,
		   double *sd)
{
	const int	chunk = 1 << 16;
	KmExact		exact;

	km_exact_init(&exact);
	for (int64_t i = 0; i < n; i += chunk)
	{
		int			here = n - i < chunk ? (int) (n - i) : chunk;

		km_exact_add_many(&exact, profile->scratch, values + i, NULL, here);
		if (!km_poll(&profile->poll, 10.0 * here))
			return KM_CANCELLED;
	}
	km_exact_moments(&exact, mean, sd);
	return km_poll(&profile->poll, 2000) ? KM_OK : KM_CANCELLED;
}

/* As percentile_cont has it, to the bit. */
static KmStatus
find_quartiles(KmPoll *poll, double *values, int64_t n, double *quartiles)
{
	int64_t		from = 0;

	for (int q = 0; q < 3; q++)
	{
		double		place = 0.25 * (q + 1) * (double) (n - 1);
		int64_t		lower = (int64_t) floor(place);
		double		part = place - (double) lower;
		double		low;
		double		high;

		KM_TRY(km_select(poll, values, from, n - 1, lower));
		low = values[lower];
		high = low;
		if (part > 0)
		{
			high = values[lower + 1];
			for (int64_t i = lower + 2; i < n; i++)
				high = values[i] < high ? values[i] : high;
		}
		quartiles[q] = isinf(high - low) ? low * (1 - part) + high * part
			: low + part * (high - low);
		/* what is left of it is not greater */
		from = lower;
	}
	return km_poll(poll, (double) n) ? KM_OK : KM_CANCELLED;
}

static KmStatus
describe_numbers(KmProfile *profile, KmProfileCell *cells)
{
	double		mean;
	double		sd;

	KM_TRY(sum_values(profile, profile->sorted, profile->start[profile->k],
					  &mean, &sd));
	for (int c = 0; c < profile->k; c++)
	{
		KmProfileCell *cell = &cells[c];
		double	   *values = profile->sorted + profile->start[c];
		double		ignored;

		cell->count = profile->start[c + 1] - profile->start[c];
		cell->overall_mean = mean;
		cell->overall_sd = sd;
		if (cell->count == 0)
			continue;
		KM_TRY(sum_values(profile, values, cell->count, &cell->mean,
						  &ignored));
		KM_TRY(find_quartiles(&profile->poll, values, cell->count,
							  cell->quartiles));
	}
	return KM_OK;
}

/*
 * The most frequent category of n codes; of several the first in order.
 * counts is all zero before and after.
 */
static int
find_top(const double *codes, int64_t n, const int *order, int64_t *counts,
		 int64_t *top_count)
{
	int			top = (int) codes[0];

	for (int64_t i = 0; i < n; i++)
		counts[(int) codes[i]]++;
	for (int64_t i = 0; i < n; i++)
	{
		int			code = (int) codes[i];

		if (counts[code] > counts[top] ||
			(counts[code] == counts[top] && order[code] < order[top]))
			top = code;
	}
	*top_count = counts[top];
	for (int64_t i = 0; i < n; i++)
		counts[(int) codes[i]] = 0;
	return top;
}

static KmStatus
describe_categories(KmProfile *profile, int ncategories, const int *order,
					KmProfileCell *cells)
{
	int64_t		n = profile->start[profile->k];
	int64_t    *overall = km_alloc_zero(profile->host, ncategories,
										sizeof(int64_t));
	int64_t    *counts = km_alloc_zero(profile->host, ncategories,
									   sizeof(int64_t));
	KmStatus	status = overall == NULL || counts == NULL ? KM_NO_MEMORY
		: KM_OK;

	for (int64_t i = 0; status == KM_OK && i < n; i++)
		overall[(int) profile->sorted[i]]++;
	for (int c = 0; status == KM_OK && c < profile->k; c++)
	{
		KmProfileCell *cell = &cells[c];
		int64_t		top_count;

		cell->count = profile->start[c + 1] - profile->start[c];
		if (cell->count == 0)
			continue;
		cell->top = find_top(profile->sorted + profile->start[c], cell->count,
							 order, counts, &top_count);
		cell->mean = (double) top_count / (double) cell->count;
		cell->overall_mean = (double) overall[cell->top] / (double) n;
		cell->overall_sd = sqrt(cell->overall_mean * (1 - cell->overall_mean));
		if (!km_poll(&profile->poll, 8.0 * (double) cell->count))
			status = KM_CANCELLED;
	}
	km_free(profile->host, overall);
	km_free(profile->host, counts);
	return status;
}

KmStatus
km_profile_column(KmProfile *profile, int column, int ncategories,
				  const int *order, KmProfileCell *cells)
{
	memset(cells, 0, sizeof(KmProfileCell) * (size_t) profile->k);
	for (int c = 0; c < profile->k; c++)
		cells[c].top = -1;
	KM_TRY(prepare(profile));
	KM_TRY(sort_column(profile, column));
	return order == NULL ? describe_numbers(profile, cells)
		: describe_categories(profile, ncategories, order, cells);
}

void
km_profile_free(KmProfile *profile)
{
	if (profile == NULL)
		return;
	for (int b = 0; b < profile->nblocks; b++)
	{
		km_free(profile->host, profile->blocks[b].segment);
		km_free(profile->host, profile->blocks[b].values);
	}
	km_free(profile->host, profile->blocks);
	km_free(profile->host, profile->sizes);
	km_free(profile->host, profile->sorted);
	km_free(profile->host, profile->start);
	km_free(profile->host, profile->scratch);
	km_free(profile->host, profile);
}

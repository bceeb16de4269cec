/*
 * statistics.c
 *		Statistics of raw rows: exact sums and extremes of numbers, counts of
 *		categories, the largest weight.
 *
 * Missing values are left out of their column; what is found is how many
 * there are not.
 */
#include <math.h>
#include <string.h>

#include "steps.h"

/* doubles gathered from tiles before they go into exact sums */
#define CHUNK	1024

double
km_round_weight(const KmRounding *rounding, double weight)
{
	double		w = rint(weight * rounding->root * rounding->scale);

	return w < 1 ? 1 : w;
}

/* ---- input ---- */

static size_t
input_size(const KmTable *table)
{
	return sizeof(KmStatisticsInput) +
		(size_t) table->nnum * 2 * sizeof(double) +
		(size_t) table->ncat * sizeof(int64_t);
}

KmStatus
km_statistics_input(const KmTable *table, const KmSpace *space,
					const KmRounding *rounding, void **input, size_t *size)
{
	KmStatisticsInput header = {*rounding};
	double	   *clip;
	int64_t    *ncodes;

	*size = input_size(table);
	*input = km_alloc(table->host, 1, *size);
	if (*input == NULL)
		return KM_NO_MEMORY;
	memcpy(*input, &header, sizeof(header));
	clip = (double *) ((char *) *input + sizeof(header));
	ncodes = (int64_t *) (clip + 2 * table->nnum);
	for (int slot = 0; slot < table->nslots; slot++)
	{
		const KmFeature *feature;

		if (slot >= table->nfeatures)
			break;
		feature = &space->features[space->feature[slot]];
		if (slot < table->nnum)
		{
			clip[2 * slot] = feature->clip_low;
			clip[2 * slot + 1] = feature->clip_high;
		}
		else
			ncodes[slot - table->nnum] = feature->ncategories;
	}
	return KM_OK;
}

/* ---- the step ---- */

static void
close_statistics(KmJob *job)
{
	const KmHost *host = job->host;
	KmStatistics *s = job->state;

	if (s == NULL)
		return;
	for (int c = 0; s->counts != NULL && c < job->table->ncat; c++)
		km_free(host, s->counts[c]);
	km_free(host, s->counts);
	km_free(host, s->ncodes);
	km_free(host, s->exact);
	km_free(host, s->scratch);
	km_free(host, s);
	job->state = NULL;
}

static KmStatus
open_counts(KmJob *job, KmStatistics *s, const int64_t *ncodes)
{
	int			ncat = job->table->ncat;
	int64_t		all = 0;

	s->ncodes = km_alloc(job->host, ncat, sizeof(int64_t));
	s->counts = km_alloc_zero(job->host, ncat, sizeof(int64_t *));
	if (s->ncodes == NULL || s->counts == NULL)
		return KM_NO_MEMORY;
	for (int c = 0; c < ncat; c++)
	{
		/* of all slots together, as in a space: no bomb */
		if (ncodes[c] < 0 || ncodes[c] > KM_MAX_WIDTH - all)
			return KM_BAD_FORMAT;
		all += ncodes[c];
		s->ncodes[c] = ncodes[c];
		s->counts[c] = km_alloc_zero(job->host, (size_t) ncodes[c],
									 sizeof(int64_t));
		if (s->counts[c] == NULL)
			return KM_NO_MEMORY;
	}
	return KM_OK;
}

static KmStatus
open_statistics(KmJob *job)
{
	const KmTable *table = job->table;
	const KmStatisticsInput *input = job->input;
	KmStatistics *s;

	if (job->input_size != input_size(table))
		return KM_BAD_FORMAT;
	job->state = s = km_alloc_zero(job->host, 1, sizeof(KmStatistics));
	if (s == NULL)
		return KM_NO_MEMORY;
	s->rounding = input->rounding;
	s->clip = (const double *) (input + 1);
	s->exact = km_alloc(job->host, table->nnum, sizeof(KmExact));
	s->scratch = table->nnum > 0 ? km_exact_scratch(job->host) : NULL;
	if (s->exact == NULL || (table->nnum > 0 && s->scratch == NULL))
		return KM_NO_MEMORY;
	for (int slot = 0; slot < table->nnum; slot++)
		km_exact_init(&s->exact[slot]);
	return open_counts(job, s, (const int64_t *) (s->clip + 2 * table->nnum));
}

/* Values of n rows of a slot, side by side; the last tile's lanes are too. */
static void
gather(const KmTable *table, const KmBlock *block, int first, int n, int slot,
	   double *values)
{
	for (int i = 0; i < n; i += KM_LANES)
		memcpy(values + i, km_tile(table, block, (first + i) / KM_LANES) +
			   slot * KM_LANES, sizeof(double) * KM_LANES);
}

static KmStatus
add_numbers(KmStatistics *s, const KmTable *table, const KmBlock *block,
			int first, int n)
{
	bool		weighted = table->weight_slot >= 0;
	double		values[CHUNK];
	double		weights[CHUNK];

	if (weighted)
	{
		gather(table, block, first, n, table->weight_slot, weights);
		for (int i = 0; i < n; i++)
		{
			s->max_weight = fmax(s->max_weight, weights[i]);
			if (s->rounding.root > 0)
				weights[i] = km_round_weight(&s->rounding, weights[i]);
			/* heavier than all were when they were counted (scale.c) */
			if (s->rounding.root > 0 &&
				!(weights[i] >= 0 && weights[i] < KM_WEIGHT_MAX))
				return KM_BAD_FORMAT;
		}
	}
	for (int slot = 0; slot < table->nnum; slot++)
	{
		double		low = s->clip[2 * slot];
		double		high = s->clip[2 * slot + 1];

		gather(table, block, first, n, slot, values);
		if (low > -INFINITY || high < INFINITY)
		{
			for (int i = 0; i < n; i++)
			{
				if (values[i] < low)
					values[i] = low;
				else if (values[i] > high)
					values[i] = high;
			}
		}
		km_exact_add_many(&s->exact[slot], s->scratch, values,
						  weighted && s->rounding.root > 0 ? weights : NULL,
						  n);
	}
	return KM_OK;
}

static KmStatus
add_codes(KmStatistics *s, const KmTable *table, const KmBlock *block,
		  int first, int n)
{
	for (int c = 0; c < table->ncat; c++)
	{
		double		ncodes = (double) s->ncodes[c];
		double		values[CHUNK];

		gather(table, block, first, n, table->nnum + c, values);
		for (int i = 0; i < n; i++)
		{
			if (isnan(values[i]))
				continue;
			/* rows of elsewhere may hold anything */
			if (!(values[i] >= 0 && values[i] < ncodes))
				return KM_BAD_FORMAT;
			s->counts[c][(int) values[i]]++;
		}
	}
	return KM_OK;
}

static KmStatus
add_statistics(KmJob *job, KmBlock *block)
{
	const KmTable *table = job->table;
	KmStatistics *s = job->state;

	for (int first = 0; first < block->nrows; first += CHUNK)
	{
		int			n = block->nrows - first;

		n = n < CHUNK ? n : CHUNK;
		KM_TRY(add_numbers(s, table, block, first, n));
		KM_TRY(add_codes(s, table, block, first, n));
		if (!km_poll(job->poll, (double) n * (table->nnum * 4 + table->ncat)))
			return KM_CANCELLED;
	}
	s->rows += block->nrows;
	return KM_OK;
}

/* ---- as bytes: rows, max_weight, the sums, the counts ---- */

static size_t
size_statistics(const KmJob *job)
{
	const KmStatistics *s = job->state;
	size_t		size = sizeof(int64_t) + sizeof(double) +
		(size_t) job->table->nnum * sizeof(KmExact);

	for (int c = 0; c < job->table->ncat; c++)
		size += (size_t) s->ncodes[c] * sizeof(int64_t);
	return size;
}

static void
write_statistics(const KmJob *job, unsigned char *bytes)
{
	const KmStatistics *s = job->state;
	size_t		n;

	memcpy(bytes, &s->rows, sizeof(int64_t));
	bytes += sizeof(int64_t);
	memcpy(bytes, &s->max_weight, sizeof(double));
	bytes += sizeof(double);
	for (int slot = 0; slot < job->table->nnum; slot++)
	{
		km_exact_carry(&s->exact[slot]);
		memcpy(bytes, &s->exact[slot], sizeof(KmExact));
		bytes += sizeof(KmExact);
	}
	for (int c = 0; c < job->table->ncat; c++)
	{
		n = (size_t) s->ncodes[c] * sizeof(int64_t);
		memcpy(bytes, s->counts[c], n);
		bytes += n;
	}
}

/* of limbs whose carries have moved */
static bool
limbs_are_sane(const int64_t *limbs, int n)
{
	for (int i = 0; i < n - 1; i++)
	{
		if (limbs[i] < 0 || limbs[i] > UINT32_MAX)
			return false;
	}
	return limbs[n - 1] > -KM_COUNT_MAX / 2 && limbs[n - 1] < KM_COUNT_MAX / 2;
}

static bool
is_count(int64_t n)
{
	return n >= 0 && n < KM_COUNT_MAX;
}

static bool
exact_is_sane(const KmExact *exact, int64_t rows)
{
	return is_count(exact->count) && exact->count <= rows &&
		is_count(exact->weight) && exact->pending == 0 &&
		(exact->count == 0 || (isfinite(exact->min) &&
							   isfinite(exact->max) &&
							   exact->min <= exact->max)) &&
		limbs_are_sane(exact->sum, KM_SUM_LIMBS) &&
		limbs_are_sane(exact->squares, KM_SQUARE_LIMBS);
}

static KmStatus
merge_statistics(KmJob *job, const unsigned char *bytes, size_t size)
{
	KmStatistics *s = job->state;
	int64_t		rows;
	double		max_weight;
	KmExact		exact;

	if (size != size_statistics(job))
		return KM_BAD_FORMAT;
	memcpy(&rows, bytes, sizeof(rows));
	bytes += sizeof(rows);
	memcpy(&max_weight, bytes, sizeof(max_weight));
	bytes += sizeof(max_weight);
	if (!is_count(rows) || !is_count(s->rows + rows) ||
		!(max_weight >= 0 && isfinite(max_weight)))
		return KM_BAD_FORMAT;
	s->rows += rows;
	s->max_weight = fmax(s->max_weight, max_weight);
	for (int slot = 0; slot < job->table->nnum; slot++)
	{
		memcpy(&exact, bytes, sizeof(exact));
		bytes += sizeof(exact);
		if (!exact_is_sane(&exact, rows) ||
			!is_count(s->exact[slot].count + exact.count) ||
			!is_count(s->exact[slot].weight + exact.weight))
			return KM_BAD_FORMAT;
		km_exact_merge(&s->exact[slot], &exact);
		/* so that the next one's can be added */
		if (!limbs_are_sane(s->exact[slot].sum, KM_SUM_LIMBS) ||
			!limbs_are_sane(s->exact[slot].squares, KM_SQUARE_LIMBS))
			return KM_BAD_FORMAT;
	}
	for (int c = 0; c < job->table->ncat; c++)
	{
		int64_t		left = rows;

		for (int64_t v = 0; v < s->ncodes[c]; v++)
		{
			int64_t		count;

			memcpy(&count, bytes, sizeof(count));
			bytes += sizeof(count);
			if (count < 0 || count > left)
				return KM_BAD_FORMAT;
			left -= count;
			s->counts[c][v] += count;
		}
	}
	return KM_OK;
}

const KmStep km_step_statistics = {
	.id = KM_STEP_STATISTICS,
	.name = "statistics",
	.open = open_statistics,
	.add = add_statistics,
	.size = size_statistics,
	.write = write_statistics,
	.merge = merge_statistics,
	.close = close_statistics
};

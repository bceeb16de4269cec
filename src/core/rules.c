/*
 * rules.c
 *		Rows that rules shall tell apart, the sample that rules are found on,
 *		and what a rule finds among all rows.
 *
 * The sample is drawn by content, so that no order of rows matters, and from
 * each segment apart: half of it in proportion to the segments' sizes, half
 * in equal parts.  So a segment of ten rows among a million is there.  Weights
 * make up for it.
 */
#include <math.h>
#include <string.h>

#include "rules.h"

/* a row's weight is a multiple of 2^-WEIGHT_BITS rows */
#define WEIGHT_BITS		10

/* values of the sample, so that its bins and orders stay below 50 MB */
#define SAMPLE_VALUES	(16 * 1000 * 1000)

/* beside its values: what drawing a sample takes for it */
#define ROW_OVERHEAD	(sizeof(uint64_t) + 2 * sizeof(uint32_t))

/* tiles that all rules look at before the next ones are fetched */
#define MEASURE_TILES	32

/* ---- rows ---- */

KmStatus
km_rules_create(const KmHost *host, int nfeatures, const KmKind *kinds,
				const bool *usable, int k, int sample, size_t limit,
				KmRules **result)
{
	KmRules    *rules = km_alloc_zero(host, 1, sizeof(KmRules));
	double		bytes = (double) (nfeatures + 1) * sizeof(double);
	KmKind	   *numbers;
	KmStatus	status = KM_NO_MEMORY;

	if (rules == NULL)
		return KM_NO_MEMORY;
	rules->host = host;
	rules->poll.host = host;
	rules->nfeatures = nfeatures;
	rules->k = k;
	rules->want = SAMPLE_VALUES / nfeatures;
	if (rules->want > sample)
		rules->want = sample;
	rules->kinds = km_alloc(host, nfeatures, sizeof(KmKind));
	rules->usable = km_alloc(host, nfeatures, sizeof(bool));
	rules->values = km_alloc(host, (size_t) nfeatures + 1, sizeof(double));
	rules->sizes = km_alloc_zero(host, (size_t) k + 1, sizeof(int64_t));
	/* slots in the order of features, the segment last */
	numbers = km_alloc_zero(host, (size_t) nfeatures + 1, sizeof(KmKind));
	if (rules->kinds != NULL && rules->usable != NULL &&
		rules->values != NULL && rules->sizes != NULL && numbers != NULL)
	{
		memcpy(rules->kinds, kinds, sizeof(KmKind) * nfeatures);
		memcpy(rules->usable, usable, sizeof(bool) * nfeatures);
		limit = (size_t) ((double) limit * (bytes / (bytes + ROW_OVERHEAD)));
		status = km_rows_create(host, nfeatures + 1, numbers, false, false,
								limit, &rules->rows);
	}
	km_free(host, numbers);
	if (status != KM_OK)
	{
		km_rules_free(rules);
		return status;
	}
	*result = rules;
	return KM_OK;
}

KmStatus
km_rules_add(KmRules *rules, const double *values, int segment)
{
	int			stratum = segment < 0 ? rules->k : segment;

	memcpy(rules->values, values, sizeof(double) * rules->nfeatures);
	rules->values[rules->nfeatures] = stratum;
	KM_TRY(km_rows_add(rules->rows, rules->values, 1));
	rules->sizes[stratum]++;
	return KM_OK;
}

int64_t
km_rules_count(const KmRules *rules)
{
	return km_rows_count(rules->rows);
}

int64_t
km_rules_size(const KmRules *rules, int segment)
{
	return rules->sizes[segment];
}

void
km_rules_exclude(KmRules *rules, int feature)
{
	rules->usable[feature] = false;
}

static void
free_sample(KmRules *rules)
{
	km_rules_release(rules);
	km_free(rules->host, rules->lanes);
	km_free(rules->host, rules->weight);
	km_free(rules->host, rules->first);
	km_free(rules->host, rules->positives);
	rules->lanes = NULL;
	rules->weight = NULL;
	rules->first = NULL;
	rules->positives = NULL;
	rules->n = 0;
}

void
km_rules_free(KmRules *rules)
{
	if (rules == NULL)
		return;
	free_sample(rules);
	km_rows_free(rules->rows);
	km_free(rules->host, rules->kinds);
	km_free(rules->host, rules->usable);
	km_free(rules->host, rules->values);
	km_free(rules->host, rules->sizes);
	km_free(rules->host, rules);
}

/* ---- sorting ---- */

/*
 * Radix sort, one byte after the other; those that are alike in all keys are
 * left out.
 */
KmStatus
km_sort_indexes(KmPoll *poll, const uint64_t *key, uint32_t *index,
				uint32_t *spare, int64_t n)
{
	uint32_t   *from = index;
	uint32_t   *to = spare;

	for (int byte = 0; byte < 8; byte++)
	{
		int64_t		place[256] = {0};
		int64_t		sum = 0;
		int			shift = byte * 8;
		uint32_t   *swap;

		for (int64_t i = 0; i < n; i++)
		{
			place[key[i] >> shift & 255]++;
			if (!km_poll(poll, 1))
				return KM_CANCELLED;
		}
		if (n == 0 || place[key[0] >> shift & 255] == n)
			continue;
		for (int b = 0; b < 256; b++)
		{
			int64_t		count = place[b];

			place[b] = sum;
			sum += count;
		}
		/* reads and writes all over the memory: 10 to 50 ns each */
		for (int64_t i = 0; i < n; i++)
		{
			to[place[key[from[i]] >> shift & 255]++] = from[i];
			if (!km_poll(poll, 16))
				return KM_CANCELLED;
		}
		swap = from;
		from = to;
		to = swap;
	}
	if (from != index)
		memcpy(index, from, sizeof(uint32_t) * (size_t) n);
	return KM_OK;
}

/* ---- the sample ---- */

/* Drawing: rows by hash, then the smallest keys of each segment. */
typedef struct Draw
{
	KmRules    *rules;
	int64_t		n;				/* rows */
	uint64_t   *hash;			/* of each */
	uint32_t   *index;			/* rows by hash */
	uint32_t   *spare;
	int64_t    *want;			/* rows of each segment */
	int64_t    *got;
	double	   *threshold;		/* keys beyond it need not be looked at */
	/* keys below the thresholds */
	int64_t		ncandidates;
	uint64_t   *key;
	uint32_t   *row;
	uint32_t   *by_key;
} Draw;

static uint64_t
hash_lane(const double *lane, int nslots)
{
	uint64_t	hash = 0;

	for (int s = 0; s < nslots; s++)
	{
		double		x = lane[s * KM_LANES];
		uint64_t	bits = UINT64_C(0x7ff8000000000000);

		/* one NaN is as good as another */
		if (!isnan(x))
			memcpy(&bits, &x, sizeof(bits));
		hash = km_mix(hash ^ (bits + UINT64_C(0x9e3779b97f4a7c15)));
	}
	return hash;
}

static KmStatus
hash_rows(Draw *draw)
{
	const KmTable *table = &draw->rules->rows->table;
	int64_t		row = 0;

	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];

		for (int i = 0; i < block->nrows; i++)
		{
			draw->hash[row] = hash_lane(km_cell(table, block, i, 0),
										table->nslots);
			draw->index[row] = (uint32_t) row;
			row++;
			if (!km_poll(&draw->rules->poll, table->nslots * 4.0))
				return KM_CANCELLED;
		}
	}
	return km_sort_indexes(&draw->rules->poll, draw->hash, draw->index,
						   draw->spare, draw->n);
}

/* The row's segment, k if it has none. */
static int
lane_stratum(const KmRules *rules, const double *lane)
{
	return (int) lane[(size_t) rules->nfeatures * KM_LANES];
}

static int
row_stratum(const KmRules *rules, int64_t row)
{
	return lane_stratum(rules, km_find_row(&rules->rows->table, row));
}

/*
 * Go through the rows by hash.  The j-th of equal ones has a key from the
 * hash and j, so that a value that a third of the rows have makes a third of
 * the sample.  key NULL: count only.
 */
static KmStatus
gather_keys(Draw *draw, uint64_t *key, uint32_t *row)
{
	const KmRules *rules = draw->rules;
	uint64_t	copy = 0;
	int			stratum = 0;
	uint32_t	first = 0;

	draw->ncandidates = 0;
	memset(draw->got, 0, sizeof(int64_t) * ((size_t) rules->k + 1));
	for (int64_t i = 0; i < draw->n; i++)
	{
		uint64_t	hash = draw->hash[draw->index[i]];
		uint64_t	mixed;

		if (i == 0 || hash != draw->hash[draw->index[i - 1]])
		{
			copy = 0;
			first = draw->index[i];
			stratum = row_stratum(rules, first);
		}
		mixed = km_mix(hash + copy++ * UINT64_C(0x9e3779b97f4a7c15));
		if (km_uniform(mixed) < draw->threshold[stratum])
		{
			if (key != NULL)
			{
				key[draw->ncandidates] = mixed;
				row[draw->ncandidates] = first;
			}
			draw->ncandidates++;
			draw->got[stratum]++;
		}
		if (!km_poll(&draw->rules->poll, 20))
			return KM_CANCELLED;
	}
	return KM_OK;
}

/* How many rows of each segment, and which keys are worth a look. */
static void
share_out(Draw *draw)
{
	const KmRules *rules = draw->rules;

	for (int c = 0; c <= rules->k; c++)
	{
		int64_t		size = rules->sizes[c];
		double		half = (double) rules->want / 2;
		int64_t		want = 1 + (int64_t) (half * (double) size /
										  (double) draw->n +
										  half / (rules->k + 1));

		draw->want[c] = want < size ? want : size;
		/* a little more than are needed: they vary by the root */
		draw->threshold[c] = size == 0 ? 0 :
			((double) want + 4 * sqrt((double) want)) / (double) size;
	}
}

static KmStatus
collect_keys(Draw *draw)
{
	const KmRules *rules = draw->rules;
	bool		enough;

	do
	{
		KM_TRY(gather_keys(draw, NULL, NULL));
		enough = true;
		for (int c = 0; c <= rules->k; c++)
		{
			if (draw->got[c] >= draw->want[c])
				continue;
			/* all keys were looked at: a row has another segment's hash */
			if (draw->threshold[c] >= 1)
				draw->want[c] = draw->got[c];
			else
			{
				draw->threshold[c] *= 2;
				enough = false;
			}
		}
	} while (!enough);

	draw->key = km_alloc(rules->host, (size_t) draw->ncandidates,
						 sizeof(uint64_t));
	draw->row = km_alloc(rules->host, (size_t) draw->ncandidates,
						 sizeof(uint32_t));
	draw->by_key = km_alloc(rules->host, (size_t) draw->ncandidates,
							sizeof(uint32_t));
	if (draw->key == NULL || draw->row == NULL || draw->by_key == NULL)
		return KM_NO_MEMORY;
	KM_TRY(gather_keys(draw, draw->key, draw->row));
	for (int64_t i = 0; i < draw->ncandidates; i++)
		draw->by_key[i] = (uint32_t) i;
	return km_sort_indexes(&draw->rules->poll, draw->key, draw->by_key,
						   draw->spare, draw->ncandidates);
}

/* The sample's arrays for n rows. */
static KmStatus
allocate_sample(KmRules *rules, int64_t n)
{
	rules->lanes = km_alloc(rules->host, (size_t) n, sizeof(double *));
	rules->weight = km_alloc(rules->host, (size_t) n, sizeof(int64_t));
	rules->first = km_alloc_zero(rules->host, (size_t) rules->k + 2,
								 sizeof(int));
	rules->positives = km_alloc_zero(rules->host, (size_t) rules->k + 1,
									 sizeof(int64_t));
	if (rules->lanes == NULL || rules->weight == NULL ||
		rules->first == NULL || rules->positives == NULL)
		return KM_NO_MEMORY;
	rules->n = (int) n;
	return KM_OK;
}

/* Put the drawn rows in place, by segment. */
static KmStatus
take_drawn(Draw *draw)
{
	KmRules    *rules = draw->rules;
	int			k = rules->k;
	int64_t		n = 0;

	for (int c = 0; c <= k; c++)
		n += draw->want[c];
	KM_TRY(allocate_sample(rules, n));
	for (int c = 0; c <= k; c++)
		rules->first[c + 1] = rules->first[c] + (int) draw->want[c];
	memset(draw->got, 0, sizeof(int64_t) * ((size_t) k + 1));
	for (int64_t i = 0; i < draw->ncandidates; i++)
	{
		uint32_t	row = draw->row[draw->by_key[i]];
		int			c = row_stratum(rules, row);
		int			at = rules->first[c] + (int) draw->got[c];

		if (draw->got[c] == draw->want[c])
			continue;
		draw->got[c]++;
		rules->lanes[at] = km_find_row(&rules->rows->table, row);
		rules->weight[at] = (int64_t)
			(ldexp((double) rules->sizes[c], WEIGHT_BITS) /
			 (double) draw->want[c] + 0.5);
	}
	return KM_OK;
}

static KmStatus
draw_sample(KmRules *rules)
{
	const KmHost *host = rules->host;
	Draw		draw = {0};
	KmStatus	status = KM_NO_MEMORY;

	draw.rules = rules;
	draw.n = km_rows_count(rules->rows);
	if (draw.n >= UINT32_MAX)
		return KM_NO_MEMORY;
	draw.hash = km_alloc(host, (size_t) draw.n, sizeof(uint64_t));
	draw.index = km_alloc(host, (size_t) draw.n, sizeof(uint32_t));
	draw.spare = km_alloc(host, (size_t) draw.n, sizeof(uint32_t));
	draw.want = km_alloc(host, (size_t) rules->k + 1, sizeof(int64_t));
	draw.got = km_alloc(host, (size_t) rules->k + 1, sizeof(int64_t));
	draw.threshold = km_alloc(host, (size_t) rules->k + 1, sizeof(double));
	if (draw.hash != NULL && draw.index != NULL && draw.spare != NULL &&
		draw.want != NULL && draw.got != NULL && draw.threshold != NULL)
	{
		share_out(&draw);
		status = hash_rows(&draw);
		if (status == KM_OK)
			status = collect_keys(&draw);
		if (status == KM_OK)
			status = take_drawn(&draw);
	}
	km_free(host, draw.hash);
	km_free(host, draw.index);
	km_free(host, draw.spare);
	km_free(host, draw.want);
	km_free(host, draw.got);
	km_free(host, draw.threshold);
	km_free(host, draw.key);
	km_free(host, draw.row);
	km_free(host, draw.by_key);
	return status;
}

/* Few rows: the sample is the data. */
static KmStatus
take_all(KmRules *rules)
{
	const KmTable *table = &rules->rows->table;
	int			k = rules->k;
	int		   *next;

	KM_TRY(allocate_sample(rules, table->nrows));
	next = km_alloc(rules->host, (size_t) k + 1, sizeof(int));
	if (next == NULL)
		return KM_NO_MEMORY;
	for (int c = 0; c <= k; c++)
	{
		rules->first[c + 1] = rules->first[c] + (int) rules->sizes[c];
		next[c] = rules->first[c];
	}
	for (int b = 0; b < table->nblocks; b++)
	{
		for (int i = 0; i < table->blocks[b].nrows; i++)
		{
			const double *lane = km_cell(table, &table->blocks[b], i, 0);
			int			c = lane_stratum(rules, lane);

			rules->lanes[next[c]] = lane;
			rules->weight[next[c]++] = 1;
		}
	}
	km_free(rules->host, next);
	return KM_OK;
}

KmStatus
km_rules_sample(KmRules *rules)
{
	/* each segment gets a row more than its share */
	int64_t		most = KM_RULE_SAMPLE_MAX - rules->k - 1;
	KmStatus	status;

	free_sample(rules);
	if (rules->want > most)
		rules->want = most;
	status = km_rows_count(rules->rows) <= rules->want ?
		take_all(rules) : draw_sample(rules);
	if (status == KM_OK)
	{
		rules->total = 0;
		for (int c = 0; c <= rules->k; c++)
		{
			for (int i = rules->first[c]; i < rules->first[c + 1]; i++)
				rules->positives[c] += rules->weight[i];
			rules->total += rules->positives[c];
		}
		status = km_rules_prepare(rules);
	}
	if (status != KM_OK)
		free_sample(rules);
	return status;
}

/* ---- figures ---- */

/* found[lane] becomes 0 where the condition does not hold. */
static inline void
apply_condition(const KmCondition *condition, bool is_category,
				const double *x, uint64_t *found)
{
	if (!is_category)
	{
		double		low = condition->low;
		double		high = condition->high;

		/* false for NaN */
		for (int l = 0; l < KM_LANES; l++)
			found[l] &= (uint64_t) (x[l] >= low) & (uint64_t) (x[l] < high);
		return;
	}
	for (int l = 0; l < KM_LANES; l++)
	{
		uint64_t	is_named = 0;

		for (int v = 0; v < condition->nvalues; v++)
			is_named |= x[l] == condition->values[v];
		found[l] &= condition->is_negated ?
			(uint64_t) (x[l] == x[l]) & ~is_named : is_named;
	}
}

static void
measure_tiles(const KmRules *rules, const KmBlock *block, int from, int to,
			  KmRule *rule)
{
	const KmTable *table = &rules->rows->table;
	uint64_t	all[KM_LANES] = {0};
	uint64_t	own[KM_LANES] = {0};

	for (int t = from; t < to; t++)
	{
		const double *tile = km_tile(table, block, t);
		const double *segments = tile + (size_t) rules->nfeatures * KM_LANES;
		int			nrows = km_tile_rows(block, t);
		uint64_t	found[KM_LANES];

		for (int l = 0; l < KM_LANES; l++)
			found[l] = l < nrows;
		for (int j = 0; j < rule->nconditions; j++)
		{
			int			f = rule->conditions[j].feature;

			apply_condition(&rule->conditions[j],
							rules->kinds[f] == KM_CATEGORY,
							tile + (size_t) f * KM_LANES, found);
		}
		for (int l = 0; l < KM_LANES; l++)
		{
			all[l] += found[l];
			own[l] += found[l] & (uint64_t) (segments[l] == rule->segment);
		}
	}
	for (int l = 0; l < KM_LANES; l++)
	{
		rule->found += (int64_t) all[l];
		rule->hits += (int64_t) own[l];
	}
}

KmStatus
km_rules_measure(KmRules *rules, KmRule *list, int n)
{
	const KmTable *table = &rules->rows->table;

	for (int i = 0; i < n; i++)
	{
		list[i].found = 0;
		list[i].hits = 0;
	}
	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];
		int			ntiles = km_block_tiles(block);

		for (int from = 0; from < ntiles; from += MEASURE_TILES)
		{
			int			to = from + MEASURE_TILES;

			to = to < ntiles ? to : ntiles;
			for (int i = 0; i < n; i++)
			{
				measure_tiles(rules, block, from, to, &list[i]);
				if (!km_poll(&rules->poll, (double) (to - from) * KM_LANES *
							 (list[i].nconditions + 1)))
					return KM_CANCELLED;
			}
		}
	}
	return KM_OK;
}

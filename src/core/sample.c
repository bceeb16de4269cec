/*
 * sample.c
 *		The sample that the search works on: a bottom-m sketch of the distinct
 *		rows, each with its multiplicity.
 *
 * Every distinct row has a key from its content alone; the sample is the m
 * rows with the smallest keys.  Whoever computes it, in whatever order, gets
 * the same sample, and two samples merge into one.  A key is u / p with u
 * uniform from the content's hash and p rising with the squared distance from
 * the mean (priority sampling: Duffield, Lund, Thorup, "Priority sampling for
 * estimation of arbitrary subset sums", 2007), so that half of the sample is
 * drawn by distance: far rows decide where small segments lie.  A row is in
 * the sample with probability min(1, p * threshold), and weighs the inverse.
 * When all distinct rows fit, the sample is the data and weights are exact.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "km_internal.h"

/* weights of a true sample are multiples of 2^-WEIGHT_BITS */
#define WEIGHT_BITS		10

/* entries above want before a prune */
#define SPARE(want)		((want) + 1024)

typedef struct Entry
{
	double		key;
	uint64_t	hash;
	double		p;				/* 1: by chance alone, more: by distance too */
	int64_t		weight;			/* rows (or their weights) like it */
	double		norm;
	int64_t		row;			/* where its content is stored */
} Entry;

typedef struct Sketch
{
	/* set once */
	const KmHost *host;
	const KmSpace *space;
	int			nslots;			/* of the content: no weight, no length */
	int64_t		want;
	double		spread;			/* mean squared distance; 0: p is 1 */
	int64_t		capacity;
	uint32_t	mask;
	/* changes while rows come */
	int64_t		n;
	double		threshold;		/* keys beyond it are out */
	bool		complete;
	Entry	   *entries;
	double	   *contents;		/* capacity x nslots */
	int32_t    *index;			/* hash -> entry, -1: free */
} Sketch;

static int
compare_contents(const Sketch *sketch, int64_t a, int64_t b)
{
	const double *x = sketch->contents + a * sketch->nslots;
	const double *y = sketch->contents + b * sketch->nslots;

	for (int s = 0; s < sketch->nslots; s++)
	{
		if (x[s] != y[s])
			return x[s] < y[s] ? -1 : 1;
	}
	return 0;
}

/* canonical order: by key, then hash, then content */
static bool
entry_before(const Sketch *sketch, const Entry *a, const Entry *b)
{
	if (a->key != b->key)
		return a->key < b->key;
	if (a->hash != b->hash)
		return a->hash < b->hash;
	return compare_contents(sketch, a->row, b->row) < 0;
}

/*
 * Bottom-up merge sort of pointers: no recursion, no worst case, and unlike
 * qsort its comparison knows the sketch.
 */
static KmStatus
sort_entries(Sketch *sketch)
{
	size_t		n = (size_t) sketch->n;
	Entry	   *sorted = km_alloc(sketch->host, (size_t) sketch->capacity,
								  sizeof(Entry));
	Entry	  **from = km_alloc(sketch->host, n, sizeof(Entry *));
	Entry	  **to = km_alloc(sketch->host, n, sizeof(Entry *));
	KmStatus	status = KM_OK;

	if (sorted == NULL || from == NULL || to == NULL)
		status = KM_NO_MEMORY;
	for (size_t i = 0; i < n && status == KM_OK; i++)
		from[i] = &sketch->entries[i];
	for (size_t run = 1; run < n && status == KM_OK; run *= 2)
	{
		Entry	  **swap;

		for (size_t first = 0; first < n; first += 2 * run)
		{
			size_t		middle = first + run < n ? first + run : n;
			size_t		end = middle + run < n ? middle + run : n;
			size_t		a = first;
			size_t		b = middle;

			for (size_t i = first; i < end; i++)
			{
				if (b >= end ||
					(a < middle && !entry_before(sketch, from[b], from[a])))
					to[i] = from[a++];
				else
					to[i] = from[b++];
			}
		}
		swap = from;
		from = to;
		to = swap;
	}
	if (status == KM_OK)
	{
		for (size_t i = 0; i < n; i++)
			sorted[i] = *from[i];
		km_free(sketch->host, sketch->entries);
		sketch->entries = sorted;
		sorted = NULL;
	}
	km_free(sketch->host, sorted);
	km_free(sketch->host, from);
	km_free(sketch->host, to);
	return status;
}

static void
index_entries(Sketch *sketch)
{
	memset(sketch->index, 0xff, sizeof(int32_t) * ((size_t) sketch->mask + 1));
	for (int64_t i = 0; i < sketch->n; i++)
	{
		uint32_t	at = (uint32_t) sketch->entries[i].hash & sketch->mask;

		while (sketch->index[at] >= 0)
			at = (at + 1) & sketch->mask;
		sketch->index[at] = (int32_t) i;
	}
}

/* Contents in the order of entries, so that slots are used again. */
static KmStatus
pack_contents(Sketch *sketch)
{
	double	   *contents = km_alloc(sketch->host,
									(size_t) sketch->capacity *
									sketch->nslots, sizeof(double));

	if (contents == NULL)
		return KM_NO_MEMORY;
	for (int64_t i = 0; i < sketch->n; i++)
	{
		memcpy(contents + i * sketch->nslots,
			   sketch->contents + sketch->entries[i].row * sketch->nslots,
			   sizeof(double) * sketch->nslots);
		sketch->entries[i].row = i;
	}
	km_free(sketch->host, sketch->contents);
	sketch->contents = contents;
	index_entries(sketch);
	return KM_OK;
}

/*
 * Make room: keep what may still be among the want smallest.  Equal keys are
 * kept together, whoever came first.
 */
static KmStatus
prune(Sketch *sketch, KmPoll *poll)
{
	int64_t		n = sketch->n;
	int64_t		kept = 0;
	double	   *keys = km_alloc(sketch->host, (size_t) n, sizeof(double));
	KmStatus	status;

	if (keys == NULL)
		return KM_NO_MEMORY;
	for (int64_t i = 0; i < n; i++)
		keys[i] = sketch->entries[i].key;
	status = km_select(poll, keys, 0, n - 1, sketch->want);
	sketch->threshold = keys[sketch->want];
	km_free(sketch->host, keys);
	if (status != KM_OK)
		return status;
	for (int64_t i = 0; i < n; i++)
	{
		if (sketch->entries[i].key <= sketch->threshold)
			sketch->entries[kept++] = sketch->entries[i];
	}
	/* thousands of equal keys: only a forged hash could do that */
	if (kept == n)
		return KM_NO_MEMORY;
	sketch->n = kept;
	return pack_contents(sketch);
}

/* Keep exactly the want smallest, in canonical order. */
static KmStatus
finish_sketch(Sketch *sketch)
{
	KM_TRY(sort_entries(sketch));
	if (sketch->n > sketch->want)
	{
		/* the first one left out: the estimator's threshold */
		sketch->threshold = sketch->entries[sketch->want].key;
		sketch->complete = false;
		sketch->n = sketch->want;
	}
	return pack_contents(sketch);
}

static KmStatus
grow(Sketch *sketch)
{
	int64_t		capacity = sketch->capacity * 2;
	int64_t		most = sketch->want + SPARE(sketch->want);
	Entry	   *entries;
	double	   *contents;
	int32_t    *index;
	uint32_t	size = 64;

	if (capacity < 256)
		capacity = 256;
	if (capacity > most)
		capacity = most;
	while (size < capacity * 2)
		size *= 2;
	entries = km_alloc(sketch->host, (size_t) capacity, sizeof(Entry));
	contents = km_alloc(sketch->host, (size_t) capacity * sketch->nslots,
						sizeof(double));
	index = km_alloc(sketch->host, size, sizeof(int32_t));
	if (entries == NULL || contents == NULL || index == NULL)
	{
		km_free(sketch->host, entries);
		km_free(sketch->host, contents);
		km_free(sketch->host, index);
		return KM_NO_MEMORY;
	}
	if (sketch->n > 0)
	{
		memcpy(entries, sketch->entries, sizeof(Entry) * sketch->n);
		memcpy(contents, sketch->contents,
			   sizeof(double) * sketch->n * sketch->nslots);
	}
	km_free(sketch->host, sketch->entries);
	km_free(sketch->host, sketch->contents);
	km_free(sketch->host, sketch->index);
	sketch->entries = entries;
	sketch->contents = contents;
	sketch->index = index;
	sketch->capacity = capacity;
	sketch->mask = size - 1;
	index_entries(sketch);
	return KM_OK;
}

static void
free_sketch(Sketch *sketch)
{
	km_free(sketch->host, sketch->entries);
	km_free(sketch->host, sketch->contents);
	km_free(sketch->host, sketch->index);
}

/* one row, known to be within the threshold */
static KmStatus
offer(Sketch *sketch, KmPoll *poll, const double *lane, uint64_t hash,
	  double key, double p, double norm, int64_t weight)
{
	uint32_t	at = (uint32_t) hash & sketch->mask;
	Entry	   *entry;
	double	   *content;

	while (sketch->capacity > 0 && sketch->index[at] >= 0)
	{
		entry = &sketch->entries[sketch->index[at]];
		if (entry->hash == hash)
		{
			const double *x = sketch->contents + entry->row * sketch->nslots;
			int			s = 0;

			while (s < sketch->nslots && x[s] == lane[s * KM_LANES])
				s++;
			if (s == sketch->nslots)
			{
				entry->weight += weight;
				return KM_OK;
			}
		}
		at = (at + 1) & sketch->mask;
	}

	if (sketch->n == sketch->capacity)
	{
		if (sketch->capacity < sketch->want + SPARE(sketch->want))
			KM_TRY(grow(sketch));
		else
			KM_TRY(prune(sketch, poll));
		if (key > sketch->threshold)
			return KM_OK;
		at = (uint32_t) hash & sketch->mask;
		while (sketch->index[at] >= 0)
			at = (at + 1) & sketch->mask;
	}
	entry = &sketch->entries[sketch->n];
	content = sketch->contents + sketch->n * sketch->nslots;
	for (int s = 0; s < sketch->nslots; s++)
		content[s] = lane[s * KM_LANES];
	entry->key = key;
	entry->hash = hash;
	entry->p = p;
	entry->norm = norm;
	entry->weight = weight;
	entry->row = sketch->n;
	sketch->index[at] = (int32_t) sketch->n;
	sketch->n++;
	return KM_OK;
}

/*
 * Hash and squared length of a tile's rows.  The lanes' chains of
 * multiplications overlap, which makes this four times as fast as one row
 * after another.
 */
static void
hash_tile(const KmSpace *space, const double *tile, uint64_t *hash,
		  double *norm)
{
	for (int l = 0; l < KM_LANES; l++)
	{
		hash[l] = UINT64_C(0x9e3779b97f4a7c15);
		norm[l] = 0;
	}
	for (int s = 0; s < space->nfeatures; s++)
	{
		const double *x = tile + s * KM_LANES;
		uint64_t	bits[KM_LANES];

		memcpy(bits, x, sizeof(bits));
		for (int l = 0; l < KM_LANES; l++)
		{
			hash[l] = (hash[l] ^ bits[l]) * UINT64_C(0xd6e8feb86659fd93);
			hash[l] ^= hash[l] >> 32;
		}
		if (s < space->nnum)
		{
			for (int l = 0; l < KM_LANES; l++)
				norm[l] += x[l] * x[l];
		}
		else
		{
			double		square = space->factor[s - space->nnum];

			square *= square;
			for (int l = 0; l < KM_LANES; l++)
				norm[l] += square;
		}
	}
	for (int l = 0; l < KM_LANES; l++)
		hash[l] = km_mix(hash[l]);
}

static KmStatus
fill_sketch(Sketch *sketch, const KmTable *table)
{
	KmPoll		poll = {table->host, 0};
	double		half = sketch->spread > 0 ? 0.5 / sketch->spread : 0;

	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];
		int			ntiles = km_block_tiles(block);

		for (int t = 0; t < ntiles; t++)
		{
			const double *tile = km_tile(table, block, t);
			int			n = km_tile_rows(block, t);
			uint64_t	hash[KM_LANES];
			double		norm[KM_LANES];

			hash_tile(sketch->space, tile, hash, norm);
			for (int l = 0; l < n; l++)
			{
				double		p = half > 0 ? 0.5 + half * norm[l] : 1;
				double		key = km_uniform(hash[l]) / p;

				if (key > sketch->threshold)
					continue;
				KM_TRY(offer(sketch, &poll, tile + l, hash[l], key, p, norm[l],
							 km_row_weight(table, tile + l)));
			}
		}
		if (!km_poll(&poll, (double) block->nrows * (table->nfeatures + 4)))
			return KM_CANCELLED;
	}
	return finish_sketch(sketch);
}

/* The sketch's entries, in their canonical order, as a table. */
static KmStatus
make_table(const Sketch *sketch, const KmTable *table, KmSample *sample)
{
	KmTable		layout = *table;
	const KmHost *host = table->host;
	double		largest = 0;
	double		scale = 1;

	layout.weight_slot = table->nfeatures;
	layout.length_slot = -1;
	layout.nslots = table->nfeatures + 1;
	KM_TRY(km_table_clone(&layout, sketch->n, &sample->table));
	sample->hash = km_alloc(host, (size_t) sketch->n, sizeof(uint64_t));
	sample->norm = km_alloc(host, (size_t) sketch->n, sizeof(double));
	if (sample->hash == NULL || sample->norm == NULL)
		return KM_NO_MEMORY;
	sample->complete = sketch->complete;
	sample->distinct = sketch->n;

	/* weights become integers; 2^52 at most, so that doubles hold them */
	for (int64_t i = 0; i < sketch->n; i++)
		largest = fmax(largest, (double) sketch->entries[i].weight);
	if (!sketch->complete)
		scale = ldexp(1, WEIGHT_BITS);
	while (largest * scale > (sketch->complete ? 0x1p52 : 0x1p42))
		scale *= 0.5;
	for (int64_t i = 0; i < sketch->n; i++)
	{
		const Entry *entry = &sketch->entries[i];
		const double *content = sketch->contents + entry->row * sketch->nslots;
		double	   *lane = km_tile(&sample->table, sample->table.blocks,
								   (int) (i / KM_LANES)) + i % KM_LANES;
		double		chance = sketch->complete ? 1 :
			entry->p * sketch->threshold;
		double		weight = (double) entry->weight * scale;

		weight = rint(chance < 1 ? weight / chance : weight);
		if (weight < 1)
			weight = 1;
		for (int s = 0; s < sketch->nslots; s++)
			lane[s * KM_LANES] = content[s];
		lane[layout.weight_slot * KM_LANES] = weight;
		sample->hash[i] = entry->hash;
		sample->norm[i] = entry->norm;
		sample->weight += weight;
		sample->squares += weight * entry->norm;
	}
	return KM_OK;
}

/*
 * want: most rows of the sample.  spread: mean squared distance of the rows
 * from their mean, 0 when unknown.
 */
KmStatus
km_sample_create(const KmTable *table, const KmSpace *space, int64_t want,
				 double spread, KmSample *sample)
{
	Sketch		sketch;
	KmStatus	status;

	memset(sample, 0, sizeof(*sample));
	memset(&sketch, 0, sizeof(sketch));
	sketch.host = table->host;
	sketch.space = space;
	sketch.nslots = table->nfeatures;
	sketch.want = want;
	sketch.spread = spread;
	sketch.threshold = INFINITY;
	sketch.complete = true;
	status = grow(&sketch);
	if (status == KM_OK)
		status = fill_sketch(&sketch, table);
	if (status == KM_OK)
		status = make_table(&sketch, table, sample);
	free_sketch(&sketch);
	if (status != KM_OK)
		km_sample_clear(table->host, sample);
	return status;
}

void
km_sample_clear(const KmHost *host, KmSample *sample)
{
	/* never created: the table has no host */
	if (sample->table.host != NULL)
		km_table_clear(&sample->table);
	km_free(host, sample->hash);
	km_free(host, sample->norm);
	sample->hash = NULL;
	sample->norm = NULL;
}

/*
 * sketch.c
 *		A set of distinct rows with the multiplicity of each, bounded by their
 *		keys: what samples are made of.
 *
 * Rows come in any order; what is kept in the end, and in which order,
 * depends on their contents alone.
 */
#include <math.h>
#include <string.h>

#include "sketch.h"

/* entries above want before a prune */
#define SPARE(want)		((want) + 1024)

/*
 * Looking at an entry that is anywhere, and so in no cache when there are
 * millions, takes as long as so many multiply-adds.
 */
#define LOOK_WORK		100

/* entries that are done without a look at the poll */
#define BATCH			4096

static int
compare_contents(const KmSketch *sketch, int64_t a, int64_t b)
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
entry_before(const KmSketch *sketch, const KmEntry *a, const KmEntry *b)
{
	if (a->key != b->key)
		return a->key < b->key;
	if (a->hash != b->hash)
		return a->hash < b->hash;
	return compare_contents(sketch, a->row, b->row) < 0;
}

/* Merge two sorted runs: [first, middle) and [middle, end). */
static bool
merge_runs(const KmSketch *sketch, KmPoll *poll, KmEntry *const *from,
		   KmEntry **to, size_t first, size_t middle, size_t end)
{
	size_t		a = first;
	size_t		b = middle;

	for (size_t i = first; i < end;)
	{
		size_t		stop = end - i > BATCH ? i + BATCH : end;

		if (!km_poll(poll, (double) LOOK_WORK * (stop - i)))
			return false;
		for (; i < stop; i++)
		{
			if (b >= end ||
				(a < middle && !entry_before(sketch, from[b], from[a])))
				to[i] = from[a++];
			else
				to[i] = from[b++];
		}
	}
	return true;
}

/* The runs of one length, in pairs. */
static bool
merge_level(const KmSketch *sketch, KmPoll *poll, KmEntry *const *from,
			KmEntry **to, size_t run)
{
	size_t		n = (size_t) sketch->n;

	for (size_t first = 0; first < n; first += 2 * run)
	{
		size_t		middle = first + run < n ? first + run : n;
		size_t		end = middle + run < n ? middle + run : n;

		if (!merge_runs(sketch, poll, from, to, first, middle, end))
			return false;
	}
	return true;
}

/*
 * Bottom-up merge sort of pointers: no recursion, no worst case, and unlike
 * qsort its comparison knows the sketch.
 */
KmStatus
km_sketch_sort(KmSketch *sketch, KmPoll *poll)
{
	size_t		n = (size_t) sketch->n;
	KmEntry	   *sorted = km_alloc(sketch->host, (size_t) sketch->capacity,
								  sizeof(KmEntry));
	KmEntry	  **from = km_alloc(sketch->host, n, sizeof(KmEntry *));
	KmEntry	  **to = km_alloc(sketch->host, n, sizeof(KmEntry *));
	KmStatus	status = KM_OK;

	if (sorted == NULL || from == NULL || to == NULL)
		status = KM_NO_MEMORY;
	for (size_t i = 0; i < n && status == KM_OK; i++)
		from[i] = &sketch->entries[i];
	for (size_t run = 1; run < n && status == KM_OK; run *= 2)
	{
		KmEntry	  **swap = from;

		if (!merge_level(sketch, poll, from, to, run))
			status = KM_CANCELLED;
		from = to;
		to = swap;
	}
	for (size_t i = 0; i < n && status == KM_OK; i++)
	{
		sorted[i] = *from[i];
		if (i % BATCH == 0 && !km_poll(poll, (double) LOOK_WORK * BATCH))
			status = KM_CANCELLED;
	}
	if (status == KM_OK)
	{
		km_free(sketch->host, sketch->entries);
		sketch->entries = sorted;
		sorted = NULL;
	}
	km_free(sketch->host, sorted);
	km_free(sketch->host, from);
	km_free(sketch->host, to);
	return status;
}

/* Cancelled, the index lacks entries, and finds those that it has. */
static KmStatus
index_entries(KmSketch *sketch, KmPoll *poll)
{
	memset(sketch->index, 0xff, sizeof(int32_t) * ((size_t) sketch->mask + 1));
	for (int64_t i = 0; i < sketch->n; i++)
	{
		uint32_t	at = (uint32_t) sketch->entries[i].hash & sketch->mask;

		while (sketch->index[at] >= 0)
			at = (at + 1) & sketch->mask;
		sketch->index[at] = (int32_t) i;
		if (i % BATCH == 0 && !km_poll(poll, (double) LOOK_WORK * BATCH))
			return KM_CANCELLED;
	}
	return KM_OK;
}

KmStatus
km_sketch_pack(KmSketch *sketch, KmPoll *poll)
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
		if (!km_poll(poll, LOOK_WORK + (double) sketch->nslots))
		{
			km_free(sketch->host, contents);
			return KM_CANCELLED;
		}
	}
	for (int64_t i = 0; i < sketch->n; i++)
		sketch->entries[i].row = i;
	km_free(sketch->host, sketch->contents);
	sketch->contents = contents;
	return index_entries(sketch, poll);
}

/*
 * Make room: keep what may still be among the want smallest.  Equal keys are
 * kept together, whoever came first.
 */
static KmStatus
prune(KmSketch *sketch, KmPoll *poll)
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
	sketch->n = kept;
	status = km_sketch_pack(sketch, poll);
	if (status == KM_NO_MEMORY)
		(void) index_entries(sketch, poll);
	return status;
}

static KmStatus
grow(KmSketch *sketch, KmPoll *poll)
{
	int64_t		capacity = sketch->capacity * 2;
	int64_t		most = sketch->want + SPARE(sketch->want);
	KmEntry	   *entries;
	double	   *contents;
	int32_t    *index;
	uint32_t	size = 64;

	if (capacity < 256)
		capacity = 256;
	if (capacity > most)
		capacity = most;
	while (size < capacity * 2)
		size *= 2;
	entries = km_alloc(sketch->host, (size_t) capacity, sizeof(KmEntry));
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
	for (int64_t i = 0; i < sketch->n; i++)
	{
		entries[i] = sketch->entries[i];
		memcpy(contents + i * sketch->nslots,
			   sketch->contents + i * sketch->nslots,
			   sizeof(double) * sketch->nslots);
		if (!km_poll(poll, 10 + (double) sketch->nslots))
		{
			km_free(sketch->host, entries);
			km_free(sketch->host, contents);
			km_free(sketch->host, index);
			return KM_CANCELLED;
		}
	}
	km_free(sketch->host, sketch->entries);
	km_free(sketch->host, sketch->contents);
	km_free(sketch->host, sketch->index);
	sketch->entries = entries;
	sketch->contents = contents;
	sketch->index = index;
	sketch->capacity = capacity;
	sketch->mask = size - 1;
	return index_entries(sketch, poll);
}

KmStatus
km_sketch_create(KmSketch *sketch, const KmSpace *space, KmPoll *poll,
				 int64_t want)
{
	memset(sketch, 0, sizeof(*sketch));
	sketch->host = space->host;
	sketch->space = space;
	sketch->nslots = space->nfeatures;
	sketch->want = want;
	sketch->threshold = INFINITY;
	sketch->complete = true;
	return grow(sketch, poll);
}

void
km_sketch_free(KmSketch *sketch)
{
	km_free(sketch->host, sketch->entries);
	km_free(sketch->host, sketch->contents);
	km_free(sketch->host, sketch->index);
}

KmStatus
km_sketch_prune(KmSketch *sketch, KmPoll *poll)
{
	return sketch->n > sketch->want + 1 ? prune(sketch, poll) : KM_OK;
}

KmStatus
km_sketch_offer(KmSketch *sketch, KmPoll *poll, const double *lane,
				const KmEntry *offered)
{
	uint64_t	hash = offered->hash;
	uint32_t	at = (uint32_t) hash & sketch->mask;
	KmEntry	   *entry;
	double	   *content;

	if (!km_poll(poll, 3.0 * LOOK_WORK))
		return KM_CANCELLED;
	while (sketch->index[at] >= 0)
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
				if (entry->weight >= KM_COUNT_MAX - offered->weight ||
					entry->copies >= KM_COUNT_MAX - offered->copies)
					return KM_BAD_FORMAT;
				entry->weight += offered->weight;
				entry->copies += offered->copies;
				return KM_OK;
			}
		}
		at = (at + 1) & sketch->mask;
	}

	if (sketch->n == sketch->capacity)
	{
		if (sketch->capacity < sketch->want + SPARE(sketch->want))
			KM_TRY(grow(sketch, poll));
		else
			KM_TRY(prune(sketch, poll));
		/* thousands of equal keys: only a forged hash could do that */
		if (sketch->n == sketch->capacity)
			return KM_NO_MEMORY;
		if (offered->key > sketch->threshold)
			return KM_OK;
		at = (uint32_t) hash & sketch->mask;
		while (sketch->index[at] >= 0)
			at = (at + 1) & sketch->mask;
	}
	entry = &sketch->entries[sketch->n];
	content = sketch->contents + sketch->n * sketch->nslots;
	for (int s = 0; s < sketch->nslots; s++)
		content[s] = lane[s * KM_LANES];
	*entry = *offered;
	entry->row = sketch->n;
	sketch->index[at] = (int32_t) sketch->n;
	sketch->n++;
	return KM_OK;
}

KmStatus
km_sketch_table(const KmSketch *sketch, KmPoll *poll, const KmTable *like,
				KmTable *table)
{
	KmTable		layout = *like;

	layout.weight_slot = sketch->nslots;
	layout.length_slot = -1;
	layout.nslots = sketch->nslots + 1;
	KM_TRY(km_table_clone(&layout, sketch->n, table));
	for (int64_t i = 0; i < sketch->n; i++)
	{
		const double *content = sketch->contents +
			sketch->entries[i].row * sketch->nslots;
		double	   *lane = km_cell(table, table->blocks, (int) i, 0);

		for (int s = 0; s < sketch->nslots; s++)
			lane[s * KM_LANES] = content[s];
		if (!km_poll(poll, LOOK_WORK + (double) sketch->nslots))
			return KM_CANCELLED;
	}
	return KM_OK;
}

static void
measure_tile(const KmSpace *space, const double *tile, double *norm)
{
	for (int l = 0; l < KM_LANES; l++)
		norm[l] = 0;
	for (int s = 0; s < space->nfeatures; s++)
	{
		const double *x = tile + s * KM_LANES;
		double		factor = 0;

		if (s >= space->nnum)
			factor = space->factor[s - space->nnum];
		for (int l = 0; l < KM_LANES; l++)
			norm[l] += s < space->nnum ? x[l] * x[l] : factor * factor;
	}
}

/*
 * Hash and squared length of a tile's rows.  The lanes' chains of
 * multiplications overlap, which makes this four times as fast as one row
 * after another.
 */
void
km_hash_tile(const KmSpace *space, const double *tile, uint64_t *hash,
			 double *norm)
{
	for (int l = 0; l < KM_LANES; l++)
		hash[l] = UINT64_C(0x9e3779b97f4a7c15);
	for (int s = 0; s < space->nfeatures; s++)
	{
		uint64_t	bits[KM_LANES];

		memcpy(bits, tile + s * KM_LANES, sizeof(bits));
		for (int l = 0; l < KM_LANES; l++)
		{
			hash[l] = (hash[l] ^ bits[l]) * UINT64_C(0xd6e8feb86659fd93);
			hash[l] ^= hash[l] >> 32;
		}
	}
	for (int l = 0; l < KM_LANES; l++)
		hash[l] = km_mix(hash[l]);
	if (norm != NULL)
		measure_tile(space, tile, norm);
}

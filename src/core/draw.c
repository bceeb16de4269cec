/*
 * draw.c
 *		A uniform sample of a table's rows, by their content alone.
 *
 * The copies of a row are told apart by a number only: the j-th copy of a
 * content has a key from the content's hash and j, and the rows drawn are
 * those with the smallest keys.  So every row has the same chance, a content
 * that a third of the rows share keeps its third, and the draw is a function
 * of the multiset of rows.  The number of copies comes from sorting all
 * hashes: 8 bytes a row for a moment.
 *
 * Different contents with the same hash share its copies, those of the first
 * content coming first; a second pass, which collects the contents of the
 * hashes drawn, finds out.
 */
#include <string.h>

#include "sketch.h"

/* parts of an array of hashes that insertion sorts fastest */
#define FEW_HASHES		16
#define DIGIT_BITS		8
#define DIGITS			(1 << DIGIT_BITS)

/* one copy of a content */
typedef struct Pick
{
	uint64_t	key;
	uint64_t	hash;
	int64_t		copy;			/* from 1 */
} Pick;

/* ---- how often each content occurs ---- */

/* pushes one tile's hashes into hashes */
static KmStatus
hash_rows(const KmTable *table, const KmSpace *space, KmPoll *poll,
		  uint64_t *hashes)
{
	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];
		int			ntiles = km_block_tiles(block);

		for (int t = 0; t < ntiles; t++)
		{
			uint64_t	hash[KM_LANES];

			km_hash_tile(space, km_tile(table, block, t), hash, NULL);
			memcpy(hashes + block->first + (int64_t) t * KM_LANES, hash,
				   sizeof(uint64_t) * km_tile_rows(block, t));
			if (!km_poll(poll, KM_LANES * (table->nfeatures + 2)))
				return KM_CANCELLED;
		}
	}
	return KM_OK;
}

static void
sort_few(uint64_t *v, size_t n)
{
	for (size_t i = 1; i < n; i++)
	{
		uint64_t	x = v[i];
		size_t		at = i;

		for (; at > 0 && v[at - 1] > x; at--)
			v[at] = v[at - 1];
		v[at] = x;
	}
}

/*
 * Sort hashes in place that are equal above their lowest bits: by the next
 * digit, each value's part then by the digits below (McIlroy, Bostic,
 * McIlroy, "Engineering radix sort", 1993).  The depth is that of the digits.
 */
static KmStatus
sort_hashes(KmPoll *poll, uint64_t *v, size_t n, int bits)
{
	size_t		next[DIGITS];
	size_t		end[DIGITS] = {0};
	size_t		sum = 0;

	if (n <= FEW_HASHES)
	{
		sort_few(v, n);
		return KM_OK;
	}
	if (bits == 0)
		return KM_OK;
	bits -= DIGIT_BITS;
	for (size_t i = 0; i < n; i++)
		end[v[i] >> bits & (DIGITS - 1)]++;
	if (!km_poll(poll, 2 * (double) n + DIGITS))
		return KM_CANCELLED;
	for (int d = 0; d < DIGITS; d++)
	{
		next[d] = sum;
		sum += end[d];
		end[d] = sum;
	}
	for (int d = 0; d < DIGITS; d++)
	{
		while (next[d] < end[d])
		{
			uint64_t	x = v[next[d]];
			int			at = x >> bits & (DIGITS - 1);

			/* x goes where it belongs, and what was there comes next */
			while (at != d)
			{
				size_t		to = next[at]++;
				uint64_t	y = v[to];

				v[to] = x;
				x = y;
				at = x >> bits & (DIGITS - 1);
			}
			v[next[d]++] = x;
		}
	}
	for (int d = 0; d < DIGITS; d++)
	{
		size_t		first = d == 0 ? 0 : end[d - 1];

		if (end[d] - first > 1)
			KM_TRY(sort_hashes(poll, v + first, end[d] - first, bits));
	}
	return KM_OK;
}

/* ---- which copies are drawn ---- */

/* no two are equal, so neither is a draw ever undecided */
static inline bool
key_before(const Pick *a, const Pick *b)
{
	if (a->key != b->key)
		return a->key < b->key;
	if (a->hash != b->hash)
		return a->hash < b->hash;
	return a->copy < b->copy;
}

static inline bool
hash_before(const Pick *a, const Pick *b)
{
	return a->hash != b->hash ? a->hash < b->hash : a->copy < b->copy;
}

/* Put x in place of the largest of a heap, in either order. */
static inline void
sift(Pick *heap, size_t n, size_t at, Pick x,
	 bool (*before) (const Pick *, const Pick *))
{
	for (;;)
	{
		size_t		child = 2 * at + 1;

		if (child >= n)
			break;
		if (child + 1 < n && before(&heap[child], &heap[child + 1]))
			child++;
		if (!before(&x, &heap[child]))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = x;
}

static inline void
make_heap(Pick *heap, size_t n, bool (*before) (const Pick *, const Pick *))
{
	for (size_t i = n / 2; i-- > 0;)
		sift(heap, n, i, heap[i], before);
}

/* The want copies with the smallest keys of sorted hashes, by hash. */
static KmStatus
pick_copies(KmPoll *poll, const uint64_t *hashes, size_t nhashes, Pick *picks,
			size_t want)
{
	size_t		n = 0;
	int64_t		copy = 0;

	for (size_t i = 0; i < nhashes; i++)
	{
		Pick		pick;

		copy = i > 0 && hashes[i] == hashes[i - 1] ? copy + 1 : 1;
		pick.hash = hashes[i];
		pick.copy = copy;
		pick.key = km_mix(hashes[i] +
						  (uint64_t) copy * UINT64_C(0x9e3779b97f4a7c15));
		if (n < want)
		{
			picks[n++] = pick;
			if (n == want)
				make_heap(picks, n, key_before);
		}
		else if (key_before(&pick, &picks[0]))
			sift(picks, n, 0, pick, key_before);
		if (!km_poll(poll, 4))
			return KM_CANCELLED;
	}
	make_heap(picks, n, hash_before);
	for (size_t last = n; last-- > 1;)
	{
		Pick		x = picks[last];

		picks[last] = picks[0];
		sift(picks, last, 0, x, hash_before);
	}
	return KM_OK;
}

/*
 * The copies to draw from a table that has more rows than wanted: want of
 * them, sorted by hash.
 */
static KmStatus
choose_copies(const KmTable *table, const KmSpace *space, int64_t want,
			  KmPoll *poll, Pick *picks)
{
	uint64_t   *hashes = km_alloc(table->host, (size_t) table->nrows,
								  sizeof(uint64_t));
	KmStatus	status = KM_NO_MEMORY;

	if (hashes != NULL)
		status = hash_rows(table, space, poll, hashes);
	if (status == KM_OK)
		status = sort_hashes(poll, hashes, (size_t) table->nrows, 64);
	if (status == KM_OK)
		status = pick_copies(poll, hashes, (size_t) table->nrows, picks,
							 (size_t) want);
	km_free(table->host, hashes);
	return status;
}

/* ---- their contents ---- */

/* A set of hashes: open addressing, half empty; 0 is kept apart. */
typedef struct HashSet
{
	uint64_t   *slots;
	uint64_t	mask;
	bool		has_zero;
} HashSet;

static KmStatus
create_set(const KmHost *host, const Pick *picks, int64_t n, HashSet *set)
{
	uint64_t	size = 64;

	while (size < (uint64_t) n * 2)
		size *= 2;
	set->mask = size - 1;
	set->has_zero = false;
	set->slots = km_alloc_zero(host, size, sizeof(uint64_t));
	if (set->slots == NULL)
		return KM_NO_MEMORY;
	for (int64_t i = 0; i < n; i++)
	{
		uint64_t	at = picks[i].hash & set->mask;

		set->has_zero |= picks[i].hash == 0;
		while (set->slots[at] != 0 && set->slots[at] != picks[i].hash)
			at = (at + 1) & set->mask;
		set->slots[at] = picks[i].hash;
	}
	return KM_OK;
}

static inline bool
set_has(const HashSet *set, uint64_t hash)
{
	uint64_t	at = hash & set->mask;

	if (hash == 0)
		return set->has_zero;
	while (set->slots[at] != 0)
	{
		if (set->slots[at] == hash)
			return true;
		at = (at + 1) & set->mask;
	}
	return false;
}

/* Contents and their multiplicities of the rows with a hash in the set. */
static KmStatus
collect_contents(const KmTable *table, const KmSpace *space, KmPoll *poll,
				 const HashSet *set, KmSketch *sketch)
{
	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];
		int			ntiles = km_block_tiles(block);

		for (int t = 0; t < ntiles; t++)
		{
			const double *tile = km_tile(table, block, t);
			int			n = km_tile_rows(block, t);
			uint64_t	hash[KM_LANES];

			km_hash_tile(space, tile, hash, NULL);
			for (int l = 0; l < n; l++)
			{
				KmEntry		entry = {0, hash[l], 1, 1, 1, 0, 0};

				if (set == NULL || set_has(set, hash[l]))
					KM_TRY(km_sketch_offer(sketch, poll, tile + l, &entry));
			}
			if (!km_poll(poll, KM_LANES * (table->nfeatures + 4)))
				return KM_CANCELLED;
		}
	}
	return km_sketch_sort(sketch);
}

/*
 * From the copies in the data to those drawn.  Entries and picks are sorted
 * by hash; contents that share a hash share its copies, in their order.
 */
static void
count_picks(KmSketch *sketch, const Pick *picks, int64_t npicks)
{
	int64_t		kept = 0;
	int64_t		at = 0;
	int64_t		copies = 0;		/* of the hash, up to this entry */

	for (int64_t i = 0; i < sketch->n; i++)
	{
		KmEntry    *entry = &sketch->entries[i];
		int64_t		drawn = 0;

		copies = i > 0 && entry->hash == entry[-1].hash ?
			copies + entry->weight : entry->weight;
		for (; at < npicks && picks[at].hash == entry->hash &&
			 picks[at].copy <= copies; at++)
			drawn++;
		entry->weight = drawn;
	}
	/* not before: the loop above looks back at hashes */
	for (int64_t i = 0; i < sketch->n; i++)
	{
		if (sketch->entries[i].weight > 0)
			sketch->entries[kept++] = sketch->entries[i];
	}
	sketch->n = kept;
}

static KmStatus
make_draw(const KmSketch *sketch, const KmTable *like, KmDraw *draw)
{
	const KmHost *host = like->host;

	KM_TRY(km_sketch_table(sketch, like, &draw->table));
	draw->multiplicity = km_alloc(host, (size_t) sketch->n, sizeof(int64_t));
	draw->hash = km_alloc(host, (size_t) sketch->n, sizeof(uint64_t));
	if (draw->multiplicity == NULL || draw->hash == NULL)
		return KM_NO_MEMORY;
	draw->rows = like->nrows;
	for (int64_t i = 0; i < sketch->n; i++)
	{
		const KmEntry *entry = &sketch->entries[i];

		draw->multiplicity[i] = entry->weight;
		draw->hash[i] = entry->hash;
		draw->total += entry->weight;
		*km_cell(&draw->table, draw->table.blocks, (int) i,
				 draw->table.weight_slot) = (double) entry->weight;
	}
	draw->table.max_weight = 1;
	return KM_OK;
}

/* ---- all of it ---- */

static KmStatus
fill_draw(const KmTable *table, const KmSpace *space, KmPoll *poll,
		  const Pick *picks, int64_t npicks, KmDraw *draw)
{
	HashSet		set = {NULL, 0, false};
	KmSketch	sketch;
	/* no limit: nothing is left out by its key */
	KmStatus	status = km_sketch_create(&sketch, space, INT32_MAX / 4);

	if (status == KM_OK && picks != NULL)
		status = create_set(table->host, picks, npicks, &set);
	if (status == KM_OK)
		status = collect_contents(table, space, poll,
								  picks == NULL ? NULL : &set, &sketch);
	if (status == KM_OK && picks != NULL)
		count_picks(&sketch, picks, npicks);
	if (status == KM_OK)
		status = make_draw(&sketch, table, draw);
	km_free(table->host, set.slots);
	km_sketch_free(&sketch);
	return status;
}

KmStatus
km_draw_create(const KmTable *table, const KmSpace *space, int64_t want,
			   KmPoll *poll, KmDraw *draw)
{
	Pick	   *picks = NULL;
	KmStatus	status = KM_OK;

	memset(draw, 0, sizeof(*draw));
	if (table->nrows > want)
	{
		picks = km_alloc(table->host, (size_t) want, sizeof(Pick));
		status = picks == NULL ? KM_NO_MEMORY :
			choose_copies(table, space, want, poll, picks);
	}
	if (status == KM_OK)
		status = fill_draw(table, space, poll, picks, want, draw);
	km_free(table->host, picks);
	if (status != KM_OK)
		km_draw_clear(draw);
	return status;
}

void
km_draw_clear(KmDraw *draw)
{
	const KmHost *host = draw->table.host;

	/* never created, or cleared: there is no host */
	if (host == NULL)
		return;
	km_table_clear(&draw->table);
	km_free(host, draw->multiplicity);
	km_free(host, draw->hash);
	memset(draw, 0, sizeof(*draw));
}

KmStatus
km_draw_assign(const KmDraw *draw, const KmSpace *space, KmPoll *poll,
			   KmSimd simd, const double *centers, int k, uint16_t *own)
{
	const KmTable *table = &draw->table;
	KmNearest	nearest = km_nearest_kernel(simd);
	KmPacked	packed;
	KmStatus	status = KM_OK;

	KM_TRY(km_packed_create(space, k, &packed));
	km_packed_set(space, &packed, centers, k);
	for (int64_t row = 0; row < table->nrows; row += KM_LANES)
	{
		int64_t		left = table->nrows - row;
		int64_t		id[KM_LANES];
		double		d1[KM_LANES];
		double		d2[KM_LANES];

		nearest(space, &packed,
				km_tile(table, table->blocks, (int) (row / KM_LANES)), 1,
				table->nslots, id, d1, d2);
		for (int l = 0; l < KM_LANES && l < left; l++)
			own[row + l] = (uint16_t) id[l];
		if (!km_poll(poll, (double) KM_LANES * k * (table->nfeatures + 2)))
		{
			status = KM_CANCELLED;
			break;
		}
	}
	km_packed_free(space, &packed);
	return status;
}

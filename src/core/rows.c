/*
 * rows.c
 *		Tables of rows in tiles, and the store that a fit is filled through.
 *
 * Blocks start small, so that a thousand little groups cost little, and grow
 * to about a megabyte, so that the last one wastes little.  Memory for those
 * of large tables is taken many blocks at a time, for which the host can use
 * large pages.
 */
#include <string.h>

#include "share.h"
#include "store.h"

#define FIRST_BLOCK_ROWS	32
#define LAST_BLOCK_BYTES	(1024 * 1024)
/* the smaller, the more of them a pass leaves out; the larger, the fewer
 * calls to read one */
#define STORED_BLOCK_BYTES	(256 * 1024)
#define BLOCKS_OF_LIMIT		16	/* at the least, of a table with a store */
/* what is taken at a time, from so many bytes of rows on */
#define SLAB_BYTES			((size_t) 32 * 1024 * 1024)
#define SLABS_FROM			((size_t) 8 * 1024 * 1024)

/*
 * Room for a block.  One that is of a slab does not own it, but for the first;
 * the last block before a table spills has to own its memory, which its
 * successors use.
 */
static KmStatus
find_room(KmTable *table, KmBlock *block, size_t bytes)
{
	/* a load that crosses cache lines costs two */
	size_t		needed = bytes + KM_CACHE_LINE;
	bool		in_slab = table->bytes >= SLABS_FROM &&
		needed <= SLAB_BYTES / 4 &&
		(table->limit == 0 ||
		 table->bytes + SLAB_BYTES + 2 * needed <= table->limit);
	unsigned char *memory = table->slab;

	if (!in_slab || table->slab_left < needed)
	{
		memory = block->memory = km_alloc(table->host, in_slab ? SLAB_BYTES :
										  needed, 1);
		if (memory == NULL)
			return KM_NO_MEMORY;
	}
	if (in_slab)
	{
		table->slab_left = (block->memory != NULL ? SLAB_BYTES :
							table->slab_left) - needed;
		table->slab = memory + needed;
	}
	block->data = km_first_line(memory);
	return KM_OK;
}

static KmStatus
add_block(KmTable *table, int capacity)
{
	size_t		row_bytes = sizeof(double) * table->nslots;
	size_t		bytes = row_bytes * capacity;
	bool		spills = table->limit != 0 &&
		table->bytes + bytes > table->limit;
	KmBlock    *block;

	if (spills && table->stored == NULL)
		return KM_OVER_LIMIT;
	/* one block there must be */
	spills &= table->nblocks > 0;
	if (table->nblocks == table->blocks_allocated)
	{
		int			n = table->blocks_allocated == 0 ? 8
			: table->blocks_allocated * 2;
		KmBlock    *blocks = km_alloc(table->host, n, sizeof(KmBlock));

		if (blocks == NULL)
			return KM_NO_MEMORY;
		if (table->nblocks > 0)
			memcpy(blocks, table->blocks, sizeof(KmBlock) * table->nblocks);
		km_free(table->host, table->blocks);
		table->blocks = blocks;
		table->blocks_allocated = n;
	}
	block = &table->blocks[table->nblocks];
	memset(block, 0, sizeof(*block));
	block->first = table->nrows;
	if (spills)
	{
		size_t		most = STORED_BLOCK_BYTES / row_bytes / KM_LANES * KM_LANES;

		if ((size_t) capacity > most && most >= FIRST_BLOCK_ROWS)
			capacity = (int) most;
		KM_TRY(km_stored_put_last(table));
		block->memory = table->stored->memory;
		block->data = table->stored->data;
		if (capacity > block[-1].capacity)
			capacity = block[-1].capacity;
		block->capacity = capacity;
		table->nblocks++;
		return KM_OK;
	}
	block->data = km_share_block(table, bytes, &block->shared);
	if (block->data == NULL)
		KM_TRY(find_room(table, block, bytes));
	block->capacity = capacity;
	table->nblocks++;
	table->bytes += bytes;
	return KM_OK;
}

KmStatus
km_rows_create(const KmHost *host, int nfeatures, const KmKind *kinds,
			   bool weighted, bool cosine, size_t limit, KmRows **rows)
{
	KmRows	   *new = km_alloc_zero(host, 1, sizeof(KmRows));
	KmTable    *table;
	int			nnum = 0;
	int			next_cat;

	if (new == NULL)
		return KM_NO_MEMORY;
	new->weighted = weighted;
	new->cosine = cosine;
	table = &new->table;
	table->host = host;
	table->limit = limit;
	table->nfeatures = nfeatures;
	table->slot = km_alloc(host, nfeatures, sizeof(int));
	table->missing = km_alloc_zero(host, nfeatures, sizeof(int64_t));
	if (table->slot == NULL || table->missing == NULL)
	{
		km_rows_free(new);
		return KM_NO_MEMORY;
	}
	for (int f = 0; f < nfeatures; f++)
	{
		if (kinds[f] != KM_CATEGORY)
			table->slot[f] = nnum++;
	}
	next_cat = nnum;
	for (int f = 0; f < nfeatures; f++)
	{
		if (kinds[f] == KM_CATEGORY)
			table->slot[f] = next_cat++;
	}
	table->nnum = nnum;
	table->ncat = nfeatures - nnum;
	table->nslots = nfeatures;
	table->weight_slot = weighted ? table->nslots++ : -1;
	table->length_slot = cosine ? table->nslots++ : -1;
	*rows = new;
	return KM_OK;
}

KmStatus
km_rows_add(KmRows *rows, const double *values, double weight)
{
	KmTable    *table = &rows->table;
	KmBlock    *block;
	double	   *lane;
	int			l;

	block = table->nblocks > 0 ? &table->blocks[table->nblocks - 1] : NULL;
	if (block == NULL || block->nrows == block->capacity)
	{
		size_t		most = LAST_BLOCK_BYTES / (sizeof(double) * table->nslots);
		size_t		capacity = FIRST_BLOCK_ROWS;

		if (table->stored != NULL && table->limit != 0 &&
			table->limit / BLOCKS_OF_LIMIT < LAST_BLOCK_BYTES)
			most = table->limit / BLOCKS_OF_LIMIT /
				(sizeof(double) * table->nslots);

		/* an eighth of what there is: rows are never half empty */
		if ((size_t) table->nrows / 8 > capacity)
			capacity = (size_t) table->nrows / 8;
		if (capacity > most)
			capacity = most;
		if (capacity < FIRST_BLOCK_ROWS)
			capacity = FIRST_BLOCK_ROWS;
		capacity -= capacity % KM_LANES;
		KM_TRY(add_block(table, (int) capacity));
		block = &table->blocks[table->nblocks - 1];
	}

	l = block->nrows % KM_LANES;
	lane = km_tile(table, block, block->nrows / KM_LANES);
	if (l == 0)
		memset(lane, 0, sizeof(double) * table->nslots * KM_LANES);
	lane += l;
	/* adding zero turns -0 into 0: equal values shall have equal bits */
	for (int f = 0; f < table->nfeatures; f++)
		lane[table->slot[f] * KM_LANES] = values[f] + 0.0;
	if (table->weight_slot >= 0)
	{
		lane[table->weight_slot * KM_LANES] = weight;
		if (weight > table->max_weight)
			table->max_weight = weight;
	}
	block->nrows++;
	table->nrows++;
	return KM_OK;
}

KmStatus
km_rows_spill(KmRows *rows, const KmStore *store)
{
	return km_stored_create(&rows->table, store);
}

int64_t
km_rows_count(const KmRows *rows)
{
	return rows->table.nrows;
}

void
km_rows_free(KmRows *rows)
{
	const KmHost *host;

	if (rows == NULL)
		return;
	host = rows->table.host;
	km_table_clear(&rows->table);
	km_free(host, rows->table.slot);
	km_free(host, rows->table.missing);
	km_free(host, rows);
}

KmStatus
km_table_clone(const KmTable *like, int64_t nrows, KmTable *table)
{
	int64_t		capacity = (nrows + KM_LANES - 1) / KM_LANES * KM_LANES;
	KmStatus	status;

	*table = *like;
	table->nrows = 0;
	table->nblocks = 0;
	table->blocks_allocated = 0;
	table->blocks = NULL;
	table->sharing = NULL;
	table->slab = NULL;
	table->slab_left = 0;
	table->bytes = 0;
	table->limit = 0;
	table->stored = NULL;
	if (capacity > INT32_MAX)
		return KM_NO_MEMORY;
	status = add_block(table, (int) capacity);
	if (status == KM_OK)
	{
		memset(table->blocks[0].data, 0,
			   sizeof(double) * table->nslots * (size_t) capacity);
		table->blocks[0].nrows = (int) nrows;
		table->nrows = nrows;
	}
	else
	{
		/* nobody has to clear what was not made */
		km_free(table->host, table->blocks);
		table->blocks = NULL;
		table->blocks_allocated = 0;
	}
	return status;
}

void
km_table_lone(KmTable *table)
{
	for (int b = 0; b < table->nblocks; b++)
	{
		table->blocks[b].beside = NULL;
		table->blocks[b].single = NULL;
		table->blocks[b].beside_shared = 0;
		table->blocks[b].single_shared = 0;
		table->blocks[b].beside_size = 0;
	}
}

/* Nothing beside the blocks any more, nor memory for it. */
static void
free_beside(KmTable *table)
{
	for (int b = 0; b < table->nblocks; b++)
	{
		KmBlock    *block = &table->blocks[b];

		km_free(table->host, block->beside_memory);
		block->beside_memory = NULL;
		block->beside = NULL;
		block->single = NULL;
		block->beside_shared = 0;
		block->single_shared = 0;
		block->beside_size = 0;
	}
	km_unshare_beside(table);
}

/* A fit runs Lloyd again and again, and fresh memory costs a pass. */
static KmStatus
renew_beside(KmTable *table, KmBlock *owner, size_t room)
{
	if (owner->beside_memory != NULL && owner->beside_bytes == room)
		return KM_OK;
	km_free(table->host, owner->beside_memory);
	owner->beside_memory = km_alloc(table->host, room, 1);
	owner->beside_bytes = room;
	return owner->beside_memory != NULL ? KM_OK : KM_NO_MEMORY;
}

KmStatus
km_table_beside(KmTable *table, size_t per_row, size_t per_group,
				size_t single)
{
	size_t		group = per_row * KM_GROUP_ROWS + per_group;
	size_t		singles = single * KM_GROUP_ROWS;
	size_t		room = 0;
	size_t		single_room = 0;
	unsigned char *next = NULL;
	unsigned char *next_single = NULL;

	if (km_share_beside(table, group, per_row, singles))
		return KM_OK;
	if (km_table_is_stored(table))
		KM_TRY(km_stored_beside(table, group));
	for (int b = 0; b < table->nblocks; b++)
	{
		if (km_block_is_out(&table->blocks[b]))
			continue;
		room += km_beside_size(&table->blocks[b], group);
		single_room += km_beside_size(&table->blocks[b], singles);
	}

	/* all at once, for large pages; the first block owns it */
	for (int b = 0; b < table->nblocks; b++)
	{
		KmBlock    *block = &table->blocks[b];

		if (km_block_is_out(block))
			continue;
		if (next == NULL)
		{
			KM_TRY(renew_beside(table, block, room + single_room +
								KM_CACHE_LINE));
			next = km_first_line(block->beside_memory);
			next_single = next + room;
		}
		block->beside = next;
		block->single = single > 0 ? (float *) next_single : NULL;
		memset(block->beside, 0, km_block_groups(block) * KM_GROUP_ROWS *
			   per_row);
		next += km_beside_size(block, group);
		next_single += km_beside_size(block, singles);
	}
	return KM_OK;
}

KmStatus
km_table_view(const KmTable *table, KmTable *view)
{
	*view = *table;
	view->stored = NULL;
	view->sharing = NULL;
	view->blocks = km_alloc(table->host, table->nblocks, sizeof(KmBlock));
	if (view->blocks == NULL)
		return KM_NO_MEMORY;
	for (int b = 0; b < table->nblocks; b++)
	{
		view->blocks[b] = table->blocks[b];
		view->blocks[b].memory = NULL;
		view->blocks[b].shared = 0;
		view->blocks[b].beside = NULL;
		view->blocks[b].beside_memory = NULL;
		view->blocks[b].beside_shared = 0;
	}
	return KM_OK;
}

void
km_view_clear(KmTable *view)
{
	if (view->blocks == NULL)
		return;
	free_beside(view);
	km_free(view->host, view->blocks);
	view->blocks = NULL;
}

void
km_table_clear(KmTable *table)
{
	free_beside(table);
	km_stored_free(table);
	for (int i = 0; i < table->nblocks; i++)
		km_free(table->host, table->blocks[i].memory);
	km_unshare_table(table);
	km_free(table->host, table->blocks);
	table->blocks = NULL;
	table->nblocks = 0;
	table->blocks_allocated = 0;
}

const KmBlock *
km_find_block(const KmTable *table, int64_t row)
{
	int			low = 0;
	int			high = table->nblocks - 1;

	while (low < high)
	{
		int			middle = (low + high + 1) / 2;

		if (table->blocks[middle].first <= row)
			low = middle;
		else
			high = middle - 1;
	}
	return &table->blocks[low];
}

double *
km_find_row(const KmTable *table, int64_t row)
{
	const KmBlock *block = km_find_block(table, row);

	return km_cell(table, block, (int) (row - block->first), 0);
}

void
km_lane_center(const KmSpace *space, const double *lane, int stride,
			   double *center)
{
	for (int s = 0; s < space->nnum; s++)
		center[s] = lane[s * stride];
	memset(center + space->nnum, 0,
		   sizeof(double) * (space->width - space->nnum));
	for (int c = 0; c < space->ncat; c++)
	{
		int			code = (int) lane[(space->nnum + c) * stride];

		center[space->offset[c] + code] = space->factor[c];
	}
}

void
km_row_center(const KmTable *table, const KmSpace *space, int64_t row,
			  double *center)
{
	km_lane_center(space, km_find_row(table, row), KM_LANES, center);
}

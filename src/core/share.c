/*
 * share.c
 *		Tables whose blocks stand where a whole crew sees them.
 *
 * Copying a table takes as long as several passes over it.  So as soon as one
 * is so large that a crew may come, its further blocks are made in shared
 * memory, and only the first ones are ever moved.
 */
#include <string.h>

#include "crew.h"
#include "share.h"

/*
 * A table of so many bytes may get a crew: 65,536 rows of 8 features, whose
 * fit takes some 50 ms.
 */
#define SHARE_FROM		((size_t) 4 << 20)

/*
 * And only if enough is to be done with its rows: shared memory costs more
 * than memory of one's own does in huge pages, 20 to 50 ms for a million rows
 * of 8 features, and what a member saves of a few passes is no more.
 */
#define SHARE_EFFORT	90.0

/*
 * Multiply-adds that a value takes in a pass, at the least; and in all of the
 * some dozen passes over a table.
 */
#define PASS_WORK		3.0
#define TABLE_WORK		100.0

static const KmCrew *
crew_of(const KmTable *table)
{
	return table->host->crew;
}

/*
 * Passes get longer and more with k: about 10 over all rows at 5, 100 at 15,
 * 500 at 50, most of which look at few rows.
 */
void
km_rows_plan(KmRows *rows, int k_min, int k_max)
{
	rows->table.effort = 0;
	for (int k = k_min; k <= k_max; k++)
		rows->table.effort += 2.0 * k + 0.25 * k * k;
}

/* Is a crew worth having the rows in shared memory? */
static bool
is_worth_sharing(const KmTable *table)
{
	const KmCrew *crew = crew_of(table);

	return crew != NULL &&
		(table->effort >= SHARE_EFFORT || crew->grain == 0);
}

int
km_table_others(const KmTable *table)
{
	double		values = (double) table->nrows * table->nslots;

	/* what comes from a store comes through one room */
	if (table->nblocks < 2 || km_table_is_stored(table) ||
		!is_worth_sharing(table))
		return 0;
	return km_crew_others(table->host, values * PASS_WORK,
						  values * TABLE_WORK);
}

static KmSharing *
get_sharing(KmTable *table)
{
	if (table->sharing == NULL && crew_of(table) != NULL)
		table->sharing = km_alloc_zero(table->host, 1, sizeof(KmSharing));
	return table->sharing;
}

/* ---- arenas ---- */

static KmArena *
add_arena(KmTable *table, KmSharing *sharing, size_t size)
{
	const KmCrew *crew = crew_of(table);
	KmArena    *arena = &sharing->arenas[sharing->narenas];

	if (sharing->narenas == KM_ARENAS_MAX || sharing->is_refused)
		return NULL;
	arena->memory = crew->share(crew->arg, size, &arena->handle);
	if (arena->memory == NULL)
	{
		sharing->is_refused = true;
		return NULL;
	}
	arena->size = size;
	arena->used = 0;
	sharing->narenas++;
	return arena;
}

static void *
cut_arena(KmArena *arena, size_t bytes, KmHandle *handle)
{
	size_t		at = arena->used;

	arena->used += km_whole_lines(bytes);
	*handle = arena->handle + at;
	return arena->memory + at;
}

void *
km_share_block(KmTable *table, size_t bytes, KmHandle *handle)
{
	KmSharing  *sharing;
	KmArena    *arena = NULL;
	size_t		from;

	if (!is_worth_sharing(table))
		return NULL;
	from = crew_of(table)->grain > 0 ? SHARE_FROM : 0;
	if (table->bytes < from)
		return NULL;
	sharing = get_sharing(table);
	if (sharing == NULL)
		return NULL;
	if (sharing->narenas > 0)
		arena = &sharing->arenas[sharing->narenas - 1];
	if (arena == NULL || arena->size - arena->used < bytes + KM_CACHE_LINE)
	{
		/*
		 * A full one costs nothing, but a last one that is empty does.  Small
		 * tables double: there is room for so many arenas only.
		 */
		size_t		size = table->bytes < SHARE_FROM ? table->bytes :
			table->bytes / 8;

		size = size > from ? size : from;
		size = size > bytes ? size : bytes;
		arena = add_arena(table, sharing, size + KM_CACHE_LINE);
		if (arena == NULL)
			return NULL;
	}
	return cut_arena(arena, bytes, handle);
}

static size_t
block_bytes(const KmTable *table, const KmBlock *block)
{
	return sizeof(double) * table->nslots * (size_t) block->capacity;
}

KmStatus
km_keep_block(KmTable *table, KmBlock *block)
{
	size_t		bytes = block_bytes(table, block);
	double	   *data;

	if (block->shared == 0)
		return KM_OK;
	block->memory = km_alloc(table->host, bytes + KM_CACHE_LINE, 1);
	if (block->memory == NULL)
		return KM_NO_MEMORY;
	data = km_first_line(block->memory);
	memcpy(data, block->data, bytes);
	block->data = data;
	block->shared = 0;
	return KM_OK;
}

/* ---- moving what is not shared yet ---- */

static bool
move_blocks(KmTable *table, KmSharing *sharing)
{
	size_t		bytes = 0;
	KmArena    *arena;

	for (int b = 0; b < table->nblocks; b++)
	{
		if (table->blocks[b].shared == 0)
			bytes += block_bytes(table, &table->blocks[b]) + KM_CACHE_LINE;
	}
	if (bytes == 0)
		return true;
	arena = add_arena(table, sharing, bytes);
	if (arena == NULL)
		return false;
	for (int b = 0; b < table->nblocks; b++)
	{
		KmBlock    *block = &table->blocks[b];
		void	   *to;

		if (block->shared != 0)
			continue;
		to = cut_arena(arena, block_bytes(table, block), &block->shared);
		/* lanes beyond the last tile in use were never written */
		memcpy(to, block->data, sizeof(double) * table->nslots * KM_LANES *
			   km_block_tiles(block));
		km_free(table->host, block->memory);
		block->memory = NULL;
		block->data = to;
	}
	return true;
}

bool
km_share_table(KmTable *table)
{
	KmSharing  *sharing = get_sharing(table);

	if (sharing == NULL || sharing->is_refused)
		return false;
	/* what is beside them is made once they are shared: see km_share_beside */
	for (int b = 0; b < table->nblocks; b++)
	{
		if (table->blocks[b].beside != NULL &&
			table->blocks[b].beside_shared == 0)
			return false;
	}
	return move_blocks(table, sharing);
}

/* ---- beside ---- */

bool
km_share_beside(KmTable *table, size_t group, size_t per_row, size_t singles)
{
	const KmCrew *crew = crew_of(table);
	KmSharing  *sharing;
	size_t		room = 0;
	size_t		bytes;
	unsigned char *memory;
	size_t		at = 0;

	if (km_table_others(table) == 0 || !km_share_table(table))
		return false;
	sharing = table->sharing;
	for (int b = 0; b < table->nblocks; b++)
		room += km_beside_size(&table->blocks[b], group);
	bytes = room;
	for (int b = 0; b < table->nblocks; b++)
		bytes += km_beside_size(&table->blocks[b], singles);
	if (sharing->beside == 0 || sharing->beside_bytes != bytes)
	{
		km_unshare_beside(table);
		sharing->beside_memory = crew->share(crew->arg, bytes,
											 &sharing->beside);
		sharing->beside_bytes = bytes;
	}
	memory = sharing->beside_memory;
	if (memory == NULL)
	{
		sharing->beside = 0;
		return false;
	}
	for (int b = 0; b < table->nblocks; b++)
	{
		KmBlock    *block = &table->blocks[b];

		block->beside = memory + at;
		block->beside_shared = sharing->beside + at;
		memset(block->beside, 0, km_block_groups(block) * KM_GROUP_ROWS *
			   per_row);
		at += km_beside_size(block, group);
		if (singles == 0)
			continue;
		block->single = (float *) (memory + room);
		block->single_shared = sharing->beside + room;
		room += km_beside_size(block, singles);
	}
	return true;
}

void
km_unshare_beside(KmTable *table)
{
	const KmCrew *crew = crew_of(table);

	if (table->sharing == NULL || table->sharing->beside == 0)
		return;
	crew->unshare(crew->arg, table->sharing->beside);
	table->sharing->beside = 0;
}

/* ---- tasks ---- */

void *
km_share_task(KmTable *table, size_t size, KmHandle *handle)
{
	const KmCrew *crew = crew_of(table);
	KmSharing  *sharing = table->sharing;

	if (sharing->task_size < size)
	{
		if (sharing->task != 0)
			crew->unshare(crew->arg, sharing->task);
		sharing->task_size = 0;
		sharing->task = 0;
		sharing->task_memory = crew->share(crew->arg, size + size / 2,
										   &sharing->task);
		if (sharing->task_memory == NULL)
		{
			sharing->task = 0;
			return NULL;
		}
		sharing->task_size = size + size / 2;
	}
	*handle = sharing->task;
	return sharing->task_memory;
}

void
km_unshare_table(KmTable *table)
{
	const KmCrew *crew = crew_of(table);
	KmSharing  *sharing = table->sharing;

	if (sharing == NULL)
		return;
	for (int i = 0; i < sharing->narenas; i++)
		crew->unshare(crew->arg, sharing->arenas[i].handle);
	if (sharing->task != 0)
		crew->unshare(crew->arg, sharing->task);
	km_free(table->host, sharing);
	table->sharing = NULL;
}

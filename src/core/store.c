/*
 * store.c
 *		Tables larger than memory.
 *
 * A pass comes to every block once, in order, and then to the first one
 * again: what was used least recently is needed first, so nothing is gained
 * by moving blocks in and out.  The first blocks stay in memory; those that
 * came when it was full are in the store, and each is read into the same
 * room when a pass comes to it, unless the step leaves it out.  What passes
 * keep beside rows goes with the block.
 *
 * No block in the store is larger than the last one that found room, whose
 * memory all others take in turn.  No result depends on where rows are.
 */
#include <string.h>

#include "share.h"
#include "store.h"

/* bytes of a block's tiles */
static size_t
data_size(const KmTable *table, const KmBlock *block)
{
	return (size_t) km_block_tiles(block) * table->nslots * KM_LANES *
		sizeof(double);
}

KmStatus
km_stored_create(KmTable *table, const KmStore *store)
{
	table->stored = km_alloc_zero(table->host, 1, sizeof(KmStored));
	if (table->stored == NULL)
		return KM_NO_MEMORY;
	table->stored->store = store;
	return KM_OK;
}

void
km_stored_free(KmTable *table)
{
	KmStored   *stored = table->stored;

	if (stored == NULL)
		return;
	/* while it is the last block's, it goes with that */
	if (!stored->has_last)
		km_free(table->host, stored->memory);
	km_free(table->host, stored->beside_memory);
	km_free(table->host, stored);
	table->stored = NULL;
}

bool
km_table_is_stored(const KmTable *table)
{
	return table->stored != NULL && table->stored->memory != NULL;
}

/* The block's rows go, and it has no memory any more. */
static KmStatus
put_block(KmTable *table, KmBlock *block)
{
	KmStored   *stored = table->stored;
	size_t		size = data_size(table, block);

	block->at = stored->end;
	KM_TRY(stored->store->write(stored->store->arg, block->at, block->data,
								size));
	stored->end += (int64_t) size;
	stored->memory = block->memory;
	stored->data = block->data;
	block->memory = NULL;
	block->data = NULL;
	return KM_OK;
}

KmStatus
km_stored_put_last(KmTable *table)
{
	KmStored   *stored = table->stored;

	if (stored->memory == NULL)
		stored->first = table->nblocks - 1;
	/* its memory is the room that all others are read into */
	KM_TRY(km_keep_block(table, &table->blocks[table->nblocks - 1]));
	KM_TRY(put_block(table, &table->blocks[table->nblocks - 1]));
	stored->has_last = true;
	return KM_OK;
}

KmStatus
km_stored_settle(KmTable *table)
{
	KmStored   *stored = table->stored;

	if (stored == NULL || !stored->has_last)
		return KM_OK;
	KM_TRY(put_block(table, &table->blocks[table->nblocks - 1]));
	stored->has_last = false;
	return KM_OK;
}

KmStatus
km_stored_beside(KmTable *table, size_t group)
{
	KmStored   *stored = table->stored;
	size_t		most = 0;

	KM_TRY(km_stored_settle(table));
	for (int b = stored->first; b < table->nblocks; b++)
	{
		KmBlock    *block = &table->blocks[b];
		size_t		size = km_block_groups(block) * group;

		/* the room is kept for whoever asks next */
		if (size > block->beside_room)
		{
			block->beside_at = stored->end;
			block->beside_room = size;
			stored->end += (int64_t) size;
		}
		block->beside_size = size;
		block->beside_is_zero = true;
		most = size > most ? size : most;
	}
	if (most <= stored->beside_room)
		return KM_OK;
	km_free(table->host, stored->beside_memory);
	stored->beside_room = 0;
	stored->beside_memory = km_alloc(table->host, most + KM_CACHE_LINE, 1);
	if (stored->beside_memory == NULL)
		return KM_NO_MEMORY;
	stored->beside_room = most;
	stored->beside = km_first_line(stored->beside_memory);
	return KM_OK;
}

KmStatus
km_stored_open(const KmTable *table, const KmBlock *block, KmBlock *here)
{
	const KmStored *stored = table->stored;
	const KmStore *store = stored->store;

	*here = *block;
	here->data = stored->data;
	KM_TRY(store->read(store->arg, block->at, here->data,
					   data_size(table, block)));
	if (block->beside_size == 0)
		return KM_OK;
	here->beside = stored->beside;
	if (block->beside_is_zero)
		memset(here->beside, 0, block->beside_size);
	else
		KM_TRY(store->read(store->arg, block->beside_at, here->beside,
						   block->beside_size));
	return KM_OK;
}

KmStatus
km_stored_close(const KmTable *table, const KmBlock *here, KmBlock *block,
				bool rows, bool beside)
{
	const KmStore *store = table->stored->store;

	block->least = here->least;
	if (rows)
		KM_TRY(store->write(store->arg, block->at, here->data,
							data_size(table, block)));
	if (beside && block->beside_size > 0)
	{
		KM_TRY(store->write(store->arg, block->beside_at, here->beside,
							block->beside_size));
		block->beside_is_zero = false;
	}
	return KM_OK;
}

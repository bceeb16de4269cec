/*
 * store.h
 *		Blocks of a table that are not in memory.
 */
#ifndef KM_STORED_H
#define KM_STORED_H

#include "km_internal.h"

/* What a table has that may put blocks away. */
typedef struct KmStored
{
	/* set once */
	const KmStore *store;
	/* changes while rows come, and when memory beside them is asked for */
	int64_t		end;			/* bytes of the store in use */
	int			first;			/* blocks from here on are in the store, */
	bool		has_last;		/* but for the last one, which stands in: */
	void	   *memory;			/* room for one block; what was allocated */
	double	   *data;
	unsigned char *beside;		/* the same for what is beside it */
	void	   *beside_memory;
	size_t		beside_room;
} KmStored;

extern KmStatus km_stored_create(KmTable *table, const KmStore *store);
extern void km_stored_free(KmTable *table);

/* The last block, which is full, goes; the next one is to take its memory. */
extern KmStatus km_stored_put_last(KmTable *table);

/* All rows are there: nothing stands in the room for one block any more. */
extern KmStatus km_stored_settle(KmTable *table);

/*
 * Room for what is beside a block that is in the store, zeros at first: so
 * many bytes for each group of KM_GROUP_ROWS.
 */
extern KmStatus km_stored_beside(KmTable *table, size_t group);

/*
 * A block from the store as if it were in memory, until the next one; and
 * back again, what has changed of it.
 */
extern KmStatus km_stored_open(const KmTable *table, const KmBlock *block,
							   KmBlock *here);
extern KmStatus km_stored_close(const KmTable *table, const KmBlock *here,
								KmBlock *block, bool rows, bool beside);

/* is the block in the store? */
static inline bool
km_block_is_out(const KmBlock *block)
{
	return block->data == NULL;
}

#endif							/* KM_STORED_H */

/*
 * share.h
 *		Tables whose blocks stand where a whole crew sees them.
 */
#ifndef KM_SHARE_H
#define KM_SHARE_H

#include "km_internal.h"

/* A block as all members see it. */
typedef struct KmSharedBlock
{
	KmHandle	data;
	KmHandle	beside;			/* 0: nothing is */
	KmHandle	single;
	int64_t		first;
	int			nrows;
	int			capacity;
	float		least;
} KmSharedBlock;

/* Memory that blocks are cut from. */
typedef struct KmArena
{
	KmHandle	handle;
	char	   *memory;
	size_t		size;
	size_t		used;
} KmArena;

#define KM_ARENAS_MAX	64

typedef struct KmSharing
{
	KmArena		arenas[KM_ARENAS_MAX];
	int			narenas;
	bool		is_refused;		/* do not ask again */
	KmHandle	beside;			/* of all blocks; 0: none; kept for the next */
	unsigned char *beside_memory;
	size_t		beside_bytes;
	/* the blocks, and the task of a pass: see pass.c; kept for the next */
	KmHandle	task;
	void	   *task_memory;
	size_t		task_size;
} KmSharing;

/*
 * Memory for one more block of a large table, if there may be a crew; NULL:
 * the caller's own will do.
 */
extern void *km_share_block(KmTable *table, size_t bytes, KmHandle *handle);
/* Move a block back to the caller's own memory. */
extern KmStatus km_keep_block(KmTable *table, KmBlock *block);
/*
 * km_table_beside() of a table that is shared: so many bytes for each group
 * of rows, of which those for each row are zeroed, and so many behind; false:
 * it is not.
 */
extern bool km_share_beside(KmTable *table, size_t group, size_t per_row,
							size_t singles);
extern void km_unshare_beside(KmTable *table);
extern void km_unshare_table(KmTable *table);

/* members beside the caller who may help with a pass over the table */
extern int	km_table_others(const KmTable *table);
/* Bring all blocks, and what is beside them, where a crew sees them. */
extern bool km_share_table(KmTable *table);
/* memory for a task, at least so large, which the table keeps; NULL: none */
extern void *km_share_task(KmTable *table, size_t size, KmHandle *handle);

#endif							/* KM_SHARE_H */

/*
 * sketch.h
 *		Sets of distinct rows, for samples.
 */
#ifndef KM_SKETCH_H
#define KM_SKETCH_H

#include "km_internal.h"

typedef struct KmEntry
{
	double		key;
	uint64_t	hash;
	double		p;				/* 1: by chance alone, more: by distance too */
	int64_t		weight;			/* of the rows like it */
	int64_t		copies;			/* how many they are */
	double		norm;
	int64_t		row;			/* where its content is stored */
} KmEntry;

typedef struct KmSketch
{
	/* set once */
	const KmHost *host;
	const KmSpace *space;
	int			nslots;			/* of the content: no weight, no length */
	int64_t		want;			/* so many, or a few more, are kept */
	/* changes while rows come */
	int64_t		capacity;
	uint32_t	mask;
	int64_t		n;
	double		threshold;		/* keys beyond it are out */
	bool		complete;		/* the caller's: nothing was left out */
	KmEntry    *entries;
	double	   *contents;		/* capacity x nslots */
	int32_t    *index;			/* hash -> entry, -1: free */
} KmSketch;

/* must be freed whatever the status */
extern KmStatus km_sketch_create(KmSketch *sketch, const KmSpace *space,
								 KmPoll *poll, int64_t want);
extern void km_sketch_free(KmSketch *sketch);

/*
 * Add the row at lane, or copies of it, when the entry's key is not beyond
 * the threshold.  p and norm are kept for the caller; "row" is not looked at.
 */
extern KmStatus km_sketch_offer(KmSketch *sketch, KmPoll *poll,
								const double *lane, const KmEntry *offered);

/* Leave out what cannot be among the want smallest, when there are more. */
extern KmStatus km_sketch_prune(KmSketch *sketch, KmPoll *poll);

/* canonical order: by key, then hash, then content */
extern KmStatus km_sketch_sort(KmSketch *sketch, KmPoll *poll);
/* Contents in the order of entries, which may have changed. */
extern KmStatus km_sketch_pack(KmSketch *sketch, KmPoll *poll);

/* The entries as a table with a weight slot, which is left 0. */
extern KmStatus km_sketch_table(const KmSketch *sketch, KmPoll *poll,
								const KmTable *like, KmTable *table);

/* hash and squared length (norm may be NULL) of a tile's rows */
extern void km_hash_tile(const KmSpace *space, const double *tile,
						 uint64_t *hash, double *norm);

#endif							/* KM_SKETCH_H */

/*
 * pass.h
 *		Passes over all rows of a fit, wherever the rows are.
 *
 * A step says what a pass computes.  It starts from an input (open), takes
 * rows (add) and what was computed from other rows (merge), and its state is
 * then the same whatever the order and the split: sums are integers, the
 * rest are minima.  Four ways to run a step, one interface:
 *
 *	memory		block after block, by km_pass()
 *	file		the same; a block comes from the file and goes back to it
 *	crew		each member takes blocks and writes its state, which the
 *				caller merges
 *	remote		an aggregate's transition function adds, its combine function
 *				merges, on whichever machine the rows are
 */
#ifndef KM_PASS_H
#define KM_PASS_H

#include "km_internal.h"

/* Numbers of steps are told to other processes and to other machines. */
typedef enum KmStepId
{
	KM_STEP_STATISTICS = 1,		/* raw rows: exact sums, extremes, counts */
	KM_STEP_RANKS = 2,			/* raw rows: counts that narrow down quantiles */
	KM_STEP_PLACE = 3,			/* raw rows become positions, in place */
	KM_STEP_SAMPLE = 4,			/* the sketch, and the sum of squares */
	KM_STEP_ASSIGN = 5,			/* Lloyd: sums of the segments' rows */
	KM_STEP_FARTHEST = 6,		/* the row farthest from its center */
	KM_STEP_RENUMBER = 7,		/* segments kept beside the rows: new numbers */
	KM_STEP_DISTANCES = 8,		/* of rows to their own centers, summed */
	KM_STEP_EXTENT = 9,			/* largest positions, longest rows, largest
								 * distance in each segment */
	KM_STEP_MEANS = 10,			/* sums of positions by segment: unweighted,
								 * wide, or cosine's with the rows' lengths */
	KM_STEP_BINS = 11			/* counts in bins */
} KmStepId;

typedef struct KmStep
{
	KmStepId	id;
	const char *name;			/* for messages */
	bool		changes_rows;	/* the blocks' data */
	bool		changes_beside; /* what is kept beside them */
	/* start: read job->input, make job->state */
	KmStatus	(*open) (KmJob *job);
	/* May the block be left out, unread?  NULL: no block. */
	bool		(*skips) (const KmJob *job, const KmBlock *block);
	KmStatus	(*add) (KmJob *job, KmBlock *block);
	/* the state as bytes, and another's bytes into the state, which are not
	 * to be trusted: KM_BAD_FORMAT */
	size_t		(*size) (const KmJob *job);
	/* of an open job: what that comes to at most, but for rare cases; NULL: it
	 * stays as it is */
	size_t		(*most) (const KmJob *job);
	void		(*write) (const KmJob *job, unsigned char *bytes);
	KmStatus	(*merge) (KmJob *job, const unsigned char *bytes,
						  size_t size);
	void		(*close) (KmJob *job);	/* copes with a failed open */
} KmStep;

/* One participant's part in a pass. */
struct KmJob
{
	/* the caller's */
	const KmStep *step;
	const KmHost *host;
	KmPoll	   *poll;
	const KmTable *table;		/* the layout of blocks */
	const KmSpace *space;		/* NULL: rows are raw */
	KmSimd		simd;
	const void *input;			/* flat: no pointers in it; NULL: none */
	size_t		input_size;
	/* the step's */
	void	   *state;
};

extern const KmStep km_step_statistics;
extern const KmStep km_step_ranks;
extern const KmStep km_step_place;
extern const KmStep km_step_sample;
extern const KmStep km_step_assign;
extern const KmStep km_step_farthest;
extern const KmStep km_step_renumber;
extern const KmStep km_step_distances;
extern const KmStep km_step_extent;
extern const KmStep km_step_means;
extern const KmStep km_step_bins;

/* NULL: there is no such step */
extern const KmStep *km_step(KmStepId id);

/* ---- where rows are ---- */

/*
 * Open the job and run it over all rows of the source.  The result is in
 * job->state, which the caller closes, also after a failure.
 */
extern KmStatus km_pass(KmSource *source, KmJob *job);
/*
 * Several jobs in one pass: a block is given to each in turn, while it is in
 * the cache.
 */
extern KmStatus km_pass_together(KmSource *source, KmJob *const *jobs,
								 int njobs);
/* km_pass() without the opening: goes on with the state as it is */
extern KmStatus km_pass_on(KmSource *source, KmJob *job);

/* All rows that are here, in their order. */
extern KmStatus km_read_blocks(KmTable *table,
							   KmStatus (*read) (void *arg,
												 const KmBlock *block),
							   void *arg);

#endif							/* KM_PASS_H */

/*
 * assign.h
 *		Lloyd's passes: what their files share, and what the iteration sees.
 */
#ifndef KM_ASSIGN_H
#define KM_ASSIGN_H

#include "pass.h"
#include "screen.h"

/* ---- sums (sums.c) ---- */

extern KmStatus km_sums_create(const KmHost *host, int k, int width,
							   KmSums *sums);
extern void km_sums_free(const KmHost *host, KmSums *sums);
extern void km_sums_clear(KmSums *sums, int k, int width);
/* true: that changed something */
extern bool km_sums_add(KmSums *into, const KmSums *from, int k, int width,
						KmPoll *poll);
extern bool km_sums_differ(const KmSums *a, const KmSums *b, int k,
						   int width);
/* as bytes, and from another's bytes */
extern size_t km_sums_size(int k, int width);
extern void km_sums_write(const KmSums *sums, int k, int width,
						  unsigned char *bytes);
extern void km_sums_merge(KmSums *sums, int k, int width,
						  const unsigned char *bytes);

/* ---- what stands beside a block ---- */

/*
 * For each row its segment, the segment that was second-nearest when bounds
 * were set, how far the two centers may move before they can change places,
 * and how far the row's own and any third one may; then for each span of rows
 * how far any two centers may move before one of its rows can change.
 */
#define KM_SPAN_ROWS	KM_LEAD_ROWS
#define KM_GROUP_SPANS	(KM_GROUP_ROWS / KM_SPAN_ROWS)

typedef struct KmBounds
{
	uint16_t	second[KM_SPAN_ROWS];
	float		to_second[KM_SPAN_ROWS];
	float		to_others[KM_SPAN_ROWS];
} KmBounds;

/*
 * Own segments of all rows stand first, then the bounds of all spans (five
 * cache lines each), then what each span can stand.  When there is memory for
 * it, the rows stand elsewhere in single precision, row by row: one that is
 * looked at by itself is in a line or two there, and in as many as it has
 * slots in its tile.
 */
typedef struct KmBeside
{
	uint16_t   *own;
	KmBounds   *bounds;
	float	   *span;
	float	   *single;
} KmBeside;

#define KM_BESIDE_ROW	sizeof(uint16_t)
#define KM_BESIDE_GROUP	(KM_GROUP_SPANS * (sizeof(KmBounds) + sizeof(float)))

static inline KmBeside
km_block_beside(const KmBlock *block)
{
	size_t		groups = km_block_groups(block);
	KmBeside	beside;

	beside.own = km_block_own(block);
	beside.bounds = (KmBounds *) (beside.own + groups * KM_GROUP_ROWS);
	beside.span = (float *) (beside.bounds + groups * KM_GROUP_SPANS);
	beside.single = block->single;
	return beside;
}

/* ---- the step (assign.c, bounds.c) ---- */

/* How a pass finds the nearest centers; the result is the same. */
typedef enum KmAssignMode
{
	KM_ASSIGN_EXACT,			/* the kernel on all rows */
	KM_ASSIGN_DENSE,			/* all rows are screened; bounds are lost */
	KM_ASSIGN_KEEP,				/* the same, and bounds are set */
	KM_ASSIGN_BOUNDED			/* only rows whose bounds say they may change */
} KmAssignMode;

/* What it does with rows in single precision. */
typedef enum KmSingle
{
	KM_SINGLE_NONE,				/* there are none */
	KM_SINGLE_FILL,				/* all are written, and looked at */
	KM_SINGLE_USE				/* they are there */
} KmSingle;

/*
 * Input of KM_STEP_ASSIGN, before k x width centers and, for each segment,
 * how far its center has moved since bounds were set, the same with the
 * fastest other's way added, and both of the last update alone.
 */
typedef struct KmAssignInput
{
	int32_t		k;
	int32_t		is_assigned;	/* what is beside the rows is valid: the state
								 * is the change of the sums */
	int32_t		mode;
	int32_t		single;			/* KmSingle */
	double		all_drift;		/* the most that any two have moved */
} KmAssignInput;

#define KM_ASSIGN_WAYS	4

/* What is merged besides sums. */
typedef struct KmAssignCounts
{
	int64_t		moved;
	int64_t		measured;		/* rows */
	int64_t		tried;			/* of these, whether they might change if */
	int64_t		unsettled;		/* centers moved once more as they have, and
								 * how many might */
} KmAssignCounts;

/*
 * Rows of a block whose bounds do not hold, collected until the screen is
 * full, and rows that are to change segment.  Both wait a little longer, so
 * that their values have come into the cache.
 */
#define KM_WAIT_LONGER	32

typedef struct KmMove
{
	int32_t		row;
	uint16_t	from;
	uint16_t	to;
} KmMove;

typedef struct KmWaiting
{
	int			n;
	int			nmoves;
	KmScreen	screen;			/* as the state's, with rows of its own */
	int32_t		rows[KM_SCREEN_ROWS + KM_WAIT_LONGER];
	uint16_t	own[KM_SCREEN_ROWS];
	KmMove		moves[KM_SCREEN_ROWS];
} KmWaiting;

typedef struct KmAssignState
{
	/* set once */
	const KmScreening *screening;
	KmNearest	nearest;
	int			max_k;			/* there is room for */
	float		margin;			/* error of distances from categories */
	/* of the pass */
	KmAssignInput input;
	KmAssignMode mode;
	KmPacked	packed;
	KmScreen	screen;
	KmWaiting	waiting;
	float	   *way;			/* as the input's, in units of scale and rounded
								 * up: screen.padded of each */
	float	   *drift;
	float	   *last_way;
	float	   *last_drift;
	float		all_drift;
	/* the result */
	KmSums		rows;			/* added, less those taken away */
	int64_t    *recent;			/* KmScreening.add's: what is not yet in
								 * rows */
	void	   *recent_memory;
	int			nrecent;		/* rows in there */
	KmAssignCounts counts;
} KmAssignState;

/* The exact kernel's word on the rows of a group (a bit each). */
extern void km_settle_unsure(const KmJob *job, const KmBlock *block,
							 int tile, uint64_t rows, int32_t *id);
/* A row at lane goes from one segment (-1: none) to another. */
extern void km_move_row(const KmJob *job, const double *lane, int from,
						int to);

/* Rows that have been screened by "three": set their bounds. */
extern void km_keep_bounds(const KmJob *job, const KmBlock *block, int row,
						   int nrows, const KmScreened *screened);
/* Nothing is known of these rows: look at them again. */
extern void km_forget_bounds(const KmJob *job, const KmBlock *block, int row,
							 int nrows);
/* how many of them might change if centers moved as they did last */
extern int	km_count_unsettled(const KmJob *job, const KmScreened *screened,
							   int nrows);
/* Look at the rows of a block whose bounds do not hold. */
extern KmStatus km_check_block(const KmJob *job, const KmBlock *block);

/* ---- passes, as the iteration runs them (assign.c) ---- */

/* KM_STEP_ASSIGN, kept open between passes */
typedef struct KmAssigning KmAssigning;

extern KmStatus km_assigning_create(KmLloyd *lloyd);
extern void km_assigning_free(KmLloyd *lloyd);
/*
 * One pass with lloyd's centers and drifts.  *rows: what it changes in the
 * sums of lloyd->rows; with nothing kept beside rows, the sums themselves.
 */
extern KmStatus km_assigning_run(KmLloyd *lloyd, KmAssignMode mode,
								 const KmSums **rows,
								 KmAssignCounts *counts);
/* segment c is number order[c] from now on, beside the rows */
extern KmStatus km_renumber_rows(KmLloyd *lloyd, const int *order);

/*
 * KM_STEP_FARTHEST (farthest.c): the row farthest from the nearest of k
 * centers, as a center.  found: not all rows are at a center.
 */
extern KmStatus km_farthest_row(KmSource *source, const KmSpace *space,
								KmPoll *poll, KmSimd simd,
								const double *centers, int k, double *center,
								bool *found);

#endif							/* KM_ASSIGN_H */

/*
 * bounds.c
 *		Bounds that spare rows from being looked at.
 *
 * A row stays while its nearest center has a lead on every other one.  The
 * lead on the second falls by no more than these two centers move, the lead
 * on the rest by no more than the row's own center and the fastest of the
 * others do.  Movements are summed per segment instead of being subtracted
 * from every row, so a pass writes nothing for a row that stays, and reads
 * nothing at all in a span of rows whose least lead is enough.
 *
 * All of this is in units of the screen's scale, and rounded to the safe
 * side (docs/internals.md): bounds only decide what is looked at.
 */
#include <math.h>
#include <string.h>

#include "assign.h"

/* what a few roundings of floats are less than */
#define LOWER			(1 - 0x1p-19f)

/* no more than is worth telling apart */
#define LEAD_MAX		1e30f

/* What is stored of a lead when centers have moved "way" so far. */
static inline float
stored_lead(float lead, float way)
{
	float		stored = (lead + way) * LOWER;

	/* false for NaN, too */
	if (!(lead > KM_LEAD_MIN))
		return -1;
	return stored < LEAD_MAX ? stored : LEAD_MAX;
}

/* Set the bounds of a row that has been screened; what its span can stand. */
static inline float
set_bounds(const KmAssignState *state, const KmScreened *screened, int from,
		   int own, const float *to_second, const float *to_others,
		   KmBounds *bounds, int to)
{
	int			second = screened->second[from];
	float		least = to_second[from] < to_others[from] ? to_second[from] :
		to_others[from];

	bounds->second[to] = (uint16_t) second;
	if (screened->unsure >> from & 1)
	{
		bounds->to_second[to] = -1;
		bounds->to_others[to] = -1;
		return -1;
	}
	bounds->to_second[to] = stored_lead(to_second[from],
										state->way[own] + state->way[second]);
	bounds->to_others[to] = stored_lead(to_others[from], state->drift[own]);
	return stored_lead(least, state->all_drift);
}

/*
 * Set the bounds of a span of screened rows, when centers have not moved
 * since; returns what all can stand.
 */
static float
set_span(const KmScreened *screened, const float *to_second,
		 const float *to_others, int first, int n, KmBounds *bounds)
{
	uint32_t	unsure = (uint32_t) (screened->unsure >> first);
	float		least = LEAD_MAX;

	if (n < KM_SPAN_ROWS)
		unsure &= (UINT32_C(1) << n) - 1;
	for (int i = 0; i < KM_SPAN_ROWS; i++)
		bounds->second[i] = (uint16_t) screened->second[first + i];
	for (int i = 0; i < KM_SPAN_ROWS; i++)
	{
		bounds->to_second[i] = stored_lead(to_second[first + i], 0);
		bounds->to_others[i] = stored_lead(to_others[first + i], 0);
	}
	for (int i = 0; i < n; i++)
	{
		float		lead = bounds->to_second[i] < bounds->to_others[i] ?
			bounds->to_second[i] : bounds->to_others[i];

		least = lead < least ? lead : least;
	}
	for (uint32_t rows = unsure; rows != 0; rows &= rows - 1)
	{
		int			i = __builtin_ctz(rows);

		bounds->to_second[i] = bounds->to_others[i] = -1;
	}
	return unsure != 0 ? -1 : least;
}

/* Rows that are in the screen, for passes that look at some of them alone. */
static void
keep_single(const KmAssignState *state, const KmBeside *beside, int row,
			int nrows)
{
	if (state->input.single == KM_SINGLE_FILL)
		km_screen_spread(&state->screen, beside->single +
						 (size_t) row * state->screen.nnum, nrows);
}

/* The same of rows that are not. */
static void
fill_single(const KmJob *job, const KmBlock *block, const KmBeside *beside,
			int row, int nrows)
{
	KmAssignState *state = job->state;

	state->screening->load(&state->screen,
						   km_tile(job->table, block, row / KM_LANES),
						   (nrows + KM_LANES - 1) / KM_LANES,
						   job->table->nslots);
	keep_single(state, beside, row, nrows);
	km_poll_within(job->poll, (double) nrows * job->table->nslots);
}

void
km_keep_bounds(const KmJob *job, const KmBlock *block, int row, int nrows,
			   const KmScreened *screened)
{
	const KmAssignState *state = job->state;
	KmBeside	beside = km_block_beside(block);
	float		to_second[KM_SCREEN_ROWS];
	float		to_others[KM_SCREEN_ROWS];

	state->screening->gaps(&state->screen, screened, state->margin, to_second,
						   to_others);
	for (int first = 0; first < nrows; first += KM_SPAN_ROWS)
	{
		int			span = (row + first) / KM_SPAN_ROWS;

		beside.span[span] =
			set_span(screened, to_second, to_others, first,
					 nrows - first < KM_SPAN_ROWS ? nrows - first :
					 KM_SPAN_ROWS, beside.bounds + span);
	}
	keep_single(state, &beside, row, nrows);
}

void
km_forget_bounds(const KmJob *job, const KmBlock *block, int row, int nrows)
{
	KmAssignState *state = job->state;
	KmBeside	beside = km_block_beside(block);

	/* the whole group: spans are looked at whole */
	for (int i = row; i < row + KM_GROUP_ROWS; i++)
	{
		KmBounds   *bounds = beside.bounds + i / KM_SPAN_ROWS;

		bounds->second[i % KM_SPAN_ROWS] = 0;
		bounds->to_second[i % KM_SPAN_ROWS] = -1;
		bounds->to_others[i % KM_SPAN_ROWS] = -1;
	}
	for (int i = row; i < row + nrows; i += KM_SPAN_ROWS)
		beside.span[i / KM_SPAN_ROWS] = -1;
	/* centers may be beyond the screen now, and not in the next pass */
	if (state->input.single == KM_SINGLE_FILL)
		fill_single(job, block, &beside, row, nrows);
}

int
km_count_unsettled(const KmJob *job, const KmScreened *screened, int nrows)
{
	const KmAssignState *state = job->state;
	float		to_second[KM_SCREEN_ROWS];
	float		to_others[KM_SCREEN_ROWS];
	int			n = 0;

	state->screening->gaps(&state->screen, screened, state->margin, to_second,
						   to_others);
	for (int i = 0; i < nrows; i++)
	{
		int			own = screened->id[i];
		int			second = screened->second[i];

		n += !(to_second[i] > state->last_way[own] + state->last_way[second] &&
			   to_others[i] > state->last_drift[own]);
	}
	return n;
}

/* ---- rows in doubt ---- */

/*
 * Rows wait until the screen is full; meanwhile their values come into the
 * cache.
 */
static inline void
make_wait(const KmJob *job, const KmBlock *block, const KmBeside *beside,
		  int row)
{
	KmAssignState *state = job->state;
	int			nnum = state->screen.nnum;

	state->waiting.rows[state->waiting.n++] = row;
	if (state->input.single != KM_SINGLE_NONE)
	{
		const float *x = beside->single + (size_t) row * nnum;

		for (int s = 0; s < nnum; s += 16)
			__builtin_prefetch(x + s);
	}
	else
	{
		const double *lane = km_cell(job->table, block, row, 0);

		for (int s = 0; s < job->table->nfeatures; s++)
			__builtin_prefetch(lane + s * KM_LANES);
	}
}

static void
gather_waiting(const KmJob *job, const KmBlock *block, const KmBeside *beside,
			   int n)
{
	KmAssignState *state = job->state;
	KmWaiting  *waiting = &state->waiting;
	const KmScreen *screen = &waiting->screen;
	int			nnum = screen->nnum;

	for (int at = 0; at < n; at++)
		waiting->own[at] = beside->own[waiting->rows[at]];
	if (state->input.single != KM_SINGLE_NONE)
	{
		km_screen_gather(&waiting->screen, beside->single, waiting->rows, n);
		return;
	}
	for (int at = 0; at < n; at++)
	{
		const double *lane = km_cell(job->table, block, waiting->rows[at], 0);
		float	   *x = screen->x + at;
		int32_t    *codes = screen->codes + at;

		for (int s = 0; s < nnum; s++)
			x[s * KM_SCREEN_ROWS] = (float) (lane[s * KM_LANES] *
											 screen->scale);
		lane += nnum * KM_LANES;
		for (int f = 0; f < screen->ncat; f++)
			codes[f * KM_SCREEN_ROWS] = (int32_t) lane[f * KM_LANES];
	}
}

/* Rows move as they stand in their tiles, which are far away. */
static inline void
wait_to_move(const KmJob *job, const KmBlock *block, int row, int from,
			 int to)
{
	KmWaiting  *waiting = &((KmAssignState *) job->state)->waiting;
	const double *lane = km_cell(job->table, block, row, 0);

	for (int s = 0; s < job->table->nslots; s++)
		__builtin_prefetch(lane + s * KM_LANES);
	waiting->moves[waiting->nmoves++] = (KmMove)
	{
		row, (uint16_t) from, (uint16_t) to
	};
}

static void
move_waiting(const KmJob *job, const KmBlock *block)
{
	KmWaiting  *waiting = &((KmAssignState *) job->state)->waiting;

	for (int i = 0; i < waiting->nmoves; i++)
	{
		const KmMove *move = &waiting->moves[i];

		km_move_row(job, km_cell(job->table, block, move->row, 0), move->from,
					move->to);
	}
	waiting->nmoves = 0;
}

/* The exact kernel's word on a single row. */
static int
exactly_nearest(const KmJob *job, const KmBlock *block, int row)
{
	int32_t		id[KM_GROUP_ROWS];
	int			tile = row / KM_LANES;

	km_settle_unsure(job, block, tile, UINT64_C(1) << row % KM_LANES, id);
	return id[row % KM_LANES];
}

/* The first of the rows that wait, as many as the screen has room for. */
static void
settle_waiting(const KmJob *job, const KmBlock *block, const KmBeside *beside)
{
	KmAssignState *state = job->state;
	KmWaiting  *waiting = &state->waiting;
	int			n = waiting->n < KM_SCREEN_ROWS ? waiting->n : KM_SCREEN_ROWS;
	KmScreened	screened;
	float		to_second[KM_SCREEN_ROWS];
	float		to_others[KM_SCREEN_ROWS];

	gather_waiting(job, block, beside, n);
	state->screening->three(&waiting->screen, waiting->own, &screened);
	state->screening->gaps(&waiting->screen, &screened, state->margin,
						   to_second, to_others);
	/* those of the last time */
	move_waiting(job, block);
	for (int i = 0; i < n; i++)
	{
		int			row = waiting->rows[i];
		float	   *span = beside->span + row / KM_SPAN_ROWS;
		int			own = waiting->own[i];
		int			id = screened.id[i];
		float		least;

		if (screened.unsure >> i & 1)
			id = exactly_nearest(job, block, row);
		if (id != own)
		{
			wait_to_move(job, block, row, own, id);
			beside->own[row] = (uint16_t) id;
		}
		least = set_bounds(state, &screened, i, id, to_second, to_others,
						   beside->bounds + row / KM_SPAN_ROWS,
						   row % KM_SPAN_ROWS);
		*span = least < *span ? least : *span;
	}
	state->counts.measured += n;
	waiting->n -= n;
	memmove(waiting->rows, waiting->rows + n, sizeof(int32_t) * waiting->n);
}

/* Rows of a span that may change; sets what the others can stand. */
static uint32_t
rows_in_doubt(const KmJob *job, const KmBeside *beside, int span, int nrows)
{
	const KmAssignState *state = job->state;
	const KmBounds *bounds = beside->bounds + span;
	KmLeads		leads = {
		beside->own + span * KM_SPAN_ROWS, bounds->second, bounds->to_second,
		bounds->to_others
	};
	float		least;
	uint32_t	rows;

	rows = state->screening->doubt(&leads, state->way, state->drift,
								   state->screen.padded, &least);
	/* beyond the last row there is nothing */
	if (nrows - span * KM_SPAN_ROWS < KM_SPAN_ROWS)
		rows &= UINT32_MAX >> ((span + 1) * KM_SPAN_ROWS - nrows);
	beside->span[span] = stored_lead(least, state->all_drift);
	return rows;
}

/* The next span, from "span" on, that has to be looked at. */
static inline int
next_span(const KmAssignState *state, const KmBeside *beside, int span,
		  int nspans)
{
	while (span < nspans && beside->span[span] > state->all_drift)
		span++;
	if (span < nspans)
	{
		const char *bounds = (const char *) (beside->bounds + span);

		__builtin_prefetch(beside->own + span * KM_SPAN_ROWS);
		for (size_t at = 0; at < sizeof(KmBounds); at += 64)
			__builtin_prefetch(bounds + at);
	}
	return span;
}

/* spans that are on their way into the cache */
#define AHEAD			8

KmStatus
km_check_block(const KmJob *job, const KmBlock *block)
{
	KmAssignState *state = job->state;
	KmBeside	beside = km_block_beside(block);
	int			nspans = (block->nrows + KM_SPAN_ROWS - 1) / KM_SPAN_ROWS;
	double		work = (double) KM_SCREEN_ROWS * state->input.k *
		(job->table->nfeatures + 2) / 4;
	int			coming[AHEAD];
	int			next = 0;

	for (int row = 0; state->input.single == KM_SINGLE_FILL &&
		 row < block->nrows; row += KM_GROUP_ROWS)
		fill_single(job, block, &beside, row, block->nrows - row <
					KM_GROUP_ROWS ? block->nrows - row : KM_GROUP_ROWS);
	for (int i = 0; i < AHEAD; i++)
		coming[i] = next = next_span(state, &beside, i == 0 ? 0 : next + 1,
									 nspans);
	for (int i = 0; coming[i % AHEAD] < nspans; i++)
	{
		int			span = coming[i % AHEAD];
		uint32_t	rows = rows_in_doubt(job, &beside, span, block->nrows);

		coming[i % AHEAD] = next = next_span(state, &beside, next + 1, nspans);
		for (; rows != 0; rows &= rows - 1)
		{
			make_wait(job, block, &beside, span * KM_SPAN_ROWS +
					  __builtin_ctz(rows));
			if (state->waiting.n < KM_SCREEN_ROWS + KM_WAIT_LONGER)
				continue;
			settle_waiting(job, block, &beside);
			if (!km_poll(job->poll, work))
				return KM_CANCELLED;
		}
	}
	while (state->waiting.n > 0)
		settle_waiting(job, block, &beside);
	move_waiting(job, block);
	return km_poll(job->poll, work + 4 * nspans) ? KM_OK : KM_CANCELLED;
}

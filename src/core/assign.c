/*
 * assign.c
 *		The passes of Lloyd's iteration: KM_STEP_ASSIGN.
 *
 * A row's positions are integers on the grid, so a segment's sum is one too:
 * adding and subtracting rows commutes, only rows that change segment are
 * touched, and the centers do not depend on the order of anything.
 *
 * Which center is nearest is what the exact kernel says, to the bit.  The
 * screen (screen.c) says the same of all rows but those it calls unsure, and
 * bounds (bounds.c) of rows that need not be looked at.
 */
#include <math.h>
#include <string.h>

#include "assign.h"

#define GROUP_TILES		(KM_GROUP_ROWS / KM_LANES)

/* one group in so many is asked whether bounds would pay */
#define TRY_EVERY		16

/*
 * Positions are integers below 2^50: that many of them can be summed in 64
 * bits, with one more bit to spare.
 */
#define RECENT_MAX		4096

/* ---- sums ---- */

/* What has been summed in 64 bits goes to where there is more room. */
static void
add_recent(const KmJob *job)
{
	const KmSpace *space = job->space;
	KmAssignState *state = job->state;

	for (int c = 0; c < state->input.k; c++)
	{
		int64_t    *recent = state->recent +
			c * km_sums_stride(space->nnum);
		KmWide	   *sums = state->rows.sums + (size_t) c * space->width;

		for (int s = 0; s < space->nnum; s++)
		{
			sums[s] += recent[s];
			recent[s] = 0;
		}
		state->rows.weight[c] += recent[space->nnum];
		state->rows.size[c] += recent[space->nnum];
		recent[space->nnum] = 0;
		km_poll_within(job->poll, 2.0 * space->nnum);
	}
	state->nrecent = 0;
}

/* A row of weight 1. */
static inline void
move_plainly(const KmJob *job, const double *lane, int from, int to)
{
	const KmSpace *space = job->space;
	KmAssignState *state = job->state;
	int			nnum = space->nnum;
	size_t		stride = km_sums_stride(nnum);
	int64_t    *plus = state->recent + to * stride;

	if (from < 0)
	{
		for (int s = 0; s < nnum; s++)
			plus[s] += (int64_t) (lane[s * KM_LANES] * space->scale[s]);
	}
	else
	{
		int64_t    *minus = state->recent + from * stride;

		for (int s = 0; s < nnum; s++)
		{
			int64_t		x = (int64_t) (lane[s * KM_LANES] * space->scale[s]);

			plus[s] += x;
			minus[s] -= x;
		}
		minus[nnum]--;
	}
	plus[nnum]++;
	if (++state->nrecent == RECENT_MAX)
		add_recent(job);
}

static void
add_weighted(const KmJob *job, const double *lane, int c, int64_t weight,
			 int rows)
{
	const KmSpace *space = job->space;
	KmAssignState *state = job->state;
	KmWide	   *sums = state->rows.sums + (size_t) c * space->width;

	for (int s = 0; s < space->nnum; s++)
		sums[s] += (KmWide) (int64_t) (lane[s * KM_LANES] * space->scale[s]) *
			weight;
	state->rows.weight[c] += weight;
	state->rows.size[c] += rows;
}

static void
add_categories(const KmJob *job, const double *lane, int c, int64_t weight)
{
	const KmSpace *space = job->space;
	KmAssignState *state = job->state;
	KmWide	   *sums = state->rows.sums + (size_t) c * space->width;

	for (int f = 0; f < space->ncat; f++)
		sums[space->offset[f] + (int) lane[(space->nnum + f) * KM_LANES]] +=
			weight;
}

void
km_move_row(const KmJob *job, const double *lane, int from, int to)
{
	KmAssignState *state = job->state;
	int64_t		weight = km_row_weight(job->table, lane);

	if (weight == 1)
		move_plainly(job, lane, from, to);
	else
	{
		if (from >= 0)
			add_weighted(job, lane, from, -weight, -1);
		add_weighted(job, lane, to, weight, 1);
	}
	if (job->space->ncat > 0)
	{
		if (from >= 0)
			add_categories(job, lane, from, -weight);
		add_categories(job, lane, to, weight);
	}
	state->counts.moved++;
}

/* Rows of a tile that are in no segment yet, all of weight 1. */
static void
add_tile(const KmJob *job, const double *tile, int nrows, const int32_t *id)
{
	const KmSpace *space = job->space;
	KmAssignState *state = job->state;

	state->screening->add(tile, space->scale, space->nnum, nrows, id,
						  state->recent);
	for (int l = 0; space->ncat > 0 && l < nrows; l++)
		add_categories(job, tile + l, id[l], 1);
	state->counts.moved += nrows;
	state->nrecent += nrows;
	/* this many would still do no harm */
	if (state->nrecent > RECENT_MAX - KM_LANES)
		add_recent(job);
}

/* ---- groups of rows ---- */

/* A group of the block's rows, as it is worked on. */
typedef struct Group
{
	KmBlock    *block;
	int			tile;			/* the first of */
	int			ntiles;
	int			nrows;
	uint16_t   *own;			/* NULL: nothing is kept of its rows */
} Group;

static inline const double *
group_lane(const KmJob *job, const Group *group, int row)
{
	return km_tile(job->table, group->block, group->tile + row / KM_LANES) +
		row % KM_LANES;
}

/* Rows of the group are in no segment yet. */
static void
add_group(const KmJob *job, Group *group, const int32_t *id)
{
	bool		weighted = job->table->weight_slot >= 0;

	for (int i = 0; i < group->nrows; i += KM_LANES)
	{
		const double *tile = group_lane(job, group, i);
		int			nrows = group->nrows - i < KM_LANES ? group->nrows - i :
			KM_LANES;

		if (!weighted)
			add_tile(job, tile, nrows, id + i);
		for (int l = 0; weighted && l < nrows; l++)
			km_move_row(job, tile + l, -1, id[i + l]);
	}
	for (int i = 0; group->own != NULL && i < group->nrows; i++)
		group->own[i] = (uint16_t) id[i];
}

/* All rows of the group belong where id says. */
static void
settle_group(const KmJob *job, Group *group, const int32_t *id,
			 uint64_t other)
{
	const KmAssignState *state = job->state;
	uint16_t   *own = group->own;
	bool		assigned = own != NULL && state->input.is_assigned != 0;

	if (!assigned)
	{
		add_group(job, group, id);
		return;
	}
	for (; other != 0; other &= other - 1)
	{
		int			i = __builtin_ctzll(other);

		if (own[i] == id[i])
			continue;
		km_move_row(job, group_lane(job, group, i), own[i], id[i]);
		own[i] = (uint16_t) id[i];
	}
}

static inline uint64_t
group_mask(const Group *group)
{
	return ~UINT64_C(0) >> (KM_GROUP_ROWS - group->nrows);
}

static inline bool
is_exact(const KmAssignState *state)
{
	return state->mode == KM_ASSIGN_EXACT || !state->screen.usable;
}

static void
measure_exactly(const KmJob *job, Group *group)
{
	KmAssignState *state = job->state;
	int32_t		id[KM_GROUP_ROWS];

	km_settle_unsure(job, group->block, group->tile, group_mask(group), id);
	settle_group(job, group, id, group_mask(group));
	if (group->own != NULL && state->mode >= KM_ASSIGN_KEEP)
		km_forget_bounds(job, group->block, group->tile * KM_LANES,
						 group->nrows);
	state->counts.measured += group->nrows;
}

static void
screen_group(const KmJob *job, Group *group, bool keep, bool try)
{
	static const uint16_t none[KM_GROUP_ROWS];
	KmAssignState *state = job->state;
	const KmScreening *screening = state->screening;
	const uint16_t *own = group->own != NULL ? group->own : none;
	KmScreened	screened;
	uint64_t	unsure;

	screening->load(&state->screen,
					km_tile(job->table, group->block, group->tile),
					group->ntiles, job->table->nslots);
	if (keep || try)
		screening->three(&state->screen, own, &screened);
	else
		screening->two(&state->screen, own, &screened);
	unsure = screened.unsure & group_mask(group);
	if (unsure != 0)
		km_settle_unsure(job, group->block, group->tile, unsure, screened.id);
	settle_group(job, group, screened.id,
				 (screened.other | unsure) & group_mask(group));
	state->counts.measured += group->nrows;
	if (keep)
		km_keep_bounds(job, group->block, group->tile * KM_LANES,
					   group->nrows, &screened);
	if (try)
	{
		state->counts.tried += group->nrows;
		state->counts.unsettled += km_count_unsettled(job, &screened,
													  group->nrows);
	}
}

void
km_settle_unsure(const KmJob *job, const KmBlock *block, int tile,
				 uint64_t rows, int32_t *id)
{
	const KmAssignState *state = job->state;

	for (int t = 0; t < GROUP_TILES; t++)
	{
		unsigned	lanes = (unsigned) (rows >> (t * KM_LANES)) & 0xff;
		int64_t		exact[KM_LANES];
		double		d1[KM_LANES];
		double		d2[KM_LANES];

		if (lanes == 0)
			continue;
		state->nearest(job->space, &state->packed,
					   km_tile(job->table, block, tile + t), 1,
					   job->table->nslots, exact, d1, d2);
		for (int l = 0; l < KM_LANES; l++)
		{
			if (lanes >> l & 1)
				id[t * KM_LANES + l] = (int32_t) exact[l];
		}
		/* thousands of centers of hundreds of features take a while */
		km_poll_within(job->poll, (double) KM_LANES * state->input.k *
					   (job->table->nfeatures + 2));
	}
}

/* ---- blocks ---- */

static void
assign_group(const KmJob *job, Group *group, bool try)
{
	KmAssignState *state = job->state;

	if (is_exact(state))
		measure_exactly(job, group);
	else
		screen_group(job, group, group->own != NULL &&
					 state->mode == KM_ASSIGN_KEEP,
					 try && state->mode == KM_ASSIGN_DENSE);
}

static float
least_span(const KmBlock *block)
{
	const float *span = km_block_beside(block).span;
	int			n = (block->nrows + KM_SPAN_ROWS - 1) / KM_SPAN_ROWS;
	float		least = INFINITY;

	for (int i = 0; i < n; i++)
		least = span[i] < least ? span[i] : least;
	return least;
}

static inline bool
is_bounded(const KmAssignState *state, const KmBlock *block)
{
	return state->mode == KM_ASSIGN_BOUNDED && !is_exact(state) &&
		block->beside != NULL;
}

static bool
skip_block(const KmJob *job, const KmBlock *block)
{
	const KmAssignState *state = job->state;

	return is_bounded(state, block) && block->least > state->all_drift &&
		state->input.single != KM_SINGLE_FILL;
}

static KmStatus
measure_block(const KmJob *job, KmBlock *block)
{
	const KmAssignState *state = job->state;
	int			ntiles = km_block_tiles(block);
	double		row_work = (double) state->input.k *
		(job->table->nfeatures + 2);

	/* screening is four times as fast */
	if (!is_exact(state))
		row_work /= 4;
	for (int tile = 0; tile < ntiles; tile += GROUP_TILES)
	{
		int			row = tile * KM_LANES;
		Group		group = {.block = block, .tile = tile};

		group.ntiles = ntiles - tile < GROUP_TILES ? ntiles - tile :
			GROUP_TILES;
		group.nrows = block->nrows - row < KM_GROUP_ROWS ?
			block->nrows - row : KM_GROUP_ROWS;
		if (block->beside != NULL)
			group.own = km_block_own(block) + row;
		assign_group(job, &group, tile / GROUP_TILES % TRY_EVERY == 0);
		if (!km_poll(job->poll, group.nrows * row_work))
			return KM_CANCELLED;
	}
	return KM_OK;
}

static KmStatus
assign_block(KmJob *job, KmBlock *block)
{
	const KmAssignState *state = job->state;

	if (is_bounded(state, block))
		KM_TRY(km_check_block(job, block));
	else
		KM_TRY(measure_block(job, block));
	if (block->beside != NULL && state->mode >= KM_ASSIGN_KEEP)
		block->least = least_span(block);
	if (state->nrecent > 0)
		add_recent(job);
	return KM_OK;
}

/* ---- the step ---- */

static size_t
input_size(int k, int width)
{
	return sizeof(KmAssignInput) +
		sizeof(double) * (size_t) k * ((size_t) width + KM_ASSIGN_WAYS);
}

/* In units of scale, and no less than they are. */
static void
load_ways(KmAssignState *state, const double *ways)
{
	float	   *const to[KM_ASSIGN_WAYS] = {
		state->way, state->drift, state->last_way, state->last_drift
	};
	double		up = state->screen.scale * (1 + 0x1p-20);
	int			k = state->input.k;

	for (int i = 0; i < KM_ASSIGN_WAYS; i++)
	{
		for (int c = 0; c < k; c++)
			to[i][c] = (float) (ways[(size_t) i * k + c] * up);
		/* what is beyond k never moves */
		for (int c = k; c < state->screen.padded; c++)
			to[i][c] = 0;
	}
	state->all_drift = (float) (state->input.all_drift * up);
}

/* Take the job's input; there is room for as many segments. */
static void
load_input(KmJob *job)
{
	KmAssignState *state = job->state;
	const double *centers = (const double *)
		((const unsigned char *) job->input + sizeof(KmAssignInput));
	float	   *x = state->waiting.screen.x;
	int32_t    *codes = state->waiting.screen.codes;

	memcpy(&state->input, job->input, sizeof(KmAssignInput));
	state->mode = (KmAssignMode) state->input.mode;
	km_packed_set(job->space, &state->packed, centers, state->input.k);
	if (state->mode != KM_ASSIGN_EXACT)
		km_screen_set(job->space, &state->packed, &state->screen);
	state->waiting.n = 0;
	state->waiting.nmoves = 0;
	state->waiting.screen = state->screen;
	state->waiting.screen.x = x;
	state->waiting.screen.codes = codes;
	load_ways(state, centers + (size_t) state->input.k * job->space->width);
	km_sums_clear(&state->rows, state->input.k, job->space->width);
	memset(&state->counts, 0, sizeof(state->counts));
}

static KmStatus
make_waiting(const KmJob *job, KmWaiting *waiting)
{
	const KmSpace *space = job->space;
	float	   *x = km_alloc_zero(job->host, (size_t) (space->nnum + space->ncat) *
								  KM_SCREEN_ROWS, sizeof(float));

	waiting->screen.x = x;
	if (x == NULL)
		return KM_NO_MEMORY;
	waiting->screen.codes = (int32_t *) x +
		(size_t) space->nnum * KM_SCREEN_ROWS;
	return KM_OK;
}

static KmStatus
make_state(KmJob *job, int max_k)
{
	KmAssignState *state = km_alloc_zero(job->host, 1, sizeof(KmAssignState));
	/* vectors of these are looked up in as a whole */
	size_t		ways = (size_t) max_k + KM_LOOK_UP;
	size_t		recent;
	double		margin = 0;

	if (state == NULL)
		return KM_NO_MEMORY;
	job->state = state;
	state->screening = km_screening(job->simd);
	state->nearest = km_nearest_kernel(job->simd);
	state->max_k = max_k;
	/* whole lines, and one more to begin on one */
	recent = max_k * km_sums_stride(job->space->nnum) + KM_LANES;
	state->recent_memory = km_alloc_zero(job->host, recent, sizeof(int64_t));
	state->way = km_alloc_zero(job->host, KM_ASSIGN_WAYS * ways,
							   sizeof(float));
	if (state->recent_memory == NULL || state->way == NULL)
		return KM_NO_MEMORY;
	state->recent = km_first_line(state->recent_memory);
	state->drift = state->way + ways;
	state->last_way = state->drift + ways;
	state->last_drift = state->last_way + ways;
	KM_TRY(make_waiting(job, &state->waiting));
	KM_TRY(km_sums_create(job->host, max_k, job->space->width, &state->rows));
	KM_TRY(km_packed_create(job->space, max_k, &state->packed));
	KM_TRY(km_screen_create(job->space, max_k, &state->screen));
	for (int f = 0; f < job->space->ncat; f++)
		margin += 1e-7 * job->space->factor[f];
	state->margin = (float) (margin * state->screen.scale);
	return KM_OK;
}

static KmStatus
open_assign(KmJob *job)
{
	KmAssignInput input;

	job->state = NULL;
	if (job->input_size < sizeof(input))
		return KM_BAD_FORMAT;
	memcpy(&input, job->input, sizeof(input));
	if (input.k < 1 || input.k > KM_MAX_K ||
		input.mode < KM_ASSIGN_EXACT || input.mode > KM_ASSIGN_BOUNDED ||
		job->input_size != input_size(input.k, job->space->width))
		return KM_BAD_FORMAT;
	KM_TRY(make_state(job, input.k));
	load_input(job);
	return KM_OK;
}

static size_t
size_assign(const KmJob *job)
{
	const KmAssignState *state = job->state;

	return sizeof(KmAssignCounts) + km_sums_size(state->input.k,
												 job->space->width);
}

static void
write_assign(const KmJob *job, unsigned char *bytes)
{
	const KmAssignState *state = job->state;

	memcpy(bytes, &state->counts, sizeof(KmAssignCounts));
	km_sums_write(&state->rows, state->input.k, job->space->width,
				  bytes + sizeof(KmAssignCounts));
}

static KmStatus
merge_assign(KmJob *job, const unsigned char *bytes, size_t size)
{
	KmAssignState *state = job->state;
	uint64_t	theirs[sizeof(KmAssignCounts) / sizeof(int64_t)];
	uint64_t	ours[sizeof(KmAssignCounts) / sizeof(int64_t)];

	if (size != size_assign(job))
		return KM_BAD_FORMAT;
	memcpy(theirs, bytes, sizeof(theirs));
	memcpy(ours, &state->counts, sizeof(ours));
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		ours[i] += theirs[i];
	memcpy(&state->counts, ours, sizeof(ours));
	km_sums_merge(&state->rows, state->input.k, job->space->width,
				  bytes + sizeof(KmAssignCounts));
	return KM_OK;
}

static void
close_assign(KmJob *job)
{
	KmAssignState *state = job->state;

	if (state == NULL)
		return;
	km_free(job->host, state->waiting.screen.x);
	km_free(job->host, state->recent_memory);
	km_free(job->host, state->way);
	km_sums_free(job->host, &state->rows);
	km_packed_free(job->space, &state->packed);
	km_screen_free(job->space, &state->screen);
	km_free(job->host, state);
	job->state = NULL;
}

const KmStep km_step_assign = {
	.id = KM_STEP_ASSIGN,
	.name = "assign",
	.changes_beside = true,
	.open = open_assign,
	.skips = skip_block,
	.add = assign_block,
	.size = size_assign,
	.write = write_assign,
	.merge = merge_assign,
	.close = close_assign
};

/* ---- kept open by Lloyd ---- */

struct KmAssigning
{
	KmJob		job;
	unsigned char *input;
	bool		has_single;		/* there is room for them, */
	bool		is_filled;		/* and there they are */
};

/* Is there room for rows in single precision beside them? */
static bool
has_room(const KmTable *table, const KmSpace *space)
{
	size_t		row = KM_BESIDE_ROW + KM_BESIDE_GROUP / KM_GROUP_ROWS +
		sizeof(float) * (space->nnum + 1);

	/* a file would have to be read and written for them */
	return space->ncat == 0 && !km_table_is_stored(table) &&
		(table->limit == 0 ||
		 table->bytes + row * (size_t) table->nrows < table->limit);
}

KmStatus
km_assigning_create(KmLloyd *lloyd)
{
	const KmHost *host = lloyd->space->host;
	int			width = lloyd->space->width;
	KmAssigning *assigning = km_alloc_zero(host, 1, sizeof(KmAssigning));

	if (assigning == NULL)
		return KM_NO_MEMORY;
	lloyd->assigning = assigning;
	assigning->job.step = &km_step_assign;
	assigning->job.host = host;
	assigning->job.poll = lloyd->poll;
	assigning->job.table = lloyd->source->table;
	assigning->job.space = lloyd->space;
	assigning->job.simd = lloyd->simd;
	assigning->input = km_alloc(host, 1, input_size(lloyd->max_k, width));
	if (assigning->input == NULL)
		return KM_NO_MEMORY;
	assigning->job.input = assigning->input;
	KM_TRY(make_state(&assigning->job, lloyd->max_k));
	if (lloyd->source->remote != NULL)
		return KM_OK;
	assigning->has_single = has_room(lloyd->source->table, lloyd->space);
	return km_table_beside(lloyd->source->table, KM_BESIDE_ROW,
						   KM_BESIDE_GROUP, assigning->has_single ?
						   sizeof(float) * lloyd->space->nnum : 0);
}

void
km_assigning_free(KmLloyd *lloyd)
{
	KmAssigning *assigning = lloyd->assigning;

	if (assigning == NULL)
		return;
	close_assign(&assigning->job);
	km_free(lloyd->space->host, assigning->input);
	km_free(lloyd->space->host, assigning);
	lloyd->assigning = NULL;
	if (lloyd->source->remote == NULL)
		km_table_lone(lloyd->source->table);
}

/*
 * Rows in single precision are written as soon as many are looked at by
 * themselves, or many will be: most fits never come to that, and for them it
 * would be a tenth of Lloyd's time, and a third of the memory.  To write all
 * costs what looking at FILL_AFTER of them in their tiles costs more, and less
 * than half of that in a pass that looks at all of them anyway.
 */
#define FILL_AFTER		0.1
#define FILL_ABOVE		0.2

static KmSingle
choose_single(const KmLloyd *lloyd, KmAssignMode mode)
{
	const KmAssigning *assigning = lloyd->assigning;
	double		nrows = (double) lloyd->source->table->nrows;

	if (!assigning->has_single || mode < KM_ASSIGN_KEEP)
		return KM_SINGLE_NONE;
	if (assigning->is_filled)
		return KM_SINGLE_USE;
	if (mode == KM_ASSIGN_KEEP ? lloyd->in_doubt > FILL_ABOVE :
		(double) lloyd->measured_in[KM_ASSIGN_BOUNDED] > FILL_AFTER * nrows)
		return KM_SINGLE_FILL;
	return KM_SINGLE_NONE;
}

KmStatus
km_assigning_run(KmLloyd *lloyd, KmAssignMode mode, const KmSums **rows,
				 KmAssignCounts *counts)
{
	KmAssigning *assigning = lloyd->assigning;
	KmAssignState *state = assigning->job.state;
	size_t		k = (size_t) lloyd->k;
	size_t		cells = k * lloyd->space->width;
	double	   *centers = (double *) (assigning->input + sizeof(KmAssignInput));
	KmAssignInput input = {0};

	input.k = lloyd->k;
	/* nothing is kept beside rows that are elsewhere */
	input.is_assigned = lloyd->assigned && lloyd->source->remote == NULL;
	input.mode = mode;
	input.single = choose_single(lloyd, mode);
	input.all_drift = lloyd->all_drift;
	memcpy(assigning->input, &input, sizeof(input));
	km_copy(lloyd->space->host, centers, lloyd->centers,
			sizeof(double) * cells);
	memcpy(centers + cells, lloyd->way, sizeof(double) * k);
	memcpy(centers + cells + k, lloyd->drift, sizeof(double) * k);
	memcpy(centers + cells + 2 * k, lloyd->last_way, sizeof(double) * k);
	memcpy(centers + cells + 3 * k, lloyd->last_drift, sizeof(double) * k);
	assigning->job.input_size = input_size(lloyd->k, lloyd->space->width);
	load_input(&assigning->job);
	KM_TRY(km_pass_on(lloyd->source, &assigning->job));
	assigning->is_filled |= input.single == KM_SINGLE_FILL;
	*rows = &state->rows;
	*counts = state->counts;
	return KM_OK;
}

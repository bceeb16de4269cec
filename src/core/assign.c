/*
 * assign.c
 *		The passes of Lloyd's iteration, with bounds that skip rows.
 *
 * A row's positions are integers on the grid, so a segment's sum is one too:
 * adding and subtracting rows commutes, only rows that change segment are
 * touched, and the centers do not depend on the order of anything.
 *
 * A row whose nearest center is nearer than the second by some slack cannot
 * change segment before its own center and the fastest of the others have
 * together moved that far (Hamerly, "Making k-means even faster", 2010, with
 * one bound for both).  Movements are summed per segment instead of being
 * subtracted from every row, so a pass writes nothing for a row that stays,
 * and reads nothing at all in a group of rows whose least slack is enough.
 * Bounds only decide what is looked at; the decision itself is always made by
 * the kernel's distances.
 */
#include <math.h>
#include <string.h>

#include "assign.h"

#define GROUP_TILES		(KM_GROUP_ROWS / KM_LANES)

/*
 * Safety of slack against rounding, as a share of the distances it comes
 * from.  Distances are sums of up to 1,600 rounded squares (error below
 * 1e-12), slack is kept as float (6e-8), movements are sums of doubles.
 */
#define SLACK_MARGIN	1e-6

/* float's useful range: beyond it slack is cut, below it there is none */
#define SLACK_MAX		1e37
#define SLACK_MIN		1e-30

/* what stands beside each row: its segment and its slack */
#define BESIDE_ROW		(sizeof(uint16_t) + sizeof(float))
#define BESIDE_GROUP	sizeof(float)

/*
 * Input of KM_STEP_ASSIGN, before k x width centers and k drifts.
 */
typedef struct AssignInput
{
	int32_t		k;
	int32_t		is_assigned;	/* what is beside the rows is valid: the state
								 * is the change of the sums */
	int32_t		is_bounded;		/* rows that cannot change are left out */
	int32_t		unused;
	double		group_drift;
} AssignInput;

typedef struct AssignState
{
	KmNearest	nearest;
	int			max_k;			/* there is room for */
	double		margin;			/* error of distances from categories */
	AssignInput input;
	const double *drift;
	KmPacked	packed;
	KmSums		rows;			/* added, less those taken away */
	int64_t		moved;
	int64_t		measured;		/* rows, by the kernel */
} AssignState;

/* ---- sums ---- */

KmStatus
km_sums_create(const KmHost *host, int k, int width, KmSums *sums)
{
	sums->sums = km_alloc_zero(host, (size_t) k * width, sizeof(KmWide));
	sums->weight = km_alloc_zero(host, k, sizeof(KmWide));
	sums->size = km_alloc_zero(host, k, sizeof(int64_t));
	if (sums->sums != NULL && sums->weight != NULL && sums->size != NULL)
		return KM_OK;
	km_sums_free(host, sums);
	return KM_NO_MEMORY;
}

void
km_sums_free(const KmHost *host, KmSums *sums)
{
	km_free(host, sums->sums);
	km_free(host, sums->weight);
	km_free(host, sums->size);
	memset(sums, 0, sizeof(*sums));
}

void
km_sums_clear(KmSums *sums, int k, int width)
{
	memset(sums->sums, 0, sizeof(KmWide) * k * width);
	memset(sums->weight, 0, sizeof(KmWide) * k);
	memset(sums->size, 0, sizeof(int64_t) * k);
}

bool
km_sums_add(KmSums *into, const KmSums *from, int k, int width)
{
	KmWide		any = 0;

	for (size_t i = 0; i < (size_t) k * width; i++)
	{
		any |= from->sums[i];
		into->sums[i] += from->sums[i];
	}
	for (int c = 0; c < k; c++)
	{
		any |= from->weight[c] | from->size[c];
		into->weight[c] += from->weight[c];
		into->size[c] += from->size[c];
	}
	return any != 0;
}

bool
km_sums_differ(const KmSums *a, const KmSums *b, int k, int width)
{
	return memcmp(a->sums, b->sums, sizeof(KmWide) * k * width) != 0 ||
		memcmp(a->weight, b->weight, sizeof(KmWide) * k) != 0 ||
		memcmp(a->size, b->size, sizeof(int64_t) * k) != 0;
}

static size_t
sums_size(int k, int width)
{
	return (size_t) k * ((size_t) width * sizeof(KmWide) + sizeof(KmWide) +
						 sizeof(int64_t));
}

static void
write_sums(const KmSums *sums, int k, int width, unsigned char *bytes)
{
	size_t		cells = (size_t) k * width * sizeof(KmWide);

	memcpy(bytes, sums->sums, cells);
	memcpy(bytes + cells, sums->weight, k * sizeof(KmWide));
	memcpy(bytes + cells + k * sizeof(KmWide), sums->size,
		   k * sizeof(int64_t));
}

static void
merge_sums(KmSums *sums, int k, int width, const unsigned char *bytes)
{
	for (size_t i = 0; i < (size_t) k * width; i++, bytes += sizeof(KmWide))
	{
		KmWide		x;

		memcpy(&x, bytes, sizeof(x));
		sums->sums[i] = (KmWide) ((KmUWide) sums->sums[i] + (KmUWide) x);
	}
	for (int c = 0; c < k; c++, bytes += sizeof(KmWide))
	{
		KmWide		x;

		memcpy(&x, bytes, sizeof(x));
		sums->weight[c] = (KmWide) ((KmUWide) sums->weight[c] + (KmUWide) x);
	}
	for (int c = 0; c < k; c++, bytes += sizeof(int64_t))
	{
		int64_t		x;

		memcpy(&x, bytes, sizeof(x));
		sums->size[c] = (int64_t) ((uint64_t) sums->size[c] + (uint64_t) x);
	}
}

static inline void
change_sums(const KmJob *job, const double *lane, int c, int64_t weight,
			int rows)
{
	const KmSpace *space = job->space;
	AssignState *state = job->state;
	KmWide	   *sums = state->rows.sums + (size_t) c * space->width;

	if (weight == 1)
	{
		for (int s = 0; s < space->nnum; s++)
			sums[s] += (int64_t) (lane[s * KM_LANES] * space->scale[s]);
	}
	else
	{
		for (int s = 0; s < space->nnum; s++)
			sums[s] += (KmWide) (int64_t) (lane[s * KM_LANES] *
										   space->scale[s]) * weight;
	}
	for (int f = 0; f < space->ncat; f++)
		sums[space->offset[f] + (int) lane[(space->nnum + f) * KM_LANES]] +=
			weight;
	state->rows.weight[c] += weight;
	state->rows.size[c] += rows;
}

/* ---- what stands beside a block ---- */

static inline float *
block_slack(const KmBlock *block)
{
	return (float *) (block->beside + km_block_groups(block) *
					  KM_GROUP_ROWS * sizeof(uint16_t));
}

static inline float *
block_group_slack(const KmBlock *block)
{
	return block_slack(block) + km_block_groups(block) * KM_GROUP_ROWS;
}

/* ---- rows that stay, rows that move ---- */

/*
 * Slack as it is stored, from the gap to the second-nearest center, for the
 * movement summed so far of its segment.
 */
static inline float
stored_slack(const AssignState *state, double gap, int own)
{
	double		slack = gap - state->margin + state->drift[own];

	slack -= SLACK_MARGIN * fabs(slack);
	/* k = 1: the gap is NaN, and there is nothing to move to */
	if (!(slack < SLACK_MAX))
		return (float) SLACK_MAX;
	return slack < SLACK_MIN ? -1 : (float) slack;
}

/* Take the kernel's word for one tile: move rows, renew slack. */
static inline void
settle_tile(const KmJob *job, const double *tile, int nrows, uint16_t *own,
			float *slack, const int64_t *id, const double *d1,
			const double *d2)
{
	AssignState *state = job->state;
	bool		assigned = state->input.is_assigned != 0;
	double		gap[KM_LANES];

	km_gaps(d1, d2, KM_LANES, SLACK_MARGIN, gap);
	for (int l = 0; l < nrows; l++)
	{
		int			c = (int) id[l];

		if (!assigned || own[l] != c)
		{
			int64_t		weight = km_row_weight(job->table, tile + l);

			if (assigned)
				change_sums(job, tile + l, own[l], -weight, -1);
			change_sums(job, tile + l, c, weight, 1);
			own[l] = (uint16_t) c;
			state->moved++;
		}
		slack[l] = stored_slack(state, gap[l], c);
	}
}

/* What the whole group can stand, in terms of group_drift. */
static float
least_slack(const AssignState *state, const uint16_t *own,
			const float *slack, int nrows)
{
	double		least = INFINITY;

	for (int i = 0; i < nrows; i++)
	{
		double		left = slack[i] - state->drift[own[i]];

		least = left < least ? left : least;
	}
	least += state->input.group_drift;
	least -= SLACK_MARGIN * fabs(least);
	if (least < SLACK_MIN)
		return -1;
	return (float) (least < SLACK_MAX ? least : SLACK_MAX);
}

static inline bool
tile_may_change(const AssignState *state, const uint16_t *own,
				const float *slack, int nrows)
{
	bool		any = false;

	for (int l = 0; l < nrows; l++)
		any |= slack[l] <= state->drift[own[l]];
	return any;
}

static void
assign_group(const KmJob *job, const KmBlock *block, int tile, int ntiles)
{
	const KmTable *table = job->table;
	AssignState *state = job->state;
	bool		bounded = state->input.is_bounded != 0;
	uint16_t   *own = km_block_own(block) + tile * KM_LANES;
	float	   *slack = block_slack(block) + tile * KM_LANES;
	int64_t		id[KM_GROUP_ROWS];
	double		d1[KM_GROUP_ROWS];
	double		d2[KM_GROUP_ROWS];

	if (!bounded)
		state->nearest(job->space, &state->packed,
					   km_tile(table, block, tile), ntiles, table->nslots,
					   id, d1, d2);
	for (int t = 0; t < ntiles; t++)
	{
		const double *data = km_tile(table, block, tile + t);
		int			nrows = km_tile_rows(block, tile + t);
		int			l = t * KM_LANES;

		if (bounded)
		{
			if (!tile_may_change(state, own + l, slack + l, nrows))
				continue;
			state->nearest(job->space, &state->packed, data, 1,
						   table->nslots, id + l, d1 + l, d2 + l);
		}
		state->measured += nrows;
		settle_tile(job, data, nrows, own + l, slack + l, id + l, d1 + l,
					d2 + l);
	}
}

/* rows that nothing is kept of: all of them are added */
static void
add_group(const KmJob *job, const KmBlock *block, int tile, int ntiles)
{
	const KmTable *table = job->table;
	AssignState *state = job->state;
	int64_t		id[KM_GROUP_ROWS];
	double		d1[KM_GROUP_ROWS];
	double		d2[KM_GROUP_ROWS];

	state->nearest(job->space, &state->packed, km_tile(table, block, tile),
				   ntiles, table->nslots, id, d1, d2);
	for (int t = 0; t < ntiles; t++)
	{
		const double *data = km_tile(table, block, tile + t);
		int			nrows = km_tile_rows(block, tile + t);

		state->measured += nrows;
		for (int l = 0; l < nrows; l++)
			change_sums(job, data + l, (int) id[t * KM_LANES + l],
						km_row_weight(table, data + l), 1);
	}
}

static bool
skip_block(const KmJob *job, const KmBlock *block)
{
	const AssignState *state = job->state;

	return state->input.is_bounded != 0 && block->beside != NULL &&
		block->least > state->input.group_drift;
}

static KmStatus
assign_block(KmJob *job, KmBlock *block)
{
	const AssignState *state = job->state;
	bool		bounded = state->input.is_bounded != 0;
	double		row_work = (double) state->input.k *
		(job->table->nfeatures + 2);
	int			ntiles = km_block_tiles(block);
	float		least = INFINITY;

	for (int tile = 0; tile < ntiles; tile += GROUP_TILES)
	{
		int			here = ntiles - tile < GROUP_TILES ? ntiles - tile
			: GROUP_TILES;
		int			first = tile * KM_LANES;
		int			nrows = block->nrows - first < KM_GROUP_ROWS ?
			block->nrows - first : KM_GROUP_ROWS;
		float	   *group;

		if (block->beside == NULL)
		{
			add_group(job, block, tile, here);
			if (!km_poll(job->poll, nrows * row_work))
				return KM_CANCELLED;
			continue;
		}
		group = block_group_slack(block) + tile / GROUP_TILES;
		if (!bounded || *group <= state->input.group_drift)
		{
			assign_group(job, block, tile, here);
			*group = least_slack(state, km_block_own(block) + first,
								 block_slack(block) + first, nrows);
			if (!km_poll(job->poll, nrows * row_work))
				return KM_CANCELLED;
		}
		/* a skipped group is work too: memory is read */
		else if (!km_poll(job->poll, 4))
			return KM_CANCELLED;
		least = *group < least ? *group : least;
	}
	block->least = least;
	return KM_OK;
}

/* ---- the step ---- */

static size_t
input_size(int k, int width)
{
	return sizeof(AssignInput) + sizeof(double) * ((size_t) k * width + k);
}

/* Take the job's input; there is room for as many segments. */
static KmStatus
load_input(KmJob *job)
{
	AssignState *state = job->state;
	const double *centers = (const double *)
		((const unsigned char *) job->input + sizeof(AssignInput));

	memcpy(&state->input, job->input, sizeof(AssignInput));
	state->drift = centers + (size_t) state->input.k * job->space->width;
	km_packed_set(job->space, &state->packed, centers, state->input.k);
	km_sums_clear(&state->rows, state->input.k, job->space->width);
	state->moved = 0;
	state->measured = 0;
	return KM_OK;
}

static KmStatus
make_state(KmJob *job, int max_k)
{
	AssignState *state = km_alloc_zero(job->host, 1, sizeof(AssignState));

	if (state == NULL)
		return KM_NO_MEMORY;
	job->state = state;
	state->nearest = km_nearest_kernel(job->simd);
	state->max_k = max_k;
	for (int f = 0; f < job->space->ncat; f++)
		state->margin += 1e-7 * job->space->factor[f];
	KM_TRY(km_sums_create(job->host, max_k, job->space->width, &state->rows));
	return km_packed_create(job->space, max_k, &state->packed);
}

static KmStatus
open_assign(KmJob *job)
{
	int32_t		k;

	job->state = NULL;
	if (job->input_size < sizeof(AssignInput))
		return KM_BAD_FORMAT;
	memcpy(&k, job->input, sizeof(k));
	if (k < 1 || k > KM_MAX_K ||
		job->input_size != input_size(k, job->space->width))
		return KM_BAD_FORMAT;
	KM_TRY(make_state(job, k));
	return load_input(job);
}

static size_t
size_assign(const KmJob *job)
{
	const AssignState *state = job->state;

	return 2 * sizeof(int64_t) + sums_size(state->input.k, job->space->width);
}

static void
write_assign(const KmJob *job, unsigned char *bytes)
{
	const AssignState *state = job->state;

	memcpy(bytes, &state->moved, sizeof(int64_t));
	memcpy(bytes + sizeof(int64_t), &state->measured, sizeof(int64_t));
	write_sums(&state->rows, state->input.k, job->space->width,
			   bytes + 2 * sizeof(int64_t));
}

static KmStatus
merge_assign(KmJob *job, const unsigned char *bytes, size_t size)
{
	AssignState *state = job->state;
	uint64_t	counts[2];

	if (size != size_assign(job))
		return KM_BAD_FORMAT;
	memcpy(counts, bytes, sizeof(counts));
	state->moved = (int64_t) ((uint64_t) state->moved + counts[0]);
	state->measured = (int64_t) ((uint64_t) state->measured + counts[1]);
	merge_sums(&state->rows, state->input.k, job->space->width,
			   bytes + sizeof(counts));
	return KM_OK;
}

static void
close_assign(KmJob *job)
{
	AssignState *state = job->state;

	if (state == NULL)
		return;
	km_sums_free(job->host, &state->rows);
	km_packed_free(job->space, &state->packed);
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
};

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
	return km_table_beside(lloyd->source->table, BESIDE_ROW, BESIDE_GROUP);
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
		km_table_alone(lloyd->source->table);
}

KmStatus
km_assigning_run(KmLloyd *lloyd, bool bounded, const KmSums **rows,
				 int64_t *moved)
{
	KmAssigning *assigning = lloyd->assigning;
	AssignState *state = assigning->job.state;
	size_t		cells = (size_t) lloyd->k * lloyd->space->width;
	double	   *centers = (double *) (assigning->input + sizeof(AssignInput));
	AssignInput input = {0};

	input.k = lloyd->k;
	/* nothing is kept beside rows that are elsewhere */
	input.is_assigned = lloyd->assigned && lloyd->source->remote == NULL;
	input.is_bounded = bounded;
	input.group_drift = lloyd->group_drift;
	memcpy(assigning->input, &input, sizeof(input));
	memcpy(centers, lloyd->centers, sizeof(double) * cells);
	memcpy(centers + cells, lloyd->drift, sizeof(double) * lloyd->k);
	assigning->job.input_size = input_size(lloyd->k, lloyd->space->width);
	KM_TRY(load_input(&assigning->job));
	KM_TRY(km_pass_on(lloyd->source, &assigning->job));
	*rows = &state->rows;
	*moved = state->moved;
	lloyd->measured = state->measured;
	return KM_OK;
}

/* ---- new numbers ---- */

/* input: the new number of each segment */
static KmStatus
open_renumber(KmJob *job)
{
	job->state = NULL;
	return job->input_size % sizeof(int32_t) == 0 ? KM_OK : KM_BAD_FORMAT;
}

static KmStatus
renumber_block(KmJob *job, KmBlock *block)
{
	const int32_t *order = job->input;
	size_t		k = job->input_size / sizeof(int32_t);
	uint16_t   *own = km_block_own(block);

	for (int i = 0; i < block->nrows; i++)
	{
		if (own[i] < k)
			own[i] = (uint16_t) order[own[i]];
	}
	return km_poll(job->poll, block->nrows) ? KM_OK : KM_CANCELLED;
}

static size_t
size_renumber(const KmJob *job)
{
	(void) job;
	return 0;
}

static void
write_renumber(const KmJob *job, unsigned char *bytes)
{
	(void) job;
	(void) bytes;
}

static KmStatus
merge_renumber(KmJob *job, const unsigned char *bytes, size_t size)
{
	(void) job;
	(void) bytes;
	return size == 0 ? KM_OK : KM_BAD_FORMAT;
}

static void
close_renumber(KmJob *job)
{
	(void) job;
}

const KmStep km_step_renumber = {
	.id = KM_STEP_RENUMBER,
	.name = "renumber",
	.changes_beside = true,
	.open = open_renumber,
	.add = renumber_block,
	.size = size_renumber,
	.write = write_renumber,
	.merge = merge_renumber,
	.close = close_renumber
};

KmStatus
km_renumber_rows(KmLloyd *lloyd, const int *order)
{
	KmJob		job = {0};

	/* nothing is kept beside rows that are elsewhere */
	if (lloyd->source->remote != NULL)
		return KM_OK;
	job.step = &km_step_renumber;
	job.host = lloyd->space->host;
	job.poll = lloyd->poll;
	job.table = lloyd->source->table;
	job.space = lloyd->space;
	job.input = order;
	job.input_size = sizeof(int32_t) * (size_t) lloyd->k;
	return km_pass(lloyd->source, &job);
}

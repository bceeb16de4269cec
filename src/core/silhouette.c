/*
 * silhouette.c
 *		Silhouettes (Rousseeuw, "Silhouettes: a graphical aid to the
 *		interpretation and validation of cluster analysis", 1987).
 *
 * Every pair of rows is measured, but no distance is kept: for a group of
 * rows the distances to all others are added up by the others' segments.
 * Several segmentations share the distances, which are most of the work.
 * Each row's sums run over the rows in the draw's order, so neither the width
 * of the vectors nor what else is computed along changes a bit; nor who
 * computes it: groups of rows are the items of a crew's task, and each row's
 * silhouette has a place of its own until all are added up in order.
 */
#include <math.h>
#include <string.h>

#include "crew.h"

/* segments of the segmentations worked on together: sums stay in the cache */
#define TOGETHER_MAX	4096

/*
 * Segmentations judged together, as members of a crew see them.  Segments of
 * all are numbered in one row.
 */
typedef struct PairTask
{
	KmTask		task;
	/* set once */
	int			n;				/* segmentations */
	int			nsegments;		/* of all */
	KmSimd		simd;
	int64_t		nrows;
	/* offsets */
	size_t		space;
	size_t		table;
	size_t		k;				/* of each segmentation */
	size_t		first;			/* its first segment among all */
	size_t		is_defined;		/* is there a silhouette at all? */
	size_t		count;			/* rows in each segment of all */
	size_t		labels;			/* n x nrows */
	/* each row's, by whoever took its group */
	size_t		silhouettes;	/* n x nrows */
} PairTask;

/* A member's view of it, and what it computes in. */
typedef struct Silhouettes
{
	const KmTable *table;
	const KmSpace *space;
	KmPoll	   *poll;
	KmPairs		pairs;
	int			n;
	const int  *k;
	const int32_t *first;
	const bool *is_defined;
	const int64_t *count;
	const uint16_t *labels;
	double	   *silhouettes;
	double	   *rows;			/* values of a group, slot by slot, and
								 * scratch for one more slot */
	double	   *sums;			/* all segments x KM_PAIR_ROWS */
	size_t		nsums;
	int32_t    *targets;		/* of a tile's rows, see KmPairs */
} Silhouettes;

/* The group's values slot by slot; rows that it lacks are 0. */
static void
load_group(Silhouettes *s, int64_t first)
{
	const KmTable *table = s->table;
	int			nslots = s->space->nfeatures;

	memset(s->rows, 0, sizeof(double) * KM_PAIR_ROWS * nslots);
	for (int t = 0; t < KM_PAIR_ROWS / KM_LANES; t++)
	{
		int64_t		row = first + t * KM_LANES;
		const double *tile;

		if (row >= table->nrows)
			break;
		tile = km_tile(table, table->blocks, (int) (row / KM_LANES));
		for (int slot = 0; slot < nslots; slot++)
			memcpy(s->rows + slot * KM_PAIR_ROWS + t * KM_LANES,
				   tile + slot * KM_LANES, sizeof(double) * KM_LANES);
	}
}

/* Sums of the group's distances to all rows. */
static KmStatus
sum_group(Silhouettes *s)
{
	const KmTable *table = s->table;
	double		work = (double) KM_PAIR_ROWS *
		(s->space->nfeatures + s->n + 8);

	memset(s->sums, 0, sizeof(double) * s->nsums);
	for (int64_t row = 0; row < table->nrows; row += KM_LANES)
	{
		int			here = table->nrows - row < KM_LANES ?
			(int) (table->nrows - row) : KM_LANES;

		for (int l = 0; l < here; l++)
		{
			for (int j = 0; j < s->n; j++)
				s->targets[l * s->n + j] = KM_PAIR_ROWS *
					(s->first[j] + s->labels[j * table->nrows + row + l]);
		}
		s->pairs(s->space, s->rows,
				 km_tile(table, table->blocks, (int) (row / KM_LANES)), here,
				 s->targets, s->n, s->sums,
				 s->rows + (size_t) KM_PAIR_ROWS * s->space->nfeatures);
		if (!km_poll(s->poll, here * work))
			return KM_CANCELLED;
	}
	return KM_OK;
}

/*
 * Silhouette of a row whose distances stand in sums, KM_PAIR_ROWS apart;
 * count: rows of each of k segments.
 */
static double
row_silhouette(const int64_t *count, int k, int own, const double *sums)
{
	double		a;
	double		b = INFINITY;

	/* alone in its segment, by definition */
	if (count[own] == 1)
		return 0;
	/* the row's distance to itself is 0: it is left out by the count alone */
	a = sums[(size_t) own * KM_PAIR_ROWS] / (double) (count[own] - 1);
	for (int c = 0; c < k; c++)
	{
		double		mean;

		if (c == own || count[c] == 0)
			continue;
		mean = sums[(size_t) c * KM_PAIR_ROWS] / (double) count[c];
		b = mean < b ? mean : b;
	}
	if (a == b)
		return 0;
	return (b - a) / (a > b ? a : b);
}

/* The group's silhouettes to their places. */
static KmStatus
settle_group(Silhouettes *s, int64_t first)
{
	int64_t		nrows = s->table->nrows;

	for (int j = 0; j < s->n; j++)
	{
		const double *sums = s->sums + (size_t) s->first[j] * KM_PAIR_ROWS;

		if (!s->is_defined[j])
			continue;
		for (int l = 0; l < KM_PAIR_ROWS && first + l < nrows; l++)
		{
			int64_t		at = j * nrows + first + l;

			s->silhouettes[at] = row_silhouette(s->count + s->first[j],
												s->k[j], s->labels[at],
												sums + l);
			if (!km_poll(s->poll, s->k[j]))
				return KM_CANCELLED;
		}
	}
	return KM_OK;
}

/* ---- a member's part ---- */

static KmStatus
measure_groups(PairTask *task, Silhouettes *s)
{
	int64_t		groups = (task->nrows + KM_PAIR_ROWS - 1) / KM_PAIR_ROWS;
	int64_t		group;

	while ((group = km_task_take(&task->task, groups)) >= 0)
	{
		km_report(s->poll->host, KM_PHASE_SILHOUETTE, group * KM_PAIR_ROWS,
				  task->nrows);
		load_group(s, group * KM_PAIR_ROWS);
		KM_TRY(sum_group(s));
		KM_TRY(settle_group(s, group * KM_PAIR_ROWS));
	}
	return KM_OK;
}

static KmStatus
measure_part(PairTask *task, KmMember *part, const KmTable *table,
			 const KmSpace *space)
{
	const KmHost *host = &part->host;
	Silhouettes s = {0};
	KmStatus	status;

	s.table = table;
	s.space = space;
	s.poll = &part->poll;
	s.pairs = km_pairs_kernel(task->simd);
	s.n = task->n;
	s.k = km_task_at(task, task->k);
	s.first = km_task_at(task, task->first);
	s.is_defined = km_task_at(task, task->is_defined);
	s.count = km_task_at(task, task->count);
	s.labels = km_task_at(task, task->labels);
	s.silhouettes = km_task_at(task, task->silhouettes);
	s.nsums = (size_t) task->nsegments * KM_PAIR_ROWS;
	s.sums = km_alloc(host, s.nsums, sizeof(double));
	s.targets = km_alloc(host, (size_t) s.n * KM_LANES, sizeof(int32_t));
	s.rows = km_alloc(host, ((size_t) space->nfeatures + 1) * KM_PAIR_ROWS,
					  sizeof(double));
	status = s.sums == NULL || s.targets == NULL || s.rows == NULL ?
		KM_NO_MEMORY : measure_groups(task, &s);
	km_free(host, s.sums);
	km_free(host, s.targets);
	km_free(host, s.rows);
	return status;
}

KmStatus
km_help_silhouettes(KmMember *part, void *input)
{
	PairTask   *task = input;
	KmTable		table;
	KmBlock		block;
	KmSpace		space;

	km_table_see(&part->host, task, task->table, &table, &block);
	km_space_see(&part->host, task, task->space, &space);
	return measure_part(task, part, &table, &space);
}

/* ---- a batch of segmentations ---- */

/* rows of each segment, and whether there is a silhouette at all */
static bool
count_rows(const KmDraw *draw, int k, const uint16_t *labels, int64_t *count)
{
	int			nonempty = 0;

	for (int64_t i = 0; i < draw->table.nrows; i++)
		count[labels[i]] += draw->multiplicity[i];
	for (int c = 0; c < k; c++)
		nonempty += count[c] > 0;
	return nonempty >= 2 && nonempty < draw->total;
}

static PairTask *
create_task(const KmDraw *draw, const KmSpace *space, KmSimd simd, int n,
			const int *k, const uint16_t *const *labels, int others,
			KmHandle *handle)
{
	size_t		nrows = (size_t) draw->table.nrows;
	size_t		end = sizeof(PairTask);
	PairTask	layout = {0};
	PairTask   *task;
	int32_t    *first;
	bool	   *is_defined;
	int64_t    *count;

	layout.n = n;
	layout.simd = simd;
	layout.nrows = draw->table.nrows;
	for (int j = 0; j < n; j++)
		layout.nsegments += k[j];
	if (others > 0)
	{
		layout.space = km_space_lay(&end, space);
		layout.table = km_table_lay(&end, &draw->table);
	}
	layout.k = km_lay(&end, (size_t) n, sizeof(int));
	layout.first = km_lay(&end, (size_t) n, sizeof(int32_t));
	layout.is_defined = km_lay(&end, (size_t) n, sizeof(bool));
	layout.count = km_lay(&end, (size_t) layout.nsegments, sizeof(int64_t));
	layout.labels = km_lay(&end, (size_t) n * nrows, sizeof(uint16_t));
	layout.silhouettes = km_lay(&end, (size_t) n * nrows, sizeof(double));

	task = km_task_create(space->host, others, end, handle);
	if (task == NULL)
		return NULL;
	*task = layout;
	if (others > 0)
	{
		km_space_put(task, task->space, space);
		km_table_put(task, task->table, &draw->table);
	}
	memcpy(km_task_at(task, task->k), k, sizeof(int) * n);
	first = km_task_at(task, task->first);
	is_defined = km_task_at(task, task->is_defined);
	count = km_task_at(task, task->count);
	for (int j = 0; j < n; j++)
	{
		first[j] = j == 0 ? 0 : first[j - 1] + k[j - 1];
		is_defined[j] = count_rows(draw, k[j], labels[j], count + first[j]);
		memcpy((uint16_t *) km_task_at(task, task->labels) + j * nrows,
			   labels[j], sizeof(uint16_t) * nrows);
	}
	return task;
}

/* Means of what members found, in the rows' order. */
static KmStatus
take_results(PairTask *task, const KmDraw *draw, KmPoll *poll, int j,
			 double *overall, double *per_segment)
{
	const uint16_t *labels = (uint16_t *) km_task_at(task, task->labels) +
		j * task->nrows;
	const double *silhouettes = (double *) km_task_at(task, task->silhouettes) +
		j * task->nrows;
	const int64_t *count = (int64_t *) km_task_at(task, task->count) +
		((int32_t *) km_task_at(task, task->first))[j];
	int			k = ((int *) km_task_at(task, task->k))[j];
	bool		is_defined = ((bool *) km_task_at(task, task->is_defined))[j];
	double		sum = 0;

	for (int c = 0; c < k && per_segment != NULL; c++)
		per_segment[c] = is_defined && count[c] > 0 ? 0 : NAN;
	*overall = NAN;
	if (!is_defined)
		return KM_OK;
	for (int64_t i = 0; i < task->nrows; i++)
	{
		double		part = silhouettes[i] * (double) draw->multiplicity[i];

		sum += part;
		if (per_segment != NULL)
			per_segment[labels[i]] += part;
	}
	*overall = sum / (double) draw->total;
	for (int c = 0; c < k && per_segment != NULL; c++)
		per_segment[c] /= (double) count[c];
	return km_poll(poll, 4.0 * (double) task->nrows) ? KM_OK : KM_CANCELLED;
}

static bool
any_defined(PairTask *task)
{
	const bool *is_defined = km_task_at(task, task->is_defined);
	bool		any = false;

	for (int j = 0; j < task->n; j++)
		any |= is_defined[j];
	return any;
}

static KmStatus
measure_batch(const KmDraw *draw, const KmSpace *space, KmPoll *poll,
			  KmSimd simd, int n, const int *k, const uint16_t *const *labels,
			  double *overall, double **per_segment)
{
	const KmHost *host = space->host;
	double		rows = (double) draw->table.nrows;
	double		work = rows * rows * (space->nfeatures + n + 8);
	int			others = km_crew_others(host, work, work);
	KmHandle	handle;
	PairTask   *task = create_task(draw, space, simd, n, k, labels, others,
								   &handle);
	KmMember	part;
	KmStatus	status;

	if (task == NULL && others > 0)
		task = create_task(draw, space, simd, n, k, labels, 0, &handle);
	if (task == NULL)
		return KM_NO_MEMORY;
	if (any_defined(task))
	{
		if (handle != 0)
			host->crew->call(host->crew->arg, KM_TASK_SILHOUETTES, handle);
		km_member_begin(&part, host, poll, &task->task);
		km_member_end(&part, measure_part(task, &part, &draw->table, space));
		if (handle != 0)
			host->crew->wait(host->crew->arg);
	}
	status = (KmStatus) atomic_load(&task->task.status);
	for (int j = 0; j < n && status == KM_OK; j++)
		status = take_results(task, draw, poll, j, &overall[j],
							  per_segment == NULL ? NULL : per_segment[j]);
	km_task_free(host, task, handle);
	return status;
}

/* how many of the segmentations go together */
static int
batch_size(const int *k, int n)
{
	int			total = k[0];
	int			size = 1;

	while (size < n && total + k[size] <= TOGETHER_MAX)
		total += k[size++];
	return size;
}

KmStatus
km_silhouettes(const KmDraw *draw, const KmSpace *space, KmPoll *poll,
			   KmSimd simd, int nlabelings, const int *k,
			   const uint16_t *const *labels, double *overall,
			   double **per_segment)
{
	for (int first = 0, n; first < nlabelings; first += n)
	{
		n = batch_size(k + first, nlabelings - first);
		KM_TRY(measure_batch(draw, space, poll, simd, n, k + first,
							 labels + first, overall + first,
							 per_segment == NULL ? NULL :
							 per_segment + first));
	}
	return KM_OK;
}

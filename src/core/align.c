/*
 * align.c
 *		Which segments of a model continue which of an older one.
 *
 * Centroids are compared where the older model measures distances, over the
 * features that both models have.  An old segment j lets a new one continue it
 * up to a distance t(j): its reach, beyond which hardly a row of it was, but
 * no less than half and no more than the whole way to the nearest other old
 * segment.  Within the half, rows like the new centroid were in j; beyond the
 * whole, they would as well have been in another, and then what is near is
 * not what belongs together.  (In many dimensions every segment reaches over
 * its neighbours; and a segment of equal rows has no reach at all.)
 *
 * Among these pairs the matching is taken for which the sum of squared
 * distances is least, where an old segment without continuation costs t(j)^2,
 * as much as the farthest continuation it would have taken.  So a pair costs
 * distance^2 - t(j)^2 and no pair nothing, which is what km_match() takes.
 */
#include <math.h>
#include <string.h>

#include "km_internal.h"

/*
 * A segment has moved when its centroid has by more than this share of the
 * distance that its rows were from it (root mean square).  The chance of
 * drawing other customers from the same group moves it by 1 / sqrt(rows).
 */
#define MOVED_SHARE		0.25

/*
 * A segment came out of another, or went into it, when that other one lost,
 * or won, at least this part of its share of the rows.
 */
#define PASSED_ON		0.5

/* Forged models may reach anywhere; sums of costs have to stay finite. */
#define FARTHEST		1e300

typedef struct Align
{
	/* set once */
	const KmHost *host;
	const KmModel *model;
	const KmModel *old;
	size_t		limit;			/* bytes for pairs; 0: none */
	KmPoll		poll;

	KmMutual	at;				/* where the old model measures */
	double	   *bound;			/* of each old segment: t(j)^2 */
	KmCosts		costs;			/* rows: the model's; columns: the old's */
	size_t		room;			/* pairs that there is room for */
	int		   *old_of;			/* of each segment, -1: it is new */
	int		   *new_of;			/* of each old one, -1: it has ended */

	KmMutual	own;			/* where the model measures, when needed */
} Align;

static double
square(double x)
{
	return x * x;
}

static double
pair_distance2(const Align *a, int new, int old)
{
	return km_mutual_distance2(&a->at, km_mutual_new(&a->at, new),
							   km_mutual_old(&a->at, old));
}

/* ---- pairs ---- */

static KmStatus
find_bounds(Align *a)
{
	const KmModel *old = a->old;

	a->bound = km_alloc(a->host, old->k, sizeof(double));
	if (a->bound == NULL)
		return KM_NO_MEMORY;
	for (int j = 0; j < old->k; j++)
	{
		double		gap = INFINITY;
		double		reach = square(old->segments[j].reach);

		for (int i = 0; i < old->k; i++)
		{
			double		d = km_mutual_distance2(&a->at,
												km_mutual_old(&a->at, j),
												km_mutual_old(&a->at, i));

			/* at the same place over what is shared: not to be told apart */
			if (d > 0 && d < gap)
				gap = d;
		}
		if (gap < INFINITY)
			reach = fmin(fmax(reach, gap / 4), gap);
		a->bound[j] = fmin(reach, FARTHEST);
		if (!km_poll(&a->poll, (double) old->k * a->at.dims))
			return KM_CANCELLED;
	}
	return KM_OK;
}

/* Room for twice as many pairs. */
static KmStatus
grow_pairs(Align *a, size_t n)
{
	size_t		room = a->room > 0 ? 2 * a->room : 64;
	size_t		bytes = sizeof(int) + sizeof(double);
	int		   *column;
	double	   *cost;

	if (a->limit > 0 && room * bytes > a->limit)
		return KM_OVER_LIMIT;
	column = km_alloc(a->host, room, sizeof(int));
	cost = km_alloc(a->host, room, sizeof(double));
	if (column == NULL || cost == NULL)
	{
		km_free(a->host, column);
		km_free(a->host, cost);
		return KM_NO_MEMORY;
	}
	if (n > 0)
	{
		memcpy(column, a->costs.column, n * sizeof(int));
		memcpy(cost, a->costs.cost, n * sizeof(double));
	}
	km_free(a->host, a->costs.column);
	km_free(a->host, a->costs.cost);
	a->costs.column = column;
	a->costs.cost = cost;
	a->room = room;
	return KM_OK;
}

static KmStatus
find_pairs(Align *a)
{
	size_t		n = 0;

	a->costs.nrows = a->model->k;
	a->costs.ncolumns = a->old->k;
	a->costs.first = km_alloc(a->host, (size_t) a->model->k + 1,
							  sizeof(size_t));
	if (a->costs.first == NULL)
		return KM_NO_MEMORY;
	for (int i = 0; i < a->model->k; i++)
	{
		a->costs.first[i] = n;
		for (int j = 0; j < a->old->k; j++)
		{
			double		d = pair_distance2(a, i, j);

			if (!(d <= a->bound[j]) || !(d < INFINITY))
				continue;
			if (n == a->room)
				KM_TRY(grow_pairs(a, n));
			a->costs.column[n] = j;
			a->costs.cost[n++] = d - a->bound[j];
		}
		if (!km_poll(&a->poll, (double) a->old->k * a->at.dims))
			return KM_CANCELLED;
	}
	a->costs.first[a->model->k] = n;
	return KM_OK;
}

static KmStatus
match_segments(Align *a)
{
	a->old_of = km_alloc(a->host, a->model->k, sizeof(int));
	a->new_of = km_alloc(a->host, a->old->k, sizeof(int));
	if (a->old_of == NULL || a->new_of == NULL)
		return KM_NO_MEMORY;
	KM_TRY(km_match(a->host, &a->poll, &a->costs, a->old_of));
	for (int j = 0; j < a->old->k; j++)
		a->new_of[j] = -1;
	for (int i = 0; i < a->model->k; i++)
	{
		if (a->old_of[i] >= 0)
			a->new_of[a->old_of[i]] = i;
	}
	return KM_OK;
}

/* ---- what became of each ---- */

/* Of the rows; -1 stands for a segment that is not there. */
static double
share_of(const KmModel *model, int segment)
{
	return segment < 0 ? 0 :
		(double) model->segments[segment].size / (double) model->rows;
}

static void
tell_continued(const Align *a, int old, KmFate *fate)
{
	fate->segment = a->new_of[old];
	fate->old = old;
	fate->id = a->old->segments[old].id;
	fate->distance = sqrt(pair_distance2(a, fate->segment, old));
	fate->outcome = fate->distance <=
		MOVED_SHARE * km_spread(&a->old->segments[old]) ? KM_KEPT : KM_MOVED;
}

/*
 * A new segment was split off the nearest of those that it could have
 * continued, all of which go on without it, if its rows can be from there.
 */
static void
tell_new(const Align *a, int segment, int id, KmFate *fate)
{
	double		least = INFINITY;
	int			from = -1;

	for (size_t e = a->costs.first[segment]; e < a->costs.first[segment + 1];
		 e++)
	{
		double		d = pair_distance2(a, segment, a->costs.column[e]);

		if (d < least)
		{
			least = d;
			from = a->costs.column[e];
		}
	}
	fate->outcome = KM_NEW;
	fate->segment = segment;
	fate->id = id;
	if (from >= 0 && share_of(a->old, from) -
		share_of(a->model, a->new_of[from]) >=
		PASSED_ON * share_of(a->model, segment))
	{
		fate->outcome = KM_SPLIT;
		fate->other = a->old->segments[from].id;
		fate->distance = sqrt(least);
	}
}

/*
 * The segment nearest to a point where the model measures, but for one (-1:
 * none), and the squared distance; -1 if there is none.
 */
static int
nearest_segment(const Align *a, const double *at, int except, double *least)
{
	int			nearest = -1;

	*least = INFINITY;
	for (int i = 0; i < a->model->k; i++)
	{
		double		d = km_mutual_distance2(&a->own, at,
											km_mutual_new(&a->own, i));

		if (i != except && d < *least)
		{
			*least = d;
			nearest = i;
		}
	}
	return nearest;
}

/*
 * An old segment that ended went into the one that its centroid belongs to
 * now, if that is within its reach, or half the way to the nearest other, and
 * has grown by as much.  Returns that one, or -1.
 */
static int
merged_into(const Align *a, int old)
{
	double		d;
	double		gap;
	int			into = nearest_segment(a, km_mutual_old(&a->own, old), -1,
									   &d);
	bool		grown;

	if (into < 0)
		return -1;
	if (nearest_segment(a, km_mutual_new(&a->own, into), into, &gap) < 0)
		gap = 0;
	if (d > fmax(square(a->model->segments[into].reach), gap / 4))
		return -1;
	grown = share_of(a->model, into) - share_of(a->old, a->old_of[into]) >=
		PASSED_ON * share_of(a->old, old);
	return grown ? into : -1;
}

/* Ids of the model's segments: those of the old ones, then the next ones. */
static KmStatus
give_ids(const Align *a, KmAlignment *result, int *ids)
{
	result->last_id = a->old->last_id;
	for (int i = 0; i < a->model->k; i++)
	{
		if (a->old_of[i] >= 0)
			ids[i] = a->old->segments[a->old_of[i]].id;
		else if (result->last_id == INT32_MAX)
			return KM_NO_IDS;
		else
			ids[i] = ++result->last_id;
	}
	return KM_OK;
}

/* By id: the old ones rise, and new ones come after them. */
static KmStatus
tell_fates(Align *a, KmAlignment *result, const int *ids)
{
	for (int j = 0; j < a->old->k; j++)
	{
		KmFate	   *fate = &result->fates[result->n++];
		int			into;

		*fate = (KmFate) {.other = 0, .distance = NAN};
		if (a->new_of[j] >= 0)
		{
			tell_continued(a, j, fate);
			continue;
		}
		if (a->own.new_at == NULL)
			KM_TRY(km_mutual_create(&a->poll, a->model, a->model, a->old,
									&a->own));
		if (!km_poll(&a->poll, 2.0 * a->model->k * a->own.dims))
			return KM_CANCELLED;
		fate->outcome = KM_RETIRED;
		fate->segment = -1;
		fate->old = j;
		fate->id = a->old->segments[j].id;
		into = merged_into(a, j);
		if (into >= 0)
		{
			fate->outcome = KM_MERGED;
			fate->other = ids[into];
			fate->distance = sqrt(pair_distance2(a, into, j));
		}
	}
	for (int i = 0; i < a->model->k; i++)
	{
		KmFate	   *fate = &result->fates[result->n];

		if (a->old_of[i] >= 0)
			continue;
		*fate = (KmFate) {.old = -1, .distance = NAN};
		tell_new(a, i, ids[i], fate);
		result->n++;
	}
	return KM_OK;
}

static KmStatus
describe_alignment(Align *a, KmAlignment **result)
{
	KmAlignment *alignment = km_alloc_zero(a->host, 1, sizeof(KmAlignment));
	int		   *ids = km_alloc(a->host, a->model->k, sizeof(int));
	KmStatus	status = KM_NO_MEMORY;

	if (alignment != NULL)
		alignment->fates = km_alloc(a->host,
									(size_t) a->model->k + a->old->k,
									sizeof(KmFate));
	if (alignment != NULL && alignment->fates != NULL && ids != NULL)
		status = give_ids(a, alignment, ids);
	if (status == KM_OK)
		status = tell_fates(a, alignment, ids);
	km_free(a->host, ids);
	if (status == KM_OK)
		*result = alignment;
	else
		km_alignment_free(a->host, alignment);
	return status;
}

/* ---- the whole ---- */

KmStatus
km_align(const KmHost *host, const KmModel *model, const KmModel *old,
		 size_t limit, KmAlignment **result)
{
	Align		a = {
		.host = host,
		.model = model,
		.old = old,
		.limit = limit,
		.poll = {host, 0}
	};
	KmStatus	status = km_mutual_create(&a.poll, old, model, old, &a.at);

	if (status == KM_OK)
		status = find_bounds(&a);
	if (status == KM_OK)
		status = find_pairs(&a);
	if (status == KM_OK)
		status = match_segments(&a);
	if (status == KM_OK)
		status = describe_alignment(&a, result);
	km_mutual_clear(host, &a.at);
	km_mutual_clear(host, &a.own);
	km_free(host, a.bound);
	km_free(host, a.costs.first);
	km_free(host, a.costs.column);
	km_free(host, a.costs.cost);
	km_free(host, a.old_of);
	km_free(host, a.new_of);
	return status;
}

void
km_alignment_free(const KmHost *host, KmAlignment *alignment)
{
	if (alignment == NULL)
		return;
	km_free(host, alignment->fates);
	km_free(host, alignment);
}

/* Rows of a matrix with one row a segment, in the alignment's order. */
static void
sort_rows(const KmAlignment *alignment, void *rows, void *room, size_t size)
{
	int			to = 0;

	for (int i = 0; i < alignment->n; i++)
	{
		if (alignment->fates[i].segment >= 0)
			memcpy((char *) room + size * to++,
				   (char *) rows + size * alignment->fates[i].segment, size);
	}
	memcpy(rows, room, size * to);
}

KmStatus
km_alignment_apply(const KmHost *host, KmAlignment *alignment,
				   KmModel *model)
{
	size_t		row = sizeof(double) * model->width;
	void	   *room = km_alloc(host, model->k, row > sizeof(KmSegment) ?
								row : sizeof(KmSegment));
	int			to = 0;

	if (room == NULL)
		return KM_NO_MEMORY;
	sort_rows(alignment, model->segments, room, sizeof(KmSegment));
	sort_rows(alignment, model->centers, room, row);
	if (model->means != NULL)
		sort_rows(alignment, model->means, room, row);
	km_free(host, room);
	for (int i = 0; i < alignment->n; i++)
	{
		KmFate	   *fate = &alignment->fates[i];

		if (fate->segment < 0)
			continue;
		model->segments[to].id = fate->id;
		fate->segment = to++;
	}
	model->last_id = alignment->last_id;
	return KM_OK;
}

/*
 * reference.c
 *		How inertia falls with k in data like the rows, but without groups.
 *
 * Any cloud of rows loses inertia when it is cut into more pieces, and some
 * shapes fall into some numbers of pieces very well: a square into four.  So
 * a drop says something only beside the drop of data that has no groups
 * (Tibshirani, Walther, Hastie, "Estimating the number of clusters in a data
 * set via the gap statistic", 2001).  Theirs is uniform in a box, which calls
 * every skewed or heavy-tailed column a group.  Here each column keeps its
 * shape as far as a single hump can have it (the unimodal distribution
 * nearest to it, as in Hartigan, Hartigan, "The dip test of unimodality",
 * 1985), columns keep their rank correlations, and nothing else remains:
 *
 *	- each value of the source rows becomes the normal score of its rank;
 *	- a reference row is a sum of source rows' scores with random signs,
 *	  which has their covariance and, by the central limit, no groups;
 *	- its ranks in each column are turned into values of that column.
 *
 * Categories are drawn by their shares, each feature by itself.  Everything
 * follows from the fit's sample and the seed.
 */
#include <math.h>
#include <string.h>

#include "crew.h"
#include "fit.h"

/*
 * Rows of the sample that columns are described by; fewer when there are very
 * many features.
 */
#define SOURCE_ROWS		4000
#define SOURCE_CELLS	(1000 * 1000)

/*
 * Source rows that a reference row is a sum of: enough for their covariance,
 * roughly where there are so many columns that no single one matters.
 */
#define MIX_ROWS		512
#define MIX_ROWS_LEAST	128
#define MIX_CELLS		(MIX_ROWS * 64)

/* rows of a reference: the drops of more differ by less than these vary */
#define REFERENCE_ROWS	1000

/* columns of up to so many different values keep their shares: yes and no */
#define FEW_VALUES		2

/* humps are tried at so many quantiles */
#define HUMPS			32

/*
 * Swaps in a row that may fail: a mean of drops does not need the very best
 * solutions.  Chains: the one that splits the solution before is good with
 * more segments, but two of a square's corners lie badly from its middle.
 */
#define FAILURES		5
#define CHAINS_FEW		3
#define FEW_SEGMENTS	5

/* inertia below this share of all is as good as none */
#define NOTHING			1e-6

typedef struct Point
{
	double		share;			/* of the rows up to here */
	double		value;
} Point;

/* A numeric column's quantiles: lines between points. */
typedef struct Column
{
	int			n;
	Point	   *points;
} Column;

typedef struct Source
{
	/* set once */
	KmFit	   *fit;
	int			nrows;
	int			mixed;			/* of these, in a row of a reference */
	double	   *weight;			/* of each source row */
	double	   *scores;			/* nrows x nnum */
	Column	   *columns;		/* nnum */
	double	  **shares;			/* ncat: cumulated share of each category */
	/* scratch, room for the longer of source and reference, or a row */
	double	   *keys;
	int		   *order;
	int		   *spare;
	Point	   *points;
	int		   *hull;
	double	   *scratch;
} Source;

/* ---- sorting ---- */

/* order[0 .. n - 1]: keys rising, equal ones as they stand */
static KmStatus
sort_order(Source *source, const double *keys, int n)
{
	int		   *from = source->order;
	int		   *to = source->spare;

	for (int i = 0; i < n; i++)
		from[i] = i;
	for (int run = 1; run < n; run *= 2)
	{
		int		   *swap = from;

		for (int first = 0; first < n; first += 2 * run)
		{
			int			middle = first + run < n ? first + run : n;
			int			end = middle + run < n ? middle + run : n;
			int			a = first;
			int			b = middle;

			for (int i = first; i < end; i++)
			{
				if (b >= end || (a < middle &&
								 keys[from[a]] <= keys[from[b]]))
					to[i] = from[a++];
				else
					to[i] = from[b++];
			}
		}
		from = to;
		to = swap;
		if (!km_poll(&source->fit->poll, 4.0 * n))
			return KM_CANCELLED;
	}
	source->order = from;
	source->spare = to;
	return KM_OK;
}

/* ---- normal scores ---- */

/*
 * Quantile of the standard normal distribution, to 1e-9 (Acklam's rational
 * approximation).
 */
static double
normal_quantile(double p)
{
	double		tail = p < 0.5 ? p : 1 - p;
	double		x;

	if (tail < 0.02425)
	{
		double		q = sqrt(-2 * km_log(tail));

		x = (((((-7.784894002430293e-03 * q - 3.223964580411365e-01) * q -
				2.400758277161838e+00) * q - 2.549732539343734e+00) * q +
			  4.374664141464968e+00) * q + 2.938163982698783e+00) /
			((((7.784695709041462e-03 * q + 3.224671290700398e-01) * q +
			   2.445134137142996e+00) * q + 3.754408661907416e+00) * q + 1);
		return p < 0.5 ? x : -x;
	}
	else
	{
		double		q = p - 0.5;
		double		r = q * q;

		return (((((-3.969683028665376e+01 * r + 2.209460984245205e+02) * r -
				   2.759285104469687e+02) * r + 1.383577518672690e+02) * r -
				 3.066479806614716e+01) * r + 2.506628277459239e+00) * q /
			(((((-5.447609879822406e+01 * r + 1.615858368580409e+02) * r -
				1.556989798598866e+02) * r + 6.680131188771972e+01) * r -
			  1.328068155288572e+01) * r + 1);
	}
}

/* ---- a column with a single hump ---- */

/*
 * Convex (sign 1) or concave (-1) hull of points first .. last, seen from
 * below or above: the indices on it, and how many.  Shares over values.
 */
static int
find_hull(const Point *p, int first, int last, double sign, int *hull)
{
	int			n = 0;

	for (int i = first; i <= last; i++)
	{
		while (n >= 2)
		{
			const Point *a = &p[hull[n - 2]];
			const Point *b = &p[hull[n - 1]];
			double		turn = (b->share - a->share) *
				(p[i].value - b->value) -
				(p[i].share - b->share) * (b->value - a->value);

			if (sign * turn < 0)
				break;
			n--;
		}
		hull[n++] = i;
	}
	return n;
}

/* The largest distance between a hull and the points it spans. */
static double
hull_distance(const Point *p, const int *hull, int n)
{
	double		most = 0;

	for (int h = 1; h < n; h++)
	{
		const Point *a = &p[hull[h - 1]];
		const Point *b = &p[hull[h]];
		double		slope = (b->share - a->share) / (b->value - a->value);

		for (int i = hull[h - 1] + 1; i < hull[h]; i++)
		{
			double		d = fabs(a->share + slope * (p[i].value - a->value) -
								 p[i].share);

			most = d > most ? d : most;
		}
	}
	return most;
}

/*
 * The distribution with one hump nearest to n points of a cumulated
 * distribution: convex up to the hump, concave after it.
 */
static KmStatus
find_hump(Source *source, const Point *points, int n, Column *column)
{
	int		   *hull = source->hull;
	double		least = INFINITY;
	int			best = 0;
	int			at = 0;
	int			last = -1;
	int			left;

	for (int h = 0; h <= HUMPS; h++)
	{
		double		d;
		double		d2;

		while (at < n - 1 && points[at].share < (double) h / HUMPS)
			at++;
		if (at == last)
			continue;
		last = at;
		d = hull_distance(points, hull, find_hull(points, 0, at, 1, hull));
		d2 = hull_distance(points, hull,
						   find_hull(points, at, n - 1, -1, hull));
		d = d > d2 ? d : d2;
		if (d < least)
		{
			least = d;
			best = at;
		}
		if (!km_poll(&source->fit->poll, 10.0 * n))
			return KM_CANCELLED;
	}

	left = find_hull(points, 0, best, 1, hull);
	/* the hump itself ends the one and begins the other */
	column->n = left + find_hull(points, best, n - 1, -1, hull + left) - 1;
	column->points = km_alloc(source->fit->host, column->n, sizeof(Point));
	if (column->points == NULL)
		return KM_NO_MEMORY;
	for (int i = 0; i < column->n; i++)
		column->points[i] = points[hull[i < left ? i : i + 1]];
	return KM_OK;
}

/* Two values keep their shares: a step. */
static KmStatus
keep_shares(Source *source, const Point *points, int n, double below,
			Column *column)
{
	column->points = km_alloc(source->fit->host, 2 * n, sizeof(Point));
	if (column->points == NULL)
		return KM_NO_MEMORY;
	column->n = 2 * n;
	for (int i = 0; i < n; i++)
	{
		column->points[2 * i].share = i == 0 ? 0 : below;
		column->points[2 * i].value = points[i].value;
		column->points[2 * i + 1].share = i == n - 1 ? 1 : below;
		column->points[2 * i + 1].value = points[i].value;
	}
	return KM_OK;
}

/* Quantiles and scores of one numeric slot, whose values are in keys. */
static KmStatus
describe_column(Source *source, int slot)
{
	const double *x = source->keys;
	int			nnum = source->fit->space.nnum;
	int			n = source->nrows;
	Point	   *points = source->points;
	double		total = 0;
	double		below = 0;
	double		first_share = 0;
	double		sum = 0;
	double		squares = 0;
	int			npoints = 0;

	KM_TRY(sort_order(source, x, n));
	for (int i = 0; i < n; i++)
		total += source->weight[i];
	for (int i = 0, end; i < n; i = end)
	{
		double		here = 0;
		double		score;

		for (end = i; end < n && x[source->order[end]] == x[source->order[i]];
			 end++)
			here += source->weight[source->order[end]];
		points[npoints].value = x[source->order[i]];
		points[npoints].share = (below + here / 2) / total;
		score = normal_quantile(points[npoints].share);
		if (npoints == 0)
			first_share = here / total;
		npoints++;
		below += here;
		sum += here * score;
		squares += here * score * score;
		for (int j = i; j < end; j++)
			source->scores[(size_t) source->order[j] * nnum + slot] = score;
	}

	/* ties pull scores from mean 0 and variance 1 */
	sum /= total;
	squares = sqrt(squares / total - sum * sum);
	for (int i = 0; i < n; i++)
	{
		double	   *score = &source->scores[(size_t) i * nnum + slot];

		*score = npoints > 1 ? (*score - sum) / squares : 0;
	}
	if (npoints <= FEW_VALUES)
		return keep_shares(source, points, npoints, first_share,
						   &source->columns[slot]);
	return find_hump(source, points, npoints, &source->columns[slot]);
}

/* Cumulated shares of a category's values. */
static KmStatus
describe_category(Source *source, int cat)
{
	const KmSample *sample = &source->fit->sample;
	const KmSpace *space = &source->fit->space;
	int			n = space->ncategories[cat];
	double	   *shares = km_alloc_zero(source->fit->host, n, sizeof(double));
	double		total = 0;

	source->shares[cat] = shares;
	if (shares == NULL)
		return KM_NO_MEMORY;
	for (int i = 0; i < source->nrows; i++)
		shares[(int) *km_cell(&sample->table, sample->table.blocks, i,
							  space->nnum + cat)] += source->weight[i];
	for (int v = 0; v < n; v++)
	{
		total += shares[v];
		shares[v] = total;
	}
	for (int v = 0; v < n; v++)
		shares[v] /= total;
	return km_poll(&source->fit->poll, 2.0 * source->nrows + n) ? KM_OK :
		KM_CANCELLED;
}

/* ---- the source ---- */

static void
free_source(Source *source)
{
	const KmHost *host = source->fit->host;
	const KmSpace *space = &source->fit->space;

	for (int s = 0; source->columns != NULL && s < space->nnum; s++)
		km_free(host, source->columns[s].points);
	for (int c = 0; source->shares != NULL && c < space->ncat; c++)
		km_free(host, source->shares[c]);
	km_free(host, source->columns);
	km_free(host, source->shares);
	km_free(host, source->weight);
	km_free(host, source->scores);
	km_free(host, source->keys);
	km_free(host, source->order);
	km_free(host, source->spare);
	km_free(host, source->points);
	km_free(host, source->hull);
	km_free(host, source->scratch);
}

/*
 * Weights of the first rows of the sample, as if it held no more: the rows
 * beyond are left out, so the chance to be in is lower (sample.c).
 */
static void
weigh_rows(Source *source)
{
	const KmFit *fit = source->fit;
	const KmSample *sample = &fit->sample;
	bool		part = source->nrows < sample->distinct;
	double		half = fit->spread > 0 ? 0.5 / fit->spread : 0;
	double		threshold = INFINITY;

	if (part)
		threshold = km_uniform(sample->hash[source->nrows]) /
			(half > 0 ? 0.5 + half * sample->norm[source->nrows] : 1);
	for (int i = 0; i < source->nrows; i++)
	{
		double		chance = threshold *
			(half > 0 ? 0.5 + half * sample->norm[i] : 1);

		source->weight[i] = *km_cell(&sample->table, sample->table.blocks, i,
									 sample->table.weight_slot);
		/* the weights of a true sample are by their own threshold already */
		if (part && sample->complete && chance < 1)
			source->weight[i] /= chance;
	}
}

static KmStatus
create_source(KmFit *fit, int reference_rows, Source *source)
{
	const KmHost *host = fit->host;
	const KmSpace *space = &fit->space;
	int64_t		want = SOURCE_CELLS / space->nfeatures;
	size_t		room;

	memset(source, 0, sizeof(*source));
	source->fit = fit;
	want = want < SOURCE_ROWS ? want : SOURCE_ROWS;
	source->nrows = (int) (want < fit->sample.distinct ? want :
						   fit->sample.distinct);
	source->mixed = MIX_CELLS / (space->nnum > 0 ? space->nnum : 1);
	source->mixed = source->mixed > MIX_ROWS ? MIX_ROWS :
		source->mixed < MIX_ROWS_LEAST ? MIX_ROWS_LEAST : source->mixed;
	if (source->mixed > source->nrows)
		source->mixed = source->nrows;
	room = source->nrows > reference_rows ? source->nrows : reference_rows;
	if (room < (size_t) space->nnum)
		room = space->nnum;
	source->weight = km_alloc(host, source->nrows, sizeof(double));
	source->scores = km_alloc(host, (size_t) source->nrows *
							  (space->nnum > 0 ? space->nnum : 1),
							  sizeof(double));
	source->columns = km_alloc_zero(host, space->nnum, sizeof(Column));
	source->shares = km_alloc_zero(host, space->ncat, sizeof(double *));
	source->keys = km_alloc(host, room, sizeof(double));
	source->order = km_alloc(host, room, sizeof(int));
	source->spare = km_alloc(host, room, sizeof(int));
	source->points = km_alloc(host, room, sizeof(Point));
	source->hull = km_alloc(host, room + 1, sizeof(int));
	source->scratch = km_alloc(host, room + 1, sizeof(double));
	if (source->weight == NULL || source->scores == NULL ||
		source->columns == NULL || source->shares == NULL ||
		source->keys == NULL || source->order == NULL ||
		source->spare == NULL || source->points == NULL ||
		source->hull == NULL || source->scratch == NULL)
		return KM_NO_MEMORY;

	weigh_rows(source);
	for (int s = 0; s < space->nnum; s++)
	{
		for (int i = 0; i < source->nrows; i++)
			source->keys[i] = *km_cell(&fit->sample.table,
									   fit->sample.table.blocks, i, s);
		KM_TRY(describe_column(source, s));
	}
	for (int c = 0; c < space->ncat; c++)
		KM_TRY(describe_category(source, c));
	return KM_OK;
}

/* ---- a reference ---- */

/* a stream of random numbers: hash is unlike for each number */
static inline uint64_t
next_hash(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	return km_mix(*state);
}

/* Sums of scores with random signs, for the rows of a reference. */
static KmStatus
mix_scores(Source *source, uint64_t *state, int first, KmTable *table)
{
	int			nnum = source->fit->space.nnum;
	int			n = source->mixed;

	for (int i = 0; i < table->nrows; i++)
	{
		double	   *sums = source->scratch;
		uint64_t	bits = 0;

		for (int j = 0; j < n; j++)
		{
			int			row = (first + j) % source->nrows;
			const double *score = source->scores + (size_t) row * nnum;
			double		factor = source->keys[j];

			if (j % 64 == 0)
				bits = next_hash(state);
			factor = bits & 1 ? factor : -factor;
			bits >>= 1;
			for (int s = 0; s < nnum; s++)
				sums[s] = (j == 0 ? 0 : sums[s]) + factor * score[s];
		}
		for (int s = 0; s < nnum; s++)
			*km_cell(table, table->blocks, i, s) = sums[s];
		if (!km_poll(&source->fit->poll, (double) n * nnum))
			return KM_CANCELLED;
	}
	return KM_OK;
}

/*
 * Replace a column's sums by values: ranks take the order statistics of
 * uniform draws, and these the column's quantiles.
 */
static KmStatus
make_column(Source *source, uint64_t *state, int slot, KmTable *table)
{
	const KmFit *fit = source->fit;
	const Column *column = &source->columns[slot];
	const KmFeature *feature = &fit->features[fit->space.feature[slot]];
	int			n = (int) table->nrows;
	double		total = 0;
	double		at = 0;
	int			p = 0;

	for (int i = 0; i < n; i++)
		source->keys[i] = *km_cell(table, table->blocks, i, slot);
	KM_TRY(sort_order(source, source->keys, n));
	for (int i = 0; i <= n; i++)
	{
		source->scratch[i] = -km_log(km_uniform(next_hash(state)));
		total += source->scratch[i];
	}
	for (int i = 0; i < n; i++)
	{
		const Point *a;
		const Point *b;
		double		x;

		at += source->scratch[i] / total;
		while (p < column->n - 1 && column->points[p + 1].share <= at)
			p++;
		a = &column->points[p];
		b = p + 1 < column->n ? a + 1 : a;
		x = a->value;
		if (b->share > a->share && at > a->share)
			x += (b->value - a->value) *
				((at - a->share) / (b->share - a->share));
		*km_cell(table, table->blocks, source->order[i], slot) =
			fit->space.cosine ? x : km_round_to_grid(x, feature->grid);
	}
	return km_poll(&source->fit->poll, 20.0 * n) ? KM_OK : KM_CANCELLED;
}

static KmStatus
draw_categories(const Source *source, uint64_t *state, KmTable *table)
{
	const KmSpace *space = &source->fit->space;

	for (int c = 0; c < space->ncat; c++)
	{
		const double *shares = source->shares[c];

		for (int i = 0; i < table->nrows; i++)
		{
			double		u = km_uniform(next_hash(state));
			int			low = 0;
			int			high = space->ncategories[c] - 1;

			while (low < high)
			{
				int			middle = (low + high) / 2;

				if (shares[middle] < u)
					low = middle + 1;
				else
					high = middle;
			}
			*km_cell(table, table->blocks, i, space->nnum + c) = low;
		}
		if (!km_poll(&source->fit->poll, 20.0 * (double) table->nrows))
			return KM_CANCELLED;
	}
	return KM_OK;
}

/* What a search wants to know of its rows, all of them new. */
static KmStatus
finish_sample(const Source *source, uint64_t *state, KmSample *sample)
{
	const KmSpace *space = &source->fit->space;
	KmTable    *table = &sample->table;
	int			n = (int) table->nrows;

	sample->hash = km_alloc(source->fit->host, n, sizeof(uint64_t));
	sample->norm = km_alloc(source->fit->host, n, sizeof(double));
	if (sample->hash == NULL || sample->norm == NULL)
		return KM_NO_MEMORY;
	sample->complete = true;
	sample->distinct = n;
	sample->weight = n;
	for (int i = 0; i < n; i++)
	{
		double	   *lane = km_cell(table, table->blocks, i, 0);
		double		norm = 0;

		if (space->cosine)
			(void) km_normalize(lane, KM_LANES, space->nnum);
		for (int s = 0; s < space->nnum; s++)
			norm += lane[s * KM_LANES] * lane[s * KM_LANES];
		for (int c = 0; c < space->ncat; c++)
			norm += space->factor[c] * space->factor[c];
		lane[table->weight_slot * KM_LANES] = 1;
		sample->hash[i] = next_hash(state);
		sample->norm[i] = norm;
		sample->squares += norm;
	}
	return KM_OK;
}

static KmStatus
make_reference(Source *source, int which, int nrows, KmSample *sample)
{
	const KmFit *fit = source->fit;
	uint64_t	state = km_mix(fit->options.seed + km_mix((uint64_t) which));
	KmTable		layout = fit->sample.table;
	int			n = source->mixed;
	int			first = which * source->mixed % source->nrows;
	double		total = 0;

	memset(sample, 0, sizeof(*sample));
	KM_TRY(km_table_clone(&layout, nrows, &sample->table));
	for (int j = 0; j < n; j++)
		total += source->weight[(first + j) % source->nrows];
	for (int j = 0; j < n; j++)
		source->keys[j] = sqrt(source->weight[(first + j) % source->nrows] /
							   total);
	if (fit->space.nnum > 0)
		KM_TRY(mix_scores(source, &state, first, &sample->table));
	for (int s = 0; s < fit->space.nnum; s++)
		KM_TRY(make_column(source, &state, s, &sample->table));
	KM_TRY(draw_categories(source, &state, &sample->table));
	return finish_sample(source, &state, sample);
}

/* ---- drops ---- */

double
km_drop(double before, double after, double total)
{
	double		least = total * NOTHING;

	before = before > least ? before : least;
	after = after > least ? after : least;
	return after < before ? -km_log(after / before) : 0;
}

/* Inertia of a reference for each k from first on, then its drops. */
static KmStatus
measure_drops(const Source *source, KmSample *sample, int which,
			  int first, int n, double *drops)
{
	KmFit	   *fit = source->fit;
	KmOptions	options = fit->options;
	double		total = 0;
	double		before = 0;
	KmPool		pool;
	double	   *previous = km_alloc(fit->host, (size_t) (first + n - 1) *
									fit->space.width, sizeof(double));
	KmStatus	status;

	if (previous == NULL)
		return KM_NO_MEMORY;
	options.failures = FAILURES;
	options.seed = km_mix(fit->options.seed ^ km_mix(~(uint64_t) which));
	status = km_pool_create(&fit->space, first + n - 1, &pool);
	for (int i = 0; i < n && status == KM_OK; i++)
	{
		pool.n = 0;
		options.n_init = first + i < FEW_SEGMENTS ? CHAINS_FEW : 1;
		status = km_search(sample, &fit->space, &fit->poll, &options, first + i,
						   i == 0 ? NULL : previous,
						   first + i - 1, &pool);
		if (status != KM_OK)
			break;
		/* counted from the first k: what matters is what is next to nothing */
		if (i == 0)
			total = pool.inertia[0];
		else
			drops[i] = km_drop(before, pool.inertia[0], total);
		before = pool.inertia[0];
		memcpy(previous, pool.centers[0],
			   sizeof(double) * (first + i) * fit->space.width);
	}
	km_pool_clear(&fit->space, &pool);
	km_free(fit->host, previous);
	return status;
}

/* ---- references, made by whoever is free ---- */

/* Each reference is an item. */
typedef struct ReferenceTask
{
	KmTask		task;
	/* set once: what is looked at of a fit */
	KmOptions	options;
	double		spread;
	int			first;
	int			n;
	int			references;
	int			nrows;			/* of a reference */
	KmHandle	sample;
	/* offsets */
	size_t		space;
	size_t		drops;			/* references x n */
} ReferenceTask;

static KmStatus
measure_references(ReferenceTask *task, KmFit *fit)
{
	double	   *drops = (double *) ((char *) task + task->drops);
	Source		source;
	KmStatus	status = KM_OK;
	int64_t		b = km_task_take(&task->task, task->references);

	if (b < 0)
		return KM_OK;
	status = create_source(fit, task->nrows, &source);
	for (; b >= 0 && status == KM_OK;
		 b = km_task_take(&task->task, task->references))
	{
		KmSample	sample;

		km_report(fit->host, KM_PHASE_REFERENCE, b + 1, task->references);
		status = make_reference(&source, (int) b, task->nrows, &sample);
		if (status == KM_OK)
			status = measure_drops(&source, &sample, (int) b, task->first,
								   task->n, drops + b * task->n);
		km_sample_clear(fit->host, &sample);
	}
	free_source(&source);
	return status;
}

/* What of a fit a member's part looks at; it has no more. */
static void
part_fit(const ReferenceTask *task, KmMember *part, KmFit *fit)
{
	fit->host = &part->host;
	fit->poll = part->poll;
	fit->options = task->options;
	fit->spread = task->spread;
	fit->features = fit->space.features;
	fit->space.host = &part->host;
	fit->sample.table.host = &part->host;
}

KmStatus
km_help_references(KmMember *part, void *input)
{
	ReferenceTask *task = input;
	KmFit		fit = {0};
	KmBlock		block;

	/* one who does not see it takes no item, and nobody misses him */
	if (km_sample_see(part->of, &part->host, task->sample, &fit.sample,
					  &block) != KM_OK)
		return KM_OK;
	km_space_see(&part->host, task, task->space, &fit.space);
	part_fit(task, part, &fit);
	return measure_references(task, &fit);
}

static ReferenceTask *
create_task(KmFit *fit, int first, int n, int references, int others,
			KmHandle *handle)
{
	size_t		end = sizeof(ReferenceTask);
	ReferenceTask layout = {0};
	ReferenceTask *task;

	layout.options = fit->options;
	layout.spread = fit->spread;
	layout.first = first;
	layout.n = n;
	layout.references = references;
	layout.nrows = fit->table->nrows < REFERENCE_ROWS ?
		(int) fit->table->nrows : REFERENCE_ROWS;
	layout.sample = fit->sample.shared;
	layout.space = km_space_lay(&end, &fit->space);
	layout.drops = km_lay(&end, (size_t) references * n, sizeof(double));
	task = km_task_create(fit->host, others, end, handle);
	if (task == NULL)
		return NULL;
	*task = layout;
	km_space_put(task, task->space, &fit->space);
	return task;
}

KmStatus
km_reference_drops(KmFit *fit, int first, int n, int references,
				   double *drops)
{
	const KmHost *host = fit->host;
	double		work = (double) references * REFERENCE_ROWS *
		fit->space.nfeatures * (MIX_ROWS + n * (first + n / 2.0) * 50);
	int			others = km_crew_others(host, work, work);
	ReferenceTask *task = NULL;
	KmFit		own = {0};
	KmHandle	handle;
	KmMember	part;
	KmStatus	status;

	if (others > 0 && km_sample_share(&fit->sample) != 0)
		task = create_task(fit, first, n, references, others, &handle);
	if (task == NULL)
		task = create_task(fit, first, n, references, 0, &handle);
	if (task == NULL)
		return KM_NO_MEMORY;
	if (handle != 0)
		host->crew->call(host->crew->arg, KM_TASK_REFERENCES, handle);
	km_member_begin(&part, host, &fit->poll, &task->task);
	own.sample = fit->sample;
	own.space = fit->space;
	part_fit(task, &part, &own);
	status = measure_references(task, &own);
	part.poll.work = own.poll.work;
	km_member_end(&part, status);
	if (handle != 0)
		host->crew->wait(host->crew->arg);
	status = (KmStatus) atomic_load(&task->task.status);
	if (status == KM_OK)
		memcpy(drops, (char *) task + task->drops,
			   sizeof(double) * references * n);
	km_task_free(host, task, handle);
	return status;
}

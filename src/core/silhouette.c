/*
 * silhouette.c
 *		Silhouettes (Rousseeuw, "Silhouettes: a graphical aid to the
 *		interpretation and validation of cluster analysis", 1987).
 *
 * Every pair of rows is measured, but no distance is kept: for a group of
 * rows the distances to all others are added up by the others' segments.
 * Several segmentations share the distances, which are most of the work.
 * Each row's sums run over the rows in the draw's order, so neither the width
 * of the vectors nor what else is computed along changes a bit.
 */
#include <math.h>
#include <string.h>

#include "km_internal.h"

/* segments of the segmentations worked on together: sums stay in the cache */
#define TOGETHER_MAX	4096

/* One segmentation. */
typedef struct Labeling
{
	int			k;
	const uint16_t *labels;
	int32_t		first;			/* its first segment among all */
	int64_t    *count;			/* rows in each segment */
	bool		is_defined;
	double		sum;			/* of silhouettes */
	double	   *segment_sum;	/* of each segment's */
} Labeling;

typedef struct Silhouettes
{
	const KmDraw *draw;
	const KmSpace *space;
	KmPoll	   *poll;
	KmPairs		pairs;
	int			n;				/* segmentations in this batch */
	Labeling   *labelings;
	double	   *rows;			/* values of a group, slot by slot, and
								 * scratch for one more slot */
	double	   *sums;			/* all segments x KM_PAIR_ROWS */
	size_t		nsums;
	int32_t    *targets;		/* of a tile's rows, see KmPairs */
} Silhouettes;

/* rows of each segment, and whether there is a silhouette at all */
static void
count_rows(const KmDraw *draw, Labeling *labeling)
{
	int			nonempty = 0;

	for (int64_t i = 0; i < draw->table.nrows; i++)
		labeling->count[labeling->labels[i]] += draw->multiplicity[i];
	for (int c = 0; c < labeling->k; c++)
		nonempty += labeling->count[c] > 0;
	labeling->is_defined = nonempty >= 2 && nonempty < draw->total;
}

/* The group's values slot by slot; rows that it lacks are 0. */
static void
load_group(Silhouettes *s, int64_t first)
{
	const KmTable *table = &s->draw->table;
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
	const KmTable *table = &s->draw->table;
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
					(s->labelings[j].first + s->labelings[j].labels[row + l]);
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

/* Silhouette of a row whose distances stand in sums, KM_PAIR_ROWS apart. */
static double
row_silhouette(const Labeling *labeling, int own, const double *sums)
{
	double		a;
	double		b = INFINITY;

	/* alone in its segment, by definition */
	if (labeling->count[own] == 1)
		return 0;
	/* the row's distance to itself is 0: it is left out by the count alone */
	a = sums[(size_t) own * KM_PAIR_ROWS] /
		(double) (labeling->count[own] - 1);
	for (int c = 0; c < labeling->k; c++)
	{
		double		mean;

		if (c == own || labeling->count[c] == 0)
			continue;
		mean = sums[(size_t) c * KM_PAIR_ROWS] / (double) labeling->count[c];
		b = mean < b ? mean : b;
	}
	if (a == b)
		return 0;
	return (b - a) / (a > b ? a : b);
}

/* Add the group's silhouettes to what is known. */
static KmStatus
settle_group(Silhouettes *s, int64_t first)
{
	const KmDraw *draw = s->draw;

	for (int j = 0; j < s->n; j++)
	{
		Labeling   *labeling = &s->labelings[j];
		const double *sums = s->sums +
			(size_t) labeling->first * KM_PAIR_ROWS;

		if (!labeling->is_defined)
			continue;
		for (int l = 0; l < KM_PAIR_ROWS && first + l < draw->table.nrows; l++)
		{
			int			own = labeling->labels[first + l];
			double		part = row_silhouette(labeling, own, sums + l) *
				(double) draw->multiplicity[first + l];

			labeling->sum += part;
			labeling->segment_sum[own] += part;
			if (!km_poll(s->poll, labeling->k))
				return KM_CANCELLED;
		}
	}
	return KM_OK;
}

static KmStatus
measure_groups(Silhouettes *s)
{
	for (int64_t row = 0; row < s->draw->table.nrows; row += KM_PAIR_ROWS)
	{
		km_report(s->space->host, KM_PHASE_SILHOUETTE, row,
				  s->draw->table.nrows);
		load_group(s, row);
		KM_TRY(sum_group(s));
		KM_TRY(settle_group(s, row));
	}
	return KM_OK;
}

/* ---- a batch of segmentations ---- */

static KmStatus
begin_batch(Silhouettes *s, const int *k, const uint16_t *const *labels)
{
	const KmHost *host = s->space->host;
	int32_t		total = 0;

	s->labelings = km_alloc_zero(host, s->n, sizeof(Labeling));
	if (s->labelings == NULL)
		return KM_NO_MEMORY;
	for (int j = 0; j < s->n; j++)
	{
		Labeling   *labeling = &s->labelings[j];

		labeling->k = k[j];
		labeling->labels = labels[j];
		labeling->first = total;
		labeling->count = km_alloc_zero(host, k[j], sizeof(int64_t));
		labeling->segment_sum = km_alloc_zero(host, k[j], sizeof(double));
		if (labeling->count == NULL || labeling->segment_sum == NULL)
			return KM_NO_MEMORY;
		count_rows(s->draw, labeling);
		total += k[j];
	}
	s->nsums = (size_t) total * KM_PAIR_ROWS;
	s->sums = km_alloc(host, s->nsums, sizeof(double));
	s->targets = km_alloc(host, (size_t) s->n * KM_LANES, sizeof(int32_t));
	s->rows = km_alloc(host, ((size_t) s->space->nfeatures + 1) * KM_PAIR_ROWS,
					   sizeof(double));
	return s->sums == NULL || s->targets == NULL || s->rows == NULL ?
		KM_NO_MEMORY : KM_OK;
}

static void
end_batch(Silhouettes *s)
{
	const KmHost *host = s->space->host;

	for (int j = 0; j < s->n && s->labelings != NULL; j++)
	{
		km_free(host, s->labelings[j].count);
		km_free(host, s->labelings[j].segment_sum);
	}
	km_free(host, s->labelings);
	km_free(host, s->sums);
	km_free(host, s->targets);
	km_free(host, s->rows);
}

static void
take_results(const Silhouettes *s, double *overall, double **per_segment)
{
	for (int j = 0; j < s->n; j++)
	{
		const Labeling *labeling = &s->labelings[j];

		overall[j] = labeling->is_defined ?
			labeling->sum / (double) s->draw->total : NAN;
		for (int c = 0; c < labeling->k && per_segment != NULL; c++)
			per_segment[j][c] = labeling->is_defined &&
				labeling->count[c] > 0 ?
				labeling->segment_sum[c] / (double) labeling->count[c] : NAN;
	}
}

static bool
any_defined(const Silhouettes *s)
{
	bool		any = false;

	for (int j = 0; j < s->n; j++)
		any |= s->labelings[j].is_defined;
	return any;
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
	KmStatus	status = KM_OK;

	for (int first = 0; first < nlabelings && status == KM_OK;)
	{
		Silhouettes s = {0};

		s.draw = draw;
		s.space = space;
		s.poll = poll;
		s.pairs = km_pairs_kernel(simd);
		s.n = batch_size(k + first, nlabelings - first);
		status = begin_batch(&s, k + first, labels + first);
		if (status == KM_OK && any_defined(&s))
			status = measure_groups(&s);
		if (status == KM_OK)
			take_results(&s, overall + first,
						 per_segment == NULL ? NULL : per_segment + first);
		end_batch(&s);
		first += s.n;
	}
	return status;
}

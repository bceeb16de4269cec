/*
 * subset.c
 *		Rows of a fit that stand for all of them, and a fit of these.
 *
 * What takes long over all rows and need not be exact (an elbow to look at,
 * where bins meet) is asked of some thousand rows.  Positions are taken over
 * as they are, so distances are those of the whole.  Copies of a row are rows
 * again.
 *
 * The search's sample is there already.  Its rows weigh what they stand for,
 * so a walk along their weights in equal steps comes upon each row of the
 * data with the same chance (systematic sampling; Madow, On the theory of
 * systematic sampling, 1949): no pass over the data.  Where it has too few
 * rows for that, or weights mean something else, rows are drawn (draw.c).
 */
#include "fit.h"

/* rows that the sample must have for each that is picked from it */
#define SAMPLE_PER_PICK		2

/* weights: of each of the table's rows */
static KmStatus
walk(const KmFit *fit, const KmTable *table, const int64_t *weights,
	 int64_t want, KmPicked *picked)
{
	KmWide		total = 0;
	KmWide		seen = 0;
	int64_t		n = 0;

	picked->table = table;
	picked->rows = km_alloc(fit->host, (size_t) want, sizeof(int64_t));
	if (picked->rows == NULL)
		return KM_NO_MEMORY;
	for (int64_t i = 0; i < table->nrows; i++)
		total += weights[i];
	for (int64_t i = 0; i < table->nrows; i++)
	{
		/* for so much of the weight, so many of the rows */
		seen += weights[i];
		while (n < (int64_t) (seen * want / total))
			picked->rows[n++] = i;
	}
	picked->n = n;
	return KM_OK;
}

static KmStatus
pick_from_sample(const KmFit *fit, int64_t want, KmPicked *picked)
{
	const KmTable *table = &fit->sample.table;
	int64_t    *weights = km_alloc(fit->host, (size_t) table->nrows,
								   sizeof(int64_t));
	KmStatus	status;

	if (weights == NULL)
		return KM_NO_MEMORY;
	for (int64_t i = 0; i < table->nrows; i++)
		weights[i] = km_row_weight(table, km_find_row(table, i));
	status = walk(fit, table, weights, want, picked);
	km_free(fit->host, weights);
	return status;
}

static KmStatus
pick_from_draw(KmFit *fit, int64_t want, KmPicked *picked)
{
	const KmDraw *draw;

	KM_TRY(km_fit_draw(fit, &draw));
	return walk(fit, &draw->table, draw->multiplicity,
				want < draw->total ? want : draw->total, picked);
}

KmStatus
km_fit_pick(KmFit *fit, int64_t want, KmPicked *picked)
{
	const KmSample *sample = &fit->sample;

	if (want > KM_SILHOUETTE_ROWS)
		want = KM_SILHOUETTE_ROWS;
	if (want > fit->table->nrows)
		want = fit->table->nrows;
	if (!fit->rows->weighted &&
		(sample->complete || sample->distinct >= SAMPLE_PER_PICK * want))
		return pick_from_sample(fit, want, picked);
	return pick_from_draw(fit, want, picked);
}

void
km_picked_clear(const KmFit *fit, KmPicked *picked)
{
	km_free(fit->host, picked->rows);
	picked->rows = NULL;
}

/* ---- as a fit ---- */

static KmStatus
add_row(KmRows *rows, const KmTable *from, int64_t row, double *values)
{
	KmTable    *table = &rows->table;
	const double *lane = km_find_row(from, row);

	for (int f = 0; f < table->nfeatures; f++)
		values[f] = lane[from->slot[f] * KM_LANES];
	KM_TRY(km_rows_add(rows, values, 1));
	/* what is picked has directions only */
	if (table->length_slot >= 0)
		km_find_row(table, table->nrows - 1)[table->length_slot *
											 KM_LANES] = 1;
	return KM_OK;
}

static KmStatus
copy_picked(const KmPicked *picked, KmRows *rows)
{
	const KmHost *host = rows->table.host;
	double	   *values = km_alloc(host, rows->table.nfeatures,
								  sizeof(double));
	KmStatus	status = values == NULL ? KM_NO_MEMORY : KM_OK;

	for (int64_t i = 0; i < picked->n && status == KM_OK; i++)
		status = add_row(rows, picked->table, picked->rows[i], values);
	km_free(host, values);
	return status;
}

/* The rows picked, as rows of their own. */
static KmStatus
pick_rows(KmFit *fit, int64_t want, KmRows **rows)
{
	int			nfeatures = fit->table->nfeatures;
	KmKind	   *kinds = km_alloc(fit->host, nfeatures, sizeof(KmKind));
	KmStatus	status;
	KmPicked	picked;

	if (kinds == NULL)
		return KM_NO_MEMORY;
	for (int f = 0; f < nfeatures; f++)
		kinds[f] = fit->features[f].kind;
	status = km_rows_create(fit->host, nfeatures, kinds, false,
							fit->space.cosine, 0, rows);
	km_free(fit->host, kinds);
	if (status != KM_OK)
		return status;
	status = km_fit_pick(fit, want, &picked);
	if (status == KM_OK)
	{
		status = copy_picked(&picked, *rows);
		km_picked_clear(fit, &picked);
	}
	if (status != KM_OK)
		km_rows_free(*rows);
	return status;
}

KmStatus
km_fit_subset(KmFit *fit, int64_t want, int chains, KmFit **result)
{
	KmFit	   *subset = km_alloc_zero(fit->host, 1, sizeof(KmFit));
	KmStatus	status;

	if (subset == NULL)
		return KM_NO_MEMORY;
	subset->host = fit->host;
	subset->options = fit->options;
	subset->options.n_init = chains;
	/* a draw may have fewer different rows than was made sure of */
	subset->options.small_is_error = false;
	subset->features = fit->features;
	subset->poll.host = fit->host;
	subset->spread = fit->spread;
	subset->bound = fit->bound;
	subset->weight_unit = 1;
	subset->total = -1;
	status = km_space_create(fit->host, fit->features, fit->table->nfeatures,
							 fit->space.cosine, &subset->space);
	if (status != KM_OK)
	{
		km_free(fit->host, subset);
		return status;
	}
	km_space_set_grid(&subset->space);
	status = pick_rows(fit, want, &subset->rows);
	if (status == KM_OK)
	{
		subset->table = &subset->rows->table;
		subset->source.table = subset->table;
		status = km_fit_prepare(subset);
	}
	else
		subset->rows = NULL;
	if (status != KM_OK)
	{
		km_fit_free(subset);
		return status;
	}
	*result = subset;
	return KM_OK;
}

double
km_fit_value(const KmFit *fit, int64_t row, int feature)
{
	const KmTable *table = fit->table;
	const KmFeature *of = &fit->features[feature];
	const double *lane = km_find_row(table, row);
	double		v = lane[table->slot[feature] * KM_LANES];

	if (of->kind == KM_CATEGORY)
		return v;
	if (table->length_slot >= 0)
		v *= lane[table->length_slot * KM_LANES];
	return v * (of->divisor / of->factor) + of->origin;
}

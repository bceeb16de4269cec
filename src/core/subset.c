/*
 * subset.c
 *		A fit of some of another fit's rows, picked with equal chances.
 *
 * Positions are taken over as they are, so distances are those of the whole.
 * Copies of a row are rows again.
 */
#include "fit.h"

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
		km_picked_clear(&picked);
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

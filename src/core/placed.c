/*
 * placed.c
 *		Rows of a query as positions in a model's space, with their segments.
 *
 * Placing and scoring are the predictor's own: over the rows of a fit this
 * holds the fit's positions and segments, to the bit.
 */
#include <math.h>
#include <string.h>

#include "km_internal.h"

/* beyond this, sums of squared distances could leave double's range */
#define POSITION_MAX	0x1p+480

/* beside its values: its segment */
#define ROW_OVERHEAD	sizeof(uint16_t)

#define FIRST_OWN		64

/*
 * The model's space with one more category in each categorical feature.  Only
 * the layout is ours; KM_MAX_WIDTH holds for models, not for this.
 */
static KmStatus
create_space(KmPlaced *placed)
{
	const KmModel *model = placed->model;
	KmSpace    *space = &placed->space;

	KM_TRY(km_space_create(placed->host, model->features, model->nfeatures,
						   model->distance == KM_COSINE, space));
	km_space_set_grid(space);
	for (int f = 0; f < space->ncat; f++)
	{
		space->offset[f] += f;
		space->ncategories[f]++;
		space->width++;
	}
	return KM_OK;
}

/* an empty store; limit as for km_placed_create() */
static KmStatus
create_rows(KmPlaced *placed, size_t limit)
{
	const KmModel *model = placed->model;
	double		bytes = (double) model->nfeatures * sizeof(double);
	KmKind	   *kinds = km_alloc(placed->host, model->nfeatures,
								 sizeof(KmKind));
	KmStatus	status;

	if (kinds == NULL)
		return KM_NO_MEMORY;
	for (int f = 0; f < model->nfeatures; f++)
		kinds[f] = model->features[f].kind;
	limit = (size_t) ((double) limit * (bytes / (bytes + ROW_OVERHEAD)));
	status = km_rows_create(placed->host, model->nfeatures, kinds, false,
							false, limit, &placed->rows);
	km_free(placed->host, kinds);
	return status;
}

KmStatus
km_placed_create(const KmHost *host, const KmModel *model, size_t limit,
				 KmSimd simd, KmPlaced **result)
{
	KmPlaced   *placed = km_alloc_zero(host, 1, sizeof(KmPlaced));
	KmStatus	status;

	if (placed == NULL)
		return KM_NO_MEMORY;
	placed->host = host;
	placed->model = model;
	placed->simd = simd;
	placed->poll.host = host;
	status = create_space(placed);
	if (status == KM_OK)
		status = create_rows(placed, limit);
	if (status == KM_OK)
		status = km_predictor_create(host, model, &placed->predictor);
	if (status == KM_OK)
	{
		km_predictor_simd(placed->predictor, simd);
		placed->values = km_alloc(host, model->nfeatures, sizeof(double));
		if (placed->values == NULL)
			status = KM_NO_MEMORY;
	}
	if (status != KM_OK)
	{
		km_placed_free(placed);
		return status;
	}
	*result = placed;
	return KM_OK;
}

void
km_placed_free(KmPlaced *placed)
{
	if (placed == NULL)
		return;
	km_predictor_free(placed->predictor);
	km_rows_free(placed->rows);
	/* never created: it has no host */
	if (placed->space.host != NULL)
		km_space_clear(&placed->space);
	km_free(placed->host, placed->values);
	km_free(placed->host, placed->own);
	km_free(placed->host, placed);
}

KmStatus
km_placed_spill(KmPlaced *placed, const KmStore *store)
{
	placed->is_spilled = true;
	return km_rows_spill(placed->rows, store);
}

static KmStatus
grow_own(KmPlaced *placed)
{
	int64_t		n = placed->own_allocated;
	int64_t		more = n == 0 ? FIRST_OWN : n + n / 2;
	uint16_t   *own = km_alloc(placed->host, (size_t) more,
							   sizeof(uint16_t));

	if (own == NULL)
		return KM_NO_MEMORY;
	if (n > 0)
		memcpy(own, placed->own, sizeof(uint16_t) * (size_t) n);
	km_free(placed->host, placed->own);
	placed->own = own;
	placed->own_allocated = more;
	return KM_OK;
}

KmStatus
km_placed_place(KmPlaced *placed, const double *values,
				const double **positions, const double **lane)
{
	const KmSpace *space = &placed->space;

	*lane = km_place_row(placed->predictor, values);
	*positions = *lane == NULL ? NULL : placed->values;
	if (*lane == NULL)
		return KM_OK;
	for (int s = 0; s < space->nnum; s++)
	{
		if (!(fabs((*lane)[s]) < POSITION_MAX))
			return KM_NOT_FINITE;
	}
	for (int f = 0; f < space->nfeatures; f++)
	{
		int			slot = space->slot[f];
		double		x = (*lane)[slot];

		/* never seen: the last category */
		if (slot >= space->nnum && x < 0)
			x = space->ncategories[slot - space->nnum] - 1;
		/* a row of elsewhere may hold anything */
		if (slot >= space->nnum && !(x < space->ncategories[slot - space->nnum]))
			return KM_BAD_FORMAT;
		placed->values[f] = x;
	}
	return KM_OK;
}

KmStatus
km_placed_add(KmPlaced *placed, const double *values, const KmScore *score)
{
	int64_t		row = placed->rows->table.nrows;
	const double *positions;
	const double *lane;
	KmScore		found;

	KM_TRY(km_placed_place(placed, values, &positions, &lane));
	if (positions == NULL)
		return KM_OK;
	if (score == NULL)
	{
		km_score_position(placed->predictor, lane, 1, &found);
		score = &found;
	}
	if (!placed->is_spilled && row == placed->own_allocated)
		KM_TRY(grow_own(placed));
	KM_TRY(km_rows_add(placed->rows, positions, 1));
	if (!placed->is_spilled)
		placed->own[row] = (uint16_t) score->segment;
	return KM_OK;
}

KmStatus
km_placed_create_remote(const KmHost *host, const KmModel *model,
						KmRemote *remote, int64_t nrows, KmSimd simd,
						KmPlaced **result)
{
	KM_TRY(km_placed_create(host, model, 0, simd, result));
	(*result)->remote = remote;
	(*result)->rows->table.nrows = nrows;
	remote->placing = NULL;
	remote->placing_size = 0;
	return KM_OK;
}

int64_t
km_placed_rows(const KmPlaced *placed)
{
	return placed->rows->table.nrows;
}

int
km_placed_segment(const KmPlaced *placed, int64_t row)
{
	return placed->own[row];
}

KmStatus
km_placed_centers(const KmPlaced *placed, double **result)
{
	const KmModel *model = placed->model;
	const KmSpace *space = &placed->space;
	double	   *centers = km_alloc_zero(placed->host,
										(size_t) model->k * space->width,
										sizeof(double));

	if (centers == NULL)
		return KM_NO_MEMORY;
	for (int f = 0; f < model->nfeatures; f++)
	{
		const KmFeature *feature = &model->features[f];
		int			from = km_model_offset(model, f);
		int			slot = space->slot[f];
		bool		numeric = feature->kind != KM_CATEGORY;
		int			to = numeric ? slot : space->offset[slot - space->nnum];
		int			n = numeric ? 1 : feature->ncategories;

		for (int c = 0; c < model->k; c++)
			memcpy(centers + (size_t) c * space->width + to,
				   model->centers + (size_t) c * model->width + from,
				   sizeof(double) * n);
	}
	*result = centers;
	return KM_OK;
}

/*
 * picture.c
 *		An elbow and a scatter plot of each fit, for dashboards.
 *
 * Both are to be looked at, so some thousand rows tell enough: an elbow over
 * all rows would take longer than the night's work.  The rows are a uniform
 * draw by content, and what is found depends on no order.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "run.h"

#define PICTURE_ROWS	2000
/* chains for each k: the default search goes on until it is sure */
#define PICTURE_CHAINS	2
/* the elbow goes so far at least, and beyond the k in use */
#define PICTURE_K		8
#define PICTURE_BEYOND	3

struct KsegPicture
{
	double		scale;			/* from the inertia of the sample to all's */
	int			nrows;			/* of the elbow */
	KsegElbowRow *rows;
	int			npoints;
	int		   *segments;
	double	   *x;
	double	   *y;
};

/* ---- the scatter plot ---- */

/*
 * The subset's rows in the model's space.  They are placed again, from their
 * values, which rounding may move by a hair.
 */
static KmPlaced *
place_rows(const KmFit *fit, const KmModel *model)
{
	int			n = (int) km_fit_rows(fit);
	double	   *values = palloc(sizeof(double) * model->nfeatures);
	KmPlaced   *placed;

	kseg_check(km_placed_create(kseg_host(CurrentMemoryContext), model, 0,
								(KmSimd) kseg_simd, &placed));
	for (int i = 0; i < n; i++)
	{
		for (int f = 0; f < model->nfeatures; f++)
			values[f] = km_fit_value(fit, i, f);
		kseg_check(km_placed_add(placed, values, NULL));
	}
	return placed;
}

/* Without axes (too many columns) there is no plot. */
static void
make_points(KsegPicture *picture, const KmPlaced *placed,
			const KmModel *model)
{
	int			width;
	KmPca	   *pca;
	int			rows = (int) km_placed_rows(placed);
	KmStatus	status = km_placed_pca(placed, 2, (Size) kseg_work_mem * 1024,
									   &width, &pca);

	if (status == KM_TOO_WIDE || status == KM_OVER_LIMIT)
		return;
	kseg_check(status);
	picture->npoints = rows;
	picture->segments = palloc(sizeof(int) * Max(rows, 1));
	picture->x = palloc(sizeof(double) * Max(rows, 1));
	picture->y = palloc(sizeof(double) * Max(rows, 1));
	for (int i = 0; i < rows; i++)
	{
		double		at[KM_PCA_DIMS];

		km_pca_project(pca, i, at);
		picture->segments[i] =
			kseg_segment_id(model, km_placed_segment(placed, i));
		picture->x[i] = at[0];
		picture->y[i] = at[1];
	}
}

/* ---- both ---- */

KsegPicture *
kseg_picture_create(KsegIngest *ingest, const KmModel *model)
{
	KsegPicture *picture = palloc0(sizeof(KsegPicture));
	KmFit	   *fit = kseg_ingest_begin(ingest);
	int			k_max = Max(PICTURE_K, Min(model->k + PICTURE_BEYOND, KM_KNEE_MAX_K));
	KmFit	   *subset;
	KmPlaced   *placed;
	instr_time	started;

	INSTR_TIME_SET_CURRENT(started);
	kseg_check(km_fit_subset(fit, PICTURE_ROWS, PICTURE_CHAINS, &subset));
	picture->scale = (double) km_fit_rows(fit) / km_fit_rows(subset);
	picture->rows = kseg_elbow_rows(subset, k_max, &picture->nrows);
	placed = place_rows(subset, model);
	make_points(picture, placed, model);
	km_placed_free(placed);
	km_fit_free(subset);
	ereport(DEBUG1,
			(errmsg_internal("kseg: an elbow and a scatter plot in %.1f ms",
							 kseg_lap(&started))));
	return picture;
}

/* ---- storing them ---- */

static void
store_elbow(const KsegPicture *picture, const KsegSegmentation *s,
			int version)
{
	/* of kseg_elbow()'s columns those that kseg_elbows has */
	static const int columns[] = {0, 1, 2, 3, 4, 5, 6, 8, 10, 11, 12};
	Oid			types[] = {INT4OID, INT4OID, INT4OID, FLOAT8OID, FLOAT8OID,
		FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, BOOLOID,
	BOOLOID, TEXTOID};
	Datum		values[lengthof(types)];
	char		nulls[lengthof(types)];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int32GetDatum(s->id);
	values[1] = Int32GetDatum(version);
	for (int i = 0; i < picture->nrows; i++)
	{
		const KsegElbowRow *row = &picture->rows[i];

		for (int c = 0; c < (int) lengthof(columns); c++)
		{
			values[2 + c] = row->values[columns[c]];
			nulls[2 + c] = row->nulls[columns[c]] ? 'n' : ' ';
		}
		values[3] = Float8GetDatum(DatumGetFloat8(values[3]) *
								   picture->scale);
		kseg_registry_execute("INSERT INTO %s.kseg_elbows (segmentation,"
							  " version, k, inertia, explained, drop_pct,"
							  " silhouette, davies_bouldin,"
							  " calinski_harabasz, smallest_share, is_knee,"
							  " is_best_silhouette, note)"
							  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
							  " $10, COALESCE($11, false),"
							  " COALESCE($12, false), $13)",
							  lengthof(types), types, values, nulls);
	}
}

static void
store_points(const KsegPicture *picture, const KsegSegmentation *s,
			 int version)
{
	Oid			types[] = {INT4OID, INT4OID, INT4ARRAYOID, FLOAT8ARRAYOID,
	FLOAT8ARRAYOID};
	Datum		values[lengthof(types)];
	int			n = picture->npoints;

	if (n == 0)
		return;
	values[0] = Int32GetDatum(s->id);
	values[1] = Int32GetDatum(version);
	values[2] = kseg_int_array(picture->segments, n);
	values[3] = kseg_number_array(picture->x, n);
	values[4] = kseg_number_array(picture->y, n);
	kseg_registry_execute("INSERT INTO %s.kseg_points (segmentation, version,"
						  " \"position\", segment, x, y)"
						  " SELECT $1, $2, t.n, t.segment, t.x, t.y"
						  " FROM unnest($3, $4, $5) WITH ORDINALITY"
						  "  AS t (segment, x, y, n)",
						  lengthof(types), types, values, NULL);
}

void
kseg_picture_store(const KsegPicture *picture, const KsegSegmentation *s,
				   int version)
{
	SPI_connect();
	store_elbow(picture, s, version);
	store_points(picture, s, version);
	SPI_finish();
}

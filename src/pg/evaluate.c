/*
 * evaluate.c
 *		kseg_evaluate(): how well a model segments the rows of a query.
 *
 * The rows wait as positions in the model's space until the last one has
 * come; beyond kseg.work_mem they go to a file as those of a fit do.
 */
#include "postgres.h"

#include <math.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "errors.h"
#include "kseg.h"
#include "pushdown.h"
#include "progress.h"
#include "team.h"

PG_FUNCTION_INFO_V1(kseg_evaluate);

typedef struct Evaluation
{
	/* set once */
	MemoryContext context;
	const KmModel *model;
	ReturnSetInfo *result;
	KmPlaced   *placed;
	KsegTeam   *team;			/* NULL: nobody can help */
	/* changes while rows come */
	int64		skipped;		/* rows without a segment */
	int64		unseen;			/* rows with a category never seen */
	/* then */
	KmQuality	overall;
	KmQuality  *segments;		/* k */
	int64		sampled;		/* rows that silhouettes come from */
} Evaluation;

/* ---- rows ---- */

static void
start_rows(void *arg, const KsegQuery *query, const int *positions)
{
	Evaluation *evaluation = arg;
	KsegSpill  *spill = kseg_spill_create(evaluation->context);

	evaluation->team = kseg_team_create(evaluation->context);
	kseg_check(km_placed_create(kseg_host_with(evaluation->context,
											   kseg_team_crew(evaluation->team)),
								evaluation->model,
								(Size) kseg_work_mem * 1024 / 8 * 7,
								(KmSimd) kseg_simd, &evaluation->placed));
	kseg_check(km_placed_spill(evaluation->placed, kseg_spill_store(spill)));
}

static bool
has_unseen(const KmModel *model, const double *features)
{
	for (int f = 0; f < model->nfeatures; f++)
	{
		if (model->features[f].kind == KM_CATEGORY && features[f] < 0)
			return true;
	}
	return false;
}

static void
add_row(void *arg, const KsegScoredRow *row)
{
	Evaluation *evaluation = arg;

	if (!row->has_segment)
	{
		evaluation->skipped++;
		return;
	}
	if (has_unseen(evaluation->model, row->features))
		evaluation->unseen++;
	kseg_check(km_placed_add(evaluation->placed, row->features, &row->score));
}

/* ---- rows that stay where they are ---- */

static bool
push_rows_down(Evaluation *evaluation, const char *query, KsegEngine engine)
{
	KsegPushdown *pushdown = kseg_pushdown_open(query, engine);
	const KsegSurvey *survey;
	int		   *columns;

	if (pushdown == NULL)
		return false;
	columns = kseg_scored_columns(evaluation->model,
								  kseg_pushdown_query(pushdown));
	kseg_pushdown_model(pushdown, columns == NULL, columns,
						evaluation->model);
	survey = kseg_pushdown_survey(pushdown);
	evaluation->skipped = survey->skipped;
	evaluation->unseen = survey->unseen;
	evaluation->team = kseg_team_create(evaluation->context);
	kseg_check(km_placed_create_remote(kseg_host_with(evaluation->context,
													  kseg_team_crew(evaluation->team)),
									   evaluation->model,
									   kseg_pushdown_remote(pushdown,
															evaluation->team),
									   survey->rows, (KmSimd) kseg_simd,
									   &evaluation->placed));
	return true;
}

/* ---- measures ---- */

/* Centroids and what goes with them must fit, beside the rows. */
static void
check_centroids(const KmModel *model)
{
	double		needed = km_quality_bytes(model->k, model->width);

	if (needed > (double) kseg_work_mem * 1024)
		kseg_error_centroids(model->k, model->width, (Size) needed);
}

static void
measure_rows(Evaluation *evaluation)
{
	int			k = evaluation->model->k;
	KmQuality	none = {0, 0, NAN, NAN, NAN};

	evaluation->segments = palloc(sizeof(KmQuality) * k);
	evaluation->overall = none;
	for (int c = 0; c < k; c++)
		evaluation->segments[c] = none;
	kseg_team_begin(evaluation->team);
	if (km_placed_rows(evaluation->placed) > 0)
		kseg_check(km_placed_quality(evaluation->placed,
									 &evaluation->overall,
									 evaluation->segments,
									 &evaluation->sampled));
	kseg_team_end(evaluation->team);
}

/* ---- notes ---- */

static void
note_rows(StringInfo notes, int64 rows, const char *one, const char *many)
{
	if (rows > 0)
		kseg_add_note(notes, "%s %s", kseg_print_count(rows),
					  rows == 1 ? one : many);
}

/* What the numbers over all rows do not say of themselves. */
static char *
note_overall(const Evaluation *evaluation)
{
	int64		rows = evaluation->overall.size;
	bool		has_silhouette = !isnan(evaluation->overall.silhouette);
	int			nonempty = 0;
	StringInfoData notes;

	initStringInfo(&notes);
	for (int c = 0; c < evaluation->model->k; c++)
		nonempty += evaluation->segments[c].size > 0;
	if (rows == 0)
		kseg_add_note(&notes, "no row has a segment");
	else if (nonempty == 1)
		kseg_add_note(&notes, "all rows are in one segment: nothing to compare it with");
	else if (evaluation->sampled < rows)
		kseg_add_note(&notes, "%s a sample of %s of %s rows",
					  has_silhouette ? "silhouette from" :
					  "no silhouette: one segment has all of",
					  kseg_print_count(evaluation->sampled),
					  kseg_print_count(rows));
	else if (!has_silhouette)
		kseg_add_note(&notes, "no silhouette: every row has a segment of its own");
	note_rows(&notes, evaluation->skipped,
			  "row has a missing value and no segment",
			  "rows have a missing value and no segment");
	note_rows(&notes, evaluation->unseen,
			  "row has a category that the model has never seen",
			  "rows have a category that the model has never seen");
	return notes.len > 0 ? notes.data : NULL;
}

static const char *
note_segment(const Evaluation *evaluation, int c)
{
	const KmQuality *segment = &evaluation->segments[c];

	if (segment->size == 0)
		return "no row is in this segment";
	if (isnan(segment->silhouette) && !isnan(evaluation->overall.silhouette))
		return "no row of this segment is in the sample for the silhouette";
	return NULL;
}

/* ---- results ---- */

#define EVALUATE_COLUMNS 7		/* segment, size, inertia, silhouette,
								 * davies_bouldin, calinski_harabasz, note */

static void
put_double(Datum *values, bool *nulls, int column, double value)
{
	values[column] = Float8GetDatum(value);
	nulls[column] = !isfinite(value);
}

/* segment: its id, or 0 for all */
static void
put_quality(ReturnSetInfo *result, int segment, const KmQuality *quality,
			const char *note)
{
	Datum		values[EVALUATE_COLUMNS] = {0};
	bool		nulls[EVALUATE_COLUMNS] = {0};

	values[0] = Int32GetDatum(segment);
	nulls[0] = segment == 0;
	values[1] = Int64GetDatum(quality->size);
	put_double(values, nulls, 2, quality->inertia);
	put_double(values, nulls, 3, quality->silhouette);
	put_double(values, nulls, 4, quality->davies_bouldin);
	put_double(values, nulls, 5, quality->calinski_harabasz);
	if (note != NULL)
		values[6] = CStringGetTextDatum(note);
	nulls[6] = note == NULL;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
kseg_evaluate(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Evaluation	evaluation = {0};
	struct varlena *model;
	MemoryContext caller;
	char	   *query;
	KsegEngine	engine = KSEG_ENGINE_AUTO;

	if (PG_ARGISNULL(0))
		kseg_error_null_argument("model");
	if (PG_ARGISNULL(1))
		kseg_error_null_argument("query");

	InitMaterializedSRF(fcinfo, 0);
	evaluation.context = AllocSetContextCreate(CurrentMemoryContext,
											   "kseg evaluate",
											   ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(evaluation.context);
	(void) kseg_progress_start(KSEG_COMMAND_EVALUATE);

	model = (struct varlena *) PG_GETARG_VARLENA_P(0);
	evaluation.model = kseg_model_open(model, evaluation.context);
	check_centroids(evaluation.model);
	query = text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (!PG_ARGISNULL(2))
		engine = kseg_engine_parse(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	if (!push_rows_down(&evaluation, query, engine))
		kseg_scored_run(evaluation.model, query, NULL, NULL, start_rows,
						add_row, &evaluation);
	measure_rows(&evaluation);

	put_quality(result, 0, &evaluation.overall, note_overall(&evaluation));
	for (int c = 0; c < evaluation.model->k; c++)
		put_quality(result, kseg_segment_id(evaluation.model, c),
					&evaluation.segments[c], note_segment(&evaluation, c));

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(evaluation.context);
	return (Datum) 0;
}

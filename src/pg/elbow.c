/*
 * elbow.c
 *		kseg_elbow(): how good each number of segments is for the rows of a
 *		query, with what the figures mean in words; and which one that speaks
 *		for.
 *
 * The query is read once.  All k are fitted on the same rows, then a sample
 * of these is drawn once for everything that looks at pairs of rows or fits
 * again.
 */
#include "postgres.h"

#include <math.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "errors.h"
#include "kseg.h"
#include "progress.h"
#include "team.h"

PG_FUNCTION_INFO_V1(kseg_elbow);

/*
 * Segments with a lower adjusted Rand index between refits are called
 * unstable.  Known groups come out above 0.95, clouds cut into pieces between
 * 0.2 and 0.8 (docs/internals.md).
 */
#define UNSTABLE_BELOW		0.75

/* a smallest segment below this share of the rows is worth a word */
#define SMALL_SHARE			0.01

typedef struct ElbowPoint
{
	double		silhouette;
	double		davies_bouldin;
	double		calinski_harabasz;
	double		stability;
} ElbowPoint;

typedef struct Elbow
{
	/* the call */
	int			k_min;
	int			n;				/* numbers of segments asked for */
	KmFit	   *fit;			/* NULL: no rows */
	int64		rows;
	/* what is found */
	int			nsolutions;		/* numbers of segments the rows support */
	KmSolution **solutions;
	ElbowPoint *points;
	KmKnee		knee;
	int			best;			/* highest silhouette; -1: none */
	int64		sampled;		/* rows that silhouettes come from */
	instr_time	started;
} Elbow;

/* ---- figures ---- */

/*
 * Fit each k in turn.  Once the data cannot support a k, it cannot support
 * the higher ones either.
 */
static void
fit_points(Elbow *elbow)
{
	kseg_check_centroids(elbow->fit, elbow->k_min,
						 elbow->k_min + elbow->n - 1);
	for (int i = 0; i < elbow->n; i++)
	{
		int			k = elbow->k_min + i;
		ElbowPoint *point = &elbow->points[i];
		KmSolution *solution;
		KmStatus	status;
		double		fitted;

		CHECK_FOR_INTERRUPTS();
		kseg_progress_k(k);
		status = km_fit_run(elbow->fit, k, NULL, &solution);
		if (status == KM_TOO_FEW_ROWS)
			kseg_error_too_few_rows(k, km_fit_distinct(elbow->fit));
		kseg_check(status);
		if (solution->k < k)
			break;
		elbow->solutions[elbow->nsolutions++] = solution;
		fitted = kseg_lap(&elbow->started);
		/* at once, while the fit has the rows' segments at hand */
		kseg_check(km_fit_quality(elbow->fit, solution,
								  &point->davies_bouldin,
								  &point->calinski_harabasz));
		ereport(DEBUG1,
				(errmsg_internal("kseg: made %d segments in %d iterations over all rows in %.1f ms, measured them in %.1f ms",
								 k, solution->iterations, fitted,
								 kseg_lap(&elbow->started))));
	}
}

/* The highest silhouette; of equal ones the lowest k. */
static int
find_best_silhouette(const Elbow *elbow)
{
	int			best = -1;

	for (int i = 0; i < elbow->nsolutions; i++)
	{
		double		silhouette = elbow->points[i].silhouette;

		if (!isnan(silhouette) &&
			(best < 0 || silhouette > elbow->points[best].silhouette))
			best = i;
	}
	return best;
}

/* What is found by looking at all k together. */
static void
compare_points(Elbow *elbow, bool with_stability)
{
	int			n = elbow->nsolutions;
	KmEvidence *evidence;
	double	   *values = palloc(sizeof(double) * Max(n, 1));

	/* all of them are looked at together */
	kseg_progress_k(-1);
	kseg_check(km_fit_knee(elbow->fit, elbow->solutions, n, &elbow->knee));
	ereport(DEBUG1,
			(errmsg_internal("kseg: compared with rows without groups in %.1f ms",
							 kseg_lap(&elbow->started))));

	kseg_check(km_evidence_create(elbow->fit, elbow->solutions, n,
								  &evidence));
	elbow->sampled = km_evidence_rows(evidence);
	kseg_check(km_evidence_silhouettes(evidence, values));
	for (int i = 0; i < n; i++)
		elbow->points[i].silhouette = values[i];
	elbow->best = find_best_silhouette(elbow);
	ereport(DEBUG1,
			(errmsg_internal("kseg: silhouettes of " INT64_FORMAT " rows in %.1f ms",
							 elbow->sampled, kseg_lap(&elbow->started))));

	if (with_stability)
	{
		kseg_check(km_evidence_stability(evidence, values));
		for (int i = 0; i < n; i++)
			elbow->points[i].stability = values[i];
		ereport(DEBUG1,
				(errmsg_internal("kseg: stability from refits in %.1f ms",
								 kseg_lap(&elbow->started))));
	}
	km_evidence_free(evidence);
}

/* From k_min to k_max, in the current context; fit: NULL without rows. */
static void
measure_elbow(Elbow *elbow, KmFit *fit, int k_min, int k_max,
			  bool with_stability)
{
	elbow->k_min = k_min;
	elbow->n = k_max - k_min + 1;
	elbow->solutions = palloc(sizeof(KmSolution *) * elbow->n);
	elbow->points = palloc(sizeof(ElbowPoint) * elbow->n);
	elbow->knee.knee = -1;
	elbow->knee.second = -1;
	elbow->best = -1;
	elbow->fit = fit;
	if (fit == NULL)
		return;
	for (int i = 0; i < elbow->n; i++)
		elbow->points[i].stability = get_float8_nan();
	elbow->rows = km_fit_rows(fit);
	INSTR_TIME_SET_CURRENT(elbow->started);
	fit_points(elbow);
	compare_points(elbow, with_stability);
}

/* The same of the rows of a query; the context is the current one. */
static void
run_elbow(Elbow *elbow, MemoryContext context, KsegOptions *options,
		  int k_min, int k_max, const char *query, const KsegGuard *guard,
		  bool with_stability)
{
	KsegIngest *ingest;

	if (options->init != NULL)
		kseg_error_elbow_init();
	if (options->previous != NULL)
		kseg_error_elbow_previous();
	if (options->core.sample < k_max)
		kseg_error_sample_below_k(options->core.sample, k_max);
	options->k_min = k_min;
	options->k_max = k_max;
	ingest = kseg_ingest_query(context, options, query, guard);
	kseg_team_begin(kseg_ingest_team(ingest));
	measure_elbow(elbow, kseg_ingest_begin(ingest), k_min, k_max,
				  with_stability);
	kseg_team_end(kseg_ingest_team(ingest));
}

/* ---- notes ---- */

/* What knee and silhouettes say of point i. */
static void
note_choice(const Elbow *elbow, int i, StringInfo note)
{
	int			knee = elbow->knee.knee;
	int			best = elbow->best;
	bool		disagree = knee >= 0 && best >= 0 && knee != best;
	bool		is_open = elbow->knee.is_open &&
		elbow->nsolutions == elbow->n &&
		elbow->k_min + elbow->n - 1 <= KM_KNEE_MAX_K;

	if (disagree && (i == knee || i == best))
		kseg_add_note(note, "elbow at %d, silhouette prefers %d",
					  elbow->k_min + knee, elbow->k_min + best);
	else if (i == knee)
		kseg_add_note(note, "elbow: further segments gain little");
	else if (i == best)
		kseg_add_note(note, "best silhouette");
	if (i == elbow->knee.second)
		kseg_add_note(note, "a second, weaker elbow");
	if (i == knee && i == best)
		kseg_add_note(note, "best silhouette");
	if (i == best && elbow->sampled < elbow->rows)
		kseg_add_note(note, "silhouettes from a sample of %s rows",
					  kseg_print_count(elbow->sampled));

	/* once, where whoever chooses will look */
	if (is_open && i == elbow->n - 1)
		kseg_add_note(note, "still finds groups: a higher k_max may show an elbow");
	else if (knee < 0 && elbow->knee.is_judged && !is_open &&
			 i == Max(best, 0))
		kseg_add_note(note, "no elbow: none of these k stands out");
}

/* What is wrong with the solution of point i. */
static void
note_warnings(const Elbow *elbow, int i, StringInfo note)
{
	const KmSolution *solution = elbow->solutions[i];
	double		share = (double) solution->smallest / elbow->rows;

	/* NAN is not below anything */
	if (elbow->points[i].stability < UNSTABLE_BELOW)
		kseg_add_note(note, "unstable: other samples of rows give other segments");
	if (solution->smallest == 1 && elbow->rows > 1)
		kseg_add_note(note, "one segment is a single row");
	else if (share < SMALL_SHARE)
		kseg_add_note(note, "the smallest segment has %.2g %% of the rows",
					  100 * share);
	if (!solution->converged)
		kseg_add_note(note, "stopped by max_iter before it was done");
}

/* The words for point i, or NULL. */
static char *
make_note(const Elbow *elbow, int i)
{
	StringInfoData note;

	initStringInfo(&note);
	if (elbow->fit == NULL)
		kseg_add_note(&note, "no rows");
	else if (i >= elbow->nsolutions)
	{
		int64		distinct = km_fit_distinct(elbow->fit);

		kseg_add_note(&note, "only %s different row%s",
					  kseg_print_count(distinct), distinct == 1 ? "" : "s");
	}
	else
	{
		if (elbow->k_min + i == 1)
			kseg_add_note(&note, "everything in one segment: the base line");
		note_choice(elbow, i, &note);
		note_warnings(elbow, i, &note);
	}
	return note.len > 0 ? note.data : NULL;
}

/* ---- rows ---- */

static void
set_value(KsegElbowRow *row, int column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = false;
}

/* NAN is NULL */
static void
set_number(KsegElbowRow *row, int column, double value)
{
	if (!isnan(value))
		set_value(row, column, Float8GetDatum(value));
}

static void
set_figures(const Elbow *elbow, int i, KsegElbowRow *row)
{
	const KmSolution *solution = elbow->solutions[i];
	const ElbowPoint *point = &elbow->points[i];
	double		total = km_fit_total(elbow->fit);
	double		before = i > 0 ? elbow->solutions[i - 1]->inertia : 0;

	set_number(row, 1, solution->inertia);
	/* all rows alike: there is nothing to explain or to drop */
	if (total > 0)
		set_number(row, 2, 1 - solution->inertia / total);
	if (before > 0)
		set_number(row, 3, 100 * ((before - solution->inertia) / before));
	set_number(row, 4, point->silhouette);
	set_number(row, 5, point->davies_bouldin);
	set_number(row, 6, point->calinski_harabasz);
	set_number(row, 7, point->stability);
	set_number(row, 8, (double) solution->smallest / elbow->rows);
	set_value(row, 9, Int32GetDatum(solution->iterations));
	if (!isnan(point->silhouette))
		set_value(row, 11, BoolGetDatum(i == elbow->best));
}

static void
make_row(const Elbow *elbow, int i, KsegElbowRow *row)
{
	char	   *note = make_note(elbow, i);

	memset(row->nulls, true, sizeof(row->nulls));
	set_value(row, 0, Int32GetDatum(elbow->k_min + i));
	if (i < elbow->nsolutions)
		set_figures(elbow, i, row);
	if (elbow->knee.knee >= 0)
		set_value(row, 10, BoolGetDatum(i == elbow->knee.knee));
	if (note != NULL)
		set_value(row, 12, CStringGetTextDatum(note));
}

static void
put_elbow(ReturnSetInfo *result, const Elbow *elbow)
{
	for (int i = 0; i < elbow->n; i++)
	{
		KsegElbowRow row;

		make_row(elbow, i, &row);
		tuplestore_putvalues(result->setResult, result->setDesc, row.values,
							 row.nulls);
	}
}

Datum
kseg_elbow(PG_FUNCTION_ARGS)
{
	Jsonb	   *json = PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3);
	MemoryContext context;
	MemoryContext caller;
	Elbow		elbow = {0};
	int			k_min;
	int			k_max;

	if (PG_ARGISNULL(0))
		kseg_error_null_argument("query");
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		kseg_error_k_null();
	k_min = PG_GETARG_INT32(1);
	k_max = PG_GETARG_INT32(2);
	kseg_check_k(k_min);
	kseg_check_k(k_max);
	if (k_min > k_max)
		kseg_error_k_order(k_min, k_max);

	InitMaterializedSRF(fcinfo, 0);

	context = AllocSetContextCreate(CurrentMemoryContext, "kseg elbow",
									ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	(void) kseg_progress_start(KSEG_COMMAND_ELBOW);
	run_elbow(&elbow, context, kseg_options_parse(json, 0, false), k_min,
			  k_max, text_to_cstring(PG_GETARG_TEXT_PP(0)), NULL, true);
	put_elbow((ReturnSetInfo *) fcinfo->resultinfo, &elbow);

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return (Datum) 0;
}

/* ---- choosing ---- */

/* as kseg_elbow()'s own */
#define CHOOSE_MAX	10

/* The number of segments, and why, palloc'd. */
static int
choose_point(const Elbow *elbow, char **reason)
{
	int			knee = elbow->knee.knee;
	int			best = elbow->best;

	if (elbow->fit == NULL)
		*reason = pstrdup("no rows");
	else if (knee >= 0)
	{
		*reason = psprintf("elbow at %d", elbow->k_min + knee);
		return elbow->k_min + knee;
	}
	else if (best >= 0)
	{
		*reason = psprintf("no elbow; the silhouette is best at %d (%.2f)",
						   elbow->k_min + best,
						   elbow->points[best].silhouette);
		return elbow->k_min + best;
	}
	else if (km_fit_distinct(elbow->fit) == 1)
		*reason = pstrdup("all rows are alike");
	else
		*reason = pstrdup("too few different rows");
	return 1;
}

int
kseg_elbow_choose(const char *query, const KsegGuard *guard, Jsonb *options,
				  char **reason)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	KsegOptions *parsed;
	Elbow		elbow = {0};
	int			k;

	context = AllocSetContextCreate(caller, "kseg elbow",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	parsed = kseg_options_parse(options, 0, false);
	/* nobody asked for as many as the rows may not support */
	parsed->core.small_is_error = false;
	run_elbow(&elbow, context, parsed, 1,
			  Min(CHOOSE_MAX, parsed->core.sample), query, guard, false);
	MemoryContextSwitchTo(caller);
	k = choose_point(&elbow, reason);
	MemoryContextDelete(context);
	return k;
}

KsegElbowRow *
kseg_elbow_rows(KmFit *fit, int k_max, int *n)
{
	Elbow		elbow = {0};
	KsegElbowRow *rows = palloc(sizeof(KsegElbowRow) * k_max);

	measure_elbow(&elbow, fit, 1, k_max, false);
	*n = elbow.nsolutions;
	for (int i = 0; i < elbow.nsolutions; i++)
		make_row(&elbow, i, &rows[i]);
	return rows;
}

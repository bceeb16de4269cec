/*
 * drift.c
 *		How far the rows that a model scores are from those of its fit: what
 *		kseg_run() decides by and stores, and kseg_drift().
 *
 * The figures are the core's (../core/drift.c).  What they are compared with
 * comes from the model and, how values were spread, from kseg_baselines.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "../pg/errors.h"
#include "../pg/json.h"
#include "managed.h"
#include "messages.h"

PG_FUNCTION_INFO_V1(kseg_drift);

/*
 * What a population stability index is called.  The limits are those by which
 * banks watch their score cards (docs/internals.md).
 */
#define SHIFTING_FROM	0.1
#define DRIFTED_FROM	0.25

/* the same for how far a centroid went, in root mean squared distances */
#define MOVING_FROM		0.25
#define MOVED_FROM		0.5

/*
 * Other n rows of the same kind move a centroid by 1 / sqrt(n) on average; up
 * to twice that it is taken to be where it was.
 */
#define CHANCE			2.0

struct KsegDrift
{
	/* set once */
	MemoryContext context;
	const KmModel *model;
	KmDrift    *drift;
	const char *weight_name;	/* of the column that weighs rows; or NULL */
	int			weight_column;	/* of the query, -1: none */
	KsegColumn	weight_reader;

	/* changes while rows come */
	double		weight;			/* of the next row; 0: it is left out */
	KsegDriftSummary summary;
};

/* ---- setting up ---- */

/* The column that weighed the rows of a fit, or NULL. */
static const char *
find_weight_name(const KmModel *model)
{
	JsonbValue	options;
	JsonbValue	value;

	options.type = jbvBinary;
	options.val.binary.data = &kseg_json_parse(model->options)->root;
	options.val.binary.len = 0;
	if (kseg_json_object_length(&options) < 0 ||
		!kseg_json_find(&options, "row_weight", &value))
		return NULL;
	return kseg_json_string(&value);
}

KsegDrift *
kseg_drift_create(const KsegSegmentation *s, const KmModel *model,
				  int version)
{
	KsegDrift  *drift = palloc0(sizeof(KsegDrift));
	KmBins	   *bins = kseg_baseline_load(s, model, version);

	drift->context = CurrentMemoryContext;
	drift->model = model;
	drift->weight_name = find_weight_name(model);
	drift->weight_column = -1;
	drift->weight = 1;
	kseg_check(km_drift_create(kseg_host(CurrentMemoryContext), model, bins,
							   drift->weight_name != NULL,
							   (KmSimd) kseg_simd, &drift->drift));
	return drift;
}

void
kseg_drift_columns(KsegDrift *drift, const KsegQuery *query)
{
	if (drift->weight_name == NULL)
		return;
	drift->weight_column = kseg_query_column(query, drift->weight_name);
	if (drift->weight_column < 0)
		return;
	kseg_column_init(&drift->weight_reader, drift->weight_name,
					 query->types[drift->weight_column], drift->context);
	if (drift->weight_reader.kind != KM_NUMBER)
		kseg_error_row_weight_kind(drift->weight_name,
								   drift->weight_reader.type);
}

/* ---- rows ---- */

void
kseg_drift_weigh(KsegDrift *drift, const Datum *values, const bool *nulls)
{
	int			column = drift->weight_column;

	if (column < 0)
		return;
	drift->weight = nulls[column] ? 0 :
		kseg_column_read(&drift->weight_reader, values[column]);
	if (drift->weight < 0)
		kseg_error_row_weight_negative(drift->weight_name, drift->weight);
}

void
kseg_drift_add(KsegDrift *drift, const double *features,
			   const KmScore *score)
{
	if (drift->weight > 0)
		km_drift_add(drift->drift, features, score, drift->weight);
}

/* ---- what came of it ---- */

const KsegDriftSummary *
kseg_drift_summary(KsegDrift *drift)
{
	KsegDriftSummary *summary = &drift->summary;

	summary->psi = 0;
	summary->feature = NULL;
	for (int f = 0; f < drift->model->nfeatures; f++)
	{
		double		psi;
		double		shift;

		km_drift_feature(drift->drift, f, &psi, &shift);
		/* NAN is not above anything */
		if (psi > summary->psi)
		{
			summary->psi = psi;
			summary->feature = drift->model->features[f].name;
		}
	}
	summary->share_psi = km_drift_share_psi(drift->drift);
	summary->inertia = km_drift_inertia(drift->drift,
										&summary->inertia_ratio);
	summary->rows = km_drift_rows(drift->drift);
	summary->sizes = km_drift_sizes(drift->drift);
	return summary;
}

static const char *
find_verdict(double psi)
{
	if (isnan(psi))
		return "unknown";
	return psi < SHIFTING_FROM ? "stable" :
		psi < DRIFTED_FROM ? "shifting" : "drifted";
}

/* By its share, or by where its customers are: what is worse. */
static const char *
find_segment_verdict(const KsegDrift *drift, int c,
					 const KmSegmentDrift *segment)
{
	double		now = (double) km_drift_sizes(drift->drift)[c];
	double		then = (double) drift->model->segments[c].size;
	double		chance = CHANCE * CHANCE * (1 / now + 1 / then);
	double		moved = segment->shift * segment->shift - chance;

	/* a shift that is not known is not above anything */
	if (segment->psi >= DRIFTED_FROM || moved >= MOVED_FROM * MOVED_FROM)
		return "drifted";
	if (segment->psi >= SHIFTING_FROM || moved >= MOVING_FROM * MOVING_FROM)
		return "shifting";
	return "stable";
}

/* feature, segment, psi, share_then, share_now, shift, verdict */
#define LINE_COLUMNS	7

/* What there is to say about one feature or segment. */
typedef struct Line
{
	Datum		values[LINE_COLUMNS];
	bool		nulls[LINE_COLUMNS];
} Line;

static void
set_value(Line *line, int column, Datum value)
{
	line->values[column] = value;
	line->nulls[column] = false;
}

/* NAN is NULL */
static void
set_number(Line *line, int column, double value)
{
	if (!isnan(value))
		set_value(line, column, Float8GetDatum(value));
}

static void
describe_feature(const KsegDrift *drift, int f, Line *line)
{
	double		psi;
	double		shift;

	memset(line->nulls, true, sizeof(line->nulls));
	km_drift_feature(drift->drift, f, &psi, &shift);
	set_value(line, 0, CStringGetTextDatum(drift->model->features[f].name));
	set_number(line, 2, psi);
	set_number(line, 5, shift);
	set_value(line, 6, CStringGetTextDatum(find_verdict(psi)));
}

static void
describe_segment(const KsegDrift *drift, int c, Line *line)
{
	KmSegmentDrift segment;

	memset(line->nulls, true, sizeof(line->nulls));
	km_drift_segment(drift->drift, c, &segment);
	set_value(line, 1, Int32GetDatum(kseg_segment_id(drift->model, c)));
	set_number(line, 2, segment.psi);
	set_number(line, 3, segment.share_then);
	set_number(line, 4, segment.share_now);
	set_number(line, 5, segment.shift);
	set_value(line, 6, CStringGetTextDatum(find_segment_verdict(drift, c,
																&segment)));
}

/* Lines of all features, then of all segments; palloc'd. */
static Line *
describe_all(const KsegDrift *drift, int *n)
{
	const KmModel *model = drift->model;
	Line	   *lines;

	*n = model->nfeatures + model->k;
	lines = palloc0(sizeof(Line) * *n);
	for (int f = 0; f < model->nfeatures; f++)
		describe_feature(drift, f, &lines[f]);
	for (int c = 0; c < model->k; c++)
		describe_segment(drift, c, &lines[model->nfeatures + c]);
	return lines;
}

/* ---- storing it ---- */

/* A column of the lines as an array. */
static Datum
make_array(const Line *lines, int n, int column)
{
	static const Oid types[LINE_COLUMNS] = {TEXTOID, INT4OID, FLOAT8OID,
	FLOAT8OID, FLOAT8OID, FLOAT8OID, TEXTOID};
	Datum	   *values = palloc(sizeof(Datum) * n);
	bool	   *nulls = palloc(sizeof(bool) * n);
	int			lower = 1;
	Oid			type = types[column];

	for (int i = 0; i < n; i++)
	{
		values[i] = lines[i].values[column];
		nulls[i] = lines[i].nulls[column];
	}
	return PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lower,
											  type,
											  type == TEXTOID ? -1 :
											  type == INT4OID ?
											  sizeof(int32) : sizeof(float8),
											  type == INT4OID ||
											  (type == FLOAT8OID &&
											   FLOAT8PASSBYVAL),
											  type == FLOAT8OID ?
											  TYPALIGN_DOUBLE :
											  TYPALIGN_INT));
}

void
kseg_drift_store(KsegDrift *drift, const KsegSegmentation *s, int64 run)
{
	static const Oid types[2 + LINE_COLUMNS] = {INT8OID, INT4OID,
		TEXTARRAYOID, INT4ARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID,
	FLOAT8ARRAYOID, FLOAT8ARRAYOID, TEXTARRAYOID};
	Datum		values[2 + LINE_COLUMNS];
	Line	   *lines;
	int			n;

	SPI_connect();
	lines = describe_all(drift, &n);
	values[0] = Int64GetDatum(run);
	values[1] = Int32GetDatum(s->id);
	for (int i = 0; i < LINE_COLUMNS; i++)
		values[2 + i] = make_array(lines, n, i);
	kseg_registry_execute("INSERT INTO %s.kseg_drifts (run, segmentation,"
						  " feature, segment, psi, share_then, share_now,"
						  " shift, verdict) SELECT $1, $2, line.*"
						  " FROM unnest($3, $4, $5, $6, $7, $8, $9) AS line",
						  lengthof(types), types, values, NULL);
	SPI_finish();
}

/* ---- kseg_drift() ---- */

static void
start_rows(void *arg, const KsegQuery *query, const int *positions)
{
	kseg_drift_columns(arg, query);
}

static void
add_row(void *arg, const KsegScoredRow *row)
{
	KsegDrift  *drift = arg;

	kseg_drift_weigh(drift, row->values, row->nulls);
	kseg_drift_add(drift, row->features,
				   row->has_segment ? &row->score : NULL);
}

/* What people call the segments, and where they call them nothing, kseg. */
static char **
find_labels(const KsegSegmentation *s, const KmModel *model)
{
	char	  **labels = kseg_labels(model);
	MemoryContext caller = CurrentMemoryContext;
	Oid			types[] = {INT4OID};
	Datum		values[1];

	SPI_connect();
	values[0] = Int32GetDatum(s->id);
	kseg_registry_execute("SELECT segment, label FROM %s.kseg_labels"
						  " WHERE segmentation = $1",
						  lengthof(types), types, values, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		is_null;
		int			id = DatumGetInt32(SPI_getbinval(tuple, desc, 1,
													 &is_null));
		int			c = kseg_find_segment(model, id);

		if (c >= 0)
			labels[c] = MemoryContextStrdup(caller,
											SPI_getvalue(tuple, desc, 2));
	}
	SPI_finish();
	return labels;
}

/* feature, segment, label, psi, share_then, share_now, shift, verdict */
#define DRIFT_COLUMNS	(LINE_COLUMNS + 1)

static void
put_drift(ReturnSetInfo *result, const KsegDrift *drift, char **labels)
{
	int			n;
	Line	   *lines = describe_all(drift, &n);

	for (int i = 0; i < n; i++)
	{
		int			c = i - drift->model->nfeatures;
		Datum		values[DRIFT_COLUMNS];
		bool		nulls[DRIFT_COLUMNS];

		memcpy(values, lines[i].values, 2 * sizeof(Datum));
		memcpy(nulls, lines[i].nulls, 2 * sizeof(bool));
		values[2] = c < 0 ? (Datum) 0 : CStringGetTextDatum(labels[c]);
		nulls[2] = c < 0;
		memcpy(values + 3, lines[i].values + 2,
			   (LINE_COLUMNS - 2) * sizeof(Datum));
		memcpy(nulls + 3, lines[i].nulls + 2,
			   (LINE_COLUMNS - 2) * sizeof(bool));
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 nulls);
	}
}

Datum
kseg_drift(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	MemoryContext caller_context;
	KsegSegmentation *s;
	KmModel    *model;
	KsegDrift  *drift;
	KsegCaller	caller;
	KsegGuard	guard;
	char	  **labels;

	if (PG_ARGISNULL(0))
		kseg_error_null_argument("name");
	kseg_registry_start(fcinfo);
	InitMaterializedSRF(fcinfo, 0);
	context = AllocSetContextCreate(CurrentMemoryContext, "kseg drift",
									ALLOCSET_DEFAULT_SIZES);
	caller_context = MemoryContextSwitchTo(context);

	s = kseg_registry_find(text_to_cstring(PG_GETARG_TEXT_PP(0)), KSEG_RUN,
						   KSEG_NO_LOCK, NULL);
	if (s->version == 0)
		kseg_error_no_model(s->name);
	model = kseg_registry_model(s, s->version, NULL);
	labels = find_labels(s, model);
	drift = kseg_drift_create(s, model, s->version);

	kseg_become_owner(s, &caller);
	guard = kseg_guard(s, true);
	kseg_scored_run(model, kseg_features_query(s), &guard, NULL, start_rows,
					add_row, drift);
	kseg_become_caller(&caller);
	put_drift((ReturnSetInfo *) fcinfo->resultinfo, drift, labels);

	MemoryContextSwitchTo(caller_context);
	MemoryContextDelete(context);
	return (Datum) 0;
}

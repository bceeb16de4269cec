/*
 * log.c
 *		What is told of a run: kseg_runs, how large its segments are, and who
 *		moved; and what is deleted because it is too old.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "run.h"

void
kseg_run_start(const KsegSegmentation *s, KsegRun *run)
{
	Oid			sequence_type[] = {REGCLASSOID};
	Oid			types[] = {INT4OID};
	Datum		value;
	bool		is_null;

	run->started = GetCurrentTimestamp();
	SPI_connect();
	value = ObjectIdGetDatum(get_relname_relid("kseg_runs_id_seq",
											   kseg_registry_schema_id()));
	kseg_registry_execute("SELECT pg_catalog.nextval($1)", 1, sequence_type,
						  &value, NULL);
	run->id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
										  SPI_tuptable->tupdesc, 1,
										  &is_null));

	/* two runs at the same time would be one in the history */
	value = Int32GetDatum(s->id);
	kseg_registry_execute("SELECT pg_catalog.max(started) FROM %s.kseg_runs"
						  " WHERE segmentation = $1", 1, types, &value, NULL);
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
						  &is_null);
	if (!is_null)
		run->started = Max(run->started, DatumGetTimestampTz(value) + 1);
	SPI_finish();
}

static void
log_sizes(const KsegPass *pass, const KsegRun *run)
{
	const KmModel *model = pass->model;
	Oid			types[] = {INT8OID, INT4OID, INT4ARRAYOID, INT8ARRAYOID,
	FLOAT8OID};
	Datum		values[5];
	int		   *ids = palloc(sizeof(int) * model->k);

	for (int i = 0; i < model->k; i++)
		ids[i] = kseg_segment_id(model, i);
	values[0] = Int64GetDatum(run->id);
	values[1] = Int32GetDatum(pass->s->id);
	values[2] = kseg_int_array(ids, model->k);
	values[3] = kseg_count_array(pass->sizes, model->k);
	values[4] = Float8GetDatum(Max(pass->scored, 1));
	kseg_registry_execute("INSERT INTO %s.kseg_sizes"
						  " SELECT $1, $2, segment, size, size / $5"
						  " FROM unnest($3, $4)"
						  "  AS t (segment, size)",
						  lengthof(types), types, values, NULL);
}

/* Those who moved, and those who stayed in each segment. */
static void
log_moves(const KsegPass *pass, const KsegRun *run)
{
	const KmModel *model = pass->model;
	int			n = run->nmoves;
	int		   *from = palloc(sizeof(int) * (n + model->k));
	int		   *to = palloc(sizeof(int) * (n + model->k));
	int64	   *customers = palloc(sizeof(int64) * (n + model->k));
	Oid			types[] = {INT8OID, INT4OID, INT4ARRAYOID, INT4ARRAYOID,
	INT8ARRAYOID};
	Datum		values[5];

	for (int i = 0; i < model->k; i++)
	{
		from[i] = to[i] = kseg_segment_id(model, i);
		customers[i] = pass->sizes[i];
	}
	for (int j = 0; j < n; j++)
	{
		int			place = kseg_find_segment(model, run->moves[j].to);

		if (place >= 0)
			customers[place] -= run->moves[j].customers;
		from[model->k + j] = run->moves[j].from;
		to[model->k + j] = run->moves[j].to;
		customers[model->k + j] = run->moves[j].customers;
	}

	values[0] = Int64GetDatum(run->id);
	values[1] = Int32GetDatum(pass->s->id);
	values[2] = kseg_int_array(from, n + model->k);
	values[3] = kseg_int_array(to, n + model->k);
	values[4] = kseg_count_array(customers, n + model->k);
	kseg_registry_execute("INSERT INTO %s.kseg_moves"
						  " SELECT $1, $2, t.f, t.t, t.n"
						  " FROM unnest($3, $4, $5) AS t (f, t, n)"
						  " WHERE t.n > 0",
						  lengthof(types), types, values, NULL);
}

/* The interval from the start of the run until now. */
static Interval *
elapsed(const KsegRun *run)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = Max(GetCurrentTimestamp() - run->started, 0);
	return interval;
}

void
kseg_run_log(const KsegSegmentation *s, const KsegPass *pass, KsegRun *run)
{
	Oid			types[] = {INT8OID, INT4OID, TIMESTAMPTZOID, INTERVALOID,
		TEXTOID, TEXTOID, TEXTOID, INT4OID, INT4OID, INT8OID, INT8OID,
	INT8OID, INT8OID, INT8OID, FLOAT8OID, FLOAT8OID, BOOLOID, INT4OID, NAMEOID};
	Datum		values[lengthof(types)] = {0};
	char		nulls[lengthof(types)];
	int			i = 0;

	run->elapsed = elapsed(run);
	memset(nulls, ' ', sizeof(nulls));
	values[i++] = Int64GetDatum(run->id);
	values[i++] = Int32GetDatum(s->id);
	values[i++] = TimestampTzGetDatum(run->started);
	values[i++] = IntervalPGetDatum(run->elapsed);
	values[i++] = CStringGetTextDatum(run->mode);
	values[i++] = CStringGetTextDatum(run->action);
	values[i++] = CStringGetTextDatum(run->reason);
	nulls[i] = s->version == 0 ? 'n' : ' ';
	values[i++] = Int32GetDatum(s->version);
	nulls[i] = run->refit_version == 0 ? 'n' : ' ';
	values[i++] = Int32GetDatum(run->refit_version);
	for (int j = 0; j < 5; j++)
		nulls[i + j] = run->is_scored ? ' ' : 'n';
	values[i++] = Int64GetDatum(run->scored);
	values[i++] = Int64GetDatum(run->changed);
	values[i++] = Int64GetDatum(run->new);
	values[i++] = Int64GetDatum(run->gone);
	values[i++] = Int64GetDatum(run->unassigned);
	nulls[i] = isnan(run->drift_index) ? 'n' : ' ';
	values[i++] = Float8GetDatum(run->drift_index);
	nulls[i] = isfinite(run->inertia_ratio) ? ' ' : 'n';
	values[i++] = Float8GetDatum(run->inertia_ratio);
	values[i++] = BoolGetDatum(run->held);
	nulls[i] = run->proposed_k == 0 ? 'n' : ' ';
	values[i++] = Int32GetDatum(run->proposed_k);
	values[i++] = kseg_name_datum(GetUserNameFromId(GetUserId(), false));

	SPI_connect();
	kseg_registry_execute("INSERT INTO %s.kseg_runs (id, segmentation,"
						  " started, elapsed, mode, action, reason, version,"
						  " refit_version, scored, changed, new, gone,"
						  " unassigned, drift, inertia_ratio, held,"
						  " proposed_k, run_by) VALUES ($1, $2, $3, $4, $5,"
						  " $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,"
						  " $17, $18, $19)",
						  lengthof(types), types, values, nulls);
	if (pass != NULL)
	{
		log_sizes(pass, run);
		log_moves(pass, run);
	}
	if (run->drift != NULL)
		kseg_drift_store(run->drift, s, run->id);
	SPI_finish();
}

void
kseg_run_forget(const KsegSegmentation *s, const KsegRun *run)
{
	Oid			types[] = {INT4OID, TIMESTAMPTZOID, INT4OID};
	Datum		values[3];

	if (s->keep == NULL)
		return;
	values[0] = Int32GetDatum(s->id);
	values[1] = DirectFunctionCall2(timestamptz_mi_interval,
									TimestampTzGetDatum(run->started),
									IntervalPGetDatum(s->keep));
	values[2] = Int32GetDatum(s->version);

	SPI_connect();
	kseg_registry_execute("DELETE FROM %s.kseg_history"
						  " WHERE segmentation = $1 AND valid_to < $2",
						  2, types, values, NULL);
	kseg_registry_forget_runs("segmentation = $1 AND started < $2",
							  2, types, values);
	/* a label is reviewed against the model it was given for */
	kseg_registry_forget_models("segmentation = $1 AND created < $2"
								" AND version <> $3"
								" AND NOT EXISTS (SELECT FROM %s.kseg_labels"
								"  AS l WHERE l.segmentation = $1"
								"  AND l.version = t.version)",
								lengthof(types), types, values);
	SPI_finish();
}

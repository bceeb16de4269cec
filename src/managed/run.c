/*
 * run.c
 *		kseg_run() and kseg_rollback(): a segmentation brought up to date, in
 *		one transaction.
 *
 *		find and lock it			registry.c
 *		score the customers			pass.c, with the model in use
 *		has anything drifted?		drift.c, policy.c
 *		if so fit, score again		refit.c, pass.c
 *		write what changed			publish.c
 *
 * Everything is read under one snapshot, taken when all locks are there.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "../pg/errors.h"
#include "../pg/progress.h"
#include "messages.h"
#include "run.h"

PG_FUNCTION_INFO_V1(kseg_run);
PG_FUNCTION_INFO_V1(kseg_rollback);

typedef enum RunMode
{
	RUN_AUTO,
	RUN_SCORE,
	RUN_REFIT,
	RUN_DRY
} RunMode;

static const char *const mode_names[] = {"auto", "score", "refit", "dry"};

/* What a run finds out before it writes anything. */
typedef struct Findings
{
	KsegMembers *members;		/* what is read */
	KmModel    *model;			/* in use; NULL: none yet */
	TimestampTz created;
	KsegPass   *before;			/* by the model in use; NULL: not scored */
	KsegRefit  *refit;			/* NULL: no reason to fit */
	KsegPass   *after;			/* by the new model */
	KsegKept   *kept;			/* NULL: customers were not kept */
	char	   *hold;			/* why not to publish it */
} Findings;

/* Whose segments the customers get, or would get in a dry run. */
static KsegPass *
chosen_pass(const Findings *findings)
{
	return findings->after != NULL && findings->hold == NULL ?
		findings->after : findings->before;
}

static void
note_drift(const KsegPass *pass, KsegRun *run)
{
	const KsegDriftSummary *drift = kseg_drift_summary(pass->drift);

	run->drift = pass->drift;
	run->drift_index = Max(drift->psi, drift->share_psi);
	run->inertia_ratio = drift->inertia_ratio;
}

/* ---- why to fit ---- */

/* Why the model in use has to go; NULL: it need not. */
static char *
drift_reason(const KsegSegmentation *s, const Findings *findings,
			 TimestampTz now)
{
	const KsegRefitWhen *limits = &s->refit_when;
	const KsegDriftSummary *drift =
	kseg_drift_summary(findings->before->drift);
	double		age = (now - findings->created) / (double) USECS_PER_SEC;
	StringInfoData text;

	initStringInfo(&text);
	if (drift->psi > limits->psi)
		kseg_add_note(&text, "\"%s\" has drifted: index %.2f, above %.2f",
					  drift->feature, drift->psi, limits->psi);
	if (drift->share_psi > limits->share_psi)
		kseg_add_note(&text,
					  "the segments' shares have drifted: index %.2f, above %.2f",
					  drift->share_psi, limits->share_psi);
	if (isinf(drift->inertia_ratio) && !isinf(limits->inertia))
		kseg_add_note(&text,
					  "customers have left their centroids, at which all were at the fit");
	else if (drift->inertia_ratio > limits->inertia)
		kseg_add_note(&text,
					  "customers are farther from their centroids: %.2f times as at the fit, above %.2f",
					  drift->inertia_ratio, limits->inertia);
	if (age > limits->age)
		kseg_add_note(&text, "the model is %.1f days old",
					  age / SECS_PER_DAY);
	return text.len > 0 ? text.data : NULL;
}

/* Why to fit in that mode; NULL: there is no reason. */
static char *
refit_reason(const KsegSegmentation *s, RunMode mode,
			 const Findings *findings, TimestampTz now)
{
	if (mode == RUN_SCORE)
		return NULL;
	if (findings->model == NULL)
		return pstrdup("first run");
	if (s->pending != NULL)
		return s->pending;
	if (mode == RUN_REFIT)
		return pstrdup("refit asked for");
	return drift_reason(s, findings, now);
}

/* What a run that does not fit says. */
static char *
calm_reason(const KsegRun *run, const Findings *findings)
{
	const KsegDriftSummary *drift =
	kseg_drift_summary(findings->before->drift);
	const char *why = strcmp(run->mode, mode_names[RUN_SCORE]) == 0 ?
	"score asked for" : "no drift";
	const char *inertia;

	if (drift->rows == 0)
		return pstrdup("no customer to score");
	if (isinf(drift->inertia_ratio))
		inertia = "inertia above 0, which it was at the fit";
	else
		inertia = psprintf("inertia %.2f times the fit's",
						   drift->inertia_ratio);
	if (drift->feature == NULL || drift->share_psi > drift->psi)
		return psprintf("%s: index at most %.2f (shares), %s", why,
						drift->share_psi, inertia);
	return psprintf("%s: index at most %.2f (%s), %s", why, drift->psi,
					drift->feature, inertia);
}

/* ---- finding out ---- */

/* Fit, and score by the new model. */
static void
fit_again(const KsegSegmentation *s, Findings *findings)
{
	KsegKept   *kept = findings->kept;

	findings->refit = kseg_refit(s, findings->model, kept == NULL ? NULL :
								 kseg_kept_ingest(kept));
	if (kept != NULL && kseg_kept_complete(kept))
		findings->after = kseg_pass_again(findings->before,
										  findings->refit->model, kept);
	else
		findings->after = kseg_pass_run(s, findings->members,
										findings->refit->model, 0, NULL);
}

/*
 * Lock what will be read, as the owner.  A snapshot that is older than the
 * lock would find a table empty that somebody rewrote (ALTER TABLE ... TYPE)
 * while we waited for it, and all customers gone.
 */
static KsegMembers *
lock_sources(const KsegSegmentation *s)
{
	KsegMembers *members;
	KsegCaller	caller;

	PushActiveSnapshot(GetTransactionSnapshot());
	kseg_become_owner(s, &caller);
	members = kseg_members_create(s);
	/* the tables behind views, too */
	SPI_connect();
	if (SPI_prepare(s->resolved, 0, NULL) == NULL)
		elog(ERROR, "SPI_prepare failed: %s",
			 SPI_result_code_string(SPI_result));
	SPI_finish();
	kseg_become_caller(&caller);
	PopActiveSnapshot();
	return members;
}

/* As the owner, under one snapshot; nothing is written. */
static void
find_out(const KsegSegmentation *s, RunMode mode, KsegRun *run,
		 Findings *findings)
{
	bool		scores = findings->model != NULL &&
		(s->pending == NULL || mode == RUN_SCORE);
	KsegCaller	caller;

	findings->members = lock_sources(s);
	PushActiveSnapshot(GetTransactionSnapshot());
	kseg_become_owner(s, &caller);
	if (scores)
	{
		/* drift decides later, and rarely for a fit */
		if (mode == RUN_REFIT)
			findings->kept =
				kseg_kept_create(s, kseg_refit_options(s, findings->model));
		findings->before = kseg_pass_run(s, findings->members,
										 findings->model, s->version,
										 findings->kept);
		note_drift(findings->before, run);
	}
	run->reason = refit_reason(s, mode, findings, run->started);
	if (run->reason != NULL)
	{
		fit_again(s, findings);
		/* what the owner asked for by kseg_alter() moves customers */
		if (findings->before != NULL)
			findings->hold = kseg_refit_hold(findings->before,
											 findings->after);
	}
	kseg_become_caller(&caller);
	PopActiveSnapshot();
}

/* ---- telling ---- */

static void
add_reasons(StringInfo text, const KsegSegmentation *s,
			const Findings *findings)
{
	const KsegRefit *refit = findings->refit;

	if (refit->choice != NULL && refit->proposed_k == 0)
		kseg_add_note(text, "%s", refit->choice);
	if (refit->outcome != NULL && refit->outcome[0] != '\0')
		kseg_add_note(text, "%s", refit->outcome);
	if (refit->proposed_k != 0)
		kseg_add_note(text, "%d segments are worth a look (%s): kseg_alter(%s, k => %d)",
					  refit->proposed_k, refit->choice,
					  quote_literal_cstr(s->name), refit->proposed_k);
}

/* Why the run did what it did, in one line. */
static void
explain_run(const KsegSegmentation *s, const Findings *findings,
			KsegRun *run, bool is_dry)
{
	const KsegPass *pass = chosen_pass(findings);
	StringInfoData text;

	initStringInfo(&text);
	if (findings->refit == NULL)
		kseg_add_note(&text, "%s", calm_reason(run, findings));
	else
	{
		kseg_add_note(&text, "%s", run->reason);
		if (is_dry)
			kseg_add_note(&text, "%s", findings->hold == NULL ?
						  "a new model would be published" :
						  "a new model would be held");
		if (findings->hold != NULL)
			kseg_add_note(&text, "held: %s", findings->hold);
		add_reasons(&text, s, findings);
	}
	if (pass->unwritable > 0)
		kseg_add_note(&text, "%s rows of the query are not in the target",
					  kseg_print_count(pass->unwritable));
	run->reason = text.data;
}

static Datum
run_result(FunctionCallInfo fcinfo, const KsegRun *run)
{
	TupleDesc	desc;
	Datum		values[11];
	bool		nulls[11] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Int64GetDatum(run->id);
	values[1] = CStringGetTextDatum(run->action);
	values[2] = CStringGetTextDatum(run->reason);
	values[3] = Int64GetDatum(run->scored);
	values[4] = Int64GetDatum(run->changed);
	values[5] = Int64GetDatum(run->new);
	values[6] = Int64GetDatum(run->gone);
	values[7] = Int64GetDatum(run->unassigned);
	for (int i = 3; i < 8; i++)
		nulls[i] = !run->is_scored;
	values[8] = Float8GetDatum(run->drift_index);
	nulls[8] = isnan(run->drift_index);
	values[9] = BoolGetDatum(run->held);
	values[10] = IntervalPGetDatum(run->elapsed);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values,
											 nulls));
}

/* ---- writing ---- */

/* A note that labels need a review, when some do. */
static void
review_labels(const KsegSegmentation *s, const KmModel *model, KsegRun *run)
{
	int			count = kseg_labels_review(s, model);

	if (count > 0)
		run->reason = psprintf("%s; %d %s a review", run->reason, count,
							   count == 1 ? "label needs" : "labels need");
}

/* What a dry run would have done. */
static void
count_pass(const KsegPass *pass, KsegRun *run)
{
	run->scored = pass->scored;
	run->changed = pass->changed;
	run->new = pass->new;
	run->gone = pass->gone;
	run->unassigned = pass->unassigned;
}

static void
publish_findings(KsegSegmentation *s, const Findings *findings, KsegRun *run)
{
	KsegPass   *pass = chosen_pass(findings);

	run->action = "score";
	if (findings->hold != NULL)
	{
		run->action = "held";
		run->held = true;
		kseg_publish_model(s, findings->refit, run, true, run->reason);
	}
	else if (findings->refit != NULL)
	{
		run->action = "refit";
		kseg_publish_model(s, findings->refit, run, false, run->reason);
	}
	kseg_publish(s, pass, run);
	if (pass == findings->after)
		review_labels(s, pass->model, run);
	kseg_run_log(s, pass, run);
	kseg_run_forget(s, run);
}

static void
end_pass(KsegPass *pass)
{
	if (pass != NULL)
		tuplestore_end(pass->changes);
}

/* ---- the functions ---- */

static RunMode
parse_mode(FunctionCallInfo fcinfo)
{
	char	   *mode;
	int			found;

	if (PG_ARGISNULL(1))
		kseg_error_null_argument("mode");
	mode = text_to_cstring(PG_GETARG_TEXT_PP(1));
	found = kseg_find_word(mode, mode_names, lengthof(mode_names));
	if (found < 0)
		kseg_error_unknown_mode(mode);
	return (RunMode) found;
}

static char *
parse_name(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		kseg_error_null_argument("name");
	return text_to_cstring(PG_GETARG_TEXT_PP(0));
}

/* The model in use, which knows of every id that was ever given. */
static void
open_model(const KsegSegmentation *s, Findings *findings)
{
	if (s->version == 0)
		return;
	findings->model = kseg_registry_model(s, s->version, &findings->created);
	findings->model->last_id = Max(findings->model->last_id, s->last_id);
}

/*
 * When all customers are gone at once, it is the load that failed, and not
 * everybody's segment that has to be taken away.
 */
static void
refuse_empty(const KsegSegmentation *s, const KsegPass *pass)
{
	/*
	 * Without a model that scored the customers there is a refit, and it
	 * scored them.
	 */
	/* NOLINTNEXTLINE(clang-analyzer-core.*): see above */
	if (pass->scored + pass->unwritable == 0 && s->members > 0)
		kseg_error_no_rows(s->name);
}

Datum
kseg_run(PG_FUNCTION_ARGS)
{
	char	   *name = parse_name(fcinfo);
	RunMode		mode = parse_mode(fcinfo);
	KsegSegmentation *s;
	KsegRun		run = {0};
	Findings	findings = {0};
	KsegProgress *progress;
	bool		is_busy;

	progress = kseg_progress_start(KSEG_COMMAND_RUN);
	kseg_registry_start(fcinfo);
	kseg_start_writing("kseg_run");
	s = kseg_registry_find(name, KSEG_RUN, KSEG_SKIP, &is_busy);
	run.mode = mode_names[mode];
	run.drift_index = run.inertia_ratio = get_float8_nan();
	kseg_run_start(s, &run);
	if (is_busy)
	{
		run.action = "skipped";
		run.reason = "another session is running or changing it";
		kseg_run_log(s, NULL, &run);
		kseg_progress_end(progress);
		return run_result(fcinfo, &run);
	}

	open_model(s, &findings);
	if (findings.model == NULL && mode == RUN_SCORE)
		kseg_error_no_model(name);
	find_out(s, mode, &run, &findings);
	run.is_scored = true;
	if (findings.refit != NULL)
		run.proposed_k = findings.refit->proposed_k;
	refuse_empty(s, findings.after != NULL ? findings.after :
				 findings.before);
	explain_run(s, &findings, &run, mode == RUN_DRY);
	if (mode == RUN_DRY)
	{
		run.action = "dry";
		run.held = findings.hold != NULL;
		count_pass(chosen_pass(&findings), &run);
		kseg_run_log(s, NULL, &run);
	}
	else
		publish_findings(s, &findings, &run);
	end_pass(findings.before);
	end_pass(findings.after);
	kseg_progress_end(progress);
	return run_result(fcinfo, &run);
}

/* The version that was in use before the present one; raises if none was. */
static int
find_earlier(const KsegSegmentation *s)
{
	Oid			types[] = {INT4OID, INT4OID};
	Datum		values[2];
	bool		is_null;
	int			version;

	SPI_connect();
	values[0] = Int32GetDatum(s->id);
	values[1] = Int32GetDatum(s->version);
	kseg_registry_execute("SELECT pg_catalog.max(version) FROM %s.kseg_models"
						  " WHERE segmentation = $1 AND version < $2"
						  "  AND NOT is_held",
						  lengthof(types), types, values, NULL);
	version = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0],
										  SPI_tuptable->tupdesc, 1,
										  &is_null));
	SPI_finish();
	if (is_null)
		kseg_error_no_earlier_version(s->name, s->version);
	return version;
}

/* The version is the one in use from now on, and no longer held. */
static void
take_version(KsegSegmentation *s, int version)
{
	Oid			types[] = {INT4OID, INT4OID};
	Datum		values[2];

	SPI_connect();
	values[0] = Int32GetDatum(s->id);
	values[1] = Int32GetDatum(version);
	kseg_registry_execute("UPDATE %s.kseg_models SET is_held = false"
						  " WHERE segmentation = $1 AND version = $2"
						  "  AND is_held",
						  lengthof(types), types, values, NULL);
	SPI_finish();
	s->version = version;
}

Datum
kseg_rollback(PG_FUNCTION_ARGS)
{
	char	   *name = parse_name(fcinfo);
	KsegSegmentation *s;
	KsegRun		run = {0};
	KmModel    *model;
	KsegMembers *members;
	KsegPass   *pass;
	KsegCaller	caller;
	KsegProgress *progress;
	int			old_version;
	int			version;

	progress = kseg_progress_start(KSEG_COMMAND_ROLLBACK);
	kseg_registry_start(fcinfo);
	kseg_start_writing("kseg_rollback");
	s = kseg_registry_find(name, KSEG_EDIT, KSEG_WAIT, NULL);
	if (s->version == 0)
		kseg_error_no_model(name);
	old_version = s->version;
	version = PG_ARGISNULL(1) ? find_earlier(s) : PG_GETARG_INT32(1);
	model = kseg_registry_model(s, version, NULL);
	run.mode = run.action = "rollback";
	run.is_scored = true;
	kseg_run_start(s, &run);

	members = lock_sources(s);
	PushActiveSnapshot(GetTransactionSnapshot());
	kseg_become_owner(s, &caller);
	pass = kseg_pass_run(s, members, model, version, NULL);
	note_drift(pass, &run);
	kseg_become_caller(&caller);
	PopActiveSnapshot();

	run.reason = psprintf("version %d in place of %d", version, old_version);
	take_version(s, version);
	s->last_id = Max(s->last_id, model->last_id);
	kseg_publish(s, pass, &run);
	review_labels(s, model, &run);
	kseg_run_log(s, pass, &run);
	end_pass(pass);
	kseg_progress_end(progress);
	return run_result(fcinfo, &run);
}

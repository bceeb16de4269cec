/*
 * refit.c
 *		A new model for a segmentation: how many segments, the fit, which ids
 *		they keep, and whether it may be published.
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "../pg/errors.h"
#include "../pg/team.h"
#include "messages.h"
#include "run.h"

/* ---- the fit ---- */

/* Has the fit a feature that the old model has, too? */
static bool
continues(KsegIngest *ingest, const KmModel *old)
{
	int			nfeatures;
	KmFeature  *features = kseg_ingest_features(ingest, &nfeatures);

	for (int f = 0; f < old->nfeatures; f++)
	{
		int			same = kseg_find_feature(features, nfeatures,
											 old->features[f].name);

		if (same >= 0 && features[same].kind == old->features[f].kind)
			return true;
	}
	return false;
}

/* Ids that no segment has had. */
static void
give_new_ids(KmModel *model, int last_id)
{
	if (last_id > PG_INT32_MAX - model->k)
		kseg_raise(KM_NO_IDS);
	for (int i = 0; i < model->k; i++)
		model->segments[i].id = last_id + 1 + i;
	model->last_id = last_id + model->k;
}

/* ---- what became of the old segments ---- */

static void
describe_fate(StringInfo text, const KmFate *fate, const KmModel *model)
{
	int			id = fate->segment >= 0 ?
		kseg_segment_id(model, fate->segment) : fate->id;

	switch (fate->outcome)
	{
		case KM_KEPT:
			break;
		case KM_MOVED:
			kseg_add_note(text, "segment %d moved", id);
			break;
		case KM_SPLIT:
			kseg_add_note(text, "segment %d is new, split off %d", id,
						  fate->other);
			break;
		case KM_NEW:
			kseg_add_note(text, "segment %d is new", id);
			break;
		case KM_MERGED:
			kseg_add_note(text, "segment %d ended, merged into %d", id,
						  fate->other);
			break;
		case KM_RETIRED:
			kseg_add_note(text, "segment %d ended", id);
			break;
	}
}

static char *
describe_alignment(const KmModel *model, const KmModel *old)
{
	const KmHost *host = kseg_host(CurrentMemoryContext);
	KmAlignment *alignment;
	StringInfoData text;
	int			kept = 0;

	kseg_check(km_align(host, model, old, 0, &alignment));
	initStringInfo(&text);
	for (int i = 0; i < alignment->n; i++)
		kept += alignment->fates[i].outcome == KM_KEPT;
	if (kept > 0)
		kseg_add_note(&text, "%d of %d segments stay where they were", kept,
					  old->k);
	for (int i = 0; i < alignment->n; i++)
		describe_fate(&text, &alignment->fates[i], model);
	return text.data;
}

/* ---- a refit ---- */

/* Whoever does not say how many segments gets as many as before. */
KsegOptions *
kseg_refit_options(const KsegSegmentation *s, const KmModel *old)
{
	int			k = s->k == 0 && old != NULL ? old->k : s->k;
	KsegOptions *options = kseg_options_parse(s->options, k, false);

	options->previous = unconstify(KmModel *, old);
	return options;
}

/* Fit, give ids, describe; everything in the current context stays. */
static void
make_model(const KsegSegmentation *s, const KmModel *old, int k,
		   KsegIngest *ingest, MemoryContext scratch, KsegRefit *refit)
{
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	bool		is_new = old == NULL;
	KmModel    *model;
	Datum		stored;

	/* workers that have come stay for all of it: nothing is written here */
	kseg_team_begin(kseg_ingest_team(ingest));
	if (kseg_ingest_begin(ingest) == NULL)
		kseg_error_no_rows(s->name);
	if (old != NULL && !continues(ingest, old))
	{
		kseg_ingest_options(ingest)->previous = NULL;
		is_new = true;
	}
	model = kseg_ingest_fit(ingest, k);
	if (is_new)
		give_new_ids(model, s->last_id);
	MemoryContextSwitchTo(caller);
	stored = kseg_model_datum(model);
	refit->model = kseg_model_open((struct varlena *)
								   DatumGetPointer(stored), caller);
	refit->baseline = kseg_baseline_create(ingest, refit->model);
	refit->picture = kseg_picture_create(ingest, refit->model);
	kseg_team_end(kseg_ingest_team(ingest));
	if (!is_new)
		refit->outcome = describe_alignment(refit->model, old);
}

KsegRefit *
kseg_refit(const KsegSegmentation *s, const KmModel *old, KsegIngest *ingest)
{
	KsegRefit  *refit = palloc0(sizeof(KsegRefit));
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "kseg refit",
												  ALLOCSET_DEFAULT_SIZES);
	char	   *query = kseg_features_query(s);
	KsegGuard	guard = kseg_guard(s, true);
	int			k = 0;

	if (s->k == 0 && old == NULL)
		k = kseg_elbow_choose(query, &guard, s->options, &refit->choice);
	if (ingest == NULL)
	{
		MemoryContextSwitchTo(context);
		ingest = kseg_ingest_query(context, kseg_refit_options(s, old),
								   query, &guard);
		MemoryContextSwitchTo(caller);
	}
	make_model(s, old, k, ingest, context, refit);
	MemoryContextDelete(context);

	/* what the evidence says by now is worth a word, and no more */
	if (s->k == 0 && old != NULL)
	{
		char	   *choice;
		int			proposed = kseg_elbow_choose(query, &guard, s->options,
										 &choice);

		if (proposed != refit->model->k)
		{
			refit->proposed_k = proposed;
			refit->choice = choice;
		}
	}
	return refit;
}

/* ---- may it be published? ---- */

/* The share of the inertia that a model leaves within its segments. */
static double
unexplained(const KmModel *model)
{
	return model->total > 0 ? model->inertia / model->total : 0;
}

char *
kseg_refit_hold(const KsegPass *before, const KsegPass *after)
{
	const KsegHoldWhen *limits = &after->s->hold_when;
	double		left = unexplained(after->model);
	double		left_before = unexplained(before->model);
	/* customers that had a segment after the last run, deleted ones too */
	int64		before_run = Max(after->s->members,
								 after->scored - after->new);
	int64		gone = before_run - (after->scored - after->new);
	double		moved = before_run == 0 ? 0 :
	(double) (after->changed + gone) / before_run;
	StringInfoData text;

	initStringInfo(&text);
	if (moved > limits->moved)
		kseg_add_note(&text, "%.0f %% of the customers %s, above %.0f %%",
					  100 * moved, gone > 0 ? "would move or are gone" :
					  "would move", 100 * limits->moved);
	for (int i = 0; i < before->model->k; i++)
	{
		double		share = before->scored == 0 ? 0 :
			(double) before->sizes[i] / before->scored;
		int			id = kseg_segment_id(before->model, i);

		if (share > limits->vanished &&
			kseg_find_segment(after->model, id) < 0)
			kseg_add_note(&text,
						  "segment %d, which has %.0f %% of the customers, would end",
						  id, 100 * share);
	}
	if (left - left_before > limits->inertia)
		kseg_add_note(&text,
					  "segments would leave %.0f %% of the inertia unexplained, those in use leave %.0f %%",
					  100 * left, 100 * left_before);
	return text.len > 0 ? text.data : NULL;
}

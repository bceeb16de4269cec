/*
 * pass.c
 *		A model and the customers of a night: what segment each would have, and
 *		which of them would change.
 *
 * This reads a whole customer table every night, so a customer who stays
 * where he is costs a score and a hash.  Those who do not are collected in a
 * tuplestore.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "../pg/errors.h"
#include "../pg/progress.h"
#include "run.h"

typedef struct PassState
{
	/* set once */
	KsegPass   *pass;
	MemoryContext context;
	MemoryContext scratch;		/* for one change */
	double		nearer;			/* 1 - hysteresis */
	const KmPredictor *predictor;

	/* customers that are read: */
	KsegScorer *scorer;
	KsegKept   *kept;			/* NULL: they need not be kept */
	int			nfeatures;		/* 1 when one float8[] holds all of them */
	int		   *positions;		/* of the features' columns in the query */

	/* customers that were kept: */
	int64		next;

	/* the customer being scored */
	NullableDatum *features;
	Datum	   *values;			/* of a change */
	bool	   *nulls;
} PassState;

/* ---- where the features are ---- */

static void
start_pass(void *arg, const KsegQuery *query)
{
	PassState  *state = arg;
	MemoryContext caller = MemoryContextSwitchTo(state->context);
	const KmModel *model = state->pass->model;
	const KsegSegmentation *s = state->pass->s;
	int			array = kseg_query_array(query, (const char *const *) s->keys,
										 s->nkeys);
	Oid		   *types = palloc(sizeof(Oid) * model->nfeatures);

	state->nfeatures = array >= 0 ? 1 : model->nfeatures;
	state->positions = palloc(sizeof(int) * state->nfeatures);
	for (int f = 0; f < state->nfeatures; f++)
	{
		int			column = array >= 0 ? array :
		kseg_query_column(query, model->features[f].name);

		if (column < 0)
			kseg_error_query_column("a feature of the model",
									model->features[f].name,
									query->ncolumns, query->names);
		state->positions[f] = column;
		types[f] = query->types[column];
	}
	kseg_progress_phase(KSEG_PHASE_SCORE);
	kseg_progress_k(model->k);
	state->features = palloc(sizeof(NullableDatum) * state->nfeatures);
	state->scorer = kseg_scorer_create(model, state->nfeatures, types,
									   state->context);
	state->predictor = kseg_scorer_predictor(state->scorer);
	if (state->pass->drift != NULL)
		kseg_drift_columns(state->pass->drift, query);
	if (state->kept != NULL)
		kseg_kept_start(state->kept, query,
						kseg_members_key_types(state->pass->members));
	MemoryContextSwitchTo(caller);
}

/* ---- one customer ---- */

/*
 * Where a customer belongs who was in segment "current": in the nearest one,
 * unless he is already in another that is hardly farther.
 */
static int
settle(const PassState *state, const KmScore *score, int current)
{
	const KmModel *model = state->pass->model;
	int			stay;

	if (current == 0 ||
		current == kseg_segment_id(model, score->segment))
		return score->segment;
	stay = kseg_find_segment(model, current);
	if (stay >= 0 && score->distance >
		state->nearer * km_score_distance(state->predictor, stay))
		return stay;
	return score->segment;
}

static void
put_change(PassState *state, const KsegMember *member, int segment)
{
	KsegPass   *pass = state->pass;
	int			nkeys = pass->s->nkeys;
	Datum	   *values = state->values;
	bool	   *nulls = state->nulls;
	MemoryContext caller = MemoryContextSwitchTo(state->scratch);

	for (int i = 0; i < nkeys; i++)
		values[i] = member->key[i];
	values[nkeys] = PointerGetDatum(kseg_members_key_text(pass->members,
														  member->key));
	values[nkeys + 1] = Int32GetDatum(member->segment);
	nulls[nkeys + 1] = member->segment == 0;
	values[nkeys + 2] = Int32GetDatum(segment);
	nulls[nkeys + 2] = segment == 0;
	values[nkeys + 3] = BoolGetDatum(member->in_target);
	tuplestore_putvalues(pass->changes, pass->change, values, nulls);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(state->scratch);

	pass->nchanges++;
	if (kseg_progress_due(pass->nchanges))
		kseg_progress_changed(pass->nchanges);
	if (member->segment == 0)
		pass->new++;
	else if (segment == 0)
		pass->gone++;
	else
		pass->changed++;
}

/* score: NULL when the customer has no segment. */
static void
count_member(PassState *state, const KsegMember *member,
			 const KmScore *score)
{
	KsegPass   *pass = state->pass;
	int			place = -1;		/* in the model */
	int			segment = 0;

	if (member->in_query && score == NULL)
		pass->unassigned++;
	else if (member->in_query && !member->in_target && !pass->s->owns_target)
		pass->unwritable++;
	else if (member->in_query)
		place = settle(state, score, member->segment);

	if (member->segment != 0)
	{
		pass->found++;
		pass->found_hash += kseg_member_hash(member->hash, member->segment);
	}
	if (place >= 0)
	{
		segment = kseg_segment_id(pass->model, place);
		pass->scored++;
		pass->scored_hash += kseg_member_hash(member->hash, segment);
		pass->sizes[place]++;
	}
	if (segment != member->segment)
		put_change(state, member, segment);
}

/* A customer that is read. */
static void
add_member(void *arg, const KsegMember *member)
{
	PassState  *state = arg;
	KsegPass   *pass = state->pass;
	const double *features = NULL;
	bool		has_segment = false;
	KmScore		score;

	if (member->in_query)
	{
		for (int f = 0; f < state->nfeatures; f++)
		{
			state->features[f].value = member->values[state->positions[f]];
			state->features[f].isnull = member->nulls[state->positions[f]];
		}
		features = kseg_scorer_read(state->scorer, state->features,
									&has_segment);
		has_segment = has_segment &&
			kseg_scorer_score_read(state->scorer, &score);
		if (pass->drift != NULL)
		{
			kseg_drift_weigh(pass->drift, member->values, member->nulls);
			kseg_drift_add(pass->drift, features,
						   has_segment ? &score : NULL);
		}
	}
	count_member(state, member, has_segment ? &score : NULL);
	if (state->kept != NULL)
		kseg_kept_add(state->kept, member, features, has_segment);
}

/* Customers that were kept, up to the next that is in the fit. */
static bool
pass_by(PassState *state, KsegMember *member)
{
	bool		is_fitted;

	while (kseg_kept_get(state->kept, state->next, member, &is_fitted))
	{
		/* the core counts what scoring costs, and nothing of what we do */
		CHECK_FOR_INTERRUPTS();
		state->next++;
		if (is_fitted)
			return true;
		count_member(state, member, NULL);
	}
	return false;
}

/* A customer of the fit, in whose order they were kept. */
static void
add_fitted(void *arg, const KmScore *score)
{
	PassState  *state = arg;
	KsegMember	member;

	if (!pass_by(state, &member))
		elog(ERROR, "more customers were fitted than kept");
	if (kseg_progress_due(state->next))
		kseg_progress_rows(state->next, 0);
	count_member(state, &member, score);
}

/* ---- the pass ---- */

static TupleDesc
make_change(const KsegPass *pass)
{
	int			nkeys = pass->s->nkeys;
	const Oid  *types = kseg_members_key_types(pass->members);
	TupleDesc	desc = CreateTemplateTupleDesc(nkeys + 4);

	for (int i = 0; i < nkeys; i++)
	{
		TupleDescInitEntry(desc, i + 1, psprintf("c%d", i + 1), types[i], -1,
						   0);
		TupleDescInitEntryCollation(desc, i + 1, get_typcollation(types[i]));
	}
	TupleDescInitEntry(desc, nkeys + 1, "key", TEXTOID, -1, 0);
	TupleDescInitEntry(desc, nkeys + 2, "old", INT4OID, -1, 0);
	TupleDescInitEntry(desc, nkeys + 3, "new", INT4OID, -1, 0);
	TupleDescInitEntry(desc, nkeys + 4, "in_target", BOOLOID, -1, 0);
	return desc;
}

static KsegPass *
begin_pass(const KsegSegmentation *s, const KmModel *model,
		   KsegMembers *members, PassState *state)
{
	KsegPass   *pass = palloc0(sizeof(KsegPass));

	pass->s = s;
	pass->model = model;
	pass->members = members;
	pass->sizes = palloc0(sizeof(int64) * model->k);
	pass->changes = tuplestore_begin_heap(false, false, work_mem);
	pass->change = make_change(pass);

	state->pass = pass;
	state->context = CurrentMemoryContext;
	state->scratch = AllocSetContextCreate(CurrentMemoryContext, "kseg change",
										   ALLOCSET_SMALL_SIZES);
	state->nearer = 1 - s->hysteresis;
	state->values = palloc(sizeof(Datum) * pass->change->natts);
	state->nulls = palloc0(sizeof(bool) * pass->change->natts);
	return pass;
}

KsegPass *
kseg_pass_run(const KsegSegmentation *s, KsegMembers *members,
			  const KmModel *model, int version, KsegKept *kept)
{
	PassState	state = {0};
	KsegPass   *pass = begin_pass(s, model, members, &state);

	if (version > 0)
		pass->drift = kseg_drift_create(s, model, version);
	state.kept = kept;
	kseg_members_run(pass->members, start_pass, add_member, &state);
	return pass;
}

KsegPass *
kseg_pass_again(const KsegPass *before, const KmModel *model, KsegKept *kept)
{
	PassState	state = {0};
	KsegPass   *pass = begin_pass(before->s, model, before->members, &state);
	KmPredictor *predictor;
	KsegMember	member;

	kseg_check(km_predictor_create(kseg_host(CurrentMemoryContext), model,
								   &predictor));
	km_predictor_simd(predictor, (KmSimd) kseg_simd);
	state.predictor = predictor;
	state.kept = kept;
	kseg_progress_phase(KSEG_PHASE_SCORE);
	kseg_progress_k(model->k);
	kseg_check(km_fit_score(kseg_ingest_begin(kseg_kept_ingest(kept)),
							predictor, add_fitted, &state));
	if (pass_by(&state, &member))
		elog(ERROR, "more customers were kept than fitted");
	km_predictor_free(predictor);
	return pass;
}

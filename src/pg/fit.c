/*
 * fit.c
 *		The aggregate kseg_fit(k or options, VARIADIC features).
 *
 * The state is one KsegIngest a group, in the aggregate's context.  What all
 * groups of a call share is looked up once a statement and kept in fn_extra.
 */
#include "postgres.h"

#include "nodes/execnodes.h"
#include "nodes/plannodes.h"
#include "utils/datum.h"

#include "errors.h"
#include "kseg.h"
#include "progress.h"

PG_FUNCTION_INFO_V1(kseg_fit_k_transition);
PG_FUNCTION_INFO_V1(kseg_fit_options_transition);
PG_FUNCTION_INFO_V1(kseg_fit_final);

/* arguments of a transition function: state, k or options, features */
#define STATE		0
#define SETTING		1
#define FEATURES	2

typedef struct FitCall
{
	int			nfeatures;		/* arguments that are features */
	bool		is_array;		/* one, a float8[] */
	bool		is_fixed;		/* k or options cannot change between rows */
	Oid		   *types;
	const char **names;			/* NULL when is_array */

	/* of all groups */
	KsegProgress *progress;
	int64		nrows;			/* so far */
	int64		expected;		/* by the planner; 0: not known */
} FitCall;

typedef struct FitState
{
	FitCall    *call;
	KsegOptions *options;
	int			k;				/* 0: in the options */
	KsegIngest *ingest;			/* NULL when finished */
	Datum		model;			/* when finished; (Datum) 0: no row */
} FitState;

/* How many rows the planner expects for all groups. */
static int64
expected_rows(FunctionCallInfo fcinfo)
{
	PlanState  *input;

	/* a window aggregate's rows are passed more than once */
	if (fcinfo->context == NULL || !IsA(fcinfo->context, AggState))
		return 0;
	input = outerPlanState((AggState *) fcinfo->context);
	return input == NULL ? 0 : (int64) Min(input->plan->plan_rows, 1e15);
}

static FitCall *
look_up_call(FunctionCallInfo fcinfo)
{
	MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	FitCall    *call = palloc0(sizeof(FitCall));

	call->types = kseg_argument_types(fcinfo, FEATURES, &call->is_array);
	call->nfeatures = PG_NARGS() - FEATURES;
	/* the state is no argument of the call in the query */
	call->is_fixed = kseg_is_fixed_argument(fcinfo, SETTING - 1);
	if (!call->is_array)
		call->names = kseg_argument_names(fcinfo, FEATURES - 1,
										  call->nfeatures);
	call->progress = kseg_progress_create(CurrentMemoryContext,
										  KSEG_COMMAND_FIT);
	call->expected = expected_rows(fcinfo);
	MemoryContextSwitchTo(old);
	fcinfo->flinfo->fn_extra = call;
	return call;
}

/* First row of a group. */
static FitState *
start_group(FunctionCallInfo fcinfo, MemoryContext context, Jsonb *json,
			int k)
{
	FitCall    *call = fcinfo->flinfo->fn_extra;
	MemoryContext old;
	FitState   *state;

	if (call == NULL)
		call = look_up_call(fcinfo);

	old = MemoryContextSwitchTo(context);
	state = palloc0(sizeof(FitState));
	state->call = call;
	state->k = k;
	state->options = kseg_options_parse(json, k, true);
	if (call->is_array)
		state->ingest = kseg_ingest_create_array(context, state->options);
	else
		state->ingest = kseg_ingest_create(context, state->options,
										   call->nfeatures, call->names,
										   call->types);
	MemoryContextSwitchTo(old);
	return state;
}

/*
 * The command begins anew with the rows that follow a finished group: there
 * may be a lot more to the query than fits.
 */
static pg_noinline void
tell_rows(FitCall *call)
{
	if (kseg_progress_begin(call->progress))
		kseg_progress_phase(KSEG_PHASE_READ);
	if (kseg_progress_is_shown(call->progress))
		kseg_progress_rows(call->nrows, call->expected);
}

static void
add_row(FitState *state, FunctionCallInfo fcinfo)
{
	const NullableDatum *features = &fcinfo->args[FEATURES];
	FitCall    *call = state->call;

	if (unlikely(kseg_progress_due(call->nrows)))
		tell_rows(call);
	call->nrows++;

	/* the final function has taken the rows, and they cannot be given back */
	if (state->ingest == NULL)
		elog(ERROR, "kseg_fit was finished before its last row");

	if (!state->call->is_array)
		kseg_ingest_add(state->ingest, features);
	else if (features->isnull)
		kseg_ingest_skip(state->ingest);
	else
		kseg_ingest_add_array(state->ingest, features->value);
}

Datum
kseg_fit_k_transition(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	FitState   *state;
	int			k;

	if (!AggCheckCallContext(fcinfo, &context))
		kseg_error_not_aggregate("kseg_fit_transition");
	if (PG_ARGISNULL(SETTING))
		kseg_error_k_null();
	k = PG_GETARG_INT32(SETTING);

	if (PG_ARGISNULL(STATE))
	{
		kseg_check_k(k);
		state = start_group(fcinfo, context, NULL, k);
	}
	else
	{
		state = (FitState *) PG_GETARG_POINTER(STATE);
		if (unlikely(k != state->k))
			kseg_error_argument_changed("number of segments");
	}
	add_row(state, fcinfo);
	PG_RETURN_POINTER(state);
}

static void
check_options(const FitState *state, FunctionCallInfo fcinfo)
{
	const Jsonb *first = state->options->json;
	Jsonb	   *json = PG_GETARG_JSONB_P(SETTING);

	if (VARSIZE(json) != VARSIZE(first) ||
		memcmp(json, first, VARSIZE(first)) != 0)
		kseg_error_argument_changed("options");
	PG_FREE_IF_COPY(json, SETTING);
}

Datum
kseg_fit_options_transition(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	FitState   *state;

	if (!AggCheckCallContext(fcinfo, &context))
		kseg_error_not_aggregate("kseg_fit_transition");
	if (PG_ARGISNULL(SETTING))
		kseg_error_argument_null("options");

	if (PG_ARGISNULL(STATE))
		state = start_group(fcinfo, context, PG_GETARG_JSONB_P(SETTING), 0);
	else
	{
		state = (FitState *) PG_GETARG_POINTER(STATE);
		if (unlikely(!state->call->is_fixed))
			check_options(state, fcinfo);
	}
	add_row(state, fcinfo);
	PG_RETURN_POINTER(state);
}

/*
 * The rows are scaled in place, so this can be done only once; but the
 * executor may ask again, when it rescans a hash table of groups.  Hence the
 * model stays in the state, and the rows go.
 */
static void
finish_group(FitState *state, MemoryContext context)
{
	KmModel    *model = kseg_ingest_fit(state->ingest, 0);
	MemoryContext old;

	if (model != NULL)
	{
		old = MemoryContextSwitchTo(context);
		state->model = kseg_model_datum(model);
		MemoryContextSwitchTo(old);
	}
	kseg_ingest_free(state->ingest);
	state->ingest = NULL;
}

Datum
kseg_fit_final(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	FitState   *state;

	if (!AggCheckCallContext(fcinfo, &context))
		kseg_error_not_aggregate("kseg_fit_final");
	if (PG_ARGISNULL(STATE))
		PG_RETURN_NULL();

	state = (FitState *) PG_GETARG_POINTER(STATE);
	if (state->ingest != NULL)
	{
		kseg_progress_enter(state->call->progress);
		finish_group(state, context);
		kseg_progress_end(state->call->progress);
	}
	if (state->model == (Datum) 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(datumCopy(state->model, false, -1));
}

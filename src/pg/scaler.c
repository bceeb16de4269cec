/*
 * scaler.c
 *		The aggregate kseg_scaler(method, VARIADIC features).
 *
 * Its state is the core's exact statistics, which merge in any order to the
 * same bits: workers may take the rows in any shares.  A null is left out of
 * its own column only.
 */
#include "postgres.h"

#include <math.h>

#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "elements.h"
#include "errors.h"
#include "kseg.h"

PG_FUNCTION_INFO_V1(kseg_scaler_transition);
PG_FUNCTION_INFO_V1(kseg_scaler_combine);
PG_FUNCTION_INFO_V1(kseg_scaler_serialize);
PG_FUNCTION_INFO_V1(kseg_scaler_deserialize);
PG_FUNCTION_INFO_V1(kseg_scaler_final);

/* arguments of the transition function: state, method, features */
#define STATE		0
#define METHOD		1
#define FEATURES	2

/* What all groups of a call share. */
typedef struct ScalerCall
{
	bool		is_array;		/* one argument, float8[] */
	bool		is_fixed;		/* the method cannot change between rows */
	int			nfeatures;
	KsegColumn *columns;		/* these three NULL when is_array */
	const char **names;
	KmKind	   *kinds;
} ScalerCall;

typedef struct ScalerState
{
	MemoryContext context;		/* owns all of it */
	KmScale		scale;
	int			nfeatures;
	char	  **names;
	KmKind	   *kinds;
	KmStats    *stats;
	double	   *row;
} ScalerState;

/* ---- the state ---- */

/* A state without statistics. */
static ScalerState *
make_state(MemoryContext parent, KmScale scale, int nfeatures)
{
	MemoryContext context;
	ScalerState *state;

	context = AllocSetContextCreate(parent, "kseg scaler",
									ALLOCSET_START_SMALL_SIZES);
	state = MemoryContextAllocZero(context, sizeof(ScalerState));
	state->context = context;
	state->scale = scale;
	state->nfeatures = nfeatures;
	state->names = MemoryContextAlloc(context, sizeof(char *) * nfeatures);
	state->kinds = MemoryContextAlloc(context, sizeof(KmKind) * nfeatures);
	state->row = MemoryContextAlloc(context, sizeof(double) * nfeatures);
	return state;
}

/* The same with statistics of no row; names are copied. */
static ScalerState *
start_state(MemoryContext parent, KmScale scale, int nfeatures,
			const char *const *names, const KmKind *kinds)
{
	ScalerState *state = make_state(parent, scale, nfeatures);

	for (int f = 0; f < nfeatures; f++)
	{
		state->names[f] = MemoryContextStrdup(state->context, names[f]);
		state->kinds[f] = kinds[f];
	}
	kseg_check(km_stats_create(kseg_host(state->context), nfeatures,
							   scale == KM_ROBUST, &state->stats));
	return state;
}

static void
check_memory(const ScalerState *state)
{
	if (km_stats_bytes(state->stats) > (Size) kseg_work_mem * 1024)
		kseg_error_work_mem(km_stats_rows(state->stats), state->nfeatures);
}

/* ---- rows ---- */

static ScalerCall *
look_up_call(FunctionCallInfo fcinfo)
{
	MemoryContext context = fcinfo->flinfo->fn_mcxt;
	MemoryContext old = MemoryContextSwitchTo(context);
	ScalerCall *call = palloc0(sizeof(ScalerCall));
	Oid		   *types = kseg_argument_types(fcinfo, FEATURES,
											&call->is_array);

	call->nfeatures = PG_NARGS() - FEATURES;
	/* the state is no argument of the call in the query */
	call->is_fixed = kseg_is_fixed_argument(fcinfo, METHOD - 1);
	if (!call->is_array)
	{
		call->names = kseg_argument_names(fcinfo, FEATURES - 1,
										  call->nfeatures);
		call->columns = palloc(sizeof(KsegColumn) * call->nfeatures);
		call->kinds = palloc(sizeof(KmKind) * call->nfeatures);
		for (int f = 0; f < call->nfeatures; f++)
		{
			kseg_column_init(&call->columns[f], call->names[f], types[f],
							 context);
			call->kinds[f] = call->columns[f].kind;
			if (call->kinds[f] == KM_CATEGORY)
				kseg_error_category_scaled(call->names[f], types[f]);
		}
	}
	MemoryContextSwitchTo(old);
	fcinfo->flinfo->fn_extra = call;
	return call;
}

static KmScale
read_method(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(METHOD))
		kseg_error_argument_null("method");
	return kseg_scale_parse(text_to_cstring(PG_GETARG_TEXT_PP(METHOD)));
}

/* An array of which only the length is known. */
static ScalerState *
start_array(MemoryContext parent, KmScale scale, int length)
{
	const char **names;
	KmKind	   *kinds;

	if (length == 0)
		kseg_error_no_features();
	if (length > KM_MAX_FEATURES)
		kseg_error_too_many_features(length);
	names = kseg_numbered_names(length);
	kinds = palloc(sizeof(KmKind) * length);
	for (int f = 0; f < length; f++)
		kinds[f] = KM_NUMBER;
	return start_state(parent, scale, length, names, kinds);
}

static ScalerState *
add_array(ScalerState *state, MemoryContext parent, KmScale scale,
		  ArrayType *array)
{
	KsegElements elements;

	kseg_elements_open(&elements, array);
	if (state == NULL)
		state = start_array(parent, scale, elements.length);
	if (elements.length != state->nfeatures)
		kseg_error_array_length(elements.length, state->nfeatures);
	for (int f = 0; f < elements.length; f++)
	{
		if (!kseg_elements_next(&elements, &state->row[f]))
			state->row[f] = NAN;
		else if (!isfinite(state->row[f]))
			kseg_error_not_finite(state->names[f], state->row[f]);
	}
	kseg_check(km_stats_add(state->stats, state->row));
	return state;
}

static ScalerState *
add_row(ScalerState *state, MemoryContext parent, KmScale scale,
		ScalerCall *call, const NullableDatum *values)
{
	if (state == NULL)
		state = start_state(parent, scale, call->nfeatures, call->names,
							call->kinds);
	for (int f = 0; f < call->nfeatures; f++)
		state->row[f] = values[f].isnull ? NAN :
			kseg_column_read(&call->columns[f], values[f].value);
	kseg_check(km_stats_add(state->stats, state->row));
	return state;
}

Datum
kseg_scaler_transition(PG_FUNCTION_ARGS)
{
	ScalerCall *call = fcinfo->flinfo->fn_extra;
	ScalerState *state = NULL;
	MemoryContext context;
	KmScale		scale = KM_NONE;

	if (!AggCheckCallContext(fcinfo, &context))
		kseg_error_not_aggregate("kseg_scaler_transition");
	if (call == NULL)
		call = look_up_call(fcinfo);
	if (!PG_ARGISNULL(STATE))
		state = (ScalerState *) PG_GETARG_POINTER(STATE);
	if (state == NULL || !call->is_fixed)
	{
		scale = read_method(fcinfo);
		if (state != NULL && scale != state->scale)
			kseg_error_argument_changed("method");
	}

	if (!call->is_array)
		state = add_row(state, context, scale, call, &fcinfo->args[FEATURES]);
	else if (!PG_ARGISNULL(FEATURES))
	{
		ArrayType  *array = PG_GETARG_ARRAYTYPE_P(FEATURES);

		state = add_array(state, context, scale, array);
		PG_FREE_IF_COPY(array, FEATURES);
	}
	if (state == NULL)
		PG_RETURN_NULL();
	check_memory(state);
	PG_RETURN_POINTER(state);
}

/* ---- shares of the rows ---- */

Datum
kseg_scaler_combine(PG_FUNCTION_ARGS)
{
	ScalerState *into = NULL;
	ScalerState *from;
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		kseg_error_not_aggregate("kseg_scaler_combine");
	if (!PG_ARGISNULL(0))
		into = (ScalerState *) PG_GETARG_POINTER(0);
	if (PG_ARGISNULL(1))
	{
		if (into == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(into);
	}

	from = (ScalerState *) PG_GETARG_POINTER(1);
	/* the other state may not live as long as the aggregate */
	if (into == NULL)
		into = start_state(context, from->scale, from->nfeatures,
						   (const char *const *) from->names, from->kinds);
	if (into->scale != from->scale)
		kseg_error_argument_changed("method");
	if (into->nfeatures != from->nfeatures)
		kseg_error_array_length(from->nfeatures, into->nfeatures);
	kseg_check(km_stats_merge(into->stats, from->stats));
	check_memory(into);
	PG_RETURN_POINTER(into);
}

/*
 * From process to process, never stored: method, features (name, kind), then
 * the core's bytes.
 */
Datum
kseg_scaler_serialize(PG_FUNCTION_ARGS)
{
	ScalerState *state;
	StringInfoData buffer;
	Size		size;

	if (!AggCheckCallContext(fcinfo, NULL))
		kseg_error_not_aggregate("kseg_scaler_serialize");
	state = (ScalerState *) PG_GETARG_POINTER(0);

	pq_begintypsend(&buffer);
	pq_sendint32(&buffer, state->scale);
	pq_sendint32(&buffer, state->nfeatures);
	for (int f = 0; f < state->nfeatures; f++)
	{
		int			length = (int) strlen(state->names[f]);

		pq_sendint32(&buffer, length);
		pq_sendbytes(&buffer, state->names[f], length);
		pq_sendint32(&buffer, state->kinds[f]);
	}
	kseg_check(km_stats_size(state->stats, &size));
	/* a StringInfo ends at 1 GB, which kseg.work_mem may be above */
	if (size > MaxAllocSize / 2)
		kseg_error_work_mem(km_stats_rows(state->stats), state->nfeatures);
	enlargeStringInfo(&buffer, (int) size);
	kseg_check(km_stats_write(state->stats, (unsigned char *)
							  buffer.data + buffer.len));
	buffer.len += (int) size;
	PG_RETURN_BYTEA_P(pq_endtypsend(&buffer));
}

Datum
kseg_scaler_deserialize(PG_FUNCTION_ARGS)
{
	bytea	   *bytes;
	StringInfoData buffer;
	ScalerState *state;
	KmScale		scale;
	int			nfeatures;
	int			size;

	if (!AggCheckCallContext(fcinfo, NULL))
		kseg_error_not_aggregate("kseg_scaler_deserialize");
	bytes = PG_GETARG_BYTEA_PP(0);
	buffer.data = VARDATA_ANY(bytes);
	buffer.len = buffer.maxlen = (int) VARSIZE_ANY_EXHDR(bytes);
	buffer.cursor = 0;

	scale = (KmScale) pq_getmsgint(&buffer, 4);
	nfeatures = (int) pq_getmsgint(&buffer, 4);
	state = make_state(CurrentMemoryContext, scale, nfeatures);
	for (int f = 0; f < nfeatures; f++)
	{
		int			length = (int) pq_getmsgint(&buffer, 4);
		const char *name = pq_getmsgbytes(&buffer, length);

		state->names[f] = MemoryContextAllocZero(state->context, length + 1);
		memcpy(state->names[f], name, length);
		state->kinds[f] = (KmKind) pq_getmsgint(&buffer, 4);
	}
	size = buffer.len - buffer.cursor;
	kseg_check(km_stats_read(kseg_host(state->context),
							 (const unsigned char *)
							 pq_getmsgbytes(&buffer, size),
							 size, &state->stats));
	PG_RETURN_POINTER(state);
}

/* ---- the result ---- */

/* Leaves the state as it is: in a moving window more rows may come. */
Datum
kseg_scaler_final(PG_FUNCTION_ARGS)
{
	ScalerState *state;
	KmModel		scaler = {0};

	if (!AggCheckCallContext(fcinfo, NULL))
		kseg_error_not_aggregate("kseg_scaler_final");
	if (PG_ARGISNULL(STATE))
		PG_RETURN_NULL();
	state = (ScalerState *) PG_GETARG_POINTER(STATE);

	scaler.scale = state->scale;
	scaler.nfeatures = state->nfeatures;
	scaler.width = state->nfeatures;
	scaler.rows = km_stats_rows(state->stats);
	scaler.options = "";
	scaler.features = palloc0(sizeof(KmFeature) * state->nfeatures);
	for (int f = 0; f < state->nfeatures; f++)
	{
		scaler.features[f].name = state->names[f];
		scaler.features[f].kind = state->kinds[f];
	}
	kseg_check(km_stats_finish(state->stats, state->scale,
							   scaler.features));
	PG_RETURN_DATUM(kseg_scaler_datum(&scaler));
}

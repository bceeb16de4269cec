/*
 * state.c
 *		Values of type kseg_state, and the aggregates that make them:
 *		kseg_accum(kseg_point) and kseg_merge(kseg_state).
 *
 * A value is flat: the id of its pass, and one or more parts, the bytes that
 * parts of the pass left.  While an aggregate runs, it is an expanded object
 * that holds the open step and its rows, so nothing is copied from row to row;
 * the server flattens it wherever a flat value is wanted.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/expandeddatum.h"
#include "utils/memutils.h"

#include "compat.h"
#include "errors.h"
#include "kseg.h"
#include "state.h"

PG_FUNCTION_INFO_V1(kseg_accum_transition);
PG_FUNCTION_INFO_V1(kseg_state_combine);

/* tells the version, and machines of another byte order */
#define STATE_MAGIC		0x6b6d5330

/* more have no sense, and would take a long time to be looked through */
#define MAX_PARTS		(1024 * 1024)

/* A flat state without its varlena header; then each part: size and bytes. */
typedef struct StateHeader
{
	uint32		magic;
	uint32		nparts;
	uint64		pass;
} StateHeader;

/* Bytes of a part that nobody could merge so far. */
typedef struct KeptPart
{
	struct KeptPart *next;
	Size		size;
	char	   *bytes;
} KeptPart;

struct KsegState
{
	ExpandedObjectHeader header;	/* must be first */
	MemoryContext context;
	uint64		id;				/* of the pass */
	KsegPass   *pass;			/* NULL: not known here */
	KmPart	   *part;			/* one of these two, when it is */
	KsegSurvey *survey;
	KeptPart   *kept;			/* when it is not */
	int			nkept;
	Size		point_size;		/* that a row has at least */
	Size		own_size;		/* of part or survey, as of flat_size() */
};

static Size flat_size(ExpandedObjectHeader *header);
static void flatten(ExpandedObjectHeader *header, void *result, Size size);

static const ExpandedObjectMethods state_methods = {
	flat_size,
	flatten
};

/* ---- flat values ---- */

bool
kseg_state_check(const char *bytes, Size size)
{
	StateHeader header;

	if (size < sizeof(header))
		return false;
	memcpy(&header, bytes, sizeof(header));
	bytes += sizeof(header);
	size -= sizeof(header);
	if (header.magic != STATE_MAGIC || header.nparts > MAX_PARTS)
		return false;
	for (uint32 i = 0; i < header.nparts; i++)
	{
		uint64		part;

		if (size < sizeof(part))
			return false;
		memcpy(&part, bytes, sizeof(part));
		if (part > size - sizeof(part))
			return false;
		bytes += sizeof(part) + part;
		size -= sizeof(part) + part;
	}
	return size == 0;
}

/* of taking rows */
static inline void
check_rows(KmStatus status)
{
	if (unlikely(status == KM_BAD_FORMAT))
		kseg_error_rows_changed();
	kseg_check(status);
}

static Size
flat_size(ExpandedObjectHeader *header)
{
	KsegState  *state = (KsegState *) header;
	Size		size = VARHDRSZ + sizeof(StateHeader);

	if (state->part != NULL)
		check_rows(km_part_size(state->part, &state->own_size));
	else if (state->survey != NULL)
		state->own_size = kseg_survey_size(state->survey);
	if (state->pass != NULL)
		size += sizeof(uint64) + state->own_size;
	for (KeptPart *kept = state->kept; kept != NULL; kept = kept->next)
		size += sizeof(uint64) + kept->size;
	if (size > MaxAllocSize)
		kseg_error_large_value("kseg_state", size);
	return size;
}

static void
flatten(ExpandedObjectHeader *header, void *result, Size size)
{
	KsegState  *state = (KsegState *) header;
	StateHeader to = {STATE_MAGIC, state->nkept, state->id};
	char	   *at = (char *) result + VARHDRSZ;
	uint64		part = state->own_size;

	to.nparts += state->pass != NULL;
	SET_VARSIZE(result, size);
	memcpy(at, &to, sizeof(to));
	at += sizeof(to);
	if (state->pass != NULL)
	{
		memcpy(at, &part, sizeof(part));
		at += sizeof(part);
		if (state->part != NULL)
			km_part_write(state->part, (unsigned char *) at);
		else
			kseg_survey_write(state->survey, at);
		at += part;
	}
	for (KeptPart *kept = state->kept; kept != NULL; kept = kept->next)
	{
		part = kept->size;
		memcpy(at, &part, sizeof(part));
		memcpy(at + sizeof(part), kept->bytes, kept->size);
		at += sizeof(part) + kept->size;
	}
}

/* ---- open states ---- */

/* The pass is known: open what the state is made of. */
static void
open_pass(KsegState *state)
{
	MemoryContext caller = MemoryContextSwitchTo(state->context);
	const KmModel *model;

	state->pass = kseg_pass_recall(state->id);
	if (state->pass != NULL)
	{
		model = state->pass->pass->model;
		state->point_size = offsetof(KsegPoint, values) +
			sizeof(double) * model->nfeatures;
		if (kseg_pass_is_survey(state->pass))
			state->survey =
				kseg_survey_create(state->context, model->nfeatures,
								   model->features,
								   state->pass->pass->form == KM_FORM_SURVEY);
		else
			kseg_check(km_part_create(kseg_host(state->context),
									  state->pass->pass, (KmSimd) kseg_simd,
									  &state->part));
	}
	MemoryContextSwitchTo(caller);
}

KsegState *
kseg_state_create(MemoryContext parent, uint64 pass)
{
	MemoryContext context;
	KsegState  *state;

	context = AllocSetContextCreate(parent, "kseg state",
									ALLOCSET_SMALL_SIZES);
	state = MemoryContextAllocZero(context, sizeof(KsegState));
	EOH_init_header(&state->header, &state_methods, context);
	state->context = context;
	state->id = pass;
	open_pass(state);
	return state;
}

KsegSurvey *
kseg_state_survey(const KsegState *state)
{
	return state->survey;
}

KmPart *
kseg_state_part(const KsegState *state)
{
	return state->part;
}

static void
keep_part(KsegState *state, const char *bytes, Size size)
{
	KeptPart   *kept = MemoryContextAlloc(state->context, sizeof(KeptPart));

	if (state->nkept == MAX_PARTS)
		kseg_error_bad_value("kseg_state");
	kept->bytes = MemoryContextAlloc(state->context, Max(size, 1));
	memcpy(kept->bytes, bytes, size);
	kept->size = size;
	kept->next = state->kept;
	state->kept = kept;
	state->nkept++;
}

static void
merge_part(KsegState *state, const char *bytes, Size size)
{
	MemoryContext caller;
	KmStatus	status = KM_OK;

	if (state->pass == NULL)
	{
		keep_part(state, bytes, size);
		return;
	}
	caller = MemoryContextSwitchTo(state->context);
	if (state->part != NULL)
		status = km_part_merge(state->part, (const unsigned char *) bytes,
							   size);
	else if (!kseg_survey_merge(state->survey, bytes, size))
		status = KM_BAD_FORMAT;
	MemoryContextSwitchTo(caller);
	if (status == KM_BAD_FORMAT)
		kseg_error_bad_value("kseg_state");
	kseg_check(status);
}

/* The pass has become known meanwhile. */
static void
merge_kept(KsegState *state)
{
	KeptPart   *kept = state->kept;

	state->kept = NULL;
	state->nkept = 0;
	for (; kept != NULL; kept = kept->next)
		merge_part(state, kept->bytes, kept->size);
}

/* value: the bytes of a flat state, which were looked at when it was made */
static void
merge_flat(KsegState *state, const char *bytes)
{
	StateHeader header;

	memcpy(&header, bytes, sizeof(header));
	bytes += sizeof(header);
	if (header.pass != state->id)
		kseg_error_other_pass();
	for (uint32 i = 0; i < header.nparts; i++)
	{
		uint64		size;

		memcpy(&size, bytes, sizeof(size));
		bytes += sizeof(size);
		merge_part(state, bytes, size);
		bytes += size;
	}
}

void
kseg_state_merge(KsegState *state, Datum value)
{
	struct varlena *flat = PG_DETOAST_DATUM_PACKED(value);

	merge_flat(state, VARDATA_ANY(flat));
	if ((Pointer) flat != DatumGetPointer(value))
		pfree(flat);
}

static uint64
flat_pass(const struct varlena *flat)
{
	StateHeader header;

	memcpy(&header, VARDATA_ANY(flat), sizeof(header));
	return header.pass;
}

/* A state that may be changed: the one of the aggregate, or a new one. */
static KsegState *
writable_state(Datum value, MemoryContext context)
{
	KsegState  *state;
	struct varlena *flat;

	if (VARATT_IS_EXTERNAL_EXPANDED_RW(DatumGetPointer(value)))
	{
		state = (KsegState *) DatumGetEOHP(value);
		if (state->header.eoh_methods == &state_methods)
			return state;
	}
	flat = PG_DETOAST_DATUM_PACKED(value);
	state = kseg_state_create(context, flat_pass(flat));
	merge_flat(state, VARDATA_ANY(flat));
	return state;
}

/* ---- the aggregates ---- */

#define STATE	0
#define ROW		1

static inline void
add_row(KsegState *state, const KsegPoint *point)
{
	if (unlikely(point->pass != state->id))
		kseg_error_other_pass();
	/* ids are hashes, and not made to withstand whoever looks for twins */
	if (unlikely(VARSIZE(point) < state->point_size))
		kseg_error_bad_value("kseg_point");
	if (likely(state->part != NULL))
		check_rows(km_part_add(state->part, point->values, point->weight));
	else
		kseg_survey_add(state->survey, point);
}

Datum
kseg_accum_transition(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	KsegState  *state;
	const KsegPoint *point;

	if (!AggCheckCallContext(fcinfo, &context))
		kseg_error_not_aggregate("kseg_accum_transition");
	if (PG_ARGISNULL(ROW))
	{
		/* skipped, so there is nothing to be added */
		if (PG_ARGISNULL(STATE))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(STATE));
	}
	point = (const KsegPoint *) PG_GETARG_VARLENA_P(ROW);
	if (unlikely(PG_ARGISNULL(STATE)))
		state = kseg_state_create(context, point->pass);
	else
		state = writable_state(PG_GETARG_DATUM(STATE), context);
	if (unlikely(state->pass == NULL))
	{
		/* a row says nothing to whoever does not know what it is for */
		open_pass(state);
		if (state->pass == NULL)
			kseg_error_pass_unknown();
		merge_kept(state);
	}
	add_row(state, point);
	PG_RETURN_DATUM(EOHPGetRWDatum(&state->header));
}

Datum
kseg_state_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	KsegState  *state;

	if (!AggCheckCallContext(fcinfo, &context))
		kseg_error_not_aggregate("kseg_state_combine");
	if (PG_ARGISNULL(STATE))
	{
		if (PG_ARGISNULL(ROW))
			PG_RETURN_NULL();
		/* never somebody else's object: it is changed later */
		PG_RETURN_DATUM(EOHPGetRWDatum(&writable_state(
			MakeExpandedObjectReadOnly(PG_GETARG_DATUM(ROW), false, -1),
			context)->header));
	}
	state = writable_state(PG_GETARG_DATUM(STATE), context);
	if (!PG_ARGISNULL(ROW))
		kseg_state_merge(state, PG_GETARG_DATUM(ROW));
	PG_RETURN_DATUM(EOHPGetRWDatum(&state->header));
}

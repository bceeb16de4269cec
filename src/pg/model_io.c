/*
 * model_io.c
 *		The types kseg_model and kseg_scaler: input, output, casts, equality.
 *
 * A value is the core's byte form in a varlena, the same bytes on disk, on
 * the wire and on every machine, so equal models have equal bytes.  Whatever
 * comes from outside passes km_model_check() before it becomes a value; text
 * and jsonb are first built into a KmModel and written by the core.
 */
#include "postgres.h"

#include <math.h>

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "compat.h"
#include "errors.h"
#include "json.h"
#include "kseg.h"
#include "model_json.h"

static const char *
type_name(bool scaler)
{
	return scaler ? "kseg_scaler" : "kseg_model";
}

/* ---- models to values and back ---- */

static struct varlena *
make_value(const KmModel *model)
{
	size_t		size = km_model_size(model);
	struct varlena *value;

	/* what is sent has to be received, and there options are an object */
	Assert(model->k == 0 || model->options != NULL);
	if (size > MaxAllocSize - VARHDRSZ)
		kseg_error_model_too_large(model->k, model->width);
	value = palloc(VARHDRSZ + size);
	SET_VARSIZE(value, VARHDRSZ + size);
	km_model_write(model, (unsigned char *) VARDATA(value));
	return value;
}

static KmModel *
open_value(struct varlena *value, bool scaler, MemoryContext context)
{
	struct varlena *flat = PG_DETOAST_DATUM_PACKED(PointerGetDatum(value));
	KmModel    *model;
	KmStatus	status;

	status = km_model_read(kseg_host(context),
						   (unsigned char *) VARDATA_ANY(flat),
						   VARSIZE_ANY_EXHDR(flat), scaler, &model);
	if (status != KM_OK)
		kseg_raise(status);
	if (flat != value)
		pfree(flat);
	return model;
}

/*
 * The options to keep with a model.  A model given as init has options of its
 * own, maybe with another model: they are left out, or nightly refits that
 * start from the model before would make it grow without end.
 */
static char *
trim_options(char *options)
{
	Jsonb	   *json;
	JsonbValue	whole;
	JsonbValue	init;
	JsonbValue	inner;
	Datum		names[2];
	Datum		trimmed;
	ArrayType  *path;

	/* hardly a model has them, and there may be one per group */
	if (strstr(options, "\"init\"") == NULL)
		return options;
	json = kseg_json_parse(options);
	JsonbToJsonbValue(json, &whole);
	if (!kseg_json_find(&whole, "init", &init) ||
		kseg_json_object_length(&init) < 0 ||
		!kseg_json_find(&init, "options", &inner))
		return options;
	names[0] = CStringGetTextDatum("init");
	names[1] = CStringGetTextDatum("options");
	path = construct_array(names, 2, TEXTOID, -1, false, TYPALIGN_INT);
	trimmed = DirectFunctionCall4(jsonb_set, JsonbPGetDatum(json),
								  PointerGetDatum(path),
								  JsonbPGetDatum(kseg_json_parse("{}")),
								  BoolGetDatum(false));
	return kseg_json_print(DatumGetJsonbP(trimmed));
}

Datum
kseg_model_datum(const KmModel *model)
{
	KmModel		kept = *model;

	kept.options = trim_options(model->options);
	return PointerGetDatum(make_value(&kept));
}

KmModel *
kseg_model_open(struct varlena *value, MemoryContext context)
{
	return open_value(value, false, context);
}

Datum
kseg_scaler_datum(const KmModel *scaler)
{
	return PointerGetDatum(make_value(scaler));
}

KmModel *
kseg_scaler_open(struct varlena *value, MemoryContext context)
{
	return open_value(value, true, context);
}

/* ---- JSON ---- */

/*
 * A value from JSON.  The keys are right one by one after parsing; the core
 * looks at the whole.
 */
static Datum
value_from_json(Jsonb *json, bool scaler)
{
	JsonbValue	whole;
	KmModel    *model;
	struct varlena *value;
	KmStatus	status;

	if (!JsonbExtractScalar(&json->root, &whole))
		JsonbToJsonbValue(json, &whole);
	model = scaler ? kseg_scaler_parse(&whole) : kseg_model_parse(&whole);
	value = make_value(model);
	status = km_model_check((unsigned char *) VARDATA(value),
							VARSIZE(value) - VARHDRSZ, scaler);
	if (status == KM_BAD_FORMAT)
		kseg_error_model_contradicts(type_name(scaler));
	if (status != KM_OK)
		kseg_raise(status);
	return PointerGetDatum(value);
}

static char *
value_to_text(struct varlena *value, bool scaler)
{
	KmModel    *model = open_value(value, scaler, CurrentMemoryContext);

	return scaler ? kseg_scaler_print(model) : kseg_model_print(model);
}

/* ---- binary ---- */

static void
check_string(const char *text, bool scaler)
{
	if (!pg_verifymbstr(text, strlen(text), true))
		kseg_error_model_binary_string(type_name(scaler));
}

/*
 * Options have to come as jsonb prints them: then a value sent, dumped as
 * text and read again has the same bytes.
 */
static void
check_options(char *options)
{
	bool		same = false;

	check_string(options, false);
	if (kseg_is_json(options, strlen(options)))
	{
		Jsonb	   *json = kseg_json_parse(options);

		same = JB_ROOT_IS_OBJECT(json) &&
			strcmp(kseg_json_print(json), options) == 0;
	}
	if (!same)
		kseg_error_model_binary_options(type_name(false));
}

/*
 * A scaler has the fields of a model.  Those that its text does not show must
 * be empty, or dumping would lose them; and it scales numbers only.
 */
static bool
is_plain_scaler(const KmModel *scaler)
{
	for (int f = 0; f < scaler->nfeatures; f++)
	{
		if (scaler->features[f].kind == KM_CATEGORY)
			return false;
	}
	return scaler->distance == KM_EUCLIDEAN && !scaler->fill_nulls &&
		!scaler->converged && scaler->iterations == 0 &&
		scaler->seed == 0 && scaler->rows_skipped == 0 &&
		scaler->inertia == 0 && scaler->total == 0 &&
		scaler->options[0] == '\0';
}

/*
 * What the core takes as it is, but text input would refuse.  Whatever is
 * received can be dumped and restored.
 */
static void
check_contents(const KmModel *model, bool scaler)
{
	if (scaler ? !is_plain_scaler(model) : model->rows < 1)
		kseg_error_model_binary(type_name(scaler));
	for (int f = 0; f < model->nfeatures; f++)
	{
		const KmFeature *feature = &model->features[f];

		/* clipped on one side alone has no JSON form */
		if (isfinite(feature->clip_low) != isfinite(feature->clip_high))
			kseg_error_model_binary(type_name(scaler));
		check_string(feature->name, scaler);
		for (int c = 0; c < feature->ncategories; c++)
			check_string(feature->categories[c], scaler);
	}
	if (!scaler)
		check_options(model->options);
}

static Datum
receive_value(StringInfo message, bool scaler)
{
	int			size = message->len - message->cursor;
	const char *bytes = pq_getmsgbytes(message, size);
	struct varlena *value = palloc(VARHDRSZ + size);
	KmModel    *model;
	KmStatus	status;

	SET_VARSIZE(value, VARHDRSZ + size);
	memcpy(VARDATA(value), bytes, size);
	status = km_model_read(kseg_host(CurrentMemoryContext),
						   (unsigned char *) VARDATA(value), size, scaler,
						   &model);
	if (status == KM_BAD_FORMAT)
		kseg_error_model_binary(type_name(scaler));
	if (status == KM_BAD_VERSION)
		kseg_error_model_version(type_name(scaler),
								 psprintf("%d", (unsigned char) bytes[0]));
	if (status != KM_OK)
		kseg_raise(status);
	check_contents(model, scaler);
	return PointerGetDatum(value);
}

static bytea *
send_value(struct varlena *value)
{
	StringInfoData message;

	pq_begintypsend(&message);
	pq_sendbytes(&message, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
	return pq_endtypsend(&message);
}

/* ---- SQL functions of kseg_model ---- */

PG_FUNCTION_INFO_V1(kseg_model_in);
PG_FUNCTION_INFO_V1(kseg_model_out);
PG_FUNCTION_INFO_V1(kseg_model_recv);
PG_FUNCTION_INFO_V1(kseg_model_send);
PG_FUNCTION_INFO_V1(kseg_model_from_jsonb);
PG_FUNCTION_INFO_V1(kseg_model_to_json);
PG_FUNCTION_INFO_V1(kseg_model_to_jsonb);

Datum
kseg_model_in(PG_FUNCTION_ARGS)
{
	return value_from_json(kseg_json_parse(PG_GETARG_CSTRING(0)), false);
}

Datum
kseg_model_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(value_to_text(PG_GETARG_VARLENA_PP(0), false));
}

Datum
kseg_model_recv(PG_FUNCTION_ARGS)
{
	return receive_value((StringInfo) PG_GETARG_POINTER(0), false);
}

Datum
kseg_model_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(send_value(PG_GETARG_VARLENA_PP(0)));
}

Datum
kseg_model_from_jsonb(PG_FUNCTION_ARGS)
{
	return value_from_json(PG_GETARG_JSONB_P(0), false);
}

/* what to_jsonb() and json_agg() look for; otherwise they make a string */
Datum
kseg_model_to_json(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(value_to_text(PG_GETARG_VARLENA_PP(0),
												   false)));
}

Datum
kseg_model_to_jsonb(PG_FUNCTION_ARGS)
{
	char	   *text = value_to_text(PG_GETARG_VARLENA_PP(0), false);

	PG_RETURN_JSONB_P(kseg_json_parse(text));
}

/* ---- SQL functions of kseg_scaler ---- */

PG_FUNCTION_INFO_V1(kseg_scaler_in);
PG_FUNCTION_INFO_V1(kseg_scaler_out);
PG_FUNCTION_INFO_V1(kseg_scaler_recv);
PG_FUNCTION_INFO_V1(kseg_scaler_send);
PG_FUNCTION_INFO_V1(kseg_scaler_from_jsonb);
PG_FUNCTION_INFO_V1(kseg_scaler_to_json);
PG_FUNCTION_INFO_V1(kseg_scaler_to_jsonb);

Datum
kseg_scaler_in(PG_FUNCTION_ARGS)
{
	return value_from_json(kseg_json_parse(PG_GETARG_CSTRING(0)), true);
}

Datum
kseg_scaler_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(value_to_text(PG_GETARG_VARLENA_PP(0), true));
}

Datum
kseg_scaler_recv(PG_FUNCTION_ARGS)
{
	return receive_value((StringInfo) PG_GETARG_POINTER(0), true);
}

Datum
kseg_scaler_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(send_value(PG_GETARG_VARLENA_PP(0)));
}

Datum
kseg_scaler_from_jsonb(PG_FUNCTION_ARGS)
{
	return value_from_json(PG_GETARG_JSONB_P(0), true);
}

/* what to_jsonb() and json_agg() look for; otherwise they make a string */
Datum
kseg_scaler_to_json(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(value_to_text(PG_GETARG_VARLENA_PP(0),
												   true)));
}

Datum
kseg_scaler_to_jsonb(PG_FUNCTION_ARGS)
{
	char	   *text = value_to_text(PG_GETARG_VARLENA_PP(0), true);

	PG_RETURN_JSONB_P(kseg_json_parse(text));
}

/* ---- equality, of both types ---- */

PG_FUNCTION_INFO_V1(kseg_value_eq);
PG_FUNCTION_INFO_V1(kseg_value_ne);

/* Same bytes?  Sizes are compared first, which needs no detoasting. */
static bool
values_equal(Datum a, Datum b)
{
	struct varlena *x;
	struct varlena *y;
	bool		equal;

	if (toast_raw_datum_size(a) != toast_raw_datum_size(b))
		return false;
	x = PG_DETOAST_DATUM_PACKED(a);
	y = PG_DETOAST_DATUM_PACKED(b);
	equal = memcmp(VARDATA_ANY(x), VARDATA_ANY(y),
				   VARSIZE_ANY_EXHDR(x)) == 0;
	if (PointerGetDatum(x) != a)
		pfree(x);
	if (PointerGetDatum(y) != b)
		pfree(y);
	return equal;
}

Datum
kseg_value_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(values_equal(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)));
}

Datum
kseg_value_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!values_equal(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)));
}

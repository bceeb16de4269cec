/*
 * flat.c
 *		Input and output of kseg_pass and kseg_state: flat bytes, as base64 in
 *		text and as they are in binary form.
 *
 * Bytes from outside pass a validator before they become a value; it raises
 * nothing and allocates nothing, so that a fuzzer can drive it.
 */
#include "postgres.h"

#include "common/base64.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "utils/memutils.h"

#include "compat.h"
#include "errors.h"
#include "kseg.h"
#include "state.h"

PG_FUNCTION_INFO_V1(kseg_pass_in);
PG_FUNCTION_INFO_V1(kseg_pass_out);
PG_FUNCTION_INFO_V1(kseg_pass_recv);
PG_FUNCTION_INFO_V1(kseg_pass_send);
PG_FUNCTION_INFO_V1(kseg_state_in);
PG_FUNCTION_INFO_V1(kseg_state_out);
PG_FUNCTION_INFO_V1(kseg_state_recv);
PG_FUNCTION_INFO_V1(kseg_state_send);
PG_FUNCTION_INFO_V1(kseg_point_in);
PG_FUNCTION_INFO_V1(kseg_point_out);

typedef bool (*Validator) (const char *bytes, Size size);

static bool
is_pass(const char *bytes, Size size)
{
	return km_pass_check((const unsigned char *) bytes, size) == KM_OK;
}

/* ---- text ---- */

/* The text as a value, or an error that names its type. */
static Datum
read_text(const char *text, Validator is_valid, const char *type)
{
	Size		length = strlen(text);
	struct varlena *value;
	int			size;

	if (length > MaxAllocSize / 2)
		kseg_error_bad_value(type);
	value = palloc(VARHDRSZ + pg_b64_dec_len((int) length));
	/* void: a pointer to char before 18, to uint8 from then on */
	size = pg_b64_decode(text, (int) length, (void *) VARDATA(value),
						 pg_b64_dec_len((int) length));
	if (size < 0 || !is_valid(VARDATA(value), size))
		kseg_error_bad_value(type);
	SET_VARSIZE(value, VARHDRSZ + size);
	return PointerGetDatum(value);
}

/* Datum: also an expanded state, which becomes flat on the way */
static char *
write_text(Datum datum, const char *type)
{
	struct varlena *value = PG_DETOAST_DATUM_PACKED(datum);
	Size		size = VARSIZE_ANY_EXHDR(value);
	char	   *text;
	int			length;

	if (size > MaxAllocSize / 2)
		kseg_error_large_value(type, size);
	text = palloc(pg_b64_enc_len((int) size) + 1);
	length = pg_b64_encode((void *) VARDATA_ANY(value), (int) size, text,
						   pg_b64_enc_len((int) size));
	if (length < 0)
		elog(ERROR, "could not encode a value of type %s", type);
	text[length] = '\0';
	return text;
}

Datum
kseg_pass_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(read_text(PG_GETARG_CSTRING(0), is_pass, "kseg_pass"));
}

Datum
kseg_pass_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(write_text(PG_GETARG_DATUM(0), "kseg_pass"));
}

Datum
kseg_state_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(read_text(PG_GETARG_CSTRING(0), kseg_state_check,
							  "kseg_state"));
}

Datum
kseg_state_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(write_text(PG_GETARG_DATUM(0), "kseg_state"));
}

/* ---- binary ---- */

static Datum
read_binary(StringInfo buffer, Validator is_valid, const char *type)
{
	int			size = buffer->len - buffer->cursor;
	struct varlena *value = palloc(VARHDRSZ + (Size) size);

	SET_VARSIZE(value, VARHDRSZ + (Size) size);
	pq_copymsgbytes(buffer, VARDATA(value), size);
	if (!is_valid(VARDATA(value), size))
		kseg_error_bad_value(type);
	return PointerGetDatum(value);
}

static bytea *
write_binary(Datum datum)
{
	struct varlena *value = PG_DETOAST_DATUM_PACKED(datum);
	StringInfoData buffer;

	pq_begintypsend(&buffer);
	pq_sendbytes(&buffer, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
	return pq_endtypsend(&buffer);
}

Datum
kseg_pass_recv(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(read_binary((StringInfo) PG_GETARG_POINTER(0), is_pass,
							"kseg_pass"));
}

Datum
kseg_pass_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(write_binary(PG_GETARG_DATUM(0)));
}

Datum
kseg_state_recv(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(read_binary((StringInfo) PG_GETARG_POINTER(0),
							kseg_state_check, "kseg_state"));
}

Datum
kseg_state_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(write_binary(PG_GETARG_DATUM(0)));
}

/* ---- points go nowhere ---- */

Datum
kseg_point_in(PG_FUNCTION_ARGS)
{
	kseg_error_point_travels();
}

Datum
kseg_point_out(PG_FUNCTION_ARGS)
{
	kseg_error_point_travels();
}

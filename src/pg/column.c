/*
 * column.c
 *		One column of the caller's data: from a Datum to a double.
 *
 * This runs for every value of every row, so nothing here allocates unless a
 * category is met for the first time.  Equal SQL values give equal doubles,
 * and a double is the one that a cast to float8 (or extract(epoch from ...))
 * gives: a model shall not depend on the type its numbers came in.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/int.h"
#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "decimal.h"
#include "dictionary.h"
#include "errors.h"
#include "kseg.h"

/* KsegColumn.read */
typedef enum ColumnRead
{
	READ_INT2,
	READ_INT4,
	READ_INT8,
	READ_FLOAT4,
	READ_FLOAT8,
	READ_NUMERIC,
	READ_BOOL,
	READ_DATE,
	READ_TIMESTAMP,
	READ_INTERVAL,
	READ_TEXT,
	READ_BPCHAR,
	READ_NAME,
	READ_CSTRING,
	READ_ENUM
} ColumnRead;

/* ---- categories ---- */

/*
 * The bytes of a value that is no enum.  A toasted one is fetched into
 * column->fetched, which the caller releases.
 */
static inline const char *
category_bytes(KsegColumn *column, Datum value, int *length)
{
	struct varlena *text;
	const char *bytes;

	switch (column->read)
	{
		case READ_NAME:
			bytes = NameStr(*DatumGetName(value));
			*length = (int) strnlen(bytes, NAMEDATALEN);
			return bytes;
		case READ_CSTRING:
			bytes = DatumGetCString(value);
			*length = (int) strlen(bytes);
			return bytes;
	}

	text = (struct varlena *) DatumGetPointer(value);
	if (unlikely(VARATT_IS_COMPRESSED(text) || VARATT_IS_EXTERNAL(text)))
	{
		MemoryContext old = MemoryContextSwitchTo(column->context);

		text = pg_detoast_datum_packed(text);
		column->fetched = text;
		MemoryContextSwitchTo(old);
	}
	bytes = VARDATA_ANY(text);
	*length = (int) VARSIZE_ANY_EXHDR(text);
	/* char(n) compares without its padding */
	if (column->read == READ_BPCHAR)
		*length = bpchartruelen((char *) bytes, *length);
	return bytes;
}

static void
release_fetched(KsegColumn *column)
{
	pfree(column->fetched);
	column->fetched = NULL;
}

static int
category_code(KsegColumn *column, Datum value)
{
	const char *bytes;
	int			length;
	int			code;

	if (column->dictionary == NULL)
		column->dictionary = kseg_dictionary_create(column->context,
													column->read == READ_ENUM);
	if (column->read == READ_ENUM)
		return kseg_dictionary_enum(column->dictionary, column->name,
									DatumGetObjectId(value));

	bytes = category_bytes(column, value, &length);
	code = kseg_dictionary_text(column->dictionary, column->name,
								bytes, length);
	if (unlikely(column->fetched != NULL))
		release_fetched(column);
	return code;
}

/* ---- dates and times, as extract(epoch from ...) ---- */

#define EPOCH_DAYS	(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)

/* microseconds to seconds */
static double
seconds(int64 microseconds)
{
	uint64		magnitude = microseconds < 0 ?
		(uint64) 0 - (uint64) microseconds : (uint64) microseconds;
	double		result = kseg_decimal_double(magnitude, -6);

	return microseconds < 0 ? -result : result;
}

static double
date_double(DateADT date)
{
	if (DATE_NOT_FINITE(date))
		return DATE_IS_NOEND(date) ?
			get_float8_infinity() : -get_float8_infinity();
	return ((double) date + EPOCH_DAYS) * SECS_PER_DAY;
}

static double
timestamp_double(Timestamp timestamp)
{
	int64		since_1970;

	if (TIMESTAMP_NOT_FINITE(timestamp))
		return TIMESTAMP_IS_NOEND(timestamp) ?
			get_float8_infinity() : -get_float8_infinity();
	if (likely(!pg_add_s64_overflow(timestamp, EPOCH_DAYS * USECS_PER_DAY,
									&since_1970)))
		return seconds(since_1970);
	/* the last 30 years of year 294276: beyond int64, but not beyond uint64 */
	return kseg_decimal_double((uint64) timestamp +
						  (uint64) (EPOCH_DAYS * USECS_PER_DAY), -6);
}

static double
interval_double(const Interval *interval)
{
	int64		quarter_days;
	int64		total;
	Datum		unit;
	Datum		numeric;
	double		result;

	if (kseg_interval_infinity(interval) != 0)
		return kseg_interval_infinity(interval) * get_float8_infinity();

	/* a year has 365.25 days and a month 30: exact in quarters of a day */
	quarter_days = (int64) (4 * DAYS_PER_YEAR) *
		(interval->month / MONTHS_PER_YEAR) +
		(int64) (4 * DAYS_PER_MONTH) * (interval->month % MONTHS_PER_YEAR) +
		(int64) 4 * interval->day;
	if (likely(!pg_mul_s64_overflow(quarter_days, USECS_PER_DAY / 4, &total) &&
			   !pg_add_s64_overflow(total, interval->time, &total)))
		return seconds(total);

	/* beyond 290,000 years */
	unit = PointerGetDatum(cstring_to_text("epoch"));
	numeric = DirectFunctionCall2(extract_interval, unit,
								  IntervalPGetDatum(interval));
	result = kseg_numeric_double(numeric);
	pfree(DatumGetPointer(numeric));
	pfree(DatumGetPointer(unit));
	return result;
}

/* ---- columns ---- */

/* How to read a type; false if it is none of ours. */
static bool
find_reader(Oid type, ColumnRead *reader, KmKind *kind)
{
	static const struct
	{
		Oid			type;
		ColumnRead	reader;
		KmKind		kind;
	}			readers[] = {
		{INT2OID, READ_INT2, KM_NUMBER},
		{INT4OID, READ_INT4, KM_NUMBER},
		{INT8OID, READ_INT8, KM_NUMBER},
		{FLOAT4OID, READ_FLOAT4, KM_NUMBER},
		{FLOAT8OID, READ_FLOAT8, KM_NUMBER},
		{NUMERICOID, READ_NUMERIC, KM_NUMBER},
		{BOOLOID, READ_BOOL, KM_BOOLEAN},
		{DATEOID, READ_DATE, KM_MOMENT},
		{TIMESTAMPOID, READ_TIMESTAMP, KM_MOMENT},
		{TIMESTAMPTZOID, READ_TIMESTAMP, KM_MOMENT},
		{INTERVALOID, READ_INTERVAL, KM_INTERVAL},
		{TEXTOID, READ_TEXT, KM_CATEGORY},
		{VARCHAROID, READ_TEXT, KM_CATEGORY},
		{BPCHAROID, READ_BPCHAR, KM_CATEGORY},
		{NAMEOID, READ_NAME, KM_CATEGORY},
		{UNKNOWNOID, READ_CSTRING, KM_CATEGORY},
	};

	for (int i = 0; i < lengthof(readers); i++)
	{
		if (readers[i].type == type)
		{
			*reader = readers[i].reader;
			*kind = readers[i].kind;
			return true;
		}
	}
	*reader = READ_ENUM;
	*kind = KM_CATEGORY;
	return get_typtype(type) == TYPTYPE_ENUM;
}

void
kseg_column_init(KsegColumn *column, const char *name, Oid type,
				 MemoryContext context)
{
	ColumnRead	reader;

	memset(column, 0, sizeof(KsegColumn));
	column->name = name;
	column->type = getBaseType(type);
	column->context = context;
	if (!find_reader(column->type, &reader, &column->kind))
		kseg_error_unsupported_type(name, type);
	column->read = reader;
}

pg_noreturn static void
raise_not_finite(const KsegColumn *column, Datum value, double result)
{
	/* a numeric can be finite and yet beyond double */
	if (column->read == READ_NUMERIC &&
		!numeric_is_nan(DatumGetNumeric(value)) &&
		!numeric_is_inf(DatumGetNumeric(value)))
		kseg_error_out_of_range(column->name);
	kseg_error_not_finite(column->name, result);
}

double
kseg_column_read(KsegColumn *column, Datum value)
{
	double		result;

	switch ((ColumnRead) column->read)
	{
		case READ_INT2:
			return DatumGetInt16(value);
		case READ_INT4:
			return DatumGetInt32(value);
		case READ_INT8:
			return (double) DatumGetInt64(value);
		case READ_FLOAT4:
			result = DatumGetFloat4(value);
			break;
		case READ_FLOAT8:
			result = DatumGetFloat8(value);
			break;
		case READ_NUMERIC:
			result = kseg_numeric_double(value);
			break;
		case READ_BOOL:
			return DatumGetBool(value) ? 1 : 0;
		case READ_DATE:
			result = date_double(DatumGetDateADT(value));
			break;
		case READ_TIMESTAMP:
			result = timestamp_double(DatumGetTimestamp(value));
			break;
		case READ_INTERVAL:
			result = interval_double(DatumGetIntervalP(value));
			break;
		case READ_TEXT:
		case READ_BPCHAR:
		case READ_NAME:
		case READ_CSTRING:
		case READ_ENUM:
			return category_code(column, value);
		default:
			elog(ERROR, "unexpected column reader: %d", column->read);
	}

	if (unlikely(!isfinite(result)))
		raise_not_finite(column, value, result);
	/* adding zero turns -0 into 0: equal values shall have equal bits */
	return result + 0.0;
}

const char *
kseg_column_text(KsegColumn *column, Datum value, int *length)
{
	const char *bytes;
	int			code;

	if (unlikely(column->fetched != NULL))
		release_fetched(column);
	if (column->read != READ_ENUM)
		return category_bytes(column, value, length);

	/* the dictionary spares the catalog a look-up per row */
	code = category_code(column, value);
	bytes = kseg_dictionary_name(column->dictionary, code);
	*length = (int) strlen(bytes);
	return bytes;
}

void
kseg_column_categories(KsegColumn *column, int *ncategories,
					   char ***categories, int **recode)
{
	kseg_dictionary_sort(column->dictionary, ncategories, categories, recode);
}

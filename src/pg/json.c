/*
 * json.c
 *		Reading values out of jsonb, for options and models.
 *
 * Nested values are always jbvBinary here: they point into the jsonb they
 * came from, which has to stay.  Numbers go through their decimal text in
 * both directions, so that a double printed in its shortest form comes back
 * as the same double.
 */
#include "postgres.h"

#include <errno.h>
#include <math.h>

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "json.h"

/*
 * Longest piece of a user's value that a message repeats, in bytes; arrays
 * and objects count as jsonb stores them.
 */
#define DESCRIBE_MAX	60

Jsonb *
kseg_json_parse(const char *text)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
											  CStringGetDatum(text)));
}

char *
kseg_json_print(Jsonb *json)
{
	return JsonbToCString(NULL, &json->root, VARSIZE(json));
}

bool
kseg_json_double(const JsonbValue *value, double *result)
{
	Datum		number;

	if (value->type != jbvNumeric)
		return false;
	number = NumericGetDatum(value->val.numeric);
	/* the usual conversion would raise on 1e400 without saying where */
	*result = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
												 number));
	/* a number that rounds to -0 must not come out as one */
	if (*result == 0)
		*result = 0;
	return isfinite(*result);
}

bool
kseg_json_integer(const JsonbValue *value, int64 min, int64 max,
				  int64 *result)
{
	char	   *text;
	char	   *end;
	bool		whole;

	if (value->type != jbvNumeric)
		return false;
	/* without trailing zeros, so that 5.0 is whole */
	text = numeric_normalize(value->val.numeric);
	errno = 0;
	*result = strtoll(text, &end, 10);
	whole = errno == 0 && *end == '\0';
	pfree(text);
	return whole && *result >= min && *result <= max;
}

char *
kseg_json_string(const JsonbValue *value)
{
	if (value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

int
kseg_json_array_length(const JsonbValue *value)
{
	if (value->type != jbvBinary ||
		!JsonContainerIsArray(value->val.binary.data) ||
		JsonContainerIsScalar(value->val.binary.data))
		return -1;
	return JsonContainerSize(value->val.binary.data);
}

int
kseg_json_object_length(const JsonbValue *value)
{
	if (value->type != jbvBinary ||
		!JsonContainerIsObject(value->val.binary.data))
		return -1;
	return JsonContainerSize(value->val.binary.data);
}

JsonbIterator *
kseg_json_iterate(const JsonbValue *container)
{
	JsonbIterator *iterator;
	JsonbValue	start;

	Assert(container->type == jbvBinary);
	iterator = JsonbIteratorInit(container->val.binary.data);
	(void) JsonbIteratorNext(&iterator, &start, true);
	return iterator;
}

bool
kseg_json_next(JsonbIterator **iterator, JsonbValue *element)
{
	return JsonbIteratorNext(iterator, element, true) == WJB_ELEM;
}

bool
kseg_json_next_pair(JsonbIterator **iterator, JsonbValue *key,
					JsonbValue *value)
{
	if (JsonbIteratorNext(iterator, key, true) != WJB_KEY)
		return false;
	(void) JsonbIteratorNext(iterator, value, true);
	return true;
}

bool
kseg_json_find(const JsonbValue *object, const char *key, JsonbValue *value)
{
	Assert(kseg_json_object_length(object) >= 0);
	return getKeyJsonValueFromContainer(object->val.binary.data, key,
										strlen(key), value) != NULL;
}

char *
kseg_json_describe(const JsonbValue *value)
{
	char	   *text;
	int			length;

	switch (value->type)
	{
		case jbvNull:
			return pstrdup("null");
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		case jbvNumeric:
			text = numeric_normalize(value->val.numeric);
			if (strlen(text) > DESCRIBE_MAX)
				return psprintf("%.*s...", DESCRIBE_MAX, text);
			return text;
		case jbvString:
			length = value->val.string.len;
			if (length <= DESCRIBE_MAX)
				return psprintf("\"%.*s\"", length, value->val.string.val);
			length = pg_mbcliplen(value->val.string.val, length,
								  DESCRIBE_MAX);
			return psprintf("\"%.*s...\"", length, value->val.string.val);
		case jbvArray:
			return pstrdup("an array");
		case jbvObject:
			return pstrdup("an object");
		case jbvBinary:
			if (value->val.binary.len <= DESCRIBE_MAX)
				return JsonbToCString(NULL, value->val.binary.data,
									  value->val.binary.len);
			if (kseg_json_object_length(value) >= 0)
				return pstrdup("an object");
			return psprintf("an array of length %d",
							kseg_json_array_length(value));
		case jbvDatetime:
			break;
	}
	elog(ERROR, "unexpected kind of jsonb value: %d", (int) value->type);
}

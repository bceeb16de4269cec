/*
 * json.h
 *		Reading values out of jsonb, for options and models.
 *
 * The readers answer whether a value is what was asked for and never raise;
 * what to say is up to the caller, who knows the key.
 */
#ifndef KSEG_JSON_H
#define KSEG_JSON_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/* jsonb made by the server's own parser, and its text */
extern Jsonb *kseg_json_parse(const char *text);
extern char *kseg_json_print(Jsonb *json);

/* a number, finite as a double */
extern bool kseg_json_double(const JsonbValue *value, double *result);

/* a whole number within [min, max] */
extern bool kseg_json_integer(const JsonbValue *value, int64 min, int64 max,
							  int64 *result);

/* palloc'd copy of a string; NULL if it is none */
extern char *kseg_json_string(const JsonbValue *value);

/* number of elements (or pairs), -1 if it is no array (no object) */
extern int	kseg_json_array_length(const JsonbValue *value);
extern int	kseg_json_object_length(const JsonbValue *value);

/* an iterator over an array's elements or an object's pairs */
extern JsonbIterator *kseg_json_iterate(const JsonbValue *container);
extern bool kseg_json_next(JsonbIterator **iterator, JsonbValue *element);
extern bool kseg_json_next_pair(JsonbIterator **iterator, JsonbValue *key,
								JsonbValue *value);

/* the value of a key in an object; false if there is none */
extern bool kseg_json_find(const JsonbValue *object, const char *key,
						   JsonbValue *value);

/* for messages: the value itself if it is short, or what it is */
extern char *kseg_json_describe(const JsonbValue *value);

#endif							/* KSEG_JSON_H */

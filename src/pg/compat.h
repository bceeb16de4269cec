/*
 * compat.h
 *		What differs between the server versions kseg is built for (15 to 18).
 *
 * The only file in which PG_VERSION_NUM appears.  The rest is written for the
 * newest version; here older ones learn its names.
 */
#ifndef KSEG_COMPAT_H
#define KSEG_COMPAT_H

#include "common/jsonapi.h"
#include "mb/pg_wchar.h"
#include "utils/backend_status.h"
#include "utils/timestamp.h"

#if PG_VERSION_NUM < 150000
#error "kseg needs PostgreSQL 15 or newer"
#endif

/* split off postgres.h in 16 */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 18 has a prefix in place of pg_attribute_noreturn() */
#ifndef pg_noreturn
#define pg_noreturn __attribute__((noreturn))
#endif

/* 18 shows name and version of loaded modules */
#ifdef PG_MODULE_MAGIC_EXT
#define KSEG_MODULE_MAGIC \
	PG_MODULE_MAGIC_EXT(.name = "kseg", .version = KSEG_VERSION)
#else
#define KSEG_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/* 18 can leave room before the tuple */
#if PG_VERSION_NUM >= 180000
#define kseg_form_minimal_tuple(desc, values, nulls) \
	heap_form_minimal_tuple(desc, values, nulls, 0)
#else
#define kseg_form_minimal_tuple(desc, values, nulls) \
	heap_form_minimal_tuple(desc, values, nulls)
#endif

/* how a window function's object begins (cluster.c) has been looked up */
#define WINDOW_HEAD_IS_KNOWN	(PG_VERSION_NUM < 190000)

/* Is this JSON, every escape in it included?  Raises nothing but on a stack
 * too deep. */
static inline bool
kseg_is_json(char *text, int length)
{
	JsonLexContext *lexer;

#if PG_VERSION_NUM >= 170000
	lexer = makeJsonLexContextCstringLen(NULL, text, length,
										 GetDatabaseEncoding(), true);
#else
	lexer = makeJsonLexContextCstringLen(text, length,
										 GetDatabaseEncoding(), true);
#endif
	return pg_parse_json(lexer, &nullSemAction) == JSON_SUCCESS;
}

/* -1 or 1 for an infinite interval (17), 0 for a finite one */
static inline int
kseg_interval_infinity(const Interval *interval)
{
#if PG_VERSION_NUM >= 170000
	if (INTERVAL_NOT_FINITE(interval))
		return INTERVAL_IS_NOEND(interval) ? 1 : -1;
#endif
	return 0;
}

/* the i-th session's status, from 1; NULL if it has gone */
static inline const PgBackendStatus *
kseg_backend_status(int i)
{
#if PG_VERSION_NUM >= 160000
	LocalPgBackendStatus *local = pgstat_get_local_beentry_by_index(i);
#else
	LocalPgBackendStatus *local = pgstat_fetch_stat_local_beentry(i);
#endif

	return local == NULL ? NULL : &local->backendStatus;
}

#endif							/* KSEG_COMPAT_H */

/*
 * messages.h
 *		Every message of managed segmentations for their users, as
 *		../pg/errors.h for the rest.
 */
#ifndef MESSAGES_H
#define MESSAGES_H

#include "postgres.h"

#include "../pg/compat.h"

/* ---- which segmentation, and who may ---- */

pg_noreturn extern void kseg_error_segmentation_unknown(const char *name);
/* owner_only: no grant gives the right */
pg_noreturn extern void kseg_error_segmentation_right(const char *name,
													  bool owner_only);
pg_noreturn extern void kseg_error_segmentation_owner(const char *name);
pg_noreturn extern void kseg_error_version_unknown(const char *name,
												   int version);

/* ---- limits ---- */

pg_noreturn extern void kseg_error_unknown_limit(const char *option,
												 const char *limit,
												 const char *valid);

/* ---- runs ---- */

pg_noreturn extern void kseg_error_unknown_mode(const char *mode);
pg_noreturn extern void kseg_error_no_model(const char *name);
pg_noreturn extern void kseg_error_no_rows(const char *name);
pg_noreturn extern void kseg_error_no_earlier_version(const char *name,
													  int version);
pg_noreturn extern void kseg_error_segmentation_busy(const char *name);
/* an id beyond what the segment column's type holds */
pg_noreturn extern void kseg_error_id_range(const char *column, int id);

#endif							/* MESSAGES_H */

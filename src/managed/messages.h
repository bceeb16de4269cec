/*
 * messages.h
 *		Every message of managed segmentations for their users, as
 *		../pg/errors.h for the rest.
 */
#ifndef MESSAGES_H
#define MESSAGES_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "../pg/kseg.h"

/* ---- which segmentation, and who may ---- */

pg_noreturn extern void kseg_error_segmentation_unknown(const char *name);
/* owner_only: no grant gives the right */
pg_noreturn extern void kseg_error_segmentation_right(const char *name,
													  bool owner_only);
pg_noreturn extern void kseg_error_segmentation_owner(const char *name);
pg_noreturn extern void kseg_error_version_unknown(const char *name,
												   int version);

pg_noreturn extern void kseg_error_restricted(const char *function);

/* ---- queries that are registered ---- */

pg_noreturn extern void kseg_error_query_temporary(void);
pg_noreturn extern void kseg_error_query_differs(void);
/* function: with its schema and argument types */
pg_noreturn extern void kseg_error_query_captured(const char *name,
												  const char *function);
pg_noreturn extern void kseg_error_query_repeated(const char *column);
pg_noreturn extern void kseg_error_query_no_features(void);
pg_noreturn extern void kseg_error_key_list(const char *key,
											const KsegQuery *columns);
pg_noreturn extern void kseg_error_key_repeated(const char *column);

/* ---- what else kseg_create() is given ---- */

pg_noreturn extern void kseg_error_bad_name(const char *name);
pg_noreturn extern void kseg_error_name_taken(const char *name);
pg_noreturn extern void kseg_error_hysteresis(double value);
pg_noreturn extern void kseg_error_keep(void);
/* an option for a single fit */
pg_noreturn extern void kseg_error_kept_option(const char *option);

/* ---- keys ---- */

pg_noreturn extern void kseg_error_key_type(const char *column, Oid type);
pg_noreturn extern void kseg_error_key_null(const char *column, int64 rows);
/* columns: quoted; values and times: text */
pg_noreturn extern void kseg_error_key_twice(const char **columns, int n,
											 const char *values,
											 const char *times);
pg_noreturn extern void kseg_error_key_not_in_target(const char *column,
													 const char *relation);
pg_noreturn extern void kseg_error_key_types(const char *column, Oid given,
											 Oid expected,
											 const char *relation);
/* name: qualified and quoted */
pg_noreturn extern void kseg_error_key_index(const char *name,
											 const char *relation,
											 char **columns, int n);
pg_noreturn extern void kseg_error_key_nullable(const char *column,
												const char *name,
												const char *relation);
pg_noreturn extern void kseg_error_keys_elsewhere(const char **columns, int n,
												  int64 rows,
												  const char *relation);
extern void kseg_notice_keys_missing(int64 missing, int64 rows,
									 const char *relation);
/* for an error context callback */
extern void kseg_context_survey(void);

/* ---- targets ---- */

pg_noreturn extern void kseg_error_no_schema(void);
pg_noreturn extern void kseg_error_table_exists(const char *relation);
pg_noreturn extern void kseg_error_target_no_table(const char *relation,
												   char relkind);
pg_noreturn extern void kseg_error_target_temporary(const char *relation);
pg_noreturn extern void kseg_error_target_children(const char *relation,
												   const char *child);
pg_noreturn extern void kseg_error_target_deferred(const char *relation,
												   const char *trigger);
pg_noreturn extern void kseg_error_segment_column_missing(const char *column,
														  const char *relation);
pg_noreturn extern void kseg_error_segment_is_key(const char *column);
pg_noreturn extern void kseg_error_segment_is_feature(const char *column);
pg_noreturn extern void kseg_error_segment_generated(const char *column);
pg_noreturn extern void kseg_error_segment_not_null(const char *column);
pg_noreturn extern void kseg_error_column_taken(const char *column,
												const char *relation);
extern void kseg_notice_table_kept(const char *relation);

/* ---- grants ---- */

pg_noreturn extern void kseg_error_unknown_privilege(const char *privilege);

/* ---- labels ---- */

/* ids: those there are, as "1, 2, 5" */
pg_noreturn extern void kseg_error_segment_unknown(const char *name,
												   int segment,
												   const char *ids);
pg_noreturn extern void kseg_error_label_empty(void);
pg_noreturn extern void kseg_error_label_long(int length, int most);
pg_noreturn extern void kseg_error_label_lines(void);
/* other: the segment that has it; is_over: that one has ended */
pg_noreturn extern void kseg_error_label_taken(const char *name,
											   const char *label, int other,
											   bool is_over);

/* ---- history ---- */

pg_noreturn extern void kseg_error_run_unknown(const char *name, int64 run);
pg_noreturn extern void kseg_error_period(TimestampTz since,
										  TimestampTz until);

/* ---- limits ---- */

pg_noreturn extern void kseg_error_unknown_limit(const char *option,
												 const char *limit,
												 const char *valid);

/* ---- drift ---- */

/* feature: whose row it is; NULL: rows are missing, or there are too many */
pg_noreturn extern void kseg_error_baseline(const char *name, int version,
											const char *feature);

/* ---- runs ---- */

pg_noreturn extern void kseg_error_unknown_mode(const char *mode);
pg_noreturn extern void kseg_error_no_model(const char *name);
pg_noreturn extern void kseg_error_no_rows(const char *name);
pg_noreturn extern void kseg_error_no_earlier_version(const char *name,
													  int version);
/* an id beyond what the segment column's type holds */
pg_noreturn extern void kseg_error_id_range(const char *column, int id);

/* ---- customers of a night ---- */

pg_noreturn extern void kseg_error_members_no_target(const char *segmentation);
pg_noreturn extern void kseg_error_members_key_null(const char *key);
/* value: of the whole key */
pg_noreturn extern void kseg_error_members_key_twice(int nkeys,
													 const char *const *keys,
													 const char *value);
pg_noreturn extern void kseg_error_members_memory(int64 customers);

#endif							/* MESSAGES_H */

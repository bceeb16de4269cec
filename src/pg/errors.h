/*
 * errors.h
 *		Every message kseg has for its users, one function each.
 *
 * Wording lives in errors.c alone, so that it can be read, compared and
 * translated in one place.  Functions are named after what is wrong and take
 * the user's own names and numbers.  Those called kseg_error_... do not
 * return; kseg_notice_... do.  Mistakes of ours, not of users, are elog()s
 * where they are found.
 */
#ifndef KSEG_ERRORS_H
#define KSEG_ERRORS_H

#include "postgres.h"

#include "../core/km.h"
#include "compat.h"

/* ---- the core's statuses ---- */

pg_noreturn extern void kseg_raise(KmStatus status);

/* ---- number of segments ---- */

pg_noreturn extern void kseg_error_k_range(int64 k);
pg_noreturn extern void kseg_error_k_missing(void);
pg_noreturn extern void kseg_error_k_null(void);
pg_noreturn extern void kseg_error_k_differs(int argument, int option);
pg_noreturn extern void kseg_error_too_few_rows(int k, int64 distinct);

/* ---- features and their values ---- */

pg_noreturn extern void kseg_error_no_features(void);
pg_noreturn extern void kseg_error_too_many_features(int nfeatures);
pg_noreturn extern void kseg_error_too_many_categories(const char *column);
pg_noreturn extern void kseg_error_unsupported_type(const char *column,
													Oid type);
pg_noreturn extern void kseg_error_not_finite(const char *column,
											  double value);
pg_noreturn extern void kseg_error_out_of_range(const char *column);
pg_noreturn extern void kseg_error_array_shape(int ndims);
pg_noreturn extern void kseg_error_array_length(int length, int expected);
/* nulls => 'mean', but there is none */
pg_noreturn extern void kseg_error_only_nulls(const char *column);
pg_noreturn extern void kseg_error_row_weight_unknown(const char *name,
													  const char **columns,
													  int ncolumns);
pg_noreturn extern void kseg_error_row_weight_kind(const char *column,
												   Oid type);
pg_noreturn extern void kseg_error_row_weight_negative(const char *column,
													   double value);

/* ---- calls of aggregates and window functions ---- */

/* what: "number of segments", "options", "method" */
pg_noreturn extern void kseg_error_argument_null(const char *what);
pg_noreturn extern void kseg_error_argument_changed(const char *what);
pg_noreturn extern void kseg_error_not_aggregate(const char *function);
pg_noreturn extern void kseg_error_not_window(const char *function);

/* ---- notices of a fit ---- */

extern void kseg_notice_fewer_segments(int asked, int made);
/* columns: all with a single value, quoted and joined */
extern void kseg_notice_constant(const char *columns, int ncolumns);

/* ---- scalers ---- */

pg_noreturn extern void kseg_error_scaler_count(int given,
												const KmFeature *features,
												int nfeatures);
pg_noreturn extern void kseg_error_scaler_kind(const KmFeature *feature,
											   Oid type);
pg_noreturn extern void kseg_error_scaled_range(const char *feature);

/* ---- memory ---- */

pg_noreturn extern void kseg_error_work_mem(int64 rows, int nfeatures);
/* errno says why; done: what reading returned */
pg_noreturn extern void kseg_error_spill_write(const char *path);
pg_noreturn extern void kseg_error_spill_read(const char *path, int done);
/* needed: bytes, when the number of rows is known beforehand */
pg_noreturn extern void kseg_error_work_mem_known(int64 rows, int nfeatures,
												  Size needed);
pg_noreturn extern void kseg_error_pairs(int64 pairs);
pg_noreturn extern void kseg_error_centroids(int k, int width, Size needed);

/* ---- settings ---- */

/* detail of a check hook, which raises the error itself */
extern void kseg_detail_simd(void);

/* ---- options ---- */

/* valid: list of names, as the hint prints it */
pg_noreturn extern void kseg_error_unknown_option(const char *option,
												  const char *valid);
pg_noreturn extern void kseg_error_options_type(const char *found,
												const char *valid);

/* wanted: "a number between 0 and 1"; found: as kseg_json_describe() says */
pg_noreturn extern void kseg_error_bad_option(const char *option,
											  const char *wanted,
											  const char *found);
pg_noreturn extern void kseg_error_sample_below_k(int sample, int k);

/* an option names a feature that is none of the fit's */
pg_noreturn extern void kseg_error_no_such_feature(const char *option,
												   const char *name,
												   const KmFeature *features,
												   int nfeatures);
pg_noreturn extern void kseg_error_order_by_category(const char *name);
pg_noreturn extern void kseg_error_cosine_category(const char *name);
pg_noreturn extern void kseg_error_unknown_scale(const char *name,
												 const char *valid);

/* option "init"; centroids are counted from 1 */
pg_noreturn extern void kseg_error_init_count(int given, int k);
pg_noreturn extern void kseg_error_init_length(int centroid, int given,
											   const KmFeature *features,
											   int nfeatures);
pg_noreturn extern void kseg_error_init_missing(int centroid,
												const char *feature);
pg_noreturn extern void kseg_error_init_value(int centroid,
											  const char *feature,
											  const char *wanted,
											  const char *found);
pg_noreturn extern void kseg_error_init_category(int centroid,
												 const char *feature,
												 const char *category);
pg_noreturn extern void kseg_error_init_features(int given,
												 const KmFeature *features,
												 int nfeatures);
pg_noreturn extern void kseg_error_init_no_feature(const char *feature);
pg_noreturn extern void kseg_error_init_kind(const char *feature);
pg_noreturn extern void kseg_error_init_size(int k, int width);
pg_noreturn extern void kseg_error_init_previous(void);
pg_noreturn extern void kseg_error_previous_features(const KmModel *model,
													 const KmFeature *features,
													 int nfeatures);

/* ---- stored models ---- */

/* type: "kseg_model" or "kseg_scaler"; key: path as segments[2].size */
pg_noreturn extern void kseg_error_model_shape(const char *type,
											   const char *found);
pg_noreturn extern void kseg_error_model_key_missing(const char *type,
													 const char *key);
pg_noreturn extern void kseg_error_model_key_unknown(const char *type,
													 const char *key);
pg_noreturn extern void kseg_error_model_key(const char *type,
											 const char *key,
											 const char *wanted,
											 const char *found);
pg_noreturn extern void kseg_error_model_contradicts(const char *type);
pg_noreturn extern void kseg_error_model_version(const char *type,
												 const char *found);
pg_noreturn extern void kseg_error_model_binary(const char *type);
pg_noreturn extern void kseg_error_model_binary_string(const char *type);
pg_noreturn extern void kseg_error_model_binary_options(const char *type);
pg_noreturn extern void kseg_error_model_too_large(int k, int width);

/* ---- passes over rows that are elsewhere ---- */

/* type: "kseg_pass" or "kseg_state" */
pg_noreturn extern void kseg_error_bad_value(const char *type);
pg_noreturn extern void kseg_error_large_value(const char *type, Size size);
pg_noreturn extern void kseg_error_point_travels(void);
pg_noreturn extern void kseg_error_point_count(int ncolumns, int nfeatures);
pg_noreturn extern void kseg_error_point_encoding(int encoding);
pg_noreturn extern void kseg_error_other_pass(void);
pg_noreturn extern void kseg_error_pass_unknown(void);
pg_noreturn extern void kseg_error_rows_changed(void);
pg_noreturn extern void kseg_error_unknown_engine(const char *name,
												  const char *valid);
pg_noreturn extern void kseg_error_pushdown_here(void);
pg_noreturn extern void kseg_error_pushdown_volatile(void);
pg_noreturn extern void kseg_error_pushdown_wide(const char *column,
												 int limit);

/* ---- aligning ---- */

pg_noreturn extern void kseg_error_align_features(const KmModel *model,
												  const KmModel *old);
pg_noreturn extern void kseg_error_align_pairs(int k, int old_k);

/* ---- scoring ---- */

pg_noreturn extern void kseg_error_feature_count(const KmModel *model,
												 int given);
/* feature: counted from 0; type: what was given for it */
pg_noreturn extern void kseg_error_feature_kind(const KmModel *model,
												int feature, Oid type);

pg_noreturn extern void kseg_error_feature_array(Oid type);

/* ---- queries ---- */

pg_noreturn extern void kseg_error_null_argument(const char *argument);
pg_noreturn extern void kseg_error_query_empty(void);
pg_noreturn extern void kseg_error_query_many(int nstatements);
/* command: as its tag, INSERT */
pg_noreturn extern void kseg_error_query_kind(const char *command);
pg_noreturn extern void kseg_error_query_writes(const char *command);
pg_noreturn extern void kseg_error_query_locks(void);
/* what the column would be: "the key" */
pg_noreturn extern void kseg_error_query_column(const char *what,
												const char *name,
												int ncolumns,
												const char *const *names);
pg_noreturn extern void kseg_error_fit_json(void);
/* for an error context callback */
extern void kseg_hint_fit_text(void);
pg_noreturn extern void kseg_error_k_order(int k_min, int k_max);
pg_noreturn extern void kseg_error_elbow_init(void);
pg_noreturn extern void kseg_error_elbow_previous(void);
pg_noreturn extern void kseg_error_category_scaled(const char *column,
												   Oid type);
pg_noreturn extern void kseg_error_options_without_fit(void);

/* ---- projections ---- */

pg_noreturn extern void kseg_error_project_dims(int dims);
pg_noreturn extern void kseg_error_max_rows(int max_rows);
pg_noreturn extern void kseg_error_project_width(int width);
pg_noreturn extern void kseg_error_project_memory(int width);

/* ---- writing back ---- */

pg_noreturn extern void kseg_error_target_missing(Oid relation);
pg_noreturn extern void kseg_error_target_kind(const char *relation,
											   char relkind);
pg_noreturn extern void kseg_error_target_column(const char *relation,
												 const char *column);
pg_noreturn extern void kseg_error_same_column(const char *column);
pg_noreturn extern void kseg_error_column_is_feature(const char *column);
pg_noreturn extern void kseg_error_segment_type(const char *column, Oid type);
pg_noreturn extern void kseg_error_segment_range(const char *column,
												 int segment);
pg_noreturn extern void kseg_error_distance_type(const char *column,
												 Oid type);
pg_noreturn extern void kseg_error_feature_column(const char *relation,
												  const KmModel *model,
												  int feature);
pg_noreturn extern void kseg_error_features_count(const KmModel *model,
												  int given);
pg_noreturn extern void kseg_error_features_shape(void);
/* element: counted from 1 */
pg_noreturn extern void kseg_error_features_expression(int element,
													   const char *text);
pg_noreturn extern void kseg_error_apply_wide(const KmModel *model,
											  int feature, int limit);
pg_noreturn extern void kseg_error_function_hidden(Oid function);
pg_noreturn extern void kseg_error_apply_only(const char *function);

#endif							/* KSEG_ERRORS_H */

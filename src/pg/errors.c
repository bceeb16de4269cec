/*
 * errors.c
 *		Every message kseg has for its users, one function each.
 *
 * A primary message says what is wrong, with the user's names and numbers in
 * it; a hint says what to do about it.  Groups stand in the order of
 * errors.h; add to the group it belongs to.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

#include "errors.h"
#include "kseg.h"

/* a message that lists more names than this is not read to its end */
#define LIST_MAX	30

/* Names of features for a hint: age, income, ... */
static char *
list_features(const KmFeature *features, int nfeatures)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int f = 0; f < nfeatures && f < LIST_MAX; f++)
		appendStringInfo(&list, "%s\"%s\"", f > 0 ? ", " : "",
						 features[f].name);
	if (nfeatures > LIST_MAX)
		appendStringInfo(&list, " and %d more", nfeatures - LIST_MAX);
	return list.data;
}

/* ---- the core's statuses ---- */

/*
 * Where the caller knows more (a column's name, a row count) it raises the
 * particular error itself and comes here only for the rest.
 */
void
kseg_raise(KmStatus status)
{
	switch (status)
	{
		case KM_NO_MEMORY:
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory")));
			break;
		case KM_OVER_LIMIT:
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("the rows do not fit into \"kseg.work_mem\" (%d MB)",
							kseg_work_mem / 1024),
					 errhint("Raise \"kseg.work_mem\", or give fewer rows or features.")));
			break;
		case KM_CANCELLED:
			/* poll() of our host raises the cancel itself; see host.c */
			CHECK_FOR_INTERRUPTS();
			ereport(ERROR,
					(errcode(ERRCODE_QUERY_CANCELED),
					 errmsg("canceling statement due to user request")));
			break;
		case KM_NO_ROWS:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("there are no rows to segment")));
			break;
		case KM_TOO_FEW_ROWS:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("there are fewer distinct rows than segments"),
					 errhint("Ask for fewer segments, or leave out the option \"small\".")));
			break;
		case KM_TOO_WIDE:
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("the features have more than %d categories in all",
							KM_MAX_WIDTH),
					 errhint("Leave out features, or put rare categories together.")));
			break;
		case KM_NOT_FINITE:
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("values are too far apart, or too near zero, for double precision"),
					 errhint("Multiply or divide the column by a constant first, use the option \"clip\", or another scale than none.")));
			break;
		case KM_BAD_FORMAT:
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("stored model is damaged")));
			break;
		case KM_BAD_VERSION:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("model was made by another version of kseg"),
					 errhint("Fit again, or install the version of kseg that made it.")));
			break;
		case KM_NO_IDS:
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("there is no id left for a new segment")));
			break;
		case KM_NOTHING_SHARED:
		case KM_OK:
			break;
	}
	elog(ERROR, "unexpected status of the kseg core: %d", (int) status);
}

/* ---- number of segments ---- */

void
kseg_error_k_range(int64 k)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("number of segments must be between 1 and %d", KM_MAX_K),
			 errdetail("The argument \"k\" is %lld.", (long long) k),
			 errhint("Choose a number in this range; kseg_elbow() shows what each would give.")));
}

void
kseg_error_k_missing(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("number of segments is not given"),
			 errhint("Pass \"k\" as an argument, or set the option \"k\".")));
}

void
kseg_error_k_null(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("number of segments must not be null")));
}

void
kseg_error_k_differs(int argument, int option)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("number of segments is given twice: %d as argument, %d as option",
					argument, option),
			 errhint("Leave out one of them.")));
}

void
kseg_error_too_few_rows(int k, int64 distinct)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg_plural("cannot make %d segments from %lld distinct row",
						   "cannot make %d segments from %lld distinct rows",
						   (unsigned long) distinct,
						   k, (long long) distinct),
			 errhint("Ask for fewer segments, or give more rows.")));
}

/* ---- features and their values ---- */

void
kseg_error_no_features(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("at least one feature is needed"),
			 errhint("Name the columns to segment by, as in kseg_fit(5, age, income).")));
}

void
kseg_error_too_many_features(int nfeatures)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("too many features: %d, at most %d can be used",
					nfeatures, KM_MAX_FEATURES),
			 errhint("Leave out the features that matter least.")));
}

void
kseg_error_too_many_categories(const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("column \"%s\" has more than %d different values",
					column, KM_MAX_CATEGORIES),
			 errdetail("Text columns are categories."),
			 errhint("Leave the column out, cast it to a number, or put rare values together.")));
}

void
kseg_error_unsupported_type(const char *column, Oid type)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("column \"%s\" has type %s, which kseg cannot use",
					column, format_type_be(type)),
			 type_is_array_domain(type) ?
			 errhint("An array of features must be of type double precision[] and the only column.") :
			 errhint("Use numbers, booleans, dates, timestamps, intervals, text or enums, or cast the column to one of them.")));
}

void
kseg_error_not_finite(const char *column, double value)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("column \"%s\" holds %s", column,
					value != value ? "NaN" :
					value > 0 ? "infinity" : "-infinity"),
			 errhint("Filter such rows, or replace the value with nullif().")));
}

void
kseg_error_out_of_range(const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("column \"%s\" holds a value beyond the range of double precision",
					column),
			 errhint("Divide the column by a large number, or take its logarithm.")));
}

void
kseg_error_array_shape(int ndims)
{
	ereport(ERROR,
			(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
			 errmsg("array of features must have one dimension, not %d",
					ndims)));
}

void
kseg_error_array_length(int length, int expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
			 errmsg_plural("array of features has %d element, not %d as the first one",
						   "array of features has %d elements, not %d as the first one",
						   length, length, expected),
			 errhint("Every row must have the same features; put a null where a value is missing.")));
}

void
kseg_error_only_nulls(const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("column \"%s\" holds only nulls", column),
			 errdetail("With the option \"nulls\" set to \"mean\", nulls are replaced by what the other rows hold."),
			 errhint("Leave the column out, or replace the nulls with coalesce().")));
}

void
kseg_error_row_weight_unknown(const char *name, const char **columns,
							  int ncolumns)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < ncolumns; i++)
		appendStringInfo(&list, "%s\"%s\"", i > 0 ? ", " : "", columns[i]);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"row_weight\" names \"%s\", which is no column",
					name),
			 errhint("The columns are %s.", list.data)));
}

void
kseg_error_row_weight_kind(const char *column, Oid type)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" cannot weigh rows: it has type %s",
					column, format_type_be(type)),
			 errhint("The option \"row_weight\" must name a column of numbers.")));
}

void
kseg_error_row_weight_negative(const char *column, double value)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("column \"%s\" holds the negative row weight %g",
					column, value),
			 errhint("A row of weight 0 or null is left out.")));
}

/* ---- calls of aggregates and window functions ---- */

void
kseg_error_argument_null(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("%s must not be null", what)));
}

void
kseg_error_argument_changed(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s must be the same in all rows of a group", what),
			 errhint("Give a constant, or group by what it depends on.")));
}

void
kseg_error_not_aggregate(const char *function)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s must be called as part of an aggregate", function)));
}

void
kseg_error_not_window(const char *function)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s must be called as a window function", function),
			 errhint("Add an OVER clause.")));
}

/* ---- notices of a fit ---- */

void
kseg_notice_fewer_segments(int asked, int made)
{
	ereport(NOTICE,
			(errmsg_plural("made %d segment, not %d: there are no more distinct rows",
						   "made %d segments, not %d: there are no more distinct rows",
						   made, made, asked)));
}

void
kseg_notice_constant(const char *columns, int ncolumns)
{
	ereport(NOTICE,
			(errmsg_plural("column %s has the same value in all rows and tells no segments apart",
						   "columns %s have the same value in all rows and tell no segments apart",
						   ncolumns, columns)));
}

/* ---- scalers ---- */

void
kseg_error_scaler_count(int given, const KmFeature *features, int nfeatures)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg_plural("scaler expects %d feature, not %d",
						   "scaler expects %d features, not %d",
						   nfeatures, nfeatures, given),
			 errhint("The features are %s.",
					 list_features(features, nfeatures))));
}

void
kseg_error_scaler_kind(const KmFeature *feature, Oid type)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("feature \"%s\" of the scaler is a %s, but the argument has type %s",
					feature->name, kseg_kind_name(feature->kind),
					format_type_be(type))));
}

void
kseg_error_scaled_range(const char *feature)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("value of \"%s\" is out of range once it is scaled",
					feature)));
}

/* ---- memory ---- */

void
kseg_error_work_mem(int64 rows, int nfeatures)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg_plural("\"kseg.work_mem\" (%d MB) is full after %lld rows of %d feature",
						   "\"kseg.work_mem\" (%d MB) is full after %lld rows of %d features",
						   nfeatures,
						   kseg_work_mem / 1024, (long long) rows, nfeatures),
			 errhint("Raise \"kseg.work_mem\", or give fewer rows or features.")));
}

void
kseg_error_spill_write(const char *path)
{
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not write to temporary file \"%s\": %m", path),
			 errhint("Rows beyond \"kseg.work_mem\" (%d MB) go to temporary files.",
					 kseg_work_mem / 1024)));
}

void
kseg_error_spill_read(const char *path, int done)
{
	if (done < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read temporary file \"%s\": %m", path)));
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("temporary file \"%s\" is shorter than it was", path)));
}

void
kseg_error_work_mem_known(int64 rows, int nfeatures, Size needed)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg_plural("%lld rows of %d feature do not fit into \"kseg.work_mem\" (%d MB)",
						   "%lld rows of %d features do not fit into \"kseg.work_mem\" (%d MB)",
						   nfeatures,
						   (long long) rows, nfeatures, kseg_work_mem / 1024),
			 errhint("Set \"kseg.work_mem\" to at least %d MB, or give fewer rows or features.",
					 (int) (needed / (1024 * 1024)) + 1)));
}

void
kseg_error_centroids(int k, int width, Size needed)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("%d segments of %d values do not fit into \"kseg.work_mem\" (%d MB)",
					k, width, kseg_work_mem / 1024),
			 errhint("Set \"kseg.work_mem\" to at least %d MB, or ask for fewer segments.",
					 (int) (needed / (1024 * 1024)) + 1)));
}

void
kseg_error_pairs(int64 pairs)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("more than %lld different pairs of segments do not fit into \"kseg.work_mem\" (%d MB)",
					(long long) pairs - 1, kseg_work_mem / 1024),
			 errhint("Pass the numbers of segments, not of rows, or raise \"kseg.work_mem\".")));
}

/* ---- settings ---- */

void
kseg_detail_simd(void)
{
	GUC_check_errdetail("This processor or build does not have these instructions.");
}

/* ---- options ---- */

void
kseg_error_unknown_option(const char *option, const char *valid)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown option \"%s\"", option),
			 errhint("Valid options are %s.", valid)));
}

void
kseg_error_options_type(const char *found, const char *valid)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("options must be a JSON object, not %s", found),
			 errhint("Write them as in {\"k\": 5, \"scale\": \"robust\"}. Valid options are %s.",
					 valid)));
}

void
kseg_error_bad_option(const char *option, const char *wanted,
					  const char *found)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"%s\" must be %s, not %s",
					option, wanted, found)));
}

void
kseg_error_sample_below_k(int sample, int k)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"sample\" must be at least the number of segments"),
			 errdetail("A sample of %d rows cannot make %d segments.",
					   sample, k)));
}

void
kseg_error_no_such_feature(const char *option, const char *name,
						   const KmFeature *features, int nfeatures)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"%s\" names \"%s\", which is no feature",
					option, name),
			 errhint("The features are %s.",
					 list_features(features, nfeatures))));
}

void
kseg_error_order_by_category(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"order_by\" names \"%s\", which is a category",
					name),
			 errhint("Order by \"size\" or by a feature that is a number.")));
}

void
kseg_error_cosine_category(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("option \"distance\" cannot be \"cosine\", since \"%s\" is a category",
					name),
			 errdetail("Angles are measured between numbers only."),
			 errhint("Leave the column out, or use the euclidean distance.")));
}

void
kseg_error_unknown_scale(const char *name, const char *valid)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown scaling method \"%s\"", name),
			 errhint("Valid methods are %s.", valid)));
}

void
kseg_error_init_count(int given, int k)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg_plural("option \"init\" has %d centroid, but %d segments are asked for",
						   "option \"init\" has %d centroids, but %d segments are asked for",
						   given, given, k)));
}

void
kseg_error_init_length(int centroid, int given, const KmFeature *features,
					   int nfeatures)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("centroid %d of option \"init\" must have %d values, not %d",
					centroid, nfeatures, given),
			 errhint("The features are %s.",
					 list_features(features, nfeatures))));
}

void
kseg_error_init_missing(int centroid, const char *feature)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("centroid %d of option \"init\" has no value for \"%s\"",
					centroid, feature)));
}

void
kseg_error_init_value(int centroid, const char *feature, const char *wanted,
					  const char *found)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("centroid %d of option \"init\" must have %s for \"%s\", not %s",
					centroid, wanted, feature, found)));
}

void
kseg_error_init_category(int centroid, const char *feature,
						 const char *category)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("centroid %d of option \"init\" has \"%s\" for \"%s\", which no row has",
					centroid, category, feature)));
}

void
kseg_error_init_features(int given, const KmFeature *features, int nfeatures)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("model of option \"init\" must have %d features, not %d",
					nfeatures, given),
			 errhint("The features are %s.",
					 list_features(features, nfeatures))));
}

void
kseg_error_init_no_feature(const char *feature)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("model of option \"init\" has no feature \"%s\"",
					feature)));
}

void
kseg_error_init_kind(const char *feature)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("model of option \"init\" has another kind of values for \"%s\"",
					feature)));
}

void
kseg_error_init_size(int k, int width)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("%d centroids of %d values do not fit into \"kseg.work_mem\" (%d MB)",
					k, width, kseg_work_mem / 1024),
			 errhint("Raise \"kseg.work_mem\", or ask for fewer segments.")));
}

void
kseg_error_init_previous(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("options \"init\" and \"previous\" cannot be used together"),
			 errhint("A fit with \"previous\" starts from the centroids of that model, and from others.")));
}

void
kseg_error_previous_features(const KmModel *model, const KmFeature *features,
							 int nfeatures)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("model of option \"previous\" has no feature in common with the rows"),
			 errdetail("The model has %s; the rows have %s.",
					   list_features(model->features, model->nfeatures),
					   list_features(features, nfeatures)),
			 errhint("Features go together when they have the same name and the same kind of values.")));
}

/* ---- stored models ---- */

void
kseg_error_model_shape(const char *type, const char *found)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid %s: it must be a JSON object, not %s",
					type, found)));
}

void
kseg_error_model_key_missing(const char *type, const char *key)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid %s: key \"%s\" is missing", type, key)));
}

void
kseg_error_model_key_unknown(const char *type, const char *key)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid %s: key \"%s\" does not belong there",
					type, key)));
}

void
kseg_error_model_key(const char *type, const char *key, const char *wanted,
					 const char *found)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid %s: key \"%s\" must be %s, not %s",
					type, key, wanted, found)));
}

void
kseg_error_model_contradicts(const char *type)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid %s: its numbers contradict each other", type),
			 errhint("Copy the value again from where it was made, and do not edit it.")));
}

void
kseg_error_model_version(const char *type, const char *found)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s was made by another version of kseg", type),
			 errdetail("Its format is %s; this version reads format %d.",
					   found, KM_FORMAT),
			 errhint("Fit again, or install the version of kseg that made it.")));
}

void
kseg_error_model_binary(const char *type)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid binary %s: it is damaged or cut off", type),
			 errhint("Copy the value again from where it was made, as a whole.")));
}

void
kseg_error_model_binary_string(const char *type)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid binary %s: a name is not valid in encoding \"%s\"",
					type, GetDatabaseEncodingName())));
}

void
kseg_error_model_binary_options(const char *type)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid binary %s: its options are not as kseg writes them",
					type)));
}

void
kseg_error_model_too_large(int k, int width)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("a model of %d segments and %d values each is too large to be stored",
					k, width),
			 errdetail("A value may have 1 GB."),
			 errhint("Ask for fewer segments, or put rare categories together.")));
}

/* ---- passes over rows that are elsewhere ---- */

void
kseg_error_bad_value(const char *type)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid value of type %s", type),
			 errdetail("It was not made by this version of kseg on a machine of this kind, or was changed since.")));
}

void
kseg_error_large_value(const char *type, Size size)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("a value of type %s would take %zu bytes", type, size),
			 errhint("Ask for fewer segments, a smaller \"sample\", or use the engine \"memory\".")));
}

void
kseg_error_point_travels(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a kseg_point exists only between kseg_point() and kseg_accum()")));
}

void
kseg_error_point_count(int ncolumns, int nfeatures)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("the pass expects another number of columns than %d",
					ncolumns),
			 errdetail("It has %d features.", nfeatures)));
}

void
kseg_error_point_encoding(int encoding)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("categories of a database with encoding \"%s\" cannot be merged with those of one with \"%s\"",
					GetDatabaseEncodingName(),
					pg_encoding_to_char(encoding)),
			 errhint("Use the engine \"memory\", or databases of the same encoding.")));
}

void
kseg_error_other_pass(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("states of different passes cannot be merged")));
}

void
kseg_error_pass_unknown(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the pass of this row is not known in this transaction"),
			 errdetail("A kseg_point has to be used where kseg_point() made it.")));
}

void
kseg_error_rows_changed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("the rows of the query changed while they were read"),
			 errdetail("The engine \"pushdown\" reads them several times."),
			 errhint("Try again, keep writers away meanwhile, or use the engine \"memory\".")));
}

void
kseg_error_unknown_engine(const char *name, const char *valid)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown engine \"%s\"", name),
			 errhint("Valid engines are %s.", valid)));
}

void
kseg_error_pushdown_here(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("the engine \"pushdown\" cannot be used here"),
			 errdetail("Only kseg_fit(), kseg_elbow() and kseg_evaluate() of a query can."),
			 errhint("Fit with kseg_fit() of a query, then score with the model.")));
}

void
kseg_error_pushdown_volatile(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("the engine \"pushdown\" needs a query that returns the same rows each time"),
			 errdetail("The query calls a volatile function."),
			 errhint("Use the engine \"memory\", which reads the rows once.")));
}

void
kseg_error_pushdown_wide(const char *column, int limit)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the engine \"pushdown\" takes more than %d columns only if all are numbers",
					limit),
			 errdetail("Column \"%s\" is none.", column)));
}

/* ---- aligning ---- */

void
kseg_error_align_features(const KmModel *model, const KmModel *old)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("models have no feature in common"),
			 errdetail("The new one has %s; the old one has %s.",
					   list_features(model->features, model->nfeatures),
					   list_features(old->features, old->nfeatures)),
			 errhint("Features go together when they have the same name and the same kind of values.")));
}

void
kseg_error_align_pairs(int k, int old_k)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("comparing %d with %d segments does not fit into \"kseg.work_mem\" (%d MB)",
					k, old_k, kseg_work_mem / 1024),
			 errhint("Raise \"kseg.work_mem\".")));
}

/* ---- scoring ---- */

/* "age" (number), "gender" (category) */
static char *
list_features_and_kinds(const KmModel *model)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int f = 0; f < Min(model->nfeatures, LIST_MAX); f++)
		appendStringInfo(&list, "%s\"%s\" (%s)", f > 0 ? ", " : "",
						 model->features[f].name,
						 kseg_kind_name(model->features[f].kind));
	if (model->nfeatures > LIST_MAX)
		appendStringInfo(&list, " and %d more", model->nfeatures - LIST_MAX);
	return list.data;
}

void
kseg_error_feature_count(const KmModel *model, int given)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg_plural("model expects %d feature, not %d",
						   "model expects %d features, not %d",
						   model->nfeatures, model->nfeatures, given),
			 errdetail("The model's features are %s.",
					   list_features_and_kinds(model)),
			 errhint("Give a value for each of them, in this order.")));
}

void
kseg_error_feature_kind(const KmModel *model, int feature, Oid type)
{
	static const char *const wanted[] = {
		[KM_NUMBER] = "a number",
		[KM_BOOLEAN] = "a boolean",
		[KM_MOMENT] = "a date or timestamp",
		[KM_INTERVAL] = "an interval",
		[KM_CATEGORY] = "a text or enum",
	};

	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("feature \"%s\" of the model must be %s, not %s",
					model->features[feature].name,
					wanted[model->features[feature].kind],
					format_type_be(type)),
			 errdetail("The model's features are %s.",
					   list_features_and_kinds(model)),
			 errhint("Give the features in the order of the model, and cast them if need be.")));
}

void
kseg_error_feature_array(Oid type)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("an array of all features must be double precision[], not %s",
					format_type_be(type)),
			 errhint("Cast the array, or give the features one by one.")));
}

/* ---- queries ---- */

void
kseg_error_null_argument(const char *argument)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("argument \"%s\" must not be null", argument)));
}

void
kseg_error_query_empty(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("query is empty"),
			 errhint("Pass the text of a SELECT.")));
}

void
kseg_error_query_many(int nstatements)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("query holds %d statements, but must be one SELECT",
					nstatements),
			 errhint("Run the others before, and give only the SELECT.")));
}

void
kseg_error_query_kind(const char *command)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("query must be one SELECT, not %s", command),
			 errhint("VALUES, TABLE and WITH ... SELECT can be used as well.")));
}

void
kseg_error_query_writes(const char *command)
{
	ereport(ERROR,
			(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
			 errmsg("query must not change data, but holds %s", command),
			 errhint("Change the data in a statement before.")));
}

void
kseg_error_query_locks(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
			 errmsg("query must not lock rows"),
			 errhint("Leave out FOR UPDATE or FOR SHARE.")));
}

void
kseg_error_query_column(const char *what, const char *name, int ncolumns,
						const char *const *names)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < Min(ncolumns, LIST_MAX); i++)
		appendStringInfo(&list, "%s\"%s\"", i > 0 ? ", " : "", names[i]);
	if (ncolumns > LIST_MAX)
		appendStringInfo(&list, " and %d more", ncolumns - LIST_MAX);

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("query has no column \"%s\", which is %s", name, what),
			 ncolumns > 0 ?
			 errhint("The query's columns are %s.", list.data) :
			 errhint("The query has no columns.")));
}

void
kseg_error_fit_json(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("options without a type are taken for a query"),
			 errhint("Write kseg_options(k => 5), or cast the text: '{\"k\": 5}'::jsonb.")));
}

void
kseg_hint_fit_text(void)
{
	errhint("With a text as its first argument, kseg_fit() runs a query. To fit columns, begin with the number of segments: kseg_fit(5, age, income).");
}

void
kseg_error_k_order(int k_min, int k_max)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"k_min\" (%d) must not be greater than \"k_max\" (%d)",
					k_min, k_max)));
}

void
kseg_error_elbow_init(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"init\" cannot be used to compare numbers of segments"),
			 errdetail("Its centroids are of one number of segments only.")));
}

void
kseg_error_elbow_previous(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"previous\" cannot be used to compare numbers of segments"),
			 errdetail("It would favour the number that its model has.")));
}

void
kseg_error_category_scaled(const char *column, Oid type)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" has type %s, which cannot be scaled",
					column, format_type_be(type)),
			 errhint("Scaling is for numbers, booleans, dates, timestamps and intervals.")));
}

void
kseg_error_options_without_fit(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("options have no effect on a model that is fitted already"),
			 errhint("Give them when the model is fitted.")));
}

/* ---- projections ---- */

void
kseg_error_project_dims(int dims)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("number of dimensions to show must be 2 or 3, not %d",
					dims),
			 errhint("Pass 2 for the columns x and y, or 3 for z as well.")));
}

void
kseg_error_max_rows(int max_rows)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("number of rows to show must be at least 1, not %d",
					max_rows),
			 errhint("Leave out \"max_rows\" for all rows.")));
}

void
kseg_error_project_width(int width)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("rows of %d dimensions are too wide for a projection, whose limit is %d",
					width, KM_PCA_MAX_WIDTH),
			 errdetail("Each numeric feature is a dimension, and each category that occurs."),
			 errhint("Use a model with fewer features, or put rare categories together.")));
}

void
kseg_error_project_memory(int width)
{
	double		needed = km_pca_bytes(width);

	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("the covariances of %d dimensions do not fit into \"kseg.work_mem\" (%d MB)",
					width, kseg_work_mem / 1024),
			 errdetail("Each numeric feature is a dimension, and each category that occurs."),
			 errhint("Set \"kseg.work_mem\" to at least %d MB, or use a model with fewer features.",
					 (int) (needed / (1024 * 1024)) + 1)));
}

/* ---- writing back ---- */

void
kseg_error_target_missing(Oid relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("relation with OID %u does not exist", relation)));
}

void
kseg_error_target_kind(const char *relation, char relkind)
{
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("cannot write segments to \"%s\"", relation),
			 errdetail_relkind_not_supported(relkind),
			 errhint("The target must be a table or a view that can be updated.")));
}

void
kseg_error_target_column(const char *relation, const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of relation \"%s\" does not exist",
					column, relation),
			 errhint("Add it with ALTER TABLE, or check its spelling and case.")));
}

void
kseg_error_same_column(const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("column \"%s\" cannot hold both segment and distance",
					column)));
}

void
kseg_error_column_is_feature(const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("column \"%s\" is a feature of the model and must not be overwritten",
					column),
			 errhint("Name another column for the segments, or for the distances.")));
}

void
kseg_error_segment_type(const char *column, Oid type)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" has type %s, which cannot hold segments",
					column, format_type_be(type)),
			 errhint("Make it smallint, integer or bigint.")));
}

void
kseg_error_segment_range(const char *column, int segment)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("column \"%s\" has type smallint, which cannot hold segment %d",
					column, segment),
			 errhint("Make it integer or bigint.")));
}

void
kseg_error_distance_type(const char *column, Oid type)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" has type %s, which cannot hold distances",
					column, format_type_be(type)),
			 errhint("Make it double precision, real or numeric.")));
}

void
kseg_error_feature_column(const char *relation, const KmModel *model,
						  int feature)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("relation \"%s\" has no column \"%s\"",
					relation, model->features[feature].name),
			 errdetail("The model's features are %s.",
					   list_features_and_kinds(model)),
			 errhint("Pass an expression for each of them, in this order, as \"features\".")));
}

void
kseg_error_features_count(const KmModel *model, int given)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"features\" has %d elements, but the model %d features",
					given, model->nfeatures),
			 errdetail("The model's features are %s.",
					   list_features_and_kinds(model)),
			 errhint("Pass an expression for each of them, in this order.")));
}

void
kseg_error_features_shape(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"features\" must be a one-dimensional array without nulls"),
			 errhint("Give one expression for each feature of the model, in its order.")));
}

void
kseg_error_features_expression(int element, const char *text)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("element %d of \"features\" is not one expression: %s",
					element, text),
			 errhint("Give a column or an expression over the target's columns, such as 'ln(monetary)'.")));
}

void
kseg_error_apply_wide(const KmModel *model, int feature, int limit)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("a model of more than %d features cannot be written back unless all are numbers",
					limit),
			 errdetail("Feature \"%s\" is a %s.",
					   model->features[feature].name,
					   kseg_kind_name(model->features[feature].kind)),
			 errhint("Use kseg_segments() and an UPDATE with a join.")));
}

void
kseg_error_function_hidden(Oid function)
{
	ereport(ERROR,
			(errcode(ERRCODE_AMBIGUOUS_FUNCTION),
			 errmsg("function %s hides a function of kseg",
					format_procedure(function)),
			 errdetail("It is no part of the extension, and would run with your rights."),
			 errhint("Drop the function, or allow nobody else to create functions in the extension's schema.")));
}

void
kseg_error_apply_only(const char *function)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("%s() can only be called by kseg_apply()", function)));
}

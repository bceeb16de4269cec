/*
 * messages.c
 *		Every message of managed segmentations for their users; see messages.h.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "messages.h"

/* ---- which segmentation, and who may ---- */

void
kseg_error_segmentation_unknown(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("segmentation \"%s\" does not exist", name),
			 errhint("\"SELECT name FROM kseg_segmentations\" lists those that you may see.")));
}

void
kseg_error_segmentation_right(const char *name, bool owner_only)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for segmentation \"%s\"", name),
			 owner_only ?
			 errhint("Only its owner may do this.") :
			 errhint("Its owner can allow it with kseg_grant().")));
}

void
kseg_error_segmentation_owner(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("the owner of segmentation \"%s\" does not exist any more",
					name),
			 errhint("A superuser can give it to another role: UPDATE kseg_segmentations SET owner = ...")));
}

void
kseg_error_version_unknown(const char *name, int version)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("segmentation \"%s\" has no model of version %d", name,
					version),
			 errhint("kseg_models lists those there are.")));
}

/* ---- limits ---- */

void
kseg_error_unknown_limit(const char *option, const char *limit,
						 const char *valid)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown limit \"%s\" in \"%s\"", limit, option),
			 errhint("Valid limits are %s.", valid)));
}

/* ---- runs ---- */

void
kseg_error_unknown_mode(const char *mode)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown mode \"%s\"", mode),
			 errhint("Valid modes are auto, score, refit, dry.")));
}

void
kseg_error_no_model(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("segmentation \"%s\" has no model yet", name),
			 errhint("The first run makes it: kseg_run(%s).",
					 quote_literal_cstr(name))));
}

void
kseg_error_no_rows(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA),
			 errmsg("the query of segmentation \"%s\" gives no row to fit",
					name),
			 errdetail("It gives no row at all, or every row lacks a value."),
			 errhint("Nothing was changed. If the table is loaded at night, run the segmentation after that.")));
}

void
kseg_error_no_earlier_version(const char *name, int version)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("segmentation \"%s\" has used no other model than version %d",
					name, version),
			 errhint("Name the version to publish, of those in kseg_models.")));
}

void
kseg_error_segmentation_busy(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("segmentation \"%s\" is being changed by another session",
					name),
			 errhint("Try again when it has finished.")));
}

void
kseg_error_id_range(const char *column, int id)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("column \"%s\" is too narrow for segment %d", column, id),
			 errhint("ALTER TABLE ... ALTER COLUMN ... TYPE integer.")));
}

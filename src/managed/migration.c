/*
 * migration.c
 *		What kseg_migration() cannot say in SQL: errors.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "../pg/errors.h"
#include "messages.h"

PG_FUNCTION_INFO_V1(kseg_migration_check);

/* A run that was asked for must have been found; argument: its place. */
static void
check_run(FunctionCallInfo fcinfo, const char *name, int argument)
{
	if (!PG_ARGISNULL(argument) && PG_ARGISNULL(argument + 1))
		kseg_error_run_unknown(name, PG_GETARG_INT64(argument));
}

/*
 * The arguments are what the caller asked for, and what SQL found of it with
 * the caller's rights; whoever calls this learns nothing.
 */
Datum
kseg_migration_check(PG_FUNCTION_ARGS)
{
	char	   *name;
	TimestampTz since;
	TimestampTz until;

	if (PG_ARGISNULL(0))
		kseg_error_null_argument("name");
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (PG_ARGISNULL(1))
		kseg_error_segmentation_unknown(name);
	check_run(fcinfo, name, 2);
	check_run(fcinfo, name, 4);
	if (PG_ARGISNULL(3))
		kseg_error_null_argument("since_run");
	if (PG_ARGISNULL(5))
		kseg_error_null_argument("until");
	since = PG_GETARG_TIMESTAMPTZ(3);
	until = PG_GETARG_TIMESTAMPTZ(5);
	if (since > until)
		kseg_error_period(since, until);
	PG_RETURN_INT32(PG_GETARG_INT32(1));
}

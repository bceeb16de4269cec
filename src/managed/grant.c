/*
 * grant.c
 *		kseg_grant(), kseg_revoke(): who may see, run or edit a segmentation
 *		besides its owner.
 *
 * Whatever is granted, a run acts as the owner, and only the owner says what
 * runs; so no grant is ever a way to his rights.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "../pg/errors.h"
#include "managed.h"
#include "messages.h"

PG_FUNCTION_INFO_V1(kseg_grant);
PG_FUNCTION_INFO_V1(kseg_revoke);

static char *
text_argument(FunctionCallInfo fcinfo, int number, const char *name)
{
	if (PG_ARGISNULL(number))
		kseg_error_null_argument(name);
	return text_to_cstring(PG_GETARG_TEXT_PP(number));
}

/* A role's name as it is; everybody is 0, as in the server's own lists. */
static Oid
find_grantee(const char *name)
{
	/* no role can have this name */
	if (strcmp(name, "public") == 0)
		return ACL_ID_PUBLIC;
	return get_role_oid(name, false);
}

Datum
kseg_grant(PG_FUNCTION_ARGS)
{
	static const char *const privileges[] = {"read", "run", "edit"};
	KsegSegmentation *s;
	Oid			types[] = {INT4OID, REGROLEOID, TEXTOID, REGROLEOID};
	Datum		values[4];
	char	   *name;
	char	   *privilege;
	Oid			grantee;

	kseg_registry_start(fcinfo);
	kseg_start_writing("kseg_grant");
	name = text_argument(fcinfo, 0, "name");
	grantee = find_grantee(text_argument(fcinfo, 1, "grantee"));
	privilege = text_argument(fcinfo, 2, "privilege");
	if (kseg_find_word(privilege, privileges, lengthof(privileges)) < 0)
		kseg_error_unknown_privilege(privilege);
	s = kseg_registry_find(name, KSEG_OWN, KSEG_KEEP, NULL);

	values[0] = Int32GetDatum(s->id);
	values[1] = ObjectIdGetDatum(grantee);
	values[2] = CStringGetTextDatum(privilege);
	/* as with GRANT, whoever of those that may does it */
	values[3] = ObjectIdGetDatum(s->owner);
	SPI_connect();
	kseg_registry_execute("INSERT INTO %s.kseg_grants"
						  " (segmentation, grantee, privilege, grantor)"
						  " VALUES ($1, $2, $3, $4)"
						  " ON CONFLICT (segmentation, grantee)"
						  " DO UPDATE SET privilege = $3, grantor = $4",
						  lengthof(types), types, values, NULL);
	SPI_finish();
	PG_RETURN_VOID();
}

Datum
kseg_revoke(PG_FUNCTION_ARGS)
{
	KsegSegmentation *s;
	Oid			types[] = {INT4OID, REGROLEOID};
	Datum		values[2];
	char	   *name;
	Oid			grantee;

	kseg_registry_start(fcinfo);
	kseg_start_writing("kseg_revoke");
	name = text_argument(fcinfo, 0, "name");
	grantee = find_grantee(text_argument(fcinfo, 1, "grantee"));
	s = kseg_registry_find(name, KSEG_OWN, KSEG_NO_LOCK, NULL);

	values[0] = Int32GetDatum(s->id);
	values[1] = ObjectIdGetDatum(grantee);
	SPI_connect();
	kseg_registry_execute("DELETE FROM %s.kseg_grants"
						  " WHERE segmentation = $1 AND grantee = $2",
						  lengthof(types), types, values, NULL);
	SPI_finish();
	PG_RETURN_VOID();
}

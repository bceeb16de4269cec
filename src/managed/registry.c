/*
 * registry.c
 *		Segmentations and their models as rows of our tables: finding them, who
 *		may do what, and as whom things run.
 *
 * Users cannot write our tables.  The functions that do become the tables'
 * owner for one fixed statement at a time, with a search_path that reaches
 * nothing but pg_catalog, as the server's own foreign-key triggers do.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "managed.h"
#include "messages.h"

/* of the function that was called; our tables and types are there too */
static Oid	schema = InvalidOid;

void
kseg_start_writing(const char *function)
{
	if (InSecurityRestrictedOperation())
		kseg_error_restricted(function);
	function = psprintf("%s()", function);
	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
}

void
kseg_registry_start(FunctionCallInfo fcinfo)
{
	schema = get_func_namespace(fcinfo->flinfo->fn_oid);
}

Oid
kseg_registry_schema_id(void)
{
	return schema;
}

/* quoted */
static const char *
schema_name(void)
{
	return quote_identifier(get_namespace_name(schema));
}

Oid
kseg_registry_model_type(void)
{
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
						   CStringGetDatum("kseg_model"),
						   ObjectIdGetDatum(schema));
}

/* ---- settings for the time of a statement or a run ---- */

void
kseg_set_for_now(const char *setting, const char *value)
{
	/*
	 * A level of its own: a function that the query calls may have done a SET
	 * of the same, which the server expects to be the last in its level.
	 */
	(void) NewGUCNestLevel();
	(void) set_config_option(setting, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* pg_temp last, or what the session's user made there would come first */
static void
set_search_path(void)
{
	kseg_set_for_now("search_path", "pg_catalog, pg_temp");
}

void
kseg_fix_settings(void)
{
	set_search_path();
	/* keys become text: the same one every night, whoever runs it */
	kseg_set_for_now("DateStyle", "ISO, YMD");
	kseg_set_for_now("IntervalStyle", "postgres");
	kseg_set_for_now("extra_float_digits", "1");
	kseg_set_for_now("bytea_output", "hex");
	/* rows and constants are those that the owner sees */
	kseg_set_for_now("row_security", "on");
	kseg_set_for_now("array_nulls", "on");
	kseg_set_for_now("transform_null_equals", "off");
	kseg_set_for_now("gin_fuzzy_search_limit", "0");
}

/* ---- our own statements ---- */

static Oid
registry_owner(void)
{
	Oid			relation = get_relname_relid("kseg_segmentations", schema);
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "table kseg_segmentations is missing");
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

static char *
with_schema(const char *sql)
{
	const char *name = schema_name();
	StringInfoData text;

	initStringInfo(&text);
	for (const char *at = sql; *at != '\0'; at++)
	{
		if (at[0] == '%' && at[1] == 's')
		{
			appendStringInfoString(&text, name);
			at++;
		}
		else
			appendStringInfoChar(&text, *at);
	}
	return text.data;
}

void
kseg_registry_execute(const char *sql, int nargs, const Oid *types,
					  const Datum *values, const char *nulls)
{
	char	   *text = with_schema(sql);
	Oid			user;
	int			security;
	int			guc_level;
	int			result;

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(registry_owner(),
						   security | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_NOFORCE_RLS);
	guc_level = NewGUCNestLevel();
	set_search_path();

	result = SPI_execute_with_args(text, nargs, unconstify(Oid *, types),
								   unconstify(Datum *, values), nulls, false,
								   0);
	if (result < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s",
			 SPI_result_code_string(result));

	AtEOXact_GUC(true, guc_level);
	SetUserIdAndSecContext(user, security);
	pfree(text);
}

/* ---- columns of a result's first row ---- */

static Datum
get_value(const char *column, bool *is_null)
{
	int			number = SPI_fnumber(SPI_tuptable->tupdesc, column);

	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
						 number, is_null);
}

static Datum
get_not_null(const char *column)
{
	bool		is_null;
	Datum		value = get_value(column, &is_null);

	if (is_null)
		elog(ERROR, "\"%s\" of a segmentation is null", column);
	return value;
}

static int
get_int(const char *column)
{
	bool		is_null;
	Datum		value = get_value(column, &is_null);

	return is_null ? 0 : DatumGetInt32(value);
}

/* NULL for a null */
static char *
get_text(const char *column)
{
	bool		is_null;
	Datum		value = get_value(column, &is_null);

	return is_null ? NULL : TextDatumGetCString(value);
}

static char **
get_texts(const char *column, int *count)
{
	ArrayType  *array = DatumGetArrayTypePCopy(get_not_null(column));
	Datum	   *elements;
	char	  **texts;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements,
					  NULL, count);
	texts = palloc(sizeof(char *) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
		texts[i] = TextDatumGetCString(elements[i]);
	return texts;
}

static Jsonb *
get_jsonb(const char *column)
{
	return DatumGetJsonbPCopy(get_not_null(column));
}

/* ---- who may do what ---- */

/* The caller's right to the segmentation; -1: not even to see it. */
static int
find_right(int id, Oid owner)
{
	static const char *const names[] = {"read", "run", "edit"};
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(id)};
	int			right = -1;

	if (has_privs_of_role(GetUserId(), owner))
		return KSEG_OWN;

	kseg_registry_execute("SELECT grantee, privilege FROM %s.kseg_grants"
						  " WHERE segmentation = $1",
						  lengthof(types), types, values, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		bool		is_null;
		Oid			grantee;
		char	   *privilege;

		grantee = DatumGetObjectId(SPI_getbinval(tuple,
												 SPI_tuptable->tupdesc, 1,
												 &is_null));
		privilege = SPI_getvalue(tuple, SPI_tuptable->tupdesc, 2);
		if (OidIsValid(grantee) &&
			!has_privs_of_role(GetUserId(), grantee))
			continue;
		right = Max(right, kseg_find_word(privilege, names,
										  lengthof(names)));
	}
	return right;
}

/* ---- finding a segmentation ---- */

#define COLUMNS \
	"id, name, owner::oid AS owner, query, resolved_query, functions, key, k," \
	" options," \
	" target::oid AS target, segment_column, owns_target, refit_when," \
	" hold_when, hysteresis, keep, version, last_version, last_id, pending," \
	" members, members_hash"

#define SELECT_LOCKED \
	"SELECT " COLUMNS " FROM %s.kseg_segmentations WHERE id = $1 "

/* The first row of the last statement, in the current context. */
static KsegSegmentation *
read_segmentation(void)
{
	KsegSegmentation *s = palloc0(sizeof(KsegSegmentation));
	bool		is_null;
	Datum		keep;

	s->id = get_int("id");
	s->name = get_text("name");
	s->owner = DatumGetObjectId(get_not_null("owner"));
	s->query = get_text("query");
	s->resolved = get_text("resolved_query");
	s->functions = get_texts("functions", &s->nfunctions);
	s->keys = get_texts("key", &s->nkeys);
	s->k = get_int("k");
	s->options = get_jsonb("options");
	s->target = DatumGetObjectId(get_not_null("target"));
	s->segment_column =
		pstrdup(NameStr(*DatumGetName(get_not_null("segment_column"))));
	s->owns_target = DatumGetBool(get_not_null("owns_target"));
	s->refit_when = kseg_refit_when_parse(get_jsonb("refit_when"));
	s->hold_when = kseg_hold_when_parse(get_jsonb("hold_when"));
	s->hysteresis = DatumGetFloat8(get_not_null("hysteresis"));
	keep = get_value("keep", &is_null);
	if (!is_null)
	{
		s->keep = palloc(sizeof(Interval));
		*s->keep = *DatumGetIntervalP(keep);
	}
	s->version = get_int("version");
	s->last_version = get_int("last_version");
	s->last_id = get_int("last_id");
	s->pending = get_text("pending");
	s->members = DatumGetInt64(get_not_null("members"));
	s->members_hash = (uint64) DatumGetInt64(get_not_null("members_hash"));
	return s;
}

KsegSegmentation *
kseg_registry_find(const char *name, KsegRight right, KsegLock lock,
				   bool *is_busy)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext spi;
	KsegSegmentation *s = NULL;
	Oid			name_type[] = {TEXTOID};
	Datum		name_value[1];
	Oid			id_type[] = {INT4OID};
	Datum		id_value[1];
	int			found;

	SPI_connect();
	name_value[0] = CStringGetTextDatum(name);
	kseg_registry_execute("SELECT " COLUMNS " FROM %s.kseg_segmentations"
						  " WHERE name = $1",
						  1, name_type, name_value, NULL);
	if (SPI_processed == 0)
		kseg_error_segmentation_unknown(name);
	id_value[0] = Int32GetDatum(get_int("id"));
	if (lock == KSEG_NO_LOCK)
	{
		spi = MemoryContextSwitchTo(caller);
		s = read_segmentation();
		MemoryContextSwitchTo(spi);
	}
	found = find_right(DatumGetInt32(id_value[0]),
					   s != NULL ? s->owner :
					   DatumGetObjectId(get_not_null("owner")));
	if (found < KSEG_READ)
		kseg_error_segmentation_unknown(name);
	if (found < (int) right)
		kseg_error_segmentation_right(name, right == KSEG_OWN);

	if (lock != KSEG_NO_LOCK)
	{
		/* what was read before the lock may be old by now */
		if (lock != KSEG_KEEP)
			kseg_registry_execute(lock == KSEG_SKIP ?
								  SELECT_LOCKED "FOR NO KEY UPDATE SKIP LOCKED" :
								  SELECT_LOCKED "FOR NO KEY UPDATE",
								  1, id_type, id_value, NULL);
		if (lock == KSEG_SKIP)
			*is_busy = SPI_processed == 0;
		/* a run that is skipped is logged, for which it must not be dropped */
		if (lock == KSEG_KEEP || (lock == KSEG_SKIP && *is_busy))
			kseg_registry_execute(SELECT_LOCKED "FOR KEY SHARE",
								  1, id_type, id_value, NULL);
		if (SPI_processed == 0)
			kseg_error_segmentation_unknown(name);
		spi = MemoryContextSwitchTo(caller);
		s = read_segmentation();
		MemoryContextSwitchTo(spi);
	}

	SPI_finish();
	return s;
}

/* ---- deleting, what foreign keys would do if we had them ---- */

void
kseg_registry_forget(const KsegSegmentation *s)
{
	static const char *const tables[] = {
		"kseg_grants", "kseg_labels", "kseg_names", "kseg_baselines",
		"kseg_elbows", "kseg_points", "kseg_models", "kseg_sizes",
		"kseg_moves", "kseg_drifts", "kseg_runs", "kseg_history"
	};
	Oid			types[] = {INT4OID};
	Datum		values[1];

	values[0] = Int32GetDatum(s->id);
	SPI_connect();
	for (int i = 0; i < (int) lengthof(tables); i++)
		kseg_registry_execute(psprintf("DELETE FROM %%s.%s"
									   " WHERE segmentation = $1", tables[i]),
							  lengthof(types), types, values, NULL);
	kseg_registry_execute("DELETE FROM %s.kseg_segmentations WHERE id = $1",
						  lengthof(types), types, values, NULL);
	SPI_finish();
}

/* Rows of a table, and of others those with the same columns. */
static void
forget(const char *table, const char *condition, const char *columns,
	   const char *const *others, int nothers, int nargs, const Oid *types,
	   const Datum *values)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "WITH gone AS (DELETE FROM %%s.%s AS t WHERE %s"
					 " RETURNING t.*)", table, condition);
	for (int i = 0; i < nothers; i++)
		appendStringInfo(&sql, ", g%d AS (DELETE FROM %%s.%s WHERE %s)",
						 i, others[i], columns);
	appendStringInfoString(&sql, " SELECT");
	kseg_registry_execute(sql.data, nargs, types, values, NULL);
}

void
kseg_registry_forget_models(const char *condition, int nargs,
							const Oid *types, const Datum *values)
{
	static const char *const others[] = {
		"kseg_baselines", "kseg_elbows", "kseg_points"
	};

	forget("kseg_models", condition, "(segmentation, version) IN"
		   " (SELECT g.segmentation, g.version FROM gone AS g)",
		   others, lengthof(others), nargs, types, values);
}

void
kseg_registry_forget_runs(const char *condition, int nargs,
						  const Oid *types, const Datum *values)
{
	static const char *const others[] = {
		"kseg_sizes", "kseg_moves", "kseg_drifts"
	};

	forget("kseg_runs", condition, "run IN (SELECT g.id FROM gone AS g)",
		   others, lengthof(others), nargs, types, values);
}

KmModel *
kseg_registry_model(const KsegSegmentation *s, int version,
					TimestampTz *created)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext spi;
	Oid			types[] = {INT4OID, INT4OID};
	Datum		values[2];
	KmModel    *model;

	SPI_connect();
	values[0] = Int32GetDatum(s->id);
	values[1] = Int32GetDatum(version);
	kseg_registry_execute("SELECT model, created FROM %s.kseg_models"
						  " WHERE segmentation = $1 AND version = $2",
						  lengthof(types), types, values, NULL);
	if (SPI_processed == 0)
		kseg_error_version_unknown(s->name, version);
	if (created != NULL)
		*created = DatumGetTimestampTz(get_not_null("created"));
	spi = MemoryContextSwitchTo(caller);
	model = kseg_model_open((struct varlena *)
							PG_DETOAST_DATUM_COPY(get_not_null("model")),
							caller);
	MemoryContextSwitchTo(spi);
	SPI_finish();
	return model;
}

/* ---- as whom things run ---- */

void
kseg_restrict_to(Oid user, KsegCaller *caller)
{
	GetUserIdAndSecContext(&caller->user, &caller->security);
	SetUserIdAndSecContext(user, caller->security |
						   SECURITY_RESTRICTED_OPERATION);
	caller->guc_level = NewGUCNestLevel();
}

void
kseg_become_owner(const KsegSegmentation *s, KsegCaller *caller)
{
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(s->owner)))
		kseg_error_segmentation_owner(s->name);

	kseg_restrict_to(s->owner, caller);
	kseg_fix_settings();
}

void
kseg_become_caller(const KsegCaller *caller)
{
	AtEOXact_GUC(false, caller->guc_level);
	SetUserIdAndSecContext(caller->user, caller->security);
}

/*
 * create.c
 *		kseg_create(), kseg_alter(), kseg_drop(): segmentations that kseg_run()
 *		keeps up to date.
 *
 * What is registered has been tried: the query has run once as it will run,
 * and the target has been looked at.  Nothing is fitted and no segment is
 * written here.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/partition.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "../pg/errors.h"
#include "create.h"
#include "messages.h"

PG_FUNCTION_INFO_V1(kseg_create);
PG_FUNCTION_INFO_V1(kseg_alter);
PG_FUNCTION_INFO_V1(kseg_drop);

/* ---- arguments ---- */

static char *
text_argument(FunctionCallInfo fcinfo, int number, const char *name)
{
	if (PG_ARGISNULL(number))
		kseg_error_null_argument(name);
	return text_to_cstring(PG_GETARG_TEXT_PP(number));
}

/* NULL for a null */
static Jsonb *
jsonb_argument(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NULL : PG_GETARG_JSONB_P(number);
}

/* As long as a table's name, and one line in a log. */
static void
check_name(const char *name)
{
	bool		is_good = name[0] != '\0' && strlen(name) < NAMEDATALEN;

	for (const char *at = name; *at != '\0'; at++)
	{
		if ((unsigned char) *at < ' ' || *at == 0x7f)
			is_good = false;
	}
	if (!is_good)
		kseg_error_bad_name(name);
}

static void
check_hysteresis(double hysteresis)
{
	if (!(hysteresis >= 0 && hysteresis < 1))
		kseg_error_hysteresis(hysteresis);
}

static void
check_keep(const Interval *keep)
{
	Interval	zero = {0};

	if (kseg_interval_infinity(keep) != 0 ||
		!DatumGetBool(DirectFunctionCall2(interval_gt,
										  IntervalPGetDatum(keep),
										  IntervalPGetDatum(&zero))))
		kseg_error_keep();
}

/*
 * Check the options and keep them, without a k, in the segmentation.  k: from
 * the call, 0 when it has none; then s->k, unless the options name another.
 */
static KsegOptions *
take_options(KsegSegmentation *s, Jsonb *json, int k)
{
	KsegOptions *options = kseg_options_parse(json, k, false);

	/* each fit starts from the one before */
	if (options->init != NULL)
		kseg_error_kept_option("init");
	if (options->previous != NULL)
		kseg_error_kept_option("previous");
	if (options->k == 0 && s->k != 0)
		options = kseg_options_parse(json, s->k, false);

	s->k = options->k;
	s->options = DatumGetJsonbP(DirectFunctionCall2(jsonb_delete,
													JsonbPGetDatum(options->json),
													CStringGetTextDatum("k")));
	return options;
}

/* ---- the query ---- */

/*
 * Analyse the query as its owner, with the names and settings of whoever
 * gives it.  Analysis alone can run functions: a domain's CHECK of a literal.
 */
static KsegResolved *
resolve_as_owner(const KsegSegmentation *s, const char *key)
{
	KsegCaller	caller;
	KsegResolved *resolved;

	kseg_restrict_to(s->owner, &caller);
	resolved = kseg_resolve(s->query, key);
	kseg_become_caller(&caller);
	return resolved;
}

static void
take_query(KsegSegmentation *s, const KsegResolved *resolved)
{
	s->resolved = resolved->text;
	s->nfunctions = resolved->nfunctions;
	s->functions = resolved->functions;
}

/* The key of a segmentation is the same in its new query. */
static void
find_same_keys(const KsegSegmentation *s, KsegResolved *resolved)
{
	const KsegQuery *columns = &resolved->columns;

	resolved->nkeys = s->nkeys;
	resolved->keys = palloc(sizeof(int) * s->nkeys);
	for (int i = 0; i < s->nkeys; i++)
	{
		resolved->keys[i] = kseg_query_column(columns, s->keys[i]);
		if (resolved->keys[i] < 0)
			kseg_error_query_column("the key", s->keys[i], columns->ncolumns,
									columns->names);
	}
	if (columns->ncolumns == s->nkeys)
		kseg_error_query_no_features();
}

/* ---- the registry ---- */

static bool
is_registered(const char *sql, int nargs, const Oid *types,
			  const Datum *values)
{
	bool		result;

	SPI_connect();
	kseg_registry_execute(sql, nargs, types, values, NULL);
	result = SPI_processed > 0;
	SPI_finish();
	return result;
}

static void
check_name_is_free(const char *name)
{
	Oid			types[] = {TEXTOID};
	Datum		values[1];

	values[0] = CStringGetTextDatum(name);
	if (is_registered("SELECT 1 FROM %s.kseg_segmentations WHERE name = $1",
					  1, types, values))
		kseg_error_name_taken(name);
}

/*
 * Let one session at a time register something that writes to the table, or to
 * partitions of the same.  Nobody waits who reads or writes it.
 */
static void
lock_column(Oid target)
{
	List	   *ancestors = get_rel_relispartition(target) ?
		get_partition_ancestors(target) : NIL;

	LockRelationOid(ancestors == NIL ? target : llast_oid(ancestors),
					ShareUpdateExclusiveLock);
}

/* Two that write the same rows would undo each other's work every night. */
static void
check_column_is_free(const KsegSegmentation *s)
{
	Oid			types[] = {REGCLASSOID, NAMEOID};
	Datum		values[2];

	values[0] = ObjectIdGetDatum(s->target);
	values[1] = kseg_name_datum(s->segment_column);
	if (is_registered("SELECT 1 FROM %s.kseg_segmentations"
					  " WHERE segment_column = $2 AND (target = $1 OR"
					  " target IN (SELECT relid FROM pg_partition_tree($1)) OR"
					  " target IN (SELECT relid"
					  " FROM pg_partition_ancestors($1) AS relid))",
					  2, types, values))
		kseg_error_column_taken(s->segment_column, get_rel_name(s->target));
}

/* What kseg_create() and kseg_alter() set; the rest is for kseg_create(). */
#define ALTERABLE	10
#define CREATABLE	16

static const Oid column_types[CREATABLE] = {
	TEXTOID, TEXTOID, INT4OID, JSONBOID, JSONBOID, JSONBOID, FLOAT8OID,
	INTERVALOID, TEXTOID, TEXTARRAYOID,
	TEXTOID, REGROLEOID, TEXTARRAYOID, REGCLASSOID, NAMEOID, BOOLOID
};

static void
make_row(const KsegSegmentation *s, Datum *values, char *nulls)
{
	int			guc_level = NewGUCNestLevel();

	/* an age is an interval, as text */
	kseg_fix_settings();
	memset(nulls, ' ', CREATABLE);
	values[0] = CStringGetTextDatum(s->query);
	values[1] = CStringGetTextDatum(s->resolved);
	values[2] = Int32GetDatum(s->k);
	nulls[2] = s->k == 0 ? 'n' : ' ';
	values[3] = JsonbPGetDatum(s->options);
	values[4] = JsonbPGetDatum(kseg_refit_when_print(&s->refit_when));
	values[5] = JsonbPGetDatum(kseg_hold_when_print(&s->hold_when));
	values[6] = Float8GetDatum(s->hysteresis);
	values[7] = IntervalPGetDatum(s->keep);
	nulls[7] = s->keep == NULL ? 'n' : ' ';
	values[8] = s->pending == NULL ? (Datum) 0 :
		CStringGetTextDatum(s->pending);
	nulls[8] = s->pending == NULL ? 'n' : ' ';
	values[9] = kseg_text_array(s->functions, s->nfunctions);
	values[10] = CStringGetTextDatum(s->name);
	values[11] = ObjectIdGetDatum(s->owner);
	values[12] = kseg_text_array(s->keys, s->nkeys);
	values[13] = ObjectIdGetDatum(s->target);
	values[14] = kseg_name_datum(s->segment_column);
	values[15] = BoolGetDatum(s->owns_target);
	AtEOXact_GUC(true, guc_level);
}

static void
insert_row(const KsegSegmentation *s)
{
	Datum		values[CREATABLE];
	char		nulls[CREATABLE];
	uint64		inserted;

	make_row(s, values, nulls);
	SPI_connect();
	kseg_registry_execute("INSERT INTO %s.kseg_segmentations"
						  " (query, resolved_query, k, options, refit_when,"
						  " hold_when, hysteresis, keep, pending, functions,"
						  " name, owner, key, target, segment_column,"
						  " owns_target)"
						  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,"
						  " $11, $12, $13, $14, $15, $16)"
						  " ON CONFLICT DO NOTHING",
						  CREATABLE, column_types, values, nulls);
	inserted = SPI_processed;
	SPI_finish();
	/* by another session that we did not see before */
	if (inserted == 0)
	{
		check_name_is_free(s->name);
		kseg_error_column_taken(s->segment_column, get_rel_name(s->target));
	}
}

static void
update_row(const KsegSegmentation *s)
{
	Datum		values[CREATABLE];
	char		nulls[CREATABLE];

	make_row(s, values, nulls);
	SPI_connect();
	kseg_registry_execute("UPDATE %s.kseg_segmentations"
						  " SET (query, resolved_query, k, options,"
						  " refit_when, hold_when, hysteresis, keep, pending,"
						  " functions)"
						  " = ROW ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
						  " WHERE name = $11",
						  ALTERABLE + 1, column_types, values, nulls);
	SPI_finish();
}

/* ---- kseg_create() ---- */

static Datum
make_result(FunctionCallInfo fcinfo, const KsegSegmentation *s,
			const KsegSurvey *survey)
{
	TupleDesc	row_type;
	Datum		values[5];
	bool		nulls[5] = {false};

	if (get_call_result_type(fcinfo, NULL, &row_type) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = CStringGetTextDatum(s->name);
	values[1] = Int64GetDatum(survey->rows);
	values[2] = Int64GetDatum(survey->unassigned);
	values[3] = CStringGetTextDatum(survey->features);
	values[4] = CStringGetTextDatum(kseg_target_place(s));
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row_type),
											 values, nulls));
}

static void
take_arguments(FunctionCallInfo fcinfo, KsegSegmentation *s)
{
	s->name = text_argument(fcinfo, 0, "name");
	check_name(s->name);
	s->query = text_argument(fcinfo, 1, "query");
	if (!PG_ARGISNULL(5))
		s->target = PG_GETARG_OID(5);
	if (PG_ARGISNULL(6))
		kseg_error_null_argument("segment_column");
	s->segment_column = pstrdup(NameStr(*PG_GETARG_NAME(6)));
	s->refit_when = kseg_refit_when_parse(jsonb_argument(fcinfo, 7));
	s->hold_when = kseg_hold_when_parse(jsonb_argument(fcinfo, 8));
	if (PG_ARGISNULL(9))
		kseg_error_null_argument("hysteresis");
	s->hysteresis = PG_GETARG_FLOAT8(9);
	check_hysteresis(s->hysteresis);
	if (!PG_ARGISNULL(10))
	{
		s->keep = PG_GETARG_INTERVAL_P(10);
		check_keep(s->keep);
	}
}

/* A column's name cannot be longer than what "name" has room for. */
static void
take_keys(KsegSegmentation *s, const KsegResolved *resolved)
{
	s->nkeys = resolved->nkeys;
	s->keys = palloc(sizeof(char *) * s->nkeys);
	for (int i = 0; i < s->nkeys; i++)
		s->keys[i] = pstrdup(resolved->columns.names[resolved->keys[i]]);
}

Datum
kseg_create(PG_FUNCTION_ARGS)
{
	KsegSegmentation s = {0};
	KsegOptions *options;
	KsegResolved *resolved;
	KsegKeyColumns keys;
	KsegSurvey	survey;
	char	   *key;
	int			k = 0;

	kseg_registry_start(fcinfo);
	kseg_start_writing("kseg_create");
	s.owner = GetUserId();
	take_arguments(fcinfo, &s);
	key = text_argument(fcinfo, 2, "key");
	if (!PG_ARGISNULL(3))
	{
		k = PG_GETARG_INT32(3);
		kseg_check_k(k);
	}
	options = take_options(&s, jsonb_argument(fcinfo, 4), k);
	check_name_is_free(s.name);

	resolved = resolve_as_owner(&s, key);
	take_query(&s, resolved);
	take_keys(&s, resolved);

	s.owns_target = !OidIsValid(s.target);
	if (s.owns_target)
		s.target = kseg_target_make(&s, resolved);
	else if (!PG_ARGISNULL(11) && PG_GETARG_BOOL(11))
		kseg_target_extend(&s);
	kseg_target_check(&s, resolved, &keys);
	lock_column(s.target);
	check_column_is_free(&s);
	kseg_survey(&s, resolved, options, &keys, &survey);

	insert_row(&s);
	PG_RETURN_DATUM(make_result(fcinfo, &s, &survey));
}

/* ---- kseg_alter() ---- */

/* Note a change that the model in use does not know of. */
static void
add_pending(KsegSegmentation *s, const char *change)
{
	if (s->version == 0)
		return;
	if (s->pending == NULL)
		s->pending = pstrdup(change);
	else if (strstr(s->pending, change) == NULL)
		s->pending = psprintf("%s; %s", s->pending, change);
}

static bool
same_json(Jsonb *a, Jsonb *b)
{
	return DatumGetBool(DirectFunctionCall2(jsonb_eq, JsonbPGetDatum(a),
											JsonbPGetDatum(b)));
}

static void
take_changes(FunctionCallInfo fcinfo, KsegSegmentation *s)
{
	if (!PG_ARGISNULL(4))
		s->refit_when = kseg_refit_when_parse(PG_GETARG_JSONB_P(4));
	if (!PG_ARGISNULL(5))
		s->hold_when = kseg_hold_when_parse(PG_GETARG_JSONB_P(5));
	if (!PG_ARGISNULL(6))
	{
		s->hysteresis = PG_GETARG_FLOAT8(6);
		check_hysteresis(s->hysteresis);
	}
	if (!PG_ARGISNULL(7))
	{
		s->keep = PG_GETARG_INTERVAL_P(7);
		check_keep(s->keep);
	}
}

static KsegOptions *
alter_options(FunctionCallInfo fcinfo, KsegSegmentation *s)
{
	int			k = 0;
	int			old_k = s->k;
	Jsonb	   *old_options = s->options;
	KsegOptions *options;

	if (!PG_ARGISNULL(2))
	{
		k = PG_GETARG_INT32(2);
		kseg_check_k(k);
	}
	options = take_options(s, PG_ARGISNULL(3) ? old_options :
						   PG_GETARG_JSONB_P(3), k);
	if (s->k != old_k)
		add_pending(s, "k was changed");
	if (!same_json(s->options, old_options))
		add_pending(s, "the options were changed");
	return options;
}

Datum
kseg_alter(PG_FUNCTION_ARGS)
{
	KsegSegmentation *s;
	KsegOptions *options;
	KsegResolved *resolved;
	KsegKeyColumns keys;
	KsegSurvey	survey;

	kseg_registry_start(fcinfo);
	kseg_start_writing("kseg_alter");
	s = kseg_registry_find(text_argument(fcinfo, 0, "name"), KSEG_OWN,
						   KSEG_WAIT, NULL);
	take_changes(fcinfo, s);
	options = alter_options(fcinfo, s);

	if (PG_ARGISNULL(1))
	{
		KsegCaller	caller;

		kseg_become_owner(s, &caller);
		kseg_resolved_check(s);
		resolved = kseg_resolve(s->resolved, NULL);
		kseg_become_caller(&caller);
	}
	else
	{
		s->query = text_argument(fcinfo, 1, "query");
		resolved = resolve_as_owner(s, NULL);
		if (strcmp(resolved->text, s->resolved) != 0)
			add_pending(s, "the query was changed");
		take_query(s, resolved);
	}
	find_same_keys(s, resolved);
	kseg_target_check(s, resolved, &keys);
	kseg_survey(s, resolved, options, &keys, &survey);

	update_row(s);
	PG_RETURN_DATUM(make_result(fcinfo, s, &survey));
}

/* ---- kseg_drop() ---- */

/* Does the table that was made for it still belong to its owner? */
static bool
owns_table(const KsegSegmentation *s)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(s->target));
	Form_pg_class form;
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_class) GETSTRUCT(tuple);
	result = form->relkind == RELKIND_RELATION &&
		SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(s->owner)) &&
		has_privs_of_role(s->owner, form->relowner);
	ReleaseSysCache(tuple);
	return result;
}

/*
 * Drop the segmentation's own table, as its owner.  If it is someone else's
 * by now, it is left alone.
 */
static void
drop_table(const KsegSegmentation *s)
{
	KsegCaller	caller;
	char	   *name;

	/* under the lock it keeps its name, by which it is dropped */
	if (owns_table(s))
		LockRelationOid(s->target, AccessExclusiveLock);
	name = get_rel_name(s->target);
	if (name == NULL)
		return;
	if (!owns_table(s))
	{
		kseg_notice_table_kept(name);
		return;
	}
	name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(s->target)),
									  name);

	kseg_become_owner(s, &caller);
	SPI_connect();
	if (SPI_execute(psprintf("DROP TABLE %s", name), false, 0) !=
		SPI_OK_UTILITY)
		elog(ERROR, "SPI_execute failed: %s",
			 SPI_result_code_string(SPI_result));
	SPI_finish();
	kseg_become_caller(&caller);
}

Datum
kseg_drop(PG_FUNCTION_ARGS)
{
	KsegSegmentation *s;

	kseg_registry_start(fcinfo);
	kseg_start_writing("kseg_drop");
	s = kseg_registry_find(text_argument(fcinfo, 0, "name"), KSEG_OWN,
						   KSEG_WAIT, NULL);
	if (s->owns_target)
		drop_table(s);
	kseg_registry_forget(s);
	PG_RETURN_VOID();
}

/*
 * target.c
 *		The table that a segmentation writes to: made for it, or the user's own
 *		and checked.
 *
 * A run joins the query's rows with the target's by the key, and updates the
 * target by the key.  So the key must be unique there by an index, now and
 * whatever is inserted later.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"

#include "../pg/errors.h"
#include "create.h"
#include "messages.h"

static char *
qualified_name(Oid relation)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
									  get_rel_name(relation));
}

char *
kseg_target_place(const KsegSegmentation *s)
{
	return psprintf("%s.%s", qualified_name(s->target),
					quote_identifier(s->segment_column));
}

static void
execute(const char *sql)
{
	int			result = SPI_execute(sql, false, 0);

	if (result < 0)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(result));
}

/* ---- a table of the segmentation's own ---- */

/* Only what has an order can have a unique index. */
static void
check_key_type(const char *name, Oid type)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);

	if (!OidIsValid(entry->btree_opf) || get_typtype(type) == TYPTYPE_PSEUDO)
		kseg_error_key_type(name, type);
}

static void
append_column(StringInfo sql, const KsegQuery *columns, int c)
{
	Oid			collation = columns->collations[c];

	check_key_type(columns->names[c], columns->types[c]);
	appendStringInfo(sql, "%s %s", quote_identifier(columns->names[c]),
					 format_type_extended(columns->types[c],
										  columns->typmods[c],
										  FORMAT_TYPE_TYPEMOD_GIVEN |
										  FORMAT_TYPE_FORCE_QUALIFY));
	if (OidIsValid(collation))
		appendStringInfo(sql, " COLLATE %s",
						 generate_collation_name(collation));
	appendStringInfoString(sql, ", ");
}

static char *
make_table(const KsegSegmentation *s, const KsegResolved *resolved,
		   const char *table)
{
	const KsegQuery *columns = &resolved->columns;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (", table);
	for (int i = 0; i < resolved->nkeys; i++)
		append_column(&sql, columns, resolved->keys[i]);
	appendStringInfo(&sql, "%s pg_catalog.int4, PRIMARY KEY (",
					 quote_identifier(s->segment_column));
	for (int i = 0; i < resolved->nkeys; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "",
						 quote_identifier(columns->names[resolved->keys[i]]));
	appendStringInfoString(&sql, "))");
	return sql.data;
}

static void
comment(const char *kind, const char *object, const char *text)
{
	execute(psprintf("COMMENT ON %s %s IS %s", kind, object,
					 quote_literal_cstr(text)));
}

Oid
kseg_target_make(const KsegSegmentation *s, const KsegResolved *resolved)
{
	List	   *path = fetch_search_path(false);
	char	   *name = makeObjectName(s->name, NULL, "segments");
	Oid			schema;
	char	   *table;

	if (path == NIL)
		kseg_error_no_schema();
	schema = linitial_oid(path);
	if (isAnyTempNamespace(schema))
		kseg_error_target_temporary(name);
	if (OidIsValid(get_relname_relid(name, schema)))
		kseg_error_table_exists(name);
	if (kseg_find_word(s->segment_column, (const char *const *) s->keys,
					   s->nkeys) >= 0)
		kseg_error_segment_is_key(s->segment_column);

	table = quote_qualified_identifier(get_namespace_name(schema), name);
	SPI_connect();
	execute(make_table(s, resolved, table));
	comment("TABLE", table,
			psprintf("Segments of \"%s\", kept up to date by kseg_run().",
					 s->name));
	for (int i = 0; i < s->nkeys; i++)
		comment("COLUMN",
				psprintf("%s.%s", table, quote_identifier(s->keys[i])),
				"Key of the customer.");
	comment("COLUMN",
			psprintf("%s.%s", table, quote_identifier(s->segment_column)),
			"Segment of the customer; null: none.");
	SPI_finish();
	return get_relname_relid(name, schema);
}

/* ---- a table of the user's ---- */

/* The server checks that the caller may. */
void
kseg_target_extend(const KsegSegmentation *s)
{
	char		relkind = get_rel_relkind(s->target);

	/* what else is wrong with it is said by kseg_target_check() */
	if ((relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE) ||
		get_attnum(s->target, s->segment_column) != InvalidAttrNumber)
		return;
	SPI_connect();
	execute(psprintf("ALTER TABLE %s ADD COLUMN %s pg_catalog.int4",
					 qualified_name(s->target),
					 quote_identifier(s->segment_column)));
	SPI_finish();
}

void
kseg_target_check_kind(Oid relation)
{
	char		relkind = get_rel_relkind(relation);
	char	   *name = get_rel_name(relation);
	List	   *children;

	if (name == NULL)
		kseg_error_target_missing(relation);
	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		kseg_error_target_no_table(name, relkind);
	if (get_rel_persistence(relation) == RELPERSISTENCE_TEMP)
		kseg_error_target_temporary(name);
	if (relkind == RELKIND_RELATION)
	{
		children = find_inheritance_children(relation, NoLock);
		if (children != NIL)
			kseg_error_target_children(name,
									   get_rel_name(linitial_oid(children)));
	}
}

/* What the run's UPDATE will check; here it is what allows us to lock. */
static void
check_privilege(const KsegSegmentation *s)
{
	AttrNumber	column = get_attnum(s->target, s->segment_column);

	if (pg_class_aclcheck(s->target, s->owner, ACL_UPDATE) != ACLCHECK_OK &&
		(column <= 0 ||
		 pg_attribute_aclcheck(s->target, column, s->owner,
							   ACL_UPDATE) != ACLCHECK_OK))
		aclcheck_error(ACLCHECK_NO_PRIV,
					   get_relkind_objtype(get_rel_relkind(s->target)),
					   get_rel_name(s->target));
}

static void
check_segment_column(const KsegSegmentation *s, const KsegResolved *resolved,
					 TupleDesc desc)
{
	const char *name = s->segment_column;
	AttrNumber	column = get_attnum(s->target, name);
	Form_pg_attribute attribute;
	Oid			type;

	if (kseg_find_word(name, (const char *const *) s->keys, s->nkeys) >= 0)
		kseg_error_segment_is_key(name);
	if (column <= 0)
		kseg_error_segment_column_missing(name, get_rel_name(s->target));

	attribute = TupleDescAttr(desc, column - 1);
	type = getBaseType(attribute->atttypid);
	if (type != INT2OID && type != INT4OID && type != INT8OID)
		kseg_error_segment_type(name, attribute->atttypid);
	if (attribute->attgenerated != '\0' ||
		attribute->attidentity == ATTRIBUTE_IDENTITY_ALWAYS)
		kseg_error_segment_generated(name);
	if (attribute->attnotnull)
		kseg_error_segment_not_null(name);
	if (!s->owns_target && kseg_query_column(&resolved->columns, name) >= 0)
		kseg_error_segment_is_feature(name);
}

/*
 * A run is a security-restricted operation, in which the server does not let
 * triggers wait until the end of the transaction.  The server's own, of keys,
 * wait for changes of the keys only.
 */
static void
check_triggers(Relation target, const char *segment_column)
{
	TriggerDesc *triggers = target->trigdesc;
	AttrNumber	column = get_attnum(RelationGetRelid(target), segment_column);

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];
		bool		concerns = trigger->tgnattr == 0;

		for (int j = 0; j < trigger->tgnattr; j++)
			concerns = concerns || trigger->tgattr[j] == column;
		if (concerns && trigger->tginitdeferred &&
			TRIGGER_FOR_UPDATE(trigger->tgtype) &&
			trigger->tgenabled != TRIGGER_DISABLED && !trigger->tgisinternal)
			kseg_error_target_deferred(RelationGetRelationName(target),
									   trigger->tgname);
	}
}

/* Position among the index's columns of a column of the target, or -1. */
static int
find_index_column(Relation index, AttrNumber column)
{
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
	{
		if (index->rd_index->indkey.values[i] == column)
			return i;
	}
	return -1;
}

/*
 * Does the index keep the key unique, at any time and for all rows?  Its
 * equality must be the columns' own.  equals: its operators.
 */
static bool
is_key_index(Relation target, Relation index, int nkeys,
			 const AttrNumber *columns, Oid *equals)
{
	Form_pg_index form = index->rd_index;

	if (!form->indisunique || !form->indisvalid || !form->indimmediate ||
		!form->indislive ||
		IndexRelationGetNumberOfKeyAttributes(index) != nkeys ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
		return false;
	for (int i = 0; i < nkeys; i++)
	{
		int			c = find_index_column(index, columns[i]);
		Form_pg_attribute attribute =
			TupleDescAttr(RelationGetDescr(target), columns[i] - 1);

		if (c < 0 || index->rd_indcollation[c] != attribute->attcollation ||
			index->rd_opfamily[c] !=
			lookup_type_cache(attribute->atttypid,
							  TYPECACHE_BTREE_OPFAMILY)->btree_opf)
			return false;
		equals[i] = get_opfamily_member(index->rd_opfamily[c],
										index->rd_opcintype[c],
										index->rd_opcintype[c],
										BTEqualStrategyNumber);
	}
	return true;
}

void
kseg_target_check_index(Relation target, const KsegSegmentation *s,
						const AttrNumber *columns, Oid *equals)
{
	ListCell   *cell;
	bool		is_found = false;

	foreach(cell, RelationGetIndexList(target))
	{
		Relation	index = relation_open(lfirst_oid(cell), AccessShareLock);

		is_found = is_key_index(target, index, s->nkeys, columns, equals);
		relation_close(index, NoLock);
		if (is_found)
			break;
	}
	if (!is_found)
		kseg_error_key_index(qualified_name(s->target),
							 RelationGetRelationName(target), s->keys,
							 s->nkeys);
}

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

/*
 * The type that a key column of the query is compared with the target's in;
 * InvalidOid: they cannot be.  An integer beyond the target's range is no
 * error, it is just not there.
 */
static Oid
compared_type(Oid given, Oid expected)
{
	if (given != expected && is_integer(given) && is_integer(expected))
		return INT8OID;
	if (can_coerce_type(1, &given, &expected, COERCION_IMPLICIT))
		return expected;
	return InvalidOid;
}

static void
check_key(Relation target, const KsegSegmentation *s,
		  const KsegResolved *resolved, KsegKeyColumns *keys)
{
	AttrNumber *columns = palloc(sizeof(AttrNumber) * s->nkeys);

	keys->target = qualified_name(s->target);
	keys->n = s->nkeys;
	keys->names = palloc(sizeof(char *) * s->nkeys);
	keys->types = palloc(sizeof(Oid) * s->nkeys);
	keys->collations = palloc(sizeof(Oid) * s->nkeys);
	keys->equals = palloc(sizeof(Oid) * s->nkeys);
	for (int i = 0; i < s->nkeys; i++)
	{
		Oid			given = resolved->columns.types[resolved->keys[i]];
		Form_pg_attribute attribute;

		columns[i] = get_attnum(s->target, s->keys[i]);
		if (columns[i] <= 0)
			kseg_error_key_not_in_target(s->keys[i],
										 RelationGetRelationName(target));
		attribute = TupleDescAttr(RelationGetDescr(target), columns[i] - 1);
		keys->names[i] = quote_identifier(s->keys[i]);
		keys->types[i] = compared_type(getBaseType(given),
									   getBaseType(attribute->atttypid));
		keys->collations[i] = attribute->attcollation;
		if (!OidIsValid(keys->types[i]))
			kseg_error_key_types(s->keys[i], given, attribute->atttypid,
								 RelationGetRelationName(target));
	}

	kseg_target_check_index(target, s, columns, keys->equals);
	for (int i = 0; i < s->nkeys; i++)
	{
		if (!TupleDescAttr(RelationGetDescr(target),
						   columns[i] - 1)->attnotnull)
			kseg_error_key_nullable(s->keys[i], qualified_name(s->target),
									RelationGetRelationName(target));
	}
}

void
kseg_target_check(const KsegSegmentation *s, const KsegResolved *resolved,
				  KsegKeyColumns *keys)
{
	Relation	target;

	kseg_target_check_kind(s->target);
	check_privilege(s);
	target = relation_open(s->target, RowExclusiveLock);
	/* before there was the lock, it could change */
	kseg_target_check_kind(s->target);
	check_segment_column(s, resolved, RelationGetDescr(target));
	check_triggers(target, s->segment_column);
	check_key(target, s, resolved, keys);
	relation_close(target, NoLock);
}

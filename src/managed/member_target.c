/*
 * member_target.c
 *		A segmentation's target as it is tonight.
 *
 * It was checked when the segmentation was made, but its owner may have
 * changed it since.  What the night relies on is checked again: a key finds
 * one row at most.  The lock keeps it so until the end of the transaction.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "../pg/errors.h"
#include "create.h"
#include "members.h"
#include "messages.h"

static void
find_keys(KsegMemberTarget *target, Relation relation)
{
	int			nkeys = target->nkeys;

	target->key_columns = palloc(sizeof(AttrNumber) * nkeys);
	target->key_types = palloc(sizeof(Oid) * nkeys);
	target->key_typmods = palloc(sizeof(int32) * nkeys);
	target->key_collations = palloc(sizeof(Oid) * nkeys);
	for (int i = 0; i < nkeys; i++)
	{
		AttrNumber	column = get_attnum(target->relation, target->keys[i]);
		Form_pg_attribute attribute;

		if (column <= 0)
			kseg_error_key_not_in_target(target->keys[i],
										 RelationGetRelationName(relation));
		attribute = TupleDescAttr(RelationGetDescr(relation), column - 1);
		if (!attribute->attnotnull)
			kseg_error_key_nullable(target->keys[i], target->name,
									RelationGetRelationName(relation));
		target->key_columns[i] = column;
		target->key_types[i] = attribute->atttypid;
		target->key_typmods[i] = attribute->atttypmod;
		target->key_collations[i] = attribute->attcollation;
	}
}

static void
find_segment(KsegMemberTarget *target, Relation relation)
{
	AttrNumber	column = get_attnum(target->relation, target->segment_name);
	Oid			type;

	if (column <= 0)
		kseg_error_target_column(RelationGetRelationName(relation),
								 target->segment_name);
	type = TupleDescAttr(RelationGetDescr(relation), column - 1)->atttypid;
	target->segment_column = column;
	target->segment_type = getBaseType(type);
	if (target->segment_type != INT2OID && target->segment_type != INT4OID &&
		target->segment_type != INT8OID)
		kseg_error_segment_type(target->segment_name, type);
}

void
kseg_member_target_open(KsegMemberTarget *target, const KsegSegmentation *s)
{
	Relation	relation = try_relation_open(s->target, AccessShareLock);
	Oid		   *equals = palloc(sizeof(Oid) * s->nkeys);

	if (relation == NULL)
		kseg_error_members_no_target(s->name);
	kseg_target_check_kind(s->target);

	target->relation = s->target;
	target->is_partitioned =
		relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	target->name =
		quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
								   RelationGetRelationName(relation));
	target->nkeys = s->nkeys;
	target->keys = (const char *const *) s->keys;
	target->segment_name = s->segment_column;
	find_keys(target, relation);
	find_segment(target, relation);
	kseg_target_check_index(relation, s, target->key_columns, equals);
	relation_close(relation, NoLock);
}

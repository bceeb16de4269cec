/*
 * member_target.c
 *		A segmentation's target as it is tonight.
 *
 * It was checked when the segmentation was made, but its owner may have
 * changed it since.  What the night relies on is checked again: a key finds
 * one row at most.  The lock keeps it so until the end of the transaction.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/typcache.h"

#include "../pg/errors.h"
#include "members.h"
#include "messages.h"

/* Number of a column, or an error. */
static AttrNumber
find_column(Relation relation, const char *name)
{
	AttrNumber	column = get_attnum(RelationGetRelid(relation), name);

	if (column <= 0)
		kseg_error_target_column(RelationGetRelationName(relation), name);
	return column;
}

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
		AttrNumber	column = find_column(relation, target->keys[i]);
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation),
													column - 1);

		if (!attribute->attnotnull)
			kseg_error_members_key_nullable(RelationGetRelationName(relation),
											target->keys[i]);
		target->key_columns[i] = column;
		target->key_types[i] = attribute->atttypid;
		target->key_typmods[i] = attribute->atttypmod;
		target->key_collations[i] = attribute->attcollation;
	}
}

static void
find_segment(KsegMemberTarget *target, Relation relation)
{
	AttrNumber	column = find_column(relation, target->segment_name);
	Oid			type = TupleDescAttr(RelationGetDescr(relation),
									 column - 1)->atttypid;

	target->segment_column = column;
	target->segment_type = getBaseType(type);
	if (target->segment_type != INT2OID && target->segment_type != INT4OID &&
		target->segment_type != INT8OID)
		kseg_error_segment_type(target->segment_name, type);
}

/* ---- the unique index ---- */

/*
 * Is the index's idea of equal in its column i the one that keys are compared
 * with?  Another one could let two rows in that are one customer to us.
 */
static bool
has_our_equality(Relation index, int i, Oid type, Oid collation)
{
	Oid			equality = get_opfamily_member(index->rd_opfamily[i],
											   index->rd_opcintype[i],
											   index->rd_opcintype[i],
											   BTEqualStrategyNumber);
	Oid			index_collation = index->rd_indcollation[i];

	if (equality != lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr)
		return false;
	return index_collation == collation || !OidIsValid(collation) ||
		get_collation_isdeterministic(collation);
}

/* Does the column stand among the key's, with the same equality? */
static bool
is_key_column(const KsegMemberTarget *target, Relation index, int i)
{
	for (int k = 0; k < target->nkeys; k++)
	{
		if (target->key_columns[k] == index->rd_index->indkey.values[i])
			return has_our_equality(index, i, target->key_types[k],
									target->key_collations[k]);
	}
	return false;
}

/*
 * Does the index allow a key once at most, at any time?  Columns of an index
 * may repeat, those of a key do not, so as many that are all of the key's and
 * differ are the key.
 */
static bool
keeps_unique(const KsegMemberTarget *target, Relation index)
{
	Form_pg_index form = index->rd_index;
	Bitmapset  *columns = NULL;

	if (!form->indisunique || !form->indisvalid || !form->indimmediate ||
		index->rd_rel->relam != BTREE_AM_OID ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
		return false;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		if (!is_key_column(target, index, i))
			return false;
		columns = bms_add_member(columns, form->indkey.values[i]);
	}
	return bms_num_members(columns) == target->nkeys;
}

static void
check_unique(const KsegMemberTarget *target, Relation relation)
{
	ListCell   *cell;
	bool		is_unique = false;

	foreach(cell, RelationGetIndexList(relation))
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		is_unique = is_unique || keeps_unique(target, index);
		index_close(index, NoLock);
	}
	if (!is_unique)
		kseg_error_members_not_unique(target->name, target->nkeys,
									  target->keys);
}

void
kseg_member_target_open(KsegMemberTarget *target, const KsegSegmentation *s)
{
	Relation	relation = try_relation_open(s->target, AccessShareLock);
	char		relkind;

	if (relation == NULL)
		kseg_error_members_no_target(s->name);
	relkind = relation->rd_rel->relkind;
	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		kseg_error_members_target_kind(RelationGetRelationName(relation),
									   relkind);
	/* an index does not reach into child tables */
	if (relkind == RELKIND_RELATION &&
		find_inheritance_children(s->target, NoLock) != NIL)
		kseg_error_members_children(RelationGetRelationName(relation));

	target->relation = s->target;
	target->relkind = relkind;
	target->name =
		quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
								   RelationGetRelationName(relation));
	target->nkeys = s->nkeys;
	target->keys = (const char *const *) s->keys;
	target->segment_name = s->segment_column;
	find_keys(target, relation);
	find_segment(target, relation);
	check_unique(target, relation);
	relation_close(relation, NoLock);
}

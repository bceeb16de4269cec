/*
 * foreign.c
 *		A query of a table with foreign partitions, as one query for each
 *		partition.
 *
 * postgres_fdw sends an aggregate to its server when that is all there is to
 * do with one foreign table; but it takes no part of an aggregate over several
 * (PostgreSQL 15 to 18).  So the parts are made here.
 */
#include "postgres.h"

#include "access/attmap.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "rewrite/rewriteManip.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/ruleutils.h"
#include "utils/varlena.h"

#include "compat.h"
#include "kseg.h"
#include "pushdown.h"

/* ---- servers ---- */

/* Does postgres_fdw know that the server has kseg? */
static bool
server_has_kseg(Oid table)
{
	ForeignServer *server = GetForeignServer(GetForeignTable(table)->serverid);
	ForeignDataWrapper *wrapper = GetForeignDataWrapper(server->fdwid);
	ListCell   *cell;

	if (strcmp(wrapper->fdwname, "postgres_fdw") != 0)
		return false;
	foreach(cell, server->options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);
		List	   *names;
		ListCell   *name;

		if (strcmp(option->defname, "extensions") != 0 ||
			!SplitIdentifierString(pstrdup(defGetString(option)), ',', &names))
			continue;
		foreach(name, names)
		{
			if (strcmp(lfirst(name), "kseg") == 0)
				return true;
		}
	}
	return false;
}

/* ---- partitions ---- */

/* The table that is all that the query reads, row by row; NULL: it is not so. */
static RangeTblEntry *
single_table(const Query *query, int *index)
{
	Node	   *from;
	RangeTblEntry *entry;

	if (query->hasAggs || query->hasWindowFuncs || query->hasTargetSRFs ||
		query->hasSubLinks || query->hasRowSecurity ||
		query->cteList != NIL || query->groupClause != NIL ||
		query->groupingSets != NIL || query->havingQual != NULL ||
		query->distinctClause != NIL || query->setOperations != NULL ||
		query->limitCount != NULL || query->limitOffset != NULL ||
		list_length(query->jointree->fromlist) != 1)
		return NULL;
	from = linitial(query->jointree->fromlist);
	if (!IsA(from, RangeTblRef))
		return NULL;
	*index = ((RangeTblRef *) from)->rtindex;
	entry = list_nth_node(RangeTblEntry, query->rtable, *index - 1);
	return entry->rtekind == RTE_RELATION && entry->tablesample == NULL ?
		entry : NULL;
}

/*
 * The partitions with rows of their own.  NIL when none of them is foreign,
 * or the user may read the table but not its partitions as such.
 */
static List *
readable_partitions(Oid table, bool *is_shippable)
{
	List	   *partitions = NIL;
	bool		has_foreign = false;
	ListCell   *cell;

	*is_shippable = true;
	foreach(cell, find_all_inheritors(table, AccessShareLock, NULL))
	{
		Oid			partition = lfirst_oid(cell);
		char		relkind = get_rel_relkind(partition);

		if (relkind == RELKIND_PARTITIONED_TABLE)
			continue;
		if (pg_class_aclcheck(partition, GetUserId(), ACL_SELECT) !=
			ACLCHECK_OK ||
			check_enable_rls(partition, InvalidOid, true) != RLS_NONE)
			return NIL;
		if (relkind == RELKIND_FOREIGN_TABLE)
		{
			has_foreign = true;
			*is_shippable = *is_shippable && server_has_kseg(partition);
		}
		partitions = lappend_oid(partitions, partition);
	}
	return has_foreign ? partitions : NIL;
}

/* Where the partition has the columns of the table. */
static AttrMap *
map_columns(Oid table, Oid partition)
{
	Relation	relation = relation_open(table, NoLock);
	TupleDesc	desc = RelationGetDescr(relation);
	AttrMap    *map = make_attrmap(desc->natts);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (!column->attisdropped)
			map->attnums[i] = get_attnum(partition, NameStr(column->attname));
	}
	relation_close(relation, NoLock);
	return map;
}

/* The query of one partition's rows; NULL when there is none. */
static char *
partition_query(const Query *query, int index, Oid partition)
{
	Query	   *copy = (Query *) copyObjectImpl(query);
	RangeTblEntry *entry = list_nth_node(RangeTblEntry, copy->rtable,
										 index - 1);
	AttrMap    *map = map_columns(entry->relid, partition);
	bool		whole_row;

	copy->sortClause = NIL;
	copy = (Query *) map_variable_attnos((Node *) copy, index, 0, map,
										 InvalidOid, &whole_row);
	free_attrmap(map);
	if (whole_row)
		return NULL;
	entry = list_nth_node(RangeTblEntry, copy->rtable, index - 1);
	entry->relid = partition;
	entry->relkind = get_rel_relkind(partition);
	entry->inh = false;
	/* names of the table's columns, in its order */
	if (entry->alias != NULL)
		entry->alias->colnames = NIL;
	return pg_get_querydef(copy, false);
}

List *
kseg_split_query(const Query *query, bool *is_shippable)
{
	int			index;
	RangeTblEntry *entry = single_table(query, &index);
	List	   *texts = NIL;
	List	   *partitions;
	ListCell   *cell;
	int			level;

	*is_shippable = false;
	if (entry == NULL)
		return NIL;
	if (entry->relkind == RELKIND_FOREIGN_TABLE)
	{
		/* one foreign table needs no parts */
		*is_shippable = server_has_kseg(entry->relid);
		return NIL;
	}
	/* ONLY: such a table has no rows of its own */
	if (entry->relkind != RELKIND_PARTITIONED_TABLE || !entry->inh)
		return NIL;
	partitions = readable_partitions(entry->relid, is_shippable);
	if (partitions == NIL)
	{
		*is_shippable = false;
		return NIL;
	}
	level = kseg_print_alike();
	foreach(cell, partitions)
	{
		char	   *text = partition_query(query, index, lfirst_oid(cell));

		if (text == NULL)
		{
			*is_shippable = false;
			texts = NIL;
			break;
		}
		texts = lappend(texts, text);
	}
	AtEOXact_GUC(true, level);
	return texts;
}

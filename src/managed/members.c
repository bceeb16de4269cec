/*
 * members.c
 *		The customers of a night: those of a segmentation's query, and where
 *		each is now; and those that the target still has in a segment, though
 *		they are none of the query any more.
 *
 * A query over the target alone tells both (the direct path).  Any other meets
 * the target's rows in memory, by key: the executor's FULL JOIN takes several
 * times as long, and would not notice a key that comes twice.
 *
 * All that a night reads is read under the active snapshot.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "members.h"
#include "messages.h"

struct KsegMembers
{
	/* set once */
	MemoryContext context;
	const KsegSegmentation *s;
	KsegMemberTarget target;
	KsegMemberQuery query;
	KsegMemberKey own;			/* of the target's types */
	KsegMemberKey *compared;	/* what both sides' keys are turned into; &own
								 * where the target's stay as they are */
	const char *key_expression;

	/* while reading */
	void		(*start) (void *arg, const KsegQuery *query);
	void		(*row) (void *arg, const KsegMember *member);
	void	   *arg;
	KsegMember	member;
	Datum	   *key;			/* one row's, to compare */
	KsegMemberTable *table;		/* unless it is direct */
};

/* ---- preparing ---- */

/* A key column of "t", as its text is printed from. */
static char *
printed_column(const KsegMemberTarget *target, int k)
{
	char	   *column = psprintf("t.%s", quote_identifier(target->keys[k]));

	if (kseg_member_key_printed(target->key_types[k]) != target->key_types[k])
		return psprintf("pg_catalog.timezone('UTC', %s)", column);
	return column;
}

/*
 * SQL for what kseg_member_key_print() prints.  A cast to text is not always
 * the type's output, which format() calls: of char(n) it strips blanks, true
 * it spells out.
 */
static char *
make_key_expression(const KsegMemberTarget *target)
{
	StringInfoData sql;
	Oid			function;

	initStringInfo(&sql);
	if (target->nkeys == 1)
	{
		char	   *column = printed_column(target, 0);

		if (find_coercion_pathway(TEXTOID, target->key_types[0],
								  COERCION_EXPLICIT,
								  &function) == COERCION_PATH_FUNC)
			appendStringInfo(&sql, "pg_catalog.format('%%s', %s)", column);
		else
			appendStringInfo(&sql, "%s::pg_catalog.text", column);
		return sql.data;
	}
	appendStringInfoString(&sql, "ROW(");
	for (int k = 0; k < target->nkeys; k++)
		appendStringInfo(&sql, "%s%s", k > 0 ? ", " : "",
						 printed_column(target, k));
	appendStringInfoString(&sql, ")::pg_catalog.text");
	return sql.data;
}

/* The key that the two sides are compared by. */
static KsegMemberKey *
make_compared(KsegMembers *members)
{
	const KsegMemberTarget *target = &members->target;
	KsegMemberKey *compared;
	int32	   *typmods;

	if (members->query.compared_types == NULL)
		return &members->own;
	typmods = palloc(sizeof(int32) * target->nkeys);
	for (int k = 0; k < target->nkeys; k++)
		typmods[k] = -1;
	compared = palloc(sizeof(KsegMemberKey));
	kseg_member_key_init(compared, target->nkeys,
						 members->query.compared_types, typmods,
						 target->key_collations);
	return compared;
}

KsegMembers *
kseg_members_create(const KsegSegmentation *s)
{
	KsegMembers *members = palloc0(sizeof(KsegMembers));
	KsegMemberTarget *target = &members->target;

	members->context = CurrentMemoryContext;
	members->s = s;
	kseg_member_target_open(target, s);
	kseg_resolved_check(s);
	kseg_member_query_init(&members->query, target, s->resolved,
						   s->owns_target);
	kseg_member_key_init(&members->own, target->nkeys, target->key_types,
						 target->key_typmods, target->key_collations);
	members->compared = make_compared(members);
	members->key_expression = make_key_expression(target);
	members->key = palloc(sizeof(Datum) * target->nkeys);
	return members;
}

const Oid *
kseg_members_key_types(const KsegMembers *members)
{
	return members->target.key_types;
}

const char *
kseg_members_target(const KsegMembers *members)
{
	return members->target.name;
}

Oid
kseg_members_segment_type(const KsegMembers *members)
{
	return members->target.segment_type;
}

text *
kseg_members_key_text(KsegMembers *members, const Datum *key)
{
	return cstring_to_text(kseg_member_key_print(&members->own, key));
}

const char *
kseg_members_key_expression(const KsegMembers *members)
{
	return members->key_expression;
}

/* ---- reading ---- */

/*
 * Whatever else than a positive integer people wrote into the column, it is no
 * segment, and no null either: it has to go.
 */
static inline int
read_segment(const KsegMembers *members, Datum value, bool is_null)
{
	int64		segment;

	if (is_null)
		return 0;
	switch (members->target.segment_type)
	{
		case INT2OID:
			segment = DatumGetInt16(value);
			break;
		case INT4OID:
			segment = DatumGetInt32(value);
			break;
		default:
			segment = DatumGetInt64(value);
			break;
	}
	return segment > 0 && segment <= PG_INT32_MAX ? (int) segment : -1;
}

static inline void
read_key(const KsegMembers *members, const Datum *values, const bool *nulls,
		 const int *columns, Datum *key)
{
	for (int k = 0; k < members->target.nkeys; k++)
	{
		if (unlikely(nulls[columns[k]]))
			kseg_error_members_key_null(members->target.keys[k]);
		key[k] = values[columns[k]];
	}
}

/*
 * Of the result's columns the caller sees those of the query, whose names
 * differ; that one of ours has the name too does not count.
 */
static void
start_query(void *arg, const KsegQuery *query)
{
	KsegMembers *members = arg;
	KsegQuery	own = *query;

	own.ncolumns = members->query.ncolumns;
	own.is_repeated = palloc0(sizeof(bool) * own.ncolumns);
	members->start(members->arg, &own);
}

static void
start_others(void *arg, const KsegQuery *query)
{
}

/* ---- reading: the direct path ---- */

static void
take_direct(void *arg, const Datum *values, const bool *nulls)
{
	KsegMembers *members = arg;
	KsegMember *member = &members->member;
	int			segment = members->query.ncolumns;

	read_key(members, values, nulls, members->query.query_keys, members->key);
	member->hash = kseg_member_key_hash(&members->own, members->key);
	member->segment = read_segment(members, values[segment], nulls[segment]);
	member->in_query = !members->query.tells_gone ||
		DatumGetBool(values[segment + 1]);
	if (!member->in_query && member->segment == 0)
		return;
	member->values = member->in_query ? values : NULL;
	member->nulls = member->in_query ? nulls : NULL;
	members->row(members->arg, member);
}

static void
take_gone(void *arg, const Datum *values, const bool *nulls)
{
	KsegMembers *members = arg;
	KsegMember *member = &members->member;
	int			nkeys = members->target.nkeys;

	member->segment = read_segment(members, values[nkeys], nulls[nkeys]);
	if (member->segment == 0)
		return;
	member->key = values;
	member->hash = kseg_member_key_hash(&members->own, values);
	members->row(members->arg, member);
}

static void
run_direct(KsegMembers *members)
{
	KsegMember *member = &members->member;
	KsegGuard	guard = kseg_guard(members->s, false);

	member->key = members->key;
	member->in_target = true;
	kseg_query_run(members->query.query, &guard, start_query, take_direct,
				   members);

	if (members->query.others == NULL)
		return;
	member->in_query = false;
	member->values = NULL;
	member->nulls = NULL;
	kseg_query_run(members->query.others, &guard, start_others, take_gone,
				   members);
}

/* ---- reading: by key ---- */

static void
keep_target_row(void *arg, const Datum *values, const bool *nulls)
{
	KsegMembers *members = arg;
	int			nkeys = members->target.nkeys;
	KsegMemberRow *row;

	read_key(members, values, nulls, members->query.others_keys,
			 members->key);
	row = kseg_member_table_add(members->table,
								kseg_member_key_hash(members->compared,
													 members->key),
								members->key, values);
	row->segment = read_segment(members, values[nkeys], nulls[nkeys]);
	row->in_target = true;
}

/*
 * Of a customer that is new to a user's table, the key may have no
 * counterpart among the table's types.
 */
static void
set_member(KsegMembers *members, KsegMemberRow *row)
{
	KsegMember *member = &members->member;
	bool		are_own = members->compared == &members->own;

	member->in_query = row->in_query;
	member->in_target = row->in_target;
	member->segment = row->segment;
	member->hash = row->hash;
	member->key = NULL;
	if (row->in_target || are_own)
		member->key = kseg_member_table_key(members->table, row);
	if (row->in_target && !are_own)
		member->hash = kseg_member_key_hash(&members->own, member->key);
}

static void
take_by_key(void *arg, const Datum *values, const bool *nulls)
{
	KsegMembers *members = arg;
	KsegMemberRow *row;
	uint64		hash;

	read_key(members, values, nulls, members->query.query_keys,
			 members->key);
	hash = kseg_member_key_hash(members->compared, members->key);
	row = kseg_member_table_find(members->table, hash,
								 members->key);
	if (row == NULL)
		row = kseg_member_table_add(members->table, hash,
									members->key, NULL);
	else if (unlikely(row->in_query))
		kseg_error_members_key_twice(members->target.nkeys,
									 members->target.keys,
									 kseg_member_key_print(members->compared,
														   members->key));
	row->in_query = true;

	set_member(members, row);
	members->member.values = values;
	members->member.nulls = nulls;
	members->row(members->arg, &members->member);
}

/* Customers of the target that the query does not have. */
static void
take_left(KsegMembers *members)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "kseg member",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	uint32		count = kseg_member_table_count(members->table);

	members->member.values = NULL;
	members->member.nulls = NULL;
	for (uint32 i = 0; i < count; i++)
	{
		KsegMemberRow *row = kseg_member_table_row(members->table, i);

		if (row->in_query || row->segment == 0)
			continue;
		CHECK_FOR_INTERRUPTS();
		set_member(members, row);
		members->row(members->arg, &members->member);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

static void
run_by_key(KsegMembers *members)
{
	KsegGuard	guard = kseg_guard(members->s, members->query.is_within);
	/* of the target nothing but columns is read, and casts of them */
	KsegGuard	target_guard = kseg_guard(members->s, true);

	members->table = kseg_member_table_create(members->context,
											  members->compared,
											  &members->own);
	kseg_query_run(members->query.others, &target_guard, start_others,
				   keep_target_row, members);
	kseg_query_run(members->query.query, &guard, start_query, take_by_key,
				   members);
	take_left(members);
	kseg_member_table_free(members->table);
	members->table = NULL;
}

void
kseg_members_run(KsegMembers *members,
				 void (*start) (void *arg, const KsegQuery *query),
				 void (*row) (void *arg, const KsegMember *member),
				 void *arg)
{
	members->start = start;
	members->row = row;
	members->arg = arg;
	if (members->query.is_direct)
		run_direct(members);
	else
		run_by_key(members);
}

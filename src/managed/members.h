/*
 * members.h
 *		What the files behind members.c share.
 *
 *		member_target.c		the target as it is tonight: checked, its columns
 *		member_key.c		keys: hash, equality, text
 *		member_query.c		the queries that run
 *		member_table.c		the target's rows by key
 *		members.c			reading: how the two sides meet
 */
#ifndef MEMBERS_H
#define MEMBERS_H

#include "managed.h"

/* ---- keys (member_key.c) ---- */

/* One column of a key, and what can be done with its values. */
typedef struct KsegKeyColumn
{
	Oid			collation;
	int16		length;
	bool		by_value;
	bool		has_hash;		/* else values are told apart by their text */
	FmgrInfo	hash;
	FmgrInfo	equal;
	FmgrInfo	output;
} KsegKeyColumn;

/* A whole key. */
typedef struct KsegMemberKey
{
	int			ncolumns;
	KsegKeyColumn *columns;
	TupleDesc	row;			/* of several columns, for the text */
	FmgrInfo	row_output;
} KsegMemberKey;

/* the type whose output prints a key of that type, in any session alike */
extern Oid	kseg_member_key_printed(Oid type);
/* In the current context. */
extern void kseg_member_key_init(KsegMemberKey *key, int ncolumns,
								 const Oid *types, const int32 *typmods,
								 const Oid *collations);
extern uint64 kseg_member_key_hash(KsegMemberKey *key, const Datum *values);
extern bool kseg_member_key_equal(KsegMemberKey *key, const Datum *a,
								  const Datum *b);
/* of one column its text, of several that of a row; palloc'd */
extern char *kseg_member_key_print(KsegMemberKey *key, const Datum *values);

/* ---- the target (member_target.c) ---- */

typedef struct KsegMemberTarget
{
	Oid			relation;
	bool		is_partitioned;
	const char *name;			/* qualified and quoted */
	int			nkeys;
	const char *const *keys;	/* names of the key's columns */
	AttrNumber *key_columns;
	Oid		   *key_types;
	int32	   *key_typmods;
	Oid		   *key_collations;
	const char *segment_name;
	AttrNumber	segment_column;
	Oid			segment_type;	/* int2, int4 or int8 */
} KsegMemberTarget;

/* Check and lock a segmentation's target. */
extern void kseg_member_target_open(KsegMemberTarget *target,
									const KsegSegmentation *s);

/* ---- what is read (member_query.c) ---- */

typedef struct KsegMemberQuery
{
	int			ncolumns;		/* of the registered query */

	/*
	 * These columns, and what we need beside them.  If it is direct, nothing
	 * but the target is read, and these are the segment and, if it tells those
	 * gone as well, whether the row is one of the query.
	 */
	bool		is_direct;
	bool		tells_gone;
	bool		is_within;		/* the registered query is in its FROM, with
								 * nothing but casts around it */
	char	   *query;
	int		   *query_keys;		/* its columns with the key to compare */

	/*
	 * Direct: key and segment of those gone; NULL when "query" tells them or
	 * there can be none.  Else of all rows of the target, and what follows is
	 * of use:
	 */
	char	   *others;
	int		   *others_keys;	/* its columns with the key to compare */
	const Oid  *compared_types; /* what both keys are turned into; NULL: the
								 * target's key stays as it is */
} KsegMemberQuery;

extern void kseg_member_query_init(KsegMemberQuery *query,
								   const KsegMemberTarget *target,
								   const char *resolved, bool owns_target);

/* ---- rows by key (member_table.c) ---- */

typedef struct KsegMemberRow
{
	uint64		hash;			/* of what is compared */
	int			segment;		/* as of KsegMember */
	bool		in_target;
	bool		in_query;
} KsegMemberRow;

typedef struct KsegMemberTable KsegMemberTable;

/*
 * Rows in memory below the parent, found by the key "compared": what both the
 * target's key and the query's are turned into.  "own" is the target's key as
 * it is; the two are the same pointer where nothing has to be turned.
 */
extern KsegMemberTable *kseg_member_table_create(MemoryContext parent,
												 KsegMemberKey *compared,
												 KsegMemberKey *own);
/*
 * Add a row whose key no row has.  own: NULL when compared is all that is
 * known of it.  Raises beyond kseg.work_mem.
 */
extern KsegMemberRow *kseg_member_table_add(KsegMemberTable *table,
											uint64 hash,
											const Datum *compared,
											const Datum *own);
/* The row with that key, until one is added; NULL: there is none. */
extern KsegMemberRow *kseg_member_table_find(KsegMemberTable *table,
											 uint64 hash,
											 const Datum *compared);
extern uint32 kseg_member_table_count(const KsegMemberTable *table);
extern KsegMemberRow *kseg_member_table_row(const KsegMemberTable *table,
											uint32 number);
/* the target's key of a row that has one */
extern const Datum *kseg_member_table_key(const KsegMemberTable *table,
										  KsegMemberRow *row);
extern void kseg_member_table_free(KsegMemberTable *table);

#endif							/* MEMBERS_H */

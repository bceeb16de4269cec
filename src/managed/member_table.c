/*
 * member_table.c
 *		The customers that the target has, by key, in memory.
 *
 * Rows are numbered as they come.  A query mostly gives its customers in the
 * order in which the target has them (a result table is filled in the order
 * of the query), so the row after the one that was found last is tried first.
 * Then the one where the order was left: customers that change segment get a
 * new place in their table, and the others go on.  The index by hash is made
 * when that fails for the first time.
 *
 * In another order each customer costs what the processor waits for memory.
 * Hence the bits of the hash beside each number in the index: it leads to no
 * row but the right one, which is one piece with its key.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"

#include "members.h"
#include "messages.h"

/*
 * Rows lie in blocks, so that they need not be copied when there are more;
 * what a Datum points to lies in others.
 */
#define BLOCK_ROWS		1024
#define VALUE_BYTES		(64 * 1024)

/* numbers of places, twice as many, are to fit 32 bits */
#define MAX_ROWS		(PG_UINT32_MAX / 4)

typedef struct Place
{
	uint32		number;			/* of a row, + 1; 0: free */
	uint32		high;			/* bits of the hash that do not choose the
								 * place */
} Place;

struct KsegMemberTable
{
	/* set once */
	MemoryContext context;
	KsegMemberKey *compared;
	KsegMemberKey *own;			/* NULL: the same */
	int			width;			/* values of a row: compared, then own */
	Size		row_bytes;		/* of a row with its values */
	Size		limit;			/* bytes */

	/* changes while running */
	Size		used;
	uint32		count;
	int			nblocks;
	int			block_room;		/* in the list of blocks */
	char	  **blocks;			/* KsegMemberRows and their values */
	uint32		next;			/* row after the one found last */
	uint32		resume;			/* the one that was next before the last use
								 * of the index */
	char	   *value_block;
	Size		value_left;
	uint32		nplaces;		/* a power of two, or 0: no index yet */
	Place	   *places;
};

KsegMemberTable *
kseg_member_table_create(MemoryContext parent, KsegMemberKey *compared,
						 KsegMemberKey *own)
{
	MemoryContext context = AllocSetContextCreate(parent, "kseg members",
												  ALLOCSET_DEFAULT_SIZES);
	KsegMemberTable *table = MemoryContextAllocZero(context,
													sizeof(KsegMemberTable));

	table->context = context;
	table->compared = compared;
	table->own = own == compared ? NULL : own;
	table->width = compared->ncolumns;
	if (table->own != NULL)
		table->width += own->ncolumns;
	table->row_bytes = sizeof(KsegMemberRow) + sizeof(Datum) * table->width;
	table->limit = (Size) kseg_work_mem * 1024;
	return table;
}

void
kseg_member_table_free(KsegMemberTable *table)
{
	MemoryContextDelete(table->context);
}

/* ---- memory ---- */

static void
use_memory(KsegMemberTable *table, Size bytes)
{
	table->used += bytes;
	if (table->used > table->limit)
		kseg_error_members_memory(table->count);
}

static void
add_block(KsegMemberTable *table)
{
	Size		bytes = table->row_bytes * BLOCK_ROWS;

	if (table->count >= MAX_ROWS)
		kseg_error_members_memory(table->count);
	use_memory(table, bytes);
	if (table->nblocks == table->block_room)
	{
		table->block_room = Max(64, table->block_room * 2);
		if (table->blocks == NULL)
			table->blocks = MemoryContextAlloc(table->context,
											   sizeof(char *) * table->block_room);
		else
			table->blocks = repalloc_huge(table->blocks,
										  sizeof(char *) * table->block_room);
	}
	table->blocks[table->nblocks++] = MemoryContextAlloc(table->context,
														 bytes);
}

static void *
copy_bytes(KsegMemberTable *table, const void *bytes, Size length)
{
	Size		needed = MAXALIGN(length);
	char	   *copy;

	if (needed > table->value_left)
	{
		Size		block = Max(needed, VALUE_BYTES);

		use_memory(table, block);
		table->value_block = MemoryContextAllocHuge(table->context, block);
		table->value_left = block;
	}
	copy = table->value_block;
	table->value_block += needed;
	table->value_left -= needed;
	memcpy(copy, bytes, length);
	return copy;
}

static void
copy_key(KsegMemberTable *table, KsegMemberKey *key, const Datum *values,
		 Datum *copies)
{
	for (int i = 0; i < key->ncolumns; i++)
	{
		KsegKeyColumn *column = &key->columns[i];

		if (column->by_value)
			copies[i] = values[i];
		else if (column->length > 0)
			copies[i] = PointerGetDatum(copy_bytes(table,
												   DatumGetPointer(values[i]),
												   column->length));
		else
		{
			/* what is stored apart in the table must not be read again */
			struct varlena *flat = PG_DETOAST_DATUM_PACKED(values[i]);

			copies[i] = PointerGetDatum(copy_bytes(table, flat,
												   VARSIZE_ANY(flat)));
		}
	}
}

/* ---- the index ---- */

static inline KsegMemberRow *
get_row(const KsegMemberTable *table, uint32 number)
{
	return (KsegMemberRow *) (table->blocks[number / BLOCK_ROWS] +
							  table->row_bytes * (number % BLOCK_ROWS));
}

static inline Datum *
get_values(KsegMemberRow *row)
{
	return (Datum *) (row + 1);
}

static inline void
put_place(KsegMemberTable *table, uint64 hash, uint32 number)
{
	uint32		mask = table->nplaces - 1;
	uint32		place = (uint32) hash & mask;

	while (table->places[place].number != 0)
		place = (place + 1) & mask;
	table->places[place].number = number + 1;
	table->places[place].high = (uint32) (hash >> 32);
}

/* An index of all rows, from a third to two thirds full. */
static void
make_index(KsegMemberTable *table)
{
	Size		bytes;

	if (table->places != NULL)
	{
		table->used -= sizeof(Place) * table->nplaces;
		pfree(table->places);
	}
	table->nplaces = pg_nextpower2_32(Max(table->count, 512) / 2 * 3);
	bytes = sizeof(Place) * table->nplaces;
	use_memory(table, bytes);
	table->places = MemoryContextAllocExtended(table->context, bytes,
											   MCXT_ALLOC_HUGE |
											   MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < table->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		put_place(table, get_row(table, i)->hash, i);
	}
}

/* ---- rows ---- */

KsegMemberRow *
kseg_member_table_add(KsegMemberTable *table, uint64 hash,
					  const Datum *compared, const Datum *own)
{
	KsegMemberRow *row;
	Datum	   *values;

	if (table->count % BLOCK_ROWS == 0)
		add_block(table);
	row = get_row(table, table->count);
	values = get_values(row);
	row->hash = hash;
	row->segment = 0;
	row->in_target = row->in_query = false;
	copy_key(table, table->compared, compared, values);
	if (table->own != NULL && own != NULL)
		copy_key(table, table->own, own, values + table->compared->ncolumns);
	table->count++;

	if (table->nplaces == 0)
		return row;
	if (table->count > table->nplaces / 3 * 2)
		make_index(table);
	else
		put_place(table, hash, table->count - 1);
	return row;
}

static inline bool
is_row(KsegMemberTable *table, KsegMemberRow *row, uint64 hash,
	   const Datum *compared)
{
	return row->hash == hash &&
		kseg_member_key_equal(table->compared, get_values(row), compared);
}

static inline bool
is_number(KsegMemberTable *table, uint32 number, uint64 hash,
		  const Datum *compared)
{
	return number < table->count &&
		is_row(table, get_row(table, number), hash, compared);
}

/* Number of the row with that key, or the number of rows. */
static uint32
find_by_index(KsegMemberTable *table, uint64 hash, const Datum *compared)
{
	uint32		high = (uint32) (hash >> 32);
	uint32		mask;
	uint32		place;

	if (table->nplaces == 0)
		make_index(table);
	mask = table->nplaces - 1;
	for (place = (uint32) hash & mask; table->places[place].number != 0;
		 place = (place + 1) & mask)
	{
		uint32		number = table->places[place].number - 1;

		if (table->places[place].high == high &&
			is_row(table, get_row(table, number), hash, compared))
			return number;
	}
	return table->count;
}

KsegMemberRow *
kseg_member_table_find(KsegMemberTable *table, uint64 hash,
					   const Datum *compared)
{
	uint32		number;

	if (is_number(table, table->next, hash, compared))
		number = table->next;
	else if (is_number(table, table->resume, hash, compared))
		number = table->resume;
	else
	{
		number = find_by_index(table, hash, compared);
		if (number == table->count)
			return NULL;
		table->resume = table->next;
	}
	table->next = number + 1;
	return get_row(table, number);
}

uint32
kseg_member_table_count(const KsegMemberTable *table)
{
	return table->count;
}

KsegMemberRow *
kseg_member_table_row(const KsegMemberTable *table, uint32 number)
{
	return get_row(table, number);
}

const Datum *
kseg_member_table_key(const KsegMemberTable *table, KsegMemberRow *row)
{
	return get_values(row) +
		(table->own == NULL ? 0 : table->compared->ncolumns);
}

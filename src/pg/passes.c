/*
 * passes.c
 *		Values of type kseg_pass, and those that a transaction has met.
 *
 * A state that is read back (from another server, from a worker) must find
 * its pass to be merged.  To send the pass along with each state would double
 * what travels; so states know its id, and each backend remembers the passes
 * of its transaction.  Whoever merges has met the pass, as the caller of
 * kseg_fit() has; where that is not so, states are kept side by side until
 * they come to somebody who has (state.c).
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "errors.h"
#include "kseg.h"
#include "state.h"

/* A fit's passes come one after the other: old ones are of no use. */
#define REMEMBERED	64

typedef struct Remembered
{
	uint64		id;
	uint64		last_used;
	struct varlena *value;
} Remembered;

typedef struct Memory
{
	MemoryContext context;
	uint64		clock;
	int			n;
	Remembered	passes[REMEMBERED];
	MemoryContextCallback callback;
} Memory;

/* in the transaction's context, NULL after its end */
static Memory *memory = NULL;

struct varlena *
kseg_pass_make(const KmPass *pass)
{
	Size		size = km_pass_size(pass);
	struct varlena *value;

	if (size > MaxAllocSize - VARHDRSZ)
		kseg_error_large_value("kseg_pass", size);
	value = palloc(VARHDRSZ + size);
	SET_VARSIZE(value, VARHDRSZ + size);
	km_pass_write(pass, (unsigned char *) VARDATA(value));
	return value;
}

uint64
kseg_pass_id(const struct varlena *value)
{
	return km_hash_text(0, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

KsegPass *
kseg_pass_open(const struct varlena *value)
{
	KsegPass   *pass = palloc(sizeof(KsegPass));

	pass->id = kseg_pass_id(value);
	kseg_check(km_pass_read(kseg_host(CurrentMemoryContext),
							(const unsigned char *) VARDATA_ANY(value),
							VARSIZE_ANY_EXHDR(value), &pass->pass));
	return pass;
}

/* ---- those of this transaction ---- */

static void
forget(void *arg)
{
	memory = NULL;
}

static void
start_memory(void)
{
	MemoryContext context;

	context = AllocSetContextCreate(TopTransactionContext, "kseg passes",
									ALLOCSET_SMALL_SIZES);
	memory = MemoryContextAllocZero(context, sizeof(Memory));
	memory->context = context;
	memory->callback.func = forget;
	MemoryContextRegisterResetCallback(context, &memory->callback);
}

static Remembered *
find(uint64 id)
{
	for (int i = 0; memory != NULL && i < memory->n; i++)
	{
		if (memory->passes[i].id == id)
		{
			memory->passes[i].last_used = ++memory->clock;
			return &memory->passes[i];
		}
	}
	return NULL;
}

/* A free place, or that of the pass that was not used for longest. */
static Remembered *
make_room(void)
{
	Remembered *oldest = &memory->passes[0];

	if (memory->n < REMEMBERED)
		return &memory->passes[memory->n++];
	for (int i = 1; i < REMEMBERED; i++)
	{
		if (memory->passes[i].last_used < oldest->last_used)
			oldest = &memory->passes[i];
	}
	pfree(oldest->value);
	return oldest;
}

void
kseg_pass_remember(const struct varlena *value)
{
	uint64		id = kseg_pass_id(value);
	struct varlena *copy;
	Remembered *place;

	if (memory == NULL)
		start_memory();
	if (find(id) != NULL)
		return;
	copy = MemoryContextAlloc(memory->context, VARSIZE_ANY(value));
	memcpy(copy, value, VARSIZE_ANY(value));
	place = make_room();
	place->id = id;
	place->value = copy;
	place->last_used = ++memory->clock;
}

KsegPass *
kseg_pass_recall(uint64 id)
{
	Remembered *place = find(id);

	return place == NULL ? NULL : kseg_pass_open(place->value);
}

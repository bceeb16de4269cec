/*
 * ari.c
 *		The aggregate kseg_ari(a, b): how alike two segmentations are.
 *
 * Its state is how many rows each pair of segments has, which merges in any
 * order.  A row with a null in either is left out.
 */
#include "postgres.h"

#include <math.h>

#include "libpq/pqformat.h"
#include "utils/memutils.h"

#include "errors.h"
#include "kseg.h"

PG_FUNCTION_INFO_V1(kseg_ari_transition);
PG_FUNCTION_INFO_V1(kseg_ari_combine);
PG_FUNCTION_INFO_V1(kseg_ari_serialize);
PG_FUNCTION_INFO_V1(kseg_ari_deserialize);
PG_FUNCTION_INFO_V1(kseg_ari_final);

typedef struct PairEntry
{
	uint64		key;			/* a and b */
	int64		count;
	char		status;			/* the hash table's */
} PairEntry;

/* multiplying by an odd number near 2^64 / golden ratio spreads the bits */
#define SH_PREFIX		pairs
#define SH_ELEMENT_TYPE	PairEntry
#define SH_KEY_TYPE		uint64
#define SH_KEY			key
#define SH_HASH_KEY(tb, key) \
	((uint32) (((key) * UINT64CONST(0x9e3779b97f4a7c15)) >> 32))
#define SH_EQUAL(tb, a, b)	((a) == (b))
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* thousands of groups have a table each */
#define FIRST_PAIRS		16

/*
 * What a pair takes at most: its entry in a table that has just doubled, half
 * full at the least, beside the one before; later its KmPair.
 */
#define PAIR_BYTES		(4 * sizeof(PairEntry))

static pairs_hash *
make_pairs(MemoryContext parent)
{
	return pairs_create(AllocSetContextCreate(parent, "kseg ari",
											  ALLOCSET_START_SMALL_SIZES),
						FIRST_PAIRS, NULL);
}

static void
add_pair(pairs_hash *pairs, uint64 key, int64 count)
{
	bool		found;
	PairEntry  *entry = pairs_insert(pairs, key, &found);

	if (found)
		entry->count += count;
	else
	{
		entry->count = count;
		if ((double) pairs->members * PAIR_BYTES >
			(double) kseg_work_mem * 1024)
			kseg_error_pairs(pairs->members);
	}
}

static MemoryContext
aggregate_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate function called in non-aggregate context");
	return context;
}

Datum
kseg_ari_transition(PG_FUNCTION_ARGS)
{
	MemoryContext context = aggregate_context(fcinfo);
	pairs_hash *pairs = PG_ARGISNULL(0) ? NULL :
		(pairs_hash *) PG_GETARG_POINTER(0);

	if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2))
	{
		if (pairs == NULL)
			pairs = make_pairs(context);
		add_pair(pairs, (uint64) (uint32) PG_GETARG_INT32(1) << 32 |
				 (uint32) PG_GETARG_INT32(2), 1);
	}
	if (pairs == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(pairs);
}

Datum
kseg_ari_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context = aggregate_context(fcinfo);
	pairs_hash *into = PG_ARGISNULL(0) ? NULL :
		(pairs_hash *) PG_GETARG_POINTER(0);

	if (!PG_ARGISNULL(1))
	{
		pairs_hash *from = (pairs_hash *) PG_GETARG_POINTER(1);
		pairs_iterator at;
		PairEntry  *entry;

		if (into == NULL)
			into = make_pairs(context);
		pairs_start_iterate(from, &at);
		while ((entry = pairs_iterate(from, &at)) != NULL)
			add_pair(into, entry->key, entry->count);
	}
	if (into == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(into);
}

Datum
kseg_ari_serialize(PG_FUNCTION_ARGS)
{
	pairs_hash *pairs = (pairs_hash *) PG_GETARG_POINTER(0);
	pairs_iterator at;
	PairEntry  *entry;
	StringInfoData buffer;

	(void) aggregate_context(fcinfo);
	pq_begintypsend(&buffer);
	pq_sendint32(&buffer, pairs->members);
	pairs_start_iterate(pairs, &at);
	while ((entry = pairs_iterate(pairs, &at)) != NULL)
	{
		pq_sendint64(&buffer, (int64) entry->key);
		pq_sendint64(&buffer, entry->count);
	}
	PG_RETURN_BYTEA_P(pq_endtypsend(&buffer));
}

Datum
kseg_ari_deserialize(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	pairs_hash *pairs;
	StringInfoData buffer;
	uint32		n;

	(void) aggregate_context(fcinfo);
	initStringInfo(&buffer);
	appendBinaryStringInfo(&buffer, VARDATA_ANY(bytes),
						   VARSIZE_ANY_EXHDR(bytes));
	/* short-lived: combining copies it */
	pairs = make_pairs(CurrentMemoryContext);
	n = pq_getmsgint(&buffer, 4);
	for (uint32 i = 0; i < n; i++)
	{
		uint64		key = (uint64) pq_getmsgint64(&buffer);

		add_pair(pairs, key, pq_getmsgint64(&buffer));
	}
	pq_getmsgend(&buffer);
	pfree(buffer.data);
	PG_RETURN_POINTER(pairs);
}

Datum
kseg_ari_final(PG_FUNCTION_ARGS)
{
	pairs_hash *pairs;
	pairs_iterator at;
	PairEntry  *entry;
	KmPair	   *all;
	Size		n = 0;
	double		index;

	(void) aggregate_context(fcinfo);
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	pairs = (pairs_hash *) PG_GETARG_POINTER(0);
	all = MemoryContextAllocHuge(CurrentMemoryContext,
								 sizeof(KmPair) * pairs->members);
	pairs_start_iterate(pairs, &at);
	while ((entry = pairs_iterate(pairs, &at)) != NULL)
	{
		all[n].a = (int32) (entry->key >> 32);
		all[n].b = (int32) (uint32) entry->key;
		all[n].count = entry->count;
		n++;
	}
	kseg_check(km_adjusted_rand_pairs(kseg_host(CurrentMemoryContext), all, n,
									  &index));
	pfree(all);
	PG_RETURN_FLOAT8(index);
}

/*
 * stored.h
 *		A store in memory, for tests of rows that do not fit into it: it
 *		counts, can fail, and notices who reads what was not written.
 */
#ifndef STORED_H
#define STORED_H

#include "tap.h"

typedef struct Store
{
	KmStore		store;
	unsigned char *bytes;
	bool	   *written;
	int64_t		size;
	long		reads;
	long		writes;
	long		fail_at;		/* number of the call that fails; 0: none */
} Store;

static KmStatus
put_bytes(void *arg, int64_t at, const void *bytes, size_t size)
{
	Store	   *store = arg;
	int64_t		end = at + (int64_t) size;

	if (++store->writes + store->reads == store->fail_at)
		return KM_OVER_LIMIT;
	if (end > store->size)
	{
		store->bytes = realloc(store->bytes, end);
		store->written = realloc(store->written, end * sizeof(bool));
		memset(store->written + store->size, 0, end - store->size);
		store->size = end;
	}
	memcpy(store->bytes + at, bytes, size);
	memset(store->written + at, true, size);
	return KM_OK;
}

static KmStatus
get_bytes(void *arg, int64_t at, void *bytes, size_t size)
{
	Store	   *store = arg;

	if (store->writes + ++store->reads == store->fail_at)
		return KM_OVER_LIMIT;
	for (size_t i = 0; i < size; i++)
	{
		if (at + (int64_t) i >= store->size || !store->written[at + i])
			abort();
	}
	memcpy(bytes, store->bytes + at, size);
	return KM_OK;
}

MAYBE_UNUSED static void
store_init(Store *store)
{
	memset(store, 0, sizeof(*store));
	store->store.write = put_bytes;
	store->store.read = get_bytes;
	store->store.arg = store;
}

MAYBE_UNUSED static void
store_free(Store *store)
{
	free(store->bytes);
	free(store->written);
}

#endif							/* STORED_H */

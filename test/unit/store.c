/*
 * store.c
 *		Tables larger than memory: the same bits wherever blocks are, refused,
 *		stopped, and with a store that fails.
 */
#include "scenes.h"
#include "stored.h"

/* ---- fits ---- */

static void
test_bits(const Scene *scene)
{
	TestHost	host;
	Data		data;
	KmOptions	options;
	Told		memory;
	bool		same = true;
	long		reads = 0;

	host_init(&host);
	make_scene(scene, &data, &options);
	same &= tell_scene(&host, scene, &data, &options, 0, NULL,
					  &memory) == KM_OK;
	/* from nothing but one block to all but one */
	for (size_t limit = 1; limit < 200000; limit = limit * 3 / 2 + 500)
	{
		Store		store;
		Told		told;

		store_init(&store);
		same &= tell_scene(&host, scene, &data, &options, limit, &store.store,
						  &told) == KM_OK;
		same &= told.size == memory.size &&
			memcmp(told.bytes, memory.bytes, told.size) == 0;
		reads += store.reads;
		free(told.bytes);
		store_free(&store);
	}
	check(same && reads > 100, "the same bits wherever rows are: %s",
		  scene->name);
	check(host.outstanding == 0, "all freed");
	free(memory.bytes);
	data_free(&data);
}

static void
test_failures(const Scene *scene)
{
	TestHost	host;
	Data		data;
	KmOptions	options;
	Store		store;
	Told		told;
	bool		clean = true;
	long		calls;
	long		allocations;
	long		polls;

	host_init(&host);
	make_scene(scene, &data, &options);
	store_init(&store);
	clean &= tell_scene(&host, scene, &data, &options, 9000, &store.store,
					   &told) == KM_OK;
	free(told.bytes);
	calls = store.reads + store.writes;
	allocations = host.allocations;
	polls = host.polls;
	store_free(&store);
	for (long at = 1; at <= calls; at += 1 + at / 20)
	{
		store_init(&store);
		store.fail_at = at;
		clean &= tell_scene(&host, scene, &data, &options, 9000, &store.store,
						   &told) == KM_OVER_LIMIT;
		clean &= host.outstanding == 0;
		free(told.bytes);
		store_free(&store);
	}
	check(clean, "a store that fails at any of %ld calls: told, and all freed",
		  calls);
	clean = true;
	for (long at = 1; at <= allocations; at += 1 + at / 20)
	{
		host_init(&host);
		host.refuse_at = at;
		store_init(&store);
		clean &= tell_scene(&host, scene, &data, &options, 9000, &store.store,
						   &told) == KM_NO_MEMORY && host.outstanding == 0;
		free(told.bytes);
		store_free(&store);
	}
	check(clean, "any of %ld allocations refused", allocations);
	clean = true;
	for (long at = 1; at <= polls; at += 1 + at / 10)
	{
		host_init(&host);
		host.stop_at = at;
		store_init(&store);
		clean &= tell_scene(&host, scene, &data, &options, 9000, &store.store,
						   &told) == KM_CANCELLED && host.outstanding == 0;
		free(told.bytes);
		store_free(&store);
	}
	check(clean, "stopped at any of %ld polls", polls);
	data_free(&data);
}

int
main(void)
{
	for (int i = 0; i < SCENES; i++)
		test_bits(&scenes[i]);
	test_failures(&scenes[1]);
	test_failures(&scenes[4]);
	return finish();
}

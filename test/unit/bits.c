/*
 * bits.c
 *		What fits tell, to the bit, against what they told when this was
 *		written: on another machine, by another compiler, with other flags.
 *
 * Who changes what a fit decides (a draw, the search, a format) takes over the
 * numbers that this prints.  Nothing else may change them.
 */
#include "scenes.h"

static const uint64_t expected[SCENES] = {
	UINT64_C(0x1489f9a28e2a14b1),
	UINT64_C(0x15e9fd451f3a4483),
	UINT64_C(0x21d70a0db2e16daa),
	UINT64_C(0x914c1aeebfdaef57),
	UINT64_C(0x68917027d87465fb),
	UINT64_C(0x710c8df9cb4545aa),
	UINT64_C(0xe18f79479d76c232)
};

/* FNV-1a */
static uint64_t
digest(const unsigned char *bytes, size_t size)
{
	uint64_t	hash = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
	return hash;
}

int
main(void)
{
	for (int i = 0; i < SCENES; i++)
	{
		TestHost	host;
		KmOptions	options;
		Data		data;
		Told		told;
		uint64_t	found;

		make_scene(&scenes[i], &data, &options);
		host_init(&host);
		check(tell_scene(&host, &scenes[i], &data, &options, 0, NULL,
						&told) == KM_OK, "%s", scenes[i].name);
		found = digest(told.bytes, told.size);
		if (!check(found == expected[i], "%s: the bits", scenes[i].name))
			note("UINT64_C(0x%016llx)", (unsigned long long) found);
		free(told.bytes);
		data_free(&data);
	}
	return finish();
}

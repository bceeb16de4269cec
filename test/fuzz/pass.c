/*
 * pass.c
 *		Bytes as a kseg_pass, and as the state of a part of it: what comes from
 *		another server.
 *
 * The input is a length (four bytes, little-endian), so many bytes of a pass,
 * and a state.  A pass that km_pass_check() accepts is read, written as the
 * same bytes and opened; it takes rows, those that belong there and others,
 * since who finds two passes of one id can mix them; it takes the state; and
 * what it writes then is taken by another part.
 */
#define FUZZ_ANY_CASTS
#include "fuzz.h"

#define ROWS			20
#define MAX_STATE		((size_t) 4 * 1024 * 1024)

static uint64_t chance;

static double
pick_value(const KmFeature *feature, bool honest)
{
	if (feature->kind == KM_CATEGORY && honest)
		return random_below(&chance, feature->ncategories);
	if (honest)
		return random_normal(&chance);
	switch (random_below(&chance, 6))
	{
		case 0:
			return NAN;
		case 1:
			return -1;
		case 2:
			return INFINITY;
		case 3:
			return random_below(&chance, 1000);
		default:
			return hard_values[random_below(&chance, HARD_VALUES)];
	}
}

/* false: one was refused */
static bool
add_rows(KmPart *part, const KmModel *model, bool honest)
{
	double	   *values = malloc(sizeof(double) * model->nfeatures);
	bool		good = true;

	for (int i = 0; i < ROWS && good; i++)
	{
		double		weight = 1 + random_below(&chance, 3);

		for (int f = 0; f < model->nfeatures; f++)
			values[f] = pick_value(&model->features[f], honest);
		if (!honest && random_below(&chance, 3) == 0)
			weight = hard_values[random_below(&chance, HARD_VALUES)];
		good = km_part_add(part, values, weight) == KM_OK;
	}
	free(values);
	return good;
}

/* NULL: not now */
static unsigned char *
write_part(KmPart *part, size_t *size)
{
	unsigned char *bytes;

	if (km_part_size(part, size) != KM_OK || *size > MAX_STATE)
		return NULL;
	bytes = malloc(*size);
	km_part_write(part, bytes);
	return bytes;
}

static void
use_part(TestHost *host, const KmPass *pass, const uint8_t *state,
		 size_t state_size, bool honest)
{
	KmPart	   *part;
	KmPart	   *other;
	unsigned char *bytes;
	size_t		size;

	if (km_part_create(&host->host, pass, KM_SIMD_AUTO, &part) != KM_OK)
		return;
	if (add_rows(part, pass->model, honest))
	{
		(void) km_part_merge(part, state, state_size);
		bytes = write_part(part, &size);
		if (bytes != NULL &&
			km_part_create(&host->host, pass, KM_SIMD_BASELINE,
						   &other) == KM_OK)
		{
			unsigned char *again = NULL;
			size_t		again_size;

			/* what a part has written is a state, and says the same again */
			if (km_part_merge(other, bytes, size) == KM_OK)
				again = write_part(other, &again_size);
			if (again != NULL)
				(void) km_part_merge(part, again, again_size);
			free(again);
			km_part_free(other);
		}
		free(bytes);
	}
	km_part_free(part);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	Input		input = {bytes, size};
	size_t		length = take_word(&input);
	TestHost	host;
	KmPass	   *pass;
	unsigned char *copy;

	if (size < 4 || length > input.left)
		return 0;
	chance = km_hash_text(1, (const char *) bytes, size) | 1;
	fuzz_host_init(&host);
	/* at an end of its own, where the sanitizer sees what is read beyond */
	copy = malloc(length);
	memcpy(copy, input.at, length);
	if (km_pass_check(copy, length) != KM_OK)
		MUST(km_pass_read(&host.host, copy, length, &pass) != KM_OK);
	else if (km_pass_read(&host.host, copy, length, &pass) == KM_OK)
	{
		unsigned char *again = malloc(km_pass_size(pass));

		MUST(km_pass_size(pass) == length);
		km_pass_write(pass, again);
		MUST(memcmp(again, copy, length) == 0);
		(void) km_pass_name(pass);
		use_part(&host, pass, input.at + length, input.left - length, true);
		use_part(&host, pass, input.at + length, input.left - length, false);
		free(again);
		km_pass_free(&host.host, pass);
	}
	free(copy);
	MUST(host.outstanding == 0);
	return 0;
}

/*
 * fuzz.h
 *		What the fuzzers of the core share: a host that counts and refuses large
 *		requests, an input read piece by piece.
 *
 * A target is one file with LLVMFuzzerTestOneInput(); libFuzzer brings main().
 * Data sets and fits of them are those of the unit tests.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "../unit/data.h"
#include "must.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/*
 * A double that no integer can hold becomes one that differs between machines.
 * A target defines FUZZ_ANY_CASTS when its inputs are other machines' lies, of
 * which nothing but an end is expected: sums of them mean nothing.
 */
extern const char *__ubsan_default_options(void);

const char *
__ubsan_default_options(void)
{
#ifdef FUZZ_ANY_CASTS
	return "halt_on_error=0";
#else
	return "halt_on_error=1";
#endif
}

/* ---- a host ---- */

/*
 * No input here is longer than some kilobytes; more than this is refused, as
 * a server's memory limit would.
 */
#define FUZZ_ALLOC_MAX	((size_t) 64 * 1024 * 1024)

static void *
fuzz_alloc(void *arg, size_t size)
{
	TestHost   *host = arg;
	void	   *pointer;

	if (size > FUZZ_ALLOC_MAX)
		return NULL;
	pointer = malloc(size);
	if (pointer == NULL)
		return NULL;
	/* of large ones the beginning: filling them would be all we do */
	memset(pointer, 0xff, size < 65536 ? size : 65536);
	host->outstanding++;
	return pointer;
}

MAYBE_UNUSED static void
fuzz_host_init(TestHost *host)
{
	host_init(host);
	host->host.alloc = fuzz_alloc;
}

/* ---- an input ---- */

/* What is read beyond the end is 0. */
typedef struct Input
{
	const uint8_t *at;
	size_t		left;
} Input;

MAYBE_UNUSED static unsigned
take_byte(Input *input)
{
	if (input->left == 0)
		return 0;
	input->left--;
	return *input->at++;
}

/* 0 .. n - 1 */
MAYBE_UNUSED static int
take_below(Input *input, int n)
{
	return (int) (take_byte(input) % (unsigned) n);
}

MAYBE_UNUSED static uint32_t
take_word(Input *input)
{
	uint32_t	word = 0;

	for (int i = 0; i < 4; i++)
		word |= (uint32_t) take_byte(input) << (8 * i);
	return word;
}

/* ---- values that are hard to be right for ---- */

static const double hard_values[] = {
	0, 1, -1, 0.5, 1e-5, 255, 65536, 0x1p53, -0x1p53, 1e15, -1e100, 1e300,
	DBL_MAX, -DBL_MAX, DBL_MIN, 0x1p-1074, -0x1p-1074, 0x1p-600, 0x1p+600
};

#define HARD_VALUES	((int) (sizeof(hard_values) / sizeof(*hard_values)))

#endif							/* FUZZ_H */

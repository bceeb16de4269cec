/*
 * tap.h
 *		What every unit test needs: TAP on stdout, random numbers, and a host
 *		that counts what it gives, can refuse, and can say stop.
 *
 * A program calls check() once per property and returns finish(), which
 * prints the plan.  Everything is static: a program is one file.  Random
 * numbers are the test's own, so that they do not share the core's faults.
 */
#ifndef TAP_H
#define TAP_H

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "steps.h"

#define MAYBE_UNUSED __attribute__((unused))

/* clang's memory sanitizer reports what is read before it is written */
#ifdef __has_feature
#if __has_feature(memory_sanitizer)
#define UNWRITTEN_IS_SEEN
#endif
#endif

/*
 * The leak sanitizer cannot work without /proc, which a bare chroot may lack,
 * and does not even see its environment there: the runtime asks this.  In
 * the frames that are kept for functions that have returned, gcc 14 puts
 * vectors of 64 bytes 32 bytes off, and the processor refuses them.
 */
#define ASAN_OPTIONS	"detect_stack_use_after_return=0"
extern const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return access("/proc/self/task", F_OK) == 0 ? ASAN_OPTIONS :
		ASAN_OPTIONS ":detect_leaks=0";
}

/* ---- TAP ---- */

static int	tests_run;
static int	tests_failed;

/* One line of TAP; returns what it was told. */
MAYBE_UNUSED __attribute__((format(printf, 2, 3)))
static bool
check(bool holds, const char *format, ...)
{
	va_list		args;

	tests_run++;
	if (!holds)
		tests_failed++;
	printf("%s %d - ", holds ? "ok" : "not ok", tests_run);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	/* what is printed so far shall survive a sanitizer's abort */
	fflush(stdout);
	return holds;
}

/* What went wrong, below the check that it belongs to. */
MAYBE_UNUSED __attribute__((format(printf, 1, 2)))
static void
note(const char *format, ...)
{
	va_list		args;

	printf("# ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

MAYBE_UNUSED static int
finish(void)
{
	printf("1..%d\n", tests_run);
	return tests_failed == 0 ? 0 : 1;
}

/* ---- comparing ---- */

MAYBE_UNUSED static bool
same_bits(double a, double b)
{
	return memcmp(&a, &b, sizeof(a)) == 0;
}

/* |a - b| <= share * max(|a|, |b|) */
MAYBE_UNUSED static bool
near(double a, double b, double share)
{
	double		larger = fabs(a) > fabs(b) ? fabs(a) : fabs(b);

	return a == b || fabs(a - b) <= share * larger;
}

/* ---- random numbers: xorshift64* ---- */

MAYBE_UNUSED static uint64_t
random_bits(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

/* 0 .. n - 1 */
MAYBE_UNUSED static int
random_below(uint64_t *state, int n)
{
	return (int) ((random_bits(state) >> 33) % (uint64_t) n);
}

/* 0 <= x < 1 */
MAYBE_UNUSED static double
random_share(uint64_t *state)
{
	return (double) (random_bits(state) >> 11) * 0x1p-53;
}

/* mean 0, variance 1, near enough to normal */
MAYBE_UNUSED static double
random_normal(uint64_t *state)
{
	double		sum = 0;

	for (int i = 0; i < 12; i++)
		sum += random_share(state);
	return sum - 6;
}

MAYBE_UNUSED static void
shuffle(uint64_t *state, int *order, int n)
{
	for (int i = n - 1; i > 0; i--)
	{
		int			j = random_below(state, i + 1);
		int			t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
}

/* ---- a host ---- */

typedef struct TestHost
{
	KmHost		host;			/* give this to the core */
	/* set by the test; 0: never */
	long		refuse_at;		/* number of the allocation refused */
	bool		refuse_on;		/* and all after it */
	long		stop_at;		/* number of the poll that says stop */
	/* counted */
	long		allocations;
	long		polls;
	long		outstanding;	/* allocated and not freed */
} TestHost;

static void *
host_alloc(void *arg, size_t size)
{
	TestHost   *host = arg;
	void	   *pointer;

	host->allocations++;
	if (host->refuse_at != 0 &&
		(host->allocations == host->refuse_at ||
		 (host->refuse_on && host->allocations > host->refuse_at)))
		return NULL;
	pointer = malloc(size);
	if (pointer == NULL)
		abort();
#ifndef UNWRITTEN_IS_SEEN
	/* NaN and -1: nobody reads these and gets away with it */
	memset(pointer, 0xff, size);
#endif
	host->outstanding++;
	return pointer;
}

static void
host_free(void *arg, void *pointer)
{
	TestHost   *host = arg;

	host->outstanding--;
	free(pointer);
}

static bool
host_poll(void *arg)
{
	TestHost   *host = arg;

	host->polls++;
	return host->stop_at == 0 || host->polls < host->stop_at;
}

MAYBE_UNUSED static void
host_init(TestHost *host)
{
	memset(host, 0, sizeof(*host));
	host->host.alloc = host_alloc;
	host->host.free = host_free;
	host->host.poll = host_poll;
	host->host.arg = host;
}

/* ---- passes over a table in memory ---- */

/* Raw rows become positions. */
MAYBE_UNUSED static KmStatus
scale_table(KmTable *table, const KmOptions *options, KmFeature *features,
			const int *const *recode, KmSpace *space)
{
	KmSource	source = {table, NULL};
	KmPoll		poll = {table->host, 0};
	KmJob		job = {
		.step = &km_step_place,
		.host = table->host,
		.poll = &poll,
		.table = table
	};
	KmRounding	rounding;
	void	   *placing;
	KmStatus	status;

	(void) features;
	status = km_scale_columns(&source, &poll, options, recode, space,
							  &rounding);
	if (status != KM_OK)
		return status;
	job.input_size = km_placing_size(space);
	job.input = placing = malloc(job.input_size);
	km_placing_write(table, space, &rounding, recode, placing);
	status = km_pass(&source, &job);
	free(placing);
	return status;
}

MAYBE_UNUSED static KmStatus
sample_table(KmTable *table, const KmSpace *space, int64_t want,
			 double spread, KmSample *sample)
{
	KmSource	source = {table, NULL};
	KmPoll		poll = {table->host, 0};

	return km_sample_create(&source, space, &poll, want, spread, sample);
}

/* want rows of the table, picked from a sample of so many distinct ones */
MAYBE_UNUSED static KmStatus
draw_rows(KmTable *table, const KmSpace *space, int64_t size, int64_t want,
		  KmDraw *draw)
{
	KmSample	sample;
	KmStatus	status = sample_table(table, space, size, 0, &sample);

	memset(draw, 0, sizeof(*draw));
	if (status != KM_OK)
		return status;
	status = km_draw_create(&sample, table->nrows, want, draw);
	km_sample_clear(table->host, &sample);
	return status;
}

#endif							/* TAP_H */

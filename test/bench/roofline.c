/*
 * roofline.c
 *		What this machine can do at most: reading memory, and fused
 *		multiply-adds in float and double, with 1 thread and with several.
 *
 *	roofline [threads]
 *
 * Prints "name value" lines: read_1, read_N in GB/s; float_1, float_N,
 * double_1, double_N in 1e9 multiply-adds a second.  The best of some
 * repetitions each: it is a ceiling.  Compiled with -O3 -march=native
 * -ffp-contract=fast for the machine it runs on.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_THREADS		64
#define REPETITIONS		5

/* a buffer for each thread, far beyond any cache together */
#define BUFFER			((size_t) 256 << 20)
#define READS			2

/* vectors as wide as the machine's, and enough of them to hide its latency */
#ifdef __AVX512F__
#define WIDTH			64
#else
#define WIDTH			32
#endif
#define CHAINS			12
#define STEPS			10000000

typedef double DoubleVector __attribute__((vector_size(WIDTH)));
typedef float FloatVector __attribute__((vector_size(WIDTH)));
typedef uint64_t IntVector __attribute__((vector_size(WIDTH)));

typedef struct Member
{
	pthread_t	thread;
	const char *buffer;
	double		result;			/* lest the work be optimised away */
} Member;

static pthread_barrier_t start;

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec * 1e-9;
}

/* integers: additions of doubles could not keep up in one core's cache */
static void *
read_memory(void *arg)
{
	Member	   *member = arg;
	const IntVector *vectors = (const IntVector *) member->buffer;
	IntVector	sum[4] = {{0}};
	size_t		n = BUFFER / sizeof(IntVector);

	pthread_barrier_wait(&start);
	for (int r = 0; r < READS; r++)
		for (size_t i = 0; i < n; i += 4)
			for (int j = 0; j < 4; j++)
				sum[j] += vectors[i + j];
	for (int j = 1; j < 4; j++)
		sum[0] += sum[j];
	member->result = (double) sum[0][0];
	return NULL;
}

#define MULTIPLY_ADD(name, Vector) \
static void * \
name(void *arg) \
{ \
	Member	   *member = arg; \
	Vector		value[CHAINS]; \
	Vector		factor, term; \
 \
	for (int j = 0; j < CHAINS; j++) \
		memset(&value[j], j, sizeof(Vector)); \
	for (size_t l = 0; l < sizeof(Vector) / sizeof(factor[0]); l++) \
	{ \
		factor[l] = 0.5; \
		term[l] = 1; \
	} \
	pthread_barrier_wait(&start); \
	for (int i = 0; i < STEPS; i++) \
		for (int j = 0; j < CHAINS; j++) \
			value[j] = value[j] * factor + term; \
	for (int j = 1; j < CHAINS; j++) \
		value[0] += value[j]; \
	member->result = (double) value[0][0]; \
	return NULL; \
}

MULTIPLY_ADD(multiply_doubles, DoubleVector)
MULTIPLY_ADD(multiply_floats, FloatVector)

/* seconds that the threads take together, at best */
static double
run(void *(*work) (void *), Member *members, int threads)
{
	double		best = 1e30;

	for (int r = 0; r < REPETITIONS; r++)
	{
		double		begin,
					took;

		pthread_barrier_init(&start, NULL, threads + 1);
		for (int t = 0; t < threads; t++)
			if (pthread_create(&members[t].thread, NULL, work,
							   &members[t]) != 0)
				exit(1);
		begin = seconds();
		pthread_barrier_wait(&start);
		for (int t = 0; t < threads; t++)
			pthread_join(members[t].thread, NULL);
		took = seconds() - begin;
		if (took < best)
			best = took;
		pthread_barrier_destroy(&start);
	}
	return best;
}

int
main(int argc, char **argv)
{
	int			most = argc > 1 ? atoi(argv[1]) : 1;
	static Member members[MAX_THREADS];

	if (most < 1 || most > MAX_THREADS)
		return 2;
	for (int t = 0; t < most; t++)
	{
		void	   *buffer;

		if (posix_memalign(&buffer, 4096, BUFFER) != 0)
			return 1;
		/* random enough: pages must be there, and not all the same one */
		memset(buffer, t + 1, BUFFER);
		members[t].buffer = buffer;
	}
	for (int threads = 1;; threads = most)
	{
		double		steps = (double) STEPS * CHAINS * threads;

		printf("read_%d %.3f\n", threads,
			   (double) BUFFER * READS * threads /
			   run(read_memory, members, threads) * 1e-9);
		printf("float_%d %.3f\n", threads, steps * WIDTH / sizeof(float) /
			   run(multiply_floats, members, threads) * 1e-9);
		printf("double_%d %.3f\n", threads, steps * WIDTH / sizeof(double) /
			   run(multiply_doubles, members, threads) * 1e-9);
		if (threads == most)
			break;
	}
	return 0;
}

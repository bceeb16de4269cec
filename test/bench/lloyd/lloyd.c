/*
 * lloyd.c
 *		Lloyd's iteration of the core alone, timed.
 *
 *	lloyd [-t threads] [-r repetitions] [-i max_iterations] [-s simd] [-c]
 *		[-v] features rows-file start-file
 *
 * Both files hold float64, row by row, without a header; the number of start
 * centers is k.  Reading and laying out rows is not timed, Lloyd from the
 * start centers until nothing changes is.  -c: processor time,
 * for busy machines.  -v: passes of each kind
 * of the last repetition, and the rows that they looked at, to stderr.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../../unit/threads.h"
#include "steps.h"

typedef struct Task
{
	int			threads;
	int			repetitions;
	int			max_iterations;
	KmSimd		simd;
	clockid_t	clock;
	bool		verbose;
	int			nfeatures;
	int64_t		nrows;
	int			k;
	double	   *rows;
	double	   *start;
} Task;

#define HUGE_PAGE		((uintptr_t) 2 * 1024 * 1024)

/* Huge pages for what is large, as a fit in the server takes its memory. */
static void *
host_alloc(void *arg, size_t size)
{
	char	   *memory = malloc(size);

	(void) arg;
	if (memory != NULL && size >= 8 * HUGE_PAGE)
	{
		char	   *first = memory + (-(uintptr_t) memory & (HUGE_PAGE - 1));

		(void) madvise(first, (memory + size - first) / HUGE_PAGE * HUGE_PAGE,
					   MADV_HUGEPAGE);
	}
	return memory;
}

static void
host_free(void *arg, void *pointer)
{
	(void) arg;
	free(pointer);
}

static KmHost host = {
	.alloc = host_alloc,
	.free = host_free,
};

static void
fail(const char *what, const char *name)
{
	fprintf(stderr, "lloyd: %s%s%s\n", what, name[0] ? ": " : "", name);
	exit(1);
}

static double
milliseconds(const Task *task)
{
	struct timespec now;

	clock_gettime(task->clock, &now);
	return (double) now.tv_sec * 1e3 + (double) now.tv_nsec * 1e-6;
}

/* ---- the task ---- */

static double *
read_file(const char *name, int nfeatures, int64_t *nrows)
{
	FILE	   *file = fopen(name, "rb");
	size_t		row = sizeof(double) * nfeatures;
	long		size;
	double	   *values;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0)
		fail("cannot read", name);
	size = ftell(file);
	rewind(file);
	if (size <= 0 || size % row != 0)
		fail("not a whole number of rows", name);
	values = malloc(size);
	if (values == NULL || fread(values, 1, size, file) != (size_t) size)
		fail("cannot read", name);
	fclose(file);
	*nrows = (int64_t) (size / row);
	return values;
}

static KmSimd
parse_simd(const char *name)
{
	static const char *const names[] = {"auto", "baseline", "avx2", "avx512"};
	static const KmSimd levels[] = {KM_SIMD_AUTO, KM_SIMD_BASELINE,
	KM_SIMD_AVX2, KM_SIMD_AVX512};

	for (int i = 0; i < 4; i++)
	{
		if (strcmp(name, names[i]) == 0)
			return levels[i];
	}
	fail("unknown instructions", name);
	return KM_SIMD_AUTO;
}

static void
parse_task(int argc, char **argv, Task *task)
{
	int64_t		k;
	int			option;

	*task = (Task)
	{
		.threads = 1,
		.repetitions = 5,
		.max_iterations = 1000000,
		.simd = KM_SIMD_AUTO,
		.clock = CLOCK_MONOTONIC,
	};
	while ((option = getopt(argc, argv, "t:r:i:s:cv")) != -1)
	{
		switch (option)
		{
			case 't':
				task->threads = atoi(optarg);
				break;
			case 'r':
				task->repetitions = atoi(optarg);
				break;
			case 'i':
				task->max_iterations = atoi(optarg);
				break;
			case 's':
				task->simd = parse_simd(optarg);
				break;
			case 'c':
				task->clock = CLOCK_PROCESS_CPUTIME_ID;
				break;
			case 'v':
				task->verbose = true;
				break;
			default:
				exit(1);
		}
	}
	if (argc - optind != 3)
		fail("expected: features rows-file start-file", "");
	task->nfeatures = atoi(argv[optind]);
	if (task->nfeatures < 1)
		fail("not a number of features", argv[optind]);
	task->rows = read_file(argv[optind + 1], task->nfeatures, &task->nrows);
	task->start = read_file(argv[optind + 2], task->nfeatures, &k);
	task->k = (int) k;
}

/* ---- rows as a fit has them ---- */

typedef struct Rows
{
	KmFeature  *features;
	KmRows	   *rows;
	KmSpace		space;
	KmPoll		poll;
	double	   *centers;		/* the start, as positions */
	double		squares;
	KmSource	source;
} Rows;

/* Scaling decided and done, as a fit does it. */
static KmStatus
place(Rows *rows, const KmOptions *options, const int *const *recode)
{
	KmTable    *table = &rows->rows->table;
	KmSource	source = {.table = table};
	KmJob		job = {
		.step = &km_step_place,
		.host = &host,
		.poll = &rows->poll,
		.table = table
	};
	KmRounding	rounding;
	void	   *placing;
	KmStatus	status;

	status = km_scale_columns(&source, &rows->poll, options, recode,
							  &rows->space, &rounding);
	if (status != KM_OK)
		return status;
	job.input_size = km_placing_size(&rows->space);
	job.input = placing = malloc(job.input_size);
	km_placing_write(table, &rows->space, &rounding, recode, placing);
	status = km_pass(&source, &job);
	free(placing);
	return status;
}

static void
lay_out(const Task *task, Rows *rows)
{
	int			nfeatures = task->nfeatures;
	KmKind	   *kinds = calloc(nfeatures, sizeof(KmKind));
	const int **recode = calloc(nfeatures, sizeof(int *));
	KmOptions	options;

	memset(rows, 0, sizeof(*rows));
	rows->poll.host = &host;
	rows->features = calloc(nfeatures, sizeof(KmFeature));
	for (int f = 0; f < nfeatures; f++)
	{
		kinds[f] = KM_NUMBER;
		rows->features[f].kind = KM_NUMBER;
		rows->features[f].weight = 1;
	}
	km_options_default(&options);
	options.scale = KM_NONE;
	if (km_rows_create(&host, nfeatures, kinds, false, false, 0,
					   &rows->rows) != KM_OK)
		fail("no memory", "");
	for (int64_t i = 0; i < task->nrows; i++)
	{
		if (km_rows_add(rows->rows, task->rows + i * nfeatures, 1) != KM_OK)
			fail("no memory", "");
	}
	if (km_space_create(&host, rows->features, nfeatures, false,
						&rows->space) != KM_OK ||
		place(rows, &options, recode) != KM_OK)
		fail("rows cannot be laid out", "");
	rows->centers = malloc(sizeof(double) * (size_t) task->k * nfeatures);
	for (int c = 0; c < task->k; c++)
	{
		for (int f = 0; f < nfeatures; f++)
			rows->centers[c * nfeatures + rows->space.slot[f]] =
				km_position(&rows->features[f],
							task->start[c * nfeatures + f]);
	}
	rows->source.table = &rows->rows->table;
	free(kinds);
	free(recode);
}

/* ---- runs ---- */

static void
run(const Task *task, Rows *rows, KmLloyd *lloyd, int *iterations)
{
	bool		converged;

	if (km_lloyd_create(&rows->source, &rows->space, &rows->poll, task->simd,
						task->k, rows->squares, lloyd) != KM_OK)
		fail("no memory", "");
	km_lloyd_start(lloyd, rows->centers, task->k);
	if (km_lloyd_run(lloyd, task->max_iterations, 0, INFINITY, iterations,
					 &converged) != KM_OK)
		fail("the run failed", "");
}

/* What the passes were. */
static void
tell_passes(const KmLloyd *lloyd)
{
	static const char *const kinds[] = {"exact", "dense", "keep", "bounded"};

	for (int i = 0; i < 4; i++)
		fprintf(stderr, "%s %d passes, %lld rows\n", kinds[i],
				lloyd->passes[i], (long long) lloyd->measured_in[i]);
}

/* Squared distances to the centers that rows are with, plainly summed. */
static double
measure(const Rows *rows, const KmLloyd *lloyd)
{
	const KmTable *table = &rows->rows->table;
	uint16_t   *own = malloc(sizeof(uint16_t) * (table->nrows + 64));
	double	   *d1 = malloc(sizeof(double) * (table->nrows + 64));
	double	   *d2 = malloc(sizeof(double) * (table->nrows + 64));
	double		inertia = 0;

	if (km_nearest_all(lloyd, own, d1, d2) != KM_OK)
		fail("the run failed", "");
	for (int64_t i = 0; i < table->nrows; i++)
		inertia += d1[i];
	free(own);
	free(d1);
	free(d2);
	return inertia;
}

int
main(int argc, char **argv)
{
	Task		task;
	Rows		rows;
	KmLloyd		lloyd;
	int			iterations = 0;
	static Threads threads;		/* beside this one */

	parse_task(argc, argv, &task);
	if (task.threads > 1)
	{
		/* 0: rows are laid out where all see them, however short the run */
		threads_start(&threads, task.threads - 1, 0);
		host.crew = &threads.crew;
	}
	lay_out(&task, &rows);
	for (int i = 0; i < task.repetitions; i++)
	{
		double		before = milliseconds(&task);

		run(&task, &rows, &lloyd, &iterations);
		printf("ms %.3f\n", milliseconds(&task) - before);
		fflush(stdout);
		if (i < task.repetitions - 1)
			km_lloyd_free(&lloyd);
	}
	if (task.verbose)
		tell_passes(&lloyd);
	printf("iterations %d\n", iterations);
	printf("inertia %.17g\n", measure(&rows, &lloyd));
	printf("sizes");
	for (int c = 0; c < task.k; c++)
		printf(" %lld", (long long) lloyd.rows.size[c]);
	printf("\n");
	return 0;
}

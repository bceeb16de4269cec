/*
 * crew.c
 *		Whole fits and what is said of them, by crews of one to five: the same
 *		bits; whatever is refused, whoever is stopped.
 */
#include "data.h"
#include "share.h"
#include "threads.h"

#define K_MAX	5

typedef enum Flags
{
	COSINE = 1,
	WEIGHTED = 2,
	CLIP = 4,					/* and robust scaling */
	FEW = 8						/* chains are counted */
} Flags;

typedef struct Scene
{
	const char *name;
	int			flags;
	int			categories;
	int			nrows;
	int			sample;
} Scene;

static const Scene scenes[] = {
	{"plain", 0, 0, 1500, 20000},
	{"small sample", 0, 0, 3000, 300},
	{"cosine, weighted", COSINE | WEIGHTED, 0, 1200, 500},
	{"mixed, clip, robust", CLIP | WEIGHTED, 2, 1200, 20000},
	{"three chains", FEW, 1, 1200, 20000}
};

#define SCENES	((int) (sizeof(scenes) / sizeof(*scenes)))

/* All that an elbow computes. */
typedef struct Found
{
	KmStatus	status;
	size_t		size;
	unsigned char model[4096];
	double		inertia[K_MAX];
	double		silhouettes[K_MAX];
	double		stability[K_MAX];
	KmKnee		knee;
} Found;

static void
make_scene(const Scene *scene, Data *data, KmOptions *options)
{
	uint64_t	state = 9;

	km_options_default(options);
	options->distance = scene->flags & COSINE ? KM_COSINE : KM_EUCLIDEAN;
	options->clip = (scene->flags & CLIP) != 0;
	options->clip_low = 0.1;
	options->clip_high = 0.9;
	options->scale = scene->flags & CLIP ? KM_ROBUST : KM_ZSCORE;
	options->sample = scene->sample;
	options->n_init = scene->flags & FEW ? 3 : 0;
	data_mixed(data, &state, scene->nrows, 5, 0.4, scene->categories,
			   scene->flags & WEIGHTED ? 3 : 0);
}

static KmStatus
look(Fitted *fitted, KmSolution *const *solutions, Found *found)
{
	KmEvidence *evidence = NULL;
	KmStatus	status = km_fit_knee(fitted->fit, solutions, K_MAX,
									 &found->knee);

	if (status == KM_OK)
		status = km_evidence_create(fitted->fit, solutions, K_MAX, &evidence);
	if (status == KM_OK)
		status = km_evidence_silhouettes(evidence, found->silhouettes);
	if (status == KM_OK)
		status = km_evidence_stability(evidence, found->stability);
	km_evidence_free(evidence);
	return status;
}

/* An elbow, then a model of its last k; crew: NULL for none. */
static void
run_scene(const Scene *scene, TestHost *host, const KmCrew *crew,
		  Found *found)
{
	Data		data;
	KmOptions	options;
	Fitted		fitted;
	KmSolution *solutions[K_MAX];

	memset(found, 0, sizeof(*found));
	make_scene(scene, &data, &options);
	host->host.crew = crew;
	found->status = fit_begin(host, &data, NULL, &options, &fitted);
	for (int k = 1; k <= K_MAX && found->status == KM_OK; k++)
	{
		found->status = km_fit_run(fitted.fit, k, NULL, &solutions[k - 1]);
		if (found->status == KM_OK)
			found->inertia[k - 1] = solutions[k - 1]->inertia;
	}
	if (found->status == KM_OK)
		found->status = look(&fitted, solutions, found);
	fitted.status = found->status;
	found->status = fit_finish(&fitted, K_MAX, NULL);
	if (found->status == KM_OK)
	{
		found->size = fitted.size;
		memcpy(found->model, fitted.bytes, fitted.size);
	}
	fitted_free(&fitted);
	data_free(&data);
}

/* bit by bit: NAN is the same as NAN */
static bool
same_found(const Found *a, const Found *b)
{
	return memcmp(a, b, sizeof(Found)) == 0;
}

static void
test_same(const Scene *scene)
{
	static const int members[] = {0, 1, 3, 4};
	TestHost	host;
	Found		alone;

	host_init(&host);
	run_scene(scene, &host, NULL, &alone);
	for (int i = 0; i < 4; i++)
	{
		Threads		threads;
		Found		found;

		threads_start(&threads, members[i], 0);
		host_init(&host);
		run_scene(scene, &host, &threads.crew, &found);
		threads_end(&threads);
		check(found.status == KM_OK && same_found(&alone, &found) &&
			  host.outstanding == 0 && atomic_load(&threads.outstanding) == 0,
			  "%s: %d members, the same bits", scene->name, members[i] + 1);
		if (members[i] > 0)
			check(atomic_load(&threads.helped) > 0, "they helped %ld times",
				  atomic_load(&threads.helped));
	}
}

/* Memory is refused from some moment on: the caller goes on alone. */
static void
test_refused(const Scene *scene)
{
	TestHost	host;
	Found		alone;
	bool		right = true;
	long		shared;
	long		tried = 0;

	host_init(&host);
	run_scene(scene, &host, NULL, &alone);
	{
		Threads		threads;
		Found		found;

		threads_start(&threads, 1, 0);
		host_init(&host);
		run_scene(scene, &host, &threads.crew, &found);
		threads_end(&threads);
		shared = atomic_load(&threads.shared);
	}
	for (long n = 1; n <= shared; n += 1 + shared / 10, tried++)
	{
		Threads		threads;
		Found		found;

		threads_start(&threads, 2, 0);
		atomic_store(&threads.refuse_at, n);
		host_init(&host);
		run_scene(scene, &host, &threads.crew, &found);
		threads_end(&threads);
		if (found.status != KM_OK || !same_found(&alone, &found) ||
			host.outstanding != 0 || atomic_load(&threads.outstanding) != 0)
		{
			note("%ld of %ld: status %d, %ld and %ld outstanding", n, shared,
				 found.status, host.outstanding,
				 atomic_load(&threads.outstanding));
			right = false;
		}
	}
	check(right && tried > 5, "%s: shared memory refused, the same bits",
		  scene->name);
}

/* Members see nothing from some moment on: the others do it without them. */
static void
test_blind(const Scene *scene)
{
	TestHost	host;
	Found		alone;
	bool		right = true;
	long		tried = 0;

	host_init(&host);
	run_scene(scene, &host, NULL, &alone);
	for (long n = 1; n < 2000; n = n * 7 + 1, tried++)
	{
		Threads		threads;
		Found		found;

		threads_start(&threads, 2, 0);
		atomic_store(&threads.blind_at, n);
		host_init(&host);
		run_scene(scene, &host, &threads.crew, &found);
		threads_end(&threads);
		if (found.status != KM_OK || !same_found(&alone, &found) ||
			host.outstanding != 0 || atomic_load(&threads.outstanding) != 0)
		{
			note("from look %ld on: status %d, %ld and %ld outstanding", n,
				 found.status, host.outstanding,
				 atomic_load(&threads.outstanding));
			right = false;
		}
	}
	check(right, "%s: members who see nothing, the same bits, %ld times",
		  scene->name, tried);
}

/* The caller's polls say stop, or those of others. */
static void
test_stopped(const Scene *scene, bool caller)
{
	bool		right = true;
	long		told = 0;

	for (long n = 1; n < 20000; n = n * 6 + 1)
	{
		Threads		threads;
		TestHost	host;
		Found		found;

		threads_start(&threads, 2, 0);
		host_init(&host);
		if (caller)
			host.stop_at = n;
		else
			atomic_store(&threads.stop_at, n);
		run_scene(scene, &host, &threads.crew, &found);
		threads_end(&threads);
		told += found.status == KM_CANCELLED;
		if ((found.status != KM_CANCELLED && found.status != KM_OK) ||
			host.outstanding != 0 || atomic_load(&threads.outstanding) != 0)
		{
			note("at %ld: status %d, %ld and %ld outstanding", n,
				 found.status, host.outstanding,
				 atomic_load(&threads.outstanding));
			right = false;
		}
	}
	check(right && told > 2, "%s: stopped by %s, nothing left behind",
		  scene->name, caller ? "the caller" : "a member");
}

/* A table of any size is shared, whose blocks were made one by one. */
static void
test_large(void)
{
	static const KmKind kinds[2] = {KM_NUMBER, KM_NUMBER};
	Threads		threads;
	TestHost	host;
	KmRows	   *rows;
	bool		added = true;

	threads_start(&threads, 1, 0);
	host_init(&host);
	host.host.crew = &threads.crew;
	check(km_rows_create(&host.host, 2, kinds, false, false, 0,
						 &rows) == KM_OK, "a table of many blocks");
	for (int i = 0; i < 3000000 && added; i++)
	{
		const double values[2] = {i, -i};

		added = km_rows_add(rows, values, 1) == KM_OK;
	}
	check(added && km_share_table(&rows->table), "%d blocks are shared",
		  rows->table.nblocks);
	km_rows_free(rows);
	threads_end(&threads);
	check(host.outstanding == 0 && atomic_load(&threads.outstanding) == 0,
		  "and given back");
}

int
main(void)
{
	for (int i = 0; i < SCENES; i++)
		test_same(&scenes[i]);
	test_refused(&scenes[1]);
	test_refused(&scenes[3]);
	test_blind(&scenes[1]);
	test_stopped(&scenes[1], true);
	test_stopped(&scenes[3], false);
	test_large();
	return finish();
}

/*
 * failure.c
 *		Every allocation refused and every poll answered with stop, one after
 *		another, over whole fits: a clean status, and nothing left behind.
 *
 * A host may hand out memory that fails by longjmp instead; then it owns all
 * memory and frees it.  Here the core has to do it itself.
 */
#include "data.h"

typedef enum Flags
{
	COSINE = 1,
	CLIP = 2,					/* and robust scaling */
	WEIGHTED = 4,
	ELBOW = 8,					/* several k on one fit */
	INIT = 16,
	CONTINUE = 32				/* from two centers more */
} Flags;

typedef struct Scene
{
	const char *name;
	int			flags;
	int			categories;
	int			nrows;
	int			sample;
	int			k;
} Scene;

static const Scene scenes[] = {
	{"plain", 0, 0, 300, 20000, 4},
	{"cosine, weighted", COSINE | WEIGHTED, 0, 200, 20000, 3},
	{"mixed, clip, robust", CLIP | WEIGHTED, 2, 300, 20000, 4},
	{"small sample", 0, 0, 900, 40, 4},
	{"elbow", ELBOW, 1, 100, 20000, 5},
	{"starting points", INIT, 0, 4000, 20000, 3},
	{"continued", CONTINUE, 0, 300, 20000, 3}
};

#define SCENES	((int) (sizeof(scenes) / sizeof(*scenes)))

static void
make_scene(const Scene *scene, Data *data, KmOptions *options)
{
	uint64_t	state = 3;

	km_options_default(options);
	options->distance = scene->flags & COSINE ? KM_COSINE : KM_EUCLIDEAN;
	options->clip = (scene->flags & CLIP) != 0;
	options->clip_low = 0.1;
	options->clip_high = 0.9;
	options->scale = scene->flags & CLIP ? KM_ROBUST : KM_ZSCORE;
	options->sample = scene->sample;
	options->n_init = 2;
	data_mixed(data, &state, scene->nrows, 5, 0.3, scene->categories,
			   scene->flags & WEIGHTED ? 3 : 0);
}

static void
ignore_score(void *arg, const KmScore *score)
{
	(void) arg;
	(void) score;
}

/* Fit, write, read, score; all of it freed again, wherever it ended. */
static KmStatus
run_scene(TestHost *host, const Scene *scene, const Data *data,
		  const KmOptions *options)
{
	static const double init[12] = {0, 0, 0, 0, 1, 1, 1, 1, -1, -1, -1, -1};
	Fitted		fitted;
	KmModel    *read = NULL;
	KmPredictor *predictor = NULL;
	KmStatus	status = fit_begin(host, data, NULL, options, &fitted);
	KmSolution *solution;

	for (int k = 1; k < scene->k && status == KM_OK; k++)
	{
		if (scene->flags & ELBOW)
			status = km_fit_run(fitted.fit, k, NULL, &solution);
	}
	if (scene->flags & CONTINUE && status == KM_OK)
		status = km_fit_continue(fitted.fit, scene->k, init, 2, &solution);
	fitted.status = status;
	status = fit_finish(&fitted, scene->k, scene->flags & INIT ? init : NULL);
	if (status == KM_OK)
	{
		/* the caller's; an empty string stands for none */
		fitted.model.options = "";
		status = km_model_read(&host->host, fitted.bytes, fitted.size, false,
							   &read);
	}
	if (status == KM_OK)
		status = km_predictor_create(&host->host, read, &predictor);
	if (status == KM_OK)
	{
		for (int i = 0; i < data->nrows; i++)
			(void) km_predict(predictor, data_row(data, i));
		status = km_fit_score(fitted.fit, predictor, ignore_score, NULL);
	}
	km_predictor_free(predictor);
	km_model_free(&host->host, read);
	fitted_free(&fitted);
	return status;
}

static void
test_refused(const Scene *scene, bool all_after)
{
	TestHost	host;
	KmOptions	options;
	Data		data;
	bool		clean = true;
	bool		status = true;
	long		calls;

	make_scene(scene, &data, &options);
	host_init(&host);
	status &= run_scene(&host, scene, &data, &options) == KM_OK;
	calls = host.allocations;
	clean &= host.outstanding == 0;
	for (long n = 1; n <= calls; n++)
	{
		host_init(&host);
		host.refuse_at = n;
		host.refuse_on = all_after;
		if (run_scene(&host, scene, &data, &options) != KM_NO_MEMORY ||
			host.outstanding != 0)
		{
			note("allocation %ld: %ld outstanding", n, host.outstanding);
			status = false;
		}
		clean &= host.outstanding == 0;
	}
	check(status && calls > 40, "%s of %ld allocations refused: told, %s",
		  all_after ? "all after each" : "each", calls, scene->name);
	check(clean, "and nothing left behind");
	data_free(&data);
}

static void
test_stopped(const Scene *scene)
{
	TestHost	host;
	KmOptions	options;
	Data		data;
	bool		clean = true;
	bool		status = true;
	long		polls;

	make_scene(scene, &data, &options);
	options.n_init = 1;
	host_init(&host);
	status &= run_scene(&host, scene, &data, &options) == KM_OK;
	polls = host.polls;
	for (long n = 1; n <= polls; n++)
	{
		host_init(&host);
		host.stop_at = n;
		/* nobody goes on after having been told */
		if (run_scene(&host, scene, &data, &options) != KM_CANCELLED ||
			host.polls != n)
		{
			note("poll %ld of %ld", n, polls);
			status = false;
		}
		clean &= host.outstanding == 0;
	}
	check(status && polls > 20, "stopped at each of %ld polls, %s", polls,
		  scene->name);
	check(clean, "and nothing left behind");
	data_free(&data);
}

/* A cancelled or starved run must not spoil the fit for the next one. */
static void
test_again(void)
{
	TestHost	host;
	KmOptions	options;
	Data		data;
	Fitted		fitted;
	Fitted		other;
	KmSolution *solution;
	long		before;
	bool		same = true;

	make_scene(&scenes[0], &data, &options);
	host_init(&host);
	fit_data(&host, &data, NULL, &options, 4, NULL, &fitted);
	for (long n = 1; n < 60; n += 7)
	{
		fit_begin(&host, &data, NULL, &options, &other);
		before = host.allocations;
		host.refuse_at = before + n;
		(void) km_fit_run(other.fit, 4, NULL, &solution);
		host.refuse_at = 0;
		fit_finish(&other, 4, NULL);
		same &= same_model(&fitted, &other);
		fitted_free(&other);
	}
	check(same, "after a refusal the fit goes on as if nothing happened");
	fitted_free(&fitted);
	data_free(&data);
	check(host.outstanding == 0, "and nothing left behind");
}

static void
test_stats(void)
{
	TestHost	host;
	bool		clean = true;
	long		calls = 1;

	for (long n = 0; n <= calls; n++)
	{
		KmStats    *stats = NULL;
		KmStats    *read = NULL;
		KmStatus	status;
		unsigned char bytes[20000];
		size_t		size = 0;

		host_init(&host);
		host.refuse_at = n;
		status = km_stats_create(&host.host, 2, true, &stats);
		for (int i = 0; i < 200 && status == KM_OK; i++)
			status = km_stats_add(stats, (double[]) {i, -i});
		if (status == KM_OK)
			status = km_stats_size(stats, &size);
		if (status == KM_OK && size <= sizeof(bytes))
		{
			km_stats_write(stats, bytes);
			status = km_stats_read(&host.host, bytes, size, &read);
		}
		if (status == KM_OK)
			status = km_stats_merge(stats, read);
		km_stats_free(stats);
		km_stats_free(read);
		if (n == 0)
			calls = host.allocations;
		clean &= host.outstanding == 0 &&
			status == (n == 0 ? KM_OK : KM_NO_MEMORY);
	}
	check(clean && calls > 8, "statistics: each of %ld allocations refused",
		  calls);
}

int
main(void)
{
	for (int s = 0; s < SCENES; s++)
	{
		test_refused(&scenes[s], false);
		test_refused(&scenes[s], true);
	}
	for (int s = 0; s < SCENES; s++)
		test_stopped(&scenes[s]);
	test_again();
	test_stats();
	return finish();
}

/*
 * scenes.h
 *		Fits of all kinds, and all that they tell, for tests of where rows are.
 */
#ifndef SCENES_H
#define SCENES_H

#include "data.h"

typedef enum Flags
{
	COSINE = 1,
	CLIP = 2,					/* and robust scaling */
	WEIGHTED = 4,
	MISSING = 8,
	SMALL = 16,					/* sample */
	MANY = 32					/* several k */
} Flags;

typedef struct Scene
{
	const char *name;
	int			flags;
	int			categories;
	int			nrows;
} Scene;

static const Scene scenes[] = {
	{"plain", 0, 0, 1500},
	{"weighted, mixed, missing values", WEIGHTED | MISSING, 2, 1200},
	{"clipped, robust", CLIP | MISSING, 1, 1100},
	{"cosine", COSINE, 0, 900},
	{"cosine, weighted, missing values", COSINE | WEIGHTED | MISSING, 0, 700},
	{"a part as the sample", SMALL, 1, 3000},
	{"several k", MANY, 1, 800}
};

#define SCENES	((int) (sizeof(scenes) / sizeof(*scenes)))
#define MAX_K	5

MAYBE_UNUSED static void
make_scene(const Scene *scene, Data *data, KmOptions *options)
{
	uint64_t	state = 5;

	km_options_default(options);
	options->distance = scene->flags & COSINE ? KM_COSINE : KM_EUCLIDEAN;
	options->clip = (scene->flags & CLIP) != 0;
	options->clip_low = 0.05;
	options->clip_high = 0.9;
	options->scale = scene->flags & CLIP ? KM_ROBUST : KM_ZSCORE;
	options->fill_nulls = (scene->flags & MISSING) != 0;
	if (scene->flags & SMALL)
		options->sample = 60;
	options->n_init = 1;
	data_mixed(data, &state, scene->nrows, 6, 0.4, scene->categories,
			   scene->flags & WEIGHTED ? 9 : 0);
	for (int i = 0; i < scene->nrows && scene->flags & MISSING; i += 37)
		data_row(data, i)[i % 4] = NAN;
}

/* All that a fit tells, as bytes. */
typedef struct Told
{
	unsigned char *bytes;
	size_t		size;
} Told;

static void
tell(Told *told, const void *bytes, size_t size)
{
	told->bytes = realloc(told->bytes, told->size + size);
	memcpy(told->bytes + told->size, bytes, size);
	told->size += size;
}

static void
tell_score(void *arg, const KmScore *score)
{
	tell(arg, &score->segment, sizeof(int));
	tell(arg, &score->distance, sizeof(double));
}

/* is_here: scores of the rows are told, too */
MAYBE_UNUSED static KmStatus
measure(Fitted *fitted, KmSolution *const *solutions, int n, bool is_here,
		Told *told)
{
	KmBins		bins[DATA_FEATURES];
	KmEvidence *evidence = NULL;
	KmPredictor *predictor = NULL;
	double		values[MAX_K];
	double		db = 0;
	double		ch = 0;
	KmStatus	status = KM_OK;

	for (int i = 0; i < n && status == KM_OK; i++)
	{
		status = km_fit_quality(fitted->fit, solutions[i], &db, &ch);
		tell(told, &db, sizeof(db));
		tell(told, &ch, sizeof(ch));
	}
	if (status == KM_OK)
		status = km_evidence_create(fitted->fit, solutions, n, &evidence);
	if (status == KM_OK)
		status = km_evidence_silhouettes(evidence, values);
	if (status == KM_OK)
		tell(told, values, sizeof(double) * n);
	km_evidence_free(evidence);
	memset(bins, 0, sizeof(bins));
	if (status == KM_OK)
		status = km_fit_bins(fitted->fit, bins);
	if (status == KM_OK)
		tell(told, bins, sizeof(bins));
	if (status == KM_OK)
		status = km_fit_model(fitted->fit, solutions[n - 1], &fitted->model);
	if (status == KM_OK)
	{
		fitted->model.options = "{}";
		told->bytes = realloc(told->bytes, told->size +
							  km_model_size(&fitted->model));
		km_model_write(&fitted->model, told->bytes + told->size);
		told->size += km_model_size(&fitted->model);
		status = km_predictor_create(&fitted->host->host, &fitted->model,
									 &predictor);
	}
	if (status == KM_OK && is_here)
		status = km_fit_score(fitted->fit, predictor, tell_score, told);
	km_predictor_free(predictor);
	return status;
}

/* limit: of the rows in memory; store NULL: all are */
MAYBE_UNUSED static KmStatus
tell_scene(TestHost *host, const Scene *scene, const Data *data,
		  const KmOptions *options, size_t limit, const KmStore *store,
		  Told *told)
{
	KmSolution *solutions[MAX_K];
	Fitted		fitted;
	int			n = scene->flags & MANY ? MAX_K : 1;
	KmStatus	status;

	told->bytes = NULL;
	told->size = 0;
	(void) fit_begin_stored(host, data, NULL, options, limit, store, &fitted);
	for (int i = 0; i < n && fitted.status == KM_OK; i++)
		fitted.status = km_fit_run(fitted.fit, n == 1 ? 4 : i + 1, NULL,
								   &solutions[i]);
	if (fitted.status == KM_OK)
		fitted.status = measure(&fitted, solutions, n, true, told);
	status = fitted.status;
	fitted_free(&fitted);
	return status;
}

#endif							/* SCENES_H */

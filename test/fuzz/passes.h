/*
 * passes.h
 *		Fits of rows that are elsewhere, told as bytes and brought back as
 *		bytes, as the server does it; whoever watches sees the bytes, and may
 *		change what comes back.
 *
 * The bytes that are shown are a pass's length (four bytes, little-endian),
 * the pass, and the state of one part of it.
 */
#ifndef PASSES_H
#define PASSES_H

#include "fuzz.h"

/* ---- data sets ---- */

typedef enum Flags
{
	COSINE = 1,
	CLIP = 2,
	NULLS = 4,					/* filled */
	WEIGHTED = 8,
	EMPTY = 16					/* a start that leaves segments empty */
} Flags;

static const struct
{
	KmScale		scale;
	int			flags;
	int			categories;
	int			sample;
}			variants[] = {
	{KM_ZSCORE, 0, 0, 20000},
	{KM_MINMAX, 0, 0, 20},
	{KM_MAXABS, WEIGHTED, 0, 20000},
	{KM_NONE, NULLS, 1, 20},
	{KM_ROBUST, CLIP | WEIGHTED, 1, 20000},
	{KM_ZSCORE, NULLS | WEIGHTED | EMPTY, 2, 20000},
	{KM_ZSCORE, COSINE, 0, 20000},
	{KM_ROBUST, COSINE | NULLS | WEIGHTED | CLIP, 0, 20}
};

#define VARIANTS	((int) (sizeof(variants) / sizeof(*variants)))

MAYBE_UNUSED static void
make_variant(int v, int nrows, Data *data, KmOptions *options)
{
	uint64_t	state = 900 + v;
	int			flags = variants[v].flags;

	km_options_default(options);
	options->scale = variants[v].scale;
	options->distance = flags & COSINE ? KM_COSINE : KM_EUCLIDEAN;
	options->clip = (flags & CLIP) != 0;
	options->clip_low = 0.05;
	options->clip_high = 0.9;
	options->fill_nulls = (flags & NULLS) != 0;
	options->sample = variants[v].sample;
	options->seed = v;
	data_mixed(data, &state, nrows, 3, 0.3, variants[v].categories,
			   flags & WEIGHTED ? 9 : 0);
	for (int i = 0; i < nrows * 4 && (flags & NULLS); i += 7)
		data->values[i] = NAN;
}

/* ---- other machines ---- */

/* bytes that changes may add to a state */
#define MAX_GROWTH	1024

typedef struct Elsewhere
{
	/* set once */
	TestHost   *host;
	const Data *data;
	const KmOptions *options;
	const KmModel *placing_model;	/* rows are placed by it, or NULL */
	KmFeature  *features;		/* the fit's */
	KmRemote	remote;
	int			nparts;
	/* sees each pass and state, as above */
	void		(*watch) (void *arg, const unsigned char *bytes, size_t size);
	void	   *watch_arg;
	/* may change a state on its way; may move it */
	void		(*change) (void *arg, unsigned char *bytes, size_t *size);
	void	   *change_arg;
	/* of the pass at hand */
	KmFeature	told[DATA_FEATURES];
	unsigned char *result;
} Elsewhere;

static void
tell_features(Elsewhere *elsewhere, bool is_scaled, KmModel *model)
{
	static int64_t none[DATA_CATEGORIES];
	const Data *data = elsewhere->data;

	memset(model, 0, sizeof(*model));
	model->scale = KM_NONE;
	model->distance = elsewhere->options->distance;
	model->fill_nulls = elsewhere->options->fill_nulls;
	model->nfeatures = data->nfeatures;
	model->features = elsewhere->told;
	for (int f = 0; f < data->nfeatures; f++)
	{
		KmFeature  *told = &elsewhere->told[f];

		memset(told, 0, sizeof(*told));
		told->weight = told->factor = told->divisor = 1;
		told->clip_low = -INFINITY;
		told->clip_high = INFINITY;
		if (is_scaled)
			*told = elsewhere->features[f];
		told->name = feature_names[f];
		told->kind = data->kinds[f];
		told->ncategories = data->ncategories[f];
		told->categories = category_names;
		if (!is_scaled || told->counts == NULL)
			told->counts = none;
		model->width += told->kind == KM_CATEGORY ? told->ncategories : 1;
	}
}

static KmStatus
run_part(Elsewhere *elsewhere, const KmPass *pass, int p,
		 unsigned char **state, size_t *size)
{
	const Data *data = elsewhere->data;
	KmPart	   *part;
	KmStatus	status;

	KM_TRY(km_part_create(&elsewhere->host->host, pass, (KmSimd) (p % 4),
						  &part));
	status = KM_OK;
	for (int i = p; i < data->nrows && status == KM_OK; i += elsewhere->nparts)
		status = km_part_add(part, data_row(data, i),
							 data->weights == NULL ? 1 : data->weights[i]);
	if (status == KM_OK)
		status = km_part_size(part, size);
	if (status == KM_OK)
	{
		/* room for what a change may add */
		*state = calloc(*size + MAX_GROWTH, 1);
		km_part_write(part, *state);
	}
	km_part_free(part);
	return status;
}

static void
show(const Elsewhere *elsewhere, const unsigned char *pass, size_t pass_size,
	 const unsigned char *state, size_t state_size)
{
	unsigned char *bytes;
	uint32_t	length = (uint32_t) pass_size;

	if (elsewhere->watch == NULL)
		return;
	bytes = malloc(4 + pass_size + state_size);
	for (int i = 0; i < 4; i++)
		bytes[i] = (unsigned char) (length >> (8 * i));
	memcpy(bytes + 4, pass, pass_size);
	memcpy(bytes + 4 + pass_size, state, state_size);
	elsewhere->watch(elsewhere->watch_arg, bytes, 4 + pass_size + state_size);
	free(bytes);
}

/* All parts of a pass, which went out as bytes. */
static KmStatus
run_parts(Elsewhere *elsewhere, const unsigned char *sent, size_t sent_size,
		  size_t *size)
{
	const KmHost *host = &elsewhere->host->host;
	KmPass	   *pass;
	KmPart	   *whole = NULL;
	KmStatus	status;

	KM_TRY(km_pass_read(host, sent, sent_size, &pass));
	status = km_part_create(host, pass, KM_SIMD_AUTO, &whole);
	for (int p = 0; p < elsewhere->nparts && status == KM_OK; p++)
	{
		unsigned char *state;
		size_t		part_size;

		status = run_part(elsewhere, pass, p, &state, &part_size);
		if (status != KM_OK)
			break;
		if (p == 0)
			show(elsewhere, sent, sent_size, state, part_size);
		if (elsewhere->change != NULL)
			elsewhere->change(elsewhere->change_arg, state, &part_size);
		status = km_part_merge(whole, state, part_size);
		free(state);
	}
	/* as the server does */
	if (status == KM_OK && km_part_rows(whole) != elsewhere->data->nrows)
		status = KM_BAD_FORMAT;
	if (status == KM_OK)
		status = km_part_state(whole, size);
	if (status == KM_OK)
	{
		free(elsewhere->result);
		elsewhere->result = malloc(*size + 1);
		km_part_write_state(whole, elsewhere->result);
	}
	km_part_free(whole);
	km_pass_free(host, pass);
	return status;
}

static KmStatus
run_elsewhere(void *arg, const KmJob *job, const unsigned char **bytes,
			  size_t *size)
{
	Elsewhere  *elsewhere = arg;
	KmPass		pass = {0};
	KmModel		model;
	unsigned char *sent;
	size_t		sent_size;
	KmStatus	status;

	km_job_describe(job, &pass);
	pass.rows = elsewhere->data->nrows;
	pass.weight_argument = elsewhere->data->weights == NULL ? -1 : 0;
	pass.model = &model;
	if (elsewhere->placing_model != NULL)
	{
		pass.form = KM_FORM_PLACED;
		pass.weight_argument = -1;
		model = *elsewhere->placing_model;
		model.k = model.last_id = 0;
	}
	else
		tell_features(elsewhere, pass.form == KM_FORM_POSITIONS, &model);
	if (pass.form == KM_FORM_POSITIONS)
	{
		pass.placing = elsewhere->remote.placing;
		pass.placing_size = elsewhere->remote.placing_size;
	}
	sent_size = km_pass_size(&pass);
	sent = malloc(sent_size);
	km_pass_write(&pass, sent);
	status = run_parts(elsewhere, sent, sent_size, size);
	free(sent);
	*bytes = elsewhere->result;
	return status;
}

MAYBE_UNUSED static void
elsewhere_init(Elsewhere *elsewhere, TestHost *host, const Data *data,
			   const KmOptions *options, int nparts)
{
	memset(elsewhere, 0, sizeof(*elsewhere));
	elsewhere->host = host;
	elsewhere->data = data;
	elsewhere->options = options;
	elsewhere->nparts = nparts;
	elsewhere->remote.run = run_elsewhere;
	elsewhere->remote.arg = elsewhere;
}

/* ---- what is asked of them ---- */

/* fitted must be freed whatever the status */
MAYBE_UNUSED static KmStatus
fit_elsewhere(Elsewhere *elsewhere, int k, const double *init, Fitted *fitted)
{
	const Data *data = elsewhere->data;

	memset(fitted, 0, sizeof(*fitted));
	fitted->host = elsewhere->host;
	describe_features(data, fitted);
	elsewhere->features = fitted->features;
	fitted->status = km_rows_create(&elsewhere->host->host, data->nfeatures,
									data->kinds, data->weights != NULL,
									elsewhere->options->distance == KM_COSINE,
									0, &fitted->rows);
	if (fitted->status == KM_OK)
		fitted->status = km_fit_begin_remote(fitted->rows, &elsewhere->remote,
											 data->nrows, elsewhere->options,
											 fitted->features, &fitted->fit);
	if (fitted->fit != NULL)
		fitted->rows = NULL;
	return fit_finish(fitted, k, init);
}

/* The rest of what a fit tells, and an evaluation by its model. */
MAYBE_UNUSED static void
elsewhere_evaluate(Elsewhere *elsewhere, Fitted *fitted)
{
	const KmHost *host = &elsewhere->host->host;
	KmBins		bins[DATA_FEATURES];
	KmEvidence *evidence;
	KmPlaced   *placed;
	KmQuality	overall;
	KmQuality	segments[DATA_FEATURES];
	int64_t		sampled;
	double		db;
	double		ch;

	if (fitted->status != KM_OK)
		return;
	(void) km_fit_quality(fitted->fit, fitted->solution, &db, &ch);
	(void) km_fit_bins(fitted->fit, bins);
	if (km_evidence_create(fitted->fit, &fitted->solution, 1,
						   &evidence) == KM_OK)
	{
		(void) km_evidence_silhouettes(evidence, &db);
		km_evidence_free(evidence);
	}
	elsewhere->placing_model = &fitted->model;
	if (km_placed_create_remote(host, &fitted->model, &elsewhere->remote,
								elsewhere->data->nrows, KM_SIMD_AUTO,
								&placed) == KM_OK)
	{
		(void) km_placed_quality(placed, &overall, segments, &sampled);
		km_placed_free(placed);
	}
	elsewhere->placing_model = NULL;
}

#endif							/* PASSES_H */

/*
 * elsewhere.h
 *		Rows on other machines, for tests and fuzzers of passes over them: what
 *		is sent there and back is bytes, as the server does it, and whoever
 *		stands by sees them and may change what comes back.
 */
#ifndef ELSEWHERE_H
#define ELSEWHERE_H

#include "data.h"

/* bytes that may be added to a state */
#define STATE_ROOM	1024

/* What goes and comes, of one machine. */
typedef struct Sent
{
	int			part;			/* number of the machine */
	const KmPass *pass;			/* as it is read there, from: */
	const unsigned char *bytes;
	size_t		size;
	unsigned char *state;		/* comes back; may be changed and moved */
	size_t		state_size;
} Sent;

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
	void		(*pass_by) (void *arg, Sent *sent);	/* NULL: nobody does */
	void	   *arg;
	double		heavier;		/* what rows weigh after the first pass, if not
								 * 0 */
	bool		weighs_placed;	/* rows that a model places have weights */
	/* of the pass at hand */
	KmFeature	told[DATA_FEATURES];
	unsigned char *result;
	long		fail_at;		/* number of the pass that fails; 0: none */
	/* counted */
	long		passes;
	bool		failed;
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
		const KmFeature *feature = &elsewhere->features[f];

		memset(told, 0, sizeof(*told));
		told->weight = told->factor = told->divisor = 1;
		told->clip_low = -INFINITY;
		told->clip_high = INFINITY;
		if (is_scaled)
			*told = *feature;
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
add_rows(Elsewhere *elsewhere, KmPart *part, int first, int step)
{
	const Data *data = elsewhere->data;

	for (int i = first; i < data->nrows; i += step)
	{
		double		weight = data->weights == NULL ? 1 : data->weights[i];

		if (elsewhere->heavier > 0 && elsewhere->passes > 1)
			weight = elsewhere->heavier;
		KM_TRY(km_part_add(part, data_row(data, i), weight));
	}
	return KM_OK;
}

/* One machine's rows; the state as bytes. */
static KmStatus
run_part(Elsewhere *elsewhere, const unsigned char *bytes, size_t size, int p,
		 unsigned char **state, size_t *state_size)
{
	const KmHost *host = &elsewhere->host->host;
	KmPass	   *pass;
	KmPart	   *part = NULL;
	KmStatus	status;

	KM_TRY(km_pass_check(bytes, size));
	KM_TRY(km_pass_read(host, bytes, size, &pass));
	status = km_part_create(host, pass, (KmSimd) (p % 4), &part);
	if (status == KM_OK)
		status = add_rows(elsewhere, part, p, elsewhere->nparts);
	if (status == KM_OK)
		status = km_part_size(part, state_size);
	if (status == KM_OK)
	{
		Sent		sent = {p, pass, bytes, size, NULL, *state_size};

		sent.state = calloc(sent.state_size + STATE_ROOM, 1);
		km_part_write(part, sent.state);
		if (elsewhere->pass_by != NULL)
			elsewhere->pass_by(elsewhere->arg, &sent);
		*state = sent.state;
		*state_size = sent.state_size;
	}
	km_part_free(part);
	km_pass_free(host, pass);
	return status;
}

static KmStatus
merge_parts(Elsewhere *elsewhere, const KmPass *pass,
			const unsigned char *bytes, size_t size, size_t *state_size)
{
	KmPart	   *whole;
	KmStatus	status;

	KM_TRY(km_part_create(&elsewhere->host->host, pass, KM_SIMD_AUTO,
						  &whole));
	status = KM_OK;
	for (int p = 0; p < elsewhere->nparts && status == KM_OK; p++)
	{
		unsigned char *state;
		size_t		part_size;

		status = run_part(elsewhere, bytes, size, p, &state, &part_size);
		if (status != KM_OK)
			break;
		status = km_part_merge(whole, state, part_size);
		free(state);
	}
	if (status == KM_OK && km_part_rows(whole) != elsewhere->data->nrows)
		status = KM_BAD_FORMAT;
	if (status == KM_OK)
		status = km_part_state(whole, state_size);
	if (status == KM_OK)
	{
		free(elsewhere->result);
		elsewhere->result = malloc(*state_size + 1);
		km_part_write_state(whole, elsewhere->result);
	}
	km_part_free(whole);
	return status;
}

static KmStatus
run_elsewhere(void *arg, const KmJob *job, const unsigned char **bytes, size_t *size)
{
	Elsewhere  *elsewhere = arg;
	KmPass		pass = {0};
	KmModel		model;
	unsigned char *sent;
	size_t		sent_size;
	KmStatus	status;

	if (++elsewhere->passes == elsewhere->fail_at)
		return KM_OVER_LIMIT;
	km_job_describe(job, &pass);
	pass.rows = elsewhere->data->nrows;
	pass.weight_argument = elsewhere->data->weights == NULL ? -1 : 0;
	pass.model = &model;
	if (elsewhere->placing_model != NULL)
	{
		pass.form = KM_FORM_PLACED;
		pass.weight_argument = elsewhere->weighs_placed ? 0 : -1;
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
	status = merge_parts(elsewhere, &pass, sent, sent_size, size);
	free(sent);
	elsewhere->failed |= status != KM_OK;
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

/* As fit_begin(), of the rows elsewhere. */
MAYBE_UNUSED static KmStatus
begin_elsewhere(Elsewhere *elsewhere, Fitted *fitted)
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
	return fitted->status;
}

/* fitted must be freed whatever the status */
MAYBE_UNUSED static KmStatus
fit_elsewhere(Elsewhere *elsewhere, int k, const double *init, Fitted *fitted)
{
	(void) begin_elsewhere(elsewhere, fitted);
	return fit_finish(fitted, k, init);
}

#endif							/* ELSEWHERE_H */

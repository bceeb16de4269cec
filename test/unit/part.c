/*
 * part.c
 *		Passes over rows that are elsewhere: the same models as in memory,
 *		whatever machine has which rows; and bytes that somebody changed on
 *		the way do no harm.
 */
#include "data.h"

/* ---- other machines ---- */

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
	bool		damage;			/* see what changed bytes do */
	uint64_t	random;
	/* of the pass at hand */
	KmFeature	told[DATA_FEATURES];
	unsigned char *result;
	/* counted */
	long		passes;
	long		refused;		/* changed bytes that were noticed */
	long		taken;			/* and that were not: still numbers */
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
		KM_TRY(km_part_add(part, data_row(data, i),
						   data->weights == NULL ? 1 : data->weights[i]));
	return KM_OK;
}

/* Each byte may be another; sometimes the end is missing. */
static unsigned char *
damaged(Elsewhere *elsewhere, const unsigned char *bytes, size_t *size)
{
	uint64_t   *random = &elsewhere->random;
	unsigned char *copy = malloc(*size + 1);
	int			flips = 1 + random_below(random, 3);

	memcpy(copy, bytes, *size);
	for (int i = 0; i < flips; i++)
	{
		unsigned char *at = copy + random_bits(random) % *size;

		switch (random_below(random, 4))
		{
			case 0:
				*at ^= (unsigned char) (1 << random_below(random, 8));
				break;
			case 1:
				*at = 0xff;
				break;
			case 2:
				*at = 0x7f;
				break;
			default:
				*at = (unsigned char) random_bits(random);
		}
	}
	if (random_below(random, 10) == 0)
		*size = random_bits(random) % *size;
	return copy;
}

static void
count(Elsewhere *elsewhere, KmStatus status)
{
	if (status == KM_OK)
		elsewhere->taken++;
	else
		elsewhere->refused++;
}

/* What another machine makes of a pass that is not what was sent. */
static void
try_changed(Elsewhere *elsewhere, const unsigned char *changed, size_t size)
{
	const KmHost *host = &elsewhere->host->host;
	KmPass	   *pass;
	KmPart	   *part;
	KmStatus	status = km_pass_check(changed, size);
	size_t		written;

	if (status == KM_OK)
		status = km_pass_read(host, changed, size, &pass);
	count(elsewhere, status);
	if (status != KM_OK)
		return;
	if (pass->model->nfeatures == elsewhere->data->nfeatures &&
		pass->step != 0 &&
		km_part_create(host, pass, KM_SIMD_AUTO, &part) == KM_OK)
	{
		(void) add_rows(elsewhere, part, 0, 13);
		if (km_part_size(part, &written) == KM_OK && written < 100000000)
		{
			unsigned char *state = malloc(written);

			km_part_write(part, state);
			free(state);
		}
		km_part_free(part);
	}
	km_pass_free(host, pass);
}

static void
try_pass(Elsewhere *elsewhere, const unsigned char *bytes, size_t size)
{
	unsigned char *changed = damaged(elsewhere, bytes, &size);

	try_changed(elsewhere, changed, size);
	free(changed);
}

/* form and step of a pass's header */
#define AT_FORM		4
#define AT_STEP		6
#define STEPS		12

/* Rows of each form for each step, whatever the input is. */
static void
try_forms(Elsewhere *elsewhere, const unsigned char *bytes, size_t size)
{
	unsigned char *changed = malloc(size);

	memcpy(changed, bytes, size);
	for (uint16_t form = 0; form <= KM_FORM_PLACED; form++)
	{
		for (uint16_t step = 0; step <= STEPS; step++)
		{
			memcpy(changed + AT_FORM, &form, sizeof(form));
			memcpy(changed + AT_STEP, &step, sizeof(step));
			try_changed(elsewhere, changed, size);
		}
	}
	free(changed);
}

/* What we make of a state that is not what was sent. */
static void
try_state(Elsewhere *elsewhere, const KmPass *pass,
		  const unsigned char *bytes, size_t size)
{
	const KmHost *host = &elsewhere->host->host;
	unsigned char *changed = damaged(elsewhere, bytes, &size);
	KmPart	   *part;
	size_t		written;
	KmStatus	status;

	if (km_part_create(host, pass, KM_SIMD_AUTO, &part) == KM_OK)
	{
		(void) add_rows(elsewhere, part, 0, 7);
		status = km_part_merge(part, changed, size);
		count(elsewhere, status);
		if (status == KM_OK && km_part_size(part, &written) == KM_OK)
		{
			unsigned char *state = malloc(written);

			km_part_write(part, state);
			free(state);
		}
		km_part_free(part);
	}
	free(changed);
}

/* One machine's rows; the state as bytes. */
static KmStatus
run_part(Elsewhere *elsewhere, const unsigned char *bytes, size_t size, int p,
		 unsigned char **state, size_t *state_size)
{
	const KmHost *host = &elsewhere->host->host;
	KmPass	   *pass;
	KmPart	   *part;
	KmStatus	status = km_pass_check(bytes, size);

	if (status != KM_OK)
		return status;
	KM_TRY(km_pass_read(host, bytes, size, &pass));
	status = km_part_create(host, pass, (KmSimd) (p % 2), &part);
	if (status == KM_OK)
	{
		status = add_rows(elsewhere, part, p, elsewhere->nparts);
		if (status == KM_OK)
			status = km_part_size(part, state_size);
		if (status == KM_OK)
		{
			*state = malloc(*state_size);
			km_part_write(part, *state);
			if (elsewhere->damage)
				try_forms(elsewhere, bytes, size);
			for (int i = 0; i < 5 && elsewhere->damage; i++)
			{
				try_pass(elsewhere, bytes, size);
				try_state(elsewhere, pass, *state, *state_size);
			}
		}
		km_part_free(part);
	}
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
run(void *arg, const KmJob *job, const unsigned char **bytes, size_t *size)
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
	elsewhere->passes++;
	elsewhere->failed |= status != KM_OK;
	*bytes = elsewhere->result;
	return status;
}

static void
elsewhere_init(Elsewhere *elsewhere, TestHost *host, const Data *data,
			   const KmOptions *options, int nparts)
{
	memset(elsewhere, 0, sizeof(*elsewhere));
	elsewhere->host = host;
	elsewhere->data = data;
	elsewhere->options = options;
	elsewhere->nparts = nparts;
	elsewhere->random = 77;
	elsewhere->remote.run = run;
	elsewhere->remote.arg = elsewhere;
}

/* ---- fits ---- */

typedef enum Flags
{
	COSINE = 1,
	CLIP = 2,
	NULLS = 4,					/* filled */
	WEIGHTED = 8,
	EMPTY = 16,					/* a start that leaves a segment empty */
	FAR = 32					/* of zero */
} Flags;

static const struct
{
	const char *name;
	KmScale		scale;
	int			flags;
	int			categories;
	int			sample;
}			variants[] = {
	{"zscore", KM_ZSCORE, 0, 0, 20000},
	{"minmax", KM_MINMAX, 0, 0, 20000},
	{"maxabs, small sample", KM_MAXABS, 0, 0, 150},
	{"none, nulls", KM_NONE, NULLS, 1, 20000},
	{"robust", KM_ROBUST, 0, 1, 20000},
	{"clip, weights", KM_ZSCORE, CLIP | WEIGHTED, 0, 100},
	{"categories, nulls, weights", KM_ZSCORE, NULLS | WEIGHTED, 2, 150},
	{"cosine", KM_ZSCORE, COSINE, 0, 20000},
	{"cosine of all", KM_ROBUST, COSINE | NULLS | WEIGHTED | CLIP, 0, 150},
	{"far from zero", KM_ZSCORE, FAR, 0, 20000},
	{"an empty segment", KM_NONE, EMPTY, 1, 20000},
};

#define VARIANTS	((int) (sizeof(variants) / sizeof(*variants)))

static void
make_variant(int v, int nrows, Data *data, KmOptions *options)
{
	uint64_t	state = 500 + v;
	int			flags = variants[v].flags;

	km_options_default(options);
	options->scale = variants[v].scale;
	options->distance = flags & COSINE ? KM_COSINE : KM_EUCLIDEAN;
	options->clip = (flags & CLIP) != 0;
	options->clip_low = 0.05;
	options->clip_high = 0.9;
	options->fill_nulls = (flags & NULLS) != 0;
	options->sample = variants[v].sample;
	options->n_init = 2;
	data_blobs(data, &state, nrows, 4, 5, 0.3);
	for (int f = 0; f < variants[v].categories; f++)
		data_categorise(data, &state, 3 - f, 3 + f);
	for (int i = 0; i < nrows * 4 && (flags & FAR); i++)
		data->values[i] += 1e12;
	for (int i = 0; i < nrows * 4 && (flags & NULLS); i += 7)
		data->values[i] = NAN;
	if (flags & WEIGHTED)
	{
		data->weights = malloc(sizeof(double) * nrows);
		for (int i = 0; i < nrows; i++)
			data->weights[i] = 0.1 + random_share(&state) * 7;
	}
}

static void
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
	(void) fit_finish(fitted, k, init);
}

static const double *
make_init(int v, const Data *data, double *init)
{
	int			width = 0;

	if (!(variants[v].flags & EMPTY))
		return NULL;
	for (int f = 0; f < data->nfeatures; f++)
		width += data->kinds[f] == KM_CATEGORY ? data->ncategories[f] : 1;
	/* the last two are far from every row */
	for (int i = 0; i < 4 * width; i++)
		init[i] = i < 2 * width ? i % 3 : 1000 + i;
	return init;
}

/* Quality and the elbow's evidence, too. */
static bool
same_measures(Fitted *a, Fitted *b)
{
	double		x[4];
	double		y[4];
	KmKnee		knees[2];
	KmEvidence *evidence[2];
	KmSolution *const *solutions[2] = {&a->solution, &b->solution};
	bool		same;

	same = km_fit_quality(a->fit, a->solution, &x[0], &x[1]) == KM_OK &&
		km_fit_quality(b->fit, b->solution, &y[0], &y[1]) == KM_OK &&
		km_fit_knee(a->fit, solutions[0], 1, &knees[0]) == KM_OK &&
		km_fit_knee(b->fit, solutions[1], 1, &knees[1]) == KM_OK &&
		km_evidence_create(a->fit, solutions[0], 1, &evidence[0]) == KM_OK &&
		km_evidence_create(b->fit, solutions[1], 1, &evidence[1]) == KM_OK;
	if (!same)
		return false;
	same = km_evidence_silhouettes(evidence[0], &x[2]) == KM_OK &&
		km_evidence_silhouettes(evidence[1], &y[2]) == KM_OK &&
		km_evidence_stability(evidence[0], &x[3]) == KM_OK &&
		km_evidence_stability(evidence[1], &y[3]) == KM_OK;
	for (int i = 0; i < 4; i++)
		same &= same_bits(x[i], y[i]) || (isnan(x[i]) && isnan(y[i]));
	km_evidence_free(evidence[0]);
	km_evidence_free(evidence[1]);
	return same && knees[0].knee == knees[1].knee &&
		km_fit_total(a->fit) == km_fit_total(b->fit);
}

static void
test_fits(void)
{
	for (int v = 0; v < VARIANTS; v++)
	{
		TestHost	host;
		KmOptions	options;
		Data		data;
		Fitted		here;
		double		buffer[4 * DATA_FEATURES * DATA_CATEGORIES];
		const double *init;
		bool		same = true;
		bool		measured = true;

		host_init(&host);
		make_variant(v, 1500, &data, &options);
		init = make_init(v, &data, buffer);
		fit_data(&host, &data, NULL, &options, 4, init, &here);
		for (int nparts = 1; nparts <= 5; nparts += 2)
		{
			Elsewhere	elsewhere;
			Fitted		there;

			elsewhere_init(&elsewhere, &host, &data, &options, nparts);
			fit_elsewhere(&elsewhere, 4, init, &there);
			if (there.status != KM_OK || here.status != KM_OK)
				note("status %d and %d after %ld passes", there.status,
					 here.status, elsewhere.passes);
			same &= same_model(&here, &there);
			if (same && nparts == 3)
				measured = same_measures(&here, &there);
			fitted_free(&there);
			free(elsewhere.result);
		}
		check(same, "the same model from parts: %s", variants[v].name);
		check(measured, "the same measures: %s", variants[v].name);
		fitted_free(&here);
		data_free(&data);
		check(host.outstanding == 0, "all freed");
	}
}

/* ---- evaluation ---- */

static bool
same_quality(const KmQuality *a, const KmQuality *b)
{
	return a->size == b->size && same_bits(a->inertia, b->inertia) &&
		(same_bits(a->silhouette, b->silhouette) ||
		 (isnan(a->silhouette) && isnan(b->silhouette))) &&
		same_bits(a->davies_bouldin, b->davies_bouldin) &&
		(same_bits(a->calinski_harabasz, b->calinski_harabasz) ||
		 (isnan(a->calinski_harabasz) && isnan(b->calinski_harabasz)));
}

/* other rows than the model's, some far out, some with unseen categories */
static void
disturb(Data *data, uint64_t *state)
{
	for (int i = 0; i < data->nrows; i += 11)
	{
		data_row(data, i)[0] *= random_below(state, 3) == 0 ? 1e30 : -5;
		if (data->kinds[3] == KM_CATEGORY)
			data_row(data, i)[3] = -1;
	}
}

static void
test_evaluation(void)
{
	for (int v = 0; v < VARIANTS; v++)
	{
		uint64_t	state = 9;
		TestHost	host;
		KmOptions	options;
		Data		data;
		Fitted		fitted;
		KmPlaced   *here;
		KmPlaced   *there;
		Elsewhere	elsewhere;
		KmQuality	all[2];
		KmQuality	each[2][4];
		int64_t		sampled[2] = {0, 0};
		bool		same;

		host_init(&host);
		make_variant(v, 1500, &data, &options);
		fit_data(&host, &data, NULL, &options, 4, NULL, &fitted);
		disturb(&data, &state);
		elsewhere_init(&elsewhere, &host, &data, &options, 3);
		/* a model that is not weighted by rows */
		free(data.weights);
		data.weights = NULL;
		elsewhere.placing_model = &fitted.model;
		same = fitted.status == KM_OK &&
			km_placed_create(&host.host, &fitted.model, 0, KM_SIMD_AUTO,
							 &here) == KM_OK;
		for (int i = 0; i < data.nrows && same; i++)
			same = km_placed_add(here, data_row(&data, i), NULL) == KM_OK;
		same = same &&
			km_placed_create_remote(&host.host, &fitted.model,
									&elsewhere.remote, data.nrows,
									KM_SIMD_AUTO, &there) == KM_OK &&
			km_placed_quality(here, &all[0], each[0], &sampled[0]) == KM_OK &&
			km_placed_quality(there, &all[1], each[1], &sampled[1]) == KM_OK &&
			same_quality(&all[0], &all[1]) && sampled[0] == sampled[1];
		for (int c = 0; c < 4 && same; c++)
			same = same_quality(&each[0][c], &each[1][c]);
		check(same, "the same evaluation from parts: %s", variants[v].name);
		km_placed_free(here);
		km_placed_free(there);
		fitted_free(&fitted);
		data_free(&data);
		free(elsewhere.result);
		check(host.outstanding == 0, "all freed");
	}
}

/* ---- changed bytes ---- */

static void
test_damage(void)
{
	long		refused = 0;
	long		taken = 0;

	for (int v = 0; v < VARIANTS; v++)
	{
		TestHost	host;
		KmOptions	options;
		Data		data;
		Fitted		there;
		Elsewhere	elsewhere;

		host_init(&host);
		make_variant(v, 200, &data, &options);
		options.n_init = 1;
		elsewhere_init(&elsewhere, &host, &data, &options, 2);
		elsewhere.damage = true;
		elsewhere.random = 1234 + v;
		fit_elsewhere(&elsewhere, 3, NULL, &there);
		check(there.status == KM_OK, "changed bytes do no harm: %s",
			  variants[v].name);
		refused += elsewhere.refused;
		taken += elsewhere.taken;
		fitted_free(&there);
		data_free(&data);
		free(elsewhere.result);
		check(host.outstanding == 0, "all freed");
	}
	note("%ld refused, %ld were as good as others", refused, taken);
	check(refused > 100, "most changes are noticed");
}

int
main(void)
{
	test_fits();
	test_evaluation();
	test_damage();
	return finish();
}

/*
 * part.c
 *		Passes over rows that are elsewhere: the same models as in memory,
 *		whatever machine has which rows; and bytes that somebody changed on
 *		the way do no harm.
 */
#include "elsewhere.h"
#include "variants.h"

/* ---- fits ---- */

static const Variant variants[] = {
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

	variant_options(&variants[v], options);
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

typedef struct Damage
{
	Elsewhere  *of;
	uint64_t	random;
	/* changed bytes that */
	long		refused;		/* were noticed */
	long		taken;			/* and were not: still numbers */
} Damage;

/* Each byte may be another; sometimes the end is missing. */
static unsigned char *
damaged(Damage *damage, const unsigned char *bytes, size_t *size)
{
	uint64_t   *random = &damage->random;
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
count(Damage *damage, KmStatus status)
{
	if (status == KM_OK)
		damage->taken++;
	else
		damage->refused++;
}

/* What another machine makes of a pass that is not what was sent. */
static void
try_changed(Damage *damage, const unsigned char *changed, size_t size)
{
	const KmHost *host = &damage->of->host->host;
	KmPass	   *pass;
	KmPart	   *part;
	KmStatus	status = km_pass_check(changed, size);
	size_t		written;

	if (status == KM_OK)
		status = km_pass_read(host, changed, size, &pass);
	count(damage, status);
	if (status != KM_OK)
		return;
	if (pass->model->nfeatures == damage->of->data->nfeatures &&
		pass->step != 0 &&
		km_part_create(host, pass, KM_SIMD_AUTO, &part) == KM_OK)
	{
		(void) add_rows(damage->of, part, 0, 13);
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
try_pass(Damage *damage, const unsigned char *bytes, size_t size)
{
	unsigned char *changed = damaged(damage, bytes, &size);

	try_changed(damage, changed, size);
	free(changed);
}

/* form and step of a pass's header */
#define AT_FORM		4
#define AT_STEP		6
#define STEPS		12

/* Rows of each form for each step, whatever the input is. */
static void
try_forms(Damage *damage, const unsigned char *bytes, size_t size)
{
	unsigned char *changed = malloc(size);

	memcpy(changed, bytes, size);
	for (uint16_t form = 0; form <= KM_FORM_PLACED; form++)
	{
		for (uint16_t step = 0; step <= STEPS; step++)
		{
			memcpy(changed + AT_FORM, &form, sizeof(form));
			memcpy(changed + AT_STEP, &step, sizeof(step));
			try_changed(damage, changed, size);
		}
	}
	free(changed);
}

/* What we make of a state that is not what was sent. */
static void
try_state(Damage *damage, const KmPass *pass,
		  const unsigned char *bytes, size_t size)
{
	const KmHost *host = &damage->of->host->host;
	unsigned char *changed = damaged(damage, bytes, &size);
	KmPart	   *part;
	size_t		written;
	KmStatus	status;

	if (km_part_create(host, pass, KM_SIMD_AUTO, &part) == KM_OK)
	{
		(void) add_rows(damage->of, part, 0, 7);
		status = km_part_merge(part, changed, size);
		count(damage, status);
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

/* See what changed bytes do; those that go on are as they were. */
static void
try_damage(void *arg, Sent *sent)
{
	Damage	   *damage = arg;

	try_forms(damage, sent->bytes, sent->size);
	for (int i = 0; i < 5; i++)
	{
		try_pass(damage, sent->bytes, sent->size);
		try_state(damage, sent->pass, sent->state, sent->state_size);
	}
}

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
		Damage		damage = {&elsewhere, 1234 + v, 0, 0};

		host_init(&host);
		make_variant(v, 200, &data, &options);
		options.n_init = 1;
		elsewhere_init(&elsewhere, &host, &data, &options, 2);
		elsewhere.pass_by = try_damage;
		elsewhere.arg = &damage;
		fit_elsewhere(&elsewhere, 3, NULL, &there);
		check(there.status == KM_OK, "changed bytes do no harm: %s",
			  variants[v].name);
		refused += damage.refused;
		taken += damage.taken;
		fitted_free(&there);
		data_free(&data);
		free(elsewhere.result);
		check(host.outstanding == 0, "all freed");
	}
	note("%ld refused, %ld were as good as others", refused, taken);
	check(refused > 100, "most changes are noticed");
}

/* ---- rows that change while they are looked at ---- */

static void
test_heavier(void)
{
	static const double heavier[] = {1e30, 1e300, INFINITY};
	bool		refused = true;

	for (int i = 0; i < 3; i++)
	{
		TestHost	host;
		KmOptions	options;
		Data		data;
		Fitted		there;
		Elsewhere	elsewhere;

		host_init(&host);
		/* clip, weights */
		make_variant(5, 200, &data, &options);
		elsewhere_init(&elsewhere, &host, &data, &options, 2);
		elsewhere.heavier = heavier[i];
		fit_elsewhere(&elsewhere, 3, NULL, &there);
		refused &= there.status == KM_BAD_FORMAT;
		fitted_free(&there);
		data_free(&data);
		free(elsewhere.result);
		refused &= host.outstanding == 0;
	}
	check(refused, "weights beyond those that were counted are refused");
}

static void
test_placed_weights(void)
{
	TestHost	host;
	KmOptions	options;
	Data		data;
	Fitted		fitted;
	Elsewhere	elsewhere;
	KmPlaced   *there = NULL;
	KmQuality	all;
	KmQuality	each[4];
	int64_t		sampled;

	host_init(&host);
	make_variant(0, 200, &data, &options);
	fit_data(&host, &data, NULL, &options, 4, NULL, &fitted);
	elsewhere_init(&elsewhere, &host, &data, &options, 2);
	elsewhere.placing_model = &fitted.model;
	elsewhere.weighs_placed = true;
	check(km_placed_create_remote(&host.host, &fitted.model, &elsewhere.remote,
								  data.nrows, KM_SIMD_AUTO, &there) == KM_OK &&
		  km_placed_quality(there, &all, each, &sampled) == KM_BAD_FORMAT,
		  "rows that a model places have no weights");
	km_placed_free(there);
	fitted_free(&fitted);
	data_free(&data);
	free(elsewhere.result);
	check(host.outstanding == 0, "all freed");
}

int
main(void)
{
	test_fits();
	test_evaluation();
	test_damage();
	test_heavier();
	test_placed_weights();
	return finish();
}

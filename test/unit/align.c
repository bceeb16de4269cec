/*
 * align.c
 *		Models that continue others: ids and order, and what can go wrong.
 *		What becomes of segments is test/sql/align.sql's.
 */
#include "data.h"

/* Two fits of groups that are the same, but for their sizes. */
static void
make_pair(TestHost *host, bool cosine, int k, int old_k, Data data[2],
		  Fitted fitted[2])
{
	KmOptions	options;

	km_options_default(&options);
	options.distance = cosine ? KM_COSINE : KM_EUCLIDEAN;
	options.n_init = 1;
	for (int i = 0; i < 2; i++)
	{
		uint64_t	state = 7;

		data_blobs(&data[i], &state, 90 + 60 * i, 3, 5, 0.1);
		if (!cosine)
			data_categorise(&data[i], &state, 2, 3 + i);
		(void) fit_data(host, &data[i], NULL, &options, i == 0 ? k : old_k,
						NULL, &fitted[i]);
		fitted[i].model.options = "{}";
	}
}

static void
end_pair(Data data[2], Fitted fitted[2])
{
	for (int i = 0; i < 2; i++)
	{
		fitted_free(&fitted[i]);
		data_free(&data[i]);
	}
}

/* Where a segment of one model is in the other, by its centroid's bits. */
static int
find_center(const KmModel *model, const double *center)
{
	for (int c = 0; c < model->k; c++)
	{
		if (memcmp(model->centers + (size_t) c * model->width, center,
				   sizeof(double) * model->width) == 0)
			return c;
	}
	return -1;
}

static void
test_apply(bool cosine, int k, int old_k)
{
	TestHost	host;
	Data		data[2];
	Fitted		fitted[2];
	KmModel    *model = &fitted[0].model;
	KmModel    *old = &fitted[1].model;
	KmModel    *before = NULL;
	KmAlignment *alignment = NULL;
	bool		rising = true;
	bool		whole = true;
	int			seen = 0;
	int			seen_old = 0;
	int			highest = 20;

	host_init(&host);
	make_pair(&host, cosine, k, old_k, data, fitted);
	for (int c = 0; c < old->k; c++)
		old->segments[c].id = 3 * c + 2;
	old->last_id = 20;
	(void) km_model_read(&host.host, fitted[0].bytes, fitted[0].size, false,
						 &before);
	check(km_align(&host.host, model, old, 0, &alignment) == KM_OK &&
		  km_alignment_apply(&host.host, alignment, model) == KM_OK,
		  "%d segments after %d%s", k, old_k, cosine ? ", cosine" : "");
	for (int i = 0; i < alignment->n; i++)
	{
		const KmFate *fate = &alignment->fates[i];

		rising &= i == 0 || fate->id > fate[-1].id;
		whole &= fate->segment < 0 ||
			(fate->segment == seen && model->segments[seen].id == fate->id);
		whole &= fate->old < 0 || (fate->old == seen_old &&
								   old->segments[seen_old].id == fate->id);
		whole &= (fate->outcome == KM_KEPT || fate->outcome == KM_MOVED) ==
			(fate->segment >= 0 && fate->old >= 0);
		whole &= (fate->other != 0) ==
			(fate->outcome == KM_SPLIT || fate->outcome == KM_MERGED);
		whole &= isnan(fate->distance) ==
			(fate->outcome == KM_NEW || fate->outcome == KM_RETIRED);
		seen += fate->segment >= 0;
		seen_old += fate->old >= 0;
		highest = fate->id > highest ? fate->id : highest;
	}
	check(rising && whole && seen == model->k && seen_old == old->k,
		  "all segments of both are told, by id");
	check(model->last_id == highest && alignment->last_id == highest,
		  "new ids come after the last one");
	whole = true;
	for (int c = 0; c < model->k; c++)
	{
		int			was = find_center(before, model->centers +
									  (size_t) c * model->width);

		whole &= was >= 0 &&
			before->segments[was].size == model->segments[c].size &&
			before->segments[was].reach == model->segments[c].reach &&
			(!cosine || memcmp(before->means + (size_t) was * model->width,
							   model->means + (size_t) c * model->width,
							   sizeof(double) * model->width) == 0);
	}
	check(whole, "segments went to their places as a whole");
	km_alignment_free(&host.host, alignment);
	km_model_free(&host.host, before);
	end_pair(data, fitted);
	check(host.outstanding == 0, "all freed");
}

static KmStatus
align_once(TestHost *host, KmModel *model, const KmModel *old)
{
	KmAlignment *alignment = NULL;
	KmStatus	status = km_align(&host->host, model, old, 0, &alignment);

	if (status == KM_OK)
		status = km_alignment_apply(&host->host, alignment, model);
	if (alignment != NULL)
		km_alignment_free(&host->host, alignment);
	return status;
}

static void
test_failures(bool cosine)
{
	TestHost	host;
	TestHost	other;
	Data		data[2];
	Fitted		fitted[2];
	bool		refused = true;
	bool		stopped = true;
	long		calls;
	long		polls;

	host_init(&host);
	/* fewer than before: some have ended */
	make_pair(&host, cosine, 3, 9, data, fitted);
	host_init(&other);
	(void) align_once(&other, &fitted[0].model, &fitted[1].model);
	calls = other.allocations;
	polls = other.polls;
	for (long n = 1; n <= calls; n++)
	{
		host_init(&other);
		other.refuse_at = n;
		refused &= align_once(&other, &fitted[0].model, &fitted[1].model) ==
			KM_NO_MEMORY && other.outstanding == 0;
	}
	for (long n = 1; n <= polls; n++)
	{
		host_init(&other);
		other.stop_at = n;
		stopped &= align_once(&other, &fitted[0].model, &fitted[1].model) ==
			KM_CANCELLED && other.outstanding == 0;
	}
	check(refused && calls > 20, "each of %ld allocations refused", calls);
	check(stopped, "stopped at each of %ld polls", polls);
	end_pair(data, fitted);
}

static void
test_limits(void)
{
	TestHost	host;
	Data		data[2];
	Fitted		fitted[2];
	KmAlignment *alignment = NULL;
	KmModel    *old = &fitted[1].model;

	host_init(&host);
	make_pair(&host, false, 5, 5, data, fitted);
	check(km_align(&host.host, &fitted[0].model, old, 100, &alignment) ==
		  KM_OVER_LIMIT, "pairs have a limit");
	for (int f = 0; f < old->nfeatures; f++)
		old->features[f].kind = KM_MOMENT;
	check(km_align(&host.host, &fitted[0].model, old, 0, &alignment) ==
		  KM_NOTHING_SHARED, "features of another kind are others");
	for (int f = 0; f < old->nfeatures; f++)
		old->features[f].kind = f == 2 ? KM_CATEGORY : KM_NUMBER;
	/* all at one place, and the square of the reach is no double */
	for (int c = 0; c < old->k; c++)
	{
		memcpy(old->centers + (size_t) c * old->width, old->centers,
			   sizeof(double) * old->width);
		old->segments[c].reach = 1e300;
	}
	check(km_align(&host.host, &fitted[0].model, old, 0, &alignment) ==
		  KM_OK && alignment->n == 5, "a forged reach pairs anything");
	km_alignment_free(&host.host, alignment);
	for (int c = 0; c < old->k; c++)
		old->segments[c].reach = c;
	for (int i = 0; i < old->k * old->width; i++)
		old->centers[i] += 1000;
	old->last_id = INT32_MAX - 4;
	check(km_align(&host.host, &fitted[0].model, old, 0, &alignment) ==
		  KM_NO_IDS, "no id left");
	end_pair(data, fitted);
	check(host.outstanding == 0, "all freed");
}

int
main(void)
{
	test_apply(false, 5, 5);
	test_apply(false, 8, 5);
	test_apply(false, 2, 6);
	test_apply(true, 5, 5);
	test_apply(true, 7, 4);
	test_apply(true, 1, 6);
	test_failures(false);
	test_failures(true);
	test_limits();
	return finish();
}

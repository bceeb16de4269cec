/*
 * shift.c
 *		How far segments went from one model to the next.
 */
#include "data.h"

#define GROUPS	4
#define MANY	100

/* Groups of three numbers and a category, fitted. */
static void
make_model(TestHost *host, bool cosine, int k, Data *data, Fitted *fitted)
{
	KmOptions	options;
	uint64_t	state = 11;

	km_options_default(&options);
	options.distance = cosine ? KM_COSINE : KM_EUCLIDEAN;
	options.n_init = 1;
	data_blobs(data, &state, 120, 4, GROUPS, 0.1);
	if (!cosine)
		data_categorise(data, &state, 3, 3);
	(void) fit_data(host, data, NULL, &options, k, NULL, fitted);
	fitted->model.options = "{}";
}

/* A copy that shares nothing with the model. */
static KmModel *
copy_model(TestHost *host, const Fitted *fitted)
{
	KmModel    *copy = NULL;

	if (km_model_read(&host->host, fitted->bytes, fitted->size, false,
					  &copy) != KM_OK)
		abort();
	return copy;
}

static bool
close_to(double x, double y)
{
	return fabs(x - y) <= 1e-9 * (1 + fabs(y));
}

static void
test_moved(bool cosine)
{
	TestHost	host;
	Data		data;
	Fitted		fitted;
	KmModel    *old;
	KmModel    *new;
	KmShift		shifts[GROUPS];
	const KmFeature *feature;

	host_init(&host);
	make_model(&host, cosine, GROUPS, &data, &fitted);
	old = copy_model(&host, &fitted);
	new = copy_model(&host, &fitted);

	check(km_shifts(&host.host, new, old, shifts) == KM_OK &&
		  shifts[0].distance == 0 && shifts[3].distance == 0 &&
		  shifts[0].feature == -1 && shifts[2].segment == 2,
		  "nothing moved from a model to itself%s", cosine ? ", cosine" : "");
	check(close_to(shifts[1].spread,
				   sqrt(old->segments[1].inertia / old->segments[1].weight)),
		  "spread: root mean square distance");

	if (cosine)
	{
		/* of a unit vector, turned by a right angle: the chord */
		memset(new->means + new->width, 0, sizeof(double) * new->width);
		memset(old->means + new->width, 0, sizeof(double) * new->width);
		old->means[new->width] = 3;
		new->means[new->width + 1] = 5;
		check(km_shifts(&host.host, new, old, shifts) == KM_OK &&
			  close_to(shifts[1].distance, sqrt(2)) && shifts[0].distance == 0,
			  "the length of means does not count");
	}
	else
	{
		/* positions of the old model's space: 3 in f2, 4 in f1 */
		new->centers[new->width + 1] += 3;
		new->centers[new->width] -= 4;
		check(km_shifts(&host.host, new, old, shifts) == KM_OK &&
			  close_to(shifts[1].distance, 5) && shifts[1].feature == 0 &&
			  shifts[0].distance == 0,
			  "distance of the centroids, and the feature that moved most");
		/* the new model has other units: half as wide */
		feature = &new->features[2];
		new->features[2].divisor /= 2;
		new->features[2].origin = feature->mean - feature->divisor;
		for (int c = 0; c < GROUPS; c++)
			new->centers[c * new->width + 2] =
				2 * new->centers[c * new->width + 2] +
				new->features[2].factor;
		check(km_shifts(&host.host, new, old, shifts) == KM_OK &&
			  close_to(shifts[1].distance, 5) &&
			  close_to(shifts[0].distance, 0) && shifts[1].feature == 0,
			  "scales of the new model do not matter");
		/* a category's part comes from all of its values */
		for (int v = 0; v < 3; v++)
			new->centers[3 * new->width + 3 + v] =
				old->centers[3 * new->width + 3 + v] + (v == 1 ? -2 : 1);
		new->centers[3 * new->width] += 2.3;
		check(km_shifts(&host.host, new, old, shifts) == KM_OK &&
			  close_to(shifts[3].distance, sqrt(6 + 2.3 * 2.3)) &&
			  shifts[3].feature == 3, "a category moved");
	}

	km_model_free(&host.host, old);
	km_model_free(&host.host, new);
	fitted_free(&fitted);
	data_free(&data);
	check(host.outstanding == 0, "all freed");
}

static void
test_ids(void)
{
	TestHost	host;
	Data		data;
	Fitted		fitted;
	KmModel    *old;
	KmModel    *new;
	KmShift		shifts[GROUPS];

	host_init(&host);
	make_model(&host, false, GROUPS, &data, &fitted);
	old = copy_model(&host, &fitted);
	new = copy_model(&host, &fitted);
	/* 1 2 3 4 and 2 4 7 9: segments 2 and 4 go on at places 1 and 2 */
	for (int c = 0; c < GROUPS; c++)
		new->segments[c].id = (int[]) {2, 4, 7, 9}[c];
	check(km_shifts(&host.host, new, old, shifts) == KM_OK &&
		  shifts[0].segment == -1 && isnan(shifts[0].distance) &&
		  shifts[1].segment == 0 && shifts[1].distance > 0 &&
		  shifts[2].segment == -1 && shifts[3].segment == 1,
		  "segments are found by their ids");
	old->segments[2].inertia = 0;
	old->segments[3].weight = 0;
	new->centers[new->width] = 1e308;
	old->centers[3 * new->width] = -1e308;
	old->centers[3 * new->width + 1] = 1e200;
	check(km_shifts(&host.host, new, old, shifts) == KM_OK &&
		  shifts[2].spread == 0 && shifts[3].spread == 0 &&
		  shifts[3].distance > 1e150 && shifts[3].feature >= 0,
		  "no spread, no rows, beyond double's range: never NaN");

	for (int f = 0; f < new->nfeatures; f++)
		new->features[f].kind = KM_MOMENT;
	check(km_shifts(&host.host, new, old, shifts) == KM_NOTHING_SHARED,
		  "features of another kind are others");
	new->features[1].kind = KM_NUMBER;
	new->segments[0].id = 1;
	new->centers[new->width * 0 + 1] = old->centers[1] + 2;
	check(km_shifts(&host.host, new, old, shifts) == KM_OK &&
		  close_to(shifts[0].distance, 2) && shifts[0].feature == 1,
		  "features that one of both has do not count");

	km_model_free(&host.host, old);
	km_model_free(&host.host, new);
	fitted_free(&fitted);
	data_free(&data);
	check(host.outstanding == 0, "all freed");
}

static void
test_failures(void)
{
	TestHost	host;
	TestHost	other;
	Data		data;
	Fitted		fitted;
	KmShift		shifts[MANY];
	bool		refused = true;
	bool		stopped = true;
	long		calls;
	long		polls;

	host_init(&host);
	/* many, so that there are polls */
	make_model(&host, false, MANY, &data, &fitted);
	host_init(&other);
	(void) km_shifts(&other.host, &fitted.model, &fitted.model, shifts);
	calls = other.allocations;
	polls = other.polls;
	for (long n = 1; n <= calls; n++)
	{
		host_init(&other);
		other.refuse_at = n;
		refused &= km_shifts(&other.host, &fitted.model, &fitted.model,
							 shifts) == KM_NO_MEMORY && other.outstanding == 0;
	}
	for (long n = 1; n <= polls; n++)
	{
		host_init(&other);
		other.stop_at = n;
		stopped &= km_shifts(&other.host, &fitted.model, &fitted.model,
							 shifts) == KM_CANCELLED && other.outstanding == 0;
	}
	check(refused && calls > 3, "each of %ld allocations refused", calls);
	check(stopped && polls > 1, "stopped at each of %ld polls", polls);
	fitted_free(&fitted);
	data_free(&data);
}

int
main(void)
{
	test_moved(false);
	test_moved(true);
	test_ids();
	test_failures();
	return finish();
}

/*
 * stats.c
 *		Scalers from column statistics: any split over workers, any order, and
 *		through serialisation, the same bits; and the same as a fit's.
 */
#include "data.h"

#define COLUMNS	3

static void
draw_row(uint64_t *state, double *values)
{
	values[0] = random_normal(state) * 1e6 + 1e9;
	values[1] = random_below(state, 10);
	values[2] = random_below(state, 9) == 0 ? NAN :
		ldexp(random_normal(state), random_below(state, 200) - 100);
}

static bool
same_features(const KmFeature *a, const KmFeature *b)
{
	bool		same = true;

	for (int f = 0; f < COLUMNS; f++)
		same &= same_bits(a[f].min, b[f].min) &&
			same_bits(a[f].max, b[f].max) &&
			same_bits(a[f].mean, b[f].mean) && same_bits(a[f].sd, b[f].sd) &&
			same_bits(a[f].center, b[f].center) &&
			same_bits(a[f].divisor, b[f].divisor);
	return same;
}

/* through bytes and back */
static KmStats *
send(TestHost *host, KmStats *stats)
{
	size_t		size;
	unsigned char *bytes;
	KmStats    *result = NULL;

	km_stats_size(stats, &size);
	bytes = malloc(size);
	km_stats_write(stats, bytes);
	if (km_stats_read(&host->host, bytes, size, &result) != KM_OK)
		abort();
	free(bytes);
	km_stats_free(stats);
	return result;
}

static void
test_splits(KmScale scale)
{
	enum
	{
		N = 1000
	};
	uint64_t	state = 1;
	static double values[N][COLUMNS];
	TestHost	host;
	KmStats    *all;
	KmFeature	expected[COLUMNS];
	int			order[N];
	bool		same = true;
	bool		rows = true;

	host_init(&host);
	memset(expected, 0, sizeof(expected));
	km_stats_create(&host.host, COLUMNS, scale == KM_ROBUST, &all);
	for (int i = 0; i < N; i++)
	{
		order[i] = i;
		draw_row(&state, values[i]);
		km_stats_add(all, values[i]);
	}
	km_stats_finish(all, scale, expected);
	for (int round = 0; round < 6; round++)
	{
		KmStats    *part[4];
		KmFeature	features[COLUMNS];

		memset(features, 0, sizeof(features));
		for (int p = 0; p < 4; p++)
			km_stats_create(&host.host, COLUMNS, scale == KM_ROBUST, &part[p]);
		shuffle(&state, order, N);
		/* the last part stays empty */
		for (int i = 0; i < N; i++)
			km_stats_add(part[random_below(&state, 3)], values[order[i]]);
		for (int p = 0; p < 4; p++)
			part[p] = send(&host, part[p]);
		for (int p = 3; p > 0; p--)
		{
			same &= km_stats_merge(part[0], part[p]) == KM_OK;
			km_stats_free(part[p]);
		}
		part[0] = send(&host, part[0]);
		rows &= km_stats_rows(part[0]) == N;
		km_stats_finish(part[0], scale, features);
		same &= same_features(expected, features);
		km_stats_free(part[0]);
	}
	check(same && rows, "any split, order and journey: scale %d", scale);
	km_stats_free(all);
	check(host.outstanding == 0, "all freed");
}

static void
test_as_fit(void)
{
	bool		same = true;

	for (int scale = KM_ZSCORE; scale <= KM_NONE; scale++)
	{
		uint64_t	state = 2;
		TestHost	host;
		KmOptions	options;
		Data		data;
		Fitted		fitted;
		KmStats    *stats;
		KmFeature	features[COLUMNS];

		host_init(&host);
		km_options_default(&options);
		options.scale = (KmScale) scale;
		options.fill_nulls = true;
		memset(features, 0, sizeof(features));
		data_init(&data, 300, COLUMNS);
		km_stats_create(&host.host, COLUMNS, true, &stats);
		for (int i = 0; i < 300; i++)
		{
			draw_row(&state, data_row(&data, i));
			km_stats_add(stats, data_row(&data, i));
		}
		km_stats_finish(stats, (KmScale) scale, features);
		fit_begin(&host, &data, NULL, &options, &fitted);
		same &= fitted.status == KM_OK &&
			same_features(fitted.features, features);
		fitted_free(&fitted);
		km_stats_free(stats);
		data_free(&data);
	}
	check(same, "a scaler is the fit's");
}

static void
test_empty(void)
{
	TestHost	host;
	KmStats    *stats;
	KmFeature	features[2];
	bool		plain = true;

	host_init(&host);
	memset(features, 0xff, sizeof(features));
	km_stats_create(&host.host, 2, true, &stats);
	km_stats_add(stats, (double[]) {NAN, -0.0});
	for (int scale = KM_ZSCORE; scale <= KM_NONE; scale++)
	{
		km_stats_finish(stats, (KmScale) scale, features);
		for (int f = 0; f < 2; f++)
			plain &= features[f].mean == 0 && features[f].sd == 0 &&
				features[f].divisor == 1 && features[f].center == 0 &&
				features[f].weight == 1 && features[f].factor == 1 &&
				!signbit(features[f].min);
	}
	check(plain && km_stats_rows(stats) == 1,
		  "no values, or a single zero: scaled by nothing");
	km_stats_free(stats);
}

/* Serialised states come from this server, yet cut ones must not crash. */
static void
test_cut(void)
{
	TestHost	host;
	KmStats    *stats;
	KmStats    *read;
	KmStats    *other;
	size_t		size;
	unsigned char *bytes;
	bool		refused = true;

	host_init(&host);
	km_stats_create(&host.host, 2, true, &stats);
	for (int i = 0; i < 5; i++)
		km_stats_add(stats, (double[]) {i, -i});
	km_stats_size(stats, &size);
	bytes = malloc(size);
	km_stats_write(stats, bytes);
	for (size_t n = 0; n < size; n++)
	{
		unsigned char *part = malloc(n > 0 ? n : 1);

		memcpy(part, bytes, n);
		refused &= km_stats_read(&host.host, part, n, &read) == KM_BAD_FORMAT;
		free(part);
	}
	check(refused, "cut short anywhere: refused");
	bytes[0] ^= 1;
	check(km_stats_read(&host.host, bytes, size, &read) == KM_BAD_FORMAT,
		  "other bytes: refused");
	free(bytes);
	km_stats_create(&host.host, 3, true, &other);
	check(km_stats_merge(stats, other) == KM_BAD_FORMAT,
		  "states of other columns do not merge");
	check(km_stats_bytes(stats) >= size, "bytes are counted");
	km_stats_free(stats);
	km_stats_free(other);
	km_stats_free(NULL);
	check(host.outstanding == 0, "all freed");
}

int
main(void)
{
	test_splits(KM_ZSCORE);
	test_splits(KM_MINMAX);
	test_splits(KM_ROBUST);
	test_as_fit();
	test_empty();
	test_cut();
	return finish();
}

/*
 * seeds.c
 *		Writes the seeds of the fuzzers of the core into a directory: models,
 *		scalers and passes as fits make them.
 *
 *	seeds directory
 *
 * The directory has one for each program: model, pass, state, engines.
 */
#include "passes.h"

static const char *directory;

static void
write_seed(const char *target, const char *name, const void *bytes,
		   size_t size)
{
	char		path[1000];
	FILE	   *file;

	snprintf(path, sizeof(path), "%s/%s/%s", directory, target, name);
	file = fopen(path, "wb");
	if (file == NULL || fwrite(bytes, 1, size, file) != size ||
		fclose(file) != 0)
	{
		perror(path);
		exit(1);
	}
}

/* ---- models and scalers ---- */

static void
write_model(const char *name, const KmModel *model)
{
	size_t		size = km_model_size(model);
	unsigned char *bytes = malloc(size);

	km_model_write(model, bytes);
	write_seed("model", name, bytes, size);
	free(bytes);
}

static void
write_models(void)
{
	for (int v = 0; v < VARIANTS; v++)
	{
		TestHost	host;
		Data		data;
		KmOptions	options;
		Fitted		fitted;
		char		name[100];

		host_init(&host);
		make_variant(v, 40, &data, &options);
		if (fit_data(&host, &data, NULL, &options, 3, NULL,
					 &fitted) != KM_OK)
			exit(1);
		fitted.model.options = "{\"k\": 3}";
		snprintf(name, sizeof(name), "model-%d", v);
		write_model(name, &fitted.model);
		/* one that continues others */
		for (int c = 0; c < fitted.model.k; c++)
			fitted.model.segments[c].id = 2 * c + 3;
		fitted.model.last_id = 20;
		snprintf(name, sizeof(name), "ids-%d", v);
		write_model(name, &fitted.model);
		fitted_free(&fitted);
		data_free(&data);
	}
}

static void
write_scalers(void)
{
	for (int scale = KM_ZSCORE; scale <= KM_NONE; scale++)
	{
		uint64_t	state = 3;
		TestHost	host;
		Data		data;
		KmStats    *stats;
		KmModel		model = {0};
		KmFeature	features[2] = {{0}};
		char		name[100];

		host_init(&host);
		data_blobs(&data, &state, 30, 2, 2, 1);
		if (km_stats_create(&host.host, 2, true, &stats) != KM_OK)
			exit(1);
		for (int i = 0; i < data.nrows; i++)
			if (km_stats_add(stats, data_row(&data, i)) != KM_OK)
				exit(1);
		if (km_stats_finish(stats, (KmScale) scale, features) != KM_OK)
			exit(1);
		features[0].name = "a";
		features[1].name = "b c";
		model.scale = (KmScale) scale;
		model.nfeatures = model.width = 2;
		model.rows = data.nrows;
		model.features = features;
		model.options = "";
		snprintf(name, sizeof(name), "scaler-%d", scale);
		write_model(name, &model);
		km_stats_free(stats);
		data_free(&data);
	}
}

/* ---- passes ---- */

/* As pass.c takes them apart: the pass's length, the pass, a state. */
static void
write_pass(void *arg, Sent *sent)
{
	size_t		size = 4 + sent->size + sent->state_size;
	unsigned char *bytes;
	char		name[100];

	if (sent->part > 0)
		return;
	bytes = malloc(size);
	for (int i = 0; i < 4; i++)
		bytes[i] = (unsigned char) (sent->size >> (8 * i));
	memcpy(bytes + 4, sent->bytes, sent->size);
	memcpy(bytes + 4 + sent->size, sent->state, sent->state_size);
	snprintf(name, sizeof(name), "%02x%016llx", *(int *) arg,
			 (unsigned long long) km_hash_text(0, (const char *) bytes, size));
	write_seed("pass", name, bytes, size);
	free(bytes);
}

static void
write_passes(void)
{
	for (int v = 0; v < VARIANTS; v++)
	{
		TestHost	host;
		Data		data;
		KmOptions	options;
		Elsewhere	elsewhere;
		Fitted		fitted;

		host_init(&host);
		make_variant(v, 40, &data, &options);
		options.n_init = 1;
		elsewhere_init(&elsewhere, &host, &data, &options, 2);
		elsewhere.pass_by = write_pass;
		elsewhere.arg = &v;
		fit_elsewhere(&elsewhere, 2, NULL, &fitted);
		elsewhere_evaluate(&elsewhere, &fitted);
		fitted_free(&fitted);
		data_free(&data);
		free(elsewhere.result);
	}
}

/* ---- what is read byte by byte ---- */

/* state.c: a data set, k, and what happens to two states */
static void
write_lies(void)
{
	uint64_t	state = 5;

	for (int i = 0; i < 3 * VARIANTS; i++)
	{
		unsigned char bytes[12];
		char		name[100];
		int			n = i < VARIANTS ? 2 : 12;

		for (int b = 0; b < n; b++)
			bytes[b] = (unsigned char) random_below(&state, 256);
		bytes[0] = (unsigned char) (i % VARIANTS);
		bytes[1] = 2;
		/* numbers of states, of which there are some dozens */
		bytes[2] %= 24;
		bytes[7] %= 24;
		snprintf(name, sizeof(name), "lies-%02d", i);
		write_seed("state", name, bytes, n);
	}
}

/* engines.c: anything is a task */
static void
write_tasks(void)
{
	uint64_t	state = 6;

	for (int i = 0; i < 12; i++)
	{
		unsigned char bytes[24];
		char		name[100];

		for (int b = 0; b < 24; b++)
			bytes[b] = (unsigned char) random_below(&state, 256);
		snprintf(name, sizeof(name), "task-%02d", i);
		write_seed("engines", name, bytes, sizeof(bytes));
	}
}

int
main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	directory = argv[1];
	write_models();
	write_scalers();
	write_passes();
	write_lies();
	write_tasks();
	return 0;
}

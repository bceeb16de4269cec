/*
 * remote.c
 *		Fits of rows that are elsewhere: raw ones, on some machines, which send
 *		the states of steps as bytes.  The same bits as a fit of all in memory;
 *		and bytes that are none of a state.
 */
#include "scenes.h"

#define SHARDS		3
#ifndef ABSURD_ROUNDS
#define ABSURD_ROUNDS	40
#endif
#define BATCH_ROWS	40			/* rows that a shard places at a time */

typedef struct Shards
{
	KmRemote	remote;
	TestHost   *host;
	const Data *data;
	bool		cosine;
	unsigned char *bytes;		/* of the last run */
	int			runs;
	uint64_t	state;			/* of chance; 0: bytes stay what they are */
	bool		absurd;			/* numbers instead of bytes */
	int			far_step;		/* this one's first row is far out */
} Shards;

static KmJob
same_job(const KmJob *job)
{
	KmJob		copy = *job;

	copy.state = NULL;
	return copy;
}

/* The rows of one shard, a few at a time. */
static KmStatus
run_shard(Shards *shards, KmJob *job, int shard)
{
	const Data *data = shards->data;
	KmStatus	status = KM_OK;

	for (int i = shard; i < data->nrows && status == KM_OK;)
	{
		KmRows	   *rows;

		status = km_rows_create(&shards->host->host, data->nfeatures,
								data->kinds, data->weights != NULL,
								shards->cosine, 0, &rows);
		for (int n = 0; n < BATCH_ROWS && i < data->nrows &&
			 status == KM_OK; n++, i += SHARDS)
			status = km_rows_add(rows, data_row(data, i), data->weights == NULL ?
								 0 : data->weights[i]);
		for (int b = 0; status == KM_OK && b < rows->table.nblocks; b++)
		{
			if (job->space != NULL)
				status = km_place_block(shards->remote.placing, &rows->table,
										&rows->table.blocks[b]);
			if (status == KM_OK)
				status = job->step->add(job, &rows->table.blocks[b]);
		}
		km_rows_free(rows);
	}
	return status;
}

/* what a job has, as the bytes of this run */
static size_t
take_bytes(Shards *shards, const KmJob *job)
{
	size_t		size = job->step->size(job);

	free(shards->bytes);
	shards->bytes = malloc(size + 1);
	job->step->write(job, shards->bytes);
	return size;
}

/* Whole numbers of the state become ones that no honest server sends. */
static void
forge_numbers(Shards *shards, size_t size)
{
	static const double doubles[] = {1e300, -1e300, 1e17, -1e17, 5e-324,
	1.7976931348623157e308, -0.0, 0x1p63, INFINITY, NAN};
	static const int64_t integers[] = {INT64_MAX, INT64_MIN, -1, 0,
	INT64_MAX / 2, (INT64_C(1) << 62) - 1, INT64_C(1) << 52, 3};
	size_t		words = size / 8;

	if (words == 0 || random_below(&shards->state, 3) > 0)
		return;
	for (int i = random_below(&shards->state, 4); i >= 0; i--)
	{
		size_t		at = (size_t) random_below(&shards->state, words < 40 ||
											   random_below(&shards->state, 2) ?
											   (int) words : 40) * 8;
		int			which = random_below(&shards->state, 18);

		if (which < 10)
			memcpy(shards->bytes + at, &doubles[which], 8);
		else
			memcpy(shards->bytes + at, &integers[which - 10], 8);
	}
}

static KmStatus
run_shards(void *arg, const KmJob *job, const unsigned char **bytes,
		   size_t *size)
{
	Shards	   *shards = arg;
	KmJob		all = same_job(job);
	KmStatus	status = job->step->open(&all);

	shards->runs++;
	if (status == KM_OK && job->space != NULL)
		status = km_placing_check(shards->remote.placing,
								  shards->remote.placing_size, job->table);
	for (int shard = 0; shard < SHARDS && status == KM_OK; shard++)
	{
		KmJob		one = same_job(job);

		status = job->step->open(&one);
		if (status == KM_OK)
			status = run_shard(shards, &one, shard);
		if (status == KM_OK)
		{
			*size = take_bytes(shards, &one);
			status = all.step->merge(&all, shards->bytes, *size);
		}
		job->step->close(&one);
	}
	if (status == KM_OK)
		*size = take_bytes(shards, &all);
	job->step->close(&all);
	/* then there are no bytes to change */
	if (status != KM_OK)
		return status;
	*bytes = shards->bytes;
	if (job->step->id == (KmStepId) shards->far_step)
	{
		double		far = 1e300;
		size_t		at = job->step->id == KM_STEP_SAMPLE ?
			sizeof(KmWide) + 2 * sizeof(int64_t) : sizeof(double);

		memcpy(shards->bytes + at, &far, sizeof(far));
	}
	if (shards->absurd)
		forge_numbers(shards, *size);
	else if (shards->state != 0 && *size > 0)
	{
		if (random_below(&shards->state, 4) == 0)
			*size = (size_t) random_below(&shards->state, (int) *size);
		for (int i = random_below(&shards->state, 20); i >= 0 && *size > 0; i--)
			shards->bytes[random_below(&shards->state, (int) *size)] =
				(unsigned char) random_bits(&shards->state);
	}
	return status;
}

static KmStatus
run_scene(TestHost *host, const Scene *scene, const Data *data,
		  const KmOptions *options, Shards *shards, Told *told)
{
	KmSolution *solutions[MAX_K];
	Fitted		fitted;
	int			n = scene->flags & MANY ? MAX_K : 1;
	KmStatus	status;

	memset(told, 0, sizeof(*told));
	if (shards == NULL)
		(void) fit_begin(host, data, NULL, options, &fitted);
	else
	{
		memset(&fitted, 0, sizeof(fitted));
		fitted.host = host;
		describe_features(data, &fitted);
		fitted.status = km_rows_create(&host->host, data->nfeatures,
									   data->kinds, data->weights != NULL,
									   shards->cosine, 0, &fitted.rows);
		if (fitted.status == KM_OK)
			fitted.status = km_fit_begin_remote(fitted.rows, &shards->remote,
												data->nrows, options,
												fitted.features, &fitted.fit);
		if (fitted.fit != NULL)
			fitted.rows = NULL;
	}
	for (int i = 0; i < n && fitted.status == KM_OK; i++)
		fitted.status = km_fit_run(fitted.fit, n == 1 ? 4 : i + 1, NULL,
								   &solutions[i]);
	if (fitted.status == KM_OK)
		fitted.status = measure(&fitted, solutions, n, false, told);
	status = fitted.status;
	fitted_free(&fitted);
	return status;
}

static void
shards_init(Shards *shards, TestHost *host, const Data *data,
			const KmOptions *options)
{
	memset(shards, 0, sizeof(*shards));
	shards->remote.run = run_shards;
	shards->remote.arg = shards;
	shards->host = host;
	shards->data = data;
	shards->cosine = options->distance == KM_COSINE;
}

static void
test_bits(const Scene *scene)
{
	TestHost	host;
	Data		data;
	KmOptions	options;
	Shards		shards;
	Told		memory;
	Told		told;
	bool		same = true;

	host_init(&host);
	make_scene(scene, &data, &options);
	shards_init(&shards, &host, &data, &options);
	same &= run_scene(&host, scene, &data, &options, NULL, &memory) == KM_OK;
	same &= run_scene(&host, scene, &data, &options, &shards, &told) == KM_OK;
	same &= told.size == memory.size &&
		memcmp(told.bytes, memory.bytes, told.size) == 0;
	check(same && host.outstanding == 0, "the same bits by %d runs: %s",
		  shards.runs, scene->name);
	free(shards.bytes);
	free(told.bytes);
	free(memory.bytes);
	data_free(&data);
}

/*
 * Lies of so many kinds, by round: how many end with KM_BAD_FORMAT, and with
 * anything but KM_OK; false: something was left behind.
 */
static bool
try_lies(const Scene *scene, bool absurd, int rounds, int *bad, int *failed)
{
	Data		data;
	KmOptions	options;
	bool		clean = true;

	*bad = *failed = 0;
	make_scene(scene, &data, &options);
	options.max_iter = 20;
	for (int round = 1; round <= rounds; round++)
	{
		TestHost	host;
		Shards		shards;
		Told		told;
		KmStatus	status;

		host_init(&host);
		shards_init(&shards, &host, &data, &options);
		shards.state = (uint64_t) round;
		shards.absurd = absurd;
		status = run_scene(&host, scene, &data, &options, &shards, &told);
		*bad += status == KM_BAD_FORMAT;
		*failed += status != KM_OK;
		clean &= host.outstanding == 0;
		free(shards.bytes);
		free(told.bytes);
	}
	data_free(&data);
	return clean;
}

/* Whatever comes back: an end, and nothing left behind. */
static void
test_forged(const Scene *scene)
{
	int			refused;
	int			failed;
	bool		clean = try_lies(scene, false, 60, &refused, &failed);

	check(clean && refused > 10, "forged states: %d of 60 refused, %s", refused,
		  scene->name);
}

/* Numbers that are absurd: an end, no undefined arithmetic, nothing left. */
static void
test_absurd(const Scene *scene)
{
	int			bad;
	int			refused;
	bool		clean = try_lies(scene, true, ABSURD_ROUNDS, &bad, &refused);

	check(clean && refused > 0, "absurd numbers: %d of %d refused, %s", refused,
		  ABSURD_ROUNDS, scene->name);
}

/* A row where no row of the fit can be, though the number is finite. */
static void
test_far(const Scene *scene, int step)
{
	TestHost	host;
	Data		data;
	KmOptions	options;
	Shards		shards;
	Told		told;
	KmStatus	status;

	make_scene(scene, &data, &options);
	host_init(&host);
	shards_init(&shards, &host, &data, &options);
	shards.far_step = step;
	status = run_scene(&host, scene, &data, &options, &shards, &told);
	check(status == KM_BAD_FORMAT && host.outstanding == 0,
		  "a row at 1e300 is refused: %s, %s", km_step((KmStepId) step)->name,
		  scene->name);
	free(shards.bytes);
	free(told.bytes);
	data_free(&data);
}

int
main(void)
{
	for (int i = 0; i < SCENES; i++)
		test_bits(&scenes[i]);
	for (int i = 0; i < SCENES; i++)
		test_forged(&scenes[i]);
	for (int i = 0; i < SCENES; i++)
		test_absurd(&scenes[i]);
	test_far(&scenes[0], KM_STEP_SAMPLE);
	return finish();
}

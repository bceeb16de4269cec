/*
 * faults.c
 *		Whatever the core calls fails at its n-th call, for each n: memory,
 *		polls, the store, other machines, a crew's memory and its members.
 *		Over a fit, an elbow and an evaluation, wherever the rows are: the
 *		status that belongs to it, or the same result as ever; nothing is left.
 *
 * failure.c has fits of more kinds, in memory.  KSEG_FAULTS=all: each n, where
 * ordinarily every few are tried.
 */
#include "elsewhere.h"
#include "stored.h"
#include "threads.h"

#define K_MAX	3

typedef enum Job
{
	FIT,
	ELBOW,
	EVALUATION
} Job;

typedef enum Place
{
	MEMORY,
	STORE,
	ELSEWHERE,
	CREW
} Place;

typedef enum Fault
{
	NONE,
	ALLOCATION,
	POLL,
	STORE_CALL,
	REMOTE_PASS,
	SHARING,					/* and all after it */
	SIGHT,						/* of members, and all after it */
	MEMBER_ALLOCATION,
	MEMBER_POLL
} Fault;

static const char *const job_names[] = {"fit", "elbow", "evaluation"};
static const char *const place_names[] = {"in memory", "in a store",
"elsewhere", "by a crew"};
static const char *const fault_names[] = {"nothing", "allocation", "poll",
"call of the store", "pass elsewhere", "sharing", "look of a member",
"allocation of a member", "poll of a member"};

/* what a failure is told as */
static const KmStatus fault_status[] = {KM_OK, KM_NO_MEMORY, KM_CANCELLED,
KM_OVER_LIMIT, KM_OVER_LIMIT, KM_NO_MEMORY, KM_OK, KM_NO_MEMORY,
KM_CANCELLED};

/* One run, and what it is among. */
typedef struct Run
{
	Job			job;
	Place		place;
	const Data *data;
	const KmOptions *options;
	const KmModel *model;		/* for an evaluation */
	TestHost	host;
	Store		store;
	Elsewhere	elsewhere;
	Threads		threads;
	/* then */
	KmStatus	status;
	unsigned char told[20000];
	size_t		size;
} Run;

static void
tell(Run *run, const void *bytes, size_t size)
{
	if (run->size + size > sizeof(run->told))
		abort();
	memcpy(run->told + run->size, bytes, size);
	run->size += size;
}

static void
tell_score(void *arg, const KmScore *score)
{
	tell(arg, &score->segment, sizeof(int));
	tell(arg, &score->distance, sizeof(double));
}

/* ---- a fit, an elbow ---- */

/* A model of the last solution, scored. */
static KmStatus
finish_fit(Run *run, Fitted *fitted, KmSolution *solution)
{
	KmBins		bins[DATA_FEATURES];
	KmModel    *read = NULL;
	KmPredictor *predictor = NULL;
	KmStatus	status;

	memset(bins, 0, sizeof(bins));
	status = km_fit_bins(fitted->fit, bins);
	if (status == KM_OK)
		status = km_fit_model(fitted->fit, solution, &fitted->model);
	if (status == KM_OK)
	{
		fitted->model.options = "";
		fitted->size = km_model_size(&fitted->model);
		fitted->bytes = malloc(fitted->size);
		km_model_write(&fitted->model, fitted->bytes);
		tell(run, bins, sizeof(bins));
		tell(run, fitted->bytes, fitted->size);
		status = km_model_read(&run->host.host, fitted->bytes, fitted->size,
							   false, &read);
	}
	if (status == KM_OK)
		status = km_predictor_create(&run->host.host, read, &predictor);
	if (status == KM_OK && run->place != ELSEWHERE)
		status = km_fit_score(fitted->fit, predictor, tell_score, run);
	km_predictor_free(predictor);
	km_model_free(&run->host.host, read);
	return status;
}

static KmStatus
look(Run *run, Fitted *fitted, KmSolution *const *solutions)
{
	KmEvidence *evidence = NULL;
	KmKnee		knee;
	double		values[2][K_MAX];
	KmStatus	status;

	memset(&knee, 0, sizeof(knee));
	status = km_fit_knee(fitted->fit, solutions, K_MAX, &knee);
	if (status == KM_OK)
		status = km_evidence_create(fitted->fit, solutions, K_MAX, &evidence);
	if (status == KM_OK)
		status = km_evidence_silhouettes(evidence, values[0]);
	if (status == KM_OK)
		status = km_evidence_stability(evidence, values[1]);
	km_evidence_free(evidence);
	if (status != KM_OK)
		return status;
	tell(run, &knee.knee, sizeof(knee.knee));
	tell(run, values, sizeof(values));
	return KM_OK;
}

static KmStatus
run_fit(Run *run)
{
	Fitted		fitted;
	KmSolution *solutions[K_MAX];
	double		quality[2];
	int			first = run->job == ELBOW ? 1 : K_MAX;
	KmStatus	status;

	if (run->place == ELSEWHERE)
		status = begin_elsewhere(&run->elsewhere, &fitted);
	else
		status = fit_begin_stored(&run->host, run->data, NULL, run->options,
								  run->place == STORE ? 4000 : 0,
								  run->place == STORE ? &run->store.store :
								  NULL, &fitted);
	for (int k = first; k <= K_MAX && status == KM_OK; k++)
	{
		status = km_fit_run(fitted.fit, k, NULL, &solutions[k - 1]);
		if (status == KM_OK)
			status = km_fit_quality(fitted.fit, solutions[k - 1], &quality[0],
									&quality[1]);
		if (status == KM_OK)
			tell(run, quality, sizeof(quality));
	}
	if (status == KM_OK && run->job == ELBOW)
		status = look(run, &fitted, solutions);
	if (status == KM_OK)
		status = finish_fit(run, &fitted, solutions[K_MAX - 1]);
	fitted_free(&fitted);
	return status;
}

/* ---- an evaluation ---- */

static KmStatus
place_rows(Run *run, KmPlaced **placed)
{
	const KmHost *host = &run->host.host;
	KmStatus	status;

	if (run->place == ELSEWHERE)
	{
		run->elsewhere.placing_model = run->model;
		run->elsewhere.features = run->model->features;
		return km_placed_create_remote(host, run->model,
									   &run->elsewhere.remote,
									   run->data->nrows, KM_SIMD_AUTO, placed);
	}
	status = km_placed_create(host, run->model, run->place == STORE ? 4000 : 0,
							  KM_SIMD_AUTO, placed);
	if (status == KM_OK && run->place == STORE)
		status = km_placed_spill(*placed, &run->store.store);
	for (int i = 0; i < run->data->nrows && status == KM_OK; i++)
		status = km_placed_add(*placed, data_row(run->data, i), NULL);
	return status;
}

static KmStatus
evaluate(Run *run)
{
	KmPlaced   *placed = NULL;
	KmPca	   *pca = NULL;
	KmQuality	quality[K_MAX + 1];
	int64_t		sampled;
	int			width;
	KmStatus	status;

	memset(quality, 0, sizeof(quality));
	status = place_rows(run, &placed);
	if (status == KM_OK)
		status = km_placed_quality(placed, quality, quality + 1, &sampled);
	if (status == KM_OK)
		tell(run, quality, sizeof(quality));
	if (status == KM_OK && (run->place == MEMORY || run->place == CREW))
		status = km_placed_pca(placed, 2, 0, &width, &pca);
	km_pca_free(pca);
	km_placed_free(placed);
	return status;
}

/* ---- runs ---- */

static void
set_fault(Run *run, Fault fault, long at)
{
	switch (fault)
	{
		case NONE:
			break;
		case ALLOCATION:
			run->host.refuse_at = at;
			break;
		case POLL:
			run->host.stop_at = at;
			break;
		case STORE_CALL:
			run->store.fail_at = at;
			break;
		case REMOTE_PASS:
			run->elsewhere.fail_at = at;
			break;
		case SHARING:
			atomic_store(&run->threads.refuse_at, at);
			break;
		case SIGHT:
			atomic_store(&run->threads.blind_at, at);
			break;
		case MEMBER_ALLOCATION:
			atomic_store(&run->threads.starve_at, at);
			break;
		case MEMBER_POLL:
			atomic_store(&run->threads.stop_at, at);
			break;
	}
}

static long
calls_of(Run *run, Fault fault)
{
	switch (fault)
	{
		case NONE:
			break;
		case ALLOCATION:
			return run->host.allocations;
		case POLL:
			return run->host.polls;
		case STORE_CALL:
			return run->store.reads + run->store.writes;
		case REMOTE_PASS:
			return run->elsewhere.passes;
		case SHARING:
			return atomic_load(&run->threads.shared);
		case SIGHT:
			return atomic_load(&run->threads.looks);
		case MEMBER_ALLOCATION:
			return atomic_load(&run->threads.allocations);
		case MEMBER_POLL:
			return atomic_load(&run->threads.polls);
	}
	return 0;
}

static void
run_with(Run *run, Fault fault, long at)
{
	host_init(&run->host);
	store_init(&run->store);
	elsewhere_init(&run->elsewhere, &run->host, run->data, run->options, 2);
	if (run->place == CREW)
	{
		threads_start(&run->threads, 2, 0);
		run->host.host.crew = &run->threads.crew;
	}
	run->size = 0;
	set_fault(run, fault, at);
	run->status = run->job == EVALUATION ? evaluate(run) : run_fit(run);
	if (run->place == CREW)
		threads_end(&run->threads);
	store_free(&run->store);
	free(run->elsewhere.result);
}

static bool
is_clean(Run *run)
{
	return run->host.outstanding == 0 &&
		(run->place != CREW ||
		 (atomic_load(&run->threads.outstanding) == 0 &&
		  atomic_load(&run->threads.held) == 0));
}

/*
 * With a crew many need not matter: who has no memory goes on alone.  And the
 * call may not come, since who does how much is chance.
 */
static bool
may_be_fine(Run *run, Fault fault, long at)
{
	return run->place == CREW &&
		(fault != POLL || calls_of(run, fault) < at);
}

static void
test_fault(Run *run, const Run *alone, Fault fault, long most)
{
	bool		is_right = true;
	long		calls;
	long		tried = 0;
	long		told = 0;		/* the others did without */

	run_with(run, NONE, 0);
	calls = calls_of(run, fault);
	is_right &= run->status == KM_OK && is_clean(run);
	for (long at = 1; at <= calls; at += 1 + calls / most, tried++)
	{
		bool		is_same;

		run_with(run, fault, at);
		is_same = run->status == KM_OK && run->size == alone->size &&
			memcmp(run->told, alone->told, run->size) == 0;
		told += run->status == fault_status[fault] && run->status != KM_OK;
		if (is_clean(run) &&
			((is_same && may_be_fine(run, fault, at)) ||
			 (run->status != KM_OK && run->status == fault_status[fault])))
			continue;
		note("%ld of %ld: status %d, %ld outstanding", at, calls, run->status,
			 run->host.outstanding);
		is_right = false;
	}
	check(is_right && (tried > 0 || run->place == CREW), "%s %s: %ld of %ld times %s, %ld told",
		  job_names[run->job], place_names[run->place], tried, calls,
		  fault_names[fault], told);
}

static void
test_job(Job job, Place place, const Data *data, const KmOptions *options,
		 const KmModel *model, long most)
{
	Run		   *run = calloc(1, sizeof(Run));
	Run		   *alone = calloc(1, sizeof(Run));

	run->job = alone->job = job;
	run->data = alone->data = data;
	run->options = alone->options = options;
	run->model = alone->model = model;
	/* of rows elsewhere there are no scores */
	alone->place = place == CREW ? MEMORY : place;
	run_with(alone, NONE, 0);
	run->place = place;
	test_fault(run, alone, ALLOCATION, most);
	test_fault(run, alone, POLL, most);
	if (place == STORE)
		test_fault(run, alone, STORE_CALL, most);
	if (place == ELSEWHERE)
		test_fault(run, alone, REMOTE_PASS, most);
	if (place == CREW)
	{
		for (Fault fault = SHARING; fault <= MEMBER_POLL; fault++)
			test_fault(run, alone, fault, most);
	}
	free(run);
	free(alone);
}

int
main(void)
{
	const char *wish = getenv("KSEG_FAULTS");
	bool		all = wish != NULL && strcmp(wish, "all") == 0;
	uint64_t	state = 11;
	Data		data;
	KmOptions	options;
	TestHost	host;
	Fitted		fitted;

	km_options_default(&options);
	options.n_init = 1;
	data_mixed(&data, &state, 200, 3, 0.3, 1, 0);
	host_init(&host);
	fit_data(&host, &data, NULL, &options, K_MAX, NULL, &fitted);
	for (Place place = MEMORY; place <= CREW; place++)
	{
		/* chains are for a crew */
		options.n_init = place == CREW ? 3 : 1;
		test_job(FIT, place, &data, &options, NULL, all ? 1000000 : 100);
		test_job(ELBOW, place, &data, &options, NULL, all ? 1000000 : 15);
		test_job(EVALUATION, place, &data, &options, &fitted.model,
				 all ? 1000000 : 100);
	}
	fitted_free(&fitted);
	data_free(&data);
	return finish();
}

/*
 * crew.c
 *		What all tasks of a crew need: memory, a member's part, spaces and
 *		samples as other members see them.
 */
#include <string.h>

#include "crew.h"

/* ---- a member's part ---- */

static void *
part_alloc(void *arg, size_t size)
{
	const KmHost *of = ((KmMember *) arg)->of;

	return of->alloc(of->arg, size);
}

static void
part_free(void *arg, void *pointer)
{
	const KmHost *of = ((KmMember *) arg)->of;

	of->free(of->arg, pointer);
}

static bool
part_poll(void *arg)
{
	KmMember   *part = arg;

	if (km_task_stopped(part->task))
		return false;
	if (part->of->poll == NULL || part->of->poll(part->of->arg))
		return true;
	part->was_told = true;
	return false;
}

static void
part_report(void *arg, KmPhase phase, int64_t done, int64_t total)
{
	km_report(((KmMember *) arg)->of, phase, done, total);
}

void
km_member_begin(KmMember *part, const KmHost *host, KmPoll *outer,
				KmTask *task)
{
	memset(part, 0, sizeof(*part));
	part->of = host;
	part->task = task;
	part->host.alloc = part_alloc;
	part->host.free = part_free;
	part->host.poll = part_poll;
	part->host.report = part_report;
	part->host.arg = part;
	part->poll.host = &part->host;
	part->outer = outer;
	if (outer != NULL)
		part->poll.work = outer->work;
}

void
km_member_end(KmMember *part, KmStatus status)
{
	KmTask	   *task = part->task;
	int			none = KM_OK;

	/* that the task is over says nothing to what comes after it */
	if (part->outer != NULL)
		part->outer->work = isinf(part->poll.work) && !part->was_told ? 0 :
			part->poll.work;
	if (status == KM_OK || (status == KM_CANCELLED && km_task_stopped(task)))
		return;
	(void) atomic_compare_exchange_strong(&task->status, &none, (int) status);
	km_task_stop(task);
}

/* ---- the crew ---- */

int
km_crew_others(const KmHost *host, double task, double work)
{
	const KmCrew *crew = host->crew;

	return crew == NULL || task < crew->grain ? 0 :
		crew->gather(crew->arg, work);
}

void *
km_task_create(const KmHost *host, int others, size_t size, KmHandle *handle)
{
	*handle = 0;
	if (others == 0)
		return km_alloc_zero(host, size, 1);
	return host->crew->share(host->crew->arg, size, handle);
}

void
km_task_free(const KmHost *host, void *task, KmHandle handle)
{
	if (handle != 0)
		host->crew->unshare(host->crew->arg, handle);
	else
		km_free(host, task);
}

void
km_crew_help(const KmHost *host, int member, int task, KmHandle input)
{
	void	   *memory = host->crew->see(host->crew->arg, input);
	KmMember	part;
	KmStatus	status = KM_NO_MEMORY;

	/* the caller finds that nobody came */
	if (memory == NULL)
		return;
	km_member_begin(&part, host, NULL, memory);
	switch ((KmTaskId) task)
	{
		case KM_TASK_PASS:
			status = km_help_pass(&part, memory, member);
			break;
		case KM_TASK_CHAINS:
			status = km_help_chains(&part, memory);
			break;
		case KM_TASK_SILHOUETTES:
			status = km_help_silhouettes(&part, memory);
			break;
		case KM_TASK_REFERENCES:
			status = km_help_references(&part, memory);
			break;
		case KM_TASK_REFITS:
			status = km_help_refits(&part, memory);
			break;
	}
	km_member_end(&part, status);
}

/* ---- laying out memory ---- */

/* arrays do not share cache lines */
size_t
km_lay(size_t *end, size_t count, size_t size)
{
	size_t		at = km_whole_lines(*end);

	/* what cannot be is refused by whoever is asked for it */
	if (at >= SIZE_MAX / 4 || (size != 0 && count > SIZE_MAX / 4 / size))
	{
		*end = SIZE_MAX / 2;
		return 0;
	}
	*end = at + count * size;
	return at;
}

/* ---- spaces ---- */

typedef struct FlatSpace
{
	int			nfeatures;
	int			nnum;
	int			ncat;
	int			width;
	bool		cosine;
} FlatSpace;

/* the arrays that stand behind a FlatSpace, one element a feature */
typedef struct SpaceArrays
{
	size_t		features;
	size_t		slot;
	size_t		feature;
	size_t		offset;
	size_t		ncategories;
	size_t		unit;
	size_t		scale;
	size_t		factor;
} SpaceArrays;

static SpaceArrays
lay_arrays(size_t *end, int nfeatures)
{
	SpaceArrays arrays;
	size_t		n = (size_t) nfeatures;

	(void) km_lay(end, 1, sizeof(FlatSpace));
	arrays.features = km_lay(end, n, sizeof(KmFeature));
	arrays.slot = km_lay(end, n, sizeof(int));
	arrays.feature = km_lay(end, n, sizeof(int));
	arrays.offset = km_lay(end, n, sizeof(int));
	arrays.ncategories = km_lay(end, n, sizeof(int));
	arrays.unit = km_lay(end, n, sizeof(double));
	arrays.scale = km_lay(end, n, sizeof(double));
	arrays.factor = km_lay(end, n, sizeof(double));
	return arrays;
}

size_t
km_space_lay(size_t *end, const KmSpace *space)
{
	size_t		at = km_lay(end, 0, 1);

	*end = at;
	(void) lay_arrays(end, space->nfeatures);
	return at;
}

void
km_space_put(void *base, size_t at, const KmSpace *space)
{
	char	   *memory = base;
	FlatSpace  *flat = (FlatSpace *) (memory + at);
	int			n = space->nfeatures;
	SpaceArrays arrays = lay_arrays(&at, n);
	KmFeature  *features = (KmFeature *) (memory + arrays.features);

	flat->nfeatures = n;
	flat->nnum = space->nnum;
	flat->ncat = space->ncat;
	flat->width = space->width;
	flat->cosine = space->cosine;
	for (int f = 0; f < n; f++)
	{
		features[f] = space->features[f];
		features[f].name = NULL;
		features[f].categories = NULL;
		features[f].counts = NULL;
	}
	memcpy(memory + arrays.slot, space->slot, sizeof(int) * n);
	memcpy(memory + arrays.feature, space->feature, sizeof(int) * n);
	memcpy(memory + arrays.offset, space->offset, sizeof(int) * n);
	memcpy(memory + arrays.ncategories, space->ncategories, sizeof(int) * n);
	memcpy(memory + arrays.unit, space->unit, sizeof(double) * n);
	memcpy(memory + arrays.scale, space->scale, sizeof(double) * n);
	memcpy(memory + arrays.factor, space->factor, sizeof(double) * n);
}

void
km_space_see(const KmHost *host, void *base, size_t at, KmSpace *space)
{
	char	   *memory = base;
	const FlatSpace *flat = (const FlatSpace *) (memory + at);
	SpaceArrays arrays = lay_arrays(&at, flat->nfeatures);

	space->host = host;
	space->nfeatures = flat->nfeatures;
	space->nnum = flat->nnum;
	space->ncat = flat->ncat;
	space->width = flat->width;
	space->cosine = flat->cosine;
	space->features = (KmFeature *) (memory + arrays.features);
	space->slot = (int *) (memory + arrays.slot);
	space->feature = (int *) (memory + arrays.feature);
	space->offset = (int *) (memory + arrays.offset);
	space->ncategories = (int *) (memory + arrays.ncategories);
	space->unit = (double *) (memory + arrays.unit);
	space->scale = (double *) (memory + arrays.scale);
	space->factor = (double *) (memory + arrays.factor);
}

/* ---- tables of one block ---- */

typedef struct FlatTable
{
	int			nfeatures;
	int			nnum;
	int			ncat;
	int			weight_slot;
	int			length_slot;
	int			nslots;
	int			nrows;
	int			capacity;
	double		max_weight;
} FlatTable;

static void
lay_table(size_t *end, int nfeatures, int nslots, int capacity,
		  size_t *slot, size_t *data)
{
	(void) km_lay(end, 1, sizeof(FlatTable));
	*slot = km_lay(end, (size_t) nfeatures, sizeof(int));
	*data = km_lay(end, (size_t) capacity * (size_t) nslots, sizeof(double));
}

size_t
km_table_lay(size_t *end, const KmTable *table)
{
	size_t		at = km_lay(end, 0, 1);
	size_t		slot;
	size_t		data;

	*end = at;
	lay_table(end, table->nfeatures, table->nslots, table->blocks->capacity,
			  &slot, &data);
	return at;
}

void
km_table_put(void *base, size_t at, const KmTable *table)
{
	char	   *memory = base;
	const KmBlock *block = table->blocks;
	FlatTable  *flat = (FlatTable *) (memory + at);
	size_t		slot;
	size_t		data;

	flat->nfeatures = table->nfeatures;
	flat->nnum = table->nnum;
	flat->ncat = table->ncat;
	flat->weight_slot = table->weight_slot;
	flat->length_slot = table->length_slot;
	flat->nslots = table->nslots;
	flat->nrows = block->nrows;
	flat->capacity = block->capacity;
	flat->max_weight = table->max_weight;
	lay_table(&at, table->nfeatures, table->nslots, block->capacity, &slot,
			  &data);
	memcpy(memory + slot, table->slot, sizeof(int) * table->nfeatures);
	memcpy(memory + data, block->data,
		   sizeof(double) * block->capacity * table->nslots);
}

void
km_table_see(const KmHost *host, void *base, size_t at, KmTable *table,
			 KmBlock *block)
{
	char	   *memory = base;
	const FlatTable *flat = (const FlatTable *) (memory + at);
	size_t		slot;
	size_t		data;

	lay_table(&at, flat->nfeatures, flat->nslots, flat->capacity, &slot,
			  &data);
	memset(block, 0, sizeof(*block));
	block->data = (double *) (memory + data);
	block->nrows = flat->nrows;
	block->capacity = flat->capacity;
	memset(table, 0, sizeof(*table));
	table->host = host;
	table->nfeatures = flat->nfeatures;
	table->nnum = flat->nnum;
	table->ncat = flat->ncat;
	table->weight_slot = flat->weight_slot;
	table->length_slot = flat->length_slot;
	table->nslots = flat->nslots;
	table->max_weight = flat->max_weight;
	table->slot = (int *) (memory + slot);
	table->nrows = flat->nrows;
	table->nblocks = 1;
	table->blocks = block;
}

/* ---- samples ---- */

typedef struct FlatSample
{
	bool		complete;
	int64_t		distinct;
	double		weight;
	double		squares;
	size_t		table;
	size_t		hash;
	size_t		norm;
} FlatSample;

KmHandle
km_sample_share(KmSample *sample)
{
	const KmHost *host = sample->table.host;
	size_t		n = (size_t) sample->distinct;
	size_t		end = sizeof(FlatSample);
	FlatSample	layout;
	FlatSample *flat;

	if (sample->shared != 0)
		return sample->shared;
	layout.complete = sample->complete;
	layout.distinct = sample->distinct;
	layout.weight = sample->weight;
	layout.squares = sample->squares;
	layout.table = km_table_lay(&end, &sample->table);
	layout.hash = km_lay(&end, n, sizeof(uint64_t));
	layout.norm = km_lay(&end, n, sizeof(double));
	flat = host->crew->share(host->crew->arg, end, &sample->shared);
	if (flat == NULL)
		return 0;
	*flat = layout;
	km_table_put(flat, layout.table, &sample->table);
	memcpy((char *) flat + layout.hash, sample->hash, sizeof(uint64_t) * n);
	memcpy((char *) flat + layout.norm, sample->norm, sizeof(double) * n);
	return sample->shared;
}

KmStatus
km_sample_see(const KmHost *host, const KmHost *part, KmHandle handle,
			  KmSample *sample, KmBlock *block)
{
	FlatSample *flat = host->crew->see(host->crew->arg, handle);

	if (flat == NULL)
		return KM_NO_MEMORY;
	memset(sample, 0, sizeof(*sample));
	km_table_see(part, flat, flat->table, &sample->table, block);
	sample->hash = (uint64_t *) ((char *) flat + flat->hash);
	sample->norm = (double *) ((char *) flat + flat->norm);
	sample->complete = flat->complete;
	sample->distinct = flat->distinct;
	sample->weight = flat->weight;
	sample->squares = flat->squares;
	return KM_OK;
}

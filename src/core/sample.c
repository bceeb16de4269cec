/*
 * sample.c
 *		The sample that the search works on: a bottom-m sketch of the distinct
 *		rows, each with its multiplicity.
 *
 * Every distinct row has a key from its content alone; the sample is the m
 * rows with the smallest keys.  Whoever computes it, in whatever order, gets
 * the same sample, and two samples merge into one.  A key is u / p with u
 * uniform from the content's hash and p rising with the squared distance from
 * the mean (priority sampling: Duffield, Lund, Thorup, "Priority sampling for
 * estimation of arbitrary subset sums", 2007), so that half of the sample is
 * drawn by distance: far rows decide where small segments lie.  A row is in
 * the sample with probability min(1, p * threshold), and weighs the inverse.
 * When all distinct rows fit, the sample is the data and weights are exact.
 */
#include <math.h>
#include <string.h>

#include "steps.h"

/* weights of a true sample are multiples of 2^-WEIGHT_BITS */
#define WEIGHT_BITS		10

/* One entry after the other, of millions: 5 ns or so, in multiply-adds. */
#define ENTRY_WORK		10.0

/* ---- the step ---- */

static KmStatus
open_sample(KmJob *job)
{
	const KmSampleInput *input = job->input;
	KmSampling *s;

	if (job->input_size != sizeof(KmSampleInput) || input->want < 1 ||
		input->want > INT32_MAX / 8)
		return KM_BAD_FORMAT;
	job->state = s = km_alloc_zero(job->host, 1, sizeof(KmSampling));
	if (s == NULL)
		return KM_NO_MEMORY;
	s->half = input->spread > 0 ? 0.5 / input->spread : 0;
	s->squares_scale = input->squares_scale;
	return km_sketch_create(&s->sketch, job->space, job->poll,
							input->want);
}

static void
close_sample(KmJob *job)
{
	KmSampling *s = job->state;

	if (s == NULL)
		return;
	if (s->sketch.host != NULL)
		km_sketch_free(&s->sketch);
	km_free(job->host, s);
	job->state = NULL;
}

/* The entry of a row with this content. */
static inline KmEntry
make_entry(const KmSampling *s, uint64_t hash, double norm, int64_t weight,
		   int64_t copies)
{
	KmEntry		entry;

	entry.p = s->half > 0 ? 0.5 + s->half * norm : 1;
	entry.key = km_uniform(hash) / entry.p;
	entry.hash = hash;
	entry.norm = norm;
	entry.weight = weight;
	entry.copies = copies;
	entry.row = 0;
	return entry;
}

static KmStatus
add_sample(KmJob *job, KmBlock *block)
{
	const KmTable *table = job->table;
	KmSampling *s = job->state;
	int			ntiles = km_block_tiles(block);

	for (int t = 0; t < ntiles; t++)
	{
		const double *tile = km_tile(table, block, t);
		int			n = km_tile_rows(block, t);
		uint64_t	hash[KM_LANES];
		double		norm[KM_LANES];

		km_hash_tile(job->space, tile, hash, norm);
		for (int l = 0; l < n; l++)
		{
			int64_t		weight = km_row_weight(table, tile + l);
			KmEntry		entry = make_entry(s, hash[l], norm[l], weight, 1);

			s->squares += (KmWide) (int64_t) (norm[l] * s->squares_scale) *
				weight;
			if (entry.key <= s->sketch.threshold)
				KM_TRY(km_sketch_offer(&s->sketch, job->poll, tile + l,
									   &entry));
		}
		if (!km_poll(job->poll, KM_LANES * (double) (table->nfeatures + 4)))
			return KM_CANCELLED;
	}
	return KM_OK;
}

/* ---- as bytes: squares; of each entry weight, copies, content ---- */

static size_t
size_entry(const KmSketch *sketch)
{
	return 2 * sizeof(int64_t) + (size_t) sketch->nslots * sizeof(double);
}

static size_t
size_sample(const KmJob *job)
{
	KmSampling *s = job->state;

	/* what does not work makes it longer, no more */
	(void) km_sketch_prune(&s->sketch, job->poll);
	return sizeof(KmWide) + (size_t) s->sketch.n * size_entry(&s->sketch);
}

/* but for rows whose keys are equal */
static size_t
most_sample(const KmJob *job)
{
	const KmSketch *sketch = &((KmSampling *) job->state)->sketch;
	int64_t		n = sketch->want + 2;

	if (n > job->table->nrows)
		n = job->table->nrows;
	return sizeof(KmWide) + (size_t) n * size_entry(sketch);
}

static void
write_sample(const KmJob *job, unsigned char *bytes)
{
	const KmSampling *s = job->state;
	const KmSketch *sketch = &s->sketch;

	memcpy(bytes, &s->squares, sizeof(KmWide));
	bytes += sizeof(KmWide);
	for (int64_t i = 0; i < sketch->n; i++)
	{
		const KmEntry *entry = &sketch->entries[i];

		memcpy(bytes, &entry->weight, sizeof(int64_t));
		memcpy(bytes + sizeof(int64_t), &entry->copies, sizeof(int64_t));
		memcpy(bytes + 2 * sizeof(int64_t),
			   sketch->contents + entry->row * sketch->nslots,
			   sizeof(double) * sketch->nslots);
		bytes += size_entry(sketch);
	}
}

static bool
content_is_sane(const KmSpace *space, const double *tile, int lane)
{
	for (int slot = 0; slot < space->nfeatures; slot++)
	{
		double		x = tile[slot * KM_LANES + lane];

		if (slot < space->nnum ? !km_position_is_sane(space, slot, x) :
			!(x >= 0 && x < space->ncategories[slot - space->nnum] &&
			  x == (int) x))
			return false;
	}
	return true;
}

/* n <= KM_LANES entries */
static KmStatus
merge_entries(KmJob *job, const unsigned char *bytes, int n, double *tile)
{
	KmSampling *s = job->state;
	int			nslots = s->sketch.nslots;
	uint64_t	hash[KM_LANES];
	double		norm[KM_LANES];
	int64_t		counts[KM_LANES][2];

	memset(tile, 0, sizeof(double) * KM_LANES * nslots);
	for (int l = 0; l < n; l++, bytes += size_entry(&s->sketch))
	{
		memcpy(counts[l], bytes, sizeof(counts[l]));
		for (int slot = 0; slot < nslots; slot++)
			memcpy(&tile[slot * KM_LANES + l], bytes + sizeof(counts[l]) +
				   sizeof(double) * slot, sizeof(double));
		if (counts[l][0] < 1 || counts[l][1] < 1 ||
			counts[l][0] >= KM_COUNT_MAX ||
			counts[l][1] >= KM_COUNT_MAX ||
			!content_is_sane(job->space, tile, l))
			return KM_BAD_FORMAT;
	}
	km_hash_tile(job->space, tile, hash, norm);
	for (int l = 0; l < n; l++)
	{
		KmEntry		entry = make_entry(s, hash[l], norm[l], counts[l][0],
									   counts[l][1]);

		if (entry.key <= s->sketch.threshold)
			KM_TRY(km_sketch_offer(&s->sketch, job->poll, tile + l, &entry));
	}
	return km_poll(job->poll, KM_LANES * (double) (nslots + 4)) ? KM_OK :
		KM_CANCELLED;
}

static KmStatus
merge_sample(KmJob *job, const unsigned char *bytes, size_t size)
{
	KmSampling *s = job->state;
	size_t		entry = size_entry(&s->sketch);
	size_t		n;
	KmWide		squares;
	double	   *tile;
	KmStatus	status = KM_OK;

	if (size < sizeof(KmWide) || (size - sizeof(KmWide)) % entry != 0)
		return KM_BAD_FORMAT;
	memcpy(&squares, bytes, sizeof(squares));
	s->squares = km_wide_add(s->squares, squares);
	bytes += sizeof(KmWide);
	n = (size - sizeof(KmWide)) / entry;
	tile = km_alloc(job->host, (size_t) s->sketch.nslots * KM_LANES,
					sizeof(double));
	if (tile == NULL)
		return KM_NO_MEMORY;
	for (size_t i = 0; i < n && status == KM_OK; i += KM_LANES)
		status = merge_entries(job, bytes + i * entry,
							   n - i < KM_LANES ? (int) (n - i) : KM_LANES,
							   tile);
	km_free(job->host, tile);
	return status;
}

const KmStep km_step_sample = {
	.id = KM_STEP_SAMPLE,
	.name = "sample",
	.open = open_sample,
	.add = add_sample,
	.size = size_sample,
	.most = most_sample,
	.write = write_sample,
	.merge = merge_sample,
	.close = close_sample
};

/* ---- the sample ---- */

/* Keep exactly the want smallest, in canonical order. */
static KmStatus
finish_sketch(KmSketch *sketch, KmPoll *poll)
{
	KM_TRY(km_sketch_sort(sketch, poll));
	if (sketch->n > sketch->want)
	{
		/* the first one left out: the estimator's threshold */
		sketch->threshold = sketch->entries[sketch->want].key;
		sketch->complete = false;
		sketch->n = sketch->want;
	}
	return km_sketch_pack(sketch, poll);
}

/* what a count of an entry stands for, as an integer */
static double
estimate_count(const KmSketch *sketch, const KmEntry *entry, int64_t count,
			   double scale)
{
	double		chance = sketch->complete ? 1 :
		entry->p * sketch->threshold;
	double		estimate = (double) count * scale;

	estimate = rint(chance < 1 ? estimate / chance : estimate);
	return estimate < 1 ? 1 : estimate;
}

/*
 * Counts become integers; 2^52 at most, so that doubles hold them.  largest:
 * of all entries.
 */
static double
choose_scale(const KmSketch *sketch, double largest)
{
	double		scale = sketch->complete ? 1 : ldexp(1, WEIGHT_BITS);

	while (largest * scale > (sketch->complete ? 0x1p52 : 0x1p42))
		scale *= 0.5;
	return scale;
}

/* The sketch's entries, in their canonical order, as a table. */
static KmStatus
make_table(const KmSketch *sketch, KmPoll *poll, const KmTable *table,
		   KmSample *sample)
{
	const KmHost *host = table->host;
	double		largest = 0;
	double		most = 0;
	double		scale;
	double		copies_scale;

	KM_TRY(km_sketch_table(sketch, poll, table, &sample->table));
	sample->hash = km_alloc(host, (size_t) sketch->n, sizeof(uint64_t));
	sample->norm = km_alloc(host, (size_t) sketch->n, sizeof(double));
	sample->copies = km_alloc(host, (size_t) sketch->n, sizeof(int64_t));
	if (sample->hash == NULL || sample->norm == NULL ||
		sample->copies == NULL)
		return KM_NO_MEMORY;
	sample->complete = sketch->complete;
	sample->distinct = sketch->n;
	for (int64_t i = 0; i < sketch->n; i++)
	{
		largest = fmax(largest, (double) sketch->entries[i].weight);
		most = fmax(most, (double) sketch->entries[i].copies);
		if (!km_poll(poll, ENTRY_WORK))
			return KM_CANCELLED;
	}
	scale = choose_scale(sketch, largest);
	copies_scale = choose_scale(sketch, most);
	for (int64_t i = 0; i < sketch->n; i++)
	{
		const KmEntry *entry = &sketch->entries[i];
		double		weight = estimate_count(sketch, entry, entry->weight,
											scale);

		*km_cell(&sample->table, sample->table.blocks, (int) i,
				 sample->table.weight_slot) = weight;
		sample->hash[i] = entry->hash;
		sample->norm[i] = entry->norm;
		sample->copies[i] = (int64_t)
			estimate_count(sketch, entry, entry->copies, copies_scale);
		sample->weight += weight;
		sample->squares += weight * entry->norm;
		if (!km_poll(poll, ENTRY_WORK))
			return KM_CANCELLED;
	}
	return KM_OK;
}

KmStatus
km_sample_finish(KmJob *job, KmSample *sample)
{
	KmSampling *s = job->state;
	KmStatus	status;

	memset(sample, 0, sizeof(*sample));
	status = finish_sketch(&s->sketch, job->poll);
	if (status == KM_OK)
		status = make_table(&s->sketch, job->poll, job->table, sample);
	if (status != KM_OK)
		km_sample_clear(job->host, sample);
	return status;
}

KmStatus
km_sample_create(KmSource *source, const KmSpace *space, KmPoll *poll,
				 int64_t want, double spread, KmSample *sample)
{
	KmSampleInput input = {want, spread, 0};
	KmJob		job = {
		.step = &km_step_sample,
		.host = space->host,
		.poll = poll,
		.table = source->table,
		.space = space,
		.input = &input,
		.input_size = sizeof(input)
	};
	KmStatus	status = km_pass(source, &job);

	if (status == KM_OK)
		status = km_sample_finish(&job, sample);
	close_sample(&job);
	return status;
}

void
km_sample_clear(const KmHost *host, KmSample *sample)
{
	/* never created: the table has no host */
	if (sample->table.host != NULL)
		km_table_clear(&sample->table);
	if (sample->shared != 0)
		host->crew->unshare(host->crew->arg, sample->shared);
	sample->shared = 0;
	km_free(host, sample->hash);
	km_free(host, sample->norm);
	km_free(host, sample->copies);
	sample->hash = NULL;
	sample->norm = NULL;
	sample->copies = NULL;
}

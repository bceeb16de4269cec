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

#include "sketch.h"

/* weights of a true sample are multiples of 2^-WEIGHT_BITS */
#define WEIGHT_BITS		10

/* Keep exactly the want smallest, in canonical order. */
static KmStatus
finish_sketch(KmSketch *sketch)
{
	KM_TRY(km_sketch_sort(sketch));
	if (sketch->n > sketch->want)
	{
		/* the first one left out: the estimator's threshold */
		sketch->threshold = sketch->entries[sketch->want].key;
		sketch->complete = false;
		sketch->n = sketch->want;
	}
	return km_sketch_pack(sketch);
}

static KmStatus
fill_sketch(KmSketch *sketch, const KmTable *table, double spread)
{
	KmPoll		poll = {table->host, 0};
	double		half = spread > 0 ? 0.5 / spread : 0;

	for (int b = 0; b < table->nblocks; b++)
	{
		const KmBlock *block = &table->blocks[b];
		int			ntiles = km_block_tiles(block);

		for (int t = 0; t < ntiles; t++)
		{
			const double *tile = km_tile(table, block, t);
			int			n = km_tile_rows(block, t);
			uint64_t	hash[KM_LANES];
			double		norm[KM_LANES];

			km_hash_tile(sketch->space, tile, hash, norm);
			for (int l = 0; l < n; l++)
			{
				double		p = half > 0 ? 0.5 + half * norm[l] : 1;
				double		key = km_uniform(hash[l]) / p;

				if (key > sketch->threshold)
					continue;
				KM_TRY(km_sketch_offer(sketch, &poll, tile + l, hash[l], key,
									   p, norm[l],
									   km_row_weight(table, tile + l)));
			}
		}
		if (!km_poll(&poll, (double) block->nrows * (table->nfeatures + 4)))
			return KM_CANCELLED;
	}
	return finish_sketch(sketch);
}

/* The sketch's entries, in their canonical order, as a table. */
static KmStatus
make_table(const KmSketch *sketch, const KmTable *table, KmSample *sample)
{
	const KmHost *host = table->host;
	double		largest = 0;
	double		scale = 1;

	KM_TRY(km_sketch_table(sketch, table, &sample->table));
	sample->hash = km_alloc(host, (size_t) sketch->n, sizeof(uint64_t));
	sample->norm = km_alloc(host, (size_t) sketch->n, sizeof(double));
	if (sample->hash == NULL || sample->norm == NULL)
		return KM_NO_MEMORY;
	sample->complete = sketch->complete;
	sample->distinct = sketch->n;

	/* weights become integers; 2^52 at most, so that doubles hold them */
	for (int64_t i = 0; i < sketch->n; i++)
		largest = fmax(largest, (double) sketch->entries[i].weight);
	if (!sketch->complete)
		scale = ldexp(1, WEIGHT_BITS);
	while (largest * scale > (sketch->complete ? 0x1p52 : 0x1p42))
		scale *= 0.5;
	for (int64_t i = 0; i < sketch->n; i++)
	{
		const KmEntry *entry = &sketch->entries[i];
		double		chance = sketch->complete ? 1 :
			entry->p * sketch->threshold;
		double		weight = (double) entry->weight * scale;

		weight = rint(chance < 1 ? weight / chance : weight);
		if (weight < 1)
			weight = 1;
		*km_cell(&sample->table, sample->table.blocks, (int) i,
				 sample->table.weight_slot) = weight;
		sample->hash[i] = entry->hash;
		sample->norm[i] = entry->norm;
		sample->weight += weight;
		sample->squares += weight * entry->norm;
	}
	return KM_OK;
}

/*
 * want: most rows of the sample.  spread: mean squared distance of the rows
 * from their mean, 0 when unknown.
 */
KmStatus
km_sample_create(const KmTable *table, const KmSpace *space, int64_t want,
				 double spread, KmSample *sample)
{
	KmSketch	sketch;
	KmStatus	status;

	memset(sample, 0, sizeof(*sample));
	status = km_sketch_create(&sketch, space, want);
	if (status == KM_OK)
		status = fill_sketch(&sketch, table, spread);
	if (status == KM_OK)
		status = make_table(&sketch, table, sample);
	km_sketch_free(&sketch);
	if (status != KM_OK)
		km_sample_clear(table->host, sample);
	return status;
}

void
km_sample_clear(const KmHost *host, KmSample *sample)
{
	/* never created: the table has no host */
	if (sample->table.host != NULL)
		km_table_clear(&sample->table);
	km_free(host, sample->hash);
	km_free(host, sample->norm);
	sample->hash = NULL;
	sample->norm = NULL;
}

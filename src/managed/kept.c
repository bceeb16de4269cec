/*
 * kept.c
 *		The customers of a pass, kept for a fit and for a second pass by the
 *		model that it makes: a night that is sure to fit reads them once.
 *
 * The rows to fit go to the core; beside them stands what a pass must know of
 * each customer, in the same order.  Of customers that are not in the fit
 * (they lack a value, or left the query) nothing else is needed, since no
 * model gives them a segment.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "../pg/errors.h"
#include "run.h"

/* customers of a block: a block is about a quarter of a megabyte */
#define BLOCK_CUSTOMERS	8192

typedef struct Customer
{
	uint64		hash;
	int			segment;
	bool		in_query;
	bool		in_target;
	bool		is_fitted;
} Customer;

struct KsegKept
{
	/* set once */
	MemoryContext context;
	const KsegSegmentation *s;
	KsegOptions *options;
	bool		is_array;		/* one float8[] holds the features */
	int		   *columns;		/* of the query that are fitted */
	bool		takes_values;	/* as they were read for the model in use */
	KsegIngest *ingest;
	bool	   *by_value;		/* of the key's types */
	int16	   *lengths;
	Size		limit;

	/* changes while customers come */
	bool		is_complete;
	int64		count;
	int			nblocks;
	Customer  **customers;		/* blocks of them */
	Datum	  **keys;			/* nkeys for each */
};

KsegKept *
kseg_kept_create(const KsegSegmentation *s, KsegOptions *options)
{
	KsegKept   *kept = palloc0(sizeof(KsegKept));

	kept->context = AllocSetContextCreate(CurrentMemoryContext,
										  "kseg kept customers",
										  ALLOCSET_DEFAULT_SIZES);
	kept->s = s;
	kept->options = options;
	kept->limit = (Size) kseg_work_mem * 1024;
	kept->is_complete = true;
	return kept;
}

/* Are the columns to fit the features of the model in use, in their order? */
static bool
same_features(const KmModel *model, const char *const *names, int n)
{
	bool		same = model->nfeatures == n;

	for (int f = 0; f < n && same; f++)
		same = strcmp(model->features[f].name, names[f]) == 0;
	return same;
}

static void
start_ingest(KsegKept *kept, const KsegQuery *query)
{
	const char *const *keys = (const char *const *) kept->s->keys;
	int			nkeys = kept->s->nkeys;
	const char **names = palloc(sizeof(char *) * query->ncolumns);
	Oid		   *types = palloc(sizeof(Oid) * query->ncolumns);
	int			n = 0;

	kept->is_array = kseg_query_array(query, keys, nkeys) >= 0;
	kept->columns = palloc(sizeof(int) * query->ncolumns);
	for (int i = 0; i < query->ncolumns; i++)
	{
		if (kseg_find_word(query->names[i], keys, nkeys) >= 0)
			continue;
		names[n] = query->names[i];
		types[n] = query->types[i];
		kept->columns[n++] = i;
	}
	if (kept->is_array)
		kept->ingest = kseg_ingest_create_array(kept->context, kept->options);
	else
		kept->ingest = kseg_ingest_create(kept->context, kept->options, n,
										  names, types);
	kept->takes_values = !kept->is_array &&
		kseg_ingest_takes_values(kept->ingest) &&
		same_features(kept->options->previous, names, n);
}

void
kseg_kept_start(KsegKept *kept, const KsegQuery *query, const Oid *key_types)
{
	MemoryContext caller = MemoryContextSwitchTo(kept->context);
	int			nkeys = kept->s->nkeys;

	kept->by_value = palloc(sizeof(bool) * nkeys);
	kept->lengths = palloc(sizeof(int16) * nkeys);
	for (int i = 0; i < nkeys; i++)
		get_typlenbyval(key_types[i], &kept->lengths[i], &kept->by_value[i]);
	start_ingest(kept, query);
	MemoryContextSwitchTo(caller);
}

/* ---- customers ---- */

static bool
add_row(KsegKept *kept, const KsegMember *member, const double *features)
{
	int			column = kept->columns[0];

	if (kept->takes_values)
		return kseg_ingest_add_values(kept->ingest, features);
	if (!kept->is_array)
		return kseg_ingest_add_slot(kept->ingest, member->values,
									member->nulls, kept->columns);
	if (!member->nulls[column])
		return kseg_ingest_add_array(kept->ingest, member->values[column]);
	kseg_ingest_skip(kept->ingest);
	return false;
}

static void
add_block(KsegKept *kept)
{
	int			n = kept->nblocks++;

	kept->customers = n == 0 ? palloc(sizeof(Customer *)) :
		repalloc(kept->customers, sizeof(Customer *) * kept->nblocks);
	kept->keys = n == 0 ? palloc(sizeof(Datum *)) :
		repalloc(kept->keys, sizeof(Datum *) * kept->nblocks);
	kept->customers[n] = palloc(sizeof(Customer) * BLOCK_CUSTOMERS);
	kept->keys[n] = palloc(sizeof(Datum) * BLOCK_CUSTOMERS * kept->s->nkeys);
}

static void
keep(KsegKept *kept, const KsegMember *member, bool is_fitted)
{
	MemoryContext caller = MemoryContextSwitchTo(kept->context);
	int			nkeys = kept->s->nkeys;
	int			at = (int) (kept->count % BLOCK_CUSTOMERS);
	Customer   *customer;

	if (at == 0)
		add_block(kept);
	customer = &kept->customers[kept->nblocks - 1][at];
	customer->hash = member->hash;
	customer->segment = member->segment;
	customer->in_query = member->in_query;
	customer->in_target = member->in_target;
	customer->is_fitted = is_fitted;
	for (int i = 0; i < nkeys; i++)
		kept->keys[kept->nblocks - 1][(Size) at * nkeys + i] =
			member->key == NULL ? (Datum) 0 :
			datumCopy(member->key[i], kept->by_value[i], kept->lengths[i]);
	kept->count++;
	MemoryContextSwitchTo(caller);

	/* what does not fit is read again instead */
	if (at == 0 && MemoryContextMemAllocated(kept->context, false) >
		kept->limit)
		kept->is_complete = false;
}

void
kseg_kept_add(KsegKept *kept, const KsegMember *member,
			  const double *features, bool has_segment)
{
	bool		is_fitted = member->in_query &&
	add_row(kept, member, features);

	/* a row that weighs nothing has a segment and is not in the fit */
	if (is_fitted != has_segment)
		kept->is_complete = false;
	if (kept->is_complete)
		keep(kept, member, is_fitted);
}

KsegIngest *
kseg_kept_ingest(KsegKept *kept)
{
	return kept->ingest;
}

bool
kseg_kept_complete(const KsegKept *kept)
{
	return kept->is_complete;
}

bool
kseg_kept_get(const KsegKept *kept, int64 i, KsegMember *member,
			  bool *is_fitted)
{
	int			block = (int) (i / BLOCK_CUSTOMERS);
	int			at = (int) (i % BLOCK_CUSTOMERS);
	const Customer *customer;

	if (i >= kept->count)
		return false;
	customer = &kept->customers[block][at];
	member->key = &kept->keys[block][(Size) at * kept->s->nkeys];
	member->hash = customer->hash;
	member->segment = customer->segment;
	member->in_query = customer->in_query;
	member->in_target = customer->in_target;
	member->values = NULL;
	member->nulls = NULL;
	*is_fitted = customer->is_fitted;
	return true;
}

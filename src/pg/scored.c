/*
 * scored.c
 *		A query whose rows a model scores.
 *
 * The model's features are columns of the query by name, wherever they stand;
 * or one float8[] holds them all, in the model's order.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "errors.h"
#include "kseg.h"
#include "progress.h"

typedef struct ScoredQuery
{
	/* set once */
	const KmModel *model;
	const char *key_name;		/* NULL: rows have no key */
	MemoryContext context;
	void		(*start) (void *arg, const KsegQuery *query,
						  const int *positions);
	void		(*row) (void *arg, const KsegScoredRow *row);
	void	   *arg;

	/* known from the query's columns on */
	KsegScorer *scorer;
	int			nfeatures;		/* 1 in the array form */
	int		   *positions;		/* of the features' columns */
	NullableDatum *features;
} ScoredQuery;

static void
find_features(ScoredQuery *scored, const KsegQuery *query, Oid *types)
{
	const KmModel *model = scored->model;

	for (int f = 0; f < model->nfeatures; f++)
	{
		int			column = kseg_query_column(query,
											   model->features[f].name);

		if (column < 0)
			kseg_error_query_column("a feature of the model",
									model->features[f].name,
									query->ncolumns, query->names);
		scored->positions[f] = column;
		types[f] = query->types[column];
	}
}

int *
kseg_scored_columns(const KmModel *model, const KsegQuery *query)
{
	ScoredQuery scored = {0};
	Oid		   *types;

	if (kseg_query_array(query, NULL, 0) >= 0)
		return NULL;
	types = palloc(sizeof(Oid) * model->nfeatures);
	scored.model = model;
	scored.positions = palloc(sizeof(int) * model->nfeatures);
	find_features(&scored, query, types);
	/* for its errors */
	(void) kseg_scorer_create(model, model->nfeatures, types,
							  CurrentMemoryContext);
	return scored.positions;
}

static void
start_scoring(void *arg, const KsegQuery *query)
{
	ScoredQuery *scored = arg;
	const KmModel *model = scored->model;
	MemoryContext caller = MemoryContextSwitchTo(scored->context);
	Oid		   *types = palloc(sizeof(Oid) * model->nfeatures);
	int			array;

	if (scored->key_name != NULL &&
		kseg_query_column(query, scored->key_name) < 0)
		kseg_error_query_column("the key", scored->key_name, query->ncolumns,
								query->names);
	scored->positions = palloc(sizeof(int) * model->nfeatures);
	array = kseg_query_array(query, &scored->key_name,
							 scored->key_name != NULL);
	if (array >= 0)
	{
		scored->nfeatures = 1;
		scored->positions[0] = array;
		types[0] = FLOAT8ARRAYOID;
	}
	else
	{
		scored->nfeatures = model->nfeatures;
		find_features(scored, query, types);
	}

	scored->features = palloc(sizeof(NullableDatum) * scored->nfeatures);
	scored->scorer = kseg_scorer_create(model, scored->nfeatures, types,
										scored->context);
	MemoryContextSwitchTo(caller);
	kseg_progress_phase(KSEG_PHASE_SCORE);
	scored->start(scored->arg, query,
				  array >= 0 ? NULL : scored->positions);
}

static void
score_row(void *arg, const Datum *values, const bool *nulls)
{
	ScoredQuery *scored = arg;
	KsegScoredRow row;

	for (int f = 0; f < scored->nfeatures; f++)
	{
		scored->features[f].value = values[scored->positions[f]];
		scored->features[f].isnull = nulls[scored->positions[f]];
	}
	row.features = kseg_scorer_read(scored->scorer, scored->features,
									&row.has_segment);
	if (row.has_segment)
		row.has_segment = kseg_scorer_score_read(scored->scorer, &row.score);
	row.values = values;
	row.nulls = nulls;
	scored->row(scored->arg, &row);
}

void
kseg_scored_run(const KmModel *model, const char *query,
				const KsegGuard *guard, const char *key,
				void (*start) (void *arg, const KsegQuery *query,
							   const int *positions),
				void (*row) (void *arg, const KsegScoredRow *row),
				void *arg)
{
	ScoredQuery scored = {0};

	scored.model = model;
	scored.key_name = key;
	scored.context = CurrentMemoryContext;
	scored.start = start;
	scored.row = row;
	scored.arg = arg;
	kseg_query_run(query, guard, start_scoring, score_row, &scored);
}

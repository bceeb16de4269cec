/*
 * pushdown.h
 *		A query whose rows are worked on where they are.
 */
#ifndef KSEG_PUSHDOWN_H
#define KSEG_PUSHDOWN_H

#include "kseg.h"
#include "state.h"

struct Query;

/* A query that passes are run over; all of it in one context. */
typedef struct KsegPushdown KsegPushdown;

/*
 * Look at a query: NULL when its rows are to be read into memory.  With
 * KSEG_ENGINE_PUSHDOWN that is never so.  Raises what kseg_query_run() would
 * raise before the first row.  Everything is in the current context.
 */
extern KsegPushdown *kseg_pushdown_open(const char *text, KsegEngine engine);

/* the columns of the query */
extern const KsegQuery *kseg_pushdown_query(const KsegPushdown *pushdown);
/* elements of the single column, a float8[]; 0: there is no row */
extern int	kseg_pushdown_length(KsegPushdown *pushdown);

/*
 * Columns that take part, by their numbers in the query, and what they are:
 * features in the order of the columns, and which weighs the rows (a number
 * among those taking part, or -1).  is_array: elements of a float8[] instead.
 * columns and features have to live as long.
 */
extern void kseg_pushdown_columns(KsegPushdown *pushdown, bool is_array,
								  int ncolumns, const int *columns,
								  int nfeatures, KmFeature *features,
								  int weight_column,
								  const KmOptions *options);

/*
 * The same for rows that a model places, by the column of each of its
 * features; there is one column when they are an array.
 */
extern void kseg_pushdown_model(KsegPushdown *pushdown, bool is_array,
								const int *columns, const KmModel *model);

/* The first pass; the result is in the pushdown's context. */
extern const KsegSurvey *kseg_pushdown_survey(KsegPushdown *pushdown);
/*
 * After it: for km_fit_begin_remote() and km_placed_create_remote().  team:
 * those who help with the rest; they rest while a query runs.
 */
struct KsegTeam;
extern KmRemote *kseg_pushdown_remote(KsegPushdown *pushdown,
									  struct KsegTeam *team);

/*
 * Does Citus know one of these tables; is_sharded: and has spread it over its
 * nodes?
 */
extern bool kseg_is_distributed(List *relations, bool is_sharded);

/* ---- a fit (ingest.c) ---- */

extern KsegIngest *kseg_ingest_pushdown(MemoryContext parent,
										KsegOptions *options,
										KsegPushdown *pushdown);

/* ---- partitions on other servers (foreign.c) ---- */

/*
 * Queries that return, together, the rows of this one: one for each partition
 * of the single table that it reads, some of which are foreign.  NIL when it
 * is no such query.  *is_shippable: their servers know kseg.
 */
extern List *kseg_split_query(const struct Query *query, bool *is_shippable);

#endif							/* KSEG_PUSHDOWN_H */

/*
 * create.h
 *		What the parts of kseg_create() and kseg_alter() share.
 *
 *		target.c		the target, made or checked
 *		survey.c		the query's rows, read once for what a run would refuse
 */
#ifndef CREATE_H
#define CREATE_H

#include "utils/relcache.h"

#include "managed.h"

/* How the key's columns of the query are compared with the target's. */
typedef struct KsegKeyColumns
{
	const char *target;			/* qualified and quoted */
	int			n;
	const char **names;			/* quoted */
	Oid		   *types;			/* domains looked through */
	Oid		   *collations;
	Oid		   *equals;			/* operators of the target's unique index, by
								 * name right for these types, too */
} KsegKeyColumns;

/*
 * Make the table of a segmentation without a target: the key's columns, as
 * the query has them, and the segment.  As the current user, in his schema.
 */
extern Oid	kseg_target_make(const KsegSegmentation *s,
							 const KsegResolved *resolved);
/* Add the segment's column to s->target unless it is there. */
extern void kseg_target_extend(const KsegSegmentation *s);
/*
 * Check that s->owner can write segments to s->target, and lock it as that
 * will.
 */
extern void kseg_target_check(const KsegSegmentation *s,
							  const KsegResolved *resolved,
							  KsegKeyColumns *keys);
/*
 * Its parts that can be another's business: whether it is a table whose rows
 * are all in reach of its indexes; and whether one of these keeps the key
 * unique, which is in these columns.  equals: its operators.
 */
extern void kseg_target_check_kind(Oid relation);
extern void kseg_target_check_index(Relation target,
									const KsegSegmentation *s,
									const AttrNumber *columns, Oid *equals);
/* public.customers.segment, each quoted when it has to be */
extern char *kseg_target_place(const KsegSegmentation *s);

typedef struct KsegSurvey
{
	int64		rows;
	int64		unassigned;		/* that lack a value */
	const char *features;		/* age, income */
} KsegSurvey;

/*
 * Run the query as the owner, as a run will, and raise for all that a run
 * would refuse: of features, of options, of keys.  A NOTICE when keys are not
 * in the target.
 */
extern void kseg_survey(const KsegSegmentation *s,
						const KsegResolved *resolved, KsegOptions *options,
						const KsegKeyColumns *keys, KsegSurvey *survey);

#endif							/* CREATE_H */

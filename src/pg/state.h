/*
 * state.h
 *		Passes over rows as SQL aggregates: kseg_accum(kseg_point(pass, ...)).
 *
 * A kseg_pass says what a pass does, a kseg_point is a row on its way into
 * one, and a kseg_state is what was computed from some of the rows.
 */
#ifndef KSEG_STATE_H
#define KSEG_STATE_H

#include "kseg.h"

/* ---- passes (passes.c) ---- */

/* A pass that was opened; everything is in one context. */
typedef struct KsegPass
{
	uint64		id;				/* of its bytes, on every machine the same */
	KmPass	   *pass;
} KsegPass;

/* Has it no step of the core's? */
static inline bool
kseg_pass_is_survey(const KsegPass *pass)
{
	return pass->pass->step == 0;
}

/* as a value, palloc'd */
extern struct varlena *kseg_pass_make(const KmPass *pass);
extern uint64 kseg_pass_id(const struct varlena *value);
/* Open the pass in the current context. */
extern KsegPass *kseg_pass_open(const struct varlena *value);

/*
 * States do not hold the pass they belong to: it is found by its id among
 * those that this transaction has met.
 */
extern void kseg_pass_remember(const struct varlena *value);
/* opened in the current context, or NULL */
extern KsegPass *kseg_pass_recall(uint64 id);

/* ---- rows (point.c) ---- */

/*
 * A row: one value a feature, NAN when it is missing, a category's position.
 * In a survey the texts of the categories follow: a length and the bytes for
 * each categorical feature in turn, -1 and nothing when it is missing.
 */
typedef struct KsegPoint
{
	int32		vl_len_;		/* varlena header */
	int32		is_skipped;		/* has no segment: a survey counts it */
	uint64		pass;
	double		weight;
	double		values[FLEXIBLE_ARRAY_MEMBER];
} KsegPoint;

/* ---- what rows there are (survey.c) ---- */

typedef struct KsegSurvey
{
	/* set once */
	MemoryContext context;
	int			nfeatures;
	const KmFeature *features;	/* names and kinds */
	bool		has_texts;		/* categories are not known yet */
	/* changes while rows come */
	int64		rows;
	int64		skipped;
	int64		unseen;			/* rows with a category that is not known */
	int64	   *missing;		/* of each feature: nulls in skipped rows */
	int64	   *present;		/* of each feature: values in the others */
	KsegDictionary **dictionaries;	/* NULL: no value yet, or no category */
} KsegSurvey;

extern KsegSurvey *kseg_survey_create(MemoryContext context, int nfeatures,
									  const KmFeature *features,
									  bool has_texts);
extern void kseg_survey_add(KsegSurvey *survey, const KsegPoint *point);
extern Size kseg_survey_size(const KsegSurvey *survey);
extern void kseg_survey_write(const KsegSurvey *survey, char *bytes);
/* false: these are not the bytes of such a survey; it is of no use then */
extern bool kseg_survey_merge(KsegSurvey *survey, const char *bytes,
							  Size size);

/* ---- states (state.c) ---- */

typedef struct KsegState KsegState;

/* Are these the bytes of a state?  What parts hold is looked at when they are
 * merged. */
extern bool kseg_state_check(const char *bytes, Size size);

extern KsegState *kseg_state_create(MemoryContext parent, uint64 pass);
/* Raises unless it is of the same pass. */
extern void kseg_state_merge(KsegState *state, Datum value);
/* NULL: it is none of a survey, or the other way round */
extern KsegSurvey *kseg_state_survey(const KsegState *state);
extern KmPart *kseg_state_part(const KsegState *state);

#endif							/* KSEG_STATE_H */

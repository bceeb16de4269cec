/*
 * rule_text.h
 *		Rules as SQL conditions.
 */
#ifndef KSEG_RULE_TEXT_H
#define KSEG_RULE_TEXT_H

#include "postgres.h"

#include "lib/stringinfo.h"

#include "cut.h"
#include "kseg.h"

/* A feature as SQL sees it: a column of the query. */
typedef struct KsegRuleColumn
{
	/* set once */
	const char *text;			/* quoted where that is needed */
	Oid			type;			/* base type */
	KmKind		kind;
	KsegCutKind cut;
	bool		needs_collation;	/* its own = is not that of bytes */
	bool		needs_text;		/* there is no = for it and a literal */

	/* known when all rows are read */
	bool		has_long;		/* numeric: with more than 15 digits */
	bool		is_fine;		/* two values at a cut may be one double */
	bool		is_beyond;		/* a value is too small for a double: no rule
								 * can speak of the column */
} KsegRuleColumn;

/* text is copied; type may be a domain */
extern void kseg_rule_column_init(KsegRuleColumn *column, const char *text,
								  Oid type, Oid collation);

/*
 * Look at a value, not null, and the double it was read as, so that the text
 * of a rule will mean the same as the comparison of doubles.
 */
extern void kseg_rule_column_see(KsegRuleColumn *column, Datum value,
								 double x);

/* Can a condition name the category?  Not if it is a long text. */
extern bool kseg_rule_can_name(const char *category);

/*
 * The rule as the text of a condition; columns: one for each feature of the
 * model.
 */
extern char *kseg_rule_print(const KmRule *rule, const KmModel *model,
							 const KsegRuleColumn *columns);

#endif							/* KSEG_RULE_TEXT_H */

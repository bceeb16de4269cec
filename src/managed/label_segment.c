/*
 * label_segment.c
 *		kseg_label(): names that people give to segments, and what becomes of
 *		them when a new model is published.
 *
 * A label belongs to the id of a segment, so it stays through refits.  What
 * it says was true where the segment was then; when the segment has gone far
 * from there, somebody should look at it again.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "../pg/errors.h"
#include "managed.h"
#include "messages.h"

PG_FUNCTION_INFO_V1(kseg_label);

/* A label is shown in legends and beside bars; a sentence is a note. */
#define LABEL_LENGTH	200

/*
 * A segment that went farther than this share of its radius, the root mean
 * square distance of its rows from the centroid, may be something else now.
 * Drawing other customers from the same group moves the centroid by
 * 1 / sqrt(rows) of it.
 */
#define REVIEW_SHARE	0.5

/* What the text of a review can say; beyond that, how far is no matter. */
#define REVIEW_MOST		1000

/* ---- kseg_label() ---- */

/* Without blanks around it, which nobody sees. */
static char *
check_label(const char *text)
{
	char	   *label;
	int			length;

	while (*text == ' ')
		text++;
	label = pstrdup(text);
	for (length = strlen(label); length > 0 && label[length - 1] == ' ';)
		label[--length] = '\0';
	if (length == 0)
		kseg_error_label_empty();
	for (int i = 0; i < length; i++)
	{
		if ((unsigned char) label[i] < ' ' || label[i] == 0x7f)
			kseg_error_label_lines();
	}
	length = pg_mbstrlen(label);
	if (length > LABEL_LENGTH)
		kseg_error_label_long(length, LABEL_LENGTH);
	return label;
}

static char *
list_ids(const KmModel *model)
{
	StringInfoData ids;

	initStringInfo(&ids);
	for (int i = 0; i < model->k; i++)
	{
		/* of thousands, the first tell enough */
		if (i == 50 && model->k > i + 1)
		{
			appendStringInfo(&ids, ", ..., %d",
							 kseg_segment_id(model, model->k - 1));
			break;
		}
		appendStringInfo(&ids, "%s%d", i > 0 ? ", " : "",
						 kseg_segment_id(model, i));
	}
	return ids.data;
}

/* Nobody should have to tell two segments apart that are called the same. */
static void
check_unique(const KsegSegmentation *s, const KmModel *model, int segment,
			 const char *label)
{
	Oid			types[] = {INT4OID, INT4OID, TEXTOID};
	Datum		values[3];
	bool		is_null;
	int			other;

	values[0] = Int32GetDatum(s->id);
	values[1] = Int32GetDatum(segment);
	values[2] = CStringGetTextDatum(label);
	kseg_registry_execute("SELECT segment FROM %s.kseg_labels"
						  " WHERE segmentation = $1 AND segment <> $2"
						  " AND lower(label) = lower($3)"
						  " ORDER BY segment LIMIT 1",
						  lengthof(types), types, values, NULL);
	if (SPI_processed == 0)
		return;
	other = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0],
										SPI_tuptable->tupdesc, 1, &is_null));
	kseg_error_label_taken(s->name, label, other,
						   kseg_find_segment(model, other) < 0);
}

static void
write_label(const KsegSegmentation *s, int segment, const char *label,
			Datum note, bool no_note)
{
	Oid			types[] = {INT4OID, INT4OID, TEXTOID, TEXTOID, INT4OID,
	NAMEOID};
	Datum		values[6];
	char		nulls[] = "      ";

	values[0] = Int32GetDatum(s->id);
	values[1] = Int32GetDatum(segment);
	values[2] = CStringGetTextDatum(label);
	values[3] = note;
	nulls[3] = no_note ? 'n' : ' ';
	values[4] = Int32GetDatum(s->version);
	values[5] = kseg_name_datum(GetUserNameFromId(GetUserId(), false));
	kseg_registry_execute("INSERT INTO %s.kseg_labels (segmentation, segment,"
						  " label, note, version, labelled, labelled_by)"
						  " VALUES ($1, $2, $3, $4, $5, now(), $6)"
						  " ON CONFLICT (segmentation, segment) DO UPDATE"
						  " SET (label, note, version, labelled, labelled_by,"
						  " review) = ROW (EXCLUDED.label, EXCLUDED.note,"
						  " EXCLUDED.version, EXCLUDED.labelled,"
						  " EXCLUDED.labelled_by, NULL)",
						  lengthof(types), types, values, nulls);
}

/* How many there were: one or none. */
static uint64
delete_label(const KsegSegmentation *s, int segment)
{
	Oid			types[] = {INT4OID, INT4OID};
	Datum		values[2];

	values[0] = Int32GetDatum(s->id);
	values[1] = Int32GetDatum(segment);
	kseg_registry_execute("DELETE FROM %s.kseg_labels"
						  " WHERE segmentation = $1 AND segment = $2",
						  lengthof(types), types, values, NULL);
	return SPI_processed;
}

Datum
kseg_label(PG_FUNCTION_ARGS)
{
	char	   *label = NULL;
	int			segment;
	uint64		deleted = 0;
	KsegSegmentation *s;
	KmModel    *model;

	if (PG_ARGISNULL(0))
		kseg_error_null_argument("name");
	if (PG_ARGISNULL(1))
		kseg_error_null_argument("segment");
	segment = PG_GETARG_INT32(1);
	if (!PG_ARGISNULL(2))
		label = check_label(text_to_cstring(PG_GETARG_TEXT_PP(2)));

	kseg_registry_start(fcinfo);
	kseg_start_writing("kseg_label");
	/* a run that waits to publish must not retire the segment meanwhile */
	s = kseg_registry_find(text_to_cstring(PG_GETARG_TEXT_PP(0)), KSEG_EDIT,
						   KSEG_WAIT, NULL);
	if (s->version == 0)
		kseg_error_no_model(s->name);
	model = kseg_registry_model(s, s->version, NULL);

	SPI_connect();
	if (label == NULL)
		deleted = delete_label(s, segment);
	/* the label of a segment that has ended can be taken away */
	if (deleted == 0 && kseg_find_segment(model, segment) < 0)
		kseg_error_segment_unknown(s->name, segment, list_ids(model));
	if (label != NULL)
	{
		check_unique(s, model, segment, label);
		write_label(s, segment, label, PG_GETARG_DATUM(3), PG_ARGISNULL(3));
	}
	SPI_finish();
	PG_RETURN_VOID();
}

/* ---- after a model was published ---- */

/* What segments are called as long as nobody labels them. */
static void
write_names(const KsegSegmentation *s, const KmModel *model)
{
	Oid			types[] = {INT4OID, INT4ARRAYOID, TEXTARRAYOID};
	int		   *ids = palloc(sizeof(int) * model->k);
	Datum		values[3];

	for (int i = 0; i < model->k; i++)
		ids[i] = kseg_segment_id(model, i);
	values[0] = Int32GetDatum(s->id);
	values[1] = kseg_int_array(ids, model->k);
	values[2] = kseg_text_array(kseg_labels(model), model->k);
	kseg_registry_execute("INSERT INTO %s.kseg_names AS n"
						  " (segmentation, segment, name)"
						  " SELECT $1, m.id, m.name"
						  " FROM unnest($2, $3) AS m (id, name)"
						  " ON CONFLICT (segmentation, segment) DO UPDATE"
						  " SET name = EXCLUDED.name"
						  " WHERE n.name <> EXCLUDED.name",
						  lengthof(types), types, values, NULL);
}

/* Why a label needs to be looked at; NULL: it does not. */
static char *
find_review(const KmModel *old, const KmShift *shift)
{
	const char *feature;

	if (shift->segment < 0)
		return pstrdup("the segment ended");
	if (!(shift->distance > REVIEW_SHARE * shift->spread))
		return NULL;
	/* a distance that is more than 0 has a feature */
	feature = old->features[shift->feature].name;
	if (shift->distance > REVIEW_MOST * shift->spread)
		return psprintf("the centroid has moved far beyond the segment's radius since the label was given (mostly %s)",
						feature);
	return psprintf("the centroid has moved by %.1f times the segment's radius since the label was given (mostly %s)",
					shift->distance / shift->spread, feature);
}

typedef struct Given
{
	int			segment;
	int			version;		/* in use when the label was given */
} Given;

/* Of all labels, by version. */
static Given *
find_given(const KsegSegmentation *s, int *n)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(s->id)};
	Given	   *given;

	kseg_registry_execute("SELECT segment, version FROM %s.kseg_labels"
						  " WHERE segmentation = $1"
						  " ORDER BY version, segment",
						  lengthof(types), types, values, NULL);
	*n = (int) SPI_processed;
	given = palloc(sizeof(Given) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		is_null;

		given[i].segment = DatumGetInt32(SPI_getbinval(tuple, desc, 1,
													   &is_null));
		given[i].version = DatumGetInt32(SPI_getbinval(tuple, desc, 2,
													   &is_null));
	}
	return given;
}

static void
write_review(const KsegSegmentation *s, int segment, const char *review)
{
	Oid			types[] = {INT4OID, INT4OID, TEXTOID};
	Datum		values[3];

	values[0] = Int32GetDatum(s->id);
	values[1] = Int32GetDatum(segment);
	values[2] = review == NULL ? (Datum) 0 : CStringGetTextDatum(review);
	kseg_registry_execute("UPDATE %s.kseg_labels SET review = $3"
						  " WHERE segmentation = $1 AND segment = $2"
						  " AND review IS DISTINCT FROM $3",
						  lengthof(types), types, values,
						  review == NULL ? "  n" : NULL);
}

/* Labels that were given when the same version was in use. */
static int
review_version(const KsegSegmentation *s, const KmModel *model,
			   const Given *given, int n)
{
	KmModel    *old = kseg_registry_model(s, given->version, NULL);
	KmShift    *shifts = palloc(sizeof(KmShift) * old->k);
	KmStatus	status = km_shifts(kseg_host(CurrentMemoryContext), model, old,
								   shifts);
	int			count = 0;

	if (status != KM_NOTHING_SHARED)
		kseg_check(status);
	for (int i = 0; i < n; i++)
	{
		int			segment = kseg_find_segment(old, given[i].segment);
		char	   *review;

		if (status == KM_NOTHING_SHARED)
			review = pstrdup("the model has none of the features any more that it had when the label was given");
		else if (segment < 0)
			review = pstrdup("the segment ended");
		else
			review = find_review(old, &shifts[segment]);
		write_review(s, given[i].segment, review);
		count += review != NULL;
	}
	return count;
}

int
kseg_labels_review(const KsegSegmentation *s, const KmModel *model)
{
	Given	   *given;
	int			ngiven;
	int			count = 0;

	SPI_connect();
	write_names(s, model);
	given = find_given(s, &ngiven);
	for (int i = 0, next; i < ngiven; i = next)
	{
		for (next = i + 1; next < ngiven &&
			 given[next].version == given[i].version;)
			next++;
		count += review_version(s, model, &given[i], next - i);
	}
	SPI_finish();
	return count;
}

/*
 * history.c
 *		Who was in which segment, and when: kseg_history after a run.
 *
 * A period ends where the next one begins, at the time of the run.  History
 * that agreed with the target before the run needs only the run's changes;
 * any other is compared with the target, customer by customer.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "run.h"

/* ---- what moved ---- */

/* Rows of (from, to, customers) that the last statement returned. */
static void
read_moves(KsegRun *run, MemoryContext context)
{
	int			n = (int) SPI_processed;

	run->nmoves = n;
	run->moves = MemoryContextAllocHuge(context,
										sizeof(KsegMove) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		KsegMove   *move = &run->moves[i];
		bool		is_null;
		Datum		value;

		value = SPI_getbinval(tuple, desc, 1, &is_null);
		move->from = is_null ? 0 : DatumGetInt32(value);
		value = SPI_getbinval(tuple, desc, 2, &is_null);
		move->to = is_null ? 0 : DatumGetInt32(value);
		move->customers = DatumGetInt64(SPI_getbinval(tuple, desc, 3,
													  &is_null));
		if (move->from == 0)
			run->new += move->customers;
		else if (move->to == 0)
			run->gone += move->customers;
		else
			run->changed += move->customers;
	}
}

/* ---- history that agrees with the target ---- */

/*
 * Changes find their rows by the primary key, one after the other; LATERAL
 * leaves no other way.  A history without statistics looks as if two of its
 * rows had no end, which are then compared with all changes: half a million
 * rows, a thousand times.
 */
static void
close_few(const Oid *types, const Datum *values)
{
	kseg_join_by_index();
	kseg_registry_execute("UPDATE %s.kseg_history AS t SET valid_to = $2"
						  " FROM (SELECT key FROM kseg_changes"
						  "  WHERE old IS NOT NULL ORDER BY key OFFSET 0)"
						  "  AS c"
						  " CROSS JOIN LATERAL"
						  "  (SELECT h.ctid AS place"
						  "   FROM %s.kseg_history AS h"
						  "   WHERE h.segmentation = $1 AND h.key = c.key"
						  "    AND h.valid_to IS NULL OFFSET 0) AS h"
						  " WHERE t.ctid = h.place",
						  2, types, values, NULL);
}

/* For many, most of the history would be read anyway. */
static void
close_many(const Oid *types, const Datum *values)
{
	kseg_set_for_now("enable_nestloop", "off");
	kseg_registry_execute("UPDATE %s.kseg_history AS t SET valid_to = $2"
						  " FROM kseg_changes AS c"
						  " WHERE t.segmentation = $1 AND t.key = c.key"
						  "  AND t.valid_to IS NULL AND c.old IS NOT NULL",
						  2, types, values, NULL);
}

void
kseg_history_follow(const KsegPass *pass, KsegRun *run,
					MemoryContext context)
{
	Oid			types[] = {INT4OID, TIMESTAMPTZOID};
	Datum		values[2];
	int			guc_level = NewGUCNestLevel();

	values[0] = Int32GetDatum(pass->s->id);
	values[1] = TimestampTzGetDatum(run->started);
	if (pass->nchanges < pass->s->members / 8)
		close_few(types, values);
	else
		close_many(types, values);
	kseg_registry_execute("INSERT INTO %s.kseg_history"
						  " (segmentation, key, segment, previous, valid_from)"
						  " SELECT $1, key, new, old, $2 FROM kseg_changes"
						  " WHERE new IS NOT NULL ORDER BY key",
						  lengthof(types), types, values, NULL);
	AtEOXact_GUC(true, guc_level);
	kseg_registry_execute("SELECT old, new, pg_catalog.count(*)"
						  " FROM kseg_changes GROUP BY old, new"
						  " ORDER BY old, new", 0, NULL, NULL, NULL);
	read_moves(run, context);
}

/* ---- history that does not ---- */

Tuplestorestate *
kseg_history_members(const KsegPass *pass)
{
	TupleDesc	desc = CreateTemplateTupleDesc(2);
	Tuplestorestate *rows = tuplestore_begin_heap(false, false, work_mem);
	DestReceiver *receiver = CreateDestReceiver(DestTuplestore);
	SPIExecuteOptions options = {0};
	const char *column = quote_identifier(pass->s->segment_column);
	int			result;

	TupleDescInitEntry(desc, 1, "key", TEXTOID, -1, 0);
	TupleDescInitEntryCollation(desc, 1, DEFAULT_COLLATION_OID);
	TupleDescInitEntry(desc, 2, "segment", INT4OID, -1, 0);
	SetTuplestoreDestReceiverParams(receiver, rows, CurrentMemoryContext,
									false, NULL, NULL);
	options.dest = receiver;
	result = SPI_execute_extended(psprintf("SELECT %s, t.%s::pg_catalog.int4"
										   " FROM %s AS t"
										   " WHERE t.%s IS NOT NULL",
										   kseg_members_key_expression(pass->members),
										   column,
										   kseg_members_target(pass->members),
										   column),
								  &options);
	if (result < 0)
		elog(ERROR, "SPI_execute_extended failed: %s",
			 SPI_result_code_string(result));
	receiver->rDestroy(receiver);
	kseg_register_rows("kseg_members", rows, desc, pass->scored);
	return rows;
}

void
kseg_history_compare(const KsegPass *pass, KsegRun *run,
					 MemoryContext context)
{
	Oid			types[] = {INT4OID, TIMESTAMPTZOID};
	Datum		values[2];
	int			guc_level = NewGUCNestLevel();

	values[0] = Int32GetDatum(pass->s->id);
	values[1] = TimestampTzGetDatum(run->started);
	/* all of both is read; a history without statistics looks small */
	kseg_set_for_now("enable_nestloop", "off");
	kseg_registry_execute("WITH closed AS ("
						  "UPDATE %s.kseg_history AS h SET valid_to = $2"
						  " WHERE h.segmentation = $1 AND h.valid_to IS NULL"
						  "  AND NOT EXISTS (SELECT FROM kseg_members AS m"
						  "   WHERE m.key = h.key AND m.segment = h.segment)"
						  " RETURNING h.key, h.segment),"
						  " opened AS ("
						  "INSERT INTO %s.kseg_history"
						  " (segmentation, key, segment, previous, valid_from)"
						  " SELECT $1, m.key, m.segment, c.segment, $2"
						  " FROM kseg_members AS m"
						  "  LEFT JOIN closed AS c ON c.key = m.key"
						  " WHERE NOT EXISTS (SELECT FROM %s.kseg_history AS h"
						  "  WHERE h.segmentation = $1 AND h.key = m.key"
						  "   AND h.segment = m.segment"
						  "   AND h.valid_to IS NULL)"
						  " ORDER BY m.key"
						  " RETURNING key, segment)"
						  " SELECT c.segment, o.segment, pg_catalog.count(*)"
						  " FROM closed AS c FULL JOIN opened AS o"
						  "  ON o.key = c.key"
						  " GROUP BY c.segment, o.segment"
						  " ORDER BY c.segment, o.segment",
						  lengthof(types), types, values, NULL);
	AtEOXact_GUC(true, guc_level);
	read_moves(run, context);
}

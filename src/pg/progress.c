/*
 * progress.c
 *		kseg_progress: what sessions are doing, seen from others.
 *
 * The server keeps for each session the number of the command whose progress
 * it reports, and a few counters; it looks into neither, so a number of our
 * own serves as well.  No view of the server's shows it, nothing has to be
 * preloaded, and an abort clears it.
 *
 * A command of the server's own may run above ours (COPY of a query that
 * fits) or below (a trigger that makes an index): what it shows is left
 * alone, and ours is put back when it has gone.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/backend_progress.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "kseg.h"
#include "progress.h"

PG_FUNCTION_INFO_V1(kseg_progress_sessions);

/* "kseg": far from the numbers that the server counts up */
#define OUR_COMMAND	((ProgressCommandType) 0x6B736567)

/* counters; -1: not known.  New ones go to the end. */
enum
{
	AT_COMMAND,
	AT_STARTED,
	AT_PHASE,
	AT_PHASE_STARTED,
	AT_K,
	AT_STEP,
	AT_STEPS,
	AT_ROWS,
	AT_ROWS_TOTAL,
	AT_CHANGED,
	NCOUNTERS
};

StaticAssertDecl(NCOUNTERS <= PGSTAT_NUM_PROGRESS_PARAM,
				 "the server has fewer counters");

static const char *const command_names[] = {
	"kseg_fit", "kseg_cluster", "kseg_elbow", "kseg_segments",
	"kseg_evaluate", "kseg_profile", "kseg_explain", "kseg_project",
	"kseg_normalize", "kseg_apply", "kseg_run", "kseg_rollback"
};

/* of KmPhase */
static const char *const core_phases[] = {
	"scaling", "sampling", "searching", "improving", "measuring",
	"comparing with references", "silhouettes", "stability"
};

/* of KsegPhase */
static const char *const own_phases[] = {
	"reading rows", "scoring rows", "writing back", "writing history"
};

struct KsegProgress
{
	MemoryContextCallback callback;
	KsegCommand command;
};

/* whose command is shown; NULL: none */
static const KsegProgress *owner = NULL;
/* a command within a row of the owner's, which tells nothing; NULL: none */
static const KsegProgress *inner = NULL;
static int64 counters[NCOUNTERS];	/* as shown, or to be shown */

/* ---- telling ---- */

static void
put_all(void)
{
	int			index[NCOUNTERS];

	for (int i = 0; i < NCOUNTERS; i++)
		index[i] = i;
	pgstat_progress_update_multi_param(NCOUNTERS, index, counters);
}

/*
 * Are ours the counters that a change would meet?  A subtransaction that
 * aborts below us clears them, and a command of the server's that ends.
 */
static bool
are_ours(void)
{
	if (MyBEEntry == NULL)
		return false;
	if (likely(MyBEEntry->st_progress_command == OUR_COMMAND))
		return true;
	if (MyBEEntry->st_progress_command != PROGRESS_COMMAND_INVALID ||
		!pgstat_track_activities)
		return false;
	pgstat_progress_start_command(OUR_COMMAND, InvalidOid);
	put_all();
	return true;
}

static inline bool
is_told(void)
{
	return owner != NULL && inner == NULL;
}

static void
put(int counter, int64 value)
{
	if (!is_told() || counters[counter] == value)
		return;
	counters[counter] = value;
	if (are_ours())
		pgstat_progress_update_param(counter, value);
}

static void
end_owner(void *arg)
{
	if (inner == arg)
		inner = NULL;
	if (owner != arg)
		return;
	owner = NULL;
	if (MyBEEntry != NULL && MyBEEntry->st_progress_command == OUR_COMMAND)
		pgstat_progress_end_command();
}

KsegProgress *
kseg_progress_create(MemoryContext context, KsegCommand command)
{
	KsegProgress *progress = MemoryContextAllocZero(context,
													sizeof(KsegProgress));

	progress->command = command;
	progress->callback.func = end_owner;
	progress->callback.arg = progress;
	MemoryContextRegisterResetCallback(context, &progress->callback);
	return progress;
}

bool
kseg_progress_begin(KsegProgress *progress)
{
	if (owner != NULL || IsParallelWorker())
		return false;
	owner = progress;
	for (int i = 0; i < NCOUNTERS; i++)
		counters[i] = -1;
	counters[AT_COMMAND] = progress->command;
	counters[AT_STARTED] = GetCurrentTimestamp();
	/* what is there may be ours, of an owner that was not ended in time */
	if (are_ours())
		put_all();
	return true;
}

bool
kseg_progress_is_shown(const KsegProgress *progress)
{
	return owner == progress;
}

void
kseg_progress_enter(KsegProgress *progress)
{
	(void) kseg_progress_begin(progress);
	if (owner != NULL && owner != progress && inner == NULL)
		inner = progress;
}

void
kseg_progress_end(KsegProgress *progress)
{
	end_owner(progress);
}

KsegProgress *
kseg_progress_start(KsegCommand command)
{
	KsegProgress *progress = kseg_progress_create(CurrentMemoryContext,
												  command);

	kseg_progress_enter(progress);
	return progress;
}

void
kseg_progress_phase(int phase)
{
	if (!is_told())
		return;
	counters[AT_PHASE] = phase;
	counters[AT_PHASE_STARTED] = GetCurrentTimestamp();
	for (int i = AT_STEP; i < NCOUNTERS; i++)
		counters[i] = -1;
	if (are_ours())
		put_all();
}

/* Phases that search, and whose steps are not the search's. */
static inline bool
is_nested_search(int phase)
{
	return phase == KM_PHASE_SEARCH &&
		(counters[AT_PHASE] == KM_PHASE_REFERENCE ||
		 counters[AT_PHASE] == KM_PHASE_STABILITY);
}

void
kseg_progress_report(int phase, int64 done, int64 total)
{
	if (!is_told() || is_nested_search(phase))
		return;
	if (phase == KM_PHASE_ROWS)
	{
		kseg_progress_rows(done, total);
		return;
	}
	if (phase == KM_PHASE_CHANGED)
	{
		kseg_progress_changed(done);
		return;
	}
	if (counters[AT_PHASE] != phase)
		kseg_progress_phase(phase);
	put(AT_STEP, done > 0 || total > 0 ? done : -1);
	put(AT_STEPS, total > 0 ? total : -1);
}

void
kseg_progress_rows(int64 done, int64 total)
{
	put(AT_ROWS, done);
	put(AT_ROWS_TOTAL, total > 0 ? total : -1);
}

void
kseg_progress_changed(int64 rows)
{
	put(AT_CHANGED, rows);
}

void
kseg_progress_k(int k)
{
	put(AT_K, k);
}

/* ---- looking ---- */

#define PROGRESS_COLUMNS 13

static const char *
phase_name(int64 phase)
{
	if (phase >= 0 && phase < (int64) lengthof(core_phases))
		return core_phases[phase];
	phase -= KSEG_PHASE_READ;
	if (phase >= 0 && phase < (int64) lengthof(own_phases))
		return own_phases[phase];
	return NULL;
}

static void
put_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	if (text != NULL)
		values[column] = CStringGetTextDatum(text);
}

static void
put_session(ReturnSetInfo *result, const PgBackendStatus *session)
{
	const int64 *counter = session->st_progress_param;
	Datum		values[PROGRESS_COLUMNS] = {0};
	bool		nulls[PROGRESS_COLUMNS] = {0};
	bool		has_phase = counter[AT_PHASE] >= 0;

	values[0] = Int32GetDatum(session->st_procpid);
	put_text(values, nulls, 1, get_database_name(session->st_databaseid));
	put_text(values, nulls, 2, GetUserNameFromId(session->st_userid, true));
	put_text(values, nulls, 3,
			 counter[AT_COMMAND] >= 0 &&
			 counter[AT_COMMAND] < (int64) lengthof(command_names) ?
			 command_names[counter[AT_COMMAND]] : NULL);
	values[4] = TimestampTzGetDatum(counter[AT_STARTED]);
	put_text(values, nulls, 5, phase_name(counter[AT_PHASE]));
	values[6] = TimestampTzGetDatum(counter[AT_PHASE_STARTED]);
	nulls[6] = !has_phase;
	values[7] = Int32GetDatum((int32) counter[AT_K]);
	nulls[7] = counter[AT_K] < 0;
	for (int i = AT_STEP; i <= AT_CHANGED; i++)
	{
		values[8 + i - AT_STEP] = Int64GetDatum(counter[i]);
		nulls[8 + i - AT_STEP] = counter[i] < 0;
	}
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * Sessions of roles whose rights the caller has, as pg_stat_activity shows
 * what they run.
 */
Datum
kseg_progress_sessions(PG_FUNCTION_ARGS)
{
	bool		sees_all = has_privs_of_role(GetUserId(),
											 ROLE_PG_READ_ALL_STATS);
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	n = pgstat_fetch_stat_numbackends();
	for (int i = 1; i <= n; i++)
	{
		const PgBackendStatus *session = kseg_backend_status(i);

		/* no start: it has begun, and its counters are about to be put */
		if (session == NULL ||
			session->st_progress_command != OUR_COMMAND ||
			session->st_progress_param[AT_STARTED] == 0)
			continue;
		if (sees_all || has_privs_of_role(GetUserId(), session->st_userid))
			put_session((ReturnSetInfo *) fcinfo->resultinfo, session);
	}
	return (Datum) 0;
}

#!/bin/bash
#
# smith.sh [queries [seed]]
#
# sqlsmith's random queries against a database that has what kseg makes: run
# it by "make smith", in the surroundings of server.sh, with the settings that
# are looked for below.  Queries are an ordinary user's, who owns the database.
# Most of them fail; what must not happen is
#
#	- that a process crashes,
#	- an internal error (SQLSTATE XX000) of kseg's,
#	- that a query goes on although its time is over.
#
# The seed is a random one, unless told, and printed.

set -u

queries=${1:-20000}
seed=${2:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
here=$(cd "$(dirname "$0")" && pwd)
# a query is cancelled after so many seconds, and has so many more for that
limit=5
grace=5

if ! command -v sqlsmith >/dev/null
then
	echo "sqlsmith is missing; make setup installs Debian's package where there is one"
	exit 1
fi

psql -X -q -v ON_ERROR_STOP=1 <<-END || exit 1
	CREATE ROLE smith LOGIN;
	CREATE DATABASE smith OWNER smith;
	ALTER DATABASE smith SET statement_timeout = '${limit}s';
	ALTER DATABASE smith SET lock_timeout = '1s';
	ALTER SYSTEM SET log_error_verbosity = verbose;
	ALTER SYSTEM SET log_min_duration_statement = '$((limit + grace))s';
	ALTER SYSTEM SET temp_file_limit = '200MB';
	SELECT pg_reload_conf() \g /dev/null
END
PGOPTIONS='-c statement_timeout=0' psql -X -q -v ON_ERROR_STOP=1 -U smith -d smith \
	-f "$here/smith.sql" >/dev/null || exit 1

# operators that sqlsmith uses with types they do not have
psql -X -q -v ON_ERROR_STOP=1 -d smith <<-END || exit 1
	SET allow_system_table_mods = on;
	DELETE FROM pg_operator WHERE
		EXISTS (SELECT FROM pg_type AS t
			WHERE t.oid IN (oprleft, oprright) AND
				(t.typcategory IN ('R', 'G', 'I') OR t.typname ~ '^any.*range\$')) AND
		oid NOT IN (SELECT amopopr FROM pg_amop WHERE amopmethod IN
			(SELECT oid FROM pg_am WHERE amname IN ('btree', 'hash')) AND
			amoplefttype <> 'anyrange'::regtype AND
			amoplefttype::regtype::text <> 'anymultirange');
END

echo "$queries queries of seed $seed"
from=$(wc -l <"$KSEG_LOG")
sqlsmith --target="host=$PGHOST user=smith dbname=smith" --exclude-catalog \
	--max-queries="$queries" --seed="$seed" >/dev/null 2>"$TMPDIR/smith.err"
status=$?
log=$TMPDIR/smith.log
tail -n "+$((from + 1))" "$KSEG_LOG" >"$log"

# ---- what came of it ----

bad=0

# complain what file: of lines that should not be there
complain()
{
	[ -s "$2" ] || return
	echo "$1:"
	head -n 40 "$2"
	bad=1
}

[ $status = 0 ] || { tail -n 5 "$TMPDIR/smith.err"; bad=1; }
grep -E 'was terminated by signal|TRAP: |PANIC:' "$log" >"$TMPDIR/crashes"
complain "processes crashed" "$TMPDIR/crashes"
# the message, and where it comes from; our files have names of their own
sources=$(cd "$here/../../src" && find . -name '*.c' -printf '%f\n' | paste -sd'|')
awk -v sources="($sources):[0-9]+$" '
	/(ERROR|FATAL):  /	{ message = $0 ~ /  XX[0-9A-Z]+: / ? $0 : "" }
	/LOCATION:  / && message != "" && $0 ~ sources	{ print message; print }
' "$log" >"$TMPDIR/internal"
# names of files that the server has as well
grep -E -B1 'LOCATION:  [km]+(seg)?_' "$TMPDIR/internal" >"$TMPDIR/ours"
complain "internal errors" "$TMPDIR/ours"
grep -A20 'duration: ' "$log" >"$TMPDIR/long"
complain "queries that did not end in time" "$TMPDIR/long"

# ---- how it went ----

awk -v queries="$queries" '
	/ERROR:  /	{ failed++; state[substr($0, index($0, "ERROR:  ") + 8, 5)]++ }
	/LOCATION:  kseg_error/	{ ours++ }
	END	{
		printf "%d queries, %d failed, %d of them by an error of kseg\n",
			queries, failed, ours
		for (s in state) printf "%s %d\n", s, state[s] | "sort"
	}' "$log"
psql -X -At -d smith -c "SELECT format('%s runs, %s segmentations',
	(SELECT count(*) FROM kseg_runs), (SELECT count(*) FROM kseg_segmentations))"
[ -z "${SMITH_KEEP:-}" ] || cp "$log" "$SMITH_KEEP"
exit $bad

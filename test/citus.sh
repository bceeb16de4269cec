#!/bin/bash
#
# citus.sh [-w workers] [-c setting=value]... command [argument]...
#
# Runs the command beside a Citus cluster of its own, a coordinator and two
# workers on loopback, with kseg in all of them:
#
#	KSEG_CITUS=/where/it/is test/server.sh test/citus.sh psql
#
# Inside server.sh, whose programs it uses.  PGHOST, PGPORT and PGUSER are the
# coordinator's.  Exit status 77 when Citus is not installed.

set -u

workers=2
settings=
while [ "${1:-}" = -w ] || [ "${1:-}" = -c ]
do
	if [ "$1" = -w ]
	then
		workers=$2
	else
		settings+="${2/=/ = }"$'\n'
	fi
	shift 2
done
[ $# -gt 0 ] || { sed -n '3,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }

if [ ! -e "$(pg_config --sharedir)/extension/citus.control" ]
then
	echo "Citus is not installed" >&2
	exit 77
fi

work=$(mktemp -d) || exit 1

clean_up()
{
	for data in "$work"/*/
	do
		pg_ctl -D "$data" -m immediate -w stop >/dev/null 2>&1
	done
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 143' TERM HUP
trap : INT

fail()
{
	printf '%s\n' "$@" >&2
	exit 1
}

# free ports; nobody else is likely to take them within a second
ports=$(perl -MIO::Socket::INET -e '
	my @sockets = map { IO::Socket::INET->new(Listen => 1,
		LocalAddr => "127.0.0.1", LocalPort => 0) } 1 .. shift;
	print join(" ", map { $_->sockport } @sockets), "\n"' $((workers + 1))) ||
	exit 1

export PGHOST=127.0.0.1 PGUSER=postgres PGDATABASE=postgres

n=0
for port in $ports
do
	data=$work/node$n
	initdb -D "$data" -U postgres -A trust -N -E UTF8 --no-locale \
		>"$work/initdb.log" 2>&1 || fail "$(cat "$work/initdb.log")"
	cat >>"$data/postgresql.conf" <<-END
		listen_addresses = '127.0.0.1'
		port = $port
		unix_socket_directories = ''
		shared_preload_libraries = 'citus'
		citus.node_conninfo = 'sslmode=disable'
		citus.enable_statistics_collection = off
		max_prepared_transactions = 100
		fsync = off
		full_page_writes = off
		synchronous_commit = off
		$settings
	END
	pg_ctl -D "$data" -l "$work/node$n.log" -w start >/dev/null ||
		fail "$(cat "$work/node$n.log")"
	psql -X -q -p "$port" -c 'CREATE EXTENSION citus' || exit 1
	n=$((n + 1))
done

set -- $ports -- "$@"
export PGPORT=$1
shift
psql -X -q -c "SELECT citus_set_coordinator_host('127.0.0.1', $PGPORT)" \
	>/dev/null || exit 1
while [ "$1" != -- ]
do
	psql -X -q -c "SELECT citus_add_node('127.0.0.1', $1)" >/dev/null || exit 1
	shift
done
shift
# on all nodes
psql -X -q -c 'CREATE EXTENSION kseg' || exit 1

"$@"
status=$?
[ "$status" = 0 ] || tail -n 20 "$work"/node*.log >&2
exit "$status"

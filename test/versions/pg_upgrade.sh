#!/bin/bash
#
# pg_upgrade.sh pg_config
#
# Takes a database with a past (before.sql) by pg_upgrade from the server that
# PG_CONFIG stands for to that of the pg_config named, in each way that it has:
# files copied, linked, swapped.  What is in the database then and what its next
# nights do has to be what they are without an upgrade, to the last bit, and the
# extension's objects have to be those of an install.
#
# Both servers are used in private copies (test/server.sh), one beside the other.

set -eu

case ${1:-} in
	/*/pg_config)
		cd "$(dirname "$0")/../.."
		test/setup.sh build
		make -s -j"$(nproc)" all
		exec test/server.sh "test/versions/${0##*/}" older "$1"
		;;
	older)
		export KSEG_OLDER=${PG_CONFIG%/*}
		make -s -j"$(nproc)" PG_CONFIG="$2" all
		PG_CONFIG=$2 exec test/server.sh "$0" newer
		;;
	newer) ;;
	*)
		sed -n '3,11s/^# \{0,1\}//p' "$0" >&2
		exit 2
		;;
esac

older=$KSEG_OLDER
newer=${PG_CONFIG%/*}
export PGPORT=5433 PGOPTIONS='-c client_min_messages=warning'
echo "# $("$older/postgres" --version) to $("$newer/postgres" --version)"

# start and stop: programs directory
start()
{
	"$1/pg_ctl" -D "$2" -l "$2.log" -w \
		-o "-c listen_addresses= -c unix_socket_directories=$PGHOST -c port=$PGPORT" \
		start >/dev/null || { cat "$2.log"; exit 1; }
}

stop()
{
	"$1/pg_ctl" -D "$2" -m fast -w stop >/dev/null
}

initialise()
{
	local options=(-U postgres -A trust -N -E UTF8 --no-locale)

	# 18 has them unless told, 15 has not, and they have to agree
	! "$1/initdb" --help | grep -q -- --no-data-checksums || options+=(--no-data-checksums)
	"$1/initdb" -D "$2" "${options[@]}" >"$2.log"
}

past()
{
	createdb left
	psql -X -q -v ON_ERROR_STOP=1 -d left -f test/versions/before.sql >/dev/null
}

future()
{
	psql -X -q -At -v ON_ERROR_STOP=1 -d left -f test/versions/after.sql
}

# A column without a name gets that of its type when a dumped view is read.
catalogue()
{
	psql -X -q -At -v ON_ERROR_STOP=1 -d left -f test/upgrade/catalogue.sql \
		-c 'SELECT l FROM pg_temp.catalogue() AS l ORDER BY l COLLATE "C"' |
		sed 's/::text AS text,$/::text,/'
}

# without an upgrade
dir=$TMPDIR
initialise "$older" "$dir/past"
start "$older" "$dir/past"
past
stop "$older" "$dir/past"
cp -r "$dir/past" "$dir/stays"
start "$older" "$dir/stays"
future >"$dir/stays.after"
stop "$older" "$dir/stays"

# an install
initialise "$newer" "$dir/made"
start "$newer" "$dir/made"
past
catalogue >"$dir/made.catalogue"
stop "$newer" "$dir/made"

failed=0
for way in copy link swap
do
	"$newer/pg_upgrade" --help | grep -q -- "--$way" || continue
	cp -r "$dir/past" "$dir/past.$way"
	initialise "$newer" "$dir/$way"
	if ! (cd "$dir" && pg_upgrade "--$way" -U postgres -s "$PGHOST" -p 5434 -P 5435 \
		-b "$older" -B "$newer" -d "$dir/past.$way" -D "$dir/$way" >"$dir/$way.out")
	then
		echo "not ok - $way"
		tail -n 20 "$dir/$way.out"
		grep -rh 'ERROR: ' "$dir/$way/pg_upgrade_output.d" || true
		failed=1
		continue
	fi
	start "$newer" "$dir/$way"
	catalogue >"$dir/$way.catalogue"
	future >"$dir/$way.after"
	stop "$newer" "$dir/$way"
	if diff "$dir/stays.after" "$dir/$way.after" && diff "$dir/made.catalogue" "$dir/$way.catalogue"
	then
		echo "ok - $way: $(wc -l <"$dir/$way.after") lines of the database," \
			"$(wc -l <"$dir/$way.catalogue") of the catalogues"
	else
		echo "not ok - $way"
		failed=1
	fi
done
exit $failed

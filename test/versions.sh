#!/bin/bash
#
# versions.sh [release]...
#
# Tests kseg on other server versions: those of the Debian and Ubuntu releases
# named, or one for each version from 15 to 18.  In each, in a system of its own
# (test/root.sh), it
#
#	- builds kseg with warnings as errors and runs every test, or the stages
#	  that KSEG_STAGES names ("regress isolation");
#	- makes a database with models and segmentations (test/versions), dumps it,
#	  and writes down what is in it, to the last bit, and what its next nights do;
#	- restores the dumps of all before it, by the older server's pg_dump, and
#	  compares what the next nights do there.
#
# The last lines are a table.  Only root can do it; logs are in $KSEG_ROOTS.

set -u

cd "$(dirname "$0")/.." || exit 1
export KSEG_ROOTS=${KSEG_ROOTS:-/var/tmp/kseg-roots}
export COPT=${COPT--Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers}
if [ "$(id -u)" != 0 ]
then
	echo "Only root can make systems in directories. Please run it as root or with sudo." >&2
	exit 1
fi
[ $# -gt 0 ] || set -- bookworm noble trixie sid

test_all='make test'
if [ -n "${KSEG_STAGES:-}" ]
then
	# SQL needs no more than the server
	case " $KSEG_STAGES " in
		*' unit '* | *' tap '* | *' sklearn '*) goal=test programs=unit-programs ;;
		*) goal=build programs= ;;
	esac
	test_all="test/setup.sh $goal && make -s -j\$(nproc) all $programs && test/server.sh test/run.sh $KSEG_STAGES"
fi
build='{ test/setup.sh build && make -s -j$(nproc) all; } >&2'

mkdir -p "$KSEG_ROOTS" || exit 1
table=$(mktemp) || exit 1
trap 'rm -f "$table"' EXIT
failed=

# in_release release command
in_release()
{
	setpriv --pdeathsig TERM test/root.sh "$@"
}

# note name: whether what was done last went well
note()
{
	local result=$?

	if [ $result = 0 ]
	then
		printf '%s' "$1"
	else
		printf '%s FAILED' "$1"
		failed=yes
	fi >>"$table"
	return $result
}

older=()
for release in "$@"
do
	echo "== $release"
	logs=$KSEG_ROOTS/$release
	started=$(date +%s)
	in_release "$release" "$test_all" </dev/null >"$logs.test.log" 2>&1
	status=$?
	grep '^# failed:' -A 100 "$logs.test.log" || [ $status = 0 ] || tail -n 20 "$logs.test.log"
	in_release "$release" 'pg_config --version | cut -d" " -f1,2 && gcc -dumpfullversion' </dev/null |
		paste -s -d' ' | sed "s/^\(.*\) /$release: \1, gcc /; s/$/: /" | tr -d '\n' >>"$table"
	[ $status = 0 ]
	note "$(grep '^[0-9]* passed, ' "$logs.test.log" | tail -n 1), $((($(date +%s) - started) / 60)) min"

	in_release "$release" "$build; test/server.sh test/versions/leave.sh" \
		</dev/null >"$logs.dump" 3>"$logs.after" 2>"$logs.leave.log" && [ -s "$logs.after" ]
	note '; dump' || tail -n 5 "$logs.leave.log"
	for before in "${older[@]}"
	do
		cmp "$KSEG_ROOTS/$before.after" "$logs.after" && cmp <(
			in_release "$release" "$build; test/server.sh test/versions/go_on.sh" \
				<"$KSEG_ROOTS/$before.dump" 2>"$logs.go_on.log") "$logs.after"
		note "; from $before" || tail -n 5 "$logs.go_on.log"
	done
	echo >>"$table"
	older+=("$release")
	tail -n 1 "$table"
done

echo "== Each has the bits of those before it, and goes on with what they dumped"
cat "$table"
[ -z "$failed" ]

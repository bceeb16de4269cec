#!/bin/bash
#
# run.sh [stage]...
#
# Runs the stages named, or all, and counts every single test; the last line
# is "N passed, N failed"; what was skipped is told before.  All but
# "warnings", "unit" and "fuzz" need the surroundings that server.sh makes:
#
#	warnings	what clang warns of, as gcc does where the build is strict
#	unit		programs from test/unit, the core under sanitizers
#	fuzz		programs from test/fuzz, for some seconds
#	regress		test/sql
#	isolation	test/specs
#	tap			test/t
#	sklearn		test/sklearn, the comparison with scikit-learn: each script
#				with a #! line, run in a database that has kseg
#
# A stage that ends badly without a failed test counts as one.

set -u

cd "$(dirname "$0")/.." || exit 1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
output=$scratch/output
failures=$scratch/failures
stage=
program=

passed=0
failed=0
skipped=0

has_files()
{
	compgen -G "$1" >/dev/null
}

# fail reason: a failure that no test reported
fail()
{
	echo "not ok - $1"
	echo "$stage${program:+ $program}: $1" >>"$failures"
	failed=$((failed + 1))
}

# Adds up what a program printed: TAP, or pg_regress's own form before version
# 16.  $1: its exit status.  Subtests are indented and not counted.
count()
{
	local ok not_ok skip plan bad='^(not ok [0-9]|(test| ) .* [.]{3} FAILED)'

	# not <(...): that needs /proc, which a bare chroot has not
	read -r ok not_ok skip plan <<<"$(awk '
		/^ok [0-9]+.*# [Ss][Kk][Ii][Pp]/	{ skip++; next }
		/^not ok [0-9]+.*# [Tt][Oo][Dd][Oo]/	{ skip++; next }
		/^ok [0-9]+/	{ ok++; next }
		/^not ok [0-9]+/	{ not_ok++; next }
		/^1\.\.[0-9]+/	{ plan += substr($1, 4); next }
		/^(test| ) .* \.\.\. ok( |$)/	{ ok++; next }
		/^(test| ) .* \.\.\. FAILED( |$)/	{ not_ok++; next }
		END	{ print ok + 0, not_ok + 0, skip + 0, plan + 0 }' "$output")"

	passed=$((passed + ok))
	failed=$((failed + not_ok))
	skipped=$((skipped + skip))
	if [ "$not_ok" != 0 ]
	then
		grep -E "$bad" "$output" | grep -vi '# todo' |
			sed "s/^/$stage${program:+ $program}: /" >>"$failures"
		return 1
	elif [ "$1" != 0 ]
	then
		fail "ended with status $1"
		return 1
	elif [ $((ok + skip)) = 0 ]
	then
		fail "no test ran"
		return 1
	elif [ "$plan" != 0 ] && [ $((ok + skip)) != "$plan" ]
	then
		fail "$plan tests planned, $((ok + skip)) ran"
		return 1
	fi
}

# run command...: shows and counts what it prints
run()
{
	"$@" </dev/null 2>&1 | tee "$output"
	count "${PIPESTATUS[0]}"
}

# installcheck knows three kinds of tests; the arguments switch two of them off.
installcheck()
{
	make --no-print-directory -s installcheck "$@"
}

stage_warnings()
{
	run test/warnings.sh
}

stage_unit()
{
	local source

	has_files 'test/unit/*.c' || return
	for source in test/unit/*.c
	do
		program=$(basename "$source" .c)
		echo "# $program"
		run "test/unit/build/$program"
	done
}

stage_fuzz()
{
	run test/fuzz/fuzz.sh short
}

stage_regress()
{
	has_files 'test/sql/*.sql' || return
	expect_something test/sql/*.sql
	run installcheck ISOLATION= TAP_TESTS= || show_diffs regress
}

stage_isolation()
{
	has_files 'test/specs/*.spec' || return
	expect_something test/specs/*.spec
	run installcheck REGRESS= TAP_TESTS= || show_diffs isolation
}

# A test without expected output fails; pg_regress would give up on the rest.
expect_something()
{
	local test expected

	for test in "$@"
	do
		expected=expected/$(basename "${test%.*}").out
		[ -e "$expected" ] || touch "$expected"
	done
}

show_diffs()
{
	[ -s regression.diffs ] || return
	cat regression.diffs
	mv regression.diffs "$1.diffs"
}

# Tests that measure how soon something happens go one after another, and
# nothing beside them but the one that waits for the clock.  All others go two
# at a time, the longest first.
stage_tap()
{
	local file timed= others=

	has_files 'test/t/*.pl' || return
	for file in test/t/*.pl
	do
		case $file in
			*_cancel.pl | *_crash.pl | *_cron.pl) timed+=" $file" ;;
			*_nights.pl | *_dashboard.pl) others="$file $others" ;;
			*) others+=" $file" ;;
		esac
	done
	tap "$timed" '--rules=par=**_cron.pl --rules=seq=**'
	# the next ones start with an empty directory
	[ ! -d tmp_check/log ] || mv tmp_check/log "$scratch/log"
	tap "$others"
	[ ! -d "$scratch/log" ] || { mkdir -p tmp_check/log &&
		cp -r "$scratch/log/." tmp_check/log/; }
}

# tap files [prove's options]
tap()
{
	local log

	# without a name prove looks for tests by itself, and finds none
	[ -n "$1" ] || return 0
	run installcheck REGRESS= ISOLATION= PROVE_TESTS="$1" \
		PROVE_FLAGS="--verbose --jobs=2 ${2:-}" && return
	for log in tmp_check/log/regress_log_*
	do
		[ ! -f "$log" ] || { echo "# end of $log"; tail -n 50 "$log"; }
	done
}

stage_sklearn()
{
	local script scripts

	scripts=$(grep -l '^#!' test/sklearn/*.py 2>/dev/null) || return
	createdb kseg_sklearn &&
		psql -X -q -d kseg_sklearn -c 'CREATE EXTENSION kseg'
	for script in $scripts
	do
		program=$(basename "$script")
		echo "# $program"
		PGDATABASE=kseg_sklearn run /usr/bin/python3 "$script"
	done
}

[ $# -gt 0 ] || set -- warnings unit fuzz regress isolation tap sklearn
for stage in "$@"
do
	before=$((passed + failed + skipped))
	program=
	echo "== $stage"
	"stage_$stage"
	[ $((passed + failed + skipped)) != $before ] || echo "no tests yet"
done

# A crash that every client survived is a failure too.
stage=server
program=
if [ -n "${KSEG_LOG:-}" ] &&
	grep -E 'was terminated by signal|TRAP: ' "$KSEG_LOG"
then
	fail "a process crashed"
fi
if [ $failed != 0 ] && [ -n "${KSEG_LOG:-}" ]
then
	echo "# end of the server's log"
	tail -n 30 "$KSEG_LOG"
fi

[ $((passed + failed)) != 0 ] || fail "no test ran"
[ ! -f "$failures" ] || { echo "# failed:"; cat "$failures"; }
[ $skipped = 0 ] || echo "# $skipped skipped"
echo "$passed passed, $failed failed"
[ $failed = 0 ]

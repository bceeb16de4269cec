#!/bin/bash
#
# run.sh assert|asan|valgrind [stage]...
#
# Runs the tests on a server that watches over itself (build.sh), with a kseg
# compiled for it in a copy of the source tree:
#
#	assert		assertions and checks of memory; then the SQL tests again with
#				every query forced through a parallel worker, and small ones
#				with all caches emptied at every chance
#	asan		address and undefined-behaviour sanitizer
#	valgrind	under valgrind; and the core alone under clang's memory
#				sanitizer, when there is clang (stage core): memory that was read
#				before it was written, in a fraction of the time
#
# Any report fails, even if every test passes.  Reports are kept in
# tmp_check/reports/.
#
# KSEG_TESTS, when set, names the tests to run, and only these are:
#
#	KSEG_TESTS='sql/fit.sql t/001_dump.pl' make asan

set -u

kind=${1:-}
shift
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
case $kind in
	assert) server=valgrind ;;
	asan | valgrind) server=$kind ;;
	*) sed -n '3,21s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

pg_config=$("$here/build.sh" "$server" ${KSEG_MAJOR:-}) || exit 1
export PG_CONFIG=$pg_config
# Programs leave their memory to the system at exit.
export ASAN_OPTIONS=detect_leaks=0

work=$(mktemp -d) || exit 1
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
unset MAKEFLAGS MFLAGS MAKELEVEL
export KSEG_REPORTS=$work/reports
mkdir -m 1777 "$KSEG_REPORTS"

# the setting's name from version 16 on
parallel_setting=debug_parallel_query
! "$PG_CONFIG" --version | grep -q 'PostgreSQL 15' ||
	parallel_setting=force_parallel_mode

# How late a cancel is answered is no use here, where everything is slower.
timed=t/002_cancel.pl

# With all caches emptied whenever they may be, the server does a thousandth of
# its work; these take five minutes then.
small=$(echo sql/{current,names}.sql)

# Two servers go side by side under valgrind; these tests, which have most of the
# rows, take half of the time.
large=$(echo sql/{bits,pushdown,workers}.sql)
# 25 of the 60 seconds that all take on an ordinary server, for rows beyond any
# memory that may be set, 1,600 features and 10,000 segments
endless=$(echo sql/{limits,spill}.sql)

# ---- what watches ----

# Statements take longer: no test may give up for that.
export PG_TEST_TIMEOUT_DEFAULT=1800 PGISOLATIONTIMEOUT=1800
# Nor is a cancel late that is answered as late as all else.
export KSEG_SLOWDOWN=20
case $kind in
	asan)
		export ASAN_OPTIONS+=:abort_on_error=1:log_path=$KSEG_REPORTS/asan
		export UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1:log_path=$KSEG_REPORTS/ubsan
		;;
	valgrind)
		export KSEG_POSTGRES=$here/postgres
		export KSEG_SUPPRESSIONS=$work/valgrind.supp
		cp "$("$PG_CONFIG" --bindir)/../valgrind.supp" "$KSEG_SUPPRESSIONS"
		;;
esac

# ---- kseg for that server ----

tree=$work/kseg
mkdir "$tree"
tar -C "$source" --exclude=./.git --exclude=./tmp_check --exclude=node_modules \
	--exclude='*.o' --exclude='*.so' --exclude=./test/unit/build -cf - . |
	tar -C "$tree" -xf - || exit 1
for modules in "$source"/*/*/node_modules
do
	[ ! -d "$modules" ] || ln -s "$modules" "$tree/${modules#"$source"/}"
done
make -s -C "$tree" -j"$(nproc)" all &&
	make -s -C "$tree" -j"$(nproc)" fault-library \
		COPT="$("$PG_CONFIG" --cppflags) $("$PG_CONFIG" --cflags)" || exit 1

# ---- the tests ----

# try name [-c setting=value]... stage...: with the tests that are in the tree
# of that name
try()
{
	local name=$1 settings=()

	shift
	while [ "${1:-}" = -c ]
	do
		settings+=(-c "$2")
		shift 2
	done
	has_tests "$name" "$@" || return 0
	echo "# $kind, $name: $*${settings[*]:+ with ${settings[*]}}"
	"$work/$name/test/server.sh" "${settings[@]}" test/run.sh "$@" 2>&1 |
		tee "$work/$name.out"
	[ "${PIPESTATUS[0]}" = 0 ] || keep_output "$name"
}

# has_tests name stage...: whether that tree has any for one of the stages
has_tests()
{
	local tests=$work/$1/test stage

	shift
	for stage in "$@"
	do
		case $stage in
			regress) compgen -G "$tests/sql/*.sql" ;;
			isolation) compgen -G "$tests/specs/*.spec" ;;
			tap) compgen -G "$tests/t/*.pl" ;;
			*) true ;;
		esac >/dev/null && return
	done
	return 1
}

# The core's own programs, which need no server.
try_core()
{
	copy core
	echo "# $kind, core: unit with the memory sanitizer"
	{
		make -s -C "$work/core" -j"$(nproc)" unit-programs CC=clang \
			unit_sanitize=memory && cd "$work/core" && KSEG_LOG='' test/run.sh unit
	} 2>&1 | grep --line-buffered -v ' warning' |
		tee "$work/core.out"
	[ "${PIPESTATUS[0]}" = 0 ] || keep_output core
}

# What a failed test left, for the developer to look at.
keep_output()
{
	mkdir -p "$source/tmp_check"
	[ ! -d "$work/$1/tmp_check" ] ||
		cp -r "$work/$1/tmp_check" "$source/tmp_check/$kind-$1"
	touch "$work/failed"
}

# copy name: a tree for tests of its own
copy()
{
	cp -a "$tree" "$work/$1"
}

# only name file...: of that tree's tests those.  The files are relative to
# test/.
only()
{
	local name=$1 file

	shift
	for file in "$work/$name"/test/{sql/*.sql,specs/*.spec,t/*.pl}
	do
		case " $* " in
			*" ${file#"$work/$name/test/"} "*) ;;
			*) rm "$file" ;;
		esac
	done
}

# without name file...: of that tree's tests all others
without()
{
	local name=$1 file

	shift
	for file in "$@"
	do
		rm -f "$work/$name/test/$file"
	done
}

if [ -n "${KSEG_TESTS:-}" ]
then
	only kseg $KSEG_TESTS
else
	without kseg $timed
	[ $kind != valgrind ] || without kseg $endless
fi

case $kind in
	assert)
		copy all
		try all ${*:-regress isolation tap}
		if [ $# = 0 ]
		then
			copy parallel
			try parallel -c "$parallel_setting=regress" regress
			copy caches
			only caches $small
			try caches -c debug_discard_caches=1 regress
		fi
		;;
	asan)
		copy all
		try all ${*:-regress isolation tap}
		;;
	valgrind)
		copy first
		only first $large
		copy second
		without second $large
		stages=" ${*:-regress isolation core} "
		[[ $stages != *" regress "* ]] || try first regress >"$work/first.log" &
		try second ${stages/ core / }
		wait
		[ ! -e "$work/first.log" ] || cat "$work/first.log"
		[[ $stages != *" core "* ]] || [ -n "${KSEG_TESTS:-}" ] ||
			! command -v clang >/dev/null || try_core
		;;
esac

# ---- what was found ----

echo
sed -n 's/^\([0-9]* passed, [0-9]* failed\)$/\1/p' "$work"/*.out | awk '
	{ passed += $1; failed += $3 }
	END { print passed + 0 " passed, " failed + 0 " failed" }'
reports=$(find "$KSEG_REPORTS" -type f -size +0 | wc -l)
echo "$reports processes with reports"
if [ "$reports" != 0 ]
then
	rm -rf "$source/tmp_check/reports"
	mkdir -p "$source/tmp_check"
	cp -r "$KSEG_REPORTS" "$source/tmp_check/reports"
	find "$KSEG_REPORTS" -type f -size +0 | sort | head -n 5 |
		xargs head -n 60
fi
[ ! -e "$work/failed" ] && [ "$reports" = 0 ]

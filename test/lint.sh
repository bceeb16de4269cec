#!/bin/bash
#
# lint.sh [file]...
#
# Has clang-tidy (.clang-tidy) and cppcheck (test/lint.txt) read src, or the
# files named, and prints what they find.  Ends badly when they find something.
# Exceptions are explained where they are made: in those two files, and in
# comments (NOLINT) in the source.

set -u

cd "$(dirname "$0")/.." || exit 1
pg_config=${PG_CONFIG:-pg_config}
headers=$("$pg_config" --includedir-server) || exit 1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
[ $# -gt 0 ] || set -- src/core/*.c src/pg/*.c src/managed/*.c

# One process for each file: clang-tidy takes its time where the server's
# headers come in.
printf '%s\0' "$@" | xargs -0 -P "$(nproc)" -I '{}' clang-tidy --quiet '{}' \
	-- -std=gnu11 -fno-math-errno -D_GNU_SOURCE -DKSEG_VERSION='"1.0"' \
	-isystem "$headers" >"$scratch/tidy" 2>"$scratch/errors"
tidy=$?

# cppcheck does without the server's headers, but for what would look like
# another language.
check()
{
	cppcheck -q -j "$(nproc)" --error-exitcode=1 --std=c11 \
		--library=std,posix --enable=warning,performance,portability \
		--inline-suppr --suppressions-list=test/lint.txt -U_WIN32 \
		-D__x86_64__=1 -D__SIZEOF_INT128__=16 "$@" 2>>"$scratch/cppcheck"
}

core=()
glue=()
for file in "$@"
do
	case $file in
		src/core/*) core+=("$file") ;;
		*) glue+=("$file") ;;
	esac
done
cpp=0
[ ${#core[@]} = 0 ] || check "${core[@]}" || cpp=1
[ ${#glue[@]} = 0 ] || check -DKSEG_VERSION='"1.0"' -DPG_VERSION_NUM=150000 \
	-D'foreach(a,b)=for(;;)' -D'PG_FUNCTION_ARGS=void *fcinfo' \
	-D'PG_FUNCTION_INFO_V1(f)=Datum f(PG_FUNCTION_ARGS)' \
	-DPG_MODULE_MAGIC= -D'PG_TRY()={' -D'PG_CATCH()=} {' \
	-D'PG_FINALLY()=} {' -D'PG_END_TRY()=}' "${glue[@]}" || cpp=1

cat "$scratch/tidy" "$scratch/cppcheck"
[ $tidy = 0 ] || grep -E 'error:|Error' "$scratch/errors"
echo "$# files: clang-tidy $([ $tidy = 0 ] && echo clean || echo not clean)," \
	"cppcheck $([ $cpp = 0 ] && echo clean || echo not clean)"
[ $tidy = 0 ] && [ $cpp = 0 ]

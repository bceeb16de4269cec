#!/bin/bash
#
# coverage.sh [stage]...
#
# Which lines of src the tests run: builds kseg and the unit programs with
# --coverage in a copy of the source tree, runs the stages of test/run.sh (all
# but sklearn, unless some are named) beside a server of their own, and prints
# a table (test/coverage.py).  KSEG_UNCOVERED, when set, names a file for the
# source text of what did not run.
#
# Every process adds its counters to files when it ends: a backend that is
# killed by kill -9, or by a server that is stopped at once, takes them with it.
#
# Optimised but little: what is inlined and vectorised cannot be told by lines,
# and without any optimisation the tests that wait would fail.

set -u

source=$(cd "$(dirname "$0")/.." && pwd)
[ $# -gt 0 ] || set -- unit regress isolation tap

work=$(mktemp -d "${TMPDIR:-/tmp}/kseg-coverage.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# The server's user, who may be nobody, writes the counters there.
counters=$work/counters
mkdir "$work/kseg" "$counters" || exit 1
chmod 755 "$work"
chmod 1777 "$counters"

tar -C "$source" --exclude=./.git --exclude=./tmp_check --exclude='*.o' \
	--exclude='*.so' --exclude=node_modules --exclude=./test/unit/build \
	-cf - . | tar -C "$work/kseg" -xf - || exit 1
for modules in "$source"/*/*/node_modules
do
	[ ! -d "$modules" ] || ln -s "$modules" "$work/kseg/${modules#"$source"/}"
done
[ ! -d "$source/../shared" ] || ln -s "$source/../shared" "$work/shared"
cd "$work/kseg" || exit 1

# The server's tests run "make install" and "make installcheck" themselves, so
# the flags have to be in the environment.
unset MAKEFLAGS MFLAGS MAKELEVEL
export COPT='--coverage -fprofile-abs-path -O1'
export core_optimization=
make -s -j"$(nproc)" all || exit 1
make -s -j"$(nproc)" unit-programs unit_sanitize= || exit 1

GCOV_PREFIX=$counters nice test/server.sh test/run.sh "$@"
status=$?

# Counters go beside the notes of the compiler.  One gcov at a time: several
# would write into each other's lines.
cp -r "$counters$PWD/." . || exit 1
find . -name '*.gcda' | xargs -n 20 gcov --json-format \
	--stdout >"$work/lines" 2>"$work/gcov.log" || { cat "$work/gcov.log"; exit 1; }
python3 "$source/test/coverage.py" "$PWD" ${KSEG_UNCOVERED:+"$KSEG_UNCOVERED"} \
	<"$work/lines"
exit $status

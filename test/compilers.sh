#!/bin/bash
#
# compilers.sh [compiler]...
#
# Runs the core's unit tests as other compilers and other flags make them:
# test/unit/bits.c knows the bits of whole fits.  Without sanitizers, which
# test/run.sh has.  A compiler that is not there is skipped.

set -u

cd "$(dirname "$0")/.." || exit 1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
[ $# -gt 0 ] || set -- 'gcc -O3' 'gcc -O0' 'clang -O2' 'clang -O0'
status=0

for compiler in "$@"
do
	command -v "${compiler%% *}" >/dev/null ||
		{ echo "$compiler: not there"; continue; }
	directory=$scratch/$(tr -c '[:alnum:]\n' _ <<<"$compiler")
	make -s -j"$(nproc)" unit-programs CC="${compiler%% *}" \
		COPT="${compiler#* }" unit_sanitize= unit_dir="$directory" ||
		{ status=1; continue; }
	failed=0
	for program in "$directory"/*
	do
		case $program in
			*.*) ;;
			*) "$program" >"$scratch/output" && ! grep '^not ok' "$scratch/output" ||
				{ echo "$compiler: $(basename "$program") failed"; failed=1; } ;;
		esac
	done
	[ $failed = 0 ] && echo "$compiler: unit tests pass, the same bits" || status=1
done
exit $status

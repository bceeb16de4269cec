#!/bin/bash
#
# fuzz.sh short|long|minimise [target]...
#
# Runs the fuzzers that "make fuzz-programs" built:
#
#	short		every input of the corpus, then FUZZ_SECONDS (4) of new ones; as
#				tests, in TAP
#	long		FUZZ_SECONDS (600) for each; what is found is in
#				test/fuzz/build/found
#	minimise	after a long run: test/fuzz/corpus becomes the fewest inputs
#				that reach what corpus and findings reach
#
# A target is a program (model, pass, state, engines) or "server", for which
# the surroundings of test/server.sh are needed.

set -u

mode=${1:-short}
shift
cd "$(dirname "$0")/../.." || exit 1
build=test/fuzz/build
found=$build/found
programs="model pass state engines"
targets=${*:-$programs}
ended=0

# inputs longer than these say nothing new, and take their time
longest()
{
	case $1 in
		engines) echo 40 ;;
		state) echo 120 ;;
		*) echo 8192 ;;
	esac
}

# fuzz target seconds directory [argument]...: what is new goes to the directory
fuzz()
{
	local target=$1 seconds=$2 directory=$3 program=$build/$1

	shift 3
	mkdir -p "$directory" "test/fuzz/corpus/$target" || return
	set -- -max_total_time="$seconds" -max_len="$(longest "$target")" \
		-print_final_stats=1 "$@" "$directory" "$PWD/test/fuzz/corpus/$target"
	if [ "$target" = server ]
	then
		test/fuzz/server.sh -dict="$PWD/test/fuzz/keys.dict" "$@"
	else
		"$program" -timeout=60 -rss_limit_mb=2000 -len_control=0 "$@"
	fi
}

# Where libFuzzer is missing, there are no programs.
short()
{
	local number=0 target log

	for target in $targets
	do
		number=$((number + 1))
		if [ ! -x "$build/$target" ]
		then
			echo "ok $number - $target # SKIP not built: clang has no libFuzzer"
			continue
		fi
		log=$(mktemp) || return
		# a seed of its own for each call: chance is what fuzzing is about
		if fuzz "$target" "${FUZZ_SECONDS:-4}" "$log.d" \
			-artifact_prefix="$PWD/$build/" >"$log" 2>&1
		then
			echo "ok $number - $target: $(awk '/number_of_executed/ { print $2 }' "$log") inputs"
		else
			echo "not ok $number - $target"
			grep -av '^#[0-9]' "$log" | tail -n 60 | sed 's/^/# /'
			ended=1
		fi
		rm -rf "$log" "$log.d"
	done
	echo "1..$number"
}

long()
{
	local target

	for target in $targets
	do
		echo "== $target"
		fuzz "$target" "${FUZZ_SECONDS:-600}" "$PWD/$found/$target" \
			-artifact_prefix="$PWD/$found/$target-" 2>&1 |
			grep -avE '^#[0-9]+.*(NEW|REDUCE|pulse)'
		[ "${PIPESTATUS[0]}" = 0 ] || ended=1
	done
}

minimise()
{
	local target new

	for target in $targets
	do
		[ "$target" != server ] || continue
		new=$(mktemp -d) || return
		"$build/$target" -merge=1 -timeout=60 -max_len="$(longest "$target")" \
			"$new" "$found/$target" "test/fuzz/corpus/$target" 2>&1 | tail -n 1
		rm -rf "test/fuzz/corpus/$target" && cp -r "$new" "test/fuzz/corpus/$target"
		chmod -R a+rX "test/fuzz/corpus/$target"
		rm -rf "$new"
	done
}

"$mode"
exit $ended

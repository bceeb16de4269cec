#!/bin/bash
#
# warnings.sh
#
# Has clang read everything with warnings as errors, as gcc does when it
# builds for .ci/run, and prints TAP.  Nothing is made of it.  The server's
# headers are where gcc found them.
#
# The core and its tests have no exception.  The server's headers and callbacks
# ask for three: parameters that are not used, signs that differ in its macros,
# and a format attribute that clang does not know.

set -u

cd "$(dirname "$0")/.." || exit 1
if ! command -v clang >/dev/null
then
	echo "ok 1 - clang # SKIP no clang"
	echo "1..1"
	exit 0
fi

tests=0
failed=0

# check name files... -- flags...: one test
check()
{
	local name=$1 files=() found

	shift
	while [ "$1" != -- ]
	do
		files+=("$1")
		shift
	done
	shift
	tests=$((tests + 1))
	found=$(printf '%s\0' "${files[@]}" | xargs -0 -P "$(nproc)" -I '{}' \
		clang -fsyntax-only -std=gnu11 -D_GNU_SOURCE \
		-DKSEG_VERSION='"1.0"' -Wall -Wextra -Werror "$@" '{}' 2>&1)
	if [ $? = 0 ]
	then
		echo "ok $tests - clang: $name"
	else
		echo "not ok $tests - clang: $name"
		sed 's/^/# /' <<<"$found"
		failed=1
	fi
}

check src/core src/core/*.c --
check test/unit test/unit/*.c -- -Isrc/core
headers=$(grep -ho '[^ ]*/postgres\.h' src/pg/kseg.d | head -n 1)
for directory in src/pg src/managed
do
	check $directory $directory/*.c -- -Wno-unused-parameter \
		-Wno-sign-compare -Wno-ignored-attributes -isystem "${headers%/*}"
done
echo "1..$tests"
exit $failed

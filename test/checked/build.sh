#!/bin/bash
#
# build.sh asan|valgrind [version]
#
# Builds a PostgreSQL that watches over itself, unless it is there already, and
# prints the path of its pg_config.  Both kinds have assertions, which also
# check every piece of memory when a context is reset, and wipe what was freed:
#
#	asan		with the address and the undefined-behaviour sanitizer, which
#				guard palloc()'s memory too (valgrind/memcheck.h), and junk in
#				memory that was just handed out
#	valgrind	tells valgrind what belongs to whom; runs without it too
#
# The version is that of the server pg_config stands for, or 15.  Its source is
# the original tarball of Debian's package, which apt checks by the archive's
# signature; Debian's patches would keep --prefix from working.  What is built is
# kept in KSEG_CACHE, by default ~/.cache/kseg, or /var/cache/kseg for root, who
# builds as "nobody".  Nothing is installed anywhere else.

set -u

kind=${1:-}
pg_config=${PG_CONFIG:-pg_config}
major=${2:-$("$pg_config" --version 2>/dev/null | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p')}
major=${major:-15}
here=$(cd "$(dirname "$0")" && pwd)
unset MAKEFLAGS MFLAGS MAKELEVEL

fail()
{
	printf '%s\n' "$@" >&2
	exit 1
}

# -O1: half the time of -O2 to compile, and traces that can be read
case $kind in
	asan)
		flags="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined
			-fno-sanitize-recover=all -DUSE_VALGRIND
			-DRANDOMIZE_ALLOCATED_MEMORY"
		;;
	valgrind)
		flags="-Og -g -fno-omit-frame-pointer -DUSE_VALGRIND"
		;;
	*)
		sed -n '3,11s/^# \{0,1\}//p' "$0" >&2
		exit 2
		;;
esac

# ---- where, and as whom ----

as_user=()
if [ "$(id -u)" = 0 ]
then
	cache=${KSEG_CACHE:-/var/cache/kseg}
	as_user=(setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups)
else
	cache=${KSEG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kseg}
fi
prefix=$cache/$kind-$major
build=$cache/build-$kind-$major

# All flags, so that another choice here is another server.
configuration=$(tr -s '[:space:]' ' ' <<<"$flags")
if [ "$(cat "$prefix/.built" 2>/dev/null)" = "$configuration" ]
then
	echo "$prefix/bin/pg_config"
	exit
fi

mkdir -p "$cache" || exit 1
[ ${#as_user[@]} = 0 ] || chown nobody: "$cache"

as_user()
{
	"${as_user[@]}" env HOME="$cache" "$@"
}

# ---- the source ----

# Debian's suite that has the version; 16 was in none of its releases, but in
# one of Ubuntu's, whose tarball is PostgreSQL's too.
source_line()
{
	local keys=/usr/share/keyrings/debian-archive-keyring.gpg suite

	case $major in
		15) suite=bookworm ;;
		16)
			keys=/usr/share/keyrings/ubuntu-archive-keyring.gpg
			[ -e "$keys" ] ||
				fail "PostgreSQL 16 comes from Ubuntu, whose keys are not in $keys."
			echo "deb-src [signed-by=$keys] http://archive.ubuntu.com/ubuntu noble main"
			return
			;;
		17) suite=trixie ;;
		18) suite=sid ;;
		*) fail "no source is known for PostgreSQL $major" ;;
	esac
	echo "deb-src [signed-by=$keys] http://deb.debian.org/debian $suite main"
}

# apt with lists of its own, so that it neither needs root nor changes what the
# system knows
fetch()
{
	local apt=$cache/apt-$major

	as_user mkdir -p "$apt/lists/partial" "$apt/archives/partial" || exit 1
	source_line | as_user tee "$apt/sources.list" >/dev/null
	as_user tee "$apt/apt.conf" >/dev/null <<-END
		Dir::Etc::sourcelist "$apt/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::State::lists "$apt/lists";
		Dir::Cache "$apt";
		Acquire::Languages "none";
	END
	(cd "$cache" && export APT_CONFIG=$apt/apt.conf &&
		as_user apt-get -q update &&
		as_user apt-get -q source --download-only "postgresql-$major") \
		>"$cache/apt-$major.log" 2>&1 ||
		fail "$(tail -n 20 "$cache/apt-$major.log")" \
			"the source of PostgreSQL $major could not be fetched"
	as_user rm -rf "$apt"
}

tarball()
{
	find "$cache" -maxdepth 1 -name "postgresql-${major}_*.orig.tar.bz2" |
		sort -V | tail -n 1
}

[ -n "$(tarball)" ] || fetch

# ---- the server ----

echo "Building PostgreSQL $major ($kind) in $cache; this takes some minutes." >&2
if [ "$kind" = asan ]
then
	# valgrind's header, as far as the server is concerned
	as_user mkdir -p "$cache/include/valgrind"
	as_user tee "$cache/include/valgrind/memcheck.h" >/dev/null \
		<"$here/valgrind/memcheck.h"
	include=-I$cache/include
fi

# No leak detection: what configure tries out and what the build itself runs
# leak.
as_user ASAN_OPTIONS=detect_leaks=0 nice bash -e -s -- \
	"$prefix" "$build" "$(tarball)" "$configuration" "${include:-}" \
	>"$cache/build-$kind-$major.log" 2>&1 <<-'END' ||
	rm -rf "$2" "$1"
	mkdir "$2"
	cd "$2"
	tar -xjf "$3" --strip-components=1
	# its parser takes the compiler minutes with a sanitizer, and nobody uses it
	sed -i 's/^SUBDIRS = libpq ecpg/SUBDIRS = libpq/' src/interfaces/Makefile
	./configure -q --prefix="$1" --enable-cassert --enable-debug \
		--enable-tap-tests --with-icu --without-readline \
		CFLAGS="$4" CPPFLAGS="$5" </dev/null
	make -s -j"$(nproc)" -C src </dev/null
	make -s -C src install </dev/null
	for name in postgres_fdw citext
	do
		make -s -C "contrib/$name" install </dev/null
	done
	cp src/tools/valgrind.supp "$1"
	printf '%s\n' "$4" >"$1/.built"
END
	fail "$(tail -n 20 "$cache/build-$kind-$major.log")" \
		"PostgreSQL $major ($kind) could not be built"
rm -rf "$build"
echo "$prefix/bin/pg_config"

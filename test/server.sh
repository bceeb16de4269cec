#!/bin/bash
#
# server.sh [-c setting=value]... command [argument]...
#
# Runs the command beside a server of its own, made for it and gone with it:
#
#	test/server.sh psql				a prompt with a fresh kseg
#	test/server.sh test/run.sh		all tests
#
# kseg must be built.  It is not installed into the server's installation,
# which is only copied: a PostgreSQL program finds its files relative to
# itself, so a private tree with the same layout serves as an installation,
# and kseg goes there.  The server listens on a Unix socket in a private
# directory and nowhere else.
#
# Root cannot run PostgreSQL, so then everything runs as "nobody".  The
# command runs in a copy of the source tree that this user can read and write;
# what failed tests leave there comes back to tmp_check/.  The environment
# holds PATH, PG_CONFIG, PGHOST, PGUSER and PGDATABASE for the private server,
# and KSEG_LOG, the server's log.
#
# KSEG_CITUS, when set, names a directory that Citus was installed into by
# "make install-extension DESTDIR=..."; the private installation gets it too.
#
# KSEG_POSTGRES, when set, names a program that takes the place of postgres,
# which is postgres.bin beside it then: test/checked/postgres runs it under
# valgrind.

set -u

settings=()
while [ "${1:-}" = -c ]
do
	settings+=(-c "$2")
	shift 2
done
[ $# -gt 0 ] || { sed -n '3,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }

source=$(cd "$(dirname "$0")/.." && pwd)
pg_config=${PG_CONFIG:-pg_config}
umask 022

# Nothing of the caller's may lead to another server.
for name in $(compgen -e PG)
do
	unset "$name"
done

# ---- what is to be undone, however this ends ----

as_user=()
if [ "$(id -u)" = 0 ]
then
	as_user=(setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups)
fi

work=
child=

clean_up()
{
	local pid_file

	trap '' INT TERM HUP
	[ -n "$work" ] || return
	[ -z "$child" ] || kill -TERM "$child" 2>/dev/null
	# ours, and any that a killed test left behind
	find "$work" -name postmaster.pid 2>/dev/null | while read -r pid_file
	do
		as_user pg_ctl -D "$(dirname "$pid_file")" -m immediate -w stop \
			>/dev/null 2>&1
	done
	[ "${status:-0}" = 0 ] || bring_back
	# a test just killed may still write
	rm -rf "$work" 2>/dev/null || { sleep 1 && rm -rf "$work"; }
}

as_user()
{
	"${as_user[@]}" "$@"
}

# What tests leave, for the developer to look at.
bring_back()
{
	local name

	for name in results regress.diffs isolation.diffs tmp_check/log
	do
		[ -e "$work/kseg/$name" ] || continue
		rm -rf "${source:?}/tmp_check/${name##*/}"
		mkdir -p "$source/tmp_check" &&
			cp -r "$work/kseg/$name" "$source/tmp_check/"
	done
	[ ! -d "$source/tmp_check" ] || [ "$(id -u)" != 0 ] ||
		chown -R --reference="$source/Makefile" "$source/tmp_check"
}

trap clean_up EXIT
trap 'exit 143' TERM HUP
# Ctrl-C reaches the command too, which decides what to make of it (psql goes
# on); when it ends, so do we.
trap : INT

fail()
{
	printf '%s\n' "$@" >&2
	exit 1
}

# ---- a directory of our own ----

# The path of a socket must be shorter than 108 bytes, and programs must run
# from there.
for base in "${TMPDIR:-/tmp}" /tmp /var/tmp
do
	[ ${#base} -le 40 ] || continue
	work=$(mktemp -d "$base/kseg.XXXXXX" 2>/dev/null) || continue
	cp /bin/true "$work/true" && "$work/true" 2>/dev/null && break
	rm -rf "$work"
	work=
done
[ -n "$work" ] || fail "no usable directory for temporary files"
rm "$work/true"

# ---- a private installation ----

bindir=$("$pg_config" --bindir) || exit 1
pkglibdir=$("$pg_config" --pkglibdir)
sharedir=$("$pg_config" --sharedir)
root=$work/root

# link_all from to: a directory whose entries are those of another
link_all()
{
	mkdir -p "$2"
	find "$1" -mindepth 1 -maxdepth 1 ! -name 'kseg*' \
		-exec ln -sf -t "$2" {} +
}

# Programs are copied, since they look where a link leads; by name, since
# bindir may be /usr/bin.
mkdir -p "$root$bindir"
for name in postgres initdb pg_ctl pg_config psql createdb dropdb createuser \
	dropuser pg_isready pg_dump pg_dumpall pg_restore pg_basebackup \
	pg_controldata pg_resetwal pg_upgrade pg_waldump pgbench vacuumdb
do
	[ ! -x "$bindir/$name" ] || cp -L "$bindir/$name" "$root$bindir/" || exit 1
done
if [ -n "${KSEG_POSTGRES:-}" ]
then
	mv "$root$bindir/postgres" "$root$bindir/postgres.bin" &&
		cp "$KSEG_POSTGRES" "$root$bindir/postgres" || exit 1
	# it takes longer to start and to stop than pg_ctl would wait
	export PGCTLTIMEOUT=600
fi
link_all "$pkglibdir" "$root$pkglibdir"
link_all "$sharedir" "$root$sharedir"
rm "$root$sharedir/extension"
link_all "$sharedir/extension" "$root$sharedir/extension"

# Citus, when somebody has built it: what "make install DESTDIR=..." made of it.
if [ -n "${KSEG_CITUS:-}" ]
then
	[ -e "$KSEG_CITUS$pkglibdir/citus.so" ] ||
		fail "no citus.so in $KSEG_CITUS$pkglibdir"
	link_all "$KSEG_CITUS$pkglibdir" "$root$pkglibdir"
	link_all "$KSEG_CITUS$sharedir/extension" "$root$sharedir/extension"
fi

make -s -C "$source" PG_CONFIG="$pg_config" DESTDIR="$root" install \
	>"$work/install.log" 2>&1 || fail "$(cat "$work/install.log")"
unset MAKEFLAGS MFLAGS MAKELEVEL

export PATH=$root$bindir:$PATH
export PG_CONFIG=$root$bindir/pg_config
[ "$("$PG_CONFIG" --sharedir)" = "$root$sharedir" ] ||
	fail "this PostgreSQL cannot be moved: $sharedir"

# ---- the source tree, and who may use all this ----

mkdir "$work/kseg" "$work/tmp"
tar -C "$source" --exclude=./.git --exclude=./tmp_check \
	--exclude=node_modules -cf - . | tar -C "$work/kseg" -xf - || exit 1
# Libraries from npm are many files: links will do, unless the clone is closed
# to the server's user.
for modules in "$source"/*/*/node_modules
do
	[ -d "$modules" ] || continue
	if as_user ls "$modules/.installed" >/dev/null 2>&1
	then
		ln -s "$modules" "$work/kseg/${modules#"$source"/}"
	else
		cp -r "$modules" "$work/kseg/${modules#"$source"/}"
	fi
done
# Real data that some tests use when a developer has them beside the source.
if [ -d "$source/../shared/data" ]
then
	mkdir "$work/shared" && cp -rL "$source/../shared/data" "$work/shared/"
	chmod -R u+w,go+r "$work/shared"
fi
[ "$(id -u)" != 0 ] || chown -R nobody: "$work"
cd "$work/kseg" || exit 1

# ---- the server ----

export PGHOST=$work PGUSER=postgres PGDATABASE=postgres
export KSEG_LOG=$work/server.log
export TMPDIR=$work/tmp HOME=$work/tmp LC_ALL=C.UTF-8

as_user initdb -D "$work/data" -U postgres -A trust -N -E UTF8 --no-locale \
	>"$work/initdb.log" 2>&1 || fail "$(cat "$work/initdb.log")"
cat >>"$work/data/postgresql.conf" <<END
listen_addresses = ''
unix_socket_directories = '$work'
fsync = off
full_page_writes = off
synchronous_commit = off
END
as_user pg_ctl -D "$work/data" -l "$KSEG_LOG" -w -o "${settings[*]}" start \
	>/dev/null || fail "$(cat "$KSEG_LOG")"

# In the background, so that a signal to this script is not kept waiting; with
# its own Ctrl-C, which the shell denies to background commands.
env --default-signal=INT,QUIT "${as_user[@]}" "$@" <&0 &
child=$!
while :
do
	wait "$child"
	status=$?
	kill -0 "$child" 2>/dev/null || break
done
child=
exit "$status"

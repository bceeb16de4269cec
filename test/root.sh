#!/bin/bash
#
# root.sh [-n] release command
#
# Runs a command, as root, in a bare system of another release of Debian or
# Ubuntu, beside a copy of this source tree:
#
#	test/root.sh trixie 'make test'
#	test/root.sh -n bookworm 'make demo'	in a new one
#
# The system is made by debootstrap, with make, git and nothing else, in
# $KSEG_ROOTS (/var/tmp/kseg-roots), and stays there with the packages that
# commands installed, until -n asks for a new one.  Its processes and mounts end
# with the command.  Input, output and descriptor 3 are the caller's.
#
# The network is the caller's: resolv.conf, apt's proxies, own certificates.

set -u

fresh=
[ "${1:-}" != -n ] || { fresh=yes; shift; }
[ $# = 2 ] || { sed -n '3,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }

release=$1
command=$2
source=$(cd "$(dirname "$0")/.." && pwd)
roots=${KSEG_ROOTS:-/var/tmp/kseg-roots}
root=$roots/$release

fail()
{
	printf '%s\n' "$@" >&2
	exit 1
}

[ "$(id -u)" = 0 ] ||
	fail "Only root can make a system in a directory. Please run it as root or with sudo."
for tool in debootstrap unshare git
do
	command -v $tool >/dev/null ||
		fail "$tool is missing; Debian: apt-get install debootstrap util-linux git"
done

# ---- the system ----

ubuntu_keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg

# Debian 12 has no keys of Ubuntu's; 13 has, signed by Debian.
keyring_of_ubuntu()
{
	local keyring

	[ ! -f $ubuntu_keyring ] || { echo $ubuntu_keyring; return; }
	keyring=$roots/trixie$ubuntu_keyring
	[ -f "$keyring" ] ||
		"$0" trixie 'apt-get update -q && apt-get install -q -y ubuntu-archive-keyring' \
			</dev/null >"$roots/keyring.log" 2>&1
	[ -f "$keyring" ] || fail "$(cat "$roots/keyring.log")" "No keys of Ubuntu's."
	echo "$keyring"
}

make_root()
{
	local mirror=http://deb.debian.org/debian options=() script=

	case $release in
		jammy | noble | plucky | questing | resolute)
			mirror=http://archive.ubuntu.com/ubuntu
			options=(--keyring="$(keyring_of_ubuntu)" --components=main,universe) || exit 1
			# releases newer than debootstrap
			script=gutsy
			;;
		*) script=sid ;;
	esac
	rm -rf --one-file-system "$root" "$root.new"
	mkdir -p "$roots/packages"
	nice debootstrap --variant=minbase --include=make,git,ca-certificates \
		--cache-dir="$roots/packages" "${options[@]}" "$release" "$root.new" \
		"${KSEG_MIRROR:-$mirror}" $script </dev/null >"$root.log" 2>&1 ||
		fail "$(tail -n 20 "$root.log")" "debootstrap could not make $root."
	# Debian's releases are renewed in place, Ubuntu's are not
	[ $script = sid ] ||
		sed "s/ $release / $release-updates /" "$root.new/etc/apt/sources.list" \
			>"$root.new/etc/apt/sources.list.d/updates.list"
	mv "$root.new" "$root"
}

mkdir -p "$roots" || exit 1
roots=$(cd "$roots" && pwd)
root=$roots/$release
exec 9>"$root.lock"
flock -n 9 || fail "$root is in use."
[ -z "$fresh" ] && [ -d "$root" ] || make_root

cp -L /etc/resolv.conf "$root/etc/resolv.conf"
apt-config dump 2>/dev/null |
	grep -E '^Acquire::(https?::|Check-|Retries|ForceIP)' >"$root/etc/apt/apt.conf.d/99caller"
if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null
then
	cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
	chroot "$root" update-ca-certificates </dev/null >/dev/null 2>&1
fi

# ---- the source tree ----

# What git knows or could add, as it is now.  Objects stay, which make looks
# after, and libraries from npm, which take long.
tree=$root/root/kseg
mkdir -p "$tree"
find "$tree" -name node_modules -prune -o ! -type d ! -name '*.[do]' ! -name .flags -exec rm -f {} +
(cd "$source" && git ls-files -z --cached --others --exclude-standard --deduplicate |
	while IFS= read -r -d '' file
	do
		[ ! -e "$file" ] || printf '%s\0' "$file"
	done | tar --null --no-recursion -T - --owner=0 --group=0 -cf -) |
	tar -C "$tree" -xf - || fail "The source tree could not be copied."

# ---- the command ----

# The process that starts first in a namespace of processes takes all others
# with it.
in_root='
root=$1
mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" &&
	mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm" || exit 1
shift
chroot "$root" env -i HOME=/root LANG=C.UTF-8 \
	PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	"$@"
status=$?
exit $status'
kept=()
for name in CI COPT http_proxy https_proxy no_proxy NODE_EXTRA_CA_CERTS
do
	[ -z "${!name:-}" ] || kept+=("$name=${!name}")
done
exec nice unshare --mount --propagation private --pid --fork --kill-child \
	bash -c "$in_root" bash "$root" "${kept[@]}" bash -c "cd /root/kseg && $command"

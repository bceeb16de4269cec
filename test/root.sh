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
# with the command, or with this script.  Input, output and descriptor 3 are the
# caller's.
#
# The network is the caller's: resolv.conf, apt's and npm's proxies and mirrors,
# own certificates.

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
for tool in debootstrap unshare setpriv git
do
	command -v $tool >/dev/null ||
		fail "$tool is missing; Debian: apt-get install debootstrap util-linux git"
done

# alone command...: in namespaces of its own for mounts and processes.  The
# process that starts first there takes all others with it, and no mount
# remains.  unshare heeds no signal but this one.
alone()
{
	nice setpriv --pdeathsig KILL \
		unshare --mount --propagation private --pid --fork --kill-child "$@"
}

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
	alone --mount-proc debootstrap --variant=minbase --include=make,git,ca-certificates \
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

# npm's settings, as npm names their files; they may hold a password
npmrc=${NPM_CONFIG_USERCONFIG:-$HOME/.npmrc} global_npmrc=/etc/npmrc cafile=
if command -v npm >/dev/null
then
	npmrc=$(npm config get userconfig 2>/dev/null)
	global_npmrc=$(npm config get globalconfig 2>/dev/null)
	cafile=$(npm config get cafile 2>/dev/null)
fi

# All certificates go where everybody there looks.
bundle=/etc/ssl/certs/ca-certificates.crt
own_certificates=
for file in /usr/local/share/ca-certificates/*.crt "${NODE_EXTRA_CA_CERTS:-}" "$cafile"
do
	[ -f "$file" ] && [ "$file" != $bundle ] || continue
	cp "$file" "$root/usr/local/share/ca-certificates/$(basename "${file%.*}").crt"
	own_certificates=yes
done
[ -z "$own_certificates" ] || chroot "$root" update-ca-certificates </dev/null >/dev/null 2>&1

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

in_root='
root=$1 npmrc=$2 global_npmrc=$3
shift 3
mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" &&
	mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm" || exit 1
# mounted, so that no password stays there
lend()
{
	[ ! -f "$1" ] || { touch "$2" && mount --bind "$1" "$2"; }
}
lend "$npmrc" "$root/root/.npmrc" && lend "$global_npmrc" "$root/root/.npmrc.global" || exit 1
chroot "$root" env -i HOME=/root LANG=C.UTF-8 \
	PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	"$@"
status=$?
exit $status'
kept=(NODE_EXTRA_CA_CERTS=$bundle npm_config_cafile=$bundle npm_config_globalconfig=/root/.npmrc.global)
for name in CI COPT http_proxy https_proxy no_proxy npm_config_registry
do
	[ -z "${!name:-}" ] || kept+=("$name=${!name}")
done
alone bash -c "$in_root" bash "$root" "$npmrc" "$global_npmrc" "${kept[@]}" \
	bash -c "cd /root/kseg && $command"

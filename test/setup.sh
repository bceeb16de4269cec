#!/bin/bash
#
# setup.sh build|demo|dashboard|bench|lint|test|fuzz|smith|deb|checked
#
# Sees to it that what is needed to build kseg (build), to demonstrate it too
# (demo, dashboard), to compare it with others (bench), to have it read by
# clang-tidy and cppcheck (lint), to test it (test), to test it on servers that
# are built for that (checked), or to make packages of it (deb), is there;
# installs from Debian's packages what is not, without a question.  When nothing
# is missing it does nothing, at once.
#
# What draws pictures is wanted, not needed, but for the dashboard: Node.js with
# the libraries that package-lock.json of test/plots and docs/dashboard names,
# from npm, and for tests Chromium.  So are, for tests, clang, pg_cron and the
# drivers that BI tools use (node-postgres by test/drivers/package-lock.json), and
# what benchmarks compare with.  Where it cannot be had, the tour, the tests and
# the benchmark go on without it, and say so.
#
# Servers that are there stay as they are: only missing packages are named to
# apt, and the packages' scripts may neither make a cluster nor start, stop or
# restart one.

set -u

goal=${1:-test}
pg_config=${PG_CONFIG:-pg_config}
cd "$(dirname "$0")/.." || exit 1

fail()
{
	printf '%s\n' "$@" >&2
	exit 1
}

# ---- what is missing ----

major()
{
	"$pg_config" --version 2>/dev/null |
		sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p'
}

supported()
{
	case $1 in
		15 | 16 | 17 | 18) true ;;
		*) false ;;
	esac
}

has_server()
{
	local bin pgxs headers

	supported "$(major)" || return 1
	bin=$("$pg_config" --bindir)
	pgxs=$("$pg_config" --pgxs)
	headers=$("$pg_config" --includedir-server)
	[ -x "$bin/postgres" ] && [ -x "$bin/initdb" ] && [ -x "$bin/psql" ] &&
		[ -f "$pgxs" ] && [ -f "$headers/postgres.h" ]
}

has_compiler()
{
	command -v gcc >/dev/null && [ -f /usr/include/stdlib.h ]
}

has_sanitizers()
{
	case $(gcc -print-file-name=libasan.so 2>/dev/null) in
		/*) true ;;
		*) false ;;
	esac
}

has_package_tools()
{
	command -v dpkg-buildpackage >/dev/null && command -v dh >/dev/null &&
		[ -f /usr/share/perl5/Debian/Debhelper/Sequence/pgxs_loop.pm ]
}

# libFuzzer is a part of clang's runtime library
has_libfuzzer()
{
	echo 'int LLVMFuzzerTestOneInput(const char *b, long n) { return 0; }' |
		clang -fsanitize=fuzzer,address -x c - -o /dev/null 2>/dev/null
}

# The packages it is in, for the release's own version of clang.
fuzzer_packages()
{
	local version

	version=$(apt-cache show clang 2>/dev/null |
		sed -n 's/^Depends:.*\<clang-\([0-9]*\).*/\1/p' | head -n 1)
	echo "clang${version:+ libclang-rt-$version-dev}"
}

# what PostgreSQL is built from, with the features that the tests use
has_server_tools()
{
	local file

	for file in /usr/include/zlib.h /usr/include/unicode/ucol.h \
		/usr/include/valgrind/memcheck.h
	do
		[ -e "$file" ] || return
	done
	command -v valgrind >/dev/null && command -v bison >/dev/null &&
		command -v flex >/dev/null && command -v bzip2 >/dev/null &&
		command -v pkg-config >/dev/null
}

has_prove()
{
	command -v prove >/dev/null && perl -MIPC::Run -MTest::More -e 1 2>/dev/null
}

has_node()
{
	command -v npm >/dev/null && node -e '
process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null
}

has_browser()
{
	command -v chromium >/dev/null || command -v google-chrome >/dev/null
}

# has_extension name [library]: of the server that pg_config stands for
has_extension()
{
	[ -f "$("$pg_config" --pkglibdir)/${2:-$1}.so" ] &&
		[ -f "$("$pg_config" --sharedir)/extension/$1.control" ]
}

# extension_package before after: the package of an extension, with the server's
# version between, unless apt is known not to have one: not every release has
# one for every server, and asking again at every call takes time.  A server
# that Debian did not build has none.
extension_package()
{
	local version package

	version=$(major)
	package=$1$version$2
	[ "$("$pg_config" --bindir)" = "/usr/lib/postgresql/$version/bin" ] || return
	if ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null ||
		apt-cache show "$package" >/dev/null 2>&1
	then
		echo "$package"
	fi
}

# What the goal wants of extensions that is not there.
extension_packages()
{
	case $goal in
		test)
			has_extension pg_cron || extension_package postgresql- -cron
			;;
		bench)
			has_extension plpython3u plpython3 ||
				extension_package postgresql-plpython3- ""
			has_extension postgis postgis-3 ||
				extension_package postgresql- -postgis-3
			;;
	esac
}

# a module of Debian's Python
has_python_module()
{
	/usr/bin/python3 -c '
import importlib.util, sys
sys.exit(importlib.util.find_spec(sys.argv[1]) is None)' "$1" 2>/dev/null
}

# javac is a JDK's, or that of ecj, which makes do with the runtime: half the
# size
has_java()
{
	command -v java >/dev/null && command -v javac >/dev/null
}

# a BLAS that does scikit-learn justice
has_openblas()
{
	compgen -G '/usr/lib/*/openblas-pthread/libblas.so.3' >/dev/null
}

# has_modules directory: the lock file that was installed is kept beside what
# it names
has_modules()
{
	cmp -s "$1/package-lock.json" "$1/node_modules/.installed"
}

# The version to install: what pg_config stands for, else that of a server
# that is there, else the newest that apt has.
choose_major()
{
	local version=$1 server

	if supported "$version"
	then
		echo "$version"
		return
	fi
	for version in 18 17 16 15
	do
		server=/usr/lib/postgresql/$version/bin/postgres
		[ -x "$server" ] && echo "$version" && return
	done
	for version in 18 17 16 15
	do
		apt-cache show "postgresql-server-dev-$version" >/dev/null 2>&1 &&
			echo "$version" && return
	done
}

packages=()
needs_server=
if [ "$goal" = checked ]
then
	has_server_tools || packages+=(make bison flex bzip2 pkg-config zlib1g-dev
		libicu-dev valgrind)
elif ! has_server
then
	[ "$pg_config" = pg_config ] ||
		fail "$pg_config does not belong to a PostgreSQL 15 to 18 with server and headers."
	needs_server=yes
fi
has_compiler || packages+=(gcc libc6-dev)
case $goal in
	smith) command -v sqlsmith >/dev/null || packages+=(sqlsmith) ;;
esac
if [ "$goal" = test ] || [ "$goal" = checked ]
then
	has_compiler && ! has_sanitizers && packages+=(gcc libc6-dev)
	has_prove || packages+=(perl libipc-run-perl)
fi
if [ "$goal" = test ]
then
	if compgen -G 'test/sklearn/*.py' >/dev/null && ! has_python_module sklearn
	then
		packages+=(python3 python3-sklearn)
	fi
fi
if [ "$goal" = deb ] && ! has_package_tools
then
	packages+=(build-essential debhelper postgresql-server-dev-all)
fi
if [ "$goal" = lint ]
then
	command -v clang-tidy >/dev/null || packages+=(clang-tidy)
	command -v cppcheck >/dev/null || packages+=(cppcheck)
fi
wanted=()
modules=()
case $goal in
	demo) modules=(test/plots) ;;
	dashboard) modules=(docs/dashboard) ;;
	test) modules=(test/plots test/drivers docs/dashboard) ;;
	bench)
		has_python_module sklearn || wanted+=(python3 python3-sklearn)
		has_openblas || wanted+=(libopenblas0-pthread)
		has_python_module psycopg2 || wanted+=(python3-psycopg2)
		command -v Rscript >/dev/null || wanted+=(r-base-core)
		;;
esac
# of a server that is still to come: see install_packages
[ -n "$needs_server" ] || wanted+=($(extension_packages))
[ ${#modules[@]} = 0 ] || has_node || wanted+=(nodejs npm)
if [ "$goal" = test ]
then
	command -v clang >/dev/null || wanted+=(clang)
	has_browser || wanted+=(chromium)
	has_python_module psycopg2 || wanted+=(python3-psycopg2)
	has_python_module sqlalchemy || wanted+=(python3-sqlalchemy)
	has_java || wanted+=(ecj)
	[ -e /usr/share/java/postgresql.jar ] || wanted+=(libpostgresql-jdbc-java)
fi
case $goal in
	test | fuzz) has_libfuzzer || wanted+=(libfuzzer) ;;
esac

# ---- installing it ----

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo -n)

# What keeps packages from being installed, if anything does.
obstacle()
{
	if ! command -v apt-get >/dev/null
	then
		echo "This is no Debian; please install it by hand."
	elif [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null
	then
		echo "Please run once, as root or with sudo: make setup"
	fi
}

if [ -n "$needs_server" ] || [ ${#packages[@]} -gt 0 ]
then
	reason=$(obstacle)
	[ -z "$reason" ] ||
		fail "Missing: ${needs_server:+PostgreSQL 15 to 18 with server headers }${packages[*]}" \
			"$reason"
elif [ ${#wanted[@]} -gt 0 ]
then
	reason=$(obstacle)
	if [ -n "$reason" ]
	then
		echo "Missing, but not needed: ${wanted[*]}. $reason"
		wanted=()
	fi
fi

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# The packages' scripts find these before the real ones.
mkdir "$scratch/bin"
for name in invoke-rc.d deb-systemd-invoke
do
	cat >"$scratch/bin/$name" <<-END
		#!/bin/sh
		case "\$*" in
			*postgresql*) exit 0 ;;
		esac
		for dir in /usr/sbin /usr/bin
		do
			[ ! -x \$dir/$name ] || exec \$dir/$name "\$@"
		done
	END
done
printf '#!/bin/sh\nexit 0\n' >"$scratch/bin/pg_createcluster"
chmod -R a+rX "$scratch"
chmod a+x "$scratch"/bin/*

apt()
{
	# NEEDRESTART_SUSPEND: needrestart would restart servers whose libraries
	# changed
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
		NEEDRESTART_SUSPEND=1 LC_ALL=C.UTF-8 \
		apt-get -q -y -o DPkg::Lock::Timeout=600 \
		-o DPkg::Path="$scratch/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
		-o Dpkg::Options::=--force-confold \
		"$@" </dev/null >>"$scratch/log" 2>&1
}

install_packages()
{
	local version name

	# A source that cannot be reached need not be the one we need.
	echo "Installing from Debian's packages what is missing; this can take minutes."
	apt update || echo "apt-get update failed; trying with what is known"

	if [ -n "$needs_server" ]
	then
		version=$(choose_major "$(major)")
		[ -n "$version" ] ||
			fail "$(tail -n 20 "$scratch/log")" \
				"apt has no postgresql-server-dev-15 (nor 16, 17, 18)."
		[ -x "/usr/lib/postgresql/$version/bin/postgres" ] ||
			packages+=("postgresql-$version")
		packages+=("postgresql-server-dev-$version")
	fi

	if [ ${#packages[@]} -gt 0 ]
	then
		echo "  ${packages[*]}"
		apt install --no-install-recommends --no-upgrade "${packages[@]}" ||
			fail "$(tail -n 30 "$scratch/log")" \
				"apt-get could not install ${packages[*]}"
	fi
	[ -z "$needs_server" ] || wanted+=($(extension_packages))
	# one by one: where a release lacks one, the others are still of use
	for name in "${wanted[@]}"
	do
		[ "$name" != libfuzzer ] || name=$(fuzzer_packages)
		echo "  $name"
		# may be several
		apt install --no-install-recommends --no-upgrade $name ||
			echo "apt-get could not install $name; going on without"
	done

	[ "$goal" = checked ] || has_server ||
		fail "$pg_config still finds no PostgreSQL 15 to 18 with server and headers."
	has_compiler || fail "gcc is still missing"
}

# install_modules directory.  What root installs in somebody's clone is handed
# to its owner.
install_modules()
{
	local directory=$1

	echo "Installing from npm the libraries of $directory."
	if (cd "$directory" && timeout -k 10 300 npm ci --cache="$scratch/npm" \
		--fetch-retries=1 --fetch-timeout=30000 </dev/null \
		>>"$scratch/log" 2>&1)
	then
		cp "$directory/package-lock.json" "$directory/node_modules/.installed"
	else
		tail -n 5 "$scratch/log"
		echo "npm could not install them; going on without"
	fi
	[ "$(id -u)" != 0 ] || [ ! -d "$directory/node_modules" ] ||
		chown -R --reference=Makefile "$directory/node_modules"
}

if [ -n "$needs_server" ] || [ ${#packages[@]} -gt 0 ] || [ ${#wanted[@]} -gt 0 ]
then
	install_packages
fi
for directory in "${modules[@]}"
do
	! has_node || has_modules "$directory" || install_modules "$directory"
done
[ "$goal" != dashboard ] || has_modules docs/dashboard ||
	fail "The dashboard needs Node.js 18 or later and the libraries of docs/dashboard." \
		"By hand: cd docs/dashboard && npm ci"

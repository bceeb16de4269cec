#!/bin/bash
#
# deb.sh
#
# Makes Debian packages in packaging/build: one for each server version that
# postgresql-server-dev-all brings.  The source is the commit that is checked
# out; outside of a clone, this tree.  Nothing is left in it: dpkg-buildpackage
# gets a copy, with packaging/debian as its debian/.
#
# DEB_BUILD_OPTIONS=nocheck leaves the tests out.

set -eu

cd "$(dirname "$0")/.."
version=$(sed -n "s/^default_version *= *'\(.*\)'/\1/p" kseg.control)
build=$PWD/packaging/build
tree=$build/kseg-$version

rm -rf "$build"
mkdir -p "$tree"
if [ -e .git ]
then
	git archive HEAD | tar -x -C "$tree"
	when=$(git log -1 --format=%cd --date=rfc)
else
	tar --exclude=./packaging/build --exclude=node_modules -cf - . | tar -x -C "$tree"
	when=$(date -R)
fi
cd "$tree"
cp -r packaging/debian debian
cat >debian/changelog <<END
kseg ($version) unstable; urgency=medium

  * Version $version; see docs/changelog.md.

 -- $(sed -n 's/^Maintainer: //p' debian/control.in)  $when
END
pg_buildext updatecontrol
dpkg-buildpackage --build=binary --no-sign --jobs="$(nproc)"

rm -rf "$tree"
ls -l "$build"

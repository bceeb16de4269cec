#!/bin/bash
#
# dist.sh
#
# Makes kseg-<version>.zip in packaging/build, from the commit that is checked
# out, as PGXN takes it.

set -eu

cd "$(dirname "$0")/.."
packaging/meta.py

# PGXN wants three numbers
version=$(sed -n "s/^default_version *= *'\(.*\)'/\1/p" kseg.control).0
zip=packaging/build/kseg-$version.zip
mkdir -p packaging/build
git archive --format=zip --prefix="kseg-$version/" --output="$zip" HEAD
echo "$zip"

#!/bin/bash
#
# run.sh
#
# Makes the dashboard of a shop's segmentation, inside test/server.sh; the page
# is written to file 3.

set -eu
cd "$(dirname "$0")"

echo "Three weeks of runs, a moment for each night."
psql -X -q -f shop.sql
node ../../docs/dashboard/dashboard.mjs --segmentation shop --rules >&3

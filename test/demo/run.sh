#!/bin/bash
#
# run.sh [psql]
#
# The tour of kseg, inside test/server.sh.  With "psql" it ends at a prompt
# where the customers and the model are at hand.

set -u
cd "$(dirname "$0")" || exit 1

psql -X -q -f demo.sql || exit 1
[ "${1:-}" != psql ] || psql

#!/bin/sh
# go_on.sh: restores the dump that it reads, and prints what the next nights do
set -e
createdb came
psql -X -q -v ON_ERROR_STOP=1 -d came >/dev/null
psql -X -q -At -v ON_ERROR_STOP=1 -d came -f test/versions/after.sql

#!/bin/sh
# leave.sh: prints the dump of a database with a past, and to descriptor 3 what
# its next nights do
set -e
createdb left
psql -X -q -v ON_ERROR_STOP=1 -d left -f test/versions/before.sql >/dev/null
pg_dump left
psql -X -q -At -v ON_ERROR_STOP=1 -d left -f test/versions/after.sql >&3

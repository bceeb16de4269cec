#!/bin/bash
#
# run.sh [psql]
#
# The tour of kseg, inside test/server.sh.  With "psql" it ends at a prompt
# where the customers and the model are at hand.  If file 3 is open, a page with
# the tour's pictures is written to it; KSEG_DEMO_PAGE says where that is.

set -u
cd "$(dirname "$0")" || exit 1

# page directory: of the pictures there, those that can be shown
page()
{
	if node ../plots/page.mjs "$1/page.html" 'Segments of 20,000 customers' \
		"$1"/*.json "$1"/*.svg 2>/dev/null
	then
		cat "$1/page.html"
	else
		echo '<!DOCTYPE html>'
		echo '<html lang="en"><head><meta charset="utf-8">'
		echo '<title>Segments of 20,000 customers</title></head><body>'
		cat "$1"/*.svg
		echo '</body></html>'
		echo "Without Node.js and its libraries the page holds the SVG pictures only." >&2
	fi
}

psql -X -q -f demo.sql || exit 1
if [ "${1:-}" = psql ]
then
	psql -X -q -f nights.sql || exit 1
	psql
	exit
fi
directory=
if { true >&3; } 2>/dev/null
then
	# the customers as they are by day; the nights change them
	directory=$(mktemp -d) &&
		psql -X -q -v directory="$directory" -f pictures.sql || exit 1
fi
psql -X -q -f nights.sql || exit 1
if [ -n "$directory" ]
then
	page "$directory" >&3 || exit 1
	rm -r "$directory"
	echo "The segments in pictures, to be opened in a browser:"
	echo
	echo "    ${KSEG_DEMO_PAGE:-}"
	echo
fi

#!/bin/bash
#
# picture.sh
#
# Makes the picture of the dashboard that README.md shows, inside
# test/server.sh:
#
#	test/server.sh test/dashboard/picture.sh >docs/pictures/dashboard.png

set -eu
cd "$(dirname "$0")"
directory=$(mktemp -d)

./run.sh 3>"$directory/page.html" >&2
node browse.mjs "$(command -v chromium || command -v google-chrome)" \
	"$directory/page.html" "$directory" picture >&2
cat "$directory/dashboard.png"

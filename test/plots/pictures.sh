#!/bin/bash
#
# pictures.sh
#
# Makes the documentation's pictures, of the tour's customers, inside
# test/server.sh; they come as an archive:
#
#	test/server.sh test/plots/pictures.sh | tar --no-same-owner -C docs/pictures -xf -

set -eu
cd "$(dirname "$0")"
directory=$(mktemp -d)

psql -X -q -f ../demo/demo.sql >/dev/null
psql -X -q -v directory="$directory" -f ../demo/pictures.sql
# a small file: few points, and none read aloud
psql -X -q -At -o "$directory/scatter.json" <<-'END'
	SELECT jsonb_set(kseg_plot_scatter(model, 'TABLE customers',
		'customer_id', 400)::jsonb, '{config,aria}', 'false')
	FROM models;
END
cd "$directory"
mv 1-elbow.json elbow.json
mv 6-profile.svg profile.svg
node "$OLDPWD/render.mjs" . elbow.json scatter.json >&2
tar -cf - elbow.svg profile.svg scatter.svg

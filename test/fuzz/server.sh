#!/bin/bash
#
# server.sh [libFuzzer's argument]... corpus...
#
# Runs the fuzzer of server.c in a process of the private server: installs the
# instrumented kseg as the extension "kseg_fuzz", makes seeds in a database, and
# calls it.  The first corpus gets what is new.  In the surroundings of
# test/server.sh.

set -u

here=$(cd "$(dirname "$0")" && pwd)
library=$here/build/server.so
directory=$("$PG_CONFIG" --sharedir)/extension
seeds=$TMPDIR/seeds
database=kseg_fuzz
from=$(wc -l <"$KSEG_LOG")

sql()
{
	psql -X -q -At -v ON_ERROR_STOP=1 -d "$database" "$@"
}

# ---- the extension under another name ----

cp "$library" "$("$PG_CONFIG" --pkglibdir)/kseg_fuzz.so" || exit 1
version=$(sed -n "s/^default_version *= *'\(.*\)'/\1/p" "$here/../../kseg.control")
sed "s/^module_pathname.*/module_pathname = '\$libdir\/kseg_fuzz'/" \
	"$here/../../kseg.control" >"$directory/kseg_fuzz.control" &&
	cp "$here/../../sql/kseg--$version.sql" \
		"$directory/kseg_fuzz--$version.sql" || exit 1
dropdb --if-exists "$database" 2>/dev/null
createdb "$database" && sql <<-'END' || exit 1
	CREATE EXTENSION kseg_fuzz;
	CREATE FUNCTION kseg_fuzz(VARIADIC text[]) RETURNS int
		AS '$libdir/kseg_fuzz' LANGUAGE C;
	CREATE FUNCTION kseg_fuzz_survey() RETURNS kseg_pass
		AS '$libdir/kseg_fuzz' LANGUAGE C;
	CREATE TABLE fuzz_rows AS
	SELECT (i % 7)::float8 AS a, (i * i % 11)::float8 AS b, i / 3.0::float8 AS c,
		(ARRAY['red', 'green', 'blue'])[i % 3 + 1] AS d
	FROM generate_series(1, 20) AS i;
	CREATE TABLE seeds (letter text, bytes bytea);
	CREATE TABLE models AS
	SELECT kseg_fit(2, a, b) AS m FROM fuzz_rows
	UNION ALL SELECT kseg_fit(3, a, b, c) FROM fuzz_rows
	UNION ALL SELECT kseg_fit('{"k": 2, "nulls": "mean", "clip": [0, 0.9]}'::jsonb, a, d)
	FROM fuzz_rows
	UNION ALL SELECT kseg_fit('{"k": 2, "distance": "cosine"}'::jsonb, a, b)
	FROM fuzz_rows;
	INSERT INTO seeds
	SELECT 'm', convert_to(m::text, 'UTF8') FROM models
	UNION ALL SELECT 'M', kseg_model_send(m) FROM models
	UNION ALL SELECT 's', convert_to(kseg_scaler('robust', a, b)::text, 'UTF8')
	FROM fuzz_rows
	UNION ALL SELECT 'S', kseg_scaler_send(kseg_scaler('zscore', a, b))
	FROM fuzz_rows
	UNION ALL SELECT 'P', kseg_pass_send(kseg_fuzz_survey())
	UNION ALL SELECT 'T', set_byte(set_byte('\x00000000'::bytea, 0, length(p) % 256),
			1, length(p) / 256) || p || s
	FROM (SELECT kseg_pass_send(kseg_fuzz_survey()) AS p,
			kseg_state_send(kseg_accum(kseg_point(kseg_fuzz_survey(), a, b, d))) AS s
		  FROM fuzz_rows) AS t
	UNION ALL SELECT 'o', convert_to(o, 'UTF8') FROM (VALUES
		('{"k": 3, "scale": "robust", "weights": {"a": 2, "d": 0.5}, "nulls": "mean"}'),
		('{"row_weight": "w", "clip": [0.01, 0.99], "n_init": 5, "sample": 100}'),
		('{"k": 2, "max_iter": 9, "tol": 0.1, "seed": 7, "order_by": "b", "small": "error"}'),
		('{"init": [[1, 2, "red"], {"a": 1, "b": 2e3, "d": {"red": 0.5, "blue": 0.5}}]}'),
		('{"distance": "cosine", "engine": "memory", "order_by": "size"}')) AS v (o)
	UNION ALL SELECT 'o', convert_to(jsonb_build_object('previous', m)::text, 'UTF8')
	FROM models
	UNION ALL SELECT 'o', convert_to(jsonb_build_object('init', m)::text, 'UTF8')
	FROM models
	UNION ALL VALUES ('r', '{"psi": 0.1, "share_psi": null, "inertia": 1.5, "age": "90 days"}'::bytea),
		('h', '{"moved": 0.5, "vanished": null, "inertia": 0}');
END
mkdir -p "$seeds" || exit 1
sql -c "SELECT letter || '-' || row_number() OVER () || ' ' ||
	encode(convert_to(letter, 'UTF8') || bytes, 'hex') FROM seeds" |
	perl -e 'while (<STDIN>) { ($name, $hex) = split; open F, ">:raw", "$ARGV[0]/$name"; print F pack "H*", $hex; close F }' "$seeds"

# ---- the fuzzer ----

arguments=
for argument in -timeout=0 -rss_limit_mb=0 -malloc_limit_mb=0 -handle_usr1=0 \
	-handle_usr2=0 -handle_int=0 -handle_term=0 "$@" "$seeds"
do
	arguments+="${arguments:+, }'${argument//\'/\'\'}'"
done
# its process ends with the last input; what it says is in the server's log
sql -c "SELECT kseg_fuzz($arguments)" >/dev/null 2>&1
tail -n "+$((from + 1))" "$KSEG_LOG" | grep -aE '^(#|INFO|stat::|artifact|SUMMARY|internal error|==|DEATH|Base64|MS:)|does not hold|libFuzzer'
tail -n "+$((from + 1))" "$KSEG_LOG" | grep -qa '^stat::number_of_executed_units' &&
	! tail -n "+$((from + 1))" "$KSEG_LOG" | grep -qaE 'was terminated by|ERROR: libFuzzer|deadly'

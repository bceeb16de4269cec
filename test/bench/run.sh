#!/bin/bash
#
# run.sh
#
# The benchmark, inside test/server.sh ("make bench").  Every figure is a ratio
# of two times taken in the same run on the same rows; README.md explains
# each.  Settings from the environment: BENCH_ROWS (1000000), BENCH_ROUNDS (7),
# BENCH_SIMD (auto), BENCH_NIGHTS (7), BENCH_REFITS (3).

set -u
cd "$(dirname "$0")" || exit 1
rows=${BENCH_ROWS:-1000000}
rounds=${BENCH_ROUNDS:-7}
simd=${BENCH_SIMD:-auto}
log=$(mktemp)

echo "making $rows rows"
psql -X -q -v rows="$rows" -f data.sql || exit 1
for ((i = 1; i <= rounds; i++))
do
	printf 'round %d of %d\n' "$i" "$rounds"
	psql -X -q -v rows="$rows" -v simd="$simd" -f round.sql >>"$log" 2>&1 ||
		{ cat "$log"; exit 1; }
done

awk -v rows="$rows" -v features=8 '
function median(label, n, i, j, t, v) {
	n = count[label]
	for (i = 1; i <= n; i++) v[i] = time[label, i]
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && v[j] < v[j - 1]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
	low[label] = v[1]; high[label] = v[n]
	return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
function ratio(text, a, b, target) {
	printf "%-58s %8.2f   %s\n", text, m[a] / m[b], target
}
/^@memory/ { getline; anonymous = $1 - $2 > anonymous ? $1 - $2 : anonymous; next }
/^@/ { label = substr($1, 2); next }
/^Time:/ && label != "" { time[label, ++count[label]] = $2; label = ""; next }
/kseg: read / && match($0, /in [0-9.]+ ms/) {
	time["read", ++count["read"]] = substr($0, RSTART + 3, RLENGTH - 6)
}
END {
	order = "scan avg8 read fit fit_n_init_1 elbow predict update apply_all scan_apply apply_none"
	n = split(order, labels, " ")
	printf "\n%-16s %10s %10s %10s   (ms, %d rounds, %d rows)\n", "", "median", "least", "most", count["avg8"], rows
	for (i = 1; i <= n; i++) {
		m[labels[i]] = median(labels[i])
		printf "%-16s %10.1f %10.1f %10.1f\n", labels[i], m[labels[i]], low[labels[i]], high[labels[i]]
	}
	printf "\n%-58s %8s   %s\n", "", "measured", "target"
	ratio("reading the rows / eight avg", "read", "avg8", "<= 1.0")
	ratio("kseg_fit, k = 5, default search / eight avg", "fit", "avg8", "<= 3.5")
	ratio("kseg_fit, k = 5, n_init 1 / eight avg", "fit_n_init_1", "avg8", "<= 2.2")
	ratio("kseg_elbow, k = 1..10, with all scores / eight avg", "elbow", "avg8", "<= 25")
	printf "%-58s %8.1f   %s\n", "kseg_predict over the plain scan, ns a row", (m["predict"] - m["scan"]) * 1e6 / rows, "<= 90"
	ratio("kseg_apply, all rows change / UPDATE SET segment = 1", "apply_all", "update", "<= 1.15")
	ratio("kseg_apply, nothing changes / scan", "apply_none", "scan_apply", "<= 3")
	printf "%-58s %8.2f   %s\n", "memory of the backend / (rows x features x 8 bytes)", anonymous * 1024 / (rows * features * 8), "<= 1.6"
}' "$log"
rm -f "$log"

# ---- beside scikit-learn ----

if ! /usr/bin/python3 -c 'import sklearn' 2>/dev/null
then
	echo "skipped: scikit-learn is not here (Debian: python3-sklearn)"
	exit 0
fi
./silhouette.py
./elbow.py
if ! /usr/bin/python3 -c 'import psycopg2' 2>/dev/null
then
	echo "skipped: psycopg2 is not here (Debian: python3-psycopg2)"
	exit 0
fi
./night.py

-- One round: every figure once, in turn, so that a drift of the machine's
-- speed meets all of them.  "@label" lines and \timing's are read by run.sh.
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
SET jit = off;
SET kseg.simd = :'simd';
SELECT model FROM bench_model \gset

SELECT count(*) FROM bench \g /dev/null
\timing on
\echo @scan
SELECT count(*) FROM bench \g /dev/null
\echo @avg8
SELECT avg(age), avg(visits), avg(recency), avg(income), avg(basket),
       avg(discount), avg(monetary), avg(score) FROM bench \g /dev/null
SET client_min_messages = debug1;
\echo @fit
SELECT kseg_fit(5, age, visits, recency, income, basket, discount, monetary,
                score) FROM bench \g /dev/null
\echo @fit_n_init_1
SELECT kseg_fit('{"k": 5, "n_init": 1}'::jsonb, age, visits, recency, income,
                basket, discount, monetary, score) FROM bench \g /dev/null
SET client_min_messages = warning;
\echo @elbow
SELECT * FROM kseg_elbow('SELECT age, visits, recency, income, basket, discount,
	monetary, score FROM bench') \g /dev/null
\echo @predict
SELECT count(kseg_predict(:'model', age, visits, recency, income, basket,
                          discount, monetary, score)) FROM bench \g /dev/null
\timing off

-- writes on fresh copies, so that no round pays for the rows of another
DROP TABLE IF EXISTS bench_plain, bench_apply;
CREATE TABLE bench_plain AS SELECT * FROM bench;
CREATE TABLE bench_apply AS SELECT * FROM bench;
VACUUM (FREEZE, ANALYZE) bench_plain, bench_apply;
CHECKPOINT;
\timing on
\echo @update
UPDATE bench_plain SET segment = 1;
\timing off
CHECKPOINT;
\timing on
\echo @apply_all
SELECT * FROM kseg_apply(:'model', 'bench_apply', 'segment') \g /dev/null
\timing off
VACUUM (FULL, FREEZE) bench_apply;
SELECT count(*) FROM bench_apply \g /dev/null
\timing on
\echo @scan_apply
SELECT count(*) FROM bench_apply \g /dev/null
\echo @apply_none
SELECT * FROM kseg_apply(:'model', 'bench_apply', 'segment') \g /dev/null
\timing off

-- how much memory a fit takes, measured by the process itself
SELECT kseg_fit(5, age, visits, recency, income, basket, discount, monetary,
                score) FROM bench \g /dev/null
\echo @memory :rows
SELECT pg_backend_pid() AS pid \gset
\setenv BENCH_PID :pid
\! awk '/^(VmHWM|RssShmem):/ { v[$1] = $2 } END { print v["VmHWM:"], v["RssShmem:"] }' /proc/$BENCH_PID/status

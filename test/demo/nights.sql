-- The end of the tour: three nights of a segmentation that is kept up to date.
-- Run by run.sh after demo.sql.  It changes the customers.

\set ON_ERROR_STOP on
\pset pager off
SET extra_float_digits = -10;

\echo '-------------------------------------------------------------------------------'
\echo ' 6. Every night: ids that keep their meaning, and only what changed is written'
\echo '-------------------------------------------------------------------------------'
\echo
\echo 'A segmentation is registered once: the query, the key, where to write.'
\echo
\set ECHO queries
SELECT segmentation, rows, unassigned, writes_to
FROM kseg_create('shop',
    'SELECT customer_id, age, annual_income, spending_score FROM customers',
    'customer_id', k => 5, target => 'customers',
    segment_column => 'nightly', add_column => true);
\set ECHO none

\echo 'The first night.  There is no model yet, so the run fits one.'
\echo
\set ECHO queries
SELECT action, scored, changed, new, gone, unassigned FROM kseg_run('shop');
\set ECHO none

\echo 'People give the segments names.'
\echo
\set ECHO queries
SELECT kseg_label('shop', 1, 'middle of the road'),
       kseg_label('shop', 2, 'well off, thrifty'),
       kseg_label('shop', 3, 'young, keen'),
       kseg_label('shop', 4, 'well off, keen'),
       kseg_label('shop', 5, 'older, thrifty') \g /dev/null
\set ECHO none
\echo
\echo 'The second day: some people find a better job, some shop more, some come, some'
\echo 'go.  The night writes these and no others.'
\echo
\set ECHO queries
UPDATE customers SET annual_income = 95000
WHERE nightly IN (1, 3) AND customer_id % 50 = 0;
\echo
UPDATE customers SET spending_score = 85
WHERE nightly = 2 AND customer_id % 40 = 1;
\echo
INSERT INTO customers (customer_id, age, annual_income, spending_score)
SELECT customer_id + 20000, age, annual_income, spending_score
FROM customers WHERE customer_id % 100 = 7;
\echo
DELETE FROM customers WHERE customer_id % 200 = 3;
\echo
SELECT action, scored, changed, new, gone, unassigned FROM kseg_run('shop');

SELECT from_label, to_label, customers, round(100 * share::numeric, 1) AS pct
FROM kseg_migration('shop')
WHERE from_segment <> to_segment
ORDER BY customers DESC;
\set ECHO none

\echo 'Months go by: incomes rise by a quarter, and a campaign brings in thousands of'
\echo 'young people.  That is drift, so the third night fits again, and says why.'
\echo
\set ECHO queries
UPDATE customers SET annual_income = annual_income * 1.25;
\echo
INSERT INTO customers (customer_id, age, annual_income, spending_score)
SELECT customer_id + 40000, age, annual_income, spending_score
FROM customers WHERE nightly = 3;
\echo
SELECT action, scored, changed, new, gone, held FROM kseg_run('shop');

SELECT why FROM kseg_runs, regexp_split_to_table(reason, '; ') AS why
WHERE id = (SELECT max(id) FROM kseg_runs);
\set ECHO none

\echo 'A fit by itself would number the segments by size, and the young, keen ones are'
\echo 'the largest now.  Here each kept its number, and with it its name.'
\echo
\set ECHO queries
WITH fit AS (SELECT kseg_fit(5, age, annual_income, spending_score) AS model
             FROM customers)
SELECT nightly AS segment, label, count(*) AS customers,
       mode() WITHIN GROUP (ORDER BY kseg_predict(model, age, annual_income,
                                                  spending_score)) AS by_itself
FROM fit, customers JOIN kseg_labels AS l ON l.segment = nightly
GROUP BY nightly, label
ORDER BY nightly;
\set ECHO none

\echo 'How large each segment was after each night, and what the nights did:'
\echo
\set ECHO queries
SELECT segment, label,
       sum(size) FILTER (WHERE run_id = 1) AS night_1,
       sum(size) FILTER (WHERE run_id = 2) AS night_2,
       sum(size) FILTER (WHERE run_id = 3) AS night_3
FROM kseg_segment_sizes
WHERE segmentation = 'shop'
GROUP BY segment, label
ORDER BY segment;

SELECT id AS night, action, version AS model, scored, changed, new, gone,
       round(drift::numeric, 2) AS drift
FROM kseg_runs
ORDER BY id;
\set ECHO none

\echo 'That was the tour.  README.md tells how to install kseg, docs/guide.md is an'
\echo 'analyst''s first hour, docs/scheduling.md sees to it that nights run by'
\echo 'themselves.  To try things on these customers yourself:'
\echo
\echo '    test/server.sh test/demo/run.sh psql'
\echo

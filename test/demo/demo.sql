-- The tour: customers, how many segments, the fit, what the segments are, the
-- write-back, a prediction.  Run by run.sh.

\set ON_ERROR_STOP on
\pset pager off
SET client_min_messages = warning;
SET extra_float_digits = -10;
CREATE EXTENSION kseg;
\ir customers.sql
RESET client_min_messages;

\echo
\echo '==============================================================================='
\echo ' kseg: customers segmented inside PostgreSQL'
\echo '==============================================================================='
\echo
\echo 'This server was started for the tour and goes away with it.  Its table'
\echo '"customers" holds 20,000 made-up people; a few incomes and genders are missing.'
\echo
\set ECHO queries
SELECT * FROM customers ORDER BY customer_id LIMIT 5;
\set ECHO none

\echo '-------------------------------------------------------------------------------'
\echo ' 1. How many segments do these customers form?'
\echo '-------------------------------------------------------------------------------'
\echo
\echo 'Every k from 1 to 10 is fitted from one read of the rows.  The silhouette says how'
\echo 'far segments are apart, stability whether other customers of the same kind would'
\echo 'give the same ones; the elbow is where one more finds no further group.'
\echo
\set ECHO queries
SELECT k, round(explained::numeric, 2) AS explained,
       round(silhouette::numeric, 2) AS silhouette,
       round(stability::numeric, 2) AS stability, note
FROM kseg_elbow(
    'SELECT age, annual_income, spending_score FROM customers', 1, 10);
\set ECHO none

\echo '-------------------------------------------------------------------------------'
\echo ' 2. The fit: an aggregate that returns a model'
\echo '-------------------------------------------------------------------------------'
\echo
\echo 'A model is a value like any other.  Keep it in a table; it remembers how to'
\echo 'scale each column, so that scoring takes raw values.  A row with a missing'
\echo 'value is left out and counted.'
\echo
\set ECHO queries
CREATE TABLE models (name text PRIMARY KEY, model kseg_model);
\echo
INSERT INTO models
SELECT 'customers', kseg_fit(5, age, annual_income, spending_score)
FROM customers;
\echo
SELECT k, rows, rows_skipped, features, inertia
FROM models, kseg_info(model);
\set ECHO none

\echo '-------------------------------------------------------------------------------'
\echo ' 3. What is each segment?'
\echo '-------------------------------------------------------------------------------'
\echo
\echo 'Segment 1 is the largest.  Centroids come in the units of the columns.'
\echo
\set ECHO queries
SELECT segment, size, round(100 * share) AS pct,
       round(max(value) FILTER (WHERE feature = 'age')) AS age,
       round(max(value) FILTER (WHERE feature = 'annual_income')) AS income,
       round(max(value) FILTER (WHERE feature = 'spending_score')) AS score
FROM models, kseg_centroids(model)
GROUP BY segment, size, share
ORDER BY segment;
\set ECHO none

\echo 'So: 1 the middle of everything; 2 well off and thrifty; 3 young, with little'
\echo 'money, and keen; 4 well off and keen; 5 old, with little money, and thrifty.'
\echo

\echo '-------------------------------------------------------------------------------'
\echo ' 4. The write-back: every customer gets a segment'
\echo '-------------------------------------------------------------------------------'
\echo
\echo 'Only rows whose segment differs are written.  So the second call, tomorrow''s'
\echo 'perhaps, finds nothing to do and leaves the table alone.'
\echo
\set ECHO queries
ALTER TABLE customers ADD segment int;
\echo
SELECT apply.* FROM models, kseg_apply(model, 'customers', 'segment') AS apply;

SELECT apply.* FROM models, kseg_apply(model, 'customers', 'segment') AS apply;
\set ECHO none

\echo 'From here on it is plain SQL.  The segments also differ in what they were not'
\echo 'made from:'
\echo
\set ECHO queries
SELECT segment, count(*) AS customers,
       round(100 * avg((gender = 'female')::int)) AS female_pct,
       round(avg(recency)) AS days_since, round(avg(frequency)) AS purchases,
       round(avg(monetary)) AS spent,
       round(100 * sum(monetary) / sum(sum(monetary)) OVER ()) AS sales_pct
FROM customers
GROUP BY segment
ORDER BY segment;
\set ECHO none

\echo '-------------------------------------------------------------------------------'
\echo ' 5. A new customer walks in: 29 years old, earns 88,000, spending score 85'
\echo '-------------------------------------------------------------------------------'
\echo
\set ECHO queries
SELECT kseg_predict(model, 29, 88000, 85) AS segment FROM models;

SELECT score.* FROM models, kseg_score(model, 29, 88000, 85) AS score;
\set ECHO none

\echo 'That was the tour.  README.md tells how to install kseg, docs/guide.md is an'
\echo 'analyst''s first hour.  To try things on these customers yourself:'
\echo
\echo '    test/server.sh test/demo/run.sh psql'
\echo

-- The tour but for its end: customers, how many segments, the fit, what the
-- segments are, the write-back, a prediction.  Run by run.sh.

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
\echo 'Every k from 1 to 10 is fitted from one read of the rows.  Each further segment'
\echo 'takes away a part of the inertia (the squared distances that are left); the'
\echo 'silhouette says how well segments keep apart, the stability whether other'
\echo 'customers of the same kind would give the same ones.  The note says it in words.'
\echo
\set ECHO queries
SELECT k, round(drop_pct) AS drop_pct, round(silhouette::numeric, 3) AS silhouette,
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
\echo ' 3. Who is in each segment?'
\echo '-------------------------------------------------------------------------------'
\echo
\echo 'Segment 1 is the largest.  The label names what stands out.'
\echo
\set ECHO queries
SELECT segment, label, size, round(100 * share) AS pct
FROM models, kseg_profile(model)
WHERE rank = 1
ORDER BY segment;
\set ECHO none

\echo 'The profile behind a label, with columns that the segments were not made from.'
\echo 'index_100 compares with all customers (100), z in standard deviations.'
\echo
\set ECHO queries
SELECT feature, top_value, round(mean::numeric, 2) AS mean, median,
       round(index_100) AS index_100, round(z::numeric, 2) AS z
FROM models, kseg_profile(model, 'SELECT * FROM customers') AS profile
WHERE segment = 4 AND feature <> 'customer_id'
ORDER BY rank;
\set ECHO none

\echo 'And as a rule, which runs as a WHERE clause.  Coverage: the part of the segment'
\echo 'that it finds; precision: the part of what it finds that is in the segment.'
\echo
\set ECHO queries
SELECT segment, rule, round(coverage::numeric, 3) AS coverage,
       round(precision::numeric, 3) AS precision
FROM models, kseg_explain(model,
    'SELECT age, annual_income, spending_score FROM customers')
WHERE segment = 4;
\set ECHO none

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


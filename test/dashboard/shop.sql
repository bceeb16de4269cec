-- Three weeks of a shop's segmentation, for a dashboard: the tour's customers,
-- a run every night, and days between them on which people come, go and change.
-- The nights are a day apart afterwards; the last one was this night.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION kseg;
\ir ../demo/customers.sql

SELECT kseg_create('shop',
	'SELECT customer_id, age, annual_income, spending_score, recency FROM customers',
	'customer_id', k => 5, target => 'customers', add_column => true,
	hold_when => '{"moved": 0.2}') \g /dev/null
SELECT kseg_run('shop') \g /dev/null
SELECT kseg_label('shop', 1, 'Middle of the road'),
	kseg_label('shop', 2, 'Well off, thrifty', 'Letters, not coupons'),
	kseg_label('shop', 3, 'Young and keen'),
	kseg_label('shop', 4, 'Big spenders', 'Invite to the autumn event') \g /dev/null

-- A day: some find a better job, some shop more, some come, some go; from the
-- eighth on a campaign brings in young people, and incomes rise.
CREATE PROCEDURE pg_temp.day(day int)
	LANGUAGE plpgsql
AS $$
BEGIN
	UPDATE customers SET annual_income = annual_income * 1.5
	WHERE (customer_id * 7 + day * 131) % 90 = 0;
	UPDATE customers SET spending_score = 85
	WHERE segment = 2 AND (customer_id * 3 + day * 17) % 60 = 0;
	UPDATE customers SET recency = least(365, recency + 1)
	WHERE (customer_id + day) % 3 = 0;
	INSERT INTO customers (customer_id, age, annual_income, spending_score, recency)
	SELECT 100000 * day + customer_id, age, annual_income, spending_score, 1
	FROM customers
	WHERE customer_id < 100000 AND (customer_id * 11 + day) %
		CASE WHEN segment = 3 AND day > 7 THEN 25 ELSE 400 END = 0;
	DELETE FROM customers WHERE (customer_id * 13 + day * 7) % 700 = 0;
	IF day > 9 THEN
		UPDATE customers SET annual_income = annual_income * 1.02;
	END IF;
END;
$$;

SELECT statement
FROM generate_series(2, 20) AS day,
	LATERAL (VALUES (1, format('CALL pg_temp.day(%s)', day)),
		(2, 'DO ''BEGIN PERFORM kseg_run(''''shop''''); END''')) AS v (i, statement)
ORDER BY day, i \gexec

-- ---- a night is a day apart from the next ----

CREATE TEMPORARY TABLE nights AS
SELECT id, started, date_trunc('day', now()) + interval '3 hours' + id * interval '7 seconds'
	- (row_number() OVER (ORDER BY id DESC) - 1 +
		(now() < date_trunc('day', now()) + interval '4 hours')::int)
	* interval '1 day' AS night
FROM kseg_runs;
UPDATE kseg_history AS h SET valid_from = night FROM nights WHERE valid_from = started;
UPDATE kseg_history AS h SET valid_to = night FROM nights WHERE valid_to = started;
UPDATE kseg_models SET created = night FROM nights WHERE run = id;
UPDATE kseg_runs AS r SET started = night FROM nights WHERE r.id = nights.id;

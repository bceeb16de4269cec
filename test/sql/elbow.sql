--
-- kseg_elbow(): how good each number of segments is
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;

-- four groups of unequal size
CREATE TABLE elbow_customer AS
SELECT i AS id, x + (i * 7 % 11) / 10.0 AS x, y + (i * 5 % 13) / 10.0 AS y
FROM generate_series(1, 100) AS i,
	LATERAL (SELECT CASE WHEN i <= 40 THEN 0 WHEN i <= 70 THEN 10
			WHEN i <= 90 THEN 0 ELSE 10 END AS x,
		CASE WHEN i <= 40 THEN 0 WHEN i <= 70 THEN 3
			WHEN i <= 90 THEN 20 ELSE 27 END AS y) AS g;

SELECT k, round(inertia::numeric, 6) AS inertia,
	round(explained::numeric, 6) AS explained,
	round(drop_pct::numeric, 4) AS drop_pct,
	smallest_share, iterations > 0 AS iterated, is_knee
FROM kseg_elbow('SELECT x, y FROM elbow_customer', 1, 8) ORDER BY k;
-- the same inertia as a fit of that k
SELECT bool_and(abs(inertia - (SELECT i.inertia FROM kseg_info(
	kseg_fit('SELECT x, y FROM elbow_customer', k)) AS i)) < 1e-9) AS same
FROM kseg_elbow('SELECT x, y FROM elbow_customer');
-- what explained and drop_pct say, and against what
SELECT k, abs(explained - (1 - inertia / 200)) < 1e-9 AS explained,
	abs(drop_pct - 100 * (1 - inertia / lag(inertia) OVER (ORDER BY k))) < 1e-9
		AS dropped
FROM kseg_elbow('SELECT x, y FROM elbow_customer', 3, 6) ORDER BY k;
-- named arguments, options; an option k is for fits and changes nothing here
SELECT e = d AS same
FROM kseg_elbow('SELECT x, y FROM elbow_customer', k_max => 3,
		options => kseg_options(k => 7, scale => 'none')) AS e
	JOIN kseg_elbow('SELECT x, y FROM elbow_customer', k_max => 3,
		options => '{"scale": "none"}') AS d USING (k) ORDER BY k;
-- one k has no knee
SELECT k, is_knee FROM kseg_elbow('SELECT x, y FROM elbow_customer', 4, 4);
-- more segments than distinct rows: the data cannot support them
SELECT k, round(inertia::numeric, 9) AS inertia,
	round(explained::numeric, 9) AS explained, round(drop_pct::numeric, 9) AS drop_pct,
	round(smallest_share::numeric, 3) AS smallest_share, iterations IS NULL AS none
FROM kseg_elbow('VALUES (1), (2), (2), (9)', 1, 5) ORDER BY k;
SELECT k, inertia, explained, drop_pct, smallest_share, is_knee
FROM kseg_elbow('VALUES (5), (5)', 1, 2) ORDER BY k;
SELECT k, inertia, explained, drop_pct, smallest_share, is_knee
FROM kseg_elbow('SELECT x, y FROM elbow_customer WHERE false', 1, 2) ORDER BY k;
-- rows with a null, a float8[], categories, weights
SELECT k, round(smallest_share::numeric, 6) AS smallest_share
FROM kseg_elbow('SELECT CASE WHEN id <> 1 THEN x END AS x, y
	FROM elbow_customer', 1, 2) ORDER BY k;
SELECT a.k, a = b AS same
FROM kseg_elbow('SELECT ARRAY[x, y]::float8[] FROM elbow_customer', 1, 3) AS a
	JOIN kseg_elbow('SELECT x, y FROM elbow_customer', 1, 3) AS b USING (k)
ORDER BY k;
SELECT k, smallest_share
FROM kseg_elbow('SELECT CASE WHEN x < 5 THEN ''left'' ELSE ''right'' END AS side, y,
	id % 2 AS half FROM elbow_customer', 1, 2, '{"row_weight": "half"}')
ORDER BY k;
-- a cursor reads it too, and it can be joined
BEGIN;
DECLARE elbow CURSOR FOR SELECT k FROM kseg_elbow('TABLE elbow_customer', 2, 4);
FETCH 2 FROM elbow;
COMMIT;

-- ---- mistakes ----

CREATE FUNCTION failure(statement text) RETURNS TABLE (code text,
	message text, detail text, hint text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN QUERY SELECT 'none', 'no error', '', '';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE,
		message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
		hint = PG_EXCEPTION_HINT;
	RETURN NEXT;
END $$;
SELECT call, f.*
FROM (VALUES
	(1, '(''TABLE elbow_customer'', 0, 5)'),
	(2, '(''TABLE elbow_customer'', 5, 4)'),
	(3, '(''TABLE elbow_customer'', 1, 10001)'),
	(4, '(''TABLE elbow_customer'', NULL, 4)'),
	(5, '(NULL)'),
	(6, '(''DELETE FROM elbow_customer'')'),
	(7, '(''TABLE elbow_customer'', 1, 500, ''{"sample": 400}'')'),
	(8, '(''TABLE elbow_customer'', 1, 3, ''{"init": [[1, 2, 3], [4, 5, 6]]}'')'),
	(9, '(''TABLE elbow_customer'', 1, 3, ''{"k_max": 3}'')'),
	(10, '(''VALUES (1), (2)'', 1, 3, ''{"small": "error"}'')'),
	(11, '(''SELEC x FROM elbow_customer'')')) AS c (n, call),
	failure('SELECT * FROM kseg_elbow' || call) AS f
ORDER BY n \gx

DROP FUNCTION failure;
DROP TABLE elbow_customer;

-- 1,000,000 customers with eight columns of mixed types (three integers, three
-- float8, two numeric) in six groups of unequal size.  The same rows on every
-- machine: everything follows from a hash of the row's number.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;

-- uniform in (0, 1) from two numbers
CREATE FUNCTION pg_temp.u(i bigint, j int) RETURNS float8 IMMUTABLE LANGUAGE sql
AS $$ SELECT ((hashint8extended(i, j) & 4503599627370495) + 0.5) / 4503599627370496 $$;

-- standard normal, by Box and Muller
CREATE FUNCTION pg_temp.n(i bigint, j int) RETURNS float8 IMMUTABLE LANGUAGE sql
AS $$ SELECT sqrt(-2 * ln(pg_temp.u(i, j))) * cos(2 * pi() * pg_temp.u(i, j + 100)) $$;

CREATE TABLE bench AS
SELECT i::int AS id,
       (20 + 9 * g + 4 * pg_temp.n(i, 1))::int AS age,
       (5 + 3 * ((g * 5) % 6) + 2 * abs(pg_temp.n(i, 2)))::int AS visits,
       (400 - 55 * ((g * 2) % 6) + 30 * pg_temp.n(i, 3))::int AS recency,
       20000 + 9000 * ((g * 4 + 1) % 6) + 5000 * pg_temp.n(i, 4) AS income,
       exp(3 + 0.4 * ((g + 3) % 6) + 0.5 * pg_temp.n(i, 5)) AS basket,
       0.1 * ((g * 3 + 2) % 6) + 0.15 * pg_temp.n(i, 6) AS discount,
       round((exp(5 + 0.5 * ((g * 7 + 1) % 6) + 0.6 * pg_temp.n(i, 7)))::numeric, 2) AS monetary,
       round((50 + 8 * ((g * 2 + 3) % 6) + 12 * pg_temp.n(i, 8))::numeric, 1) AS score,
       NULL::int AS segment
FROM (SELECT i, CASE WHEN r < 0.35 THEN 0 WHEN r < 0.6 THEN 1 WHEN r < 0.75 THEN 2
                     WHEN r < 0.87 THEN 3 WHEN r < 0.95 THEN 4 ELSE 5 END AS g
      FROM generate_series(1, :rows) AS i, pg_temp.u(i, 0) AS r) AS s;
VACUUM (FREEZE, ANALYZE) bench;

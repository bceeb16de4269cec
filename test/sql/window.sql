--
-- window functions: kseg_cluster and kseg_normalize
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;

CREATE TEMP TABLE shop AS
	SELECT g AS id, g % 3 AS r, (g * 7919 % 10007) / 7.0 AS a,
		g * 104729 % 1009 AS b, 'c' || g * 7 % 5 AS c,
		make_interval(days => g * 31 % 365) AS since
	FROM generate_series(1, 600) g;

CREATE FUNCTION pg_temp.code_of(query text)
RETURNS TABLE (code text, message text)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE query;
	message := 'accepted';
	RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
	RETURN NEXT;
END
$$;

-- ---- kseg_cluster ----

SELECT id, kseg_cluster(2, x, y) OVER () AS segment
FROM (VALUES (1, 0, 0), (2, 100, 99), (3, 1, 0), (4, 0, 1), (5, 99, 100),
	  (6, NULL, 5)) v(id, x, y)
ORDER BY id;
-- what kseg_fit and kseg_predict give together
SELECT count(*), count(*) FILTER (WHERE s = kseg_predict(m, a, b, c, since))
FROM (SELECT *, kseg_cluster(4, a, b, c, since) OVER () AS s FROM shop) q,
	(SELECT kseg_fit(4, a, b, c, since) AS m FROM shop) f;
-- partition by partition, in any order and frame
SELECT r, count(*),
	count(*) FILTER (WHERE s1 = kseg_predict(m, a, b, c)) AS plain,
	count(*) FILTER (WHERE s2 = s1) AS ordered,
	count(*) FILTER (WHERE s3 = s1) AS framed
FROM (SELECT *, kseg_cluster(3, a, b, c) OVER (PARTITION BY r) AS s1,
		  kseg_cluster(3, a, b, c)
			  OVER (PARTITION BY r ORDER BY b DESC) AS s2,
		  kseg_cluster(3, a, b, c)
			  OVER (PARTITION BY r ORDER BY id
					ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS s3
	  FROM shop) q
	JOIN (SELECT r, kseg_fit(3, a, b, c) AS m FROM shop GROUP BY r) f
		USING (r)
GROUP BY r ORDER BY r;
-- options; in a window features are called f1, f2, ...
SELECT count(*), count(*) FILTER (WHERE s = kseg_predict(m, a, b))
FROM (SELECT *, kseg_cluster(kseg_options(3, scale => 'robust',
										  weights => '{"f2": 4}',
										  order_by => 'f1'), a, b)
		  OVER () AS s FROM shop) q,
	(SELECT kseg_fit(kseg_options(3, scale => 'robust',
								  weights => '{"b": 4}', order_by => 'a'),
					 a, b) AS m FROM shop) f;
SELECT count(DISTINCT s), count(*)
FROM (SELECT kseg_cluster(kseg_options(3, row_weight => 'f2'), a, b)
		  OVER () AS s FROM shop) q;
-- k and options of the partition
SELECT r, max(s), max(t)
FROM (SELECT r, kseg_cluster(r + 1, a, b) OVER (PARTITION BY r) AS s,
		  kseg_cluster(jsonb_build_object('k', r + 2), a, b)
			  OVER (PARTITION BY r) AS t FROM shop) q
GROUP BY r ORDER BY r;
-- arrays, computed arguments, texts stored out of line
SELECT count(*) FILTER (WHERE s = t), count(*) FILTER (WHERE s = u)
FROM (SELECT kseg_cluster(3, a * 2, b + 1) OVER () AS s,
		  kseg_cluster(3, ARRAY[a * 2, b + 1]::float8[]) OVER () AS t,
		  kseg_cluster(3, VARIADIC ARRAY[a * 2, b + 1]::float8[])
			  OVER () AS u FROM shop) q;
SELECT s, count(*), count(DISTINCT t)
FROM (SELECT t, kseg_cluster(3, t, length(t)) OVER () AS s
	  FROM (SELECT repeat('x' || g % 3, 5000 * (1 + g % 3)) AS t
			FROM generate_series(1, 12) g OFFSET 0) i) q
GROUP BY s ORDER BY s;
-- nulls: no segment, or the mean
SELECT count(*), count(s), count(t)
FROM (SELECT kseg_cluster(3, nullif(r, 1), a) OVER () AS s,
		  kseg_cluster(kseg_options(3, nulls => 'mean'), nullif(r, 1), a)
			  OVER () AS t FROM shop) q;
SELECT count(*), count(s)
FROM (SELECT kseg_cluster(3, NULL::int, a) OVER () AS s FROM shop) q;
SELECT count(*), count(s)
FROM (SELECT kseg_cluster(3, CASE WHEN r > 0 THEN ARRAY[a, b]::float8[] END)
		  OVER () AS s FROM shop) q;
SELECT kseg_cluster(3, a) OVER () FROM shop WHERE false;
-- a partition with too few rows: one notice
SELECT count(*), count(DISTINCT s)
FROM (SELECT kseg_cluster(4, a) OVER (PARTITION BY id) AS s FROM shop) q;
-- under a limit, in a cursor that moves backward, in a rescan
SELECT id, kseg_cluster(2, x) OVER () AS segment
FROM (VALUES (1, 0), (2, 100), (3, 1)) v(id, x) LIMIT 2;
BEGIN;
DECLARE shop_cursor SCROLL CURSOR FOR
	SELECT id, kseg_cluster(2, x) OVER (ORDER BY id) AS segment
	FROM (VALUES (1, 0), (2, 100), (3, 1)) v(id, x);
FETCH 3 FROM shop_cursor;
FETCH BACKWARD 2 FROM shop_cursor;
COMMIT;
SELECT n, sum(s)
FROM (VALUES (1), (2)) v(n), LATERAL (
	SELECT kseg_cluster(n, x) OVER () AS s
	FROM (VALUES (0), (100), (1)) i(x)) q
GROUP BY n ORDER BY n;

SELECT v.call, c.code, c.message
FROM (VALUES ('0, a'), ('NULL::int, a'), ('id, a'), ('NULL::jsonb, a'),
	  ('jsonb_build_object(''k'', id), a'), ('''{}''::jsonb, a'),
	  ('2, ''NaN''::float8'), ('2, a, point(a, b)'),
	  ('2, VARIADIC ARRAY[id, id]'),
	  ('kseg_options(2, order_by => ''a''), a')
	 ) v(call),
	pg_temp.code_of('SELECT kseg_cluster(' || v.call ||
					') OVER () FROM shop') c;
SELECT kseg_cluster(2, a) FROM shop;
SET kseg.work_mem = '1MB';
-- rows go to a file, their segments do not
SELECT segment, count(*), max(g)
FROM (SELECT g, kseg_cluster(2, g, g) OVER () AS segment FROM generate_series(1, 100000) g) s
GROUP BY segment ORDER BY segment;
SELECT kseg_cluster(2, g, g) OVER () FROM generate_series(1, 300000) g;
RESET kseg.work_mem;

-- ---- kseg_normalize ----

SELECT x, kseg_normalize(x) OVER () AS zscore,
	kseg_normalize(x, 'minmax') OVER () AS minmax,
	kseg_normalize(x, 'maxabs') OVER () AS maxabs,
	kseg_normalize(x, 'robust') OVER () AS robust,
	kseg_normalize(x, 'none') OVER () AS none
FROM (VALUES (-4), (0), (4), (NULL)) v(x) ORDER BY x;
-- what kseg_scaler and kseg_scale give together, by partition
SELECT method, r, count(*), count(*) FILTER (WHERE x = (kseg_scale(s, a))[1])
FROM (SELECT r, a, method,
		  kseg_normalize(a::float8, method)
			  OVER (PARTITION BY r, method) AS x
	  FROM shop, unnest(ARRAY['zscore', 'minmax', 'robust', 'maxabs',
							  'none']) method) q
	JOIN (SELECT r, method, kseg_scaler(method, a) AS s
		  FROM shop, unnest(ARRAY['zscore', 'minmax', 'robust', 'maxabs',
								  'none']) method
		  GROUP BY r, method) f USING (r, method)
GROUP BY method, r ORDER BY method, r;
-- a single value, equal ones, nothing but nulls, no row
SELECT kseg_normalize(5) OVER (), kseg_normalize(5, 'minmax') OVER (),
	kseg_normalize(5, 'robust') OVER (), kseg_normalize(5, 'maxabs') OVER ();
SELECT DISTINCT kseg_normalize(7) OVER () FROM shop;
SELECT DISTINCT kseg_normalize(NULL::int, 'robust') OVER () FROM shop;
SELECT kseg_normalize(a::float8) OVER () FROM shop WHERE false;
-- neither frame nor order makes a difference
SELECT count(*)
FROM (SELECT kseg_normalize(b) OVER () AS x,
		  kseg_normalize(b) OVER (ORDER BY id ROWS 1 PRECEDING) AS y
	  FROM shop) q
WHERE x = y;

SELECT v.call, c.code, c.message
FROM (VALUES ('a, ''zsocre'''), ('a, NULL'), ('a, c'),
	  ('a, CASE WHEN id < 5 THEN ''none'' ELSE ''minmax'' END'),
	  ('''NaN'''), ('''-infinity'''),
	  ('CASE WHEN id < 5 THEN -1e308 ELSE 1e308 END, ''minmax''')
	 ) v(call),
	pg_temp.code_of('SELECT kseg_normalize(' || v.call ||
					') OVER () FROM shop') c;
SELECT kseg_normalize(a::float8) FROM shop;
SET kseg.work_mem = '1MB';
SELECT kseg_normalize(g, 'robust') OVER () FROM generate_series(1, 200000) g;
SELECT count(DISTINCT x)
FROM (SELECT kseg_normalize(g) OVER () AS x
	  FROM generate_series(1, 200000) g) q;
RESET kseg.work_mem;

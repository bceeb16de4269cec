--
-- kseg_scaler, kseg_scale, kseg_unscale
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;

CREATE TABLE scaler_rows AS
	SELECT g AS id, g % 3 AS r, (g * 7919 % 10007) / 7.0 AS a,
		(g::bigint * 104729 % 1009)::float8 - 500 AS b,
		CASE WHEN g % 5 > 0 THEN g * 31 % 997 END AS c
	FROM generate_series(1, 5000) g;
ANALYZE scaler_rows;

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

CREATE FUNCTION pg_temp.features(kseg_scaler)
RETURNS TABLE (name text, kind text, min numeric, max numeric, mean numeric,
			   sd numeric, center numeric, divisor numeric)
LANGUAGE sql AS $$
	SELECT f ->> 'name', f ->> 'kind', round((f ->> 'min')::numeric, 6),
		round((f ->> 'max')::numeric, 6), round((f ->> 'mean')::numeric, 6),
		round((f ->> 'sd')::numeric, 6), round((f ->> 'center')::numeric, 6),
		round((f ->> 'divisor')::numeric, 6)
	FROM jsonb_array_elements($1::jsonb -> 'features') f
$$;

-- ---- methods ----

-- five values that one can check by hand: mean 4, deviation sqrt(10),
-- median 3, quartiles 2 and 5
SELECT method, f.*
FROM (SELECT method, kseg_scaler(method, x) AS s
	  FROM unnest(ARRAY['zscore', 'minmax', 'robust', 'maxabs', 'none'])
			   WITH ORDINALITY AS m(method, n),
		  (VALUES (1), (2), (3), (5), (9), (NULL)) v(x)
	  GROUP BY method, n ORDER BY n) q, pg_temp.features(s) f;
SELECT x, kseg_scale(z, x) AS zscore, kseg_scale(m, x) AS minmax,
	kseg_scale(r, x) AS robust, kseg_scale(a, x) AS maxabs
FROM (VALUES (1), (2), (3), (5), (9), (NULL), (100)) v(x),
	(SELECT kseg_scaler('zscore', x) AS z, kseg_scaler('minmax', x) AS m,
		kseg_scaler('robust', x) AS r, kseg_scaler('maxabs', x) AS a
	 FROM (VALUES (1), (2), (3), (5), (9)) v(x)) s;
-- against SQL's own aggregates; a null is left out of its column alone
SELECT f.name, f.mean = round(e.mean, 6) AS mean, f.sd = round(e.sd, 6) AS sd,
	f.min = round(e.min, 6) AS min, f.max = round(e.max, 6) AS max,
	f.center = round(e.median::numeric, 6) AS median,
	f.divisor = round(e.iqr::numeric, 6) AS iqr
FROM (SELECT kseg_scaler('robust', a, b, c) AS s FROM scaler_rows) q,
	pg_temp.features(s) f
	JOIN (SELECT v.name, avg(x) AS mean, stddev_pop(x) AS sd,
			  min(x) AS min, max(x) AS max,
			  percentile_cont(0.5) WITHIN GROUP (ORDER BY x) AS median,
			  percentile_cont(0.75) WITHIN GROUP (ORDER BY x) -
			  percentile_cont(0.25) WITHIN GROUP (ORDER BY x) AS iqr
		  FROM scaler_rows, LATERAL
			  (VALUES ('a', a), ('b', b::numeric), ('c', c::numeric))
			  v(name, x)
		  GROUP BY v.name) e USING (name)
ORDER BY f.name;
SELECT s::jsonb -> 'rows' AS rows, s::jsonb ->> 'scale' AS scale
FROM (SELECT kseg_scaler('minmax', a, c) AS s FROM scaler_rows) q;
-- constant, empty and single columns: scaled by 1
SELECT f.*
FROM (SELECT kseg_scaler('zscore', 7, NULL::int, id) AS s FROM scaler_rows
	  WHERE id = 1) q, pg_temp.features(s) f;
SELECT kseg_scaler('zscore', a) IS NULL AS no_row FROM scaler_rows WHERE false;
-- kinds and names
SELECT f.name, f.kind, f.min
FROM (SELECT kseg_scaler('minmax', a, id > 3, date '2000-01-01' + id,
						 make_interval(days => id), ln(id), a) AS s
	  FROM scaler_rows) q, pg_temp.features(s) f;

-- ---- any split of the rows gives the same bits ----

CREATE TEMP TABLE scalers (plan text, method text, s text);
CREATE FUNCTION pg_temp.collect(plan text) RETURNS void
LANGUAGE sql AS $$
	INSERT INTO scalers
		SELECT plan, 'zscore', kseg_scaler('zscore', a, b, c)::text
		FROM scaler_rows
		UNION ALL
		SELECT plan, 'robust', kseg_scaler('robust', a, b, c)::text
		FROM scaler_rows
		UNION ALL
		SELECT plan, 'array',
			kseg_scaler('robust', ARRAY[a, b, c]::float8[])::text
		FROM scaler_rows;
$$;
SELECT pg_temp.collect('serial');
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF)
	SELECT kseg_scaler('robust', a, b, c) FROM scaler_rows;
SELECT pg_temp.collect('parallel');
CREATE TEMP TABLE grouped AS
	SELECT r, kseg_scaler('robust', a, ln(b + 501), c)::text AS s
	FROM scaler_rows GROUP BY r;
-- workers that see no row, and no row at all
SELECT kseg_scaler('robust', a) IS NULL AS no_row FROM scaler_rows
WHERE id < 0;
SELECT s::jsonb -> 'rows' AS rows
FROM (SELECT kseg_scaler('robust', ln(id)) AS s FROM scaler_rows
	  WHERE id = 77) q;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
SET max_parallel_workers_per_gather = 0;
SELECT count(*)
FROM (SELECT r, kseg_scaler('robust', a, ln(b + 501), c)::text AS s
	  FROM scaler_rows GROUP BY r) q JOIN grouped USING (r, s);
RESET max_parallel_workers_per_gather;
CREATE TABLE scaler_parts (LIKE scaler_rows) PARTITION BY LIST (r);
CREATE TABLE scaler_parts_1 PARTITION OF scaler_parts FOR VALUES IN (0, 2);
CREATE TABLE scaler_parts_2 PARTITION OF scaler_parts FOR VALUES IN (1);
INSERT INTO scaler_parts SELECT * FROM scaler_rows ORDER BY id DESC;
ANALYZE scaler_parts;
SET enable_partitionwise_aggregate = on;
INSERT INTO scalers
	SELECT 'partitions', 'robust', kseg_scaler('robust', a, b, c)
	FROM scaler_parts;
RESET enable_partitionwise_aggregate;
SELECT method, count(*), count(DISTINCT s) FROM scalers
GROUP BY method ORDER BY method;

-- ---- there and back ----

SELECT method, count(*),
	count(*) FILTER (WHERE abs(back[1] - a) < 1e-9 AND
					 abs(back[2] - b) < 1e-9 AND
					 abs(back[3] - coalesce(c, 0)) < 1e-9 IS NOT DISTINCT FROM
					 (c >= 0)) AS back
FROM (SELECT method, kseg_scaler(method, a, b, c) AS s
	  FROM scaler_rows, unnest(ARRAY['zscore', 'minmax', 'robust', 'maxabs',
									 'none']) method
	  GROUP BY method) q, scaler_rows,
	LATERAL (SELECT kseg_unscale(s, kseg_scale(s, a, b, c)) AS back) l
GROUP BY method ORDER BY method;
SELECT kseg_unscale(s, '{0, NULL, 1}')
FROM (SELECT kseg_scaler('minmax', id, b, c) AS s FROM scaler_rows) q;
SELECT kseg_unscale(s, NULL) IS NULL AS no_row,
	kseg_scale(s, NULL::float8[]) IS NULL AS no_array,
	kseg_scale(NULL, 1, 2) IS NULL AS no_scaler,
	kseg_scale(s, NULL, NULL) AS nulls
FROM (SELECT kseg_scaler('minmax', id, b) AS s FROM scaler_rows) q;
-- arrays
SELECT count(*) FILTER (WHERE kseg_scale(s, id, b) =
						kseg_scale(s, ARRAY[id, b])),
	count(*) FILTER (WHERE kseg_scale(s, id, b) =
					 kseg_scale(t, VARIADIC ARRAY[id, b]))
FROM scaler_rows, (SELECT kseg_scaler('zscore', id, b) AS s,
					   kseg_scaler('zscore', ARRAY[id, b]) AS t
				   FROM scaler_rows) q;
SELECT kseg_scale(s, 1, 2), kseg_scale(s, '{NULL, 2}'::float8[])
FROM (SELECT kseg_scaler('none', ARRAY[x, NULL]) AS s
	  FROM (VALUES (1.0::float8), (NULL)) v(x)) q;
-- another scaler in every row, from a column
SELECT count(*), count(*) FILTER (WHERE x[1] BETWEEN 0 AND 1)
FROM (SELECT kseg_scale(s, a) AS x
	  FROM scaler_rows
		  JOIN (SELECT r, kseg_scaler('minmax', a) AS s
				FROM scaler_rows GROUP BY r) q USING (r)
	  ORDER BY id) q;
-- one that is stored out of line
CREATE TEMP TABLE stored (n int, s kseg_scaler);
ALTER TABLE stored ALTER s SET STORAGE EXTERNAL;
INSERT INTO stored
	SELECT n, kseg_scaler('none', array_fill(n::float8, ARRAY[1000]))
	FROM generate_series(1, 2) n GROUP BY n;
SELECT n, count(*), min((kseg_scale(s, array_fill(n::float8, ARRAY[1000])))[1000])
FROM stored, generate_series(1, 3) GROUP BY n ORDER BY n;
-- in PL/pgSQL, where a parameter changes from call to call
CREATE FUNCTION pg_temp.scaled(OUT result float8[]) LANGUAGE plpgsql AS $$
DECLARE
	s kseg_scaler;
BEGIN
	FOR n IN 1 .. 3
	LOOP
		s := kseg_scaler('maxabs', n);
		result := result || kseg_scale(s, 6);
	END LOOP;
END
$$;
SELECT pg_temp.scaled();
-- over a moving frame
SELECT id, kseg_scale(kseg_scaler('minmax', id)
					  OVER (ORDER BY id ROWS 2 PRECEDING), id)
FROM scaler_rows WHERE id < 5 ORDER BY id;
SELECT id, kseg_scale(kseg_scaler('robust', id)
					  OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING
							AND CURRENT ROW), 0)
FROM scaler_rows WHERE id < 6 ORDER BY id;

-- ---- errors ----

CREATE TEMP TABLE one AS
	SELECT kseg_scaler('zscore', id, b, date '2000-01-01' + id) AS s,
		kseg_scaler('zscore', b * 1e-300) AS tiny,
		kseg_scaler('minmax', b * 2e305) AS huge FROM scaler_rows;
SELECT v.call, c.code, c.message
FROM (VALUES ('kseg_scaler(''zsocre'', id)'), ('kseg_scaler(NULL, id)'),
	  ('kseg_scaler(CASE WHEN id < 9 THEN ''none'' ELSE ''robust'' END, id)'),
	  ('kseg_scaler(''none'', id, ''a'')'),
	  ('kseg_scaler(''none'', id, point(1, 2))'),
	  ('kseg_scaler(''none'', id, ''NaN''::float8)'),
	  ('kseg_scaler(''none'', ARRAY[1, ''inf''::float8])'),
	  ('kseg_scaler(''none'', ''{}''::float8[])'),
	  ('kseg_scaler(''none'', ''{{1}}''::float8[])'),
	  ('kseg_scaler(''none'', array_fill(1::float8, ARRAY[1 + id % 2]))'),
	  ('kseg_scaler(''none'', array_fill(1::float8, ARRAY[1601]))')
	 ) v(call),
	pg_temp.code_of('SELECT ' || v.call || ' FROM scaler_rows') c;
SELECT v.call, c.code, c.message
FROM (VALUES ('kseg_scale(s, 1)'), ('kseg_scale(s, 1, 2, 3)'),
	  ('kseg_scale(s, 1, true, current_date)'),
	  ('kseg_scale(s, 1, 2, ''2000-01-01'')'),
	  ('kseg_scale(s, 1, ''inf''::float8, current_date)'),
	  ('kseg_scale(s, ARRAY[1, 2, 3]::float8[])'),
	  ('kseg_scale(tiny, 1e300)'),
	  ('kseg_scale(tiny, ARRAY[[1]]::float8[])'),
	  ('kseg_scale(tiny, ARRAY[1, 2]::float8[])'),
	  ('kseg_unscale(s, ''{1, 2}'')'), ('kseg_unscale(s, ''{}'')'),
	  ('kseg_unscale(s, ''{1, 2, NaN}'')'),
	  ('kseg_unscale(huge, ''{1e300}'')'), ('kseg_scale(s)')
	 ) v(call), pg_temp.code_of('SELECT ' || v.call || ' FROM one') c;
-- an error leaves the scaler usable
SELECT kseg_scale(tiny, x) FROM one, (VALUES (0.0), (1e9)) v(x);
SELECT kseg_scale(s, 1) FROM one;

SET kseg.work_mem = '1MB';
SELECT code, regexp_replace(message, 'after \d+', 'after N') AS message
FROM pg_temp.code_of(
	'SELECT kseg_scaler(''robust'', g, g) FROM generate_series(1, 200000) g');
SELECT s::jsonb -> 'rows' AS rows
FROM (SELECT kseg_scaler('zscore', g, g) AS s
	  FROM generate_series(1, 200000) g) q;
RESET kseg.work_mem;

DROP TABLE scaler_rows, scaler_parts;

-- What must hold of all that the extension installs, whatever is added to it.

CREATE TEMPORARY TABLE installed AS
SELECT d.classid, d.objid, d.classid::regclass AS catalog, pg_describe_object(d.classid, d.objid, 0) AS object
FROM pg_depend AS d JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE e.extname = 'kseg' AND d.deptype = 'e';
CREATE TEMPORARY TABLE functions AS
SELECT p.*, p.oid::regprocedure AS signature, l.lanname
FROM installed AS i JOIN pg_proc AS p ON i.classid = 'pg_proc'::regclass AND p.oid = i.objid
	JOIN pg_language AS l ON l.oid = p.prolang;
-- the test looks at something
SELECT count(*) > 80 AS functions, count(DISTINCT lanname) AS languages FROM functions;

-- none runs as somebody else, none is trusted with rows that are hidden
SELECT signature FROM functions WHERE prosecdef OR proleakproof;
-- names cannot be captured: C, a body that was parsed when it was made, or a
-- search_path of its own that ends with the temporary schema
SELECT signature, lanname, proconfig FROM functions
WHERE NOT (lanname IN ('c', 'internal') OR prosqlbody IS NOT NULL OR
	proconfig::text ~ 'search_path=pg_catalog, *"?[a-z_]+"?, *pg_temp');
-- nor is any setting changed for longer than a call
SELECT signature, proconfig FROM functions WHERE proconfig::text ~ '(role|session_authorization|row_security)';
-- C functions are those of our own library
SELECT signature, probin FROM functions WHERE lanname = 'c' AND probin !~ '(^|/)kseg$' AND probin <> '$libdir/kseg';
-- views ask for the reader's rights
SELECT c.relname FROM installed AS i JOIN pg_class AS c ON i.classid = 'pg_class'::regclass AND c.oid = i.objid
WHERE c.relkind = 'v' AND NOT (coalesce(c.reloptions::text, '') ~ 'security_invoker=(true|on)') ORDER BY 1;
-- what is in tables is seen by those it is for
SELECT c.relname FROM installed AS i JOIN pg_class AS c ON i.classid = 'pg_class'::regclass AND c.oid = i.objid
WHERE c.relkind = 'r' AND NOT c.relrowsecurity;
-- others may read, never write
SELECT c.relname, a.privilege_type
FROM installed AS i JOIN pg_class AS c ON i.classid = 'pg_class'::regclass AND c.oid = i.objid,
	aclexplode(c.relacl) AS a
WHERE a.grantee <> c.relowner AND a.privilege_type NOT IN ('SELECT', 'USAGE');

-- functions that read a query, a table or a setting depend on the snapshot;
-- what is computed from values alone does not.  What writes is volatile, and
-- not for parallel workers; nor is what runs SQL of its own.
SELECT proname, string_agg(DISTINCT provolatile::text, '') AS volatility, string_agg(DISTINCT proparallel::text, '') AS parallel
FROM functions WHERE proname !~ '_(in|out|recv|send|eq|ne|transition|combine|serialize|deserialize|final|inverse)$'
GROUP BY proname ORDER BY proname COLLATE "C";
-- parts of types and aggregates
SELECT string_agg(DISTINCT provolatile::text, '') AS volatility, string_agg(DISTINCT proparallel::text, '') AS parallel
FROM functions WHERE proname ~ '_(in|out|recv|send|eq|ne)$';
-- an aggregate is as safe for parallel workers as its parts
SELECT f.signature, p.oid::regprocedure FROM functions AS f JOIN pg_aggregate AS a ON a.aggfnoid = f.oid
	JOIN pg_proc AS p ON p.oid IN (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn)
WHERE f.proparallel = 's' AND p.proparallel <> 's';
-- one that is split must bring its state along
SELECT f.signature FROM functions AS f JOIN pg_aggregate AS a ON a.aggfnoid = f.oid
WHERE a.aggcombinefn <> 0 AND a.aggtranstype = 'internal'::regtype AND (a.aggserialfn = 0 OR a.aggdeserialfn = 0);
-- planners are told what a call costs
SELECT signature, procost FROM functions WHERE lanname = 'c' AND prokind <> 'a' AND procost <= 0;

-- everything tells what it is, and names what it takes
SELECT object FROM installed
WHERE obj_description(objid, catalog::text) IS NULL AND
	catalog::text NOT IN ('pg_cast', 'pg_rewrite', 'pg_constraint', 'pg_attrdef', 'pg_policy', 'pg_trigger') AND
	-- sequences behind ids
	NOT EXISTS (SELECT FROM pg_class AS c WHERE classid = 'pg_class'::regclass AND c.oid = objid AND c.relkind = 'S') AND
	-- rows and arrays of what has a comment
	NOT EXISTS (SELECT FROM pg_type AS t WHERE classid = 'pg_type'::regclass AND t.oid = objid AND (t.typrelid <> 0 OR t.typelem <> 0))
ORDER BY object COLLATE "C";
SELECT a.attrelid::regclass, a.attname FROM installed AS i JOIN pg_attribute AS a ON i.classid = 'pg_class'::regclass AND a.attrelid = i.objid
	JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relkind = 'v' AND a.attnum > 0 AND NOT a.attisdropped AND col_description(a.attrelid, a.attnum) IS NULL;
SELECT object FROM installed WHERE object !~ 'kseg' AND catalog::text NOT IN ('pg_cast');

-- no public name is missing its prefix, and none takes somebody else's place
SELECT signature FROM functions WHERE proname !~ '^kseg_' AND proname NOT IN ('json', 'jsonb');

-- ---- called by hand ----

-- Each function with nothing, and with values that nobody would pass: an
-- answer or an error with a cause, never an internal one.
CREATE FUNCTION pg_temp.outcome(statement text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RAISE SQLSTATE 'KSEG1';
EXCEPTION
	WHEN SQLSTATE 'KSEG1' THEN
		RETURN 'an answer';
	WHEN OTHERS THEN
		RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE TEMPORARY TABLE hostile (type regtype, number int, value text);
INSERT INTO hostile
SELECT t, n, format('(%s)::%s', (ARRAY['-1', '0', '32767'])[n], t) FROM unnest('{int2,int4,int8}'::regtype[]) AS t, generate_series(1, 3) AS n
UNION ALL SELECT t, n, format('%L::%s', (ARRAY['NaN', '-1', '1e30'])[n], t) FROM unnest('{float4,float8,numeric}'::regtype[]) AS t, generate_series(1, 3) AS n
UNION ALL SELECT t, n, format('%L::%s', (ARRAY['', '''; DROP TABLE installed; --', E'\x01\n"'])[n], t) FROM unnest('{text,name}'::regtype[]) AS t, generate_series(1, 3) AS n
UNION ALL SELECT t, n, format('%L::%s', (ARRAY['[]', '{"k": {"k": []}}', 'null'])[n], t) FROM unnest('{json,jsonb}'::regtype[]) AS t, generate_series(1, 3) AS n
UNION ALL SELECT t, n, format('%L::%s', (ARRAY['0', '1', '4294967295'])[n], t) FROM unnest('{oid,regclass}'::regtype[]) AS t, generate_series(1, 3) AS n
UNION ALL SELECT 'timestamptz', n, format('%L::timestamptz', (ARRAY['infinity', '-infinity', 'epoch'])[n]) FROM generate_series(1, 3) AS n
UNION ALL SELECT 'interval', n, format('%L::interval', (ARRAY['-1 day', '0', '178000000 years'])[n]) FROM generate_series(1, 3) AS n
UNION ALL SELECT t, n, (ARRAY['''x''::text', '1', 'ARRAY[1, NULL]::float8[]'])[n] FROM unnest('{"\"any\"",anyelement}'::regtype[]) AS t, generate_series(1, 3) AS n
UNION ALL SELECT 'float8[]', n, format('%L::float8[]', (ARRAY['{}', '{{1,2},{3,4}}', '{NULL}'])[n]) FROM generate_series(1, 3) AS n
UNION ALL SELECT 'text[]', n, format('%L::text[]', (ARRAY['{}', '{{a},{b}}', '{NULL}'])[n]) FROM generate_series(1, 3) AS n
UNION ALL SELECT 'bool', n, (n = 1)::text FROM generate_series(1, 3) AS n
UNION ALL SELECT 'kseg_model', n, format('(SELECT kseg_fit(%s, x) FROM (VALUES (%L), (''7'')) AS v (x))', n, n) FROM generate_series(1, 3) AS n
UNION ALL SELECT 'kseg_scaler', n, '(SELECT kseg_scaler(''zscore'', x) FROM (VALUES (1)) AS v (x))' FROM generate_series(1, 3) AS n
UNION ALL SELECT 'kseg_state', n, '''MFNtawAAAAAHAAAAAAAAAA==''::kseg_state' FROM generate_series(1, 3) AS n;
CREATE TEMPORARY TABLE calls AS
SELECT f.signature, n, format('SELECT %s(%s)', f.oid::regproc,
	(SELECT string_agg(coalesce(h.value, format('NULL::%s', CASE a.type::regtype::text WHEN '"any"' THEN 'int' WHEN 'anyelement' THEN 'text' ELSE a.type::regtype::text END)), ', ' ORDER BY a.position)
	 FROM unnest(f.proargtypes::oid[]) WITH ORDINALITY AS a (type, position) LEFT JOIN hostile AS h ON h.type = a.type AND h.number = n)) AS statement
FROM functions AS f, generate_series(0, 3) AS n
WHERE NOT f.proargtypes::oid[] && '{internal,cstring}'::regtype[]::oid[] AND f.prokind IN ('f', 'a', 'w');
CREATE TEMPORARY TABLE outcomes AS SELECT c.*, pg_temp.outcome(statement) AS outcome FROM calls AS c;
SELECT count(*) > 250 AS calls, count(*) FILTER (WHERE outcome = 'an answer') > 50 AS answers FROM outcomes;
SELECT signature, n, statement, outcome FROM outcomes WHERE outcome ~ '^(XX|58|53)' ORDER BY 1, 2;
-- what takes "internal" cannot be called from SQL
SELECT f.signature, o FROM functions AS f, pg_temp.outcome(format('SELECT %s(%s)', f.oid::regproc,
	(SELECT string_agg('NULL', ', ') FROM unnest(f.proargtypes)))) AS o
WHERE f.proargtypes::oid[] && '{internal}'::regtype[]::oid[] AND o = 'an answer';

DROP TABLE installed, functions, hostile, calls, outcomes;

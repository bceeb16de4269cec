--
-- kseg_progress: what it looks like.  What it shows of other sessions is
-- test/t/018_progress.pl's.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kseg;
RESET client_min_messages;

-- nobody is at work
SELECT * FROM kseg_progress WHERE pid = pg_backend_pid();

-- plain types, and a comment on each column
SELECT attname, format_type(atttypid, NULL), col_description(attrelid, attnum) <> '' AS has_comment
FROM pg_attribute
WHERE attrelid = 'kseg_progress'::regclass AND attnum > 0
ORDER BY attnum;
SELECT obj_description('kseg_progress'::regclass);

-- everybody may look
CREATE ROLE regress_progress;
SET ROLE regress_progress;
SELECT count(*) FROM kseg_progress;
RESET ROLE;
DROP ROLE regress_progress;

-- a session sees itself; every sixteenth row is told
CREATE TABLE progress_seen (command text, phase text, k int, step bigint, rows bigint, changed bigint);
CREATE FUNCTION progress_note(i int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_stat_clear_snapshot();
	INSERT INTO progress_seen
	SELECT command, phase, k, step, rows, rows_changed FROM kseg_progress WHERE pid = pg_backend_pid();
	RETURN i;
END $$;
SELECT kseg_fit(2, i % 7, CASE WHEN i IN (1, 17, 40) THEN progress_note(i) ELSE i END) IS NOT NULL AS fits
FROM generate_series(1, 50) AS i;
TABLE progress_seen;
TRUNCATE progress_seen;

-- a fit in a row of another one: the outer one is shown
SELECT kseg_fit('SELECT a, (SELECT length(kseg_fit(2, CASE WHEN i = 17 THEN progress_note(i) ELSE i + a END)::text) +
		length(kseg_fit(''SELECT i FROM generate_series(1, 99) AS i'', 2)::text) + a
		FROM generate_series(1, 20) AS i) AS b FROM generate_series(1, 3) AS a', 2) IS NOT NULL AS fits;
TABLE progress_seen;
SELECT count(*) FROM kseg_progress WHERE pid = pg_backend_pid();

DROP FUNCTION progress_note(int);
DROP TABLE progress_seen;

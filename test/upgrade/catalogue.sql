--
-- All that the catalogues hold of the extension and its objects: a line for
-- each value of each row, by name instead of number, so that two databases can
-- be compared.  Any catalogue may have such rows, and any column: nothing is
-- left out but what is counted, numbered or a tree of nodes; trees are there as
-- the SQL that they stand for.
--
CREATE FUNCTION pg_temp.named(class oid, id oid) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN id = 0 THEN '-'
		ELSE (SELECT type || ' ' || identity FROM pg_identify_object(class, id, 0)) END
$$;

-- The extension's members, and what comes and goes with one of them.
CREATE TEMP TABLE part AS
WITH RECURSIVE part AS (
	SELECT 'pg_extension'::regclass::oid AS classid, oid AS objid, 0 AS inside
	FROM pg_extension WHERE extname = 'kseg'
	UNION
	SELECT d.classid, d.objid, part.inside + 1
	FROM part, pg_depend AS d
	WHERE d.refclassid = part.classid AND d.refobjid = part.objid AND
		CASE part.inside WHEN 0 THEN d.deptype = 'e' ELSE d.deptype IN ('i', 'a') END AND
		part.inside < 9
)
SELECT DISTINCT classid, objid FROM part
-- triggers of foreign keys and TOAST tables have numbers for names
WHERE coalesce(pg_temp.named(classid, objid) !~ 'pg_toast|RI_ConstraintTrigger', true);

CREATE FUNCTION pg_temp.catalogue() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	c record;
	a record;
	name_of text;
	rows text;
	value text;
	columns text;
	extra text;
BEGIN
	FOR c IN
		SELECT t.oid, t.relname::text AS name,
			(SELECT attname::text FROM pg_attribute
			 WHERE attrelid = t.oid AND attnum > 0 ORDER BY attnum LIMIT 1) AS key
		FROM pg_class AS t
		WHERE t.relnamespace = 'pg_catalog'::regnamespace AND t.relkind = 'r' AND NOT t.relisshared AND
			t.relname NOT IN ('pg_depend', 'pg_statistic', 'pg_statistic_ext_data')
		ORDER BY t.relname
	LOOP
		-- which rows: by their own number, or by that of what they describe
		IF c.key = 'oid' THEN
			rows := format('JOIN part AS p ON p.classid = %s AND p.objid = t.oid', c.oid);
			name_of := 'pg_temp.named(p.classid, p.objid)';
		ELSIF c.name IN ('pg_description', 'pg_init_privs', 'pg_seclabel') THEN
			rows := 'JOIN part AS p ON p.classid = t.classoid AND p.objid = t.objoid';
			name_of := '(SELECT type || '' '' || identity FROM pg_identify_object(classoid, objoid, objsubid))';
		ELSE
			SELECT INTO rows format('JOIN part AS p ON p.classid = %s AND p.objid = t.%I', f.pktable::oid, c.key)
			FROM pg_get_catalog_foreign_keys() AS f
			WHERE f.fktable = c.oid AND f.fkcols = ARRAY[c.key];
			CONTINUE WHEN NOT FOUND;
			name_of := 'pg_temp.named(p.classid, p.objid)';
		END IF;
		extra := '';
		CASE c.name
			WHEN 'pg_attribute' THEN
				name_of := name_of || ' || '' column '' || t.attname';
				rows := rows || ' WHERE t.attnum > 0 AND NOT t.attisdropped';
				extra := '(SELECT count(*) FROM pg_attribute AS b WHERE b.attrelid = t.attrelid AND
					b.attnum BETWEEN 1 AND t.attnum AND NOT b.attisdropped)';
			WHEN 'pg_rewrite' THEN extra := 'pg_get_ruledef(t.oid)';
			WHEN 'pg_attrdef' THEN extra := 'pg_get_expr(adbin, adrelid)';
			WHEN 'pg_constraint' THEN extra := 'pg_get_constraintdef(t.oid)';
			WHEN 'pg_index' THEN extra := 'pg_get_indexdef(indexrelid)';
			WHEN 'pg_trigger' THEN extra := 'pg_get_triggerdef(t.oid)';
			WHEN 'pg_policy' THEN
				extra := 'ROW(pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))';
			WHEN 'pg_proc' THEN
				extra := 'ROW(pg_get_function_arguments(t.oid), pg_get_function_sqlbody(t.oid))';
			WHEN 'pg_extension' THEN
				extra := '(SELECT string_agg(o::regclass || '' '' || f, '', '' ORDER BY o::regclass::text)
					FROM unnest(extconfig, extcondition) AS u(o, f))';
			ELSE NULL;
		END CASE;

		columns := '';
		FOR a IN
			SELECT attname::text AS name, atttypid::regtype::text AS type, f.pktable::oid AS class, f.is_array
			FROM pg_attribute
				LEFT JOIN pg_get_catalog_foreign_keys() AS f
					ON f.fktable = attrelid AND f.fkcols = ARRAY[attname::text]
			WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND
				atttypid <> 'pg_node_tree'::regtype AND
				attname NOT IN ('oid', 'objoid', 'classoid', 'objsubid',
					'attnum', 'adnum', 'conkey', 'confkey', 'indkey', 'tgattr', 'relnatts',
					'relfilenode', 'relpages', 'reltuples', 'relallvisible', 'relallfrozen',
					'relfrozenxid', 'relminmxid', 'reltoastrelid',
					'atthasmissing', 'attmissingval', 'attcacheoff', 'extconfig', 'extcondition')
			UNION ALL
			SELECT '', extra, NULL, NULL WHERE extra <> ''
		LOOP
			value := CASE
				WHEN a.name = '' THEN a.type
				WHEN a.is_array THEN format(
					'(SELECT string_agg(pg_temp.named(%s, u), '', '' ORDER BY n)
					  FROM unnest(t.%I::oid[]) WITH ORDINALITY AS o(u, n))', a.class, a.name)
				WHEN a.class IS NOT NULL THEN format('pg_temp.named(%s, t.%I::oid)', a.class, a.name)
				WHEN a.type = 'aclitem[]' THEN format(
					'(SELECT string_agg(u::text, '', '' ORDER BY u::text) FROM unnest(t.%I) AS u)', a.name)
				-- servers put numbers of their own beside them
				WHEN a.name = 'attoptions' THEN
					'(SELECT array_agg(u ORDER BY u) FROM unnest(t.attoptions) AS u WHERE u !~ ''^pg_attver='')'
				ELSE format('t.%I', a.name) END;
			columns := columns || format(', (%L, (%s)::text)', format(' (%s.%s): ', c.name, a.name), value);
		END LOOP;
		RETURN QUERY EXECUTE format(
			'SELECT t.row_name || v.name || coalesce(v.value, ''null'')
			 FROM (SELECT %s AS row_name, t.* FROM %I AS t %s OFFSET 0) AS t, LATERAL (VALUES %s) AS v(name, value)',
			name_of, c.name, rows, substr(columns, 3));
	END LOOP;
END $$;

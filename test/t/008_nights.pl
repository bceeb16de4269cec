# Thirty nights over 50,000 customers: a segment's id goes on meaning the same
# customers, history and migrations tell exactly who was where.
#
# The truth is known.  There are seven groups: one moves slowly, one grows to
# four times its size, one dies out, one splits in two; customers come, go,
# return, change their ways and sometimes the group.  Two segmentations follow
# them: "auto" as it is by default, in a column of the customers' table, and
# "every night", which fits anew each night, in a table of its own.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $nights = 30;
my @series = ('auto', 'every night');
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_buffers = 256MB\nmax_wal_size = 4GB");
$node->start;

# ---- the customers of each night ----

$node->safe_psql('postgres', q{
	CREATE EXTENSION kseg;

	-- about normal, mean 0 and standard deviation 1, always the same
	CREATE FUNCTION noise(id int, salt int) RETURNS float8
	IMMUTABLE PARALLEL SAFE LANGUAGE sql
	RETURN ((hashint4(hashint4(id) # salt) & 65535) + (hashint4(hashint4(id) # salt + 1000) & 65535)
	        + (hashint4(hashint4(id) # salt + 2000) & 65535) - 98304) / 32768.0;

	-- when everybody comes and goes, and where he belongs
	CREATE TABLE person AS
	SELECT id, home,
	       CASE WHEN home = 'growing' AND id % 4 > 0 THEN 2 + id / 4 % 27
	            WHEN id % 9 = 0 THEN 1 + id / 9 % 30 ELSE 1 END AS comes,
	       CASE WHEN home = 'dying' AND id % 2 = 0 THEN 6 + id / 2 % 13
	            WHEN id % 11 = 0 THEN 3 + id / 11 % 40 ELSE 99 END AS goes,
	       CASE WHEN id % 3 = 0 THEN 7 + id / 11 % 40 ELSE 99 END AS returns,
	       CASE WHEN home = 'dying' THEN 6 + id / 2 % 13
	            WHEN id % 13 = 0 THEN 2 + id / 13 % 60 ELSE 99 END AS moves,
	       CASE WHEN home = 'dying' THEN 'growing' ELSE 'steady' END AS moves_to
	FROM (SELECT id, CASE WHEN u < 235 THEN 'steady' WHEN u < 410 THEN 'drifting'
	                      WHEN u < 610 THEN 'growing' WHEN u < 770 THEN 'splitting'
	                      WHEN u < 870 THEN 'split off' WHEN u < 940 THEN 'dying'
	                      ELSE 'small' END AS home
	      FROM (SELECT id, hashint4(id) & 1023 AS u FROM generate_series(1, 59000) AS id) AS r) AS g;

	-- A customer's ways are his for fifteen nights.
	CREATE FUNCTION of_night(night int)
	RETURNS TABLE (id int, grp text, visits float8, spent float8, age float8)
	STABLE LANGUAGE sql BEGIN ATOMIC
		SELECT p.id, p.grp, c.visits + 1.2 * noise(p.id, p.draw),
		       c.spent + 12 * noise(p.id, p.draw + 100), c.age + 4 * noise(p.id, 7)
		FROM (SELECT id, CASE WHEN night >= moves THEN moves_to ELSE home END AS grp,
		             10 + (night + id % 15) / 15 AS draw,
		             least(greatest(night - 9, 0), 14) AS apart
		      FROM person
		      WHERE comes <= night AND (goes > night OR returns BETWEEN goes + 1 AND night)) AS p
		CROSS JOIN LATERAL
		     (VALUES ('steady', 10.0, 100.0, 40.0),
		             ('drifting', 4 + 0.08 * night, 40 + 1.2 * night, 60),
		             ('growing', 16, 60, 25),
		             ('splitting', 5, 160, 30),
		             ('split off', 5 + 0.4 * apart, 160 + 2.5 * apart, 30 + apart),
		             ('dying', 20, 150, 55),
		             ('small', 1, 20, 30 - 0.1 * night)) AS c (grp, visits, spent, age)
		WHERE c.grp = p.grp;
	END;

	CREATE TABLE customers (id int PRIMARY KEY, visits float8, spent float8, age float8, segment int)
	WITH (fillfactor = 70);
	CREATE UNLOGGED TABLE tonight (id int, grp text, visits float8, spent float8, age float8);

	CREATE PROCEDURE fall(night int) LANGUAGE sql BEGIN ATOMIC
		INSERT INTO tonight SELECT * FROM of_night(night);
		DELETE FROM customers AS c WHERE NOT EXISTS (SELECT FROM tonight AS t WHERE t.id = c.id);
		UPDATE customers AS c SET visits = t.visits, spent = t.spent, age = t.age
		FROM tonight AS t
		WHERE t.id = c.id AND (t.visits, t.spent, t.age) IS DISTINCT FROM (c.visits, c.spent, c.age);
		INSERT INTO customers
		SELECT id, visits, spent, age FROM tonight AS t
		WHERE NOT EXISTS (SELECT FROM customers AS c WHERE t.id = c.id);
	END;

	SELECT kseg_create('auto', 'SELECT id, visits, spent, age FROM customers', 'id', 6,
	                   target => 'customers');
	SELECT kseg_create('every night', 'SELECT id, visits, spent, age FROM customers', 'id', 6);
	CREATE VIEW segmentation AS
	SELECT id AS segmentation, name AS series, target FROM kseg_segmentations;
});

# ---- the nights ----

# What is kept of each for the questions below: the runs, where everybody was
# afterwards, and in which segment most customers of each group are.
$node->safe_psql('postgres', q{
	CREATE TABLE night (night int, series text, run bigint, action text, changed bigint,
	                    new bigint, gone bigint, scored bigint, started timestamptz);
	CREATE TABLE place (night int, series text, grp text, segment int, customers bigint);
	CREATE TABLE plain (night int, model kseg_model);
	CREATE TABLE snapshot (run bigint, id int, segment int) PARTITION BY LIST (run);
	CREATE PROCEDURE keep(which int, what text, target name) LANGUAGE plpgsql AS $$
	DECLARE
		run bigint = (SELECT run FROM night WHERE night = which AND series = what);
	BEGIN
		EXECUTE format('CREATE UNLOGGED TABLE snapshot_%1$s PARTITION OF snapshot FOR VALUES IN (%1$s)', run);
		EXECUTE format('INSERT INTO snapshot_%1$s SELECT %1$s, id, segment FROM %2$I WHERE segment IS NOT NULL', run, target);
	END $$;
	-- how many of each group are in which segment of each series
	CREATE VIEW now AS
	WITH segments AS MATERIALIZED (
		SELECT t.grp, c.segment AS a, e.segment AS e, kseg_predict(p.model, t.visits, t.spent, t.age) AS p, count(*) AS customers
		FROM tonight AS t JOIN customers AS c USING (id) LEFT JOIN "every night_segments" AS e USING (id)
		CROSS JOIN (SELECT model FROM plain ORDER BY night DESC LIMIT 1) AS p
		GROUP BY 1, 2, 3, 4)
	SELECT series, grp, segment, sum(customers) AS customers
	FROM segments CROSS JOIN LATERAL (VALUES ('auto', a), ('every night', e), ('plain', p)) AS s (series, segment)
	GROUP BY 1, 2, 3;
});
my $took = time;
for my $night (1 .. $nights)
{
	$node->safe_psql('postgres', "TRUNCATE tonight; CALL fall($night)");
	$node->safe_psql('postgres', qq{
		INSERT INTO night (night, series, run, action, changed, new, gone, scored)
		SELECT $night, 'auto', run_id, action, changed, new, gone, scored FROM kseg_run('auto')});
	$node->safe_psql('postgres', qq{
		INSERT INTO night (night, series, run, action, changed, new, gone, scored)
		SELECT $night, 'every night', run_id, action, changed, new, gone, scored FROM kseg_run('every night', 'refit')});
	$node->safe_psql('postgres', qq{
		INSERT INTO plain
		SELECT $night, kseg_fit('SELECT visits, spent, age FROM customers', 6);
		INSERT INTO place
		SELECT DISTINCT ON (series, grp) $night, series, grp, segment, customers
		FROM now ORDER BY series, grp, customers DESC;
		UPDATE night SET started = r.started FROM kseg_runs AS r WHERE r.id = night.run AND night.night = $night;
		CALL keep($night, 'auto', 'customers');
		CALL keep($night, 'every night', 'every night_segments');
	});
	# labels, on the first night only
	$node->safe_psql('postgres', q{
		SELECT kseg_label(series, segment, 'the ' || grp)
		FROM (SELECT DISTINCT ON (series, segment) series, segment, grp FROM now
		      WHERE series <> 'plain' ORDER BY series, segment, customers DESC) AS s
	}) if $night == 1;
}
note($nights . ' nights took ' . (time - $took) . ' s');

sub ask
{
	return $node->safe_psql('postgres', shift);
}

note("actions:\n" . ask(q{SELECT series, action, count(*), min(changed), max(changed) FROM night GROUP BY 1, 2 ORDER BY 1, 2}));
note("segments of each group:\n"
	  . ask(q{SELECT series, grp, string_agg(segment::text, ' ' ORDER BY night) FROM place GROUP BY 1, 2 ORDER BY 1, 2}));

is(ask('SELECT count(*), count(DISTINCT run), count(started) FROM night'), '60|60|60', 'every night has its runs');
cmp_ok(ask('SELECT avg(scored) FROM night'), '>', 49000, 'over 50,000 customers');
cmp_ok(ask(q{SELECT count(*) FROM night WHERE series = 'auto' AND action = 'refit'}), '>', 1, 'drift made "auto" fit again');
cmp_ok(ask(q{SELECT count(*) FROM night WHERE series = 'auto' AND action = 'score'}), '>', $nights / 2, 'but on few nights');
is(ask(q{SELECT count(*) FROM night WHERE series = 'every night' AND action <> 'refit'}), '0', 'and "every night" each night');

# ---- ids ----

# A group lives while it has 2 % of the customers, and the one that splits off
# does from the night on which it has a segment of its own.
$node->safe_psql('postgres', q{
	CREATE VIEW life AS
	SELECT p.* FROM place AS p
	WHERE customers > 1000 AND
	      (grp <> 'split off' OR
	       segment <> (SELECT segment FROM place AS o
	                   WHERE (o.night, o.series, o.grp) = (p.night, p.series, 'splitting')));
	CREATE VIEW change AS
	SELECT series, grp, n.night, o.segment AS before, n.segment AS after
	FROM life AS n JOIN life AS o USING (series, grp)
	WHERE n.night = o.night + 1 AND n.segment <> o.segment;
});
for my $series (@series)
{
	is(ask(qq{SELECT count(DISTINCT grp) FROM life WHERE series = '$series'}), '7', "$series: all groups are found");
	is(ask(qq{SELECT string_agg(change::text, ' ') FROM change WHERE series = '$series'}), '', "$series: no group ever changes its id");
	is(ask(qq{SELECT count(*) FROM life AS a JOIN life AS b USING (series, night, segment)
	          WHERE series = '$series' AND a.grp < b.grp}), '0', "$series: nor do two groups share one");
	is(ask(qq{SELECT count(DISTINCT segment) = 7 AND max(segment) FILTER (WHERE grp = 'split off') = 7
	          FROM life WHERE series = '$series'}), 't', "$series: the group that is new has an id that is new");
	# models: an id that ended never comes again, a new one is higher than all before
	is(ask(qq{
		WITH ids AS (SELECT m.version, c.segment FROM kseg_models AS m JOIN segmentation AS s USING (segmentation)
		             CROSS JOIN LATERAL (SELECT DISTINCT segment FROM kseg_centroids(m.model)) AS c
		             WHERE s.series = '$series' AND NOT m.is_held)
		SELECT count(*) FILTER (WHERE n.version > 1) > 0,
		       count(*) FILTER (WHERE o.segment IS NULL AND n.segment < (SELECT max(segment) FROM ids WHERE version < n.version))
		FROM ids AS n LEFT JOIN ids AS o
		ON o.segment = n.segment AND o.version = (SELECT max(version) FROM ids WHERE version < n.version)}),
		't|0', "$series: no id is given twice");
	is(ask(qq{
		SELECT count(*) = 6 AND bool_and(l.label = 'the ' || p.grp)
		FROM kseg_labels AS l JOIN segmentation AS s USING (segmentation)
		JOIN place AS p ON p.series = s.series AND p.segment = l.segment
		     AND p.night = (SELECT max(night) FROM life WHERE life.series = s.series AND life.grp = substr(l.label, 5))
		WHERE s.series = '$series' AND p.grp = substr(l.label, 5)}), 't', "$series: labels go with their groups");
}
my $permuted = ask(q{SELECT count(DISTINCT night) FROM change WHERE series = 'plain'});
note("a plain fit changes ids on $permuted of " . ($nights - 1) . ' nights');
cmp_ok($permuted, '>', 0, 'a plain fit gives other ids to the same groups');

# ---- history ----

$node->safe_psql('postgres', q{
	ANALYZE;
	-- what each run should have moved, or several together
	CREATE FUNCTION moved(a bigint, b bigint)
	RETURNS TABLE (from_segment int, to_segment int, customers bigint, share float8)
	STABLE LANGUAGE plpgsql AS $$
	BEGIN
		RETURN QUERY
		SELECT o.segment, n.segment, count(*),
		       CASE WHEN o.segment IS NOT NULL THEN
		            count(*) / sum(count(*)) OVER (PARTITION BY o.segment)::float8 END
		FROM (SELECT * FROM snapshot WHERE run = a) AS o
		FULL JOIN (SELECT * FROM snapshot WHERE run = b) AS n USING (id)
		GROUP BY o.segment, n.segment;
	END $$;

	-- rows that only one of the two has
	CREATE FUNCTION in_history(run bigint) RETURNS bigint
	STABLE LANGUAGE plpgsql AS $$
	BEGIN
		RETURN (
			SELECT count(*) FILTER (WHERE said.id IS NULL OR was.id IS NULL) +
			       abs(count(*) - (SELECT count(*) FROM snapshot AS s WHERE s.run = $1))
			FROM (SELECT key::int AS id, h.segment FROM kseg_history AS h, kseg_runs AS r
			      WHERE r.id = $1 AND h.segmentation = r.segmentation AND
			            h.valid_from <= r.started AND (h.valid_to IS NULL OR h.valid_to > r.started)) AS said
			FULL JOIN (SELECT id, segment FROM snapshot AS s WHERE s.run = $1) AS was USING (id, segment));
	END $$;
	CREATE FUNCTION in_migration(series text, a bigint, b bigint) RETURNS bigint
	STABLE LANGUAGE sql
	RETURN (
		WITH said AS MATERIALIZED (
			SELECT from_segment, to_segment, customers, round(share::numeric, 12) FROM kseg_migration(series, a, b)),
		     was AS MATERIALIZED (
			SELECT from_segment, to_segment, customers, round(share::numeric, 12) FROM moved(a, b))
		SELECT (SELECT count(*) FROM (TABLE said EXCEPT ALL TABLE was) AS d) +
		       (SELECT count(*) FROM (TABLE was EXCEPT ALL TABLE said) AS d));
	CREATE FUNCTION in_moves(a bigint, b bigint) RETURNS bigint
	STABLE LANGUAGE sql
	RETURN (
		WITH said AS MATERIALIZED (
			SELECT from_segment, to_segment, customers FROM kseg_moves WHERE run = b),
		     was AS MATERIALIZED (SELECT from_segment, to_segment, customers FROM moved(a, b))
		SELECT (SELECT count(*) FROM (TABLE said EXCEPT ALL TABLE was) AS d) +
		       (SELECT count(*) FROM (TABLE was EXCEPT ALL TABLE said) AS d));
	CREATE FUNCTION in_sizes(a bigint) RETURNS bigint
	STABLE LANGUAGE sql
	RETURN (
		WITH said AS MATERIALIZED (
			SELECT segment, size, round(share::numeric, 12) FROM kseg_sizes WHERE run = a AND size > 0),
		     was AS MATERIALIZED (
			SELECT segment, count(*), round(count(*) / sum(count(*)) OVER (), 12) FROM snapshot WHERE run = a GROUP BY segment)
		SELECT (SELECT count(*) FROM (TABLE said EXCEPT ALL TABLE was) AS d) +
		       (SELECT count(*) FROM (TABLE was EXCEPT ALL TABLE said) AS d));
});

for my $series (@series)
{
	is(ask(qq{SELECT string_agg(night::text, ' ') FROM night WHERE series = '$series' AND in_history(run) <> 0}),
		'', "$series: history is what the snapshots were");
	is(ask(qq{
		SELECT string_agg(night::text, ' ')
		FROM (SELECT night, run, lag(run) OVER (ORDER BY night) AS before FROM night WHERE series = '$series') AS n
		WHERE before IS NOT NULL AND in_migration('$series', before, run) <> 0}),
		'', "$series: from one run to the next kseg_migration() is the snapshots' self-join");
	is(ask(qq{
		SELECT string_agg(format('%s to %s', a.night, b.night), ', ')
		FROM night AS a JOIN night AS b USING (series)
		WHERE series = '$series' AND (a.night, b.night) IN ((1, 30), (1, 17), (5, 6), (9, 22), (16, 19), (29, 30), (12, 12))
		      AND in_migration('$series', a.run, b.run) <> 0}),
		'', "$series: and over several runs");
	is(ask(qq{
		SELECT count(*)
		FROM night AS a JOIN night AS b USING (series) CROSS JOIN LATERAL
		     (SELECT * FROM kseg_migration(series, a.run, b.run) EXCEPT ALL SELECT * FROM kseg_migration(series, a.started, b.started)) AS d
		WHERE series = '$series' AND (a.night, b.night) IN ((1, $nights), (9, 22), (19, 20))}),
		'0', "$series: runs are as good as times");
	is(ask(qq{
		SELECT bool_and(from_label = 'the ' || o.grp AND to_label = 'the ' || n.grp) AND count(*) >= 5
		FROM kseg_migration('$series', (SELECT run FROM night WHERE series = '$series' AND night = 1),
		                    (SELECT run FROM night WHERE series = '$series' AND night = $nights)) AS m
		JOIN life AS o ON o.night = 1 AND o.series = '$series' AND o.segment = m.from_segment
		JOIN life AS n ON n.night = $nights AND n.series = '$series' AND n.segment = m.to_segment
		WHERE n.grp <> 'split off'}), 't', "$series: and speaks of segments by their labels");
	is(ask(qq{
		SELECT count(*)
		FROM (SELECT key::int AS id, segment, label FROM kseg_current WHERE segmentation = '$series') AS c
		FULL JOIN (SELECT id, segment FROM snapshot WHERE run = (SELECT max(run) FROM night WHERE series = '$series')) AS s USING (id)
		FULL JOIN customers AS k USING (id)
		LEFT JOIN life AS l ON l.night = $nights AND l.series = '$series' AND l.segment = c.segment
		WHERE c.segment IS DISTINCT FROM s.segment OR (c.label = 'the ' || l.grp) <> (l.grp <> 'split off') OR k.id IS NULL}),
		'0', "$series: kseg_current has everybody where he is now");
	is(ask(qq{
		SELECT string_agg(night::text, ' ')
		FROM (SELECT night, run, lag(run, 1, 0) OVER (ORDER BY night) AS before FROM night WHERE series = '$series') AS n
		WHERE in_moves(before, run) <> 0}),
		'', "$series: kseg_moves has them too");
	is(ask(qq{SELECT string_agg(night::text, ' ') FROM night WHERE series = '$series' AND in_sizes(run) <> 0}),
		'', "$series: kseg_sizes counts the snapshots");
	is(ask(qq{
		SELECT string_agg(format('%s: %s', night, m), ', ')
		FROM night JOIN (SELECT run, sum(customers) FILTER (WHERE from_segment <> to_segment) AS changed,
		                        sum(customers) FILTER (WHERE from_segment IS NULL) AS new,
		                        sum(customers) FILTER (WHERE to_segment IS NULL) AS gone,
		                        sum(customers) FILTER (WHERE to_segment IS NOT NULL) AS scored
		                 FROM kseg_moves GROUP BY run) AS m USING (run)
		WHERE series = '$series' AND
		      (n.changed, n.new, n.gone, n.scored) IS DISTINCT FROM
		      (coalesce(m.changed, 0), coalesce(m.new, 0), coalesce(m.gone, 0), m.scored)}
		=~ s/FROM night JOIN/FROM night AS n JOIN/r),
		'', "$series: and each run has told so");
	# nobody is in two places, nor left a place where he went on to be
	is(ask(qq{
		SELECT count(*) FILTER (WHERE until > valid_from), count(*) FILTER (WHERE until = valid_from AND before = segment),
		       count(*) FILTER (WHERE previous IS DISTINCT FROM CASE WHEN until = valid_from THEN before END), count(*) > 50000
		FROM (SELECT h.*, lag(coalesce(valid_to, 'infinity')) OVER w AS until, lag(h.segment) OVER w AS before
		      FROM kseg_history AS h JOIN segmentation AS s USING (segmentation) WHERE series = '$series'
		      WINDOW w AS (PARTITION BY key ORDER BY valid_from)) AS h}),
		'0|0|0|t', "$series: history has no overlaps");
}

done_testing();

# kseg_progress: another session sees every phase of every function, live;
# strangers see nothing; what ends, in whatever way, is gone.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION kseg;
	CREATE ROLE analyst LOGIN;
	CREATE ROLE colleague IN ROLE analyst;
	CREATE ROLE monitor IN ROLE pg_read_all_stats;
	CREATE ROLE stranger;
	GRANT CREATE, USAGE ON SCHEMA public TO analyst;
	CREATE TABLE seen (job text, username text, command text, phase text, k int, step int8, steps int8,
		rows int8, rows_total int8, rows_changed int8, age float8, phase_age float8);
	CREATE TABLE job (name text, is_over bool DEFAULT false);
	SET ROLE analyst;
	CREATE TABLE t AS
	SELECT i AS id, hashint4(i) % 1000 AS a, (hashint4(i + 1) & 65535)::float8 AS b,
	       sqrt((hashint4(i + 2) & 65535)::float8) AS c, (hashint4(i + 3) % 100)::numeric AS d,
	       'v' || (hashint4(i + 6) & 15) AS e, NULL::int AS segment
	FROM generate_series(1, 250000) AS i;
	VACUUM ANALYZE t;
	CREATE TABLE m AS SELECT kseg_fit(6, a, b, c, d) AS model FROM t WHERE id < 20000;
	SELECT kseg_create('nightly', 'SELECT id, a, b, c, d, e FROM t', 'id', 5);
});

# Looks every millisecond or so, until the job is over.
my $watch = q{
DO $$
DECLARE
	job text := (SELECT name FROM job);
BEGIN
	WHILE EXISTS (SELECT FROM job WHERE NOT is_over) LOOP
		PERFORM pg_stat_clear_snapshot();
		INSERT INTO seen
		SELECT job, username, command, phase, k, step, steps, rows, rows_total, rows_changed,
			extract(epoch FROM at - started), extract(epoch FROM at - phase_started)
		FROM kseg_progress, clock_timestamp() AS at;
		PERFORM pg_sleep(0.001);
	END LOOP;
END $$;
};

sub watched
{
	my ($job, $sql) = @_;
	my ($out, $err) = ('', '');

	$node->safe_psql('postgres', "TRUNCATE job; INSERT INTO job VALUES ('$job')");
	my $watcher = IPC::Run::start(
		[ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c', $watch ],
		'>', \$out, '2>', \$err);
	$node->poll_query_until('postgres',
		q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%DECLARE%job text%' AND pid <> pg_backend_pid()});
	my $status = $node->psql('postgres', $sql, extra_params => [ '-U', 'analyst' ],
		on_error_stop => 0, stderr => \my $complaint);
	$node->safe_psql('postgres', 'UPDATE job SET is_over = true');
	$watcher->finish;
	is($err, '', "$job: watched") if $err ne '';
	return $complaint;
}

sub value
{
	my ($job, $expression) = @_;
	return $node->safe_psql('postgres', "SELECT $expression FROM seen WHERE job = '$job'");
}

# On a busy machine the watcher may miss what is short: then again.
sub sees
{
	my ($job, $sql, @phases) = @_;
	my @missing;

	foreach my $try (1 .. 30)
	{
		watched($job, $sql);
		my %seen = map { $_ => 1 } split /\|/,
		  value($job, q{string_agg(DISTINCT phase, '|')});
		@missing = grep { !$seen{$_} } @phases;
		last unless @missing;
	}
	is("@missing", '', "$job: all of " . join(', ', @phases));
}

my @fit = ('reading rows', 'scaling', 'sampling', 'searching', 'improving', 'measuring');

sees('fit', 'SELECT kseg_fit(9, a, b, c, d, e) FROM t', @fit);
is(value('fit', q{string_agg(DISTINCT concat_ws(' ', username, command), ', ')}),
	'analyst kseg_fit', 'whose and what');
is(value('fit', q{bool_and(rows BETWEEN 0 AND 250000 AND rows_total BETWEEN 200000 AND 300000 AND k IS NULL)
	FILTER (WHERE phase = 'reading rows')}), 't', 'rows that are read, of so many');
is(value('fit', q{count(DISTINCT rows) FILTER (WHERE phase = 'reading rows') > 3}), 't', '... are counted up');
is(value('fit', q{bool_and(k = 9) FILTER (WHERE phase IN ('searching', 'improving'))}), 't', 'k of the search');
is(value('fit', q{max(step) FILTER (WHERE phase = 'searching') >= 2}), 't', 'chains of the search');
is(value('fit', q{count(DISTINCT step) FILTER (WHERE phase = 'improving') > 3
	AND max(steps) FILTER (WHERE phase = 'improving') = 300
	AND max(rows_changed) FILTER (WHERE phase = 'improving') > 0}), 't', 'iterations, and rows that move');
is(value('fit', q{bool_and(age >= phase_age AND phase_age > -1 AND age < 600)}), 't', 'since when');

sees('groups', q{SELECT kseg_fit('{"k": 4, "n_init": 1}'::jsonb, a, b, c) FROM t GROUP BY id % 3},
	'reading rows', 'searching', 'improving');
sees('query', q{SELECT kseg_fit('SELECT a, b, c, d FROM t', 7)}, @fit);
is(value('query', q{bool_and(rows_total BETWEEN 200000 AND 300000) FILTER (WHERE phase = 'reading rows')}),
	't', 'rows that the planner expects of a query');
sees('elbow', q{SELECT k FROM kseg_elbow('SELECT a, b, c, d FROM t', 1, 5)},
	@fit, 'comparing with references', 'silhouettes', 'stability');
is(value('elbow', q{string_agg(DISTINCT command, ', ')}), 'kseg_elbow', 'one command');
is(value('elbow', q{count(DISTINCT k) >= 3}), 't', 'which k the elbow is at');
is(value('elbow', q{bool_and(step <= steps) FILTER (WHERE phase IN ('silhouettes', 'stability', 'comparing with references'))}),
	't', 'steps of so many');
sees('cluster', 'SELECT count(s) FROM (SELECT kseg_cluster(5, a, b, c) OVER () AS s FROM t) AS w',
	'reading rows', 'searching', 'improving', 'scoring rows');
sees('segments', q{SELECT count(*) FROM kseg_segments('SELECT id, a, b, c FROM t', 'id', (SELECT kseg_fit(3, a, b, c) FROM t WHERE id < 999))},
	'scoring rows');
sees('evaluate', q{SELECT count(*) FROM m, kseg_evaluate(model, 'SELECT a, b, c, d FROM t') AS e},
	'scoring rows', 'silhouettes');
sees('profile', q{SELECT count(*) FROM m, kseg_profile(model, 'SELECT a, b, c, d FROM t') AS e}, 'scoring rows');
sees('explain', q{SELECT count(*) FROM m, kseg_explain(model, 'SELECT a, b, c, d FROM t') AS e}, 'scoring rows');
sees('project', q{SELECT count(*) FROM m, kseg_project(model, 'SELECT id, a, b, c, d FROM t', 'id') AS e}, 'scoring rows');
sees('normalize', q{SELECT count(*) FROM kseg_normalize('SELECT id, a, b, c, d FROM t', 'id')}, 'reading rows');
sees('apply', q{BEGIN; SELECT kseg_apply((SELECT model FROM m), 't', 'segment'); ROLLBACK}, 'writing back');
is(value('apply', q{bool_and(rows_changed <= rows AND rows <= 250000 AND rows_total = 250000)
	FILTER (WHERE rows > 0 AND rows_changed > 0) AND max(rows_changed) > 1000}), 't', 'rows that were read and changed');
sees('first run', q{SELECT kseg_run('nightly', 'dry'); SELECT kseg_run('nightly')},
	@fit, 'scoring rows', 'writing back', 'writing history');
is(value('first run', q{string_agg(DISTINCT command, ', ')}), 'kseg_run', 'the run, not its parts');

# ---- who sees it, and where ----

# The row stays as long as the lock that the query waits for.
my $holder = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c',
		'SELECT pg_advisory_lock(1), pg_sleep(600)' ], '>', \my $held, '2>', \my $trouble);
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND granted});
my $waiter = IPC::Run::start([ 'psql', '-X', '-q', '-U', 'analyst', '-d', $node->connstr('postgres'), '-c',
		q{SELECT kseg_fit('SELECT a, CASE WHEN id = 100 THEN pg_advisory_xact_lock(1)::text || b ELSE ''0'' END AS x
			FROM t WHERE id <= 100 ORDER BY id', 3)} ], '>', \my $waited, '2>', \$trouble);
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
my %looks = (analyst => 1, colleague => 1, monitor => 1, stranger => 0);
foreach my $role (sort keys %looks)
{
	is($node->safe_psql('postgres', "SET ROLE $role; SELECT count(*) FROM kseg_progress"),
		$looks{$role}, "$role sees " . ($looks{$role} ? 'it' : 'nothing'));
}
is($node->safe_psql('postgres', q{SELECT p.command, p.phase, p.rows, p.database, a.query LIKE 'SELECT kseg_fit%'
	FROM kseg_progress AS p JOIN pg_stat_activity AS a USING (pid)}), 'kseg_fit|reading rows|96|postgres|t', 'what waits');
is($node->safe_psql('postgres', q{SELECT count(*)
	FROM unnest('{VACUUM,ANALYZE,CLUSTER,CREATE INDEX,BASEBACKUP,COPY}'::text[]) AS c,
		pg_stat_get_progress_info(c)}), '0', 'the views of the server do not show it');
$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM kseg_progress});
$waiter->finish;
is($node->safe_psql('postgres', q{SELECT count(*) FROM kseg_progress}), '0', 'cancelled by its pid');
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'});
$holder->finish;

# ---- how it ends ----

my @ends = (
	[ 'the end', 'SELECT kseg_fit(3, a, b) IS NULL FROM t WHERE id < 1000' ],
	[ 'an error while reading', 'SELECT kseg_fit(3, a, 1 / (id - 900)) FROM t' ],
	[ 'an error of a query', q{SELECT kseg_elbow('SELECT a, 1 / (id - 900) AS b FROM t')} ],
	[ 'an error that is caught', q{DO $$ BEGIN PERFORM kseg_fit(3, a, 1 / (id - 900)) FROM t; EXCEPTION WHEN division_by_zero THEN NULL; END $$} ],
	[ 'an error of a run', q{ALTER TABLE t RENAME COLUMN e TO f; SELECT kseg_run('nightly'); ALTER TABLE t RENAME COLUMN f TO e} ],
	[ 'a timeout while searching', q{SET statement_timeout = 400; SELECT kseg_fit(60, a, b, c, d, e) FROM t; RESET statement_timeout} ],
	[ 'a timeout while writing', q{SET statement_timeout = 100; SELECT kseg_apply((SELECT model FROM m), 't', 'segment'); RESET statement_timeout} ],
	[ 'a cursor left early', q{BEGIN; DECLARE c CURSOR FOR SELECT kseg_fit(2, a, b) FROM t WHERE id < 9000 GROUP BY id % 9; FETCH 2 FROM c; CLOSE c; SELECT count(*) FROM kseg_progress; ROLLBACK} ],
	[ 'a query that stops early', q{SELECT kseg_fit(2, a, b) FROM (SELECT * FROM t WHERE id < 9000 ORDER BY id % 9) AS s GROUP BY id % 9 LIMIT 2} ],
	[ 'a transaction that failed', q{BEGIN; SELECT kseg_fit(3, a, 1 / (id - 900)) FROM t; SELECT 1; ROLLBACK} ]);

foreach my $end (@ends)
{
	my ($name, $sql) = @$end;
	my ($out, $err);

	# from the session itself, which is still there, and then it fits again
	$node->psql('postgres', "$sql;\nSELECT 'left', count(*) FROM kseg_progress;\n"
		  . q{SELECT 'again', kseg_fit(2, a, b) IS NOT NULL FROM t WHERE id < 500;}
		  . "\nSELECT 'left', count(*) FROM kseg_progress",
		extra_params => [ '-U', 'analyst' ], stdout => \$out, stderr => \$err, on_error_stop => 0);
	is(() = $out =~ /^left\|0$/mg, 2, "gone after $name") or diag("$out\n$err");
}

# what a subtransaction took away comes back
$node->safe_psql('postgres', q{
	SET ROLE analyst;
	CREATE FUNCTION stumble(x float8) RETURNS float8 LANGUAGE plpgsql AS $$
	BEGIN
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN
		RETURN x;
	END $$;
});
sees('stumbling', 'SELECT kseg_fit(9, a, CASE WHEN id = 99 THEN stumble(b) ELSE b END, c) FROM t', 'reading rows', 'improving');
is(value('stumbling', q{max(rows) FILTER (WHERE phase = 'reading rows') > 1000}), 't', 'shown again after an abort inside');

# a COPY keeps its own progress
$node->safe_psql('postgres', q{GRANT pg_write_server_files TO analyst});
watched('copy', q{COPY (SELECT kseg_fit(5, a, b, c, d) FROM t) TO '/dev/null'});
is(value('copy', 'count(*)'), '0', 'a COPY above a fit is not disturbed');
is($node->psql('postgres', q{SET track_activities = off; SELECT kseg_fit(3, a, b) IS NULL FROM t WHERE id < 1000}),
	0, 'without track_activities nothing is told, and nothing fails');

done_testing();

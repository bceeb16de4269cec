# A run is all or nothing: whatever ends it on its way, an error, a cancel, a
# backend or a server that is killed, everything is as it was, and the next run
# does what this one should have done.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_buffers = 256MB\nmax_wal_size = 4GB\nrestart_after_crash = on\nautovacuum = off");
$node->start;

sub ask
{
	return $node->safe_psql('postgres', shift);
}

# A statement and its error, with settings before it.
sub attempt
{
	my ($sql, %settings) = @_;
	my ($out, $err) = ('', '');

	$node->psql('postgres', join('', map { "SET $_ = '$settings{$_}';\n" } sort keys %settings) . $sql,
		stdout => \$out, stderr => \$err, on_error_stop => 1);
	return ($out, $err);
}

# ---- places to stop at ----

# stop() is called by the query for each of its rows and by triggers for each
# row that is written.  At the row whose number is in test.row, of the place
# that test.place names, it does what test.how says; or it counts them all.
ask('CREATE EXTENSION kseg');
my @ours = split /\n/, ask(q{
	SELECT c.relname FROM pg_class AS c JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND c.relkind = 'r' AND c.relname LIKE 'kseg%'
	ORDER BY c.relname});
ask(q{
	CREATE SEQUENCE passed;
	CREATE TABLE places (place text);
	CREATE FUNCTION stop(place text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF current_setting('test.how', true) = 'count' THEN
			INSERT INTO public.places VALUES (place);
		END IF;
		IF place IS DISTINCT FROM current_setting('test.place', true) THEN
			RETURN;
		END IF;
		IF nextval('public.passed') = current_setting('test.row')::int THEN
			IF current_setting('test.how') = 'error' THEN
				RAISE EXCEPTION 'stopped at %', place;
			END IF;
			PERFORM pg_sleep(600);
		END IF;
	END $$;
	CREATE FUNCTION passing(value float8) RETURNS float8 LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM public.stop('query');
		RETURN value;
	END $$;
	CREATE FUNCTION stop_here() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM public.stop(TG_ARGV[0] || ' ' || lower(TG_OP));
		RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
	END $$;

	CREATE TABLE customers (id int PRIMARY KEY, visits float8, spent float8, segment int);
	INSERT INTO customers
	SELECT i, i % 3 * 20 + (hashint4(i) & 15), i % 3 % 2 * 50 + (hashint4(i + 7) & 31)
	FROM generate_series(1, 1500) AS i;
	SELECT kseg_create('column', 'SELECT id, passing(visits) AS visits, spent FROM customers', 'id', 3,
	                   target => 'customers');
	SELECT kseg_create('table', 'SELECT id, passing(visits) AS visits, spent FROM customers', 'id', 3);
	SELECT kseg_run('column');
	SELECT kseg_run('table');
	SELECT kseg_label('column', 1, 'first');
});
ask("CREATE TRIGGER stop_here BEFORE INSERT OR UPDATE OR DELETE ON $_ FOR EACH ROW EXECUTE FUNCTION stop_here('$_')")
  for @ours, 'customers', 'table_segments';
# since then some have come, gone and moved
ask(q{
	DELETE FROM customers WHERE id % 50 = 3;
	INSERT INTO customers
	SELECT i, i % 3 * 20 + (hashint4(i) & 15), i % 3 % 2 * 50 + (hashint4(i + 7) & 31)
	FROM generate_series(1501, 1550) AS i;
	UPDATE customers SET visits = 20 + (hashint4(id) & 15), spent = 50 + (hashint4(id + 7) & 31) WHERE id % 10 = 2;
});

my $contents = join("\nUNION ALL ",
	map { "SELECT '$_', count(*), md5(string_agg(t::text, ',' ORDER BY t::text)) FROM $_ AS t" } @ours, 'customers', 'table_segments') . "\nORDER BY 1";

sub state
{
	return ask($contents);
}

# what a run leads to, whenever it is done
my $outcome = q{
	SELECT md5(string_agg(c::text, ',' ORDER BY id)) FROM customers AS c;
	SELECT md5(string_agg(c::text, ',' ORDER BY id)) FROM table_segments AS c;
	SELECT count(*), count(valid_to), md5(string_agg(format('%s %s %s %s %s', segmentation, key, segment, previous, valid_to IS NULL), ','
		ORDER BY segmentation, key, valid_from)) FROM kseg_history;
	SELECT count(*), md5(string_agg(version || model::text, ',' ORDER BY segmentation, version)) FROM kseg_models;
	SELECT md5(string_agg(format('%s %s %s %s', version, last_version, last_id, members_hash), ',' ORDER BY id)) FROM kseg_segmentations;
	SELECT md5(string_agg(format('%s %s %s', segmentation, from_segment, customers), ',' ORDER BY run, from_segment, to_segment)) FROM kseg_moves;
};
my @names = ('column', 'table');
my %target = ('column' => 'customers', 'table' => 'table_segments');
my %expected;
for my $mode ('score', 'refit')
{
	$expected{$mode} = ask("BEGIN;\n" . join('', map { "DO \$\$ BEGIN PERFORM kseg_run('$_', '$mode'); END \$\$;\n" } @names) . $outcome . 'ROLLBACK');
}
isnt($expected{score}, $expected{refit}, 'the two modes do different things');
my $before = state();
like($before, qr/^customers\|1520\|/m, 'there is something to lose');

# ---- errors ----

# How often a run passes each place, and an error at the first, the middle and
# the last time.
my %passes;
for my $name (@names)
{
	my ($out, $err) = attempt("BEGIN; DO \$\$ BEGIN PERFORM kseg_run('$name', 'refit'); END \$\$; SELECT place, count(*) FROM places GROUP BY place; ROLLBACK",
		'test.how' => 'count');
	$passes{$name} = { map { split /\|/ } split /\n/, $out };
	is($err, '', "$name: a run passes all places");
	note("$name: " . join(', ', map { "$_ $passes{$name}{$_}" } sort keys %{ $passes{$name} }));
}
is(state(), $before, 'a run that is rolled back leaves nothing');
cmp_ok($passes{column}{'customers update'}, '>=', 150, 'column: the target is written');
for my $name (@names)
{
	# all of them but these, which a refit has no reason to write
	my @missed = grep {
		my $table = $_;
		!grep { /^$table / } keys %{ $passes{$name} }
	} grep { !/kseg_(grants|labels|elbows)/ } @ours, $target{$name};

	is("@missed", '', "$name: there is a place to stop at in each table");
	for my $place (sort keys %{ $passes{$name} })
	{
		my $passes = $passes{$name}{$place};
		my %rows = map { $_ => 1 } 1, int(($passes + 1) / 2), $passes;
		my $errors = 0;

		for my $row (keys %rows)
		{
			my ($out, $err) = attempt("ALTER SEQUENCE passed RESTART; SELECT kseg_run('$name', 'refit')",
				'test.place' => $place, 'test.row' => $row, 'test.how' => 'error');
			$errors++ if $err =~ /ERROR:  stopped at $place/;
		}
		is($errors, scalar keys %rows, "$name: errors at $place are told");
		is(state(), $before, "$name: and leave all as it was");
	}
}

# what the target refuses
sub refused
{
	my ($name, $prepare, $error, $undo, %settings) = @_;

	ask($prepare);
	my $prepared = state();
	my ($out, $err) = attempt("SELECT kseg_run('column', 'score')", %settings);
	like($err, $error, "$name: the error is told");
	is(state(), $prepared, "$name: all is as it was");
	ask($undo);
}

refused('a unique index', "CREATE UNIQUE INDEX only_one ON customers (segment) WHERE id IN (751, 752)",
	qr/ERROR:  duplicate key value violates unique constraint "only_one"/, 'DROP INDEX only_one');
refused('a check', 'ALTER TABLE customers ADD CONSTRAINT odd CHECK (segment IS NULL OR id < 1200) NOT VALID',
	qr/ERROR:  new row for relation "customers" violates check constraint "odd"/, 'ALTER TABLE customers DROP CONSTRAINT odd');
refused('a foreign key', q{
	CREATE TABLE known (segment int PRIMARY KEY);
	INSERT INTO known SELECT DISTINCT segment FROM customers WHERE segment <> (SELECT segment FROM customers WHERE id = 1);
	ALTER TABLE customers ADD CONSTRAINT known FOREIGN KEY (segment) REFERENCES known NOT VALID},
	qr/ERROR:  insert or update on table "customers" violates foreign key constraint "known"/,
	'ALTER TABLE customers DROP CONSTRAINT known; DROP TABLE known');

# ---- a run that is stopped at a place ----

# Starts a run that stays at a place; its process and its backend's number.
sub start_run
{
	my ($name, $mode, $place, $row, $err) = @_;
	my $backend = '';

	ask('ALTER SEQUENCE passed RESTART');
	my $process = IPC::Run::start(
		[   'psql', '-X', '-A', '-t', '-q', '-d', $node->connstr('postgres'), '-c',
			"SET test.place = '$place'; SET test.row = '$row'; SET test.how = 'sleep'", '-c',
			$place eq 'commit' ? "BEGIN; SELECT kseg_run('$name', '$mode'); SELECT pg_sleep(600); COMMIT" : "SELECT kseg_run('$name', '$mode')" ],
		'>', \my $out, '2>', $err);

	for (1 .. 1000)
	{
		$backend = ask("SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
		last if $backend ne '';
		usleep(10_000);
	}
	isnt($backend, '', "$name: a run stays at $place, row $row");
	return ($process, $backend);
}

sub finish_run
{
	my $process = shift;

	eval { $process->finish };
}

sub middle
{
	my ($name, $place) = @_;
	return int(($passes{$name}{$place} + 1) / 2);
}

for my $name (@names)
{
	my $target = $target{$name};
	my ($written) = grep { $passes{$name}{$_} } "$target update", "$target insert";

	for my $place ('query', $written, 'kseg_history insert', 'kseg_models insert', 'kseg_segmentations update')
	{
		my $err = '';
		my ($process, $backend) = start_run($name, 'refit', $place, middle($name, $place), \$err);
		is(ask("SELECT pg_cancel_backend($backend)"), 't', "$name: a cancel at $place");
		finish_run($process);
		like($err, qr/ERROR:  canceling statement due to user request/, 'is told');
		is(state(), $before, 'and leaves all as it was');
	}
	{
		my $err = '';
		my ($process, $backend) = start_run($name, 'refit', $written, middle($name, $written), \$err);
		is(ask("SELECT pg_terminate_backend($backend)"), 't', "$name: a backend that is terminated");
		finish_run($process);
		like($err, qr/terminating connection due to administrator command/, 'is told');
		is(state(), $before, 'and leaves all as it was');
	}
	for my $place ('query', $written, 'kseg_history insert', 'kseg_runs insert', 'commit')
	{
		my $err = '';
		my ($process, $backend) = start_run($name, 'refit', $place, $place eq 'commit' ? 1 : middle($name, $place), \$err);
		my $end = -s $node->logfile;
		kill('KILL', $backend);
		finish_run($process);
		# before that it still answers
		for (1 .. 1000)
		{
			last if substr(slurp_file($node->logfile), $end) =~ /all server processes terminated; reinitializing/;
			usleep(10_000);
		}
		ok($node->poll_query_until('postgres', 'SELECT 1', '1'), "$name: the server is there again after a backend was killed at $place");
		is(state(), $before, 'and all is as it was');
	}
}
for my $place ('customers update', 'kseg_history update', 'commit')
{
	my $err = '';
	my ($process) = start_run('column', 'refit', $place, $place eq 'commit' ? 1 : middle('column', $place), \$err);
	if ($place eq 'kseg_history update')
	{
		$node->stop('immediate');
	}
	else
	{
		$node->kill9;
	}
	finish_run($process);
	my $started;
	for (1 .. 100)
	{
		# those that the postmaster left behind may still be about to go
		last if $started = $node->start(fail_ok => 1);
		usleep(100_000);
		$node->stop('fast', fail_ok => 1);
	}
	ok($started, "the server starts again, which was killed at $place");
	is(state(), $before, 'and all is as it was');
}

# ---- timeouts ----

for my $place ('query', 'customers update', 'kseg_history insert')
{
	ask('ALTER SEQUENCE passed RESTART');
	my ($out, $err) = attempt("SELECT kseg_run('column', 'refit')", 'test.place' => $place, 'test.row' => middle('column', $place),
		'test.how' => 'sleep', 'statement_timeout' => '500ms');
	like($err, qr/ERROR:  canceling statement due to statement timeout/, "statement_timeout at $place");
	is(state(), $before, 'leaves all as it was');
}
{
	# somebody else holds a row that the run wants to write
	my $process = IPC::Run::start(
		[   'psql', '-X', '-A', '-t', '-q', '-d', $node->connstr('postgres'), '-c',
			'BEGIN; SELECT FROM customers WHERE id = 752 FOR UPDATE; SELECT pg_sleep(600)' ],
		'>', \my $out, '2>', \my $err);
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
	my ($printed, $error) = attempt("SELECT kseg_run('column', 'score')", 'lock_timeout' => '200ms');
	like($error, qr/ERROR:  canceling statement due to lock timeout/, 'lock_timeout at a row of the target');
	is(state(), $before, 'leaves all as it was');
	ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
	finish_run($process);
}

# an error that is caught: the transaction goes on without the run
ask('ALTER SEQUENCE passed RESTART');
my ($caught, $error) = attempt(q{
	DO $$ BEGIN
		PERFORM kseg_run('column', 'refit');
	EXCEPTION WHEN raise_exception THEN
		RAISE NOTICE 'caught';
	END $$;
	SELECT current_user = session_user, current_setting('search_path')}, 'test.place' => 'kseg_history insert', 'test.row' => 20,
	'test.how' => 'error');
like($error, qr/^psql:<stdin>:\d+: NOTICE:  caught$/, 'an error that is caught');
is($caught, 't|"$user", public', 'leaves the session as it was');
is(state(), $before, 'and all else');

# ---- and after all that ----

is(ask("SELECT count(*) FROM pg_prepared_xacts"), '0', 'nothing is left open');
for my $mode ('score', 'refit')
{
	is(ask("BEGIN;\n" . join('', map { "DO \$\$ BEGIN PERFORM kseg_run('$_', '$mode'); END \$\$;\n" } @names) . $outcome . 'ROLLBACK'),
		$expected{$mode}, "a run does what it should have done, $mode");
}
ask("SELECT kseg_run('$_', 'score')") for @names;
is(ask($outcome), $expected{score}, 'and when it is committed, it is done');
$node->stop('immediate');
$node->start;
is(ask($outcome), $expected{score}, 'for good');

# ---- cancels at once ----

ask(q{
	CREATE TABLE many AS
	SELECT i AS id, hashint4(i) % 1000 AS a, (hashint4(i + 1) & 65535)::float8 AS b,
	       sqrt((hashint4(i + 2) & 65535)::float8) AS c, (hashint4(i + 3) % 100)::numeric AS d,
	       'v' || (hashint4(i + 6) & 15) AS g, NULL::int AS segment
	FROM generate_series(1, 40000) AS i;
	ALTER TABLE many ADD PRIMARY KEY (id);
	CREATE TABLE many_more AS TABLE many;
	ALTER TABLE many_more ADD PRIMARY KEY (id);
	SELECT kseg_create('new', 'SELECT id, a, b, c, d FROM many_more', 'id', 8, target => 'many_more');
	SELECT kseg_create('evidence', 'SELECT id, a, b, c, d FROM many_more WHERE id <= 3000', 'id');
	SELECT kseg_create('old', 'SELECT id, a, b, c, d, g FROM many', 'id', 12, target => 'many');
	SELECT kseg_create('old table', 'SELECT id, a, b, c, d, g FROM many', 'id', 12);
	SELECT kseg_run('old');
	SELECT kseg_run('old table');
	-- most will move
	UPDATE many SET a = (a * 7) % 1000, b = 65536 - b, g = 'v' || (hashint4(id + 9) & 15);
	VACUUM ANALYZE;
});
$before = state();
my $many = 'SELECT md5(string_agg(t::text, \',\' ORDER BY id)) FROM many AS t';
my $many_before = ask($many);

# test/checked has servers that take many times as long for everything
my $soon = 100 * ($ENV{KSEG_SLOWDOWN} // 1);

sub overrun
{
	my ($sql, $timeout) = @_;
	my ($out, $err) = ('', '');

	$node->psql('postgres',
		"SET client_min_messages = error;\n"
		  . "SELECT count(*) FROM kseg_segmentations, kseg_options(k => 2);\nBEGIN;\n"
		  . "SET LOCAL statement_timeout = $timeout;\n"
		  . "\\timing on\n$sql;\n\\timing off\nROLLBACK;\nSELECT 'alive';",
		stdout => \$out, stderr => \$err, on_error_stop => 0);
	my ($time) = $out =~ /.*Time: ([0-9.]+)/s;
	return ($time, $err, $out);
}

my %statements = (
	'a first run' => "SELECT kseg_run('new')",
	'a first run that chooses k' => "SELECT kseg_run('evidence')",
	'a night' => "SELECT kseg_run('old', 'score')",
	'a night into a table of its own' => "SELECT kseg_run('old table', 'score')",
	'a refit' => "SELECT kseg_run('old', 'refit')",
	'a night for show' => "SELECT kseg_run('old', 'dry')",
	'drift' => "SELECT * FROM kseg_drift('old')",
	'migration' => "SELECT * FROM kseg_migration('old')",
);
for my $name (sort keys %statements)
{
	my ($whole, $failure) = overrun($statements{$name}, 0);
	my (@late, $cancelled, $alive, $odd);

	is($failure, '', "$name: works");
	$cancelled = $alive = 0;
	$odd = '';
	for my $i (1 .. 6)
	{
		my $timeout = int($whole * $i / 7) || 1;
		my ($time, $err, $out) = overrun($statements{$name}, $timeout);

		$alive++ if $out =~ /alive/;
		if ($err =~ /canceling statement due to statement timeout/)
		{
			$cancelled++;
			push @late, $time - $timeout;
		}
		elsif ($err ne '')
		{
			$odd = $err;
		}
	}
	@late = sort { $a <=> $b } @late;
	note(sprintf('%s: %.0f ms whole, %d cancelled, latest %.0f ms after its time', $name, $whole, $cancelled, $late[-1] // 0));
	is($odd, '', "$name: no other error");
	is($alive, 6, "$name: the session goes on");
	cmp_ok($cancelled, '>=', 2, "$name: some were cancelled on their way") unless $whole < 20;
	# one late answer may be the machine's fault
	cmp_ok($late[-2] // 0, '<', $soon, "$name: cancelled within $soon ms");
}
is(state(), $before, 'nothing was written');
is(ask($many), $many_before, 'nor to the customers');

done_testing();

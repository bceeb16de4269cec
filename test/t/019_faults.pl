# A cancel, or a refusal, at each place where a statement can meet one: a clean
# error, and what comes next in the session is as before.  Then 10,000 fits of
# which half fail, in one statement: its memory stays as it is.
#
# A library made for it (test/faults) counts the places and fails at one.  It
# stands in a copy of the installation, where nobody else meets it.
#
# KSEG_FAULTS=all: at every place, where ordinarily every few are tried.
use strict;
use warnings;
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $all = ($ENV{KSEG_FAULTS} // '') eq 'all';

# ---- a server with that library ----

my $root = defined $ENV{KSEG_LOG} ? dirname($ENV{KSEG_LOG}) . '/root' : '';
my $library = 'test/faults/build/kseg.so';
plan skip_all => 'needs the installation that test/server.sh makes' if !-d $root;
plan skip_all => 'needs "make fault-library" before' if !-e $library;
my ($newest) = sort { $a <=> $b } map { -M } glob('src/*/*.[ch] test/faults/*.[ch]');
cmp_ok(-M $library, '<=', $newest, 'the library is made of these sources ("make fault-library")') or BAIL_OUT('another library');

my $copy = PostgreSQL::Test::Utils::tempdir() . '/root';
system_or_bail('cp', '-a', $root, $copy);
my ($bindir, $pkglibdir) = map { my $dir = `pg_config --$_`; chomp $dir; substr($dir, length($root)) } 'bindir', 'pkglibdir';
system_or_bail('cp', '--remove-destination', $library, "$copy$pkglibdir/kseg.so");

my $node = PostgreSQL::Test::Cluster->new('main', install_path => dirname("$copy$bindir"));
$node->init;
$node->append_conf('postgresql.conf', q{
shared_buffers = 32MB
autovacuum = off
max_parallel_workers_per_gather = 0
max_parallel_maintenance_workers = 0
kseg.parallel_min_work = 0
jit = off
dynamic_shared_memory_type = mmap
});
$node->start;

sub ask
{
	return $node->safe_psql('postgres', "SET client_min_messages = warning;\n" . shift);
}

ask(q{
	CREATE EXTENSION kseg;
	CREATE TABLE t AS
	SELECT i AS id, (i * 7919 % 51)::float8 + 25 * (i % 3) AS a, (i::bigint * 104729 % 1009)::numeric / 30 + 10 * (i % 5) AS b,
	       (ARRAY['north', 'south', 'east'])[1 + i * 31 % 3] AS c
	FROM generate_series(1, 150) AS i;
	CREATE TABLE many AS
	SELECT i AS id, (i * 7919 % 51)::float8 + 25 * (i % 3) AS a, (i::bigint * 104729 % 1009)::float8 + 10 * (i % 5) AS b,
	       (hashint4(i) & 1023)::float8 AS c
	FROM generate_series(1, 40000) AS i;
	ALTER TABLE t ADD PRIMARY KEY (id);
	ALTER TABLE t ADD COLUMN segment int;
	CREATE TABLE m AS SELECT kseg_fit('{"k": 3, "n_init": 1}'::jsonb, a, b, c) AS model FROM t;
	CREATE TABLE large AS SELECT kseg_fit('{"k": 3, "n_init": 1}'::jsonb, a, b, c) AS model FROM many;

	-- what a statement says, or its error, when a call fails
	CREATE FUNCTION attempt(fault text, call int, query text, OUT said text, OUT error text, OUT passed int)
	LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM set_config('kseg.fault', fault, false), set_config('kseg.fault_at', call::text, false);
		BEGIN
			EXECUTE query INTO said;
		EXCEPTION WHEN OTHERS OR query_canceled THEN
			error := SQLSTATE || ' ' || SQLERRM;
		END;
		passed := current_setting('kseg.fault_passed');
		PERFORM set_config('kseg.fault', 'none', false);
	END $$;

	-- at each call, or at so many of them; after each the statement again
	CREATE FUNCTION attempts(fault text, query text, expected text, most int,
	                         OUT calls int, OUT tried int, OUT errors int, OUT others text, OUT different int, OUT remains int)
	LANGUAGE plpgsql AS $$
	DECLARE
		at int := 1;
		one record;
		alone text;
		again text;
		segments int;
		missed int := 0;
	BEGIN
		EXECUTE query INTO alone;
		segments := (SELECT count(*) FROM pg_ls_dir('pg_dynshmem'));
		calls := (attempt(fault, 0, query)).passed;
		-- how many there are in workers is not known
		IF current_setting('kseg.fault_in_worker')::boolean THEN
			calls := most;
		END IF;
		tried := 0; errors := 0; different := 0; remains := 0;
		WHILE at <= calls LOOP
			one := attempt(fault, at, query);
			tried := tried + 1;
			IF one.error ~ expected THEN
				errors := errors + 1;
			ELSIF one.error IS NOT NULL THEN
				others := one.error || ' at ' || at;
			ELSIF one.said IS DISTINCT FROM alone THEN
				different := different + 1;
			END IF;
			-- who does how much is chance: with workers it may not come
			IF one.passed < at AND NOT current_setting('kseg.fault_in_worker')::boolean THEN
				missed := missed + 1;
			END IF;
			remains := remains + (SELECT count(*) FROM pg_ls_tmpdir());
			remains := remains + (SELECT count(*) FROM kseg_progress WHERE pid = pg_backend_pid());
			remains := remains + (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker');
			remains := remains + (SELECT count(*) - segments FROM pg_ls_dir('pg_dynshmem'));
			EXECUTE query INTO again;
			IF again IS DISTINCT FROM alone THEN
				different := different + 1;
			END IF;
			at := greatest(at + 1, (tried::float8 / most * calls)::int + 1);
		END LOOP;
		tried := tried - missed;
	END $$;

	-- what a run leads to, which is undone again
	SELECT kseg_create('run', 'SELECT id, a, b, c FROM t', 'id', 3, '{"n_init": 1}');
	SELECT kseg_run('run');
	UPDATE t SET a = a + 30 WHERE id % 11 = 0;
	DELETE FROM t WHERE id % 50 = 1;
	CREATE FUNCTION outcome() RETURNS text LANGUAGE sql AS $$
		SELECT md5(concat((SELECT string_agg(s::text, ',' ORDER BY id) FROM run_segments AS s), (SELECT string_agg(segment::text, ',' ORDER BY id) FROM t),
			(SELECT string_agg(format('%s %s %s %s', key, segment, previous, valid_to IS NULL), ',' ORDER BY key, valid_from) FROM kseg_history),
			(SELECT string_agg(version || model::text, ',' ORDER BY version) FROM kseg_models),
			(SELECT string_agg(format('%s %s %s %s', version, last_version, last_id, members_hash), ',') FROM kseg_segmentations),
			(SELECT count(*) FROM kseg_runs), current_user, current_setting('search_path'))) $$;
	CREATE FUNCTION undone(query text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		before text := outcome();
		said text;
	BEGIN
		BEGIN
			EXECUTE query;
			RAISE EXCEPTION USING ERRCODE = 'KS000', MESSAGE = outcome();
		EXCEPTION WHEN SQLSTATE 'KS000' THEN
			said := SQLERRM;
		END;
		RETURN said || (outcome() = before)::text;
	END $$;
});

# ---- each place ----

my %statements = (
	'fit' => q{SELECT kseg_fit('{"k": 4, "n_init": 2, "clip": [0.02, 0.98], "scale": "robust"}'::jsonb, a, b, c)::text FROM t},
	'fit of a query' => q{SELECT kseg_fit('SELECT a, b, c FROM t', 3, '{"n_init": 1}')::text},
	'elbow' => q{SELECT md5(string_agg(e::text, ',' ORDER BY k)) FROM kseg_elbow('SELECT a, b FROM t WHERE id <= 40', 1, 3, '{"n_init": 1}') AS e},
	'evaluate' => q{SELECT md5(string_agg(e::text, ',' ORDER BY segment)) FROM m, kseg_evaluate(model, 'SELECT a, b, c FROM t') AS e},
	'segments' => q{SELECT md5(string_agg(s::text, ',' ORDER BY key)) FROM m, kseg_segments('SELECT id, a, b, c FROM t', 'id', model) AS s},
	'profile' => q{SELECT md5(string_agg(p::text, ',' ORDER BY p::text)) FROM m, kseg_profile(model, 'SELECT a, b, c, id FROM t') AS p},
	'explain' => q{SELECT md5(string_agg(e::text, ',' ORDER BY e::text)) FROM m, kseg_explain(model, 'SELECT a, b, c FROM t') AS e},
	'project' => q{SELECT md5(string_agg(p::text, ',' ORDER BY key)) FROM m, kseg_project(model, 'SELECT id, a, b, c FROM t', 'id') AS p},
	'window' => q{SELECT md5(string_agg(s::text, ',' ORDER BY id)) FROM (SELECT id, kseg_cluster(3, a, b) OVER () AS s FROM t) AS w},
	'scaler' => q{SELECT kseg_scaler('robust', a, b)::text FROM t},
	'json' => q{SELECT md5(model::jsonb::kseg_model::text) FROM m},
	'apply' => q{SELECT undone($q$SELECT kseg_apply(model, 't', 'segment') FROM m$q$)},
	'run' => q{SELECT undone($q$SELECT kseg_run('run', 'score')$q$)},
	'refit' => q{SELECT undone($q$SELECT kseg_run('run', 'refit')$q$)},
	'pushdown' => q{SELECT kseg_fit('SELECT a, b, c FROM t', 3, '{"n_init": 1, "engine": "pushdown"}')::text},
	# beyond what memory they may take
	'large fit' => q{SELECT kseg_fit('{"k": 3, "n_init": 1, "sample": 100}'::jsonb, a, b, c)::text FROM many},
	'large evaluation' => q{SELECT md5(string_agg(e::text, ',' ORDER BY segment)) FROM large, kseg_evaluate(model, 'SELECT a, b, c FROM many') AS e},
);
my %errors = (
	'cancel' => '^57014 canceling statement due to user request$',
	'memory' => '^53200 out of memory$',
	'file' => '^53100 could not|^58030 could not',
	# of a worker that has nowhere to leave what it found
	'shared' => '^53200 out of memory$',
	'attach' => '^$',
);

# The statement, at all places or a few of them.
my $limit = 1_000_000;
sub try_places
{
	my ($name, $fault, $few, %settings) = @_;
	my $started = time();
	my $query = $statements{$name};
	my ($calls, $tried, $failed, $others, $different, $remains) = split /\|/,
	  ask(join('', map { "SET $_ = '$settings{$_}';\n" } sort keys %settings)
		  . "SELECT * FROM attempts('$fault', \$query\$$query\$query\$, '$errors{$fault}', " . ($all ? $limit : $few) . ')'), -1;
	my $what = "$name, $fault at $tried of $calls calls";

	note(sprintf('%s: %.1f s', $what, time() - $started));
	is($others, '', "$what: no other error");
	is($different, '0', 'the next one says the same');
	is($remains, '0', 'and nothing is left');
	return ($calls, $tried, $failed);
}

# an error at each place
sub must_fail
{
	my ($calls, $tried, $failed) = try_places(@_);

	cmp_ok($calls, '>=', 2, 'there are places');
	is($failed, $tried, 'each time an error');
}

# the refit later: it takes longest
my @small = grep { !/large|refit/ } sort keys %statements;
must_fail($_, 'cancel', /window/ ? 6 : 1000) for grep { $_ ne 'segments' } @small;
must_fail($_, 'memory', /elbow/ ? 6 : 30) for @small;
my %spilling = ('kseg.work_mem' => '1MB');
must_fail('large fit', $_, 10, %spilling) for 'cancel', 'memory', 'file';

# ---- workers ----

my %workers = ('max_parallel_maintenance_workers' => 2);
must_fail('elbow', 'cancel', 8, %workers);
must_fail('large fit', 'cancel', 8, %workers);
must_fail('large fit', 'memory', 8, %workers);
must_fail('large fit', 'file', 8, %workers, %spilling);
# those who get no shared memory go on without
for my $name ('elbow', 'large fit')
{
	my ($calls, $tried, $failed) = try_places($name, 'shared', 8, %workers);

	cmp_ok($calls, '>=', 2, 'there are places');
	is($failed, 0, 'without an error');
}

# in one of them
my %in_workers = (%workers, 'kseg.fault_in_worker' => 'on');
for my $fault ('cancel', 'memory', 'shared', 'attach')
{
	my ($calls, $tried, $failed) = try_places('large fit', $fault, 8, %in_workers);

	is($failed, 0, 'without an error') if $fault eq 'attach';
	cmp_ok($failed, '>=', 3, "$failed errors") if $fault =~ /cancel|memory/;
}

# ---- statements of their own, which end the transaction ----

# of few places a crew might take the one
my %helpers = ('fit' => 0, 'elbow' => 2, 'large fit' => 2);
for my $how (sort keys %helpers)
{
	my ($out, $err) = ('', '');
	my $query = "SELECT md5(($statements{$how})::text)";
	my $places = 0;
	my $script = "SET kseg.work_mem = '1MB';\nSET max_parallel_maintenance_workers = $helpers{$how};\n$query;\n";

	for (my $at = 1; $at <= 50; $at = int($at * 1.7) + 1, $places++)
	{
		$script .= "SET kseg.fault = cancel;\nSET kseg.fault_at = $at;\n$query;\nSET kseg.fault = none;\n$query;\n";
	}
	$node->psql('postgres', "$script SELECT count(*) FROM pg_ls_tmpdir();\nSELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker';",
		stdout => \$out, stderr => \$err, on_error_stop => 0);
	my ($model, @others) = split /\n/, $out;
	is(scalar(() = $err =~ /ERROR:  canceling statement due to user request/g), $places, "$how, $places cancels: each an error");
	is(scalar(() = $err =~ /ERROR: /g), $places, 'and no other');
	is("@others", join(' ', ($model) x $places, 0, 0), 'the next one says the same, and nothing is left');
}

# ---- sessions that are ended ----

{
	my $segments = ask(q{SELECT count(*) FROM pg_ls_dir('pg_dynshmem')});
	my $left;

	for my $at (1, 4, 20, 100, 400, 700)
	{
		my ($out, $err) = ('', '');

		$node->psql('postgres',
			"SET kseg.work_mem = '1MB';\nSET max_parallel_maintenance_workers = 2;\nSELECT count(kseg_options(k => 2));\n"
			  . "SET kseg.fault = terminate;\nSET kseg.fault_at = $at;\n$statements{'large fit'}",
			stdout => \$out, stderr => \$err);
		like($err, qr/FATAL:  terminating connection due to administrator command/, "ended at $at");
	}
	for (1 .. 100)
	{
		$left = ask(q{SELECT count(*), (SELECT count(*) FROM pg_ls_tmpdir()), (SELECT count(*) FROM pg_ls_dir('pg_dynshmem'))
			FROM pg_stat_activity WHERE backend_type = 'parallel worker'});
		last if $left eq "0|0|$segments";
	}
	is($left, "0|0|$segments", 'no worker, file or shared memory is left');
}

# ---- 10,000 fits, of which half fail ----

# What the session has: memory contexts and their bytes, bytes of the process,
# open files.
ask(q{
	CREATE FUNCTION has(OUT contexts int, OUT bytes int, OUT pages int, OUT files int) LANGUAGE plpgsql AS $$
	BEGIN
		SELECT count(*), sum(total_bytes) INTO contexts, bytes FROM pg_backend_memory_contexts;
		IF (pg_stat_file('/proc/self/statm', true)).size IS NOT NULL THEN
			pages := split_part(pg_read_file('/proc/self/statm'), ' ', 2);
			files := (SELECT count(*) FROM pg_ls_dir('/proc/self/fd'));
		END IF;
	END $$;
	CREATE FUNCTION fits(n int, OUT made int, OUT failed int, OUT different int) LANGUAGE plpgsql AS $$
	DECLARE
		model text;
		first text;
	BEGIN
		made := 0; failed := 0; different := 0;
		FOR i IN 1 .. n LOOP
			BEGIN
				IF i % 2 = 0 THEN
					PERFORM set_config('kseg.fault', CASE i % 4 WHEN 0 THEN 'cancel' ELSE 'memory' END, true);
					PERFORM set_config('kseg.fault_at', (1 + i % 17)::text, true);
				END IF;
				model := (SELECT kseg_fit('{"k": 2, "n_init": 1}'::jsonb, a, b) FROM t WHERE id <= 30);
				made := made + 1;
				first := coalesce(first, model);
				IF model <> first THEN
					different := different + 1;
				END IF;
			EXCEPTION WHEN query_canceled OR out_of_memory THEN
				failed := failed + 1;
			END;
		END LOOP;
	END $$});
{
	my $started = time();
	my $n = 9000;
	my @said = split /\n/, ask(qq{SELECT * FROM fits(1000);\nSELECT * FROM has();\nSELECT * FROM has();\nSELECT * FROM fits($n);\nSELECT * FROM has()});
	my ($made, $failed, $different) = split /\|/, $said[3];
	my ($contexts, $bytes, $pages, $files) = split /\|/, $said[2];
	my ($contexts_then, $bytes_then, $pages_then, $files_then) = split /\|/, $said[4];

	note(sprintf('%d fits made, %d failed in %.1f s', $made, $failed, time() - $started));
	note("after 1,000: $said[2]", " after all: $said[4]");
	cmp_ok($failed, '>=', 0.4 * $n, 'half of them fail');
	is($different, 0, 'the others are alike');
	is("$contexts_then contexts, $bytes_then bytes", "$contexts contexts, $bytes bytes", 'memory contexts are as after the first 1,000');
	is($files_then, $files, 'and open files');
	SKIP:
	{
		skip 'no /proc', 1 if $pages eq '';
		skip 'the address sanitizer keeps what was freed', 1 if ($ENV{ASAN_OPTIONS} // '') =~ /log_path/;
		cmp_ok($pages_then, '<=', $pages + 250, 'and the process, within a megabyte');
	}
}

# ---- what takes longest ----

must_fail('refit', $_, 6) for 'cancel', 'memory';
# whose silhouettes are of 10,000 rows: never at all places
$limit = 60;
must_fail('large evaluation', $_, 2, %spilling) for 'memory', 'file';

$node->stop;
done_testing();

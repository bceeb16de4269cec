# Killed by kill -9: a fit whose rows are in a file, one with workers, one of
# its workers, a write-back, a run, the whole server.  What was written is all
# old or all new, and files and shared memory are gone.  Then what a full disk
# looks like, by limits of a process's own: an error, or workers are gone
# without.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = PostgreSQL::Test::Cluster->new('main');
# small files of the write-ahead log, since they count for the limits below
$node->init(extra => ['--wal-segsize=1']);
$node->append_conf('postgresql.conf', q{
shared_buffers = 64MB
max_wal_size = 1GB
autovacuum = off
restart_after_crash = on
kseg.parallel_min_work = 0
max_parallel_workers_per_gather = 0
max_parallel_maintenance_workers = 2
dynamic_shared_memory_type = posix
});
$node->start;

sub ask
{
	return $node->safe_psql('postgres', shift);
}

ask(q{
	CREATE EXTENSION kseg;
	CREATE TABLE t AS
	SELECT i AS id, hashint4(i) % 1000 AS a, (hashint4(i + 1) & 65535)::float8 AS b,
	       sqrt((hashint4(i + 2) & 65535)::float8) AS c, NULL::int AS segment, repeat('x', 30) AS filler
	FROM generate_series(1, 60000) AS i;
	ALTER TABLE t ADD PRIMARY KEY (id);
	CREATE TABLE m AS SELECT kseg_fit('{"k": 4, "n_init": 1}'::jsonb, a, b, c) AS model FROM t;
	SELECT kseg_create('run', 'SELECT id, a, b, c FROM t', 'id', 4, '{"n_init": 1}', target => 't');
	SELECT kseg_create('own', 'SELECT id, a, b, c FROM t', 'id', 4, '{"n_init": 1}');
	SELECT kseg_run('own');
	SELECT kseg_create('slow', 'SELECT id, a, b, c FROM t', 'id', 50, '{"n_init": 1000}');
	CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF current_setting('test.stay', true) = 'on' AND NEW.id = 30000 THEN
			PERFORM pg_sleep(600);
		END IF;
		RETURN NEW;
	END $$;
	CREATE TRIGGER stay BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION stay();
	VACUUM ANALYZE t;
	CHECKPOINT;
});

my $fit = q{SELECT md5(kseg_fit('{"k": 4, "n_init": 3}'::jsonb, a, b, c)::text) FROM t};
my $elbow = q{SELECT count(*) FROM kseg_elbow('SELECT a, b, c FROM t', 2, 60)};
my $model = ask("SET max_parallel_maintenance_workers = 0; $fit");
my $contents = q{SELECT (SELECT md5(string_agg(format('%s %s', id, segment), ',' ORDER BY id)) FROM t),
	(SELECT md5(string_agg(s::text, ',' ORDER BY id)) FROM own_segments AS s),
	(SELECT md5(string_agg(h::text, ',' ORDER BY h::text)) FROM kseg_history AS h),
	(SELECT md5(string_agg(s::text, ',' ORDER BY id)) FROM kseg_segmentations AS s),
	(SELECT count(*) FROM kseg_runs), (SELECT count(*) FROM kseg_models)};
my $before = ask($contents);

# ---- what there is of files and shared memory ----

sub temp_files
{
	return glob($node->data_dir . '/base/pgsql_tmp/pgsql_tmp*');
}

# processes of this server
sub processes
{
	my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	return $postmaster, split /\n/, ask('SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()');
}

# Shared memory that they see, but for what the server has from its start: by
# the names of files, or for sysv by number.
my $type = 'posix';

sub segments
{
	my %found;
	my @processes = processes();

	if ($type eq 'sysv')
	{
		my %is_ours = map { $_ => 1 } @processes[ 1 .. $#processes ];
		my (undef, @lines) = split /\n/, slurp_file('/proc/sysvipc/shm');
		for my $line (@lines)
		{
			my (undef, undef, $id, undef, undef, $creator) = split /\s+/, " $line";
			$found{$id} = 1 if $is_ours{$creator};
		}
		return sort keys %found;
	}
	for my $process (@processes)
	{
		my $maps = eval { slurp_file("/proc/$process/maps") } // '';
		$found{$_} = 1 for $maps =~ m{(/dev/shm/PostgreSQL\.\d+|\S*/pg_dynshmem/mmap\.\d+)}g;
	}
	return sort keys %found;
}

sub remaining_segments
{
	my @names = @_;

	if ($type eq 'sysv')
	{
		my %is_there = map { (split /\s+/, " $_")[2] => 1 } split /\n/, slurp_file('/proc/sysvipc/shm');
		return grep { $is_there{$_} } @names;
	}
	return grep { -e $_ } @names;
}

my $has_proc = -r '/proc/self/maps' && -r '/proc/sysvipc/shm';
my $workers = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'};

# ---- kill -9 ----

# Starts a statement in a session of its own, and waits until $ready says so.
sub start
{
	my ($sql, $ready) = @_;
	my $backend;
	my $process = IPC::Run::start([ 'psql', '-X', '-A', '-t', '-q', '-d', $node->connstr('postgres'), '-c', $sql ],
		'>', \my $out, '2>', \my $err);

	for (1 .. 300)
	{
		$backend = ask("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid()");
		last if $backend ne '' && $ready->();
		usleep(10_000);
	}
	ok($backend ne '' && $ready->(), 'the statement is where it shall be') or BAIL_OUT('it is not');
	return ($process, $backend);
}

# Kill it and wait for the server.
sub killed
{
	my ($what, $process, $victim) = @_;
	my $end = -s $node->logfile;
	my @segments = $has_proc ? segments() : ();
	my $files = () = temp_files();

	kill('KILL', $victim);
	eval { $process->finish };
	for (1 .. 1000)
	{
		last if substr(slurp_file($node->logfile), $end) =~ /all server processes terminated; reinitializing/;
		usleep(10_000);
	}
	ok($node->poll_query_until('postgres', 'SELECT 1', '1'), "$what: the server is there again");
	note("$what: $files files, " . scalar(@segments) . ' segments before');
	nothing_left($what, @segments);
	return ($files, scalar @segments);
}

sub nothing_left
{
	my ($what, @segments) = @_;

	is(join(' ', temp_files()), '', "$what: no file is left");
	is(join(' ', remaining_segments(@segments)), '', "$what: nor shared memory");
	is(ask($contents), $before, "$what: and all is as it was");
}

sub is_spilling
{
	return scalar(() = temp_files()) > 0;
}

sub has_workers
{
	return ask($workers) > 0;
}

my $alone = 'SET max_parallel_maintenance_workers = 0';
my $spilling = "SET kseg.work_mem = '1MB'";
{
	my ($process, $backend) = start("$alone; $spilling; $elbow", \&is_spilling);
	my ($files) = killed('a fit with its rows in a file', $process, $backend);
	cmp_ok($files, '>', 0, 'there was a file');

	($process, $backend) = start("$spilling; $elbow", sub { is_spilling() && has_workers() });
	my $worker = ask("SELECT pid FROM pg_stat_activity WHERE backend_type = 'parallel worker' LIMIT 1");
	killed('a worker of a fit with a file', $process, $worker);
}
for my $kind ('posix', 'sysv', 'mmap')
{
	if ($kind ne $type)
	{
		$node->append_conf('postgresql.conf', "dynamic_shared_memory_type = $kind");
		$node->restart;
		$type = $kind;
	}
	my ($process, $backend) = start($elbow, \&has_workers);
	my (undef, $segments) = killed("a fit with workers, $kind", $process, $backend);
	SKIP:
	{
		skip 'no /proc', 1 if !$has_proc;
		cmp_ok($segments, '>', 0, 'there was shared memory');
	}
	is(ask($fit), $model, 'a fit afterwards');
}
{
	my ($process, $backend) = start("$spilling; SELECT kseg_run('slow')", sub { is_spilling() && has_workers() });
	killed('a run that fits', $process, $backend);

	my $stays = sub { ask("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") > 0 };
	for my $statement ("SELECT kseg_apply(model, 't', 'segment') FROM m", "SELECT kseg_run('run')")
	{
		my ($name) = $statement =~ /(kseg_\w+)/;
		($process, $backend) = start("SET test.stay = on; $statement", $stays);
		killed("$name in its write-back", $process, $backend);
	}

	# the whole server, in both
	($process, $backend) = start("$spilling; $elbow", sub { is_spilling() && has_workers() });
	my @segments = $has_proc ? segments() : ();
	my $files = () = temp_files();
	$node->kill9;
	eval { $process->finish };
	my $started;
	for (1 .. 100)
	{
		# those that the postmaster left behind may still be about to go
		last if $started = $node->start(fail_ok => 1);
		usleep(100_000);
		$node->stop('fast', fail_ok => 1);
	}
	ok($started, 'a server that was killed starts again');
	cmp_ok($files, '>', 0, 'there was a file');
	nothing_left('a server that was killed', @segments);
}

# and what is committed stays
ask(q{SELECT kseg_apply(model, 't', 'segment') FROM m});
$before = ask($contents);
$node->stop('immediate');
$node->start;
is(ask($contents), $before, 'a write-back that was committed is there after a crash');

# ---- a full disk ----

# A statement in a session whose process may make no file longer than so many
# bytes: writes beyond end as they do on a full disk, with an error of their
# own.
sub limited
{
	my ($bytes, $sql) = @_;
	my ($out, $err) = ('', '');

	$node->psql('postgres',
		"SELECT count(*) FROM kseg_options(k => 2);\nSELECT pg_backend_pid() AS pid \\gset\n\\setenv PID :pid\n"
		  . "\\! prlimit --pid \$PID --fsize=$bytes:\n$sql;\n\\! prlimit --pid \$PID --fsize=unlimited:\n"
		  . "SELECT 'alive';\n$alone;\n$fit;",
		stdout => \$out, stderr => \$err, on_error_stop => 0);
	return ($out, $err);
}

SKIP:
{
	my ($out, $err) = limited(1_000_000, 'SELECT 1');
	skip "no prlimit: $err", 1 if $err ne '';

	($out, $err) = limited(700_000, "$alone;\n$spilling;\n$fit");
	like($err, qr/ERROR:  could not write to temporary file .*: File too large/, 'rows that find no room on the disk');
	like($out, qr/alive\n$model$/, 'the session goes on');
	nothing_left('after that');
	($out, $err) = limited(700_000, "$spilling;\n$elbow");
	like($err, qr/ERROR:  could not write to temporary file .*: File too large/, 'the same with workers');
	like($out, qr/alive\n$model$/, 'the session goes on');
	nothing_left('after that');

	# the target's file cannot grow, nor what the run writes beside it
	my $size = ask(q{UPDATE t SET segment = 5 - segment; CHECKPOINT; SELECT pg_relation_size('t')});
	cmp_ok($size, '>', 2 << 20, 'the target is longer than a file of the log');
	$before = ask($contents);
	for my $statement ("SELECT kseg_apply(model, 't', 'segment') FROM m", "SELECT kseg_run('run')")
	{
		my ($name) = $statement =~ /(kseg_\w+)/;
		($out, $err) = limited($size, "$alone;\n$statement");
		like($err, qr/ERROR:  could not extend file .*: File too large/, "$name: the target finds no room");
		like($out, qr/alive\n/, 'the session goes on');
		nothing_left("$name that found no room");
	}

	# No room for shared memory: workers cannot come, or cannot see the rows.
	# Whole pieces of 8 kB have room: of one that is written in part, the server
	# tells whatever error came before (dsm_impl_mmap).
	for my $kind ('posix', 'mmap')
	{
		$node->append_conf('postgresql.conf', "dynamic_shared_memory_type = $kind");
		$node->restart;
		for my $bytes (map { $_ * 8192 } 1, 25, 123)
		{
			($out, $err) = limited($bytes, $fit);
			note("$kind, $bytes bytes: $err");
			ok($err =~ /ERROR:  could not resize shared memory segment .*: (File too large|No space left on device)/ || $out =~ /^$model\n/m,
				"no room for more than $bytes bytes, $kind: an error of the server's, or a fit");
			like($out, qr/alive\n$model$/, 'the session goes on');
		}
		is(ask($fit), $model, 'and those after it');
		is(ask($workers), '0', 'no worker is left');
	}
}
$node->stop;
done_testing();

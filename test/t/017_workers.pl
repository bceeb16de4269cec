# Parallel workers: they help, they end with the statement however it ends, and
# nothing of them is left; where they cannot be had, the statement goes on
# without.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_buffers = 128MB
kseg.parallel_min_work = 0
max_parallel_workers_per_gather = 0
max_parallel_maintenance_workers = 2
max_worker_processes = 8
log_min_messages = debug1
restart_after_crash = on
dynamic_shared_memory_type = mmap
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION kseg;
	CREATE TABLE t AS
	SELECT i AS id, hashint4(i) % 1000 AS a, (hashint4(i + 1) & 65535)::float8 AS b,
	       sqrt((hashint4(i + 2) & 65535)::float8) AS c, (hashint4(i + 4) & 1023)::float8 AS d
	FROM generate_series(1, 200000) AS i;
	VACUUM ANALYZE t;
	CREATE ROLE reader LOGIN;
	GRANT SELECT ON t TO reader;
});

my $fit = q{SELECT md5(kseg_fit(6, a, b, c, d)::text) FROM t};
my $long = q{SELECT count(*) FROM kseg_elbow('SELECT a, b, c, d FROM t', 2, 40)};
my $workers = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'};

# of this server alone, which is why it keeps them in files of its own
sub segments
{
	my @files = glob($node->data_dir . '/pg_dynshmem/*');

	return sort @files;
}

# all that a statement may leave; of what was there before, some may go by then
sub nothing_left
{
	my ($what, @before) = @_;
	my %before = map { $_ => 1 } @before;
	my ($left, @new);

	for (1 .. 50)
	{
		$left = $node->safe_psql('postgres', $workers);
		@new = grep { !$before{$_} } segments();
		last if $left eq '0' && !@new;
		usleep(20_000);
	}
	is($left, '0', "$what: no worker is left");
	is("@new", '', "$what: no segment is left");
}

sub helped
{
	my ($sql) = @_;
	my $from = -s $node->logfile;
	my $out = $node->safe_psql('postgres', $sql);
	my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile, $from);
	my ($helped) = $log =~ /kseg: (\d+) of \d+ parallel workers helped/;

	return ($out, $helped // 'none');
}

# ---- they help ----

my $alone = $node->safe_psql('postgres', "SET max_parallel_maintenance_workers = 0; $fit");
my @before = segments();
my ($model, $helped) = helped($fit);
is($model, $alone, 'a fit with workers is the same');
cmp_ok($helped, '>=', 1, "$helped workers helped");
nothing_left('after a fit', @before);
is($node->safe_psql('postgres', $fit, extra_params => [ '-U', 'reader' ]), $alone,
	'a role that may only read has workers');
($model, $helped) = helped("SET max_parallel_maintenance_workers = 0; $fit");
is($helped, 'none', 'none is started when none is allowed');
($model, $helped) = helped("SET kseg.parallel_min_work = 1000000; $fit");
is("$helped $model", "none $alone", 'none is started for little work');

# all slots are taken
{
	my @sessions;

	$node->append_conf('postgresql.conf', 'max_parallel_workers = 1');
	$node->reload;
	($model, $helped) = helped($fit);
	is($model, $alone, 'with one slot in all');
	$node->append_conf('postgresql.conf', 'max_parallel_workers = 8');
	$node->reload;
}

# ---- a cancel ----

# test/checked has servers that take many times as long for everything
my $soon = 150 * ($ENV{KSEG_SLOWDOWN} // 1);

for my $timeout (300, 900, 1500)
{
	my ($out, $err);

	@before = segments();
	$node->psql('postgres',
		"SET client_min_messages = error; SELECT kseg_options(k => 2) IS NULL;\n"
		  . "SET statement_timeout = $timeout;\n\\timing on\n$long;\n",
		stdout => \$out, stderr => \$err, on_error_stop => 0);
	my ($time) = $out =~ /.*Time: ([0-9.]+)/s;
	like($err, qr/statement timeout/, "stopped after $timeout ms");
	cmp_ok($time - $timeout, '<', $soon, sprintf('%.0f ms late', $time - $timeout));
	nothing_left("stopped after $timeout ms", @before);
}

# ---- a session, or a worker, is ended ----

# start it, and wait until it has workers
sub start_long
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	$session->query_until(qr/started/, "\\echo started\n$long;\n");
	$node->poll_query_until('postgres', "SELECT ($workers) > 0") or die;
	return $session;
}

SKIP:
{
	my ($leader, $worker, $log, $from);

	skip 'no background_psql', 8 unless $node->can('background_psql');

	@before = segments();
	my $session = start_long();
	$node->safe_psql('postgres',
		q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%kseg_elbow%' AND pid <> pg_backend_pid() AND backend_type = 'client backend'});
	nothing_left('a session that was ended', @before);
	eval { $session->{run}->finish };

	$from = -s $node->logfile;
	$session = start_long();
	$node->safe_psql('postgres',
		q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'parallel worker' LIMIT 1});
	is($session->query('SELECT 1'), '1', 'the session goes on');
	# the server keeps a segment for each session that has had workers
	$session->quit;
	nothing_left('a worker that was ended', @before);
	$log = PostgreSQL::Test::Utils::slurp_file($node->logfile, $from);
	like($log, qr/ERROR:.*terminating/, 'its end is an error of the statement');

	# killed: the server starts anew, as after any crash
	$session = start_long();
	$worker = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'parallel worker' LIMIT 1});
	kill 'KILL', $worker;
	$node->poll_query_until('postgres', 'SELECT 1', '1') or die;
	is($node->safe_psql('postgres', $fit), $alone, 'a fit after a crash');
	is($node->safe_psql('postgres', $workers), '0', 'no worker is left by a crash');
	eval { $session->{run}->finish };
}

# ---- other kinds of shared memory ----

for my $type ('posix', 'sysv')
{
	$node->append_conf('postgresql.conf', "dynamic_shared_memory_type = $type");
	$node->restart;
	($model, $helped) = helped($fit);
	is($model, $alone, "the same with shared memory of type $type");
	cmp_ok($helped, '>=', 1, "and $helped workers helped");
}
is($node->safe_psql('postgres', $workers), '0', 'no worker is left');

$node->stop;
done_testing();

# Load: many sessions score, fit, evaluate, look and update while nights run
# over the same table.  Nothing fails, no update is lost, memory stays flat.
#
# KSEG_LOAD, "sessions seconds", makes it a long one ("make load").
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my ($clients, $seconds) = split ' ', $ENV{KSEG_LOAD} || '8 12';
my $customers = $seconds > 60 ? 100_000 : 10_000;

# what a backend may take beyond an idle one: rows and centers of its fit, and
# what malloc keeps of them
my $most_mb = 120;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', qq{
max_connections = @{[$clients + 20]}
shared_buffers = 256MB
max_wal_size = 4GB
kseg.work_mem = 32MB
log_min_messages = warning
});
$node->start;
$node->safe_psql('postgres', qq{
	SET client_min_messages = warning;
	CREATE EXTENSION kseg;
	CREATE TABLE customers AS
	SELECT i AS id, (hashint4(i) & 1023) / 10.0 + i % 5 * 60 AS a, ((hashint4(i + 1) & 4095) / 40.0)::numeric(8, 2) AS b,
		(ARRAY['north', 'south', 'east', 'west'])[1 + (hashint4(i + 2) & 3)] AS c, 0 AS visits, NULL::int AS segment
	FROM generate_series(1, $customers) AS i;
	ALTER TABLE customers ADD PRIMARY KEY (id);
	ALTER TABLE customers SET (fillfactor = 60);
	VACUUM FULL ANALYZE customers;
	CREATE TABLE models AS SELECT kseg_fit(5, a, b, c) AS model FROM customers;
	SELECT kseg_create('nightly', 'SELECT id, a, b, c FROM customers', 'id', 5, target => 'customers');
	SELECT kseg_run('nightly');
});

# ---- what sessions do, and how often ----

my $range = "\\set id random(1, $customers)\n";
my @scripts = (
	[ predict => 40, "${range}SELECT kseg_predict(model, a, b, c) FROM customers, models WHERE id = :id;" ],
	[ update => 40, "${range}UPDATE customers SET visits = visits + 1, a = a + (visits % 3 - 1) * 20 WHERE id = :id;" ],
	[ segment => 10, "${range}SELECT segment, label FROM kseg_current WHERE segmentation = 'nightly' AND key = :id::text;" ],
	[ progress => 6, 'SELECT count(*), max(rows) FROM kseg_progress;' ],
	[ fit => 2, "\\set from random(1, $customers - 1500)\nSELECT kseg_fit(4, a, b, c) FROM customers WHERE id BETWEEN :from AND :from + 1500;" ],
	[ evaluate => 1, "\\set from random(1, $customers - 1500)\nSELECT count(*) FROM models, kseg_evaluate(model, format('SELECT a, b, c FROM customers WHERE id BETWEEN %s AND %s', :from, :from + 1500));" ],
	[ pushdown => 1, "\\set from random(1, $customers - 1500)\nSELECT kseg_fit(format('SELECT a, b, c FROM customers WHERE id BETWEEN %s AND %s', :from, :from + 1500), 3, '{\"engine\": \"pushdown\", \"n_init\": 1}');" ]);
my $dir = PostgreSQL::Test::Utils::tempdir;
my @files;
foreach my $script (@scripts)
{
	my ($name, $weight, $sql) = @$script;

	append_to_file("$dir/$name.sql", "$sql\n");
	push @files, '-f', "$dir/$name.sql\@$weight";
}

# ---- the load ----

# Anonymous memory of each client backend, in MB, by its process.
sub memory
{
	my %memory;

	foreach my $pid (split /\n/, $node->safe_psql('postgres',
		q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()}))
	{
		open(my $status, '<', "/proc/$pid/status") or next;
		while (<$status>)
		{
			$memory{$pid} = $1 / 1024 if /^RssAnon:\s+(\d+) kB/;
		}
		close($status);
	}
	return \%memory;
}

sub largest
{
	my $most = 0;

	foreach my $memory (@_)
	{
		foreach (values %$memory)
		{
			$most = $_ if $_ > $most;
		}
	}
	return $most;
}

my ($out, $err, $nights, $night_error) = ('', '', '', '');
my $began = time();
my $bench = IPC::Run::start(
	[ 'pgbench', '-n', '-c', $clients, '-j', 2, '-T', $seconds, '-l', "--log-prefix=$dir/log", @files, 'postgres' ],
	'>', \$out, '2>', \$err,
	init => sub { $ENV{PGHOST} = $node->host; $ENV{PGPORT} = $node->port; });
# nights as fast as they can come, every third one a refit
my $loop = q{SET client_min_messages = warning;
DO $$
DECLARE
	stop timestamptz := clock_timestamp() + interval '} . ($seconds - 2) . q{ s';
	n int := 0;
BEGIN
	WHILE clock_timestamp() < stop LOOP
		n := n + 1;
		PERFORM kseg_run('nightly', CASE WHEN n % 3 = 0 THEN 'refit' ELSE 'score' END);
		COMMIT;
		PERFORM pg_sleep(0.05);
	END LOOP;
END $$;};
my $night = IPC::Run::start([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c', 'SET client_min_messages = warning', '-c', $loop =~ s/^SET[^;]*;\n//r ],
	'>', \$nights, '2>', \$night_error);

my @samples;
my $steps = 12;
foreach my $i (1 .. $steps)
{
	my $rest = $began + $seconds * $i / ($steps + 1) - time();

	sleep($rest) if $rest > 0;
	push @samples, memory();
}
ok($bench->finish, 'pgbench ends well') or diag($err);
ok($night->finish, 'so does psql');

unlike($err, qr/ERROR|FATAL|abort/, 'no session met an error');
is($night_error, '', 'nor did the nights');
my ($transactions) = $out =~ /number of transactions actually processed: (\d+)/;
cmp_ok($transactions // 0, '>', $clients * 10, 'sessions got something done');
my ($failed) = $out =~ /number of failed transactions: (\d+)/;
is($failed // 0, 0, 'no transaction failed');

# ---- nothing is lost ----

my %done;
my @latency;
foreach my $file (glob "$dir/log.*")
{
	open(my $log, '<', $file) or die "$file: $!";
	while (<$log>)
	{
		my (undef, undef, $us, $script) = split;

		push @{$latency[$script]}, $us / 1000;
		$done{$scripts[$script][0]}++;
	}
	close($log);
}
cmp_ok(scalar(grep { ($done{$_->[0]} // 0) > 0 } @scripts), '==', scalar(@scripts), 'each kind was done');
is($node->safe_psql('postgres', 'SELECT sum(visits) FROM customers'), $done{update}, 'every update is there');
my $runs = $node->safe_psql('postgres', q{SELECT count(*) FROM kseg_runs WHERE action IN ('score', 'refit')});
cmp_ok($runs, '>', 2, "nights ran beside it ($runs)");
# the nights' own work: the history is what the table says, after one more
$node->safe_psql('postgres', q{SET client_min_messages = warning; SELECT kseg_run('nightly', 'score')});
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM customers AS c FULL JOIN (SELECT key, segment FROM kseg_history WHERE valid_to IS NULL) AS h ON h.key = c.id::text
	WHERE c.segment IS DISTINCT FROM h.segment}), '0', 'the history says what the table says');
is($node->safe_psql('postgres', q{SELECT count(*) FROM (SELECT key FROM kseg_history GROUP BY key HAVING count(*) FILTER (WHERE valid_to IS NULL) <> 1) AS s}),
	'0', 'one state of each customer is open');

# ---- nothing is left, nothing grows ----

is($node->safe_psql('postgres', 'SELECT count(*) FROM kseg_progress'), '0', 'nobody is in progress');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_ls_tmpdir()}), '0', 'no temporary file is left');
my $log = slurp_file($node->logfile);
unlike($log, qr/ERROR|FATAL:  (?!terminating)|PANIC|TRAP|terminated by signal/, 'the log has no error');

my $early = largest(@samples[ 2 .. $steps / 2 - 1 ]);
my $late = largest(@samples[ $steps / 2 .. $steps - 1 ]);
SKIP:
{
	skip 'no /proc', 2 if $early == 0;
	cmp_ok($late, '<', $most_mb, sprintf('the largest backend has %.0f MB', $late));
	cmp_ok($late, '<', $early * 1.3 + 16, sprintf('and had %.0f MB before', $early));
}

note(sprintf('%d sessions, %d s, %d customers: %d transactions, %.0f a second, %d runs', $clients, $seconds, $customers, $transactions, $transactions / $seconds, $runs));
foreach my $i (0 .. $#scripts)
{
	my @ms = sort { $a <=> $b } @{ $latency[$i] // [] };

	next unless @ms;
	note(sprintf('%-9s %7d times, median %7.1f ms, 95 %% %7.1f ms, 99 %% %7.1f ms, longest %7.1f ms', $scripts[$i][0], scalar(@ms),
		$ms[ @ms * 0.5 ], $ms[ @ms * 0.95 ], $ms[ @ms * 0.99 ], $ms[-1]));
}
note(sprintf('memory of the largest backend: %.0f MB early, %.0f MB late; all %d together %.0f MB late', $early, $late, scalar(keys %{$samples[-1]}),
	eval { my $sum = 0; $sum += $_ foreach values %{$samples[-1]}; $sum }));

$node->stop;
done_testing();

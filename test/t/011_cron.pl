# pg_cron runs segmentations for an ordinary user, who may run but does not own
# them, and tells how it went: a run that is done has succeeded and is in
# kseg_runs, one that cannot be done has failed, with kseg's message.  Both ways
# that pg_cron has of running a job: over a connection, as is its default, and
# in a background worker.
#
# Jobs start with the minute.  So both servers wait for the same one, and
# test/run.sh runs this file beside the others.
#
# Skipped where pg_cron is not installed for this server (test/setup.sh).
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

chomp(my $library = `\${PG_CONFIG:-pg_config} --pkglibdir`);
plan skip_all => 'pg_cron is not installed' if !-e "$library/pg_cron.so";

my $shop = q{
	CREATE TABLE customers AS
	SELECT i AS id, 20 + i % 3 * 20 + (hashint4(i) & 7) AS age,
		NULL::int AS segment
	FROM generate_series(1, 300) AS i;
	ALTER TABLE customers ADD PRIMARY KEY (id);
	CREATE TABLE visitors AS SELECT id, age FROM customers;
	SELECT FROM kseg_create('customers', 'SELECT id, age FROM customers',
		'id', k => 3, target => 'customers');
	SELECT FROM kseg_create('visitors', 'SELECT id, age FROM visitors',
		'id', k => 3);
	DROP TABLE visitors;
	SELECT kseg_grant('customers', 'scheduler', 'run');
	SELECT kseg_grant('visitors', 'scheduler', 'run');
};

my @jobs = (
	{ name => 'customers', sql => q{SELECT kseg_run('customers')} },
	{ name => 'visitors', sql => q{SELECT kseg_run('visitors')} },
	{ name => 'unknown', sql => q{SELECT kseg_run('no such one')} });

sub start_server
{
	my ($name, $uses_workers) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	my $host = $node->host;

	$node->init;
	$node->append_conf('postgresql.conf', qq{
		shared_preload_libraries = 'pg_cron'
		cron.database_name = 'shop'
		cron.use_background_workers = $uses_workers
		cron.host = '$host'
	});
	$node->start;
	$node->safe_psql('postgres', q{
		CREATE ROLE owner LOGIN;
		CREATE ROLE scheduler LOGIN;
		CREATE DATABASE shop OWNER owner;
	});
	$node->safe_psql('shop', q{
		CREATE EXTENSION pg_cron;
		CREATE EXTENSION kseg;
		GRANT USAGE ON SCHEMA cron TO scheduler;
		GRANT CREATE ON SCHEMA public TO owner;
	});
	$node->safe_psql('shop', $shop, extra_params => [ '-U', 'owner' ]);
	return $node;
}

sub schedule
{
	my ($node) = @_;

	foreach my $job (@jobs)
	{
		$node->safe_psql('shop',
			"SELECT cron.schedule('$job->{name}', '* * * * *', \$\$$job->{sql}\$\$)",
			extra_params => [ '-U', 'scheduler' ]);
	}
}

# The first run of a job, as the scheduler sees it.
sub outcome
{
	my ($node, $name, $columns) = @_;

	return $node->safe_psql('shop', qq{
		SELECT $columns
		FROM cron.job_run_details JOIN cron.job USING (jobid)
		WHERE jobname = '$name' ORDER BY runid LIMIT 1
	}, extra_params => [ '-U', 'scheduler' ]);
}

my %servers = (
	connection => start_server('connection', 'off'),
	worker => start_server('worker', 'on'));

schedule($_) foreach values %servers;

foreach my $way (sort keys %servers)
{
	my $node = $servers{$way};

	ok($node->poll_query_until('shop', q{
		SELECT count(DISTINCT jobid) = 3 FROM cron.job_run_details
		WHERE status IN ('succeeded', 'failed')}), "$way: the jobs ended");

	is(outcome($node, 'customers', 'status'), 'succeeded',
		"$way: a run succeeded");
	is($node->safe_psql('shop', q{
		SELECT mode, action, scored, new, unassigned, held, run_by
		FROM kseg_runs ORDER BY id LIMIT 1
	}, extra_params => [ '-U', 'scheduler' ]),
		'auto|refit|300|300|0|f|scheduler', "$way: its outcome is in kseg_runs");
	is($node->safe_psql('shop', q{
		SELECT segment, count(*), count(DISTINCT id % 3)
		FROM customers GROUP BY segment ORDER BY segment}),
		"1|100|1\n2|100|1\n3|100|1", "$way: the customers have segments");
	is($node->safe_psql('shop', q{
		SELECT DISTINCT name FROM kseg_runs
		JOIN kseg_segmentations AS s ON s.id = segmentation}), 'customers',
		"$way: of runs that failed it has nothing");

	is(outcome($node, 'visitors', 'status'), 'failed',
		"$way: a run that cannot be done failed");
	like(outcome($node, 'visitors', 'return_message'),
		qr/ERROR: .*visitors.* does not exist/s, "$way: and says why");
	is(outcome($node, 'unknown', 'status'), 'failed',
		"$way: a segmentation that does not exist is a failure");
	like(outcome($node, 'unknown', 'return_message'),
		qr/ERROR: .*no such one/s, "$way: and is named");
}

done_testing();

# Tables that Citus has spread over nodes: fits, elbows and evaluations are
# made on the shards, with the bits of a fit in memory; rows are scored and
# written back there.  Needs Citus: see test/server.sh, KSEG_CITUS.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $share = `pg_config --sharedir`;
chomp $share;
plan skip_all => 'Citus is not installed' unless -e "$share/extension/citus.control";

my %node;
foreach my $name ('coordinator', 'one', 'two')
{
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	my $port = $node->port;
	$node->append_conf('postgresql.conf', qq{
		listen_addresses = '127.0.0.1'
		shared_preload_libraries = 'citus'
		citus.node_conninfo = 'sslmode=disable'
		citus.enable_statistics_collection = off
		max_prepared_transactions = 20
		log_statement = all
	});
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION citus');
	$node{$name} = $node;
}
my $coordinator = $node{coordinator};

sub ask
{
	return $coordinator->safe_psql('postgres', shift);
}

my $port = $coordinator->port;
ask("SELECT citus_set_coordinator_host('127.0.0.1', $port)");
foreach my $name ('one', 'two')
{
	$port = $node{$name}->port;
	ask("SELECT citus_add_node('127.0.0.1', $port)");
}

ask(q{
	CREATE EXTENSION kseg;
	CREATE TYPE size AS ENUM ('small', 'large', 'huge');
	CREATE TABLE customers (id int, age int, income float8, spent numeric(10,2), tier text, size size,
		members int, segment smallint, distance float8);
	SET citus.shard_count = 8;
	SELECT create_distributed_table('customers', 'id');
	INSERT INTO customers
	SELECT i, 20 + (hashint4(i) & 31) + 20 * (i % 3 = 0)::int,
		CASE WHEN i % 97 <> 0 THEN sqrt((hashint4(i + 9) & 65535)::float8) + 100 * (i % 2) END,
		(hashint4(i + 5) & 1023) / 7.0,
		CASE WHEN i % 89 <> 0 THEN (ARRAY['gold', 'silver', 'none'])[1 + (i % 5 + (hashint4(i + 3) & 1)) % 3] END,
		(ARRAY['small', 'large', 'huge'])[1 + i % 3]::size,
		1 + (hashint4(i + 7) & 3)
	FROM generate_series(1, 6000) AS i;
	CREATE TABLE local_customers AS SELECT * FROM customers;
	CREATE VIEW adults AS SELECT * FROM customers WHERE age > 21;
});
is(ask('SELECT count(*) FROM local_customers'), '6000', 'all rows are there');

# what a worker was asked for since its log was that long
sub asked
{
	my ($name, $from) = @_;
	return slurp_file($node{$name}->logfile, $from);
}

my %options = (
	'defaults' => '{}',
	'one chain' => '{"n_init": 1}',
	'minmax' => '{"scale": "minmax"}',
	'robust' => '{"scale": "robust"}',
	'clip' => '{"clip": [0.05, 0.9]}',
	'nulls' => '{"nulls": "mean"}');
my $select = 'SELECT age, income, spent, tier, size FROM';
foreach my $name (sort keys %options)
{
	is(ask(qq{SELECT kseg_fit('$select customers', 4, '$options{$name}') =
		kseg_fit('$select local_customers', 4, '$options{$name}')}), 't', "same model: $name");
}
is(ask(q{SELECT kseg_fit('SELECT age, income, members FROM customers', 4, '{"row_weight": "members"}') =
	kseg_fit('SELECT age, income, members FROM local_customers', 4, '{"row_weight": "members"}')}),
	't', 'same model: rows with weights');
is(ask(q{SELECT kseg_fit('SELECT age, income, spent FROM customers', 4, '{"distance": "cosine"}') =
	kseg_fit('SELECT age, income, spent FROM local_customers', 4, '{"distance": "cosine"}')}),
	't', 'same model: cosine');
is(ask(qq{SELECT kseg_fit('$select customers', 4) = kseg_fit('$select customers', 4, '{"engine": "memory"}')}),
	't', 'same model: the distributed table in memory');
is(ask(qq{SELECT count(*) FROM
	(SELECT e FROM kseg_elbow('$select customers', 1, 5) AS e EXCEPT
	 SELECT e FROM kseg_elbow('$select local_customers', 1, 5) AS e) AS differing}), '0', 'same elbow');

my $offset = -s $node{one}->logfile;
ask("SELECT kseg_fit('SELECT age, income FROM adults', 3)");
my $log = asked('one', $offset);
like($log, qr/worker_partial_agg\('public\.kseg_accum/, 'shards compute states, also below a view');
unlike($log, qr/SELECT age, income FROM/, 'and send no rows');

# queries that Citus does not take apart
is(ask(q{SELECT kseg_fit('SELECT age, sum(members) FROM customers GROUP BY age', 3) =
	kseg_fit('SELECT age, sum(members) FROM local_customers GROUP BY age', 3)}), 't', 'GROUP BY');
is(ask(q{SELECT kseg_fit('SELECT age, income FROM customers ORDER BY id LIMIT 500', 3) =
	kseg_fit('SELECT age, income FROM local_customers ORDER BY id LIMIT 500', 3)}), 't', 'LIMIT');

# scoring
ask("CREATE TABLE models AS SELECT kseg_fit('$select local_customers', 4) AS model");
is(ask(qq{SELECT count(*) FROM models,
	LATERAL (SELECT e FROM kseg_evaluate(model, '$select customers') AS e EXCEPT
	 SELECT e FROM kseg_evaluate(model, '$select local_customers') AS e) AS differing}), '0', 'same measures');
my $model = ask('SELECT model FROM models');
is(ask(qq{SELECT kseg_predict('$model'::kseg_model, age, income, spent, tier, size) AS segment, count(*)
	FROM customers GROUP BY 1 ORDER BY 1}),
	ask(q{SELECT kseg_predict(model, age, income, spent, tier, size) AS segment, count(*)
	FROM local_customers, models GROUP BY 1 ORDER BY 1}), 'same segments');
like(ask(qq{EXPLAIN SELECT count(*) FROM customers
	WHERE kseg_predict('$model'::kseg_model, age, income, spent, tier, size) = 1}), qr/Task Count: 8/,
	'kseg_predict() runs on the shards');

my $calls = q{SELECT a.* FROM models, kseg_apply(model, 'customers', 'segment', 'distance') AS a};
my $local = q{SELECT a.* FROM models, kseg_apply(model, 'local_customers', 'segment', 'distance') AS a};
$offset = -s $node{one}->logfile;
is(ask($calls), ask($local), 'kseg_apply() counts as ever');
like(asked('one', $offset), qr/UPDATE public\.customers_\d+/, 'shards are updated where they are');
my $written = 'SELECT segment, count(*), sum(distance::numeric) FROM %s GROUP BY 1 ORDER BY 1';
is(ask(sprintf($written, 'customers')), ask(sprintf($written, 'local_customers')), 'and writes the same');
is(ask($calls), ask($local), 'nothing changes the second time');
ask('UPDATE customers SET segment = 9 WHERE id % 50 = 0; UPDATE local_customers SET segment = 9 WHERE id % 50 = 0');
is(ask($calls), ask($local), 'what somebody changed is put right');

# other users, other rights
ask('CREATE ROLE analyst LOGIN; GRANT SELECT ON local_customers TO analyst');
my ($out, $err);
$coordinator->psql('postgres', "SELECT kseg_fit('SELECT age FROM customers', 2)", stdout => \$out, stderr => \$err,
	extra_params => [ '-U', 'analyst' ]);
like($err, qr/permission denied for table customers/, 'a fit needs the right to read');

done_testing();

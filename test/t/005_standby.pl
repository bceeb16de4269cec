# Everything that reads works where nothing can be written: on a hot standby
# and in a read-only transaction, for a role that may SELECT and nothing else,
# with the same bits as on the primary.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->start;
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
# workers help there, too
$standby->append_conf('postgresql.conf', 'kseg.parallel_min_work = 0');
$standby->start;

$primary->safe_psql('postgres', q{
	CREATE ROLE owner LOGIN;
	CREATE ROLE analyst LOGIN;
	CREATE DATABASE shop OWNER owner;
});
$primary->safe_psql('shop', q{
	CREATE EXTENSION kseg;
	CREATE TABLE customers AS
	SELECT i AS id, 20 + (hashint4(i) & 31) + 20 * (i % 3 = 0)::int AS age,
		sqrt((hashint4(i + 9) & 65535)::float8) AS income,
		(ARRAY['north', 'south', 'east'])[1 + (i % 3 + (hashint4(i + 3) & 1)) % 3] AS region,
		NULL::int AS segment
	FROM generate_series(1, 2000) AS i;
	CREATE TABLE models AS SELECT kseg_fit(4, age, income, region) AS model FROM customers;
	CREATE TABLE scalers AS SELECT kseg_scaler('robust', age, income) AS scaler FROM customers;
	GRANT SELECT ON customers, models, scalers TO analyst;
}, extra_params => [ '-U', 'owner' ]);
$primary->wait_for_catchup($standby);

# What an analyst does: a function, and SQL whose first column is printed.
my $query = q{'SELECT id, age, income, region FROM customers'};
my $features = q{'SELECT age, income, region FROM customers'};
my @calls = (
	{ name => 'kseg_fit', sql => 'SELECT kseg_fit(4, age, income, region) FROM customers' },
	{ name => 'kseg_fit(query)', sql => "SELECT kseg_fit($features, 5)" },
	{ name => 'kseg_elbow', sql => "SELECT e FROM kseg_elbow($features, 1, 6) AS e" },
	{ name => 'kseg_predict', sql => 'SELECT kseg_predict(model, age, income, region) FROM customers, models ORDER BY id' },
	{ name => 'kseg_score', sql => 'SELECT kseg_score(model, age, income, region) FROM customers, models ORDER BY id' },
	{ name => 'kseg_segments', sql => "SELECT s FROM models, kseg_segments($query, 'id', model) AS s ORDER BY key" },
	{ name => 'kseg_segments(fit)', sql => "SELECT s FROM kseg_segments($query, 'id', 3) AS s ORDER BY key" },
	{ name => 'kseg_cluster', sql => 'SELECT kseg_cluster(3, age, income) OVER () FROM customers ORDER BY id' },
	{ name => 'kseg_info', sql => 'SELECT kseg_info(model) FROM models' },
	{ name => 'kseg_centroids', sql => 'SELECT kseg_centroids(model) FROM models' },
	{ name => 'kseg_scaler', sql => q{SELECT kseg_scaler('zscore', age, income) FROM customers} },
	{ name => 'kseg_scale', sql => 'SELECT kseg_scale(scaler, age, income) FROM customers, scalers ORDER BY id' },
	{ name => 'kseg_normalize', sql => q{SELECT n FROM kseg_normalize('SELECT id, age, income FROM customers', 'id', 'minmax') AS n ORDER BY key, feature} },
	{ name => 'kseg_normalize(window)', sql => q{SELECT kseg_normalize(income, 'robust') OVER () FROM customers ORDER BY id} },
	{ name => 'kseg_project', sql => "SELECT p FROM models, kseg_project(model, $query, 'id') AS p ORDER BY key" },
	{ name => 'kseg_project(part)', sql => "SELECT p FROM models, kseg_project(model, $query, 'id', 3, 100) AS p" },
	{ name => 'kseg_evaluate', sql => "SELECT e FROM models, kseg_evaluate(model, $query) AS e ORDER BY segment NULLS FIRST" },
	{ name => 'kseg_ari', sql => 'SELECT kseg_ari(kseg_predict(model, age, income, region), age % 4) FROM customers, models' },
	{ name => 'kseg_profile', sql => 'SELECT kseg_profile(model) FROM models' },
	{ name => 'kseg_profile(query)', sql => "SELECT p FROM models, kseg_profile(model, $query) AS p" },
	{ name => 'kseg_explain', sql => "SELECT e FROM models, kseg_explain(model, $features) AS e" },
	{ name => 'kseg_fit(pushdown)', sql => qq{SELECT kseg_fit($features, 4, '{"engine": "pushdown"}')} },
	{ name => 'kseg_elbow(pushdown)', sql => qq{SELECT e FROM kseg_elbow($features, 1, 4, '{"engine": "pushdown"}') AS e} },
	{ name => 'kseg_evaluate(pushdown)', sql => "SELECT e FROM models, kseg_evaluate(model, $query, 'pushdown') AS e ORDER BY segment NULLS FIRST" },
	{ name => 'kseg_fit(file)', sql => qq{SELECT kseg_fit('SELECT c.age, c.income + r AS income, c.region FROM customers AS c, generate_series(1, 25) AS r', 4, '{"n_init": 1}')},
		before => "SET kseg.work_mem = '1MB'" },
	{ name => 'kseg_fit(workers)', sql => "SELECT kseg_fit($features, 5)", before => 'SET kseg.parallel_min_work = 0' },
	{ name => 'kseg_elbow(workers)', sql => "SELECT e FROM kseg_elbow($features, 1, 5) AS e", before => 'SET kseg.parallel_min_work = 0' },
	{ name => 'kseg_progress', sql => 'SELECT count(*) FROM kseg_progress' },
	{ name => 'kseg_plot_elbow', sql => "SELECT kseg_plot_elbow($features, 1, 5)" },
	{ name => 'kseg_plot_scatter', sql => "SELECT kseg_plot_scatter(model, $query, 'id', 50) FROM models" },
	{ name => 'kseg_plot_profile', sql => 'SELECT kseg_plot_profile(model) FROM models' },
	{ name => 'kseg_plot_sizes', sql => 'SELECT kseg_plot_sizes(model) FROM models' },
	{ name => 'kseg_svg_elbow', sql => "SELECT kseg_svg_elbow($features, 1, 5)" },
	{ name => 'kseg_svg_profile', sql => 'SELECT kseg_svg_profile(model) FROM models' });

# Output and errors of SQL, as a role.
sub run_as
{
	my ($node, $role, $sql) = @_;
	my ($out, $err);
	$node->psql('shop', $sql, stdout => \$out, stderr => \$err,
		extra_params => [ '-U', $role, '-v', 'VERBOSITY=verbose' ], on_error_stop => 1);
	return ($out, $err);
}

my ($recovery) = run_as($standby, 'analyst', 'SELECT pg_is_in_recovery()');
is($recovery, 't', 'the standby is one');

for my $call (@calls)
{
	my ($name, $sql, $before) = @$call{qw(name sql before)};

	$before = defined $before ? "$before;" : '';
	my ($expected, $error) = run_as($primary, 'analyst', "$before $sql");
	ok($error eq '' && $expected ne '', "$name on the primary") or diag($error);
	my ($out, $err) = run_as($primary, 'analyst', "BEGIN READ ONLY; $before $sql; COMMIT");
	ok($err eq '' && $out eq $expected, "$name in a read-only transaction: the same bits") or diag($err);
	($out, $err) = run_as($standby, 'analyst', "$before $sql");
	ok($err eq '' && $out eq $expected, "$name on the standby: the same bits") or diag($err);
}

# what is larger than the memory for it goes to files, there as well
my $large = q{SET work_mem = '64kB'; SELECT count(*), count(DISTINCT key) FROM models, }
	. q{kseg_project(model, 'SELECT repeat(id::text, 30) AS key, age, income, region FROM customers', 'key', 2, %s)};
for my $shown ('NULL', '1500')
{
	my ($out, $err) = run_as($standby, 'analyst', sprintf($large, $shown));
	is("$err$out", $shown eq 'NULL' ? '2000|2000' : '1500|1500', "temporary files on the standby, max_rows $shown");
}

# writing says why it does not
my $apply = q{SELECT kseg_apply(model, 'customers', 'segment') FROM models};
my (undef, $err) = run_as($standby, 'owner', $apply);
like($err, qr/25006.*cannot execute UPDATE in a read-only transaction/, 'kseg_apply on the standby');
(undef, $err) = run_as($standby, 'analyst', $apply);
like($err, qr/42501.*permission denied for table customers/, 'kseg_apply without the right to');

# so does everything that keeps something
for my $writer (q{kseg_create('nightly', 'SELECT id, age FROM customers', 'id', 3)}, q{kseg_run('nightly')},
	q{kseg_label('nightly', 1, 'label')}, q{kseg_drop('nightly')}, q{kseg_grant('nightly', 'analyst')},
	q{kseg_revoke('nightly', 'analyst')}, q{kseg_rollback('nightly', 1)}, q{kseg_alter('nightly', k => 2)})
{
	for my $where ([ 'the standby', $standby, '' ], [ 'a read-only transaction', $primary, 'BEGIN READ ONLY;' ])
	{
		my ($place, $node, $begin) = @$where;

		(undef, $err) = run_as($node, 'owner', "$begin SELECT * FROM $writer");
		like($err, qr/25006: cannot execute .* (in a read-only transaction|during recovery)|42704: segmentation "nightly" does not exist/,
			"$writer in $place");
	}
}
# a segmentation that is there
my (undef, $made) = run_as($primary, 'owner', q{SET client_min_messages = warning;
	CREATE TABLE read_only AS SELECT id, age FROM customers;
	SELECT kseg_create('there', 'SELECT id, age FROM read_only', 'id', 3); SELECT kseg_run('there')});
is($made, '', 'a segmentation is made on the primary');
$primary->wait_for_catchup($standby);
for my $writer (q{kseg_run('there')}, q{kseg_run('there', 'refit')}, q{kseg_label('there', 1, 'label')}, q{kseg_drop('there')},
	q{kseg_grant('there', 'analyst')}, q{kseg_rollback('there', 1)}, q{kseg_alter('there', k => 2)})
{
	for my $where ([ 'the standby', $standby, '' ], [ 'a read-only transaction', $primary, 'BEGIN READ ONLY;' ])
	{
		my ($place, $node, $begin) = @$where;

		(undef, $err) = run_as($node, 'owner', "$begin SELECT * FROM $writer");
		like($err, qr/25006: cannot execute .* (in a read-only transaction|during recovery)/, "$writer in $place, of one that is there");
	}
}
for my $reader ('kseg_overview', 'kseg_current', 'kseg_segment_sizes', 'kseg_run_log', 'kseg_latest_profile', 'kseg_progress')
{
	my ($out, $error) = run_as($standby, 'owner', "SELECT count(*) >= 0 FROM $reader");
	is("$error$out", 't', "$reader on the standby");
}
my ($dry, $dry_error) = run_as($standby, 'owner', q{SELECT count(*) > 0 FROM kseg_drift('there')});
is("$dry_error$dry", 't', 'kseg_drift on the standby');

done_testing();

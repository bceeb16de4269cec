# Rights: everything runs as the caller, and nobody needs to be superuser.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
$node->safe_psql('postgres', q{
	CREATE ROLE owner LOGIN;
	CREATE ROLE analyst LOGIN;
	CREATE ROLE stranger LOGIN;
	CREATE DATABASE shop OWNER owner;
});

sub as
{
	my ($role, $sql) = @_;
	my ($out, $err);
	$node->psql('shop', $sql, stdout => \$out, stderr => \$err,
		extra_params => [ '-U', $role, '-v', 'VERBOSITY=verbose' ], on_error_stop => 1);
	return ($out, $err);
}

sub works
{
	my ($role, $sql, $expected, $name) = @_;
	my ($out, $err) = as($role, $sql);
	is($err, '', "$name: no error");
	is($out, $expected, $name);
}

sub fails
{
	my ($role, $sql, $pattern, $name) = @_;
	my ($out, $err) = as($role, $sql);
	like($err, $pattern, $name);
}

# trusted: the owner of a database may create it, in a schema of its own
works('owner', q{
	CREATE SCHEMA lib;
	CREATE EXTENSION kseg SCHEMA lib;
	CREATE TABLE customers (id int PRIMARY KEY, region text, a int, b float8, segment int);
	INSERT INTO customers
	SELECT i, 'r' || i % 3, hashint4(i) & 255, (hashint4(i + 1) & 1023) / 8.0 FROM generate_series(1, 500) AS i;
	GRANT USAGE ON SCHEMA lib TO analyst, stranger;
	GRANT SELECT ON customers TO analyst;
	SELECT (lib.kseg_info(lib.kseg_fit(3, a, b))).rows FROM customers;
}, '500', 'an ordinary user creates the extension and fits');

# search_path without the extension's schema
works('owner', q{
	SET search_path = pg_catalog;
	SELECT scored, changed, unassigned
	FROM lib.kseg_apply((SELECT lib.kseg_fit(3, a, b) FROM public.customers), 'public.customers', 'segment');
	SELECT count(*) FROM lib.kseg_elbow('SELECT a, b FROM public.customers', 1, 4);
	SELECT count(*) FROM lib.kseg_segments('SELECT id, a, b FROM public.customers', 'id', 3);
}, "500|500|0\n4\n500", 'calls with the schema named');

my $model = q{(SELECT lib.kseg_fit(3, a, b) FROM customers)};
works('analyst', qq{
	SELECT count(lib.kseg_predict($model, a, b)) FROM customers;
	SELECT count(*) FROM lib.kseg_elbow('SELECT a, b FROM customers', 1, 3);
	SELECT count(*) FROM lib.kseg_normalize('SELECT id, a FROM customers', 'id');
}, "500\n3\n500", 'SELECT is enough to read');
fails('analyst', qq{SELECT lib.kseg_apply($model, 'customers', 'segment')},
	qr/42501.*permission denied for table customers/, 'but not to write back');
fails('stranger', q{SELECT lib.kseg_fit('SELECT a, b FROM customers', 3)},
	qr/42501.*permission denied for table customers/, 'a query runs with the rights of its caller');
fails('stranger', q{SELECT * FROM lib.kseg_segments('SELECT id, a FROM customers', 'id', 3)},
	qr/42501.*permission denied for table customers/, 'segments too');
# the rights to look up a relation come before all else
fails('stranger', q{SELECT lib.kseg_apply((SELECT lib.kseg_fit(1, x) FROM (VALUES (1.0)) AS v (x)), 'customers', 'segment')},
	qr/42501.*permission denied/, 'a write-back too');

# row-level security
works('owner', q{
	ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
	CREATE POLICY mine ON customers TO analyst USING (region = 'r1');
	GRANT UPDATE (segment) ON customers TO analyst;
	UPDATE customers SET segment = NULL;
}, '', 'row-level security is set up');
works('analyst', qq{
	SELECT (lib.kseg_info(lib.kseg_fit('SELECT a, b FROM customers', 3))).rows;
	SELECT scored, changed FROM lib.kseg_apply($model, 'customers', 'segment');
}, "167\n167|167", 'only rows that the caller may see');
works('owner', q{SELECT region, count(segment) FROM customers GROUP BY region ORDER BY region},
	"r0|0\nr1|167\nr2|0", 'and only those are written');

# read-only transactions
works('analyst', qq{
	BEGIN READ ONLY;
	SELECT (lib.kseg_info(lib.kseg_fit(2, a, b))).k FROM customers;
	SELECT (lib.kseg_info(lib.kseg_fit('SELECT a, b FROM customers', 2))).k;
	SELECT count(*) FROM lib.kseg_elbow('SELECT a, b FROM customers', 1, 2);
	SELECT count(*) FROM lib.kseg_segments('SELECT id, a FROM customers', 'id', 2);
	COMMIT;
}, "2\n2\n2\n167", 'reading works in a read-only transaction');
fails('owner', qq{BEGIN READ ONLY; SELECT lib.kseg_apply($model, 'customers', 'segment')},
	qr/25006.*cannot execute UPDATE in a read-only transaction/, 'writing says why it does not');

# the extension works for nobody who has no right to its schema, as usual
$node->safe_psql('shop', 'REVOKE USAGE ON SCHEMA lib FROM stranger');
fails('stranger', q{SELECT lib.kseg_fit(1, 1.0)}, qr/42501.*permission denied for schema lib/, 'no right to the schema');

done_testing();

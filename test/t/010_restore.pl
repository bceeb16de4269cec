# A database that was dumped and restored goes on with its segmentations as if
# nothing had happened.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', 'autovacuum = off');
$node->start;
$node->safe_psql('postgres', q{
	CREATE ROLE "shop keeper" LOGIN;
	CREATE ROLE analyst LOGIN;
	CREATE DATABASE source;
});

sub ask
{
	my ($database, $sql) = @_;
	return $node->safe_psql($database, "SET search_path = \"My Shop\", lib;\n$sql");
}

sub as
{
	my ($role, $database, $sql) = @_;
	return $node->safe_psql($database, "SET search_path = \"My Shop\", lib;\n$sql", extra_params => [ '-U', $role ]);
}

# ---- two segmentations with a past ----

# One is in a column of the customers' table, whose key has two columns and
# whose names are odd; the other has a table of its own.
ask('source', q{
	CREATE SCHEMA lib;
	CREATE EXTENSION kseg SCHEMA lib;
	GRANT USAGE ON SCHEMA lib TO PUBLIC;
	CREATE SCHEMA "My Shop" AUTHORIZATION "shop keeper";
	GRANT USAGE ON SCHEMA "My Shop" TO analyst;
});
as('shop keeper', 'source', q{
	CREATE TYPE region AS ENUM ('south', 'north', 'far "away"');
	CREATE TABLE "Customers" (visits float8, "Region" region, "Customer's id" text, spent numeric, plan text,
	                          "Segment" smallint, PRIMARY KEY ("Region", "Customer's id"));
	INSERT INTO "Customers"
	SELECT i % 4 * 20 + (hashint4(i) & 15), (enum_range(NULL::region))[1 + i % 3], 'No. ' || i || CASE WHEN i % 100 = 0 THEN ' ,"\\' ELSE '' END,
	       i % 4 / 2 * 30 + (hashint4(i + 7) & 1023) / 100.0, (ARRAY['basic', 'plus', 'Ünlimited'])[1 + i % 4 / 2]
	FROM generate_series(1, 1200) AS i;
	CREATE TABLE orders (account uuid, amount numeric);
	INSERT INTO orders
	SELECT md5((i / 4)::text)::uuid, 10 + i / 4 % 3 * 50 + (hashint4(i) & 15) FROM generate_series(4, 3003) AS i;

	SELECT kseg_create('The "customers"', 'SELECT "Region", "Customer''s id", visits, spent, plan FROM "Customers"',
	                   '"Region", "Customer''s id"', 4, target => '"Customers"', segment_column => 'Segment');
	SELECT kseg_create('accounts', 'SELECT account, sum(amount) AS amount, count(*) AS orders FROM orders GROUP BY account',
	                   'account', 3, keep => '1 year');
	SELECT kseg_run('The "customers"');
	SELECT kseg_run('accounts');
	SELECT kseg_label('The "customers"', 2, 'it''s "two"', 'a note');
	SELECT kseg_label('accounts', 1, 'Größte');
	SELECT kseg_grant('The "customers"', 'analyst', 'run');
	SELECT kseg_grant('accounts', 'public');
	UPDATE "Customers" SET visits = 40, spent = 35, plan = 'plus' WHERE "Customer's id" LIKE '%7';
	DELETE FROM "Customers" WHERE "Customer's id" LIKE 'No. 33%';
	SELECT kseg_run('The "customers"', 'score');
	-- one segment ends, another begins
	UPDATE "Customers" SET visits = 200, spent = 300, plan = 'basic' WHERE "Segment" = 4 AND "Region" <> 'north';
	UPDATE "Customers" SET visits = 40, spent = 35, plan = 'plus' WHERE "Segment" = 4 AND "Region" = 'north';
	SELECT kseg_alter('The "customers"', hold_when => '{"moved": null, "vanished": null, "inertia": null}');
	SELECT kseg_run('The "customers"', 'refit');
	DELETE FROM orders WHERE account IN (SELECT account FROM orders ORDER BY account LIMIT 40);
	INSERT INTO orders SELECT md5((i / 4)::text)::uuid, 10 + i / 4 % 3 * 50 + (hashint4(i) & 15) FROM generate_series(3004, 3103) AS i;
	SELECT kseg_run('accounts', 'refit');
	SELECT kseg_rollback('accounts', 1);
});

# What is the same whenever it is done: no times, and no numbers of objects.
my $tables = ask('source', q{
	SELECT string_agg(c.relname, ' ' ORDER BY c.relname)
	FROM pg_class AS c JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
	JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
	WHERE e.extname = 'kseg' AND d.deptype = 'e' AND c.relkind = 'r'});
my @tables = split / /, $tables;
like($tables, qr/kseg_history .*kseg_models .*kseg_runs .*kseg_segmentations/, 'the tables are known');
my $contents = join("\nUNION ALL ",
	map { "SELECT '$_' AS name, count(*), md5(string_agg(t::text, ',' ORDER BY t::text COLLATE \"C\")) FROM $_ AS t" }
	  @tables, '"Customers"', 'accounts_segments') . "\nORDER BY 1";

# The same after a night, without the times.
# (The hash of members has those of enum values, which have other numbers.)
my $row = "(to_jsonb(t) - '{started,elapsed,valid_from,valid_to,created,labelled,members_hash}'::text[])::text";
my @timeless = map { "SELECT '$_', count(*), md5(string_agg($row, ',' ORDER BY $row COLLATE \"C\")) FROM $_ AS t" }
  @tables, '"Customers"', 'accounts_segments';
my $night = q{
	SELECT run_id, action, scored, changed, new, gone, unassigned, round(drift::numeric, 9), held FROM kseg_run('The "customers"');
	SELECT run_id, action, scored, changed, new, gone, unassigned, round(drift::numeric, 9), held FROM kseg_run('accounts');
};
my $change = q{
	UPDATE "Customers" SET visits = visits + 20, plan = 'Ünlimited' WHERE "Customer's id" LIKE '%3';
	INSERT INTO "Customers" SELECT i % 30, 'south', 'new ' || i, i, 'basic' FROM generate_series(1, 50) AS i;
	UPDATE orders SET amount = amount + 40 WHERE amount::int % 10 = 3;
	INSERT INTO orders SELECT md5((i / 4)::text)::uuid, 200 FROM generate_series(3200, 3299) AS i;
};
my $refits = q{
	SELECT run_id, action, scored, changed, new, gone, unassigned FROM kseg_run('The "customers"', 'refit');
	SELECT run_id, action, scored, changed, new, gone, unassigned FROM kseg_run('accounts', 'refit');
};

# What sessions counted that have ended; psql does not wait for that.
sub counters
{
	$node->poll_query_until($_[0], q{
		SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'
	}) or die 'a session does not end';
	return ask($_[0], q{
		SELECT relname, n_tup_upd, n_tup_del FROM pg_stat_user_tables
		WHERE relname IN ('Customers', 'accounts_segments', 'kseg_history', 'kseg_models', 'kseg_labels') ORDER BY relname});
}

my $before = ask('source', $contents);
like($before, qr/^kseg_history\|[1-9]\d{3}\|/m, 'there is something to dump');
is(ask('source', q{SELECT last_id, version FROM kseg_segmentations ORDER BY name}), "5|2\n3|1", 'an id is new, a model is rolled back');

# ---- dumped ----

my %dumps = (
	'custom' => [ '-Fc' ],
	'plain' => [],
	'inserts' => [ '--inserts', '--rows-per-insert=100' ],
	'columns' => [ '--column-inserts', '--disable-dollar-quoting', '--quote-all-identifiers' ],
	'clean' => [ '--clean', '--if-exists' ],
);
for my $name (sort keys %dumps)
{
	my $file = $node->basedir . "/$name.dump";

	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->command_ok([ 'pg_dump', @{ $dumps{$name} }, '-f', $file, $node->connstr('source') ], "$name: pg_dump");
	$node->command_ok($name eq 'custom'
		? [ 'pg_restore', '--exit-on-error', '-j', '2', '-d', $node->connstr($name), $file ]
		: [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($name), '-f', $file ], "$name: restore");
	is(ask($name, $contents), $before, "$name: all tables are as they were");
}

# ---- and on they go ----

# What happens in the database that stayed is what has to happen in the others.
my %expected;
for my $name ('source', sort keys %dumps)
{
	my %result;
	my $counters = counters($name);

	$result{'a night in which nothing has changed'} = as('shop keeper', $name, $night);
	is(counters($name), $counters, "$name: writes nothing");
	$result{'a night in which much has changed'} = as('shop keeper', $name, "$change $night");
	$result{'a refit'} = as('shop keeper', $name, $refits);
	$result{'what somebody else may do'} = as('analyst', $name, q{
		SELECT run_id, action, changed FROM kseg_run('The "customers"', 'score');
		SELECT name FROM kseg_segmentations ORDER BY name});
	$result{'a model before'} = as('shop keeper', $name, q{
		SELECT run_id, action, changed FROM kseg_rollback('The "customers"', 1)});
	$result{"table $_"} = ask($name, (@timeless)[$_]) for 0 .. $#timeless;
	if ($name eq 'source')
	{
		%expected = %result;
		like($result{'a night in which nothing has changed'}, qr/^\d+\|score\|\d+\|0\|0\|0\|0\|[0-9.]+\|f\n\d+\|score\|\d+\|0\|0\|0\|/,
			'source: nothing has changed');
		like($result{'a night in which much has changed'}, qr/^\d+\|\w+\|\d+\|[1-9]\d*\|50\|0\|/, 'source: much has changed');
		next;
	}
	is($result{$_}, $expected{$_}, "$name: $_, as in the database that stayed") for sort keys %expected;
}

# A new one gets a number of its own.
is(as('shop keeper', 'plain', q{
	SELECT segmentation FROM kseg_create('third', 'SELECT account, amount FROM orders WHERE false', 'account', 3, keep => '1 day');
	SELECT id > (SELECT max(id) FROM kseg_segmentations WHERE name <> 'third') FROM kseg_segmentations WHERE name = 'third';
	SELECT kseg_drop('third');
	SELECT kseg_drop('accounts');
	SELECT to_regclass('accounts_segments') IS NULL}), "third\nt\n\n\nt", 'segmentations come and go in a restored database');
ask('plain', 'DROP EXTENSION kseg CASCADE');
is(ask('plain', q{SELECT count(*) FROM pg_class WHERE relname LIKE 'kseg%'}), '0', 'DROP EXTENSION leaves nothing');

done_testing();

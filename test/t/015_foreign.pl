# A table whose partitions are on other servers, by postgres_fdw: each server
# works on its own rows, and the model is the one that all rows in memory make.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @names = ('center', 'north', 'south');
my %node;
foreach my $name (@names)
{
	$node{$name} = PostgreSQL::Test::Cluster->new($name);
	$node{$name}->init;
	$node{$name}->append_conf('postgresql.conf', 'log_statement = all');
	$node{$name}->start;
	$node{$name}->safe_psql('postgres', 'CREATE EXTENSION kseg');
}
my $center = $node{center};

sub ask
{
	return $center->safe_psql('postgres', shift);
}

# The same rows everywhere, made from numbers: no server has to copy them.
my $columns = 'id int, region text, age int, income float8, spent numeric(10,2), tier text, members int';
my $rows = q{
	SELECT i, region, 20 + (hashint4(i) & 31) + 20 * (i % 3 = 0)::int,
		CASE WHEN i % 97 <> 0 THEN sqrt((hashint4(i + 9) & 65535)::float8) + 100 * (i % 2) END,
		(hashint4(i + 5) & 1023) / 7.0,
		CASE WHEN i % 89 <> 0 THEN (ARRAY['gold', 'silver', 'none'])[1 + (i % 5 + (hashint4(i + 3) & 1)) % 3] END,
		1 + (hashint4(i + 7) & 3)
	FROM generate_series(1, 6000) AS i,
		LATERAL (SELECT (ARRAY['center', 'north', 'south', 'east'])[1 + i % 4] AS region) AS r};

foreach my $name ('north', 'south')
{
	# another order of columns than the center's
	$node{$name}->safe_psql('postgres', qq{
		CREATE TABLE customers (tier text, id int, members int, region text, age int, income float8, spent numeric(10,2));
		INSERT INTO customers (id, region, age, income, spent, tier, members)
		SELECT * FROM ($rows) AS rows WHERE region = '$name';
		ANALYZE customers;
	});
	my $host = $node{$name}->host;
	my $port = $node{$name}->port;
	ask(qq{
		CREATE EXTENSION IF NOT EXISTS postgres_fdw;
		CREATE SERVER $name FOREIGN DATA WRAPPER postgres_fdw
			OPTIONS (host '$host', port '$port', dbname 'postgres', extensions 'kseg', async_capable 'true');
		CREATE USER MAPPING FOR CURRENT_USER SERVER $name;
	});
}

ask(qq{
	CREATE TABLE customers ($columns) PARTITION BY LIST (region);
	CREATE TABLE customers_center PARTITION OF customers FOR VALUES IN ('center');
	CREATE FOREIGN TABLE customers_north PARTITION OF customers FOR VALUES IN ('north')
		SERVER north OPTIONS (table_name 'customers');
	CREATE FOREIGN TABLE customers_south (gone text, $columns)
		SERVER south OPTIONS (table_name 'customers');
	ALTER FOREIGN TABLE customers_south DROP COLUMN gone;
	ALTER TABLE customers ATTACH PARTITION customers_south FOR VALUES IN ('south');
	CREATE TABLE customers_east PARTITION OF customers FOR VALUES IN ('east');
	INSERT INTO customers SELECT * FROM ($rows) AS rows WHERE region IN ('center', 'east');
	ANALYZE customers_center, customers_east, customers_north, customers_south;
	CREATE TABLE local_customers AS SELECT * FROM customers;
});
is(ask('SELECT count(*) FROM local_customers'), '6000', 'all rows are there');

# What a server was asked for since the log was that long.
sub asked
{
	my ($name, $from) = @_;
	return slurp_file($node{$name}->logfile, $from);
}

my %options = (
	'defaults' => '{}',
	'one chain' => '{"n_init": 1}',
	'minmax' => '{"scale": "minmax"}',
	'maxabs' => '{"scale": "maxabs"}',
	'none' => '{"scale": "none"}',
	'robust' => '{"scale": "robust"}',
	'clip' => '{"clip": [0.05, 0.9]}',
	'nulls' => '{"nulls": "mean"}',
	'weights' => '{"weights": {"age": 3}}');
my $select = 'SELECT age, income, spent, tier FROM';
foreach my $name (sort keys %options)
{
	my $is_same = ask(qq{
		SELECT kseg_fit('$select customers', 4, '$options{$name}') =
			kseg_fit('$select local_customers', 4, '$options{$name}')});
	is($is_same, 't', "same model: $name");
}
is(ask(q{SELECT kseg_fit('SELECT age, income, spent FROM customers', 4, '{"distance": "cosine"}') =
	kseg_fit('SELECT age, income, spent FROM local_customers', 4, '{"distance": "cosine"}')}),
	't', 'same model: cosine');
is(ask(q{SELECT kseg_fit('SELECT age, income, members FROM customers', 4, '{"row_weight": "members"}') =
	kseg_fit('SELECT age, income, members FROM local_customers', 4, '{"row_weight": "members"}')}),
	't', 'same model: rows with weights');
is(ask(q{SELECT kseg_fit('SELECT ARRAY[age, income]::float8[] FROM customers', 4) =
	kseg_fit('SELECT ARRAY[age, income]::float8[] FROM local_customers', 4)}),
	't', 'same model: an array');
is(ask(q{SELECT kseg_fit('SELECT ARRAY[age, income]::float8[] FROM customers WHERE region <> $$center$$', 4) =
	kseg_fit('SELECT ARRAY[age, income]::float8[] FROM local_customers WHERE region <> $$center$$', 4)}),
	't', 'same model: an array, and no row on the first server');
is(ask(q{SELECT kseg_fit('SELECT age, income FROM ONLY customers', 4) IS NULL}),
	't', 'ONLY: the table itself has no rows');
is(ask(q{SELECT kseg_fit('SELECT age, income FROM customers AS c(id, region, age, income)', 4) =
	kseg_fit('SELECT age, income FROM local_customers', 4)}),
	't', 'same model: other names for the columns');
is(ask(qq{SELECT count(*) FROM
	(SELECT e FROM kseg_elbow('$select customers', 1, 5) AS e EXCEPT
	 SELECT e FROM kseg_elbow('$select local_customers', 1, 5) AS e) AS differing}),
	'0', 'same elbow');
is(ask(qq{SELECT count(*) FROM
	(SELECT kseg_fit('$select local_customers', 4) AS model) AS m,
	LATERAL (SELECT e FROM kseg_evaluate(model, '$select customers') AS e EXCEPT
	 SELECT e FROM kseg_evaluate(model, '$select local_customers') AS e) AS differing}),
	'0', 'same measures');
is(ask(q{SELECT kseg_fit('SELECT upper(tier), spent * 2, income AS i FROM customers WHERE age > 30 ORDER BY 1', 3) =
	kseg_fit('SELECT upper(tier), spent * 2, income AS i FROM local_customers WHERE age > 30', 3)}),
	't', 'same model of expressions and a condition');

# The servers were asked for states, and for no rows.
my $offset = -s $node{south}->logfile;
ask("SELECT kseg_fit('$select customers', 4)");
my $log = asked('south', $offset);
like($log, qr/DECLARE c\d+ CURSOR FOR\s+SELECT public\.kseg_accum\(public\.kseg_point\(\$1::public\.kseg_pass/s, 'a server computes the states itself');
unlike($log, qr/SELECT age, income, spent, tier FROM public\.customers/, 'and sends no rows');

# States that somebody changed on the way do no harm.  ("Parameters" from 17 on.)
my @passes = $log =~ /parameters: \$1 = '([A-Za-z0-9+\/=]+)'/gi;
my $pass = $passes[-1];
my $damaged = ask(qq{
	CREATE TABLE outcomes (outcome text);
	DO \$\$
	DECLARE
		pass kseg_pass := '$pass';
		state kseg_state := (SELECT kseg_accum(kseg_point(pass, age, income, spent, tier)) FROM local_customers);
		bytes bytea := decode(state::text, 'base64');
		changed text;
	BEGIN
		FOR i IN 1 .. 400 LOOP
			changed := translate(encode(CASE i % 4 WHEN 0 THEN substr(bytes, 1, (i * 7919) % length(bytes))
				ELSE set_byte(bytes, CASE i % 2 WHEN 0 THEN i % 48 ELSE (i * 7919) % length(bytes) END, (i * 31) % 256) END,
				'base64'), E'\\n', '');
			BEGIN
				PERFORM kseg_merge(s) FROM
					(SELECT kseg_accum(kseg_point(pass, age, income, spent, tier)) FROM local_customers WHERE id < 10
					 UNION ALL SELECT changed::kseg_state) AS states (s);
				INSERT INTO outcomes VALUES ('merged');
			EXCEPTION WHEN OTHERS THEN
				INSERT INTO outcomes VALUES (SQLSTATE);
			END;
		END LOOP;
	END \$\$;
	SELECT count(*) || ' ' || count(*) FILTER (WHERE outcome NOT IN ('merged', '22P03', '22000')) FROM outcomes;
});
is($damaged, '400 0', 'changed states are refused, or as good as others');

# A query that cannot be taken apart gives the same all the same.
is(ask(qq{SELECT kseg_fit('$select customers ORDER BY id LIMIT 1000', 4, '{"engine": "pushdown"}') =
	kseg_fit('$select local_customers ORDER BY id LIMIT 1000', 4)}), 't', 'LIMIT');
is(ask(q{SELECT kseg_fit('SELECT age, sum(members) FROM customers GROUP BY age', 4, '{"engine": "pushdown"}') =
	kseg_fit('SELECT age, sum(members) FROM local_customers GROUP BY age', 4)}), 't', 'GROUP BY');

# Without the option "extensions" postgres_fdw does not know that the server
# has kseg; then rows are read once, as ever.
ask('ALTER SERVER south OPTIONS (DROP extensions)');
$offset = -s $node{south}->logfile;
is(ask(qq{SELECT kseg_fit('$select customers', 4) = kseg_fit('$select local_customers', 4)}), 't', 'without the option');
unlike(asked('south', $offset), qr/kseg_accum/, 'nothing is pushed down then');
ask(q{ALTER SERVER south OPTIONS (ADD extensions 'kseg')});

# Who may read the table, but not its partitions, gets the rows of the table.
ask(q{
	CREATE ROLE analyst LOGIN;
	GRANT SELECT ON customers TO analyst;
	CREATE USER MAPPING FOR analyst SERVER north OPTIONS (user 'postgres', password_required 'false');
	CREATE USER MAPPING FOR analyst SERVER south OPTIONS (user 'postgres', password_required 'false');
} =~ s/'postgres'/"'" . getpwuid($>) . "'"/ger);
is($center->safe_psql('postgres', "SELECT (kseg_info(kseg_fit('SELECT age, income FROM customers', 3))).rows",
	extra_params => [ '-U', 'analyst' ]), ask('SELECT count(income) FROM customers'), 'rights on the table are enough');

# A server that fails says so.
$node{south}->stop;
my ($out, $err);
$center->psql('postgres', "SELECT kseg_fit('$select customers', 4)", stdout => \$out, stderr => \$err);
like($err, qr/could not connect to server "south"/, 'a server that is gone is missed');

done_testing();

# Rights of managed segmentations: nobody writes the registry but kseg, nobody
# sees or does more than was granted, and whoever runs another's segmentation
# lends him nothing.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
$node->safe_psql('postgres', q{
	CREATE ROLE admin LOGIN SUPERUSER;
	CREATE ROLE mallory LOGIN;
	CREATE ROLE victim LOGIN;
	CREATE ROLE bob LOGIN;
	CREATE ROLE staff;
	CREATE ROLE ann LOGIN IN ROLE staff;
	CREATE ROLE aloof LOGIN NOINHERIT IN ROLE staff;
	CREATE ROLE deputy LOGIN IN ROLE victim;
	CREATE DATABASE shop;
});

# One session as the role; with messages and SQLSTATEs.
sub as
{
	my ($role, $sql) = @_;
	my ($out, $err);
	$node->psql('shop', $sql, stdout => \$out, stderr => \$err,
		extra_params => [ '-U', $role, '-v', 'VERBOSITY=verbose' ],
		on_error_stop => 1);
	# where in our source it was raised tells nothing
	$err =~ s/^LOCATION:.*\n?//mg;
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

works('admin', q{
	CREATE SCHEMA lib;
	CREATE EXTENSION kseg SCHEMA lib;
	GRANT USAGE ON SCHEMA lib TO PUBLIC;
	CREATE SCHEMA m AUTHORIZATION mallory;
	CREATE SCHEMA v AUTHORIZATION victim;
	-- as careless as before PostgreSQL 15
	GRANT ALL ON SCHEMA public TO PUBLIC;
	ALTER DATABASE shop SET search_path = public, lib;
	ALTER DATABASE shop SET client_min_messages = warning;
}, '', 'schemas');

works('victim', q{
	CREATE TABLE v.customers (id int PRIMARY KEY, a int, region text, segment int);
	INSERT INTO v.customers SELECT i, i % 7 + i / 50 * 100, 'r' || i % 2, NULL FROM generate_series(1, 100) AS i;
	SET search_path = v, lib;
	SELECT writes_to FROM kseg_create('sales', 'SELECT id, a FROM customers', 'id', 2, target => 'customers');
	SELECT action FROM kseg_run('sales');
	SELECT count(segment) FROM customers;
}, "v.customers.segment\nrefit\n100", 'a segmentation of the victim');

# ---- nobody writes the registry ----

my @relations = split /\n/, $node->safe_psql('shop', q{
	SELECT c.relkind, c.oid::regclass
	FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.objid
	WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e' AND
		c.relkind IN ('r', 'S', 'v')
	ORDER BY c.relname}, extra_params => [ '-c', 'SET search_path = pg_catalog' ]);
my %count;
foreach (@relations)
{
	my ($kind, $name) = split /\|/;
	my @attempts;

	$name = "lib.$name" unless $name =~ /^lib\./;
	$count{$kind}++;
	@attempts = (
		"SELECT setval('$name', 1000)", "SELECT nextval('$name')",
		"ALTER SEQUENCE $name RESTART", "DROP SEQUENCE $name")
	  if $kind eq 'S';
	@attempts = (
		"INSERT INTO $name DEFAULT VALUES", "DELETE FROM $name",
		"DROP VIEW $name", "ALTER VIEW $name RENAME TO mine")
	  if $kind eq 'v';
	@attempts = (
		"INSERT INTO $name DEFAULT VALUES", "DELETE FROM $name",
		"UPDATE $name SET segmentation = segmentation", "TRUNCATE $name CASCADE",
		"COPY $name FROM STDIN",
		"ALTER TABLE $name DISABLE ROW LEVEL SECURITY",
		"ALTER TABLE $name OWNER TO victim", "DROP TABLE $name CASCADE",
		"CREATE POLICY mine ON $name USING (true)", "CREATE INDEX ON $name ((1))",
		"CREATE TRIGGER mine BEFORE INSERT ON $name FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
		"CREATE RULE mine AS ON INSERT TO $name DO INSTEAD NOTHING",
		"SELECT * FROM $name FOR UPDATE", "BEGIN; LOCK TABLE $name IN SHARE MODE",
		"ALTER EXTENSION kseg DROP TABLE $name")
	  if $kind eq 'r';
	s/segmentation = segmentation/id = id/ foreach $name =~ /kseg_segmentations$/ ? @attempts : ();
	foreach my $sql (@attempts)
	{
		fails('victim', $sql, qr/ERROR:  (42501: (permission denied|must be owner)|55000: cannot (insert|delete))/,
			"refused: $sql");
	}
	next if $kind ne 'r';
	is($node->safe_psql('shop', "SELECT relrowsecurity FROM pg_class WHERE oid = '$name'::regclass"),
		't', "$name has row-level security");
}
cmp_ok($count{r}, '>=', 10, 'all tables were tried');
cmp_ok($count{S}, '>=', 2, 'and sequences');
cmp_ok($count{v}, '>=', 3, 'and views');
fails('victim', "UPDATE lib.kseg_segmentations SET owner = 'admin'", qr/42501: permission denied/,
	'the owner of a segmentation cannot be set');

# ---- what is granted, and what is not ----

# What a role sees and may do of the victim's segmentation: the tables and
# views in which it finds rows, and each function's outcome.
my $look = q{
	SELECT count(*) || ' ' || (SELECT count(*) FROM lib.kseg_models) || ' ' ||
		(SELECT count(*) FROM lib.kseg_baselines WHERE feature = 'a') || ' ' ||
		(SELECT count(*) FROM lib.kseg_sizes WHERE run = 1) || ' ' ||
		(SELECT count(*) FROM lib.kseg_history WHERE valid_to IS NULL) || ' ' ||
		(SELECT count(*) FROM lib.kseg_current) || ' ' ||
		(SELECT count(DISTINCT segment) FROM lib.kseg_latest_profile) || ' ' ||
		(SELECT count(*) FROM lib.kseg_segment_sizes WHERE run_id = 1)
	FROM lib.kseg_segmentations};
my $nothing = '0 0 0 0 0 0 0 0';
my $all = '1 1 1 2 100 100 2 2';
my %calls = (
	migration => "SELECT sum(customers) FROM lib.kseg_migration('sales', '-infinity')",
	run => "SELECT action FROM lib.kseg_run('sales')",
	drift => "SELECT count(*) FROM lib.kseg_drift('sales')",
	label => "SELECT lib.kseg_label('sales', 1, 'mine')",
	rollback => "SELECT action FROM lib.kseg_rollback('sales', 1)",
	alter => "SELECT lib.kseg_alter('sales', hysteresis => 0.2)",
	grant => "SELECT lib.kseg_grant('sales', 'public', 'edit')",
	revoke => "SELECT lib.kseg_revoke('sales', 'staff')",
	drop => "SELECT lib.kseg_drop('sales')");
my %level = (migration => 1, run => 2, drift => 2, label => 3, rollback => 3,
	alter => 4, grant => 4, revoke => 4, drop => 4);

sub may
{
	my ($role, $right, $name) = @_;

	works($role, $look, $right > 0 ? $all : $nothing, "$name: what is seen");
	foreach my $call (sort keys %calls)
	{
		my ($out, $err) = as($role, "BEGIN; $calls{$call}; ROLLBACK");
		if ($level{$call} <= $right)
		{
			is($err, '', "$name: may $call");
		}
		elsif ($right > 0)
		{
			like($err, qr/42501: permission denied for segmentation "sales"/, "$name: may not $call");
		}
		else
		{
			like($err, qr/42704: segmentation "sales" does not exist/, "$name: does not know of it ($call)");
		}
	}
}

may('bob', 0, 'without a grant');
may('victim', 4, 'the owner');
may('admin', 4, 'a superuser');
may('deputy', 4, 'a member of the owner');
works('victim', "SELECT kseg_grant('sales', 'bob')", '', 'grant read');
may('bob', 1, 'read');
works('victim', "SELECT kseg_grant('sales', 'bob', 'run')", '', 'grant run');
may('bob', 2, 'run');
works('victim', "SELECT kseg_grant('sales', 'bob', 'edit')", '', 'grant edit');
may('bob', 3, 'edit');
may('ann', 0, 'another role');
works('bob', 'SELECT grantee, privilege, grantor FROM lib.kseg_grants', 'bob|edit|victim', 'one sees what one was granted');
works('ann', 'SELECT count(*) FROM lib.kseg_grants', '0', 'and nothing else');
works('victim', 'SELECT count(*) FROM lib.kseg_grants', '1', 'the owner sees all');
works('deputy', "SELECT kseg_revoke('sales', 'bob')", '', 'revoke');
may('bob', 0, 'after it was revoked');
works('admin', "SELECT kseg_grant('sales', 'staff', 'run')", '', 'grant to a group');
works('victim', 'SELECT grantee, grantor FROM lib.kseg_grants', 'staff|victim', 'the owner is the grantor, whoever does it');
may('ann', 2, 'a member of the group');
may('aloof', 0, 'a member that does not inherit');
works('victim', "SELECT kseg_grant('sales', 'public')", '', 'grant to everybody');
may('bob', 1, 'public');
may('ann', 2, 'public beside the group');
works('victim', "SELECT kseg_revoke('sales', 'staff'), kseg_revoke('sales', 'public')", '|', 'revoke all');
may('ann', 0, 'after all was revoked');
# the table itself is another matter
fails('bob', 'SELECT * FROM v.customers', qr/42501: permission denied/, 'no grant reaches the table');
fails('bob', "SELECT kseg_create('sales', 'SELECT 1 AS id, 2 AS a', 'id')", qr/42710: segmentation "sales" already exists/,
	'its name is taken all the same');

# ---- the attacker's segmentation, run by others ----

# m.attack() does what it finds in m.plan, when somebody else is logged in, and
# notes what came of it and as whom.  m.payload() is what the attacker would
# like others to run: it takes what it can.
works('mallory', q{
	CREATE TABLE m.plan (number int GENERATED ALWAYS AS IDENTITY, sql text);
	CREATE TABLE m.log (place text, who name, sql text, outcome text);
	CREATE TABLE m.stolen (who name, place text);
	CREATE FUNCTION m.payload(place text) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		IF current_user <> 'mallory' THEN
			INSERT INTO m.stolen VALUES (current_user, place);
		END IF;
		IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
			ALTER ROLE mallory SUPERUSER;
		END IF;
		RETURN true;
	END $$;
	GRANT ALL ON SCHEMA m TO PUBLIC;
	GRANT ALL ON m.stolen TO PUBLIC;
	CREATE FUNCTION m.attack(place text) RETURNS int LANGUAGE plpgsql AS $$
	DECLARE
		step text;
		outcome text;
	BEGIN
		-- once a place; what it sets is undone with the operation
		IF session_user = 'mallory' OR current_setting('m.' || place, true) = 'done' THEN
			RETURN 0;
		END IF;
		PERFORM set_config('m.' || place, 'done', false);
		PERFORM m.payload(place);
		FOR step IN SELECT sql FROM m.plan ORDER BY number LOOP
			outcome := 'done';
			BEGIN
				EXECUTE step;
			EXCEPTION WHEN OTHERS THEN
				outcome := SQLSTATE;
			END;
			INSERT INTO m.log VALUES (place, current_user, step, outcome);
		END LOOP;
		INSERT INTO m.log VALUES (place, current_user, 'attacked', 'done');
		RETURN 0;
	END $$;
	CREATE FUNCTION m.deferred() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM m.payload('deferred');
		RETURN NULL;
	END $$;
	CREATE TABLE m.late (a int);
	CREATE CONSTRAINT TRIGGER late AFTER INSERT ON m.late DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION m.deferred();
	CREATE TABLE m.later (a int);
	CREATE CONSTRAINT TRIGGER later AFTER INSERT ON m.later DEFERRABLE INITIALLY IMMEDIATE
		FOR EACH ROW EXECUTE FUNCTION m.deferred();
	-- trigger, index, domain and policy of the target call it, too
	CREATE FUNCTION m.on_update() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM m.attack('trigger');
		RETURN NEW;
	END $$;
	CREATE FUNCTION m.indexed(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN
		RETURN coalesce($1, 0) + m.attack('index');
	END $$;
	CREATE FUNCTION m.checked(int) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		RETURN m.attack('domain') = 0;
	END $$;
	CREATE DOMAIN m.number AS int CHECK (m.checked(VALUE));
	CREATE TABLE m.customers (id int PRIMARY KEY, a int, segment m.number);
	INSERT INTO m.customers SELECT i, i % 5 + i / 20 * 100 FROM generate_series(1, 40) AS i;
	CREATE VIEW m.view AS SELECT id, a FROM m.customers;
	SELECT kseg_create('trap', 'SELECT id, a + (SELECT m.attack(''query'')) AS a FROM m.view',
		'id', 2, target => 'm.customers');
}, '(trap,40,0,a,m.customers.segment)', 'the trap');
works('mallory', q{
	CREATE INDEX ON m.customers (m.indexed(segment));
	CREATE TRIGGER on_update BEFORE UPDATE ON m.customers FOR EACH ROW EXECUTE FUNCTION m.on_update();
	ALTER TABLE m.customers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
	CREATE POLICY p ON m.customers USING (m.attack('policy') = 0);
	-- a view swapped in when the segmentation is there
	CREATE OR REPLACE VIEW m.view AS SELECT id, a + (SELECT m.attack('view')) AS a FROM m.customers;
}, '', 'armed');

# What the attacker may do as himself is done; the rest must not be.
my %allowed = map { $_ => 1 } ('attacked', 'INSERT INTO m.log VALUES ()',
	"SELECT set_config('search_path', 'm', false)", "SELECT set_config('kseg.work_mem', '64MB', false)",
	"SELECT set_config('my.own', 'left behind', false)", 'SET SESSION statement_timeout = 1',
	'ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC');
my @plan = (
	'ALTER ROLE mallory SUPERUSER', 'CREATE ROLE evil SUPERUSER LOGIN', 'GRANT admin TO mallory',
	'GRANT pg_execute_server_program TO mallory', 'ALTER ROLE admin PASSWORD NULL',
	'SET ROLE admin', 'SET LOCAL ROLE admin', 'SET ROLE NONE', 'RESET ROLE',
	'SET SESSION AUTHORIZATION admin', 'SET SESSION AUTHORIZATION DEFAULT', 'RESET SESSION AUTHORIZATION',
	"SELECT set_config('role', 'admin', false)", "SELECT set_config('role', 'none', true)",
	"SELECT set_config('session_authorization', 'admin', false)",
	"SELECT set_config('session_replication_role', 'replica', false)",
	'SELECT * FROM v.customers', 'UPDATE v.customers SET segment = 1', 'DROP TABLE v.customers',
	"UPDATE lib.kseg_segmentations SET owner = 'admin'",
	"INSERT INTO lib.kseg_grants VALUES (1, 'mallory', 'edit', 'victim')",
	'DELETE FROM lib.kseg_runs', "SELECT setval('lib.kseg_runs_id_seq', 1)",
	"SELECT nextval('lib.kseg_segmentations_id_seq')",
	'CREATE TEMPORARY TABLE customers (id int)', 'CREATE TEMPORARY VIEW pg_class AS SELECT m.payload(1)',
	"CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (m.payload('type'))",
	"CREATE DOMAIN pg_temp.int8 AS pg_catalog.int4 CHECK (m.payload('type'))",
	"DECLARE c CURSOR WITH HOLD FOR SELECT m.payload('cursor')",
	"PREPARE p AS SELECT m.payload('prepared')", 'DEALLOCATE ALL', 'DISCARD ALL', 'LISTEN mallory', 'CLOSE ALL',
	'INSERT INTO m.late VALUES (1)', 'SET CONSTRAINTS ALL DEFERRED; INSERT INTO m.later VALUES (1)',
	"COPY m.log TO PROGRAM 'true'", "COPY m.log FROM '/etc/passwd'", "SELECT pg_read_file('/etc/passwd')",
	'ALTER SYSTEM SET work_mem = 1', 'ALTER DATABASE shop SET search_path = m', 'ALTER ROLE admin SET search_path = m',
	'ALTER DEFAULT PRIVILEGES FOR ROLE admin GRANT ALL ON TABLES TO PUBLIC',
	'CREATE EVENT TRIGGER t ON ddl_command_start EXECUTE FUNCTION m.deferred()',
	'COMMIT', 'ROLLBACK', 'VACUUM m.customers',
	"SELECT lib.kseg_create('more', 'SELECT 1 AS id, 2 AS a', 'id')", "SELECT lib.kseg_alter('sales', k => 3)",
	"SELECT lib.kseg_grant('sales', 'mallory', 'edit')", "SELECT lib.kseg_revoke('sales', 'victim')",
	"SELECT lib.kseg_grant('trap', 'victim')", "SELECT lib.kseg_label('sales', 1, 'mine')",
	"SELECT lib.kseg_label('trap', 1, 'mine')",
	"SELECT lib.kseg_run('sales')", "SELECT lib.kseg_run('trap')", "SELECT lib.kseg_rollback('sales', 1)",
	"SELECT lib.kseg_rollback('trap')", "SELECT lib.kseg_drift('sales')", "SELECT lib.kseg_drop('sales')",
	"SELECT lib.kseg_drop('trap')",
	# done, but undone with the operation
	"SELECT set_config('search_path', 'm', false)", "SELECT set_config('kseg.work_mem', '64MB', false)",
	"SELECT set_config('my.own', 'left behind', false)",
	# done, as oneself
	'ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC');
# Servers before 15.20 let REFRESH MATERIALIZED VIEW, too, make types in the
# session's temporary schema: nothing that an extension could forbid.
my ($has_hole) = as('mallory', q{
	BEGIN;
	CREATE FUNCTION m.make_type() RETURNS int LANGUAGE plpgsql AS
		'BEGIN CREATE DOMAIN pg_temp.probe AS int; RETURN 1; EXCEPTION WHEN OTHERS THEN RETURN 0; END';
	CREATE MATERIALIZED VIEW m.probe AS SELECT m.make_type() AS made;
	SELECT made FROM m.probe;
	ROLLBACK;});
if ($has_hole eq '1')
{
	diag('this server lets security-restricted operations make temporary types');
	@plan = grep { !/CREATE DOMAIN pg_temp/ } @plan;
}
works('mallory', join("\n", map { "INSERT INTO m.plan (sql) VALUES (\$plan\$$_\$plan\$);" } @plan), '', 'the plan');

# What the session of whoever ran it is like afterwards.
my $after = q{
	SELECT current_user, session_user, current_setting('search_path'), current_setting('kseg.work_mem'),
		coalesce(current_setting('my.own', true), ''), current_setting('role'),
		(SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_cursors),
		(SELECT count(*) FROM pg_listening_channels()),
		(SELECT count(*) FROM pg_class WHERE relpersistence = 't'),
		(SELECT count(*) FROM pg_type WHERE typnamespace = pg_my_temp_schema());
	SELECT 'a'::text, 1::int8, count(*) > 0 FROM pg_class;
};
my $harmless = '|"$user", mine|128MB|kept|none|0|0|0|0|0';

sub spring
{
	my ($role, $call, $outcome, $name) = @_;
	my ($out, $err);
	my @places;

	works('mallory', 'DELETE FROM m.log; DELETE FROM m.late; DELETE FROM m.later', '', "$name: ready");
	# twice: in one transaction with what comes before and after, and alone
	foreach my $transaction ([ 'BEGIN;', 'COMMIT;' ], [ '', '' ])
	{
		($out, $err) = as($role, qq{
			SET search_path = "\$user", mine; SET kseg.work_mem = '128MB'; SET my.own = 'kept';
			$transaction->[0] $call; $transaction->[1]
			$after});
		my ($result, $rest) = $out =~ /\A(.*?)\n?(\Q$role|$role|\E.*)\z/s;
		is($err, '', "$name: no error");
		is($result, $outcome, "$name: outcome") if defined $outcome;
		is($rest, "$role|$role$harmless\na|1|t", "$name: the session is as before");
	}
	is($node->safe_psql('shop', 'SELECT * FROM m.stolen'), '', "$name: nothing ran with other rights");
	is($node->safe_psql('shop', q{SELECT DISTINCT who FROM m.log}), 'mallory', "$name: all ran as the owner");
	is($node->safe_psql('shop', q{SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'}), 'f', "$name: no superuser");
	foreach my $line (split /\n/, $node->safe_psql('shop', "SELECT DISTINCT sql, outcome FROM m.log ORDER BY 1"))
	{
		my ($sql, $what) = $line =~ /^(.*)\|(.*)$/;
		ok($what ne 'done' || $allowed{$sql}, "$name: $sql: $what");
	}
	return $node->safe_psql('shop', q{SELECT string_agg(DISTINCT place, ' ' ORDER BY place) FROM m.log});
}

is(spring('admin', "SELECT action FROM lib.kseg_run('trap', 'dry')", 'dry', 'dry run by a superuser'),
	'policy query view', 'the query was sprung');
is(spring('admin', "SELECT action FROM lib.kseg_run('trap', 'refit')", 'refit', 'refit by a superuser'),
	'domain index policy query trigger view', 'the target was sprung as well');
is(spring('admin', "SELECT action FROM lib.kseg_run('trap')", 'score', 'run by a superuser'),
	'policy query view', 'a run that writes nothing');
is(spring('admin', "SELECT count(*) > 0 FROM lib.kseg_drift('trap')", 't', 'drift by a superuser'),
	'policy query view', 'drift was sprung');
is(spring('admin', "UPDATE m.customers SET segment = NULL WHERE false; SELECT action FROM lib.kseg_rollback('trap', 1)",
		'rollback', 'rollback by a superuser'),
	'policy query view', 'rollback was sprung');
is(spring('admin', "SELECT rows FROM lib.kseg_alter('trap', hysteresis => 0.3)", '40', 'alter by a superuser'),
	'policy query view', 'alter was sprung');
is(spring('admin', "SELECT rows FROM lib.kseg_alter('trap', 'SELECT id, a + m.attack(''query'') AS a FROM m.view')", '40',
		'another query by a superuser'),
	'policy query view', 'and the new query');
works('mallory', "SELECT kseg_grant('trap', 'public', 'edit')", '', 'all are invited');
is(spring('bob', "SELECT action FROM lib.kseg_run('trap', 'refit')", 'refit', 'refit by another user'),
	'policy query view', 'another user springs it');
spring('bob', "SELECT action FROM lib.kseg_rollback('trap', 1)", 'rollback', 'rollback by another user');
spring('victim', "SELECT count(*) > 0 FROM lib.kseg_drift('trap')", 't', 'drift by another user');
is($node->safe_psql('shop', 'SELECT count(segment) FROM v.customers'), '100', 'the victim has lost nothing');

# analysis and planning run functions, too: a literal of a domain, a constant
# that is folded
works('mallory', q{
	CREATE FUNCTION m.folded(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN
		RETURN m.attack('planner');
	END $$;
	CREATE TYPE m.pair AS (n m.number);
	SELECT rows FROM kseg_alter('trap', 'SELECT id, a + m.folded(1) + coalesce((''(1)''::m.pair).n, 1) AS a FROM m.customers');
}, '40', 'a query that attacks before it runs');
like(spring('admin', "SELECT action FROM lib.kseg_run('trap', 'refit')", undef, 'analysis by a superuser'),
	qr/domain.* planner/, 'analysis and planning were sprung');

# an error that somebody catches leaves him who he is
works('mallory', q{
	CREATE FUNCTION m.failing() RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		IF session_user <> 'mallory' THEN
			RAISE EXCEPTION 'caught?';
		END IF;
		RETURN 0;
	END $$;
	SELECT rows FROM kseg_create('failing', 'SELECT id, a + (SELECT m.failing()) AS a FROM m.customers', 'id', 2);
	SELECT action FROM kseg_run('failing');
}, "40\nrefit", 'a query that fails for others');
works('admin', q{
	SET search_path = mine;
	DO $$
	BEGIN
		PERFORM lib.kseg_run('failing');
	EXCEPTION WHEN raise_exception THEN
		INSERT INTO m.stolen SELECT current_user WHERE current_user <> 'admin' OR current_setting('search_path') <> 'mine';
	END $$;
	SELECT current_user, current_setting('search_path');
	SELECT count(*) FROM m.stolen;
}, "admin|mine\n0", 'a caught error ends the operation');

# ---- deferred triggers of the target ----

works('mallory', q{
	DELETE FROM m.plan;
	CREATE TABLE m.orders (id int PRIMARY KEY, a int, segment int);
	INSERT INTO m.orders SELECT i, i FROM generate_series(1, 20) AS i;
	SELECT rows FROM kseg_create('orders', 'SELECT id, a FROM m.orders', 'id', 2, target => 'm.orders');
	CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON m.orders DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION m.deferred();
}, '20', 'a deferred trigger on the target');
fails('admin', "SELECT kseg_run('orders')", qr/42501: cannot fire deferred trigger within security-restricted operation/,
	'is not put off until the superuser commits');
works('mallory', q{
	DROP TRIGGER late ON m.orders;
	CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON m.orders DEFERRABLE INITIALLY IMMEDIATE
		FOR EACH ROW EXECUTE FUNCTION m.deferred();
}, '', 'one that may be deferred');
fails('admin', "BEGIN; SET CONSTRAINTS ALL DEFERRED; SELECT kseg_run('orders'); COMMIT",
	qr/42501: cannot fire deferred trigger/, 'nor when the caller defers');
works('mallory', q{
	DROP TRIGGER late ON m.orders;
	CREATE FUNCTION m.elsewhere() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO m.late VALUES (1);
		RETURN NULL;
	END $$;
	CREATE TRIGGER elsewhere AFTER UPDATE ON m.orders FOR EACH STATEMENT EXECUTE FUNCTION m.elsewhere();
}, '', 'a trigger that writes where one is deferred');
fails('admin', "SELECT kseg_run('orders')", qr/42501: cannot fire deferred trigger/, 'nor that one');
is($node->safe_psql('shop', 'SELECT count(*) FROM m.stolen'), '0', 'nothing was stolen');

# ---- another table in the target's place ----

works('mallory', q{
	DROP TABLE m.orders;
	CREATE TABLE m.orders_2 (id int PRIMARY KEY, a int, segment int);
	INSERT INTO m.orders_2 SELECT i, i FROM generate_series(1, 20) AS i;
	CREATE VIEW m.orders AS SELECT * FROM m.orders_2;
	CREATE FUNCTION m.instead() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM m.payload('view');
		RETURN NEW;
	END $$;
	CREATE TRIGGER instead INSTEAD OF UPDATE ON m.orders FOR EACH ROW EXECUTE FUNCTION m.instead();
}, '', 'a view in its place');
fails('admin', "SELECT kseg_run('orders')", qr/ERROR:  42P01/, 'is not the target');
works('admin', "SELECT kseg_drop('orders')", '', 'the segmentation can be dropped all the same');
works('mallory', q{
	CREATE TABLE m.ruled (id int PRIMARY KEY, a int, segment int);
	INSERT INTO m.ruled SELECT i, i FROM generate_series(1, 20) AS i;
	SELECT rows FROM kseg_create('ruled', 'SELECT id, a FROM m.ruled', 'id', 2, target => 'm.ruled');
	CREATE RULE attack AS ON UPDATE TO m.ruled DO ALSO INSERT INTO m.stolen SELECT current_user, 'rule'
		WHERE current_user <> 'mallory';
	CREATE RULE more AS ON UPDATE TO m.ruled DO ALSO SELECT m.payload('rule');
}, '20', 'rules on the target');
as('admin', "SELECT kseg_run('ruled')");
is($node->safe_psql('shop', 'SELECT count(*) FROM m.stolen'), '0', 'rules run as the owner');

# A table of its own that was given away, or put in a schema of another's:
# the superuser drops with the owner's rights.
works('mallory', "SELECT rows FROM kseg_create('own', 'SELECT id, a FROM m.ruled', 'id', 2)", '20', 'a table of its own');
works('admin', q{
	ALTER TABLE public.own_segments OWNER TO victim;
	SET client_min_messages = error;
	SELECT kseg_drop('own');
	SELECT to_regclass('public.own_segments');
}, "\nown_segments", 'a table that was given away is not dropped');

# ---- rights that the owner has lost, or never had ----

works('victim', 'GRANT SELECT, UPDATE ON v.customers TO mallory; GRANT USAGE ON SCHEMA v TO mallory', '', 'for now');
works('victim', 'ALTER TABLE v.customers ADD theirs int', '', 'a column for another');
works('mallory', "SELECT rows FROM kseg_create('guest', 'SELECT id, a FROM v.customers', 'id', 2, target => 'v.customers', segment_column => 'theirs')",
	'100', 'a guest of the table');
works('mallory', "SELECT action FROM kseg_run('guest')", 'refit', 'runs');
works('victim', 'ALTER TABLE v.customers ENABLE ROW LEVEL SECURITY;
	CREATE POLICY half ON v.customers USING (region = \'r1\')', '', 'half of the rows');
works('admin', "SELECT scored, gone FROM kseg_run('guest', 'score')", '50|50',
	'a superuser who runs it reads what the owner may');
works('victim', 'ALTER TABLE v.customers DISABLE ROW LEVEL SECURITY; REVOKE UPDATE ON v.customers FROM mallory;
	UPDATE v.customers SET theirs = NULL', '', 'no more writing');
fails('admin', "SELECT kseg_run('guest')", qr/42501: permission denied for table customers/, 'nor does a superuser write for him');
works('victim', 'REVOKE SELECT ON v.customers FROM mallory', '', 'no more reading');
fails('admin', "SELECT kseg_run('guest')", qr/42501: permission denied for table customers/, 'nor read');
fails('admin', "SELECT kseg_drift('guest')", qr/42501: permission denied for table customers/, 'nor by drift');

# ---- the other way: whoever may run it attacks the owner ----

works('victim', q{
	CREATE FUNCTION v.score(int) RETURNS int LANGUAGE plpgsql SET search_path = v, pg_temp
		AS 'BEGIN RETURN (SELECT a FROM customers WHERE id = $1); END';
	SET search_path = v, lib;
	SELECT rows FROM kseg_alter('sales', 'SELECT c.id, c.a + abs(score(c.id)) + length(c.region) AS a
		FROM customers AS c WHERE region IN (SELECT DISTINCT region FROM customers) AND id < 1000::int');
	SELECT kseg_grant('sales', 'mallory', 'edit');
}, "100\n", 'a query with many names');
works('mallory', q{
	DELETE FROM m.log;
	CREATE FUNCTION m.note(text) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		IF current_user <> 'mallory' THEN
			INSERT INTO m.stolen VALUES (current_user, $1);
		END IF;
		RETURN 1;
	END $$;
	CREATE FUNCTION m.abs(int) RETURNS int LANGUAGE sql RETURN m.note('function');
	CREATE FUNCTION public.abs(int) RETURNS int LANGUAGE sql RETURN m.note('function');
	CREATE FUNCTION public.length(text) RETURNS int LANGUAGE sql RETURN m.note('function');
	CREATE FUNCTION public.score(int) RETURNS int LANGUAGE sql RETURN m.note('function');
	CREATE FUNCTION m.plus(int, int) RETURNS int LANGUAGE sql RETURN m.note('operator');
	CREATE OPERATOR m.+ (LEFTARG = int, RIGHTARG = int, FUNCTION = m.plus);
	CREATE OPERATOR public.+ (LEFTARG = int, RIGHTARG = int, FUNCTION = m.plus);
	CREATE FUNCTION m.less(int, int) RETURNS boolean LANGUAGE sql RETURN m.note('operator') = 1;
	CREATE OPERATOR public.< (LEFTARG = int, RIGHTARG = int, FUNCTION = m.less);
	CREATE TABLE public.customers (id int, a int, region text);
	CREATE FUNCTION pg_temp.abs(int) RETURNS int LANGUAGE sql RETURN m.note('function');
	CREATE TEMPORARY VIEW customers AS SELECT id, a + m.note('temp') AS a, 'r1'::text AS region
		FROM m.customers;
	CREATE TEMPORARY VIEW kseg_segmentations AS SELECT m.note('registry') AS id;
	CREATE TEMPORARY VIEW kseg_changes AS SELECT m.note('registry') AS c1, m.note('registry') AS new;
	CREATE TEMPORARY VIEW kseg_history AS SELECT m.note('registry') AS key;
	CREATE TEMPORARY VIEW pg_class AS SELECT m.note('catalog') AS relname;
	CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (m.note(VALUE) = 1);
	CREATE DOMAIN pg_temp.int4 AS pg_catalog.int4 CHECK (m.note('type') = 1);
	SET search_path = pg_temp, m, public, lib, pg_catalog;
	SET DateStyle = 'German';
	SET transform_null_equals = on;
	SELECT action, scored FROM lib.kseg_run('sales', 'refit');
	SELECT action, scored FROM lib.kseg_run('sales', 'score');
	SELECT count(*) > 0 FROM lib.kseg_drift('sales');
	SELECT action FROM lib.kseg_rollback('sales', 1);
	SELECT lib.kseg_label('sales', 1, '''; DROP TABLE v.customers; --', 'note');
	SELECT action, scored FROM lib.kseg_run('sales', 'score');
	SELECT current_user, current_setting('search_path'), current_setting('DateStyle');
}, "refit|100\nscore|100\nt\nrollback\n\nscore|100\nmallory|pg_temp, m, public, lib, pg_catalog|German, DMY",
	'a session full of traps');
is($node->safe_psql('shop', 'SELECT DISTINCT place FROM m.stolen'), '', 'the owner fell into none');
fails('mallory', "SELECT kseg_alter('sales', 'SELECT id, m.note(''query'') AS a FROM v.customers')",
	qr/42501: permission denied for segmentation "sales"/, 'no grant says what runs');

# A function that fits a call better than the one that was meant, in the same
# schema.  The text has all casts, so only functions of any type can be hidden.
works('victim', q{
	CREATE FUNCTION public.rating(anyelement) RETURNS int LANGUAGE sql AS 'SELECT $1::int';
	CREATE FUNCTION public.near(anyelement, anyelement) RETURNS boolean LANGUAGE sql AS 'SELECT $1 = $2';
	CREATE OPERATOR public.<~ (LEFTARG = anyelement, RIGHTARG = anyelement, FUNCTION = public.near);
	SELECT rows FROM kseg_alter('sales', 'SELECT id, public.rating(a) + (a <~ 3)::int AS a FROM v.customers');
	SELECT unnest(functions) FROM kseg_segmentations WHERE name = 'sales';
}, "100\npublic.near(pg_catalog.anyelement,pg_catalog.anyelement)\npublic.rating(pg_catalog.anyelement)", 'functions and operators in a schema of all');
foreach my $capture ([ 'CREATE FUNCTION public.rating(int) RETURNS int LANGUAGE sql RETURN m.note(\'overload\')',
		'public.rating(integer)', 'DROP FUNCTION public.rating(int)' ],
	[ 'CREATE OPERATOR public.<~ (LEFTARG = int, RIGHTARG = int, FUNCTION = m.less)',
		'm.less(integer,integer)', 'DROP OPERATOR public.<~ (int, int)' ],
	[ 'CREATE OPERATOR public.<~ (LEFTARG = int, RIGHTARG = int, FUNCTION = pg_catalog.int4ge)',
		'pg_catalog.int4ge(integer,integer)', 'DROP OPERATOR public.<~ (int, int)' ])
{
	my ($create, $function, $drop) = @$capture;
	my $error = qr/42725: query of segmentation "sales" would now call \Q$function\E/;

	works('mallory', $create, '', 'one that fits better');
	fails('victim', "SELECT kseg_run('sales')", $error, 'is not called by a run');
	fails('victim', "SELECT kseg_run('sales', 'refit')", $error, 'nor by a refit');
	fails('victim', "SELECT kseg_drift('sales')", $error, 'nor by drift');
	fails('victim', "SELECT kseg_rollback('sales', 1)", $error, 'nor by a rollback');
	fails('victim', "SELECT kseg_alter('sales', k => 3)", $error, 'nor when something else changes');
	works('mallory', $drop, '', 'it goes');
}
works('victim', "SELECT scored FROM kseg_run('sales')", '100', 'then it runs again');

# the same where a value is compared with an array
works('victim', q{
	SELECT rows FROM kseg_alter('sales', 'SELECT id, a + (a <~ ANY (ARRAY[3, 4]))::int AS a FROM v.customers');
	SELECT unnest(functions) FROM kseg_segmentations WHERE name = 'sales';
}, "100\npublic.near(pg_catalog.anyelement,pg_catalog.anyelement)", 'an operator before ANY');
works('mallory', 'CREATE OPERATOR public.<~ (LEFTARG = int, RIGHTARG = int, FUNCTION = m.less)', '', 'one that fits better');
fails('victim', "SELECT kseg_run('sales')",
	qr/42725: query of segmentation "sales" would now call \Qm.less(integer,integer)\E/, 'is not called by a run');
works('mallory', 'DROP OPERATOR public.<~ (int, int)', '', 'it goes');
is($node->safe_psql('shop', 'SELECT DISTINCT place FROM m.stolen'), '', 'nothing of them ran');

# An operator for a domain over the key's type, in the schema of the type's own
works('admin', 'CREATE EXTENSION citext SCHEMA public', '', 'a type with operators in a schema of all');
works('victim', q{
	CREATE DOMAIN v.code AS public.citext;
	GRANT USAGE ON SCHEMA v TO mallory;
	CREATE TABLE v.coded (id v.code PRIMARY KEY, a int, segment int);
	INSERT INTO v.coded SELECT 'c' || i, i FROM generate_series(1, 10) AS i;
	SELECT rows FROM kseg_create('coded', 'SELECT id, a FROM v.coded', 'id', 2, target => 'v.coded');
}, '10', 'a key of a domain');
works('mallory', q{
	CREATE FUNCTION m.same(v.code, v.code) RETURNS boolean LANGUAGE sql RETURN m.note('domain') = 1;
	CREATE OPERATOR public.= (LEFTARG = v.code, RIGHTARG = v.code, FUNCTION = m.same);
}, '', 'an operator for it');
works('victim', "SELECT new FROM kseg_run('coded'); SELECT rows FROM kseg_alter('coded', k => 3)", "10\n10", 'is not called');
is($node->safe_psql('shop', 'SELECT DISTINCT place FROM m.stolen'), '', 'nothing of it ran');
works('mallory', 'DROP OPERATOR public.= (v.code, v.code); DROP FUNCTION m.same', '', 'it goes');
works('victim', 'SELECT kseg_drop(\'coded\'); REVOKE USAGE ON SCHEMA v FROM mallory', '', 'so does the key');

# Functions in the same schema as kseg's, and functions that
# would be taken for kseg's
works('admin', 'GRANT CREATE ON SCHEMA lib TO mallory', '', 'a careless grant');
works('mallory', q{
	CREATE FUNCTION lib.kseg_member_hash(int) RETURNS int LANGUAGE sql RETURN m.note('own');
	CREATE FUNCTION lib.count(int) RETURNS int LANGUAGE sql RETURN m.note('own');
	CREATE FUNCTION lib.kseg_predict(lib.kseg_model, int) RETURNS int LANGUAGE sql RETURN m.note('own');
	CREATE FUNCTION lib.kseg_profile(lib.kseg_model, int) RETURNS int LANGUAGE sql RETURN m.note('own');
}, '', "functions in kseg's schema");
works('victim', "SELECT scored FROM kseg_run('sales', 'refit');
	SELECT count(*) FROM kseg_current WHERE segmentation = 'sales';
	SELECT count(*) > 0 FROM kseg_latest_profile", "100\n100\nt", 'are not called');
is($node->safe_psql('shop', 'SELECT DISTINCT place FROM m.stolen'), '', 'nothing of them ran');

# ---- passes over somebody's rows (the engine pushdown) ----

works('victim', q{
	CREATE TABLE v.parts (id int, "a'); DROP TABLE v.parts; --" int, "b""c\d" float8) PARTITION BY LIST (id);
	CREATE TABLE v.parts_1 PARTITION OF v.parts FOR VALUES IN (1);
	CREATE TABLE v.parts_2 PARTITION OF v.parts FOR VALUES IN (2);
	INSERT INTO v.parts SELECT 1 + i % 2, i % 10, i FROM generate_series(1, 200) AS i;
	CREATE VIEW v.seen WITH (security_barrier) AS SELECT * FROM v.parts WHERE id = 1;
	GRANT USAGE ON SCHEMA v TO bob;
	GRANT SELECT ON v.seen TO bob;
}, '', 'partitions with odd names, and a view of one');
my $pushed = q{'{"engine": "pushdown"}'};
works('victim', "SELECT rows, features[1] FROM lib.kseg_info(lib.kseg_fit('SELECT * FROM v.parts', 2, $pushed))",
	'200|id', 'names go through a pass as they are');
works('victim', "SELECT lib.kseg_fit('SELECT * FROM v.parts', 2, $pushed) = lib.kseg_fit('SELECT * FROM v.parts', 2)", 't', 'and the model is that of memory');
is($node->safe_psql('shop', q{SELECT count(*) FROM v.parts}), '200', 'and drop nothing');
fails('bob', "SELECT lib.kseg_fit('SELECT id FROM v.parts', 2, $pushed)", qr/42501: permission denied for table parts/, 'passes run as the caller');
fails('bob', "SELECT lib.kseg_fit('SELECT id FROM v.parts_1', 2, $pushed)", qr/42501: permission denied for table parts_1/, 'partitions too');
fails('bob', "SELECT e FROM lib.kseg_elbow('SELECT id FROM v.parts', 1, 2, $pushed) AS e", qr/42501: permission denied for table parts/, 'an elbow too');
fails('bob', "SELECT e FROM lib.kseg_evaluate(lib.kseg_fit('SELECT 1 AS id', 1), 'SELECT id FROM v.parts', 'pushdown') AS e", qr/42501: permission denied for table parts/, 'an evaluation too');
works('bob', "SELECT rows FROM lib.kseg_info(lib.kseg_fit('SELECT id, \"b\"\"c\\d\" FROM v.seen', 2, $pushed))", '100', 'a view shows what it shows');
works('victim', q{
	DROP POLICY half ON v.customers;
	ALTER TABLE v.customers ENABLE ROW LEVEL SECURITY;
	CREATE POLICY bobs ON v.customers TO bob USING (region = 'r0');
	GRANT SELECT ON v.customers TO bob;
}, '', 'row-level security');
works('bob', "SELECT rows FROM lib.kseg_info(lib.kseg_fit('SELECT a FROM v.customers', 2, $pushed))", '50', 'passes see the rows that the caller sees');
works('bob', "SET row_security = on; SELECT size FROM lib.kseg_evaluate(lib.kseg_fit('SELECT 1 AS a', 1), 'SELECT a FROM v.customers', 'pushdown') WHERE segment IS NULL",
	'50', 'in an evaluation, too');
fails('bob', "SET row_security = off; SELECT lib.kseg_fit('SELECT a FROM v.customers', 2, $pushed)", qr/42501: query would be affected by row-level security/,
	'or say why not');
works('bob', "SELECT (lib.kseg_info(m)).rows FROM lib.kseg_fit('SELECT a, count(*) AS n FROM v.customers GROUP BY a', 2, $pushed) AS m",
	'15', 'groups are those of the rows that are seen');
fails('bob', "SELECT lib.kseg_fit('SELECT a FROM v.customers; DROP TABLE v.customers', 2, $pushed)", qr/42601/, 'one statement, and no other');
fails('bob', "SELECT lib.kseg_fit('SELECT a FROM v.customers) AS q (c1); DROP TABLE v.customers; --', 2, $pushed)", qr/42601: syntax error/,
	'nor one that ends the pass');
fails('bob', "SELECT lib.kseg_fit('WITH d AS (DELETE FROM v.customers RETURNING a) SELECT a FROM d', 2, $pushed)", qr/25006: query must not change data/, 'nor one that writes');
works('victim', 'ALTER TABLE v.customers DISABLE ROW LEVEL SECURITY; DROP POLICY bobs ON v.customers; REVOKE SELECT ON v.customers FROM bob', '', 'back to before');
# states and points that somebody made up
fails('bob', q{SELECT lib.kseg_accum_transition(NULL, NULL)}, qr/0A000: .*must be called as part of an aggregate/, 'parts of aggregates cannot be called');
fails('bob', q{SELECT lib.kseg_state_combine(NULL, NULL)}, qr/0A000: .*must be called as part of an aggregate/, 'nor this one');
fails('bob', q{SELECT 'x'::lib.kseg_point}, qr/0A000: /, 'a point comes from kseg_point alone');
works('bob', q{SELECT lib.kseg_point(NULL, 1, 2) IS NULL, lib.kseg_accum(NULL) IS NULL, lib.kseg_merge(NULL) IS NULL}, 't|t|t', 'nulls are nothing');
# what others do
works('bob', 'SELECT count(*) FROM lib.kseg_progress', '0', 'progress of nobody');

# ---- the owner is gone ----

works('admin', q{
	REASSIGN OWNED BY mallory TO victim;
	DROP OWNED BY mallory;
	DROP ROLE mallory;
}, '', 'the attacker is dropped');
fails('admin', "SELECT kseg_run('trap')", qr/42704: the owner of segmentation "trap" does not exist any more/,
	'nobody runs what is nobody\'s');
fails('admin', "SELECT kseg_alter('trap', k => 2)", qr/42704: the owner/, 'nor alters it');
fails('victim', "SELECT kseg_drop('trap')", qr/42501: permission denied for segmentation "trap"/, 'nor do others drop it');
my $dump = $node->backup_dir . '/shop.sql';
mkdir $node->backup_dir;
$node->command_ok([ 'pg_dump', '-f', $dump, '-d', $node->connstr('shop') ], 'dump');
like(slurp_file($dump), qr/^\d+\tsales\t/m, 'a dump has the segmentations');
unlike(slurp_file($dump), qr/^\d+\ttrap\t/m,
	'but none whose owner is a number, which may be somebody else on another server');
works('admin', "SELECT kseg_drop('trap')", '', 'a superuser drops it');

$node->stop;
done_testing();

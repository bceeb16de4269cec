# An upgrade from each earlier version gives what a fresh install gives, and
# what an earlier version dumped can be restored.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
chomp(my $extension = `$pg_config --sharedir`);
$extension .= '/extension';
my ($version) = slurp_file('kseg.control') =~ /^default_version *= *'(.*)'/m;
plan skip_all => "$extension cannot be written to" unless -w $extension;

my $fresh_script = slurp_file("$extension/kseg--$version.sql");
my $catalogue_script = slurp_file('test/upgrade/catalogue.sql');
my @written;
END { unlink @written; }

sub write_script
{
	my ($versions, $text) = @_;
	my $file = "$extension/kseg--$versions.sql";

	die "$file is there" if -e $file;
	push @written, $file;
	append_to_file($file, $text);
}

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', 'autovacuum = off');
$node->start;

# catalogue(database, what is done before): a sorted list of lines
sub catalogue
{
	my ($database, $before) = @_;

	return [ split /\n(?=[a-z ]+ \S+.* \(pg_)/, $node->safe_psql($database,
		($before // '') . $catalogue_script . 'SELECT l FROM pg_temp.catalogue() AS l ORDER BY l COLLATE "C"') ];
}

# What is in one of the lists only, - in the first, + in the second.
sub difference
{
	my ($one, $other) = @_;
	my %one = map { $_ => 1 } @$one;
	my %other = map { $_ => 1 } @$other;

	return join "\n", sort(map({ "- $_" } grep { !$other{$_} } @$one), map({ "+ $_" } grep { !$one{$_} } @$other));
}

sub new_database
{
	my ($name, $installed, $sql) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE \"$name\"");
	$node->safe_psql($name, "CREATE EXTENSION kseg VERSION '$installed';" . ($sql // ''));
	return $name;
}

my $fresh = catalogue(new_database('fresh', $version));
cmp_ok(scalar @$fresh, '>', 10000, 'a fresh install is described in ' . @$fresh . ' lines');
is(difference($fresh, catalogue(new_database('again', $version))), '', 'two fresh installs are the same');

# ---- every kind of difference is seen ----

my %changes = (
	'comment of a function' => q{COMMENT ON FUNCTION kseg_drop(text) IS 'drop it'},
	'comment of a column' => q{COMMENT ON COLUMN kseg_models.version IS NULL},
	'cost' => q{ALTER FUNCTION kseg_drop(text) COST 7},
	'volatility' => q{ALTER FUNCTION kseg_drop(text) STABLE},
	'strictness' => q{ALTER FUNCTION kseg_drop(text) STRICT},
	'parallel safety' => q{ALTER FUNCTION kseg_drop(text) PARALLEL SAFE},
	'security definer' => q{ALTER FUNCTION kseg_drop(text) SECURITY DEFINER},
	'search_path of a function' => q{ALTER FUNCTION kseg_drop(text) SET search_path = pg_catalog},
	'default of an argument' => q{UPDATE pg_proc SET pronargdefaults = 0, proargdefaults = NULL WHERE proname = 'kseg_alter'},
	'name of an argument' => q{UPDATE pg_proc SET proargnames[1] = 'nom' WHERE proname = 'kseg_alter'},
	'name in the library' => q{UPDATE pg_proc SET prosrc = 'kseg_alter' WHERE proname = 'kseg_drop'},
	'rights of a function' => q{REVOKE EXECUTE ON FUNCTION kseg_drop(text) FROM PUBLIC},
	'rights of a table' => q{GRANT INSERT ON kseg_models TO PUBLIC},
	'rights of a column' => q{GRANT UPDATE (is_held) ON kseg_models TO PUBLIC},
	'row-level security' => q{ALTER TABLE kseg_models DISABLE ROW LEVEL SECURITY},
	'expression of a policy' => q{ALTER POLICY kseg_models_seen ON kseg_models USING (true)},
	'a policy more' => q{CREATE POLICY more ON kseg_models USING (true)},
	'type of a column' => q{ALTER TABLE kseg_grants ALTER privilege TYPE varchar},
	'a column more' => q{ALTER TABLE kseg_sizes ADD more integer},
	'not null' => q{ALTER TABLE kseg_sizes ALTER share DROP NOT NULL},
	'default of a column' => q{ALTER TABLE kseg_sizes ALTER share SET DEFAULT 1},
	'a check' => q{ALTER TABLE kseg_sizes ADD CHECK (share <= 1)},
	'an index' => q{CREATE INDEX ON kseg_sizes (segmentation)},
	'options of a table' => q{ALTER TABLE kseg_history SET (fillfactor = 80)},
	'a sequence' => q{ALTER SEQUENCE kseg_runs_id_seq CACHE 5},
	'a trigger' => q{CREATE TRIGGER t BEFORE UPDATE ON kseg_sizes FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()},
	'text of a view' => q{CREATE OR REPLACE VIEW kseg_segment_sizes WITH (security_invoker = true) AS
		SELECT s.name AS segmentation, r.id AS run_id, r.started AS at, r.version, z.segment, NULL::text AS label, z.size, z.share
		FROM kseg_segmentations AS s JOIN kseg_runs AS r ON r.segmentation = s.id JOIN kseg_sizes AS z ON z.run = r.id},
	'as whom a view reads' => q{ALTER VIEW kseg_current RESET (security_invoker)},
	'estimator of an operator' => q{ALTER OPERATOR = (kseg_model, kseg_model) SET (RESTRICT = NONE)},
	'combining of an aggregate' => q{UPDATE pg_aggregate SET aggcombinefn = 0 WHERE aggfnoid::regproc::text = 'kseg_ari'},
	'receive function of a type' => q{ALTER TYPE kseg_model SET (RECEIVE = NONE)},
	'context of a cast' => q{UPDATE pg_cast SET castcontext = 'i' WHERE castsource = 'kseg_model'::regtype AND casttarget = 'jsonb'::regtype},
	'a member less' => q{ALTER EXTENSION kseg DROP CAST (kseg_model AS json)},
	'a member more' => q{CREATE FUNCTION more() RETURNS int LANGUAGE sql RETURN 1; ALTER EXTENSION kseg ADD FUNCTION more()},
	'an owner' => q{CREATE ROLE other; ALTER FUNCTION kseg_drop(text) OWNER TO other},
	'what is dumped' => q{UPDATE pg_extension SET extcondition[1] = '' WHERE extname = 'kseg'},
);
# one session; after each change it is as before
my $compared = $node->safe_psql('fresh', qq{
	$catalogue_script
	CREATE TEMP TABLE fresh AS SELECT l FROM pg_temp.catalogue() AS l;
} . join('', map { my $rebuild = $catalogue_script =~ s/^.*?(WITH RECURSIVE part AS.*?;)\n.*$/$1/sr; qq{
	BEGIN;
	$changes{$_};
	DELETE FROM part;
	INSERT INTO part $rebuild
	CREATE TEMP TABLE changed AS SELECT l FROM pg_temp.catalogue() AS l;
	SELECT '$_', count(*) FROM ((TABLE fresh EXCEPT TABLE changed) UNION ALL (TABLE changed EXCEPT TABLE fresh)) AS d;
	ROLLBACK;
} } 'nothing', sort keys %changes));
my %lines = map { split /\|/ } split /\n/, $compared;
is($lines{nothing}, 0, 'no change is no difference');
cmp_ok($lines{$_} // 0, '>', 0, "a difference is seen: $_") for sort keys %changes;

# ---- versions that were released ----

# Those whose install scripts are kept, and those that an upgrade starts from.
my %released;
$released{ (/kseg--(.+)\.sql$/)[0] } = $_ for grep { !/--.*--/ } glob 'test/upgrade/kseg--*.sql';
$released{ (/kseg--(.+)--.+\.sql$/)[0] } //= '' for glob 'sql/kseg--*--*.sql';
if (my $kept = delete $released{$version})
{
	is(slurp_file($kept), $fresh_script, "$version was released: its install script stays as it is");
}
note("no version was released before $version") unless %released;
for my $old (sort keys %released)
{
	ok($released{$old}, "$old: its install script is kept in test/upgrade") or next;
	write_script($old, slurp_file($released{$old}));
	my $database = new_database("from $old", $old);
	$node->safe_psql($database, 'ALTER EXTENSION kseg UPDATE');
	is(difference($fresh, catalogue($database)), '', "$old: upgraded is like installed");
}

# ---- a version that never was ----

# Version 0.0 is the present one without some of what it has, of every kind
# that an upgrade is likely to bring; each part of the upgrade gives one back.
my $old_script = $fresh_script;
my %parts;

sub take
{
	my ($name, $from, $to, $upgrade) = @_;

	$old_script =~ s/(\Q$from\E.*?\Q$to\E)//s or die "no \"$from\" ... \"$to\" in kseg--$version.sql";
	$parts{$name} = defined $upgrade ? $upgrade : $1;
	return $1;
}

sub alter
{
	my ($name, $new, $old, $upgrade) = @_;

	$old_script =~ s/\Q$new\E/$old/ or die "no \"$new\" in kseg--$version.sql";
	$parts{$name} .= $upgrade;
}

# its review column, and what reads it
my ($segment_labels) = $fresh_script =~ /(CREATE VIEW kseg_segment_labels .*?;)\n/s;
my ($overview) = $fresh_script =~ /(CREATE VIEW kseg_overview .*?;)\n/s;
s/^CREATE VIEW/CREATE OR REPLACE VIEW/ for $segment_labels, $overview;
take('a column, and views of it', "\treview text,\n", '', "ALTER TABLE kseg_labels ADD COLUMN review text;\n");
$parts{'a column, and views of it'} .= take('', 'COMMENT ON COLUMN kseg_labels.review IS', ";\n");
delete $parts{''};
alter('a column, and views of it', 'count(l.review)', 'count(NULL::text)', "$overview\n");
alter('a column, and views of it', 'l.review,', 'NULL::text AS review,', "$segment_labels\n");

take('an aggregate and its functions', 'CREATE FUNCTION kseg_ari_transition', 'about 0 for chance\';');
take('a view', 'CREATE VIEW kseg_run_migration', 'null for new customers\';');
alter('rights', 'kseg_run_drift, kseg_run_migration, ', 'kseg_run_drift, ', '');
$parts{'a view'} .= "\nGRANT SELECT ON kseg_run_migration TO PUBLIC;\n";
delete $parts{rights};
take('an index', 'CREATE INDEX ON kseg_moves', ';');
take('a policy', 'CREATE POLICY kseg_points_seen', ';');
take('row-level security', 'ALTER TABLE kseg_points ENABLE', ';');
take('a table that is dumped', q{SELECT pg_catalog.pg_extension_config_dump('kseg_points', ''}, ';');
take('a cast', 'CREATE CAST (kseg_model AS json)', ';');
$parts{'a cast'} .= take('', 'COMMENT ON CAST (kseg_model AS json)', ';');
delete $parts{''};
take('a comment', 'COMMENT ON TYPE kseg_model', ';');
take('a comment of a function', 'COMMENT ON FUNCTION kseg_drop(text) IS', ';');
alter('a cost', "CREATE FUNCTION kseg_drop(name text)\nRETURNS void\n\tAS 'MODULE_PATHNAME'\n\tLANGUAGE C VOLATILE",
	"CREATE FUNCTION kseg_drop(name text)\nRETURNS void\n\tAS 'MODULE_PATHNAME'\n\tLANGUAGE C STABLE",
	'ALTER FUNCTION kseg_drop(text) VOLATILE;');

sub upgrade_without
{
	my ($left_out) = @_;
	return join "\n", map { $parts{$_} } grep { $_ ne $left_out } sort keys %parts;
}

write_script('0.0', $old_script);
write_script("0.0--$version", upgrade_without(''));
new_database('old', '0.0');
my $missing = difference($fresh, catalogue('old'));
like($missing, qr/^- .*$_/m, "0.0 has no $_")
  for 'kseg_ari\(', 'view public.kseg_run_migration ', 'policy kseg_points_seen', 'kseg_labels column review', 'kseg_model AS (pg_catalog\.)?json\)';
$node->safe_psql('old', 'ALTER EXTENSION kseg UPDATE');
is(difference($fresh, catalogue('old')), '', '0.0: upgraded is like installed');

# An upgrade that forgets something is found out.
my $number = 0;
$node->safe_psql('postgres', 'CREATE DATABASE forgetful');
for my $name (sort keys %parts)
{
	my $old = '0.0.' . ++$number;

	write_script($old, $old_script);
	write_script("$old--$version", upgrade_without($name));
	isnt(difference($fresh, catalogue('forgetful', "DROP EXTENSION IF EXISTS kseg;
		CREATE EXTENSION kseg VERSION '$old'; ALTER EXTENSION kseg UPDATE;")), '', "an upgrade without $name is not like an install");
}

# ---- what a version left behind ----

my $shop = q{
	CREATE TABLE customers AS
	SELECT i AS id, i % 4 * 20 + (hashint4(i) & 15) AS visits, i % 4 / 2 * 30 + (hashint4(i + 7) & 1023) / 100.0 AS spent
	FROM generate_series(1, 800) AS i;
	SELECT kseg_create('shop', 'SELECT id, visits, spent FROM customers', 'id', 4);
	SELECT kseg_run('shop');
};
my $next = q{
	UPDATE customers SET visits = visits + 40 WHERE id % 5 = 0;
	SELECT run_id, action, scored, changed, new, gone, round(drift::numeric, 9) FROM kseg_run('shop');
	SELECT run_id, action, scored, changed, new, gone FROM kseg_run('shop', 'refit');
	SELECT kseg_label('shop', 1, 'first');
	SELECT md5(string_agg(model::text, ',' ORDER BY version)) FROM kseg_models;
	SELECT md5(string_agg(h::text, ',' ORDER BY h::text)) FROM (SELECT key, segment, previous, valid_to IS NULL FROM kseg_history) AS h;
	SELECT segment, label, review FROM kseg_segment_labels ORDER BY segment;
	SELECT count(*), sum(customers) FROM kseg_run_migration;
};
new_database($_->[0], $_->[1], $shop) for [ 'shop', $version ], [ 'old shop', '0.0' ];
my $file = $node->basedir . '/old.dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $file, $node->connstr('old shop') ], '0.0: pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), $file ], '0.0: restored');
is(difference($fresh, catalogue('restored')), '', '0.0: what is restored is the present version');
$node->safe_psql('old shop', 'ALTER EXTENSION kseg UPDATE');
my $expected = $node->safe_psql('shop', $next);
like($expected, qr/^2\|\w+\|800\|[1-9]/, 'customers have moved');
is($node->safe_psql('old shop', $next), $expected, '0.0: upgraded, it goes on as one that was installed');
is($node->safe_psql('restored', $next), $expected, '0.0: restored, it goes on as one that was installed');

done_testing();

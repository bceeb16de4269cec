# Every view as BI tools see it: through psycopg2, node-postgres and JDBC, over
# TCP with a password, as somebody who may read two segmentations of three.
# Values arrive to the last bit, in types that need no conversion, and with the
# comments that Metabase (JDBC) and Superset (SQLAlchemy) show.
#
# Drivers that are not installed (test/setup.sh) are skipped.
use strict;
use warnings;
use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $drivers = 'test/drivers';

sub find_program
{
	foreach my $name (@_)
	{
		foreach my $directory (split /:/, $ENV{PATH})
		{
			return "$directory/$name" if -x "$directory/$name";
		}
	}
	return undef;
}

# ---- the server ----

# JDBC knows no Unix sockets; a bare container may have no network at all
my $has_network = defined IO::Socket::INET->new(
	Listen => 1,
	LocalAddr => '127.0.0.1');
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
unlink($node->data_dir . '/pg_hba.conf');
append_to_file($node->data_dir . '/pg_hba.conf', q{
local all analyst scram-sha-256
local all all trust
host all analyst 127.0.0.1/32 scram-sha-256
});
$node->append_conf('postgresql.conf', q{
password_encryption = 'scram-sha-256'
timezone = 'Asia/Kathmandu'
});
$node->append_conf('postgresql.conf', q{listen_addresses = '127.0.0.1'})
  if $has_network;
$node->start;
$node->command_ok([ 'psql', '-X', '-q', '-f', "$drivers/data.sql" ],
	'a segmentation is made');

# ---- what the views hold ----

# What read.py and the others print, by the server itself: integers by their
# digits, doubles by their bits, moments in UTC.
my %told = (
	int4 => '%s::text',
	int8 => '%s::text',
	text => '%s',
	bool => '%s::text',
	float8 => q{encode(float8send(%s), 'hex')},
	timestamptz => q{to_char(%s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')});
my %oid_types = (16 => 'bool', 20 => 'int8', 23 => 'int4', 25 => 'text',
	701 => 'float8', 1184 => 'timestamptz');

sub query_json
{
	my ($sql) = @_;
	return decode_json($node->safe_psql('postgres', $sql));
}

my %views;
foreach my $view (@{
	query_json(q{
	SELECT json_agg(json_build_object('view', 'kseg.' || c.relname,
		'comment', obj_description(c.oid), 'columns', a.columns))
	FROM pg_class AS c, LATERAL (SELECT json_agg(json_build_array(quote_ident(attname), typname,
			col_description(c.oid, attnum)) ORDER BY attnum) AS columns
		FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
		WHERE attrelid = c.oid) AS a
	WHERE c.relkind = 'v' AND c.relnamespace = 'kseg'::regnamespace
		-- what it shows comes and goes; test/t/018_progress.pl has it
		AND c.relname <> 'kseg_progress'})
  })
{
	my @columns = @{ $view->{columns} };
	my $row = join ', ', map { sprintf $told{ $_->[1] }, $_->[0] } @columns;

	$view->{names} = [ map { $_->[0] =~ s/"//gr } @columns ];
	$view->{types} = [ map { $_->[1] } @columns ];
	$view->{comments} = [ map { $_->[2] } @columns ];
	$view->{rows} = query_json(
		"SET ROLE analyst; SELECT coalesce(json_agg(json_build_array($row)), '[]') FROM $view->{view}");
	$views{ $view->{view} } = $view;
}
my @names = sort keys %views;

# else the comparisons below would say little
foreach my $name (@names)
{
	my $view = $views{$name};
	my @empty = grep {
		my $i = $_;
		!grep { defined $_->[$i] } @{ $view->{rows} }
	} 0 .. $#{ $view->{names} };

	is(join(', ', map { $view->{names}[$_] } @empty), '',
		"$name: a value in each column");
	ok(!grep({ $_->[0] =~ /hidden/ } @{ $view->{rows} }),
		'... and nothing that was not granted');
}

# ---- the drivers ----

$ENV{PGHOST} = $has_network ? '127.0.0.1' : $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';
$ENV{PGUSER} = 'analyst';
$ENV{PGPASSWORD} = q{it's "secret"};
# neither the server's nor UTC
$ENV{TZ} = 'America/New_York';

# a program's answer, a line of JSON for each view
sub ask
{
	my ($what, @command) = @_;
	my ($out, $err) = ('', '');
	my %answer;

	IPC::Run::run([@command], '<', \undef, '>', \$out, '2>', \$err);
	is($err, '', "$what: no error");
	foreach my $line (split /\n/, $out)
	{
		my $view = decode_json($line);
		$answer{ $view->{view} } = $view;
	}
	return \%answer;
}

# rows, whatever order they came in
sub sorted
{
	return [ sort map { encode_json($_) } @_ ];
}

# a Date of JavaScript has milliseconds
sub shortened
{
	my ($view) = @_;
	my @moments = grep { $view->{types}[$_] eq 'timestamptz' } 0 .. $#{ $view->{types} };
	my @rows = map { [@$_] } @{ $view->{rows} };

	foreach my $row (@rows)
	{
		s/\d{3}\z// foreach grep { defined } @$row[@moments];
	}
	return @rows;
}

# %$classes: what a driver makes of each type
sub compare
{
	my ($what, $answer, $classes, $milliseconds) = @_;

	# it was not asked for; SQLAlchemy tells of all
	delete $answer->{'kseg.kseg_progress'};
	is(join(' ', sort keys %$answer), "@names", "$what: reads all views");
	foreach my $name (@names)
	{
		my ($view, $seen) = ($views{$name}, $answer->{$name});
		my $types = $view->{types};

		is_deeply($seen->{names}, $view->{names}, "$what: columns of $name");
		is_deeply([ map { $oid_types{$_} // $_ } @{ $seen->{types} } ],
			$types, '... their types')
		  if defined $seen->{types};
		is_deeply($seen->{classes}, [ map { [ $classes->{$_} ] } @$types ],
			'... what the values are to the program');
		is_deeply(
			sorted(@{ $seen->{rows} }),
			sorted($milliseconds ? shortened($view) : @{ $view->{rows} }),
			'... and the values')
		  if defined $seen->{rows};
		next if !exists $seen->{comments};
		is($seen->{comment}, $view->{comment}, '... the comment');
		is_deeply($seen->{comments}, $view->{comments},
			'... and those of columns');
	}
}

my $python = '/usr/bin/python3';
my $has_psycopg2 = -x $python
  && system("$python -c 'import psycopg2' 2>/dev/null") == 0;

subtest 'psycopg2' => sub {
	plan skip_all => 'python3-psycopg2 is not installed' if !$has_psycopg2;
	compare('psycopg2', ask('psycopg2', $python, "$drivers/read.py", @names),
		{ int4 => 'int', int8 => 'int', float8 => 'float', text => 'str',
			bool => 'bool', timestamptz => 'datetime' });
};

subtest 'SQLAlchemy' => sub {
	plan skip_all => 'python3-sqlalchemy is not installed'
	  if !$has_psycopg2
	  || system("$python -c 'import sqlalchemy' 2>/dev/null") != 0;
	compare('SQLAlchemy',
		ask('SQLAlchemy', $python, "$drivers/reflect.py", 'kseg'),
		{ int4 => 'INTEGER', int8 => 'BIGINT', float8 => 'DOUBLE_PRECISION',
			text => 'TEXT', bool => 'BOOLEAN',
			timestamptz => 'TIMESTAMP with time zone' });
};

subtest 'node-postgres' => sub {
	my $node_js = find_program('node');

	plan skip_all => 'Node.js is not installed' if !defined $node_js;
	plan skip_all => "the library of $drivers is not installed"
	  if !-e "$drivers/node_modules/.installed";
	# a double cannot hold every int8, so it comes as text
	compare('node-postgres',
		ask('node-postgres', $node_js, "$drivers/read.mjs", @names),
		{ int4 => 'Number', int8 => 'String', float8 => 'Number',
			text => 'String', bool => 'Boolean', timestamptz => 'Date' },
		'milliseconds');
};

subtest 'JDBC' => sub {
	my $java = find_program('java');
	my $compiler = find_program('ecj', 'javac');
	my $driver = '/usr/share/java/postgresql.jar';
	my $batch = '/usr/share/java/eclipse-jdt-core-compiler-batch.jar';
	my $classes = PostgreSQL::Test::Utils::tempdir();

	plan skip_all => 'there is no network' if !$has_network;
	plan skip_all => 'a Java compiler is not installed'
	  if !defined $java || !defined $compiler;
	plan skip_all => 'libpostgresql-jdbc-java is not installed'
	  if !-e $driver;
	# where there is no JDK, javac is ecj as well, which compiles as for an
	# old Java unless told
	my @compile = ($compiler, '-proc:none', $compiler =~ /ecj$/ ? '-11' : ());
	# Debian 13's ecj does not look for its main class where it is
	splice @compile, 0, 1, $java, '-cp', $batch, 'org.eclipse.jdt.internal.compiler.batch.Main'
	  if $compiler =~ /ecj$/ && -e $batch;
	is(system(@compile, '-d', $classes, "$drivers/Read.java"),
		0, 'it compiles')
	  or return;
	# values as text, and in binary from the first time on
	foreach my $threshold (0, -1)
	{
		compare('JDBC', ask('JDBC', $java, '-XX:TieredStopAtLevel=1',
				'-cp', "$driver:$classes", 'Read', "prepareThreshold=$threshold", @names),
			{ int4 => 'Integer', int8 => 'Long', float8 => 'Double',
				text => 'String', bool => 'Boolean',
				timestamptz => 'Timestamp' });
	}
};

done_testing();

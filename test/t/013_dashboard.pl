# The dashboard of docs/dashboard: a page that headless Chromium shows without an
# error, without asking the network, with a mark for each row of the views, on
# phones, tablets and desktops, in light and dark; in which axe-core finds no
# serious issue, and hostile text stays text.  And the SQL of the examples for
# other tools.
#
# Skipped where Node.js, the libraries (test/setup.sh) or Chromium are missing.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $program = 'docs/dashboard/dashboard.mjs';
my $examples = 'docs/dashboard/examples';

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

my $node_js = find_program('node');
my $browser = find_program('chromium', 'google-chrome');
my $has_page = defined $node_js && -e 'docs/dashboard/node_modules/.installed';

# with the logs: what a failed test leaves, to be looked at
my $directory = "$PostgreSQL::Test::Utils::log_path/dashboard";
mkdir $directory;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
$node->command_ok([ 'psql', '-X', '-q', '-f', 'test/dashboard/shop.sql' ],
	'a shop has a segmentation');

# ---- examples ----

sub slurp
{
	my ($file) = @_;
	return PostgreSQL::Test::Utils::slurp_file($file);
}

# What the tools put in for their variables.
sub filled
{
	my ($sql) = @_;

	$sql =~ s/\{\{segmentation\}\}|\$\{segmentation:sqlstring\}/'shop'/g;
	$sql =~ s/\$__timeFilter\((\w+)\)/$1 BETWEEN now() - interval '60 days' AND now()/g;
	return $sql;
}

my @queries;
foreach my $tool ('metabase', 'superset')
{
	my $text = slurp("$examples/$tool.sql");
	my $names = () = $text =~ /^-- (?:Question:|Dataset )/mg;
	my @statements = grep { /\bSELECT\b/ } split /;\n/, $text;

	is(scalar @statements, $names, "$tool: a query for each name");
	push @queries, map { [ $tool, /^-- ((?:Question:|Dataset ).*)/m, filled($_) ] } @statements;
}
my $grafana = decode_json(slurp("$examples/grafana.json"));
push @queries, [ 'grafana', 'variable', $grafana->{templating}{list}[0]{query} ];
foreach my $panel (@{ $grafana->{panels} })
{
	push @queries, map { [ 'grafana', $panel->{title}, filled($_->{rawSql}) ] } @{ $panel->{targets} };
}
foreach my $query (@queries)
{
	my ($tool, $name, $sql) = @$query;
	my ($rows, $stderr);
	my $status = $node->psql('postgres', "SELECT count(*) FROM ($sql) AS q",
		stdout => \$rows, stderr => \$stderr);

	ok($status == 0 && $rows > 0, "$tool, $name: gives rows") or diag($stderr // '', " in $sql");
}

my $dbt = $node->safe_psql('postgres', slurp("$examples/dbt.sql"));
append_to_file("$directory/dbt.yml", "$dbt\n");
is("$dbt\n", slurp("$examples/dbt.yml"), 'dbt.yml has the views, their columns and comments')
  or diag("as it should be: $directory/dbt.yml");

# ---- the program ----

# Makes a page; (status, page, what it said)
sub make_page
{
	my ($database, @options) = @_;
	my ($page, $stderr) = ('', '');

	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	local $ENV{PGDATABASE} = $database;
	local $ENV{TZ} = 'UTC';
	IPC::Run::run([ $node_js, $program, @options ], '<', \undef, '>', \$page, '2>', \$stderr);
	return ($? >> 8, $page, $stderr);
}

# What Chromium says about a page in some views, or all.
sub look
{
	my ($name, $page, @views) = @_;
	my $place = "$directory/$name";
	my ($out, $err) = ('', '');

	mkdir $place;
	append_to_file("$place/page.html", $page);
	local $ENV{HOME} = PostgreSQL::Test::Utils::tempdir_short();
	IPC::Run::run([ $node_js, 'test/dashboard/browse.mjs', $browser, "$place/page.html", $place, @views ],
		'<', \undef, '>', \$out, '2>', \$err);
	note($err) if $err ne '';
	my $found = $out eq '' ? { errors => [$err], views => {} } : decode_json($out);
	is(join("\n", @{ $found->{errors} }), '', "$name: the browser did its work");
	foreach my $view (sort keys %{ $found->{views} })
	{
		my $saw = $found->{views}{$view};

		is(join("\n", @{ $saw->{errors} }), '', "$name, $view: no error");
		is(join("\n", @{ $saw->{requests} }), '', "$name, $view: nothing asked for");
		is($saw->{overflow}, 0, "$name, $view: as wide as the window");
		is(join("\n", @{ $saw->{wide} // [] }), '', "$name, $view: nothing outside of it");
		cmp_ok($saw->{findings}{checked} // 0, '>', 20, "$name, $view: axe-core has looked");
		is(join("\n", @{ $saw->{findings}{serious} // ['not looked'] }), '', "$name, $view: ... and found nothing serious");
	}
	return $found->{views};
}

# The marks that the pictures of a segmentation should have.
sub expected_marks
{
	my ($database, $name) = @_;

	return decode_json($node->safe_psql($database, qq{
		SELECT jsonb_build_object(
			'elbow', (SELECT jsonb_build_object('inertia', count(inertia),
					'knee', count(*) FILTER (WHERE is_knee), 'silhouette', count(silhouette))
				FROM kseg_latest_elbow WHERE segmentation = n),
			'profile', (SELECT jsonb_build_object('profile', count(z))
				FROM kseg_latest_profile WHERE segmentation = n),
			'scatter', (SELECT jsonb_build_object('points', count(*), 'centers', count(DISTINCT segment))
				FROM kseg_latest_scatter WHERE segmentation = n),
			'sizes', (SELECT jsonb_build_object('sizes', count(*), 'refits',
					(SELECT count(*) FROM kseg_run_log WHERE segmentation = n AND action = 'refit'))
				FROM kseg_segment_sizes WHERE segmentation = n),
			'migration', (SELECT jsonb_build_object('moves', count(*)) FROM kseg_run_migration
				WHERE segmentation = n AND run_id = (SELECT max(run_id) FROM kseg_run_log
					WHERE segmentation = n AND (changed > 0 OR new > 0 OR gone > 0))),
			'drift', (SELECT jsonb_build_object('drift', count(*) FILTER (WHERE feature IS NOT NULL) +
					count(DISTINCT run_id) FILTER (WHERE feature IS NULL))
				FROM kseg_run_drift WHERE segmentation = n AND psi IS NOT NULL))
		FROM (SELECT \$n\$$name\$n\$ AS n) AS n}));
}

sub marks_are_rows
{
	my ($database, $segmentation, $name, $views) = @_;
	my $expected = expected_marks($database, $segmentation);

	foreach my $view (sort keys %$views)
	{
		my $marks = $views->{$view}{marks};

		# a group of marks without a mark is not in the page
		is_deeply(
			{ map { my $p = $_; $p => { map { $_ => 0 + ($marks->{$p}{$_} // 0) } keys %{ $expected->{$p} } } } keys %$expected },
			{ map { my $p = $_; $p => { map { $_ => 0 + $expected->{$p}{$_} } keys %{ $expected->{$p} } } } keys %$expected },
			"$name, $view: a mark for each row");
	}
}

SKIP:
{
	skip 'Node.js or the libraries of docs/dashboard are not installed', 1 if !$has_page;
	my ($status, $page, $said) = make_page('postgres', '--rules');
	my $views;

	is($status, 0, 'the page of the only segmentation is made');
	is($said, '', '... in silence');
	cmp_ok(length($page), '<', 3_000_000, '... of less than 3 MB');
	is(() = $page =~ m{<p class="rule"><code>[^<]+[0-9]</code>}g, 5, '... with rules');
	unlike($page, qr/\bNaN\b|\bundefined\b|\[object|Infinity%/, '... and no oddities')
	  if $page =~ s{<script>.*}{}s && $page =~ s{<style>.*?</style>}{}s;
	($status, $page) = make_page('postgres');
	unlike($page, qr{<p class="rule">}, 'rules are not there unless asked for');

	# ---- what the program refuses ----

	foreach my $case (
		[ [ '--segmentation', 'nobody' ], qr/^dashboard\.mjs: no segmentation "nobody"\. There are: shop$/ ],
		[ ['--frobnicate'], qr/'--frobnicate'.*--segmentation NAME/s ],
		[ [ '--runs', '0' ], qr/--runs must be a number/ ],
		[ [ '--database', 'postgresql:///postgres?host=/nowhere' ], qr/^dashboard\.mjs: .*ENOENT.*$/ ])
	{
		my ($options, $message) = @$case;

		($status, $page, $said) = make_page('postgres', @$options);
		chomp $said;
		is($status, 1, "@$options: status 1");
		is($page, '', "@$options: no page");
		like($said, $message, "@$options: a message");
	}
	$node->safe_psql('postgres', 'CREATE DATABASE bare');
	($status, $page, $said) = make_page('bare');
	like($said, qr/^dashboard\.mjs: this database has no extension kseg$/, 'a database without kseg');

	# ---- who sees what, and whose rights rules run with ----

	$node->safe_psql('postgres', q{
		CREATE ROLE analyst LOGIN;
		CREATE ROLE clerk LOGIN;
		SELECT kseg_grant('shop', 'analyst');
	});
	($status, $page, $said) = make_page('postgres', '--database',
		'postgresql://clerk@/postgres?host=' . $node->host . '&port=' . $node->port);
	is($status, 1, 'one who may not see it gets no page');
	like($said, qr/There is none that you may see/, '... and is told');
	($status, $page, $said) = make_page('postgres', '--rules', '--database',
		'postgresql://analyst@/postgres?host=' . $node->host . '&port=' . $node->port);
	is($status, 0, 'one to whom it was granted gets a page');
	like($said, qr/^dashboard\.mjs: rules are for the segmentation's owner; left out$/,
		'... without rules: the query would run with the rights of whoever asks');
	unlike($page, qr{<p class="rule">}, '... none at all');

	# ---- hostile text ----

	my $name = q{</script><script>alert('name')</script>"\\<!--};
	my @labels = ('<script>alert(1)</script>', q{</script><img src=x onerror=alert(2)>}, q{"&amp;' ]]> <!-- `${x}` $&});

	$node->safe_psql('postgres', 'CREATE DATABASE hostile');
	$node->safe_psql('hostile', qq{
		CREATE SCHEMA "\$& kseg's";
		CREATE EXTENSION kseg SCHEMA "\$& kseg's";
		SET search_path = "\$& kseg's", public;
		CREATE TABLE public."<b>people" (id int PRIMARY KEY, "</script><b>" int, "var(--x)" float8,
			"a.b['c'] \\ ""d""" text);
		INSERT INTO "<b>people" SELECT i, i % 7, (i % 3) * 10, (ARRAY['<i>x', '</style>', 'y'])[1 + i % 3]
		FROM generate_series(1, 600) AS i;
		SELECT kseg_create(\$n\$$name\$n\$, 'TABLE public."<b>people"', 'id', k => 3);
		SELECT kseg_run(\$n\$$name\$n\$);
	});
	$node->safe_psql('hostile', qq{SET search_path = "\$& kseg's", public;
		UPDATE "<b>people" SET "</script><b>" = 20 WHERE id % 50 = 0;
		SELECT kseg_run(\$n\$$name\$n\$)});
	$node->safe_psql('hostile', join ';', q{SET search_path = "$& kseg's", public},
		map { "SELECT kseg_label(\$n\$$name\$n\$, " . ($_ + 1) . ", \$l\$$labels[$_]\$l\$, \$l\$<u>$labels[$_]\$l\$)" } 0 .. 2);
	($status, $page, $said) = make_page('hostile', '--segmentation', $name, '--rules');
	is($status, 0, 'a page full of hostile text is made') or diag($said);
	my $hostile = $page;

	# ---- before the first run ----

	$node->safe_psql('postgres', q{SELECT kseg_create('empty', 'SELECT customer_id, age FROM customers', 'customer_id')});
	($status, $page, $said) = make_page('postgres', '--segmentation', 'empty');
	is($status, 0, 'a page of a segmentation that has not run') or diag($said);
	my $empty = $page;
	($status, $page, $said) = make_page('postgres');
	like($said, qr/^dashboard\.mjs: say which with --segmentation\. There are: empty, shop$/, 'which of two is to be said');

	# ---- a million customers, sixty runs ----

	$node->safe_psql('postgres', 'CREATE DATABASE years');
	$node->safe_psql('years', 'CREATE EXTENSION kseg');
	$node->command_ok([ 'psql', '-X', '-q', '-d', 'years', '-v', 'name=many', '-v', 'customers=1000000',
		'-v', 'runs=60', '-v', "last=" . $node->safe_psql('years', q{SELECT now() - interval '30 hours'}),
		'-f', 'test/dashboard/years.sql' ], 'many nights');
	my $start = time;
	($status, $page, $said) = make_page('years');
	note('made in ' . (time - $start) . ' s, ' . length($page) . ' bytes');
	is($status, 0, 'a page of a million customers is made') or diag($said);
	cmp_ok(length($page), '<', 3_000_000, '... of less than 3 MB');
	my $years = $page;

	# ---- in a browser ----

	skip 'Chromium is not installed', 1 if !defined $browser;
	($status, $page) = make_page('postgres', '--segmentation', 'shop', '--rules');
	$views = look('shop', $page);
	is(scalar keys %$views, 6, 'three sizes, light and dark');
	marks_are_rows('postgres', 'shop', 'shop', $views);
	is_deeply($views->{desktop}{warnings}, [ 'A new model is held', '1 label to review' ], 'what needs attention');
	like($views->{desktop}{tooltip}, qr/segment/, 'a point tells its segment');
	ok(-s "$directory/shop/dashboard.pdf", 'it can be printed');

	$views = look('hostile', $hostile, 'desktop', 'phone-dark');
	$node->safe_psql('hostile', q{ALTER DATABASE hostile SET search_path = "$& kseg's", public});
	marks_are_rows('hostile', $name, 'hostile', $views);
	is(join("\n", map { s/^\d+\s*//r } @{ $views->{desktop}{headings} }), join("\n", $name, @labels),
		'names and labels are shown as they are');
	like($views->{desktop}{tooltip}, qr/\Q$labels[0]\E/, '... in tooltips too');

	$views = look('years', $years, 'desktop', 'phone');
	marks_are_rows('years', 'many', 'years', $views);
	is_deeply($views->{desktop}{warnings}, [ 'A new model is held', '1 label to review', 'The last run is old', '11 segments proposed' ],
		'all that can need attention');

	$views = look('empty', $empty, 'desktop', 'phone');
	is(join(' ', map { keys %{ $views->{$_}{marks} } } keys %$views), '', 'no run, no picture');
}

done_testing();

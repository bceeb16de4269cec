# The pictures are drawn by the libraries that draw them for users: checked
# against Vega-Lite's schema, compiled and drawn in Node.js, and shown in a page
# by headless Chromium, which may ask the network for nothing.  In each, layers
# have as many marks as the tables they show have rows.
#
# Skipped where Node.js, the libraries (test/setup.sh) or Chromium are missing.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $tools = 'test/plots';

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
plan skip_all => 'Node.js is not installed' if !defined $node_js;
plan skip_all => "the libraries of $tools are not installed"
  if !-e "$tools/node_modules/.installed";

# with the logs: what a failed test leaves, to be looked at
my $directory = "$PostgreSQL::Test::Utils::log_path/plots";
mkdir $directory;

# Node.js's answer, a line of JSON for each thing it was asked
sub ask
{
	my ($script, @arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ $node_js, "$tools/$script", @arguments ],
		'<', \undef, '>', \$out, '2>', \$err);
	note($err) if $err ne '';
	return map { decode_json($_) } split /\n/, $out;
}

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
$node->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', 'test/demo/customers.sql' ],
	'customers are made');

# Names that would break out of JSON, HTML, XML, or paths to fields.
my $hostile = q{
	SELECT i AS key, i % 17 AS "a.b[0]", (i % 17) ^ 2 AS "<script>alert('1')</script>",
		i % 5 AS "quote"" \ back
line", date '2020-01-01' + i AS "datum['x']",
		(ARRAY['</script><b>', 'b&b', E'c\u0001"'])[1 + i % 3] AS "ünïcödé & ' -->"
	FROM generate_series(1, 300) AS i
};
my $customers = q{
	SELECT customer_id, gender, age, annual_income, spending_score, recency
	FROM customers};
my $features = q{
	SELECT gender, age, annual_income, spending_score, recency
	FROM customers};

$node->safe_psql('postgres', qq{
	CREATE EXTENSION kseg;
	CREATE TABLE elbow (name text, e jsonb);
	INSERT INTO elbow
	SELECT name, e FROM (VALUES
		('elbow', 'SELECT age, annual_income, spending_score FROM customers'),
		('no_elbow', 'SELECT hashint4(i) AS x FROM generate_series(1, 500) AS i'),
		('few_rows', 'SELECT i / 9 AS x FROM generate_series(1, 36) AS i')) AS v (name, query),
		LATERAL (SELECT jsonb_agg(e) AS e FROM kseg_elbow(query) AS e) AS e;
	CREATE TABLE model (name text, model kseg_model);
	INSERT INTO model SELECT 'k' || k, kseg_fit(\$q\$$features\$q\$, k) FROM unnest('{1,5,20,70}'::int[]) AS k;
	INSERT INTO model SELECT 'hostile', kseg_fit(\$q\$SELECT * FROM ($hostile) AS h\$q\$, 4, '{"weights": {"key": 0.0001}}');
});

# What runs would leave; segment 11 has the colour of segment 3.
$node->safe_psql('postgres', q{
	CREATE TABLE target (id int PRIMARY KEY);
	INSERT INTO kseg_segmentations (id, name, owner, query, resolved_query, key, options, target, segment_column,
		owns_target, refit_when, hold_when, hysteresis)
	SELECT i, name, current_user::regrole, '', '', '{id}'::text[], '{}'::jsonb, 'target'::regclass, 'segment ' || i, false,
		'{}'::jsonb, '{}'::jsonb, 0.1
	FROM (VALUES (1, '</script>''"'), (2, 'no runs')) AS v (i, name);
	INSERT INTO kseg_runs (id, segmentation, started, elapsed, mode, action, changed, version, held, run_by)
	SELECT i, 1, timestamptz '2026-01-01' + i * interval '1 day', interval '1 s', 'auto', 'score', i, 1,
		false, 'x'
	FROM generate_series(1, 40) AS i;
	INSERT INTO kseg_sizes
	SELECT r, 1, s, 1000 + 100 * s + (hashint4(r * 100 + s) & 63), 0.2
	FROM generate_series(1, 40) AS r, unnest('{1,2,3,11}'::int[]) AS s WHERE r > 5 OR s < 11;
	INSERT INTO kseg_names SELECT 1, s, '<b>' || s || '.x["y"]' FROM unnest('{1,2,3,11}'::int[]) AS s;
	INSERT INTO kseg_history
	SELECT 1, i, CASE s WHEN 4 THEN 11 ELSE s END, NULL::integer, timestamptz '2026-01-02' + r * interval '1 day',
		CASE WHEN r < 40 AND i % 10 < 3 THEN timestamptz '2026-02-10' END
	FROM generate_series(1, 3000) AS i, LATERAL (SELECT 1 + i % 4 AS s, i % 39 AS r) AS v
	UNION ALL
	SELECT 1, i, 1 + i % 3, NULL, timestamptz '2026-02-10', NULL FROM generate_series(1, 3000) AS i
	WHERE i % 10 < 2;
});

# name => picture, and the marks that its layers should have
my %pictures = (
	(map { ($_ => [ "kseg_plot_elbow(e) FROM elbow WHERE name = '$_'", qq{
		SELECT jsonb_strip_nulls(jsonb_build_object('inertia', count(inertia),
			'knee', nullif(count(*) FILTER (WHERE is_knee), 0),
			'silhouette', nullif(count(silhouette), 0),
			'stability', nullif(count(stability), 0)))
		FROM elbow, jsonb_to_recordset(e) AS x
			(inertia float8, silhouette float8, stability float8, is_knee bool)
		WHERE name = '$_'} ]) } 'elbow', 'no_elbow', 'few_rows'),
	evidence => [ q{kseg_plot_elbow('[
		{"k": 2, "inertia": 9e4, "silhouette": -0.1, "stability": 0.9, "note": "</script>"},
		{"k": 3, "inertia": 10, "silhouette": 0.5, "stability": 0.99, "is_knee": true},
		{"k": 4, "inertia": 9, "silhouette": 0.6, "is_best_silhouette": true},
		{"k": 5}]'::jsonb)}, q{SELECT '{"inertia": 3, "knee": 1, "silhouette": 3, "stability": 2}'} ],
	migration => [ q{kseg_plot_migration('</script>''"')},
		q{SELECT jsonb_build_object('moves', count(*)) FROM kseg_migration('</script>''"')} ],
	migration_all => [ q{kseg_plot_migration('</script>''"', '-infinity')}, q{SELECT '{"moves": 4}'} ],
	migration_runs => [ q{kseg_plot_migration(jsonb_agg(m)) FROM kseg_migration('</script>''"', 10, 20) AS m},
		q{SELECT jsonb_build_object('moves', count(*)) FROM kseg_migration('</script>''"', 10, 20)} ],
	migration_nothing => [ q{kseg_plot_migration('no runs')}, q{SELECT '{"moves": 0}'} ],
	history => [ q{kseg_plot_sizes('</script>''"')}, q{SELECT '{"sizes": 155}'} ],
	history_short => [ q{kseg_plot_sizes('</script>''"', '2026-02-10')}, q{SELECT '{"sizes": 4}'} ],
	history_nothing => [ q{kseg_plot_sizes('no runs')}, q{SELECT '{"sizes": 0}'} ],
	nothing => [ q{kseg_plot_elbow('[]'::jsonb)}, q{SELECT '{}'} ],
	nobody => [ q{kseg_plot_profile('[]'::jsonb)}, q{SELECT '{"profile": 0}'} ],
	no_rows => [ qq{kseg_plot_scatter(model, \$q\$$customers WHERE false\$q\$, 'customer_id')
		FROM model WHERE name = 'k5'}, q{SELECT '{"rows": 0, "centers": 0}'} ],
);
my $profiled = q{SELECT jsonb_build_object('profile', count(z)) FROM model, };
foreach my $name ('k1', 'k5', 'k20', 'k70', 'hostile')
{
	my $query = $name eq 'hostile' ? $hostile : $customers;
	my $key = $name eq 'hostile' ? 'key' : 'customer_id';

	$pictures{"sizes_$name"} = [ "kseg_plot_sizes(model) FROM model WHERE name = '$name'",
		qq{SELECT jsonb_build_object('sizes', k) FROM model, kseg_info(model) WHERE name = '$name'} ];
	$pictures{"profile_$name"} = [ "kseg_plot_profile(model) FROM model WHERE name = '$name'",
		"$profiled kseg_profile(model) WHERE name = '$name'" ];
	$pictures{"profile_query_$name"} = [
		"kseg_plot_profile(model, \$q\$$query\$q\$) FROM model WHERE name = '$name'",
		"$profiled kseg_profile(model, \$q\$$query\$q\$) WHERE name = '$name'" ];
	$pictures{"scatter_$name"} = [
		"kseg_plot_scatter(model, \$q\$$query\$q\$, '$key', 500) FROM model WHERE name = '$name'", qq{
		SELECT jsonb_build_object('rows', count(*), 'centers', count(DISTINCT segment))
		FROM model, kseg_project(model, \$q\$$query\$q\$, '$key', 2, 500) WHERE name = '$name'} ];
}

my %expected;
foreach my $name (sort keys %pictures)
{
	my ($picture, $marks) = @{ $pictures{$name} };

	append_to_file("$directory/$name.json",
		$node->safe_psql('postgres', "BEGIN READ ONLY; SELECT $picture"));
	$expected{$name} = decode_json($node->safe_psql('postgres', $marks));
}
my @specs = map { "$directory/$_.json" } sort keys %pictures;

# numbers, whatever form JSON gave them
sub plain
{
	my ($marks) = @_;
	return { map { $_ => 0 + $marks->{$_} } keys %$marks };
}

foreach my $drawn (ask('render.mjs', $directory, @specs))
{
	my $name = $drawn->{name};

	is(join("\n", @{ $drawn->{problems} }), '', "$name is valid and drawn without a warning");
	is_deeply(plain($drawn->{marks}), plain($expected{$name}), "$name: a mark for each row");
	delete $pictures{$name};
}
is(join(' ', keys %pictures), '', 'all pictures were drawn');

# ---- SVG ----

$node->safe_psql('postgres', q{
	CREATE TABLE drawing AS
	SELECT 'svg_' || name AS name, kseg_svg_elbow(e) AS svg FROM elbow
	UNION ALL SELECT 'svg_profile_' || name, kseg_svg_profile(model) FROM model
	UNION ALL SELECT 'svg_profile_nothing', kseg_svg_profile('[]'::jsonb)
	UNION ALL SELECT 'svg_elbow_nothing', kseg_svg_elbow('[]'::jsonb)
	UNION ALL SELECT 'svg_elbow_wide', kseg_svg_elbow('[
		{"k": 2, "inertia": 1e300, "silhouette": -0.1},
		{"k": 3, "inertia": 1e-300, "silhouette": 0.2, "is_best_silhouette": true, "is_knee": true},
		{"k": 4, "inertia": 0},
		{"k": 5}]'::jsonb);
});
my $has_xml = $node->psql('postgres', q{SELECT xml_is_well_formed('<a/>')}) == 0;
my @drawings = split /\n/, $node->safe_psql('postgres', 'SELECT name FROM drawing ORDER BY name');

foreach my $name (@drawings)
{
	my $svg = $node->safe_psql('postgres', "SELECT svg FROM drawing WHERE name = '$name'");

	append_to_file("$directory/$name.svg", $svg);
	unlike($svg, qr/NaN|Infinity|<script|="[^"]*</, "$name holds no oddity");
  SKIP:
	{
		skip 'the server was built without libxml', 1 if !$has_xml;
		is($node->safe_psql('postgres',
			"SELECT xml_is_well_formed_document(svg) FROM drawing WHERE name = '$name'"),
			't', "$name is well-formed");
	}
}

# ---- the page ----

SKIP:
{
	my $page = "$directory/page.html";
	my ($found, $figures);

	skip 'Chromium is not installed', 3 if !defined $browser;
	ask('page.mjs', $page, 'The <test> page', @specs, map { "$directory/$_.svg" } @drawings);
	local $ENV{HOME} = PostgreSQL::Test::Utils::tempdir_short();
	($found) = ask('browse.mjs', $browser, $page, "$ENV{HOME}/browser", "$directory/page.png");
	is(join("\n", @{ $found->{errors} }), '', 'the page is shown without an error');
	is(join("\n", @{ $found->{requests} }), '', '... and asks for nothing');

	# a group of marks without a mark is not in the page
	$figures = $found->{figures};
	is_deeply(
		{ map { my $name = $_; $name => { map { $_ => $figures->{$name}{$_} // 0 } keys %{ $expected{$name} } } } keys %expected },
		{ map { $_ => plain($expected{$_}) } keys %expected },
		'... and each picture has a mark for each row');
}

done_testing();

# Whatever the locale, the time zone, the form in which numbers and dates are
# written, and the search_path: the same bits, and the same text of them.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $setup = q{
	CREATE EXTENSION kseg;
	CREATE TABLE t AS
	SELECT i AS id, (hashint4(i) & 1023) / 7.0::float8 + i % 3 * 400 AS a, ((hashint4(i + 1) & 65535) / 100.0)::numeric(10, 2) AS b,
		(ARRAY['zebra', 'Öl', 'Zug', 'äpfel', 'oben', 'Äther'])[1 + (hashint4(i + 2) & 65535) % 6] AS c,
		timestamptz '2024-03-31 00:30:00Z' + (i % 500) * interval '1 hour' AS d, date '2024-01-01' + i % 366 AS e,
		(i % 400) * interval '1 day 3 hours' AS f, -(i % 40) / 8.0::float4 AS g, NULL::int AS segment
	FROM generate_series(1, 600) AS i;
	CREATE TABLE m AS SELECT kseg_fit(4, a, b, c, d, e, f, g) AS model FROM t;
};

# Everything that reads, as one number; functions and operators by their full
# names, for sessions whose search_path leads elsewhere.
my $query = q{'SELECT a, b, c, d, e, f, g FROM public.t'};
my $keyed = q{'SELECT id, a, b, c, d, e, f, g FROM public.t'};
my $call = q{pg_catalog.md5(pg_catalog.string_agg(%s, '|' ORDER BY %s COLLATE "C"))};
my @read = (
	[ 'fit', "SELECT pg_catalog.md5(public.kseg_model_send(public.kseg_fit(4, a, b, c, d, e, f, g))) FROM public.t" ],
	[ 'fit as text', "SELECT pg_catalog.md5(public.kseg_fit(4, a, b, c, d, e, f, g)::pg_catalog.text) FROM public.t" ],
	[ 'fit as jsonb', "SELECT pg_catalog.md5(public.kseg_fit(4, a, b, c, d, e, f, g)::pg_catalog.jsonb::pg_catalog.text) FROM public.t" ],
	[ 'fit(query)', "SELECT pg_catalog.md5(public.kseg_model_send(public.kseg_fit($query, 4)))" ],
	[ 'pushdown', qq{SELECT pg_catalog.md5(public.kseg_model_send(public.kseg_fit($query, 4, '{"engine": "pushdown"}')))} ],
	[ 'file', "SET kseg.work_mem = '1MB'; SELECT pg_catalog.md5(public.kseg_model_send(public.kseg_fit($query, 4)))" ],
	[ 'workers', "SET kseg.parallel_min_work = 0; SELECT pg_catalog.md5(public.kseg_model_send(public.kseg_fit($query, 4)))" ],
	[ 'predict', 'SELECT ' . sprintf($call, 'public.kseg_predict(model, a, b, c, d, e, f, g)::pg_catalog.text', 'id::pg_catalog.text') . ' FROM public.t, public.m' ],
	[ 'model of the table', 'SELECT pg_catalog.md5(public.kseg_model_send(model::pg_catalog.text::public.kseg_model)) FROM public.m' ],
	(map { my ($name, $sql) = @$_;
		[ $name, "SET extra_float_digits = 1; SELECT " . sprintf($call, 'r::pg_catalog.text', 'r::pg_catalog.text') . " FROM public.m, $sql AS r" ] }
	  [ 'elbow', "public.kseg_elbow($query, 1, 4)" ], [ 'evaluate', "public.kseg_evaluate(model, $query)" ],
	  [ 'profile', "public.kseg_profile(model, $query)" ], [ 'explain', "public.kseg_explain(model, $query)" ],
	  [ 'project', "public.kseg_project(model, $keyed, 'id')" ], [ 'segments', "public.kseg_segments($keyed, 'id', model)" ]));
my @write = (
	[ 'apply', q{BEGIN; UPDATE public.t SET segment = NULL;
		SELECT scored, changed FROM public.m, public.kseg_apply(model, 'public.t', 'segment');
		SELECT pg_catalog.md5(pg_catalog.string_agg(segment::pg_catalog.text, ',' ORDER BY id)) FROM public.t; ROLLBACK} ],
	[ 'run', q{BEGIN; ALTER TABLE public.t ADD PRIMARY KEY (id);
		SELECT rows FROM public.kseg_create('s', 'SELECT id, a, b, c, d, e, f, g FROM public.t', 'id', 4, target => 'public.t');
		SELECT action, scored FROM public.kseg_run('s'); SELECT action, changed FROM public.kseg_run('s');
		SELECT pg_catalog.md5(pg_catalog.string_agg(segment::pg_catalog.text, ',' ORDER BY id)) FROM public.t; ROLLBACK} ]);

my %expected;

# All answers of a session; the first one's are what is expected of others.
sub same
{
	my ($node, $session, $name, @which) = @_;
	my $sql = "SET client_min_messages = warning; $session;\n";
	my ($out, $err, %answers, @odd);

	$sql .= "\\echo ==$_->[0]\n$_->[1];\nRESET kseg.work_mem; RESET kseg.parallel_min_work;\n" foreach @which;
	$node->psql('postgres', $sql, stdout => \$out, stderr => \$err, on_error_stop => 1, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	$answers{$1} = $2 while $out =~ /^==(.*)\n((?:(?!==).*\n?)*)/mg;
	foreach (map { $_->[0] } @which)
	{
		$answers{$_} =~ s/\n+\z// if defined $answers{$_};
		$expected{$_} //= $answers{$_};
		push @odd, "$_: " . ($answers{$_} // 'nothing') if ($answers{$_} // '') ne ($expected{$_} // '');
	}
	ok(!@odd && $err eq '', $name) or diag(join("\n", @odd, $err));
}

my $node = PostgreSQL::Test::Cluster->new('c');
$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$node->start;
$node->safe_psql('postgres', $setup);
same($node, 'SET TimeZone = UTC', 'locale C', @read, @write);
is(scalar(grep { ($_ // '') eq '' } values %expected), 0, 'all of them answer');
is($expected{$_}, $expected{'fit(query)'}, "$_: the same bits as in memory") foreach qw(pushdown file workers);

# ---- settings of a session ----

my @few = grep { $_->[0] =~ /^(fit|pushdown|predict|model of|profile|segments)/ } @read;
foreach my $digits (-15, -4, 0, 1, 3)
{
	same($node, "SET extra_float_digits = $digits", "extra_float_digits $digits", @few);
}
foreach my $zone ('Europe/Berlin', 'America/St_Johns', 'Asia/Kathmandu', 'Pacific/Kiritimati', '<+1559>-15:59', 'UTC+12')
{
	same($node, "SET TimeZone = '$zone'", "time zone $zone", @few);
}
foreach my $setting ("DateStyle = 'German, DMY'", "DateStyle = 'SQL, MDY'", "DateStyle = 'Postgres, YMD'",
	"IntervalStyle = 'sql_standard'", "IntervalStyle = 'iso_8601'", "bytea_output = 'escape'", 'standard_conforming_strings = off',
	'transform_null_equals = on', 'array_nulls = off', 'row_security = off', 'enable_hashagg = off', "plan_cache_mode = 'force_generic_plan'",
	"plan_cache_mode = 'force_custom_plan'", "backslash_quote = 'off'", 'quote_all_identifiers = on', 'jit_above_cost = 0')
{
	same($node, "SET $setting", $setting, @few, $write[1]);
}

# ---- a search_path that leads to traps ----

$node->safe_psql('postgres', q{
	CREATE SCHEMA traps;
	CREATE TABLE traps.sprung (what text);
	CREATE FUNCTION traps.spring(text) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO traps.sprung VALUES ($1);
		RETURN 1;
	END $$;
	-- a function for each that an extension is likely to use by its plain name
	DO $$
	DECLARE
		f record;
	BEGIN
		FOR f IN SELECT DISTINCT ON (p.oid) p.proname, pg_get_function_identity_arguments(p.oid) AS args, p.prorettype::regtype AS result
			FROM pg_proc AS p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset AND p.provariadic = 0
				AND p.prorettype IN ('int4'::regtype, 'float8'::regtype, 'text'::regtype, 'bool'::regtype, 'int8'::regtype, 'numeric'::regtype)
				AND p.proname IN ('abs', 'sqrt', 'ln', 'round', 'floor', 'ceil', 'length', 'format', 'concat', 'lower', 'upper', 'replace',
					'quote_ident', 'array_length', 'cardinality', 'greatest', 'now', 'power', 'sign', 'substr', 'left', 'right', 'lpad',
					'textcat', 'int4pl', 'float8mul', 'texteq', 'int4eq', 'to_char', 'array_to_string', 'strpos', 'btrim', 'exp')
				AND (SELECT bool_and(a IN (23, 701, 25, 20, 16, 1700)) FROM unnest(p.proargtypes) AS a)
		LOOP
			EXECUTE format('CREATE FUNCTION traps.%I(%s) RETURNS %s LANGUAGE sql AS $f$SELECT traps.spring(%L)::text::%s$f$',
				f.proname, f.args, f.result, f.proname, f.result);
		END LOOP;
		FOR f IN SELECT o.oprname, o.oprleft::regtype AS l, o.oprright::regtype AS r, o.oprresult::regtype AS result
			FROM pg_operator AS o WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprname IN ('=', '<>', '<', '>', '<=', '>=', '+', '-', '*', '/', '||')
				AND o.oprleft IN (23, 701, 25, 20, 1700) AND o.oprright IN (23, 701, 25, 20, 1700) AND o.oprresult IN (16, 23, 701, 25, 20, 1700)
		LOOP
			EXECUTE format('CREATE FUNCTION traps.%I(%s, %s) RETURNS %s LANGUAGE sql AS $f$SELECT traps.spring(%L)::text::%s$f$',
				'op_' || md5(f::text), f.l, f.r, f.result, f.oprname, f.result);
			EXECUTE format('CREATE OPERATOR traps.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = traps.%I)',
				f.oprname, f.l, f.r, 'op_' || md5(f::text));
		END LOOP;
	END $$;
	CREATE VIEW traps.pg_class AS SELECT traps.spring('pg_class') AS oid;
	CREATE VIEW traps.kseg_segmentations AS SELECT traps.spring('kseg_segmentations') AS id;
	CREATE TYPE traps.kseg_model AS (a int);
	CREATE TYPE traps.kseg_pass AS (a int);
	CREATE FUNCTION traps.kseg_point(public.kseg_pass, float8) RETURNS int LANGUAGE sql AS $$SELECT traps.spring('kseg_point')$$;
	CREATE FUNCTION traps.kseg_accum(int) RETURNS int LANGUAGE sql AS $$SELECT traps.spring('kseg_accum')$$;
});
# (explain's and the pictures' SQL are the caller's own text: they stay out)
my @bare = grep { $_->[0] !~ /explain/ } @read;
foreach my $path ('traps, pg_catalog, public', 'traps, pg_catalog', 'pg_catalog', "''", 'traps, public')
{
	same($node, "SET search_path = $path", "search_path $path", @bare, @write);
}
is($node->safe_psql('postgres', 'SELECT DISTINCT what FROM traps.sprung'), '', 'no trap was sprung');
# a trap that nobody falls into is no test
is($node->safe_psql('postgres', q{SET search_path = traps, pg_catalog; SELECT 3 + 4}), '1', 'the traps work');
$node->stop;

# ---- locales ----

# A locale in a directory of ours, where the system has none.
sub find_locale
{
	my $dir = PostgreSQL::Test::Utils::tempdir;
	my ($have) = grep { /^de_DE\.utf-?8$/i } split /\n/, `locale -a 2>/dev/null`;

	return ($have, undef) if defined $have;
	system("localedef -f UTF-8 -i de_DE $dir/de_DE.UTF-8 >/dev/null 2>&1");
	return -d "$dir/de_DE.UTF-8" ? ('de_DE.UTF-8', $dir) : ();
}

sub in_locale
{
	my ($name, $session, @options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name =~ s/\W/_/gr);

	$node->init(extra => \@options);
	$node->start;
	$node->safe_psql('postgres', $setup);
	same($node, $session, "locale $name", @read, @write);
	is($node->safe_psql('postgres', q{SELECT string_agg(c, ' ' ORDER BY c) FROM (SELECT DISTINCT c FROM t) AS s}),
		$name eq 'C' ? '' : 'äpfel Äther oben Öl zebra Zug', "$name sorts by its own rules");
	$node->stop;
}

SKIP:
{
	my ($locale, $path) = find_locale();

	skip 'no locale de_DE.UTF-8, and localedef cannot make one', 2 unless defined $locale;
	local $ENV{LOCPATH} = $path // $ENV{LOCPATH} // '';
	delete $ENV{LOCPATH} if $ENV{LOCPATH} eq '';
	in_locale($locale, "SET lc_numeric = '$locale'; SET lc_monetary = '$locale'; SET lc_time = '$locale'", "--locale=$locale", '--encoding=UTF8');
}
SKIP:
{
	my $configure = `pg_config --configure`;

	skip 'a server without ICU', 2 unless $configure =~ /--with-icu/;
	in_locale('ICU de', 'SET TimeZone = UTC', '--locale-provider=icu', '--icu-locale=de', '--locale=C', '--encoding=UTF8');
}

done_testing();

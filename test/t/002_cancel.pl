# A statement that is cancelled ends at once, in every phase, and leaves the
# session as it was.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_buffers = 256MB\nmax_wal_size = 4GB");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION kseg;
	CREATE TABLE t AS
	SELECT i AS id, hashint4(i) % 1000 AS a, (hashint4(i + 1) & 65535)::float8 AS b,
	       sqrt((hashint4(i + 2) & 65535)::float8) AS c, (hashint4(i + 3) % 100)::numeric AS d,
	       (hashint4(i + 4) & 1023)::float8 AS e, (hashint4(i + 5) & 4095)::float8 AS f,
	       'v' || (hashint4(i + 6) & 15) AS g, NULL::int AS segment
	FROM generate_series(1, 150000) AS i;
	VACUUM ANALYZE t;
	CREATE TABLE wide AS SELECT kseg_fit('SELECT id % 999 AS x, ''v'' || id % 1200 AS c FROM t WHERE id < 2000', 2, '{"n_init": 1}') AS model;
	CREATE TABLE m AS SELECT kseg_fit(20, a, b, c, d, e, f) AS model FROM t WHERE id < 20000;
});

# Each is stopped at seven moments spread over its whole length, so that
# every phase is met: reading, statistics, quantiles, sample, search, polish.
my %statements = (
	'fit' => q{SELECT kseg_fit(12, a, b, c, d, e, f) FROM t},
	'fit, robust, clipped' =>
	  q{SELECT kseg_fit('{"k": 8, "scale": "robust", "clip": [0.01, 0.99], "nulls": "mean"}'::jsonb, a, b, c, d, e, f, g) FROM t},
	'fit, large k' => q{SELECT kseg_fit('{"k": 150, "n_init": 1}'::jsonb, b, c, e) FROM t},
	'elbow' => q{SELECT * FROM kseg_elbow('SELECT a, b, c, d FROM t', 1, 6)},
	'segments' => q{SELECT count(*) FROM kseg_segments('SELECT id, a, b, c, d FROM t', 'id', 10)},
	'evaluate' => q{SELECT count(*) FROM m, kseg_evaluate(model, 'SELECT a, b, c, d, e, f FROM t') AS v},
	'agreement of very many pairs' => q{SELECT kseg_ari(i % 1600, i / 1600) FROM generate_series(1, 1500000) AS i},
	'project' => q{SELECT count(*) FROM wide, kseg_project(model, 'SELECT id, id % 999 AS x, ''v'' || id % 1200 AS c FROM t WHERE id < 20000', 'id')},
	'explain' => q{SELECT count(rule) FROM m, kseg_explain(model, 'SELECT a, b, c, d, e, f FROM t')},
	'window' => q{SELECT count(s) FROM (SELECT kseg_cluster(5, a, b) OVER () AS s FROM t) AS w},
	'scaler' => q{SELECT kseg_scaler('robust', a, b, c, d, e, f) FROM t},
	'apply' => q{BEGIN; SELECT kseg_apply((SELECT model FROM m), 't', 'segment')},
	'groups' => q{SELECT count(*) FROM (SELECT kseg_fit(4, b, c) FROM t GROUP BY id % 3000) AS s},
);

sub overrun
{
	my ($sql, $timeout) = @_;
	my ($out, $err) = ('', '');
	my $psql = $node->psql('postgres',
		"SET client_min_messages = error;\n"
		  . "SELECT count(*) FROM m;\n"    # the library is loaded
		  . "SET statement_timeout = $timeout;\n"
		  . "\\timing on\n$sql;\n\\timing off\nROLLBACK;\n"
		  . "SET statement_timeout = 0;\nSELECT 'alive', count(model::text) FROM m;",
		stdout => \$out, stderr => \$err, on_error_stop => 0);
	# the last one: a BEGIN before it has a time too
	my ($time) = $out =~ /.*Time: ([0-9.]+)/s;
	return ($time, $err, $out);
}

for my $name (sort keys %statements)
{
	my ($whole) = overrun($statements{$name}, 0);
	my (@late, $cancelled, $alive, $odd);

	$cancelled = $alive = 0;
	$odd = '';
	for my $i (1 .. 7)
	{
		my $timeout = int($whole * $i / 8) || 1;
		my ($time, $err, $out) = overrun($statements{$name}, $timeout);

		$alive++ if $out =~ /alive\|1/;
		if ($err =~ /canceling statement due to statement timeout/)
		{
			$cancelled++;
			push @late, $time - $timeout;
		}
		elsif ($err ne '')
		{
			$odd = $err;
		}
	}
	@late = sort { $a <=> $b } @late;
	note(sprintf('%s: %.0f ms whole, %d cancelled, latest %.0f ms after its time', $name, $whole, $cancelled, $late[-1] // 0));
	is($odd, '', "$name: no other error");
	is($alive, 7, "$name: the session goes on");
	cmp_ok($cancelled, '>=', 3, "$name: some were cancelled on their way");
	# one late answer may be the machine's fault
	cmp_ok($late[-2] // 0, '<', 100, "$name: cancelled within 100 ms");
}

is($node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE segment IS NOT NULL'), '0',
	'a cancelled write-back has written nothing') || 1;

done_testing();

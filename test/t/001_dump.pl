# Dump and restore, and a restart: models keep their bits.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

$node->safe_psql('postgres', q{
	CREATE DATABASE source;
	CREATE DATABASE target;
	CREATE DATABASE target_plain;
});
$node->safe_psql('source', q{
	CREATE EXTENSION kseg;
	CREATE TABLE customers AS
	SELECT i AS id, (hashint4(i) & 63) AS age,
	       exp((hashint4(i + 99) & 1023) / 200.0)::float8 AS income,
	       (ARRAY['a', 'b"', 'ü', E'back\\\\slash'])[1 + i % 4] AS kind
	FROM generate_series(1, 3000) AS i;
	CREATE TABLE models (name text, model kseg_model);
	INSERT INTO models
	SELECT o, kseg_fit(o::jsonb, age, income) FROM customers,
	       unnest(ARRAY['{"k": 3}', '{"k": 7, "scale": "robust", "clip": [0.01, 0.99]}',
	                    '{"k": 4, "distance": "cosine"}']) AS o
	GROUP BY o;
	INSERT INTO models SELECT 'categories', kseg_fit(5, age, income, kind) FROM customers;
	INSERT INTO models
	SELECT 'aligned', kseg_align((SELECT kseg_fit(6, age, income, kind) FROM customers WHERE age < 40), model)
	FROM models WHERE name = 'categories';
	CREATE TABLE scalers AS
	SELECT m, kseg_scaler(m, age, income) AS scaler
	FROM customers, unnest(ARRAY['zscore', 'robust']) AS m GROUP BY m;
	CREATE VIEW scored AS
	SELECT id, kseg_predict(model, age, income, kind) AS segment
	FROM customers, models WHERE name = 'categories';
});

# what there is, as bytes
my $state = q{
	SELECT md5(string_agg(encode(kseg_model_send(model), 'hex'), ',' ORDER BY name)) FROM models
	UNION ALL SELECT md5(string_agg(model::text, ',' ORDER BY name)) FROM models
	UNION ALL SELECT md5(string_agg(scaler::text, ',' ORDER BY m)) FROM scalers
	UNION ALL SELECT md5(string_agg(segment::text, ',' ORDER BY id)) FROM scored
};
my $before = $node->safe_psql('source', $state);
is($node->safe_psql("source", q{SELECT model::jsonb ? 'last_id' FROM models WHERE name = 'aligned'}), "t", "a model with ids of its own");
like($before, qr/^[0-9a-f]{32}\n[0-9a-f]{32}\n[0-9a-f]{32}\n[0-9a-f]{32}$/, 'there is something to dump');

my $file = $node->basedir . '/source.dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $file, $node->connstr('source') ], 'pg_dump');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('target'), $file ], 'pg_restore');
is($node->safe_psql('target', $state), $before, 'custom format: the same bits');

$node->command_ok([ 'pg_dump', '--inserts', '--extra-float-digits=0', '-f', $file, $node->connstr('source') ],
	'pg_dump --inserts with rounded floats');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('target_plain'), '-f', $file ],
	'psql');
# customers.income is rounded by such a dump; models are not
is($node->safe_psql('target_plain', $state =~ s/UNION ALL SELECT md5\(string_agg\(segment.*//sr),
	join("\n", (split /\n/, $before)[0 .. 2]), 'as inserts: the same bits');

$node->restart;
is($node->safe_psql('source', $state), $before, 'after a restart: the same bits');

# binary COPY from one database to another
my $copy = $node->basedir . '/models.bin';
$node->safe_psql('source', "COPY models TO '$copy' (FORMAT binary)");
$node->safe_psql('target', "TRUNCATE models; COPY models FROM '$copy' (FORMAT binary)");
is($node->safe_psql('target', $state), $before, 'binary COPY: the same bits');

# the extension goes with everything that depends on it, and nothing stays
$node->safe_psql('target', 'DROP EXTENSION kseg CASCADE');
is($node->safe_psql('target', q{SELECT count(*) FROM pg_proc WHERE proname LIKE 'kseg%'}), '0',
	'DROP EXTENSION leaves nothing');

done_testing();

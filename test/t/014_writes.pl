# A night writes what has changed, and nothing else; and what has changed is
# no flicker at a border between two segments.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
# n_dead_tup must be what the nights left
$node->append_conf('postgresql.conf', "shared_buffers = 256MB\nmax_wal_size = 4GB\nautovacuum = off");
$node->start;

sub ask
{
	return $node->safe_psql('postgres', shift);
}

ask(q{
	CREATE EXTENSION kseg;

	-- about normal, mean 0 and standard deviation 1, always the same
	CREATE FUNCTION noise(id int, salt int) RETURNS float8
	IMMUTABLE PARALLEL SAFE LANGUAGE sql
	RETURN ((hashint4(hashint4(id) # salt) & 65535) + (hashint4(hashint4(id) # salt + 1000) & 65535)
	        + (hashint4(hashint4(id) # salt + 2000) & 65535) - 98304) / 32768.0;

	-- five groups that touch; what a customer is like does not change unless
	-- "draw" or "grp" do
	CREATE FUNCTION ways(id int, grp int, draw int, OUT visits float8, OUT spent float8, OUT age float8)
	IMMUTABLE LANGUAGE sql
	RETURN (10 + 2 * ((ARRAY[0, 3, 0, 3, 1.5])[grp] + noise(id, draw)),
	        100 + 20 * ((ARRAY[0, 3, 3, 0, 1.5])[grp] + noise(id, draw + 1)),
	        40 + 5 * ((ARRAY[0, 0, 3, 3, 4.8])[grp] + noise(id, draw + 2)));
	CREATE TABLE customers (id int PRIMARY KEY, visits float8, spent float8, age float8, segment int, steady int);
	INSERT INTO customers
	SELECT id, w.* FROM generate_series(1, 20000) AS id, ways(id, 1 + (hashint4(id) & 1023) % 5, 1) AS w;
	CREATE VIEW shop AS SELECT id, visits, spent, age FROM customers;

	-- segments in the customers' table; in a table of its own
	SELECT kseg_create('column', 'SELECT id, visits, spent, age FROM customers', 'id', 5, target => 'customers');
	SELECT kseg_create('table', 'SELECT * FROM shop', 'id', 5);
	SELECT kseg_run('column');
	SELECT kseg_run('table');
});

# ---- what a night writes ----

# Every row of a table, and the transaction that wrote it.
sub rows
{
	return ask("SELECT md5(string_agg(format('%s %s %s', ctid, xmin, t), ',' ORDER BY ctid)) FROM $_[0] AS t");
}

# Each call is a session of its own, which counts for others when it has ended;
# psql does not wait for that.
sub others_have_ended
{
	$node->poll_query_until('postgres', q{
		SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'
	}) or die 'a session does not end';
}

# Counters of a table.
sub counters
{
	others_have_ended();
	return [ split /\|/, ask("SELECT n_tup_ins, n_tup_upd, n_tup_del, n_dead_tup FROM pg_stat_user_tables WHERE relid = '$_[0]'::regclass") ];
}

# How often a row of the history was found by an index.
sub found
{
	others_have_ended();
	return ask("SELECT idx_tup_fetch FROM pg_stat_user_tables WHERE relid = 'kseg_history'::regclass");
}

sub night_of
{
	my ($name, $mode, @tables) = @_;
	my %before = map { $_ => [ rows($_), counters($_) ] } @tables;
	my $run = ask("SELECT action, scored, changed, new, gone, unassigned, held FROM kseg_run('$name', '$mode')");
	my %written;

	for my $table (@tables)
	{
		my $after = counters($table);
		$written{$table} = join(' ', map { $after->[$_] - $before{$table}[1][$_] } 0 .. 3)
		  . (rows($table) eq $before{$table}[0] ? '' : ' and other rows');
	}
	return ($run, \%written);
}

my %target = ('column' => 'customers', 'table' => 'table_segments');
my @ours = qw(kseg_history kseg_models kseg_baselines kseg_labels kseg_grants kseg_segmentations);

ask(q{SELECT kseg_label('column', 1, 'one')});
for my $name (sort keys %target)
{
	for my $mode ('auto', 'score', 'dry')
	{
		my ($run, $written) = night_of($name, $mode, $target{$name}, @ours);
		my $action = $mode eq 'dry' ? 'dry' : 'score';

		is($run, "$action|20000|0|0|0|0|f", "$name, $mode: nothing has changed");
		is($written->{$_}, '0 0 0 0', "$name, $mode: nothing is written to $_") for $target{$name}, @ours;
	}
}

# A refit of the same rows finds the same segments.
for my $name (sort keys %target)
{
	my ($run, $written) = night_of($name, 'refit', $target{$name}, 'kseg_history', 'kseg_labels');

	is($run, "refit|20000|0|0|0|0|f", "$name: a refit of the same rows");
	is($written->{$_}, '0 0 0 0', "$name, refit: nothing is written to $_") for $target{$name}, qw(kseg_history kseg_labels);
}

# One customer in a hundred changes his ways; some of them belong elsewhere now.
ask(q{
	UPDATE customers AS c SET visits = w.visits, spent = w.spent, age = w.age
	FROM generate_series(7, 20000, 100) AS s (id), ways(s.id, 1 + (hashint4(s.id) & 1023) / 7 % 5, 10) AS w
	WHERE c.id = s.id;
});
for my $name (sort keys %target)
{
	my $target = $target{$name};

	ask(qq{
		DROP TABLE IF EXISTS before, history_before;
		CREATE TABLE before AS SELECT id, segment, xmin AS writer, ctid AS place FROM $target;
		CREATE TABLE history_before AS SELECT h.*, h.ctid AS place, h.xmin AS writer FROM kseg_history AS h;
	});
	my $found = found();
	my ($run, $written) = night_of($name, 'auto', $target, @ours);
	$found = found() - $found;
	my $moved = ask("SELECT count(*) FROM before JOIN $target AS t USING (id) WHERE t.segment <> before.segment");

	cmp_ok($moved, '>', 100, "$name: customers move");
	cmp_ok($moved, '<', 200, "$name: not all that changed");
	is($run, "score|20000|$moved|0|0|0|f", "$name: the run counts those");
	is(ask("SELECT count(*) FROM before JOIN $target AS t USING (id) WHERE (t.segment <> before.segment) <> (t.xmin <> writer)
	        OR (t.segment = before.segment AND t.ctid <> place)"), '0', "$name: these rows are written, and no other");
	is($written->{$target} =~ s/ and other rows//r, "0 $moved 0 $moved", "$name: the server counts the same");
	is($written->{kseg_history} =~ s/ and other rows//r, "$moved $moved 0 $moved", "$name: so many rows of history end, so many begin");
	# without statistics the planner thinks little of its size
	cmp_ok($found, '<=', 3 * $moved, "$name: which are found by their key");
	is(ask("SELECT count(*) FROM history_before AS b JOIN kseg_history AS h USING (segmentation, key, valid_from)
	        WHERE h.xmin <> b.writer AND NOT (b.valid_to IS NULL AND h.valid_to IS NOT NULL
	              AND EXISTS (SELECT FROM before JOIN $target AS t USING (id)
	                          WHERE t.segment <> before.segment AND id::text = key AND h.segment = before.segment))"),
		'0', "$name: those that they should be");
	is($written->{$_}, '0 0 0 0', "$name: nothing is written to $_") for qw(kseg_models kseg_baselines kseg_labels kseg_grants);
}

# A customer who is new, one who is gone, one without a value.
ask(q{
	DELETE FROM customers WHERE id IN (11, 12);
	INSERT INTO customers SELECT id, w.* FROM generate_series(20001, 20003) AS id, ways(id, 2, 1) AS w;
	UPDATE customers SET visits = NULL WHERE id = 13;
});
{
	my ($run, $written) = night_of('column', 'auto', 'customers', 'kseg_history');
	is($run, 'score|20000|0|3|3|1|f', 'column: three are new, three are gone');
	# the three that are there are given their segment, one loses his
	is($written->{customers}, '0 4 0 4 and other rows', 'column: four rows are written');
	is($written->{kseg_history}, '3 3 0 3 and other rows', 'column: and six rows of history');
	($run, $written) = night_of('table', 'auto', 'table_segments', 'kseg_history');
	is($run, 'score|20000|0|3|3|1|f', 'table: three are new, three are gone');
	like($written->{table_segments}, qr/^(3 0 3 3|4 0 3 3|3 1 2 3) and other rows$/, 'table: theirs are all the rows that are written');
	is($written->{kseg_history}, '3 3 0 3 and other rows', 'table: and of history');
	for my $name (sort keys %target)
	{
		($run, $written) = night_of($name, 'auto', $target{$name}, 'kseg_history');
		is($run, 'score|20000|0|0|0|1|f', "$name: and the night after, nothing");
		is($written->{$_}, '0 0 0 0', "$name: nothing is written to $_") for $target{$name}, 'kseg_history';
	}
}

# ---- hysteresis ----

# Values are measured anew each night, 5 % of their standard deviation about
# what they truly are.  On some nights one customer in a hundred truly moves to
# another group.  The same nights with the default and without it.
my $nights = 12;

ask(q{
	CREATE TABLE true_ways AS
	SELECT id, 1 + (hashint4(id) & 1023) % 5 AS grp, 1 AS draw, NULL::int AS moved, NULL::int AS was, w.*
	FROM generate_series(1, 20000) AS id, ways(id, 1 + (hashint4(id) & 1023) % 5, 1) AS w;
	CREATE TABLE measured (id int PRIMARY KEY, visits float8, spent float8, age float8, flickers int, steady int);
	CREATE PROCEDURE measure(night int) LANGUAGE sql BEGIN ATOMIC
		UPDATE measured AS m
		SET visits = t.visits + 0.0875 * 2 * noise(m.id, night * 10 + 500),
		    spent = t.spent + 0.0875 * 20 * noise(m.id, night * 10 + 501),
		    age = t.age + 0.0875 * 5 * noise(m.id, night * 10 + 502)
		FROM true_ways AS t WHERE t.id = m.id;
	END;
	INSERT INTO measured SELECT id FROM true_ways;
	CALL measure(1);
	SELECT kseg_create('flickers', 'SELECT id, visits, spent, age FROM measured', 'id', 5,
	                   target => 'measured', segment_column => 'flickers', hysteresis => 0);
	SELECT kseg_create('steady', 'SELECT id, visits, spent, age FROM measured', 'id', 5,
	                   target => 'measured', segment_column => 'steady');
	SELECT kseg_run('flickers');
	SELECT kseg_run('steady');
	CREATE TABLE seen AS SELECT 1 AS night, id, flickers, steady FROM measured;
	CREATE TABLE truth AS
	SELECT model FROM kseg_models AS m JOIN kseg_segmentations AS s ON s.id = m.segmentation WHERE s.name = 'steady';
});
is(ask(q{SELECT count(DISTINCT md5(m.model::text)) FROM kseg_models AS m JOIN kseg_segmentations AS s ON s.id = m.segmentation
         WHERE s.name IN ('steady', 'flickers')}), '1', 'both have the same model');
for my $night (2 .. $nights)
{
	ask(qq{
		UPDATE true_ways AS t
		SET grp = n.grp, draw = n.draw, moved = $night, was = kseg_predict(truth.model, t.visits, t.spent, t.age),
		    visits = w.visits, spent = w.spent, age = w.age
		FROM (SELECT id, grp % 5 + 1 AS grp, draw + 30 AS draw FROM true_ways) AS n, ways(n.id, n.grp, n.draw) AS w, truth
		WHERE n.id = t.id AND (hashint4(t.id) >> 10 & 127) = $night
	}) if $night <= $nights - 3;
	ask(qq{
		CALL measure($night);
		SELECT kseg_run('flickers', 'score');
		SELECT kseg_run('steady', 'score');
		INSERT INTO seen SELECT $night, id, flickers, steady FROM measured;
	});
}
my ($flickers, $steady) = split /\|/, ask(q{
	SELECT count(*) FILTER (WHERE a.flickers <> b.flickers), count(*) FILTER (WHERE a.steady <> b.steady)
	FROM seen AS a JOIN seen AS b ON b.id = a.id AND b.night = a.night + 1
	JOIN true_ways AS t ON t.id = a.id WHERE t.moved IS NULL});
# A move is lost if the customer is not shown where he belongs now, on any
# night of three or more.
my ($moves, $lost, $lost_at_once, $lost_anyway) = split /\|/, ask(q{
	SELECT count(*), count(*) FILTER (WHERE NOT ever), count(*) FILTER (WHERE NOT at_once), count(*) FILTER (WHERE NOT anyway)
	FROM (SELECT t.id, bool_or(s.steady = kseg_predict(truth.model, t.visits, t.spent, t.age)) AS ever,
	             bool_or(s.steady = kseg_predict(truth.model, t.visits, t.spent, t.age) AND s.night = t.moved) AS at_once,
	             bool_or(s.flickers = kseg_predict(truth.model, t.visits, t.spent, t.age)) AS anyway
	      FROM true_ways AS t JOIN seen AS s ON s.id = t.id AND s.night >= t.moved CROSS JOIN truth
	      WHERE t.was <> kseg_predict(truth.model, t.visits, t.spent, t.age) GROUP BY t.id) AS m});
note(sprintf('%d changes of nobody who moved without hysteresis, %d with it: %.1f %% less', $flickers, $steady,
		100 * (1 - $steady / $flickers)));
note(sprintf('%d of %d moves lost, %.1f %% (%.1f %% came late; without hysteresis %d are lost)', $lost, $moves,
		100 * $lost / $moves, 100 * ($lost_at_once - $lost) / $moves, $lost_anyway));
cmp_ok($flickers, '>', 1000, 'there is flicker');
cmp_ok($steady, '<=', 0.2 * $flickers, 'hysteresis takes 80 % of it away');
cmp_ok($moves, '>', 500, 'customers move');
cmp_ok($lost, '<', 0.02 * $moves, 'and fewer than 2 % of the moves are lost');

done_testing();

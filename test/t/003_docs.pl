# The examples of the documentation run, and print what it says they print.
#
# Each file's ```sql blocks run in one psql session in a database of their
# own.  A ```text block that follows one is its output, compared exactly but
# for blanks at ends.  A block that begins with "-- error" must fail, any other
# must not.
#
# After a failure tmp_check/log/docs holds the files as they would be right;
# read the difference before copying them back.
use strict;
use warnings;
use File::Basename;
use File::Path;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @files = ('README.md', 'docs/guide.md', 'docs/scheduling.md',
	'docs/reference.md');

# what separates the blocks' outputs
my $mark = '=== end of block ===';

# Blanks at the ends of lines, and empty lines at the end, mean nothing.
sub tidy
{
	my ($text) = @_;

	$text =~ s/[ \t]+$//mg;
	$text =~ s/\n+\z/\n/;
	return $text =~ s/\A\n+\z//r;
}

# A file as a list of plain texts and blocks: what stands between them is kept,
# so that the file can be put together again.
sub parse
{
	my ($text) = @_;
	my @parts;
	my $line = 1;

	while ($text =~
		/\G(.*?)^```sql\n(.*?)^```\n(?:(\n*)^```text\n(.*?)^```\n)?/msgc)
	{
		my ($before, $sql, $gap, $expected) = ($1, $2, $3, $4);

		push @parts, { text => $before };
		$line += ($before =~ tr/\n//);
		push @parts,
		  { sql => $sql, gap => $gap, expected => $expected, line => $line };
		$line += 2 + ($sql =~ tr/\n//);
		$line += 2 + ($gap =~ tr/\n//) + ($expected =~ tr/\n//)
		  if defined $expected;
	}
	push @parts, { text => substr($text, pos($text) // 0) };
	return @parts;
}

sub assemble
{
	return join '', map {
		defined $_->{text} ? $_->{text}
		  : "```sql\n$_->{sql}```\n"
		  . (defined $_->{expected}
			? "$_->{gap}```text\n$_->{output}```\n" : '')
	} @_;
}

# All blocks in one session; outputs and messages in the order they came.
sub run_blocks
{
	my ($node, $database, @blocks) = @_;
	my ($input, $output) = ('', '');

	$input .= "$_->{sql}\n\\echo '$mark'\n" foreach @blocks;
	IPC::Run::run([ 'psql', '-X', '-q', '-d', $node->connstr($database) ],
		'<', \$input, '>&', \$output);
	$output =~ s/\r//g;
	return split /^\Q$mark\E\n/m, $output, -1;
}

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "timezone = 'UTC'\ndatestyle = 'ISO'");
$node->start;

my $number = 0;
foreach my $file (@files)
{
	my @parts = parse(slurp_file($file));
	my @blocks = grep { defined $_->{sql} } @parts;
	my $database = 'docs' . ++$number;
	my $good = 1;
	my @outputs;

	$node->safe_psql('postgres',
		"CREATE DATABASE $database TEMPLATE template0 "
		  . "ENCODING 'UTF8' LOCALE 'C'");
	$ENV{PGCLIENTENCODING} = 'UTF8';
	@outputs = run_blocks($node, $database, @blocks);
	$good &= is(scalar(@outputs), @blocks + 1, "$file: all blocks ran");

	foreach my $block (@blocks)
	{
		my $name = "$file line $block->{line}";
		my $wanted = $block->{sql} =~ /\A-- error/ ? 'fails' : 'runs';

		$block->{output} = tidy(shift(@outputs) // '');
		$good &= is($block->{output} =~ /^(ERROR|FATAL|PANIC|invalid command)/m
			? 'fails' : 'runs', $wanted, "$name: $wanted");
		if (defined $block->{expected})
		{
			$good &= is($block->{output}, tidy($block->{expected}),
				"$name: output");
		}
		elsif ($wanted eq 'fails')
		{
			$good &= fail("$name: the error's text is missing");
		}
	}
	next if $good;

	my $right = "$PostgreSQL::Test::Utils::log_path/docs/$file";
	mkpath(dirname($right));
	open(my $handle, '>', $right) or die "$right: $!";
	print $handle assemble(@parts);
	close($handle);
	note("$file as it would be right is in $right");
}

# The reference leaves nothing out: functions, their arguments and columns,
# options, settings, tables and views and their columns.
my $reference = slurp_file('docs/reference.md');
my $public = q{
	FROM pg_proc AS p
	WHERE proname LIKE 'kseg%'
	AND NOT (proargtypes::oid[] || prorettype) &&
		'{internal,cstring}'::regtype[]::oid[]
	AND proname !~ '_(eq|ne|send|to_jsonb?|from_jsonb|transition|combine)$'
	AND proname NOT IN ('kseg_changed', 'kseg_assigned')
};
$node->safe_psql('postgres', 'CREATE EXTENSION kseg');
foreach my $name (split /\n/, $node->safe_psql('postgres', qq{
	SELECT DISTINCT proname $public
	UNION SELECT name FROM pg_settings
	WHERE kseg_options() IS NOT NULL AND name LIKE 'kseg.%'
	UNION SELECT format('| `%s` |', unnest(proargnames))
	$public AND proname = 'kseg_options'
	UNION SELECT unnest(proargnames) $public
	UNION SELECT relname FROM pg_class
	WHERE relname LIKE 'kseg%' AND relkind IN ('r', 'v')
	UNION SELECT attname FROM pg_class AS c JOIN pg_attribute ON attrelid = c.oid
	WHERE relname LIKE 'kseg%' AND relkind IN ('r', 'v') AND attnum > 0
	ORDER BY 1}))
{
	like($reference, qr/(?<![a-z_])\Q$name\E(?![a-z_])/,
		"the reference tells of $name");
}

done_testing();

# tools/bench --table: a table of a running server, measured as it is: each setting's recall is what the server says,
# all leaves are exact, and nothing is written.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $python = '/usr/bin/python3';
plan skip_all => 'needs psycopg, numpy, matplotlib and tqdm for /usr/bin/python3'
  if system("$python -c 'import psycopg, numpy, matplotlib, tqdm' >/dev/null 2>&1") != 0;

my $node = new_node('bench');
my $output = "$PostgreSQL::Test::Utils::tmp_check/bench";
my $dsn = 'host=' . $node->host . ' port=' . $node->port . ' dbname=postgres';
local $ENV{PYTHONPATH} = "$FindBin::RealBin/../../tools";
local $ENV{PYTHONDONTWRITEBYTECODE} = 1;
local $ENV{PATH} = $node->config_data('--bindir') . ":$ENV{PATH}";
local $ENV{MPLCONFIGDIR} = "$PostgreSQL::Test::Utils::tmp_check/matplotlib";

sub bench
{
	my (@options) = @_;
	my ($out, $err) = ('', '');
	my $fine = IPC::Run::run([ $python, '-m', 'benchmark', '--connection', $dsn, '--seconds', 1, '--queries', 30, '--output', $output, @options ],
		'<', \undef, '>', \$out, '2>', \$err);
	return ($fine, $out, $err);
}

# The points of a file: setting => [method, recall, queries per second, index_used].
sub points
{
	my ($name) = @_;
	my ($head, @lines) = split /\r?\n/, slurp_file("$output/$name.csv");
	my @names = split /,/, $head;
	my %points;

	for my $line (@lines)
	{
		my %point;
		@point{@names} = split /,/, $line, -1;
		$points{"$point{method} $point{setting}"} = \%point;
	}
	return %points;
}

# What a bench must not change: relations, rows, and the next transaction that writes.
sub state_of_it
{
	return $node->safe_psql('postgres', <<'SQL');
SELECT (SELECT count(*) FROM pg_class), (SELECT md5(string_agg(x::text, NULL ORDER BY id)) FROM "my table" x), pg_snapshot_xmax(pg_current_snapshot())
SQL
}

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE "my table" (id int, "the vector" vector(16));
INSERT INTO "my table" SELECT row_number() OVER (), x FROM clustered(6000, 16, 0.5, 200, 3) x;
INSERT INTO "my table" VALUES (7000, NULL);
CREATE INDEX mine ON "my table" USING annivf ("the vector" vector_cosine_ops) WITH (num_leaves = 60);
CREATE INDEX other ON "my table" USING annivf ("the vector") WITH (num_leaves = 60);
CREATE INDEX part ON "my table" USING annivf ("the vector") WHERE id > 100;
CREATE TABLE asked (q vector(16));
INSERT INTO asked SELECT x FROM clustered(40, 16, 0.5, 200, 3.1) x;
ANALYZE;
SQL

my $before = state_of_it();
my ($fine, $out, $err) = bench('--table', '"my table"', '--column', 'the vector', '--sweep', '1,8,60', '--stop-recall', 2, '--ann-set', 'ann.num_reordering_candidates=6001');
ok($fine, 'a table') or diag($err);
is(state_of_it(), $before, '... nothing of it is changed');
like($out, qr/my_table: 6,000 rows x 16, <=>, 30 queries, recall\@10/, '... what it is');
my %points = points('my_table');
is(join(', ', sort keys %points), join(', ', map { "annivf $_" } 'ann.num_leaves_to_search=1', 'ann.num_leaves_to_search=60', 'ann.num_leaves_to_search=8', 'default'), '... its points');
my @recalls = map { $points{"annivf $_"}{recall} } map { "ann.num_leaves_to_search=$_" } 1, 8, 60;
is($recalls[2], 1, '... all leaves, all rows reordered: exact');
ok($recalls[0] < $recalls[1] && $recalls[1] <= 1, "... fewer leaves find less: $recalls[0], $recalls[1]");
is(join(' ', map { $_->{queries_per_second} > 0 && $_->{buffers_per_query} > 0 && $_->{codes_scanned} > 0 ? 'fine' : "$_->{setting}: not measured" } values %points), 'fine fine fine fine', '... each measured');
# the same recall by hand, of the same sample, each row left out of its own answer
my $by_hand = $node->safe_psql('postgres', <<'SQL');
SET enable_indexscan = off;
CREATE TEMP TABLE truth AS SELECT s.ctid AS own, s."the vector" AS q, (SELECT max(d) FROM (SELECT t."the vector" <=> s."the vector" AS d FROM "my table" t
	WHERE t.ctid <> s.ctid ORDER BY 1 LIMIT 10) n) AS far FROM (SELECT ctid, tableoid, "the vector" FROM "my table" WHERE "the vector" IS NOT NULL
	ORDER BY hashtext(tableoid::text || ctid::text), tableoid::text || ctid::text LIMIT 30) s;
SET enable_indexscan = on;
SET ann.num_leaves_to_search = 8;
SET ann.num_reordering_candidates = 6001;
SET enable_seqscan = off;
SELECT round(count(*) / 300.0, 6)::float8 FROM truth, LATERAL (SELECT * FROM (SELECT ctid, "the vector" <=> q AS d FROM "my table" ORDER BY "the vector" <=> q LIMIT 11) a
	WHERE ctid <> own ORDER BY d LIMIT 10) f WHERE d <= far;
SQL
cmp_ok(abs($by_hand - $recalls[1]), '<', 1e-4, "... with the recall that it is: $by_hand");
ok(-s "$output/my_table.png" && -s "$output/my_table.txt", '... the picture and the table');

($fine, $out, $err) = bench('--table', 'public."my table"', '--column', 'the vector', '--index', 'other', '--queries-table', 'asked', '--queries-column', 'q', '--sweep', '60', '--k', 5);
ok($fine, 'another index, queries of another table') or diag($err);
like($out, qr/<->, 30 queries, recall\@5/, '... its operator');
is({ points('public_my_table') }->{'annivf ann.num_leaves_to_search=60'}{index_used}, 'True', '... by the index');

for my $case ([ [ '--table', 'asked', '--column', 'q' ], qr/no annivf index on column q/ ], [ [ '--table', 'nothing', '--column', 'q' ], qr/"nothing" does not exist/ ],
	[ [ '--table', '"my table"', '--column', 'the vector', '--index', 'part' ], qr/no index part/ ], [ [ '--table', 'asked' ], qr/--table needs --column/ ])
{
	($fine, $out, $err) = bench(@{ $case->[0] });
	ok(!$fine, "@{ $case->[0] }: refused");
	like($err, $case->[1], '... with the reason');
}

check_sound($node, 'bench');
$node->stop;
no_crash($node, 'bench');
done_testing();

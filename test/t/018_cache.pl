# What a query reads: pages of shared memory that all sessions share; of a cold cache those of its own leaves, the same
# rows whether they are announced ahead or not; nothing where pg_prewarm has been before.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('cache', conf => ['shared_buffers = 64MB']);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE cached (id int PRIMARY KEY, v vector(48));
INSERT INTO cached SELECT row_number() OVER (), x FROM clustered(20000, 48, 0.5, 200) x;
CREATE INDEX cached_v ON cached USING annivf (v) WITH (num_leaves = 400, num_leaves_to_search = 10, dimensions_per_block = 1);
VACUUM ANALYZE cached;
SQL
my $index_pages = $node->safe_psql('postgres', "SELECT pg_relation_size('cached_v') / current_setting('block_size')::int");
my $query = 'SELECT id FROM cached ORDER BY v <-> (SELECT v FROM cached WHERE id = %d) LIMIT 10';

# One query in a session of its own, with what was found and what was read: by the plan, of all relations; and
# of the index, by its counters.
sub pages
{
	my ($n) = @_;
	my $sql = sprintf $query, $n;
	my $out = $node->safe_psql('postgres', <<"SQL");
SET enable_seqscan = off;
SELECT pg_stat_reset_single_table_counters('cached_v'::regclass);
EXPLAIN (ANALYZE, BUFFERS, FORMAT json) $sql;
SELECT pg_stat_force_next_flush();
SELECT 'index: ' || idx_blks_hit || ' ' || idx_blks_read FROM pg_statio_user_indexes WHERE indexrelname = 'cached_v';
SQL
	my ($hit) = $out =~ /"Shared Hit Blocks": (\d+)/;
	my ($read) = $out =~ /"Shared Read Blocks": (\d+)/;
	my ($index_hit, $index_read) = $out =~ /index: (\d+) (\d+)/;
	like($out, qr/"Index Name": "cached_v"/, "query $n goes by the index");
	return { hit => $hit, read => $read, index_hit => $index_hit, index_read => $index_read };
}

# ---- one session reads, the other finds

$node->restart;
my $first = pages(7);
cmp_ok($first->{read}, '>', 0, 'a first query on a cold cache reads');
cmp_ok($first->{index_read}, '>', 10, '... pages of the index');
cmp_ok($first->{index_read}, '<', $index_pages / 4, "... far fewer than its $index_pages");
my $second = pages(7);
cmp_ok($second->{hit}, '>', 0, 'a second session finds them in shared memory');
is($second->{read}, 0, '... all of them');
is($second->{index_read}, 0, '... those of the index, too');
is($second->{index_hit}, $first->{index_hit} + $first->{index_read}, '... which are as many as the first one has seen');

# ---- announced or not

my %rows;
for my $depth (0, 1, 32)
{
	$node->restart;
	$rows{$depth} = $node->safe_psql('postgres', "SET enable_seqscan = off; SET effective_io_concurrency = $depth; "
		  . join '; ', map { sprintf $query, 100 * $_ } 1 .. 50);
}
is(() = $rows{0} =~ /^\d+$/mg, 500, 'a cold cache, nothing announced: 50 queries find their rows');
is($rows{$_}, $rows{0}, "... the same with $_ pages announced at a time") for 1, 32;
is($node->safe_psql('postgres', 'SET enable_seqscan = off; ' . join '; ', map { sprintf $query, 100 * $_ } 1 .. 50), $rows{0}, '... and from memory');

# ---- read beforehand

SKIP:
{
	skip 'pg_prewarm is not installed', 4
	  if $node->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_prewarm'") eq '0';
	$node->restart;
	is($node->safe_psql('postgres', "CREATE EXTENSION pg_prewarm; SELECT pg_prewarm('cached_v')"), $index_pages, 'pg_prewarm reads the whole index');
	my $warm = pages(7);
	is($warm->{index_read}, 0, '... and the next query nothing of it');
	is($warm->{index_hit}, $second->{index_hit}, '... but finds its pages');
}

is($node->safe_psql('postgres', "SELECT * FROM ann_check('cached_v', true)"), '', 'the index is sound');
$node->stop;
no_crash($node, 'cache');
done_testing();

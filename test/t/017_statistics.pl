# Statistics of all sessions, where there is memory for them: from PostgreSQL 17 on in any session, before that with
# the library preloaded; and what EXPLAIN ANALYZE shows of a scan on PostgreSQL 18.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $columns = 'leaves_searched, codes_scanned, candidates_reordered, heap_fetches, held_back, queries';
my $search = 'SELECT count(*) FROM (SELECT id FROM counted ORDER BY v <-> (SELECT v FROM counted WHERE id = %d) LIMIT 10) s';

sub prepare
{
	my ($node) = @_;
	$node->safe_psql('postgres', <<'SQL');
CREATE TABLE counted (id int PRIMARY KEY, v vector(8));
INSERT INTO counted SELECT row_number() OVER (), x FROM clustered(3000, 8, 0.5, 60) x;
CREATE INDEX counted_v ON counted USING annivf (v) WITH (num_leaves = 40, num_leaves_to_search = 5);
ANALYZE counted;
SQL
	return;
}

# The searches of two sessions and of many clients, one of which does not take part.
sub sums
{
	my ($node, $what, $set) = @_;
	my @own;

	$node->safe_psql('postgres', "$set SELECT ann_reset_server_search_stats()");
	for my $session (1, 2)
	{
		my $searches = join ';', map { sprintf $search, $_ } 1 .. 3 * $session;
		push @own, (split /\n/, $node->safe_psql('postgres', "$set SET enable_seqscan = off; $searches; SELECT $columns FROM ann_search_stats(true)"))[-1];
	}
	$node->safe_psql('postgres', "SET ann.track_server = off; SET enable_seqscan = off; " . sprintf $search, 9);
	my @first = split /\|/, $own[0];
	my @second = split /\|/, $own[1];
	is($node->safe_psql('postgres', "SELECT $columns FROM ann_server_search_stats()"), join('|', map { $first[$_] + $second[$_] } 0 .. $#first), "$what: the sum of two sessions");
	is($first[5] + $second[5], 9, '... of all their searches');

	(my $lines = $set) =~ s/;/;\n/g;
	finish_clients($what, start_clients($node, search => [ 8, 50, "${lines}SET enable_seqscan = off;\nSET ann.track_timing = on;\n\\set n random(1, 3000)\n" . ($search =~ s/%d/:n/r) . ";\n" ]));
	is($node->safe_psql('postgres', 'SELECT queries, leaves_searched >= 5 * queries, centroid_ms > 0 AND scan_ms > 0 AND reorder_ms > 0 AND pages > 0 FROM ann_server_search_stats()'),
		'409|t|t', '... and of 8 clients');
	$node->safe_psql('postgres', 'SELECT ann_reset_server_search_stats()');
	is($node->safe_psql('postgres', 'SELECT * FROM ann_server_search_stats()'), '0|0|0|0|0|0|0|0|0|0', '... set back');
	my ($status, $out, $error) = $node->psql('postgres', 'CREATE ROLE reader; SET ROLE reader; SELECT queries FROM ann_server_search_stats(); SELECT ann_reset_server_search_stats()');
	is($out, '0', '... everybody may read it');
	like($error, qr/permission denied for function ann_reset_server_search_stats/, '... and not everybody set it back');
	(undef, undef, $error) = $node->psql('postgres', 'SELECT ann_simd(); SET ROLE reader; SET ann.track_server = off');
	like($error, qr/permission denied to set parameter "ann.track_server"/, '... nor change who takes part');
	$node->safe_psql('postgres', 'DROP ROLE reader');
	return;
}

# ---- not preloaded

my $node = new_node('plain');
prepare($node);
if ($node->pg_version >= 17)
{
	sums($node, 'any session', "LOAD 'ann'; SET ann.track_server = on;");
}
else
{
	my ($status, undef, $error) = $node->psql('postgres', "LOAD 'ann'; SET ann.track_server = on");
	like($error, qr/invalid value for parameter "ann.track_server": 1\nDETAIL:  Before PostgreSQL 17 this needs ann in shared_preload_libraries/, 'not preloaded: refused');
	(undef, undef, $error) = $node->psql('postgres', 'SELECT * FROM ann_server_search_stats()');
	like($error, qr/there are no statistics of all sessions\n.*\nHINT:  ann_search_stats\(true\)/, '... and there is nothing to be read');
}

# ---- what EXPLAIN shows

my $explain = 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF%s) SELECT id FROM counted ORDER BY v <-> (SELECT v FROM counted WHERE id = 7) LIMIT 10';
my $text = $node->safe_psql('postgres', 'SET enable_seqscan = off; ' . sprintf $explain, '');
my $json = $node->safe_psql('postgres', 'SET enable_seqscan = off; ' . sprintf $explain, ', FORMAT json');
my $counts = $node->safe_psql('postgres', 'SET enable_seqscan = off; ' . sprintf($search, 7) . '; SELECT leaves_searched, codes_scanned, candidates_reordered, heap_fetches, held_back FROM ann_search_stats()') =~ s/.*\n//r;
my ($leaves, $codes, $candidates, $rows, $held) = split /\|/, $counts;
if ($node->pg_version >= 18)
{
	like($text, qr/Index Scan using counted_v.*\n(.*\n)*? +Search: leaves=$leaves codes=$codes candidates=$candidates heap rows=$rows held back=$held pages=\d+\n/, 'EXPLAIN ANALYZE shows what the scan did');
	is(() = $text =~ /Search:/g, 1, '... of its own scans');
	like($json, qr/"Leaves Searched": $leaves,\s+"Codes Scanned": $codes,\s+"Candidates Reordered": $candidates,\s+"Heap Fetches": $rows,\s+"Held Back": $held,\s+"Pages": \d+/, '... in other formats, too');
	like($node->safe_psql('postgres', "LOAD 'ann'; SET ann.track_timing = on; SET enable_seqscan = off; " . sprintf $explain, ''), qr/Search Timings: centroids=\d+\.\d{3} codes=\d+\.\d{3} rows=\d+\.\d{3}/, '... with its times, where they are taken');
	unlike($node->safe_psql('postgres', "LOAD 'ann'; SET enable_seqscan = off; EXPLAIN (COSTS OFF) SELECT id FROM counted ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10"), qr/Search:/, '... nothing of what has not run');
}
else
{
	unlike($text, qr/Search:/, 'EXPLAIN ANALYZE shows what the server does');
	unlike($json, qr/Leaves/, '... in all formats');
}
$node->stop;
no_crash($node, 'plain');

# ---- preloaded

$node = new_node('preloaded', conf => [ "shared_preload_libraries = 'ann'", 'ann.track_server = on' ]);
prepare($node);
sums($node, 'preloaded', '');
$node->safe_psql('postgres', 'SET enable_seqscan = off; ' . sprintf $search, 1);
$node->restart;
is($node->safe_psql('postgres', 'SELECT queries FROM ann_server_search_stats()'), '0', '... and begins at zero with the server');
check_sound($node, 'preloaded');
$node->stop;
no_crash($node, 'preloaded');
done_testing();

# Rows that come and go: an index does not grow when all rows are replaced, nor does it get worse when a
# window slides over them; vacuum in several processes, in little memory, and slowed down.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('turnover', conf => [ 'shared_buffers = 64MB', 'max_wal_size = 1GB', 'min_parallel_index_scan_size = 0' ]);

sub query { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }

# Rows around centres that stay where they are, however often this is asked.
query(<<'SQL');
CREATE TABLE centres AS SELECT row_number() OVER () AS i, v::real[] AS c FROM clustered(300, 16, 0.3, 300, 0) v;
CREATE FUNCTION more(num int) RETURNS SETOF vector LANGUAGE sql VOLATILE AS $$
	SELECT (SELECT array_agg(e + 1.5 * (random() - random())) FROM unnest(c.c) e)::real[]::vector
	FROM generate_series(1, num) n JOIN centres c ON c.i = n % 300 + 1
$$;
CREATE SEQUENCE ids;
CREATE TABLE queries AS SELECT array_agg(v) AS v FROM more(100) v;
SQL

sub bytes { my ($index) = @_; return query("SELECT pg_relation_size('$index')"); }

# ---- all rows deleted and others inserted

{
	my $num = 6000;
	query("CREATE TABLE replaced (id int, v vector(16)); INSERT INTO replaced SELECT nextval('ids'), v FROM more($num) v;
		CREATE INDEX replaced_v ON replaced USING annivf (v)");
	my ($built, $first) = (bytes('replaced_v'));
	my @sizes;

	for my $round (1 .. rounds(4, 10))
	{
		query('DELETE FROM replaced');
		query('VACUUM (INDEX_CLEANUP on) replaced');
		is(query("SELECT * FROM ann_check('replaced_v', true)"), '', "round $round: sound when empty");
		query("INSERT INTO replaced SELECT nextval('ids'), v FROM more($num) v");
		push @sizes, bytes('replaced_v');
	}
	note("$built bytes built, then @sizes");
	cmp_ok($sizes[-1], '<=', 1.1 * $built, 'an index of rows replaced is not larger than one that is built');
	check_index($node, 'replaced', '<->', 'all rows replaced', 100);
}

# ---- a window: a tenth inserted, the oldest tenth deleted

# Recall of a table's index, with the same leaves and rows read whatever its calibration says.
sub recall
{
	my ($table) = @_;
	return query("SET ann.num_leaves_to_search = 8; SET ann.num_reordering_candidates = 40; SELECT recall('$table', '<->', v, 10) FROM queries");
}

{
	my ($num, $turnovers) = (rounds(6000, 20000), rounds(2, 10));
	my $with = 'WITH (num_leaves = 60)';
	my $tenth = $num / 10;

	query("CREATE TABLE sliding (id int, v vector(16)); INSERT INTO sliding SELECT nextval('ids'), v FROM more($num) v;
		CREATE INDEX sliding_v ON sliding USING annivf (v) $with");
	my $built = bytes('sliding_v');
	for my $turnover (0 .. $turnovers)
	{
		for (1 .. ($turnover > 0 ? 10 : 0))
		{
			query("INSERT INTO sliding SELECT nextval('ids'), v FROM more($tenth) v");
			query("DELETE FROM sliding WHERE id <= (SELECT max(id) - $num FROM sliding)");
			query('VACUUM (INDEX_CLEANUP on) sliding');
		}
		query("DROP TABLE IF EXISTS fresh; CREATE TABLE fresh AS TABLE sliding; CREATE INDEX fresh_v ON fresh USING annivf (v) $with");
		my ($slid, $fresh, $bytes) = (recall('sliding'), recall('fresh'), bytes('sliding_v'));
		note("turnover $turnover: recall\@10 $slid, of a fresh build $fresh; $bytes bytes, first $built");
		next if $turnover < $turnovers;
		cmp_ok($slid, '>=', $fresh - 0.02, 'recall of a window is that of a fresh build');
		cmp_ok($fresh, '>=', 0.8, '... which is high');
		# it holds eleven tenths before the oldest is deleted, and leaves have their most at different times
		cmp_ok($bytes, '<=', 1.3 * $built, '... and it has not grown');
	}
	check_index($node, 'sliding', '<->', 'a window', 100);
	is(query("SELECT * FROM ann_check('sliding_v', true)"), '', '... is sound');
}

# ---- several indexes by several processes

query('CREATE INDEX sliding_ip ON sliding USING annivf (v vector_ip_ops); CREATE INDEX sliding_cosine ON sliding USING annivf (v vector_cosine_ops);
	DELETE FROM sliding WHERE id % 3 = 0');
like(($node->psql('postgres', 'VACUUM (VERBOSE, PARALLEL 2, INDEX_CLEANUP on) sliding'))[2], qr/launched [12] parallel vacuum workers? for index vacuuming/, 'a vacuum by several processes');
check_index($node, 'sliding', $_, "... index $_", 100) for ('<->', '<#>', '<=>');
is(query("SELECT reltuples = (SELECT count(*) FROM sliding) FROM pg_class WHERE relname = 'sliding_$_'"), 't', "... counts the rows of sliding_$_") for qw(v ip cosine);

# ---- so many dead rows that the index is passed over more than once

SKIP:
{
	skip 'dead rows take too little memory since PostgreSQL 17', 3 if $node->pg_version >= 17;
	query("CREATE TABLE dead (id int, v vector(3)); INSERT INTO dead SELECT i, CASE WHEN i % 100 = 0 THEN anything(3) END FROM generate_series(1, 360000) i;
		CREATE INDEX dead_v ON dead USING annivf (v) WITH (num_leaves = 10); DELETE FROM dead WHERE id % 36 > 0");
	my $verbose = ($node->psql('postgres', "SET maintenance_work_mem = '1MB'; VACUUM (VERBOSE, INDEX_CLEANUP on) dead"))[2];
	like($verbose, qr/index scans: [2-9]/, 'an index is passed over several times');
	check_index($node, 'dead', '<->', '... and sound', 100);
	is(query("SELECT * FROM ann_check('dead_v', true)"), '', '... with no dead row');
}

# ---- the delay of a vacuum holds in the index

# a table of one page and an index of more: each page costs a rest, in which the vacuum is seen
query('CREATE TABLE slow (id int, v vector(4)); INSERT INTO slow SELECT i, anything(4) FROM generate_series(1, 60) i;
	CREATE INDEX slow_v ON slow USING annivf (v) WITH (num_leaves = 2); DELETE FROM slow WHERE id = 1');
my ($slow) = start_clients($node, vacuum => [ 1, 1, "SET vacuum_cost_delay = 100;\nSET vacuum_cost_limit = 1;\nVACUUM (INDEX_CLEANUP on) slow;\n" ]);
wait_for_rows($node, "SELECT count(*) = 1 FROM pg_stat_progress_vacuum p JOIN pg_stat_activity USING (pid)
	WHERE p.phase = 'vacuuming indexes' AND wait_event = 'VacuumDelay'");
pass('a vacuum rests in the index');
finish_clients('a vacuum with rests', $slow);
check_index($node, 'slow', '<->', '... is sound', 50);

$node->stop;
no_crash($node, 'turnover');
done_testing();

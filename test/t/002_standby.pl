# A physical standby: every record replays to the primary's very bytes (wal_consistency_checking), the
# answers are the primary's, its cursors lose no row to what the primary does, and a promoted standby goes on.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_node('primary', streaming => 1, conf => ["wal_consistency_checking = 'all'", 'max_wal_size = 1GB']);
my $standby = PostgreSQL::Test::Cluster->new('standby');

$primary->backup('base');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

# Ids and distances of some queries: at defaults, at other settings, all rows.

sub answers
{
	my ($node, $table, $op) = @_;
	my $sql = "SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off;\n";

	for my $settings ('', 'SET ann.num_leaves_to_search = 2', 'SET ann.num_reordering_candidates = 30')
	{
		$sql .= "$settings;\n";
		$sql .= "SELECT q.id, array_agg(x.id), array_agg(x.d) FROM (SELECT * FROM ${table}_queries ORDER BY id) q,
			LATERAL (SELECT t.id, t.v $op q.v AS d FROM $table t ORDER BY t.v $op q.v LIMIT 20) x GROUP BY q.id ORDER BY q.id;\n";
	}
	$sql .= "SELECT array_agg(x.id), count(*) FROM (SELECT id FROM $table ORDER BY v $op (SELECT v FROM ${table}_queries WHERE id = 1)) x;\n";
	return $node->safe_psql('postgres', $sql);
}

# The standby follows, its indexes are sound, and it answers as the primary does.
my %tables = (trained => '<->', grown => '<=>', wide => '<#>', fresh => '<->');

sub same_answers
{
	my ($what) = @_;

	$primary->wait_for_catchup($standby);
	check_sound($standby, "$what, standby");
	for my $table (sort keys %tables)
	{
		my $here = answers($primary, $table, $tables{$table});
		my $there = answers($standby, $table, $tables{$table});

		cmp_ok(length $here, '>', 500, "$what, $table: there are answers");
		ok($here eq $there, "$what, $table: the standby's are the primary's") or diag("primary:\n$here\nstandby:\n$there");
	}
	return;
}

$primary->safe_psql('postgres', <<'SQL');
CREATE TABLE trained (id int, v vector(24));
INSERT INTO trained SELECT row_number() OVER (), x FROM clustered(3000, 24) x;
INSERT INTO trained SELECT 3000 + i, CASE WHEN i % 2 = 0 THEN anything(24, 1e20) END FROM generate_series(1, 100) i;
CREATE TABLE trained_queries AS SELECT row_number() OVER () AS id, x AS v FROM clustered(10, 24, 0.5) x;
CREATE INDEX trained_v ON trained USING annivf (v);

CREATE TABLE grown (id int, v vector(12));
CREATE INDEX grown_v ON grown USING annivf (v vector_cosine_ops) WITH (soar_lambda = 1.5);
INSERT INTO grown SELECT row_number() OVER (), x FROM clustered(9000, 12) x;
INSERT INTO grown SELECT 9000 + i, CASE WHEN i % 2 = 0 THEN array_fill(0, ARRAY[12])::vector END
	FROM generate_series(1, 2000) i;
CREATE TABLE grown_queries AS SELECT row_number() OVER () AS id, x AS v FROM clustered(10, 12, 0.5) x;

CREATE TABLE wide (id int, v vector(5000)) WITH (fillfactor = 10);
INSERT INTO wide SELECT row_number() OVER (), x FROM clustered(60, 5000, 0.3, 3) x;
CREATE TABLE wide_queries AS SELECT row_number() OVER () AS id, x AS v FROM clustered(3, 5000, 0.3, 3) x;
CREATE INDEX wide_v ON wide USING annivf (v vector_ip_ops) WITH (num_leaves = 3, dimensions_per_block = 8);

-- not trained before cursors are open on it
CREATE TABLE fresh (id int, v vector(8));
CREATE INDEX fresh_v ON fresh USING annivf (v) WITH (num_leaves = 20, training_iterations = 2);
INSERT INTO fresh SELECT row_number() OVER (), x FROM clustered(5000, 8) x;
CREATE TABLE fresh_queries AS SELECT row_number() OVER () AS id, x AS v FROM clustered(10, 8, 0.5) x;

CREATE TABLE untyped (id int, v vector);
CREATE INDEX untyped_v ON untyped USING annivf (v);
SQL
same_answers('built');

$primary->safe_psql('postgres', <<'SQL');
INSERT INTO trained SELECT 10000 + i, x FROM (SELECT row_number() OVER () AS i, x FROM clustered(2000, 24, 0.7) x) s;
INSERT INTO grown SELECT 20000 + i, x FROM (SELECT row_number() OVER () AS i, x FROM clustered(2000, 12, 0.7) x) s;
INSERT INTO wide SELECT 100 + i, x FROM (SELECT row_number() OVER () AS i, x FROM clustered(80, 5000, 0.3, 3) x) s;
INSERT INTO untyped VALUES (1, '[1,2,3]');
BEGIN;
INSERT INTO trained SELECT -i, anything(24) FROM generate_series(1, 200) i;
ROLLBACK;
SQL
same_answers('inserted');
like(($standby->psql('postgres', "SET enable_seqscan = off; SELECT id FROM untyped ORDER BY v <-> '[1,2]'"))[2],
	qr/ERROR:  different vector dimensions 3 and 2/, 'the dimensions of an index arrive with its first row');

is($primary->safe_psql('postgres', 'VACUUM grown; SELECT pg_relation_size(\'grown_v\') > 20 * 8192'), 't', 'a vacuum trained the index that grew');
same_answers('trained');

$primary->safe_psql('postgres', <<'SQL');
DELETE FROM trained WHERE id % 3 = 0;
DELETE FROM grown WHERE id % 4 = 0;
DELETE FROM wide WHERE id % 2 = 0;
VACUUM (INDEX_CLEANUP on) trained, grown, wide;
SQL
same_answers('vacuumed');

$primary->safe_psql('postgres', <<'SQL');
INSERT INTO trained SELECT 30000 + i, x FROM (SELECT row_number() OVER () AS i, x FROM clustered(1500, 24, 0.2) x) s;
INSERT INTO grown SELECT 30000 + i, x FROM (SELECT row_number() OVER () AS i, x FROM clustered(1500, 12, 0.2) x) s;
INSERT INTO wide SELECT 300 + i, x FROM (SELECT row_number() OVER () AS i, x FROM clustered(20, 5000, 0.3, 3) x) s;
REINDEX INDEX CONCURRENTLY trained_v;
SQL
same_answers('inserted into freed places');

# A standby never changes an index.
my ($status, $out, $err) = $standby->psql('postgres', "SELECT ann_train('grown_v')");
like($err, qr/cannot execute ann_train\(\) during recovery/, 'no training on a standby');

# Cursors open on the standby while the primary vacuums rows that were dead before, gives their lanes and
# row identifiers to others, trains an index, and deletes rows that the cursors see. The standby tells the
# primary of its snapshot, as the heap's conflicts would cancel the cursors for these last ones.
$standby->append_conf('postgresql.conf', "hot_standby_feedback = on\nmax_standby_streaming_delay = -1\nwal_receiver_status_interval = 1");
$standby->reload;

# What a cursor returned besides, or instead of, the rows that it should have.
sub difference
{
	my ($expected, @seen) = @_;
	my %left = map { $_ => 1 } split /\n/, $expected;
	my @foreign = grep { !delete $left{$_} } @seen;
	my @lost = sort { $a <=> $b } keys %left;

	return join ' ', map { $_ // () } @lost ? ('lost', @lost[ 0 .. 9 ]) : (), @foreign ? ('foreign or twice', @foreign[ 0 .. 9 ]) : ();
}

# Rows of every second page die. The server keeps the page of a cursor's last row pinned, and what prunes it
# would wait for that: so each cursor stops at a row of another page.
my $dies = 'id % 5 < 2 AND (ctid::text::point)[0]::int % 2 = 1';
my $pages = 'SELECT ' . join ', ', map { "(SELECT sum(num_pages) FROM ann_leaves('${_}_v'))" } qw(grown trained wide);
my $vacuum = 'VACUUM (INDEX_CLEANUP on, TRUNCATE off)';
{
	my $session = $standby->background_psql('postgres');
	my (%expected, %seen);

	$primary->safe_psql('postgres', 'VACUUM FREEZE trained, grown, wide, fresh; CREATE TABLE dead (name text, place tid, id int, v vector)');
	my $before = $primary->safe_psql('postgres', $pages);
	my $deleter = $primary->safe_psql('postgres', 'BEGIN;'
		  . join('', map { "INSERT INTO dead SELECT '$_', ctid, id, v FROM $_ WHERE $dies; DELETE FROM $_ WHERE $dies;\n" } sort keys %tables)
		  . 'SELECT pg_current_xact_id()::xid; COMMIT');

	# of the index that is not trained yet one cursor has read the exact leaf, one nothing
	$primary->wait_for_catchup($standby);
	$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
	$expected{$_} = $session->query_safe("SELECT id FROM $_") for sort keys %tables;
	$expected{late} = $expected{fresh};
	$session->query_safe('SET enable_seqscan = off; SET enable_sort = off');
	for my $cursor (sort keys %expected)
	{
		my $table = $cursor eq 'late' ? 'fresh' : $cursor;
		$session->query_safe("DECLARE c_$cursor CURSOR FOR SELECT id, ctid FROM $table ORDER BY v $tables{$table} (SELECT v FROM ${table}_queries WHERE id = 1)");
		next if $cursor eq 'late';
		do
		{
			push @{ $seen{$cursor} }, split /\n/, $session->query_safe("FETCH 1 FROM c_$cursor");
		} while (@{ $seen{$cursor} } < 10 || $seen{$cursor}[-1] =~ /\(\d*[13579],/);
	}
	wait_for_rows($primary, "SELECT age(backend_xmin) < age('$deleter'::xid) FROM pg_stat_replication");

	$primary->safe_psql('postgres', "$vacuum trained, grown, wide, fresh");
	$primary->safe_psql('postgres', "INSERT INTO $_ SELECT 100000 + id, v FROM dead WHERE name = '$_'") for qw(trained grown wide);
	is($primary->safe_psql('postgres', $pages), $before, 'under cursors of a standby leaves take rows in place of dead ones');
	my $size = $primary->safe_psql('postgres', "SELECT ann_train('fresh_v'); $vacuum fresh; SELECT pg_relation_size('fresh_v')");
	is("t\n" . $primary->safe_psql('postgres', "INSERT INTO fresh SELECT 100000 + id, v FROM dead WHERE name = 'fresh'; SELECT pg_relation_size('fresh_v')"),
		$size, 'a training frees pages, and leaves take these');
	$primary->safe_psql('postgres', <<"SQL");
DELETE FROM grown WHERE id % 2 = 1;
$vacuum grown;
INSERT INTO grown SELECT 50000 + i, x FROM (SELECT row_number() OVER () AS i, x FROM clustered(1500, 12, 0.9) x) s;
SQL
	$primary->wait_for_catchup($standby);
	cmp_ok($standby->safe_psql('postgres', "SELECT count(*) FROM $_ t JOIN dead d ON d.name = '$_' AND d.place = t.ctid WHERE t.id >= 50000"),
		'>', 3, "... rows of $_ have the identifiers of dead ones")
	  for sort keys %tables;
	for my $cursor (sort keys %expected)
	{
		push @{ $seen{$cursor} }, split /\n/, $session->query_safe("FETCH ALL FROM c_$cursor");
		is(difference($expected{$cursor}, map { s/\|.*//r } @{ $seen{$cursor} }), '', "the cursor over $cursor returns the rows of its snapshot, each once");
	}
	$session->query_safe('COMMIT');
	$session->quit;
}
same_answers('after cursors');

# Promotion.
$primary->wait_for_catchup($standby);
$primary->stop('immediate');
$standby->promote;
$standby->safe_psql('postgres', <<'SQL');
INSERT INTO trained SELECT 60000 + i, x FROM (SELECT row_number() OVER () AS i, x FROM clustered(500, 24, 0.4) x) s;
INSERT INTO grown SELECT 60000 + i, x FROM (SELECT row_number() OVER () AS i, x FROM clustered(500, 12, 0.4) x) s;
INSERT INTO wide SELECT 600 + i, x FROM (SELECT row_number() OVER () AS i, x FROM clustered(20, 5000, 0.3, 3) x) s;
DELETE FROM trained WHERE id % 5 = 0;
VACUUM (INDEX_CLEANUP on) trained, grown, wide;
SQL
check_index($standby, $_, $tables{$_}, "promoted, $_", 100) for sort keys %tables;
$standby->stop;
no_crash($primary, 'primary');
no_crash($standby, 'standby');
done_testing();

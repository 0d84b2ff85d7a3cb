# A scan on a standby stops while it reads the exact leaf, and the primary's records change that leaf under
# it: a page leaves the chain and comes back elsewhere, or a training moves all rows into leaves. Needs a
# library that was built by make FAULTS=1; tools/test faults makes one.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_node('primary', streaming => 1, conf => ['shared_buffers = 16MB']);

if (($primary->psql('postgres', "LOAD 'ann'; SHOW ann.fault"))[0] != 0)
{
	$primary->stop;
	plan skip_all => 'the library holds no fault points: make FAULTS=1';
}

# It tells the primary of its snapshots; records never cancel its scans.
my $standby = PostgreSQL::Test::Cluster->new('standby');
$primary->backup('base');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "hot_standby_feedback = on\nmax_standby_streaming_delay = -1\nwal_receiver_status_interval = 1");
$standby->start;

my %holder = map { $_->name => $_->background_psql('postgres') } $primary, $standby;
my $page = 1357;    # row identifiers on a page
my $vacuum = 'VACUUM (INDEX_CLEANUP on, TRUNCATE off) x';

sub query { my ($sql) = @_; return $primary->safe_psql('postgres', $sql); }

# A client that runs SQL on a node and waits at a fault point until the lock of its number is free.
sub start_waiting
{
	my ($node, $point, $sql) = @_;
	my ($number) = $point =~ /:(\d+)/;

	$holder{ $node->name }->query_safe("SELECT pg_advisory_lock($number)");
	my @clients = start_clients($node, waiting => [ 1, 1, <<"SQL" ]);
SET enable_seqscan = off;
SET enable_sort = off;
LOAD 'ann';
SET ann.fault_action = wait;
SET ann.fault = '$point';
$sql
SQL
	wait_for_rows($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'advisory'");
	return @clients;
}

sub go_on
{
	my ($node, $what, $point, @clients) = @_;
	my ($number) = $point =~ /:(\d+)/;

	$holder{ $node->name }->query_safe("SELECT pg_advisory_unlock($number)");
	finish_clients($what, @clients);
	return;
}

# The exact leaf of x, of some pages, is read on the standby up to a page while the primary makes a change.
# One test: that scan saw each row once.
sub scan_under
{
	my ($what, $point, $rows, $change) = @_;
	my $deleter = query("DELETE FROM x WHERE id BETWEEN 1001 + 2 * $page AND 1000 + 3 * $page RETURNING 1; SELECT txid_current()") =~ s/.*\n//sr;

	$primary->wait_for_catchup($standby);
	my @scan = start_waiting($standby, $point, "SELECT 1 / (count(*) = $rows AND count(DISTINCT id) = $rows)::int FROM (SELECT id FROM x ORDER BY v <-> '[1,2]') s;");
	wait_for_rows($primary, "SELECT age(backend_xmin) <= age('$deleter'::xid) FROM pg_stat_replication");
	$change->();
	$primary->wait_for_catchup($standby);
	go_on($standby, $what, $point, @scan);
	return;
}

# ---- a page leaves the chain, and comes back

# Four pages, all full: the head, then 3, 2, 1 of those that were filled after it. The scan stops before it
# reads page 2, of which all rows are dead.
for my $insert ('', "INSERT INTO x VALUES (0, '[1e20,1e20]')")
{
	query(<<"SQL");
DROP TABLE IF EXISTS x;
CREATE TABLE x (id int, v vector(2));
INSERT INTO x SELECT i, ARRAY[i, 1]::vector FROM generate_series(1, 100) i;
CREATE INDEX x_v ON x USING annivf (v) WITH (num_leaves = 2);
INSERT INTO x SELECT 1000 + i, '[1e20,1e20]' FROM generate_series(1, 4 * $page) i;
SQL
	scan_under('a scan whose next page leaves the chain' . ($insert && ', and comes back behind the head'), 'exact-page:3', 100 + 3 * $page, sub {
			my $size = query("SELECT pg_relation_size('x_v')");
			query("$vacuum; $insert");
			is(query("SELECT pg_relation_size('x_v')"), $size, 'the insert takes the page that the vacuum freed') if $insert;
		});
}

# ---- a training

# The primary stops in the middle of it, or goes through, and rows take the pages that were freed.
for my $stop ('train-mark:1', 'train-switch:1', 'train-erase:1', 'tids-unlink:1', '')
{
	for my $point ($stop ? () : 'exact-page:1', 'exact-page:3')
	{
		my $what = "a scan that waited at $point for a training" . ($stop ? ", which is at $stop" : '');
		my @train;

		query(<<"SQL");
DROP TABLE x;
CREATE TABLE x (id int, v vector(2));
CREATE INDEX x_v ON x USING annivf (v) WITH (num_leaves = 5, training_iterations = 1);
INSERT INTO x SELECT 1000 + i, ARRAY[i % 7, i]::vector FROM generate_series(1, 4 * $page) i;
SQL
		scan_under($what, $point, 3 * $page, sub {
				if ($stop)
				{
					@train = start_waiting($primary, $stop, "SELECT ann_train('x_v');");
					# somebody's commit flushes what the training has logged
					query("SELECT pg_logical_emit_message(true, '', '')");
					return;
				}
				query("SELECT ann_train('x_v')");
				my $size = query("$vacuum; SELECT pg_relation_size('x_v')");
				query("INSERT INTO x SELECT 9000 + i, ARRAY[i % 7, i]::vector FROM generate_series(1, 100) i");
				is(query("SELECT pg_relation_size('x_v')"), $size, 'rows take pages that the training freed');
			});
		go_on($primary, 'the training', $stop, @train) if $stop;
		is($standby->safe_psql('postgres', "SELECT * FROM ann_check('x_v', true)"), '', '... and the index is sound there') if !$stop;
	}
}
check_index($primary, 'x', '<->', 'at the end', 100);

$_->quit for values %holder;
$standby->stop;
$primary->stop;
no_crash($primary, 'primary');
no_crash($standby, 'standby');
done_testing();

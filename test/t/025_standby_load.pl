# A standby of a primary under a mixed load, made by a base backup under that load: every record replays to
# the primary's very bytes (wal_consistency_checking), searches there agree with the table under each
# snapshot, and when the load rests the answers are the primary's. Promoted, it goes on.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use AnnLoad;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_node('load_primary', streaming => 1, conf => ["wal_consistency_checking = 'all'", 'shared_buffers = 16MB', 'max_wal_size = 1GB']);
my $standby = PostgreSQL::Test::Cluster->new('load_standby');
my %tables = load_tables();
my $rows = 3000;    # inserted in each round

make_load_tables($primary);
$primary->safe_psql('postgres', "SELECT pg_create_physical_replication_slot('standby', true)");
{
	my @clients = start_load($primary, 0);

	wait_for_load($primary, $rows / 2);
	$primary->backup('under_load');
	stop_clients('a base backup', @clients);
}
$standby->init_from_backup($primary, 'under_load', has_streaming => 1);
$standby->append_conf('postgresql.conf', "primary_slot_name = 'standby'\nhot_standby_feedback = on\nmax_standby_streaming_delay = -1\nwal_receiver_status_interval = 1");
$standby->start;

# No client is left at work, and the standby knows all of it.
sub rest
{
	wait_for_rows($primary, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()");
	$primary->wait_for_catchup($standby);
	return;
}

# Ids and distances of some queries: at defaults, and all rows.
sub answers
{
	my ($node, $table) = @_;
	my $nearest = "SELECT id, v $tables{$table} q.v AS d FROM $table t ORDER BY v $tables{$table} q.v";

	return $node->safe_psql('postgres', <<"SQL");
SET enable_seqscan = off;
SET enable_sort = off;
SELECT q.id, array_agg(x.id), array_agg(x.d) FROM (SELECT id, v FROM $table WHERE v IS NOT NULL ORDER BY id LIMIT 10) q,
	LATERAL ($nearest LIMIT 20) x GROUP BY q.id ORDER BY q.id;
SELECT array_agg(x.id), count(*) FROM (SELECT v FROM $table WHERE v IS NOT NULL ORDER BY id LIMIT 1) q, LATERAL ($nearest) x;
SQL
}

rest();
for my $round (1 .. rounds(2, 20))
{
	my %searches = map { ("search_$_" => [ 1, 4, "BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT must_agree('$_', '$tables{$_}', (SELECT v FROM $_ WHERE v IS NOT NULL LIMIT 1));\nCOMMIT;\n" ]) } keys %tables;
	my @clients = start_load($primary, $round);
	my @searches = start_clients($standby, %searches);

	wait_for_load($primary, $rows);
	finish_clients("round $round, standby", @searches);
	stop_clients("round $round", @clients);
	rest();
	check_sound($standby, "round $round, standby");
	for my $table (sort keys %tables)
	{
		my $here = answers($primary, $table);

		cmp_ok(length $here, '>', 500, "round $round, $table: there are answers");
		ok($here eq answers($standby, $table), "round $round, $table: the standby's are the primary's");
	}
}

$primary->stop('immediate');
$standby->promote;
$standby->safe_psql('postgres', "INSERT INTO coded SELECT nextval('ids'), anything(16), 0 FROM generate_series(1, 100); VACUUM (INDEX_CLEANUP on) coded, grown, wide");
check_index($standby, $_, $tables{$_}, "promoted, $_", 100) for sort keys %tables;
is($standby->safe_psql('postgres', 'SELECT id FROM coded WHERE id < 0 UNION ALL SELECT id FROM grown WHERE id < 0 UNION ALL SELECT id FROM wide WHERE id < 0'), '', 'no row that was not committed');
$standby->stop;
no_crash($primary, 'primary');
no_crash($standby, 'standby');
done_testing();

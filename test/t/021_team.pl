# A team that trains centroids: workers take part where there is shared memory for the sample; where there
# is none the build goes on alone; the index is the same.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'prlimit is missing' if system('prlimit --version >/dev/null 2>&1') != 0;

my $node = new_node('team', extra => ['--wal-segsize=1'], conf => [ 'max_parallel_maintenance_workers = 2', 'min_parallel_table_scan_size = 0', 'dynamic_shared_memory_type = posix' ]);

# A segment of shared memory is a file, to the kernel; the sample's is larger than any other of a build.
sub limit_segments
{
	my ($limit) = @_;
	my $pid = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];

	system('prlimit', '--pid', $pid, "--fsize=$limit:") == 0 or die 'prlimit failed';
	return;
}

# Builds the index; returns its print and what the build said of its processes.
sub build
{
	my ($workers, $column) = @_;
	my (undef, $out, $err) = $node->psql('postgres', <<"SQL", on_error_stop => 1);
DROP INDEX IF EXISTS rows_i;
ALTER TABLE rows SET (parallel_workers = $workers);
SET client_min_messages = debug1;
CREATE INDEX rows_i ON rows USING annivf ($column) WITH (num_leaves = 150, training_sample_size = 12000, training_iterations = 4);
RESET client_min_messages;
SELECT md5(i::text || (SELECT string_agg(l::text, ';' ORDER BY l.leaf) FROM ann_leaves('rows_i') l)) FROM ann_index_info('rows_i') i;
SQL
	return ($out, $err);
}

$node->safe_psql('postgres', 'CREATE TABLE rows (id int, v vector(64)); INSERT INTO rows SELECT row_number() OVER (), x FROM clustered(12000, 64, 0.5, 150) x');
for my $column ('v', 'v vector_cosine_ops')
{
	my ($alone, $said) = build(0, $column);

	unlike($said, qr/workers train/, "$column: one process alone");
	for my $workers (1, 2)
	{
		my ($together, $what) = build($workers, $column);

		like($what, qr/ann: [12] workers train centroids/, "$workers workers take part");
		unlike($what, qr/ERROR|WARNING/, '... and leave nothing behind');
		is($together, $alone, '... and the index is the same');
	}
	limit_segments(2 * 1024 * 1024);
	my ($denied, $why) = build(2, $column);
	like($why, qr/ann: no shared memory of \d+ bytes/, 'without shared memory for the sample');
	unlike($why, qr/ERROR|WARNING|workers train/, '... the leader trains alone');
	is($denied, $alone, '... and the index is the same');
	limit_segments('unlimited');
}
check_index($node, 'rows', '<=>', 'built alone', 50);

# long vectors are in the TOAST table: its size counts
$node->safe_psql('postgres', 'CREATE TABLE long (id int, v vector(1500)); INSERT INTO long SELECT row_number() OVER (), x FROM clustered(300, 1500) x');
for my $case ([ '256kB', 1 ], [ '1GB', 0 ])
{
	my ($least, $workers) = @$case;
	my $said = ($node->psql('postgres', "SET min_parallel_table_scan_size = '$least'; SET client_min_messages = debug1; CREATE INDEX long_i ON long USING annivf (v) WITH (num_leaves = 4); DROP INDEX long_i"))[2];

	is($said =~ /[1-9] workers launched/ ? 1 : 0, $workers, "two pages and a TOAST table of two megabytes, $least wanted for a worker");
}
cmp_ok($node->safe_psql('postgres', "SELECT pg_relation_size('long') / 8192"), '<', 32, '... which the table by itself has not');

# what ends the leader, or a worker, while they train ends both; nothing is left
my $leader = "SELECT p.pid FROM pg_stat_progress_create_index p JOIN pg_stat_activity w ON w.leader_pid = p.pid
	WHERE p.phase = 'building index: training centroids' AND w.wait_event IS NULL";
for my $case ([ 'the leader is cancelled', 'pg_cancel_backend(pid)', qr/canceling statement due to user request/ ],
	[ 'a worker is terminated', '(SELECT bool_and(pg_terminate_backend(w.pid)) FROM pg_stat_activity w WHERE w.leader_pid = l.pid)',
		qr/terminating (connection|background worker|parallel worker)/ ])
{
	my ($what, $action, $said) = @$case;
	my $errors = '';

	# (training may be over before it is seen, or hit: then again)
	for (1 .. 20)
	{
		my $build = IPC::Run::start([ 'psql', '-X', '-d', $node->connstr('postgres'), '-c',
			'CREATE INDEX rows_j ON rows USING annivf (v) WITH (num_leaves = 6000, training_sample_size = 12000, training_iterations = 100)' ],
			'<', \undef, '>', \my $out, '2>', \$errors);

		$node->safe_psql('postgres', <<"SQL");
DO \$\$ BEGIN
	FOR i IN 1 .. 500 LOOP
		PERFORM pg_stat_clear_snapshot();
		EXIT WHEN (SELECT $action FROM ($leader) l LIMIT 1);
		PERFORM pg_sleep(0.005);
	END LOOP;
END \$\$
SQL
		$build->finish;
		last if $errors ne '';
		$node->safe_psql('postgres', 'DROP INDEX rows_j');
	}
	like($errors, $said, "$what in the training");
	wait_for_rows($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'parallel worker'");
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_class WHERE relname = 'rows_j'"), '0', '... and nothing is left');
}

$node->stop;
no_crash($node, 'team');
done_testing();

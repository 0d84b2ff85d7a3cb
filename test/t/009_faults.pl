# Faults: a crash, and an error, at every fault point of the library (src/faultpoint.h), want of memory, and
# interrupts. What each leaves behind is a sound index but for leaked pages; the next vacuum frees those, and
# the index goes on. Needs a library that was built by make FAULTS=1; tools/test faults makes one.
# ANN_FAULT=regexp: only those scenarios.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'usleep';

my $node = new_node('faults',
	conf => ['restart_after_crash = on', 'max_prepared_transactions = 2', 'shared_buffers = 16MB', 'checkpoint_timeout = 1h',
		# whose segments are files
		'dynamic_shared_memory_type = mmap']);

if (($node->psql('postgres', "LOAD 'ann'; SHOW ann.fault"))[0] != 0)
{
	$node->stop;
	plan skip_all => 'the library holds no fault points: make FAULTS=1';
}

# Each scenario makes a table x (id, v) with an index x_v, and has a statement that passes the points.
my $fail = 'LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config(\'ann.fault\', point, true); EXECUTE command;
	EXCEPTION WHEN internal_error THEN NULL; END $$';
$node->safe_psql('postgres', "SET allow_in_place_tablespaces = on; CREATE TABLESPACE other LOCATION ''");
$node->safe_psql('postgres', "LOAD 'ann'; CREATE FUNCTION failing(point text, command text) RETURNS void $fail");

my $leaf = 'INSERT INTO x SELECT i, ARRAY[1, 2, 3, i]::vector FROM generate_series(1, 32) i;
	CREATE INDEX x_v ON x USING annivf (v) WITH (num_leaves = 1);';
my $wide = 'INSERT INTO x SELECT i, array_fill(i, ARRAY[600])::vector FROM generate_series(1, 32) i;
	CREATE INDEX x_v ON x USING annivf (v) WITH (num_leaves = 1, dimensions_per_block = 1);';
my $twice = 'INSERT INTO x SELECT row_number() OVER (), y FROM clustered(200, 8) y;
	CREATE INDEX x_v ON x USING annivf (v) WITH (num_leaves = 6, soar_lambda = 1.5);';
my $grown = 'CREATE INDEX x_v ON x USING annivf (v) WITH (num_leaves = 6);
	INSERT INTO x SELECT row_number() OVER (), y FROM clustered(3000, 8) y;
	INSERT INTO x SELECT 4000 + i, CASE WHEN i % 2 = 0 THEN array_fill(1e20::real, ARRAY[8])::vector END FROM generate_series(1, 20) i;';
(my $grown_twice = $grown) =~ s/num_leaves = 6/num_leaves = 6, soar_lambda = 1.5/;
my $grown_wide = 'CREATE INDEX x_v ON x USING annivf (v) WITH (num_leaves = 2, dimensions_per_block = 1);
	INSERT INTO x SELECT i, array_fill(i, ARRAY[600])::vector FROM generate_series(1, 70) i;';
my $unseen = sub {
	my ($rows) = @_;
	return "BEGIN; $rows; PREPARE TRANSACTION 'unseen'; SELECT ann_train('x_v'); COMMIT PREPARED 'unseen';";
};
my $late = $unseen->('INSERT INTO x SELECT 5000 + row_number() OVER (), y FROM clustered(2000, 8) y');
my $insert = "INSERT INTO x SELECT 9000, y FROM clustered(1, %d, 0.9) y";
my $insert_wide = 'INSERT INTO x SELECT 9000, array_fill(33, ARRAY[600])::vector';
my $vacuum = 'VACUUM (INDEX_CLEANUP on) x';

my %scenarios = (
	lane => [ 4, "$leaf DELETE FROM x WHERE id > 20; $vacuum", sprintf($insert, 4) ],
	block => [ 4, $leaf, sprintf($insert, 4) ],
	wide_lane => [ 600, "$wide DELETE FROM x WHERE id > 20; $vacuum", $insert_wide ],
	wide_block => [ 600, $wide, $insert_wide ],
	twice => [ 8, $twice, sprintf($insert, 8) ],
	untrained => [ 8, 'CREATE INDEX x_v ON x USING annivf (v)', sprintf($insert, 8) ],
	null_leaf => [ 8, 'CREATE INDEX x_v ON x USING annivf (v)', 'INSERT INTO x VALUES (9000, NULL)' ],
	full_page => [ 8, 'CREATE INDEX x_v ON x USING annivf (v)', 'INSERT INTO x SELECT 9000, y FROM clustered(1400, 8) y' ],
	untyped => [ 0, 'CREATE INDEX x_v ON x USING annivf (v)', sprintf($insert, 8) ],
	train => [ 8, $grown, "SELECT ann_train('x_v')" ],
	train_wide => [ 600, $grown_wide, "SELECT ann_train('x_v')" ],
	train_many => [ 3, 'CREATE INDEX x_v ON x USING annivf (v) WITH (num_leaves = 600, training_iterations = 2);
		INSERT INTO x SELECT row_number() OVER (), y FROM clustered(5000, 3, 0.4, 600, 0.1) y', "SELECT ann_train('x_v')" ],
	absorb => [ 8, $grown . $late, $vacuum ],
	absorb_twice => [ 8, $grown_twice . $late, $vacuum ],
	absorb_wide => [ 600, $grown_wide . $unseen->('INSERT INTO x SELECT 100 + i, array_fill(1, ARRAY[600])::vector FROM generate_series(1, 40) i'), $vacuum ],
	vacuum => [ 8, "$twice INSERT INTO x SELECT 1000 + i, CASE WHEN i % 2 = 0 THEN array_fill(1e20::real, ARRAY[8])::vector END FROM generate_series(1, 20) i;
		DELETE FROM x WHERE id % 3 = 0", $vacuum ],
	left_over => [ 8, "$grown SELECT failing('train-switch:1', 'SELECT ann_train(''x_v'')')", $vacuum ],
	left_body => [ 600, "$wide SELECT failing('append-block:1', '$insert_wide'); DELETE FROM x WHERE id = 1", $vacuum ],
	scan => [ 8, $grown, 'SET enable_seqscan = off; SET enable_sort = off; SELECT id FROM x ORDER BY v <-> (SELECT v FROM x WHERE id = 1) LIMIT 1' ],
	# moved to another tablespace, and not logged page by page, it is not in shared buffers any more
	cold_scan => [ 8, "$twice SET wal_skip_threshold = 0; ALTER INDEX x_v SET TABLESPACE other",
		'SET ann.num_leaves_to_search = 6; SET enable_seqscan = off; SELECT id FROM x ORDER BY v <-> (SELECT v FROM x WHERE id = 1) LIMIT 1' ]);

# scenario, points; +: pages must be found leaked
my @cases = (
	[ lane => qw(append-lane:1 append-lane-done:1) ],
	[ block => qw(append-block:1 append-block-done:1) ],
	[ wide_lane => qw(append-codes:1 append-codes:2 append-lane:1 append-lane-done:1) ],
	[ wide_block => qw(append-body:1+ append-body:2+ append-block:1+ append-block-done:1) ],
	[ twice => qw(append-lane-done:1 second-entry:1 append-lane-done:2) ],
	[ untrained => qw(tids-append:1 tids-append-done:1) ],
	[ null_leaf => qw(tids-append:1 tids-append-done:1) ],
	[ full_page => qw(tids-page:1 tids-page-done:1) ],
	[ untyped => qw(meta-dim-done:1) ],
	[ train => qw(meta-write:1 meta-write-done:1 train-code:1 bulk-page:1+ bulk-page:4+ section-page:1+ section-page:3+ node-page:1+
		  train-mark:1+ tids-mark-done:1+ tids-mark-done:2+ train-switch:1+ meta-write:2+ meta-write-done:2 train-erase:1
		  tids-erase-done:1 tids-erase-done:2 tids-hint-done:1 tids-unlink:1 tids-unlink-done:1 progress:1 progress:5 phase:2 phase:8) ],
	[ train_wide => qw(bulk-page:1+ bulk-page:2+ bulk-page:3+ node-page:1+) ],
	[ train_many => qw(centroids-page:1+ centroids-page:2+) ],
	[ absorb => qw(append-lane:1 append-lane-done:7 append-block:1 append-block-done:1 absorb-trim:1 tids-unlink:1 tids-unlink-done:1) ],
	[ absorb_twice => qw(second-entry:1 second-entry:3 append-lane-done:2) ],
	[ absorb_wide => qw(append-codes:1 append-body:1+ append-body:2+ append-block:1+ append-block-done:1) ],
	[ vacuum => qw(vacuum-page:1 vacuum-page:4 vacuum-leaf-done:1 vacuum-leaf-done:2 tids-erase-done:1 tids-erase-done:2 vacuum-hints:1 vacuum-hints-done:1) ],
	[ left_over => qw(free-page:1+ free-page-done:1+ free-page-done:3+) ],
	[ left_body => qw(vacuum-hints:1+ free-page:1+ free-page-done:1+ free-page:2+ free-page-done:2) ],
	[ scan => qw(exact-page:1 exact-page:3) ],
	[ cold_scan => qw(announce-page:1) ]);

my $sound = "SELECT * FROM ann_check('x_v', true) WHERE invariant <> 'leak'";

sub query { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }

# Runs the scenario's statement with the fault; true if it failed there.
sub fails_at
{
	my ($scenario, $point, $action) = @_;
	my $offset = -s $node->logfile;
	my ($status, undef, $error) = $node->psql('postgres',
		"LOAD 'ann'; SET ann.fault = '$point'; SET ann.fault_action = $action; $scenarios{$scenario}[2];");

	if ($action eq 'crash')
	{
		my $fine = $status == 2 && $error =~ /server closed the connection|connection to server was lost/;
		$node->wait_for_log(qr/database system is ready to accept connections/, $offset) if $fine;
		return $fine;
	}
	(my $name = $point) =~ s/:.*//;
	return $status == 3 && $error =~ /ERROR:  fault point "$name"/;
}

sub one_case
{
	my ($scenario, $point, $action) = @_;
	my $leaks = $point =~ s/\+$//;
	my $what = "$scenario, $point, $action";
	my ($dim, $setup) = @{ $scenarios{$scenario} };
	my $type = $dim > 0 ? "vector($dim)" : 'vector';
	my $rows = 'SELECT count(*), sum(id) FROM x';

	query("DROP TABLE IF EXISTS x; CREATE TABLE x (id int, v $type); $setup");
	my $before = query($rows);
	ok(fails_at($scenario, $point, $action), "$what: failed there");
	is(query($sound), '', "... and left a sound index");
	is(query($rows), $before, '... and the rows that there were');
	cmp_ok(query("SELECT count(*) FROM ann_check('x_v', true)"), '>', 0, '... and pages to be freed') if $leaks;

	$dim ||= 8;
	query("INSERT INTO x SELECT 9500 + i, anything($dim, 9) FROM generate_series(1, 3) i; DELETE FROM x WHERE id = 9501; $vacuum");
	is(query("SELECT * FROM ann_check('x_v', true)"), '', '... after a vacuum without leaks');
	query("INSERT INTO x SELECT 9600 + row_number() OVER (), y FROM clustered(40, $dim, 0.3) y");
	check_index($node, 'x', '<->', '... which goes on', 20);
	return;
}

for my $case (@cases)
{
	my ($scenario, @points) = @$case;

	next if $scenario !~ ($ENV{ANN_FAULT} // '.');
	for my $point (@points)
	{
		one_case($scenario, $point, $_) for qw(error crash);
	}
}

# ---- a build that fails leaves no index

for my $point (qw(bulk-page:2 section-page:1 node-page:1))
{
	query('DROP TABLE IF EXISTS x; CREATE TABLE x (id int, v vector(8)); INSERT INTO x SELECT row_number() OVER (), y FROM clustered(2000, 8) y');
	$scenarios{build} = [ 8, '', 'CREATE INDEX x_v ON x USING annivf (v)' ];
	for my $action (qw(error crash))
	{
		ok(fails_at('build', $point, $action), "build, $point, $action: failed there");
		is(query("SELECT to_regclass('x_v') IS NULL"), 't', '... and there is no index');
	}
	query($scenarios{build}[2]);
	check_index($node, 'x', '<->', '... but later there is', 50);
}

# ---- a build that gets no memory leaves no index either, whichever of its allocations fails

{
	query('DROP TABLE IF EXISTS x; CREATE TABLE x (id int, v vector(8)); INSERT INTO x SELECT row_number() OVER (), y FROM clustered(1500, 8) y');
	my ($failed, $number, $status) = (0, 1, 3);
	my @wrong;

	for (; $status == 3; $number += $ENV{ANN_SOAK} ? 1 : 1 + int($number / 20))
	{
		my $error;

		query('ALTER TABLE x SET (parallel_workers = ' . ($number % 3 == 0 ? 1 : 0) . ')');
		($status, undef, $error) = $node->psql('postgres', "LOAD 'ann'; SET min_parallel_table_scan_size = 0; SET ann.fault = 'allocation:$number';
			CREATE INDEX x_v ON x USING annivf (v) WITH (num_leaves = 600, training_iterations = 2, soar_lambda = 1.5)");
		next if $status == 0;
		$failed++;
		push @wrong, "$number: $error" if $error !~ /ERROR:  fault point "allocation"/;
		push @wrong, "$number: an index" if query("SELECT to_regclass('x_v') IS NULL") ne 't';
	}
	is(join("\n", @wrong), '', "$failed builds without memory failed and left nothing");
	cmp_ok($failed, '>=', 50, '... which were enough of them');
	check_index($node, 'x', '<->', '... the one with memory is sound', 50);
}

# ---- statements that are cancelled: however far they have come, they end soon, and nothing is lost

# In steps (src/faultpoint.h), of which there are some hundred million in a second.
my $soon = 20_000_000;

# The steps of a statement and those after the interrupt; its error; after which pass of the point the interrupt
# was asked for, the number of passes, and the steps at each.
sub interrupted
{
	my ($statement, $step, $settings) = @_;
	my ($out, $error);

	$settings //= '';
	$node->psql('postgres', "LOAD 'ann'; SET ann.fault_interrupt = $step; $settings; $statement;\nSHOW ann.fault_steps",
		stdout => \$out, stderr => \$error, on_error_stop => 0);
	my ($steps, $late, @passes) = split ' ', (split /\n/, $out)[-1];
	return ($steps, $late, $error, @passes);
}

# 64 dimensions: with a rotation and second leaves; 600 leaves: with codes of centroids.
my $rows = 'DROP TABLE IF EXISTS x; CREATE TABLE x (id int, v vector(64)); INSERT INTO x SELECT row_number() OVER (), y FROM clustered(%d, 64, 0.5, 80) y';
my $with = "WITH (num_leaves = 600, training_iterations = 3, soar_lambda = 1.5, dimensions_per_block = 2)";
my $many = sprintf($rows, 3000);
my $all = 'SET enable_seqscan = off; SET enable_sort = off; SET ann.num_leaves_to_search = 10000; ';
my @statements = (
	[ 'a build', $many, "CREATE INDEX x_v ON x USING annivf (v) $with", 'DROP INDEX IF EXISTS x_v' ],
	[ 'a training', 'CREATE INDEX x_v ON x USING annivf (v) ' . $with, "SELECT ann_train('x_v')", "TRUNCATE x; " . sprintf('INSERT INTO x SELECT row_number() OVER (), y FROM clustered(%d, 64, 0.5, 80) y', 1500) ],
	[ 'inserts', "SELECT ann_train('x_v')", 'INSERT INTO x SELECT 5000 + row_number() OVER (), y FROM clustered(300, 64, 0.6, 80) y', '' ],
	[ 'a scan', '', "${all}SELECT count(*) FROM (SELECT id FROM x ORDER BY v <-> (SELECT v FROM x WHERE id = 1)) s", '' ],
	[ 'a check', '', "SELECT * FROM ann_check('x_v', true)", '' ],
	[ 'a vacuum', 'DELETE FROM x WHERE id % 3 = 0', $vacuum, 'INSERT INTO x SELECT 7000 + i, anything(64) FROM generate_series(1, 50) i; DELETE FROM x WHERE id > 7000' ]);

for my $case (@statements)
{
	my ($what, $setup, $statement, $again) = @$case;
	my ($cancelled, $latest, $points) = (0, 0, 16);
	my @wrong;

	query($setup) if $setup ne '';
	query($again) if $again ne '';
	my ($total) = interrupted($statement, 1e15);
	for my $point (1 .. $points)
	{
		query($again) if $again ne '';
		my $before = query('SELECT count(*), sum(id) FROM x');
		my (undef, $late, $error) = interrupted($statement, int($total * ($point - 0.5) / $points));

		$latest = $late if $late > $latest;
		next if $error !~ /ERROR/;
		$cancelled++;
		push @wrong, $error if $error !~ /ERROR:  canceling statement due to user request/;
		push @wrong, "$point: other rows" if query('SELECT count(*), sum(id) FROM x') ne $before;
		push @wrong, "$point: " . query($sound) if $what ne 'a build' && query($sound) ne '';
		push @wrong, "$point: an index" if $what eq 'a build' && query("SELECT to_regclass('x_v') IS NULL") ne 't';
	}
	note("$what: $total steps, cancelled at $cancelled of $points, at most $latest steps late");
	is(join("\n", @wrong), '', "$what: cancelled, and all is as it was");
	cmp_ok($cancelled, '>=', $points / 2, '... most times');
	cmp_ok($latest, '<=', $soon, '... soon');
}
query("VACUUM (INDEX_CLEANUP on) x; INSERT INTO x SELECT 9000 + i, anything(64) FROM generate_series(1, 50) i");
check_index($node, 'x', '<->', 'after all of them', 50);
is(query("SELECT * FROM ann_check('x_v', true)"), '', '... and a vacuum nothing is left');

# ---- a build by two processes that measures second leaves: cancelled in each phase, and each process fails

# The names of the segments of shared memory.
sub segments { return join(' ', map { s/.*\///r } glob($node->data_dir . '/pg_dynshmem/*')); }

# Are these all that there are, once a session that has told of its error is done with it?
sub has_segments
{
	my ($names) = @_;

	for (1 .. 100 * timeout_seconds())
	{
		return 1 if segments() eq $names;
		usleep(10_000);
	}
	return 0;
}

my @phases = ('estimating rows', 'sampling rows', 'training centroids', 'measuring second leaves', 'assigning the sample',
	'training the rotation', 'training codes', 'coding centroids', 'assigning and encoding rows', 'sorting codes',
	'writing leaves', 'calibrating', 'writing the tree', 'logging the index');

# The sample has the two megabytes for which there is a team.
my $team_build = 'CREATE INDEX x_v ON x USING annivf (v) WITH (num_leaves = 600, training_iterations = 3, dimensions_per_block = 2)';

# Builds, with a point set; says what the build said, and leaves no index, nor anything else.
sub team_fails
{
	my ($point, $action) = @_;
	my $before = segments();
	my $offset = -s $node->logfile;
	my ($status, undef, $error) = $node->psql('postgres', "LOAD 'ann'; SET ann.fault_action = $action;
		SET ann.fault_interrupt = " . ($action eq 'cancel' ? 1000 : 0) . "; SET ann.fault = '$point'; $team_build");

	$node->wait_for_log(qr/database system is ready to accept connections/, $offset) if $status == 2;
	query('DROP INDEX x_v') if $status == 0;
	$error .= ' AND LEFT SHARED MEMORY' if $status != 2 && !has_segments($before);
	$error .= ' AND LEFT AN INDEX' if query("SELECT to_regclass('x_v') IS NULL") ne 't';
	return $error;
}

# scenario, points, actions; *: until the worker has come in time for it
my @team_cases = (
	[ 'a worker that begins', 'worker-begin:1', qw(error crash cancel) ],
	[ 'a worker at a part', 'worker-begin:1,team-part:1*', qw(error crash cancel) ],
	[ 'a worker at a later part', 'worker-begin:1,team-part:4*', 'error' ],
	[ 'a worker without memory', 'worker-begin:1,allocation:1*', 'error' ],
	[ 'any at a part', 'team-part:1', qw(error crash cancel) ],
	[ 'any at a later part', 'team-part:12', qw(error cancel) ],
	(map { [ "a leader of a team without memory, $_", "phase:3,allocation:$_", 'error' ] } 1 .. 3),
	(map { [ "second leaves without memory, $_", "phase:4,allocation:$_", 'error' ] } grep { $ENV{ANN_SOAK} || $_ % 4 == 1 } 1 .. 20));

sub team_table
{
	my ($num, $dim) = @_;

	query("DROP TABLE IF EXISTS x; CREATE TABLE x (id int, v vector($dim)) WITH (parallel_workers = 1);
		ALTER TABLE x ALTER v SET STORAGE PLAIN; INSERT INTO x SELECT row_number() OVER (), y FROM clustered($num, $dim, 0.5, 80) y");
	return;
}

# Cancels a build in each of its phases, where the cases say: with so many workers, that part of the steps
# behind the phase's beginning which the phase takes where there are no workers.
sub cancelled_in_phases
{
	my ($kind, $settings, $build, $cases, @phases) = @_;
	my ($total, undef, $said, undef, undef, @starts) = interrupted("$settings; SET max_parallel_maintenance_workers = 0; $build", 1e15, "SET ann.fault = 'phase:1000'");
	my $before = segments();
	my $latest = 0;
	my @wrong;

	is(scalar @starts, scalar @phases, "$kind has its phases") or diag($said);
	query('DROP INDEX x_v');
	for my $number (1 .. @phases)
	{
		my $length = ($starts[$number] // $total) - $starts[$number - 1];

		for my $case (@$cases)
		{
			my ($workers, $part, $only) = @$case;

			next if $only && $phases[$number - 1] !~ $only;
			my (undef, $late, $error, $pass) = interrupted("$settings; SET max_parallel_maintenance_workers = $workers; SET client_min_messages = debug1; $build",
				1 + int($part * $length), "SET ann.fault_action = cancel; SET ann.fault = 'phase:$number'");
			my $what = "$phases[$number - 1], $workers workers, $part";

			note("$what: $late steps late of $length");
			$latest = $late if $late > $latest;
			push @wrong, "$what: $error" if $error !~ /ERROR:  canceling statement due to user request/;
			push @wrong, "$what: in phase $pass" if $pass != $number;
			push @wrong, "$what: only at its end" if $phases[$number - 1] =~ /^writing/ && $late > $length / 2;
			push @wrong, "$what: no team" if $number > 3 && $workers > 0 && $error !~ /ann: 1 workers train centroids/;
			push @wrong, "$what: an index" if query("SELECT to_regclass('x_v') IS NULL") ne 't';
			push @wrong, "$what: shared memory" if !has_segments($before);
		}
	}
	is(join("\n", @wrong), '', "$kind: cancelled in each phase, it leaves nothing");
	cmp_ok($latest, '<=', $soon, '... soon');
	return;
}

# With a worker the leader has less to do: so early in the phase he is there for sure.
my @cases_of_phases = $ENV{ANN_SOAK} ? map { [ 0, $_ / 20 ], [ 1, $_ / 100 ] } 0 .. 19
	: ([ 0, 0.3 ], [ 1, 0.1, qr/training centroids|second leaves|encoding rows/ ]);

{
	team_table(4500, 128);
	cancelled_in_phases('a build by two', '', $team_build, \@cases_of_phases, @phases);
	for my $case (@team_cases)
	{
		my ($what, $point, @actions) = @$case;
		my $tries = $point =~ s/\*$// ? 50 : 1;

		for my $action (@actions)
		{
			my $error = '';

			for (1 .. $tries)
			{
				$error = team_fails($point, $action);
				last if $error ne '';
			}
			like($error, $action eq 'error' ? qr/\A[^\n]*ERROR:  fault point "[a-z-]+"(?!.* AND LEFT)/s
				: $action eq 'cancel' ? qr/\A[^\n]*ERROR:  canceling statement due to user request(?!.* AND LEFT)/s
				: qr/server closed the connection|connection to server was lost(?!.* AND LEFT)/, "$what, $action: nothing is left");
		}
	}
	like(($node->psql('postgres', "SET client_min_messages = debug1; $team_build"))[2], qr/ann: 1 workers train centroids.*second leaves save/s, 'a build by a team');
	check_index($node, 'x', '<->', '... after all of them', 50);
}

# Wide vectors and the kernels in plain C, of which each multiply-add is work: as late, in steps.
if ($ENV{ANN_SOAK})
{
	team_table(700, 1536);
	cancelled_in_phases('a build of wide vectors', 'SET ann.simd = scalar', 'CREATE INDEX x_v ON x USING annivf (v) WITH (num_leaves = 40, training_iterations = 2)',
		\@cases_of_phases, grep { !/rotation|coding centroids/ } @phases);
}

# ---- progress: a build stops at each of its reports, and another session reads the view

my $holder = $node->background_psql('postgres');

# Holds the locks that the build waits for, one for each report, and writes down what the view says before
# it lets go of the next. The last lock is for the build's end.
my $end = 1_000_000;
my $walk = <<"SQL";
DO \$\$
DECLARE
	stop bigint;
	num int := 1;
BEGIN
	LOOP
		SELECT objid::bigint INTO stop FROM pg_locks WHERE locktype = 'advisory' AND NOT granted;
		EXIT WHEN stop = $end;
		IF stop = num THEN
			INSERT INTO seen SELECT num, phase, blocks_total, blocks_done, tuples_total, tuples_done
				FROM pg_stat_progress_create_index;
			PERFORM pg_advisory_unlock(num);
			num := num + 1;
		ELSE
			PERFORM pg_sleep(0.001);
		END IF;
		PERFORM pg_stat_clear_snapshot();
	END LOOP;
	PERFORM pg_advisory_unlock_all();
END \$\$
SQL

# What a build reports: its phases, and reports that cannot be.
sub progress
{
	my ($what, $setup, $index, @phases) = @_;

	query("DROP TABLE IF EXISTS x, seen; $setup;
		CREATE TABLE seen (num int, phase text, blocks_total bigint, blocks_done bigint, total bigint, done bigint)");
	$holder->query_safe("SELECT count(pg_advisory_lock(i)) FROM generate_series(1, 2000) i; SELECT pg_advisory_lock($end)");
	my @build = start_clients($node, build => [ 1, 1, <<"SQL" ]);
SET max_parallel_maintenance_workers = 0;
LOAD 'ann';
SET ann.fault_action = wait;
SET ann.fault = 'progress:*';
CREATE INDEX x_v ON x USING annivf (v) $index;
SELECT pg_advisory_lock($end);
SQL
	$holder->query_safe($walk);
	finish_clients($what, @build);
	is(query("SELECT string_agg(phase, ', ' ORDER BY num) FROM (SELECT replace(phase, 'building index: ', '') AS phase, min(num) AS num FROM seen GROUP BY 1) s"),
		join(', ', @phases), '... its phases');
	is(query('SELECT string_agg(s::text, E\'\n\') FROM (SELECT *, lag(done) OVER w AS before, lag(blocks_done) OVER w AS blocks_before
			FROM seen WINDOW w AS (PARTITION BY phase ORDER BY num)) s
			WHERE done > total OR done < before OR blocks_done > blocks_total OR blocks_done < blocks_before'),
		'', '... go forwards');
	is(query('SELECT string_agg(s::text, E\'\n\') FROM (SELECT DISTINCT ON (phase) * FROM seen ORDER BY phase, num DESC) s
			WHERE greatest(total, blocks_total) = 0 OR NOT (done = total AND total > 0 OR blocks_done = blocks_total AND blocks_total > 0)'),
		'', '... each to its end');
	return;
}

progress('progress of a build', sprintf($rows, 12000) . '; INSERT INTO x SELECT 0, NULL FROM generate_series(1, 10)',
	'WITH (num_leaves = 600, training_sample_size = 9000, training_iterations = 4, dimensions_per_block = 2)',
	@phases);
is(query("SELECT string_agg(phase, ', ' ORDER BY phase) FROM (SELECT DISTINCT replace(phase, 'building index: ', '') AS phase FROM seen
		WHERE done > 0 AND done < total OR blocks_done > 0 AND blocks_done < blocks_total) s"),
	'assigning and encoding rows, assigning the sample, calibrating, coding centroids, estimating rows, logging the index, '
	  . 'measuring second leaves, sampling rows, training centroids, training codes, training the rotation, writing leaves, writing the tree',
	'... seen on their way');
progress('progress of a build that stays untrained', sprintf($rows, 500), '', 'estimating rows', 'sampling rows',
	'assigning and encoding rows', 'logging the index');

# ---- a vacuum's delay is taken everywhere, under no lock

# Scenario, setup, the least number of delays: of the pages passed, and the rows fetched.
my $pages = "pg_relation_size('x_v') / current_setting('block_size')::int";
for my $case (
	[ 'a pass and hints', $leaf . 'DELETE FROM x WHERE id = 1', 4, "$pages + 1" ],
	[ 'a pass without hints', $leaf . 'INSERT INTO x VALUES (99, NULL); DELETE FROM x WHERE id = 99', 4, $pages ],
	[ 'BODY pages', $scenarios{left_body}[1] =~ s/DELETE.*/INSERT INTO x VALUES (99, NULL); DELETE FROM x WHERE id = 99/r, 600, "$pages + 1 + ($pages - 3) + 1" ],
	[ 'an absorption', $grown . $late, 8, '2000' ],
	[ 'a training', 'CREATE INDEX x_v ON x USING annivf (v) WITH (num_leaves = 6, training_sample_size = 1000);
		INSERT INTO x SELECT row_number() OVER (), y FROM clustered(10001, 8) y', 8, '11001 + 4 * 8' ])
{
	my ($what, $setup, $dim, $least) = @$case;

	query("DROP TABLE IF EXISTS x; CREATE TABLE x (id int, v vector($dim)); $setup");
	$least = query("SELECT $least");
	my (undef, undef, $error, undef, $passes) = interrupted($vacuum, 1e15, "SET ann.fault = 'delay:1000000000'");
	is($error, '', "the delays of $what");
	cmp_ok($passes, '>=', $least, '... are as many as there should be');
	note("$passes of $least");
	is(query("SELECT * FROM ann_check('x_v', true)"), '', '... and the index is sound');
}

# ---- pages that come and go under a scan that reads the exact leaf

sub wait_at_lock
{
	my ($count) = @_;
	wait_for_rows($node, "SELECT count(*) = $count FROM pg_stat_activity WHERE wait_event = 'advisory'");
	return;
}

# Four pages, all full: the head, then 3, 2, 1 of those that were filled after it. The scan stops before it
# reads page 2, of which all rows are dead; a vacuum takes it out of the chain, an insert puts it behind
# the head.
my $page = 1357;    # row identifiers on a page
for my $work_mem ('4MB', '64kB')
{
	query(<<"SQL");
DROP TABLE IF EXISTS x, seen;
CREATE TABLE seen (num int, different int);
CREATE TABLE x (id int, v vector(2));
INSERT INTO x SELECT i, ARRAY[i, 1]::vector FROM generate_series(1, 100) i;
CREATE INDEX x_v ON x USING annivf (v) WITH (num_leaves = 2);
INSERT INTO x SELECT 1000 + i, '[1e20,1e20]' FROM generate_series(1, 4 * $page) i;
DELETE FROM x WHERE id BETWEEN 1001 + 2 * $page AND 1000 + 3 * $page;
SQL
	$holder->query_safe('SELECT pg_advisory_lock(3)');
	my @scan = start_clients($node, scan => [ 1, 1, <<"SQL" ]);
SET enable_seqscan = off;
SET enable_sort = off;
SET work_mem = '$work_mem';
LOAD 'ann';
SET ann.fault_action = wait;
SET ann.fault = 'exact-page:3';
INSERT INTO seen SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM x ORDER BY v <-> '[1,2]') s;
SQL
	wait_at_lock(1);
	query("$vacuum; INSERT INTO x VALUES (0, '[1e20,1e20]')");
	$holder->query_safe('SELECT pg_advisory_unlock(3)');
	finish_clients("a scan with $work_mem", @scan);
	my $rows = 100 + 3 * $page;
	is(query('SELECT * FROM seen'), "$rows|$rows", '... saw each row once');
}

# ---- two writers wait for one another where their leaves share a page, and only there

# Two leaves, each with a page of its own; or a page of both. One writer stops while it has a page locked.
my $waiting = "SELECT count(*) = %d FROM pg_stat_activity WHERE wait_event_type = 'LWLock' AND query LIKE 'INSERT%%'";
for my $case ([ 'pages of their own', 600, 2, 0 ], [ 'a page of both', 4, 1, 1 ])
{
	my ($what, $dim, $width, $waits) = @$case;
	my $row = "INSERT INTO x SELECT %d, array_fill(%d, ARRAY[$dim])::vector;\n";

	query("DROP TABLE IF EXISTS x; CREATE TABLE x (id int, v vector($dim));
		INSERT INTO x SELECT i, array_fill(i + i / 11 * 1000, ARRAY[$dim])::vector FROM generate_series(1, 20) i;
		CREATE INDEX x_v ON x USING annivf (v) WITH (num_leaves = 2, dimensions_per_block = $width, soar_lambda = 0)");
	is(query('SELECT count(*), min(num_tuples), max(num_tuples) FROM ann_leaves(\'x_v\')'), '2|10|10', "$what: two leaves");
	$holder->query_safe('SELECT pg_advisory_lock(1)');
	my ($first) = start_clients($node, first => [ 1, 1, "LOAD 'ann';\nSET ann.fault_action = wait;\nSET ann.fault = 'append-lane:1';\n" . sprintf($row, 101, 5) ]);
	wait_at_lock(1);
	my ($other) = start_clients($node, other => [ 1, 1, sprintf($row, 102, 1015) ]);
	if ($waits)
	{
		wait_for_rows($node, sprintf($waiting, 1));
		pass("$what: a writer of the other leaf waits");
	}
	else
	{
		finish_clients("$what, a writer of the other leaf while the first one stands", $other);
		my ($same) = start_clients($node, same => [ 1, 1, sprintf($row, 103, 6) ]);
		wait_for_rows($node, sprintf($waiting, 1));
		$other = $same;
	}
	is(query("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'"), 1, '... and the first one still stands');
	$holder->query_safe('SELECT pg_advisory_unlock(1)');
	finish_clients($what, $first, $other);
	check_index($node, 'x', '<->', '... after that', 50);
}

# ---- BODY pages of an insert at work are not taken for leaked ones

# Three pages are free: one, which the exact leaf had, before the node page, and the two last. A vacuum
# stops before these two. An insert into a full leaf makes them the codes of a new block and stops; what it
# will take for the block itself is the first page, which the vacuum has passed. (It is taken last, as an
# insert that failed had just taken it, and only the vacuum knows that it is free again. The dead row is of
# the NULL leaf, lest the vacuum waits for the node page to reset hints.)
query(<<"SQL");
DROP TABLE x;
CREATE TABLE x (id int, v vector(600));
CREATE INDEX x_v ON x USING annivf (v) WITH (num_leaves = 2, dimensions_per_block = 1);
INSERT INTO x SELECT i, array_fill(i, ARRAY[600])::vector FROM generate_series(1, 32) i;
INSERT INTO x SELECT i, array_fill(i, ARRAY[600])::vector FROM generate_series(5000, 5000 + $page) i;
INSERT INTO x SELECT 10000 + i, NULL FROM generate_series(1, $page) i;
SELECT ann_train('x_v');
LOAD 'ann';
SELECT failing('append-block:1', '$insert_wide');
DELETE FROM x WHERE id = 5001;
$vacuum;
SELECT failing('tids-page:1', 'INSERT INTO x VALUES (9001, NULL)');
DELETE FROM x WHERE id = 10001;
SQL
my $last = query("SELECT pg_relation_size('x_v') / current_setting('block_size')::int") - 1;
$holder->query_safe("SELECT pg_advisory_lock($last), pg_advisory_lock(2)");
my ($sweep) = start_clients($node, vacuum => [ 1, 1, "LOAD 'ann';\nSET ann.fault_action = wait;\nSET ann.fault = 'vacuum-page:$last';\n$vacuum;\n" ]);
wait_at_lock(1);
my ($writer) = start_clients($node, insert => [ 1, 1, "LOAD 'ann';\nSET ann.fault_action = wait;\nSET ann.fault = 'append-body:2';\n$insert_wide;\n" ]);
wait_at_lock(2);
is(query("SELECT pg_relation_size('x_v') / current_setting('block_size')::int - 1"), $last, 'the insert uses pages that were free');
$holder->query_safe("SELECT pg_advisory_unlock($last)");
wait_for_rows($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'LWLock' AND query LIKE 'VACUUM%'");
$holder->query_safe('SELECT pg_advisory_unlock(2)');
finish_clients('a vacuum beside an insert', $sweep, $writer);
is(query("SELECT * FROM ann_check('x_v', true)"), '', '... has not freed its pages, and there are no others');
check_index($node, 'x', '<->', '... and all rows are found', 50);
$holder->quit;

# ---- every point has its case

my %named = map { my ($scenario, @points) = @$_; map { ($_ => 1) } map { /([a-z-]+):\d/g } @points } @cases, @team_cases;
delete $named{allocation};
my %placed;
for my $file (glob("$FindBin::RealBin/../../src/*/*.c"))
{
	$placed{$_} = 1 for slurp_file($file) =~ /ANN_FAULT\("([a-z-]+)"\)/g;
}
is(join(' ', sort keys %placed), join(' ', sort keys %named), 'the cases are those of the source');

$node->stop;
my @bad = grep { /PANIC:|TRAP:|invalid memory|leak:|leaked|resource was not closed|not closed at end-of/ || (/was terminated by signal/ && !/signal 9/) } split /\n/, slurp_file($node->logfile);
is(join("\n", @bad), '', 'no crash but those that were asked for, nothing leaked');
done_testing();

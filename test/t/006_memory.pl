# Little of everything: memory, buffers, space for temporary files; and builds that are cancelled in each
# of their phases. Answers stay right, errors are clean, nothing is left behind.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use PostgreSQL::Test::Utils;
use Test::More;

# Under wal_level = minimal the server itself pins more buffers at commit than there are here.
my $node = new_node('memory', conf => [
		'shared_buffers = 128kB', 'wal_level = replica', 'work_mem = 64kB', 'maintenance_work_mem = 1MB', 'temp_buffers = 800kB',
		'max_connections = 10', 'max_wal_size = 1GB'
	]);

# ---- small limits

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE small (id int, v vector(48));
INSERT INTO small SELECT row_number() OVER (), x FROM clustered(12000, 48, 0.5, 150) x;
INSERT INTO small SELECT 20000 + i, CASE WHEN i % 2 = 0 THEN anything(48, 1e20) END FROM generate_series(1, 6000) i;
SQL
my (undef, undef, $err) = $node->psql('postgres', "SET client_min_messages = notice; CREATE INDEX small_v ON small USING annivf (v)");
unlike($err, qr/ERROR/, 'a build in 16 buffers');
like($err, qr/NOTICE:  training on \d+ of \d+ rows wanted, as maintenance_work_mem is small\nHINT:  More maintenance_work_mem/, 'a build says that it got little memory');
cmp_ok($node->safe_psql('postgres', "SELECT recall('small', '<->', array_agg(x), 10) FROM clustered(20, 48, 0.5, 150) x"), '>=', 0.9, 'recall in little memory');
check_index($node, 'small', '<->', 'built in little memory', 100);

$node->safe_psql('postgres', <<'SQL');
CREATE INDEX small_cosine ON small USING annivf (v vector_cosine_ops) WITH (num_leaves = 3000);
DELETE FROM small WHERE id % 3 = 0;
VACUUM (INDEX_CLEANUP on) small;
INSERT INTO small SELECT 40000 + row_number() OVER (), x FROM clustered(2000, 48, 0.6, 150) x;
SQL
check_index($node, 'small', '<=>', 'many leaves in little memory', 100);
check_index($node, 'small', '<->', 'vacuumed in little memory', 100);

# an exact leaf that outgrows work_mem; rows held back and rows read that do, too
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE exact (id int, v vector(4));
CREATE INDEX exact_v ON exact USING annivf (v);
INSERT INTO exact SELECT row_number() OVER (), x FROM clustered(9900, 4) x;
SQL
check_index($node, 'exact', '<->', 'an untrained index in little memory', 50);
is($node->safe_psql('postgres', <<'SQL'), '9900|9900', 'a search that holds back most rows returns each once');
SET enable_seqscan = off;
SET enable_sort = off;
SET ann.num_leaves_to_search = 1;
DO $$ BEGIN PERFORM ann_train('exact_v'); END $$;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM exact ORDER BY v <-> '[1,1,1,1]') s;
SQL

# wide rows: a batch takes a megabyte, whatever the limit is
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE wide (id int, v vector(8000));
INSERT INTO wide SELECT row_number() OVER (), x FROM clustered(60, 8000, 0.5, 3) x;
CREATE INDEX wide_v ON wide USING annivf (v vector_ip_ops) WITH (num_leaves = 4);
INSERT INTO wide SELECT 100 + row_number() OVER (), x FROM clustered(20, 8000, 0.6, 3) x;
SQL
check_index($node, 'wide', '<#>', 'wide rows in little memory', 30);

# temporary files that may not grow: the statement fails, the next one works
($err) = ($node->psql('postgres', "SET temp_file_limit = '0kB'; CREATE INDEX small_again ON small USING annivf (v) WITH (dimensions_per_block = 1)"))[2];
like($err, qr/ERROR:  temporary file size exceeds "?temp_file_limit/, 'a build without room for its sort fails');
($err) = ($node->psql('postgres', "SET temp_file_limit = '0kB'; SET enable_seqscan = off; SET enable_sort = off;
	SELECT count(*) FROM (SELECT id FROM small ORDER BY v <-> (SELECT v FROM small LIMIT 1)) s"))[2];
like($err, qr/ERROR:  temporary file size exceeds "?temp_file_limit/, '... and so does a scan of all rows');
check_index($node, 'small', '<->', 'after them', 50);

# ---- builds that are cancelled

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE cancelled (id int, v vector(64));
INSERT INTO cancelled SELECT row_number() OVER (), x FROM clustered(15000, 64, 0.5, 150) x;

-- waits until a build shows a phase, or is over, and cancels it; what it was doing
CREATE FUNCTION cancel_in(wanted text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	build record;
	seen bool := false;
BEGIN
	FOR i IN 1..1000000 LOOP
		PERFORM pg_stat_clear_snapshot();
		SELECT pid, phase INTO build FROM pg_stat_progress_create_index;
		IF FOUND THEN
			seen := true;
			IF build.phase LIKE '%' || wanted || '%' THEN
				PERFORM pg_cancel_backend(build.pid);
				RETURN build.phase;
			END IF;
		ELSIF seen OR EXISTS (SELECT FROM pg_class WHERE relname = 'cancelled_v') THEN
			RETURN 'over';
		END IF;
		PERFORM pg_sleep(0.0005);
	END LOOP;
	RETURN 'never began';
END $$;
CHECKPOINT;
SQL

sub files
{
	# the first segment of a file goes at the next checkpoint
	return $node->safe_psql('postgres', "CHECKPOINT; SELECT count(*) FROM pg_database d, pg_ls_dir('base/' || d.oid) WHERE datname = 'postgres'");
}

my $files = files();
my $cancelled = 0;
for my $workers (0, 2)
{
	$node->safe_psql('postgres', "ALTER TABLE cancelled SET (parallel_workers = $workers)");
	for my $phase ('initializing', 'sampling rows', 'training centroids', 'training codes', 'assigning and encoding rows', 'sorting codes', 'writing leaves')
	{
		my ($build) = start_clients($node, build => [ 1, 1, 'CREATE INDEX cancelled_v ON cancelled USING annivf (v) WITH (training_iterations = 30);' ]);
		my $met = $node->safe_psql('postgres', "SELECT cancel_in('$phase')");

		$build->{run}->finish;
		my $done = $node->safe_psql('postgres', "SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'cancelled_v')");
		note("$workers workers: wanted $phase, met $met, done $done");
		if ($done eq 't')
		{
			# it was over before the request came
			$node->safe_psql('postgres', 'DROP INDEX cancelled_v');
			pass("$phase: too late to be cancelled");
		}
		else
		{
			$cancelled++;
			like($build->{err}, qr/ERROR:  canceling statement due to user request/, "$phase: cancelled");
		}
		wait_for_rows($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'parallel worker'");
		is(files(), $files, "$phase: no file is left");
	}
}
cmp_ok($cancelled, '>=', 6, 'builds were cancelled');
$node->safe_psql('postgres', 'CREATE INDEX cancelled_v ON cancelled USING annivf (v); INSERT INTO cancelled SELECT 20000 + i, anything(64) FROM generate_series(1, 50) i');
check_index($node, 'cancelled', '<->', 'built at last', 100);

# a vacuum that trains, cancelled: the next one does it
$node->safe_psql('postgres', <<'SQL');
DROP TABLE cancelled;
CREATE TABLE cancelled (id int, v vector(64));
CREATE INDEX cancelled_v ON cancelled USING annivf (v);
INSERT INTO cancelled SELECT row_number() OVER (), x FROM clustered(11000, 64, 0.5, 150) x;
SQL
my $size = $node->safe_psql('postgres', "SELECT pg_relation_size('cancelled_v')");
my ($vacuum) = start_clients($node, vacuum => [ 1, 1, 'VACUUM cancelled;' ]);
wait_for_rows($node, "SELECT pg_relation_size('cancelled_v') > $size OR is_trained('cancelled')");
$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_progress_vacuum");
$vacuum->{run}->finish;
check_index($node, 'cancelled', '<->', 'a training that was cancelled', 50);
$node->safe_psql('postgres', 'VACUUM cancelled');
is($node->safe_psql('postgres', "SELECT is_trained('cancelled')"), 't', 'the next vacuum trains');
check_index($node, 'cancelled', '<->', 'trained at last', 50);

# a scan, a vacuum and an insert that run out of time somewhere
my ($out);
for my $ms (1, 3, 10, 30)
{
	$node->psql('postgres', "SET statement_timeout = '${ms}ms'; SET enable_seqscan = off; SET enable_sort = off;
		SELECT count(*) FROM (SELECT id FROM cancelled ORDER BY v <-> (SELECT v FROM cancelled LIMIT 1)) s;
		DELETE FROM cancelled WHERE id % 97 = $ms;
		VACUUM (INDEX_CLEANUP on) cancelled;
		INSERT INTO cancelled SELECT 30000 + i, anything(64) FROM generate_series(1, 500) i",
		on_error_stop => 0, stdout => \$out, stderr => \$err);
	my @other = grep { /ERROR/ && !/canceling statement due to statement timeout/ } split /\n/, $err;
	is("@other", '', "within $ms ms: no error but the timeout");
}
check_index($node, 'cancelled', '<->', 'after timeouts', 100);

$node->stop;
no_crash($node, 'memory');
done_testing();

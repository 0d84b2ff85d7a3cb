# A full disk: builds, inserts, training and vacuum whose files cannot grow. Each fails with a clean error
# and leaves the table as it was and a sound index; where nothing must grow, work goes on; once there is
# space, all of it works.
#
# The disk is one of two: files of a limited size, where the server's processes get a limit which ends
# within a page, so that a file is extended by half of one; WAL has segments below that limit, and shared
# memory is no file. And where ANN_SMALL_DISK names a directory on a file system of some megabytes, which
# tools/test mounts where it may, that file system, filled.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'prlimit is missing' if system('prlimit --version >/dev/null 2>&1') != 0;

my $node = new_node('full', extra => ['--wal-segsize=1'], conf => [ 'wal_level = replica', 'max_parallel_maintenance_workers = 2', 'min_parallel_table_scan_size = 0', 'dynamic_shared_memory_type = sysv' ]);
my $least = 1100 * 1024;    # above that of WAL

my $small = $ENV{ANN_SMALL_DISK};
my ($disk, $tablespace);

# Files grow to this many bytes, at least, and half a page; 0: as they like.
sub limit_files
{
	my ($bytes) = @_;
	my $pid = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
	my $pages = int(($bytes > $least ? $bytes : $least) / 8192);

	system('prlimit', '--pid', $pid, '--fsize=' . ($bytes == 0 ? 'unlimited:' : $pages * 8192 + 4096 . ':')) == 0 or die 'prlimit failed';
	return;
}

# The small file system has this many bytes left, and half a page; 0: all of them.
sub leave_bytes
{
	my ($bytes) = @_;

	unlink "$small/filler";
	return if $bytes == 0;
	open my $filler, '>', "$small/filler" or die "$small/filler: $!";
	1 while defined syswrite $filler, "\0" x 4096;
	truncate $filler, (-s $filler) - 4096 - int($bytes / 8192) * 8192 or die "$small/filler: $!";
	close $filler or die "$small/filler: $!";
	return;
}

# An index of so many bytes (0: one that is made now) may grow to this many in processes started from now
# on; 0: as it likes.
sub limit
{
	my ($bytes, $now) = @_;
	return $disk eq 'files' ? limit_files($bytes) : leave_bytes($bytes && $bytes - $now);
}

sub query { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }

# The error of a statement, '' for none.
sub error_of
{
	my ($sql) = @_;
	my $err = ($node->psql('postgres', "\\set VERBOSITY verbose\n$sql", on_error_stop => 1))[2];
	return $err =~ /^(?:psql:.*?: )?((?:ERROR|FATAL|PANIC):.*)/m ? $1 : '';
}

my $cannot_extend = qr/extend file/;
my $cannot_write = qr/write to file ".*pgsql_tmp/;

# One test: the statement says that a file may not grow, which is the index unless said otherwise.
sub fails
{
	my ($sql, $what, $could_not) = @_;

	$could_not = $disk eq 'small' ? qr/(?:write to|extend) file "pg_tblspc/ : $could_not // $cannot_extend;
	like(error_of($sql), qr/^ERROR:  \w+: could not $could_not/, "$disk: $what");
	return;
}

sub index_bytes { my ($index) = @_; return query("SELECT pg_relation_size('$index')"); }

# Files of the database, and of the small file system.
sub num_files
{
	my $here = query("CHECKPOINT; SELECT count(*) FROM pg_database d, pg_ls_dir('base/' || d.oid) WHERE datname = 'postgres'");
	my $there = $disk eq 'files' ? 0 : `find $small -type f -size +0 ! -name filler | wc -l`;
	return $here + $there;
}

# While leaves are written; while codes are sorted. Several processes have a temporary file each, in any
# case, and whether one of them gets so many rows that its file is the first to be full is chance.
sub test_builds
{
	my %memory = ('leaves are written' => '64MB', 'codes are sorted' => '1MB');
	my $build = "CREATE INDEX built_v ON built USING annivf (v) WITH (num_leaves = 50, dimensions_per_block = 1, training_iterations = 2) TABLESPACE $tablespace";

	query('CREATE TABLE built (id int, v vector(64)); INSERT INTO built SELECT row_number() OVER (), x FROM clustered(25000, 64, 0.5, 50) x');
	my $before = num_files();
	for my $workers (0, 2)
	{
		for my $phase (sort keys %memory)
		{
			query("ALTER TABLE built SET (parallel_workers = $workers)");
			limit($least, 0);
			fails("SET temp_tablespaces = $tablespace; SET maintenance_work_mem = '$memory{$phase}'; $build", "$workers workers: no space while $phase",
				$workers > 0 ? qr/$cannot_extend|$cannot_write/ : $phase =~ /sorted/ ? $cannot_write : $cannot_extend);
			is(num_files(), $before, '... and no file is left');
			is(query('SELECT count(*), sum(id) FROM built'), '25000|312512500', '... and all rows are there');
			limit(0);
		}
	}
	query($build);
	check_index($node, 'built', '<->', 'with space it is built', 20);
	query('DROP TABLE built');
	return;
}

# An index much larger than its table, so that it is the index that cannot grow.
sub test_inserts
{
	my $first = 10000;

	query(<<"SQL");
CREATE TABLE rows (id int, v vector(8));
INSERT INTO rows SELECT row_number() OVER (), x FROM clustered(5000, 8, 0.5, 2000, 0.5) x;
CREATE INDEX rows_v ON rows USING annivf (v) WITH (num_leaves = 2000, training_iterations = 2) TABLESPACE $tablespace;
CREATE OR REPLACE PROCEDURE insert_many(first int, num int, dim int, what text) LANGUAGE plpgsql AS \$\$
BEGIN
	-- near to one another, so that they come into the same leaf; each is committed
	FOR i IN first .. first + num - 1 LOOP
		INSERT INTO rows SELECT i, CASE what WHEN 'NULL' THEN NULL WHEN 'far' THEN array_fill(1e20::real, ARRAY[dim])::vector
			ELSE (SELECT v FROM rows WHERE id = 1) END;
		COMMIT;
	END LOOP;
END \$\$;
-- the map of free space has its pages before there is no space
CALL insert_many($first, 3000, 8, 'far');
DELETE FROM rows WHERE id >= $first;
VACUUM (INDEX_CLEANUP on, TRUNCATE off) rows;
VACUUM (INDEX_CLEANUP on, TRUNCATE off) rows;
SQL
	cmp_ok(query("SELECT pg_relation_size('rows_v', 'fsm')"), '>', 0, 'the index has free pages');
	for my $what ('near', 'NULL', 'far')
	{
		my $size = index_bytes('rows_v');
		cmp_ok($size, '>', $least, 'the index is as large as the test wants');
		limit($size + 2 * 8192, $size);
		fails("CALL insert_many($first, 20000, 8, '$what')", "no space for rows: $what");
		my $committed = query("SELECT count(*) FROM rows WHERE id >= $first");
		cmp_ok($committed, '>', 10, "... but for some ($committed)");
		check_index($node, 'rows', '<->', '... and the index is sound', 20);

		query("DELETE FROM rows WHERE id >= $first AND id % 2 = 0; VACUUM (INDEX_CLEANUP on, TRUNCATE off) rows");
		is(error_of("CALL insert_many(" . ($first + 20000) . ", 20, 8, '$what')"), '', '... what a vacuum freed is used without space');
		check_index($node, 'rows', '<->', '... soundly', 20);
		limit(0);
		is(error_of("CALL insert_many(" . ($first + 30000) . ", 1500, 8, '$what')"), '', '... with space rows are inserted again');
		check_index($node, 'rows', '<->', '... soundly again', 20);
		$first += 100000;
	}
	query('DROP TABLE rows');
	return;
}

# By vacuum; and the rows that a vacuum moves out of the exact leaf.
sub test_training
{
	query(<<"SQL");
CREATE TABLE grown (id int, v vector(8));
CREATE INDEX grown_v ON grown USING annivf (v) WITH (num_leaves = 2000, training_iterations = 2) TABLESPACE $tablespace;
INSERT INTO grown SELECT row_number() OVER (), x FROM clustered(11000, 8, 0.5, 2000, 0.5) x;
SQL
	limit($least, index_bytes('grown_v'));
	fails('VACUUM grown', 'no space for a training');
	is(query("SELECT is_trained('grown')"), 'f', '... and there is none');
	check_index($node, 'grown', '<->', '... but a sound index', 20);
	is(error_of("INSERT INTO grown SELECT 20000 + i, anything(8) FROM generate_series(1, 100) i"), '', '... which takes rows');
	fails('VACUUM grown', '... and fails again');
	limit(0);
	query('VACUUM (INDEX_CLEANUP on) grown');
	is(query("SELECT is_trained('grown')"), 't', 'with space it is trained');
	check_index($node, 'grown', '<->', 'trained at last', 20);
	is(query("SELECT * FROM ann_check('grown_v', true)"), '', 'nothing is left of the trainings that failed');
	query('DROP TABLE grown');
	return;
}

if ($small)
{
	mkdir "$small/tablespace" or die "$small/tablespace: $!";
	query("CREATE TABLESPACE small LOCATION '$small/tablespace'");
}
for (['files', 'pg_default'], $small ? ['small', 'small'] : ())
{
	($disk, $tablespace) = @$_;
	test_builds();
	test_inserts();
	test_training();
}
SKIP:
{
	skip 'ANN_SMALL_DISK names no small file system', 1 unless $small;
	pass('with a full file system');
}

$node->stop;
no_crash($node, 'full disk');
done_testing();

# A full disk: builds, inserts, training and vacuum whose files cannot grow. Each fails with a clean error
# and leaves the table as it was and a sound index; where nothing must grow, work goes on; once there is
# space, all of it works.
#
# No disk is filled: the server's processes get a limit to the size of a file, which ends within a page, so
# that a file is extended by half of one, as on a disk that is full. WAL has segments below that limit, and
# shared memory that is no file.
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

# Files of processes started from now on grow to this many bytes, at least, and half a page; 0: as they like.
sub limit
{
	my ($bytes) = @_;
	my $pid = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
	my $pages = int(($bytes > $least ? $bytes : $least) / 8192);

	system('prlimit', '--pid', $pid, '--fsize=' . ($bytes == 0 ? 'unlimited:' : $pages * 8192 + 4096 . ':')) == 0 or die 'prlimit failed';
	return;
}

sub query { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }

# The error of a statement, '' for none.
sub error_of
{
	my ($sql) = @_;
	my $err = ($node->psql('postgres', "\\set VERBOSITY verbose\n$sql", on_error_stop => 1))[2];
	return $err =~ /^(?:psql:.*?: )?((?:ERROR|FATAL|PANIC):.*)/m ? $1 : '';
}

# One test: the statement says that a file may not grow: the index, or a temporary one.
sub fails
{
	my ($sql, $what, $file) = @_;
	my $could_not = $file ? qr/could not write to file "base\/pgsql_tmp/ : qr/could not extend file/;

	like(error_of($sql), qr/^ERROR:  \w+: $could_not/, $what);
	return;
}

sub index_bytes { my ($index) = @_; return query("SELECT pg_relation_size('$index')"); }

sub files { return query("CHECKPOINT; SELECT count(*) FROM pg_database d, pg_ls_dir('base/' || d.oid) WHERE datname = 'postgres'"); }

# ---- builds: while leaves are written; while codes are sorted (by several processes: in files that suffice)

query('CREATE TABLE built (id int, v vector(64)); INSERT INTO built SELECT row_number() OVER (), x FROM clustered(25000, 64, 0.5, 50) x');
my $before = files();
my %memory = ('leaves are written' => '64MB', 'codes are sorted' => '1MB');
for my $workers (0, 2)
{
	for my $phase (sort keys %memory)
	{
		my $build = "SET maintenance_work_mem = '$memory{$phase}'; CREATE INDEX built_v ON built USING annivf (v) WITH (num_leaves = 50, dimensions_per_block = 1, training_iterations = 2)";

		query("ALTER TABLE built SET (parallel_workers = $workers)");
		limit($least);
		fails($build, "$workers workers: no space while $phase", $workers == 0 && $phase =~ /sorted/);
		is(files(), $before, '... and no file is left');
		is(query('SELECT count(*), sum(id) FROM built'), '25000|312512500', '... and all rows are there');
		limit(0);
	}
}
query('CREATE INDEX built_v ON built USING annivf (v) WITH (num_leaves = 50, dimensions_per_block = 1, training_iterations = 2)');
check_index($node, 'built', '<->', 'with space it is built', 20);

# ---- inserts: an index much larger than its table, so that it is the index that cannot grow

query(<<'SQL');
CREATE TABLE rows (id int, v vector(8));
INSERT INTO rows SELECT row_number() OVER (), x FROM clustered(5000, 8, 0.5, 2000, 0.5) x;
CREATE INDEX rows_v ON rows USING annivf (v) WITH (num_leaves = 2000, training_iterations = 2);
CREATE PROCEDURE insert_many(first int, num int, dim int, what text) LANGUAGE plpgsql AS $$
BEGIN
	-- near to one another, so that they come into the same leaf; each is committed
	FOR i IN first .. first + num - 1 LOOP
		INSERT INTO rows SELECT i, CASE what WHEN 'NULL' THEN NULL WHEN 'far' THEN array_fill(1e20::real, ARRAY[dim])::vector
			ELSE (SELECT v FROM rows WHERE id = 1) END;
		COMMIT;
	END LOOP;
END $$;
SQL
my $first = 10000;
for my $what ('near', 'NULL', 'far')
{
	my $size = index_bytes('rows_v');
	cmp_ok($size, '>', $least, 'the index is as large as the test wants');
	limit($size + 2 * 8192);
	fails("CALL insert_many($first, 10000, 8, '$what')", "no space for rows: $what");
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

# ---- training by vacuum; the rows that a vacuum moves out of the exact leaf

query(<<'SQL');
CREATE TABLE grown (id int, v vector(8));
CREATE INDEX grown_v ON grown USING annivf (v) WITH (num_leaves = 2000, training_iterations = 2);
INSERT INTO grown SELECT row_number() OVER (), x FROM clustered(11000, 8, 0.5, 2000, 0.5) x;
SQL
limit($least);
fails('VACUUM grown', 'no space for a training');
is(query("SELECT is_trained('grown')"), 'f', '... and there is none');
check_index($node, 'grown', '<->', '... but a sound index', 20);
is(error_of("INSERT INTO grown SELECT 20000 + i, anything(8) FROM generate_series(1, 100) i"), '', '... which takes rows');
fails('VACUUM grown', '... and fails again');
my $size = index_bytes('grown_v');
limit(0);
query('VACUUM (INDEX_CLEANUP on) grown');
is(query("SELECT is_trained('grown')"), 't', 'with space it is trained');
check_index($node, 'grown', '<->', 'trained at last', 20);
is(query("SELECT * FROM ann_check('grown_v', true)"), '', 'nothing is left of the trainings that failed');

$node->stop;
no_crash($node, 'full disk');
done_testing();

# Crashes under load: the server and all its processes are killed by SIGKILL while clients insert, update,
# delete, search, vacuum, train and build; after recovery the index says what the table says, and goes on.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use AnnLoad;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('crash', conf => ['shared_buffers = 16MB', 'checkpoint_timeout = 1h', 'max_wal_size = 1GB']);

make_load_tables($node);
$node->safe_psql('postgres', <<'SQL');
-- brim: one leaf whose block is full, so that one row more begins a block; wide_brim: a long one
CREATE TABLE brim (id int, v vector(4));
INSERT INTO brim SELECT i, ARRAY[1, 2, 3, i]::vector FROM generate_series(1, 32) i;
CREATE INDEX brim_v ON brim USING annivf (v) WITH (num_leaves = 1);
CREATE TABLE wide_brim (id int, v vector(600));
INSERT INTO wide_brim SELECT i, array_fill(i, ARRAY[600])::vector FROM generate_series(1, 32) i;
CREATE INDEX wide_brim_v ON wide_brim USING annivf (v) WITH (num_leaves = 1, dimensions_per_block = 1);
CREATE TABLE untyped (id int, v vector);
CREATE INDEX untyped_v ON untyped USING annivf (v);
CHECKPOINT;
SQL

# One row in each case, then nothing but the crash.
$node->safe_psql('postgres', <<'SQL');
INSERT INTO brim VALUES (33, '[1,2,3,33]');
INSERT INTO wide_brim SELECT 33, array_fill(33, ARRAY[600])::vector;
INSERT INTO untyped VALUES (1, '[1,2,3]');
SQL
kill_node($node);
$node->start;
check_index($node, 'brim', '<->', 'the first row of a block');
check_index($node, 'wide_brim', '<->', 'the first row of a long block');
check_index($node, 'untyped', '<->', 'the first row of an index');
like(($node->psql('postgres', "INSERT INTO untyped VALUES (2, '[1,2]')"))[2], qr/ERROR:  expected 3 dimensions, not 2/, '... which has its dimensions for good');
$node->safe_psql('postgres', "INSERT INTO brim SELECT i, ARRAY[1, 2, 3, i]::vector FROM generate_series(34, 100) i; INSERT INTO wide_brim SELECT i, array_fill(i, ARRAY[600])::vector FROM generate_series(34, 70) i");
kill_node($node);
$node->start;
check_index($node, 'brim', '<->', 'more blocks');
check_index($node, 'wide_brim', '<->', 'more long blocks');

for my $round (1 .. rounds(5, 50))
{
	my @clients = start_load($node, $round);

	# far enough that every client did something
	wait_for_load($node, 15000);
	kill_node($node);
	stop_clients("round $round", @clients);
	$node->start;

	$node->safe_psql('postgres', 'DROP INDEX built_v') if $node->safe_psql('postgres', "SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass('built_v')") eq 't';
	note($node->safe_psql('postgres', "SELECT format('%s coded %s grown %s wide', (SELECT count(*) FROM coded), (SELECT count(*) FROM grown), (SELECT count(*) FROM wide))"));
	is($node->safe_psql('postgres', 'SELECT id FROM coded WHERE id < 0 UNION ALL SELECT id FROM grown WHERE id < 0 UNION ALL SELECT id FROM wide WHERE id < 0'), '', "round $round: no row that was not committed");
	check_index($node, 'coded', '<->', "round $round, trained");
	check_index($node, 'grown', '<=>', "round $round, grown from empty", 500);
	check_index($node, 'wide', '<#>', "round $round, wide", 100);
	# the oldest rows go, so that the last of many rounds has no more of them than the first
	$node->safe_psql('postgres', "DELETE FROM $_ WHERE id < (SELECT last_value FROM ids) - 30000") for qw(coded grown wide);
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP on) coded, grown, wide; INSERT INTO coded SELECT nextval(\'ids\'), anything(16), 0');
	check_index($node, 'coded', '<->', "round $round, vacuumed", 100);
	check_index($node, 'grown', '<=>', "round $round, vacuumed, grown from empty", 100);
}

# what training and crashes left behind is used again
is($node->safe_psql('postgres', "SELECT ann_train('grown_v')"), 'f', 'the index that grew has been trained');
$node->stop;
no_crash($node, 'crash');
done_testing();

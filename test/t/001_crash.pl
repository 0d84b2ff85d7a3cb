# Crashes under load: the server and all its processes are killed by SIGKILL while clients insert, update,
# delete, search, vacuum, train and build; after recovery the index says what the table says, and goes on.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('crash', conf => ['shared_buffers = 16MB', 'checkpoint_timeout = 1h', 'max_wal_size = 1GB']);

# coded: trained from the start; grown: made empty, so that a vacuum trains it; wide: blocks wider than a
# page, which an insert writes in several records.
$node->safe_psql('postgres', <<'SQL');
CREATE SEQUENCE ids;

CREATE TABLE coded (id int, v vector(16), note int);
INSERT INTO coded SELECT nextval('ids'), x, 0 FROM clustered(2000, 16) x;
CREATE INDEX coded_v ON coded USING annivf (v) WITH (num_leaves = 20);

CREATE TABLE grown (id int, v vector(16), note int);
CREATE INDEX grown_v ON grown USING annivf (v vector_cosine_ops) WITH (soar_lambda = 1.5);

CREATE TABLE wide (id int, v vector(600), note int);
INSERT INTO wide SELECT nextval('ids'), x, 0 FROM clustered(100, 600) x;
CREATE INDEX wide_v ON wide USING annivf (v vector_ip_ops) WITH (num_leaves = 10, dimensions_per_block = 1);

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

# As many rows as one statement of a client inserts; some NULL, some that no code describes. Those of the
# transaction that does not commit have negative numbers.
sub insert_script
{
	my ($table, $dim, $rows) = @_;
	my $values = "SELECT nextval('ids'), CASE i % 10 WHEN 0 THEN NULL WHEN 1 THEN anything($dim, 1e20) ELSE anything($dim, 6) END, 0
		FROM generate_series(1, $rows) i";
	$values =~ s/\s+/ /g;
	(my $undone = $values) =~ s/nextval/-nextval/;
	return <<"SQL";
INSERT INTO $table $values;
BEGIN;
INSERT INTO $table $values;
UPDATE $table SET note = note + 1 WHERE id = (SELECT max(id) - 3 FROM $table);
END;
BEGIN;
INSERT INTO $table $undone;
ROLLBACK;
SQL
}

sub clients
{
	my ($round) = @_;
	my $change = <<'SQL';
DELETE FROM TABLE WHERE id % 17 = :client_id + 3 AND random() < 0.1;
UPDATE TABLE SET v = v WHERE id % 29 = 0 AND random() < 0.1;
UPDATE TABLE SET note = note + 1 WHERE id % 31 = 0;
SELECT count(*) FROM (SELECT id FROM TABLE ORDER BY v OP (SELECT v FROM TABLE WHERE v IS NOT NULL LIMIT 1) LIMIT 20) s;
SQL
	my %changes = (coded => '<->', grown => '<=>', wide => '<#>');
	my $all = join '', map { my $table = $_; (my $sql = $change) =~ s/TABLE/$table/g; $sql =~ s/OP/$changes{$table}/g; $sql } sort keys %changes;

	# a build while others write leaves an invalid index when it is killed
	my $way = $round % 2 ? 'CONCURRENTLY' : '';

	return start_clients(
		$node,
		build => [ 1, 0, "DROP INDEX IF EXISTS built_v;\nCREATE INDEX $way built_v ON coded USING annivf (v) WITH (num_leaves = 30, soar_lambda = 1);\n" ],
		insert_coded => [ 2, 0, insert_script('coded', 16, 30) ],
		insert_grown => [ 1, 0, insert_script('grown', 16, 400) ],
		insert_wide => [ 1, 0, insert_script('wide', 600, 2) ],
		change => [ 1, 0, $all ],
		# a checkpoint in between, so that pages are torn and written whole again
		vacuum => [ 1, 0, "VACUUM (INDEX_CLEANUP on) coded, grown, wide;\n" . ($round % 2 ? "CHECKPOINT;\n" : '') ]);
}

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
	my $before = $node->safe_psql('postgres', "SELECT last_value FROM ids");
	my @clients = clients($round);

	# numbers are drawn until the kill: far enough that every client did something
	wait_for_rows($node, "SELECT last_value > $before + 15000 FROM ids");
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

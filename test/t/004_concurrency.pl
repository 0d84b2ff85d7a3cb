# Many sessions at once: inserts, updates, deletes and searches beside vacuum, training, REINDEX
# CONCURRENTLY and CREATE INDEX CONCURRENTLY. Under each snapshot the index says what the table says;
# nobody waits for ever, nothing fails.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $soak = rounds(1, 5);
my $node = new_node('concurrency', conf => ['shared_buffers = 16MB', 'max_wal_size = 1GB', 'deadlock_timeout = 100ms']);

$node->safe_psql('postgres', <<'SQL');
CREATE SEQUENCE ids;
CREATE TABLE mixed (id int, v vector(12), note int);
INSERT INTO mixed SELECT nextval('ids'), x, 0 FROM clustered(1500, 12) x;
CREATE INDEX mixed_v ON mixed USING annivf (v) WITH (num_leaves = 30);
CREATE TABLE grown (id int, v vector(12), note int);
CREATE INDEX grown_v ON grown USING annivf (v vector_cosine_ops) WITH (soar_lambda = 1.5);
INSERT INTO grown SELECT nextval('ids'), x, 0 FROM clustered(1500, 12) x;
CREATE TABLE wide (id int, v vector(700), note int);
INSERT INTO wide SELECT nextval('ids'), x, 0 FROM clustered(60, 700) x;
CREATE INDEX wide_v ON wide USING annivf (v vector_ip_ops) WITH (num_leaves = 4, dimensions_per_block = 1);

CREATE FUNCTION row_value(dim int, i int) RETURNS vector LANGUAGE sql VOLATILE AS $$
	SELECT CASE i % 12 WHEN 0 THEN NULL WHEN 1 THEN array_fill(0::real, ARRAY[dim])::vector
		WHEN 2 THEN anything(dim, 1e20) ELSE anything(dim, 8) END
$$;
SQL

# Writers and readers of one table: each row inserted is updated and deleted in the end by somebody.
sub mix
{
	my ($table, $dim, $op, $times, $rows) = @_;

	return (
		"insert_$table" => [ 2, $times * 4, <<"SQL"],
INSERT INTO $table SELECT nextval('ids'), row_value($dim, i), 0 FROM generate_series(1, $rows) i;
BEGIN;
INSERT INTO $table SELECT nextval('ids'), row_value($dim, i), 0 FROM generate_series(1, $rows) i;
ROLLBACK;
SQL
		"change_$table" => [ 1, $times * 2, <<"SQL"],
\\set part random(0, 19)
UPDATE $table SET v = row_value($dim, id), note = note + 1 WHERE id % 20 = :part;
UPDATE $table SET note = note + 1 WHERE id % 20 = (:part + 7) % 20;
DELETE FROM $table WHERE id % 20 = (:part + 13) % 20;
SQL
		"search_$table" => [ 1, $times, <<"SQL"],
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT must_agree('$table', '$op', anything($dim, 8));
SELECT must_agree('$table', '$op', anything($dim, 8));
COMMIT;
SQL
	);
}

sub check_all
{
	my ($what) = @_;

	check_index($node, 'mixed', '<->', "$what, mixed", 300);
	check_index($node, 'grown', '<=>', "$what, grown", 300);
	check_index($node, 'wide', '<#>', "$what, wide", 50);
	return;
}

# Vacuum beside everything.
{
	my @clients = start_clients(
		$node,
		mix('mixed', 12, '<->', 40 * $soak, 20),
		mix('wide', 700, '<#>', 25 * $soak, 2),
		vacuum => [ 1, 50 * $soak, 'VACUUM (INDEX_CLEANUP on) mixed, wide;' ]);
	finish_clients('vacuum', @clients);
	check_all('after vacuum');
}

# Training while rows come and go, and the vacuums that finish it.
for my $round (1 .. 3 * $soak)
{
	$node->safe_psql('postgres', "TRUNCATE grown; INSERT INTO grown SELECT nextval('ids'), x, 0 FROM clustered(3000, 12) x");
	my @clients = start_clients(
		$node,
		mix('grown', 12, '<=>', 8, 40),
		more => [ 2, 8, "BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT must_agree('grown', '<=>', anything(12, 8));\nCOMMIT;\n" ],
		train => [ 1, 1, "SELECT ann_train('grown_v');" ],
		vacuum => [ 1, 8, 'VACUUM (INDEX_CLEANUP on) grown;' ]);
	finish_clients("training $round", @clients);
	is($node->safe_psql('postgres', "SELECT is_trained('grown', '<=>')"), 't', 'the index was trained');
	check_index($node, 'grown', '<=>', "after training $round", 300);
}

# Indexes made anew.
{
	my @clients = start_clients(
		$node,
		mix('mixed', 12, '<->', 25 * $soak, 20),
		rebuild => [ 1, 10 * $soak, 'REINDEX INDEX CONCURRENTLY mixed_v;' ]);
	finish_clients('REINDEX CONCURRENTLY', @clients);
	check_all('after REINDEX CONCURRENTLY');
}
{
	my @clients = start_clients(
		$node,
		mix('wide', 700, '<#>', 5 * $soak, 2),
		mix('grown', 12, '<=>', 8 * $soak, 20),
		create => [ 1, 3 * $soak, <<'SQL']);
CREATE INDEX CONCURRENTLY grown_again ON grown USING annivf (v vector_cosine_ops) WITH (num_leaves = 8);
CREATE INDEX CONCURRENTLY wide_again ON wide USING annivf (v vector_ip_ops) WITH (num_leaves = 3);
DROP INDEX CONCURRENTLY grown_v;
DROP INDEX CONCURRENTLY wide_v;
ALTER INDEX grown_again RENAME TO grown_v;
ALTER INDEX wide_again RENAME TO wide_v;
SQL
	finish_clients('CREATE INDEX CONCURRENTLY', @clients);
	check_all('after CREATE INDEX CONCURRENTLY');
}

# Serialisable transactions: a point takes a place only where the nearest one, by plan or by function, is
# not there already, which no two see at once. Beside them points are deleted, noted on (HOT) and moved
# away, transactions abort, and the index is vacuumed and made anew. Those that fail try again.
{
	my $place = 'ARRAY[:x, :y]::vector';
	my $nearest = "(SELECT id FROM spaced ORDER BY v <-> $place LIMIT 1)";
	my @again = ('--max-tries=10000');
	my $times = 60 * $soak;
	my $serialisable = sub {
		my ($sql, $end) = @_;
		return "SET enable_seqscan = off;\nSET ann.num_leaves_to_search = 1000;\n\\set x random(1, 9)\n\\set y random(1, 9)\n"
		  . "BEGIN ISOLATION LEVEL SERIALIZABLE;\n$sql;\n" . ($end // 'COMMIT') . ";\n";
	};
	my $add = "INSERT INTO spaced SELECT nextval('ids'), $place, 0 WHERE NOT EXISTS";
	my $by_plan = "$add (SELECT FROM spaced WHERE id = $nearest AND v <-> $place < 0.5)";
	my $by_function = "$add (SELECT FROM ann_search('spaced_steady', $place, 1) WHERE distance < 0.5)";

	$node->safe_psql('postgres', <<'SQL');
CREATE TABLE spaced (id int, v vector(2), note int);
INSERT INTO spaced SELECT nextval('ids'), ARRAY[i, i]::vector, 0 FROM generate_series(1, 9) i;
CREATE INDEX spaced_v ON spaced USING annivf (v) WITH (num_leaves = 4);
-- a function is told which index to search, and that may be invalid when it does
CREATE INDEX spaced_steady ON spaced USING annivf (v) WITH (num_leaves = 5);
CREATE INDEX spaced_id ON spaced (id);
SQL
	my @clients = start_clients(
		$node,
		add_plan => [ 3, $times, $serialisable->($by_plan), @again ],
		add_function => [ 3, $times, $serialisable->($by_function), @again ],
		abort => [ 1, $times, $serialisable->($by_plan, 'ROLLBACK'), @again ],
		change => [ 2, $times, $serialisable->("DELETE FROM spaced WHERE id = $nearest"), @again ],
		note => [ 1, $times, $serialisable->("UPDATE spaced SET note = note + 1 WHERE id = $nearest"), @again ],
		move => [ 1, $times, $serialisable->("UPDATE spaced SET v = ARRAY[100 + id, 0]::vector WHERE id = $nearest"), @again ],
		# one after the other, as those of them that wait for snapshots and those that wait for the table would meet
		keep => [ 1, 3 * $soak, <<'SQL' ]);
VACUUM (INDEX_CLEANUP on) spaced;
REINDEX INDEX CONCURRENTLY spaced_v;
VACUUM (INDEX_CLEANUP on) spaced;
CREATE INDEX CONCURRENTLY spaced_again ON spaced USING annivf (v) WITH (num_leaves = 3);
VACUUM (INDEX_CLEANUP on) spaced;
DROP INDEX CONCURRENTLY spaced_again;
SQL
	finish_clients('SERIALIZABLE', @clients);
	is(join(' ', map { $_->{out} =~ /number of failed transactions: ([1-9]\d*)/ ? $_->{name} : () } @clients), '', '... none gave up');
	is($node->safe_psql('postgres', 'SELECT v, count(*) FROM spaced GROUP BY v HAVING count(*) > 1'), '', '... and each place was taken once');
	check_index($node, 'spaced', '<->', 'after SERIALIZABLE', 300);
	note(join ' ', map { "$_->{name}: " . ($_->{out} =~ /total number of retries: (\d+)/ ? $1 : '-') } @clients);
}
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_index WHERE NOT indisvalid"), '0', 'no invalid index is left');

$node->stop;
no_crash($node, 'concurrency');
done_testing();

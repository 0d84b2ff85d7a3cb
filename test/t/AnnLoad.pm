# AnnLoad.pm: a mixed load: clients that insert, update, delete, search, vacuum and build.
package AnnLoad;

use strict;
use warnings;

use AnnTest;

use Exporter 'import';
our @EXPORT = qw(load_tables make_load_tables start_load wait_for_load);

# The tables and their operators. coded: trained from the start; grown: made empty, so that a vacuum trains
# it; wide: blocks wider than a page, which an insert writes in several records. Rows are numbered by one
# sequence.
my %op = (coded => '<->', grown => '<=>', wide => '<#>');

sub load_tables { return %op; }

sub make_load_tables
{
	my ($node) = @_;

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
SQL
	return;
}

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

# The clients, which run until they are stopped.
sub start_load
{
	my ($node, $round) = @_;
	my $change = <<'SQL';
DELETE FROM TABLE WHERE id % 17 = :client_id + 3 AND random() < 0.1;
UPDATE TABLE SET v = v WHERE id % 29 = 0 AND random() < 0.1;
UPDATE TABLE SET note = note + 1 WHERE id % 31 = 0;
SELECT count(*) FROM (SELECT id FROM TABLE ORDER BY v OP (SELECT v FROM TABLE WHERE v IS NOT NULL LIMIT 1) LIMIT 20) s;
SQL
	my $all = join '', map { my $table = $_; (my $sql = $change) =~ s/TABLE/$table/g; $sql =~ s/OP/$op{$table}/g; $sql } sort keys %op;

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

# Waits until so many more rows were inserted.
sub wait_for_load
{
	my ($node, $rows) = @_;
	my $before = $node->safe_psql('postgres', 'SELECT last_value FROM ids');

	wait_for_rows($node, "SELECT last_value > $before + $rows FROM ids");
	return;
}

1;

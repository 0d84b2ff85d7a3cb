# Beside pgvector: a schema of its own, and, where pgvector is there, indexes on its types.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('pgvector');

# ---- names that are taken

$node->safe_psql('postgres', 'CREATE DATABASE taken');
for my $type (qw(vector halfvec sparsevec))
{
	$node->safe_psql('taken', "CREATE TYPE $type AS (x int)");
	my ($status, undef, $error) = $node->psql('taken', 'CREATE EXTENSION ann');
	is($status, 3, "$type exists: refused");
	like($error, qr/ERROR:  type "$type" already exists in schema "public"\n.*HINT: .*CREATE EXTENSION ann SCHEMA ann/s, "$type exists: says what to do");
	$node->safe_psql('taken', "DROP TYPE $type");
}
$node->safe_psql('taken', 'CREATE TYPE vector AS (x int); CREATE SCHEMA ann; CREATE EXTENSION ann SCHEMA ann');
is( $node->safe_psql('taken', q{CREATE TABLE t (v ann.vector(2)); INSERT INTO t VALUES ('[1,2]'), ('[3,4]');
	CREATE INDEX ON t USING annivf (v); SET enable_seqscan = off;
	SELECT v FROM t ORDER BY v OPERATOR(ann.<->) '[3,3]' LIMIT 1}),
	'[3,4]', 'in another schema it works');

# ---- pgvector itself

if ($node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'}) eq '0')
{
	note 'pgvector is not installed: its types are not tested';
	done_testing();
	exit;
}

$node->safe_psql('postgres', 'CREATE DATABASE beside');
$node->safe_psql('beside', <<'SQL');
CREATE EXTENSION vector;
CREATE SCHEMA ann;
CREATE EXTENSION ann SCHEMA ann;
CREATE EXTENSION ann_pgvector;
CREATE TABLE items (id serial, v vector(16), h halfvec(16), b bit(16));
INSERT INTO items (v) SELECT array_agg(random())::vector FROM generate_series(1, 4000) i, generate_series(1, 16) j GROUP BY i;
UPDATE items SET h = v, b = binary_quantize(v - (SELECT avg(v) FROM items));
CREATE INDEX items_l2 ON items USING annivf (v);
CREATE INDEX items_ip ON items USING annivf (v vector_ip_ops);
CREATE INDEX items_cosine ON items USING annivf (v vector_cosine_ops);
CREATE INDEX items_l1 ON items USING annivf (v vector_l1_ops);
CREATE INDEX items_half ON items USING annivf (h);
CREATE INDEX items_half_l1 ON items USING annivf (h halfvec_l1_ops);
CREATE INDEX items_hamming ON items USING annivf (b bit_hamming_ops);
CREATE INDEX items_jaccard ON items USING annivf (b bit_jaccard_ops);
INSERT INTO items (v, h, b) SELECT v, h, b FROM items LIMIT 100;
DELETE FROM items WHERE id % 7 = 0;
VACUUM items;
SQL
is($node->safe_psql('beside', "SELECT count(*) FROM ann.ann_check('$_', true)"), '0', "$_ is sound")
  for qw(items_l2 items_ip items_cosine items_l1 items_half items_half_l1 items_hamming items_jaccard);
for my $case (['v', '<->'], ['v', '<#>'], ['v', '<=>'], ['v', '<+>'], ['h', '<->'], ['h', '<+>'], ['b', '<~>'], ['b', '<%>'])
{
	my ($column, $op) = @$case;
	my $distance = "$column $op (SELECT $column FROM items WHERE id = 5)";
	my $query = "SELECT $distance FROM items ORDER BY $distance LIMIT 50";

	like($node->safe_psql('beside', "SET enable_seqscan = off; EXPLAIN $query"), qr/Index Scan using items_/, "$column $op: by index");
	cmp_ok($node->safe_psql('beside', "SELECT ann.ann_recall('$query')"), '>=', 0.9, "$column $op: recall");
	is( $node->safe_psql('beside', "SET ann.num_leaves_to_search = 100000; SET ann.num_reordering_candidates = 1000000;
		SELECT ann.ann_recall('$query')"),
		'1', "$column $op: all leaves find all rows");
}
# conditions on a distance, by function and by operator: an index finds what a scan of the table does
for my $case (['v', '<->', 'l2', 'vector'], ['v', '<#>', 'ip', 'vector'], ['v', '<=>', 'cosine', 'vector'], ['v', '<+>', 'l1', 'vector'],
	['h', '<->', 'l2', 'halfvec'], ['h', '<+>', 'l1', 'halfvec'], ['b', '<~>', 'ann.hamming', 'ann.bit'], ['b', '<%>', 'ann.jaccard', 'ann.bit'])
{
	my ($column, $op, $metric, $type) = @$case;
	my $query = $node->safe_psql('beside', "SELECT $column FROM items WHERE id = 5");
	my $literal = $column eq 'b' ? "B'$query'" : "'$query'";
	my $radius = $node->safe_psql('beside', "SELECT $column $op $literal FROM items ORDER BY 1 LIMIT 1 OFFSET 300");
	my $by_operator = "$column OPERATOR(" . ($column eq 'b' ? 'ann' : 'public') . '.<' . $op . ">) ${type}_ball($literal, $radius)";

	for my $condition ("${metric}_within($column, $literal, $radius)", $by_operator)
	{
		my $count = "SELECT count(*) FROM items WHERE $condition";

		like($node->safe_psql('beside', "SET enable_seqscan = off; EXPLAIN $count"), qr/Index Cond/, "$condition: by index");
		is( $node->safe_psql('beside', "SET enable_seqscan = off; SET ann.num_leaves_to_search = 100000; SET ann.num_reordering_candidates = 1000000; $count"),
			$node->safe_psql('beside', "SET enable_indexscan = off; $count"), "$condition: all leaves find all rows");
	}
}
is($node->safe_psql('beside', 'SELECT bool_and(amvalidate(c.oid)) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod WHERE amname = $$annivf$$'), 't', 'operator classes are valid');
# both libraries in one backend
is($node->safe_psql('beside', q{SELECT '[1,2]'::vector <-> '[1,4]', '[1,2]'::ann.vector OPERATOR(ann.<->) '[1,4]'}), '2|2', 'both types at once');
# rows by COPY BINARY, from one type to the other and back: the same bytes, and the same text on both sides
my $file = $node->basedir . '/rows';
my %columns = (vector => 'v', halfvec => 'h', sparsevec => "(v || '[0,0,1.5]')::sparsevec");
for my $type (sort keys %columns)
{
	$node->safe_psql('beside', "CREATE TABLE rows_$type AS SELECT $columns{$type} AS x FROM items ORDER BY id;
		CREATE TABLE ours_$type (x ann.$type); CREATE TABLE theirs_$type (x $type);
		COPY rows_$type TO '$file.$type' (FORMAT binary); COPY ours_$type FROM '$file.$type' (FORMAT binary);
		COPY ours_$type TO '$file.back' (FORMAT binary); COPY theirs_$type FROM '$file.back' (FORMAT binary)");
	is($node->safe_psql('beside', "SELECT pg_read_binary_file('$file.$type') = pg_read_binary_file('$file.back'), count(*) > 1000 FROM theirs_$type"),
		't|t', "$type: COPY BINARY there and back gives the same bytes");
	is($node->safe_psql('beside', "SELECT count(*) FROM (SELECT x::text FROM rows_$type EXCEPT ALL SELECT x::text FROM ours_$type) s"), '0', "$type: the same text");
	is($node->safe_psql('beside', "SELECT count(*) FROM (SELECT x::text FROM rows_$type EXCEPT ALL SELECT x::text FROM theirs_$type) s"), '0', "$type: the same rows again");
}
$node->safe_psql('beside', 'DROP EXTENSION ann_pgvector CASCADE; DROP EXTENSION ann CASCADE');
is($node->safe_psql('beside', 'SELECT count(*) > 0 FROM items WHERE v <-> v = 0'), 't', 'pgvector stays when ann goes');

done_testing();

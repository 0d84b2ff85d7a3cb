# The greatest block numbers that there are: an index of 32 TB, nearly all of it holes of its files, is
# trained, searched and filled, its pages all in the last few hundred blocks before 2^32; then it is full,
# which is an error of the insert and nothing else.
#
# (A vacuum or a check would read the holes, 4 thousand million pages.)
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use AnnPages;
use PostgreSQL::Test::Utils;
use Test::More;

use constant MOST => 0xffffffff;    # blocks that a relation may have

my $node = new_node('last_blocks');

# small: leaves whose centroids have codes and parents, an exact and a NULL leaf; long: blocks wider than a page
# (how many blocks they may still take)
my %free = (small => 200, long => 90);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE small (id int, v vector(3));
CREATE INDEX small_v ON small USING annivf (v) WITH (num_leaves = 2200, training_iterations = 1);
INSERT INTO small SELECT row_number() OVER (), x FROM clustered(2500, 3, 0.4, 800, 0.1) x;

CREATE TABLE long (id int, v vector(4500));
CREATE INDEX long_v ON long USING annivf (v) WITH (num_leaves = 2, training_iterations = 1, dimensions_per_block = 4);
INSERT INTO long SELECT row_number() OVER (), x FROM clustered(40, 4500, 0.4, 2) x;
SQL

my $segment_blocks = $node->safe_psql('postgres', "SELECT setting FROM pg_settings WHERE name = 'segment_size'");

# Makes the file so long that so many blocks are left; what is new are holes. False where the system cannot.
sub lengthen
{
	my ($file, $left) = @_;
	my $last = int((MOST - $left) / $segment_blocks);

	for my $segment (0 .. $last)
	{
		my $name = $segment == 0 ? $file : "$file.$segment";
		my $blocks = $segment < $last ? $segment_blocks : (MOST - $left) % $segment_blocks;

		open my $out, '>>', $name or return 0;
		truncate $out, $blocks * BLCKSZ or return 0;
		close $out or return 0;
	}
	return 1;
}

my %file = map { $_ => $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('${_}_v')") } keys %free;
$node->stop;
plan skip_all => 'files of 32 TB with holes are not to be had here' if grep { !lengthen($file{$_}, $free{$_}) } keys %file;
$node->start;

# The index's answers: the order of a sort, rows by functions and their codes.
sub answers
{
	my ($name, $when) = @_;

	is($node->safe_psql('postgres', "SELECT full_difference('$name', '<->', v) FROM $name WHERE id = 7"), '', "$name, $when: the order is that of a sort");
	is($node->safe_psql('postgres',
			"SELECT count(*), count(*) FILTER (WHERE s.ctid = r.ctid), count(*) FILTER (WHERE e.id IS NOT NULL),
			count(ann_reconstruct('${name}_v', r.ctid))
		FROM ((SELECT ctid, v FROM $name WHERE vector_norm(v) < 1e6 ORDER BY id LIMIT 5)
			UNION ALL (SELECT ctid, v FROM $name WHERE vector_norm(v) < 1e6 ORDER BY id DESC LIMIT 5)) r
		CROSS JOIN LATERAL ann_search('${name}_v', r.v, 1, num_leaves_to_search => 16777216) s
		LEFT JOIN LATERAL (SELECT 1 AS id FROM ann_leaf_entries('${name}_v', s.leaf) l WHERE l.ctid = s.ctid LIMIT 1) e ON true"),
		'10|10|10|10', "$name, $when: rows are found and stand where their leaf is");
	return;
}

# The first blocks of the sections of the model.
sub first_blocks
{
	my ($name) = @_;
	my $bytes;

	$node->safe_psql('postgres', 'CHECKPOINT');
	open my $in, '<:raw', $file{$name} or die "$file{$name}: $!";
	read $in, $bytes, BLCKSZ;
	my $at = index($bytes, pack('S4L', 1, 1, 1, 0, 1));
	return grep { $_ > 0 } map { (unpack "x$at x" . $_ * SECTION_BYTES . ' S4LL', $bytes)[5] } 0 .. 3;
}

for my $name (sort keys %free)
{
	my ($rounds, $err) = (0, '');

	$node->safe_psql('postgres', "SELECT ann_train('${name}_v')");
	is(scalar(grep { $_ >= MOST - $free{$name} } first_blocks($name)), 4, "$name: the model is behind the holes");
	answers($name, 'trained');

	# all near one row, so that its leaves get many blocks; some without a code
	while ($err eq '' && $rounds++ < 500)
	{
		$node->psql('postgres', "INSERT INTO $name SELECT coalesce(m, 0) + i, CASE WHEN i % 50 = 0 THEN NULL WHEN i % 9 = 0
				THEN array_fill(1e20::real, ARRAY[vector_dims(r.v)])::vector ELSE r.v + anything(vector_dims(r.v), 1e-3) END
			FROM $name r, (SELECT max(id) AS m FROM $name) s, generate_series(1, CASE '$name' WHEN 'long' THEN 40 ELSE 2000 END) i
			WHERE id = 7", stderr => \$err);
	}
	cmp_ok($rounds, '>', 2, "$name: takes rows behind the holes");
	like($err, qr/cannot extend .* beyond 429496729\d blocks/, "$name: full is an error");
	answers($name, 'full');
}
is($node->safe_psql('postgres', "INSERT INTO small SELECT 1000000, v + '[1e-3,0,0]' FROM small WHERE id = 2000;
	SELECT count(*) FROM small WHERE id = 1000000"), '1', 'small: a row that finds room is taken yet');

# The log brings the same blocks back.
$node->stop('immediate');
$node->start;
answers($_, 'after a crash') for sort keys %free;
$node->stop;
no_crash($node, 'last blocks');
done_testing();

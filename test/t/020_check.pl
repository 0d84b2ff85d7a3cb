# ann_check: each invariant is broken in the file of an index, and reported by its name and block; a
# sound index gives no row, also beside writers and on a standby; random damage never raises an error.
#
# Each case puts the index into another tablespace, so that nothing of it is in shared buffers, and
# changes the new file.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use AnnPages;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use constant {
	ENTRIES => 24 + 16,      # of a node page
	TIDS => 24 + 8,          # of a page of the exact or NULL leaf
};

# in a block
use constant {
	LIVE => 8, NEXT_BLOCK => 12, NEXT_SLOT => 20, FLAGS => 22, FACTOR_B => 24, FACTOR_S => 152,
	FACTOR_ERR => 216, ROWS => 280
};

# in a node entry
use constant {
	GENERATION => 4, HEAD => 8, HINT => 12, HEAD_SLOT => 16, HINT_SLOT => 18, NORM2 => 20, RHO => 24,
	CENTROID => 32
};

my $node = new_node(
	'check',
	no_checksums => 1,
	streaming => 1,
	conf => [ 'allow_in_place_tablespaces = on', 'shared_buffers = 32MB', 'wal_level = replica' ]);

# ---- the indexes

# coded: leaves of several blocks, some on overflow pages, an exact and a NULL leaf of several pages;
# long: blocks and centroids wider than a page; many: so many leaves that their centroids have codes;
# parents: so many that these have parents; twice: rows with a second leaf, a rotation; untrained: an exact
# leaf of several pages alone; flat: no codes; taxicab, bits: absolute codes.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLESPACE one LOCATION '';
CREATE TABLESPACE two LOCATION '';

CREATE TABLE coded (id int, v vector(8));
INSERT INTO coded SELECT row_number() OVER (), x FROM clustered(600, 8, 0.1, 7) x;
INSERT INTO coded SELECT 600 + i, CASE WHEN i % 2 = 0 THEN array_fill(1e20::real, ARRAY[8])::vector END
	FROM generate_series(1, 6000) i;
CREATE INDEX coded_v ON coded USING annivf (v) WITH (num_leaves = 7, training_iterations = 2);
INSERT INTO coded SELECT 6600 + row_number() OVER (), x FROM clustered(400, 8, 0.2, 7) x;

CREATE TABLE long (id int, v vector(4500));
INSERT INTO long SELECT row_number() OVER (), x FROM clustered(60, 4500, 0.4, 2) x;
CREATE INDEX long_v ON long USING annivf (v)
	WITH (num_leaves = 2, training_iterations = 1, dimensions_per_block = 4);
INSERT INTO long SELECT 60 + row_number() OVER (), x FROM clustered(40, 4500, 0.4, 2) x;

CREATE TABLE many (id int, v vector(3));
INSERT INTO many SELECT row_number() OVER (), x FROM clustered(5000, 3, 0.4, 600, 0.1) x;
CREATE INDEX many_v ON many USING annivf (v) WITH (num_leaves = 600, training_iterations = 2);

CREATE TABLE twice (id int, v vector(8));
INSERT INTO twice SELECT row_number() OVER (), x FROM clustered(600, 8, 0.1, 7) x;
CREATE INDEX twice_v ON twice USING annivf (v)
	WITH (num_leaves = 7, soar_lambda = 1.5, dimensions_per_block = 2, rotation = on);

CREATE TABLE parents (id int, v vector(3));
INSERT INTO parents SELECT row_number() OVER (), x FROM clustered(2500, 3, 0.4, 800, 0.1) x;
CREATE INDEX parents_v ON parents USING annivf (v) WITH (num_leaves = 2200, training_iterations = 1);

CREATE TABLE flat (id int, v vector(6));
INSERT INTO flat SELECT row_number() OVER (), x FROM clustered(400, 6, 0.6, 5) x;
CREATE INDEX flat_v ON flat USING annivf (v) WITH (num_leaves = 5, training_iterations = 2, quantizer = flat);

CREATE TABLE taxicab (id int, v vector(6));
INSERT INTO taxicab SELECT row_number() OVER (), x FROM clustered(400, 6, 0.8, 7) x;
CREATE INDEX taxicab_v ON taxicab USING annivf (v vector_l1_ops)
	WITH (num_leaves = 7, training_iterations = 2, dimensions_per_block = 2);

CREATE TABLE bits (id int, v bit(38));
SELECT setseed(0.9);
INSERT INTO bits SELECT i, string_agg((random() < 0.3)::int::text, '')::bit(38)
	FROM generate_series(1, 400) i, generate_series(1, 38) GROUP BY i;
CREATE INDEX bits_v ON bits USING annivf (v bit_jaccard_ops) WITH (num_leaves = 7, training_iterations = 2);

CREATE TABLE untrained (id int, v vector(3));
CREATE INDEX untrained_v ON untrained USING annivf (v);
INSERT INTO untrained SELECT i, CASE WHEN i % 3 > 0 THEN anything(3) END FROM generate_series(1, 4500) i;
CHECKPOINT;
SQL

# ---- one case

my @names = qw(coded long many parents twice untrained flat taxicab bits);
my %operator = (taxicab => '<+>', bits => '<%>');
my %image;    # of each index
my %place;    # tablespace of each index

sub index_file
{
	my ($name) = @_;
	return $node->data_dir . '/'
	  . $node->safe_psql('postgres', "SELECT pg_relation_filepath('${name}_v')");
}

# The rows of ann_check after a change of the file, block|invariant|problem; or the error.
sub check_after
{
	my ($name, $change, $more) = @_;
	my ($out, $err);

	write_binary(index_file($name), \$image{$name}) if exists $image{$name};
	$place{$name} = ($place{$name} // '') eq 'one' ? 'two' : 'one';
	$node->safe_psql('postgres', "ALTER INDEX ${name}_v SET TABLESPACE $place{$name}");

	my $file = index_file($name);
	my $bytes = slurp_binary($file);
	$image{$name} //= $bytes;
	$change->(\$bytes);
	write_binary($file, \$bytes);
	$node->psql(
		'postgres', "SELECT * FROM ann_check('${name}_v'" . ($more // '') . ')',
		stdout => \$out,
		stderr => \$err,
		timeout => timeout_seconds());
	return $err =~ /ERROR|FATAL|server closed/ ? $err : $out;
}

# One test: the change is reported as these invariants and no others, and as the first of them for
# that block ('' for none).
sub reported
{
	my ($name, $what, $blkno, $invariants, $change, $more) = @_;
	my $out = check_after($name, $change, $more);
	my %seen = map { (split /\|/)[1] // $_ => 1 } split /\n/, $out;
	my ($first) = split / /, $invariants;

	subtest "$name, $what" => sub {
		is(join(' ', sort keys %seen), join(' ', sort split / /, $invariants), 'the invariants');
		like($out, qr/^$blkno\|$first\|/m, 'the block') if $invariants ne '';
	  }
	  or note($out);
	return;
}

# A change of one field.
sub field
{
	my ($offset, $format, @values) = @_;
	return sub { put($_[0], $offset, $format, @values) };
}

# What goes wrong when an index is used as it now stands: errors that do not name the damage. Nothing of it is
# in shared buffers afterwards.
sub misuses
{
	my ($name) = @_;
	my $operator = $operator{$name} // '<->';
	my $nearest = "FROM $name ORDER BY v $operator (SELECT v FROM $name WHERE id = 1)";
	my $err;

	$place{$name} = $place{$name} eq 'one' ? 'two' : 'one';
	$node->psql(
		'postgres', "\\set VERBOSITY verbose
		SET enable_seqscan = off;
		SET enable_sort = off;
		SELECT count(*) FROM (SELECT id $nearest LIMIT 10) s;
		SET ann.num_leaves_to_search = 1000000;
		SELECT count(*) FROM (SELECT id $nearest) s;
		RESET ann.num_leaves_to_search;
		SELECT count(*) FROM ann_leaves('${name}_v');
		BEGIN;
		INSERT INTO $name SELECT 0, v FROM $name LIMIT 40;
		ROLLBACK;
		INSERT INTO $name VALUES (0, NULL);
		DELETE FROM $name WHERE id = 0;
		VACUUM (INDEX_CLEANUP on, TRUNCATE off) $name;
		SELECT count(*) FROM (SELECT id $nearest LIMIT 10) s;
		ALTER INDEX ${name}_v SET TABLESPACE $place{$name};",
		stderr => \$err,
		on_error_stop => 0,
		timeout => timeout_seconds());
	return grep { /ERROR|FATAL|PANIC|server closed/ && !/ERROR:  XX002: index "\w+" is damaged/ } split /\n/, $err;
}

# One test: the change is reported by one problem and no other, and whatever uses the index then ends as it
# would without it, or with an error that names damage.
sub told
{
	my ($name, $what, $blkno, $invariant, $problem, $change, $more) = @_;
	my $out = check_after($name, $change, $more);

	subtest "$name, $what" => sub {
		like($out, qr/^\Q$blkno|$invariant|\E$problem$/, 'the problem');
		is(join("\n", misuses($name)), '', 'the index in use');
	  }
	  or note($out);
	return;
}

is(check_after($_, sub { }, ', true') . join("\n", misuses($_)), '', "$_: sound") for @names;

# Places in an image. Leaves in the order of the first node page.
my %stride = (coded => 48, many => 40, long => 8, twice => 48, flat => 48, taxicab => 48, bits => 112);
my %block_bytes = (coded => 600, many => 520, long => 8, twice => 536, flat => 472, taxicab => 520, bits => 632);

sub entry
{
	my ($name, $i) = @_;
	return page((pages_of(\$image{$name}, 'node'))[0]) + ENTRIES + $i * $stride{$name};
}

sub block { my ($name, $blkno, $slot) = @_; return page($blkno) + PAYLOAD + $slot * $block_bytes{$name}; }

sub head
{
	my ($name, $i) = @_;
	my $entry = entry($name, $i);
	return (get(\$image{$name}, $entry + HEAD, 'L'), get(\$image{$name}, $entry + HEAD_SLOT, 'S'));
}

# The lanes in use, of all leaves.
sub lanes
{
	my ($name) = @_;
	my $bytes = \$image{$name};
	my @lanes;

	for my $blkno (pages_of($bytes, 'leaf'))
	{
		for my $slot (0 .. int((NEXT - PAYLOAD) / $block_bytes{$name}) - 1)
		{
			my $block = block($name, $blkno, $slot);
			my $leaf = get($bytes, $block, 'L');

			next if $leaf == 0xffffffff;
			for my $lane (grep { get($bytes, $block + LIVE, 'L') >> $_ & 1 } 0 .. 31)
			{
				my ($hi, $lo, $offset) = get($bytes, $block + ROWS + 6 * $lane, 'SSS');
				push @lanes,
				  {
					blkno => $blkno,
					block => $block,
					lane => $lane,
					leaf => $leaf,
					row => ($hi << 16 | $lo) . ',' . ($offset & 0x3fff),
					tid => pack('SSS', $hi, $lo, $offset & 0x3fff),
					second => $offset >> 15
				  };
			}
		}
	}
	return @lanes;
}

# A lane taken out of use.
sub erase
{
	my ($bytes, $lane) = @_;
	put($bytes, $lane->{block} + LIVE, 'L', get($bytes, $lane->{block} + LIVE, 'L') & ~(1 << $lane->{lane}));
	return;
}

my $coded = \$image{coded};
my ($coded_node) = pages_of($coded, 'node');
my ($head_page, $head_slot) = head('coded', 0);
my $head = block('coded', $head_page, $head_slot);

# ---- I-1: the metapage, the fixed pages

is(crc('123456789'), 0xe3069283, 'CRC-32C of the test is right');
reported('coded', 'metapage: no magic number', 0, 'I-1', field(PAYLOAD, 'L', 7));
reported('coded', 'metapage: another version', 0, 'I-1', sub { put($_[0], PAYLOAD + 4, 'L', 99); seal($_[0]) });
reported('coded', 'metapage: wrong checksum', 0, 'I-1', field(PAYLOAD + 8, 'L', 1));
reported('coded', 'metapage: another metric', 0, 'I-1', sub { put($_[0], PAYLOAD + 12, 'S', 2); seal($_[0]) });
reported('coded', 'metapage: other dimensions', 0, 'I-1', sub { put($_[0], PAYLOAD + 16, 'L', 7); seal($_[0]) });
reported('coded', 'metapage: all zero', 0, 'I-1', field(0, 'a*', "\0" x BLCKSZ));
reported('coded', 'metapage: broken page header', 0, 'I-1', field(12, 'SSS', 9000, 9000, 9000));
reported('coded', 'head of the exact leaf: another kind', 1, 'I-1', field(page(1) + KIND, 'S', 3));
reported('coded', 'head of the exact leaf: too many entries', 1, 'I-1', field(page(1) + PAYLOAD, 'S', 65535));
reported('coded', 'head of the NULL leaf: exchanged', 2, 'I-1', field(page(2) + PAYLOAD + 2, 'S', 0));
reported('coded', 'head of the NULL leaf: broken page header', 2, 'I-1', field(page(2) + 12, 'SSS', 9000, 9000, 9000));
reported('coded', 'head of the NULL leaf: a hole', 2, 'I-1', field(page(2) + 12, 'S', 100));
reported('coded', 'no page', '', 'I-1', sub { ${ $_[0] } = '' });
reported('coded', 'two pages', '', 'I-1', sub { substr(${ $_[0] }, page(2)) = '' });

# ---- I-2: sections, model numbers

{
	my ($section) = pages_of($coded, 'section');

	reported('coded', 'section: a byte', $section, 'I-2', field(page($section) + PAYLOAD + 3, 'C', 1));
	reported('coded', 'section: another model', $section, 'I-2', field(page($section) + MODEL, 'L', 5));
	reported('coded', 'section: another kind', $section, 'I-2', field(page($section) + KIND, 'S', 6));
	reported('coded', 'section: goes on', $section, 'I-2', field(page($section) + NEXT, 'L', 1));
	reported('coded', 'section: past the end', 0, 'I-2',
		sub { put($_[0], sections($_[0]) + 12, 'L', 1_000_000); seal($_[0]) });
	reported('coded', 'section: long', 0, 'I-2',
		sub { put($_[0], sections($_[0]) + 16, 'Q', 1 << 40); seal($_[0]) });
	reported('coded', 'unknown required section', 0, 'I-2',
		sub { put($_[0], sections($_[0]) + (NUM_SECTIONS - 1) * SECTION_BYTES, 'SSSSL', 200, 1, 1, 0, 1); seal($_[0]) });
	reported('coded', 'unknown optional section', 0, '',
		sub { put($_[0], sections($_[0]) + (NUM_SECTIONS - 1) * SECTION_BYTES, 'SSSSL', 200, 1, 0, 0, 1); seal($_[0]) });
	reported('coded', 'node page: another model', $coded_node, 'I-2', field(page($coded_node) + MODEL, 'L', 5));
	reported('untrained', 'exact leaf: of a model', 1, 'I-2', field(page(1) + MODEL, 'L', 5));
	told('coded', 'a section too many, of another model', 0, 'I-2', 'section 2 is of model 99, not of model 1',
		sub { put($_[0], sections($_[0]) + (NUM_SECTIONS - 1) * SECTION_BYTES, 'SSSSLL', 2, 1, 1, 0, 99, $section); seal($_[0]) });
	told('coded', 'section: short', 0, 'I-2', 'section 1 has 28 bytes instead of 32',
		sub { put($_[0], section($_[0], $sections{mean}) + 16, 'Q', 28); seal($_[0]) });
}

# ---- I-2: what sections say, under checksums that are right

for my $case (
	[ 'coded', 'mean', 'NaN', 12, 'L', 0x7fc00000, 'a value of the model is not finite' ],
	[ 'coded', 'codebook', 'infinite', 40, 'L', 0x7f800000, 'a value of the model is not finite' ],
	[ 'coded', 'calibration', 'z', 0, 'f', -1, 'impossible calibration' ],
	[ 'coded', 'calibration', 'wide z below z', 4, 'f', 1e-9, 'impossible calibration' ],
	[ 'coded', 'calibration', 'leaves NaN', 8, 'L', 0x7fc00000, 'impossible calibration' ],
	[ 'coded', 'calibration', 'beam', 24, 'f', 17, 'impossible calibration' ],
	[ 'twice', 'rotation', 'infinite', 4 * 13, 'L', 0xff800000, 'a value of the model is not finite' ],
	[ 'many', 'centroid_codebook', 'NaN', 4, 'L', 0x7fc00000, 'a value of the model is not finite' ],
	[ 'bits', 'mean', 'not zero', 4 * 37, 'f', 0.5, 'strings of bits with a mean' ],
	[ 'bits', 'codebook', 'not a bit', 4 * 17, 'f', 0.5, 'codewords that are not those of strings of bits' ])
{
	my ($name, $section, $what, $offset, $format, $value, $problem) = @$case;
	my $blkno = get(\$image{$name}, section(\$image{$name}, $sections{$section}) + 12, 'L');
	told($name, "$section: $what", $blkno, 'I-2', "section $sections{$section}: $problem",
		sub { put_in_section($_[0], $sections{$section}, $offset, $format, $value) });
}

{
	my $parents = \$image{parents};
	my $section = get($parents, section($parents, $sections{parents}) + 12, 'L');
	my $codes = get($parents, section($parents, $sections{centroid_codes}) + 12, 'L');
	my @pages = pages_of($parents, 'centroid_codes');
	my $bytes = section_bytes($parents, $sections{parents});
	my $list = length($bytes) - 4 * @pages;
	my $num_parents = ($list - 4) / (3 * 4 + 4);
	my $children = $num_parents * 3 * 4;
	my $other_pages = "the pages of the centroids' codes are not those that section 8 lists";

	cmp_ok($num_parents, '>', 10, 'parents has parents');
	is(unpack("x$list L", $bytes), $codes, 'their section lists the pages of codes');
	for my $case (
		[ 'a value', 4, 'L', 0x7fc00000, 'a value of the model is not finite' ],
		[ 'the first child', $children, 'L', 1, 'impossible parents' ],
		[ 'children out of order', $children + 20, 'L', 2200, 'impossible parents' ],
		[ 'fewer children', $list - 4, 'L', 2199, 'impossible parents' ])
	{
		my ($what, $offset, $format, $value, $problem) = @$case;
		told('parents', "parents: $what", $section, 'I-2', "section 8: $problem",
			sub { put_in_section($_[0], $sections{parents}, $offset, $format, $value) });
	}
	for my $case (
		[ 'parents', 'out of order', reverse @pages[ 0, 1 ] ],
		[ 'parents', 'a page twice', @pages[ 0, 0 ] ],
		[ 'parents', 'a node page', (pages_of($parents, 'node'))[0] ],
		[ 'parents', 'past the end', 1_000_000 ],
		[ 'many', 'out of order, without parents', reverse pages_of(\$image{many}, 'centroid_codes') ])
	{
		my ($name, $what, @list) = @$case;
		my $at = length(section_bytes(\$image{$name}, $sections{parents})) - 4 * pages_of(\$image{$name}, 'centroid_codes');
		my $first = get(\$image{$name}, section(\$image{$name}, $sections{centroid_codes}) + 12, 'L');
		told($name, "pages of codes: $what", $first, 'I-4', $other_pages,
			sub { put_in_section($_[0], $sections{parents}, $at, 'L*', @list) });
	}
}

# ---- I-3, leak: pages reached twice or not at all

{
	my @nodes = pages_of(\$image{many}, 'node');
	my ($overflow) = grep { $_ != 0xffffffff } map { get(\$image{coded}, page($_) + PAYLOAD, 'L') } $coded_node;
	my ($last) = (pages_of($coded, 'tids'))[-1];
	my $tail = get(\$image{untrained}, page(1) + NEXT, 'L');
	my $new = num_pages($coded);

	ok(defined $overflow, 'coded has an overflow page');
	reported('many', 'overflow page of two node pages', $nodes[1], 'I-3',
		sub { put($_[0], page($_) + PAYLOAD, 'L', (pages_of($_[0], 'leaf'))[0]) for @nodes[ 0, 1 ] });
	reported('untrained', 'exact leaf: a circle', $tail, 'I-3', field(page($tail) + NEXT, 'L', $tail));
	reported('coded', 'a page of the model that nothing refers to', $new, 'I-3',
		sub { ${ $_[0] } .= substr(${ $_[0] }, page($coded_node), BLCKSZ) });
	reported('coded', 'a page of another model', $new, 'leak',
		sub { ${ $_[0] } .= substr(${ $_[0] }, page($coded_node), BLCKSZ); put($_[0], page($new) + MODEL, 'L', 2) });
	reported('coded', 'a free page', '', '',
		sub { ${ $_[0] } .= substr(${ $_[0] }, page($coded_node), BLCKSZ); put($_[0], page($new) + KIND, 'S', $kinds{free}) });
	reported('coded', 'an empty page', '', '', sub { ${ $_[0] } .= "\0" x BLCKSZ });
	reported('coded', 'a page of another program', $new, 'I-3',
		sub { ${ $_[0] } .= substr(${ $_[0] }, page($coded_node), BLCKSZ); put($_[0], page($new) + PAGE_ID, 'S', 1) });
	reported('coded', 'an unreadable page', $new, 'I-3',
		sub { ${ $_[0] } .= substr(${ $_[0] }, page($coded_node), BLCKSZ); put($_[0], page($new) + 12, 'SSS', 9000, 9000, 9000) });
}

# ---- I-4: the tree

{
	my $entry = entry('coded', 0);
	my ($rest) = pages_of(\$image{long}, 'rest');
	my ($long_node) = pages_of(\$image{long}, 'node');
	my @many_nodes = pages_of(\$image{many}, 'node');
	my ($codes) = pages_of(\$image{many}, 'centroid_codes');

	reported('coded', 'no entries', $coded_node, 'I-4', field(page($coded_node) + PAYLOAD + 4, 'S', 0));
	reported('coded', 'too many entries', $coded_node, 'I-4', field(page($coded_node) + PAYLOAD + 4, 'S', 65535));
	reported('coded', 'another level', $coded_node, 'I-4', field(page($coded_node) + PAYLOAD + 6, 'S', 1));
	reported('coded', 'fewer entries', $coded_node, 'I-4 I-5', field(page($coded_node) + PAYLOAD + 4, 'S', 6));
	reported('coded', 'a leaf number too high', $coded_node, 'I-4 I-5', field($entry, 'L', 4_000_000_000));
	reported('coded', 'a leaf number twice', $coded_node, 'I-4 I-5', field(entry('coded', 1), 'L', 0));
	reported('coded', 'centroid NaN', $coded_node, 'I-4', field($entry + CENTROID, 'S', 0x7fc0));
	reported('coded', 'centroid infinite', $coded_node, 'I-4', field($entry + CENTROID + 14, 'S', 0xff80));
	reported('coded', 'norm', $coded_node, 'I-4', field($entry + NORM2, 'f', 1e9));
	reported('coded', 'norm NaN', $coded_node, 'I-4', field($entry + NORM2, 'L', 0x7fc00000));
	reported('coded', 'rms residual', $coded_node, 'I-4', field($entry + RHO, 'f', -1));
	reported('coded', 'node page: unreadable', $coded_node, 'I-4', field(page($coded_node) + 12, 'SSS', 9000, 9000, 9000));
	reported('long', 'wide centroid: infinite', $long_node, 'I-4', field(page($rest) + PAYLOAD, 'L', 0x7f807f80));
	reported('long', 'wide centroid: another kind', $rest, 'I-4', field(page($rest) + KIND, 'S', 3));
	reported('many', 'chain in a circle', $many_nodes[0], 'I-3', field(page($many_nodes[1]) + NEXT, 'L', $many_nodes[0]));
	reported('many', 'chain past the end', $many_nodes[0], 'I-4', field(page($many_nodes[0]) + NEXT, 'L', 1_000_000));
	reported('many', 'codes of centroids: another place', $codes, 'I-4', field(page($codes) + PAYLOAD + 8 + ROWS, 'SSS', 0, 9, 9));
	reported('many', 'codes of centroids: a lane', $codes, 'I-4', field(page($codes) + PAYLOAD + 8 + LIVE, 'L', 0xfffffffe));
	reported('many', 'codes of centroids: count', $codes, 'I-4', field(page($codes) + PAYLOAD, 'L', 1000));
	reported('many', 'codes of centroids: a block fewer', $codes, 'I-4', field(page($codes) + PAYLOAD, 'L', 14));
	for my $case (
		[ 'b NaN', FACTOR_B, 'L', 0x7fc00000, 'factor b is not a number' ],
		[ 's infinite', FACTOR_S, 'S', 0x7f80, 'factor s is not finite' ],
		[ 'err NaN', FACTOR_ERR, 'S', 0x7fc0, 'factor err is not a number' ],
		[ 'flags', FLAGS, 'S', 1, "unknown flags in a block's header" ])
	{
		my ($what, $offset, $format, $value, $problem) = @$case;
		told('many', "codes of centroids: $what", $codes, 'I-4', "codes of centroids, slot 2: $problem",
			field(page($codes) + PAYLOAD + 8 + 2 * $block_bytes{many} + $offset, $format, $value));
	}
}

# ---- I-5: chains of blocks

{
	my ($body) = pages_of(\$image{long}, 'body');
	my ($long_head) = head('long', 0);

	reported('coded', 'block of another leaf', $head_page, 'I-5', field($head, 'L', 5));
	reported('coded', 'block of another generation', $head_page, 'I-5', field($head + GENERATION, 'L', 5));
	reported('coded', 'block of no leaf', $head_page, 'I-5', field($head, 'L', 0xffffffff));
	reported('coded', 'chain past the end', $head_page, 'I-5', field($head + NEXT_BLOCK, 'L', 1_000_000));
	reported('coded', 'chain to the metapage', 0, 'I-5', field($head + NEXT_BLOCK, 'L', 0));
	reported('coded', 'chain to an impossible slot', $head_page, 'I-5', field($head + NEXT_SLOT, 'S', 60000));
	reported('coded', 'chain in a circle', $head_page, 'I-5', field($head + NEXT_BLOCK, 'LLS', $head_page, 0xffffffff, $head_slot));
	reported('coded', 'chain cut', '\d+', 'I-5 I-9', field($head + NEXT_BLOCK, 'L', 0xffffffff));
	reported('coded', 'leaf page: another kind', $head_page, 'I-5', field(page($head_page) + KIND, 'S', 3));
	reported('coded', 'leaf page: unreadable', $head_page, 'I-5', field(page($head_page) + 12, 'SSS', 9000, 9000, 9000));
	reported('coded', 'overflow page: none', 2, 'I-5', field(page($coded_node) + PAYLOAD, 'L', 2));
	reported('long', 'codes: another kind', $body, 'I-5', field(page($body) + KIND, 'S', 3));
	reported('long', 'codes: past the end', $long_head, 'I-5', field(page($long_head) + PAYLOAD + 16, 'L', 1_000_000));
	reported('long', 'codes: of no block', num_pages(\$image{long}), 'leak', sub { ${ $_[0] } .= substr(${ $_[0] }, page($body), BLCKSZ) });
	my $last = get(\$image{long}, page($long_head) + PAYLOAD + 16, 'L');
	$last = get(\$image{long}, page($last) + NEXT, 'L') while get(\$image{long}, page($last) + NEXT, 'L') != 0xffffffff;
	told('long', 'codes: go on', $last, 'I-5', "the codes of block $long_head go on past their end", field(page($last) + NEXT, 'L', 1));
	reported('long', 'codes: cut', $body, 'I-5', field(page($body) + NEXT, 'L', 0xffffffff));
}

# ---- I-6: lanes

for my $case (
	[ 'row identifier without an offset', ROWS, 'SSS', 0, 0, 0 ],
	[ 'row identifier without a block', ROWS, 'SSS', 65535, 65535, 1 ],
	[ 'row past the end of the table', ROWS, 'SSS', 5, 0, 1 ],
	[ 'flag of the exact leaf', ROWS + 4, 'S', get($coded, $head + ROWS + 4, 'S') | 0x4000 ],
	[ 'b NaN', FACTOR_B, 'L', 0x7fc00000 ],
	[ 's infinite', FACTOR_S, 'S', 0x7f80 ],
	[ 'err NaN', FACTOR_ERR, 'S', 0x7fc0 ],
	[ 'unknown flags', FLAGS, 'S', 1 ])
{
	my ($what, $offset, @change) = @$case;
	reported('coded', $what, $head_page, 'I-6', field($head + $offset, @change));
}
told('coded', 'row of a great block', $head_page, 'I-6', 'row \(4294967294,16383\) is past the end of the table',
	field($head + ROWS, 'SSS', 0xffff, 0xfffe, 0x3fff));

{
	my $code = 'lane 0: a row of a flat index has the factors of a code';
	my $scale = 'lane 0: the scale of an absolute code is not 1';
	my $b = 'lane 0: factor b of an absolute code is impossible';
	my ($blkno, $slot) = head('bits', 0);
	my $bits = block('bits', $blkno, $slot);
	my $count = get(\$image{bits}, $bits + FACTOR_B, 'f');
	my $last = ROWS + 6 * 32 + 9 * 16;    # codes of the last two bits of lane 0

	for my $case (
		[ 'flat', 'b', FACTOR_B, 'f', 1, $code ],
		[ 'flat', 's', FACTOR_S, 'S', 0x3f80, $code ],
		[ 'flat', 'err', FACTOR_ERR, 'S', 0x3f80, $code ],
		[ 'taxicab', 's', FACTOR_S, 'S', 0x4000, $scale ],
		[ 'taxicab', 'b', FACTOR_B, 'f', 1, $b ],
		[ 'bits', 's', FACTOR_S, 'S', 0, $scale ],
		[ 'bits', 'err', FACTOR_ERR, 'S', 0x3f80, 'lane 0: the code of a string of bits has an error' ],
		[ 'bits', 'b below zero', FACTOR_B, 'f', -1, $b ],
		[ 'bits', 'b above the number of bits', FACTOR_B, 'f', 39, $b ],
		[ 'bits', 'b of another string', FACTOR_B, 'f', $count + 1, 'lane 0: a string of bits is counted wrongly' ],
		[ 'bits', 'more bits than there are', $last, 'C', get(\$image{bits}, $bits + $last, 'C') | 8,
			'lane 0: a string of bits goes on past its end' ])
	{
		my ($name, $what, $offset, $format, $value, $problem) = @$case;
		my ($at, $in) = head($name, 0);
		told($name, $what, $at, 'I-6', "slot $in, $problem", field(block($name, $at, $in) + $offset, $format, $value));
	}
}
reported('untrained', 'exact leaf: row identifier without an offset', 1, 'I-6', field(page(1) + TIDS, 'SSS', 0, 0, 0))
  if get(\$image{untrained}, page(1) + PAYLOAD, 'S') > 0;

# ---- I-7: every row once

{
	my @exact = grep { !get($coded, page($_) + PAYLOAD + 2, 'S') && get($coded, page($_) + PAYLOAD, 'S') > 1 }
	  pages_of($coded, 'tids');
	my @null = grep { get($coded, page($_) + PAYLOAD + 2, 'S') && get($coded, page($_) + PAYLOAD, 'S') > 1 }
	  pages_of($coded, 'tids');
	my $row = substr($$coded, $head + ROWS, 6);
	my $exact = page($exact[0]) + TIDS;
	my $null = page($null[0]) + TIDS;
	my $live = get($coded, $head + LIVE, 'L');

	reported('coded', 'a row twice in a leaf', $head_page, 'I-7', field($head + ROWS + 6, 'a*', $row));
	reported('coded', 'a secondary entry where rows have one leaf', $head_page, 'I-6',
		field($head + ROWS + 4, 'S', get($coded, $head + ROWS + 4, 'S') | 0x8000));
	my ($twice_page, $twice_slot) = head('twice', 0);
	my $rows = block('twice', $twice_page, $twice_slot) + ROWS;
	my @second = grep { get(\$image{twice}, $rows + $_ * 6 + 4, 'S') & 0x8000 } 0 .. 31;
	reported('twice', 'a row with two secondary entries', $twice_page, 'I-7',
		field($rows + $second[0] * 6, 'a*', substr($image{twice}, $rows + $second[1] * 6, 6)));
	{
		my @all = lanes('twice');
		my %second = map { $_->{row} => $_ } grep { $_->{second} } @all;
		my ($first) = grep { !$_->{second} && $second{ $_->{row} } } @all;
		my $second = $second{ $first->{row} };
		my ($other) = grep { $_->{second} && $_->{leaf} == $first->{leaf} } @all;
		my $this = "row \\($first->{row}\\)";

		isnt($first->{leaf}, $second->{leaf}, 'the entries of a row stand in two leaves');
		told('twice', 'a row with both entries in one leaf', $other->{blkno}, 'I-7', "$this has both entries in one leaf",
			sub {
				erase($_[0], $second);
				put($_[0], $other->{block} + ROWS + 6 * $other->{lane}, 'SSS',
					unpack('SS', $first->{tid}), unpack('x4S', $first->{tid}) | 0x8000);
			});
		for my $leaf (1, 2)
		{
			told('twice', 'a secondary entry beside one of ' . ($leaf == 1 ? 'the exact leaf' : 'the NULL leaf'),
				$second->{blkno}, 'I-7', "$this has a secondary entry and no primary one",
				sub {
					erase($_[0], $first);
					put($_[0], page($leaf) + PAYLOAD, 'S', 1);
					put($_[0], page($leaf) + TIDS, 'a*', $first->{tid});
				});
		}
		told('twice', 'a secondary entry alone, of a row that is there', '', 'I-7', "$this is not in the index",
			sub { erase($_[0], $first) }, ', true');
		reported('twice', 'a secondary entry alone', '', '', sub { erase($_[0], $first) });
	}
	reported('coded', 'a row in a leaf and in the exact leaf', $exact[0], 'I-7', field($exact, 'a*', $row));
	reported('coded', 'a row in a leaf and in the NULL leaf', $null[0], 'I-7', field($null, 'a*', $row));
	reported('coded', 'a row that is missing', '', '', field($head + LIVE, 'L', $live & ~1));
	reported('coded', 'a row that is missing, all rows', '', 'I-7', field($head + LIVE, 'L', $live & ~1), ', true');
	reported('coded', 'rows exchanged between exact and NULL leaf', $exact[0], 'I-7',
		sub {
			my $first = substr(${ $_[0] }, $exact, 6);
			put($_[0], $exact, 'a*', substr(${ $_[0] }, $null, 6));
			put($_[0], $null, 'a*', $first);
		}, ', true');
	reported('coded', 'NULL leaf cut', '\d+', 'I-3 I-9', field(page(2) + NEXT, 'L', 0xffffffff));
	reported('coded', 'NULL leaf: past the end', 2, 'I-7', field(page(2) + NEXT, 'L', 1_000_000));
	for my $leaf (1, 2)
	{
		my $page = get(\$image{untrained}, page($leaf) + NEXT, 'L');
		my $which = $leaf == 1 ? 'exact leaf' : 'NULL leaf';
		told('untrained', "$which: too many entries behind its head", $page, 'I-7', "1358 entries on a page of the $which",
			field(page($page) + PAYLOAD, 'S', 1358));
	}
	reported('coded', 'NULL leaf: another kind', $null[-1], 'I-7', field(page($null[-1]) + KIND, 'S', 8));
	reported('coded', 'exact leaf leads to the NULL leaf', $null[0], 'I-7', field(page($exact[-1]) + NEXT, 'L', $null[0]));

	# ---- I-8: what a training has moved

	reported('coded', 'a flagged row that is in no leaf', $exact[0], 'I-8', field($exact + 4, 'S', get($coded, $exact + 4, 'S') | 0x4000));
	reported('coded', 'a flagged row that is in a leaf', '', '',
		sub {
			my $count = page($exact[-1]) + PAYLOAD;
			put($_[0], $count + 8 + 6 * get($_[0], $count, 'S'), 'a4S', substr($row, 0, 4), unpack('S', substr($row, 4)) | 0x4000);
			put($_[0], $count, 'S', get($_[0], $count, 'S') + 1);
		}, ', true');
	reported('coded', 'a flag in the NULL leaf', $null[0], 'I-8', field($null + 4, 'S', get($coded, $null + 4, 'S') | 0x4000));
	reported('untrained', 'flags in an untrained index', '', '',
		sub {
			my $page = page(get($_[0], page(1) + NEXT, 'L'));
			put($_[0], $page + TIDS + 4, 'S', get($_[0], $page + TIDS + 4, 'S') | 0x4000);
		}, ', true');
}

# ---- I-9: hints

{
	my $entry = entry('coded', 0);

	reported('coded', 'hint at another leaf', $coded_node, 'I-9', sub {
			my ($blkno, $slot) = head('coded', 3);
			put($_[0], $entry + HINT, 'L', $blkno);
			put($_[0], $entry + HINT_SLOT, 'S', $slot);
		});
	reported('coded', 'hint past the end', $coded_node, 'I-9', field($entry + HINT, 'L', 1_000_000));
	reported('coded', 'hint slot', $coded_node, 'I-9', field($entry + HINT_SLOT, 'S', 60000));
	reported('coded', 'a hint without a head', $coded_node, 'I-9 I-5', field($entry + HEAD, 'L', 0xffffffff));
	reported('coded', 'hint of the exact leaf', 1, 'I-9', field(page(1) + PAYLOAD + 4, 'L', 1_000_000));
	reported('coded', 'hint of the NULL leaf', 2, 'I-9', field(page(2) + PAYLOAD + 4, 'L', 1));
}

# ---- the summary of a damaged index

# The number of problems, leaked and free pages.
sub summary
{
	my ($name, $change) = @_;
	check_after($name, $change);
	return $node->safe_psql('postgres',
		"SELECT num_problems, leaked_pages, free_pages FROM ann_check_summary('${name}_v')");
}

{
	my $page = substr($$coded, page($coded_node), BLCKSZ);
	my ($leak, $free) = ($page, $page);

	put(\$leak, MODEL, 'L', 2);
	put(\$free, KIND, 'S', $kinds{free});
	is(summary('coded', sub { }), '0|0|0', 'summary: sound');
	is(summary('coded', sub { ${ $_[0] } .= $leak x 2 . $free x 3 . "\0" x BLCKSZ }), '0|2|4', 'summary: leaked and free pages');
	is(summary('coded', sub { put($_[0], $head + ROWS, 'SSS', 0, 0, 0); put($_[0], page(1) + PAYLOAD + 4, 'L', 9999) }),
		'2|0|0', 'summary: problems');
	is(summary('coded', sub { ${ $_[0] } = '' }), '1|0|0', 'summary: no page');
	check_after('coded', sub { });
}

# ---- anything anywhere: a row or none, never an error

seed(7);
my $times = rounds(40, 400);
for my $name (qw(coded long many untrained))
{
	my @errors;
	my $noticed = 0;

	for my $round (1 .. $times)
	{
		my @changes;
		my $out = check_after(
			$name,
			sub {
				my ($bytes) = @_;
				for (0 .. int rand 3)
				{
					# mostly where structure is: page header, first bytes of the payload, special space
					my $in_page = (int(rand 24), 24 + int(rand 64), NEXT + int(rand 16), int(rand BLCKSZ))[ int rand 4 ];
					my $offset = page(int rand num_pages($bytes)) + $in_page;
					push @changes, $offset;
					put($bytes, $offset, 'C', int rand 256);
				}
				seal($bytes) if $name ne 'untrained' && $round % 2;
			},
			', true');
		push @errors, "bytes @changes: $out" if $out =~ /ERROR|FATAL|server closed/;
		$noticed++ if $out ne '';
	}
	is(join("\n", @errors), '', "$name: random damage raises no error");
	note("$noticed of " . $times . ' changes noticed');
}
check_after($_, sub { }) for @names;

# ---- beside writers

{
	my %changes = (
		coded => "INSERT INTO coded SELECT 0, anything(8) FROM generate_series(1, 5);
			INSERT INTO coded VALUES (0, NULL);
			INSERT INTO coded VALUES (0, array_fill(1e20::real, ARRAY[8])::vector);
			DELETE FROM coded WHERE ctid IN (SELECT ctid FROM coded WHERE id = 0 LIMIT 3 FOR UPDATE SKIP LOCKED);",
		long => 'INSERT INTO long VALUES (0, anything(4500));',
		twice => 'INSERT INTO twice SELECT 0, anything(8) FROM generate_series(1, 20);',
		untrained => 'INSERT INTO untrained SELECT 0, anything(3) FROM generate_series(1, 50);');
	my @clients = start_clients($node, map { $_ => [ 2, 60, $changes{$_} ] } keys %changes);
	my @found;

	for my $round (1 .. 10)
	{
		push @found, $node->safe_psql('postgres', "SELECT * FROM ann_check('${_}_v', true)")
		  for qw(coded long twice untrained);
	}
	finish_clients('check', @clients);
	is(join('', @found), '', 'beside writers a sound index gives no row');
	is($node->safe_psql('postgres', "SELECT * FROM ann_check('${_}_v', true)"), '', "$_ is sound after it")
	  for sort keys %changes;
}

# ---- on a standby

sub on_standby
{
	my ($standby, $name) = @_;
	my ($out, $err);
	$standby->psql('postgres', "SELECT * FROM ann_check('${name}_v', true)", stdout => \$out, stderr => \$err);
	return $err . $out;
}

{
	my $standby = PostgreSQL::Test::Cluster->new('check_standby');
	my @found;

	$node->backup('backup');
	$standby->init_from_backup($node, 'backup', has_streaming => 1);
	$standby->append_conf('postgresql.conf', 'client_min_messages = notice');
	$standby->start;

	# Replay goes on: what changes under the check is told of, never called damage. Every third time it is
	# paused, wherever it has come to, so that the check is whole. (A truncation would lock the table.)
	$node->safe_psql('postgres', 'CREATE TABLE grown (id int, v vector(4));
		CREATE INDEX grown_v ON grown USING annivf (v);
		INSERT INTO grown SELECT 0, anything(4) FROM generate_series(1, 300)');
	$node->wait_for_catchup($standby);
	my @clients = start_clients($node,
		writer => [ 1, 0, 'INSERT INTO grown SELECT 0, anything(4) FROM generate_series(1, 300);
			DELETE FROM grown WHERE random() < 0.02;' ],
		vacuum => [ 1, 0, "VACUUM (TRUNCATE off) grown; SELECT ann_train('grown_v');" ]);
	my @partial;
	my $num_partial = 0;
	for my $round (1 .. 30)
	{
		my $paused = $round % 3 == 0;

		if ($paused)
		{
			$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
			wait_for_rows($standby, "SELECT pg_get_wal_replay_pause_state() = 'paused'");
		}
		my $out = on_standby($standby, 'grown');
		push @found, grep { !/NOTICE|HINT/ } split /\n/, $out;
		push @partial, $out if $paused && $out =~ /NOTICE/;
		my $summary = $standby->safe_psql('postgres', "SELECT num_problems, is_whole FROM ann_check_summary('grown_v')");
		push @found, $summary unless $summary =~ /^0/;
		push @partial, $summary if $paused && $summary !~ /t$/;
		$num_partial++ if $summary =~ /f$/;
		$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()') if $paused;
	}
	stop_clients('under replay', @clients);
	is(join("\n", @found), '', 'on a standby under replay a sound index gives no row');
	is(join("\n", @partial), '', 'while replay is paused the check is whole');
	note("of 30 summaries $num_partial are not of the whole index");

	$node->safe_psql('postgres', "SELECT ann_train('grown_v')");
	$node->wait_for_catchup($standby);
	is(on_standby($standby, $_), '', "on a standby at rest $_ is sound") for @names, 'grown';
	is($standby->safe_psql('postgres', "SELECT is_trained FROM ann_index_info('grown_v')"), 't', 'grown has been trained');

	# Damage there is seen.
	$standby->stop;
	my $file = $standby->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('many_v')");
	my $bytes = slurp_binary($file);
	my ($many_node) = pages_of(\$bytes, 'node');
	put(\$bytes, page($many_node) + ENTRIES + HINT, 'L', 0);
	write_binary($file, \$bytes);
	$standby->start;
	like(on_standby($standby, 'many'), qr/^$many_node\|I-9\|/m, 'on a standby damage is seen');
	$standby->stop;
	no_crash($standby, 'check on a standby');
}

$node->stop;
no_crash($node, 'check');
done_testing();

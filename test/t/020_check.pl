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
# twice: rows with a second leaf; untrained: an exact leaf of several pages alone.
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
CREATE INDEX twice_v ON twice USING annivf (v) WITH (num_leaves = 7, soar_lambda = 1.5);

CREATE TABLE untrained (id int, v vector(3));
CREATE INDEX untrained_v ON untrained USING annivf (v);
INSERT INTO untrained SELECT i, CASE WHEN i % 3 > 0 THEN anything(3) END FROM generate_series(1, 4500) i;
CHECKPOINT;
SQL

# ---- one case

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

is(check_after($_, sub { }, ', true'), '', "$_: sound") for qw(coded long many twice untrained);

# Places in an image. Leaves in the order of the first node page.
my %stride = (coded => 48, many => 40, long => 8, twice => 48);
my %block_bytes = (coded => 600, many => 520, long => 8, twice => 600);

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
check_after($_, sub { }) for qw(coded long many twice untrained);

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
		$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()') if $paused;
	}
	stop_clients('under replay', @clients);
	is(join("\n", @found), '', 'on a standby under replay a sound index gives no row');
	is(join("\n", @partial), '', 'while replay is paused the check is whole');

	$node->safe_psql('postgres', "SELECT ann_train('grown_v')");
	$node->wait_for_catchup($standby);
	is(on_standby($standby, $_), '', "on a standby at rest $_ is sound") for qw(coded long many twice untrained grown);
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

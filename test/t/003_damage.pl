# Damaged indexes: whatever stands in the file, a search, an insert, a vacuum and an inspection give an answer
# in order, with true distances, or an error that names the damage and its block; rows that an answer lacks or
# has twice, and damage that an error names, are reported by ann_check; the backend lives and nothing hangs.
#
# Each case makes its index anew, has it copied to another tablespace (so that nothing of it is in shared
# buffers), changes the file and then tries everything.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use AnnPages;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node(
	'damage',
	no_checksums => 1,
	# under wal_level = minimal the new file is logged, and so read into shared buffers, after all
	conf => ['allow_in_place_tablespaces = on', 'shared_buffers = 32MB', 'wal_level = replica']);

# ---- the indexes

# coded: leaves of several pages, an exact leaf, NULLs; product: the same under inner product; cosine: an
# exact and a NULL leaf of several pages beside the leaves; long: blocks and centroids wider than a
# page; many: so many leaves that their centroids have codes; untrained: an exact leaf of several pages
# alone; twice: codes of two layers, a rotation, rows with a second leaf; flat: no codes; levels: codes of
# levels, from the origin; taxicab, bits: absolute codes.
my %tables = (
	coded => { dim => 8, op => '<->' },
	product => { dim => 5, op => '<#>' },
	cosine => { dim => 4, op => '<=>' },
	long => { dim => 4500, op => '<->' },
	many => { dim => 3, op => '<->' },
	untrained => { dim => 3, op => '<->' },
	twice => { dim => 16, op => '<->' },
	flat => { dim => 6, op => '<->' },
	levels => { dim => 4, op => '<=>' },
	taxicab => { dim => 6, op => '<+>' },
	bits => { dim => 40, op => '<%>', type => 'bit' });

$node->safe_psql('postgres', <<'SQL');
-- another vector with every call, or string of bits
CREATE FUNCTION some_value(type text, dim int, scale float8 DEFAULT 1) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT CASE WHEN type <> 'bit' THEN anything(dim, scale)::text
		ELSE (SELECT string_agg((random() < scale / 3)::int::text, '') FROM generate_series(1, dim)) END
$$;

CREATE TABLESPACE one LOCATION '';
CREATE TABLESPACE two LOCATION '';

CREATE TABLE coded (id int, v vector(8));
INSERT INTO coded SELECT row_number() OVER (), x FROM clustered(600, 8, 0.1, 7) x;
INSERT INTO coded SELECT 600 + i, CASE i % 3 WHEN 0 THEN anything(8, 1e20) END
	FROM generate_series(1, 60) i;
CREATE INDEX coded_v ON coded USING annivf (v) WITH (num_leaves = 7, training_iterations = 2);

CREATE TABLE product (id int, v vector(5));
INSERT INTO product SELECT row_number() OVER (), x FROM clustered(500, 5, 0.2, 6) x;
CREATE INDEX product_v ON product USING annivf (v vector_ip_ops)
	WITH (num_leaves = 30, training_iterations = 2, dimensions_per_block = 2);

CREATE TABLE cosine (id int, v vector(4));
INSERT INTO cosine SELECT row_number() OVER (), x FROM clustered(300, 4, 0.3, 7) x;
INSERT INTO cosine SELECT 300 + i, CASE WHEN i % 2 = 0 THEN '[0,0,0,0]'::vector END
	FROM generate_series(1, 3000) i;
CREATE INDEX cosine_v ON cosine USING annivf (v vector_cosine_ops)
	WITH (num_leaves = 5, training_iterations = 2);

CREATE TABLE long (id int, v vector(4500));
INSERT INTO long SELECT row_number() OVER (), x FROM clustered(40, 4500, 0.4, 2) x;
CREATE INDEX long_v ON long USING annivf (v)
	WITH (num_leaves = 2, training_iterations = 1, dimensions_per_block = 4);

CREATE TABLE many (id int, v vector(3));
INSERT INTO many SELECT row_number() OVER (), x FROM clustered(2500, 3, 0.4, 800, 0.1) x;
CREATE INDEX many_v ON many USING annivf (v) WITH (num_leaves = 2200, training_iterations = 1);

CREATE TABLE untrained (id int, v vector(3));
INSERT INTO untrained SELECT i, CASE WHEN i % 3 > 0 THEN anything(3) END FROM generate_series(1, 3000) i;
CREATE INDEX untrained_v ON untrained USING annivf (v);

CREATE TABLE twice (id int, v vector(16));
INSERT INTO twice SELECT row_number() OVER (), x FROM clustered(500, 16, 0.5, 9) x;
CREATE INDEX twice_v ON twice USING annivf (v) WITH (num_leaves = 9, training_iterations = 2, nbits = 8,
	dimensions_per_block = 2, rotation = on, soar_lambda = 1.5);

CREATE TABLE flat (id int, v vector(6));
INSERT INTO flat SELECT row_number() OVER (), x FROM clustered(400, 6, 0.6, 5) x;
CREATE INDEX flat_v ON flat USING annivf (v) WITH (num_leaves = 5, training_iterations = 2, quantizer = flat);

CREATE TABLE levels (id int, v vector(4));
INSERT INTO levels SELECT row_number() OVER (), x FROM clustered(300, 4, 0.7, 5) x;
CREATE INDEX levels_v ON levels USING annivf (v vector_cosine_ops)
	WITH (num_leaves = 5, training_iterations = 2, quantizer = sq8, residual_quantization = off);

CREATE TABLE taxicab (id int, v vector(6));
INSERT INTO taxicab SELECT row_number() OVER (), x FROM clustered(400, 6, 0.8, 7) x;
CREATE INDEX taxicab_v ON taxicab USING annivf (v vector_l1_ops)
	WITH (num_leaves = 7, training_iterations = 2, dimensions_per_block = 2);

CREATE TABLE bits (id int, v bit(40));
INSERT INTO bits SELECT i, some_value('bit', 40)::bit(40) FROM generate_series(1, 400) i;
CREATE INDEX bits_v ON bits USING annivf (v bit_jaccard_ops) WITH (num_leaves = 7, training_iterations = 2);

DO $$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY '{coded,product,cosine,long,many,untrained,twice,flat,levels,taxicab,bits}'::text[] LOOP
		EXECUTE format('CREATE TABLE %1$s_rows AS SELECT * FROM %1$s', name);
	END LOOP;
END $$;

CREATE TABLE other (id int, v vector(8));
INSERT INTO other SELECT id, v FROM coded;
CREATE INDEX other_id ON other (id);
CHECKPOINT;

-- runs a command to its end and undoes it; its outcome as 'SQLSTATE message'
CREATE FUNCTION outcome(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
	RAISE SQLSTATE 'AN000';
EXCEPTION
	WHEN SQLSTATE 'AN000' THEN
		RETURN '00000 ';
	WHEN OTHERS THEN
		RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- an answer by index whose distances ascend, NULL last, and that has no row twice, of rows 0: all rows, else
-- SQLSTATE AN001
CREATE FUNCTION must_ascend(rel regclass, op text, q text, rows int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	type text := (SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = rel AND attname = 'v');
	-- a query of NULL behind a subquery, lest the planner sees it
	value text := format(CASE WHEN q IS NULL THEN '(SELECT NULL::%2$s)' ELSE '%L::%s' END, q, type);
	query text := format('SELECT id, v %1$s %2$s AS d FROM %3$s ORDER BY v %1$s %2$s LIMIT %4$s', op, value, rel,
		coalesce(nullif(rows, 0)::text, 'ALL'));
	plan text;
	found_ids int[];
	found_distances float8[];
	all_ids int[];
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	EXECUTE format('SELECT array_agg(id), array_agg(d) FROM (%s) s', query) INTO found_ids, found_distances;
	IF plan NOT LIKE '%Index Scan%' THEN
		RAISE EXCEPTION 'no index scan';
	ELSIF found_distances <> (SELECT array_agg(d ORDER BY d) FROM unnest(found_distances) d) THEN
		RAISE EXCEPTION 'the rows are not in order';
	ELSIF array_length(found_ids, 1) <> (SELECT count(DISTINCT i) FROM unnest(found_ids) i) THEN
		RAISE SQLSTATE 'AN001' USING MESSAGE = 'a row comes twice';
	ELSIF rows = 0 THEN
		EXECUTE format('SELECT array_agg(id ORDER BY id) FROM %s', rel) INTO all_ids;
		IF all_ids IS DISTINCT FROM (SELECT array_agg(i ORDER BY i) FROM unnest(found_ids) i) THEN
			RAISE SQLSTATE 'AN001' USING MESSAGE = format('%s rows of %s', array_length(found_ids, 1), array_length(all_ids, 1));
		END IF;
	END IF;
END $$;

-- the answer of a function, as SQL that gives (query, rank or NULL, ctid, distance), to the query q: rows of the
-- table, with their distances, which ascend; none twice, else SQLSTATE AN001
CREATE FUNCTION must_be_true(rel regclass, op text, q text, answer text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	bad record;
BEGIN
	EXECUTE format('SELECT count(*) FILTER (WHERE t.ctid IS NULL) AS strange,
			count(*) FILTER (WHERE a.distance IS DISTINCT FROM t.v %s %L::vector) AS false,
			count(*) FILTER (WHERE a.before > a.distance) AS unordered, count(*) - count(DISTINCT (a.query, a.ctid)) AS twice
		FROM (SELECT *, lag(distance) OVER (PARTITION BY query ORDER BY rank) AS before FROM (%s) s) a
		LEFT JOIN %s t ON t.ctid = a.ctid', op, q, answer, rel) INTO bad;
	IF bad.strange + bad.false + bad.unordered > 0 THEN
		RAISE EXCEPTION '% gives %', answer, bad;
	ELSIF bad.twice > 0 THEN
		RAISE SQLSTATE 'AN001' USING MESSAGE = 'a row comes twice';
	END IF;
END $$;

-- how many violations ann_check reports
CREATE FUNCTION check_outcome(rel regclass) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN '00000 ' || (SELECT count(*) FROM ann_check((rel || '_v')::regclass, true));
EXCEPTION
	WHEN OTHERS THEN
		RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- what looks at an index besides
CREATE FUNCTION inspections(rel regclass, type text, dim int, op text) RETURNS TABLE (what text, outcome text)
LANGUAGE plpgsql AS $$
DECLARE
	q text := some_value(type, dim, 3);
	opclass text := (SELECT opcname FROM pg_opclass o JOIN pg_index ON o.oid = indclass[0] WHERE indrelid = rel);
	command text;
BEGIN
	-- SQL has no vectors that are strings of bits
	FOREACH command IN ARRAY ARRAY[
		'ann_index_info(%1$L)', 'ann_leaves(%1$L)', 'ann_index_health(%1$L)', 'ann_codebook(%1$L)',
		'(SELECT leaf FROM ann_leaves(%1$L) LIMIT 40) l, ann_leaf_entries(%1$L, leaf) e, ann_decode(%1$L, e.code)',
		'(SELECT ctid FROM %2$s ORDER BY id LIMIT 3) r, ann_reconstruct(%1$L, r.ctid)'
		] || CASE WHEN type <> 'bit' THEN ARRAY[
		'ann_assign(%1$L, %3$L, 3)'] END
	LOOP
		RETURN QUERY SELECT 'inspect', outcome(format('SELECT count(*) FROM ' || command, rel || '_v', rel, q));
	END LOOP;
	IF type <> 'bit' THEN
		FOREACH command IN ARRAY ARRAY[
			'SELECT 1 AS query, ordinality AS rank, ctid, distance FROM ann_search(%1$L, %2$L, 10) WITH ORDINALITY',
			'SELECT 1 AS query, ordinality AS rank, ctid, distance FROM ann_search(%1$L, %2$L, 10000, 10000, 10000) WITH ORDINALITY',
			'SELECT 1 AS query, NULL::int AS rank, ctid, distance FROM ann_range_search(%1$L, %2$L, 1)',
			'SELECT * FROM ann_search_batch(%1$L, ARRAY[%2$L, %2$L]::vector[], 10)']
		LOOP
			RETURN QUERY SELECT 'answer', outcome(format('SELECT must_be_true(%L, %L, %L, %L)', rel, op, q, format(command, rel || '_v', q)));
		END LOOP;
	END IF;
	RETURN QUERY SELECT 'adopt', outcome(format('CREATE TABLE adopting AS SELECT * FROM %s ORDER BY id LIMIT 10;
		CREATE INDEX ON adopting USING annivf (v %s) WITH (trained_from = %1$s_v)', rel, opclass));
END $$;

-- every kind of access
CREATE FUNCTION attempts(rel regclass, type text, dim int, op text)
RETURNS TABLE (what text, outcome text) LANGUAGE plpgsql AS $$
DECLARE
	q text := some_value(type, dim, 3);
BEGIN
	SET LOCAL enable_seqscan = off;
	SET LOCAL enable_sort = off;
	RETURN QUERY SELECT 'search', outcome(format('SELECT must_ascend(%L, %L, %L, 10)', rel, op, q));
	SET LOCAL ann.num_leaves_to_search = 1000000;
	SET LOCAL ann.num_reordering_candidates = 1000000;
	RETURN QUERY SELECT 'full', outcome(format('SELECT must_ascend(%L, %L, %L, 0)', rel, op, q));
	RESET ann.num_leaves_to_search;
	RESET ann.num_reordering_candidates;
	-- nothing orders the rows: they come from the pages as they lie
	RETURN QUERY SELECT 'stream', outcome(format('SELECT must_ascend(%L, %L, NULL, 0)', rel, op));
	RETURN QUERY SELECT 'check', check_outcome(rel);
	RETURN QUERY SELECT 'insert', outcome(format('INSERT INTO %s SELECT -i, CASE i %% 9 WHEN 0 THEN NULL
		WHEN 1 THEN some_value(%L, %s, 0) WHEN 2 THEN some_value(%2$L, %3$s, 1e20)
		ELSE some_value(%2$L, %3$s, i %% 7) END::%s FROM generate_series(1, %s) i',
		rel, type, dim, CASE type WHEN 'bit' THEN format('bit(%s)', dim) ELSE type END,
		CASE WHEN dim > 1000 THEN 20 ELSE 200 END));
END $$;
SQL

my %place;    # tablespace of each index
my %image;    # of each index, undamaged
my %old;      # before rows were inserted after the build

use constant NUM_LATE => 20;    # of these

# SQL that fills a table anew, always the same way, so that its rows have the same places, and shows the
# file of its index, of which nothing is in shared buffers. Rows inserted after the build lie on overflow
# pages.
sub fill_table
{
	my ($name, $build, $late) = @_;
	my $dim = $tables{$name}{dim};
	my $type = $tables{$name}{type} // 'vector';

	$place{$name} = ($place{$name} // '') eq 'one' ? 'two' : 'one';
	return "TRUNCATE $name;
		INSERT INTO $name SELECT * FROM ${name}_rows;
		$build
		DO 'BEGIN PERFORM setseed(0.5); END';
		INSERT INTO $name SELECT -i, some_value('$type', $dim)::$type($dim) FROM generate_series(1, $late) i;
		ALTER INDEX ${name}_v SET TABLESPACE $place{$name};
		SELECT 'file', pg_relation_filepath('${name}_v');\n";
}

my %file;    # of each index, once the table has been filled

sub make_image
{
	my ($name) = @_;
	my $build = $name eq 'untrained' ? '' : "REINDEX INDEX ${name}_v;";

	for my $late (0, NUM_LATE)
	{
		$file{$name} = (split /\|/, $node->safe_psql('postgres', fill_table($name, $build, $late)))[1];
		$old{$name} = $image{$name};
		$image{$name} = slurp_binary($node->data_dir . "/$file{$name}");
	}
	return;
}

# ---- one case

my $num_cases = 0;

# Puts a changed image in an index's place and tries everything: (verb => [outcomes]). Then fills the table
# for the next case.
sub try_change
{
	my ($name, $change) = @_;
	my ($dim, $op) = @{ $tables{$name} }{qw(dim op)};
	my $type = $tables{$name}{type} // 'vector';
	my $bytes = $image{$name};
	my ($out, $err, $timed_out);
	my %outcomes;

	$num_cases++;
	$change->(\$bytes);
	write_binary($node->data_dir . "/$file{$name}", \$bytes);
	$node->psql(
		'postgres', "\\set VERBOSITY verbose
		SELECT * FROM attempts('$name', '$type', $dim, '$op');
		SELECT * FROM inspections('$name', '$type', $dim, '$op');
		DELETE FROM $name WHERE id IN (-3, -4);
		SELECT 'vacuum', '00000 ';
		VACUUM (INDEX_CLEANUP on) $name;
		SELECT * FROM attempts('$name', '$type', $dim, '$op');\n" . fill_table($name, '', NUM_LATE),
		stdout => \$out,
		stderr => \$err,
		on_error_stop => 0,
		timeout => timeout_seconds(),
		timed_out => \$timed_out);
	if ($timed_out)
	{
		$node->stop('immediate');
		$node->start;
		# recovery has brought pages back into shared buffers
		$file{$_} = (split /\|/, $node->safe_psql('postgres', fill_table($_, '', NUM_LATE)))[1] for keys %file;
		return { hang => ["$out $err"] };
	}
	push @{ $outcomes{ (split /\|/)[0] } }, (split /\|/, $_, 2)[1] for split /\n(?=\w+\|)/, $out;
	push @{ $outcomes{vacuum} }, "$1 $2" while $err =~ /^(?:psql:.*: )?ERROR:\s+(\w{5}): (.*)/mg;
	my ($file) = @{ delete $outcomes{file} // die "$out$err" };
	$file{$name} = $file;
	return \%outcomes;
}

# Every outcome must be allowed, and that of the verbs in must (verb => SQLSTATE) come up. Returns what
# is wrong.
sub faults
{
	my ($name, $change, %must) = @_;
	my $outcomes = try_change($name, $change);
	my @faults;

	for my $verb (sort keys %$outcomes)
	{
		for my $outcome (@{ $outcomes->{$verb} })
		{
			push @faults, "$verb: $outcome"
			  unless $outcome =~ /^00000 /
			  || $outcome =~ /^AN001 /
			  || $outcome =~ /^XX002 index "\w+" is damaged at block \d+: /
			  || $outcome =~ /^XX001 invalid page in block/
			  || $outcome =~ /^0A000 index "\w+" (has format version|needs section)/
			  # not trained; a code that stands for no vector, a leaf that is not there; of another kind
			  || ($verb =~ /inspect|answer|adopt/ && $outcome =~ /^(55000|22\w{3}) /);
		}
	}
	# the first attempts, those after the vacuum
	for my $attempt (0, 1)
	{
		my $check = $outcomes->{check}[$attempt] // next;
		for my $verb (qw(search full stream))
		{
			my $outcome = $outcomes->{$verb}[$attempt];
			push @faults, "$verb: $outcome, but ann_check finds nothing" if $outcome !~ /^00000/ && $check eq '00000 0';
		}
	}
	push @faults, map { "answer: $_, but ann_check finds nothing" } grep { /^AN001/ } @{ $outcomes->{answer} }
	  if ($outcomes->{check}[0] // '') eq '00000 0';
	for my $verb (sort keys %must)
	{
		my $first = $outcomes->{$verb}[ $verb eq 'vacuum' ? -1 : 0 ] // 'nothing';
		push @faults, "$verb: not $must{$verb} but $first" unless $first =~ /^$must{$verb} /;
	}
	return @faults;
}

# One test out of many cases: [name of a table, what is changed, change, must].
sub all_fine
{
	my ($what, @cases) = @_;
	my @bad;

	for my $case (@cases)
	{
		my ($name, $where, $change, %must) = @$case;
		my @faults = faults($name, $change, %must);
		push @bad, "$name, $where: " . join('; ', @faults) if @faults;
	}
	is(join("\n", @bad), '', "$what (" . scalar(@cases) . " cases)");
	return;
}

# ---- no change: the tests themselves are right

for my $name (sort keys %tables)
{
	make_image($name);
}
{
	my @wrong;
	my %seen;

	for my $name (sort keys %tables)
	{
		my $outcomes = try_change($name, sub { });

		for my $verb (qw(search full stream insert))
		{
			my @got = @{ $outcomes->{$verb} // [] };
			push @wrong, "$name $verb: @got" if @got != 2 || grep { $_ ne '00000 ' } @got;
		}
		my @found = grep { $_ ne '00000 0' } @{ $outcomes->{check} };
		push @wrong, "$name check: @found" if @found;
		@found = grep { $_ ne '00000 ' && !($name eq 'untrained' && /^55000 /) } map { @{ $outcomes->{$_} // [] } } qw(inspect answer adopt);
		push @wrong, "$name inspect: @found" if @found;
		push @wrong, "$name vacuum: @{$outcomes->{vacuum}}" if @{ $outcomes->{vacuum} } != 1;
		$seen{ kind(\$image{$name}, $_) }++ for 0 .. num_pages(\$image{$name}) - 1;
	}
	is(join("\n", @wrong), '', 'without damage every attempt succeeds');
	is(join(' ', sort keys %seen), 'body centroid_codes leaf meta node rest section tids', 'every kind of page is there');
	cmp_ok(scalar(pages_of(\$image{cosine}, 'tids')), '>=', 5, 'exact and NULL leaf have several pages');
}

# ---- pages that are missing or not ours

# A page of a relation that has nothing to do with the index.
sub foreign_page
{
	my ($relation, $blkno) = @_;
	my $file = $node->safe_psql('postgres', "SELECT pg_relation_filepath('$relation')");
	return substr(slurp_binary($node->data_dir . "/$file"), page($blkno), BLCKSZ);
}

# Of many pages of a kind, the first and the last will do.
sub some_pages
{
	my ($name) = @_;
	my %skip;

	for my $kind (keys %kinds)
	{
		my @pages = pages_of(\$image{$name}, $kind);
		@skip{ @pages[ 3 .. $#pages - 2 ] } = () if @pages > 5;
	}
	return grep { !exists $skip{$_} } 0 .. num_pages(\$image{$name}) - 1;
}

{
	my @foreign = (foreign_page('other', 0), foreign_page('other_id', 1));
	my (@zeroed, @replaced, @cut);

	for my $name (qw(coded cosine long many untrained))
	{
		my $num = num_pages(\$image{$name});

		for my $blkno (some_pages($name))
		{
			my $page = $foreign[ $blkno % 2 ];
			push @zeroed,
			  [ $name, "block $blkno zeroed", sub { zero($_[0], $blkno) }, full => 'XX002', $blkno < 3 ? (vacuum => 'XX002') : () ];
			push @replaced, [
				$name, "block $blkno foreign", sub { put($_[0], page($blkno), 'a*', $page) },
				full => 'XX002', vacuum => 'XX002'
			];
		}
		for my $keep (grep { $_ < $num } 0 .. 3, int($num / 2), $num - 1)
		{
			push @cut,
			  [ $name, "cut to $keep pages", sub { substr(${ $_[0] }, page($keep)) = '' }, full => 'XX002' ];
		}
	}
	all_fine('zeroed pages', @zeroed);
	all_fine('pages of other relations', @replaced);
	all_fine('truncated files', @cut);
}

# ---- the metapage

my %every = map { $_ => 'XX002' } qw(search full stream insert vacuum);
my %refused = map { $_ => '0A000' } qw(search full stream insert vacuum);

# Where the metapage tells of the model in force, behind the options, whose number grows: 16 bytes before the
# layout of a block.
my $trained = index(substr($image{coded}, PAYLOAD, 256), pack('S4', 6, 8, 0, 0)) - 16;
cmp_ok($trained, '>', 32, 'the metapage has a layout of blocks');

# A case that changes a field of the metapage, and makes its checksum right.
sub meta_case
{
	my ($what, $offset, $format, $value, %must) = @_;
	return [
		'coded', $what,
		sub { put($_[0], PAYLOAD + $offset, $format, $value); seal($_[0]) }, %must
	];
}

# A case that changes a field of a section's entry there.
sub section_case
{
	my ($what, $kind, $offset, $format, $value, %must) = @_;
	return [
		'coded', $what,
		sub { put($_[0], section($_[0], $kind) + $offset, $format, $value); seal($_[0]) }, %must
	];
}

is(crc('123456789'), 0xe3069283, 'CRC-32C of the test is right');
all_fine(
	'the metapage',
	meta_case('nothing', 4, 'L', 1, full => '00000'),
	[ 'coded', 'no checksum', sub { put($_[0], PAYLOAD + 12, 'S', 2) }, %every ],
	meta_case('no magic', 0, 'L', 0x12345678, %every),
	meta_case('unknown version', 4, 'L', 2, %refused),
	[ 'coded', 'unknown version, other checksum', sub { put($_[0], PAYLOAD + 4, 'L', 77) }, %refused ],
	meta_case('unknown metric', 12, 'S', 9, %every),
	meta_case('unknown flags', 14, 'S', 0x8000, %every),
	meta_case('too many dimensions', 16, 'L', 16001, %every),
	meta_case('no dimensions', 16, 'L', 0, %every),
	meta_case('other dimensions', 16, 'L', 9, %every),
	meta_case('another metric', 12, 'S', 2, %every),
	meta_case('unknown model', 20, 'L', 99, %every),
	meta_case('untrained', 20, 'L', 0),
	meta_case('no leaves', $trained, 'L', 0, %every),
	meta_case('fewer leaves', $trained, 'L', 6, full => 'XX002'),
	meta_case('more leaves', $trained, 'L', 8, full => 'XX002'),
	meta_case('unknown quantizer of the options', 60, 'L', 3, %every),
	meta_case('unknown quantizer', $trained + 4, 'L', 3, %every),
	meta_case('levels in one layer', $trained + 4, 'L', 1, %every),
	meta_case('no codes, but blocks', $trained + 4, 'L', 2, %every),
	meta_case('no layers', $trained + 12, 'L', 0, %every),
	meta_case('another layer', $trained + 12, 'L', 2, %every),
	meta_case('no width', $trained + 8, 'L', 0, %every),
	meta_case('another width', $trained + 8, 'L', 2, %every),
	meta_case('short row identifiers', $trained + 16, 'S', 4, %every),
	meta_case('long factors', $trained + 18, 'S', 16, %every),
	meta_case('filter columns', $trained + 20, 'S', 8, %every),
	meta_case('refine codes', $trained + 22, 'S', 8, %every),
	meta_case('no code blocks', $trained + 24, 'L', 0, %every),
	meta_case('two levels', $trained + 28, 'L', 2, %every),
	meta_case('next leaf 0', 28, 'L', 0, %every),
	section_case('mean missing', 1, 0, 'S', 0, %every),
	section_case('tree missing', 3, 0, 'S', 0, %every),
	section_case('required section unknown', 4, 0, 'S', 5, %every),
	section_case('required section newer', 1, 2, 'S', 2, %refused),
	(map { section_case("section $_ past the end", $_, 12, 'L', 1_000_000, full => 'XX002') } 1 .. 4),
	(map { section_case("section $_ begins at block 0", $_, 12, 'L', 0, full => 'XX002') } 1 .. 4),
	(map { section_case("section $_ is long", $_, 16, 'Q', 1 << 40, full => 'XX002') } 1, 2, 4),
	(map { section_case("section $_ has another checksum", $_, 24, 'L', 1, full => 'XX002') } 1, 2, 4),
	[
		'coded', 'unknown required section',
		sub {
			put($_[0], sections($_[0]) + (NUM_SECTIONS - 1) * SECTION_BYTES, 'SSSSL', 200, 1, 1, 0, 1);
			seal($_[0]);
		},
		%refused
	],
	[
		'coded', 'unknown optional section',
		sub {
			put($_[0], sections($_[0]) + (NUM_SECTIONS - 1) * SECTION_BYTES, 'SSSSL', 200, 1, 0, 0, 1);
			seal($_[0]);
		},
		map { $_ => '00000' } qw(search full stream insert vacuum)
	]);

{
	my $bytes = $image{coded};
	my ($out, $err);

	put(\$bytes, PAYLOAD + 4, 'L', 2);
	write_binary($node->data_dir . "/$file{coded}", \$bytes);
	$node->psql('postgres', 'INSERT INTO coded VALUES (1, NULL), (2, anything(8))', stdout => \$out, stderr => \$err);
	like($err, qr/has format version 2, .*\nHINT:  Rebuild the index with REINDEX\./, 'an unknown version: what to do');
	$node->psql('postgres', 'SELECT 1 FROM coded LIMIT 1', stdout => \$out, stderr => \$err);
	is("$out$err", '1', 'the table can be read beside an index of unknown version');
	$node->safe_psql('postgres', 'REINDEX INDEX coded_v');
	check_index($node, 'coded', '<->', 'after REINDEX');
	make_image('coded');
}

# ---- links and counts


sub link_cases
{
	my ($name, @kinds) = @_;
	my $bytes = \$image{$name};
	my $num = num_pages($bytes);
	my ($node_page) = pages_of($bytes, 'node');
	my @fields;    # [what, offset, next link is followed by every full scan]
	my @cases;

	# what stands in every index is tried in the first
	for my $kind (@kinds)
	{
		my @pages = pages_of($bytes, $kind);
		push @fields, [ "next of $kind $_", page($_) + NEXT, $kind eq 'tids' ]
		  for @pages > 2 ? @pages[ 0, -1 ] : @pages;
	}
	if (grep { $_ eq 'tids' } @kinds)
	{
		push @fields, [ "hint of exact or NULL leaf $_", page($_) + PAYLOAD + 4, 0 ] for 1, 2;
	}
	if (grep { $_ eq 'leaf' } @kinds)
	{
		my $entry = page($node_page) + PAYLOAD + 16;
		my ($leaf_page) = pages_of($bytes, 'leaf');
		my $block = page($leaf_page) + PAYLOAD;

		push @fields, [ 'overflow page', page($node_page) + PAYLOAD, 0 ], [ 'head', $entry + 8, 1 ],
		  [ 'hint', $entry + 12, 0 ], [ 'next block', $block + 12, 1 ], [ 'body', $block + 16, $name eq 'long' ];
	}
	for my $field (@fields)
	{
		my ($what, $offset, $followed) = @$field;
		my $here = int($offset / BLCKSZ);
		my %targets = (
			'past the end' => $num + 3,
			'to block 0' => 0,
			'to its own page' => $here,
			'to the last page' => $num - 1,
			$name eq 'long' ? () : ('far past the end' => 0xfffffff0, 'to block 1' => 1),
			$node_page ? ('to the node page' => $node_page) : ());

		for my $target (sort keys %targets)
		{
			my %must = $followed && $target =~ /past/ ? (full => 'XX002') : ();
			push @cases, [ $name, "$what leads $target", sub { put($_[0], $offset, 'L', $targets{$target}) }, %must ];
		}
	}
	return @cases;
}

all_fine('links of coded', link_cases('coded', qw(tids section node leaf)));
all_fine('links of cosine', link_cases('cosine', 'tids'));
all_fine('links of long', link_cases('long', qw(section node rest leaf body)));
all_fine('links of many', link_cases('many', qw(node centroid_codes)));
all_fine('links of untrained', link_cases('untrained', 'tids'));

sub count_cases
{
	my ($name) = @_;
	my $bytes = \$image{$name};
	my ($node_page) = pages_of($bytes, 'node');
	my ($leaf_page) = pages_of($bytes, 'leaf');
	my @cases;

	for my $blkno (1, 2)
	{
		for my $count (1358, 65535)
		{
			push @cases,
			  [ $name, "count of block $blkno is $count", sub { put($_[0], page($blkno) + PAYLOAD, 'S', $count) }, full => 'XX002', vacuum => 'XX002' ];
		}
		push @cases, [ $name, "exact and NULL leaf $blkno exchanged", sub { put($_[0], page($blkno) + PAYLOAD + 2, 'S', 2 - $blkno ? 1 : 0) }, full => 'XX002' ];
	}
	# the first row of each table has a vector
	push @cases, [ $name, 'row of the NULL leaf with a vector', sub { put($_[0], page(2) + PAYLOAD, 'SSLSSS', 1, 1, 2, 0, 0, 1) }, full => 'XX002', stream => 'XX002' ];
	return @cases if $name eq 'untrained' || $name eq 'cosine';

	my $entry = page($node_page) + PAYLOAD + 16;
	my $block = page($leaf_page) + PAYLOAD;
	my @changes = (
		[ 'no node entries', page($node_page) + PAYLOAD + 4, 'S', 0, full => 'XX002' ],
		[ 'too many node entries', page($node_page) + PAYLOAD + 4, 'S', 65535, full => 'XX002' ],
		[ 'another level', page($node_page) + PAYLOAD + 6, 'S', 1, full => 'XX002' ],
		[ 'another leaf number', $entry, 'L', 77, full => 'XX002' ],
		[ 'no leaf number', $entry, 'L', 0xffffffff, full => 'XX002' ],
		[ 'another generation', $entry + 4, 'L', 9, full => 'XX002' ],
		[ 'head slot', $entry + 16, 'S', 60000, full => 'XX002' ],
		[ 'hint slot', $entry + 18, 'S', 60000 ],
		[ 'norm NaN', $entry + 20, 'L', 0x7fc00000 ],
		[ 'norm infinite', $entry + 20, 'L', 0x7f800000 ],
		[ 'spread NaN', $entry + 24, 'L', 0x7fc00000 ],
		[ 'centroid NaN', $entry + 32, 'L', 0x7fc07fc0 ],
		[ 'centroid infinite', $entry + 32, 'L', 0x7f807f80 ],
		[ 'block of another leaf', $block, 'L', 3, full => 'XX002' ],
		[ 'block of an unknown leaf', $block, 'L', 5000, full => 'XX002', vacuum => 'XX002' ],
		[ 'block of no leaf', $block, 'L', 0xffffffff, full => 'XX002' ],
		[ 'block of another generation', $block + 4, 'L', 3, full => 'XX002' ],
		[ 'all lanes in use', $block + 8, 'L', 0xffffffff ],
		[ 'no lane in use', $block + 8, 'L', 0 ],
		[ 'next slot', $block + 20, 'S', 60000 ],
		[ 'flags', $block + 22, 'S', 1, full => 'XX002', vacuum => 'XX002' ],
		[ 'b NaN', $block + 24, 'L', 0x7fc00000, vacuum => 'XX002' ],
		[ 'b infinite', $block + 24, 'L', 0x7f800000 ],
		[ 's NaN', $block + 24 + 128, 'S', 0x7fc0, vacuum => 'XX002' ],
		[ 's infinite', $block + 24 + 128, 'S', 0x7f80, vacuum => 'XX002' ],
		[ 'err NaN', $block + 24 + 192, 'S', 0x7fc0, vacuum => 'XX002' ],
		[ 'err infinite', $block + 24 + 192, 'S', 0x7f80 ],
		[ 'row past the end of the table', $block + 24 + 256, 'SSS', 0, 60000, 1, full => 'XX002', stream => 'XX002' ],
		[ 'row far past the end of the table', $block + 24 + 256, 'SSS', 65535, 65535, 1, full => 'XX002', stream => 'XX002' ],
		[ 'row of offset 0', $block + 24 + 256, 'SSS', 0, 0, 0, vacuum => 'XX002' ],
		[ 'row of a great offset', $block + 24 + 256, 'SSS', 0, 0, 0x3fff ],
		[ 'flags of a row', $block + 24 + 256, 'SSS', 0, 0, 0xc001 ]);
	push @cases, map {
		my ($what, $offset, $format, @rest) = @$_;
		my @values = splice @rest, 0, length $format;
		[ $name, $what, sub { put($_[0], $offset, $format, @values) }, @rest ]
	} @changes;
	push @cases, [ $name, 'row of the exact leaf past the end', sub { put($_[0], page(1) + PAYLOAD, 'SSL', 1, 0, 1); put($_[0], page(1) + PAYLOAD + 8, 'SSS', 9, 9, 1) }, full => 'XX002', stream => 'XX002' ];
	return @cases;
}

all_fine("counts and fields of $_", count_cases($_)) for qw(coded cosine long untrained);

# ---- anything anywhere

sub random_case
{
	my ($name) = @_;
	my $num = num_pages(\$image{$name});
	my $blkno = int rand $num;
	my $other = int rand $num;
	my $kind = int rand 11;

	if ($kind == 10)
	{
		# a write that was lost
		return [ $name, "block $blkno as it was", sub {
				put($_[0], page($blkno), 'a*', substr($old{$name}, page($blkno), BLCKSZ)) if $blkno < num_pages(\$old{$name});
			} ];
	}
	if ($kind == 0)
	{
		return [ $name, "blocks $blkno and $other exchanged", sub {
				my $page = substr(${ $_[0] }, page($blkno), BLCKSZ);
				put($_[0], page($blkno), 'a*', substr(${ $_[0] }, page($other), BLCKSZ));
				put($_[0], page($other), 'a*', $page);
			} ];
	}
	if ($kind == 1)
	{
		# torn: the second half is another page's
		return [ $name, "block $blkno torn", sub {
				put($_[0], page($blkno) + BLCKSZ / 2, 'a*', substr(${ $_[0] }, page($other) + BLCKSZ / 2, BLCKSZ / 2));
			} ];
	}

	# bytes flipped; often where structure is: the first bytes of the payload, the special space
	my @flips = map { [ $kind < 4 ? PAYLOAD + int rand 64 : $kind < 6 ? NEXT + int rand 14 : PAYLOAD + int rand(NEXT - PAYLOAD), 1 << int rand 8 ] } 0 .. int rand 3;
	return [ $name, "block $blkno flipped at " . join(', ', map { "$_->[0] ^ $_->[1]" } @flips), sub {
			for my $flip (@flips)
			{
				my $offset = page($blkno) + $flip->[0];
				put($_[0], $offset, 'C', get($_[0], $offset, 'C') ^ $flip->[1]);
			}
			seal($_[0]) if $blkno == 0 && $kind % 2;
		} ];
}

seed(42);
my $times = rounds(20, 950);
all_fine("random damage to $_", map { random_case($_) } ($_) x $times) for sort keys %tables;

# ---- the end

note("$num_cases cases");
$node->safe_psql('postgres', "REINDEX INDEX ${_}_v") for sort keys %tables;
check_index($node, $_, $tables{$_}{op}, "$_ at the end", 100) for grep { !$tables{$_}{type} } sort keys %tables;
$node->stop;
no_crash($node, 'damage');
done_testing();

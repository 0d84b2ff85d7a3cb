# Mutated literals and binary images into the types' input functions. Each either is refused with an
# SQLSTATE of bad data, or is a value that comes back from its text and its binary form byte for byte.
# ANN_SOAK=1 tries many times as many; ANN_SEED (1) starts the random numbers.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $scale = $ENV{ANN_SOAK} ? 40 : 1;
my $seed = $ENV{ANN_SEED} // 1;
my $node = new_node('fuzz_input');
my $dir = $node->basedir . '/images';

mkdir $dir or die "$dir: $!";
note "ANN_SEED=$seed";

# xorshift: the same numbers from every perl
my $state = $seed * 2654435761 % 4294967291 + 1;

sub random_below
{
	my ($n) = @_;
	$state ^= ($state << 13) & 0xffffffff;
	$state ^= $state >> 17;
	$state ^= ($state << 5) & 0xffffffff;
	return $state % $n;
}

sub one_of { return $_[ random_below(scalar @_) ] }

# ---- texts

my @numbers = (
	qw(0 -0 1 -1 +1 1.5 .5 5. 1e5 -1E-5 1e-46 1e-38 1.17549435e-38 3.4028235e38 3.4028236e38 1e39 -1e400 NaN nan Infinity -inf
	  65504 65519.99 65520 5.96e-8 2.98e-8 0x1p3 0x 1_000 1e 1e+ -- . e5 16777217 0.1 123456789012345678901234567890 1.0000000000000001),
	'', ' ', "\t1", "1\n", '1 2', "\x{b}1");
my @indices = qw(1 2 3 4 5 7 100 0 -1 +2 16000 999999999 1000000000 1000000001 2147483647 2147483648 -2147483648 -2147483649 99999999999999999999 1.5 x);
my @bytes = (split(//, "[]{}:,/ .+-eE0123456789naifxX_'\"\\\t\n\r()\x7f"), "\xc3\xa4", "\xe2\x88\x9e", "\x{b}", "\x{c}");

# A literal that is right or nearly so.
sub literal
{
	my ($type) = @_;
	my $num = random_below(20) == 0 ? random_below(60) : 1 + random_below(6);
	my $space = random_below(4) == 0 ? one_of(' ', "\t", "\n ") : '';
	# most numbers are plain, or hardly any literal would be valid
	my @elements = map { random_below(8) == 0 ? one_of(@numbers) : (random_below(2001) - 1000) / one_of(1, 8, 10, 1000) } 1 .. $num;

	return '[' . $space . join(one_of(',', ', ', ','), @elements) . $space . ']' if $type ne 'sparsevec';
	my $index = 0;
	@elements = map { $index += 1 + random_below(3); (random_below(12) == 0 ? one_of(@indices) : $index) . ':' . $_ } @elements;
	@elements = reverse @elements if random_below(4) == 0;
	return '{' . $space . join(one_of(',', ', '), @elements) . $space . '}/' . (random_below(6) == 0 ? one_of(@indices) : $index + random_below(5));
}

# A piece of text: taken out, put in twice, put elsewhere, cut off there; a byte put in or overwritten.
sub mutate
{
	my ($text) = @_;
	my $at = random_below(length($text) + 1);
	my $size = 1 + random_below(one_of(1, 2, 8));
	my $how = random_below(6);

	return $text . substr($text, $at) if $how == 0;
	return substr($text, 0, $at) if $how == 1;
	substr($text, $at, $how == 2 ? 0 : 1) = one_of(@bytes) if $how == 2 || ($how == 3 && $at < length $text);
	substr($text, $at, $size) = '' if $how == 4 && $at < length $text;
	substr($text, $at, 0) = substr($text, random_below(length($text) + 1), $size) // '' if $how == 5;
	return $text;
}

sub texts
{
	my ($type, $num) = @_;
	my @texts;

	for (1 .. $num)
	{
		my $text = literal($type);
		$text = mutate($text) for 1 .. one_of(0, 0, 1, 1, 2, 4);
		# pieces of a character of several bytes are no text
		push @texts, $text =~ /^(?:[\x01-\x7f]|\xc3\xa4|\xe2\x88\x9e)*$/ ? $text : literal($type);
	}
	# the ends of what fits
	push @texts, map { '[' . join(',', (1) x $_) . ']' } 15999, 16000, 16001, 40000 if $type ne 'sparsevec';
	push @texts, map { '{' . join(',', map { "$_:1" } 1 .. $_) . '}/50000' } 15999, 16000, 16001, 40000 if $type eq 'sparsevec';
	return @texts;
}

# A text in the form of COPY.
sub escaped
{
	my ($text) = @_;
	my %names = ("\\" => "\\\\", "\n" => "\\n", "\t" => "\\t", "\r" => "\\r");
	$text =~ s/([\\\n\t\r])/$names{$1}/g;
	return "$text\n";
}

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE inputs (id serial PRIMARY KEY, input text, result text);
CREATE FUNCTION is_soft_error(input text, type text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	valid bool;
BEGIN
	-- older servers have none
	IF current_setting('server_version_num')::int >= 160000 THEN
		EXECUTE 'SELECT pg_input_is_valid($1, $2)' INTO valid USING input, type;
	END IF;
	RETURN NOT valid;
END $$;
CREATE FUNCTION try_text(type text, input text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	same bool;
	soft bool := is_soft_error(input, type);
BEGIN
	EXECUTE format('SELECT %1$s_send(v) = %1$s_send(v::text::%1$s) AND v::text = v::text::%1$s::text FROM (SELECT $1::%1$s AS v OFFSET 0) s', type)
	INTO same USING input;
	RETURN CASE WHEN soft THEN 'a soft error only' WHEN same THEN 'same' ELSE 'changed' END;
EXCEPTION WHEN OTHERS THEN
	RETURN CASE WHEN NOT soft THEN 'no soft error: ' ELSE '' END || sqlstate;
END $$;
CREATE FUNCTION try_image(type text, file text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	image bytea := pg_read_binary_file(file);
	same bool;
BEGIN
	EXECUTE format('TRUNCATE images_%s; COPY images_%1$s FROM %2$L (FORMAT binary)', type, file);
	-- between the header, a count of fields, a length and the end
	EXECUTE format('SELECT bool_and(%1$s_send(v) = substring($1, 26, length($1) - 27) AND %1$s_send(v::text::%1$s) = %1$s_send(v)) FROM images_%1$s', type)
	INTO same USING image;
	RETURN CASE WHEN same THEN 'same' ELSE 'changed' END;
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate;
END $$;
SQL

# The results that are none of those wanted, and that each kind of the wanted ones is there in number.
sub judge
{
	my ($what, $wanted, $num) = @_;

	is( $node->safe_psql('postgres', "SELECT result, id, left(input, 200) FROM inputs WHERE result IS NULL OR result !~ '^($wanted)\$' ORDER BY id LIMIT 5"),
		'', "$what: refused or the same");
	for my $kind ("= 'same'", "<> 'same'")
	{
		cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM inputs WHERE result $kind"), '>', $num / 10, "$what: some are $kind");
	}
	note $node->safe_psql('postgres', "SELECT string_agg(result || ' ' || n, ', ' ORDER BY n DESC) FROM (SELECT result, count(*) n FROM inputs GROUP BY result) s");
	return;
}

for my $type (qw(vector halfvec sparsevec))
{
	my $num = 3000 * $scale;
	my $file = "$dir/texts";

	open(my $out, '>:raw', $file) or die "$file: $!";
	print $out escaped($_) for texts($type, $num);
	close $out or die "$file: $!";
	$node->safe_psql('postgres', "TRUNCATE inputs RESTART IDENTITY; COPY inputs (input) FROM '$file'; UPDATE inputs SET result = try_text('$type', input)");
	judge("$type, text", '22...|54000|same', $num);
}

# ---- binary

my @floats = map { pack 'N', $_ } (0, 0x80000000, 1, 0x007fffff, 0x00800000, 0x3f800000, 0xbf99999a, 0x7f7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001);
my @halves = map { pack 'n', $_ } (0, 0x8000, 1, 0x3ff, 0x400, 0x3c00, 0xbc00, 0x7bff, 0x7c00, 0xfc00, 0x7e00, 0x7c01);

# Mostly plain numbers: 1 + a fraction.
sub some_float { return random_below(10) == 0 ? one_of(@floats) : pack 'N', 0x3f800000 | random_below(1 << 23) }
sub some_half { return random_below(10) == 0 ? one_of(@halves) : pack 'n', 0x3c00 | random_below(1 << 10) }

sub image
{
	my ($type) = @_;
	my $num = random_below(20) == 0 ? random_below(100) : 1 + random_below(5);
	my $said = random_below(10) == 0 ? one_of(0, -1, 1, 2, $num + 1, 16000, 16001, 32767, -32768) : $num;
	my $unused = random_below(20) == 0 ? random_below(65536) : 0;
	my ($index, $dim) = (-1, 1000);

	return pack('nn', $said & 0xffff, $unused) . join('', map { some_float() } 1 .. $num) if $type eq 'vector';
	return pack('nn', $said & 0xffff, $unused) . join('', map { some_half() } 1 .. $num) if $type eq 'halfvec';
	$dim = one_of(0, -1, 1, 5, 1000000000, 1000000001, 2147483647, -2147483648) if random_below(8) == 0;
	return pack('NNN', $dim & 0xffffffff, $said & 0xffffffff, $unused)
	  . join('', map { $index += random_below(20) == 0 ? random_below(4) - 2 : 1 + random_below(9); pack 'N', $index & 0xffffffff } 1 .. $num)
	  . join('', map { some_float() } 1 .. $num);
}

# A byte or a bit changed, bytes cut off or put in.
sub mutate_image
{
	my ($image) = @_;
	my $at = random_below(length($image) || 1);
	my $how = random_below(5);

	return $image if length($image) == 0;
	substr($image, $at, 1) = chr(random_below(256)) if $how == 0;
	substr($image, $at, 1) = chr(ord(substr($image, $at, 1)) ^ (1 << random_below(8))) if $how == 1;
	substr($image, $at) = '' if $how == 2;
	substr($image, $at, 1 + random_below(4)) = '' if $how == 3;
	substr($image, $at, 0) = join '', map { chr(random_below(256)) } 1 .. 1 + random_below(8) if $how == 4;
	return $image;
}

for my $type (qw(vector halfvec sparsevec))
{
	my $num = 1000 * $scale;

	$node->safe_psql('postgres', "CREATE TABLE images_$type (v $type); TRUNCATE inputs RESTART IDENTITY");
	for my $i (1 .. $num)
	{
		my $image = image($type);
		$image = mutate_image($image) for 1 .. one_of(0, 0, 0, 1, 1, 3);
		open(my $out, '>:raw', "$dir/$i") or die "$dir/$i: $!";
		print $out "PGCOPY\n\xff\r\n\0" . pack('NN', 0, 0) . pack('nN', 1, length $image) . $image . pack('n', 0xffff);
		close $out or die "$dir/$i: $!";
	}
	$node->safe_psql('postgres', "INSERT INTO inputs (input) SELECT '$dir/' || i FROM generate_series(1, $num) i ORDER BY i;
		DO \$\$ BEGIN
			FOR i IN 1 .. $num LOOP
				UPDATE inputs SET result = try_image('$type', input) WHERE id = i;
				-- each left a file, which the transaction's end takes away
				IF i % 500 = 0 THEN COMMIT; END IF;
			END LOOP;
		END \$\$");
	# 08P01 is the server's own word for an image that is too short
	judge("$type, binary", '22...|54000|08P01|same', $num);
}

no_crash($node, 'all inputs');
done_testing();

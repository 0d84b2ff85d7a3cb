# AnnPages.pm: the pages of an index as bytes, for tests that change its file. Images are references to
# strings; offsets are those of src/store/format.h.
package AnnPages;

use strict;
use warnings;

use Exporter 'import';
our @EXPORT = qw(BLCKSZ PAYLOAD NEXT MODEL KIND PAGE_ID SECTION_BYTES NUM_SECTIONS %kinds %sections
  page num_pages get put kind pages_of zero crc sections section section_bytes put_in_section seal
  slurp_binary write_binary);

use constant {
	BLCKSZ => 8192,
	PAYLOAD => 24,       # of a page, after its header
	NEXT => 8192 - 16,   # in the special space, as the three that follow
	MODEL => 8192 - 12,
	KIND => 8192 - 8,
	PAGE_ID => 8192 - 2,
	SECTION_BYTES => 32,
	NUM_SECTIONS => 16,
};

our %kinds = (
	meta => 1, tids => 2, section => 3, node => 4, rest => 5, leaf => 6, body => 7, free => 8,
	centroid_codes => 9);
my %names = reverse %kinds;

our %sections = (
	mean => 1, codebook => 2, tree => 3, calibration => 4, centroid_codebook => 5, centroid_codes => 6,
	rotation => 7, parents => 8);

sub page { my ($blkno) = @_; return $blkno * BLCKSZ; }

sub num_pages { my ($bytes) = @_; return length($$bytes) / BLCKSZ; }

sub get { my ($bytes, $offset, $format) = @_; return unpack("x$offset $format", $$bytes); }

sub put
{
	my ($bytes, $offset, $format, @values) = @_;
	my $packed = pack($format, @values);
	substr($$bytes, $offset, length $packed) = $packed;
	return;
}

sub zero { my ($bytes, $blkno) = @_; put($bytes, page($blkno), 'a*', "\0" x BLCKSZ); return; }

sub kind
{
	my ($bytes, $blkno) = @_;
	return $names{ get($bytes, page($blkno) + KIND, 'S') } // 'none';
}

sub pages_of
{
	my ($bytes, $kind) = @_;
	die "no kind $kind" unless exists $kinds{$kind};
	return grep { kind($bytes, $_) eq $kind } 0 .. num_pages($bytes) - 1;
}

my @crc_table = map {
	my $c = $_;
	$c = $c & 1 ? ($c >> 1) ^ 0x82f63b78 : $c >> 1 for 1 .. 8;
	$c
} 0 .. 255;

# CRC-32C, as pg_crc32c
sub crc
{
	my ($data) = @_;
	my $crc = 0xffffffff;
	$crc = ($crc >> 8) ^ $crc_table[ ($crc ^ $_) & 255 ] for unpack('C*', $data);
	return $crc ^ 0xffffffff;
}

# Offset of the metapage's directory of sections, its end; the mean is the first of a trained index.
my $sections;

sub sections
{
	my ($bytes) = @_;
	$sections //= index(substr($$bytes, 0, BLCKSZ), pack('S4L', 1, 1, 1, 0, 1));
	die 'no sections' if $sections < 0;
	return $sections;
}

# Offset of the directory's entry of a section.
sub section
{
	my ($bytes, $kind) = @_;
	for my $i (0 .. NUM_SECTIONS - 1)
	{
		my $offset = sections($bytes) + $i * SECTION_BYTES;
		return $offset if get($bytes, $offset, 'S') == $kind;
	}
	die "no section $kind";
}

# The pages of a section whose content stands on pages of its own.
sub section_pages
{
	my ($bytes, $kind) = @_;
	my $entry = section($bytes, $kind);
	my @pages = (get($bytes, $entry + 12, 'L'));

	push @pages, get($bytes, page($pages[-1]) + NEXT, 'L')
	  while @pages * (NEXT - PAYLOAD) < get($bytes, $entry + 16, 'Q');
	return @pages;
}

sub section_bytes
{
	my ($bytes, $kind) = @_;
	my $content = join '', map { substr($$bytes, page($_) + PAYLOAD, NEXT - PAYLOAD) } section_pages($bytes, $kind);
	return substr($content, 0, get($bytes, section($bytes, $kind) + 16, 'Q'));
}

# Changes the content of a section, and makes its checksum and the metapage's right.
sub put_in_section
{
	my ($bytes, $kind, $offset, $format, @values) = @_;
	my @pages = section_pages($bytes, $kind);

	put($bytes, page($pages[ $offset / (NEXT - PAYLOAD) ]) + PAYLOAD + $offset % (NEXT - PAYLOAD), $format, @values);
	put($bytes, section($bytes, $kind) + 24, 'L', crc(section_bytes($bytes, $kind)));
	seal($bytes);
	return;
}

# Makes the metapage's checksum right. The first image that is sealed must be of a trained index.
sub seal
{
	my ($bytes) = @_;
	my $end = sections($bytes) + NUM_SECTIONS * SECTION_BYTES;
	put($bytes, PAYLOAD + 8, 'L', 0);
	put($bytes, PAYLOAD + 8, 'L', crc(substr($$bytes, PAYLOAD, $end - PAYLOAD)));
	return;
}

sub slurp_binary
{
	my ($file) = @_;
	open my $in, '<:raw', $file or die "$file: $!";
	local $/;
	return scalar <$in>;
}

# In place: the server may have the file open.
sub write_binary
{
	my ($file, $bytes) = @_;
	open my $out, '+<:raw', $file or die "$file: $!";
	print $out $$bytes;
	truncate $out, length $$bytes or die "$file: $!";
	close $out or die "$file: $!";
	return;
}

1;

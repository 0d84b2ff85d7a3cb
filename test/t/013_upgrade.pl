# pg_upgrade keeps the indexes of an older server: their files stay as they are, give the same answers, and
# go on. oldinstall: prefix of that server (its programs in bin/), into which this extension is installed.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'oldinstall names no older server' unless $ENV{oldinstall};

my $old = new_node('old', install_path => $ENV{oldinstall});

$old->safe_psql('postgres', <<'SQL');
CREATE TABLE coded (id int, v vector(16));
INSERT INTO coded SELECT row_number() OVER (), x FROM clustered(5000, 16, 0.5, 700) x;
CREATE INDEX coded_v ON coded USING annivf (v) WITH (num_leaves = 600, soar_lambda = 1.5);
INSERT INTO coded SELECT 5000 + row_number() OVER (), x FROM clustered(500, 16, 0.6, 700) x;
INSERT INTO coded SELECT 6000 + i, CASE i % 2 WHEN 0 THEN anything(16, 1e20) END FROM generate_series(1, 50) i;

CREATE TABLE halves (id int, v halfvec(64));
INSERT INTO halves SELECT row_number() OVER (), x::halfvec FROM clustered(3000, 64) x;
CREATE INDEX halves_v ON halves USING annivf (v halfvec_cosine_ops);

CREATE TABLE long (id int, v vector(600));
INSERT INTO long SELECT row_number() OVER (), x FROM clustered(100, 600) x;
CREATE INDEX long_v ON long USING annivf (v vector_ip_ops) WITH (num_leaves = 4, dimensions_per_block = 1);

CREATE TABLE untrained (id int, v vector(3));
CREATE INDEX untrained_v ON untrained USING annivf (v);
INSERT INTO untrained SELECT row_number() OVER (), x FROM clustered(3000, 3) x;
SQL

my %ops = (coded => '<->', halves => '<=>', long => '<#>', untrained => '<->');

# Of each index: the rows that it gives by defaults, and its file.
sub answers
{
	my ($node) = @_;
	return join "\n", map { $node->safe_psql('postgres', <<"SQL") } sort keys %ops;
SET enable_seqscan = off; SET enable_sort = off;
SELECT '$_', q.id, array(SELECT id FROM $_ ORDER BY v $ops{$_} q.v LIMIT 20) FROM (SELECT id, v FROM $_ WHERE id % 50 = 1) q ORDER BY q.id;
SELECT pg_relation_filenode('${_}_v'), pg_relation_size('${_}_v');
SQL
}

my $before = answers($old);
my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
$old->stop;

# it leaves files where it runs
chdir $PostgreSQL::Test::Utils::tmp_check;
$new->command_ok(
	[
		'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir,
		'-b', $old->config_data('--bindir'), '-B', $new->config_data('--bindir'),
		'-s', $new->host, '-p', $old->port, '-P', $new->port
	],
	'pg_upgrade');
$new->append_conf('postgresql.conf', "autovacuum = off\njit = off\nmax_parallel_workers_per_gather = 0");
$new->start;
note($old->pg_version . ' to ' . $new->pg_version);
is(answers($new), $before, 'the same answers from the same files');
for my $table (sort keys %ops)
{
	is($new->safe_psql('postgres', "SELECT * FROM ann_check('${table}_v', true)"), '', "$table: sound");
	check_index($new, $table, $ops{$table}, "$table: upgraded", 100) if $table ne 'halves';
}
$new->safe_psql('postgres', "SELECT ann_train('untrained_v'); DELETE FROM coded WHERE id % 3 = 0; VACUUM (INDEX_CLEANUP on) coded, long, untrained;
	INSERT INTO coded SELECT 9000 + i, anything(16) FROM generate_series(1, 200) i; REINDEX INDEX halves_v");
check_index($new, $_, $ops{$_}, "$_: goes on", 100) for qw(coded long untrained);

$new->stop;
no_crash($new, 'upgrade');
done_testing();

# An index made on an empty table becomes good by itself: by VACUUM, by autovacuum, after a training that
# a crash cut short.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('train', conf => ['shared_buffers = 64MB', 'max_wal_size = 1GB', 'checkpoint_timeout = 1h']);

# ---- as good as an index that was built on the rows

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE loaded (id int, v vector(32));
CREATE INDEX loaded_v ON loaded USING annivf (v);
INSERT INTO loaded SELECT row_number() OVER (), x FROM clustered(30000, 32, 0.5, 300, 3) x;
VACUUM loaded;
CREATE TABLE built AS TABLE loaded;
CREATE INDEX built_v ON built USING annivf (v);
CREATE TABLE queries AS SELECT array_agg(v) AS v FROM clustered(30050, 32, 0.5, 300, 3) WITH ORDINALITY q(v, i) WHERE i > 30000;
SQL
is($node->safe_psql('postgres', "SELECT is_trained('loaded')"), 't', 'a vacuum trained the index');
my ($loaded, $built) = split /\|/, $node->safe_psql('postgres', "SELECT recall('loaded', '<->', v, 10), recall('built', '<->', v, 10) FROM queries");
note("recall\@10: $loaded of the index that grew, $built of the one that was built");
cmp_ok($loaded, '>=', $built - 0.01, 'its recall is within .01 of that of a build');
cmp_ok($loaded, '>=', 0.95, '... and high');
check_index($node, 'loaded', '<->', 'trained by vacuum', 300);
my $pages = $node->safe_psql('postgres', "SELECT pg_relation_size('loaded_v') / 8192");
cmp_ok($pages, '<=', 1.2 * $node->safe_psql('postgres', "SELECT pg_relation_size('built_v') / 8192"), '... nor is it much larger');

# rows that came after: coded as they come; recall keeps up
$node->safe_psql('postgres', <<'SQL');
INSERT INTO loaded SELECT 100000 + row_number() OVER (), x FROM clustered(3000, 32, 0.5, 300, 3) x;
DELETE FROM loaded WHERE hashint4(id) % 10 = 0;
VACUUM loaded;
SQL
cmp_ok($node->safe_psql('postgres', "SELECT recall('loaded', '<->', v, 10) FROM queries"), '>=', 0.95, 'recall after inserts, deletes and vacuum');

# ---- what k-means says of its passes: of none that it got worse (regrouped leaves may cost a thousandth)

my (undef, undef, $debug) = $node->psql('postgres', "SET client_min_messages = debug1; REINDEX INDEX built_v");
for my $of ('parents', 'leaves')
{
	my @energies = $debug =~ /ann: $of, pass \d+: mean squared distance (\S+)/g;
	my @worse = grep { $energies[$_] > 1.001 * $energies[$_ - 1] } 1 .. $#energies;

	cmp_ok(scalar @energies, '>=', 2, "passes over $of are shown: @energies");
	is("@worse", '', '... and none was worse than the one before');
}

# ---- autovacuum comes by itself

$node->append_conf('postgresql.conf', "autovacuum = on\nautovacuum_naptime = 1\nautovacuum_vacuum_cost_delay = 0");
$node->reload;
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE idle (id int, v vector(16)) WITH (autovacuum_vacuum_insert_threshold = 5000, autovacuum_vacuum_insert_scale_factor = 0);
CREATE INDEX idle_v ON idle USING annivf (v vector_cosine_ops);
INSERT INTO idle SELECT row_number() OVER (), x FROM clustered(12000, 16) x;
SQL
wait_for_rows($node, "SELECT is_trained('idle', '<=>')");
pass('autovacuum trained the index');
check_index($node, 'idle', '<=>', 'trained by autovacuum', 300);
$node->append_conf('postgresql.conf', 'autovacuum = off');
$node->reload;

# ---- killed while it trains

# The training begins to write when the index grows beyond its exact leaf; the later the kill, the more
# is written. A kill may come when all is done and the vacuum has begun again.
my $reusable = 0;
for my $round (1 .. rounds(5, 25))
{
	$node->safe_psql('postgres', <<'SQL');
DROP TABLE IF EXISTS cut;
CREATE TABLE cut (id int, v vector(64));
CREATE INDEX cut_v ON cut USING annivf (v);
INSERT INTO cut SELECT row_number() OVER (), x FROM clustered(11000, 64) x;
INSERT INTO cut SELECT 20000 + i, CASE WHEN i % 2 = 0 THEN anything(64, 1e20) END FROM generate_series(1, 300) i;
SQL
	my $grown = (0, 50, 10, 30, 1)[ $round % 5 ];
	my $size = $node->safe_psql('postgres', "SELECT pg_relation_size('cut_v') / 8192");
	my ($vacuum) = start_clients($node, vacuum => [ 1, 0, 'VACUUM cut;' ]);

	wait_for_rows($node, "SELECT EXISTS (SELECT FROM pg_stat_progress_vacuum WHERE relid = 'cut'::regclass) OR pg_relation_size('cut_v') / 8192 > $size") if $grown == 0;
	wait_for_rows($node, "SELECT pg_relation_size('cut_v') / 8192 >= $size + $grown OR is_trained('cut')") if $grown > 0;
	$node->stop('immediate');
	stop_clients("round $round", $vacuum);
	$node->start;

	my $trained = $node->safe_psql('postgres', "SELECT is_trained('cut')");
	note("killed at +$grown pages: trained $trained");
	check_index($node, 'cut', '<->', "round $round, after the crash", 200);
	# rows come and go between the crash and the next vacuum; dead ones make it pass over all pages, so that
	# those which a crash left before any record of them are found too
	$node->safe_psql('postgres', "INSERT INTO cut SELECT 30000 + row_number() OVER (), x FROM clustered(200, 64, 0.7) x");
	$node->safe_psql('postgres', 'DELETE FROM cut WHERE hashint4(id) % 50 = 0');
	my (undef, undef, $verbose) = $node->psql('postgres', 'VACUUM (VERBOSE, INDEX_CLEANUP on) cut');
	$reusable += $1 if $verbose =~ /"cut_v": pages: .* (\d+) reusable/;
	is($node->safe_psql('postgres', "SELECT is_trained('cut')"), 't', "round $round: a later vacuum trains");
	check_index($node, 'cut', '<->', "round $round, trained", 200);

	# what the training that was cut short has left is used again
	$node->safe_psql('postgres', 'CREATE TABLE whole AS TABLE cut; CREATE INDEX whole_v ON whole USING annivf (v)');
	cmp_ok($node->safe_psql('postgres', "SELECT pg_relation_size('cut_v') / pg_relation_size('whole_v')::float8"), '<=', 1.25, "round $round: the index is not much larger than a fresh one");
	$node->safe_psql('postgres', 'DROP TABLE whole');
}
cmp_ok($reusable, '>', 0, 'vacuum freed pages of trainings that were cut short');
$node->stop;
no_crash($node, 'train');
done_testing();

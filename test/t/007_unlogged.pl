# What is not logged: unlogged and temporary tables across a crash, builds under wal_level = minimal; and
# dump and restore, which keep an index's options.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('unlogged', conf => ['wal_level = minimal', 'max_wal_senders = 0', 'wal_skip_threshold = 0']);

# ---- unlogged: empty after a crash, and good for use at once

$node->safe_psql('postgres', <<'SQL');
CREATE UNLOGGED TABLE trained (id int, v vector(8));
INSERT INTO trained SELECT row_number() OVER (), x FROM clustered(2000, 8) x;
CREATE INDEX trained_v ON trained USING annivf (v) WITH (num_leaves = 20);
CREATE UNLOGGED TABLE grown (id int, v vector(8));
CREATE INDEX grown_v ON grown USING annivf (v vector_cosine_ops);
INSERT INTO grown SELECT row_number() OVER (), x FROM clustered(2000, 8) x;
SELECT ann_train('grown_v');
CREATE UNLOGGED TABLE untyped (id int, v vector);
CREATE INDEX untyped_v ON untyped USING annivf (v);
INSERT INTO untyped SELECT row_number() OVER (), x FROM clustered(100, 5) x;
CHECKPOINT;
INSERT INTO trained SELECT 3000 + row_number() OVER (), x FROM clustered(500, 8, 0.2) x;
SQL
check_index($node, 'trained', '<->', 'unlogged', 100);
check_index($node, 'grown', '<=>', 'unlogged, grown', 100);

# a clean restart keeps the rows
$node->restart;
is($node->safe_psql('postgres', 'SELECT count(*) FROM trained'), '2500', 'rows are there after a clean restart');
check_index($node, 'trained', '<->', 'unlogged, restarted', 100);
check_index($node, 'grown', '<=>', 'unlogged, grown, restarted', 100);

# one that no checkpoint has seen
$node->safe_psql('postgres', 'CREATE UNLOGGED TABLE late (id int, v vector(3)); CREATE INDEX ON late USING annivf (v); INSERT INTO late SELECT i, anything(3) FROM generate_series(1, 50) i');
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM trained), (SELECT count(*) FROM grown), (SELECT count(*) FROM untyped)'), '0|0|0', 'unlogged tables are empty after a crash');
check_index($node, $_, $_ eq 'grown' ? '<=>' : '<->', "unlogged, crashed, $_") for qw(trained grown untyped late);
$node->safe_psql('postgres', <<'SQL');
INSERT INTO trained SELECT row_number() OVER (), x FROM clustered(1500, 8) x;
INSERT INTO grown SELECT row_number() OVER (), x FROM clustered(10500, 8) x;
INSERT INTO untyped SELECT row_number() OVER (), x FROM clustered(100, 7) x;
INSERT INTO late VALUES (1, '[1,2,3]');
VACUUM trained, grown, untyped;
SQL
is($node->safe_psql('postgres', "SELECT is_trained('grown', '<=>'), is_trained('trained')"), 't|f', 'a vacuum trains what has grown again');
check_index($node, 'trained', '<->', 'unlogged, filled again', 100);
check_index($node, 'grown', '<=>', 'unlogged, grown, filled again', 100);
check_index($node, 'untyped', '<->', 'unlogged, of other dimensions now', 100);

# ---- builds that are not logged but written out at commit

$node->safe_psql('postgres', <<'SQL');
BEGIN;
CREATE TABLE minimal (id int, v vector(8));
INSERT INTO minimal SELECT row_number() OVER (), x FROM clustered(2000, 8) x;
CREATE INDEX minimal_v ON minimal USING annivf (v) WITH (num_leaves = 20);
INSERT INTO minimal SELECT 3000 + row_number() OVER (), x FROM clustered(500, 8, 0.3) x;
COMMIT;
BEGIN;
CREATE TABLE young (id int, v vector(8));
CREATE INDEX young_v ON young USING annivf (v vector_ip_ops);
INSERT INTO young SELECT row_number() OVER (), x FROM clustered(2000, 8) x;
SELECT ann_train('young_v');
INSERT INTO young SELECT 3000 + row_number() OVER (), x FROM clustered(500, 8, 0.3) x;
COMMIT;
CREATE INDEX minimal_cosine ON minimal USING annivf (v vector_cosine_ops);
BEGIN;
TRUNCATE trained;
INSERT INTO trained SELECT row_number() OVER (), x FROM clustered(100, 8) x;
COMMIT;
SQL
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM minimal), (SELECT count(*) FROM young)'), '2500|2500', 'committed rows are there after a crash');
check_index($node, 'minimal', '<->', 'wal_level = minimal', 200);
check_index($node, 'minimal', '<=>', 'wal_level = minimal, a second index', 200);
check_index($node, 'young', '<#>', 'wal_level = minimal, trained', 200);
$node->safe_psql('postgres', 'INSERT INTO minimal SELECT 5000 + row_number() OVER (), x FROM clustered(500, 8, 0.4) x; DELETE FROM minimal WHERE id % 3 = 0; VACUUM minimal');
check_index($node, 'minimal', '<->', 'goes on', 200);

# ---- temporary tables of a session that ends with the server; the files go

my $session = $node->background_psql('postgres');
$session->query_safe('CREATE TEMP TABLE temporary (id int, v vector(8)); CREATE INDEX ON temporary USING annivf (v) WITH (num_leaves = 5);
	INSERT INTO temporary SELECT row_number() OVER (), x FROM clustered(300, 8) x; CREATE INDEX ON temporary USING annivf (v) WITH (num_leaves = 5)');
my $other = ($node->psql('postgres', "SELECT ann_train(oid) FROM pg_class WHERE relname = 'temporary_v_idx'"))[2];
like($other, qr/ERROR:  cannot access temporary tables of other sessions/, 'an index of another session is not trained');
$node->stop('immediate');
eval { $session->quit };
$node->start;
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_database d, pg_ls_dir('base/' || d.oid) f WHERE datname = 'postgres' AND f LIKE 't%\\_%'"), '0', 'no temporary files are left after a crash');

# ---- dump and restore

$node->safe_psql('postgres', <<'SQL');
DROP TABLE trained, grown, untyped, young;
CREATE INDEX minimal_options ON minimal USING annivf (v vector_ip_ops)
	WITH (num_leaves = 33, num_leaves_to_search = 7, num_reordering_candidates = 40, dimensions_per_block = 2,
		training_sample_size = 900, training_iterations = 4, seed = 8);
CREATE MATERIALIZED VIEW seen AS SELECT id, v FROM minimal WHERE id % 2 = 0;
CREATE INDEX seen_v ON seen USING annivf (v) WITH (num_leaves = 4);
CREATE DATABASE restored;
ALTER DATABASE restored SET search_path = public, ann_test;
SQL
my $dump = "$PostgreSQL::Test::Utils::tmp_check/ann.dump";
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'dump');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), $dump ], 'restore');
my $definitions = 'SELECT indexdef FROM pg_indexes WHERE schemaname = \'public\' ORDER BY 1';
is($node->safe_psql('restored', $definitions), $node->safe_psql('postgres', $definitions), 'a restored index has the options of the old one');
my $faults = "SELECT * FROM index_faults('minimal', '<#>', 100) UNION ALL SELECT * FROM index_faults('minimal', '<->', 100) UNION ALL SELECT * FROM index_faults('seen', '<->', 100)";
is($node->safe_psql('restored', $faults), '', 'restored indexes and tables agree');
is($node->safe_psql('restored', 'REFRESH MATERIALIZED VIEW seen; ' . $faults), '', '... also when the view is refreshed');

# the extension goes with its indexes, and comes back
$node->safe_psql('restored', 'DROP EXTENSION ann CASCADE; CREATE EXTENSION ann; CREATE TABLE again (v vector(2)); CREATE INDEX ON again USING annivf (v)');

$node->stop;
no_crash($node, 'unlogged');
done_testing();

# Floors that the tests of other libraries hold (doc/peers.md): recall, and what codes lose, with as many leaves and
# bytes as there. Where a figure was measured there on data of numpy's, these are that data, made by the same
# generator, and 95 % of the figure must be met; else it is data of the same distribution by the server's random().
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('peers', conf => ['shared_buffers = 128MB', 'maintenance_work_mem = 64MB', 'max_wal_size = 1GB']);

sub query { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }

sub at_least
{
	my ($figure, $floor, $what) = @_;
	cmp_ok($figure, '>=', $floor, "$what: $figure");
	return;
}

query(<<'SQL');
CREATE FUNCTION gaussian(dim int) RETURNS float8[] LANGUAGE sql VOLATILE AS
	'SELECT array_agg(sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random())) FROM generate_series(1, dim)';
CREATE FUNCTION uniform(dim int) RETURNS vector LANGUAGE sql VOLATILE AS 'SELECT array_agg(random())::real[]::vector FROM generate_series(1, dim)';
CREATE FUNCTION plus(a float8[], f float8, b float8[]) RETURNS vector LANGUAGE sql IMMUTABLE AS
	'SELECT array_agg(x + f * y ORDER BY n)::real[]::vector FROM unnest(a, b) WITH ORDINALITY u(x, y, n)';
-- the nearest k of each query by an index; of those that table truth has, how many are found
CREATE FUNCTION hits(index regclass, rows regclass, k int, leaves int, candidates int, ranks int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	result bigint;
BEGIN
	SET LOCAL ann.iterative_scan = off;
	EXECUTE format('SELECT count(*) FROM queries q, ann_search(%L, q.q, %s, %s, %s) s JOIN %s r ON r.ctid = s.ctid, truth t
		WHERE t.query = q.id AND t.id = r.id AND t.rank <= %s', index, k, leaves, candidates, rows, ranks) INTO result;
	RETURN result;
END $$;
CREATE FUNCTION make_truth(rows regclass, op text, k int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS truth;
	SET LOCAL enable_indexscan = off;
	EXECUTE format('CREATE TABLE truth AS SELECT q.id AS query, s.id, s.rank FROM queries q, LATERAL (SELECT id, row_number() OVER (ORDER BY d) AS rank
		FROM (SELECT id, v %s q.q AS d FROM %s ORDER BY d LIMIT %s) r) s', $2, $1, $3);
END $$;
SQL

# ---- numpy's RandomState: MT19937 (Matsumoto and Nishimura 1998), numbers of 53 bits, Gaussian ones by Marsaglia's
# ---- polar method, the second of a pair first

{
	my (@state, $next, $spare);

	sub random_state
	{
		@state = (shift);
		push @state, (1812433253 * ($state[-1] ^ $state[-1] >> 30) + @state) & 0xffffffff while @state < 624;
		($next, $spare) = (624, undef);
		return;
	}

	sub bits
	{
		if ($next == 624)
		{
			for my $i (0 .. 623)
			{
				my $y = $state[$i] & 0x80000000 | $state[ ($i + 1) % 624 ] & 0x7fffffff;
				$state[$i] = $state[ ($i + 397) % 624 ] ^ $y >> 1 ^ ($y & 1) * 0x9908b0df;
			}
			$next = 0;
		}
		my $y = $state[ $next++ ];
		$y ^= $y >> 11;
		$y ^= $y << 7 & 0x9d2c5680;
		$y ^= $y << 15 & 0xefc60000;
		return $y ^ $y >> 18;
	}

	sub unit { my $high = bits() >> 5; return ($high * 67108864 + (bits() >> 6)) / 9007199254740992; }

	sub normal
	{
		my ($x, $y, $square) = (0, 0, 0);

		if (defined $spare)
		{
			$x = $spare;
			undef $spare;
			return $x;
		}
		do { $x = 2 * unit() - 1; $y = 2 * unit() - 1; $square = $x * $x + $y * $y; } while ($square >= 1 || $square == 0);
		my $factor = sqrt(-2 * log($square) / $square);
		$spare = $factor * $x;
		return $factor * $y;
	}
}

# RandomState(123).rand(3) and RandomState(1338).normal(size=3), as numpy's documentation and every numpy say
random_state(123);
is(join(' ', map { sprintf '%.8f', unit() } 1 .. 3), '0.69646919 0.28613933 0.22685145', 'the numbers are those of numpy');

# Puts lists of numbers into a table (id, v), numbered from 1.
sub store
{
	my ($table, @rows) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$table.data";
	my $id = 0;

	unlink $file;
	append_to_file($file, join('', map { ++$id . "\t[" . join(',', map { sprintf '%.9g', $_ } @$_) . "]\n" } @rows));
	query("DROP TABLE IF EXISTS $table; CREATE TABLE $table (id int, v vector(" . @{ $rows[0] } . ")); COPY $table FROM '$file'");
	return;
}

# Faiss, get_dataset_2 and SyntheticDataset: 10 Gaussian dimensions, mixed to so many others, stretched, and the sine
# of that; tables "trained", "base", "queries".
sub sines
{
	my ($dim, @sizes) = @_;
	my $num = 0;

	$num += $_ for @sizes;
	random_state(1338);
	my @x = map { [ map { normal() } 1 .. 10 ] } 1 .. $num;
	my @mixing = map { [ map { unit() } 1 .. $dim ] } 1 .. 10;
	my @scale = map { unit() * 4 + 0.1 } 1 .. $dim;
	my @rows = map { my $row = $_; [ map { my $d = $_; my $sum = 0; $sum += $row->[$_] * $mixing[$_][$d] for 0 .. 9; sin($sum * $scale[$d]) } 0 .. $dim - 1 ] } @x;

	store('trained', splice @rows, 0, $sizes[0]);
	store('base', splice @rows, 0, $sizes[1]);
	store('queries', @rows);
	query('ALTER TABLE queries RENAME v TO q');
	return;
}

# ---- Annoy, *_index_test.py: precision. 10,000 points, of which number j is the j-th nearest to the query. (The
# ---- taxicab and the cosine distance by a count of candidates: where the query lies, rows are a thousand times as
# ---- dense as elsewhere, which no pseudo-query of the build has seen. The bound by itself finds 1 of 10 and 88 of 100
# ---- (taxicab), 96 to 100 of 100 and 960 to 997 of 1000 (cosine, by the seed of the training).)

my $ones = 'array_fill(1::float8, ARRAY[10])';
my $spread = 'array_agg(x - m ORDER BY n) FROM unnest(g) WITH ORDINALITY u(x, n)';
my %radial = (
	'<->' => [ 'l2', "plus($ones, j / sqrt((SELECT sum(x * x) FROM unnest(g) x)), g)", -1 ],
	'<+>' => [ 'l1', "plus($ones, j / (SELECT sum(abs(x)) FROM unnest(g) x), g)", 2000 ],
	'<=>' => [ 'cosine', "plus($ones, tan(j * pi() / 21000) * sqrt(10) / sqrt((SELECT sum((x - m) ^ 2) FROM unnest(g) x)), (SELECT $spread))", 2000 ]);
for my $op (sort keys %radial)
{
	my ($class, $point, $candidates) = @{ $radial{$op} };

	query(<<"SQL");
SELECT setseed(0.5);
DROP TABLE IF EXISTS radial;
CREATE TABLE radial AS SELECT j AS id, $point AS v
	FROM (SELECT j, g, (SELECT avg(x) FROM unnest(g) x) AS m FROM (SELECT j, gaussian(10 + j * 0) AS g FROM generate_series(0, 9999) j) a) b;
ALTER TABLE radial ALTER v TYPE vector(10);
CREATE INDEX ON radial USING annivf (v vector_${class}_ops);
SQL
	for my $n (1, 10, 100, 1000)
	{
		my ($found, $sorted) = split /\|/, query(<<"SQL");
SET enable_seqscan = off;
SET ann.num_reordering_candidates = $candidates;
SELECT count(*) FILTER (WHERE id < $n), bool_and(d >= before) IS NOT false FROM (SELECT id, d, lag(d) OVER () AS before
	FROM (SELECT id, v $op ${ones}::vector AS d FROM radial ORDER BY v $op ${ones}::vector LIMIT $n) s) t;
SQL
		at_least($found, 0.98 * $n, "Annoy, precision, $class: rows of the first $n");
		is($sorted, 't', '... in order');
	}
}

# ---- Annoy, test_large_index: 5,000 pairs of twins. The two nearest of each are itself and its twin.

for my $case ([ '<->', 'l2', '1' ], [ '<=>', 'cosine', '1 + random() + pair * 0' ])
{
	my ($op, $class, $factor) = @$case;

	query(<<"SQL");
SELECT setseed(0.25);
DROP TABLE IF EXISTS twins;
CREATE TABLE twins AS SELECT 2 * pair + which AS id, plus((SELECT array_agg(x * f ORDER BY n) FROM unnest(g) WITH ORDINALITY u(x, n)), 0.01, gaussian(10 + pair * 0)) AS v
	FROM (SELECT pair, gaussian(10 + pair * 0) AS g FROM generate_series(1, 5000) pair) p, LATERAL (SELECT which, $factor AS f FROM generate_series(0, 1) which) w;
ALTER TABLE twins ALTER v TYPE vector(10);
CREATE INDEX twins_v ON twins USING annivf (v vector_${class}_ops);
SQL
	is(query("SET work_mem = '64MB'; SELECT count(*), count(*) FILTER (WHERE r.id / 2 <> t.id / 2)
			FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM twins) t
			JOIN ann_search_batch('twins_v', (SELECT array_agg(v ORDER BY id) FROM twins), 2) b ON b.query = t.n JOIN twins r ON r.ctid = b.ctid"),
		'20000|0', "Annoy, twins, $class: the nearest of each");
}

# ---- Annoy, dot_index_test.py: recall of 1,000 points; Hamming: 100,000 strings of 10 bits

query(<<'SQL');
SELECT setseed(0.75);
CREATE TABLE dots AS SELECT i AS id, gaussian(10 + i * 0)::real[]::vector(10) AS v FROM generate_series(1, 1000) i;
CREATE INDEX dots_v ON dots USING annivf (v vector_ip_ops) WITH (num_leaves = 30);
SQL
for my $case ([ 10, 0.65 ], [ 100, 0.95 ], [ 1000, 0.99 ])
{
	my ($k, $floor) = @$case;
	at_least(query("SELECT setseed(0.1); SELECT recall('dots', '<#>', (SELECT array_agg(gaussian(10 + i * 0)::real[]::vector) FROM generate_series(1, 50) i), $k)") =~ s/^\s*//r,
		$floor, "Annoy, dot: recall\@$k");
}
query(<<'SQL');
CREATE TABLE strings AS SELECT i AS id, (random() * 1023)::int::bit(10) AS v FROM generate_series(1, 100000) i;
CREATE INDEX strings_v ON strings USING annivf (v);
SQL
is(query(<<'SQL'), 't|t', 'Annoy, Hamming: distances within the length, the nearest at 0.42 at most');
SET enable_seqscan = off;
SELECT min(d) >= 0 AND max(d) <= 10, avg(least) <= 0.42 FROM (SELECT s.d, min(s.d) OVER (PARTITION BY q.i) AS least
	FROM (SELECT i, (i * 7919 % 1024)::bit(10) AS q FROM generate_series(1, 100) i) q,
	LATERAL (SELECT v <~> q.q AS d FROM strings ORDER BY v <~> q.q LIMIT 20) s) t;
SQL

# ---- Annoy, threading_test.py and reload: 10,000 queries of 8 sessions, and after a restart, give one answer

query(<<'SQL');
CREATE TABLE answers AS SELECT q.i, a.ids FROM (SELECT i, (SELECT v FROM twins WHERE id = 2 + i) AS v FROM generate_series(1, 100) i) q,
	answer('twins', '<=>', q.v, 10, true) a;
CREATE FUNCTION ask(n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF (answer('twins', '<=>', (SELECT v FROM twins WHERE id = 2 + n), 10, true)).ids <> (SELECT ids FROM answers WHERE i = n) THEN
		RAISE EXCEPTION 'another answer';
	END IF;
END $$;
SQL
finish_clients('Annoy, threads', start_clients($node, ask => [ 8, 1250, "\\set n random(1, 100)\nSET search_path = public, ann_test;\nSELECT ask(:n);\n" ]));
$node->restart;
query('SELECT ask(i) FROM generate_series(1, 100) i');
pass('Annoy, seed_test.py: the same answers after a restart');

# ---- Faiss, test_index_accuracy.py: 10,000 unit vectors of uniform numbers, 400 leaves, 20 of them searched

query(<<'SQL');
SELECT setseed(0.5);
CREATE TABLE uniform AS SELECT i AS id, l2_normalize(uniform(128 + i * 0))::vector(128) AS v FROM generate_series(1, 10000) i;
CREATE TABLE queries AS SELECT i AS id, l2_normalize(uniform(128 + i * 0)) AS q FROM generate_series(1, 300) i;
SELECT make_truth('uniform', '<->', 10);
CREATE INDEX uniform_flat ON uniform USING annivf (v) WITH (num_leaves = 400, quantizer = flat, soar_lambda = 0);
CREATE INDEX uniform_pq ON uniform USING annivf (v) WITH (num_leaves = 400, dimensions_per_block = 8, nbits = 8, soar_lambda = 0);
SQL
at_least(query("SELECT hits('uniform_flat', 'uniform', 1, 20, 0, 1) / 300.0"), 0.2, 'Faiss, Randu10k, IVFFlat: 1@1');
at_least(query("SELECT hits('uniform_pq', 'uniform', 10, 20, 0, 1) / 300.0"), 0.2, 'Faiss, Randu10k, IVFPQ, 16 x 8 bits: 1@10');
is(query("SELECT hits('uniform_flat', 'uniform', 10, 400, 0, 10)"), 3000, 'Faiss, Randu10k: all leaves are exact');
at_least(query("SELECT hits('uniform_pq', 'uniform', 1, 20, 4, 1) - hits('uniform_pq', 'uniform', 1, 20, 0, 1)"), 0, 'Faiss, Randu10k: found by reordering 4 candidates, and not without');
at_least(query("SELECT hits('uniform_pq', 'uniform', 1, 20, 100, 1) - hits('uniform_pq', 'uniform', 1, 20, 4, 1)"), 0, '... 100');

# ---- Faiss, TestPQFlavors, TestSQFlavors: 1,000 rows by a model that was trained on 2,000 others, 64 leaves of which
# ---- 4 are searched; of the 2,000 true neighbours of rank 1 to 10 of 200 queries

sines(32, 2000, 1000, 200);

# As many as are found with a kind of code.
sub coded
{
	my ($class, $options, $k, $leaves, $ranks) = @_;
	return query(<<"SQL");
DROP INDEX IF EXISTS base_v, trained_v;
CREATE INDEX trained_v ON trained USING annivf (v $class) WITH ($options);
CREATE INDEX base_v ON base USING annivf (v $class) WITH ($options, trained_from = 'trained_v');
SELECT hits('base_v', 'base', $k, $leaves, 0, $ranks);
SQL
}
# no rotation, as there; more iterations than the 25 there, as two layers of 16 codewords are trained for one of 256
my $faiss = 'rotation = off, training_iterations = 100, soar_lambda = 0';
my $pq = "num_leaves = 64, dimensions_per_block = 8, nbits = 8, $faiss";
query("SELECT make_truth('base', '<->', 10)");
at_least(coded('vector_l2_ops', $pq, 10, 4, 10), 0.95 * 800, 'Faiss, PQ of residuals, 4 x 8 bits, L2');
at_least(coded('vector_l2_ops', "$pq, residual_quantization = off", 10, 4, 10), 0.95 * 769, 'Faiss, PQ of rows, L2');
at_least(coded('vector_l2_ops', "num_leaves = 64, quantizer = sq8, $faiss", 10, 4, 10), 0.95 * 979, 'Faiss, SQ8, L2');
at_least(coded('vector_l2_ops', "num_leaves = 32, dimensions_per_block = 4, nbits = 8, $faiss", 10, 4, 1) / 200, 0.66, 'Faiss, 32 leaves, M = 8: the nearest among 10');
query("SELECT make_truth('base', '<#>', 10)");
at_least(coded('vector_ip_ops', $pq, 10, 4, 10), 0.95 * 831, 'Faiss, PQ of residuals, inner product');
at_least(coded('vector_ip_ops', "$pq, residual_quantization = off", 10, 4, 10), 0.95 * 829, 'Faiss, PQ of rows, inner product');
at_least(coded('vector_ip_ops', "num_leaves = 64, quantizer = sq8, $faiss", 10, 4, 10), 0.95 * 984, 'Faiss, SQ8, inner product');

# ---- Faiss, test_fast_scan.py: no leaves, 16 x 4 bits; test_ivfpq_indexing.cpp: uniform numbers

sines(32, 2000, 5000, 1000);
query("SELECT make_truth('base', '<->', 1)");
at_least(coded('vector_l2_ops', "num_leaves = 1, dimensions_per_block = 2, $faiss", 1, 1, 1) / 1000, 0.6, 'Faiss, fast scan of 16 x 4 bits: 1@1');
query(<<'SQL');
SELECT setseed(0.5);
DROP TABLE queries;
CREATE TABLE cube AS SELECT i AS id, uniform(64 + i * 0)::vector(64) AS v FROM generate_series(1, 1000) i;
CREATE INDEX cube_v ON cube USING annivf (v) WITH (num_leaves = 25, dimensions_per_block = 4, nbits = 8, soar_lambda = 0);
CREATE TABLE queries AS SELECT i AS id, uniform(64 + i * 0) AS q FROM generate_series(1, 200) i;
SELECT make_truth('cube', '<->', 1);
SQL
at_least(query("SELECT hits('cube_v', 'cube', 5, 5, 0, 1) / 200.0"), 0.4, 'Faiss, uniform, 25 leaves, M = 16: the nearest among 5');

# ---- pgvector, 003 to 005 and 042: 100,000 uniform rows of 3 dimensions, 100 leaves, 20 rows wanted; the same for
# ---- rows that came from several sessions

query(<<'SQL');
SELECT setseed(0.5);
CREATE TABLE uniform3 (id serial, v vector(3));
INSERT INTO uniform3 (v) SELECT uniform(3 + i * 0) FROM generate_series(1, 100000) i;
CREATE TABLE queries3 AS SELECT uniform(3 + i * 0) AS q FROM generate_series(1, 20) i;
SQL
my %metrics = (l2 => [ '<->', 1 ], ip => [ '<#>', 1 ], cosine => [ '<=>', 0.9925 ]);

sub uniform3
{
	my ($what, $metric) = @_;
	my ($op, $whole) = @{ $metrics{$metric} };

	for my $case ([ 1, 0.71 ], [ 10, 0.95 ], [ 100, $whole ])
	{
		my ($leaves, $floor) = @$case;
		# only all leaves are a promise, if all rows are reordered
		my $candidates = $leaves == 100 ? 100000 : -1;
		at_least(query("SET ann.iterative_scan = off; SET ann.num_leaves_to_search = $leaves; SET ann.num_reordering_candidates = $candidates; SELECT recall('uniform3', '$op', array_agg(q), 20) FROM queries3"),
			$floor, "pgvector, $what, $metric, $leaves of 100 leaves: recall");
	}
	# no more leaves than it takes
	at_least(query("SET ann.iterative_scan = relaxed_order; SET ann.num_leaves_to_search = 1; SELECT recall('uniform3', '$op', array_agg(q), 20) FROM queries3"),
		0.57, "pgvector, $what, $metric, iterative scan: recall");
	at_least(query("SET ann.num_leaves_to_search = 10; SELECT recall('uniform3', '$op', array_agg(q), 20) FROM queries3"),
		0.98, "pgvector, $what, $metric, iterative scan of 10 leaves: recall");
	return;
}
for my $metric (qw(cosine ip l2))
{
	query("DROP INDEX IF EXISTS uniform3_v; CREATE INDEX uniform3_v ON uniform3 USING annivf (v vector_${metric}_ops) WITH (num_leaves = 100, soar_lambda = 0)");
	uniform3('built', $metric);
}
query('TRUNCATE uniform3; INSERT INTO uniform3 (v) SELECT uniform(3 + i * 0) FROM generate_series(1, 20000) i; REINDEX INDEX uniform3_v');
finish_clients('pgvector, inserts', start_clients($node, insert => [ 5, 80, 'INSERT INTO uniform3 (v) SELECT uniform(3 + i * 0) FROM generate_series(1, 200) i;' ]));
is(query('SELECT count(*) FROM uniform3'), 100000, '... all of them');
uniform3('inserted', 'l2');

# ---- ScaNN, scann_ops_pybind_updates_test.py: a quarter deleted, a quarter updated, a quarter added: within 0.05 of an
# ---- index built anew; one by one as all at once; coarser numbers within 0.05; 1,000 rows, many, and 1,000 again

query(<<'SQL');
CREATE TABLE drifting AS SELECT row_number() OVER () AS id, x::vector(24) AS v FROM clustered(8000, 24, 0.5, 100, 2) x;
CREATE TABLE drifting_queries AS SELECT array_agg(x) AS q FROM clustered(60, 24, 0.5, 100, 2.1) x;
CREATE TABLE singly AS TABLE drifting;
CREATE INDEX drifting_v ON drifting USING annivf (v) WITH (num_leaves = 80, num_leaves_to_search = 8);
CREATE INDEX singly_v ON singly USING annivf (v) WITH (num_leaves = 80, num_leaves_to_search = 8);
CREATE TABLE changes AS SELECT row_number() OVER () AS id, x AS v FROM clustered(6000, 24, 0.4, 100, 2) x;
DELETE FROM drifting WHERE id % 4 = 0;
UPDATE drifting d SET v = c.v FROM changes c WHERE c.id = d.id AND d.id % 4 = 1;
INSERT INTO drifting SELECT 10000 + id, v FROM changes WHERE id % 3 = 0;
DELETE FROM singly WHERE id % 4 = 0;
DO $$
DECLARE
	change record;
BEGIN
	FOR change IN SELECT * FROM changes LOOP
		UPDATE singly SET v = change.v WHERE id = change.id AND id % 4 = 1;
		INSERT INTO singly SELECT 10000 + change.id, change.v WHERE change.id % 3 = 0;
	END LOOP;
END $$;
SQL
my $online = query("SELECT recall('drifting', '<->', q, 10) FROM drifting_queries");
my $one_by_one = query("SELECT recall('singly', '<->', q, 10) FROM drifting_queries");
query('REINDEX INDEX drifting_v');
my $rebuilt = query("SELECT recall('drifting', '<->', q, 10) FROM drifting_queries");
at_least($online, $rebuilt - 0.05, "ScaNN, updates: recall, anew $rebuilt");
at_least($one_by_one, $online - 0.01, 'ScaNN, updates one by one: recall');
query('DROP INDEX drifting_v; CREATE INDEX drifting_v ON drifting USING annivf (v) WITH (num_leaves = 80, num_leaves_to_search = 8, quantizer = sq8, num_reordering_candidates = 0)');
at_least(query("SELECT recall('drifting', '<->', q, 10) FROM drifting_queries"), $rebuilt - 0.05, 'ScaNN, 8 bits instead of floats, no reordering: recall');
at_least(query(<<'SQL'), $rebuilt - 0.05, 'ScaNN, half precision instead of floats: recall');
CREATE INDEX drifting_half ON drifting USING annivf ((v::halfvec(24)) halfvec_l2_ops) WITH (num_leaves = 80);
SET enable_indexscan = off;
CREATE TEMP TABLE truth AS SELECT w AS q, d.id FROM drifting_queries x, unnest(x.q) w, LATERAL (SELECT id FROM drifting ORDER BY v <-> w LIMIT 10) d;
SET enable_indexscan = on;
SELECT count(*) / 600.0 FROM truth t JOIN drifting d USING (id) JOIN LATERAL ann_search('drifting_half', t.q, 10, 8) s ON s.ctid = d.ctid;
SQL
query(<<'SQL');
CREATE TABLE phases (id serial, v vector(8));
CREATE INDEX phases_v ON phases USING annivf (v);
CREATE TABLE phases_source AS SELECT row_number() OVER () AS n, x AS v FROM clustered(41030, 8, 0.5, 300) x;
CREATE TABLE phases_queries AS SELECT array_agg(v) AS q FROM phases_source WHERE n > 41000;
INSERT INTO phases (v) SELECT v FROM phases_source WHERE n <= 1000;
SQL
sub phases { return query("SELECT recall('phases', '<->', q, 10) FROM phases_queries"); }
is(phases(), 1, 'ScaNN, 1,000 rows: brute force');
query('INSERT INTO phases (v) SELECT v FROM phases_source WHERE n BETWEEN 1001 AND 41000; VACUUM phases');
is(query("SELECT is_trained('phases')"), 't', '... 41,000: leaves');
at_least(phases(), 0.95, '... recall');
# back: an index of so many leaves says itself that it should be made anew
query('DELETE FROM phases WHERE id > 1000; VACUUM ANALYZE phases');
like(query("SELECT advice FROM ann_indexes WHERE index = 'phases_v'::regclass"), qr/REINDEX/, '... and 1,000 again: advice');
query('REINDEX INDEX phases_v');
at_least(phases(), 0.95, '... followed: recall');
check_index($node, 'phases', '<->', '... after that', 50);

check_sound($node, 'peers');
$node->stop;
no_crash($node, 'peers');
done_testing();

# Floors of recall at default settings, for each metric: after a build, after inserts, after deletes,
# vacuum and inserts; rows in order, whatever is wanted.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('recall', conf => ['shared_buffers = 128MB', 'maintenance_work_mem = 64MB', 'max_wal_size = 1GB']);
my %metrics = (l2 => '<->', ip => '<#>', cosine => '<=>');

# rows around 400 centres; their lengths differ by up to four times, which inner product minds
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE source AS
	SELECT i::int AS id, (SELECT array_agg(e * (0.5 + (hashint4(i::int) & 1023) / 700.0)) FROM unnest(x::real[]) e)::real[]::vector AS v
	FROM clustered(24400, 32, 0.5, 400, 2.5) WITH ORDINALITY c(x, i);
-- every fourth centre once
CREATE TABLE queries AS SELECT array_agg(v ORDER BY id) AS v FROM source WHERE id > 24000 AND id % 4 = 0;
SQL

sub recall
{
	my ($metric, $k) = @_;
	return $node->safe_psql('postgres', "SELECT recall('rows', '$metrics{$metric}', v, $k) FROM queries");
}

sub floors
{
	my ($what, $metric) = @_;

	# what the defaults are calibrated for is rank 10
	my %floor = (1 => 0.9, 10 => 0.95, 100 => 0.9);

	for my $k (sort keys %floor)
	{
		my $recall = recall($metric, $k);
		cmp_ok($recall, '>=', $floor{$k}, "$metric, $what: recall\@$k is $recall");
	}
	return;
}

for my $metric (sort keys %metrics)
{
	$node->safe_psql('postgres', <<"SQL");
DROP TABLE IF EXISTS rows;
CREATE TABLE rows AS SELECT * FROM source WHERE id <= 20000;
CREATE INDEX rows_v ON rows USING annivf (v vector_${metric}_ops);
SQL
	floors('built', $metric);

	$node->safe_psql('postgres', 'INSERT INTO rows SELECT * FROM source WHERE id BETWEEN 20001 AND 24000');
	floors('inserted', $metric);

	$node->safe_psql('postgres', <<'SQL');
DELETE FROM rows WHERE hashint4(id) % 3 = 0;
VACUUM rows;
INSERT INTO rows SELECT id, v FROM source WHERE hashint4(id) % 6 = 0 AND id <= 24000;
SQL
	floors('deleted, vacuumed, inserted', $metric);

	# of rows that pass a filter, too
	is($node->safe_psql('postgres', <<"SQL"), '10', "$metric: as many rows as a LIMIT asks for, under a filter");
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*) FROM (SELECT id FROM rows WHERE hashint4(id) % 500 = 1 ORDER BY v $metrics{$metric} (SELECT v[1] FROM queries) LIMIT 10) s;
SQL
	is($node->safe_psql('postgres', <<"SQL"), 't', "$metric: 2,000 rows in order");
SET enable_seqscan = off;
SET enable_sort = off;
SELECT bool_and(d >= before) FROM (SELECT d, lag(d) OVER () AS before
	FROM (SELECT v $metrics{$metric} (SELECT v[2] FROM queries) AS d FROM rows ORDER BY 1 LIMIT 2000) s) t WHERE before IS NOT NULL;
SQL
	check_index($node, 'rows', $metrics{$metric}, $metric, 100);
}

$node->stop;
no_crash($node, 'recall');
done_testing();

# The install scripts run as a superuser, in a schema where others may have put things before.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use AnnTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('install');
my @schemas = ('lair', '"A schema"', '"a.b"');

# ---- names that need quotes

for my $schema (@schemas)
{
	$node->safe_psql('postgres', 'CREATE DATABASE named');
	is( $node->safe_psql('named', "CREATE SCHEMA $schema; CREATE EXTENSION ann SCHEMA $schema; SET search_path = $schema;
		CREATE TABLE t (v vector(2)); INSERT INTO t VALUES ('[1,2]'), ('[3,4]'); CREATE INDEX t_v ON t USING annivf (v);
		SELECT advice FROM ann_indexes; SELECT count(*) FROM ann_check('t_v', true)"),
		"exact, as there are few rows: nothing to do\n0", "$schema: installed");
	my ($status, undef, $error) = $node->psql('named', "DROP EXTENSION ann CASCADE; CREATE TYPE $schema.halfvec AS (x int);
		CREATE EXTENSION ann SCHEMA $schema", on_error_stop => 1);
	like($error, qr/type "halfvec" already exists in schema/, "$schema: a type that exists is seen");
	$node->safe_psql('postgres', 'DROP DATABASE named');
}

# ---- traps: functions and operators that fit exactly the arguments for which the server's own need a cast

my $pgvector = $node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'});
my $traps = <<'SQL';
CREATE FUNCTION lair.trap() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'fell into a trap'; END $$;
DO $do$
DECLARE
	a text;
	b text;
	operator text;
	name text;
	types CONSTANT text[] = '{oid,name,text,varchar,bpchar,"\"char\"",int2,int4,int8,float4,float8,numeric,bool,regclass,regnamespace,text[],name[]}';
BEGIN
	FOREACH a IN ARRAY types LOOP
		FOREACH name IN ARRAY '{quote_ident,quote_literal,to_regtype,to_regoperator,format,ann_index_info,ann_index_health,pg_relation_size,pg_stat_get_numscans,has_table_privilege,pg_is_other_temp_schema}'::text[] LOOP
			CONTINUE WHEN (name, a) IN (('ann_index_info', 'regclass'), ('ann_index_health', 'regclass'));
			EXECUTE format('CREATE FUNCTION lair.%I(%s) RETURNS text LANGUAGE sql AS $$ SELECT lair.trap() $$', name, a);
		END LOOP;
		FOREACH b IN ARRAY types LOOP
			EXECUTE format('CREATE FUNCTION lair.trap(%s, %s) RETURNS bool LANGUAGE sql AS $$ SELECT lair.trap()::bool $$', a, b);
			FOREACH operator IN ARRAY '{=,<>,<,>,<=,>=,/,*,-,+,||,~,~~}'::text[] LOOP
				EXECUTE format('CREATE OPERATOR lair.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = lair.trap)', operator, a, b);
			END LOOP;
		END LOOP;
	END LOOP;
END $do$;
SQL
$node->safe_psql('postgres', 'CREATE ROLE trapper');
$node->safe_psql('postgres', 'CREATE DATABASE trapped');
for my $schema (qw(lair den))
{
	$node->safe_psql('trapped', "CREATE SCHEMA $schema AUTHORIZATION trapper; SET ROLE trapper; " . $traps =~ s/\blair\b/$schema/gr);
}
# (that they are traps: who is not careful falls into one)
my (undef, undef, $error) = $node->psql('trapped', q{SET search_path = lair; SELECT quote_ident(nspname) FROM pg_namespace});
like($error, qr/fell into a trap/, 'the traps work');
$node->safe_psql('trapped', "CREATE EXTENSION ann SCHEMA lair");
pass('ann is installed past them');
$node->safe_psql('trapped', 'CREATE EXTENSION vector; CREATE EXTENSION ann_pgvector SCHEMA den') if $pgvector;
pass('ann_pgvector is installed past them') if $pgvector;
$node->safe_psql('trapped', q{CREATE TABLE t (v lair.vector(2)); INSERT INTO t VALUES ('[1,2]'), ('[3,4]');
	CREATE INDEX t_v ON t USING annivf (v)});
is($node->safe_psql('trapped', 'SELECT indexname, advice FROM lair.ann_indexes'), 't_v|exact, as there are few rows: nothing to do', 'the view calls none');
is($node->safe_psql('trapped', q{SELECT count(*) FROM pg_depend d JOIN pg_depend e ON e.objid = d.objid AND e.classid = d.classid
	AND e.deptype = 'e' JOIN pg_extension x ON x.oid = e.refobjid AND extname LIKE 'ann%' JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass
	AND d.refobjid = p.oid WHERE p.proowner = 'trapper'::regrole}), '0', 'nothing of the extensions depends on one');

# ---- who may install

$node->safe_psql('postgres', 'CREATE ROLE owner LOGIN');
$node->safe_psql('postgres', 'CREATE DATABASE owned OWNER owner');
my ($status, undef, $refusal) = $node->psql('owned', 'CREATE EXTENSION ann', extra_params => ['-U', 'owner']);
is($status, 3, 'the owner of a database may not install ann');
like($refusal, qr/permission denied to create extension "ann"/, 'and is told so');

done_testing();

# AnnTest.pm: what the TAP tests share: a cluster, the helpers in SQL, checks of an index against its
# table, clients in the background.
package AnnTest;

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use FindBin;
use IPC::Run;
use POSIX ':sys_wait_h';
use Test::More;
use Time::HiRes 'usleep';

use Exporter 'import';
our @EXPORT = qw(new_node kill_node helpers check_index check_sound start_clients finish_clients
  stop_clients no_crash wait_for_rows timeout_seconds rounds seed);

# Only a hang is ever measured against this.
sub timeout_seconds
{
	return $PostgreSQL::Test::Utils::timeout_default;
}

# How often: $short times; under ANN_SOAK=x (make soak: 1) x times $long, but not less often.
sub rounds
{
	my ($short, $long) = @_;
	my $soak = int(($ENV{ANN_SOAK} // 0) * $long);
	return $soak > $short ? $soak : $short;
}

# What is random is the same in every run, but for ANN_SEED, which makes it another.
sub seed
{
	my ($seed) = @_;
	srand($seed + 1000 * ($ENV{ANN_SEED} // 0));
	return;
}

# A cluster with the extension in database postgres; settings are lines of its configuration. install_path:
# of another server than the one that is tested.
sub new_node
{
	my ($name, %params) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name,
		$params{install_path} ? (install_path => $params{install_path}) : ());

	my @extra = @{ $params{extra} // [] };
	push @extra, '--no-data-checksums' if $params{no_checksums} && $node->pg_version >= 18;
	$node->init(allows_streaming => $params{streaming} // 0, extra => \@extra);
	$node->append_conf('postgresql.conf', $_)
	  for ('autovacuum = off', "log_statement = none", "client_min_messages = warning",
		"log_min_messages = warning", "max_parallel_workers_per_gather = 0", "jit = off",
		@{ $params{conf} // [] });
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION ann');
	helpers($node);
	return $node;
}

# Children of children whose parent is gone are ours to wait for: nobody else may (process 1 of many
# containers does not), and a killed server would keep its number as a zombie.
eval { require 'sys/syscall.ph'; syscall(SYS_prctl(), 36, 1, 0, 0, 0); };    # PR_SET_CHILD_SUBREAPER

# The processes of a server, as far as the system shows them.
sub children
{
	my ($postmaster) = @_;
	my @pids;

	for my $file (glob '/proc/[0-9]*/stat')
	{
		open my $stat, '<', $file or next;    # it has ended
		push @pids, $1 if (<$stat> // '') =~ /^(\d+) \(.*\) \S $postmaster /;
	}
	return @pids;
}

# SIGKILL to a server and all of its processes, none of which gets to do anything more; they are gone when
# this returns. What they leave behind, files and shared memory, is for the next start.
sub kill_node
{
	my ($node) = @_;
	my ($postmaster) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');
	my @pids;

	kill 'STOP', $postmaster or die "no process $postmaster";
	@pids = children($postmaster);
	kill 'KILL', @pids;
	$node->kill9;
	for my $pid ($postmaster, @pids)
	{
		my $left = 100 * timeout_seconds();

		while (waitpid($pid, WNOHANG) <= 0 && kill(0, $pid))
		{
			die "process $pid does not end" if $left-- == 0;
			usleep(10_000);
		}
	}
}

# Functions in SQL, for tables with columns id and v.
sub helpers
{
	my ($node) = @_;
	$node->safe_psql('postgres', slurp_file("$FindBin::RealBin/../helpers.sql"));
	$node->safe_psql('postgres', 'ALTER DATABASE postgres SET search_path = public, ann_test');
	return;
}

# One test: the index of a table (id, v) and the table say the same.
sub check_index
{
	my ($node, $table, $op, $what, $own) = @_;
	my $faults = $node->safe_psql('postgres',
		"SELECT * FROM index_faults('$table', '$op', " . ($own // 1000) . ")");

	is($faults, '', "$what: index and table agree");
	return;
}

# One test: ann_check finds nothing wrong with any index, nor leaked pages.
sub check_sound
{
	my ($node, $what) = @_;

	is($node->safe_psql('postgres', 'SELECT * FROM unsound()'), '', "$what: all indexes are sound");
	return;
}

# How servers word it: resources are "leak: ..." up to 16, "not closed" from 17 on.
my $crash = qr/PANIC:|TRAP:|was terminated by signal|invalid memory/;
my $leak = qr/leak:|leaked|resource was not closed|not closed at end-of|seem to remain|snapshot \S+ still active/;

# One test: the server's log tells of no crash since an offset (0: ever).
sub no_crash
{
	my ($node, $what, $offset) = @_;
	my $log = slurp_file($node->logfile, $offset // 0);
	my @bad = grep { /$crash|$leak/ } split /\n/, $log;

	is(join("\n", @bad), '', "$what: no crash, nothing leaked");
	return;
}

# Clients in the background: each a pgbench with so many connections, each of which runs the script so
# many times; 0: until it is stopped. scripts: name => [connections, times, SQL, options of pgbench].
sub start_clients
{
	my ($node, %scripts) = @_;
	my @clients;

	for my $name (sort keys %scripts)
	{
		my ($connections, $times, $sql, @options) = @{ $scripts{$name} };
		my $file = "$PostgreSQL::Test::Utils::tmp_check/" . $node->name . "_$name.sql";
		my %client = (name => $name, out => '', err => '');

		unlink $file;
		append_to_file($file, $sql);
		$client{run} = IPC::Run::start(
			[
				$node->installed_command('pgbench'), '-n', '-c', $connections,
				($times > 0 ? ('-t', $times) : ('-T', 36000)),
				@options, '-f', $file, '-h', $node->host, '-p', $node->port, 'postgres'
			],
			'<', \undef, '>', \$client{out}, '2>', \$client{err});
		push @clients, \%client;
	}
	return @clients;
}

# Waits for clients that run a number of times; one test each: no error, and no hang.
sub finish_clients
{
	my ($what, @clients) = @_;

	for my $client (@clients)
	{
		my $fine = eval {
			local $SIG{ALRM} = sub { die "hangs\n" };
			alarm(timeout_seconds() * rounds(2, 60));
			$client->{run}->finish;
		};
		my $died = $@;

		alarm(0);
		$client->{run}->kill_kill if $died ne '';
		is(join("\n", grep { /error:|FATAL|ERROR|PANIC/ } split /\n/, $client->{err})
			  . ($fine ? '' : $died ne '' ? " $died" : ' failed'),
			'', "$what: client $client->{name} met no error");
	}
	return;
}

# Ends clients, whatever they are doing; or finds that they ended, as their server did. One test: no
# statement of theirs failed before that.
sub stop_clients
{
	my ($what, @clients) = @_;
	my @errors;

	for my $client (@clients)
	{
		$client->{run}->signal('TERM') if $client->{run}->pumpable;
		eval { $client->{run}->finish };
		push @errors, map { "$client->{name}: $_" } grep { /ERROR: / } split /\n/, $client->{err};
	}
	is(join("\n", @errors), '', "$what: no statement failed");
	return;
}

# Waits until a query says true; dies where the server hangs.
sub wait_for_rows
{
	my ($node, $query) = @_;
	$node->poll_query_until('postgres', $query) or die "timed out: $query";
	return;
}

1;

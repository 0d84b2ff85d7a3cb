# lib.sh: what demo, test and bench share; sourced, never run.
#
#   ann_begin                     a scratch directory, removed at the end together with every server
#   ann_need command:package...   installs what is missing, or says plainly what is
#   ann_need_postgres             a PostgreSQL with its headers: $PG_CONFIG, else the newest one here
#   ann_shadow                    a private copy of that installation, to install the extension into
#   ann_copy_tree                 a copy of the repository, to build in
#   ann_build                     the extension, in that copy, installed into the private installation
#   ann_cluster [setting...]      a throw-away server on a socket in the scratch directory
#
# Nothing outside the scratch directory is written but the packages that had to be installed: no
# existing cluster is touched, no system directory of PostgreSQL is written, the working tree stays as
# it is. Under root the servers and the build run as an unprivileged user, as PostgreSQL demands.

ANN_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if [ -t 1 ]; then
	ANN_BOLD=$'\e[1m' ANN_DIM=$'\e[2m' ANN_RED=$'\e[31m' ANN_PLAIN=$'\e[0m'
else
	ANN_BOLD='' ANN_DIM='' ANN_RED='' ANN_PLAIN=''
fi

say() { printf '%s==>%s %s\n' "$ANN_BOLD" "$ANN_PLAIN" "$*"; }
note() { printf '%s    %s%s\n' "$ANN_DIM" "$*" "$ANN_PLAIN"; }
die() {
	printf '%serror:%s %s\n' "$ANN_RED" "$ANN_PLAIN" "$*" >&2
	exit 1
}

# ---- The scratch directory and its end

ann_begin() {
	export LC_ALL=C.UTF-8
	unset MAKEFLAGS MAKELEVEL
	umask 022
	trap ann_end EXIT
	trap 'exit 130' INT TERM HUP
	ANN_SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/ann.XXXXXX")
	# A socket's path may have 107 characters.
	[ ${#ANN_SCRATCH} -lt 80 ] || die "TMPDIR is too long for a server's socket: $ANN_SCRATCH"
	chmod 755 "$ANN_SCRATCH"
	export TMPDIR=$ANN_SCRATCH
	ANN_RUN_AS=()
}

ann_end() {
	local status=$?
	trap - EXIT
	trap '' INT TERM HUP
	if [ -n "${ANN_SCRATCH:-}" ]; then
		cd /
		ann_stop_all
		[ -n "${ANN_KEEP:-}" ] && note "kept: $ANN_SCRATCH" || rm -rf "$ANN_SCRATCH"
	fi
	exit $status
}

# as_user COMMAND...: runs it as the user that servers and the build run as.
as_user() { "${ANN_RUN_AS[@]}" "$@"; }

# Under root: picks the unprivileged user and gives it the scratch directory.
ann_drop_root() {
	[ "$(id -u)" -eq 0 ] || return 0
	local user=nobody
	id postgres >/dev/null 2>&1 && user=postgres
	ANN_RUN_AS=(runuser -u "$user" -- env "HOME=$ANN_SCRATCH" "LC_ALL=C.UTF-8")
	chown "$user:" "$ANN_SCRATCH"
}

# ---- Packages

# ann_root COMMAND...: runs it as root, or fails.
ann_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

ann_can_install() {
	command -v apt-get >/dev/null || return 1
	[ "$(id -u)" -eq 0 ] && return 0
	command -v sudo >/dev/null || return 1
	sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }
}

# ann_install PACKAGE...: installs them without what they merely recommend.
ann_install() {
	ann_can_install || die "missing: $*
Install it (Debian and Ubuntu: apt-get install $*) and run this again."
	say "Installing $*"
	local log=$ANN_SCRATCH/apt.log apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y)
	if [ -z "${ANN_APT_UPDATED:-}" ]; then
		ann_root "${apt[@]}" update >"$log" 2>&1 </dev/null || note "apt-get update failed: $(tail -n 1 "$log")"
		ANN_APT_UPDATED=1
	fi
	ann_root "${apt[@]}" install --no-install-recommends "$@" >"$log" 2>&1 </dev/null || {
		tail -n 20 "$log" >&2
		die "apt-get could not install: $*"
	}
}

# ann_need WHAT:PACKAGE...: WHAT is a command, an absolute path, or /usr/bin/python3 and a module.
ann_need() {
	local pair command missing=()
	for pair in "$@"; do
		command=${pair%:*}
		case $command in
		/*\ *) ${command% *} -c "import ${command##* }" 2>/dev/null || missing+=("${pair##*:}") ;;
		/*) [ -e "$command" ] || missing+=("${pair##*:}") ;;
		*) command -v "$command" >/dev/null || missing+=("${pair##*:}") ;;
		esac
	done
	[ ${#missing[@]} -eq 0 ] || ann_install "${missing[@]}"
}

# ---- PostgreSQL

# Whether a pg_config belongs to a whole installation: server, PGXS and headers.
ann_complete() {
	[ -x "$1" ] && [ -x "$("$1" --bindir)/postgres" ] && [ -f "$("$1" --pgxs)" ] &&
		[ -f "$("$1" --includedir-server)/postgres.h" ]
}

# Prints the pg_config of the newest whole installation.
ann_find_postgres() {
	local candidate
	while read -r candidate; do
		ann_complete "$candidate" && echo "$candidate" && return 0
	done < <(
		ls -d /usr/lib/postgresql/*/bin/pg_config /usr/pgsql-*/bin/pg_config 2>/dev/null | sort -rV
		command -v pg_config
	)
	return 1
}

# Installs the distribution's PostgreSQL, or the headers of the server that is here already.
ann_install_postgres() {
	local server major conf=/etc/postgresql-common/createcluster.conf
	server=$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sort -rV | head -n 1)
	if [ -n "$server" ]; then
		major=${server#/usr/lib/postgresql/}
		ann_install "postgresql-server-dev-${major%%/*}"
		return
	fi
	# The package would create and start a cluster "main": not for us, who were asked for none.
	if [ ! -e $conf ]; then
		ann_install postgresql-common
		ann_root cp -p $conf $conf.ann-saved
		ann_root sh -c "echo 'create_main_cluster = false' >>$conf"
	fi
	major=$(apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p')
	[ -n "$major" ] || die "the distribution has no PostgreSQL: install one, or set PG_CONFIG"
	local status=0
	(ann_install "postgresql-$major" "postgresql-server-dev-$major") || status=$?
	[ ! -e $conf.ann-saved ] || ann_root mv $conf.ann-saved $conf
	return $status
}

# Sets PG_CONFIG. ANN_BINDIR is where its programs are.
ann_need_postgres() {
	if [ -n "${PG_CONFIG:-}" ]; then
		PG_CONFIG=$(command -v "$PG_CONFIG") || die "PG_CONFIG names no program"
		ann_complete "$PG_CONFIG" || die "$PG_CONFIG: server, PGXS or headers are missing"
	elif ! PG_CONFIG=$(ann_find_postgres); then
		ann_install_postgres || exit
		PG_CONFIG=$(ann_find_postgres) || die "no PostgreSQL with its server headers was found"
	fi
	export PG_CONFIG
	local version
	version=$("$PG_CONFIG" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
	[ "$version" -ge 15 ] || die "ann needs PostgreSQL 15 or newer; this is $("$PG_CONFIG" --version)"
	ANN_BINDIR=$("$PG_CONFIG" --bindir)
}

# PostgreSQL finds its directories relative to its programs. So copied programs beside linked
# directories are an installation of their own, into which anybody may install an extension: the same
# way for root and for everybody, for every version and layout, and the system stays clean.
ann_shadow() {
	local kind dir shadow=$ANN_SCRATCH/pg real=$PG_CONFIG
	unset PGHOST PGPORT PGUSER PGDATABASE PGOPTIONS PGSERVICE PGPASSWORD
	ann_drop_root
	for kind in --bindir --pkglibdir --sharedir --includedir --includedir-server; do
		dir=$("$real" $kind)
		mkdir -p "$shadow$dir"
		case $kind in
		--bindir) cp -rL "$dir/." "$shadow$dir/" ;;
		*) cp -rsf "$dir/." "$shadow$dir/" ;;
		esac
	done
	rm -f "$shadow$("$real" --pkglibdir)"/ann.so "$shadow$("$real" --sharedir)"/extension/ann[.-]*
	[ "$(id -u)" -ne 0 ] || chown -hR "$(stat -c %U "$ANN_SCRATCH"):" "$shadow"
	PG_CONFIG=$shadow$("$real" --bindir)/pg_config
	[ "$("$PG_CONFIG" --pkglibdir)" = "$shadow$("$real" --pkglibdir)" ] ||
		die "the installation of $real cannot be copied: its directories share no prefix"
	ANN_BINDIR=$("$PG_CONFIG" --bindir)
	PATH=$ANN_BINDIR:$PATH
}

# Copies the repository without what builds leave behind, and goes there.
ann_copy_tree() {
	local tree=$ANN_SCRATCH/tree
	mkdir -p "$tree"
	tar -C "$ANN_ROOT" --exclude=./.git --exclude=./build --exclude=./bench-results \
		--exclude=./tmp_check --exclude='*.o' --exclude='*.bc' --exclude='*.d' --exclude='*.so' \
		-cf - . | tar -C "$tree" -xf -
	[ "$(id -u)" -ne 0 ] || chown -R "$(stat -c %U "$ANN_SCRATCH"):" "$tree"
	cd "$tree"
}

# ann_build: builds the copied tree without bitcode and installs it into the shadow.
ann_build() {
	local make=(as_user make -s "PG_CONFIG=$PG_CONFIG" with_llvm=no) log=$ANN_SCRATCH/build.log
	say "Building ann for $("$PG_CONFIG" --version)"
	{ "${make[@]}" -j"$(nproc)" all && "${make[@]}" install; } >"$log" 2>&1 || {
		tail -n 30 "$log" >&2
		die "the build failed"
	}
}

# ---- The throw-away server

# ann_cluster SETTING...: starts it. Its socket needs no free port: it lies in the scratch directory.
ann_cluster() {
	ANN_DATA=$ANN_SCRATCH/data
	export PGHOST=$ANN_SCRATCH PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
	as_user "$ANN_BINDIR/initdb" -D "$ANN_DATA" -U postgres -A trust -E UTF8 --locale=C.UTF-8 -N \
		>"$ANN_SCRATCH/initdb.log" 2>&1 || { cat "$ANN_SCRATCH/initdb.log" >&2; die "initdb failed"; }
	printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$ANN_SCRATCH'" "port = $PGPORT" \
		"fsync = off" "$@" | as_user tee -a "$ANN_DATA/postgresql.conf" >/dev/null
	ann_start
}

# ann_start [SETTING...]: starts the cluster (again), with settings for this run only.
ann_start() {
	local setting options=''
	for setting in "$@"; do
		options+=" -c $setting"
	done
	as_user "$ANN_BINDIR/pg_ctl" -D "$ANN_DATA" -l "$ANN_SCRATCH/server.log" -w -t 60 -o "$options" \
		start >"$ANN_SCRATCH/pg_ctl.log" 2>&1 || {
		tail -n 20 "$ANN_SCRATCH/server.log" >&2
		die "the server did not start"
	}
}

# Stops every server whose data lies in the scratch directory, those of interrupted tests too.
ann_stop_all() {
	local pid_file pid
	while read -r pid_file; do
		pid=$(head -n 1 "$pid_file")
		as_user "$ANN_BINDIR/pg_ctl" -D "$(dirname "$pid_file")" -w -m immediate stop >/dev/null 2>&1 ||
			as_user kill -QUIT "$pid" 2>/dev/null || true
	done < <(find "$ANN_SCRATCH" -name postmaster.pid -not -empty 2>/dev/null)
}

ann_stop() {
	[ -n "${ANN_DATA:-}" ] && [ -f "$ANN_DATA/postmaster.pid" ] || return 0
	as_user "$ANN_BINDIR/pg_ctl" -D "$ANN_DATA" -w -m immediate stop >/dev/null 2>&1 || true
}

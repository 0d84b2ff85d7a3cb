# ann: the extension is built by PGXS, the developer targets below need no server.
#
#   make && make install            with the pg_config in PATH, or PG_CONFIG=/path/to/pg_config
#   make FAULTS=1                   a library for tests, which can be made to fail
#   make ASAN=1 with_llvm=no        one under ASan and UBSan, for a server that has preloaded libasan
#   make VALGRIND=1 with_llvm=no    one that tells valgrind what goes into WAL
#   make installcheck               regress, isolation and TAP against a running server
#   make soak                       long versions of the tests that are random
#   make check                      everything fast that needs no server
#   make with_llvm=no               without bitcode;   make WERROR=   warnings stay warnings

MODULE_big = ann
EXTENSION = ann ann_pgvector
DATA = ann--0.1.0.sql ann_pgvector--0.1.0.sql
PGFILEDESC = "ann - approximate nearest neighbours"

SOURCES := $(sort $(wildcard src/*.c src/*/*.c))
HEADER_FILES := $(sort $(wildcard src/*.h src/*/*.h))
# FAULTS=1: with the points of src/faultpoint.h, of which a release holds none.
FAULTS ?=
comma := ,
ALLOCATORS := palloc palloc0 palloc_extended repalloc_huge MemoryContextAlloc MemoryContextAllocZero \
	MemoryContextAllocHuge MemoryContextAllocExtended
OBJS := $(patsubst %.c,%.o,$(filter-out $(if $(FAULTS),,src/faultpoint.c),$(SOURCES)))
# ASAN=1: the first thing that a sanitizer finds ends the server process, as a crash.
ASAN ?=
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
# VALGRIND=1: with the checks of src/memcheck.h.
VALGRIND ?=

REGRESS := $(sort $(notdir $(basename $(wildcard sql/*.sql))))
REGRESS_OPTS = --load-extension=ann
ISOLATION := $(sort $(notdir $(basename $(wildcard test/isolation/specs/*.spec))))
ISOLATION_OPTS = --inputdir=test/isolation --load-extension=ann
PROVE_TESTS := $(sort $(wildcard test/t/*.pl))
TAP_TESTS := $(if $(PROVE_TESTS),1)

WERROR ?= -Werror
WARNINGS := -Wall -Wextra -Wmissing-prototypes -Wpointer-arith -Wdeclaration-after-statement -Wvla

# -isystem: the server's headers are not ours to warn about. The signatures of the server's callbacks
# are not ours either, hence -Wno-unused-parameter, in the glue only (the core goes without it).
# The library is hidden but for what src/compat.h exports.
PG_CPPFLAGS = -Isrc -isystem $(includedir_server) $(if $(FAULTS),-DANN_FAULTS) \
	$(if $(VALGRIND),-DANN_VALGRIND)
PG_CFLAGS = -std=gnu11 $(WARNINGS) -Wno-unused-parameter $(WERROR) -fvisibility=hidden -MMD -MP \
	$(if $(ASAN),$(SANITIZE)) \
	$(if $(findstring clang,$(shell $(CC) --version)),$(CLANG_CFLAGS))
# The server's flags are those of the compiler that built it; clang need not know all of gcc's.
# (-Wno-ignored-attributes, as PGXS itself does for bitcode: the server's printf attribute is gcc's.)
CLANG_CFLAGS = -Wno-unknown-warning-option -Wno-ignored-optimization-argument -Wno-ignored-attributes
SHLIB_LINK = -lm $(if $(ASAN),$(SANITIZE)) $(if $(FAULTS),$(ALLOCATORS:%=-Wl$(comma)--wrap=%))

EXTRA_CLEAN = build $(OBJS:.o=.d)

# Targets that need no PGXS; with these alone, no pg_config is asked for.
DEV_TARGETS := unit unit-san unit-neon fuzz-quick fuzz-% layers headers check format format-check \
	check-size check-bench check-symbols check-release lint soak bench bench-kernels \
	bench-distances
ifneq (,$(filter-out $(DEV_TARGETS) build/%,$(or $(MAKECMDGOALS),all)))
PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# PGXS tracks no headers where the server was configured with --disable-dependency-tracking (Debian).
# Bitcode is compiled without CFLAGS, so it is tied to the object, which knows its headers.
-include $(OBJS:.o=.d)
$(OBJS:.o=.bc): %.bc: %.o

# With fault points, each basic block counts as a step, but for those of the counter itself.
ifneq (,$(FAULTS))
$(filter-out src/faultpoint.o,$(OBJS)): CFLAGS += -fsanitize-coverage=trace-pc
endif

# Objects of the one kind are not those of the other: its mark is made anew when the kind changes. (always:
# a file that does not exist, or .SECONDARY would do without the mark.)
KIND := build/kind-$(or $(if $(FAULTS),faults)$(if $(ASAN),asan)$(if $(VALGRIND),valgrind),release)
$(OBJS): $(KIND)
$(KIND): always
	@[ -e $@ ] || { mkdir -p build && rm -f build/kind-* && touch $@; }
.PHONY: always
endif

# ---- The core alone: compiled without any include path of PostgreSQL, as its proof of being pure C.
CORE := $(sort $(wildcard src/core/*.c))
UNIT_TESTS := $(sort $(wildcard test/unit/test_*.c))
UNIT_CFLAGS := -std=gnu11 -g -Isrc -Itest/unit $(WARNINGS) $(WERROR)
UNIT_CC ?= $(if $(filter default,$(origin CC)),gcc,$(CC))
NEON_CC ?= aarch64-linux-gnu-gcc
NEON_RUN ?= qemu-aarch64
FUZZ_CC ?= clang
PROVE ?= prove
FUZZ_SECONDS ?= 10
# The sanitizers of older compilers fail at random under the wider address randomisation of new kernels.
SANITIZED_RUN := $(shell setarch $$(uname -m) -R true 2>/dev/null && echo setarch $$(uname -m) -R)

# unit_flavour(name, compiler, flags, program that runs the tests)
define unit_flavour
$(1)_OBJS := $(CORE:%.c=build/$(1)/%.o)
$(1)_PROGRAMS := $(UNIT_TESTS:%.c=build/$(1)/%)

build/$(1)/%.o: %.c
	@mkdir -p $$(@D)
	$(2) $(UNIT_CFLAGS) $(3) -MMD -MP -c -o $$@ $$<

$$($(1)_PROGRAMS): build/$(1)/%: build/$(1)/%.o $$($(1)_OBJS)
	$(2) $(UNIT_CFLAGS) $(3) -o $$@ $$^ -lm

.PHONY: $(1)
$(1): $$($(1)_PROGRAMS)
	$$(if $$($(1)_PROGRAMS),,$$(error no tests in test/unit))
	$(PROVE) $$(PROVE_FLAGS) --exec '$(4)' $$($(1)_PROGRAMS)

-include $$($(1)_OBJS:.o=.d) $$($(1)_PROGRAMS:=.d)
endef

$(eval $(call unit_flavour,unit,$(UNIT_CC),-O2,))
$(eval $(call unit_flavour,unit-san,$(UNIT_CC),-O1 $(SANITIZE),$(SANITIZED_RUN)))
$(eval $(call unit_flavour,unit-neon,$(NEON_CC),-O2 -static,$(NEON_RUN)))
.SECONDARY:

unit: check-symbols

# The objects of the core may need nothing of the outside but what the tool's list names.
check-symbols: $(unit_OBJS)
	tools/check_symbols $(unit_OBJS)

# ---- Fuzzing: test/fuzz/fuzz_<name>.c; seeds in test/fuzz/seeds/<name>/, words in <name>.dict.
FUZZERS := $(sort $(patsubst test/fuzz/fuzz_%.c,%,$(wildcard test/fuzz/fuzz_*.c)))
FUZZ_FLAGS := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -O1

build/fuzz/fuzz_%: test/fuzz/fuzz_%.c $(CORE) $(filter src/core/%,$(HEADER_FILES))
	@mkdir -p $(@D)
	$(FUZZ_CC) $(UNIT_CFLAGS) -Wno-missing-prototypes $(FUZZ_FLAGS) -o $@ $(filter %.c,$^) -lm

fuzz-%: build/fuzz/fuzz_%
	@mkdir -p build/fuzz/corpus/$*
	$(SANITIZED_RUN) $< -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0 -artifact_prefix=build/fuzz/ \
		$(addprefix -dict=,$(wildcard test/fuzz/$*.dict)) build/fuzz/corpus/$* \
		$(wildcard test/fuzz/seeds/$*)

fuzz-quick: $(addprefix fuzz-,$(FUZZERS))

# ---- Rules of the house
layers:
	tools/check_layers

headers:
	tools/check_headers $(HEADER_FILES)

check-size:
	tools/check_size

format:
	tools/check_format --write

format-check:
	tools/check_format

# What clang-tidy finds (.clang-tidy; two minutes), which believes what is asserted; and cppcheck, reading no
# headers but ours. (Strides are of bytes and workspaces serve more than one type: casts are meant.)
TIDY_FLAGS = -std=gnu11 -D_GNU_SOURCE -DUSE_ASSERT_CHECKING -Isrc \
	-isystem $(shell $${PG_CONFIG:-pg_config} --includedir-server)
lint:
	printf '%s\n' $(filter-out src/faultpoint.c,$(SOURCES)) | \
		xargs -n 8 -P $$(nproc) sh -c 'clang-tidy --quiet "$$@" -- $(TIDY_FLAGS)' tidy
	clang-tidy --quiet src/faultpoint.c -- $(TIDY_FLAGS) -DANN_FAULTS
	cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability --std=c11 \
		--suppress=missingInclude --suppress=missingIncludeSystem --suppress=invalidPointerCast -Isrc src

# The library that was just built holds no fault points.
check-release:
	tools/check_release ann.so

# The arithmetic of tools/bench.
check-bench:
	PYTHONPATH=tools python3 -B -m unittest benchmark.test_report

# Long versions of the tests that are random, those under sanitizers and valgrind (4 hours alone), and lint.
# ANN_SOAK=2: twice as long.
soak:
	ANN_SOAK=$${ANN_SOAK:-1} tools/test tap faults asan lint valgrind

check: format-check layers headers check-size check-bench unit

# ---- Measuring. make bench FILE=vectors.hdf5 [BENCH_OPTIONS="--rows 100000"]
BENCHES := $(sort $(wildcard test/bench/bench_*.c))

build/bench/%: test/bench/%.c $(CORE) $(filter src/core/%,$(HEADER_FILES))
	@mkdir -p $(@D)
	$(UNIT_CC) $(UNIT_CFLAGS) -O2 -o $@ $(filter %.c,$^) -lm

bench-kernels: $(BENCHES:test/bench/%.c=build/bench/%)
	set -e; for bench in $^; do $$bench; done

bench:
	$(if $(FILE),,$(error make bench FILE=vectors.hdf5))
	tools/bench $(FILE) $(BENCH_OPTIONS)

# Distances in sequential scans beside pgvector's. make bench-distances [TYPES="vector bit"]
bench-distances:
	tools/bench_distances $(TYPES)

.PHONY: fuzz-quick layers headers check-size check-symbols check-release format format-check check lint soak \
	check-bench bench bench-kernels bench-distances

# What is built and how it is tested.
#
#	make, make install, make installcheck	as for every extension
#	make demo		a tour on a throw-away server
#	make dashboard	a page about a segmentation, from a throw-away server
#	make test		every test, on a throw-away server; "make unit" for the
#					core alone
#	make assert, make asan, make valgrind	the tests on a server built for them:
#					with assertions, with sanitizers, under valgrind
#	make load		fifty sessions for two minutes, on a throw-away server
#	make bench		timings beside others', on a throw-away server
#	make versions	every test on every server version, in systems of their own
#	make dist, make deb	kseg-<version>.zip for PGXN; Debian packages
#	make lint		clang-tidy and cppcheck
#	make compilers	the core's tests, made by other compilers
#	make coverage	which lines the tests run
#
# All but the first line's install what they need from Debian's packages and leave
# every server that is there alone (test/server.sh).  Those of the first line need
# pg_config of the server to build for.

PG_CONFIG ?= pg_config
export PG_CONFIG

all:

# Goals that find their tools themselves, or need no server: pg_config may be
# missing when the Makefile is read for them.
checked_goals = assert asan valgrind
own_goals = demo dashboard test load bench setup unit unit-programs faults \
	fault-library versions dist deb fuzz fuzz-programs fuzz-server \
	smith lint compilers coverage $(checked_goals)

.PHONY: all $(own_goals) FORCE

# ---- the extension ----

EXTENSION = kseg
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" kseg.control)

MODULE_big = kseg
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/core/*.c src/pg/*.c src/managed/*.c)))

script = sql/kseg--$(EXTVERSION).sql
parts = $(sort $(wildcard sql/[0-9]*.sql))
DATA_built = $(script)
DATA = $(wildcard sql/kseg--*--*.sql)

PG_CPPFLAGS = -DKSEG_VERSION='"$(EXTVERSION)"'
# A fused multiply-add rounds once instead of twice: without -ffp-contract=off
# a model's bits would depend on the processor.  -MMD: objects follow their
# headers.
PG_CFLAGS = -std=gnu11 -ffp-contract=off -MMD -MP

# Calls between our own functions need not go through the linker's table.
SHLIB_LINK += -Wl,-Bsymbolic-functions

# No bitcode: the server would inline it into queries, compiled by another
# compiler with other flags.
override with_llvm = no

REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test --load-extension=kseg
ISOLATION = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=kseg
PROVE_TESTS = $(sort $(wildcard test/t/*.pl))
TAP_TESTS = $(if $(PROVE_TESTS),1)

EXTRA_CLEAN = $(OBJS:.o=.d) $(flags) test/unit/build test/fuzz/build \
	test/faults/build test/faults/.flags test/bench/build \
	test/sklearn/__pycache__ test/bench/__pycache__

ifneq ($(filter-out $(own_goals),$(or $(MAKECMDGOALS),all)),)
PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq ($(wildcard $(PGXS)),)
$(error "$(PG_CONFIG) --pgxs" names no file: install the server headers \
(Debian: postgresql-server-dev-15) or set PG_CONFIG. "make setup" does it)
endif
include $(PGXS)
endif

# gcc vectorises loops well only from -O3 on, and square roots only when errno
# need not be set
core_optimization ?= -O3
src/core/%.o: override CFLAGS += $(core_optimization) -fno-math-errno

# Objects of another server version or other flags must not be linked in.
flags = src/.flags
$(OBJS): $(flags)
$(flags): FORCE
	$(file >$@.new,$(CC) $(CPPFLAGS) $(CFLAGS) $(shell $(PG_CONFIG) --version))
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

-include $(wildcard $(OBJS:.o=.d))

$(script): $(parts) kseg.control Makefile
	$(if $(parts),,$(error no sql/[0-9]*.sql))
	@(printf '%s\n' '\echo Use "CREATE EXTENSION kseg" to load this file. \quit' && \
		cat $(parts)) > $@.new && mv $@.new $@

# ---- throw-away servers ----

# Built before the server's user takes over, who may not write here.  What
# root built in somebody's clone is handed to its owner.
jobs = $(if $(findstring --jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
make_quietly = $(MAKE) --no-print-directory -s $(jobs)
give_away = test "$$(id -u)" != 0 || chown -R --reference=Makefile
built = $(OBJS) $(OBJS:.o=.d) $(flags) kseg.so $(script)

setup:
	@test/setup.sh test

# The tour's page of pictures outlives its server.  It is opened here, since
# the server's user may not write into the clone.
demo_page = test/demo/pictures.html

demo:
	@test/setup.sh demo
	+@$(make_quietly) all && { $(give_away) $(built); }
	@KSEG_DEMO_PAGE='$(CURDIR)/$(demo_page)' test/server.sh test/demo/run.sh \
		3>$(demo_page) || { rm -f $(demo_page); exit 1; }
	@$(give_away) $(demo_page)

dashboard_page = test/dashboard/dashboard.html

dashboard:
	@test/setup.sh dashboard
	+@$(make_quietly) all && { $(give_away) $(built); }
	@test/server.sh test/dashboard/run.sh 3>$(dashboard_page) || \
		{ rm -f $(dashboard_page); exit 1; }
	@$(give_away) $(dashboard_page)
	@echo "Three weeks of a shop's segmentation, to be opened in a browser:"
	@echo
	@echo "    $(CURDIR)/$(dashboard_page)"
	@echo

test:
	@test/setup.sh test
	+@$(make_quietly) all && { $(give_away) $(built); }
	+@$(make_quietly) unit-programs fault-library
	+@$(make_quietly) unit-programs
	+@$(make_quietly) fuzz-programs
	@rm -rf tmp_check
	@test/server.sh test/run.sh

lint:
	@test/setup.sh lint
	@test/lint.sh

compilers:
	@test/compilers.sh

coverage:
	@test/setup.sh test
	@test/coverage.sh

# Servers that watch over themselves take some minutes to build, once, and the
# tests take long on them.
$(checked_goals):
	@test/setup.sh checked
	@test/checked/run.sh $@

# sessions and seconds
load_size ?= 50 120

load:
	@test/setup.sh test
	+@$(make_quietly) all && { $(give_away) $(built); }
	@KSEG_LOAD='$(load_size)' test/server.sh $(MAKE) --no-print-directory -s installcheck \
		REGRESS= ISOLATION= PROVE_TESTS=test/t/022_load.pl PROVE_FLAGS=--verbose

# What is measured goes into docs/performance.md, unless it was only a look
# (test/bench/README.md).  A quarter of the memory for the server, so that the
# rows stay there.
bench_dir = test/bench/build
bench_programs = $(patsubst %,$(bench_dir)/%,roofline $(if $(wildcard test/bench/lloyd/lloyd.c),lloyd))
bench_page = docs/performance.md
bench_buffers = $(shell awk '/^MemTotal:/ { print int($$2 / 4096) }' /proc/meminfo)MB

bench:
	@test/setup.sh bench
	+@$(make_quietly) all && { $(give_away) $(built); }
	+@$(make_quietly) $(bench_programs) && { $(give_away) $(bench_dir); }
	@test/server.sh -c shared_buffers=$(bench_buffers) -c max_wal_size=8GB \
		-c min_dynamic_shared_memory=1GB \
		test/bench/bench.py 3>$(bench_page).new || { rm -f $(bench_page).new; exit 1; }
	@test -s $(bench_page).new && cat $(bench_page).new >$(bench_page) && \
		echo "$(bench_page) is new" || true
	@rm -f $(bench_page).new

$(bench_dir)/roofline: test/bench/roofline.c
	@mkdir -p $(@D)
	$(CC) -O3 -march=native -ffp-contract=fast -Wall -Wextra $< -o $@ -lpthread

# the very objects that the extension is made of
$(bench_dir)/lloyd: $(wildcard test/bench/lloyd/*.c) $(filter src/core/%,$(OBJS))
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O3 -fno-math-errno -ffp-contract=off -Isrc/core $^ -o $@ -lm -lpthread

# ---- other servers, packages ----

versions:
	@test/versions.sh

# packaging/build/kseg-<version>.zip
dist:
	@packaging/dist.sh
	@$(give_away) packaging/build

# packaging/build/postgresql-<server's version>-kseg_<version>_<architecture>.deb
deb:
	@test/setup.sh deb
	@packaging/deb.sh
	@$(give_away) packaging/build

# ---- the core alone ----

# Each test/unit/*.c is a program that prints TAP.  The core is a library to
# it, so that a program may also include one of its files and test what is
# static there.
unit_dir = test/unit/build
unit_sanitize = address,undefined
unit_core = $(patsubst src/core/%.c,$(unit_dir)/%.o,$(sort $(wildcard src/core/*.c)))
unit_programs = $(patsubst test/unit/%.c,$(unit_dir)/%,$(sort $(wildcard test/unit/*.c)))
unit_flags = -std=gnu11 -ffp-contract=off -fno-math-errno -g -O2 -fno-omit-frame-pointer \
	$(if $(unit_sanitize),-fsanitize=$(unit_sanitize) -fno-sanitize-recover=all) -MMD -MP \
	-DKM_POLL_WORK=2000 -Wall -Wextra $(COPT)

unit: unit-programs
	@test/run.sh unit

unit-programs: $(unit_programs)
	@test ! -d $(unit_dir) || $(give_away) $(unit_dir)

$(unit_dir)/%.o: src/core/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(unit_flags) -c $< -o $@

$(unit_dir)/core.a: $(unit_core)
	@rm -f $@
	ar rcs $@ $(unit_core)

$(unit_programs): $(unit_dir)/%: test/unit/%.c $(unit_dir)/core.a Makefile
	@mkdir -p $(@D)
	$(CC) $(unit_flags) -MF $@.program.d -Isrc/core $< $(unit_dir)/core.a -lm -lpthread -o $@

-include $(wildcard $(unit_dir)/*.d)

# ---- the library once more, for tests of faults ----

# Its glue fails where it is told (test/faults), and its core can be
# interrupted often enough for small tests.
fault_dir = test/faults/build
fault_objects = $(patsubst src/%.o,$(fault_dir)/%.o,$(OBJS)) $(fault_dir)/faults.o
fault_flags = $(CC) -std=gnu11 -ffp-contract=off -fno-math-errno -O1 -fPIC -MMD -MP \
	-DKSEG_VERSION='"$(EXTVERSION)"' -DKM_POLL_WORK=2000 -Itest/faults \
	-I$(shell $(PG_CONFIG) --includedir-server) $(COPT)

# at every place, where "make test" tries some: half an hour
faults:
	@test/setup.sh test
	+@$(make_quietly) all && { $(give_away) $(built); }
	+@$(make_quietly) unit-programs fault-library
	@KSEG_FAULTS=all $(unit_dir)/faults
	@KSEG_FAULTS=all test/server.sh make -s installcheck REGRESS= ISOLATION= \
		PROVE_TESTS=test/t/019_faults.pl PROVE_FLAGS=--verbose

fault-library: $(fault_dir)/kseg.so
	@$(give_away) $(fault_dir) test/faults/.flags

$(fault_dir)/kseg.so: $(fault_objects)
	$(CC) -shared -Wl,-Bsymbolic-functions $^ -lm -o $@

$(fault_dir)/pg/%.o $(fault_dir)/managed/%.o: glue_faults = -include test/faults/faults.h

$(fault_dir)/%.o: src/%.c
	@mkdir -p $(@D)
	$(fault_flags) $(glue_faults) -c $< -o $@

$(fault_dir)/faults.o: test/faults/faults.c
	@mkdir -p $(@D)
	$(fault_flags) -c $< -o $@

$(fault_objects): test/faults/.flags
test/faults/.flags: FORCE
	$(file >$@.new,$(fault_flags) $(shell $(PG_CONFIG) --version))
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

-include $(wildcard $(fault_dir)/*.d $(fault_dir)/*/*.d)
# ---- random inputs (docs/testing.md) ----

# libFuzzer is clang's; where it is missing, nothing is built, and tests skip
# it.  Sums of doubles that no integer can hold are looked at by each program
# (test/fuzz/fuzz.h).
CLANG ?= clang
fuzz_dir = test/fuzz/build
fuzz_targets = model pass state engines
fuzz_core = $(patsubst src/core/%.c,$(fuzz_dir)/%.o,$(sort $(wildcard src/core/*.c)))
fuzz_flags = -std=gnu11 -ffp-contract=off -fno-math-errno -g1 -O1 -fno-omit-frame-pointer \
	-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all \
	-fsanitize-recover=float-cast-overflow -MMD -MP -DKM_POLL_WORK=2000 -Wall -Wextra
fuzz_driver = $(shell $(CLANG) -print-file-name=libclang_rt.fuzzer_no_main-$(shell uname -m).a 2>/dev/null)
has_fuzzer = $(shell echo 'int LLVMFuzzerTestOneInput(const char *b, long n) { return 0; }' | \
	$(CLANG) -fsanitize=fuzzer,address -x c - -o /dev/null 2>/dev/null && echo yes)

fuzz-programs: $(if $(has_fuzzer),$(addprefix $(fuzz_dir)/,$(fuzz_targets) seeds))
	@test ! -d $(fuzz_dir) || $(give_away) $(fuzz_dir)

$(fuzz_core): $(fuzz_dir)/%.o: src/core/%.c Makefile
	@mkdir -p $(@D)
	$(CLANG) $(fuzz_flags) -c $< -o $@

$(fuzz_dir)/core.a: $(fuzz_core)
	@rm -f $@
	ar rcs $@ $(fuzz_core)

$(fuzz_dir)/%: test/fuzz/%.c $(fuzz_dir)/core.a Makefile
	$(CLANG) $(fuzz_flags) $(if $(filter seeds,$*),,-fsanitize=fuzzer) -MF $@.program.d \
		-Isrc/core $< $(fuzz_dir)/core.a -lm -lpthread -o $@

# kseg with the fuzzer in it, for a server.  A server is compiled with -fwrapv.
fuzz_server = $(patsubst src/%.c,$(fuzz_dir)/server/%.o,$(wildcard src/*/*.c)) $(fuzz_dir)/server/server.o
fuzz_server_flags = -std=gnu11 -fPIC -ffp-contract=off -fno-math-errno -g1 -O1 -fwrapv \
	-fno-strict-aliasing -fno-omit-frame-pointer -fsanitize=undefined,fuzzer-no-link \
	-fsanitize-trap=undefined -fno-sanitize=signed-integer-overflow,float-cast-overflow \
	-D_GNU_SOURCE -I$(shell $(PG_CONFIG) --includedir-server) $(PG_CPPFLAGS) \
	-MMD -MP -Wall -Wno-ignored-attributes

fuzz-server: $(if $(has_fuzzer),$(fuzz_dir)/server.so)

$(fuzz_dir)/server.so: $(fuzz_server)
	$(CLANG) -shared -o $@ $(fuzz_server) -Wl,-Bsymbolic $(fuzz_driver) -lstdc++ -lm -lpthread

$(fuzz_dir)/server/server.o: test/fuzz/server.c Makefile
	@mkdir -p $(@D)
	$(CLANG) $(fuzz_server_flags) -c $< -o $@

$(fuzz_dir)/server/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	$(CLANG) $(fuzz_server_flags) -c $< -o $@

-include $(wildcard $(fuzz_dir)/*.d $(fuzz_dir)/server/*.d $(fuzz_dir)/server/*/*.d)

# ten minutes for each target; FUZZ_SECONDS=60 make fuzz
fuzz:
	@test/setup.sh fuzz
	+@$(make_quietly) all fuzz-programs fuzz-server
	@test/server.sh test/fuzz/fuzz.sh long $(fuzz_targets) server

# SMITH_QUERIES=1000 SMITH_SEED=7 make smith
smith:
	@test/setup.sh smith
	+@$(make_quietly) all && { $(give_away) $(built); }
	@test/server.sh test/fuzz/smith.sh $(or $(SMITH_QUERIES),20000) $(SMITH_SEED)

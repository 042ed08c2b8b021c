# TFS: event-driven tree mirroring for Linux.
#
#   make            the tools, in bin/
#   make check      every test (less than ten minutes); make soak: the same with many more seeds and longer kills
#   make check-unit the unit tests alone; make check T="PATTERN..." those that tests/run.sh finds by it
#   make check-corpus  the kept inputs of the fuzzers, without a fuzzer
#   make asan tsan  the unit tests and those of T (a good part of all) under the sanitizers
#   make bench      ratios against other tools in one run; BENCH=name for one
#   make fuzz       libFuzzer on the decoders; FUZZ_TIME=60 seconds each, FUZZ=name for one
#   make lint       layers, stream tags, man pages, format, clang-tidy, shellcheck
#   make format     rewrite the sources with clang-format
#   make install    to DESTDIR and PREFIX (/usr/local); uninstall removes exactly that
#   make dist       tfs-VERSION.tar.gz from the last commit, the same bytes each time
#   make deps       install what is needed, from Debian's packages (as root); deps-build: only what building needs
#   make demo       a mirror of a live tree, before your eyes (as root)
#   make clean
#
# B=release|debug|asan|tsan|cover chooses the flavour, each in build/B; V=1 shows the commands.

VERSION := 0.1.0
B ?= release
O := build/$(B)

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
INSTALL ?= install
PKG_CONFIG ?= pkg-config
MANDOC ?= mandoc

TOOLS := $(notdir $(wildcard cmd/*))
LIB_SRC := $(wildcard lib/*/*.cc)
TOOL_SRC := $(wildcard cmd/*/*.cc)
UNIT_SRC := $(wildcard tests/unit/*.cc tests/unit/*/*.cc)
SUPPORT := $(patsubst tests/support/%.cc,%,$(wildcard tests/support/*.cc))
FUZZERS := $(patsubst tests/fuzz/%.cc,%,$(wildcard tests/fuzz/*_fuzz.cc))
BENCHES := $(patsubst tests/bench/%.cc,%,$(wildcard tests/bench/*.cc))
MAN := $(wildcard man/*.[157])
UNITS := $(wildcard cmd/*/*.service)
# Tools that lack a rule on purpose, on which a comparison must turn red, as tests/TOOL_NAME: TOOL, the file of lib that makes the rule,
# and the macro without which it does.
BROKEN := unlocked norescan bypath
BROKEN_unlocked := tfs_journal lib/journal/fs_read.cc TFS_TEST_WITHOUT_NODE_LOCKS
BROKEN_norescan := tfs_journal lib/journal/scanner.cc TFS_TEST_WITHOUT_RESCAN
BROKEN_bypath := tfs_mirror lib/apply/scan.cc TFS_TEST_WITHOUT_SOURCE_IDS

.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
.PHONY: all tools support unit check check-unit check-corpus soak asan tsan bench benches fuzz fuzzers lint tidy format install \
	uninstall dist deps deps-build demo clean help
all: tools

Q := $(if $(V),,@)
JOBS = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))  # for a make that this one calls, if nobody has said -j
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

# --- flags

FLAVOUR_release := -O2 -g
FLAVOUR_debug := -O0 -g3
FLAVOUR_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
FLAVOUR_tsan := -O1 -g -fsanitize=thread
FLAVOUR_cover := -O0 -g --coverage
FLAVOUR_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
ifeq ($(FLAVOUR_$(B)),)
$(error B is release, debug, asan, tsan or cover)
endif

PACKAGES := fuse3 libuv fmt
HEADERS := libxxhash
NO_BUILD_GOALS := help clean deps deps-build format dist uninstall demo asan tsan fuzz
ifneq ($(filter-out $(NO_BUILD_GOALS),$(or $(MAKECMDGOALS),all)),)
PKG_FLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGES) $(HEADERS) 2>/dev/null)
PKG_LIBS := $(shell $(PKG_CONFIG) --exists $(HEADERS) && $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null)
ifeq ($(PKG_LIBS),)
$(error a library is missing: run "make deps" as root, or apt-get install libfuse3-dev libuv1-dev libfmt-dev libxxhash-dev doctest-dev pkg-config)
endif
endif

ALL_CPPFLAGS := -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DTFS_VERSION='"$(VERSION)"' $(PKG_FLAGS) $(CPPFLAGS)
ALL_CXXFLAGS := -std=c++20 -Wall -Wextra -Wshadow -Wold-style-cast -Wnon-virtual-dtor -Werror=unused-result -pthread \
	$(FLAVOUR_$(B)) $(CXXFLAGS)
ALL_LDFLAGS := -pthread $(FLAVOUR_$(B)) $(LDFLAGS)

# The flags are a dependency, too: a file that changes when they do.
FLAGS := $(CXX) $(ALL_CPPFLAGS) $(ALL_CXXFLAGS) $(ALL_LDFLAGS) $(PKG_LIBS) $(LDLIBS)
ifneq ($(filter-out $(NO_BUILD_GOALS),$(or $(MAKECMDGOALS),all)),)
$(shell mkdir -p $(O) && { [ "`cat $(O)/flags 2>/dev/null`" = '$(subst ','\'',$(FLAGS))' ] || \
	printf '%s\n' '$(subst ','\'',$(FLAGS))' > $(O)/flags; })
endif

# --- what is built

TOOL_BINS := $(TOOLS:%=$(O)/bin/%)
SUPPORT_BINS := $(SUPPORT:%=$(O)/tests/%)
BENCH_BINS := $(BENCHES:%=$(O)/tests/%)
REPLAY_BINS := $(FUZZERS:%=$(O)/tests/%)
FUZZER_BINS := $(FUZZERS:%=$(O)/fuzzers/%)
BROKEN_BINS := $(foreach b,$(BROKEN),$(O)/tests/$(word 1,$(BROKEN_$b))_$b)
LIB := $(O)/libtfs.a

tools: $(TOOL_BINS) $(if $(filter release,$(B)),$(TOOLS:%=bin/%))
support: $(SUPPORT_BINS) $(REPLAY_BINS) $(BROKEN_BINS)
unit: $(O)/unit
benches: $(BENCH_BINS)

bin/%: $(O)/bin/%
	@mkdir -p bin
	$(Q)cp --remove-destination $< $@

$(O)/%.o: %.cc $(O)/flags
	$(call say,CXX,$<)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(ALL_CPPFLAGS) $(ALL_CXXFLAGS) -MMD -MP -c -o $@ $<

$(LIB): $(LIB_SRC:%.cc=$(O)/%.o)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

define TOOL_RULE
$(O)/bin/$(1): $(patsubst %.cc,$(O)/%.o,$(wildcard cmd/$(1)/*.cc)) $(LIB)
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$(Q)$(CXX) $(ALL_LDFLAGS) -o $$@ $$^ $(PKG_LIBS) $(LDLIBS)
endef
$(foreach t,$(TOOLS),$(eval $(call TOOL_RULE,$(t))))

$(SUPPORT_BINS): $(O)/tests/%: $(O)/tests/support/%.o $(LIB)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) $(LDLIBS)

# One file of the library once more: it stands before the library, which then has nothing to add to it.
define BROKEN_RULE
$(O)/tests/$(2)_$(1): $(patsubst %.cc,$(O)/%.o,$(wildcard cmd/$(2)/*.cc)) $(O)/tests/$(2)_$(1).o $(LIB)
	$$(call say,LINK,$$@)
	$(Q)$(CXX) $(ALL_LDFLAGS) -o $$@ $$^ $(PKG_LIBS) $(LDLIBS)
$(O)/tests/$(2)_$(1).o: $(3) $(O)/flags
	$$(call say,CXX,$(3) -D$(4))
	@mkdir -p $$(@D)
	$(Q)$(CXX) $(ALL_CPPFLAGS) -D$(4) $(ALL_CXXFLAGS) -MMD -MP -c -o $$@ $$<
endef
$(foreach b,$(BROKEN),$(eval $(call BROKEN_RULE,$b,$(word 1,$(BROKEN_$b)),$(word 2,$(BROKEN_$b)),$(word 3,$(BROKEN_$b)))))

$(BENCH_BINS): $(O)/tests/%: $(O)/tests/bench/%.o $(LIB)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) $(LDLIBS)

# A fuzzer's target with a main() that gives it files, for those who have no fuzzer.
$(REPLAY_BINS): $(O)/tests/%: $(O)/tests/fuzz/%.o $(O)/tests/fuzz/replay_main.o $(LIB)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) $(LDLIBS)

$(O)/unit: $(UNIT_SRC:%.cc=$(O)/%.o) $(LIB)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) $(LDLIBS)

-include $(patsubst %.cc,$(O)/%.d,$(LIB_SRC) $(TOOL_SRC) $(UNIT_SRC) $(wildcard tests/support/*.cc tests/bench/*.cc tests/fuzz/*.cc)) \
	$(BROKEN_BINS:=.d)

# --- tests

RUN_ENV = TFS_BIN=$(CURDIR)/$(O)/bin TFS_TESTS=$(CURDIR)/$(O)/tests
check: tools support unit
	$(Q)$(RUN_ENV) tests/run.sh --unit $(O)/unit $(T)
soak: tools support unit
	$(Q)$(RUN_ENV) tests/run.sh --soak --unit $(O)/unit $(T)
check-unit: unit
	$(Q)$(O)/unit
check-corpus: support
	$(Q)for f in $(FUZZERS); do $(O)/tests/$$f tests/fuzz/corpus/$${f%_fuzz} || exit 1; done

# What a sanitizer says goes to a file, since nobody reads what a tool in the background of a test prints: any such file is a
# failure. tfs_mirror's sandbox lets it open none, and then it dies, which the test sees.
SANITIZED_TESTS := unit/ cli/ pipeline/ mount/
SANITIZER_OPTIONS = log_path=$(CURDIR)/build/$@/reports/report:print_stacktrace=1:halt_on_error=1
asan: export ASAN_OPTIONS = $(SANITIZER_OPTIONS):detect_stack_use_after_return=1
asan: export UBSAN_OPTIONS = $(SANITIZER_OPTIONS)
tsan: export TSAN_OPTIONS = $(SANITIZER_OPTIONS):second_deadlock_stack=1:suppressions=$(CURDIR)/tests/support/tsan.suppressions
asan tsan:
	@rm -rf build/$@/reports
	@mkdir -p -m 1777 build/$@/reports
	$(Q)$(MAKE) --no-print-directory $(JOBS) B=$@ tools support unit
	$(Q)status=0; TFS_SANITIZER=$@ $(MAKE) --no-print-directory B=$@ T="--dir build/tests-run-$@ --timeout 900 \
		$(or $(T),$(SANITIZED_TESTS))" check || status=1; \
	for f in build/$@/reports/*; do [ ! -f "$$f" ] || { cat "$$f"; status=1; }; done; exit $$status

FUZZ_TIME ?= 60
FUZZ ?= $(FUZZERS:%_fuzz=%)
FUZZ_CXX ?= clang++
fuzz:
	$(Q)$(MAKE) --no-print-directory B=fuzz CXX=$(FUZZ_CXX) fuzzers
	$(Q)for f in $(FUZZ); do echo "  FUZZ    $$f"; mkdir -p build/fuzz/corpus/$$f && \
		build/fuzz/fuzzers/$${f}_fuzz -max_total_time=$(FUZZ_TIME) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix=build/fuzz/$$f- build/fuzz/corpus/$$f $(wildcard tests/fuzz/corpus/$$f) || exit 1; done
fuzzers: $(FUZZER_BINS)
$(FUZZER_BINS): $(O)/fuzzers/%: $(O)/tests/fuzz/%.o $(LIB)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(PKG_LIBS) $(LDLIBS)

bench: tools support benches
	$(Q)$(RUN_ENV) BENCH='$(BENCH)' tests/bench/bench.sh

demo:
	$(Q)tests/apt.sh $(BUILD_DEPS) $(DEMO_DEPS)
	$(Q)$(MAKE) --no-print-directory $(JOBS) tools $(O)/tests/manifest
	$(Q)$(RUN_ENV) tests/demo.sh

# --- style

CLANG_FORMAT ?= clang-format
format:
	$(Q)$(CLANG_FORMAT) -i $(wildcard cmd/*/*.h cmd/*/*.cc lib/*/*.h lib/*/*.cc tests/*/*.h tests/*/*.cc tests/unit/*/*.cc)

# Everything under tests/lint, and clang-tidy, which is clean until the object is made anew.
CLANG_TIDY ?= clang-tidy
lint:
	$(Q)status=0; $(MAKE) --no-print-directory $(JOBS) -k tidy || status=1; \
	for l in tests/lint/*.sh; do printf '  LINT    %s\n' $$l; $$l || status=1; done; exit $$status
tidy: $(LIB_SRC:%.cc=$(O)/%.tidy) $(TOOL_SRC:%.cc=$(O)/%.tidy) $(SUPPORT:%=$(O)/tests/support/%.tidy)
$(O)/%.tidy: $(O)/%.o .clang-tidy
	$(call say,TIDY,$*.cc)
	$(Q)$(CLANG_TIDY) --quiet $*.cc -- $(ALL_CPPFLAGS) -std=c++20 2>$@.said || { cat $@.said; exit 1; }
	@rm $@.said && touch $@

# --- leaving the house

install: all
	$(INSTALL) -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(UNITDIR) $(patsubst %,$(DESTDIR)$(MANDIR)/man%,1 5 7)
	$(INSTALL) -m 755 $(TOOL_BINS) $(DESTDIR)$(BINDIR)
	for page in $(MAN); do $(INSTALL) -m 644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.}/ || exit 1; done
	for unit in $(UNITS); do sed 's,@BINDIR@,$(BINDIR),g' $$unit > $(DESTDIR)$(UNITDIR)/$${unit##*/} && \
		chmod 644 $(DESTDIR)$(UNITDIR)/$${unit##*/} || exit 1; done
uninstall:
	rm -f $(TOOLS:%=$(DESTDIR)$(BINDIR)/%) $(foreach m,$(MAN),$(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $m))/$(notdir $m)) \
		$(UNITS:%=$(DESTDIR)$(UNITDIR)/$(notdir %))

DIST := tfs-$(VERSION)
dist:
	@mkdir -p build/dist
	git archive --format=tar --prefix=$(DIST)/ HEAD | gzip -n -9 > build/dist/$(DIST).tar.gz
	cd build/dist && sha256sum $(DIST).tar.gz | tee $(DIST).tar.gz.sha256

# --- what is needed, by the names of Debian's packages

BUILD_DEPS := make g++ pkg-config libfuse3-dev fuse3 libuv1-dev libfmt-dev libxxhash-dev doctest-dev
DEMO_DEPS := git jq procps socat
TEST_DEPS := acl attr btrfs-progs e2fsprogs fio iproute2 mandoc nftables openssh-client openssh-server perl python3 rsync sqlite3 strace stress-ng xfsprogs
LINT_DEPS := clang clang-format clang-tidy libclang-rt-dev shellcheck systemd
BENCH_DEPS := lsyncd mbuffer time xxhash
deps-build:
	$(Q)tests/apt.sh $(BUILD_DEPS)
deps:
	$(Q)tests/apt.sh $(BUILD_DEPS) $(DEMO_DEPS) $(TEST_DEPS) $(LINT_DEPS) $(BENCH_DEPS)

clean:
	rm -rf build bin
help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

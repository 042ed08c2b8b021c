// semantics: what programs see of a file system, as lines to be compared by diff.
//
//   semantics [--without SECTION]... DIR [SECTION]...    each in a fresh directory of its name below DIR
//
// A run on a mount has to print the same as a run on the file system below it. It leaves what it made, so that a mirror can
// be compared with it. Needs root, for it acts as several users. What the kernel decides alone, or where FUSE cannot but
// differ (leases, FICLONE, collapsing ranges, ctime of an empty chown), is not in it.

#include "tests/support/semantics.h"

#include "tests/support/semantics_files.h"
#include "tests/support/semantics_names.h"
#include "tests/support/semantics_rest.h"
#include "tests/support/semantics_users.h"

namespace tfs::support {
namespace {

struct Section {
  const char* name;
  void (*run)();
  bool is_extra = false;  // runs only if it is named: known differences
};

const char* g_self = "/proc/self/exe";

constexpr Section kSections[] = {
    {"permissions", section_permissions},
    {"owners", section_owners},
    {"umask", section_umask},
    {"default-acls", section_default_acls},
    {"access-acls", section_access_acls},
    {"setgid-directories", section_setgid_directories},
    {"set-id-bits", section_set_id_bits},
    {"sticky-directories", section_sticky_directories},
    {"open-flags", section_open_flags},
    {"writes", section_writes},
    {"appends", section_appends},
    {"direct", section_direct},
    {"mappings", section_mappings},
    {"holes", section_holes},
    {"copies", section_copies},
    {"without-names", section_without_names},
    {"names", section_names},
    {"depth", section_depth},
    {"links", section_links},
    {"renames", section_renames},
    {"changing-directory", section_changing_directory},
    {"removed-directory", section_removed_directory},
    {"path-handles", section_path_handles},
    {"special-files", section_special_files},
    {"locks", section_locks},
    {"xattrs", section_xattrs},
    {"times", section_times},
    {"statistics", section_statistics},
    {"inode-flags", section_inode_flags},
    {"programs", [] { section_programs(g_self); }},
    {"notifications", section_notifications},
    {"sgid-without-x", section_sgid_without_x, true},
    {"mapped-capability", section_mapped_capability, true},
};

// What a copy of this program prints when a test has started it from the mount.
int print_ids() {
  std::printf("uid %u %u gid %u %u\n", ::getuid(), ::geteuid(), ::getgid(), ::getegid());
  std::string status = content_of("/proc/self/status");
  size_t at = status.find("CapEff:");
  if (::geteuid() != 0) std::printf("%s\n", status.substr(at, status.find('\n', at) - at).c_str());
  return 0;
}

int usage() {
  std::fputs("usage: semantics [--without SECTION]... DIR [SECTION]...\nsections:", stderr);
  for (const Section& section : kSections) std::fprintf(stderr, " %s", section.name);
  std::fputs("\n", stderr);
  return 2;
}

bool is_in(const std::vector<std::string>& list, const char* name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

int run(int argc, char** argv) {
  std::vector<std::string> without, only;
  const char* dir = nullptr;
  for (int i = 1; i < argc; i++) {
    if (argv[i] == std::string_view("--without") && i + 1 < argc) {
      without.emplace_back(argv[++i]);
    } else if (dir == nullptr && argv[i][0] != '-') {
      dir = argv[i];
    } else if (dir != nullptr) {
      only.emplace_back(argv[i]);
    } else {
      return usage();
    }
  }
  if (dir == nullptr) return usage();
  char resolved[PATH_MAX];
  if (::realpath(dir, resolved) == nullptr) return usage();
  ::setenv("SEMANTICS_DIR", resolved, 1);
  for (const Section& section : kSections) {
    if (is_in(without, section.name) || (only.empty() ? section.is_extra : !is_in(only, section.name))) continue;
    std::printf("== %s\n", section.name);
    // A process for each: what one leaves open, its umask and its directory are no matter to the next.
    apart([&] {
      ::umask(022);
      must("go there", ::chdir(resolved));
      must("make a directory", ::mkdir(section.name, 0755));
      must("go there", ::chdir(section.name));
      section.run();
    });
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
}

}  // namespace
}  // namespace tfs::support

int main(int argc, char** argv) {
  using namespace tfs::support;
  if (argc == 2 && argv[1] == std::string_view("--print-ids")) return print_ids();
  if (argc == 2 && argv[1] == std::string_view("--wait")) {
    char c;
    return ::read(0, &c, 1) == 1 ? 0 : 1;
  }
  return run(argc, argv);
}

// random_ops: random operations on a directory, for the tests of a file system.
//
// Several processes and threads make, change, move and remove the same few names in every way that Linux has. What the
// tree's state or another worker explains (a name that is gone, a directory that is not empty) is a refusal and is
// counted; any other error ends the run with status 1, as does a wrong result where one worker runs alone as root. The
// operations follow from the seed, so that a run on a mount can be compared with the same run on the file system below.
//
// Nothing outside DIR is touched: as root each process confines itself to it (chroot); as another user no symlink is
// made that could lead out, and DIR has to be empty at the start. The parent stays outside, to take the snapshots.

#include <getopt.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>
#include <string_view>
#include <thread>

#include "tests/support/random_ops_attributes.h"
#include "tests/support/random_ops_io.h"
#include "tests/support/random_ops_nameless.h"
#include "tests/support/random_ops_names.h"
#include "tests/support/random_ops_parallel.h"
#include "tests/support/random_ops_reading.h"
#include "tests/support/random_ops_run.h"

namespace tfs::support {
namespace {

// Weights keep the tree at some hundred objects: about as much is removed as is made.
constexpr Op kOps[] = {
    {"create", 9, op_create, {EPIPE}},
    {"open", 5, op_open},
    {"open_directory", 2, op_open_directory},
    {"open_path", 1, op_open_path},
    {"use_path", 2, op_use_path},
    {"close", 3, op_close},
    {"mkdir", 7, op_mkdir},
    {"chain", 1, op_chain},
    {"rmdir", 4, op_rmdir},
    {"unlink", 6, op_unlink},
    {"remove_tree", 2, op_remove_tree},
    {"rename", 8, op_rename},
    {"rename_noreplace", 3, op_rename_noreplace},
    {"rename_exchange", 4, op_rename_exchange},
    {"rename_whiteout", 1, op_rename_whiteout, {EPERM}},
    {"link", 8, op_link, {EPERM}},
    {"link_descriptor", 2, op_link_descriptor, {EPERM}},
    {"symlink", 5, op_symlink},
    {"readlink", 1, op_readlink},
    {"mknod", 3, op_mknod, {EPERM}},
    {"tmpfile", 3, op_tmpfile},
    {"unlink_open", 3, op_unlink_open},
    {"write", 5, op_write},
    {"pwrite", 8, op_pwrite},
    {"append", 3, op_append},
    {"writev", 4, op_writev},
    {"direct", 2, op_direct},
    {"aio", 2, op_aio, {ENOSYS, EAGAIN}},
    {"mmap", 4, op_mmap, {ENODEV}},
    {"mapped", 3, op_mapped, {ENODEV}},
    {"truncate", 2, op_truncate},
    {"ftruncate", 4, op_ftruncate},
    {"fallocate", 5, op_fallocate},
    {"copy_range", 4, op_copy_range},
    {"sendfile", 2, op_sendfile},
    {"chmod", 4, op_chmod},
    {"fchmod", 3, op_fchmod},
    {"chown", 3, op_chown},
    {"fchown", 2, op_fchown},
    {"utimens", 4, op_utimens},
    {"setxattr", 6, op_setxattr, {EPERM}},
    {"removexattr", 4, op_removexattr, {EPERM}},
    {"acl", 4, op_acl, {EPERM, EACCES}},
    {"setflags", 1, op_setflags, {EPERM, ENOTTY}},
    {"flock", 1, op_flock, {EAGAIN}},
    {"fcntl_lock", 1, op_fcntl_lock, {EAGAIN, EACCES}},
    {"fsync", 1, op_fsync},
    {"fdatasync", 1, op_fdatasync},
    {"syncfs", 1, op_syncfs},
    {"read", 4, op_read},
    {"seek", 2, op_seek},
    {"stat", 3, op_stat},
    {"getxattr", 2, op_getxattr},
    {"readdir", 3, op_readdir},
    {"walk", 1, op_walk},
    {"statfs", 1, op_statfs},
};
static_assert(std::size(kOps) <= kMaxOps);

constexpr char kUsage[] =
    "usage: random_ops [OPTION]... DIR\n"
    "  --seed N           where the numbers start (1)\n"
    "  --ops N            operations of each thread (1000)\n"
    "  --procs P          processes (1)\n"
    "  --threads T        threads of each process (1)\n"
    "  --users            act as one of several users (needs root; opens DIR to all)\n"
    "  --big              writes of up to 3 MiB, offsets beyond 4 GiB\n"
    "  --only OP,OP       these kinds only\n"
    "  --without OP,OP    not these kinds\n"
    "  --snapshots OUT    with one worker: now and then run PROG STORE > OUT/K.manifest\n"
    "  --manifest PROG      when DIR has just got the empty file .mark.K\n"
    "  --store STORE        and nothing is being written\n"
    "  --every N            after about every N operations\n"
    "  --verbose          count by kind\n"
    "  --trace            each operation on standard error\n"
    "  --help\n"
    "SIGTERM and SIGINT end a run early and well.\n"
    "kinds:";

void print_usage(FILE* to) {
  std::string text = kUsage;
  size_t column = 6;
  for (const Op& op : kOps) {
    column += strlen(op.name) + 1;
    if (column > 79) {
      text += "\n ";
      column = strlen(op.name) + 2;
    }
    text += std::string(" ") + op.name;
  }
  fputs((text + "\n").c_str(), to);
}

bool refuse_usage(const std::string& why) {
  say("fatal: " + why + "; see --help");
  return false;
}

// --- options

bool read_number(const char* text, uint64_t* out) {
  const char* end = text + strlen(text);
  std::from_chars_result result = std::from_chars(text, end, *out);
  return result.ec == std::errc() && result.ptr == end;
}

bool read_count(const char* text, unsigned* out) {
  constexpr uint64_t kMax = 1000;
  uint64_t number;
  if (!read_number(text, &number) || number == 0 || number > kMax) return false;
  *out = static_cast<unsigned>(number);
  return true;
}

bool is_kind(const std::string& name) {
  for (const Op& op : kOps) {
    if (name == op.name) return true;
  }
  return false;
}

// Leaves in the table what the list names (or does not).
bool select_ops(const std::string& list, bool listed, std::vector<Op>* table) {
  std::vector<std::string> names;
  for (size_t at = 0; at <= list.size();) {
    size_t comma = std::min(list.find(',', at), list.size());
    names.push_back(list.substr(at, comma - at));
    if (!is_kind(names.back())) return refuse_usage("there is no operation " + escaped(names.back()));
    at = comma + 1;
  }
  std::erase_if(*table, [&](const Op& op) { return (std::ranges::count(names, op.name) > 0) != listed; });
  return true;
}

bool is_empty(const std::string& dir) {
  DIR* stream = opendir(dir.c_str());
  if (stream == nullptr) return false;
  size_t names = 0;
  while (readdir(stream) != nullptr) names++;
  closedir(stream);
  return names == 2;
}

bool check(const Settings& settings) {
  if (settings.table.empty()) return refuse_usage("no operation is left");
  if (settings.users && geteuid() != 0) return refuse_usage("--users needs root");
  bool all = !settings.snapshots.empty() && !settings.manifest.empty() && !settings.store.empty() && settings.every > 0;
  bool none = settings.snapshots.empty() && settings.manifest.empty() && settings.store.empty() && settings.every == 0;
  if (!all && !none) return refuse_usage("--snapshots, --manifest, --store and --every go together");
  if (geteuid() != 0 && !is_empty(settings.dir)) return refuse_usage("without root DIR has to be empty");
  if (all && !settings.alone()) return refuse_usage("snapshots need one process with one thread");
  return true;
}

struct Option {
  const char* name;
  int takes;
  bool (*read)(const char* value, Settings* settings);
};

constexpr Option kOptions[] = {
    {"seed", required_argument, [](const char* v, Settings* s) { return read_number(v, &s->seed); }},
    {"ops", required_argument, [](const char* v, Settings* s) { return read_number(v, &s->ops); }},
    {"procs", required_argument, [](const char* v, Settings* s) { return read_count(v, &s->procs); }},
    {"threads", required_argument, [](const char* v, Settings* s) { return read_count(v, &s->threads); }},
    {"users", no_argument, [](const char*, Settings* s) { return s->users = true; }},
    {"big", no_argument, [](const char*, Settings* s) { return s->big = true; }},
    {"only", required_argument, [](const char* v, Settings* s) { return select_ops(v, true, &s->table); }},
    {"without", required_argument, [](const char* v, Settings* s) { return select_ops(v, false, &s->table); }},
    {"snapshots", required_argument, [](const char* v, Settings* s) { return !(s->snapshots = v).empty(); }},
    {"manifest", required_argument, [](const char* v, Settings* s) { return !(s->manifest = v).empty(); }},
    {"store", required_argument, [](const char* v, Settings* s) { return !(s->store = v).empty(); }},
    {"every", required_argument, [](const char* v, Settings* s) { return read_number(v, &s->every) && s->every > 0; }},
    {"verbose", no_argument, [](const char*, Settings* s) { return s->verbose = true; }},
    {"trace", no_argument, [](const char*, Settings* s) { return s->trace = true; }},
};

bool parse(int argc, char** argv, Settings* settings) {
  std::vector<option> known;
  for (const Option& one : kOptions) known.push_back({one.name, one.takes, nullptr, 0});
  known.push_back({});
  settings->table.assign(std::begin(kOps), std::end(kOps));
  int index = 0;
  for (int found; (found = getopt_long(argc, argv, "", known.data(), &index)) != -1;) {
    if (found != 0) return false;  // getopt_long has said why
    const Option& one = kOptions[index];
    if (!one.read(optarg, settings)) return refuse_usage(std::string("unable to use --") + one.name + " " + escaped(optarg));
  }
  if (argc - optind != 1) return refuse_usage("one DIR is needed");
  settings->dir = argv[optind];
  return check(*settings);
}

// --- a process of workers

// The working directory becomes DIR and, where that is allowed, the root.
bool confine(const Settings& settings, Outside* outside) {
  if (chdir(settings.dir.c_str()) != 0) return false;
  outside->proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
  outside->confined = geteuid() == 0;
  return !outside->confined || chroot(".") == 0;
}

[[noreturn]] void work(const Settings& settings, Shared& shared, Outside outside, unsigned process, pid_t parent) {
  // No worker outlives its parent. This is the main thread's affair, which never changes its user: that would undo it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  catch_bus_errors();
  if (!confine(settings, &outside)) {
    shared.stop = true;
    say("fatal: unable to enter " + escaped(settings.dir) + ": " + strerror(errno));
    _exit(1);
  }
  if (settings.users && chmod(".", 0777) != 0) {
    shared.stop = true;
    say("fatal: unable to open the directory to all users: " + std::string(strerror(errno)));
    _exit(1);
  }
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < settings.threads; i++) {
    threads.emplace_back([&settings, &shared, &outside, id = process * settings.threads + i] {
      unshare(CLONE_FS);  // a umask of its own
      Worker worker(settings, shared, outside, id);
      worker.prepare();
      worker.run();
    });
  }
  for (std::thread& thread : threads) thread.join();
  _exit(0);
}

// --- snapshots, taken by the parent

bool run_manifest(const Settings& settings, uint32_t number) {
  std::string path = settings.snapshots + "/" + std::to_string(number) + ".manifest";
  pid_t parent = getpid();
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    int out = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    int null = open("/dev/null", O_RDONLY);
    if (out < 0 || null < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(null, STDIN_FILENO) < 0) _exit(126);
    close(out);
    close(null);
    signal(SIGPIPE, SIG_DFL);
    execlp(settings.manifest.c_str(), settings.manifest.c_str(), settings.store.c_str(), nullptr);
    _exit(127);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
    say("error: unable to make " + escaped(path) + " with " + escaped(settings.manifest) + ": status " + std::to_string(status));
    return false;
  }
  return true;
}

void serve_snapshots(const Settings& settings, int request, int reply) {
  mkdir(settings.snapshots.c_str(), 0777);
  uint32_t number;
  while (read(request, &number, sizeof number) == sizeof number) {
    char done = run_manifest(settings, number) ? 1 : 0;
    if (write(reply, &done, 1) != 1) return;
  }
}

// --- all of it

Shared* told_to_stop = nullptr;

void stop_all(int) { told_to_stop->stop = true; }

// The workers end after the operation they are in, and the run counts as whole.
void stop_on_signals(Shared* shared) {
  told_to_stop = shared;
  struct sigaction action = {};
  action.sa_handler = stop_all;
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
}

bool run_all(const Settings& settings, Shared& shared) {
  int request[2] = {-1, -1};
  int reply[2] = {-1, -1};
  bool snapshots = settings.every > 0;
  if (snapshots && (pipe2(request, O_CLOEXEC) != 0 || pipe2(reply, O_CLOEXEC) != 0)) return false;
  signal(SIGPIPE, SIG_IGN);
  pid_t parent = getpid();
  std::vector<pid_t> children;
  for (unsigned process = 0; process < settings.procs; process++) {
    pid_t child = fork();
    if (child == 0) {
      close(request[0]);
      close(reply[1]);
      work(settings, shared, {-1, false, request[1], reply[0]}, process, parent);
    }
    if (child < 0) {
      say(std::string("error: unable to fork: ") + strerror(errno));
      shared.stop = true;
      break;
    }
    children.push_back(child);
  }
  bool good = children.size() == settings.procs;
  if (snapshots) {
    close(request[1]);
    close(reply[0]);
    serve_snapshots(settings, request[0], reply[1]);
  }
  for (pid_t child : children) {
    int status = 0;
    bool ended = waitpid(child, &status, 0) == child;
    if (ended && WIFSIGNALED(status)) say("error: a worker died of signal " + std::to_string(WTERMSIG(status)));
    good = good && ended && status == 0;
    if (!good) shared.stop = true;
  }
  return good;
}

void report(const Settings& settings, const Shared& shared) {
  uint64_t tried = 0;
  uint64_t refused = 0;
  for (size_t i = 0; i < settings.table.size(); i++) {
    uint64_t tried_here = shared.counters[i].tried;
    uint64_t refused_here = shared.counters[i].refused;
    tried += tried_here;
    refused += refused_here;
    if (!settings.verbose) continue;
    printf("%-18s tried %8llu ok %8llu\n", settings.table[i].name, static_cast<unsigned long long>(tried_here),
           static_cast<unsigned long long>(tried_here - refused_here));
  }
  printf("random_ops: seed %llu ops %llu ok %llu refused %llu\n", static_cast<unsigned long long>(settings.seed),
         static_cast<unsigned long long>(tried), static_cast<unsigned long long>(tried - refused),
         static_cast<unsigned long long>(refused));
}

int random_ops(int argc, char** argv) {
  for (int i = 1; i < argc; i++) {
    if (std::string_view(argv[i]) != "--help") continue;
    print_usage(stdout);
    return 0;
  }
  Settings settings;
  if (!parse(argc, argv, &settings)) return 2;
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  Shared* shared = new (memory) Shared;
  stop_on_signals(shared);
  bool good = run_all(settings, *shared);
  report(settings, *shared);
  return good && fflush(stdout) == 0 ? 0 : 1;
}

}  // namespace
}  // namespace tfs::support

int main(int argc, char** argv) { return tfs::support::random_ops(argc, argv); }

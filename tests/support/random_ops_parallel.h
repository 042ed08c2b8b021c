// Operations on content that do not wait their turn: asynchronous writes, stores into memory, and locks.
#pragma once

#include <linux/aio_abi.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ctime>

#include "tests/support/random_ops_io.h"
#include "tests/support/random_ops_pool.h"
#include "tests/support/random_ops_worker.h"

namespace tfs::support {

inline constexpr size_t kAioWrites = 6;
inline constexpr size_t kAioBytes = 64 << 10;

struct AioWrite {
  off_t at;
  size_t size;
  const char* data;
};

// Overlapping writes may land in any order, but each byte is one that was written there.
inline void check_aio(Worker& w, int fd, const AioWrite* writes, size_t count) {
  if (!w.verifying()) return;
  for (size_t i = 0; i < count; i++) {
    ssize_t got = pread(fd, w.in(), writes[i].size, writes[i].at);
    w.expect(got == static_cast<ssize_t>(writes[i].size), "short read after asynchronous writes");
    for (size_t byte = 0; byte < writes[i].size; byte++) {
      off_t at = writes[i].at + static_cast<off_t>(byte);
      bool known = false;
      for (size_t k = 0; k < count && !known; k++) {
        off_t inside = at - writes[k].at;
        known = inside >= 0 && inside < static_cast<off_t>(writes[k].size) && writes[k].data[inside] == w.in()[byte];
      }
      w.expect(known, "a byte that none of the asynchronous writes wrote");
    }
  }
}

inline size_t plan_aio(Worker& w, int fd, AioWrite* writes, iocb* requests, size_t span) {
  size_t count = w.rng().between(2, kAioWrites);
  memset(requests, 0, count * sizeof *requests);
  w.rng().fill(w.out(), count * kAioBytes);
  for (size_t i = 0; i < count; i++) {
    size_t size = w.rng().between(1, kAioBytes / 4096) * 4096;
    off_t at = static_cast<off_t>(w.rng().below((span - size) / 4096 + 1) * 4096);
    writes[i] = {at, size, w.out() + i * kAioBytes};
    requests[i].aio_fildes = static_cast<uint32_t>(fd);
    requests[i].aio_lio_opcode = IOCB_CMD_PWRITE;
    requests[i].aio_buf = reinterpret_cast<uint64_t>(writes[i].data);
    requests[i].aio_nbytes = size;
    requests[i].aio_offset = at;
  }
  return count;
}

// Something else about the same file while its writes are under way.
inline void disturb(Worker& w, int fd) {
  switch (w.rng().below(4)) {
    case 0: w.step("fchmod", fchmod(fd, w.mode())); break;
    case 1: w.step("futimens", futimens(fd, nullptr)); break;
    case 2: w.step("fchown", fchown(fd, 1000, 1000)); break;
    default: break;
  }
}

inline void op_aio(Worker& w) {
  unsigned long context = w.aio_context();
  if (context == 0) return;
  int fd = open_direct(w);
  if (fd < 0) return;
  size_t span = kAioBytes * w.rng().between(1, 4);
  if (w.rng().chance(70)) {
    // Inside the file they run side by side; writes that make it longer wait for each other.
    memset(w.out(), 0, span);
    w.step("pwrite O_DIRECT", pwrite(fd, w.out(), span, 0));
  }
  AioWrite writes[kAioWrites];
  iocb requests[kAioWrites];
  iocb* list[kAioWrites];
  io_event events[kAioWrites];
  size_t count = plan_aio(w, fd, writes, requests, span);
  for (size_t i = 0; i < count; i++) list[i] = &requests[i];
  w.detail("%zu writes within %zu", count, span);
  long submitted = syscall(SYS_io_submit, context, count, list);
  if (w.step("io_submit", submitted)) {
    disturb(w, fd);
    long done = syscall(SYS_io_getevents, context, submitted, submitted, events, nullptr);
    w.step("io_getevents", done);
    bool whole = done == static_cast<long>(count);
    for (long i = 0; i < done; i++) {
      if (events[i].res < 0) w.step_error("asynchronous write", static_cast<int>(-events[i].res));
      const iocb* request = reinterpret_cast<const iocb*>(events[i].obj);
      whole = whole && events[i].res == static_cast<int64_t>(request->aio_nbytes);
    }
    if (whole) check_aio(w, fd, writes, count);
  }
  w.close_fd(fd);
}

// --- memory

inline thread_local sigjmp_buf store_failed;
inline thread_local volatile bool storing = false;

inline void on_bus_error(int signal_number) {
  if (storing) siglongjmp(store_failed, 1);
  signal(signal_number, SIG_DFL);  // elsewhere it is a bug: the access fails again, and ends the process
}

inline void catch_bus_errors() {
  struct sigaction action = {};
  action.sa_handler = on_bus_error;
  action.sa_flags = SA_NODEFER;  // left by a jump that does not restore the mask
  sigaction(SIGBUS, &action, nullptr);
}

// False where the memory can't be had: behind the end of the file by now, or no space for it.
inline bool store(char* to, const char* from, size_t size) {
  if (sigsetjmp(store_failed, 0) != 0) {
    storing = false;
    return false;
  }
  storing = true;
  memcpy(to, from, size);
  storing = false;
  return true;
}

inline bool has_space(int fd) {
  struct statvfs space;
  return fstatvfs(fd, &space) == 0 && space.f_bavail > 4096;
}

inline void store_in(Worker& w, const Mapping& mapping) {
  // Nothing is stored behind the end of the file, though the page would take it: what then becomes of it is not
  // defined.
  off_t end = std::min<off_t>(static_cast<off_t>(mapping.size), w.size_of(mapping.fd) - mapping.offset);
  if (end <= 0) return w.refuse();
  size_t at = w.rng().below(static_cast<uint64_t>(end));
  size_t size = std::min(w.length(), static_cast<size_t>(end) - at);
  w.detail("store at %lld length %zu", static_cast<long long>(mapping.offset) + static_cast<long long>(at), size);
  make_data(w, size);
  if (!store(mapping.data + at, w.out(), size)) {
    w.refuse();
    if (w.verifying()) w.expect(!has_space(mapping.fd), "SIGBUS inside the file");
    return;
  }
  Handle h{mapping.fd, O_RDWR, false, ""};
  check_content(w, h, mapping.offset + static_cast<off_t>(at), w.out(), static_cast<ssize_t>(size), "content after a store");
}

inline void op_mmap(Worker& w) {
  std::optional<Handle> h = w.take(kRead | kWrite | kFile);
  if (!h) return;
  off_t size = w.size_of(h->fd);
  if (size == 0) {
    size = static_cast<off_t>(w.length());
    if (!w.step("ftruncate", ftruncate(h->fd, size))) return;
  }
  Mapping mapping;
  mapping.offset = static_cast<off_t>(w.rng().below(static_cast<uint64_t>(size))) & ~off_t{4095};
  mapping.size = std::min<size_t>(static_cast<size_t>(size - mapping.offset), w.length() + 4096);
  mapping.fd = dup(h->fd);
  if (!w.step("dup", mapping.fd)) return;
  void* data = mmap(nullptr, mapping.size, PROT_READ | PROT_WRITE, MAP_SHARED, mapping.fd, mapping.offset);
  if (data == MAP_FAILED) {
    w.step("mmap", -1);
    return w.close_fd(mapping.fd);
  }
  mapping.data = static_cast<char*>(data);
  for (uint64_t more = w.rng().between(1, 3); more > 0; more--) store_in(w, mapping);
  int sync = w.rng().chance(50) ? MS_SYNC : MS_ASYNC;
  if (w.rng().chance(40)) w.sync_step("msync", [&] { return msync(mapping.data, mapping.size, sync); });
  if (w.rng().chance(60)) return w.unmap(mapping);
  w.mappings().push_back(mapping);
  if (w.mappings().size() <= kMappings) return;
  w.unmap(w.mappings().front());
  w.mappings().erase(w.mappings().begin());
}

// A store into a file that was mapped some operations ago.
inline void op_mapped(Worker& w) {
  std::vector<Mapping>& mappings = w.mappings();
  if (mappings.empty()) return op_mmap(w);
  size_t index = w.rng().below(mappings.size());
  const Mapping& mapping = mappings[index];
  store_in(w, mapping);
  if (w.rng().chance(30)) w.sync_step("msync", [&] { return msync(mapping.data, mapping.size, MS_SYNC); });
  if (!w.rng().chance(20)) return;
  w.unmap(mapping);
  mappings.erase(mappings.begin() + static_cast<ptrdiff_t>(index));
}

// --- locks: never waited for

inline void op_flock(Worker& w) {
  static constexpr int kHow[] = {LOCK_SH, LOCK_EX, LOCK_UN};
  std::optional<Handle> h = w.take(kAny);
  if (h) w.step("flock", flock(h->fd, w.rng().pick(kHow) | LOCK_NB));
}

inline void op_fcntl_lock(Worker& w) {
  static constexpr int kCommands[] = {F_SETLK, F_OFD_SETLK, F_GETLK};
  std::optional<Handle> h = w.take(kFile);
  if (!h) return;
  int command = w.rng().pick(kCommands);
  struct flock lock = {};
  lock.l_type = F_UNLCK;
  if (command == F_GETLK || w.rng().chance(60)) {
    lock.l_type = h->writable() && (!h->readable() || w.rng().chance(50)) ? F_WRLCK : F_RDLCK;
  }
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(w.rng().below(1 << 20));
  lock.l_len = static_cast<off_t>(w.rng().below(1 << 16));
  w.step("fcntl", fcntl(h->fd, command, &lock));
}

}  // namespace tfs::support

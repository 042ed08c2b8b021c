// The journal section: one short critical section in which a frame gets its number, the node table's names change, the path is
// built from that table, and the frame gets its place in the output. Order and numbering live here and nowhere else.
//
// Why the order is right (tfs_stream(5) ORDER, and the proof in full there): a mutating request holds the locks of all nodes
// that it names over [its system calls, this section], so two that share a node stand in the order of their effects; those that
// share an object by implication (the victim of an unlink) are kept apart by the kernel's own inode lock until the first is
// answered; all others commute. A frame is in before its caller is answered, so what happened later stands later.
//
// Lock order: node locks (ascending id), then the section, then the table's and the output's own mutexes.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <type_traits>
#include <vector>

#include "lib/format/encode.h"
#include "lib/journal/node_table.h"
#include "lib/journal/output.h"

namespace tfs::journal {

// The most that a frame can take beside its [data], for Output::reserve().
constexpr size_t kFrameReserve = format::kHeaderSize + format::kMaxFields + format::kAlignment;

class Recorder {
 public:
  struct Source {
    std::string host, store;
  };
  Recorder(NodeTable& table, Output& output, Source source);

  // Gives the stream to a new reader, which begins with HELLO: of the same epoch where the last reader got everything, of a new
  // one where frames were lost. `store_is_empty` can be known only before the mount serves anyone.
  void attach(sys::Fd fd, bool store_is_empty);
  // Goes on where a predecessor was, with the reader that it had, if `fd` is open.
  void take_over(const format::Position& position, sys::Fd fd);

  // Goes on where one that was killed was, with the reader that it had, if there is one: in its epoch, or with a new one.
  void take_up(const format::Position& position, bool goes_on);

  // Waits for room for one frame without [data] (or for `size` bytes), and holds it: for the rare request that changes something unannounced.
  class Room {
   public:
    explicit Room(Recorder& recorder, size_t size = kFrameReserve) : output_(recorder.output_), size_(size) {
      output_.wait_and_reserve(size_);
    }
    ~Room() { output_.release(size_); }
    Room(const Room&) = delete;
    Room& operator=(const Room&) = delete;

   private:
    Output& output_;
    const size_t size_;
  };

  // Holds the section while it lives. Room was reserved before, outside of all locks.
  class Section {
   public:
    explicit Section(Recorder& recorder) : recorder_(recorder), guard_(recorder.mutex_) {}

    // The node's path in `storage`, which the record views; empty where the node is nameless and known by its id.
    // Where a path is too deep for a frame, the section's frames become a GAP; for an object that is out of the tree for
    // good and that no mirror holds, nothing is put.
    std::string_view path(Node& node, std::string& storage);
    // The path of a name in a directory.
    std::string_view path(Node& dir, std::string_view name, std::string& storage);

    // Gives the record its number and its place.
    template <class R>
    void put(uint64_t ino, uint64_t links, const R& record) {
      put(ino, links, record, 0);
    }
    template <class R>
    void put(uint64_t ino, uint64_t links, const R& record, uint32_t data_checksum) {
      if (is_silent_) return;
      recorder_.put({recorder_.seq_ + 1, ino, static_cast<uint32_t>(links)}, record, data_checksum, is_lost_);
    }

    // Instead of what no frame can hold: GAP.
    void put_loss() { recorder_.put_gap(recorder_.seq_ + 1); }

   private:
    Recorder& recorder_;
    std::lock_guard<std::mutex> guard_;
    bool is_lost_ = false, is_silent_ = false;
  };

  // Scratch for paths, one set a thread.
  struct Paths {
    std::string first, second;
  };
  static Paths& paths();

  void heartbeat();
  // END, once, after all else.
  void end();

  format::Position position();

 private:
  friend class Section;
  template <class R>
  void put(const format::Label& label, const R& record, uint32_t data_checksum, bool is_lost);
  void put_gap(uint64_t seq);
  void put_hello(bool store_is_empty);

  NodeTable& table_;
  Output& output_;
  const Source source_;
  format::Epoch epoch_;
  std::mutex mutex_;
  uint64_t seq_ = 0;
  std::vector<std::byte> scratch_;
};

template <class R>
void Recorder::put(const format::Label& label, const R& record, uint32_t data_checksum, bool is_lost) {
  if (is_lost) return put_gap(label.seq);
  ByteView data;
  if constexpr (requires { record.data; }) data = record.data;
  size_t head = format::head_size(record);
  if (scratch_.size() < head) scratch_.resize(head);
  size_t stride = format::store_head(label, record, data_checksum, scratch_.data());
  static constexpr std::byte kPadding[format::kAlignment]{};
  ByteView parts[] = {{scratch_.data(), head}, data, {kPadding, stride - head - data.size()}};
  if constexpr (!std::is_same_v<R, format::Hello>) seq_ = label.seq;  // which has none
  output_.append(parts, seq_);
}

}  // namespace tfs::journal

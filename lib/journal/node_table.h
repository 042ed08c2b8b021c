// What the kernel holds of the store: one Node per inode, with the names under which it is known.
//
// A node is known by inode number and file handle, never by a path (a rename of any ancestor would break it) and never by a
// descriptor of its own (each would pin 1.5 KiB of kernel memory and the limit is often 20,000). Paths are built from the
// names when a frame needs one. A node lives while the kernel counts lookups of it, or names below it need it as a parent:
// memory is bounded by what the kernel holds, about 200 bytes and the name each.
//
// Nodes and names lie in an arena (arena.h), each change of which leaves a table that a successor can take up: where the arena that
// it is given holds nodes, a table begins with these.
//
// Threads: every method may be called by any thread; one mutex inside, never held while anything blocks. Names are changed by the
// journal section alone (recorder.h), so that a path is right at its frame's place in the stream; only lookups add names beside it.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lib/journal/arena.h"
#include "lib/journal/node_lock.h"

namespace tfs::journal {

// A file handle of name_to_handle_at(2), which tells an inode from the next user of its number. size 0: the store has none.
struct Handle {
  static constexpr size_t kCapacity = 22;
  uint8_t size = 0;
  uint8_t type = 0;
  std::array<uint8_t, kCapacity> bytes{};
  bool operator==(const Handle&) const = default;
};

struct Node;

struct Name {
  Node* parent;
  Node* node;
  Name* next;  // of the same node
  uint16_t size;
  std::string_view text() const { return {reinterpret_cast<const char*>(this + 1), size}; }
};

struct Node {
  uint64_t id = 0;       // FUSE's node id: counted up, never used again; the root's is 1
  uint64_t ino = 0;      // in the store, and [id] in frames
  uint64_t lookups = 0;  // what the kernel will send back as FORGET
  Handle handle;
  uint32_t children = 0;  // names in the table that have this node as parent
  uint32_t opens = 0;     // descriptors of the store that are open for it
  NodeLock lock;          // held by a mutating request over [system calls, journal section]; ascending by id where several
  std::atomic<uint32_t> changes{0};           // of a directory: odd while a request changes its names, so that lookups can tell
  std::atomic<uint8_t> default_acl{0};        // of a directory: 0 not looked yet, 1 it has none, 2 it has one
  std::atomic<uint8_t> gives_flags{0};        // of a directory: the same for inode flags, which new objects may take from it
  std::atomic<bool> lacks_capability{false};  // of a file: it has no security.capability for sure
  bool is_directory = false;
  bool is_held = false;  // nameless now or before; the mirror keeps it by id until FORGET
  Name* names = nullptr;
  // O_PATH descriptor of an object whose last link has gone but that the kernel still refers to (a cwd, an O_PATH descriptor of
  // a program's): all works on it as on any filesystem, and nothing of it concerns the journal unless it is held.
  std::atomic<int> grave{-1};
  uint32_t name_count = 0;
  Node* next_by_id = nullptr;
  Node* next_by_ino = nullptr;
};

struct Identity {
  uint64_t ino = 0;
  Handle handle;
  bool is_directory = false;
};

// A node as it is handed over: parents by their ids.
struct SavedNode {
  uint64_t id = 0, ino = 0, lookups = 0;
  Handle handle;
  uint32_t opens = 0;
  bool is_directory = false, is_held = false;
  int grave = -1;
  std::vector<std::pair<uint64_t, std::string>> names;
};

class NodeTable {
 public:
  // In `memory`, which outlives it.
  NodeTable(const Identity& root, std::span<std::byte> memory);
  NodeTable(const NodeTable&) = delete;
  NodeTable& operator=(const NodeTable&) = delete;

  Node& root() { return *root_; }

  // Null for an id that is not known. Pointers stay good while the kernel holds a lookup, and during a request that names it.
  Node* find(uint64_t id);
  Node* find_ino(uint64_t ino);

  // The node of an object that stands at `name` in `dir`; made if it is new. Counts `lookups`.
  Node& enter(Node& dir, std::string_view name, const Identity& identity, uint64_t lookups);
  // The same for a lookup, which no lock excludes: null where the names of `dir` have changed since `changes` was read.
  Node* enter_unless_changed(Node& dir, std::string_view name, const Identity& identity, uint64_t lookups, uint32_t changes);
  // A file born without a name (O_TMPFILE): held, one lookup, one open.
  Node& enter_nameless(const Identity& identity);

  // One lookup more for a node that is in reach anyway.
  void add_lookup(Node& node);
  // The node of an inode number, with one lookup more, or null.
  Node* refer_to_ino(uint64_t ino);
  // What is held although it has a name again is held no more; its inode numbers, so that mirrors can be told.
  std::vector<uint64_t> let_go_named();
  bool let_go_if_named(Node& node);
  // All that is nameless and held, with one lookup more each.
  std::vector<Node*> held_nodes();

  // The node that has this name, looked for among all names; or null.
  Node* find_name(Node& dir, std::string_view name);

  void remove_name(Node& node, Node& dir, std::string_view name);
  void add_name(Node& node, Node& dir, std::string_view name);

  // Takes lookups back; the node goes when nothing needs it.
  void forget(uint64_t id, uint64_t lookups);

  // Counts an open; false where the object has left the tree and nobody holds it: ESTALE, and the kernel looks again.
  bool add_open(Node& node);
  // Counts a close of an object that is not held; false, and nothing is done, where it is. The node may be gone afterwards.
  bool remove_open_unless_held(Node& node);
  // The same for a held object, in the journal section; true where this was the last one and the mirror may let it go.
  bool remove_open(Node& node);
  // What a killed process had let go, but for the word of it. True where the mirror may let it go.
  bool let_go_if_closed(Node& node);
  // Whether an object that has just lost a name must be held from now on: it has no other, is open, and is not held already.
  bool hold_if_nameless(Node& node);

  // Keeps an object whose last link has gone in reach until the kernel forgets it. Takes the descriptor.
  void bury(Node& node, int fd);

  // Whether changes of the object belong into the journal: it has a name, or is held.
  bool is_recorded(Node& node);
  bool is_held(Node& node);
  // Whether it can be operated on at all; if not, ESTALE, and the kernel looks again.
  bool is_reachable(Node& node);

  // Any path of the node ("." for the root) of at most `limit` bytes into `out`, which is empty else.
  enum class PathResult { kFound, kNameless, kTooDeep };
  PathResult path_of(Node& node, std::string& out, size_t limit);

  size_t size() const;

  // For a successor, which loads it into a table that is new.
  std::vector<SavedNode> save() const;
  void load(const std::vector<SavedNode>& nodes);

  // The graves' descriptors.
  std::vector<int> graves() const;

  // Of what a killed process has left: one of the descriptors that are open for it; then, behind all of these: what is open and
  // nameless is held, what nobody needs goes.
  void add_taken_open(Node& node);
  void finish_taking_up();

 private:
  static constexpr uint32_t kNodeKind = 1, kNameKind = 2;
  static constexpr uint32_t kFewNames = 16;  // of a node: so many are found by walking its list

  struct NameKey {
    const Node *node, *parent;
    std::string_view text;
    bool operator==(const NameKey&) const = default;
  };
  struct NameKeyHash {
    size_t operator()(const NameKey& key) const;
  };
  static NameKey key_of(const Name& name);
  struct FoundName {
    Name* name = nullptr;
    Name* previous = nullptr;  // in the node's list
  };

  void take_up();
  FoundName look_up_name(const Node& node, const Node& dir, std::string_view text) const;
  Node& find_or_make(const Identity& identity);
  void insert(Node& node);
  void put_name(Node& node, Node& dir, std::string_view name);
  void link_name(Name& name);
  void drop_name(const FoundName& found);
  void drop_if_unused(Node* node);
  void rehash();

  mutable std::mutex mutex_;
  Arena arena_;
  std::vector<Node*> by_id_, by_ino_;                               // chained hash tables; buckets a power of two
  std::unordered_map<NameKey, FoundName, NameKeyHash> many_names_;  // of nodes that have more than kFewNames
  size_t count_ = 0;
  uint64_t next_id_ = 1;
  Node* root_ = nullptr;
};

}  // namespace tfs::journal

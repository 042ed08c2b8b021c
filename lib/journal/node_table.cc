#include "lib/journal/node_table.h"

#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>

#include "lib/base/check.h"

namespace tfs::journal {
namespace {

size_t spread(uint64_t key) { return static_cast<size_t>(key * 0x9e3779b97f4a7c15u >> 20); }

void unlink_from(std::vector<Node*>& buckets, uint64_t key, Node* Node::*next, Node* node) {
  Node** at = &buckets[spread(key) & (buckets.size() - 1)];
  while (*at != nullptr && *at != node) at = &((*at)->*next);
  if (*at == node) *at = node->*next;
}

}  // namespace

NodeTable::NodeTable(const Identity& root, std::span<std::byte> memory) : arena_(memory), by_id_(1024), by_ino_(1024) {
  take_up();
  if (root_ != nullptr) return;
  root_ = &find_or_make(root);
  root_->lookups = 1;
}

// What a killed process has left. Of two nodes that had one inode number after each other the later one has it now.
void NodeTable::take_up() {
  std::vector<Node*> nodes;
  std::vector<Name*> names;
  arena_.each([&](uint32_t kind, void* object) {
    if (kind == kNodeKind) nodes.push_back(static_cast<Node*>(object));
    if (kind == kNameKind) names.push_back(static_cast<Name*>(object));
  });
  std::ranges::sort(nodes, {}, &Node::id);
  for (Node* node : nodes) {
    new (&node->lock) NodeLock;
    node->children = node->opens = 0;
    node->changes = 0;
    node->default_acl = node->gives_flags = 0;
    node->lacks_capability = false;
    node->names = nullptr;
    node->name_count = 0;
    insert(*node);
    next_id_ = node->id + 1;
  }
  if (!nodes.empty()) root_ = nodes.front();
  for (Name* name : names) link_name(*name);
}

Node* NodeTable::find(uint64_t id) {
  std::lock_guard guard(mutex_);
  Node* node = by_id_[spread(id) & (by_id_.size() - 1)];
  while (node != nullptr && node->id != id) node = node->next_by_id;
  return node;
}

Node* NodeTable::find_ino(uint64_t ino) {
  std::lock_guard guard(mutex_);
  Node* node = by_ino_[spread(ino) & (by_ino_.size() - 1)];
  while (node != nullptr && node->ino != ino) node = node->next_by_ino;
  return node;
}

// With mutex_ held. An inode whose number is used again has another handle: the old node keeps its id alone.
Node& NodeTable::find_or_make(const Identity& identity) {
  Node* node = by_ino_[spread(identity.ino) & (by_ino_.size() - 1)];
  while (node != nullptr && node->ino != identity.ino) node = node->next_by_ino;
  if (node != nullptr && node->handle == identity.handle && node->is_directory == identity.is_directory) return *node;
  node = new (arena_.allocate(sizeof(Node))) Node;
  node->id = next_id_++;
  node->ino = identity.ino;
  node->handle = identity.handle;
  node->is_directory = identity.is_directory;
  Arena::use(node, kNodeKind);
  insert(*node);
  return *node;
}

// With mutex_ held, or alone.
void NodeTable::insert(Node& node) {
  if (count_ >= by_id_.size()) rehash();
  auto link_in = [](std::vector<Node*>& buckets, uint64_t key, Node* Node::*next, Node& of) {
    Node*& bucket = buckets[spread(key) & (buckets.size() - 1)];
    of.*next = std::exchange(bucket, &of);
  };
  link_in(by_id_, node.id, &Node::next_by_id, node);
  for (Node* other = by_ino_[spread(node.ino) & (by_ino_.size() - 1)]; other != nullptr; other = other->next_by_ino) {
    if (other->ino != node.ino) continue;
    unlink_from(by_ino_, other->ino, &Node::next_by_ino, other);
    break;
  }
  link_in(by_ino_, node.ino, &Node::next_by_ino, node);
  count_ += 1;
}

void NodeTable::rehash() {
  std::vector<Node*> ids(by_id_.size() * 2), inos(by_ino_.size() * 2);
  auto move = [](std::vector<Node*>& from, std::vector<Node*>& to, uint64_t Node::*key, Node* Node::*next) {
    for (Node* head : from) {
      while (head != nullptr) {
        Node* node = std::exchange(head, head->*next);
        Node*& bucket = to[spread(node->*key) & (to.size() - 1)];
        node->*next = bucket;
        bucket = node;
      }
    }
    from.swap(to);
  };
  move(by_id_, ids, &Node::id, &Node::next_by_id);
  move(by_ino_, inos, &Node::ino, &Node::next_by_ino);
}

Node& NodeTable::enter(Node& dir, std::string_view name, const Identity& identity, uint64_t lookups) {
  Node* node = enter_unless_changed(dir, name, identity, lookups, dir.changes.load());
  TFS_CHECK(node != nullptr);  // `dir` is locked by the caller
  return *node;
}

Node* NodeTable::enter_unless_changed(Node& dir, std::string_view name, const Identity& identity, uint64_t lookups,
                                      uint32_t changes) {
  std::lock_guard guard(mutex_);
  if (dir.changes.load() != changes) return nullptr;
  Node& node = find_or_make(identity);
  node.lookups += lookups;
  put_name(node, dir, name);
  return &node;
}

Node& NodeTable::enter_nameless(const Identity& identity) {
  std::lock_guard guard(mutex_);
  Node& node = find_or_make(identity);
  node.lookups += 1;
  node.opens += 1;
  node.is_held = true;
  return node;
}

void NodeTable::add_lookup(Node& node) {
  std::lock_guard guard(mutex_);
  node.lookups += 1;
}

Node* NodeTable::refer_to_ino(uint64_t ino) {
  std::lock_guard guard(mutex_);
  Node* node = by_ino_[spread(ino) & (by_ino_.size() - 1)];
  while (node != nullptr && node->ino != ino) node = node->next_by_ino;
  if (node != nullptr) node->lookups += 1;
  return node;
}

std::vector<uint64_t> NodeTable::let_go_named() {
  std::lock_guard guard(mutex_);
  std::vector<uint64_t> inos;
  for (Node* head : by_id_) {
    for (Node* node = head; node != nullptr; node = node->next_by_id) {
      if (!node->is_held || node->names == nullptr) continue;
      node->is_held = false;
      inos.push_back(node->ino);
    }
  }
  return inos;
}

bool NodeTable::let_go_if_named(Node& node) {
  std::lock_guard guard(mutex_);
  return node.names != nullptr && std::exchange(node.is_held, false);
}

std::vector<Node*> NodeTable::held_nodes() {
  std::lock_guard guard(mutex_);
  std::vector<Node*> held;
  for (Node* head : by_id_) {
    for (Node* node = head; node != nullptr; node = node->next_by_id) {
      if (!node->is_held || node->names != nullptr) continue;
      node->lookups += 1;
      held.push_back(node);
    }
  }
  return held;
}

// --- names of a node; with mutex_ held

size_t NodeTable::NameKeyHash::operator()(const NameKey& key) const {
  return std::hash<std::string_view>()(key.text) ^ spread(reinterpret_cast<uintptr_t>(key.parent)) ^
         spread(reinterpret_cast<uintptr_t>(key.node)) * 3;
}

NodeTable::NameKey NodeTable::key_of(const Name& name) { return {name.node, name.parent, name.text()}; }

NodeTable::FoundName NodeTable::look_up_name(const Node& node, const Node& dir, std::string_view text) const {
  if (node.name_count > kFewNames) {
    auto found = many_names_.find({&node, &dir, text});
    return found == many_names_.end() ? FoundName() : found->second;
  }
  FoundName found{node.names, nullptr};
  while (found.name != nullptr && (found.name->parent != &dir || found.name->text() != text)) {
    found = {found.name->next, found.name};
  }
  return found;
}

void NodeTable::put_name(Node& node, Node& dir, std::string_view text) {
  if (look_up_name(node, dir, text).name != nullptr) return;
  auto* name = static_cast<Name*>(arena_.allocate(sizeof(Name) + text.size()));
  *name = {&dir, &node, nullptr, static_cast<uint16_t>(text.size())};
  std::copy(text.begin(), text.end(), reinterpret_cast<char*>(name + 1));
  Arena::use(name, kNameKind);
  link_name(*name);
}

void NodeTable::link_name(Name& name) {
  Node& node = *name.node;
  name.next = std::exchange(node.names, &name);
  name.parent->children += 1;
  node.name_count += 1;
  if (node.name_count <= kFewNames) return;
  if (node.name_count > kFewNames + 1) {
    many_names_[key_of(*name.next)].previous = &name;
    many_names_[key_of(name)] = {&name, nullptr};
    return;
  }
  Name* previous = nullptr;
  for (Name* n = node.names; n != nullptr; n = n->next) many_names_[key_of(*n)] = {n, std::exchange(previous, n)};
}

void NodeTable::drop_name(const FoundName& found) {
  Name& name = *found.name;
  Node& node = *name.node;
  if (node.name_count == kFewNames + 1) {
    for (Name* n = node.names; n != nullptr; n = n->next) many_names_.erase(key_of(*n));
  } else if (node.name_count > kFewNames) {
    many_names_.erase(key_of(name));
    if (name.next != nullptr) many_names_[key_of(*name.next)].previous = found.previous;
  }
  (found.previous != nullptr ? found.previous->next : node.names) = name.next;
  node.name_count -= 1;
  name.parent->children -= 1;
  arena_.free(&name);
}

void NodeTable::add_name(Node& node, Node& dir, std::string_view name) {
  std::lock_guard guard(mutex_);
  put_name(node, dir, name);
}

void NodeTable::remove_name(Node& node, Node& dir, std::string_view name) {
  std::lock_guard guard(mutex_);
  FoundName found = look_up_name(node, dir, name);
  if (found.name != nullptr) drop_name(found);
}

Node* NodeTable::find_name(Node& dir, std::string_view name) {
  std::lock_guard guard(mutex_);
  Node* found = nullptr;
  arena_.each([&](uint32_t kind, void* object) {
    auto* here = static_cast<Name*>(object);
    if (kind == kNameKind && here->parent == &dir && here->text() == name) found = here->node;
  });
  return found;
}

void NodeTable::forget(uint64_t id, uint64_t lookups) {
  std::lock_guard guard(mutex_);
  Node* node = by_id_[spread(id) & (by_id_.size() - 1)];
  while (node != nullptr && node->id != id) node = node->next_by_id;
  if (node == nullptr) return;
  node->lookups -= std::min(lookups, node->lookups);
  drop_if_unused(node);
}

// Climbs: a parent may have been kept by this child's name alone.
void NodeTable::drop_if_unused(Node* node) {
  std::vector<Node*> unused{node};
  while (!unused.empty()) {
    node = unused.back();
    unused.pop_back();
    if (node == root_ || node->lookups > 0 || node->children > 0 || node->opens > 0) continue;
    while (Name* name = node->names) {
      Node* parent = name->parent;
      drop_name({name, nullptr});
      if (parent->children == 0) unused.push_back(parent);
    }
    unlink_from(by_id_, node->id, &Node::next_by_id, node);
    unlink_from(by_ino_, node->ino, &Node::next_by_ino, node);
    std::erase(unused, node);
    int grave = node->grave;
    arena_.free(node);  // first: whoever takes up the table would take the number of what is closed for its own
    if (grave >= 0) ::close(grave);
    count_ -= 1;
  }
}

bool NodeTable::add_open(Node& node) {
  std::lock_guard guard(mutex_);
  if (node.names == nullptr && !node.is_held && node.grave < 0 && &node != root_) return false;
  node.opens += 1;
  return true;
}

bool NodeTable::remove_open_unless_held(Node& node) {
  std::lock_guard guard(mutex_);
  if (node.is_held) return false;
  TFS_CHECK(node.opens > 0);
  node.opens -= 1;
  drop_if_unused(&node);
  return true;
}

bool NodeTable::remove_open(Node& node) {
  std::lock_guard guard(mutex_);
  TFS_CHECK(node.opens > 0);
  node.opens -= 1;
  if (node.opens > 0) return false;
  bool was_held = std::exchange(node.is_held, false);
  drop_if_unused(&node);
  return was_held;
}

bool NodeTable::let_go_if_closed(Node& node) {
  std::lock_guard guard(mutex_);
  if (node.opens > 0 || !std::exchange(node.is_held, false)) return false;
  drop_if_unused(&node);
  return true;
}

bool NodeTable::hold_if_nameless(Node& node) {
  std::lock_guard guard(mutex_);
  if (node.names != nullptr || node.opens == 0 || node.is_held) return false;
  node.is_held = true;
  return true;
}

void NodeTable::bury(Node& node, int fd) {
  std::lock_guard guard(mutex_);
  TFS_CHECK(node.grave < 0);
  node.grave = fd;
}

bool NodeTable::is_recorded(Node& node) {
  std::lock_guard guard(mutex_);
  return node.names != nullptr || node.is_held || &node == root_;
}

bool NodeTable::is_held(Node& node) {
  std::lock_guard guard(mutex_);
  return node.is_held;
}

bool NodeTable::is_reachable(Node& node) { return is_recorded(node) || node.grave >= 0; }

NodeTable::PathResult NodeTable::path_of(Node& node, std::string& out, size_t limit) {
  std::lock_guard guard(mutex_);
  out.clear();
  if (&node == root_) {
    out.assign(1, '.');  // g++ 12 warns wrongly of a literal here
    return PathResult::kFound;
  }
  size_t size = 0;
  for (Node* n = &node; n != root_; n = n->names->parent) {
    if (n->names == nullptr) return PathResult::kNameless;
    size += n->names->size + size_t{1};
  }
  size -= 1;
  if (size > limit) return PathResult::kTooDeep;
  out.resize(size);
  for (Node* n = &node; n != root_; n = n->names->parent) {
    std::string_view text = n->names->text();
    size -= text.size();
    std::copy(text.begin(), text.end(), out.begin() + static_cast<ptrdiff_t>(size));
    if (size > 0) out[--size] = '/';
  }
  return PathResult::kFound;
}

std::vector<SavedNode> NodeTable::save() const {
  std::lock_guard guard(mutex_);
  std::vector<SavedNode> nodes;
  nodes.reserve(count_);
  for (const Node* head : by_id_) {
    for (const Node* node = head; node != nullptr; node = node->next_by_id) {
      SavedNode& saved = nodes.emplace_back();
      saved = {node->id, node->ino, node->lookups, node->handle, node->opens, node->is_directory, node->is_held, node->grave, {}};
      for (const Name* n = node->names; n != nullptr; n = n->next) saved.names.emplace_back(n->parent->id, n->text());
    }
  }
  // Of two that had one inode number after each other the one that has it now comes last.
  std::ranges::sort(nodes, {}, &SavedNode::id);
  return nodes;
}

void NodeTable::load(const std::vector<SavedNode>& nodes) {
  for (const SavedNode& saved : nodes) {
    Node* node = root_;
    if (saved.id != root_->id) {
      std::lock_guard guard(mutex_);
      next_id_ = saved.id;
      node = &find_or_make({saved.ino, saved.handle, saved.is_directory});
    }
    node->lookups = saved.lookups;
    node->opens = saved.opens;
    node->is_held = saved.is_held;
    node->grave = saved.grave;
  }
  uint64_t last = root_->id;
  for (const SavedNode& saved : nodes) {
    last = std::max(last, saved.id);
    // The first is the one by which paths are built.
    for (auto name = saved.names.rbegin(); name != saved.names.rend(); ++name) {
      Node *node = find(saved.id), *parent = find(name->first);
      TFS_CHECK(node != nullptr && parent != nullptr);
      add_name(*node, *parent, name->second);
    }
  }
  next_id_ = last + 1;
}

std::vector<int> NodeTable::graves() const {
  std::lock_guard guard(mutex_);
  std::vector<int> found;
  for (const Node* head : by_id_) {
    for (const Node* node = head; node != nullptr; node = node->next_by_id) {
      if (node->grave >= 0) found.push_back(node->grave);
    }
  }
  return found;
}

void NodeTable::add_taken_open(Node& node) {
  std::lock_guard guard(mutex_);
  node.opens += 1;
}

void NodeTable::finish_taking_up() {
  std::lock_guard guard(mutex_);
  std::vector<Node*> unused;
  for (Node* head : by_id_) {
    for (Node* node = head; node != nullptr; node = node->next_by_id) {
      if (node->opens > 0 && node->names == nullptr && node->grave < 0) node->is_held = true;
      if (node->lookups == 0 && node->children == 0 && node->opens == 0) unused.push_back(node);
    }
  }
  for (Node* node : unused) drop_if_unused(node);
}

size_t NodeTable::size() const {
  std::lock_guard guard(mutex_);
  return count_;
}

}  // namespace tfs::journal

#include "lib/journal/node_table.h"

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace tfs::journal;

namespace {

Identity identity(uint64_t ino, bool is_directory) {
  Identity made{ino, {}, is_directory};
  made.handle.size = 1;
  return made;
}

using Names = std::set<std::pair<uint64_t, std::string>>;  // ids of parents, names

std::map<uint64_t, Names> names_of(const NodeTable& table) {
  std::map<uint64_t, Names> all;
  for (const SavedNode& node : table.save()) {
    for (const auto& name : node.names) CHECK(all[node.id].insert(name).second);
  }
  return all;
}

}  // namespace

TEST_CASE("a node has the names that were put and not taken, however many") {
  std::vector<uint64_t> memory((size_t{4} << 20) / sizeof(uint64_t));
  std::span<std::byte> bytes = std::as_writable_bytes(std::span(memory));
  std::mt19937 random(7);
  auto below = [&](uint32_t n) { return random() % n; };
  std::map<uint64_t, Names> model;
  {
    NodeTable table(identity(1, true), bytes);
    Node* dirs[] = {&table.root(), &table.enter(table.root(), "d", identity(2, true), 1)};
    model[dirs[1]->id].insert({table.root().id, "d"});
    Node* files[3];
    for (uint64_t i = 0; i < 3; i++) {
      files[i] = &table.enter(table.root(), "f" + std::to_string(i), identity(10 + i, false), 1);
      model[files[i]->id].insert({table.root().id, "f" + std::to_string(i)});
    }
    for (int i = 0; i < 30000; i++) {
      Node &file = *files[below(3)], &dir = *dirs[below(2)];
      // Now many, now few.
      bool puts = below(100) < (i / 1000 % 2 == 0 ? 70u : 30u);
      std::string name = "n" + std::to_string(&file - files[0]) + std::to_string(below(60));
      Names& names = model[file.id];
      if (puts && below(2) == 0) {
        CHECK(&table.enter(dir, name, identity(file.ino, false), 0) == &file);
        names.insert({dir.id, name});
      } else if (puts) {
        table.add_name(file, dir, name);
        names.insert({dir.id, name});
      } else {
        table.remove_name(file, dir, name);
        names.erase({dir.id, name});
      }
      CHECK(table.is_recorded(file) == !names.empty());
      std::string path;
      bool has_path = table.path_of(file, path, 4096) == NodeTable::PathResult::kFound;
      CHECK(has_path == !names.empty());
      bool is_below = path.starts_with("d/");
      if (has_path) CHECK(names.contains({dirs[is_below]->id, path.substr(is_below ? 2 : 0)}));
      if (i % 500 == 0) CHECK(names_of(table) == model);
    }
    // Some with many names are left.
    for (int i = 0; i < 100; i++) {
      table.add_name(*files[0], *dirs[1], "last" + std::to_string(i));
      model[files[0]->id].insert({dirs[1]->id, "last" + std::to_string(i)});
    }
    std::erase_if(model, [](const auto& entry) { return entry.second.empty(); });
    CHECK(names_of(table) == model);
  }
  NodeTable successor(identity(1, true), bytes);
  CHECK(names_of(successor) == model);
  uint64_t file = model.rbegin()->first;
  for (const auto& [id, names] : model) {
    if (names.size() > model[file].size()) file = id;
  }
  CHECK(model[file].size() >= 100);
  successor.forget(file, 1);
  model.erase(file);
  CHECK(names_of(successor) == model);
}

// Requests that were being done when the process that did them was killed, and are done again by its successor.
//
// The kernel holds the directories that a request names until it is answered. So where the store shows what a request was to bring
// about, it was this request that did: nobody else could.
//
// Threads: the successor's first, before there are others.
#pragma once

#include <string>

#include "lib/journal/flights.h"
#include "lib/journal/node_table.h"
#include "lib/journal/store.h"

namespace tfs::journal {

class Redo {
 public:
  Redo(Store& store, NodeTable& table) : store_(store), table_(table) {}

  // Whether it may have changed what no frame tells, and nothing that comes of doing it again will: then the stream cannot go on.
  bool is_doubtful(Flight& flight);

  // The names that it was to change become in the table what they are in the store. True where it is done, and success is its answer.
  bool settle(Flight& flight);
  // Behind all of them.
  void finish() { table_.finish_taking_up(); }

 private:
  bool settle_rename(uint64_t from, uint64_t to, const char* names);
  bool is_there(uint64_t parent, const char* name, Identity& identity);
  bool settle_name(uint64_t parent, const char* name);

  Store& store_;
  NodeTable& table_;
};

}  // namespace tfs::journal

#include "lib/format/encode.h"

namespace tfs::format {

void append_xattr(std::string_view name, ByteView value, std::vector<std::byte>& out) {
  size_t start = out.size();
  out.resize(start + 2 + name.size() + 4 + value.size());
  StoreVisitor v{out.data() + start};
  v.xattr_name("", name);
  v.blob("", value);
}

void append_entry(uint8_t type, std::string_view name, std::vector<std::byte>& out) {
  size_t start = out.size();
  out.resize(start + 1 + 2 + name.size());
  out[start] = std::byte{type};
  StoreVisitor v{out.data() + start + 1};
  v.entry("", name);
}

}  // namespace tfs::format

// What the owners of uv handles share. A uv handle closes *later*: libuv keeps a pointer to it until the close callback, so the
// handle and the function to call live together in a Box on the heap that only the close callback frees. An owner may therefore
// be destroyed at any time, from inside its own callback, too: nothing is called any more, and what runs stays in memory.
// Included by the .cc files of this folder only.
#pragma once

#include <uv.h>

#include <memory>

namespace tfs::loop {

template <class UvHandle, class Fn>
struct Box {
  UvHandle handle{};
  Fn fn;
  bool is_owned = true;

  explicit Box(Fn f) : fn(std::move(f)) { handle.data = this; }
  uv_handle_t* base() { return reinterpret_cast<uv_handle_t*>(&handle); }
};

// For a handle that uv_..._init took.
template <class B>
void close_later(B* box) noexcept {
  box->is_owned = false;
  uv_close(box->base(), [](uv_handle_t* handle) noexcept { delete static_cast<B*>(handle->data); });
}

template <class B, class UvHandle, class... Args>
void call(UvHandle* handle, Args... args) noexcept {
  B* box = static_cast<B*>(handle->data);
  if (box->is_owned) box->fn(args...);
}

}  // namespace tfs::loop

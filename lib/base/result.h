// A value or an Error. A subset of std::expected, which g++ 12 has only with -std=c++23 and clang 14 not at all.
#pragma once

#include <optional>
#include <utility>
#include <variant>

#include "lib/base/check.h"
#include "lib/base/error.h"

namespace tfs {

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : held_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return held_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & {
    TFS_CHECK(ok());
    return *std::get_if<0>(&held_);
  }
  T&& value() && {
    TFS_CHECK(ok());
    return std::move(*std::get_if<0>(&held_));
  }
  const T& value() const& {
    TFS_CHECK(ok());
    return *std::get_if<0>(&held_);
  }
  T& operator*() & { return value(); }
  T* operator->() { return &value(); }
  const Error& error() const& { return *std::get_if<1>(&held_); }
  Error&& error() && { return std::move(*std::get_if<1>(&held_)); }

 private:
  std::variant<T, Error> held_;
};

// Success, or an Error.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const& { return *error_; }
  Error&& error() && { return std::move(*error_); }
  void value() const {}

 private:
  std::optional<Error> error_;
};

}  // namespace tfs

// The value of EXPR, or a return of its Error from the function around it. Nested uses get names of their own.
#define TFS_TRY(expr) TFS_TRY_NAMED(expr, TFS_TRY_JOIN(tfs_try_, __COUNTER__))
#define TFS_TRY_JOIN(a, b) TFS_TRY_JOIN_NOW(a, b)
#define TFS_TRY_JOIN_NOW(a, b) a##b
#define TFS_TRY_NAMED(expr, name)                   \
  __extension__({                                   \
    auto name = (expr);                             \
    if (!name.ok()) return std::move(name).error(); \
    std::move(name).value();                        \
  })

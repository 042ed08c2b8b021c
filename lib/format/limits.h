// Every maximum of tfs_stream(5) LIMITS; no limit stands anywhere else.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tfs::format {

constexpr size_t kHeaderSize = 32;
constexpr size_t kAlignment = 16;                    // frames start at multiples of this
constexpr size_t kMaxData = size_t{1} << 20;         // [data] of one frame: what FUSE hands over at once
constexpr size_t kMaxFields = size_t{256} << 10;     // all of a payload that is not [data]
constexpr size_t kMaxFrame = kMaxData + kMaxFields;  // header and payload
constexpr size_t kMaxPath = 65535;                   // bytes of a path
constexpr size_t kMaxName = 255;                     // bytes of a path's component
constexpr size_t kMaxTarget = 4095;                  // bytes of a symbolic link's target
constexpr size_t kMaxXattrName = 255;
constexpr size_t kMaxXattrValue = size_t{64} << 10;
constexpr size_t kMaxText = 4096;                 // [host] and [store] of HELLO
constexpr size_t kHashBlock = size_t{128} << 10;  // what one HASH covers at most; blocks begin at multiples of it
constexpr size_t kHashPage = size_t{4} << 10;     // of which [holes] of HASH tells one by one
constexpr uint32_t kMaxNanosecond = 999'999'999;

}  // namespace tfs::format

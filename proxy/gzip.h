// SPDX-License-Identifier: MIT
// Unpacks gzip (RFC 1952), piece by piece: the door of zlib. Members that follow one another, as
// `cat a.gz b.gz` makes them, are one text. Memory: about 40 KiB. Thread rule: one thread.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "spillway/result.h"

namespace spillway {

class Gunzip {
 public:
  static bool IsGzip(std::string_view beginning) { return beginning.starts_with("\x1f\x8b"); }

  Gunzip();
  ~Gunzip();

  // Takes bytes off *packed and writes into `out`; gives how many. Zero: it needs more bytes.
  Result<std::size_t> Unpack(std::string_view* packed, std::span<char> out);
  // Whether the bytes so far end where a member does.
  bool whole() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spillway

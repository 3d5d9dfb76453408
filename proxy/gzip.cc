// SPDX-License-Identifier: MIT
#include "proxy/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <new>

namespace spillway {

struct Gunzip::Impl {
  z_stream stream{};
  bool between = false;  // a member has ended, and no byte of another has come
};

Gunzip::Gunzip() : impl_(std::make_unique<Impl>()) {
  constexpr int kGzipOnly = 16 + MAX_WBITS;
  if (inflateInit2(&impl_->stream, kGzipOnly) != Z_OK) throw std::bad_alloc();
}

Gunzip::~Gunzip() {
  inflateEnd(&impl_->stream);
}

bool Gunzip::whole() const {
  return impl_->between;
}

Result<std::size_t> Gunzip::Unpack(std::string_view* packed, std::span<char> out) {
  z_stream& stream = impl_->stream;
  constexpr std::size_t kMost = std::numeric_limits<uInt>::max();
  const std::size_t room = std::min(out.size(), kMost);
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(room);
  while (!packed->empty() && stream.avail_out > 0) {
    if (impl_->between) {
      // Some writers fill the last block of a tape, or of a file, with zeroes.
      if (packed->front() == '\0') {
        packed->remove_prefix(1);
        continue;
      }
      inflateReset(&stream);
      impl_->between = false;
    }
    const std::size_t given = std::min(packed->size(), kMost);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed->data()));
    stream.avail_in = static_cast<uInt>(given);
    const int state = inflate(&stream, Z_NO_FLUSH);
    packed->remove_prefix(given - stream.avail_in);
    if (state == Z_STREAM_END) {
      impl_->between = true;
    } else if (state != Z_OK && state != Z_BUF_ERROR) {
      return Fail(std::string("the gzip data is damaged") +
                  (stream.msg != nullptr ? ": " + std::string(stream.msg) : ""));
    } else if (state == Z_BUF_ERROR) {
      break;
    }
  }
  return room - stream.avail_out;
}

}  // namespace spillway

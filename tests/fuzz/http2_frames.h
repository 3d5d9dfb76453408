// SPDX-License-Identifier: MIT
// Frames of HTTP/2 for both fuzzers of it, well framed, so that what they hold is reached.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tests/fuzz/http1_second_reading.h"

namespace spillway::testing {

// What a client says first.
inline constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

inline void Put(std::uint32_t value, int bytes, std::string* out) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out->push_back(static_cast<char>(value >> shift & 255));
  }
}

// Records: type, flags, stream, length of the payload (a byte each), payload.
inline std::string FramesOf(std::string_view records) {
  std::string frames("\0\0\0\4\0\0\0\0\0", 9);  // SETTINGS
  while (records.size() >= 4) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(records[at]); };
    const std::string_view payload = records.substr(4, byte(3));
    Put(static_cast<std::uint32_t>(payload.size()), 3, &frames);
    frames.append(records.substr(0, 2));
    Put(byte(2), 4, &frames);
    frames.append(payload);
    records.remove_prefix(4 + payload.size());
  }
  return frames;
}

// Whole frames, none larger than either side must take.
inline void CheckFrames(std::string_view out) {
  while (!out.empty()) {
    Require(out.size() >= 9, "half a frame", out);
    const auto byte = [&](std::size_t at) {
      return std::size_t{static_cast<unsigned char>(out[at])};
    };
    const std::size_t size = byte(0) << 16 | byte(1) << 8 | byte(2);
    Require(size <= 16384 && out.size() >= 9 + size, "a frame of a wrong size", out);
    out.remove_prefix(9 + size);
  }
}

}  // namespace spillway::testing

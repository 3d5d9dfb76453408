// SPDX-License-Identifier: MIT
// Requests to read, and the reading of one whole, cut at each byte, and byte by byte.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "proxy/http1.h"
#include "tests/unit/http1_feeding.h"

namespace spillway {

inline testing::Reading ReadAll(std::string_view bytes, const MessageLimits& limits = {}) {
  return testing::ReadEveryWay(
      [&] { return RequestParser(limits); }, bytes, false,
      [&](std::size_t cut, const testing::Reading& whole, const testing::Reading& parts) {
        ADD_FAILURE() << "cut at " << cut << "\nwhole: " << whole << "\nparts: " << parts;
      });
}

// A request that is fine but for what is put into it.
inline std::string With(std::string_view line) {
  return "GET /a HTTP/1.1\r\nHost: h\r\n" + std::string(line) + "\r\n\r\n";
}
inline std::string Post(std::string_view fields, std::string_view body) {
  return "POST /a HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + "\r\n\r\n" + std::string(body);
}
inline std::string Chunked(std::string_view body) {
  return Post("Transfer-Encoding: chunked", body);
}

}  // namespace spillway

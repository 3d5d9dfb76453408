// SPDX-License-Identifier: MIT
// The text of a Date field (IMF-fixdate, RFC 9110 5.6.7), made anew once a second. No locale, no
// time zone. Thread rule: one thread owns it.
#pragma once

#include <cstdint>
#include <string_view>

#include "spillway/units.h"

namespace spillway {

class HttpDate {
 public:
  // "Sun, 06 Nov 1994 08:49:37 GMT". The view holds until the next call.
  // REQUIRES: 1970 <= now < 10000.
  std::string_view At(WallTime now);

 private:
  std::int64_t second_ = -1;
  char text_[29] = {};
};

}  // namespace spillway

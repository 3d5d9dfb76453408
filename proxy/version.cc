// SPDX-License-Identifier: MIT
#include "proxy/version.h"

namespace spillway {

std::string_view Version() {
  return SPILLWAY_VERSION;
}

}  // namespace spillway

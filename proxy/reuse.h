// SPDX-License-Identifier: MIT
// Strings and vectors whose room serves one message after another: the rare large message must not
// leave its room behind with a connection that idles.
#pragma once

#include <cstddef>

namespace spillway {

inline constexpr std::size_t kMostKept = 4096;  // bytes of room that outlive their use

template <typename Container>
void ClearForReuse(Container* it) {
  if (it->capacity() * sizeof(typename Container::value_type) > kMostKept) {
    Container().swap(*it);
  } else {
    it->clear();
  }
}

}  // namespace spillway

// SPDX-License-Identifier: MIT
// Which listener of a configuration a socket belongs to, from one reload to the next: the text of
// its address, and its place among the listeners with the same text (every ":0" is another port).
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "spillway/config.h"

namespace spillway {

struct ListenerId {
  std::string text;       // as configured
  std::size_t place = 0;  // 0: the first with this text
  friend auto operator<=>(const ListenerId&, const ListenerId&) = default;
};

// Of each of `configs`, in their order.
inline std::vector<ListenerId> ListenerIds(std::span<const ListenerConfig> configs) {
  std::map<std::string, std::size_t> seen;
  std::vector<ListenerId> ids;
  for (const ListenerConfig& config : configs) {
    ids.push_back({config.address.text, seen[config.address.text]++});
  }
  return ids;
}

}  // namespace spillway

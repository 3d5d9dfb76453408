// SPDX-License-Identifier: MIT
// Which family a User-Agent says it is of: a browser on a kind of machine, a bot by its name, a
// program. For people who look at a log; who writes it can claim anything. Not for decisions.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

namespace spillway {

// The families' number; FamilyName(0) .. FamilyName(kFamilies() - 1).
std::size_t AgentFamilies();
std::string_view FamilyName(std::size_t family);
std::size_t FamilyOf(std::string_view user_agent);

// FamilyOf with a memory for texts that come again: 4,096 of them, by a hash of 64 bits. Two texts
// that are taken for one another are counted as one family. Thread rule: one thread.
class FamilyMemo {
 public:
  std::size_t Of(std::string_view user_agent);

 private:
  struct Entry {
    std::uint64_t hash = 0;
    std::size_t family = 0;
  };
  static constexpr std::size_t kEntries = 4096;
  std::unique_ptr<std::array<Entry, kEntries>> entries_ =
      std::make_unique<std::array<Entry, kEntries>>();
};

}  // namespace spillway

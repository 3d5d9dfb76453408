// SPDX-License-Identifier: MIT
// Which tests of a rule set hold for a text, remembered: browsers send the same user agent over and
// over, and looking for thousands of words and expressions in it costs more than all else that is
// decided about a request.
//
// A text is known by 94 bits of a keyed hash that holds against whoever writes the texts: two that
// have the same ones will not be met. A memo belongs to one rule set, as tests have their numbers
// there.
//
// Thread rule: one thread. Memory: kBytes, which the kernel gives as it is written to. Texts that
// come but once leave those alone that come often.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "spillway/keyed_hash.h"

namespace spillway {

// The numbers of the few tests that hold for a text.
class FewTests {
 public:
  // False: there are more, or one has a larger number, than can be kept. The same test may be added
  // more than once.
  bool Add(std::uint32_t test);
  template <class Visit>
  void ForEach(Visit&& visit) const {
    for (const std::uint16_t next : next_) {
      if (next != 0) visit(std::uint32_t{next} - 1);
    }
  }

 private:
  std::array<std::uint16_t, 2> next_{};  // the number behind the test's; 0: none
};

class MatchMemo {
 public:
  static constexpr std::size_t kTexts = 1 << 15;
  static constexpr std::size_t kBytes = kTexts * 16;
  static constexpr std::size_t kMostText = 2048;  // longer ones are not worth their hash

  explicit MatchMemo(const HashSecret& secret) : secret_(secret) {}

  // Some tests of a field are looked for apart from the others.
  enum class Half : std::uint32_t { kFirst = 1, kSecond = 2 };

  // What stands for a text in Find.
  WideHash Hash(std::string_view text) const { return KeyedHash(text, secret_); }
  // The tests of a field that hold for a text: of one half, and maybe of the other. Null: that half
  // is not known. Holds until the next call.
  const FewTests* Find(std::uint32_t field, Half half, const WideHash& text);
  // Remembers them of the half and text that Find was asked about last, and did not know.
  void Learn(const FewTests& tests);

 private:
  struct Entry {
    std::uint64_t low = 0;
    std::uint32_t high = 0;  // the lowest two bits: the halves that are known; 0: vacant
    FewTests tests;
  };
  static_assert(sizeof(Entry) == 16);
  struct alignas(64) Set {
    std::array<Entry, 4> entries;
  };
  static constexpr std::size_t kSets = kBytes / sizeof(Set);
  struct Free {
    void operator()(void* room) const;
  };

  void MakeRoom();

  const HashSecret secret_;
  std::unique_ptr<void, Free> room_;  // made with the first text
  Set* sets_ = nullptr;               // in it
  Set* set_ = nullptr;                // of the text that was asked about last,
  Entry* entry_ = nullptr;            // its entry, or null,
  std::uint64_t low_ = 0;             // its hash, and the half that was asked for
  std::uint32_t high_ = 0, half_ = 0;
};

}  // namespace spillway

// SPDX-License-Identifier: MIT
// What a worker remembers of the requests that it refused, by the ids that their answers told: who
// asked for what, what the verdict was, and how limits and toggles stood when it was made. The oldest
// give way to new ones. Nothing is kept of requests that were forwarded.
//
// Thread rule: the worker's loop thread; whoever else wants one asks it by a task. So writing one,
// which every refusal of a flood pays for, takes no lock and allocates nothing.
// Memory: 4,096 receipts of 1 KiB for each worker, of which pages that were never written to take none.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "proxy/counters.h"
#include "spillway/admission.h"
#include "spillway/bots.h"
#include "spillway/verdict.h"

namespace spillway {

// Neither constructed nor cleared: Receipts::Add sets what Set and the reader go by.
struct Receipt {
  // In the order in which they are written: what comes last is cut where there is no room.
  enum class Text : std::uint8_t {
    kId,
    kClient,
    kRule,   // the one that ended it: its name
    kPlace,  // and place
    kLimit,  // the one that refused
    kMethod,
    kHost,
    kPath,
    kUserAgent,
    kReferer,
    kAcceptLanguage,
    kJa4,
    kQuery,
    kCount,
  };
  // Of a limit that was charged or refused; as LimitOutcome.
  struct Limit {
    std::int64_t retry_after, reset;  // nanoseconds
    std::uint64_t remaining;
    std::uint32_t limit;
    bool allowed, from_parent;
  };
  // Of one that was shed: as what it asked, and how long it had waited.
  struct Shed {
    ShedReason reason;  // kNone: it was not shed
    TrafficClass traffic_class;
    std::uint8_t cohort;
    bool is_protected;
    std::uint32_t queued_ms;
  };
  static constexpr std::size_t kTexts = static_cast<std::size_t>(Text::kCount);
  static constexpr std::size_t kMostToggles = 64, kMostMatches = 24, kMostLimits = 4;
  static constexpr std::size_t kRoom = 628;  // bytes of text

  // Each at most once.
  void Set(Text text, std::string_view value);
  void SetLimits(std::span<const LimitOutcome> outcomes);  // of more than kMostLimits the last
  void SetMatches(std::span<const RuleMatch> rules);       // of more than kMostMatches the first

  std::optional<std::string_view> Get(Text text) const;  // nothing: it was not set
  bool cut(Text text) const { return (cut_texts & Bit(text)) != 0; }

  static constexpr std::uint16_t Bit(Text text) {
    return static_cast<std::uint16_t>(1U << static_cast<unsigned>(text));
  }

  std::int64_t when;         // of the wall clock: nanoseconds since 1970
  std::uint64_t generation;  // by whose rules it was judged
  std::uint32_t rule;
  std::uint16_t status;
  Decision decision;
  bool https;
  std::array<char, 8> protocol;  // "HTTP/1.1"
  std::uint16_t set_texts, cut_texts, used;
  std::uint8_t toggles_size, matches_size, limits_size;
  bool matches_cut, limits_cut;
  std::optional<BotCheck> bot() const {  // what a rule was told, if one asked
    return told_bot == 0 ? std::nullopt : std::optional(static_cast<BotCheck>(told_bot - 1));
  }
  std::uint8_t told_bot;  // 0: nothing; else a BotCheck and one
  Shed shed;
  std::array<std::uint16_t, kTexts> begins, sizes;
  std::array<Limit, kMostLimits> limits;
  std::array<std::uint32_t, kMostMatches> matches;  // indices of rules
  std::array<bool, kMostToggles> toggles;           // as they stood; the first of them
  std::array<char, kRoom> texts;
};
static_assert(sizeof(Receipt) == 1024);

// The newest of those that an id, or the beginning of one, stands for.
struct FoundReceipt {
  std::optional<Receipt> receipt;
  bool whole = false;     // it is exactly this id; else it begins so
  std::size_t alike = 0;  // so many begin so, where it is not whole

  // With what another worker found.
  void Join(const FoundReceipt& other);
};

// What all workers had to say to it.
struct ReceiptSearch {
  FoundReceipt found;
  bool complete = true;  // every worker answered
};

class Receipts {
 public:
  static constexpr std::size_t kMost = 4096;
  static constexpr std::size_t kShortest = 6;  // of what is taken for the beginning of an id

  explicit Receipts(std::size_t most = kMost);  // REQUIRES: a power of two

  // A new one in the place of the oldest, with its id and no other text, limit, match or toggle.
  Receipt& Add(std::string_view id);
  // The newest with exactly this id; null: there is none any more. Looks at 32 KiB.
  const Receipt* Find(std::string_view id) const;
  // Where there is none, and `id` has kShortest bytes or more, of those whose ids begin so. That looks
  // into every receipt, about a millisecond in all: for a person who asks.
  FoundReceipt Search(std::string_view id) const;

 private:
  // Of an id its last bytes, so that few receipts are looked at to find one. They are random, or what
  // a trusted proxy made them.
  static std::uint64_t MarkOf(std::string_view id);

  const std::size_t most_;
  std::uint64_t added_ = 0;
  std::unique_ptr<std::uint64_t[]> marks_;
  std::unique_ptr<Receipt[]> receipts_;
};

}  // namespace spillway

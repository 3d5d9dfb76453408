// SPDX-License-Identifier: MIT
// How much each client asks for lately, and whether that is more than its share of what the servers
// can do. One address that asks a thousand times in a second is one visitor all the same: without
// this it would be served a thousand times, each of its asks in place of somebody else's.
//
//   Of(client) = the least of two cells of a count-min sketch (Cormode, Muthukrishnan 2005), decayed
//
// Above its share of what is done it is served where slots are left over, as often as not to use them
// up: so a few addresses that are all there are (a network that visitors share, another proxy) lose
// little by it.
//
// Memory: two rows of kCells numbers, 32 KiB. Other clients in both its cells count as the client's
// own: with 10,000 clients that is what three of them ask for.
// Thread rule: none of its own.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "spillway/mix.h"

namespace spillway {

class ClientShares {
 public:
  static constexpr std::size_t kCells = 4096;

  // kInTurn: of a client that asks for more than its share, but as one of that share.
  enum class Standing : std::uint8_t { kFair, kInTurn, kAbove };
  // One ask of `client`, counted whether or not there is overload. `chance`: uniform in [0, 1).
  Standing Ask(std::uint64_t client, double chance) {
    float& one = first_[Mix(client) % kCells];
    float& other = second_[Mix(client ^ kOther) % kCells];
    one += 1, other += 1;
    const double asked = std::min(one, other);
    const double allowed = std::max({kShare * done_, std::min(kPage, kMost * done_), kFew});
    if (asked <= allowed) return Standing::kFair;
    return chance * asked < allowed ? Standing::kInTurn : Standing::kAbove;
  }
  // The part of what it is answered that is to teach what is usual: of a client that asks for more than a
  // page no more than of one that does not. Who asks for the quickest pages all the time would else make all
  // others seem slow.
  double TeachingShare(std::uint64_t client) const {
    const double asked =
        std::min(first_[Mix(client) % kCells], second_[Mix(client ^ kOther) % kCells]);
    return std::min(1.0, kPage / std::max(asked, 1.0));
  }
  // A slot is free again, whoever's and however that ended.
  void Done() { done_ += 1; }
  // Older asks count less. Every half second.
  void Fade() {
    for (float& cell : first_) cell *= kFade;
    for (float& cell : second_) cell *= kFade;
    done_ *= kFade;
  }

 private:
  static constexpr std::uint64_t kOther = 0x9e3779b97f4a7c15U;
  static constexpr double kShare = 0.05;
  static constexpr double kPage = 40;   // asks of 3 s: a page with all that it loads
  static constexpr double kMost = 0.2;  // but of few answers not more than this
  static constexpr double kFew = 3;     // nothing is done: that is no client's fault
  static constexpr float kFade = 0.85F;

  std::array<float, kCells> first_{}, second_{};
  double done_ = 0;  // in the last 3 s or so, as the cells
};

}  // namespace spillway

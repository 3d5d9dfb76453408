// SPDX-License-Identifier: MIT
#include "proxy/apdex.h"

namespace spillway {
namespace {

std::uint64_t SecondOf(TimePoint now) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count() + 1);
}

}  // namespace

void Apdex::Count(Duration took, bool good, Duration target, TimePoint now) {
  const std::uint64_t second = SecondOf(now);
  Slot& slot = slots_[second % kSlots];
  if (slot.second.value() != second) {
    slot.second.Set(0);  // no reader takes it for either second
    slot.satisfied.Set(0);
    slot.tolerating.Set(0);
    slot.all.Set(0);
    slot.second.Set(second);
  }
  if (good && took <= target) {
    slot.satisfied.Add();
  } else if (good && took <= 4 * target) {
    slot.tolerating.Add();
  }
  slot.all.Add();
}

void Apdex::AddTo(Sum* sum, TimePoint now) const {
  const std::uint64_t second = SecondOf(now);
  for (const Slot& slot : slots_) {
    const std::uint64_t of = slot.second.value();
    if (of == 0 || of + kWindow <= second || of > second + 1) continue;  // loops differ by a turn
    sum->satisfied += slot.satisfied.value();
    sum->tolerating += slot.tolerating.value();
    sum->all += slot.all.value();
  }
}

std::optional<std::uint32_t> Apdex::Sum::percent() const {
  if (all < kFewest) return std::nullopt;
  return static_cast<std::uint32_t>((2 * satisfied + tolerating) * 100 / (2 * all));
}

}  // namespace spillway

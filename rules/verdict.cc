// SPDX-License-Identifier: MIT
#include "spillway/verdict.h"

#include "rules/scratch.h"

namespace spillway {

Verdict::Verdict() : scratch_(std::make_unique<DecideScratch>()) {}
Verdict::~Verdict() = default;
Verdict::Verdict(Verdict&&) noexcept = default;
Verdict& Verdict::operator=(Verdict&&) noexcept = default;

void Verdict::Clear() {
  action = Forward{};
  rule = kNoRule;
  pool = 0;
  traffic_class = TrafficClass::kCritical;
  protect = Duration{0};
  set_headers.clear();
  tags.clear();
  limits.clear();
  matches.clear();
  foreseen.clear();
}

std::string_view ActionName(const FinalAction& action) {
  // In the order of FinalAction's alternatives.
  constexpr std::string_view kNames[] = {"forward",  "deny",    "limit", "challenge",
                                         "redirect", "respond", "drop"};
  static_assert(std::size(kNames) == std::variant_size_v<FinalAction>);
  return kNames[action.index()];
}

std::optional<int> StatusOf(const FinalAction& action) {
  return std::visit(
      [](const auto& one) -> std::optional<int> {
        if constexpr (requires { one.status; }) return one.status;
        return std::nullopt;
      },
      action);
}

}  // namespace spillway

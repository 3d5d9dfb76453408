// SPDX-License-Identifier: MIT
#include "spillway/trial.h"

#include <algorithm>
#include <utility>

namespace spillway {

Result<TrialTables> TrialTables::Create(const Policy& policy, std::uint64_t most_keys) {
  TrialTables made;
  for (const LimitInfo& limit : policy.limits()) {
    LimitSpec spec = limit.spec;
    spec.keys = std::min(spec.keys, most_keys);
    for (std::vector<LimitTable*>* tables : {&made.limits, &made.shadow_limits}) {
      tables->push_back(nullptr);
      if (tables == &made.shadow_limits && !limit.in_shadow_use) continue;
      Result<LimitTable> table = LimitTable::Create(spec);
      if (!table) return Fail("limits." + limit.name + " " + table.error().message);
      made.all.push_back(std::move(*table));
      tables->back() = &made.all.back();
    }
  }
  return made;
}

}  // namespace spillway

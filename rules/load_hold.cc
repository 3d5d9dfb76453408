// SPDX-License-Identifier: MIT
// `pools.NAME.hold`: which requests wait for a server to come back, how many, and for how long.
#include "rules/load_hold.h"

#include "rules/loader.h"
#include "rules/scalars.h"

namespace spillway {
namespace {

constexpr KeyRow<HoldConfig> kHoldRows[] = {
    {"for", "duration 100ms..5m", "15s", "the longest that an outage holds a request",
     &Set<&HoldConfig::time>},
    {"max", "integer 1..100000", "2000", "requests that are held at once", &Set<&HoldConfig::max>},
    {"bytes", "size 64KiB..1GiB", "16MiB",
     "of the requests that are held: their heads, and their bodies as far as they are read",
     &Set<&HoldConfig::bytes>},
    {"from", "critical_plus | critical | sheddable_plus | sheddable", "critical_plus",
     "the least important class that is held", &Set<&HoldConfig::from>},
};

}  // namespace

void ReadHold(const Slot& slot, HoldConfig* out) {
  if (slot.node.is_scalar() && slot.node.text() == "off") {
    out->on = false;
  } else if (slot.node.is_scalar()) {
    slot.node.Fail("expected off or a map, found " + yaml::Quote(slot.node.text()));
  } else {
    out->on = true;
    ReadKeys(slot.node, kHoldRows, slot.loader, out);
  }
}

void ListHoldKeys(const std::string& name, std::vector<Kind>* kinds) {
  ListSection<kHoldRows>(name, kinds);
}

}  // namespace spillway

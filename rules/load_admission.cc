// SPDX-License-Identifier: MIT
// `pools.NAME.concurrency` and `pools.NAME.queue`: how much a pool's servers get at once, and how
// many wait for their turn.
#include "rules/load_admission.h"

#include <algorithm>

#include "rules/loader.h"
#include "rules/scalars.h"

namespace spillway {
namespace {

using Limit = AdmissionConfig::Limit;

constexpr std::string_view kLimitTypes = "adaptive | off | integer 1..1000000";

void ReadLimit(const Slot& slot, AdmissionConfig* out) {
  const std::string_view text = slot.node.text();
  if (slot.node.is_scalar() && (text == "adaptive" || text == "off")) {
    out->limit = text == "off" ? Limit::kOff : Limit::kAdaptive;
  } else if (!slot.node.is_scalar() || !ParseInteger(text)) {
    slot.node.Fail("expected adaptive, off, or a whole number from 1 to 1000000, found " +
                   Found(slot.node));
  } else {
    const std::size_t errors = slot.node.diagnostics().size();
    ReadValue(slot, &out->fixed);
    if (slot.node.diagnostics().size() == errors) out->limit = Limit::kFixed;
  }
}

constexpr KeyRow<AdmissionConfig> kConcurrencyRows[] = {
    {"limit", kLimitTypes, "adaptive",
     "requests at the pool's servers at once; adaptive: found by how they answer", &ReadLimit},
    {"min", "integer 1..1000000", "1", "adaptive: never below", &Set<&AdmissionConfig::min>},
    {"max", "integer 1..1000000", "100000", "adaptive: never above", &Set<&AdmissionConfig::max>},
    {"initial", "integer 1..1000000", "12", "adaptive: where it begins",
     &Set<&AdmissionConfig::initial>},
};

using Queue = AdmissionConfig::Queue;
constexpr KeyRow<Queue> kQueueRows[] = {
    {"max", "integer 0..100000", "10000", "requests that wait for their turn; 0: none waits",
     &Set<&Queue::max>},
    {"timeout", "duration 1ms..5m", "5s",
     "the longest that one waits; of a crowd that came in one instant a fifth more",
     &Set<&Queue::timeout>},
};

// What is not written makes room for what is.
void FitTogether(const yaml::Node& map, AdmissionConfig* config) {
  const auto written = [&](std::string_view key) { return !map.Get(key).missing(); };
  if (written("min") && written("max") && config->min > config->max) {
    map.Get("min").Fail("min (" + std::to_string(config->min) + ") is above max (" +
                        std::to_string(config->max) + ")");
    return;
  }
  (written("min") ? config->max : config->min) =
      written("min") ? std::max(config->min, config->max) : std::min(config->min, config->max);
  if (written("initial") && (config->initial < config->min || config->initial > config->max)) {
    map.Get("initial").Fail("initial (" + std::to_string(config->initial) + ") is not from min (" +
                            std::to_string(config->min) + ") to max (" +
                            std::to_string(config->max) + ")");
  }
  config->initial = std::clamp(config->initial, config->min, config->max);
}

}  // namespace

void ReadConcurrency(const Slot& slot, AdmissionConfig* out) {
  if (slot.node.is_scalar()) return ReadLimit({slot.node, kLimitTypes, slot.loader}, out);
  if (!slot.node.is_map()) {
    slot.node.Fail(
        "expected adaptive, off, a whole number from 1 to 1000000, or a map such as "
        "{ limit: adaptive, max: 200 }, found " +
        Found(slot.node));
    return;
  }
  AdmissionConfig read = *out;
  read.limit = Limit::kAdaptive;  // what a map is about, unless it says otherwise
  const std::size_t errors = slot.node.diagnostics().size();
  ReadKeys(slot.node, kConcurrencyRows, slot.loader, &read);
  if (slot.node.diagnostics().size() != errors) return;
  FitTogether(slot.node, &read);
  *out = read;
}

void ReadQueue(const Slot& slot, AdmissionConfig* out) {
  ReadKeys(slot.node, kQueueRows, slot.loader, &out->queue, "{ max: 10000, timeout: 5s }");
}

void ListConcurrencyKeys(const std::string& name, std::vector<Kind>* kinds) {
  ListSection<kConcurrencyRows>(name, kinds);
}

void ListQueueKeys(const std::string& name, std::vector<Kind>* kinds) {
  ListSection<kQueueRows>(name, kinds);
}

}  // namespace spillway

// SPDX-License-Identifier: MIT
#include "proxy/admission_view.h"

#include <string>

#include "proxy/culprits.h"

namespace spillway {
namespace {

double Milliseconds(Duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

}  // namespace

Json ViewAdmission(const Pool& pool, TimePoint now) {
  if (pool.admission() == nullptr) return nullptr;
  const AdmissionView view = pool.admission()->View(now);
  Json json;
  json["limit"] = view.limit;
  json["in_flight"] = view.in_flight;
  json["baseline_ms"] = Milliseconds(view.baseline);
  json["gradient"] = view.gradient;
  json["pressed"] = view.pressed;
  json["lowest_class"] = TrafficClassName(view.lowest);
  json["admit_share"] = view.admit_share;
  json["apart"] = view.apart;
  json["protected"] = view.protected_requests;
  json["app_pressure"] = view.pressure;
  json["failing"] = view.failing;
  Json& culprits = json["culprits"] = Json::array();
  for (const CappedRoute& route : view.capped) {
    culprits.push_back({{"route", CulpritName(route)},
                        {"in_flight", route.in_flight},
                        {"allowed", route.allowed},
                        {"reason", CulpritReason(route)}});
  }
  Json& queued = json["queued"] = Json::object();
  Json& shed = json["shed"] = Json::object();
  for (std::size_t i = 0; i < kTrafficClasses; ++i) {
    const std::string name(kTrafficClassNames[i]);
    queued[name] = view.queued[i];
    Json reasons = Json::object();
    for (std::size_t k = 1; k < kShedReasons; ++k) {
      reasons[std::string(ShedReasonLabel(static_cast<ShedReason>(k)))] = view.shed[i][k];
    }
    shed[name] = std::move(reasons);
  }
  return json;
}

Json ViewAdmissions(const Generation& generation, TimePoint now) {
  Json list = Json::array();
  for (const std::shared_ptr<Pool>& pool : generation.pools) {
    Json json = ViewAdmission(*pool, now);
    if (json.is_null()) continue;
    json["name"] = pool->config().name;
    list.push_back(std::move(json));
  }
  return list;
}

Json ViewConcurrency(const AdmissionConfig& config) {
  using Limit = AdmissionConfig::Limit;
  Json json = {{"min", config.min}, {"max", config.max}, {"initial", config.initial}};
  if (config.limit == Limit::kFixed) {
    json["limit"] = config.fixed;
  } else {
    json["limit"] = config.limit == Limit::kOff ? "off" : "adaptive";
  }
  return json;
}

Json ViewQueue(const AdmissionConfig& config) {
  return {{"max", config.queue.max}, {"timeout", FormatDuration(config.queue.timeout)}};
}

}  // namespace spillway

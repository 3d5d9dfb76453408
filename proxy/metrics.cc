// SPDX-License-Identifier: MIT
// Names follow the Prometheus conventions: spillway_ prefix, base units, counters end in _total.
// Families come in the order of this file; docs/reference.md lists them with advice.
#include "proxy/metrics.h"

#include <fmt/format.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <limits>
#include <sstream>
#include <utility>
#include <vector>

#include "proxy/bot_checks.h"
#include "proxy/culprits.h"
#include "proxy/deadline_fields.h"
#include "proxy/generation.h"
#include "proxy/version.h"

namespace spillway {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

constexpr const char* kStatusClasses[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};

double Number(std::uint64_t value) {
  return static_cast<double>(value);
}
double Seconds(WallTime time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

// One family that is being filled.
class Family {
 public:
  Family(std::vector<MetricFamily>& all, const char* name, const char* help, MetricType type)
      : all_(all), index_(all.size()) {
    all.push_back({name, help, type, {}});
  }
  void Add(double value, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    if (family().type == MetricType::Counter) metric.counter.value = value;
    if (family().type == MetricType::Gauge) metric.gauge.value = value;
    family().metric.push_back(std::move(metric));
  }
  // The sum of some workers' histograms.
  void Add(const std::vector<const Histogram*>& parts, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    std::uint64_t count = 0, nanoseconds = 0;
    for (const Histogram* part : parts) nanoseconds += part->nanoseconds.value();
    for (std::size_t i = 0; i <= Histogram::kBounds.size(); ++i) {
      for (const Histogram* part : parts) count += part->buckets[i].value();
      const bool last = i == Histogram::kBounds.size();
      const double bound = last ? std::numeric_limits<double>::infinity() : Histogram::kBounds[i];
      ClientMetric::Bucket bucket;
      bucket.cumulative_count = count;
      bucket.upper_bound = bound;
      metric.histogram.bucket.push_back(bucket);
    }
    metric.histogram.sample_count = count;
    metric.histogram.sample_sum = Number(nanoseconds) * 1e-9;
    family().metric.push_back(std::move(metric));
  }

 private:
  MetricFamily& family() { return all_[index_]; }
  std::vector<MetricFamily>& all_;  // by index: it grows
  const std::size_t index_;
};

class Scrape {
 public:
  explicit Scrape(const AdminControls& server)
      : server_(server), generation_(server.generation()), workers_(server.counters()) {
    for (std::size_t i = 0; i < generation_.pools.size(); ++i) {
      const Pool& pool = *generation_.pools[i];
      if (pool.admission() == nullptr) continue;
      admitting_.push_back({i, {"pool", pool.config().name}, pool.admission()->View(server.now())});
    }
  }

  std::vector<MetricFamily> Collect(const ProcessFacts& process) {
    Build();
    Requests();
    Connections();
    Bots();
    Challenges();
    Upstreams();
    Concurrency();
    Queues();
    Overload();
    Culprits();
    Holds();
    Endpoints();
    Rules();
    Toggles();
    Limits();
    Configuration();
    Process(process);
    return std::move(all_);
  }

 private:
  using WorkerCounter = Counter WorkerCounters::*;
  using PoolCounter = Counter PoolCounters::*;

  // A pool that admits.
  struct Admitting {
    std::size_t index;  // among all
    ClientMetric::Label name;
    AdmissionView view;
  };

  Family NewCounter(const char* name, const char* help) {
    return {all_, name, help, MetricType::Counter};
  }
  Family NewGauge(const char* name, const char* help) {
    return {all_, name, help, MetricType::Gauge};
  }
  Family NewHistogram(const char* name, const char* help) {
    return {all_, name, help, MetricType::Histogram};
  }

  double Sum(WorkerCounter counter) const {
    std::uint64_t sum = 0;
    for (const WorkerCounters* worker : workers_) sum += (worker->*counter).value();
    return Number(sum);
  }
  double SumPool(std::size_t pool, PoolCounter counter) const {
    std::uint64_t sum = 0;
    for (const auto& worker : generation_.pool_counters) sum += ((*worker[pool]).*counter).value();
    return Number(sum);
  }
  double SumRule(std::size_t rule, Counter RuleCounters::*counter) const {
    std::uint64_t sum = 0;
    for (const auto& worker : generation_.rule_counters) sum += ((*worker[rule]).*counter).value();
    return Number(sum);
  }

  void Build() {
    NewGauge("spillway_build_info", "Which spillway this is.")
        .Add(1, {{"version", std::string(Version())}});
    NewGauge("spillway_ready", "1 while /readyz answers 200.").Add(server_.ready() ? 1 : 0);
    NewGauge("spillway_workers", "Event loops.").Add(Number(workers_.size()));
  }

  void Requests() {
    Family decisions =
        NewCounter("spillway_requests_total", "Requests by what was decided about them.");
    for (std::size_t i = 0; i < static_cast<std::size_t>(Decision::kCount); ++i) {
      std::uint64_t sum = 0;
      for (const WorkerCounters* worker : workers_) sum += worker->decisions[i].value();
      decisions.Add(Number(sum), {{"decision", DecisionName(static_cast<Decision>(i))}});
    }
    Family responses =
        NewCounter("spillway_responses_total", "Answers to clients by status class.");
    for (std::size_t i = 0; i < std::size(kStatusClasses); ++i) {
      std::uint64_t sum = 0;
      for (const WorkerCounters* worker : workers_) sum += worker->status_classes[i].value();
      responses.Add(Number(sum), {{"class", kStatusClasses[i]}});
    }
    std::vector<const Histogram*> parts;
    for (const WorkerCounters* worker : workers_) parts.push_back(&worker->request_seconds);
    NewHistogram("spillway_request_duration_seconds", "From a complete head to the answer's end.")
        .Add(parts);
    NewCounter("spillway_received_body_bytes_total", "Body bytes taken from clients.")
        .Add(Sum(&WorkerCounters::bytes_in));
    NewCounter("spillway_sent_body_bytes_total", "Body bytes given to clients.")
        .Add(Sum(&WorkerCounters::bytes_out));
  }

  void Connections() {
    NewCounter("spillway_connections_accepted_total", "Client connections accepted.")
        .Add(Sum(&WorkerCounters::connections_accepted));
    NewCounter("spillway_connections_refused_total",
               "Client connections closed for want of a PROXY header.")
        .Add(Sum(&WorkerCounters::connections_refused));
    NewCounter("spillway_connections_over_client_cap_total",
               "Client connections reset, because their client had as many as one may have.")
        .Add(Sum(&WorkerCounters::connections_over_cap));
    NewCounter("spillway_connections_given_up_total",
               "Idle client connections closed early, because others wanted their place.")
        .Add(Sum(&WorkerCounters::connections_given_up));
    Family handshakes =
        NewCounter("spillway_tls_handshakes_total", "TLS handshakes of clients by their result.");
    handshakes.Add(Sum(&WorkerCounters::tls_full), {{"result", "full"}});
    handshakes.Add(Sum(&WorkerCounters::tls_resumed), {{"result", "resumed"}});
    handshakes.Add(Sum(&WorkerCounters::tls_failed), {{"result", "failed"}});
    NewCounter("spillway_accept_pauses_total",
               "Times that accepting paused because descriptors or memory had run out.")
        .Add(Sum(&WorkerCounters::accept_pauses));
    NewGauge("spillway_connections_open", "Client connections now.")
        .Add(Sum(&WorkerCounters::connections_open));
    NewCounter("spillway_client_aborts_total", "Requests whose client left before the end.")
        .Add(Sum(&WorkerCounters::client_aborts));
    NewCounter("spillway_client_timeouts_total", "Clients that were too slow.")
        .Add(Sum(&WorkerCounters::timeouts_client));
    NewCounter("spillway_access_log_dropped_total", "Lines dropped because the log was too slow.")
        .Add(Number(server_.access_log_dropped()));
  }

  void Bots() {
    Family lookups = NewCounter("spillway_bot_lookups_total",
                                "Clients that claim to be robots, by what DNS said of them.");
    for (const BotCheck came_to :
         {BotCheck::kYes, BotCheck::kForged, BotCheck::kUnknown, BotCheck::kNone}) {
      const std::uint64_t count =
          generation_.bots == nullptr ? 0 : generation_.bots->count(came_to);
      lookups.Add(
          Number(count),
          {{"result", came_to == BotCheck::kNone ? "no_room" : std::string(WordOf(came_to))}});
    }
  }

  void Challenges() {
    NewCounter("spillway_challenge_issued_total", "Challenges given out.")
        .Add(Sum(&WorkerCounters::challenges_issued));
    NewCounter("spillway_challenge_passed_total", "Challenges solved.")
        .Add(Sum(&WorkerCounters::challenges_passed));
    NewCounter("spillway_challenge_failed_total", "Solutions that were refused.")
        .Add(Sum(&WorkerCounters::challenges_failed));
    NewCounter("spillway_protections_total", "Visitors that a rule or a server began to protect.")
        .Add(Sum(&WorkerCounters::protections_begun));
  }

  void Upstreams() {
    NewCounter("spillway_upstream_connects_total", "Connections opened to upstream servers.")
        .Add(Sum(&WorkerCounters::upstream_connects));
    NewCounter("spillway_upstream_reuses_total", "Requests sent over a kept connection.")
        .Add(Sum(&WorkerCounters::upstream_reuses));
    NewGauge("spillway_upstream_kept_connections", "Idle connections kept to upstream servers.")
        .Add(Number(server_.kept_upstream_connections()));
    const auto& pools = generation_.config.pools;
    Family requests = NewCounter("spillway_upstream_requests_total", "Requests sent to a pool.");
    for (std::size_t i = 0; i < pools.size(); ++i) {
      requests.Add(SumPool(i, &PoolCounters::requests), {{"pool", pools[i].name}});
    }
    Family responses = NewCounter("spillway_upstream_responses_total",
                                  "Answers of a pool's servers by status class.");
    for (std::size_t i = 0; i < pools.size(); ++i) {
      for (std::size_t k = 1; k < std::size(kStatusClasses); ++k) {
        std::uint64_t sum = 0;
        for (const auto& worker : generation_.pool_counters) {
          sum += worker[i]->status_classes[k].value();
        }
        responses.Add(Number(sum), {{"pool", pools[i].name}, {"class", kStatusClasses[k]}});
      }
    }
    constexpr std::pair<const char*, PoolCounter> kErrors[] = {
        {"connect", &PoolCounters::connect_errors}, {"timeout", &PoolCounters::timeouts},
        {"reset", &PoolCounters::resets},           {"protocol", &PoolCounters::protocol_errors},
        {"no_server", &PoolCounters::no_server},
    };
    Family errors = NewCounter("spillway_upstream_errors_total", "Tries that failed, by kind.");
    Family hidden = NewCounter("spillway_upstream_hidden_errors_total",
                               "Error answers replaced by our own page.");
    Family retries = NewCounter("spillway_upstream_retries_total", "Tries beyond the first.");
    Family taken_up = NewCounter("spillway_upstream_taken_up_total",
                                 "Requests that were answered by what an abandoned one had asked.");
    Family apdex = NewGauge("spillway_upstream_apdex_ratio",
                            "How satisfied visitors were in the last ten seconds, 0 to 1.");
    Family first_byte = NewHistogram("spillway_upstream_first_byte_seconds",
                                     "From the request's end to the answer's first byte.");
    for (std::size_t i = 0; i < pools.size(); ++i) {
      const ClientMetric::Label pool{"pool", pools[i].name};
      for (const auto& [kind, counter] : kErrors) {
        errors.Add(SumPool(i, counter), {pool, {"kind", kind}});
      }
      hidden.Add(SumPool(i, &PoolCounters::hidden_errors), {pool});
      retries.Add(SumPool(i, &PoolCounters::retries), {pool});
      taken_up.Add(SumPool(i, &PoolCounters::taken_up), {pool});
      Apdex::Sum sum;
      for (const auto& worker : generation_.pool_counters)
        worker[i]->apdex.AddTo(&sum, server_.now());
      if (const auto percent = sum.percent()) apdex.Add(*percent / 100.0, {pool});
      std::vector<const Histogram*> parts;
      for (const auto& worker : generation_.pool_counters) {
        parts.push_back(&worker[i]->first_byte_seconds);
      }
      first_byte.Add(parts, {pool});
    }
  }

  void Concurrency() {
    Family limit =
        NewGauge("spillway_concurrency_limit", "Requests that a pool's servers may have at once.");
    Family in_flight =
        NewGauge("spillway_concurrency_in_flight", "Requests that count against the limit now.");
    Family gradient = NewGauge("spillway_concurrency_gradient", "Below 1 the limit shrinks.");
    Family baseline = NewGauge("spillway_concurrency_baseline_seconds",
                               "First byte of servers that are not pressed.");
    for (const Admitting& each : admitting_) {
      limit.Add(each.view.limit, {each.name});
      in_flight.Add(each.view.in_flight, {each.name});
      gradient.Add(each.view.gradient, {each.name});
      baseline.Add(std::chrono::duration<double>(each.view.baseline).count(), {each.name});
    }
  }

  void Queues() {
    Family depth =
        NewGauge("spillway_queue_depth", "Requests that wait for their turn now, by class.");
    Family wait = NewHistogram("spillway_queue_wait_seconds", "How long those waited that had to.");
    Family shed = NewCounter("spillway_shed_total", "Requests refused for want of room at a pool.");
    for (const auto& [index, name, view] : admitting_) {
      std::vector<const Histogram*> parts;
      for (const auto& worker : generation_.pool_counters)
        parts.push_back(&worker[index]->queue_seconds);
      wait.Add(parts, {name});
      for (std::size_t k = 0; k < kTrafficClasses; ++k) {
        const ClientMetric::Label of_class{"class", std::string(kTrafficClassNames[k])};
        depth.Add(view.queued[k], {name, of_class});
        for (std::size_t r = 1; r < kShedReasons; ++r) {
          const std::string reason(ShedReasonLabel(static_cast<ShedReason>(r)));
          shed.Add(Number(view.shed[k][r]), {name, of_class, {"reason", reason}});
        }
      }
    }
  }

  void Overload() {
    Family apart = NewGauge("spillway_concurrency_apart",
                            "Requests at a pool's servers that do not count against the limit.");
    Family guarded =
        NewGauge("spillway_protected", "Requests of protected visitors, in flight or waiting.");
    Family pressed = NewGauge("spillway_overloaded",
                              "1 while more is asked of a pool, lastingly, than it can do.");
    Family admitted = NewGauge("spillway_admit_ratio",
                               "Share of the visitors of a class that is served in an overload.");
    Family pressure =
        NewGauge("spillway_app_pressure_ratio", "How pressed the servers say they are, 0 to 1.");
    for (const auto& [index, name, view] : admitting_) {
      apart.Add(view.apart, {name});
      guarded.Add(view.protected_requests, {name});
      pressed.Add(view.pressed ? 1 : 0, {name});
      pressure.Add(view.pressure, {name});
      for (std::size_t k = 0; k < kTrafficClasses; ++k) {
        admitted.Add(AdmittedShare(view, static_cast<TrafficClass>(k)),
                     {name, {"class", std::string(kTrafficClassNames[k])}});
      }
    }
  }

  void Culprits() {
    Family has =
        NewGauge("spillway_culprit_in_flight", "Requests in flight of a route that is held back.");
    Family may = NewGauge("spillway_culprit_allowed", "How many it may have.");
    for (const Admitting& each : admitting_) {
      for (const CappedRoute& route : each.view.capped) {
        const Labels labels = {each.name,
                               {"route", CulpritName(route)},
                               {"reason", std::string(CulpritReason(route))}};
        has.Add(route.in_flight, labels);
        may.Add(route.allowed, labels);
      }
    }
  }

  void Holds() {
    Family down = NewGauge("spillway_pool_down", "1 while no server of the pool answers.");
    Family outages = NewCounter("spillway_pool_outages_total", "Times that no server answered.");
    Family held = NewGauge("spillway_held", "Requests held for a server to come back, by class.");
    Family entered = NewCounter("spillway_held_total", "Requests that were held.");
    Family released = NewCounter("spillway_held_released_total",
                                 "Times that one was let out, as a server was back.");
    Family given_up = NewCounter("spillway_held_given_up_total", "Requests held in vain.");
    Family turned_away =
        NewCounter("spillway_turned_away_total", "Requests told to come back after an outage.");
    for (const std::shared_ptr<Pool>& pool : generation_.pools) {
      if (pool->hold() == nullptr) continue;
      const ClientMetric::Label name{"pool", pool->config().name};
      const HoldView view = pool->hold()->View(server_.now());
      down.Add(view.state == HoldView::State::kDown ? 1 : 0, {name});
      outages.Add(Number(view.outages), {name});
      for (std::size_t k = 0; k < kTrafficClasses; ++k)
        held.Add(view.held[k], {name, {"class", std::string(kTrafficClassNames[k])}});
      entered.Add(Number(view.entered), {name});
      released.Add(Number(view.released), {name});
      given_up.Add(Number(view.given_up), {name});
      turned_away.Add(Number(view.turned_away), {name});
    }
  }

  void Endpoints() {
    Family up = NewGauge("spillway_endpoint_up", "1 while the server is healthy and not ejected.");
    Family in_flight = NewGauge("spillway_endpoint_in_flight", "Requests at the server now.");
    Family requests = NewCounter("spillway_endpoint_requests_total", "Tries given to the server.");
    Family errors =
        NewCounter("spillway_endpoint_errors_total", "Tries that failed at the server.");
    for (const std::shared_ptr<Pool>& pool : generation_.pools) {
      std::vector<const Endpoint*> seen;  // an address may be listed twice
      for (const PoolMember& member : *pool->members()) {
        const Endpoint& it = *member.endpoint;
        if (std::find(seen.begin(), seen.end(), &it) != seen.end()) continue;
        seen.push_back(&it);
        const Labels labels = {{"pool", pool->config().name}, {"endpoint", it.text}};
        up.Add(Pool::Usable(it, server_.now()) ? 1 : 0, labels);
        in_flight.Add(it.in_flight.load(std::memory_order_relaxed), labels);
        requests.Add(Number(it.requests.load(std::memory_order_relaxed)), labels);
        errors.Add(Number(it.errors.load(std::memory_order_relaxed)), labels);
      }
    }
  }

  void Rules() {
    Family matches = NewCounter("spillway_rule_matches_total",
                                "Requests that a rule matched, by whether it had an effect.");
    Family over = NewCounter("spillway_rule_over_limit_total",
                             "Requests that a limit of the rule refused, or in shadow mode would "
                             "have refused.");
    const auto rules = generation_.config.policy->rules();
    const ClientMetric::Label enforce{"mode", "enforce"}, shadow{"mode", "shadow"};
    double other_matches = 0, other_shadow = 0, other_over = 0, other_shadow_over = 0;
    for (std::size_t i = 0; i < rules.size(); ++i) {
      const double matches_enforced = SumRule(i, &RuleCounters::enforced);
      const double matches_shadow = SumRule(i, &RuleCounters::shadow);
      const double over_enforced = SumRule(i, &RuleCounters::over_limit);
      const double over_shadow = SumRule(i, &RuleCounters::shadow_over_limit);
      if (i >= kMostRuleLabels) {
        other_matches += matches_enforced;
        other_shadow += matches_shadow;
        other_over += over_enforced;
        other_shadow_over += over_shadow;
        continue;
      }
      const ClientMetric::Label rule{"rule", rules[i].name}, action{"action", rules[i].action};
      matches.Add(matches_enforced, {rule, action, enforce});
      matches.Add(matches_shadow, {rule, action, shadow});
      if (!rules[i].limits) continue;
      over.Add(over_enforced, {rule, enforce});
      over.Add(over_shadow, {rule, shadow});
    }
    if (rules.size() <= kMostRuleLabels) return;
    matches.Add(other_matches, {{"rule", "_other"}, {"action", "_other"}, enforce});
    matches.Add(other_shadow, {{"rule", "_other"}, {"action", "_other"}, shadow});
    over.Add(other_over, {{"rule", "_other"}, enforce});
    over.Add(other_shadow_over, {{"rule", "_other"}, shadow});
  }

  void Toggles() {
    Family state = NewGauge("spillway_toggle_state", "1 while the toggle is on.");
    for (const ToggleStatus& toggle : server_.toggles()) {
      state.Add(toggle.on ? 1 : 0, {{"toggle", toggle.name}});
    }
    Family flips = NewCounter("spillway_toggle_flips_total", "Changes of the toggle, by cause.");
    for (const auto& [of, count] : server_.toggle_flips()) {
      flips.Add(Number(count), {{"toggle", of.first}, {"cause", of.second}});
    }
  }

  void Limits() {
    Family live = NewGauge("spillway_limit_entries", "Keys whose bucket is not full.");
    Family capacity = NewGauge("spillway_limit_capacity_entries", "Size of the limit's table.");
    Family memory = NewGauge("spillway_limit_memory_bytes", "Memory of the limit's table.");
    Family parents = NewCounter("spillway_limit_parent_answers_total",
                                "Requests judged by a shared bucket, for want of room.");
    const auto limits = generation_.config.policy->limits();
    for (std::size_t i = 0; i < limits.size(); ++i) {
      const LimitTable::Usage usage = generation_.limits[i]->Count(server_.now());
      const Labels labels = {{"limit", limits[i].name}};
      live.Add(Number(usage.live), labels);
      capacity.Add(Number(usage.capacity), labels);
      memory.Add(Number(usage.memory_bytes), labels);
      parents.Add(Number(usage.parent_answers), labels);
    }
  }

  void Configuration() {
    const ReloadStatus& reload = server_.reload_status();
    NewGauge("spillway_config_info", "The configuration in force.")
        .Add(1, {{"digest", fmt::format("{:016x}", generation_.config.digest)}});
    NewGauge("spillway_config_generation", "How many configurations were put in force.")
        .Add(Number(generation_.number));
    NewGauge("spillway_config_last_reload_successful", "1 when the last (re)load was taken.")
        .Add(reload.ok ? 1 : 0);
    NewGauge("spillway_config_last_reload_timestamp_seconds", "When the last (re)load was.")
        .Add(Seconds(reload.when));
    Family reloads = NewCounter("spillway_config_reloads_total", "Reloads by result.");
    reloads.Add(Number(reload.succeeded), {{"result", "success"}});
    reloads.Add(Number(reload.failed), {{"result", "failure"}});
  }

  void Process(const ProcessFacts& process) {
    NewCounter("process_cpu_seconds_total", "User and system CPU time.").Add(process.cpu_seconds);
    NewGauge("process_resident_memory_bytes", "Resident memory.")
        .Add(Number(process.resident_bytes));
    NewGauge("process_virtual_memory_bytes", "Virtual memory.").Add(Number(process.virtual_bytes));
    NewGauge("process_open_fds", "Open file descriptors.").Add(Number(process.open_fds));
    NewGauge("process_max_fds", "Limit of open file descriptors.").Add(Number(process.max_fds));
    NewGauge("process_threads", "Threads.").Add(Number(process.threads));
    NewGauge("process_start_time_seconds", "When the process began.").Add(process.start_seconds);
  }

  const AdminControls& server_;
  const Generation& generation_;
  const std::vector<const WorkerCounters*> workers_;
  std::vector<Admitting> admitting_;
  std::vector<MetricFamily> all_;
};

}  // namespace

std::string FormatMetrics(const AdminControls& server, const ProcessFacts& process) {
  const std::vector<MetricFamily> families = Scrape(server).Collect(process);
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families);
  return std::move(text).str();
}

}  // namespace spillway

// SPDX-License-Identifier: MIT
// What admission costs a request that meets no queue: Enter, FirstByte and Leave, over some routes and
// many clients, with fifty others in flight; and a refusal at the door while a surge lasts.
#include <benchmark/benchmark.h>

#include <array>
#include <chrono>

#include "spillway/admission.h"
#include "spillway/mix.h"

namespace spillway {
namespace {

void Fill(AdmissionTicket* ticket, std::uint64_t number) {
  ticket->ask.client = Mix(number % 5000);
  ticket->ask.cohort = static_cast<std::uint8_t>(Mix(number % 5000) % 128);
  ticket->ask.route = {Mix(1 + number % 20), 1};
}

void Uncontended(benchmark::State& state) {
  TimePoint now{std::chrono::hours(1)};
  AdmissionConfig config;
  config.initial = 500;
  Admission admission(config, 1, now);
  std::array<AdmissionTicket, 50> tickets;
  std::uint64_t number = 0;
  for (auto _ : state) {
    AdmissionTicket& ticket = tickets[++number % tickets.size()];
    now += std::chrono::microseconds(200);
    if (ticket.state == AdmissionTicket::State::kAdmitted) {
      admission.FirstByte(&ticket, std::chrono::milliseconds(10), now);
      admission.Leave(&ticket, AdmissionEnd::kAnswered, now);
      benchmark::DoNotOptimize(admission.Next(now));
    }
    Fill(&ticket, number);
    admission.Enter(&ticket, now);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(Uncontended);

void RefusedAtTheDoor(benchmark::State& state) {
  TimePoint now{std::chrono::hours(1)};
  AdmissionConfig config;
  config.limit = AdmissionConfig::Limit::kFixed;
  config.fixed = 10;
  Admission admission(config, 1, now);
  std::array<AdmissionTicket, 1200> tickets;
  for (std::uint64_t i = 0; i < tickets.size(); ++i) {
    Fill(&tickets[i], i);
    admission.Enter(&tickets[i], now);
  }
  AdmissionTicket ticket;
  std::uint64_t number = 0;
  for (auto _ : state) {
    Fill(&ticket, ++number);
    ticket.ask.traffic_class = TrafficClass::kSheddable;
    now += std::chrono::microseconds(10);
    admission.Enter(&ticket, now);
    admission.Leave(&ticket, AdmissionEnd::kUnmeasured, now);
    benchmark::DoNotOptimize(admission.Next(now));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(RefusedAtTheDoor);

}  // namespace
}  // namespace spillway

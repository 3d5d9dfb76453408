// SPDX-License-Identifier: MIT
#include "proxy/workers.h"

#include <semaphore>
#include <string>
#include <utility>

#include "proxy/crypto.h"

namespace spillway {

Workers::~Workers() {
  Stop();
}

void Workers::Start(std::size_t count, AccessLog& access_log, ConnectionPlaces& places,
                    std::uint64_t seed) {
  places.OnWanted([this](std::size_t asking) {
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      if (i != asking) workers_[i]->GiveUpSome();
    }
  });
  places.upstreams().OnScarce([this](const std::shared_ptr<void>& heard) {
    for (const auto& worker : workers_) worker->EndIdleUpstreams(heard);
  });
  workers_.reserve(count);  // those that run look at them
  for (std::size_t i = 0; i < count; ++i) {
    const std::string name = "worker " + std::to_string(i);
    workers_.push_back(std::make_unique<Worker>(i, access_log, places, SeedFor(seed, name),
                                                SeedFor(seed, name + " ids")));
  }
  for (const auto& worker : workers_) worker->Start();
}

void Workers::Adopt(const std::shared_ptr<const Generation>& generation,
                    const std::vector<bool>& toggles,
                    std::vector<std::vector<WorkerListener>> added) {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->Adopt(generation, toggles, std::move(added[i]));
  }
  AwaitTurns();
}

void Workers::SetToggle(std::uint64_t generation, std::uint32_t toggle, bool on) {
  for (const auto& worker : workers_) worker->SetToggle(generation, toggle, on);
  AwaitTurns();
}

// Tasks run in the order they were posted.
void Workers::AwaitTurns() {
  const auto turns = std::make_shared<std::counting_semaphore<>>(0);
  for (const auto& worker : workers_) worker->OnTurn([turns] { turns->release(); });
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (!turns->try_acquire_for(kPatience)) return;
  }
}

ReceiptSearch Workers::FindReceipt(const std::string& id) const {
  struct Answer {
    std::binary_semaphore there{0};
    FoundReceipt found;
  };
  // One that comes too late has its own to write to.
  std::vector<std::shared_ptr<Answer>> answers;
  for (const auto& worker : workers_) {
    const auto answer = answers.emplace_back(std::make_shared<Answer>());
    worker->FindReceipt(id, [answer](const FoundReceipt& found) {
      answer->found = found;
      answer->there.release();
    });
  }
  ReceiptSearch search;
  for (const auto& answer : answers) {
    // The first that is late has used up the time of all.
    const bool there =
        search.complete ? answer->there.try_acquire_for(kPatience) : answer->there.try_acquire();
    if (!there) {
      search.complete = false;
    } else {
      search.found.Join(answer->found);
    }
  }
  return search;
}

void Workers::Drain(const std::function<void()>& drained) {
  for (const auto& worker : workers_) worker->Drain(drained);
}

void Workers::Stop() {
  for (const auto& worker : workers_) worker->Stop();
  for (const auto& worker : workers_) worker->Join();
}

std::vector<const WorkerCounters*> Workers::counters() const {
  std::vector<const WorkerCounters*> all;
  all.reserve(workers_.size());
  for (const auto& worker : workers_) all.push_back(&worker->counters());
  return all;
}

std::uint64_t Workers::kept_upstream_connections() const {
  std::uint64_t sum = 0;
  for (const auto& worker : workers_) sum += worker->kept_upstream_connections();
  return sum;
}

}  // namespace spillway

// SPDX-License-Identifier: MIT
#include "proxy/pool_hold.h"

#include <algorithm>
#include <utility>

#include "proxy/pool_admission.h"

namespace spillway {

using Ticket = HoldTicket::State;

// --- PoolHold ---

PoolHold::PoolHold(const HoldConfig& config, std::function<void()> wake,
                   std::shared_ptr<PoolAdmission> admission)
    : wake_(std::move(wake)), admission_(std::move(admission)), line_(config) {}

// Runs `action` on what is behind the lock, and tells those of whom something became. Where the pool
// has a limit, at most twice as many are let out as may be at its servers: the others would only wait
// in another queue, which has an end.
template <class Action>
void PoolHold::Do(TimePoint now, Action action) {
  std::uint32_t most = HoldLine::kAnyNumber;
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    latest_ = std::max(latest_, now);
    const bool was_wanted = line_.state() != State::kUp && line_.wanted(latest_);
    action(&line_, latest_);
    if (admission_ != nullptr && line_.state() == State::kReturning) {
      if (const AdmissionLoad load = admission_->Load(); load.limit > 0) most = 2 * load.limit;
    }
    while (HoldTicket* ticket = line_.Next(latest_, most)) {
      auto* held = static_cast<Held*>(ticket->owner);
      held->desk_.Put(held);
    }
    state_.store(line_.state(), std::memory_order_relaxed);
    wake = line_.state() != State::kUp && line_.wanted(latest_) && !was_wanted;
  }
  if (wake && wake_) wake_();
}

void PoolHold::Configure(const HoldConfig& config, TimePoint now,
                         std::shared_ptr<PoolAdmission> admission) {
  Do(now, [&](HoldLine* line, TimePoint) {
    admission_ = std::move(admission);
    line->Configure(config);
  });
}

void PoolHold::Suspect(TimePoint now) {
  Do(now, [](HoldLine* line, TimePoint then) { line->Suspect(then); });
}

bool PoolHold::Down(TimePoint now) {
  bool news = false;
  Do(now, [&](HoldLine* line, TimePoint then) {
    news = line->state() != State::kDown;
    line->Down(then);
  });
  return news;
}

void PoolHold::Back(TimePoint now) {
  Do(now, [](HoldLine* line, TimePoint then) { line->Back(then); });
}

void PoolHold::Look(TimePoint now) {
  Do(now, [](HoldLine*, TimePoint) {});
}

bool PoolHold::wanted(TimePoint now) const {
  const std::lock_guard lock(mutex_);
  return line_.wanted(std::max(latest_, now));
}

Duration PoolHold::TurnAway(TimePoint now) {
  Duration after{0};
  Do(now, [&](HoldLine* line, TimePoint then) { after = line->TurnAway(then); });
  return after;
}

HoldView PoolHold::View(TimePoint now) const {
  const std::lock_guard lock(mutex_);
  return line_.View(std::max(latest_, now));
}

// --- Held ---

bool Held::Enter(std::shared_ptr<PoolHold> hold, const HoldTicket& ask) {
  if (!hold_) {
    hold_ = std::move(hold);
    ticket_ = ask;
    ticket_.owner = this;
  }
  hold_->Do(desk_.loop().now(), [&](HoldLine* line, TimePoint now) {
    line->Enter(&ticket_, now);
    state_ = ticket_.state;
  });
  return state_ == Ticket::kHeld;
}

void Held::Answered(Duration took) {
  if (state_ != Ticket::kReleased) return;
  state_ = Ticket::kOutside;
  hold_->Do(desk_.loop().now(), [&](HoldLine* line, TimePoint) { line->Answered(&ticket_, took); });
}

void Held::Leave() {
  if (state_ == Ticket::kOutside) return;
  const Ticket known = std::exchange(state_, Ticket::kOutside);
  hold_->Do(desk_.loop().now(), [&](HoldLine* line, TimePoint) { line->Leave(&ticket_); });
  // It may have been let out without our having been told.
  if (known == Ticket::kHeld) desk_.Withdraw(this);
}

// --- HoldDesk ---

// Called under the hold's lock, which is always taken before a desk's. The loop is woken at most once
// until it has looked.
void HoldDesk::Put(Held* held) {
  {
    const std::lock_guard lock(mutex_);
    inbox_.push_back(held);
  }
  if (!rung_.exchange(true)) loop_.Post([this] { Deliver(); });
}

void HoldDesk::Withdraw(Held* held) {
  std::replace(telling_.begin(), telling_.end(), held, static_cast<Held*>(nullptr));
  const std::lock_guard lock(mutex_);
  std::erase(inbox_, held);
}

void HoldDesk::Deliver() {
  rung_.store(false);
  {
    const std::lock_guard lock(mutex_);
    telling_.swap(inbox_);
  }
  for (std::size_t i = 0; i < telling_.size(); ++i) {
    Held* held = std::exchange(telling_[i], nullptr);
    if (held == nullptr) continue;  // whom we told of another has ended it
    // The line lets go of a ticket before it is put here, so nobody else changes it.
    held->state_ = held->ticket_.state;
    held->user_.OnHoldEnd();
  }
  telling_.clear();
}

}  // namespace spillway

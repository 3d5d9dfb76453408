// SPDX-License-Identifier: MIT
#include "proxy/pool_admission.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "proxy/culprits.h"
#include "spillway/refused_route.h"

namespace spillway {

using State = AdmissionTicket::State;

constexpr Duration kOverdue = std::chrono::milliseconds(20);  // a promise to look

// --- PoolAdmission ---

PoolAdmission::PoolAdmission(std::string name, const AdmissionConfig& config, std::uint64_t seed,
                             TimePoint now)
    : name_(std::move(name)), latest_(now), admission_(config, seed, now) {}

// Any call may make the next moment to look earlier: the overload that has begun shortens the
// patience of all who wait. So the desk that made the call promises to look then, unless another has
// promised to do so before. A promise that is overdue is none: its desk is gone.
template <class Action>
void PoolAdmission::Do(TimePoint now, AdmissionDesk* desk, Action action) {
  std::optional<TimePoint> look;
  std::vector<CappedRoute> capped_before, capped;
  bool promise = false;
  {
    const std::lock_guard lock(mutex_);
    latest_ = std::max(latest_, now);
    action(&admission_, latest_);
    while (AdmissionTicket* ticket = admission_.Next(latest_)) {
      auto* permit = static_cast<Permit*>(ticket->owner);
      permit->desk_.Put(permit, desk);
    }
    look = admission_.wakeup();
    if (look && desk != nullptr) {
      // Not at once again, whatever it says: a millisecond is less than anyone would notice.
      look = std::max(*look, latest_ + 1ms);
      promise = promised_ > *look || promised_ <= latest_ - kOverdue;
      if (promise) promised_ = *look;
    }
    if (std::exchange(cap_changes_, admission_.cap_changes()) != admission_.cap_changes()) {
      capped = admission_.Capped();
      capped_before = std::exchange(capped_, capped);
    }
  }
  if (promise) desk->Promise(shared_from_this(), *look);
  if (!capped_before.empty() || !capped.empty()) LogCulprits(name_, capped_before, capped);
}

void PoolAdmission::Configure(const AdmissionConfig& config, TimePoint now) {
  Do(now, nullptr,
     [&](Admission* admission, TimePoint then) { admission->Configure(config, then); });
}

AdmissionView PoolAdmission::View(TimePoint now) const {
  const std::lock_guard lock(mutex_);
  return admission_.View(std::max(latest_, now));
}

AdmissionLoad PoolAdmission::Load() const {
  const std::lock_guard lock(mutex_);
  return admission_.Load();
}

void PoolAdmission::Pressure(double pressure, TimePoint now, AdmissionDesk* desk) {
  Do(now, desk, [&](Admission* admission, TimePoint then) { admission->Pressure(pressure, then); });
}

void PoolAdmission::Look(TimePoint now, AdmissionDesk* desk) {
  Do(now, desk, [&](Admission*, TimePoint) { promised_ = TimePoint::max(); });
}

// --- Permit ---

void Permit::Enter(std::shared_ptr<PoolAdmission> pool, const AdmissionAsk& ask,
                   AdmissionUser* user) {
  pool_ = std::move(pool);
  user_ = user;
  ticket_ = {};
  ticket_.ask = ask;
  ticket_.owner = this;
  pool_->Do(desk_.loop().now(), &desk_, [&](Admission* admission, TimePoint now) {
    admission->Enter(&ticket_, now);
    state_ = ticket_.state;
  });
}

void Permit::Speak(Admission* admission, TimePoint now) {
  if (spoken_->status / 100 == 4) ticket_.ask.route = kRefusedRoute;
  admission->FirstByte(&ticket_, spoken_->took, now, spoken_->status >= 500);
}

template <class Action>
void Permit::Tell(Action action) {
  pool_->Do(desk_.loop().now(), &desk_, [&](Admission* admission, TimePoint now) {
    if (spoken_) Speak(admission, now);
    action(admission, now);
  });
  spoken_.reset();
}

void Permit::FirstByte(Duration took, int status) {
  if (state_ == State::kAdmitted) spoken_ = {took, status};
}

void Permit::Settle() {
  if (spoken_) Tell([](Admission*, TimePoint) {});
}

void Permit::StandApart() {
  if (state_ != State::kAdmitted) return;
  Tell([&](Admission* admission, TimePoint now) { admission->StandApart(&ticket_, now); });
}

void Permit::AwaitRequest() {
  if (state_ != State::kAdmitted) return;
  Tell([&](Admission* admission, TimePoint now) {
    admission->AwaitRequest(&ticket_, now);
    state_ = ticket_.state;
  });
}

void Permit::RequestDone() {
  if (state_ != State::kAdmitted) return;
  Tell([&](Admission* admission, TimePoint now) { admission->RequestDone(&ticket_, now); });
}

void Permit::Forget() {
  user_ = nullptr;
  ticket_.left = desk_.loop().now();
}

void Permit::Leave(AdmissionEnd end) {
  if (state_ == State::kOutside) return;
  const State known = std::exchange(state_, State::kOutside);
  Tell([&](Admission* admission, TimePoint now) { admission->Leave(&ticket_, end, now); });
  // Its turn may have come without our having been told.
  if (known == State::kQueued) desk_.Withdraw(this);
  pool_.reset();
  user_ = nullptr;
}

// --- AdmissionDesk ---

AdmissionDesk::AdmissionDesk(Loop& loop)
    : loop_(loop),
      turn_(loop, this, [](void* self) { static_cast<AdmissionDesk*>(self)->Deliver(); }),
      timer_(loop, this, [](void* self) { static_cast<AdmissionDesk*>(self)->OnTimer(); }) {}

AdmissionDesk::~AdmissionDesk() = default;

std::unique_ptr<Permit> AdmissionDesk::Take() {
  if (spare_.empty()) return std::make_unique<Permit>(*this);
  std::unique_ptr<Permit> permit = std::move(spare_.back());
  spare_.pop_back();
  return permit;
}

void AdmissionDesk::PutBack(std::unique_ptr<Permit> permit) {
  permit->Leave(AdmissionEnd::kUnmeasured);
  if (spare_.size() < kKeepSpare) spare_.push_back(std::move(permit));
}

// Called under the pool's lock, which is always taken before a desk's. Another worker's loop is woken
// at most once until it has looked, so that a burst of turns costs one system call.
void AdmissionDesk::Put(Permit* permit, AdmissionDesk* by) {
  {
    const std::lock_guard lock(mutex_);
    inbox_.push_back(permit);
  }
  if (by == this) {
    turn_.Ask();
  } else if (!rung_.exchange(true)) {
    loop_.Post([this] { Deliver(); });
  }
}

void AdmissionDesk::Withdraw(Permit* permit) {
  std::replace(telling_.begin(), telling_.end(), permit, static_cast<Permit*>(nullptr));
  const std::lock_guard lock(mutex_);
  std::erase(inbox_, permit);
}

// Those that come meanwhile are told in the next turn. All are taken at once: a queue of thousands
// may have been refused in one go.
void AdmissionDesk::Deliver() {
  rung_.store(false);
  {
    const std::lock_guard lock(mutex_);
    telling_.swap(inbox_);
  }
  for (std::size_t i = 0; i < telling_.size(); ++i) {
    Permit* permit = std::exchange(telling_[i], nullptr);
    if (permit == nullptr) continue;  // whom we told of another has ended it
    permit->state_ = permit->ticket_.state;
    if (permit->user_ != nullptr) permit->user_->OnAdmission();
  }
  telling_.clear();
}

void AdmissionDesk::Promise(std::shared_ptr<PoolAdmission> pool, TimePoint when) {
  const auto found = std::find_if(promises_.begin(), promises_.end(),
                                  [&](const Promised& each) { return each.pool == pool; });
  if (found == promises_.end()) {
    promises_.push_back({std::move(pool), when});
  } else {
    found->when = std::min(found->when, when);
  }
  if (!timer_.armed() || when < loop_.now() + timer_.left()) timer_.Set(when);
}

void AdmissionDesk::OnTimer() {
  const TimePoint now = loop_.now();
  // Looking promises anew where somebody waits still.
  std::vector<Promised> due;
  const auto later = std::partition(promises_.begin(), promises_.end(),
                                    [&](const Promised& each) { return each.when > now; });
  std::move(later, promises_.end(), std::back_inserter(due));
  promises_.erase(later, promises_.end());
  for (const Promised& each : due) each.pool->Look(now, this);
  for (const Promised& each : promises_) {
    if (!timer_.armed() || each.when < now + timer_.left()) timer_.Set(each.when);
  }
}

}  // namespace spillway

// SPDX-License-Identifier: MIT
#include "proxy/silence.h"

#include <optional>
#include <utility>

#include "proxy/upstream.h"

namespace spillway {
namespace {

constexpr Duration kOften = 100ms;
// We have stood still ourselves: what was answered meanwhile has yet to be read.
constexpr Duration kLate = 250ms;

}  // namespace

void SilentWait::List::Add(SilentWait* wait) {
  wait->list_ = this;
  wait->previous_ = last;
  wait->next_ = nullptr;
  (last != nullptr ? last->next_ : first) = wait;
  last = wait;
}

void SilentWait::Leave() {
  if (list_ == nullptr) return;
  (previous_ != nullptr ? previous_->next_ : list_->first) = next_;
  (next_ != nullptr ? next_->previous_ : list_->last) = previous_;
  list_ = nullptr;
}

Silence::Silence(Loop& loop)
    : loop_(loop), timer_(loop, this, [](void* self) { static_cast<Silence*>(self)->Look(); }) {}

void Silence::Enter(SilentWait* wait, Pool& pool, Endpoint& endpoint, TimePoint asked) {
  wait->Leave();
  wait->pool_ = &pool;
  wait->endpoint_ = &endpoint;
  wait->asked_ = asked;
  wait->counted_ = false;
  waiting_.Add(wait);
  if (timer_.armed()) return;
  due_ = loop_.now() + kOften;
  timer_.Set(due_);
}

// They are in the order in which they came, but for a few that others have waited before: these are
// found when those before them have waited as long.
void Silence::Look() {
  const TimePoint now = loop_.now();
  const bool late = now - std::exchange(due_, now + kOften) > kLate;
  if (waiting_.first != nullptr) timer_.Set(due_);
  if (late) return;
  const Pool* known = nullptr;
  std::optional<Duration> patience;  // of `known`
  for (SilentWait* wait = waiting_.first; wait != nullptr;) {
    SilentWait* const each = std::exchange(wait, wait->next_);
    if (now - each->asked_ < Pool::kLeastPatience / 2) break;
    Pool& pool = *each->pool_;
    if (!patience || &pool != known) {
      known = &pool;
      patience = pool.Patience();
    }
    pool.NoteSilence(*each->endpoint_, each->asked_, *patience, &each->counted_, now);
    if (!Pool::Hangs(*each->endpoint_, each->asked_, now)) continue;
    each->Leave();
    told_.Add(each);
  }
  Tell();
}

// What one does may end others.
void Silence::Tell() {
  while (SilentWait* const next = told_.first) {
    next->Leave();
    next->user_.OnServerHangs();
  }
}

}  // namespace spillway

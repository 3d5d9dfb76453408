// SPDX-License-Identifier: MIT
#include "proxy/outage_watch.h"

#include <algorithm>
#include <utility>

#include "proxy/log.h"
#include "proxy/pool_hold.h"
#include "proxy/socket.h"

namespace spillway {
namespace {

constexpr Duration kOften = 40ms, kSeldom = 250ms;
// A connect is given up after this, and the next after twice as long, up to timeouts.connect, and then
// from the beginning: a server that was switched off gives no answer at all, and the kernel sends its
// first repetition only after a second; one that is far away must have its time.
constexpr Duration kPatience = 100ms;
// A server that takes connections but is not well yet is asked no more often.
constexpr Duration kAskAgain = 250ms;

}  // namespace

// One server's.
class OutageWatch::Probe {
 public:
  Probe(OutageWatch& owner, std::shared_ptr<Endpoint> endpoint)
      : owner_(owner),
        endpoint_(std::move(endpoint)),
        timer_(owner.loop_, this, [](void* self) { static_cast<Probe*>(self)->OnTimer(); }) {}

  const Endpoint* endpoint() const { return endpoint_.get(); }

  void Begin() {
    if (watch_ || asking_ || owner_.loop_.now() < not_before_) return;
    auto fd = StartConnect(endpoint_->address);
    if (!fd) return Failed(fd.error());
    fd_ = std::move(*fd);
    const auto ready = [](void* self) { static_cast<Probe*>(self)->OnReady(); };
    watch_ = std::make_unique<IoWatch>(owner_.loop_, fd_.get(), this, ready, ready);
    watch_->WantWrite(true);
    timer_.SetAfter(patience_);
  }

 private:
  void End() {
    timer_.Clear();
    watch_.reset();
    fd_ = Fd();
  }

  void OnReady() {
    const int error = ConnectError(fd_.get());
    End();
    if (error != 0) return Failed(error);
    patience_ = kPatience;
    // What it is told comes later than this, but may come when we are gone.
    asking_ = true;
    const bool asked =
        owner_.check_(*endpoint_, [this, alive = std::weak_ptr<bool>(alive_)](bool well) {
          if (alive.expired()) return;
          asking_ = false;
          if (well) return owner_.Found(*endpoint_);
          not_before_ = owner_.loop_.now() + kAskAgain;
          owner_.Missed(*endpoint_, false);
        });
    if (asked) return;
    asking_ = false;
    owner_.Found(*endpoint_);
  }

  void OnTimer() {
    End();
    const Duration most = std::max(kPatience, owner_.pool_->config().timeouts.connect);
    // A server whose backlog is full takes its time too: only a whole timeouts.connect in vain is a refusal.
    const bool in_vain = patience_ >= most;
    patience_ = in_vain ? kPatience : std::min(2 * patience_, most);
    owner_.Missed(*endpoint_, in_vain);
    Begin();
  }

  void Failed(int error) {
    if (NobodyListens(error)) owner_.Missed(*endpoint_, true);
  }

  OutageWatch& owner_;
  const std::shared_ptr<Endpoint> endpoint_;
  Deadline timer_;
  Fd fd_;
  std::unique_ptr<IoWatch> watch_;  // not null: a connect is under way
  Duration patience_ = kPatience;
  TimePoint not_before_;
  bool asking_ = false;  // a health check is
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

OutageWatch::OutageWatch(Loop& loop, std::shared_ptr<Pool> pool, Check check)
    : loop_(loop),
      pool_(std::move(pool)),
      check_(std::move(check)),
      timer_(loop, this, [](void* self) { static_cast<OutageWatch*>(self)->OnTimer(); }) {
  Begin();
}

OutageWatch::~OutageWatch() = default;

void OutageWatch::Begin() {
  if (pool_->hold()->state() == HoldView::State::kUp) return;
  if (!timer_.armed() || timer_.left() > kOften) timer_.Set(loop_.now());
}

void OutageWatch::OnTimer() {
  PoolHold& hold = *pool_->hold();
  const TimePoint now = loop_.now();
  hold.Look(now);
  const HoldView::State state = hold.state();
  if (state == HoldView::State::kUp) return probes_.clear();
  timer_.SetAfter(hold.wanted(now) ? kOften : kSeldom);
  if (state == HoldView::State::kReturning) return;
  const std::shared_ptr<const PoolMembers> members = pool_->members();
  std::vector<std::unique_ptr<Probe>> probes;
  for (const PoolMember& member : *members) {
    const auto found = std::find_if(probes_.begin(), probes_.end(), [&](const auto& probe) {
      return probe && probe->endpoint() == member.endpoint.get();
    });
    probes.push_back(found != probes_.end() ? std::move(*found)
                                            : std::make_unique<Probe>(*this, member.endpoint));
  }
  probes_ = std::move(probes);
  for (std::size_t i = 0; i < probes_.size(); ++i) probes_[i]->Begin();
}

// It is taken back at once, whatever was held against it.
void OutageWatch::Found(Endpoint& endpoint) {
  const bool was_down = pool_->hold()->state() == HoldView::State::kDown;
  Pool::TakeBack(endpoint);
  const HoldView view = pool_->hold()->View(loop_.now());
  pool_->hold()->Back(loop_.now());
  if (!was_down) return;
  std::uint32_t held = 0;
  for (const std::uint32_t of_class : view.held) held += of_class;
  log::Info("pool {}: {} answers again after {}ms; {} requests were held", pool_->config().name,
            endpoint.text,
            std::chrono::duration_cast<std::chrono::milliseconds>(view.lasted).count(), held);
}

void OutageWatch::Missed(Endpoint& endpoint, bool refused) {
  if (refused) endpoint.refuses.store(true, std::memory_order_relaxed);
  if (pool_->hold()->state() != HoldView::State::kDown && pool_->AllOut())
    pool_->NoteDown(loop_.now());
}

}  // namespace spillway

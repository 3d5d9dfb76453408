// SPDX-License-Identifier: MIT
#include "proxy/orphans.h"

#include <algorithm>
#include <utility>

#include "proxy/worker_context.h"

namespace spillway {
namespace {

// An answer that is longer, or takes longer, is not worth keeping its connection for; and a reset in the
// middle of one is what servers do notice.
constexpr std::uint64_t kMostBody = 256 * 1024;
constexpr Duration kLongestBody = 1s;

bool HasAnother(const Pool& pool, const Endpoint& than, TimePoint now) {
  const std::shared_ptr<const PoolMembers> all = pool.members();
  return std::any_of(all->begin(), all->end(), [&](const PoolMember& member) {
    return member.endpoint.get() != &than && Pool::Usable(*member.endpoint, now);
  });
}

}  // namespace

class Orphans::Orphan final : public UpstreamUser, public SilentUser {
 public:
  Orphan(Orphans& owner, Orphaned from) : owner_(owner), it_(std::move(from)) {
    it_.permit->Forget();
    it_.upstream->WantRead(true);
    it_.upstream->SetDeadline(std::max<Duration>(it_.asked + it_.patience - now(), 1ms));
    owner_.worker_.silence.Enter(&silent_, pool(), *it_.lease.get(), it_.asked);
  }
  ~Orphan() { GiveBack(); }

  std::size_t place = 0;  // among its owner's
  const WideHash& same() const { return it_.same; }
  Orphaned GiveUp() {
    silent_.Leave();
    return std::move(it_);
  }
  // Its server is out, or seems to hang, while there is another.
  bool Hopeless() const {
    const Endpoint& server = *it_.lease.get();
    const bool out = !Pool::Usable(server, now());
    const bool hangs =
        Pool::SilentSince(server, it_.asked) && now() - it_.asked >= pool().Patience();
    return (out || hangs) && HasAnother(pool(), server, now());
  }

  void OnUpstreamReadable() override {
    // What TLS has decrypted already no event will tell of.
    do {
      ReadOnce();
    } while (it_.upstream && it_.upstream->has_pending());
  }
  void OnUpstreamWritable() override {}  // all has been sent
  void OnServerHangs() override { it_.permit->StandApart(); }
  // Only silence before the head is the server's failure.
  void OnUpstreamDeadline() override {
    End(answered_ ? TryOutcome::kAnswered : TryOutcome::kFailed);
  }

 private:
  void ReadOnce() {
    const UpstreamSide::ReadResult read = it_.upstream->Read();
    if (read.status == IoStatus::kWouldBlock) return;
    if (read.status == IoStatus::kBroken) return End(TryOutcome::kFailed);
    const bool ended = read.status == IoStatus::kEnd;
    for (;;) {
      switch (it_.upstream->Next(ended)) {
        case ParseStep::kHead:
          if (it_.upstream->head().interim()) {
            it_.upstream->NextHead();
          } else if (!TakeHead()) {
            return End(TryOutcome::kAnswered);
          }
          continue;
        case ParseStep::kBody:
          passed_over_ += it_.upstream->body().size();
          if (passed_over_ > kMostBody) return End(TryOutcome::kAnswered);
          continue;
        case ParseStep::kEnd:
          return Keep();
        case ParseStep::kFailed:
          return End(TryOutcome::kFailed);
        case ParseStep::kNeedMore:
          break;
      }
      break;
    }
    if (answered_) it_.upstream->ReleasePieces();
    if (ended) End(answered_ ? TryOutcome::kAnswered : TryOutcome::kFailed);
  }
  Pool& pool() const { return it_.generation->pools[it_.pool].pool(); }
  PoolCounters& counters() const { return *it_.generation->pool_counters[it_.pool]; }
  TimePoint now() const { return owner_.worker_.loop.now(); }

  // As an exchange's head is counted. False: nothing that is worth reading follows.
  bool TakeHead() {
    const int status = it_.upstream->head().status;
    answered_ = true;
    owner_.Forget(this);
    end_ = status >= 500 ? AdmissionEnd::kError : AdmissionEnd::kAnswered;
    counters().first_byte_seconds.Observe(now() - it_.asked);
    counters().status_classes[static_cast<std::size_t>(status) / 100 % 6].Add();
    silent_.Leave();
    pool().Answered(*it_.lease.get(), status, now() - it_.asked, now());
    it_.permit->FirstByte(now() - it_.asked, status);
    it_.permit->Settle();
    it_.upstream->SetDeadline(kLongestBody);
    return status != 101;
  }

  void Keep() {
    const PoolConfig::KeepAlive& kept = pool().config().keep_alive;
    it_.upstream.release()->Finish({.request_sent = true,
                                    .to_head = it_.to_head,
                                    .keep = kept.connections,
                                    .idle = kept.idle});
    GiveBack();
    owner_.Bury(this);
  }

  void End(TryOutcome outcome) {
    if (outcome == TryOutcome::kFailed) {
      end_ = AdmissionEnd::kDropped;
      it_.lease->errors.fetch_add(1, std::memory_order_relaxed);
      pool().Report(*it_.lease.get(), outcome, now());
    }
    GiveBack();
    owner_.Bury(this);
  }

  void GiveBack() {
    silent_.Leave();
    it_.upstream.reset();
    it_.lease.Release();
    if (!it_.permit) return;
    it_.permit->Leave(end_);
    owner_.worker_.desk.PutBack(std::move(it_.permit));
  }

  Orphans& owner_;
  Orphaned it_;
  SilentWait silent_{*this};
  AdmissionEnd end_ = AdmissionEnd::kUnmeasured;
  std::uint64_t passed_over_ = 0;
  bool answered_ = false;
};

Orphans::Orphans(WorkerContext& worker) : worker_(worker), purge_(worker.loop, this, &OnPurge) {}
Orphans::~Orphans() = default;

bool Orphans::Take(Orphaned* from) {
  if (orphans_.size() >= kMost || !from->upstream->outlives_user()) return false;
  UpstreamSide& upstream = *from->upstream;
  const WideHash same = from->same;
  auto orphan = std::make_unique<Orphan>(*this, std::move(*from));
  upstream.ChangeUser(*orphan);
  orphan->place = orphans_.size();
  if (same.low != 0) waiting_[same.low] = orphan.get();
  orphans_.push_back(std::move(orphan));
  return true;
}

std::optional<Orphaned> Orphans::GiveBack(const WideHash& same, UpstreamUser* user) {
  const auto found = waiting_.find(same.low);
  if (found == waiting_.end() || found->second->same().high != same.high) return std::nullopt;
  Orphan* orphan = found->second;
  if (orphan->Hopeless()) return std::nullopt;
  waiting_.erase(found);
  Orphaned it = orphan->GiveUp();
  it.upstream->ChangeUser(*user);
  Bury(orphan);
  return it;
}

void Orphans::Forget(Orphan* orphan) {
  const auto found = waiting_.find(orphan->same().low);
  if (found != waiting_.end() && found->second == orphan) waiting_.erase(found);
}

void Orphans::Bury(Orphan* orphan) {
  Forget(orphan);
  const std::size_t place = orphan->place;
  graveyard_.push_back(std::move(orphans_[place]));
  if (place + 1 < orphans_.size()) {
    orphans_[place] = std::move(orphans_.back());
    orphans_[place]->place = place;
  }
  orphans_.pop_back();
  purge_.Ask();
}

void Orphans::OnPurge(void* self) {
  static_cast<Orphans*>(self)->graveyard_.clear();
}

}  // namespace spillway

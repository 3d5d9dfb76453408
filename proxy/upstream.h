// SPDX-License-Identifier: MIT
// Upstream pools as all workers share them: which servers there are, how they do, and who gets the
// next request. Connections are not here: each worker keeps its own (proxy/upstream_connection.h).
//
// Thread rule: Endpoint, Pool and RetryBudget may be used from any thread; PoolLocal belongs to one
// worker.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/pool_admission.h"
#include "proxy/pool_hold.h"
#include "proxy/pulse.h"
#include "proxy/socket.h"
#include "proxy/tls.h"
#include "spillway/balance.h"
#include "spillway/config.h"
#include "spillway/surroundings.h"
#include "spillway/units.h"

namespace spillway {

// Why a server is ejected.
enum class Ejection : std::uint8_t {
  kErrors,  // so many in a row
  kHangs,   // it answers nothing while others do
  kFails,   // most of its answers are errors, and another's are not
};
std::string_view EjectionText(Ejection why);  // as status says it

// One address that can be connected to, for one pool. Lives on across reloads as long as a pool of
// that name has the address and speaks to it in the same way.
struct Endpoint {
  KernelAddress address;
  std::string text;            // "10.0.0.5:3000"
  std::string tls_name;        // with TLS: whom its certificate must be for
  std::uint64_t identity = 0;  // hash of text

  std::atomic<std::uint32_t> in_flight{0};
  std::atomic<std::uint32_t> errors_in_row{0};
  std::atomic<bool> healthy{true};   // by the active checks
  std::atomic<bool> refuses{false};  // took no connection, and has taken none since
  // Steady nanoseconds; 0: not ejected, or never found well again by the checks
  std::atomic<std::int64_t> ejected_at{0}, ejected_until{0}, well_since{0};
  // One that hung, and has not answered since; steady nanoseconds.
  std::atomic<std::int64_t> tried_at{0};
  std::atomic<Ejection> ejected_as{Ejection::kErrors};
  std::atomic<std::uint32_t> ejections{0};  // in a row: each doubles the time, up to 10 x
  Pulse pulse;
  std::atomic<std::uint64_t> requests{0}, errors{0};  // tries; counted by the exchange
  std::atomic<std::int64_t> told_of_certificate{0};   // steady nanoseconds of the last warning
  TlsSessionSlot session;                             // one, of all workers
};

struct PoolMember {
  std::shared_ptr<Endpoint> endpoint;
  std::uint32_t weight = 1;
  bool backup = false;
};
using PoolMembers = std::vector<PoolMember>;

std::uint64_t HashAddress(std::string_view text);  // Endpoint::identity: the same in every build

// "At most `percent` of the requests of the last ten seconds may be retries, and at least three."
// 0 percent: none at all. Lock-free; no count is lost. Under contention it may refuse one too many,
// never grant one.
class RetryBudget {
 public:
  explicit RetryBudget(std::uint32_t percent);
  void CountRequest(TimePoint now);
  bool TryRetry(TimePoint now);  // takes one when there is one

 private:
  void Count(std::int64_t second, std::int64_t requests, std::int64_t retries);
  const std::uint32_t percent_;
  std::atomic<std::uint64_t> slots_[10] = {};  // each for one of ten seconds in turn
};

// How one try at an endpoint went, for passive ejection.
enum class TryOutcome : std::uint8_t {
  kAnswered,     // with a status below 500
  kErred,        // another error than those that follow
  kServerError,  // 502, 503, 504 from it
  kFailed,       // connect, reset, timeout
};

class Pool {
 public:
  // `tls` is null for servers that are spoken to in the clear.
  explicit Pool(const PoolConfig& config, std::shared_ptr<const TlsClientContext> tls = nullptr,
                std::shared_ptr<PoolAdmission> admission = nullptr,
                std::shared_ptr<PoolHold> hold = nullptr);
  const PoolConfig& config() const { return config_; }
  const std::shared_ptr<const TlsClientContext>& tls() const { return tls_; }
  // Who goes to its servers now; shared by the pools of its name over reloads. Null: everybody.
  const std::shared_ptr<PoolAdmission>& admission() const { return admission_; }
  // Who waits for a server to come back; shared in the same way. Null: nobody.
  const std::shared_ptr<PoolHold>& hold() const { return hold_; }

  // Published by the control thread (start, DNS change).
  void SetMembers(std::shared_ptr<const PoolMembers> members);
  std::shared_ptr<const PoolMembers> members() const;
  std::uint64_t version() const { return version_.load(std::memory_order_acquire); }

  // Tells how a try went. What ejects the endpoint for a while: `consecutive_errors` in a row, after
  // that while one more; many answers of which most are errors, while another answers well. Each time
  // is twice as long as the one before (up to 10 x), until it has answered. Never ejects more than
  // max_share of the members (though one, if another stays usable), nor the last usable one.
  // Lock-free but while an endpoint fails, and then it does not wait for the lock of an ejection.
  void Report(Endpoint& endpoint, TryOutcome outcome, TimePoint now);
  // The same of an answer, whose head came `took` after the endpoint had all of the request. One that
  // was ejected as it hangs is taken back by it.
  void Answered(Endpoint& endpoint, int status, std::optional<Duration> took, TimePoint now);
  // A request that the endpoint had at `asked` is not answered yet. Those that wait for longer than
  // `patience` while nothing is answered at all, but by another, eject it. `counted` is the request's.
  void NoteSilence(Endpoint& endpoint, TimePoint asked, Duration patience, bool* counted,
                   TimePoint now);
  // How long one may wait before it means anything: some times what is usual. Takes a lock.
  Duration Patience() const;
  static constexpr Duration kLeastPatience = 1s;
  // It has answered nothing since.
  static bool SilentSince(const Endpoint& endpoint, TimePoint asked);
  // It was ejected so, its time is over, and it has not answered yet.
  static bool OnTrial(const Endpoint& endpoint);
  // It is ejected as one that hangs, and a request of then is one that met it so.
  static bool Hangs(const Endpoint& endpoint, TimePoint asked, TimePoint now);
  // Healthy and not ejected.
  static bool Usable(const Endpoint& endpoint, TimePoint now);
  // No server can be asked: each is unhealthy, or has refused the last connection. Takes a lock.
  bool AllOut() const;
  // Adds those that have refused the last connection.
  void ListRefusing(std::vector<const Endpoint*>* out) const;
  // No server can be asked. REQUIRES: hold().
  void NoteDown(TimePoint now);
  // It has taken a connection, and is well as far as it is asked: nothing is held against it any more.
  static void TakeBack(Endpoint& endpoint);
  RetryBudget& budget() { return budget_; }

 private:
  bool FailsAlone(const Endpoint& endpoint, TimePoint now) const;
  bool AnotherAnswers(const Endpoint& endpoint, TimePoint asked, TimePoint now) const;
  void Eject(Endpoint& endpoint, Ejection why, TimePoint now);
  void TellOfEjection(const Endpoint& endpoint, Ejection why, Duration time, TimePoint now) const;
  void TakeBackEarly(Endpoint& endpoint, TimePoint now);
  const PoolConfig config_;
  const std::shared_ptr<const TlsClientContext> tls_;
  const std::shared_ptr<PoolAdmission> admission_;
  const std::shared_ptr<PoolHold> hold_;
  mutable std::mutex mutex_;
  std::shared_ptr<const PoolMembers> members_;
  std::atomic<std::uint64_t> version_{0};
  RetryBudget budget_;
};

// A request's place at an endpoint: in_flight is counted for as long as it lives.
class Lease {
 public:
  Lease() = default;
  explicit Lease(std::shared_ptr<Endpoint> endpoint);
  ~Lease() { Release(); }
  Lease(Lease&& other) noexcept : endpoint_(std::move(other.endpoint_)) {}
  Lease& operator=(Lease&& other) noexcept;
  Endpoint* get() const { return endpoint_.get(); }
  Endpoint* operator->() const { return endpoint_.get(); }
  explicit operator bool() const { return endpoint_ != nullptr; }
  const std::shared_ptr<Endpoint>& endpoint() const { return endpoint_; }
  std::shared_ptr<Endpoint> Release();  // what it held; null: nothing

 private:
  std::shared_ptr<Endpoint> endpoint_;
};

// A worker's own view of a pool, so that picking takes no lock: members are copied when the version
// moves.
class PoolLocal {
 public:
  explicit PoolLocal(std::shared_ptr<Pool> pool);
  Pool& pool() const { return *pool_; }
  // A server for one try. `tried` are endpoints that this request failed at: avoided while another
  // is usable. Members that are healthy but ejected are used when there is nothing else: ejection
  // is a guess, and a guess about everybody is a wrong one. The Lease is empty when the pool has no
  // member, or the active checks find none healthy: the caller answers 503.
  Lease Pick(std::uint64_t key, std::uint64_t chance, std::span<const Endpoint* const> tried,
             TimePoint now);
  // Requests in flight and the share of members that are usable; none of no members. Walks them.
  PoolState State(TimePoint now);
  // As the last Pick saw the pool: it has no member at all.
  bool empty() const { return members_ == nullptr || members_->empty(); }

 private:
  void Refresh();
  // How much of its share a server gets, 1 being all: less while its slow start lasts.
  double Readiness(const Endpoint& endpoint, TimePoint now) const;
  bool HoldsBack(const Endpoint& endpoint, std::uint64_t draw, TimePoint now) const;
  void HoldBackYoung(std::uint64_t draw, TimePoint now);
  std::optional<std::size_t> Choose(std::uint64_t key, std::uint64_t chance);
  std::shared_ptr<Pool> pool_;
  std::shared_ptr<const PoolMembers> members_;
  std::uint64_t version_ = ~std::uint64_t{0};
  std::uint64_t turn_ = 0;
  std::vector<ServerLoad> loads_;
};

}  // namespace spillway

// SPDX-License-Identifier: MIT
#include "proxy/worker_context.h"

#include <utility>

#include "proxy/client_connection.h"
#include "proxy/http1_connection.h"

namespace spillway {
namespace {

PreparedAnswers AnswersOf(const Policy& policy) {
  std::vector<LimitWords> words;
  for (const LimitInfo& limit : policy.limits()) words.push_back(WordsFor(limit));
  return {policy.rules().size(), std::move(words)};
}

}  // namespace

LocalGeneration::LocalGeneration(std::shared_ptr<const Generation> generation,
                                 std::vector<bool> states, std::size_t worker)
    : shared(std::move(generation)),
      toggles(std::make_unique<bool[]>(states.size() + 1)),
      answers(AnswersOf(*shared->config.policy)),
      memo(shared->memo_secret) {
  for (std::size_t i = 0; i < states.size(); ++i) toggles[i] = states[i];
  for (const auto& limit : shared->limits) limits.push_back(limit.get());
  for (const auto& limit : shared->shadow_limits) shadow_limits.push_back(limit.get());
  for (const auto& pool : shared->pools) {
    pools.emplace_back(pool);
    hash_keys.push_back(pool->config().hash_key);
  }
  for (const auto& counters : shared->pool_counters[worker])
    pool_counters.push_back(counters.get());
  for (const auto& counters : shared->rule_counters[worker])
    rule_counters.push_back(counters.get());
  if (!shared->forecasts.empty()) forecast = shared->forecasts[worker].get();
}

WorkerContext::WorkerContext(std::size_t worker, AccessLog& log, ConnectionPlaces& all,
                             std::uint64_t seed, std::uint64_t id_seed)
    : index(worker),
      access_log(log),
      places(all),
      upstreams(loop, blocks, all.upstreams()),
      http2_upstreams(loop, all.upstreams()),
      desk(loop),
      hold_desk(loop),
      silence(loop),
      orphans(*this),
      http2_spares(*this),
      chance(seed),
      ids(id_seed),
      purge_(loop, this, &OnPurge) {}

WorkerContext::~WorkerContext() {
  ForEach([](ClientConnection& each) { each.Close(); });
  graveyard_.clear();  // they put aside what they held
}

WallTime WorkerContext::wall_now() {
  // One clock is read for each event anyway, and both run alike: reading the other as well would be
  // one of the larger parts of what a refusal costs.
  if (!compared_ || loop.now() - *compared_ >= std::chrono::seconds(1)) {
    wall_ahead_ = loop.wall_now().time_since_epoch() - loop.now().time_since_epoch();
    compared_ = loop.now();
  }
  return WallTime(loop.now().time_since_epoch() + wall_ahead_);
}

std::string_view WorkerContext::date() {
  return date_.At(wall_now());
}

bool WorkerContext::EndIdleUpstreams() {
  if (upstreams.size() + http2_upstreams.idle() == 0) return false;
  upstreams.CloseAll();
  http2_upstreams.CloseIdle();
  return true;
}

void ConnectionList::Add(ClientConnection* connection) {
  connection->previous_ = last_;
  connection->next_ = nullptr;
  (last_ != nullptr ? last_->next_ : first_) = connection;
  last_ = connection;
}

void ConnectionList::Remove(ClientConnection* connection) {
  ClientConnection* const previous = connection->previous_;
  ClientConnection* const next = connection->next_;
  (previous != nullptr ? previous->next_ : first_) = next;
  (next != nullptr ? next->previous_ : last_) = previous;
}

ClientConnection* ConnectionList::Next(const ClientConnection* connection) {
  return connection->next_;
}

void WorkerContext::Add(std::unique_ptr<ClientConnection> connection) {
  waiting_.Add(connection.release());  // the list owns it until Bury
  ++connections_;
}

void WorkerContext::Bury(ClientConnection* connection) {
  (connection->waiting() ? waiting_ : busy_).Remove(connection);
  --connections_;
  graveyard_.emplace_back(connection);
  purge_.Ask();
  if (on_connection_gone) on_connection_gone();
}

void WorkerContext::Move(ClientConnection* connection, bool waiting) {
  (waiting ? busy_ : waiting_).Remove(connection);
  (waiting ? waiting_ : busy_).Add(connection);
}

bool WorkerContext::GiveUpOne(Duration at_least) {
  ClientConnection* longest = waiting_.first();
  if (longest == nullptr || loop.now() - longest->waiting_since() < at_least) return false;
  longest->GiveUp();
  return true;
}

void WorkerContext::ForEach(const std::function<void(ClientConnection&)>& visit) {
  for (const ConnectionList& list : {waiting_, busy_}) {
    for (ClientConnection* each = list.first(); each != nullptr;) {
      ClientConnection* next = ConnectionList::Next(each);
      visit(*each);
      each = next;
    }
  }
}

std::unique_ptr<ClientProtocol> WorkerContext::TakeHttp1(ClientConnection& connection) {
  std::unique_ptr<Http1Connection> taken;
  if (spare_.empty()) {
    taken = std::make_unique<Http1Connection>(*this);
  } else {
    taken = std::move(spare_.back());
    spare_.pop_back();
  }
  taken->Serve(connection);
  return taken;
}

void WorkerContext::PutAside(std::unique_ptr<ClientProtocol> protocol) {
  if (protocol->Forget() && spare_.size() < kKeepSpare) {
    // Only HTTP/1 forgets.
    spare_.emplace_back(static_cast<Http1Connection*>(protocol.release()));
  } else {
    spent_.push_back(std::move(protocol));
    purge_.Ask();
  }
}

void WorkerContext::OnPurge(void* self) {
  auto* context = static_cast<WorkerContext*>(self);
  context->graveyard_.clear();
  context->spent_.clear();
}

}  // namespace spillway

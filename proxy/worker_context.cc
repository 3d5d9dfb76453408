// SPDX-License-Identifier: MIT
#include "proxy/worker_context.h"

#include <utility>

#include "proxy/client_connection.h"

namespace spillway {
LocalGeneration::LocalGeneration(std::shared_ptr<const Generation> generation,
                                 std::vector<bool> states, std::size_t worker)
    : shared(std::move(generation)), toggles(std::make_unique<bool[]>(states.size() + 1)) {
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
}

WorkerContext::WorkerContext(std::size_t worker, AccessLog& log, std::uint64_t seed,
                             std::uint64_t id_seed)
    : index(worker),
      access_log(log),
      upstreams(loop, blocks),
      http2_upstreams(loop),
      chance(seed),
      ids(id_seed),
      purge_(loop, this, &OnPurge) {}

WorkerContext::~WorkerContext() {
  while (first_ != nullptr) first_->Close();
}

std::string_view WorkerContext::date() {
  return date_.At(loop.wall_now());
}

void WorkerContext::Add(std::unique_ptr<ClientConnection> connection) {
  ClientConnection* added = connection.release();  // the list owns it until Bury
  added->next_ = first_;
  if (first_ != nullptr) first_->previous_ = added;
  first_ = added;
  ++connections_;
}

void WorkerContext::Bury(ClientConnection* connection) {
  if (connection->previous_ != nullptr) connection->previous_->next_ = connection->next_;
  if (connection->next_ != nullptr) connection->next_->previous_ = connection->previous_;
  if (first_ == connection) first_ = connection->next_;
  --connections_;
  graveyard_.emplace_back(connection);
  purge_.Set(loop.now());
  if (on_connection_gone) on_connection_gone();
}

void WorkerContext::ForEach(const std::function<void(ClientConnection&)>& visit) {
  for (ClientConnection* each = first_; each != nullptr;) {
    ClientConnection* next = each->next_;
    visit(*each);
    each = next;
  }
}

void WorkerContext::OnPurge(void* self) {
  static_cast<WorkerContext*>(self)->graveyard_.clear();
}

}  // namespace spillway

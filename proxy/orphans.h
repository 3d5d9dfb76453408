// SPDX-License-Identifier: MIT
// Requests whose client has left while a server works at them. Servers mostly do not notice, so each
// keeps its place until it is answered; the answer is thrown away.
//
// Thread rule: one worker's loop thread. Memory: at most 4,096, each a connection with its buffers;
// those beyond are cut short, and their places are free.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "proxy/pool_admission.h"
#include "proxy/upstream.h"
#include "proxy/upstream_side.h"

namespace spillway {

struct LocalGeneration;
struct WorkerContext;

// All that an exchange held of its upstream.
struct Orphaned {
  std::shared_ptr<LocalGeneration> generation;
  std::uint32_t pool = 0;
  std::unique_ptr<UpstreamSide> upstream;
  Lease lease;
  std::unique_ptr<Permit> permit;
  TimePoint asked;
  bool to_head = false;
};

class Orphans {
 public:
  static constexpr std::size_t kMost = 4096;

  explicit Orphans(WorkerContext& worker);
  ~Orphans();

  // False when there are too many, or its upstream hears of a client's leaving: then nothing has been
  // taken, and the caller cuts it short. REQUIRES: all of the request was sent; its deadline is set.
  bool Take(Orphaned* from);
  std::size_t size() const { return orphans_.size(); }

 private:
  class Orphan;
  void Bury(Orphan* orphan);  // at the turn's end: it may be in a call of its own
  static void OnPurge(void* self);

  WorkerContext& worker_;
  std::vector<std::unique_ptr<Orphan>> orphans_, graveyard_;
  TurnEnd purge_;
};

}  // namespace spillway

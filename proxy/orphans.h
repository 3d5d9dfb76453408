// SPDX-License-Identifier: MIT
// Requests whose client has left while a server works at them. Servers mostly do not notice, so each
// keeps its place until it is answered. The answer is thrown away, unless the same visitor asks for
// the same again meanwhile, as one does who presses reload: then it is his.
//
// Thread rule: one worker's loop thread. Memory: at most 4,096, each a connection with its buffers;
// those beyond are cut short, and their places are free.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "proxy/local_ref.h"
#include "proxy/pool_admission.h"
#include "proxy/upstream.h"
#include "proxy/upstream_side.h"
#include "spillway/keyed_hash.h"

namespace spillway {

struct LocalGeneration;
struct WorkerContext;

// All that an exchange held of its upstream.
struct Orphaned {
  LocalRef<LocalGeneration> generation;
  std::uint32_t pool = 0;
  std::unique_ptr<UpstreamSide> upstream;
  Lease lease;
  std::unique_ptr<Permit> permit;
  TimePoint asked;
  Duration patience{0};  // from then on, for the head of the answer
  bool to_head = false;
  WideHash same;  // of requests that this answer would do for; 0: of none
};

class Orphans {
 public:
  static constexpr std::size_t kMost = 4096;

  explicit Orphans(WorkerContext& worker);
  ~Orphans();

  // False when there are too many, or its upstream hears of a client's leaving: then nothing has been
  // taken, and the caller cuts it short. REQUIRES: all of the request was sent.
  bool Take(Orphaned* from);
  // One whose answer would do and has not begun, for its new user; its deadline stays as it is. None where
  // its server is out, or seems to hang: another may answer sooner.
  std::optional<Orphaned> GiveBack(const WideHash& same, UpstreamUser* user);
  std::size_t size() const { return orphans_.size(); }

 private:
  class Orphan;
  void Forget(Orphan* orphan);  // its answer is nobody's any more
  void Bury(Orphan* orphan);    // at the turn's end: it may be in a call of its own
  static void OnPurge(void* self);

  WorkerContext& worker_;
  std::vector<std::unique_ptr<Orphan>> orphans_, graveyard_;
  // Of those whose answer has not begun. An orphan is rare, and has an allocation of its own as well.
  std::unordered_map<std::uint64_t, Orphan*> waiting_;
  TurnEnd purge_;
};

}  // namespace spillway

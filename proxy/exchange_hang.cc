// SPDX-License-Identifier: MIT
// What becomes of a request whose server hangs and has been ejected for it, while others answer.
#include "proxy/client_side.h"
#include "proxy/exchange.h"

namespace spillway {

// One that nothing was answered after, so that it is none of those that the server hangs over: such are
// not to go from one server to the next. And only what changes nothing, since the server may do it yet.
bool Exchange::MayMove() const {
  const std::string_view method = state_.request.method;
  return (method == "GET" || method == "HEAD") && !state_.has_body && !state_.response_begun &&
         client_.head().upgrade.empty() && Pool::SilentSince(*lease_.get(), state_.asked) &&
         state_.tries <= pool().config().retries.attempts &&
         pool().budget().TryRetry(worker_.loop.now());
}

// It goes to another server with the place that it has. One that may not waits on, but its place is no
// longer at a server that works.
void Exchange::OnServerHangs() {
  if (MayMove()) {
    ChargeUpstream(Failure::kTimeout);
    tried_.push_back(lease_.get());
    DropUpstream();
    pool_counters().retries.Add();
    PickServer();
    ArmUpstream();
    client_.Settle();
  } else if (permit_ && !state_.apart) {
    state_.apart = true;
    permit_->StandApart();
  }
}

}  // namespace spillway

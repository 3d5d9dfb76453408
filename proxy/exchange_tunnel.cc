// SPDX-License-Identifier: MIT
// The step tunnel: after a 101, bytes are relayed both ways as they come, each side read only while
// the other side's output is empty. Ends when both sides have ended, either is broken, or neither
// spoke for clients.timeouts.tunnel.
#include <sys/socket.h>

#include "proxy/client_side.h"
#include "proxy/exchange.h"

namespace spillway {

void Exchange::EnterTunnel() {
  step_ = Step::kTunnel;
  state_.status = 101;
  state_.response_begun = true;
  upstream_->ClearDeadline();
  ForwardResponse forward;
  forward.request_id = request_id_;
  const std::string_view early = upstream_->EnterTunnel();
  state_.bytes_out += early.size();
  if (!client_.EnterTunnel(upstream_->head(), forward, early)) return OnClientGone();
  PumpTunnel();
}

// Moves what can be moved, then waits for what is missing. False from a direction: the tunnel is
// closed.
void Exchange::PumpTunnel() {
  if (!TunnelFromClient() || !TunnelFromUpstream()) return;
  if (state_.client_ended && state_.upstream_ended && upstream_->unsent() == 0 &&
      !client_.output_full()) {
    Account();
    return client_.Close();
  }
  client_.WantBody(!state_.client_ended && upstream_->unsent() == 0);
  upstream_->WantRead(!state_.upstream_ended && !client_.output_full());
  upstream_->WantWrite(upstream_->unsent() > 0);
}

bool Exchange::TunnelFromClient() {
  Block block = worker_.blocks.Take(kSmallBlock);
  std::optional<Side> broken;
  for (int turn = 0; turn < kReadsPerTurn && !state_.client_ended && upstream_->unsent() == 0;
       ++turn) {
    const IoResult read = client_.ReadTunnel({block.data.get(), block.size});
    if (read.status == IoStatus::kWouldBlock) break;
    if (read.status == IoStatus::kEnd) {
      state_.client_ended = true;
      upstream_->EndTunnelInput();
      break;
    }
    if (read.status == IoStatus::kBroken) {
      broken = Side::kClient;
      break;
    }
    if (upstream_->WriteTunnel({block.data.get(), read.bytes}) == IoStatus::kBroken) {
      broken = Side::kUpstream;
      break;
    }
    state_.bytes_in += read.bytes;
    client_.TouchTunnel();
  }
  worker_.blocks.Give(std::move(block));
  return !broken || OutlivesBreak(*broken);
}

bool Exchange::TunnelFromUpstream() {
  Block block = worker_.blocks.Take(kSmallBlock);
  std::optional<Side> broken;
  for (int turn = 0; turn < kReadsPerTurn && !state_.upstream_ended && !client_.output_full();
       ++turn) {
    const IoResult read = upstream_->ReadTunnel({block.data.get(), block.size});
    if (read.status == IoStatus::kWouldBlock) break;
    if (read.status == IoStatus::kEnd) {
      state_.upstream_ended = true;
      client_.EndTunnelOutput();
      break;
    }
    if (read.status == IoStatus::kBroken) {
      broken = Side::kUpstream;
      break;
    }
    if (!client_.WriteTunnel({block.data.get(), read.bytes})) {
      broken = Side::kClient;
      break;
    }
    state_.bytes_out += read.bytes;
    client_.TouchTunnel();
  }
  worker_.blocks.Give(std::move(block));
  return !broken || OutlivesBreak(*broken);
}

// True: the tunnel goes on. An upstream that had ended its side and then breaks has only stopped
// listening (its close crossed with more from the client): what it said still goes out. Nor is it
// to blame when the client had ended already.
bool Exchange::OutlivesBreak(Side side) {
  if (side == Side::kClient) {
    OnClientGone();
    return false;
  }
  if (state_.upstream_ended) {
    upstream_->DropUnsent();
    state_.client_ended = true;
    return true;
  }
  if (!state_.client_ended) ChargeUpstream(Failure::kReset);
  AbortRelay("upstream reset");
  return false;
}

}  // namespace spillway

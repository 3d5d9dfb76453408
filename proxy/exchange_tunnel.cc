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
  upstream_->deadline.Clear();
  ForwardResponse forward;
  forward.request_id = request_id_;
  const InputBuffer& in = upstream_->in;
  const std::string_view early(upstream_->in.data() + upstream_->parsed,
                               in.end() - upstream_->parsed);
  state_.bytes_out += early.size();
  if (!client_.EnterTunnel(upstream_->parser.head(), forward, early)) return OnClientGone();
  upstream_->in.Release();
  PumpTunnel();
}

// Moves what can be moved, then waits for what is missing. False from a direction: the tunnel is
// closed.
void Exchange::PumpTunnel() {
  if (!TunnelFromClient() || !TunnelFromUpstream()) return;
  if (state_.client_ended && state_.upstream_ended && upstream_->out.empty() &&
      !client_.output_full()) {
    Account({});
    return client_.Close();
  }
  client_.WantBody(!state_.client_ended && upstream_->out.empty());
  upstream_->watch.WantRead(!state_.upstream_ended && !client_.output_full());
  upstream_->watch.WantWrite(!upstream_->out.empty());
}

bool Exchange::TunnelFromClient() {
  Block block = worker_.blocks.Take(kSmallBlock);
  bool open = true;
  for (int turn = 0; turn < kReadsPerTurn && !state_.client_ended && upstream_->out.empty();
       ++turn) {
    const IoResult read = client_.ReadTunnel({block.data.get(), block.size});
    if (read.status == IoStatus::kWouldBlock) break;
    if (read.status == IoStatus::kEnd) {
      state_.client_ended = true;
      upstream_->stream.ShutdownWrite();
      break;
    }
    iovec vector{block.data.get(), read.bytes};
    if (read.status == IoStatus::kBroken ||
        upstream_->out.Write(upstream_->stream, {&vector, 1}) == IoStatus::kBroken) {
      open = false;
      break;
    }
    state_.bytes_in += read.bytes;
    client_.TouchTunnel();
  }
  worker_.blocks.Give(std::move(block));
  if (!open) OnClientGone();
  return open;
}

bool Exchange::TunnelFromUpstream() {
  Block block = worker_.blocks.Take(kSmallBlock);
  bool open = true;
  for (int turn = 0; turn < kReadsPerTurn && !state_.upstream_ended && !client_.output_full();
       ++turn) {
    const IoResult read = upstream_->stream.Read({block.data.get(), block.size});
    if (read.status == IoStatus::kWouldBlock) break;
    if (read.status == IoStatus::kEnd) {
      state_.upstream_ended = true;
      client_.EndTunnelOutput();
      break;
    }
    if (read.status == IoStatus::kBroken || !client_.WriteTunnel({block.data.get(), read.bytes})) {
      open = false;
      break;
    }
    state_.bytes_out += read.bytes;
    client_.TouchTunnel();
  }
  worker_.blocks.Give(std::move(block));
  if (!open) OnClientGone();
  return open;
}

}  // namespace spillway

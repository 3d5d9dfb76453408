// SPDX-License-Identifier: MIT
// HTTP/1 on a client's connection: reads heads, hands each to its exchange, takes the answer's
// bytes, and goes on to the next request in order. Knows the size limits of the client side; knows
// nothing of upstreams.
//
// Thread rule: one worker's loop thread. Serves one connection while a request is under way, then
// another: what it holds between two is the worker's, not a connection's. Memory: one input block
// (16 KiB, up to the head limit, 60 KiB while a body streams).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/buffer.h"
#include "proxy/client_connection.h"
#include "proxy/client_protocol.h"
#include "proxy/client_side.h"
#include "proxy/exchange.h"
#include "proxy/http1.h"

namespace spillway {

class Http1Connection final : public ClientProtocol, public ClientSide {
 public:
  explicit Http1Connection(WorkerContext& worker);

  // Begins to serve `carrier`. REQUIRES: new, or forgotten.
  void Serve(ClientConnection& carrier);

  // ---- for the carrier ----
  void OnReadable() override;
  void OnFlushed() override;
  void OnReadExpired() override;
  void OnWriteExpired() override;
  void OnBroken() override;
  void OnClosed() override;
  void Drain() override;
  void GiveUp() override;
  bool at_rest() const override { return state_ == State::kHead && in_.end() == 0; }
  bool Forget() override;

  // ---- for the exchange (http1_exchange.cc) ----
  WorkerContext& worker() override { return worker_; }
  const IpAddress& peer() const override { return carrier_->peer(); }
  std::string_view peer_text() const override { return peer_text_; }
  bool encrypted() const override { return carrier_->encrypted(); }
  TlsFacts tls_facts() const override { return carrier_->tls_facts(); }
  const RequestHead& head() const override { return parser_.head(); }
  std::string_view protocol() const override;
  ParseStep NextBodyPiece() override;
  std::string_view body() const override { return parser_.body(); }
  std::span<const HeaderField> trailers() const override { return parser_.trailers(); }
  std::string_view error() const override { return parser_.error(); }
  int error_status() const override { return parser_.status(); }
  bool ReadBodyAgain() override;
  void WantBody(bool want) override;
  void HearOfLeaving() override { carrier_->HearOfReset(); }
  bool awaits_continue() const override { return awaits_continue_; }
  bool SendInterim(const ResponseHead& head) override;
  bool BeginResponse(const ResponseHead& head, const ForwardResponse& forward, bool keep) override;
  bool SendBody(std::vector<iovec>* pieces, bool last,
                std::span<const HeaderField> trailers) override;
  bool SendAnswer(const Answer& answer, bool head_only, bool keep) override;
  bool takes_moulds() const override { return parser_.head().minor == 1; }
  bool output_full() const override { return carrier_->output_full(); }
  void FinishExchange(bool keep) override;
  bool may_keep() const override;
  using ClientSide::Close;
  void Close(bool reset) override { carrier_->Close(reset); }
  void Settle() override { carrier_->Settle(); }
  bool EnterTunnel(const ResponseHead& head, const ForwardResponse& forward,
                   std::string_view early) override;
  IoResult ReadTunnel(std::span<char> into) override;
  bool WriteTunnel(std::string_view bytes) override;
  void EndTunnelOutput() override { carrier_->ShutdownWrite(); }
  void TouchTunnel() override;

 private:
  // kFlush: the exchange is over, its last bytes wait for the client.
  enum class State : std::uint8_t { kHead, kExchange, kTunnel, kFlush, kOver };

  const ClientConfig& config() const { return carrier_->config(); }
  IoStatus ReadMore();  // kWouldBlock also when there is no room
  void ReadHeads();
  void ReadDuringExchange();
  void ParseHeads();
  void Refuse(int status, std::string_view why);
  void BeginExchange();
  void NextRequest();
  void AwaitRequest();
  void Linger();
  std::size_t PrefaceBytes();

  WorkerContext& worker_;
  ClientConnection* carrier_ = nullptr;  // null: forgotten
  InputBuffer in_;
  std::size_t parsed_ = 0;     // how much of in_ the parser has taken
  Duration patience_{0};       // with a body that is not wanted just now
  std::size_t body_from_ = 0;  // where the body's window begins in in_: after the head
  RequestParser parser_;
  std::uint64_t limits_of_ = 0;  // the generation that the parser's limits are of; none is 0
  std::string response_head_;    // of the final response, until it is sent
  IpAddress peer_;               // of the last carrier
  std::string peer_text_;        // of it
  State state_ = State::kHead;
  bool response_chunked_ = false;  // framed in chunks by us
  bool answering_ = false;         // the final answer's head is written
  bool body_wanted_ = false;
  bool awaits_continue_ = false;
  bool keep_after_flush_ = false;
  bool request_ended_ = false;  // its last byte has been parsed
  bool parsing_ = false;        // inside ParseHeads
  Exchange exchange_;
};

}  // namespace spillway

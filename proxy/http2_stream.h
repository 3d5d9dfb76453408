// SPDX-License-Identifier: MIT
// One stream of HTTP/2 as its exchange's client side. The body comes in through a window that opens
// as the exchange takes it; the answer goes out as the client's windows allow.
//
// Thread rule: one worker's loop thread; belongs to its Http2Connection. Memory: one window of the
// request's body, one read of the upstream's answer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/client_side.h"
#include "proxy/exchange.h"
#include "proxy/http2.h"
#include "proxy/loop.h"

namespace spillway {

class Http2Connection;

class Http2Stream final : public ClientSide {
 public:
  Http2Stream(Http2Connection& connection, std::int32_t id, std::shared_ptr<Http2Request> request);

  // ---- for the connection ----
  std::int32_t id() const { return id_; }
  void Begin();
  void TakeBody(std::string_view bytes);
  void TakeEnd();
  Http2Part GiveBody(std::span<char> into, std::vector<HeaderField>* trailers);
  // It was held up, and is no more: its answer's bytes have been taken by the session, or its
  // exchange wants bytes of the tunnel that are here already.
  bool due() const { return (blocked_ && !output_full()) || wake_; }
  void GoOn();
  // True once: our answer is out and the client still sends what nobody reads.
  bool TakeEarlyAnswer();
  // The client closed it, or the whole connection is: whatever is under way ends.
  void OnGone();
  // The session knows it no more. False: both sides have ended well but the exchange is still at
  // it, and the stream asks to be buried when that is over.
  bool OnSessionClosed(Http2Error error);
  std::size_t untaken() const { return in_.size(); }

  // ---- for the exchange ----
  WorkerContext& worker() override;
  const IpAddress& peer() const override;
  std::string_view peer_text() const override;
  bool encrypted() const override;
  TlsFacts tls_facts() const override;
  const RequestHead& head() const override { return request_->head; }
  std::string_view protocol() const override { return "HTTP/2.0"; }
  ParseStep NextBodyPiece() override;
  std::string_view body() const override { return piece_; }
  std::span<const HeaderField> trailers() const override { return request_->trailers; }
  std::string_view error() const override { return request_->reason; }
  int error_status() const override { return request_->refusal; }
  bool ReadBodyAgain() override;
  void WantBody(bool want) override;
  bool awaits_continue() const override { return awaits_continue_; }
  bool SendInterim(const ResponseHead& head) override;
  bool BeginResponse(const ResponseHead& head, const ForwardResponse& forward, bool keep) override;
  bool SendBody(std::vector<iovec>* pieces, bool last,
                std::span<const HeaderField> trailers) override;
  bool SendAnswer(const Answer& answer, bool head_only, bool keep) override;
  bool takes_moulds() const override { return false; }
  bool output_full() const override { return sent_ < out_.size(); }
  void FinishExchange(bool keep) override;
  bool may_keep() const override { return true; }
  using ClientSide::Close;
  void Close(bool reset) override;
  void Settle() override {}
  bool EnterTunnel(const ResponseHead& head, const ForwardResponse& forward,
                   std::string_view early) override;
  IoResult ReadTunnel(std::span<char> into) override;
  bool WriteTunnel(std::string_view bytes) override;
  void EndTunnelOutput() override;
  void TouchTunnel() override;

 private:
  static void OnReadExpired(void* self);
  static void OnWriteExpired(void* self);
  void LetGo();
  void ArmBody();
  int StatusFor(int status) const;
  bool Push();  // what out_ has, on its way
  void Free(std::size_t bytes);
  // Something of the answer waits for the session to take it.
  bool unsent() const { return output_full() || (last_ && !all_given_); }

  Http2Connection& connection_;
  const std::int32_t id_;
  const std::shared_ptr<Http2Request> request_;
  std::string websocket_key_;
  std::string in_;         // of the request's body, not yet used up
  std::size_t given_ = 0;  // of it, to the exchange
  std::string_view piece_;
  std::string out_;  // of the answer's body, not yet taken by the session
  std::size_t sent_ = 0;
  std::vector<std::pair<std::string, std::string>> trailers_;  // of the answer
  Duration patience_;  // with a body that is not wanted just now
  bool answering_ = false;
  bool body_wanted_ = false;
  bool awaits_continue_;         // nothing of the body has come, and no 100 was sent
  bool ended_ = false;           // the request's last byte has come
  bool last_ = false;            // out_ is the answer's end
  bool all_given_ = false;       // and the session has it
  bool blocked_ = false;         // the exchange waits for out_ to drain
  bool wake_ = false;            // it waits for nothing: there is something for it in in_
  bool finished_ = false;        // the exchange is over, well
  bool closed_ = false;          // or in any other way
  bool session_closed_ = false;  // the session knows it no more
  bool stopped_ = false;         // the client was told to send no more
  bool tunnel_ = false;
  Deadline read_deadline_, write_deadline_;
  Exchange exchange_;
};

}  // namespace spillway

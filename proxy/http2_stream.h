// SPDX-License-Identifier: MIT
// One stream of HTTP/2 as its exchange's client side. The body comes in through a window that opens
// as the exchange takes it; the answer goes out as the client's windows allow.
//
// Thread rule: one worker's loop thread. Serves one stream of an Http2Connection, then another of
// any (http2_spares.h). Memory: one window of the request's body, one read of the upstream's answer.
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
  explicit Http2Stream(WorkerContext& worker);

  // ---- for the connection ----
  // REQUIRES: new, or forgotten.
  void Serve(Http2Connection& connection, std::int32_t id, std::shared_ptr<Http2Request> request);
  // Nothing of a request outlives it but room. REQUIRES: the exchange is over. Gives what it served.
  std::shared_ptr<Http2Request> Forget();
  void Begin();
  void TakeBody(std::string_view bytes);
  void TakeEnd();
  Http2Part GiveBody(std::span<char> into, std::vector<HeaderField>* trailers);
  // It was held up, and is no more: its answer's bytes have been taken by the session, or its
  // exchange wants bytes of the tunnel that are here already.
  bool due() const { return (state_.blocked && !output_full()) || state_.wake; }
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
  WorkerContext& worker() override { return worker_; }
  const IpAddress& peer() const override;
  std::string_view peer_text() const override;
  bool encrypted() const override;
  TlsFacts tls_facts() const override;
  const RequestHead& head() const override { return state_.request->head; }
  std::string_view protocol() const override { return "HTTP/2.0"; }
  ParseStep NextBodyPiece() override;
  std::string_view body() const override { return state_.piece; }
  std::span<const HeaderField> trailers() const override { return state_.request->trailers; }
  std::string_view error() const override { return state_.request->reason; }
  int error_status() const override { return state_.request->refusal; }
  bool ReadBodyAgain() override;
  void WantBody(bool want) override;
  void HearOfLeaving() override {}  // its connection hears of all
  bool awaits_continue() const override { return state_.awaits_continue; }
  bool SendInterim(const ResponseHead& head) override;
  bool BeginResponse(const ResponseHead& head, const ForwardResponse& forward, bool keep) override;
  bool SendBody(std::vector<iovec>* pieces, bool last,
                std::span<const HeaderField> trailers) override;
  bool SendAnswer(const Answer& answer, bool head_only, bool keep) override;
  bool takes_moulds() const override { return false; }
  bool output_full() const override { return state_.sent < out_.size(); }
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
  bool unsent() const { return output_full() || (state_.last && !state_.all_given); }

  // What there is to know of one stream; assigned anew for each.
  struct State {
    Http2Connection* connection = nullptr;
    std::int32_t id = 0;
    std::shared_ptr<Http2Request> request;
    std::size_t given = 0;  // of in_, to the exchange
    std::string_view piece;
    std::size_t sent = 0;  // of out_
    Duration patience{0};  // with a body that is not wanted just now
    bool answering = false;
    bool body_wanted = false;
    bool awaits_continue = false;  // nothing of the body has come, and no 100 was sent
    bool ended = false;            // the request's last byte has come
    bool last = false;             // out_ is the answer's end
    bool all_given = false;        // and the session has it
    bool blocked = false;          // the exchange waits for out_ to drain
    bool wake = false;             // it waits for nothing: there is something for it in in_
    bool finished = false;         // the exchange is over, well
    bool closed = false;           // or in any other way
    bool session_closed = false;   // the session knows it no more
    bool stopped = false;          // the client was told to send no more
    bool tunnel = false;
  };

  WorkerContext& worker_;
  State state_;
  std::string websocket_key_;
  std::string in_;   // of the request's body, not yet used up
  std::string out_;  // of the answer's body, not yet taken by the session
  std::vector<std::pair<std::string, std::string>> trailers_;  // of the answer
  std::vector<HeaderField> fields_;  // of the answer's head, while it is handed to the session
  std::string field_text_;           // and what some of them are views of
  Deadline read_deadline_, write_deadline_;
  Exchange exchange_;
};

}  // namespace spillway

// SPDX-License-Identifier: MIT
// A client's connection: reads heads, hands each to its exchange, takes the answer's bytes, and
// goes on to the next request in order. Knows time and size limits of the client side; knows
// nothing of upstreams.
//
// Thread rule: one worker's loop thread. Memory: one input block (16 KiB, up to the head limit, 64
// KiB while a body streams), output of at most one window or one answer of our own; an idle
// connection holds neither.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "proxy/buffer.h"
#include "proxy/client_side.h"
#include "proxy/exchange.h"
#include "proxy/http1.h"
#include "proxy/http2_connection.h"
#include "proxy/loop.h"
#include "proxy/stream.h"
#include "proxy/worker_context.h"

namespace spillway {

class ClientConnection final : public ClientSide {
 public:
  // `tls` is null for a plain listener. What the listener was when it accepted counts: a reload may
  // since have changed or closed it.
  // `http2_in_clear`: a client without TLS may begin with HTTP/2's preface.
  ClientConnection(WorkerContext& worker, Accepted accepted, std::shared_ptr<const TlsContext> tls,
                   bool proxy_protocol, bool http2_in_clear);
  ~ClientConnection();
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;
  void Start();

  // ---- for the exchange: HTTP/1's side of it ----
  WorkerContext& worker() override { return worker_; }
  const IpAddress& peer() const override { return peer_; }
  std::string_view peer_text() const override { return peer_text_; }
  bool encrypted() const override { return encrypted_; }
  TlsFacts tls_facts() const override { return stream_ ? stream_->tls_facts() : TlsFacts{}; }
  const RequestHead& head() const override { return parser_.head(); }
  std::string_view protocol() const override;
  ParseStep NextBodyPiece() override;
  std::string_view body() const override { return parser_.body(); }
  std::span<const HeaderField> trailers() const override { return parser_.trailers(); }
  std::string_view error() const override { return parser_.error(); }
  bool ReadBodyAgain() override;
  void WantBody(bool want) override;
  bool awaits_continue() const override { return awaits_continue_; }
  bool SendInterim(const ResponseHead& head) override;
  bool BeginResponse(const ResponseHead& head, const ForwardResponse& forward, bool keep) override;
  bool SendBody(std::vector<iovec>* pieces, bool last,
                std::span<const HeaderField> trailers) override;
  bool SendAnswer(const Answer& answer, bool head_only, bool keep, WallTime now) override;
  bool output_full() const override { return !output_.empty(); }
  void FinishExchange(bool keep) override;
  bool may_keep() const override;
  using ClientSide::Close;
  void Close(bool reset) override;
  bool EnterTunnel(const ResponseHead& head, const ForwardResponse& forward,
                   std::string_view early) override;
  IoResult ReadTunnel(std::span<char> into) override;
  bool WriteTunnel(std::string_view bytes) override;
  void EndTunnelOutput() override { stream_->ShutdownWrite(); }
  void TouchTunnel() override;

  // ---- for HTTP/2, which takes over the connection's bytes ----
  const ClientConfig& config() const;
  bool SendFrames(std::string_view frames);  // false: the connection is broken
  void SetReadDeadline(Duration after);
  void ClearReadDeadline();
  void EndHttp2();  // the last frame is sent: closes as soon as the client cannot lose it

  // ---- for the worker ----
  // Answers what is under way, then closes; closes an idle one soon.
  void Drain();

 private:
  friend struct WorkerContext;
  enum class Mode { kProxyHeader, kHead, kExchange, kTunnel, kHttp2, kFlush, kLinger, kClosed };

  static void OnReadable(void* self);
  static void OnWritable(void* self);
  static void OnExpired(void* self);
  void Readable();
  void Writable();
  void Expired();
  void ReadProxyHeader();
  void StartStream();
  IoStatus ReadMore();  // kWouldBlock also when there is no room
  void ReadHeads();
  void ReadDuringExchange();
  void ReadAndDiscard();
  void ParseHeads();
  void BeginExchange();
  void NextRequest();
  void AwaitRequest();
  void AwaitFirstByte();
  void Linger();
  void Flushed();
  bool Send(std::span<iovec> vectors);  // false: the connection is broken
  std::size_t PrefaceBytes();
  void BeginHttp2();
  void ReadHttp2();
  void ArmDeadline();

  WorkerContext& worker_;
  const std::shared_ptr<const TlsContext> tls_;
  const bool proxy_protocol_;
  const bool http2_in_clear_;
  Fd raw_;  // until the PROXY header is read
  std::optional<Stream> stream_;
  std::optional<IoWatch> watch_;  // gone before the descriptor is
  Deadline deadline_;
  InputBuffer in_;
  std::size_t parsed_ = 0;     // how much of in_ the parser has taken
  std::size_t body_from_ = 0;  // where the body's window begins in in_: after the head
  RequestParser parser_;
  Output output_;
  std::string response_head_;      // of the final response, until it is sent
  bool response_chunked_ = false;  // framed in chunks by us
  IpAddress peer_;
  std::string peer_text_;
  std::string proxy_header_;  // what came of it so far
  bool encrypted_ = false;
  bool handshaking_ = false;
  bool body_wanted_ = false;
  bool awaits_continue_ = false;
  bool keep_after_flush_ = false;
  bool request_ended_ = false;  // its last byte has been parsed
  bool parsing_ = false;        // inside ParseHeads
  Mode mode_ = Mode::kHead;
  std::uint32_t requests_ = 0;
  TimePoint read_deadline_ = TimePoint::max();   // of the mode, or of the body's silence
  TimePoint write_deadline_ = TimePoint::max();  // while output is pending
  std::size_t lingered_ = 0;
  Exchange exchange_;                       // of HTTP/1
  std::unique_ptr<Http2Connection> http2_;  // kHttp2; its streams have exchanges of their own

  ClientConnection* next_ = nullptr;  // the worker's list
  ClientConnection* previous_ = nullptr;
};

}  // namespace spillway

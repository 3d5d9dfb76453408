// SPDX-License-Identifier: MIT
// A client's connection: reads heads, hands each to its exchange, takes the answer's bytes, and
// goes on to the next request in order. Knows time and size limits of the client side; knows
// nothing of upstreams.
//
// Thread rule: one worker's loop thread. Memory: one input block (16 KiB, up to the head limit, 64
// KiB while a body streams), output of at most one window; an idle connection holds neither.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "proxy/buffer.h"
#include "proxy/exchange.h"
#include "proxy/http1.h"
#include "proxy/loop.h"
#include "proxy/stream.h"
#include "proxy/worker_context.h"

namespace spillway {

class ClientConnection {
 public:
  // `tls` is null for a plain listener. What the listener was when it accepted counts: a reload may
  // since have changed or closed it.
  ClientConnection(WorkerContext& worker, Accepted accepted, std::shared_ptr<const TlsContext> tls,
                   bool proxy_protocol);
  ~ClientConnection();
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;
  void Start();

  // ---- for the exchange ----
  WorkerContext& worker() { return worker_; }
  RequestParser& parser() { return parser_; }
  const IpAddress& peer() const { return peer_; }
  std::string_view peer_text() const { return peer_text_; }
  bool encrypted() const { return encrypted_; }

  // Sends bytes; false when the connection is gone (and closed by this call). Look at
  // output_full().
  bool Send(std::span<iovec> vectors);
  bool Send(std::string_view bytes);
  bool output_full() const { return !output_.empty(); }

  // The next piece of the request's body that has been read: kBody, kEnd, kNeedMore or kFailed.
  ParseStep NextBodyPiece();
  // All bytes read so far are used up: their room is free again. True when more could be had at
  // once (bytes that TLS holds already) and has been.
  bool ReadBodyAgain();
  // More body is wanted (read on), or is not for now.
  void WantBody(bool want);
  // The request's bytes that were read beyond the head and not parsed, for a tunnel. Valid until
  // the next read.
  std::string_view UnparsedBytes() const;
  void DropUnparsedBytes();

  // The exchange is over: its last byte is in Send's hands. `keep`: another request may follow.
  void FinishExchange(bool keep);
  // From now on bytes are relayed as they come; OnClientReadable of the exchange reads them.
  void EnterTunnel();
  IoResult ReadRaw(std::span<char> into) { return stream_->Read(into); }
  void ShutdownWrite() { stream_->ShutdownWrite(); }
  void TouchTunnel();
  // Whether the connection can be kept after this exchange, as far as this side knows.
  bool may_keep() const;
  // Closes at once; `reset` so that the client cannot take what it got for the whole.
  void Close(bool reset = false);

  // ---- for the worker ----
  // Answers what is under way, then closes; closes an idle one soon.
  void Drain();

 private:
  friend struct WorkerContext;
  enum class Mode { kProxyHeader, kHead, kExchange, kTunnel, kFlush, kLinger, kClosed };

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
  void Linger();
  void Flushed();
  void SetReadDeadline(Duration after);
  void ArmDeadline();
  const ClientConfig& config() const;

  WorkerContext& worker_;
  const std::shared_ptr<const TlsContext> tls_;
  const bool proxy_protocol_;
  Fd raw_;  // until the PROXY header is read
  std::optional<Stream> stream_;
  std::optional<IoWatch> watch_;  // gone before the descriptor is
  Deadline deadline_;
  InputBuffer in_;
  std::size_t parsed_ = 0;     // how much of in_ the parser has taken
  std::size_t body_from_ = 0;  // where the body's window begins in in_: after the head
  RequestParser parser_;
  Output output_;
  IpAddress peer_;
  std::string peer_text_;
  std::string proxy_header_;  // what came of it so far
  bool encrypted_ = false;
  bool body_wanted_ = false;
  bool keep_after_flush_ = false;
  bool request_ended_ = false;  // its last byte has been parsed
  bool parsing_ = false;        // inside ParseHeads
  Mode mode_ = Mode::kHead;
  std::uint32_t requests_ = 0;
  TimePoint read_deadline_ = TimePoint::max();   // of the mode, or of the body's silence
  TimePoint write_deadline_ = TimePoint::max();  // while output is pending
  std::size_t lingered_ = 0;
  Exchange exchange_;

  ClientConnection* next_ = nullptr;  // the worker's list
  ClientConnection* previous_ = nullptr;
};

}  // namespace spillway

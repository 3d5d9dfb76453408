// SPDX-License-Identifier: MIT
// A client's connection: its socket, its TLS, its hours, and what it still has to take. What its
// bytes mean is for the protocol that it speaks (http1_connection.h, http2_connection.h), which it
// holds for as long as something is under way.
//
// Thread rule: one worker's loop thread. Memory: while it idles, itself and nothing else (about 350
// bytes, and what OpenSSL keeps); else its protocol's, and output of at most one window or one
// answer of our own.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "proxy/buffer.h"
#include "proxy/client_protocol.h"
#include "proxy/loop.h"
#include "proxy/stream.h"
#include "proxy/worker_context.h"

namespace spillway {

class ClientConnection {
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

  // ---- for the protocol ----
  WorkerContext& worker() { return worker_; }
  const IpAddress& peer() const { return peer_; }
  bool encrypted() const { return stream_.encrypted(); }
  TlsFacts tls_facts() const { return stream_.tls_facts(); }
  const ClientConfig& config() const;
  IoResult Read(std::span<char> into);
  // TLS holds bytes that no event will tell of.
  bool has_pending() const { return stream_.has_pending(); }
  void WantRead(bool want) { watch_.WantRead(want); }
  void HearOfReset() { watch_.UseLevels(); }  // though it came with bytes that were read
  bool Send(std::span<iovec> vectors);        // false: the connection is broken
  bool output_full() const { return !output_.empty(); }
  void SetReadDeadline(Duration after);
  void ClearReadDeadline();
  // How long is left until it; REQUIRES: it is set.
  Duration read_time_left() const { return read_deadline_ - worker_.loop.now(); }
  std::uint32_t requests() const { return requests_; }
  void CountRequest() { ++requests_; }
  bool may_speak_http2() const { return http2_in_clear_ && requests_ == 0; }
  // The client's first bytes are HTTP/2's. REQUIRES: the caller, its protocol, does nothing after.
  void BeginHttp2(std::string_view begun);
  // Nothing is under way: it waits for the client to ask for something, and may have to give way
  // to others. From the last call with `true` after a false its age counts.
  void SetWaiting(bool waiting);
  // The client is to send a request, the first or another.
  void AwaitFirstByte();
  void ShutdownWrite() { stream_.ShutdownWrite(); }
  // The last byte is sent: closes as soon as the client cannot lose it. `all_read`: it has nothing
  // more on its way to us.
  void Linger(bool all_read);
  // Ends at once; `reset` so that the client cannot take what it got for the whole.
  void Close(bool reset = false);
  // What began outside of its own events is over: gives back what an idle connection needs not.
  void Settle();

  // ---- for the worker ----
  // Answers what is under way, then closes; closes an idle one soon.
  void Drain();
  // Makes room for another. REQUIRES: it waits.
  void GiveUp();
  bool waiting() const { return waiting_; }
  TimePoint waiting_since() const { return waiting_since_; }

 private:
  friend class ConnectionList;
  enum class Mode : std::uint8_t { kProxyHeader, kHandshake, kOpen, kLinger, kClosed };

  static void OnReadable(void* self);
  static void OnWritable(void* self);
  static void OnExpired(void* self);
  void Readable();
  void Writable();
  void Expired();
  void ReadProxyHeader();
  bool Admit();
  void StartStream();
  void Handshake();
  void ReadAndDiscard();
  ClientProtocol& Protocol();
  void ArmDeadline();

  WorkerContext& worker_;
  const std::shared_ptr<const TlsContext> tls_;
  Stream stream_;
  IoWatch watch_;
  Deadline deadline_;
  Output output_;
  std::unique_ptr<ClientProtocol> protocol_;   // null: what comes will begin a request of HTTP/1
  std::unique_ptr<std::string> proxy_header_;  // what came of it so far
  IpAddress peer_;
  TimePoint read_deadline_ = TimePoint::max();   // of the mode, or what the protocol set
  TimePoint write_deadline_ = TimePoint::max();  // while output is pending
  TimePoint waiting_since_;
  ClientConnection* next_ = nullptr;  // a list of the worker's
  ClientConnection* previous_ = nullptr;
  std::uint32_t requests_ = 0;
  std::uint32_t lingered_ = 0;
  Mode mode_ = Mode::kOpen;
  std::uint8_t counted_bits_ = 0;  // of IPv6, by which its client is counted; 0: it is not
  bool waiting_ = true;
  bool in_event_ = false;
  const bool proxy_protocol_;
  const bool http2_in_clear_;
};

}  // namespace spillway

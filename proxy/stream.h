// SPDX-License-Identifier: MIT
// A non-blocking byte stream over a socket, plain or TLS. Owns the descriptor. Never waits: the
// caller watches the descriptor and tries again.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "proxy/socket.h"
#include "proxy/tls.h"

namespace spillway {

enum class IoStatus : std::uint8_t {
  kOk,          // `bytes` moved, at least one
  kWouldBlock,  // try again when the descriptor is ready
  kEnd,         // Read only: the peer ended its side in an orderly way
  kBroken,      // reset, TLS failure: nothing more will come or go
};

struct IoResult {
  IoStatus status = IoStatus::kWouldBlock;
  std::size_t bytes = 0;
};

class Stream {
 public:
  explicit Stream(Fd fd) : fd_(std::move(fd)) {}
  Stream(Fd fd, const TlsContext& tls) : Stream(std::move(fd)) { StartTls(tls); }
  Stream(Fd fd, const TlsClientContext& tls, const TlsPeer& peer);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // From now on bytes are TLS's: REQUIRES none was written. The server's side.
  void StartTls(const TlsContext& tls);
  // Goes on with the TLS handshake: kOk when it is done (plain: always), kWouldBlock, or kBroken
  // (see tls_fault). REQUIRES: the socket is connected.
  IoStatus Handshake() { return ssl_ == nullptr ? IoStatus::kOk : HandshakeTls(); }
  // Frees what it holds; the peer sees the end. Nothing is to be asked of it any more.
  void Close();

  int fd() const { return fd_.get(); }
  bool encrypted() const { return ssl_ != nullptr; }

  // Reads at most into.size() bytes. A TLS handshake goes on inside Read and Write.
  IoResult Read(std::span<char> into);
  // Writes what it can of the vectors; a short write is kOk. TLS gathers small vectors into one
  // record, and after kWouldBlock must be offered the same bytes again first (from wherever they
  // lie then).
  IoResult Write(std::span<const iovec> vectors);
  // TLS may hold bytes that the descriptor will not announce: read again before waiting.
  bool has_pending() const;
  // TLS: the last Read stopped because it must write (or the last Write because it must read).
  bool read_wants_write() const { return read_wants_write_; }
  bool write_wants_read() const { return write_wants_read_; }
  // TLS: what ALPN agreed on; empty: nothing.
  std::string_view protocol() const {
    return ssl_ == nullptr ? std::string_view{} : protocol_tls();
  }
  bool chose_http2() const { return protocol() == "h2"; }
  // TLS, of a client that has done its handshake; empty for others.
  TlsFacts tls_facts() const { return facts_ == nullptr ? TlsFacts{} : facts_tls(); }
  bool resumed() const;  // by a ticket
  // TLS: after kBroken, what OpenSSL or the verification of the peer's certificate found; else "".
  std::string_view tls_fault() const { return fault_; }
  bool certificate_refused() const { return certificate_refused_; }
  // Ends our side: close_notify and FIN. The descriptor stays open.
  void ShutdownWrite();
  // The connection is reset rather than closed when the stream goes (action drop, broken framing).
  void ResetOnClose();

 private:
  struct ClientFacts;
  struct FreeFacts {
    void operator()(ClientFacts* facts) const;
  };
  // The TLS halves, in tls.cc: the only file that knows OpenSSL's streams. REQUIRES: ssl_ is set.
  IoResult ReadTls(std::span<char> into);
  IoResult WriteTls(std::span<const iovec> vectors);
  IoStatus HandshakeTls();
  IoStatus StatusTls(int returned, bool reading);
  void NoteFault(int error);
  void Settle();
  TlsFacts facts_tls() const;
  bool has_pending_tls() const;
  bool handshake_done_tls() const;
  std::string_view protocol_tls() const;
  void ShutdownTls();
  void FreeTls();
  Fd fd_;
  SSL* ssl_ = nullptr;
  std::unique_ptr<ClientFacts, FreeFacts> facts_;
  bool read_wants_write_ = false;
  bool write_wants_read_ = false;
  bool tls_failed_ = false;  // OpenSSL must not be asked again
  bool certificate_refused_ = false;
  bool settled_ = false;  // a client's handshake is done, and what only it needed is gone
  const char* fault_ = "";
};

}  // namespace spillway

// SPDX-License-Identifier: MIT
// A non-blocking byte stream over a socket, plain or TLS. Owns the descriptor. Never waits: the
// caller watches the descriptor and tries again.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "proxy/socket.h"
#include "spillway/config.h"
#include "spillway/result.h"

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;

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

// Certificates and settings of one TLS listener; immutable and shared by its connections
// (proxy/tls.cc).
class TlsContext {
 public:
  // The error names the file and OpenSSL's reason. SNI picks the certificate by its subject
  // alternative names (wildcards too); the first certificate answers unknown names.
  static Result<std::shared_ptr<const TlsContext>> Create(const TlsConfig& config);
  ~TlsContext();
  SSL* NewSession(int fd) const;  // server side; the caller owns it

 private:
  TlsContext();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Whether the files can be served with, each told by itself; the key is compared with the
// certificate unless that is empty.
Result<void> TryCertificate(const std::string& certificate);
Result<void> TryKey(const std::string& key, const std::string& certificate);

class Stream {
 public:
  explicit Stream(Fd fd) : fd_(std::move(fd)) {}
  Stream(Fd fd, const TlsContext& tls) : Stream(std::move(fd)) { StartTls(tls); }
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // From now on bytes are TLS's: REQUIRES none was written. The server's side.
  void StartTls(const TlsContext& tls);
  // Goes on with the handshake: kOk when it is done.
  IoStatus Handshake();
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
  bool handshake_done() const;
  // TLS: the handshake has agreed on HTTP/2.
  bool chose_http2() const { return ssl_ != nullptr && chose_http2_tls(); }
  // Ends our side: close_notify and FIN. The descriptor stays open.
  void ShutdownWrite();
  // The connection is reset rather than closed when the stream goes (action drop, broken framing).
  void ResetOnClose();

 private:
  // The TLS halves, in tls.cc: the only file that knows OpenSSL's streams. REQUIRES: ssl_ is set.
  IoStatus HandshakeTls();
  IoResult ReadTls(std::span<char> into);
  IoResult WriteTls(std::span<const iovec> vectors);
  IoStatus StatusTls(int returned, bool reading);
  bool has_pending_tls() const;
  bool handshake_done_tls() const;
  bool chose_http2_tls() const;
  void ShutdownTls();
  void FreeTls();
  Fd fd_;
  SSL* ssl_ = nullptr;
  bool read_wants_write_ = false;
  bool write_wants_read_ = false;
  bool tls_failed_ = false;  // OpenSSL must not be asked again
};

}  // namespace spillway

// SPDX-License-Identifier: MIT
// Settings of TLS, made once from the configuration and its files, and shared by the connections of
// a listener or a pool. Immutable, so any thread may use them; a connection keeps what it needs of
// them, and may outlive them.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "spillway/config.h"
#include "spillway/result.h"

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_session_st SSL_SESSION;

namespace spillway {

class TicketKeys;  // proxy/tls_tickets.h

// The server side: certificates and settings of one TLS listener (proxy/tls_server.cc).
class TlsContext {
 public:
  // The error names the file and OpenSSL's reason. SNI picks the certificate by its subject
  // alternative names (wildcards too); the first certificate answers unknown names. `tickets` are
  // the process's own keys, used where the configuration names none; null: keys of this context.
  static Result<std::shared_ptr<const TlsContext>> Create(
      const TlsConfig& config, std::shared_ptr<const TicketKeys> tickets = nullptr);
  ~TlsContext();
  SSL* NewSession(int fd) const;  // the caller owns it

 private:
  TlsContext();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The session that a server last gave us, to be offered when connecting to it again. One for each
// endpoint, so there is never more than one to keep. Any thread.
class TlsSessionSlot {
 public:
  TlsSessionSlot() = default;
  ~TlsSessionSlot();
  TlsSessionSlot(const TlsSessionSlot&) = delete;
  TlsSessionSlot& operator=(const TlsSessionSlot&) = delete;

  void Keep(SSL_CTX* context, SSL_SESSION* session);  // takes over the caller's reference to it
  // Gives the kept session to a connection of the same context that is about to begin.
  void Offer(SSL* ssl);
  // The handshake failed: what was offered is not offered again.
  void Forget();

 private:
  void Swap(SSL_CTX* context, SSL_SESSION* session);
  std::mutex mutex_;  // taken when connecting, never for a request
  SSL_SESSION* session_ = nullptr;
  SSL_CTX* made_by_ = nullptr;  // what verified it: only connections of the same settings take it
};

// What a client's handshake said of it, for the rules and the log. Borrowed from its stream.
struct TlsFacts {
  std::string_view ja4;                 // empty: none (proxy/ja4.h)
  std::string_view client_certificate;  // the subject; empty: none
};

// Who is connected to, as TLS has it.
struct TlsPeer {
  std::string_view name;              // a host name or an address; empty: not compared
  TlsSessionSlot* session = nullptr;  // outlives the connection
};

// The client side: how the servers of one pool are spoken to (proxy/tls_client.cc).
class TlsClientContext {
 public:
  // `protocols` is what ALPN offers, in order of preference: "http/1.1", or "h2,http/1.1".
  static Result<std::shared_ptr<const TlsClientContext>> Create(
      const UpstreamTlsConfig& config, std::string_view protocols = "http/1.1");
  ~TlsClientContext();
  SSL* NewSession(int fd, const TlsPeer& peer) const;  // the caller owns it

 private:
  TlsClientContext();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Whether the files can be used, each told by itself; the key is compared with the certificate
// unless that is empty.
Result<void> TryCertificate(const std::string& certificate);
Result<void> TryKey(const std::string& key, const std::string& certificate);
Result<void> TryAuthorities(const std::string& path);
Result<void> TryTicketKey(const std::string& path);
// A response that is over is not among the errors of TryOcsp: it is only not used.
Result<void> TryOcsp(const std::string& path, const std::string& certificate);
Result<void> TryOcspTime(const std::string& path, const std::string& certificate);

}  // namespace spillway

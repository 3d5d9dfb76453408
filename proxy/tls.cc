// SPDX-License-Identifier: MIT
// The TLS halves of Stream, for both sides: bytes through OpenSSL over a socket that never waits.
#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "proxy/ja4.h"
#include "proxy/stream.h"
#include "proxy/tls_library.h"

namespace spillway {
namespace {

constexpr std::size_t kRecord = 16 * 1024;  // the largest a TLS record may carry
constexpr std::size_t kMostSubject =
    1024;  // bytes of a certificate's subject; what is longer is cut

// "CN=alice,O=Example" (RFC 2253).
std::string SubjectOf(const X509* certificate) {
  const Owned<BIO> memory(BIO_new(BIO_s_mem()));
  if (!memory) throw std::bad_alloc();
  X509_NAME_print_ex(memory.get(), X509_get_subject_name(certificate), 0,
                     XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB));
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &text);
  return {text, std::min(static_cast<std::size_t>(size), kMostSubject)};
}

// Before each call whose failure SSL_get_error is to explain, as that looks at the thread's queue of
// errors, which another session may have left something in. Mostly it is empty, and clearing that
// would go through all of its places.
void ForgetErrors() {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

}  // namespace

struct Stream::ClientFacts {
  Ja4Text ja4{};
  bool has_ja4 = false;
  std::string subject;

  // OpenSSL shows each message: the first one is the hello, whole. Its own view of that leaves out
  // extensions that it does not know, and a fingerprint counts them.
  static void OnMessage(int sent, int, int type, const void* bytes, std::size_t size, SSL* ssl,
                        void* facts) {
    if (sent != 0 || type != SSL3_RT_HANDSHAKE) return;
    SSL_set_msg_callback(ssl, nullptr);
    auto* self = static_cast<ClientFacts*>(facts);
    if (const auto text = Ja4({static_cast<const unsigned char*>(bytes), size})) {
      self->ja4 = *text;
      self->has_ja4 = true;
    }
  }
};

void Stream::FreeFacts::operator()(ClientFacts* facts) const {
  delete facts;
}

TlsFacts Stream::facts_tls() const {
  return {.ja4 = facts_->has_ja4 ? std::string_view(facts_->ja4.data(), facts_->ja4.size())
                                 : std::string_view{},
          .client_certificate = facts_->subject};
}

bool Stream::resumed() const {
  return ssl_ != nullptr && SSL_session_reused(ssl_) == 1;
}

// A client's handshake is done: what it leaves that no request needs is let go of.
void Stream::Settle() {
  settled_ = true;
  if (const X509* certificate = SSL_get0_peer_certificate(ssl_)) {
    facts_->subject = SubjectOf(certificate);
  }
  SSL_set_tlsext_status_ocsp_resp(ssl_, nullptr, 0);  // frees the copy
}

// Null only without memory; a stream that fell back to plain text would be worse than an exception.
void Stream::StartTls(const TlsContext& tls) {
  ssl_ = tls.NewSession(fd_.get());
  if (ssl_ == nullptr) throw std::bad_alloc();
  facts_.reset(new ClientFacts);
  SSL_set_msg_callback(ssl_, &ClientFacts::OnMessage);
  SSL_set_msg_callback_arg(ssl_, facts_.get());
}

Stream::Stream(Fd fd, const TlsClientContext& tls, const TlsPeer& peer)
    : fd_(std::move(fd)), ssl_(tls.NewSession(fd_.get(), peer)) {
  if (ssl_ == nullptr) throw std::bad_alloc();
}

void Stream::FreeTls() {
  // To a server we say that we leave; OpenSSL would otherwise take its session for a broken one.
  if (SSL_is_server(ssl_) == 0 && SSL_get_shutdown(ssl_) == 0) ShutdownTls();
  SSL_free(ssl_);
}

IoStatus Stream::HandshakeTls() {
  if (tls_failed_) return IoStatus::kBroken;
  read_wants_write_ = false;
  ForgetErrors();
  const int returned = SSL_do_handshake(ssl_);
  if (returned != 1) return StatusTls(returned, true);
  if (!settled_ && facts_ != nullptr) Settle();
  return IoStatus::kOk;
}

// The texts are OpenSSL's own constants.
void Stream::NoteFault(int error) {
  const unsigned long code = ERR_peek_error();
  const char* reason = ERR_reason_error_string(code);
  if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    certificate_refused_ = true;
    reason = X509_verify_cert_error_string(SSL_get_verify_result(ssl_));
  } else if (error == SSL_ERROR_SYSCALL || ERR_SYSTEM_ERROR(code)) {
    reason = "the connection broke";
  }
  fault_ = reason != nullptr ? reason : "TLS failed";
}

// What OpenSSL's answer to a read or write means. Sets what the other direction must wait for.
IoStatus Stream::StatusTls(int returned, bool reading) {
  const int error = SSL_get_error(ssl_, returned);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
    if (reading) {
      read_wants_write_ = error == SSL_ERROR_WANT_WRITE;
    } else {
      write_wants_read_ = error == SSL_ERROR_WANT_READ;
    }
    return IoStatus::kWouldBlock;
  }
  if (error == SSL_ERROR_ZERO_RETURN && reading) return IoStatus::kEnd;
  // An end without close_notify comes here too: an attacker can cut there, so it is not orderly.
  tls_failed_ = true;
  NoteFault(error);
  if (auto* slot = static_cast<TlsSessionSlot*>(SSL_get_app_data(ssl_));
      slot != nullptr && !handshake_done_tls()) {
    slot->Forget();
  }
  ERR_clear_error();
  return IoStatus::kBroken;
}

IoResult Stream::ReadTls(std::span<char> into) {
  if (tls_failed_) return {IoStatus::kBroken, 0};
  read_wants_write_ = false;
  ForgetErrors();
  std::size_t got = 0;
  const int returned = SSL_read_ex(ssl_, into.data(), into.size(), &got);
  if (!settled_ && facts_ != nullptr && handshake_done_tls()) Settle();
  if (returned == 1) return {IoStatus::kOk, got};
  return {StatusTls(returned, true), 0};
}

namespace {

// The next bytes to write as one piece: a large vector where it lies, small ones gathered into
// `room`. `skip` bytes of the vectors are written already.
std::span<const char> NextPiece(std::span<const iovec> vectors, std::size_t skip,
                                std::span<char, kRecord> room) {
  std::size_t filled = 0;
  for (const iovec& vector : vectors) {
    if (skip >= vector.iov_len) {
      skip -= vector.iov_len;
      continue;
    }
    const std::span<const char> rest(static_cast<const char*>(vector.iov_base) + skip,
                                     vector.iov_len - skip);
    skip = 0;
    if (filled == 0 && (rest.size() >= kRecord || &vector == &vectors.back())) return rest;
    const std::size_t take = std::min(rest.size(), kRecord - filled);
    std::memcpy(room.data() + filled, rest.data(), take);
    filled += take;
    if (filled == kRecord) break;
  }
  return room.first(filled);
}

}  // namespace

IoResult Stream::WriteTls(std::span<const iovec> vectors) {
  if (tls_failed_) return {IoStatus::kBroken, 0};
  // For one call only: what is not written is gathered anew next time (ACCEPT_MOVING_WRITE_BUFFER).
  static thread_local std::array<char, kRecord> room;
  write_wants_read_ = false;
  std::size_t total = 0;
  for (;;) {
    const std::span<const char> piece = NextPiece(vectors, total, room);
    if (piece.empty()) return {IoStatus::kOk, total};
    ForgetErrors();
    std::size_t put = 0;
    const int returned = SSL_write_ex(ssl_, piece.data(), piece.size(), &put);
    if (returned == 1) {
      total += put;
      continue;
    }
    const IoStatus status = StatusTls(returned, false);
    // What went out first is reported first; the next call will meet the same obstacle.
    if (total > 0) return {IoStatus::kOk, total};
    return {status, 0};
  }
}

std::string_view Stream::protocol_tls() const {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl_, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

bool Stream::has_pending_tls() const {
  return SSL_pending(ssl_) > 0;
}

bool Stream::handshake_done_tls() const {
  return SSL_is_init_finished(ssl_) == 1;
}

void Stream::ShutdownTls() {
  if (tls_failed_ || !handshake_done_tls()) return;
  ERR_clear_error();
  SSL_shutdown(ssl_);  // if even these few bytes do not fit, the FIN alone must do
  ERR_clear_error();
}

}  // namespace spillway

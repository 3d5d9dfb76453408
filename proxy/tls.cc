// SPDX-License-Identifier: MIT
// TLS of the client side: contexts from certificate files, and the TLS halves of Stream. The door
// of OpenSSL's libssl. Server only; TLS 1.2 and 1.3, no renegotiation, no compression, ALPN
// http/1.1.
//
// Lifetime: a session holds a reference to its SSL_CTX, and the first SSL_CTX owns the table of
// names that its SNI callback reads. So sessions may outlive the TlsContext that a reload has
// dropped.
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <string_view>
#include <system_error>
#include <vector>

#include "proxy/stream.h"

namespace spillway {
namespace {

struct Free {
  void operator()(SSL_CTX* p) const { SSL_CTX_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(GENERAL_NAMES* p) const { GENERAL_NAMES_free(p); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

// Mozilla's "intermediate" suites for TLS 1.2 without the DHE ones, whose handshakes are slow and
// which only clients older than 2014 would need; those of TLS 1.3 are OpenSSL's own three.
constexpr char kSuites12[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr char kGroups[] = "X25519:prime256v1:secp384r1";
constexpr std::size_t kRecord = 16 * 1024;  // the largest a TLS record may carry

// A name in lower case, without the root's dot.
std::string Lower(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return lower;
}

// Which SSL_CTX answers which name; the first that claims a name keeps it. Null is the listener's
// first context, which owns the table and so cannot be referred to by it.
class NameTable {
 public:
  void Add(std::string name, SSL_CTX* context) {
    if (Find(name) != nullptr) return;
    if (context != nullptr) SSL_CTX_up_ref(context);
    entries_.push_back({std::move(name), Owned<SSL_CTX>(context)});
  }
  struct Entry {
    std::string name;
    Owned<SSL_CTX> context;
  };
  // A name as the client said it: exact, or with its first label as a wildcard (RFC 6125 6.4.3).
  const Entry* Match(std::string_view asked) const {
    const std::string name = Lower(asked);
    if (const Entry* exact = Find(name)) return exact;
    const std::size_t dot = name.find('.');
    if (dot == std::string::npos || dot == 0) return nullptr;
    return Find("*" + name.substr(dot));
  }

 private:
  // Linear: a handshake costs 100,000 times more than a comparison.
  const Entry* Find(std::string_view name) const {
    const auto found = std::find_if(entries_.begin(), entries_.end(),
                                    [name](const Entry& entry) { return entry.name == name; });
    return found == entries_.end() ? nullptr : &*found;
  }
  std::vector<Entry> entries_;
};

// The slot of the first SSL_CTX that owns its NameTable.
int NameTableSlot() {
  static const int slot = SSL_CTX_get_ex_new_index(
      0, nullptr, nullptr, nullptr, [](void*, void* table, CRYPTO_EX_DATA*, int, long, void*) {
        delete static_cast<NameTable*>(table);
      });
  return slot;
}

// What OpenSSL, or the system under it, says first; the queue is empty afterwards.
std::string TakeReason() {
  const unsigned long code = ERR_peek_error();
  std::string reason = "unknown reason";
  if (ERR_SYSTEM_ERROR(code)) {
    reason = std::generic_category().message(ERR_GET_REASON(code));
  } else if (const char* text = ERR_reason_error_string(code)) {
    reason = text;
  }
  ERR_clear_error();
  return reason;
}

// Keys with a pass phrase are refused: nobody is there to type it.
int NoPassphrase(char*, int, int, void*) {
  return -1;
}

Result<Owned<EVP_PKEY>> ReadKey(const std::string& path) {
  Owned<BIO> file(BIO_new_file(path.c_str(), "r"));
  Owned<EVP_PKEY> key(file ? PEM_read_bio_PrivateKey(file.get(), nullptr, &NoPassphrase, nullptr)
                           : nullptr);
  if (!key) return Fail(fmt::format("cannot read key '{}': {}", path, TakeReason()));
  return key;
}

int ChooseProtocol(SSL*, const unsigned char** out, unsigned char* out_size,
                   const unsigned char* offered, unsigned int size, void* http2) {
  static constexpr unsigned char kAll[] = "\x02h2\x08http/1.1";
  constexpr unsigned int kHttp2Bytes = 3;
  const unsigned int skip = http2 != nullptr ? 0 : kHttp2Bytes;
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kAll + skip, sizeof(kAll) - 1 - skip, offered,
                            size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

int ChooseCertificate(SSL* ssl, int*, void* table) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
  const NameTable::Entry* entry = static_cast<const NameTable*>(table)->Match(name);
  if (entry == nullptr) return SSL_TLSEXT_ERR_NOACK;
  if (entry->context) SSL_set_SSL_CTX(ssl, entry->context.get());
  return SSL_TLSEXT_ERR_OK;
}

// All contexts of a listener are alike but for the certificate: SNI exchanges only that.
Owned<SSL_CTX> NewContext(const TlsConfig& config) {
  Owned<SSL_CTX> owned(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* context = owned.get();
  if (context == nullptr) return nullptr;
  SSL_CTX_set_min_proto_version(
      context, config.min_version == TlsVersion::k1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // RELEASE_BUFFERS: an idle connection keeps no record buffers, 34 KiB each.
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  // Resumption by tickets alone: nothing is stored here for clients that may never return.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  static constexpr unsigned char kId[] = "spillway";
  SSL_CTX_set_session_id_context(context, kId, sizeof(kId) - 1);
  // The callback only asks whether there is an argument.
  SSL_CTX_set_alpn_select_cb(context, &ChooseProtocol, config.http2 ? context : nullptr);
  if (SSL_CTX_set_cipher_list(context, kSuites12) != 1 ||
      SSL_CTX_set1_groups_list(context, kGroups) != 1) {
    return nullptr;
  }
  return owned;
}

Result<Owned<SSL_CTX>> LoadCertificate(const std::string& path, const TlsConfig& config) {
  ERR_clear_error();
  Owned<SSL_CTX> context = NewContext(config);
  if (!context) return Fail(fmt::format("cannot set up TLS: {}", TakeReason()));
  if (SSL_CTX_use_certificate_chain_file(context.get(), path.c_str()) != 1) {
    return Fail(fmt::format("cannot read certificate '{}': {}", path, TakeReason()));
  }
  return context;
}

Result<Owned<SSL_CTX>> LoadContext(const TlsCertificate& files, const TlsConfig& config) {
  auto context_or_error = LoadCertificate(files.certificate, config);
  if (!context_or_error) return context_or_error;
  Owned<SSL_CTX> context = std::move(*context_or_error);
  auto key = ReadKey(files.key);
  if (!key) return tl::unexpected(std::move(key.error()));
  if (X509_check_private_key(SSL_CTX_get0_certificate(context.get()), key->get()) != 1 ||
      SSL_CTX_use_PrivateKey(context.get(), key->get()) != 1) {
    return Fail(fmt::format("key '{}' does not match certificate '{}': {}", files.key,
                            files.certificate, TakeReason()));
  }
  return context;
}

// Puts the certificate's alternative names in the table, to be answered by `context`.
void AddNames(X509* certificate, SSL_CTX* context, NameTable* table) {
  const Owned<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) continue;
    const std::string_view text(
        reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
        static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
    table->Add(Lower(text), context);
  }
}

}  // namespace

Result<void> TryCertificate(const std::string& certificate) {
  const auto context = LoadCertificate(certificate, {});
  if (!context) return Fail(context.error().message);
  return {};
}

Result<void> TryKey(const std::string& key, const std::string& certificate) {
  ERR_clear_error();
  if (certificate.empty()) {
    const auto read = ReadKey(key);
    if (!read) return Fail(read.error().message);
    return {};
  }
  const auto context = LoadContext({certificate, key}, {});
  if (!context) return Fail(context.error().message);
  return {};
}

struct TlsContext::Impl {
  Owned<SSL_CTX> first;
};

TlsContext::TlsContext() : impl_(std::make_unique<Impl>()) {}
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<const TlsContext>> TlsContext::Create(const TlsConfig& config) {
  std::vector<Owned<SSL_CTX>> contexts;
  for (const TlsCertificate& files : config.certificates) {
    auto context = LoadContext(files, config);
    if (!context) return tl::unexpected(std::move(context.error()));
    contexts.push_back(std::move(*context));
  }
  if (contexts.empty()) return Fail("no certificate is configured");

  auto table = std::make_unique<NameTable>();
  SSL_CTX* const first = contexts.front().get();
  for (auto& context : contexts) {
    AddNames(SSL_CTX_get0_certificate(context.get()),
             context.get() == first ? nullptr : context.get(), table.get());
  }
  SSL_CTX_set_tlsext_servername_callback(first, &ChooseCertificate);
  SSL_CTX_set_tlsext_servername_arg(first, table.get());
  if (SSL_CTX_set_ex_data(first, NameTableSlot(), table.get()) != 1)
    return Fail("cannot set up TLS");
  static_cast<void>(table.release());  // the context owns it from here on

  std::shared_ptr<TlsContext> made(new TlsContext());
  made->impl_->first = std::move(contexts.front());
  return std::shared_ptr<const TlsContext>(std::move(made));
}

SSL* TlsContext::NewSession(int fd) const {
  SSL* ssl = SSL_new(impl_->first.get());
  if (ssl == nullptr || SSL_set_fd(ssl, fd) != 1) {
    SSL_free(ssl);
    return nullptr;
  }
  SSL_set_accept_state(ssl);
  return ssl;
}

// Null only without memory; a stream that fell back to plain text would be worse than an exception.
void Stream::StartTls(const TlsContext& tls) {
  ssl_ = tls.NewSession(fd_.get());
  if (ssl_ == nullptr) throw std::bad_alloc();
}

void Stream::FreeTls() {
  SSL_free(ssl_);
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
  ERR_clear_error();
  return IoStatus::kBroken;
}

IoStatus Stream::HandshakeTls() {
  if (tls_failed_) return IoStatus::kBroken;
  read_wants_write_ = false;
  ERR_clear_error();
  const int returned = SSL_do_handshake(ssl_);
  return returned == 1 ? IoStatus::kOk : StatusTls(returned, true);
}

IoResult Stream::ReadTls(std::span<char> into) {
  if (tls_failed_) return {IoStatus::kBroken, 0};
  read_wants_write_ = false;
  ERR_clear_error();  // of another session on this thread: SSL_get_error looks at the queue
  std::size_t got = 0;
  const int returned = SSL_read_ex(ssl_, into.data(), into.size(), &got);
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
    ERR_clear_error();
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

bool Stream::chose_http2_tls() const {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl_, &name, &size);
  return std::string_view(reinterpret_cast<const char*>(name), size) == "h2";
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

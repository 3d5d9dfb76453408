// SPDX-License-Identifier: MIT
#include "proxy/tls_library.h"

#include <fmt/format.h>

#include <system_error>

#include "proxy/tls.h"

namespace spillway {
namespace {

// Mozilla's "intermediate" suites for TLS 1.2 without the DHE ones, whose handshakes are slow and
// which only clients older than 2014 would need; those of TLS 1.3 in the same order.
constexpr char kSuites12[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr char kSuites13[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr char kGroups[] = "X25519:prime256v1:secp384r1";

// Keys with a pass phrase are refused: nobody is there to type it.
int NoPassphrase(char*, int, int, void*) {
  return -1;
}

}  // namespace

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

Result<Owned<EVP_PKEY>> ReadKey(const std::string& path) {
  Owned<BIO> file(BIO_new_file(path.c_str(), "r"));
  Owned<EVP_PKEY> key(file ? PEM_read_bio_PrivateKey(file.get(), nullptr, &NoPassphrase, nullptr)
                           : nullptr);
  if (!key) return Fail(fmt::format("cannot read key '{}': {}", path, TakeReason()));
  return key;
}

Result<void> UseCertificate(SSL_CTX* context, const std::string& path) {
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(context, path.c_str()) == 1) return {};
  return Fail(fmt::format("cannot read certificate '{}': {}", path, TakeReason()));
}

Result<void> UseKey(SSL_CTX* context, const std::string& path, const std::string& certificate) {
  auto key = ReadKey(path);
  if (!key) return tl::unexpected(std::move(key.error()));
  if (X509_check_private_key(SSL_CTX_get0_certificate(context), key->get()) == 1 &&
      SSL_CTX_use_PrivateKey(context, key->get()) == 1) {
    return {};
  }
  return Fail(
      fmt::format("key '{}' does not match certificate '{}': {}", path, certificate, TakeReason()));
}

Owned<SSL_CTX> NewTlsContext(const SSL_METHOD* method, TlsVersion min_version) {
  Owned<SSL_CTX> owned(SSL_CTX_new(method));
  SSL_CTX* context = owned.get();
  if (context == nullptr) return nullptr;
  SSL_CTX_set_min_proto_version(context,
                                min_version == TlsVersion::k1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // RELEASE_BUFFERS: an idle connection keeps no record buffers, 34 KiB each.
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_set_cipher_list(context, kSuites12) != 1 ||
      SSL_CTX_set_ciphersuites(context, kSuites13) != 1 ||
      SSL_CTX_set1_groups_list(context, kGroups) != 1) {
    return nullptr;
  }
  return owned;
}

Result<void> TryCertificate(const std::string& certificate) {
  const Owned<SSL_CTX> context = NewTlsContext(TLS_server_method(), TlsVersion::k1_2);
  if (!context) return Fail(fmt::format("cannot set up TLS: {}", TakeReason()));
  return UseCertificate(context.get(), certificate);
}

Result<void> TryKey(const std::string& key, const std::string& certificate) {
  ERR_clear_error();
  if (certificate.empty()) {
    const auto read = ReadKey(key);
    if (!read) return Fail(read.error().message);
    return {};
  }
  const Owned<SSL_CTX> context = NewTlsContext(TLS_server_method(), TlsVersion::k1_2);
  if (!context) return Fail(fmt::format("cannot set up TLS: {}", TakeReason()));
  if (Result<void> used = UseCertificate(context.get(), certificate); !used) return used;
  return UseKey(context.get(), key, certificate);
}

Result<void> TryAuthorities(const std::string& path) {
  ERR_clear_error();
  const Owned<SSL_CTX> context = NewTlsContext(TLS_client_method(), TlsVersion::k1_2);
  if (context && SSL_CTX_load_verify_file(context.get(), path.c_str()) == 1) return {};
  return Fail(fmt::format("cannot read certificates '{}': {}", path, TakeReason()));
}

}  // namespace spillway

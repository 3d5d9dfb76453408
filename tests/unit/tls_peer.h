// SPDX-License-Identifier: MIT
// For tests of the encrypted stream: an OpenSSL client in the same thread, over a socket pair.
// Certificates are made here, so nothing expires and nothing secret is stored.
#pragma once

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/loop.h"
#include "proxy/stream.h"
#include "tests/unit/temp_directory.h"

namespace spillway {

class TestCertificates : public TempDirectory {
 public:
  // NAME.crt and NAME.key: self-signed, with subject NAME and these alternative names
  // ("DNS:a,DNS:*.b").
  TlsCertificate Make(const std::string& name, const std::string& alternatives) {
    std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
    std::unique_ptr<X509, decltype(&X509_free)> made(X509_new(), &X509_free);
    X509_set_version(made.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), 3600);
    X509_set_pubkey(made.get(), key.get());
    X509_NAME* subject = X509_get_subject_name(made.get());
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(made.get(), subject);
    if (!alternatives.empty()) {
      X509_EXTENSION* extension =
          X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, alternatives.c_str());
      X509_add_ext(made.get(), extension, -1);
      X509_EXTENSION_free(extension);
    }
    X509_sign(made.get(), key.get(), EVP_sha256());
    const TlsCertificate files{*this / (name + ".crt"), *this / (name + ".key")};
    FILE* file = fopen(files.certificate.c_str(), "w");
    PEM_write_X509(file, made.get());
    fclose(file);
    file = fopen(files.key.c_str(), "w");
    PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    fclose(file);
    return files;
  }
};

// The other side, non-blocking.
class OpensslClient {
 public:
  explicit OpensslClient(SSL_SESSION* session = nullptr)
      : context_(SSL_CTX_new(TLS_client_method())) {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    ours_.Reset(fds[0]);
    server_.Reset(fds[1]);
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, ours_.get());
    SSL_set_connect_state(ssl_);
    if (session != nullptr) SSL_set_session(ssl_, session);
  }
  ~OpensslClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }
  Fd TakeServerSide() { return std::move(server_); }
  SSL* ssl() const { return ssl_; }
  void Name(const char* name) { SSL_set_tlsext_host_name(ssl_, name); }
  void Offer(std::string_view protocols) {
    SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(protocols.data()),
                        static_cast<unsigned>(protocols.size()));
  }
  // Fails the handshake, or nothing.
  bool Handshake(Stream& stream) {
    for (int turn = 0; turn < 100; ++turn) {
      ERR_clear_error();
      const int done = SSL_do_handshake(ssl_);
      if (done != 1 && SSL_get_error(ssl_, done) != SSL_ERROR_WANT_READ) return false;
      const IoStatus status = stream.Handshake();
      if (status == IoStatus::kBroken) return false;
      if (done == 1 && status == IoStatus::kOk) return true;
    }
    return false;
  }
  // What one SSL_read gives: at most one record. Empty when there is nothing.
  std::string Read(std::size_t most = 65536) {
    std::string got(most, 0);
    ERR_clear_error();
    last_ = SSL_read(ssl_, got.data(), static_cast<int>(most));
    got.resize(last_ > 0 ? static_cast<std::size_t>(last_) : 0);
    return got;
  }
  bool ended() const { return SSL_get_error(ssl_, last_) == SSL_ERROR_ZERO_RETURN; }
  void Send(std::string_view text) {
    ASSERT_EQ(SSL_write(ssl_, text.data(), static_cast<int>(text.size())),
              static_cast<int>(text.size()));
  }
  void SendPlain(std::string_view text) {
    ASSERT_EQ(write(ours_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void Leave() { ours_.Reset(); }
  std::string PeerName() const {
    X509* peer = SSL_get0_peer_certificate(ssl_);
    char name[256] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, name, sizeof(name));
    return name;
  }

 private:
  SSL_CTX* context_;
  SSL* ssl_;
  Fd ours_, server_;
  int last_ = 0;
};

inline std::vector<iovec> Vectors(std::initializer_list<std::string_view> parts) {
  std::vector<iovec> vectors;
  for (const auto part : parts) vectors.push_back({const_cast<char*>(part.data()), part.size()});
  return vectors;
}

inline std::string ReadFrom(Stream& stream, std::size_t most = 65536) {
  std::string got(most, 0);
  const IoResult result = stream.Read(got);
  got.resize(result.bytes);
  return got;
}

// A server of TLS and what its certificates are.
class TlsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { IgnoreSigpipe(); }

  std::shared_ptr<const TlsContext> Context(TlsConfig config) {
    auto made = TlsContext::Create(config);
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    return made.value();
  }
  std::shared_ptr<const TlsContext> OneCertificate(TlsVersion min_version = TlsVersion::k1_2) {
    return Context({{certificates_.Make("one", "DNS:one.example")}, min_version});
  }
  std::string Refusal(TlsConfig config) {
    auto made = TlsContext::Create(config);
    EXPECT_FALSE(made);
    return made ? "" : made.error().message;
  }
  void WriteFile(const std::string& path, std::string_view text) { std::ofstream(path) << text; }

  TestCertificates certificates_;
};

}  // namespace spillway

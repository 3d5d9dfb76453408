// SPDX-License-Identifier: MIT
// The encrypted stream against an OpenSSL client in the same thread, over a socket pair.
// Certificates are made here, so nothing expires and nothing secret is stored.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/loop.h"
#include "proxy/stream.h"
#include "proxy/tls_tickets.h"

namespace spillway {
namespace {

class Certificates {
 public:
  Certificates() : path_((std::filesystem::temp_directory_path() / "spillway-XXXXXX").string()) {
    EXPECT_NE(mkdtemp(path_.data()), nullptr);
  }
  ~Certificates() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

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

 private:
  std::string path_;
};

// The other side, non-blocking.
class Client {
 public:
  explicit Client(SSL_SESSION* session = nullptr) : context_(SSL_CTX_new(TLS_client_method())) {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    ours_.Reset(fds[0]);
    server_.Reset(fds[1]);
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, ours_.get());
    SSL_set_connect_state(ssl_);
    if (session != nullptr) SSL_set_session(ssl_, session);
  }
  ~Client() {
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
    char none;
    for (int turn = 0; turn < 100; ++turn) {
      ERR_clear_error();
      const int done = SSL_do_handshake(ssl_);
      if (done != 1 && SSL_get_error(ssl_, done) != SSL_ERROR_WANT_READ) return false;
      if (!stream.handshake_done() && stream.Read(std::span(&none, 1)).status == IoStatus::kBroken)
        return false;
      if (done == 1 && stream.handshake_done()) return true;
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

std::vector<iovec> Vectors(std::initializer_list<std::string_view> parts) {
  std::vector<iovec> vectors;
  for (const auto part : parts) vectors.push_back({const_cast<char*>(part.data()), part.size()});
  return vectors;
}

std::string ReadFrom(Stream& stream, std::size_t most = 65536) {
  std::string got(most, 0);
  const IoResult result = stream.Read(got);
  got.resize(result.bytes);
  return got;
}

class Tls : public testing::Test {
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

  Certificates certificates_;
};

TEST_F(Tls, SpeaksHttp11OverTls13InBothDirections) {
  const auto context = OneCertificate();
  Client client;
  client.Offer(std::string_view("\x08http/1.1", 9));
  Stream stream(client.TakeServerSide(), *context);
  EXPECT_TRUE(stream.encrypted());
  EXPECT_FALSE(stream.handshake_done());
  ASSERT_TRUE(client.Handshake(stream));
  EXPECT_EQ(SSL_version(client.ssl()), TLS1_3_VERSION);
  const unsigned char* protocol;
  unsigned size;
  SSL_get0_alpn_selected(client.ssl(), &protocol, &size);
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(protocol), size), "http/1.1");
  EXPECT_FALSE(stream.chose_http2());

  client.Send("request");
  EXPECT_EQ(ReadFrom(stream), "request");
  EXPECT_EQ(stream.Write(Vectors({"response"})).bytes, 8u);
  EXPECT_EQ(client.Read(), "response");
}

TEST_F(Tls, PrefersHttp2WhereTheClientOffersIt) {
  const auto context = OneCertificate();
  Client client;
  client.Offer(std::string_view("\x08http/1.1\x02h2", 12));
  Stream stream(client.TakeServerSide(), *context);
  ASSERT_TRUE(client.Handshake(stream));
  EXPECT_TRUE(stream.chose_http2());
}

TEST_F(Tls, RefusesAClientThatSpeaksOnlyAnotherProtocol) {
  const auto context = OneCertificate();
  Client client;
  client.Offer(std::string_view("\x02h3", 3));
  Stream stream(client.TakeServerSide(), *context);
  EXPECT_FALSE(client.Handshake(stream));
}

TEST_F(Tls, MinVersion13RefusesTls12AndMinVersion12TakesIt) {
  for (const TlsVersion version : {TlsVersion::k1_2, TlsVersion::k1_3}) {
    const auto context = OneCertificate(version);
    Client client;
    SSL_set_max_proto_version(client.ssl(), TLS1_2_VERSION);
    Stream stream(client.TakeServerSide(), *context);
    EXPECT_EQ(client.Handshake(stream), version == TlsVersion::k1_2);
  }
}

TEST_F(Tls, RefusesTls11) {
  const auto context = OneCertificate();
  Client client;
  SSL_set_security_level(client.ssl(), 0);
  SSL_set_min_proto_version(client.ssl(), TLS1_VERSION);
  SSL_set_max_proto_version(client.ssl(), TLS1_1_VERSION);
  Stream stream(client.TakeServerSide(), *context);
  EXPECT_FALSE(client.Handshake(stream));
}

TEST_F(Tls, RefusesRenegotiation) {
  const auto context = OneCertificate();
  Client client;
  SSL_set_max_proto_version(client.ssl(), TLS1_2_VERSION);
  Stream stream(client.TakeServerSide(), *context);
  ASSERT_TRUE(client.Handshake(stream));
  SSL_renegotiate(client.ssl());
  SSL_do_handshake(client.ssl());
  EXPECT_EQ(ReadFrom(stream), "");
  const int done = SSL_do_handshake(client.ssl());
  EXPECT_EQ(done, -1);
  EXPECT_EQ(SSL_get_error(client.ssl(), done), SSL_ERROR_SSL);  // a no_renegotiation alert
}

TEST_F(Tls, PicksTheCertificateByAlternativeName) {
  const auto context =
      Context({{certificates_.Make("first", "DNS:first.example,DNS:both.example"),
                certificates_.Make("second", "DNS:Second.example,DNS:both.example"),
                certificates_.Make("wild", "DNS:*.wild.example"), certificates_.Make("bare", "")},
               TlsVersion::k1_2});
  const struct {
    const char *asked, *answered;
  } kCases[] = {
      {nullptr, "first"},
      {"first.example", "first"},
      {"second.example", "second"},
      {"SECOND.example", "second"},
      {"both.example", "first"},  // the first that claims a name keeps it
      {"a.wild.example", "wild"},
      {"a.b.wild.example", "first"},  // a wildcard is one label
      {"wild.example", "first"},
      {"bare", "first"},  // the subject's common name is no alternative name
      {"unknown.example", "first"},
  };
  for (const auto& c : kCases) {
    Client client;
    if (c.asked != nullptr) client.Name(c.asked);
    Stream stream(client.TakeServerSide(), *context);
    ASSERT_TRUE(client.Handshake(stream)) << c.asked;
    EXPECT_EQ(client.PeerName(), c.answered) << c.asked;
  }
}

TEST_F(Tls, SessionsOutliveTheirContext) {
  auto context = Context({{certificates_.Make("first", "DNS:first.example"),
                           certificates_.Make("second", "DNS:second.example")},
                          TlsVersion::k1_2});
  Client client;
  client.Name("second.example");
  Stream stream(client.TakeServerSide(), *context);
  context.reset();  // a reload before the handshake: the table of names is still read
  ASSERT_TRUE(client.Handshake(stream));
  EXPECT_EQ(client.PeerName(), "second");
}

TEST_F(Tls, ResumesByTicketWithoutStoringSessions) {
  const auto context = OneCertificate();
  Client first;
  first.Name("one.example");
  Stream stream(first.TakeServerSide(), *context);
  ASSERT_TRUE(first.Handshake(stream));
  stream.Write(Vectors({"x"}));
  EXPECT_EQ(first.Read(), "x");  // the tickets came before
  SSL_SESSION* session = SSL_get1_session(first.ssl());
  Client second(session);
  second.Name("one.example");
  Stream again(second.TakeServerSide(), *context);
  ASSERT_TRUE(second.Handshake(again));
  EXPECT_EQ(SSL_session_reused(second.ssl()), 1);
  SSL_SESSION_free(session);
}

// Comes with `session` (and frees it); whether it was taken up again, and the one for next time.
std::pair<bool, SSL_SESSION*> Visit(const TlsContext& context, SSL_SESSION* session) {
  Client client(session);
  Stream stream(client.TakeServerSide(), context);
  EXPECT_TRUE(client.Handshake(stream));
  stream.Write(Vectors({"x"}));
  EXPECT_EQ(client.Read(), "x");
  const bool reused = SSL_session_reused(client.ssl()) == 1;
  EXPECT_EQ(stream.resumed(), reused);
  SSL_SESSION_free(session);
  SSL_set_shutdown(client.ssl(), SSL_SENT_SHUTDOWN);  // OpenSSL forgets sessions that were cut
  return {reused, SSL_get1_session(client.ssl())};
}

TEST_F(Tls, ATicketOutlivesOneRotationOfTheKeysAndNotTwo) {
  const auto keys = std::make_shared<TicketKeys>();
  const auto made = TlsContext::Create({{certificates_.Make("one", "")}}, keys);
  ASSERT_TRUE(made);
  const TlsContext& context = **made;
  SSL_SESSION* old = Visit(context, nullptr).second;
  keys->Rotate();
  SSL_SESSION_up_ref(old);
  auto [once, renewed] = Visit(context, old);
  EXPECT_TRUE(once);
  keys->Rotate();
  auto [twice, fresh] = Visit(context, old);
  EXPECT_FALSE(twice);
  SSL_SESSION_free(fresh);
  auto [again, last] = Visit(context, renewed);  // its ticket is of the second key
  EXPECT_TRUE(again);
  SSL_SESSION_free(last);
}

TEST_F(Tls, ContextsWithTheSameKeysKnowEachOthersTickets) {
  const auto keys = std::make_shared<TicketKeys>();
  const TlsConfig config{{certificates_.Make("one", "")}};
  const auto one = TlsContext::Create(config, keys), two = TlsContext::Create(config, keys);
  const auto [reused, session] = Visit(**two, Visit(**one, nullptr).second);
  EXPECT_TRUE(reused);
  SSL_SESSION_free(session);
}

TEST_F(Tls, NoTicketsWhereTheyAreSwitchedOff) {
  TlsConfig config{{certificates_.Make("one", "")}};
  config.session_tickets = false;
  const auto context = Context(config);
  const auto [reused, session] = Visit(*context, Visit(*context, nullptr).second);
  EXPECT_FALSE(reused);
  EXPECT_EQ(SSL_SESSION_has_ticket(session), 0);
  SSL_SESSION_free(session);
}

TEST_F(Tls, AClientHasAFingerprint) {
  const auto context = OneCertificate();
  Client client;
  client.Name("one.example");
  Stream stream(client.TakeServerSide(), *context);
  EXPECT_TRUE(stream.tls_facts().ja4.empty());
  ASSERT_TRUE(client.Handshake(stream));
  EXPECT_EQ(stream.tls_facts().ja4.size(), 36u);
  EXPECT_EQ(stream.tls_facts().ja4.substr(0, 4), "t13d");
  EXPECT_TRUE(stream.tls_facts().client_certificate.empty());
}

TEST_F(Tls, GathersSmallVectorsIntoOneRecord) {
  const auto context = OneCertificate();
  Client client;
  Stream stream(client.TakeServerSide(), *context);
  ASSERT_TRUE(client.Handshake(stream));
  EXPECT_EQ(stream.Write(Vectors({"one ", "", "two ", "three"})).bytes, 13u);
  EXPECT_EQ(client.Read(), "one two three");
  EXPECT_EQ(stream.Write({}).status, IoStatus::kOk);
}

TEST_F(Tls, KeepsBytesInOrderOverBlockedWrites) {
  const auto context = OneCertificate();
  Client client;
  Stream stream(client.TakeServerSide(), *context);
  ASSERT_TRUE(client.Handshake(stream));
  std::string all;
  for (int i = 0; all.size() < 3'000'000; ++i) all += std::to_string(i) + ",";
  std::string got;
  std::size_t sent = 0, blocked = 0, size = 1;
  while (sent < all.size()) {
    // The rest in pieces of ever other sizes, and copied: a retry after a block is cut differently
    // and lies elsewhere.
    const std::string rest = all.substr(sent);
    std::vector<iovec> vectors;
    for (std::size_t at = 0; at < rest.size(); at += vectors.back().iov_len) {
      size = size * 7919 % 50021 + 1;
      vectors.push_back({const_cast<char*>(rest.data()) + at, std::min(size, rest.size() - at)});
    }
    const IoResult put = stream.Write(vectors);
    if (put.status == IoStatus::kOk) {
      sent += put.bytes;
      continue;
    }
    ASSERT_EQ(put.status, IoStatus::kWouldBlock);
    EXPECT_FALSE(stream.write_wants_read());
    ++blocked;
    for (std::string part; !(part = client.Read()).empty();) got += part;
  }
  for (std::string part; !(part = client.Read()).empty();) got += part;
  EXPECT_GT(blocked, 3u);
  EXPECT_TRUE(got == all);
}

TEST_F(Tls, TellsOfBytesThatTheDescriptorWillNotAnnounce) {
  const auto context = OneCertificate();
  Client client;
  Stream stream(client.TakeServerSide(), *context);
  ASSERT_TRUE(client.Handshake(stream));
  client.Send("0123456789");
  EXPECT_EQ(ReadFrom(stream, 4), "0123");
  EXPECT_TRUE(stream.has_pending());
  pollfd entry{stream.fd(), POLLIN, 0};
  EXPECT_EQ(poll(&entry, 1, 0), 0);
  EXPECT_EQ(ReadFrom(stream), "456789");
  EXPECT_FALSE(stream.has_pending());
}

TEST_F(Tls, CloseNotifyIsAnEndAndACutIsNot) {
  const auto context = OneCertificate();
  for (const bool orderly : {true, false}) {
    Client client;
    Stream stream(client.TakeServerSide(), *context);
    ASSERT_TRUE(client.Handshake(stream));
    if (orderly) SSL_shutdown(client.ssl());
    client.Leave();
    char byte;
    EXPECT_EQ(stream.Read(std::span(&byte, 1)).status,
              orderly ? IoStatus::kEnd : IoStatus::kBroken);
  }
}

TEST_F(Tls, ShutdownWriteSaysCloseNotifyAndReadsOn) {
  const auto context = OneCertificate();
  Client client;
  Stream stream(client.TakeServerSide(), *context);
  ASSERT_TRUE(client.Handshake(stream));
  stream.Write(Vectors({"last"}));
  stream.ShutdownWrite();
  EXPECT_EQ(client.Read(), "last");
  EXPECT_EQ(client.Read(), "");
  EXPECT_TRUE(client.ended());
  client.Send("late");
  EXPECT_EQ(ReadFrom(stream), "late");
}

TEST_F(Tls, PlainHttpIsBrokenAndDoesNotDisturbOtherSessions) {
  const auto context = OneCertificate();
  Client good, bad;
  Stream good_stream(good.TakeServerSide(), *context), bad_stream(bad.TakeServerSide(), *context);
  ASSERT_TRUE(good.Handshake(good_stream));
  bad.SendPlain("GET / HTTP/1.1\r\n\r\n");
  char byte;
  EXPECT_EQ(bad_stream.Read(std::span(&byte, 1)).status, IoStatus::kBroken);
  EXPECT_EQ(good_stream.Read(std::span(&byte, 1)).status, IoStatus::kWouldBlock);
  EXPECT_EQ(bad_stream.Read(std::span(&byte, 1)).status, IoStatus::kBroken);
  EXPECT_EQ(bad_stream.Write(Vectors({"x"})).status, IoStatus::kBroken);
  bad_stream.ShutdownWrite();
}

TEST_F(Tls, SaysWhatIsWrongWithFiles) {
  const TlsCertificate good = certificates_.Make("good", "");
  const TlsCertificate other = certificates_.Make("other", "");
  const std::string missing = certificates_ / "missing", garbage = certificates_ / "garbage";
  WriteFile(garbage, "not PEM\n");
  EXPECT_EQ(Refusal({{{missing, good.key}}, TlsVersion::k1_2}),
            "cannot read certificate '" + missing + "': No such file or directory");
  EXPECT_EQ(Refusal({{{good.certificate, missing}}, TlsVersion::k1_2}),
            "cannot read key '" + missing + "': No such file or directory");
  EXPECT_EQ(Refusal({{{garbage, good.key}}, TlsVersion::k1_2}),
            "cannot read certificate '" + garbage + "': no start line");
  EXPECT_THAT(Refusal({{{good.certificate, garbage}}, TlsVersion::k1_2}),
              testing::StartsWith("cannot read key '" + garbage + "': "));
  EXPECT_EQ(Refusal({{{good.certificate, other.key}}, TlsVersion::k1_2}),
            "key '" + other.key + "' does not match certificate '" + good.certificate +
                "': key values mismatch");
  EXPECT_EQ(Refusal({{good, {missing, good.key}}, TlsVersion::k1_2}),
            "cannot read certificate '" + missing + "': No such file or directory");
  EXPECT_EQ(Refusal({{}, TlsVersion::k1_2}), "no certificate is configured");
}

TEST_F(Tls, RefusesAKeyWithAPassphraseWithoutAsking) {
  const TlsCertificate good = certificates_.Make("good", "");
  FILE* file = fopen(good.key.c_str(), "r");
  EVP_PKEY* key = PEM_read_PrivateKey(file, nullptr, nullptr, nullptr);
  fclose(file);
  file = fopen(good.key.c_str(), "w");
  unsigned char phrase[] = "secret";
  PEM_write_PrivateKey(file, key, EVP_aes_128_cbc(), phrase, 6, nullptr, nullptr);
  fclose(file);
  EVP_PKEY_free(key);
  EXPECT_THAT(Refusal({{good}, TlsVersion::k1_2}),
              testing::StartsWith("cannot read key '" + good.key + "': "));
}

}  // namespace
}  // namespace spillway

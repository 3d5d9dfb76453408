// SPDX-License-Identifier: MIT
// What a handshake agrees on: version, protocol, certificate, session; and files that cannot serve.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/tls_tickets.h"
#include "tests/unit/tls_peer.h"

namespace spillway {
namespace {

using TlsHandshake = TlsTest;

TEST_F(TlsHandshake, SpeaksHttp11OverTls13InBothDirections) {
  const auto context = OneCertificate();
  OpensslClient client;
  client.Offer(std::string_view("\x08http/1.1", 9));
  Stream stream(client.TakeServerSide(), *context);
  EXPECT_TRUE(stream.encrypted());
  EXPECT_EQ(stream.Handshake(), IoStatus::kWouldBlock);
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

TEST_F(TlsHandshake, PrefersHttp2WhereTheClientOffersIt) {
  const auto context = OneCertificate();
  OpensslClient client;
  client.Offer(std::string_view("\x08http/1.1\x02h2", 12));
  Stream stream(client.TakeServerSide(), *context);
  ASSERT_TRUE(client.Handshake(stream));
  EXPECT_TRUE(stream.chose_http2());
}

TEST_F(TlsHandshake, RefusesAClientThatSpeaksOnlyAnotherProtocol) {
  const auto context = OneCertificate();
  OpensslClient client;
  client.Offer(std::string_view("\x02h3", 3));
  Stream stream(client.TakeServerSide(), *context);
  EXPECT_FALSE(client.Handshake(stream));
}

TEST_F(TlsHandshake, MinVersion13RefusesTls12AndMinVersion12TakesIt) {
  for (const TlsVersion version : {TlsVersion::k1_2, TlsVersion::k1_3}) {
    const auto context = OneCertificate(version);
    OpensslClient client;
    SSL_set_max_proto_version(client.ssl(), TLS1_2_VERSION);
    Stream stream(client.TakeServerSide(), *context);
    EXPECT_EQ(client.Handshake(stream), version == TlsVersion::k1_2);
  }
}

TEST_F(TlsHandshake, RefusesTls11) {
  const auto context = OneCertificate();
  OpensslClient client;
  SSL_set_security_level(client.ssl(), 0);
  SSL_set_min_proto_version(client.ssl(), TLS1_VERSION);
  SSL_set_max_proto_version(client.ssl(), TLS1_1_VERSION);
  Stream stream(client.TakeServerSide(), *context);
  EXPECT_FALSE(client.Handshake(stream));
}

TEST_F(TlsHandshake, RefusesRenegotiation) {
  const auto context = OneCertificate();
  OpensslClient client;
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

TEST_F(TlsHandshake, PicksTheCertificateByAlternativeName) {
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
    OpensslClient client;
    if (c.asked != nullptr) client.Name(c.asked);
    Stream stream(client.TakeServerSide(), *context);
    ASSERT_TRUE(client.Handshake(stream)) << c.asked;
    EXPECT_EQ(client.PeerName(), c.answered) << c.asked;
  }
}

TEST_F(TlsHandshake, SessionsOutliveTheirContext) {
  auto context = Context({{certificates_.Make("first", "DNS:first.example"),
                           certificates_.Make("second", "DNS:second.example")},
                          TlsVersion::k1_2});
  OpensslClient client;
  client.Name("second.example");
  Stream stream(client.TakeServerSide(), *context);
  context.reset();  // a reload before the handshake: the table of names is still read
  ASSERT_TRUE(client.Handshake(stream));
  EXPECT_EQ(client.PeerName(), "second");
}

TEST_F(TlsHandshake, ResumesByTicketWithoutStoringSessions) {
  const auto context = OneCertificate();
  OpensslClient first;
  first.Name("one.example");
  Stream stream(first.TakeServerSide(), *context);
  ASSERT_TRUE(first.Handshake(stream));
  stream.Write(Vectors({"x"}));
  EXPECT_EQ(first.Read(), "x");  // the tickets came before
  SSL_SESSION* session = SSL_get1_session(first.ssl());
  OpensslClient second(session);
  second.Name("one.example");
  Stream again(second.TakeServerSide(), *context);
  ASSERT_TRUE(second.Handshake(again));
  EXPECT_EQ(SSL_session_reused(second.ssl()), 1);
  SSL_SESSION_free(session);
}

// Comes with `session` (and frees it); whether it was taken up again, and the one for next time.
std::pair<bool, SSL_SESSION*> Visit(const TlsContext& context, SSL_SESSION* session) {
  OpensslClient client(session);
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

TEST_F(TlsHandshake, ATicketOutlivesOneRotationOfTheKeysAndNotTwo) {
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

TEST_F(TlsHandshake, ContextsWithTheSameKeysKnowEachOthersTickets) {
  const auto keys = std::make_shared<TicketKeys>();
  const TlsConfig config{{certificates_.Make("one", "")}};
  const auto one = TlsContext::Create(config, keys), two = TlsContext::Create(config, keys);
  const auto [reused, session] = Visit(**two, Visit(**one, nullptr).second);
  EXPECT_TRUE(reused);
  SSL_SESSION_free(session);
}

TEST_F(TlsHandshake, NoTicketsWhereTheyAreSwitchedOff) {
  TlsConfig config{{certificates_.Make("one", "")}};
  config.session_tickets = false;
  const auto context = Context(config);
  const auto [reused, session] = Visit(*context, Visit(*context, nullptr).second);
  EXPECT_FALSE(reused);
  EXPECT_EQ(SSL_SESSION_has_ticket(session), 0);
  SSL_SESSION_free(session);
}

TEST_F(TlsHandshake, AClientHasAFingerprint) {
  const auto context = OneCertificate();
  OpensslClient client;
  client.Name("one.example");
  Stream stream(client.TakeServerSide(), *context);
  EXPECT_TRUE(stream.tls_facts().ja4.empty());
  ASSERT_TRUE(client.Handshake(stream));
  EXPECT_EQ(stream.tls_facts().ja4.size(), 36u);
  EXPECT_EQ(stream.tls_facts().ja4.substr(0, 4), "t13d");
  EXPECT_TRUE(stream.tls_facts().client_certificate.empty());
}

TEST_F(TlsHandshake, SaysWhatIsWrongWithFiles) {
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

TEST_F(TlsHandshake, RefusesAKeyWithAPassphraseWithoutAsking) {
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

// SPDX-License-Identifier: MIT
// The resolver against a small DNS server on the same loop (dns_server.h). What is tested of /etc/hosts is
// "localhost".
#include "proxy/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>

#include "dns_server.h"

namespace spillway {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

class ResolverTest : public testing::Test {
 protected:
  ResolverTest() : server_(loop_) { resolver_.emplace(loop_, server_.address()); }
  Result<Resolved> Resolve(const std::string& name) {
    std::optional<Result<Resolved>> answer;
    resolver_->Resolve(name, [&](Result<Resolved> result) {
      answer = std::move(result);
      loop_.Stop();
    });
    loop_.Run();
    return answer.value();
  }

  Result<Resolved> ResolveFull(const std::string& name, const char* like) {
    std::optional<Result<Resolved>> answer;
    resolver_->ResolveFull(name, Ip(like), [&](Result<Resolved> result) {
      answer = std::move(result);
      loop_.Stop();
    });
    loop_.Run();
    return answer.value();
  }
  Result<std::vector<std::string>> FindNames(const char* address) {
    std::optional<Result<std::vector<std::string>>> answer;
    resolver_->FindNames(Ip(address), [&](Result<std::vector<std::string>> result) {
      answer = std::move(result);
      loop_.Stop();
    });
    loop_.Run();
    return answer.value();
  }

  Loop loop_;
  DnsServer server_;
  std::optional<Resolver> resolver_;
};

TEST_F(ResolverTest, GathersBothFamiliesSortedWithoutDoubles) {
  server_.records = {{"app.test.", {"192.0.2.9", 300}},
                     {"app.test.", {"192.0.2.1", 60}},
                     {"app.test.", {"192.0.2.9", 300}},
                     {"app.test.", {"2001:db8::1", 120}}};
  const auto answer = Resolve("app.test.");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(answer->addresses, ElementsAre(Ip("192.0.2.1"), Ip("192.0.2.9"), Ip("2001:db8::1")));
  EXPECT_EQ(answer->ttl, 60s);  // the shortest
  EXPECT_EQ(server_.asked, 2);
}

TEST_F(ResolverTest, HoldsTheTimeToLiveBetweenASecondAndAnHour) {
  server_.records = {{"short.test.", {"192.0.2.1", 0}}, {"long.test.", {"192.0.2.1", 86400}}};
  EXPECT_EQ(Resolve("short.test.")->ttl, 1s);
  EXPECT_EQ(Resolve("long.test.")->ttl, 1h);
}

TEST_F(ResolverTest, AsksOverTcpWhenADatagramIsTooShortAndKeepsAtMost64Addresses) {
  for (int i = 0; i < 100; ++i) {
    server_.records.insert({"many.test.", {"192.0.2." + std::to_string(i), 60}});
  }
  const auto answer = Resolve("many.test.");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(answer->addresses, SizeIs(64));
  EXPECT_GE(server_.asked_over_tcp, 1);
}

TEST_F(ResolverTest, SaysThatANameDoesNotExist) {
  const auto answer = Resolve("missing.test.");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().message, "Domain name not found");
}

TEST_F(ResolverTest, AsksAgainAfterAnAnswer) {
  server_.records = {{"app.test.", {"192.0.2.1", 60}}};
  EXPECT_THAT(Resolve("app.test.")->addresses, ElementsAre(Ip("192.0.2.1")));
  server_.records = {{"app.test.", {"192.0.2.2", 60}}};
  EXPECT_THAT(Resolve("app.test.")->addresses,
              ElementsAre(Ip("192.0.2.2")));  // nothing is kept here
}

TEST_F(ResolverTest, ALiteralAddressIsAnsweredAtOnceWithoutAsking) {
  for (const char* text : {"192.0.2.7", "2001:db8::7", "::1"}) {
    bool called = false;
    resolver_->Resolve(text, [&](Result<Resolved> result) {
      called = true;
      EXPECT_THAT(result->addresses, ElementsAre(Ip(text)));
      EXPECT_EQ(result->ttl, 1h);
    });
    EXPECT_TRUE(called);
  }
  EXPECT_EQ(server_.asked, 0);
}

TEST_F(ResolverTest, TakesNamesFromTheHostsFile) {
  const auto answer = Resolve("localhost");
  ASSERT_TRUE(answer);
  EXPECT_THAT(answer->addresses, testing::Contains(testing::AnyOf(Ip("127.0.0.1"), Ip("::1"))));
  EXPECT_EQ(answer->ttl, 30s);
  EXPECT_EQ(server_.asked, 0);
}

TEST_F(ResolverTest, NamesAreAnsweredAfterTheCall) {
  bool called = false;
  resolver_->Resolve("localhost", [&](Result<Resolved>) {
    called = true;
    loop_.Stop();
  });
  EXPECT_FALSE(called);
  loop_.Run();
  EXPECT_TRUE(called);
}

TEST_F(ResolverTest, ManyAtOnceEachGetTheirOwnAnswer) {
  constexpr int kNames = 50;
  int answered = 0;
  for (int i = 0; i < kNames; ++i) {
    const std::string name = "n" + std::to_string(i) + ".test.",
                      address = "192.0.2." + std::to_string(i);
    server_.records.insert({name, {address, 60}});
    resolver_->Resolve(name, [&, address](Result<Resolved> result) {
      EXPECT_THAT(result->addresses, ElementsAre(Ip(address)));
      if (++answered == kNames) loop_.Stop();
    });
  }
  loop_.Run();
  EXPECT_EQ(answered, kNames);
}

TEST_F(ResolverTest, FindsTheNamesOfAnAddress) {
  server_.pointers = {
      {"7.2.0.192.in-addr.arpa.", "one.test"},
      {"7.2.0.192.in-addr.arpa.", "two.test"},
      {"7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", "six.test"}};
  EXPECT_THAT(FindNames("192.0.2.7").value(),
              testing::UnorderedElementsAre("one.test", "two.test"));
  EXPECT_THAT(FindNames("2001:db8::7").value(), ElementsAre("six.test"));
}

TEST_F(ResolverTest, ThatAnAddressHasNoNameIsAnAnswerAndThatAServerFailsIsNone) {
  EXPECT_THAT(FindNames("192.0.2.8").value(), testing::IsEmpty());
  server_.fails = true;
  EXPECT_FALSE(FindNames("192.0.2.8"));
}

TEST_F(ResolverTest, AFullNameHasAddressesOfOneKindOrNone) {
  server_.records = {{"app.test.", {"192.0.2.1", 60}}, {"app.test.", {"2001:db8::1", 120}}};
  EXPECT_THAT(ResolveFull("app.test", "10.0.0.1")->addresses, ElementsAre(Ip("192.0.2.1")));
  EXPECT_THAT(ResolveFull("app.test", "::1")->addresses, ElementsAre(Ip("2001:db8::1")));
  EXPECT_EQ(server_.asked, 2);
  EXPECT_THAT(ResolveFull("missing.test", "10.0.0.1")->addresses, testing::IsEmpty());
  server_.fails = true;
  EXPECT_FALSE(ResolveFull("app.test", "10.0.0.1"));
}

TEST_F(ResolverTest, DestroyedWhileAskingCallsNobody) {
  server_.silent = true;
  resolver_->Resolve("app.test.", [](Result<Resolved>) { FAIL() << "called after the end"; });
  resolver_->Resolve("localhost",
                     [](Result<Resolved>) { FAIL() << "called after the end"; });  // posted already
  resolver_.reset();
  loop_.Stop();
  loop_.Run();
}

TEST_F(ResolverTest, MayBeDestroyedByItsCallback) {
  server_.records = {{"app.test.", {"192.0.2.1", 60}}};
  resolver_->Resolve("app.test.", [&](Result<Resolved>) {
    resolver_.reset();
    loop_.Stop();
  });
  loop_.Run();
  EXPECT_FALSE(resolver_);
}

TEST(Resolver, RefusesMalformedServers) {
  Loop loop;
  EXPECT_THROW(Resolver(loop, "not an address"), std::runtime_error);
}

}  // namespace
}  // namespace spillway

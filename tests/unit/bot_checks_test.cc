// SPDX-License-Identifier: MIT
// What is remembered of robots, and how few questions a crowd of forged ones can make us ask; and the
// questions themselves, against a small DNS server.
#include "proxy/bot_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "dns_server.h"

namespace spillway {
namespace {

const BotConfig kBot{"bot", {"Bot"}, {"bot.test"}, 1};
const BotConfig kOther{"other", {"Other"}, {"other.test"}, 2};

class BotChecksTest : public testing::Test {
 protected:
  explicit BotChecksTest(std::size_t entries = BotChecks::kEntries)
      : checks_(
            loop_, 42,
            [this](const IpAddress& client, const std::vector<std::string>&,
                   std::function<void(BotAnswer)> done) {
              lookups_.push_back({client, std::move(done)});
            },
            entries) {}
  struct Lookup {
    IpAddress client;
    std::function<void(BotAnswer)> done;
  };
  // Lets the loop do what it has to.
  void Turn() {
    loop_.Post([this] { loop_.Stop(); });
    loop_.Run();
  }
  BotCheck Ask(const std::string& client, const BotConfig& bot = kBot, Duration later = 0s) {
    const BotCheck check = checks_.Ask(Ip(client), bot, loop_.now() + later);
    Turn();
    return check;
  }
  void Answer(BotAnswer answer) {
    ASSERT_FALSE(lookups_.empty());
    const auto done = std::move(lookups_.front().done);
    lookups_.pop_front();
    done(answer);
  }

  Loop loop_;
  std::deque<Lookup> lookups_;
  BotChecks checks_;
};

TEST_F(BotChecksTest, TheFirstRequestIsUnknownAndAsksOnce) {
  EXPECT_EQ(Ask("192.0.2.1"), BotCheck::kUnknown);
  EXPECT_EQ(Ask("192.0.2.1"), BotCheck::kUnknown);
  ASSERT_EQ(lookups_.size(), 1U);
  EXPECT_EQ(lookups_[0].client, Ip("192.0.2.1"));
  Answer({BotCheck::kYes, 10min});
  EXPECT_EQ(Ask("192.0.2.1"), BotCheck::kYes);
  EXPECT_EQ(checks_.count(BotCheck::kYes), 1U);
  EXPECT_TRUE(lookups_.empty());
}

TEST_F(BotChecksTest, AnAnswerIsOfOneAddressAndOfOneRobot) {
  Ask("192.0.2.1");
  Answer({BotCheck::kYes, 1h});
  EXPECT_EQ(Ask("192.0.2.2"), BotCheck::kUnknown);
  EXPECT_EQ(Ask("192.0.2.1", kOther), BotCheck::kUnknown);
  EXPECT_EQ(lookups_.size(), 2U);
}

TEST_F(BotChecksTest, AnOldAnswerServesWhileItIsAskedForAnew) {
  Ask("192.0.2.1");
  Answer({BotCheck::kYes, 10min});
  EXPECT_EQ(Ask("192.0.2.1", kBot, 9min), BotCheck::kYes);
  EXPECT_TRUE(lookups_.empty());
  EXPECT_EQ(Ask("192.0.2.1", kBot, 11min), BotCheck::kYes);
  EXPECT_EQ(lookups_.size(), 1U);
  EXPECT_EQ(Ask("192.0.2.1", kBot, 11min + 1s), BotCheck::kYes);
  EXPECT_EQ(lookups_.size(), 1U);
  EXPECT_EQ(Ask("192.0.2.1", kBot, 21min), BotCheck::kUnknown);
}

TEST_F(BotChecksTest, YesHoldsFiveMinutesToAnHourAndForgedTen) {
  const struct {
    BotAnswer answer;
    Duration holds;
  } kTable[] = {
      {{BotCheck::kYes, 1s}, 5min}, {{BotCheck::kYes, 24h}, 1h}, {{BotCheck::kForged, 0s}, 10min}};
  int number = 0;
  for (const auto& [answer, holds] : kTable) {
    const std::string client = "192.0.2." + std::to_string(++number);
    Ask(client);
    Answer(answer);
    EXPECT_EQ(Ask(client, kBot, holds - 5s), answer.check);
    EXPECT_TRUE(lookups_.empty());
    EXPECT_EQ(Ask(client, kBot, holds + 5s), answer.check);
    ASSERT_EQ(lookups_.size(), 1U);
    lookups_.clear();
  }
}

TEST_F(BotChecksTest, WhereDnsIsSilentItIsAskedAgainAfterAWhile) {
  Ask("192.0.2.1");
  Answer({BotCheck::kUnknown});
  EXPECT_EQ(Ask("192.0.2.1", kBot, 29s), BotCheck::kUnknown);
  EXPECT_TRUE(lookups_.empty());
  Ask("192.0.2.1", kBot, 31s);
  EXPECT_EQ(lookups_.size(), 1U);
}

TEST_F(BotChecksTest, SilenceDoesNotMakeAKnownOneUnknown) {
  Ask("192.0.2.1");
  Answer({BotCheck::kYes, 10min});
  EXPECT_EQ(Ask("192.0.2.1", kBot, 11min), BotCheck::kYes);
  Answer({BotCheck::kUnknown});
  EXPECT_EQ(Ask("192.0.2.1", kBot, 12min), BotCheck::kYes);
}

TEST_F(BotChecksTest, FewAreLookedUpAtOnceAndTheOthersWait) {
  for (std::uint32_t i = 0; i < 100; ++i) Ask("10.0." + std::to_string(i) + ".1");
  EXPECT_EQ(lookups_.size(), BotChecks::kMostUnderWay);
  Answer({BotCheck::kForged});
  const auto begun = [&] { return lookups_.size() == BotChecks::kMostUnderWay; };
  while (!begun()) Turn();  // the next one begins when its time has come
  EXPECT_EQ(checks_.count(BotCheck::kForged), 1U);
}

TEST_F(BotChecksTest, BeyondItsBoundNobodyWaitsAndNothingIsRemembered) {
  const BotConfig& bot = kBot;
  const std::uint32_t crowd = BotChecks::kMostWaiting + 100;
  for (std::uint32_t i = 0; i < crowd; ++i) {
    const std::string client = "10." + std::to_string(i / 256) + "." + std::to_string(i % 256);
    EXPECT_EQ(checks_.Ask(Ip(client + ".1"), bot, loop_.now()), BotCheck::kUnknown);
  }
  EXPECT_EQ(checks_.count(BotCheck::kNone), 100U);
}

TEST_F(BotChecksTest, OneNetworkDoesNotTakeAllThePlaces) {
  for (std::uint32_t i = 0; i < BotChecks::kMostOfNetwork + 10; ++i) {
    Ask("192.0.2." + std::to_string(i));
  }
  EXPECT_EQ(checks_.count(BotCheck::kNone), 10U);
  Ask("198.51.100.1");
  EXPECT_EQ(checks_.count(BotCheck::kNone), 10U);
}

TEST_F(BotChecksTest, WhatIsUnderWayBeginsAgainAndLateAnswersAreNotHeard) {
  Ask("192.0.2.1");
  ASSERT_EQ(lookups_.size(), 1U);
  checks_.BeginAgain();
  ASSERT_EQ(lookups_.size(), 2U);
  Answer({BotCheck::kForged});
  EXPECT_EQ(Ask("192.0.2.1"), BotCheck::kUnknown);
  Answer({BotCheck::kYes, 1h});
  EXPECT_EQ(Ask("192.0.2.1"), BotCheck::kYes);
}

// All of its answers are in one place, which is full.
class FullBotChecksTest : public BotChecksTest {
 protected:
  FullBotChecksTest() : BotChecksTest(BotChecks::kWays) {}
};

TEST_F(FullBotChecksTest, ACrowdOfForgedOnesDoesNotPushOutARealOne) {
  Ask("192.0.2.1");
  Answer({BotCheck::kYes, 5min});  // what is known of forged ones holds for longer
  for (std::size_t i = 0; i < 2 * BotChecks::kWays; ++i) {
    Ask("10.0." + std::to_string(i) + ".1");
    Answer({BotCheck::kForged});
  }
  EXPECT_EQ(Ask("10.0.0.1"), BotCheck::kUnknown) << "the crowd has pushed out one of its own";
  EXPECT_EQ(Ask("192.0.2.1"), BotCheck::kYes);
}

TEST_F(FullBotChecksTest, ACrowdOfUnknownOnesPushesOutNobodyWhoIsKnown) {
  Ask("192.0.2.1");
  Answer({BotCheck::kYes, 5min});
  Ask("192.0.2.2");
  Answer({BotCheck::kForged});
  for (std::size_t i = 0; i < 2 * BotChecks::kWays; ++i) {
    Ask("10.0." + std::to_string(i) + ".1", kBot, 10min - 1s);
  }
  EXPECT_EQ(Ask("192.0.2.1"), BotCheck::kYes);
  EXPECT_EQ(Ask("192.0.2.2"), BotCheck::kForged);
}

// --- the questions

class BotLookupTest : public testing::Test {
 protected:
  BotLookupTest() : server_(loop_), resolver_(loop_, server_.address()) {}
  BotAnswer LookUp(const char* client) {
    std::optional<BotAnswer> answer;
    LookUpBot(resolver_, Ip(client), {"bot.test"}, [&](BotAnswer told) {
      answer = told;
      loop_.Stop();
    });
    loop_.Run();
    return answer.value();
  }

  Loop loop_;
  DnsServer server_;
  Resolver resolver_;
};

constexpr char kPointer[] = "7.2.0.192.in-addr.arpa.";

TEST_F(BotLookupTest, ANameBelowTheDomainThatHasTheAddressIsConfirmed) {
  server_.pointers = {{kPointer, "a.bot.test"}};
  server_.records = {{"a.bot.test.", {"192.0.2.7", 600}}};
  const BotAnswer answer = LookUp("192.0.2.7");
  EXPECT_EQ(answer.check, BotCheck::kYes);
  EXPECT_EQ(answer.ttl, 600s);
}

TEST_F(BotLookupTest, ConfirmsIPv6) {
  server_.pointers = {
      {"7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", "a.bot.test"}};
  server_.records = {{"a.bot.test.", {"2001:db8::7", 600}}, {"a.bot.test.", {"192.0.2.7", 600}}};
  EXPECT_EQ(LookUp("2001:db8::7").check, BotCheck::kYes);
}

TEST_F(BotLookupTest, WhatDnsDeniesIsForged) {
  EXPECT_EQ(LookUp("192.0.2.7").check, BotCheck::kForged) << "it has no name";
  server_.pointers = {{kPointer, "a.evilbot.test"}};
  server_.records = {{"a.evilbot.test.", {"192.0.2.7", 600}}};
  EXPECT_EQ(LookUp("192.0.2.7").check, BotCheck::kForged) << "another's name";
  server_.pointers = {{kPointer, "a.bot.test"}};
  EXPECT_EQ(LookUp("192.0.2.7").check, BotCheck::kForged) << "the name has no address";
  server_.records = {{"a.bot.test.", {"192.0.2.8", 600}}};
  EXPECT_EQ(LookUp("192.0.2.7").check, BotCheck::kForged) << "the name has another address";
}

TEST_F(BotLookupTest, OneOfSeveralNamesIsEnough) {
  server_.pointers = {{kPointer, "else.test"}, {kPointer, "b.bot.test"}, {kPointer, "a.bot.test"}};
  server_.records = {{"a.bot.test.", {"192.0.2.7", 600}}};
  EXPECT_EQ(LookUp("192.0.2.7").check, BotCheck::kYes);
}

TEST_F(BotLookupTest, AServerThatFailsLeavesItUnknown) {
  server_.pointers = {{kPointer, "a.bot.test"}};
  server_.fails = true;
  EXPECT_EQ(LookUp("192.0.2.7").check, BotCheck::kUnknown);
}

}  // namespace
}  // namespace spillway

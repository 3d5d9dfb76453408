// SPDX-License-Identifier: MIT
#include "spillway/challenge.h"

#include <gtest/gtest.h>

#include <string>

#include "rules/base64.h"
#include "tests/unit/test_mac.h"

namespace spillway {
namespace {

constexpr WallTime kNow(std::chrono::seconds(1'800'000'000));
constexpr std::array<std::uint8_t, 16> kSalt = {1, 2,  3,  4,  5,  6,  7,  8,
                                                9, 10, 11, 12, 13, 14, 15, 16};
const ClientMark kClient{11, 22};
const TestMac kMac(5);

const ChallengeDemand kCookie{ChallengeKind::kCookie, 14, 30min};
const ChallengeDemand kRefresh{ChallengeKind::kRefresh, 14, 30min};
ChallengeDemand Work(int bits) {
  return {ChallengeKind::kProofOfWork, bits, 30min};
}

std::string Issue(const ChallengeDemand& demand, std::string_view return_to = "/shop?x=1") {
  return IssueTicket(kMac, demand, kClient, return_to, kNow, kSalt);
}

// A number that solves a ticket (or, with `solves` false, that does not).
std::string Solve(const std::string& ticket, bool solves = true) {
  for (int nonce = 0;; ++nonce) {
    const std::string text = std::to_string(nonce);
    if (CheckSolution(kMac, ticket, text, kClient, kNow).has_value() == solves) return text;
  }
}

std::string Verdict(const Result<Solved>& result) {
  return result ? "solved" : result.error().message;
}

TEST(Challenge, IsSolvedByWorkAndGivesAPass) {
  const std::string ticket = Issue(Work(8));
  const auto solved = CheckSolution(kMac, ticket, Solve(ticket), kClient, kNow + 1s);
  ASSERT_TRUE(solved);
  EXPECT_EQ(solved->return_to, "/shop?x=1");
  EXPECT_EQ(solved->max_age, Duration(30min));
  EXPECT_TRUE(CheckPass(kMac, solved->cookie_value, Work(8), kClient, kNow + 2s));
  EXPECT_TRUE(CheckPass(kMac, solved->cookie_value, Work(8), kClient, kNow + 30min));
  EXPECT_FALSE(CheckPass(kMac, solved->cookie_value, Work(8), kClient, kNow + 30min + 1s));
}

TEST(Challenge, AcceptsOnlyADecimalNumberWithEnoughZeroBits) {
  const std::string ticket = Issue(Work(8));
  const std::string nonce = Solve(ticket);
  const auto check = [&](std::string_view text) {
    return Verdict(CheckSolution(kMac, ticket, text, kClient, kNow));
  };
  EXPECT_EQ(check(nonce), "solved");
  EXPECT_EQ(check(Solve(ticket, false)), "wrong nonce");
  EXPECT_EQ(check("0" + nonce), "wrong nonce");
  EXPECT_EQ(check("+" + nonce), "wrong nonce");
  EXPECT_EQ(check(nonce + " "), "wrong nonce");
  EXPECT_EQ(check("123456789012"), "wrong nonce");
  // Each bit halves the share of numbers that do.
  int good = 0;
  for (int i = 0; i < 64 * 256; ++i) good += check(std::to_string(i)) == "solved";
  EXPECT_NEAR(good, 64, 32);
}

TEST(Challenge, IsSolvedByWaitingOnlyLongEnough) {
  for (const ChallengeDemand& demand : {kRefresh, Work(14), Work(20)}) {
    const std::string ticket = Issue(demand);
    const Duration wait = RefreshWait(demand);
    EXPECT_GE(wait, Duration(3s));
    EXPECT_EQ(Verdict(CheckSolution(kMac, ticket, "", kClient, kNow + wait - 1ms)), "too early");
    EXPECT_EQ(Verdict(CheckSolution(kMac, ticket, "", kClient, kNow + wait)), "solved");
  }
  EXPECT_EQ(Verdict(CheckSolution(kMac, Issue(kCookie), "", kClient, kNow)), "solved");
  EXPECT_EQ(Verdict(CheckSolution(kMac, Issue(kRefresh), "1", kClient, kNow + 5s)), "wrong nonce");
  EXPECT_GT(RefreshWait(Work(20)), RefreshWait(Work(14)));
}

TEST(Challenge, ExpiresAndComesNotFromTheFuture) {
  const std::string ticket = Issue(kRefresh);
  EXPECT_EQ(Verdict(CheckSolution(kMac, ticket, "", kClient, kNow + 20min)), "solved");
  EXPECT_EQ(Verdict(CheckSolution(kMac, ticket, "", kClient, kNow + 20min + 1ms)), "expired");
  EXPECT_EQ(Verdict(CheckSolution(kMac, ticket, "", kClient, kNow - 2min)), "expired");
}

TEST(Challenge, RefusesEveryChangedCharacter) {
  const std::string ticket = Issue(kCookie);
  const auto solved = CheckSolution(kMac, ticket, "", kClient, kNow);
  ASSERT_TRUE(solved);
  for (std::size_t i = 0; i < ticket.size(); ++i) {
    for (char c : {'A', 'B', '.', '='}) {
      std::string changed = ticket;
      if (changed[i] == c) continue;
      changed[i] = c;
      ASSERT_EQ(Verdict(CheckSolution(kMac, changed, "", kClient, kNow)), "forged") << i;
    }
  }
  const std::string& pass = solved->cookie_value;
  for (std::size_t i = 0; i < pass.size(); ++i) {
    std::string changed = pass;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    ASSERT_FALSE(CheckPass(kMac, changed, kCookie, kClient, kNow)) << i;
  }
  for (const std::string& junk :
       {std::string(), std::string("."), std::string("a.b"), ticket + "A", ticket.substr(1),
        ticket.substr(0, ticket.find('.')), std::string(5000, 'A') + "." + std::string(43, 'A')}) {
    EXPECT_EQ(Verdict(CheckSolution(kMac, junk, "", kClient, kNow)), "forged") << junk;
    EXPECT_FALSE(CheckPass(kMac, junk, kCookie, kClient, kNow));
  }
  EXPECT_EQ(Verdict(CheckSolution(TestMac(6), ticket, "", kClient, kNow)), "forged");
  EXPECT_FALSE(CheckPass(TestMac(6), pass, kCookie, kClient, kNow));
}

TEST(Challenge, TakesNoTicketForAPassNorAPassForATicket) {
  const std::string ticket = Issue(kCookie);
  const auto solved = CheckSolution(kMac, ticket, "", kClient, kNow);
  ASSERT_TRUE(solved);
  EXPECT_FALSE(CheckPass(kMac, ticket, kCookie, kClient, kNow));
  EXPECT_EQ(Verdict(CheckSolution(kMac, solved->cookie_value, "", kClient, kNow)), "forged");
}

TEST(Challenge, IsBoundToTheBrowserOrTheNetwork) {
  const std::string ticket = Issue(kCookie);
  const ClientMark updated{99, 22}, roamed{11, 99}, stranger{77, 78};
  for (const ClientMark& mark : {kClient, updated, roamed}) {
    const auto solved = CheckSolution(kMac, ticket, "", mark, kNow);
    ASSERT_TRUE(solved);
    EXPECT_TRUE(CheckPass(kMac, solved->cookie_value, kCookie, mark, kNow));
    EXPECT_FALSE(CheckPass(kMac, solved->cookie_value, kCookie, stranger, kNow));
  }
  EXPECT_EQ(Verdict(CheckSolution(kMac, ticket, "", stranger, kNow)), "other client");
}

TEST(Challenge, LetsAStrongerPassMeetAWeakerDemandAndNotTheReverse) {
  const ChallengeDemand ladder[] = {kCookie, kRefresh, Work(8), Work(9), Work(10)};
  for (std::size_t shown = 0; shown < 5; ++shown) {
    const auto solved =
        CheckSolution(kMac, Issue(ladder[shown]), "", kClient, kNow + RefreshWait(ladder[shown]));
    ASSERT_TRUE(solved);
    for (std::size_t asked = 0; asked < 5; ++asked) {
      EXPECT_EQ(CheckPass(kMac, solved->cookie_value, ladder[asked], kClient, kNow),
                shown >= asked);
    }
  }
}

TEST(Challenge, ReturnsOnlyToThisSite) {
  const auto returns = [](std::string_view target) {
    return CheckSolution(kMac, Issue(kCookie, target), "", kClient, kNow)->return_to;
  };
  for (const char* good : {"/", "/a", "/a/b?c=d&e=%20#x", "/.//x", "/a//b", "/?u=http://x/"}) {
    EXPECT_EQ(returns(good), good);
  }
  EXPECT_EQ(returns("/" + std::string(2047, 'a')).size(), 2048U);
  for (const std::string& bad :
       {std::string(), std::string("//evil"), std::string("/\\evil"), std::string("http://evil/"),
        std::string("evil"), std::string("/a\r\nSet-Cookie: x"), std::string("/\t/evil"),
        std::string("/a b"), std::string("/\x7f"), std::string("/\xff"), std::string("*"),
        std::string("/a\0b", 4), "/" + std::string(2048, 'a')}) {
    EXPECT_EQ(returns(bad), "/") << bad;
  }
}

TEST(Challenge, KeepsWithinItsSizes) {
  EXPECT_LE(Issue(Work(30), "/" + std::string(2047, 'a')).size(), 3072U);
  const auto solved = CheckSolution(kMac, Issue(kCookie), "", kClient, kNow);
  EXPECT_LE(solved->cookie_value.size(), 100U);
}

TEST(ReadTicket, GivesBackWhatWasAsked) {
  const auto ticket =
      ReadTicket(kMac, Issue({ChallengeKind::kProofOfWork, 17, 45min}), kNow + 1min);
  ASSERT_TRUE(ticket);
  EXPECT_EQ(ticket->demand, (ChallengeDemand{ChallengeKind::kProofOfWork, 17, 45min}));
  EXPECT_EQ(ticket->issued, kNow);
  EXPECT_EQ(ticket->return_to, "/shop?x=1");
  EXPECT_EQ(ticket->mark.user_agent, kClient.user_agent);
  EXPECT_EQ(ticket->id, 0x0102030405060708U);
}

TEST(MarkClient, KnowsABrowserAcrossItsVersionsAndNetworksAcrossTheirHosts) {
  const auto mark = [](std::string_view agent, std::string_view address) {
    return MarkClient(agent, *IpAddress::Parse(address));
  };
  const char* chrome =
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like "
      "Gecko) Chrome/118.0.0.0 Safari/537.36";
  const char* newer =
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like "
      "Gecko) Chrome/119.0.0.0 Safari/537.36";
  const char* edge =
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like "
      "Gecko) Chrome/118.0.0.0 Safari/537.36 Edg/118.0.0.0";
  const char* phone =
      "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 "
      "(KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1";
  const char* mac =
      "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, "
      "like Gecko) Version/17.0 Safari/605.1.15";
  const char* firefox = "Mozilla/5.0 (Windows NT 10.0; rv:109.0) Gecko/20100101 Firefox/118.0";
  EXPECT_EQ(mark(chrome, "192.0.2.1").user_agent, mark(newer, "192.0.2.1").user_agent);
  EXPECT_EQ(mark("curl/8.1", "192.0.2.1").user_agent, mark("curl/8.2", "192.0.2.1").user_agent);
  const char* all[] = {chrome, edge, phone, mac, firefox, "curl/8.1", "", "Wget/1.21"};
  for (const char* a : all) {
    for (const char* b : all) {
      EXPECT_EQ(mark(a, "::1").user_agent == mark(b, "::1").user_agent, a == b) << a << b;
    }
  }
  EXPECT_EQ(mark("", "192.0.2.1").network, mark("", "192.0.2.200").network);
  EXPECT_NE(mark("", "192.0.2.1").network, mark("", "192.0.3.1").network);
  EXPECT_EQ(mark("", "2001:db8:1:2::3").network, mark("", "2001:db8:1:7::9").network);
  EXPECT_NE(mark("", "2001:db8:1::").network, mark("", "2001:db8:2::").network);
  EXPECT_EQ(mark("", "64:ff9b::192.0.2.9").network, mark("", "192.0.2.1").network);
}

TEST(EqualInConstantTime, ComparesAsTexts) {
  EXPECT_TRUE(EqualInConstantTime("", ""));
  EXPECT_TRUE(EqualInConstantTime("abc", "abc"));
  EXPECT_FALSE(EqualInConstantTime("abc", "abd"));
  EXPECT_FALSE(EqualInConstantTime("abc", "xbc"));
  EXPECT_FALSE(EqualInConstantTime("abc", "ab"));
  EXPECT_FALSE(EqualInConstantTime("", "a"));
}

TEST(Base64Url, HasOneTextForEachValue) {
  std::string bytes;
  for (int size = 0; size < 70; ++size) {
    const std::string text = EncodeBase64Url(bytes);
    EXPECT_EQ(DecodeBase64Url(text), bytes);
    bytes += static_cast<char>(size * 37);
  }
  EXPECT_EQ(EncodeBase64Url("\xfb\xff"), "-_8");
  for (const char* bad : {"A", "AB", "-_9", "AAA=", "AA+A", "AA/A", "A A", "AAAAA"}) {
    EXPECT_FALSE(DecodeBase64Url(bad)) << bad;
  }
}

}  // namespace
}  // namespace spillway

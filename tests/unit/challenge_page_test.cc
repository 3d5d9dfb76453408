// SPDX-License-Identifier: MIT
#include "proxy/challenge_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "proxy/challenge_gate.h"
#include "proxy/crypto.h"
#include "proxy/files.h"

namespace spillway {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr WallTime kNow(std::chrono::seconds(1'800'000'000));
const ChallengeDemand kCookie{ChallengeKind::kCookie, 14, 30min};
const ChallengeDemand kRefresh{ChallengeKind::kRefresh, 14, 30min};
ChallengeDemand Work(int bits) {
  return {ChallengeKind::kProofOfWork, bits, 30min};
}

std::string Header(const Answer& answer, std::string_view name) {
  std::vector<HeaderField> fields;
  std::string length;
  ListAnswerFields(answer, "", &fields, &length);
  std::string value;
  for (const HeaderField& field : fields) {
    if (field.name == name) value += field.value;
  }
  return value;
}

std::string Between(const std::string& text, const std::string& before, const std::string& after) {
  const std::size_t from = text.find(before);
  if (from == std::string::npos) return {};
  const std::size_t start = from + before.size();
  return text.substr(start, text.find(after, start) - start);
}

const char* kPhone =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) "
    "Version/17.0 Mobile/15E148 Safari/604.1";

// A browser in front of a gate: holds one cookie and does as it is told.
class ChallengeGateTest : public testing::Test {
 protected:
  ChallengeGateTest() {
    ChallengeConfig config;
    config.cookie = "pass";
    state_ = *MakeChallengeState(config, nullptr);
  }

  Request Make(std::string_view method, std::string_view target) {
    target_ = target;
    headers_ = {{"Host", "example.com"}, {"User-Agent", user_agent_}};
    cookie_header_ = "other=1; pass=" + cookie_;
    if (!cookie_.empty()) headers_.push_back({"Cookie", cookie_header_});
    Request request;
    request.method = method;
    request.target = target_;
    const std::size_t mark = target_.find('?');
    request.path = std::string_view(target_).substr(0, mark);
    if (mark != std::string::npos) request.query = std::string_view(target_).substr(mark + 1);
    request.scheme = scheme_;
    request.headers = headers_;
    request.client = *IpAddress::Parse(address_);
    return request;
  }

  Answer Ask(const ChallengeDemand& demand, std::string_view target = "/shop?x=1",
             std::string_view method = "GET") {
    return Keep(
        ChallengeGate(*state_, now_).Ask(Make(method, target), demand, {++salt_, 7}, Context()));
  }
  Answer Get(std::string_view target) {
    return Keep(ChallengeGate(*state_, now_).Solve(Make("GET", target), "", Context(), &passed_));
  }
  Answer Post(std::string_view form) {
    return Keep(ChallengeGate(*state_, now_)
                    .Solve(Make("POST", kChallengePath), form, Context(), &passed_));
  }
  bool HasPass(const ChallengeDemand& demand) {
    return ChallengeGate(*state_, now_).HasPass(Make("GET", "/shop"), demand);
  }
  AnswerContext Context() const { return {.audience = audience_, .request_id = "r-1"}; }

  Answer Keep(Answer answer) {
    const std::string set = Header(answer, "Set-Cookie");
    if (!set.empty() && keeps_cookies_) cookie_ = Between(set, "pass=", ";");
    return answer;
  }

  std::string TicketOf(const Answer& page) {
    return Between(page.body, "name=\"ticket\" value=\"", "\"");
  }
  std::string Solution(const std::string& ticket) {
    const ClientMark mark = MarkClient(user_agent_, *IpAddress::Parse(address_));
    for (int nonce = 0;; ++nonce) {
      if (CheckSolution(*state_->mac, ticket, std::to_string(nonce), mark, now_)) {
        return std::to_string(nonce);
      }
    }
  }

  std::shared_ptr<const ChallengeState> state_;
  WallTime now_ = kNow;
  Audience audience_ = Audience::kDocument;
  std::string user_agent_ = kPhone, address_ = "192.0.2.1", scheme_ = "http", cookie_;
  bool keeps_cookies_ = true, passed_ = false;
  std::uint64_t salt_ = 0;

 private:
  std::string target_, cookie_header_;
  std::vector<HeaderField> headers_;
};

TEST_F(ChallengeGateTest, LetsABrowserWorkItsWayBackToWhereItWanted) {
  EXPECT_FALSE(HasPass(Work(6)));
  const Answer page = Ask(Work(6));
  EXPECT_EQ(page.status, 403);
  EXPECT_EQ(cookie_, "");
  const std::string ticket = TicketOf(page);
  const Answer back = Post("ticket=" + ticket + "&nonce=" + Solution(ticket));
  EXPECT_EQ(back.status, 303);
  EXPECT_TRUE(passed_);
  EXPECT_EQ(Header(back, "Location"), "/shop?x=1");
  EXPECT_EQ(Header(back, "Cache-Control"), "no-store");
  EXPECT_THAT(Header(back, "Set-Cookie"),
              HasSubstr("; Max-Age=1800; Path=/; HttpOnly; SameSite=Lax"));
  EXPECT_THAT(Header(back, "Set-Cookie"), Not(HasSubstr("Secure")));
  EXPECT_TRUE(HasPass(Work(6)));
  EXPECT_TRUE(HasPass(kRefresh));
  EXPECT_FALSE(HasPass(Work(7)));
  now_ += 31min;
  EXPECT_FALSE(HasPass(Work(6)));
}

TEST_F(ChallengeGateTest, MarksTheCookieSecureOnHttps) {
  scheme_ = "https";
  const std::string ticket = TicketOf(Ask(Work(4)));
  EXPECT_THAT(Header(Post("nonce=" + Solution(ticket) + "&ticket=" + ticket), "Set-Cookie"),
              HasSubstr("; Secure"));
}

TEST_F(ChallengeGateTest, TakesASolutionInTheQueryToo) {
  const std::string ticket = TicketOf(Ask(Work(4)));
  EXPECT_EQ(Get("/.spillway/challenge?ticket=" + ticket + "&nonce=" + Solution(ticket)).status,
            303);
  EXPECT_TRUE(HasPass(Work(4)));
}

TEST_F(ChallengeGateTest, LetsABrowserWithoutScriptsWait) {
  for (const ChallengeDemand& demand : {Work(14), kRefresh}) {
    cookie_.clear();
    const Answer page = Ask(demand);
    std::string refresh = Between(page.body, "http-equiv=\"refresh\" content=\"", "\"");
    const int wait = std::atoi(refresh.c_str());
    std::string url = Between(refresh + "\"", ";url=", "\"");
    url.replace(url.find("&amp;"), 5, "&");
    now_ += 1s;
    EXPECT_EQ(Get(url).status, 403);  // too early: the same page again
    EXPECT_FALSE(passed_);
    now_ += std::chrono::seconds(wait - 1);
    EXPECT_EQ(Header(Get(url), "Location"), "/shop?x=1");
    EXPECT_TRUE(HasPass(demand));
  }
}

TEST_F(ChallengeGateTest, ChecksByOneRedirectThatCookiesComeBack) {
  const Answer asked = Ask(kCookie);
  EXPECT_EQ(asked.status, 307);
  EXPECT_TRUE(HasPass(kCookie));
  EXPECT_FALSE(HasPass(kRefresh));
  const Answer back = Get(Header(asked, "Location"));
  EXPECT_EQ(back.status, 303);
  EXPECT_EQ(Header(back, "Location"), "/shop?x=1");
  EXPECT_TRUE(passed_);

  cookie_.clear();
  keeps_cookies_ = false;
  const Answer told = Get(Header(Ask(kCookie), "Location"));
  EXPECT_EQ(told.status, 403);
  EXPECT_FALSE(passed_);
  EXPECT_THAT(told.body, HasSubstr("allow cookies"));
  EXPECT_THAT(told.body, HasSubstr("<a href=\"/shop?x=1\">"));
}

TEST_F(ChallengeGateTest, AsksAgainWhoIsAnotherClientWithACopiedCookie) {
  const std::string ticket = TicketOf(Ask(Work(4)));
  Post("ticket=" + ticket + "&nonce=" + Solution(ticket));
  user_agent_ = "curl/8.0";
  EXPECT_TRUE(HasPass(Work(4)));
  address_ = "198.51.100.1";
  EXPECT_FALSE(HasPass(Work(4)));
  user_agent_ = kPhone;
  EXPECT_TRUE(HasPass(Work(4)));
}

TEST_F(ChallengeGateTest, SpendsATicketOnceForEachClient) {
  const std::string ticket = TicketOf(Ask(Work(4)));
  const std::string form = "ticket=" + ticket + "&nonce=" + Solution(ticket);
  EXPECT_EQ(Post(form).status, 303);
  EXPECT_EQ(Post(form).status, 303);  // a double click
  address_ = "198.51.100.1";  // the same browser family elsewhere: a crowd with one solution
  EXPECT_EQ(Post(form).status, 403);
  EXPECT_FALSE(passed_);
}

TEST_F(ChallengeGateTest, RefusesWhatItDidNotAskFor) {
  const std::string ticket = TicketOf(Ask(Work(20)));
  EXPECT_EQ(Post("ticket=" + ticket + "&nonce=1").status, 403);
  EXPECT_EQ(Post("ticket=forged.x&nonce=1").status, 403);
  EXPECT_EQ(Post("nonce=1").status, 400);
  EXPECT_EQ(Post("").status, 400);
  EXPECT_EQ(Post(std::string(9000, 'a')).status, 413);
  EXPECT_EQ(Get("/.spillway/other").status, 404);
  EXPECT_EQ(ChallengeGate(*state_, now_)
                .Solve(Make("PUT", kChallengePath), "", Context(), &passed_)
                .status,
            405);
  EXPECT_FALSE(passed_);
  EXPECT_EQ(cookie_, "");
  now_ += 21min;
  EXPECT_THAT(Post("ticket=" + ticket + "&nonce=1").body, HasSubstr("open for too long"));
}

TEST_F(ChallengeGateTest, AnswersScriptsAndClientsWithAProblemAndAUrlThatAPersonMayOpen) {
  struct Row {
    Audience audience;
    const char* method;
  };
  for (const Row& row : {Row{Audience::kFetch, "GET"}, Row{Audience::kClient, "GET"},
                         Row{Audience::kDocument, "POST"}, Row{Audience::kClient, "DELETE"}}) {
    for (const ChallengeDemand& demand : {kCookie, kRefresh, Work(4)}) {
      audience_ = row.audience;
      const Answer answer = Ask(demand, "/api/cart", row.method);
      EXPECT_EQ(answer.status, 403);
      EXPECT_EQ(answer.content_type, "application/problem+json");
      EXPECT_EQ(Header(answer, "Spillway-Mitigated"), "challenge");
      EXPECT_EQ(Header(answer, "Set-Cookie"), "");
      EXPECT_THAT(answer.body, StartsWith("{\"type\":"));
      audience_ = Audience::kDocument;
      const Answer opened = Get(Header(answer, "Spillway-Challenge-Url"));
      if (demand.kind == ChallengeKind::kCookie) {
        EXPECT_EQ(Header(opened, "Location"), "/");
      } else {
        EXPECT_NE(TicketOf(opened), "");
      }
    }
  }
}

TEST_F(ChallengeGateTest, NeverClearsACookieThatItFindsWanting) {
  cookie_ = "stale";
  const Answer page = Ask(Work(14));
  EXPECT_EQ(Header(page, "Set-Cookie"), "");
  EXPECT_EQ(Header(Post("ticket=forged.x&nonce=1"), "Set-Cookie"), "");
}

TEST_F(ChallengeGateTest, KeepsAMadeKeyOverReloadsAndTakesANewOneFromAFile) {
  const ChallengeConfig made;
  const auto first = *MakeChallengeState(made, nullptr);
  EXPECT_TRUE(first->made_key());
  const auto second = *MakeChallengeState(made, first.get());
  EXPECT_EQ(second->mac, first->mac);
  EXPECT_EQ(second->spent, first->spent);
  EXPECT_NE((*MakeChallengeState(made, nullptr))->mac->HmacSha256("x"),
            first->mac->HmacSha256("x"));

  const std::string path = testing::TempDir() + "spillway-challenge-key";
  std::ofstream(path) << std::string(32, 'k');
  ChallengeConfig filed;
  filed.key_file = path;
  const auto third = *MakeChallengeState(filed, second.get());
  EXPECT_FALSE(third->made_key());
  EXPECT_EQ(third->mac->HmacSha256("x"), OpenSslMac(std::string(32, 'k')).HmacSha256("x"));
  std::ofstream(path) << "short";
  EXPECT_THAT(MakeChallengeState(filed, nullptr).error().message,
              HasSubstr("5 bytes; expected 32"));
  std::remove(path.c_str());
  EXPECT_THAT(MakeChallengeState(filed, nullptr).error().message, HasSubstr("No such file"));
}

TEST(SpentTickets, ForgetsTheOldestFirst) {
  SpentTickets spent;
  const ClientMark a{1, 2}, b{3, 4};
  // One set: the low bits are the same.
  const auto id = [](std::uint64_t n) { return (n + 1) << 32 | 5; };
  for (std::uint64_t n = 0; n < 8; ++n) EXPECT_TRUE(spent.Spend(id(n), a, kNow + n * 1min));
  for (std::uint64_t n = 0; n < 8; ++n) EXPECT_FALSE(spent.Spend(id(n), b, kNow + 9min));
  EXPECT_TRUE(spent.Spend(id(8), a, kNow + 9min));
  EXPECT_FALSE(spent.Spend(id(1), b, kNow + 9min));
  EXPECT_TRUE(spent.Spend(id(0), b, kNow + 9min));  // forgotten
}

TEST_F(ChallengeGateTest, KeepsItsPagesSmallSelfContainedAndUnstored) {
  for (const ChallengeDemand& demand : {kRefresh, Work(14)}) {
    const Answer page = Ask(demand, "/" + std::string(2047, 'a'));
    EXPECT_LT(page.body.size(), 11'950U);  // room for longer request ids
    EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
    EXPECT_EQ(Header(page, "Cache-Control"), "no-store");
    EXPECT_EQ(Header(page, "X-Robots-Tag"), "noindex");
    EXPECT_EQ(Header(page, "Referrer-Policy"), "same-origin");
    EXPECT_EQ(Header(page, "Spillway-Mitigated"), "challenge");
    EXPECT_THAT(page.body, Not(HasSubstr("{{")));
    EXPECT_THAT(page.body, Not(HasSubstr("http://")));
    EXPECT_THAT(page.body, Not(HasSubstr("https://")));
    EXPECT_THAT(page.body, Not(HasSubstr("src=")));
    EXPECT_THAT(page.body, HasSubstr("request r-1"));
    const std::string policy = Header(page, "Content-Security-Policy");
    EXPECT_THAT(policy, StartsWith("default-src 'none'"));
    EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
    const std::string nonce = Between(page.body, "<style nonce=\"", "\"");
    EXPECT_EQ(nonce.size(), 22U);
    EXPECT_THAT(policy, HasSubstr("style-src 'nonce-" + nonce + "'"));
    EXPECT_EQ(page.body.find("<script") != std::string::npos,
              demand.kind != ChallengeKind::kRefresh);
    EXPECT_EQ(page.body.find("<script>"), std::string::npos);
  }
}

TEST_F(ChallengeGateTest, EscapesWhatItDidNotMake) {
  const ChallengeGate gate(*state_, now_);
  const AnswerContext context{.audience = Audience::kDocument, .request_id = "<b>\"&"};
  const Answer page = gate.Ask(Make("GET", "/"), Work(14), {1, 2}, context);
  EXPECT_THAT(page.body, HasSubstr("request &lt;b&gt;&quot;&amp;"));
  const Answer refused = ChallengeRefused("spent", "/\"><script>", context);
  EXPECT_THAT(refused.body, HasSubstr("<a href=\"/&quot;&gt;&lt;script&gt;\">"));
}

// Runs the page's own solver, as a browser's worker would, where there is a node to run it.
std::string SolveWithNode(const std::string& page) {
  const std::string path = testing::TempDir() + "spillway-challenge-page.html";
  std::ofstream(path) << page;
  const std::string command =
      "node -e '"
      "const page = require(\"fs\").readFileSync(process.argv[1], \"utf8\");"
      "const ticket = /name=\"ticket\" value=\"([^\"]*)\"/.exec(page)[1];"
      "const bits = +/data-bits=\"(\\d+)\"/.exec(page)[1];"
      "const solver = /id=\"solver\">([^]*?)<.script>/.exec(page)[1];"
      "const worker = { importScripts() {}, postMessage(m) { if (m[1]) console.log(m[1]); } };"
      "require(\"vm\").runInNewContext(solver, worker);"
      "worker.onmessage({ data: [ticket.slice(ticket.indexOf(\".\") + 1) + \".\", bits] });"
      "' " +
      path + " 2>&1";
  std::string out;
  if (FILE* pipe = popen(command.c_str(), "r")) {
    char chunk[256];
    while (std::size_t size = std::fread(chunk, 1, sizeof chunk, pipe)) out.append(chunk, size);
    pclose(pipe);
  }
  std::remove(path.c_str());
  return out.substr(0, out.find('\n'));
}

TEST_F(ChallengeGateTest, IsSolvedByThePagesOwnScript) {
  if (std::system("node --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "there is no node here";
  for (int bits : {1, 4, 8, 14, 18}) {
    const Answer page = Ask(Work(bits));
    const std::string nonce = SolveWithNode(page.body);
    ASSERT_EQ(nonce.size(), 11U) << nonce;
    EXPECT_EQ(Post("ticket=" + TicketOf(page) + "&nonce=" + nonce).status, 303) << bits;
    EXPECT_TRUE(HasPass(Work(bits)));
  }
}

TEST(OpenSslMac, ComputesTheKnownValues) {
  const auto hex = [](const Digest& digest) {
    std::string text;
    char pair[3];
    for (std::uint8_t byte : digest) {
      std::snprintf(pair, sizeof pair, "%02x", byte);
      text += pair;
    }
    return text;
  };
  // FIPS 180-2, B.1; RFC 4231, test case 2.
  EXPECT_EQ(hex(OpenSslMac("k").Sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(OpenSslMac("Jefe").HmacSha256("what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_NE(RandomBytes(32), RandomBytes(32));
  EXPECT_EQ(RandomBytes(32).size(), 32U);
}

}  // namespace
}  // namespace spillway

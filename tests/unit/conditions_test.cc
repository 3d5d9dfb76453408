// SPDX-License-Identifier: MIT
// Each condition with each operator it takes, judged on one request; and what is no condition.
#include "rules/conditions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "rule_book.h"

namespace spillway {
namespace {

using ::testing::HasSubstr;

// A request with something for every condition.
Sample Visit() {
  return {.method = "POST",
          .target = "/shop/./Order%20form;v=2?q=caf%C3%A9+au%26lait&q=two&empty=&flag&n%61me=x",
          .host = "www.example.com",
          .scheme = "https",
          .protocol = "HTTP/1.1",
          .client = "192.0.2.7",
          .headers = {{"User-Agent", "Mozilla/5.0 (iPhone; CPU)"},
                      {"Referer", "https://News.Example.com:8443/a?b"},
                      {"Accept-Language", "de"},
                      {"accept-language", "EN"},
                      {"X-Empty", ""},
                      {"Origin", "https://user@app.example.org"},
                      {"X-Forwarded-Host", "Edge.example.net:81"},
                      {"Cookie", "sid=abc; theme=\"dark\"; sid=Def"},
                      {"Cookie", "other=1;bare; eq=a=b"}}};
}

RuleScope Lists() {
  RuleScope scope;
  scope.lists["office"] = {{"192.0.2.0/24", "2001:db8::/32"},
                           {"lists/office.txt:1", "lists/office.txt:2"}};
  scope.lists["phones"] = {{"android", "iphone"}, {}};
  scope.lists["none"] = {};
  scope.lists["wrong"] = {{"(a", "10.0.0.1/8"}, {"lists/wrong.txt:3", "lists/wrong.txt:9"}};
  return scope;
}

bool Matches(const std::string& match, Sample sample) {
  RuleBook book("[{ action: deny, match: " + match + " }]", Lists());
  EXPECT_TRUE(book.diagnostics.empty()) << match << "\n" << Format(book.diagnostics);
  return book.Action(std::move(sample)) == "deny";
}

TEST(Conditions, HoldOrNotByTheirOperators) {
  const struct {
    const char* match;
    bool holds;
  } kTable[] = {
      {"{ method: POST }", true},
      {"{ method: [GET, HEAD] }", false},
      {"{ method: [GET, POST] }", true},
      {"{ method: { prefix: PO } }", true},
      {"{ method: { prefix: po } }", false},
      {"{ method: { not: GET } }", true},
      {"{ method: { not: [GET, POST] } }", false},
      {"{ method: { regex: '^P(OS|U)T$' } }", true},

      {"{ host: www.example.com }", true},
      {"{ host: WWW.Example.COM }", true},
      {"{ host: example.com }", false},
      {"{ host: '*.example.com' }", true},
      {"{ host: '*.com' }", true},
      {"{ host: '*.www.example.com' }", false},
      {"{ host: '*.ample.com' }", false},
      {"{ host: { prefix: WWW. } }", true},
      {"{ host: { suffix: .example.com } }", true},
      {"{ host: { contains: xampl } }", true},
      {"{ host: { regex: '^w{3}\\.' } }", true},
      {"{ host: { host: [a.example, '*.example.com'] } }", true},
      {"{ host: { glob: 'w*.com' } }", true},
      {"{ host: { present: true } }", true},
      {"{ host: { absent: true } }", false},

      {"{ path: '/shop/Order form;v=2' }", true},
      {"{ path: '/shop/order form;v=2' }", false},
      {"{ path: [/a, '/shop/Order form;v=2'] }", true},
      {"{ path: { prefix: /shop/ } }", true},
      {"{ path: { prefix: [/a, /shop] } }", true},
      {"{ path: { prefix: /Shop } }", false},
      {"{ path: { suffix: [.php, 'v=2'] } }", true},
      {"{ path: { contains: Order } }", true},
      {"{ path: { contains: order } }", false},
      {"{ path: { regex: 'form' } }", true},
      {"{ path: { regex: '^form' } }", false},
      {"{ path: { regex: '(?i)^/SHOP/' } }", true},
      {"{ path: { glob: '/shop/*' } }", true},
      {"{ path: { glob: '/*' } }", false},
      {"{ path: { glob: '/**' } }", true},
      {"{ path: { glob: '/shop/Order?form;v=?' } }", true},
      {"{ path: { prefix: /shop, suffix: v=2 } }", true},
      {"{ path: { prefix: /shop, suffix: v=3 } }", false},
      {"{ path: { prefix: /shop, not: { suffix: .css } } }", true},
      {"{ path: { not: { prefix: /shop } } }", false},
      {"{ path: { not: { not: { prefix: /shop } } } }", true},

      {"{ query.q: two }", true},
      {"{ query.q: 'café au&lait' }", true},
      {"{ query.q: Two }", false},
      {"{ query.q: { prefix: caf, suffix: wo } }", true},  // each by another value
      {"{ query.q: { contains: au } }", true},
      {"{ query.name: x }", true},
      {"{ query.empty: '' }", true},
      {"{ query.flag: '' }", true},
      {"{ query.flag: { present: true } }", true},
      {"{ query.fla: { present: true } }", false},
      {"{ query.fla: { absent: true } }", true},
      {"{ query.fla: { absent: false } }", false},
      {"{ query.fla: { not: x } }", true},

      {"{ header.accept-language: de }", true},
      {"{ header.Accept-Language: EN }", true},
      {"{ header.accept-language: en }", false},
      {"{ header.accept-language: { not: de } }", false},  // no line may be it
      {"{ header.accept-language: { regex: '^(de|fr)$' } }", true},
      {"{ header.accept-language: { contains: [x, N] } }", true},
      {"{ header.x-empty: { present: true } }", true},
      {"{ header.x-empty: '' }", true},
      {"{ header.x-none: { absent: true } }", true},
      {"{ header.x-none: { present: false } }", true},
      {"{ header.x-none: '' }", false},
      {"{ header.x-none: { not: a } }", true},
      {"{ header.origin: { host: app.example.org } }", true},
      {"{ header.x-forwarded-host: { host: '*.example.net' } }", true},
      {"{ header.x-empty: { host: '*.example.net' } }", false},

      {"{ cookie.sid: abc }", true},
      {"{ cookie.sid: Def }", true},
      {"{ cookie.sid: def }", false},
      {"{ cookie.SID: abc }", false},
      {"{ cookie.theme: '\"dark\"' }", true},
      {"{ cookie.other: 1 }", true},
      {"{ cookie.eq: a=b }", true},
      {"{ cookie.bare: { present: true } }", false},
      {"{ cookie.id: { absent: true } }", true},

      {"{ user_agent: { contains: iphone } }", true},
      {"{ user_agent: { contains: $phones } }", true},
      {"{ user_agent: { contains: [bot, $phones] } }", true},
      {"{ user_agent: { contains: $none } }", false},
      {"{ user_agent: { contains: $$phones } }", false},
      {"{ user_agent: { prefix: mozilla/ } }", true},
      {"{ user_agent: { suffix: cpu) } }", true},
      {"{ user_agent: { regex: '\\b(iphone|Android.+Mobile)\\b' } }", true},
      {"{ user_agent: 'mozilla/5.0 (iphone; cpu)' }", true},
      {"{ user_agent: { glob: 'mozilla**' } }", true},
      {"{ user_agent: { absent: true } }", false},

      {"{ referer: { host: '*.example.com' } }", true},
      {"{ referer: { host: news.example.com } }", true},
      {"{ referer: { host: example.com } }", false},
      {"{ referer: { host: '*.news.example.com' } }", false},
      {"{ referer: { prefix: 'https://news.' } }", true},
      {"{ referer: { contains: ':8443/A' } }", true},

      {"{ header_count: 9 }", true},
      {"{ header_count: [7, 8] }", false},
      {"{ header_count: { above: 8, below: 10 } }", true},
      {"{ header_count: { above: 9 } }", false},
      {"{ header_count: { below: 9 } }", false},
      {"{ header_count: { not: { above: 9 } } }", true},

      {"{ client.address: 192.0.2.7 }", true},
      {"{ client.address: 192.0.2.0/24 }", true},
      {"{ client.address: [10.0.0.0/8, 192.0.2.8] }", false},
      {"{ client.address: $office }", true},
      {"{ client.address: [10.0.0.1, $office] }", true},
      {"{ client.address: { not: $office } }", false},
      {"{ client.address: { not: [10.0.0.0/8] } }", true},
      {"{ client.address: '::/0' }", true},

      {"{ scheme: https }", true},
      {"{ scheme: http }", false},
      {"{ protocol: HTTP/1.1 }", true},
      {"{ protocol: [HTTP/1.0] }", false},

      {"{ method: POST, path: { prefix: /shop } }", true},
      {"{ method: POST, path: { prefix: /x } }", false},
      {"{ all: [{ method: POST }, { scheme: https }] }", true},
      {"{ all: [{ method: POST }, { scheme: http }] }", false},
      {"{ any: [{ method: GET }, { scheme: https }] }", true},
      {"{ any: [{ method: GET }, { scheme: http }] }", false},
      {"{ not: { method: GET } }", true},
      {"{ not: { method: POST, scheme: http } }", true},
      {"{ not: { method: POST, scheme: https } }", false},
      {"{ method: POST, any: [{ path: /a }, { not: { path: /b } }], not: { host: h } }", true},
  };
  for (const auto& row : kTable) EXPECT_EQ(Matches(row.match, Visit()), row.holds) << row.match;
}

TEST(Conditions, HoldForAnAbsentHost) {
  Sample bare;
  bare.host = "";
  bare.protocol = "HTTP/1.0";
  EXPECT_TRUE(Matches("{ host: { absent: true } }", bare));
  EXPECT_TRUE(Matches("{ host: { not: example.com } }", bare));
  EXPECT_FALSE(Matches("{ host: { contains: e } }", bare));
}

TEST(Conditions, MatchIPv6HostsAndAddresses) {
  Sample v6;
  v6.host = "2001:db8::1";
  v6.client = "2001:db8:1::5";
  EXPECT_TRUE(Matches("{ host: '[2001:DB8:0::1]' }", v6));
  EXPECT_TRUE(Matches("{ host: '2001:db8::1' }", v6));
  EXPECT_TRUE(Matches("{ client.address: $office }", v6));
}

TEST(Conditions, AreNotWalkedAroundBySpelling) {
  for (const char* target :
       {"/admin", "//admin", "/%61dmin", "/x/../admin", "/x/%2e%2e/admin", "\\admin", "/./admin",
        "/x%2f..%2fadmin", "http://h/admin", "/admin?/x"}) {
    Sample sample;
    sample.target = target;
    if (target[0] == '\\') sample.target = "/x/..\\admin";
    EXPECT_TRUE(Matches("{ path: /admin }", sample)) << target;
    EXPECT_TRUE(Matches("{ path: { prefix: /adm } }", sample)) << target;
  }
}

TEST(Conditions, MatchAllOfAVeryLongValue) {
  Sample sample;
  sample.headers = {{"User-Agent", std::string(30000, 'x') + "Evil"}};
  EXPECT_TRUE(Matches("{ user_agent: { contains: evil } }", sample));
  EXPECT_TRUE(Matches("{ user_agent: { regex: 'evil$' } }", sample));
  EXPECT_TRUE(Matches("{ user_agent: { suffix: evil } }", sample));
}

TEST(Conditions, NestToSixteenLevels) {
  const auto nested = [](int levels) {
    std::string match = "{ path: / }";
    for (int i = 0; i < levels; ++i)
      match = i % 2 == 0 ? "{ not: " + match + " }" : "{ all: [" + match + "] }";
    return "[{ action: deny, match: " + match + " }]";
  };
  EXPECT_EQ(Complaints(nested(16)), "");
  EXPECT_THAT(Complaints(nested(17)), HasSubstr("nest deeper than 16 levels"));
}

TEST(Conditions, TeachWhatIsLegal) {
  const std::pair<const char*, const char*> kTable[] = {
      {"{ method: GTE }", "unknown method 'GTE'; expected one of GET, HEAD, POST"},
      {"{ method: GTE }", "did you mean 'GET'?"},
      {"{ metod: GET }",
       "unknown condition 'metod'; expected one of method, host, path, query.NAME"},
      {"{ metod: GET }", "did you mean 'method'?"},
      {"{ scheme: ftp }", "expected one of http, https"},
      {"{ protocol: HTTP/3 }", "expected one of HTTP/1.0, HTTP/1.1"},
      {"{ path: admin }", "'admin' does not begin with '/'"},
      {"{ path: //a }", "write '/a'"},
      {"{ path: /a%20b }", "write '/a b'"},
      {"{ path: { prefix: /a/../b } }", "write '/b'"},
      {"{ path: { begins: /a } }",
       "unknown operator 'begins'; expected one of prefix, suffix, contains, regex, glob, not"},
      {"{ path: { present: true } }", "unknown operator 'present'"},
      {"{ method: { host: a } }", "unknown operator 'host'"},
      {"{ path: {} }", "an empty map asks nothing"},
      {"{ path: [] }", "the list is empty"},
      {"{ path: [[/a]] }", "expected a value"},
      {"{ path: }", "expected a value"},
      {"{ path: { contains: '' } }", "an empty text is found in everything"},
      {"{ path: { regex: '(a' } }", "'(a' is not a regular expression: missing ): (a"},
      {"{ user_agent: { regex: $wrong } }",
       "$wrong (lists/wrong.txt:3): '(a' is not a regular expression"},
      {"{ user_agent: $phnes }",
       "unknown list '$phnes'; expected one of $none, $office, $phones, $wrong (did you mean "
       "'$phones'?)"},
      {"{ client.address: office }",
       "'office' is not a range of addresses; expected an address or a range such as"},
      {"{ client.address: $wrong }", "$wrong (lists/wrong.txt:9): '10.0.0.1/8' is not a range"},
      {"{ client.address: { prefix: 10. } }", "expected ranges, $name or { not: ... }"},
      {"{ host: 'a b' }", "'a b' is not a host"},
      {"{ host: '*' }", "'*' is not a host"},
      {"{ host: 'a.*' }", "'a.*' is not a host"},
      {"{ host: 'example.com:80' }", "has a port"},
      {"{ referer: { host: 'https://a/' } }", "is not a host"},
      {"{ header.: a }", "expected the name of a header field"},
      {"{ 'header.a b': a }", "expected the name of a header field"},
      {"{ cookie.: a }", "expected the name of a cookie"},
      {"{ query.: a }", "expected the name of a query parameter"},
      {"{ header.a: { present: maybe } }", "maybe"},
      {"{}", "an empty map asks nothing; leave match out"},
      {"[{ path: /a }]", "expected a map of conditions such as { path: /admin }, found a list"},
      {"{ all: { path: /a } }", "expected a list of conditions"},
      {"{ any: [] }", "expected a list of conditions"},
      {"{ not: [{ path: /a }] }",
       "expected a map of conditions such as { path: /admin }, found a list"},
  };
  for (const auto& [match, message] : kTable) {
    EXPECT_THAT(Complaints(std::string("[{ action: deny, match: ") + match + " }]", Lists()),
                HasSubstr(message))
        << match;
  }
}

TEST(Conditions, ReportEverythingThatIsWrongAtOnce) {
  const std::string all = Complaints(
      "[{ action: deny, match: { method: GTE, path: a, any: [{ hots: h }, { scheme: x }] } }]");
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 4) << all;
  EXPECT_THAT(all, HasSubstr("match.any[0].hots: "));
}

TEST(Conditions, HaveARowForEachKindAndALineInTheGuide) {
  std::vector<Kind> kinds;
  AppendRuleKinds(&kinds);
  std::ifstream guide(std::filesystem::path(__FILE__).parent_path() / "../../rules/README.md");
  const std::string text((std::istreambuf_iterator<char>(guide)), std::istreambuf_iterator<char>());
  ASSERT_FALSE(text.empty());
  const std::string limit_keys = text.substr(text.find("\n## Limit keys"));
  for (const Kind& kind : kinds) {
    EXPECT_FALSE(kind.text.empty()) << kind.name;
    const bool inner = kind.group == "action" || kind.group == "condition_key";
    const std::size_t dot = inner ? kind.name.find('.') : std::string::npos;
    const std::string row = "\n| `" + kind.name.substr(0, dot) + "` |";
    if (kind.group == "limit_key") {
      EXPECT_THAT(limit_keys, HasSubstr(kind.name));
    } else if (dot == std::string::npos) {
      EXPECT_THAT(text, HasSubstr(row)) << kind.group;
    } else {  // what an action takes stands in its row
      const std::size_t begin = text.find(row) + 1;
      const std::string line = text.substr(begin, text.find('\n', begin) - begin);
      EXPECT_THAT(line, HasSubstr(kind.name.substr(dot + 1)));
    }
  }
}

}  // namespace
}  // namespace spillway

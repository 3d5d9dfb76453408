// SPDX-License-Identifier: MIT
// What one Decide costs for a browser's request that no rule matches: with few rules and many, and
// with thousands of user-agent patterns, over 1,000 user agents.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rules/rule_set.h"
#include "rules/yaml.h"
#include "spillway/policy.h"

namespace spillway {
namespace {

struct NoPass : PassChecker {
  bool HasPass(const Request&, const ChallengeDemand&) const override { return false; }
};

std::shared_ptr<const Policy> Compile(const std::string& rules) {
  Diagnostics diagnostics;
  yaml::Document document("bench.yaml", rules, &diagnostics);
  RuleScope scope;
  scope.pools = {"app"};
  scope.toggles = {"surge"};
  RuleSetBuilder builder(std::move(scope));
  for (const yaml::Node& rule : document.root().Items()) builder.Add(rule);
  std::string error;
  return diagnostics.empty() ? builder.Build(&error) : nullptr;
}

// A request like a browser's, with a user agent of its own for each number.
struct Visitor {
  explicit Visitor(std::uint64_t number)
      : agent("Mozilla/5.0 (Linux; Android " + std::to_string(number % 15) + "; SM-" +
              std::to_string(number * 7919 % 99991) +
              ") AppleWebKit/537.36 (KHTML, like Gecko) Chrome/" + std::to_string(number % 131) +
              ".0.0.0 Mobile Safari/537.36") {
    fields = {{"Host", "www.example.com"},
              {"Connection", "keep-alive"},
              {"Cache-Control", "max-age=0"},
              {"sec-ch-ua", "\"Chromium\";v=\"131\", \"Not_A Brand\";v=\"24\""},
              {"sec-ch-ua-mobile", "?1"},
              {"sec-ch-ua-platform", "\"Android\""},
              {"Upgrade-Insecure-Requests", "1"},
              {"User-Agent", agent},
              {"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
              {"Sec-Fetch-Site", "same-origin"},
              {"Sec-Fetch-Mode", "navigate"},
              {"Sec-Fetch-Dest", "document"},
              {"Referer", "https://www.example.com/articles/16"},
              {"Accept-Encoding", "gzip, deflate, br"},
              {"Accept-Language", "en-US,en;q=0.5"},
              {"Cookie", "sid=0123456789abcdef; theme=dark"}};
    request.method = "GET";
    request.target = "/articles/17?page=2";
    request.path = "/articles/17";
    request.query = "page=2";
    request.host = "www.example.com";
    request.scheme = "https";
    request.protocol = "HTTP/1.1";
    request.headers = fields;
    request.client = IpAddress::FromV4(0xc0000200 + static_cast<std::uint32_t>(number & 0xff));
  }
  std::string agent;
  std::vector<HeaderField> fields;
  Request request;
};

enum Memory : std::int64_t { kWithout, kWith };  // of what holds for texts seen before

void Judge(benchmark::State& state, const std::string& rules, std::int64_t memory,
           bool foresee = false) {
  const std::shared_ptr<const Policy> policy = Compile(rules);
  if (policy == nullptr) return state.SkipWithError("the rules do not compile");
  std::vector<std::unique_ptr<Visitor>> visitors;
  for (std::uint64_t i = 0; i < 1000; ++i) visitors.push_back(std::make_unique<Visitor>(i));
  const NoPass passes;
  MatchMemo memo({1, 1});
  Facts facts;
  facts.passes = &passes;
  if (memory == kWith) facts.memo = &memo;
  const bool off[] = {false};
  facts.toggles = off;
  facts.foresee = foresee;
  Verdict verdict;
  std::size_t next = 0;
  for (auto _ : state) {
    policy->Decide(visitors[next]->request, facts, TimePoint{}, &verdict);
    if (verdict.rule != kNoRule) return state.SkipWithError("a rule matches");
    next = next + 1 == visitors.size() ? 0 : next + 1;
  }
}

// Conditions of all sorts, none of which holds.
std::string Mixed(std::int64_t count) {
  std::string rules;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string n = std::to_string(i);
    const std::string net = std::to_string(i / 256 % 256) + "." + std::to_string(i % 256);
    const std::string matches[] = {
        "path: /page-" + n,
        "path: { prefix: /section-" + n + "/ }, method: POST",
        "client.address: 10." + net + ".0/24",
        "user_agent: { contains: robot-" + n + " }",
        "host: h" + n + ".example.com",
        "user_agent: { regex: 'Robot" + n + "/[0-9]+' }, path: { prefix: /articles }",
        "cookie.theme: theme-" + n,
        "all: [{ method: GET }, { any: [{ query.page: p" + n + " }, { path: { suffix: ." + n +
            "x } }] }]",
        "referer: { host: r" + n + ".example.org }",
        "header.accept-language: { prefix: l" + n + " }, not: { client.address: 198.51." + net +
            "/32 }",
    };
    rules += "- { match: { " + matches[i % 10] + " }, action: deny }\n";
  }
  return rules;
}

void MixedRules(benchmark::State& state) {
  Judge(state, Mixed(state.range(0)), state.range(1));
}
BENCHMARK(MixedRules)
    ->ArgNames({"rules", "memo"})
    ->ArgsProduct({{10, 100, 1000, 10000}, {kWithout, kWith}});

std::string Words(std::int64_t count) {
  std::string words;
  for (std::int64_t i = 0; i < count; ++i)
    words += (i == 0 ? "" : ", ") + ("bot" + std::to_string(i * 7919)) + "x";
  return "- { match: { user_agent: { contains: [" + words + "] } }, action: deny }\n";
}

std::string Expressions(std::int64_t count) {
  std::string rules;
  for (std::int64_t i = 0; i < count; ++i) {
    rules += "- { match: { user_agent: { regex: 'bot" + std::to_string(i * 7919) +
             "[/ ;]' } }, action: deny }\n";
  }
  return rules;
}

void UserAgentWords(benchmark::State& state) {
  Judge(state, Words(state.range(0)), kWithout);
}
BENCHMARK(UserAgentWords)->Arg(1)->Arg(500)->Arg(5000);

void UserAgentExpressions(benchmark::State& state) {
  Judge(state, Expressions(state.range(0)), kWithout);
}
BENCHMARK(UserAgentExpressions)->Arg(1)->Arg(500)->Arg(5000);

// 4,500 words and 500 expressions on one field.
void UserAgentPatterns(benchmark::State& state) {
  Judge(state, Words(4500) + Expressions(500), state.range(0));
}
BENCHMARK(UserAgentPatterns)->ArgName("memo")->Arg(kWithout)->Arg(kWith);

void OneMobileExpression(benchmark::State& state) {
  Judge(state,
        "- { match: { user_agent: { regex: '\\b(iPhone|Android.+Desktop)\\b' } }, action: deny }\n",
        kWithout);
}
BENCHMARK(OneMobileExpression);

// Ten rules in force; then the same with rules in shadow mode and behind a toggle that is off, some
// of which match.
void Foresight(benchmark::State& state) {
  const bool foresee = state.range(0) != 0;
  const std::string more =
      "- { toggle: surge, match: { user_agent: { contains: Mobile } }, action: challenge }\n"
      "- { toggle: surge, match: { path: { prefix: /search } }, action: deny }\n"
      "- { mode: shadow, match: { header.accept-language: { absent: true } }, action: deny }\n";
  Judge(state, Mixed(10) + (foresee ? more : ""), kWith, foresee);
}
BENCHMARK(Foresight)->ArgName("on")->Arg(0)->Arg(1);

}  // namespace
}  // namespace spillway

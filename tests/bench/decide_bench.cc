// SPDX-License-Identifier: MIT
// What one Decide costs: with few rules and many, and with 500 user-agent patterns, over user
// agents that differ.
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
              {"User-Agent", agent},
              {"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
              {"Accept-Language", "en-US,en;q=0.5"},
              {"Accept-Encoding", "gzip, deflate, br"},
              {"Cookie", "sid=0123456789abcdef; theme=dark"},
              {"Sec-Fetch-Dest", "document"}};
    request = {.method = "GET",
               .target = "/articles/17?page=2",
               .path = "/articles/17",
               .query = "page=2",
               .host = "www.example.com",
               .scheme = "https",
               .protocol = "HTTP/1.1",
               .headers = fields,
               .client = IpAddress::FromV4(0xc0000200 + static_cast<std::uint32_t>(number & 0xff))};
  }
  std::string agent;
  std::vector<HeaderField> fields;
  Request request;
};

void Judge(benchmark::State& state, const std::string& rules) {
  const std::shared_ptr<const Policy> policy = Compile(rules);
  if (policy == nullptr) return state.SkipWithError("the rules do not compile");
  std::vector<std::unique_ptr<Visitor>> visitors;
  for (std::uint64_t i = 0; i < 20000; ++i) visitors.push_back(std::make_unique<Visitor>(i));
  const NoPass passes;
  Facts facts;
  facts.passes = &passes;
  Verdict verdict;
  std::size_t next = 0;
  for (auto _ : state) {
    policy->Decide(visitors[next]->request, facts, TimePoint{}, &verdict);
    benchmark::DoNotOptimize(verdict.rule);
    next = next + 1 == visitors.size() ? 0 : next + 1;
  }
}

void MixedRules(benchmark::State& state) {
  std::string rules;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    const std::string n = std::to_string(i);
    const std::string matches[] = {
        "path: /page-" + n, "path: { prefix: /section-" + n + "/ }, method: POST",
        "client.address: 10." + std::to_string(i / 256 % 256) + "." + std::to_string(i % 256) +
            ".0/24",
        "user_agent: { contains: robot-" + n + " }", "host: h" + n + ".example.com"};
    rules += "- { match: { " + matches[i % 5] + " }, action: deny }\n";
  }
  Judge(state, rules);
}
BENCHMARK(MixedRules)->Arg(10)->Arg(100)->Arg(1000)->Arg(10000);

void UserAgentWords(benchmark::State& state) {
  std::string words;
  for (std::int64_t i = 0; i < state.range(0); ++i)
    words += (i == 0 ? "" : ", ") + ("bot" + std::to_string(i * 7919)) + "x";
  Judge(state, "- { match: { user_agent: { contains: [" + words + "] } }, action: deny }\n");
}
BENCHMARK(UserAgentWords)->Arg(1)->Arg(500)->Arg(5000);

void UserAgentExpressions(benchmark::State& state) {
  std::string rules;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    rules += "- { match: { user_agent: { regex: 'bot" + std::to_string(i * 7919) +
             "[/ ;]' } }, action: deny }\n";
  }
  Judge(state, rules);
}
BENCHMARK(UserAgentExpressions)->Arg(1)->Arg(500)->Arg(5000);

void OneMobileExpression(benchmark::State& state) {
  Judge(state,
        "- { match: { user_agent: { regex: '\\b(iPhone|Android.+Mobile)\\b' } }, action: { tag: "
        "phone } }\n");
}
BENCHMARK(OneMobileExpression);

}  // namespace
}  // namespace spillway

// SPDX-License-Identifier: MIT
// Rules in YAML, and requests judged by them: the verbs of the rule engine's tests.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules/rule_set.h"
#include "rules/yaml.h"
#include "spillway/policy.h"
#include "spillway/target.h"

namespace spillway {

// A request and the texts it borrows.
struct Sample {
  std::string method = "GET";
  std::string target = "/";
  std::string host = "www.example.com";
  std::string scheme = "http";
  std::string protocol = "HTTP/1.1";
  std::string client = "192.0.2.7";
  std::vector<std::pair<std::string, std::string>> headers = {};
};

class Asked {
 public:
  explicit Asked(Sample sample) : sample_(std::move(sample)) {
    const Result<Target> target = ParseTarget(sample_.target);
    EXPECT_TRUE(target.has_value()) << sample_.target;
    EXPECT_TRUE(NormalisePath(target->raw_path, &path_).has_value()) << sample_.target;
    for (const auto& [name, value] : sample_.headers) fields_.push_back({name, value});
    request_.method = sample_.method;
    request_.target = sample_.target;
    request_.path = path_;
    request_.query = target->query;
    request_.host = sample_.host;
    request_.scheme = sample_.scheme;
    request_.protocol = sample_.protocol;
    request_.headers = fields_;
    request_.client = IpAddress::Parse(sample_.client).value();
  }
  Asked(const Asked&) = delete;
  Asked& operator=(const Asked&) = delete;
  const Request& request() const { return request_; }

 private:
  Sample sample_;
  std::string path_;
  std::vector<HeaderField> fields_;
  Request request_;
};

struct Passes : PassChecker {
  bool holds = false;
  mutable int asked = 0;
  bool HasPass(const Request&, const ChallengeDemand&) const override { return ++asked, holds; }
};

// A rule set in force, with its tables.
class RuleBook {
 public:
  explicit RuleBook(const std::string& rules, RuleScope scope = {})
      : document_("test.yaml", rules, &diagnostics) {
    if (scope.pools.empty()) scope.pools = {"app", "other"};
    RuleSetBuilder builder(std::move(scope));
    for (const yaml::Node& rule : document_.root().Items()) builder.Add(rule);
    if (!diagnostics.empty()) return;
    policy = builder.Build(&error);
    if (policy == nullptr) return;
    for (const LimitInfo& limit : policy->limits()) {
      tables_.push_back(LimitTable::Create(limit.spec).value());
      limits.push_back(&tables_.back());
      tables_.push_back(LimitTable::Create(limit.spec).value());
      shadow_limits.push_back(&tables_.back());
    }
    toggles_ = std::make_unique<bool[]>(policy->toggles().size() + 1);
  }

  void Switch(std::uint32_t toggle, bool on) { toggles_[toggle] = on; }

  Facts MakeFacts() const {
    Facts facts;
    facts.toggles = {toggles_.get(), policy->toggles().size()};
    facts.passes = &passes;
    facts.limits = limits;
    facts.shadow_limits = shadow_limits;
    facts.seed = 42;
    facts.memo = memo;
    facts.foresee = foresee;
    facts.wall = wall;
    facts.surroundings = surroundings;
    return facts;
  }
  const Verdict& JudgeRequest(const Request& request) {
    EXPECT_NE(policy, nullptr) << Format(diagnostics) << error;
    policy->Decide(request, MakeFacts(), now, &verdict);
    return verdict;
  }
  // Of the request that was judged last.
  std::vector<RuleTrace> Explain(const Request& request) const {
    return policy->Explain(request, MakeFacts(), verdict);
  }
  // The answer to the request that was judged last.
  std::span<const RuleMatch> JudgeAnswer(int status, const std::vector<HeaderField>& headers = {}) {
    return policy->JudgeResponse(asked_->request(), {status, headers}, MakeFacts(), now, &verdict);
  }
  const Verdict& Judge(Sample sample) {
    asked_ = std::make_unique<Asked>(std::move(sample));
    return JudgeRequest(asked_->request());
  }
  std::string_view Action(Sample sample) { return ActionName(Judge(std::move(sample)).action); }

  // The name of the rule that ended it; "" when none did.
  std::string Rule() const {
    return verdict.rule == kNoRule ? "" : policy->rules()[verdict.rule].name;
  }

  Diagnostics diagnostics;
  std::string error;
  std::shared_ptr<const Policy> policy;
  Passes passes;
  TimePoint now{1h};
  std::optional<WallTime> wall = {};
  const Surroundings* surroundings = nullptr;
  Verdict verdict;
  std::vector<LimitTable*> limits;
  std::vector<LimitTable*> shadow_limits;
  MatchMemo* memo = &own_memo_;
  bool foresee = false;

 private:
  MatchMemo own_memo_{{42, 43}};
  yaml::Document document_;
  std::deque<LimitTable> tables_;
  std::unique_ptr<bool[]> toggles_;
  std::unique_ptr<Asked> asked_;
};

// All messages of a rule set that is wrong.
inline std::string Complaints(const std::string& rules, RuleScope scope = {}) {
  const RuleBook book(rules, std::move(scope));
  std::string all;
  for (const Diagnostic& one : book.diagnostics) all += one.path + ": " + one.message + "\n";
  return all;
}

}  // namespace spillway

// SPDX-License-Identifier: MIT
// A server for the admin side to look at, made from YAML text, without sockets or threads.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/admin_controls.h"
#include "proxy/generation.h"

namespace spillway {

// Files that exist only here.
class MemoryFiles : public FileSource {
 public:
  explicit MemoryFiles(std::map<std::string, std::string> files) : files_(std::move(files)) {}
  Result<std::string> Read(const std::string& path) const override {
    const auto found = files_.find(path);
    if (found == files_.end()) return Fail("No such file or directory");
    return found->second;
  }
  std::vector<std::string> Glob(const std::string&) const override { return {}; }

 private:
  const std::map<std::string, std::string> files_;
};

class FakeControls : public AdminControls {
 public:
  explicit FakeControls(const std::string& yaml) {
    auto config = LoadConfig("site.yaml", MemoryFiles({{"site.yaml", yaml}}), {});
    if (!config) {
      ADD_FAILURE() << Format(config.error());
      return;
    }
    generation_.number = 3;
    generation_.config = std::move(*config);
    generation_.pool_counters.resize(1);
    generation_.rule_counters.resize(1);
    for (const PoolConfig& pool : generation_.config.pools) {
      generation_.pools.push_back(std::make_shared<Pool>(pool));
      auto endpoint = std::make_shared<Endpoint>();
      endpoint->text = pool.servers.at(0).address.text;
      generation_.pools.back()->SetMembers(
          std::make_shared<PoolMembers>(PoolMembers{{endpoint, 1, false}}));
      generation_.pool_counters[0].push_back(std::make_shared<PoolCounters>());
    }
    for (const LimitInfo& limit : generation_.config.policy->limits()) {
      generation_.limits.push_back(
          std::make_shared<LimitTable>(LimitTable::Create(limit.spec).value()));
      generation_.shadow_limits.push_back(nullptr);
    }
    for (std::size_t i = 0; i < generation_.config.policy->rules().size(); ++i) {
      generation_.rule_counters[0].push_back(std::make_shared<RuleCounters>());
    }
    for (const ToggleConfig& toggle : generation_.config.toggles) {
      ToggleStatus status;
      status.name = toggle.name;
      toggles_.push_back(status);
    }
  }

  Result<void> Reload(std::string_view who) override {
    done_.push_back("reload by " + std::string(who));
    if (!reload_error_.empty()) return Fail(reload_error_);
    return {};
  }
  Result<std::string> Check() const override { return std::string("all fine"); }
  Result<void> SetToggle(const std::string& name, bool on, std::optional<Duration> hold,
                         std::string_view cause, std::string_view reason) override {
    for (ToggleStatus& toggle : toggles_) {
      if (toggle.name != name) continue;
      toggle.on = on;
      toggle.cause = cause;
      toggle.reason = reason;
      if (hold) toggle.until = wall_now() + *hold;
    }
    done_.push_back("toggle " + name + (on ? " on" : " off"));
    return {};
  }
  void Drain(std::string_view) override { draining_ = true; }

  bool ready() const override { return !draining_; }
  bool draining() const override { return draining_; }
  const Generation& generation() const override { return generation_; }
  std::vector<ToggleStatus> toggles() const override { return toggles_; }
  const std::map<std::pair<std::string, std::string>, std::uint64_t>& toggle_flips()
      const override {
    return flips_;
  }
  const ReloadStatus& reload_status() const override { return reload_; }
  std::vector<const WorkerCounters*> counters() const override { return {&counters_}; }
  ReceiptSearch FindReceipt(const std::string& id) const override {
    return {receipts_.Search(id), workers_answer_};
  }
  std::shared_ptr<const Generation> FindGeneration(std::uint64_t number) const override {
    if (number != generation_.number) return nullptr;
    return {std::shared_ptr<void>(), &generation_};
  }
  std::uint64_t kept_upstream_connections() const override { return 4; }
  std::vector<std::string> listening() const override { return {"127.0.0.1:8080"}; }
  std::uint64_t access_log_dropped() const override { return 2; }
  TimePoint now() const override { return TimePoint(100s); }
  TimePoint started() const override { return TimePoint(40s); }
  WallTime wall_now() const override { return WallTime(std::chrono::seconds(1767225600)); }

  Generation generation_;
  Receipts receipts_{8};
  bool workers_answer_ = true;
  WorkerCounters counters_;
  std::vector<ToggleStatus> toggles_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> flips_;
  ReloadStatus reload_;
  std::string reload_error_;
  std::vector<std::string> done_;
  bool draining_ = false;
};

inline constexpr char kFakeSite[] = R"(version: 1
admin: { address: "127.0.0.1:9901", token_file: secret.token }
pools: { app: { servers: ["127.0.0.1:3000"] } }
toggles: { surge: { description: "<b>launch</b>" } }
limits: { per-client: { key: client.address, rate: 10/s, burst: 40, keys: 1024 } }
rules:
  - name: bad-bots
    match: { user_agent: { contains: bot } }
    action: deny
  - name: clients
    action: { limit: per-client }
  - name: busy
    toggle: surge
    mode: shadow
    match: { path: /post }
    action: deny
)";

}  // namespace spillway

// SPDX-License-Identifier: MIT
#include "proxy/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "tests/unit/crowd_at_a_pool.h"
#include "tests/unit/fake_controls.h"

namespace spillway {
namespace {

using testing::HasSubstr;
using testing::Not;

class MetricsTest : public testing::Test {
 protected:
  std::string Scrape() { return FormatMetrics(server_, process_); }
  FakeControls server_{kFakeSite};
  ProcessFacts process_;
};

TEST_F(MetricsTest, CountersAreAddedUpUnderTheirLabels) {
  server_.counters_.decisions[static_cast<std::size_t>(Decision::kDeny)].Add(7);
  server_.counters_.status_classes[4].Add(7);
  server_.generation_.rule_counters[0][0]->enforced.Add(5);
  server_.generation_.rule_counters[0][2]->shadow.Add(6);
  server_.generation_.pool_counters[0][0]->timeouts.Add(3);
  const std::string text = Scrape();
  EXPECT_THAT(text, HasSubstr("spillway_requests_total{decision=\"deny\"} 7\n"));
  EXPECT_THAT(text, HasSubstr("spillway_responses_total{class=\"4xx\"} 7\n"));
  EXPECT_THAT(text, HasSubstr("spillway_rule_matches_total{rule=\"bad-bots\",action=\"deny\","
                              "mode=\"enforce\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("spillway_rule_matches_total{rule=\"busy\",action=\"deny\","
                              "mode=\"shadow\"} 6\n"));
  EXPECT_THAT(text, HasSubstr("spillway_upstream_errors_total{pool=\"app\",kind=\"timeout\"} 3\n"));
}

TEST_F(MetricsTest, HistogramsAreCumulativeAndEndInInfinity) {
  server_.counters_.request_seconds.Observe(2ms);
  server_.counters_.request_seconds.Observe(3ms);
  server_.counters_.request_seconds.Observe(60s);
  const std::string text = Scrape();
  const std::string name = "spillway_request_duration_seconds";
  EXPECT_THAT(text, HasSubstr(name + "_bucket{le=\"0.001\"} 0\n"));
  EXPECT_THAT(text, HasSubstr(name + "_bucket{le=\"0.005\"} 2\n"));
  EXPECT_THAT(text, HasSubstr(name + "_bucket{le=\"10\"} 2\n"));
  EXPECT_THAT(text, HasSubstr(name + "_bucket{le=\"+Inf\"} 3\n"));
  EXPECT_THAT(text, HasSubstr(name + "_count 3\n"));
  EXPECT_THAT(text, HasSubstr(name + "_sum 60.005\n"));
}

TEST_F(MetricsTest, TogglesPoolsLimitsAndReloadsAreTold) {
  server_.toggles_[0].on = true;
  server_.flips_[{"surge", "signal USR1"}] = 2;
  server_.reload_.ok = false;
  server_.reload_.failed = 4;
  server_.generation_.limits[0]->Charge({1, 2}, TimePoint(100s));
  server_.generation_.pools[0]->members()->at(0).endpoint->in_flight = 9;
  const std::string text = Scrape();
  EXPECT_THAT(text, HasSubstr("spillway_toggle_state{toggle=\"surge\"} 1\n"));
  EXPECT_THAT(text,
              HasSubstr("spillway_toggle_flips_total{toggle=\"surge\",cause=\"signal USR1\"} 2"));
  EXPECT_THAT(text, HasSubstr("spillway_config_last_reload_successful 0\n"));
  EXPECT_THAT(text, HasSubstr("spillway_config_reloads_total{result=\"failure\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("spillway_limit_entries{limit=\"per-client\"} 1\n"));
  EXPECT_THAT(text,
              HasSubstr("spillway_endpoint_up{pool=\"app\",endpoint=\"127.0.0.1:3000\"} 1\n"));
  EXPECT_THAT(
      text, HasSubstr("spillway_endpoint_in_flight{pool=\"app\",endpoint=\"127.0.0.1:3000\"} 9\n"));
}

class CrowdedMetricsTest : public MetricsTest {
 protected:
  static AdmissionConfig Admitting() {
    AdmissionConfig config;
    config.limit = AdmissionConfig::Limit::kFixed;
    config.fixed = 20;
    config.queue = {10'000, 60s};
    return config;
  }
  CrowdedMetricsTest() {
    auto& pool = server_.generation_.pools[0];
    pool = std::make_shared<Pool>(pool->config(), nullptr, crowd_.pool());
  }
  // Of the class, as the page has it.
  double AdmitRatio(const std::string& of_class) {
    const std::string text = Scrape();
    const std::string sample = "\nspillway_admit_ratio{pool=\"app\",class=\"" + of_class + "\"} ";
    const std::size_t at = text.find(sample);
    return at == std::string::npos ? -1 : std::stod(text.substr(at + sample.size()));
  }
  CrowdAtAPool crowd_{Admitting()};
};

TEST_F(CrowdedMetricsTest, WithoutAnOverloadAllAreServed) {
  EXPECT_THAT(Scrape(), HasSubstr("spillway_overloaded{pool=\"app\"} 0\n"));
  for (const std::string_view each : kTrafficClassNames)
    EXPECT_EQ(AdmitRatio(std::string(each)), 1) << each;
}

TEST_F(CrowdedMetricsTest, AnOverloadIsToldOfAndWhichShareOfAClassIsServed) {
  crowd_.Press();
  EXPECT_THAT(Scrape(), HasSubstr("spillway_overloaded{pool=\"app\"} 1\n"));
  EXPECT_EQ(AdmitRatio("critical_plus"), 1);
  EXPECT_GT(AdmitRatio("critical"), 0);
  EXPECT_LT(AdmitRatio("critical"), 0.5);
  EXPECT_EQ(AdmitRatio("critical"), crowd_.View().admit_share);
  EXPECT_EQ(AdmitRatio("sheddable"), 0);
}

TEST_F(CrowdedMetricsTest, ARouteThatIsHeldBackIsToldOfWithItsReason) {
  crowd_.AskForReports(16);
  crowd_.Press();
  for (int i = 0; i < 40; ++i) crowd_.Pass(100ms);
  const std::string labels = "{pool=\"app\",route=\"GET /report\",reason=\"share\"} ";
  const std::string text = Scrape();
  EXPECT_THAT(text, HasSubstr("spillway_culprit_in_flight" + labels + "16\n"));
  EXPECT_THAT(text, HasSubstr("spillway_culprit_allowed" + labels));
}

// Name conventions, and that no family or sample stands there twice (Prometheus refuses such a
// page).
TEST_F(MetricsTest, EveryFamilyIsWellNamedAndNothingIsThereTwice) {
  std::set<std::string> families, samples;
  std::istringstream lines(Scrape());
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# TYPE ")) {
      std::istringstream words(line.substr(7));
      std::string name, type;
      words >> name >> type;
      EXPECT_TRUE(families.insert(name).second) << name;
      EXPECT_TRUE(name.starts_with("spillway_") || name.starts_with("process_")) << name;
      EXPECT_EQ(name.ends_with("_total"), type == "counter") << name;
    } else if (!line.starts_with("#")) {
      EXPECT_TRUE(samples.insert(line.substr(0, line.rfind(' '))).second) << line;
    }
  }
  EXPECT_GT(families.size(), 30u);
}

TEST_F(MetricsTest, RulesBeyondTheMostAreAddedUp) {
  std::string yaml = "version: 1\npools: { app: { servers: [\"127.0.0.1:1\"] } }\nrules:\n";
  for (std::size_t i = 0; i < kMostRuleLabels + 5; ++i) {
    yaml += "  - { name: r" + std::to_string(i) + ", match: { path: /x }, action: deny }\n";
  }
  FakeControls many(yaml);
  many.generation_.rule_counters[0][kMostRuleLabels]->enforced.Add(2);
  many.generation_.rule_counters[0][kMostRuleLabels + 4]->enforced.Add(3);
  const std::string text = FormatMetrics(many, process_);
  EXPECT_THAT(text, HasSubstr("rule=\"r999\""));
  EXPECT_THAT(text, Not(HasSubstr("rule=\"r1000\"")));
  EXPECT_THAT(text, HasSubstr("{rule=\"_other\",action=\"_other\",mode=\"enforce\"} 5\n"));
}

TEST(ProcessFactsTest, AreThoseOfARunningProcess) {
  const WallTime now{std::chrono::seconds(1767225600)};
  const ProcessFacts facts = ReadProcessFacts(now);
  EXPECT_GT(facts.resident_bytes, 100000u);
  EXPECT_GE(facts.threads, 1u);
  EXPECT_GE(facts.open_fds, 3u);
  EXPECT_GE(facts.max_fds, facts.open_fds);
  EXPECT_LT(facts.start_seconds, 1767225601.0);
  EXPECT_GT(facts.start_seconds, 1767225600.0 - 24 * 3600);  // tests do not run for a day
}

}  // namespace
}  // namespace spillway

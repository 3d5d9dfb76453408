// SPDX-License-Identifier: MIT
// Conditions on what the request does not say: whether its client is of a sample, the time, what is
// known of its address, how pools do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "rule_book.h"

namespace spillway {
namespace {

using ::testing::HasSubstr;

std::string Denies(const std::string& match) {
  return "[{ name: the-rule, action: deny, match: " + match + " }]";
}

// --- sample

std::set<int> Sampled(const std::string& rules, int clients) {
  RuleBook book(rules);
  EXPECT_TRUE(book.diagnostics.empty()) << Format(book.diagnostics);
  std::set<int> sampled;
  for (int i = 0; i < clients; ++i) {
    const std::string client = "10." + std::to_string(i / 65536) + "." +
                               std::to_string(i / 256 % 256) + "." + std::to_string(i % 256);
    if (book.Action({.client = client}) == "deny") sampled.insert(i);
  }
  return sampled;
}

TEST(Sample, TakesItsShareOfTheClients) {
  EXPECT_NEAR(static_cast<double>(Sampled(Denies("{ sample: 5% }"), 20'000).size()), 1000, 150);
  EXPECT_NEAR(static_cast<double>(Sampled(Denies("{ sample: 0.5% }"), 20'000).size()), 100, 40);
  EXPECT_EQ(Sampled(Denies("{ sample: 100% }"), 2000).size(), 2000U);
}

TEST(Sample, OfAGreaterShareHoldsTheSmallerOne) {
  const std::set<int> few = Sampled(Denies("{ sample: 10% }"), 3000);
  const std::set<int> more = Sampled(Denies("{ sample: 30% }"), 3000);
  EXPECT_FALSE(few.empty());
  EXPECT_TRUE(std::includes(more.begin(), more.end(), few.begin(), few.end()));
}

TEST(Sample, OfTwoRulesIsIndependentUnlessTheySayTheSameSalt) {
  const auto with = [](const std::string& name, const std::string& sample) {
    return Sampled("[{ name: " + name + ", action: deny, match: { sample: " + sample + " } }]",
                   4000);
  };
  const std::set<int> one = with("one", "50%"), two = with("two", "50%");
  std::vector<int> both;
  std::set_intersection(one.begin(), one.end(), two.begin(), two.end(), std::back_inserter(both));
  EXPECT_NEAR(static_cast<double>(both.size()), 1000, 150);
  EXPECT_EQ(with("one", "{ share: 50%, salt: x }"), with("two", "{ share: 50%, salt: x }"));
  EXPECT_EQ(with("one", "{ share: 50% }"), one);
  EXPECT_EQ(with("two", "{ share: 50%, salt: one }"), one);
}

// Which these are may not change from one version to the next: a share that is under way would
// become another one.
TEST(Sample, IsTheSameInEveryProcess) {
  EXPECT_EQ(Sampled(Denies("{ sample: 5% }"), 100), (std::set<int>{28, 34, 65, 69, 70, 75, 98}));
}

TEST(Sample, CountsAHouseholdAsOneClient) {
  RuleBook book(Denies("{ sample: 50% }"));
  for (int i = 0; i < 50; ++i) {
    const std::string prefix = "2001:db8:0:" + std::to_string(i);
    const auto first = book.Action({.client = prefix + "::1"});
    EXPECT_EQ(book.Action({.client = prefix + ":ffff::2"}), first) << i;
  }
  EXPECT_EQ(book.Action({.client = "64:ff9b::c000:207"}), book.Action({.client = "192.0.2.7"}));
}

// --- time

// Minutes after a Monday's midnight, UTC.
WallTime Monday(int minutes) {
  constexpr auto kMonday =
      std::chrono::sys_days(std::chrono::year(2026) / std::chrono::November / 16);
  return WallTime(kMonday.time_since_epoch()) + std::chrono::minutes(minutes);
}
constexpr int kHour = 60, kDay = 24 * kHour;

bool HoldsAt(const std::string& time, int minutes) {
  RuleBook book(Denies("{ time: " + time + " }"));
  EXPECT_TRUE(book.diagnostics.empty()) << Format(book.diagnostics);
  book.wall = Monday(minutes);
  return book.Action({}) == "deny";
}

TEST(Time, HoldsWithinItsWindow) {
  const struct {
    const char* time;
    int minutes;
    bool holds;
  } kTable[] = {
      {"{ from: '08:00', to: '20:00' }", 8 * kHour - 1, false},
      {"{ from: '08:00', to: '20:00' }", 8 * kHour, true},
      {"{ from: '08:00', to: '20:00' }", 20 * kHour - 1, true},
      {"{ from: '08:00', to: '20:00' }", 20 * kHour, false},
      {"{ from: '08:00', to: '20:00' }", 6 * kDay + 9 * kHour, true},
      {"{ from: '08:00' }", kDay - 1, true},
      {"{ from: '08:00' }", kDay, false},
      {"{ to: '08:00' }", 0, true},
      {"{ to: '08:00' }", 8 * kHour, false},
      {"{ days: mon }", 0, true},
      {"{ days: mon }", kDay - 1, true},
      {"{ days: mon }", kDay, false},
      {"{ days: [tue, sun] }", kDay, true},
      {"{ days: [tue, sun] }", 7 * kDay - 1, true},
      {"{ days: [tue, sun] }", 7 * kDay, false},
      {"{ from: '22:00', to: '06:00' }", 23 * kHour, true},
      {"{ from: '22:00', to: '06:00' }", 5 * kHour, true},
      {"{ from: '22:00', to: '06:00' }", 6 * kHour, false},
      {"{ from: '22:00', to: '00:00' }", kDay - 1, true},
      {"{ from: '22:00', to: '00:00' }", kDay, false},
      // Over midnight the day is the one it begins on; Sunday's ends on Monday.
      {"{ from: '22:00', to: '06:00', days: mon }", 5 * kHour, false},
      {"{ from: '22:00', to: '06:00', days: mon }", kDay + 5 * kHour, true},
      {"{ from: '22:00', to: '06:00', days: sun }", 5 * kHour, true},
      {"{ from: '22:00', to: '06:00', days: sun }", 6 * kHour, false},
      {"{ from: '22:00', to: '06:00', days: sun }", 7 * kDay - 1, true},
      {"{ from: '08:00', to: '09:00', zone: '+02:00' }", 6 * kHour, true},
      {"{ from: '08:00', to: '09:00', zone: '+02:00' }", 8 * kHour, false},
      {"{ from: '08:00', to: '09:00', zone: '-05:30' }", 13 * kHour + 30, true},
      {"{ days: mon, zone: '+02:00' }", -2 * kHour, true},
      {"{ days: mon, zone: '+02:00' }", 22 * kHour, false},
      {"{ days: mon, zone: UTC }", 22 * kHour, true},
      {"[{ to: '01:00' }, { days: tue }]", 30, true},
      {"[{ to: '01:00' }, { days: tue }]", 2 * kHour, false},
      {"[{ to: '01:00' }, { days: tue }]", kDay + 2 * kHour, true},
  };
  for (const auto& row : kTable) {
    EXPECT_EQ(HoldsAt(row.time, row.minutes), row.holds) << row.time << " " << row.minutes;
  }
}

TEST(Time, BeforeTheEpochIsATimeToo) {
  RuleBook book(Denies("{ time: { days: wed, from: '23:00' } }"));
  book.wall = WallTime(-1ns);
  EXPECT_EQ(book.Action({}), "deny");
}

TEST(Time, HoldsNeverForWhoDoesNotKnowIt) {
  RuleBook book(Denies("{ time: { days: [mon, tue, wed, thu, fri, sat, sun] } }"));
  EXPECT_EQ(book.Action({}), "forward");
}

// --- what is around

class Around : public Surroundings {
 public:
  std::optional<std::string_view> Country(const IpAddress& client) const override {
    ++countries_asked;
    if (client.ToString() == "192.0.2.7") return "DE";
    return std::nullopt;
  }
  std::optional<std::uint32_t> Network(const IpAddress& client) const override {
    ++networks_asked;
    if (client.ToString() == "192.0.2.7") return 64500;
    return std::nullopt;
  }
  std::optional<PoolState> Pool(std::uint32_t pool) const override {
    if (pool == 0) {
      return PoolState{
          .in_flight = 100, .servers_up = 50, .queue = 7, .utilisation = 125, .apdex = 84};
    }
    return PoolState{.in_flight = 3, .servers_up = 100};
  }
  mutable int countries_asked = 0, networks_asked = 0;
};

RuleScope Known() {
  RuleScope scope;
  scope.countries_known = scope.networks_known = true;
  scope.lists["near"] = {{"de", "AT"}, {}};
  scope.pools = {"app", "other"};
  return scope;
}

bool HoldsAround(const std::string& match, const std::string& client = "192.0.2.7") {
  RuleBook book(Denies(match), Known());
  EXPECT_TRUE(book.diagnostics.empty()) << match << Format(book.diagnostics);
  const Around around;
  book.surroundings = &around;
  return book.Action({.client = client}) == "deny";
}

TEST(WhereClientsAre, IsAskedByCountryAndNetwork) {
  EXPECT_TRUE(HoldsAround("{ client.country: DE }"));
  EXPECT_TRUE(HoldsAround("{ client.country: [us, de] }"));
  EXPECT_TRUE(HoldsAround("{ client.country: $near }"));
  EXPECT_FALSE(HoldsAround("{ client.country: US }"));
  EXPECT_TRUE(HoldsAround("{ client.country: { not: US } }"));
  EXPECT_TRUE(HoldsAround("{ client.country: { present: true } }"));
  EXPECT_TRUE(HoldsAround("{ client.asn: 64500 }"));
  EXPECT_TRUE(HoldsAround("{ client.asn: [AS64499, AS64500] }"));
  EXPECT_FALSE(HoldsAround("{ client.asn: 64501 }"));
  EXPECT_FALSE(HoldsAround("{ client.asn: { absent: true } }"));
}

TEST(WhereClientsAre, IsAbsentWhereNothingIsKnown) {
  for (const char* match :
       {"{ client.country: { absent: true } }", "{ client.asn: { absent: true } }",
        "{ client.country: { not: DE } }", "{ client.asn: { not: 64500 } }"}) {
    EXPECT_TRUE(HoldsAround(match, "10.0.0.1")) << match;
  }
  for (const char* match : {"{ client.country: DE }", "{ client.asn: 64500 }",
                            "{ client.country: { present: true } }"}) {
    EXPECT_FALSE(HoldsAround(match, "10.0.0.1")) << match;
  }
}

TEST(WhereClientsAre, IsLookedUpOnceAndOnlyWhenItMatters) {
  RuleBook book(
      "- { match: { method: POST, client.country: DE }, action: deny }\n"
      "- { match: { method: POST, client.country: { not: US }, client.asn: 1 }, action: deny }\n"
      "- { match: { path: /x, client.country: { present: true } }, action: { tag: a } }\n",
      Known());
  const Around around;
  book.surroundings = &around;
  book.Judge({});
  EXPECT_EQ(around.countries_asked + around.networks_asked, 0);
  book.Judge({.method = "POST", .target = "/x", .client = "10.0.0.1"});
  EXPECT_EQ(around.countries_asked, 1);
  EXPECT_EQ(around.networks_asked, 1);
}

TEST(Pools, AreAskedForWhatTheyDo) {
  EXPECT_TRUE(HoldsAround("{ pool.app.in_flight: { above: 99 } }"));
  EXPECT_FALSE(HoldsAround("{ pool.app.in_flight: { above: 100 } }"));
  EXPECT_TRUE(HoldsAround("{ pool.app.in_flight: 100 }"));
  EXPECT_TRUE(HoldsAround("{ pool.other.in_flight: { below: 4 } }"));
  EXPECT_FALSE(HoldsAround("{ pool.other.in_flight: { below: 3 } }"));
  EXPECT_TRUE(HoldsAround("{ pool.app.in_flight: { above: 50, below: 200 } }"));
  EXPECT_TRUE(HoldsAround("{ pool.app.servers_up: { below: 51% } }"));
  EXPECT_FALSE(HoldsAround("{ pool.other.servers_up: { not: 100% } }"));
  EXPECT_TRUE(HoldsAround("{ pool.app.queue: { above: 6 } }"));
  EXPECT_FALSE(HoldsAround("{ pool.other.queue: { above: 0 } }"));
  EXPECT_TRUE(HoldsAround("{ pool.app.utilisation: { above: 100% } }"));
  EXPECT_TRUE(HoldsAround("{ pool.app.apdex: { below: 85% } }"));
  EXPECT_FALSE(HoldsAround("{ pool.app.apdex: { below: 84% } }"));
  // Nothing is known of these.
  EXPECT_FALSE(HoldsAround("{ pool.other.utilisation: { below: 100% } }"));
  EXPECT_FALSE(HoldsAround("{ pool.other.apdex: { below: 100% } }"));
}

TEST(Surroundings, OfWhichNothingIsKnownSatisfyNoCondition) {
  for (const char* match :
       {"{ client.country: DE }", "{ client.asn: 64500 }", "{ pool.app.in_flight: { below: 10 } }",
        "{ pool.app.servers_up: 100% }"}) {
    RuleBook book(Denies(match), Known());
    EXPECT_EQ(book.Action({}), "forward") << match;
    const Surroundings nothing;
    book.surroundings = &nothing;
    EXPECT_EQ(book.Action({}), "forward") << match;
  }
}

TEST(Facts, TeachWhatIsLegal) {
  const std::pair<const char*, const char*> kTable[] = {
      {"{ sample: 5 }", "expected a share above 0% and up to 100%, such as 5% or 0.1%, found '5'"},
      {"{ sample: 0% }", "above 0%"},
      {"{ sample: 100.001% }", "up to 100%"},
      {"{ sample: 0.0001% }", "such as 5% or 0.1%"},
      {"{ sample: {} }", "share"},
      {"{ sample: { salt: x } }", "share"},
      {"{ sample: { share: 5%, salt: 'a b' } }", "a b"},
      {"{ sample: { share: 5%, sald: x } }", "did you mean 'salt'?"},
      {"{ time: {} }", "expected a window such as"},
      {"{ time: noon }", "expected a window such as"},
      {"{ time: [] }", "the list is empty"},
      {"{ time: { from: '8:00' } }",
       "expected a time of day from \"00:00\" to \"24:00\", found '8:00'"},
      {"{ time: { from: '24:00' } }", "ends when it begins"},
      {"{ time: { from: '24:00', to: '01:00' } }", "nothing begins at 24:00"},
      {"{ time: { from: '08:00', to: '08:00' } }", "the window ends when it begins"},
      {"{ time: { days: monday } }", "unknown day 'monday'; expected one of mon, tue"},
      {"{ time: { days: [] } }", "expected a day such as mon"},
      {"{ time: { to: '08:00', zone: Europe/Berlin } }",
       "named zones such as 'Europe/Berlin' are not known to rules"},
      {"{ time: { to: '08:00', zone: '+15:00' } }", "at most 14 hours either way"},
      {"{ time: { to: '08:00', zone: CET } }", "UTC, or an offset from it such as \"+02:00\""},
      {"{ client.country: Germany }", "two letters (ISO 3166), such as DE or US"},
      {"{ client.country: { prefix: D } }", "unknown operator 'prefix'; expected one of present"},
      {"{ client.asn: Example }", "expected one such as 64500 or AS64500"},
      {"{ client.asn: { above: 1 } }", "unknown operator 'above'"},
      {"{ pool.ap.in_flight: 1 }",
       "unknown pool 'ap'; expected one of app, other (did you mean 'app'?)"},
      {"{ pool.app.in_flight: many }", "expected a whole number, found 'many'"},
      {"{ pool.app.in_flight: { above: [1, 2] } }", "expected one number, found a list"},
      {"{ pool.app.in_flight: { below: 0 } }", "nothing is below 0"},
      {"{ pool.app.in_flight: { contains: 1 } }",
       "unknown operator 'contains'; expected one of above, below, not"},
      {"{ pool.app.servers_up: 50 }", "expected a share from 0% to 100%, found '50'"},
      {"{ pool.app.servers_up: 101% }", "expected a share from 0% to 100%"},
      {"{ path: { above: 1 } }", "unknown operator 'above'"},
      {"{ response.status: 404 }", "a rule that asks for it says when: response"},
      {"{ response.header.x: a }", "a rule that asks for it says when: response"},
  };
  for (const auto& [match, message] : kTable) {
    EXPECT_THAT(Complaints(Denies(match), Known()), HasSubstr(message)) << match;
  }
  EXPECT_THAT(Complaints(Denies("{ client.country: DE }")), HasSubstr("set geo.country_file"));
  EXPECT_THAT(Complaints(Denies("{ client.asn: 1 }")), HasSubstr("set geo.asn_file"));
}

}  // namespace
}  // namespace spillway

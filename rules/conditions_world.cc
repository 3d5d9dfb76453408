// SPDX-License-Identifier: MIT
// Conditions on what is around a request: the time, and how pools do. Both are facts that the
// caller knows; no clock is read here.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <optional>
#include <string>

#include "rules/conditions.h"
#include "rules/key_table.h"
#include "rules/meant.h"
#include "rules/scalars.h"
#include "rules/week.h"

namespace spillway {
namespace {

// --- time: minutes of a week, which begins on Monday

constexpr std::uint64_t kDay = kMinutesOfDay, kWeek = kMinutesOfWeek;
constexpr std::int64_t kMostOffset = 14 * 60;  // of a zone, in minutes, either way

// The field's parameter is the zone's offset, with kMostOffset added.
std::optional<std::uint64_t> MinuteOfWeek(const Scene& scene, const FieldId& id) {
  if (!scene.wall) return std::nullopt;
  constexpr std::int64_t kEpochWas = 3 * kDay;  // a Thursday
  const std::int64_t minutes =
      std::chrono::floor<std::chrono::minutes>(scene.wall->time_since_epoch()).count() + kEpochWas +
      static_cast<std::int64_t>(id.parameter) - kMostOffset;
  constexpr auto kAll = static_cast<std::int64_t>(kWeek);
  return static_cast<std::uint64_t>((minutes % kAll + kAll) % kAll);
}

constexpr Source kMinuteOfWeek{.name = "time",
                               .form = Source::Form::kNumber,
                               .cost = Source::Cost::kNone,
                               .lets = Source::Lets::kMany,
                               .number = &MinuteOfWeek};

struct Window {
  std::uint64_t from = 0, to = kDay;  // minutes of a day
  std::array<bool, 7> days = {};
  bool some_days = false;
  std::int64_t offset = 0;  // minutes
};

std::optional<std::uint64_t> ReadTimeOfDay(const yaml::Node& node) {
  constexpr std::string_view kWhat = "a time of day from \"00:00\" to \"24:00\"";
  if (!ExpectScalar(node, kWhat)) return std::nullopt;
  const auto time = HoursAndMinutes(node.text());
  if (time && *time <= kDay) return time;
  node.Fail("expected " + std::string(kWhat) + ", found " + yaml::Quote(node.text()));
  return std::nullopt;
}

void ReadFrom(const Slot& slot, Window* out) {
  out->from = ReadTimeOfDay(slot.node).value_or(out->from);
}
void ReadTo(const Slot& slot, Window* out) {
  out->to = ReadTimeOfDay(slot.node).value_or(out->to);
}

void ReadDays(const Slot& slot, Window* out) {
  const std::vector<yaml::Node> items = slot.node.Items();
  if (items.empty()) slot.node.Fail("expected a day such as mon, or a list of days");
  for (const yaml::Node& item : items) {
    if (!ExpectScalar(item, "a day such as mon")) continue;
    const auto* const found = std::find(std::begin(kDays), std::end(kDays), item.text());
    if (found != std::end(kDays)) {
      out->days[static_cast<std::size_t>(found - std::begin(kDays))] = true;
    } else {
      item.Fail("unknown day " + yaml::Quote(item.text()) +
                yaml::ExpectedOneOf(item.text(), {std::begin(kDays), std::end(kDays)}));
    }
  }
  out->some_days = true;
}

// Names of zones would take files that change several times a year, and a rule reads none.
void ReadZone(const Slot& slot, Window* out) {
  constexpr std::string_view kWhat = "UTC, or an offset from it such as \"+02:00\"";
  if (!ExpectScalar(slot.node, kWhat)) return;
  const std::string_view text = slot.node.text();
  if (text == "UTC") return;
  const bool sign = text.starts_with('+') || text.starts_with('-');
  const auto minutes = sign ? HoursAndMinutes(text.substr(1)) : std::nullopt;
  if (minutes && *minutes <= static_cast<std::uint64_t>(kMostOffset)) {
    out->offset = static_cast<std::int64_t>(*minutes) * (text[0] == '-' ? -1 : 1);
  } else if (!sign && text.find('/') != std::string_view::npos) {
    slot.node.Fail("named zones such as " + yaml::Quote(text) +
                   " are not known to rules, whose clock has no daylight saving time; expected " +
                   std::string(kWhat));
  } else {
    slot.node.Fail("expected " + std::string(kWhat) + ", at most 14 hours either way, found " +
                   yaml::Quote(text));
  }
}

constexpr KeyRow<Window> kTimeRows[] = {
    {"from", "time of day", "00:00", "when it begins, on each of the days", &ReadFrom},
    {"to", "time of day", "24:00", "when it has ended; not after from: on the day after", &ReadTo},
    {"days", "day or list of days", "", "on which it begins; without them every day", &ReadDays},
    {"zone", "time zone", "UTC", "what the times are in: UTC, or an offset from it", &ReadZone},
};

Expression ReadWindow(ConditionReader& reader, const yaml::Node& node) {
  if (!node.is_map() || node.Entries().empty()) {
    node.Fail("expected a window such as { from: \"08:00\", to: \"20:00\", days: [mon, fri] }");
    return {};
  }
  Window window;
  ReadKeys(node, kTimeRows, *reader.scope.loader, &window);
  if (window.from == window.to) {
    node.Fail(std::string("the window ends when it begins; ") +
              (window.some_days ? "for whole days leave from and to out"
                                : "to match at any time leave time out"));
    return {};
  }
  if (window.from == kDay) {
    node.Get("from").Fail("nothing begins at 24:00; write \"00:00\", and the day after");
    return {};
  }
  const FieldId field{.source = &kMinuteOfWeek,
                      .parameter = static_cast<std::uint64_t>(window.offset + kMostOffset)};
  const std::uint32_t test = reader.fields.NewTest(field, Stage::kLookup);
  NumberSet& numbers = reader.fields.field(field).numbers;
  for (std::size_t day = 0; day < std::size(kDays); ++day) {
    if (window.some_days && !window.days[day]) continue;
    const std::uint64_t begin = day * kDay + window.from;
    const std::uint64_t end = day * kDay + window.to + (window.to < window.from ? kDay : 0);
    numbers.Add({begin, std::min(end, kWeek) - 1}, test);
    if (end > kWeek) numbers.Add({0, end - kWeek - 1}, test);  // from Sunday into Monday
  }
  return Expression::Test(test);
}

Expression ReadTime(ConditionReader& reader, const ConditionSlot& slot) {
  if (!slot.test.is_list()) return ReadWindow(reader, slot.test);
  std::vector<Expression> windows;
  for (const yaml::Node& item : slot.test.Items()) windows.push_back(ReadWindow(reader, item));
  if (windows.empty()) slot.test.Fail("the list is empty: nothing would ever match");
  return Expression::Any(std::move(windows));
}

// --- pools; the field's parameter is the pool's index

// Nothing where nobody knows pools.
template <auto kMember>
std::optional<std::uint64_t> NumberOfPool(const Scene& scene, const FieldId& id) {
  if (scene.surroundings == nullptr) return std::nullopt;
  const auto state = scene.surroundings->Pool(static_cast<std::uint32_t>(id.parameter));
  if (!state) return std::nullopt;
  return (*state).*kMember;
}

constexpr Source PoolSource(std::string_view name, decltype(Source::number) number) {
  return {.name = name,
          .form = Source::Form::kNumber,
          .cost = Source::Cost::kQuery,
          .lets = Source::Lets::kUnasked,
          .number = number};
}

constexpr Source kInFlight =
    PoolSource("pool.NAME.in_flight", &NumberOfPool<&PoolState::in_flight>);
constexpr Source kServersUp =
    PoolSource("pool.NAME.servers_up", &NumberOfPool<&PoolState::servers_up>);
constexpr Source kQueue = PoolSource("pool.NAME.queue", &NumberOfPool<&PoolState::queue>);
constexpr Source kUtilisation =
    PoolSource("pool.NAME.utilisation", &NumberOfPool<&PoolState::utilisation>);
constexpr Source kApdex = PoolSource("pool.NAME.apdex", &NumberOfPool<&PoolState::apdex>);

Result<NumberRange> ParsePercentage(std::string_view text) {
  const std::string_view digits = text.substr(0, text.size() - (text.ends_with('%') ? 1 : 0));
  const Result<std::uint64_t> share = ParseInteger(digits);
  if (share && *share <= 100 && text.ends_with('%')) return NumberRange{*share, *share};
  return Fail("expected a share from 0% to 100%, found " + yaml::Quote(text) +
              MeantShare(text, true));
}

Expression ReadPool(ConditionReader& reader, const ConditionSlot& slot, const Source& source,
                    Result<NumberRange> (*range)(std::string_view)) {
  const std::vector<std::string>& pools = reader.scope.pools;
  const auto found = std::find(pools.begin(), pools.end(), slot.name);
  if (found == pools.end()) {
    slot.key.Fail("unknown pool " + yaml::Quote(slot.name) + yaml::ExpectedOneOf(slot.name, pools));
    return {};
  }
  const auto index = static_cast<std::uint64_t>(found - pools.begin());
  return ReadTest(
      reader, {.field = {.source = &source, .parameter = index}, .asks = slot.asks, .range = range},
      slot.test);
}

template <const Source& kSource, Result<NumberRange> (*kRange)(std::string_view)>
Expression ReadPoolNumber(ConditionReader& reader, const ConditionSlot& slot) {
  return ReadPool(reader, slot, kSource, kRange);
}

constexpr Condition kWorldConditions[] = {
    {"time",
     "map or list of maps",
     "it is now within this window, or one of these",
     &ReadTime,
     {},
     &ListConditionKeys<kTimeRows>},
    {"pool.NAME.in_flight",
     "integer, list or map of operators",
     "so many requests are at the servers of this pool now",
     &ReadPoolNumber<kInFlight, &ParseOneNumber>,
     {.number = true}},
    {"pool.NAME.servers_up",
     "percent, list or map of operators",
     "such a share of this pool's servers is healthy and not ejected",
     &ReadPoolNumber<kServersUp, &ParsePercentage>,
     {.number = true}},
    {"pool.NAME.queue",
     "integer, list or map of operators",
     "so many requests wait for their turn at this pool now",
     &ReadPoolNumber<kQueue, &ParseOneNumber>,
     {.number = true}},
    {"pool.NAME.utilisation",
     "percent, list or map of operators",
     "such a share of this pool's limit is in flight; only of a pool that has one",
     &ReadPoolNumber<kUtilisation, &ParsePercentage>,
     {.number = true}},
    {"pool.NAME.apdex",
     "percent, list or map of operators",
     "so satisfied were visitors with this pool in the last ten seconds",
     &ReadPoolNumber<kApdex, &ParsePercentage>,
     {.number = true}},
};

}  // namespace

std::span<const Condition> WorldConditions() {
  return kWorldConditions;
}

}  // namespace spillway

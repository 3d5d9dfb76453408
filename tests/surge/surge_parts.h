// SPDX-License-Identifier: MIT
// What the model origin and the crowd of users share: options as words on the command line, chance,
// quantiles, and the little of HTTP/1.1 that two programs need who trust each other's messages.
// For tests only: nothing here is strict.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "spillway/units.h"

namespace spillway::surge {

inline double Seconds(Duration span) {
  return std::chrono::duration<double>(span).count();
}

// `name=value` words; a name may come more than once.
class Options {
 public:
  Options(int count, char** words) {
    for (int i = 1; i < count; ++i) {
      const std::string_view word = words[i];
      const std::size_t at = word.find('=');
      if (at == std::string_view::npos) Fail(word);
      values_.emplace(word.substr(0, at), word.substr(at + 1));
    }
  }
  std::string Text(const std::string& name, const std::string& otherwise) {
    const auto found = values_.find(name);
    if (found == values_.end()) return otherwise;
    const std::string value = found->second;
    values_.erase(found);
    return value;
  }
  double Number(const std::string& name, double otherwise) {
    const std::string text = Text(name, "");
    return text.empty() ? otherwise : std::atof(text.c_str());
  }
  std::uint32_t Count(const std::string& name, std::uint32_t otherwise) {
    return static_cast<std::uint32_t>(Number(name, otherwise));
  }
  std::vector<std::string> All(const std::string& name) {
    std::vector<std::string> all;
    const auto [from, to] = values_.equal_range(name);
    for (auto each = from; each != to; ++each) all.push_back(each->second);
    values_.erase(from, to);
    return all;
  }
  // Once all have been read: what is left nobody knows.
  void Finish() const {
    if (!values_.empty()) Fail(values_.begin()->first);
  }

 private:
  [[noreturn]] static void Fail(std::string_view word) {
    std::fprintf(stderr, "unknown option %.*s\n", static_cast<int>(word.size()), word.data());
    std::exit(2);
  }
  std::multimap<std::string, std::string> values_;
};

inline std::vector<std::string> Split(const std::string& text, char by) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == by) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  double Uniform() { return std::uniform_real_distribution<double>(0, 1)(engine_); }
  double Exponential(double mean) { return -mean * std::log(1 - Uniform()); }
  // Of the same mean, with a tail: the 95th percentile is 2.5 times the mean.
  double Lognormal(double mean) {
    return mean * std::exp(0.7 * std::normal_distribution<double>(0, 1)(engine_) - 0.245);
  }
  std::uint32_t Below(std::uint32_t count) {
    return std::uniform_int_distribution<std::uint32_t>(0, count - 1)(engine_);
  }

 private:
  std::mt19937_64 engine_;
};

// 0 when there is none.
inline double Quantile(std::vector<float>* values, double share) {
  if (values->empty()) return 0;
  const auto last = static_cast<double>(values->size() - 1);
  const auto at = values->begin() + static_cast<std::ptrdiff_t>(share * last + 0.5);
  std::nth_element(values->begin(), at, values->end());
  return static_cast<double>(*at);
}

// A head that is here as a whole.
struct Message {
  std::string_view head;     // with the empty line
  std::uint64_t length = 0;  // of the body
  bool chunked = false;
  bool closes = false;

  // The value of a field, from `from` on; its name in lower case. nullopt: none.
  std::optional<std::string_view> Field(std::string_view name, std::size_t* from) const {
    while (*from < head.size()) {
      const std::size_t end = std::min(head.find("\r\n", *from), head.size());
      const std::string_view line = head.substr(*from, end - *from);
      *from = end + 2;
      if (line.size() <= name.size() || line[name.size()] != ':') continue;
      const bool same = std::equal(name.begin(), name.end(), line.begin(),
                                   [](char a, char b) { return a == (b | 0x20) || a == b; });
      if (!same) continue;
      std::string_view value = line.substr(name.size() + 1);
      while (value.starts_with(' ')) value.remove_prefix(1);
      return value;
    }
    return std::nullopt;
  }
  std::optional<std::string_view> Field(std::string_view name) const {
    std::size_t from = 0;
    return Field(name, &from);
  }
};

inline std::optional<Message> ReadMessage(std::string_view bytes) {
  const std::size_t end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  Message message;
  message.head = bytes.substr(0, end + 4);
  if (const auto length = message.Field("content-length")) {
    message.length = std::strtoull(std::string(*length).c_str(), nullptr, 10);
  }
  message.chunked = message.Field("transfer-encoding").has_value();
  message.closes = message.Field("connection").value_or("") == "close";
  return message;
}

// A word that stands in the origin's error page and nowhere else: who sees it has seen too much.
inline constexpr std::string_view kLeak = "shop_admin";

}  // namespace spillway::surge

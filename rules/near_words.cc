// SPDX-License-Identifier: MIT
// What was found and what is legal, in words; and which of the legal words was most likely meant.
#include <algorithm>
#include <cctype>
#include <numeric>

#include "rules/clip.h"
#include "spillway/diagnostics.h"

namespace spillway {
namespace {

constexpr std::size_t kMaxQuoted = 60;
constexpr std::size_t kMaxLegalShown = 40;
constexpr std::size_t kMinPart = 4;

// What other programs call things, and what it is called here.
struct OtherWord {
  std::string_view found, meant;
};
constexpr OtherWord kOtherWords[] = {
    {"accept", "allow"},
    {"agent", "user_agent"},
    {"ban", "deny"},
    {"block", "deny"},
    {"captcha", "pow"},
    {"client_ip", "client.address"},
    {"country", "client.country"},
    {"forbid", "deny"},
    {"grpc", "h2"},
    {"hostname", "host"},
    {"http/2", "h2"},
    {"http2", "h2"},
    {"http_user_agent", "user_agent"},
    {"ip", "client.address"},
    {"js", "pow"},
    {"location", "path"},
    {"log", "tag"},
    {"pass", "allow"},
    {"rate_limit", "limit"},
    {"ratelimit", "limit"},
    {"refuse", "deny"},
    {"reject", "deny"},
    {"remote_addr", "client.address"},
    {"request_uri", "path"},
    {"return", "respond"},
    {"server_name", "host"},
    {"skip", "allow"},
    {"source_ip", "client.address"},
    {"src", "client.address"},
    {"throttle", "limit"},
    {"ua", "user_agent"},
    {"upstream", "pool"},
    {"uri", "path"},
    {"url", "path"},
};

char Lower(char c) {
  return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

// How many letters must be changed, added, left out or swapped with their neighbour to make b of a
// (optimal string alignment); upper and lower case are the same.
std::size_t Distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      bool same = Lower(a[i - 1]) == Lower(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0u : 1u)});
      bool swapped = i > 1 && j > 1 && Lower(a[i - 1]) == Lower(b[j - 2]) &&
                     Lower(a[i - 2]) == Lower(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

// The legal word that `found` was most likely meant to be; empty when none is near.
std::string_view Nearest(std::string_view found, const std::vector<std::string>& legal) {
  std::string_view best;
  if (found.size() > kMaxQuoted) return best;
  for (const OtherWord& word : kOtherWords) {
    if (word.found != found) continue;
    if (std::find(legal.begin(), legal.end(), word.meant) != legal.end()) return word.meant;
  }
  std::size_t best_distance = std::max<std::size_t>(1, found.size() / 3) + 1;
  for (const std::string& word : legal) {
    if (word.size() > found.size() + best_distance) continue;
    std::size_t distance = Distance(found, word);
    if (distance >= best_distance || distance >= word.size()) continue;
    best_distance = distance;
    best = word;
  }
  if (!best.empty() || found.size() < kMinPart) return best;
  // "warn" for "warning", "SIGUSR1" for "USR1".
  for (const std::string& word : legal) {
    bool part =
        word.size() >= kMinPart && (found.find(word) != std::string_view::npos ||
                                    std::string_view(word).find(found) != std::string_view::npos);
    if (part) return word;
  }
  return {};
}

}  // namespace

std::string Quote(std::string_view found) {
  std::string_view clipped = Clip(found, kMaxQuoted);
  return "'" + OneLine(clipped) + (clipped.size() < found.size() ? "..." : "") + "'";
}

std::string ExpectedOneOf(std::string_view found, const std::vector<std::string>& legal) {
  if (legal.empty()) return {};
  std::string text = legal.size() == 1 ? "; expected " : "; expected one of ";
  for (std::size_t i = 0; i < legal.size(); ++i) {
    if (i > 0) text += ", ";
    if (i == kMaxLegalShown) {
      text += "...";
      break;
    }
    text += Clip(legal[i], kMaxQuoted);
  }
  std::string_view nearest = Nearest(found, legal);
  if (!nearest.empty()) text += " (did you mean '" + std::string(nearest) + "'?)";
  return text;
}

}  // namespace spillway

// SPDX-License-Identifier: MIT
// Rules judged as plainly as can be: one after the other, one value at a time, by std::string and
// one RE2 object for each expression. It knows nothing of the engine, shares no code with it, and
// is slow; the two must come to the same decisions.
//
// Rules are values here, and write themselves as the YAML that the engine reads.
#pragma once

#include <arpa/inet.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace spillway::naive {

using Texts = std::vector<std::string>;

struct Question {  // all fields are as the rules see them
  std::string method, path, query, host, scheme, protocol, ja4, certificate, client;
  std::vector<std::pair<std::string, std::string>> headers;
};

// One operator of a condition; op "" is a plain value.
struct Operation {
  std::string op;
  std::string argument = {};          // as it is written in YAML
  Texts values = {};                  // what that means, with lists in place of their names
  bool flag = true;                   // of present and absent
  std::vector<Operation> inner = {};  // of not
};

struct Entry;
struct Ask {  // a map under match
  std::vector<Entry> entries;
};
struct Entry {
  std::string key;                         // a condition, or all, any, not
  std::vector<Operation> operations = {};  // of a condition: all must hold
  std::vector<Ask> parts = {};             // of all, any and not
};

struct Rule {
  Ask match = {};                 // without entries: every request
  int toggle = -1;                // 0 or 1
  std::string mode = {};          // "", "shadow", "off"
  std::string final_action = {};  // as it is written; "": none
  std::string outcome = {};       // what a verdict with it is called
  bool challenge = false;
  Texts tags = {};
  std::vector<std::pair<std::string, std::string>> set_headers = {};
  int pool = -1;
};

// --- the texts of a request -------------------------------------------------

inline std::string Lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return text;
}

inline Texts Split(const std::string& text, char separator) {
  Texts parts(1);
  for (const char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

inline std::string Trim(std::string text) {
  while (!text.empty() && (text[0] == ' ' || text[0] == '\t')) text.erase(0, 1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.pop_back();
  return text;
}

inline std::string Decode(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && isxdigit(text[i + 1]) && isxdigit(text[i + 2])) {
      plain += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      plain += text[i] == '+' ? ' ' : text[i];
    }
  }
  return plain;
}

inline Texts HeaderLines(const Question& question, const std::string& name) {
  Texts lines;
  for (const auto& [key, value] : question.headers) {
    if (Lower(key) == Lower(name)) lines.push_back(value);
  }
  return lines;
}

inline Texts Cookies(const Question& question, const std::string& name) {
  Texts values;
  for (const std::string& line : HeaderLines(question, "cookie")) {
    for (const std::string& pair : Split(line, ';')) {
      const std::size_t equals = pair.find('=');
      if (equals == std::string::npos) continue;
      if (Trim(pair.substr(0, equals)) == name) values.push_back(Trim(pair.substr(equals + 1)));
    }
  }
  return values;
}

inline Texts Parameters(const Question& question, const std::string& name) {
  Texts values;
  for (const std::string& pair : Split(question.query, '&')) {
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::string value = equals == pair.size() ? "" : pair.substr(equals + 1);
    if (Decode(pair.substr(0, equals)) == name) values.push_back(Decode(value));
  }
  return values;
}

inline Texts Values(const Question& question, const std::string& key) {
  const auto unless_empty = [](const std::string& text) {
    return text.empty() ? Texts{} : Texts{text};
  };
  if (key == "method") return {question.method};
  if (key == "path") return {question.path};
  if (key == "scheme") return {question.scheme};
  if (key == "protocol") return {question.protocol};
  if (key == "host") return unless_empty(question.host);
  if (key == "tls.ja4") return unless_empty(question.ja4);
  if (key == "tls.client_certificate") return unless_empty(question.certificate);
  if (key == "client.address" || key == "sample") return {question.client};
  if (key == "header_count") return {std::to_string(question.headers.size())};
  if (key == "user_agent") return HeaderLines(question, "user-agent");
  if (key == "referer") return HeaderLines(question, "referer");
  if (key.starts_with("header.")) return HeaderLines(question, key.substr(7));
  if (key.starts_with("cookie.")) return Cookies(question, key.substr(7));
  return Parameters(question, key.substr(6));  // "query."
}

using Address = std::array<unsigned char, 16>;  // IPv4 in its mapped form

inline Address ParseAddress(const std::string& text) {
  Address address{};
  if (text.find(':') != std::string::npos) {
    inet_pton(AF_INET6, text.c_str(), address.data());
  } else {
    address[10] = address[11] = 0xff;
    inet_pton(AF_INET, text.c_str(), address.data() + 12);
  }
  return address;
}

// --- samples: SipHash-1-3 with 128 bits, after the paper --------------------

inline std::pair<std::uint64_t, std::uint64_t> SipHash(const std::string& bytes, std::uint64_t k0,
                                                       std::uint64_t k1) {
  std::uint64_t v0 = k0 ^ 0x736f6d6570736575, v1 = k1 ^ 0x646f72616e646f6d ^ 0xee;
  std::uint64_t v2 = k0 ^ 0x6c7967656e657261, v3 = k1 ^ 0x7465646279746573;
  const auto turn = [](std::uint64_t x, int by) { return x << by | x >> (64 - by); };
  const auto round = [&] {
    v0 += v1, v1 = turn(v1, 13) ^ v0, v0 = turn(v0, 32);
    v2 += v3, v3 = turn(v3, 16) ^ v2;
    v0 += v3, v3 = turn(v3, 21) ^ v0;
    v2 += v1, v1 = turn(v1, 17) ^ v2, v2 = turn(v2, 32);
  };
  std::string padded = bytes;
  while (padded.size() % 8 != 7) padded += '\0';
  padded += static_cast<char>(bytes.size());
  for (std::size_t at = 0; at < padded.size(); at += 8) {
    std::uint64_t word = 0;
    for (std::size_t i = 8; i-- > 0;) word = word << 8 | static_cast<unsigned char>(padded[at + i]);
    v3 ^= word, round(), v0 ^= word;
  }
  v2 ^= 0xee, round(), round(), round();
  const std::uint64_t low = v0 ^ v1 ^ v2 ^ v3;
  v1 ^= 0xdd, round(), round(), round();
  return {low, v0 ^ v1 ^ v2 ^ v3};
}

// `argument` is the percent alone: the salt is always "s".
inline bool IsSampled(const std::string& percent, const std::string& client) {
  const auto salt = SipHash("s", 0, 0);
  const Address address = ParseAddress(client);
  std::string bytes(address.begin(), address.end());
  if (client.find(':') != std::string::npos) bytes.replace(8, 8, 8, '\0');  // an IPv6 /64
  const auto part = SipHash(bytes, salt.first, salt.second).first % 100'000;
  return part < std::stoull(percent) * 1000;
}

// --- operators on one value -------------------------------------------------

inline bool Folds(const std::string& key) {
  return key == "host" || key == "user_agent" || key == "referer";
}

inline bool MatchesGlob(const char* glob, const char* text, const char* end) {
  if (*glob == '\0') return text == end;
  if (*glob == '*') {
    const bool any = glob[1] == '*';
    for (const char* rest = text;; ++rest) {
      if (MatchesGlob(glob + (any ? 2 : 1), rest, end)) return true;
      if (rest == end || (!any && *rest == '/')) return false;
    }
  }
  if (text == end || (*glob == '?' ? *text == '/' : *text != *glob)) return false;
  return MatchesGlob(glob + 1, text + 1, end);
}

inline bool MatchesExpression(const std::string& expression, const std::string& value, bool fold) {
  static std::map<std::pair<std::string, bool>, std::unique_ptr<RE2>> compiled;
  if (compiled.size() > 10'000) compiled.clear();
  std::unique_ptr<RE2>& one = compiled[{expression, fold}];
  if (one == nullptr) {
    RE2::Options options(RE2::Latin1);
    options.set_dot_nl(true);
    options.set_case_sensitive(!fold);
    one = std::make_unique<RE2>(expression, options);
  }
  return RE2::PartialMatch(value, *one);
}

// "https://user@Example.com:443/x" is example.com, and so are Example.com:443 and example.com.
inline std::optional<std::string> HostIn(std::string text) {
  if (const std::size_t slashes = text.find("://"); slashes != std::string::npos) {
    text = text.substr(slashes + 3);
    text = text.substr(0, text.find_first_of("/?#\\"));
    text = text.substr(text.rfind('@') + 1);
  }
  if (text.starts_with("[")) {
    const std::string port = text.substr(text.find(']') + 1);
    const bool is_port =
        port.starts_with(":") && port.find_first_not_of("0123456789", 1) == port.npos;
    if (!port.empty() && !is_port) return std::nullopt;
    return Lower(text.substr(1, text.find(']') - 1));
  }
  const std::size_t colon = std::min(text.find(':'), text.size());
  const std::string port = text.substr(colon);
  if (port.find_first_not_of(":0123456789") != std::string::npos) return std::nullopt;
  text.resize(colon);
  if (text.ends_with(".")) text.pop_back();
  if (text.empty() || text.find_first_of(" /?#@\\\xff\xc3\xa9") != std::string::npos) {
    return std::nullopt;
  }
  if (text.starts_with(".") || text.find("..") != std::string::npos) return std::nullopt;
  return Lower(text);
}

inline bool IsHost(const std::string& pattern, const std::string& host) {
  if (pattern.starts_with("*.")) {
    const std::string ending = Lower(pattern.substr(1));
    return host.size() > ending.size() && host.ends_with(ending);
  }
  return host == Lower(pattern);
}

inline bool IsInRange(const std::string& range, const std::string& client) {
  const std::size_t slash = range.find('/');
  const bool v6 = range.find(':') != std::string::npos;
  int bits = v6 ? 128 : 32;
  if (slash != std::string::npos) bits = std::stoi(range.substr(slash + 1));
  const Address base = ParseAddress(range.substr(0, slash)), address = ParseAddress(client);
  for (int i = 0; i < (v6 ? bits : 96 + bits); ++i) {
    const auto byte = static_cast<std::size_t>(i / 8);
    if (((base[byte] ^ address[byte]) >> (7 - i % 8) & 1) != 0) return false;
  }
  return true;
}

inline bool HoldsFor(const std::string& key, const std::string& op, const std::string& argument,
                     const std::string& value) {
  if (key == "client.address") return IsInRange(argument, value);
  if (key == "sample") return IsSampled(argument, value);
  if (op == "above") return std::stoi(value) > std::stoi(argument);
  if (op == "below") return std::stoi(value) < std::stoi(argument);
  if (key == "host" && (op.empty() || op == "host")) return IsHost(argument, value);
  if (op == "host") {
    const std::optional<std::string> host = HostIn(value);
    return host && IsHost(argument, *host);
  }
  if (op == "regex") return MatchesExpression(argument, value, Folds(key));
  const std::string a = Folds(key) ? Lower(argument) : argument;
  const std::string v = Folds(key) ? Lower(value) : value;
  if (op.empty()) return v == a;
  if (op == "prefix") return v.starts_with(a);
  if (op == "suffix") return v.ends_with(a);
  if (op == "contains") return v.find(a) != std::string::npos;
  return MatchesGlob(a.c_str(), v.data(), v.data() + v.size());  // "glob"
}

// --- conditions and rules ---------------------------------------------------

inline bool Holds(const std::string& key, const Operation& operation, const Question& question) {
  if (operation.op == "not") {
    for (const Operation& each : operation.inner) {
      if (!Holds(key, each, question)) return true;
    }
    return false;
  }
  const Texts values = Values(question, key);
  if (operation.op == "present") return values.empty() != operation.flag;
  if (operation.op == "absent") return values.empty() == operation.flag;
  for (const std::string& value : values) {
    for (const std::string& argument : operation.values) {
      if (HoldsFor(key, operation.op, argument, value)) return true;
    }
  }
  return false;
}

inline bool Holds(const Ask& ask, const Question& question);

inline bool Holds(const Entry& entry, const Question& question) {
  const auto holds = [&](const Ask& part) { return Holds(part, question); };
  if (entry.key == "any") return std::any_of(entry.parts.begin(), entry.parts.end(), holds);
  if (entry.key == "all") return std::all_of(entry.parts.begin(), entry.parts.end(), holds);
  if (entry.key == "not") return !holds(entry.parts[0]);
  for (const Operation& operation : entry.operations) {
    if (!Holds(entry.key, operation, question)) return false;
  }
  return true;
}

inline bool Holds(const Ask& ask, const Question& question) {
  for (const Entry& entry : ask.entries) {
    if (!Holds(entry, question)) return false;
  }
  return true;
}

// The decision in words: what is done, by which rule, and what else came of it.
inline std::string Judge(const std::vector<Rule>& rules, const Question& question,
                         const bool (&toggles)[2], bool has_pass) {
  std::string what = "forward", by = "none", matches, tags, headers;
  int pool = 0;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const Rule& rule = rules[i];
    if (rule.mode == "off" || (rule.toggle >= 0 && !toggles[rule.toggle])) continue;
    if (!Holds(rule.match, question)) continue;
    matches += " " + std::to_string(i) + rule.mode;
    if (rule.mode == "shadow") continue;
    for (const std::string& tag : rule.tags) tags += " " + tag;
    for (const auto& [name, value] : rule.set_headers) headers += " " + name + "=" + value;
    if (rule.pool >= 0) pool = rule.pool;
    if (rule.final_action.empty() || (rule.challenge && has_pass)) continue;
    what = rule.outcome;
    by = std::to_string(i);
    break;
  }
  return what + " by " + by + ", matches" + matches + ", tags" + tags + ", headers" + headers +
         ", pool " + std::to_string(pool);
}

// --- as YAML ----------------------------------------------------------------

inline std::string Quote(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "''" : std::string(1, c);
  return quoted + "'";
}

inline std::string Write(const std::vector<Operation>& operations) {
  if (operations.size() == 1 && operations[0].op.empty()) return operations[0].argument;
  std::string map;
  for (const Operation& each : operations) {
    map += (map.empty() ? "{ " : ", ") + each.op + ": " +
           (each.op == "not" ? Write(each.inner) : each.argument);
  }
  return map + " }";
}

inline std::string Write(const Ask& ask) {
  std::string map;
  for (const Entry& entry : ask.entries) {
    std::string test;
    if (entry.key == "not") {
      test = Write(entry.parts[0]);
    } else if (entry.parts.empty()) {
      test = Write(entry.operations);
    } else {
      for (const Ask& part : entry.parts) test += (test.empty() ? "[" : ", ") + Write(part);
      test += "]";
    }
    map += (map.empty() ? "{ " : ", ") + entry.key + ": " + test;
  }
  return map + " }";
}

inline std::string Write(const Rule& rule) {
  Texts actions;
  if (!rule.tags.empty()) {
    std::string list;
    for (const std::string& tag : rule.tags) list += (list.empty() ? "[" : ", ") + tag;
    actions.push_back("tag: " + list + "]");
  }
  for (const auto& [name, value] : rule.set_headers) {
    actions.push_back("set_header: { " + name + ": " + Quote(value) + " }");
  }
  if (rule.pool >= 0) actions.push_back(rule.pool == 0 ? "pool: app" : "pool: other");
  if (!rule.final_action.empty()) actions.push_back(rule.final_action);
  std::string text = "- { ";
  if (rule.toggle >= 0) text += rule.toggle == 0 ? "toggle: surge, " : "toggle: phones, ";
  if (!rule.mode.empty()) text += "mode: " + Quote(rule.mode) + ", ";
  if (!rule.match.entries.empty()) text += "match: " + Write(rule.match) + ", ";
  text += "action: { ";
  for (std::size_t i = 0; i < actions.size(); ++i) text += (i == 0 ? "" : ", ") + actions[i];
  return text + " } }\n";
}

}  // namespace spillway::naive

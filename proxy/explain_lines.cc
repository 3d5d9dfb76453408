// SPDX-License-Identifier: MIT
// Requests in bulk. A line that came alone is answered at once, so that two programs may talk; of those
// that come together the answers go out together.
#include <algorithm>
#include <istream>
#include <limits>
#include <ostream>

#include "proxy/explain.h"
#include "proxy/json.h"
#include "spillway/posed_request.h"

namespace spillway {
namespace {

bool Plain(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
  });
}

// Nothing where there is no such key.
Result<void> TakeText(const Json& line, const char* key, std::string* out) {
  const auto found = line.find(key);
  if (found == line.end() || found->is_null()) return {};
  if (!found->is_string()) return Fail(std::string(key) + " is not a text");
  *out = found->get_ref<const std::string&>();
  if (!Plain(*out)) return Fail(std::string(key) + " has control characters");
  return {};
}

Result<void> TakeField(const std::string& name, const Json& value, bool host_known,
                       RequestTexts* texts) {
  if (value.is_array()) {
    for (const Json& each : value) {
      if (each.is_array()) return Fail("the header field " + Quote(name) + " is not a text");
      if (auto taken = TakeField(name, each, host_known, texts); !taken) return taken;
    }
    return {};
  }
  if (!IsToken(name)) return Fail(Quote(name) + " is not the name of a header field");
  if (!value.is_string()) return Fail("the header field " + Quote(name) + " is not a text");
  const std::string& text = value.get_ref<const std::string&>();
  if (!Plain(text)) return Fail("the header field " + Quote(name) + " has control characters");
  if (!EqualsIgnoreCase(name, "host")) {
    texts->headers.emplace_back(name, TrimSpace(text));
  } else if (!host_known) {
    texts->host = text;
  }
  return {};
}

Result<void> TakeFields(const Json& line, RequestTexts* texts) {
  const auto headers = line.find("headers");
  if (headers == line.end() || headers->is_null()) return {};
  if (!headers->is_object()) return Fail("headers is not an object");
  const bool host_known = line.contains("host");
  for (const auto& [name, value] : headers->items()) {
    if (auto taken = TakeField(name, value, host_known, texts); !taken) return taken;
  }
  return {};
}

Result<void> TakeLine(const Json& line, RequestTexts* texts) {
  std::string client, country, network, verified_bot;
  const std::pair<const char*, std::string*> parts[] = {
      {"method", &texts->method},     {"path", &texts->target},
      {"host", &texts->host},         {"scheme", &texts->scheme},
      {"protocol", &texts->protocol}, {"client_ip", &client},
      {"country", &country},          {"asn", &network},
      {"verified_bot", &verified_bot}};
  for (const auto& [key, out] : parts) {
    if (auto taken = TakeText(line, key, out); !taken) return taken;
  }
  if (!IsToken(texts->method)) return Fail(Quote(texts->method) + " is not a method");
  if (!client.empty()) {
    const auto address = IpAddress::Parse(client);
    if (!address) return Fail("client_ip " + Quote(client) + " is not an address");
    texts->client = *address;
  }
  if (auto said = TakeSaid(country, network, verified_bot, &texts->said); !said) return said;
  return TakeFields(line, texts);
}

class Lines {
 public:
  Lines(const Config& config, Rehearsal& rehearsal) : config_(config), rehearsal_(rehearsal) {}

  // The answer to one line, as text.
  std::string Answer(std::string_view text) {
    const std::optional<Json> line = ParseJson(text);
    if (!line) return Wrong("not JSON");
    if (!line->is_object()) return Wrong("not a JSON object");
    Json answer = Json::object();
    if (const auto id = line->find("id"); id != line->end()) answer["id"] = *id;
    if (const Result<void> judged = Judge(*line, &answer); !judged) {
      answer["error"] = judged.error().message;
    }
    return DumpJson(answer);
  }

  static std::string Wrong(std::string_view why) { return DumpJson(Json{{"error", why}}); }

 private:
  Result<void> Judge(const Json& line, Json* answer) {
    RequestTexts texts = plain_;
    if (auto taken = TakeLine(line, &texts); !taken) return taken;
    if (auto posed = posed_.Pose(texts, config_.clients.ambiguous_paths); !posed) return posed;
    if (auto fresh = rehearsal_.Fresh(); !fresh) return fresh;
    rehearsal_.Say(std::move(texts.said));
    const Verdict& verdict = rehearsal_.Judge(posed_.request());
    (*answer)["action"] = ActionName(verdict.action);
    (*answer)["rule"] = nullptr;
    if (verdict.rule != kNoRule) (*answer)["rule"] = config_.policy->rules()[verdict.rule].name;
    return {};
  }

  const Config& config_;
  Rehearsal& rehearsal_;
  const RequestTexts plain_ = {};
  PosedRequest posed_;
};

}  // namespace

void ExplainLines(const Config& config, Rehearsal& rehearsal, std::istream& in, std::ostream& out) {
  Lines lines(config, rehearsal);
  std::vector<char> line(kMostLine + 1);
  while (in.getline(line.data(), static_cast<std::streamsize>(line.size())) || in.gcount() > 0) {
    const auto taken = static_cast<std::size_t>(in.gcount());
    if (in.fail()) {  // longer than there is room for
      in.clear();
      in.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
      out << Lines::Wrong("longer than 1 MiB") << '\n';
    } else {
      std::string_view text(line.data(), in.eof() ? taken : taken - 1);
      if (text.ends_with('\r')) text.remove_suffix(1);
      if (text.find_first_not_of(" \t") != std::string_view::npos) {
        out << lines.Answer(text) << '\n';
      }
    }
    if (in.eof()) break;
    if (in.rdbuf()->in_avail() <= 0) out.flush();
  }
  out.flush();
}

}  // namespace spillway

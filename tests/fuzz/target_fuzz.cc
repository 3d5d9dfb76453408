// SPDX-License-Identifier: MIT
// Request targets and hosts from anywhere: nothing crashes, and what is promised of the results
// holds.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "spillway/target.h"

namespace {

void Require(bool promise) {
  if (!promise) std::abort();
}

bool Inside(std::string_view part, std::string_view whole) {
  return part.empty() || part == "/" ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void CheckPath(std::string_view raw) {
  std::string path;
  if (!spillway::NormalisePath(raw, &path)) return Require(path.empty());
  Require(path.size() <= raw.size() + 1);
  if (path == "*") return;
  Require(path.starts_with('/'));
  Require(path.find('\0') == std::string::npos && path.find('\\') == std::string::npos);
  Require(path.find("//") == std::string::npos);
  const std::string closed = path + '/';
  Require(closed.find("/./") == std::string::npos && closed.find("/../") == std::string::npos);
  if (!spillway::RequireOneReading(raw)) return;
  // Nothing went from it: it has the slashes that it had, and to decode it again changes nothing.
  Require(std::count(path.begin(), path.end(), '/') == std::count(raw.begin(), raw.end(), '/'));
  std::string again;
  Require(spillway::NormalisePath(path, &again) && again == path);
}

void CheckHost(std::string_view raw) {
  std::string host;
  if (!spillway::NormaliseHost(raw, &host)) return Require(host.empty());
  Require(!host.empty());
  for (const char c : host)
    Require(c > ' ' && c < 0x7f && (c < 'A' || c > 'Z') && c != '/' && c != '@');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (const auto target = spillway::ParseTarget(input)) {
    Require(!target->raw_path.empty());
    Require(Inside(target->raw_path, input) && Inside(target->query, input) &&
            Inside(target->authority, input));
    CheckPath(target->raw_path);
    CheckHost(target->authority);
  }
  CheckPath(input);
  CheckHost(input);
  return 0;
}

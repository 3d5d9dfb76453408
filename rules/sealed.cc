// SPDX-License-Identifier: MIT
#include "rules/sealed.h"

#include <algorithm>

#include "rules/base64.h"

namespace spillway {

void PutBytes(std::uint64_t value, std::size_t bytes, std::string* out) {
  while (bytes-- > 0) out->push_back(static_cast<char>(value >> (8 * bytes) & 0xff));
}

std::uint64_t TakeBytes(std::size_t bytes, std::string_view* from) {
  std::uint64_t value = 0;
  for (; bytes > 0; --bytes, from->remove_prefix(1)) {
    value = value << 8 | static_cast<unsigned char>(from->front());
  }
  return value;
}

std::string MacText(const Mac& mac, std::string_view label, std::string_view payload) {
  std::string message(label);
  message += payload;
  const Digest digest = mac.HmacSha256(message);
  return EncodeBase64Url({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

std::string Seal(const Mac& mac, std::string_view label, std::string_view payload) {
  std::string text = EncodeBase64Url(payload);
  const std::string mac_text = MacText(mac, label, text);
  return text.append(".").append(mac_text);
}

std::optional<std::string> Unseal(const Mac& mac, std::string_view label, std::string_view sealed) {
  const std::size_t dot = sealed.find('.');
  if (sealed.size() > kLongestSealed || dot == std::string_view::npos) return {};
  // Texts are compared, not bytes: a second spelling of the same MAC is refused, too.
  if (!EqualInConstantTime(MacText(mac, label, sealed.substr(0, dot)), sealed.substr(dot + 1))) {
    return {};
  }
  return DecodeBase64Url(sealed.substr(0, dot));
}

std::uint64_t WholeSeconds(Duration span) {
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(span).count()));
}

}  // namespace spillway

// SPDX-License-Identifier: MIT
// Written after FoxIO's public description of JA4 (technical_details/JA4.md), with which published
// values are compared in the tests. Of the family only JA4 is free of conditions; the others are not
// here.
#include "proxy/ja4.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/crypto.h"

namespace spillway {
namespace {

using Bytes8 = std::span<const unsigned char>;

constexpr std::size_t kMostEntries = 512;
constexpr unsigned char kClientHello = 1;
constexpr std::uint16_t kServerName = 0x0000, kAlpn = 0x0010, kSupportedVersions = 0x002b,
                        kSignatureAlgorithms = 0x000d;
constexpr char kHex[] = "0123456789abcdef";

// Values that mean nothing, sent so that servers learn to pass over what they do not know (RFC
// 8701): 0x0a0a, 0x1a1a, ... 0xfafa.
bool IsGrease(std::uint16_t value) {
  return (value & 0x0f0f) == 0x0a0a && (value >> 8) == (value & 0xff);
}

// Takes numbers and pieces off the front. Once something is missing it gives nothing more.
class Reader {
 public:
  explicit Reader(Bytes8 bytes) : rest_(bytes) {}
  bool empty() const { return rest_.empty(); }
  bool good() const { return good_; }
  Bytes8 Take(std::size_t size) {
    if (size > rest_.size()) {
      good_ = false;
      rest_ = {};
      return {};
    }
    const Bytes8 taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  std::uint16_t Number(std::size_t bytes) {
    std::uint16_t value = 0;
    for (const unsigned char byte : Take(bytes)) {
      value = static_cast<std::uint16_t>(value << 8 | byte);
    }
    return value;
  }
  // A piece with its length before it.
  Bytes8 Piece(std::size_t length_bytes) { return Take(Number(length_bytes)); }

 private:
  Bytes8 rest_;
  bool good_ = true;
};

// Numbers without GREASE. On the stack: this runs once in a handshake.
struct Numbers {
  std::array<std::uint16_t, kMostEntries> values;
  std::size_t size = 0;
  bool full = false;

  void Add(std::uint16_t value) {
    if (IsGrease(value)) return;
    if (size == kMostEntries) {
      full = true;
    } else {
      values[size++] = value;
    }
  }
  void AddAll(Bytes8 bytes) {
    for (Reader reader(bytes); !reader.empty() && reader.good();) Add(reader.Number(2));
  }
  std::span<std::uint16_t> all() { return std::span(values).first(size); }
};

struct Hello {
  std::uint16_t version = 0;
  bool named = false;
  Bytes8 protocol;  // the first of ALPN
  Numbers suites, extensions, algorithms;
};

// One extension; true when all is well with it.
bool ReadExtension(std::uint16_t type, Bytes8 data, Hello* hello) {
  hello->extensions.Add(type);
  Reader reader(data);
  switch (type) {
    case kServerName:
      hello->named = true;
      break;
    case kAlpn:
      hello->protocol = Reader(reader.Piece(2)).Piece(1);
      break;
    case kSignatureAlgorithms:
      hello->algorithms.AddAll(reader.Piece(2));
      break;
    case kSupportedVersions: {
      std::uint16_t highest = 0;
      for (Reader list(reader.Piece(1)); !list.empty() && list.good();) {
        const std::uint16_t version = list.Number(2);
        if (!IsGrease(version)) highest = std::max(highest, version);
      }
      hello->version = highest;
      break;
    }
    default:
      break;
  }
  return reader.good();
}

bool ReadHello(Bytes8 bytes, Hello* hello) {
  Reader reader(bytes);
  if (reader.Number(1) != kClientHello) return false;
  reader.Take(3);  // the length of all
  hello->version = reader.Number(2);
  reader.Take(32);  // random
  reader.Piece(1);  // session
  hello->suites.AddAll(reader.Piece(2));
  reader.Piece(1);                                             // compression
  if (!reader.good() || reader.empty()) return reader.good();  // there may be no extensions at all
  for (Reader list(reader.Piece(2)); !list.empty();) {
    const std::uint16_t type = list.Number(2);
    const Bytes8 data = list.Piece(2);
    if (!list.good() || !ReadExtension(type, data, hello)) return false;
  }
  return reader.good() && !hello->suites.full && !hello->extensions.full && !hello->algorithms.full;
}

std::string_view VersionText(std::uint16_t version) {
  switch (version) {
    case 0x0304:
      return "13";
    case 0x0303:
      return "12";
    case 0x0302:
      return "11";
    case 0x0301:
      return "10";
    case 0x0300:
      return "s3";
    case 0x0002:
      return "s2";
    default:
      return "00";
  }
}

bool IsAlphanumeric(unsigned char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

// The first and the last character; of the bytes in hexadecimal where these are no letters or
// digits.
void AppendProtocol(Bytes8 protocol, std::string* out) {
  if (protocol.empty()) {
    *out += "00";
  } else if (IsAlphanumeric(protocol.front()) && IsAlphanumeric(protocol.back())) {
    *out += static_cast<char>(protocol.front());
    *out += static_cast<char>(protocol.back());
  } else {
    *out += kHex[protocol.front() >> 4];
    *out += kHex[protocol.back() & 15];
  }
}

void AppendCount(std::size_t count, std::string* out) {
  count = std::min<std::size_t>(count, 99);
  *out += static_cast<char>('0' + count / 10);
  *out += static_cast<char>('0' + count % 10);
}

void AppendList(std::span<const std::uint16_t> numbers, std::string* out) {
  bool first = true;
  for (const std::uint16_t number : numbers) {
    if (!std::exchange(first, false)) *out += ',';
    for (const int shift : {12, 8, 4, 0}) *out += kHex[number >> shift & 15];
  }
}

// The first twelve digits of its SHA-256; of nothing, zeros.
void AppendHash(std::string_view text, std::string* out) {
  if (text.empty()) {
    *out += "000000000000";
    return;
  }
  const Digest digest = OpenSslMac({}).Sha256(text);
  for (std::size_t i = 0; i < 6; ++i) {
    *out += kHex[digest[i] >> 4];
    *out += kHex[digest[i] & 15];
  }
}

}  // namespace

std::optional<Ja4Text> Ja4(std::span<const unsigned char> bytes) {
  Hello hello;
  if (!ReadHello(bytes, &hello)) return std::nullopt;
  std::string text = "t";
  text += VersionText(hello.version);
  text += hello.named ? 'd' : 'i';
  AppendCount(hello.suites.size, &text);
  AppendCount(hello.extensions.size, &text);
  AppendProtocol(hello.protocol, &text);

  const std::span<std::uint16_t> suites = hello.suites.all();
  std::sort(suites.begin(), suites.end());
  std::string list;
  AppendList(suites, &list);
  text += '_';
  AppendHash(list, &text);

  // The name and ALPN differ from one use of a program to the next.
  const std::span<std::uint16_t> extensions = hello.extensions.all();
  const auto end = std::remove_if(extensions.begin(), extensions.end(), [](std::uint16_t type) {
    return type == kServerName || type == kAlpn;
  });
  std::sort(extensions.begin(), end);
  list.clear();
  AppendList({extensions.begin(), end}, &list);
  if (hello.algorithms.size > 0) {
    list += '_';
    AppendList(hello.algorithms.all(), &list);
  }
  text += '_';
  AppendHash(list, &text);

  Ja4Text result;
  std::copy(text.begin(), text.end(), result.begin());
  return result;
}

}  // namespace spillway

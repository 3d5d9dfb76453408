// SPDX-License-Identifier: MIT
// What kinds of header fields a head has. Told apart once, by the parser; all that comes after asks
// by kind, and mostly for kinds that are not there: so a set of those that are is kept beside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway {

// Header fields that the proxy itself treats, told apart once by the parser. kOther: all the rest.
enum class Field : std::uint8_t {
  kOther,
  kHost,
  kContentLength,
  kTransferEncoding,
  kConnection,
  kKeepAlive,
  kProxyConnection,
  kTe,
  kTrailer,
  kUpgrade,
  kExpect,
  kDate,
  kServer,
  kVia,
  kForwarded,
  kXForwardedFor,
  kXForwardedProto,
  kXForwardedHost,
  kXRealIp,
  kXRequestId,
  kUserAgent,
  kReferer,
  kCookie,
  kAccept,
  kAcceptLanguage,
  kAuthorization,
  kRange,
  kIfRange,
  kSecFetchDest,
  kSecFetchMode,
  kHttp2Settings,
  kProxyAuthorization,
  kProxyAuthenticate,
  kOrigin,
  kRetryAfter,
  kCacheControl,
  kContentType,
  kMaxForwards,
  kGrpcTimeout,
  kXRequestTimeout,
  kSpillwayPressure,
  kSpillwayProtect,
};
Field ClassifyField(std::string_view name);

// Kinds of fields, a bit for each.
class FieldSet {
 public:
  constexpr FieldSet() = default;
  constexpr FieldSet(std::initializer_list<Field> fields) {
    for (const Field field : fields) Add(field);
  }
  constexpr void Add(Field field) { bits_ |= std::uint64_t{1} << static_cast<unsigned>(field); }
  constexpr bool Has(Field field) const { return (bits_ >> static_cast<unsigned>(field) & 1) != 0; }
  constexpr bool Meets(FieldSet other) const { return (bits_ & other.bits_) != 0; }
  constexpr friend FieldSet operator|(FieldSet left, FieldSet right) {
    left.bits_ |= right.bits_;
    return left;
  }

 private:
  std::uint64_t bits_ = 0;
};
static_assert(static_cast<unsigned>(Field::kSpillwayProtect) < 64, "the last of them");

// The kind of each field of a head, in order, as a container.
class FieldKinds {
 public:
  using value_type = Field;
  using const_iterator = const Field*;

  void push_back(Field field) {
    kinds_.push_back(field);
    all_.Add(field);
  }
  void reserve(std::size_t count) { kinds_.reserve(count); }
  void clear() {
    kinds_.clear();
    all_ = {};
  }
  void swap(FieldKinds& other) {
    kinds_.swap(other.kinds_);
    std::swap(all_, other.all_);
  }
  bool empty() const { return kinds_.empty(); }
  std::size_t size() const { return kinds_.size(); }
  std::size_t capacity() const { return kinds_.capacity(); }
  Field operator[](std::size_t i) const { return kinds_[i]; }
  const_iterator begin() const { return kinds_.data(); }
  const_iterator end() const { return kinds_.data() + kinds_.size(); }

  bool Has(Field field) const { return all_.Has(field); }
  bool HasAny(FieldSet of) const { return all_.Meets(of); }

 private:
  std::vector<Field> kinds_;
  FieldSet all_;
};

}  // namespace spillway

// SPDX-License-Identifier: MIT
// A request that nobody sent: it stands in a rule test, or somebody asks what would become of it. Where
// nothing is said it is a plain GET of "/" by nobody in particular.
// Thread rule: plain values; a PosedRequest belongs to one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "spillway/bots.h"
#include "spillway/identify_target.h"
#include "spillway/request.h"
#include "spillway/result.h"
#include "spillway/surroundings.h"

namespace spillway {

enum class AmbiguousPaths : std::uint8_t;  // spillway/config.h

// Whom a request is from when nothing is said: an address that is in no network.
inline constexpr std::string_view kSomebody = "198.51.100.1";

// What DNS and the files of addresses say of the client, as whoever asks says.
struct SaidOfClient {
  std::string country = {};  // two capital letters; empty: not known
  std::optional<std::uint32_t> network = {};
  BotCheck bot = BotCheck::kUnknown;  // when the user agent claims to be one
};

struct RequestTexts {
  std::string method = "GET";
  std::string target = "/";  // "/path?query"
  std::string host = "localhost";
  std::string scheme = "http";
  std::string protocol = "HTTP/1.1";
  std::string ja4 = {};
  std::string client_certificate = {};
  IpAddress client = *IpAddress::Parse(kSomebody);
  std::vector<std::pair<std::string, std::string>> headers = {};  // but Host, which is `host`
  SaidOfClient said = {};
};

// The surroundings of requests that nobody sent. Borrows the robots.
class PosedSurroundings final : public Surroundings {
 public:
  explicit PosedSurroundings(std::span<const BotConfig> bots) : bots_(bots) {}
  void Say(SaidOfClient said) { said_ = std::move(said); }
  std::optional<std::string_view> Country(const IpAddress& client) const override;
  std::optional<std::uint32_t> Network(const IpAddress& client) const override;
  std::optional<BotCheck> VerifiedBot(const Request& request) const override;

 private:
  std::span<const BotConfig> bots_;
  SaidOfClient said_;
};

// The Request that a live one with these texts would be, normalised in the same way.
class PosedRequest {
 public:
  PosedRequest() = default;
  PosedRequest(const PosedRequest&) = delete;
  PosedRequest& operator=(const PosedRequest&) = delete;

  // Borrows `texts` until the next call. The error says why a live one is answered with 400 before
  // any rule is asked.
  Result<void> Pose(const RequestTexts& texts, AmbiguousPaths ambiguous_paths);
  const Request& request() const { return request_; }

 private:
  Request request_;
  TargetTexts target_;
  std::vector<HeaderField> headers_;
};

}  // namespace spillway

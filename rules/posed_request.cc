// SPDX-License-Identifier: MIT
#include "spillway/posed_request.h"

#include "spillway/config.h"
#include "spillway/target.h"

namespace spillway {

std::optional<std::string_view> PosedSurroundings::Country(const IpAddress&) const {
  if (said_.country.empty()) return std::nullopt;
  return said_.country;
}

std::optional<std::uint32_t> PosedSurroundings::Network(const IpAddress&) const {
  return said_.network;
}

std::optional<BotCheck> PosedSurroundings::VerifiedBot(const Request& request) const {
  return ClaimedBot(bots_, request) == nullptr ? BotCheck::kNone : said_.bot;
}

Result<void> PosedRequest::Pose(const RequestTexts& texts, AmbiguousPaths ambiguous_paths) {
  headers_.clear();
  if (!texts.host.empty()) headers_.push_back({"Host", texts.host});
  for (const auto& [name, value] : texts.headers) headers_.push_back({name, value});
  request_ = {};
  request_.method = texts.method;
  request_.target = texts.target;
  request_.scheme = texts.scheme;
  request_.protocol = texts.protocol;
  request_.ja4 = texts.ja4;
  request_.client_certificate = texts.client_certificate;
  request_.headers = headers_;
  request_.client = texts.client;
  const Result<TargetToSend> to_send = IdentifyTarget(texts.host, &request_, &target_);
  if (!to_send) return Fail(to_send.error().message);
  if (ambiguous_paths == AmbiguousPaths::kPass) return {};
  return RequireOneReading(to_send->target.substr(0, to_send->target.find('?')));
}

}  // namespace spillway

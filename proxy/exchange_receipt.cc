// SPDX-License-Identifier: MIT
// What an exchange leaves behind of a refusal, for who asks about its id later.
#include <algorithm>

#include "proxy/client_side.h"
#include "proxy/exchange.h"

namespace spillway {

// Redirects, and answers that are no errors, are what a site does every day: they would push refusals
// out.
bool Exchange::LeavesReceipt(Decision decision) const {
  switch (decision) {
    case Decision::kDeny:
    case Decision::kLimit:
    case Decision::kChallenge:
    case Decision::kDrop:
      return true;
    case Decision::kRespond:
      return state_.status >= 400;
    default:
      return false;
  }
}

void Exchange::LeaveReceipt(Decision decision) {
  using Text = Receipt::Text;
  const Policy& policy = *state_.generation->shared->config.policy;
  const Request& request = state_.request;
  Receipt& receipt = worker_.receipts.Add(request_id_);
  receipt.when = state_.began_wall.time_since_epoch().count();
  receipt.generation = state_.generation->shared->number;
  receipt.rule = verdict_.rule;
  receipt.status = static_cast<std::uint16_t>(state_.status);
  receipt.decision = decision;
  receipt.https = request.scheme.size() == 5;
  receipt.protocol.fill(0);
  request.protocol.copy(receipt.protocol.data(), receipt.protocol.size());

  receipt.Set(Text::kClient, client_text_);
  if (verdict_.rule != kNoRule) {
    const RuleInfo& rule = policy.rules()[verdict_.rule];
    receipt.Set(Text::kRule, rule.name);
    receipt.Set(Text::kPlace, rule.place);
  }
  if (!verdict_.limits.empty() && !verdict_.limits.back().state.allowed)
    receipt.Set(Text::kLimit, policy.limits()[verdict_.limits.back().limit].name);
  receipt.Set(Text::kMethod, request.method);
  receipt.Set(Text::kHost, request.host);
  receipt.Set(Text::kPath, request.path);
  const RequestHead& head = client_.head();
  for (std::size_t i = 0; i < head.fields.size(); ++i) {
    // Of a field that comes twice the first; then the trace says so by its being cut.
    const auto keep = [&](Text text) {
      if (receipt.Get(text)) {
        receipt.cut_texts |= Receipt::Bit(text);
      } else {
        receipt.Set(text, head.headers[i].value);
      }
    };
    if (head.fields[i] == Field::kUserAgent) keep(Text::kUserAgent);
    if (head.fields[i] == Field::kReferer) keep(Text::kReferer);
    if (head.fields[i] == Field::kAcceptLanguage) keep(Text::kAcceptLanguage);
  }
  if (!request.ja4.empty()) receipt.Set(Text::kJa4, request.ja4);
  if (!request.query.empty()) receipt.Set(Text::kQuery, request.query);

  receipt.SetLimits(verdict_.limits);
  receipt.SetMatches(verdict_.matches);
  const std::size_t toggles = std::min(policy.toggles().size(), Receipt::kMostToggles);
  std::copy_n(state_.generation->toggles.get(), toggles, receipt.toggles.begin());
  receipt.toggles_size = static_cast<std::uint8_t>(toggles);
}

}  // namespace spillway

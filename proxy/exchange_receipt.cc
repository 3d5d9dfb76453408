// SPDX-License-Identifier: MIT
// What an exchange leaves behind of a refusal, for who asks about its id later. Costs 700 instructions,
// where a prepared answer to a limit takes 11,300 in all.
#include <algorithm>

#include "proxy/client_side.h"
#include "proxy/exchange.h"
#include "proxy/receipt_text.h"

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
  receipt.told_bot = state_.bot ? static_cast<std::uint8_t>(*state_.bot) + 1 : 0;
  receipt.protocol.fill(0);
  CopyShort(receipt.protocol.data(), request.protocol.data(),
            std::min(request.protocol.size(), receipt.protocol.size()));

  SetText(receipt, Text::kClient, client_text_);
  if (verdict_.rule != kNoRule) {
    const RuleInfo& rule = policy.rules()[verdict_.rule];
    SetText(receipt, Text::kRule, rule.name);
    SetText(receipt, Text::kPlace, rule.place);
  }
  if (!verdict_.limits.empty() && !verdict_.limits.back().state.allowed)
    SetText(receipt, Text::kLimit, policy.limits()[verdict_.limits.back().limit].name);
  SetText(receipt, Text::kMethod, request.method);
  SetText(receipt, Text::kHost, request.host);
  SetText(receipt, Text::kPath, request.path);
  const RequestHead& head = client_.head();
  // Of a field that comes twice the first; that it is not whole is said as of one that is cut.
  const auto keep = [&](Text text, std::string_view value) {
    if ((receipt.set_texts & Receipt::Bit(text)) != 0) {
      receipt.cut_texts |= Receipt::Bit(text);
    } else {
      SetText(receipt, text, value);
    }
  };
  for (std::size_t i = 0; i < head.fields.size(); ++i) {
    switch (head.fields[i]) {
      case Field::kUserAgent:
        keep(Text::kUserAgent, head.headers[i].value);
        break;
      case Field::kReferer:
        keep(Text::kReferer, head.headers[i].value);
        break;
      case Field::kAcceptLanguage:
        keep(Text::kAcceptLanguage, head.headers[i].value);
        break;
      default:
        break;
    }
  }
  if (!request.ja4.empty()) SetText(receipt, Text::kJa4, request.ja4);
  if (!request.query.empty()) SetText(receipt, Text::kQuery, request.query);

  receipt.SetLimits(verdict_.limits);
  receipt.SetMatches(verdict_.matches);
  const std::size_t toggles = std::min(policy.toggles().size(), Receipt::kMostToggles);
  std::copy_n(state_.generation->toggles.get(), toggles, receipt.toggles.begin());
  receipt.toggles_size = static_cast<std::uint8_t>(toggles);
}

}  // namespace spillway

// SPDX-License-Identifier: MIT
// What an exchange leaves behind of a refusal, for who asks about its id later. Costs 460 instructions,
// where a prepared answer to a limit takes 5,700 in all.
#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "proxy/client_side.h"
#include "proxy/exchange.h"
#include "proxy/receipt_text.h"

namespace spillway {
namespace {

// The text that a header field is kept as; kCount: it is not kept.
constexpr auto kTextOf = [] {
  std::array<Receipt::Text, 256> table{};
  table.fill(Receipt::Text::kCount);
  table[static_cast<std::size_t>(Field::kUserAgent)] = Receipt::Text::kUserAgent;
  table[static_cast<std::size_t>(Field::kReferer)] = Receipt::Text::kReferer;
  table[static_cast<std::size_t>(Field::kAcceptLanguage)] = Receipt::Text::kAcceptLanguage;
  return table;
}();

void WriteTexts(const Policy& policy, const Verdict& verdict, const Request& request,
                const RequestHead& head, std::string_view client, Receipt& receipt) {
  using Text = Receipt::Text;
  ReceiptPen pen(receipt);
  pen.Set(Text::kClient, client);
  if (verdict.rule != kNoRule) {
    const RuleInfo& rule = policy.rules()[verdict.rule];
    pen.Set(Text::kRule, rule.name);
    pen.Set(Text::kPlace, rule.place);
  }
  if (!verdict.limits.empty() && !verdict.limits.back().state.allowed)
    pen.Set(Text::kLimit, policy.limits()[verdict.limits.back().limit].name);
  pen.Set(Text::kMethod, request.method);
  pen.Set(Text::kHost, request.host);
  pen.Set(Text::kPath, request.path);
  const HeaderField* header = head.headers.data();
  for (const Field field : std::span(head.fields)) {
    const Text text = kTextOf[static_cast<std::size_t>(field)];
    if (text != Text::kCount) pen.SetFirst(text, header->value);
    ++header;
  }
  if (!request.ja4.empty()) pen.Set(Text::kJa4, request.ja4);
  if (!request.query.empty()) pen.Set(Text::kQuery, request.query);
}

}  // namespace

// Redirects, and answers that are no errors, are what a site does every day: they would push refusals
// out.
bool Exchange::LeavesReceipt(Decision decision) const {
  switch (decision) {
    case Decision::kDeny:
    case Decision::kLimit:
    case Decision::kChallenge:
    case Decision::kDrop:
    case Decision::kShed:
      return true;
    case Decision::kRespond:
      return state_.status >= 400;
    case Decision::kUpstreamError:
      return state_.turned_away;
    default:
      return false;
  }
}

void Exchange::LeaveReceipt(Decision decision) {
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
  receipt.protocol = {};
  CopyShort(receipt.protocol.data(), request.protocol.data(),
            std::min(request.protocol.size(), receipt.protocol.size()));
  WriteTexts(policy, verdict_, request, client_.head(), client_text_, receipt);

  receipt.shed = {};
  if (decision == Decision::kShed) {
    const AdmissionTicket& ticket = permit_->ticket();
    receipt.shed = {
        ticket.reason, ticket.ask.traffic_class, ticket.ask.cohort, ticket.ask.is_protected,
        static_cast<std::uint32_t>(
            std::chrono::duration_cast<std::chrono::milliseconds>(state_.queued).count())};
  }
  receipt.SetLimits(verdict_.limits);
  receipt.SetMatches(verdict_.matches);
  const std::size_t toggles = std::min(policy.toggles().size(), Receipt::kMostToggles);
  std::copy_n(state_.generation->toggles.get(), toggles, receipt.toggles.begin());
  receipt.toggles_size = static_cast<std::uint8_t>(toggles);
}

}  // namespace spillway

// SPDX-License-Identifier: MIT
#include "proxy/receipts.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "proxy/receipt_text.h"

namespace spillway {
namespace {

// A ring of them must not touch memory before it is written to.
static_assert(std::is_trivially_default_constructible_v<Receipt>);

}  // namespace

void Receipt::Set(Text text, std::string_view value) {
  ReceiptPen(*this).Set(text, value);
}

std::optional<std::string_view> Receipt::Get(Text text) const {
  const auto at = static_cast<std::size_t>(text);
  if ((set_texts & Bit(text)) == 0) return std::nullopt;
  return std::string_view(texts.data() + begins[at], sizes[at]);
}

void Receipt::SetLimits(std::span<const LimitOutcome> outcomes) {
  limits_cut = outcomes.size() > kMostLimits;
  if (limits_cut) outcomes = outcomes.last(kMostLimits);
  limits_size = static_cast<std::uint8_t>(outcomes.size());
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    const LimitState& state = outcomes[i].state;
    limits[i] = {state.retry_after.count(), state.reset.count(), state.remaining,
                 outcomes[i].limit,         state.allowed,       state.from_parent};
  }
}

void Receipt::SetMatches(std::span<const RuleMatch> rules) {
  matches_cut = rules.size() > kMostMatches;
  if (matches_cut) rules = rules.first(kMostMatches);
  matches_size = static_cast<std::uint8_t>(rules.size());
  for (std::size_t i = 0; i < rules.size(); ++i) matches[i] = rules[i].rule;
}

Receipts::Receipts(std::size_t most)
    : most_(most),
      marks_(std::make_unique<std::uint64_t[]>(most)),
      receipts_(std::make_unique_for_overwrite<Receipt[]>(most)) {}

std::uint64_t Receipts::MarkOf(std::string_view id) {
  std::uint64_t mark = 0;
  if (id.size() >= sizeof(mark)) {  // as ours are: one load
    std::memcpy(&mark, id.data() + (id.size() - sizeof(mark)), sizeof(mark));
    return mark;
  }
  std::memcpy(&mark, id.data(), id.size());
  return mark;
}

Receipt& Receipts::Add(std::string_view id) {
  const std::size_t at = added_++ & (most_ - 1);
  marks_[at] = MarkOf(id);
  Receipt& receipt = receipts_[at];
  receipt.set_texts = receipt.cut_texts = receipt.used = 0;
  receipt.toggles_size = receipt.matches_size = receipt.limits_size = 0;
  receipt.told_bot = 0;
  receipt.matches_cut = receipt.limits_cut = false;
  ReceiptPen(receipt).Set(Receipt::Text::kId, id);
  return receipt;
}

const Receipt* Receipts::Find(std::string_view id) const {
  const std::uint64_t mark = MarkOf(id);
  const std::uint64_t oldest = added_ > most_ ? added_ - most_ : 0;
  for (std::uint64_t i = added_; i-- > oldest;) {
    const std::size_t at = i & (most_ - 1);
    if (marks_[at] == mark && receipts_[at].Get(Receipt::Text::kId) == id) return &receipts_[at];
  }
  return nullptr;
}

FoundReceipt Receipts::Search(std::string_view id) const {
  FoundReceipt found;
  if (const Receipt* const exact = Find(id)) {
    found.receipt = *exact;
    found.whole = true;
    return found;
  }
  if (id.size() < kShortest) return found;
  const Receipt* newest = nullptr;
  const std::uint64_t oldest = added_ > most_ ? added_ - most_ : 0;
  for (std::uint64_t i = added_; i-- > oldest;) {
    const Receipt& receipt = receipts_[i & (most_ - 1)];
    if (!receipt.Get(Receipt::Text::kId)->starts_with(id)) continue;
    if (newest == nullptr) newest = &receipt;
    ++found.alike;
  }
  if (newest != nullptr) found.receipt = *newest;
  return found;
}

void FoundReceipt::Join(const FoundReceipt& other) {
  if (!other.receipt || (whole && !other.whole)) return;
  const std::size_t both = alike + other.alike;
  const bool better = !receipt || (other.whole && !whole) || other.receipt->when > receipt->when;
  if (better) *this = other;
  alike = whole ? 0 : both;
}

}  // namespace spillway

// SPDX-License-Identifier: MIT
// What a challenged client gets to see. A person's browser gets a page that solves the challenge by
// itself; all else gets a problem document that says where a page could solve it. Pure: texts in,
// an answer out. No page is larger than 12 kB, loads anything else, or may be stored.
#pragma once

#include <string_view>

#include "proxy/reply.h"
#include "spillway/verdict.h"

namespace spillway {

inline constexpr std::string_view kChallengePath = "/.spillway/challenge";

// Asks for what `ticket` demands. `safe_get`: the request was GET or HEAD, so its page may be asked
// for again afterwards. For documents: 403 with a page, or, for kind cookie, a redirect (307) that
// the caller adds the cookie to. For all else: 403 with Spillway-Mitigated and
// Spillway-Challenge-Url.
Answer ChallengeAnswer(const ChallengeDemand& demand, std::string_view ticket, Audience audience,
                       bool safe_get, const AnswerContext& context);

// Sentences for a person whose solution was not good, with a link to start over. `again` is an
// origin-form target of this site. The reason is one of CheckSolution's, "spent" or "cookies".
Answer ChallengeRefused(std::string_view reason, std::string_view again,
                        const AnswerContext& context);

}  // namespace spillway

// SPDX-License-Identifier: MIT
// Judges requests of which not all is known, such as one that was read from a log. What cannot be
// known is said and never guessed: a condition is true, false or unknown (Kleene), and a rule whose
// condition is unknown is undecided, with the reason. The rules behind it are judged as if it did
// not match.
//
//   match: { path: /a, header.x: b }     known: path         unknown: header.x
//     path is /c   ->  false, whatever header.x says
//     path is /a   ->  undecided: header.x
//
// All else is judged by Policy::Decide itself. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "spillway/policy.h"

namespace spillway {

// What is known of a request, or known to be missing from it. The method, the path and the client's
// address always are; cookies and passes of challenges never.
struct KnownFields {
  bool query = false, host = false, scheme = false, protocol = false;
  bool ja4 = false, client_certificate = false;
  std::vector<std::string> headers = {};  // lower case
};

// What is known of a server's answer. Its header fields never are.
struct KnownAnswer {
  enum class Is : std::uint8_t {
    kGiven,          // with `status`
    kRefused,        // the request did not get to a server: what that would have said is not known
    kPerhapsRefused  // nor is it known whether it did
  } is = Is::kGiven;
  int status = 0;
};

// A rule that would have been reached, and could not be decided.
struct UndecidedRule {
  std::uint32_t rule = 0;    // index into Policy::rules()
  std::uint32_t reason = 0;  // index into PartialJudge::reasons()
  bool shadow = false;
  // Had it matched, it might have ended the request, or charged a limit: what comes behind it is
  // less sure.
  bool weighs = false;
  friend bool operator==(const UndecidedRule&, const UndecidedRule&) = default;
};

class PartialJudge {
 public:
  // `toggles`, by index into Policy::toggles(): on, off or unknown.
  PartialJudge(std::shared_ptr<const Policy> policy, const KnownFields& known,
               std::span<const std::optional<bool>> toggles);
  ~PartialJudge();
  PartialJudge(PartialJudge&&) noexcept;

  // As Policy::Decide, but that facts.toggles and facts.left_out are its own. With facts.passes
  // null it is unknown who has a pass: a challenge that would be asked for is undecided.
  // *undecided, cleared first: rules in their order, of those that were reached.
  void Judge(const Request& request, const Facts& facts, TimePoint now, Verdict* verdict,
             std::vector<UndecidedRule>* undecided);

  // As Policy::JudgeResponse, of the request that was judged last, which went on. An answer that is not
  // known leaves all those rules undecided whose conditions on the request do not rule them out.
  // *undecided as above; none of them weighs, as what comes of the request is settled.
  std::span<const RuleMatch> JudgeResponse(const Request& request, const KnownAnswer& answer,
                                           const Facts& facts, TimePoint now, Verdict* verdict,
                                           std::vector<UndecidedRule>* undecided);

  // Why rules can be undecided: "header.accept-language", "toggle surge", "a pass".
  std::span<const std::string> reasons() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spillway

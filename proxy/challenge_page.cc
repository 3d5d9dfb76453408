// SPDX-License-Identifier: MIT
// The pages are filled from proxy/assets. Only values of known alphabets reach them unescaped:
// tickets (base64url and one dot) and numbers.
#include "proxy/challenge_page.h"

#include <initializer_list>
#include <utility>

#include "proxy/challenge_assets.h"
#include "proxy/html.h"
#include "proxy/reply_page.h"
#include "spillway/challenge.h"

namespace spillway {
namespace {

struct Part {
  std::string_view name, text;
};

// `page` with each {{name}} replaced. What is put in is not looked at again.
std::string Fill(std::string_view page, std::initializer_list<Part> parts) {
  std::string out;
  for (;;) {
    const std::size_t open = page.find("{{");
    out += page.substr(0, open);
    if (open == std::string_view::npos) return out;
    const std::size_t close = page.find("}}", open);
    const std::string_view name = page.substr(open + 2, close - open - 2);
    for (const Part& part : parts) {
      if (part.name == name) out += part.text;
    }
    page.remove_prefix(close + 2);
  }
}

// For problem documents: what JSON would have to escape is left out. Nothing of ours contains it.
std::string Plain(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c >= ' ' && c < '\x7f' && c != '"' && c != '\\') out += c;
  }
  return out;
}

void AddCommon(const AnswerContext& context, Answer* answer) {
  answer->Add("Cache-Control", "no-store");
  answer->Add("X-Content-Type-Options", "nosniff");
  answer->Add("X-Robots-Tag", "noindex");
  answer->Add("Referrer-Policy", "same-origin");
  if (!context.request_id.empty()) answer->Add("X-Request-Id", context.request_id);
}

// A whole page around `main`. The nonce lets our scripts and styles run, and nobody else's.
Answer Document(std::string_view title, std::string_view head, std::string_view main,
                std::string_view nonce, const AnswerContext& context) {
  Answer answer;
  answer.status = 403;
  answer.content_type = "text/html; charset=utf-8";
  AddCommon(context, &answer);
  const std::string source = "'nonce-" + std::string(nonce) + "'";
  answer.Add("Content-Security-Policy",
             "default-src 'none'; script-src " + source + "; style-src " + source +
                 "; worker-src blob:; child-src blob:; connect-src 'self'; form-action 'self'; "
                 "base-uri 'none'; frame-ancestors 'self'");
  std::string footer;
  if (!context.request_id.empty()) footer = "request " + EscapeHtml(ShortId(context.request_id));
  answer.body = Fill(
      assets::kLayout,
      {{"title", title}, {"head", head}, {"main", main}, {"nonce", nonce}, {"footer", footer}});
  return answer;
}

// New for each ticket, and unknown until it is issued, since it is part of the ticket's MAC.
std::string_view NonceOf(std::string_view ticket) {
  const std::size_t dot = ticket.find('.');
  return dot == std::string_view::npos ? "none" : ticket.substr(dot + 1, 22);
}

std::string WaitSeconds(const ChallengeDemand& demand) {
  // One more, since the browser counts from when it has read the page, and clocks are read in
  // steps.
  return std::to_string(std::chrono::ceil<std::chrono::seconds>(RefreshWait(demand)).count() + 1);
}

std::string TicketUrl(std::string_view ticket) {
  return std::string(kChallengePath) + "?ticket=" + std::string(ticket);
}

Answer Page(const ChallengeDemand& demand, std::string_view ticket, const AnswerContext& context) {
  const std::string wait = WaitSeconds(demand), bits = std::to_string(demand.bits);
  const std::string_view nonce = NonceOf(ticket);
  const bool work = demand.kind == ChallengeKind::kProofOfWork;
  std::string head = "<meta http-equiv=\"refresh\" content=\"" + wait +
                     ";url=" + TicketUrl(ticket) + "&amp;wait=1\">";
  head = work ? "<noscript>" + head + "</noscript>\n" : head + "\n";
  const std::string main =
      Fill(work ? assets::kWork : assets::kWait, {{"ticket", ticket},
                                                  {"bits", bits},
                                                  {"wait", wait},
                                                  {"nonce", nonce},
                                                  {"solver", assets::kSolver},
                                                  {"script", assets::kScript}});
  return Document("One moment, please", head, main, nonce, context);
}

Answer Problem(std::string_view title, std::string_view detail, const AnswerContext& context) {
  Answer answer;
  answer.status = 403;
  answer.content_type = "application/problem+json";
  AddCommon(context, &answer);
  answer.body = "{\"type\":\"about:blank\",\"title\":\"" + Plain(title) +
                "\",\"status\":403,\"detail\":\"" + Plain(detail) + "\"";
  if (!context.request_id.empty()) {
    answer.body += ",\"request_id\":\"" + Plain(context.request_id) + "\"";
  }
  answer.body += "}\n";
  return answer;
}

struct Words {
  std::string_view reason, text;
};

constexpr Words kWords[] = {
    {"expired", "The page was open for too long. Please start again."},
    {"forged", "What your browser sent is not what this site asked for. Please start again."},
    {"too early", "That was a little early. Please start again."},
    {"wrong nonce", "The sum that your browser did came out wrong. Please start again."},
    {"other client",
     "The answer came from another browser and another network than the one that was "
     "asked. Please start again."},
    {"spent", "This answer has been used already. Please start again."},
    {"cookies",
     "This site needs to leave a cookie to remember that it has seen your browser, but the "
     "cookie did not come back. Please allow cookies for this site and start again."},
};

}  // namespace

Answer ChallengeAnswer(const ChallengeDemand& demand, std::string_view ticket, Audience audience,
                       bool safe_get, const AnswerContext& context) {
  Answer answer;
  if (audience != Audience::kDocument || !safe_get) {
    answer =
        Problem("Challenge required",
                "This site asks browsers to show that they are browsers first. A page at the "
                "address in Spillway-Challenge-Url does that and sets a cookie; then ask again.",
                context);
    answer.Add("Spillway-Challenge-Url", TicketUrl(ticket));
  } else if (demand.kind == ChallengeKind::kCookie) {
    answer.status = 307;
    answer.content_type = "text/plain";
    AddCommon(context, &answer);
    answer.Add("Location", TicketUrl(ticket) + "&check=1");
  } else {
    answer = Page(demand, ticket, context);
  }
  answer.Add("Spillway-Mitigated", "challenge");
  return answer;
}

Answer ChallengeRefused(std::string_view reason, std::string_view again,
                        const AnswerContext& context) {
  std::string_view text = "That did not work. Please start again.";
  for (const Words& words : kWords) {
    if (words.reason == reason) text = words.text;
  }
  if (context.audience != Audience::kDocument) return Problem("Challenge failed", text, context);
  const std::string main = "<p>" + std::string(text) + "</p>\n<p><a href=\"" + EscapeHtml(again) +
                           "\">Start again</a></p>\n";
  // Without scripts, and so without anything that a nonce would have to be secret for.
  return Document("That did not work", "", main, "page", context);
}

}  // namespace spillway

// SPDX-License-Identifier: MIT
#include "proxy/reply_page.h"

#include <algorithm>
#include <cstring>

#include "proxy/html.h"
#include "proxy/http1.h"
#include "proxy/pen.h"

namespace spillway {
namespace {

// As long as it is with names of usual lengths: allocated at once.
constexpr std::size_t kUsualPage = 1792;

struct Words {
  std::string_view title, text;
};

Words WordsFor(Shortage shortage) {
  switch (shortage) {
    case Shortage::kCapacity:
      break;
    case Shortage::kServers:
      return {"Nobody here to answer",
              "This site knows of no server that could answer requests at the moment."};
    case Shortage::kHealth:
      return {"Out of order for the moment",
              "None of the servers behind this address is well at the moment."};
  }
  return {"Very busy right now", "There are more requests than can be answered at the moment."};
}

Words WordsFor(int status, Shortage shortage) {
  switch (status) {
    case 400:
      return {"That request made no sense", "Something in it could not be understood."};
    case 403:
      return {"No entry",
              "This request is not let through. If that looks wrong to you, tell the "
              "people who run this site, and give them the number below."};
    case 404:
      return {"Nothing here", "There is no page at this address."};
    case 405:
      return {"Not like that", "This address does not take such requests."};
    case 408:
      return {"That took too long", "The request did not arrive in time. Please try again."};
    case 413:
      return {"Too large", "What you sent is larger than this site takes."};
    case 414:
      return {"Too long", "The address you asked for is longer than this site takes."};
    case 429:
      return {"A little slower, please",
              "More requests came from you than this site answers in such a "
              "short time. Nothing is lost."};
    case 431:
      return {"Too much at once",
              "Your browser sent more header fields or cookies than this site takes. "
              "Deleting this site's cookies may help."};
    case 502:
      return {"No answer from the site", "The server behind this address gave no usable answer."};
    case 503:
      return WordsFor(shortage);
    case 504:
      return {"No answer in time", "The server behind this address took too long to answer."};
    default:
      break;
  }
  if (status < 500) return {"That did not work", "This request cannot be answered."};
  return {"Something went wrong", "The fault is on our side. Please try again later."};
}

// For people: "12 seconds", "3 minutes", "2 hours", rounded up.
void PutSpan(std::uint64_t seconds, Pen* pen) {
  const auto count = [pen](std::uint64_t n, std::string_view unit) {
    pen->Decimal(n).Put(' ').Put(unit);
    if (n != 1) pen->Put('s');
  };
  if (seconds <= 90) return count(seconds, "second");
  if (seconds <= 90 * 60) return count((seconds + 59) / 60, "minute");
  return count((seconds + 3599) / 3600, "hour");
}

// Which of the eight bytes of `word` need an escape in JSON: not 0 when one does. Each term is 0x80
// for the bytes that it looks for: those below 0x20, '"', '\\'. A borrow may mark a byte above one
// that is marked already, never one where none is.
constexpr std::uint64_t NeedsEscape(std::uint64_t word) {
  constexpr std::uint64_t kOnes = ~std::uint64_t{0} / 255;
  const std::uint64_t quote = word ^ kOnes * '"', backslash = word ^ kOnes * '\\';
  const std::uint64_t found = ((word - kOnes * 0x20) & ~word) | ((quote - kOnes) & ~quote) |
                              ((backslash - kOnes) & ~backslash);
  return found & kOnes * 0x80;
}

bool IsSpecial(char c) {
  return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20;
}

// How much of `text` is as it is in JSON too.
std::size_t PlainSize(std::string_view text) {
  std::size_t plain = 0;
  for (std::uint64_t word; plain + sizeof word <= text.size(); plain += sizeof word) {
    std::memcpy(&word, text.data() + plain, sizeof word);
    if (NeedsEscape(word) != 0) break;
  }
  while (plain < text.size() && !IsSpecial(text[plain])) ++plain;
  return plain;
}

void PutJsonText(std::string_view text, Pen* pen) {
  pen->Put('"');
  for (;;) {
    const std::size_t plain = PlainSize(text);
    pen->Put(text.substr(0, plain));
    if (plain == text.size()) break;
    const auto byte = static_cast<unsigned char>(text[plain]);
    text.remove_prefix(plain + 1);
    if (byte < 0x20) {
      constexpr char kDigits[] = "0123456789abcdef";
      pen->Put("\\u00").Put(kDigits[byte >> 4]).Put(kDigits[byte & 15]);
    } else {
      pen->Put('\\').Put(static_cast<char>(byte));
    }
  }
  pen->Put('"');
}

std::string_view ProblemType(const Trouble& trouble) {
  // Registered problem types of draft-ietf-httpapi-ratelimit-headers.
  if (!trouble.limit.empty())
    return "https://iana.org/assignments/http-problem-types#quota-exceeded";
  if (trouble.status == 503 && trouble.shortage == Shortage::kCapacity) {
    return "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
  }
  return "about:blank";
}

}  // namespace

void AppendHtmlPage(const Trouble& trouble, std::string* out) {
  const Words words = WordsFor(trouble.status, trouble.shortage);
  std::string& page = *out;
  page.reserve(kUsualPage);
  page +=
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"robots\" content=\"noindex\">\n<title>";
  AppendHtml(words.title, &page);
  page +=
      "</title>\n<style>\n:root { color-scheme: light dark; }\n"
      "body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 15vh auto; "
      "padding: 0 1.5rem; }\n"
      "h1 { font-size: 1.6rem; }\nfooter { opacity: .7; font-size: .9rem; overflow-wrap: anywhere; "
      "}\n"
      "</style>\n</head>\n<body>\n<main>\n<h1>";
  AppendHtml(words.title, &page);
  page += "</h1>\n<p>";
  AppendHtml(words.text, &page);
  if (trouble.retry_seconds > 0) {
    Pen pen(out);
    pen.Put(" Please try again in ");
    PutSpan(trouble.retry_seconds, &pen);
    pen.Put('.');
  }
  page += "</p>\n</main>\n<footer>" + std::to_string(trouble.status) + " ";
  AppendHtml(ReasonPhrase(trouble.status), &page);
  if (!trouble.request_id.empty()) {
    page += " &middot; request ";
    AppendHtml(ShortId(trouble.request_id), &page);
  }
  if (!trouble.rule.empty()) {
    page += " &middot; rule ";
    AppendHtml(trouble.rule, &page);
  }
  page += "</footer>\n</body>\n</html>\n";
}

std::string_view ShortId(std::string_view id) {
  constexpr std::size_t kOurs = 32, kShort = 10;
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  const bool ours = id.size() == kOurs && std::all_of(id.begin(), id.end(), is_digit);
  return ours ? id.substr(0, kShort) : id;
}

std::string JsonText(std::string_view text) {
  std::string out;
  {
    Pen pen(&out);
    PutJsonText(text, &pen);
  }
  return out;
}

// Our own words need no escapes (a test looks).
void AppendProblemDocument(const Trouble& trouble, std::string* out, Mould* mould) {
  Pen pen(out, mould);
  pen.Put("{\"type\":\"").Put(ProblemType(trouble)).Put("\",\"title\":\"");
  pen.Put(ReasonPhrase(trouble.status)).Put("\",\"status\":");
  pen.Decimal(static_cast<std::uint64_t>(trouble.status)).Put(",\"detail\":");
  if (trouble.detail.empty()) {
    pen.Put('"').Put(WordsFor(trouble.status, trouble.shortage).text).Put('"');
  } else {
    PutJsonText(trouble.detail, &pen);
  }
  if (!trouble.request_id.empty()) {
    pen.Put(",\"request_id\":\"").Value(Blank::kRequestId, trouble.request_id).Put('"');
  }
  if (!trouble.rule.empty()) {
    pen.Put(",\"rule\":");
    PutJsonText(trouble.rule, &pen);
  }
  if (!trouble.limit.empty()) {
    pen.Put(",\"violated-policies\":[").Put(trouble.limit).Put(']');
  }
  if (trouble.retry_seconds > 0) {
    pen.Put(",\"retry_after\":").Value(Blank::kRetry, trouble.retry_seconds);
  }
  pen.Put("}\n");
}

}  // namespace spillway

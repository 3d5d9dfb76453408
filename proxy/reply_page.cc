// SPDX-License-Identifier: MIT
#include "proxy/reply_page.h"

#include "proxy/http1.h"

namespace spillway {
namespace {

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

void AppendHtml(std::string_view text, std::string* out) {
  for (char c : text) {
    switch (c) {
      case '<':
        out->append("&lt;");
        break;
      case '>':
        out->append("&gt;");
        break;
      case '&':
        out->append("&amp;");
        break;
      case '"':
        out->append("&quot;");
        break;
      default:
        out->push_back(c);
    }
  }
}

// For people: "12 seconds", "3 minutes", "2 hours", rounded up.
std::string Span(std::uint64_t seconds) {
  const auto count = [](std::uint64_t n, const char* unit) {
    return std::to_string(n) + " " + unit + (n == 1 ? "" : "s");
  };
  if (seconds <= 90) return count(seconds, "second");
  if (seconds <= 90 * 60) return count((seconds + 59) / 60, "minute");
  return count((seconds + 3599) / 3600, "hour");
}

void AppendJsonText(std::string_view text, std::string* out) {
  constexpr char kHex[] = "0123456789abcdef";
  out->push_back('"');
  while (!text.empty()) {
    std::size_t plain = 0;
    while (plain < text.size() && text[plain] != '"' && text[plain] != '\\' &&
           static_cast<unsigned char>(text[plain]) >= 0x20) {
      ++plain;
    }
    out->append(text.substr(0, plain));
    if (plain == text.size()) break;
    const auto byte = static_cast<unsigned char>(text[plain]);
    text.remove_prefix(plain + 1);
    if (byte < 0x20) {
      out->append("\\u00").append({kHex[byte >> 4], kHex[byte & 15]});
    } else {
      out->append({'\\', static_cast<char>(byte)});
    }
  }
  out->push_back('"');
}

void AppendMember(std::string_view name, std::string_view text, std::string* out) {
  if (text.empty()) return;
  out->append(",\"").append(name).append("\":");
  AppendJsonText(text, out);
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

std::string HtmlPage(const Trouble& trouble) {
  const Words words = WordsFor(trouble.status, trouble.shortage);
  std::string page =
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
  if (trouble.retry_seconds > 0)
    page += " Please try again in " + Span(trouble.retry_seconds) + ".";
  page += "</p>\n</main>\n<footer>" + std::to_string(trouble.status) + " ";
  AppendHtml(ReasonPhrase(trouble.status), &page);
  if (!trouble.request_id.empty()) {
    page += " &middot; request ";
    AppendHtml(trouble.request_id, &page);
  }
  if (!trouble.rule.empty()) {
    page += " &middot; rule ";
    AppendHtml(trouble.rule, &page);
  }
  page += "</footer>\n</body>\n</html>\n";
  return page;
}

std::string ProblemDocument(const Trouble& trouble) {
  std::string json = "{\"type\":";
  AppendJsonText(ProblemType(trouble), &json);
  AppendMember("title", ReasonPhrase(trouble.status), &json);
  json += ",\"status\":" + std::to_string(trouble.status);
  const std::string_view usual = WordsFor(trouble.status, trouble.shortage).text;
  AppendMember("detail", trouble.detail.empty() ? usual : trouble.detail, &json);
  AppendMember("request_id", trouble.request_id, &json);
  AppendMember("rule", trouble.rule, &json);
  if (!trouble.limit.empty()) {
    json += ",\"violated-policies\":[";
    AppendJsonText(trouble.limit, &json);
    json += "]";
  }
  if (trouble.retry_seconds > 0)
    json += ",\"retry_after\":" + std::to_string(trouble.retry_seconds);
  json += "}\n";
  return json;
}

}  // namespace spillway

// SPDX-License-Identifier: MIT
// The patterns of the schema beside the loader: what is taken must look so.
#include <gtest/gtest.h>

#include <map>
#include <regex>

#include "config_text.h"

namespace spillway {
namespace {

std::map<std::string, Shape> Shapes() {
  std::map<std::string, Shape> shapes;
  for (Shape& shape : ListShapes()) {
    const std::string word = shape.word;
    EXPECT_TRUE(shapes.emplace(word, std::move(shape)).second) << word;
  }
  return shapes;
}

// Where a text of each shape may stand, "$" for the text in quotes, and texts good and bad.
struct Sample {
  const char* word;
  const char* place;
  std::vector<std::string> taken;
  std::vector<std::string> refused_by_both;
};

const std::string kPool = "version: 1\npools: { app: { servers: [\"a:1\"] } }\n";

const std::vector<Sample> kSamples = {
    {"integer",
     "clients: { max_requests: $ }\n",
     {"1", "10", "1000000000"},
     {"", "-1", "01", "1.5", "ten", "1 "}},
    {"duration",
     "toggles: { t: { max_on: $ } }\n",
     {"0s", "10s", "250ms", "1d2h3m4s5ms6us7ns", "1ns", "1us", "30d"},
     {"10", "0", "s", "01s", "1.5s", "10 s", "5x", "-1s", "1sec"}},
    {"size",
     "clients: { sizes: { body: $ } }\n",
     {"0", "100", "0B", "1B", "1kB", "1KB", "1KiB", "1MB", "1MiB", "1GB", "1GiB", "1TB", "1TiB"},
     {"-1", "4KB2", "0100", "big", "1 KiB", "KiB", "1kiB"}},
    {"rate",
     "limits: { l: { key: path, rate: $ } }\n",
     {"10/s", "30/m", "1000/h", "5/10s", "1/1m30s", "1/d", "1/h30m", "1000000000/1ms"},
     {"10", "/s", "10/", "10/fortnight", "0/s", "01/s", "1.5/s", "10/s "}},
    {"percent",
     "pools: { app: { servers: [\"a:1\"], ejection: { max_share: $ } } }\n",
     {"0%", "5%", "99%", "100%"},
     {"50", "101%", "-1%", "half", "05%", "%"}},
    {"share",
     "rules: [{ match: { sample: $ }, action: deny }]\n",
     {"5%", "100%", "0.001%", "12.5%", "005%"},
     {"", "5", "5 %", "1.2345%", "1.%", ".5%", "half", "-1%", "1000%"}},
    {"time of day",
     "rules: [{ match: { time: { from: $ } }, action: deny }]\n",
     {"08:00", "23:59", "00:01"},
     {"8:00", "08:60", "25:00", "24:01", "08.00", "noon", ""}},
    {"time zone",
     "rules: [{ match: { time: { from: \"01:00\", zone: $ } }, action: deny }]\n",
     {"UTC", "+02:00", "-03:30", "+14:00", "+00:00"},
     {"utc", "+2:00", "02:00", "+15:00", "Europe/Berlin", "CET", ""}},
    {"day",
     "rules: [{ match: { time: { days: $ } }, action: deny }]\n",
     {"mon", "sun"},
     {"Mon", "monday", "1", ""}},
    {"day and time",
     "tests: [{ name: n, expect: { action: forward }, time: $ }]\n",
     {"mon 00:00", "sat 23:30"},
     {"sat", "23:30", "sat 24:00", "sat  23:30", "Sat 23:30", "sat 9:30", ""}},
    {"name server",
     "bots: { nameservers: $ }\n",
     {"192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:53"},
     {"dns.example.com", "[2001:db8::1]", "unix:/a", ":x", "192.0.2.1:dns", ""}},
    {"country code",
     "geo: { country_file: c }\nrules: [{ match: { client.country: $ }, action: deny }]\n",
     {"DE", "us", "NO"},
     {"D", "DEU", "D1", ""}},
    {"AS number",
     "geo: { asn_file: a }\nrules: [{ match: { client.asn: $ }, action: deny }]\n",
     {"1", "AS64500", "4294967295"},
     {"0", "AS", "as1", "-1", "12345678901", ""}},
    {"status",
     "rules: [{ when: response, match: { response.status: $ }, action: { tag: a } }]\n",
     {"200", "404", "599", "2xx", "5xx"},
     {"199", "600", "1xx", "6xx", "40x", "ok", ""}},
    {"name",
     "rules: [{ name: $, action: deny }]\n",
     {"a", "A-b_c", "0", "404", std::string(64, 'x')},
     {"", "-a", "_a", "a b", "a.b", "b\xc3\xbc", std::string(65, 'x')}},
    {"word", "rules: [{ action: { tag: $ } }]\n", {"a", "404"}, {"a b", "-"}},
    {"path", "state_file: $\n", {"a", "/a b", "5"}, {""}},
    {"text", "toggles: { t: { description: $ } }\n", {"a", "\xc3\xbc", " "}, {""}},
    {"value", "rules: [{ match: { header.a: $ }, action: deny }]\n", {"", "a", "5", "true"}, {}},
    {"$list",
     "lists: { l: [a] }\nrules: [{ match: { header.a: $ }, action: deny }]\n",
     {"$l", "$$"},
     {}},
    {"listen address",
     "listeners: [{ address: $ }]\n",
     {":8080", ":0", "127.0.0.1:65535", "[::1]:8443", "[::ffff:1.2.3.4]:1", "unix:/a", "unix:/"},
     {"8080", "localhost:8080", "::1:8080", "[::1]", "[::1]8080", "*:80", ":http",
      "unix:", "unix:a", "http://1.2.3.4:80", ":080"}},
    {"server address",
     "pools: { app: { servers: $ } }\n",
     {"a:1", "app.example:3000", "_dns.a-b.c_d.:65535", "10.0.0.5:3000", "[2001:db8::1]:3000",
      "unix:/a b"},
     {"3000", ":3000", "app", "app:0", "-app:3000", "2001:db8::1:3000", "http://app:3000",
      "a b:1"}},
    {"address range",
     "clients: { trusted_proxies: $ }\n",
     {"10.0.0.0/8", "127.0.0.1", "2001:db8::/32", "::/0", "0.0.0.0/0", "::ffff:1.2.3.4"},
     {"everyone", "10.0.0.0/", "10.0.0.0/8/8", "10.0.0.0 /8", ""}},
    {"host name",
     "pools: { app: { servers: [\"a:1\"], tls: { server_name: $ } } }\n",
     {"app.example.com", "a_b", "x.", "5"},
     {"a b", "a/b", ""}},
    {"IP address",
     "pools: { app: { servers: [\"a:1\"], tls: { server_name: $ } } }\n",
     {"192.0.2.1", "2001:db8::1"},
     {}},
    {"host",
     "pools: { app: { servers: [\"a:1\"], host: $ } }\n",
     {"app.example.com:8080", "[::1]:80", "_", "5"},
     {"a b", "a/b", "", "a,b"}},
    {"header name",
     "clients: { address_header: $ }\n",
     {"X-A", "a!#$%&'*+.^_`|~", "5"},
     {"a b", "a:", "", "\xc3\xbc"}},
    {"cookie name",
     "challenge: { cookie: $ }\n",
     {"a", std::string(64, 'a')},
     {"my cookie", "a=b", "", std::string(65, 'a')}},
    {"path of a URL",
     "pools: { app: { servers: [\"a:1\"], health_check: { path: $ } } }\n",
     {"/", "/healthz?deep=1", "/~\"!$"},
     {"healthz", "/a b", "/a#b", "", "/\xc3\xbc"}},
    {"request path",
     "rules: [{ match: { path: $ }, action: deny }]\n",
     {"/", "*", "/a b", "/\xc3\xbc"},
     {"a", "", "*a", "**"}},
    {"URL or path of this site",
     "rules: [{ action: { redirect: $ } }]\n",
     {"/", "/new", "/a//b", "https://example.com", "HTTP://a/b?c#d"},
     {"example.com", "//evil.example", "/\\evil.example", "https://", "http:///a", "https://?",
      "javascript:x", ""}},
};

// As YAML quotes it: control characters and all.
std::string Quoted(const std::string& text) {
  std::string out = "'";
  for (char c : text) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + "'";
}

std::string Complaint(const Sample& sample, const std::string& text) {
  std::string file = sample.place;
  file.replace(file.find(": $") + 2, 1, Quoted(text));
  const bool pools = file.starts_with("pools");
  return Errors(LoadText((pools ? "version: 1\n" : kPool) + file));
}

bool LooksSo(const Shape& shape, const std::string& text) {
  return std::regex_search(text, std::regex(shape.pattern));
}

TEST(Shapes, WhatTheLoaderTakesLooksSo) {
  const auto shapes = Shapes();
  for (const Sample& sample : kSamples) {
    for (const std::string& text : sample.taken) {
      EXPECT_EQ(Complaint(sample, text), "") << sample.word << " " << text;
      EXPECT_TRUE(LooksSo(shapes.at(sample.word), text)) << sample.word << " " << text;
    }
  }
}

TEST(Shapes, WhatCannotBeMeantDoesNotLookSo) {
  const auto shapes = Shapes();
  for (const Sample& sample : kSamples) {
    for (const std::string& text : sample.refused_by_both) {
      EXPECT_NE(Complaint(sample, text), "") << sample.word << " " << text;
      EXPECT_FALSE(LooksSo(shapes.at(sample.word), text)) << sample.word << " " << text;
    }
  }
}

TEST(Shapes, AllHaveASampleAndASentence) {
  auto shapes = Shapes();
  for (const auto& [word, shape] : shapes) EXPECT_FALSE(shape.text.empty()) << word;
  for (const Sample& sample : kSamples) shapes.erase(sample.word);
  shapes.erase("pattern");  // what `include` finds is not in memory
  EXPECT_TRUE(shapes.empty()) << shapes.begin()->first;
}

}  // namespace
}  // namespace spillway

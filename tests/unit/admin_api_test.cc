// SPDX-License-Identifier: MIT
#include "proxy/admin_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/admin_views.h"
#include "proxy/ctl.h"
#include "tests/unit/fake_controls.h"

namespace spillway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kReadPaths[] = {"/",
                                      "/livez",
                                      "/readyz",
                                      "/ready",
                                      "/metrics",
                                      "/version",
                                      "/api/v1/status",
                                      "/api/v1/config",
                                      "/api/v1/rules",
                                      "/api/v1/toggles",
                                      "/api/v1/limits",
                                      "/api/v1/pools"};

class AdminApiTest : public testing::Test {
 protected:
  AdminRequest Request(const std::string& method, const std::string& path,
                       const std::string& body = "") {
    AdminRequest request;
    request.method = method;
    request.path = path.substr(0, path.find('?'));
    if (path.find('?') != std::string::npos) request.query = path.substr(path.find('?') + 1);
    request.headers = {{"Host", "127.0.0.1:9901"}};
    request.body = body;
    request.peer = "127.0.0.1";
    return request;
  }
  AdminReply Send(const AdminRequest& request) { return AdminApi(server_, guard_).Handle(request); }
  AdminReply Get(const std::string& path) { return Send(Request("GET", path)); }
  AdminReply Post(const std::string& path, const std::string& body = "") {
    return Send(Request("POST", path, body));
  }
  int StatusWith(const std::string& method, const std::string& name, const std::string& value) {
    AdminRequest request = Request(method, method == "GET" ? "/api/v1/status" : "/api/v1/reload");
    request.headers.insert(request.headers.begin(), {name, value});
    return Send(request).status;
  }

  FakeControls server_{kFakeSite};
  AdminGuard guard_;
};

TEST_F(AdminApiTest, EveryReadPathAnswersAndChangesNothing) {
  for (const char* path : kReadPaths) {
    const AdminReply reply = Get(path);
    EXPECT_EQ(reply.status, 200) << path;
    EXPECT_THAT(reply.body, Not(IsEmpty())) << path;
    const bool json = std::string_view(path).starts_with("/api");
    EXPECT_TRUE(!json || ParseJson(reply.body)) << path;
  }
  EXPECT_THAT(server_.done_, IsEmpty());
}

TEST_F(AdminApiTest, GetOfAToggleShowsItAndFlipsNothing) {
  for (const char* path : {"/api/v1/toggles/surge", "/api/v1/toggles/surge?on=true"}) {
    const AdminReply reply = Get(path);
    EXPECT_EQ(reply.status, 200) << path;
    EXPECT_EQ(*ParseJson(reply.body), ViewToggle(server_, server_.toggles_[0])) << path;
  }
  EXPECT_EQ(Get("/api/v1/toggles/none").status, 404);
  EXPECT_THAT(server_.done_, IsEmpty());
}

TEST_F(AdminApiTest, GetOfAVerbIsRefusedWithAllow) {
  for (const char* path : {"/api/v1/reload", "/api/v1/drain", "/api/v1/config/check"}) {
    const AdminReply reply = Get(path);
    EXPECT_EQ(reply.status, 405) << path;
    EXPECT_THAT(reply.headers,
                testing::Contains(std::pair<std::string, std::string>("Allow", "POST")));
  }
  EXPECT_THAT(server_.done_, IsEmpty());
  EXPECT_FALSE(server_.draining_);
}

TEST_F(AdminApiTest, PostToAPageIsRefused) {
  EXPECT_EQ(Post("/api/v1/status").status, 405);
  EXPECT_EQ(Send(Request("DELETE", "/api/v1/toggles/surge")).status, 405);
  EXPECT_EQ(Get("/etc/passwd").status, 404);
}

TEST_F(AdminApiTest, ReadinessFailsWhileDrainingAndLivenessDoesNot) {
  EXPECT_EQ(Post("/api/v1/drain").status, 202);
  EXPECT_EQ(Get("/readyz").status, 503);
  EXPECT_EQ(Get("/ready").status, 503);
  EXPECT_EQ(Get("/livez").status, 200);
}

TEST_F(AdminApiTest, ReloadTellsWhoAndWhatIsWrong) {
  EXPECT_EQ(Post("/api/v1/reload").status, 200);
  EXPECT_THAT(server_.done_, ElementsAre("reload by admin (127.0.0.1)"));
  server_.reload_error_ = "site.yaml:3:1: unknown key 'pool'\n";
  const AdminReply reply = Post("/api/v1/reload");
  EXPECT_EQ(reply.status, 422);
  EXPECT_EQ(TextAt(*ParseJson(reply.body), "error"), server_.reload_error_);
}

TEST_F(AdminApiTest, TogglesTakeJsonOrAQuery) {
  EXPECT_EQ(Post("/api/v1/toggles/surge", R"({"on":true,"for":"30m","reason":"launch"})").status,
            200);
  EXPECT_TRUE(server_.toggles_[0].on);
  EXPECT_EQ(server_.toggles_[0].reason, "launch");
  EXPECT_EQ(server_.toggles_[0].until, server_.wall_now() + 30min);
  EXPECT_EQ(Post("/api/v1/toggles/surge?on=false&reason=all+is%20well").status, 200);
  EXPECT_FALSE(server_.toggles_[0].on);
  EXPECT_EQ(server_.toggles_[0].reason, "all is well");
}

TEST_F(AdminApiTest, AnOrderForLongerThanMaxOnSaysWhatItGot) {
  server_.generation_.config.toggles[0].max_on = 2h;
  const Json cut = *ParseJson(Post("/api/v1/toggles/surge", R"({"on":true,"for":"5h"})").body);
  EXPECT_EQ(cut["note"], "cut to 2h by max_on of this toggle; asked for were 5h");
  EXPECT_THAT(FormatForPeople("toggle", cut), HasSubstr("\ncut to 2h by max_on"));
  for (const char* order : {R"({"on":true,"for":"2h"})", R"({"on":true})", R"({"on":false})"}) {
    const Json whole = *ParseJson(Post("/api/v1/toggles/surge", order).body);
    EXPECT_FALSE(whole.contains("note")) << order;
  }
}

TEST_F(AdminApiTest, BadToggleOrdersAreRefusedWithAReason) {
  const std::tuple<const char*, const char*, int, const char*> kCases[] = {
      {"/api/v1/toggles/sruge?on=true", "", 404, "sruge"},
      {"/api/v1/toggles/surge", "", 400, "`on` is missing"},
      {"/api/v1/toggles/surge?on=maybe", "", 400, "true or false"},
      {"/api/v1/toggles/surge?on=true&for=soon", "", 400, "`for`"},
      {"/api/v1/toggles/surge?on=true&until=x", "", 400, "unknown parameter 'until'"},
      {"/api/v1/toggles/surge", "on=true", 400, "not a JSON object"},
      {"/api/v1/toggles/surge", R"({"on":1})", 400, "`on`"},
  };
  for (const auto& [path, body, status, why] : kCases) {
    const AdminReply reply = Post(path, body);
    EXPECT_EQ(reply.status, status) << path << body;
    EXPECT_THAT(reply.body, HasSubstr(why)) << path << body;
  }
  EXPECT_THAT(server_.done_, IsEmpty());
}

TEST_F(AdminApiTest, TheTokenIsNeededForAllButProbes) {
  guard_.token = "correct horse";
  EXPECT_EQ(Get("/api/v1/status").status, 401);
  EXPECT_EQ(Get("/metrics").status, 401);
  EXPECT_EQ(Get("/livez").status, 200);
  EXPECT_EQ(Get("/readyz").status, 200);
  EXPECT_EQ(StatusWith("GET", "Authorization", "Bearer correct horse"), 200);
  EXPECT_EQ(StatusWith("GET", "Authorization", "Bearer correct hors"), 401);
  EXPECT_EQ(StatusWith("GET", "Authorization", "Bearer "), 401);
  EXPECT_EQ(StatusWith("GET", "Authorization", "correct horse"), 401);
  EXPECT_EQ(StatusWith("POST", "Authorization", "bearer correct horse"), 200);
}

TEST_F(AdminApiTest, OtherOriginsAreRefused) {
  EXPECT_EQ(StatusWith("POST", "Origin", "http://127.0.0.1:9901"), 200);
  EXPECT_EQ(StatusWith("POST", "Origin", "http://evil.example"), 403);
  EXPECT_EQ(StatusWith("POST", "Origin", "http://127.0.0.1:8000"), 403);
  EXPECT_EQ(StatusWith("GET", "Origin", "null"), 403);
}

TEST_F(AdminApiTest, RequestsOfOtherSitesPagesAreRefused) {
  EXPECT_EQ(StatusWith("POST", "Sec-Fetch-Site", "cross-site"), 403);
  EXPECT_EQ(StatusWith("POST", "Sec-Fetch-Site", "same-site"), 403);
  EXPECT_EQ(StatusWith("POST", "Sec-Fetch-Site", "same-origin"), 200);
  EXPECT_EQ(StatusWith("GET", "Sec-Fetch-Site", "cross-site"), 200);  // a link to the page
  EXPECT_EQ(StatusWith("POST", "Content-Type", "application/x-www-form-urlencoded"), 403);
  EXPECT_EQ(StatusWith("POST", "Content-Type", "text/plain;charset=utf-8"), 403);
  EXPECT_EQ(StatusWith("POST", "Content-Type", "application/json"), 200);
}

TEST_F(AdminApiTest, OnLoopbackTheHostMustBeAnAddressOrLocalhost) {
  for (const char* host :
       {"127.0.0.1", "127.0.0.1:9901", "[::1]:9901", "localhost:9901", "LOCALHOST"}) {
    EXPECT_EQ(StatusWith("GET", "Host", host), 200) << host;
  }
  for (const char* host :
       {"evil.example", "evil.example:9901", "", "localhost.evil.example", "[::1"}) {
    EXPECT_EQ(StatusWith("GET", "Host", host), 400) << host;
  }
  guard_.place = AdminPlace::kUnix;
  AdminRequest request = Request("GET", "/api/v1/status");
  request.headers.clear();
  EXPECT_EQ(Send(request).status, 200);
}

TEST_F(AdminApiTest, TheConfigurationNamesSecretsOnlyByFile) {
  guard_.token.clear();
  server_.reload_.ok = false;
  server_.reload_.error = "line one\nline two";
  const Json config = *ParseJson(Get("/api/v1/config").body);
  EXPECT_EQ(config["admin"]["token_file"], "secret.token");
  EXPECT_EQ(config["generation"], 3);
  EXPECT_EQ(config["reload"]["error"], "line one\nline two");
  EXPECT_EQ(config["pools"][0]["servers"][0]["address"], "127.0.0.1:3000");
}

// Where a key of the file is shown in the view; empty: elsewhere, or it is no value of its own.
std::string PlaceInView(const std::string& key) {
  const std::pair<const char*, const char*> kElsewhere[] = {
      {"version", ""},
      {"include", ""},
      {"lists", ""},
      {"lists.NAME.file", ""},
      {"rules", "rules"},
      {"log", "log_level"},
      {"log.level", "log_level"},
      {"pools.NAME.errors.page", "pools.NAME.errors.own_page"},
      {"listeners[].tls.certificate", "listeners[].tls.certificates[].certificate"},
      {"listeners[].tls.key", "listeners[].tls.certificates[].key"},
      {"listeners[].tls.ocsp", "listeners[].tls.certificates[].ocsp"},
  };
  for (const auto& [name, place] : kElsewhere) {
    if (key == name) return place;
  }
  if (key.starts_with("rules[].")) return "";  // rules have a view of their own
  if (key.starts_with("tests[].")) return "";  // they are told by their number
  return key;
}

TEST(ViewConfig, ShowsEveryKeyThatAFileMayHold) {
  FakeControls server(R"(version: 1
listeners: [{ address: ":8443", tls: { certificate: a, key: b, client_certificates: { ca: c } } }]
pools: { app: { servers: ["127.0.0.1:3000"], balance: hash, tls: {}, health_check: { path: / } } }
toggles: { surge: { signal: USR1 } }
limits: { per-client: { key: client.address, rate: 10/s } }
)");
  const Json view = ViewConfig(server);
  for (const Kind& kind : ListKinds()) {
    const std::string place = kind.group == "key" ? PlaceInView(kind.name) : "";
    const Json* at = place.empty() ? nullptr : &view;
    for (std::string_view rest = place; at != nullptr && !rest.empty();) {
      std::string part(rest.substr(0, rest.find('.')));
      rest.remove_prefix(std::min(rest.size(), part.size() + 1));
      if (part.ends_with("[]")) part.resize(part.size() - 2);
      if (part != "NAME") {
        ASSERT_TRUE(at->contains(part)) << kind.name;
        at = &at->at(part);
      }
      if (at->is_array() && !rest.empty()) {
        ASSERT_FALSE(at->empty()) << kind.name;
        at = &at->front();
      }
    }
  }
  EXPECT_EQ(view["challenge"]["kind"], "pow");
  EXPECT_EQ(view["challenge"]["bits"], 14);
  EXPECT_EQ(view["challenge"]["pass"], "30m");
  EXPECT_EQ(view["toggles"][0]["signal"], "USR1");
}

TEST_F(AdminApiTest, ViewsTellNumbers) {
  server_.generation_.rule_counters[0][0]->enforced.Add(5);
  server_.counters_.connections_open.Add(3);
  EXPECT_EQ(ParseJson(Get("/api/v1/rules").body)->at("rules")[0]["matches"], 5);
  EXPECT_EQ(ParseJson(Get("/api/v1/rules").body)->at("rules")[2]["toggle"], "surge");
  EXPECT_EQ(ParseJson(Get("/api/v1/rules").body)->at("rules")[2]["when"], "request");
  EXPECT_EQ(ParseJson(Get("/api/v1/limits").body)->at("limits")[0]["capacity"], 1024);
  EXPECT_EQ(ParseJson(Get("/api/v1/pools").body)->at("pools")[0]["servers"][0]["up"], true);
  const Json status = *ParseJson(Get("/api/v1/status").body);
  EXPECT_EQ(status["connections"]["open"], 3);
  EXPECT_EQ(status["uptime_seconds"], 60.0);
}

TEST_F(AdminApiTest, TheStatusPageEscapesAndHasNoScript) {
  server_.toggles_[0].reason = "<script>alert(1)</script>";
  server_.reload_.ok = false;
  server_.reload_.error = "<img src=x>";
  const AdminReply page = Get("/");
  EXPECT_THAT(page.body, Not(HasSubstr("<script")));
  EXPECT_THAT(page.body, Not(HasSubstr("<img")));
  EXPECT_THAT(page.content_type, HasSubstr("text/html"));
}

TEST_F(AdminApiTest, CtlPrintsEveryAnswerForPeople) {
  server_.toggles_[0].on = true;
  const std::pair<std::string, const char*> kCases[] = {
      {"status", "running, ready"}, {"toggles", "surge"},        {"rules", "bad-bots"},
      {"limits", "per-client"},     {"pools", "127.0.0.1:3000"}, {"config", "secret.token"}};
  for (const auto& [verb, part] : kCases) {
    const Json answer = *ParseJson(Get("/api/v1/" + verb).body);
    EXPECT_THAT(FormatForPeople(verb, answer), HasSubstr(part)) << verb;
  }
}

TEST(FormatForPeople, TellsOfPoolsWithALimitHowTheyStand) {
  const Json pools = *ParseJson(
      R"({"pools":[{"name":"app","servers":[],"admission":{"limit":50,"in_flight":12,"apart":4,"protected":1,
          "queued":{"critical":3,"sheddable":0},"shed":{"critical":{"queue full":2}},
          "pressed":true,"lowest_class":"sheddable","admit_share":0.25,
          "culprits":[{"route":"GET /report","in_flight":4,"allowed":2,"reason":"hangs"}]}},
          {"name":"static","servers":[],"admission":null,"hold":{"state":"up"}}]})");
  const std::string text = FormatForPeople("pools", pools);
  EXPECT_THAT(text, HasSubstr("12 of 50 in flight, 4 apart, 1 protected; queued: critical 3; shed: "
                              "2 critical queue full; "
                              "overloaded: 25.0 % of sheddable is served; GET /report is held to 2 "
                              "places, as it hangs"));
  EXPECT_THAT(text, Not(HasSubstr("pool static")));
}

TEST(FormatForPeople, BearsAnswersItDoesNotUnderstand) {
  for (const char* verb :
       {"status", "toggles", "toggle", "rules", "limits", "pools", "config", "reload"}) {
    for (const char* text : {"{}", "[]", "null", "3", R"({"rules":7,"pools":[3],"toggles":"x"})"}) {
      FormatForPeople(verb, *ParseJson(text));
    }
  }
}

TEST_F(AdminApiTest, ExplainsRefusalsByTheirIds) {
  Receipt& receipt = server_.receipts_.Add("edge/7");
  receipt.when = 0;
  receipt.generation = 1;
  receipt.rule = 0;
  receipt.status = 403;
  receipt.decision = Decision::kDeny;
  receipt.https = false;
  receipt.protocol.fill(0);
  EXPECT_EQ(Get("/api/v1/explain/edge%2F7").status, 200);
  EXPECT_EQ(Get("/api/v1/explain/edge%2F8").status, 404);
  EXPECT_EQ(Get("/api/v1/explain/").status, 404);
  EXPECT_EQ(Post("/api/v1/explain/edge%2F7").status, 405);
  server_.workers_answer_ = false;
  EXPECT_EQ(Get("/api/v1/explain/edge%2F7").status, 200);  // who has it did answer
  EXPECT_EQ(Get("/api/v1/explain/edge%2F8").status, 503);
}

}  // namespace
}  // namespace spillway

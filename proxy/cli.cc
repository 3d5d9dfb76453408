// SPDX-License-Identifier: MIT
#include "proxy/cli.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <ostream>
#include <sstream>

#include "proxy/admin.h"
#include "proxy/check.h"
#include "proxy/ctl.h"
#include "proxy/ctl_client.h"
#include "proxy/explain.h"
#include "proxy/files.h"
#include "proxy/json.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/replay_command.h"
#include "proxy/schema.h"
#include "proxy/server.h"
#include "proxy/table.h"
#include "proxy/version.h"

namespace spillway {
namespace {

constexpr int kDone = 0, kFailed = 1, kUsage = 2;

constexpr char kExamples[] = R"(Examples:
  SPILLWAY_LISTEN=:8080 SPILLWAY_UPSTREAM=127.0.0.1:3000 spillway run
  spillway run -c /etc/spillway/spillway.yaml
  spillway check site.yaml && spillway test site.yaml
  spillway explain -c site.yaml -A curl/8.0 https://example.com/admin
  spillway ctl toggle surge on --for 30m --reason "launch"
  spillway ctl --admin unix:/run/spillway/admin.sock status

Signals to `run`: HUP reload, TERM drain and exit, INT exit at once; USR1, USR2 as toggles bind them.)";

// What was typed, and what the environment says where nothing was.
struct Options {
  std::string config, run_file;
  std::vector<std::string> check_files, test_files;
  std::string admin, token_file;
  CtlOrder order;
  ExplainOrder explain;
  std::string wanted_state;
  bool readiness = false;
  bool kinds_json = false, kinds_tsv = false;
  bool included = false;
  ReplayOrder replay;
};

std::string Variable(const CliWorld& world, const char* name) {
  const auto found = world.environment.find(name);
  return found == world.environment.end() ? "" : found->second;
}

// -c, then $SPILLWAY_CONFIG, then the usual place if there is a file; empty: the environment alone.
std::string ConfigPath(const Options& options, const CliWorld& world) {
  if (!options.config.empty()) return options.config;
  if (std::string path = Variable(world, "SPILLWAY_CONFIG"); !path.empty()) return path;
  return ::access(world.default_config.c_str(), F_OK) == 0 ? world.default_config : "";
}

int Run(const Options& options, const CliWorld& world) {
  log::Init(log::Level::kInfo);
  Loop loop;
  const std::string path = options.run_file.empty() ? ConfigPath(options, world) : options.run_file;
  Server server(loop, {path, world.environment, world.seed, world.manager});
  if (const Result<void> started = server.Start(); !started) {
    const std::string& why = started.error().message;
    world.err << (why.find('\n') == std::string::npos ? "spillway: " + why + "\n" : why);
    return kFailed;
  }
  loop.Run();
  return kDone;
}

int Check(const Options& options, const CliWorld& world) {
  std::vector<std::string> files = options.check_files;
  if (files.empty()) files.push_back(ConfigPath(options, world));
  int code = kDone;
  for (const std::string& file : files) {
    const Result<Checked> checked = CheckConfig(file, world.environment);
    const std::string name = file.empty() ? "environment" : file;
    if (checked) {
      world.err << checked->warnings;
      world.out << name << ": ok (" << checked->summary << ")\n";
      if (checked->has_tests) {
        world.out << "its tests have not been run; that does: spillway test"
                  << (file.empty() ? "" : " " + file) << "\n";
      }
      continue;
    }
    const std::string& why = checked.error().message;
    world.err << why << (why.ends_with('\n') ? "" : "\n");
    code = kFailed;
  }
  return code;
}

int Test(const Options& options, const CliWorld& world) {
  std::vector<std::string> files = options.test_files;
  if (files.empty()) files.push_back(ConfigPath(options, world));
  int code = kDone;
  for (const std::string& file : files) {
    const Result<Tested> tested = TestConfig(file, world.environment);
    if (!tested) {
      const std::string& why = tested.error().message;
      world.err << why << (why.ends_with('\n') ? "" : "\n");
      code = kFailed;
      continue;
    }
    const std::size_t failed = tested->failures.size();
    world.err << Format(tested->failures);
    if (failed > 0) code = kFailed;
    std::ostream& out = failed > 0 ? world.err : world.out;
    out << (file.empty() ? "environment" : file) << ": " << tested->tests
        << (tested->tests == 1 ? " test, " : " tests, ");
    if (failed > 0) {
      out << failed << " failed\n";
    } else {
      out << (tested->tests > 0 ? "all pass\n" : "nothing to do\n");
    }
  }
  return code;
}

int ExplainRequest(const Options& options, const CliWorld& world) {
  const auto config = LoadConfig(ConfigPath(options, world), SystemFiles(), world.environment);
  if (!config) {
    world.err << Format(config.error());
    return kFailed;
  }
  std::istringstream nothing;
  std::istream& in = world.in != nullptr ? *world.in : nothing;
  const Result<void> told =
      Explain(options.explain, *config, world.seed, Loop().wall_now(), in, world.out);
  if (told) return kDone;
  world.err << "spillway: " << told.error().message << "\n";
  return kUsage;
}

// Where the admin side is, and the token for it: as typed, else as the configuration says. A
// configuration that cannot be loaded (it may have been broken since the start) leaves the
// defaults.
struct AdminTarget {
  SocketAddress address;
  std::string token;
};

Result<AdminTarget> FindAdmin(const Options& options, const CliWorld& world) {
  std::string typed = options.admin, token_file = options.token_file;
  if (typed.empty() && options.config.empty()) typed = Variable(world, "SPILLWAY_ADMIN");
  if (token_file.empty()) token_file = Variable(world, "SPILLWAY_ADMIN_TOKEN_FILE");
  AdminTarget target;
  if (!typed.empty()) {
    if (typed == "off") return Fail("the admin address is off (SPILLWAY_ADMIN)");
    Result<SocketAddress> address = ParseSocketAddress(typed, true);
    if (!address) return Fail("admin address '" + typed + "': " + address.error().message);
    target.address = std::move(*address);
  } else {
    const std::string path = ConfigPath(options, world);
    const auto config = path.empty() ? tl::expected<Config, Diagnostics>(Config())
                                     : LoadConfig(path, SystemFiles(), world.environment);
    AdminConfig admin;
    admin.address = *ParseSocketAddress("127.0.0.1:9901", true);
    if (!config) {
      world.err << "spillway: " << path << " cannot be loaded; trying " << admin.address->text
                << "\n";
    } else if (!path.empty()) {
      admin = config->admin;
    }
    if (!admin.address) return Fail("the admin address is off in " + path);
    target.address = *admin.address;
    if (token_file.empty()) token_file = admin.token_file;
  }
  if (token_file.empty()) return target;
  Result<std::string> token = ReadTokenFile(token_file);
  if (!token) return Fail(token.error().message);
  target.token = std::move(*token);
  return target;
}

int Ctl(const Options& options, const CliWorld& world) {
  const Result<AdminTarget> admin = FindAdmin(options, world);
  if (!admin) {
    world.err << "spillway: " << admin.error().message << "\n";
    return kCtlUsage;
  }
  CtlOrder order = options.order;
  if (order.verb == "toggle" && !order.forecast && options.wanted_state.empty()) {
    world.err << "spillway: STATE is missing: on or off (or --forecast, to see what on would do)\n";
    return kCtlUsage;
  }
  order.on = options.wanted_state == "on";
  return RunCtl(order, admin->address, admin->token, world.out, world.err);
}

int HealthCheck(const Options& options, const CliWorld& world) {
  const Result<AdminTarget> admin = FindAdmin(options, world);
  if (!admin) {
    world.err << "spillway: " << admin.error().message << "\n";
    return kFailed;
  }
  const std::string path = options.readiness ? "/readyz" : "/livez";
  const Result<CtlAnswer> answer =
      AskAdmin(admin->address, admin->token, "GET", path, "", std::chrono::seconds(3));
  if (!answer) {
    world.err << "spillway: " << answer.error().message << "\n";
    return kFailed;
  }
  world.out << answer->body;
  return answer->status == 200 ? kDone : kFailed;
}

int Kinds(const Options& options, const CliWorld& world) {
  const std::vector<Kind> kinds = ListKinds();
  if (options.kinds_json) {
    Json list = Json::array();
    for (const Kind& kind : kinds) {
      list.push_back({{"group", kind.group},
                      {"name", kind.name},
                      {"type", kind.type},
                      {"default", kind.fallback},
                      {"text", kind.text}});
    }
    world.out << DumpJson(list, 2) << "\n";
    return kDone;
  }
  std::vector<std::vector<std::string>> rows = {{"GROUP", "NAME", "TYPE", "DEFAULT", "TEXT"}};
  for (const Kind& kind : kinds) {
    rows.push_back({kind.group, kind.name, kind.type, kind.fallback, kind.text});
  }
  if (!options.kinds_tsv) {
    world.out << FormatTable(rows);
    return kDone;
  }
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) world.out << (i == 0 ? "" : "\t") << row[i];
    world.out << "\n";
  }
  return kDone;
}

int Schema(const Options& options, const CliWorld& world) {
  const SchemaOf what = options.included ? SchemaOf::kIncludedFile : SchemaOf::kFile;
  world.out << DumpJson(MakeSchema(ListKinds(), ListShapes(), what), 1) << "\n";
  return kDone;
}

CLI::Option* AddConfigOption(CLI::App* command, Options* options) {
  return command->add_option("-c,--config", options->config,
                             "configuration file (default: $SPILLWAY_CONFIG, then "
                             "/etc/spillway/spillway.yaml, then the environment alone)");
}

void AddAdminOptions(CLI::App* command, Options* options) {
  command->add_option("--admin", options->admin,
                      "admin address, 127.0.0.1:9901 or unix:/path (default: $SPILLWAY_ADMIN, then "
                      "the configuration's)");
  command->add_option("--token-file", options->token_file,
                      "file with the bearer token (default: $SPILLWAY_ADMIN_TOKEN_FILE, then the "
                      "configuration's)");
  AddConfigOption(command, options);
}

void AddCtl(CLI::App* app, Options* options) {
  CLI::App* ctl = app->add_subcommand("ctl", "ask or tell a running spillway");
  ctl->require_subcommand(1);
  ctl->footer("Exit codes: 0 done, 1 refused (the reason is printed), 2 usage, 3 cannot reach it.");
  AddAdminOptions(ctl, options);
  ctl->add_flag("--json", options->order.json, "print the answer as JSON");
  const auto add = [&](const char* verb, const char* text) {
    CLI::App* command = ctl->add_subcommand(verb, text);
    command->fallthrough();  // ctl's options may stand after the verb
    command->callback([options, verb] { options->order.verb = verb; });
    return command;
  };
  add("status", "what runs, since when, and how it does");
  add("config", "the configuration in force, without secrets");
  add("rules", "rules with how often they matched");
  add("limits", "limits with how full their tables are");
  add("pools", "upstream servers with their health");
  add("toggles", "toggles with their states");
  CLI::App* toggle = add("toggle", "switch a toggle");
  toggle->add_option("NAME", options->order.toggle, "the toggle")->required();
  CLI::Option* state = toggle->add_option("STATE", options->wanted_state, "on or off")
                           ->check(CLI::IsMember({"on", "off"}));
  toggle
      ->add_flag("--forecast", options->order.forecast,
                 "switch nothing; say what switching it on would do")
      ->excludes(state);
  toggle->add_option("--for", options->order.hold, "switch it off again after this time: 30m");
  toggle->add_option("--reason", options->order.reason, "why, for the log and the status");
  add("explain", "why a request was refused, by the id that its answer tells")
      ->add_option("ID", options->order.id, "the id: X-Request-Id")
      ->required();
  add("reload", "load the configuration anew; refused as a whole when it has an error");
  add("check", "check the configuration file that a reload would take");
  add("drain", "finish what is under way, then exit");
}

CLI::App* AddExplain(CLI::App* app, Options* options) {
  CLI::App* explain =
      app->add_subcommand("explain", "say what would become of a request, and which rule decides");
  ExplainOrder& order = options->explain;
  explain->footer(
      "Without a URL and --request, the request is read from the standard input as it would come\n"
      "over a connection. Nothing is sent, and no running spillway is asked: toggles stand by "
      "their\n"
      "default, and every limit has all its room.");
  explain->add_option("URL", order.target, "a URL, or a path of this site");
  explain->add_option("--request", order.request, "the request's first line: 'GET /path?x=1'");
  explain->add_option("-X,--method", order.method, "the method");
  // Each takes one, or the URL behind it would be taken for another.
  explain->add_option("-H,--header", order.headers, "a header field: 'Accept: text/html'")
      ->allow_extra_args(false);
  explain->add_option("-A,--user-agent", order.user_agent, "the User-Agent");
  explain->add_option("-e,--referer", order.referer, "the Referer");
  explain->add_option("-b,--cookie", order.cookie, "the Cookie field: 'a=1; b=2'");
  explain->add_option("--client-address", order.client_address,
                      "who asks (default: 198.51.100.1); a trusted proxy is asked for whom");
  explain->add_option("--country", order.country, "where the client's address is: DE");
  explain->add_option("--asn", order.network, "whose network it is in: AS64500");
  explain
      ->add_option("--verified-bot", order.verified_bot,
                   "what DNS says of a user agent that claims to be a robot (default: unknown)")
      ->check(CLI::IsMember({"yes", "forged", "unknown"}));
  explain->add_option("--scheme", order.scheme, "http or https")
      ->check(CLI::IsMember({"http", "https"}));
  explain->add_option("--protocol", order.protocol, "HTTP/1.0, HTTP/1.1 or HTTP/2.0")
      ->check(CLI::IsMember({"HTTP/1.0", "HTTP/1.1", "HTTP/2.0"}));
  explain->add_option("--toggle", order.toggles, "how a toggle stands: surge=on")
      ->allow_extra_args(false);
  explain->add_option("--at", order.at, "when: 2026-01-31T12:00:00Z (default: now)");
  explain->add_flag("--pass", order.pass, "the client has passed every challenge");
  explain->add_flag("--protected", order.is_protected,
                    "the visitor is in the middle of something (the action protect): it is not "
                    "challenged");
  explain->add_flag("--jsonl", order.jsonl,
                    "judge many: a JSON object a line in (id, method, path, host, client_ip, "
                    "headers, country, asn, verified_bot), one out (id, action, rule)");
  AddConfigOption(explain, options);
  return explain;
}

constexpr char kReplayHelp[] =
    R"(The clock is the log's own, limits begin empty, and nothing is served. What a
log does not hold is not guessed: a rule that looks at it is undecided, and the
rules behind it are judged as if it did not match. Several logs are read in the
order of their times.

Examples:
  spillway replay -c new.yaml /var/log/nginx/access.log
  spillway replay -c new.yaml --against old.yaml access.log access.log.2.gz
  zcat -f access.log* | spillway replay -c site.yaml --toggle surge=on --json -)";

void AddReplay(CLI::App* app, Options* options) {
  ReplayOrder* replay = &options->replay;
  CLI::App* command =
      app->add_subcommand("replay", "say what the rules would have done to an access log");
  command->footer(kReplayHelp);
  command
      ->add_option(
          "LOG", replay->logs,
          "access logs: combined (nginx, Apache, spillway) or spillway's JSON, also packed "
          "by gzip; - is standard input")
      ->required();
  AddConfigOption(command, options);
  command->add_option("--against", replay->against,
                      "the configuration to compare with, such as the one in force");
  command
      ->add_option("--toggle", replay->toggles,
                   "NAME=on or NAME=off: a toggle's state, unknown otherwise; as often as needed")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command
      ->add_option("--passes", replay->passes,
                   "none or all: who has passed challenges, unknown otherwise")
      ->check(CLI::IsMember({"none", "all"}));
  command->add_option("--host", replay->host,
                      "the host that was asked for, of logs that do not hold it");
  command->add_flag("--json", replay->json, "print the result as JSON");
}

// What CLI11 does not say of a missing subcommand: which word stands in its place, and which could.
std::string MissingCommand(const CLI::App& app) {
  const auto parsed = app.get_subcommands();
  const CLI::App& parent = parsed.empty() ? app : *parsed.front();
  std::vector<std::string> legal;
  for (const CLI::App* command : parent.get_subcommands([](const CLI::App*) { return true; })) {
    legal.push_back(command->get_name());
  }
  const std::string whose = parsed.empty() ? "" : parent.get_name() + " ";
  for (const std::string& word : app.remaining(true)) {
    if (word.starts_with("-")) continue;
    return "there is no command " + Quote(whose + word) + ExpectedOneOf(word, legal);
  }
  return "the command is missing: spillway " + whose + "..." + ExpectedOneOf("", legal);
}

}  // namespace

int RunCli(const std::vector<std::string>& arguments, const CliWorld& world) {
  Options options;
  CLI::App app("spillway: a reverse proxy that sheds and limits load by rules", "spillway");
  app.footer(kExamples);
  app.set_version_flag("-V,--version", "spillway " + std::string(Version()));
  app.require_subcommand(1);
  CLI::App* run = app.add_subcommand("run", "serve");
  run->add_option("FILE", options.run_file, "the same as -c FILE")
      ->excludes(AddConfigOption(run, &options));
  CLI::App* check = app.add_subcommand("check", "say all that is wrong with configuration files");
  check->add_option("FILE", options.check_files, "files (default: the one `run` would take)")
      ->excludes(AddConfigOption(check, &options));
  CLI::App* test = app.add_subcommand("test", "run the tests that stand beside the rules");
  test->add_option("FILE", options.test_files, "files (default: the one `run` would take)");
  CLI::App* explain = AddExplain(&app, &options);
  AddReplay(&app, &options);
  AddCtl(&app, &options);
  CLI::App* health = app.add_subcommand("healthcheck", "exit 0 when a running spillway is alive");
  AddAdminOptions(health, &options);
  health->add_flag("--ready", options.readiness, "ask for readiness rather than liveness");
  CLI::App* kinds = app.add_subcommand("kinds", "list what a configuration may hold");
  kinds->add_flag("--json", options.kinds_json, "as JSON");
  kinds->add_flag("--tsv", options.kinds_tsv, "as tab-separated values");
  CLI::App* schema = app.add_subcommand("schema", "print a JSON Schema of a configuration");
  schema->add_flag("--included", options.included, "of a file that `include` names");
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // as CLI11 wants it
  } catch (const CLI::RequiredError& error) {
    const auto parsed = app.get_subcommands();
    const CLI::App& last = parsed.empty() ? app : *parsed.front();
    const bool of_command = last.get_require_subcommand_min() > 0 && last.get_subcommands().empty();
    if (of_command) {
      world.err << MissingCommand(app) << "\nRun with --help for more information.\n";
    } else {
      app.exit(error, world.out, world.err);
    }
    return kUsage;
  } catch (const CLI::ParseError& error) {
    return app.exit(error, world.out, world.err) == 0 ? kDone : kUsage;
  }
  if (*run) return Run(options, world);
  if (*check) return Check(options, world);
  if (*test) return Test(options, world);
  if (*explain) return ExplainRequest(options, world);
  if (*health) return HealthCheck(options, world);
  if (*kinds) return Kinds(options, world);
  if (*schema) return Schema(options, world);
  if (app.got_subcommand("replay")) {
    options.replay.config = ConfigPath(options, world);
    return RunReplay(options.replay, world.environment, world.out, world.err);
  }
  return Ctl(options, world);
}

}  // namespace spillway

// SPDX-License-Identifier: MIT
#include "proxy/cli.h"

#include <CLI/CLI.hpp>
#include <ostream>

#include "proxy/cli_commands.h"
#include "proxy/version.h"

namespace spillway {
namespace {

constexpr char kExamples[] = R"(Examples:
  SPILLWAY_LISTEN=:8080 SPILLWAY_UPSTREAM=127.0.0.1:3000 spillway run
  spillway run -c /etc/spillway/spillway.yaml
  spillway check site.yaml && spillway test site.yaml
  spillway explain -c site.yaml -A curl/8.0 https://example.com/admin
  spillway ctl toggle surge on --for 30m --reason "launch"
  spillway ctl --admin unix:/run/spillway/admin.sock status

Signals to `run`: HUP reload, TERM drain and exit, INT exit at once; USR1, USR2 as toggles bind them.)";

CLI::Option* AddConfigOption(CLI::App* command, CliOptions* options) {
  return command->add_option("-c,--config", options->config,
                             "configuration file (default: $SPILLWAY_CONFIG, then "
                             "/etc/spillway/spillway.yaml, then the environment alone)");
}

void AddAdminOptions(CLI::App* command, CliOptions* options) {
  command->add_option("--admin", options->admin,
                      "admin address, 127.0.0.1:9901 or unix:/path (default: $SPILLWAY_ADMIN, then "
                      "the configuration's)");
  command->add_option("--token-file", options->token_file,
                      "file with the bearer token (default: $SPILLWAY_ADMIN_TOKEN_FILE, then the "
                      "configuration's)");
  AddConfigOption(command, options);
}

void AddCtl(CLI::App* app, CliOptions* options) {
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

CLI::App* AddExplain(CLI::App* app, CliOptions* options) {
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

void AddReplay(CLI::App* app, CliOptions* options) {
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
  CliOptions options;
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
  test->add_option("FILE", options.test_files, "files (default: the one `run` would take)")
      ->excludes(AddConfigOption(test, &options));
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
    return kExitUsage;
  } catch (const CLI::ParseError& error) {
    return app.exit(error, world.out, world.err) == 0 ? kExitDone : kExitUsage;
  }
  if (*run) return RunServer(options, world);
  if (*check) return CheckFiles(options, world);
  if (*test) return TestFiles(options, world);
  if (*explain) return ExplainRequest(options, world);
  if (*health) return CheckHealth(options, world);
  if (*kinds) return PrintKinds(options, world);
  if (*schema) return PrintSchema(options, world);
  if (app.got_subcommand("replay")) return ReplayLogs(options, world);
  return AskRunning(options, world);
}

}  // namespace spillway

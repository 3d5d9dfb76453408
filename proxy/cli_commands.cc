// SPDX-License-Identifier: MIT
#include "proxy/cli_commands.h"

#include <unistd.h>

#include <ostream>
#include <sstream>

#include "proxy/admin.h"
#include "proxy/check.h"
#include "proxy/ctl_client.h"
#include "proxy/files.h"
#include "proxy/json.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/schema.h"
#include "proxy/server.h"
#include "proxy/table.h"

namespace spillway {
namespace {

std::string Variable(const CliWorld& world, const char* name) {
  const auto found = world.environment.find(name);
  return found == world.environment.end() ? "" : found->second;
}

// -c, then $SPILLWAY_CONFIG, then the usual place if there is a file; empty: the environment alone.
std::string ConfigPath(const CliOptions& options, const CliWorld& world) {
  if (!options.config.empty()) return options.config;
  if (std::string path = Variable(world, "SPILLWAY_CONFIG"); !path.empty()) return path;
  return ::access(world.default_config.c_str(), F_OK) == 0 ? world.default_config : "";
}

// Where the admin side is, and the token for it: as typed, else as the configuration says. A
// configuration that cannot be loaded (it may have been broken since the start) leaves the
// defaults.
struct AdminTarget {
  SocketAddress address;
  std::string token;
};

Result<AdminTarget> FindAdmin(const CliOptions& options, const CliWorld& world) {
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

}  // namespace

int RunServer(const CliOptions& options, const CliWorld& world) {
  log::Init(log::Level::kInfo);
  Loop loop;
  const std::string path = options.run_file.empty() ? ConfigPath(options, world) : options.run_file;
  Server server(loop, {path, world.environment, world.seed, world.manager});
  if (const Result<void> started = server.Start(); !started) {
    const std::string& why = started.error().message;
    world.err << (why.find('\n') == std::string::npos ? "spillway: " + why + "\n" : why);
    return kExitFailed;
  }
  loop.Run();
  return kExitDone;
}

int CheckFiles(const CliOptions& options, const CliWorld& world) {
  std::vector<std::string> files = options.check_files;
  if (files.empty()) files.push_back(ConfigPath(options, world));
  int code = kExitDone;
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
    code = kExitFailed;
  }
  return code;
}

int TestFiles(const CliOptions& options, const CliWorld& world) {
  std::vector<std::string> files = options.test_files;
  if (files.empty()) files.push_back(ConfigPath(options, world));
  int code = kExitDone;
  for (const std::string& file : files) {
    const Result<Tested> tested = TestConfig(file, world.environment);
    if (!tested) {
      const std::string& why = tested.error().message;
      world.err << why << (why.ends_with('\n') ? "" : "\n");
      code = kExitFailed;
      continue;
    }
    const std::size_t failed = tested->failures.size();
    world.err << Format(tested->failures);
    if (failed > 0) code = kExitFailed;
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

int ExplainRequest(const CliOptions& options, const CliWorld& world) {
  const auto config = LoadConfig(ConfigPath(options, world), SystemFiles(), world.environment);
  if (!config) {
    world.err << Format(config.error());
    return kExitFailed;
  }
  std::istringstream nothing;
  std::istream& in = world.in != nullptr ? *world.in : nothing;
  const Result<void> told =
      Explain(options.explain, *config, world.seed, Loop().wall_now(), in, world.out);
  if (told) return kExitDone;
  world.err << "spillway: " << told.error().message << "\n";
  return kExitUsage;
}

int ReplayLogs(const CliOptions& options, const CliWorld& world) {
  ReplayOrder order = options.replay;
  order.config = ConfigPath(options, world);
  return RunReplay(order, world.environment, world.out, world.err);
}

int AskRunning(const CliOptions& options, const CliWorld& world) {
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

int CheckHealth(const CliOptions& options, const CliWorld& world) {
  const Result<AdminTarget> admin = FindAdmin(options, world);
  if (!admin) {
    world.err << "spillway: " << admin.error().message << "\n";
    return kExitFailed;
  }
  const std::string path = options.readiness ? "/readyz" : "/livez";
  const Result<CtlAnswer> answer =
      AskAdmin(admin->address, admin->token, "GET", path, "", std::chrono::seconds(3));
  if (!answer) {
    world.err << "spillway: " << answer.error().message << "\n";
    return kExitFailed;
  }
  world.out << answer->body;
  return answer->status == 200 ? kExitDone : kExitFailed;
}

int PrintKinds(const CliOptions& options, const CliWorld& world) {
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
    return kExitDone;
  }
  std::vector<std::vector<std::string>> rows = {{"GROUP", "NAME", "TYPE", "DEFAULT", "TEXT"}};
  for (const Kind& kind : kinds) {
    rows.push_back({kind.group, kind.name, kind.type, kind.fallback, kind.text});
  }
  if (!options.kinds_tsv) {
    world.out << FormatTable(rows);
    return kExitDone;
  }
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) world.out << (i == 0 ? "" : "\t") << row[i];
    world.out << "\n";
  }
  return kExitDone;
}

int PrintSchema(const CliOptions& options, const CliWorld& world) {
  const SchemaOf what = options.included ? SchemaOf::kIncludedFile : SchemaOf::kFile;
  world.out << DumpJson(MakeSchema(ListKinds(), ListShapes(), what), 1) << "\n";
  return kExitDone;
}

}  // namespace spillway

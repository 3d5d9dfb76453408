// SPDX-License-Identifier: MIT
// The loader: main file, included files, environment, checks between keys, and last the rules.
//
//   file -> sections into a Draft -> includes -> environment -> checks -> RuleSetBuilder -> Config
//
// Everything is read before anything is refused, so that one run shows every error. Memory: the
// bounds of yaml::Document for each of at most 1000 files, and 64 MiB for each list that is a file.
#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <tuple>

#include "rules/bits.h"
#include "rules/draft.h"

namespace spillway {
namespace {

constexpr std::size_t kMaxIncludes = 1000;
constexpr std::size_t kDeepest = 16;  // files that include one another

void Nothing(const Slot&, Draft*) {
}  // read later: `version` by the checks, `include` after the file

void ReadStateFile(const Slot& slot, Draft* draft) {
  SetPath<&Config::state_file>(slot, &draft->config);
}

void ReadTakeoverSocket(const Slot& slot, Draft* draft) {
  static constexpr std::string_view kSocketPath = "the path of a unix socket";
  SetPath<&Config::takeover_socket, kSocketPath>(slot, &draft->config);
}

// "a/../b" as "b" and "./b" as "b": a file is the same one however the way to it is written.
std::string WithoutSteps(std::string_view path) {
  std::vector<std::string_view> parts;
  for (std::string_view rest = path; !rest.empty();) {
    const std::size_t end = rest.find('/');
    const std::string_view part = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (part.empty() || part == ".") continue;
    if (part == ".." && !parts.empty() && parts.back() != "..") {
      parts.pop_back();
    } else {
      parts.push_back(part);
    }
  }
  std::string plain;
  for (const std::string_view part : parts) {
    if (!plain.empty() || path.starts_with('/')) plain += '/';
    plain += part;
  }
  return plain;
}

constexpr KeyRow<Draft> kRows[] = {
    {"version", "1", "", "the version of this language", &Nothing, nullptr,
     "'version: 1' at the top of the file"},
    {"workers", "auto | integer 1..256", "auto",
     "event loops; auto: the CPUs that the cgroup allows", &ReadWorkers},
    {"access_log", "map | off", "", "one line for each request", &ReadAccessLog,
     &ListAccessLogKeys},
    {"log", "map", "", "what spillway says about itself", &ReadLog, &ListLogKeys},
    {"state_file", "path", "", "where the toggles' state outlives a restart", &ReadStateFile},
    {"takeover_socket", "path", "",
     "a unix socket at which the next process asks this one for its listeners; empty: none may",
     &ReadTakeoverSocket},
    {"shutdown", "map", "", "how the process ends", &ReadShutdown, &ListShutdownKeys},
    {"listeners", "list of maps", "", "where clients connect", &ReadListeners, &ListListenerKeys},
    {"admin", "map | off", "", "the listener for operators", &ReadAdmin, &ListAdminKeys},
    {"clients", "map", "", "who is asking, and how long we wait for them", &ReadClients,
     &ListClientKeys},
    {"geo", "map", "", "where addresses belong", &ReadGeo, &ListGeoKeys},
    {"bots", "map", "", "robots that DNS can tell from those that borrow their names", &ReadBots,
     &ListBotKeys},
    {"pools", "map of names", "", "groups of upstream servers; the first is the default",
     &ReadPools, &ListPoolKeys},
    {"toggles", "map of names to maps or nothing", "", "switches that rules stand behind",
     &ReadToggles, &ListToggleKeys},
    {"challenge", "map", "", "what a plain `challenge` asks, and its secret", &ReadChallenge,
     &ListChallengeKeys},
    {"limits", "map of names", "", "token buckets that rules charge", &ReadLimits, &ListLimitKeys},
    {"lists", "map of names to values, lists or maps", "", "values that rules refer to as $NAME",
     &ReadLists, &ListListKeys},
    {"rules", "list of maps, or nothing", "", "judged in order; the first final action ends it",
     &ReadRules, &ListRuleKeys},
    {"tests", "list of maps, or nothing", "",
     "requests and what is to become of them; rules whose tests fail are not put in force",
     &KeepTests, &ListTestKeys},
    {"include", "pattern, list of these, or nothing", "",
     "more files with rules, limits, lists, tests and includes", &Nothing},
};

// The rows above say what these are.
constexpr KeyRow<Draft> kIncludedRows[] = {
    {"limits", "", "", "", &ReadLimits}, {"lists", "", "", "", &ReadLists},
    {"rules", "", "", "", &ReadRules},   {"tests", "", "", "", &KeepTests},
    {"include", "", "", "", &Nothing},
};

// Files live as long as the load: nodes of rules and limits borrow from them until the rules are
// built.
class Load {
 public:
  Load(const FileSource& files, Diagnostics* diagnostics)
      : loader_(files), diagnostics_(*diagnostics) {
    draft_.config.admin.address = ParseSocketAddress("127.0.0.1:9901", true).value();
  }

  void ReadMain(const std::string& path) {
    draft_.config.file = path;
    Result<std::string> text = loader_.Read(path);
    if (!text) {
      diagnostics_.emplace_back().message = "cannot be read: " + text.error().message;
      diagnostics_.back().file = path;
      return;
    }
    loader_.Enter(path);
    draft_.root = Parse(path, *text);
    if (draft_.root.is_map()) ReadKeys(draft_.root, kRows, loader_, &draft_);
    within_ = {WithoutSteps(path)};
    if (draft_.root.is_map()) ReadIncludes();
  }

  void Apply(const Environment& environment) {
    ApplyEnvironment(environment, loader_, &draft_, &diagnostics_);
    if (draft_.config.listeners.empty()) {
      draft_.config.listeners.emplace_back().address = ParseSocketAddress(":8080", true).value();
    }
  }

  void Check(const Environment& environment) {
    CheckTogether(draft_, &diagnostics_);
    WarnTogether(&draft_);
    TryNamedFiles(environment, loader_, &draft_, &diagnostics_);
  }

  void BuildRules() {
    RuleScope& scope = draft_.scope;
    for (const PoolConfig& pool : draft_.config.pools) scope.pools.push_back(pool.name);
    for (const ToggleConfig& toggle : draft_.config.toggles) scope.toggles.push_back(toggle.name);
    scope.challenge_defaults = draft_.config.challenge.defaults;
    scope.ipv6_prefix = draft_.config.clients.ipv6_prefix;
    scope.countries_known = !draft_.config.geo.country_file.empty();
    scope.networks_known = !draft_.config.geo.asn_file.empty();
    AddBuiltInBots(&draft_.config.bots);
    scope.bots = draft_.config.bots.known;
    scope.loader = &loader_;
    std::vector<std::string> limits;
    for (const LimitInfo& limit : scope.limits) limits.push_back(limit.name);
    RuleSetBuilder builder(std::move(scope));
    for (const yaml::Node& rule : draft_.rules) builder.Add(rule);
    ReadTests(builder.names(), limits, loader_, &draft_);
    NarrowTests();
    if (!diagnostics_.empty()) return;
    std::string error;
    draft_.config.policy = builder.Build(&error, &draft_.config.warnings);
    if (draft_.config.policy != nullptr) return;
    diagnostics_.emplace_back().message = "the rules cannot be compiled: " + error;
    diagnostics_.back().file = draft_.config.file;
    diagnostics_.back().path = "rules";
  }

  Config Take() {
    draft_.config.digest = loader_.digest();
    return std::move(draft_.config);
  }

 private:
  yaml::Node Parse(const std::string& path, const std::string& text) {
    std::size_t errors = diagnostics_.size();
    documents_.push_back(std::make_unique<yaml::Document>(path, text, &diagnostics_));
    yaml::Node root = documents_.back()->root();
    if (root.is_map() || diagnostics_.size() > errors) return root;
    Diagnostic diagnostic;
    diagnostic.file = path;
    diagnostic.line = 1;
    diagnostic.column = 1;
    diagnostic.message = root.is_list() || root.is_scalar()
                             ? "expected keys with values at the top of the file"
                             : "nothing in this file";
    diagnostic.message +=
        "; the shortest one that works is\n"
        "    version: 1\n"
        "    pools: { app: { servers: [\"127.0.0.1:3000\"] } }";
    diagnostics_.push_back(std::move(diagnostic));
    return root;
  }

  void ReadIncludes() {
    FindIncluded(draft_.root.Get("include"));
    const auto own = static_cast<std::ptrdiff_t>(draft_.rules.size());
    for (const auto& [path, root] : included_) {
      if (!root.is_map()) continue;
      loader_.Enter(path);
      ReadKeys(root, kIncludedRows, loader_, &draft_);
    }
    // What is written first is judged first.
    std::vector<yaml::Node>& rules = draft_.rules;
    if (StandsBeforeRules()) std::rotate(rules.begin(), rules.begin() + own, rules.end());
  }

  // Opens what `include` of the file that the loader is in names, and what those files include.
  void FindIncluded(yaml::Node include) {
    if (include.is_map()) {
      include.Fail("expected a path, a pattern, or a list of them, found a map");
      return;
    }
    std::vector<std::string> paths;
    for (const yaml::Node& node : include.Items()) {
      if (!ExpectScalar(node, "a path or pattern")) continue;
      const std::string pattern = WithoutSteps(loader_.Resolve(node.text()));
      std::vector<std::string> found = loader_.Glob(pattern);
      bool exact = pattern.find_first_of("*?[") == std::string::npos;
      if (exact && found.empty()) node.Fail("there is no file " + yaml::Quote(pattern));
      if (!exact && found.empty()) {
        draft_.config.warnings.push_back(node.About(
            "warning: no file matches " + yaml::Quote(pattern) + ", so nothing is included"));
      }
      for (std::string& path : found) {
        includes_[within_.back()].push_back(path);
        if (std::find(within_.begin(), within_.end(), path) != within_.end()) {
          node.Fail("the file " + yaml::Quote(path) + " includes itself" +
                    (path == within_.back() ? "" : " by way of others"));
        } else if (!included_.contains(path)) {
          if (included_.size() + paths.size() >= kMaxIncludes) {
            node.Fail("more than " + std::to_string(kMaxIncludes) + " files");
            return;
          }
          paths.push_back(std::move(path));
        }
      }
    }
    for (const std::string& path : paths) OpenIncluded(path, include);
  }

  bool StandsBeforeRules() const {
    for (const auto& [key, value] : draft_.root.Entries()) {
      if (key.text() == "include") return true;
      if (key.text() == "rules") return false;
    }
    return false;
  }

  // What other files refuse is nothing that a test of an included file can know: each is judged by the rules of
  // its file and of those that this one includes.
  void NarrowTests() {
    std::vector<std::string> places;
    for (const yaml::Node& rule : draft_.rules) places.push_back(rule.About("").file);
    std::map<std::string, Bits> outside;
    for (RuleTest& test : draft_.config.tests) {
      if (test.place.file == draft_.config.file) continue;
      const auto [known, fresh] = outside.try_emplace(test.place.file);
      if (fresh) known->second = RulesOutside(test.place.file, places);
      test.left_out = known->second;
    }
  }

  Bits RulesOutside(const std::string& file, const std::vector<std::string>& places) const {
    std::set<std::string> reached;
    Reach(file, &reached);
    Bits bits(WordsFor(places.size()));
    for (std::size_t i = 0; i < places.size(); ++i) {
      if (!reached.contains(places[i])) SetBit(&bits, i);
    }
    return bits;
  }

  void Reach(const std::string& file, std::set<std::string>* reached) const {
    if (!reached->insert(file).second) return;
    const auto included = includes_.find(file);
    if (included == includes_.end()) return;
    for (const std::string& path : included->second) Reach(path, reached);
  }

  void OpenIncluded(const std::string& path, const yaml::Node& include) {
    yaml::Node& root = included_[path];  // also of a file that cannot be read, which is told once
    Result<std::string> text = loader_.Read(path);
    if (!text) {
      include.Fail("cannot read " + yaml::Quote(path) + ": " + text.error().message);
      return;
    }
    if (within_.size() > kDeepest) {
      include.Fail("files include one another more than " + std::to_string(kDeepest) + " deep");
      return;
    }
    std::size_t errors = diagnostics_.size();
    documents_.push_back(std::make_unique<yaml::Document>(path, *text, &diagnostics_));
    // An included file may be empty, or all comments.
    yaml::Node top = documents_.back()->root();
    if (top.missing() || top.kind() == yaml::NodeKind::kNull || diagnostics_.size() > errors)
      return;
    root = top;
    if (!top.is_map()) {
      ReadKeys(top, kIncludedRows, loader_, &draft_,
               "rules: [{ match: { path: /admin }, action: deny }]");
      return;
    }
    within_.push_back(path);
    loader_.Enter(path);
    FindIncluded(top.Get("include"));
    within_.pop_back();
    loader_.Enter(within_.back());
  }

  Loader loader_;
  Diagnostics& diagnostics_;
  std::vector<std::unique_ptr<yaml::Document>> documents_;
  std::map<std::string, yaml::Node> included_;                // in file-name order, each once
  std::map<std::string, std::vector<std::string>> includes_;  // by file, what it names
  std::vector<std::string> within_;  // the file that is open, and who included it
  Draft draft_;
};

// In reading order; an error in an anchored value that is used twice is one error.
void Tidy(Diagnostics* diagnostics) {
  auto order = [](const Diagnostic& one) {
    return std::tie(one.file, one.line, one.column, one.path, one.message);
  };
  std::stable_sort(diagnostics->begin(), diagnostics->end(),
                   [&](const Diagnostic& a, const Diagnostic& b) { return order(a) < order(b); });
  auto last =
      std::unique(diagnostics->begin(), diagnostics->end(),
                  [&](const Diagnostic& a, const Diagnostic& b) { return order(a) == order(b); });
  diagnostics->erase(last, diagnostics->end());
}

}  // namespace

tl::expected<Config, Diagnostics> LoadConfig(const std::string& path, const FileSource& files,
                                             const Environment& environment) {
  Diagnostics diagnostics;
  Load load(files, &diagnostics);
  if (!path.empty()) load.ReadMain(path);
  load.Apply(environment);
  load.Check(environment);
  load.BuildRules();
  if (diagnostics.empty()) return load.Take();
  Tidy(&diagnostics);
  return tl::unexpected<Diagnostics>(std::move(diagnostics));
}

std::vector<Kind> ListKinds() {
  std::vector<Kind> kinds;
  ListKeys(kRows, "", &kinds);
  for (Kind& kind : kinds) {
    for (const KeyRow<Draft>& row : kIncludedRows) kind.included |= kind.name == row.name;
  }
  ListEnvironment(&kinds);
  AppendRuleKinds(&kinds);
  AppendRequestKinds(&kinds);
  AppendAnswerKinds(&kinds);
  return kinds;
}

}  // namespace spillway

// SPDX-License-Identifier: MIT
// The process itself: `workers`, `access_log`, `log` and `shutdown`.
#include "rules/draft.h"

namespace spillway {
namespace {

void ReadLogPath(const Slot& slot, AccessLogConfig* out) {
  if (slot.node.text() == "-") {
    out->path = "-";
  } else {
    SetPath<&AccessLogConfig::path>(slot, out);
  }
}

constexpr KeyRow<AccessLogConfig> kAccessLogRows[] = {
    {"format", "off | json | combined", "json", "how a request is written down",
     &Set<&AccessLogConfig::format>},
    {"path", "path", "-", "the file that is appended to; '-' is the standard output", &ReadLogPath},
    {"query", "true | false", "false", "log the query string too, which may hold secrets",
     &Set<&AccessLogConfig::query>},
};

constexpr KeyRow<Draft> kLogRows[] = {
    {"level", "debug | info | warning | error", "info",
     "the least important message that is logged", &ReadLogLevel},
};

constexpr KeyRow<ShutdownConfig> kShutdownRows[] = {
    {"delay", "duration 0s..10m", "0s",
     "how long readiness fails while connections are still accepted", &Set<&ShutdownConfig::delay>},
    {"timeout", "duration 0s..1h", "30s", "how long requests under way may take to end",
     &Set<&ShutdownConfig::timeout>},
};

}  // namespace

void ReadWorkers(const Slot& slot, Draft* draft) {
  if (slot.node.text() == "auto") {
    draft->config.workers = 0;
  } else if (slot.node.is_scalar() && !ParseInteger(slot.node.text())) {
    slot.node.Fail("expected auto, or a whole number from 1 to 256, found " +
                   yaml::Quote(slot.node.text()));
  } else {
    ReadValue(slot, &draft->config.workers);
  }
}

void ReadAccessLog(const Slot& slot, Draft* draft) {
  if (slot.node.text() == "off") {
    draft->config.access_log.format = AccessLogConfig::Format::kOff;
  } else if (slot.node.is_scalar()) {
    slot.node.Fail("expected off, or a map such as { format: json }, found " +
                   yaml::Quote(slot.node.text()));
  } else {
    ReadKeys(slot.node, kAccessLogRows, slot.loader, &draft->config.access_log);
  }
}

void ListAccessLogKeys(const std::string& name, std::vector<Kind>* kinds) {
  ListSection<kAccessLogRows>(name, kinds);
}

void ReadLogLevel(const Slot& slot, Draft* draft) {
  ReadValue(slot, &draft->config.log_level);
}

void ReadLog(const Slot& slot, Draft* draft) {
  ReadKeys(slot.node, kLogRows, slot.loader, draft);
}

void ListLogKeys(const std::string& name, std::vector<Kind>* kinds) {
  ListSection<kLogRows>(name, kinds);
}

void ReadShutdown(const Slot& slot, Draft* draft) {
  ReadKeys(slot.node, kShutdownRows, slot.loader, &draft->config.shutdown);
}

void ListShutdownKeys(const std::string& name, std::vector<Kind>* kinds) {
  ListSection<kShutdownRows>(name, kinds);
}

}  // namespace spillway

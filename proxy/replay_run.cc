// SPDX-License-Identifier: MIT
// Each log has one line in hand; the log whose line is the earliest goes on:
//
//   log a  -> [ line ] -.
//   log b  -> [ line ] --+-> TimeOrder -> Replay
//
// So logs of several servers, or of several days, are one log, whatever order they are named in.
#include "proxy/replay_run.h"

#include <memory>
#include <optional>
#include <utility>

#include "proxy/log_source.h"
#include "proxy/time_order.h"
#include "spillway/printable.h"

namespace spillway {
namespace {

constexpr std::size_t kToldUnreadable = 5;
constexpr std::size_t kToldBytes = 60;  // of each
constexpr std::uint64_t kReportEvery = 16384;

// Behind a target's '?', or a member of its own.
bool HasQuery(const LoggedRequest& request) {
  return !request.query.empty() ||
         (request.form != LogForm::kJson && request.path.find('?') != request.path.npos);
}

class LogReader {
 public:
  LogReader(const std::vector<std::string>& paths, Replay* replay,
            const std::function<void(const Progress&)>& report)
      : paths_(paths), replay_(replay), report_(report) {}

  Result<Reading> Run() {
    for (const std::string& path : paths_) {
      auto source = LogSource::Open(path);
      if (!source) return Fail(source.error().message);
      reading_.logs.push_back({(*source)->name(), 0, 0, 0, false});
      sources_.push_back({std::move(*source), nullptr});
    }
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      LookAhead(i);
      if (auto more = Advance(i); !more) return Fail(more.error().message);
    }
    while (const std::optional<std::size_t> next = Earliest()) {
      order_.Put(std::move(sources_[*next].line));
      if (auto more = Advance(*next); !more) return Fail(more.error().message);
      while (order_.full()) Judge();
    }
    while (!order_.empty()) Judge();
    Report();
    return std::move(reading_);
  }

 private:
  struct Source {
    std::unique_ptr<LogSource> log;
    std::unique_ptr<HeldLine> line;  // in hand; null: at the end
  };

  std::optional<std::size_t> Earliest() const {
    std::optional<std::size_t> earliest;
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      if (sources_[i].line == nullptr) continue;
      if (!earliest || TimeOf(i) < TimeOf(*earliest)) earliest = i;
    }
    return earliest;
  }
  WallTime TimeOf(std::size_t source) const { return sources_[source].line->line.request.time; }

  // Whether the log tells queries: some line in its first block has one.
  void LookAhead(std::size_t index) {
    std::string_view block = sources_[index].log->Peek();
    std::string scratch;
    LogLine line;
    for (std::size_t end; (end = block.find('\n')) != block.npos; block.remove_prefix(end + 1)) {
      if (end > kLongestLogLine) continue;
      ReadLogLine(block.substr(0, end), &scratch, &line);
      if (line.fault == nullptr && HasQuery(line.request)) {
        reading_.logs[index].query = true;
        return;
      }
    }
  }

  // The log's next line that can be read, in hand.
  Result<void> Advance(std::size_t index) {
    Source& source = sources_[index];
    LogReading& told = reading_.logs[index];
    std::unique_ptr<HeldLine> held = order_.Spare();
    while (const std::optional<std::string_view> text = source.log->Next()) {
      if (++reading_.lines % kReportEvery == 0) Report();
      held->text.assign(*text);
      ReadLogLine(held->text, &held->scratch, &held->line);
      told.lines = source.log->line();
      if (held->line.fault != nullptr) {
        NoteUnreadable(index, held->text, held->line.fault);
        if (told.unreadable == kFirstLines && told.unreadable == told.lines) return NoLog(index);
        continue;
      }
      told.query = told.query || HasQuery(held->line.request);
      held->source = index;
      held->number = told.lines;
      held->query = told.query;
      source.line = std::move(held);
      return {};
    }
    told.lines = source.log->line();
    told.too_long = source.log->too_long();
    reading_.lines += told.too_long;
    source.line = nullptr;
    if (!source.log->error().empty()) return Fail(source.log->error());
    if (told.lines > 0 && told.unreadable + told.too_long == told.lines) return NoLog(index);
    return {};
  }

  void NoteUnreadable(std::size_t index, std::string_view text, const char* fault) {
    LogReading& told = reading_.logs[index];
    if (++told.unreadable == 1) first_faults_.resize(sources_.size());
    if (told.unreadable == 1) first_faults_[index] = std::to_string(told.lines) + ": " + fault;
    if (reading_.unreadable.size() == kToldUnreadable) return;
    reading_.unreadable.push_back(told.name + ":" + std::to_string(told.lines) + ": " + fault +
                                  ": '" + PrintableStart(text, kToldBytes) + "'");
  }

  Result<void> NoLog(std::size_t index) const {
    const LogReading& told = reading_.logs[index];
    const std::string why = told.unreadable > 0
                                ? "; line " + first_faults_[index]
                                : std::string("; its lines are longer than 512 KiB");
    return Fail("'" + told.name + "' is no access log: none of its first " +
                std::to_string(told.lines) + (told.lines == 1 ? " line" : " lines") +
                " can be read" + why);
  }

  void Judge() {
    std::unique_ptr<HeldLine> held = order_.Take();
    replay_->Add(held->line.request, held->query, [&] {
      return reading_.logs[held->source].name + ":" + std::to_string(held->number);
    });
    order_.GiveBack(std::move(held));
  }

  void Report() const {
    if (!report_) return;
    Progress progress{0, 0, reading_.lines};
    bool known = true;
    for (const Source& source : sources_) {
      progress.bytes += source.log->bytes_read();
      progress.bytes_in_all += source.log->bytes_in_all();
      known = known && source.log->bytes_in_all() > 0;
    }
    if (!known) progress.bytes_in_all = 0;
    report_(progress);
  }

  const std::vector<std::string>& paths_;
  Replay* const replay_;
  const std::function<void(const Progress&)>& report_;
  std::vector<Source> sources_;
  std::vector<std::string> first_faults_;
  TimeOrder order_;
  Reading reading_;
};

}  // namespace

Result<Reading> ReadLogs(const std::vector<std::string>& paths, Replay* replay,
                         const std::function<void(const Progress&)>& report) {
  if (paths.size() > kMostLogs) {
    return Fail("at most " + std::to_string(kMostLogs) + " logs at once, not " +
                std::to_string(paths.size()) +
                "; join them: zcat -f access.log* | spillway replay -");
  }
  return LogReader(paths, replay, report).Run();
}

}  // namespace spillway

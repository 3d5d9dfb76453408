// SPDX-License-Identifier: MIT
// Rings and the thread that empties them:
//
//   worker 0: format --> ring 0 --+
//   worker 1: format --> ring 1 --+--> the thread --> output
//
// The thread wakes every 50 ms, or when a ring gets half full. It writes what one ring holds up to
// a line's end before it turns to the next, so lines never mix.
#include "proxy/access_log.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "proxy/log.h"
#include "proxy/log_output.h"
#include "proxy/log_ring.h"

namespace spillway {
namespace {

constexpr std::size_t kRing = std::size_t{1} << 20;
constexpr auto kPeriod = std::chrono::milliseconds(50);
constexpr int kPatientPeriods =
    40;  // of kPeriod each without a byte taken, when somebody waits for us

std::size_t CountLines(const iovec& piece) {
  const char* bytes = static_cast<const char*>(piece.iov_base);
  return static_cast<std::size_t>(std::count(bytes, bytes + piece.iov_len, '\n'));
}

// The last of the first `written` bytes.
char LastByte(const std::array<iovec, 2>& pieces, std::size_t written) {
  const iovec& piece = written <= pieces[0].iov_len ? pieces[0] : pieces[1];
  const std::size_t at = written <= pieces[0].iov_len ? written : written - pieces[0].iov_len;
  return static_cast<const char*>(piece.iov_base)[at - 1];
}

}  // namespace

struct AccessLog::Impl {
  // What one worker writes with.
  struct Side {
    LogRing ring{kRing};
    std::string line;  // reused
    std::atomic<std::uint64_t> dropped{0};
  };

  explicit Impl(std::size_t workers) : sides(workers) {
    for (auto& side : sides) side = std::make_unique<Side>();
    thread = std::thread([this] { Run(); });
  }

  ~Impl() {
    {
      std::lock_guard lock(mutex);
      stopping = true;
      ++waiting;
    }
    wake.notify_one();
    thread.join();
  }

  void Run() {
    // Signals are for the control thread.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    pthread_setname_np(pthread_self(), "access-log");
    std::unique_lock lock(mutex);
    for (;;) {
      if (!stopping && waiting == 0 && !reopened) {
        if (output) {
          wake.wait_for(lock, kPeriod);
        } else {
          wake.wait(lock);
        }
      }
      if (reopened) {
        output = std::move(next_output);
        reopened = false;
        failing = mid_line = torn = false;
        round_done.notify_all();
      }
      const bool last = stopping;
      lock.unlock();
      Drain();
      lock.lock();
      ++rounds;
      round_done.notify_all();
      if (last) return;
    }
  }

  // Empties every ring as far as it was filled when the drain came to it.
  void Drain() {
    int blocked = 0;  // periods since something was taken
    for (auto& side : sides) {
      LogRing& ring = side->ring;
      const std::uint64_t end = ring.head();
      while (ring.tail() != end) {
        const auto pieces = ring.Peek(end);
        if (!output) {  // switched off with lines still in the ring
          Discard(ring, pieces);
          break;
        }
        if (torn) Mend();
        const auto progress = output.Write(pieces, kPeriod);
        if (progress.status == LogOutput::Status::kWritten) {
          mid_line = LastByte(pieces, progress.bytes) != '\n';
          ring.Take(progress.bytes);
          blocked = 0;
          failing = false;
        } else if (progress.status == LogOutput::Status::kFailed) {
          Discard(ring, pieces);
          SayFailed(progress.error);
          break;
        } else if (waiting > 0 && ++blocked > kPatientPeriods) {
          Discard(ring, pieces);
          break;
        }
      }
    }
  }

  void Discard(LogRing& ring, const std::array<iovec, 2>& pieces) {
    lost += CountLines(pieces[0]) + CountLines(pieces[1]);
    ring.Take(pieces[0].iov_len + pieces[1].iov_len);
    torn = torn || mid_line;
    mid_line = false;
  }

  // Ends the line whose rest was discarded, so that it does not spoil the next one too.
  void Mend() {
    char newline = '\n';
    const iovec piece{&newline, 1};
    if (output.Write(std::span(&piece, 1), kPeriod).status == LogOutput::Status::kWritten)
      torn = false;
  }

  // Once for each spell of failure: a full disk is not told 20 times a second.
  void SayFailed(int error) {
    if (failing) return;
    failing = true;
    log::Error("cannot write the access log: {}; lines are dropped",
               std::generic_category().message(error));
  }

  std::vector<std::unique_ptr<Side>> sides;
  std::atomic<AccessLogConfig::Format> format{AccessLogConfig::Format::kOff};
  std::atomic<bool> query{false};
  std::atomic<std::uint64_t> lost{0};  // dropped by the thread
  std::atomic<int> waiting{0};         // of Flush, Open and the destructor; changed under mutex

  // The thread's own.
  LogOutput output;
  bool failing = false;   // the last write failed, and the log has said so
  bool mid_line = false;  // the last byte written was not a line's end
  bool torn = false;      // the rest of that line was discarded

  std::mutex mutex;  // for what follows; workers never take it
  std::condition_variable wake, round_done;
  LogOutput next_output;
  bool reopened = false, stopping = false;
  std::uint64_t rounds = 0;
  std::thread thread;
};

AccessLog::AccessLog(std::size_t workers) : impl_(std::make_unique<Impl>(workers)) {}
AccessLog::~AccessLog() = default;

Result<void> AccessLog::Open(const AccessLogConfig& config) {
  LogOutput output;
  if (config.format != AccessLogConfig::Format::kOff) {
    auto opened = LogOutput::Open(config.path);
    if (!opened) return tl::unexpected(std::move(opened.error()));
    output = std::move(*opened);
  } else {
    impl_->format = config.format;
    Flush();  // the lines of before still go to the old output
  }
  {
    // Until the thread has let go of the old output: what is written from now on goes to the new
    // one.
    std::unique_lock lock(impl_->mutex);
    impl_->next_output = std::move(output);
    impl_->reopened = true;
    ++impl_->waiting;
    impl_->wake.notify_one();
    impl_->round_done.wait(lock, [&] { return !impl_->reopened; });
    --impl_->waiting;
  }
  impl_->query = config.query;
  impl_->format = config.format;
  return {};
}

bool AccessLog::enabled() const {
  return impl_->format.load(std::memory_order_relaxed) != AccessLogConfig::Format::kOff;
}

void AccessLog::Write(std::size_t worker, const AccessRecord& record) {
  const auto format = impl_->format.load(std::memory_order_relaxed);
  if (format == AccessLogConfig::Format::kOff) return;
  Impl::Side& side = *impl_->sides[worker];
  const bool query = impl_->query.load(std::memory_order_relaxed);
  side.line.clear();
  if (format == AccessLogConfig::Format::kJson) {
    FormatJson(record, query, &side.line);
  } else {
    FormatCombined(record, query, &side.line);
  }
  if (!side.ring.Put(side.line)) {
    side.dropped.fetch_add(1, std::memory_order_relaxed);
  } else if (side.ring.crossed_half()) {
    impl_->wake.notify_one();  // without the lock: if it is missed, the thread wakes by itself
  }
}

std::uint64_t AccessLog::dropped() const {
  std::uint64_t sum = impl_->lost.load(std::memory_order_relaxed);
  for (const auto& side : impl_->sides) sum += side->dropped.load(std::memory_order_relaxed);
  return sum;
}

void AccessLog::Flush() {
  std::unique_lock lock(impl_->mutex);
  ++impl_->waiting;
  impl_->wake.notify_one();
  // The round under way may have passed a ring already: the one after it has not.
  const std::uint64_t target = impl_->rounds + 2;
  impl_->round_done.wait(lock, [&] { return impl_->rounds >= target; });
  --impl_->waiting;
}

}  // namespace spillway

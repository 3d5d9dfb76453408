// SPDX-License-Identifier: MIT
// A model of an application server, as surges meet it: some workers, one endless backlog, first come
// first served, and no eye for clients who have left. It may slow down where more than a knee are in
// it, answer with an error page that tells too much where its database takes no more, hang, and change
// while it runs.
//
//   surge_origin [port=0] [workers=16] [service=40] [law=exponential] [knee=0] [slope=1] [database=0]
//                [bytes=2000] [seed=1]
//
// It prints its port. Each line on the standard input is a command, each answered by a line of JSON:
//
//   workers 5 | service 20 | knee 30 | database 60   another capacity; what runs, runs on
//   hang /maze/ 1.0 20     requests to this prefix hang, this share of them, for so many seconds
//   stick 2 20             the next two requests hang, whatever they ask for
//   mark                   counting begins anew
//   report                 what has been counted since then
//
// It ends with its input. Times are in milliseconds. One thread.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <deque>
#include <memory>
#include <queue>
#include <sstream>
#include <utility>

#include "proxy/loop.h"
#include "proxy/socket.h"
#include "tests/surge/surge_parts.h"

namespace spillway::surge {
namespace {

struct Settings {
  std::uint32_t workers = 16;
  double service = 0.04;  // seconds, mean, when nothing presses
  std::string law = "exponential";
  std::uint32_t knee = 0;      // in flight, from which on all slow down; 0: never
  double slope = 1;            // by how much, for as many again as the knee
  std::uint32_t database = 0;  // in flight, above which it answers errors; 0: never
  std::uint32_t bytes = 2000;  // of an answer
};

class Origin;

// A connection of the proxy. Lives until it is closed and no job is left that would answer on it.
struct Session : std::enable_shared_from_this<Session> {
  Session(Origin& owner, Loop& loop, Fd socket)
      : origin(owner),
        fd(std::move(socket)),
        watch(std::make_unique<IoWatch>(
            loop, fd.get(), this, [](void* self) { static_cast<Session*>(self)->OnReadable(); },
            [](void* self) { static_cast<Session*>(self)->Flush(); })) {
    watch->WantRead(true);
  }
  void OnReadable();
  void Next();
  void Send(std::string_view text) {
    if (!watch) return;
    out.append(text);
    Flush();
  }
  void Flush();
  void Close();

  Origin& origin;
  Fd fd;
  std::unique_ptr<IoWatch> watch;  // null: closed
  std::string in, out;
  bool busy = false;  // a request of it is being worked at
};

struct Job {
  std::shared_ptr<Session> session;
  std::string kind;  // the first part of its path
  TimePoint arrived, ends;
  double base = 0;  // seconds that it would take when nothing pressed
  bool hangs = false;
  friend bool operator>(const Job& a, const Job& b) { return a.ends > b.ends; }
};

class Origin {
 public:
  Origin(Loop& loop, Settings settings, std::uint16_t port, std::uint64_t seed)
      : loop_(loop),
        settings_(std::move(settings)),
        dice_(seed),
        listener_(*Listen(KernelAddress::FromIp(*IpAddress::Parse("127.0.0.1"), port), false)),
        accept_(
            loop, listener_.get(), this, [](void* self) { static_cast<Origin*>(self)->Accept(); },
            [](void*) {}),
        done_(loop, this, [](void* self) { static_cast<Origin*>(self)->OnDone(); }) {
    accept_.WantRead(true);
    Mark();
  }
  ~Origin() {
    for (auto& [key, session] : sessions_) session->watch.reset();
  }

  std::uint16_t port() const { return LocalAddress(listener_.get()).port(); }
  std::string Obey(const std::string& line);

  void Ask(std::shared_ptr<Session> session, std::string_view path) {
    Job job;
    job.kind = path.substr(1, path.find('/', 1) - 1);
    job.arrived = loop_.now();
    job.hangs =
        stick_ > 0 || (!hang_.empty() && path.starts_with(hang_) && dice_.Uniform() < hang_share_);
    if (stick_ > 0) --stick_;
    ++count_.asked;
    if (settings_.database > 0 && in_flight_ >= settings_.database) {
      ++count_.errors;
      session->busy = false;
      return session->Send(error_);
    }
    job.session = std::move(session);
    ++in_flight_;
    Peak();
    backlog_.push_back(std::move(job));
    Start(loop_.now());
  }
  void Forget(Session* session) { sessions_.erase(session); }

 private:
  struct Count {
    std::uint64_t asked = 0, errors = 0, unheard = 0;
    std::map<std::string, std::uint64_t> served;
    double busy = 0, base = 0;
    std::uint64_t jobs = 0;
    std::vector<std::uint32_t> peaks;  // for each second
    std::vector<std::uint32_t> ends;
    std::vector<float> late;
  };

  void Accept() {
    while (auto accepted = spillway::Accept(listener_.get())) {
      auto session = std::make_shared<Session>(*this, loop_, std::move(accepted->fd));
      sessions_[session.get()] = session;
    }
  }

  void Mark() {
    count_ = {};
    began_ = loop_.now();
    Peak();
  }
  template <class T>
  T& Now(std::vector<T>* series) {
    const auto second = static_cast<std::size_t>(Seconds(loop_.now() - began_));
    if (series->size() <= second) series->resize(second + 1);
    return (*series)[second];
  }
  void Peak() {
    std::uint32_t& peak = Now(&count_.peaks);
    peak = std::max(peak, in_flight_);
  }

  double Draw() {
    if (settings_.law == "constant") return settings_.service;
    if (settings_.law == "lognormal") return dice_.Lognormal(settings_.service);
    return dice_.Exponential(settings_.service);
  }

  // A worker that became free at `free` has begun with what waited then, though we are told late: the
  // capacity is what was asked for, however busy the machine is.
  void Start(TimePoint free) {
    while (running_.size() < settings_.workers && !backlog_.empty()) {
      Job job = std::move(backlog_.front());
      backlog_.pop_front();
      job.base = Draw();
      const double over = settings_.knee == 0
                              ? 0
                              : std::max(0.0, static_cast<double>(in_flight_) / settings_.knee - 1);
      double takes = job.base * (1 + settings_.slope * over);
      if (job.hangs) takes = hang_for_;
      const TimePoint from = std::max(free, job.arrived);
      job.ends = from + ToDuration(takes);
      count_.busy += takes;
      if (!job.hangs) count_.base += job.base, ++count_.jobs;
      running_.push(std::move(job));
    }
    if (!running_.empty()) done_.Set(running_.top().ends);
  }

  void OnDone() {
    while (!running_.empty() && running_.top().ends <= loop_.now()) {
      Job job = running_.top();
      running_.pop();
      --in_flight_;
      count_.late.push_back(static_cast<float>(Seconds(loop_.now() - job.ends)));
      ++count_.served[job.kind];
      ++Now(&count_.ends);
      if (!job.session->watch) ++count_.unheard;
      job.session->busy = false;
      job.session->Send(answer_);
      Start(job.ends);
      if (job.session->watch) job.session->Next();
    }
    Peak();
    if (!running_.empty()) done_.Set(running_.top().ends);
  }

  std::string Report();

  Loop& loop_;
  Settings settings_;
  Dice dice_;
  Fd listener_;
  IoWatch accept_;
  Deadline done_;
  std::map<Session*, std::shared_ptr<Session>> sessions_;
  std::deque<Job> backlog_;
  std::priority_queue<Job, std::vector<Job>, std::greater<>> running_;
  std::uint32_t in_flight_ = 0;
  std::string hang_;
  double hang_share_ = 0, hang_for_ = 20;
  std::uint32_t stick_ = 0;
  TimePoint began_;
  Count count_;

  static std::string Page(std::string_view status, const std::string& body) {
    return "HTTP/1.1 " + std::string(status) +
           "\r\nContent-Type: text/html\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
  }
  const std::string answer_ = Page("200 OK", std::string(settings_.bytes - 1, 'x') + "\n");
  const std::string error_ =
      Page("500 Internal Server Error",
           "<pre>File \"/srv/shop/app/db.py\", line 88: too many connections for role " +
               std::string(kLeak) + "</pre>\n");
};

void Session::OnReadable() {
  char bytes[16384];
  for (;;) {
    const ssize_t got = recv(fd.get(), bytes, sizeof(bytes), 0);
    if (got > 0) {
      in.append(bytes, static_cast<std::size_t>(got));
      if (static_cast<std::size_t>(got) < sizeof(bytes)) break;
      continue;
    }
    if (got < 0 && errno == EAGAIN) break;
    return Close();
  }
  Next();
}

void Session::Next() {
  const auto self = shared_from_this();
  while (watch && !busy) {
    const auto message = ReadMessage(in);
    if (!message || in.size() < message->head.size() + message->length) return;
    const std::size_t from = message->head.find(' ') + 1;
    const std::string path(message->head.substr(from, message->head.find(' ', from) - from));
    in.erase(0, message->head.size() + message->length);
    busy = true;
    origin.Ask(self, path);
  }
}

void Session::Flush() {
  while (watch && !out.empty()) {
    const ssize_t sent = send(fd.get(), out.data(), out.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) return watch->WantWrite(true);
    if (sent < 0) return Close();
    out.erase(0, static_cast<std::size_t>(sent));
  }
  if (watch) watch->WantWrite(false);
}

// Whatever is worked at for it goes on.
void Session::Close() {
  const auto self = shared_from_this();
  watch.reset();
  fd.Reset();
  origin.Forget(this);
}

std::string Origin::Obey(const std::string& line) {
  std::istringstream words(line);
  std::string verb;
  words >> verb;
  if (verb == "workers") {
    words >> settings_.workers;
    Start(loop_.now());
  } else if (verb == "service") {
    words >> settings_.service;
    settings_.service /= 1000;
  } else if (verb == "knee") {
    words >> settings_.knee;
  } else if (verb == "database") {
    words >> settings_.database;
  } else if (verb == "hang") {
    words >> hang_ >> hang_share_ >> hang_for_;
  } else if (verb == "stick") {
    words >> stick_ >> hang_for_;
  } else if (verb == "mark") {
    Mark();
  } else if (verb == "report") {
    return Report();
  } else {
    return "{\"error\": \"unknown command\"}";
  }
  return words.fail() ? "{\"error\": \"what, or how much?\"}" : "{}";
}

std::string Origin::Report() {
  Peak();
  std::ostringstream out;
  const auto list = [&](const char* name, const std::vector<std::uint32_t>& values) {
    out << ", \"" << name << "\": [";
    for (std::size_t i = 0; i < values.size(); ++i) out << (i > 0 ? "," : "") << values[i];
    out << "]";
  };
  const double jobs = static_cast<double>(std::max<std::uint64_t>(count_.jobs, 1));
  out << "{\"seconds\": " << Seconds(loop_.now() - began_) << ", \"asked\": " << count_.asked
      << ", \"errors\": " << count_.errors << ", \"unheard\": " << count_.unheard
      << ", \"busy\": " << count_.busy << ", \"service_ms\": " << 1000 * count_.base / jobs
      << ", \"in_flight\": " << in_flight_
      << ", \"late_p95_ms\": " << 1000 * Quantile(&count_.late, 0.95) << ", \"served\": {";
  const char* comma = "";
  for (const auto& [kind, count] : count_.served) {
    out << std::exchange(comma, ", ") << "\"" << kind << "\": " << count;
  }
  out << "}";
  list("peaks", count_.peaks);
  list("ends", count_.ends);
  out << "}";
  return out.str();
}

// Commands come whole lines at a time.
struct Orders {
  Orders(Loop& l, Origin& o)
      : loop(l),
        origin(o),
        watch(
            l, STDIN_FILENO, this, [](void* self) { static_cast<Orders*>(self)->OnReadable(); },
            [](void*) {}) {
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    watch.WantRead(true);
  }
  void OnReadable() {
    char bytes[4096];
    const ssize_t got = read(STDIN_FILENO, bytes, sizeof(bytes));
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return loop.Stop();
    text.append(bytes, static_cast<std::size_t>(got));
    for (std::size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
      std::puts(origin.Obey(text.substr(0, end)).c_str());
      std::fflush(stdout);
    }
  }
  Loop& loop;
  Origin& origin;
  IoWatch watch;
  std::string text;
};

int Main(int count, char** words) {
  Options options(count, words);
  Settings settings;
  settings.workers = options.Count("workers", settings.workers);
  settings.service = options.Number("service", settings.service * 1000) / 1000;
  settings.law = options.Text("law", settings.law);
  settings.knee = options.Count("knee", settings.knee);
  settings.slope = options.Number("slope", settings.slope);
  settings.database = options.Count("database", settings.database);
  settings.bytes = std::max(options.Count("bytes", settings.bytes), 1U);
  const auto port = static_cast<std::uint16_t>(options.Count("port", 0));
  const std::uint64_t seed = options.Count("seed", 1);
  options.Finish();
  IgnoreSigpipe();
  RaiseDescriptorLimit();
  Loop loop;
  {
    Origin origin(loop, settings, port, seed);
    Orders orders(loop, origin);
    std::printf("%u\n", origin.port());
    std::fflush(stdout);
    loop.Run();
  }
  return 0;
}

}  // namespace
}  // namespace spillway::surge

int main(int count, char** words) {
  return spillway::surge::Main(count, words);
}

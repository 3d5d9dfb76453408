// SPDX-License-Identifier: MIT
// A crowd that comes whether or not it is answered: arrivals keep their times however slow the server
// is, and a latency counts from the moment at which a user meant to ask. Each user has an address
// (X-Forwarded-For), a browser, patience and cookies; who is out of patience closes the connection,
// and some ask the same again.
//
//   surge_users port=8080 rate=500 seconds=20 class=order:POST:/order/:0.1 class=page:GET:/page/:0.9
//
//   rate=R           users in a second, by a Poisson process; ramp=S: the first S seconds rise to it
//   burst=N          or: so many in one instant
//   seconds=S        for so long; then those who wait are waited for
//   patience=S       mean, of between half and one and a half of it
//   jab=P            share of users who ask again after a refusal or when their patience is out,
//   jabs=N           at most so many times,
//   jab_after=S      after so long, in the mean
//   walk=N           besides, one who makes N requests, one each walk_every=S, the first of them an
//                    order that protects him
//   window=FROM:TO   seconds to report on by themselves; may come more than once
//   class=NAME:METHOD:PREFIX:WEIGHT
//   own=1            each user has a connection of his own; else those that were kept serve others
//
// It prints one line of JSON; times are in milliseconds. One thread; at most as many at a time as there
// are descriptors: those beyond fail as `no_room`.
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <map>
#include <memory>
#include <sstream>
#include <utility>

#include "proxy/loop.h"
#include "proxy/socket.h"
#include "tests/surge/surge_parts.h"

namespace spillway::surge {
namespace {

constexpr std::array<const char*, 4> kBrowsers = {
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 "
    "Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) "
    "Version/18.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Mobile Safari/537.36"};

// What became of a user, or of one of his asks.
enum class End : std::uint8_t { kGood, kRefused, kLeft, kReset, kStatus, kNoRoom };
constexpr std::array<const char*, 6> kEnds = {"good",  "refused", "left",
                                              "reset", "status",  "no_room"};

struct Class {
  std::string name, method, prefix;
  double weight = 0;
};

// Where something is counted: the whole time, or a window of it. Users count where they came, answers
// where they were given.
struct Tally {
  struct OfClass {
    std::array<std::uint64_t, kEnds.size()> users{};  // how it ended for them
    std::uint64_t came = 0, asks = 0, shed = 0, leaked = 0;
    std::vector<float> good;     // since he came
    std::vector<float> answers;  // the good ones, since he asked
    std::vector<float> refusals;
  };
  double from = 0, to = 1e9;
  std::vector<OfClass> classes;
  bool has(double at) const { return at >= from && at < to; }
};

struct Second {
  std::uint32_t came = 0, asks = 0, good = 0, refused = 0;
  std::size_t open = 0;
  std::vector<float> latencies;
};

class Crowd;
struct User;

struct Connection {
  Connection(Crowd& owner, Loop& loop, Fd socket);
  ~Connection();
  void OnReadable();
  void OnWritable();
  void Ask(std::string text);

  Crowd& crowd;
  Fd fd;
  IoWatch watch;
  User* user = nullptr;
  std::string in, out;
  bool kept = false;  // it has served before
  bool connecting = true;
};

struct User {
  explicit User(Crowd& owner);
  Crowd& crowd;
  std::size_t place = 0;
  std::uint32_t kind = 0, number = 0;
  std::uint32_t jabs_left = 0, steps_left = 0;
  TimePoint came, asked;  // as he meant to
  double patience = 8;
  std::uint32_t id = 0;
  std::map<std::string, std::string> cookies;
  std::unique_ptr<Connection> connection;
  Deadline deadline;  // of his patience, or until he asks again
  bool waits = false;
};

class Crowd {
 public:
  Crowd(Loop& loop, Options* options);
  ~Crowd() {
    spare_.clear();
    users_.clear();
    grave_.clear();
    dead_.clear();
  }
  void Begin();
  std::string Report();

  // Of a user.
  void Ask(User* user, bool fresh_connection);
  void OnDeadline(User* user);
  void OnBroken(User* user);
  void OnAnswer(User* user, const Message& head, std::string_view body);

  // Of a connection that nobody uses.
  void Drop(Connection* connection);
  void Closed() { --open_; }
  Loop& loop_of() { return loop_; }

 private:
  void OnArrival();
  void OnSecond();
  User* Come(TimePoint at, std::uint32_t kind);
  std::uint32_t DrawKind();
  std::string Text(const User& user) const;
  void Again(User* user, End end);
  void Finish(User* user, End end);
  void EndIfOver();
  void Bury(std::unique_ptr<Connection> connection) {
    connection->watch.Stop();
    connection->user = nullptr;
    dead_.push_back(std::move(connection));
    purge_.Ask();
  }
  double At(TimePoint time) const { return Seconds(time - began_); }
  template <class Do>
  void Count(std::uint32_t kind, TimePoint at, Do action) {
    for (Tally& tally : tallies_) {
      if (tally.has(At(at))) action(&tally.classes[kind]);
    }
  }
  Second& ThisSecond() {
    const auto second = static_cast<std::size_t>(std::max(0.0, At(loop_.now())));
    if (seconds_.size() <= second) seconds_.resize(second + 1);
    return seconds_[second];
  }
  bool over() const { return At(loop_.now()) >= length_; }
  void Write(std::ostream& out, Tally* tally);

  Loop& loop_;
  KernelAddress server_;
  double rate_, ramp_, length_, patience_, jab_, jab_after_, walk_every_;
  std::uint32_t burst_, jabs_, walk_;
  bool own_;
  Dice dice_;
  std::vector<Class> classes_;
  std::vector<Tally> tallies_;
  std::vector<Second> seconds_;
  std::vector<std::unique_ptr<User>> users_, grave_;
  std::vector<std::unique_ptr<Connection>> spare_, dead_;
  std::size_t most_;
  std::size_t open_ = 0;
  std::uint32_t next_id_ = 0, arrived_ = 0;
  std::uint64_t opened_ = 0, stale_ = 0;
  std::vector<float> late_;
  std::vector<std::pair<double, double>> gaps_;  // times without a good answer, of 200 ms and more
  double last_good_ = 0;
  TimePoint began_, next_;
  Deadline arrival_, second_;
  TurnEnd purge_;
  User* walker_ = nullptr;
  bool coming_ = true;                           // more will come
  static constexpr std::uint32_t kAtOnce = 256;  // in one turn of the loop
};

// --- connections ---

Connection::Connection(Crowd& owner, Loop& loop, Fd socket)
    : crowd(owner),
      fd(std::move(socket)),
      watch(
          loop, fd.get(), this, [](void* self) { static_cast<Connection*>(self)->OnReadable(); },
          [](void* self) { static_cast<Connection*>(self)->OnWritable(); }) {}

void Connection::Ask(std::string text) {
  out = std::move(text);
  in.clear();
  watch.WantRead(true);
  if (connecting) return watch.WantWrite(true);
  OnWritable();
}

void Connection::OnWritable() {
  if (connecting) {
    if (ConnectError(fd.get()) != 0) return crowd.OnBroken(user);
    connecting = false;
  }
  while (!out.empty()) {
    const ssize_t sent = send(fd.get(), out.data(), out.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) return watch.WantWrite(true);
    if (sent < 0) return crowd.OnBroken(user);
    out.erase(0, static_cast<std::size_t>(sent));
  }
  watch.WantWrite(false);
}

void Connection::OnReadable() {
  char bytes[16384];
  const ssize_t got = recv(fd.get(), bytes, sizeof(bytes), 0);
  if (got < 0 && errno == EAGAIN) return;
  if (user == nullptr) return crowd.Drop(this);
  if (got <= 0) return crowd.OnBroken(user);
  in.append(bytes, static_cast<std::size_t>(got));
  const auto message = ReadMessage(in);
  if (!message) return;
  const std::string_view body = std::string_view(in).substr(message->head.size());
  const bool whole =
      message->chunked ? body.ends_with("0\r\n\r\n") : body.size() >= message->length;
  if (whole) crowd.OnAnswer(user, *message, body);
}

User::User(Crowd& owner)
    : crowd(owner), deadline(owner.loop_of(), this, [](void* self) {
        auto* user = static_cast<User*>(self);
        user->crowd.OnDeadline(user);
      }) {}

Connection::~Connection() {
  crowd.Closed();
}

// --- the crowd ---

Crowd::Crowd(Loop& loop, Options* options)
    : loop_(loop),
      server_(KernelAddress::FromIp(*IpAddress::Parse("127.0.0.1"),
                                    static_cast<std::uint16_t>(options->Count("port", 8080)))),
      rate_(options->Number("rate", 0)),
      ramp_(options->Number("ramp", 0)),
      length_(options->Number("seconds", 10)),
      patience_(options->Number("patience", 8)),
      jab_(options->Number("jab", 0)),
      jab_after_(options->Number("jab_after", 1)),
      walk_every_(options->Number("walk_every", 0.1)),
      burst_(options->Count("burst", 0)),
      jabs_(options->Count("jabs", 8)),
      walk_(options->Count("walk", 0)),
      own_(options->Count("own", 0) != 0),
      dice_(options->Count("seed", 1)),
      most_(RaiseDescriptorLimit() - 50),
      arrival_(loop, this, [](void* self) { static_cast<Crowd*>(self)->OnArrival(); }),
      second_(loop, this, [](void* self) { static_cast<Crowd*>(self)->OnSecond(); }),
      purge_(loop, this, [](void* self) {
        static_cast<Crowd*>(self)->grave_.clear();
        static_cast<Crowd*>(self)->dead_.clear();
      }) {
  // Addresses of another run are of other people.
  next_id_ = dice_.Below(1 << 20);
  for (const std::string& text : options->All("class")) {
    const std::vector<std::string> parts = Split(text, ':');
    if (parts.size() != 4) continue;
    classes_.push_back({parts[0], parts[1], parts[2], std::atof(parts[3].c_str())});
  }
  classes_.push_back({"walker", "GET", "/page/", 0});
  tallies_.emplace_back();
  for (const std::string& text : options->All("window")) {
    const std::vector<std::string> parts = Split(text, ':');
    tallies_.emplace_back();
    tallies_.back().from = std::atof(parts[0].c_str());
    tallies_.back().to = std::atof(parts[1].c_str());
  }
  for (Tally& tally : tallies_) tally.classes.resize(classes_.size());
}

void Crowd::Begin() {
  loop_.Tick();
  began_ = next_ = loop_.now();
  arrival_.Set(began_);
  second_.SetAfter(1s);
  if (walk_ == 0) return;
  walker_ = Come(began_, static_cast<std::uint32_t>(classes_.size() - 1));
  walker_->steps_left = walk_;
  walker_->jabs_left = 0;
  Ask(walker_, own_);
}

void Crowd::OnArrival() {
  for (std::uint32_t i = 0; i < kAtOnce && coming_; ++i) {
    if (next_ > loop_.now()) break;
    const bool last = burst_ > 0 ? arrived_ >= burst_ : rate_ <= 0 || At(next_) >= length_;
    // A machine that is too busy for us: the rest stays away, and the report's lateness says it.
    if (last || (burst_ == 0 && At(loop_.now()) > length_ + 1)) {
      coming_ = false;
      break;
    }
    ++arrived_;
    late_.push_back(static_cast<float>(Seconds(loop_.now() - next_)));
    Ask(Come(next_, DrawKind()), own_);
    if (burst_ > 0) continue;
    const double share = ramp_ > 0 ? std::clamp(At(next_) / ramp_, 0.05, 1.0) : 1;
    next_ += Span(dice_.Exponential(1 / (rate_ * share)));
  }
  if (coming_) {
    arrival_.Set(std::max(next_, loop_.now()));
  } else {
    EndIfOver();
  }
}

void Crowd::OnSecond() {
  ThisSecond().open = users_.size();
  second_.SetAfter(1s);
  if (At(loop_.now()) > length_ + 120) loop_.Stop();
  if (over()) EndIfOver();
}

void Crowd::EndIfOver() {
  if (!coming_ && users_.empty()) loop_.Stop();
}

std::uint32_t Crowd::DrawKind() {
  double left = dice_.Uniform();
  for (std::uint32_t i = 0; i + 1 < classes_.size(); ++i) {
    left -= classes_[i].weight;
    if (left < 0) return i;
  }
  return 0;
}

User* Crowd::Come(TimePoint at, std::uint32_t kind) {
  auto owned = std::make_unique<User>(*this);
  User* user = owned.get();
  user->place = users_.size();
  user->kind = kind;
  user->number = dice_.Below(100'000);
  user->jabs_left = jabs_;
  user->came = user->asked = at;
  user->patience = patience_ * (0.5 + dice_.Uniform());
  user->id = next_id_++;
  users_.push_back(std::move(owned));
  ++ThisSecond().came;
  Count(kind, at, [](Tally::OfClass* of) { ++of->came; });
  return user;
}

std::string Crowd::Text(const User& user) const {
  const Class& kind = classes_[user.kind];
  const bool order = user.steps_left > 0 && user.steps_left == walk_;
  std::string text = order ? "POST /order/" : kind.method + " " + kind.prefix;
  const bool post = text.starts_with("POST");
  const std::uint32_t id = user.id;
  text += std::to_string(user.number) + " HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: ";
  text += kBrowsers[id % kBrowsers.size()];
  text += "\r\nAccept: text/html\r\nX-Forwarded-For: 10." + std::to_string(id >> 16 & 255) + "." +
          std::to_string(id >> 8 & 255) + "." + std::to_string(id & 255) + "\r\n";
  const char* before = "Cookie: ";
  for (const auto& [name, value] : user.cookies) {
    text += std::exchange(before, "; ") + name + "=" + value;
  }
  if (!user.cookies.empty()) text += "\r\n";
  text += post ? "Content-Length: 11\r\n\r\nsku=1&qty=2" : "\r\n";
  return text;
}

void Crowd::Ask(User* user, bool fresh_connection) {
  user->waits = false;
  ++ThisSecond().asks;
  Count(user->kind, user->asked, [](Tally::OfClass* of) { ++of->asks; });
  if (!fresh_connection && !spare_.empty()) {
    user->connection = std::move(spare_.back());
    spare_.pop_back();
    user->connection->kept = true;
  } else {
    tl::expected<Fd, int> fd = tl::unexpected<int>(EMFILE);
    if (open_ < most_) fd = StartConnect(server_);
    if (!fd) return Finish(user, End::kNoRoom);
    ++open_;
    ++opened_;
    user->connection = std::make_unique<Connection>(*this, loop_, std::move(*fd));
  }
  user->connection->user = user;
  user->deadline.Set(user->asked + Span(user->patience));
  user->connection->Ask(Text(*user));
}

void Crowd::OnDeadline(User* user) {
  if (user->waits) return Ask(user, own_);
  Bury(std::move(user->connection));
  Again(user, End::kLeft);
}

// A connection that was kept may have been closed as we asked: a browser tries another one.
void Crowd::OnBroken(User* user) {
  const bool stale = user->connection->kept && user->connection->in.empty();
  Bury(std::move(user->connection));
  if (!stale) return Finish(user, End::kReset);
  ++stale_;
  Ask(user, true);
}

void Crowd::Drop(Connection* connection) {
  for (auto& each : spare_) {
    if (each.get() != connection) continue;
    std::swap(each, spare_.back());
    auto owned = std::move(spare_.back());
    spare_.pop_back();
    return Bury(std::move(owned));
  }
}

void Crowd::OnAnswer(User* user, const Message& message, std::string_view body) {
  const int status = std::atoi(std::string(message.head.substr(9, 3)).c_str());
  const bool leaked = body.find(kLeak) != std::string_view::npos;
  for (std::size_t from = 0; const auto field = message.Field("set-cookie", &from);) {
    const std::string_view pair = field->substr(0, field->find(';'));
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    user->cookies[std::string(pair.substr(0, equals))] = pair.substr(equals + 1);
  }
  std::unique_ptr<Connection> connection = std::move(user->connection);
  if (message.closes || own_) {
    Bury(std::move(connection));
  } else {
    connection->user = nullptr;
    spare_.push_back(std::move(connection));
  }
  const auto took = static_cast<float>(Seconds(loop_.now() - user->asked));
  const auto whole = static_cast<float>(Seconds(loop_.now() - user->came));
  const End end = status == 200 ? End::kGood : status == 503 ? End::kRefused : End::kStatus;
  Count(user->kind, loop_.now(), [&](Tally::OfClass* of) {
    if (leaked) ++of->leaked;
    if (end == End::kGood) of->good.push_back(whole), of->answers.push_back(took);
    if (end == End::kRefused) ++of->shed, of->refusals.push_back(took);
  });
  Second& second = ThisSecond();
  if (end == End::kGood) {
    const double at = At(loop_.now());
    if (at - last_good_ >= 0.2) gaps_.emplace_back(last_good_, at);
    last_good_ = at;
  }
  if (end == End::kGood) ++second.good, second.latencies.push_back(took);
  if (end == End::kRefused) ++second.refused;
  if (end == End::kRefused) return Again(user, end);
  Finish(user, end);
}

void Crowd::Again(User* user, End end) {
  if (user->jabs_left == 0 || over() || dice_.Uniform() >= jab_) return Finish(user, end);
  --user->jabs_left;
  user->waits = true;
  user->asked = loop_.now() + Span(dice_.Exponential(jab_after_));
  user->deadline.Set(user->asked);
}

void Crowd::Finish(User* user, End end) {
  Count(user->kind, user->came,
        [&](Tally::OfClass* of) { ++of->users[static_cast<std::size_t>(end)]; });
  if (user == walker_ && user->steps_left > 1 && !over()) {
    --user->steps_left;
    user->number = dice_.Below(100'000);
    user->came = user->asked = std::max(user->came + Span(walk_every_), loop_.now());
    user->waits = true;
    Count(user->kind, user->came, [](Tally::OfClass* of) { ++of->came; });
    return user->deadline.Set(user->asked);
  }
  user->deadline.Clear();
  const std::size_t place = user->place;
  grave_.push_back(std::move(users_[place]));
  if (place + 1 < users_.size()) {
    users_[place] = std::move(users_.back());
    users_[place]->place = place;
  }
  users_.pop_back();
  purge_.Ask();
  EndIfOver();
}

void Crowd::Write(std::ostream& out, Tally* tally) {
  out << "{\"from\": " << tally->from << ", \"to\": " << std::min(tally->to, length_)
      << ", \"classes\": {";
  for (std::size_t i = 0; i < classes_.size(); ++i) {
    Tally::OfClass& of = tally->classes[i];
    out << (i > 0 ? ", " : "") << "\"" << classes_[i].name << "\": {\"came\": " << of.came
        << ", \"asks\": " << of.asks << ", \"shed\": " << of.shed << ", \"leaked\": " << of.leaked
        << ", \"answers\": " << of.answers.size();
    for (std::size_t end = 0; end < kEnds.size(); ++end) {
      out << ", \"" << kEnds[end] << "\": " << of.users[end];
    }
    const auto times = [&](const char* name, std::vector<float>* values) {
      for (const int share : {50, 95, 99, 100}) {
        out << ", \"" << name << share << "\": " << 1000 * Quantile(values, share / 100.0);
      }
    };
    times("p", &of.good);
    times("ask_p", &of.answers);
    times("refusal_p", &of.refusals);
    out << "}";
  }
  out << "}}";
}

std::string Crowd::Report() {
  std::ostringstream out;
  out << "{\"opened\": " << opened_ << ", \"stale\": " << stale_
      << ", \"late_p95_ms\": " << 1000 * Quantile(&late_, 0.95) << ", \"seconds\": [";
  const char* comma = "";
  for (Second& each : seconds_) {
    out << std::exchange(comma, ", ") << "{\"came\": " << each.came << ", \"asks\": " << each.asks
        << ", \"good\": " << each.good << ", \"refused\": " << each.refused
        << ", \"open\": " << each.open << ", \"p50\": " << 1000 * Quantile(&each.latencies, 0.5)
        << ", \"p95\": " << 1000 * Quantile(&each.latencies, 0.95) << "}";
  }
  out << "], \"gaps\": [";
  comma = "";
  for (const auto& [from, to] : gaps_) {
    out << std::exchange(comma, ", ") << "[" << from << ", " << to << "]";
  }
  out << "], \"whole\": ";
  Write(out, &tallies_[0]);
  out << ", \"windows\": [";
  for (std::size_t i = 1; i < tallies_.size(); ++i) {
    if (i > 1) out << ", ";
    Write(out, &tallies_[i]);
  }
  out << "]}";
  return out.str();
}

int Main(int count, char** words) {
  Options options(count, words);
  IgnoreSigpipe();
  Loop loop;
  Crowd crowd(loop, &options);
  options.Finish();
  crowd.Begin();
  loop.Run();
  std::puts(crowd.Report().c_str());
  return 0;
}

}  // namespace
}  // namespace spillway::surge

int main(int count, char** words) {
  return spillway::surge::Main(count, words);
}

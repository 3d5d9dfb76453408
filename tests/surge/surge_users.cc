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
//   sources=N        connections come from N addresses of 127.0.1.0/24 in turn: the kernel looks long
//                    for a free port where one address has ten thousand connections to one server
//
// It prints one line of JSON; times are in milliseconds. One thread; at most as many at a time as there
// are descriptors: those beyond fail as `no_room`.
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <map>
#include <memory>
#include <sstream>
#include <utility>

#include "proxy/loop.h"
#include "proxy/socket.h"
#include "tests/surge/crowd_report.h"
#include "tests/surge/crowd_request.h"
#include "tests/surge/surge_parts.h"

namespace spillway::surge {
namespace {

struct Class {
  std::string name, method, prefix;
  double weight = 0;
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
  tl::expected<Fd, int> Connect();
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
  void Count(const User& user, TimePoint at, Do action) {
    report_.Count(user.kind, At(at), action);
  }
  Second& ThisSecond() { return report_.second(At(loop_.now())); }
  bool over() const { return At(loop_.now()) >= length_; }

  Loop& loop_;
  KernelAddress server_;
  double rate_, ramp_, length_, patience_, jab_, jab_after_, walk_every_;
  std::uint32_t burst_, jabs_, walk_, sources_, next_source_ = 0;
  bool own_;
  Dice dice_;
  std::vector<Class> classes_;
  CrowdReport report_;
  std::vector<std::unique_ptr<User>> users_, grave_;
  std::vector<std::unique_ptr<Connection>> spare_, dead_;
  std::size_t most_;
  std::size_t open_ = 0;
  std::uint32_t next_id_ = 0, arrived_ = 0;
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
      sources_(options->Count("sources", 0)),
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
  for (const std::string& text : options->All("window")) {
    const std::vector<std::string> parts = Split(text, ':');
    report_.AddWindow(std::atof(parts[0].c_str()), std::atof(parts[1].c_str()));
  }
  for (const Class& each : classes_) report_.AddClass(each.name);
  report_.Begin();
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
    report_.Late(Seconds(loop_.now() - next_));
    Ask(Come(next_, DrawKind()), own_);
    if (burst_ > 0) continue;
    const double share = ramp_ > 0 ? std::clamp(At(next_) / ramp_, 0.05, 1.0) : 1;
    next_ += ToDuration(dice_.Exponential(1 / (rate_ * share)));
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
  Count(*user, at, [](Tally::OfClass* of) { ++of->came; });
  return user;
}

tl::expected<Fd, int> Crowd::Connect() {
  if (sources_ == 0) return StartConnect(server_);
  Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return tl::unexpected(errno);
  const int on = 1;  // a port is chosen when the other end is known
  const sockaddr_in from = {.sin_family = AF_INET,
                            .sin_port = 0,
                            .sin_addr = {htonl(0x7f000101U + next_source_++ % sources_)},
                            .sin_zero = {}};
  const auto as_any = [](const auto& address) {
    return reinterpret_cast<const sockaddr*>(&address);
  };
  if (setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) != 0 ||
      bind(fd.get(), as_any(from), sizeof(from)) != 0 ||
      (connect(fd.get(), as_any(server_.storage), server_.size) != 0 && errno != EINPROGRESS)) {
    return tl::unexpected(errno);
  }
  return fd;
}

std::string Crowd::Text(const User& user) const {
  const Class& kind = classes_[user.kind];
  const bool order = user.steps_left > 0 && user.steps_left == walk_;
  std::string text = order ? "POST /order/" : kind.method + " " + kind.prefix;
  text += std::to_string(user.number);
  return RequestText(text, user.id, user.cookies);
}

void Crowd::Ask(User* user, bool fresh_connection) {
  user->waits = false;
  ++ThisSecond().asks;
  Count(*user, user->asked, [](Tally::OfClass* of) { ++of->asks; });
  if (!fresh_connection && !spare_.empty()) {
    user->connection = std::move(spare_.back());
    spare_.pop_back();
    user->connection->kept = true;
  } else {
    tl::expected<Fd, int> fd = tl::unexpected<int>(EMFILE);
    if (open_ < most_) fd = Connect();
    if (!fd) return Finish(user, End::kNoRoom);
    ++open_;
    report_.Opened();
    user->connection = std::make_unique<Connection>(*this, loop_, std::move(*fd));
  }
  user->connection->user = user;
  user->deadline.Set(user->asked + ToDuration(user->patience));
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
  report_.Stale();
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
  report_.Answered(user->kind, end, leaked, At(loop_.now()), took, whole);
  if (end == End::kRefused) return Again(user, end);
  Finish(user, end);
}

void Crowd::Again(User* user, End end) {
  if (user->jabs_left == 0 || over() || dice_.Uniform() >= jab_) return Finish(user, end);
  --user->jabs_left;
  user->waits = true;
  user->asked = loop_.now() + ToDuration(dice_.Exponential(jab_after_));
  user->deadline.Set(user->asked);
}

void Crowd::Finish(User* user, End end) {
  Count(*user, user->came, [&](Tally::OfClass* of) { ++of->users[static_cast<std::size_t>(end)]; });
  if (user == walker_ && user->steps_left > 1 && !over()) {
    --user->steps_left;
    user->number = dice_.Below(100'000);
    user->came = user->asked = std::max(user->came + ToDuration(walk_every_), loop_.now());
    user->waits = true;
    Count(*user, user->came, [](Tally::OfClass* of) { ++of->came; });
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

std::string Crowd::Report() {
  std::ostringstream out;
  report_.Write(out, length_);
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

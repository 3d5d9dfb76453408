// SPDX-License-Identifier: MIT
#include "proxy/takeover.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <utility>

#include "proxy/json.h"
#include "proxy/log.h"

namespace spillway {
namespace {

constexpr std::string_view kGreeting = "spillway 1 ";
constexpr std::string_view kServing = "serving\n";
constexpr std::size_t kMostText = 1024 * 1024;
constexpr std::size_t kMostSockets = 4096;
constexpr std::size_t kSocketsAtOnce = 128;  // the kernel takes 253 with one message
constexpr Duration kAcceptPause = 50ms;
constexpr int kPatienceSeconds = 5;  // for what the other side has ready

Error Errno(std::string_view what) {
  return {fmt::format("{}: {}", what, std::strerror(errno))};
}

void Block(int fd) {
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  const timeval patience{kPatienceSeconds, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

std::optional<ucred> PeerOf(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
  return peer;
}

bool MayTalk(const ucred& peer) {
  return peer.uid == 0 || peer.uid == ::geteuid();
}

// ---- what is said

std::string Write(const Estate& estate) {
  Json json;
  json["listeners"] = Json::array();
  for (const HandedListener& listener : estate.listeners) {
    json["listeners"].push_back({{"address", listener.id.text},
                                 {"place", listener.id.place},
                                 {"sockets", listener.sockets.size()}});
  }
  json["admin"] = estate.admin;
  json["state"] = FormatState(estate.state);
  return DumpJson(json);
}

std::vector<int> Sockets(const Estate& estate) {
  std::vector<int> all;
  for (const HandedListener& listener : estate.listeners) {
    for (const Fd& socket : listener.sockets) all.push_back(socket.get());
  }
  if (!estate.admin.empty()) all.push_back(estate.admin_socket.get());
  return all;
}

Result<Estate> Read(std::string_view text, std::vector<Fd> sockets) {
  Estate estate;
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  auto next = sockets.begin();
  const auto take = [&](std::vector<Fd>* to, std::size_t count) {
    if (static_cast<std::size_t>(sockets.end() - next) < count) return false;
    for (; count > 0; --count) to->push_back(std::move(*next++));
    return true;
  };
  try {
    for (const Json& each : json.at("listeners")) {
      HandedListener listener{{each.at("address"), each.at("place")}, {}};
      if (!take(&listener.sockets, each.at("sockets"))) return Fail("too few sockets came");
      estate.listeners.push_back(std::move(listener));
    }
    estate.admin = json.at("admin");
    std::vector<Fd> admin;
    if (!estate.admin.empty()) {
      if (!take(&admin, 1)) return Fail("too few sockets came");
      estate.admin_socket = std::move(admin.front());
    }
    Result<State> state = ParseState(json.at("state").get<std::string>());
    if (!state) return Fail(state.error().message);
    estate.state = std::move(*state);
  } catch (const Json::exception&) {
    return Fail("it is not what a spillway says");
  }
  return estate;
}

// ---- bytes and descriptors

Result<void> SendSome(int fd, std::string_view bytes, const std::vector<int>& sockets) {
  std::size_t given = 0;
  while (!bytes.empty()) {
    const std::size_t now = std::min(sockets.size() - given, kSocketsAtOnce);
    // While there are sockets to send, a byte goes with each lot of them.
    const bool more = given + now < sockets.size();
    iovec vector{const_cast<char*>(bytes.data()), more ? 1 : bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kSocketsAtOnce * sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    if (now > 0) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(now * sizeof(int));
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(now * sizeof(int));
      std::memcpy(CMSG_DATA(header), sockets.data() + given, now * sizeof(int));
    }
    const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return tl::unexpected(Errno("cannot send"));
    given += now;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

// Reads what has come, at most `most` bytes; false at the end or on failure.
bool ReceiveSome(int fd, std::size_t most, std::string* text, std::vector<Fd>* sockets) {
  std::array<char, 16 * 1024> bytes;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(253 * sizeof(int))> control{};
  iovec vector{bytes.data(), std::min(most, bytes.size())};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t got;
  do {
    got = ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int one;
      std::memcpy(&one, CMSG_DATA(header) + i * sizeof(int), sizeof one);
      sockets->emplace_back(one);
    }
  }
  if (got <= 0 || (message.msg_flags & MSG_CTRUNC) != 0 || sockets->size() > kMostSockets) {
    return false;
  }
  text->append(bytes.data(), static_cast<std::size_t>(got));
  return true;
}

// The length that the greeting tells, when it is there whole.
std::optional<std::size_t> LengthIn(std::string_view text, std::size_t* head) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos || !text.starts_with(kGreeting)) return std::nullopt;
  std::size_t length = 0;
  const char* last = text.data() + end;
  const auto [stop, error] = std::from_chars(text.data() + kGreeting.size(), last, length);
  if (error != std::errc() || stop != last || length > kMostText) return std::nullopt;
  *head = end + 1;
  return length;
}

}  // namespace

// ---- the one who asks

Result<void> Inheritance::Serving() const {
  return SendSome(talk.get(), kServing, {});
}

Result<std::optional<Inheritance>> AskForInheritance(const std::string& path) {
  const Result<KernelAddress> address = KernelAddress::FromUnixPath(path);
  if (!address) return Fail(address.error().message);
  Fd talk(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!talk) return tl::unexpected(Errno(path));
  Block(talk.get());
  if (::connect(talk.get(), reinterpret_cast<const sockaddr*>(&address->storage), address->size) !=
      0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return std::nullopt;
    return tl::unexpected(Errno(path));
  }
  const std::optional<ucred> peer = PeerOf(talk.get());
  if (!peer || !MayTalk(*peer)) return Fail(path + ": who listens there is another user's process");

  std::string text;
  std::vector<Fd> sockets;
  std::size_t head = 0;
  std::optional<std::size_t> length;
  while (!length || text.size() < head + *length) {
    const std::size_t most = length ? head + *length - text.size() : 64;
    if (!ReceiveSome(talk.get(), most, &text, &sockets)) {
      return Fail(path +
                  ": the process that listens there does not hand over its listeners; "
                  "perhaps it is ending, or handing them to another");
    }
    if (!length) length = LengthIn(text, &head);
    if (!length && text.size() >= 64) return Fail(path + ": it is not what a spillway says");
  }
  Result<Estate> estate = Read(std::string_view(text).substr(head), std::move(sockets));
  if (!estate) return Fail(path + ": " + estate.error().message);
  return Inheritance{std::move(*estate), std::move(talk), static_cast<int>(peer->pid)};
}

// ---- the one who is asked

struct TakeoverServer::Impl {
  Impl(Loop& owner, std::string at, Fd listening, Offer gives, Taken told)
      : loop(owner),
        path(std::move(at)),
        listener(std::move(listening)),
        offer(std::move(gives)),
        taken(std::move(told)),
        watch(std::in_place, loop, listener.get(), this, &OnAsked, nullptr),
        patience(loop, this, &OnExpired),
        again(loop, this, [](void* self) { static_cast<Impl*>(self)->watch->WantRead(true); }) {
    watch->WantRead(true);
  }
  ~Impl() {
    if (!inherited) ::unlink(path.c_str());
  }

  static void OnAsked(void* self) { static_cast<Impl*>(self)->Asked(); }
  static void OnAnswer(void* self) { static_cast<Impl*>(self)->Answer(); }
  static void OnExpired(void* self) {
    auto* impl = static_cast<Impl*>(self);
    log::Warning("takeover: process {} does not serve yet, and is waited for no longer",
                 impl->heir);
    impl->EndTalk();
  }

  void Asked() {
    std::optional<Accepted> accepted = Accept(listener.get());
    if (!accepted) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      // Out of descriptors, it would be ready again at once.
      watch->WantRead(false);
      return again.SetAfter(kAcceptPause);
    }
    const std::optional<ucred> peer = PeerOf(accepted->fd.get());
    if (!peer || !MayTalk(*peer) || talk) return;  // which closes it
    const Result<Estate> estate = offer();
    if (!estate) {
      log::Warning("takeover: {}", estate.error().message);
      return;
    }
    // Blocking from here on, for what fits the kernel's buffers.
    Block(accepted->fd.get());
    const std::string text = Write(*estate);
    const std::string whole = fmt::format("{}{}\n{}", kGreeting, text.size(), text);
    if (const Result<void> sent = SendSome(accepted->fd.get(), whole, Sockets(*estate)); !sent) {
      log::Warning("takeover: {}", sent.error().message);
      return;
    }
    heir = static_cast<int>(peer->pid);
    log::Info("takeover: process {} asks for the listeners", heir);
    talk = std::move(accepted->fd);
    answer.emplace(loop, talk.get(), this, &OnAnswer, nullptr);
    answer->WantRead(true);
    patience.SetAfter(kTakeoverTime);
  }

  void Answer() {
    char bytes[kServing.size()];
    const ssize_t got = ::recv(talk.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    const bool serves =
        got > 0 && std::string_view(bytes, static_cast<std::size_t>(got)) == kServing;
    if (!serves) log::Info("takeover: process {} has gone; nothing is changed", heir);
    EndTalk();
    if (!serves) return;
    inherited = true;
    again.Clear();
    watch.reset();
    listener.Reset();
    taken(heir);
  }

  void EndTalk() {
    patience.Clear();
    answer.reset();
    talk.Reset();
  }

  Loop& loop;
  const std::string path;
  Fd listener;
  const Offer offer;
  const Taken taken;
  std::optional<IoWatch> watch;
  Fd talk;  // with the one who has asked, until it serves
  std::optional<IoWatch> answer;
  Deadline patience;
  Deadline again;  // armed: accepting pauses until then
  int heir = 0;
  bool inherited = false;
};

TakeoverServer::TakeoverServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TakeoverServer::~TakeoverServer() = default;

// Bound aside and renamed: there is always somebody who listens at the path.
Result<std::unique_ptr<TakeoverServer>> TakeoverServer::Open(Loop& loop, const std::string& path,
                                                             Offer offer, Taken taken) {
  const std::string aside = path + ".new";
  const Result<KernelAddress> address = KernelAddress::FromUnixPath(aside);
  if (!address) return Fail(address.error().message);
  ::unlink(aside.c_str());
  Result<Fd> listener = Listen(*address, false, 8);
  if (!listener) return Fail(listener.error().message);
  if (::rename(aside.c_str(), path.c_str()) != 0) {
    const Error why = Errno(path);
    ::unlink(aside.c_str());
    return tl::unexpected(why);
  }
  return std::unique_ptr<TakeoverServer>(new TakeoverServer(std::make_unique<Impl>(
      loop, path, std::move(*listener), std::move(offer), std::move(taken))));
}

}  // namespace spillway

// SPDX-License-Identifier: MIT
#include "proxy/admin.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <poll.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "proxy/files.h"
#include "proxy/http1.h"
#include "proxy/log.h"
#include "proxy/socket.h"

namespace spillway {
namespace {

constexpr int kTimeoutSeconds = 10;
constexpr ev_ssize_t kMostHead = 16 * 1024;
constexpr ev_ssize_t kMostBody = 64 * 1024;
constexpr std::size_t kShortestToken = 8, kLongestToken = 4096;

struct Place {
  KernelAddress address;
  AdminPlace kind = AdminPlace::kLoopback;
};

Result<Place> FindPlace(const SocketAddress& address) {
  switch (address.form) {
    case SocketAddress::Form::kIp:
      return Place{KernelAddress::FromIp(address.ip, address.port),
                   address.ip.is_loopback() ? AdminPlace::kLoopback : AdminPlace::kElsewhere};
    case SocketAddress::Form::kUnix: {
      Result<KernelAddress> path = KernelAddress::FromUnixPath(address.name);
      if (!path) return Fail(path.error().message);
      return Place{*path, AdminPlace::kUnix};
    }
    case SocketAddress::Form::kName:
      break;
  }
  return Fail("the admin address must be an IP address or a unix socket, not a name");
}

const char* MethodName(evhttp_cmd_type type) {
  switch (type) {
    case EVHTTP_REQ_GET:
      return "GET";
    case EVHTTP_REQ_HEAD:
      return "HEAD";
    case EVHTTP_REQ_POST:
      return "POST";
    case EVHTTP_REQ_PUT:
      return "PUT";
    case EVHTTP_REQ_DELETE:
      return "DELETE";
    case EVHTTP_REQ_OPTIONS:
      return "OPTIONS";
    case EVHTTP_REQ_PATCH:
      return "PATCH";
    default:
      return "OTHER";
  }
}

AdminRequest ReadRequest(evhttp_request* request, AdminPlace place) {
  AdminRequest out;
  out.method = MethodName(evhttp_request_get_command(request));
  // As sent: evhttp's own taking-apart drops what it does not understand.
  const char* uri = evhttp_request_get_uri(request);
  const std::string_view target = uri == nullptr ? "" : uri;
  const std::size_t question = target.find('?');
  out.path = target.substr(0, question);
  if (question != std::string_view::npos) out.query = target.substr(question + 1);
  const evkeyvalq* headers = evhttp_request_get_input_headers(request);
  for (const evkeyval* h = headers->tqh_first; h != nullptr; h = h->next.tqe_next) {
    out.headers.emplace_back(h->key, h->value);
  }
  if (evbuffer* body = evhttp_request_get_input_buffer(request)) {
    out.body.resize(evbuffer_get_length(body));
    evbuffer_copyout(body, out.body.data(), out.body.size());
  }
  out.peer = "unix";
  if (place != AdminPlace::kUnix) {
    char* address = nullptr;
    ev_uint16_t port = 0;
    if (evhttp_connection* connection = evhttp_request_get_connection(request)) {
      evhttp_connection_get_peer(connection, &address, &port);
    }
    out.peer = address == nullptr ? "unknown" : address;
  }
  return out;
}

void SendReply(evhttp_request* request, const AdminReply& reply) {
  evkeyvalq* headers = evhttp_request_get_output_headers(request);
  evhttp_add_header(headers, "Content-Type", reply.content_type.c_str());
  for (const auto& [name, value] : reply.headers) {
    evhttp_add_header(headers, name.c_str(), value.c_str());
  }
  evbuffer* body = evbuffer_new();
  if (body != nullptr) evbuffer_add(body, reply.body.data(), reply.body.size());
  const std::string reason(ReasonPhrase(reply.status));
  evhttp_send_reply(request, reply.status, reason.c_str(), body);
  if (body != nullptr) evbuffer_free(body);
}

// The listening socket of an evhttp. Out of descriptors, its readiness stays: evhttp by itself would
// try again in every turn of the loop. Here it tries every 50 ms, and a descriptor that is kept for
// such times is given up to who waits: one at a time can still ask how things are.
//
// evhttp tells nobody that it could not accept, but for a callback that knows no object. So we are
// told of every client that comes, and look a little later at how that went.
class Door {
 public:
  Door(Loop& loop, evhttp* http, evhttp_bound_socket* socket)
      : loop_(loop),
        http_(http),
        socket_(socket),
        watch_(loop, fd(), this, &OnClient, nullptr),
        again_(loop, this, [](void* self) { static_cast<Door*>(self)->TryAgain(); }) {
    evconnlistener_set_error_cb(listener(), &OnRefused);
    TryAgain();
  }
  ~Door() {
    watch_.Stop();
    evhttp_del_accept_socket(http_, socket_);  // which closes it
  }
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;
  int fd() const { return evhttp_bound_socket_get_fd(socket_); }

 private:
  static constexpr Duration kPause = 50ms;
  static constexpr Duration kQuiet = 1s;  // between two lines about it

  static void OnRefused(evconnlistener* listener, void*) { evconnlistener_disable(listener); }
  static void OnClient(void* self) {
    Door& door = *static_cast<Door*>(self);
    door.watch_.WantRead(false);
    door.again_.SetAfter(kPause);
  }
  void TryAgain() {
    Result<Fd> free = Duplicate(fd());
    pollfd waits{fd(), POLLIN, 0};
    if (free) {
      if (!spare_) spare_ = std::move(*free);
    } else if (poll(&waits, 1, 0) == 1) {
      spare_.Reset();
      if (loop_.now() >= quiet_until_) {
        log::Warning("admin: cannot accept: {}", free.error().message);
        quiet_until_ = loop_.now() + kQuiet;
      }
    }
    evconnlistener_enable(listener());
    watch_.WantRead(true);
    if (!spare_) again_.SetAfter(kPause);
  }

  evconnlistener* listener() const { return evhttp_bound_socket_get_listener(socket_); }

  Loop& loop_;
  evhttp* const http_;
  evhttp_bound_socket* const socket_;
  IoWatch watch_;
  Deadline again_;
  Fd spare_;
  TimePoint quiet_until_;
};

}  // namespace

struct AdminServer::Impl {
  Impl(Loop& its_loop, AdminControls& controls, AdminGuard guard)
      : loop(its_loop), place(guard.place), api(controls, std::move(guard)) {}
  ~Impl() {
    StopListening();
    if (http != nullptr) evhttp_free(http);
  }
  void StopListening() {
    door.reset();
    if (!unix_path.empty()) ::unlink(std::exchange(unix_path, {}).c_str());
  }
  static void OnRequest(evhttp_request* request, void* self) {
    Impl& impl = *static_cast<Impl*>(self);
    impl.loop.Tick();  // libevent's callbacks come past our watches
    SendReply(request, impl.api.Handle(ReadRequest(request, impl.place)));
  }

  Loop& loop;
  const AdminPlace place;
  AdminApi api;
  evhttp* http = nullptr;
  std::optional<Door> door;  // none: listens no more
  std::string address;
  std::string unix_path;   // removed at the end
  std::string given_path;  // will be unix_path
};

AdminServer::AdminServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AdminServer::~AdminServer() = default;

const std::string& AdminServer::address() const {
  return impl_->address;
}

void AdminServer::StopListening() {
  impl_->StopListening();
}

void AdminServer::LeaveListening() {
  impl_->unix_path.clear();
  impl_->StopListening();
}

void AdminServer::OwnPath() {
  if (!impl_->given_path.empty()) impl_->unix_path = std::exchange(impl_->given_path, {});
}

Result<Fd> AdminServer::DuplicateSocket() const {
  if (!impl_->door) return Fail("the admin side listens no more");
  return Duplicate(impl_->door->fd());
}

void AdminServer::SetGuard(AdminGuard guard) {
  impl_->api.SetGuard(std::move(guard));
}

Result<AdminGuard> MakeAdminGuard(const AdminConfig& config) {
  const Result<Place> place = FindPlace(*config.address);
  if (!place) return Fail("admin: " + place.error().message);
  AdminGuard guard;
  guard.place = place->kind;
  if (!config.token_file.empty()) {
    Result<std::string> token = ReadTokenFile(config.token_file);
    if (!token) return Fail("admin.token_file: " + token.error().message);
    guard.token = std::move(*token);
  } else if (place->kind == AdminPlace::kElsewhere) {
    return Fail("admin.token_file must be set: " + config.address->text +
                " can be reached from outside");
  }
  return guard;
}

Result<std::unique_ptr<AdminServer>> AdminServer::Open(Loop& loop, AdminControls& controls,
                                                       const SocketAddress& address,
                                                       AdminGuard guard, Fd listening) {
  const Result<Place> place = FindPlace(address);
  if (!place) return Fail("admin: " + place.error().message);
  const bool given = static_cast<bool>(listening);
  Result<Fd> listener =
      given ? Result<Fd>(std::move(listening)) : Listen(place->address, false, 128);
  if (!listener) return Fail("admin: " + listener.error().message);

  auto impl = std::make_unique<Impl>(loop, controls, std::move(guard));
  if (place->kind == AdminPlace::kUnix) (given ? impl->given_path : impl->unix_path) = address.name;
  impl->address = LocalAddress(listener->get()).ToString();
  impl->http = evhttp_new(loop.base());
  if (impl->http == nullptr) return Fail("admin: out of memory");
  evhttp_set_timeout(impl->http, kTimeoutSeconds);
  evhttp_set_max_headers_size(impl->http, kMostHead);
  evhttp_set_max_body_size(impl->http, kMostBody);
  evhttp_set_allowed_methods(impl->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST |
                                             EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                             EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
  evhttp_set_gencb(impl->http, Impl::OnRequest, impl.get());
  evhttp_bound_socket* const socket = evhttp_accept_socket_with_handle(impl->http, listener->get());
  if (socket == nullptr) return Fail("admin: cannot accept");
  listener->Release();  // evhttp closes it
  impl->door.emplace(loop, impl->http, socket);
  return std::unique_ptr<AdminServer>(new AdminServer(std::move(impl)));
}

Result<std::string> ReadTokenFile(const std::string& path) {
  const Result<std::string> text = SystemFiles().Read(path);
  if (!text) return Fail("cannot read token '" + path + "': " + text.error().message);
  std::string line = text->substr(0, text->find('\n'));
  const std::size_t begin = line.find_first_not_of(" \t\r");
  const std::size_t end = line.find_last_not_of(" \t\r");
  line = begin == std::string::npos ? "" : line.substr(begin, end - begin + 1);
  if (line.size() < kShortestToken || line.size() > kLongestToken) {
    return Fail("the token in the first line of '" + path + "' has " + std::to_string(line.size()) +
                " characters; expected " + std::to_string(kShortestToken) + " to " +
                std::to_string(kLongestToken));
  }
  return line;
}

}  // namespace spillway

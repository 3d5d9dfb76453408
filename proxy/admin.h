// SPDX-License-Identifier: MIT
// The admin address: a small HTTP server on the control loop, on libevent's evhttp, in front of
// AdminApi. Good enough here, where few and known clients send small requests; never for the data
// path.
//
// Bounds: 16 KiB of head, 64 KiB of body, 10 s for each.
#pragma once

#include <memory>
#include <string>

#include "proxy/admin_api.h"
#include "proxy/loop.h"
#include "proxy/socket.h"
#include "spillway/config.h"
#include "spillway/result.h"

namespace spillway {

// The guard that `config` asks for, its token read. The error names what is wrong: the address, the
// token file, or a missing token where one is needed. REQUIRES: config.address is set.
Result<AdminGuard> MakeAdminGuard(const AdminConfig& config);

// Belongs to the control thread. Not to be destroyed from within one of its own requests: post
// that.
class AdminServer {
 public:
  // Listens, or goes on with `listening` if that is a socket. REQUIRES: loop and controls outlive
  // it.
  static Result<std::unique_ptr<AdminServer>> Open(Loop& loop, AdminControls& controls,
                                                   const SocketAddress& address, AdminGuard guard,
                                                   Fd listening = {});
  ~AdminServer();

  void SetGuard(AdminGuard guard);  // a new token for the same address
  // Takes no new connections; answers that are on their way still go out.
  void StopListening();
  // The same, where another process goes on with the socket, and its path.
  void LeaveListening();
  Result<Fd> DuplicateSocket() const;
  // The path of a socket that it was given is its to remove.
  void OwnPath();
  const std::string& address() const;  // the real one: "127.0.0.1:9901", "unix:/run/..."

 private:
  struct Impl;
  explicit AdminServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The token in a file: its first line without white space around. The error says what is wrong with
// it.
Result<std::string> ReadTokenFile(const std::string& path);

}  // namespace spillway

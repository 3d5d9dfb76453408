// SPDX-License-Identifier: MIT
// How one process hands its listening sockets to the next, so that a new binary takes over without
// a connection lost: over a unix socket (`takeover_socket`), on which the running process listens
// and which the next one asks. The sockets are the same ones, so is what waits in their backlogs;
// the old process goes on as if nothing was until it hears that the new one serves.
//
// The talk, over a stream: the asker connects; it gets "spillway 1 LENGTH\n", as many bytes of
// JSON, and with them the descriptors, in the order in which the JSON lists them; it answers
// "serving\n", or ends the talk, and then nothing has happened. Only a process of the same user, or
// root's, is answered, one at a time, for at most kTakeoverTime.
//
// Thread rule: the control thread. Memory: at most 1 MiB of JSON and 4096 descriptors.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/listener_id.h"
#include "proxy/loop.h"
#include "proxy/socket.h"
#include "proxy/state_file.h"
#include "spillway/result.h"

namespace spillway {

// From the first byte to "serving": a process that loads its rules meanwhile is slow at worst.
inline constexpr Duration kTakeoverTime = std::chrono::seconds(60);

struct HandedListener {
  ListenerId id;
  std::vector<Fd> sockets;  // TCP: one for each worker that there was; unix: one
};

// What a process has to hand over, or was handed.
struct Estate {
  std::vector<HandedListener> listeners;
  std::string admin;  // the admin address as configured; empty: none
  Fd admin_socket;
  State state;  // the toggles
};

// What the next process got, until it serves.
struct Inheritance {
  Estate estate;
  Fd talk;
  int from = 0;  // the other process
  // Tells the other process that this one serves. It then stops accepting.
  Result<void> Serving() const;
};

// Asks the process that listens at `path`; nullopt when there is none. Waits for at most a few
// seconds. The error says what was wrong with what came.
Result<std::optional<Inheritance>> AskForInheritance(const std::string& path);

// The running process's side.
class TakeoverServer {
 public:
  using Offer = std::function<Result<Estate>()>;  // copies: the sockets stay its own
  using Taken = std::function<void(int process)>;
  // Listens at `path`, in the place of whoever did until now. REQUIRES: loop outlives it. `taken`
  // is called once, and may not destroy it.
  static Result<std::unique_ptr<TakeoverServer>> Open(Loop& loop, const std::string& path,
                                                      Offer offer, Taken taken);
  ~TakeoverServer();  // removes the path, unless an heir has it now

 private:
  struct Impl;
  explicit TakeoverServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace spillway

// SPDX-License-Identifier: MIT
// The process: blocks signals before the first thread, takes randomness from the system, hands over
// to the command line.
#include <signal.h>
#include <sys/random.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/cli.h"

namespace {

// Until the server watches them, signals wait instead of killing. Writing to a connection whose
// peer is gone is an error to handle, not a signal.
void BlockSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGUSR2}) sigaddset(&set, signal);
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

spillway::Environment ReadEnvironment() {
  spillway::Environment environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (!text.starts_with("SPILLWAY_") || equals == std::string_view::npos) continue;
    environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  // Commands that only ask and print can be interrupted as usual.
  if (!arguments.empty() && arguments[0] == "run") BlockSignals();
  std::uint64_t seed = 0;
  if (::getrandom(&seed, sizeof(seed), 0) != sizeof(seed)) {
    std::cerr << "spillway: the system gives no random numbers\n";
    return 1;
  }
  try {
    spillway::CliWorld world{ReadEnvironment(), seed, std::cout, std::cerr};
    std::ios::sync_with_stdio(false);  // `explain --jsonl` reads many lines
    world.in = &std::cin;
    world.manager = {Variable("LISTEN_PID"), Variable("LISTEN_FDS"), Variable("NOTIFY_SOCKET")};
    return spillway::RunCli(arguments, world);
  } catch (const std::exception& error) {
    std::cerr << "spillway: " << error.what() << "\n";
    return 1;
  }
}

// SPDX-License-Identifier: MIT
// Keys of session tickets: what a client gives back to be known again, so that nothing is stored
// for it. The first key encrypts; all of them decrypt. Whoever has the clock calls Rotate, or the
// keys come from files and change with them.
//
// Any thread: the lock is taken once in a handshake, never for a request.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "proxy/tls.h"
#include "spillway/units.h"

namespace spillway {

struct TicketKey {
  std::array<unsigned char, 16> name{};  // in the ticket, to find the key by
  std::array<unsigned char, 32> cipher{}, mac{};
  TicketKey() = default;
  TicketKey(const TicketKey&) = default;
  TicketKey& operator=(const TicketKey&) = default;
  ~TicketKey();  // leaves nothing behind in memory
};

class TicketKeys {
 public:
  // How long a client may come back with a ticket, and how long a key made here encrypts: it then
  // decrypts for as long again, which is longer than the tickets are good for.
  static constexpr Duration kTicketLife = std::chrono::hours(2);
  static constexpr Duration kKeyLife = std::chrono::hours(4);
  static constexpr std::size_t kFileBytes = 80;  // name, cipher key, MAC key
  using Keys = std::vector<TicketKey>;

  TicketKeys();  // one, made at random
  // From files of kFileBytes random bytes each. The error names the file.
  static Result<std::shared_ptr<const TicketKeys>> FromFiles(std::span<const std::string> paths);
  // A new key encrypts, the one before it still decrypts, what was older is forgotten.
  void Rotate();
  std::shared_ptr<const Keys> keys() const;  // never null or empty

 private:
  explicit TicketKeys(Keys keys);
  mutable std::mutex mutex_;
  std::shared_ptr<const Keys> keys_;
};

// Tickets of `context` are made and read with these keys from now on; false without memory.
bool UseTickets(SSL_CTX* context, std::shared_ptr<const TicketKeys> keys);

}  // namespace spillway

// SPDX-License-Identifier: MIT
// The places for connections to servers, over all workers: as many as there are descriptors for
// beside those of clients. A connection of HTTP/2 asks for a hundred things at once, so clients'
// connections alone bound nothing.
//
// Thread rule: any thread; touched as a connection comes and goes, never by a request.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <utility>

#include "proxy/socket.h"
#include "spillway/result.h"

namespace spillway {

class UpstreamPlaces {
 public:
  // One connection's, given back with it.
  class Place {
   public:
    explicit Place(UpstreamPlaces& of) : of_(&of) {}
    Place(Place&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (of_ != nullptr) of_->taken_.fetch_sub(1, std::memory_order_relaxed);
    }

   private:
    UpstreamPlaces* of_;
  };
  struct Socket {
    Place place;
    Fd fd;
  };

  // How many there are from now on; those that are taken stay so.
  void Allow(std::uint64_t most) { most_.store(most, std::memory_order_relaxed); }

  // Begins to connect. The error is an errno: without a place EMFILE, which it would soon be.
  tl::expected<Socket, int> Connect(const KernelAddress& address);

  // Few places are left: whoever keeps idle connections is to end them. Not called again until all
  // copies of `heard` are gone. REQUIRES: set before the first worker starts.
  using Scarce = std::function<void(std::shared_ptr<void> heard)>;
  void OnScarce(Scarce hear) { hear_ = std::move(hear); }

 private:
  void TellScarce();

  std::atomic<std::uint64_t> taken_{0};
  std::atomic<std::uint64_t> most_{std::numeric_limits<std::uint64_t>::max()};
  std::atomic<bool> told_{false};
  Scarce hear_;
};

}  // namespace spillway

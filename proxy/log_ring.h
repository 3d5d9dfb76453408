// SPDX-License-Identifier: MIT
// A bounded ring of bytes between one writing thread and one reading thread, without locks. Lines
// go in whole or not at all. Memory: the capacity, taken when the first line comes.
#pragma once

#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace spillway {

class LogRing {
 public:
  // REQUIRES: a power of two.
  explicit LogRing(std::size_t capacity) : capacity_(capacity) {}

  // Writer. False: no room, nothing is put.
  bool Put(std::string_view line);
  // Writer. Whether the last Put made the ring more than half full, which it was not before.
  bool crossed_half() const { return crossed_half_; }

  // Reader: the bytes up to `end`, in at most two pieces.
  std::array<iovec, 2> Peek(std::uint64_t end) const;
  void Take(std::size_t bytes) {
    tail_.store(tail_.load(std::memory_order_relaxed) + bytes, std::memory_order_release);
  }

  // Positions count all bytes ever put and taken; any thread.
  std::uint64_t head() const { return head_.load(std::memory_order_acquire); }
  std::uint64_t tail() const { return tail_.load(std::memory_order_acquire); }

 private:
  const std::size_t capacity_;
  std::unique_ptr<char[]> bytes_;  // made by the writer before the first head_ is published
  bool crossed_half_ = false;
  // On lines of their own: the writer owns one, the reader the other.
  alignas(64) std::atomic<std::uint64_t> head_{0};
  std::uint64_t known_tail_ = 0;  // the writer's copy: tail_ is read only when this says half full
  alignas(64) std::atomic<std::uint64_t> tail_{0};
};

}  // namespace spillway

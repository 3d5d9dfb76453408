// SPDX-License-Identifier: MIT
// Bytes on their way through a worker: blocks that are reused, input that grows to hold one head,
// and output that the kernel did not take at once.
//
// Thread rule: one worker's loop thread. Memory: a worker keeps at most 256 small and 32 large
// blocks for reuse.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/stream.h"

namespace spillway {

inline constexpr std::size_t kSmallBlock = 16 * 1024;  // a head and a small body
// A window of a body that streams. A little less than 64 KiB, so that over loopback, where most
// servers are, one write is one segment.
inline constexpr std::size_t kLargeBlock = 60 * 1024;

struct Block {
  std::unique_ptr<char[]> data;
  std::size_t size = 0;
};

// Blocks that connections give back when they idle.
class BlockPool {
 public:
  Block Take(std::size_t at_least);
  void Give(Block block);

 private:
  static constexpr std::size_t kKeepSmall = 256, kKeepLarge = 32;
  std::vector<Block> small_, large_;
};

// Bytes read and not yet used up. One contiguous block, so that a parsed head can be viewed in
// place.
class InputBuffer {
 public:
  explicit InputBuffer(BlockPool& pool) : pool_(pool) {}
  ~InputBuffer() { Release(); }
  InputBuffer(const InputBuffer&) = delete;
  InputBuffer& operator=(const InputBuffer&) = delete;

  char* data() { return block_.data.get(); }
  std::size_t end() const { return end_; }
  std::size_t capacity() const { return block_.size; }
  std::span<char> room() { return {block_.data.get() + end_, block_.size - end_}; }
  void Added(std::size_t bytes) { end_ += bytes; }
  // Forgets what lies beyond `end`.
  void CutTo(std::size_t end) { end_ = end; }
  // Moves [from, end) to the front.
  void DropFront(std::size_t from);
  // Makes the block at least so large; data() may move.
  void Reserve(std::size_t capacity);
  // Gives the block back. What was in it is gone.
  void Release();

 private:
  BlockPool& pool_;
  Block block_;
  std::size_t end_ = 0;
};

// What a socket still has to take; empty, it holds no memory. Bounded by its users: nothing new is
// read for a peer whose output is not empty, so it never holds more than one window and its
// framing, or what is left of one answer of our own.
class Output {
 public:
  bool empty() const { return sent_ == pending_.size(); }
  std::size_t size() const { return pending_.size() - sent_; }
  // Writes the vectors at once as far as the kernel takes them, and keeps a copy of the rest.
  // kOk (look at empty()), or kBroken.
  IoStatus Write(Stream& stream, std::span<iovec> vectors);
  IoStatus Flush(Stream& stream);
  void Clear();

 private:
  std::string pending_;
  std::size_t sent_ = 0;
};

inline iovec ToVector(std::string_view bytes) {
  return {const_cast<char*>(bytes.data()),
          bytes.size()};  // iovec knows no const; writing does not modify
}

}  // namespace spillway

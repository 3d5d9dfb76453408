// SPDX-License-Identifier: MIT
// What one stream of HTTP/2 leaves behind for the next one of any connection of a worker: itself
// with its exchange, and what its request's head was put together in, with the room that they have
// grown. So a request costs no allocation of ours.
//
// Thread rule: one worker's loop thread. Memory: at most 128 spare streams (about 5 KiB each after
// ordinary requests, at most 4 KiB for each of their texts and lists), and one batch of frames.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace spillway {

struct Http2Request;
struct WorkerContext;
class Http2Stream;

class Http2Spares {
 public:
  explicit Http2Spares(WorkerContext& worker);
  ~Http2Spares();

  std::shared_ptr<Http2Request> TakeRequest();
  std::unique_ptr<Http2Stream> TakeStream();
  // REQUIRES: it is over, and none of its functions is running.
  void Give(std::unique_ptr<Http2Stream> stream);

  // Room for frames on their way to one connection, empty. Whoever has taken it need not fear that
  // another connection does the same before it is given back.
  std::string TakeFrames() { return std::move(frames_); }
  void GiveFrames(std::string frames);

 private:
  static constexpr std::size_t kKeep = 128;
  WorkerContext& worker_;
  std::vector<std::shared_ptr<Http2Request>> requests_;
  std::vector<std::unique_ptr<Http2Stream>> streams_;
  std::string frames_;
};

}  // namespace spillway

// SPDX-License-Identifier: MIT
#include "proxy/http2_spares.h"

#include <utility>

#include "proxy/http2.h"
#include "proxy/http2_stream.h"

namespace spillway {

Http2Spares::Http2Spares(WorkerContext& worker) : worker_(worker) {}
Http2Spares::~Http2Spares() = default;

std::shared_ptr<Http2Request> Http2Spares::TakeRequest() {
  if (requests_.empty()) return std::make_shared<Http2Request>();
  std::shared_ptr<Http2Request> request = std::move(requests_.back());
  requests_.pop_back();
  return request;
}

std::unique_ptr<Http2Stream> Http2Spares::TakeStream() {
  if (streams_.empty()) return std::make_unique<Http2Stream>(worker_);
  std::unique_ptr<Http2Stream> stream = std::move(streams_.back());
  streams_.pop_back();
  return stream;
}

void Http2Spares::Give(std::unique_ptr<Http2Stream> stream) {
  std::shared_ptr<Http2Request> request = stream->Forget();
  if (streams_.size() < kKeep) streams_.push_back(std::move(stream));
  // A session that has not yet closed the stream may still write into it.
  if (request.use_count() != 1 || requests_.size() >= kKeep) return;
  request->Clear();
  requests_.push_back(std::move(request));
}

void Http2Spares::GiveFrames(std::string frames) {
  frames_ = std::move(frames);
  frames_.clear();
}

}  // namespace spillway

// SPDX-License-Identifier: MIT
// What both doors of nghttp2 use: that which faces clients (http2.cc) and that which faces upstream
// servers (upstream_http2_session.cc). Included by them alone.
#pragma once

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http1.h"
#include "spillway/text.h"
#include "spillway/units.h"

namespace spillway::http2 {

inline constexpr std::size_t kMostSettings = 32;  // entries of one frame
inline constexpr std::size_t kMostAcks = 100;     // waiting to be sent

// Some peers tell of every frame, or of every few KiB, that they have taken, and measure how fast
// they come: what is sent to them pays for it.
inline constexpr double kWindowCost = 0.05;
inline constexpr double kBytesThatPay = 16 * 1024;  // for a cost of 1

// What a peer may cost beyond its requests and answers: frames that ask for work and carry nothing
// (PING, SETTINGS, PRIORITY, empty DATA) count 1. A browser sends a few of them a second.
class PeerCost {
 public:
  // False: it has cost too much.
  bool Charge(double more, TimePoint now) {
    const double seconds = std::chrono::duration<double>(now - charged_at_).count();
    cost_ = std::max(0.0, cost_ - seconds * kForgiven) + more;
    charged_at_ = now;
    return cost_ <= kMost;
  }
  void Pay(double less) { cost_ = std::max(0.0, cost_ - less); }
  void Begin(TimePoint now) {
    if (charged_at_ == TimePoint{}) charged_at_ = now;
  }

 private:
  static constexpr double kMost = 500;
  static constexpr double kForgiven = 50;  // a second
  double cost_ = 0;
  TimePoint charged_at_{};
};

template <class T, auto kFree>
struct Freed {
  void operator()(T* p) const { kFree(p); }
};
using Callbacks = std::unique_ptr<nghttp2_session_callbacks,
                                  Freed<nghttp2_session_callbacks, nghttp2_session_callbacks_del>>;
using Option = std::unique_ptr<nghttp2_option, Freed<nghttp2_option, nghttp2_option_del>>;

inline Callbacks MakeCallbacks() {
  nghttp2_session_callbacks* made = nullptr;
  if (nghttp2_session_callbacks_new(&made) != 0) throw std::bad_alloc();
  return Callbacks(made);
}

inline Option MakeOption() {
  nghttp2_option* made = nullptr;
  if (nghttp2_option_new(&made) != 0) throw std::bad_alloc();
  return Option(made);
}

// The callbacks that both sides have, as `Impl` names them.
template <class Impl>
void SetCallbacks(nghttp2_session_callbacks* made) {
  nghttp2_session_callbacks_set_on_begin_headers_callback(made, &Impl::OnBeginHeaders);
  nghttp2_session_callbacks_set_on_header_callback(made, &Impl::OnHeader);
  nghttp2_session_callbacks_set_on_invalid_header_callback(made, &Impl::OnInvalidHeader);
  nghttp2_session_callbacks_set_on_begin_frame_callback(made, &Impl::OnBeginFrame);
  nghttp2_session_callbacks_set_on_frame_recv_callback(made, &Impl::OnFrame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, &Impl::OnData);
  nghttp2_session_callbacks_set_on_stream_close_callback(made, &Impl::OnClose);
}

// Windows open as bodies are taken, and what a peer may make us keep is bounded.
inline void SetLimits(nghttp2_option* options, std::size_t continuations, std::size_t sent_head) {
  nghttp2_option_set_no_auto_window_update(options, 1);
  nghttp2_option_set_no_closed_streams(options, 1);
  nghttp2_option_set_max_outbound_ack(options, kMostAcks);
  nghttp2_option_set_max_settings(options, kMostSettings);
  nghttp2_option_set_max_continuations(options, continuations);
  nghttp2_option_set_max_send_header_block_length(options, sent_head);
}

inline std::string_view View(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

// Fields for nghttp2, which copies them and makes their names small.
class Fields {
 public:
  // Views of `fields` must last as long as this.
  Fields(int status, std::span<const HeaderField> fields) {
    const std::size_t most = fields.size() + 1;
    if (most > room_.size()) {
      larger_.resize(most);
      values_ = larger_.data();
    }
    if (status > 0) {
      const auto end = std::to_chars(status_.data(), status_.data() + status_.size(), status).ptr;
      Add(":status", {status_.data(), end}, NGHTTP2_NV_FLAG_NONE);
    }
    for (const HeaderField& field : fields) Add(field.name, field.value, FlagsFor(field.name));
  }
  Fields(const Fields&) = delete;
  Fields& operator=(const Fields&) = delete;
  const nghttp2_nv* data() const { return values_; }
  std::size_t size() const { return size_; }

 private:
  // A value that is never the same again has no use for a place in HPACK's table, and would push
  // out those that have.
  static std::uint8_t FlagsFor(std::string_view name) {
    return EqualsIgnoreCase(name, "x-request-id") ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
  }
  void Add(std::string_view name, std::string_view value, std::uint8_t flags) {
    // nghttp2's struct knows no const; it only reads.
    values_[size_++] = {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
                        reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())),
                        name.size(), value.size(), flags};
  }
  std::array<char, 12> status_;
  std::array<nghttp2_nv, 32> room_;  // most heads fit, so that they cost no allocation
  std::vector<nghttp2_nv> larger_;
  nghttp2_nv* values_ = room_.data();
  std::size_t size_ = 0;
};

// Appends frames to *out until it holds about `most` bytes, or there are none. False: out of
// memory.
inline bool Produce(nghttp2_session* session, std::size_t most, std::string* out) {
  while (out->size() < most) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session, &bytes);
    if (size < 0) return false;
    if (size == 0) break;
    out->append(View(bytes, static_cast<std::size_t>(size)));
  }
  return true;
}

}  // namespace spillway::http2

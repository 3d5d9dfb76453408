// SPDX-License-Identifier: MIT
// Result<T>: a value, or the sentence that says why there is none. The door of tl::expected.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace spillway {

// One sentence for a person, without a trailing full stop: what was found, and what is legal.
struct Error {
  std::string message;
};

template <typename T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> Fail(std::string message) {
  return tl::unexpected<Error>(Error{std::move(message)});
}

}  // namespace spillway

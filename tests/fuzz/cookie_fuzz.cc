// SPDX-License-Identifier: MIT
// A cookie's name, a newline, a Cookie field: what is found lies inside the field, after "name=".
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "spillway/challenge.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t line = input.find('\n');
  if (line == input.npos) return 0;
  const std::string_view name = input.substr(0, line), field = input.substr(line + 1);
  const auto value = spillway::FindCookie(field, name);
  if (!value) return 0;
  if (value->find(';') != value->npos || field.find(name) == field.npos) std::abort();
  if (!value->empty() && (value->data() < field.data() ||
                          value->data() + value->size() > field.data() + field.size())) {
    std::abort();
  }
  return 0;
}

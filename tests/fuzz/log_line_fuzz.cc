// SPDX-License-Identifier: MIT
// A line of a log. What is read lies in the line or in the scratch, which is no longer than the
// line; and JSON that is read quickly is read as the library reads it.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "proxy/log_line.h"

namespace {

using spillway::LoggedRequest;
using spillway::LogLine;

constexpr std::string_view LoggedRequest::*kTexts[] = {
    &LoggedRequest::client,  &LoggedRequest::method,   &LoggedRequest::protocol,
    &LoggedRequest::path,    &LoggedRequest::query,    &LoggedRequest::host,
    &LoggedRequest::scheme,  &LoggedRequest::ja4,      &LoggedRequest::user_agent,
    &LoggedRequest::referer, &LoggedRequest::decision, &LoggedRequest::pool};

bool Inside(std::string_view part, std::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  std::string scratch;
  LogLine read;
  spillway::ReadLogLine(line, &scratch, &read);
  if (scratch.size() > line.size()) std::abort();
  for (const auto text : kTexts) {
    if (!Inside(read.request.*text, line) && !Inside(read.request.*text, scratch)) std::abort();
  }
  std::string quick_scratch, library_scratch;
  LogLine quick, library;
  if (!spillway::ReadJsonQuickly(line, &quick_scratch, &quick)) return 0;
  spillway::ReadJsonByLibrary(line, &library_scratch, &library);
  if (std::string_view(quick.fault ? quick.fault : "") != (library.fault ? library.fault : ""))
    std::abort();
  for (const auto text : kTexts) {
    if (quick.request.*text != library.request.*text) std::abort();
  }
  if (quick.request.upstream_status != library.request.upstream_status) std::abort();
  if (quick.fault == nullptr && quick.request.time != library.request.time) std::abort();
  return 0;
}

// SPDX-License-Identifier: MIT
#include "spillway/identify_target.h"

#include "spillway/target.h"

namespace spillway {
namespace {

// Where a caller keeps its texts from one request to the next, most name the host that the one before
// did, in its only spelling. A name is its own, an IPv6 address, which has lost its brackets, is not.
bool IsAsBefore(std::string_view host, const TargetTexts& texts) {
  return host == texts.host && host.find(':') == std::string_view::npos;
}

}  // namespace

Result<TargetToSend> IdentifyTarget(std::string_view host_field, Request* request,
                                    TargetTexts* texts) {
  request->path = request->query = request->host = {};
  const Result<Target> target = ParseTarget(request->target);
  if (!target) return Fail(target.error().message);
  request->query = target->query;
  TargetToSend sent{host_field, request->target};
  std::string_view path = target->raw_path;
  if (!target->authority.empty()) {
    sent.host = target->authority;
    texts->target.assign(path.empty() ? "/" : path);
    const std::size_t size = texts->target.size();
    if (request->target.find('?') != std::string_view::npos)
      texts->target.append(1, '?').append(target->query);
    sent.target = texts->target;
    path = sent.target.substr(0, size);
  }
  if (path == "*") {
    texts->path.assign(1, '*');
  } else if (const auto normalised = NormalisePath(path, &texts->path); !normalised) {
    return Fail(normalised.error().message);
  }
  request->path = texts->path;
  if (!sent.host.empty()) {
    if (!IsAsBefore(sent.host, *texts)) {
      if (const auto normalised = NormaliseHost(sent.host, &texts->host); !normalised)
        return Fail(normalised.error().message);
    }
    request->host = texts->host;
  }
  return sent;
}

}  // namespace spillway

// SPDX-License-Identifier: MIT
#include "spillway/identify_target.h"

#include "spillway/target.h"

namespace spillway {

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
    if (const auto normalised = NormaliseHost(sent.host, &texts->host); !normalised)
      return Fail(normalised.error().message);
    request->host = texts->host;
  }
  return sent;
}

}  // namespace spillway

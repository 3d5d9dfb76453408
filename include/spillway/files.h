// SPDX-License-Identifier: MIT
// How rules/, which does no I/O, gets at files: the caller lends it one of these.
// Thread rule: a source belongs to the thread that loads; it may wait for a disk.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "spillway/result.h"

namespace spillway {

// What others than the loader do with a file, later.
enum class FileUse : std::uint8_t {
  kCertificate,   // read: PEM, a listener's certificate
  kKey,           // read: PEM, the key of the certificate that is named beside it
  kOcsp,          // read: DER, a response about the certificate that is named beside it
  kOcspTime,      // the same: whether it is still in force
  kTicketKey,     // read: a key of session tickets
  kAuthorities,   // read: PEM, certificates of those who vouch for others
  kChallengeKey,  // read: the secret of challenges
  kToken,         // read: the admin endpoints' bearer token
  kGeo,           // read: where addresses belong, in MaxMind's format
  kAppended,      // appended to, or made: the access log
  kWrittenAnew,   // replaced, or made: the state file
};

class FileSource {
 public:
  virtual ~FileSource() = default;
  // The whole file, at most 64 MiB. The error says what the system said ("No such file or
  // directory").
  virtual Result<std::string> Read(const std::string& path) const = 0;
  // Paths that match a shell pattern, in byte order; none is not an error.
  virtual std::vector<std::string> Glob(const std::string& pattern) const = 0;
  // What would go wrong with a file when it is used; nothing is changed by trying. `beside`: a key's
  // certificate; a certificate's: those before it, a line each. Not to know is to find nothing wrong.
  virtual Result<void> Try(FileUse use, const std::string& path, const std::string& beside) const {
    static_cast<void>(use), static_cast<void>(path), static_cast<void>(beside);
    return {};
  }
};

}  // namespace spillway

// SPDX-License-Identifier: MIT
// The real file system, with a look at the files that are opened after the loading: certificates,
// keys, tokens, logs. For those who will serve by what is loaded, or say whether it could be.
#pragma once

#include "proxy/files.h"

namespace spillway {

// Blocks; for the control thread.
class TrialFiles final : public SystemFiles {
 public:
  // Makes and changes nothing: whether a file could be written is told from the rights to it, and
  // to its directory where there is no such file yet.
  Result<void> Try(FileUse use, const std::string& path, const std::string& beside) const override;
};

}  // namespace spillway

// SPDX-License-Identifier: MIT
// A file that says to which country, or to which network, an address belongs: MaxMind's format,
// which others use as well. It is mapped, not read: pages come as addresses are looked up. So it
// must be replaced by a rename, as those who fetch such files do, and not written over.
//
// Thread rule: immutable; any thread may look up at once. A lookup takes no lock and no memory.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "spillway/address.h"
#include "spillway/result.h"

namespace spillway {

class GeoFile {
 public:
  // The error says what is wrong with the file.
  static Result<std::shared_ptr<const GeoFile>> Open(const std::string& path);
  ~GeoFile();
  GeoFile(const GeoFile&) = delete;
  GeoFile& operator=(const GeoFile&) = delete;

  // Both know nothing of addresses that the file lacks, and of files that say something else.
  // Two letters, which live as long as this does.
  std::optional<std::string_view> Country(const IpAddress& address) const;
  std::optional<std::uint32_t> Network(const IpAddress& address) const;

 private:
  struct Database;
  explicit GeoFile(std::unique_ptr<Database> database);
  std::unique_ptr<Database> database_;
};

}  // namespace spillway

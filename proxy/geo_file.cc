// SPDX-License-Identifier: MIT
#include "proxy/geo_file.h"

#include <maxminddb.h>
#include <netinet/in.h>

#include <cstring>
#include <utility>

namespace spillway {

struct GeoFile::Database {
  MMDB_s file = {};
  bool open = false;
  ~Database() {
    if (open) MMDB_close(&file);
  }

  // What the file says of an address under these keys, one inside the other; ends with null.
  std::optional<MMDB_entry_data_s> Find(const IpAddress& address, const char* const* keys) const {
    sockaddr_in6 v6 = {};
    sockaddr_in v4 = {};
    const sockaddr* where = nullptr;
    if (address.is_v4()) {
      v4.sin_family = AF_INET;
      std::memcpy(&v4.sin_addr, address.bytes().data() + 12, 4);
      where = reinterpret_cast<const sockaddr*>(&v4);
    } else {
      v6.sin6_family = AF_INET6;
      std::memcpy(&v6.sin6_addr, address.bytes().data(), 16);
      where = reinterpret_cast<const sockaddr*>(&v6);
    }
    int error = MMDB_SUCCESS;
    MMDB_lookup_result_s found = MMDB_lookup_sockaddr(&file, where, &error);
    if (error != MMDB_SUCCESS || !found.found_entry) return std::nullopt;
    MMDB_entry_data_s data = {};
    // This form of asking copies nothing.
    if (MMDB_aget_value(&found.entry, &data, keys) != MMDB_SUCCESS || !data.has_data) {
      return std::nullopt;
    }
    return data;
  }
};

GeoFile::GeoFile(std::unique_ptr<Database> database) : database_(std::move(database)) {}
GeoFile::~GeoFile() = default;

Result<std::shared_ptr<const GeoFile>> GeoFile::Open(const std::string& path) {
  auto database = std::make_unique<Database>();
  const int error = MMDB_open(path.c_str(), MMDB_MODE_MMAP, &database->file);
  if (error == MMDB_FILE_OPEN_ERROR || error == MMDB_IO_ERROR) {
    return Fail("cannot read '" + path + "'");
  }
  if (error != MMDB_SUCCESS) {
    return Fail("'" + path +
                "' is not a file of MaxMind's format (.mmdb): " + MMDB_strerror(error));
  }
  database->open = true;
  return std::shared_ptr<const GeoFile>(new GeoFile(std::move(database)));
}

std::optional<std::string_view> GeoFile::Country(const IpAddress& address) const {
  constexpr const char* kKeys[] = {"country", "iso_code", nullptr};
  const auto data = database_->Find(address, kKeys);
  if (!data || data->type != MMDB_DATA_TYPE_UTF8_STRING || data->data_size != 2) {
    return std::nullopt;
  }
  return std::string_view(data->utf8_string, data->data_size);
}

std::optional<std::uint32_t> GeoFile::Network(const IpAddress& address) const {
  constexpr const char* kKeys[] = {"autonomous_system_number", nullptr};
  const auto data = database_->Find(address, kKeys);
  if (!data || data->type != MMDB_DATA_TYPE_UINT32) return std::nullopt;
  return data->uint32;
}

}  // namespace spillway

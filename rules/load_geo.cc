// SPDX-License-Identifier: MIT
// The section `geo`: files that say where addresses belong. They are opened by others.
#include "rules/draft.h"

namespace spillway {
namespace {

constexpr std::string_view kDatabasePath = "the path of a MaxMind database (.mmdb)";

constexpr KeyRow<GeoConfig> kGeoRows[] = {
    {"country_file", "path", "", "a file of MaxMind's format (.mmdb), for client.country",
     &SetPath<&GeoConfig::country_file, kDatabasePath>},
    {"asn_file", "path", "", "another, of networks, for client.asn",
     &SetPath<&GeoConfig::asn_file, kDatabasePath>},
};

}  // namespace

void ReadGeo(const Slot& slot, Draft* draft) {
  ReadKeys(slot.node, kGeoRows, slot.loader, &draft->config.geo);
}

void ListGeoKeys(const std::string& name, std::vector<Kind>* kinds) {
  ListSection<kGeoRows>(name, kinds);
}

}  // namespace spillway

// SPDX-License-Identifier: MIT
#include "proxy/tls_names.h"

#include <fmt/format.h>

#include <algorithm>

#include "proxy/tls_library.h"

namespace spillway {
namespace {

// A name in lower case, without the root's dot.
std::string Lower(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return lower;
}

Result<CertificateClaim> ReadClaim(const std::string& path) {
  ERR_clear_error();
  const Owned<SSL_CTX> context = NewTlsContext(TLS_server_method(), TlsVersion::k1_2);
  if (!context) return Fail(fmt::format("cannot set up TLS: {}", TakeReason()));
  if (auto used = UseCertificate(context.get(), path); !used) {
    return Fail(std::move(used.error().message));
  }
  return CertificateClaim::Of(SSL_CTX_get0_certificate(context.get()));
}

}  // namespace

CertificateClaim CertificateClaim::Of(X509* certificate) {
  CertificateClaim claim;
  claim.key = EVP_PKEY_get_base_id(X509_get0_pubkey(certificate));
  const Owned<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) continue;
    claim.names.push_back(
        Lower({reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
               static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName))}));
  }
  return claim;
}

void CertificateNames::Add(const CertificateClaim& claim) {
  const std::size_t place = claims_.size();
  for (const std::string& name : claim.names) {
    if (Taken(name, claim.key)) continue;
    if (const Entry* entry = Find(name)) {
      entries_[static_cast<std::size_t>(entry - entries_.data())].set.push_back(place);
    } else {
      entries_.push_back({name, {place}});
    }
  }
  claims_.push_back(claim);
}

const CertificateNames::Set* CertificateNames::Match(std::string_view asked) const {
  const std::string name = Lower(asked);
  if (const Entry* exact = Find(name)) return &exact->set;
  const std::size_t dot = name.find('.');
  if (dot == std::string::npos || dot == 0) return nullptr;
  const Entry* wildcard = Find("*" + name.substr(dot));
  return wildcard == nullptr ? nullptr : &wildcard->set;
}

CertificateNames::Set CertificateNames::Default() const {
  const std::vector<std::string>& names = claims_.front().names;
  Set set = names.empty() ? Set{0} : Find(names.front())->set;
  std::erase_if(set, [&](std::size_t place) {
    return !std::all_of(names.begin(), names.end(), [&](const std::string& name) {
      const Set& of_name = Find(name)->set;
      return std::find(of_name.begin(), of_name.end(), place) != of_name.end();
    });
  });
  return set;
}

std::vector<const CertificateNames::Set*> CertificateNames::Sets() const {
  std::vector<const Set*> sets;
  for (const Entry& entry : entries_) sets.push_back(&entry.set);
  return sets;
}

bool CertificateNames::Taken(std::string_view name, int key) const {
  const Entry* entry = Find(name);
  // One that is added now may have the name twice.
  return entry != nullptr && std::any_of(entry->set.begin(), entry->set.end(), [&](auto place) {
           return place == claims_.size() || claims_[place].key == key;
         });
}

// Linear: a handshake costs 100,000 times more than a comparison.
const CertificateNames::Entry* CertificateNames::Find(std::string_view name) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [name](const Entry& entry) { return entry.name == name; });
  return found == entries_.end() ? nullptr : &*found;
}

Result<void> TryCertificateNames(const std::string& path, const std::vector<std::string>& before) {
  CertificateNames names;
  for (const std::string& each : before) {
    const auto claim = ReadClaim(each);
    if (!claim) return {};  // which is told of that one
    names.Add(*claim);
  }
  const auto claim = ReadClaim(path);
  if (!claim) return {};
  if (claim->names.empty()) {
    return Fail(
        fmt::format("certificate '{}' is never shown: it has no DNS name among its subject "
                    "alternative names, and is not the first",
                    path));
  }
  const bool all_taken =
      std::all_of(claim->names.begin(), claim->names.end(),
                  [&](const std::string& name) { return names.Taken(name, claim->key); });
  if (!all_taken) return {};
  return Fail(
      fmt::format("certificate '{}' is never shown: those before it have all its names, with "
                  "keys of the same kind",
                  path));
}

}  // namespace spillway

// SPDX-License-Identifier: MIT
// Which certificates of a listener answer for which name. A name may have one for each kind of key
// (RSA, ECDSA, ...), of which a client is shown one that it can use; of a kind the first that claims
// a name keeps it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "spillway/result.h"

typedef struct x509_st X509;

namespace spillway {

// What a certificate can be chosen by.
struct CertificateClaim {
  static CertificateClaim Of(X509* certificate);
  std::vector<std::string> names;  // DNS alternative names, in lower case
  int key = 0;                     // its kind, as OpenSSL numbers them
};

class CertificateNames {
 public:
  // Places in the listener's list, rising; each of another kind of key.
  using Set = std::vector<std::size_t>;

  // The next certificate of the list.
  void Add(const CertificateClaim& claim);
  // For a name as the client said it: exact, or with its first label as a wildcard (RFC 6125 6.4.3).
  // Null: nobody claims it.
  const Set* Match(std::string_view asked) const;
  // For unknown names: the first certificate, and those that have all its names.
  Set Default() const;
  // Each name's; some more than once.
  std::vector<const Set*> Sets() const;
  // Whether the name is claimed by a certificate with this kind of key.
  bool Taken(std::string_view name, int key) const;

 private:
  struct Entry {
    std::string name;
    Set set;
  };
  const Entry* Find(std::string_view name) const;
  std::vector<Entry> entries_;
  std::vector<CertificateClaim> claims_;
};

// Whether the certificate can ever be chosen behind those that are named before it.
Result<void> TryCertificateNames(const std::string& certificate,
                                 const std::vector<std::string>& before);

}  // namespace spillway

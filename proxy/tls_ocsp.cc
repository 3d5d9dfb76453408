// SPDX-License-Identifier: MIT
// OCSP stapling from a file: what a certificate's authority says of it goes out with it, while that
// is in force. Whoever fetches responses writes the file and reloads. The response's signature is
// for clients to check: they know whom they trust.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "proxy/files.h"
#include "proxy/log.h"
#include "proxy/tls.h"
#include "proxy/tls_library.h"

namespace spillway {
namespace {

struct Staple {
  Owned<X509> certificate;  // which it is about
  std::string response;     // DER
  Owned<ASN1_GENERALIZEDTIME> from, until;

  // By OpenSSL's clock, as certificates are judged too.
  bool in_force() const {
    return X509_cmp_current_time(from.get()) <= 0 &&
           (until == nullptr || X509_cmp_current_time(until.get()) > 0);
  }
};

// Of a context's certificates.
using Staples = std::vector<std::shared_ptr<const Staple>>;

// The response's entry for this certificate. It is named by its number and its issuer's hashed
// name; the issuer's key would have to be known for more.
OCSP_SINGLERESP* FindEntry(OCSP_BASICRESP* basic, X509* certificate) {
  for (int i = 0; i < OCSP_resp_count(basic); ++i) {
    OCSP_SINGLERESP* const entry = OCSP_resp_get0(basic, i);
    ASN1_OCTET_STRING* name = nullptr;
    ASN1_OBJECT* algorithm = nullptr;
    ASN1_INTEGER* number = nullptr;
    auto* id = const_cast<OCSP_CERTID*>(OCSP_SINGLERESP_get0_id(entry));
    if (OCSP_id_get0_info(&name, &algorithm, nullptr, &number, id) != 1) continue;
    const EVP_MD* const method = EVP_get_digestbyobj(algorithm);
    std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
    unsigned int size = 0;
    if (method == nullptr ||
        X509_NAME_digest(X509_get_issuer_name(certificate), method, hash.data(), &size) != 1) {
      continue;
    }
    const std::string_view ours(reinterpret_cast<const char*>(hash.data()), size);
    const std::string_view theirs(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name)),
                                  static_cast<std::size_t>(ASN1_STRING_length(name)));
    const bool same = ASN1_INTEGER_cmp(number, X509_get0_serialNumber(certificate)) == 0;
    if (same && ours == theirs) return entry;
  }
  return nullptr;
}

Result<Staple> ReadStaple(const std::string& path, X509* certificate) {
  auto bytes = SystemFiles().Read(path);
  if (!bytes) return Fail(fmt::format("cannot read '{}': {}", path, bytes.error().message));
  const auto* at = reinterpret_cast<const unsigned char*>(bytes->data());
  const Owned<OCSP_RESPONSE> response(
      d2i_OCSP_RESPONSE(nullptr, &at, static_cast<long>(bytes->size())));
  if (!response) {
    ERR_clear_error();
    return Fail(fmt::format("'{}' is not an OCSP response in DER", path));
  }
  if (const int status = OCSP_response_status(response.get());
      status != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
    return Fail(fmt::format("the OCSP response in '{}' is an error: {}", path,
                            OCSP_response_status_str(status)));
  }
  const Owned<OCSP_BASICRESP> basic(OCSP_response_get1_basic(response.get()));
  OCSP_SINGLERESP* const entry = basic ? FindEntry(basic.get(), certificate) : nullptr;
  if (entry == nullptr) {
    ERR_clear_error();
    return Fail(fmt::format("the OCSP response in '{}' is not about this certificate", path));
  }
  ASN1_GENERALIZEDTIME *from = nullptr, *until = nullptr;
  const int state = OCSP_single_get0_status(entry, nullptr, nullptr, &from, &until);
  if (state != V_OCSP_CERTSTATUS_GOOD) {
    return Fail(fmt::format("the OCSP response in '{}' says that the certificate is {}", path,
                            OCSP_cert_status_str(state)));
  }
  Staple staple;
  X509_up_ref(certificate);
  staple.certificate.reset(certificate);
  staple.response = std::move(*bytes);
  staple.from.reset(ASN1_STRING_dup(from));
  if (until != nullptr) staple.until.reset(ASN1_STRING_dup(until));
  return staple;
}

int OnStatusAsked(SSL* ssl, void*) {
  const auto* staples = Attached<Staples>(SSL_get_SSL_CTX(ssl));
  if (staples == nullptr) return SSL_TLSEXT_ERR_NOACK;
  const X509* const shown = SSL_get_certificate(ssl);
  const auto found = std::find_if(staples->begin(), staples->end(), [shown](const auto& staple) {
    return staple->certificate.get() == shown;
  });
  if (found == staples->end() || !(*found)->in_force()) return SSL_TLSEXT_ERR_NOACK;
  const std::string& response = (*found)->response;
  void* const copy = OPENSSL_memdup(response.data(), response.size());
  if (copy == nullptr) return SSL_TLSEXT_ERR_NOACK;
  SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(response.size()));
  return SSL_TLSEXT_ERR_OK;
}

std::string Untimely(const std::string& path) {
  return fmt::format("the OCSP response in '{}' is over, or not in force yet", path);
}

// False without memory.
bool Show(SSL_CTX* context, std::shared_ptr<const Staple> staple) {
  auto* staples = Attached<Staples>(context);
  if (staples == nullptr) staples = Attach(context, std::make_unique<Staples>());
  if (staples == nullptr) return false;
  staples->push_back(std::move(staple));
  SSL_CTX_set_tlsext_status_cb(context, &OnStatusAsked);
  return true;
}

Result<Staple> ReadStapleFor(const std::string& path, const std::string& certificate) {
  ERR_clear_error();
  const Owned<SSL_CTX> context = NewTlsContext(TLS_server_method(), TlsVersion::k1_2);
  if (!context) return Fail(fmt::format("cannot set up TLS: {}", TakeReason()));
  if (auto used = UseCertificate(context.get(), certificate); !used) {
    return Fail(std::move(used.error().message));
  }
  return ReadStaple(path, SSL_CTX_get0_certificate(context.get()));
}

}  // namespace

Result<void> UseOcsp(SSL_CTX* context, const std::string& path) {
  auto staple = ReadStaple(path, SSL_CTX_get0_certificate(context));
  if (!staple) return Fail(std::move(staple.error().message));
  if (!staple->in_force()) log::Warning("{}; it is not shown", Untimely(path));
  if (!Show(context, std::make_shared<const Staple>(std::move(*staple)))) {
    return Fail("cannot set up TLS");
  }
  return {};
}

bool ShareOcsp(const SSL_CTX* from, SSL_CTX* to) {
  const auto* staples = Attached<Staples>(from);
  return staples == nullptr || std::all_of(staples->begin(), staples->end(),
                                           [to](const auto& staple) { return Show(to, staple); });
}

Result<void> TryOcsp(const std::string& path, const std::string& certificate) {
  const auto staple = ReadStapleFor(path, certificate);
  if (!staple) return Fail(staple.error().message);
  return {};
}

Result<void> TryOcspTime(const std::string& path, const std::string& certificate) {
  const auto staple = ReadStapleFor(path, certificate);
  if (!staple || staple->in_force()) return {};
  return Fail(Untimely(path));
}

}  // namespace spillway

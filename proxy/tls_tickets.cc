// SPDX-License-Identifier: MIT
// Tickets as RFC 5077 recommends them: AES-256-CBC under one key, HMAC-SHA-256 under another, and a
// name that says which two.
#include "proxy/tls_tickets.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "proxy/crypto.h"
#include "proxy/files.h"
#include "proxy/tls_library.h"

namespace spillway {
namespace {

TicketKey KeyOf(std::string_view bytes) {
  TicketKey key;
  std::memcpy(key.name.data(), bytes.data(), key.name.size());
  bytes.remove_prefix(key.name.size());
  std::memcpy(key.cipher.data(), bytes.data(), key.cipher.size());
  bytes.remove_prefix(key.cipher.size());
  std::memcpy(key.mac.data(), bytes.data(), key.mac.size());
  return key;
}

// Leaves nothing of it behind.
TicketKey TakeKey(std::string bytes) {
  const TicketKey key = KeyOf(bytes);
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return key;
}

TicketKey RandomKey() {
  return TakeKey(RandomBytes(TicketKeys::kFileBytes));
}

Result<TicketKey> ReadTicketKey(const std::string& path) {
  auto bytes = SystemFiles().Read(path);
  if (!bytes) return Fail("cannot read ticket key '" + path + "': " + bytes.error().message);
  if (bytes->size() != TicketKeys::kFileBytes) {
    return Fail(
        fmt::format("the ticket key in '{}' has {} bytes; expected {}, as `openssl rand {}` makes "
                    "them",
                    path, bytes->size(), TicketKeys::kFileBytes, TicketKeys::kFileBytes));
  }
  return TakeKey(*std::move(bytes));
}

struct Tickets {
  std::shared_ptr<const TicketKeys> keys;
  Owned<EVP_CIPHER> cipher;  // looked up once: OpenSSL would do it for each ticket, under locks
};

// For each full handshake of TLS 1.3 (of resumed ones OpenSSL gives one in any case). A client that
// opens several connections at once gets one from each of them.
constexpr std::size_t kTickets = 1;

// What OpenSSL's callback answers.
constexpr int kFailed = -1, kUnknown = 0, kGood = 1, kRenew = 2;

bool UseMac(EVP_MAC_CTX* mac, const TicketKey& key) {
  char digest[] = "SHA256";
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY,
                                        const_cast<unsigned char*>(key.mac.data()), key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end()};
  return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

// A ticket is about to be made (`making`) or read. The session context is that of the listener,
// whichever certificate SNI has chosen.
int OnTicket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
             EVP_MAC_CTX* mac, int making) {
  const auto* tickets = Attached<Tickets>(SSL_get_SSL_CTX(ssl));
  if (tickets == nullptr) return kFailed;
  const std::shared_ptr<const TicketKeys::Keys> keys = tickets->keys->keys();
  const EVP_CIPHER* const aes = tickets->cipher.get();
  if (making == 1) {
    const TicketKey& key = keys->front();
    const bool ready = RAND_bytes(iv, EVP_CIPHER_get_iv_length(aes)) == 1 &&
                       EVP_EncryptInit_ex(cipher, aes, nullptr, key.cipher.data(), iv) == 1 &&
                       UseMac(mac, key);
    std::memcpy(name, key.name.data(), key.name.size());
    return ready ? kGood : kFailed;
  }
  const auto found = std::find_if(keys->begin(), keys->end(), [&](const TicketKey& key) {
    return std::memcmp(name, key.name.data(), key.name.size()) == 0;
  });
  if (found == keys->end()) return kUnknown;
  const bool ready = UseMac(mac, *found) &&
                     EVP_DecryptInit_ex(cipher, aes, nullptr, found->cipher.data(), iv) == 1;
  if (!ready) return kFailed;
  // In TLS 1.3 each handshake gives new tickets anyway.
  return found == keys->begin() ? kGood : kRenew;
}

}  // namespace

TicketKey::~TicketKey() {
  OPENSSL_cleanse(cipher.data(), cipher.size());
  OPENSSL_cleanse(mac.data(), mac.size());
}

TicketKeys::TicketKeys() : TicketKeys(Keys{RandomKey()}) {}

TicketKeys::TicketKeys(Keys keys) : keys_(std::make_shared<const Keys>(std::move(keys))) {}

Result<std::shared_ptr<const TicketKeys>> TicketKeys::FromFiles(
    std::span<const std::string> paths) {
  Keys keys;
  for (const std::string& path : paths) {
    auto key = ReadTicketKey(path);
    if (!key) return Fail(std::move(key.error().message));
    keys.push_back(*key);
  }
  return std::shared_ptr<const TicketKeys>(new TicketKeys(std::move(keys)));
}

void TicketKeys::Rotate() {
  auto next = std::make_shared<const Keys>(Keys{RandomKey(), keys()->front()});
  const std::lock_guard lock(mutex_);
  keys_ = std::move(next);
}

std::shared_ptr<const TicketKeys::Keys> TicketKeys::keys() const {
  const std::lock_guard lock(mutex_);
  return keys_;
}

bool UseTickets(SSL_CTX* context, std::shared_ptr<const TicketKeys> keys) {
  auto tickets = std::make_unique<Tickets>(Tickets{
      std::move(keys), Owned<EVP_CIPHER>(EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr))});
  return tickets->cipher != nullptr && Attach(context, std::move(tickets)) != nullptr &&
         SSL_CTX_set_num_tickets(context, kTickets) == 1 &&
         SSL_CTX_set_tlsext_ticket_key_evp_cb(context, &OnTicket) == 1;
}

Result<void> TryTicketKey(const std::string& path) {
  const auto key = ReadTicketKey(path);
  if (!key) return Fail(key.error().message);
  return {};
}

}  // namespace spillway

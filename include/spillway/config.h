// SPDX-License-Identifier: MIT
// A configuration file as plain values, defaults filled in. docs/reference.md says what each key
// means; the field tables in rules/ say each default and range, once. Immutable after loading.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "spillway/address.h"
#include "spillway/admission.h"
#include "spillway/bots.h"
#include "spillway/diagnostics.h"
#include "spillway/files.h"
#include "spillway/hold.h"
#include "spillway/log_level.h"
#include "spillway/policy.h"
#include "spillway/result.h"
#include "spillway/rule_test.h"
#include "spillway/units.h"

namespace spillway {

// Where to listen or connect. Exactly one form.
struct SocketAddress {
  enum class Form : std::uint8_t { kIp, kName, kUnix } form = Form::kIp;
  IpAddress ip;      // kIp; for ":8080" the wildcard "::" (both families)
  std::string name;  // kName: a host name; kUnix: a path
  // kIp, kName. 0 in a listener: any free port (told in the log and status)
  std::uint16_t port = 0;
  std::string text;  // as written, for messages, logs and matching across reloads
  friend bool operator==(const SocketAddress&, const SocketAddress&) = default;
};

struct TlsCertificate {
  std::string certificate;  // PEM chain file
  std::string key;          // PEM key file
  std::string ocsp = {};    // DER file with a response about the certificate; empty: none is shown
  friend bool operator==(const TlsCertificate&, const TlsCertificate&) = default;
};

enum class TlsVersion : std::uint8_t { k1_2, k1_3 };

// Whom a listener asks for a certificate of the client's own.
struct ClientCertificates {
  std::string ca;  // PEM file of those who may vouch for clients
  enum class Mode : std::uint8_t { kRequired, kOptional } mode = Mode::kRequired;
  std::uint32_t depth = 3;  // certificates between a client's and one of `ca`
  friend bool operator==(const ClientCertificates&, const ClientCertificates&) = default;
};

struct TlsConfig {
  // The first answers unknown names; others by their SAN names
  std::vector<TlsCertificate> certificates;
  TlsVersion min_version = TlsVersion::k1_2;
  bool http2 = true;                          // offered by ALPN
  bool session_tickets = true;                // not where client certificates are asked for
  std::vector<std::string> ticket_keys = {};  // files; the first encrypts. Empty: the process's own
  std::optional<ClientCertificates> client_certificates = {};
  friend bool operator==(const TlsConfig&, const TlsConfig&) = default;
};

struct ListenerConfig {
  SocketAddress address;
  std::optional<TlsConfig> tls;
  bool proxy_protocol = false;  // required, v1 or v2, or the connection is closed
  std::optional<bool> http2;    // nullopt: with TLS only
  bool speaks_http2() const { return http2.value_or(tls.has_value()); }
};

struct AdminConfig {
  std::optional<SocketAddress> address;  // nullopt: off. Default 127.0.0.1:9901
  std::string token_file;                // empty: none needed (loopback or unix socket only)
};

// What becomes of a request whose path servers read in different ways (RequireOneReading in
// spillway/target.h).
enum class AmbiguousPaths : std::uint8_t { kPass, kRefuse };

struct ClientConfig {
  std::vector<IpRange> trusted_proxies;
  std::string address_header = "x-forwarded-for";  // or "forwarded", or a single-address header
  int ipv6_prefix = 64;
  struct Timeouts {
    // From accepting a connection until PROXY header and TLS handshake are done: one clock for both
    Duration handshake = std::chrono::seconds(10);
    Duration head = std::chrono::seconds(15);   // from a head's first byte to its last
    Duration body = std::chrono::seconds(30);   // longest silence inside a request body
    Duration write = std::chrono::seconds(30);  // longest time a client takes no byte
    Duration idle = std::chrono::seconds(65);   // silence before a request's first byte
    Duration tunnel = std::chrono::hours(1);    // longest silence in an upgraded connection
  } timeouts;
  struct Sizes {
    Bytes head{32 * 1024};  // request line and header fields together
    std::uint32_t headers = 100;
    Bytes target{8 * 1024};
    Bytes user_agent{1024};
    Bytes body{0};  // 0: any size (bodies are streamed)
  } sizes;
  struct MinRate {  // bytes a second, on average, beyond what the timeouts forgive; 0: any
    Bytes body{250};
    Bytes answer{250};
  } min_rate;
  struct Http2 {
    std::uint32_t streams = 100;  // requests under way at once on one connection
  } http2;
  AmbiguousPaths ambiguous_paths = AmbiguousPaths::kPass;
  std::uint32_t connections_per_client = 0;  // at once over all workers; 0: any number
  std::uint32_t max_connections = 0;   // over all workers; 0: what the descriptor limit allows
  std::uint32_t max_requests = 10000;  // on one kept connection; then it is closed gracefully
};

struct ServerConfig {
  SocketAddress address;
  std::uint32_t weight = 1;  // 1..1000
  bool backup = false;       // used only when no other server can be
};

enum class Balance : std::uint8_t { kRoundRobin, kLeastRequests, kHash };

// What Balance::kHash takes the hash of.
struct HashKey {
  enum class Of : std::uint8_t { kClient, kPath, kHost, kHeader, kCookie } of = Of::kClient;
  std::string name;                     // kHeader (in lower case), kCookie
  std::string text = "client.address";  // as it would be written
  friend bool operator==(const HashKey&, const HashKey&) = default;
};

// How the servers of a pool are spoken to over TLS.
struct UpstreamTlsConfig {
  bool verify = true;       // certificate and name
  std::string ca;           // PEM file of those who may vouch; empty: the system's
  std::string server_name;  // asked for and compared; empty: the host in the server's address
  std::string certificate;  // PEM files by which we show who we are; empty: we do not
  std::string key;
  TlsVersion min_version = TlsVersion::k1_2;
  friend bool operator==(const UpstreamTlsConfig&, const UpstreamTlsConfig&) = default;
};

struct HealthCheckConfig {
  std::string path;  // GET this; 2xx and 3xx are healthy
  std::string host;  // Host field to send; empty: the server's own address
  Duration interval = std::chrono::seconds(2);
  Duration timeout = std::chrono::seconds(1);
  std::uint32_t rise = 2;
  std::uint32_t fall = 3;
};

enum class UpstreamProtocol : std::uint8_t { kHttp1, kHttp2 };

struct PoolConfig {
  std::string name;
  std::vector<ServerConfig> servers;
  UpstreamProtocol protocol = UpstreamProtocol::kHttp1;
  Balance balance = Balance::kLeastRequests;
  HashKey hash_key;
  std::optional<UpstreamTlsConfig> tls;
  std::optional<HealthCheckConfig> health_check;
  struct Ejection {
    std::uint32_t consecutive_errors = 5;  // 0: never eject
    Duration time = std::chrono::seconds(10);
    std::uint32_t max_share = 50;  // percent of the pool's servers; one may always stay
  } ejection;
  Duration slow_start =
      std::chrono::seconds(10);  // until one that is back has its share; 0: at once
  struct Timeouts {
    Duration connect = std::chrono::seconds(1);
    // From the request's last byte to the response's first
    Duration first_byte = std::chrono::seconds(30);
    Duration idle = std::chrono::seconds(60);  // longest silence once the response has begun,
                                               // or while the upstream takes none of the body
  } timeouts;
  struct Retries {
    std::uint32_t attempts = 1;  // beyond the first try, 0..10
    std::uint32_t budget = 20;   // percent of the requests of the last ten seconds, at least 3
  } retries;
  struct KeepAlive {
    std::uint32_t connections = 64;            // kept idle, for each worker
    Duration idle = std::chrono::seconds(30);  // then closed
  } keep_alive;
  struct Errors {
    std::vector<int> hide;  // upstream statuses whose body never reaches a client
    std::string page;       // the page's HTML (read when loaded); empty: the built-in one
  } errors;
  AdmissionConfig admission;
  HoldConfig hold;
  Duration apdex =
      std::chrono::milliseconds(500);  // to the first byte: satisfied; four times: tolerating
  std::string host;                    // Host field sent to the upstream; empty: the client's
  Bytes response_head{64 * 1024};
};

struct ToggleConfig {
  std::string name;
  std::string description;
  bool initial = false;  // `default: on`
  int signal = 0;        // SIGUSR1, SIGUSR2 or SIGRTMIN+n; 0: none. Each delivery flips it
  std::string file;      // on while this file exists; empty: none
  Duration max_on{0};    // switched off after so long; 0: never
};

struct ChallengeConfig {
  std::string key_file;  // 32 bytes or more; empty: a key made at start
  std::string cookie = "spillway-pass";
  ChallengeDemand defaults;  // what a plain `challenge` asks
};

struct AccessLogConfig {
  enum class Format : std::uint8_t { kOff, kJson, kCombined } format = Format::kJson;
  std::string path = "-";  // "-": standard output
  bool query = false;      // log the query string too
  friend bool operator==(const AccessLogConfig&, const AccessLogConfig&) = default;
};

struct ShutdownConfig {
  Duration delay{0};  // readiness fails, still accepting (for load balancers to notice)
  Duration timeout = std::chrono::seconds(30);  // then what is left is cut
};

// Files that say where addresses belong; empty: none.
struct GeoConfig {
  std::string country_file, asn_file;
};

struct Config {
  std::string file;           // where it came from; empty: environment only
  std::uint32_t workers = 0;  // 0: the CPUs that the cgroup allows
  AccessLogConfig access_log;
  LogLevel log_level = LogLevel::kInfo;
  std::string state_file;
  std::string takeover_socket;  // a path; empty: nobody may take over
  ShutdownConfig shutdown;
  std::vector<ListenerConfig> listeners;  // at least one; default ":8080"
  AdminConfig admin;
  ClientConfig clients;
  GeoConfig geo;
  BotsConfig bots;  // with those that are built in
  ChallengeConfig challenge;
  std::vector<PoolConfig> pools;      // in file order; the first is the default
  std::vector<ToggleConfig> toggles;  // in file order, as Policy::toggles()
  // Rules, limits and lists, compiled. Never null when loaded
  std::shared_ptr<const Policy> policy;
  std::vector<RuleTest> tests;  // in file order
  std::uint64_t digest = 0;     // of every byte read: main file, includes, lists
  Diagnostics warnings;         // what can be served, though not all of it as the file says
};

// What the environment says (SPILLWAY_LISTEN and so on), by name. Overrides the file's scalars.
using Environment = std::map<std::string, std::string>;

// Loads `path` ("" for the environment alone) with all it includes. On failure: every error, none
// guessed.
tl::expected<Config, Diagnostics> LoadConfig(const std::string& path, const FileSource& files,
                                             const Environment& environment);

// One row of what a configuration may hold: for `spillway kinds` and `spillway schema`, the
// reference and its test.
struct Kind {
  // "key", "limit_key", "condition", "condition_key", "operator", "action", "request",
  // "environment"
  std::string group;
  std::string name;       // "pools.NAME.balance", "client.address", "prefix", "deny", "deny.status"
  std::string type;       // "round_robin | least_requests | hash"
  std::string fallback;   // the default as it would be written; empty: none
  std::string text;       // one sentence
  bool required = false;  // the map that may hold it must do so
  bool included = false;  // a key that included files may hold too
  std::vector<std::string> operators = {};  // of a condition: those that it takes
  std::vector<std::string> words = {};      // of a condition: all that a plain value may be
};
std::vector<Kind> ListKinds();

// What a word of the type column looks like: "duration" is a text such as "250ms". Whatever the
// loader takes looks so; not all that looks so is taken.
struct Shape {
  std::string word;
  std::string pattern;  // a regular expression; empty: any text
  std::string text;     // "a duration such as 250ms, 10s, 5m, 2h or 1d"
  // What a reader of YAML who knows numbers may make of it.
  enum class Scalar : std::uint8_t { kText, kTextOrInteger, kAny } scalar = Scalar::kText;
};
std::vector<Shape> ListShapes();

// The same language outside of files (command line, admin API); implemented in rules/scalars.cc.
Result<SocketAddress> ParseSocketAddress(std::string_view text, bool listening);
Result<Duration> ParseDuration(std::string_view text);
std::string FormatDuration(Duration duration);              // "1m30s"
Result<std::string> ParseCountry(std::string_view text);    // "de" as "DE"
Result<std::uint32_t> ParseNetwork(std::string_view text);  // "AS64500" or "64500"

}  // namespace spillway

// SPDX-License-Identifier: MIT
// Clients that come with a connection of their own, for measurements: what wrk cannot do.
//
//   visitor visits PORT SECONDS [tls | resumed]   connect, ask once, read the answer to its end, close; again
//   visitor hold PORT COUNT [tls]                 ask once on each of COUNT connections, and keep them all
//                                                 until the standard input ends
//
// `tls` makes a full handshake each time, `resumed` takes the ticket of the visit before (the first one of each
// thread, which has none, is not counted). Both print one line of JSON: visits, seconds, bytes, wrong (answers
// that were not a whole 200, and connections that failed), resumed, cipher. Threads that block: the visitor's own
// cost does not matter.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kThreads = 16;
constexpr int kPatience = 10;  // seconds without a byte until a visit has failed
constexpr int kOne = 1;

enum class Tls { kNone, kFull, kResumed };

struct Totals {
  std::atomic<std::uint64_t> visits{0}, bytes{0}, wrong{0}, resumed{0};
};

struct FreeSession {
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};
using Session = std::unique_ptr<SSL_SESSION, FreeSession>;

class Connection {
 public:
  Connection(std::uint16_t port, SSL_CTX* context, SSL_SESSION* session)
      : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{kPatience, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &kOne, sizeof kOne);
    open_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    if (!open_ || context == nullptr) return;
    ssl_ = SSL_new(context);
    SSL_set_fd(ssl_, fd_);
    if (session != nullptr) SSL_set_session(ssl_, session);
    open_ = SSL_connect(ssl_) == 1;
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    // Else the library takes the session for one that was cut off, and does not resume it.
    if (ssl_ != nullptr) SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl_);
    if (fd_ >= 0) close(fd_);
  }

  // Asks for the page, and reads its answer: to the connection's end if `last`. The bytes read, or 0 when it
  // was not a whole 200.
  std::size_t Ask(bool last) {
    const std::string_view request =
        last ? "GET / HTTP/1.1\r\nHost: bench.example\r\nConnection: close\r\n\r\n"
             : "GET / HTTP/1.1\r\nHost: bench.example\r\n\r\n";
    if (!open_ || !Write(request)) return 0;
    std::string answer;
    std::size_t whole = 0;  // head and body; 0 while it is not known
    while (whole == 0 || answer.size() < whole || last) {
      const std::size_t size = Read();
      if (size == 0) break;
      answer.append(buffer_.data(), size);
      if (whole == 0) whole = Whole(answer);
    }
    return answer.starts_with("HTTP/1.1 200") && answer.size() == whole ? whole : 0;
  }

  bool resumed() const { return ssl_ != nullptr && SSL_session_reused(ssl_) == 1; }
  const char* cipher() const { return ssl_ == nullptr ? "" : SSL_get_cipher_name(ssl_); }
  Session TakeSession() { return Session(ssl_ == nullptr ? nullptr : SSL_get1_session(ssl_)); }

 private:
  bool Write(std::string_view bytes) {
    const auto size = static_cast<int>(bytes.size());
    return ssl_ != nullptr ? SSL_write(ssl_, bytes.data(), size) == size
                           : send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == size;
  }

  std::size_t Read() {
    const auto size = static_cast<int>(buffer_.size());
    const auto got = ssl_ != nullptr ? SSL_read(ssl_, buffer_.data(), size)
                                     : recv(fd_, buffer_.data(), buffer_.size(), 0);
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }

  // How long head and body are together, once the head is there.
  static std::size_t Whole(const std::string& answer) {
    const std::size_t end = answer.find("\r\n\r\n");
    if (end == std::string::npos) return 0;
    std::string head = answer.substr(0, end);
    std::transform(head.begin(), head.end(), head.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const std::size_t length = head.find("\r\ncontent-length:");
    if (length == std::string::npos) return answer.size() + 1;  // never whole: it must have one
    return end + 4 + std::strtoul(head.c_str() + length + 17, nullptr, 10);
  }

  int fd_;
  bool open_ = false;
  SSL* ssl_ = nullptr;
  std::array<char, 16 * 1024> buffer_;
};

void Visit(std::uint16_t port, Clock::time_point end, Tls tls, SSL_CTX* context, Totals* totals) {
  Session session;
  while (Clock::now() < end) {
    Connection connection(port, context, session.get());
    const bool counted = tls != Tls::kResumed || session != nullptr;
    const std::size_t bytes = connection.Ask(/*last=*/true);
    if (bytes == 0) {
      ++totals->wrong;
    } else if (counted) {
      ++totals->visits;
      totals->bytes += bytes;
      totals->resumed += connection.resumed() ? 1 : 0;
    }
    if (tls == Tls::kResumed && bytes != 0) session = connection.TakeSession();
  }
}

void Hold(std::uint16_t port, int count, SSL_CTX* context, Totals* totals,
          std::vector<std::unique_ptr<Connection>>* held) {
  for (int i = 0; i < count; ++i) {
    held->push_back(std::make_unique<Connection>(port, context, nullptr));
    const std::size_t bytes = held->back()->Ask(/*last=*/false);
    ++(bytes == 0 ? totals->wrong : totals->visits);
    totals->bytes += bytes;
  }
}

void Print(const Totals& totals, double seconds, std::string_view cipher) {
  const auto number = [](const std::atomic<std::uint64_t>& value) {
    return static_cast<unsigned long long>(value.load());
  };
  std::printf(
      "{\"visits\":%llu,\"seconds\":%.6f,\"bytes\":%llu,\"wrong\":%llu,\"resumed\":%llu,"
      "\"cipher\":\"%.*s\"}\n",
      number(totals.visits), seconds, number(totals.bytes), number(totals.wrong),
      number(totals.resumed), static_cast<int>(cipher.size()), cipher.data());
  std::fflush(stdout);
}

int Usage() {
  std::fprintf(stderr,
               "usage: visitor visits PORT SECONDS [tls | resumed]\n"
               "       visitor hold PORT COUNT [tls]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  if (words.size() < 3 || words.size() > 4) return Usage();
  const bool hold = words[0] == "hold";
  const auto port = static_cast<std::uint16_t>(std::atoi(argv[2]));
  const double amount = std::atof(argv[3]);
  Tls tls = Tls::kNone;
  if (words.size() == 4) tls = words[3] == "resumed" ? Tls::kResumed : Tls::kFull;

  std::signal(SIGPIPE, SIG_IGN);
  SSL_CTX* context = nullptr;
  if (tls != Tls::kNone) {
    context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  }
  Totals totals;
  const auto begin = Clock::now();
  const auto end =
      begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(amount));
  std::vector<std::vector<std::unique_ptr<Connection>>> held(kThreads);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    if (hold) {
      const int share = (static_cast<int>(amount) + i) / kThreads;
      threads.emplace_back(Hold, port, share, context, &totals, &held[static_cast<std::size_t>(i)]);
    } else {
      threads.emplace_back(Visit, port, end, tls, context, &totals);
    }
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  std::string cipher;
  if (hold && !held.back().empty()) {
    cipher = held.back().back()->cipher();
  } else if (context != nullptr) {
    cipher = Connection(port, context, nullptr).cipher();
  }
  Print(totals, seconds, cipher);
  if (hold) {
    char byte = 0;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
  }
  held.clear();
  SSL_CTX_free(context);
}

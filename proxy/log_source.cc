// SPDX-License-Identifier: MIT
#include "proxy/log_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "proxy/log_line.h"

namespace spillway {

Result<std::unique_ptr<LogSource>> LogSource::Open(const std::string& path) {
  const bool standard_input = path == "-";
  const int fd = standard_input ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const auto failed = [&](int error) {
    return Fail("cannot read '" + path + "': " + std::generic_category().message(error));
  };
  if (fd < 0) return failed(errno);
  struct stat status;
  if (::fstat(fd, &status) != 0) return failed(errno);
  if (S_ISDIR(status.st_mode)) {
    if (!standard_input) ::close(fd);
    return failed(EISDIR);
  }
  const auto size = S_ISREG(status.st_mode) ? static_cast<std::uint64_t>(status.st_size) : 0;
  return std::unique_ptr<LogSource>(
      new LogSource(standard_input ? "standard input" : path, fd, size));
}

LogSource::~LogSource() {
  if (fd_ != STDIN_FILENO) ::close(fd_);
}

// Bytes as they lie in the file; 0 at the end, or when it cannot be read.
std::size_t LogSource::Read(char* into, std::size_t room) {
  while (true) {
    const ssize_t got = ::read(fd_, into, room);
    if (got >= 0) {
      bytes_read_ += static_cast<std::uint64_t>(got);
      return static_cast<std::size_t>(got);
    }
    if (errno == EINTR) continue;
    error_ = "cannot read '" + name_ + "': " + std::generic_category().message(errno);
    return 0;
  }
}

std::size_t LogSource::ReadUnpacked(char* into, std::size_t room) {
  while (true) {
    const Result<std::size_t> got = gunzip_->Unpack(&packed_, {into, room});
    if (!got) {
      error_ = "cannot read '" + name_ + "': " + got.error().message;
      return 0;
    }
    if (*got > 0) return *got;
    const std::size_t size = Read(packed_buffer_.data(), packed_buffer_.size());
    packed_ = {packed_buffer_.data(), size};
    if (size > 0) continue;
    if (error_.empty() && !gunzip_->whole()) {
      error_ = "cannot read '" + name_ + "': the gzip data ends too early";
    }
    return 0;
  }
}

// More bytes behind those that are left; false at the end.
bool LogSource::Fill() {
  if (at_end_) return false;
  if (from_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + from_, end_ - from_);
    end_ -= from_;
    from_ = 0;
  }
  if (end_ == buffer_.size()) buffer_.resize(buffer_.empty() ? kBlock : buffer_.size() * 2);
  std::size_t got = 0;
  if (!begun_) {
    begun_ = true;
    // Pipes give little at a time; two bytes tell.
    while (end_ < 2 && (got = Read(buffer_.data() + end_, buffer_.size() - end_)) > 0) end_ += got;
    if (Gunzip::IsGzip({buffer_.data(), end_})) {
      packed_buffer_ = buffer_;
      packed_ = {packed_buffer_.data(), end_};
      end_ = 0;
      gunzip_ = std::make_unique<Gunzip>();
    } else {
      at_end_ = end_ == 0;
      return end_ > 0;
    }
  }
  const std::size_t room = buffer_.size() - end_;
  got = gunzip_ ? ReadUnpacked(buffer_.data() + end_, room) : Read(buffer_.data() + end_, room);
  end_ += got;
  at_end_ = got == 0;
  return got > 0;
}

std::string_view LogSource::Peek() {
  if (!begun_) Fill();
  return {buffer_.data() + from_, end_ - from_};
}

std::optional<std::string_view> LogSource::Next() {
  while (true) {
    const char* start = buffer_.data() + from_;
    const std::size_t have = end_ - from_;
    const void* newline =
        have > searched_ ? std::memchr(start + searched_, '\n', have - searched_) : nullptr;
    if (newline == nullptr && have > kLongestLogLine) {
      // Nothing of it is kept.
      skipping_ = true;
      from_ = end_;
      searched_ = 0;
      if (Fill()) continue;
    } else if (newline == nullptr) {
      searched_ = have;
      if (Fill()) continue;
    }
    // A line, or what is left at the end.
    start = buffer_.data() + from_;
    const std::size_t size =
        newline != nullptr ? static_cast<std::size_t>(static_cast<const char*>(newline) - start)
                           : end_ - from_;
    if (newline == nullptr && size == 0 && !skipping_) return std::nullopt;
    from_ += size + (newline != nullptr ? 1 : 0);
    searched_ = 0;
    ++line_;
    if (skipping_ || size > kLongestLogLine) {
      ++too_long_;
      skipping_ = false;
      if (newline == nullptr) return std::nullopt;
      continue;
    }
    return std::string_view(start, size);
  }
}

}  // namespace spillway

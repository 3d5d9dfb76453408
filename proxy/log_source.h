// SPDX-License-Identifier: MIT
// The lines of one log: a file, a pipe or standard input, gzip or not (by what it begins with).
// Blocks; for programs that have nothing else to do. Memory: kBlock, and as much again with gzip,
// and more only for a line that is longer: kLongestLogLine at most.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/gzip.h"
#include "spillway/result.h"

namespace spillway {

class LogSource {
 public:
  static constexpr std::size_t kBlock = 256 * 1024;

  // "-" is standard input. The error says why it cannot be read.
  static Result<std::unique_ptr<LogSource>> Open(const std::string& path);
  ~LogSource();
  LogSource(const LogSource&) = delete;
  LogSource& operator=(const LogSource&) = delete;

  // The next line, without its newline, until the next call. Nothing at the end; see error().
  // Lines that are too long are passed over, and counted.
  std::optional<std::string_view> Next();
  // Reads the first block, and gives it, without taking lines from it.
  std::string_view Peek();

  const std::string& name() const { return name_; }
  const std::string& error() const { return error_; }        // empty: none
  std::uint64_t line() const { return line_; }               // the number of the last one
  std::uint64_t too_long() const { return too_long_; }       // lines
  std::uint64_t bytes_read() const { return bytes_read_; }   // as they lie in the file
  std::uint64_t bytes_in_all() const { return file_size_; }  // 0: not known

 private:
  LogSource(std::string name, int fd, std::uint64_t size)
      : name_(std::move(name)), fd_(fd), file_size_(size) {}
  bool Fill();
  std::size_t Read(char* into, std::size_t room);
  std::size_t ReadUnpacked(char* into, std::size_t room);

  const std::string name_;
  const int fd_;
  const std::uint64_t file_size_;
  std::string error_;
  std::vector<char> buffer_, packed_buffer_;
  std::size_t from_ = 0, end_ = 0;  // what is left of the buffer
  std::size_t searched_ = 0;        // of that, what has no newline
  std::string_view packed_;
  std::unique_ptr<Gunzip> gunzip_;
  std::uint64_t line_ = 0, too_long_ = 0, bytes_read_ = 0;
  bool begun_ = false, at_end_ = false, skipping_ = false;
};

}  // namespace spillway

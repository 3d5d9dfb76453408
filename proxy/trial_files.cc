// SPDX-License-Identifier: MIT
#include "proxy/trial_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "proxy/admin.h"
#include "proxy/crypto.h"
#include "proxy/geo_file.h"
#include "proxy/stream.h"
#include "proxy/tls_names.h"

namespace spillway {
namespace {

std::string Reason(int error) {
  return std::generic_category().message(error);
}

bool Allowed(const std::string& path, int what) {
  return ::faccessat(AT_FDCWD, path.c_str(), what, AT_EACCESS) == 0;
}

// Whether a file could be made beside `path`.
Result<void> TryDirectory(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  if (!Allowed(directory, F_OK)) {
    return Fail("cannot write '" + path + "': there is no directory '" + directory + "'");
  }
  if (Allowed(directory, W_OK | X_OK)) return {};
  const int error = errno;
  return Fail("cannot write '" + path + "': no file can be made in '" + directory +
              "': " + Reason(error));
}

Result<void> TryWriting(FileUse use, const std::string& path) {
  struct stat status;
  const bool there = ::stat(path.c_str(), &status) == 0;
  if (there && S_ISDIR(status.st_mode)) return Fail("'" + path + "' is a directory");
  // What is replaced is written beside it first.
  if (!there || use == FileUse::kWrittenAnew) return TryDirectory(path);
  if (Allowed(path, W_OK)) return {};
  const int error = errno;
  return Fail("cannot write '" + path + "': " + Reason(error));
}

// A pipe gives what it holds but once: that is left for those who will use it.
bool ReadableOnce(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode);
}

template <typename T>
Result<void> Only(const Result<T>& result) {
  if (!result) return Fail(result.error().message);
  return {};
}

// What a file would have to hold, for whoever has none yet.
std::string_view Wanted(FileUse use) {
  switch (use) {
    case FileUse::kCertificate:
    case FileUse::kAuthorities:
      return "a PEM file with certificates";
    case FileUse::kKey:
      return "a PEM file with a private key";
    case FileUse::kOcsp:
      return "an OCSP response as the authority gives it (DER)";
    case FileUse::kTicketKey:
      return "a file of 80 random bytes";
    case FileUse::kChallengeKey:
      return "a file of 32 random bytes or more";
    case FileUse::kToken:
      return "a file whose first line is the token";
    case FileUse::kGeo:
      return "a database of MaxMind's format (.mmdb)";
    case FileUse::kOcspTime:
    case FileUse::kAppended:
    case FileUse::kWrittenAnew:
      break;
  }
  return {};
}

Result<void> TryNames(const std::string& path, std::string_view beside) {
  std::vector<std::string> before;
  while (!beside.empty()) {
    before.emplace_back(beside.substr(0, beside.find('\n')));
    if (ReadableOnce(before.back())) return {};
    beside.remove_prefix(std::min(before.back().size() + 1, beside.size()));
  }
  return TryCertificateNames(path, before);
}

Result<void> TryUse(const FileSource& files, FileUse use, const std::string& path,
                    const std::string& beside) {
  const bool written = use == FileUse::kAppended || use == FileUse::kWrittenAnew;
  if (!written && (ReadableOnce(path) || ReadableOnce(beside))) return {};
  switch (use) {
    case FileUse::kCertificate:
      return beside.empty() ? TryCertificate(path) : TryNames(path, beside);
    case FileUse::kKey:
      return TryKey(path, beside);
    case FileUse::kOcsp:
      return TryOcsp(path, beside);
    case FileUse::kOcspTime:
      return TryOcspTime(path, beside);
    case FileUse::kTicketKey:
      return TryTicketKey(path);
    case FileUse::kAuthorities:
      return TryAuthorities(path);
    case FileUse::kChallengeKey:
      return Only(LoadKey(files, path));
    case FileUse::kToken:
      return Only(ReadTokenFile(path));
    case FileUse::kGeo:
      return Only(GeoFile::Open(path));
    case FileUse::kAppended:
    case FileUse::kWrittenAnew:
      return TryWriting(use, path);
  }
  return {};
}

}  // namespace

Result<void> TrialFiles::Try(FileUse use, const std::string& path,
                             const std::string& beside) const {
  Result<void> tried = TryUse(*this, use, path, beside);
  if (tried || Wanted(use).empty() || Allowed(path, F_OK)) return tried;
  return Fail(tried.error().message + "; expected " + std::string(Wanted(use)));
}

}  // namespace spillway

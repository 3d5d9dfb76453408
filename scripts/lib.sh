# What the scripts share; sourced, not run. Plain bash; nothing here but Debian 12 is assumed.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1

build_packages=(g++ cmake ninja-build pkg-config ccache libevent-dev libre2-dev libyaml-cpp-dev libssl-dev
  node-llhttp libcli11-dev libspdlog-dev libfmt-dev nlohmann-json3-dev libxxhash-dev libexpected-dev libc-ares-dev libmaxminddb-dev libnghttp2-dev prometheus-cpp-dev
  zlib1g-dev)
demo_packages=(python3 curl ca-certificates)
unit_packages=(libgtest-dev libgmock-dev libbenchmark-dev python3)
e2e_packages=(python3 python3-selenium python3-websockets python3-yaml python3-jsonschema python3-h2 python3-grpcio
  curl wrk apache2-utils nghttp2-client openssl procps chromium chromium-driver haproxy slowhttptest)
bench_packages=(nghttp2-proxy util-linux)
lint_packages=(clang-format clang-tidy)
fuzz_packages=(clang libclang-rt-14-dev)
# These come in several packages, or from elsewhere: whoever has the program has it.
[ -x /usr/sbin/nginx ] || e2e_packages+=(nginx-light)
command -v node >/dev/null || e2e_packages+=(nodejs)

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }
die() { say "$*"; exit 1; }

# need PACKAGE...: installs what is missing; says nothing and takes no time when nothing is.
need() {
  local missing=() name
  for name in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local sudo=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die "missing Debian packages, and neither root nor sudo to install them: ${missing[*]}"
    sudo=(sudo)
  fi
  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  local log
  log=$(mktemp)
  # Packages such as nginx start a service when they are installed. Nobody asked for one.
  local policy=/usr/sbin/policy-rc.d made=''
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee $policy >/dev/null && "${sudo[@]}" chmod 755 $policy && made=1
  fi
  local apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300) ok=1
  { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 || ok=0
  [ -z "$made" ] || "${sudo[@]}" rm -f $policy
  if [ $ok = 0 ]; then
    tail -20 "$log" >&2
    die "apt could not install them; the whole output is in $log"
  fi
  rm -f "$log"
}

# follow LOG: appends what comes to LOG; on a terminal it shows how far ninja is, in one line.
follow() {
  local line
  while IFS= read -r line || [ -n "$line" ]; do
    printf '%s\n' "$line" >>"$1"
    [ ! -t 2 ] || [[ $line != \[* ]] || printf '\r\033[K%s' "${line:0:79}" >&2
  done
  [ ! -t 2 ] || printf '\r\033[K' >&2
}

# build PRESET [TARGET...]: configures when needed, builds, and shows the compiler's words only when it fails.
build() {
  local preset=$1 log
  shift
  if [ -e "build/$preset/.ninja_log" ]; then
    say "building ($preset)"
  else
    say "building ($preset): this takes a few minutes the first time"
  fi
  mkdir -p "build/$preset"
  log=build/$preset/build.log
  if ! cmake --preset "$preset" >"$log" 2>&1; then
    tail -30 "$log" >&2
    die "cmake failed; its whole output is in $log"
  fi
  # The callers set pipefail: what fails here is the build.
  if ! cmake --build "build/$preset" ${1:+--target "$@"} 2>&1 | follow "$log"; then
    grep -nE 'error|FAILED|undefined reference' "$log" | head -40 >&2
    die "the build failed; its whole output is in $log"
  fi
}

#!/usr/bin/env bash
# Installs the Debian packages that Weft is built and tested with, where it may; otherwise prints the line that does.
# Usage: setup.sh [--check]   (--check installs nothing: exit 0 when all is there, 1 when something is missing)
set -euo pipefail

llvm=22
# What each is for: cmake, ninja, clang build the compiler; libclang-rt has the sanitizers of the tests; llvm-dev and
# libmlir-dev are the compiler's libraries; mlir-tools has mlir-tblgen, llvm-tools has FileCheck, lit and not; g++ brings
# the plain `cc` that links applications; lld, libzstd and zlib are for linking MLIR and LLVM into `weft`; the rest are
# the JSON reader, the command-line parser and the unit test framework.
packages=(cmake ninja-build ccache "clang-$llvm" "libclang-rt-$llvm-dev" "llvm-$llvm-dev" "llvm-$llvm-tools" "libmlir-$llvm-dev" "mlir-$llvm-tools"
  nlohmann-json3-dev libcli11-dev libgtest-dev g++ python3 "lld-$llvm" libzstd-dev zlib1g-dev)

# Good to have, and tests that need them are skipped without: an emulator and a compiler for other CPUs, pkg-config.
optional=(pkg-config qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross)

say() { printf 'setup: %s\n' "$*" >&2; }

is_installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

if ! command -v dpkg-query >/dev/null; then
  say "expected a Debian or Ubuntu system; install these yourself and configure with -DMLIR_DIR=…/lib/cmake/mlir:"
  say "  CMake >= 3.25, Ninja, Clang, LLVM and MLIR $llvm, nlohmann-json >= 3.11, CLI11 >= 2.1, GoogleTest, Python >= 3.9"
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  is_installed "$package" || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
  line="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
  if [ "${1:-}" = --check ]; then
    say "missing; run as root: $line"
    exit 1
  elif [ "$(id -u)" = 0 ]; then
    as_root=()
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    say "missing packages, and no right to install them; run as root:"
    say "  $line"
    exit 1
  fi
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2; then
    say "apt could not install them; LLVM $llvm comes with Debian 12 (bookworm-security) and later, or from https://apt.llvm.org"
    exit 1
  fi
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${optional[@]}" >&2 || say "without ${optional[*]}"
fi

# Versions are checked even when nothing was missing: a machine may have older ones from elsewhere first on its PATH.
at_least() { # name, found, wanted
  if [ "$(printf '%s\n%s\n' "$3" "$2" | sort -V | head -n 1)" != "$3" ]; then
    say "expected $1 $3 or newer but got $2"
    exit 1
  fi
}
at_least cmake "$(cmake --version | sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p')" 3.25
at_least ninja "$(ninja --version)" 1.10
at_least python3 "$(python3 -c 'import platform; print(platform.python_version())')" 3.9
at_least llvm "$("/usr/lib/llvm-$llvm/bin/llvm-config" --version)" "$llvm"
say "ok: cmake $(cmake --version | sed -n '1s/[^0-9]*//p'), LLVM $("/usr/lib/llvm-$llvm/bin/llvm-config" --version)"

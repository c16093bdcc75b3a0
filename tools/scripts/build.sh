#!/usr/bin/env bash
# Configures and builds in one folder: build.sh [BUILD_FOLDER] [CMAKE_OPTIONS…] [--targets TARGET…]. Ninja shows progress.
# Jobs: WEFT_JOBS, or as many as there are cores and memory (about 2 GB per compiling process).
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$root/build}
shift || true
options=(-DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=clang-22 -DCMAKE_CXX_COMPILER=clang++-22)
while [ $# -gt 0 ] && [ "$1" != --targets ]; do
  options+=("$1")
  shift
done
shift || true

jobs=${WEFT_JOBS:-}
if [ -z "$jobs" ]; then
  jobs=$(nproc)
  by_memory=$(awk '/MemAvailable/ {print int($2 / 2097152)}' /proc/meminfo 2>/dev/null || echo "$jobs")
  [ "$by_memory" -ge 1 ] || by_memory=1
  [ "$jobs" -le "$by_memory" ] || jobs=$by_memory
fi
mkdir -p "$build"
cmake -G Ninja -S "$root" -B "$build" "${options[@]}" >"$build/configure.log" 2>&1 || {
  cat "$build/configure.log" >&2
  exit 1
}
NINJA_STATUS='[%f/%t %es] ' ninja -C "$build" -j "$jobs" "$@"

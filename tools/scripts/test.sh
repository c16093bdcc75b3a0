#!/usr/bin/env bash
# Installs what is needed, builds, runs every test, and ends with the line "N passed, N failed".
# Usage: test.sh [--quick] [BUILD_FOLDER] [CMAKE_OPTIONS…]   (default folder: build; --quick: the selection for everyday work)
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
quick=()
if [ "${1:-}" = --quick ]; then
  quick=(--quick)
  shift
fi
build=${1:-$root/build}
shift || true

echo "== 1/3 packages"
"$root/tools/scripts/setup.sh"
echo "== 2/3 build in $build"
"$root/tools/scripts/build.sh" "$build" "$@"
echo "== 3/3 tests"
exec python3 "$root/tools/scripts/run_tests.py" "$build" "${quick[@]}"

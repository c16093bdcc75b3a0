#!/usr/bin/env bash
# From nothing to a running application: packages, build, compile a model, link a C program with it, tell a story.
# Usage: demo.sh [BUILD_FOLDER]   (default: build). The last lines are tokens/s, peak memory and object size.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$root/build}
model=$root/models/stories260k

echo "== 1/4 packages"
"$root/tools/scripts/setup.sh"
echo "== 2/4 build the compiler in $build"
"$root/tools/scripts/build.sh" "$build" --targets weft weft_runtime
echo "== 3/4 compile the model and link main.c with it"
mkdir -p "$build/demo"
"$build/tools/weft/weft" compile "$model/stories260k.json" -o "$build/demo/stories260k"
cc -O2 -Wall -Wextra -std=c99 -I"$root/runtime/include" -I"$build/demo" "$model/main.c" "$build/demo/stories260k.o" \
  "$build/runtime/libweft_runtime.a" -lm -lpthread -o "$build/demo/story"
echo "== 4/4 run it"
"$build/demo/story" "$model/stories260k.safetensors" "$model/tok512.bin"
printf 'object %s bytes, program %s bytes\n' "$(stat -c %s "$build/demo/stories260k.o")" "$(stat -c %s "$build/demo/story")"

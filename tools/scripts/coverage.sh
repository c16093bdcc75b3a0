#!/usr/bin/env bash
# Branch coverage of the reader (compiler/import without MLIR) and the runtime by their own tests and the tables of wrong files.
# Usage: coverage.sh [BUILD_FOLDER]   (default: build-coverage; its own build, a few minutes). Prints a line for each file and the sums.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$root/build-coverage}
tests=(model session threads memory safetensors shards npy write generate beam numbers)
flags="-fprofile-instr-generate -fcoverage-mapping -O1"
programs=(test/import/weft_import_tests test/faults/json_cases test/faults/tensor_cases)
targets=(weft_import_tests json_cases tensor_cases)
for name in "${tests[@]}"; do
  programs+=("test/runtime/runtime_$name")
  targets+=("runtime_$name")
done
"$root/tools/scripts/build.sh" "$build" -DCMAKE_BUILD_TYPE=None "-DCMAKE_C_FLAGS=$flags" "-DCMAKE_CXX_FLAGS=$flags" --targets "${targets[@]}" >"$build.log" 2>&1 || { tail -20 "$build.log" >&2; exit 1; }
cd "$build"
rm -f ./*.profraw
export ASAN_OPTIONS=detect_leaks=0
for program in "${programs[@]}"; do
  arguments=()
  case $program in
  */json_cases) arguments=("$root"/test/faults/json/*.cases) ;;
  */tensor_cases) arguments=("$root"/test/faults/tensors/*.cases) ;;
  esac
  LLVM_PROFILE_FILE="$build/$(basename "$program").profraw" "./$program" "${arguments[@]}" >/dev/null 2>&1 || echo "coverage: $program failed" >&2
done
llvm-profdata-22 merge -o all.profdata ./*.profraw
objects=()
for program in "${programs[@]:1}"; do objects+=(-object "$program"); done
report() { # NAME FILES…
  local name=$1
  shift
  echo "== $name"
  llvm-cov-22 report "${programs[0]}" "${objects[@]}" -instr-profile=all.profdata -show-branch-summary "$@" 2>/dev/null |
    awk 'NF > 10 && $1 != "Filename" { printf "%-40s %6d branches, %5d not taken, %s\n", $1, $(NF-2), $(NF-1), $NF }'
}
report "reader" "$root"/compiler/import/{ReadJson,JsonValue,ReadModel,ReadGraph,NodeReader,ReadValues,ReadAttributes,ReadBlocks,ReadEntries,ReadTrain,Parameters,InitRules,Expression,ShapeRules,ShapeRulesAttention,ShapeRulesPointwise,ShapeRulesShape,DimRange,Diagnostics,Words,Globs,Limits}.cpp
report "tensor files" "$root"/runtime/src/{safetensors,npy,json,shards,tensor_file,tensor_write,convert,fileops}.c
report "runtime" "$root"/runtime/src/*.c

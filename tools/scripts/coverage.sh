#!/usr/bin/env bash
# Branch coverage of the reader (compiler/import without MLIR), of tensor files and of the runtime by their own tests and the tables
# of wrong files. Usage: coverage.sh [BUILD_FOLDER] (default: build-coverage; its own build, a few minutes; --missed after it lists
# every branch that no test takes). Prints a line for each file and each group, and fails if a group is below 95 %, or what
# WEFT_LEAST_COVERAGE says: which branches of the runtime are taken depends on the machine a little.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
least=${WEFT_LEAST_COVERAGE:-95}
missed=
[ "${*: -1}" != --missed ] || { missed=1; set -- "${@:1:$#-1}"; }
build=$(mkdir -p "${1:-$root/build-coverage}" && cd "${1:-$root/build-coverage}" && pwd)
flags="-fprofile-instr-generate -fcoverage-mapping -O1"
"$root/tools/scripts/build.sh" "$build" -DCMAKE_BUILD_TYPE=None "-DCMAKE_C_FLAGS=$flags" "-DCMAKE_CXX_FLAGS=$flags" --targets \
  weft_import_tests json_cases tensor_cases runtime_tests >"$build/build.log" 2>&1 || { tail -20 "$build/build.log" >&2; exit 1; }
cd "$build"
rm -f ./*.profraw
export ASAN_OPTIONS=detect_leaks=0
objects=()
run() { # PROGRAM ARGUMENTS…; children that it forks write files of their own
  LLVM_PROFILE_FILE="$build/$(basename "$1")-%p.profraw" "$@" >"$build/last.log" 2>&1 || { tail -20 "$build/last.log" >&2; echo "coverage: $1 failed" >&2; exit 1; }
  objects+=(-object "$1")
}
run ./test/import/weft_import_tests
run ./test/faults/json_cases "$root"/test/faults/json/*.cases
run ./test/faults/tensor_cases "$root"/test/faults/tensors/*.cases
for program in ./test/runtime/runtime_*; do
  [ ! -f "$program" ] || run "$program"
done
llvm-profdata-22 merge -o all.profdata ./*.profraw
bad=0
report() { # NAME FILES…
  local name=$1
  shift
  echo "== $name"
  llvm-cov-22 report "${objects[@]:1}" -instr-profile=all.profdata -show-branch-summary "$@" 2>/dev/null |
    awk -v name="$name" -v least=$least '
      NF > 10 && $1 != "Filename" && $1 != "TOTAL" { printf "%-40s %6d branches, %5d not taken, %s\n", $1, $(NF-2), $(NF-1), $NF }
      $1 == "TOTAL" { printf "count: branches of %s that tests take, of %d = %d\n", name, $(NF-2), $(NF-2) - $(NF-1); share = 100 * (1 - $(NF-1) / $(NF-2)); printf "%s: %d branches, %d not taken, %.2f %%%s\n", name, $(NF-2), $(NF-1), share, share < least ? ", below " least " %" : ""; exit share < least }' || bad=1
  [ -z "$missed" ] || llvm-cov-22 show "${objects[@]:1}" -instr-profile=all.profdata -show-branches=count "$@" 2>/dev/null |
    awk '/^\/.*:$/ { file = $0; sub(".*/", "", file) } /Branch \(.*(True: 0,|False: 0\])/ { gsub(/[][|]/, ""); print "  " file, $0 }'
}
report "reader" "$root"/compiler/import/{ReadJson,JsonValue,ReadModel,ReadGraph,NodeReader,ReadValues,ReadAttributes,ReadBlocks,ReadEntries,ReadTrain,Parameters,InitRules,Expression,ShapeRules,ShapeRulesAttention,ShapeRulesPointwise,ShapeRulesShape,DimRange,EntryInputs,CacheDims,GradientReach,BatchWeight,Diagnostics,Words,Globs,Limits}.cpp
report "tensor files" "$root"/runtime/src/{safetensors,npy,json,shards,tensor_file,tensor_write,convert,fileops}.c
report "runtime" "$root"/runtime/src/*.c
exit $bad

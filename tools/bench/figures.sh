#!/usr/bin/env bash
# Prints the figures of docs/performance.md, one line each: figures.sh [BUILD_FOLDER]. Run it on a quiet machine.
# MINILM=model.safetensors takes MiniLM's real weights; without it they are random, which takes the same time.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
weft=${1:-$root/build}/tools/weft/weft
kernels=$root/tools/bench/models
models=$root/models

# line LABEL FIELDS bench-arguments…: the named fields of the JSON result.
line() {
  local label=$1 fields=$2
  shift 2
  "$weft" bench "$@" --json | python3 -c '
import json, sys
result = json.load(sys.stdin)
print("%-44s" % sys.argv[1], "  ".join("%s %.6g" % (f, result[f]) for f in sys.argv[2].split(",")))' "$label" "$fields"
}

for threads in 1 2; do
  line "matmul 1024^3, $threads threads" median_ms,gflops,percent_of_peak "$kernels/matmul.json" --threads $threads --iterations 100
  line "linear 1024^3 + gelu, $threads threads" median_ms,gflops,percent_of_peak "$kernels/linear.json" --threads $threads --iterations 100
  line "attention T=1024 D=64, $threads threads" median_ms,gflops,percent_of_peak "$kernels/attention.json" --threads $threads --iterations 60
  line "causal attention T=1024 D=64, $threads threads" median_ms "$kernels/causal_attention.json" --threads $threads --iterations 60
done
weights=(--init 0)
[ -z "${MINILM:-}" ] || weights=(--weights "$MINILM")
for sizes in B=1,T=16 B=1,T=128 B=8,T=128; do
  line "minilm_l6 $sizes, 2 threads" median_ms,min_ms,percent_of_peak "$models/minilm_l6/minilm_l6.json" "${weights[@]}" --dim "$sizes" --threads 2 --iterations 100
done
line "simple_transformer B=1,T=10, 1 thread" median_ms,object_bytes "$models/simple_transformer/simple_transformer.json" --init 0 --dim B=1,T=10 --threads 1 --iterations 20000
line "stories260k decode at 128 positions, 1 thread" median_ms,min_ms,object_bytes "$models/stories260k/stories260k.json" --entry decode --dim B=1 --cached 128 --threads 1 --iterations 5000
line "gpt2 prefill B=1,T=512, 2 threads" median_ms,percent_of_peak "$models/gpt2/gpt2.json" --init 0 --entry prefill --dim B=1,T=512 --threads 2 --iterations 8
for type in f32 bf16; do
  half=$(mktemp --suffix=.json)
  sed 's/"format": "1.0",/"format": "1.0", "precision": { "params": "'$type'" },/' "$models/gpt2/gpt2.json" >"$half"
  line "gpt2 decode at 128 positions, $type weights" median_ms,min_ms "$half" --init 0 --entry decode --dim B=1 --cached 128 --threads 2 --iterations 60
  rm "$half"
done
for layers in 12 48; do
  line "gpt2 with $layers layers, forward B=1,T=64" compile_ms,object_bytes,load_ms,median_ms "$models/gpt2/gpt2.json" --init 0 --set layers=$layers --dim B=1,T=64 --threads 2 --iterations 5
done
# What a token of the smallest model costs beside the kernels that are launched; those that an entry calls itself count here.
"$weft" bench "$models/stories260k/stories260k.json" --entry decode --dim B=1 --cached 128 --threads 1 --iterations 5000 --per-kernel --json | python3 -c '
import json, sys
result = json.load(sys.stdin)
print("%-44s" % "stories260k decode, outside launched kernels", " us %.3g" % (1000 * (result["median_ms"] - sum(k["ms"] for k in result["kernels"]))))'
# Whole training steps; tools/bench/train_torch.py times the same in PyTorch.
line "simple_transformer training step B=4,T=10, 1 thread" median_ms,object_bytes "$models/simple_transformer/simple_transformer.json" --init 0 --entry train_step --dim B=4,T=10 --threads 1 --iterations 5000
line "mnist_encoder training step B=64, 2 threads" median_ms,min_ms,arena_bytes "$models/mnist_encoder/mnist_encoder.json" --init 0 --entry train_step --dim B=64 --threads 2 --iterations 40
for sizes in B=4,T=64 B=1,T=1024; do
  line "gpt2 training step $sizes, 2 threads" median_ms,arena_bytes,peak_rss_bytes,compile_ms "$models/gpt2/gpt2.json" --init 0 --entry train_step --dim "$sizes" --threads 2 --iterations 4
done
# A linked application opens GPT-2, beside a plain read of the same file.
linked=$(mktemp -d)
"$weft" compile "$models/gpt2/gpt2.json" -o "$linked/gpt2" -q
"$weft" init "$models/gpt2/gpt2.json" --save "$linked/gpt2.safetensors" -q
${CC:-cc} -O2 -I"$root/runtime/include" -I"$linked" "$root/tools/bench/open_model.c" "$linked/gpt2.o" "$(dirname "$weft")/../../runtime/libweft_runtime.a" -lm -pthread -o "$linked/open_model"
printf '%-44s ' "gpt2, linked, opened"
"$linked/open_model" "$linked/gpt2.safetensors" 15
rm -r "$linked"
for size in 4096 8192 16384; do
  line "attention T=$size, memory" arena_bytes,peak_rss_bytes,median_ms "$kernels/attention.json" --dim B=1,T=$size --threads 2 --iterations 1
done
# Whole processes, from start to exit.
python3 - "$weft" "$root/test/import/decoder.json" <<'PY'
import statistics, subprocess, sys, time
weft, model = sys.argv[1:]
for label, words in ("weft check, 12 layers", ["check", model, "-q"]), ("weft --version", ["--version"]):
    times = []
    for _ in range(41):
        start = time.perf_counter()
        subprocess.run([weft, *words], stdout=subprocess.DEVNULL, check=True)
        times.append(1000 * (time.perf_counter() - start))
    print("%-44s" % label, " median_ms %.3g  min_ms %.3g" % (statistics.median(times), min(times)))
PY

#!/usr/bin/env python3
# A cache grows by the dim of the keys, whatever the model's inputs are: steps of one position, and of a few, give what
# `forward` gives for all positions at once.
import json
import subprocess
import unittest

from weft_cli import INCLUDE, RUNTIME, CommandTest

T, D = 9, 16
STATE = {"kv": {"kind": "kv_cache", "layers": 1, "kv_heads": 2, "head_dim": 8, "capacity": 32, "dtype": "f32"}}
GRAPH = [{"id": "qkv", "op": "linear", "in": "x", "features": 3 * D}, {"id": "parts", "op": "split", "axis": -1, "sizes": [D, D, D], "out": ["q", "k", "v"]},
         {"id": "qr", "op": "rope", "in": "q", "heads": 2, "offset": {"state": "kv"}}, {"id": "kr", "op": "rope", "in": "k", "heads": 2, "offset": {"state": "kv"}},
         {"id": "y", "op": "attention", "in": ["qr", "kr", "v"], "heads": 2, "causal": True, "cache": {"state": "kv", "layer": 0}}]
WORDS = {"id": "words", "op": "embedding", "rows": 11, "features": D}

# SIZES: of a call of n positions. GIVE: the arguments for positions t to t + n of BATCH sequences.
PROGRAM = r"""
#include "m.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
enum { BATCH = %(batch)d, T = 9, D = 16 };
static float all[BATCH * T * D], part[BATCH * T * D], x[BATCH * T * D], xs[BATCH * T * D];
static int32_t ids[BATCH * T], at[BATCH * T];
static weft_session *session;
static m_forward_args give(int t, int n, float *y) {
  for (int b = 0; b < BATCH; ++b)
    for (int i = 0; i < n; ++i) {
      at[%(place)s] = ids[b * T + t + i];
      memcpy(xs + (b * n + i) * D, x + (b * T + t + i) * D, sizeof(float) * D);
    }
  return (m_forward_args){.dims = {%(sizes)s}, %(inputs)s, .y = y};
}
static int step(int t, int n) {
  m_forward_args whole = give(t, n, part);
  m_grow_args args;
  memcpy(&args, &whole, sizeof whole);
  if (m_grow(session, &args)) return fprintf(stderr, "%%s\n", weft_session_error(session)), 1;
  for (int b = 0; b < BATCH; ++b)
    for (int i = 0; i < n * D; ++i)
      if (!(fabsf(part[b * n * D + i] - all[(b * T + t) * D + i]) < 1e-5f)) return fprintf(stderr, "position %%d of %%d differs\n", t + i / D, b), 1;
  return weft_session_length(session, 0, BATCH - 1) != t + n;
}
int main(void) {
  weft_model *model;
  const int n = T;
  (void)n;
  for (int i = 0; i < BATCH * T; ++i) ids[i] = (5 * i + 2) %% 11;
  for (int i = 0; i < BATCH * T * D; ++i) x[i] = sinf((float)i);
  if (m_open(NULL, &model) || weft_model_init(model, 3) || m_session(model, &(m_dims){%(sizes)s}, NULL, &session)) return 2;
  m_forward_args args = give(0, T, all);
  if (m_forward(session, &args)) return fprintf(stderr, "%%s\n", weft_session_error(session)), 3;
  for (int t = 0, n = 2; t < T; t += n, n = 1)
    if (step(t, n)) return 4;
  return 0;
}
"""


class Cache(CommandTest):
    def check(self, inputs, graph, batch=2, sizes=".B = BATCH, .T = n", place="b * n + i", given=".x = xs"):
        dims = {name: {"min": 1, "max": 32} for name in ("B", "T") if any(name in spec["shape"] for spec in inputs.values())}
        (self.folder / "m.json").write_text(json.dumps({
            "format": "1.0", "name": "m", "dims": dims, "inputs": inputs, "state": STATE, "graph": graph, "outputs": {"y": "y"},
            "entries": {"forward": {}, "grow": {"state": ["kv"]}}}))
        self.weft("compile", "m.json", "-o", "m", "-q")
        (self.folder / "main.c").write_text(PROGRAM % {"batch": batch, "sizes": sizes, "place": place, "inputs": given})
        subprocess.run(["cc", "-Wall", "-O1", f"-I{INCLUDE}", "main.c", "m.o", RUNTIME, "-lm", "-lpthread", "-o", "main"], cwd=self.folder, check=True)
        done = subprocess.run(["./main"], cwd=self.folder, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_of_float_inputs(self):
        self.check({"x": {"dtype": "f32", "shape": ["B", "T", D]}}, GRAPH)

    def test_of_tokens(self):
        self.check({"ids": {"dtype": "i32", "shape": ["B", "T"]}}, [{**WORDS, "in": "ids"}, {"id": "x", "op": "mul", "value": 1}, *GRAPH], given=".ids = at")

    def test_of_one_sequence_without_an_axis_for_it(self):
        self.check({"ids": {"dtype": "i32", "shape": ["T"]}}, [{**WORDS, "in": "ids"}, {"id": "x", "op": "unsqueeze", "axis": 0}, *GRAPH], batch=1, sizes=".T = n", given=".ids = at")

    def test_of_tokens_with_positions_first(self):
        self.check({"ids": {"dtype": "i32", "shape": ["T", "B"]}}, [{**WORDS, "in": "ids"}, {"id": "x", "op": "transpose", "perm": [1, 0, 2]}, *GRAPH], place="i * BATCH + b", given=".ids = at")

    def test_of_two_inputs_that_no_entry_steps(self):
        graph = [{**WORDS, "in": "ids"}, {"id": "x", "op": "add", "in": ["words", "more"]}, *GRAPH]
        self.check({"ids": {"dtype": "i32", "shape": ["B", "T"]}, "more": {"dtype": "f32", "shape": ["B", "T", D]}}, graph, given=".ids = at, .more = xs")


if __name__ == "__main__":
    unittest.main()

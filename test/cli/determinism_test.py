#!/usr/bin/env python3
# The same model gives the same object, byte for byte, wherever and however it is compiled; the same object gives the same
# results, bit for bit, for any number of threads and every time.
import hashlib
import os
import pathlib
import subprocess
import sys
import unittest

from weft_cli import INCLUDE, MODELS, RUNTIME, WEFT, CommandTest

# Model, options of every compile: cached decoding with rotary positions, an encoder-decoder, einsums, an f64 softmax by hand.
COMPILED = [("stories260k", ()), ("encoder_decoder", ("--set", "d=64", "--set", "ff=128")), ("einsum_self_attention", ()), ("encoder_block", ()), ("generator", ())]

# 100 calls with each number of threads, of sizes that do not divide evenly; prints one line for each result that differs.
PROGRAM = r"""
#include "m.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
enum { BATCH = 3, LENGTH = 61, VOCABULARY = 512, COUNT = BATCH * LENGTH * VOCABULARY };
int main(void) {
  static int32_t tokens[BATCH * LENGTH];
  float *first = malloc(COUNT * sizeof(float)), *logits = malloc(COUNT * sizeof(float));
  weft_model *model;
  int differ = 0, calls = 0;
  for (int i = 0; i < BATCH * LENGTH; i++) tokens[i] = i * 37 % VOCABULARY;
  if (stories260k_open(NULL, &model) || weft_model_init(model, 5)) return 2;
  for (int threads = 1; threads <= 4; threads *= 2) {
    weft_session *session;
    weft_session_options options = {.threads = threads};
    if (stories260k_session(model, &(stories260k_dims){.B = BATCH, .T = LENGTH}, &options, &session)) return 3;
    for (int run = 0; run < 100; run++, calls++) {
      stories260k_forward_args args = {.dims = {.B = BATCH, .T = LENGTH}, .tokens = tokens, .logits = calls ? logits : first};
      memset(logits, 0xff, COUNT * sizeof(float));
      if (stories260k_forward(session, &args)) return 4;
      if (calls && memcmp(first, logits, COUNT * sizeof(float))) differ++;
    }
    weft_session_destroy(session);
  }
  weft_model_close(model);
  printf("%d of %d\n", differ, calls);
  return 0;
}
"""


ROOT = pathlib.Path(__file__).resolve().parents[2]


class Determinism(CommandTest):
    def compiled(self, folder, env, *words, umask=0o022, weft=WEFT):
        """Digests of the object and the header, compiled in a new folder of its own."""
        (self.folder / folder).mkdir(parents=True)
        subprocess.run([weft, "compile", *words, "-o", "m", "-q"], cwd=self.folder / folder, check=True, env={**os.environ, **env}, umask=umask)
        return [hashlib.sha256((self.folder / folder / name).read_bytes()).hexdigest() for name in ("m.o", "m.h")]

    def objects(self, model, *words, weft=WEFT):
        """Object and header of a model, by how and where they are compiled: the different ones."""
        surroundings = [("a", {}, "relative", 0o022), ("b/c d/é", {"LC_ALL": "de_DE.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": "Pacific/Kiritimati", "HOME": "/nowhere"}, "relative", 0o077),
                        ("e", {"LC_ALL": "C", "TMPDIR": "/nowhere", "SOURCE_DATE_EPOCH": "1", "MALLOC_PERTURB_": "165", "COLUMNS": "20", "NO_COLOR": "1"}, "absolute", 0o002)]
        seen = set()
        for folder, env, how, umask in surroundings:
            place = self.folder / f"{folder}-{model}"
            place.mkdir(parents=True)
            (place / "model.json").write_text((MODELS / model / f"{model}.json").read_text())
            path = "../model.json" if how == "relative" else place / "model.json"
            seen.add(tuple(self.compiled(f"{folder}-{model}/out", env, path, *words, umask=umask, weft=weft)))
        return seen

    def test_folder_locale_environment_and_path_leave_no_trace(self):
        for model, words in COMPILED:
            self.assertEqual(len(self.objects(model, *words)), 1, model)
        print(f"count: objects compiled twice and more in different surroundings = {len(COMPILED)}")

    def test_a_trace_of_the_locale_is_found(self):
        planted = self.folder / "planted"
        planted.write_text(f'#!/bin/sh\n"{WEFT}" "$@" && echo "/* $LC_ALL */" >> m.h\n')
        planted.chmod(0o755)
        self.assertEqual(len(self.objects("encoder_block", weft=planted)), 3)
        print("count: planted bugs caught = 1")

    def different(self, *sources):
        """Of 300 calls, by one to four threads, how many gave other bits than the first; `sources` go before the runtime's."""
        self.weft("compile", MODELS / "stories260k" / "stories260k.json", "-o", "m")
        (self.folder / "main.c").write_text(PROGRAM)
        subprocess.run(["cc", "-std=c11", "-O1", "-D_GNU_SOURCE", "-Wall", "-Werror", "-I", INCLUDE, "-I", ROOT / "runtime" / "src", "-I", ".", "main.c", *sources, "m.o", RUNTIME, "-lm", "-lpthread", "-o", "main"],
                       cwd=self.folder, check=True)
        differ, _, calls = subprocess.run(["./main"], cwd=self.folder, capture_output=True, text=True, check=True).stdout.split()
        self.assertEqual(calls, "300")
        return int(differ)

    def test_threads_and_repetition_change_no_bit(self):
        self.assertEqual(self.different(), 0)
        print("count: calls that gave the same bits = 300")

    def test_tasks_that_do_not_divide_evenly_and_are_lost_are_found(self):
        subprocess.run([sys.executable, ROOT / "test" / "faults" / "plant.py", ROOT / "runtime" / "src" / "threads.c", "threads.c", "+ extra * (part + 1) / job->parts;", "; (void)extra;"],
                       cwd=self.folder, check=True)
        self.assertGreater(self.different("threads.c"), 0)
        print("count: planted bugs caught = 1")


if __name__ == "__main__":
    unittest.main()

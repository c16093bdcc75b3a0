#!/usr/bin/env python3
# An encoder-decoder from the command line: the prefill takes the source, steps do not. Greedy choice and beam search are
# compared with searches over the forward entry, which computes everything anew for every token.
import json
import math
import subprocess
import unittest

from weft_cli import INCLUDE, MODELS, RUNTIME, CommandTest, read_safetensors, write_safetensors

MODEL = MODELS / "encoder_decoder" / "encoder_decoder.json"
SIZES = [word for pair in ("src_vocab=23", "tgt_vocab=19", "d=16", "heads=2", "ff=32", "layers=2") for word in ("--set", pair)]
STOP = 2
SOURCES = ([5, 7, 9, 3, 0, 0], [11, 2, 2, 17, 20, 4])  # the first is padded

# An application: prefill, then steps that know nothing of the source, against `forward`. Allocating ends it with 9.
PROGRAM = r"""
#define _GNU_SOURCE
#include "m.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
static volatile int armed;
void *malloc(size_t n) { if (armed) _exit(9); return __libc_malloc(n); }

enum { BATCH = 3, SOURCE = 6, LENGTH = 7, PROMPT = 2, WORDS = 19 };
static int32_t src[BATCH * SOURCE], tgt[BATCH * LENGTH], step[BATCH];
static float all[BATCH * LENGTH * WORDS], one[BATCH * WORDS];

static int differs(int64_t count, int position) {
  for (int64_t b = 0; b < count; ++b)
    for (int v = 0; v < WORDS; ++v)
      if (!(fabsf(one[b * WORDS + v] - all[(b * LENGTH + position) * WORDS + v]) < 1e-5f)) return 1;
  return 0;
}

int main(void) {
  weft_model *model;
  weft_session *session;
  encoder_decoder_dims most = {.B = BATCH, .S = SOURCE + 3, .T = LENGTH};
  if (encoder_decoder_open(NULL, &model) || weft_model_init(model, 4) || encoder_decoder_session(model, &most, NULL, &session)) return 1;
  for (int i = 0; i < BATCH * SOURCE; ++i) src[i] = (5 * i + 3) % 23;
  for (int i = 0; i < BATCH * LENGTH; ++i) tgt[i] = (7 * i + 1) % 19;
  armed = 1;
  encoder_decoder_forward_args forward = {.dims = {.B = BATCH, .S = SOURCE, .T = LENGTH}, .src = src, .tgt = tgt, .logits = all};
  encoder_decoder_decode_args decode = {.dims = {.B = BATCH}, .tgt = step, .logits = one};
  if (encoder_decoder_forward(session, &forward)) return 2;
  if (encoder_decoder_decode(session, &decode) != WEFT_ERR_MISSING) return 3;
  int32_t prompt[BATCH * PROMPT];
  for (int b = 0; b < BATCH; ++b) memcpy(prompt + b * PROMPT, tgt + b * LENGTH, sizeof(int32_t) * PROMPT);
  encoder_decoder_prefill_args prefill = {.dims = {.B = BATCH, .S = SOURCE, .T = PROMPT}, .src = src, .tgt = prompt, .logits = one};
  if (encoder_decoder_prefill(session, &prefill) || differs(BATCH, PROMPT - 1)) return 4;
  for (int t = PROMPT; t < LENGTH; ++t) {
    decode.dims.B = t < LENGTH - 1 ? BATCH : 2; /* the last step is of two sequences alone */
    for (int b = 0; b < BATCH; ++b) step[b] = tgt[b * LENGTH + t];
    memset(src, 0, sizeof src); /* nobody reads it any more */
    if (encoder_decoder_decode(session, &decode) || differs(decode.dims.B, t)) return 5;
  }
  decode.dims.S = SOURCE + 1;
  if (encoder_decoder_decode(session, &decode) != WEFT_ERR_DIM) return 6;
  armed = 0;
  weft_session_destroy(session);
  return weft_model_close(model) ? 7 : 0;
}
"""


class Kept(CommandTest):
    def generate(self, *words, source=SOURCES[0], prompt="1", code=0):
        given = ("--input", "src=" + ",".join(map(str, source))) if source else ()
        out, err = self.weft("generate", MODEL, *SIZES, "--init", "4", "--tokens", prompt, "--json", *given, *words, code=code)
        return json.loads(out)["tokens"] if code == 0 else err

    def log_probabilities(self, source, rows):
        """Of the token after each row (all of one length), from one call of `forward`."""
        length = len(rows[0])
        write_safetensors(self.folder / "in.safetensors", {"src": ("I32", [len(rows), len(source)], source * len(rows)),
                                                           "tgt": ("I32", [len(rows), length], [t for row in rows for t in row])})
        self.weft("run", MODEL, *SIZES, "--init", "4", "--inputs", "in.safetensors", "--outputs", "out.safetensors", "-q")
        shape, logits = read_safetensors(self.folder / "out.safetensors")["logits"]
        result = []
        for row in range(len(rows)):
            last = logits[((row + 1) * length - 1) * shape[2]:(row + 1) * length * shape[2]]
            total = math.log(sum(math.exp(v - max(last)) for v in last)) + max(last)
            result.append([v - total for v in last])
        return result

    def greedy(self, source, count):
        row = [1]
        while len(row) <= count:
            scores = self.log_probabilities(source, [row])[0]
            row.append(max(range(len(scores)), key=lambda token: scores[token]))
            if row[-1] == STOP:
                return row[1:-1]
        return row[1:]

    def beams(self, source, count, beams, penalty):
        running, finished = [(0.0, [1])], []  # the best first
        for length in range(1, count + 1):
            scores = self.log_probabilities(source, [row for _, row in running])
            all_ = sorted(((total + p, row + [token]) for (total, row), row_scores in zip(running, scores) for token, p in enumerate(row_scores)),
                          key=lambda candidate: -candidate[0])
            finished += [(total / length**penalty, row[1:-1]) for total, row in all_[:beams] if row[-1] == STOP]
            finished = sorted(finished, key=lambda one: -one[0])[:beams]
            running = [candidate for candidate in all_ if candidate[1][-1] != STOP][:beams]
            if len(finished) == beams and running[0][0] / length**penalty <= finished[-1][0]:
                break
        else:
            finished += [(total / count**penalty, row[1:]) for total, row in running]
        return max(finished, key=lambda one: one[0])[1]

    def test_greedy_tokens_are_those_of_the_forward_entry(self):
        found = [self.generate("--beams", "1", "--max-new", "8", source=source) for source in SOURCES]
        self.assertEqual(found, [self.greedy(source, 8) for source in SOURCES])
        self.assertNotEqual(found[0], found[1])

    def test_beams_are_those_of_a_search_over_the_forward_entry(self):
        for source in SOURCES:
            self.assertEqual(self.generate("--beams", "3", "--max-new", "6", source=source), self.beams(source, 6, 3, 0.6))
        self.assertEqual(self.generate("--max-new", "6"), self.beams(SOURCES[0], 6, 4, 0.6))

    def test_seed_and_source_decide_sampling(self):
        words = ("--temperature", "1.5", "--max-new", "12")
        self.assertEqual(self.generate(*words, "--seed", "1"), self.generate(*words, "--seed", "1"))
        self.assertNotEqual(self.generate(*words, "--seed", "1"), self.generate(*words, "--seed", "2"))
        self.assertNotEqual(self.generate(*words, "--seed", "1"), self.generate(*words, "--seed", "1", source=SOURCES[1]))

    def test_source_from_a_file(self):
        write_safetensors(self.folder / "source.safetensors", {"src": ("I32", [1, 6], SOURCES[1])})
        self.assertEqual(self.generate("--inputs", "source.safetensors", "--max-new", "6", source=None), self.generate("--max-new", "6", source=SOURCES[1]))

    def test_a_translation_goes_on_from_a_file_with_a_shorter_prompt(self):
        prompt, greedy = "1,5,6,7,8,9,10,11", ("--beams", "1", "--max-new", "4")
        whole = self.generate(*greedy, prompt=prompt + ",3")
        self.generate("--beams", "1", "--max-new", "1", "--save-cache", "c.safetensors", prompt=prompt)
        self.assertEqual(self.generate(*greedy, "--load-cache", "c.safetensors", prompt="3"), whole)

    def test_wrong_inputs(self):
        write_safetensors(self.folder / "two.safetensors", {"src": ("I32", [2, 6], SOURCES[0] + SOURCES[1])})
        for words, code, expect in (((), 1, "expected input 'src' but it is missing"), (("--inputs", "two.safetensors"), 1, "axis B: expected 2 as in 'src' but got 1"),
                                    (("--input", "src=5,6", "--input", "tgt=1"), 2, "input 'tgt' is the prompt"), (("--input", "source=5"), 1, "did you mean 'src'?"),
                                    (("--input", "src=5,23"), 1, "src[0, 1] is 23, expected 0..22"), (("--inputs", "missing.safetensors"), 3, "missing.safetensors")):
            self.assertIn(expect, self.generate(*words, source=None, code=code))

    def test_step_without_a_prefill(self):
        _, err = self.weft("run", MODEL, *SIZES, "--init", "0", "--entry", "decode", "--input", "tgt=1", code=1)
        self.assertIn("expected a call of 'prefill' before", err)
        self.assertIn("hint: a step goes on from its prefill: weft generate and weft bench run both", err)

    def test_step_has_no_kernel_of_the_source(self):
        out, _ = self.weft("compile", MODEL, *SIZES, "--entry", "decode", "--explain", "-o", "m")
        step, prefill = out.split("kernels of prefill")
        for node in ("encoded", "src_", "memory"):
            self.assertNotIn(node, step)
            self.assertIn(node, prefill)
        # The prefill projects queries, and keys with values, and the result; the step has no keys and values to project.
        lines = [[line.split() for line in text.splitlines()] for text in (step, prefill)]
        self.assertEqual([sum(words[:2] == ["contract", "decoded.cross"] for words in text) for text in lines], [2, 3])

    def test_steps_of_a_program_give_what_the_forward_entry_gives(self):
        self.weft("compile", MODEL, *SIZES, "-o", "m")
        (self.folder / "main.c").write_text(PROGRAM)
        subprocess.run(["cc", "-std=c11", "-Wall", "-Werror", "-I", INCLUDE, "-I", ".", "main.c", "m.o", RUNTIME, "-lm", "-lpthread", "-o", "main"],
                       cwd=self.folder, check=True)
        self.assertEqual(subprocess.run([self.folder / "main"]).returncode, 0)

    def test_what_is_kept_is_listed(self):
        out, _ = self.weft("check", MODEL, *SIZES, "--dim", "B=2,S=5")
        self.assertRegex(out, r"kept +decoded\.cross +2 x \[B, S, 32\] f32 from prefill for decode: 2,560 bytes\n +src_keys +\[B, S\] bool from prefill for decode: 10 bytes")
        kept = json.loads(self.weft("check", MODEL, *SIZES, "--dim", "B=2,S=5", "--json")[0])["kept"]
        self.assertEqual([(one["name"], one["rounds"], one["bytes"]) for one in kept], [("decoded.cross", 2, 2560), ("src_keys", 1, 10)])
        self.weft("compile", MODEL, *SIZES, "-o", "m")
        out, _ = self.weft("inspect", "m.o")
        self.assertIn("decode(tgt [B, 1] i32) -> logits", out)
        self.assertIn("kept        decoded.cross 2 x [B, S, 32] f32: prefill, then decode", out)
        header = (self.folder / "m.h").read_text()
        self.assertIn("The session keeps for steps: src_keys [B, S] bool (0 or 1), decoded.cross [B, S, 32] f32.", header)
        self.assertIn("After a call of 'prefill', whose sizes it takes where dims has 0, and which kept: ", header)

    def test_the_encoder_may_have_repeats_in_repeats(self):
        text, norm, target = MODEL.read_text(), '"id": "memory"', '{ "id": "tgt_emb"'
        self.assertTrue(norm in text and target in text)
        blocks = {"in_0": {"in": ["x"], "nodes": [{"id": "y", "op": "sin", "in": "x"}], "out": "y"}}
        for i in range(1, 30):
            repeat = {"id": "y", "op": "repeat", "block": f"in_{i - 1}", "count": 1, "in": {"x": "x"}, "carry": "x"}
            blocks[f"in_{i}"] = {"in": ["x"], "nodes": [repeat], "out": "y"}
        text = text.replace('"blocks": {', '"blocks": {' + json.dumps(blocks)[1:-1] + ",")
        around = {"id": "memory", "op": "repeat", "block": "in_29", "count": 1, "in": {"x": "normed"}, "carry": "x"}
        text = text.replace(norm, '"id": "normed"').replace(target, json.dumps(around) + ", " + target)
        (self.folder / "m.json").write_text(text)
        kept = json.loads(self.weft("check", "m.json", *SIZES, "--dim", "B=2,S=5", "--json")[0])["kept"]
        self.assertEqual([one["name"] for one in kept], ["decoded.cross", "src_keys"])

    def test_a_step_can_be_timed(self):
        for cached in (0, 3):
            result = json.loads(self.weft("bench", MODEL, *SIZES, "--init", "0", "--entry", "decode", "--dim", "B=2,S=5", "--cached", cached, "--iterations", "2", "--json")[0])
            self.assertEqual(result["dims"], {"B": 2, "S": 5, "T": 1})


if __name__ == "__main__":
    unittest.main()

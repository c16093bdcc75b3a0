#!/usr/bin/env python3
# An application that trains, against the generated header: no step allocates, the plan is what is taken, results are the
# same for any number of threads, and a batch in parts is the whole batch, dropout included; two trainers share gradients.
import json
import pathlib
import re
import subprocess
import unittest

from weft_cli import INCLUDE, RUNTIME, CommandTest

MODEL = {
    "format": "1.0", "name": "net", "config": {"d": 24}, "dims": {"B": {"max": 8}, "T": {"max": 12}},
    "inputs": {"tokens": {"dtype": "i32", "shape": ["B", "T"], "range": [0, 19]}},
    "blocks": {"layer": {"in": ["x"], "nodes": [
        {"id": "n", "op": "layer_norm", "in": "x"},
        {"id": "a", "op": "mha", "in": "n", "heads": 3, "causal": True, "dropout": 0.2},
        {"id": "ad", "op": "dropout", "p": 0.1},
        {"id": "s", "op": "add", "in": ["x", "ad"]},
        {"id": "u", "op": "linear", "features": "2 * d", "activation": "gelu"},
        {"id": "v", "op": "linear", "features": "d"},
        {"id": "vd", "op": "dropout", "p": 0.3},
        {"id": "o", "op": "add", "in": ["s", "vd"]}], "out": "o"}},
    "graph": [
        {"id": "e", "op": "embedding", "in": "tokens", "rows": 20, "features": "d"},
        {"id": "h", "op": "repeat", "block": "layer", "count": 2, "index": "i", "in": {"x": "e"}, "carry": "x", "scope": "layer.{i}"},
        {"id": "logits", "op": "linear", "features": 20}],
    "outputs": {"logits": "logits"},
    "train": {"inputs": {"targets": {"dtype": "i32", "shape": ["B", "T"], "range": [-100, 19]}},
              "nodes": [{"id": "loss", "op": "cross_entropy", "in": ["logits", "targets"]}], "loss": "loss",
              "optimizer": {"kind": "adamw", "lr": 0.01, "weight_decay": 0.1, "no_decay": {"rank_below": 2}}, "clip_grad_norm": 1.0},
}

# Usage: app THREADS PARTS STEPS. Prints the loss of each update, then the bits of all parameters. PARTS: batches an update.
PROGRAM = r"""
#define _GNU_SOURCE
#include "net.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
static volatile int armed;
void *malloc(size_t n) { if (armed) _exit(9); return __libc_malloc(n); }
void *calloc(size_t n, size_t m) { if (armed) _exit(9); return __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { if (armed) _exit(9); return __libc_realloc(p, n); }
int posix_memalign(void **out, size_t a, size_t n) { if (armed) _exit(9); *out = __libc_memalign(a, n); return !*out; }

static int64_t taken;
static void *take(void *user, size_t bytes, size_t alignment) {
  void *memory = NULL;
  (void)user;
  if (armed || posix_memalign(&memory, alignment, bytes)) return NULL;
  taken += (int64_t)bytes;
  return memory;
}
static void give_back(void *user, void *memory, size_t bytes) { (void)user; taken -= (int64_t)bytes; free(memory); }

enum { B = 8, T = 12 };

int main(int argc, char **argv) {
  const int threads = atoi(argv[1]), parts = atoi(argv[2]), steps = atoi(argv[3]);
  weft_model *model;
  weft_trainer *trainer;
  weft_allocator allocator = {take, give_back, NULL};
  weft_model_options options = {.allocator = &allocator};
  weft_trainer_options training = {.seed = 3, .threads = threads, .accumulate = parts};
  net_dims dims = {.B = B / parts, .T = T};
  int64_t sizes[2] = {B / parts, T}, before;
  weft_train_memory plan;
  (void)argc;
  if (net_open(&options, &model) || weft_model_init(model, 1)) return 1;
  before = taken;
  if (weft_trainer_memory(model, sizes, &training, &plan) || net_trainer(model, &dims, &training, &trainer)) return 2;
  if (taken - before != plan.total - plan.parameters) return fprintf(stderr, "%lld bytes for a plan of %lld\n", (long long)(taken - before), (long long)(plan.total - plan.parameters)), 3;
  armed = 1;
  for (int s = 0; s < steps; ++s) {
    static int32_t tokens[B * T], targets[B * T];
    weft_metrics metrics;
    for (int i = 0; i < B * T; ++i) {
      tokens[i] = (int32_t)((unsigned)(i * 7 + s * 13 + i / 5) % 20);
      targets[i] = (i * 3 + s) % 11 == 0 ? -100 : (tokens[i] * 3 + 1) % 20;
    }
    for (int p = 0; p < parts; ++p) {
      net_train_step_args args = {.dims = dims, .tokens = tokens + p * (B / parts) * T, .targets = targets + p * (B / parts) * T};
      if (net_train_step(trainer, &args, &metrics)) return armed = 0, fprintf(stderr, "%s\n", weft_trainer_error(trainer)), 4;
      if (metrics.updated != (p + 1 == parts)) return 5;
    }
    armed = 0;
    printf("%.9g\n", metrics.loss);
    armed = 1;
  }
  armed = 0;
  for (int32_t p = 0; p < net_weft_model.params; ++p) {
    float *data;
    const weft_param_desc *desc;
    int64_t count = 1;
    if (weft_trainer_tensor(trainer, net_weft_model.param[p].name, WEFT_ROLE_PARAMETER, &data, &desc)) return 6;
    for (int32_t a = 0; a < desc->rank; ++a) count *= desc->shape[a];
    for (int64_t i = 0; i < count; ++i) { uint32_t bits; memcpy(&bits, data + i, 4); printf("%s %08x\n", desc->name, bits); }
  }
  weft_trainer_destroy(trainer);
  return weft_model_close(model) || taken ? 7 : 0;
}
"""


# The callbacks of docs/c-api.md go before it. Two trainers, each with its own batches and dropout, that take the mean of their gradients.
PAIR = r"""
int main(void) {
  enum { B = 4, T = 6 };
  weft_model *model[2] = {NULL, NULL};
  weft_trainer *pair[2] = {NULL, NULL};
  weft_metrics metrics, second;
  for (int i = 0; i < 2; ++i) {
    weft_trainer_options options = {.seed = (uint64_t)i, .gradients = i ? second_gradients : first_gradients, .gradients_user = pair};
    if (net_open(NULL, &model[i]) || weft_model_init(model[i], 1)) return 1;
    if (net_trainer(model[i], &(net_dims){.B = B, .T = T}, &options, &pair[i])) return 2;
  }
  for (int step = 0; step < 5; ++step) {
    for (int i = 0; i < 2; ++i) {
      int32_t tokens[B * T];
      for (int k = 0; k < B * T; ++k) tokens[k] = (k * 7 + step * 5 + i) % 20;
      net_train_step_args args = {.dims = {.B = B, .T = T}, .tokens = tokens, .targets = tokens};
      if (net_train_step_accumulate(pair[i], &args, NULL)) return 3;
    }
    if (weft_trainer_apply(pair[0], &metrics)) return 4;
  }
  if (weft_trainer_metrics(pair[1], &second) || metrics.step != 5 || second.step != 5 || metrics.grad_norm != second.grad_norm) return 5;
  for (int32_t p = 0; p < weft_model_descriptor(model[0])->params; ++p) {
    const weft_param_desc *param;
    const void *a, *b;
    size_t bytes = 4;
    if (weft_model_get(model[0], weft_model_descriptor(model[0])->param[p].name, &a, &param) || weft_model_get(model[1], param->name, &b, NULL)) return 6;
    for (int32_t axis = 0; axis < param->rank; ++axis) bytes *= (size_t)param->shape[axis];
    if (memcmp(a, b, bytes)) return 7;
  }
  for (int i = 0; i < 2; ++i) weft_trainer_destroy(pair[i]);
  return weft_model_close(model[0]) || weft_model_close(model[1]) ? 8 : 0;
}
"""


# What sessions compute, forward and gradients, before and after updates, publishing and the trainer's end.
BESIDE = r"""
#include "net.h"
#include <stdio.h>
#include <string.h>

enum { B = 2, T = 6 };
typedef struct results { float logits[B * T * 20], loss, gradient[20 * 24]; } results;

static int compute(weft_session *session, const int32_t *tokens, results *out) {
  net_forward_args forward = {.dims = {.B = B, .T = T}, .tokens = tokens, .logits = out->logits};
  net_slope_args slope = {.dims = {.B = B, .T = T}, .tokens = tokens, .targets = tokens, .loss = &out->loss, .grad_x2ee_x2eweight = out->gradient};
  return net_forward(session, &forward) || net_slope(session, &slope);
}

int main(void) {
  weft_model *model;
  weft_session *session;
  weft_trainer *trainer;
  weft_evaluation first, later;
  static results before, beside, published, after;
  int32_t tokens[B * T];
  for (int k = 0; k < B * T; ++k) tokens[k] = k * 7 % 20;
  net_train_step_args args = {.dims = {.B = B, .T = T}, .tokens = tokens, .targets = tokens};
  if (net_open(NULL, &model) || weft_model_init(model, 1)) return 1;
  if (net_session(model, &(net_dims){.B = B, .T = T}, NULL, &session) || net_trainer(model, &(net_dims){.B = B, .T = T}, NULL, &trainer)) return 2;
  if (compute(session, tokens, &before) || net_train_step_eval(trainer, &args, &first)) return 3;
  for (int step = 0; step < 3; ++step)
    if (net_train_step(trainer, &args, NULL)) return 4;
  if (compute(session, tokens, &beside) || memcmp(&beside, &before, sizeof before)) return 5;
  if (net_train_step_eval(trainer, &args, &later) || !(later.loss < first.loss)) return 6; /* the trainer's own are the new ones */
  if (weft_trainer_publish(trainer) || compute(session, tokens, &published) || !memcmp(&published, &before, sizeof before)) return 7;
  if (!(published.loss < before.loss)) return 8;
  if (net_train_step(trainer, &args, NULL)) return 9;
  weft_trainer_destroy(trainer);
  if (compute(session, tokens, &after) || memcmp(&after, &published, sizeof after)) return 10;
  weft_session_destroy(session);
  return weft_model_close(model) ? 11 : 0;
}
"""


class Trainer(CommandTest):
    def setUp(self):
        super().setUp()
        (self.folder / "net.json").write_text(json.dumps(MODEL))
        self.weft("compile", "net.json", "--entry", "train_step", "--entry", "forward", "-o", "net")
        (self.folder / "main.c").write_text(PROGRAM)
        self.build("cc", "-std=c99", "main.c", "-o", "app")

    def build(self, compiler, *words):
        subprocess.run([compiler, "-O1", "-Wall", "-Wextra", "-pedantic", "-Werror", "-I", INCLUDE, *words, "net.o", RUNTIME, "-lm", "-lpthread"],
                       cwd=self.folder, check=True)

    def train(self, threads, parts, steps):
        done = subprocess.run(["./app", str(threads), str(parts), str(steps)], cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        return [float(line) for line in lines[:steps]], lines[steps:]

    def test_a_hundred_steps_learn_without_an_allocation_in_the_planned_memory(self):
        losses, _ = self.train(2, 1, 100)
        self.assertLess(losses[-1], 0.6 * losses[0])

    def test_threads_do_not_change_a_bit(self):
        one = self.train(1, 1, 5)
        for threads in (2, 4):
            self.assertEqual(self.train(threads, 1, 5), one)

    def test_a_batch_in_parts_is_the_whole_batch(self):
        """Dropout draws the same masks, ignored labels weigh as in one batch; sums differ by their order: within 1e-5."""
        whole, _ = self.train(2, 1, 3)
        for parts in (2, 4, 8):
            losses, _ = self.train(2, parts, 3)
            for got, expected in zip(losses, whole):
                self.assertAlmostEqual(got, expected, delta=1e-5 * expected)

    def test_two_trainers_that_share_gradients_stay_equal(self):
        page = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "c-api.md").read_text()
        callbacks = next(block for block in re.findall(r"```c\n(.*?)```", page, re.S) if "second_gradients" in block)
        (self.folder / "pair.c").write_text('#include "net.h"\n#include <string.h>\n' + callbacks + PAIR)
        self.build("cc", "-std=c99", "pair.c", "-o", "pair")
        self.assertEqual(subprocess.run(["./pair"], cwd=self.folder).returncode, 0)

    def test_sessions_beside_a_trainer_compute_with_what_was_published(self):
        (self.folder / "net.json").write_text(json.dumps({**MODEL, "entries": {"forward": {}, "slope": {"mode": "grad", "gradients": ["e.weight"]}, "train_step": {"mode": "train"}}}))
        self.weft("compile", "net.json", "--entry", "train_step", "--entry", "forward", "--entry", "slope", "-o", "net")
        (self.folder / "beside.c").write_text(BESIDE)
        self.build("cc", "-std=c99", "beside.c", "-o", "beside")
        self.assertEqual(subprocess.run(["./beside"], cwd=self.folder).returncode, 0)

    def test_the_header_is_clean_as_cpp(self):
        (self.folder / "main.cpp").write_text('#include "net.h"\nint main() { weft_trainer *trainer = nullptr; net_train_step_args args = {}; '
                                              "return net_train_step(trainer, &args, nullptr) == WEFT_ERR_ARGUMENT ? 0 : 1; }\n")
        self.build("c++", "-std=c++17", "main.cpp", "-o", "cpp")
        subprocess.run(["./cpp"], cwd=self.folder, check=True)


if __name__ == "__main__":
    unittest.main()

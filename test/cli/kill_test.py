#!/usr/bin/env python3
# Training in an application that is killed 200 times, at random moments, ends with the same bits as without.
# An application whose saves write in place, planted here, loses its training and is caught.
import os
import random
import signal
import subprocess
import time
import unittest

from weft_cli import INCLUDE, RUNTIME, CommandTest

MODEL = """{
  "format": "1.0", "name": "pick", "dims": { "B": { "max": 8, "hint": 8 } },
  "inputs": { "x": { "dtype": "f32", "shape": ["B", 6] } },
  "graph": [ { "id": "up", "op": "linear", "in": "x", "features": 600, "activation": "relu" }, { "id": "drop", "op": "dropout", "p": 0.1 },
             { "id": "logits", "op": "linear", "features": 3 } ],
  "outputs": { "logits": "logits" },
  "train": { "inputs": { "y": { "dtype": "i32", "shape": ["B"] } }, "nodes": [ { "id": "loss", "op": "cross_entropy", "in": ["logits", "y"] } ],
             "loss": "loss", "optimizer": { "kind": "adamw" } }
}"""

# FOLDER STEPS RESULT [inplace]: trains to step STEPS with a save every second step, from the newest checkpoint if there is one.
PROGRAM = r"""
#include "pick.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int copy_in_place(const char *from, const char *to) {
  char part[64];
  size_t got;
  FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
  if (!in || !out) return 1;
  while ((got = fread(part, 1, sizeof(part), in)) > 0) { fwrite(part, 1, got, out); fflush(out); }
  return fclose(in) | fclose(out);
}

static int save_in_place(weft_trainer *trainer, const char *folder, unsigned long long step) {
  char aside[300], from[400], to[400];
  const char *names[] = {"model.safetensors", "trainer.safetensors"};
  weft_checkpoint_options one = {.keep = 1};
  snprintf(aside, sizeof(aside), "%s.aside", folder);
  if (weft_trainer_save(trainer, aside, &one)) return 1;
  snprintf(to, sizeof(to), "%s/step-0000000000", folder);
  mkdir(to, 0777);
  for (int i = 0; i < 2; ++i) {
    snprintf(from, sizeof(from), "%s/step-%010llu/%s", aside, step, names[i]);
    snprintf(to, sizeof(to), "%s/step-0000000000/%s", folder, names[i]);
    if (copy_in_place(from, to)) return 1;
  }
  return 0;
}

int main(int argc, char **argv) {
  const char *folder = argv[1];
  unsigned long long steps;
  weft_model *model;
  weft_trainer *trainer;
  weft_metrics metrics;
  weft_trainer_options options = {.seed = 7, .threads = 1};
  weft_model_options opening = {.keep_parameters = 1};
  weft_checkpoint_options saving = {.keep = 2};
  static float x[8 * 6];
  static int32_t y[8];
  sscanf(argv[2], "%llu", &steps);
  if (pick_open(&opening, &model) || weft_model_init(model, 3)) return 10;
  if (pick_trainer(model, &(pick_dims){.B = 8}, &options, &trainer)) return fprintf(stderr, "%s\n", weft_trainer_error(trainer)), 11;
  mkdir(folder, 0777);
  weft_status loaded = weft_trainer_load(trainer, folder, NULL, 0);
  if (loaded != WEFT_OK && loaded != WEFT_ERR_MISSING) return fprintf(stderr, "%s\n", weft_trainer_error(trainer)), 12;
  weft_trainer_metrics(trainer, &metrics);
  while (metrics.step < steps) {
    for (int i = 0; i < 8; ++i) {
      int64_t sample = weft_shuffle(5, metrics.batches / 16, 128, (int64_t)(metrics.batches % 16) * 8 + i);
      for (int k = 0; k < 6; ++k) x[i * 6 + k] = (float)((sample * 37 + k * 11) % 29) / 29 - 0.5f;
      y[i] = (int32_t)(sample * sample % 3);
    }
    pick_train_step_args args = {.dims = {.B = 8}, .x = x, .y = y};
    if (pick_train_step(trainer, &args, &metrics)) return fprintf(stderr, "%s\n", weft_trainer_error(trainer)), 13;
    if (metrics.step % 2 == 0 && (argc > 4 ? save_in_place(trainer, folder, metrics.step) : weft_trainer_save(trainer, folder, &saving) != WEFT_OK))
      return fprintf(stderr, "%s\n", weft_trainer_error(trainer)), 14;
  }
  if (weft_trainer_publish(trainer) || weft_model_save(model, argv[3])) return 15;
  weft_trainer_destroy(trainer);
  return weft_model_close(model) ? 16 : 0;
}
"""
KILLS = int(os.environ.get("WEFT_KILLS", "200"))
STEPS = 30


class Kill(CommandTest):
    def setUp(self):
        super().setUp()
        (self.folder / "pick.json").write_text(MODEL)
        (self.folder / "main.c").write_text(PROGRAM)
        self.weft("compile", "pick.json", "--entry", "train_step", "-o", "pick", "-q")
        subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-I", INCLUDE, "main.c", "pick.o", RUNTIME, "-lm", "-lpthread", "-o", "app"],
                       cwd=self.folder, check=True)
        self.seed = int(os.environ.get("WEFT_SEED", time.time_ns() % 1000000))
        self.draw = random.Random(self.seed)

    def app(self, folder, *words):
        return subprocess.Popen(["./app", folder, str(STEPS), folder + ".safetensors", *words], cwd=self.folder, stderr=subprocess.PIPE, text=True)

    def result(self, folder):
        return (self.folder / (folder + ".safetensors")).read_bytes()

    def killed(self, folder, longest, *words):
        """Runs the application and kills it, if it has not ended. Returns its exit code and what it said."""
        process = self.app(folder, *words)
        time.sleep(self.draw.random() * longest)
        process.kill()
        _, err = process.communicate()
        return process.returncode, err

    def test_killed_training_ends_with_the_same_bits(self):
        began = time.monotonic()
        whole = self.app("whole")
        _, err = whole.communicate()
        self.assertEqual(whole.returncode, 0, err)
        longest = time.monotonic() - began
        kills = rounds = 0
        while kills < KILLS:
            folder = f"killed{rounds}"
            rounds += 1
            # Mostly short lives, so that a training is killed many times.
            while (ended := self.killed(folder, longest * self.draw.choice((0.1, 0.3, 1))))[0] == -signal.SIGKILL:
                kills += 1
            self.assertEqual(ended[0], 0, f"seed {self.seed}, {folder}: {ended[1]}")
            self.assertEqual(self.result(folder), self.result("whole"), f"seed {self.seed}, {folder}")
        print(f"{kills} kills, {rounds} trainings, seed {self.seed}")

    def test_saves_in_place_are_caught(self):
        for attempt in range(100):
            while (ended := self.killed(f"naive{attempt}", 0.2, "inplace"))[0] == -signal.SIGKILL:
                pass
            if ended[0] == 12: # a later start found no whole checkpoint: the training is lost
                self.assertIn("is whole", ended[1])
                return
            self.assertEqual(ended[0], 0, ended[1])
        self.fail(f"100 trainings with saves in place survived, seed {self.seed}")


if __name__ == "__main__":
    unittest.main()

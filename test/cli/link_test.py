#!/usr/bin/env python3
# A generated object in somebody's program: no call allocates once a session exists, it links into a shared library, it has no
# writable data.
import subprocess
import unittest

from weft_cli import INCLUDE, RUNTIME, STORIES, CommandTest

# Every allocation after `armed` ends the program with 9.
NO_ALLOCATION = r"""
#define _GNU_SOURCE
#include "stories260k.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
static volatile int armed;
static void check(void) { if (armed) _exit(9); }
void *malloc(size_t n) { check(); return __libc_malloc(n); }
void *calloc(size_t n, size_t m) { check(); return __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { check(); return __libc_realloc(p, n); }
void *memalign(size_t a, size_t n) { check(); return __libc_memalign(a, n); }
void *aligned_alloc(size_t a, size_t n) { check(); return __libc_memalign(a, n); }
int posix_memalign(void **p, size_t a, size_t n) { check(); *p = __libc_memalign(a, n); return *p ? 0 : 12; }

int main(int argc, char **argv) {
  weft_model *model;
  weft_session *session;
  static float logits[2 * 64 * 512];
  static int32_t tokens[2 * 64];
  static stories260k_forward_args forward;
  static stories260k_prefill_args prefill;
  static stories260k_decode_args decode;
  stories260k_dims most;
  int i;
  most.B = 2; most.T = 64;
  if (stories260k_open(NULL, &model) || weft_model_load(model, argv[argc - 1])) return 1;
  if (stories260k_session(model, &most, NULL, &session)) return 2;
  armed = argc > 2 ? 0 : 1;
  for (i = 0; i < 128; ++i) tokens[i] = 1 + i % 500;
  for (i = 1; i <= 64; i += 21) {
    forward.dims.B = 1 + i % 2; forward.dims.T = i; forward.tokens = tokens; forward.logits = logits;
    if (stories260k_forward(session, &forward)) return 3;
  }
  prefill.dims.B = 2; prefill.dims.T = 20; prefill.tokens = tokens; prefill.logits = logits;
  if (stories260k_prefill(session, &prefill)) return 4;
  decode.dims.B = 2; decode.tokens = tokens; decode.logits = logits;
  for (i = 0; i < 30; ++i)
    if (stories260k_decode(session, &decode)) return 5;
  tokens[3] = 600; /* a failed call allocates nothing either, and leaves the session usable */
  if (stories260k_forward(session, &forward) != WEFT_ERR_INDEX) return 6;
  tokens[3] = 5;
  if (stories260k_forward(session, &forward) || weft_session_reset(session) || stories260k_prefill(session, &prefill)) return 7;
  if (argc > 2) { armed = 1; free(malloc(1)); } /* the hook itself works */
  armed = 0;
  weft_session_destroy(session);
  return weft_model_close(model) ? 8 : 0;
}
"""


class Link(CommandTest):
    def build(self, source, *words):
        (self.folder / "main.c").write_text(source)
        done = subprocess.run(["cc", "-std=c99", f"-I{INCLUDE}", "-I.", "main.c", *words, RUNTIME, "-lm", "-lpthread", "-o", "app"],
                              cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_no_call_allocates_once_a_session_exists(self):
        self.weft("compile", str(STORIES / "stories260k.json"), "-o", "stories260k")
        self.build(NO_ALLOCATION, "stories260k.o")
        weights = str(STORIES / "stories260k.safetensors")
        self.assertEqual(subprocess.run(["./app", weights], cwd=self.folder).returncode, 0)
        self.assertEqual(subprocess.run(["./app", "planted", weights], cwd=self.folder).returncode, 9, "the hook must catch an allocation")

    def test_an_object_is_position_independent(self):
        self.weft("compile", str(STORIES / "stories260k.json"), "-o", "stories260k")
        done = subprocess.run(["cc", "-shared", "-Wl,-z,text", "-Wl,-z,defs", "stories260k.o", "-o", "libstories.so"], cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_an_object_does_not_make_the_stack_executable(self):
        self.weft("compile", str(STORIES / "stories260k.json"), "-o", "stories260k")
        sections = subprocess.run(["readelf", "-SW", "stories260k.o"], cwd=self.folder, capture_output=True, text=True, check=True).stdout
        note = [line for line in sections.splitlines() if ".note.GNU-stack" in line]
        self.assertEqual(len(note), 1)
        self.assertNotIn(" X ", note[0].split("PROGBITS")[1])

    def test_an_object_has_no_writable_data(self):
        self.weft("compile", str(STORIES / "stories260k.json"), "-o", "stories260k")
        sizes = subprocess.run(["size", "-A", "stories260k.o"], cwd=self.folder, capture_output=True, text=True, check=True).stdout
        for line in sizes.splitlines():
            if line.startswith((".data ", ".bss ")):
                self.assertEqual(line.split()[1], "0", line)


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
# What a user sees when the process is interrupted, breaks, or runs into a limit: no half files, the right exit code, and
# a reproducer after an internal error.
import resource
import signal
import subprocess
import time
import unittest

from weft_cli import MODELS, WEFT, CommandTest


class Signals(CommandTest):
    def signalled(self, number):
        """Compiles a model large enough to be caught at it, sends the signal once the temporary files are there."""
        process = subprocess.Popen([WEFT, "compile", str(MODELS / "gpt2" / "gpt2.json"), "-o", "out"], cwd=self.folder, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        for _ in range(2000):
            if any(".tmp" in name for name in self.files()):
                break
            time.sleep(0.005)
        process.send_signal(number)
        _, err = process.communicate(timeout=120)
        return process.returncode, err

    def test_interrupt_leaves_nothing(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            code, _ = self.signalled(number)
            self.assertEqual(code, -number)
            self.assertEqual(self.files(), [])

    def test_internal_error_writes_a_reproducer(self):
        code, err = self.signalled(signal.SIGSEGV)
        self.assertEqual(code, 70)
        self.assertIn("internal error", err)
        (reproducer,) = self.files()
        self.assertIn(reproducer, err)
        self.assertEqual((self.folder / reproducer).read_text(), (MODELS / "gpt2" / "gpt2.json").read_text())

    def test_file_size_limit(self):
        done = subprocess.run([WEFT, "compile", self.model()], cwd=self.folder, capture_output=True, text=True,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)))
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(self.files(), ["small.json"])

    def test_closed_standard_streams(self):
        self.model()
        done = subprocess.run(f"exec '{WEFT}' compile small.json <&- >&- 2>&-", shell=True, cwd=self.folder)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(self.files(), ["small.h", "small.json", "small.o"])
        self.assertEqual((self.folder / "small.o").read_bytes()[:4], b"\x7fELF")

    def test_two_compilations_at_once(self):
        self.model()
        running = [subprocess.Popen([WEFT, "compile", "small.json", "-q"], cwd=self.folder) for _ in range(4)]
        self.assertEqual([process.wait() for process in running], [0] * 4)
        self.assertEqual(self.files(), ["small.h", "small.json", "small.o"])


if __name__ == "__main__":
    unittest.main()

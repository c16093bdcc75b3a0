#!/usr/bin/env python3
# The pages of docs/ are true: generated ones are up to date, links and file names lead somewhere, commands exist, examples
# of messages are what the tool prints. WEFT_WRITE_DOCS=1 writes the messages that it prints into docs/diagnostics/.
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import unittest

from weft_cli import INCLUDE, MODELS, RUNTIME, WEFT, CommandTest, read_safetensors, write_safetensors

ROOT = MODELS.parent
DOCS = ROOT / "docs"
ROOMS = ("compiler", "runtime", "test")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("**/*.md")), *sorted(MODELS.glob("**/README.md")), ROOT / "examples" / "README.md",
         *sorted(page for room in ROOMS for page in (ROOT / room).glob("**/README.md"))]
GENERATED = {"passes.md", "dialect.md", "ops.md"}


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.S | re.M)


def anchors(page):
    """The names of a page's headings, as web views of Markdown make them."""
    text = re.sub(r"(?sm)^```.*?^```", "", page.read_text())
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in re.findall(r"(?m)^#+ (.*)$", text)}


class Docs(CommandTest):
    def test_generated_pages_are_up_to_date(self):
        tblgen = ["--tblgen", os.environ["WEFT_TBLGEN"]] if os.environ.get("WEFT_TBLGEN") else []
        done = subprocess.run([sys.executable, str(ROOT / "tools/scripts/make_docs.py"), "--check", *tblgen], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_links_lead_somewhere(self):
        for page in PAGES:
            prose = re.sub(r"(?sm)^```.*?^```|`[^`\n]*`", "", page.read_text())
            for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", prose):
                if "://" in target:
                    continue
                file = (page.parent / target).resolve() if target else page
                self.assertTrue(file.exists(), f"{page}: {target}")
                if anchor and file.suffix == ".md":
                    self.assertIn(anchor, anchors(file), f"{page}: {target}#{anchor}")

    def test_files_named_in_pages_exist(self):
        for page in PAGES:
            if page.name in GENERATED:
                continue
            for name in re.findall(r"`((?:compiler|runtime|test|tools|docs|cmake|models)/[\w./*-]+)`", page.read_text()):
                found = list(ROOT.glob(name.rstrip("/"))) if "*" in name else [ROOT / name]
                self.assertTrue(found and found[0].exists(), f"{page}: {name}")

    def test_every_room_has_a_sign(self):
        for top in ROOMS:
            for folder in [ROOT / top, *(ROOT / top).glob("*/")]:
                sources = [f for f in folder.iterdir() if f.is_file()] if folder.is_dir() else []
                if sources:
                    self.assertTrue((folder / "README.md").exists(), f"{folder} has no README.md")

    def test_commands_in_pages_exist(self):
        helps = {}
        for page in PAGES:
            for block in blocks(page, "sh"):
                self.assertEqual(subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True).returncode, 0, block)
                for line in block.replace("\\\n", " ").splitlines():
                    words = shlex.split(line, comments=True)
                    for word in words:
                        if re.match(r"(tools|test|compiler|docs|runtime)/[\w./-]+\.\w+$", word) and ">" not in words:
                            self.assertTrue((ROOT / word).exists(), f"{page}: {line}")
                    if words and (words[0] == "weft" or words[0].endswith("/weft")) and len(words) > 1:
                        command = tuple(words[1:3 if words[1] == "view" else 2])
                        if command not in helps:
                            helps[command] = self.weft(*(command if not command[0].startswith("-") else []), "--help")[0]
                        for option in (w.split("=")[0] for w in words[1:] if w.startswith("--")):
                            self.assertIn(option, helps[command], f"{page}: {line}")

    def test_commands_of_pages_run(self):
        """As they stand, on fewer samples and iterations, in a copy of the project: what writes pages writes them there. The
        build that they make is configured, and its runtime built; after that they use the build under test."""
        for part in ("CMakeLists.txt", "CMakePresets.json", "README.md", "cmake", "compiler", "docs", "examples", "models", "runtime", "test", "tools"):
            (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, self.folder / part)
        (self.folder / "build").symlink_to(os.environ["WEFT_BUILD"])
        (self.folder / "bin").mkdir()
        (self.folder / "bin" / "weft").symlink_to(WEFT)
        (self.folder / "gpt2.json").symlink_to(MODELS / "gpt2" / "gpt2.json")
        (self.folder / "MODEL.json").symlink_to(MODELS / "encoder_block" / "encoder_block.json")
        self.weft("compile", "gpt2.json", "-o", "gpt2", "-q")
        env, run = {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}, 0
        env.pop("WEFT_SHARED", None)
        shorter = ((r"--samples \d{3,}", "--samples 640"), (r"--epochs \d+", "--epochs 1"), (r"cmake --build --preset dev$", r"\g<0> --target weft_runtime"),
                   (r"run_tests.py build-dev$", r"\g<0> --filter '^(runtime_npy|check_messages)$'"))
        for page in sorted(DOCS.glob("**/*.md")):
            for line in "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines():
                line = line.split(" #")[0].strip()
                for pattern, short in shorter:
                    line = re.sub(pattern, short, line)
                if line.startswith("weft bench"):
                    line += " --iterations 1" + (" --init 0" if "--init" not in line else "")
                if "gpt2" in line and "bench" in line:
                    line = re.sub(r"--set layers=\d+", "", line) + " --set layers=1"
                if line.startswith("cmake --preset"):
                    (self.folder / "build-dev").unlink(missing_ok=True)
                done = subprocess.run(["bash", "-c", line], cwd=self.folder, env=env, capture_output=True, text=True, timeout=300)
                self.assertEqual(done.returncode, 0, f"{page}: {line}\n{done.stdout[-500:]}{done.stderr[-1500:]}")
                run += 1
                if line.startswith("cmake --preset"):
                    self.assertTrue((self.folder / "build-dev" / "runtime" / "libweft_runtime.a").exists())
                    shutil.rmtree(self.folder / "build-dev")
                    (self.folder / "build-dev").symlink_to(os.environ["WEFT_BUILD"])
                elif "lit" in line or "run_tests" in line:
                    self.assertNotRegex(done.stdout, r"Total Discovered Tests: 0|^0 passed")
                elif "make_docs" in line:
                    for written in sorted(DOCS.glob("**/*")):
                        if written.is_file():
                            self.assertEqual((self.folder / written.relative_to(ROOT)).read_text(), written.read_text(), written)
        self.assertGreaterEqual(run, 30)

    def test_example_diffs_are_what_the_sources_say(self):
        for page in (DOCS / "adding-an-op.md", DOCS / "adding-a-pass.md"):
            for block in blocks(page, "diff"):
                text = ""
                for line in block.splitlines():
                    if line.startswith("+++ "):
                        text = (ROOT / line[4:].strip()).read_text()
                    elif line.startswith("+"):
                        self.assertIn(line[1:].strip(), text, f"{page}: {line}")

    def test_messages_are_what_the_tool_prints(self):
        model = blocks(DOCS / "diagnostics.md", "json")[0].splitlines()
        tested = 0

        def example(found):
            nonlocal tested
            tested += 1
            command, old = found.group(1), found.group(2)
            lines = list(model)
            for number, line in re.findall(r"(?m)^ *(\d+) \| (.*)$", old):
                lines[int(number) - 1] = line
            (self.folder / "m.json").write_text("\n".join(lines) + "\n")
            words = shlex.split(command)
            done = subprocess.run([WEFT, *words[1:]], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
            return f"```console\n$ {command}; echo $?\n{done.stdout}{done.returncode}\n```"

        self.maxDiff = None
        pages = [DOCS / name for name in re.findall(r"\]\((diagnostics/[\w-]+\.md)\)", (DOCS / "diagnostics.md").read_text())]
        self.assertEqual(sorted(pages), sorted(DOCS.glob("diagnostics/*.md")))
        for page in pages:  # in order: some go on with files of the page before
            text = page.read_text()
            new = re.sub(r"(?ms)^```console\n\$ (weft [^\n]*); echo \$\?\n(.*?)^```$", example, text)
            if os.environ.get("WEFT_WRITE_DOCS"):
                page.write_text(new)
            else:
                self.assertEqual(text.splitlines(), new.splitlines(), page)
        self.assertGreater(tested, 30)

    def test_program_of_the_c_page(self):
        (self.folder / "tiny.json").write_text(blocks(ROOT / "README.md", "json")[0])
        (self.folder / "main.c").write_text(blocks(DOCS / "c-api.md", "c")[0])
        self.weft("compile", "tiny.json")
        subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-I", INCLUDE, "main.c", "tiny.o", RUNTIME, "-lm", "-lpthread", "-o", "app"],
                       cwd=self.folder, check=True)
        out = subprocess.run(["./app"], cwd=self.folder, capture_output=True, text=True, check=True).stdout
        self.assertIn("tokens[0, 1] is 1000, expected 0..999", out)

    def test_ports_from_pytorch(self):
        """PyTorch is not at hand here: the model, its names, the nodes of the tables, and that the commands run, on values of our own."""
        page = DOCS / "from-pytorch.md"
        schema = json.loads((DOCS / "weft-1.schema.json").read_text())["$defs"]
        nodes = re.findall(r'`(\{"op": .*?\})`', page.read_text())
        self.assertGreater(len(nodes), 50)
        for text in nodes:
            node = json.loads(re.sub(r": ([a-z])(?=[,}])", r': "\1"', text))
            self.assertLessEqual(set(node) - {"in", "out", "param"}, set(schema["op_" + node["op"]]["properties"]), text)
        model = blocks(page, "json")[0]
        (self.folder / "classifier.json").write_text(model)
        (self.folder / "mistake.json").write_text(model.replace('"gelu"', '"relu"'))
        self.weft("init", "classifier.json", "--save", "classifier.safetensors")
        layer = [f"{name}.{part}" for name in ("self_attn.out_proj", "linear1", "linear2", "norm1", "norm2") for part in ("weight", "bias")]
        names = [f"encoder.layers.{i}.{name}" for i in (0, 1) for name in ("self_attn.in_proj_weight", "self_attn.in_proj_bias", *layer)]
        self.assertEqual(sorted(read_safetensors(self.folder / "classifier.safetensors")), sorted([*names, "words.weight", "places.weight", "head.weight", "head.bias"]))
        batch = {"tokens": ("I64", [4, 12], [7 * i % 100 for i in range(48)]), "real": ("BOOL", [4, 12], [i % 12 < 9 for i in range(48)]), "labels": ("I64", [4], [0, 1, 2, 0])}
        write_safetensors(self.folder / "batch.safetensors", batch)
        probes = [word for i in (0, 1) for node in ("a", "norm1", "norm2") for word in ("--probe", f"encoder[{i}].{node}")]
        self.weft("run", "classifier.json", "--inputs", "batch.safetensors", *probes, "--outputs", "expected.safetensors")
        self.weft("grad", "classifier.json", "--inputs", "batch.safetensors", "--outputs", "gradients.safetensors")
        commands = re.findall(r"(?m)^\$ weft (.*)$", "".join(blocks(page, "console")))
        self.assertEqual(len(commands), 7)
        for command in commands:
            out, _ = self.weft(*shlex.split(command), code=1 if "mistake" in command else 0)
            if "mistake" in command and "--probe" in command:
                self.assertRegex(out, r"norm1: equal(.|\n)*norm2: differs")

    def test_training_application_of_the_c_page(self):
        for name, language, page, mark in (("classifier.json", "json", "from-pytorch", ""), ("main.c", "c", "c-api", "weft_trainer_load"), ("CMakeLists.txt", "cmake", "c-api", "")):
            (self.folder / name).write_text(next(block for block in blocks(DOCS / f"{page}.md", language) if mark in block))

        def run(*words):
            done = subprocess.run([*map(str, words)], cwd=self.folder, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            return done.stdout

        run("cmake", "--install", os.environ["WEFT_BUILD"], "--prefix", self.folder / "installed")
        run("cmake", "-G", "Ninja", "-S", ".", "-B", "b", f"-DCMAKE_PREFIX_PATH={self.folder / 'installed'}", "-DCMAKE_C_FLAGS=-std=c99 -Wall -Wextra -pedantic -Werror")
        run("cmake", "--build", "b")
        self.assertRegex(run("b/app", "60"), r"^from update 0\nupdate 60, loss ")
        self.assertRegex(run("b/app", "120"), r"^from update 60\nupdate 120, loss ")
        resumed = (self.folder / "trained.safetensors").read_bytes()
        shutil.rmtree(self.folder / "checkpoints")
        run("b/app", "120")
        self.assertEqual((self.folder / "trained.safetensors").read_bytes(), resumed)


if __name__ == "__main__":
    unittest.main()

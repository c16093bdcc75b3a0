#!/usr/bin/env python3
# weft-lsp-server: an editor opens IR as `weft compile --stop-after` prints it, asks for a hover text and a definition, and
# sees an error where it stands.
import json
import os
import re
import subprocess
import unittest

from weft_cli import CommandTest

SERVER = os.environ.get("WEFT_LSP", "")
URI = "file:///model.mlir"


class Editor:
    """One session with the server over its pipes."""

    def __init__(self):
        self.process = subprocess.Popen([SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.number = 0

    def send(self, method, params, **more):
        text = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **more}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(text) + text)
        self.process.stdin.flush()

    def receive(self):
        length = 0
        while (line := self.process.stdout.readline().strip()):
            name, _, value = line.partition(b":")
            length = int(value) if name == b"Content-Length" else length
        return json.loads(self.process.stdout.read(length))

    def notified(self, method):
        while (message := self.receive()).get("method") != method:
            pass
        return message["params"]

    def ask(self, method, params):
        self.number += 1
        self.send(method, params, id=self.number)
        while (message := self.receive()).get("id") != self.number:
            pass
        return message["result"]

    def close(self):
        self.ask("shutdown", None)
        self.send("exit", None)
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(timeout=30)


@unittest.skipUnless(SERVER, "weft-lsp-server is not built")
class LanguageServer(CommandTest):
    def test_hover_definition_and_errors(self):
        text = self.weft("compile", self.model(), "--entry", "forward", "--stop-after", "import")[0]
        lines = text.splitlines()
        defined, result = next((i, each.split()[0]) for i, each in enumerate(lines) if "= weft.linear" in each)
        line, column = next((i, found.start()) for i, each in enumerate(lines) if i > defined and (found := re.search(re.escape(result) + r"(?![\w.])", each)))
        use = {"textDocument": {"uri": URI}, "position": {"line": line, "character": column + 1}}
        editor = Editor()
        self.addCleanup(editor.process.kill)
        self.assertTrue(editor.ask("initialize", {"processId": None, "rootUri": None, "capabilities": {}})["capabilities"]["definitionProvider"])
        editor.send("textDocument/didOpen", {"textDocument": {"uri": URI, "languageId": "mlir", "version": 1, "text": text}})
        self.assertEqual(editor.notified("textDocument/publishDiagnostics")["diagnostics"], [])
        [place] = editor.ask("textDocument/definition", use)
        self.assertEqual(place["range"]["start"]["line"], defined)
        hover = editor.ask("textDocument/hover", use)
        self.assertIn("weft.linear", json.dumps(hover))
        broken = text.replace("weft.linear", "weft.liner", 1)
        editor.send("textDocument/didChange", {"textDocument": {"uri": URI, "version": 2}, "contentChanges": [{"text": broken}]})
        [error] = editor.notified("textDocument/publishDiagnostics")["diagnostics"]
        self.assertIn("weft.liner", error["message"])
        self.assertEqual(editor.close(), 0)


if __name__ == "__main__":
    unittest.main()

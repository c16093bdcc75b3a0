# lit configuration: every .mlir file below test/ is a test, run with weft-opt and FileCheck.
# Values that depend on the build come from lit.site.cfg.py.
import os

import lit.formats

config.name = "weft"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.weft_build_dir, "test")

config.environment["PATH"] = os.path.pathsep.join(
    [os.path.join(config.weft_build_dir, "tools", tool) for tool in ("weft", "weft-opt")] + [config.llvm_tools_dir, config.environment["PATH"]]
)
config.substitutions.append((r"\bFileCheck\b", "FileCheck -enable-var-scope"))

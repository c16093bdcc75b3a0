// weft-docgen: prints the generated pages of the format, `schema` (docs/weft-1.schema.json) or `ops` (docs/ops.md).
// A test compares them with the committed files.
#include "import/OpTable.h"

#include <cstdio>
#include <string_view>

int main(int argc, char **argv) {
  std::string_view page = argc == 2 ? argv[1] : "";
  if (page != "schema" && page != "ops") {
    std::fputs("usage: weft-docgen schema|ops\n", stderr);
    return 2;
  }
  std::string text = page == "schema" ? weft::schemaText() : weft::opReferenceText();
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0 ? 0 : 3;
}

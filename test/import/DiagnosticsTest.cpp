// How diagnostics look: place, pointer, source line and caret, hint; order, limit, escaping; the same as JSON.
// And the words: quoting, edit distance.
#include "Helpers.h"

using namespace weft;
using namespace weft::test;

namespace {

TEST(Diagnostics, LookAsTheCommandLineShowsThem) {
  Reading got = readText(
      "{\n  \"format\": \"1.0\", \"name\": \"m\",\n  \"inputs\": {\"x\": {\"dtype\": \"f32\", \"shape\": [4, 8]}},\n"
      "  \"graph\": [\n    {\"id\": \"y\", \"op\": \"linaer\", \"in\": \"x\"}\n  ],\n  \"outputs\": {\"y\": "
      "\"y\"}\n}\n");
  EXPECT_EQ(got.diagnostics.str(), "m.json:5:23: error: unknown op 'linaer'\n"
                                   "  at /graph/0/op\n"
                                   " 5 |     {\"id\": \"y\", \"op\": \"linaer\", \"in\": \"x\"}\n"
                                   "   |                       ^\n"
                                   "  hint: did you mean 'linear'?\n");
  EXPECT_EQ(
      got.diagnostics.json(),
      "[{\"severity\": \"error\", \"file\": \"m.json\", \"line\": 5, \"column\": 23, \"pointer\": \"/graph/0/op\", "
      "\"text\": \"unknown op 'linaer'\", \"hint\": \"did you mean 'linear'?\"}]");
  EXPECT_EQ(got.diagnostics.exitCode(), 1);
}

TEST(Diagnostics, ComeInFileOrderOnceAndAtMostTwenty) {
  Diagnostics diagnostics;
  diagnostics.setFile("f");
  for (uint32_t line = 30; line > 0; --line)
    for (int twice = 0; twice < 2; ++twice)
      diagnostics.error({line, 1, ""}, "e" + std::to_string(line));
  std::string text = diagnostics.str();
  EXPECT_EQ(diagnostics.errorCount(), 30u);
  EXPECT_EQ(text.substr(0, 17), "f:1:1: error: e1\n");
  EXPECT_NE(text.find("f:20:1: error: e20\nf: error: 10 more errors are not shown\n"), std::string::npos) << text;
}

TEST(Diagnostics, ExitCodeIsThatOfTheWorst) {
  Diagnostics none, warned, model, limit;
  warned.warning({}, "w");
  model.error({}, "m");
  limit.error({}, "m");
  limit.error({}, "l", "", Failure::limit);
  EXPECT_EQ(none.exitCode(), 0);
  EXPECT_EQ(warned.exitCode(), 0);
  EXPECT_EQ(model.exitCode(), 1);
  EXPECT_EQ(limit.exitCode(), 4);
}

TEST(Diagnostics, UntrustedTextIsEscapedAndCut) {
  EXPECT_EQ(escapeText("a\x1b[31m\tb\x7f\xff"), "a\\x1b[31m\\x09b\\x7f\\xff");
  EXPECT_EQ(escapeText("\u202e\u00e9\u0085"), "\\u{202e}\u00e9\\u{0085}");
  EXPECT_EQ(quote(std::string(1000000, 'x')), "'" + std::string(120, 'x') + "...'");
  EXPECT_EQ(jsonString("a\"\\\n\x01\xff"), "\"a\\\"\\\\\\n\\u0001\\ufffd\"");
  // An escape code in a name reaches neither the message nor the source line.
  Reading got = readText("{\"format\": \"1.0\\u001b[2J\", \"name\": \"m\", \"inputs\": {}, \"graph\": [{\"id\": \"y\", "
                         "\"op\": \"constant\", \"value\": 1}], \"outputs\": {\"y\": \"y\"}}");
  EXPECT_EQ(got.diagnostics.str().find('\x1b'), std::string::npos);
  EXPECT_ERROR(got, "format '1.0\\x1b[2J' is not supported");
}

TEST(Diagnostics, LongLinesAreCutAroundTheCaret) {
  std::string padding(5000, ' ');
  Reading got = readText("{\"format\":" + padding + "\"2.0\"" + padding +
                         ", \"name\": \"m\", \"inputs\": {}, \"graph\": [], \"outputs\": {}}");
  std::string text = got.diagnostics.str();
  EXPECT_LT(text.size(), 2000u);
  size_t line = text.find(" 1 | "), caret = text.find("\n   | ");
  ASSERT_NE(line, std::string::npos);
  std::string shown = text.substr(line + 5, caret - line - 5),
              mark = text.substr(caret + 6, text.find('^') - caret - 6);
  EXPECT_EQ(shown.substr(mark.size(), 5), "\"2.0\"");
}

TEST(Words, EditDistanceCountsTranspositionsOnce) {
  EXPECT_EQ(editDistance("linear", "linaer"), 1u);
  EXPECT_EQ(editDistance("", "abc"), 3u);
  EXPECT_EQ(editDistance("kitten", "sitting"), 3u);
  EXPECT_EQ(editDistance("same", "same"), 0u);
}

TEST(Words, ClosestIgnoresCaseAndUnderscores) {
  EXPECT_EQ(didYouMean("LayerNrom", {"layer_norm", "rms_norm"}), "did you mean 'layer_norm'?");
  EXPECT_EQ(didYouMean("epsilon", {"axis", "eps", "weight"}), "did you mean 'eps'?");
  EXPECT_EQ(didYouMean("num_heads", {"heads", "causal"}), "did you mean 'heads'?");
  EXPECT_EQ(didYouMean("featres", {"features", "bias"}), "did you mean 'features'?");
  EXPECT_EQ(didYouMean("completely_different", {"features", "bias"}), "");
}

} // namespace

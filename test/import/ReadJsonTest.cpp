// Tricky JSON texts: encodings, numbers, nesting, truncation, duplicate keys, files that are none.
// Each gives one error at an exact place, quickly, and most of them a hint.
#include "import/ReadJson.h"

#include <chrono>
#include <clocale>
#include <cmath>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace weft;

namespace {

struct Parsed {
  std::optional<JsonDocument> document;
  Diagnostics diagnostics;
  SourceText source;
};

Parsed parse(std::string text, const Limits &limits = {}) {
  Parsed result;
  result.source.text = std::move(text);
  result.document = readJson(result.source, limits, result.diagnostics);
  return result;
}

struct Bad {
  std::string text;
  const char *place, *message, *hint;
};

TEST(ReadJson, EveryMistakeHasPlaceTextAndHint) {
  using namespace std::string_literals;
  const std::vector<Bad> cases = {
      {"", "1:1", "unexpected end of the file", ""},
      {"  \n ", "2:2", "unexpected end of the file", ""},
      {"\xEF\xBB\xBF{}", "1:1", "byte-order mark at offset 0", "UTF-8 without a mark"},
      {"\xFF\xFE{\0}\0"s, "1:1", "the file is UTF-16", ""},
      {"\0{\0}"s, "1:1", "the file is UTF-16", ""},
      {"{\0\0\0}\0\0\0"s, "1:1", "the file is UTF-32", ""},
      {"{\"k\xff\": 1}", "1:4", "invalid UTF-8 at byte offset 3: \\xff", ""},
      {"{\"k\": \"\xc0\xaf\"}", "1:8", "invalid UTF-8 at byte offset 7: \\xc0", ""},
      {"{\n// \x80 comment\n}", "2:4", "invalid UTF-8 at byte offset 5: \\x80", ""},
      {"{\"k\": \"\\ud800\"}", "1:14", "surrogate", ""},
      {"{\"k\": \"a\0b\"}"s, "1:9", "NUL byte at offset 8", ""},
      {"{\"k\\u0000\": 1}", "1:2", "NUL character", ""},
      {"{\"k\": \"\\u0000\"}", "1:7", "NUL character", ""},
      {"{\"k\": 1, \"k\": 2}", "1:10", "duplicate key 'k', first at 1:2", ""},
      {"[1, 2,]", "1:7", "expected a value but got ']'", "remove the comma before ']'"},
      {"{\"a\": 1,}", "1:9", "expected a key in double quotes but got '}'", "remove the comma before '}'"},
      {"{'a': 1}", "1:2", "expected a key", "double quotes"},
      {"{a: 1}", "1:2", "expected a key", "double quotes"},
      {"{\"a\": NaN}", "1:7", "expected a value but got 'NaN'", "\"inf\""},
      {"{\"a\": Infinity}", "1:7", "expected a value", "\"inf\""},
      {"{\"a\": -Infinity}", "1:7", "", "\"inf\""},
      {"{\"a\": 01}", "1:7", "'01' is not a number", "no leading zero"},
      {"{\"a\": -01}", "1:7", "'-01' is not a number", ""},
      {"{\"a\": +1}", "1:7", "expected a value but got '+1'", "no leading '+'"},
      {"{\"a\": .5}", "1:7", "expected a value but got '.5'", "digit before the point"},
      {"{\"a\": 0x10}", "1:7", "'0x10' is not a number", "decimal"},
      {"{\"a\": 1e999}", "1:7", "'1e999' does not fit a double", ""},
      {"{\"a\": True}", "1:7", "expected a value but got 'True'", "true, false and null"},
      {"{\"a\": 1} {}", "1:10", "expected the end of the text but got '{'", ""},
      {"{\"a\": 1 \"b\": 2}", "1:9", "expected ',' or '}' but got '\"b\"'", "comma may be missing"},
      {"{\"a\" 1}", "1:6", "expected ':' but got '1'", ""},
      {"{\"a\": \"b\n\"}", "1:9", "the line ends before its closing quote", ""},
      {"{\"a\": \"\\q\"}", "1:9", "invalid string", ""},
      {"{\"a\": 1} # x", "1:10", "expected the end", "a comment starts with //"},
      {"{\"a\": /* x", "1:11", "end of the file inside a comment", ""},
      {"[1, [2, 3}", "1:10", "expected ',' or ']' but got '}'", ""},
  };
  for (const Bad &bad : cases) {
    Parsed got = parse(bad.text);
    EXPECT_FALSE(got.document.has_value()) << bad.text;
    auto errors = got.diagnostics.sorted();
    ASSERT_EQ(errors.size(), 1u) << bad.text;
    EXPECT_EQ(std::to_string(errors[0].pos.line) + ":" + std::to_string(errors[0].pos.column), bad.place)
        << bad.text << errors[0].text;
    EXPECT_NE(errors[0].text.find(bad.message), std::string::npos) << bad.text << " gives: " << errors[0].text;
    EXPECT_NE(errors[0].hint.find(bad.hint), std::string::npos) << bad.text << " gives the hint: " << errors[0].hint;
    EXPECT_EQ(escapeText(errors[0].text), errors[0].text) << "raw bytes in a message";
  }
}

TEST(ReadJson, ValidTextsParse) {
  for (const char *text :
       {"null", "[]", "3", "{}", "[[], {}, \"\", -0, 1.5e-3]",
        "// c\n{\"a\": /* b */ 1, // d\r\n \"b\": \"// no\"}\n// e", "\t[\r\n1]\r\n", "[\"\\ud83d\\ude00 \\u00e9\"]"})
    EXPECT_TRUE(parse(text).document.has_value()) << text << parse(text).diagnostics.str();
}

TEST(ReadJson, PositionsCountBytesWithTabsAndLineEnds) {
  Parsed got = parse("{\r\n\t\"a\": [1,\r\n  \"\xC3\xA9\", {\"b~/\": true}],\n // x\n\"c\": /* y\n */ null}");
  ASSERT_TRUE(got.document.has_value());
  const JsonValue &root = *got.document->root(), &list = *root.find("a");
  auto at = [](const JsonValue &value) {
    return std::to_string(value.line) + ":" + std::to_string(value.column) + value.pointer();
  };
  EXPECT_EQ(at(root), "1:1");
  EXPECT_EQ(at(list), "2:7/a");
  EXPECT_EQ(at(*list.items[0]), "2:8/a/0");
  EXPECT_EQ(at(*list.items[1]), "3:3/a/1");
  EXPECT_EQ(at(*list.items[2]), "3:9/a/2");
  EXPECT_EQ(at(*list.items[2]->members[0].value), "3:17/a/2/b~0~1");
  EXPECT_EQ(root.members[1].line, 5u);
  EXPECT_EQ(at(*root.find("c")), "6:5/c");
}

TEST(ReadJson, NumbersStayExact) {
  Parsed got = parse("[9223372036854775807, -9223372036854775808, 9223372036854775808, 18446744073709551616, 4.0, 4e0, "
                     "1e-400, -0, -0.0, 0." +
                     std::string(400, '1') + ", true]");
  ASSERT_TRUE(got.document.has_value());
  const auto &items = got.document->root()->items;
  EXPECT_EQ(items[0]->integer(), INT64_MAX);
  EXPECT_EQ(items[1]->integer(), INT64_MIN);
  EXPECT_EQ(items[2]->integer(), std::nullopt);
  EXPECT_EQ(items[2]->describe(), "9223372036854775808");
  EXPECT_EQ(items[3]->integer(), std::nullopt);
  EXPECT_EQ(items[4]->integer(), std::nullopt);
  EXPECT_EQ(items[5]->integer(), std::nullopt);
  EXPECT_EQ(items[5]->real(), 4.0);
  EXPECT_EQ(items[6]->real(), 0.0);
  EXPECT_EQ(items[7]->integer(), 0);
  EXPECT_TRUE(std::signbit(*items[8]->real()));
  EXPECT_DOUBLE_EQ(*items[9]->real(), 1.0 / 9);
  EXPECT_EQ(items[10]->integer(), std::nullopt);
}

TEST(ReadJson, TruncatedAnywhereIsAnError) {
  const std::string text = R"({"a": [1, -2.5e+3, "x\u00e9"], /* c */ "b": {"c": null, "d": [true, {}]}})";
  ASSERT_TRUE(parse(text).document.has_value());
  for (size_t length = 0; length < text.size(); ++length) {
    Parsed got = parse(text.substr(0, length));
    EXPECT_FALSE(got.document.has_value()) << length;
    EXPECT_EQ(got.diagnostics.errorCount(), 1u) << length;
  }
}

TEST(ReadJson, NestingIsLimitedAtTheExactPlace) {
  auto start = std::chrono::steady_clock::now();
  std::string objects;
  for (int i = 0; i < 1000000; ++i)
    objects += "{\"a\":";
  for (auto [text, place] : {std::pair(std::string(1000000, '['), 65u), std::pair(objects, 64 * 5 + 1u),
                             std::pair(std::string(1000000, '[') + std::string(1000000, ']'), 65u)}) {
    Parsed got = parse(text);
    ASSERT_EQ(got.diagnostics.errorCount(), 1u);
    EXPECT_EQ(got.diagnostics.sorted()[0].pos.column, place);
    EXPECT_EQ(got.diagnostics.exitCode(), 4);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
  Limits deep;
  deep.depth = 2000000;
  EXPECT_TRUE(parse(std::string(200000, '[') + std::string(200000, ']'), deep).document.has_value());
}

TEST(ReadJson, LargeTextsTakeLinearTime) {
  std::string list = "[0", object = "{\"k0\": 0";
  for (int i = 1; i < 300000; ++i) {
    list += ",1";
    object += ",\"k" + std::to_string(i) + "\":0";
  }
  auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(parse(list + "]").document.has_value());
  EXPECT_TRUE(parse(object + "}").document.has_value());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  Limits small;
  small.fileBytes = 100;
  EXPECT_EQ(parse(list + "]", small).diagnostics.exitCode(), 4);
}

TEST(ReadJson, DoesNotDependOnTheLocale) {
  const char *old = std::setlocale(LC_ALL, nullptr);
  std::string saved = old ? old : "C";
  for (const char *name : {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8"})
    std::setlocale(LC_ALL, name);
  Parsed got = parse("[1.5]");
  std::setlocale(LC_ALL, saved.c_str());
  ASSERT_TRUE(got.document.has_value());
  EXPECT_EQ(got.document->root()->items[0]->real(), 1.5);
}

TEST(ReadTextFile, OnlyRegularFilesAndWithinTheLimit) {
  std::string base = testing::TempDir() + "weft-import-XXXXXX";
  ASSERT_NE(mkdtemp(base.data()), nullptr);
  std::string file = base + "/m.json", pipe = base + "/pipe";
  std::ofstream(file) << "{\"a\": 1}";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  auto failure = [](const std::string &path, const Limits &limits = {}) {
    Diagnostics diagnostics;
    EXPECT_FALSE(readTextFile(path, limits, diagnostics).has_value()) << path;
    return std::pair(diagnostics.exitCode(), diagnostics.str());
  };
  Diagnostics good;
  auto text = readTextFile(file, {}, good);
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(text->text, "{\"a\": 1}");
  EXPECT_EQ(failure(base), std::pair(3, base + ": error: is a directory, not a model file\n"));
  EXPECT_EQ(failure(pipe), std::pair(3, pipe + ": error: not a regular file\n"));
  EXPECT_EQ(failure("/dev/zero"), std::pair(3, std::string("/dev/zero: error: not a regular file\n")));
  EXPECT_EQ(failure(base + "/none").first, 3);
  Limits small;
  small.fileBytes = 3;
  EXPECT_EQ(failure(file, small), std::pair(4, file + ": error: larger than the limit of 3 bytes\n  hint: --limit fileBytes=N raises it\n"));
  unlink(file.c_str());
  unlink(pipe.c_str());
  rmdir(base.c_str());
}

} // namespace

// Text on its way in and out: files that are read whole or refused, limits by their names, and what a message shows of
// bytes that are not for a terminal.
#include "import/Limits.h"
#include "import/ModelDesc.h"
#include "import/ReadJson.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

using namespace weft;

namespace {

struct Read {
  std::string text, said;
  int code;
};

Read readFile(const std::string &path, uint64_t fileBytes = 1000000) {
  Limits limits;
  limits.fileBytes = fileBytes;
  Diagnostics diagnostics;
  std::optional<SourceText> source = readTextFile(path, limits, diagnostics);
  EXPECT_EQ(source.has_value(), !diagnostics.hasErrors());
  return {source ? source->text : "", diagnostics.str(), diagnostics.exitCode()};
}

TEST(TextTest, WhatIsNoFileIsRefused) {
  EXPECT_NE(readFile("/nowhere/m.json").said.find("cannot open the file: No such file"), std::string::npos);
  EXPECT_NE(readFile("/").said.find("is a directory"), std::string::npos);
  EXPECT_NE(readFile("/dev/null").said.find("not a regular file"), std::string::npos);
  EXPECT_EQ(readFile("/nowhere/m.json").code, 3);
  std::string path = testing::TempDir() + "weft-text-pipe";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_NE(readFile(path).said.find("not a regular file"), std::string::npos); // and does not wait
  unlink(path.c_str());
  // A file of the system whose reading fails.
  if (access("/proc/self/mem", R_OK) == 0)
    EXPECT_NE(readFile("/proc/self/mem").said.find("cannot read the file: "), std::string::npos);
}

TEST(TextTest, FilesAreReadUpToTheLimit) {
  std::string path = testing::TempDir() + "weft-text-file";
  std::FILE *file = std::fopen(path.c_str(), "wb");
  std::fputs("0123456789", file);
  std::fclose(file);
  EXPECT_EQ(readFile(path, 10).text, "0123456789");
  Read refused = readFile(path, 9);
  EXPECT_EQ(refused.code, 4);
  EXPECT_NE(refused.said.find("larger than the limit of 9 bytes"), std::string::npos);
  EXPECT_NE(refused.said.find("--limit fileBytes=N raises it"), std::string::npos);
  // The same as standard input, which is not closed.
  int before = dup(STDIN_FILENO), now = open(path.c_str(), O_RDONLY);
  dup2(now, STDIN_FILENO);
  close(now);
  EXPECT_EQ(readFile("-").text, "0123456789");
  lseek(STDIN_FILENO, 0, SEEK_SET);
  EXPECT_NE(readFile("-", 9).said.find("<stdin>: error: larger than"), std::string::npos);
  int folder = open("/", O_RDONLY | O_DIRECTORY);
  dup2(folder, STDIN_FILENO);
  close(folder);
  EXPECT_NE(readFile("-").said.find("<stdin>: error: cannot read the file: Is a directory"), std::string::npos);
  dup2(before, STDIN_FILENO);
  close(before);
  unlink(path.c_str());
}

TEST(TextTest, LimitsHaveNamesAndCeilings) {
  Limits limits;
  ASSERT_EQ(Limits::names().size(), 14u);
  for (const std::string &name : Limits::names()) {
    uint64_t most = Limits::most(name);
    EXPECT_GE(most, 1000u) << name;
    EXPECT_TRUE(limits.set(name, 1)) << name;
    EXPECT_TRUE(limits.set(name, most)) << name;
    EXPECT_FALSE(limits.set(name, most + 1)) << name;
    EXPECT_FALSE(limits.set(name, 0)) << name;
  }
  EXPECT_EQ(Limits::most("nodez"), 0u);
  EXPECT_FALSE(limits.set("nodez", 5));
  limits.set("arenaBytes", 77);
  limits.set("depth", 78);
  EXPECT_EQ(limits.arenaBytes, 77u);
  EXPECT_EQ(limits.depth, 78u);
}

TEST(TextTest, BytesThatAreNoTextAreEscaped) {
  const std::pair<std::string, std::string> cases[] = {
      {"plain", "plain"},
      {"\x1b[31m", "\\x1b[31m"},
      {"\x7f", "\\x7f"},
      {"\xc3\xa9", "\xc3\xa9"},                                 // é
      {"\xc3", "\\xc3"},                                        // cut
      {"\xc0\xaf", "\\xc0\\xaf"},                              // longer than needed
      {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},
      {"\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf"},
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},                    // half of a pair
      {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},          // past the last
      {"\xf0\x9f\x99\x82", "\xf0\x9f\x99\x82"},
      {"\xee\x80\x80", "\xee\x80\x80"},
  };
  for (const auto &[text, shown] : cases)
    EXPECT_EQ(escapeText(text), shown);
  // Characters that steer a terminal or turn the direction of text are not shown as they are.
  for (const char *text : {"\xc2\x9b", "\xe2\x80\x8b", "\xe2\x80\xae", "\xe2\x81\xa6", "\xef\xbb\xbf"})
    EXPECT_EQ(escapeText(text).find(text), std::string::npos) << text;
  for (const char *text : {"\xe2\x80\x90", "\xe2\x80\xaf", "\xe2\x81\xb0"})
    EXPECT_EQ(escapeText(text), text);
}

TEST(TextTest, LongWordsAreCutAndNotCompared) {
  std::string word(1000, 'w');
  EXPECT_LT(quote(word).size(), 200u);
  EXPECT_EQ(didYouMean("nodes", {word}), "");
  EXPECT_EQ(didYouMean(word, {"nodes", word + "x"}), "");
  EXPECT_EQ(didYouMean("nodes", {"nodes"}), ""); // it is that word
}

} // namespace

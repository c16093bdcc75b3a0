// Tables of wrong inputs as text files (*.cases): what is changed in a good file, and every line that must be said.
// WEFT_WRITE_CASES=1 rewrites the expected lines from what is said now; the difference is then read by a person.
#ifndef WEFT_TEST_FAULTS_CASEFILE_H
#define WEFT_TEST_FAULTS_CASEFILE_H

#include <string>
#include <utility>
#include <vector>

namespace weft::test {

struct Case {
  std::string name;
  std::string base;                                          ///< file that is changed; empty: `text` is the whole input
  std::string text;                                          ///< lines with "= "
  std::vector<std::pair<std::string, std::string>> changes;  ///< lines with "- " and "+ ": the first occurrence
  std::vector<std::string> options;                          ///< lines with "@ "
  std::vector<std::string> expected;                         ///< "exit N", then lines with "> "
};

/// Reads a table. A case begins with "== NAME"; "base FILE" holds from there to the next "base". "@<6a>" stands for a
/// byte, "@<TEXT*N>" for N copies of a text, "@<nl>" for a line break, "@<>" for nothing (keeps spaces at an end).
/// Exits with a message when the file itself is wrong.
std::vector<Case> readCases(const std::string &path);

/// The input of a case. Exits with a message when a change does not fit its base.
std::string inputOf(const Case &next, const std::string &folder);

/// Compares; prints what differs. `said` is laid out as Case::expected.
bool checkCase(const Case &next, const std::vector<std::string> &said);

/// Writes `said` (one list for each case) in place of the expected lines.
void writeExpected(const std::string &path, const std::vector<std::vector<std::string>> &said);

std::string readFile(const std::string &path);

} // namespace weft::test

#endif // WEFT_TEST_FAULTS_CASEFILE_H

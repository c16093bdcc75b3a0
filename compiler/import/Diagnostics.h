// Errors and warnings about a model file: collected while reading goes on, shown in file order with the source line.
// Also the words of messages: quoting of untrusted text, and "did you mean".
#ifndef WEFT_IMPORT_DIAGNOSTICS_H
#define WEFT_IMPORT_DIAGNOSTICS_H

#include "import/ModelDesc.h"

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

/// One text in memory, with its name for messages ("gpt2.json", "<stdin>").
struct SourceText {
  std::string file;
  std::string text;

  /// The line without its end; empty if there is none. Linear in the line number only on the first call.
  std::string_view line(uint32_t number) const;

private:
  mutable std::vector<size_t> starts;
};

/// The exit codes of the command line, as far as reading can cause them.
enum class Failure : uint8_t { model = 1, file = 3, limit = 4 };

struct Diagnostic {
  bool warning = false;
  Failure failure = Failure::model;
  Position pos; ///< line 0: the file as a whole
  std::string text, hint;
};

class Diagnostics {
public:
  static constexpr size_t kShown = 20;

  /// Source lines are quoted from here; set by readModel.
  void setSource(std::shared_ptr<const SourceText> text) { source = std::move(text); }
  void setFile(std::string name) { file = std::move(name); }

  /// The same text at the same place is kept once.
  void error(const Position &pos, std::string text, std::string hint = {}, Failure failure = Failure::model);
  void warning(const Position &pos, std::string text, std::string hint = {});

  bool hasErrors() const { return errors != 0; }
  size_t errorCount() const { return errors; }
  /// 0 without errors, else the command line's exit code.
  int exitCode() const;
  /// In file order; those without a place first.
  std::vector<Diagnostic> sorted() const;

  /// As cli.md wants it: at most kShown errors, then how many more there are. Warnings come along in order.
  std::string str() const;
  /// One JSON array of {"severity", "file", "line", "column", "pointer", "text", "hint"}.
  std::string json() const;

private:
  void add(Diagnostic diagnostic);
  void print(const Diagnostic &diagnostic, std::string &out) const;

  std::shared_ptr<const SourceText> source;
  std::string file;
  std::vector<Diagnostic> all;
  std::set<std::string> seen;
  size_t errors = 0;
};

/// Untrusted text made printable: control and invalid bytes as \xNN, direction overrides as \u{202e}.
std::string escapeText(std::string_view text);
/// 'text' escaped, cut to 120 characters, in single quotes.
std::string quote(std::string_view text);
/// "a, b or c" of quoted words.
std::string listWords(const std::vector<std::string> &words);
/// A JSON string with its quotes.
std::string jsonString(std::string_view text);

/// Edit distance with transpositions (optimal string alignment).
unsigned editDistance(std::string_view a, std::string_view b);
/// The candidates that `word` most likely stands for, best first, at most three; empty if none is near.
std::vector<std::string> closest(std::string_view word, const std::vector<std::string> &candidates);
/// Those of the candidates that another framework's word stands for; `plain` is in lower case, without underscores.
std::vector<std::string> foreignWord(std::string_view plain, const std::vector<std::string> &candidates);
/// Where a key stands that was met elsewhere, as "train/optimizer"; empty if no section has it or several do.
std::string sectionOf(std::string_view key);
/// "did you mean 'x'?" or an empty text.
std::string didYouMean(std::string_view word, const std::vector<std::string> &candidates);

} // namespace weft

#endif // WEFT_IMPORT_DIAGNOSTICS_H

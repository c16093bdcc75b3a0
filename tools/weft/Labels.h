// What stands beside the rows and columns of an attention map: words from the command line, or ids of an integer input
// with the names that a vocabulary or tokenizer gives them, or positions.
#ifndef WEFT_TOOLS_LABELS_H
#define WEFT_TOOLS_LABELS_H

#include "Data.h"
#include "Tokenizer.h"

namespace weft {

struct LabelOptions {
  std::string tokens, keyTokens;       ///< a,b,c
  std::string input, keyInput;         ///< names of integer inputs
  std::string vocabulary, tokenizer;   ///< files
};

class Labels {
public:
  /// Reads the files. Errors are printed; kOk or an exit code.
  int read(const LabelOptions &options);
  /// Labels of `count` positions of one sequence; `keys`: those of the keys.
  int choose(const std::vector<HostTensor> &inputs, int64_t sequence, int64_t count, bool keys, std::vector<std::string> &labels) const;

private:
  std::string nameOf(int64_t id) const;

  LabelOptions options;
  std::map<int64_t, std::string> names;
  std::optional<Tokenizer> pieces;
};

} // namespace weft

#endif // WEFT_TOOLS_LABELS_H

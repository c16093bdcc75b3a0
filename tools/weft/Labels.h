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

/// One axis of a map. In self-attention the keys are the tokens that the queries are.
struct LabelledAxis {
  int64_t count = 0, shown = 0;
  bool isKeys = false, isSelf = false;
  std::vector<std::string> inputs = {}; ///< that may hold its ids, the likeliest first
};

class Labels {
public:
  /// Reads the files. Errors are printed; kOk or an exit code.
  int read(const LabelOptions &options);
  /// Labels of the positions of one sequence.
  int choose(const std::vector<HostTensor> &inputs, int64_t sequence, const LabelledAxis &axis, std::vector<std::string> &labels) const;

private:
  std::string nameOf(int64_t id) const;

  LabelOptions options;
  std::map<int64_t, std::string> names;
  std::optional<Tokenizer> pieces;
};

} // namespace weft

#endif // WEFT_TOOLS_LABELS_H

// Makes the table of OpNumbers.inc. One case is one line there.
// Compiled alone and without optimisation: it is nothing but initialisers.
#include "OpCases.h"

namespace weft::reference {
namespace {
std::optional<Tensor> none() { return std::nullopt; }
std::string word(const char *text) { return text; }

}  // namespace

const std::vector<Case> &cases() {
  static const std::vector<Case> all = {
#include "OpNumbers.inc"
  };
  return all;
}

}  // namespace weft::reference

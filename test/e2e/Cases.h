// The table of small models: one line for each case, run for a list of sizes, on one and two threads.
// A case is the text of its inputs and of its nodes; everything else of the model file is written around it.
#ifndef WEFT_E2E_CASES_H
#define WEFT_E2E_CASES_H

#include <map>
#include <string>
#include <vector>

namespace weft::e2e {

/// inputs: "x:[B,T,8] m:bool[B,T] i:i32[B,T]<7 p:[B]+": name, dtype (f32), axes, then `<n`: integers 0..n-1, `+`: positive,
/// `=v`: optional with that fill and not given, `!`: also infinities and NaN. Capital letters are dims.
/// nodes: `"op":"softmax","axis":1`: the one node "y"; its operands are all inputs unless it says "in". Or a whole list of
/// nodes "[…]", whose results are the values named in `outputs`.
/// options, separated by spaces: exact (bits must agree), zero (dims may be 0; also run with 0), once (first sizes only),
/// out=a,b (names of the outputs, default y), set B=2,T=5 (only these sizes), error=TEXT_WITH_UNDERSCORES (the call must
/// fail so), ofscale=1e-6 (added to the bound), loss (the node is a loss of `train`; y is its value).
struct Case {
  std::string inputs, nodes;
  std::string options = {};
};

/// The sizes of the dims in each round.
using Sizes = std::map<std::string, int64_t>;
std::vector<Sizes> rounds(const Case &c);

/// The model file of a case.
std::string modelText(const Case &c);
/// "x:[B,T,9] softmax axis 1", short enough for a line.
std::string caseName(const Case &c);

struct CaseInput {
  std::string name, dtype;
  std::vector<std::string> axes;
  int64_t below = 0;            ///< 0: no limit
  bool positive = false, special = false, given = true;
  std::string fill;             ///< not empty: optional
};
std::vector<CaseInput> caseInputs(const Case &c);
/// The value of an option, "" if it has none; nullptr: not given.
const std::string *option(const Case &c, const std::string &name, std::string &storage);

void addPointwiseCases(std::vector<Case> &cases);
void addRowCases(std::vector<Case> &cases);
void addDenseCases(std::vector<Case> &cases);
void addAttentionCases(std::vector<Case> &cases);
void addShapeCases(std::vector<Case> &cases);
void addGraphCases(std::vector<Case> &cases);
void addLossCases(std::vector<Case> &cases);
/// Every case, in a fixed order. `full`: also the sizes that take long.
std::vector<Case> allCases(bool full);

/// Models with entries, state and blocks, and the calls to make of them, in order:
/// "reset prefill B=2,T=5 valid=5,3; decode B=2". Sizes not named: 1.
struct ModelCase {
  std::string name, text, calls;
};
const std::vector<ModelCase> &modelCases();

}  // namespace weft::e2e

#endif  // WEFT_E2E_CASES_H

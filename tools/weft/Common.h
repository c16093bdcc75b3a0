// What all commands of `weft` share: options, exit codes, messages, and the way from a model's path to a compiled model.
// Results go to standard output, everything else to standard error.
#ifndef WEFT_TOOLS_COMMON_H
#define WEFT_TOOLS_COMMON_H

#include "import/Diagnostics.h"
#include "import/Limits.h"
#include "import/ModelDesc.h"
#include "import/ShapeRules.h"
#include "pipeline/Compile.h"

#include <CLI/CLI.hpp>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace weft {

enum ExitCode { kOk = 0, kInvalid = 1, kUsage = 2, kFile = 3, kLimit = 4, kUnsupported = 5, kInternal = 70 };

struct CommonOptions {
  std::string model;              ///< path of the JSON file
  std::vector<std::string> sets;  ///< KEY=VALUE
  std::vector<std::string> limits; ///< NAME=N
  std::string cpu = "host", target = "cpu";
  int threads = 0;                ///< 0: all cores
  uint64_t seed = 0;
  bool json = false, quiet = false, verbose = false;
};

using Action = std::function<int()>;
using Sizes = std::map<std::string, int64_t>;

/// The positional MODEL.json and the options of every command.
void addCommonOptions(CLI::App &command, CommonOptions &options);
/// For ->check(): a number of 64 bits. CLI11 reads "-1" as the largest one.
std::string checkSeed(const std::string &text);
/// A repeatable option that takes one value each time.
CLI::Option *addRepeated(CLI::App &command, const std::string &names, std::vector<std::string> &values, const std::string &text);

/// `weft: error: TEXT` and an optional hint on standard error; returns `code`.
int fail(ExitCode code, const std::string &text, const std::string &hint = {});
/// While one lives, errors are kept and not printed: of a work that the command can do without.
class HeldErrors {
public:
  HeldErrors();
  HeldErrors(const HeldErrors &) = delete;
  HeldErrors &operator=(const HeldErrors &) = delete;
  ~HeldErrors();
  /// The first one, without a hint.
  std::string text;
};
/// A line on standard error, unless -q.
void note(const CommonOptions &options, const std::string &text);
/// A result on standard output.
void print(const std::string &text);

/// All bytes of a file; errors are printed. kOk or kFile.
int readFile(const std::string &path, std::string &bytes);

/// What `--limit` says, over the defaults. Texts that are wrong are reported when the model is read.
Limits limitsOf(const CommonOptions &options);
/// Reads and checks the model; errors are printed. kOk or an exit code.
int readModelOrFail(const CommonOptions &options, ModelDesc &model);
/// Compiles; errors are printed. Fills in cpus from the common options.
int compileOrFail(const CommonOptions &common, const ModelDesc &model, CompileOptions options, CompiledModel &compiled);

/// Sizes for all dims: the hints, replaced by `--dim B=8,T=128` texts. kOk or kUsage.
int parseSizes(const std::vector<std::string> &texts, const ModelDesc &model, Sizes &sizes);
/// The dims of a call of `entry`: `sizes`, with what the entry fixes.
Sizes entrySizes(const ModelDesc &model, const std::string &entry, Sizes sizes);

/// Checks that the model has this entry, and that it does not train unless it may; an empty name becomes "forward", or the only entry.
int chooseEntry(const ModelDesc &model, std::string &name, bool mayTrain = false);

/// Splits "a,b,c"; empty parts are dropped.
std::vector<std::string> splitList(const std::string &text, char separator = ',');
/// Whether a list has a comma too many: "1,,2", ",1", "1,".
bool hasEmptyPart(const std::string &text);
/// Refuses numbers below 0.
CLI::Validator notNegative();
/// kUsage, with a text, if an output is one of `inputs`, a shard that one of these names, or another output; empty names are
/// none. To be asked before an output is opened.
int refuseInputs(const std::vector<std::string> &outputs, const std::vector<std::string> &inputs);
/// The same, with the model file among the inputs.
int refuseInputs(const CommonOptions &options, const std::vector<std::string> &outputs, const std::vector<std::string> &inputs);
/// `files` and `more`, and the weights files that the model names: the inputs of what loads these.
std::vector<std::string> withWeightFiles(const CommonOptions &options, const ModelDesc &model, std::vector<std::string> files, const std::vector<std::string> &more);
/// A path written in the model file, seen from the model's folder.
std::string besideModel(const CommonOptions &options, const std::string &path);

size_t dtypeBytes(DType dtype);
/// "[B, T, 512] f32"
std::string typeText(const TensorType &type);
/// "260,032"
std::string groupDigits(int64_t value);
/// "1.0 MB"; decimal units.
std::string byteText(double bytes);
/// "1.23 GFLOP"
std::string flopText(double flops);
/// "B=1, T=256"
std::string sizesText(const Sizes &sizes);

/// One JSON object or array, built in order.
class JsonWriter {
public:
  JsonWriter &open(char bracket);                      ///< '{' or '['
  JsonWriter &close();
  JsonWriter &key(std::string_view name);
  JsonWriter &string(std::string_view value);
  JsonWriter &number(double value, int digits = 6);    ///< significant digits; null if it is not finite
  JsonWriter &integer(int64_t value);
  JsonWriter &boolean(bool value);
  const std::string &text() const { return out; }

private:
  void separate();
  std::string out, brackets;
  bool first = true, afterKey = false;
};

} // namespace weft

#endif // WEFT_TOOLS_COMMON_H

// The state of one reading, shared by the parts of the reader: ReadModel (top level), ReadGraph (nodes, blocks),
// ReadAttributes, Parameters, InitRules, ReadTrain, ReadEntries. Internal to import/.
#ifndef WEFT_IMPORT_MODELREADER_H
#define WEFT_IMPORT_MODELREADER_H

#include "import/DimRange.h"
#include "import/Expression.h"
#include "import/Globs.h"
#include "import/ReadModel.h"
#include "import/ShapeRules.h"

#include <unordered_map>
#include <unordered_set>

namespace weft {

class ModelReader;

/// A type that an earlier error left open; whatever depends on it is not checked.
TensorType unknownType();
bool isKnown(const TensorType &type);
bool isName(std::string_view text);          ///< [A-Za-z_][A-Za-z0-9_]*
bool isParameterName(std::string_view text); ///< dots allowed, as in "feed_forward.0"

/// One level of names: the graph, or one use of a block.
struct Frame : NameSource {
  Frame(ModelReader &reader, Graph &graph) : reader(reader), graph(&graph) {}

  bool find(std::string_view name, Number &value, ExpressionError &error) override;

  ModelReader &reader;
  Graph *graph;
  std::unordered_map<std::string, ValueId> values;
  std::unordered_map<std::string, Position> defined; ///< where each value and node id stands
  std::unordered_map<std::string, Number> locals;    ///< block args and a repeat's index
  std::string scope;                                 ///< prefix of parameter names, indices as "{i}"
  std::string path;                                  ///< prefix of node paths
  const JsonValue *list = nullptr;                   ///< the nodes being read
  bool isTrain = false;
  bool lost = false; ///< an error kept some node from defining its names; unknown ones may be these
};

struct Block {
  std::string name;
  const JsonValue *json = nullptr, *nodes = nullptr;
  std::vector<std::string> in, out;
  std::vector<const JsonMember *> args;
  bool good = false, used = false;
};

/// A repeat that is kept as a loop.
struct Loop {
  std::string index; ///< unique in the nest
  int64_t count = 0;
};

class ModelReader {
public:
  ModelReader(const JsonValue &root, const ReadOptions &options, Diagnostics &diagnostics)
      : root(root), options(options), limits(options.limits), diagnostics(diagnostics), config(diagnostics),
        top(*this, model.graph) {}

  ModelDesc read();

  // ---- helpers (ReadValues.cpp) -------------------------------------------------------------------------------------
  bool error(const JsonValue &at, std::string text, std::string hint = {}, Failure failure = Failure::model);
  bool keyError(const JsonMember &at, std::string text, std::string hint = {});
  /// Only these keys, `doc` (a string) and keys starting with x-. False if `object` is no object.
  bool checkKeys(const JsonValue &object, const std::vector<std::string> &allowed, const std::string &what);
  /// An error about a limit, with the option that raises it.
  bool limitError(const JsonValue &at, std::string text, const char *limit);
  /// A section of the model that could not be read, or whose key is misspelt: what it declares is not known.
  bool isLost(const char *section) const;
  /// An unknown key of the object, already reported, seems to mean `key`.
  bool isMisspelt(const JsonValue &object, const std::string &key) const;
  const JsonValue *require(const JsonValue &object, const char *key, const std::string &what);
  bool readNumber(const JsonValue &value, NameSource &names, Number &number);
  bool readWhole(const JsonValue &value, NameSource &names, int64_t &number);
  bool readReal(const JsonValue &value, NameSource &names, double &number, AttrRange range = AttrRange::any);
  bool readSize(const JsonValue &value, NameSource &names, DimExpr &size);
  bool readBoolean(const JsonValue &value, NameSource &names, bool &truth);
  bool readText(const JsonValue &value, std::string &text);
  bool readWord(const JsonValue &value, const std::vector<std::string> &words, std::string &word);
  bool readTexts(const JsonValue &value, std::vector<std::string> &texts); ///< a string or a list
  bool readGlobs(const JsonValue &value, std::vector<std::string> &globs);
  bool readDtype(const JsonValue &value, DType &dtype, bool onlyFloat = false);
  bool checkDeclaredName(const JsonMember &member, const char *what);
  std::vector<std::string> expressionNames(const Frame *frame) const;

  // ---- top level (ReadModel.cpp) ------------------------------------------------------------------------------------
  void readHead();
  void readConfig();
  void readDims();
  void readPrecision();
  void readInputs(const JsonValue *inputs, std::vector<InputDesc> &list, Frame &frame, const char *what);
  void readStates();
  void readOutputs();
  void checkUnusedInputs(const std::vector<InputDesc> &inputs);
  void warnDeadNodes();

  // ---- graph (ReadGraph.cpp, ReadBlocks.cpp) ------------------------------------------------------------------------
  void readBlocks();
  void checkUnusedBlocks();
  void readNodes(const JsonValue &list, Frame &frame, std::vector<Node> &nodes);
  void readNode(const JsonValue &json, Frame &frame, std::vector<Node> &nodes, ValueId &before);
  bool readOperation(const JsonValue &json, const OpInfo &op, Frame &frame, Node &node, ValueId before,
                     const std::vector<std::string> &names);
  void readCall(const JsonValue &json, Frame &frame, std::vector<Node> &nodes, const std::vector<std::string> &names);
  void readRepeat(const JsonValue &json, Frame &frame, std::vector<Node> &nodes, const std::vector<std::string> &names);
  /// The block with a node of that id, or an empty text.
  std::string blockThatDefines(std::string_view id) const;
  bool checkNodeKeys(const JsonValue &json, const OpInfo *op, const std::string &name);
  void checkHeadKeys(const JsonValue &json);
  void markUsed(const JsonValue &json, const Frame &frame);
  ValueId lookUp(const JsonValue &name, Frame &frame);
  ValueId defineValue(Frame &frame, const std::string &name, const TensorType &type, const Position &pos);
  void bindName(Frame &frame, const std::string &name, ValueId value, const JsonValue &at);
  const ValueDesc &valueOf(const Frame &frame, ValueId id) const { return frame.graph->values[id]; }
  bool checkSizes(const JsonValue &json, const TensorType &type);

  // ---- parameters (Parameters.cpp, InitRules.cpp) -------------------------------------------------------------------
  bool useParameter(const JsonValue &json, const Frame &frame, Node &node, std::string_view role, const Shape &shape,
                    const InitRule &rule, int64_t zeroRow);
  void orderNodesAndParameters(); ///< OrderNodes.cpp
  void readInit();
  void readWeights();

  // ---- train and entries (ReadTrain.cpp, ReadEntries.cpp) -----------------------------------------------------------
  void readTrain();
  void readOptimizer(const JsonValue &json, OptimizerDesc &optimizer);
  void readSchedule(const JsonValue &json, ScheduleDesc &schedule);
  std::vector<std::string> parameterNames() const;
  /// Warns of each glob of `json` that matches none of `names`, which are names of a `what`.
  void warnOfIdle(const JsonValue &json, const char *key, const std::vector<std::string> &globs, const std::vector<std::string> &names, const char *what);
  void readEntries();
  void readEntry(const JsonMember &member);
  void checkEntryNames(const JsonValue &json);
  void addEvaluation(const EntryDesc &train);
  void checkTraining();
  void checkCacheDims(const EntryDesc &entry);
  void readGenerate(const JsonMember &member);

  struct BlockUse {
    const Block *block = nullptr;
    std::vector<ValueId> inputs; ///< in order of block->in
    std::unordered_map<std::string, Number> args;
    bool complete = false;
  };
  bool readBlockUse(const JsonValue &json, Frame &frame, const std::vector<std::string> &taken, BlockUse &use);
  std::vector<ValueId> expandBlock(const BlockUse &use, Frame &inner, std::vector<Node> &nodes, const JsonValue &json);
  void unrollRepeat(const JsonValue &json, Frame &frame, std::vector<Node> &nodes, const BlockUse &use,
                    const std::vector<int32_t> &carry, const std::string &index, const std::string &scope,
                    int64_t count, const std::vector<std::string> &names);
  bool dependsOnIndex(const Block &block, const std::string &index) const;
  bool readScope(const JsonValue &json, const std::string &index, std::string &scope);

  const JsonValue &root;
  const ReadOptions &options;
  const Limits &limits;
  Diagnostics &diagnostics;
  ModelDesc model;
  Config config;
  DimRanges ranges; ///< of dims, and of the indices of open loops
  std::map<std::string, int64_t> hints;
  std::unordered_map<std::string, Block> blocks;
  std::vector<std::string> blockNames;
  std::unordered_map<std::string, int32_t> tensorIndex;
  std::vector<InitRule> tensorRules; ///< by tensor
  std::vector<Loop> loops;
  std::vector<std::string> callStack;
  std::unordered_set<ValueId> usedValues;                   ///< of the top graph
  std::unordered_map<std::string, Position> masksWithCache; ///< state -> attention with a mask
  std::map<std::pair<std::string, std::string>, Position> cacheLayers; ///< state and layer -> attention that keeps it
  std::unordered_map<const JsonValue *, std::vector<std::string>> unknownKeys;
  size_t nodeCount = 0;
  size_t parameterUses = 0;
  bool nodeLimit = false;
  bool lostUses = false; ///< an operand could not be resolved, so an input without a use may be meant there
  std::unordered_set<std::string> usedStates;
  int cycleSearches = 0; ///< each is linear in the number of nodes
  Frame top;
};

} // namespace weft

#endif // WEFT_IMPORT_MODELREADER_H

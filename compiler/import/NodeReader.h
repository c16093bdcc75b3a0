// Reads one node of an ordinary op: the bridge between its JSON and its shape rule. Internal to import/.
// Also the search for a cycle among nodes, for the message about a value that is defined later.
#ifndef WEFT_IMPORT_NODEREADER_H
#define WEFT_IMPORT_NODEREADER_H

#include "import/ModelReader.h"

namespace weft {

class NodeReader : public OpEnvironment {
public:
  NodeReader(ModelReader &reader, const JsonValue &json, const OpInfo &op, Frame &frame, Node &node)
      : reader(reader), json(json), op(op), frame(frame), node(node), call(*this, op) {}

  /// Operands, attributes, shape rule. False after an error.
  bool read(ValueId before);
  const std::vector<TensorType> &results() const { return call.results; }

  bool fail(std::string text, std::string hint) override;
  bool failAt(std::string_view attribute, std::string text, std::string hint) override;
  bool failOperand(int operand, std::string text, std::string hint) override;
  void warn(std::string text) override;
  bool param(std::string_view role, const Shape &shape, const InitRule &rule, int64_t zeroRow) override;
  DType floatType() const override;
  const StateDesc *state(std::string_view name) const override;
  std::optional<int64_t> lowest(const DimExpr &size) const override { return lowestValue(size, reader.ranges); }
  std::optional<int64_t> highest(const DimExpr &size) const override { return highestValue(size, reader.ranges); }
  bool isMultiple(const DimExpr &size, int64_t factor) const override {
    return alwaysMultiple(size, factor, reader.ranges);
  }

private:
  bool readOperands(ValueId before);
  bool setOperand(int index, const JsonValue &name);
  bool checkOperandTypes();
  bool readAttributes();
  bool readAttribute(const AttrInfo &attr, const JsonValue &value);
  bool readDefault(const AttrInfo &attr);
  bool readAxis(const JsonValue *value, int64_t given, int64_t &axis);
  bool readList(const AttrInfo &attr, const JsonValue &value);
  bool readReal(const JsonValue &value, double &real, AttrRange range);
  bool readOffset(const JsonValue &value);
  bool readCache(const JsonValue &value);
  bool checkStateName(const JsonValue &value, std::string &name);
  bool claimLayer(const JsonValue &value, const std::string &state, const DimExpr &layer);
  void warnIgnoredLabel();
  void noteRanges();

  ModelReader &reader;
  const JsonValue &json;
  const OpInfo &op;
  Frame &frame;
  Node &node;
  OpCall call;
  std::vector<const JsonValue *> operandJson; ///< where each operand is written, nullptr if omitted
  bool typesKnown = true;
};

/// "a -> b -> a" if the node that defines `name` needs, directly or not, the node that uses it; else empty. At most ten
/// names.
std::string describeCycle(const JsonValue &definition, const JsonValue &use, const JsonValue &list);

} // namespace weft

#endif // WEFT_IMPORT_NODEREADER_H

// Views are compared by what they read: kind, panel width and the exact parts of the exact tensors of every round.
// That is why a tied parameter is packed once for all its uses of one form.
#include "entry/ViewTable.h"

using namespace mlir;

namespace weft {

// Looking one symbol up goes through all symbols before it.
ParamOp ViewTable::paramOf(Value parameter) {
  auto op = parameter.getDefiningOp<ParameterOp>();
  if (params.empty())
    for (ParamOp param : op->getParentOfType<ModuleOp>().getOps<ParamOp>())
      params[param.getSymNameAttr()] = param;
  return params.lookup(op.getParamAttr().getAttr());
}

ValueRange ViewTable::roundIndices(ArrayRef<ParameterPart> parts) {
  for (const ParameterPart &part : parts)
    if (paramOf(part.parameter).getTensors().size() > 1)
      return part.parameter.getDefiningOp<ParameterOp>().getIndices();
  return {};
}

int ViewTable::addPlain(ArrayRef<ParameterPart> parts) {
  Type element = cast<RankedTensorType>(parts.front().parameter.getType()).getElementType();
  weft_dtype dtype = element.isF64() ? WEFT_F64 : element.isBF16() ? WEFT_BF16 : element.isF16() ? WEFT_F16 : WEFT_F32;
  return add(plain, dtype, parts, 1, 0);
}

int ViewTable::addPanels(ArrayRef<ParameterPart> parts, int64_t k, int64_t nr, weft_dtype dtype) {
  return add(WEFT_VIEW_PANELS, dtype, parts, k, nr);
}

int ViewTable::add(weft_view_kind kind, weft_dtype dtype, ArrayRef<ParameterPart> parts, int64_t k, int64_t nr) {
  size_t rounds = 1;
  for (const ParameterPart &part : parts)
    rounds = std::max(rounds, paramOf(part.parameter).getTensors().size());
  std::string key = std::to_string(kind) + "/" + std::to_string(nr) + "/" + std::to_string(k);
  std::vector<Entry> made;
  for (size_t round = 0; round < rounds; ++round) {
    Entry entry{kind, dtype, k, 0, nr, {}};
    key += std::to_string(dtype) + ":";
    for (const ParameterPart &part : parts) {
      ArrayRef<int32_t> tensors = paramOf(part.parameter).getTensors();
      int32_t tensor = tensors.size() > 1 ? tensors[round] : tensors.front();
      entry.sources.push_back({tensor, part.offset, part.n, part.strideK, part.strideN});
      entry.n += part.n;
      key += ";" + std::to_string(tensor) + "," + std::to_string(part.offset) + "," + std::to_string(part.n) + "," +
             std::to_string(part.strideK) + "," + std::to_string(part.strideN);
    }
    key += "|";
    made.push_back(std::move(entry));
  }
  auto [found, added] = known.try_emplace(key, views.size());
  if (added)
    views.insert(views.end(), made.begin(), made.end());
  return found->second;
}

}  // namespace weft

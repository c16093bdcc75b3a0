// Which parameters training changes, which of them decay, and which nodes are computed again: the globs of `train`, resolved.
#ifndef WEFT_IMPORT_TRAINGROUPS_H
#define WEFT_IMPORT_TRAINGROUPS_H

#include "import/ModelDesc.h"

namespace weft {

/// Tensors that no `freeze` glob matches, in the model's order.
std::vector<int32_t> trainableTensors(const ModelDesc &model);
/// Tensors that a glob of a `grad` entry names; all if it has none.
std::vector<int32_t> differentiatedTensors(const ModelDesc &model, const EntryDesc &entry);
/// Whether weight decay applies: no `no_decay` glob matches and the rank is high enough.
bool isDecayed(const OptimizerDesc &optimizer, const ParamTensor &tensor);
/// Paths of the products and attentions that `keep_f32` names, by their op.
std::vector<std::string> nodesKeptF32(const ModelDesc &model);
/// Paths of all nodes that `recompute` can name: those of the graph, also in blocks.
std::vector<std::string> allNodes(const ModelDesc &model);
/// Paths of the nodes that a glob of `recompute` names.
std::vector<std::string> recomputedNodes(const ModelDesc &model);

} // namespace weft

#endif // WEFT_IMPORT_TRAINGROUPS_H

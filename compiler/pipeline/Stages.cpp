// The table of stages: the one place where their names and order stand.
// --help, the README's table and docs/architecture.md show it.
#include "pipeline/Stages.h"

namespace weft {

const std::vector<StageInfo> &stages() {
  static const std::vector<StageInfo> table = {
      {Stage::import, "import", "spells the model out in weft ops", "weft ops, one function for each entry"},
      {Stage::autodiff, "autodiff", "adds gradients to entries that train or differentiate", "the same, with gradients as results"},
      {Stage::fusion, "fusion", "joins ops into contractions, attention and row kernels", "weft.contract, weft.attention, weft.fused"},
      {Stage::lowering, "lowering", "leaves only kernels and strided views of memory", "kernels, views, parameters, repeats"},
      {Stage::memory, "memory", "gives every value a place in one arena", "the same, with buffers as attributes"},
      {Stage::tiling, "tiling", "writes kernels as loops over tiles, and the entries that launch them", "func, scf, arith, vector"},
      {Stage::target, "target", "lowers to LLVM for each instruction set", "the LLVM dialect"},
      {Stage::emit, "emit", "makes the object and its header", "machine code"},
  };
  return table;
}

std::optional<Stage> stageByName(std::string_view name) {
  for (const StageInfo &info : stages())
    if (info.name == name)
      return info.stage;
  return std::nullopt;
}

}  // namespace weft

// The stages of a compilation, in order: one enum behind --stop-after, --print-ir-after and the documentation's table.
#ifndef WEFT_PIPELINE_STAGES_H
#define WEFT_PIPELINE_STAGES_H

#include <optional>
#include <string_view>
#include <vector>

namespace weft {

enum class Stage { import, autodiff, fusion, lowering, memory, tiling, target, emit };

struct StageInfo {
  Stage stage;
  std::string_view name;      ///< as given to --stop-after
  std::string_view sentence;  ///< what it does
  std::string_view leaves;    ///< what stands in the IR after it
};

/// All stages in pipeline order.
const std::vector<StageInfo> &stages();
std::optional<Stage> stageByName(std::string_view name);

}  // namespace weft

#endif  // WEFT_PIPELINE_STAGES_H

// Unwraps the locations that ImportGraph and the fusion passes write: NameLoc(path, FileLineColLoc), and fusions of such.
// Anything else has no place in the model file.
#include "dialect/Locations.h"

#include "mlir/IR/BuiltinAttributes.h"

using namespace mlir;

namespace weft {

std::string nodePath(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName().str();
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : llvm::reverse(fused.getLocations()))
      if (std::string path = nodePath(part); !path.empty())
        return path;
  return "";
}

FileLineColLoc filePlace(Location loc) {
  if (auto place = dyn_cast<FileLineColLoc>(loc))
    return place;
  if (auto name = dyn_cast<NameLoc>(loc))
    return filePlace(name.getChildLoc());
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (FileLineColLoc place = filePlace(part))
        return place;
  return {};
}

}  // namespace weft

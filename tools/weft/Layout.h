// Where the boxes of a drawn graph go: layers from top to bottom, few crossings, neighbours near each other.
// Pure geometry; knows nothing of models or SVG.
#ifndef WEFT_TOOLS_LAYOUT_H
#define WEFT_TOOLS_LAYOUT_H

#include <utility>
#include <vector>

namespace weft {

struct LayoutBox {
  double width = 0, height = 0;
  double x = 0, y = 0; ///< of the upper left corner; set by layOut
};

struct LayoutEdge {
  int from = 0, to = 0;                          ///< numbers of boxes, from < to
  std::vector<std::pair<double, double>> points; ///< set by layOut: from box to box, around those between
};

struct LayoutSize {
  double width = 0, height = 0;
};

/// Places the boxes of an acyclic graph. Boxes are in an order in which edges go forward.
LayoutSize layOut(std::vector<LayoutBox> &boxes, std::vector<LayoutEdge> &edges);

} // namespace weft

#endif // WEFT_TOOLS_LAYOUT_H

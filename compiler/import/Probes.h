// Looking into a model: an entry that computes the values of chosen nodes, beside the entries that a model has.
// It is a rewrite of the description; the entries that were there compile to the same code as before.
#ifndef WEFT_IMPORT_PROBES_H
#define WEFT_IMPORT_PROBES_H

#include "import/ModelDesc.h"

namespace weft {

struct ProbeFailure {
  std::string text, hint;
};

/// One result of a node as an output of the new entry.
struct ProbedValue {
  std::string output;  ///< "probe.enc[3].attn"; of an attention's map "probe.enc[3].attn.weights"; of further results "probe.split#1"
  std::string node;    ///< as asked for: "enc[3].attn"
  Position pos;        ///< of the node
};

/// Adds an entry that computes all results of the nodes named by `probes`: paths with the round of each repeat, "enc[3].attn",
/// and of attention also its map [B, heads, Tq, Tk]. Sizes are fixed as `entry` fixes them; states are not bound, so that
/// values are those of a call with empty caches. The rounds before a probed one stay a loop; the round itself is written
/// out. Returns the new entry's name, or an empty text with the reason in `failure`. Without `maps` attention gives its
/// results alone.
std::string addProbes(ModelDesc &model, const std::string &entry, const std::vector<std::string> &probes, std::vector<ProbedValue> &values,
                      ProbeFailure &failure, bool maps = true);

}  // namespace weft

#endif  // WEFT_IMPORT_PROBES_H

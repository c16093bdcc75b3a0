// Looking into the backward pass: an entry that gives the gradient which each node passes to each of its operands.
// Like Probes.h it is a rewrite of the description, and the entries that were there stay as they are.
#ifndef WEFT_IMPORT_GRADIENTPROBES_H
#define WEFT_IMPORT_GRADIENTPROBES_H

#include "import/ModelDesc.h"

namespace weft {

/// A node whose rule is looked at. Gradients are outputs of the new entry.
struct GradientProbe {
  struct Gradient {
    std::string output; ///< "grad.NAME"
    std::string of;     ///< "operand 'x'", "parameter 'up.weight'"
    bool isShared;      ///< of a parameter that other nodes have too: their gradients are in it
  };
  std::string path; ///< "enc[3].attn"
  Position pos;
  int64_t nodes = 1; ///< more for a repeat: those of all its rounds, written out
  bool isRepeat = false;
  std::vector<Gradient> gradients; ///< of float operands that depend on a parameter or input in question, and of such parameters
};

/// All gradients of a model at once may be many times what a training keeps: some nodes at a time, the last ones first, as the
/// backward pass goes.
struct GradientPiece {
  std::map<std::string, int64_t> sizes; ///< of the dims
  int64_t bytes = 0;                    ///< of the piece's gradients at most, or those of a single node
  size_t end = SIZE_MAX;                ///< nodes before it are left; becomes that of the next piece, 0 after the last one
};

/// Adds an entry of mode `grad` for the probes of a piece of the graph's nodes in order of execution, then those of `train`.
/// With `writtenOut`, paths of repeats from the outside in ("enc", "enc[3].inner"), rounds of these stand in the graph, and only
/// the nodes of the last one are probed. In question is what `entry`, of mode train or grad, has gradients of. Returns the
/// entry's name. Its inputs beyond those of `entry` are optional and are to be left out.
std::string addGradientProbes(ModelDesc &model, const std::string &entry, const std::vector<std::string> &writtenOut, GradientPiece &piece,
                              std::vector<GradientProbe> &probes);

} // namespace weft

#endif // WEFT_IMPORT_GRADIENTPROBES_H

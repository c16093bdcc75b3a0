// Rounds of a repeat written out: the body as nodes of the graph around it, with the index replaced by a number.
// What probes of values and of gradients look into.
#ifndef WEFT_IMPORT_ROUNDS_H
#define WEFT_IMPORT_ROUNDS_H

#include "import/ModelDesc.h"

namespace weft {

/// Replaces dims and indices in all sizes among the attributes.
void substituteSizes(std::map<std::string, AttrValue> &attrs, const std::map<std::string, DimExpr> &names);

/// A copy with its body.
Node cloneNode(const Node &node);

/// The repeat's rounds [first, first + rounds) alone, with the same operands and results.
Node someRounds(const Node &repeat, int64_t first, int64_t rounds);

/// Appends the body of one round of `repeat` to `nodes`, whose values are those of `graph`. `given`: the values of the body's
/// inputs. Paths become "enc[3].attn". Returns the values of the body's outputs. `repeat` is no element of `nodes`.
std::vector<ValueId> writeOutRound(Graph &graph, const Node &repeat, int64_t round, const std::vector<ValueId> &given, std::vector<Node> &nodes);

/// `path` without the beginning `outer`, if it has it.
std::string pathWithin(const std::string &path, const std::string &outer);

} // namespace weft

#endif // WEFT_IMPORT_ROUNDS_H

// The shapes are those of the model, before an entry fixes dims: a step that takes one position still grows along T.
#include "import/CacheDims.h"

namespace weft {
namespace {

void collect(const Graph &graph, const std::vector<Node> &nodes, const std::string &state, std::vector<CachedKeys> &keys) {
  for (const Node &node : nodes) {
    if (auto cache = node.attrs.find("cache_state"); cache != node.attrs.end() && std::get<std::string>(cache->second) == state) {
      // mha: x, or q, k, v of its own.
      const ValueId k = node.op == "attention" ? node.operands[1] : node.operands[0] == kNoValue ? node.operands[2] : node.operands[0];
      keys.push_back({&node, graph.values[size_t(k)].type.shape});
    }
    if (node.body)
      collect(*node.body, node.body->nodes, state, keys);
  }
}

} // namespace

std::vector<CachedKeys> cachedKeys(const ModelDesc &model, const std::string &state) {
  std::vector<CachedKeys> keys;
  collect(model.graph, model.graph.nodes, state, keys);
  return keys;
}

CacheDims cacheDims(const ModelDesc &model, const EntryDesc &entry) {
  for (int32_t state : entry.states)
    for (const CachedKeys &keys : cachedKeys(model, model.states[size_t(state)].name))
      return {keys.shape[0].name().value_or(""), keys.shape[1].name().value_or("")};
  return {};
}

} // namespace weft

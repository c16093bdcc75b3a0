// Words of PyTorch, NumPy, ONNX and Keras for what has another name here: what a port from there types first.
// A spelling that is near enough to the right word (num_heads, keepdims) is found without being listed.
#include "import/Diagnostics.h"

#include <algorithm>
#include <iterator>

namespace weft {
namespace {

struct Foreign {
  std::string_view word; ///< lower case, without underscores
  const char *meant[2];  ///< the likelier first
};

constexpr Foreign kForeign[] = {
    {"amax", {"max"}},
    {"amin", {"min"}},
    {"approximate", {"activation"}},
    {"arange", {"iota"}},
    {"astype", {"cast"}},
    {"attnmask", {"mask", "bias"}},
    {"avgpool", {"mean_pool"}},
    {"axes", {"axis", "perm"}},
    {"bcewithlogitsloss", {"bce_with_logits"}},
    {"bmm", {"matmul"}},
    {"broadcastto", {"expand"}},
    {"cat", {"concat"}},
    {"celoss", {"cross_entropy"}},
    {"chunk", {"split"}},
    {"clip", {"clamp"}},
    {"clipnorm", {"clip_grad_norm"}},
    {"crossentropyloss", {"cross_entropy"}},
    {"dense", {"linear"}},
    {"dim", {"axis"}},
    {"dims", {"axis", "perm"}},
    {"divide", {"div"}},
    {"dot", {"matmul"}},
    {"dropoutp", {"dropout", "p"}},
    {"embeddim", {"features"}},
    {"embeddingdim", {"features"}},
    {"eos", {"stop"}},
    {"eostoken", {"stop"}},
    {"eq", {"equal"}},
    {"fc", {"linear"}},
    {"for", {"repeat"}},
    {"full", {"constant"}},
    {"fullyconnected", {"linear"}},
    {"function", {"call"}},
    {"functions", {"entries"}},
    {"gaussian", {"normal"}},
    {"ge", {"greater_equal"}},
    {"gemm", {"linear", "matmul"}},
    {"globalaveragepooling1d", {"mean_pool"}},
    {"greaterorequal", {"greater_equal"}},
    {"gt", {"greater"}},
    {"hiddensize", {"features"}},
    {"indexselect", {"gather"}},
    {"indices", {"index", "ids"}},
    {"keypaddingmask", {"key_mask"}},
    {"kldivergence", {"kl_div"}},
    {"layernormalization", {"layer_norm"}},
    {"le", {"less_equal"}},
    {"learningrate", {"lr"}},
    {"lessorequal", {"less_equal"}},
    {"loop", {"repeat"}},
    {"lt", {"less"}},
    {"mm", {"matmul"}},
    {"module", {"call"}},
    {"movedim", {"transpose"}},
    {"mseloss", {"mse"}},
    {"multiheadattention", {"mha"}},
    {"multiply", {"mul"}},
    {"narrow", {"slice"}},
    {"ne", {"not_equal"}},
    {"negativeslope", {"slope"}},
    {"nllloss", {"cross_entropy"}},
    {"nodes", {"graph"}},
    {"norm", {"layer_norm", "rms_norm"}},
    {"nucleus", {"top_p"}},
    {"numembeddings", {"rows"}},
    {"permutation", {"perm"}},
    {"permute", {"transpose"}},
    {"positionalembedding", {"position_embedding"}},
    {"positionalencoding", {"position_embedding"}},
    {"power", {"pow"}},
    {"prefix", {"scope"}},
    {"prob", {"p"}},
    {"range", {"iota"}},
    {"rate", {"p"}},
    {"ratio", {"p"}},
    {"reducemax", {"max"}},
    {"reducemean", {"mean"}},
    {"reducemin", {"min"}},
    {"reducesum", {"sum"}},
    {"repeats", {"count"}},
    {"rotary", {"rope"}},
    {"rotaryembedding", {"rope"}},
    {"scaleddotproductattention", {"attention"}},
    {"scan", {"repeat"}},
    {"sdpa", {"attention"}},
    {"selfattention", {"mha", "attention"}},
    {"sequential", {"call"}},
    {"smoothl1", {"huber"}},
    {"smoothl1loss", {"huber"}},
    {"std", {"var"}},
    {"stddev", {"std"}},
    {"subtract", {"sub"}},
    {"swapaxes", {"transpose"}},
    {"swish", {"silu"}},
    {"take", {"gather"}},
    {"takealongaxis", {"gather"}},
    {"target", {"labels"}},
    {"targets", {"labels"}},
    {"times", {"count"}},
    {"to", {"cast"}},
    {"type", {"dtype"}},
    {"units", {"features"}},
    {"view", {"reshape"}},
    {"vocabsize", {"rows"}},
    {"wd", {"weight_decay"}},
    {"while", {"repeat"}},
};

} // namespace

std::vector<std::string> foreignWord(std::string_view plain, const std::vector<std::string> &candidates) {
  const Foreign *found = std::lower_bound(std::begin(kForeign), std::end(kForeign), plain,
                                          [](const Foreign &entry, std::string_view word) { return entry.word < word; });
  std::vector<std::string> meant;
  if (found != std::end(kForeign) && found->word == plain)
    for (const char *word : found->meant)
      if (word && std::find(candidates.begin(), candidates.end(), word) != candidates.end())
        meant.push_back(word);
  return meant;
}

} // namespace weft

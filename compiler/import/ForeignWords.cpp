// Words of PyTorch, NumPy, ONNX and Keras for what has another name here: what a port from there types first; and the sections
// that keys of the format stand in. A spelling that is near enough to the right word (num_heads, keepdims) is found without being listed.
#include "import/Diagnostics.h"

#include <algorithm>
#include <iterator>

namespace weft {
namespace {

struct Foreign {
  std::string_view word; ///< lower case, without underscores
  const char *meant[3];  ///< the likelier first
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
    {"boolean", {"bool"}},
    {"broadcastto", {"expand"}},
    {"byte", {"u8"}},
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
    {"double", {"f64"}},
    {"dropoutp", {"dropout", "p"}},
    {"embeddim", {"features"}},
    {"embeddingdim", {"features"}},
    {"eos", {"stop"}},
    {"eostoken", {"stop"}},
    {"eq", {"equal"}},
    {"etamin", {"min_lr_ratio"}},
    {"fc", {"linear"}},
    {"float", {"f32"}},
    {"for", {"repeat"}},
    {"full", {"constant"}},
    {"fullyconnected", {"linear"}},
    {"function", {"call"}},
    {"functions", {"entries"}},
    {"gaussian", {"normal"}},
    {"ge", {"greater_equal"}},
    {"gemm", {"linear", "matmul"}},
    {"globalaveragepooling1d", {"mean_pool"}},
    {"gradclip", {"clip_grad_norm"}},
    {"gradientclipping", {"clip_grad_norm"}},
    {"greaterorequal", {"greater_equal"}},
    {"gt", {"greater"}},
    {"half", {"f16"}},
    {"hiddensize", {"features"}},
    {"idx", {"index"}},
    {"indexselect", {"gather"}},
    {"indices", {"index", "ids"}},
    {"input", {"prediction", "x", "logits"}},
    {"int", {"i32"}},
    {"key", {"k"}},
    {"keypaddingmask", {"key_mask"}},
    {"keys", {"k"}},
    {"kldivergence", {"kl_div"}},
    {"label", {"labels", "target"}},
    {"labels", {"target"}},
    {"layernormalization", {"layer_norm"}},
    {"le", {"less_equal"}},
    {"learningrate", {"lr"}},
    {"lessorequal", {"less_equal"}},
    {"long", {"i64"}},
    {"loop", {"repeat"}},
    {"lrelu", {"leaky_relu"}},
    {"lt", {"less"}},
    {"maxgradnorm", {"clip_grad_norm"}},
    {"maxnorm", {"clip_grad_norm"}},
    {"maxsteps", {"total_steps"}},
    {"mm", {"matmul"}},
    {"module", {"call"}},
    {"movedim", {"transpose"}},
    {"mseloss", {"mse"}},
    {"multiheadattention", {"mha"}},
    {"multiply", {"mul"}},
    {"name", {"id", "kind"}},
    {"narrow", {"slice"}},
    {"ne", {"not_equal"}},
    {"negativeslope", {"slope"}},
    {"nllloss", {"cross_entropy"}},
    {"nodes", {"graph"}},
    {"norm", {"layer_norm", "rms_norm"}},
    {"nucleus", {"top_p"}},
    {"numembeddings", {"rows"}},
    {"numtrainingsteps", {"total_steps"}},
    {"optype", {"op"}},
    {"output", {"prediction", "logits"}},
    {"permutation", {"perm"}},
    {"permute", {"transpose"}},
    {"positionalembedding", {"position_embedding"}},
    {"positionalencoding", {"position_embedding"}},
    {"power", {"pow"}},
    {"pred", {"prediction", "logits"}},
    {"preds", {"prediction", "logits"}},
    {"prefix", {"scope"}},
    {"prob", {"p"}},
    {"queries", {"q"}},
    {"query", {"q"}},
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
    {"tmax", {"total_steps"}},
    {"to", {"cast"}},
    {"truncatednormal", {"trunc_normal"}},
    {"type", {"kind", "dtype", "op"}},
    {"units", {"features"}},
    {"value", {"v"}},
    {"values", {"v"}},
    {"view", {"reshape"}},
    {"vocabsize", {"rows"}},
    {"wd", {"weight_decay"}},
    {"while", {"repeat"}},
    {"ypred", {"prediction", "logits"}},
    {"ytrue", {"target", "labels"}},
};

struct Section {
  const char *name;
  std::string_view keys[8];
};

const Section kSections[] = {
    {"train", {"optimizer", "schedule", "loss", "clip_grad_norm", "freeze", "recompute", "loss_scale"}},
    {"train/optimizer", {"lr", "momentum", "nesterov", "betas", "weight_decay", "no_decay"}},
    {"train/schedule", {"warmup_steps", "total_steps", "min_lr_ratio", "decay_steps", "step_size"}},
    {"weights", {"file", "map", "transpose", "missing"}},
    {"precision", {"compute", "keep_f32"}},
};

} // namespace

std::string sectionOf(std::string_view key) {
  for (const Section &section : kSections)
    if (!key.empty() && std::find(std::begin(section.keys), std::end(section.keys), key) != std::end(section.keys))
      return section.name;
  return "";
}

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

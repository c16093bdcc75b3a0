// What a batch counts in a mean over several batches: `accumulate`, and evaluation over a data set.
#ifndef WEFT_IMPORT_BATCHWEIGHT_H
#define WEFT_IMPORT_BATCHWEIGHT_H

#include "import/ModelDesc.h"

namespace weft {

struct BatchWeight {
  /// The cross entropy whose labels (not ignored, weighted by class) are what a batch counts; null: its samples are. The
  /// loss is a · (mean over these labels) + b, where a and b are the same for every batch.
  const Node *counted = nullptr;
  /// A cross entropy whose labels may be ignored or weighted, of a loss that is no such thing: batches count by their samples,
  /// so means over several differ from those over one large batch. Null if there is none.
  const Node *uncounted = nullptr;
};

/// Of a model without training: neither.
BatchWeight batchWeight(const ModelDesc &model);

} // namespace weft

#endif // WEFT_IMPORT_BATCHWEIGHT_H

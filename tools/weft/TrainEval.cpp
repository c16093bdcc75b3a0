// The mean over batches is weighted by what each counts, so that it is the mean over the data set whatever the batch.
// The samples of the last, smaller batch count too.
#include "TrainEval.h"

#include "Signals.h"
#include "Weights.h"

#include <algorithm>

namespace weft {

int Evaluator::open(const TrainInputs &inputs, const std::string &file, TrainSizes sizes, int64_t wanted) {
  if (inputs.batchDim < 0)
    return fail(kInvalid, "expected all inputs of entry " + quote(inputs.entry) + " to have the same dim as their first axis for --eval");
  if (int code = data.open(inputs, {file}, false, sizes))
    return code;
  const weft_dim_desc &dim = inputs.desc->dim[inputs.batchDim];
  order.shuffle = false;
  order.batch = std::min(wanted, data.count());
  order.batch -= order.batch % std::max<int64_t>(1, dim.multiple_of);
  if (order.batch < std::max<int64_t>(1, dim.min))
    return fail(kInvalid, "expected at least " + std::to_string(dim.min) + " samples in " + quote(file) + " but got " + std::to_string(data.count()));
  order.perEpoch = data.count() / order.batch;
  last = data.count() % order.batch;
  if (last < dim.min || (dim.multiple_of > 1 && last % dim.multiple_of != 0))
    last = 0;
  return kOk;
}

int Evaluator::run(weft_trainer *trainer, Evaluation &result) {
  double sum = 0, weights = 0;
  int64_t correct = 0, labels = 0;
  const int64_t used = order.perEpoch * order.batch + last;
  for (int64_t first = 0; first < used && !caughtInterrupt(); first += order.batch) {
    std::vector<int64_t> chosen;
    for (int64_t i = first; i < std::min(first + order.batch, used); ++i)
      chosen.push_back(i);
    data.fill(batch, chosen, 0);
    weft_evaluation part;
    if (weft_status status = weft_trainer_eval(trainer, batch.dims.data(), batch.pointers.data(), &part))
      return fail(exitCodeOf(status), weft_trainer_error(trainer));
    if (part.weight > 0)
      sum += part.loss * part.weight;
    weights += part.weight;
    correct += std::max<int64_t>(0, part.correct);
    labels += std::max<int64_t>(0, part.labels);
  }
  result.loss = weights > 0 ? sum / weights : 0;
  if (labels > 0)
    result.accuracy = double(correct) / double(labels);
  return kOk;
}

} // namespace weft

// The loss of a trainer's parameters over a data set and, where the loss is a cross entropy, the share of labels whose
// class has the largest logit.
#ifndef WEFT_TOOLS_TRAINEVAL_H
#define WEFT_TOOLS_TRAINEVAL_H

#include "TrainFeed.h"
#include "TrainReport.h"

namespace weft {

class Evaluator {
public:
  /// Opens the data set; sizes may differ from those of training, except where the command line fixes them.
  int open(const TrainInputs &inputs, const std::string &file, TrainSizes sizes, int64_t batch);
  std::vector<int64_t> maxDims() const { return data.maxDims(order.batch); }
  /// Ends early when the process is to stop; the result is then not whole.
  int run(weft_trainer *trainer, Evaluation &result);

private:
  DataSet data;
  TrainOrder order;
  int64_t last = 0; ///< samples of the last, smaller batch; 0: there is none
  Batch batch;
};

} // namespace weft

#endif // WEFT_TOOLS_TRAINEVAL_H

// The order in which training sees the samples, and the thread that has the next batches ready.
// Batch number b is a pure function of the order, so training goes on anywhere.
#ifndef WEFT_TOOLS_TRAINFEED_H
#define WEFT_TOOLS_TRAINFEED_H

#include "TrainData.h"

#include "weft/train.h"

#include <condition_variable>
#include <mutex>
#include <thread>

namespace weft {

struct TrainOrder {
  uint64_t seed = 0;
  bool shuffle = true;
  int64_t batch = 1;     ///< samples of a batch; of whole batches: 1
  int64_t perEpoch = 1;  ///< batches of an epoch; the samples that fill no batch are left out of it
};

/// The samples of batch `number`, in their order; of a stream its windows.
std::vector<int64_t> samplesOf(const DataSet &data, const TrainOrder &order, uint64_t number);
/// Copies batch number `number` of the order.
void fillBatch(const DataSet &data, const TrainOrder &order, uint64_t number, Batch &batch);

class TrainFeed {
public:
  /// Batches first, first + 1, … end - 1.
  TrainFeed(const DataSet &data, const TrainOrder &order, uint64_t first, uint64_t end);
  TrainFeed(const TrainFeed &) = delete;
  ~TrainFeed();

  /// The next batch, valid until the next call.
  const Batch &next();

private:
  static constexpr uint64_t kReady = 4; ///< batches kept: one in use, the others ready or being filled

  const DataSet &data;
  const TrainOrder order;
  const uint64_t end;
  Batch ring[kReady];
  uint64_t filled, taken; ///< numbers of the next batch to fill and to hand out
  bool inUse = false, stopped = false;
  std::mutex mutex;
  std::condition_variable changed;
  std::thread thread;

  void work();
};

} // namespace weft

#endif // WEFT_TOOLS_TRAINFEED_H

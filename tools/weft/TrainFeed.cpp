// The order uses weft_shuffle, the permutation that applications use too: both see the same batches for the same seed.
// A batch that was handed out keeps its place in the ring until the next one is asked for.
#include "TrainFeed.h"

namespace weft {

std::vector<int64_t> samplesOf(const DataSet &data, const TrainOrder &order, uint64_t number) {
  const uint64_t epoch = number / uint64_t(order.perEpoch);
  const int64_t first = int64_t(number % uint64_t(order.perEpoch)) * order.batch;
  std::vector<int64_t> chosen;
  chosen.reserve(size_t(order.batch));
  for (int64_t i = first; i < first + order.batch; ++i)
    chosen.push_back(order.shuffle ? weft_shuffle(order.seed, epoch, data.count(), i) : i);
  return chosen;
}

void fillBatch(const DataSet &data, const TrainOrder &order, uint64_t number, Batch &batch) {
  const uint64_t epoch = number / uint64_t(order.perEpoch);
  // Windows of a stream begin elsewhere in each epoch, so that what one of them cuts apart is whole in another.
  const int64_t shift = data.streamSlack() > 0 ? weft_shuffle(order.seed, epoch, data.streamSlack() + 1, 0) : 0;
  data.fill(batch, samplesOf(data, order, number), shift);
}

TrainFeed::TrainFeed(const DataSet &set, const TrainOrder &how, uint64_t first, uint64_t last)
    : data(set), order(how), end(last), filled(first), taken(first), thread([this] { work(); }) {}

TrainFeed::~TrainFeed() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    stopped = true;
  }
  changed.notify_all();
  thread.join();
}

const Batch &TrainFeed::next() {
  std::unique_lock<std::mutex> lock(mutex);
  inUse = false;
  changed.notify_all();
  changed.wait(lock, [this] { return filled > taken; });
  inUse = true;
  return ring[taken++ % kReady];
}

void TrainFeed::work() {
  std::unique_lock<std::mutex> lock(mutex);
  while (filled < end) {
    changed.wait(lock, [this] { return stopped || filled - taken + (inUse ? 1 : 0) < kReady; });
    if (stopped)
      return;
    lock.unlock();
    fillBatch(data, order, filled, ring[filled % kReady]);
    lock.lock();
    ++filled;
    changed.notify_all();
  }
}

} // namespace weft

// What a training shows while it runs: a line that is rewritten on a terminal, else a line now and then; and the log,
// one JSON object a step.
#ifndef WEFT_TOOLS_TRAINREPORT_H
#define WEFT_TOOLS_TRAINREPORT_H

#include "Common.h"

#include "weft/train.h"

#include <cstdio>

namespace weft {

/// Loss and, where the loss is a cross entropy, accuracy over a whole data set.
struct Evaluation {
  double loss = 0;
  std::optional<double> accuracy;
};

/// Updates that were made or left out: what --steps counts, and every step that is printed or logged.
uint64_t attempts(const weft_metrics &metrics);

class TrainReport {
public:
  TrainReport() = default;
  TrainReport(const TrainReport &) = delete;
  ~TrainReport();

  /// `logPath` empty: no log. A log is continued after the lines of the first `done` steps. kOk or kFile.
  int open(const CommonOptions &options, const std::string &logPath, bool continues, uint64_t done, uint64_t total);
  /// Time counts from here.
  void start(const weft_metrics &metrics);
  /// After a step, with what was evaluated after it: one line of the log, unless the update was skipped
  /// and nothing evaluated.
  void step(const weft_metrics &metrics, double epoch, const std::optional<Evaluation> &evaluation);
  void evaluation(uint64_t step, const Evaluation &result);
  /// Ends the line on the terminal, so that other lines may follow.
  void breakLine();
  bool logFailed() const { return failed; }

  /// Batches and updates since the start.
  uint64_t batches() const { return last.batches - first.batches; }
  uint64_t updates() const { return last.step - first.step; }
  double seconds() const;
  double tokensPerSecond() const;
  /// "41,200 tokens/s", or samples when a sample is one token.
  std::string rateText(double rate) const;

private:
  bool quiet = false, terminal = false, lineOpen = false, failed = false;
  std::FILE *log = nullptr;
  uint64_t total = 0;
  double began = 0, shown = 0, recentTime = 0, recentRate = 0;
  weft_metrics first = {}, last = {}, recent = {};

  double rateNow() const { return recentRate > 0 ? recentRate : tokensPerSecond(); }
  void write(const std::string &line);
  void show(const weft_metrics &metrics);
};

} // namespace weft

#endif // WEFT_TOOLS_TRAINREPORT_H

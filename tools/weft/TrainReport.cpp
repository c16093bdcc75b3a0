// Rates are those of the last half second at least, so that they follow changes and do not flicker.
// A continued log loses the lines after the checkpoint, which are about to be written again.
#include "TrainReport.h"

#include "Runner.h"

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace weft {

namespace {

/// Where the first line lies that is cut or belongs to a step after `done`.
off_t keptBytes(int fd, uint64_t done) {
  std::FILE *file = fdopen(dup(fd), "r");
  if (!file)
    return 0;
  off_t kept = 0;
  char *line = nullptr;
  size_t room = 0;
  for (ssize_t length; (length = getline(&line, &room, file)) > 0; kept += length) {
    unsigned long long step = 0;
    if (line[length - 1] != '\n' || std::sscanf(line, "{\"step\": %llu", &step) != 1 || step > done)
      break;
  }
  std::free(line);
  std::fclose(file);
  return kept;
}

std::string numberText(double value, const char *format = "%.4g") {
  char text[40];
  std::snprintf(text, sizeof(text), format, value);
  return text;
}

std::string timeText(double seconds) {
  auto whole = int64_t(std::min(seconds, 1e9) + 0.5);
  char text[40];
  if (whole >= 3600)
    std::snprintf(text, sizeof(text), "%lld:%02lld:%02lld", (long long)(whole / 3600), (long long)(whole / 60 % 60), (long long)(whole % 60));
  else
    std::snprintf(text, sizeof(text), "%lld:%02lld", (long long)(whole / 60), (long long)(whole % 60));
  return text;
}

} // namespace

uint64_t attempts(const weft_metrics &metrics) { return metrics.step + metrics.skipped; }

TrainReport::~TrainReport() {
  breakLine();
  if (log)
    std::fclose(log);
}

int TrainReport::open(const CommonOptions &options, const std::string &logPath, bool continues, uint64_t done, uint64_t steps) {
  quiet = options.quiet;
  terminal = isatty(2) && !std::getenv("NO_COLOR");
  total = steps;
  if (logPath.empty())
    return kOk;
  int fd = ::open(logPath.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0)
    return fail(kFile, "can't write " + quote(logPath) + ": " + std::strerror(errno));
  off_t kept = continues ? keptBytes(fd, done) : 0;
  if ((ftruncate(fd, kept) != 0 && errno != EINVAL) || (lseek(fd, kept, SEEK_SET) < 0 && errno != ESPIPE) || !(log = fdopen(fd, "w"))) {
    std::string text = std::strerror(errno);
    close(fd);
    return fail(kFile, "can't write " + quote(logPath) + ": " + text);
  }
  return kOk;
}

void TrainReport::start(const weft_metrics &metrics) {
  began = recentTime = millisecondsNow();
  shown = began - 1e9;
  first = recent = last = metrics;
}

void TrainReport::write(const std::string &line) {
  if (log && !failed && (std::fputs((line + "\n").c_str(), log) < 0 || std::fflush(log) != 0))
    failed = true;
}

double TrainReport::seconds() const { return (millisecondsNow() - began) / 1000; }

double TrainReport::tokensPerSecond() const {
  double time = seconds();
  return time > 0 ? double(last.tokens - first.tokens) / time : 0;
}

std::string TrainReport::rateText(double rate) const {
  const bool isSamples = last.tokens - first.tokens == last.samples - first.samples;
  return groupDigits(int64_t(rate)) + (isSamples ? " samples/s" : " tokens/s");
}

void TrainReport::step(const weft_metrics &metrics, double epoch, const std::optional<Evaluation> &evaluated) {
  const double now = millisecondsNow();
  last = metrics;
  if (now - recentTime >= 500) {
    recentRate = double(metrics.tokens - recent.tokens) / (now - recentTime) * 1000;
    recentTime = now;
    recent = metrics;
  }
  if (log && (metrics.updated || evaluated)) {
    JsonWriter json;
    json.open('{').key("step").integer(int64_t(attempts(metrics)));
    if (metrics.updated)
      json.key("loss").number(metrics.loss, 9).key("grad_norm").number(metrics.grad_norm, 9);
    json.key("lr").number(metrics.lr, 9).key("epoch").number(epoch).key("samples").integer(int64_t(metrics.samples)).key("tokens").integer(int64_t(metrics.tokens));
    json.key("tokens_per_s").number(rateNow()).key("seconds").number((now - began) / 1000).key("skipped").integer(int64_t(metrics.skipped));
    if (metrics.loss_scale != 1)
      json.key("loss_scale").number(metrics.loss_scale);
    if (evaluated) {
      json.key("eval_loss").number(evaluated->loss, 9);
      if (evaluated->accuracy)
        json.key("eval_accuracy").number(*evaluated->accuracy, 9);
    }
    write(json.close().text());
  }
  if (quiet)
    return;
  const uint64_t interval = std::max<uint64_t>(1, total / 20);
  const bool due = terminal ? now - shown >= 100 : attempts(metrics) % interval == 0 || now - shown >= 30000;
  if (due || attempts(metrics) == total) {
    shown = now;
    show(metrics);
  }
  if (evaluated)
    evaluation(attempts(metrics), *evaluated);
}

void TrainReport::show(const weft_metrics &metrics) {
  const double perStep = (millisecondsNow() - began) / 1000 / double(std::max<uint64_t>(1, metrics.batches - first.batches));
  const double perUpdate = double(metrics.batches) / double(std::max<uint64_t>(1, attempts(metrics)));
  std::string line = "step " + groupDigits(int64_t(attempts(metrics))) + "/" + groupDigits(int64_t(total));
  line += metrics.updated ? "  loss " + numberText(metrics.loss, "%.5g") + "  norm " + numberText(metrics.grad_norm) + "  lr " + numberText(metrics.lr) : "  not finite, left out";
  line += "  " + rateText(rateNow());
  if (metrics.loss_scale != 1)
    line += "  scale " + groupDigits(int64_t(metrics.loss_scale));
  if (metrics.skipped)
    line += "  skipped " + groupDigits(int64_t(metrics.skipped));
  line += "  " + timeText(perStep * perUpdate * double(total - std::min(total, attempts(metrics)))) + " left";
  std::fprintf(stderr, terminal ? "\r%s\033[K" : "%s\n", line.c_str());
  lineOpen = terminal;
}

void TrainReport::evaluation(uint64_t step, const Evaluation &result) {
  if (quiet)
    return;
  breakLine();
  std::string line = "step " + groupDigits(int64_t(step)) + "  eval loss " + numberText(result.loss, "%.5g");
  if (result.accuracy)
    line += "  accuracy " + numberText(100 * *result.accuracy, "%.2f") + " %";
  std::fprintf(stderr, "%s\n", line.c_str());
}

void TrainReport::breakLine() {
  if (lineOpen)
    std::fputc('\n', stderr);
  lineOpen = false;
}

} // namespace weft

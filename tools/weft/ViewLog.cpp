// `weft view log`: curves of training logs, one JSON object a line as `weft train --log` writes them. Several logs share the axes.
// Every number field is a curve of its own panel; the loss comes first and is also drawn smoothed.
#include "View.h"

#include "import/ReadJson.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>

namespace weft {

namespace {

struct LogOptions {
  std::vector<std::string> files, fields;
  std::string output = "log.svg", title;
  bool logScale = false;
};

using Curve = std::vector<std::pair<double, double>>; ///< step and value; a value that is no number ends a stretch
struct Log {
  std::string file;
  std::vector<std::string> fields; ///< in the order of their first appearance
  std::map<std::string, Curve> curves;
};

int readLine(const std::string &file, const std::string &text, int64_t line, double &last, Log &log) {
  auto wrong = [&](const std::string &why, uint32_t column = 1) {
    std::fprintf(stderr, "%s:%lld:%u: error: %s\n", escapeText(file).c_str(), static_cast<long long>(line), column, why.c_str());
    return int(kInvalid);
  };
  Limits limits;
  Diagnostics diagnostics;
  SourceText source;
  source.text = text;
  std::optional<JsonDocument> document = readJson(source, limits, diagnostics);
  if (!document) {
    Diagnostic first = diagnostics.sorted().front();
    return wrong(first.text, first.pos.column);
  }
  const JsonValue *step = document->root()->isObject() ? document->root()->find("step") : nullptr;
  std::optional<double> at = step ? step->real() : std::nullopt;
  if (!at)
    return wrong(document->root()->isObject() ? "expected a number 'step'" : "expected an object but got " + document->root()->describe());
  if (!(*at > last) && line > 1)
    return wrong("expected a step above " + tickText(last) + " but got " + step->text, step->column);
  last = *at;
  for (const JsonMember &member : document->root()->members) {
    // Differences of larger numbers could overflow.
    std::optional<double> number = member.value->real();
    bool isGap = member.value->kind == JsonValue::Kind::null || (number && std::fabs(*number) > 1e300);
    if (member.key == "step" || (!member.value->isNumber() && !isGap))
      continue;
    if (!log.curves.count(member.key))
      log.fields.push_back(member.key);
    log.curves[member.key].emplace_back(*at, isGap ? NAN : *number);
  }
  return kOk;
}

int readLog(const std::string &file, Log &log) {
  log.file = file;
  std::ifstream in(file, std::ios::binary);
  std::string text;
  int64_t line = 0;
  double last = 0;
  while (std::getline(in, text)) {
    ++line;
    if (text.find_first_not_of(" \t\r") == std::string::npos)
      continue;
    if (in.eof() && text.back() != '}') {
      std::fprintf(stderr, "%s:%lld: warning: the last line is not whole and is left out: it was cut, or is being written\n", escapeText(file).c_str(), (long long)line);
      break;
    }
    if (text.size() > (1 << 20))
      return fail(kLimit, quote(file) + ": line " + std::to_string(line) + " is longer than 1 MiB");
    if (int code = readLine(file, text, line, last, log))
      return code;
  }
  if (!in.is_open() || in.bad())
    return fail(kFile, "can't read " + quote(file) + ": " + std::strerror(errno));
  return log.curves.empty() ? fail(kInvalid, quote(file) + ": expected lines with 'step' and numbers but got none") : int(kOk);
}

/// Means of about a fiftieth of the points around each.
Curve smooth(const Curve &curve) {
  size_t reach = std::max<size_t>(1, curve.size() / 100);
  std::vector<double> sums(1, 0), counts(1, 0);
  for (auto [step, value] : curve) {
    sums.push_back(sums.back() + (std::isfinite(value) ? value : 0));
    counts.push_back(counts.back() + (std::isfinite(value) ? 1 : 0));
  }
  Curve result;
  for (size_t i = 0; i < curve.size(); ++i) {
    size_t first = i - std::min(i, reach), end = std::min(curve.size(), i + reach + 1);
    double count = counts[end] - counts[first];
    result.emplace_back(curve[i].first, count > 0 ? (sums[end] - sums[first]) / count : NAN);
  }
  return result;
}

/// Steps and values to places.
struct Frame {
  double left, top, width, height, firstStep, lastStep, low, high;
  bool logarithmic;
  double x(double step) const { return left + width * (lastStep > firstStep ? (step - firstStep) / (lastStep - firstStep) : 0.5); }
  double y(double value) const {
    double v = logarithmic ? std::log10(std::max(value, low)) : value, a = logarithmic ? std::log10(low) : low,
           b = logarithmic ? std::log10(high) : high;
    return top + height * (1 - (v - a) / (b - a));
  }
};

/// At most two points for each half pixel: the least and the largest.
void drawCurve(Svg &svg, const Frame &frame, const Curve &curve, const std::string &color, double width) {
  std::vector<std::pair<double, double>> points, column;
  auto flushColumn = [&] {
    if (column.empty())
      return;
    auto [low, high] = std::minmax_element(column.begin(), column.end(), [](const auto &a, const auto &b) { return a.second < b.second; });
    auto first = std::min(low, high), second = std::max(low, high);
    points.push_back(*first);
    if (second != first)
      points.push_back(*second);
    column.clear();
  };
  auto flush = [&] {
    flushColumn();
    if (points.size() == 1)
      svg.rect(points[0].first - 2, points[0].second - 2, 4, 4, color);
    else if (!points.empty())
      svg.polyline(points, color, width);
    points.clear();
  };
  for (auto [step, value] : curve) {
    if (!std::isfinite(value)) {
      flush();
      continue;
    }
    double x = frame.x(step);
    if (!column.empty() && x - column.front().first > 0.5)
      flushColumn();
    column.emplace_back(x, frame.y(value));
  }
  flush();
}

std::vector<double> ticksOf(const Frame &frame) {
  if (!frame.logarithmic)
    return axisTicks(frame.low, frame.high, frame.height > 200 ? 6 : 3);
  std::vector<double> ticks;
  const std::vector<double> few = {1, 2, 5}, many = {1, 1.5, 2, 3, 4, 5, 7};
  for (double power = std::pow(10, std::floor(std::log10(frame.low))); power <= frame.high; power *= 10)
    for (double factor : frame.high < 20 * frame.low ? many : few)
      if (power * factor >= frame.low * 0.999 && power * factor <= frame.high * 1.001)
        ticks.push_back(power * factor);
  return ticks;
}

std::string draw(const std::vector<Log> &logs, const std::vector<std::string> &fields, const LogOptions &options) {
  constexpr double kLeft = 74, kWidth = 780;
  Svg svg;
  std::string title = options.title.empty() ? logs.size() == 1 ? logs[0].file : "Training logs" : options.title;
  svg.text(20, 28, title, {16, "start", kInk, true});
  double y = 44, firstStep = INFINITY, lastStep = -INFINITY;
  if (logs.size() > 1) {
    double x = 20;
    for (size_t i = 0; i < logs.size(); ++i) {
      if (x + 40 + textWidth(logs[i].file, 11) > kLeft + kWidth && x > 20) {
        x = 20;
        y += 16;
      }
      svg.line(x, y + 1, x + 16, y + 1, seriesColor(i), 3);
      svg.text(x + 21, y + 5, logs[i].file, {11});
      x += 40 + textWidth(logs[i].file, 11);
    }
    y += 16;
  }
  for (const Log &log : logs)
    for (const auto &[name, curve] : log.curves)
      for (auto [step, value] : curve) {
        firstStep = std::min(firstStep, step);
        lastStep = std::max(lastStep, step);
      }
  for (size_t f = 0; f < fields.size(); ++f) {
    double low = INFINITY, high = -INFINITY;
    for (const Log &log : logs)
      if (auto found = log.curves.find(fields[f]); found != log.curves.end())
        for (auto [step, value] : found->second)
          if (std::isfinite(value)) {
            low = std::min(low, value);
            high = std::max(high, value);
          }
    if (!std::isfinite(low))
      low = 0, high = 1;
    bool main = f == 0, logarithmic = main && options.logScale && low > 0;
    double room = (high - low) * 0.05;
    if (room <= 0)
      room = high != 0 ? std::fabs(high) * 0.1 : 1;
    Frame frame{kLeft,
                y + 24,
                kWidth,
                main ? 300.0 : 110.0,
                firstStep,
                lastStep,
                logarithmic                    ? low / 1.05
                : low >= 0 && low < 0.4 * high ? 0
                                               : low - room,
                logarithmic ? high * 1.05 : high + room,
                logarithmic};
    svg.text(kLeft, y + 16, fields[f] + (logarithmic ? " (logarithmic)" : ""), {12, "start", kInk, true});
    for (double tick : ticksOf(frame)) {
      svg.line(kLeft, frame.y(tick), kLeft + kWidth, frame.y(tick), kGrid);
      svg.text(kLeft - 8, frame.y(tick) + 4, tickText(tick), {11, "end"});
    }
    for (size_t i = 0; i < logs.size(); ++i) {
      auto found = logs[i].curves.find(fields[f]);
      if (found == logs[i].curves.end())
        continue;
      const Curve &curve = found->second;
      bool smoothed = main && curve.size() >= 100;
      drawCurve(svg, frame, curve, smoothed ? paleColor(seriesColor(i)) : seriesColor(i), curve.size() > 400 ? 1 : 1.6);
      if (smoothed)
        drawCurve(svg, frame, smooth(curve), seriesColor(i), 2);
      double last = NAN;
      for (auto [step, value] : curve)
        last = std::isfinite(value) ? value : last;
      if (logs.size() == 1 && std::isfinite(last))
        svg.text(kLeft + kWidth, y + 16, "last " + tickText(last), {11, "end", kFaint});
    }
    svg.rect(kLeft, frame.top, kWidth, frame.height, "none", "stroke=\"#9aa5b1\"");
    y = frame.top + frame.height + 8;
  }
  Frame steps{kLeft, y, kWidth, 0, firstStep, lastStep, 0, 1, false};
  for (double tick : axisTicks(firstStep, lastStep, 8)) {
    svg.line(steps.x(tick), y - 8, steps.x(tick), y - 3, kFrame);
    svg.text(steps.x(tick), y + 9, tickText(tick), {11, "middle"});
  }
  svg.text(kLeft + kWidth / 2, y + 27, "step", {11, "middle", kFaint});
  return svg.str(std::max(kLeft + kWidth + 30, 40 + textWidth(title, 16, true)), y + 40);
}

int view(const LogOptions &options) {
  std::vector<Log> logs(options.files.size());
  for (size_t i = 0; i < logs.size(); ++i)
    if (int code = readLog(options.files[i], logs[i]))
      return code;
  std::vector<std::string> fields = options.fields, known;
  for (const char *first : {"loss", "eval_loss"}) // then as they come
    known.push_back(first);
  for (const Log &log : logs)
    for (const std::string &field : log.fields)
      if (std::find(known.begin(), known.end(), field) == known.end())
        known.push_back(field);
  known.erase(std::remove_if(known.begin(), known.end(),
                             [&](const std::string &name) {
                               return std::none_of(logs.begin(), logs.end(), [&](const Log &log) { return log.curves.count(name) > 0; });
                             }),
              known.end());
  for (const std::string &field : fields)
    if (std::find(known.begin(), known.end(), field) == known.end())
      return fail(kUsage, "expected a field of the log but got " + quote(field), "the fields are " + listWords(known));
  return writePicture(options.output, draw(logs, fields.empty() ? known : fields, options), options.files);
}

} // namespace

void addViewLog(CLI::App &view_, Action &action) {
  auto options = std::make_shared<LogOptions>();
  CLI::App *command = view_.add_subcommand("log", "curves of a training log: loss, learning rate, …");
  command->add_option("FILE", options->files, "log with one JSON object a line; several are compared")->required();
  command->add_option("-o,--output", options->output, "file to write, - is standard output (default log.svg)");
  addRepeated(*command, "--field", options->fields, "draw only this field (repeatable; default: all numbers)");
  command->add_flag("--log-scale", options->logScale, "logarithmic axis for the first field");
  command->add_option("--title", options->title, "title of the picture");
  command->footer("Examples:\n  weft view log run/log.jsonl -o curves.svg\n  weft view log a.jsonl b.jsonl --field loss --field lr --log-scale");
  command->callback([=, &action] { action = [=] { return view(*options); }; });
}

} // namespace weft

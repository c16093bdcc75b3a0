// `weft view attention`: heat maps of attention, tokens on both axes, one for each head and their mean.
// The maps are computed beside the model (Probe.h), so that the model itself keeps its fused kernels.
#include "Labels.h"
#include "Probe.h"
#include "View.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace weft {

namespace {

struct AttentionOptions : CommonOptions {
  std::vector<std::string> inputFiles, inputs, dims, nodes;
  std::string output = "attention.svg", entry, weights, title;
  std::optional<uint64_t> init;
  int64_t sequence = 0, length = 0;
  LabelOptions labels;
};

constexpr int64_t kMostCells = 128; ///< along an axis; longer maps are averaged over blocks

/// One square of weights, [queries][keys].
struct Map {
  std::string title;
  int64_t rows = 0, columns = 0;
  std::vector<double> weights;
  double at(int64_t row, int64_t column) const { return weights[size_t(row * columns + column)]; }
};

/// The maps of one node in the order in which they are drawn: mean, then heads.
struct NodeMaps {
  std::string node;
  std::vector<Map> maps;
  std::vector<std::string> queries, keys; ///< labels
};

void collectAttention(const Graph &graph, const std::string &outer, const std::string &prefix, std::vector<std::string> &paths) {
  for (const Node &node : graph.nodes) {
    std::string path = prefix + (node.path.compare(0, outer.size(), outer) == 0 ? node.path.substr(outer.size()) : node.path);
    if (node.op == "attention" || node.op == "mha")
      paths.push_back(path);
    if (node.body)
      collectAttention(*node.body, node.path + ".", path + "[0].", paths);
  }
}

/// The inputs that a value is computed from.
std::set<std::string> sourcesOf(const ModelDesc &model, ValueId value) {
  std::set<std::string> names;
  std::set<ValueId> seen;
  std::vector<ValueId> open = {value};
  while (!open.empty()) {
    ValueId next = open.back();
    open.pop_back();
    if (next == kNoValue || !seen.insert(next).second)
      continue;
    for (const InputDesc &input : model.inputs)
      if (input.value == next)
        names.insert(input.name);
    for (const Node &node : model.graph.nodes)
      if (std::find(node.results.begin(), node.results.end(), next) != node.results.end())
        open.insert(open.end(), node.operands.begin(), node.operands.end());
  }
  return names;
}

/// What the axes of a map are: queries and keys are the same tokens if their sizes are one expression and, where the node
/// is attention, both come from the same inputs. Ids have an axis of that size.
void findAxes(const ModelDesc &model, const std::string &output, LabelledAxis &queries, LabelledAxis &keys) {
  ValueId map = kNoValue;
  for (const OutputDesc &next : model.outputs)
    if (next.name == output)
      map = next.value;
  const std::vector<DimExpr> &shape = model.graph.values[map].type.shape;
  const DimExpr rows = shape[shape.size() - 2], columns = shape.back();
  std::set<std::string> ofQueries, ofKeys;
  for (const Node &node : model.graph.nodes)
    if ((node.op == "attention" || node.op == "mha") && node.results.size() > 1 && node.results[1] == map) {
      size_t first = node.op == "mha" ? 1 : 0;
      bool isOne = node.op == "mha" && node.operands[0] != kNoValue;
      ofQueries = sourcesOf(model, node.operands[isOne ? 0 : first]);
      ofKeys = sourcesOf(model, node.operands[isOne ? 0 : first + 1]);
    }
  queries.isSelf = keys.isSelf = rows == columns && ofQueries == ofKeys;
  for (bool likely : {true, false})
    for (const InputDesc &input : model.inputs) {
      bool ofKey = ofKeys.count(input.name) != 0;
      if (input.type.shape.size() != 2)
        continue;
      if (input.type.shape[1] == rows && (queries.isSelf || !ofKey) == likely)
        queries.inputs.push_back(input.name);
      if (input.type.shape[1] == columns && (keys.isSelf || ofKeys.empty() || ofKey) == likely)
        keys.inputs.push_back(input.name);
    }
}

/// Whether a row sums to 1, or is all 0: a query that may look at nothing.
bool isWeights(const HostTensor &value, int64_t row, int64_t columns) {
  double sum = 0, most = 0;
  for (int64_t column = 0; column < columns; ++column) {
    sum += value.at(row * columns + column);
    most = std::max(most, std::fabs(value.at(row * columns + column)));
  }
  return !std::isfinite(sum) || most == 0 || std::fabs(sum - 1) < 0.05;
}

/// Cuts one sequence out of [B, H, Tq, Tk] or [B, Tq, Tk] and adds the mean of several heads.
int cutMaps(const HostTensor &value, const AttentionOptions &options, NodeMaps &result) {
  size_t rank = value.shape.size();
  if (rank != 3 && rank != 4)
    return fail(kUsage,
                "node " + quote(result.node) + ": expected attention, or weights [B, heads, Tq, Tk] or [B, Tq, Tk], but got " + value.shapeText());
  int64_t heads = rank == 4 ? value.shape[1] : 1, rows = value.shape[rank - 2], columns = value.shape[rank - 1];
  if (options.sequence >= value.shape[0])
    return fail(kUsage, "--sequence: expected 0.." + std::to_string(value.shape[0] - 1) + " but got " + std::to_string(options.sequence));
  int64_t shownRows = options.length > 0 ? std::min(rows, options.length) : rows,
          shownColumns = options.length > 0 ? std::min(columns, options.length) : columns;
  if (shownRows == 0 || shownColumns == 0 || heads == 0)
    return fail(kInvalid, "node " + quote(result.node) + ": expected weights of at least one query and one key but got " + value.shapeText());
  Map mean{"mean of " + std::to_string(heads) + " heads", shownRows, shownColumns, std::vector<double>(size_t(shownRows * shownColumns))};
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t row = 0; row < rows; ++row)
      if (!isWeights(value, (options.sequence * heads + head) * rows + row, columns))
        return fail(kUsage, "node " + quote(result.node) + ": expected weights, rows that sum to 1, but row " +
                                value.place(((options.sequence * heads + head) * rows + row) * columns) + " does not");
    Map map{rank == 4 ? "head " + std::to_string(head) : "", shownRows, shownColumns, {}};
    for (int64_t row = 0; row < shownRows; ++row)
      for (int64_t column = 0; column < shownColumns; ++column) {
        double weight = value.at(((options.sequence * heads + head) * rows + row) * columns + column);
        map.weights.push_back(weight);
        mean.weights[size_t(row * shownColumns + column)] += weight / double(heads);
      }
    result.maps.push_back(std::move(map));
  }
  if (heads > 1)
    result.maps.insert(result.maps.begin(), std::move(mean));
  return kOk;
}

/// Means of block x block cells; labels of a block are those of its first cell.
void shrink(NodeMaps &maps, int64_t block) {
  auto ceiling = [&](int64_t n) { return (n + block - 1) / block; };
  for (Map &map : maps.maps) {
    Map small{map.title, ceiling(map.rows), ceiling(map.columns), {}};
    for (int64_t row = 0; row < small.rows; ++row)
      for (int64_t column = 0; column < small.columns; ++column) {
        double sum = 0;
        int64_t count = 0;
        for (int64_t r = row * block; r < std::min(map.rows, (row + 1) * block); ++r)
          for (int64_t c = column * block; c < std::min(map.columns, (column + 1) * block); ++c, ++count)
            sum += map.at(r, c);
        small.weights.push_back(sum / double(count));
      }
    map = std::move(small);
  }
  for (auto *labels : {&maps.queries, &maps.keys}) {
    std::vector<std::string> kept;
    for (size_t i = 0; i < labels->size(); i += size_t(block))
      kept.push_back((*labels)[i]);
    *labels = std::move(kept);
  }
}

class Picture {
public:
  Picture(std::vector<NodeMaps> nodes, std::string title, std::string subtitle)
      : nodes(std::move(nodes)), title(std::move(title)), subtitle(std::move(subtitle)) {}

  std::string draw() {
    for (const NodeMaps &node : nodes)
      for (const Map &map : node.maps)
        for (double weight : map.weights)
          most = std::max(most, std::isfinite(weight) ? weight : 0);
    if (most <= 0)
      most = 1;
    svg.text(kMargin, 28, title, {16, "start", kInk, true});
    svg.text(kMargin, 46, subtitle, {11, "start", kFaint});
    double y = 62;
    width = std::max(kMargin + textWidth(title, 16, true), kMargin + textWidth(subtitle, 11));
    double barTop = 0, mapsRight = 0;
    for (const NodeMaps &node : nodes)
      y = drawNode(node, y, barTop, mapsRight);
    drawBar(mapsRight + 28, barTop, std::max(120.0, std::min(240.0, y - barTop - 30)));
    return svg.str(std::max(width, mapsRight + 100) + kMargin, std::max(y, barTop + 170));
  }

private:
  static constexpr double kMargin = 20, kLabelSize = 11, kMostLabel = 110;

  static double cellSize(int64_t count) { return std::clamp(std::floor(300.0 / double(count)), 3.0, 38.0); }

  static double widest(const std::vector<std::string> &labels) {
    double most = 0;
    for (const std::string &label : labels)
      most = std::max(most, textWidth(fitText(label, kMostLabel, kLabelSize), kLabelSize));
    return most;
  }

  double drawNode(const NodeMaps &node, double y, double &barTop, double &mapsRight) {
    const Map &first = node.maps.front();
    double cell = cellSize(std::max(first.rows, first.columns));
    double rowRoom = widest(node.queries) + 8, columnRoom = widest(node.keys) + 8;
    double mapWidth = cell * double(first.columns), mapHeight = cell * double(first.rows), across = std::max(mapWidth, 90.0);
    auto perLine = std::max<size_t>(1, std::min(node.maps.size(), size_t((1160 - rowRoom) / (across + 24))));
    size_t lines = (node.maps.size() + perLine - 1) / perLine;
    perLine = (node.maps.size() + lines - 1) / lines; // lines of equal length
    if (nodes.size() > 1 || node.maps.size() > 1 || title != node.node) {
      svg.text(kMargin, y + 16, node.node, {13, "start", kInk, true});
      width = std::max(width, kMargin + textWidth(node.node, 13, true));
      y += 26;
    }
    for (size_t line = 0; line < lines; ++line) {
      double top = y + (first.title.empty() ? 4 : 20) + columnRoom, left = kMargin + 20 + rowRoom;
      if (barTop == 0)
        barTop = top;
      for (size_t i = line * perLine; i < std::min(node.maps.size(), (line + 1) * perLine); ++i) {
        const Map &map = node.maps[i];
        svg.text(left, y + 14, map.title, {12, "start", kInk});
        drawMap(map, node, left, top, cell, i == line * perLine);
        mapsRight = std::max(mapsRight, left + across);
        left += across + 24;
      }
      svg.text(kMargin + 8, top + mapHeight / 2, "queries", {11, "middle", kFaint, false, -90});
      svg.text(kMargin + 20 + rowRoom, top + mapHeight + 16, "keys", {11, "start", kFaint});
      y = top + std::max(mapHeight, 60.0) + 30;
    }
    return y + 6;
  }

  void drawMap(const Map &map, const NodeMaps &node, double left, double top, double cell, bool rowLabels) {
    auto step = int64_t(std::ceil((kLabelSize + 1) / cell));
    for (int64_t column = 0; column < map.columns; column += step)
      svg.text(left + cell * (double(column) + 0.5) + 4, top - 5, fitText(node.keys[size_t(column)], kMostLabel, kLabelSize),
               {kLabelSize, "start", kInk, false, -90});
    for (int64_t row = 0; row < map.rows; ++row) {
      double y = top + cell * double(row);
      if (rowLabels && row % step == 0)
        svg.text(left - 6, y + cell / 2 + 4, fitText(node.queries[size_t(row)], kMostLabel, kLabelSize), {kLabelSize, "end"});
      for (int64_t column = 0; column < map.columns; ++column) {
        double weight = map.at(row, column), shade = weight / most;
        char number[16];
        std::snprintf(number, sizeof(number), "%.2f", weight);
        svg.rect(left + cell * double(column), y, cell, cell, std::isfinite(weight) ? heatColor(shade) : "#f4c7c3", "",
                 node.queries[size_t(row)] + " → " + node.keys[size_t(column)] + ": " + tickText(weight));
        if (cell >= 30)
          svg.text(left + cell * (double(column) + 0.5), y + cell / 2 + 4, number, {10, "middle", isDark(shade) ? "#ffffff" : kInk});
      }
    }
    svg.rect(left, top, cell * double(map.columns), cell * double(map.rows), "none", "stroke=\"#9aa5b1\"");
  }

  /// The colour bar, with numbers.
  void drawBar(double x, double y, double height) {
    constexpr int kSteps = 64;
    svg.text(x, y - 10, "weight", {11, "start", kFaint});
    for (int i = 0; i < kSteps; ++i)
      svg.rect(x, y + height * (1 - double(i + 1) / kSteps), 14, height / kSteps + 0.5, heatColor((i + 0.5) / kSteps));
    svg.rect(x, y, 14, height, "none", "stroke=\"#9aa5b1\"");
    for (double tick : axisTicks(0, most, 8)) {
      double at = y + height * (1 - tick / most);
      svg.line(x + 14, at, x + 18, at, kFrame);
      svg.text(x + 21, at + 4, tickText(tick), {11});
    }
  }

  std::vector<NodeMaps> nodes;
  std::string title, subtitle;
  Svg svg;
  double most = 0, width = 0; ///< the largest weight; the picture's
};

int view(AttentionOptions options) {
  Runner runner;
  if (int code = runner.read(options))
    return code;
  if (int code = chooseEntry(runner.model, options.entry))
    return code;
  Sizes sizes;
  if (int code = parseSizes(options.dims, runner.model, sizes))
    return code;
  std::vector<std::string> known;
  collectAttention(runner.model.graph, "", "", known);
  if (options.nodes.empty() && known.size() == 1 && known[0].find('[') == std::string::npos)
    options.nodes = known;
  if (options.nodes.empty())
    return fail(kUsage, "expected --node NODE but got nothing",
                known.empty()
                    ? "this model has no attention; name a node whose value is weights"
                    : "attention is in " + listWords(known) + (known.front().find('[') == std::string::npos ? "" : ", and in further rounds"));
  std::vector<HostTensor> given;
  if (int code = readGivenInputs(options, options.inputFiles, options.inputs, given))
    return code;
  Labels labels;
  if (int code = labels.read(options.labels))
    return code;

  std::string probe;
  std::vector<ProbedValue> probed;
  if (int code = addProbeEntry(runner.model, options.entry, options.nodes, probe, probed))
    return code;
  CompileOptions compile;
  compile.entries = {probe};
  if (int code = runner.compile(options, compile))
    return code;
  WeightsChoice weights;
  weights.file = options.weights;
  weights.initSeed = options.init;
  if (int code = runner.open(options, weights))
    return code;
  std::vector<HostTensor> values;
  if (int code = runProbeEntry(runner, options, probe, given, runner.dimList(entrySizes(runner.model, options.entry, sizes)), values))
    return code;

  std::vector<NodeMaps> maps;
  int64_t longest = 1;
  for (const std::string &node : options.nodes) {
    NodeMaps one;
    one.node = node;
    // The map of attention; of any other node its first result.
    const HostTensor *value = nullptr;
    for (const HostTensor &tensor : values)
      if (tensor.name == "probe." + node + ".weights" || (!value && tensor.name == "probe." + node))
        value = &tensor;
    if (int code = cutMaps(*value, options, one))
      return code;
    size_t rank = value->shape.size();
    LabelledAxis queries{value->shape[rank - 2], one.maps.front().rows}, keys{value->shape[rank - 1], one.maps.front().columns, true};
    findAxes(runner.model, value->name, queries, keys);
    if (int code = labels.choose(given, options.sequence, queries, one.queries))
      return code;
    if (int code = labels.choose(given, options.sequence, keys, one.keys))
      return code;
    longest = std::max({longest, one.maps.front().rows, one.maps.front().columns});
    maps.push_back(std::move(one));
  }
  int64_t block = (longest + kMostCells - 1) / kMostCells;
  std::string subtitle = "sequence " + std::to_string(options.sequence) + ", rows are queries and sum to 1" +
                         (block > 1 ? "; a cell is the mean of " + std::to_string(block) + " x " + std::to_string(block) + " weights" : "");
  if (block > 1)
    for (NodeMaps &one : maps)
      shrink(one, block);
  std::string title = options.title.empty() ? "Attention of " + runner.model.name : options.title;
  return writePicture(options.output, Picture(std::move(maps), title, subtitle).draw(),
                      withWeightFiles(options, runner.model, options.inputFiles, {options.weights, options.model}));
}

} // namespace

void addViewAttention(CLI::App &view_, Action &action) {
  auto options = std::make_shared<AttentionOptions>();
  CLI::App *command = view_.add_subcommand("attention", "heat maps of attention, tokens on both axes, per head and mean");
  addCommonOptions(*command, *options);
  addRepeated(*command, "--inputs", options->inputFiles, "safetensors file with the inputs");
  addRepeated(*command, "--input", options->inputs, "NAME=FILE.npy, or NAME=1,2,3 for a row of integers");
  addRepeated(*command, "--node", options->nodes, "node of attention, or one that computes weights: 'enc[3].attn' (repeatable)");
  command->add_option("-o,--output", options->output, "file to write, - is standard output (default attention.svg)");
  command->add_option("--entry", options->entry, "entry whose sizes hold (default: forward)");
  addRepeated(*command, "--dim", options->dims, "B=8: sizes that no input shows (default: the hints)");
  command->add_option("--weights", options->weights, "weights file instead of the model's");
  command->add_option("--init", options->init, "SEED: random weights")->check(checkSeed);
  command->add_option("--sequence", options->sequence, "which sequence of the batch (default 0)")->check(notNegative());
  command->add_option("--length", options->length, "show only the first tokens (default: all)")->check(CLI::Range(int64_t(1), int64_t(1) << 30));
  command->add_option("--tokens", options->labels.tokens, "a,b,c: labels of the queries, and in self-attention of the keys");
  command->add_option("--key-tokens", options->labels.keyTokens, "a,b,c: labels of the keys, as of cross-attention");
  command->add_option("--token-input", options->labels.input, "integer input whose ids are the queries, and in self-attention the keys (default: the one that fits)");
  command->add_option("--key-input", options->labels.keyInput, "integer input whose ids are the keys, as of cross-attention");
  command->add_option("--vocabulary", options->labels.vocabulary, "names of the ids: one a line, or a JSON object {name: id} or array");
  command->add_option("--tokenizer", options->labels.tokenizer, "names of the ids from a tokenizer file, as for generate");
  command->add_option("--title", options->title, "title of the picture");
  command->footer("Examples:\n  weft view attention model.json --inputs in.safetensors --node enc[3].attn --vocabulary words.txt\n"
                  "  weft view attention model.json --input tokens=5,3,9 --node attn --tokens the,cat,sat -o map.svg");
  command->callback([=, &action] { action = [=] { return view(*options); }; });
}

} // namespace weft

// `weft view graph`: the nodes that an entry needs as the model file has them, and the kernels that they became.
// A repeat is a frame around what one round does; the kernels' picture has the same frames.
#include "Layout.h"
#include "View.h"

#include "import/EntryInputs.h"

#include <algorithm>
#include <set>

namespace weft {

namespace {

struct GraphOptions : EntryPictureOptions {
  std::string only;
};

/// A box with lines of text, or a frame around a drawing.
struct Drawing;
struct Box {
  std::vector<std::string> lines; ///< the first is bold
  const char *fill = "#f4f6f8", *stroke = kFrame;
  std::unique_ptr<Drawing> inside;
};
struct Drawing {
  std::vector<Box> boxes;
  std::vector<LayoutBox> places;
  std::vector<LayoutEdge> edges;
  LayoutSize size;
};

constexpr double kLine = 14, kPad = 8, kFrameTop = 26, kFramePad = 16, kWidest = 250;

const char *fillOf(const std::string &kind) {
  static const std::pair<const char *, const char *> fills[] = {{"attention", "#fde8d7"}, {"mha", "#fde8d7"},      {"linear", "#dbe9f6"},
                                                                {"matmul", "#dbe9f6"},    {"einsum", "#dbe9f6"},   {"contract", "#dbe9f6"},
                                                                {"norm", "#e3f1df"},      {"rows", "#e3f1df"},     {"softmax", "#e3f1df"},
                                                                {"embedding", "#efe4f5"}, {"parameter", "#efe4f5"}};
  for (auto [word, fill] : fills)
    if (kind.find(word) != std::string::npos)
      return fill;
  return "#f4f6f8";
}

void measure(Drawing &drawing) {
  drawing.places.resize(drawing.boxes.size());
  for (size_t i = 0; i < drawing.boxes.size(); ++i) {
    Box &box = drawing.boxes[i];
    LayoutBox &place = drawing.places[i];
    if (box.inside) {
      measure(*box.inside);
      place.width = std::max(box.inside->size.width + 2 * kFramePad, textWidth(box.lines[0], 11, true) + 2 * kFramePad);
      place.height = box.inside->size.height + kFrameTop + kFramePad;
      continue;
    }
    for (size_t l = 0; l < box.lines.size(); ++l)
      place.width = std::max(place.width, std::min(textWidth(box.lines[l], 11, l == 0), kWidest) + 2 * kPad);
    place.height = kLine * double(box.lines.size()) + 2 * kPad - 4;
  }
  // An edge twice is one line.
  std::set<std::pair<int, int>> seen;
  drawing.edges.erase(
      std::remove_if(drawing.edges.begin(), drawing.edges.end(), [&](const LayoutEdge &edge) { return !seen.emplace(edge.from, edge.to).second; }),
      drawing.edges.end());
  drawing.size = layOut(drawing.places, drawing.edges);
}

void draw(Svg &svg, const Drawing &drawing, double x, double y) {
  for (const LayoutEdge &edge : drawing.edges) {
    std::string path;
    for (size_t i = 0; i < edge.points.size(); ++i) {
      double px = x + edge.points[i].first, py = y + edge.points[i].second;
      if (i == 0) {
        path = "M" + coordinate(px) + " " + coordinate(py);
        continue;
      }
      double from = y + edge.points[i - 1].second, bend = (py - from) / 2, last = x + edge.points[i - 1].first;
      bool isLast = i + 1 == edge.points.size();
      if (isLast)
        py -= 5; // room for the arrow
      path += "C" + coordinate(last) + " " + coordinate(from + bend) + " " + coordinate(px) + " " + coordinate(py - bend) + " " + coordinate(px) +
              " " + coordinate(py);
      if (isLast)
        svg.path("M" + coordinate(px - 3.5) + " " + coordinate(py - 2) + "L" + coordinate(px) + " " + coordinate(py + 5) + "L" +
                     coordinate(px + 3.5) + " " + coordinate(py - 2) + "Z",
                 "none", 0, "style=\"fill:#66727f\"");
    }
    svg.path(path, "#8794a1", 1.2);
  }
  for (size_t i = 0; i < drawing.boxes.size(); ++i) {
    const Box &box = drawing.boxes[i];
    const LayoutBox &place = drawing.places[i];
    double left = x + place.x, top = y + place.y;
    svg.rect(left, top, place.width, place.height, box.inside ? "#fbfcfd" : box.fill,
             std::string("rx=\"5\" stroke=\"") + box.stroke + "\"" + (box.inside ? " stroke-dasharray=\"5 3\"" : ""));
    if (box.inside) {
      svg.text(left + 10, top + 16, box.lines[0], {11, "start", kFaint, true});
      draw(svg, *box.inside, left + (place.width - box.inside->size.width) / 2, top + kFrameTop);
      continue;
    }
    for (size_t l = 0; l < box.lines.size(); ++l)
      svg.text(left + place.width / 2, top + kPad + kLine * double(l) + 8, fitText(box.lines[l], kWidest, 11),
               {11, "middle", l == 0 ? kInk : kFaint, l == 0});
  }
}

std::string shortPath(const std::string &path, const std::string &outer) {
  return path.compare(0, outer.size(), outer) == 0 ? path.substr(outer.size()) : path;
}

std::string opText(const Node &node) {
  std::string text = node.op;
  for (const char *name : {"kind", "features", "heads", "equation"})
    if (auto found = node.attrs.find(name); found != node.attrs.end()) {
      if (auto *number = std::get_if<int64_t>(&found->second))
        text += std::string(", ") + name + " " + std::to_string(*number);
      else if (auto *word = std::get_if<std::string>(&found->second))
        text += ", " + *word;
    }
  if (auto found = node.attrs.find("activation"); found != node.attrs.end())
    text += ", " + std::get<std::string>(found->second);
  if (auto found = node.attrs.find("causal"); found != node.attrs.end() && std::get<bool>(found->second))
    text += ", causal";
  return text;
}

using Ports = std::vector<std::pair<std::string, ValueId>>; ///< names of values that come from outside, or go there

Box port(const Graph &graph, const std::string &name, ValueId value) {
  Box box;
  box.lines = {name, typeText(graph.values[size_t(value)].type)};
  box.fill = "#ffffff";
  return box;
}

/// What one round of a repeat takes, and its nodes.
Ports portsOf(const Node &repeat) {
  Ports ports;
  for (ValueId value : repeat.body->inputs)
    ports.emplace_back(repeat.body->values[size_t(value)].name, value);
  return ports;
}

std::vector<const Node *> nodesOf(const Graph &graph) {
  std::vector<const Node *> nodes;
  for (const Node &node : graph.nodes)
    nodes.push_back(&node);
  return nodes;
}

/// The graph as written. `nodes`: those that are drawn, in file order.
std::unique_ptr<Drawing> written(const Graph &graph, const std::vector<const Node *> &nodes, const std::string &outer, const Ports &inputs,
                                 const Ports &outputs) {
  auto drawing = std::make_unique<Drawing>();
  std::map<ValueId, int> boxOf;
  auto add = [&](Box box) {
    drawing->boxes.push_back(std::move(box));
    return int(drawing->boxes.size()) - 1;
  };
  for (auto &[name, value] : inputs)
    boxOf[value] = add(port(graph, name, value));
  for (const Node *node : nodes) {
    Box box;
    if (node->body) {
      box.inside = written(*node->body, nodesOf(*node->body), node->path + ".", portsOf(*node), {});
      box.lines = {shortPath(node->path, outer) + ": " + std::to_string(node->count) + " rounds"};
    } else {
      box.lines = {shortPath(node->path, outer), opText(*node), typeText(graph.values[size_t(node->results.front())].type)};
      box.fill = fillOf(node->op);
    }
    int number = add(std::move(box));
    for (ValueId operand : node->operands)
      if (auto found = boxOf.find(operand); found != boxOf.end())
        drawing->edges.push_back({found->second, number, {}});
    for (ValueId result : node->results)
      boxOf[result] = number;
  }
  for (auto &[name, value] : outputs) {
    int number = add(port(graph, name, value));
    if (auto found = boxOf.find(value); found != boxOf.end())
      drawing->edges.push_back({found->second, number, {}});
  }
  return drawing;
}

/// Kernels of one entry in the order of their launches, and which of them a node became part of.
class Kernels {
public:
  Kernels(const CompiledModel &compiled, const std::string &entry, const Sizes &sizes) : sizes(sizes) {
    for (const KernelInfo &kernel : compiled.kernels)
      if (kernel.entry == entry)
        list.push_back(&kernel);
    for (size_t k = 0; k < list.size(); ++k)
      for (const std::string &node : list[k]->nodes)
        of[node].push_back(int(k));
  }

  /// The kernels whose innermost repeat is `outer` ("" or "enc."), and frames for the repeats in it.
  std::unique_ptr<Drawing> draw(const Graph &graph, const std::vector<const Node *> &nodes, const std::string &outer, const Ports &inputs,
                                const Ports &outputs) const {
    auto drawing = std::make_unique<Drawing>();
    // Boxes in launch order: inputs, kernels and frames, outputs. A frame stands where its first kernel is launched.
    std::vector<std::pair<int, const Node *>> order; // first launch, and the repeat or null
    for (size_t k = 0; k < list.size(); ++k)
      if (home(int(k), nodes) == nullptr && belongs(int(k), nodes))
        order.emplace_back(int(k), nullptr);
    for (const Node *node : nodes)
      if (node->body) {
        int first = int(list.size());
        for (size_t k = list.size(); k-- > 0;)
          if (home(int(k), nodes) == node)
            first = int(k);
        order.emplace_back(first, node);
      }
    std::sort(order.begin(), order.end(), [](const auto &a, const auto &b) { return a.first < b.first; });
    std::map<ValueId, std::set<int>> boxesOf; // the boxes whose results a value comes from
    auto add = [&](Box box) {
      drawing->boxes.push_back(std::move(box));
      return int(drawing->boxes.size()) - 1;
    };
    for (auto &[name, value] : inputs)
      boxesOf[value] = {add(port(graph, name, value))};
    std::map<int, int> boxOfKernel;
    std::map<const Node *, int> boxOfRepeat;
    for (auto [launch, repeat] : order) {
      Box box;
      if (!repeat) {
        box = kernelBox(*list[size_t(launch)], outer);
        boxOfKernel[launch] = int(drawing->boxes.size());
      } else {
        box.inside = draw(*repeat->body, nodesOf(*repeat->body), repeat->path + ".", portsOf(*repeat), {});
        box.lines = {shortPath(repeat->path, outer) + ": " + std::to_string(repeat->count) + " rounds"};
        boxOfRepeat[repeat] = int(drawing->boxes.size());
      }
      add(std::move(box));
    }
    auto connect = [&](const std::set<int> &from, int to) {
      for (int box : from)
        if (box < to)
          drawing->edges.push_back({box, to, {}});
    };
    for (const Node *node : nodes) {
      std::set<int> from;
      for (ValueId operand : node->operands)
        if (auto found = boxesOf.find(operand); found != boxesOf.end())
          from.insert(found->second.begin(), found->second.end());
      std::set<int> own = from; // a node without a kernel is a view of what it reads
      if (auto repeat = boxOfRepeat.find(node); repeat != boxOfRepeat.end()) {
        connect(from, repeat->second);
        own = {repeat->second};
      } else if (auto found = of.find(node->path); found != of.end()) {
        std::vector<int> chain;
        for (int kernel : found->second)
          if (auto box = boxOfKernel.find(kernel); box != boxOfKernel.end())
            chain.push_back(box->second);
        for (size_t i = 1; i < chain.size(); ++i)
          connect({chain[i - 1]}, chain[i]);
        if (!chain.empty()) {
          connect(from, chain.front());
          own = {chain.back()};
        }
      }
      for (ValueId result : node->results)
        boxesOf[result] = own;
    }
    for (auto &[name, value] : outputs) {
      int number = add(port(graph, name, value));
      connect(boxesOf[value], number);
    }
    return drawing;
  }

  size_t count() const { return list.size(); }

private:
  static bool inside(const std::string &path, const Node &repeat) { return path.compare(0, repeat.path.size() + 1, repeat.path + ".") == 0; }

  /// The repeat of this level that a kernel belongs to, or null.
  const Node *home(int kernel, const std::vector<const Node *> &nodes) const {
    for (const Node *node : nodes)
      if (node->body && std::any_of(list[size_t(kernel)]->nodes.begin(), list[size_t(kernel)]->nodes.end(),
                                    [&](const std::string &path) { return inside(path, *node); }))
        return node;
    return nullptr;
  }

  bool belongs(int kernel, const std::vector<const Node *> &nodes) const {
    for (const std::string &path : list[size_t(kernel)]->nodes)
      for (const Node *node : nodes)
        if (node->path == path)
          return true;
    return false;
  }

  Box kernelBox(const KernelInfo &kernel, const std::string &outer) const {
    Box box;
    box.lines = {kernel.kind};
    std::string line;
    for (const std::string &path : kernel.nodes) {
      std::string name = shortPath(path, outer);
      if (!line.empty() && textWidth(line + " + " + name, 11) > 190) {
        box.lines.push_back(line + " +");
        line.clear();
      }
      line += (line.empty() ? "" : " + ") + name;
    }
    box.lines.push_back(line);
    auto flops = kernel.flops.evaluate(sizes), bytes = kernel.bytes.evaluate(sizes);
    if (flops && bytes)
      box.lines.push_back((*flops ? flopText(double(*flops)) + ", " : "") + byteText(double(*bytes)));
    box.fill = fillOf(kernel.kind);
    return box;
  }

  const Sizes &sizes;
  std::vector<const KernelInfo *> list;
  std::map<std::string, std::vector<int>> of;
};

int countNodes(const std::vector<const Node *> &nodes) {
  int count = 0;
  for (const Node *node : nodes)
    count += node->body ? countNodes(nodesOf(*node->body)) : 1;
  return count;
}

int view(GraphOptions options) {
  if (!options.only.empty() && options.only != "before" && options.only != "after")
    return fail(kUsage, "expected --only before or --only after but got " + quote(options.only));
  ModelDesc model;
  Sizes sizes;
  if (int code = readPicturedEntry(options, model, sizes))
    return code;
  CompiledModel compiled;
  if (options.only != "before") {
    CompileOptions compile;
    compile.entries = {options.entry};
    compile.stopAfter = Stage::tiling;
    if (int code = compileOrFail(options, model, compile, compiled))
      return code;
  }
  Ports inputs, outputs;
  std::vector<ValueId> targets;
  for (const EntryDesc &entry : model.entries)
    for (const std::string &name : entry.outputs)
      for (const OutputDesc &output : model.outputs)
        if (entry.name == options.entry && output.name == name) {
          outputs.emplace_back(name, output.value);
          targets.push_back(output.value);
        }
  std::set<ValueId> used;
  std::vector<const Node *> nodes = neededNodes(nodesOf(model.graph), targets, used);
  for (const InputDesc &input : model.inputs)
    if (used.count(input.value))
      inputs.emplace_back(input.name, input.value);

  Svg svg;
  svg.text(20, 28, model.name + ", entry " + options.entry, {16, "start", kInk, true});
  double x = 20, height = 0;
  if (!sizes.empty() && options.only != "before")
    svg.text(20, 46, "costs at " + sizesText(sizes), {11, "start", kFaint});
  auto column = [&](Drawing &drawing, const std::string &title) {
    measure(drawing);
    svg.text(x, 74, title, {13, "start", kInk, true});
    draw(svg, drawing, x, 92);
    x += std::max(drawing.size.width, textWidth(title, 13, true)) + 60;
    height = std::max(height, 92 + drawing.size.height + 20);
  };
  if (options.only != "after")
    column(*written(model.graph, nodes, "", inputs, outputs), "as written: " + std::to_string(countNodes(nodes)) + " nodes");
  if (options.only != "before") {
    Kernels kernels(compiled, options.entry, sizes);
    column(*kernels.draw(model.graph, nodes, "", inputs, outputs), "after fusion: " + std::to_string(kernels.count()) + " kernels");
  }
  return writePicture(options.output, svg.str(std::max(x - 40, 40 + textWidth(model.name + ", entry " + options.entry, 16, true)), height),
                      {options.model});
}

} // namespace

void addViewGraph(CLI::App &view_, Action &action) {
  auto options = std::make_shared<GraphOptions>();
  CLI::App *command = view_.add_subcommand("graph", "the nodes of the model file, and the kernels that they become");
  addEntryPictureOptions(*command, *options, "graph.svg", "sizes to compute costs for");
  command->add_option("--only", options->only, "before or after fusion (default: both, side by side)");
  command->footer("Examples:\n  weft view graph gpt2.json -o gpt2.svg\n  weft view graph gpt2.json --entry decode --only after");
  command->callback([=, &action] { action = [=] { return view(*options); }; });
}

} // namespace weft

// `weft view memory`: which part of the arena holds which node's value, and when. Time goes right, addresses go up.
// Sizes are the plan's own formulas at the given sizes of the dims; what is drawn is what a call uses.
#include "View.h"

#include <algorithm>

namespace weft {

namespace {

struct Slab {
  std::string node;
  double first, last; ///< columns, both included
  int64_t offset, bytes;
};

/// Buffers at their places; columns are the positions at which anything begins or ends.
std::vector<Slab> slabsOf(const CompiledModel &compiled, const std::string &entry, const Sizes &sizes, const std::vector<int64_t> &offsets,
                          size_t &columns) {
  std::vector<const BufferInfo *> buffers;
  std::vector<int> moments;
  for (const BufferInfo &buffer : compiled.buffers)
    if (buffer.entry == entry) {
      buffers.push_back(&buffer);
      moments.insert(moments.end(), {buffer.first, buffer.last});
    }
  std::sort(moments.begin(), moments.end());
  moments.erase(std::unique(moments.begin(), moments.end()), moments.end());
  columns = moments.size();
  auto column = [&](int moment) { return double(std::lower_bound(moments.begin(), moments.end(), moment) - moments.begin()); };
  std::vector<Slab> slabs;
  for (size_t i = 0; i < buffers.size(); ++i)
    slabs.push_back(
        {buffers[i]->node, column(buffers[i]->first), column(buffers[i]->last), offsets[i], buffers[i]->bytes.evaluate(sizes).value_or(0)});
  return slabs;
}

std::string drawPlan(const ModelDesc &model, const EntryPictureOptions &options, const Sizes &sizes, const std::vector<Slab> &slabs, size_t columns,
                     int64_t arena) {
  constexpr double kLeft = 84, kTop = 70, kHeight = 460;
  double step = std::clamp(980.0 / double(std::max<size_t>(columns, 1)), 8.0, 90.0), width = step * double(columns),
         scale = kHeight / double(std::max<int64_t>(arena, 1));
  auto yOf = [&](int64_t address) { return kTop + kHeight - double(address) * scale; };
  Svg svg;
  std::string title = "Arena of " + model.name + ", entry " + options.entry,
              subtitle =
                  groupDigits(arena) + " bytes in " + std::to_string(slabs.size()) + " buffers" + (sizes.empty() ? "" : " at " + sizesText(sizes));
  svg.text(20, 28, title, {16, "start", kInk, true});
  svg.text(20, 46, subtitle, {11, "start", kFaint});
  for (double tick : axisTicks(0, double(arena), 6)) {
    svg.line(kLeft, yOf(int64_t(tick)), kLeft + width, yOf(int64_t(tick)), kGrid);
    svg.text(kLeft - 8, yOf(int64_t(tick)) + 4, byteText(tick), {11, "end"});
  }
  // One colour for a node, the largest nodes first, so that neighbours of equal size still differ.
  std::map<std::string, int64_t> bytesOf;
  for (const Slab &slab : slabs)
    bytesOf[slab.node] = std::max(bytesOf[slab.node], slab.bytes);
  std::vector<std::pair<int64_t, std::string>> bySize;
  for (auto &[node, bytes] : bytesOf)
    bySize.emplace_back(-bytes, node);
  std::sort(bySize.begin(), bySize.end());
  std::map<std::string, size_t> colorOf;
  for (auto &[bytes, node] : bySize)
    colorOf.emplace(node, colorOf.size());
  for (const Slab &slab : slabs) {
    double x = kLeft + step * slab.first, w = step * (slab.last - slab.first + 1), h = double(slab.bytes) * scale, y = yOf(slab.offset + slab.bytes);
    svg.rect(x + 0.5, y, w - 1, h, seriesColor(colorOf[slab.node]),
             "fill-opacity=\"0.28\" stroke=\"" + std::string(seriesColor(colorOf[slab.node])) + "\" stroke-width=\"0.8\"",
             slab.node + ": " + groupDigits(slab.bytes) + " bytes at " + groupDigits(slab.offset));
  }
  // What is in use at each moment: the plan's quality is the gap below the dashed line.
  std::string path;
  int64_t most = 0;
  for (size_t c = 0; c < columns; ++c) {
    int64_t live = 0;
    for (const Slab &slab : slabs)
      if (slab.first <= double(c) && double(c) <= slab.last)
        live += slab.bytes;
    most = std::max(most, live);
    path += (c ? "L" : "M") + coordinate(kLeft + step * double(c)) + " " + coordinate(yOf(live)) + "L" + coordinate(kLeft + step * double(c + 1)) +
            " " + coordinate(yOf(live));
  }
  svg.path(path, kInk, 1.4, "stroke-dasharray=\"4 3\"");
  for (const Slab &slab : slabs) {
    double x = kLeft + step * slab.first, w = step * (slab.last - slab.first + 1), h = double(slab.bytes) * scale, y = yOf(slab.offset + slab.bytes);
    std::string label = slab.node + ", " + byteText(double(slab.bytes));
    // Where it fits: across, on its side, or nowhere (the tip has it).
    if (h >= 14 && textWidth(label, 10) <= w - 6)
      svg.text(x + w / 2, y + h / 2 + 4, label, {10, "middle"});
    else if (h >= 14 && w >= 44)
      svg.text(x + w / 2, y + h / 2 + 4, fitText(slab.node, w - 6, 10), {10, "middle"});
    else if (w >= 14 && h >= 44)
      svg.text(x + w / 2 + 4, y + h / 2, fitText(slab.node, h - 8, 10), {10, "middle", kInk, false, -90});
  }
  svg.line(kLeft, kTop, kLeft, kTop + kHeight, kFrame);
  svg.line(kLeft, kTop + kHeight, kLeft + width, kTop + kHeight, kFrame);
  svg.text(kLeft, kTop + kHeight + 18, "order of execution: from each buffer's first use to its last; a repeat's rounds share one place",
           {11, "start", kFaint});
  std::string used = "bytes in use, at most " + groupDigits(most);
  svg.line(kLeft, kTop + kHeight + 34, kLeft + 30, kTop + kHeight + 34, kInk, 1.4, "stroke-dasharray=\"4 3\"");
  svg.text(kLeft + 36, kTop + kHeight + 38, used, {11});
  return svg.str(std::max({kLeft + width + 30, 40 + textWidth(title, 16, true), kLeft + 560}), kTop + kHeight + 56);
}

int view(EntryPictureOptions options) {
  ModelDesc model;
  Sizes sizes;
  if (int code = readPicturedEntry(options, model, sizes, /*mayTrain=*/true))
    return code;
  CompileOptions compile;
  compile.entries = {options.entry};
  compile.stopAfter = Stage::memory;
  CompiledModel compiled;
  if (int code = compileOrFail(options, model, compile, compiled))
    return code;
  std::optional<std::vector<int64_t>> offsets = compiled.arenas.at(options.entry).offsets(sizes);
  if (!offsets)
    return fail(kLimit, "the arena of entry " + quote(options.entry) + " is out of range at " + sizesText(sizes));
  size_t columns = 0;
  std::vector<Slab> slabs = slabsOf(compiled, options.entry, sizes, *offsets, columns);
  return writePicture(options.output, drawPlan(model, options, sizes, slabs, columns, offsets->back()), {options.model});
}

} // namespace

void addViewMemory(CLI::App &view_, Action &action) {
  auto options = std::make_shared<EntryPictureOptions>();
  CLI::App *command = view_.add_subcommand("memory", "the arena over time: which node's value lies where");
  addEntryPictureOptions(*command, *options, "memory.svg", "sizes");
  command->footer("Examples:\n  weft view memory gpt2.json -o memory.svg\n  weft view memory gpt2.json --entry prefill --dim B=1,T=1024\n  weft view memory gpt2.json --entry train_step");
  command->callback([=, &action] { action = [=] { return view(*options); }; });
}

} // namespace weft

// The usual four steps: layers by longest path, small boxes where an edge crosses a layer, an order inside layers by the
// means of neighbours, and coordinates that come as near to those means as the widths allow.
#include "Layout.h"

#include <algorithm>
#include <cmath>

namespace weft {
namespace {

constexpr double kGapX = 22, kGapY = 34, kPassing = 10;

struct Item {
  double width, height;
  int layer = 0;
  double center = 0;
  std::vector<int> above, below; ///< neighbours in the layers next to it
};

class Layers {
public:
  Layers(std::vector<LayoutBox> &boxes, std::vector<LayoutEdge> &edges) : boxes(boxes), edges(edges) {}

  LayoutSize run() {
    assignLayers();
    linkLayers();
    for (int sweep = 0; sweep < 12; ++sweep)
      order(sweep % 2 == 0);
    placeAcross();
    return placeDown();
  }

private:
  void assignLayers() {
    for (const LayoutBox &box : boxes)
      items.push_back({box.width, box.height, 0, 0, {}, {}});
    std::vector<bool> isSource(boxes.size(), true);
    // Edges are sorted by where they start, so that a layer is final before it is passed on.
    std::sort(edges.begin(), edges.end(), [](const LayoutEdge &a, const LayoutEdge &b) { return std::pair(a.from, a.to) < std::pair(b.from, b.to); });
    for (const LayoutEdge &edge : edges) {
      items[edge.to].layer = std::max(items[edge.to].layer, items[edge.from].layer + 1);
      isSource[edge.to] = false;
    }
    // What nothing leads to stands right above its first use.
    for (size_t i = boxes.size(); i-- > 0;) {
      int lowest = -1;
      for (const LayoutEdge &edge : edges)
        if (edge.from == int(i))
          lowest = lowest < 0 ? items[edge.to].layer : std::min(lowest, items[edge.to].layer);
      if (isSource[i] && lowest > 0)
        items[i].layer = lowest - 1;
    }
  }

  void linkLayers() {
    chains.resize(edges.size());
    for (size_t e = 0; e < edges.size(); ++e) {
      int last = edges[e].from;
      auto link = [&](int next) {
        items[last].below.push_back(next);
        items[next].above.push_back(last);
        last = next;
      };
      for (int layer = items[edges[e].from].layer + 1; layer < items[edges[e].to].layer; ++layer) {
        items.push_back({kPassing, 0, layer, 0, {}, {}});
        chains[e].push_back(int(items.size()) - 1);
        link(int(items.size()) - 1);
      }
      link(edges[e].to);
    }
    for (size_t i = 0; i < items.size(); ++i) {
      if (size_t(items[i].layer) >= layers.size())
        layers.resize(size_t(items[i].layer) + 1);
      layers[size_t(items[i].layer)].push_back(int(i));
    }
    for (auto &layer : layers)
      pack(layer);
  }

  void pack(const std::vector<int> &layer) {
    double x = 0;
    for (int i : layer) {
      items[i].center = x + items[i].width / 2;
      x += items[i].width + kGapX;
    }
    for (int i : layer)
      items[i].center -= x / 2;
  }

  double mean(int i, bool down) const {
    const std::vector<int> &near = down ? items[i].above : items[i].below;
    double sum = 0;
    for (int other : near)
      sum += items[other].center;
    return near.empty() ? items[i].center : sum / double(near.size());
  }

  void order(bool down) {
    for (size_t k = 0; k < layers.size(); ++k) {
      auto &layer = layers[down ? k : layers.size() - 1 - k];
      std::vector<std::pair<double, size_t>> wanted; // equal means keep their order
      for (size_t i = 0; i < layer.size(); ++i)
        wanted.emplace_back(mean(layer[i], down), i);
      std::sort(wanted.begin(), wanted.end());
      std::vector<int> before = layer;
      for (size_t i = 0; i < layer.size(); ++i)
        layer[i] = before[wanted[i].second];
      pack(layer);
    }
  }

  /// Least squares to the wanted centers with the order and the gaps kept: neighbours that would overlap move together.
  void settle(const std::vector<int> &layer, bool down, bool both) {
    struct Group {
      double sum;
      int count;
    };
    std::vector<double> shift(layer.size(), 0);
    for (size_t i = 1; i < layer.size(); ++i)
      shift[i] = shift[i - 1] + (items[layer[i - 1]].width + items[layer[i]].width) / 2 + kGapX;
    std::vector<Group> groups;
    for (size_t i = 0; i < layer.size(); ++i) {
      double wanted = both ? (mean(layer[i], true) + mean(layer[i], false)) / 2 : mean(layer[i], down);
      groups.push_back({wanted - shift[i], 1});
      while (groups.size() > 1 && groups[groups.size() - 2].sum / groups[groups.size() - 2].count > groups.back().sum / groups.back().count) {
        Group last = groups.back();
        groups.pop_back();
        groups.back().sum += last.sum;
        groups.back().count += last.count;
      }
    }
    size_t i = 0;
    for (const Group &group : groups)
      for (int k = 0; k < group.count; ++k, ++i)
        items[layer[i]].center = group.sum / group.count + shift[i];
  }

  void placeAcross() {
    for (int sweep = 0; sweep < 24; ++sweep)
      for (size_t k = 0; k < layers.size(); ++k)
        settle(layers[sweep % 2 == 0 ? k : layers.size() - 1 - k], sweep % 2 == 0, sweep >= 16);
  }

  LayoutSize placeDown() {
    LayoutSize size;
    double left = 1e300, right = -1e300;
    for (const Item &item : items) {
      left = std::min(left, item.center - item.width / 2);
      right = std::max(right, item.center + item.width / 2);
    }
    size.width = items.empty() ? 0 : right - left;
    std::vector<double> top(layers.size()), bottom(layers.size());
    double y = 0;
    for (size_t k = 0; k < layers.size(); ++k) {
      double height = 0;
      for (int i : layers[k])
        height = std::max(height, items[i].height);
      top[k] = y;
      bottom[k] = y + height;
      size.height = y + height;
      y += height + kGapY;
    }
    for (size_t i = 0; i < boxes.size(); ++i) {
      boxes[i].x = items[i].center - items[i].width / 2 - left;
      boxes[i].y = (top[size_t(items[i].layer)] + bottom[size_t(items[i].layer)] - items[i].height) / 2;
    }
    for (size_t e = 0; e < edges.size(); ++e) {
      const LayoutBox &from = boxes[edges[e].from], &to = boxes[edges[e].to];
      auto &points = edges[e].points;
      points.emplace_back(from.x + from.width / 2, from.y + from.height);
      for (int i : chains[e]) {
        auto layer = size_t(items[i].layer);
        points.emplace_back(items[i].center - left, top[layer]);
        points.emplace_back(items[i].center - left, bottom[layer]);
      }
      points.emplace_back(to.x + to.width / 2, to.y);
    }
    return size;
  }

  std::vector<LayoutBox> &boxes;
  std::vector<LayoutEdge> &edges;
  std::vector<Item> items; ///< boxes, then what edges pass through
  std::vector<std::vector<int>> layers, chains;
};

} // namespace

LayoutSize layOut(std::vector<LayoutBox> &boxes, std::vector<LayoutEdge> &edges) { return Layers(boxes, edges).run(); }

} // namespace weft

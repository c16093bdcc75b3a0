// Text is escaped here, once, so that names from model files stay text.
// Widths are those of the widest of the usual fonts (DejaVu Sans): others leave some room.
#include "Svg.h"

#include "import/Diagnostics.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace weft {

static std::string escapeXml(std::string_view text) {
  std::string out;
  for (char c : escapeText(text)) {
    switch (c) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '"':
      out += "&quot;";
      break;
    default:
      out += c;
    }
  }
  return out;
}

std::string coordinate(double value) {
  char text[40];
  std::snprintf(text, sizeof(text), "%.2f", value);
  std::string out = text;
  while (out.back() == '0')
    out.pop_back();
  if (out.back() == '.')
    out.pop_back();
  return out == "-0" ? "0" : out;
}

static std::string attribute(const char *name, std::string_view value) { return std::string(" ") + name + "=\"" + std::string(value) + "\""; }
static std::string attribute(const char *name, double value) { return attribute(name, coordinate(value)); }

void Svg::rect(double x, double y, double width, double height, std::string_view fill, std::string_view more, std::string_view tip) {
  body += "<rect" + attribute("x", x) + attribute("y", y) + attribute("width", width) + attribute("height", height) + attribute("fill", fill);
  body += (more.empty() ? "" : " ") + std::string(more);
  body += tip.empty() ? "/>\n" : "><title>" + escapeXml(tip) + "</title></rect>\n";
}

void Svg::line(double x1, double y1, double x2, double y2, std::string_view stroke, double width, std::string_view more) {
  body += "<line" + attribute("x1", x1) + attribute("y1", y1) + attribute("x2", x2) + attribute("y2", y2) + attribute("stroke", stroke) +
          attribute("stroke-width", width) + (more.empty() ? "" : " ") + std::string(more) + "/>\n";
}

void Svg::polyline(const std::vector<std::pair<double, double>> &points, std::string_view stroke, double width) {
  std::string list;
  for (auto [x, y] : points)
    list += (list.empty() ? "" : " ") + coordinate(x) + "," + coordinate(y);
  body += "<polyline fill=\"none\" stroke-linejoin=\"round\"" + attribute("stroke", stroke) + attribute("stroke-width", width) +
          attribute("points", list) + "/>\n";
}

void Svg::path(const std::string &commands, std::string_view stroke, double width, std::string_view more) {
  body += "<path fill=\"none\"" + attribute("stroke", stroke) + attribute("stroke-width", width) + attribute("d", commands) +
          (more.empty() ? "" : " ") + std::string(more) + "/>\n";
}

void Svg::text(double x, double y, std::string_view text, const TextStyle &style) {
  body += "<text" + attribute("x", x) + attribute("y", y) + attribute("font-size", style.size) + attribute("fill", style.fill);
  if (std::string_view(style.anchor) != "start")
    body += attribute("text-anchor", style.anchor);
  if (style.bold)
    body += attribute("font-weight", "bold");
  if (style.turn != 0)
    body += attribute("transform", "rotate(" + coordinate(style.turn) + " " + coordinate(x) + " " + coordinate(y) + ")");
  body += ">" + escapeXml(text) + "</text>\n";
}

std::string Svg::str(double width, double height) const {
  std::string w = coordinate(std::ceil(width)), h = coordinate(std::ceil(height));
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + w + "\" height=\"" + h + "\" viewBox=\"0 0 " + w + " " + h +
         "\" font-family=\"DejaVu Sans, Verdana, Helvetica, Arial, sans-serif\">\n<rect width=\"" + w + "\" height=\"" + h +
         "\" fill=\"#ffffff\"/>\n" + body + "</svg>\n";
}

/// Bytes of the character that starts with `lead`.
static size_t characterBytes(unsigned char lead) { return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4; }

static double characterWidth(unsigned char lead) {
  if (lead >= 0xe3)
    return 1.0; // CJK and pictures are square
  if (lead >= 0x80)
    return 0.7;
  if (std::string_view("il.,:;'|!jI()[]{} tfr/\\-").find(char(lead)) != std::string_view::npos)
    return 0.42;
  if (std::string_view("mwMW@%").find(char(lead)) != std::string_view::npos)
    return 0.98;
  return lead >= 'A' && lead <= 'Z' ? 0.72 : 0.64;
}

double textWidth(std::string_view text, double size, bool bold) {
  double width = 0;
  for (size_t i = 0; i < text.size(); i += characterBytes(static_cast<unsigned char>(text[i])))
    width += characterWidth(static_cast<unsigned char>(text[i]));
  return width * size * (bold ? 1.1 : 1);
}

std::string fitText(const std::string &text, double width, double size) {
  if (textWidth(text, size) <= width)
    return text;
  double used = textWidth("…", size);
  size_t end = 0;
  while (end < text.size()) {
    auto lead = static_cast<unsigned char>(text[end]);
    used += characterWidth(lead) * size;
    if (used > width)
      break;
    end += characterBytes(lead);
  }
  return text.substr(0, end) + "…";
}

static const double kStops[][4] = {{0, 255, 255, 255}, {0.25, 203, 222, 241}, {0.5, 119, 172, 217}, {0.75, 38, 108, 172}, {1, 8, 37, 82}};

std::string heatColor(double value) {
  value = std::isfinite(value) ? std::clamp(value, 0.0, 1.0) : 0;
  size_t upper = 1;
  while (kStops[upper][0] < value)
    ++upper;
  const double *a = kStops[upper - 1], *b = kStops[upper];
  double part = (value - a[0]) / (b[0] - a[0]);
  char text[16];
  std::snprintf(text, sizeof(text), "#%02x%02x%02x", int(std::lround(a[1] + part * (b[1] - a[1]))), int(std::lround(a[2] + part * (b[2] - a[2]))),
                int(std::lround(a[3] + part * (b[3] - a[3]))));
  return text;
}

bool isDark(double value) { return value > 0.55; }

std::string paleColor(std::string_view color) {
  std::string pale = "#";
  for (size_t at : {1, 3, 5}) {
    auto value = std::stoi(std::string(color.substr(at, 2)), nullptr, 16);
    char text[8];
    std::snprintf(text, sizeof(text), "%02x", value + (255 - value) * 62 / 100);
    pale += text;
  }
  return pale;
}

const char *seriesColor(size_t number) {
  static const char *const colors[] = {"#2166ac", "#d6604d", "#4d9221", "#8856a7", "#b8860b", "#1b9e9e", "#c51b7d", "#6b4c2a", "#5a6570", "#e08214"};
  return colors[number % 10];
}

std::vector<double> axisTicks(double low, double high, int count) {
  if (!(high > low))
    return {low};
  double rough = (high - low) / std::max(count, 1), power = std::pow(10, std::floor(std::log10(rough))), step = power;
  for (double factor : {1.0, 2.0, 2.5, 5.0, 10.0})
    if (power * factor >= rough * 0.999) {
      step = power * factor;
      break;
    }
  std::vector<double> ticks;
  for (double k = std::ceil(low / step - 1e-9); k * step <= high + step * 1e-9; ++k)
    ticks.push_back(k * step + 0.0); // never -0
  return ticks;
}

std::string tickText(double value) {
  if (std::fabs(value) < 1e-300)
    return "0";
  static const std::pair<double, const char *> units[] = {{1e9, "G"}, {1e6, "M"}, {1e4, "k"}};
  char text[40];
  for (auto [size, name] : units)
    if (std::fabs(value) >= size) {
      std::snprintf(text, sizeof(text), "%.4g%s", value / (size == 1e4 ? 1e3 : size), name);
      return text;
    }
  std::snprintf(text, sizeof(text), "%.4g", value);
  return text;
}

} // namespace weft

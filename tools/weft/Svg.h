// Pictures as SVG text: shapes, text whose width is known well enough to lay it out, colours, numbers on axes.
// All pictures of `weft view` are dark on white and look the same in every viewer: no scripts, no outside fonts.
#ifndef WEFT_TOOLS_SVG_H
#define WEFT_TOOLS_SVG_H

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft {

constexpr const char *kInk = "#1f2933", *kFaint = "#66727f", *kGrid = "#e3e7eb", *kFrame = "#9aa5b1";

struct TextStyle {
  double size = 11;
  const char *anchor = "start"; ///< start, middle, end
  const char *fill = kInk;
  bool bold = false;
  double turn = 0; ///< degrees, about its own place
};

class Svg {
public:
  void rect(double x, double y, double width, double height, std::string_view fill, std::string_view more = {}, std::string_view tip = {});
  void line(double x1, double y1, double x2, double y2, std::string_view stroke, double width = 1, std::string_view more = {});
  /// Through all points, in straight lines.
  void polyline(const std::vector<std::pair<double, double>> &points, std::string_view stroke, double width);
  /// `commands` as in the attribute d.
  void path(const std::string &commands, std::string_view stroke, double width, std::string_view more = {});
  /// y is the base line.
  void text(double x, double y, std::string_view text, const TextStyle &style = {});
  /// The file: everything drawn, on white.
  std::string str(double width, double height) const;

private:
  std::string body;
};

/// Width of text in a common sans-serif font, rather too much than too little.
double textWidth(std::string_view text, double size, bool bold = false);
/// As much of the text as fits, with "…" for the rest. Never cuts a character in two.
std::string fitText(const std::string &text, double width, double size);
/// A coordinate: two decimals, without zeros at the end.
std::string coordinate(double value);

/// White (0) through blue to near black (1); the lightness falls evenly.
std::string heatColor(double value);
/// Whether text on heatColor(value) should be white.
bool isDark(double value);
/// A colour "#rrggbb" mixed half and more with white.
std::string paleColor(std::string_view color);
/// One of ten colours that can be told apart.
const char *seriesColor(size_t number);

/// Round numbers from low to high, about `count` of them.
std::vector<double> axisTicks(double low, double high, int count);
/// A number as short as it can be: "0.25", "1.5e-05", "12k".
std::string tickText(double value);

} // namespace weft

#endif // WEFT_TOOLS_SVG_H

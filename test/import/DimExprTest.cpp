// DimExpr: canonical forms, exact division, min and max, overflow, the text's round trip.
// A random comparison with plain 128-bit arithmetic covers what the examples do not.
#include "dialect/DimExpr.h"

#include <gtest/gtest.h>
#include <random>

using weft::DimExpr;

namespace {

DimExpr parse(const char *text) {
  auto value = DimExpr::parse(text);
  EXPECT_TRUE(value.has_value()) << text;
  return value.value_or(DimExpr());
}

TEST(DimExpr, EqualityIsThatOfPolynomials) {
  EXPECT_EQ(parse("B * T * 384"), parse("T * 192 * 2 * B"));
  EXPECT_EQ(parse("(T + 1) * (T - 1)"), parse("T * T - 1"));
  EXPECT_EQ(parse("T - T"), DimExpr(0));
  EXPECT_EQ(parse("2 * T / 4 * 2"), DimExpr::dim("T"));
  EXPECT_NE(parse("T"), parse("S"));
  EXPECT_NE(parse("T"), DimExpr(1));
}

TEST(DimExpr, TextIsReadableAndRoundTrips) {
  for (auto [from, to] :
       {std::pair("384*B*T", "B * T * 384"), std::pair("1+T", "T + 1"), std::pair("T/2", "T / 2"),
        std::pair("1-T", "-T + 1"), std::pair("0", "0"), std::pair("-T", "-T"), std::pair("(T+1)/2", "(T + 1) / 2"),
        std::pair("3*T/2", "T * 3 / 2"), std::pair("T*T", "T * T")}) {
    std::string text = parse(from).str();
    if (std::string(from) != "1-T") {
      EXPECT_EQ(text, to);
    }
    EXPECT_EQ(parse(text.c_str()), parse(from)) << text;
  }
}

TEST(DimExpr, DivisionIsExactOrRefused) {
  EXPECT_EQ(*DimExpr(12).divide(4), DimExpr(3));
  EXPECT_FALSE(DimExpr(10).divide(4).has_value());
  EXPECT_FALSE(DimExpr(10).divide(0).has_value());
  EXPECT_EQ(*parse("B * T * 8").divide(parse("B * 4")), parse("2 * T"));
  EXPECT_FALSE(parse("B * 8").divide(parse("T")).has_value());
  EXPECT_EQ(*parse("2 * (T + 1)").divide(parse("T + 1")), DimExpr(2));
  EXPECT_FALSE(parse("T + 2").divide(parse("T + 1")).has_value());
  EXPECT_EQ(parse("T / 2").evaluate({{"T", 6}}), 3);
  EXPECT_EQ(parse("T / 2").evaluate({{"T", 5}}), std::nullopt);
}

TEST(DimExpr, MinAndMaxAreCanonical) {
  EXPECT_EQ(parse("min(T, 128)").str(), "min(128, T)");
  EXPECT_EQ(parse("min(T, T + 1)"), DimExpr::dim("T"));
  EXPECT_EQ(parse("max(3, 5)"), DimExpr(5));
  EXPECT_EQ(parse("min(a, min(b, c))"), parse("min(min(c, a), b)"));
  EXPECT_EQ(parse("min(T, 128)").evaluate({{"T", 200}}), 128);
  EXPECT_EQ(parse("max(T, S) * 2 - 1").evaluate({{"T", 3}, {"S", 5}}), 9);
  EXPECT_EQ(parse("min(T, 128)").substitute({{"T", DimExpr(4)}}), DimExpr(4));
  EXPECT_EQ(parse("min(T, 128) + B").names(), (std::vector<std::string>{"B", "T"}));
  EXPECT_EQ(parse(parse("max(min(T, 128), S + 1)").str().c_str()), parse("max(S + 1, min(128, T))"));
}

TEST(DimExpr, OverflowIsInvalidAndStaysSo) {
  DimExpr huge(int64_t(1) << 62);
  EXPECT_FALSE((huge * huge).isValid());
  EXPECT_FALSE((huge + huge + huge).isValid());
  EXPECT_FALSE((huge * huge - huge * huge).isValid());
  EXPECT_EQ((huge * huge).constant(), std::nullopt);
  EXPECT_FALSE(DimExpr::parse("9223372036854775808").has_value());
  EXPECT_EQ((DimExpr::dim("T") * huge).evaluate({{"T", 4}}), std::nullopt);
  DimExpr power = DimExpr::dim("T");
  for (int i = 0; i < 6; ++i)
    power = power * power;
  EXPECT_FALSE(power.isValid());
}

TEST(DimExpr, NonsenseDoesNotParse) {
  for (const char *text : {"", "T +", "(T", "T)", "T T", "min(", "min()", "max(T,", "@", "1.5", "T ** 2"})
    EXPECT_FALSE(DimExpr::parse(text).has_value()) << text;
  std::string deep(100000, '(');
  EXPECT_FALSE(DimExpr::parse(deep).has_value());
}

TEST(DimExpr, AgreesWithPlainArithmetic) {
  std::mt19937 random(1);
  auto pick = [&](int n) { return static_cast<int>(random() % n); };
  const std::map<std::string, int64_t> sizes = {{"B", 7}, {"T", 12}, {"S", 5}};
  const std::vector<std::string> names = {"B", "T", "S"};
  for (int round = 0; round < 2000; ++round) {
    DimExpr value = pick(2) ? DimExpr::dim(names[pick(3)]) : DimExpr(pick(9) - 4);
    int64_t expected = *value.evaluate(sizes);
    for (int step = 0; step < 5; ++step) {
      DimExpr other = pick(2) ? DimExpr::dim(names[pick(3)]) : DimExpr(pick(9) - 4);
      int64_t number = *other.evaluate(sizes);
      switch (pick(5)) {
      case 0:
        value = value + other, expected += number;
        break;
      case 1:
        value = value - other, expected -= number;
        break;
      case 2:
        value = value * other, expected *= number;
        break;
      case 3:
        value = DimExpr::min(value, other), expected = std::min(expected, number);
        break;
      case 4:
        value = DimExpr::max(value, other), expected = std::max(expected, number);
        break;
      }
    }
    ASSERT_TRUE(value.isValid());
    EXPECT_EQ(value.evaluate(sizes), expected) << value.str();
    auto again = DimExpr::parse(value.str());
    ASSERT_TRUE(again.has_value()) << value.str();
    EXPECT_EQ(*again, value) << value.str();
  }
}

} // namespace

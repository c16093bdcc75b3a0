// Bounds and reports of the comparison, and bytes of elements.
// What a test calls equal is itself tested: a planted error must be found.
#include "Compare.h"
#include "RandomTensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

namespace weft::reference {
namespace {

Tensor reals(std::vector<int64_t> shape, std::vector<double> elements) { return Tensor(DType::f32, std::move(shape), std::move(elements)); }

TEST(Compare, FindsFirstAndWorst) {
  Tensor expected = reals({2, 2}, {1, 2, 3, 4}), got = reals({2, 2}, {1, 2.5, 3, 6});
  Comparison found = compare(got, expected, nullptr, Bound::scale(1e-5));
  EXPECT_FALSE(found.ok());
  EXPECT_EQ(found.wrong, 2);
  EXPECT_EQ(found.first.index, (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(found.worst.index, (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(found.first.str(), "[0, 1]: expected 2 but got 2.5, allowed error 4e-05");
}

TEST(Compare, NaNAndInfinityMustMatch) {
  Tensor expected = reals({3}, {NAN, INFINITY, 0});
  EXPECT_TRUE(compare(expected, expected, nullptr, Bound::exact()).ok());
  EXPECT_EQ(compare(reals({3}, {0, INFINITY, 0}), expected, nullptr, Bound::scale(1)).wrong, 1);
  EXPECT_EQ(compare(reals({3}, {NAN, -INFINITY, 0}), expected, nullptr, Bound::scale(1)).wrong, 1);
  EXPECT_EQ(compare(reals({3}, {NAN, INFINITY, NAN}), expected, nullptr, Bound::scale(1)).wrong, 1);
}

TEST(Compare, NaiveErrorWidensTheBound) {
  Tensor expected = reals({2}, {1, 1}), naive = reals({2}, {1 + 1e-5, 1}), got = reals({2}, {1 - 4e-5, 1 + 2e-5});
  EXPECT_TRUE(compare(got, expected, &naive, Bound()).ok());
  EXPECT_FALSE(compare(got, expected, nullptr, Bound()).ok());
  EXPECT_FALSE(compare(reals({2}, {1 + 2e-4, 1}), expected, &naive, Bound()).ok());
}

TEST(Compare, ShapesAndIntegersAreExact) {
  EXPECT_EQ(compare(reals({1, 2}, {1, 2}), reals({2}, {1, 2}), nullptr, Bound()).error, "expected f32 [2] but got f32 [1, 2]");
  Tensor a(DType::i64, {1}, std::vector<int64_t>{5}), b(DType::i64, {1}, std::vector<int64_t>{6});
  EXPECT_EQ(compare(a, b, nullptr, Bound::scale(1)).wrong, 1);
}

TEST(Tensor, BytesThereAndBack) {
  for (int type = 0; type <= static_cast<int>(DType::boolean); ++type) {
    Tensor x = randomTensor(7, "x", static_cast<DType>(type), {3, 5}, 0, 100);
    std::vector<char> bytes = toBytes(x);
    ASSERT_EQ(static_cast<int64_t>(bytes.size()), 15 * elementBytes(x.dtype));
    Tensor back = fromBytes(x.dtype, x.shape, bytes.data()).value();
    EXPECT_EQ(back.reals, x.reals);
    EXPECT_EQ(back.integers, x.integers);
  }
}

// Every f16 and bf16 there is, by its bits.
TEST(Tensor, HalvesSurviveExactly) {
  for (DType type : {DType::f16, DType::bf16})
    for (uint32_t bits = 0; bits < 65536; ++bits) {
      uint16_t stored = static_cast<uint16_t>(bits);
      Tensor x = fromBytes(type, {1}, &stored).value();
      if (std::isnan(x.reals[0]))
        continue;
      std::vector<char> bytes = toBytes(x);
      uint16_t back;
      std::memcpy(&back, bytes.data(), 2);
      ASSERT_EQ(back, stored) << dtypeText(type);
      ASSERT_EQ(roundTo(type, x.reals[0]), x.reals[0]);
    }
}

TEST(Tensor, UlpAndWrap) {
  EXPECT_EQ(ulp(DType::f32, 1.5), 0x1p-23);
  EXPECT_EQ(ulp(DType::f32, 0), 0x1p-149);
  EXPECT_EQ(ulp(DType::bf16, 2), 0x1p-6);
  EXPECT_EQ(wrapTo(DType::i8, 200), -56);
  EXPECT_EQ(wrapTo(DType::u8, -1), 255);
}

TEST(Tensor, AbsurdShapesAreRefused) {
  EXPECT_FALSE(elementCount({int64_t(1) << 40, 2}));
  EXPECT_FALSE(elementCount({-1}));
  EXPECT_EQ(elementCount({0, int64_t(1) << 40}), 0);
  EXPECT_EQ(elementCount({}), 1);
}

}  // namespace
}  // namespace weft::reference

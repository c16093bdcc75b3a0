// Offsets as closed expressions: right for every size of the dims, checked for overflow.
// Each test states one fact.
#include "memory/ArenaPlan.h"

#include <gtest/gtest.h>

using weft::ArenaPlan;
using weft::DimExpr;

namespace {

const DimExpr T = DimExpr::dim("T");

TEST(ArenaPlan, BuffersThatNeverMeetShareAnAddress) {
  ArenaPlan plan{{T * DimExpr(4), T * DimExpr(8)}, {{}, {}}};
  EXPECT_EQ(*plan.offsets({{"T", 16}}), (std::vector<int64_t>{0, 0, 128}));
}

TEST(ArenaPlan, ABufferLiesAboveTheLargestBelowIt) {
  ArenaPlan plan{{T * DimExpr(4), DimExpr(1000), DimExpr(64)}, {{}, {}, {0, 1}}};
  EXPECT_EQ(*plan.offsets({{"T", 16}}), (std::vector<int64_t>{0, 0, 1024, 1088}));
  EXPECT_EQ(*plan.offsets({{"T", 512}}), (std::vector<int64_t>{0, 0, 2048, 2112}));
}

TEST(ArenaPlan, OffsetsAreMultiplesOf64) {
  ArenaPlan plan{{DimExpr(4), DimExpr(4)}, {{}, {0}}};
  EXPECT_EQ(*plan.offsets({}), (std::vector<int64_t>{0, 64, 128}));
}

TEST(ArenaPlan, AnEmptyPlanNeedsNothing) { EXPECT_EQ(*ArenaPlan{}.offsets({}), (std::vector<int64_t>{0})); }

TEST(ArenaPlan, OverflowIsNoPlan) {
  DimExpr huge = T * T * T * DimExpr(1 << 20);
  EXPECT_FALSE((ArenaPlan{{huge}, {{}}}.offsets({{"T", 1 << 20}})));
}

TEST(ArenaPlan, AMissingDimIsNoPlan) { EXPECT_FALSE((ArenaPlan{{T}, {{}}}.offsets({{"B", 1}}))); }

} // namespace

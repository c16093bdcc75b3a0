// What a batch counts in means over several: its labels where the loss is one mean over them, else its samples.
#include "Helpers.h"

#include "import/BatchWeight.h"

using namespace weft;
using namespace weft::test;

namespace {

const char *kCross = R"({"id": "ce", "op": "cross_entropy", "in": ["y", "t"]}, )";
const char *kOther = R"({"id": "more", "op": "cross_entropy", "in": ["z", "t"]}, )";
const char *kSquares = R"({"id": "sq", "op": "mse", "in": ["y", "z"]}, )";

/// `last` makes "l" of what the nodes before it give.
Reading lossOf(const std::string &nodes, const std::string &last, const std::string &label = R"({"dtype": "i32", "shape": ["B"]})", const std::string &more = "") {
  const std::string graph = R"({"id": "y", "op": "linear", "in": "x", "features": 3}, {"id": "z", "op": "linear", "in": "x", "features": 3}, {"id": "s", "op": "parameter", "shape": []},
                               {"id": "sum", "op": "add", "in": ["y", "z"]})";
  return readParts("x:f32[B,8]", graph, "sum",
                   R"("train": {"inputs": {"t": )" + label + R"(}, "nodes": [)" + nodes + R"({"id": "l", )" + last + R"(}], "loss": "l")" + more + "},");
}

std::string counted(const Reading &got) {
  const BatchWeight weight = batchWeight(*got);
  return weight.counted ? weight.counted->path : weight.uncounted ? "samples, not the labels of " + weight.uncounted->path : "samples";
}

#define EXPECT_COUNTED(reading, expected)                                                                              \
  do {                                                                                                                 \
    Reading got = reading;                                                                                             \
    EXPECT_READS(got);                                                                                                 \
    if (got)                                                                                                           \
      EXPECT_EQ(counted(got), expected);                                                                               \
  } while (false)

TEST(BatchWeight, OneMeanCountsItsLabels) { EXPECT_COUNTED(lossOf("", R"("op": "cross_entropy", "in": ["y", "t"])"), "l"); }

TEST(BatchWeight, FactorsAndSumsThatNoBatchChangesLeaveIt) {
  EXPECT_COUNTED(lossOf(kCross, R"("op": "mul", "in": "ce", "value": 2)"), "ce");
  EXPECT_COUNTED(lossOf(kCross, R"("op": "div", "in": ["ce", "s"])"), "ce");
  EXPECT_COUNTED(lossOf(std::string(kCross) + R"({"id": "decay", "op": "mul", "in": ["s", "s"]}, )", R"("op": "add", "in": ["ce", "decay"])"), "ce");
}

TEST(BatchWeight, DifferencesSignsAndCastsLeaveIt) {
  EXPECT_COUNTED(lossOf(kCross, R"("op": "sub", "in": ["ce", "s"])"), "ce");
  EXPECT_COUNTED(lossOf(std::string(kCross) + R"({"id": "minus", "op": "neg", "in": "ce"}, )", R"("op": "neg", "in": "minus")"), "ce");
  EXPECT_COUNTED(lossOf(kCross, R"("op": "cast", "in": "ce", "dtype": "f64")"), "ce");
}

TEST(BatchWeight, AMeanMayOccurAnyNumberOfTimes) {
  std::string doubled = kCross, last = "ce";
  for (int i = 0; i < 60; ++i, last = "d" + std::to_string(i - 1))
    doubled += R"({"id": "d)" + std::to_string(i) + R"(", "op": "add", "in": [")" + last + R"(", ")" + last + R"("]}, )";
  EXPECT_COUNTED(lossOf(doubled, R"("op": "neg", "in": ")" + last + R"(")"), "ce");
}

TEST(BatchWeight, WhatABatchDrawsOrGivesIsAnotherTerm) {
  EXPECT_COUNTED(lossOf(std::string(kCross) + R"({"id": "d", "op": "dropout", "in": "s", "p": 0.5}, )", R"("op": "add", "in": ["ce", "d"])"), "samples, not the labels of ce");
  Reading given = readParts("x:f32[B,8] c:f32[]", R"({"id": "y", "op": "linear", "in": "x", "features": 3})", "y",
                          R"("train": {"inputs": {"t": {"dtype": "i32", "shape": ["B"]}}, "nodes": [{"id": "ce", "op": "cross_entropy", "in": ["y", "t"]}, {"id": "l", "op": "add", "in": ["ce", "c"]}], "loss": "l"},)");
  EXPECT_COUNTED(std::move(given), "samples, not the labels of ce");
}

TEST(BatchWeight, SeveralMeansOverTheSameLabelsAreOne) {
  EXPECT_COUNTED(lossOf(std::string(kCross) + kOther, R"("op": "add", "in": ["ce", "more"])"), "more");
  const char *ignoring = R"({"id": "more", "op": "cross_entropy", "in": ["z", "t"], "ignore_index": 0}, )";
  EXPECT_COUNTED(lossOf(std::string(kCross) + ignoring, R"("op": "add", "in": ["ce", "more"])"), "samples, not the labels of more");
}

TEST(BatchWeight, OtherMeansHaveWeightsOfTheirOwn) {
  EXPECT_COUNTED(lossOf(std::string(kCross) + kSquares, R"("op": "add", "in": ["ce", "sq"])"), "samples, not the labels of ce");
  EXPECT_COUNTED(lossOf(kCross, R"("op": "mul", "in": ["ce", "ce"])"), "samples, not the labels of ce");
  EXPECT_COUNTED(lossOf(kCross, R"("op": "div", "in": ["s", "ce"])"), "samples, not the labels of ce");
  EXPECT_COUNTED(lossOf(kCross, R"("op": "mul", "in": "ce", "value": "B")"), "samples, not the labels of ce");
}

TEST(BatchWeight, LabelsThatAreNeverIgnoredCountAsSamples) {
  const char *ranged = R"({"dtype": "i32", "shape": ["B"], "range": [0, 2]})";
  EXPECT_COUNTED(lossOf(std::string(kCross) + kSquares, R"("op": "add", "in": ["ce", "sq"])", ranged), "samples");
  const char *weighted = R"({"id": "ce", "op": "cross_entropy", "in": ["y", "t"], "class_weights": [1, 2, 3]}, )";
  EXPECT_COUNTED(lossOf(std::string(weighted) + kSquares, R"("op": "add", "in": ["ce", "sq"])", ranged), "samples, not the labels of ce");
  const char *operand = R"({"id": "w", "op": "parameter", "shape": [3]}, {"id": "ce", "op": "cross_entropy", "in": ["y", "t", "w"]}, )";
  EXPECT_COUNTED(lossOf(std::string(operand) + kSquares, R"("op": "add", "in": ["ce", "sq"])", ranged), "samples, not the labels of ce");
  const char *holding = R"({"dtype": "i32", "shape": ["B"], "range": [-100, 2]})", *above = R"({"dtype": "i32", "shape": ["B"], "range": [-200, -101]})";
  EXPECT_COUNTED(lossOf(std::string(kCross) + kSquares, R"("op": "add", "in": ["ce", "sq"])", holding), "samples, not the labels of ce");
  EXPECT_COUNTED(lossOf(std::string(kCross) + kSquares, R"("op": "add", "in": ["ce", "sq"])", above), "samples");
}

TEST(BatchWeight, AccumulatingByAnotherWeightIsWarnedOf) {
  const std::string nodes = std::string(kCross) + kSquares, sum = R"("op": "add", "in": ["ce", "sq"])";
  Reading got = lossOf(nodes, sum, R"({"dtype": "i32", "shape": ["B"]})", R"(, "accumulate": 4)");
  EXPECT_READS(got);
  EXPECT_NE(got.warnings().find("/train/accumulate: accumulate: the loss is not the mean of node 'ce' alone"), std::string::npos) << got.warnings();
}

} // namespace

// Which values share memory, and for how long: plans of small entries after LowerToKernels.
// The entries are written as IR; each test states one fact.
#include "dialect/Weft.h"
#include "memory/EntryPlan.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

using namespace mlir;
using weft::Buffer;
using weft::EntryPlan;

namespace {

class PlanMemory : public ::testing::Test {
protected:
  /// Plans the one function of `text`.
  EntryPlan plan(const std::string &text) {
    context.loadDialect<weft::WeftDialect, func::FuncDialect>();
    module = parseSourceString<ModuleOp>(text, &context);
    EXPECT_TRUE(module);
    return weft::planEntry(*module->getOps<func::FuncOp>().begin(), {{"B", 4}, {"T", 128}}, 64);
  }

  static std::string pointwise(const std::string &result, const std::string &operand, const std::string &op) {
    return "%" + result + " = weft.fused(%" + operand + ") : (tensor<256xf32>) -> tensor<256xf32> {\n^bb0(%of_" + result +
           ": tensor<256xf32>):\n %in_" + result + " = weft." + op + " %of_" + result + " : tensor<256xf32>\n weft.yield %in_" + result +
           " : tensor<256xf32>\n}\n";
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
};

TEST_F(PlanMemory, AResultLivesInTheCallersMemory) {
  EntryPlan p = plan("func.func @f(%x: tensor<256xf32>) -> tensor<256xf32> {\n" + pointwise("y", "x", "exp") + "return %y : tensor<256xf32>\n}");
  EXPECT_TRUE(p.arena.empty());
  EXPECT_EQ(p.buffers.back().place, Buffer::Place::output);
}

TEST_F(PlanMemory, AChainOfPointwiseKernelsUsesOneBuffer) {
  EntryPlan p = plan("func.func @f(%x: tensor<256xf32>) -> tensor<256xf32> {\n" + pointwise("a", "x", "exp") + pointwise("b", "a", "tanh") +
                     pointwise("c", "b", "sin") + pointwise("y", "c", "cos") + "return %y : tensor<256xf32>\n}");
  EXPECT_EQ(p.arena.size(), 1u);
}

TEST_F(PlanMemory, AnInputIsNeverWritten) {
  EntryPlan p = plan("func.func @f(%x: tensor<256xf32>) -> tensor<256xf32> {\n" + pointwise("a", "x", "exp") + pointwise("y", "a", "tanh") +
                     "return %y : tensor<256xf32>\n}");
  for (const Buffer &buffer : p.buffers)
    if (buffer.place == Buffer::Place::input) {
      EXPECT_EQ(std::count_if(p.bufferOf.begin(), p.bufferOf.end(), [&](auto &entry) { return &p.buffers[entry.second] == &buffer; }), 1);
    }
}

TEST_F(PlanMemory, AValueThatIsReadLaterKeepsItsBuffer) {
  EntryPlan p = plan("func.func @f(%x: tensor<256xf32>) -> (tensor<256xf32>, tensor<256xf32>) {\n" + pointwise("a", "x", "exp") + pointwise("b", "a", "tanh") +
                     pointwise("y", "b", "sin") + pointwise("z", "a", "cos") + "return %y, %z : tensor<256xf32>, tensor<256xf32>\n}");
  ASSERT_EQ(p.arena.size(), 2u);
  EXPECT_EQ(p.arenaPlan.offsets({})->back(), 2 * 1024);
}

TEST_F(PlanMemory, ARepeatCarriesItsValueInOneBuffer) {
  EntryPlan p = plan("func.func @f(%x: tensor<256xf32>) -> tensor<256xf32> {\n" + pointwise("a", "x", "exp") +
                     "%y = weft.repeat 5 \"i\"(%a) : (tensor<256xf32>) -> tensor<256xf32> {\n^bb0(%i: index, %h: tensor<256xf32>):\n" +
                     pointwise("b", "h", "tanh") + "weft.yield %b : tensor<256xf32>\n}\nreturn %y : tensor<256xf32>\n}");
  EXPECT_TRUE(p.arena.empty()) << "the carried value lives in the output";
  EXPECT_TRUE(p.closing.empty());
}

TEST_F(PlanMemory, AValueFromOutsideLivesThroughTheRepeat) {
  EntryPlan p = plan("func.func @f(%x: tensor<256xf32>) -> tensor<256xf32> {\n" + pointwise("s", "x", "sin") + pointwise("a", "x", "exp") +
                     "%y = weft.repeat 5 \"i\"(%a) : (tensor<256xf32>) -> tensor<256xf32> {\n^bb0(%i: index, %h: tensor<256xf32>):\n" +
                     pointwise("b", "s", "tanh") +
                     "%c = weft.fused(%h, %b) : (tensor<256xf32>, tensor<256xf32>) -> tensor<256xf32> {\n^bb0(%u: tensor<256xf32>, %v: tensor<256xf32>):\n"
                     " %w = weft.add %u, %v : (tensor<256xf32>, tensor<256xf32>) -> tensor<256xf32>\n weft.yield %w : tensor<256xf32>\n}\n"
                     "weft.yield %c : tensor<256xf32>\n}\nreturn %y : tensor<256xf32>\n}");
  // s and b: b must not overwrite s, which the next round reads again.
  EXPECT_EQ(p.arena.size(), 2u);
  EXPECT_EQ(p.arenaPlan.offsets({})->back(), 2 * 1024);
}

TEST_F(PlanMemory, ASwapOfCarriedValuesIsCopiedSafely) {
  EntryPlan p = plan("func.func @f(%x: tensor<256xf32>) -> (tensor<256xf32>, tensor<256xf32>) {\n" + pointwise("a", "x", "exp") + pointwise("b", "x", "sin") +
                     "%y, %z = weft.repeat 5 \"i\"(%a, %b) : (tensor<256xf32>, tensor<256xf32>) -> (tensor<256xf32>, tensor<256xf32>) {\n"
                     "^bb0(%i: index, %g: tensor<256xf32>, %h: tensor<256xf32>):\n" +
                     pointwise("u", "h", "tanh") + pointwise("v", "g", "cos") +
                     "weft.yield %u, %v : tensor<256xf32>, tensor<256xf32>\n}\nreturn %y, %z : tensor<256xf32>, tensor<256xf32>\n}");
  for (auto &[repeat, copies] : p.closing)
    for (auto &[from, to] : copies)
      for (auto &[otherFrom, otherTo] : copies)
        if (otherTo != to) {
          EXPECT_NE(p.bufferOf.lookup(otherFrom), p.bufferOf.lookup(to)) << "a copy would overwrite what another one reads";
        }
}

TEST_F(PlanMemory, ChunksStandAmongAllRowsAndTheirIntermediateValuesAreAsLargeAsOne) {
  const std::string all = "tensor<?x8xf32, #weft.dims<\"T\">>", part = "tensor<?x8xf32, #weft.dims<\"min(50, T - c * 50)\">>";
  auto kernel = [&](const std::string &result, const std::string &operand) {
    return "%" + result + " = weft.fused(%" + operand + ") : (" + part + ") -> " + part + " {\n^bb0(%of_" + result + ": " + part + "):\n %in_" + result +
           " = weft.softmax %of_" + result + " {axis = 0 : i64} : " + part + "\n weft.yield %in_" + result + " : " + part + "\n}\n";
  };
  EntryPlan p = plan("func.func @f(%x: " + all + ") -> " + all + " {\n%y = weft.chunks 50 \"c\"() rows(%x) : (" + all + ") -> " + all + " {\n^bb0(%p: " + part +
                     "):\n" + kernel("a", "p") + kernel("b", "a") + "weft.yield %b : " + part + "\n}\nreturn %y : " + all + "\n}");
  ASSERT_EQ(p.arena.size(), 1u);
  EXPECT_EQ(p.arenaPlan.offsets({{"T", 128}})->back(), 50 * 8 * 4);
  auto chunks = *(*module->getOps<mlir::func::FuncOp>().begin()).getOps<weft::ChunksOp>().begin();
  EXPECT_EQ(p.offsetOf[chunks.getParts()[0]].str(), "c * 1600");
  EXPECT_EQ(p.offsetOf[chunks.getYielded()[0]].str(), "c * 1600");
  EXPECT_EQ(p.buffers[p.bufferOf[chunks.getParts()[0]]].place, Buffer::Place::input);
  EXPECT_EQ(p.buffers[p.bufferOf[chunks.getYielded()[0]]].place, Buffer::Place::output);
}

TEST_F(PlanMemory, ATiedGradientStandsInTheCallersMemoryFromTheStart) {
  EntryPlan p = plan("func.func @f(%x: tensor<64x4xf32>, %i: tensor<3xi32>, %g: tensor<3x4xf32>) -> tensor<64x4xf32> {\n"
                     "%a = weft.fused(%x) : (tensor<64x4xf32>) -> tensor<64x4xf32> {\n^bb0(%u: tensor<64x4xf32>):\n"
                     " %v = weft.exp %u : tensor<64x4xf32>\n weft.yield %v : tensor<64x4xf32>\n}\n"
                     "%t = weft.embedding_grad %i, %g, %a : (tensor<3xi32>, tensor<3x4xf32>, tensor<64x4xf32>) -> tensor<64x4xf32>\n"
                     "return %t : tensor<64x4xf32>\n}");
  EXPECT_TRUE(p.arena.empty());
}

} // namespace

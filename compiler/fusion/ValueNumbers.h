// Numbers for values such that equal numbers mean equal values, also in different entries of one model.
// Arguments are equal when their names and types are; rounds of repeats when index and count are.
#ifndef WEFT_FUSION_VALUENUMBERS_H
#define WEFT_FUSION_VALUENUMBERS_H

#include "dialect/Weft.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <map>
#include <string>

namespace weft {

/// True if the op reads or writes a state, or depends on the number of real tokens of the call.
bool isStateful(mlir::Operation *op);

class ValueNumbers {
public:
  /// Numbers all values of an entry; returns them by number, of equal ones the first.
  llvm::DenseMap<int, mlir::Value> add(mlir::func::FuncOp entry);

  /// The number of a value of an entry that was added. What reads a state, and what a repeat carries, has a number that no
  /// other value has.
  int of(mlir::Value value) const { return known.at(value); }

private:
  using Local = llvm::DenseMap<mlir::Value, int>;
  int intern(const std::string &text) { return texts.try_emplace(text, int(texts.size())).first->second; }
  int fresh() { return intern("fresh " + std::to_string(texts.size())); }
  int ofArgument(mlir::BlockArgument argument);
  int ofOp(mlir::Operation *op, const Local &local, int depth);
  int ofResult(int op, unsigned result) { return intern("result " + std::to_string(op) + " " + std::to_string(result)); }
  int find(mlir::Value value, const Local &local) const {
    auto found = local.find(value);
    return found != local.end() ? found->second : of(value);
  }

  std::map<std::string, int> texts;
  llvm::DenseMap<mlir::Value, int> known;
};

}  // namespace weft

#endif  // WEFT_FUSION_VALUENUMBERS_H

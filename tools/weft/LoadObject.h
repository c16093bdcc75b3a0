// Loads a compiled model's object bytes into this process, as a linker would, and finds its descriptor.
// `run`, `bench` and `generate` execute the very bytes that `compile` writes.
#ifndef WEFT_TOOLS_LOADOBJECT_H
#define WEFT_TOOLS_LOADOBJECT_H

#include "weft/abi.h"

#include <memory>
#include <string>

namespace weft {

/// Owns the loaded code; the descriptor lives as long as this object.
class LoadedObject {
public:
  /// nullptr and a reason in `failure` when the bytes can't be linked.
  static std::unique_ptr<LoadedObject> load(const std::string &object, const std::string &descriptorSymbol, std::string &failure);
  ~LoadedObject();

  const weft_model_desc *descriptor() const { return desc; }
  /// Name of the object's function at this address, as its symbol table has it; empty if it is none of them.
  std::string functionAt(const void *address) const;

private:
  LoadedObject();
  struct Impl;
  std::unique_ptr<Impl> impl;
  const weft_model_desc *desc = nullptr;
};

} // namespace weft

#endif // WEFT_TOOLS_LOADOBJECT_H

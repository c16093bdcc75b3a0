// Patterns of parameter names: init, weights, freeze, no_decay, gradients.
// `*` is any text, dots too; the whole name must match.
#ifndef WEFT_IMPORT_GLOBS_H
#define WEFT_IMPORT_GLOBS_H

#include <string>
#include <string_view>
#include <vector>

namespace weft {

/// `parts`: what each `*` took, as little as possible from left to right. Time is linear in pattern times name.
bool matchGlob(std::string_view pattern, std::string_view name, std::vector<std::string> *parts = nullptr);

} // namespace weft

#endif // WEFT_IMPORT_GLOBS_H

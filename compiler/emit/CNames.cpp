// Names of a model as C identifiers: an injective map, so that no two names of a model meet in the header or the linker.
// Bytes that C does not take become _xHH; a keyword or a name the header needs itself gets an underscore at its end.
#include "emit/EmitHeader.h"

#include <algorithm>
#include <cstdio>
#include <iterator>

namespace weft {

namespace {

// Keywords of C and C++, macros of the usual headers and of the usual compilers. Sorted.
const char *const kTaken[] = {
    "BUFSIZ", "EOF", "I", "INFINITY", "NAN", "NULL", "alignas", "alignof", "and", "and_eq", "asm", "assert", "atomic_cancel",
    "atomic_commit", "atomic_noexcept", "auto", "bitand", "bitor", "bool", "break", "case", "catch", "char", "char16_t",
    "char32_t", "char8_t", "class", "co_await", "co_return", "co_yield", "compl", "complex", "concept", "const", "const_cast",
    "consteval", "constexpr", "constinit", "continue", "decltype", "default", "delete", "do", "double", "dynamic_cast", "else",
    "enum", "errno", "explicit", "export", "extern", "false", "float", "for", "friend", "goto", "i386", "if", "imaginary",
    "inline", "int", "linux", "long", "mutable", "namespace", "new", "noexcept", "not", "not_eq", "nullptr", "offsetof",
    "operator", "or", "or_eq", "private", "protected", "public", "reflexpr", "register", "reinterpret_cast", "requires",
    "restrict", "return", "short", "signed", "sizeof", "static", "static_assert", "static_cast", "stderr", "stdin", "stdout",
    "struct", "switch", "synchronized", "template", "this", "thread_local", "throw", "true", "try", "typedef", "typeid",
    "typename", "typeof", "typeof_unqual", "union", "unix", "unsigned", "using", "virtual", "void", "volatile", "wchar_t",
    "while", "xor", "xor_eq"};

bool isLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isHex(char c) { return isDigit(c) || (c >= 'a' && c <= 'f'); }

bool isTaken(std::string_view name) {
  return std::binary_search(std::begin(kTaken), std::end(kTaken), name, [](std::string_view a, std::string_view b) { return a < b; });
}

std::string escaped(char c) {
  char text[8];
  std::snprintf(text, sizeof(text), "_x%02x", unsigned(static_cast<unsigned char>(c)));
  return text;
}

} // namespace

std::string mangleName(std::string_view name) {
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    char c = name[i];
    bool plain = isLetter(c) || (isDigit(c) && i > 0);
    // What looks like an escape is escaped, and so is the beginning of names that C reserves.
    if (c == '_' && i + 3 < name.size() && name[i + 1] == 'x' && isHex(name[i + 2]) && isHex(name[i + 3]))
      plain = false;
    if (c == '_' && i == 0 && (name.size() == 1 || name[1] == '_' || (name[1] >= 'A' && name[1] <= 'Z')))
      plain = false;
    out += plain ? std::string(1, c) : escaped(c);
  }
  if (out.empty())
    return "_x00";
  std::string_view stem = out;
  while (!stem.empty() && stem.back() == '_')
    stem.remove_suffix(1);
  if (isTaken(stem)) // "int" -> "int_", and so "int_" -> "int__"
    out += '_';
  return out;
}

std::string symbolPrefix(std::string_view modelName) { return mangleName(modelName); }

std::string descriptorSymbol(std::string_view prefix) { return std::string(prefix) + "_weft_model"; }

std::string identitySymbol(std::string_view prefix, uint64_t hash) {
  char text[24];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(hash));
  return std::string(prefix) + "_weft_id_" + text;
}

} // namespace weft

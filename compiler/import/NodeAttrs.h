// Typed reads of a node's attributes, as ModelDesc.h says how they are stored.
// Absent ones give the fallback.
#ifndef WEFT_IMPORT_NODEATTRS_H
#define WEFT_IMPORT_NODEATTRS_H

#include "import/ModelDesc.h"

namespace weft {

struct NodeAttrs {
  const Node &node;
  const AttrValue *find(const char *name) const {
    auto it = node.attrs.find(name);
    return it == node.attrs.end() ? nullptr : &it->second;
  }
  bool has(const char *name) const { return find(name); }
  bool flag(const char *name) const {
    const AttrValue *v = find(name);
    return v && std::holds_alternative<bool>(*v) && std::get<bool>(*v);
  }
  int64_t integer(const char *name, int64_t fallback = 0) const {
    const AttrValue *v = find(name);
    if (v && std::holds_alternative<int64_t>(*v))
      return std::get<int64_t>(*v);
    if (v && std::holds_alternative<DimExpr>(*v))
      return std::get<DimExpr>(*v).constant().value_or(fallback);
    return v && std::holds_alternative<double>(*v) ? int64_t(std::get<double>(*v)) : fallback;
  }
  double real(const char *name, double fallback = 0) const {
    const AttrValue *v = find(name);
    if (v && std::holds_alternative<double>(*v))
      return std::get<double>(*v);
    return v && std::holds_alternative<int64_t>(*v) ? double(std::get<int64_t>(*v)) : fallback;
  }
  std::string word(const char *name) const {
    const AttrValue *v = find(name);
    return v && std::holds_alternative<std::string>(*v) ? std::get<std::string>(*v) : std::string();
  }
  DimExpr dim(const char *name) const {
    const AttrValue *v = find(name);
    return v && std::holds_alternative<DimExpr>(*v) ? std::get<DimExpr>(*v) : DimExpr(integer(name));
  }
  std::vector<int64_t> integers(const char *name) const {
    const AttrValue *v = find(name);
    if (v && std::holds_alternative<std::vector<int64_t>>(*v))
      return std::get<std::vector<int64_t>>(*v);
    return v && std::holds_alternative<int64_t>(*v) ? std::vector<int64_t>{std::get<int64_t>(*v)} : std::vector<int64_t>();
  }
  std::vector<double> reals(const char *name) const {
    const AttrValue *v = find(name);
    if (v && std::holds_alternative<std::vector<double>>(*v))
      return std::get<std::vector<double>>(*v);
    if (v && std::holds_alternative<double>(*v))
      return {std::get<double>(*v)};
    std::vector<double> result;
    for (int64_t n : integers(name))
      result.push_back(double(n));
    return result;
  }
  std::vector<DimExpr> dims(const char *name) const {
    const AttrValue *v = find(name);
    if (v && std::holds_alternative<std::vector<DimExpr>>(*v))
      return std::get<std::vector<DimExpr>>(*v);
    std::vector<DimExpr> result;
    for (int64_t n : integers(name))
      result.push_back(DimExpr(n));
    return result;
  }
};

}  // namespace weft

#endif  // WEFT_IMPORT_NODEATTRS_H

// Products: linear, matmul, einsum, and parameters as values.
// Every sum runs over its index in ascending order with one accumulator.
#include "Ops.h"

#include <algorithm>
#include <cctype>
#include <cmath>

namespace weft::reference {

template <class T> Tensor linearRows(const Tensor &x, const Tensor &weight, const Tensor *bias, int64_t first, int64_t features) {
  if (needReal(x).rank() < 1 || weight.rank() != 2 || weight.shape[1] != x.shape.back() || first + features > weight.shape[0])
    fail("x ", shapeText(x.shape), " and weight ", shapeText(weight.shape), " do not fit together");
  if (bias && bias->count() < first + features)
    fail("a bias ", shapeText(bias->shape), " for ", first + features, " features");
  int64_t inner = x.shape.back();
  Shape shape = x.shape;
  shape.back() = features;
  Tensor y = make(x.dtype, shape);
  int64_t rows = features ? y.count() / features : 0;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t f = 0; f < features; ++f) {
      T sum = 0;
      for (int64_t k = 0; k < inner; ++k)
        sum += product<T>(x, r * inner + k, weight, (first + f) * inner + k);
      store(y, r * features + f, bias ? T(sum + load<T>(*bias, first + f)) : sum);
    }
  return y;
}
template Tensor linearRows<float>(const Tensor &, const Tensor &, const Tensor *, int64_t, int64_t);
template Tensor linearRows<double>(const Tensor &, const Tensor &, const Tensor *, int64_t, int64_t);
template Tensor linearRows<Dual<float>>(const Tensor &, const Tensor &, const Tensor *, int64_t, int64_t);
template Tensor linearRows<Dual<double>>(const Tensor &, const Tensor &, const Tensor *, int64_t, int64_t);

namespace {

// y = activation(x · weightᵀ + bias)
template <class T> Results linear(Call &c) {
  const Tensor &weight = c.param("weight");
  Tensor y = linearRows<T>(c.operand(0), weight, c.hasParam("bias") ? &c.param("bias") : nullptr, 0, weight.shape.at(0));
  std::string activation = c.word("activation");
  if (!activation.empty())
    for (int64_t i = 0; i < y.count(); ++i)
      store(y, i, activate<T>(activation, load<T>(y, i)));
  return {y};
}

// y[…, i, j] = Σₖ a[…, i, k] · b[…, k, j]
template <class T> Results matmul(Call &c) {
  const Tensor &a = needReal(c.operand(0)), &b = needReal(c.operand(1));
  needSameType(a, b);
  if (a.rank() < 2 || b.rank() < 2)
    fail("expected operands of rank 2 or more but got ", shapeText(a.shape), " and ", shapeText(b.shape));
  bool ta = c.flag("transpose_a"), tb = c.flag("transpose_b");
  int64_t ra = a.shape[a.rank() - 2], ca = a.shape[a.rank() - 1], rb = b.shape[b.rank() - 2], cb = b.shape[b.rank() - 1];
  int64_t m = ta ? ca : ra, k = ta ? ra : ca, kb = tb ? cb : rb, n = tb ? rb : cb;
  if (k != kb)
    fail("inner sizes ", k, " and ", kb, " differ");
  Shape leadA(a.shape.begin(), a.shape.end() - 2), leadB(b.shape.begin(), b.shape.end() - 2), lead = broadcast(leadA, leadB), shape = lead;
  shape.insert(shape.end(), {m, n});
  Tensor y = make(a.dtype, shape);
  forEach(lead, [&](const Shape &index) {
    int64_t pa = place(leadA, index) * ra * ca, pb = place(leadB, index) * rb * cb, py = place(lead, index) * m * n;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        T sum = 0;
        for (int64_t l = 0; l < k; ++l)
          sum += product<T>(a, pa + (ta ? l * m + i : i * k + l), b, pb + (tb ? j * k + l : l * n + j));
        store(y, py + i * n + j, sum);
      }
  });
  return {y};
}

struct Equation {
  std::vector<std::string> operands;
  std::string result;
};

// The letters of each operand; "..." becomes digits, one for each axis it stands for, counted from the right.
Equation parseEquation(const std::string &text, const std::vector<TensorRef> &in) {
  std::string plain;
  std::copy_if(text.begin(), text.end(), std::back_inserter(plain), [](char ch) { return ch != ' '; });
  size_t arrow = plain.find("->");
  if (arrow == std::string::npos)
    fail("expected an explicit -> in '", text, "'");
  Equation equation;
  std::string left = plain.substr(0, arrow);
  for (size_t start = 0; start <= left.size();) {
    size_t end = std::min(left.find(',', start), left.size());
    equation.operands.push_back(left.substr(start, end - start));
    start = end + 1;
  }
  equation.result = plain.substr(arrow + 2);
  if (equation.operands.size() != in.size())
    fail("'", text, "' names ", equation.operands.size(), " operands but there are ", in.size());
  std::string most;
  for (size_t i = 0; i < in.size(); ++i) {
    std::string &letters = equation.operands[i];
    size_t dots = letters.find("...");
    if (dots != std::string::npos) {
      int64_t axes = in[i]->rank() - (static_cast<int64_t>(letters.size()) - 3);
      if (axes < 0 || axes > 9)
        fail("'", text, "' does not fit an operand of rank ", in[i]->rank());
      std::string digits;
      for (int64_t d = axes; d > 0; --d)
        digits += static_cast<char>('0' + d);
      letters.replace(dots, 3, digits);
      most = digits.size() > most.size() ? digits : most;
    }
    if (static_cast<int64_t>(letters.size()) != in[i]->rank())
      fail("'", text, "' does not fit an operand of rank ", in[i]->rank());
  }
  size_t dots = equation.result.find("...");
  if (dots != std::string::npos)
    equation.result.replace(dots, 3, most);
  return equation;
}

// y[result letters] = Σ over all other letters of the product of the operands
template <class T> Results einsum(Call &c) {
  for (const TensorRef &x : c.in)
    needSameType(needReal(c.operand(0)), *x);
  Equation equation = parseEquation(c.word("equation"), c.in);
  std::map<char, int64_t> sizes;
  std::string summed;
  for (size_t i = 0; i < c.in.size(); ++i)
    for (size_t j = 0; j < equation.operands[i].size(); ++j) {
      char letter = equation.operands[i][j];
      int64_t size = c.in[i]->shape[j];
      auto [known, isNew] = sizes.emplace(letter, size);
      if (!isNew && known->second != size && size != 1 && known->second != 1)
        fail("'", std::string(1, letter), "' is ", known->second, " and ", size);
      if (known->second == 1)
        known->second = size;
      if (equation.result.find(letter) == std::string::npos && summed.find(letter) == std::string::npos)
        summed += letter;
    }
  Shape shape, inner;
  for (char letter : equation.result) {
    if (!sizes.count(letter))
      fail("the result's '", std::string(1, letter), "' is in no operand");
    shape.push_back(sizes[letter]);
  }
  for (char letter : summed)
    inner.push_back(sizes[letter]);
  Tensor y = make(c.operand(0).dtype, shape);
  std::string letters = equation.result + summed;
  // Where each axis of each operand finds its index among result letters and summed letters.
  std::vector<std::vector<size_t>> where;
  for (const std::string &operand : equation.operands) {
    where.emplace_back();
    for (char letter : operand)
      where.back().push_back(letters.find(letter));
  }
  int64_t at = 0;
  forEach(shape, [&](const Shape &index) {
    Shape full = index;
    full.resize(letters.size());
    T sum = 0;
    forEach(inner, [&](const Shape &rest) {
      std::copy(rest.begin(), rest.end(), full.begin() + static_cast<int64_t>(shape.size()));
      T product = 1;
      for (size_t i = 0; i < c.in.size(); ++i) {
        int64_t offset = 0;
        for (size_t j = 0; j < where[i].size(); ++j)
          offset = offset * c.in[i]->shape[j] + (c.in[i]->shape[j] == 1 ? 0 : full[where[i][j]]);
        product *= load<T>(*c.in[i], offset);
      }
      sum += product;
    });
    store(y, at++, sum);
  });
  return {y};
}

// y = the parameter
Results parameter(Call &c) { return {c.param("")}; }

}  // namespace

void addDenseOps(OpTable &table) {
  forEachArithmetic([&](auto number) {
    using T = decltype(number);
    table["linear"].of<T>() = linear<T>;
    table["matmul"].of<T>() = matmul<T>;
    table["einsum"].of<T>() = einsum<T>;
    table["parameter"].of<T>() = parameter;
  });
}

}  // namespace weft::reference

// The regions that RowKernelTest runs.
#include "RowKernelTest.h"

namespace weft::test {
namespace {

const std::vector<Dims> rowSizes{{{"B", 1}, {"T", 1}}, {{"B", 3}, {"T", 5}}, {{"B", 2}, {"T", 0}}, {{"B", 4}, {"T", 17}}};
const std::vector<Dims> longSizes{{{"B", 2}, {"N", 1}}, {{"B", 3}, {"N", 7}}, {{"B", 2}, {"N", 64}}, {{"B", 1}, {"N", 131}}, {{"B", 2}, {"N", 600}}};
const std::vector<Dims> emptySizes{{{"B", 0}, {"N", 5}}, {{"B", 2}, {"N", 0}}};

void pointwise(std::vector<RowCase> &cases) {
  struct Unary {
    const char *name, *attributes;
    double low, high;
  };
  for (Unary u : std::vector<Unary>{{"abs", "", -2, 2}, {"cos", "", -20, 20}, {"erf", "", -4, 4}, {"exp", "", -5, 3}, {"log", "", 0.01, 9},
                                    {"neg", "", -2, 2}, {"relu", "", -2, 2}, {"rsqrt", "", 0.1, 9}, {"sigmoid", "", -9, 9}, {"silu", "", -9, 9},
                                    {"sin", "", -20, 20}, {"softplus", "", -9, 9}, {"sqrt", "", 0, 9}, {"tanh", "", -4, 4},
                                    {"clamp", "{low = -1.0 : f64, high = 0.5 : f64}", -2, 2}, {"elu", "{alpha = 0.7 : f64}", -3, 2},
                                    {"gelu", "", -4, 4}, {"gelu", "{approximate}", -4, 4}, {"leaky_relu", "{slope = 0.1 : f64}", -2, 2},
                                    {"dropout", "{p = 0.1 : f64}", -2, 2}}) {
    std::string op = std::string("%y = weft.") + u.name + " %0 " + u.attributes + " : ";
    cases.push_back({std::string(u.name) + " f32", {"B,N:f32"}, op + "{B,N:f32}", {"%y : B,N:f32"}, longSizes, {{u.low, u.high}}});
    cases.push_back({std::string(u.name) + " f64", {"3,5:f64"}, op + "{3,5:f64}", {"%y : 3,5:f64"}, {{}}, {{u.low, u.high}}, 1e-14});
    cases.push_back({std::string(u.name) + " bf16", {"3,33:bf16"}, op + "{3,33:bf16}", {"%y : 3,33:bf16"}, {{}}, {{u.low, u.high}}});
  }
  for (std::string op : {"add", "sub", "mul", "div", "maximum", "minimum", "pow"}) {
    std::pair<double, double> range = op == "pow" || op == "div" ? std::pair(0.2, 3.0) : std::pair(-2.0, 2.0);
    cases.push_back({op + " bias", {"B,N:f32", "N:f32"}, "%y = weft." + op + " %0, %1 : ({B,N:f32}, {N:f32}) -> {B,N:f32}", {"%y : B,N:f32"}, longSizes, {range, range}});
    cases.push_back({op + " column", {"B,N:f32", "B,1:f32"}, "%y = weft." + op + " %0, %1 : ({B,N:f32}, {B,1:f32}) -> {B,N:f32}", {"%y : B,N:f32"}, longSizes, {range, range}});
    cases.push_back({op + " scalar", {"B,N:f16", ":f16"}, "%y = weft." + op + " %0, %1 : ({B,N:f16}, {:f16}) -> {B,N:f16}", {"%y : B,N:f16"}, emptySizes, {range, range}});
    if (op == "div" || op == "pow")
      continue;
    for (std::string type : {"i32", "i64", "i8", "ui8"})
      cases.push_back({op + " " + type, {"7,19:" + type, "19:" + type}, "%y = weft." + op + " %0, %1 : ({7,19:" + type + "}, {19:" + type + "}) -> {7,19:" + type + "}",
                       {"%y : 7,19:" + type}, {{}}, {{5, 11}, {0, 5}}});
  }
  for (std::string op : {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"})
    for (std::string type : {"f32", "i32", "ui8", "i1"})
      cases.push_back({op + " " + type, {"3,37:" + type, "37:" + type}, "%y = weft." + op + " %0, %1 : ({3,37:" + type + "}, {37:" + type + "}) -> {3,37:i1}", {"%y : 3,37:i1"}});
  cases.push_back({"logic", {"B,N:i1", "B,N:i1"},
                   "%a = weft.and %0, %1 : ({B,N:i1}, {B,N:i1}) -> {B,N:i1}\n%n = weft.not %a : {B,N:i1}\n%y = weft.or %n, %0 : ({B,N:i1}, {B,N:i1}) -> {B,N:i1}",
                   {"%y : B,N:i1", "%a : B,N:i1"}, longSizes});
  cases.push_back({"where", {"T,T:i1", "B,1,T:f32"},
                   "%c = weft.constant dense<-7.5> : {:f32}\n%y = weft.where %0, %1, %c : ({T,T:i1}, {B,1,T:f32}, {:f32}) -> {B,T,T:f32}", {"%y : B,T,T:f32"}, rowSizes});
  for (auto [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"f32", "i32"}, {"f32", "ui8"}, {"f32", "i8"}, {"f32", "i64"}, {"f32", "i1"}, {"f32", "bf16"}, {"f32", "f16"}, {"f32", "f64"}, {"f64", "f32"},
           {"i32", "f32"}, {"i64", "f32"}, {"ui8", "f32"}, {"i1", "f32"}, {"i32", "i8"}, {"i8", "i64"}, {"ui8", "i32"}, {"i64", "i1"}, {"bf16", "f64"}})
    cases.push_back({"cast " + from + " " + to, {"B,N:" + from}, "%y = weft.cast %0 : {B,N:" + from + "} to {B,N:" + to + "}", {"%y : B,N:" + to}, longSizes,
                     {from[0] == 'u' ? std::pair(0.0, 255.0) : from == "i8" ? std::pair(-128.0, 127.0) : std::pair(-300.0, 300.0)}});
  cases.push_back({"swiglu", {"B,N:f32", "B,N:f32"}, "%s = weft.silu %0 : {B,N:f32}\n%y = weft.mul %s, %1 : ({B,N:f32}, {B,N:f32}) -> {B,N:f32}", {"%y : B,N:f32"},
                   {{{"B", 3}, {"N", 1000}}, {{"B", 1}, {"N", 1}}}});
}

void dropouts(std::vector<RowCase> &cases) {
  auto drop = [](const std::string &to, const std::string &from, const std::string &type, const std::string &site = "7") {
    return to + " = weft.dropout " + from + " {p = 0.3 : f64, site = " + site + " : i64} : {" + type + "}\n";
  };
  for (std::string type : {"B,N:f32", "3,33:bf16", "5,64:f64", "B,T,48:f32", "B,T,50:f32", ":f32", "19:f16", "B,1,1:f32"})
    cases.push_back({"dropout of " + type, {type}, drop("%y", "%0", type), {"%y : " + type}, type.find('T') != std::string::npos ? rowSizes : longSizes});
  cases.push_back({"dropout of a round", {"B,T,48:f32"},
                   "%y = weft.dropout %0 {p = 0.3 : f64, site = 4294967295 : i64, round = \"i\"} : {B,T,48:f32}", {"%y : B,T,48:f32"},
                   {{{"B", 2}, {"T", 3}, {"i", 0}}, {{"B", 2}, {"T", 3}, {"i", 11}}}});
  cases.push_back({"dropout and residual", {"B,T,48:f32", "48:f32", "B,T,48:f32"},
                   "%a = weft.add %0, %1 : ({B,T,48:f32}, {48:f32}) -> {B,T,48:f32}\n" + drop("%d", "%a", "B,T,48:f32") +
                       "%y = weft.add %d, %2 : ({B,T,48:f32}, {B,T,48:f32}) -> {B,T,48:f32}",
                   {"%y : B,T,48:f32", "%d : B,T,48:f32"}, rowSizes});
  cases.push_back({"dropout before sums", {"B,T,37:f32"},
                   drop("%d", "%0", "B,T,37:f32") + "%y = weft.reduce_sum %d {axes = array<i64: 0, 1>} : ({B,T,37:f32}) -> {37:f32}\n" +
                       "%z = weft.reduce_sum %d {axes = array<i64: 2>} : ({B,T,37:f32}) -> {B,T:f32}",
                   {"%y : 37:f32", "%z : B,T:f32"}, rowSizes, {}, 1e-5});
  cases.push_back({"dropout through views", {"B,T,48:f32"},
                   drop("%d", "%0", "B,T,48:f32") + "%h = weft.reshape %d : {B,T,48:f32} to {B,T,6,8:f32}\n" +
                       "%t = weft.transpose %h {perm = array<i64: 0, 2, 1, 3>} : ({B,T,6,8:f32}) -> {B,6,T,8:f32}\n" +
                       "%y = weft.slice %t {axis = 3 : i64, start = \"1\", step = 3 : i64} : {B,6,T,8:f32} to {B,6,T,3:f32}",
                   {"%y : B,6,T,3:f32"}, rowSizes});
  cases.push_back({"dropout across rows", {"B,N:f32"},
                   drop("%d", "%0", "B,N:f32") + "%y = weft.transpose %d {perm = array<i64: 1, 0>} : ({B,N:f32}) -> {N,B:f32}", {"%y : N,B:f32"}, longSizes});
  cases.push_back({"two dropouts", {"B,N:f32"}, drop("%d", "%0", "B,N:f32") + drop("%y", "%d", "B,N:f32", "8"), {"%y : B,N:f32"}, longSizes});
}

void norms(std::vector<RowCase> &cases) {
  const std::string layerNorm = "%y = weft.layer_norm %0 weight(%1 : {N:f32}) bias(%2 : {N:f32}) {axis = 1 : i64, eps = 1.0e-5 : f64} : {B,N:f32}";
  cases.push_back({"layer_norm", {"B,N:f32", "N:f32", "N:f32"}, layerNorm, {"%y : B,N:f32"}, longSizes, {}, 3e-6});
  cases.push_back({"layer_norm empty", {"B,N:f32", "N:f32", "N:f32"}, layerNorm, {"%y : B,N:f32"}, emptySizes});
  for (int n : {1, 16, 33, 128, 130, 768})
    cases.push_back({"layer_norm fixed " + std::to_string(n), {"B,T," + std::to_string(n) + ":f32", std::to_string(n) + ":f32"},
                     "%y = weft.layer_norm %0 weight(%1 : {" + std::to_string(n) + ":f32}) {axis = 2 : i64, eps = 1.0e-5 : f64} : {B,T," + std::to_string(n) + ":f32}",
                     {"%y : B,T," + std::to_string(n) + ":f32"}, rowSizes, {}, 3e-6});
  cases.push_back({"layer_norm plain", {"5,40:f32"}, "%y = weft.layer_norm %0 {axis = 1 : i64, eps = 1.0e-5 : f64, unbiased, eps_outside} : {5,40:f32}", {"%y : 5,40:f32"}, {{}}, {}, 3e-6});
  cases.push_back({"layer_norm bias", {"5,40:f32", "40:f32"}, "%y = weft.layer_norm %0 bias(%1 : {40:f32}) {axis = 1 : i64, eps = 1.0e-5 : f64} : {5,40:f32}", {"%y : 5,40:f32"}, {{}}, {}, 3e-6});
  cases.push_back({"layer_norm axis", {"B,T,20:f32", "T:f32", "T:f32"},
                   "%y = weft.layer_norm %0 weight(%1 : {T:f32}) bias(%2 : {T:f32}) {axis = 1 : i64, eps = 1.0e-5 : f64} : {B,T,20:f32}", {"%y : B,T,20:f32"}, rowSizes, {}, 3e-6});
  cases.push_back({"layer_norm f64", {"3,50:f64", "50:f64"}, "%y = weft.layer_norm %0 weight(%1 : {50:f64}) {axis = 1 : i64, eps = 1.0e-5 : f64} : {3,50:f64}", {"%y : 3,50:f64"}, {{}}, {}, 1e-14});
  cases.push_back({"layer_norm bf16", {"3,50:bf16", "50:bf16"}, "%y = weft.layer_norm %0 weight(%1 : {50:bf16}) {axis = 1 : i64, eps = 1.0e-5 : f64} : {3,50:bf16}", {"%y : 3,50:bf16"}});
  cases.push_back({"rms_norm", {"B,N:f32", "N:f32"}, "%y = weft.rms_norm %0, %1 {eps = 1.0e-5 : f64} : ({B,N:f32}, {N:f32}) -> {B,N:f32}", {"%y : B,N:f32"}, longSizes, {}, 2e-6});
  for (std::string op : {"softmax", "log_softmax"}) {
    cases.push_back({op, {"B,N:f32"}, "%y = weft." + op + " %0 {axis = 1 : i64} : {B,N:f32}", {"%y : B,N:f32"}, longSizes, {{-30, 30}}});
    cases.push_back({op + " fixed", {"5,48:f32"}, "%y = weft." + op + " %0 {axis = 1 : i64} : {5,48:f32}", {"%y : 5,48:f32"}, {{}}, {{-3, 3}}});
    cases.push_back({op + " axis", {"B,T,21:f32"}, "%y = weft." + op + " %0 {axis = 1 : i64} : {B,T,21:f32}", {"%y : B,T,21:f32"}, rowSizes, {{-3, 3}}});
    cases.push_back({op + " first", {"T,21:f32"}, "%y = weft." + op + " %0 {axis = 0 : i64} : {T,21:f32}", {"%y : T,21:f32"}, rowSizes, {{-3, 3}}});
    cases.push_back({op + " f64", {"4,37:f64"}, "%y = weft." + op + " %0 {axis = 1 : i64} : {4,37:f64}", {"%y : 4,37:f64"}, {{}}, {}, 1e-14});
    cases.push_back({op + " vector", {"N:f32"}, "%y = weft." + op + " %0 {axis = 0 : i64} : {N:f32}", {"%y : N:f32"}, longSizes});
  }
  cases.push_back({"softmax empty", {"B,N:f32"}, "%y = weft.softmax %0 {axis = 1 : i64} : {B,N:f32}", {"%y : B,N:f32"}, emptySizes});
  for (int axis : {0, 1})
    cases.push_back({"l2_normalize " + std::to_string(axis), {"B,N:f32"}, "%y = weft.l2_normalize %0 {axis = " + std::to_string(axis) + " : i64, eps = 1.0e-12 : f64} : {B,N:f32}",
                     {"%y : B,N:f32"}, longSizes});
}

void reductions(std::vector<RowCase> &cases) {
  for (std::string op : {"reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "var"}) {
    for (auto [axes, rest, kept] : std::vector<std::tuple<std::string, std::string, std::string>>{
             {"2", "B,T", "B,T,1"}, {"1", "B,19", "B,1,19"}, {"0", "T,19", "1,T,19"}, {"0, 1", "19", "1,1,19"}, {"1, 2", "B", "B,1,1"}, {"0, 2", "T", "1,T,1"}, {"0, 1, 2", "", "1,1,1"}}) {
      std::vector<Dims> sizes = rowSizes;
      if (op != "reduce_sum")
        sizes.erase(sizes.begin() + 2); // no elements: compared by the sum only
      cases.push_back({op + " axes " + axes, {"B,T,19:f32"}, "%y = weft." + op + " %0 {axes = array<i64: " + axes + ">} : ({B,T,19:f32}) -> {" + rest + ":f32}", {"%y : " + rest + ":f32"}, sizes, {}, 3e-6});
      cases.push_back({op + " keep " + axes, {"B,T,19:f32"}, "%y = weft." + op + " %0 {axes = array<i64: " + axes + ">, keepdim} : ({B,T,19:f32}) -> {" + kept + ":f32}", {"%y : " + kept + ":f32"}, sizes, {}, 3e-6});
    }
    cases.push_back({op + " long", {"B,N:f32"}, "%y = weft." + op + " %0 {axes = array<i64: 1>} : ({B,N:f32}) -> {B:f32}", {"%y : B:f32"}, longSizes, {{3, 4}}, 3e-6});
    cases.push_back({op + " f64", {"B,N:f64"}, "%y = weft." + op + " %0 {axes = array<i64: 0>} : ({B,N:f64}) -> {N:f64}", {"%y : N:f64"}, longSizes, {{3, 4}}, 1e-13});
    if (op == "reduce_mean" || op == "var")
      continue;
    for (std::string type : {"i32", "i64", "ui8", "i8"})
      cases.push_back({op + " " + type, {"3,41:" + type}, "%y = weft." + op + " %0 {axes = array<i64: 1>} : ({3,41:" + type + "}) -> {3:" + type + "}", {"%y : 3:" + type}, {{}}, {{0, 3}}});
  }
  cases.push_back({"var unbiased", {"6,33:f32"}, "%y = weft.var %0 {axes = array<i64: 1>, keepdim, unbiased} : ({6,33:f32}) -> {6,1:f32}", {"%y : 6,1:f32"}, {{}}, {}, 3e-6});
  for (std::string type : {"f32", "i32", "ui8", "f64", "bf16"}) {
    cases.push_back({"argmax " + type, {"B,N:" + type}, "%y = weft.argmax %0 {axis = 1 : i64} : ({B,N:" + type + "}) -> {B:i32}", {"%y : B:i32"}, longSizes, {{0, 9}}});
    cases.push_back({"argmax axis " + type, {"B,N:" + type}, "%y = weft.argmax %0 {axis = 0 : i64, keepdim} : ({B,N:" + type + "}) -> {1,N:i32}", {"%y : 1,N:i32"}, longSizes, {{0, 9}}});
  }
  for (std::string op : {"mean_pool", "max_pool"}) {
    cases.push_back({op, {"B,T,19:f32"}, "%y = weft." + op + " %0 : {B,T,19:f32} to {B,19:f32}", {"%y : B,19:f32"}, rowSizes});
    cases.push_back({op + " mask", {"B,T,70:f32", "B,T:i1"}, "%y = weft." + op + " %0 mask(%1 : {B,T:i1}) : {B,T,70:f32} to {B,70:f32}", {"%y : B,70:f32"}, rowSizes});
  }
}

void movement(std::vector<RowCase> &cases) {
  cases.push_back({"transpose", {"B,T,3,20:f32"}, "%y = weft.transpose %0 {perm = array<i64: 0, 2, 1, 3>} : ({B,T,3,20:f32}) -> {B,3,T,20:f32}", {"%y : B,3,T,20:f32"}, rowSizes});
  cases.push_back({"transpose last", {"T,37:f32"}, "%y = weft.transpose %0 {perm = array<i64: 1, 0>} : ({T,37:f32}) -> {37,T:f32}", {"%y : 37,T:f32"}, rowSizes});
  cases.push_back({"transpose i8", {"T,37:i8"}, "%y = weft.transpose %0 {perm = array<i64: 1, 0>} : ({T,37:i8}) -> {37,T:i8}", {"%y : 37,T:i8"}, rowSizes});
  cases.push_back({"slice", {"B,T,40:f32"}, "%y = weft.slice %0 {axis = 2 : i64, start = \"3\", step = 2 : i64} : {B,T,40:f32} to {B,T,19:f32}", {"%y : B,T,19:f32"}, rowSizes});
  cases.push_back({"slice last", {"B,T,40:f32"}, "%y = weft.slice %0 {axis = 1 : i64, start = \"T - 1\", step = 1 : i64} : {B,T,40:f32} to {B,1,40:f32}", {"%y : B,1,40:f32"}, {rowSizes[0], rowSizes[1]}});
  cases.push_back({"slice minimum", {"T,40:f32"}, "%y = weft.slice %0 {axis = 1 : i64, start = \"max(T, 3) * 2 - min(7, T + 1)\", step = 1 : i64} : {T,40:f32} to {T,5:f32}", {"%y : T,5:f32"}, rowSizes});
  std::vector<std::tuple<std::string, std::string, std::string>> reshapes{
      {"split", "B,T,96", "B,T,3,32"}, {"split odd", "B,T,21", "B,T,7,3"}, {"merge", "B,T,3,32", "B,T,96"}, {"merge odd", "B,T,7,3", "B,T,21"}, {"unit", "B,T", "B,1,T,1"}, {"flat", "B,T,5", "B * T * 5"},
      {"rows", "B,T,20", "B * T,20"}, {"unrows", "B * T,20", "B,T,20"}, {"mixed", "6,T,4", "3,2,T,2,2"}, {"regroup", "4,6", "8,3"}, {"scalar", "1,1", ""}};
  for (auto [name, from, to] : reshapes) {
    std::string op = "%y = weft.reshape %0 : {" + from + ":f32} to {" + to + ":f32}";
    cases.push_back({"reshape " + name, {from + ":f32"}, op, {"%y : " + to + ":f32"}, rowSizes});
    cases.push_back({"reshape computed " + name, {from + ":f32"}, "%n = weft.neg %0 : {" + from + ":f32}\n%y = weft.reshape %n : {" + from + ":f32} to {" + to + ":f32}", {"%y : " + to + ":f32"}, rowSizes});
  }
  cases.push_back({"heads", {"B,T,3,20:f32"},
                   "%t = weft.transpose %0 {perm = array<i64: 0, 2, 1, 3>} : ({B,T,3,20:f32}) -> {B,3,T,20:f32}\n%r = weft.transpose %t {perm = array<i64: 0, 2, 1, 3>} : ({B,3,T,20:f32}) -> {B,T,3,20:f32}\n"
                   "%y = weft.reshape %r : {B,T,3,20:f32} to {B,T,60:f32}",
                   {"%y : B,T,60:f32"}, rowSizes});
  cases.push_back({"concat rows", {"B,T,9:f32", "B,2,9:f32", "B,T,9:f32"},
                   "%y = weft.concat %0, %1, %2 {axis = 1 : i64} : ({B,T,9:f32}, {B,2,9:f32}, {B,T,9:f32}) -> {B,T * 2 + 2,9:f32}", {"%y : B,T * 2 + 2,9:f32"}, rowSizes});
  cases.push_back({"concat columns", {"B,T:f32", "B,3:f32", "B,40:f32"}, "%y = weft.concat %0, %1, %2 {axis = 1 : i64} : ({B,T:f32}, {B,3:f32}, {B,40:f32}) -> {B,T + 43:f32}", {"%y : B,T + 43:f32"}, rowSizes});
  cases.push_back({"concat i32", {"3:i32", "1:i32"}, "%y = weft.concat %0, %1, %0 {axis = 0 : i64} : ({3:i32}, {1:i32}, {3:i32}) -> {7:i32}", {"%y : 7:i32"}});
  cases.push_back({"expand", {"1,8:f32"}, "%y = weft.expand %0 : {1,8:f32} to {B,T,8:f32}", {"%y : B,T,8:f32"}, rowSizes});
  cases.push_back({"constant", {}, "%y = weft.constant dense<[[1.5, 2.5, 3.5], [4.5, 5.5, 6.5]]> : {2,3:f32}", {"%y : 2,3:f32"}});
  cases.push_back({"constant i1", {}, "%y = weft.constant dense<[true, false, true]> : {3:i1}", {"%y : 3:i1"}});
  cases.push_back({"constant i64", {}, "%y = weft.constant dense<[1, -5, 12345678901]> : {3:i64}", {"%y : 3:i64"}});
  for (std::string type : {"i32", "i64", "f32", "ui8"})
    cases.push_back({"iota " + type, {}, "%y = weft.iota : {T:" + type + "}", {"%y : T:" + type}, rowSizes});
  cases.push_back({"causal_mask", {}, "%y = weft.causal_mask : {T,T:i1}", {"%y : T,T:i1"}, rowSizes});
  cases.push_back({"positions", {}, "%y = weft.positions {offset = \"5\"} : {T:i32}", {"%y : T:i32"}, rowSizes});
  cases.push_back({"positions state", {}, "%y = weft.positions {offset = \"0\", state = @kv} : {B,T:i32}", {"%y : B,T:i32"}, rowSizes});
  cases.push_back({"layouts", {"B,T,9:f32", "B,T,9:f32"}, "%y = weft.add %0, %1 : ({B,T,9:f32}, {B,T,9:f32}) -> {B,T,9:f32}", {"%y : B,T,9:f32"}, rowSizes, {}, 1e-6, {{1, 0, 2}, {2, 0, 1}}});
  cases.push_back({"rank 8", {"2,1,2,1,2,1,2,3:f32", "2,3:f32"}, "%y = weft.add %0, %1 : ({2,1,2,1,2,1,2,3:f32}, {2,3:f32}) -> {2,1,2,1,2,1,2,3:f32}", {"%y : 2,1,2,1,2,1,2,3:f32"}});
  cases.push_back({"scalar", {":f32"}, "%y = weft.exp %0 : {:f32}", {"%y : :f32"}});
}

void lookups(std::vector<RowCase> &cases) {
  for (std::string index : {"i32", "i64"})
    for (std::string type : {"f32", "bf16", "f64"})
      cases.push_back({"embedding " + index + " " + type, {"B,T:" + index, "11,37:" + type}, "%y = weft.embedding %0, %1 : ({B,T:" + index + "}, {11,37:" + type + "}) -> {B,T,37:" + type + "}",
                       {"%y : B,T,37:" + type}, rowSizes, {{0, 10}}});
  cases.push_back({"embedding scalar", {":i32", "11,37:f32"}, "%y = weft.embedding %0, %1 : ({:i32}, {11,37:f32}) -> {37:f32}", {"%y : 37:f32"}, {{}}, {{0, 10}}});
  cases.push_back({"gather lanes", {"B,9:f32", "B,N:i32"}, "%y = weft.gather %0, %1 {axis = 1 : i64} : ({B,9:f32}, {B,N:i32}) -> {B,N:f32}", {"%y : B,N:f32"}, longSizes, {{}, {0, 8}}});
  cases.push_back({"gather rows", {"9,N:f32", "B,N:i64"}, "%y = weft.gather %0, %1 {axis = 0 : i64} : ({9,N:f32}, {B,N:i64}) -> {B,N:f32}", {"%y : B,N:f32"}, longSizes, {{}, {0, 8}}});
  cases.push_back({"gather broadcast", {"B,9,N:f32", "B,1,1:i32"}, "%y = weft.gather %0, %1 {axis = 1 : i64} : ({B,9,N:f32}, {B,1,1:i32}) -> {B,1,N:f32}", {"%y : B,1,N:f32"}, longSizes, {{}, {0, 8}}});
  cases.push_back({"gather dynamic", {"B,N:f32", "B,2:i32"}, "%y = weft.gather %0, %1 {axis = 1 : i64} : ({B,N:f32}, {B,2:i32}) -> {B,2:f32}", {"%y : B,2:f32"}, longSizes, {{}, {0, 0.5}}});
  cases.push_back({"sinusoid", {"T:i32"}, "%y = weft.sinusoid %0 {features = 38 : i64, base = 1.0e4 : f64, element_type = f32} : ({T:i32}) -> {T,38:f32}", {"%y : T,38:f32"}, rowSizes, {{0, 100000}}});
  cases.push_back({"sinusoid f64", {"T:i32"}, "%y = weft.sinusoid %0 {features = 7 : i64, base = 1.0e4 : f64, element_type = f64} : ({T:i32}) -> {T,7:f64}", {"%y : T,7:f64"}, rowSizes, {{0, 1000}}, 1e-11});
  struct Rope {
    int heads, head, rotary;
  };
  for (Rope r : std::vector<Rope>{{3, 64, 64}, {2, 8, 8}, {5, 4, 4}, {2, 32, 16}, {2, 64, 32}, {3, 20, 20}, {3, 20, 12}, {1, 6, 2}, {2, 96, 96}, {4, 8, 4}, {3, 80, 80}})
    for (std::string interleaved : {"", ", interleaved"})
      for (std::string positions : {"T", "B,T"}) {
        std::string x = "B,T," + std::to_string(r.heads * r.head) + ":f32";
        cases.push_back({"rope " + std::to_string(r.heads) + "x" + std::to_string(r.head) + "/" + std::to_string(r.rotary) + interleaved + " [" + positions + "]", {x, positions + ":i32"},
                         "%y = weft.rope %0, %1 {heads = " + std::to_string(r.heads) + " : i64, theta = 1.0e4 : f64, rotary_dim = " + std::to_string(r.rotary) + " : i64" + interleaved + "} : ({" + x + "}, {" + positions +
                             ":i32}) -> {" + x + "}",
                         {"%y : " + x}, rowSizes, {{}, {0, 100000}}});
      }
  cases.push_back({"rope f64", {"2,3,16:f64", "3:i32"}, "%y = weft.rope %0, %1 {heads = 2 : i64, theta = 1.0e4 : f64, rotary_dim = 8 : i64} : ({2,3,16:f64}, {3:i32}) -> {2,3,16:f64}", {"%y : 2,3,16:f64"}, {{}}, {}, 1e-11});
  cases.push_back({"rope one head one token", {"B,T,2:f32", "T:i32"}, "%y = weft.rope %0, %1 {heads = 1 : i64, theta = 1.0e4 : f64, rotary_dim = 2 : i64} : ({B,T,2:f32}, {T:i32}) -> {B,T,2:f32}", {"%y : B,T,2:f32"}, rowSizes});
}

void regions(std::vector<RowCase> &cases) {
  for (std::string n : {"N", "48", "768"}) {
    std::string x = "B," + n + ":f32", t = "{" + x + "}", w = "{" + n + ":f32}";
    cases.push_back({"add norm " + n, {x, x, n + ":f32", n + ":f32"},
                     "%s = weft.add %0, %1 : (" + t + ", " + t + ") -> " + t + "\n%y = weft.layer_norm %s weight(%2 : " + w + ") bias(%3 : " + w + ") {axis = 1 : i64, eps = 1.0e-5 : f64} : " + t,
                     {"%s : " + x, "%y : " + x}, longSizes, {}, 3e-6});
    cases.push_back({"gelu norm " + n, {x, n + ":f32"},
                     "%g = weft.gelu %0 : " + t + "\n%y = weft.rms_norm %g, %1 {eps = 1.0e-6 : f64} : (" + t + ", " + w + ") -> " + t, {"%y : " + x}, longSizes, {}, 3e-6});
    cases.push_back({"masked softmax " + n, {x, "B," + n + ":i1"},
                     "%c = weft.constant dense<0xFF800000> : {:f32}\n%m = weft.where %1, %0, %c : ({B," + n + ":i1}, " + t + ", {:f32}) -> " + t + "\n%y = weft.softmax %m {axis = 1 : i64} : " + t, {"%y : " + x}, longSizes});
    cases.push_back({"norm by hand " + n, {x},
                     "%m = weft.reduce_mean %0 {axes = array<i64: 1>, keepdim} : (" + t + ") -> {B,1:f32}\n%d = weft.sub %0, %m : (" + t + ", {B,1:f32}) -> " + t + "\n%q = weft.mul %d, %d : (" + t + ", " + t + ") -> " + t +
                         "\n%v = weft.reduce_mean %q {axes = array<i64: 1>, keepdim} : (" + t + ") -> {B,1:f32}\n%e = weft.constant dense<1.0e-5> : {:f32}\n%f = weft.add %v, %e : ({B,1:f32}, {:f32}) -> {B,1:f32}\n" +
                         "%r = weft.rsqrt %f : {B,1:f32}\n%y = weft.mul %d, %r : (" + t + ", {B,1:f32}) -> " + t,
                     {"%y : " + x, "%v : B,1:f32"}, longSizes, {}, 3e-6});
    cases.push_back({"entropy " + n, {x},
                     "%l = weft.log_softmax %0 {axis = 1 : i64} : " + t + "\n%p = weft.exp %l : " + t + "\n%q = weft.mul %p, %l : (" + t + ", " + t + ") -> " + t +
                         "\n%s = weft.reduce_sum %q {axes = array<i64: 1>} : (" + t + ") -> {B:f32}\n%y = weft.neg %s : {B:f32}",
                     {"%y : B:f32"}, longSizes, {}, 3e-6});
    cases.push_back({"softmax twice " + n, {x}, "%a = weft.softmax %0 {axis = 1 : i64} : " + t + "\n%y = weft.softmax %a {axis = 1 : i64} : " + t, {"%y : " + x, "%a : " + x}, longSizes});
  }
  cases.push_back({"embed norm", {"B,T:i32", "11,48:f32", "64,48:f32", "48:f32"},
                   "%p = weft.positions {offset = \"0\"} : {T:i32}\n%e = weft.embedding %0, %1 : ({B,T:i32}, {11,48:f32}) -> {B,T,48:f32}\n%w = weft.embedding %p, %2 : ({T:i32}, {64,48:f32}) -> {T,48:f32}\n"
                   "%s = weft.add %e, %w : ({B,T,48:f32}, {T,48:f32}) -> {B,T,48:f32}\n%y = weft.rms_norm %s, %3 {eps = 1.0e-6 : f64} : ({B,T,48:f32}, {48:f32}) -> {B,T,48:f32}",
                   {"%s : B,T,48:f32", "%y : B,T,48:f32"}, rowSizes, {{0, 10}}, 3e-6});
  cases.push_back({"pool norm", {"B,T,40:f32", "B,T:i1"},
                   "%p = weft.mean_pool %0 mask(%1 : {B,T:i1}) : {B,T,40:f32} to {B,40:f32}\n%y = weft.l2_normalize %p {axis = 1 : i64, eps = 1.0e-12 : f64} : {B,40:f32}", {"%y : B,40:f32"}, rowSizes, {}, 3e-6});
  cases.push_back({"column softmax", {"B,T,40:f32"},
                   "%m = weft.reduce_max %0 {axes = array<i64: 1>, keepdim} : ({B,T,40:f32}) -> {B,1,40:f32}\n%d = weft.sub %0, %m : ({B,T,40:f32}, {B,1,40:f32}) -> {B,T,40:f32}\n%e = weft.exp %d : {B,T,40:f32}\n"
                   "%s = weft.reduce_sum %e {axes = array<i64: 1>, keepdim} : ({B,T,40:f32}) -> {B,1,40:f32}\n%y = weft.div %e, %s : ({B,T,40:f32}, {B,1,40:f32}) -> {B,T,40:f32}",
                   {"%y : B,T,40:f32"}, rowSizes});
  cases.push_back({"loss", {"B,N:f32", "B:i32"},
                   "%l = weft.log_softmax %0 {axis = 1 : i64} : {B,N:f32}\n%i = weft.reshape %1 : {B:i32} to {B,1:i32}\n%g = weft.gather %l, %i {axis = 1 : i64} : ({B,N:f32}, {B,1:i32}) -> {B,1:f32}\n"
                   "%n = weft.neg %g : {B,1:f32}\n%y = weft.reshape %n : {B,1:f32} to {B:f32}",
                   {"%y : B:f32"}, longSizes, {{}, {0, 0.5}}, 3e-6});
  cases.push_back({"different rows", {"B,N:f32"},
                   "%y = weft.exp %0 : {B,N:f32}\n%s = weft.reduce_sum %0 {axes = array<i64: 0, 1>} : ({B,N:f32}) -> {:f32}\n%t = weft.reduce_max %0 {axes = array<i64: 0>} : ({B,N:f32}) -> {N:f32}",
                   {"%y : B,N:f32", "%s : :f32", "%t : N:f32"}, longSizes, {}, 3e-6});
  cases.push_back({"two axes", {"B,T,40:f32"},
                   "%m = weft.reduce_mean %0 {axes = array<i64: 1, 2>, keepdim} : ({B,T,40:f32}) -> {B,1,1:f32}\n%y = weft.sub %0, %m : ({B,T,40:f32}, {B,1,1:f32}) -> {B,T,40:f32}", {"%y : B,T,40:f32"}, rowSizes, {}, 3e-6});
}

} // namespace

std::vector<RowCase> rowCases() {
  std::vector<RowCase> cases;
  pointwise(cases);
  dropouts(cases);
  norms(cases);
  reductions(cases);
  movement(cases);
  lookups(cases);
  regions(cases);
  return cases;
}

} // namespace weft::test

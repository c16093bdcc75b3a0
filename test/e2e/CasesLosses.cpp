// Losses, forward: reductions, ignored labels, weights, smoothing, sizes of 0.
// Labels of an input `l:i32[…]<k` are drawn from 0..k-1; one of them is the ignored one where a case says so.
#include "Cases.h"

namespace weft::e2e {
namespace {

std::string op(const std::string &name, const std::string &rest = "") { return "\"op\": \"" + name + "\"" + (rest.empty() ? "" : ", " + rest); }

}  // namespace

void addLossCases(std::vector<Case> &t) {
  auto loss = [&](const char *inputs, const std::string &nodes, const std::string &options = "") {
    t.push_back({inputs, nodes, options.empty() ? "loss" : "loss " + options});
  };
  for (const char *reduction : {"mean", "sum", "none"}) {
    std::string how = std::string("\"reduction\": \"") + reduction + "\"";
    loss("z:[B,T,7] l:i32[B,T]<7", op("cross_entropy", how), "zero");
    loss("z:[B,T,7] l:i32[B,T]<7", op("cross_entropy", how + R"(, "ignore_index": 3)"), "zero");
    loss("z:[T,130] l:i64[T]<130", op("cross_entropy", how + R"(, "ignore_index": 3, "label_smoothing": 0.1)"));
    loss("z:[B,3] l:i32[B]<3", op("cross_entropy", how + R"(, "ignore_index": 1, "label_smoothing": 0.2, "class_weights": [0.5, 1, 2])"));
    loss("z:[B,T,17] l:i32[B,T]<17 w:[17]+", op("cross_entropy", how));
    loss("x:[B,T,5] t:[B,T,5]", op("bce_with_logits", how), "zero");
    loss("x:[B,5] t:[B,5]", op("bce_with_logits", how + R"(, "pos_weight": 3)"));
    loss("x:[B,3] t:[B,3]", op("bce_with_logits", how + R"(, "pos_weight": [0.5, 1, 2])"));
    for (const char *name : {"mse", "l1", "huber"})
      loss("x:[B,T,5] t:[B,T,5]", op(name, how), "zero");
    loss("x:[T,33] t:[T,33]", op("huber", how + R"(, "delta": 20)"));
  }
  for (const char *reduction : {"mean", "sum", "none", "batchmean"})
    loss("q:[B,T,5] p:[B,T,5]+", op("kl_div", std::string("\"reduction\": \"") + reduction + "\""), "zero");
  loss("z:[7] l:i32[]<7", op("cross_entropy"));
  loss("z:[B,1] l:i32[B]<1", op("cross_entropy", R"("ignore_index": 0)"));  // none left
  loss("z:[B,T,5000] l:i32[B,T]<5000", op("cross_entropy"), "once");
  loss("z:[B,6]! l:i32[B]<6", op("cross_entropy"));
  // Logits in chunks of 128 rows: whole ones, one with a rest, no row.
  loss("x:[B,T,5] w:[5,40000] l:i32[B,T]<40000",
       R"([{"id": "z", "op": "matmul", "in": ["x", "w"]}, {"id": "y", "op": "cross_entropy", "in": ["z", "l"], "label_smoothing": 0.1}])",
       "zero set=B=4,T=64;B=3,T=100;B=0,T=5");
  loss("x:[B,5]! t:[B,5]", op("bce_with_logits"));
  loss("x:[B,5]! t:[B,5]", op("huber"));
  loss("z:f64[B,T,7] l:i32[B,T]<7", op("cross_entropy", R"("ignore_index": 3)"));
  loss("x:[] t:[]", op("mse"));
  loss("z:[B,6] l:i32[B]<9", op("cross_entropy"), "set=B=40 error=expected_0..");
}

}  // namespace weft::e2e

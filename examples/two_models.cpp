// Two models in one C++ program, each with a thread pool of its own: a story is told while another thread computes batches of
// an encoder layer. Usage: two_models STORY_WEIGHTS.safetensors ENCODER_INPUTS.safetensors [TOKENS]. README.md says how to build it.
#include "encoder_layer.h"
#include "stories260k.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Release {
  void operator()(weft_model *model) const { weft_model_close(model); }
  void operator()(weft_session *session) const { weft_session_destroy(session); }
  void operator()(weft_threads *threads) const { weft_threads_destroy(threads); }
  void operator()(weft_tensor_file *file) const { weft_tensor_file_close(file); }
};
template <typename Handle> using Owned = std::unique_ptr<Handle, Release>;

// A function that fails still gives a handle, which has the text.
void check(weft_status status, const char *text) {
  if (status != WEFT_OK)
    throw std::runtime_error(*text ? text : weft_status_name(status));
}

Owned<weft_threads> pool(int64_t threads) {
  weft_threads *made = nullptr;
  weft_status status = weft_threads_create(threads, nullptr, &made);
  Owned<weft_threads> owned(made);
  check(status, "");
  return owned;
}

std::vector<int32_t> story(const char *weights, weft_threads *threads, int64_t length) {
  weft_model *opened = nullptr;
  weft_status status = stories260k_open(nullptr, &opened);
  Owned<weft_model> model(opened);
  check(status, weft_model_error(opened));
  check(weft_model_load(opened, weights), weft_model_error(opened));
  stories260k_dims most{};
  most.B = 1;
  most.T = 256;
  weft_session_options options{};
  options.shared_threads = threads;
  weft_session *made = nullptr;
  status = stories260k_session(opened, &most, &options, &made);
  Owned<weft_session> session(made);
  check(status, weft_session_error(made));
  const int32_t begin = 1;
  std::vector<int32_t> tokens(static_cast<size_t>(length));
  weft_generate_options how{};
  check(weft_generate_defaults(opened, 0, &how), "");
  how.max_new_tokens = length;
  weft_sequence sequence{};
  sequence.prompt = &begin;
  sequence.prompt_length = 1;
  sequence.tokens = tokens.data();
  sequence.capacity = length;
  check(stories260k_generate(made, &how, &sequence, 1), weft_session_error(made));
  tokens.resize(static_cast<size_t>(sequence.count));
  return tokens;
}

// Calls the encoder layer again and again; every call must give the same bits as the first.
std::vector<float> encode(const char *inputs, weft_threads *threads, int calls) {
  weft_tensor_file *file = nullptr;
  weft_status status = weft_tensor_file_open(inputs, nullptr, &file);
  Owned<weft_tensor_file> owned(file);
  check(status, weft_tensor_file_error(file));
  const int64_t at = weft_tensor_file_find(file, "x");
  if (at < 0)
    throw std::runtime_error("expected a tensor 'x'");
  const weft_tensor_info &info = *weft_tensor_file_at(file, at);
  std::vector<float> x(static_cast<size_t>(info.elements)), y(x.size()), first;
  check(weft_tensor_file_read(file, at, x.data(), x.size() * sizeof(float)), weft_tensor_file_error(file));

  weft_model *opened = nullptr;
  status = encoder_layer_open(nullptr, &opened);
  Owned<weft_model> model(opened);
  check(status, weft_model_error(opened));
  check(weft_model_init(opened, 1), weft_model_error(opened));
  encoder_layer_forward_args args{};
  args.dims.B = info.shape[0];
  args.dims.T = info.shape[1];
  args.x = x.data();
  args.out = y.data();
  weft_session_options options{};
  options.shared_threads = threads;
  weft_session *made = nullptr;
  status = encoder_layer_session(opened, &args.dims, &options, &made);
  Owned<weft_session> session(made);
  check(status, weft_session_error(made));
  for (int call = 0; call < calls; ++call) {
    check(encoder_layer_forward(made, &args), weft_session_error(made));
    if (call == 0)
      first = y;
    else if (y != first)
      throw std::runtime_error("a call gave other numbers than the first");
  }
  return first;
}

} // namespace

int main(int argc, char **argv) {
  if (argc < 3)
    return std::fprintf(stderr, "usage: %s STORY_WEIGHTS.safetensors ENCODER_INPUTS.safetensors [TOKENS]\n", argv[0]), 2;
  const int64_t length = argc > 3 ? std::strtoll(argv[3], nullptr, 10) : 20;
  std::string failed;
  std::vector<float> encoded;
  try {
    Owned<weft_threads> one = pool(2), other = pool(2);
    std::thread beside([&] {
      try {
        encoded = encode(argv[2], other.get(), 100);
      } catch (const std::exception &error) {
        failed = error.what();
      }
    });
    std::vector<int32_t> tokens;
    try {
      tokens = story(argv[1], one.get(), length);
    } catch (const std::exception &error) {
      failed = error.what();
    }
    beside.join();
    if (failed.empty()) {
      std::printf("story:");
      for (int32_t token : tokens)
        std::printf(" %d", token);
      std::printf("\nencoder: %zu numbers, the first %.6f\n", encoded.size(), encoded.front());
    }
  } catch (const std::exception &error) {
    failed = error.what();
  }
  if (!failed.empty())
    std::fprintf(stderr, "%s\n", failed.c_str());
  return !failed.empty();
}

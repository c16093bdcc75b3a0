// `weft generate`: prompt in, tokens out as they come. Text needs a tokenizer file; without one, ids are printed.
// What the command line does not say is what the model's generate entry says.
#include "Commands.h"
#include "Runner.h"
#include "Tokenizer.h"

#include <unistd.h>

namespace weft {

namespace {

struct GenerateOptions : CommonOptions {
  std::string entry, tokens, prompt, tokenizer, weights, loadCache, saveCache;
  std::vector<std::string> inputFiles, inputs;
  bool hasPrompt = false;
  std::optional<uint64_t> init;
  std::optional<int64_t> maxNew, topK, beams;
  std::optional<double> temperature, topP;
};

struct Stream {
  const Tokenizer *tokenizer = nullptr;
  bool print = false;
  int64_t previous = 0;
  double first = 0, last = 0;
  int64_t count = 0;
  std::string text;
};

int onToken(void *user, int64_t, int64_t index, int32_t token) {
  auto &stream = *static_cast<Stream *>(user);
  stream.last = millisecondsNow();
  if (stream.count++ == 0)
    stream.first = stream.last;
  std::string piece = stream.tokenizer ? stream.tokenizer->decode(stream.previous, token) : (index ? " " : "") + std::to_string(token);
  stream.previous = token;
  if (stream.tokenizer)
    stream.text += piece;
  if (stream.print) {
    print(piece);
    if (std::fflush(stdout) != 0)
      return 1; // the reader has gone
  }
  return 0;
}

int parsePrompt(const GenerateOptions &options, const std::optional<Tokenizer> &tokenizer, std::vector<int32_t> &prompt) {
  if (options.hasPrompt) {
    if (!tokenizer)
      return fail(kUsage, "expected --tokenizer FILE with --prompt", "or give token ids with --tokens 1,2,3");
    std::string failure;
    std::optional<std::vector<int64_t>> ids = tokenizer->encode(options.prompt, failure);
    if (!ids)
      return fail(kInvalid, "prompt: " + failure);
    prompt.assign(ids->begin(), ids->end());
    return prompt.empty() ? fail(kUsage, "expected a prompt but it has no tokens") : int(kOk);
  }
  if (!options.tokens.empty() && hasEmptyPart(options.tokens))
    return fail(kUsage, "expected --tokens 1,2,3 but got " + quote(options.tokens));
  for (const std::string &part : splitList(options.tokens)) {
    char *end = nullptr;
    errno = 0;
    long long id = std::strtoll(part.c_str(), &end, 10);
    if (*end != 0 || errno != 0 || id < 0 || id > INT32_MAX)
      return fail(kUsage, "expected a token id but got " + quote(part));
    prompt.push_back(int32_t(id));
  }
  if (prompt.empty())
    return fail(kUsage, "expected --prompt TEXT or --tokens 1,2,3 but got nothing");
  return kOk;
}

/// Every id that the tokenizer may give must be a token of the model; a model may have rows to spare.
int checkVocabulary(const GenerateOptions &options, const Tokenizer &tokenizer, const ModelDesc &model, const GenerateDesc &generate) {
  for (const InputDesc &input : model.inputs)
    if (input.name == generate.tokenInput && input.hasRange && int64_t(tokenizer.size()) > input.high + 1)
      return fail(kInvalid, "tokenizer " + quote(options.tokenizer) + ": expected at most " + std::to_string(input.high + 1) + " pieces, as model " + quote(model.name) +
                                " has tokens " + std::to_string(input.low) + ".." + std::to_string(input.high) + ", but got " + std::to_string(tokenizer.size()),
                  "it belongs to another model");
  return kOk;
}

int chooseGenerate(const GenerateOptions &options, const ModelDesc &model, const GenerateDesc *&chosen) {
  std::vector<std::string> names;
  for (const GenerateDesc &generate : model.generates) {
    names.push_back(generate.name);
    if (generate.name == options.entry || (options.entry.empty() && !chosen))
      chosen = &generate;
  }
  if (chosen)
    return kOk;
  if (names.empty())
    return fail(kInvalid, "expected a model with a generate entry but " + quote(model.name) + " has none");
  std::string hint = didYouMean(options.entry, names);
  return fail(kUsage, "expected a generate entry but got " + quote(options.entry), hint.empty() ? "there is " + listWords(names) : hint);
}

/// The model's sampling, changed by what the command line says.
weft_generate_options sampling(const GenerateOptions &options, const Runner &runner, int32_t index) {
  weft_generate_options result = {};
  weft_generate_defaults(runner.handle, index, &result);
  if (options.maxNew)
    result.max_new_tokens = *options.maxNew;
  // One beam is the most probable token; a temperature means nothing to beams, so it asks for another choice.
  if (result.sample == WEFT_SAMPLE_BEAM && (options.beams ? *options.beams == 1 : options.temperature.has_value()))
    result.sample = WEFT_SAMPLE_GREEDY;
  if (options.temperature) {
    result.temperature = *options.temperature;
    if (*options.temperature == 0)
      result.sample = WEFT_SAMPLE_GREEDY;
    else if (result.sample == WEFT_SAMPLE_GREEDY)
      result.sample = WEFT_SAMPLE_MULTINOMIAL;
  }
  if (options.topK) {
    result.k = *options.topK;
    result.sample = WEFT_SAMPLE_TOP_K;
  }
  if (options.topP) {
    result.p = *options.topP;
    result.sample = WEFT_SAMPLE_TOP_P;
  }
  if (options.beams) {
    result.beams = *options.beams;
    if (*options.beams > 1)
      result.sample = WEFT_SAMPLE_BEAM;
  }
  return result;
}

/// What the prefill takes besides tokens, and the sizes of a call with this prompt.
int bindPrefill(const Runner &runner, const weft_generate_desc &desc, const std::vector<int32_t> &prompt, std::vector<HostTensor> given,
                std::vector<HostTensor> &inputs, std::vector<int64_t> &dims) {
  const weft_entry_desc &prefill = runner.desc()->entry[desc.prefill];
  const weft_tensor_desc &tokens = runner.desc()->input[desc.token_input];
  for (const HostTensor &tensor : given)
    if (tensor.name == tokens.name)
      return fail(kUsage, "input " + quote(tensor.name) + " is the prompt", "give it with --tokens");
  size_t length = prompt.size();
  if (prefill.token_dim >= 0) {
    const weft_dim_desc &dim = runner.desc()->dim[prefill.token_dim];
    if (int64_t(length) > dim.max)
      return fail(kInvalid, "expected a prompt of at most " + std::to_string(dim.max) + " tokens but got " + std::to_string(length));
    length = size_t(std::max<int64_t>(int64_t(length), dim.min));
  }
  HostTensor row;
  row.name = tokens.name;
  row.dtype = WEFT_I32;
  row.shape.assign(size_t(tokens.rank), 1);
  row.shape.back() = int64_t(length);
  std::vector<int32_t> padded = prompt;
  padded.resize(length, prompt.back());
  row.bytes.assign(reinterpret_cast<const char *>(padded.data()), reinterpret_cast<const char *>(padded.data() + length));
  given.push_back(std::move(row));
  if (int code = bindInputs(runner.desc(), desc.prefill, std::move(given), inputs))
    return code;
  return dimsFromInputs(runner.desc(), desc.prefill, inputs, dims);
}

int generate(const GenerateOptions &options, bool seedGiven) {
  Runner runner;
  if (int code = runner.read(options))
    return code;
  const GenerateDesc *chosen = nullptr;
  if (int code = chooseGenerate(options, runner.model, chosen))
    return code;
  std::optional<Tokenizer> tokenizer;
  if (!options.tokenizer.empty()) {
    std::string failure;
    tokenizer = Tokenizer::load(options.tokenizer, failure);
    if (!tokenizer)
      return fail(failure.compare(0, 9, "tokenizer") == 0 ? kInvalid : kFile, failure);
    if (int code = checkVocabulary(options, *tokenizer, runner.model, *chosen))
      return code;
  }
  std::vector<int32_t> prompt;
  if (int code = parsePrompt(options, tokenizer, prompt))
    return code;
  std::vector<HostTensor> given, inputs;
  if (int code = readGivenInputs(options, options.inputFiles, options.inputs, given))
    return code;
  if (int code = refuseInputs(options, {options.saveCache}, withWeightFiles(options, runner.model, options.inputFiles, {options.weights, options.tokenizer})))
    return code;
  if (int code = runner.compile(options, CompileOptions()))
    return code;
  WeightsChoice weights;
  weights.file = options.weights;
  weights.initSeed = options.init;
  if (int code = runner.open(options, weights))
    return code;
  int32_t index = weft_model_generate_entry(runner.handle, chosen->name.c_str());
  const weft_generate_desc &desc = runner.desc()->generate[index];
  const weft_entry_desc &prefill = runner.desc()->entry[desc.prefill];

  weft_generate_options sample = sampling(options, runner, index);
  const bool beam = sample.sample == WEFT_SAMPLE_BEAM;
  std::vector<int64_t> dims = runner.dimList({});
  if (int code = bindPrefill(runner, desc, prompt, std::move(given), inputs, dims))
    return code;
  sample.dims = dims.data();
  std::vector<const void *> pointers;
  for (const HostTensor &input : inputs)
    pointers.push_back(input.bytes.empty() ? nullptr : input.bytes.data());
  sample.prefill_inputs = pointers.data();
  std::vector<int64_t> most = dims;
  if (prefill.batch_dim >= 0)
    most[size_t(prefill.batch_dim)] = beam ? sample.beams : 1;
  if (int code = runner.start(options, most))
    return code;

  if (!options.loadCache.empty()) {
    weft_status status = weft_session_restore(runner.session, options.loadCache.c_str());
    if (status != WEFT_OK)
      return runner.failCall(status);
    sample.append = 1;
  }
  if (seedGiven)
    sample.seed = options.seed;
  Stream stream;
  stream.tokenizer = tokenizer ? &*tokenizer : nullptr;
  stream.print = !options.json;
  stream.previous = prompt.back();
  sample.on_token = onToken;
  sample.on_token_user = &stream;
  std::vector<int32_t> tokens(size_t(std::max<int64_t>(1, std::min<int64_t>(sample.max_new_tokens, 1 << 24))));
  weft_sequence sequence = {};
  sequence.prompt = prompt.data();
  sequence.prompt_length = int64_t(prompt.size());
  sequence.tokens = tokens.data();
  sequence.capacity = int64_t(tokens.size());
  if (stream.print && options.hasPrompt)
    print(options.prompt);
  double start = millisecondsNow();
  weft_status status = weft_session_generate(runner.session, index, &sample, &sequence, 1);
  if (stream.print)
    print("\n");
  if (status != WEFT_OK)
    return runner.failCall(status);
  if (!options.saveCache.empty())
    if (weft_status saved = weft_session_save(runner.session, options.saveCache.c_str()); saved != WEFT_OK)
      return runner.failCall(saved);

  double seconds = (stream.last - stream.first) / 1e3, rate = stream.count > 1 && seconds > 0 ? double(stream.count - 1) / seconds : 0;
  double prefillMs = stream.count ? stream.first - start : millisecondsNow() - start;
  if (beam) { // tokens are known when the search ends: its whole time counts
    seconds = (millisecondsNow() - start) / 1e3;
    rate = seconds > 0 ? double(stream.count) / seconds : 0;
  }
  if (options.json) {
    JsonWriter json;
    json.open('{').key("prompt").open('[');
    for (int32_t id : prompt)
      json.integer(id);
    json.close().key("tokens").open('[');
    for (int64_t i = 0; i < sequence.count; ++i)
      json.integer(tokens[size_t(i)]);
    json.close();
    if (tokenizer)
      json.key("text").string(stream.text);
    json.key("stopped").string(sequence.stopped == WEFT_STOP_END ? "end" : "length");
    json.key("tokens_per_s").number(rate);
    if (!beam)
      json.key("prefill_ms").number(prefillMs);
    print(json.close().text() + "\n");
  } else {
    char line[120];
    int length = std::snprintf(line, sizeof(line), "%lld tokens, %.0f tokens/s", static_cast<long long>(sequence.count), rate);
    if (!beam)
      std::snprintf(line + length, sizeof(line) - size_t(length), ", prefill %.2f ms", prefillMs);
    note(options, line);
  }
  return kOk;
}

} // namespace

void addGenerate(CLI::App &root, Action &action) {
  auto options = std::make_shared<GenerateOptions>();
  CLI::App *command = root.add_subcommand("generate", "continue a prompt with the model's generate entry");
  addCommonOptions(*command, *options);
  command->add_option("--entry", options->entry, "generate entry (default: the first)");
  CLI::Option *tokens = command->add_option("--tokens", options->tokens, "1,2,3: the prompt as token ids")->option_text("TEXT");
  command->add_option("--prompt", options->prompt, "the prompt as text; needs --tokenizer")->excludes(tokens)->option_text("TEXT");
  addRepeated(*command, "--inputs", options->inputFiles, "safetensors file with the prefill's other inputs, such as a source to translate");
  addRepeated(*command, "--input", options->inputs, "NAME=FILE.npy, or NAME=1,2,3 for a row of integers");
  command->add_option("--tokenizer", options->tokenizer, "llama2.c's tokenizer file, or a vocabulary: a piece a line");
  command->add_option("--weights", options->weights, "weights file instead of the model's");
  command->add_option("--init", options->init, "SEED: random weights")->check(checkSeed);
  command->add_option("--max-new", options->maxNew, "new tokens at most")->check(CLI::Range(int64_t(1), int64_t(1) << 24));
  command->add_option("--temperature", options->temperature, "0: always the most probable token")->check(notNegative());
  command->add_option("--top-k", options->topK, "choose among the k most probable tokens")->check(CLI::PositiveNumber);
  command->add_option("--top-p", options->topP, "choose among the fewest that have probability p")->check(CLI::Range(0.0, 1.0));
  command->add_option("--beams", options->beams, "beam search with this many beams")->check(CLI::PositiveNumber);
  command->add_option("--save-cache", options->saveCache, "file for the caches afterwards; the last new token is not in them yet");
  command->add_option("--load-cache", options->loadCache, "go on after such a file: the prompt follows what it holds");
  command->footer("Examples:\n  weft generate stories260k.json --prompt \"Once upon a time\" --tokenizer tok512.bin\n  weft generate gpt2.json --tokens 464,3290 --max-new 20 --temperature 0.8 --json");
  command->callback([=, &action] {
    options->hasPrompt = command->count("--prompt") > 0;
    bool seedGiven = command->count("--seed") > 0;
    action = [=] { return generate(*options, seedGiven); };
  });
}

} // namespace weft

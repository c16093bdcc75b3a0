// `weft train`: the generated training step over a data set, with checkpoints, evaluation and a log.
// Everything that can be refused is refused before the first step; after it only a save or a number that is not finite fails.
#include "Commands.h"
#include "NonFinite.h"
#include "OutputFiles.h"
#include "Signals.h"
#include "Runner.h"
#include "TrainEval.h"
#include "TrainFolder.h"
#include "TrainGraph.h"

#include "import/BatchWeight.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace weft {

namespace {

struct TrainOptions : CommonOptions {
  std::string entry, data, eval, weights, save, resume, log, exportFile, onNonfinite = "stop";
  std::vector<std::string> batches, dims;
  std::optional<uint64_t> init;
  std::optional<int64_t> steps, epochs, batch;
  int64_t evalEvery = 0, saveEvery = 0, keep = 3;
  bool shuffle = true;
};

void logLine(void *user, weft_log_level level, const char *text) {
  const auto &options = *static_cast<const TrainOptions *>(user);
  if (options.verbose || (level == WEFT_LOG_WARNING && !options.quiet))
    std::fprintf(stderr, "weft: %s: %s\n", level == WEFT_LOG_WARNING ? "warning" : "note", escapeText(text).c_str());
}

std::string hexText(uint64_t value) {
  char text[20];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(value));
  return text;
}

CLI::Validator atLeast(int64_t low) {
  return CLI::Validator(
      [low](std::string &text) {
        char *end = nullptr;
        errno = 0;
        const long long value = std::strtoll(text.c_str(), &end, 10);
        return *end == 0 && errno == 0 && value >= low && value <= INT64_C(1) << 40 ? std::string() : "expected a number from " + std::to_string(low) + " on but got " + quote(text);
      },
      "");
}

class Train {
public:
  explicit Train(TrainOptions given) : options(std::move(given)) {}
  ~Train() { weft_trainer_destroy(trainer); }

  int run() {
    for (auto part : {&Train::checkOptions, &Train::compile, &Train::openData, &Train::openTrainer, &Train::resume, &Train::loop})
      if (int code = (this->*part)())
        return code;
    return finish();
  }

private:
  TrainOptions options;
  Runner runner;
  OutputFiles files;
  TrainFolder folder;
  TrainInputs inputs;
  TrainSizes sizes;
  DataSet data;
  TrainOrder order;
  Evaluator evaluator;
  TrainReport report;
  weft_trainer *trainer = nullptr;
  weft_train_memory memory = {};
  weft_metrics metrics = {};
  std::optional<Evaluation> evaluation;
  uint64_t evaluatedAt = UINT64_MAX, savedAt = UINT64_MAX;
  uint64_t total = 0; ///< updates
  int64_t accumulate = 1, evalEvery = 0;
  bool skipWarned = false;
  std::string saveFolder;
  TrainNote note, nodes;

  int checkOptions() {
    if (options.data.empty() == options.batches.empty())
      return fail(kUsage, options.data.empty() ? "expected --data FILE or --batches FILE … but got neither" : "expected --data or --batches but got both");
    if (!options.steps && !options.epochs)
      return fail(kUsage, "expected --steps N or --epochs N but got neither");
    if (options.steps && options.epochs)
      return fail(kUsage, "expected --steps or --epochs but got both");
    if (options.batch && !options.batches.empty())
      return fail(kUsage, "expected --batch with --data only: files of --batches have their own sizes");
    if (!options.resume.empty() && (!options.weights.empty() || options.init))
      return fail(kUsage, "expected --resume or new weights (--weights, --init) but got both");
    saveFolder = options.save.empty() ? options.resume : options.save;
    if (options.saveEvery && saveFolder.empty())
      return fail(kUsage, "expected --save FOLDER with --save-every");
    if (options.evalEvery && options.eval.empty())
      return fail(kUsage, "expected --eval FILE with --eval-every");
    return kOk;
  }

  int chooseTraining() {
    if (!runner.model.train)
      return fail(kInvalid, "expected a model with a 'train' section, which has the loss");
    std::vector<std::string> names;
    for (const EntryDesc &entry : runner.model.entries)
      if (entry.mode == EntryDesc::Mode::train)
        names.push_back(entry.name);
    if (names.empty())
      return fail(kInvalid, "expected an entry of mode 'train' but the model has none", "add \"train_step\": { \"mode\": \"train\" } to its entries");
    if (options.entry.empty() && names.size() == 1)
      options.entry = names[0];
    if (std::find(names.begin(), names.end(), options.entry) != names.end())
      return kOk;
    if (options.entry.empty())
      return fail(kUsage, "expected --entry NAME: the model trains with " + listWords(names));
    return fail(kUsage, "expected an entry of mode 'train' but got " + quote(options.entry), "the model trains with " + listWords(names));
  }

  int compile() {
    if (int code = runner.read(options))
      return code;
    if (int code = chooseTraining())
      return code;
    std::vector<std::string> inputFiles = options.batches;
    inputFiles.insert(inputFiles.end(), {options.data, options.eval, options.weights});
    if (int code = refuseInputs(options, {options.log, options.exportFile}, inputFiles))
      return code;
    if (!options.resume.empty())
      if (int code = TrainFolder::find(options.resume))
        return code;
    if (!saveFolder.empty()) {
      if (int code = folder.lock(saveFolder))
        return code;
      if (options.resume.empty() && TrainFolder::hasCheckpoints(saveFolder))
        return fail(kUsage, quote(saveFolder) + " has the checkpoints of an earlier training", "--resume " + saveFolder + " goes on from them; for a new training name another folder");
    }
    if (!options.exportFile.empty()) {
      std::string text = files.add(options.exportFile);
      if (!text.empty())
        return fail(kFile, text);
    }
    CompileOptions compiling;
    compiling.entries = {options.entry};
    if (int code = runner.compile(options, compiling))
      return code;
    WeightsChoice weights;
    weights.file = options.weights;
    if (options.weights.empty())
      weights.initSeed = options.init.value_or(options.seed);
    else if (options.init)
      return fail(kUsage, "expected --weights or --init but got both");
    if (weights.initSeed && options.resume.empty() && !runner.model.weightFiles.empty())
      note_("parameters are drawn with seed " + std::to_string(*weights.initSeed) + ", not read from the model's " + quote(runner.model.weightFiles.front()) + "; --weights FILE begins with those of a file");
    return runner.open(options, weights, true);
  }

  int readSizes() {
    Sizes named;
    if (int code = parseSizes(options.dims, runner.model, named))
      return code;
    sizes.dims = runner.dimList(named);
    sizes.isGiven.assign(sizes.dims.size(), false);
    for (const std::string &text : options.dims)
      for (const std::string &part : splitList(text))
        for (int32_t d = 0; d < runner.desc()->dims; ++d)
          if (part.compare(0, part.find('='), runner.desc()->dim[d].name) == 0)
            sizes.isGiven[size_t(d)] = true;
    return kOk;
  }

  int chooseBatch() {
    if (data.hasWholeBatches()) {
      order.batch = 1;
      order.shuffle = false;
      order.perEpoch = data.count();
      return kOk;
    }
    const weft_dim_desc &dim = runner.desc()->dim[inputs.batchDim];
    int64_t &size = sizes.dims[size_t(inputs.batchDim)];
    if (options.batch && sizes.isGiven[size_t(inputs.batchDim)] && *options.batch != size)
      return fail(kUsage, "expected one batch size but got --batch " + std::to_string(*options.batch) + " and --dim " + dim.name + "=" + std::to_string(size));
    if (options.batch)
      size = *options.batch;
    if (size < dim.min || size > dim.max || (dim.multiple_of > 1 && size % dim.multiple_of != 0))
      return fail(kUsage, "batch: expected " + std::to_string(dim.min) + ".." + std::to_string(dim.max) +
                              (dim.multiple_of > 1 ? ", a multiple of " + std::to_string(dim.multiple_of) : "") + " but got " + std::to_string(size));
    if (options.shuffle)
      data.leaveSlack();
    if (size > data.count())
      return fail(kInvalid, "expected a batch of at most " + std::to_string(data.count()) + (data.isStream() ? " windows" : " samples") + ", as " + quote(options.data) + " has, but got " +
                                std::to_string(size), "--batch makes it smaller");
    order.batch = size;
    order.shuffle = options.shuffle;
    order.perEpoch = data.count() / size;
    return kOk;
  }

  void setNonFinite(NonFinite what) {
    for (auto &input : inputs.list)
      input.rule.nonFinite = what;
  }

  int openData() {
    inputs = TrainInputs::of(runner.model, runner.desc(), runner.entryIndex(options.entry));
    inputs.limits = tensorLimits(options);
    if (int code = readSizes())
      return code;
    const TrainSizes given = sizes;
    const bool whole = !options.batches.empty();
    setNonFinite(options.onNonfinite == "skip" ? NonFinite::warning : NonFinite::skippable);
    if (int code = data.open(inputs, whole ? options.batches : std::vector<std::string>{options.data}, whole, sizes))
      return code;
    setNonFinite(NonFinite::error); // what is evaluated has no updates to leave out
    if (int code = chooseBatch())
      return code;
    order.seed = options.seed;
    if (!options.eval.empty())
      if (int code = evaluator.open(inputs, options.eval, given, data.hasWholeBatches() ? given.dims[size_t(std::max(0, inputs.batchDim))] : order.batch))
        return code;
    if (const Node *loss = options.eval.empty() ? nullptr : batchWeight(runner.model).uncounted)
      note_("--eval: the loss is not the mean of node " + quote(loss->path) + " alone, so its batches count by their samples and not by their labels");
    accumulate = std::max<int64_t>(1, runner.desc()->train->accumulate);
    total = options.steps ? uint64_t(*options.steps) : uint64_t(*options.epochs) * uint64_t(order.perEpoch) / uint64_t(accumulate);
    if (options.epochs && total == 0)
      return fail(kInvalid, "expected epochs with at least " + std::to_string(accumulate) + " batches, which one step takes, but got " + std::to_string(*options.epochs * order.perEpoch));
    evalEvery = options.evalEvery ? options.evalEvery : std::max<int64_t>(1, order.perEpoch / accumulate);
    note = {{"data", hexText(data.fingerprint())}, {"samples", std::to_string(data.count())}, {"batch", std::to_string(order.batch)},
            {"seed", std::to_string(options.seed)}, {"shuffle", order.shuffle ? "yes" : "no"}};
    nodes = graphNote(runner.model);
    return kOk;
  }

  int failTrainer(weft_status status, const std::string &hint = {}) {
    report.breakLine();
    return fail(exitCodeOf(status), weft_trainer_error(trainer), hint);
  }

  int openTrainer() {
    weft_trainer_options creating = {};
    creating.seed = options.seed;
    creating.nonfinite = options.onNonfinite == "skip" ? WEFT_NONFINITE_SKIP : WEFT_NONFINITE_STOP;
    creating.threads = options.threads;
    creating.log = logLine;
    creating.log_user = &options;
    std::vector<int64_t> most = data.maxDims(order.batch);
    if (!options.eval.empty()) {
      std::vector<int64_t> other = evaluator.maxDims();
      for (size_t d = 0; d < most.size(); ++d)
        most[d] = std::max(most[d], other[d]);
    }
    if (weft_status status = weft_trainer_memory(runner.handle, most.data(), &creating, &memory))
      return fail(exitCodeOf(status), "the memory of a training step can't be counted for " + sizesOf(most) + ": " + weft_status_name(status));
    note_("memory: parameters " + byteText(double(memory.parameters)) + ", gradients " + byteText(double(memory.gradients)) + ", moments " + byteText(double(memory.moments)) +
          ", activations " + byteText(double(memory.arena)) + ", other " + byteText(double(memory.other)) + ", in all " + byteText(double(memory.total)) + " at " + sizesOf(most));
    if (int code = runner.checkArena(options, most))
      return code;
    weft_status status = weft_trainer_create(runner.handle, most.data(), &creating, &trainer);
    return status == WEFT_OK ? int(kOk) : failTrainer(status);
  }

  std::string sizesOf(const std::vector<int64_t> &dims) const {
    Sizes named;
    for (int32_t d = 0; d < runner.desc()->dims; ++d)
      named[runner.desc()->dim[d].name] = dims[size_t(d)];
    return named.empty() ? "fixed sizes" : sizesText(named);
  }

  void note_(const std::string &text) { weft::note(options, "weft: " + text); }

  int resume() {
    if (!options.resume.empty()) {
      // A longer one, cut at the end, is of another model, and found to be one.
      std::string stored(2 * (noteText(note).size() + noteText(nodes).size()) + 1024, '\0');
      if (weft_status status = weft_trainer_load(trainer, options.resume.c_str(), stored.data(), stored.size()))
        return failTrainer(status);
      stored.resize(std::strlen(stored.c_str()));
      if (int code = checkGraphNote(options.resume, stored, nodes))
        return code;
      if (int code = checkNote(options.resume, stored, note))
        return code;
    }
    if (weft_status status = weft_trainer_metrics(trainer, &metrics))
      return failTrainer(status);
    if (!options.resume.empty())
      note_("goes on from step " + groupDigits(int64_t(attempts(metrics))) + " in " + quote(options.resume));
    savedAt = options.resume == saveFolder ? metrics.batches : UINT64_MAX;
    return report.open(options, options.log, !options.resume.empty(), attempts(metrics), total);
  }

  int save(bool isLast) {
    weft_checkpoint_options saving = {};
    saving.keep = options.keep;
    std::string text = noteText(note) + noteText(nodes);
    saving.note = text.c_str();
    weft_status status = weft_trainer_save(trainer, saveFolder.c_str(), &saving);
    if (status == WEFT_OK)
      savedAt = metrics.batches;
    else if (isLast)
      return failTrainer(status);
    else {
      // The disk may have room again at the next save; the checkpoints before this one are whole.
      report.breakLine();
      logLine(&options, WEFT_LOG_WARNING, (std::string("no checkpoint at step ") + std::to_string(attempts(metrics)) + ": " + weft_trainer_error(trainer)).c_str());
    }
    return kOk;
  }

  int evaluate() {
    Evaluation result;
    if (int code = evaluator.run(trainer, result))
      return code;
    if (caughtInterrupt())
      return kOk;
    evaluation = result;
    evaluatedAt = metrics.batches;
    return kOk;
  }

  /// Which samples the batch held that a step refused; `number`: of the batch.
  std::string batchHint(uint64_t number) const {
    if (data.hasWholeBatches())
      return "the batch was " + quote(options.batches[size_t(number % uint64_t(data.count()))]);
    if (data.isStream())
      return "";
    const std::vector<int64_t> samples = samplesOf(data, order, number);
    if (!order.shuffle)
      return "the batch was samples " + std::to_string(samples.front()) + ".." + std::to_string(samples.back());
    std::string text;
    for (size_t i = 0; i < samples.size() && i < 64; ++i)
      text += (i ? ", " : "") + std::to_string(samples[i]);
    return "the batch was samples " + text + (samples.size() > 64 ? ", …" : "");
  }

  /// Why an update that ended with batch `last` is not finite, as text that goes on; `last` becomes the batch that it is.
  /// The trainer has the parameters that the update began with.
  std::string explain(uint64_t &last) {
    note_("a loss or gradient is not finite: the batch is computed again to find where that begins");
    const uint64_t first = last + 1 - uint64_t(accumulate);
    auto callOf = [&](size_t i) {
      Batch batch;
      fillBatch(data, order, first + i, batch);
      return NonFiniteCall{options.entry, runner.handle, data.tensorsOf(batch), batch.dims, memory.total};
    };
    auto isFinite = [&](const std::string &name) {
      float *gradient = nullptr;
      const weft_param_desc *desc = nullptr;
      if (weft_trainer_tensor(trainer, name.c_str(), WEFT_ROLE_GRADIENT, &gradient, &desc) != WEFT_OK)
        return true; // frozen
      int64_t count = 1;
      for (int32_t axis = 0; axis < desc->rank; ++axis)
        count *= desc->shape[axis];
      return std::all_of(gradient, gradient + count, [](float value) { return std::isfinite(value); });
    };
    const NonFiniteReason reason = reasonOf(options, runner.model, size_t(accumulate), callOf, isFinite);
    last = first + reason.call;
    return reason.text + (hasDropout(runner.model) ? " (computed without dropout)" : "");
  }

  /// The first update that is left out says why; later ones are counted.
  void warnSkipped(uint64_t last) {
    skipWarned = true;
    if (options.quiet)
      return;
    report.breakLine();
    const std::string text = explain(last), batch = batchHint(last);
    logLine(&options, WEFT_LOG_WARNING, ("step " + std::to_string(attempts(metrics)) + ": the update is left out, as its loss or gradient is not finite" + text +
                                         (batch.empty() ? "" : "; " + batch) + "; further ones are only counted").c_str());
  }

  int failNumeric(uint64_t last) {
    report.breakLine();
    const std::string said = weft_trainer_error(trainer);
    const std::string text = said.find(": input ") == std::string::npos ? explain(last) : ""; // else it is known already
    const std::string batch = batchHint(last);
    return fail(kInvalid, said + text, batch + (batch.empty() ? "" : "; ") + "--on-nonfinite skip leaves such updates out");
  }

  int loop() {
    const uint64_t end = total * uint64_t(accumulate);
    catchInterrupts();
    report.start(metrics);
    if (metrics.batches >= end)
      return kOk;
    TrainFeed feed(data, order, metrics.batches, end);
    while (metrics.batches < end && !caughtInterrupt() && !report.logFailed()) {
      const Batch &batch = feed.next();
      const weft_metrics before = metrics;
      const uint64_t number = metrics.batches; // a step counts the batch also if the update fails
      if (weft_status status = weft_trainer_step(trainer, batch.dims.data(), batch.pointers.data(), &metrics))
        return status == WEFT_ERR_NUMERIC ? failNumeric(number) : failTrainer(status, batchHint(number));
      // A scale that was lowered is how f16 finds the one that fits.
      if (!skipWarned && metrics.skipped > before.skipped && metrics.loss_scale == before.loss_scale)
        warnSkipped(number);
      if (metrics.batches % uint64_t(accumulate) != 0)
        continue;
      const uint64_t attempt = metrics.batches / uint64_t(accumulate);
      if (!options.eval.empty() && (attempt % uint64_t(evalEvery) == 0 || metrics.batches == end))
        if (int code = evaluate())
          return code;
      report.step(metrics, double(metrics.batches) / double(order.perEpoch), evaluatedAt == metrics.batches ? evaluation : std::nullopt);
      if (options.saveEvery && attempt % uint64_t(options.saveEvery) == 0)
        if (int code = save(false))
          return code;
    }
    return kOk;
  }

  int finish() {
    report.breakLine();
    const int interrupt = caughtInterrupt();
    if (interrupt == 0 && !options.eval.empty() && evaluatedAt != metrics.batches) { // nothing was left to train
      if (int code = evaluate())
        return code;
      if (evaluation)
        report.evaluation(attempts(metrics), *evaluation);
    }
    if (!saveFolder.empty() && savedAt != metrics.batches)
      if (int code = save(true))
        return code;
    if (interrupt) {
      note_("stopped by signal " + std::to_string(interrupt) + " after step " + groupDigits(int64_t(attempts(metrics))) +
            (saveFolder.empty() ? "; nothing was saved" : ": --resume " + saveFolder + " goes on"));
      return 128 + interrupt;
    }
    if (report.logFailed())
      return fail(kFile, "can't write " + quote(options.log) + ", so training stopped at step " + groupDigits(int64_t(attempts(metrics))));
    if (!options.exportFile.empty())
      if (int code = exportWeights())
        return code;
    printResult();
    return kOk;
  }

  int exportWeights() {
    if (weft_status status = weft_trainer_publish(trainer))
      return failTrainer(status);
    if (weft_status status = weft_model_save(runner.handle, files.temporary(options.exportFile).c_str()))
      return fail(exitCodeOf(status), weft_model_error(runner.handle));
    std::string text = files.commit();
    return text.empty() ? int(kOk) : fail(kFile, text);
  }

  void printResult() {
    const double seconds = report.seconds(), rate = report.tokensPerSecond();
    const bool hasUpdates = report.updates() > 0; // else there is no loss to tell
    if (options.json) {
      JsonWriter json;
      json.open('{').key("model").string(runner.model.name).key("steps").integer(int64_t(metrics.step)).key("batches").integer(int64_t(metrics.batches));
      json.key("samples").integer(int64_t(metrics.samples)).key("tokens").integer(int64_t(metrics.tokens)).key("skipped").integer(int64_t(metrics.skipped));
      if (metrics.loss_scale != 1)
        json.key("loss_scale").number(metrics.loss_scale);
      json.key("loss").number(hasUpdates ? metrics.loss : std::nan(""), 9).key("grad_norm").number(hasUpdates ? metrics.grad_norm : std::nan(""), 9);
      if (evaluation) {
        json.key("eval_loss").number(evaluation->loss, 9);
        if (evaluation->accuracy)
          json.key("eval_accuracy").number(*evaluation->accuracy, 9);
      }
      json.key("seconds").number(seconds).key("tokens_per_s").number(rate).key("compile_ms").number(runner.compileMs);
      json.key("memory_bytes").integer(memory.total).key("parameters").integer(memory.parameters);
      if (!saveFolder.empty())
        json.key("saved").string(saveFolder);
      if (!options.exportFile.empty())
        json.key("exported").string(options.exportFile);
      print(json.close().text() + "\n");
      return;
    }
    if (options.quiet)
      return;
    char text[200];
    std::string line = runner.model.name + ": " + groupDigits(int64_t(metrics.step)) + " steps";
    if (metrics.skipped)
      line += ", " + groupDigits(int64_t(metrics.skipped)) + " skipped";
    std::snprintf(text, sizeof(text), ", loss %.5g", metrics.loss);
    line += hasUpdates ? text : report.batches() == 0 ? ", nothing was left to train" : ", no update was finite";
    if (evaluation) {
      std::snprintf(text, sizeof(text), ", eval loss %.5g", evaluation->loss);
      line += text;
      if (evaluation->accuracy) {
        std::snprintf(text, sizeof(text), ", accuracy %.2f %%", 100 * *evaluation->accuracy);
        line += text;
      }
    }
    std::snprintf(text, sizeof(text), ", %.3g s, ", seconds);
    print(line + (report.batches() > 0 ? text + report.rateText(rate) : "") + "\n");
    if (!saveFolder.empty())
      print("checkpoints in " + escapeText(saveFolder) + "\n");
    if (!options.exportFile.empty())
      print("weights in " + escapeText(options.exportFile) + "\n");
  }
};

} // namespace

void addTrain(CLI::App &root, Action &action) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App *command = root.add_subcommand("train", "train with the generated training step");
  addCommonOptions(*command, *options);
  command->add_option("--data", options->data, "safetensors: the entry's inputs with a sample axis first, or a token 'stream'");
  command->add_option("--batches", options->batches, "files with one whole batch each, in turn")->expected(1, -1);
  command->add_option("--steps", options->steps, "updates in all, those before --resume too")->check(atLeast(0));
  command->add_option("--epochs", options->epochs, "passes over the data instead of --steps")->check(atLeast(1));
  command->add_option("--batch", options->batch, "samples of a batch (default: the dim's hint)")->check(atLeast(1));
  addRepeated(*command, "--dim", options->dims, "T=256: sizes that the data does not show");
  command->add_flag("!--no-shuffle", options->shuffle, "samples in the file's order (default: another in each epoch)");
  command->add_option("--eval", options->eval, "data set for loss and accuracy");
  command->add_option("--eval-every", options->evalEvery, "updates between evaluations (default: an epoch)")->check(atLeast(1));
  command->add_option("--weights", options->weights, "start from this safetensors file");
  command->add_option("--init", options->init, "SEED: start from random weights (default: --seed)")->check(checkSeed);
  command->add_option("--save", options->save, "folder for checkpoints");
  command->add_option("--save-every", options->saveEvery, "updates between checkpoints (default: at the end)")->check(atLeast(1));
  command->add_option("--keep", options->keep, "newest checkpoints to keep, 0: all (default 3)")->check(notNegative());
  command->add_option("--resume", options->resume, "go on from the newest checkpoint of this folder");
  command->add_option("--log", options->log, "JSON lines, one a step");
  command->add_option("--export", options->exportFile, "write the trained weights");
  command->add_option("--on-nonfinite", options->onNonfinite, "stop, or skip the update (default stop)")
      ->check(CLI::Validator([](std::string &text) { return text == "stop" || text == "skip" ? std::string() : "expected stop or skip but got " + quote(text); }, ""));
  command->add_option("--entry", options->entry, "training entry, if there are several");
  command->footer("Examples:\n  weft train model.json --data train.safetensors --epochs 5 --batch 64 --eval test.safetensors\n"
                  "  weft train gpt.json --data text.safetensors --dim T=64 --steps 2000 --save ckpt --save-every 500");
  command->callback([=, &action] { action = [=] { return Train(*options).run(); }; });
}

} // namespace weft

// Everything that can be wrong with data is found here, before the first step: a batch is then only copied.
// Sizes come from the data; what the command line fixes must agree with it.
#include "TrainData.h"

#include <algorithm>
#include <cstring>

namespace weft {

namespace {

std::string axesText(const weft_tensor_desc &input, const std::string &first) {
  std::string text = "[" + first;
  for (int32_t axis = first.empty() ? 0 : 1; axis < input.rank; ++axis)
    text += (text.size() > 1 ? ", " : "") + std::string(input.axes[axis]);
  return text + "]";
}

/// Class labels of a cross entropy that are an input as it is: 0..K-1, or the value that does not count.
void boundLabels(const ModelDesc &model, const InputDesc &input, ElementRule &rule) {
  for (const Node &node : model.train->nodes) {
    if (node.op != "cross_entropy" || node.operands.size() < 2 || node.operands[1] != input.value)
      continue;
    const TensorType &logits = model.graph.values[size_t(node.operands[0])].type;
    auto classes = logits.shape.back().constant();
    if (!classes)
      continue;
    rule.low = std::max<int64_t>(rule.low, 0);
    rule.high = std::min(rule.high, *classes - 1);
    auto ignored = node.attrs.find("ignore_index");
    if (ignored != node.attrs.end())
      if (const int64_t *value = std::get_if<int64_t>(&ignored->second))
        rule.ignored = *value;
  }
}

ElementRule ruleOf(const weft_tensor_desc &desc) {
  ElementRule rule;
  switch (desc.dtype) {
  case WEFT_I32: rule = {INT32_MIN, INT32_MAX, {}}; break;
  case WEFT_I8: rule = {-128, 127, {}}; break;
  case WEFT_U8: rule = {0, 255, {}}; break;
  case WEFT_BOOL: rule = {0, 1, {}}; break;
  default: break;
  }
  if (desc.has_range) {
    rule.low = std::max(rule.low, desc.low);
    rule.high = std::min(rule.high, desc.high);
  }
  return rule;
}

} // namespace

TrainInputs TrainInputs::of(const ModelDesc &model, const weft_model_desc *desc, int32_t entry) {
  TrainInputs inputs;
  inputs.entry = desc->entry[entry].name;
  inputs.desc = desc;
  for (int32_t i = 0; i < desc->entry[entry].inputs; ++i) {
    TrainInput input;
    input.desc = &desc->input[desc->entry[entry].input_index[i]];
    input.rule = ruleOf(*input.desc);
    for (const InputDesc &label : model.train->inputs)
      if (label.name == input.desc->name) {
        input.isLabel = true;
        ElementRule ofLoss = input.rule;
        boundLabels(model, label, ofLoss);
        if (!input.desc->has_range)
          input.rule = ofLoss;
        else
          input.rule.refused = ofLoss.ignored;
      }
    int32_t first = input.desc->rank > 0 ? input.desc->dims[0] : -1;
    inputs.batchDim = inputs.list.empty() ? first : first == inputs.batchDim ? first : -1;
    inputs.list.push_back(input);
  }
  return inputs;
}

int DataSet::open(const TrainInputs &given, const std::vector<std::string> &paths, bool wholeBatches, TrainSizes &sizes) {
  inputs = &given;
  whole = wholeBatches;
  for (const std::string &path : paths) {
    files.emplace_back();
    if (int code = files.back().open(path, inputs->limits))
      return code;
  }
  int code;
  if (whole)
    code = openBatches(sizes);
  else if (inputs->batchDim < 0)
    code = fail(kInvalid, "expected all inputs of entry " + quote(inputs->entry) + " to have the same dim as their first axis for --data", "--batches takes files with a whole batch each");
  else
    code = files.front().find("stream") && std::none_of(inputs->list.begin(), inputs->list.end(), [](const TrainInput &input) { return input.desc->name == std::string("stream"); })
               ? openStream(sizes)
               : openSamples(sizes);
  dims = sizes.dims;
  return code;
}

int DataSet::bind(const TrainFile &file, std::vector<const MappedTensor *> &list) {
  std::vector<std::string> names;
  for (const MappedTensor &tensor : file.tensors)
    names.push_back(tensor.name);
  for (const TrainInput &input : inputs->list) {
    const MappedTensor *tensor = file.find(input.desc->name);
    if (!tensor && !input.desc->optional) {
      std::string hint = didYouMean(input.desc->name, names);
      if (hint.empty())
        hint = names.empty() ? "the file has no tensors" : "the file has " + listWords(names);
      return file.fail(input.desc->name, "expected this input of entry " + quote(inputs->entry) + " but it is not in the file", hint);
    }
    if (tensor && tensor->dtype < 0)
      return file.fail(tensor->name, std::string("expected ") + weft_dtype_name(input.desc->dtype) + " but got a type that weft does not read");
    if (tensor && !isConvertible(tensor->dtype, input.desc->dtype))
      return file.fail(tensor->name, std::string("expected ") + weft_dtype_name(input.desc->dtype) + " but got " + weft_dtype_name(tensor->dtype));
    if (tensor && tensor->shape.size() != size_t(input.desc->rank))
      return file.fail(tensor->name, "expected " + axesText(*input.desc, whole ? "" : "samples") + " but got " + tensor->shapeText());
    list.push_back(tensor);
  }
  return kOk;
}

int DataSet::matchAxes(const TrainFile &file, const std::vector<const MappedTensor *> &list, int32_t firstAxis, TrainSizes &sizes) {
  const weft_model_desc *desc = inputs->desc;
  std::vector<const char *> source(size_t(std::max(1, desc->dims)), nullptr);
  for (size_t i = 0; i < list.size(); ++i) {
    if (!list[i])
      continue;
    const weft_tensor_desc &input = *inputs->list[i].desc;
    for (int32_t axis = firstAxis; axis < input.rank; ++axis) {
      int32_t d = input.dims[axis];
      if (d < 0)
        continue;
      const weft_dim_desc &dim = desc->dim[d];
      int64_t size = list[i]->shape[size_t(axis)];
      const std::string where = "axis " + std::string(dim.name) + ": expected ";
      if (source[size_t(d)] && sizes.dims[size_t(d)] != size)
        return file.fail(input.name, where + std::to_string(sizes.dims[size_t(d)]) + " as in " + quote(source[size_t(d)]) + " but got " + std::to_string(size));
      if (sizes.isGiven[size_t(d)] && sizes.dims[size_t(d)] != size)
        return file.fail(input.name, where + std::to_string(sizes.dims[size_t(d)]) + " as on the command line but got " + std::to_string(size));
      if (size < dim.min || size > dim.max)
        return file.fail(input.name, where + std::to_string(dim.min) + ".." + std::to_string(dim.max) + " but got " + std::to_string(size));
      if (dim.multiple_of > 1 && size % dim.multiple_of != 0)
        return file.fail(input.name, where + "a multiple of " + std::to_string(dim.multiple_of) + " but got " + std::to_string(size));
      sizes.dims[size_t(d)] = size;
      source[size_t(d)] = input.name;
    }
  }
  // Axes that are numbers or expressions, by the entry's own formula.
  const weft_entry_desc *entry = nullptr;
  for (int32_t e = 0; e < desc->entries; ++e)
    if (desc->entry[e].name == inputs->entry)
      entry = &desc->entry[e];
  size_t axes = 1;
  for (const TrainInput &input : inputs->list)
    axes += size_t(input.desc->rank);
  for (int32_t i = 0; i < entry->outputs; ++i)
    axes += size_t(entry->output[i].rank);
  std::vector<int64_t> expected(axes), safe = sizes.dims;
  safe.resize(std::max<size_t>(1, safe.size()));
  entry->shapes(safe.data(), expected.data());
  size_t at = 0;
  for (size_t i = 0; i < list.size(); ++i) {
    const weft_tensor_desc &input = *inputs->list[i].desc;
    for (int32_t axis = 0; axis < input.rank; ++axis, ++at)
      if (list[i] && axis >= firstAxis && list[i]->shape[size_t(axis)] != expected[at])
        return file.fail(input.name, "axis " + std::to_string(axis) + " (" + input.axes[axis] + "): expected " + std::to_string(expected[at]) + " but got " +
                                         std::to_string(list[i]->shape[size_t(axis)]));
  }
  return kOk;
}

int DataSet::checkElements(const TrainFile &file, const std::vector<const MappedTensor *> &list) {
  for (size_t i = 0; i < list.size(); ++i)
    if (list[i])
      if (int code = file.check(*list[i], inputs->list[i].rule, whole, hash))
        return code;
  return kOk;
}

int DataSet::openSamples(TrainSizes &sizes) {
  const TrainFile &file = files.front();
  bound.emplace_back();
  if (int code = bind(file, bound[0]))
    return code;
  const MappedTensor *first = nullptr;
  for (const MappedTensor *tensor : bound[0]) {
    if (!tensor)
      continue;
    if (!first)
      first = tensor;
    if (tensor->shape[0] != first->shape[0])
      return file.fail(tensor->name, "expected " + std::to_string(first->shape[0]) + " samples as in " + quote(first->name) + " but got " + std::to_string(tensor->shape[0]));
  }
  if (!first)
    return fail(kInvalid, "expected inputs in the data but entry " + quote(inputs->entry) + " has only optional ones, and all are left out");
  if (first->shape[0] == 0)
    return file.fail(first->name, "expected samples but got none");
  samples = first->shape[0];
  if (int code = matchAxes(file, bound[0], 1, sizes))
    return code;
  return checkElements(file, bound[0]);
}

int DataSet::openStream(TrainSizes &sizes) {
  const TrainFile &file = files.front();
  stream = file.find("stream");
  if (stream->shape.size() != 1 || !isIntegerType(stream->dtype))
    return file.fail("stream", "expected integers with one axis but got " + stream->shapeText() + (stream->dtype < 0 ? "" : std::string(" ") + weft_dtype_name(stream->dtype)));
  const TrainInput *tokens = nullptr, *labels = nullptr;
  for (const TrainInput &input : inputs->list) {
    const TrainInput *&place = input.isLabel ? labels : tokens;
    if (place || input.desc->rank != 2 || !isIntegerType(input.desc->dtype) || input.desc->dims[1] < 0) {
      tokens = labels = nullptr;
      break;
    }
    place = &input;
  }
  if (!tokens || !labels || tokens->desc->dims[1] != labels->desc->dims[1])
    return file.fail("stream", "expected an entry that takes tokens and labels, both integers [batch, length], but " + quote(inputs->entry) + " has other inputs",
                     "a file with a tensor for each input serves any model");
  const int32_t d = tokens->desc->dims[1];
  window = sizes.dims[size_t(d)];
  samples = (stream->elements - 1) / window;
  if (samples < 1)
    return file.fail("stream", "expected at least " + std::to_string(window + 1) + " tokens for a window of " + std::to_string(window) + " but got " + std::to_string(stream->elements));
  ElementRule both = tokens->rule;
  both.low = std::max(both.low, labels->rule.low);
  both.high = std::min(both.high, labels->rule.high);
  return file.check(*stream, both, true, hash);
}

void DataSet::leaveSlack() {
  if (!stream || samples < 2)
    return;
  samples -= 1;
  slack = window - 1;
}

int DataSet::openBatches(TrainSizes &sizes) {
  const TrainSizes given = sizes;
  for (const TrainFile &file : files) {
    bound.emplace_back();
    TrainSizes own = given;
    if (int code = bind(file, bound.back()))
      return code;
    if (int code = matchAxes(file, bound.back(), 0, own))
      return code;
    if (int code = checkElements(file, bound.back()))
      return code;
    batchDims.push_back(own.dims);
    for (size_t d = 0; d < own.dims.size(); ++d)
      sizes.dims[d] = batchDims.size() == 1 ? own.dims[d] : std::max(sizes.dims[d], own.dims[d]);
  }
  samples = int64_t(files.size());
  return kOk;
}

std::vector<int64_t> DataSet::maxDims(int64_t batch) const {
  std::vector<int64_t> most = dims;
  if (!whole)
    most[size_t(inputs->batchDim)] = batch;
  return most;
}

int64_t DataSet::rowElements(const MappedTensor &tensor) const {
  int64_t count = 1;
  for (size_t axis = 1; axis < tensor.shape.size(); ++axis)
    count *= tensor.shape[axis];
  return count;
}

void DataSet::fill(Batch &batch, const std::vector<int64_t> &chosen, int64_t shift) const {
  batch.buffers.resize(inputs->list.size());
  batch.pointers.assign(inputs->list.size(), nullptr);
  batch.dims = whole ? batchDims[size_t(chosen[0])] : dims;
  if (!whole)
    batch.dims[size_t(inputs->batchDim)] = int64_t(chosen.size());
  for (size_t i = 0; i < inputs->list.size(); ++i) {
    const TrainInput &input = inputs->list[i];
    const MappedTensor *tensor = stream ? stream : bound[whole ? size_t(chosen[0]) : 0][i];
    if (!tensor)
      continue;
    const int64_t row = stream ? window : whole ? tensor->elements : rowElements(*tensor);
    const size_t rowBytes = size_t(row) * weft_dtype_size(input.desc->dtype);
    batch.buffers[i].resize(std::max<size_t>(1, rowBytes * chosen.size()));
    for (size_t s = 0; s < chosen.size(); ++s) {
      const int64_t first = stream ? chosen[s] * window + shift + (input.isLabel ? 1 : 0) : whole ? 0 : chosen[s] * row;
      copyElements(batch.buffers[i].data() + s * rowBytes, input.desc->dtype, *tensor, first, row);
    }
    batch.pointers[i] = batch.buffers[i].data();
  }
}

std::vector<HostTensor> DataSet::tensorsOf(const Batch &batch) const {
  const weft_model_desc *desc = inputs->desc;
  int32_t number = 0;
  while (inputs->entry != desc->entry[number].name)
    ++number;
  const weft_entry_desc &entry = desc->entry[number];
  size_t count = 1;
  for (int32_t i = 0; i < entry.inputs; ++i)
    count += size_t(desc->input[entry.input_index[i]].rank);
  for (int32_t i = 0; i < entry.outputs; ++i)
    count += size_t(entry.output[i].rank);
  std::vector<int64_t> sizes(count), safe = batch.dims;
  safe.resize(std::max<size_t>(1, safe.size()));
  entry.shapes(safe.data(), sizes.data());
  std::vector<HostTensor> tensors;
  auto size = sizes.begin();
  for (size_t i = 0; i < inputs->list.size(); ++i) {
    const weft_tensor_desc &input = *inputs->list[i].desc;
    HostTensor tensor{input.name, input.dtype, {size, size + input.rank}, batch.buffers[i]};
    size += input.rank;
    if (batch.pointers[i]) {
      tensor.bytes.resize(size_t(tensor.elements()) * weft_dtype_size(tensor.dtype));
      tensors.push_back(std::move(tensor));
    }
  }
  return tensors;
}

} // namespace weft

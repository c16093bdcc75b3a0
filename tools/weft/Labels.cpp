// A vocabulary file is read as the format's JSON reader reads models, so its errors look the same.
// An id without a name is shown as its number.
#include "Labels.h"

#include "import/ReadJson.h"

#include <algorithm>
#include <cstring>

namespace weft {

static int readVocabulary(const std::string &path, std::map<int64_t, std::string> &names) {
  Limits limits;
  Diagnostics diagnostics;
  diagnostics.setFile(path);
  std::optional<SourceText> source = readTextFile(path, limits, diagnostics);
  std::optional<JsonDocument> document;
  size_t first = source ? source->text.find_first_not_of(" \t\r\n") : std::string::npos;
  bool json = path.size() > 5 && path.compare(path.size() - 5, 5, ".json") == 0;
  if (source && json && first != std::string::npos)
    document = readJson(*source, limits, diagnostics);
  if (document && document->root()->isObject()) {
    for (const JsonMember &member : document->root()->members)
      if (std::optional<int64_t> id = member.value->integer())
        names[*id] = member.key;
      else
        diagnostics.error(member.value->position(), "expected the number of " + quote(member.key) + " but got " + member.value->describe());
  } else if (document && document->root()->isArray()) {
    for (const JsonValue *item : document->root()->items)
      if (item->isString())
        names[int64_t(item->index)] = item->text;
      else
        diagnostics.error(item->position(), "expected a string but got " + item->describe());
  } else if (document) {
    diagnostics.error(document->root()->position(), "expected an object {name: id} or an array of names but got " + document->root()->describe());
  } else if (source && !json) {
    std::string_view rest = source->text;
    for (int64_t id = 0; !rest.empty(); ++id) {
      std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      names[id] = line.substr(0, line.find('\r'));
    }
  }
  std::fputs(diagnostics.str().c_str(), stderr);
  return diagnostics.exitCode();
}

int Labels::read(const LabelOptions &given) {
  options = given;
  if (!options.vocabulary.empty() && !options.tokenizer.empty())
    return fail(kUsage, "expected --vocabulary or --tokenizer but got both");
  if (!options.vocabulary.empty())
    return readVocabulary(options.vocabulary, names);
  if (!options.tokenizer.empty()) {
    std::string failure;
    pieces = Tokenizer::load(options.tokenizer, failure);
    if (!pieces)
      return fail(kFile, failure);
  }
  return kOk;
}

/// Printable, and without the blanks around a piece; blanks alone are shown as what they are.
static std::string labelText(const std::string &text) {
  size_t first = text.find_first_not_of(" \n\t\r"), last = text.find_last_not_of(" \n\t\r");
  if (first != std::string::npos)
    return escapeText(text.substr(first, last - first + 1));
  return text.find('\n') != std::string::npos ? "⏎" : text.empty() ? "" : "␣";
}

std::string Labels::nameOf(int64_t id) const {
  if (pieces && id >= 0 && id < int64_t(pieces->size()))
    return labelText(pieces->decode(-1, id));
  auto found = names.find(id);
  return found == names.end() ? std::to_string(id) : labelText(found->second);
}

int Labels::choose(const std::vector<HostTensor> &inputs, int64_t sequence, const LabelledAxis &axis, std::vector<std::string> &labels) const {
  const bool ownTokens = axis.isKeys && !options.keyTokens.empty(), ownInput = axis.isKeys && !options.keyInput.empty(),
             shares = !axis.isKeys || axis.isSelf;
  const int64_t count = axis.count;
  labels.clear();
  for (const std::string &word : splitList(ownTokens ? options.keyTokens : shares && !ownInput ? options.tokens : ""))
    labels.push_back(labelText(word));
  const auto words = int64_t(labels.size());
  if (words > 0 && words != count && words != axis.shown) {
    std::string each = axis.isSelf && !ownTokens ? "" : axis.isKeys ? ", one for each key," : ", one for each query,";
    return fail(kUsage,
                std::string(ownTokens ? "--key-tokens" : "--tokens") + ": expected " + std::to_string(count) + " labels" + each + " but got " +
                    std::to_string(words),
                words < count ? "'--length " + std::to_string(words) + "' shows only the first tokens" : "");
  }
  if (words > 0) {
    labels.resize(size_t(count)); // what is not shown needs no name
    return kOk;
  }
  const std::string wanted = ownInput ? options.keyInput : shares ? options.input : "";
  for (const std::string &name : wanted.empty() ? axis.inputs : std::vector<std::string>{wanted})
    for (const HostTensor &tensor : inputs) {
      if (tensor.name != name)
        continue;
      bool fits =
          (tensor.dtype == WEFT_I32 || tensor.dtype == WEFT_I64) && tensor.shape.size() == 2 && tensor.shape[1] == count && sequence < tensor.shape[0];
      if (fits && labels.empty())
        for (int64_t i = 0; i < count; ++i)
          labels.push_back(nameOf(int64_t(tensor.at(sequence * count + i))));
      if (!fits && !wanted.empty())
        return fail(kUsage, "input " + quote(wanted) + ": expected integers [B, " + std::to_string(count) + "] for labels but got " +
                                tensor.shapeText() + " " + weft_dtype_name(tensor.dtype));
    }
  if (labels.empty() && !wanted.empty() && count > 0)
    return fail(kUsage, "expected an input that is given but got " + quote(wanted));
  for (auto position = int64_t(labels.size()); position < count; ++position)
    labels.push_back(std::to_string(position));
  return kOk;
}

} // namespace weft

// The tables' small language: one line, one thing; see CaseFile.h.
// Bad tables end the program: a case that does not change its base would pass without testing anything.
#include "CaseFile.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace weft::test {
namespace {

[[noreturn]] void refuse(const std::string &text) {
  std::fprintf(stderr, "%s\n", text.c_str());
  std::exit(2);
}

/// Replaces @<...>.
std::string expand(const std::string &text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.compare(at, 2, "@<") == 0 ? text.find('>', at) : std::string::npos;
    if (end == std::string::npos) {
      out += text[at++];
      continue;
    }
    std::string inner = text.substr(at + 2, end - at - 2);
    size_t star = inner.rfind('*');
    if (inner == "nl")
      out += '\n';
    else if (star != std::string::npos)
      for (long n = std::atol(inner.c_str() + star + 1); n > 0; --n)
        out.append(inner, 0, star);
    else if (!inner.empty())
      out += static_cast<char>(std::strtoul(inner.c_str(), nullptr, 16));
    at = end + 1;
  }
  return out;
}

bool startsWith(const std::string &line, const char *mark) { return line.rfind(mark, 0) == 0; }

bool isExpected(const std::string &line) { return startsWith(line, "exit ") || startsWith(line, "> "); }

std::vector<std::string> linesOf(const std::string &path) {
  std::vector<std::string> lines;
  std::istringstream text(readFile(path));
  for (std::string line; std::getline(text, line);)
    lines.push_back(line);
  return lines;
}

} // namespace

std::string readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    refuse(path + ": can't read");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<Case> readCases(const std::string &path) {
  std::vector<Case> cases;
  std::string base;
  size_t number = 0;
  for (const std::string &line : linesOf(path)) {
    ++number;
    if (line.empty() || line[0] == '#')
      continue;
    std::string rest = line.size() > 2 ? expand(line.substr(2)) : "";
    if (startsWith(line, "base ")) {
      base = line.substr(5);
    } else if (startsWith(line, "== ")) {
      cases.push_back({line.substr(3), base, {}, {}, {}, {}});
    } else if (cases.empty()) {
      refuse(path + ":" + std::to_string(number) + ": expected a case");
    } else if (isExpected(line)) {
      cases.back().expected.push_back(line);
    } else if (startsWith(line, "= ")) {
      cases.back().base.clear();
      cases.back().text += (cases.back().text.empty() ? "" : "\n") + rest;
    } else if (startsWith(line, "@ ")) {
      cases.back().options.push_back(rest);
    } else if (startsWith(line, "- ")) {
      cases.back().changes.emplace_back(rest, "");
    } else if (startsWith(line, "+") && !cases.back().changes.empty()) {
      cases.back().changes.back().second = rest;
    } else {
      refuse(path + ":" + std::to_string(number) + ": unknown line '" + line + "'");
    }
  }
  return cases;
}

std::string inputOf(const Case &next, const std::string &folder) {
  std::string text = next.base.empty() ? next.text : readFile(folder + "/" + next.base);
  for (const auto &[from, to] : next.changes) {
    size_t at = text.find(from);
    if (at == std::string::npos)
      refuse("case '" + next.name + "': '" + from + "' is not in " + next.base);
    text.replace(at, from.size(), to);
  }
  return text;
}

bool checkCase(const Case &next, const std::vector<std::string> &said) {
  if (said == next.expected && !said.empty())
    return true;
  std::fprintf(stderr, "case '%s': expected\n", next.name.c_str());
  for (const std::string &line : next.expected)
    std::fprintf(stderr, "    %s\n", line.c_str());
  std::fprintf(stderr, "  but got\n");
  for (const std::string &line : said)
    std::fprintf(stderr, "    %s\n", line.c_str());
  return false;
}

void writeExpected(const std::string &path, const std::vector<std::vector<std::string>> &said) {
  std::vector<std::string> lines = linesOf(path), out;
  size_t index = 0;
  bool open = false;
  auto close = [&] {
    if (!open)
      return;
    while (!out.empty() && out.back().empty())
      out.pop_back();
    out.insert(out.end(), said[index].begin(), said[index].end());
    out.emplace_back();
    ++index;
    open = false;
  };
  for (const std::string &line : lines) {
    if (startsWith(line, "== ") || startsWith(line, "base ") || startsWith(line, "#"))
      close();
    if (!isExpected(line))
      out.push_back(line);
    open |= startsWith(line, "== ");
  }
  close();
  while (!out.empty() && out.back().empty())
    out.pop_back();
  std::ofstream file(path, std::ios::binary);
  for (const std::string &line : out)
    file << line << "\n";
}

} // namespace weft::test

// Files that appear whole or not at all, alone or as a group: written beside their targets, synced, renamed at the end.
// Targets are checked when they are added, before any long work starts, and what killed processes left beside them goes.
#ifndef WEFT_TOOLS_OUTPUTFILES_H
#define WEFT_TOOLS_OUTPUTFILES_H

#include <string>
#include <vector>

namespace weft {

class OutputFiles {
public:
  OutputFiles() = default;
  OutputFiles(const OutputFiles &) = delete;
  OutputFiles &operator=(const OutputFiles &) = delete;
  ~OutputFiles(); ///< what was not committed is removed

  /// Makes the temporary file of `path`. Returns an empty text, or why `path` can't be written.
  std::string add(const std::string &path);
  /// Name of the temporary file of a path given to add: for writers that open files themselves.
  const std::string &temporary(const std::string &path) const;
  /// Replaces the content of one temporary. Returns an empty text or the reason.
  std::string write(const std::string &path, const std::string &bytes);
  /// Makes all files appear. After an error none has changed.
  std::string commit();

private:
  struct File {
    std::string path, temporary, backup;
    bool renamed = false;
  };
  std::vector<File> files;

  File *find(const std::string &path);
};

/// True if both name the same existing file, or are the same path.
bool sameFile(const std::string &a, const std::string &b);

} // namespace weft

#endif // WEFT_TOOLS_OUTPUTFILES_H

// The folder of a training's checkpoints: made and locked before anything long starts, and what a checkpoint notes about
// the data, so that training goes on with the same samples in the same order or not at all.
#ifndef WEFT_TOOLS_TRAINFOLDER_H
#define WEFT_TOOLS_TRAINFOLDER_H

#include "Common.h"

namespace weft {

class TrainFolder {
public:
  TrainFolder() = default;
  TrainFolder(const TrainFolder &) = delete;
  ~TrainFolder();

  /// Makes the folder if its parent exists, and keeps other trainings out until the process ends. kOk or kFile.
  int lock(const std::string &folder);
  /// That there is a folder to go on from. kOk or kFile.
  static int find(const std::string &folder);
  /// Whether there is a checkpoint, whole or not.
  static bool hasCheckpoints(const std::string &folder);

private:
  int fd = -1;
};

/// What has to be the same when training goes on: name and value of each.
using TrainNote = std::vector<std::pair<std::string, std::string>>;

std::string noteText(const TrainNote &note);
/// Compares with the text of a checkpoint; the first difference is an error. kOk or kInvalid.
int checkNote(const std::string &folder, const std::string &stored, const TrainNote &now);

} // namespace weft

#endif // WEFT_TOOLS_TRAINFOLDER_H

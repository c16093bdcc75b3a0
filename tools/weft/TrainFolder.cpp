// The lock is one on the folder itself: the system lets go of it however the process ends, and no file stays behind.
// A note is `NAME=VALUE` lines.
#include "TrainFolder.h"

#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weft {

TrainFolder::~TrainFolder() {
  if (fd >= 0)
    close(fd);
}

int TrainFolder::lock(const std::string &folder) {
  if (mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST)
    return fail(kFile, "can't make the folder " + quote(folder) + ": " + std::strerror(errno));
  fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return fail(kFile, "can't use " + quote(folder) + " for checkpoints: " + std::strerror(errno));
  if (access(folder.c_str(), W_OK | X_OK) != 0)
    return fail(kFile, "can't write into " + quote(folder) + ": " + std::strerror(errno));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    return fail(kFile, quote(folder) + " is in use by another training", "name another folder with --save, or wait until it ends");
  return kOk;
}

int TrainFolder::find(const std::string &folder) {
  DIR *list = opendir(folder.c_str());
  if (!list)
    return fail(kFile, "can't open the folder " + quote(folder) + ": " + std::strerror(errno));
  closedir(list);
  if (access((folder + "/trainer.safetensors").c_str(), F_OK) == 0)
    return fail(kFile, quote(folder) + " is one checkpoint", "--resume takes the folder that it lies in");
  return kOk;
}

bool TrainFolder::hasCheckpoints(const std::string &folder) {
  DIR *list = opendir(folder.c_str());
  if (!list)
    return false;
  bool found = false;
  while (const dirent *entry = readdir(list))
    found |= std::strncmp(entry->d_name, "step-", 5) == 0;
  closedir(list);
  return found;
}

std::string noteText(const TrainNote &note) {
  std::string text;
  for (const auto &[name, value] : note)
    text += name + "=" + value + "\n";
  return text;
}

int checkNote(const std::string &folder, const std::string &stored, const TrainNote &now) {
  for (const auto &[name, value] : now) {
    const std::string start = name + "=";
    std::string was;
    bool found = false;
    for (const std::string &line : splitList(stored, '\n'))
      if (line.compare(0, start.size(), start) == 0) {
        was = line.substr(start.size());
        found = true;
      }
    if (!found)
      return fail(kInvalid, "the checkpoint in " + quote(folder) + " does not say with what " + name + " it was trained, so its training can't go on the same way",
                  "--weights takes its model.safetensors as the start of a new training");
    if (was != value)
      return fail(kInvalid, "expected " + name + " " + was + " as in the checkpoint in " + quote(folder) + " but got " + value,
                  "training goes on with the same data and order only; --weights takes a checkpoint's model.safetensors as the start of a new one");
  }
  return kOk;
}

} // namespace weft

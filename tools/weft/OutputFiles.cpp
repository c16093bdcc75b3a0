// A group can't be renamed in one step, so commit keeps a hard link to each old file until all new ones are in place,
// and puts the old ones back when a rename fails half-way.
#include "OutputFiles.h"

#include "Signals.h"

#include "import/Diagnostics.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weft {

namespace {

std::string reason(const std::string &path, const char *what) {
  return std::string("can't ") + what + " " + quote(path) + ": " + strerror(errno);
}

std::string folderOf(const std::string &path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

std::string besides(const std::string &path, const char *kind, int number) {
  std::string name = path.substr(path.rfind('/') + 1);
  if (name.size() > 200) // room for the ending below the usual limit of 255
    name.resize(200);
  return folderOf(path) + "/." + name + kind + std::to_string(getpid()) + "-" + std::to_string(number);
}

/// Removes what processes that were killed have left beside `path`. Processes of other machines and containers can't be
/// asked, so it must have been there for an hour: by its change time, for a backup is the old file with the times of that.
void removeLeftovers(const std::string &path) {
  const std::string folder = folderOf(path);
  struct stat info;
  DIR *stream = opendir(folder.c_str());
  for (dirent *entry = stream ? readdir(stream) : nullptr; entry; entry = readdir(stream))
    for (const char *kind : {".tmp", ".old"}) {
      std::string start = besides(path, kind, 0).substr(folder.size() + 1);
      start.resize(start.rfind(kind) + 4);
      const std::string name = entry->d_name, leftover = folder + "/" + name;
      int pid = 0, number = 0, length = -1;
      if (name.compare(0, start.size(), start) != 0 || std::sscanf(name.c_str() + start.size(), "%9d-%9d%n", &pid, &number, &length) != 2 ||
          size_t(length) != name.size() - start.size())
        continue;
      if (pid > 0 && kill(pid_t(pid), 0) != 0 && errno == ESRCH && lstat(leftover.c_str(), &info) == 0 && info.st_ctime < time(nullptr) - 3600)
        unlink(leftover.c_str());
    }
  if (stream)
    closedir(stream);
}

bool syncFile(const std::string &path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  bool ok = fsync(fd) == 0 || errno == EINVAL || errno == EROFS; // some file systems can't sync
  close(fd);
  return ok;
}

} // namespace

OutputFiles::~OutputFiles() {
  for (File &file : files)
    if (!file.renamed) {
      unlink(file.temporary.c_str());
      forgetTemporary(file.temporary);
    }
}

OutputFiles::File *OutputFiles::find(const std::string &path) {
  for (File &file : files)
    if (file.path == path)
      return &file;
  return nullptr;
}

std::string OutputFiles::add(const std::string &path) {
  if (path.empty())
    return "expected an output file but got an empty name";
  struct stat info;
  if (stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode))
    return "can't write " + quote(path) + ": not a regular file";
  if (stat(path.c_str(), &info) == 0 && access(path.c_str(), W_OK) != 0)
    return reason(path, "write");
  removeLeftovers(path);
  std::string temporary = besides(path, ".tmp", int(files.size()));
  int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (fd < 0)
    return reason(path, "write");
  close(fd);
  trackTemporary(temporary);
  files.push_back({path, temporary, {}, false});
  return {};
}

const std::string &OutputFiles::temporary(const std::string &path) const {
  return const_cast<OutputFiles *>(this)->find(path)->temporary;
}

std::string OutputFiles::write(const std::string &path, const std::string &bytes) {
  const std::string &temporary = find(path)->temporary;
  int fd = open(temporary.c_str(), O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return reason(path, "write");
  size_t done = 0;
  while (done < bytes.size()) {
    ssize_t n = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) {
      std::string text = reason(path, "write");
      close(fd);
      return text;
    }
    done += size_t(n);
  }
  return close(fd) == 0 ? std::string() : reason(path, "write");
}

/// Signals wait until all files of a group are in place; only a kill can part them.
class WithoutSignals {
public:
  WithoutSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
  }
  ~WithoutSignals() { pthread_sigmask(SIG_SETMASK, &before, nullptr); }

private:
  sigset_t before;
};

std::string OutputFiles::commit() {
  const WithoutSignals guard;
  std::string failure;
  for (File &file : files)
    if (!syncFile(file.temporary))
      return reason(file.path, "write");
  int number = 0;
  for (File &file : files) {
    // A symbolic link stays one: what it points to is replaced.
    char resolved[4096];
    ssize_t length = readlink(file.path.c_str(), resolved, sizeof(resolved) - 1);
    std::string target = file.path;
    if (length > 0) {
      resolved[length] = 0;
      target = resolved[0] == '/' ? resolved : folderOf(file.path) + "/" + resolved;
    }
    file.backup = besides(target, ".old", number++);
    if (link(target.c_str(), file.backup.c_str()) != 0)
      file.backup.clear();
    if (rename(file.temporary.c_str(), target.c_str()) != 0) {
      failure = reason(file.path, "write");
      break;
    }
    forgetTemporary(file.temporary);
    file.renamed = true;
    file.path = target;
  }
  for (File &file : files) {
    if (!failure.empty() && file.renamed) {
      if (file.backup.empty())
        unlink(file.path.c_str());
      else
        rename(file.backup.c_str(), file.path.c_str());
    } else if (!file.backup.empty()) {
      unlink(file.backup.c_str());
    }
    syncFile(folderOf(file.path));
  }
  return failure;
}

bool sameFile(const std::string &a, const std::string &b) {
  struct stat x, y;
  const bool isA = stat(a.c_str(), &x) == 0, isB = stat(b.c_str(), &y) == 0;
  if (isA != isB)
    return false;
  if (!isA && (a.substr(a.rfind('/') + 1) != b.substr(b.rfind('/') + 1) || stat(folderOf(a).c_str(), &x) != 0 || stat(folderOf(b).c_str(), &y) != 0))
    return a == b;
  return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

} // namespace weft

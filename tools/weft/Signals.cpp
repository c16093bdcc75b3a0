// The handlers use only calls that are safe in a signal handler, on memory that was prepared before.
// They run on a stack of their own, so that an overflow of the main stack is reported like any other fault.
#include "Signals.h"

#include "llvm/Support/ErrorHandling.h"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <unistd.h>

namespace weft {

namespace {

constexpr int kTemporaries = 16;
constexpr size_t kPathBytes = 4096;
char temporaries[kTemporaries][kPathBytes];
std::atomic<bool> used[kTemporaries];

std::string commandLine, reproducerText;
char reproducerPath[kPathBytes];
std::atomic<bool> breaking;
char mappedPath[kPathBytes];
std::atomic<int> interrupt, interruptsCaught;

void put(int fd, const char *text, size_t length) {
  while (length > 0) {
    ssize_t done = write(fd, text, length);
    if (done <= 0)
      return;
    text += done;
    length -= size_t(done);
  }
}

void say(const char *text) { put(2, text, strlen(text)); }

void removeTemporaries() {
  for (int i = 0; i < kTemporaries; ++i)
    if (used[i])
      unlink(temporaries[i]);
}

[[noreturn]] void leave(const char *what, const char *detail) {
  if (breaking.exchange(true))
    _exit(70);
  removeTemporaries();
  say("weft: internal error: ");
  say(what);
  if (detail) {
    say(": ");
    say(detail);
  }
  say("\n");
  int fd = reproducerText.empty() ? -1 : open(reproducerPath, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd >= 0) {
    put(fd, reproducerText.data(), reproducerText.size());
    close(fd);
    say("  this is a bug in weft; the model was written to '");
    say(reproducerPath);
    say("'; the command was:\n   ");
  } else {
    say("  this is a bug in weft; the command was:\n   ");
  }
  put(2, commandLine.data(), commandLine.size());
  say("\n");
  _exit(70);
}

void onFault(int number) {
  switch (number) {
  case SIGSEGV: leave("segmentation fault", nullptr);
  case SIGBUS:
    if (!mappedPath[0])
      leave("bus error", nullptr);
    removeTemporaries();
    say("weft: error: can't read '");
    say(mappedPath);
    say("' or another file of the data: it was cut while it was in use\n");
    _exit(3);
  case SIGFPE: leave("arithmetic fault", nullptr);
  case SIGILL: leave("illegal instruction", nullptr);
  default: leave("abort", nullptr);
  }
}

void onInterrupt(int number) {
  if (interruptsCaught && number != SIGHUP && !interrupt.exchange(number))
    return;
  removeTemporaries();
  signal(number, SIG_DFL);
  raise(number);
}

void onFatalError(void *, const char *reason, bool) { leave("LLVM", reason); }

void onBadAlloc(void *, const char *, bool) { outOfMemory(); }

} // namespace

void installSignalHandlers(int argc, char **argv) {
  for (int fd = 0; fd <= 2; ++fd)
    if (fcntl(fd, F_GETFD) < 0)
      open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY); // takes the lowest free number: this one

  for (int i = 0; i < argc; ++i)
    commandLine += (i ? " " : "") + std::string(argv[i]);

  static char stack[64 << 10];
  stack_t alternative = {};
  alternative.ss_sp = stack;
  alternative.ss_size = sizeof(stack);
  sigaltstack(&alternative, nullptr);
  struct sigaction action = {};
  action.sa_flags = SA_ONSTACK | SA_RESETHAND | SA_NODEFER;
  action.sa_handler = onFault;
  for (int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT})
    sigaction(number, &action, nullptr);
  action.sa_handler = onInterrupt;
  for (int number : {SIGINT, SIGTERM, SIGHUP})
    sigaction(number, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);

  std::set_new_handler(outOfMemory);
  llvm::install_fatal_error_handler(onFatalError);
  llvm::install_bad_alloc_error_handler(onBadAlloc);
}

void catchInterrupts() {
  interruptsCaught = 1;
  struct sigaction action = {};
  action.sa_flags = SA_ONSTACK | SA_RESTART | SA_NODEFER; // not reset: the first one is only remembered
  action.sa_handler = onInterrupt;
  for (int number : {SIGINT, SIGTERM})
    sigaction(number, &action, nullptr);
}

int caughtInterrupt() { return interrupt; }

void setMappedFile(const std::string &path) { memcpy(mappedPath, path.c_str(), std::min(path.size(), kPathBytes - 1)); }

void setReproducer(const std::string &fileName, const std::string &text) {
  std::string path = "weft-crash-" + std::to_string(getpid()) + "-" + fileName;
  if (path.size() >= kPathBytes)
    path.resize(200);
  memcpy(reproducerPath, path.c_str(), path.size() + 1);
  reproducerText = text;
}

bool trackTemporary(const std::string &path) {
  if (path.size() >= kPathBytes)
    return false;
  for (int i = 0; i < kTemporaries; ++i)
    if (!used[i]) {
      memcpy(temporaries[i], path.c_str(), path.size() + 1);
      used[i] = true;
      return true;
    }
  return false;
}

void forgetTemporary(const std::string &path) {
  for (int i = 0; i < kTemporaries; ++i)
    if (used[i] && path == temporaries[i])
      used[i] = false;
}

void outOfMemory() {
  removeTemporaries();
  say("weft: error: out of memory\n");
  _exit(4);
}

void internalError(const std::string &text) { leave(text.c_str(), nullptr); }

} // namespace weft

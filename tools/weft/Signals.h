// What happens when the process is interrupted or breaks: temporary files go away, an internal error leaves a reproducer
// and exit code 70, exhausted memory gives exit code 4. Installed once by main.
#ifndef WEFT_TOOLS_SIGNALS_H
#define WEFT_TOOLS_SIGNALS_H

#include <string>

namespace weft {

/// Handlers for faults, interrupts, LLVM's fatal errors and failed allocations. Also: a closed pipe or a full file are
/// errors of the write, and the three standard streams are open.
void installSignalHandlers(int argc, char **argv);

/// The text that an internal error writes beside its message, so that it can be repeated: the model as read.
void setReproducer(const std::string &fileName, const std::string &text);

/// From here on SIGINT and SIGTERM are only remembered, for a long work that ends in order; a second one ends the process
/// as before.
void catchInterrupts();
/// The remembered signal, or 0.
int caughtInterrupt();

/// A file whose mapping is being read: a bus error then means that it was cut, which is an error of the file (exit code 3).
void setMappedFile(const std::string &path);

/// Files to delete if the process ends early. At most 16 at a time; returns false when there is no room.
bool trackTemporary(const std::string &path);
void forgetTemporary(const std::string &path);

/// Exit code 4 after a line on standard error. Allocates nothing. Does not return.
[[noreturn]] void outOfMemory();

/// Reports an internal error found by the tool itself. Does not return.
[[noreturn]] void internalError(const std::string &text);

} // namespace weft

#endif // WEFT_TOOLS_SIGNALS_H

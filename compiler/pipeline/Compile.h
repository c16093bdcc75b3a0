// The compiler as a function: ModelDesc in, object, header and facts about them out. Used by every tool.
// No files are read or written here.
#ifndef WEFT_PIPELINE_COMPILE_H
#define WEFT_PIPELINE_COMPILE_H

#include "import/Diagnostics.h"
#include "import/Limits.h"
#include "import/ModelDesc.h"
#include "memory/ArenaPlan.h"
#include "pipeline/Stages.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace weft {

struct CompileOptions {
  std::vector<std::string> entries;            ///< names to compile; empty: every entry that can run (infer)
  std::vector<std::string> cpus = {"host"};    ///< one variant each, best first
  std::optional<Stage> stopAfter;              ///< CompiledModel::ir is the IR after it, nothing later is made
  std::set<Stage> printIrAfter;                ///< CompiledModel::printedIr gets the IR after each
  bool checkOnly = false;                      ///< stop when every kernel is chosen: all errors and all facts, no code
  bool wantLlvm = false, wantAssembly = false; ///< also fill llvmIr / assembly (first variant)
  std::string embeddedWeights;                 ///< bytes of a safetensors file to put into the object; empty: none
  Limits limits;                               ///< arenaBytes and objectBytes
  std::set<std::string> disabledPasses;        ///< fusion passes to leave out (tests), by option name: "weft-fuse-attention"
  bool optimize = true;                        ///< false (tests): no such pass at all, LLVM IR as translated, machine code of LLVM's level 0
};

/// One kernel launch of an entry, as `--explain` and `bench --per-kernel` name it.
struct KernelInfo {
  std::string entry, symbol;                   ///< of the generated function
  std::string kind;                            ///< "contract", "attention", "attention-decode", "rows", "pack", "cache-append"
  std::vector<std::string> nodes;              ///< paths of the model's nodes that became part of it: "enc.q"
  std::string tiles;                           ///< e.g. "6x64, kc 512, mc 192"
  DimExpr flops, bytes;                        ///< per launch
  DimExpr rounds = 1;                          ///< launches per call (repeat counts)
};

/// Where an index computed inside the graph is used.
struct SiteInfo {
  std::string table;                           ///< what it chooses from, as messages at run time say it
  std::string node, place;                     ///< the first node that does: "enc.pos", "gpt2.json:40:5"
};

/// One buffer of an entry's arena.
struct BufferInfo {
  std::string entry, node;                     ///< path of the node whose value it holds first
  DimExpr bytes;
  int first = 0, last = 0;                     ///< launch numbers between which it is live
};

struct TensorInfo {
  std::string name;
  TensorType type;
};

/// A value that prefills keep in the session for the steps that follow.
struct KeptInfo {
  std::string name;                            ///< path of the node that computes it, or the input that it is
  TensorType type;                             ///< of one round
  int64_t rounds = 1;
  DimExpr bytes;                               ///< of all rounds
};

struct EntryInfo {
  std::string name;
  std::vector<TensorInfo> inputs, outputs;
  std::vector<int> keeps, recalls;             ///< numbers of kept values that it writes, and reads
  DimExpr flops;                               ///< 2 · multiply-adds of contractions and attention
  int buffers = 0;
};

struct CompiledModel {
  std::string object, header, llvmIr, assembly;
  std::string ir;                              ///< when stopAfter is set
  std::map<Stage, std::string> printedIr;
  std::map<Stage, double> stageMs;
  uint64_t hash = 0;
  std::string descriptorSymbol;                ///< symbol of the weft_model_desc: "<prefix>_weft_model"
  std::vector<KeptInfo> kept;
  std::vector<EntryInfo> entries;
  std::vector<KernelInfo> kernels;
  std::vector<SiteInfo> sites;
  std::vector<BufferInfo> buffers;              ///< of each entry in the order of its arena indices
  std::map<std::string, ArenaPlan> arenas;      ///< by entry

  /// Arena bytes and each buffer's offset for these sizes; nullopt on overflow. Entry names as in `entries`.
  std::optional<int64_t> arenaBytes(const std::string &entry, const std::map<std::string, int64_t> &dims) const;
  /// The buffers live at the moment of the peak, largest first, with their bytes.
  std::vector<std::pair<const BufferInfo *, int64_t>> peak(const std::string &entry, const std::map<std::string, int64_t> &dims) const;
};

/// What is to be said when an entry's arena for these sizes is beyond `limit`, with the largest value in it; else "".
std::string arenaBeyond(const CompiledModel &compiled, const std::string &entry, const std::map<std::string, int64_t> &sizes, uint64_t limit);

/// Compiles. On failure diagnostics holds at least one error; `kind` says which exit code it means.
enum class CompileResult { ok, invalid, unsupported, limit, internal };
CompileResult compileModel(const ModelDesc &model, const CompileOptions &options, CompiledModel &out, Diagnostics &diagnostics);

}  // namespace weft

#endif  // WEFT_PIPELINE_COMPILE_H

# Finds MLIR 22 and defines weft_room(), one library per folder of compiler/, and weft_llvm, which all of them link.
set(MLIR_DIR /usr/lib/llvm-22/lib/cmake/mlir CACHE PATH "MLIR's CMake package")
find_package(MLIR REQUIRED CONFIG) # no version argument: 22.1.8 is rejected for "22"
set(MLIR_BINARY_DIR ${CMAKE_BINARY_DIR}) # else add_mlir_doc writes to /docs
list(APPEND CMAKE_MODULE_PATH "${MLIR_CMAKE_DIR}" "${LLVM_CMAKE_DIR}")
include(TableGen)
include(AddLLVM)
include(AddMLIR)
find_package(Threads REQUIRED)
include_directories(SYSTEM ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS}) # mlir-tblgen searches these
set(WEFT_COMPILER_DIR ${CMAKE_SOURCE_DIR}/compiler)
set(WEFT_GENERATED_DIR ${CMAKE_BINARY_DIR}/compiler)

# MLIR and LLVM: the shared libraries, or for a program with the property WEFT_STATIC_LLVM what it needs of the archives.
# The command line has it: relocating the shared libraries takes 20 ms of every start, ten times what `weft --version` does.
option(WEFT_STATIC_LLVM "Link MLIR and LLVM into `weft`; needs lld and the packages of setup.sh" ON)
add_library(weft_llvm INTERFACE)
file(GLOB weft_archives ${LLVM_LIBRARY_DIR}/libMLIR*.a ${LLVM_LIBRARY_DIR}/libLLVM*.a)
include(CheckLinkerFlag)
check_linker_flag(CXX -fuse-ld=lld WEFT_HAVE_LLD)
if(WEFT_STATIC_LLVM AND (WEFT_SANITIZE OR NOT weft_archives OR NOT WEFT_HAVE_LLD OR NOT TARGET zstd::libzstd_shared OR NOT TARGET ZLIB::ZLIB))
  message(STATUS "weft links the shared libraries of MLIR and LLVM")
  set(WEFT_STATIC_LLVM OFF)
endif()
set(weft_static $<BOOL:$<TARGET_PROPERTY:WEFT_STATIC_LLVM>>)
target_link_libraries(weft_llvm INTERFACE
  "$<${weft_static}:${weft_archives};ZLIB::ZLIB;zstd::libzstd_shared;Threads::Threads;${CMAKE_DL_LIBS};rt;m>"
  "$<$<NOT:${weft_static}>:MLIR;LLVM>")
target_link_options(weft_llvm INTERFACE "$<${weft_static}:-fuse-ld=lld;-Wl,--gc-sections>")

# weft_room(NAME sources... DEPENDS targets... LINK libraries... [PLAIN]): library weft_NAME.
# PLAIN rooms use no MLIR. Every room sees compiler/ (as "room/File.h") and runtime/include (for weft/abi.h).
function(weft_room name)
  cmake_parse_arguments(ROOM "PLAIN" "" "DEPENDS;LINK" ${ARGN})
  add_library(weft_${name} STATIC ${ROOM_UNPARSED_ARGUMENTS})
  target_include_directories(weft_${name} PUBLIC ${WEFT_COMPILER_DIR} ${WEFT_GENERATED_DIR} ${CMAKE_SOURCE_DIR}/runtime/include)
  target_compile_options(weft_${name} PRIVATE -Wall -Wextra -Wno-unused-parameter -fno-exceptions)
  if(NOT ROOM_PLAIN)
    target_include_directories(weft_${name} SYSTEM PUBLIC ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
    target_link_libraries(weft_${name} PUBLIC weft_llvm)
  endif()
  if(ROOM_DEPENDS)
    add_dependencies(weft_${name} ${ROOM_DEPENDS})
  endif()
  target_link_libraries(weft_${name} PUBLIC ${ROOM_LINK})
endfunction()

# Finds MLIR 22 and defines weft_room(): one library per folder of compiler/.
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

# weft_room(NAME sources... DEPENDS targets... LINK libraries... [PLAIN]): library weft_NAME.
# PLAIN rooms use no MLIR. Every room sees compiler/ (as "room/File.h") and runtime/include (for weft/abi.h).
function(weft_room name)
  cmake_parse_arguments(ROOM "PLAIN" "" "DEPENDS;LINK" ${ARGN})
  add_library(weft_${name} STATIC ${ROOM_UNPARSED_ARGUMENTS})
  target_include_directories(weft_${name} PUBLIC ${WEFT_COMPILER_DIR} ${WEFT_GENERATED_DIR} ${CMAKE_SOURCE_DIR}/runtime/include)
  target_compile_options(weft_${name} PRIVATE -Wall -Wextra -Wno-unused-parameter -fno-exceptions)
  if(NOT ROOM_PLAIN)
    target_include_directories(weft_${name} SYSTEM PUBLIC ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
    target_link_libraries(weft_${name} PUBLIC MLIR LLVM)
  endif()
  if(ROOM_DEPENDS)
    add_dependencies(weft_${name} ${ROOM_DEPENDS})
  endif()
  target_link_libraries(weft_${name} PUBLIC ${ROOM_LINK})
endfunction()

# Turns the files of this folder into one C++ source, New.inc: {"gpt.json", R"weft(…)weft"}, one line for each file.
# Usage: cmake -DOUT=FILE -P Embed.cmake.
file(GLOB files RELATIVE ${CMAKE_CURRENT_LIST_DIR} ${CMAKE_CURRENT_LIST_DIR}/*.json ${CMAKE_CURRENT_LIST_DIR}/*.c ${CMAKE_CURRENT_LIST_DIR}/*.in)
set(text "")
foreach(file ${files})
  file(READ ${CMAKE_CURRENT_LIST_DIR}/${file} content)
  string(APPEND text "{\"${file}\", R\"weft(${content})weft\"},\n")
endforeach()
file(WRITE ${OUT} "${text}")

# cmake "-DFILES=name=path;..." -DSTAGE=s -DHEADER=s/h.h -DINLINE=TRUE -DOUT=c.cpp -P embed_page_files.cmake
# Functions that give the files' text. INLINE: they stand inside a page's elements.
set(functions "")
foreach(entry IN LISTS FILES)
  string(REGEX MATCH "^([a-z_]+)=(.*)$" _ "${entry}")
  set(name ${CMAKE_MATCH_1})
  set(path ${CMAKE_MATCH_2})
  file(READ ${path} text)
  string(FIND "${text}" ")imagerank\"" delimiter)
  string(FIND "${text}" "</s" closing)  # would end the element that holds it
  if(NOT delimiter EQUAL -1 OR (INLINE AND NOT closing EQUAL -1))
    message(FATAL_ERROR "${path} cannot stand in a page as it is")
  endif()
  string(APPEND functions "std::string_view ${name}() noexcept { return R\"imagerank(${text})imagerank\"; }\n")
endforeach()
file(WRITE ${OUT} "#include \"${HEADER}\"

namespace imagerank::${STAGE} {

${functions}
}  // namespace imagerank::${STAGE}
")

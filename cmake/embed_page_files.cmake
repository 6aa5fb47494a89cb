# cmake -DSCRIPT=a.js -DSTYLE=b.css -DOUT=c.cpp -P embed_page_files.cmake
function(read_literal path result)
  file(READ ${path} text)
  string(FIND "${text}" ")imagerank\"" delimiter)
  string(FIND "${text}" "</s" closing)  # would end the element that holds it
  if(NOT delimiter EQUAL -1 OR NOT closing EQUAL -1)
    message(FATAL_ERROR "${path} cannot stand in a page as it is")
  endif()
  set(${result} "R\"imagerank(${text})imagerank\"" PARENT_SCOPE)
endfunction()
read_literal(${SCRIPT} script)
read_literal(${STYLE} style)
file(WRITE ${OUT} "#include \"evaluation/page_files.h\"

namespace imagerank::evaluation {

std::string_view page_script() noexcept { return ${script}; }
std::string_view page_style() noexcept { return ${style}; }

}  // namespace imagerank::evaluation
")

# Writes OUT, a header with the texts of this directory. Since each challenged client loads them, scripts lose their
# comment lines, indentation, and spaces beside brackets and operators; so their strings must not have
# such spaces. Run as: cmake -DOUT=FILE -P embed.cmake
foreach(name layout.html work.html wait.html solver.js challenge.js)
  file(READ ${CMAKE_CURRENT_LIST_DIR}/${name} text)
  if(name MATCHES "js$")
    string(REGEX REPLACE "(^|\n) *//[^\n]*" "\\1" text "${text}")
    string(REGEX REPLACE "\n[\n ]+" "\n" text "${text}")
    string(REGEX REPLACE "^\n+" "" text "${text}")
    string(REGEX REPLACE " *([](){}<>=+*/^&|?:!,;]) *" "\\1" text "${text}")
    string(REGEX REPLACE "'[+]\n'" "" text "${text}")
  endif()
  string(TOUPPER ${name} variable)
  string(REPLACE "." "_" variable ${variable})
  set(${variable} "${text}")
endforeach()
configure_file(${CMAKE_CURRENT_LIST_DIR}/assets.h.in ${OUT} @ONLY)

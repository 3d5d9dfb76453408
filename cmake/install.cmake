# What `cmake --install build/release --prefix /usr` puts where; DESTDIR goes before it, for those who make packages.
#   bin/spillway, lib/systemd/system/spillway.service, share/doc/spillway/{reference,rules,challenge}.md, examples/
install(TARGETS spillway RUNTIME DESTINATION bin)
set(documents share/doc/spillway)
install(FILES docs/challenge.md DESTINATION ${documents})
install(FILES rules/README.md RENAME rules.md DESTINATION ${documents})
install(FILES LICENSE RENAME copyright DESTINATION ${documents})
install(DIRECTORY examples/ DESTINATION ${documents}/examples
  FILES_MATCHING PATTERN *.yaml PATTERN demo EXCLUDE PATTERN compose*.yaml EXCLUDE)  # these two need the sources

# The prefix is known only now, so the paths inside these are written at the end.
install(CODE "set(source \"${CMAKE_SOURCE_DIR}\")\nset(made \"${CMAKE_BINARY_DIR}/installed\")")
install(CODE [[
  file(READ ${source}/examples/spillway.service text)
  string(REPLACE /usr/bin/spillway ${CMAKE_INSTALL_PREFIX}/bin/spillway text "${text}")
  string(REPLACE /usr/share/ ${CMAKE_INSTALL_PREFIX}/share/ text "${text}")
  string(REGEX REPLACE "^# [^\n]*\n" "" text "${text}")
  file(WRITE ${made}/spillway.service "${text}")
  file(INSTALL ${made}/spillway.service DESTINATION ${CMAKE_INSTALL_PREFIX}/lib/systemd/system)
  file(READ ${source}/docs/reference.md text)
  string(REPLACE ../rules/README.md rules.md text "${text}")
  file(WRITE ${made}/reference.md "${text}")
  file(INSTALL ${made}/reference.md DESTINATION ${CMAKE_INSTALL_PREFIX}/share/doc/spillway)
]])

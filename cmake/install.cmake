# What `cmake --install build/release --prefix /usr` puts where; DESTDIR goes before it, for those who make packages.
#   bin/spillway, lib/systemd/system/spillway.service, share/doc/spillway/{reference,rules,challenge,overload,overload-measured}.md, examples/
install(TARGETS spillway RUNTIME DESTINATION bin)
set(documents share/doc/spillway)
install(FILES docs/challenge.md docs/overload.md docs/overload-measured.md docs/surge-plain.svg docs/surge-jabbing.svg docs/surge-changing.svg DESTINATION ${documents})
install(FILES rules/README.md RENAME rules.md DESTINATION ${documents})
install(FILES LICENSE RENAME copyright DESTINATION ${documents})
install(DIRECTORY examples/ DESTINATION ${documents}/examples
  FILES_MATCHING PATTERN *.yaml PATTERN demo EXCLUDE PATTERN compose*.yaml EXCLUDE)  # these two need the sources

# The prefix is known only then, so these two are written for it in place.
install(CODE "set(source \"${CMAKE_SOURCE_DIR}\")")
install(CODE [[
  function(put path text)
    set(file "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/${path}")
    message(STATUS "Installing: ${file}")
    file(WRITE "${file}" "${text}")
    file(CHMOD "${file}" PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
  endfunction()

  file(READ "${source}/examples/spillway.service" text)
  string(REGEX REPLACE "^# [^\n]*\n" "" text "${text}")
  string(REPLACE /usr/bin/spillway "${CMAKE_INSTALL_PREFIX}/bin/spillway" text "${text}")
  string(REPLACE /usr/share/ "${CMAKE_INSTALL_PREFIX}/share/" text "${text}")
  put(lib/systemd/system/spillway.service "${text}")
  file(READ "${source}/docs/reference.md" text)
  string(REPLACE ../rules/README.md rules.md text "${text}")
  put(share/doc/spillway/reference.md "${text}")
]])

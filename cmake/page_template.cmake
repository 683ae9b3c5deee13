# Compiles src/report/page.html in, as one raw string literal in a generated source
# of the room `report`.
function(teeio_page_template out)
  set(file ${CMAKE_SOURCE_DIR}/src/report/page.html)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(READ ${file} text)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/page_template.cc @ONLY CONTENT
[[#include "report/page_template.h"

namespace teeio::report {

std::string_view page_template() {
  return R"html(@text@)html";
}

}  // namespace teeio::report
]])
  set(${out} ${CMAKE_BINARY_DIR}/generated/page_template.cc PARENT_SCOPE)
endfunction()

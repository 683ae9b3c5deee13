# Compiles machines/*.toml in: one raw string literal a file, in a generated
# source of the room `machine`.
function(teeio_builtin_machines out)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/machines/*.toml)
  set(table "")
  foreach(file IN LISTS files)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    get_filename_component(name ${file} NAME_WE)
    file(READ ${file} text)
    string(APPEND table "    {\"${name}\", R\"toml(${text})toml\"},\n")
  endforeach()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/builtin_machines.cc @ONLY CONTENT
[[#include "machine/config.h"

namespace teeio::machine {
namespace {

struct Builtin {
  std::string_view name;
  std::string_view text;
};
constexpr Builtin kBuiltins[] = {
@table@};

}  // namespace

std::string_view builtin_machine(std::string_view name) {
  for (const Builtin& builtin : kBuiltins)
    if (builtin.name == name) return builtin.text;
  return {};
}

std::vector<std::string_view> builtin_machines() {
  std::vector<std::string_view> names;
  for (const Builtin& builtin : kBuiltins) names.push_back(builtin.name);
  return names;
}

}  // namespace teeio::machine
]])
  set(${out} ${CMAKE_BINARY_DIR}/generated/builtin_machines.cc PARENT_SCOPE)
endfunction()

# One room of src/ is one static library. Its sources are every .cc file in its
# own folder (not below: a folder below is a room of its own), and it links what
# its line in src/CMakeLists.txt names and nothing else. tools/check_rooms
# compares those lines and the #includes with the table in ARCHITECTURE.md.

add_library(teeio_flags INTERFACE)
target_compile_features(teeio_flags INTERFACE cxx_std_23)
target_include_directories(teeio_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(teeio_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wswitch-enum
  -Wnon-virtual-dtor -Wold-style-cast -Werror)
# Where it was built is nobody's affair. What a debugger
# reads stays as it is: it looks for the sources there.
foreach(from_to ${CMAKE_SOURCE_DIR}=. ${CMAKE_BINARY_DIR}=build)
  target_compile_options(teeio_flags INTERFACE
    $<IF:$<CONFIG:Release>,-ffile-prefix-map=${from_to},-fmacro-prefix-map=${from_to}>)
endforeach()
# uAPI structs may end in a flexible array, whose {} is meant, and have unions of nameless structs;
# std::stable_sort of libstdc++ 12. They come behind -Wpedantic, which would bring them back.
set(clang_options -Wno-zero-length-array -Wno-nested-anon-types -Wno-deprecated-declarations)
target_compile_options(teeio_flags INTERFACE
  "$<$<BOOL:$<TARGET_PROPERTY:TEEIO_BY_CLANG>>:${clang_options}>")
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(teeio_flags INTERFACE -Wthread-safety ${clang_options})
else()
  # Room to leave garbage until it is gone with the process: a tenth to a fifth less time.
  target_compile_options(teeio_flags INTERFACE
    "$<$<NOT:$<BOOL:$<TARGET_PROPERTY:TEEIO_BY_CLANG>>>:--param=ggc-min-heapsize=1000000>")
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # g++ 12 sees vector::insert write past a buffer that it grew itself, and
  # std::string(...) + "..." past its small buffer (GCC bug 105651); with sanitizers also
  # members of std::regex that nobody set.
  if(TEEIO_SANITIZE)
    set(imagined 1)
    target_compile_options(teeio_flags INTERFACE -Wno-maybe-uninitialized)
  else()
    set(imagined $<CONFIG:Release>)
  endif()
  foreach(warning stringop-overflow stringop-overread array-bounds restrict)
    target_compile_options(teeio_flags INTERFACE $<${imagined}:-Wno-${warning}>)
  endforeach()
endif()
if(TEEIO_SANITIZE)
  target_compile_options(teeio_flags INTERFACE -fsanitize=${TEEIO_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(teeio_flags INTERFACE -fsanitize=${TEEIO_SANITIZE})
endif()

if(TEEIO_FUZZ)
  target_compile_options(teeio_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# Parsing the standard library is most of what compiling a file costs: it is
# parsed once here and once with GoogleTest for the tests. A file still includes what
# it uses: clang-tidy reads each one without these.
option(TEEIO_PCH "Precompile the headers of the standard library" ON)
set(teeio_std_headers
  <algorithm> <array> <bit> <cstdint> <cstring> <deque> <expected> <functional> <map> <memory>
  <optional> <set> <span> <string> <string_view> <utility> <variant> <vector> <fmt/format.h>)

# What a test's own code costs to compile is most of what it costs: only what it tests
# is optimized. A precompiled header is read by what has its flags.
set(teeio_test_options -O0)
option(TEEIO_TESTS_BY_CLANG "clang compiles the tests' own code, in half of the time" OFF)

# For targets of which all code is tests'.
function(teeio_test_code)
  foreach(target IN LISTS ARGN)
    target_compile_options(${target} PRIVATE ${teeio_test_options})
    if(TEEIO_TESTS_BY_CLANG AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT TEEIO_SANITIZE)
      set_target_properties(${target} PROPERTIES TEEIO_BY_CLANG ON CXX_COMPILER_LAUNCHER
        "${CMAKE_SOURCE_DIR}/tools/with_clang;${CMAKE_CXX_COMPILER};${CMAKE_CXX_COMPILER_LAUNCHER}")
    endif()
  endforeach()
endfunction()

# teeio_precompile(NAME LIBS lib... HEADERS <header>...) makes the target NAME;
# teeio_precompiled(TARGET NAME) uses it.
function(teeio_precompile name)
  cmake_parse_arguments(PCH "" "" "LIBS;HEADERS" ${ARGN})
  if(NOT TEEIO_PCH)
    return()
  endif()
  file(WRITE ${CMAKE_BINARY_DIR}/${name}.cc "// Compiled for its precompiled headers.\n")
  add_library(${name} OBJECT ${CMAKE_BINARY_DIR}/${name}.cc)
  target_link_libraries(${name} PRIVATE ${PCH_LIBS})
  target_precompile_headers(${name} PRIVATE ${PCH_HEADERS})
endfunction()
function(teeio_precompiled target name)
  if(TEEIO_PCH)
    target_precompile_headers(${target} REUSE_FROM ${name})
  endif()
endfunction()

teeio_precompile(teeio_pch LIBS teeio_flags fmt::fmt Threads::Threads HEADERS ${teeio_std_headers})
if(TEEIO_TESTS)
  teeio_precompile(teeio_test_pch LIBS teeio_flags fmt::fmt Threads::Threads GTest::gtest GTest::gmock
                   HEADERS ${teeio_std_headers} <gtest/gtest.h> <gmock/gmock.h>)
  if(TEEIO_PCH)
    teeio_test_code(teeio_test_pch)
  endif()
endif()

# teeio_room(host/kvm DEPS host/dmabuf hw LIBS OpenSSL::Crypto ALONE file.cc)
# A room without .cc files becomes an interface library. Where CMAKE_UNITY_BUILD
# compiles several files as one, those named by ALONE stay by themselves; the others'
# unnamed namespaces share one scope.
function(teeio_room path)
  cmake_parse_arguments(ROOM "" "" "DEPS;LIBS;ALONE" ${ARGN})
  list(TRANSFORM ROOM_ALONE PREPEND ${CMAKE_SOURCE_DIR}/src/${path}/)
  set_source_files_properties(${ROOM_ALONE} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  string(REPLACE "/" "_" name ${path})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${path}/*.cc)
  set(links teeio_flags ${ROOM_LIBS})
  foreach(dep IN LISTS ROOM_DEPS)
    string(REPLACE "/" "_" dep_name ${dep})
    list(APPEND links teeio_${dep_name})
  endforeach()
  if(sources)
    add_library(teeio_${name} STATIC ${sources})
    target_link_libraries(teeio_${name} PUBLIC ${links})
    teeio_precompiled(teeio_${name} teeio_pch)
  else()
    add_library(teeio_${name} INTERFACE)
    target_link_libraries(teeio_${name} INTERFACE ${links})
  endif()
endfunction()

# A program of GoogleTest's, twice: each case a test (label `case_`: to pick one, and what the
# preset `dev` runs), and all of them in one process (label `program`: what the other presets run,
# in a fraction of the time, as most cases take less than the start of a process).
#   teeio_cases(TARGET PREFIX NAME [FILTER CASES] [WHOLE CASES] [SHARDS N] [LABELS label...] [COST N])
# NAME is also what the tests of the whole are called; of SHARDS there are NAME:1, NAME:2 ...
# WHOLE: of those of FILTER the program's, where another test has the rest.
if(TEEIO_SANITIZE)
  set(teeio_program_seconds 1790)
  # Limits are written for programs as they are released; here they are so much slower.
  function(set_tests_properties)
    math(EXPR last "${ARGC} - 1")
    set(words "")
    foreach(i RANGE ${last})
      set(word "${ARGV${i}}")
      if(before STREQUAL "TIMEOUT")
        math(EXPR word "${word} * 6")
      endif()
      set(before "${word}")
      string(REPLACE ";" "\\;" word "${word}")
      list(APPEND words "${word}")
    endforeach()
    _set_tests_properties(${words})
  endfunction()
else()
  set(teeio_program_seconds 110)
endif()
function(teeio_cases target)
  cmake_parse_arguments(CASES "" "PREFIX;NAME;FILTER;WHOLE;SHARDS;COST" "LABELS" ${ARGN})
  set(filter "")
  set(option "")
  if(CASES_FILTER)
    set(filter TEST_FILTER ${CASES_FILTER})
    set(option --gtest_filter=${CASES_FILTER})
  endif()
  if(CASES_WHOLE)
    set(option --gtest_filter=${CASES_WHOLE})
  endif()
  list(JOIN CASES_LABELS _ labels)  # of discovered tests CMake takes no list
  gtest_discover_tests(${target} TEST_PREFIX ${CASES_PREFIX}: TEST_LIST ${CASES_NAME}_cases
                       NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60 ${filter} PROPERTIES LABELS case_${labels})
  if(NOT CASES_SHARDS)
    set(CASES_SHARDS 1)
  endif()
  if(NOT CASES_COST)
    set(CASES_COST 0)
  endif()
  foreach(shard RANGE 1 ${CASES_SHARDS})
    set(name programs:${CASES_NAME})
    if(CASES_SHARDS GREATER 1)
      string(APPEND name :${shard})
    endif()
    math(EXPR index "${shard} - 1")
    add_test(NAME ${name} COMMAND ${CMAKE_SOURCE_DIR}/tests/run_cases ${teeio_program_seconds}
             $<TARGET_FILE:${target}> ${option})
    set_tests_properties(${name} PROPERTIES LABELS "program;${CASES_LABELS}" COST "${CASES_COST}"
      ENVIRONMENT "GTEST_TOTAL_SHARDS=${CASES_SHARDS};GTEST_SHARD_INDEX=${index}")
  endforeach()
endfunction()

# Unit tests of one room: tests/unit/<room>/*_test.cc become <room>_test.
function(teeio_unit_test path)
  string(REPLACE "/" "_" name ${path})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/${path}/*_test.cc)
  if(NOT sources)
    return()
  endif()
  add_executable(${name}_test ${sources})
  target_include_directories(${name}_test PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  teeio_test_code(${name}_test)
  target_link_libraries(${name}_test PRIVATE teeio_${name} ${ARGN} GTest::gtest_main GTest::gmock)
  teeio_precompiled(${name}_test teeio_test_pch)
  teeio_cases(${name}_test PREFIX ${name} NAME ${name})
endfunction()

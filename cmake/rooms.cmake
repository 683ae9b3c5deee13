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
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # uAPI structs may end in a flexible array; their {} is meant.
  target_compile_options(teeio_flags INTERFACE -Wthread-safety -Wno-zero-length-array)
elseif(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # At -O3 g++ 12 sees vector::insert write past a buffer that it grew itself.
  target_compile_options(teeio_flags INTERFACE
    $<$<CONFIG:Release>:-Wno-stringop-overflow> $<$<CONFIG:Release>:-Wno-stringop-overread>)
endif()
if(TEEIO_SANITIZE)
  target_compile_options(teeio_flags INTERFACE -fsanitize=${TEEIO_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(teeio_flags INTERFACE -fsanitize=${TEEIO_SANITIZE})
endif()

if(TEEIO_FUZZ)
  target_compile_options(teeio_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# teeio_room(host/kvm DEPS host/dmabuf hw LIBS OpenSSL::Crypto)
# A room without .cc files becomes an interface library.
function(teeio_room path)
  cmake_parse_arguments(ROOM "" "" "DEPS;LIBS" ${ARGN})
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
  else()
    add_library(teeio_${name} INTERFACE)
    target_link_libraries(teeio_${name} INTERFACE ${links})
  endif()
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
  target_link_libraries(${name}_test PRIVATE teeio_${name} ${ARGN} GTest::gtest_main GTest::gmock)
  gtest_discover_tests(${name}_test TEST_PREFIX ${name}: DISCOVERY_TIMEOUT 60)
endfunction()

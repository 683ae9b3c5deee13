// teeio_run_dummy [-v] -- PROGRAM ARGS: the supervisor over the dummy machine.
#include <cstdio>
#include <string_view>

#include "run/supervisor.h"
#include "scenario/dummy/machine.h"

int main(int argc, char** argv) {
  teeio::run::Options options;
  int at = 1;
  for (; at < argc && std::string_view(argv[at]) != "--"; ++at)
    if (std::string_view(argv[at]) == "-v") options.calls.wanted = true;
  for (++at; at < argc; ++at) options.command.emplace_back(argv[at]);
  if (options.command.empty()) {
    std::fputs("usage: teeio_run_dummy [-v] -- PROGRAM ARGS\n", stderr);
    return 125;
  }
  teeio::dummy::DummyMachine machine;
  return teeio::run::Supervisor(std::move(options), machine).run();
}

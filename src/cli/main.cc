#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <new>
#include <system_error>

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/print.h"
#include "cli/run_command.h"

namespace teeio::cli {
namespace {

/// A file that is opened while one of the three is closed would take its place, and
/// get the words that are meant for it. What reads or writes here fails as if closed.
void keep_standard_files_apart() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(fd, F_GETFD) < 0)
      (void)::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/// A file that `ulimit -f` lets grow no more is like a full disk: write() says it, and the signal
/// does not end us. Programs get the signal's default back, which of SIG_IGN they would not.
void outlive_file_size_limit() {
  struct sigaction before{};
  struct sigaction empty{};
  empty.sa_handler = [](int) {};
  empty.sa_flags = SA_RESTART;
  if (::sigaction(SIGXFSZ, nullptr, &before) == 0 && before.sa_handler == SIG_DFL)
    ::sigaction(SIGXFSZ, &empty, nullptr);
}

int parse_and_run(std::vector<std::string> words) {
  CommandLine line("Run programs on a TEE-I/O host (VFIO, iommufd, KVM, TSM) that does not exist",
                   "teeio " TEEIO_VERSION);
  Command& root = line.root();
  const Command& run = add_run_command(root, run_program);
  if (const std::string why = add_environment_options(run, words); !why.empty())
    return wrong_use("run", why);
  add_other_commands(root);
  if (const std::string where = why_elsewhere(words); !where.empty()) {
    complain("teeio {}\n", where);
    return kUsageError;
  }
  return line.run(std::move(words));
}

/// No exception leaves teeio; those that can be are the libraries'.
int run_safely(std::vector<std::string> words) {
  try {
    return parse_and_run(std::move(words));
  } catch (const std::bad_alloc&) {
    complain_text("teeio: out of memory\n");
  } catch (const std::system_error& error) {
    complain("teeio: {}\n", error.code().message());
  } catch (const std::exception& error) {
    complain("teeio: internal error: {}\n", error.what());
  }
  return kUsageError;
}

}  // namespace
}  // namespace teeio::cli

int main(int argc, char** argv) {
  using namespace teeio;
  cli::keep_standard_files_apart();
  cli::outlive_file_size_limit();
  const int status = cli::run_safely({argv + 1, argv + argc});
  const std::string problem = standard_output_problem();
  if (problem.empty()) return status;
  cli::complain("teeio: {}\n", problem);
  return status == 0 ? cli::kUsageError : status;
}

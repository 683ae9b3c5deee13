#pragma once

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>

namespace teeio {

/// Files that the user named, as a whole. All errors are ready to print: they begin
/// with the file's name and say why, as Linux does.

/// What of a file may be read where nobody expects more.
inline constexpr std::size_t kMostOfAFile = std::size_t{1} << 30U;

/// The contents of `path`; of standard input for "-". Errors: it cannot be opened or
/// read; it is a directory; it has more than `most` bytes (or no end, as /dev/zero); it is a
/// pipe with a name, to which nobody may ever write. What is open already is read, whatever it
/// is: /dev/stdin, and /dev/fd/63 of a shell's <(…).
[[nodiscard]] std::expected<std::string, std::string> read_file(const std::string& path,
                                                                std::size_t most = kMostOfAFile);

/// A file that will be written as a whole, once or again and again; "-" is standard
/// output. Made before the work whose result goes there, so that what cannot be
/// written is known early.
///
/// A regular file has its old contents, or those of before, until write() has the new
/// ones on the disk: they are written into a file of its folder that has no name until then
/// (O_TMPFILE), and that is renamed, so that of several processes that write one file the
/// last has it, whole. Devices, pipes, and files in a folder where no other can be made are
/// written where they are.
///
/// Lifetime: what was never written leaves nothing behind; of a process that is killed neither,
/// but on a file system without O_TMPFILE, where a ".teeio-PID-N.part" stays.
class OutputFile {
 public:
  /// Errors: it cannot be made or written; it is a directory.
  [[nodiscard]] static std::expected<OutputFile, std::string> open(const std::string& path);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) = delete;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  /// The file is `text` afterwards. Errors: those of writing; then it is as before, if
  /// it is a regular file. What fails on standard output is told as for print_text().
  [[nodiscard]] std::expected<void, std::string> write(std::string_view text);

 private:
  enum class Way : unsigned char { kReplaced, kInPlace };
  OutputFile(std::string path, std::string target, std::string part, int fd, Way way)
      : path_(std::move(path)),
        target_(std::move(target)),
        part_(std::move(part)),
        fd_(fd),
        way_(way) {}

  std::string path_;    ///< as the user said
  std::string target_;  ///< behind symbolic links
  std::string part_;    ///< beside it; empty: there is none, or it has no name
  int fd_ = -1;         ///< of the part, or in place; -1: to be opened again
  Way way_;
};

/// Words on their way to a terminal, all as visible() has them: strings of programs and
/// devices are among them.

/// Writes on standard output. What fails is kept for standard_output_problem(); from
/// then on nothing is written.
void print_text(std::string_view text);

/// Flushes standard output; why what was printed did not arrive, or nothing.
[[nodiscard]] std::string standard_output_problem();

/// Writes all of it to a descriptor that is open; false if that cannot be written.
bool write_text(int fd, std::string_view text);

/// The same of bytes that no terminal is meant to see.
bool write_bytes(int fd, std::string_view bytes);

/// Writes on standard error; false if that cannot be written.
bool complain_text(std::string_view text);

}  // namespace teeio

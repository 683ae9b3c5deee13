#include "serve/vfio_user/server.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "base/event_signal.h"
#include "base/files.h"
#include "schedule/atomic.h"
#include "schedule/task.h"
#include "schedule/try_spawn.h"
#include "serve/capture.h"
#include "serve/socket.h"
#include "serve/vfio_user/cards.h"
#include "serve/vfio_user/channel.h"
#include "serve/vfio_user/session.h"

namespace teeio::vfio_user {
namespace {

constexpr int kTickMs = 1000;
constexpr std::uint64_t kSecondNs = 1'000'000'000;
/// How long a client waits for the one before it to be gone: a VMM's descriptors may outlive
/// it for a moment (io_uring's ends after its process).
constexpr std::uint64_t kGraceNs = 2 * kSecondNs;
/// Refusals of one client that are told; a hostile one could fill a disk.
constexpr unsigned kMaxTold = 20;

void say(const std::string& name, std::string_view text) {
  complain_text(fmt::format("teeio serve: {}: {}\n", name, text));
}

/// Of a client that was refused something.
class Refusals {
 public:
  explicit Refusals(const std::string& name) : name_(name) {}
  void tell(Command command, std::string_view why) {
    if (++count_ > kMaxTold) return;
    say(name_, fmt::format("{} refused: {}", command_name(command), why));
    if (count_ == kMaxTold) say(name_, "further refusals are not told");
  }

 private:
  const std::string& name_;
  unsigned count_ = 0;
};

void converse(const std::string& name, Function& function, Channel& channel) {
  Session session(function, channel);
  Refusals refusals(name);
  for (;;) {
    auto message = channel.receive();
    if (!message) return;
    const Command command = message->header.command;
    const Answer answer = session.handle(std::move(*message));
    if (!answer.refused.empty()) refusals.tell(command, answer.refused);
    if (!answer.bytes.empty() && !channel.send(answer.bytes, answer.fds)) return;
    if (answer.close) return;
    if (command == Command::kVersion)
      if (Fd twin = session.take_twin_socket(); twin.ok()) channel.use_twin(std::move(twin));
  }
}

Fd take_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
  (void)::sigprocmask(SIG_BLOCK, &set, nullptr);
  return Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

}  // namespace

struct Server::Impl {
  explicit Impl(ServerOptions o) : options(std::move(o)) {}
  ~Impl();
  std::expected<void, std::string> open();
  void run();

  /// A function's socket, and the client that has it.
  struct Place {
    std::string path;
    Fd listener;
    std::unique_ptr<Channel> channel;
    std::optional<schedule::Task> task;
    schedule::Atomic<bool> over{false};  ///< the task has done its last step
    Fd next;                             ///< who waits for the client to leave
    std::uint64_t next_until_ns = 0;
  };
  void accept(std::size_t index);
  void start(std::size_t index, Fd socket);
  void look_at_next(std::size_t index);
  void serve(Place& place, Function& function);
  void reap(Place& place);
  void dismiss_clients();
  void pass_time();
  [[nodiscard]] std::vector<pollfd> waiting() const;
  [[nodiscard]] bool somebody_waits() const;

  const ServerOptions options;
  std::optional<Cards> cards;
  std::vector<std::unique_ptr<Place>> places;
  Fd signals;
  Fd left;  ///< an eventfd: a client has
  bool stopping = false;
  bool full = false;  ///< no descriptor is free: nobody is taken in until the next turn
  std::uint64_t told_ns = schedule::now_ns();
};

Server::Impl::~Impl() {
  dismiss_clients();
  for (const auto& place : places) (void)::unlink(place->path.c_str());
}

/// Nobody emits events behind it.
void Server::Impl::dismiss_clients() {
  for (const auto& place : places) {
    if (place->channel) place->channel->shut_down();
    if (place->task) place->task->join();
    place->task.reset();
    place->channel.reset();
  }
}

std::expected<void, std::string> Server::Impl::open() {
  if (!ClientMemory::works())
    return std::unexpected("process_vm_readv() is not allowed here, which DMA needs");
  auto files = serve::Capture::create(options.pcap, options.key_log);
  if (!files) return std::unexpected(files.error());
  auto loaded = Cards::load({.machine = options.machine,
                             .functions = options.functions,
                             .processor = !options.processor.empty()},
                            options.spdm, std::move(*files));
  if (!loaded) return std::unexpected(loaded.error());
  cards.emplace(std::move(*loaded));
  cards->trace().keep_events(options.keep_events);
  std::vector<std::string> paths = options.sockets;
  if (!options.processor.empty()) paths.push_back(options.processor);
  for (const std::string& path : paths) {
    auto listener = serve::listen_unix(path);
    if (!listener) return std::unexpected(listener.error());
    places.push_back(std::make_unique<Place>(path, std::move(*listener)));
  }
  signals = take_signals();
  prepare_event_signals();  // no client costs the server a descriptor that stays
  left = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!left.ok()) return std::unexpected("no descriptor is free");
  for (std::size_t i = 0; i < places.size(); ++i)
    print_text(fmt::format("{} is a vfio-user device at {}\n", cards->name_of(i), places[i]->path));
  (void)standard_output_problem();  // the words are there before a client is
  return {};
}

/// In the order that run() expects.
std::vector<pollfd> Server::Impl::waiting() const {
  std::vector<pollfd> list{{signals.get(), POLLIN, 0}, {left.get(), POLLIN, 0}};
  for (const auto& place : places)
    list.push_back({place->listener.get(), static_cast<short>(full ? 0 : POLLIN), 0});
  return list;
}

void Server::Impl::run() {
  while (!stopping) {
    auto list = waiting();
    const bool ticks = options.spdm.heartbeat_s != 0 || full || somebody_waits();
    full = false;
    if (::poll(list.data(), list.size(), ticks ? kTickMs : -1) < 0) {
      if (errno == EINTR) continue;
      say("vfio-user", "poll() failed");
      break;
    }
    pass_time();
    if (list[0].revents != 0) stopping = true;
    if (list[1].revents != 0) {
      std::uint64_t count = 0;
      (void)!::read(left.get(), &count, sizeof(count));
      for (const auto& place : places) reap(*place);
      stopping = stopping || options.once;
    }
    for (std::size_t i = 0; i < places.size() && !stopping; ++i) {
      look_at_next(i);
      if (list[i + 2].revents != 0) accept(i);
    }
  }
  for (std::size_t i = 0; i < places.size(); ++i) cards->at(i).irqs().request_release();
  dismiss_clients();
}

void Server::Impl::pass_time() {
  const std::uint64_t seconds = (schedule::now_ns() - told_ns) / kSecondNs;
  told_ns += seconds * kSecondNs;
  if (seconds > 0) cards->pass_time(static_cast<std::uint32_t>(seconds));
}

void Server::Impl::reap(Place& place) {
  if (!place.task) return;
  // A client that has left is waited for: whoever starts a VMM anew is served.
  if (!place.over.load() && !place.channel->peer_left()) return;
  place.task->join();
  place.task.reset();
  place.channel.reset();
}

void Server::Impl::accept(std::size_t index) {
  Place& place = *places[index];
  Fd socket(::accept4(place.listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!socket.ok()) {
    full = errno == EMFILE || errno == ENFILE;
    return;
  }
  if (place.next.ok()) {
    say(place.path, "another client has the function, and one waits for it; turned away");
    return;
  }
  place.next = std::move(socket);
  place.next_until_ns = schedule::now_ns() + kGraceNs;
  look_at_next(index);
}

bool Server::Impl::somebody_waits() const {
  return std::ranges::any_of(places, [](const auto& place) { return place->next.ok(); });
}

void Server::Impl::look_at_next(std::size_t index) {
  Place& place = *places[index];
  if (!place.next.ok()) return;
  reap(place);
  if (!place.task) return start(index, std::move(place.next));
  if (schedule::now_ns() < place.next_until_ns) return;
  place.next.reset();
  say(place.path, "another client has the function; turned away");
}

void Server::Impl::start(std::size_t index, Fd socket) {
  Place& place = *places[index];
  place.over.store(false);
  place.channel = std::make_unique<Channel>(std::move(socket));
  place.task =
      schedule::try_spawn("vfio-user", [this, &place, index] { serve(place, cards->at(index)); });
  if (place.task) return;
  place.channel.reset();
  say(place.path, "no thread can be made for a client; turned away");
}

void Server::Impl::serve(Place& place, Function& function) {
  say(place.path, "a client has come");
  converse(place.path, function, *place.channel);
  const std::string_view why = place.channel->why();
  place.channel->shut_down();
  say(place.path, why.empty() ? "the client has left" : why);
  place.over.store(true);
  const std::uint64_t one = 1;
  (void)!::write(left.get(), &one, sizeof(one));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::Server(Server&&) noexcept = default;
Server& Server::operator=(Server&&) noexcept = default;
Server::~Server() = default;

std::expected<Server, std::string> Server::create(ServerOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  if (const auto opened = impl->open(); !opened) return std::unexpected(opened.error());
  return Server(std::move(impl));
}

const object::Trace& Server::trace() const { return impl_->cards->trace(); }

bool Server::run() {
  impl_->run();
  const bool captured = impl_->cards->is_captured();
  return captured;
}

}  // namespace teeio::vfio_user

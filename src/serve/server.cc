#include "serve/server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <list>
#include <optional>
#include <utility>

#include "base/files.h"
#include "schedule/task.h"
#include "serve/agreements.h"
#include "serve/capture.h"
#include "serve/channel.h"
#include "serve/client_at_server.h"
#include "serve/control.h"
#include "serve/served_device.h"
#include "serve/without_pipe_signal.h"

namespace teeio::serve {
namespace {

constexpr std::size_t kMaxConnections = 256;  // of each kind; descriptors are finite

constexpr std::size_t kMaxStateFile = std::size_t{1} << 20U;  // bytes
constexpr int kTickMs = 1000;
constexpr unsigned kConnectMs = 10'000;
constexpr std::uint64_t kMillisecondNs = 1'000'000;
constexpr std::uint64_t kSecondNs = 1'000'000'000;

struct ControlClient {
  ControlClient(Fd socket, ControlTarget& target)
      : channel{std::move(socket), {}}, session(target) {}
  void send(std::string_view text) { channel.queue(std::as_bytes(std::span(text))); }

  Channel channel;
  ControlSession session;
};

/// SIGINT, SIGTERM and SIGHUP as a descriptor; without it they would end us.
Fd take_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
  (void)::sigprocmask(SIG_BLOCK, &set, nullptr);
  return Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

}  // namespace

struct Server::Impl final : ControlTarget {
  explicit Impl(ServerOptions o) : options(std::move(o)) {}
  ~Impl() override {
    if (!options.control.empty() && control.ok()) (void)::unlink(options.control.c_str());
  }

  std::expected<void, std::string> open();
  std::expected<void, std::string> open_agreements();
  std::expected<void, std::string> open_control();
  std::expected<void, std::string> open_connection();
  void run();
  /// Capture, key log and state file have everything that they should, and who was to ask has
  /// asked.
  [[nodiscard]] bool is_well() const { return !capture->failed() && !unasked && !unsaved; }

 private:
  // ControlTarget
  Fleet& fleet() override { return fleet_; }
  std::expected<void, std::string> reload() override;
  void stop() override { stopping = true; }

  [[nodiscard]] std::expected<Fleet, std::string> load() {
    return Fleet::load(options.machine, options.functions, options.spdm, *capture);
  }
  [[nodiscard]] std::vector<pollfd> waiting() const;
  void serve(const std::vector<pollfd>& ready);
  void pass_time();
  void look_for_requester();
  void save_agreements();
  void take_signal();
  [[nodiscard]] Fd accept_from(int listener);
  [[nodiscard]] bool make_room(std::string_view why);
  void accept_client(std::size_t device);
  void accept_control();
  void serve_client(ClientAtServer& client, short events);
  void serve_control(ControlClient& client, short events);
  void publish_changes();

  const ServerOptions options;
  std::unique_ptr<Capture> capture;
  Fleet fleet_;
  std::vector<Fd> listeners;  ///< one a device
  Fd control;
  Fd signals;
  std::list<ClientAtServer> clients;
  std::list<ControlClient> controls;
  std::optional<OutputFile> state_file;
  bool stopping = false;
  bool unsaved = false;  ///< `state_file` could not be written
  bool unasked = false;  ///< with `connect`: no request has come
  bool full = false;     ///< no descriptor is free: nobody is taken in until the next turn
  std::uint64_t messages = 0;
  std::uint64_t told_ns = schedule::now_ns();  ///< until when devices know the time
  std::uint64_t connected_ns = 0;              ///< with `connect`
};

std::expected<void, std::string> Server::Impl::open() {
  auto files = Capture::create(options.pcap, options.key_log);
  if (!files) return std::unexpected(files.error());
  capture = std::move(*files);
  auto loaded = load();
  if (!loaded) return std::unexpected(loaded.error());
  fleet_ = std::move(*loaded);
  if (const auto done = open_agreements(); !done) return done;
  if (options.connect) return open_connection();
  constexpr std::size_t kLastPort = 0xffff;
  if (options.listen.port + fleet_.size() - 1 > kLastPort)
    return std::unexpected(fmt::format("{}: {} devices have a port each, and {} is the last",
                                       options.listen.str(), fleet_.size(), kLastPort));
  for (std::size_t i = 0; i < fleet_.size(); ++i) {
    Address address = options.listen;
    if (address.port != 0) address.port = static_cast<std::uint16_t>(address.port + i);
    auto listener = listen_tcp(address);
    if (!listener) return std::unexpected(listener.error());
    listeners.push_back(std::move(*listener));
  }
  if (const auto opened = open_control(); !opened) return opened;
  for (std::size_t i = 0; i < fleet_.size(); ++i)
    print_text(fmt::format("{} listens on {}\n", fleet_.at(i).bdf().str(),
                           local_name(listeners[i].get())));
  (void)standard_output_problem();  // the words are there before a peer is
  return {};
}

std::expected<void, std::string> Server::Impl::open_agreements() {
  if (!options.load_state.empty()) {
    const auto text = read_file(options.load_state, kMaxStateFile);
    if (!text) return std::unexpected(text.error());
    const auto remarks = restore_agreements(fleet_, *text);
    if (!remarks)
      return std::unexpected(fmt::format("{}: {}", options.load_state, remarks.error()));
    for (const std::string& remark : *remarks)
      say(fmt::format("{}: {}", options.load_state, remark));
  }
  if (options.save_state.empty()) return {};
  auto file = OutputFile::open(options.save_state);
  if (!file) return std::unexpected(file.error());
  state_file.emplace(std::move(*file));
  return {};
}

void Server::Impl::save_agreements() {
  if (!state_file) return;
  const WithoutPipeSignal without;
  const auto written = state_file->write(agreements_of(fleet_));
  if (written) return;
  say(written.error());
  unsaved = true;
}

std::expected<void, std::string> Server::Impl::open_control() {
  if (!options.control.empty()) {
    auto listener = listen_unix(options.control);
    if (!listener) return std::unexpected(listener.error());
    control = std::move(*listener);
  }
  signals = take_signals();
  return {};
}

std::expected<void, std::string> Server::Impl::open_connection() {
  if (fleet_.size() != 1)
    return std::unexpected(fmt::format(
        "--connect serves one device, the machine has {}; --function says which", fleet_.size()));
  auto socket = connect_tcp(*options.connect, kConnectMs);
  if (!socket) return std::unexpected(socket.error());
  (void)::fcntl(socket->get(), F_SETFL, O_NONBLOCK);
  if (const auto opened = open_control(); !opened) return opened;
  print_text(
      fmt::format("{} connected to {}\n", fleet_.at(0).bdf().str(), peer_name(socket->get())));
  (void)standard_output_problem();
  clients.emplace_back(std::move(*socket), ClientAtServer::Place{fleet_, 0, *capture}, nullptr,
                       options.transport);
  clients.back().channel.queue(Connection::role_inquiry());
  unasked = true;
  connected_ns = schedule::now_ns();
  return {};
}

std::expected<void, std::string> Server::Impl::reload() {
  auto loaded = load();
  if (!loaded) return std::unexpected(loaded.error());
  const auto replaced = fleet_.replace(std::move(*loaded));
  if (!replaced) return std::unexpected(replaced.error());
  for (const std::size_t index : *replaced) {
    say(fmt::format("{} was replaced by what the machine file says now",
                    fleet_.at(index).bdf().str()));
    for (ClientAtServer& client : clients)
      if (client.device() == index) client.channel.closing = true;
  }
  return {};
}

/// In the order that serve() expects: signals, control, listeners, clients,
/// control connections.
std::vector<pollfd> Server::Impl::waiting() const {
  const short knock = full ? 0 : POLLIN;
  std::vector<pollfd> list{{signals.get(), POLLIN, 0}, {control.get(), knock, 0}};
  for (const Fd& listener : listeners) list.push_back({listener.get(), knock, 0});
  for (const ClientAtServer& client : clients)
    list.push_back({client.channel.socket.get(), client.channel.events(), 0});
  for (const ControlClient& client : controls)
    list.push_back({client.channel.socket.get(), client.channel.events(), 0});
  return list;
}

void Server::Impl::run() {
  while (!stopping) {
    auto list = waiting();
    const bool ticks = options.spdm.heartbeat_s != 0 || full || unasked;
    full = false;
    if (::poll(list.data(), list.size(), ticks ? kTickMs : -1) < 0) {
      if (errno == EINTR) continue;
      say("poll() failed");
      return;
    }
    pass_time();
    serve(list);
    if (unasked) look_for_requester();
  }
  for (ClientAtServer& client : clients) (void)client.channel.flush();
  for (ControlClient& client : controls) (void)client.channel.flush();
  save_agreements();
}

/// Whom we have connected to may never say whether it will ask: its program may not even have
/// taken the connection.
void Server::Impl::look_for_requester() {
  const std::string name = options.connect->str();
  if (clients.empty()) {
    say(fmt::format("{}: the connection ended before a request came", name));
  } else if (schedule::now_ns() - connected_ns >= kConnectMs * kMillisecondNs) {
    say(fmt::format("{}: no request came within {} s; closing the connection", name,
                    kConnectMs / 1000));
    stopping = true;
  }
}

/// Sessions have a heartbeat in whole seconds.
void Server::Impl::pass_time() {
  const std::uint64_t seconds = (schedule::now_ns() - told_ns) / kSecondNs;
  told_ns += seconds * kSecondNs;
  if (seconds == 0) return;
  for (std::size_t i = 0; i < fleet_.size(); ++i)
    fleet_.at(i).pass_time(static_cast<std::uint32_t>(seconds));
  for (ClientAtServer& client : clients)
    if (ServedDevice* own = client.own_device(); own != nullptr)
      own->pass_time(static_cast<std::uint32_t>(seconds));
}

void Server::Impl::serve(const std::vector<pollfd>& ready) {
  auto at = ready.begin();
  if ((at++)->revents != 0) take_signal();
  const bool control_ready = (at++)->revents != 0;
  std::vector<std::size_t> knocking;
  for (std::size_t device = 0; device < listeners.size(); ++device)
    if ((at++)->revents != 0) knocking.push_back(device);
  for (ClientAtServer& client : clients) serve_client(client, (at++)->revents);
  for (ControlClient& client : controls) serve_control(client, (at++)->revents);
  publish_changes();
  const auto over = [](auto& client) {
    return !client.channel.flush() || client.channel.finished();
  };
  clients.remove_if(over);
  controls.remove_if(over);
  if (options.connect && clients.empty()) stopping = true;  // nobody else can come
  for (const std::size_t device : knocking) accept_client(device);
  if (control_ready) accept_control();
}

void Server::Impl::take_signal() {
  signalfd_siginfo info{};
  if (::read(signals.get(), &info, sizeof(info)) != static_cast<ssize_t>(sizeof(info))) return;
  if (info.ssi_signo != SIGHUP) {
    stopping = true;
    return;
  }
  if (const auto done = reload(); !done) say(done.error() + "; nothing has changed");
}

/// Ends the connection that will be missed least: one that has not sent a whole message
/// yet, else any; of those the one that has been silent longest. Connections that do
/// nothing cannot lock others out so. false: there is none.
bool Server::Impl::make_room(std::string_view why) {
  const auto least = std::ranges::min_element(clients, {}, [](const ClientAtServer& client) {
    return std::pair(client.talks(), client.heard);
  });
  if (least == clients.end()) return false;
  say(fmt::format("{}: {}, and it has been silent longest; closing", least->name(), why));
  clients.erase(least);
  return true;
}

Fd Server::Impl::accept_from(int listener) {
  for (;;) {
    Fd socket(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket.ok() || (errno != EMFILE && errno != ENFILE)) return socket;
    if (make_room("no descriptor is free")) continue;
    full = true;  // the caller of poll() would be woken at once, and again, and again
    return socket;
  }
}

void Server::Impl::accept_client(std::size_t device) {
  if (clients.size() >= kMaxConnections)
    (void)make_room(fmt::format("there are {} connections already", clients.size()));
  Fd socket = accept_from(listeners[device].get());
  if (!socket.ok()) return;
  ClientAtServer::Maker own;
  if (options.device_per_peer)
    own = [this, device] {
      return std::make_unique<ServedDevice>(fleet_.at(device).card(), options.spdm, *capture);
    };
  clients.emplace_back(std::move(socket), ClientAtServer::Place{fleet_, device, *capture},
                       std::move(own), options.transport);
  clients.back().heard = ++messages;
}

void Server::Impl::accept_control() {
  Fd socket = accept_from(control.get());
  if (socket.ok() && controls.size() < kMaxConnections)
    controls.emplace_back(std::move(socket), *this);
}

void Server::Impl::serve_client(ClientAtServer& client, short events) {
  if ((events & (POLLIN | POLLHUP | POLLERR)) == 0 || client.channel.closing) return;
  client.heard = ++messages;
  const Connection::Next next = client.read();
  if (client.talks()) unasked = false;
  if (next == Connection::Next::kGoOn) return;
  client.channel.closing = true;
  if (next == Connection::Next::kShutdown && options.once) stopping = true;
}

void Server::Impl::serve_control(ControlClient& client, short events) {
  if ((events & (POLLIN | POLLHUP | POLLERR)) == 0 || client.channel.closing) return;
  const auto bytes = read_some(client.channel.socket.get());
  if (!bytes) {
    client.channel.closing = true;
    return;
  }
  client.send(
      client.session.receive({reinterpret_cast<const char*>(bytes->data()), bytes->size()}));
  if (client.session.broken()) client.channel.closing = true;
}

void Server::Impl::publish_changes() {
  const auto publish = [this](ServedDevice& device) {
    for (const TdiChange& change : device.take_changes())
      for (ControlClient& listener : controls) listener.send(listener.session.event(change));
  };
  for (std::size_t i = 0; i < fleet_.size(); ++i) publish(fleet_.at(i));
  for (ClientAtServer& client : clients)
    if (ServedDevice* own = client.own_device(); own != nullptr) publish(*own);
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

bool Server::run() {
  impl_->run();
  return impl_->is_well();
}

}  // namespace teeio::serve

#include "host/pci_tsm/pci_tsm.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "host/kvm/vm.h"
#include "host/kvm/vm_file.h"
#include "schedule/seeded_bug.h"

namespace teeio::tsm {
namespace {

using object::Fact;
using object::Lane;

constexpr std::string_view kBoundWithoutVm = "a bound TDI has no VM";
constexpr std::string_view kWithoutTsm = "a TSM context outlives its TSM";
constexpr std::string_view kWithoutDsm = "a TSM context outlives its DSM";

kvm::Vm& vm_of(object::File& file) {
  TEEIO_CHECK(file.kind() == object::FileKind::kKvmVm, "bind is given a file that is no VM");
  return static_cast<kvm::VmFile&>(file).vm();
}

std::string tsm_name(std::uint32_t number) { return fmt::format("tsm{}", number); }

/// What sscanf(text, "tsm%d\n") takes: the prefix, blanks, a sign and a number, and
/// anything after.
std::optional<std::int32_t> parse_tsm(std::string_view text) {
  constexpr std::string_view kPrefix = "tsm";
  if (!text.starts_with(kPrefix)) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  text.remove_prefix(std::min(text.find_first_not_of(" \t\n\v\f\r"), text.size()));
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  std::int32_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || stop == text.data()) return std::nullopt;
  return number;
}

/// sysfs_streq(): equal but for one trailing newline.
bool sysfs_streq(std::string_view a, std::string_view b) {
  if (a.ends_with('\n')) a.remove_suffix(1);
  return a == b;
}

}  // namespace

void PciTsm::add_function(hw::PciFunction& function) {
  streams_.arrive(function);
  const schedule::WriteLock lock(rwsem_);
  Function entry{
      .function = &function, .handlers = nullptr, .context = {}, .mailbox = {}, .lock = {}};
  // pci_doe_init(): one that cannot be discovered is none.
  if (auto found = doe_discover(function)) entry.mailbox = std::move(*found);
  entry.lock = std::make_unique<schedule::Mutex>(schedule::Rank::kPciTsmPf0);
  const auto [at, added] = functions_.emplace(function.bdf(), std::move(entry));
  TEEIO_CHECK(added, "two functions at one address");
  // pci_tsm_init(): one that comes to a connected DSM, such as a VF.
  for (const auto& [bdf, dsm] : functions_) {
    if (!dsm.context || dsm.context->dsm != bdf) continue;
    const auto card = functions_of(bdf);
    if (std::ranges::find(card, &at->second) == card.end()) continue;
    at->second.context = Context{.tsm = dsm.context->tsm, .dsm = bdf, .tdi = {}};
    return;
  }
}

std::uint32_t PciTsm::register_tsm(Driver& driver) {
  const schedule::WriteLock lock(rwsem_);
  std::uint32_t number = 0;
  while (tsms_.contains(number)) ++number;
  tsms_.emplace(number, &driver);
  driver.registered(streams_, number);
  return number;
}

void PciTsm::unregister_tsm(std::uint32_t number) {
  const schedule::WriteLock lock(rwsem_);
  // for_each_pci_dev_reverse(): pci_tsm_unregister()
  for (auto at = functions_.rbegin(); at != functions_.rend(); ++at) {
    Function& function = at->second;
    if (!function.context || function.context->tsm != number) continue;
    if (function.context->dsm == at->first) disconnect_locked(function);
  }
  tsms_.erase(number);
}

void PciTsm::device_removed(Bdf bdf) {
  const schedule::WriteLock lock(rwsem_);
  const auto at = functions_.find(bdf);
  if (at == functions_.end()) return;
  if (at->second.context) {
    if (at->second.context->dsm == bdf)
      disconnect_locked(at->second);
    else
      unbind_one(at->second);  // pci_tsm_fn_exit()
  }
  functions_.erase(at);
  streams_.leave(bdf);
}

Result<void> PciTsm::connect(Bdf bdf, std::string_view text) {
  const auto number = parse_tsm(text);
  if (!number) return fail(Errno::kInval, "tsm/connect takes the name of a TSM, such as tsm0");
  const schedule::WriteLock lock(rwsem_);
  Function* pf0 = find(bdf);
  if (pf0 == nullptr) return fail(Errno::kNoDev, "the function has left the bus");
  if (pf0->context) return fail(Errno::kBusy, "the device is connected already");
  Driver* tsm = *number < 0 ? nullptr : driver(static_cast<std::uint32_t>(*number));
  if (tsm == nullptr) return fail(Errno::kNxio, "there is no TSM of that name");
  if (!is_tsm_pf0(*pf0->function)) return fail(Errno::kNxio, "the function hosts no DSM");
  // pci_find_doe_mailbox(PCI_VENDOR_ID_PCI_SIG, PCI_DOE_FEATURE_CMA)
  if (!pf0->mailbox || std::ranges::find(*pf0->mailbox, kDoeCma) == pf0->mailbox->end())
    return fail(Errno::kNxio, "the function has no mailbox to speak to its DSM");

  auto call = trace_.call(Lane::kHostTsm, "connect", {.function = bdf});
  const schedule::Lock dsm_lock(*pf0->lock);
  if (auto connected = tsm->connect(*pf0->function); !connected) {
    call.refuse(connected.error());
    return connected;
  }
  const Context context{.tsm = static_cast<std::uint32_t>(*number), .dsm = bdf, .tdi = {}};
  pf0->context = context;
  if (!has_tee(*pf0->function)) return {};
  for (Function* function : functions_of(bdf))
    if (function != pf0) function->context = context;
  return {};
}

Result<void> PciTsm::disconnect(Bdf bdf, std::string_view text) {
  const schedule::WriteLock lock(rwsem_);
  Function* pf0 = find(bdf);
  if (pf0 == nullptr || !pf0->context) return fail(Errno::kNxio, "the device is not connected");
  if (!sysfs_streq(text, tsm_name(pf0->context->tsm)))
    return fail(Errno::kInval, "the device is connected to another TSM");
  auto call = trace_.call(Lane::kHostTsm, "disconnect", {.function = bdf});
  disconnect_locked(*pf0);
  return {};
}

void PciTsm::disconnect_locked(Function& pf0) {
  const Bdf bdf = pf0.function->bdf();
  // pci_tsm_unbind_all(): the other functions in reverse, then function 0.
  std::vector<Function*> others = functions_of(bdf);
  for (auto at = others.rbegin(); at != others.rend(); ++at)
    if (*at != &pf0) unbind_one(**at);
  unbind_one(pf0);

  Driver* tsm = driver(pf0.context->tsm);
  TEEIO_CHECK(tsm != nullptr, "a connected device outlives its TSM");
  const schedule::Lock dsm_lock(*pf0.lock);
  for (auto at = others.rbegin(); at != others.rend(); ++at)
    if (*at != &pf0) (*at)->context.reset();
  tsm->disconnect(*pf0.function);
  pf0.context.reset();
}

Result<void> Driver::refresh_keys(hw::PciFunction& /*pf0*/) {
  return fail(Errno::kOpNotSupp, "the platform's driver refreshes no IDE keys");
}

Result<void> PciTsm::refresh_keys(Bdf bdf) {
  const schedule::ReadLock lock(rwsem_);
  Function* function = find(bdf);
  if (function == nullptr || !function->context)
    return fail(Errno::kNxio, "the device is not connected to a TSM");
  Function* dsm = this->dsm(*function);
  TEEIO_CHECK(dsm != nullptr, kWithoutDsm);
  const schedule::Lock dsm_lock(*dsm->lock);
  Driver* tsm = driver(function->context->tsm);
  TEEIO_CHECK(tsm != nullptr, kWithoutTsm);
  auto call = trace_.call(Lane::kHostTsm, "refresh keys", {.function = bdf});
  auto refreshed = tsm->refresh_keys(*dsm->function);
  if (!refreshed) call.refuse(refreshed.error());
  return refreshed;
}

Result<void> PciTsm::bind(Bdf bdf, object::File* vm_file, std::uint32_t tdi_id) {
  if (vm_file == nullptr) return fail(Errno::kInval, "bind needs a VM");
  kvm::Vm& vm = vm_of(*vm_file);
  const schedule::ReadLock lock(rwsem_);
  Function* function = find(bdf);
  if (function == nullptr || !function->context)
    return fail(Errno::kInval, "the device is not connected to a TSM");
  Function* dsm = this->dsm(*function);
  TEEIO_CHECK(dsm != nullptr, kWithoutDsm);
  {
    const schedule::Lock dsm_lock(*dsm->lock);
    TEEIO_TRY(bind_locked(*function, vm, tdi_id));
  }
  if (schedule::seeded("tdi-unset")) {
    const schedule::Lock dsm_lock(*dsm->lock);
    function->context->vm = vm.memory();
  }
  return {};
}

Result<void> PciTsm::bind_locked(Function& function, kvm::Vm& vm, std::uint32_t tdi_id) {
  dsm(function)->lock->assert_held();
  const Bdf bdf = function.function->bdf();
  Driver* tsm = driver(function.context->tsm);
  TEEIO_CHECK(tsm != nullptr, kWithoutTsm);
  if (function.context->tdi) {
    if (function.context->vm.get() != &vm)
      return fail(Errno::kBusy, "the TDI is bound to another VM");
    return {};  // also under another tdi_id: pci_tsm_bind() does not look
  }
  auto call = trace_.call(
      Lane::kHostTsm, "bind",
      {.detail = fmt::format("tdi_id={:#x}", tdi_id), .function = bdf, .vm = vm.number()});
  // From here on the owner keeps the host's hands off the device.
  if (function.handlers != nullptr) function.handlers->set_bound(true);
  const Tdi tdi{.function = bdf, .tdi_id = tdi_id};
  if (auto bound = tsm->bind(*function.function, tdi, vm); !bound) {
    if (function.handlers != nullptr) function.handlers->set_bound(false);
    call.refuse(bound.error());
    return bound;
  }
  function.context->tdi = tdi;
  if (!schedule::seeded("tdi-unset")) function.context->vm = vm.memory();
  trace_.fact(Lane::kHostTsm, Fact::kBound, "bound", {.function = bdf, .vm = vm.number()});
  return {};
}

void PciTsm::unbind(Bdf bdf) {
  const schedule::ReadLock lock(rwsem_);
  if (Function* function = find(bdf); function != nullptr) unbind_one(*function);
}

void PciTsm::unbind_one(Function& function) {
  if (!function.context) return;
  Function* dsm = this->dsm(function);
  TEEIO_CHECK(dsm != nullptr, kWithoutDsm);
  const schedule::Lock dsm_lock(*dsm->lock);
  if (function.context->tdi) unbind_locked(function);
}

void PciTsm::unbind_locked(Function& function) {
  /// For a function whose owner is gone there is nobody to hold back.
  struct Nobody final : TeardownHandlers {
    void disable_mmio() override {}
    void recover_mmio() override {}
    void set_bound(bool) override {}
  } nobody;
  dsm(function)->lock->assert_held();
  TEEIO_CHECK(function.context->vm != nullptr, kBoundWithoutVm);
  TeardownHandlers& handlers = function.handlers != nullptr ? *function.handlers : nobody;
  kvm::Vm& vm = *function.context->vm;
  const Bdf bdf = function.function->bdf();
  check_vm(*function.context, bdf);
  auto call = trace_.call(Lane::kHostTsm, "unbind", {.function = bdf, .vm = vm.number()});
  driver(function.context->tsm)->unbind(*function.function, *function.context->tdi, vm, handlers);
  function.context->tdi.reset();
  trace_.fact(Lane::kHostTsm, Fact::kUnbound, "unbound", {.function = bdf, .vm = vm.number()});
  function.context->vm = nullptr;
  handlers.set_bound(false);
  if (schedule::seeded("shared-handlers"))
    for (Function* other : functions_of(function.context->dsm)) other->handlers = nullptr;
}

GuestOutcome PciTsm::guest_request(Bdf bdf, const GuestRequest& request) {
  const schedule::ReadLock lock(rwsem_);
  Function* function = find(bdf);
  if (function == nullptr || !function->context)
    return fail(Errno::kNxio, "the device is not connected to a TSM");
  Function* dsm = this->dsm(*function);
  TEEIO_CHECK(dsm != nullptr, kWithoutDsm);
  const schedule::Lock dsm_lock(*dsm->lock);
  return request_locked(*function, request);
}

GuestOutcome PciTsm::request_locked(Function& function, const GuestRequest& request) {
  dsm(function)->lock->assert_held();
  if (!function.context->tdi) return fail(Errno::kNxio, "the TDI is not bound");
  TEEIO_CHECK(function.context->vm != nullptr, kBoundWithoutVm);
  Driver* tsm = driver(function.context->tsm);
  TEEIO_CHECK(tsm != nullptr, kWithoutTsm);
  if (tsm->arch() != request.arch)
    return fail(Errno::kInval, "the request is for another architecture's guest");
  check_vm(*function.context, function.function->bdf());
  auto call = trace_.call(Lane::kHostTsm, "guest_req", {.function = function.function->bdf()});
  GuestOutcome outcome = tsm->guest_request(*function.function, *function.context->tdi,
                                            *function.context->vm, request);
  if (!outcome.payload) call.refuse(outcome.payload.error());
  return outcome;
}

GuestOutcome PciTsm::bind_and_request(Bdf bdf, object::File* vm_file, std::uint32_t tdi_id,
                                      const GuestRequest& request) {
  if (vm_file == nullptr) return fail(Errno::kInval, "bind needs a VM");
  kvm::Vm& vm = vm_of(*vm_file);
  const schedule::ReadLock lock(rwsem_);
  Function* function = find(bdf);
  if (function == nullptr || !function->context)
    return fail(Errno::kInval, "the device is not connected to a TSM");
  Function* dsm = this->dsm(*function);
  TEEIO_CHECK(dsm != nullptr, kWithoutDsm);
  const schedule::Lock dsm_lock(*dsm->lock);
  const bool was_bound = function->context->tdi.has_value();
  TEEIO_TRY(bind_locked(*function, vm, tdi_id));
  GuestOutcome outcome = request_locked(*function, request);
  if (!outcome.payload && !was_bound) unbind_locked(*function);
  return outcome;
}

void PciTsm::set_handlers(Bdf bdf, TeardownHandlers* handlers) {
  const schedule::WriteLock lock(rwsem_);
  Function* function = find(bdf);
  if (function == nullptr) return;
  function->handlers = handlers;
  if (handlers != nullptr && function->context && function->context->tdi) handlers->set_bound(true);
}

void PciTsm::program_wrote_config(hw::PciFunction& function, std::uint16_t at) {
  if (!is_doe_register(function, at)) return;
  if (dsm_of(function.bdf()) != function.bdf().str()) return;
  trace_.fact(
      Lane::kVmm, Fact::kHostTouched, "DOE mailbox written by a program",
      {.function = function.bdf(), .a = static_cast<std::uint64_t>(object::HostTouch::kMailbox)});
}

void PciTsm::check_vm(const Context& context, Bdf bdf) {
  if (!context.vm->gone()) return;
  trace_.fact(Lane::kHostTsm, Fact::kUsedAfterPut, "the VM of a TDI was used after its end",
              {.detail = fmt::format("VM {} of {}", context.vm->number(), bdf.str()),
               .function = bdf,
               .vm = context.vm->number()});
}

bool PciTsm::is_pf0(Bdf bdf) const {
  auto& self = const_cast<PciTsm&>(*this);
  const schedule::ReadLock lock(self.rwsem_);
  Function* function = self.find(bdf);
  return function != nullptr && is_tsm_pf0(*function->function);
}

bool PciTsm::is_managed(Bdf bdf) {
  const schedule::ReadLock lock(rwsem_);
  Function* function = find(bdf);
  return function != nullptr && function->context.has_value();
}

std::string PciTsm::connected_to(Bdf bdf) {
  const schedule::ReadLock lock(rwsem_);
  Function* function = find(bdf);
  if (function == nullptr || !function->context) return {};
  return tsm_name(function->context->tsm);
}

std::string PciTsm::dsm_of(Bdf bdf) {
  const schedule::ReadLock lock(rwsem_);
  Function* function = find(bdf);
  if (function == nullptr || !function->context) return {};
  return function->context->dsm.str();
}

std::vector<DoeFeature> PciTsm::doe_features(Bdf bdf) {
  const schedule::ReadLock lock(rwsem_);
  Function* function = find(bdf);
  if (function == nullptr || !function->mailbox) return {};
  return *function->mailbox;
}

std::string PciTsm::bound_to(Bdf bdf) {
  const schedule::ReadLock lock(rwsem_);
  Function* function = find(bdf);
  if (function == nullptr || !function->context) return {};
  const schedule::Lock dsm_lock(*dsm(*function)->lock);
  return function->context->tdi ? tsm_name(function->context->tsm) : std::string{};
}

std::vector<std::uint32_t> PciTsm::tsms() {
  const schedule::ReadLock lock(rwsem_);
  std::vector<std::uint32_t> numbers;
  for (const auto& [number, unused] : tsms_) numbers.push_back(number);
  return numbers;
}

std::string PciTsm::platform_device(std::uint32_t number) {
  const schedule::ReadLock lock(rwsem_);
  const Driver* tsm = driver(number);
  return tsm == nullptr ? std::string{} : std::string(tsm->platform_device());
}

}  // namespace teeio::tsm
